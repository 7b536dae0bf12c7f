//! Structs that can grow: they start with their size, as the host's compiler knew it.

use crate::status::{IOPROF_ERR_ARGUMENT, ioprof_status};
use std::mem::{MaybeUninit, size_of};

/// No struct of ours will ever be so big; what says so was not filled in.
const MAX_SIZE: usize = 4_096;

/// A `repr(C)` struct of integers and pointers that starts with `size_t size`.
///
/// # Safety
/// All bytes zero is a value of it.
pub(crate) unsafe trait Growable: Copy {}

/// What a host filled in; fields that its header did not have are zero.
///
/// # Safety
/// `host` is NULL, or points to a size and as many bytes as that says.
pub(crate) unsafe fn read<T: Growable>(host: *const T) -> Result<T, ioprof_status> {
    // SAFETY: the caller's promise.
    let size = unsafe { size_at(host)? };
    let mut ours = MaybeUninit::<T>::zeroed();
    // SAFETY: at most the bytes that the host has, and at most those that we have; then a `T` of
    // which the rest is zero, which its trait allows.
    unsafe {
        let bytes = size.min(size_of::<T>());
        std::ptr::copy_nonoverlapping(host.cast::<u8>(), ours.as_mut_ptr().cast::<u8>(), bytes);
        Ok(ours.assume_init())
    }
}

/// Fills in as much as the host's header knew; its `size` stays.
///
/// # Safety
/// As [`read`], and the host's bytes can be written.
pub(crate) unsafe fn write<T: Growable>(ours: &T, host: *mut T) -> Result<(), ioprof_status> {
    // SAFETY: the caller's promise.
    let size = unsafe { size_at(host)? }.min(size_of::<T>());
    let kept = size_of::<usize>();
    // SAFETY: behind the size, and within both.
    unsafe {
        let from = std::ptr::from_ref(ours).cast::<u8>().add(kept);
        std::ptr::copy_nonoverlapping(from, host.cast::<u8>().add(kept), size - kept);
    }
    Ok(())
}

/// Whether a host that is newer than the library set a field that the library does not have.
///
/// # Safety
/// As [`read`].
pub(crate) unsafe fn asks_for_more<T: Growable>(host: *const T) -> bool {
    // SAFETY: the caller's promise.
    let Ok(size) = (unsafe { size_at(host) }) else {
        return false;
    };
    (size_of::<T>()..size).any(|at| {
        // SAFETY: within the host's bytes.
        unsafe { *host.cast::<u8>().add(at) != 0 }
    })
}

unsafe fn size_at<T>(host: *const T) -> Result<usize, ioprof_status> {
    if host.is_null() {
        return Err(IOPROF_ERR_ARGUMENT);
    }
    // SAFETY: the caller's promise; the host may have it at any address.
    let size = unsafe { host.cast::<usize>().read_unaligned() };
    let possible = size_of::<usize>()..=MAX_SIZE;
    possible
        .contains(&size)
        .then_some(size)
        .ok_or(IOPROF_ERR_ARGUMENT)
}

/// The first `most` of a host's array.
///
/// # Safety
/// `first` is NULL, or good for `count` elements.
pub(crate) unsafe fn elements<T: Copy>(
    first: *const T,
    count: usize,
    most: usize,
) -> impl Iterator<Item = T> {
    let count = if first.is_null() { 0 } else { count.min(most) };
    // SAFETY: within the array, by the caller's promise.
    (0..count).map(move |at| unsafe { first.add(at).read_unaligned() })
}
