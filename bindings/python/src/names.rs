//! Numbers of names, found by the address of the text: names are literals, a literal is one object,
//! and so it costs no hashing.
//!
//! A place is one word, so that threads need no lock. It keeps a reference to its text: the address
//! stays this text's for as long as it stands here. Who looks holds the text too, so what has its
//! address is the same.

use crate::raw::again;
use pyo3::ffi::{self, PyObject};
use std::sync::atomic::{AtomicU64, Ordering};

const PLACES: usize = 256;
/// Addresses of objects have zeroes below and above these bits; what has not is not kept.
const ADDRESS: std::ops::Range<u32> = 3..48;

pub(crate) struct Known([AtomicU64; PLACES]);

impl Known {
    pub(crate) const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; PLACES])
    }

    #[inline(always)]
    fn place(&self, name: *mut PyObject) -> Option<&AtomicU64> {
        self.0.get((name as usize >> 4) % PLACES)
    }

    /// The number that was kept for this very object.
    #[inline(always)]
    pub(crate) fn find(&self, name: *mut PyObject) -> Option<u16> {
        let kept = self.place(name)?.load(Ordering::Relaxed);
        (kept >> u16::BITS == name as u64 >> ADDRESS.start).then_some(kept as u16)
    }

    /// Keeps a number. Texts only: other objects may say another name next time.
    ///
    /// # Safety
    /// The caller is attached, and `name` is an object.
    #[cold]
    pub(crate) unsafe fn keep(&self, name: *mut PyObject, number: u16) {
        let address = name as u64;
        if address >> ADDRESS.end != 0 || !address.is_multiple_of(1 << ADDRESS.start) {
            return;
        }
        // SAFETY: attached; a word that stood here was made below, and has a reference to give back.
        unsafe {
            if ffi::PyUnicode_CheckExact(name) == 0 {
                return;
            }
            if let Some(place) = self.place(name) {
                let word = (address >> ADDRESS.start) << u16::BITS | u64::from(number);
                again(name);
                let before = place.swap(word, Ordering::AcqRel);
                let before = (before >> u16::BITS) << ADDRESS.start;
                ffi::Py_XDECREF(before as *mut PyObject);
            }
        }
    }
}
