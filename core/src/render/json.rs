//! A profile as JSON: a documented, versioned format for programs.
//!
//! Version 1 is stable: fields are only added, so a reader passes over those that it does not know;
//! what is there keeps its name, its type and its meaning, or `version` is 2. All times are
//! integers, their unit is the end of their name: `_ns` nanoseconds, `_us` microseconds. Absent
//! fields are left out, but for `null` in `totals.parallel`. The text is ASCII where it matters:
//! `<`, `>`, `&`, U+2028 and U+2029 are written as `\u…`, so it may stand inside
//! `<script type="application/json">`.
//!
//! # Format
//!
//! | field | is |
//! | --- | --- |
//! | `format`, `version` | `"ioprofiler.profile"`, `1` |
//! | `details` | `"full"` or `"fingerprint"`: whether `detail`, `path`, `query` and `error` are masked |
//! | `id`, `parent_id` | the request's id; that of the request that detached this one |
//! | `state` | `live`, `finished`, `aborted`, `abandoned` |
//! | `started_at`, `started_at_us` | when it began: UTC as RFC 3339; microseconds since the Unix epoch |
//! | `host`, `pid`, `build` | who served it |
//! | `facts` | what it is about, see [`Facts`] |
//! | `page_ns`, `app_ns` | from begin to this profile; to the first snapshot or first byte of the answer |
//! | `totals` | the table's last rows, see [`Totals`] |
//! | `categories` | the table's rows in order of first use, see [`Category`] |
//! | `calls` | the listed calls in order of start, see [`Call`] |
//! | `repeated` | calls made five times or more, see [`RepeatedCall`] |
//! | `recorded` | false where calls were not recorded for this request |
//! | `unlisted`, `limit` | calls that `categories` counts and `calls` lacks; the option that said so |
//! | `clock_suspect` | true where times may be wrong |
//! | `own_cost_ns` | what the profiler itself cost, an estimate |
//! | `notes` | what the application noted, see [`NoteState`] |
//! | `hooks` | what is hooked in the process, and what was seen and is not, see [`HookState`] |
//! | `calls_outside` | calls of the process outside any request, so far |
//! | `flags` | the flags it ran under, where the profiler has any, see [`Flags`] |

use std::borrow::Cow;
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

pub use super::flags::{FlagExposure, Flags};
use super::shown::utc;
use super::{Details, mask};
use crate::category::Kind;
use crate::notes::{Note, NoteValue};
use crate::profile::{Caller, Hook, ProfileData, SpanData, State};
use crate::table::{Repeated, Row, Table, table};

/// The format's name.
pub const FORMAT: &str = "ioprofiler.profile";
/// The format's version.
pub const VERSION: u32 = 1;

/// The profile as JSON, in one line.
///
/// ```
/// use ioprofiler::profile::ProfileData;
/// use ioprofiler::render::{Details, json};
///
/// let json = json(&ProfileData::default(), Details::Full);
/// assert!(json.starts_with(r#"{"format":"ioprofiler.profile","version":1,"#));
/// ```
#[must_use]
pub fn json(data: &ProfileData, details: Details) -> String {
    let mut bytes = Vec::with_capacity(2_048 + 400 * data.spans.len());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, SafeInHtml);
    // Neither the maps nor the writer can fail: keys are names of fields, memory takes all.
    let written = Document::of(data, &table(data), details).serialize(&mut serializer);
    debug_assert!(written.is_ok(), "a profile is always JSON");
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    details: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    state: &'static str,
    started_at: String,
    started_at_us: u64,
    host: &'a str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<&'a str>,
    facts: Facts<'a>,
    page_ns: u64,
    app_ns: u64,
    totals: Totals,
    categories: Vec<Category<'a>>,
    calls: Vec<Call<'a>>,
    repeated: Vec<RepeatedCall<'a>>,
    recorded: bool,
    unlisted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    clock_suspect: bool,
    own_cost_ns: u64,
    notes: Vec<NoteState<'a>>,
    hooks: Vec<HookState<'a>>,
    calls_outside: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<Flags<'a>>,
}

