//! From the source into the profiler: at start, by a thread, by a page, when asked.

use super::{Look, Looker, Source, SourceStats, Status, Taken};
use crate::category::{AsCategory as _, Category, Kind};
use crate::collect::LogEvent;
use crate::error::Error;
use crate::flags::file::Problem;
use crate::flags::{Document, Snapshot, Store, compile};
use crate::lane::slot::Slot;
use crate::lane::{Call, ROOT};
use crate::profile::Outcome;
use crate::profiler::{Profiler, ProfilerBuilder, Shared};
use crate::request;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A look that a page took, in its own list of calls.
static ON_PAGE: Category = Category::leaf("ioprofiler");

/// The options of a profiler about its flags' files.
#[derive(Debug, Default)]
pub(crate) struct FlagFiles {
    paths: Vec<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
    /// Where that stands, if in a file: `FILE:LINE:COLUMN`.
    pub(crate) state_dir_place: Option<String>,
    required: bool,
}

impl ProfilerBuilder {
    /// The files with the flags, TOML or JSON: later ones lie over earlier ones, key by key.
    /// Deploys own the first; `ioprofiler flags off` and its like write the last, which need not be
    /// there yet. They are looked at once a second. Default: none.
    ///
    /// Whatever happens to them later, what was good stays in force; see
    /// [`file`](crate::flags::file).
    #[must_use]
    pub fn flags<P: Into<PathBuf>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.flag_files.paths = files.into_iter().map(Into::into).collect();
        self
    }

    /// A folder for what outlives the process, made with mode 0700 where it is not there: the last
    /// good flags, and what each process goes by, for `ioprofiler flags status`. Default: none.
    #[must_use]
    pub fn state_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.flag_files.state_dir = Some(folder.into());
        self.flag_files.state_dir_place = None;
        self
    }

    /// Makes [`build`](Self::build) fail where a flags file is missing or anything in it is wrong.
    /// Default: no, because a program that starts at night is worth more than a flag.
    #[must_use]
    pub fn flags_required(mut self, required: bool) -> Self {
        self.flag_files.required = required;
        self
    }
}

impl FlagFiles {
    /// The `state_dir`, made where one was named.
    pub(crate) fn prepare_state_dir(&self) -> Result<Option<PathBuf>, Error> {
        let prepare = |path: &PathBuf| crate::collect::state::prepare(path);
        let prepared = self.state_dir.as_ref().map(prepare).transpose();
        prepared.map_err(|wrong| self.placed(wrong))?;
        Ok(self.state_dir.clone())
    }

    /// What is wrong with the `state_dir`, and where that stands.
    pub(crate) fn placed(&self, wrong: Error) -> Error {
        match &self.state_dir_place {
            Some(place) => Error::new(format!("{place}: {wrong}")),
            None => wrong,
        }
    }

    /// Makes the source, and looks for the first time.
    pub(crate) fn open(self) -> Result<(Option<Source>, Look), Error> {
        if self.paths.is_empty() {
            if self.required {
                return Err(Error::new("flags_required: no files are named; set flags"));
            }
            return Ok((None, Look::default()));
        }
        let source = Source::new(&self.paths, self.state_dir.as_deref())?;
        let look = source.load(self.required)?;
        Ok((Some(source), look))
    }
}

impl Profiler {
    /// Looks at the flags' files now, on this thread, however long they are; gives what is wrong
    /// with them. For programs without a thread of ours, and for tests.
    pub fn reload_flags(&self) -> Vec<Problem> {
        self.shared.look_at_flags(Looker::Asked)
    }
}

impl Store {
    /// What the first look at the files brought, if there are any.
    pub(crate) fn of_source(look: &mut Look) -> Self {
        let store = Self::new(look.document.take().map(compile));
        if look.looked {
            store.looked();
        }
        store
    }
}

