//! The series of all processes of a `state_dir` as one.
//!
//! ```text
//! series/PID-START-P-N.json what profiler P of that process counted so far, the Nth time it says so
//! series/ended.json         what ended processes counted, and which these were
//! series/sent.SINK.json     what a sink was last given; up to where events were sent
//! series/leader.lock        held by the one process that sends, and takes ended ones in
//! ```
//!
//! Each process writes its file beside the one before and takes that away, so that whatever moment it
//! is killed at, its last whole word is there. A reader reads the files first and `ended.json`
//! after them, and leaves out what that says it took in: so nothing is missed and nothing counted
//! twice, whoever reads when. And since a process reads its own part from its file too, no sum ever
//! goes back, whichever process is asked.

use super::found::{File, Found};
use crate::clock;
use crate::collect::events::Place;
use crate::collect::series::Series;
use crate::collect::series::json::SeriesJson;
use crate::collect::series::sum::Sum;
use crate::state_dir::{self, ProcessName, content, is_unfinished};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// No file is longer.
const MAX_FILE: u64 = 64 << 20;
/// Versions of the application that are shown, with what belongs to none.
pub(crate) const MOST_VERSIONS: usize = 4;
/// Versions that are remembered: more than are shown, so that of one that is shown no process forgot
/// its part.
pub(crate) const KEPT_VERSIONS: usize = 2 * MOST_VERSIONS;
/// Ended processes that `ended.json` names: enough for readers who saw their files.
const MOST_NAMED: usize = 1_000;

/// The folder of the series.
#[derive(Clone, Debug)]
pub(crate) struct SeriesFolder(PathBuf);

#[derive(Serialize, Deserialize)]
struct ProcessJson<'a> {
    host: Cow<'a, str>,
    series: Vec<SeriesJson<'a>>,
}

#[derive(Default, Serialize, Deserialize)]
struct EndedJson<'a> {
    /// Files that were taken in, the newest last.
    taken: Vec<String>,
    series: Vec<SeriesJson<'a>>,
}

/// The files of one process, the newest last.
type Files = BTreeMap<u64, PathBuf>;

impl SeriesFolder {
    pub(crate) fn of(state_dir: &Path) -> Self {
        Self(state_dir.join("series"))
    }

    pub(crate) fn lock_path(&self) -> PathBuf {
        self.0.join("leader.lock")
    }

    fn ended_path(&self) -> PathBuf {
        self.0.join("ended.json")
    }

    /// The series of all processes together, by version, the newest first.
    pub(crate) fn merged(&self) -> Found<Series> {
        let mut wrong: HashSet<PathBuf> = HashSet::new();
        let mut processes: HashMap<String, (bool, Vec<Series>)> = HashMap::new();
        // A process may have said something new between the look and the reading: look again.
        for _ in 0..5 {
            let mut missed = false;
            let (files, foreign) = self.files();
            wrong.extend(foreign);
            for (name, files) in files {
                if processes.contains_key(&name) {
                    continue;
                }
                let mut read = |path: &PathBuf| match File::of(read(path), path) {
                    File::Read(series) => Some(series),
                    File::Gone => None,
                    File::Wrong => {
                        wrong.insert(path.clone());
                        None
                    }
                };
                match files.values().rev().find_map(&mut read) {
                    Some(series) => {
                        let runs = ProcessName::parse(&name).is_some_and(ProcessName::is_running);
                        processes.insert(name, (runs, series));
                    }
                    None => missed = true,
                }
            }
            if !missed {
                break;
            }
        }
        let ended = self.ended();
        let now = clock::wall();
        let mut all = Sum::default();
        ended.series.into_iter().for_each(|series| all.add(series));
        for (name, (runs, series)) in processes {
            if ended.taken.contains(&name) {
                continue;
            }
            for one in series {
                all.add(if runs {
                    one.aged(now)
                } else {
                    one.without_gauges()
                });
            }
        }
        Found {
            all: all.newest(MOST_VERSIONS, |_| false),
            passed_over: wrong.len() as u64,
        }
    }

