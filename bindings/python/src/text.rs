//! Python's texts as bytes, and back: never an exception, never a copy where there need not be one.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi::{self, Py_ssize_t, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::borrow::Cow;

/// A text of more characters is cut before it is looked at, unless that is free.
const LONG: Py_ssize_t = 32 << 10;

/// The bytes of a `str` (UTF-8, lone surrogates as three bytes), of `bytes`, or of what `str()`
/// makes of anything else. Runs `use_bytes` with them.
///
/// # Safety
/// The caller is attached, `object` is an object, and no exception is set.
#[inline(always)]
pub(crate) unsafe fn with_bytes<R>(object: *mut PyObject, use_bytes: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: passed on.
    unsafe {
        // Nearly every text is exactly one, which takes no call to see.
        let is_text = std::ptr::eq(ffi::Py_TYPE(object), &raw const ffi::PyUnicode_Type)
            || ffi::PyUnicode_Check(object) != 0;
        if is_text && ffi::PyUnicode_GetLength(object) <= LONG {
            let mut length: Py_ssize_t = 0;
            let data = ffi::PyUnicode_AsUTF8AndSize(object, &raw mut length);
            if !data.is_null() {
                let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length as usize);
                return use_bytes(bytes);
            }
            ffi::PyErr_Clear();
        }
        let object = Bound::from_borrowed_ptr(Python::assume_attached(), object);
        use_bytes(&uncommon(&object))
    }
}

#[cold]
fn uncommon<'a>(object: &'a Bound<'_, PyAny>) -> Cow<'a, [u8]> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Cow::Borrowed(bytes.as_bytes());
    }
    if let Ok(text) = object.cast::<PyString>() {
        return of_str(text);
    }
    match object.str() {
        Ok(text) => Cow::Owned(of_str(&text).into_owned()),
        Err(_) => Cow::Borrowed(b"?"),
    }
}

fn of_str<'a>(text: &'a Bound<'_, PyString>) -> Cow<'a, [u8]> {
    let is_ascii = || {
        text.call_method0("isascii")
            .is_ok_and(|yes| yes.is_truthy().unwrap_or(false))
    };
    let length = text.len().unwrap_or(0);
    if (length <= LONG as usize || is_ascii())
        && let Ok(utf8) = text.to_str()
    {
        return Cow::Borrowed(utf8.as_bytes());
    }
    // Its UTF-8 would be kept with the text for good: a piece of it will do.
    // SAFETY: attached, a `str`, and bounds that any length allows.
    let piece = unsafe {
        Bound::from_owned_ptr_or_opt(text.py(), ffi::PyUnicode_Substring(text.as_ptr(), 0, LONG))
    };
    let encoded = piece.and_then(|piece| {
        piece
            .call_method1("encode", ("utf-8", "surrogatepass"))
            .ok()
    });
    match encoded
        .as_ref()
        .and_then(|bytes| bytes.cast::<PyBytes>().ok())
    {
        Some(bytes) => Cow::Owned(bytes.as_bytes().to_vec()),
        None => {
            // SAFETY: attached. What went wrong above may have left an exception.
            unsafe { ffi::PyErr_Clear() };
            Cow::Borrowed(b"?")
        }
    }
}

/// A text, whatever it is: for facts and names.
pub(crate) fn lossy(object: &Bound<'_, PyAny>) -> String {
    // SAFETY: attached, an object, and PyO3 leaves no exception set.
    unsafe {
        with_bytes(object.as_ptr(), |bytes| {
            String::from_utf8_lossy(bytes).into_owned()
        })
    }
}

/// A header's name or value: `bytes`, or a `str` of Latin-1 characters as WSGI has it.
pub(crate) fn wire(object: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let text = object.cast::<PyString>()?;
    let utf8 = text.to_str()?;
    if utf8.is_ascii() {
        return Ok(utf8.as_bytes().to_vec());
    }
    utf8.chars()
        .map(|c| u8::try_from(u32::from(c)))
        .collect::<Result<_, _>>()
        .map_err(|_| PyTypeError::new_err("a header must be Latin-1"))
}

/// Bytes as a `str` of Latin-1 characters.
pub(crate) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
