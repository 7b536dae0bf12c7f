//! `this-machine`: the gate is open while a file of this user says so.
//!
//! `ioprofiler gate open --for 8h` writes the line `iop1-gate EXPIRY` (Unix seconds, at most 24
//! hours ahead) into `/run/user/UID/ioprofiler-gate`, or where that folder is absent into
//! `/var/tmp/ioprofiler-gate-UID`; either opens. The file counts only if it is a plain file with
//! one name, is owned by the user this process runs as, and has mode 0600: so only that user (or
//! root) can have made it. No variable of the environment is read, and nothing is looked at
//! before a request asks: deployed anywhere else, the same code is closed.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::Refusal;
use super::ask::{SKEW, seconds};

/// The longest the gate of a machine can be opened for, in seconds.
pub const MAX_OPEN: u64 = 24 * 60 * 60;

/// Longest content that is read; the real one has 21 bytes.
const MAX_CONTENT: u64 = 64;
const MARK: &[u8] = b"iop1-gate ";

/// The file that opens the gate of this machine for one user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateFile {
    /// Elsewhere than the default.
    path: Option<PathBuf>,
}

impl GateFile {
    /// The file of the user that this process runs as, at its documented place.
    #[must_use]
    pub fn of_this_user() -> Self {
        Self::default()
    }

    /// A file elsewhere (a folder shared with a container). The rules are the same.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: Some(path.into()),
        }
    }

    /// Where it may be, in order. The user is asked for each time: servers change it after start.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        if let Some(path) = &self.path {
            return vec![path.clone()];
        }
        let user = user();
        vec![
            PathBuf::from(format!("/run/user/{user}/ioprofiler-gate")),
            PathBuf::from(format!("/var/tmp/ioprofiler-gate-{user}")),
        ]
    }

    /// Whether the gate of this machine is open, and until when (Unix seconds).
    ///
    /// # Errors
    /// Why it is closed.
    pub fn check(&self, now: u64) -> Result<u64, Refusal> {
        let mut reason = Refusal::GateFileAbsent;
        for path in self.paths() {
            match look(&path, now) {
                Ok(until) => return Ok(until),
                Err(Refusal::GateFileAbsent) => {}
                Err(found) => reason = found,
            }
        }
        Err(reason)
    }

    /// Opens the gate until `now + life`: writes the file anew, in one step. Answers where.
    ///
    /// # Errors
    /// When the life is not between 1 second and 24 hours, or the file cannot be written.
    pub fn open(&self, life: u64, now: u64) -> std::io::Result<PathBuf> {
        if !(1..=MAX_OPEN).contains(&life) {
            let why = format!("for: {life} seconds; allowed: from 1 second to 24 hours");
            return Err(std::io::Error::new(ErrorKind::InvalidInput, why));
        }
        let paths = self.paths();
        let folder_is_there = |path: &&PathBuf| path.parent().is_some_and(Path::is_dir);
        let path = paths
            .iter()
            .find(folder_is_there)
            .or(paths.last())
            .ok_or(ErrorKind::NotFound)?;
        let mut fresh = path.clone().into_os_string();
        fresh.push(format!(".{}.new", std::process::id()));
        let fresh = PathBuf::from(fresh);
        let written = write_new(&fresh, now.saturating_add(life))
            .and_then(|()| std::fs::rename(&fresh, path));
        if let Err(error) = written {
            // Ours or none: a foreign file in a sticky folder cannot be removed by us.
            let _ = std::fs::remove_file(&fresh);
            return Err(error);
        }
        Ok(path.clone())
    }

    /// Closes the gate: removes the file, wherever it is. Answers what was removed.
    ///
    /// # Errors
    /// When a file is there and cannot be removed.
    pub fn close(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut removed = Vec::new();
        for path in self.paths() {
            match std::fs::remove_file(&path) {
                Ok(()) => removed.push(path),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn write_new(path: &Path, expires: u64) -> std::io::Result<()> {
    // `create_new` follows no link and takes over nobody's file.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    // A strict umask may have taken bits away.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(MARK)?;
    file.write_all(format!("{expires}\n").as_bytes())
}

fn look(path: &Path, now: u64) -> Result<u64, Refusal> {
    // Opened first and judged by the open file: what was judged is what is read.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)
        .map_err(|error| match error.raw_os_error() {
            Some(libc::ENOENT | libc::ENOTDIR) => Refusal::GateFileAbsent,
            Some(libc::EACCES | libc::EPERM) => Refusal::GateFileForeign,
            Some(libc::ELOOP | libc::ENXIO) => Refusal::GateFileNotPlain,
            _ => Refusal::GateFileUnreadable,
        })?;
    let about = file.metadata().map_err(|_| Refusal::GateFileUnreadable)?;
    if !about.is_file() || about.nlink() != 1 {
        return Err(Refusal::GateFileNotPlain);
    }
    if about.uid() != user() {
        return Err(Refusal::GateFileForeign);
    }
    if about.mode() & 0o7777 != 0o600 {
        return Err(Refusal::GateFileMode);
    }
    let expires = expiry(&content(file)?).ok_or(Refusal::GateFileMalformed)?;
    // The same clock wrote it: no patience at its end.
    if now >= expires {
        return Err(Refusal::GateFileExpired);
    }
    if expires > now.saturating_add(MAX_OPEN + SKEW) {
        return Err(Refusal::GateFileTooLongLived);
    }
    Ok(expires)
}

fn content(file: File) -> Result<Vec<u8>, Refusal> {
    let mut content = Vec::new();
    file.take(MAX_CONTENT)
        .read_to_end(&mut content)
        .map_err(|_| Refusal::GateFileUnreadable)?;
    Ok(content)
}

fn expiry(content: &[u8]) -> Option<u64> {
    seconds(content.strip_prefix(MARK)?.strip_suffix(b"\n")?)
}
