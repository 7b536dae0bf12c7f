//! A call as it is handed to a lane, and the number under which the lane gives it back.

use super::chunk::{About, INNER, NO_SPAN, Record, SCOPE, Text};
use crate::category::{CategoryId, Kind};
use std::sync::atomic::Ordering;

/// A call without a parent.
pub(crate) const ROOT: u32 = NO_SPAN;

/// A span's number in its process: chunk and record.
#[inline(always)]
pub(crate) fn span_number(chunk: u32, record: u32) -> u32 {
    (chunk << 8) | record
}

/// A span's number, and which generation may end it: one integer, which passes in a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u64);

impl Key {
    pub(crate) const NONE: Self = Self(0);

    #[inline(always)]
    pub(crate) fn new(number: u32, generation: u32) -> Self {
        Self((u64::from(generation) << 32) | u64::from(number))
    }

    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        self.0 as u32
    }

    #[inline(always)]
    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A record that was just made.
#[derive(Clone, Copy)]
pub(crate) struct Begun {
    pub(crate) record: &'static Record,
    pub(crate) key: Key,
}

/// What is known of a call when it begins: few enough words to pass in registers.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) about: About,
    pub(crate) detail: &'a [u8],
    pub(crate) caller: usize,
}

impl<'a> Call<'a> {
    /// A call inside `parent`, or [`ROOT`].
    #[inline(always)]
    pub(crate) fn new(category: CategoryId, parent: u32, detail: &'a [u8], caller: usize) -> Self {
        let about = About::new(parent, category.number, category.kind as u8);
        Self {
            about,
            detail,
            caller,
        }
    }

    /// As [`Call::new`], where the parent is a leaf: the call is part of it.
    #[inline(always)]
    pub(crate) fn inner(category: CategoryId, leaf: u32, detail: &'a [u8], caller: usize) -> Self {
        let about = About::new(leaf, category.number, category.kind as u8 | INNER);
        Self {
            about,
            detail,
            caller,
        }
    }
}

const _: () = assert!(Kind::Leaf as u8 == 0 && Kind::Scope as u8 == SCOPE);

/// When a call that is recorded after the fact began and ended, in ticks.
pub(crate) type Past = Option<(u64, u64, u8)>;

/// Writes all of a record but its start and end.
#[inline(always)]
pub(crate) fn fill(record: &Record, call: Call<'_>, detail: Text) {
    record.caller.store(call.caller, Ordering::Relaxed);
    record.detail.store(detail.0, Ordering::Relaxed);
    record.target.store(Text::EMPTY.0, Ordering::Relaxed);
    record.about.store(call.about.0, Ordering::Relaxed);
}
