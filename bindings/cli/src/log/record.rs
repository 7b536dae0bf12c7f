//! A line → what is wanted of it, in each of the forms that a log may have.

use std::borrow::Cow;

use ioprofiler::LogFormat;
use ioprofiler::log_format::read::LineReader;
use ioprofiler::log_format::{unescape_apache, unescape_note};
use memchr::memmem::Finder;
use regex::bytes::{CaptureLocations, Regex};

use super::json::{self, JsonLine};
use super::time::{CommonTime, GivenTime, JsonTime};
use crate::options::Wrong;

/// What is wanted of a line.
#[derive(Debug, Default)]
pub(crate) struct Record<'l> {
    /// Seconds since the Unix epoch.
    pub(crate) second: Option<i64>,
    /// The values of `Wanted::values`, in their order.
    pub(crate) values: Vec<Option<f64>>,
    pub(crate) route: Option<Cow<'l, [u8]>>,
    pub(crate) status: Option<Cow<'l, [u8]>>,
    pub(crate) tests: Tests<'l>,
}

/// The A/B tests of a line.
#[derive(Debug, Default)]
pub(crate) enum Tests<'l> {
    #[default]
    None,
    /// Lists joined by `;`: tests, variants, and where they are logged, reasons.
    Lists(Cow<'l, [u8]>, Cow<'l, [u8]>, Option<Cow<'l, [u8]>>),
    /// Test, variant and reason of each.
    Named(Vec<(String, String, String)>),
}

/// Which parts of a line somebody will look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) values: Vec<String>,
    /// Nobody named them: a log may lack them.
    pub(crate) by_default: bool,
    pub(crate) route: bool,
    pub(crate) status: bool,
    pub(crate) tests: bool,
}

/// Reads the lines of one log.
pub(crate) enum Form {
    Format(Box<FormatForm>),
    Json(JsonTime),
    Match(Box<MatchForm>),
}

/// Why a line cannot be read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unread {
    TooLong,
    /// It differs from the format at this directive, counted from 0; or behind the last.
    At(usize),
    NotJson,
    NoMatch,
    NoTime,
}

/// A format in Apache's language.
pub(crate) struct FormatForm {
    reader: LineReader,
    common: CommonTime,
    time: Option<usize>,
    /// Nothing for one that nobody asked for by name and the format lacks.
    values: Vec<Option<usize>>,
    /// The note, or else the path.
    route: Option<(usize, RouteFrom)>,
    status: Option<usize>,
    tests: Option<(usize, usize, Option<usize>)>,
    /// Values of a line, kept for their memory.
    places: Vec<(usize, usize)>,
}

#[derive(Clone, Copy)]
enum RouteFrom {
    Note,
    Path,
    RequestLine,
}

/// A regular expression and a form for times.
pub(crate) struct MatchForm {
    pattern: Regex,
    locations: CaptureLocations,
    time: GivenTime,
    time_group: Option<usize>,
    values: Vec<Value>,
    route: Option<usize>,
    status: Option<usize>,
    tests: Option<(usize, usize, Option<usize>)>,
}

enum Value {
    Group(usize),
    /// What stands behind `key=`.
    Key(Box<Finder<'static>>),
}

impl Form {
    /// # Errors
    /// The format is wrong, or has not what is wanted.
    pub(crate) fn format(format: &str, wanted: &Wanted) -> Result<Self, Wrong> {
        let usage = |error: ioprofiler::Error| Wrong::Usage(format!("--format: {error}"));
        let parsed = LogFormat::parse(format).map_err(usage)?;
        match parsed.reader().map_err(usage)? {
            None => Ok(Self::Json(JsonTime::default())),
            Some(reader) => Ok(Self::Format(Box::new(FormatForm::new(reader, wanted)?))),
        }
    }

    pub(crate) fn matching(pattern: &str, time: &str, wanted: &Wanted) -> Result<Self, Wrong> {
        MatchForm::new(pattern, time, wanted).map(|form| Self::Match(Box::new(form)))
    }

    /// What a line says.
    ///
    /// # Errors
    /// It is not of this form.
    pub(crate) fn read<'l>(
        &mut self,
        line: &'l [u8],
        wanted: &Wanted,
        record: &mut Record<'l>,
    ) -> Result<(), Unread> {
        record.values.clear();
        match self {
            Self::Format(form) => form.read(line, record),
            Self::Match(form) => form.read(line, record),
            Self::Json(time) => match JsonLine::read(line, wanted) {
                Some(read) => {
                    read.fill(time, record);
                    Ok(())
                }
                None => Err(Unread::NotJson),
            },
        }
    }

