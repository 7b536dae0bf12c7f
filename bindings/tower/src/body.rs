//! The answer's body: the handler's own, or what was made of it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::ending::Ending;

pin_project! {
    /// The body of an answer under observation: it ends the request.
    ///
    /// Frames, trailers, errors, size hint and end are the handler's own, unless a profile was put
    /// in. Polled in the request's context, so that calls of a streaming body are seen.
    pub struct ProfiledBody<B>
    where
        B: Body<Data = Bytes>,
    {
        #[pin]
        inner: Inner<B>,
        // None where another layer around this one ends the request.
        ending: Option<Ending>,
        end: EndAt,
    }

    impl<B> PinnedDrop for ProfiledBody<B>
    where
        B: Body<Data = Bytes>,
    {
        fn drop(this: Pin<&mut Self>) {
            this.leave();
        }
    }
}

pin_project! {
    #[project = InnerPin]
    enum Inner<B>
    where
        B: Body<Data = Bytes>,
    {
        // The handler's body, untouched.
        Own { #[pin] body: B },
        // The same, after its beginning was held back in vain.
        Replay { held: VecDeque<Frame<Bytes>>, error: Option<B::Error>, flushed: bool, exact: bool, rest: Option<Pin<Box<B>>> },
        // What was made of it.
        Made { page: Option<Bytes>, trailers: Option<HeaderMap> },
        Gone,
    }
}

/// What counts as the end, where the server does not read on.
#[derive(Clone, Copy, Debug)]
enum EndAt {
    /// The answer has no body on the wire (HEAD, 204, 304, an upgrade): dropping it is its end.
    Drop,
    /// So many bytes: the server does not ask what comes behind them.
    Bytes(u64),
    /// Only the body's own end.
    Itself,
}

impl<B: Body<Data = Bytes>> ProfiledBody<B> {
    /// The body of a request that another layer ends.
    pub(crate) fn joined(body: B) -> Self {
        Self {
            inner: Inner::Own { body },
            ending: None,
            end: EndAt::Itself,
        }
    }

    pub(crate) fn own(body: B, ending: Ending, wire: Wire) -> Self {
        Self::of(Inner::Own { body }, ending, wire)
    }

    /// The frames that were held back, then the error or the rest, if any. `exact` says whether
    /// the whole length was known beforehand.
    pub(crate) fn replay(
        held: Held<B>,
        rest: Option<Pin<Box<B>>>,
        ending: Ending,
        wire: Wire,
    ) -> Self {
        let Held {
            frames,
            error,
            exact,
            ..
        } = held;
        Self::of(
            Inner::Replay {
                held: frames,
                error,
                flushed: false,
                exact,
                rest,
            },
            ending,
            wire,
        )
    }

    pub(crate) fn made(page: Bytes, trailers: Option<HeaderMap>, ending: Ending) -> Self {
        let page = Some(page).filter(|page| !page.is_empty());
        Self::of(Inner::Made { page, trailers }, ending, Wire::default())
    }

    fn of(inner: Inner<B>, mut ending: Ending, wire: Wire) -> Self {
        if inner.is_end_stream() {
            ending.finish();
        }
        let end = match (wire, inner.size_hint().exact()) {
            (Wire { no_body: true, .. }, _) => EndAt::Drop,
            (
                Wire {
                    content_length: Some(bytes),
                    ..
                },
                _,
            )
            | (_, Some(bytes)) => EndAt::Bytes(bytes),
            _ => EndAt::Itself,
        };
        Self {
            inner,
            ending: Some(ending),
            end,
        }
    }

    /// The body is dropped: at its end, or before.
    fn leave(self: Pin<&mut Self>) {
        let mut this = self.project();
        let ended = this.inner.is_end_stream();
        let Some(ending) = this.ending else { return };
        // Its drop may make calls, or cancel some: they are still the request's.
        ending.request().run(|| this.inner.set(Inner::Gone));
        let complete = match *this.end {
            EndAt::Drop => true,
            EndAt::Bytes(bytes) => ended || ending.sent() >= bytes,
            EndAt::Itself => ended,
        };
        if complete {
            ending.finish();
        }
    }
}

/// How an answer goes over the wire, as far as its head says so.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wire {
    /// Whatever the body is, it is not sent.
    pub(crate) no_body: bool,
    pub(crate) content_length: Option<u64>,
}

/// The beginning of a body, held back.
pub(crate) struct Held<B: Body> {
    pub(crate) frames: VecDeque<Frame<Bytes>>,
    pub(crate) bytes: u64,
    pub(crate) error: Option<B::Error>,
    pub(crate) exact: bool,
}

impl<B> Body for ProfiledBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(ending) = this.ending else {
            return this.inner.poll_frame(cx);
        };
        let frame =
            ready!(ending.observe("panic in the body", || this.inner.as_mut().poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                ending.add_sent(frame.data_ref().map_or(0, Bytes::len));
                // Behind trailers comes nothing, and not every server asks.
                if frame.is_trailers() || this.inner.is_end_stream() {
                    ending.finish();
                }
            }
            Some(Err(error)) => ending.fail(&error.to_string()),
            None => ending.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body<Data = Bytes>> Inner<B> {
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project() {
            InnerPin::Own { body } => body.poll_frame(cx),
            InnerPin::Replay {
                held,
                error,
                flushed,
                rest,
                ..
            } => {
                if let Some(frame) = held.pop_front() {
                    return Poll::Ready(Some(Ok(frame)));
                }
                if error.is_some() && !std::mem::replace(flushed, true) {
                    // A server that meets an error drops what it has not sent yet: let it send.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if let Some(error) = error.take() {
                    return Poll::Ready(Some(Err(error)));
                }
                match rest {
                    Some(rest) => rest.as_mut().poll_frame(cx),
                    None => Poll::Ready(None),
                }
            }
            InnerPin::Made { page, trailers } => {
                let data = page.take().map(Frame::data);
                Poll::Ready(
                    data.or_else(|| trailers.take().map(Frame::trailers))
                        .map(Ok),
                )
            }
            InnerPin::Gone => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own { body } => body.is_end_stream(),
            Self::Replay {
                held, error, rest, ..
            } => {
                held.is_empty() && error.is_none() && rest.as_ref().is_none_or(Body::is_end_stream)
            }
            Self::Made { page, trailers } => page.is_none() && trailers.is_none(),
            Self::Gone => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own { body } => body.size_hint(),
            Self::Replay {
                held, exact, rest, ..
            } => {
                let data = held
                    .iter()
                    .filter_map(Frame::data_ref)
                    .map(|d| d.len() as u64)
                    .sum();
                let rest = rest
                    .as_ref()
                    .map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
                let upper = rest.upper().filter(|_| *exact);
                hint(
                    rest.lower().saturating_add(data),
                    upper.map(|u| u.saturating_add(data)),
                )
            }
            Self::Made { page, trailers } => {
                let length = page.as_ref().map_or(0, Bytes::len) as u64;
                // HTTP/1 sends trailers only behind a body of unknown length.
                hint(length, trailers.is_none().then_some(length))
            }
            Self::Gone => SizeHint::with_exact(0),
        }
    }
}

fn hint(lower: u64, upper: Option<u64>) -> SizeHint {
    let mut hint = SizeHint::new();
    hint.set_lower(lower);
    if let Some(upper) = upper {
        hint.set_upper(upper.max(lower));
    }
    hint
}

impl<B: Body<Data = Bytes>> fmt::Debug for ProfiledBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfiledBody")
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}
