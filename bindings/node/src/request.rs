//! Requests by their handles' halves: facts, the answer, the end.

use crate::flags::{self, Ahead};
use crate::hand::hand_times;
use crate::profile::{Held, held};
use crate::raw::Call;
use ioprofiler_core::collect::Wanted;
use ioprofiler_core::handed::Tick;
use ioprofiler_core::handle::RequestHandle;
use ioprofiler_core::{Request, State};
use napi::bindgen_prelude::External;
use napi::sys;
use napi_derive::napi;
use std::borrow::Cow;

const FINISHED: u32 = 0;
const ANYWAY: u32 = 1;
const ONLY_ASK: u32 = 2;

/// The request of a handle's halves.
pub(crate) fn find(low: u32, high: u32) -> Request {
    RequestHandle::from_bits(u64::from(low) | (u64::from(high) << 32)).request()
}

fn status(number: u32) -> Option<u16> {
    u16::try_from(number).ok().filter(|&status| status != 0)
}

/// Bytes as JavaScript counts them; saturates.
fn bytes(number: f64) -> u64 {
    number as u64
}

/// `tell(low, high, tick, route, flags, known, status)`: what JavaScript kept for itself until
/// somebody reads it: when the first byte left (0 is not yet), the route, what was read of flags, and
/// the answer's status (0 is unknown).
pub(crate) fn tell(call: &Call) {
    tell_from(call, 2);
    if let Some(status) = status(call.u32(6)) {
        call.request().request().set_status(status);
    }
}

fn tell_from(call: &Call, at: usize) {
    let request = call.request();
    let left = call.f64(at);
    if left > 0.0 {
        request.first_byte_at(Tick::from_bits(left as u64));
    }
    if call.is_string(at + 1) {
        call.with_text(at + 1, |route| {
            request.request().set_route(&String::from_utf8_lossy(route));
        });
    }
    // SAFETY: an argument of the running call, which runs no JavaScript; all bits are valid.
    let flags: &[Ahead] = unsafe { call.records(at + 2) };
    let known = call.u32(at + 3) as usize;
    if let Some(flags) = flags.get(..known) {
        flags::expose(request, flags);
    }
}

/// `finish(low, high, how, status, bytes, mode, tick, route, flags, known, records, from, to)`: tells,
/// and ends the request; `how` is 0, or 1 where the client left. Where its calls are only added up,
/// those records are handed over first. Answers 1, and ends nothing, where somebody wants the profile,
/// and its calls are to be handed over with their details; mode 1 says that they were (and all else was
/// told), mode 2 only asks.
pub(crate) fn finish(call: &Call) {
    let mode = call.u32(5);
    if mode != ANYWAY {
        tell_from(call, 6);
    }
    let request = call.request().request();
    let (how, number) = (call.u32(2), call.u32(3));
    let state = if how == FINISHED {
        State::Finished
    } else {
        State::Aborted
    };
    let wanted = match mode {
        ANYWAY => Wanted::Nothing,
        _ => request.wanted(state, status(number)),
    };
    // Whoever only asks makes a profile, which must not be without details.
    let with_details = wanted == Wanted::Details || (mode == ONLY_ASK && wanted == Wanted::Times);
    call.answer(u32::from(with_details));
    if with_details || mode == ONLY_ASK {
        return;
    }
    if wanted == Wanted::Times {
        hand_times(call, 10);
    }
    drop(end(&request, how, number, call.f64(4)));
}

fn end(request: &Request, how: u32, number: u32, sent: f64) -> ioprofiler_core::Profile {
    if how == FINISHED {
        request.finish(status(number).unwrap_or_default(), bytes(sent))
    } else {
        request.abort(status(number), bytes(sent))
    }
}

/// `fact(low, high, which, text)`: says something about the request that was not known at begin.
pub(crate) fn fact(call: &Call) {
    let request = call.request().request();
    call.with_text(3, |text| {
        let text = String::from_utf8_lossy(text);
        match call.u32(2) {
            0 => request.set_route(&text),
            1 => request.set_user(&text),
            2 => request.set_visitor(&text),
            3 => request.add_group(&text),
            4 => request.set_viewer(&text),
            _ => request.set_error(&text),
        }
    });
}

/// `note(low, high, name, value)`: sets a note; the value is a string, a number or a bool.
pub(crate) fn note(call: &Call) {
    let request = call.request().request();
    call.with_text(2, |name| {
        let name = String::from_utf8_lossy(name);
        match call.kind(3) {
            sys::ValueType::napi_number => {
                let number = call.f64(3);
                let whole = number.trunc() == number && number.abs() <= MOST_EXACT;
                if whole {
                    request.note(&name, number as i64);
                } else {
                    request.note(&name, number);
                }
            }
            sys::ValueType::napi_boolean => request.note(&name, call.bool(3)),
            _ => call.with_text(3, |text| {
                let text = String::from_utf8_lossy(text);
                request.note(&name, text.as_ref());
            }),
        }
    });
}

/// 2⁵³: whole numbers up to here are exact in JavaScript.
pub(crate) const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// `header(low, high, name, value)`: a header of the answer that a log format names.
pub(crate) fn header(call: &Call) {
    let request = call.request().request();
    call.with_text(2, |name| {
        let name = String::from_utf8_lossy(name);
        call.with_text(3, |value| request.answer_header(&name, value));
    });
}

/// The request's compact note, where the profiler has a format for it.
#[napi(catch_unwind)]
pub fn request_compact_note(low: u32, high: u32) -> Option<String> {
    find(low, high).compact_note()
}

/// The request's id; empty for none.
#[napi(catch_unwind)]
pub fn request_id(low: u32, high: u32) -> String {
    find(low, high).id()
}

/// What the request has done so far, as far as it was handed over.
#[napi(catch_unwind)]
pub fn request_snapshot(low: u32, high: u32) -> External<Held> {
    held(find(low, high).snapshot())
}

/// Ends the request; gives its profile.
#[napi(catch_unwind)]
pub fn request_finish(low: u32, high: u32, how: u32, status: u32, bytes: f64) -> External<Held> {
    held(end(&find(low, high), how, status, bytes))
}

/// Begins a job that knows this request as its parent: its handle's halves.
#[napi(catch_unwind)]
pub fn request_detach(low: u32, high: u32, name: String) -> Vec<u32> {
    let job = RequestHandle::new(find(low, high).detach(&name)).to_bits();
    vec![job as u32, (job >> 32) as u32]
}

/// Calls that JavaScript saw outside any request, and after the end of theirs.
#[napi(catch_unwind)]
pub fn count_missed(outside: u32, late: u32) {
    ioprofiler_core::handed::count_missed(u64::from(outside), u64::from(late));
}

/// The parts of a string that was joined with NULs, lossily.
pub(crate) fn fields(joined: &[u8]) -> impl Iterator<Item = Cow<'_, str>> {
    joined.split(|&byte| byte == 0).map(String::from_utf8_lossy)
}