    /// Why a line could not be read, for the operator.
    pub(crate) fn why(&self, unread: Unread) -> String {
        match (unread, self) {
            (Unread::TooLong, _) => "it is longer than 1 MiB".to_owned(),
            (Unread::NotJson, _) => "it is no JSON object with a time".to_owned(),
            (Unread::NoMatch, _) => "--match does not match it".to_owned(),
            (Unread::NoTime, _) => "it has no time of the form that --time says".to_owned(),
            (Unread::At(field), Self::Format(form)) => form.differs_at(field),
            (Unread::At(_), _) => String::new(),
        }
    }
}

impl FormatForm {
    fn new(reader: LineReader, wanted: &Wanted) -> Result<Self, Wrong> {
        let known = || reader.names().collect::<Vec<_>>().join(" ");
        let missing =
            |what: &str| Wrong::Usage(format!("{what} is not in the format; it has {}", known()));
        let note = |name: &str| reader.position(&format!("%{{{name}}}n"));
        let mut values = Vec::new();
        for name in &wanted.values {
            let place = reader
                .position(name)
                .or_else(|| note(name))
                .or_else(|| reader.position(&format!("%{name}")));
            if place.is_none() && !wanted.by_default {
                return Err(missing(name));
            }
            values.push(place);
        }
        let time = reader.position("%t");
        let route = note("route")
            .map(|at| (at, RouteFrom::Note))
            .or_else(|| reader.position("%U").map(|at| (at, RouteFrom::Path)))
            .or_else(|| reader.position("%r").map(|at| (at, RouteFrom::RequestLine)));
        let status = reader.position("%s");
        let tests = match (note("ab_ids"), note("ab_variants")) {
            (Some(ids), Some(variants)) => Some((ids, variants, note("ab_reasons"))),
            _ => None,
        };
        for (wanted, has, what) in [
            (wanted.route, route.is_some(), "%{route}n, %U or %r"),
            (wanted.status, status.is_some(), "%s"),
            (
                wanted.tests,
                tests.is_some(),
                "%{ab_ids}n with %{ab_variants}n",
            ),
        ] {
            if wanted && !has {
                return Err(missing(what));
            }
        }
        Ok(Self {
            common: CommonTime::default(),
            time,
            values,
            route: route.filter(|_| wanted.route),
            status: status.filter(|_| wanted.status),
            tests: tests.filter(|_| wanted.tests),
            places: Vec::new(),
            reader,
        })
    }

    fn differs_at(&self, field: usize) -> String {
        match (self.reader.names().nth(field), self.reader.names().last()) {
            (Some(name), _) => format!("at {name} it is not as the format says"),
            (None, Some(last)) => format!("something stands behind {last}, the format's last"),
            (None, None) => "it is not as the format says".to_owned(),
        }
    }

    fn read<'l>(&mut self, line: &'l [u8], record: &mut Record<'l>) -> Result<(), Unread> {
        let read = self.reader.read_places(line, &mut self.places);
        read.map_err(|malformed| Unread::At(malformed.field))?;
        let places = &self.places;
        let value = |at: usize| -> &'l [u8] {
            let (from, to) = places.get(at).copied().unwrap_or_default();
            line.get(from..to).unwrap_or_default()
        };
        record.second = self.time.and_then(|at| self.common.read(value(at)));
        record.values.extend(
            self.values
                .iter()
                .map(|at| at.and_then(|at| number(value(at)))),
        );
        record.status = self.status.map(|at| Cow::Borrowed(value(at)));
        record.route = self.route.and_then(|(at, from)| route(value(at), from));
        record.tests = match self.tests {
            None => Tests::None,
            Some((ids, variants, reasons)) => {
                let value = |at| Cow::Borrowed(value(at));
                Tests::Lists(value(ids), value(variants), reasons.map(value))
            }
        };
        Ok(())
    }
}

fn route(text: &[u8], from: RouteFrom) -> Option<Cow<'_, [u8]>> {
    match from {
        RouteFrom::Note => unescape_note(text),
        RouteFrom::Path => Some(unescape_apache(text)),
        RouteFrom::RequestLine => {
            let mut words = text.split(|byte| *byte == b' ');
            let target = words.nth(1)?;
            let path = target.split(|byte| *byte == b'?').next()?;
            Some(unescape_apache(path))
        }
    }
}

impl MatchForm {
    fn new(pattern: &str, time: &str, wanted: &Wanted) -> Result<Self, Wrong> {
        let usage =
            |what: &str, why: &dyn std::fmt::Display| Wrong::Usage(format!("{what}: {why}"));
        let pattern = Regex::new(pattern).map_err(|error| usage("--match", &error))?;
        let time = GivenTime::new(time).map_err(|error| usage("--time", &error))?;
        let group = |name: &str| {
            pattern
                .capture_names()
                .position(|known| known == Some(name))
        };
        let needed = |wanted: bool, name: &str| match (wanted, group(name)) {
            (true, None) => Err(Wrong::Usage(format!(
                "--match has no group (?<{name}>…), which --by needs"
            ))),
            (true, found) => Ok(found),
            (false, _) => Ok(None),
        };
        let values = wanted.values.iter().map(|name| match group(name) {
            Some(group) => Value::Group(group),
            None => Value::Key(Box::new(Finder::new(&format!("{name}=")).into_owned())),
        });
        let values = values.collect();
        let (route, status) = (
            needed(wanted.route, "route")?,
            needed(wanted.status, "status")?,
        );
        let ids = needed(wanted.tests, "ab_ids")?;
        let variants = needed(wanted.tests, "ab_variants")?;
        Ok(Self {
            time_group: group("time"),
            tests: ids
                .zip(variants)
                .map(|(ids, variants)| (ids, variants, group("ab_reasons"))),
            locations: pattern.capture_locations(),
            time,
            values,
            route,
            status,
            pattern,
        })
    }

