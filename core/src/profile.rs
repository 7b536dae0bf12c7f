//! A profile: what a request has done so far, or did, as plain data.
//!
//! Everything in the right half (table, renderers, sinks) is a pure function of [`ProfileData`].
//! It owns its strings, knows no clock and no lock, and is built once, by whoever first reads a
//! profile. Times are nanoseconds; starts count from the request's begin.

use crate::category::{Dialect, Kind};
use crate::flags::FlagsData;
use crate::notes::Note;
use crate::trace_context::TraceContext;

/// What a request has done: the plain data behind a [`Profile`](crate::Profile).
///
/// Fields may be added, so it cannot be built by literal outside the crate: start from
/// [`ProfileData::default`] and set what you need.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileData {
    /// The request's id: given by the host, else made up (32 hex digits).
    pub id: String,
    /// The id of the request that detached this one, for jobs.
    pub parent_id: Option<String>,
    /// What the request is about.
    pub facts: FactsData,
    /// Whether the request goes on, or how it ended.
    pub state: State,
    /// Name of the machine.
    pub host: String,
    /// Process that served the request.
    pub pid: u32,
    /// The application's build, if it named one.
    pub build: Option<String>,
    /// When the request began: nanoseconds since the Unix epoch, UTC.
    pub started_at: u64,
    /// From begin to the moment of this profile: the end, or now for a snapshot. Nanoseconds.
    pub page_ns: u64,
    /// From begin to the first snapshot or the answer's first byte. Nanoseconds.
    pub app_ns: u64,
    /// The calls that were listed, in order of start. A parent always stands before its children.
    pub spans: Vec<SpanData>,
    /// Exact totals of *all* calls, listed or not, in order of the category's first use.
    pub totals: Vec<CategoryTotal>,
    /// Calls that `totals` counts and `spans` lacks, because a limit was reached.
    pub unlisted: u64,
    /// Why calls are unlisted.
    pub limit: Option<Limit>,
    /// False when calls were not recorded for this request at all (`record = off`, or `asked` and
    /// it did not ask).
    pub recorded: bool,
    /// The clock's rate changed or the machine slept during the request: times may be wrong.
    pub clock_suspect: bool,
    /// What the profiler itself cost in this request, an estimate. Nanoseconds.
    pub own_cost_ns: u64,
    /// What the application noted, in the order in which names were first set.
    pub notes: Vec<Note>,
    /// What is hooked in this process, and what was seen but is not.
    pub hooks: Vec<Hook>,
    /// Calls of this process that happened outside any request, so far.
    pub calls_outside: u64,
    /// The flags it ran under; `None` where the profiler never had any.
    pub flags: Option<FlagsData>,
}

/// Whether a request goes on, or how it ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum State {
    /// Still running: the profile is a snapshot.
    #[default]
    Live,
    /// Finished: the whole answer was sent.
    Finished,
    /// The client left before the answer was sent.
    Aborted,
    /// Nobody finished it within `request_ttl`, or its last handle was dropped unfinished.
    Abandoned,
}

/// What kind of work a request is.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// A page or an API call.
    #[default]
    Web,
    /// Work in the background.
    Job,
    /// A command on the command line.
    Command,
}

impl RequestKind {
    /// `web`, `job` or `command`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Job => "job",
            Self::Command => "command",
        }
    }
}

/// What a request is about. Absent facts are empty or `None`.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FactsData {
    /// Web, job or command.
    pub kind: RequestKind,
    /// `GET`; for jobs and commands empty.
    pub method: String,
    /// The raw path without the query; for jobs and commands their name.
    pub path: String,
    /// The raw query without `?`.
    pub query: Option<String>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The Host header or authority.
    pub host: Option<String>,
    /// `HTTP/1.1`.
    pub protocol: Option<String>,
    /// The peer's address as the host gave it.
    pub peer: Option<String>,
    /// W3C `traceparent` as it came in.
    pub traceparent: Option<String>,
    /// Those request headers that configured formats name: names, and values as they came.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Those headers of the answer that configured formats name.
    pub answer_headers: Vec<(String, Vec<u8>)>,
    /// The route's template (`/listing/{id}`); `unknown` when absent, never the raw path.
    pub route: Option<String>,
    /// The user's id.
    pub user: Option<String>,
    /// The browser's id.
    pub visitor: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Who looks at this profile, where a token said so.
    pub viewer: Option<String>,
    /// The status of the answer, once known.
    pub status: Option<u16>,
    /// Bytes of the answer's body, once known.
    pub bytes_out: Option<u64>,
    /// What went wrong, if anything did.
    pub error: Option<String>,
}

