//! Flags, by their numbers. What a request has read is remembered in JavaScript (`lib/flags.js`), for
//! at most a second; here they are decided, and counted.

use crate::raw::Call;
use crate::request::find;
use ioprofiler_core::flags::{Decision, FlagId, State, Subject};
use napi_derive::napi;

/// A flag read more often in one second is not counted on.
const MOST_AGAIN: u32 = 1_000_000;

/// The number of a flag; 0 is one that is never found.
#[napi(catch_unwind)]
pub fn flag_number(name: String) -> u32 {
    FlagId::intern(&name).number()
}

fn number(state: State) -> u32 {
    match state {
        State::On => 1,
        State::Dark => 2,
        _ => 0,
    }
}

/// `flag(low, high, flag, default)`: answers 0 for off, 1 for on, 2 for dark. Of no request, as
/// outside of any.
pub(crate) fn flag(call: &Call) {
    let decision = call
        .request()
        .decide(FlagId::from_number(call.u32(2)), call.bool(3));
    call.answer(number(decision.state()));
}

/// `reread(low, high, flag, times)`: it was read so many times more.
pub(crate) fn reread(call: &Call) {
    let (request, flag) = (call.request(), FlagId::from_number(call.u32(2)));
    for _ in 0..call.u32(3).min(MOST_AGAIN) {
        let _ = request.decide(flag, false);
    }
}

/// What a flag resolved to, and why.
#[napi(object)]
pub struct NativeDecision {
    /// `off`, `on` or `dark`.
    pub state: String,
    pub variant: String,
    pub reason: String,
    /// The group that decided, where one did.
    pub group: Option<String>,
}

fn told(decision: Decision) -> NativeDecision {
    NativeDecision {
        state: decision.state().as_str().to_owned(),
        variant: decision.variant().to_owned(),
        reason: decision.reason().as_str().to_owned(),
        group: decision.group().map(str::to_owned),
    }
}

/// State, variant and reason of a flag, for the request's own visitor and user; or for another user.
#[napi(catch_unwind)]
pub fn flag_decide(
    low: u32,
    high: u32,
    flag: u32,
    fallback: bool,
    user: Option<String>,
) -> NativeDecision {
    let (request, flag) = (find(low, high), FlagId::from_number(flag));
    told(match &user {
        None => request.decide(flag, fallback),
        Some(user) => request.decide_for(flag, &Subject::user(user), fallback),
    })
}

/// One more thing that flags may be bucketed by. Before a flag is first asked for.
#[napi(catch_unwind)]
pub fn request_set_attribute(low: u32, high: u32, name: String, value: String) {
    find(low, high).set_attribute(&name, &value);
}

/// From now on the request goes by the newest flags.
#[napi(catch_unwind)]
pub fn request_refresh_flags(low: u32, high: u32) {
    find(low, high).refresh_flags();
}
