//! The folder `state_dir`: what was good is there after a restart, and each process says there what
//! it goes by.
//!
//! ```text
//! state_dir/flags/last-good     a line of JSON, and below it the texts that hold, as they are
//! state_dir/flags/PID.json      one for each process
//! ```
//!
//! Only the user of the process may read it. Files are written beside and renamed.

use super::Good;
use crate::error::Error;
use crate::flags::file::{Layer, MAX_FILE, MAX_LAYERS, native_json, read};
use crate::flags::model::{Document, Shed};
use crate::state_dir::{self, content, write};
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is kept of processes that have ended is swept when there are more than these.
const MAX_PROCESSES: usize = 1_024;
/// The texts of all layers.
const MAX_KEPT: u64 = (MAX_FILE * MAX_LAYERS) as u64 / 4;

/// The folder of the flags in a `state_dir`.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

/// What stands in the first line.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    layers: Vec<KeptLayer>,
    shed: Option<KeptShed>,
    /// Flags that keep an older form than the texts have, in the native form.
    older: String,
}

/// The texts stand below in this order, without anything between them.
#[derive(Serialize, Deserialize)]
struct KeptLayer {
    path: PathBuf,
    bytes: Option<usize>,
}

#[derive(Serialize, Deserialize)]
struct KeptShed {
    from: u8,
    why: Option<String>,
    by: Option<String>,
    at: Option<String>,
}

const FORMAT: u32 = 2;

impl Kept {
    /// With what stands below it.
    fn read(content: &[u8]) -> Option<(Self, &[u8])> {
        let end = memchr::memchr(b'\n', content)?;
        let (first, rest) = (content.get(..end)?, content.get(end + 1..)?);
        let kept: Self = serde_json::from_slice(first).ok()?;
        (kept.format == FORMAT).then_some((kept, rest))
    }
}

impl Folder {
    /// Makes the folder, if it is not there.
    pub(super) fn of(state_dir: &Path) -> Result<Self, Error> {
        state_dir::folder(state_dir, "flags").map(Self)
    }

    fn last_good(&self) -> PathBuf {
        self.0.join("last-good")
    }

    /// What was good when it was last kept, for these layers.
    pub(super) fn restore(&self, paths: &[PathBuf]) -> Option<Good> {
        let content = content(&self.last_good(), MAX_KEPT)?;
        let (kept, mut rest) = Kept::read(&content)?;
        let mut texts = Vec::new();
        for layer in &kept.layers {
            let Some(bytes) = layer.bytes else { continue };
            let (text, after) = rest.split_at_checked(bytes)?;
            texts.push((&layer.path, std::str::from_utf8(text).ok()?));
            rest = after;
        }
        let text_of = |path: &PathBuf| {
            let mut texts = texts.iter();
            let (_, text) = texts.find(|(name, _)| *name == path)?;
            Some(Arc::from(*text))
        };
        let older = read(&[Layer::new("last-good.json", kept.older.as_str())], None);
        let shed = kept.shed.filter(|shed| (1..=9).contains(&shed.from));
        Some(Good {
            layers: paths.iter().map(text_of).collect(),
            kept: Document {
                shed: shed.map(|shed| Shed {
                    from: shed.from,
                    why: shed.why,
                    by: shed.by,
                    at: shed.at,
                    ..Shed::default()
                }),
                flags: older.document.flags,
                ..Document::default()
            },
        })
    }

