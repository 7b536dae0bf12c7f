//! Where flags come from: files that are looked at once a second.
//!
//! The collector's thread looks, where there is one. Else a page that begins does, at most once a
//! second in a process: a `stat` for each file, and small files are read there too. What it costs
//! is counted, and shown in the page's profile.
//!
//! Whatever happens to the files, what was good stays in force: each file's last good text and each
//! flag's last good form (see [`file`](super::file)), also over a restart where there is a
//! `state_dir`. In a child of a fork the looking begins anew, over what its parent knew.

mod here;
mod keep;
mod look;
mod reload;
mod told;
mod watch;

use super::file::{MAX_LAYERS, Severity};
use crate::clock;
use crate::error::Error;
use crate::fork::Forever;
use arc_swap::ArcSwapOption;
use here::Here;
use keep::Folder;
pub use keep::{Status, known_files, statuses};
pub(crate) use look::{Good, Look, Looker, Taken};
pub(crate) use reload::FlagFiles;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
pub use watch::content_of;

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
