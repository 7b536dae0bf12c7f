//! SQL of the four dialects, token by token, in one pass over the bytes.
//!
//! A token is either written (a word, an operator), replaced by `?` (a literal) or left out (a
//! comment, what a list holds). Anything that servers would read in different ways, where that
//! difference could turn a literal inside out, is [`Unreadable`].

use super::class::{Class, class};
use super::list::{List, Rows};
use super::quote::{self, Backslash, Nesting};
use super::{Unreadable, path, word};
use crate::category::Dialect;

/// What the token before was: decides whether a sign belongs to a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// Nothing yet, or an operator, a comma, an opening bracket.
    Operator,
    /// A literal, a parameter, a quoted identifier, a closing bracket.
    Operand,
    /// The bare word `text[start..end]`.
    Word(usize, usize),
}

/// The state of one pass.
pub(super) struct Reader<'text, 'out> {
    pub(super) text: &'text str,
    pub(super) bytes: &'text [u8],
    pub(super) at: usize,
    pub(super) out: &'out mut String,
    /// Where our part of `out` begins.
    pub(super) base: usize,
    pub(super) dialect: Dialect,
    pub(super) cut: bool,
    /// White space or a comment was met since the last token.
    pub(super) space: bool,
    pub(super) last: Last,
    /// What was written before must stay: the word there makes a bracket a subquery's.
    pub(super) floor: usize,
    /// The list being left out, if any.
    pub(super) list: Option<List>,
    pub(super) rows: Rows,
    /// Inside MySQL's `/*! … */`, whose content the server executes.
    executable: bool,
    /// The last token was PostgreSQL's `E'…'`, which the next line's `'…'` continues.
    escape_string: bool,
    /// Generic only: a `[` is open; some servers take all up to `]` for a name.
    bracket: bool,
    /// Generic only: a `#` was met in this line; some servers take the line's rest for a comment.
    hash: bool,
}

/// Appends the fingerprint of `text` to `out`.
pub(super) fn read(
    out: &mut String,
    dialect: Dialect,
    text: &str,
    cut: bool,
) -> Result<(), Unreadable> {
    let base = out.len();
    let mut reader = Reader {
        text,
        bytes: text.as_bytes(),
        at: 0,
        out,
        base,
        dialect,
        cut,
        space: false,
        last: Last::Operator,
        floor: base,
        list: None,
        rows: Rows::None,
        executable: false,
        escape_string: false,
        bracket: false,
        hash: false,
    };
    reader.read()
}

impl Reader<'_, '_> {
    fn read(&mut self) -> Result<(), Unreadable> {
        while let Some(&byte) = self.bytes.get(self.at) {
            match class(byte) {
                Class::Space => {
                    self.at += 1;
                    self.space = true;
                    self.hash &= byte != b'\n' && byte != b'\r';
                }
                Class::Letter | Class::Wide => self.word()?,
                Class::Digit => self.number(),
                Class::Quote => self.quoted(byte)?,
                Class::Sign => self.sign(byte)?,
                Class::Control => return Err(Unreadable),
            }
        }
        if self.executable && !self.cut {
            return Err(Unreadable);
        }
        self.end_of_lists()?;
        if self.cut {
            // What followed was dropped: these would now begin a comment.
            let ours = self.out.get(self.base..).unwrap_or_default();
            let kept = ours.trim_end_matches(['-', '#', ' ']).len();
            self.out.truncate(self.base + kept);
        }
        Ok(())
    }

    #[inline]
    pub(super) fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// Whether a token that ends at `end` may be incomplete.
    #[inline]
    pub(super) fn is_cut_at(&self, end: usize) -> bool {
        self.cut && end >= self.bytes.len()
    }

    /// Writes a token, with one space before it where there was white space; inside a list that
    /// is left out, only counts it.
    #[inline]
    pub(super) fn put(&mut self, token: &str, last: Last) {
        self.escape_string = false;
        self.last = last;
        if let Some(list) = &mut self.list {
            list.count(last);
            self.space = false;
            return;
        }
        if self.rows != Rows::None {
            self.end_of_rows();
        }
        self.write(token);
    }

    /// Writes text, list or not.
    #[inline]
    pub(super) fn write(&mut self, token: &str) {
        if self.space && self.out.len() > self.base {
            self.out.push(' ');
        }
        self.space = false;
        self.out.push_str(token);
    }

