//! The line as one JSON object, for programs.
//!
//! Keys are flat and dotted, named after OpenTelemetry's conventions where those have a name. What
//! is absent is left out. Text is UTF-8; quotes, backslashes, controls and what some readers take
//! for a line's end are escaped. A whole number beyond 2^53 is written as a string, because many
//! readers would round it; a float that is not finite is `null`.
//!
//! | key | is |
//! | --- | --- |
//! | `time` | when the request began, RFC 3339, UTC, ms |
//! | `kind` `state` | `web`, `job`, `command`; `finished`, `aborted`, `abandoned`, `live` |
//! | `request_id` `parent_request_id` | its id; that of the request that detached it |
//! | `trace_id` `parent_span_id` | of a well-formed `traceparent` |
//! | `host.name` `process.pid` `service.version` | who served it; the build |
//! | `http.request.method` `url.scheme` `url.path` `url.query` `network.protocol` `server.address` | what was asked for; the values of the query are masked unless the format says otherwise |
//! | `http.route` | the route's template; `unknown` where absent |
//! | `client.address` `user_agent.original` `http.request.header.referer` | who asked |
//! | `user.id` `visitor` `groups` | on whose behalf |
//! | `http.response.status_code` `http.response.body.size` | what was answered; the size is left out where nothing was, or nobody counted |
//! | `error` | what went wrong |
//! | `duration_us` `app_us` | begin to end; to the answer's first byte |
//! | `calls` `call_errors` `io_us` `io_sum_us` `other_us` | as the notes of these names |
//! | `categories` | `{"dbshard01":{"calls":6,"us":8994,"errors":0},…}` |
//! | `notes` | `{"cart":"3 things",…}` |
//! | `flags` `flags_version` `shed` | `[{"flag":"new_search","variant":"green","reason":"percent","id":51,"number":2},…]`, with `"state":"dark"` for dark ones and `"past"`, `"other"` for those that the notes leave out; the flags' version; from which priority on they are shed |

use super::directive::push_padded;
use super::ready::io_sum_ns;
use crate::flags;
use crate::notes::NoteValue;
use crate::profile::{ProfileData, State};
use crate::render::shown::utc;
use crate::render::{Details, mask};
use crate::table::times;
use crate::text::{cut_bytes, cut_str};
use std::io::Write as _;

/// The request headers that a line has.
pub(super) const HEADERS: [&str; 2] = ["referer", "user-agent"];

/// Past this, JavaScript and others cannot tell a whole number from its neighbours.
const LARGEST_EXACT: u64 = 1 << 53;

/// An object that is being written.
struct Object<'l> {
    line: &'l mut Vec<u8>,
    any: bool,
    /// Bytes of each text; longer ones are cut.
    longest: usize,
}

impl<'l> Object<'l> {
    fn begin(line: &'l mut Vec<u8>, longest: usize) -> Self {
        line.push(b'{');
        Self {
            line,
            any: false,
            longest,
        }
    }

    fn end(self) {
        self.line.push(b'}');
    }

    fn key(&mut self, key: &str) {
        if self.any {
            self.line.push(b',');
        }
        self.any = true;
        push_string(key, self.line);
        self.line.push(b':');
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        push_string(cut_str(text, self.longest), self.line);
    }

    fn some_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &str, number: u64) {
        self.key(key);
        push_number(number, self.line);
    }

    fn object(&mut self, key: &str) -> Object<'_> {
        self.key(key);
        Object::begin(self.line, self.longest)
    }
}

/// Appends the line. With a bound to texts, what is least is left out as well.
pub(super) fn write(data: &ProfileData, details: Details, longest: usize, line: &mut Vec<u8>) {
    let mut object = Object::begin(line, longest);
    about(&mut object, data);
    asked(&mut object, data, details);
    answered(&mut object, data, details);
    if data.recorded {
        figures(&mut object, data);
    }
    if longest > 128 {
        if data.recorded {
            categories(&mut object, data);
        }
        notes(&mut object, data);
        flags(&mut object, data);
    }
    if longest != usize::MAX {
        object.key("cut");
        object.line.extend_from_slice(b"true");
    }
    object.end();
}

fn about(object: &mut Object<'_>, data: &ProfileData) {
    object.text("time", &utc(data.started_at));
    object.text("kind", data.facts.kind.as_str());
    let state = match data.state {
        State::Live => "live",
        State::Finished => "finished",
        State::Aborted => "aborted",
        State::Abandoned => "abandoned",
    };
    object.text("state", state);
    object.text("request_id", &data.id);
    object.some_text("parent_request_id", data.parent_id.as_deref());
    if let Some(trace) = data.facts.trace() {
        object.text("trace_id", trace.trace_id);
        object.text("parent_span_id", trace.parent_id);
    }
    object.text("host.name", &data.host);
    object.number("process.pid", data.pid.into());
    object.some_text("service.version", data.build.as_deref());
}

