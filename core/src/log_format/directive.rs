//! One directive of a format, written for one request.

use super::escape::{escape_apache, unescape_percent};
use super::ready::NoteName;
use super::time::TimeFormat;
use crate::profile::ProfileData;
use crate::table::{Table, times};
use crate::text::cut_bytes;
use jiff::tz::TimeZone;
use std::borrow::Cow;
use std::cell::OnceCell;

/// A directive, and for which statuses it is written.
#[derive(Clone, Debug)]
pub(crate) struct Directive {
    pub(super) what: What,
    pub(super) only: Option<Condition>,
}

#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) negated: bool,
    pub(super) statuses: Vec<u16>,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    RemoteHost,
    RemoteAddress,
    LogName,
    User,
    Time(TimeFormat),
    RequestLine,
    Method,
    Path,
    Query,
    Protocol,
    Status,
    BytesOrDash,
    Bytes,
    Duration(Unit),
    ServerName,
    HostName,
    Port,
    RequestHeader(String),
    AnswerHeader(String),
    Note(NoteName),
    Cookie(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
    Microseconds,
}

/// What all directives of a line share.
pub(crate) struct Writing<'a> {
    pub(super) data: &'a ProfileData,
    zone: &'a TimeZone,
    server_name: Option<&'a str>,
    /// Bytes of each text that a client sent; longer ones are cut.
    longest: usize,
    table: OnceCell<Table>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        data: &'a ProfileData,
        zone: &'a TimeZone,
        server_name: Option<&'a str>,
        longest: usize,
    ) -> Self {
        Self {
            data,
            zone,
            server_name,
            longest,
            table: OnceCell::new(),
        }
    }

    /// The times that need the list of calls, made when first asked for.
    pub(super) fn table(&self) -> &Table {
        self.table.get_or_init(|| times(self.data))
    }

    fn text(&self, text: &[u8], line: &mut Vec<u8>) {
        escape_apache(cut_bytes(text, self.longest), line);
    }

    fn text_or_dash(&self, text: Option<&[u8]>, line: &mut Vec<u8>) {
        match text {
            Some(text) => self.text(text, line),
            None => line.push(b'-'),
        }
    }

    pub(super) fn cut<'t>(&self, text: &'t str) -> &'t str {
        crate::text::cut_str(text, self.longest)
    }
}

impl Directive {
    pub(super) fn needs_calls(&self) -> bool {
        matches!(&self.what, What::Note(name) if name.needs_calls())
    }

    pub(super) fn request_header(&self) -> Option<&str> {
        match &self.what {
            What::RequestHeader(name) => Some(name),
            What::Cookie(_) => Some("cookie"),
            _ => None,
        }
    }

    pub(super) fn answer_header(&self) -> Option<&str> {
        match &self.what {
            What::AnswerHeader(name) => Some(name),
            _ => None,
        }
    }

    /// As an operator would write it, without its conditions: `%{app_us}n`, `%D`.
    pub(super) fn name(&self) -> Cow<'_, str> {
        let named = |name: &str, letter: char| Cow::Owned(format!("%{{{name}}}{letter}"));
        Cow::Borrowed(match &self.what {
            What::RequestHeader(name) => return named(name, 'i'),
            What::AnswerHeader(name) => return named(name, 'o'),
            What::Note(name) => return named(name.as_str(), 'n'),
            What::Cookie(name) => return named(name, 'C'),
            What::RemoteHost => "%h",
            What::RemoteAddress => "%a",
            What::LogName => "%l",
            What::User => "%u",
            What::Time(_) => "%t",
            What::RequestLine => "%r",
            What::Method => "%m",
            What::Path => "%U",
            What::Query => "%q",
            What::Protocol => "%H",
            What::Status => "%s",
            What::BytesOrDash => "%b",
            What::Bytes => "%B",
            What::Duration(Unit::Seconds) => "%T",
            What::Duration(Unit::Milliseconds) => "%{ms}T",
            What::Duration(Unit::Microseconds) => "%D",
            What::ServerName => "%v",
            What::HostName => "%V",
            What::Port => "%p",
        })
    }

    /// How its time is written, where it is one.
    pub(super) fn time(&self) -> Option<&TimeFormat> {
        match &self.what {
            What::Time(format) => Some(format),
            _ => None,
        }
    }

    pub(super) fn is_note(&self) -> bool {
        matches!(self.what, What::Note(_))
    }

    /// Whether its status lets it be written.
    pub(super) fn applies(&self, data: &ProfileData) -> bool {
        self.only.as_ref().is_none_or(|only| {
            let status = data.facts.status.unwrap_or(0);
            only.statuses.contains(&status) != only.negated
        })
    }

    pub(super) fn write(&self, writing: &Writing<'_>, line: &mut Vec<u8>) {
        let data = writing.data;
        if !self.applies(data) {
            line.push(b'-');
            return;
        }
        let facts = &data.facts;
        match &self.what {
            What::RemoteHost | What::RemoteAddress => {
                writing.text_or_dash(facts.peer.as_deref().map(str::as_bytes), line);
            }
            What::LogName => line.push(b'-'),
            What::User => match facts.user.as_deref() {
                // As Apache shows a user without a name.
                Some("") => line.extend_from_slice(b"\"\""),
                user => writing.text_or_dash(user.map(str::as_bytes), line),
            },
            What::Time(time) if time.at_end => {
                time.write(
                    data.started_at.saturating_add(data.page_ns),
                    writing.zone,
                    line,
                );
            }
            What::Time(time) => time.write(data.started_at, writing.zone, line),
            What::RequestLine => request_line(writing, line),
            What::Method => writing.text(facts.method.as_bytes(), line),
            What::Path => writing.text(&unescape_percent(facts.path.as_bytes()), line),
            What::Query => query(writing, line),
            What::Protocol => {
                writing.text_or_dash(facts.protocol.as_deref().map(str::as_bytes), line);
            }
            What::Status => match facts.status {
                None | Some(0) => line.push(b'-'),
                Some(status) => push_padded(status.into(), 1, line),
            },
            What::BytesOrDash => match facts.bytes_out {
                None | Some(0) => line.push(b'-'),
                Some(bytes) => push_padded(bytes, 1, line),
            },
            What::Bytes => push_padded(facts.bytes_out.unwrap_or(0), 1, line),
            What::Duration(unit) => push_padded(unit.of(data.page_ns), 1, line),
            What::ServerName => match writing.server_name {
                Some(name) => writing.text(name.as_bytes(), line),
                None => host_name(writing, line),
            },
            What::HostName => host_name(writing, line),
            What::Port => push_padded(port(data), 1, line),
            What::RequestHeader(name) => {
                writing.text_or_dash(joined(&facts.headers, name).as_deref(), line);
            }
            What::AnswerHeader(name) => {
                writing.text_or_dash(answer_header(&facts.answer_headers, name).as_deref(), line);
            }
            What::Note(name) => name.write(writing, line),
            What::Cookie(name) => {
                let cookies = joined(&facts.headers, "cookie");
                let value = cookies.as_deref().and_then(|cookies| cookie(cookies, name));
                writing.text_or_dash(value, line);
            }
        }
    }
}

