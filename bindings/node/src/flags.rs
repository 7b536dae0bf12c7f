//! Flags, by their numbers. What a request has read is remembered in JavaScript (`lib/flags.js`), for
//! at most a second; here they are decided, many in one call, and what was read is told.

use crate::profiler;
use crate::raw::Call;
use crate::request::find;
use ioprofiler_core::flags::{self, DarkEnd, Decision, FlagId, State, Subject};
use ioprofiler_core::handle::{RequestHandle, SpanHandle};
use napi_derive::napi;
use std::cell::Cell;

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

/// A flag as a request of JavaScript keeps it; `lib/flags.js` has the same.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    /// The state, 3 where the caller's default answers; above it, how often it was read.
    state: u32,
    /// The flag's number; above it, the how-manyth of its request it was.
    flag: u32,
    /// The decision, in halves.
    low: u32,
    high: u32,
}

const DEFAULT: u32 = 3;
const READS_SHIFT: u32 = 3;

/// `ahead(low, high, flags, from, to)`: decides these flags for the request. Answers 1 where it
/// did.
pub(crate) fn ahead(call: &Call) {
    // SAFETY: an argument of the running call, which runs no JavaScript; all bits are valid.
    let flags: &mut [Ahead] = unsafe { call.records(2) };
    let (from, to) = (call.u32(3) as usize, call.u32(4) as usize);
    let Some(flags) = flags.get_mut(from..to) else {
        return call.answer(0);
    };
    // Their numbers are read while their decisions are written.
    let flags = Cell::from_mut(flags).as_slice_of_cells();
    let mut places = flags.iter();
    let numbers = flags.iter().map(|flag| flag.get().id());
    let decided = call.request().decide_ahead(numbers, |decision| {
        if let Some(place) = places.next() {
            place.set(place.get().with(decision));
        }
    });
    call.answer(u32::from(decided));
}

impl Ahead {
    fn id(&self) -> FlagId {
        FlagId::from_number(self.flag & 0xffff)
    }

    fn with(self, decision: Decision) -> Self {
        let bits = decision.to_bits();
        let state = if decision.reason().is_default() {
            DEFAULT
        } else {
            number(decision.state())
        };
        Self {
            state,
            low: bits as u32,
            high: (bits >> 32) as u32,
            ..self
        }
    }

    fn decision(&self) -> Decision {
        Decision::from_bits(u64::from(self.low) | (u64::from(self.high) << 32))
    }

    fn reads(&self) -> u32 {
        self.state >> READS_SHIFT
    }
}

/// What was read of them is an exposure from now on, in the order in which it was read first.
pub(crate) fn expose(request: RequestHandle, flags: &[Ahead]) {
    let mut read: Vec<&Ahead> = flags.iter().filter(|flag| flag.reads() != 0).collect();
    read.sort_by_key(|flag| flag.flag >> 16);
    for flag in read {
        request.expose(flag.decision(), flag.reads());
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

/// Somebody whom a flag is asked about.
#[napi(object)]
pub struct NativeSubject {
    pub user: Option<String>,
    pub visitor: Option<String>,
    pub groups: Vec<String>,
    /// Names and values in turns.
    pub attributes: Vec<String>,
}

impl NativeSubject {
    fn decide(&self, decide: impl FnOnce(&Subject<'_>) -> Decision) -> Decision {
        let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let pair = |pair: &'_ [String]| match pair {
            [name, value] => Some((name.clone(), value.clone())),
            _ => None,
        };
        let attributes: Vec<(String, String)> =
            self.attributes.chunks_exact(2).filter_map(pair).collect();
        let attributes: Vec<(&str, &str)> = attributes
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let subject = Subject::NOBODY
            .with_user(self.user.as_deref().unwrap_or_default())
            .with_visitor(self.visitor.as_deref().unwrap_or_default())
            .in_groups(&groups)
            .with_attributes(&attributes);
        decide(&subject)
    }
}

/// State, variant and reason of a flag, for the request's own visitor and user; or for somebody else.
#[napi(catch_unwind)]
pub fn flag_decide(
    low: u32,
    high: u32,
    flag: u32,
    fallback: bool,
    who: Option<NativeSubject>,
) -> NativeDecision {
    let (request, flag) = (find(low, high), FlagId::from_number(flag));
    told(match &who {
        None => request.decide(flag, fallback),
        Some(who) => who.decide(|who| request.decide_for(flag, who, fallback)),
    })
}

/// The data of the variant that a flag is in, as JSON; with `who`, for somebody else, by the newest
/// flags of a profiler.
#[napi(catch_unwind)]
pub fn flag_data(
    low: u32,
    high: u32,
    flag: u32,
    profiler: u32,
    who: Option<NativeSubject>,
) -> Option<String> {
    let (request, flag) = (find(low, high), FlagId::from_number(flag));
    let data = match &who {
        None => request.flag_data(flag),
        Some(who) => {
            let flags = profiler::find(profiler)?.flags();
            flags.data(who.decide(|who| request.decide_for(flag, who, false)))
        }
    };
    Some(data?.to_string())
}

/// Why a flag is what it is, rule by rule.
#[napi(catch_unwind)]
pub fn flag_explain(low: u32, high: u32, flag: u32) -> String {
    find(low, high)
        .explain(FlagId::from_number(flag))
        .to_string()
}

/// Dark work has ended.
#[napi(catch_unwind)]
pub fn dark_end(low: u32, high: u32, failed: bool) {
    let end = if failed { DarkEnd::Error } else { DarkEnd::Ok };
    RequestHandle::from_bits(u64::from(low) | (u64::from(high) << 32))
        .dark_end(SpanHandle::NONE, end);
}

/// One more thing that flags may be bucketed by. Before a flag is first asked for.
#[napi(catch_unwind)]
pub fn request_set_attribute(low: u32, high: u32, name: String, value: String) {
    find(low, high).set_attribute(&name, &value);
}

/// A number as flags are bucketed by it, in every language.
#[napi(catch_unwind)]
pub fn flag_attribute(number: f64) -> String {
    flags::number(number)
}

/// From now on the request goes by the newest flags.
#[napi(catch_unwind)]
pub fn request_refresh_flags(low: u32, high: u32) {
    find(low, high).refresh_flags();
}