    pub(super) fn put_literal(&mut self, end: usize) {
        self.at = end;
        if !self.is_cut_at(end) {
            self.put("?", Last::Operand);
        }
        // `'x'a=b` must not become `?a=b`, which begins a URL's query.
        let generic = self.dialect == Dialect::Generic;
        self.space |= generic
            && self
                .peek(0)
                .is_some_and(|byte| class(byte) == Class::Letter);
    }

    /// Writes `text[at..end]` as it is.
    fn put_text(&mut self, end: usize, last: Last) {
        let text = self.text;
        let token = text.get(self.at..end).unwrap_or_default();
        self.at = end;
        if !self.is_cut_at(end) {
            self.put(token, last);
        }
    }

    // ---- words and numbers

    fn word(&mut self) -> Result<(), Unreadable> {
        let start = self.at;
        let mut end = start;
        let (mut wide, mut digit) = (false, false);
        while let Some(&byte) = self.bytes.get(end) {
            match class(byte) {
                Class::Letter => {}
                Class::Digit => digit = true,
                Class::Wide => wide = true,
                Class::Sign if byte == b'$' => {}
                _ => break,
            }
            end += 1;
        }
        let next = self.bytes.get(end).copied();
        if (next == Some(b'\'') || next == Some(b'&')) && self.prefixed(start, end)? {
            return Ok(());
        }
        if end - start == 8
            && next == Some(b'-')
            && let Some(end) = word::uuid_end(self.bytes, start)
        {
            self.put_literal(end);
            return Ok(());
        }
        let generic = self.dialect == Dialect::Generic;
        let long = end - start > word::LONGEST_IDENTIFIER;
        if wide {
            let token = self.text.get(start..end).ok_or(Unreadable)?;
            if !token.chars().all(|c| c.is_ascii() || c.is_alphabetic()) {
                return Err(Unreadable);
            }
        }
        let made = || {
            self.bytes
                .get(start..end)
                .is_some_and(word::is_machine_made)
        };
        if long || (generic && (wide || ((digit || end - start >= 32) && made()))) {
            self.put_literal(end);
            return Ok(());
        }
        let subquery = !self.is_cut_at(end) && self.is_subquery(start, end);
        if subquery {
            self.leave_list();
        }
        self.put_text(end, Last::Word(start, end));
        if subquery {
            self.floor = self.out.len();
        }
        Ok(())
    }

