//! What the processes of one `state_dir` tell each other, and the command.
//!
//! Nothing here may fail a host: what cannot be written is written the next time.

pub(crate) mod found;
pub(crate) mod kept;
pub(crate) mod leader;
pub(crate) mod live;
pub(crate) mod process;
pub(crate) mod series;

use super::events::{Event, EventFile, Place};
use super::series::Series;
use crate::clock;
use crate::error::Error;
use crate::state_dir;
use kept::KeptFolder;
use leader::Leader;
use live::LiveTeller;
use process::StatusTeller;
use series::{SeriesFolder, Teller};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use found::Found;
pub use kept::{KeptRequest, kept_requests, show_kept};
pub use live::{LiveProcess, LiveRequest, OpenCall, live_processes};
pub use process::{Keeps, ProcessStatus, Recent, SinkStatus, processes};
pub use series::merged_series;

/// What ended processes left is swept so often.
const SWEEP: Duration = Duration::from_secs(30);
/// Events that nobody led to send are old news by then.
const OLD_NEWS_NS: u64 = 3_600_000_000_000;
/// Kept requests of processes that were killed are forgotten after so long.
const FORGET_KEPT: Duration = Duration::from_secs(86_400);

/// One process's part in a `state_dir`.
pub(super) struct State {
    path: PathBuf,
    folder: SeriesFolder,
    teller: Teller,
    live: LiveTeller,
    status: StatusTeller,
    leader: Leader,
    events: EventFile,
    /// Up to where events were sent; known to who leads.
    sent: Option<Place>,
    /// Up to where events were looked at for deploys.
    seen: Option<Place>,
    swept_at: Option<Instant>,
}

/// Makes the folders.
pub(crate) fn prepare(state_dir: &Path) -> Result<(), Error> {
    for name in ["series", "live", "process", "kept"] {
        state_dir::folder(state_dir, name)?;
    }
    Ok(())
}

impl State {
    pub(super) fn new(path: &Path, profiler: u32, host: &str) -> Self {
        let folder = SeriesFolder::of(path);
        Self {
            path: path.to_owned(),
            teller: Teller::new(folder.clone(), profiler, host),
            live: LiveTeller::new(path, profiler),
            status: StatusTeller::new(path, profiler),
            leader: Leader::new(folder.lock_path(), profiler),
            events: EventFile::of(path),
            folder,
            sent: None,
            seen: None,
            swept_at: None,
        }
    }

    /// Whether this process sends. Who does also sweeps up.
    pub(super) fn leads(&mut self) -> bool {
        if !self.leader.leads() {
            self.sent = None;
            return false;
        }
        if self.swept_at.is_none_or(|at| at.elapsed() >= SWEEP) {
            self.swept_at = Some(Instant::now());
            let _ = self.folder.take_in_ended();
            live::sweep(&self.path, clock::wall());
            process::sweep(&self.path, clock::wall());
            for name in ["series", "live", "process"] {
                state_dir::sweep_unfinished(&self.path.join(name));
            }
            KeptFolder::of(&self.path).sweep(FORGET_KEPT);
        }
        true
    }

    pub(super) fn tell(&mut self, own: &[Series]) {
        let _ = self.teller.tell(own);
    }

    pub(super) fn tell_live(&mut self, live: LiveProcess) {
        let _ = self.live.tell(live);
    }

    pub(super) fn tell_status(&mut self, status: ProcessStatus) {
        let _ = self.status.tell(status);
    }

    /// This process reports no more.
    pub(super) fn end(&mut self) {
        self.live.end();
        self.status.end(clock::wall());
    }

    pub(super) fn merged(&self) -> Vec<Series> {
        self.folder.merged().all
    }

    pub(super) fn sent(&self, sink: &str) -> Vec<Series> {
        self.folder.sent(sink)
    }

    pub(super) fn keep_sent(&self, sink: &str, series: &[Series]) {
        let _ = self.folder.keep_sent(sink, series);
    }

    pub(super) fn write_down(&self, events: &[Event]) {
        for event in events {
            let _ = self.events.append(event);
        }
    }

    /// Events that nobody sent yet: for who leads.
    pub(super) fn next_events(&mut self) -> Vec<Event> {
        let folder = &self.folder;
        let place = self.sent.get_or_insert_with(|| folder.sent_events());
        next_events(folder, &self.events, place)
    }

    /// The last deploy, where one may have been written down since it was last asked for.
    pub(super) fn new_deploy(&mut self) -> Option<Event> {
        let end = Some(self.events.end());
        if self.seen == end {
            return None;
        }
        self.seen = end;
        self.events.last_version()
    }
}

/// Events that were written down behind a place, which is moved and kept; those that are no old news.
pub(crate) fn next_events(
    folder: &SeriesFolder,
    events: &EventFile,
    place: &mut Place,
) -> Vec<Event> {
    let before = *place;
    let mut events = events.next(place);
    if *place != before {
        let _ = folder.keep_sent_events(*place);
    }
    let oldest = clock::wall().saturating_sub(OLD_NEWS_NS);
    events.retain(|event| event.at >= oldest);
    events
}
