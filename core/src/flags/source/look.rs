//! One look at the files: what is new is read over what was good, and taken.

use super::here::{Here, Watching};
use super::watch::Watched;
use super::{INTERVAL, MOST_ON_PAGE, MOST_PARSED_ON_PAGE, PATIENCE, SETTLE, SETTLING, Source};
use crate::clock;
use crate::collect::LogEvent;
use crate::flags::Snapshot;
use crate::flags::file::{Content, LastGood, Layer, MAX_FILE, Problem, Reading, read};
use crate::flags::model::Document;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

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

/// What is in force, as it can be kept and restored.
#[derive(Debug, Default)]
pub(crate) struct Good {
    /// The text of each layer that holds.
    pub(super) layers: Vec<Option<Arc<str>>>,
    /// What is shed, and those flags that keep an older form than the texts have.
    pub(super) kept: Document,
}

impl Source {
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
        if new && !too_much && watching.files.iter().all(known) {
            return self.read_all(here, watching);
        }
        Look {
            problems: watching.problems.clone(),
            ..Look::default()
        }
    }

    /// Something is new: all files are read together.
    fn read_all(&self, here: &Here, watching: &mut Watching) -> Look {
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
