//! The words that threads agree through, in every interleaving that a model checker finds:
//! `RUSTFLAGS="--cfg loom" cargo test -p ioprofiler --release --test words`.
#![cfg(loom)]
#![allow(dead_code, unreachable_pub, missing_docs)]

#[path = "../src/lane/word.rs"]
mod word;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;
use word::{End, EndWord, Holders, LockWord};

/// Memory that only the holder of a lane touches: loom fails a model in which two do at once.
struct Lane {
    word: LockWord,
    inside: loom::cell::UnsafeCell<u32>,
}

impl Lane {
    fn new(generation: u32) -> Self {
        Self {
            word: LockWord::new(generation),
            inside: loom::cell::UnsafeCell::new(0),
        }
    }

    /// Locks, writes, unlocks. What was there, where it could lock.
    fn write(&self, generation: u32, value: u32) -> Option<u32> {
        if !self.word.try_lock(generation) {
            return None;
        }
        let before = self.inside.with_mut(|inside| {
            // SAFETY: the lock is ours; that nobody else is inside is what the model checks.
            unsafe { std::mem::replace(&mut *inside, value) }
        });
        self.word.unlock(generation);
        Some(before)
    }
}

#[test]
fn a_lane_has_one_holder_and_an_older_generation_never_locks() {
    loom::model(|| {
        let lane = Arc::new(Lane::new(1));
        let lockers: Vec<_> = [10, 20]
            .into_iter()
            .map(|value| {
                let lane = Arc::clone(&lane);
                thread::spawn(move || lane.write(1, value))
            })
            .collect();
        let advanced = lane.word.try_advance(1, 2);
        if advanced {
            // The request was put away: what was written in it is seen by its next use, alone.
            let seen = lane.write(2, 99).expect("nobody else has generation 2");
            assert!([0, 10, 20].contains(&seen));
            assert!(lane.word.is_of(2));
            assert!(!lane.word.try_lock(1));
        }
        let wrote: Vec<_> = lockers
            .into_iter()
            .map(|locker| locker.join().unwrap())
            .collect();
        if advanced {
            assert_eq!(
                lane.write(2, 0),
                Some(99),
                "a stale locker got in: {wrote:?}"
            );
        } else {
            assert!(
                wrote.iter().any(Option::is_some),
                "somebody stood in the way of the advance"
            );
        }
    });
}

#[test]
fn two_that_advance_a_lane_do_so_once() {
    loom::model(|| {
        let word = Arc::new(LockWord::new(7));
        let other = {
            let word = Arc::clone(&word);
            thread::spawn(move || word.try_advance(7, 8))
        };
        let mine = word.try_advance(7, 8);
        let others = other.join().unwrap();
        assert!(mine ^ others);
        assert!(word.is_of(8));
    });
}

#[test]
fn a_reader_that_sees_the_count_sees_the_record() {
    loom::model(|| {
        let record = Arc::new((AtomicU64::new(0), EndWord::new(0), AtomicU32::new(0)));
        let writer = {
            let record = Arc::clone(&record);
            thread::spawn(move || {
                let (detail, end, published) = &*record;
                detail.store(5_773_453, Ordering::Relaxed);
                end.set(EndWord::open(3));
                published.store(1, Ordering::Release);
                end.end_owned(1, 42);
            })
        };
        let (detail, end, published) = &*record;
        if published.load(Ordering::Acquire) == 1 {
            assert_eq!(detail.load(Ordering::Relaxed), 5_773_453);
            let seen = end.load();
            assert!(end.is_open(3) || end.load() == End::Ended(1, 42));
            assert!([End::Open, End::Ended(1, 42)].contains(&seen));
        }
        writer.join().unwrap();
        assert_eq!(end.load(), End::Ended(1, 42));
    });
}

#[test]
fn a_span_ends_exactly_once() {
    loom::model(|| {
        let end = Arc::new(EndWord::new(5));
        let enders: Vec<_> = [(1, 100), (2, 200)]
            .into_iter()
            .map(|(outcome, tick)| {
                let end = Arc::clone(&end);
                thread::spawn(move || end.try_end(5, outcome, tick))
            })
            .collect();
        assert!(!end.try_end(4, 0, 300), "an older span's end");
        let won: Vec<bool> = enders
            .into_iter()
            .map(|ender| ender.join().unwrap())
            .collect();
        assert!(won[0] ^ won[1], "{won:?}");
        let expected = if won[0] {
            End::Ended(1, 100)
        } else {
            End::Ended(2, 200)
        };
        assert_eq!(end.load(), expected);
    });
}

/// A request as its holders see it: what is in it belongs to whoever holds it, and to its last
/// holder alone once nobody does.
struct Life {
    holders: Holders,
    generation: AtomicU32,
    inside: loom::cell::UnsafeCell<u32>,
}

impl Life {
    fn begun(generation: u32) -> Self {
        let life = Self {
            holders: Holders::idle(),
            generation: AtomicU32::new(generation),
            inside: loom::cell::UnsafeCell::new(generation),
        };
        life.holders.begin(1);
        life
    }

    fn let_go(&self) {
        if self.holders.release() == 1 {
            let next = self.generation.load(Ordering::Acquire) + 1;
            // As `Slot::try_recycle` does: empties, marks idle, then names the next life.
            self.inside.with_mut(|inside| {
                // SAFETY: nobody holds it any more; the model checks just that.
                unsafe { *inside = next }
            });
            self.holders.set_idle();
            self.generation.store(next, Ordering::Release);
        }
    }

    /// As `Slot::hold` does. What is inside, where the life is still that one.
    fn look(&self, generation: u32) -> Option<u32> {
        if !self.holders.try_hold() {
            return None;
        }
        let seen = (self.generation.load(Ordering::Acquire) == generation)
            // SAFETY: held, so nobody empties it; the model checks just that.
            .then(|| self.inside.with(|inside| unsafe { *inside }));
        self.let_go();
        seen
    }
}

#[test]
fn whoever_holds_a_request_finds_it_whole() {
    loom::model(|| {
        let life = Arc::new(Life::begun(1));
        let looks: Vec<_> = (0..2)
            .map(|_| {
                let life = Arc::clone(&life);
                thread::spawn(move || life.look(1))
            })
            .collect();
        life.let_go();
        for look in looks {
            let seen = look.join().unwrap();
            assert!(seen.is_none_or(|inside| inside == 1), "{seen:?}");
        }
        assert_eq!(
            life.generation.load(Ordering::Acquire),
            2,
            "put away exactly once"
        );
        assert!(!life.holders.try_hold(), "nobody holds an idle request");
    });
}

#[test]
fn a_look_at_one_life_never_sees_the_next() {
    loom::model(|| {
        let life = Arc::new(Life::begun(1));
        let look = {
            let life = Arc::clone(&life);
            thread::spawn(move || life.look(1))
        };
        life.let_go();
        // Taken from the pile of free ones, where only who put it away has put it.
        if life.generation.load(Ordering::Acquire) == 2 {
            life.holders.begin(1);
            assert_eq!(life.look(2), Some(2));
            life.let_go();
        }
        let seen = look.join().unwrap();
        assert!(seen.is_none_or(|inside| inside == 1), "{seen:?}");
    });
}
