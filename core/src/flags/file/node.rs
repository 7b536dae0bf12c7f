//! A document as plain data with places: what TOML and JSON have in common. Texts are the file's
//! own where they stand there as they are meant, which is nearly always.

use std::borrow::Cow;
use std::ops::Range;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node<'t> {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value<'t>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'t> {
    Text(Cow<'t, str>),
    Whole(i64),
    /// With a point, or too large; as it is written.
    Real(Cow<'t, str>),
    Bool(bool),
    /// Year, month, day.
    Date(u16, u8, u8),
    List(Vec<Node<'t>>),
    Table(Table<'t>),
    /// JSON's `null`.
    Nothing,
    /// It was wrong here, and this was said.
    Broken,
}

/// In the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table<'t> {
    pub(crate) entries: Vec<Entry<'t>>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry<'t> {
    pub(crate) key: Cow<'t, str>,
    pub(crate) at: Range<usize>,
    pub(crate) node: Node<'t>,
}

impl<'t> Table<'t> {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry<'t>> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl<'t> Node<'t> {
    pub(crate) fn as_table(&self) -> Option<&Table<'t>> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Text(_) => "a text",
            Value::Whole(_) | Value::Real(_) => "a number",
            Value::Bool(_) => "true or false",
            Value::Date(..) => "a date",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
            Value::Nothing => "null",
            Value::Broken => "nothing that can be read",
        }
    }
}
