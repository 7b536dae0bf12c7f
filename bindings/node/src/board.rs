//! The memory through which raw callbacks answer: returning a number through Node-API costs more
//! than writing it where JavaScript reads it.
//!
//! One for each thread of JavaScript, made when the addon is loaded there. JavaScript sees it as
//! `native.board`, an `ArrayBuffer`; the addon keeps a reference, so it stays where it is until the
//! thread's environment is torn down, and with it every callback.

use napi::{Result, check_status, sys};

/// What lies where, in order; `lib/board.js` has the same.
#[repr(C)]
pub(crate) struct Board {
    /// The tick that `tick()` read.
    tick: f64,
    /// What a callback answers: a handle's two halves, or a number.
    low: u32,
    high: u32,
}

/// A board for this environment: its buffer, and its place.
///
/// # Safety
/// `env` is the environment of the running call.
pub(crate) unsafe fn create(env: sys::napi_env) -> Result<(sys::napi_value, *mut Board)> {
    let mut data = std::ptr::null_mut();
    let mut buffer = std::ptr::null_mut();
    let mut reference = std::ptr::null_mut();
    // SAFETY: the caller's promise; all three are places for the call to write to.
    unsafe {
        check_status!(sys::napi_create_arraybuffer(
            env,
            size_of::<Board>(),
            &raw mut data,
            &raw mut buffer
        ))?;
        // Never given back: it goes with the environment.
        check_status!(sys::napi_create_reference(
            env,
            buffer,
            1,
            &raw mut reference
        ))?;
    }
    Ok((buffer, data.cast()))
}

/// # Safety
/// For all three: `board` came from [`create`], of an environment that is running a call now; so
/// its memory is there, and no other thread touches it.
impl Board {
    #[inline(always)]
    pub(crate) unsafe fn set_tick(board: *mut Self, tick: u64) {
        // Exact for 40 days of a 2.6 GHz counter, then to 2 ticks, after a year to 8 (3 ns).
        // SAFETY: the caller's promise.
        unsafe { (*board).tick = tick as f64 };
    }

    #[inline(always)]
    pub(crate) unsafe fn set_handle(board: *mut Self, bits: u64) {
        // SAFETY: the caller's promise.
        unsafe {
            (*board).low = bits as u32;
            (*board).high = (bits >> 32) as u32;
        }
    }

    #[inline(always)]
    pub(crate) unsafe fn set_number(board: *mut Self, number: u32) {
        // SAFETY: the caller's promise.
        unsafe { (*board).low = number };
    }
}
