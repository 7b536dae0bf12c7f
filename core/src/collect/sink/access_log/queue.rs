//! Lines on their way from the collector's thread to the one that writes. No page touches it.

use parking_lot::{Condvar, Mutex};
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
    /// `false` where the queue is full.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut state = self.state.lock();
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
        self.state.lock().lines.len()
    }

    /// Waits for lines; nothing when the queue was closed and is empty.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let mut state = self.state.lock();
        while state.lines.is_empty() {
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        Some(state.swap())
    }

    /// What there is now.
    pub(super) fn take_now(&self) -> Vec<u8> {
        self.state.lock().swap()
    }

    /// What was taken is written, or lost.
    pub(super) fn done(&self, mut lines: Vec<u8>) {
        lines.clear();
        lines.shrink_to(KEPT_CAPACITY);
        let mut state = self.state.lock();
        state.spare = lines;
        state.busy = false;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }

    /// `false` where the time was over first.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while state.busy || !state.lines.is_empty() {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return !state.busy && state.lines.is_empty();
            }
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
