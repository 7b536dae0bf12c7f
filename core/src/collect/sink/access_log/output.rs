//! Where lines end up: opened when there is something to write, checked before each write, opened
//! again when it was moved away.

use super::{Control, Target};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What the system keeps together of a write to a pipe.
const PIPE: usize = 4_096;
/// What is written at once to a file.
const PIECE: usize = 64 << 10;
/// A line to a file has no bound of its own: what it is made of has.
const LONGEST: usize = 1 << 20;

pub(super) struct Output {
    target: Target,
    control: Arc<Control>,
    open: Option<Open>,
    /// Up to which wish the file was opened again.
    reopened: u64,
    /// Something failed in the middle of a line: the next one begins on a line of its own.
    torn: bool,
}

struct Open {
    file: File,
    /// Device and number.
    identity: (u64, u64),
    is_pipe: bool,
}

/// Whether a file could be opened, without making it.
pub(super) fn check(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Err("is a folder".to_owned()),
        Ok(found) if !found.is_file() => Ok(()),
        Ok(_) => {
            let opened = OpenOptions::new().append(true).open(path);
            opened.map(drop).map_err(|error| error.to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or(Path::new("."));
            match std::fs::metadata(folder) {
                Ok(found) if found.is_dir() => Ok(()),
                Ok(_) => Err(format!("{} is not a folder", folder.display())),
                Err(error) => Err(format!("{}: {error}", folder.display())),
            }
        }
        Err(error) => Err(error.to_string()),
    }
}

impl Output {
    pub(super) fn new(target: Target, control: Arc<Control>) -> Self {
        Self {
            target,
            reopened: control.reopen.load(Ordering::Relaxed),
            control,
            open: None,
            torn: false,
        }
    }

    /// Bytes that a line may have, its end included.
    pub(super) fn longest_line(&self) -> usize {
        let is_file = match &self.target {
            Target::File(path) => {
                std::fs::metadata(path).is_ok_and(|found| found.is_file()) || !path.exists()
            }
            Target::Stdout => is_regular(rustix::stdio::stdout()),
            Target::Stderr => is_regular(rustix::stdio::stderr()),
            Target::Host => true,
        };
        if is_file { LONGEST } else { PIPE }
    }

    /// Writes whole lines, and counts them. `waits` for a pipe that is full; otherwise what it does
    /// not take is lost.
    pub(super) fn write(&mut self, lines: &[u8], waits: bool) {
        let mut rest = lines;
        if self.torn {
            self.torn = self.write_piece(b"\n", waits).is_err();
        }
        while !rest.is_empty() {
            let most = if self.is_pipe() { PIPE } else { PIECE };
            let (piece, behind) = whole_lines(rest, most);
            let count = piece.iter().filter(|byte| **byte == b'\n').count() as u64;
            match self.write_piece(piece, waits) {
                Ok(()) => self.control.written.fetch_add(count, Ordering::Relaxed),
                Err(Failed { written, error }) => {
                    self.control.said(error);
                    let whole = piece.get(..written).unwrap_or_default();
                    let whole_lines = whole.iter().filter(|byte| **byte == b'\n').count() as u64;
                    self.torn |= whole.last().is_some_and(|byte| *byte != b'\n');
                    self.control
                        .written
                        .fetch_add(whole_lines, Ordering::Relaxed);
                    self.control
                        .failed
                        .fetch_add(count - whole_lines, Ordering::Relaxed)
                }
            };
            rest = behind;
        }
    }

    fn is_pipe(&mut self) -> bool {
        match self.target {
            Target::Stdout => !is_regular(rustix::stdio::stdout()),
            Target::Stderr => !is_regular(rustix::stdio::stderr()),
            Target::File(_) => self.opened().is_ok_and(|open| open.is_pipe),
            Target::Host => false,
        }
    }

    fn write_piece(&mut self, piece: &[u8], waits: bool) -> Result<(), Failed> {
        match self.target {
            Target::Stdout => write_all(rustix::stdio::stdout(), piece, true, waits),
            Target::Stderr => write_all(rustix::stdio::stderr(), piece, true, waits),
            Target::Host => Ok(()),
            Target::File(_) => match self.opened() {
                Ok(open) => write_all(open.file.as_fd(), piece, open.is_pipe, waits),
                Err(error) => Err(Failed { written: 0, error }),
            },
        }
    }

