//! The TOML that flag files consist of, read in one pass: thousands of flags in milliseconds.
//!
//! Only what is plain: headers, one key and value a line, values that end on their line, texts
//! without escapes. Of anything else, and of anything wrong, nothing is said here: the parser that
//! knows all of TOML reads such a file from its beginning. A test compares the two.

use super::node::{Entry, Node, Table, Value};
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::ops::Range;

/// Tables in tables in a value; deeper ones are not plain.
const MAX_DEPTH: usize = 6;

/// The document, if all of it is plain.
pub(super) fn read(text: &str) -> Option<Table> {
    let mut bytes = text.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let ends_line = byte == b'\r' && bytes.peek() == Some(&b'\n');
        if byte < b' ' && !ends_line && byte != b'\n' && byte != b'\t' || byte == 0x7f {
            return None;
        }
    }
    let mut reader = Reader {
        text,
        at: 0,
        // A name takes some twenty bytes of text.
        names: HashMap::with_capacity(text.len() / 20),
        tables: 0,
    };
    reader.document()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// What stands under a name in a table, by the table's number.
    names: HashMap<(usize, &'a str), Known>,
    /// How many tables there are; the root is number 0.
    tables: usize,
}

/// What stands under a name.
#[derive(Clone, Copy)]
enum Known {
    Value,
    /// A table that a header made or implied: its number, its position in the table around it, and
    /// whether it had a header of its own.
    Table(usize, usize, bool),
}

