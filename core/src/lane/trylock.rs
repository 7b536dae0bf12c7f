//! A lock that nobody waits for: one compare-exchange to take, one store to give back.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Default)]
pub(crate) struct TryLock<T> {
    locked: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through the one guard that holds the lock.
unsafe impl<T: Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            locked: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, if nobody else has it.
    #[inline(always)]
    pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
        self.locked
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .ok()
            // Not `then_some`: a guard that is made must hold the lock, since dropping it unlocks.
            .map(|_| Guard { lock: self })
    }
}

impl<T> TryLock<T> {
    /// The value, without a look at the lock.
    ///
    /// # Safety
    /// While the reference lives, nobody has the lock or tries to get it.
    #[expect(
        clippy::mut_from_ref,
        reason = "the caller's promise stands in for the lock"
    )]
    #[inline(always)]
    pub(crate) unsafe fn unshared(&self) -> &mut T {
        // SAFETY: passed on.
        unsafe { &mut *self.value.get() }
    }
}

pub(crate) struct Guard<'a, T> {
    lock: &'a TryLock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: this guard holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.lock.locked.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::TryLock;

    #[test]
    fn a_failed_try_leaves_the_lock_with_its_holder() {
        let lock = TryLock::new(7);
        let held = lock.try_lock();
        assert!(held.is_some());
        assert!(lock.try_lock().is_none());
        assert!(lock.try_lock().is_none(), "the first failure unlocked it");
        drop(held);
        assert_eq!(lock.try_lock().map(|value| *value), Some(7));
    }
}
