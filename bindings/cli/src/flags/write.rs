//! Writing a file that others read at any time and that two operators may want to change at once.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// So long one command waits for another.
const PATIENCE: Duration = Duration::from_secs(5);

/// The right to change the files of a folder, until it is dropped.
pub(super) struct Turn {
    _folder: File,
}

impl Turn {
    /// Waits until no other command changes files there.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let folder = File::open(folder_of(&real(path)))?;
        let begun = Instant::now();
        loop {
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self { _folder: folder }),
                Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Error::new(
                        ErrorKind::TimedOut,
                        "another command has been changing flags here for 5 seconds",
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Replaces the file in one step: who reads it sees the old text or the new one. Mode and owner
/// stay. A link stays, and what it points to is replaced.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = real(path);
    let old = std::fs::metadata(&path).ok();
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let fresh = folder_of(&path).join(format!(
        ".{}.{}.new",
        name.to_string_lossy(),
        std::process::id()
    ));
    let _ = std::fs::remove_file(&fresh);
    let written =
        write_new(&fresh, text, old.as_ref()).and_then(|()| std::fs::rename(&fresh, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written?;
    // That the name is on the disk too; where that cannot be had, it is there all the same.
    let _ = File::open(folder_of(&path)).and_then(|folder| folder.sync_all());
    Ok(())
}

fn write_new(path: &Path, text: &str, old: Option<&std::fs::Metadata>) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)?;
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
        // Only root may give files away; else it is ours from now on.
        let _ = std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Where a link leads; of a file that is not there yet, where it will be.
fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
