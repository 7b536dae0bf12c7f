//! The snapshot that a profiler decides by now, and those that requests in flight began with.
//!
//! Replaced whole, read without a lock. A request keeps only the number of the publication it
//! began with; what was replaced stays for [`PINNED_FOR`], which is as long as requests may go on
//! deciding by it.

use super::snapshot::Snapshot;
use crate::clock;
use arc_swap::{ArcSwap, Guard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A request decides by the snapshot it began with for so long, in nanoseconds.
pub(crate) const PINNED_FOR: u64 = 60_000_000_000;
/// At most so many replaced snapshots are kept; requests that began with an older one decide by
/// the newest.
const MOST_EARLIER: usize = 16;

/// On lines of its own, as [`Store`] is.
#[repr(align(128))]
struct Changes(AtomicU64);

static CHANGES: Changes = Changes(AtomicU64::new(0));

/// Publications of all profilers of this process. While it stays the same, so does what any of them
/// has published: the one number that a request compares at each read of a flag.
#[inline(always)]
pub(crate) fn changes() -> u64 {
    CHANGES.0.load(Ordering::Acquire)
}

/// One publication.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) snapshot: Arc<Snapshot>,
    /// 0 before the first one.
    pub(crate) sequence: u64,
    /// Wall clock, nanoseconds.
    pub(crate) changed_at: u64,
    earlier: Vec<Earlier>,
}

#[derive(Clone, Debug)]
struct Earlier {
    snapshot: Arc<Snapshot>,
    sequence: u64,
    replaced_at: u64,
}

impl Published {
    /// The snapshot of a publication, if it is this one or was kept.
    pub(crate) fn of(&self, sequence: u64) -> Option<&Snapshot> {
        if sequence == self.sequence {
            return Some(&self.snapshot);
        }
        let mut earlier = self.earlier.iter();
        let found = earlier.find(|earlier| earlier.sequence == sequence)?;
        Some(&found.snapshot)
    }

    fn next(&self, snapshot: Arc<Snapshot>, now: u64) -> Self {
        let mut earlier = self.kept(now);
        if self.sequence != 0 {
            earlier.push(Earlier {
                snapshot: Arc::clone(&self.snapshot),
                sequence: self.sequence,
                replaced_at: now,
            });
        }
        let too_many = earlier.len().saturating_sub(MOST_EARLIER);
        earlier.drain(..too_many);
        Self {
            snapshot,
            sequence: self.sequence + 1,
            changed_at: now,
            earlier,
        }
    }

    fn kept(&self, now: u64) -> Vec<Earlier> {
        let mut kept = self.earlier.clone();
        kept.retain(|earlier| now.saturating_sub(earlier.replaced_at) <= PINNED_FOR);
        kept
    }
}

/// Where a profiler keeps its flags, and what happened to them. On lines of its own: every request
/// reads it, and nothing that requests write shall push it out of their caches.
#[repr(align(128))]
pub(crate) struct Store {
    current: ArcSwap<Published>,
    /// That of `current`, for requests that begin: one load.
    sequence: AtomicU64,
    /// When the source was last looked at, wall clock; 0: never.
    looked_at: AtomicU64,
    pub(crate) counters: Counters,
}

/// What was counted.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    pub(crate) dark_runs: AtomicU64,
    pub(crate) dark_errors: AtomicU64,
    pub(crate) dark_panics: AtomicU64,
    pub(crate) unlisted: AtomicU64,
}

impl Store {
    pub(crate) fn new(snapshot: Option<Snapshot>) -> Self {
        let sequence = u64::from(snapshot.is_some());
        let published = Published {
            snapshot: Arc::new(snapshot.unwrap_or_default()),
            sequence,
            changed_at: clock::wall(),
            earlier: Vec::new(),
        };
        Self {
            current: ArcSwap::from_pointee(published),
            sequence: AtomicU64::new(sequence),
            looked_at: AtomicU64::new(0),
            counters: Counters::default(),
        }
    }

    /// Whether there ever was a snapshot.
    pub(crate) fn is_used(&self) -> bool {
        self.sequence() != 0
    }

    #[inline(always)]
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn load(&self) -> Guard<Arc<Published>> {
        self.current.load()
    }

    /// Publishes a snapshot; gives what it replaced.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        let now = clock::wall();
        let before = self
            .current
            .rcu(|published| published.next(Arc::clone(&snapshot), now));
        self.announce(self.current.load().sequence);
        Arc::clone(&before.snapshot)
    }

    /// Requests that begin from now on decide by it, and those in flight see that there is
    /// something newer. Two publishers may come here in either order: the number only grows.
    fn announce(&self, sequence: u64) {
        self.sequence.fetch_max(sequence, Ordering::AcqRel);
        CHANGES.0.fetch_add(1, Ordering::AcqRel);
    }

    /// The source was looked at just now; what no request can need any more is let go.
    pub(crate) fn looked(&self) {
        let now = clock::wall();
        self.looked_at.store(now, Ordering::Relaxed);
        let published = self.current.load();
        // In a child whose parent forked while it published, nobody else catches up.
        if self.sequence() < published.sequence {
            self.announce(published.sequence);
        }
        if published.kept(now).len() < published.earlier.len() {
            drop(published);
            self.current.rcu(|published| Published {
                earlier: published.kept(now),
                ..Published::clone(published)
            });
        }
    }

    /// When the source was last looked at, or, where nobody looks, when the snapshot was set.
    pub(crate) fn looked_at(&self) -> Option<u64> {
        let looked_at = self.looked_at.load(Ordering::Relaxed);
        (looked_at != 0).then_some(looked_at)
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_EARLIER, PINNED_FOR, Store};
    use crate::flags::{Document, FlagSpec, Snapshot, compile};
    use std::sync::Arc;

    fn snapshot(name: &str) -> Arc<Snapshot> {
        let mut document = Document::default();
        document.flags.push(FlagSpec::new(name));
        Arc::new(compile(document))
    }

    #[test]
    fn what_was_replaced_stays_for_requests_that_began_with_it_and_not_longer() {
        let store = Store::new(None);
        assert!(!store.is_used());
        store.publish(snapshot("first"));
        let first = store.sequence();
        store.publish(snapshot("second"));
        let published = store.load();
        let name = |sequence| {
            let found = published.of(sequence)?;
            Some(found.document().flags.first()?.name.clone())
        };
        assert_eq!(name(first).as_deref(), Some("first"));
        assert_eq!(name(store.sequence()).as_deref(), Some("second"));
        assert_eq!(name(0), None);
        let later = published.changed_at + PINNED_FOR + 1;
        assert!(published.kept(later).is_empty());
    }

    #[test]
    fn a_storm_of_changes_keeps_a_few() {
        let store = Store::new(None);
        for change in 0..100 {
            store.publish(snapshot(&format!("flag{change}")));
        }
        let published = store.load();
        assert_eq!(published.earlier.len(), MOST_EARLIER);
        assert!(published.of(100 - MOST_EARLIER as u64).is_some());
        assert!(published.of(1).is_none());
    }
}
