//! The line that a request leaves in the log: what it is made of, and how it is escaped.
//!
//! A format is written in the language of Apache's `LogFormat`, so that an operator's own string
//! works as it is; a directive that only a web server can know is an error that names it and its
//! column. Apache's directives come out as Apache 2.4 writes them, byte for byte; notes use only
//! characters that no server alters. Nothing that a client sends can forge a line or a field.
//!
//! | directive | is |
//! | --- | --- |
//! | `%h` `%a` | the peer's address |
//! | `%l` | `-` |
//! | `%u` | the user |
//! | `%t` `%{FORMAT}t` | when the request began: `[23/Nov/2026:03:12:07 +0000]`, by strftime, or `sec`, `msec`, `usec`, `msec_frac`, `usec_frac`; with `end:` before it, when it ended |
//! | `%r` | the request line |
//! | `%m` `%U` `%q` `%H` | method, path without its `%XX`, query with its `?`, protocol |
//! | `%s` `%>s` `%<s` | status |
//! | `%b` `%B` | bytes of the body; nothing is `-` or `0` |
//! | `%D` `%T` `%{ms}T` `%{us}T` `%{s}T` | from begin to end in µs, s, ms, µs, s |
//! | `%v` `%V` `%p` | [`server_name`](LogFormat::server_name) or Host, Host, port |
//! | `%{X}i` `%{X}o` | a header of the request, of the answer |
//! | `%{X}n` | a note, of the application or ready made |
//! | `%{X}C` | a cookie |
//! | `%%` | `%` |
//!
//! `%400,501{X}i` writes the directive only for these statuses, `%!200,304{X}i` for all others;
//! `-` otherwise. `\"`, `\\` and `\t` are what they are elsewhere.
//!
//! # Ready-made notes
//!
//! A note that the application set under one of these names stands in its place.
//!
//! | note | is |
//! | --- | --- |
//! | `ab_ids` `ab_variants` `ab_reasons` | the flags with a number that were evaluated, joined by `;`, ascending, equally long |
//! | `flags` `flags_version` `shed` | `new_search:green;cart:off`, the flags file's version, what is shed |
//! | `user_id` `visitor` `request_id` `trace_id` `route` `build` | as in the profile; a route that is not known is `unknown` |
//! | `host` | the machine's name |
//! | `app_us` | begin to the answer's first byte or the first snapshot, µs |
//! | `calls` `errors` | calls, and those that failed |
//! | `io_us` `io_sum_us` `other_us` | I/O wall, the sum of all I/O, the page minus I/O wall, µs |
//! | `memory` | what the host measured for this request, bytes: set as a note by the host |
//! | `rss` | resident memory of the process, bytes |
//! | `CATEGORY.calls` `CATEGORY.us` | of one category |

pub mod compact;
mod directive;
mod escape;
mod json;
mod parse;
pub mod read;
mod ready;
mod time;

use crate::error::Error;
use crate::profile::ProfileData;
use crate::render::Details;
use directive::{Directive, Writing};
use jiff::tz::TimeZone;

pub use compact::NoteFormat;
pub use escape::{escape_apache, escape_note, unescape_apache, unescape_note};

/// Apache's `common`.
pub const COMMON: &str = "%h %l %u %t \"%r\" %>s %b";
/// Apache's `combined`.
pub const COMBINED: &str = "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\"";

/// What a line of the access log looks like.
///
/// ```
/// use ioprofiler::LogFormat;
/// use ioprofiler::profile::ProfileData;
///
/// let format = LogFormat::parse(r#"%h "%r" %>s %{user_id}n"#).unwrap();
/// let mut data = ProfileData::default();
/// data.facts.method = "GET".to_owned();
/// data.facts.path = "/listing/5773453".to_owned();
/// data.facts.user = Some("5020244".to_owned());
/// assert_eq!(format.line(&data), r#"- "GET /listing/5773453" - 5020244"#);
///
/// let wrong = LogFormat::parse("%h %Z").unwrap_err();
/// assert!(wrong.to_string().starts_with("log format, column 4: %Z is not known"));
/// ```
#[derive(Clone, Debug)]
pub struct LogFormat {
    form: Form,
    zone: TimeZone,
    server_name: Option<String>,
}

#[derive(Clone, Debug)]
enum Form {
    Apache(Vec<Item>),
    Json(Details),
}

/// A piece of a format.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Literal(String),
    Directive(Directive),
}

impl LogFormat {
    /// A format in Apache's language, or one of `common`, `combined` and `json`. Times are in the
    /// machine's own time zone (which is looked up now), as Apache's are.
    ///
    /// # Errors
    /// A directive is not known, not complete, or has an argument that it cannot have; the
    /// message names it, its column, and what is allowed.
    pub fn parse(format: &str) -> Result<Self, Error> {
        let form = match format {
            "json" => Form::Json(Details::Fingerprint),
            "common" => Form::Apache(parse::items(COMMON)?),
            "combined" => Form::Apache(parse::items(COMBINED)?),
            format => Form::Apache(parse::items(format)?),
        };
        Ok(Self {
            form,
            zone: TimeZone::system(),
            server_name: None,
        })
    }

