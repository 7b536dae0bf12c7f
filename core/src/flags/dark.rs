//! New code that runs beside the old, unseen.

use super::names;
use crate::category::{CategoryId, Dialect, Kind, intern};
use crate::lane::future::SpanFuture;
use crate::profile::Outcome;
use crate::profiler::Shared;
use crate::request::{InRequest, Request};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

/// The category of a flag's dark work begins so.
pub(crate) const PREFIX: &str = "dark:";

/// What dark work gives: all of it is dropped, but whether it failed.
pub trait DarkResult {
    /// Whether the work failed.
    fn failed(&self) -> bool;
}

impl DarkResult for () {
    fn failed(&self) -> bool {
        false
    }
}

impl<T, E> DarkResult for Result<T, E> {
    fn failed(&self) -> bool {
        self.is_err()
    }
}

impl<T> DarkResult for Option<T> {
    fn failed(&self) -> bool {
        false
    }
}

pub(crate) fn category(flag: u16) -> CategoryId {
    let name = format!("{PREFIX}{}", names::flag_name(flag));
    intern(&name, Kind::Scope, Dialect::Path)
}

/// How dark work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DarkEnd {
    /// As it should.
    Ok,
    /// With an error, which was swallowed.
    Error,
    /// With a panic or an exception that nobody expected, which was swallowed.
    Panic,
}

pub(crate) fn count(profiler: Option<&Shared>, end: DarkEnd) {
    let Some(profiler) = profiler else { return };
    let counters = &profiler.flags.counters;
    counters.dark_runs.fetch_add(1, Ordering::Relaxed);
    match end {
        DarkEnd::Ok => {}
        DarkEnd::Error => _ = counters.dark_errors.fetch_add(1, Ordering::Relaxed),
        DarkEnd::Panic => _ = counters.dark_panics.fetch_add(1, Ordering::Relaxed),
    }
}

fn ended<R: DarkResult>(
    profiler: Option<&'static Shared>,
    result: Result<R, Box<dyn Any + Send>>,
) -> Outcome {
    let end = match result {
        Ok(result) => {
            let failed = result.failed();
            // What the new code gives back may panic when it is dropped.
            match (swallow(result), failed) {
                (Some(()), _) => DarkEnd::Panic,
                (None, true) => DarkEnd::Error,
                (None, false) => DarkEnd::Ok,
            }
        }
        Err(thrown) => {
            swallow(thrown);
            DarkEnd::Panic
        }
    };
    count(profiler, end);
    if end == DarkEnd::Ok {
        Outcome::Ok
    } else {
        Outcome::Error
    }
}

/// Drops something. `Some` where that panicked; what it threw is not dropped any more.
fn swallow<T>(thing: T) -> Option<()> {
    let thrown = catch_unwind(AssertUnwindSafe(|| drop(thing))).err()?;
    std::mem::forget(thrown);
    Some(())
}

/// Runs dark work in the current request.
pub(crate) fn run<R: DarkResult>(
    profiler: Option<&'static Shared>,
    flag: u16,
    work: impl FnOnce() -> R,
) {
    let span = crate::scope(category(flag), "");
    let result = catch_unwind(AssertUnwindSafe(work));
    span.end(ended(profiler, result));
}

pin_project_lite::pin_project! {
    /// Dark work that a future does: [`Request::dark_future`]. It says whether it ran.
    #[must_use = "futures do nothing unless polled"]
    pub struct DarkFuture<F: Future>
    where
        F::Output: DarkResult,
    {
        #[pin]
        running: Option<InRequest<SpanFuture<Caught<F>>>>,
    }
}

impl<F: Future> DarkFuture<F>
where
    F::Output: DarkResult,
{
    /// `None` was not dark.
    pub(crate) fn new(
        request: &Request,
        profiler: Option<&'static Shared>,
        flag: u16,
        work: Option<F>,
    ) -> Self {
        let running = work.map(|work| {
            let work = Some(Box::pin(work));
            let caught = Caught { work, profiler };
            let span = request.run(|| crate::scope(category(flag), "").wrap_result(caught));
            request.wrap(span)
        });
        Self { running }
    }
}

impl<F: Future> Future for DarkFuture<F>
where
    F::Output: DarkResult,
{
    type Output = bool;

    fn poll(self: Pin<&mut Self>, waker: &mut Context<'_>) -> Poll<bool> {
        match self.project().running.as_pin_mut() {
            Some(running) => running.poll(waker).map(|_| true),
            None => Poll::Ready(false),
        }
    }
}

/// A future whose panics stay inside.
struct Caught<F: Future> {
    work: Option<Pin<Box<F>>>,
    profiler: Option<&'static Shared>,
}

impl<F: Future> Caught<F> {
    fn end(&mut self, result: Result<F::Output, Box<dyn Any + Send>>) -> Result<(), ()>
    where
        F::Output: DarkResult,
    {
        let outcome = ended(self.profiler, result);
        if outcome == Outcome::Ok {
            Ok(())
        } else {
            Err(())
        }
    }
}

impl<F: Future> Drop for Caught<F> {
    fn drop(&mut self) {
        swallow(self.work.take());
    }
}

impl<F: Future> Future for Caught<F>
where
    F::Output: DarkResult,
{
    type Output = Result<(), ()>;

    fn poll(mut self: Pin<&mut Self>, waker: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = self.work.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        let result = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(waker))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(thrown) => Err(thrown),
        };
        swallow(self.work.take());
        Poll::Ready(self.end(result))
    }
}
