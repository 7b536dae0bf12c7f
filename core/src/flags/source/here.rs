//! What one process knows of the files: made anew in a child of a fork, from what its parent knew.

use super::Source;
use super::told::Told;
use super::watch::{Found, Watched};
use crate::collect::LogEvent;
use crate::flags::file::{Problem, Severity};
use crate::lane::process;
use crate::lane::trylock::TryLock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

/// What belongs to one process.
pub(super) struct Here {
    pub(super) generation: u32,
    pub(super) watching: TryLock<Watching>,
    /// The second in which somebody last looked.
    pub(super) looked_at: AtomicU64,
    /// The thread does other work, which may take long.
    pub(super) busy: AtomicBool,
    /// A page found something that only a thread may read.
    pub(super) put_off: AtomicBool,
    pub(super) looks: AtomicU64,
    pub(super) page_looks: AtomicU64,
    pub(super) page_look_ns: AtomicU64,
    pub(super) reloads: AtomicU64,
    pub(super) errors: AtomicU64,
}

/// The files, as they were last seen, and what is wrong with them.
pub(super) struct Watching {
    pub(super) files: Vec<Watched>,
    /// When they are to be looked at next.
    pub(super) next: Option<Instant>,
    /// Something new was found, and is still to be read.
    pub(super) pending: bool,
    pub(super) problems: Vec<Problem>,
    pub(super) told: Told,
    pub(super) status_at: Option<Instant>,
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
    pub(super) fn look(&mut self, most: usize) -> (bool, bool, bool) {
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

    pub(super) fn say(&mut self) -> Vec<LogEvent> {
        self.told.due(&self.problems)
    }

    fn errors(&self) -> usize {
        let problems = self.problems.iter();
        problems
            .filter(|problem| problem.severity == Severity::Error)
            .count()
    }
}

impl Source {
    /// This process's part, made at first use.
    pub(super) fn here(&self) -> Option<&Here> {
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
}
