//! Events: what was done to the site, by whom, and why. A deploy, a flag switched, something shed.
//!
//! An event is made once, by whoever did it, and goes to every sink. With a `state_dir` it is a
//! line in `events.jsonl` there, and the one process of the machine that sends takes it from there;
//! without one the process that made it sends it.

use super::state::Found;
use crate::clock;
use crate::state_dir;
use crate::text::cut_str;
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A longer text is cut.
const MAX_TEXT: usize = 400;
/// Past it the file is put aside, and what was put aside before is forgotten.
const MAX_FILE: u64 = 4 << 20;
/// How far back a deploy is looked for that was told already.
const LOOK_BACK: u64 = 256 << 10;
/// The same for a switch, of which there may be many at once.
const LOOK_BACK_FOR_SWITCH: u64 = 64 << 10;
/// What several processes of a program switch within so long is switched once.
const ONE_SWITCH_NS: u64 = 10_000_000_000;

/// What kind of thing was done.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A version of the application went live.
    Deploy,
    /// A flag was changed.
    Flag,
    /// What is shed was changed.
    Shed,
    /// What the application itself says.
    #[default]
    Own,
}

impl EventKind {
    /// `deploy`, `flag`, `shed` or `own`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Flag => "flag",
            Self::Shed => "shed",
            Self::Own => "own",
        }
    }
}

/// Something that was done.
///
/// ```
/// use ioprofiler::Event;
/// let event = Event::deploy("8c1f").who("erika").what("new search").why("it is Tuesday");
/// assert_eq!(event.to_string(), "deploy 8c1f: new search, by erika (it is Tuesday)");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, nanoseconds since 1970.
    pub at: u64,
    /// What kind of thing.
    pub kind: EventKind,
    /// What: the flag's name, what is deployed, what the application says.
    pub what: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The version that was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What it was before: `10%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it is now: `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The machine on which it was done.
    #[serde(default)]
    pub host: String,
}

impl Event {
    /// One of a kind, about something, as of now.
    #[must_use]
    pub fn new(kind: EventKind, what: &str) -> Self {
        Self {
            at: clock::wall(),
            kind,
            what: cut_str(what, MAX_TEXT).to_owned(),
            host: crate::fork::host_name(),
            ..Self::default()
        }
    }

    /// A version of the application went live. Told twice, it is one event.
    #[must_use]
    pub fn deploy(version: &str) -> Self {
        Self {
            version: Some(cut_str(version, MAX_TEXT).to_owned()),
            ..Self::new(EventKind::Deploy, "")
        }
    }

    /// What it is about.
    #[must_use]
    pub fn what(mut self, what: &str) -> Self {
        self.what = cut_str(what, MAX_TEXT).to_owned();
        self
    }

    /// Who did it.
    #[must_use]
    pub fn who(mut self, who: &str) -> Self {
        self.who = Some(cut_str(who, MAX_TEXT).to_owned());
        self
    }

    /// Why.
    #[must_use]
    pub fn why(mut self, why: &str) -> Self {
        self.why = Some(cut_str(why, MAX_TEXT).to_owned());
        self
    }

    /// What it was before, and what it is now.
    #[must_use]
    pub fn change(mut self, from: &str, to: &str) -> Self {
        self.from = Some(cut_str(from, MAX_TEXT).to_owned());
        self.to = Some(cut_str(to, MAX_TEXT).to_owned());
        self
    }
}

impl std::fmt::Display for Event {
    /// One line for people: `flag new_search: 10% → off, by erika (the search melts)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.as_str())?;
        if let Some(version) = &self.version {
            write!(f, " {version}")?;
        }
        match (self.kind, self.what.as_str()) {
            (_, "") => {}
            (EventKind::Deploy, what) => write!(f, ": {what}")?,
            (_, what) => write!(f, " {what}")?,
        }
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            write!(f, ": {from} → {to}")?;
        }
        if let Some(who) = &self.who {
            write!(f, ", by {who}")?;
        }
        match &self.why {
            Some(why) => write!(f, " ({why})"),
            None => Ok(()),
        }
    }
}

/// The events of a `state_dir`.
#[derive(Clone, Debug)]
pub(crate) struct EventFile(PathBuf);

