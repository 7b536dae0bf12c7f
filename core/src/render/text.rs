//! A profile as lines of text, for eyes and for scripts; and as a ticket, to be pasted anywhere.
//!
//! ```text
//! # GET /listing/5773453 200 2026-11-23T03:12:07.120Z web0022 pid 4711 build 8c1f request 4bf92f35 flags 77a1 (2 s old)
//! [dbshard01] 0.902 ms SELECT count(*) FROM t WHERE id = 5  (1 row) @12.310 shop/views.py:41
//!
//! Category               Calls   Time (ms)   Self (ms)
//! dbshard01                  1       0.902       0.902
//! TOTAL CALLS                1       0.902       0.902
//! TOTAL PAGE EXEC                   23.312
//! I/O WALL                           0.902
//! OTHER                             22.410
//!
//! (repeated calls, flags with reasons, what is hooked and what is not, limits reached, the profiler's own cost)
//! ```
//!
//! One line a call, in order of start; what is inside a scope stands two spaces deeper. In the
//! brackets is the target, else the category. After two spaces: what the call brought, when it
//! began (ms since the request's begin), the caller, the outcome if it is not `ok`,
//! `after answer`, and `dark` where it is dark work. `≥` and `≤` mark what would need the calls that a limit left unlisted.

use std::fmt::Write as _;

use super::shown::{ms, push_line, push_ms, thousands, utc};
use super::{Details, flags, mask};
use crate::profile::{Caller, Counts, Outcome, ProfileData, RequestKind, SpanData, State};
use crate::table::{Repeated, Row, Table, table};

/// Calls nested deeper stand no further to the right.
const MOST_INDENT: usize = 64;
/// So many groups of repeated calls are written.
const MOST_REPEATED: usize = 20;
/// Width of the column of names; it grows with the names, up to [`WIDEST_NAME`].
const NAME_WIDTH: usize = 20;
const WIDEST_NAME: usize = 48;

/// The text form of a profile, details and all: only for those whom the gate let through.
///
/// ```
/// use ioprofiler::profile::ProfileData;
/// use ioprofiler::render::text;
///
/// let mut profile = ProfileData::default();
/// profile.facts.method = "GET".to_owned();
/// profile.facts.path = "/listing/5773453".to_owned();
/// assert!(text(&profile).starts_with("# GET /listing/5773453 - 1970-01-01T00:00:00.000Z"));
/// ```
#[must_use]
pub fn text(data: &ProfileData) -> String {
    text_of(data, &table(data), Details::Full)
}

/// The text form without anybody's data: fingerprints for details, the query without its values,
/// no error messages, targets only where they are plain names. It may be pasted anywhere.
#[must_use]
pub fn ticket(data: &ProfileData) -> String {
    text_of(data, &table(data), Details::Fingerprint)
}

/// Text or ticket, where the profile's [`table`] is there already.
#[must_use]
pub fn text_of(data: &ProfileData, table: &Table, details: Details) -> String {
    let mut out = String::with_capacity(2_048 + 160 * data.spans.len());
    push_header(&mut out, data, details);
    push_calls(&mut out, data, details);
    out.push('\n');
    push_table(&mut out, table);
    let notices = notices(data, table, details);
    if !notices.is_empty() {
        out.push('\n');
        out.push_str(&notices);
    }
    out
}

/// `# GET /listing/5773453 200 2026-11-23T03:12:07.120Z web0022 pid 4711 …`
fn push_header(out: &mut String, data: &ProfileData, details: Details) {
    let facts = &data.facts;
    let method = match (facts.method.as_str(), facts.kind) {
        ("", RequestKind::Web) => "-",
        ("", kind) => kind.as_str(),
        (method, _) => method,
    };
    out.push_str("# ");
    push_line(out, method);
    out.push(' ');
    push_line(out, &mask::path(facts, details));
    if let Some(query) = mask::query(facts, details) {
        out.push('?');
        push_line(out, &query);
    }
    match facts.status {
        // Writing to a String cannot fail, here and below.
        Some(status) => drop(write!(out, " {status}")),
        None => out.push_str(" -"),
    }
    let _ = write!(out, " {}", utc(data.started_at));
    push_field(out, "", &data.host);
    if data.pid != 0 {
        let _ = write!(out, " pid {}", data.pid);
    }
    push_field(out, "build ", data.build.as_deref().unwrap_or_default());
    push_field(out, "request ", &data.id);
    let trace = data.facts.trace().map(|trace| trace.trace_id);
    push_field(out, "trace ", trace.unwrap_or_default());
    push_field(out, "of ", data.parent_id.as_deref().unwrap_or_default());
    flags::push_version(out, data);
    match data.state {
        State::Live | State::Finished => {}
        State::Aborted => out.push_str(" aborted"),
        State::Abandoned => out.push_str(" abandoned"),
    }
    out.push('\n');
}

fn push_field(out: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        out.push(' ');
        out.push_str(name);
        push_line(out, value);
    }
}

