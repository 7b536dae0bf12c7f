//! Did a request ask, and may it see.

use crate::profiler::find;
use crate::request;
use ioprofiler_core::gate::{
    Answer, Form, Inputs, Refusal, Verdict, ask_cookie, conditional_headers,
};
use napi::{Error, Result};
use napi_derive::napi;
use std::time::{SystemTime, UNIX_EPOCH};

/// A request that asked for its profile.
#[napi(object)]
pub struct NativeAsked {
    /// `1`, `text`, `json` or `ticket`.
    pub form: String,
    /// `open`, `closed` or `undecided`.
    pub verdict: String,
    /// Why it is closed, or what was tried in vain: a number for [`gate_refused`]; 0 is nothing.
    pub reason: u32,
    /// Who looks, where a token said so.
    pub viewer: Option<String>,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn number_of(reason: Option<Refusal>) -> u32 {
    reason.map_or(0, |reason| reason.index() as u32 + 1)
}

fn reason_of(number: u32) -> Option<Refusal> {
    let index = usize::try_from(number.checked_sub(1)?).ok()?;
    Refusal::ALL.get(index).copied()
}

fn described(form: Form, verdict: &Verdict) -> NativeAsked {
    let word = match verdict {
        Verdict::Open { .. } => "open",
        Verdict::Undecided { .. } => "undecided",
        _ => "closed",
    };
    let reason = match verdict {
        Verdict::Undecided { so_far } => *so_far,
        decided => decided.refusal(),
    };
    NativeAsked {
        form: form.as_str().to_owned(),
        verdict: word.to_owned(),
        reason: number_of(reason),
        viewer: verdict.who().map(str::to_owned),
    }
}

/// What the gate is told of a request. `headers` are names and values in turns, as they came.
fn inputs<'a>(query: &'a str, host: Option<&'a str>, headers: &'a [String]) -> Inputs<'a> {
    let mut inputs = Inputs::new(query.as_bytes(), host.map(str::as_bytes));
    for header in headers.chunks_exact(2) {
        if let [name, value] = header {
            inputs.header(name.as_bytes(), value.as_bytes());
        }
    }
    inputs
}

/// Whether a request asked, and what the gate says at begin. `at` is the wall clock in seconds, if
/// not now.
#[napi(catch_unwind)]
pub fn gate_asked(
    profiler: u32,
    query: String,
    host: Option<String>,
    headers: Vec<String>,
    at: Option<f64>,
) -> Option<NativeAsked> {
    let inputs = inputs(&query, host.as_deref(), &headers);
    let at = at.map_or_else(now, |at| at as u64);
    let asked = find(profiler)?.gate().asked(&inputs, at)?;
    Some(described(asked.form, &asked.verdict))
}

/// What the viewer wants flags to be, where the gate is open at begin; elsewhere that is counted, and
/// nothing.
#[napi(catch_unwind)]
pub fn gate_flag_overrides(
    profiler: u32,
    query: String,
    host: Option<String>,
    headers: Vec<String>,
) -> Option<String> {
    let profiler = find(profiler)?;
    let inputs = inputs(&query, host.as_deref(), &headers);
    match profiler.gate().flag_overrides(&inputs, now())? {
        Ok(overrides) => Some(overrides),
        Err(refusal) => {
            profiler.refused(refusal);
            None
        }
    }
}

/// The verdict of the gate's flag, now that the handler has run; undecided where the host's own rule
/// is to be asked. `reason` is that of the undecided verdict.
#[napi(catch_unwind)]
pub fn gate_ask_flag(profiler: u32, low: u32, high: u32, reason: u32) -> NativeAsked {
    let so_far = reason_of(reason);
    let undecided = Verdict::Undecided { so_far };
    let verdict = match find(profiler) {
        Some(profiler) => profiler
            .gate()
            .ask_flag(undecided, &request::find(low, high)),
        None => undecided,
    };
    described(Form::default(), &verdict)
}

/// The verdict after the host's own rule has answered: `yes`, `no`, or anything else for failed.
/// `reason` is that of the undecided verdict.
#[napi(catch_unwind)]
pub fn gate_decide(reason: u32, answer: String) -> NativeAsked {
    let answer = match answer.as_str() {
        "yes" => Answer::Yes,
        "no" => Answer::No,
        _ => Answer::Failed,
    };
    let so_far = reason_of(reason);
    let verdict = Verdict::Undecided { so_far }.decide(answer);
    described(Form::default(), &verdict)
}

/// In words: why the gate is closed.
#[napi(catch_unwind)]
pub fn gate_reason(reason: u32) -> Option<String> {
    Some(reason_of(reason)?.as_str().to_owned())
}

/// Somebody asked and was refused: counted, and logged once a minute and reason.
#[napi(catch_unwind)]
pub fn gate_refused(profiler: u32, reason: u32) {
    if let (Some(profiler), Some(reason)) = (find(profiler), reason_of(reason)) {
        profiler.refused(reason);
    }
}

/// The query's parameter that asks.
#[napi(catch_unwind)]
pub fn gate_parameter(profiler: u32) -> String {
    find(profiler).map_or_else(String::new, |profiler| {
        profiler.gate().parameter_name().to_owned()
    })
}

/// The headers to take off a request whose gate is open at begin.
#[napi(catch_unwind)]
pub fn gate_conditional_headers(method: String) -> Vec<String> {
    let names = conditional_headers(&method).iter();
    names.map(|&name| name.to_owned()).collect()
}

/// A token for the application's own staff page, as the value of a `Set-Cookie` header.
#[napi(catch_unwind)]
pub fn gate_grant(
    profiler: u32,
    who: String,
    host: String,
    seconds: f64,
    https: bool,
) -> Result<String> {
    let wrong = |error: &dyn std::fmt::Display| Error::from_reason(error.to_string());
    let profiler = find(profiler).ok_or_else(|| wrong(&"no such profiler"))?;
    let token = profiler.gate().grant(&who, &host, seconds as u64, now());
    Ok(token.map_err(|error| wrong(&error))?.set_cookie(https))
}

/// The cookie that asks in this form for the next 15 minutes, as the value of a `Set-Cookie`
/// header. It carries no right.
#[napi(catch_unwind)]
pub fn gate_ask_cookie(form: String) -> Option<String> {
    Some(ask_cookie(Form::parse(form.as_bytes())?, now()))
}