    /// One JSON object a line: facts, all notes, totals per category, flags with reasons, trace
    /// id. Times are in UTC.
    #[must_use]
    pub fn json() -> Self {
        Self {
            form: Form::Json(Details::Fingerprint),
            zone: TimeZone::UTC,
            server_name: None,
        }
    }

    /// Whether URLs of JSON lines show the values of their query and errors their message:
    /// `Details::Full`. Otherwise they are masked. A format in Apache's language says itself what
    /// it shows.
    #[must_use]
    pub fn details(mut self, details: Details) -> Self {
        if let Form::Json(now) = &mut self.form {
            *now = details;
        }
        self
    }

    /// The time zone of `%t`: `UTC`, `local` or a name as `America/New_York`.
    ///
    /// # Errors
    /// The machine knows no such time zone.
    pub fn time_zone(mut self, name: &str) -> Result<Self, Error> {
        self.zone = match name {
            "UTC" => TimeZone::UTC,
            "local" => TimeZone::system(),
            name => TimeZone::get(name).map_err(|error| {
                Error::new(format!(
                    "time_zone: {name:?} is not \"UTC\", \"local\" or a name that this machine \
                     knows, as \"America/New_York\": {error}"
                ))
            })?,
        };
        Ok(self)
    }

    /// What `%v` writes. Otherwise it is the name in the Host header, as `%V`.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Whether it is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        matches!(self.form, Form::Json(_))
    }

    /// The line of a request, without its end.
    #[must_use]
    pub fn line(&self, data: &ProfileData) -> String {
        let mut line = Vec::with_capacity(512);
        self.write(data, &mut line);
        String::from_utf8(line).unwrap_or_default()
    }

    /// Appends the line of a request, without its end: UTF-8, without a control character but tabs
    /// of the format's own.
    pub fn write(&self, data: &ProfileData, line: &mut Vec<u8>) {
        self.write_bounded(data, line, usize::MAX);
    }

    /// As [`LogFormat::write`], with at most so many bytes, where that can be had by cutting what
    /// clients send, and then by leaving out what is least. `true` where something was cut.
    pub fn write_at_most(&self, data: &ProfileData, line: &mut Vec<u8>, most: usize) -> bool {
        let start = line.len();
        for longest in [usize::MAX, 512, 128, 32, 0] {
            line.truncate(start);
            self.write_bounded(data, line, longest);
            if line.len() - start <= most {
                return longest != usize::MAX;
            }
        }
        if self.is_json() {
            // What is left is numbers and fixed names: a line that says so is better than half an
            // object.
            line.truncate(start);
            line.extend_from_slice(b"{\"cut\":true}");
        } else {
            line.truncate(start + most);
            while std::str::from_utf8(line.get(start..).unwrap_or_default()).is_err() {
                line.pop();
            }
        }
        true
    }

    fn write_bounded(&self, data: &ProfileData, line: &mut Vec<u8>, longest: usize) {
        match &self.form {
            Form::Json(details) => json::write(data, *details, longest, line),
            Form::Apache(items) => {
                let server_name = self.server_name.as_deref();
                let writing = Writing::new(data, &self.zone, server_name, longest);
                write_items(items, &writing, line);
            }
        }
    }

    /// Whether a line needs the list of calls; otherwise nobody reads it for the log.
    #[must_use]
    pub fn needs_calls(&self) -> bool {
        match &self.form {
            Form::Json(_) => true,
            Form::Apache(items) => directives(items).any(Directive::needs_calls),
        }
    }

    /// The request headers that it names, in small letters.
    #[must_use]
    pub fn request_headers(&self) -> Vec<String> {
        match &self.form {
            Form::Json(_) => json::HEADERS.map(str::to_owned).to_vec(),
            Form::Apache(items) => named(directives(items).filter_map(Directive::request_header)),
        }
    }

    /// The headers of answers that it names, in small letters.
    #[must_use]
    pub fn answer_headers(&self) -> Vec<String> {
        match &self.form {
            Form::Json(_) => Vec::new(),
            Form::Apache(items) => named(directives(items).filter_map(Directive::answer_header)),
        }
    }

    /// What reads lines of this format back; nothing for JSON, which needs no help.
    ///
    /// # Errors
    /// Two directives stand so that nobody can tell where one ends.
    pub fn reader(&self) -> Result<Option<read::LineReader>, Error> {
        match &self.form {
            Form::Json(_) => Ok(None),
            Form::Apache(items) => read::LineReader::new(items).map(Some),
        }
    }
}

pub(crate) fn write_items(items: &[Item], writing: &Writing<'_>, line: &mut Vec<u8>) {
    for item in items {
        match item {
            Item::Literal(text) => line.extend_from_slice(text.as_bytes()),
            Item::Directive(directive) => directive.write(writing, line),
        }
    }
}

pub(crate) fn directives(items: &[Item]) -> impl Iterator<Item = &Directive> {
    items.iter().filter_map(|item| match item {
        Item::Literal(_) => None,
        Item::Directive(directive) => Some(directive),
    })
}

fn named<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut list: Vec<String> = names.map(str::to_ascii_lowercase).collect();
    list.sort();
    list.dedup();
    list
}
