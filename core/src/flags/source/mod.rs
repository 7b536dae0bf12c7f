//! Where flags come from: files that are looked at once a second.
//!
//! The collector's thread looks, where there is one. Else a page that begins does, at most once a
//! second in a process: a `stat` for each file, and small files are read there too. What it costs
//! is counted, and shown in the page's profile.
//!
//! Whatever happens to the files, what was good stays in force: each file's last good text and each
//! flag's last good form (see [`file`](super::file)), also over a restart where there is a
//! `state_dir`. In a child of a fork the looking begins anew, over what its parent knew.

mod keep;
mod reload;
mod told;
mod watch;

use super::file::{
    Content, LastGood, Layer, MAX_FILE, MAX_LAYERS, Problem, Reading, Severity, read,
};
use super::model::Document;
use super::snapshot::Snapshot;
use crate::clock;
use crate::collect::LogEvent;
use crate::error::Error;
use crate::fork::Forever;
use crate::lane::process;
use crate::lane::trylock::TryLock;
use arc_swap::ArcSwapOption;
use keep::Folder;
pub use keep::{Status, known_files, statuses};
pub(crate) use reload::FlagFiles;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use told::Told;
pub use watch::content_of;
use watch::{Found, Watched};

/// Files are looked at so often.
const INTERVAL: Duration = Duration::from_secs(1);
/// Other processes hear of this one so often.
const TELL: Duration = Duration::from_secs(5);
/// Who asks waits so long for a file that is being written, so often.
const SETTLE: Duration = Duration::from_millis(20);
const SETTLING: usize = 10;
/// Who asks waits so long for another look to end.
const PATIENCE: Duration = Duration::from_secs(5);
/// A page reads no longer file …
const MOST_ON_PAGE: usize = 64 << 10;
/// … and takes a change only where all of them together are no longer.
const MOST_PARSED_ON_PAGE: usize = 1 << 20;

/// What is in force, as it can be kept and restored.
#[derive(Debug, Default)]
pub(crate) struct Good {
    /// The text of each layer that holds.
    layers: Vec<Option<Arc<str>>>,
    /// What is shed, and those flags that keep an older form than the texts have.
    kept: Document,
}

/// The files, and what is known of them.
pub(crate) struct Source {
    paths: Vec<PathBuf>,
    folder: Option<Folder>,
    /// Survives forks, so without a lock: one that another thread held would be held for ever.
    good: ArcSwapOption<Good>,
    here: Forever<Here>,
    /// The process (its generation) in which a thread looks.
    by_thread_in: AtomicU32,
}

/// What belongs to one process.
struct Here {
    generation: u32,
    watching: TryLock<Watching>,
    /// The second in which somebody last looked.
    looked_at: AtomicU64,
    /// The thread does other work, which may take long.
    busy: AtomicBool,
    /// A page found something that only a thread may read.
    put_off: AtomicBool,
    looks: AtomicU64,
    page_looks: AtomicU64,
    page_look_ns: AtomicU64,
    reloads: AtomicU64,
    errors: AtomicU64,
}

struct Watching {
    files: Vec<Watched>,
    /// When they are to be looked at next.
    next: Option<Instant>,
    /// Something new was found, and is still to be read.
    pending: bool,
    problems: Vec<Problem>,
    told: Told,
    status_at: Option<Instant>,
}

impl Watching {
    fn of(files: Vec<Watched>) -> Self {
        Self {
            files,
            next: None,
            pending: false,
            problems: Vec::new(),
            told: Told::default(),
            status_at: None,
        }
    }

    /// As a child of a fork takes it over.
    fn inherited(&self) -> Self {
        Self {
            // Whether what was read was also taken, the child cannot know: it reads again, once.
            pending: true,
            problems: self.problems.clone(),
            told: self.told.inherited(),
            ..Self::of(self.files.clone())
        }
    }

    /// Looks at each file: something is new, may be half written, is too long to be read now.
    fn look(&mut self, most: usize) -> (bool, bool, bool) {
        let (mut new, mut soon, mut put_off) = (self.pending, false, false);
        for file in &mut self.files {
            match file.look(most) {
                Found::Same => {}
                Found::New => new = true,
                Found::Unsettled => soon = true,
                Found::TooLong => put_off = true,
            }
        }
        self.pending = new;
        (new, soon, put_off)
    }

    fn say(&mut self) -> Vec<LogEvent> {
        self.told.due(&self.problems)
    }

