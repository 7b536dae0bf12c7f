//! What workers are in, or were when they were killed: one row for each request.

use ioprofiler::collect::state::{LiveProcess, LiveRequest, OpenCall};
use serde_json::{Value, json};

use super::condition::{BUSY_SILENT_NS, NS_PER_S};
use super::table::{Column, Paint, Table, shown};
use super::when::{Now, age};
use crate::time::roughly;

/// The id of a request, and the machine, are shown where a line has so many columns.
const WIDE: usize = 120;
/// So many of the things that requests are in are counted by name.
const MOST_PLACES: usize = 5;

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// Running, as far as the system knows; but it has said nothing for a while.
    Silent,
    /// It ended, and said so.
    Ended,
    Killed,
}

impl State {
    fn of(process: &LiveProcess, now: &Now) -> Self {
        match (process.running, process.ended) {
            (true, _) if process.live > 0 && now.since(process.at) > BUSY_SILENT_NS => Self::Silent,
            (true, _) => Self::Running,
            (false, true) => Self::Ended,
            (false, false) => Self::Killed,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Silent => "silent",
            Self::Ended => "ended",
            Self::Killed => "killed",
        }
    }

    pub(super) fn is_gone(self) -> bool {
        matches!(self, Self::Ended | Self::Killed)
    }
}

/// A request in flight, and whose it is.
struct Row<'a> {
    process: &'a LiveProcess,
    request: &'a LiveRequest,
    state: State,
    age_ns: u64,
}

/// All of it, as of one moment.
pub(super) struct Doings {
    processes: Vec<(LiveProcess, State)>,
}

impl Doings {
    /// Ages are those of now; of who is gone, those of the moment when it last said something.
    /// Who is gone for longer than `since` is left out.
    pub(super) fn of(processes: Vec<LiveProcess>, now: &Now, since_ns: u64) -> Self {
        let with_state = processes.into_iter().map(|mut process| {
            let state = State::of(&process, now);
            if !state.is_gone() {
                let more = now.since(process.at);
                for request in &mut process.requests {
                    request.age_ns = request.age_ns.saturating_add(more);
                    for call in &mut request.open {
                        call.age_ns = call.age_ns.saturating_add(more);
                    }
                }
            }
            (process, state)
        });
        let is_news = |(process, state): &(LiveProcess, State)| {
            !state.is_gone() || now.since(process.at) <= since_ns
        };
        Self {
            processes: with_state.filter(is_news).collect(),
        }
    }

