//! Prometheus: what a scrape reads, for the host to mount at `/metrics`.
//!
//! Formats: text 0.0.4 and OpenMetrics 1.0, by what the request's `Accept` wants. Nothing of a
//! request's details is in it, so it needs no gate.
//!
//! | name | is |
//! | --- | --- |
//! | `ioprofiler_` and a name of [`METRICS`](crate::collect::series::METRICS), dots as `_` | a series of ours: `ioprofiler_request_live` |
//! | … `_seconds`, `_bytes` | its unit, where it counts time or bytes |
//! | … `_total` | a counter: `ioprofiler_request_io_seconds_total` |
//! | … `_bucket`, `_sum`, `_count` | a distribution, a histogram there: `ioprofiler_request_duration_seconds_bucket` |
//! | the application's own name, likewise | `registrations` is `registrations_total`, `mail.sent` as a timing `mail_sent_seconds` |
//!
//! Labels are those of the series. `version` says which version of the application was running,
//! where that is known. With a `state_dir` whichever process answers shows what all have counted;
//! without one `worker` says which process it was.

mod accept;
mod families;
mod names;
mod write;

use crate::collect::config::{Configurable, Key};
use crate::collect::series::Series;
use crate::error::Error;
use crate::flags::file::{did_you_mean, shown};
use crate::fork;
use crate::profiler::{Profiler, ProfilerBuilder, Shared};
use accept::Format;
use families::Families;
#[cfg(all(
    test,
    feature = "graphite",
    feature = "statsd",
    feature = "ganglia",
    feature = "otlp"
))]
pub(crate) use names::family_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

/// Scrapes that are worked on at once, in a process; what comes then is told to come again.
const MOST_SCRAPES: u32 = 4;

/// Labels that may be left out.
const MAY_LEAVE_OUT: [&str; 5] = ["kind", "route", "method", "status", "category"];

/// How series are shown to Prometheus.
///
/// ```
/// use ioprofiler::Profiler;
/// use ioprofiler::sinks::Prometheus;
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let profiler = Profiler::builder()
///     .prometheus(Prometheus::default().leave_out(["method"]))
///     .build()?;
/// profiler.count("registrations", 1);
/// let scrape = profiler.prometheus("text/plain");
/// assert_eq!((scrape.status, scrape.content_type), (200, "text/plain; version=0.0.4; charset=utf-8"));
/// assert!(scrape.body.contains("\nregistrations_total{"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prometheus {
    leave_out: Vec<String>,
}

impl Prometheus {
    /// Labels that are not shown: what then is the same series is added up, which a server cannot do
    /// while it scrapes. For sites with many routes: `route` of calls makes most of the series. Any of
    /// `kind`, `route`, `method`, `status`, `category`. Default: none.
    #[must_use]
    pub fn leave_out<L: Into<String>>(mut self, labels: impl IntoIterator<Item = L>) -> Self {
        self.leave_out = labels.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let may = |label: &&String| !MAY_LEAVE_OUT.contains(&label.as_str());
        let Some(label) = self.leave_out.iter().find(may) else {
            return Ok(());
        };
        let why = format!(
            "\"{}\" is not one of {}{}",
            shown(label),
            MAY_LEAVE_OUT.join(", "),
            did_you_mean(label, MAY_LEAVE_OUT)
        );
        Err(Error::of("prometheus.leave_out", why))
    }
}

impl Configurable for Prometheus {
    const NAME: &'static str = "prometheus";
    const KEYS: &'static [Key<Self>] = &[Key("leave_out", |prometheus, setting| {
        setting.texts(&mut prometheus.leave_out)
    })];
}

/// What a scrape is answered with.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// 200; or 503, where nothing is counted or nothing can be read now, and the body says why.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: &'static str,
    /// The body, UTF-8.
    pub body: String,
}