    fn errors(&self) -> usize {
        let problems = self.problems.iter();
        problems
            .filter(|problem| problem.severity == Severity::Error)
            .count()
    }
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looker {
    /// A thread of ours, when it is time.
    Thread,
    /// A page that begins.
    Page,
    /// Somebody who asked for it, on a thread of the host's.
    Asked,
}

/// What a look brought.
#[derive(Debug, Default)]
pub(crate) struct Look {
    /// What the first look brought, for the profiler that is being made.
    pub(crate) document: Option<Document>,
    /// What came of it.
    pub(crate) taken: Taken,
    /// To be said.
    pub(crate) events: Vec<LogEvent>,
    /// Somebody looked: what is in force is as new as this moment.
    pub(crate) looked: bool,
    /// What is wrong with the files now.
    pub(crate) problems: Vec<Problem>,
}

/// What came of taking a document.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    /// What was in force before, where something else is now.
    pub(crate) before: Option<Arc<Snapshot>>,
    /// Flags that could not be taken, and why.
    pub(crate) left_out: Vec<String>,
}

/// Where flags come from, in counters.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// The version of the flags, as [`Snapshot::version`](crate::flags::Snapshot::version) has it.
    pub version: u64,
    /// When the files were last looked at: nanoseconds since the Unix epoch; 0: never.
    pub looked_at: u64,
    /// When something else was last taken from them, likewise.
    pub changed_at: u64,
    /// How often the files were looked at.
    pub looks: u64,
    /// Of these, by pages, because there is no thread.
    pub page_looks: u64,
    /// How long pages looked, all together, in nanoseconds.
    pub page_look_ns: u64,
    /// How often something new was taken from them.
    pub reloads: u64,
    /// Things that are wrong in the files now.
    pub errors: u64,
    /// A file is too long to be read by a page: only a thread or
    /// [`Profiler::reload_flags`](crate::Profiler::reload_flags) takes it.
    pub put_off: bool,
}

impl Source {
    /// Of these files, lowest layer first.
    pub(crate) fn new(paths: &[PathBuf], state_dir: Option<&Path>) -> Result<Self, Error> {
        if paths.len() > MAX_LAYERS {
            return Err(Error::new(format!(
                "flags: {} files; at most {MAX_LAYERS}",
                paths.len()
            )));
        }
        let mut absolute: Vec<PathBuf> = Vec::new();
        for path in paths {
            let path = std::path::absolute(path)
                .map_err(|error| Error::new(format!("flags: {}: {error}", path.display())))?;
            if absolute.contains(&path) {
                return Err(Error::new(format!(
                    "flags: {} is named twice",
                    path.display()
                )));
            }
            absolute.push(path);
        }
        Ok(Self {
            folder: state_dir.map(Folder::of).transpose()?,
            paths: absolute,
            good: ArcSwapOption::empty(),
            here: Forever::empty(),
            by_thread_in: AtomicU32::new(0),
        })
    }

    /// The first look, at start. With `required`, anything wrong is an error.
    pub(crate) fn load(&self, required: bool) -> Result<Look, Error> {
        let restored = self
            .folder
            .as_ref()
            .and_then(|folder| folder.restore(&self.paths));
        self.good.store(restored.map(Arc::new));
        let mut first = None;
        let take = |document| {
            first = Some(document);
            Taken::default()
        };
        let mut look = self.look(Looker::Asked, take);
        look.document = first;
        if required {
            let errors = look.problems.iter();
            let errors: Vec<String> = errors
                .filter(|problem| problem.severity == Severity::Error)
                .take(20)
                .map(ToString::to_string)
                .collect();
            if !errors.is_empty() {
                return Err(Error::new(format!(
                    "flags_required is set, and:\n{}",
                    errors.join("\n")
                )));
            }
        }
        Ok(look)
    }

    /// A page begins in this process.
    #[inline]
    pub(crate) fn page_may_look(&self, generation: u32) -> bool {
        self.by_thread_in.load(Ordering::Relaxed) != generation && self.is_page_due()
    }

