//! A profile as a trace file that Perfetto and speedscope load: Chrome's trace event format.
//!
//! One complete event (`X`) a call, on the request's clock in microseconds. Viewers draw what lies
//! within another on the same track as its child, and cannot draw calls that overlap. So each lane
//! has a track, and further ones as long as calls of it overlap: a call stands on a track alone or
//! within its parent. Around all of the first track stands the request itself: it is what a viewer
//! shows first.
//!
//! Viewers add start and duration in floating point. Times are therefore multiples of 1/8 µs,
//! rounded down: those add up exactly, and are whole nanoseconds, so no child ends after its parent
//! by a rounding. No call is shorter than that: speedscope mistakes the order of a call's begin and
//! end at the same moment.

use std::borrow::Cow;

use serde::Serialize;

use super::json::SafeInHtml;
use super::{Details, mask};
use crate::category::Kind;
use crate::profile::{Outcome, ProfileData, SpanData};

/// So much of a detail is part of an event's name; the whole stands in its arguments.
const MOST_NAME: usize = 100;
const NS_PER_STEP: u64 = 125;
const STEPS_PER_US: f64 = 8.0;

/// The trace file.
///
/// ```
/// use ioprofiler::profile::ProfileData;
/// use ioprofiler::render::{Details, trace};
///
/// assert!(trace(&ProfileData::default(), Details::Full).contains(r#""ph":"X""#));
/// ```
#[must_use]
pub fn trace(data: &ProfileData, details: Details) -> String {
    let tracks = Tracks::of(data);
    let mut events = Vec::with_capacity(data.spans.len() + tracks.tracks.len() + 3);
    push_metadata(&mut events, data, &tracks, details);
    events.push(request_event(data, tracks.end, details));
    for (span, track) in data.spans.iter().zip(&tracks.of_spans) {
        events.push(call_event(data.pid, span, *track, details));
    }
    let file = File {
        trace_events: events,
        display_time_unit: "ms",
    };
    let mut bytes = Vec::with_capacity(2_048 + 400 * data.spans.len());
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, SafeInHtml);
    // Neither the maps nor the writer can fail: keys are names of fields, memory takes all.
    let written = file.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "a trace is always JSON");
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    trace_events: Vec<Event<'a>>,
    display_time_unit: &'static str,
}

#[derive(Serialize)]
struct Event<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cat: Option<&'a str>,
    ph: &'static str,
    pid: u32,
    tid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dur: Option<f64>,
    args: Arguments<'a>,
}

/// Arguments of calls (`category` to `after_answer`) and of metadata (`name`, `sort_index`).
#[derive(Default, Serialize)]
struct Arguments<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    after_answer: bool,
}

fn push_metadata<'a>(
    events: &mut Vec<Event<'a>>,
    data: &'a ProfileData,
    tracks: &Tracks,
    details: Details,
) {
    let mut metadata = |kind: &'static str, tid: u32, args: Arguments<'a>| {
        let name = Cow::Borrowed(kind);
        events.push(Event {
            name,
            cat: None,
            ph: "M",
            pid: data.pid,
            tid,
            ts: None,
            dur: None,
            args,
        });
    };
    let named = |name: String| Arguments {
        name: Some(Cow::Owned(name)),
        ..Arguments::default()
    };
    let at = |tid: u32| Arguments {
        sort_index: Some(tid),
        ..Arguments::default()
    };
    metadata("process_name", 0, named(title(data, details)));
    for (tid, track) in (0_u32..).zip(&tracks.tracks) {
        let more = if track.nth == 0 {
            String::new()
        } else {
            format!(" +{}", track.nth)
        };
        metadata(
            "thread_name",
            tid,
            named(format!("lane {}{more}", track.lane)),
        );
        metadata("thread_sort_index", tid, at(tid));
    }
}

fn request_event(data: &ProfileData, end: u64, details: Details) -> Event<'_> {
    Event {
        name: Cow::Owned(title(data, details)),
        cat: Some("request"),
        ph: "X",
        pid: data.pid,
        tid: 0,
        ts: Some(0.0),
        dur: Some(steps_to_us(end)),
        args: Arguments {
            request: Some(&data.id),
            ..Arguments::default()
        },
    }
}

