//! The folder that the operator named for what outlives a process or crosses processes.
//!
//! ```text
//! state_dir/flags/    the last good flags, and what each process goes by
//! state_dir/series/   what each process counted, and what those that have ended did
//! state_dir/live/     what each process is doing
//! state_dir/process/  how each process is
//! state_dir/kept/     slow and failed requests
//! state_dir/events.jsonl
//! ```
//!
//! Only the user of the process may write to it, since what is in it switches flags. Files are
//! written beside and renamed, so that nobody ever reads half of one. None is mapped: a mapped file
//! that somebody cuts short ends the host with a signal.

use crate::error::Error;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NO_FOLDER: &str = "no folder; name one that is there or can be made";

/// Makes a folder in a `state_dir`, and the `state_dir`, where they are not there.
pub(crate) fn folder(state_dir: &Path, name: &str) -> Result<PathBuf, Error> {
    let make = |path: &Path| {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => wrong(state_dir, NO_FOLDER),
            _ => wrong(state_dir, &error.to_string()),
        })
    };
    make(state_dir)?;
    check(state_dir)?;
    let folder = state_dir.join(name);
    make(&folder)?;
    Ok(folder)
}

/// That it is a folder, and nobody else's to write to; and whose it is.
pub(crate) fn check(state_dir: &Path) -> Result<Metadata, Error> {
    let about =
        std::fs::metadata(state_dir).map_err(|error| wrong(state_dir, &error.to_string()))?;
    if !about.is_dir() {
        return Err(wrong(state_dir, NO_FOLDER));
    }
    if about.mode() & 0o022 != 0 {
        return Err(wrong(
            state_dir,
            "others may write to it, and so switch flags; chmod 700",
        ));
    }
    Ok(about)
}

fn wrong(state_dir: &Path, what: &str) -> Error {
    Error::new(format!("state_dir: {}: {what}", state_dir.display()))
}

/// Takes away what processes were writing in a folder when they were killed.
pub(crate) fn sweep_unfinished(folder: &Path) {
    const OLD: Duration = Duration::from_secs(600);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let is_old = || {
            let written = entry.metadata().and_then(|about| about.modified()).ok()?;
            Some(written.elapsed().ok()? > OLD)
        };
        if is_unfinished(&path) && is_old().unwrap_or(false) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether it is the name of a file that somebody is writing, or was when it was killed.
pub(crate) fn is_unfinished(path: &Path) -> bool {
    path.extension().is_some_and(|form| form == "new")
}

/// What a plain file holds, where it is not longer than `most`.
pub(crate) fn content(path: &Path, most: u64) -> Option<Vec<u8>> {
    let (file, length) = open_plain(path)?;
    if length > most {
        return None;
    }
    first(file, most)
}

/// What a plain file begins with.
pub(crate) fn head(path: &Path, most: u64) -> Option<Vec<u8>> {
    first(open_plain(path)?.0, most)
}

/// Opens a plain file, and says how long it is. Anything else is not waited for.
fn open_plain(path: &Path) -> Option<(File, u64)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
        .ok()?;
    let about = file.metadata().ok()?;
    about.is_file().then_some((file, about.len()))
}

fn first(file: File, most: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// What root writes belongs to whose the folder is in which it is: the processes of another user could
/// neither read on nor write more.
pub(crate) fn give_to_owner(file: &File, path: &Path) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = path.parent().and_then(|folder| folder.metadata().ok());
    if let (Some(folder), Ok(found)) = (folder, file.metadata())
        && found.uid() != folder.uid()
    {
        let _ = std::os::unix::fs::fchown(file, Some(folder.uid()), Some(folder.gid()));
    }
}

/// Beside, then renamed: nobody ever reads half of it, and a full disk leaves the old one.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}.new", std::process::id()));
    let fresh = PathBuf::from(fresh);
    // What a process of the same number left half done.
    let _ = std::fs::remove_file(&fresh);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| {
            give_to_owner(&file, path);
            file.write_all(bytes)
        })
        .and_then(|()| std::fs::rename(&fresh, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}

/// A process, by its number and by when it started: numbers are given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ProcessName {
    pub(crate) pid: u32,
    /// In the system's own unit; 0 where it does not tell.
    pub(crate) started: u64,
}

impl ProcessName {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        Self {
            pid,
            started: started(pid).unwrap_or(0),
        }
    }

    /// From `PID-STARTED`, with or without more behind another `-`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let pid = parts.next()?.parse().ok()?;
        let started = parts.next()?.parse().ok()?;
        Some(Self { pid, started })
    }

    /// From a file's name: `PID-STARTED.json`, with or without more behind another `-`.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let is_json = path.extension().is_some_and(|form| form == "json");
        let stem = path.file_stem().filter(|_| is_json)?;
        Self::parse(stem.to_str()?)
    }

    /// Whether it runs, on this machine.
    pub(crate) fn is_running(self) -> bool {
        is_running(self.pid) && (self.started == 0 || started(self.pid) == Some(self.started))
    }
}

impl std::fmt::Display for ProcessName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.pid, self.started)
    }
}

/// Whether a process of this number runs, on this machine.
pub(crate) fn is_running(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return false;
    };
    match rustix::process::test_kill_process(pid) {
        Ok(()) => true,
        Err(error) => error == rustix::io::Errno::PERM,
    }
}

/// When a process started: the 22nd field, counted from behind the name, which may hold anything.
#[cfg(target_os = "linux")]
fn started(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    // A zombie has ended, though its number is not free yet.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn started(_pid: u32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_and_start() {
        let own = ProcessName::own();
        assert!(own.is_running());
        assert_eq!(ProcessName::parse(&own.to_string()), Some(own));
        assert_eq!(ProcessName::parse(&format!("{own}-17")), Some(own));
        for text in ["", "7", "x-1", "7-x", "-1-2"] {
            assert_eq!(ProcessName::parse(text), None, "{text}");
        }
        let of_file = |name: String| ProcessName::of_file(Path::new(&name));
        assert_eq!(of_file(format!("live/{own}-0.json")), Some(own));
        assert_eq!(of_file(format!("live/{own}-0.json.{}.new", own.pid)), None);
        let earlier = ProcessName {
            started: own.started + 1,
            ..own
        };
        assert!(!earlier.is_running());
        let nobody = ProcessName {
            pid: u32::MAX,
            started: 0,
        };
        assert!(!nobody.is_running());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_that_was_not_waited_for_has_ended() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let name = ProcessName {
            pid: child.id(),
            started: started(child.id()).unwrap_or(1),
        };
        for _ in 0..1_000 {
            if !name.is_running() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(!name.is_running());
        child.wait().unwrap();
    }
}