    /// The file, opened again where it is not the one at its path any more, or where its number now
    /// belongs to something else: a host that closes all files does not know ours.
    fn opened(&mut self) -> Result<&Open, Errno> {
        let mut error = Errno::BADF;
        let Target::File(path) = &self.target else {
            return Err(error);
        };
        let wish = self.control.reopen.load(Ordering::Relaxed);
        let there = std::fs::metadata(path).ok().map(|found| identity(&found));
        let stays = self.open.as_ref().is_some_and(|open| {
            let is_ours = open.is_ours();
            is_ours && there == Some(open.identity) && wish == self.reopened
        });
        if !stays {
            if let Some(open) = self.open.take_if(|open| !open.is_ours()) {
                // Its number is somebody else's now: not ours to close.
                std::mem::forget(open);
            }
            match Open::new(path) {
                Ok(open) => {
                    self.open = Some(open);
                    self.reopened = wish;
                }
                // The old one goes on, unless it was deleted: nobody would ever read it.
                Err(why) => {
                    error = Errno::from_io_error(&why).unwrap_or(error);
                    drop(self.open.take_if(|open| open.is_deleted()));
                }
            }
        }
        self.open.as_ref().ok_or(error)
    }
}

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let is_pipe = std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo());
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640);
        if is_pipe {
            // Else opening it would wait for a reader.
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        }
        let file = options.open(path)?;
        let found = file.metadata()?;
        Ok(Self {
            identity: identity(&found),
            is_pipe: !found.is_file(),
            file,
        })
    }

    fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    fn is_ours(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|found| identity(&found) == self.identity)
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

fn is_regular(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|found| {
        rustix::fs::FileType::from_raw_mode(found.st_mode) == rustix::fs::FileType::RegularFile
    })
}

/// As many whole lines as `most` bytes have room for, but at least one; and the rest.
fn whole_lines(lines: &[u8], most: usize) -> (&[u8], &[u8]) {
    let is_end = |byte: &u8| *byte == b'\n';
    let fits = lines.get(..most).unwrap_or(lines);
    let last = fits.iter().rposition(is_end);
    let end = last.or_else(|| lines.iter().position(is_end));
    lines
        .split_at_checked(end.map_or(lines.len(), |end| end + 1))
        .unwrap_or((lines, &[]))
}

/// So many bytes were written before it failed, and why it did.
struct Failed {
    written: usize,
    error: Errno,
}

fn write_all(fd: BorrowedFd<'_>, piece: &[u8], is_pipe: bool, waits: bool) -> Result<(), Failed> {
    let mut written = 0;
    while let Some(rest) = piece.get(written..).filter(|rest| !rest.is_empty()) {
        if is_pipe && !is_ready(fd, waits) {
            let error = Errno::AGAIN;
            return Err(Failed { written, error });
        }
        match rustix::io::write(fd, rest) {
            Ok(0) => {
                let error = Errno::IO;
                return Err(Failed { written, error });
            }
            Ok(more) => written += more,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if waits => {}
            Err(error) => return Err(Failed { written, error }),
        }
    }
    Ok(())
}

/// Whether a pipe has room, now or after waiting for as long as it takes.
fn is_ready(fd: BorrowedFd<'_>, waits: bool) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    loop {
        let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
        match poll(&mut fds, (!waits).then_some(&now)) {
            Ok(0) | Err(Errno::INTR) if waits => {}
            // An error or a hang-up counts as ready: the write says what it is.
            ready => return ready.is_ok_and(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_whole() {
        for (lines, most, piece) in [
            ("a\nbb\nccc\n", 5, "a\nbb\n"),
            ("a\nbb\nccc\n", 100, "a\nbb\nccc\n"),
            ("long line\nb\n", 4, "long line\n"),
            ("no end", 4, "no end"),
            ("", 4, ""),
        ] {
            let (first, rest) = whole_lines(lines.as_bytes(), most);
            assert_eq!(std::str::from_utf8(first), Ok(piece));
            assert_eq!(first.len() + rest.len(), lines.len());
        }
    }
}
