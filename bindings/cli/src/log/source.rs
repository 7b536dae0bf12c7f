//! Where lines come from: files, packed files, stdin, and a file that is still written.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{
    self, BufRead as _, BufReader, IsTerminal as _, Read, Seek as _, SeekFrom, Write as _,
};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use memchr::{memchr, memrchr};

use crate::options::Wrong;

/// What is read at once.
const PIECE: usize = 256 << 10;
/// A longer line is no log line: it is malformed, and not kept.
const LONGEST: usize = 1 << 20;
/// How often a file that is followed is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// A line, without its end; or one that was too long, with its beginning.
pub(crate) enum Line<'l> {
    Whole(&'l [u8]),
    TooLong(&'l [u8]),
}

/// What was read and is not a whole line yet.
#[derive(Default)]
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    /// The line that these bytes are of was too long, and was told.
    skipping: bool,
}

impl LineBuffer {
    /// Reads once, and tells the lines that are whole now. How many bytes were read.
    fn fill(&mut self, from: &mut dyn Read, tell: &mut dyn FnMut(Line<'_>)) -> io::Result<usize> {
        let kept = self.bytes.len();
        self.bytes.resize(kept + PIECE, 0);
        let room = self.bytes.get_mut(kept..).unwrap_or_default();
        let read = loop {
            match from.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(kept + *read.as_ref().unwrap_or(&0));
        self.tell_lines(kept, tell);
        read
    }

    /// `searched` bytes are known to hold no end of a line.
    fn tell_lines(&mut self, searched: usize, tell: &mut dyn FnMut(Line<'_>)) {
        let new = self.bytes.get(searched..).unwrap_or_default();
        let Some(last) = memrchr(b'\n', new).map(|at| searched + at) else {
            if self.bytes.len() > LONGEST {
                if !self.skipping {
                    tell(Line::TooLong(self.bytes.get(..200).unwrap_or_default()));
                }
                self.skipping = true;
                self.bytes.clear();
            }
            return;
        };
        let mut rest = self.bytes.get(..last).unwrap_or_default();
        loop {
            let end = memchr(b'\n', rest);
            let (line, behind) = rest
                .split_at_checked(end.unwrap_or(rest.len()))
                .unwrap_or_default();
            if !std::mem::take(&mut self.skipping) {
                tell(Line::Whole(line.strip_suffix(b"\r").unwrap_or(line)));
            }
            match behind.get(1..) {
                Some(next) => rest = next,
                None => break,
            }
        }
        self.bytes.drain(..=last);
    }

    /// A last line may have no end.
    fn finish(&mut self, tell: &mut dyn FnMut(Line<'_>)) {
        let line = std::mem::take(&mut self.bytes);
        if !line.is_empty() && !std::mem::take(&mut self.skipping) {
            tell(Line::Whole(&line));
        }
    }
}

/// Reads a file to its end, packed or not; `-` is stdin.
pub(crate) fn read_all(
    name: &OsStr,
    progress: &mut Progress,
    tell: &mut dyn FnMut(Line<'_>),
) -> Result<(), Wrong> {
    let failed = |error: io::Error| Wrong::Failed(format!("{}: {error}", name.display()));
    let file: Box<dyn Read> = if name == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(name).map_err(failed)?)
    };
    let counted = Counted {
        file,
        read: Arc::clone(&progress.read),
    };
    let mut counted = BufReader::with_capacity(PIECE, counted);
    let packed = counted
        .fill_buf()
        .map_err(failed)?
        .starts_with(&[0x1f, 0x8b]);
    let mut from: Box<dyn Read> = if packed {
        Box::new(MultiGzDecoder::new(counted))
    } else {
        Box::new(counted)
    };
    let mut lines = LineBuffer::default();
    while lines.fill(&mut *from, tell).map_err(failed)? > 0 {
        progress.show();
    }
    lines.finish(tell);
    Ok(())
}

struct Counted<R> {
    file: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A line on the terminal that says how far we are.
pub(crate) struct Progress {
    read: Arc<AtomicU64>,
    /// Nobody knows how much a pipe still brings.
    all: Option<u64>,
    shown: Option<Instant>,
    begun: Instant,
    wanted: bool,
}

impl Progress {
    pub(crate) fn of(files: &[OsString]) -> Self {
        let size = |file: &OsString| {
            let found = std::fs::metadata(file).ok()?;
            (file != "-" && found.is_file()).then_some(found.len())
        };
        Self {
            read: Arc::default(),
            all: files.iter().map(size).sum(),
            shown: None,
            begun: Instant::now(),
            wanted: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self) {
        let often = Duration::from_millis(200);
        let last = self.shown.unwrap_or(self.begun);
        if !self.wanted || last.elapsed() < often {
            return;
        }
        self.shown = Some(Instant::now());
        let read = self.read.load(Ordering::Relaxed);
        let line = how_far(read, self.all, self.begun.elapsed());
        let line = format!("\r{line}\x1b[K");
        let _ = io::stderr().write_all(line.as_bytes());
    }

    pub(crate) fn clear(&self) {
        if self.shown.is_some() {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

/// `12 of 400 MB, 3 %, 120 MB/s`
fn how_far(read: u64, all: Option<u64>, since: Duration) -> String {
    let mb = |bytes: u64| bytes / 1_000_000;
    let speed = read as f64 / 1e6 / since.as_secs_f64();
    match all {
        Some(all) => {
            let percent = (read * 100).checked_div(all).unwrap_or(0).min(100);
            format!(
                "{} of {} MB, {percent} %, {speed:.0} MB/s",
                mb(read),
                mb(all)
            )
        }
        None => format!("{} MB, {speed:.0} MB/s", mb(read)),
    }
}

/// A file that is still written, across rotation. It begins where the file ends now.
pub(crate) struct Followed {
    path: PathBuf,
    open: Option<(File, u64)>,
    lines: LineBuffer,
}

impl Followed {
    pub(crate) fn open(path: &OsStr) -> Result<Self, Wrong> {
        let path = PathBuf::from(path);
        let failed = |error: io::Error| Wrong::Failed(format!("{}: {error}", path.display()));
        let mut file = File::open(&path).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if found.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            path,
            open: Some((file, found.ino())),
            lines: LineBuffer::default(),
        })
    }

    /// Tells what was written until a moment.
    pub(crate) fn read_until(&mut self, deadline: Instant, tell: &mut dyn FnMut(Line<'_>)) {
        loop {
            let read = self
                .open
                .as_mut()
                .map_or(0, |(file, _)| self.lines.fill(file, tell).unwrap_or(0));
            if read == 0 {
                let moved = self.moved(tell);
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return;
                }
                if !moved {
                    std::thread::sleep(LOOK.min(left));
                }
            } else if Instant::now() >= deadline {
                return;
            }
        }
    }

    /// Goes over to the file that is now at the path, or to its beginning where it was emptied.
    fn moved(&mut self, tell: &mut dyn FnMut(Line<'_>)) -> bool {
        let there = std::fs::metadata(&self.path).ok();
        let Some(there) = there else { return false };
        if let Some((file, number)) = &mut self.open
            && there.ino() == *number
        {
            let at = file.stream_position().unwrap_or(0);
            if there.len() >= at {
                return false;
            }
            return file.rewind().is_ok();
        }
        // What was written to the old one after we last looked.
        if let Some((mut file, _)) = self.open.take() {
            while self.lines.fill(&mut file, tell).is_ok_and(|read| read > 0) {}
            self.lines.finish(tell);
        }
        self.open = File::open(&self.path)
            .and_then(|file| Ok((file.metadata()?.ino(), file)))
            .map(|(number, file)| (file, number))
            .ok();
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut told = Vec::new();
        let mut tell = |line: Line<'_>| {
            told.push(match line {
                Line::Whole(line) => String::from_utf8_lossy(line).into_owned(),
                Line::TooLong(line) => format!("too long, {}", line.len()),
            });
        };
        let mut buffer = LineBuffer::default();
        for piece in pieces {
            let mut piece = *piece;
            while !piece.is_empty() {
                buffer.fill(&mut piece, &mut tell).unwrap();
            }
        }
        buffer.finish(&mut tell);
        told
    }

    #[test]
    fn how_far_it_is() {
        let second = Duration::from_secs(1);
        let said = |all| how_far(12_345_678, all, second);
        assert_eq!(said(Some(400_000_000)), "12 of 400 MB, 3 %, 12 MB/s");
        assert_eq!(said(None), "12 MB, 12 MB/s", "a pipe");
        assert_eq!(said(Some(0)), "12 of 0 MB, 0 %, 12 MB/s", "it grew");
        let all = |files: &[&str]| {
            Progress::of(&files.iter().map(OsString::from).collect::<Vec<_>>()).all
        };
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(all(&[here]).is_some_and(|all| all > 0));
        assert_eq!(all(&[here, "-"]), None);
    }

    #[test]
    fn pieces_become_lines() {
        assert_eq!(
            lines(&[b"a\nbb\r\n", b"c", b"c\n\nd"]),
            ["a", "bb", "cc", "", "d"]
        );
        assert_eq!(lines(&[b""]), [""; 0]);
        assert_eq!(lines(&[b"\n"]), [""]);
        let long = vec![b'x'; 3 << 20];
        assert_eq!(
            lines(&[b"a\n", &long, b"end\nb\n", &long]),
            ["a", "too long, 200", "b", "too long, 200"]
        );
    }
}