    fn read<'l>(&mut self, line: &'l [u8], record: &mut Record<'l>) -> Result<(), Unread> {
        let matched = self.pattern.captures_read(&mut self.locations, line);
        matched.ok_or(Unread::NoMatch)?;
        let locations = &self.locations;
        let group = |at: usize| -> Option<&'l [u8]> {
            let (from, to) = locations.get(at)?;
            line.get(from..to)
        };
        let time = match self.time_group {
            Some(at) => group(at),
            None => Some(line),
        };
        record.second = time.and_then(|text| self.time.read(text));
        record.second.ok_or(Unread::NoTime)?;
        for value in &self.values {
            record.values.push(match value {
                Value::Group(at) => group(*at).and_then(number),
                Value::Key(key) => behind_key(line, key),
            });
        }
        record.route = self.route.and_then(group).map(Cow::Borrowed);
        record.status = self.status.and_then(group).map(Cow::Borrowed);
        record.tests = match self.tests {
            Some((ids, variants, reasons)) => match (group(ids), group(variants)) {
                (Some(ids), Some(variants)) => Tests::Lists(
                    ids.into(),
                    variants.into(),
                    reasons.and_then(group).map(Cow::Borrowed),
                ),
                _ => Tests::None,
            },
            None => Tests::None,
        };
        Ok(())
    }
}

/// The number behind `key=`, where a word begins with the key.
fn behind_key(line: &[u8], key: &Finder<'_>) -> Option<f64> {
    let at = key.find_iter(line).find(|at| {
        let before = at.checked_sub(1).and_then(|before| line.get(before));
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
    })?;
    let rest = line.get(at + key.needle().len()..)?;
    let is_part =
        |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    let end = rest
        .iter()
        .position(|byte| !is_part(byte))
        .unwrap_or(rest.len());
    number(rest.get(..end)?.trim_suffix_of(b'.'))
}

trait TrimSuffix {
    fn trim_suffix_of(&self, byte: u8) -> &Self;
}

impl TrimSuffix for [u8] {
    /// Without the full stop of a sentence.
    fn trim_suffix_of(&self, byte: u8) -> &Self {
        self.strip_suffix(&[byte]).unwrap_or(self)
    }
}

/// A number; nothing for what is none, and for what is not finite.
pub(crate) fn number(text: &[u8]) -> Option<f64> {
    if text.len() <= 15 && !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        let whole = text
            .iter()
            .fold(0_u64, |whole, digit| whole * 10 + u64::from(digit - b'0'));
        return Some(whole as f64);
    }
    let number: f64 = str::from_utf8(text).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

impl<'l> json::JsonLine<'l> {
    fn fill(self, time: &mut JsonTime, record: &mut Record<'l>) {
        record.second = self.time.as_deref().and_then(|text| time.read(text));
        record.values.extend(self.values);
        record.route = self.route.map(bytes);
        record.status = self
            .status
            .map(|status| Cow::Owned(status.to_string().into_bytes()));
        record.tests = match self.lists {
            [Some(ids), Some(variants), reasons] => {
                Tests::Lists(bytes(ids), bytes(variants), reasons.map(bytes))
            }
            _ => Tests::Named(self.flags),
        };
    }
}

fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (text, wanted) in [
            ("0", Some(0.0)),
            ("373846", Some(373_846.0)),
            ("12345678901234567890", Some(12_345_678_901_234_567_890.0)),
            ("-5", Some(-5.0)),
            ("0.25", Some(0.25)),
            ("1e3", Some(1_000.0)),
            ("-", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
            ("12a", None),
        ] {
            assert_eq!(number(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn keys_begin_a_word() {
        let find = |line: &str| behind_key(line.as_bytes(), &Finder::new("execTime="));
        assert_eq!(find("listingsv2.search: execTime=40, listings"), Some(40.0));
        assert_eq!(find("myexecTime=1 execTime=2.5."), Some(2.5));
        assert_eq!(find("execTime=-3e2;"), Some(-300.0));
        assert_eq!(find("execTime="), None);
        assert_eq!(find("nothing"), None);
    }
}