impl<'a> Document<'a> {
    fn of(data: &'a ProfileData, table: &'a Table, details: Details) -> Self {
        Self {
            format: FORMAT,
            version: VERSION,
            details: match details {
                Details::Full => "full",
                Details::Fingerprint => "fingerprint",
            },
            id: &data.id,
            parent_id: data.parent_id.as_deref(),
            state: match data.state {
                State::Live => "live",
                State::Finished => "finished",
                State::Aborted => "aborted",
                State::Abandoned => "abandoned",
            },
            started_at: utc(data.started_at),
            started_at_us: data.started_at / 1_000,
            host: &data.host,
            pid: data.pid,
            build: data.build.as_deref(),
            facts: Facts::of(data, details),
            page_ns: data.page_ns,
            app_ns: data.app_ns,
            totals: Totals::of(table),
            categories: data
                .totals
                .iter()
                .zip(&table.rows)
                .map(Category::of)
                .collect(),
            calls: data
                .spans
                .iter()
                .map(|span| Call::of(span, details))
                .collect(),
            repeated: table
                .repeated
                .iter()
                .map(|group| RepeatedCall::of(group, details))
                .collect(),
            recorded: data.recorded,
            unlisted: data.unlisted,
            limit: data.limit.map(|limit| limit.as_str()),
            clock_suspect: data.clock_suspect,
            own_cost_ns: data.own_cost_ns,
            notes: data
                .notes
                .iter()
                .map(|note| NoteState::of(note, details))
                .collect(),
            hooks: data.hooks.iter().map(HookState::of).collect(),
            calls_outside: data.calls_outside,
            flags: data.flags.as_ref().map(Flags::of),
        }
    }
}

/// What the request is about. With `details: "fingerprint"`, `path` is the route or masked,
/// `query` has no values, `error` is masked, and peer, headers, user, visitor, groups and viewer
/// are left out.
#[derive(Serialize)]
pub struct Facts<'a> {
    /// `web`, `job` or `command`.
    kind: &'static str,
    /// `GET`; empty for jobs and commands.
    method: &'a str,
    /// The path without the query; the name of a job or command.
    path: Cow<'a, str>,
    /// The query without `?`.
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<Cow<'a, str>>,
    /// `http` or `https`.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'a str>,
    /// The header Host.
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    /// `HTTP/1.1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol: Option<&'a str>,
    /// The peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<&'a str>,
    /// W3C traceparent as it came in.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    /// The trace of a well-formed `traceparent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    /// Request headers as pairs of name and value, UTF-8 repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Vec<(&'a str, Cow<'a, str>)>>,
    /// The route's template, `unknown` where absent.
    route: &'a str,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    /// The browser's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    visitor: Option<&'a str>,
    /// The user's groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a [String]>,
    /// Who looks at this profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    viewer: Option<&'a str>,
    /// The answer's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Bytes of the answer's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_out: Option<u64>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
}

impl<'a> Facts<'a> {
    fn of(data: &'a ProfileData, details: Details) -> Self {
        let facts = &data.facts;
        let personal = |value: &'a Option<String>| mask::personal(value.as_deref(), details);
        Self {
            kind: facts.kind.as_str(),
            method: &facts.method,
            path: mask::path(facts, details),
            query: mask::query(facts, details),
            scheme: facts.scheme.as_deref(),
            host: facts.host.as_deref(),
            protocol: facts.protocol.as_deref(),
            peer: personal(&facts.peer),
            traceparent: facts.traceparent.as_deref(),
            trace_id: facts.trace().map(|trace| trace.trace_id),
            headers: mask::personal(Some(headers(&facts.headers)), details),
            route: facts.route.as_deref().unwrap_or("unknown"),
            user: personal(&facts.user),
            visitor: personal(&facts.visitor),
            groups: mask::personal(Some(facts.groups.as_slice()), details),
            viewer: personal(&facts.viewer),
            status: facts.status,
            bytes_out: facts.bytes_out,
            error: mask::error(facts, details),
        }
    }
}

fn headers(headers: &[(String, Vec<u8>)]) -> Vec<(&str, Cow<'_, str>)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)))
        .collect()
}