/// The parts of a header with their places, and its own place.
struct Header<'a> {
    parts: Vec<(&'a str, Range<usize>)>,
    span: Range<usize>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) -> Option<Table> {
        let mut root = Table::default();
        // Where keys go: the last header's table, by number and by positions.
        let (mut table, mut path) = (0, Vec::new());
        while self.at < self.text.len() {
            self.blanks();
            match self.peek() {
                None | Some(b'#' | b'\n' | b'\r') => {}
                Some(b'[') => {
                    let header = self.header()?;
                    (table, path) = self.open(&mut root, &header)?;
                }
                Some(_) => {
                    let entry = self.entry(table, MAX_DEPTH)?;
                    table_at(&mut root, &path)?.entries.push(entry);
                }
            }
            self.end_of_line()?;
        }
        sort(&mut root, MAX_DEPTH);
        Some(root)
    }

    /// A key and its value, in this table.
    fn entry(&mut self, table: usize, depth: usize) -> Option<Entry> {
        let (key, at) = self.key()?;
        self.blanks();
        self.take(b'=')?;
        self.blanks();
        let node = self.value(depth)?;
        match self.names.entry((table, key)) {
            Slot::Occupied(_) => return None,
            Slot::Vacant(free) => free.insert(Known::Value),
        };
        Some(Entry {
            key: key.to_owned(),
            at,
            node,
        })
    }

    fn new_table(&mut self) -> usize {
        self.tables += 1;
        self.tables
    }

    /// The table of a header, made where it is new; `None` where something else has its name.
    fn open(&mut self, root: &mut Table, header: &Header<'a>) -> Option<(usize, Vec<usize>)> {
        let mut path = Vec::with_capacity(header.parts.len());
        let (mut number, mut table) = (0, root);
        let last = header.parts.len().checked_sub(1)?;
        for (depth, (name, at)) in header.parts.iter().enumerate() {
            let is_last = depth == last;
            let span = if is_last { &header.span } else { at };
            let known = self.names.get(&(number, *name)).copied();
            let (inner, position) = match known {
                Some(Known::Value) => return None,
                Some(Known::Table(_, _, true)) if is_last => return None,
                Some(Known::Table(inner, position, _)) => {
                    if is_last {
                        let entry = table.entries.get_mut(position)?;
                        (entry.at, entry.node.span) = (at.clone(), span.clone());
                        self.names
                            .insert((number, *name), Known::Table(inner, position, true));
                    }
                    (inner, position)
                }
                None => {
                    let (inner, position) = (self.new_table(), table.entries.len());
                    self.names
                        .insert((number, *name), Known::Table(inner, position, is_last));
                    table.entries.push(Entry {
                        key: (*name).to_owned(),
                        at: at.clone(),
                        node: Node {
                            span: span.clone(),
                            value: Value::Table(Table::default()),
                        },
                    });
                    (inner, position)
                }
            };
            path.push(position);
            number = inner;
            table = table_at(table, &[position])?;
        }
        Some((number, path))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.peek() == Some(wanted)).then(|| self.at += 1)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn end_of_line(&mut self) -> Option<()> {
        self.blanks();
        if self.peek() == Some(b'#') {
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
        match self.peek() {
            None => Some(()),
            Some(b'\r') => {
                self.at += 1;
                self.take(b'\n')
            }
            Some(_) => self.take(b'\n'),
        }
    }

    fn header(&mut self) -> Option<Header<'a>> {
        let start = self.at;
        self.take(b'[')?;
        let mut parts = Vec::new();
        loop {
            self.blanks();
            parts.push(self.key()?);
            if parts.len() > MAX_DEPTH {
                return None;
            }
            self.blanks();
            if self.take(b'.').is_none() {
                break;
            }
        }
        self.take(b']')?;
        Some(Header {
            parts,
            span: start..self.at,
        })
    }

    /// A bare one, or one in quotes.
    fn key(&mut self) -> Option<(&'a str, Range<usize>)> {
        let start = self.at;
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            let text = self.quoted(quote)?;
            return Some((text, start..self.at));
        }
        let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let length = self
            .rest()
            .bytes()
            .take_while(|byte| is_bare(*byte))
            .count();
        let key = self.rest().get(..length).filter(|key| !key.is_empty())?;
        self.at += length;
        Some((key, start..self.at))
    }

    /// A text that ends on its line and has no escapes.
    fn quoted(&mut self, quote: u8) -> Option<&'a str> {
        self.take(quote)?;
        let rest = self.rest();
        let length = rest
            .bytes()
            .position(|byte| byte == quote || byte == b'\n' || byte == b'\\')?;
        let ends = rest.as_bytes().get(length) == Some(&quote);
        // Two of them, and a third: a text of many lines.
        let is_long = length == 0 && rest.as_bytes().get(1) == Some(&quote);
        if !ends || is_long {
            return None;
        }
        self.at += length + 1;
        rest.get(..length)
    }

    fn value(&mut self, depth: usize) -> Option<Node> {
        let depth = depth.checked_sub(1)?;
        let start = self.at;
        let value = match self.peek()? {
            quote @ (b'"' | b'\'') => Value::Text(self.quoted(quote)?.to_owned()),
            b'{' => self.inline_table(depth)?,
            b'[' => self.list(depth)?,
            _ => self.word()?,
        };
        Some(Node {
            span: start..self.at,
            value,
        })
    }

    fn inline_table(&mut self, depth: usize) -> Option<Value> {
        let number = self.new_table();
        self.take(b'{')?;
        self.blanks();
        let mut table = Table::default();
        if self.take(b'}').is_some() {
            return Some(Value::Table(table));
        }
        loop {
            self.blanks();
            table.entries.push(self.entry(number, depth)?);
            self.blanks();
            if self.take(b'}').is_some() {
                return Some(Value::Table(table));
            }
            self.take(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        self.take(b'[')?;
        self.blanks();
        let mut list = Vec::new();
        if self.take(b']').is_some() {
            return Some(Value::List(list));
        }
        loop {
            self.blanks();
            list.push(self.value(depth)?);
            self.blanks();
            if self.take(b']').is_some() {
                return Some(Value::List(list));
            }
            self.take(b',')?;
        }
    }

    /// A number, a day, `true` or `false`.
    fn word(&mut self) -> Option<Value> {
        let ends = |byte: u8| {
            matches!(
                byte,
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b'}' | b']' | b'#'
            )
        };
        let rest = self.rest();
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        let word = rest.get(..length)?;
        let value = match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => number(word).or_else(|| day(word))?,
        };
        self.at += length;
        // A day may go on with a time.
        let goes_on = matches!(value, Value::Date(..))
            && matches!(self.rest().as_bytes(), [b' ', b'0'..=b'9', ..]);
        (!goes_on).then_some(value)
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn number(word: &str) -> Option<Value> {
    let (whole, part) = match word.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (word, None),
    };
    let plain = digits(whole) && whole.len() <= 18 && (whole == "0" || !whole.starts_with('0'));
    match part {
        _ if !plain => None,
        None => whole.parse().ok().map(Value::Whole),
        Some(part) => digits(part).then(|| Value::Real(word.to_owned())),
    }
}

fn day(word: &str) -> Option<Value> {
    let (year, rest) = word.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let lengths = (year.len(), month.len(), day.len()) == (4, 2, 2);
    if !lengths || !digits(year) || !digits(month) || !digits(day) {
        return None;
    }
    let (year, month, day) = super::names::date(word)?;
    Some(Value::Date(year, month, day))
}

/// Headers may come in any order.
fn sort(table: &mut Table, depth: usize) {
    table.entries.sort_by_key(|entry| entry.at.start);
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in &mut table.entries {
        if let Value::Table(inner) = &mut entry.node.value {
            sort(inner, depth);
        }
    }
}

fn table_at<'t>(root: &'t mut Table, path: &[usize]) -> Option<&'t mut Table> {
    path.iter().try_fold(root, |table, place| {
        match &mut table.entries.get_mut(*place)?.node.value {
            Value::Table(inner) => Some(inner),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::flags::file::problem::Findings;
    use crate::flags::file::toml;

    const PLAIN: &str = "\
# flags
[shed]
from = 7 # why
at = 2026-11-23

[flags.search]
enabled = { blue = 10, green = 20.5 }\t# ramp
groups = { staff = \"on\", \"a b\" = 'off' }
users = [\"1\", 2, true]
empty = {}
none = []
\"quoted\" = \"\"
[flags.search.data.on]
x = { y = { z = 0 } }

[flags]
cart = \"off\"
[ flags . \"wish list\" ]\r
enabled = false
[a.b]
[a]
c = 1
";

    /// What it reads is what the parser of all of TOML reads, to the last place.
    fn compare(text: &str) -> bool {
        let Some(table) = read(text) else {
            return false;
        };
        let mut findings = Findings::default();
        let whole = toml::read_any(0, text, &mut findings);
        assert!(findings.is_empty(), "{text:?}: {findings:?}");
        assert_eq!(table, whole, "{text:?}");
        true
    }

    #[test]
    fn what_flag_files_consist_of_is_plain() {
        assert!(compare(PLAIN));
        assert!(compare(""));
        assert!(compare("x = 1"));
        for line in PLAIN.lines() {
            compare(line);
        }
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_other() {
        for text in [
            "x = 1\nx = 2",
            "[a]\n[a]",
            "a = 1\n[a]",
            "[a]\nb = 1\n[a.b]",
            "[a]\nb = {}\n[a.b]",
            "a.b = 1",
            "x = \"\\n\"",
            "x = \"\"\"y\"\"\"",
            "x = 1_000",
            "x = -1",
            "x = 01",
            "x = 1e3",
            "x = inf",
            "x = 10%",
            "x = off",
            "x = 2026-02-30",
            "x = 2026-11-23 10:00:00",
            "x = [1,\n2]",
            "x = { a = 1, }",
            "x = { a = 1, a = 2 }",
            "x = { a.b = 1 }",
            "[[a]]",
            "[a.b.c.d.e.f.g]",
            "[a",
            "x",
            "x = ",
            "x = 1 y = 2",
            "x = \"a",
            "x = \u{1}",
            "x = 1\ry = 2",
            "\u{feff}x = 1",
        ] {
            assert!(read(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn it_never_reads_anything_else_than_the_other() {
        let pieces = [
            "\"",
            "'",
            "[",
            "]",
            "{",
            "}",
            "=",
            ",",
            ".",
            "#",
            "\n",
            " ",
            "\t",
            "\r\n",
            "0",
            "1",
            "-",
            "a",
            "flags",
            "é",
            "\\",
            "true",
            "[flags.",
            "[a.b]\n",
            "x = 1\n",
            "2027-01-31",
        ];
        let mut state = 88_172_645_463_325_252_u64;
        let mut roll = |sides: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).unwrap_or(0) % sides.max(1)
        };
        let mut plain = 0;
        for _ in 0..20_000 {
            let mut text = PLAIN.to_owned();
            for _ in 0..=roll(3) {
                let mut at = roll(text.len() + 1);
                let mut to = (at + roll(8)).min(text.len());
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                while !text.is_char_boundary(to) {
                    to += 1;
                }
                match roll(3) {
                    0 => text.replace_range(at..to, ""),
                    1 => text.insert_str(at, pieces[roll(pieces.len())]),
                    _ => {
                        let part = text[at..to].to_owned();
                        text.insert_str(at, &part);
                    }
                }
            }
            plain += u32::from(compare(&text));
        }
        assert!(plain > 2_000, "{plain}");
    }
}