impl FactsData {
    /// What its series are called by: the route's template, `unknown` where there is none; of jobs
    /// and commands their name.
    #[must_use]
    pub fn route_label(&self) -> &str {
        match (self.kind, &self.route) {
            (_, Some(route)) => route,
            (RequestKind::Web, None) => "unknown",
            (RequestKind::Job | RequestKind::Command, None) => &self.path,
        }
    }

    /// The trace that the request belongs to, where `traceparent` is well-formed.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext<'_>> {
        self.traceparent.as_deref().and_then(TraceContext::parse)
    }
}

/// One timed call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SpanData {
    /// What was done: `dbshard01`.
    pub category: &'static str,
    /// Leaf (I/O) or scope (may contain others).
    pub kind: Kind,
    /// How the detail is to be fingerprinted.
    pub dialect: Dialect,
    /// Which server or file it was done to, where that is more than the category says.
    pub target: Option<String>,
    /// What the call was: UTF-8 repaired, cut at 8 KiB. Raw: every renderer must escape it.
    pub detail: String,
    /// The detail's whole length in bytes, where it was cut.
    pub detail_cut_from: Option<u64>,
    /// Nanoseconds from the request's begin.
    pub start_ns: u64,
    /// Nanoseconds; of an open call until the moment of the profile.
    pub duration_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What it brought.
    pub counts: Counts,
    /// Index in [`ProfileData::spans`] of the scope it happened in; always smaller than its own.
    pub parent: Option<u32>,
    /// The application's line that made the call.
    pub caller: Option<Caller>,
    /// It began after the answer's first byte had left.
    pub after_answer: bool,
    /// Which of the request's lanes recorded it: calls of different lanes can run in parallel.
    pub lane: u32,
    /// It is dark work, or was made by it: see [`Request::dark`](crate::Request::dark).
    pub dark: bool,
}

/// How a call ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It did what it should.
    #[default]
    Ok,
    /// It failed.
    Error,
    /// Its future was dropped before it was ready.
    Cancelled,
    /// It had not ended when the profile was taken.
    Open,
}

impl Outcome {
    /// [`Outcome::Error`] of an `Err`, else [`Outcome::Ok`].
    #[must_use]
    #[inline]
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() {
            Self::Ok
        } else {
            Self::Error
        }
    }

    /// `ok`, `error`, `cancelled` or `open`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Open => "open",
        }
    }
}

/// What a call brought, as far as the caller said so.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys found.
    pub hits: Option<u32>,
    /// Keys not found.
    pub misses: Option<u32>,
    /// Rows returned or changed.
    pub rows: Option<u32>,
    /// Bytes read or written; at most 4 GiB − 1.
    pub bytes: Option<u32>,
}

/// The application's own line that made a call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller {
    /// Source file.
    pub file: &'static str,
    /// Line, from 1.
    pub line: u32,
}

impl Caller {
    /// A caller from its file and line.
    #[must_use]
    pub const fn new(file: &'static str, line: u32) -> Self {
        Self { file, line }
    }
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Exact totals of one category in one request.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CategoryTotal {
    /// The category's name.
    pub category: &'static str,
    /// Leaf or scope.
    pub kind: Kind,
    /// All calls, open ones included.
    pub calls: u64,
    /// Sum of their durations in nanoseconds.
    pub time_ns: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls whose future was dropped.
    pub cancelled: u64,
    /// Calls not ended yet.
    pub open: u64,
    /// Sum of hits.
    pub hits: u64,
    /// Sum of misses.
    pub misses: u64,
    /// Sum of rows.
    pub rows: u64,
    /// Sum of bytes.
    pub bytes: u64,
}

/// Why a profile does not list all calls.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// `max_spans` of one request.
    Spans,
    /// `max_detail_bytes` of one request.
    DetailBytes,
    /// `max_memory` of the process.
    Memory,
}

impl Limit {
    /// The option's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spans => "max_spans",
            Self::DetailBytes => "max_detail_bytes",
            Self::Memory => "max_memory",
        }
    }
}

/// A library that could be hooked in this process.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name: `tower`, `psycopg 3.2`.
    pub name: String,
    /// Whether its calls are recorded.
    pub hooked: bool,
    /// Why not, and what to do.
    pub hint: Option<String>,
}

impl Hook {
    /// A library whose calls are recorded.
    #[must_use]
    pub fn hooked(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            hooked: true,
            hint: None,
        }
    }

    /// A library that was seen and is not hooked, with what to do about it.
    #[must_use]
    pub fn seen(name: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            hooked: false,
            hint: Some(hint.into()),
        }
    }
}