    #[cold]
    fn is_page_due(&self) -> bool {
        let Some(here) = self.here() else {
            return false;
        };
        let now = clock::coarse_seconds();
        let last = here.looked_at.load(Ordering::Relaxed);
        let patience = if here.busy.load(Ordering::Relaxed) {
            3
        } else {
            1
        };
        now >= last.saturating_add(patience)
            && here
                .looked_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// A thread looks from now on, in this process; or, with 0, no more.
    pub(crate) fn set_thread(&self, generation: u32) {
        if let Some(here) = self.here() {
            here.busy.store(false, Ordering::Relaxed);
        }
        self.by_thread_in.store(generation, Ordering::Relaxed);
    }

    /// The thread does other work now, in which something foreign may hang: after some seconds of
    /// it, pages look.
    pub(crate) fn set_busy(&self) {
        if let Some(here) = self.here() {
            here.busy.store(true, Ordering::Relaxed);
        }
        self.by_thread_in.store(0, Ordering::Relaxed);
    }

    /// Looks at the files, if it is time and nobody else does.
    ///
    /// What is new is taken by `take` before anybody else may look, so that it never replaces
    /// something newer.
    pub(crate) fn look(&self, by: Looker, take: impl FnOnce(Document) -> Taken) -> Look {
        let begun = Instant::now();
        let Some(here) = self.here() else {
            return Look::default();
        };
        let mut watching = here.watching.try_lock();
        // Who asked wants an answer, and may wait for somebody's look to end.
        while watching.is_none() && by == Looker::Asked && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
            watching = here.watching.try_lock();
        }
        let Some(mut watching) = watching else {
            return Look::default();
        };
        if by == Looker::Thread && watching.next.is_some_and(|next| begun < next) {
            return Look {
                events: watching.say(),
                ..Look::default()
            };
        }
        let mut look = self.look_now(here, &mut watching, by);
        look.looked = true;
        look.taken = look.document.take().map(take).unwrap_or_default();
        here.looked_at
            .store(clock::coarse_seconds(), Ordering::Relaxed);
        here.looks.fetch_add(1, Ordering::Relaxed);
        if by == Looker::Page {
            here.page_looks.fetch_add(1, Ordering::Relaxed);
            let took = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            here.page_look_ns.fetch_add(took, Ordering::Relaxed);
        } else {
            // Never said on a page.
            look.events = watching.say();
        }
        look
    }

    fn look_now(&self, here: &Here, watching: &mut Watching, by: Looker) -> Look {
        let most = if by == Looker::Page {
            MOST_ON_PAGE
        } else {
            MAX_FILE
        };
        let (mut new, mut soon, mut put_off) = watching.look(most);
        // Who asked wants to know now.
        for _ in 0..SETTLING {
            if !soon || by != Looker::Asked {
                break;
            }
            std::thread::sleep(SETTLE);
            let again = watching.look(most);
            (new, soon, put_off) = (new || again.0, again.1, again.2);
        }
        // What may be half written is looked at again at the thread's next turn.
        let pause = if soon { Duration::ZERO } else { INTERVAL };
        watching.next = Some(Instant::now() + pause);
        let known = |file: &Watched| file.is_known();
        let too_much = by == Looker::Page
            && watching.files.iter().map(Watched::length).sum::<usize>() > MOST_PARSED_ON_PAGE;
        here.put_off
            .store(put_off || new && too_much, Ordering::Relaxed);
        if !new || too_much || !watching.files.iter().all(known) {
            return Look {
                problems: watching.problems.clone(),
                ..Look::default()
            };
        }
        watching.pending = false;
        let layers: Vec<Layer> = watching
            .files
            .iter()
            .map(|file| Layer {
                path: file.path.clone(),
                content: file.content(),
            })
            .collect();
        let before = self.good.load_full();
        let reading = read_over(&layers, before.as_deref());
        here.reloads.fetch_add(1, Ordering::Relaxed);
        here.errors
            .store(reading.errors() as u64, Ordering::Relaxed);
        watching.told.read(&reading, &layers);
        watching.problems.clone_from(&reading.problems);
        watching.status_at = None;
        self.take_good(watching, &reading);
        Look {
            document: Some(reading.document),
            problems: reading.problems,
            ..Look::default()
        }
    }

    /// From now on this is what was good last.
    fn take_good(&self, watching: &mut Watching, reading: &Reading) {
        let older = |name: &String| reading.kept_flags.contains(name);
        let flags = &reading.document.flags;
        let good = Arc::new(Good {
            layers: reading.layers.clone(),
            kept: Document {
                shed: reading.document.shed.clone(),
                flags: flags
                    .iter()
                    .filter(|flag| older(&flag.name))
                    .cloned()
                    .collect(),
                ..Document::default()
            },
        });
        if let Some(folder) = &self.folder
            && good.layers.iter().any(Option::is_some)
            && let Err(error) = folder.keep(&self.paths, &good)
        {
            watching
                .told
                .say(format!("the last good flags could not be kept: {error}"));
        }
        self.good.store(Some(good));
    }

    /// Says in `state_dir` what this process goes by, when it is time.
    pub(crate) fn tell(&self, by: Looker, about: impl FnOnce() -> Status) {
        let (Some(folder), Some(here)) = (&self.folder, self.here()) else {
            return;
        };
        let Some(mut watching) = here.watching.try_lock() else {
            return;
        };
        let due = |at: Instant| by != Looker::Page && at.elapsed() >= TELL;
        if !watching.status_at.is_none_or(due) {
            return;
        }
        watching.status_at = Some(Instant::now());
        let errors = watching.problems.iter();
        let errors = errors.filter(|problem| problem.severity == Severity::Error);
        let status = Status {
            files: self.paths.clone(),
            by_thread: self.by_thread_in.load(Ordering::Relaxed) == here.generation,
            problems: errors.clone().take(10).map(ToString::to_string).collect(),
            errors: errors.count(),
            ..about()
        };
        if let Err(error) = folder.tell(&status) {
            watching
                .told
                .say(format!("state_dir cannot be written to: {error}"));
        }
    }

