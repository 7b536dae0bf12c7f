//! What the application counts itself, and what was counted and kept, read back.

use crate::profile::{Held, kept};
use crate::profiler::find;
use crate::raw::Call;
use crate::request::MOST_EXACT;
use ioprofiler_core::sinks::Exposition;
use ioprofiler_core::{Event, EventKind, MetricName, Profiler};
use napi::bindgen_prelude::{External, Object};
use napi::{Env, JsDeferred, Result};
use napi_derive::napi;
use std::time::Duration;

/// What a value is counted under that is none: counted as lost, and said.
const LOST: &str = "";

/// `count(profiler, name, by, labels)`: adds to a counter. `labels` is `undefined`, or names and values
/// in turns, joined with NULs.
pub(crate) fn count(call: &Call) {
    let by = call.f64(2);
    let is_whole = (0.0..=MOST_EXACT).contains(&by) && by.trunc() == by;
    with_name(call, is_whole, |profiler, name| {
        profiler.count(name, by as u64);
    });
}

/// `gauge(profiler, name, value, labels)`: sets a gauge.
pub(crate) fn gauge(call: &Call) {
    let value = call.f64(2);
    with_name(call, value.is_finite(), |profiler, name| {
        profiler.gauge(name, value);
    });
}

/// `timing(profiler, name, milliseconds, labels)`: counts a duration.
pub(crate) fn timing(call: &Call) {
    let duration = Duration::try_from_secs_f64(call.f64(2) / 1_000.0);
    with_name(call, duration.is_ok(), |profiler, name| {
        profiler.timing(name, duration.unwrap_or_default());
    });
}

/// Finds the profiler, and lends the metric's name to what counts.
fn with_name(call: &Call, is_value: bool, then: impl FnOnce(&Profiler, &str)) {
    let Some(profiler) = find(call.u32(0)) else {
        return;
    };
    if !is_value {
        return then(profiler, LOST);
    }
    call.with_text(1, |name| {
        let name = String::from_utf8_lossy(name);
        if !call.is_string(3) {
            return then(profiler, &name);
        }
        call.with_text(3, |labels| {
            let labels = String::from_utf8_lossy(labels);
            let mut parts = labels.split('\0');
            let pairs = std::iter::from_fn(|| Some((parts.next()?, parts.next()?)));
            then(profiler, MetricName::new(&name, pairs).as_str());
        });
    });
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
