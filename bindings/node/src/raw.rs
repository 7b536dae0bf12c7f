//! The functions that run in every page, as callbacks on bare Node-API.
//!
//! Arguments are trusted no further than memory safety needs: a wrong type is read as 0 or as no
//! text. They return nothing; what they answer is on the [`Board`].

use crate::board::{self, Board};
use crate::guard::guard;
use crate::{flags, hand, metrics, profiler, request};
use ioprofiler_core::handed::Tick;
use ioprofiler_core::handle::RequestHandle;
use napi::bindgen_prelude::Object;
use napi::{Env, JsValue, Result, check_status, sys};
use napi_derive::napi;
use std::mem::MaybeUninit;

/// A callback takes at most so many arguments.
const MOST: usize = 13;

/// One running call of a raw callback.
pub(crate) struct Call {
    env: sys::napi_env,
    arguments: [sys::napi_value; MOST],
    board: *mut Board,
}

impl Call {
    /// # Safety
    /// Both are what Node gave to the callback that runs.
    #[inline(always)]
    unsafe fn new(env: sys::napi_env, info: sys::napi_callback_info) -> Self {
        let mut call = Self {
            env,
            arguments: [std::ptr::null_mut(); MOST],
            board: std::ptr::null_mut(),
        };
        let mut count = MOST;
        let mut data = std::ptr::null_mut();
        // SAFETY: the caller's promise; there is room for `count` arguments. Missing ones become
        // `undefined`. The data is what the function was made with: the board.
        unsafe {
            sys::napi_get_cb_info(
                env,
                info,
                &raw mut count,
                call.arguments.as_mut_ptr(),
                std::ptr::null_mut(),
                &raw mut data,
            );
        }
        call.board = data.cast();
        call
    }

    #[inline(always)]
    pub(crate) fn value(&self, index: usize) -> sys::napi_value {
        self.arguments
            .get(index)
            .copied()
            .unwrap_or(std::ptr::null_mut())
    }

    #[inline(always)]
    pub(crate) fn u32(&self, index: usize) -> u32 {
        let mut number = 0;
        // SAFETY: an argument of the running call; anything but a number leaves 0.
        unsafe { sys::napi_get_value_uint32(self.env, self.value(index), &raw mut number) };
        number
    }

    #[inline(always)]
    pub(crate) fn f64(&self, index: usize) -> f64 {
        let mut number = 0.0;
        // SAFETY: an argument of the running call; anything but a number leaves 0.
        unsafe { sys::napi_get_value_double(self.env, self.value(index), &raw mut number) };
        number
    }

    /// The request whose handle's halves are the first two arguments.
    #[inline(always)]
    pub(crate) fn request(&self) -> RequestHandle {
        let bits = u64::from(self.u32(0)) | (u64::from(self.u32(1)) << 32);
        RequestHandle::from_bits(bits)
    }

    pub(crate) fn kind(&self, index: usize) -> sys::napi_valuetype {
        let mut kind = sys::ValueType::napi_undefined;
        // SAFETY: an argument of the running call.
        unsafe { sys::napi_typeof(self.env, self.value(index), &raw mut kind) };
        kind
    }

    pub(crate) fn is_string(&self, index: usize) -> bool {
        self.kind(index) == sys::ValueType::napi_string
    }

    pub(crate) fn bool(&self, index: usize) -> bool {
        let mut yes = false;
        // SAFETY: an argument of the running call; anything but a bool leaves `false`.
        unsafe { sys::napi_get_value_bool(self.env, self.value(index), &raw mut yes) };
        yes
    }

    /// Lends a string argument to `use_text`: UTF-8, empty where it is none.
    #[inline]
    pub(crate) fn with_text<R>(&self, index: usize, use_text: impl FnOnce(&[u8]) -> R) -> R {
        // Not zeroed: that would cost more than reading the string.
        let mut small = [MaybeUninit::<u8>::uninit(); 2_048];
        let mut length = 0;
        let value = self.value(index);
        // SAFETY: room for as many bytes as is said; the end's NUL is one of them.
        let status = unsafe {
            sys::napi_get_value_string_utf8(
                self.env,
                value,
                small.as_mut_ptr().cast(),
                small.len(),
                &raw mut length,
            )
        };
        if status != sys::Status::napi_ok {
            return use_text(&[]);
        }
        // A character has at most four bytes, so nearer to the end it may have been cut.
        if length + 4 < small.len() {
            // SAFETY: so many bytes were written.
            let text = unsafe { std::slice::from_raw_parts(small.as_ptr().cast::<u8>(), length) };
            return use_text(text);
        }
        use_text(&self.long_text(value).unwrap_or_default())
    }

