//! One file that is looked at again and again: has it changed, and what does it say now.
//!
//! Nothing here waits: what is no plain file is not read (a FIFO would never end), nor is what is
//! too long. A file is known by device, inode, size and both its times; one that was written within
//! the last seconds is read again all the same, because it may be written twice in one tick of the
//! file system's clock.

use crate::flags::file::{Content, MAX_FILE};
use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// So long after it was written a file may be written again without its times telling.
const RACY: i64 = 2;

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    fn of(about: &Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }

    fn same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    fn is_racy(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            });
        (now - self.changed.0).abs() <= RACY
    }
}

/// A file's name, and what was seen there.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) path: PathBuf,
    mark: Option<Mark>,
    /// As it was when somebody took it.
    content: Option<Content>,
    /// Read, and not yet to be believed: it was changed in place, and may be half written.
    unsettled: Option<Content>,
    /// Its absence is a fault: it is the first one, or was there once.
    expected: bool,
}

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What was found before.
    Same,
    /// Something else.
    New,
    /// Something else that may be half of it: look again soon.
    Unsettled,
    /// It is changed, and too long to be read now.
    TooLong,
}

impl Watched {
    pub(super) fn new(path: PathBuf, expected: bool) -> Self {
        Self {
            path,
            mark: None,
            content: None,
            unsettled: None,
            expected,
        }
    }

    /// It is known from an earlier life of the program that there was one.
    pub(super) fn expect_it(&mut self) {
        self.expected = true;
    }

    /// Whether it was ever looked at to its end.
    pub(super) fn is_known(&self) -> bool {
        self.content.is_some()
    }

    /// How long its text is.
    pub(super) fn length(&self) -> usize {
        match &self.content {
            Some(Content::Text(text)) => text.len(),
            _ => 0,
        }
    }

    /// What it said when it was last looked at.
    pub(super) fn content(&self) -> Content {
        self.content.clone().unwrap_or(Content::NotYet)
    }

    /// Looks. Files longer than `most` bytes are not read.
    pub(super) fn look(&mut self, most: usize) -> Found {
        let first = self.content.is_none();
        let mark = match std::fs::metadata(&self.path) {
            Ok(about) => Mark::of(&about),
            Err(error) => return self.failed(&error),
        };
        let known = self.mark.is_some_and(|before| before == mark);
        if known && self.unsettled.is_none() && !mark.is_racy() {
            return Found::Same;
        }
        if mark.size > most as u64 && mark.size <= MAX_FILE as u64 {
            return Found::TooLong;
        }
        let in_place = !first && self.mark.is_some_and(|before| before.same_file(&mark));
        let (content, whole) = match read(&self.path, most.min(MAX_FILE)) {
            Ok((content, after)) => {
                self.mark = Some(after);
                (content, after == mark)
            }
            Err(error) => return self.failed(&error),
        };
        self.expected = true;
        self.settle(content, first || (whole && !in_place))
    }

    /// What was changed in place is believed when it is found twice.
    fn settle(&mut self, content: Content, believed: bool) -> Found {
        if self.content.as_ref() == Some(&content) {
            self.unsettled = None;
            return Found::Same;
        }
        if believed || self.unsettled.as_ref() == Some(&content) {
            self.unsettled = None;
            self.content = Some(content);
            return Found::New;
        }
        self.unsettled = Some(content);
        Found::Unsettled
    }

    fn failed(&mut self, error: &std::io::Error) -> Found {
        self.mark = None;
        let content = match error.kind() {
            ErrorKind::NotFound if !self.expected => Content::NotYet,
            _ => Content::Unreadable(why(error)),
        };
        // A rename may be under way on a file system where that takes two steps.
        let first = self.content.is_none();
        self.settle(content, first)
    }
}

/// Why a file cannot be read, and what to do.
fn why(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => {
            "there is no such file; to take back what one said, change it, do not delete it"
                .to_owned()
        }
        ErrorKind::PermissionDenied => {
            "this process may not read it; chmod a+r, and a+x for the folders above it".to_owned()
        }
        _ => format!("cannot be read: {error}"),
    }
}

/// The content, and what the file was when it had been read.
fn read(path: &Path, most: usize) -> std::io::Result<(Content, Mark)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        let what = "no plain file (a folder, a pipe or a device); name a file";
        return Ok((Content::Unreadable(what.to_owned()), Mark::of(&about)));
    }
    let content = if about.len() > MAX_FILE as u64 {
        Content::too_long()
    } else {
        Content::of_bytes(&bytes(&file, most)?)
    };
    Ok((content, Mark::of(&file.metadata()?)))
}

/// One byte more than `most`, so that too much is seen as such.
fn bytes(file: &File, most: usize) -> std::io::Result<Vec<u8>> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    let mut bytes = Vec::new();
    bytes
        .try_reserve_exact(size.min(most).saturating_add(1))
        .map_err(|_| ErrorKind::OutOfMemory)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a file says now, read as a running program reads it: no pipe, no device, not too long.
/// With `expected`, it is a fault that there is none.
#[must_use]
pub fn content_of(path: &Path, expected: bool) -> Content {
    match read(path, MAX_FILE) {
        Ok((content, _)) => content,
        Err(error) if !expected && error.kind() == ErrorKind::NotFound => Content::NotYet,
        Err(error) => Content::Unreadable(why(&error)),
    }
}