impl Shared {
    /// Looks, takes what is new, says what is to be said.
    pub(crate) fn look_at_flags(&'static self, by: Looker) -> Vec<Problem> {
        let Some(source) = &self.source else {
            return Vec::new();
        };
        let take = |document| self.take_flags(document);
        let looked = catch_unwind(AssertUnwindSafe(|| source.look(by, take)));
        let Ok(look) = looked else {
            self.collector.count_panic(self);
            return Vec::new();
        };
        if look.looked {
            self.flags.looked();
        }
        let left_out = look.taken.left_out.into_iter();
        self.say_of_flags(
            left_out
                .map(|problem| LogEvent::new("flags", problem))
                .collect(),
        );
        if let Some(before) = look.taken.before {
            self.say_what_changed(&before);
        }
        self.say_of_flags(look.events);
        source.tell(by, || self.status_of_flags());
        look.problems
    }

    /// What stands in the files may be moved without saying anything else.
    fn take_flags(&self, document: Document) -> Taken {
        if *self.flags.load().snapshot.document() == document {
            return Taken::default();
        }
        let snapshot = compile(document);
        let left_out = snapshot.problems().iter().take(5).cloned().collect();
        let before = self.flags.publish(std::sync::Arc::new(snapshot));
        Taken {
            before: Some(before),
            left_out,
        }
    }

    fn say_what_changed(&self, before: &Snapshot) {
        let now = std::sync::Arc::clone(&self.flags.load().snapshot);
        let changes = now.changes(before);
        let names: Vec<&str> = changes.iter().take(10).map(|change| change.flag).collect();
        let more = changes.len().saturating_sub(names.len());
        let mut said = format!("version {}", now.version_text());
        if !names.is_empty() {
            said.push_str(&format!(", changed: {}", names.join(", ")));
        }
        if more > 0 {
            said.push_str(&format!(" and {more} more"));
        }
        if let Some(shed) = now.shed() {
            said.push_str(&format!("; shed from priority {}", shed.from));
        }
        self.source_will_say(said);
    }

    /// Kept until a thread of ours, or who asks, may say it.
    fn source_will_say(&self, said: String) {
        if let Some(source) = &self.source {
            source.will_say(said);
        }
    }

    pub(crate) fn say_of_flags(&'static self, events: Vec<LogEvent>) {
        for event in events {
            self.collector.log(self, event);
        }
    }

    fn status_of_flags(&self) -> Status {
        let seconds = |nanoseconds: Option<u64>| nanoseconds.map_or(0, |at| at / 1_000_000_000);
        let published = self.flags.load();
        let snapshot = &published.snapshot;
        Status {
            pid: std::process::id(),
            host: self.host.clone(),
            version: snapshot.version_text(),
            flags: snapshot.document().flags.len(),
            shed: snapshot.shed().map(|shed| shed.from),
            looked_at: seconds(self.flags.looked_at()),
            changed_at: seconds(self.flags.is_used().then_some(published.changed_at)),
            ..Status::default()
        }
    }

    pub(crate) fn source_stats(&self) -> SourceStats {
        let Some(source) = &self.source else {
            return SourceStats::default();
        };
        let published = self.flags.load();
        SourceStats {
            version: published.snapshot.version(),
            looked_at: self.flags.looked_at().unwrap_or(0),
            changed_at: published.changed_at,
            ..source.stats()
        }
    }

    /// A page begins where no thread looks: it looks, and shows in its own list what that took.
    #[cold]
    #[inline(never)]
    pub(crate) fn look_on_page(&'static self, slot: &'static Slot, generation: u32) {
        let begun = Instant::now();
        drop(self.look_at_flags(Looker::Page));
        let call = Call::new(
            (&ON_PAGE).as_category(Kind::Leaf),
            ROOT,
            b"looked at the flags' files",
            0,
        );
        request::add(
            slot,
            generation,
            call,
            Duration::ZERO,
            begun.elapsed(),
            Outcome::Ok,
        );
    }

    /// Whether a page that begins is to look.
    #[inline(always)]
    pub(crate) fn page_may_look(&self, generation: u32) -> bool {
        match &self.source {
            None => false,
            Some(source) => source.page_may_look(generation),
        }
    }
}

impl Source {
    /// Something that happened, to be said when it may be.
    fn will_say(&self, said: String) {
        if let Some(here) = self.here()
            && let Some(mut watching) = here.watching.try_lock()
        {
            watching.told.happened(said);
        }
    }
}