fn call_event(pid: u32, span: &SpanData, tid: u32, details: Details) -> Event<'_> {
    let (start, end) = steps(span);
    let detail = mask::owned_detail(span, details);
    let outcome = (span.outcome != Outcome::Ok).then(|| span.outcome.as_str());
    let caller = span
        .caller
        .map(|at| format!("{}:{}", mask::file(at.file, details), at.line));
    Event {
        name: name(span.category, &detail),
        cat: Some(match span.kind {
            Kind::Leaf => "leaf",
            Kind::Scope => "scope",
        }),
        ph: "X",
        pid,
        tid,
        ts: Some(steps_to_us(start)),
        dur: Some(steps_to_us(end - start)),
        args: Arguments {
            category: Some(span.category),
            target: mask::target(span, details),
            detail: Some(detail),
            outcome,
            caller,
            after_answer: span.after_answer,
            ..Arguments::default()
        },
    }
}

/// `GET /listing/5773453`
fn title(data: &ProfileData, details: Details) -> String {
    let method = match data.facts.method.as_str() {
        "" => data.facts.kind.as_str(),
        method => method,
    };
    format!("{method} {}", mask::path(&data.facts, details))
}

fn name<'a>(category: &'a str, detail: &str) -> Cow<'a, str> {
    if detail.is_empty() {
        return Cow::Borrowed(category);
    }
    let cut = detail
        .char_indices()
        .nth(MOST_NAME)
        .and_then(|(at, _)| detail.get(..at));
    Cow::Owned(match cut {
        Some(cut) => format!("{category} {cut}…"),
        None => format!("{category} {detail}"),
    })
}

/// Where a call starts and ends, in steps of the clock.
fn steps(span: &SpanData) -> (u64, u64) {
    let end_ns = span.start_ns.saturating_add(span.duration_ns);
    let start = span.start_ns / NS_PER_STEP;
    (start, (end_ns / NS_PER_STEP).max(start + 1))
}

/// Exact up to 2^53 steps, 35 years.
fn steps_to_us(steps: u64) -> f64 {
    steps as f64 / STEPS_PER_US
}

/// On which track each call stands.
struct Tracks {
    tracks: Vec<Track>,
    /// A track's index for each span.
    of_spans: Vec<u32>,
    /// When the request ends, in steps: not before its calls.
    end: u64,
}

struct Track {
    lane: u32,
    /// Which of the lane's tracks it is.
    nth: u32,
    /// What goes on at this moment, outermost first.
    open: Vec<Open>,
}

struct Open {
    /// Index of the span; none for the request.
    span: Option<u32>,
    /// In steps.
    end: u64,
}

impl Tracks {
    fn of(data: &ProfileData) -> Self {
        let last = data.spans.iter().map(|span| steps(span).1).max();
        // Speedscope drops what has no duration, even the request itself.
        let end = last.unwrap_or(1).max(data.page_ns / NS_PER_STEP).max(1);
        let mut sorted: Vec<(u32, &SpanData)> = (0..).zip(&data.spans).collect();
        sorted.sort_by_key(|(_, span)| span.start_ns);
        let lane = sorted.first().map_or(0, |(_, span)| span.lane);
        let request = Track {
            lane,
            nth: 0,
            open: vec![Open { span: None, end }],
        };
        let mut tracks = Self {
            tracks: vec![request],
            of_spans: vec![0; data.spans.len()],
            end,
        };
        for (index, span) in sorted {
            let (start, end) = steps(span);
            let at = tracks.place(span, start, end);
            if let Some(track) = tracks.tracks.get_mut(at) {
                track.open.push(Open {
                    span: Some(index),
                    end,
                });
            }
            if let Some(of_span) = tracks.of_spans.get_mut(index as usize) {
                *of_span = u32::try_from(at).unwrap_or(u32::MAX);
            }
        }
        tracks
    }

    /// The first track of the span's lane where nothing goes on but the request, or whose
    /// innermost open call is the span's parent.
    fn place(&mut self, span: &SpanData, start: u64, end: u64) -> usize {
        let mut nth = 0;
        for (at, track) in self.tracks.iter_mut().enumerate() {
            if track.lane != span.lane {
                continue;
            }
            while track.open.pop_if(|open| open.end <= start).is_some() {}
            let fits = match track.open.last() {
                None => true,
                Some(around) => {
                    (around.span.is_none() || around.span == span.parent) && end <= around.end
                }
            };
            if fits {
                return at;
            }
            nth += 1;
        }
        self.tracks.push(Track {
            lane: span.lane,
            nth,
            open: Vec::new(),
        });
        self.tracks.len() - 1
    }
}
