//! Who sends: one process of all that share a `state_dir`.
//!
//! It holds a record lock. Such a lock is the process's: a child of a fork does not have it, and
//! the system takes it away when the process ends, however it does. Where the host closed our file,
//! which gives the lock up, it is asked for anew. Of several profilers in one process, which the lock
//! does not tell apart, the first one that asks is it.

use crate::fork;
use parking_lot::Mutex;
use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

/// Which profiler of this process may ask for which lock, and in which process that was.
static ASKERS: Mutex<Vec<(u32, PathBuf, u32)>> = Mutex::new(Vec::new());

/// One process's wish to send.
pub(crate) struct Leader {
    path: PathBuf,
    profiler: u32,
    file: Option<(File, (u64, u64))>,
}

impl Leader {
    pub(crate) fn new(path: PathBuf, profiler: u32) -> Self {
        Self {
            path,
            profiler,
            file: None,
        }
    }

    /// Whether this profiler is the one of its process that may ask.
    fn may_ask(&self) -> bool {
        // Not waited for: in a child of a fork the lock may have been held for ever.
        let Some(mut askers) = ASKERS.try_lock() else {
            return false;
        };
        let generation = fork::generation();
        let known = askers.iter_mut().find(|(_, path, _)| *path == self.path);
        match known {
            Some((of, _, profiler)) if *of == generation => *profiler == self.profiler,
            Some(inherited) => {
                (inherited.0, inherited.2) = (generation, self.profiler);
                true
            }
            None => {
                askers.push((generation, self.path.clone(), self.profiler));
                true
            }
        }
    }

    /// Whether this process is the one; it then stays it for as long as it lives.
    pub(crate) fn leads(&mut self) -> bool {
        if !self.may_ask() {
            return false;
        }
        if let Some((file, _)) = self.file.take_if(|(file, ours)| !is(file, *ours)) {
            // Its number is somebody else's now: not ours to close.
            std::mem::forget(file);
        }
        if self.file.is_none() {
            let opened = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
                .open(&self.path);
            self.file = opened
                .ok()
                .and_then(|file| Some((file.metadata().ok()?, file)))
                .map(|(found, file)| (file, identity(&found)));
        }
        self.file.as_ref().is_some_and(|(file, _)| {
            fcntl_lock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
        })
    }
}

fn is(file: &File, ours: (u64, u64)) -> bool {
    file.metadata().is_ok_and(|found| identity(&found) == ours)
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    /// Whether another process gets the lock; a child of this one asks.
    fn another_leads(path: &std::path::Path) -> bool {
        // SAFETY: the child opens a file, asks for a lock and ends, without running anything else.
        match unsafe { libc::fork() } {
            0 => {
                let leads = Leader::new(path.to_owned(), 0).leads();
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(leads)) }
            }
            child => {
                let mut status = 0;
                // SAFETY: waits for the child just made.
                unsafe { libc::waitpid(child, &raw mut status, 0) };
                libc::WEXITSTATUS(status) == 1
            }
        }
    }

    #[test]
    fn one_leads_until_it_ends_or_loses_its_file() {
        let path = std::env::temp_dir().join(format!("iop-leader-{}", std::process::id()));
        let mut own = Leader::new(path.clone(), 0);
        assert!(another_leads(&path));
        assert!(own.leads() && own.leads());
        assert!(!Leader::new(path.clone(), 1).leads(), "of the same process");
        assert!(!another_leads(&path));
        // A host that closes all files gives the lock up without knowing.
        let (file, _) = own.file.as_ref().unwrap();
        // SAFETY: the file is not used before `leads` has seen that it is gone.
        unsafe { libc::close(file.as_raw_fd()) };
        assert!(another_leads(&path));
        assert!(own.leads());
        assert!(!another_leads(&path));
        drop(own);
        assert!(another_leads(&path));
        std::fs::remove_file(path).unwrap();
    }
}
