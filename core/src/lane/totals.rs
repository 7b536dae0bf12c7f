//! Exact totals of the calls that are not listed, because a limit of the request was reached.
//!
//! Threads add to them with atomics. Sixteen categories fit in the slot itself; a request with
//! more gets a table of all of them, once.

use crate::category::MAX_CATEGORIES;
use crate::fork::Forever;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The sums of one category.
#[derive(Default)]
pub(crate) struct Sums {
    /// Category number plus one; 0 while free.
    category: AtomicU32,
    pub(crate) calls: AtomicU64,
    pub(crate) ticks: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) cancelled: AtomicU64,
    pub(crate) ended: AtomicU64,
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

const FEW: usize = 16;

pub(crate) struct Totals {
    few: [Sums; FEW],
    all: Forever<[Sums; MAX_CATEGORIES]>,
    used: AtomicU32,
}

impl Totals {
    pub(crate) fn new() -> Self {
        Self {
            few: std::array::from_fn(|_| Sums::default()),
            all: Forever::empty(),
            used: AtomicU32::new(0),
        }
    }

    /// The sums of a category, made at its first use.
    pub(crate) fn of(&self, category: u16) -> Option<&Sums> {
        self.used.store(1, Ordering::Relaxed);
        let key = u32::from(category) + 1;
        for sums in &self.few {
            let there = sums.category.load(Ordering::Acquire);
            if there == key {
                return Some(sums);
            }
            if there == 0 {
                match sums
                    .category
                    .compare_exchange(0, key, Ordering::AcqRel, Ordering::Acquire)
                {
                    Ok(_) => return Some(sums),
                    Err(first) if first == key => return Some(sums),
                    Err(_) => {}
                }
            }
        }
        let sums = self.all()?.get(usize::from(category))?;
        sums.category.store(key, Ordering::Release);
        Some(sums)
    }

    fn all(&self) -> Option<&'static [Sums; MAX_CATEGORIES]> {
        if let Some(all) = self.all.get() {
            return Some(all);
        }
        // Stays with the slot, which is used again: at most one a slot, ever.
        let mut sums = Vec::new();
        sums.try_reserve_exact(MAX_CATEGORIES).ok()?;
        sums.resize_with(MAX_CATEGORIES, Sums::default);
        let new: Box<[Sums; MAX_CATEGORIES]> = sums.into_boxed_slice().try_into().ok()?;
        let new: &'static _ = Box::leak(new);
        Some(self.all.set(new).err().unwrap_or(new))
    }

    /// Category number and sums of all that were used.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Sums)> {
        let used = self.used.load(Ordering::Acquire) != 0;
        let few = if used { self.few.as_slice() } else { &[] };
        let all = if used {
            self.all.get().map_or(&[][..], |all| all.as_slice())
        } else {
            &[]
        };
        few.iter().chain(all).filter_map(|sums| {
            let key = sums.category.load(Ordering::Acquire).checked_sub(1)?;
            Some((u16::try_from(key).ok()?, sums))
        })
    }

    /// Empties them for the next request of the slot. Only when nobody holds it.
    pub(crate) fn clear(&self) {
        if self.used.load(Ordering::Acquire) == 0 {
            return;
        }
        self.used.store(0, Ordering::Relaxed);
        for sums in self.few.iter().chain(self.all.get().into_iter().flatten()) {
            let Sums {
                category,
                calls,
                ticks,
                errors,
                cancelled,
                ended,
                ..
            } = sums;
            category.store(0, Ordering::Relaxed);
            let Sums {
                hits,
                misses,
                rows,
                bytes,
                ..
            } = sums;
            for sum in [
                calls, ticks, errors, cancelled, ended, hits, misses, rows, bytes,
            ] {
                sum.store(0, Ordering::Relaxed);
            }
        }
    }
}
