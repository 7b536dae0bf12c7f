//! Plain JSON.

use super::super::node::{Entry, Node, Table, Value};
use super::{Cursor, MAX_DEPTH, is_unique, number};

/// The document, if all of it is plain.
pub(in super::super) fn read(text: &str) -> Option<Table<'_>> {
    // The whole, `flags` and the flag are tables too.
    let depth = MAX_DEPTH + 3;
    let mut reader = Reader(Cursor::of(text)?);
    reader.blanks();
    let table = reader.table(depth)?;
    reader.blanks();
    (reader.0.is_at_end() && is_unique(&table, depth)).then_some(table)
}

struct Reader<'t>(Cursor<'t>);

impl<'t> Reader<'t> {
    fn blanks(&mut self) {
        self.0
            .skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
    }

    fn table(&mut self, depth: usize) -> Option<Table<'t>> {
        let depth = depth.checked_sub(1)?;
        let mut table = Table::default();
        self.list(b'{', b'}', |reader| {
            table.entries.push(reader.entry(depth)?);
            Some(())
        })?;
        Some(table)
    }

    /// What stands between two brackets, divided by commas.
    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.0.take(open)?;
        self.blanks();
        if self.0.take(close).is_some() {
            return Some(());
        }
        loop {
            self.blanks();
            item(self)?;
            self.blanks();
            if self.0.take(close).is_some() {
                return Some(());
            }
            self.0.take(b',')?;
        }
    }

    fn entry(&mut self, depth: usize) -> Option<Entry<'t>> {
        let start = self.0.at;
        let key = self.0.quoted(b'"')?;
        let at = start..self.0.at;
        self.blanks();
        self.0.take(b':')?;
        self.blanks();
        let node = self.value(depth)?;
        Some(Entry {
            key: key.into(),
            at,
            node,
        })
    }

    fn value(&mut self, depth: usize) -> Option<Node<'t>> {
        let start = self.0.at;
        let value = match self.0.peek()? {
            b'"' => Value::Text(self.0.quoted(b'"')?.into()),
            b'{' => Value::Table(self.table(depth)?),
            b'[' => {
                let depth = depth.checked_sub(1)?;
                let mut list = Vec::new();
                self.list(b'[', b']', |reader| {
                    list.push(reader.value(depth)?);
                    Some(())
                })?;
                Value::List(list)
            }
            _ => match self.0.word()? {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Nothing,
                word => number(word)?,
            },
        };
        Some(Node {
            span: start..self.0.at,
            value,
        })
    }
}