    /// The files of each process, and those that are no business of ours.
    fn files(&self) -> (HashMap<String, Files>, Vec<PathBuf>) {
        let mut processes: HashMap<String, Files> = HashMap::new();
        let mut foreign = Vec::new();
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return (processes, foreign);
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let parts = stem.and_then(|stem| stem.rsplit_once('-'));
            if let Some((name, number)) = parts
                && let Ok(number) = number.parse()
                && ProcessName::of_file(&path).is_some()
            {
                let files = processes.entry(name.to_owned()).or_default();
                files.insert(number, path);
            } else if !self.is_known(&path) {
                foreign.push(path);
            }
        }
        (processes, foreign)
    }

    /// Whether a file is another of those that are here.
    fn is_known(&self, path: &Path) -> bool {
        let name = path.file_name().and_then(|name| name.to_str());
        let is_sent = name.is_some_and(|name| name.starts_with("sent."));
        is_sent || is_unfinished(path) || *path == self.ended_path() || *path == self.lock_path()
    }

    fn ended(&self) -> Ended {
        let text = content(&self.ended_path(), MAX_FILE);
        let read = text
            .as_deref()
            .and_then(|text| serde_json::from_slice::<EndedJson<'_>>(text).ok());
        read.map_or_else(Ended::default, |read| Ended {
            taken: read.taken,
            series: read
                .series
                .into_iter()
                .map(SeriesJson::into_series)
                .collect(),
        })
    }

    /// Takes in what ended processes counted, and their files away. Only the one that leads does.
    pub(crate) fn take_in_ended(&self) -> io::Result<()> {
        let (files, _) = self.files();
        let gone: Vec<&String> = files
            .keys()
            .filter(|name| !ProcessName::parse(name).is_some_and(ProcessName::is_running))
            .collect();
        if gone.is_empty() {
            return Ok(());
        }
        let ended = self.ended();
        let (mut taken, mut all) = (ended.taken, Sum::default());
        ended.series.into_iter().for_each(|series| all.add(series));
        for name in &gone {
            // Taken in before, by somebody who was killed before the files were away.
            if taken.contains(*name) {
                continue;
            }
            let series = files.get(*name).and_then(newest).unwrap_or_default();
            for one in series {
                all.add(one.without_gauges());
            }
            taken.push((*name).clone());
        }
        let too_many = taken.len().saturating_sub(MOST_NAMED);
        taken.drain(..too_many);
        let running: HashSet<Option<Arc<str>>> = files
            .iter()
            .filter(|(name, _)| !gone.contains(name))
            .filter_map(|(_, files)| newest(files))
            .flatten()
            .map(|series| series.version)
            .collect();
        let series = all.newest(KEPT_VERSIONS, |version| running.contains(version));
        self.write_ended(&Ended { taken, series })?;
        for name in gone {
            for path in files.get(name).into_iter().flat_map(BTreeMap::values) {
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn write_ended(&self, ended: &Ended) -> io::Result<()> {
        let json = EndedJson {
            taken: ended.taken.clone(),
            series: ended.series.iter().map(SeriesJson::of).collect(),
        };
        state_dir::write(&self.ended_path(), &serde_json::to_vec(&json)?)
    }

    /// What a sink was last given, where another process sent before this one.
    pub(crate) fn sent(&self, sink: &str) -> Vec<Series> {
        read(&self.sent_path(sink)).unwrap_or_default()
    }

    /// Keeps what a sink was given.
    pub(crate) fn keep_sent(&self, sink: &str, series: &[Series]) -> io::Result<()> {
        write(&self.sent_path(sink), "", series)
    }

    /// Up to where events were sent.
    pub(crate) fn sent_events(&self) -> Place {
        let text = content(&self.sent_path("events"), 1 << 10);
        text.and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// Keeps up to where events were sent.
    pub(crate) fn keep_sent_events(&self, place: Place) -> io::Result<()> {
        state_dir::write(&self.sent_path("events"), &serde_json::to_vec(&place)?)
    }

    fn sent_path(&self, sink: &str) -> PathBuf {
        self.0.join(format!("sent.{sink}.json"))
    }
}

#[derive(Default)]
struct Ended {
    taken: Vec<String>,
    series: Vec<Series>,
}

fn read(path: &Path) -> Option<Vec<Series>> {
    let text = content(path, MAX_FILE)?;
    let read: ProcessJson<'_> = serde_json::from_slice(&text).ok()?;
    let series = read.series.into_iter().map(SeriesJson::into_series);
    Some(series.collect())
}

/// The last whole word of a process.
fn newest(files: &Files) -> Option<Vec<Series>> {
    files.values().rev().find_map(|path| read(path))
}

fn write(path: &Path, host: &str, series: &[Series]) -> io::Result<()> {
    let json = ProcessJson {
        host: Cow::Borrowed(host),
        series: series.iter().map(SeriesJson::of).collect(),
    };
    state_dir::write(path, &serde_json::to_vec(&json)?)
}

/// Says what this process counted.
pub(crate) struct Teller {
    folder: SeriesFolder,
    /// Of the process and the profiler.
    name: String,
    host: String,
    number: u64,
    before: Option<PathBuf>,
}

impl Teller {
    pub(crate) fn new(folder: SeriesFolder, profiler: u32, host: &str) -> Self {
        Self {
            folder,
            name: format!("{}-{profiler}", ProcessName::own()),
            host: host.to_owned(),
            number: 0,
            before: None,
        }
    }

    /// Says it, and forgets what it said before.
    pub(crate) fn tell(&mut self, series: &[Series]) -> io::Result<()> {
        self.number += 1;
        let name = format!("{}-{}.json", self.name, self.number);
        let path = self.folder.0.join(name);
        write(&path, &self.host, series)?;
        if let Some(before) = self.before.replace(path) {
            let _ = std::fs::remove_file(before);
        }
        Ok(())
    }
}

/// What all processes of a `state_dir` counted, ended ones included: one for each version of the
/// application, the newest first.
#[must_use]
pub fn merged_series(state_dir: &Path) -> Found<Series> {
    SeriesFolder::of(state_dir).merged()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::series::{CALL_HITS, FLAGS_CHECKED, PROCESS_MEMORY, Sample, Value};
    use std::sync::Arc;

    fn folder(name: &str) -> SeriesFolder {
        let top = std::env::temp_dir().join(format!("iop-series-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&top);
        state_dir::folder(&top, "series").unwrap();
        SeriesFolder::of(&top)
    }

    fn series(version: &str, at: u64, hits: u64) -> Series {
        let labels = || ["web", "/", "memcache"].map(Arc::from);
        let gauge = Value::Gauge {
            value: hits as f64,
            set_at: 0,
        };
        Series {
            version: Some(Arc::from(version)),
            since: 1,
            at,
            samples: vec![
                Sample::known(&CALL_HITS, labels(), Value::Counter(hits)),
                Sample::known(&PROCESS_MEMORY, [], gauge),
            ],
        }
    }

    fn hits(all: &[Series]) -> Vec<(String, u64)> {
        let count = |series: &Series| {
            let counts = series.samples.iter().map(|sample| match sample.value {
                Value::Counter(count) => count,
                _ => 0,
            });
            let version = series.version.as_deref().unwrap_or_default();
            (version.to_owned(), counts.sum())
        };
        all.iter().map(count).collect()
    }

    fn other(folder: &SeriesFolder, name: ProcessName) -> Teller {
        Teller {
            name: format!("{name}-0"),
            ..Teller::new(folder.clone(), 0, "vm")
        }
    }

    const GONE: ProcessName = ProcessName {
        pid: i32::MAX as u32,
        started: 5,
    };

    #[test]
    fn processes_are_added_up_and_ended_ones_stay_counted_once() {
        let folder = folder("sums");
        let mut own = Teller::new(folder.clone(), 0, "vm");
        let mut gone = other(&folder, GONE);
        own.tell(&[series("1", 10, 1)]).unwrap();
        own.tell(&[series("1", 11, 3)]).unwrap();
        gone.tell(&[series("1", 12, 20)]).unwrap();
        assert_eq!(hits(&folder.merged()), [("1".to_owned(), 23)]);
        let memory = |all: &[Series]| match all[0].samples[1].value {
            Value::Gauge { value, .. } => value,
            _ => f64::NAN,
        };
        assert_eq!(memory(&folder.merged()), 3.0, "the ended one has none");
        for _ in 0..3 {
            folder.take_in_ended().unwrap();
            assert_eq!(hits(&folder.merged()), [("1".to_owned(), 23)]);
        }
        assert_eq!(folder.files().0.len(), 1);
        // Killed between `ended.json` and the removal of the files.
        gone.before = None;
        gone.tell(&[series("1", 12, 20)]).unwrap();
        assert_eq!(hits(&folder.merged()), [("1".to_owned(), 23)]);
        folder.take_in_ended().unwrap();
        assert_eq!(folder.files().0.len(), 1);
        assert_eq!(hits(&folder.merged()), [("1".to_owned(), 23)]);
    }

    #[test]
    fn versions_are_told_apart_and_the_newest_stay() {
        let folder = folder("versions");
        for at in 1..=5_u64 {
            let name = ProcessName {
                started: at,
                ..GONE
            };
            let version = at.to_string();
            other(&folder, name)
                .tell(&[series(&version, at, at)])
                .unwrap();
            folder.take_in_ended().unwrap();
        }
        let versions =
            ["5", "4", "3", "2"].map(|version| (version.to_owned(), version.parse().unwrap()));
        assert_eq!(hits(&folder.merged()), versions);
    }

    #[test]
    fn what_is_counted_under_a_version_that_runs_never_goes_back() {
        let folder = folder("rolling");
        let ended = |version: u64| ProcessName {
            started: version,
            ..GONE
        };
        let old_hits = || {
            let all = hits(&folder.merged());
            let old = all.iter().find(|(version, _)| version == "old");
            old.map(|(_, count)| *count)
        };
        // One of the old version has ended; another one goes on while new ones come and go.
        other(&folder, ended(1))
            .tell(&[series("old", 1, 100)])
            .unwrap();
        folder.take_in_ended().unwrap();
        let mut own = Teller::new(folder.clone(), 0, "vm");
        for turn in 0..20_u64 {
            let at = 10 + turn;
            own.tell(&[series("old", at + 1, turn)]).unwrap();
            assert_eq!(old_hits(), Some(100 + turn), "turn {turn}");
            other(&folder, ended(at))
                .tell(&[series(&turn.to_string(), at, 1)])
                .unwrap();
            assert_eq!(old_hits(), Some(100 + turn), "turn {turn}");
            folder.take_in_ended().unwrap();
            assert_eq!(old_hits(), Some(100 + turn), "turn {turn}");
            assert!(folder.merged().len() <= MOST_VERSIONS);
        }
        assert!(folder.ended().series.len() <= KEPT_VERSIONS + 1);
    }

    #[test]
    fn an_age_is_as_of_now() {
        let folder = folder("ages");
        let told = clock::wall() - 90_000_000_000;
        let age = |value| Value::Gauge { value, set_at: 0 };
        let silent = Series {
            at: told,
            samples: vec![
                Sample::known(&FLAGS_CHECKED, [], age(0.5)),
                Sample::known(&PROCESS_MEMORY, [], age(7.0)),
            ],
            ..Series::default()
        };
        // It runs, and has said nothing for a minute and a half.
        Teller::new(folder.clone(), 0, "vm")
            .tell(&[silent])
            .unwrap();
        let value = |place: usize| match folder.merged()[0].samples[place].value {
            Value::Gauge { value, .. } => value,
            _ => f64::NAN,
        };
        assert!((90.5..100.0).contains(&value(0)), "{}", value(0));
        assert_eq!(value(1), 7.0);
    }

    #[test]
    fn half_a_file_is_passed_over_for_the_one_before() {
        let folder = folder("half");
        let mut own = Teller::new(folder.clone(), 0, "vm");
        own.tell(&[series("1", 10, 7)]).unwrap();
        let torn = folder.0.join(format!("{}-2.json", own.name));
        std::fs::write(&torn, b"{\"host\":\"vm\",\"ser").unwrap();
        std::fs::write(folder.0.join("notes.json"), b"{}").unwrap();
        folder.keep_sent("graphite", &[]).unwrap();
        folder.keep_sent_events(Place::default()).unwrap();
        let found = folder.merged();
        assert_eq!(hits(&found), [("1".to_owned(), 7)]);
        assert_eq!(found.passed_over, 2);
    }
}