impl Unit {
    fn of(self, nanoseconds: u64) -> u64 {
        match self {
            Self::Seconds => nanoseconds / 1_000_000_000,
            Self::Milliseconds => nanoseconds / 1_000_000,
            Self::Microseconds => nanoseconds / 1_000,
        }
    }
}

/// As the client sent it.
fn request_line(writing: &Writing<'_>, line: &mut Vec<u8>) {
    let facts = &writing.data.facts;
    writing.text(facts.method.as_bytes(), line);
    line.push(b' ');
    writing.text(facts.path.as_bytes(), line);
    query(writing, line);
    if let Some(protocol) = &facts.protocol {
        line.push(b' ');
        writing.text(protocol.as_bytes(), line);
    }
}

fn query(writing: &Writing<'_>, line: &mut Vec<u8>) {
    if let Some(query) = &writing.data.facts.query {
        line.push(b'?');
        writing.text(query.as_bytes(), line);
    }
}

/// The name in the Host header, in small letters, and its port.
fn host_and_port(data: &ProfileData) -> (&str, Option<u64>) {
    let host = data.facts.host.as_deref().unwrap_or("");
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port.parse().ok()),
        _ => (host, None),
    }
}

fn host_name(writing: &Writing<'_>, line: &mut Vec<u8>) {
    match host_and_port(writing.data) {
        ("", _) => line.push(b'-'),
        (name, _) => writing.text(name.to_ascii_lowercase().as_bytes(), line),
    }
}

fn port(data: &ProfileData) -> u64 {
    let (_, port) = host_and_port(data);
    let secure = data.facts.scheme.as_deref() == Some("https");
    port.unwrap_or(if secure { 443 } else { 80 })
}

/// All values of a header, as one.
fn joined<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<Cow<'a, [u8]>> {
    let is_it = |header: &&(String, Vec<u8>)| header.0.eq_ignore_ascii_case(name);
    let mut values = headers.iter().filter(is_it).map(|(_, value)| value);
    let first = values.next()?;
    let mut all = Cow::Borrowed(first.as_slice());
    for value in values {
        let all = all.to_mut();
        all.extend_from_slice(b", ");
        all.extend_from_slice(value);
    }
    Some(all)
}

/// As Apache logs them: of Content-Type only the type, all of Set-Cookie, of others the first.
fn answer_header<'a>(headers: &'a [(String, Vec<u8>)], name: &str) -> Option<Cow<'a, [u8]>> {
    if name.eq_ignore_ascii_case("set-cookie") {
        return joined(headers, name);
    }
    let (_, value) = headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    let value = if name.eq_ignore_ascii_case("content-type") {
        let mut parts = value.split(|byte| *byte == b';');
        parts.next().unwrap_or_default().trim_ascii_end()
    } else {
        value
    };
    Some(Cow::Borrowed(value))
}

/// The value of a cookie, found as Apache finds it: names in any case, blanks around both, the
/// first that has a value.
fn cookie<'a>(cookies: &'a [u8], name: &str) -> Option<&'a [u8]> {
    cookies.split(|byte| *byte == b';').find_map(|cookie| {
        let at = cookie.iter().position(|byte| *byte == b'=')?;
        let (known, value) = cookie.split_at_checked(at)?;
        let value = value.get(1..)?.trim_ascii();
        let found = known.trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        (found && !value.is_empty()).then_some(value)
    })
}

/// Appends a number of at least so many digits.
pub(super) fn push_padded(number: u64, least: usize, line: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut rest = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        if rest == 0 && length >= least {
            break;
        }
        // The rest of a division by ten fits a byte.
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
        length += 1;
    }
    line.extend_from_slice(digits.get(20 - length..).unwrap_or_default());
}
