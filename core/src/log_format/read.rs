//! Lines read back: which bytes of a line each directive of its format wrote.

use super::directive::Directive;
use super::escape::{unescape_apache, unescape_note};
use super::{Item, LogFormat};
use crate::error::Error;
use memchr::{memchr, memchr2, memmem};
use std::borrow::Cow;

/// Reads lines of one format. Made by [`LogFormat::reader`].
///
/// ```
/// use ioprofiler::LogFormat;
///
/// let format = LogFormat::parse(r#"%h %t "%r" %>s %{app_us}n"#).unwrap();
/// let reader = format.reader().unwrap().unwrap();
/// let line = br#"10.0.0.1 [23/Nov/2026:03:12:07 +0000] "GET / HTTP/1.1" 200 373846"#;
/// let mut values = Vec::new();
/// reader.read(line, &mut values).unwrap();
/// let at = reader.position("%{app_us}n").unwrap();
/// assert_eq!(values[at], b"373846");
/// ```
#[derive(Clone, Debug)]
pub struct LineReader {
    fields: Vec<Field>,
    /// What stands before the first field.
    first: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Field {
    name: String,
    is_note: bool,
    ends: Ends,
    /// What follows, and is passed over.
    after: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// With the line.
    WithLine,
    /// At its own `]`.
    AtBracket,
    /// At a quote that no backslash stands before.
    AtQuote,
    /// Where what follows begins for the first time.
    BeforeLiteral,
    /// As above, where a `[` stands behind it: a user's name may have spaces.
    BeforeLiteralAndBracket,
}

/// A line is not of the format.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Which field is missing or does not end, counted from 0; the number of fields where something
    /// stands behind the last one.
    pub field: usize,
}

impl LineReader {
    pub(super) fn new(items: &[Item]) -> Result<Self, Error> {
        let mut first = Vec::new();
        let mut fields: Vec<Field> = Vec::new();
        for item in items {
            match (item, fields.last_mut()) {
                (Item::Literal(text), None) => first.extend_from_slice(text.as_bytes()),
                (Item::Literal(text), Some(field)) => {
                    field.after.extend_from_slice(text.as_bytes())
                }
                (Item::Directive(directive), _) => fields.push(Field::of(directive)),
            }
        }
        let quoted: Vec<bool> = std::iter::once(first.ends_with(b"\""))
            .chain(fields.iter().map(|field| field.after.ends_with(b"\"")))
            .collect();
        let brackets: Vec<bool> = fields
            .iter()
            .skip(1)
            .map(|field| field.ends == Ends::AtBracket)
            .chain([false])
            .collect();
        let last = fields.len().saturating_sub(1);
        for (at, ((field, quoted), bracket)) in
            fields.iter_mut().zip(quoted).zip(brackets).enumerate()
        {
            if field.ends == Ends::AtBracket {
                continue;
            }
            field.ends = match field.after.first() {
                None if at == last => Ends::WithLine,
                None => {
                    return Err(Error::new(format!(
                        "log format: nobody can tell where {} ends: nothing stands behind it",
                        field.name
                    )));
                }
                Some(b'"') if quoted => Ends::AtQuote,
                Some(_) if bracket => Ends::BeforeLiteralAndBracket,
                Some(_) => Ends::BeforeLiteral,
            };
        }
        Ok(Self { fields, first })
    }