/// The table's last rows.
#[derive(Serialize)]
pub struct Totals {
    /// All calls, listed or not.
    calls: u64,
    /// Sum of all self times.
    self_ns: u64,
    /// That sum is a lower bound.
    self_at_least: bool,
    /// How many times the page's time that sum is, where it is more than once; else `null`.
    parallel: Option<f64>,
    /// Wall time of the page.
    page_ns: u64,
    /// During how much of it at least one leaf was going on.
    io_wall_ns: u64,
    /// The page minus I/O wall.
    other_ns: u64,
    /// Calls are unlisted: `io_wall_ns` and `repeated` are lower bounds, `other_ns` an upper one.
    partial: bool,
}

impl Totals {
    fn of(table: &Table) -> Self {
        Self {
            calls: table.total_calls,
            self_ns: table.total_calls_self_ns,
            self_at_least: table.total_at_least,
            parallel: table.parallel,
            page_ns: table.page_ns,
            io_wall_ns: table.io_wall_ns,
            other_ns: table.other_ns,
            partial: table.partial,
        }
    }
}

/// One category in this request. All is exact, but for `self_ns` where `self_at_least` is true.
#[derive(Serialize)]
pub struct Category<'a> {
    /// Its name.
    category: &'a str,
    /// `leaf` or `scope`.
    kind: &'static str,
    /// All calls.
    calls: u64,
    /// Sum of their durations.
    time_ns: u64,
    /// Sum of their self times.
    self_ns: u64,
    /// `self_ns` is a lower bound.
    self_at_least: bool,
    /// Calls that failed.
    errors: u64,
    /// Calls whose future was dropped.
    cancelled: u64,
    /// Calls not ended yet.
    open: u64,
    /// Sum of keys found.
    hits: u64,
    /// Sum of keys not found.
    misses: u64,
    /// Sum of rows.
    rows: u64,
    /// Sum of bytes.
    bytes: u64,
}

impl<'a> Category<'a> {
    fn of((total, row): (&'a crate::profile::CategoryTotal, &'a Row)) -> Self {
        Self {
            category: row.category,
            kind: kind(row.kind),
            calls: row.calls,
            time_ns: row.time_ns,
            self_ns: row.self_ns,
            self_at_least: row.self_at_least,
            errors: row.errors,
            cancelled: row.cancelled,
            open: row.open,
            hits: row.hits,
            misses: row.misses,
            rows: total.rows,
            bytes: total.bytes,
        }
    }
}

/// One listed call.
#[derive(Serialize)]
pub struct Call<'a> {
    /// What was done.
    category: &'a str,
    /// `leaf` or `scope`.
    kind: &'static str,
    /// To which server or file, where that is more than the category says; with
    /// `details: "fingerprint"` only where it is a plain name.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    /// What the call was, or its fingerprint.
    detail: Cow<'a, str>,
    /// The detail's whole length in bytes, where it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail_cut_from: Option<u64>,
    /// From the request's begin.
    start_ns: u64,
    /// How long it took; of an open call, so far.
    duration_ns: u64,
    /// `ok`, `error`, `cancelled` or `open`.
    outcome: &'static str,
    /// Keys found.
    #[serde(skip_serializing_if = "Option::is_none")]
    hits: Option<u32>,
    /// Keys not found.
    #[serde(skip_serializing_if = "Option::is_none")]
    misses: Option<u32>,
    /// Rows returned or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u32>,
    /// Bytes read or written.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u32>,
    /// Index in `calls` of the scope it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<u32>,
    /// The application's line that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<Place<'a>>,
    /// It began after the answer's first byte.
    after_answer: bool,
    /// Which of the request's lanes recorded it.
    lane: u32,
    /// It is dark work, or was made by it; left out where it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dark: bool,
}