    /// Keeps what is good now, unless another process has done so.
    pub(super) fn keep(&self, paths: &[PathBuf], good: &Good) -> std::io::Result<()> {
        let layers = paths.iter().zip(&good.layers);
        let kept = Kept {
            format: FORMAT,
            layers: layers
                .map(|(path, text)| KeptLayer {
                    path: path.clone(),
                    bytes: text.as_ref().map(|text| text.len()),
                })
                .collect(),
            shed: good.kept.shed.as_ref().map(|shed| KeptShed {
                from: shed.from,
                why: shed.why.clone(),
                by: shed.by.clone(),
                at: shed.at.clone(),
            }),
            older: native_json(&good.kept.flags),
        };
        let mut whole = serde_json::to_vec(&kept)?;
        whole.push(b'\n');
        for text in good.layers.iter().flatten() {
            whole.extend_from_slice(text.as_bytes());
        }
        if whole.len() as u64 > MAX_KEPT {
            return Err(std::io::Error::other("the flags are too long to be kept"));
        }
        if content(&self.last_good(), MAX_KEPT).is_some_and(|there| there == whole) {
            return Ok(());
        }
        write(&self.last_good(), &whole)
    }

    /// Says what this process goes by.
    pub(super) fn tell(&self, status: &Status) -> std::io::Result<()> {
        let path = self.0.join(format!("{}.json", status.pid));
        if !path.exists() {
            self.sweep();
        }
        write(&path, &serde_json::to_vec(status)?)
    }

    /// Takes out what ended processes have left, where it is much.
    fn sweep(&self) {
        let statuses = self.statuses();
        if statuses.len() < MAX_PROCESSES {
            return;
        }
        for status in statuses.iter().filter(|status| !status.is_running()) {
            let _ = std::fs::remove_file(self.0.join(format!("{}.json", status.pid)));
        }
    }

    /// What each process said last, in the order of their numbers.
    pub(super) fn statuses(&self) -> Vec<Status> {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let mut statuses: Vec<Status> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_stem()?.to_str()?;
                let pid: u32 = name.parse().ok()?;
                let status: Status = serde_json::from_slice(&content(&path, 1 << 20)?).ok()?;
                (status.pid == pid).then_some(status)
            })
            .collect();
        statuses.sort_by_key(|status| status.pid);
        statuses
    }
}

/// What a process goes by, as it says in `state_dir`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The machine that it runs on.
    pub host: String,
    /// The version of its flags, as profiles and logs have it.
    pub version: String,
    /// How many flags it knows.
    pub flags: usize,
    /// From which priority on flags are off, if any are.
    pub shed: Option<u8>,
    /// Its files, lowest layer first.
    pub files: Vec<PathBuf>,
    /// When it last looked at them, in seconds since the Unix epoch.
    pub looked_at: u64,
    /// When it last took something new from them; 0: never.
    pub changed_at: u64,
    /// Whether it looks each second; else it looks when a page begins.
    pub by_thread: bool,
    /// What is wrong with the files, a line each, of a few lines.
    pub problems: Vec<String>,
    /// How many things are wrong.
    pub errors: usize,
}

impl Status {
    /// Whether its process runs; known only on its own machine.
    #[must_use]
    pub fn is_running(&self) -> bool {
        state_dir::is_running(self.pid)
    }
}

/// What the processes that keep their state in this folder go by. Those that have ended are left
/// out, and what they said is taken out.
///
/// # Errors
/// There is no such folder, or it may not be read.
pub fn statuses(state_dir: &Path) -> std::io::Result<Vec<Status>> {
    let folder = Folder(state_dir.join("flags"));
    std::fs::read_dir(&folder.0)?;
    let (running, ended): (Vec<_>, Vec<_>) =
        folder.statuses().into_iter().partition(Status::is_running);
    for status in ended {
        let _ = std::fs::remove_file(folder.0.join(format!("{}.json", status.pid)));
    }
    Ok(running)
}

/// The files that programs with this `state_dir` have read last.
///
/// # Errors
/// Nothing was kept there yet, or it may not be read.
pub fn known_files(state_dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let path = Folder(state_dir.join("flags")).last_good();
    std::fs::metadata(&path)?;
    let content = content(&path, MAX_KEPT);
    let kept = content.as_deref().and_then(Kept::read);
    let (kept, _) = kept.ok_or(ErrorKind::InvalidData)?;
    Ok(kept.layers.into_iter().map(|layer| layer.path).collect())
}