    /// The directives as an operator writes them, without `>` and conditions: `%s`, `%{app_us}n`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Where a directive's value stands among the values.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names().position(|known| known == name)
    }

    /// Fills `values` with the bytes that each directive wrote, escaped as they stand. The line
    /// is given without its end.
    ///
    /// # Errors
    /// The line is not of this format; `values` then holds what was read before.
    pub fn read<'l>(&self, line: &'l [u8], values: &mut Vec<&'l [u8]>) -> Result<(), Malformed> {
        values.clear();
        self.each(line, |from, to| {
            values.push(line.get(from..to).unwrap_or_default());
        })
    }

    /// As [`LineReader::read`], with the places of the values in the line: from where, to where.
    ///
    /// # Errors
    /// As [`LineReader::read`].
    pub fn read_places(
        &self,
        line: &[u8],
        places: &mut Vec<(usize, usize)>,
    ) -> Result<(), Malformed> {
        places.clear();
        self.each(line, |from, to| places.push((from, to)))
    }

    #[inline]
    fn each(&self, line: &[u8], mut take: impl FnMut(usize, usize)) -> Result<(), Malformed> {
        if !line.starts_with(&self.first) {
            return Err(Malformed { field: 0 });
        }
        let mut at = self.first.len();
        for (number, field) in self.fields.iter().enumerate() {
            let malformed = Malformed { field: number };
            let rest = line.get(at..).ok_or(malformed)?;
            let length = field.length(rest).ok_or(malformed)?;
            let behind = rest.get(length..).ok_or(malformed)?;
            if !behind.starts_with(&field.after) {
                return Err(malformed);
            }
            take(at, at + length);
            at += length + field.after.len();
        }
        if at == line.len() {
            Ok(())
        } else {
            let field = self.fields.len();
            Err(Malformed { field })
        }
    }

    /// What was written: escapes undone, nothing where the value is absent (`-`).
    #[must_use]
    pub fn decode<'l>(&self, position: usize, value: &'l [u8]) -> Option<Cow<'l, [u8]>> {
        let is_note = self.fields.get(position).is_some_and(|field| field.is_note);
        match value {
            b"-" => None,
            value if is_note => unescape_note(value),
            value => Some(unescape_apache(value)),
        }
    }
}

impl Field {
    fn of(directive: &Directive) -> Self {
        let is_common_time = directive.time().is_some_and(|time| time.is_common());
        Self {
            name: directive.name().into_owned(),
            is_note: directive.is_note(),
            ends: if is_common_time && directive.only.is_none() {
                Ends::AtBracket
            } else {
                Ends::WithLine
            },
            after: Vec::new(),
        }
    }

    /// How many bytes of the rest of a line are this field's.
    #[inline]
    fn length(&self, rest: &[u8]) -> Option<usize> {
        match self.ends {
            Ends::WithLine => Some(rest.len()),
            Ends::AtBracket if rest.first() == Some(&b'[') => Some(memchr(b']', rest)? + 1),
            Ends::AtBracket => None,
            Ends::AtQuote => unescaped_quote(rest),
            Ends::BeforeLiteral => match self.after.as_slice() {
                [byte] => memchr(*byte, rest),
                after => memmem::find(rest, after),
            },
            Ends::BeforeLiteralAndBracket => {
                let bracket = |at: usize| rest.get(at + self.after.len()) == Some(&b'[');
                memmem::find_iter(rest, &self.after).find(|at| bracket(*at))
            }
        }
    }
}

/// Where the first quote stands that no backslash stands before.
#[inline]
fn unescaped_quote(text: &[u8]) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at);
        }
        from = at + 2;
    }
}

/// The values of one line by the names of their directives, escapes undone: for tests and small
/// tools. Nothing where the line is not of the format, or the format is JSON.
///
/// ```
/// use ioprofiler::LogFormat;
/// use ioprofiler::log_format::read::read_line;
///
/// let format = LogFormat::parse(r#"%h "%{User-Agent}i" %{cart}n"#).unwrap();
/// let values = read_line(&format, r#"10.0.0.1 "say \"hi\"" 3%20things"#).unwrap();
/// assert_eq!(values[1], ("%{User-Agent}i".to_owned(), Some(b"say \"hi\"".to_vec())));
/// assert_eq!(values[2].1.as_deref(), Some(b"3 things".as_slice()));
/// ```
#[must_use]
pub fn read_line(format: &LogFormat, line: &str) -> Option<Vec<(String, Option<Vec<u8>>)>> {
    let reader = format.reader().ok()??;
    let mut values = Vec::new();
    reader.read(line.as_bytes(), &mut values).ok()?;
    let decoded = values.iter().enumerate().map(|(at, value)| {
        let decoded = reader.decode(at, value).map(Cow::into_owned);
        (reader.names().nth(at).unwrap_or("").to_owned(), decoded)
    });
    Some(decoded.collect())
}
