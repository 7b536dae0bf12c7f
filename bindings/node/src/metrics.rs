//! What the application counts itself, and what was counted and kept, read back.

use crate::profile::{Held, kept};
use crate::profiler::find;
use crate::raw::Call;
use crate::request::MOST_EXACT;
use ioprofiler_core::collect::own::MetricId;
use ioprofiler_core::sinks::Exposition;
use ioprofiler_core::{Event, EventKind, MetricName, Profiler};
use napi::bindgen_prelude::{External, Object};
use napi::{Env, JsDeferred, Result};
use napi_derive::napi;
use std::time::Duration;

/// `metric(name, labels)`: answers the number of a metric, plus one; 0 where it can be none. `labels` is
/// `undefined`, or names and values in turns, joined with NULs.
pub(crate) fn metric(call: &Call) {
    let id = call.with_text(0, |name| {
        let name = String::from_utf8_lossy(name);
        if !call.is_string(1) {
            return MetricId::intern(&name);
        }
        call.with_text(1, |labels| {
            let labels = String::from_utf8_lossy(labels);
            let mut parts = labels.split('\0');
            let pairs = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
            MetricId::intern(MetricName::new(&name, pairs).as_str())
        })
    });
    call.answer(id.map_or(0, |id| u32::from(id.number()) + 1));
}

/// `count(profiler, metric, by)`: adds to a counter.
pub(crate) fn count(call: &Call) {
    let by = call.f64(2);
    let is_whole = (0.0..=MOST_EXACT).contains(&by) && by.trunc() == by;
    with_metric(call, is_whole, |profiler, id| {
        profiler.count_by_id(id, by as u64);
    });
}

/// `gauge(profiler, metric, value)`: sets a gauge.
pub(crate) fn gauge(call: &Call) {
    let value = call.f64(2);
    with_metric(call, value.is_finite(), |profiler, id| {
        profiler.gauge_by_id(id, value);
    });
}

/// `timing(profiler, metric, milliseconds)`: counts a duration.
pub(crate) fn timing(call: &Call) {
    let duration = Duration::try_from_secs_f64(call.f64(2) / 1_000.0);
    with_metric(call, duration.is_ok(), |profiler, id| {
        profiler.timing_by_id(id, duration.unwrap_or_default());
    });
}

/// Finds profiler and metric; what is no value, or of no metric, is counted as lost.
fn with_metric(call: &Call, is_value: bool, then: impl FnOnce(&Profiler, MetricId)) {
    let Some(profiler) = find(call.u32(0)) else {
        return;
    };
    let number = u16::try_from(call.u32(1)).ok().filter(|_| is_value);
    match number.and_then(|number| number.checked_sub(1)) {
        Some(number) => then(profiler, MetricId::from_number(number)),
        None => profiler.count("", 0),
    }
}

/// Something that was done to the site.
#[napi(catch_unwind)]
pub fn profiler_event(number: u32, what: String, who: Option<String>, why: Option<String>) {
    let event = Event::new(EventKind::Own, &what);
    tell(number, event, who, why);
}

/// A version of the application went live.
#[napi(catch_unwind)]
pub fn profiler_deploy(
    number: u32,
    version: String,
    what: Option<String>,
    who: Option<String>,
    why: Option<String>,
) {
    let event = Event::deploy(&version).what(&what.unwrap_or_default());
    tell(number, event, who, why);
}

fn tell(number: u32, mut event: Event, who: Option<String>, why: Option<String>) {
    if let Some(who) = who {
        event = event.who(&who);
    }
    if let Some(why) = why {
        event = event.why(&why);
    }
    if let Some(profiler) = find(number) {
        profiler.event(event);
    }
}

/// Everything counted so far, as JSON.
#[napi(catch_unwind)]
pub fn profiler_series(number: u32) -> String {
    let series = find(number).map(Profiler::series).unwrap_or_default();
    serde_json::to_string(&series).unwrap_or_else(|_| "[]".to_owned())
}

/// A request that is kept.
#[napi(object, object_from_js = false)]
pub struct NativeKept {
    /// `slow` or `error`.
    pub reason: String,
    /// When it began, in milliseconds since 1970.
    pub at: f64,
    pub profile: External<Held>,
}

/// The requests that are kept.
#[napi(catch_unwind)]
pub fn profiler_kept(number: u32) -> Vec<NativeKept> {
    let all = find(number).map(Profiler::kept).unwrap_or_default();
    all.into_iter()
        .map(|one| NativeKept {
            reason: one.reason.as_str().to_owned(),
            at: (one.profile.started_at / 1_000_000) as f64,
            profile: kept(one.profile),
        })
        .collect()
}

/// What a scrape is answered with.
#[napi(object, object_from_js = false)]
pub struct NativeExposition {
    pub status: u32,
    pub content_type: String,
    pub body: String,
}

type Told = Box<dyn FnOnce(Env) -> Result<NativeExposition> + Send>;

/// A promise of what a scrape is answered with. Dropped, it says that there is nothing now.
struct Promised(Option<JsDeferred<NativeExposition, Told>>);

impl Promised {
    fn keep(&mut self, shown: Exposition) {
        let Some(deferred) = self.0.take() else {
            return;
        };
        deferred.resolve(Box::new(move |_| {
            Ok(NativeExposition {
                status: u32::from(shown.status),
                content_type: shown.content_type.to_owned(),
                body: shown.body,
            })
        }));
    }
}

impl Drop for Promised {
    fn drop(&mut self) {
        self.keep(Exposition::busy());
    }
}

/// What a scrape is answered with, by its `Accept` header: a promise, kept by a thread of the core's.
#[napi(catch_unwind, ts_return_type = "Promise<NativeExposition>")]
pub fn profiler_prometheus(env: &Env, number: u32, accept: String) -> Result<Object<'_>> {
    let (deferred, promise) = env.create_deferred()?;
    let mut promised = Promised(Some(deferred));
    if let Some(profiler) = find(number) {
        let _ = profiler.prometheus_then(&accept, move |shown| promised.keep(shown));
    }
    Ok(promise)
}
