//! What a request keeps beside its facts because flags ask for it.

use super::subject::{List, Subject, Unit};
use crate::text::cut_str;

/// A request keeps at most so many attributes, and so many overrides.
const MOST: usize = 64;
const LONGEST: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct FlagFacts {
    /// The hashes of the ids, taken when they are set: each decision would take them otherwise.
    pub(crate) user: u64,
    pub(crate) visitor: u64,
    attributes: Vec<(String, String)>,
    overrides: Vec<(String, String)>,
    /// Decisions about others than the request's own subject.
    pub(crate) others: Vec<Other>,
}

/// A decision about somebody else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Other {
    pub(crate) subject: u64,
    pub(crate) decided: super::decision::Packed,
    pub(crate) count: u32,
}

impl FlagFacts {
    pub(crate) fn set_attribute(&mut self, name: &str, value: &str) {
        let value = cut_str(value, LONGEST).to_owned();
        let name = cut_str(name, LONGEST);
        if let Some((_, own)) = self.attributes.iter_mut().find(|(own, _)| own == name) {
            *own = value;
        } else if self.attributes.len() < MOST {
            self.attributes.push((name.to_owned(), value));
        }
    }

    /// `new_search:green,cart:off,fast`; a name alone is on. The first of a name holds.
    pub(crate) fn set_overrides(&mut self, text: &str) {
        for part in text.split(',').take(MOST) {
            let (name, variant) = part.split_once(':').unwrap_or((part, "on"));
            let (name, variant) = (name.trim(), variant.trim());
            if !name.is_empty() && !variant.is_empty() {
                self.overrides.push((name.to_owned(), variant.to_owned()));
            }
        }
    }

    pub(crate) fn subject<'a>(
        &'a self,
        visitor: Option<&'a str>,
        user: Option<&'a str>,
        groups: &'a [String],
    ) -> Subject<'a> {
        let unit = |text: Option<&'a str>, hash: u64| {
            let text = text.filter(|text| !text.is_empty())?;
            Some(Unit { text, hash })
        };
        Subject {
            visitor: unit(visitor, self.visitor),
            user: unit(user, self.user),
            request: None,
            groups: List::Owned(groups),
            attributes: List::Owned(&self.attributes),
            overrides: &self.overrides,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.attributes.clear();
        self.overrides.clear();
        self.others.clear();
    }
}