    /// Reads a string with a prefix (`N'…'`, `E'…'`, `U&'…'`), if `bytes[start..end]` is one.
    fn prefixed(&mut self, start: usize, end: usize) -> Result<bool, Unreadable> {
        let prefix = self.bytes.get(start..end).unwrap_or_default();
        let escapes = matches!(self.dialect, Dialect::PostgreSql | Dialect::Generic);
        let quote = self.bytes.get(end) == Some(&b'\'');
        match prefix {
            [b'n' | b'N' | b'x' | b'X' | b'b' | b'B'] if quote => {
                self.at = end;
                self.literal(b'\'', self.backslash())?;
            }
            [b'e' | b'E'] if quote && escapes => {
                self.at = end;
                self.literal(b'\'', Backslash::Escapes)?;
                self.escape_string = true;
            }
            [b'u' | b'U'] if escapes && self.bytes.get(end + 1) == Some(&b'\'') && !quote => {
                self.at = end + 1;
                self.literal(b'\'', self.backslash())?;
            }
            // Oracle's q'[it's]': its end depends on what follows the quote.
            [b'q' | b'Q'] | [b'n' | b'N', b'q' | b'Q']
                if quote && self.dialect == Dialect::Generic =>
            {
                return Err(Unreadable);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A number, and whatever is glued to it: `5`, `1_000.5e-7`, `0xFF`, `10.0.0.1`, `550e-a7`.
    fn number(&mut self) {
        let start = self.at;
        if let Some(end) = word::uuid_end(self.bytes, start) {
            self.put_literal(end);
            return;
        }
        let mut end = start;
        let mut letters = false;
        let mut before = 0;
        while let Some(&byte) = self.bytes.get(end) {
            let next_is = |test: fn(&u8) -> bool| self.bytes.get(end + 1).is_some_and(test);
            let goes_on = match byte {
                b'0'..=b'9' | b'.' => true,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                    letters = true;
                    true
                }
                // An exponent's sign; the dash of an id that has letters.
                b'+' | b'-' if matches!(before, b'e' | b'E') => next_is(u8::is_ascii_digit),
                b'-' => letters && next_is(u8::is_ascii_alphanumeric),
                _ => false,
            };
            if !goes_on {
                break;
            }
            before = byte;
            end += 1;
        }
        self.put_literal(end);
    }

    // ---- quoted forms

    /// What a backslash does in this dialect's `'…'` here.
    fn backslash(&self) -> Backslash {
        match self.dialect {
            Dialect::MySql => Backslash::Escapes,
            Dialect::PostgreSql if self.escape_string => Backslash::Escapes,
            Dialect::PostgreSql | Dialect::Sqlite => Backslash::Plain,
            _ => Backslash::Unknown,
        }
    }

    fn quoted(&mut self, quote: u8) -> Result<(), Unreadable> {
        match (self.dialect, quote) {
            (Dialect::PostgreSql, b'`') => Err(Unreadable),
            (Dialect::PostgreSql | Dialect::Sqlite, b'"')
            | (Dialect::MySql | Dialect::Sqlite, b'`') => self.identifier(quote),
            (Dialect::Generic, _) => {
                self.only_one_reading(quote)?;
                let again = self.escape_string && quote == b'\'';
                let mode = if again {
                    Backslash::Escapes
                } else {
                    Backslash::Unknown
                };
                self.literal(quote, mode)?;
                self.escape_string = again;
                Ok(())
            }
            _ => {
                let again = self.escape_string;
                self.literal(quote, self.backslash())?;
                self.escape_string = again;
                Ok(())
            }
        }
    }

    /// Three quotes in a row are one and an escaped one for most servers, one of its own kind for
    /// some; both must end at the same place.
    fn only_one_reading(&self, quote: u8) -> Result<(), Unreadable> {
        if self.peek(1) != Some(quote) || self.peek(2) != Some(quote) {
            return Ok(());
        }
        let doubled = quote::quoted_end(self.bytes, self.at, quote, Backslash::Unknown)?;
        if doubled.is_some() && doubled == quote::triple_quoted_end(self.bytes, self.at, quote) {
            return Ok(());
        }
        Err(Unreadable)
    }

    /// A quoted literal; `at` is at its opening quote.
    fn literal(&mut self, quote: u8, backslash: Backslash) -> Result<(), Unreadable> {
        let end = quote::quoted_end(self.bytes, self.at, quote, backslash)?;
        let end = self.closed(end)?;
        self.put_literal(end);
        Ok(())
    }

    /// The end of a form, if it was closed or the recorder cut it off; checks that no other
    /// reading of what surrounds it would end inside it.
    fn closed(&self, end: Option<usize>) -> Result<usize, Unreadable> {
        let end = match end {
            Some(end) => end,
            None if self.cut => self.bytes.len(),
            None => return Err(Unreadable),
        };
        if self.bracket || self.hash || self.executable {
            let form = self.bytes.get(self.at..end).unwrap_or_default();
            let ends_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
            if (self.bracket && form.contains(&b']'))
                || (self.hash && form.iter().any(ends_line))
                || (self.executable && form.windows(2).any(|two| two == b"*/"))
            {
                return Err(Unreadable);
            }
        }
        Ok(end)
    }

    /// A quoted identifier: kept if it reads like one.
    fn identifier(&mut self, quote: u8) -> Result<(), Unreadable> {
        let end = match quote {
            b'[' => {
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                rest.iter()
                    .position(|byte| *byte == b']')
                    .map(|length| self.at + length + 1)
            }
            _ => quote::quoted_end(self.bytes, self.at, quote, Backslash::Plain)?,
        };
        let end = self.closed(end)?;
        let content = self.text.get(self.at + 1..end - 1).unwrap_or_default();
        let sqlite_string =
            self.dialect == Dialect::Sqlite && quote == b'"' && self.is_compared(end);
        if sqlite_string || !word::is_identifier(content) {
            self.put_literal(end);
            return Ok(());
        }
        if let Some(list) = &mut self.list {
            list.only_identifier(quote == b'`', self.at, end);
        }
        self.put_text(end, Last::Operand);
        Ok(())
    }

    /// SQLite takes `"…"` for a string where no column has that name: it is one if something is
    /// compared with it and no dot follows.
    fn is_compared(&self, end: usize) -> bool {
        let compared = match self.last {
            Last::Word(start, end) => {
                let word = self.bytes.get(start..end).unwrap_or_default();
                [&b"like"[..], b"glob", b"match", b"regexp", b"is", b"not"]
                    .iter()
                    .any(|operator| word.eq_ignore_ascii_case(operator))
            }
            _ => matches!(self.out.as_bytes().last(), Some(b'=' | b'<' | b'>')),
        };
        compared && self.bytes.get(end) != Some(&b'.')
    }

    // ---- operators, comments, parameters

    fn sign(&mut self, byte: u8) -> Result<(), Unreadable> {
        match byte {
            b'-' if self.peek(1) == Some(b'-') => return self.two_dashes(),
            b'-' | b'+' if self.is_sign_of_number() => {
                self.at += 1;
                self.number();
            }
            b'.' if self.starts_fraction() => self.number(),
            b'/' if self.peek(1) == Some(b'*') => return self.block_comment(),
            b'*' if self.peek(1) == Some(b'/') => return self.end_of_executable(),
            b'#' => return self.hash_sign(),
            b'$' => return self.dollar(),
            b'@' => return self.at_sign(),
            b'?' => return self.question_mark(),
            b':' if self.is_url() => return self.url(),
            b'(' | b'[' => return self.open(byte),
            b')' | b']' => self.close(byte),
            b',' => self.comma(),
            b'\\' => {
                let before_quote = self.peek(1).is_some_and(|next| class(next) == Class::Quote);
                if self.dialect != Dialect::Generic || before_quote {
                    return Err(Unreadable);
                }
                self.put_sign(Last::Operator);
            }
            _ => self.put_sign(Last::Operator),
        }
        Ok(())
    }

    /// Writes the one byte at `at`. It is complete, so a cut does not matter.
    pub(super) fn put_sign(&mut self, last: Last) {
        let text = self.text;
        let token = text.get(self.at..self.at + 1).unwrap_or_default();
        self.at += 1;
        self.put(token, last);
    }

    fn is_sign_of_number(&self) -> bool {
        let digit = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
        if !(digit(self.peek(1)) || (self.peek(1) == Some(b'.') && digit(self.peek(2)))) {
            return false;
        }
        match self.last {
            Last::Operator => true,
            Last::Operand => false,
            Last::Word(start, end) => self
                .bytes
                .get(start..end)
                .is_some_and(super::list::comes_before_value),
        }
    }

    fn starts_fraction(&self) -> bool {
        let digit = self.peek(1).is_some_and(|byte| byte.is_ascii_digit());
        digit && (self.space || self.last == Last::Operator)
    }

    /// `--`: a comment; in MySQL only if white space follows.
    fn two_dashes(&mut self) -> Result<(), Unreadable> {
        let spaced = self.peek(2).is_none_or(|byte| byte <= b' ' || byte == 0x7f);
        match self.dialect {
            Dialect::MySql if !spaced => {
                // `--/**/x` would read as a comment once its own comment had become a space.
                if matches!(self.peek(2), Some(b'/' | b'#' | b'-' | b'*')) {
                    return Err(Unreadable);
                }
                self.put_sign(Last::Operator);
                Ok(())
            }
            Dialect::Generic => self.line_comment(!spaced),
            _ => self.line_comment(false),
        }
    }

    /// Leaves out the rest of the line. Where it may be no comment (`doubtful`) it may hold no
    /// quote.
    fn line_comment(&mut self, doubtful: bool) -> Result<(), Unreadable> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let returns = matches!(self.dialect, Dialect::PostgreSql | Dialect::Generic);
        let ends = |byte: &u8| *byte == b'\n' || (returns && *byte == b'\r');
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        let comment = rest.get(..length).unwrap_or_default();
        // Only some servers end the line at a carriage return alone.
        let doubtful_end = self.dialect == Dialect::Generic
            && rest.get(length) == Some(&b'\r')
            && rest.get(length + 1).is_some_and(|next| *next != b'\n');
        if doubtful_end
            || (doubtful && quote::has_quote(comment))
            || (self.bracket && comment.contains(&b']'))
            || (self.executable && comment.windows(2).any(|two| two == b"*/"))
        {
            return Err(Unreadable);
        }
        self.at += length;
        self.space = true;
        Ok(())
    }

    /// `/* … */` is left out; of MySQL's `/*! … */` only the brackets are.
    fn block_comment(&mut self) -> Result<(), Unreadable> {
        let mysql = self.dialect == Dialect::MySql;
        let executable = match (self.peek(2), self.peek(3)) {
            (Some(b'!'), _) => Some(3),
            (Some(b'M'), Some(b'!')) => Some(4),
            _ => None,
        };
        self.space = true;
        if let (true, Some(length)) = (mysql, executable) {
            if self.executable {
                return Err(Unreadable);
            }
            self.executable = true;
            self.at += length;
            let version = self.bytes.get(self.at..).unwrap_or_default();
            self.at += version
                .iter()
                .take(6)
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            return Ok(());
        }
        let nesting = match self.dialect {
            Dialect::PostgreSql => Nesting::Nested,
            Dialect::Generic => Nesting::Unknown,
            _ => Nesting::Flat,
        };
        let end = quote::block_comment_end(self.bytes, self.at, nesting)?;
        let end = match end {
            Some(_) if self.executable => end.ok_or(Unreadable)?,
            _ => self.closed(end)?,
        };
        let comment = self.bytes.get(self.at..end).unwrap_or_default();
        if self.dialect == Dialect::Generic && executable.is_some() && quote::has_quote(comment) {
            return Err(Unreadable);
        }
        self.at = end;
        Ok(())
    }

    /// `*/` outside a comment: the end of MySQL's `/*!`, or a sign that we misread.
    fn end_of_executable(&mut self) -> Result<(), Unreadable> {
        if self.executable {
            self.executable = false;
            self.space = true;
            self.at += 2;
            return Ok(());
        }
        if self.dialect != Dialect::Generic {
            return Err(Unreadable);
        }
        self.put_sign(Last::Operator);
        Ok(())
    }

    /// `#`: a comment in MySQL, an operator elsewhere; in Generic a comment unless a word follows.
    fn hash_sign(&mut self) -> Result<(), Unreadable> {
        let next = self.peek(1);
        match self.dialect {
            Dialect::MySql => return self.line_comment(false),
            Dialect::Generic => {
                let glued = |byte: u8| byte.is_ascii_alphanumeric() || b"_>?".contains(&byte);
                if !next.is_some_and(glued) {
                    return self.line_comment(true);
                }
                self.hash = true;
            }
            _ => {}
        }
        self.put_sign(Last::Operator);
        Ok(())
    }

    /// `$tag$…$tag$`, `$1`, or `$` and a name.
    fn dollar(&mut self) -> Result<(), Unreadable> {
        let generic = self.dialect == Dialect::Generic;
        if (generic || self.dialect == Dialect::PostgreSql)
            && let Some(body) = quote::dollar_tag_end(self.bytes, self.at)
        {
            let end = quote::dollar_quoted_end(self.bytes, self.at, body);
            let end = self.closed(end)?;
            self.put_literal(end);
            return Ok(());
        }
        let digits = self.digits_after_sign();
        let after = self.peek(1 + digits);
        let numbered = generic || self.dialect == Dialect::PostgreSql;
        if digits > 0 && numbered && after == Some(b'$') {
            return Err(Unreadable);
        }
        let most = match self.dialect {
            Dialect::Generic => 2,
            Dialect::MySql => 0,
            _ => 5,
        };
        self.parameter_or_sign(digits, most, Last::Operator);
        Ok(())
    }

    /// A placeholder. SQLite numbers it (`?1`); in a text that is no SQL a query may begin here.
    fn question_mark(&mut self) -> Result<(), Unreadable> {
        if self.dialect == Dialect::Generic && self.is_query() {
            let end = self.run_end()?;
            let query = self.text.get(self.at + 1..end).unwrap_or_default();
            let mut masked = String::with_capacity(query.len() + 8);
            masked.push('?');
            path::query_into(&mut masked, query);
            self.at = end;
            self.put(&masked, Last::Operand);
            return Ok(());
        }
        let digits = self.digits_after_sign();
        let most = if self.dialect == Dialect::Sqlite {
            5
        } else {
            0
        };
        self.parameter_or_sign(digits, most, Last::Operand);
        Ok(())
    }

    fn digits_after_sign(&self) -> usize {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        rest.iter()
            .take(6)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    }

    /// Keeps the sign at `at` with its digits if these are 1 to `most` and nothing is glued to
    /// them; else only the sign.
    fn parameter_or_sign(&mut self, digits: usize, most: usize, otherwise: Last) {
        let after = self.peek(1 + digits).map(class);
        let glued = matches!(after, Some(Class::Letter | Class::Digit | Class::Wide));
        if digits > 0 && digits <= most && !glued && self.peek(1 + digits) != Some(b'.') {
            self.put_text(self.at + 1 + digits, Last::Operand);
        } else {
            self.put_sign(otherwise);
        }
    }

    // ---- brackets

    fn open(&mut self, byte: u8) -> Result<(), Unreadable> {
        if byte == b'[' {
            match self.dialect {
                Dialect::Sqlite => return self.identifier(b'['),
                Dialect::Generic => self.bracket = true,
                _ => {}
            }
        }
        self.open_bracket(byte);
        Ok(())
    }

    fn close(&mut self, byte: u8) {
        if byte == b']' {
            self.bracket = false;
        }
        self.close_bracket(byte);
    }
}
