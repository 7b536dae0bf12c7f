//! Lines on their way from the collector's thread to the one that writes. No page touches it.
//!
//! Its threads wait for each other, so its lock is the standard library's: those of `parking_lot`
//! keep their waiters in a table of the process, which a fork can tear, and then fresh ones hang in
//! the child, too.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// So many bytes wait; what comes then is dropped.
const MOST: usize = 4 << 20;
/// Of a buffer that is used again.
const KEPT_CAPACITY: usize = 256 << 10;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Whole lines, each with its end.
    lines: Vec<u8>,
    /// A buffer to swap with.
    spare: Vec<u8>,
    /// Lines were taken and are not written yet.
    busy: bool,
    closed: bool,
}

impl Queue {
    /// Nothing in here panics while it is held, and lines would be whole even then.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false` where the queue is full.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut state = self.lock();
        if state.closed || state.lines.len() + line.len() > MOST {
            return false;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        drop(state);
        if was_empty {
            self.changed.notify_all();
        }
        true
    }

    pub(super) fn length(&self) -> usize {
        self.lock().lines.len()
    }

    /// Waits for lines; nothing when the queue was closed and is empty.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.lock();
        while state.lines.is_empty() {
            if state.closed {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Some(state.swap())
    }

    /// What there is now.
    pub(super) fn take_now(&self) -> Vec<u8> {
        self.lock().swap()
    }

    /// What was taken is written, or lost.
    pub(super) fn done(&self, mut lines: Vec<u8>) {
        lines.clear();
        lines.shrink_to(KEPT_CAPACITY);
        let mut state = self.lock();
        state.spare = lines;
        state.busy = false;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// `false` where the time was over first.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.busy || !state.lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

impl State {
    fn swap(&mut self) -> Vec<u8> {
        self.busy = true;
        let spare = std::mem::take(&mut self.spare);
        std::mem::replace(&mut self.lines, spare)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_full_queue_drops_and_an_empty_one_takes_again() {
        let queue = Queue::default();
        let line = vec![b'x'; 1 << 20];
        let pushed = (0..10).filter(|_| queue.push(&line)).count();
        assert_eq!(pushed, 4);
        let soon = || Instant::now() + Duration::from_millis(1);
        assert!(!queue.wait_until_empty(soon()));
        let taken = queue.take().unwrap();
        assert_eq!(taken.len(), 4 << 20);
        assert!(!queue.wait_until_empty(soon()), "they are not written yet");
        assert!(queue.push(b"next\n"));
        queue.done(taken);
        queue.close();
        assert!(!queue.push(b"late\n"));
        assert_eq!(queue.take().as_deref(), Some(b"next\n".as_slice()));
        queue.done(Vec::new());
        assert!(queue.wait_until_empty(soon()));
        assert_eq!(queue.take(), None);
    }
}