fn push_calls(out: &mut String, data: &ProfileData, details: Details) {
    let mut scratch = String::new();
    let mut depths: Vec<usize> = Vec::with_capacity(data.spans.len());
    for span in &data.spans {
        let parent = span.parent.and_then(|parent| depths.get(parent as usize));
        let depth = parent.map_or(0, |depth| depth + 1).min(MOST_INDENT);
        depths.push(depth);
        push_call(out, span, depth, details, &mut scratch);
    }
}

/// `[dbshard01] 0.902 ms SELECT …  (1 row) @12.310 shop/views.py:41 error after answer`
fn push_call(
    out: &mut String,
    span: &SpanData,
    depth: usize,
    details: Details,
    scratch: &mut String,
) {
    for _ in 0..depth {
        out.push_str("  ");
    }
    out.push('[');
    push_line(out, mask::target(span, details).unwrap_or(span.category));
    out.push_str("] ");
    push_ms(out, span.duration_ns);
    out.push_str(" ms");
    let detail = mask::detail(span, details, scratch);
    if !detail.is_empty() {
        out.push(' ');
        push_line(out, detail);
    }
    out.push_str("  ");
    push_counts(out, span.counts, span.detail_cut_from);
    out.push('@');
    push_ms(out, span.start_ns);
    push_caller(out, span.caller, details);
    if span.outcome != Outcome::Ok {
        out.push(' ');
        out.push_str(span.outcome.as_str());
    }
    if span.after_answer {
        out.push_str(" after answer");
    }
    if span.dark {
        out.push_str(" dark");
    }
    out.push('\n');
}

/// `(38 hits, 2 misses, 1 row, 512 bytes, cut from 9,000 bytes) `, of that what there is.
fn push_counts(out: &mut String, counts: Counts, cut_from: Option<u64>) {
    if counts == Counts::default() && cut_from.is_none() {
        return;
    }
    let mut before = "(";
    let brought = [
        (counts.hits, " hit", " hits"),
        (counts.misses, " miss", " misses"),
        (counts.rows, " row", " rows"),
        (counts.bytes, " byte", " bytes"),
    ];
    for (count, one, many) in brought {
        let Some(count) = count else { continue };
        let _ = write!(
            out,
            "{before}{count}{}",
            if count == 1 { one } else { many }
        );
        before = ", ";
    }
    if let Some(length) = cut_from {
        let _ = write!(out, "{before}cut from {} bytes", thousands(length));
    }
    out.push_str(") ");
}

fn push_caller(out: &mut String, caller: Option<Caller>, details: Details) {
    if let Some(caller) = caller {
        out.push(' ');
        push_line(out, mask::file(caller.file, details));
        let _ = write!(out, ":{}", caller.line);
    }
}

fn push_table(out: &mut String, table: &Table) {
    let width = name_width(&table.rows);
    let _ = writeln!(
        out,
        "{:<width$} {:>7} {:>11} {:>11}",
        "Category", "Calls", "Time (ms)", "Self (ms)"
    );
    let mut name = String::new();
    for row in &table.rows {
        name.clear();
        push_line(&mut name, row.category);
        let own = bound(row.self_at_least, '≥', row.self_ns);
        let _ = write!(
            out,
            "{name:<width$} {:>7} {:>11} {own:>11}",
            row.calls,
            ms(row.time_ns)
        );
        push_row_notes(out, row);
        out.push('\n');
    }
    let calls = bound(table.total_at_least, '≥', table.total_calls_self_ns);
    let _ = write!(
        out,
        "{:<width$} {:>7} {calls:>11} {calls:>11}",
        "TOTAL CALLS", table.total_calls
    );
    if let Some(factor) = table.parallel {
        let digits = if factor < 1.1 { 2 } else { 1 };
        let _ = write!(out, "  parallel ×{factor:.digits$}");
    }
    out.push('\n');
    for (name, time) in [
        ("TOTAL PAGE EXEC", ms(table.page_ns)),
        ("I/O WALL", bound(table.partial, '≥', table.io_wall_ns)),
        ("OTHER", bound(table.partial, '≤', table.other_ns)),
    ] {
        let _ = writeln!(out, "{name:<width$} {:>7} {time:>11}", "");
    }
}

/// Wide names widen their column, so that the figures stay below each other; the very widest stand
/// out alone.
fn name_width(rows: &[Row]) -> usize {
    let widths = rows.iter().map(|row| row.category.chars().count());
    widths
        .filter(|width| *width <= WIDEST_NAME)
        .fold(NAME_WIDTH, usize::max)
}

fn bound(is_bound: bool, mark: char, ns: u64) -> String {
    let mut out = String::with_capacity(16);
    if is_bound {
        out.push(mark);
    }
    push_ms(&mut out, ns);
    out
}