fn asked(object: &mut Object<'_>, data: &ProfileData, details: Details) {
    let facts = &data.facts;
    if !facts.method.is_empty() {
        object.text("http.request.method", &facts.method);
    }
    object.some_text("url.scheme", facts.scheme.as_deref());
    object.text("url.path", &facts.path);
    object.some_text("url.query", mask::query(facts, details).as_deref());
    object.some_text("network.protocol", facts.protocol.as_deref());
    object.some_text("server.address", facts.host.as_deref());
    object.text("http.route", facts.route.as_deref().unwrap_or("unknown"));
    object.some_text("client.address", facts.peer.as_deref());
    for (key, name) in ["http.request.header.referer", "user_agent.original"]
        .iter()
        .zip(HEADERS)
    {
        let header = facts
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((_, value)) = header {
            let value = cut_bytes(value, object.longest);
            object.text(key, &String::from_utf8_lossy(value));
        }
    }
    object.some_text("user.id", facts.user.as_deref());
    object.some_text("visitor", facts.visitor.as_deref());
    if !facts.groups.is_empty() {
        object.key("groups");
        object.line.push(b'[');
        for (number, group) in facts.groups.iter().enumerate() {
            if number > 0 {
                object.line.push(b',');
            }
            push_string(cut_str(group, object.longest), object.line);
        }
        object.line.push(b']');
    }
}

fn answered(object: &mut Object<'_>, data: &ProfileData, details: Details) {
    let facts = &data.facts;
    if let Some(status) = facts.status {
        object.number("http.response.status_code", status.into());
    }
    // PHP and others do not know: a 0 would be a lie.
    if let Some(bytes) = facts.bytes_out.filter(|bytes| *bytes > 0) {
        object.number("http.response.body.size", bytes);
    }
    object.some_text("error", mask::error(facts, details).as_deref());
    object.number("duration_us", data.page_ns / 1_000);
    object.number("app_us", data.app_ns / 1_000);
}

fn figures(object: &mut Object<'_>, data: &ProfileData) {
    let table = times(data);
    let errors = table.rows.iter().map(|row| row.errors).sum();
    object.number("calls", table.total_calls);
    object.number("call_errors", errors);
    object.number("io_us", table.io_wall_ns / 1_000);
    object.number("io_sum_us", io_sum_ns(data) / 1_000);
    object.number("other_us", table.other_ns / 1_000);
}

fn categories(object: &mut Object<'_>, data: &ProfileData) {
    let mut categories = object.object("categories");
    for total in &data.totals {
        let mut category = categories.object(total.category);
        category.number("calls", total.calls);
        category.number("us", total.time_ns / 1_000);
        category.number("errors", total.errors);
        category.end();
    }
    categories.end();
}

fn notes(object: &mut Object<'_>, data: &ProfileData) {
    let mut notes = object.object("notes");
    for note in &data.notes {
        match &note.value {
            NoteValue::Text(text) => notes.text(&note.name, text),
            NoteValue::Large(number) => notes.number(&note.name, *number),
            NoteValue::Integer(number) => {
                notes.key(&note.name);
                let exact = number.unsigned_abs() <= LARGEST_EXACT;
                // Writing to memory cannot fail, here and below.
                let _ = match exact {
                    true => write!(notes.line, "{number}"),
                    false => write!(notes.line, "\"{number}\""),
                };
            }
            NoteValue::Float(number) => {
                notes.key(&note.name);
                let _ = match number.is_finite() {
                    true => write!(notes.line, "{number}"),
                    false => write!(notes.line, "null"),
                };
            }
            NoteValue::Bool(yes) => {
                notes.key(&note.name);
                let _ = write!(notes.line, "{yes}");
            }
        }
    }
    notes.end();
}

fn flags(object: &mut Object<'_>, data: &ProfileData) {
    let Some(flags) = &data.flags else { return };
    object.text("flags_version", &flags.version);
    if let Some(priority) = flags.shed_from {
        object.number("shed", priority.into());
    }
    object.key("flags");
    object.line.push(b'[');
    for (place, exposure) in flags.exposures.iter().enumerate() {
        if place > 0 {
            object.line.push(b',');
        }
        let mut flag = Object::begin(object.line, object.longest);
        flag.text("flag", exposure.flag);
        flag.text("variant", exposure.variant);
        flag.text("reason", &exposure.reason_text());
        if exposure.state == flags::State::Dark {
            flag.text("state", "dark");
        }
        for (key, number) in [("id", exposure.id), ("number", exposure.number)] {
            if let Some(number) = number {
                flag.number(key, number.into());
            }
        }
        for (key, holds) in [("past", exposure.past), ("other", exposure.other)] {
            if holds {
                flag.key(key);
                flag.line.extend_from_slice(b"true");
            }
        }
        flag.end();
    }
    object.line.push(b']');
}

fn push_number(number: u64, line: &mut Vec<u8>) {
    if number <= LARGEST_EXACT {
        return push_padded(number, 1, line);
    }
    line.push(b'"');
    push_padded(number, 1, line);
    line.push(b'"');
}

fn push_string(text: &str, line: &mut Vec<u8>) {
    line.push(b'"');
    let needs_escape = |character: char| {
        matches!(
            character,
            '"' | '\\' | '\0'..='\u{1f}' | '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    for piece in text.split_inclusive(needs_escape) {
        let Some(last) = piece.chars().next_back().filter(|last| needs_escape(*last)) else {
            line.extend_from_slice(piece.as_bytes());
            continue;
        };
        let plain = piece.len() - last.len_utf8();
        line.extend_from_slice(piece.get(..plain).unwrap_or("").as_bytes());
        match last {
            '"' | '\\' => {
                line.push(b'\\');
                line.extend_from_slice(last.encode_utf8(&mut [0; 4]).as_bytes());
            }
            last => drop(write!(line, "\\u{:04x}", u32::from(last))),
        }
    }
    line.push(b'"');
}
