//! Requests that are being served for too long, and what each process is doing.
//!
//! Looked at once a second, from outside: nothing of it costs the page that is stuck.

use super::LogEvent;
use super::state::live::{LiveProcess, LiveRequest, MOST_REQUESTS};
use crate::clock;
use crate::profile::ProfileData;
use crate::profiler::Shared;
use crate::render::shown::push_line;
use crate::render::{Details, mask};
use std::collections::HashSet;
use std::time::Duration;

/// Which requests were said to be stuck.
#[derive(Default)]
pub(super) struct Stuck {
    said: HashSet<String>,
    count: u64,
}

impl Stuck {
    /// How many are stuck.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Looks at all requests in flight: what is to be said of those that are newly stuck, and what
    /// the process is doing.
    pub(super) fn look(
        &mut self,
        shared: &'static Shared,
        stuck_after: Duration,
        details: Details,
    ) -> (Vec<LogEvent>, LiveProcess) {
        let (live, requests) = shared.oldest_in_flight(MOST_REQUESTS);
        let is_stuck = |data: &&ProfileData| u128::from(data.page_ns) >= stuck_after.as_nanos();
        let stuck: Vec<&ProfileData> = requests.iter().filter(is_stuck).collect();
        self.count = stuck.len() as u64;
        let mut events = Vec::new();
        for data in &stuck {
            if self.said.insert(data.id.clone()) {
                events.push(LogEvent::new("stuck", what_it_does(data, details)));
            }
        }
        let ids: HashSet<&String> = stuck.iter().map(|data| &data.id).collect();
        self.said.retain(|id| ids.contains(id));
        let process = LiveProcess {
            pid: shared.pid(),
            host: shared.host.clone(),
            at: clock::wall(),
            running: true,
            ended: false,
            live,
            requests: requests
                .iter()
                .map(|data| LiveRequest::of(data, details))
                .collect(),
        };
        (events, process)
    }
}

/// `GET /listing/{id} for 12.3 s, request 4bf92f35…: [dbshard02] 12.1 s SELECT …`.
fn what_it_does(data: &ProfileData, details: Details) -> String {
    let about = format!("{} {}", data.facts.method, data.facts.route_label());
    let seconds = data.page_ns as f64 / 1e9;
    let inner = data.spans.last().map_or_else(
        || "in no call that is recorded".to_owned(),
        |call| {
            let target = mask::target(call, details).unwrap_or(call.category);
            let seconds = call.duration_ns as f64 / 1e9;
            let mut line = format!("[{target}] {seconds:.1} s ");
            push_line(&mut line, &mask::owned_detail(call, details));
            line
        },
    );
    format!(
        "{} for {seconds:.1} s, request {}: {inner}",
        about.trim(),
        data.id
    )
}
