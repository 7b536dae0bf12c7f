//! What was read of a `state_dir`.
//!
//! Others write there while it is read, some are killed while they write, and anybody may have put a
//! file there: what cannot be understood is passed over, and counted, so that whoever looks knows.

use crate::state_dir::content;
use serde::de::DeserializeOwned;
use std::ops::Deref;
use std::path::Path;

/// What was read, and how much could not be.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Found<T> {
    /// What could be understood, in an order that is said where it is read.
    pub all: Vec<T>,
    /// Files, or lines, that could not: half written, not ours to read, or no business of ours.
    pub passed_over: u64,
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            passed_over: 0,
        }
    }
}

impl<T> Deref for Found<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.all
    }
}

impl<T> IntoIterator for Found<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

/// A file in a `state_dir`.
pub(crate) enum File<T> {
    Read(T),
    /// Taken away meanwhile, or still being written: nothing to speak of.
    Gone,
    Wrong,
}

impl<T> File<T> {
    pub(crate) fn of(read: Option<T>, path: &Path) -> Self {
        match read {
            Some(read) => Self::Read(read),
            // Looked at only now: a process that ends takes its files away.
            None if path.symlink_metadata().is_err() => Self::Gone,
            None => Self::Wrong,
        }
    }

    /// What a whole file of JSON holds.
    pub(crate) fn json(path: &Path, most: u64) -> Self
    where
        T: DeserializeOwned,
    {
        let text = content(path, most);
        Self::of(
            text.and_then(|text| serde_json::from_slice(&text).ok()),
            path,
        )
    }
}