impl EventFile {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self(state_dir.join("events.jsonl"))
    }

    /// Writes an event down. `false` for a deploy, or a switch, that was written down already.
    pub(crate) fn append(&self, event: &Event) -> io::Result<bool> {
        let file = self.open_to_append()?;
        lock(&file);
        if self.is_told(event) {
            return Ok(false);
        }
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        (&file).write_all(&line)?;
        if file.metadata()?.len() > MAX_FILE {
            std::fs::rename(&self.0, self.before())?;
        }
        Ok(true)
    }

    fn open_to_append(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
            .open(&self.0)?;
        state_dir::give_to_owner(&file, &self.0);
        Ok(file)
    }

    fn before(&self) -> PathBuf {
        self.0.with_extension("1.jsonl")
    }

    /// Whether it is what was told last of the same thing: the version that is deployed, or a
    /// switch that another process of the program made just before.
    fn is_told(&self, event: &Event) -> bool {
        match event.kind {
            EventKind::Deploy if event.version.is_some() => {
                let last = self.last_version();
                last.is_some_and(|last| last.version == event.version)
            }
            EventKind::Flag | EventKind::Shed => self.is_switched(event),
            _ => false,
        }
    }

    fn is_switched(&self, event: &Event) -> bool {
        let last = self.last(LOOK_BACK_FOR_SWITCH, |told| {
            (told.kind, &told.what) == (event.kind, &event.what)
        });
        last.is_some_and(|last| {
            let same = (&last.from, &last.to, &last.who, &last.why)
                == (&event.from, &event.to, &event.who, &event.why);
            same && event.at.abs_diff(last.at) < ONE_SWITCH_NS
        })
    }

    /// The deploy that was written down last.
    pub(crate) fn last_deploy(&self) -> Option<Event> {
        self.last(LOOK_BACK, |event| event.kind == EventKind::Deploy)
    }

    /// The same, of those that said a version.
    pub(crate) fn last_version(&self) -> Option<Event> {
        self.last(LOOK_BACK, |event| {
            event.kind == EventKind::Deploy && event.version.is_some()
        })
    }

    /// The last event of some kind, where it was written down not long ago.
    fn last(&self, look_back: u64, is_meant: impl Fn(&Event) -> bool) -> Option<Event> {
        [self.0.clone(), self.before()].iter().find_map(|path| {
            let mut last = None;
            let length = std::fs::metadata(path).ok()?.len();
            read_lines(path, length.saturating_sub(look_back), |event| {
                last = event.filter(&is_meant).or(last.take());
            })
            .ok()?;
            last
        })
    }

    /// All events since a moment, oldest first.
    pub(crate) fn since(&self, at: u64) -> io::Result<Found<Event>> {
        let mut events = Found::default();
        let mut keep = |event: Option<Event>| match event {
            Some(event) if event.at >= at => events.all.push(event),
            Some(_) => {}
            None => events.passed_over += 1,
        };
        for path in [self.before(), self.0.clone()] {
            match read_lines(&path, 0, &mut keep) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                done => drop(done?),
            }
        }
        events.all.sort_by_key(|event| event.at);
        Ok(events)
    }

    /// The events that were written behind a place, which is moved behind them.
    pub(crate) fn next(&self, place: &mut Place) -> Vec<Event> {
        let Ok(found) = std::fs::metadata(&self.0) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        let now = Place {
            file: found.ino(),
            offset: found.len(),
        };
        if place.file != now.file {
            if place.file != 0 {
                // Put aside meanwhile: the rest of it first.
                let _ = read_lines(&self.before(), place.offset, |event| events.extend(event));
            }
            place.file = now.file;
            place.offset = 0;
        }
        let read = read_lines(&self.0, place.offset, |event| events.extend(event));
        if let Ok(end) = read {
            place.offset = end;
        }
        events
    }

    /// The place behind all events.
    pub(crate) fn end(&self) -> Place {
        let found = std::fs::metadata(&self.0);
        found.map_or_else(
            |_| Place::default(),
            |found| Place {
                file: found.ino(),
                offset: found.len(),
            },
        )
    }
}

/// Others hold the lock only while they read a few lines and write one. Who was stopped in the middle
/// of that is not waited for: at worst a deploy is told twice.
fn lock(file: &File) {
    for _ in 0..50 {
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// How far events were read: which file, and how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    file: u64,
    offset: u64,
}

/// Reads whole lines from an offset on; gives where the last whole line ends. A line that is no
/// event is nothing.
fn read_lines(path: &Path, from: u64, mut each: impl FnMut(Option<Event>)) -> io::Result<u64> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(io::Read::take(file, 2 * MAX_FILE));
    let (mut at, mut line) = (from, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok(at);
        }
        at += read as u64;
        each(serde_json::from_slice(&line).ok());
    }
}

/// Writes an event down in a `state_dir`, for the process of the machine that sends. `false` for what
/// was told already: a deploy of the version that was deployed last, or a switch of the last ten
/// seconds. The folder is not made here: it
/// is to belong to the user of the processes that share it, who make it.
///
/// # Errors
/// There is no such folder, it is open to others, or it cannot be written to.
pub fn record(state_dir: &Path, event: &Event) -> Result<bool, crate::Error> {
    state_dir::check(state_dir)?;
    let file = EventFile::of(state_dir);
    file.append(event)
        .map_err(|error| crate::Error::new(format!("{}: {error}", file.0.display())))
}

