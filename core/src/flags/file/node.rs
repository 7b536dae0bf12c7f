//! A document as plain data with places: what TOML and JSON have in common.

use std::ops::Range;

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Whole(i64),
    /// With a point, or too large; as it is written.
    Real(String),
    Bool(bool),
    /// Year, month, day.
    Date(u16, u8, u8),
    List(Vec<Node>),
    Table(Table),
    /// JSON's `null`.
    Nothing,
    /// It was wrong here, and this was said.
    Broken,
}

/// In the order in which it is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Range<usize>,
    pub(crate) node: Node,
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Node {
    pub(crate) fn as_table(&self) -> Option<&Table> {
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
