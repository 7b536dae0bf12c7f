//! Plain TOML: headers, one key and value a line, values that end on their line.

use super::super::names;
use super::super::node::{Entry, Node, Table, Value};
use super::{Cursor, MAX_DEPTH, digits, is_unique, number};
use std::collections::HashMap;
use std::ops::Range;

/// The document, if all of it is plain.
pub(in super::super) fn read(text: &str) -> Option<Table<'_>> {
    let lone = |(at, _): (usize, &str)| text.as_bytes().get(at + 1) != Some(&b'\n');
    if text.match_indices('\r').any(lone) {
        return None;
    }
    let mut reader = Reader {
        cursor: Cursor::of(text)?,
        tables: HashMap::new(),
        count: 0,
    };
    let mut table = reader.document()?;
    sort(&mut table, MAX_DEPTH);
    is_unique(&table, MAX_DEPTH).then_some(table)
}

struct Reader<'t> {
    cursor: Cursor<'t>,
    /// What headers made or implied, by the number of the table around it and the name in it.
    tables: HashMap<(usize, &'t str), Known>,
    /// How many tables there are; the root is number 0.
    count: usize,
}

/// A table that a header made or implied.
#[derive(Clone, Copy)]
struct Known {
    number: usize,
    /// Its place in the table around it.
    position: usize,
    /// It had a header of its own.
    opened: bool,
}