/// `  92 hits, 14 misses, 1 error`, of that what there is.
fn push_row_notes(out: &mut String, row: &Row) {
    let mut before = "  ";
    for (count, one, many) in [
        (row.hits, "hit", "hits"),
        (row.misses, "miss", "misses"),
        (row.errors, "error", "errors"),
        (row.cancelled, "cancelled", "cancelled"),
        (row.open, "open", "open"),
    ] {
        if count > 0 {
            let _ = write!(
                out,
                "{before}{count} {}",
                if count == 1 { one } else { many }
            );
            before = ", ";
        }
    }
}

/// What stands below the table, a line each: repeated calls, errors, notes, limits, hooks, own
/// cost.
fn notices(data: &ProfileData, table: &Table, details: Details) -> String {
    let mut out = String::new();
    push_repeated(&mut out, data, table, details);
    if let Some(error) = mask::error(&data.facts, details) {
        out.push_str("error: ");
        push_line(&mut out, &error);
        out.push('\n');
    }
    flags::push_lines(&mut out, data);
    push_notes(&mut out, data, details);
    push_reliability(&mut out, data);
    push_coverage(&mut out, data);
    if data.own_cost_ns > 0 {
        let cost = ms(data.own_cost_ns);
        let _ = writeln!(
            out,
            "the profiler's own cost in this request: about {cost} ms (estimate)"
        );
    }
    out
}

fn push_repeated(out: &mut String, data: &ProfileData, table: &Table, details: Details) {
    let mark = if table.partial { "≥" } else { "" };
    for Repeated {
        category,
        fingerprint,
        caller,
        count,
        total_ns,
        example,
        ..
    } in table.repeated.iter().take(MOST_REPEATED)
    {
        let _ = write!(out, "repeated {mark}{count} times [");
        push_line(out, category);
        let _ = write!(out, "] {mark}{} ms ", ms(*total_ns));
        push_line(out, fingerprint);
        out.push(' ');
        if let Some(first) = data.spans.get(*example as usize) {
            out.push_str(" first @");
            push_ms(out, first.start_ns);
        }
        push_caller(out, *caller, details);
        out.push('\n');
    }
    let more = table.repeated.len().saturating_sub(MOST_REPEATED);
    if more > 0 {
        let _ = writeln!(
            out,
            "and {} more groups of repeated calls",
            thousands(more as u64)
        );
    }
}

/// What the application noted; in a ticket only its names, for a value may be anybody's data.
fn push_notes(out: &mut String, data: &ProfileData, details: Details) {
    if details == Details::Full {
        for note in &data.notes {
            out.push_str("note ");
            push_line(out, &note.name);
            out.push_str(" = ");
            push_line(out, &note.value.to_string());
            if let Some(length) = note.cut_from {
                let _ = write!(out, "  (cut from {} bytes)", thousands(length));
            }
            out.push('\n');
        }
        return;
    }
    let mut before = "notes (values not shown): ";
    for note in &data.notes {
        out.push_str(before);
        push_line(out, &note.name);
        before = ", ";
    }
    if !data.notes.is_empty() {
        out.push('\n');
    }
}

/// What limits how far the figures can be trusted.
fn push_reliability(out: &mut String, data: &ProfileData) {
    if data.unlisted > 0 {
        let listed = data.spans.len() as u64;
        let all = thousands(listed.saturating_add(data.unlisted));
        let _ = write!(out, "{} of {all} calls listed", thousands(listed));
        if let Some(limit) = data.limit {
            let _ = write!(out, ": {}", limit.as_str());
        }
        out.push_str("; calls and times are exact, ≥ and ≤ are bounds\n");
    }
    if data.clock_suspect {
        out.push_str("clock suspect: its rate changed or the machine slept, times may be wrong\n");
    }
}

/// What is hooked and what is not, so that a poor table explains itself.
fn push_coverage(out: &mut String, data: &ProfileData) {
    if data.id.is_empty() && !data.recorded {
        out.push_str("nothing to show: the request had ended before this profile was asked for, or there was none\n");
    } else if !data.recorded {
        out.push_str("no calls were recorded for this request: record is off, or asked and this one did not ask\n");
    } else if data.totals.iter().all(|total| total.calls == 0) {
        out.push_str("no calls: nothing that is hooked was used in this request\n");
    }
    let mut before = "hooked: ";
    for hook in data.hooks.iter().filter(|hook| hook.hooked) {
        out.push_str(before);
        push_line(out, &hook.name);
        before = ", ";
    }
    let none = before == "hooked: ";
    out.push_str(if none {
        "hooked: nothing, only calls that the code itself marks\n"
    } else {
        "\n"
    });
    for hook in data.hooks.iter().filter(|hook| !hook.hooked) {
        out.push_str("seen, not hooked: ");
        push_line(out, &hook.name);
        if let Some(hint) = &hook.hint {
            out.push_str(" (");
            push_line(out, hint);
            out.push(')');
        }
        out.push('\n');
    }
    if data.calls_outside > 0 {
        let calls = if data.calls_outside == 1 {
            "call"
        } else {
            "calls"
        };
        let count = thousands(data.calls_outside);
        let _ = writeln!(
            out,
            "{count} {calls} outside any request so far in this process"
        );
    }
}