    /// This process's part, made at first use.
    fn here(&self) -> Option<&Here> {
        let generation = process::process()?.generation;
        if let Some(here) = self.here.get()
            && here.generation == generation
        {
            return Some(here);
        }
        // A child goes on with what its parent knew, if the parent was not just looking when it
        // forked. Two threads that come here at once make two, and the later one stays: each looks
        // for itself, and what they find is the same.
        let inherited = self.here.get().and_then(|here| here.watching.try_lock());
        let watching = inherited.map_or_else(
            || Watching::of(self.unseen()),
            |watching| watching.inherited(),
        );
        let here: &'static Here = Box::leak(Box::new(Here {
            generation,
            errors: AtomicU64::new(watching.errors() as u64),
            watching: TryLock::new(watching),
            looked_at: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            put_off: AtomicBool::new(false),
            looks: AtomicU64::new(0),
            page_looks: AtomicU64::new(0),
            page_look_ns: AtomicU64::new(0),
            reloads: AtomicU64::new(0),
        }));
        self.here.replace(here);
        Some(here)
    }

    /// The files, as they are before the first look.
    fn unseen(&self) -> Vec<Watched> {
        let known = self.good.load_full();
        let paths = self.paths.iter().cloned().enumerate();
        // Later files are written by commands, when they are needed.
        let mut files: Vec<Watched> = paths
            .map(|(at, path)| Watched::new(path, at == 0))
            .collect();
        for (file, text) in files
            .iter_mut()
            .zip(known.iter().flat_map(|good| &good.layers))
        {
            if text.is_some() {
                file.expect_it();
            }
        }
        files
    }

    pub(crate) fn stats(&self) -> SourceStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        self.here()
            .map_or_else(SourceStats::default, |here| SourceStats {
                looks: count(&here.looks),
                page_looks: count(&here.page_looks),
                page_look_ns: count(&here.page_look_ns),
                reloads: count(&here.reloads),
                errors: count(&here.errors),
                put_off: here.put_off.load(Ordering::Relaxed),
                ..SourceStats::default()
            })
    }
}

/// Reads layers over what was good. What a flag was before is only worked out where one is wrong.
fn read_over(layers: &[Layer], good: Option<&Good>) -> Reading {
    let Some(good) = good else {
        return read(layers, None);
    };
    let last = LastGood {
        layers: &good.layers,
        document: &good.kept,
    };
    let reading = read(layers, Some(last));
    if reading.broken_flags.is_empty() {
        return reading;
    }
    let texts: Vec<Layer> = layers
        .iter()
        .zip(&good.layers)
        .map(|(layer, text)| Layer {
            path: layer.path.clone(),
            content: text.clone().map_or(Content::NotYet, Content::Text),
        })
        .collect();
    let before = read(&texts, Some(last)).document;
    let last = LastGood {
        document: &before,
        ..last
    };
    read(layers, Some(last))
}

#[cfg(test)]
mod tests {
    use super::{Looker, Source, Taken};
    use crate::flags::model::Enabled;
    use std::path::Path;

    fn put(path: &Path, text: &str) {
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).expect("a file");
        std::fs::rename(fresh, path).expect("renamed");
    }

    fn look(source: &Source) -> Vec<(String, Enabled, bool)> {
        let mut taken = None;
        let take = |document| {
            taken = Some(document);
            Taken::default()
        };
        drop(source.look(Looker::Asked, take));
        let flags = taken.into_iter().flat_map(|document| document.flags);
        flags
            .map(|flag| (flag.name, flag.enabled, flag.broken.is_some()))
            .collect()
    }

    /// A fork copies what a thread of the parent holds, but not the thread that would let go.
    #[test]
    fn what_was_good_is_there_whatever_another_thread_was_doing_with_it() {
        let folder = std::env::temp_dir().join(format!("ioprofiler-good-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("flags.toml");
        put(&path, "[flags]\nsearch = \"on\"\n");
        let source = Source::new(std::slice::from_ref(&path), None).expect("a source");
        let good = ("search".to_owned(), Enabled::on(), false);
        drop(source.load(true).expect("good flags"));
        let held = source.good.load();
        put(&path, "[flags]\nsearch = \"onn\"\n");
        assert_eq!(look(&source), [good]);
        drop(held);
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
