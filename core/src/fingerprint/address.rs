//! What stands in texts that are no SQL: e-mail addresses, URLs and their queries.

use super::list::Rows;
use super::sql::{Class, Last, Reader, class};
use super::{Unreadable, path};
use crate::category::Dialect;

impl Reader<'_, '_> {
    /// `@` between two words is an e-mail address or an account: all that is glued to it goes.
    pub(super) fn at_sign(&mut self) -> Result<(), Unreadable> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
        let before = self
            .at
            .checked_sub(1)
            .and_then(|at| self.bytes.get(at).copied());
        let glued_before =
            before.is_some_and(|byte| word(byte) || matches!(byte, b'?' | b'"' | b'\'' | b'`'));
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
        if self.list.is_none() && self.rows == Rows::None {
            let ours = self.out.as_bytes().get(self.base..).unwrap_or_default();
            let glued = |byte: &&u8| word(**byte) || b".+%?-".contains(*byte);
            let length = ours.iter().rev().take_while(glued).count();
            self.out.truncate(self.out.len() - length);
        }
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

    pub(super) fn url(&mut self) {
        let end = self.run_end();
        let url = self.text.get(self.at + 3..end).unwrap_or_default();
        let mut masked = String::with_capacity(url.len() + 8);
        masked.push_str("://");
        path::after_scheme(&mut masked, url, self.is_cut_at(end));
        self.at = end;
        self.put(&masked, Last::Operand);
    }

    /// Whether `?` begins a URL's query: a name and `=` are glued to it.
    pub(super) fn is_query(&self) -> bool {
        let rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        let name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-[]".contains(*byte);
        let length = rest.iter().take_while(name).count();
        rest.first().is_some_and(u8::is_ascii_alphabetic) && rest.get(length) == Some(&b'=')
    }

    /// The end of what is glued to `at`: up to white space or a quote.
    pub(super) fn run_end(&self) -> usize {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let ends = |byte: &u8| matches!(class(*byte), Class::Space | Class::Quote | Class::Control);
        self.at + rest.iter().position(ends).unwrap_or(rest.len())
    }
}
