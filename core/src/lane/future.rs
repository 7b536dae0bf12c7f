//! A call that a future carries: it may be polled by any thread, and ends when it is ready or
//! dropped.

use super::chunk::SCOPE;
use super::context::{self, ThreadContext};
use super::numbered::find;
use super::open::{CANCELLED, ERROR, code};
use super::span::Span;
use super::{Begun, process};
use crate::profile::Outcome;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context as Waker, Poll};

/// How a future's output says how its call went.
type AtEnd<F> = fn(&mut Span, &<F as Future>::Output) -> Outcome;

impl Span {
    /// Runs a future as this call: it ends when the future is ready, and is
    /// [`Outcome::Cancelled`] when the future is dropped before.
    ///
    /// While the future is polled, what it begins happens inside this call. The future may move
    /// between threads.
    pub fn wrap<F: Future>(self, future: F) -> SpanFuture<F, AtEnd<F>> {
        self.wrap_with(future, |_, _| Outcome::Ok)
    }

    /// As [`Span::wrap`]; `Err` is [`Outcome::Error`].
    pub fn wrap_result<T, E, F>(self, future: F) -> SpanFuture<F, AtEnd<F>>
    where
        F: Future<Output = Result<T, E>>,
    {
        self.wrap_with(future, |_, result| Outcome::of(result))
    }

    /// As [`Span::wrap`]; once the future is ready, `at_end` says how the call went, and may say
    /// more of it: what it found, how many rows there were. It is not called where nothing is
    /// recorded.
    ///
    /// ```
    /// # use ioprofiler::{Outcome, span};
    /// # async fn query(sql: &str) -> Result<Vec<u32>, ()> { Ok(vec![1]) }
    /// # async fn page() {
    /// let sql = "SELECT id FROM listings";
    /// let rows = span("dbshard01", sql).wrap_with(query(sql), |call, rows| {
    ///     if let Ok(rows) = rows {
    ///         call.rows(rows.len() as u32);
    ///     }
    ///     Outcome::of(rows)
    /// });
    /// # rows.await.unwrap();
    /// # }
    /// ```
    pub fn wrap_with<F, C>(self, future: F, at_end: C) -> SpanFuture<F, C>
    where
        F: Future,
        C: FnOnce(&mut Span, &F::Output) -> Outcome,
    {
        SpanFuture {
            call: self.carried(),
            at_end: Some(at_end),
            future,
        }
    }
}

impl Span {
    /// Gives the call up to a future: it is not its thread's open scope or leaf any more.
    fn carried(self) -> Ending {
        let call = self.call();
        std::mem::forget(self);
        if let Some(Begun { record, key }) = call
            && record.end.is_open(key.generation())
        {
            context::with(|current| current.step_out(record, key.number()));
        }
        Ending(call)
    }
}

impl ThreadContext {
    /// Whether the call is of the request that this thread is in, and open.
    fn is_of(&self, call: Begun) -> bool {
        self.owns(call.record, call.key)
            || self.slot.get().is_some_and(|slot| {
                let found = process::of(slot).and_then(|process| find(process, call.key.number()));
                found.is_some_and(|(chunk, _)| {
                    std::ptr::eq(chunk.slot.load(Ordering::Acquire), slot)
                }) && call.record.end.is_open(call.key.generation())
            })
    }
}

impl Begun {
    /// Is its thread's open scope or leaf while `f` runs.
    fn inside<R>(&self, f: impl FnOnce() -> R) -> R {
        let restore = context::with(|current| {
            current.is_of(*self).then(|| Restore {
                is_scope: self.record.about().has(SCOPE),
                before: current.place(self.record).replace(self.key.number()),
            })
        });
        let result = f();
        drop(restore);
        result
    }
}

/// Puts a scope or leaf back, also when a poll panics.
struct Restore {
    is_scope: bool,
    before: u32,
}

impl Drop for Restore {
    fn drop(&mut self) {
        context::with(|current| {
            let open = if self.is_scope {
                &current.scope
            } else {
                &current.leaf
            };
            open.set(self.before);
        });
    }
}

/// A call that a future carries: dropped before its end, it is cancelled.
struct Ending(Option<Begun>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.end(if std::thread::panicking() {
                ERROR
            } else {
                CANCELLED
            });
        }
    }
}

pin_project_lite::pin_project! {
    /// A future that is one call. Made by [`Span::wrap`], [`Span::wrap_result`] and
    /// [`Span::wrap_with`].
    #[must_use = "futures do nothing unless polled"]
    pub struct SpanFuture<F: Future, C = fn(&mut Span, &<F as Future>::Output) -> Outcome> {
        call: Ending,
        at_end: Option<C>,
        #[pin]
        future: F,
    }
}

impl<F, C> Future for SpanFuture<F, C>
where
    F: Future,
    C: FnOnce(&mut Span, &F::Output) -> Outcome,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, waker: &mut Waker<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = match &this.call.0 {
            Some(call) => call.inside(|| this.future.poll(waker)),
            None => this.future.poll(waker),
        };
        if let Poll::Ready(output) = &polled
            && let Some(call) = this.call.0
            && let Some(at_end) = this.at_end.take()
        {
            // Should it panic, the call is still there to be ended by its drop.
            let mut span = std::mem::ManuallyDrop::new(Span::of(call));
            let outcome = at_end(&mut span, output);
            this.call.0 = None;
            call.end(code(outcome));
        }
        polled
    }
}