/// The parts of a header with their places, and its own place.
struct Header<'t> {
    parts: Vec<(&'t str, Range<usize>)>,
    span: Range<usize>,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Option<Table<'t>> {
        let mut root = Table::default();
        // The last header's table, and what stands below it so far.
        let (mut path, mut below) = (Vec::new(), Vec::new());
        while !self.cursor.is_at_end() {
            self.blanks();
            match self.cursor.peek() {
                None | Some(b'#' | b'\n' | b'\r') => {}
                Some(b'[') => {
                    let header = self.header()?;
                    table_at(&mut root, &path)?.entries.append(&mut below);
                    path = self.open(&mut root, &header)?;
                }
                Some(_) => below.push(self.entry(MAX_DEPTH)?),
            }
            self.end_of_line()?;
        }
        table_at(&mut root, &path)?.entries.append(&mut below);
        Some(root)
    }

    fn blanks(&mut self) {
        self.cursor.skip(|byte| matches!(byte, b' ' | b'\t'));
    }

    fn end_of_line(&mut self) -> Option<()> {
        self.blanks();
        if self.cursor.peek() == Some(b'#') {
            self.cursor.skip(|byte| byte != b'\n');
            // A comment may end in `\r\n`.
            return self
                .cursor
                .is_at_end()
                .then_some(())
                .or_else(|| self.cursor.take(b'\n'));
        }
        match self.cursor.peek() {
            None => Some(()),
            Some(b'\r') => {
                self.cursor.at += 1;
                self.cursor.take(b'\n')
            }
            Some(_) => self.cursor.take(b'\n'),
        }
    }

    fn entry(&mut self, depth: usize) -> Option<Entry<'t>> {
        let (key, at) = self.key()?;
        self.blanks();
        self.cursor.take(b'=')?;
        self.blanks();
        let node = self.value(depth)?;
        Some(Entry {
            key: key.into(),
            at,
            node,
        })
    }

    /// The table of a header, made where it is new; `None` where it was opened before.
    fn open(&mut self, root: &mut Table<'t>, header: &Header<'t>) -> Option<Vec<usize>> {
        let mut path = Vec::with_capacity(header.parts.len());
        let (mut around, mut table) = (0, root);
        let last = header.parts.len().checked_sub(1)?;
        for (depth, (name, at)) in header.parts.iter().enumerate() {
            let opens = depth == last;
            let span = if opens { &header.span } else { at };
            let known = match self.tables.get_mut(&(around, *name)) {
                Some(known) if known.opened && opens => return None,
                Some(known) if opens => {
                    known.opened = true;
                    let entry = table.entries.get_mut(known.position)?;
                    (entry.at, entry.node.span) = (at.clone(), span.clone());
                    *known
                }
                Some(known) => *known,
                None => {
                    self.count += 1;
                    let known = Known {
                        number: self.count,
                        position: table.entries.len(),
                        opened: opens,
                    };
                    self.tables.insert((around, *name), known);
                    table.entries.push(Entry {
                        key: (*name).into(),
                        at: at.clone(),
                        node: Node {
                            span: span.clone(),
                            value: Value::Table(Table::default()),
                        },
                    });
                    known
                }
            };
            path.push(known.position);
            around = known.number;
            table = table_at(table, &[known.position])?;
        }
        Some(path)
    }

    fn header(&mut self) -> Option<Header<'t>> {
        let start = self.cursor.at;
        self.cursor.take(b'[')?;
        let mut parts = Vec::with_capacity(2);
        loop {
            self.blanks();
            parts.push(self.key()?);
            if parts.len() > MAX_DEPTH {
                return None;
            }
            self.blanks();
            if self.cursor.take(b'.').is_none() {
                break;
            }
        }
        self.cursor.take(b']')?;
        Some(Header {
            parts,
            span: start..self.cursor.at,
        })
    }

    /// A bare one, or one in quotes.
    fn key(&mut self) -> Option<(&'t str, Range<usize>)> {
        let start = self.cursor.at;
        if let Some(quote @ (b'"' | b'\'')) = self.cursor.peek() {
            let text = self.quoted(quote)?;
            return Some((text, start..self.cursor.at));
        }
        let is_bare = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let rest = self.cursor.rest();
        let length = rest
            .iter()
            .position(|byte| !is_bare(byte))
            .unwrap_or(rest.len());
        let key = self.cursor.advance(length).filter(|key| !key.is_empty())?;
        Some((key, start..self.cursor.at))
    }

    /// Three quotes begin a text of many lines.
    fn quoted(&mut self, quote: u8) -> Option<&'t str> {
        let text = self.cursor.quoted(quote)?;
        let is_long = text.is_empty() && self.cursor.peek() == Some(quote);
        (!is_long).then_some(text)
    }

    fn value(&mut self, depth: usize) -> Option<Node<'t>> {
        let depth = depth.checked_sub(1)?;
        let start = self.cursor.at;
        let value = match self.cursor.peek()? {
            quote @ (b'"' | b'\'') => Value::Text(self.quoted(quote)?.into()),
            b'{' => self.inline_table(depth)?,
            b'[' => self.list(depth)?,
            _ => self.word()?,
        };
        Some(Node {
            span: start..self.cursor.at,
            value,
        })
    }

    fn inline_table(&mut self, depth: usize) -> Option<Value<'t>> {
        self.cursor.take(b'{')?;
        self.blanks();
        let mut table = Table::default();
        if self.cursor.take(b'}').is_some() {
            return Some(Value::Table(table));
        }
        loop {
            self.blanks();
            table.entries.push(self.entry(depth)?);
            self.blanks();
            if self.cursor.take(b'}').is_some() {
                return Some(Value::Table(table));
            }
            self.cursor.take(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value<'t>> {
        self.cursor.take(b'[')?;
        self.blanks();
        let mut list = Vec::new();
        if self.cursor.take(b']').is_some() {
            return Some(Value::List(list));
        }
        loop {
            self.blanks();
            list.push(self.value(depth)?);
            self.blanks();
            if self.cursor.take(b']').is_some() {
                return Some(Value::List(list));
            }
            self.cursor.take(b',')?;
        }
    }

    /// A number, a day, `true` or `false`.
    fn word(&mut self) -> Option<Value<'t>> {
        let value = match self.cursor.word()? {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            word => number(word).or_else(|| day(word))?,
        };
        // A day may go on with a time.
        let goes_on = matches!(value, Value::Date(..))
            && matches!(self.cursor.rest(), [b' ', b'0'..=b'9', ..]);
        (!goes_on).then_some(value)
    }
}

fn day(word: &str) -> Option<Value<'static>> {
    let (year, rest) = word.split_once('-')?;
    let (month, day) = rest.split_once('-')?;
    let lengths = (year.len(), month.len(), day.len()) == (4, 2, 2);
    if !lengths || !digits(year) || !digits(month) || !digits(day) {
        return None;
    }
    let (year, month, day) = names::date(word)?;
    Some(Value::Date(year, month, day))
}

/// Headers may come in any order.
fn sort(table: &mut Table<'_>, depth: usize) {
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

fn table_at<'n, 't>(root: &'n mut Table<'t>, path: &[usize]) -> Option<&'n mut Table<'t>> {
    path.iter().try_fold(root, |table, place| {
        match &mut table.entries.get_mut(*place)?.node.value {
            Value::Table(inner) => Some(inner),
            _ => None,
        }
    })
}
