//! What stands in texts that are no SQL: e-mail addresses, URLs and their queries.

use super::class::{Class, class};
use super::list::Rows;
use super::sql::{Last, Reader};
use super::{Unreadable, path};
use crate::category::Dialect;

impl Reader<'_, '_> {
    /// `@` between two words is an e-mail address or an account: all that is glued to it goes.
    pub(super) fn at_sign(&mut self) -> Result<(), Unreadable> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let ours = self.out.as_bytes().get(self.floor..).unwrap_or_default();
        // What was written decides, so that what was masked reads as it will the next time.
        let glued_before = self.list.is_none()
            && self.rows == Rows::None
            && ours
                .last()
                .is_some_and(|byte| word(*byte) || b"?\"`".contains(byte));
        let glued_after = match self.peek(1) {
            Some(next) => word(next),
            None => self.cut,
        };
        if !glued_before || !glued_after || self.space {
            self.put_sign(Last::Operator);
            return Ok(());
        }
        let mut end = self.at + 1;
        while let Some(&byte) = self.bytes.get(end) {
            let dash = byte == b'-'
                && self
                    .bytes
                    .get(end + 1)
                    .is_some_and(u8::is_ascii_alphanumeric);
            if byte >= 0x80 {
                return Err(Unreadable);
            }
            if !(word(byte) || matches!(byte, b'.' | b'@') || dash) {
                break;
            }
            end += 1;
        }
        let glued = |byte: &&u8| word(**byte) || b".+%?-".contains(*byte);
        let length = ours.iter().rev().take_while(glued).count();
        self.out.truncate(self.out.len() - length);
        self.space = self.out.as_bytes().last() == Some(&b' ') && {
            self.out.pop();
            true
        };
        self.put_literal(end);
        Ok(())
    }

    /// Whether `:` is that of `https://`.
    pub(super) fn is_url(&self) -> bool {
        self.dialect == Dialect::Generic
            && self.peek(1) == Some(b'/')
            && self.peek(2) == Some(b'/')
            && !self.space
            && matches!(self.last, Last::Word(..))
    }

    pub(super) fn url(&mut self) -> Result<(), Unreadable> {
        let end = self.run_end()?;
        let url = self.text.get(self.at + 3..end).unwrap_or_default();
        let mut masked = String::with_capacity(url.len() + 8);
        masked.push_str("://");
        path::after_scheme(&mut masked, url, self.is_cut_at(end));
        self.at = end;
        self.put(&masked, Last::Operand);
        Ok(())
    }

    /// Whether `?` begins a URL's query: a name and `=` are glued to it.
    pub(super) fn is_query(&self) -> bool {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-[]".contains(*byte);
        let length = rest.iter().take_while(name).count();
        rest.first().is_some_and(u8::is_ascii_alphabetic) && rest.get(length) == Some(&b'=')
    }

    /// The end of what is glued to `at`: up to white space. It must hold nothing that may begin a
    /// quoted form or a comment, for that could go on behind it.
    pub(super) fn run_end(&self) -> Result<usize, Unreadable> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let space = rest.iter().position(|byte| class(*byte) == Class::Space);
        let run = rest.get(..space.unwrap_or(rest.len())).unwrap_or_default();
        let forbidden =
            |byte: &u8| *byte == b'$' || matches!(class(*byte), Class::Quote | Class::Control);
        if run.iter().any(forbidden) || run.windows(2).any(|two| two == b"/*") {
            return Err(Unreadable);
        }
        Ok(self.at + run.len())
    }
}