    /// The oldest first, of those who run; then who is gone, the last first.
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for (process, state) in &self.processes {
            rows.extend(process.requests.iter().map(|request| Row {
                process,
                request,
                state: *state,
                age_ns: request.age_ns,
            }));
        }
        rows.sort_by_key(|row| {
            let gone_at = if row.state.is_gone() {
                row.process.at
            } else {
                u64::MAX
            };
            (std::cmp::Reverse(gone_at), std::cmp::Reverse(row.age_ns))
        });
        rows
    }

    fn workers(&self, wanted: impl Fn(&LiveProcess, State) -> bool) -> usize {
        let processes = self.processes.iter();
        let mut pids: Vec<(&str, u32)> = processes
            .filter(|(process, state)| wanted(process, *state))
            .map(|(process, _)| (process.host.as_str(), process.pid))
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids.len()
    }

    fn running(&self) -> usize {
        self.workers(|_, state| !state.is_gone())
    }

    fn busy(&self) -> usize {
        self.workers(|process, state| !state.is_gone() && process.live > 0)
    }

    /// `3 requests in 2 of 8 workers, the oldest for 28.1 s`, and what they are in.
    pub(super) fn head(&self) -> Vec<String> {
        let rows = self.rows();
        let running: Vec<&Row<'_>> = rows.iter().filter(|row| !row.state.is_gone()).collect();
        let live = self.processes.iter().filter(|(_, state)| !state.is_gone());
        let live = total(live.map(|(process, _)| process.live));
        let mut line = match (live, self.running()) {
            (_, 0) => "no worker runs".to_owned(),
            (0, workers) => format!("{} idle", many(workers as u64, "worker")),
            (live, workers) => format!(
                "{} in {} of {}",
                many(live, "request"),
                self.busy(),
                many(workers as u64, "worker")
            ),
        };
        if let Some(oldest) = running.first() {
            line.push_str(&format!(", the oldest for {}", age(oldest.age_ns)));
        }
        let gone = self.workers(|_, state| state == State::Killed);
        if gone > 0 {
            line.push_str(&format!("; {gone} killed"));
        }
        let mut lines = vec![line];
        // Of one request its row says it.
        if running.len() > 1 {
            lines.push(places(&running));
        }
        lines
    }

    pub(super) fn table(&self, now: &Now, width: Option<usize>) -> Table {
        let is_wide = width.is_none_or(|width| width >= WIDE);
        let hosts = self.hosts();
        let mut columns = vec![Column::right("PID"), Column::right("AGE")];
        if hosts > 1 {
            columns.push(Column::left("HOST").cut_to(6));
        }
        columns.push(Column::left("REQUEST").cut_to(16));
        if is_wide {
            columns.push(Column::left("ID").cut_to(8));
        }
        columns.push(Column::left("IN").cut_to(20));
        let mut table = Table::new(columns);
        for row in self.rows() {
            let mut cells = vec![row.process.pid.to_string(), age(row.age_ns)];
            if hosts > 1 {
                cells.push(shown(&row.process.host));
            }
            let LiveRequest {
                kind,
                method,
                route,
                ..
            } = row.request;
            cells.push(what(kind, method, route));
            if is_wide {
                cells.push(shown(&row.request.id));
            }
            cells.push(row.place(now));
            table.row(cells, row.paint());
        }
        table
    }

    fn hosts(&self) -> usize {
        let mut hosts: Vec<&str> = self
            .processes
            .iter()
            .map(|(process, _)| process.host.as_str())
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.len()
    }

    /// `5 workers are idle`, and what is not in the table.
    pub(super) fn foot(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (process, _) in &self.processes {
            let told = process.requests.len() as u64;
            if process.live > told && told > 0 {
                let more = many(process.live - told, "younger request");
                lines.push(format!("and {more} in pid {}", process.pid));
            }
        }
        let idle = self.running() - self.busy();
        if idle > 0 {
            lines.push(match idle {
                1 => "1 worker is idle".to_owned(),
                idle => format!("{idle} workers are idle"),
            });
        }
        lines
    }

    pub(super) fn has_anybody(&self) -> bool {
        !self.processes.is_empty()
    }

    pub(super) fn json(&self, now: &Now, passed_over: u64) -> Value {
        let processes = self.processes.iter().map(|(process, state)| {
            let mut value = serde_json::to_value(process).unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                object.remove("ended");
                object.insert("state".to_owned(), state.as_str().into());
            }
            value
        });
        json!({
            "at": now.at,
            "processes": processes.collect::<Vec<_>>(),
            "idle": self.running() - self.busy(),
            "passed_over": passed_over,
        })
    }
}

/// `GET /listing/{id}`; of a job its kind and name.
pub(super) fn what(kind: &str, method: &str, route: &str) -> String {
    let first = if method.is_empty() { kind } else { method };
    shown(&format!("{first} {route}"))
}

impl Row<'_> {
    /// `[dbshard02] 28.1 s SELECT …`, after what became of its worker.
    fn place(&self, now: &Now) -> String {
        let call = self.request.open.last().map_or_else(
            || "no call that is recorded".to_owned(),
            |call| {
                let name = call.target.as_deref().unwrap_or(&call.category);
                let time = age(call.age_ns);
                shown(&format!("[{name}] {time} {}", call.detail))
            },
        );
        let seconds = now.since(self.process.at) / NS_PER_S;
        match self.state {
            State::Running => call,
            State::Silent => format!("silent for {}; {call}", roughly(seconds)),
            State::Ended => format!("ended {} ago in {call}", roughly(seconds)),
            State::Killed => format!("killed {} ago in {call}", roughly(seconds)),
        }
    }

    fn paint(&self) -> Paint {
        match self.state {
            State::Running if self.age_ns < 10 * NS_PER_S => Paint::Plain,
            State::Running | State::Silent => Paint::Yellow,
            State::Ended => Paint::Dim,
            State::Killed => Paint::Red,
        }
    }
}

/// `in dbshard02 31, memcache 2, no call 4`: where they all hang is seen without reading on.
fn places(rows: &[&Row<'_>]) -> String {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for row in rows {
        let name = |call: &OpenCall| shown(&call.category);
        let name = row.request.open.last().map_or("no call".to_owned(), name);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others: usize = counts
        .iter()
        .skip(MOST_PLACES)
        .map(|(_, count)| count)
        .sum();
    let named = counts.iter().take(MOST_PLACES);
    let mut parts: Vec<String> = named
        .map(|(name, count)| format!("{count} in {name}"))
        .collect();
    if others > 0 {
        parts.push(format!("{others} elsewhere"));
    }
    parts.join(", ")
}

/// `1 worker`, `8 workers`.
pub(super) fn many(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!(
        "{} {what}{plural}",
        ioprofiler::render::shown::thousands(count)
    )
}

/// A sum, of whatever somebody wrote down.
pub(super) fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}