impl Exposition {
    /// Of series that were read elsewhere: those of a `state_dir`, see
    /// [`merged_series`](crate::collect::state::merged_series). In OpenMetrics 1.0 where `accept`, as the
    /// header of a request, wants that; else in the text format 0.0.4.
    #[must_use]
    pub fn of(series: &[Series], accept: &str) -> Self {
        Self::in_format(&Families::of(series, None, &[]), Format::of(accept))
    }

    fn in_format(families: &Families, format: Format) -> Self {
        Self {
            status: 200,
            content_type: format.content_type(),
            body: write::body(families, format),
        }
    }

    /// What to answer with where [`Profiler::prometheus_then`] hands nothing over.
    #[must_use]
    pub fn busy() -> Self {
        Self::not_now("too many scrapes at once, or no thread to be had")
    }

    fn not_now(why: &str) -> Self {
        Self {
            status: 503,
            content_type: "text/plain; charset=utf-8",
            body: format!("{why}\n"),
        }
    }
}

impl ProfilerBuilder {
    /// Adds finished requests up, for [`Profiler::prometheus`], and says how they are shown there.
    #[must_use]
    pub fn prometheus(mut self, prometheus: Prometheus) -> Self {
        self.metrics.prometheus = Some(prometheus);
        self
    }
}

impl Profiler {
    /// Everything counted so far, for Prometheus to scrape: in OpenMetrics 1.0 where the request's
    /// `Accept` header wants that, else in the text format 0.0.4. With a `state_dir` it is what all
    /// processes have counted, and no counter is ever less than in an earlier scrape, whichever process
    /// answered that. Nothing of a request's details is in it: it needs no gate.
    ///
    /// It reads files where there is a `state_dir`, and may wait for the collector's thread, for a
    /// second at most: not for a thread that must not wait. See [`Profiler::prometheus_then`].
    #[must_use]
    pub fn prometheus(&self, accept: &str) -> Exposition {
        self.shared.exposition(Format::of(accept))
    }

    /// As [`Profiler::prometheus`], made on a thread of ours and handed over there: for hosts whose
    /// threads must not wait. `false` where no thread can be had, or many scrapes are being worked on:
    /// then nothing is handed over, and what was to take it is dropped; see [`Exposition::busy`].
    #[must_use]
    pub fn prometheus_then(
        &self,
        accept: &str,
        then: impl FnOnce(Exposition) + Send + 'static,
    ) -> bool {
        let (shared, format) = (self.shared, Format::of(accept));
        let Some(here) = shared.collector.here(shared) else {
            return false;
        };
        let working = Working::begin(&here.scrapes);
        if working.before >= MOST_SCRAPES {
            return false;
        }
        fork::spawn_quietly(move || {
            let worked = catch_unwind(AssertUnwindSafe(|| then(shared.exposition(format))));
            drop(working);
            if worked.is_err() {
                shared.collector.count_panic(shared);
            }
        })
    }
}

/// One scrape that is being worked on.
struct Working {
    all: &'static AtomicU32,
    before: u32,
}

impl Working {
    fn begin(all: &'static AtomicU32) -> Self {
        let before = all.fetch_add(1, Ordering::AcqRel);
        Self { all, before }
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Shared {
    fn exposition(&'static self, format: Format) -> Exposition {
        let options = &self.collector.options.metrics;
        if !options.is_wanted() {
            return Exposition::not_now(
                "nothing is counted: write [prometheus] into the configuration file, \
                 or set the option metrics",
            );
        }
        // A process that answers nothing but scrapes looks at its flags, too, and tells the others.
        self.collector.wake_later(self);
        let series = self.series();
        if series.is_empty() {
            return Exposition::not_now(
                "nothing can be read now: the collector is busy, or state_dir cannot be read",
            );
        }
        let left_out = options
            .prometheus
            .as_ref()
            .map_or(&[][..], |prometheus| &prometheus.leave_out);
        let families = Families::of(&series, self.worker().as_deref(), left_out);
        Exposition::in_format(&families, format)
    }
}

#[cfg(test)]
mod tests;
