//! Lists whose length must not matter: after `IN`, after `VALUES`, after `ARRAY`.
//!
//! `IN (1, 2, 3)`, `VALUES (1, 'a'), (2, 'b')` and `ARRAY[1, 2]` read `IN (?)`, `VALUES (?)` and
//! `ARRAY[?]`, whatever they hold. A subquery after `IN` stays, and so does a single name after
//! `VALUES` (MySQL's `ON DUPLICATE KEY UPDATE n = VALUES(n)`).

use super::Unreadable;
use super::sql::{Last, Reader};
use crate::category::Dialect;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    In,
    Values,
    Array,
}

/// A list that is being read and left out.
pub(super) struct List {
    kind: Kind,
    /// Its opening bracket was written: false for the second row of `VALUES` and those after it.
    written: bool,
    /// Brackets of its kind that are open inside it.
    depth: usize,
    /// Tokens it holds so far.
    tokens: usize,
    /// Only opening brackets so far: a subquery may still follow.
    probing: bool,
    /// The name that is its only token.
    only: Option<(usize, usize)>,
}

impl List {
    /// One more token is in the list.
    pub(super) fn count(&mut self, last: Last) {
        self.tokens += 1;
        self.probing = false;
        if self.tokens > 1 {
            self.only = None;
        } else if let Last::Word(start, end) = last {
            self.only = Some((start, end));
        }
    }

    /// The next token is a quoted identifier; in backticks it cannot be a string.
    pub(super) fn only_identifier(&mut self, backticks: bool, start: usize, end: usize) {
        if backticks && self.tokens == 0 {
            self.only = Some((start, end));
        }
    }

    fn brackets(&self) -> (u8, u8) {
        if self.kind == Kind::Array {
            (b'[', b']')
        } else {
            (b'(', b')')
        }
    }
}

/// Where we are among the rows of `VALUES`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    /// Not there.
    None,
    /// A row was closed.
    After,
    /// A comma followed it, which is held back: if a row follows, it is left out too.
    Comma,
}

fn is_one_of(word: &[u8], words: &[&[u8]]) -> bool {
    words
        .iter()
        .any(|candidate| word.eq_ignore_ascii_case(candidate))
}

/// Whether a sign after this word belongs to the number that follows: `LIMIT -1`, not `price -1`.
pub(super) fn comes_before_value(word: &[u8]) -> bool {
    let words: [&[u8]; 30] = [
        b"select",
        b"where",
        b"and",
        b"or",
        b"not",
        b"then",
        b"else",
        b"when",
        b"between",
        b"in",
        b"like",
        b"limit",
        b"offset",
        b"return",
        b"by",
        b"set",
        b"values",
        b"having",
        b"on",
        b"case",
        b"is",
        b"interval",
        b"as",
        b"distinct",
        b"all",
        b"returning",
        b"default",
        b"top",
        b"from",
        b"to",
    ];
    is_one_of(word, &words)
}

impl Reader<'_, '_> {
    fn word_at(&self, start: usize, end: usize) -> &[u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Whether this word begins a subquery in a list that held only brackets so far.
    pub(super) fn is_subquery(&self, start: usize, end: usize) -> bool {
        let words: [&[u8]; 4] = [b"select", b"with", b"values", b"table"];
        self.list.as_ref().is_some_and(|list| list.probing)
            && is_one_of(self.word_at(start, end), &words)
    }

    /// It was a subquery: writes the brackets that were held back, and reads on as usual.
    pub(super) fn leave_list(&mut self) {
        if let Some(list) = self.list.take() {
            self.space = false;
            for _ in 0..list.depth {
                self.write("(");
            }
        }
    }

    pub(super) fn open_bracket(&mut self, byte: u8) {
        if let Some(list) = &mut self.list {
            if byte == list.brackets().0 {
                list.depth += 1;
            }
            let probing = list.probing && byte == b'(';
            self.put_sign(Last::Operator);
            if let Some(list) = &mut self.list {
                list.probing = probing;
            }
            return;
        }
        let silent = self.rows == Rows::Comma && byte == b'(';
        let kind = if silent {
            Some(Kind::Values)
        } else {
            self.list_kind(byte)
        };
        if silent {
            self.at += 1;
            self.space = false;
            self.last = Last::Operator;
        } else {
            self.put_sign(Last::Operator);
        }
        self.list = kind.map(|kind| List {
            kind,
            written: !silent,
            depth: 0,
            tokens: 0,
            probing: kind == Kind::In,
            only: None,
        });
    }

    fn list_kind(&self, bracket: u8) -> Option<Kind> {
        let Last::Word(start, end) = self.last else {
            return None;
        };
        let word = self.word_at(start, end);
        let mysql = self.dialect == Dialect::MySql;
        match bracket {
            b'(' if word.eq_ignore_ascii_case(b"in") => Some(Kind::In),
            b'(' if word.eq_ignore_ascii_case(b"values") => Some(Kind::Values),
            b'(' if mysql && word.eq_ignore_ascii_case(b"value") => Some(Kind::Values),
            b'[' if word.eq_ignore_ascii_case(b"array") => Some(Kind::Array),
            _ => None,
        }
    }

    pub(super) fn close_bracket(&mut self, byte: u8) {
        if let Some(list) = &mut self.list
            && byte == list.brackets().1
        {
            if list.depth == 0 {
                self.at += 1;
                self.finish_list();
                return;
            }
            list.depth -= 1;
        }
        self.put_sign(Last::Operand);
    }

    fn finish_list(&mut self) {
        let Some(list) = self.list.take() else { return };
        self.space = false;
        if list.written {
            let text = self.text;
            let constants: [&[u8]; 4] = [b"null", b"true", b"false", b"default"];
            let name = list
                .only
                .filter(|_| list.kind == Kind::Values)
                .filter(|(start, end)| !is_one_of(self.word_at(*start, *end), &constants))
                .and_then(|(start, end)| text.get(start..end));
            if list.tokens > 0 {
                self.write(name.unwrap_or("?"));
            }
            self.write(if list.kind == Kind::Array { "]" } else { ")" });
        }
        self.last = Last::Operand;
        if list.kind == Kind::Values {
            self.rows = Rows::After;
        }
    }

    pub(super) fn comma(&mut self) {
        if self.list.is_none() && self.rows == Rows::After {
            self.rows = Rows::Comma;
            self.at += 1;
            self.space = false;
            self.last = Last::Operator;
        } else {
            self.put_sign(Last::Operator);
        }
    }

    /// No row follows: writes the comma that was held back.
    pub(super) fn end_of_rows(&mut self) {
        if self.rows == Rows::Comma {
            self.out.push(',');
        }
        self.rows = Rows::None;
    }

    /// The text has ended: a list may be open only where the recorder cut it.
    pub(super) fn end_of_lists(&mut self) -> Result<(), Unreadable> {
        if let Some(list) = &self.list {
            if !self.cut {
                return Err(Unreadable);
            }
            let began = list.written && list.tokens == 0;
            self.finish_list();
            if began {
                self.out.truncate(self.out.len() - "()".len());
            }
        }
        if !self.cut {
            self.end_of_rows();
        }
        Ok(())
    }
}