    #[cold]
    fn long_text(&self, value: sys::napi_value) -> Option<Vec<u8>> {
        let mut length = 0;
        let mut text: Vec<u8> = Vec::new();
        // SAFETY: without a buffer the call only measures; then there is room for what it said and
        // a NUL, and so many bytes are written.
        unsafe {
            let null = std::ptr::null_mut();
            sys::napi_get_value_string_utf8(self.env, value, null, 0, &raw mut length);
            text.try_reserve_exact(length + 1).ok()?;
            let place = text.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env, value, place, length + 1, &raw mut length);
            text.set_len(length);
        }
        Some(text)
    }

    /// The records in an `ArrayBuffer`; none where it is none.
    ///
    /// # Safety
    /// All bits are valid for a `T`; JavaScript does not run while they are used, and they are asked
    /// for once.
    pub(crate) unsafe fn records<'a, T>(&self, index: usize) -> &'a mut [T] {
        let mut data = std::ptr::null_mut();
        let mut length = 0;
        // SAFETY: an argument of the running call; anything but an ArrayBuffer is refused.
        let status = unsafe {
            sys::napi_get_arraybuffer_info(
                self.env,
                self.value(index),
                &raw mut data,
                &raw mut length,
            )
        };
        let data = data.cast::<T>();
        if status != sys::Status::napi_ok || data.is_null() || !data.is_aligned() {
            return &mut [];
        }
        // SAFETY: so many whole records lie in the buffer, and the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(data, length / size_of::<T>()) }
    }

    #[inline(always)]
    pub(crate) fn answer_handle(&self, bits: u64) {
        // SAFETY: the board of the environment whose call runs.
        unsafe { Board::set_handle(self.board, bits) };
    }

    #[inline(always)]
    pub(crate) fn answer(&self, number: u32) {
        // SAFETY: as above.
        unsafe { Board::set_number(self.board, number) };
    }
}

/// What a callback does with its call.
type Body = fn(&Call);

/// Makes the callback of a body.
macro_rules! callbacks {
    ($($name:ident = $body:expr;)*) => {$(
        unsafe extern "C" fn $name(
            env: sys::napi_env,
            info: sys::napi_callback_info,
        ) -> sys::napi_value {
            // SAFETY: what Node gave to this callback.
            let call = unsafe { Call::new(env, info) };
            let body: Body = $body;
            guard(|| body(&call));
            std::ptr::null_mut()
        }
    )*

    const CALLBACKS: &[(&str, unsafe extern "C" fn(
        sys::napi_env,
        sys::napi_callback_info,
    ) -> sys::napi_value)] = &[
        ("tick", tick),
        #[cfg(feature = "injected-panic")]
        ("panicInRaw", injected::panic_in_raw),
        $((stringify!($name), $name),)*
    ];
    };
}

callbacks! {
    begin = profiler::begin;
    finish = request::finish;
    fact = request::fact;
    tell = request::tell;
    note = request::note;
    flag = flags::flag;
    ahead = flags::ahead;
    header = request::header;
    hand = hand::hand;
    late = hand::late;
    metric = metrics::metric;
    count = metrics::count;
    gauge = metrics::gauge;
    timing = metrics::timing;
}

/// Writes the clock's reading onto the board. The hottest of all: no guard, since nothing in it
/// can panic, and no arguments.
unsafe extern "C" fn tick(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    let mut data = std::ptr::null_mut();
    let null = std::ptr::null_mut();
    // SAFETY: what Node gave to this callback. The data is what the function was made with: the
    // board of the environment whose call runs.
    unsafe {
        sys::napi_get_cb_info(env, info, null, null.cast(), null.cast(), &raw mut data);
        Board::set_tick(data.cast(), Tick::now().to_bits());
    }
    std::ptr::null_mut()
}

/// Puts the raw callbacks and their board among the exports.
#[napi(module_exports)]
pub fn add_raw_callbacks(exports: Object<'_>, env: Env) -> Result<()> {
    // Also where the linker was not told to keep the library: a worker that ends must not unmap it
    // under the collector's thread.
    napi::bindgen_prelude::retain_current_module_for_unload_safety();
    let env = env.raw();
    // SAFETY: Node runs this to load the addon; names are NUL-terminated; the board outlives the
    // functions.
    unsafe {
        let (buffer, board) = board::create(env)?;
        check_status!(sys::napi_set_named_property(
            env,
            exports.raw(),
            c"board".as_ptr(),
            buffer
        ))?;
        for (name, callback) in CALLBACKS {
            let mut function = std::ptr::null_mut();
            let mut key = std::ptr::null_mut();
            let length = name.len() as isize;
            check_status!(sys::napi_create_function(
                env,
                name.as_ptr().cast(),
                length,
                Some(*callback),
                board.cast(),
                &raw mut function
            ))?;
            check_status!(sys::napi_create_string_utf8(
                env,
                name.as_ptr().cast(),
                length,
                &raw mut key
            ))?;
            check_status!(sys::napi_set_property(env, exports.raw(), key, function))?;
        }
    }
    Ok(())
}

/// For the tests that nothing comes of a panic.
#[cfg(feature = "injected-panic")]
mod injected {
    use super::{Call, guard, sys};
    use napi_derive::napi;

    #[expect(clippy::panic, reason = "what it is for")]
    fn panic_as_any_function_of_ours_could() {
        panic!("injected");
    }

    /// In a function of `#[napi]`.
    #[napi(catch_unwind)]
    pub fn panic_in_napi() {
        panic_as_any_function_of_ours_could();
    }

    /// In a raw callback.
    pub(super) unsafe extern "C" fn panic_in_raw(
        env: sys::napi_env,
        info: sys::napi_callback_info,
    ) -> sys::napi_value {
        // SAFETY: what Node gave to this callback.
        let _call = unsafe { Call::new(env, info) };
        guard(panic_as_any_function_of_ours_could);
        std::ptr::null_mut()
    }
}
