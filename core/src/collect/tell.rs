//! One event, told by somebody who is not the application: a command that deploys.
//!
//! Nothing else is sent, and no profiler is made. With a `state_dir` that is there, the event is written
//! down in it; whoever leads its processes sends it, and where nobody does, who tells it.

use super::events::{Event, EventFile};
use super::outlets::Outlets;
use super::sink::destination::Destination;
use super::sink::parcel::Origin;
use super::state::leader::Leader;
use super::state::next_events;
use super::state::series::SeriesFolder;
use crate::error::Error;
use crate::fork;
use crate::profiler::ProfilerBuilder;
use crate::stats::SinkStats;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What became of an event that was told.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub enum Told {
    /// It was told before, in this `state_dir`.
    Before(PathBuf),
    /// It was written down in this `state_dir`, and one of its processes sends it.
    Written(PathBuf),
    /// It was sent to each sink that takes events, as far as was possible.
    Sent(Vec<SinkStats>),
}

impl ProfilerBuilder {
    /// Tells an event to the sinks of these options, within a time, and nothing else: for commands.
    /// Makes no `state_dir`.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), ioprofiler::Error> {
    /// use ioprofiler::collect::Told;
    /// use ioprofiler::{Event, Profiler};
    /// let builder = Profiler::builder().config_file("/etc/shop/ioprofiler.toml");
    /// if let Told::Sent(sinks) = builder.tell(Event::deploy("8c1f"), std::time::Duration::from_secs(5))? {
    ///     assert!(sinks.iter().all(|sink| sink.sent > 0), "{sinks:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// An option is wrong, or the `state_dir` is there and cannot be written to.
    pub fn tell(self, event: Event, within: Duration) -> Result<Told, Error> {
        self.check()?;
        let deadline = Instant::now() + within;
        let folder = self.flag_files.state_dir.as_deref();
        let Some(folder) = folder.filter(|folder| folder.exists()) else {
            return Ok(self.send(vec![event], deadline));
        };
        let is_news = super::record(folder, &event);
        if !is_news.map_err(|wrong| self.flag_files.placed(wrong))? {
            return Ok(Told::Before(folder.to_owned()));
        }
        match lead(folder) {
            // The lock is held until all are sent.
            Some((_leader, events)) => Ok(self.send(events, deadline)),
            None => Ok(Told::Written(folder.to_owned())),
        }
    }

    fn send(&self, events: Vec<Event>, deadline: Instant) -> Told {
        let origin = Origin {
            host: fork::host_name(),
            worker: self.metrics.worker.clone(),
        };
        let destinations = &self.metrics.destinations;
        let mut outlets = Outlets::new(destinations, origin, false);
        for event in events {
            outlets.send_event(event);
        }
        outlets.flush(deadline);
        let fates = outlets.fates();
        let configs = destinations.iter().flat_map(Destination::configs);
        let take_events = fates.iter().zip(configs);
        let take_events = take_events.filter(|(_, config)| config.wants().events);
        let stats = take_events.map(|((name, fate), _)| fate.stats(name));
        Told::Sent(stats.collect())
    }
}

/// The right to send for the processes of a `state_dir`, where none of them has it, and what was not
/// sent yet. Not before one of them has made what they share: it would be somebody else's.
fn lead(folder: &Path) -> Option<(Leader, Vec<Event>)> {
    let series = SeriesFolder::of(folder);
    let lock = series.lock_path();
    let mut leader = Leader::new(lock.clone(), u32::MAX);
    if !lock.exists() || !leader.leads() {
        return None;
    }
    let mut place = series.sent_events();
    let events = next_events(&series, &EventFile::of(folder), &mut place);
    Some((leader, events))
}
