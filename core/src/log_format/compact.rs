//! The compact note: a few fields about a request, short and tame enough for any server's own line
//! and for any header.
//!
//! The original's: `6;12;14 0;0;1 5020244 8912896 373846`. Fields stand apart by one space, items
//! of a list by `;`; what is absent is `-`. Every byte is one that no server alters. A note that
//! would be longer than its cap ends before the first field that does not fit, with the field `~`
//! in its place.

use super::directive::{Directive, Writing};
use super::escape::escape_note;
use super::{Item, directives, parse};
use crate::error::Error;
use crate::profile::ProfileData;
use jiff::tz::TimeZone;

/// What stands in a compact note, and how long it may be.
///
/// ```
/// use ioprofiler::NoteFormat;
/// use ioprofiler::profile::ProfileData;
///
/// let format = NoteFormat::parse("%{user_id}n %{app_us}n %s").unwrap();
/// let mut data = ProfileData::default();
/// data.facts.user = Some("5020244".to_owned());
/// data.app_ns = 373_846_000;
/// assert_eq!(format.write(&data), "5020244 373846 -");
/// ```
#[derive(Clone, Debug)]
pub struct NoteFormat {
    fields: Vec<Vec<Item>>,
    most: usize,
}

/// uWSGI keeps no more of a variable.
const DEFAULT_MOST: usize = 255;
/// Past this, lines and headers of servers are in danger.
const HARD_MOST: usize = 1_000;
/// Stands for the fields that did not fit.
const CUT: &str = "~";

impl NoteFormat {
    /// What the original logged, without the server's own time: A/B tests, variants, user, memory
    /// and the application's time.
    pub const ETSY: &'static str = "%{ab_ids}n %{ab_variants}n %{user_id}n %{memory}n %{app_us}n";

    /// Fields as in an access log's format (see [`log_format`](crate::log_format)), one space
    /// between two of them. What else stands in a field must be of the alphabet of notes.
    ///
    /// # Errors
    /// As [`LogFormat::parse`](super::LogFormat::parse), and where something else is not of the
    /// alphabet.
    pub fn parse(format: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::new(format!("note format {format:?}: {why}"));
        let mut fields = vec![Vec::new()];
        for item in parse::items(format)? {
            match item {
                Item::Directive(directive) => {
                    if directive.time().is_some_and(|time| time.is_common()) {
                        return Err(wrong("%t needs a form of its own here, as in %{sec}t"));
                    }
                    push(&mut fields, Item::Directive(directive));
                }
                Item::Literal(text) => {
                    for (number, part) in text.split(' ').enumerate() {
                        if number > 0 {
                            fields.push(Vec::new());
                        }
                        let mut escaped = Vec::new();
                        escape_note(part.as_bytes(), &mut escaped);
                        if escaped.contains(&b'%') && part != "-" {
                            return Err(wrong(
                                "only letters, digits, spaces and . _ ~ : ; , / @ + = - may stand \
                                 between directives",
                            ));
                        }
                        if !part.is_empty() {
                            push(&mut fields, Item::Literal(part.to_owned()));
                        }
                    }
                }
            }
        }
        if fields.iter().any(Vec::is_empty) {
            return Err(wrong("one space, and only one, stands between two fields"));
        }
        Ok(Self {
            fields,
            most: DEFAULT_MOST,
        })
    }

    /// The longest that a note may be, in bytes: 1 to 1,000. Default 255, because uWSGI keeps no
    /// more.
    ///
    /// # Errors
    /// It is out of range.
    pub fn max_bytes(mut self, most: usize) -> Result<Self, Error> {
        if !(1..=HARD_MOST).contains(&most) {
            return Err(Error::new(format!(
                "note_max_bytes: {most} is not between 1 and {HARD_MOST}"
            )));
        }
        self.most = most;
        Ok(self)
    }

    /// The note of a request: printable ASCII without `"` and `\`, never empty, at most
    /// [`max_bytes`](Self::max_bytes) long. It is also a header's value.
    #[must_use]
    pub fn write(&self, data: &ProfileData) -> String {
        let zone = TimeZone::UTC;
        let writing = Writing::new(data, &zone, None, usize::MAX);
        let mut note = Vec::with_capacity(64);
        let mut field = Vec::with_capacity(32);
        for (number, items) in self.fields.iter().enumerate() {
            field.clear();
            for item in items {
                match item {
                    Item::Literal(text) => field.extend_from_slice(text.as_bytes()),
                    Item::Directive(directive) => write_tamely(directive, &writing, &mut field),
                }
            }
            let space = usize::from(number > 0);
            let is_last = number + 1 == self.fields.len();
            // Unless it is the last one, the mark must still fit behind it.
            let reserved = if is_last { 0 } else { 1 + CUT.len() };
            if note.len() + space + field.len() + reserved > self.most {
                note.extend_from_slice(if space > 0 { b" " } else { b"" });
                note.extend_from_slice(CUT.as_bytes());
                break;
            }
            note.extend_from_slice(if space > 0 { b" " } else { b"" });
            note.append(&mut field);
        }
        String::from_utf8(note).unwrap_or_default()
    }

    /// Whether it needs the list of calls; otherwise nobody reads it for the note.
    #[must_use]
    pub fn needs_calls(&self) -> bool {
        self.directives().any(Directive::needs_calls)
    }

    /// The request headers that it names, in small letters.
    #[must_use]
    pub fn request_headers(&self) -> Vec<String> {
        super::named(self.directives().filter_map(Directive::request_header))
    }

    /// The headers of answers that it names, in small letters.
    #[must_use]
    pub fn answer_headers(&self) -> Vec<String> {
        super::named(self.directives().filter_map(Directive::answer_header))
    }

    fn directives(&self) -> impl Iterator<Item = &Directive> {
        self.fields.iter().flat_map(|items| directives(items))
    }
}

fn push(fields: &mut [Vec<Item>], item: Item) {
    if let Some(field) = fields.last_mut() {
        field.push(item);
    }
}

/// A note is tame already; what Apache's directives write is escaped once more.
fn write_tamely(directive: &Directive, writing: &Writing<'_>, field: &mut Vec<u8>) {
    if directive.is_note() {
        return directive.write(writing, field);
    }
    let mut raw = Vec::new();
    directive.write(writing, &mut raw);
    match raw.as_slice() {
        b"-" => field.push(b'-'),
        raw => escape_note(&super::unescape_apache(raw), field),
    }
}