impl<'a> Call<'a> {
    fn of(span: &'a SpanData, details: Details) -> Self {
        Self {
            category: span.category,
            kind: kind(span.kind),
            target: mask::target(span, details),
            detail: mask::owned_detail(span, details),
            detail_cut_from: span.detail_cut_from,
            start_ns: span.start_ns,
            duration_ns: span.duration_ns,
            outcome: span.outcome.as_str(),
            hits: span.counts.hits,
            misses: span.counts.misses,
            rows: span.counts.rows,
            bytes: span.counts.bytes,
            parent: span.parent,
            caller: Place::of(span.caller, details),
            after_answer: span.after_answer,
            lane: span.lane,
            dark: span.dark,
        }
    }
}

/// Calls that differ only in their values, five or more; the most expensive first.
#[derive(Serialize)]
pub struct RepeatedCall<'a> {
    /// What was done.
    category: &'a str,
    /// What they have in common.
    fingerprint: &'a str,
    /// The line that made them.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<Place<'a>>,
    /// How many.
    count: u64,
    /// Sum of their durations.
    total_ns: u64,
    /// Index in `calls` of the first of them.
    example: u32,
}

impl<'a> RepeatedCall<'a> {
    fn of(group: &'a Repeated, details: Details) -> Self {
        Self {
            category: group.category,
            fingerprint: &group.fingerprint,
            caller: Place::of(group.caller, details),
            count: group.count,
            total_ns: group.total_ns,
            example: group.example,
        }
    }
}

/// A line of the application.
#[derive(Serialize)]
pub struct Place<'a> {
    /// Source file; with `details: "fingerprint"` only the end of an absolute path.
    file: &'a str,
    /// Line, from 1.
    line: u32,
}

impl Place<'_> {
    fn of(caller: Option<Caller>, details: Details) -> Option<Self> {
        caller.map(|Caller { file, line }| Self {
            file: mask::file(file, details),
            line,
        })
    }
}

/// A note of the application. With `details: "fingerprint"` it has no `value`.
#[derive(Serialize)]
pub struct NoteState<'a> {
    /// Its name.
    name: &'a str,
    /// `text`, `integer`, `float` or `bool`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its last value; `null` for a float that is not finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value<'a>>,
    /// The text's whole length in bytes, where it was cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_from: Option<u64>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(&'a str),
    Integer(i64),
    Large(u64),
    Float(f64),
    Bool(bool),
}

impl<'a> NoteState<'a> {
    fn of(note: &'a Note, details: Details) -> Self {
        let value = match &note.value {
            NoteValue::Text(text) => Value::Text(text),
            NoteValue::Integer(number) => Value::Integer(*number),
            NoteValue::Large(number) => Value::Large(*number),
            NoteValue::Float(number) => Value::Float(*number),
            NoteValue::Bool(yes) => Value::Bool(*yes),
        };
        Self {
            name: &note.name,
            kind: note.value.type_name(),
            value: mask::personal(Some(value), details),
            cut_from: note.cut_from,
        }
    }
}

/// A library that could be hooked in the process.
#[derive(Serialize)]
pub struct HookState<'a> {
    /// Its name.
    name: &'a str,
    /// Whether its calls are recorded.
    hooked: bool,
    /// Why not, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl<'a> HookState<'a> {
    fn of(hook: &'a Hook) -> Self {
        Self {
            name: &hook.name,
            hooked: hook.hooked,
            hint: hook.hint.as_deref(),
        }
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Leaf => "leaf",
        Kind::Scope => "scope",
    }
}

/// Writes JSON that may stand inside an HTML element: nothing in it ends the element, and no
/// JavaScript of before 2019 takes a character in it for a line's end.
pub(super) struct SafeInHtml;

impl Formatter for SafeInHtml {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_plain = |byte| !matches!(byte, b'<' | b'>' | b'&' | 0x7f..);
        if fragment.bytes().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        let is_risky = |character| {
            matches!(
                character,
                '<' | '>' | '&' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}'
            )
        };
        for piece in fragment.split_inclusive(is_risky) {
            let Some(last) = piece.chars().next_back().filter(|last| is_risky(*last)) else {
                writer.write_all(piece.as_bytes())?;
                continue;
            };
            let before = piece.len() - last.len_utf8();
            writer.write_all(piece.get(..before).unwrap_or("").as_bytes())?;
            write!(writer, "\\u{:04x}", u32::from(last))?;
        }
        Ok(())
    }
}