/// The events of a `state_dir` since a moment (nanoseconds since 1970), oldest first.
///
/// # Errors
/// They cannot be read. That there are none is no error.
pub fn events_since(state_dir: &Path, at: u64) -> io::Result<Found<Event>> {
    EventFile::of(state_dir).since(at)
}

/// The last deploy that was written down in a `state_dir`, where it was not long ago.
#[must_use]
pub fn last_deploy(state_dir: &Path) -> Option<Event> {
    EventFile::of(state_dir).last_deploy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> EventFile {
        let folder = std::env::temp_dir().join(format!("iop-events-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        state_dir::folder(&folder, "series").unwrap();
        EventFile::of(&folder)
    }

    #[test]
    fn a_deploy_that_is_told_twice_is_one_event() {
        let file = file("deploys");
        assert!(file.append(&Event::deploy("1")).unwrap());
        assert!(!file.append(&Event::deploy("1").who("again")).unwrap());
        assert!(file.append(&Event::deploy("2")).unwrap());
        // Back to the version before is another deploy.
        assert!(file.append(&Event::deploy("1")).unwrap());
        assert!(file.append(&Event::new(EventKind::Own, "x")).unwrap());
        assert!(file.append(&Event::new(EventKind::Own, "x")).unwrap());
        assert_eq!(file.since(0).unwrap().len(), 5);
        assert_eq!(file.last_deploy().unwrap().version.as_deref(), Some("1"));
    }

    #[test]
    fn what_several_processes_switch_at_once_is_one_event() {
        let file = file("switches");
        let switch = |from: &str, to: &str| Event::new(EventKind::Flag, "search").change(from, to);
        assert!(file.append(&switch("on", "off")).unwrap());
        assert!(!file.append(&switch("on", "off")).unwrap());
        let other = Event::new(EventKind::Flag, "cart").change("on", "off");
        assert!(file.append(&other).unwrap());
        assert!(!file.append(&switch("on", "off")).unwrap());
        // Forth, back and forth again are three.
        assert!(file.append(&switch("off", "on")).unwrap());
        assert!(file.append(&switch("on", "off")).unwrap());
        let mut later = switch("on", "off");
        later.at += ONE_SWITCH_NS;
        assert!(file.append(&later).unwrap());
        assert!(file.append(&later.who("erika")).unwrap());
    }

    #[test]
    fn who_records_makes_no_folder_and_gives_the_file_to_whose_the_folder_is() {
        let folder = std::env::temp_dir().join(format!("iop-record-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let event = Event::new(EventKind::Own, "x");
        let said = record(&folder, &event).unwrap_err().to_string();
        assert!(said.contains("No such file"), "{said}");
        assert!(!folder.exists());
        state_dir::folder(&folder, "series").unwrap();
        // Only root can give a folder away; for others it is their own.
        let _ = std::os::unix::fs::chown(&folder, Some(12_345), None);
        assert!(record(&folder, &event).unwrap());
        let owner = |path: &Path| path.metadata().unwrap().uid();
        assert_eq!(owner(&folder.join("events.jsonl")), owner(&folder));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn events_are_read_on_from_where_they_were_read_to() {
        let file = file("places");
        file.append(&Event::new(EventKind::Own, "before")).unwrap();
        let mut place = file.end();
        assert!(file.next(&mut place).is_empty());
        file.append(&Event::new(EventKind::Flag, "a").change("on", "off"))
            .unwrap();
        file.append(&Event::new(EventKind::Flag, "b")).unwrap();
        // Half a line, as another process writes it.
        let mut raw = file.open_to_append().unwrap();
        raw.write_all(b"no event\n{\"at\":1,").unwrap();
        let names = |events: Vec<Event>| -> Vec<String> {
            events.into_iter().map(|event| event.what).collect()
        };
        assert_eq!(names(file.next(&mut place)), ["a", "b"]);
        raw.write_all(b"\"kind\":\"own\",\"what\":\"c\"}\n")
            .unwrap();
        assert_eq!(names(file.next(&mut place)), ["c"]);
        assert!(file.next(&mut place).is_empty());
        let all = file.since(0).unwrap();
        assert_eq!((all.len(), all.passed_over), (4, 1));
    }

    #[test]
    fn a_file_that_was_put_aside_is_read_to_its_end() {
        let file = file("aside");
        let mut place = file.end();
        let long = "x".repeat(300);
        let mut written = 0;
        let mut read = 0;
        while !file.before().exists() {
            for _ in 0..2_000 {
                file.append(&Event::new(EventKind::Own, &long)).unwrap();
                written += 1;
            }
            if written == 2_000 {
                read += file.next(&mut place).len();
            }
        }
        file.append(&Event::new(EventKind::Own, "after")).unwrap();
        written += 1;
        read += file.next(&mut place).len();
        assert_eq!(read, written);
    }
}
