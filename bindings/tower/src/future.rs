//! From the handler's future to the answer: decide what is shown, hold back what must be.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Response, StatusCode, header, response};
use http_body::{Body, Frame};
use ioprofiler::gate::Form;
use ioprofiler::inject::{self, NotShown, Page};
use ioprofiler::{InRequest, Profile, SpanFuture};
use pin_project_lite::pin_project;

use crate::answer;
use crate::ask::Asked;
use crate::body::{Held, ProfiledBody, Wire};
use crate::ending::Ending;
use crate::layer::Options;

/// What is known of one request while it is handled.
pub(crate) struct Visit {
    pub(crate) asked: Option<Asked>,
    /// The viewer chose flags, so the answer is theirs alone.
    pub(crate) private: bool,
    pub(crate) method: Method,
    /// The path, where the request is a gRPC call.
    pub(crate) grpc_method: Option<String>,
    pub(crate) ending: Ending,
    pub(crate) options: Arc<Options>,
}

pin_project! {
    /// The future of [`Ioprofiler`](crate::Ioprofiler): the handler's, polled in its request's
    /// context. Dropped before it is ready, it finishes the request as aborted.
    pub struct ResponseFuture<F, B>
    where
        F: Future,
        B: Body<Data = Bytes>,
    {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StatePin]
    enum State<F, B>
    where
        F: Future,
        B: Body<Data = Bytes>,
    {
        Joined { #[pin] future: SpanFuture<F> },
        // The future stands before the ending: what its drop records is still the request's.
        Handling { #[pin] future: InRequest<F>, visit: Option<Visit> },
        // Boxed: only who asked pays for it, and the future of everybody else stays small.
        Holding { holding: Option<Box<Holding<B>>> },
        Done,
    }
}

/// An answer whose body is held back until its end.
struct Holding<B: Body> {
    body: Pin<Box<B>>,
    held: Held<B>,
    head: response::Parts,
    aim: Aim,
    visit: Visit,
}

/// What for.
#[derive(Clone, Copy)]
enum Aim {
    Panel(Page),
    Replace(Form),
}

impl<F: Future, B: Body<Data = Bytes>> ResponseFuture<F, B> {
    pub(crate) fn joining(future: SpanFuture<F>) -> Self {
        Self {
            state: State::Joined { future },
        }
    }

    pub(crate) fn handling(future: F, visit: Visit) -> Self {
        let future = visit.ending.request().wrap(future);
        Self {
            state: State::Handling {
                future,
                visit: Some(visit),
            },
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F, B>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
    E: fmt::Display,
{
    type Output = Result<Response<ProfiledBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let next = match state.as_mut().project() {
                StatePin::Joined { future } => {
                    let response = ready!(future.poll(cx));
                    Step::Ready(response.map(|response| response.map(ProfiledBody::joined)))
                }
                StatePin::Handling { future, visit } => {
                    // Only a future polled after its end has none.
                    let Some(known) = visit.as_mut() else {
                        return Poll::Pending;
                    };
                    let response = ready!(
                        known
                            .ending
                            .guard("panic in the handler", || future.poll(cx))
                    );
                    let Some(visit) = visit.take() else {
                        return Poll::Pending;
                    };
                    match response {
                        Ok(response) if visit.asked.is_none() => {
                            Step::Ready(Ok(visit.answered_to_nobody(response)))
                        }
                        Ok(response) => visit.answered(response),
                        Err(error) => Step::Ready(Err(visit.failed(error))),
                    }
                }
                StatePin::Holding { holding } => {
                    let Some(known) = holding.as_mut() else {
                        return Poll::Pending;
                    };
                    let end = ready!(known.poll_end(cx));
                    match holding.take() {
                        Some(holding) => Step::Ready(Ok(holding.answer(end))),
                        None => return Poll::Pending,
                    }
                }
                StatePin::Done => return Poll::Pending,
            };
            match next {
                Step::Hold(holding) => state.set(State::Holding {
                    holding: Some(holding),
                }),
                Step::Ready(result) => {
                    state.set(State::Done);
                    return Poll::Ready(result);
                }
            }
        }
    }
}

#[expect(
    clippy::large_enum_variant,
    reason = "nearly every answer is ready: it is moved, not boxed"
)]
enum Step<B: Body<Data = Bytes>, E> {
    Ready(Result<Response<ProfiledBody<B>>, E>),
    Hold(Box<Holding<B>>),
}

impl Visit {
    /// The handler has answered somebody who wants to see nothing of us: nearly always.
    fn answered_to_nobody<B>(mut self, mut response: Response<B>) -> Response<ProfiledBody<B>>
    where
        B: Body<Data = Bytes>,
    {
        self.ending.answered(response.status().as_u16());
        self.take_grpc_route(response.headers());
        let wire = self.wire(response.status(), response.headers());
        self.let_go(response.headers_mut());
        response.map(|body| ProfiledBody::own(body, self.ending, wire))
    }

    /// The service has failed.
    fn failed<E: fmt::Display>(mut self, error: E) -> E {
        self.ending.fail(&error.to_string());
        error
    }

    /// The handler has answered somebody who asked for the profile.
    fn answered<B, E>(mut self, response: Response<B>) -> Step<B, E>
    where
        B: Body<Data = Bytes>,
        B::Error: fmt::Display,
    {
        let (mut head, body) = response.into_parts();
        self.ending.answered(head.status.as_u16());
        self.take_grpc_route(&head.headers);
        let form = self.asked.take().and_then(|asked| {
            let Options {
                profiler,
                gate,
                predicate,
                ..
            } = &*self.options;
            let live = self.ending.request();
            asked.decide(profiler, gate, predicate.as_ref(), &head, live)
        });
        match form.map(|form| self.aim(form, &head, &body)) {
            None => {
                let wire = self.wire(head.status, &head.headers);
                self.let_go(&mut head.headers);
                let body = ProfiledBody::own(body, self.ending, wire);
                Step::Ready(Ok(Response::from_parts(head, body)))
            }
            Some(Err(reason)) => Step::Ready(Ok(self.not_shown(head, reason, |ending, wire| {
                ProfiledBody::own(body, ending, wire)
            }))),
            Some(Ok(aim @ Aim::Replace(_))) if is_endless(&head) => {
                // Its drop may cancel calls: they are still the request's.
                self.ending.observe("panic in the body", || drop(body));
                Step::Ready(Ok(self.shown(head, aim, Bytes::new(), None)))
            }
            Some(Ok(aim)) => {
                let exact = body.size_hint().exact().is_some();
                let held = Held {
                    frames: VecDeque::new(),
                    bytes: 0,
                    error: None,
                    exact,
                };
                Step::Hold(Box::new(Holding {
                    body: Box::pin(body),
                    held,
                    head,
                    aim,
                    visit: self,
                }))
            }
        }
    }

    /// What can be done with this answer for the form that was asked for.
    fn aim<B: Body>(&self, form: Form, head: &response::Parts, body: &B) -> Result<Aim, NotShown> {
        if self.ending.request().is_none() {
            return Err(NotShown::NotObserved);
        }
        if form == Form::Page {
            let length = body.size_hint().exact();
            let described = answer::describe(&self.method, head, length, &self.options);
            inject::may_inject(&described).map(Aim::Panel)
        } else {
            inject::may_replace(self.method.as_str(), head.status.as_u16())
                .map(|()| Aim::Replace(form))
        }
    }

    /// The head leaves without anything of ours, but for what the operator switched on.
    fn let_go(&self, headers: &mut HeaderMap) {
        if self.private {
            answer::keep_private(headers);
        }
        answer::leaving(headers, self.ending.request(), &self.options);
        self.ending.request().first_byte();
    }

    /// A gRPC method is a template, once the server has not said that it is none of its.
    fn take_grpc_route(&mut self, headers: &HeaderMap) {
        if let Some(method) = self.grpc_method.take() {
            let unimplemented = headers.get("grpc-status").is_some_and(|code| code == "12");
            if !unimplemented {
                self.ending.request().set_route(&method);
            }
        }
    }

    fn wire(&self, status: StatusCode, headers: &HeaderMap) -> Wire {
        let no_body = self.method == Method::HEAD
            || status.is_informational()
            || matches!(status.as_u16(), 204 | 304)
            || (self.method == Method::CONNECT && status.is_success());
        Wire {
            no_body,
            content_length: answer::content_length(headers),
        }
    }

    /// The profile of this moment, which is what the answer shows.
    fn snapshot(&self) -> Profile {
        let live = self.ending.request();
        let profile = live.snapshot();
        live.first_byte();
        profile
    }

    /// The answer as it was, with what can be told in headers.
    fn not_shown<B: Body<Data = Bytes>>(
        self,
        mut head: response::Parts,
        reason: NotShown,
        body: impl FnOnce(Ending, Wire) -> ProfiledBody<B>,
    ) -> Response<ProfiledBody<B>> {
        let profile = self.snapshot();
        answer::open(
            &mut head.headers,
            self.ending.request(),
            &profile,
            Some(reason),
        );
        answer::leaving(&mut head.headers, self.ending.request(), &self.options);
        let wire = self.wire(head.status, &head.headers);
        Response::from_parts(head, body(self.ending, wire))
    }

    /// The answer with this body, made of the handler's.
    fn shown<B: Body<Data = Bytes>>(
        self,
        mut head: response::Parts,
        aim: Aim,
        page: Bytes,
        trailers: Option<HeaderMap>,
    ) -> Response<ProfiledBody<B>> {
        let profile = self.snapshot();
        let (page, trailers, not_shown) = match aim {
            Aim::Panel(kind) => {
                let panel = answer::panel(&head.headers, kind, &profile);
                match kind.splice(&page, &panel) {
                    Ok(changed) => {
                        answer::mend(&mut head.headers, changed.len());
                        (Bytes::from(changed), trailers, None)
                    }
                    Err(reason) => (page, trailers, Some(reason)),
                }
            }
            Aim::Replace(form) => {
                let text = answer::replace(&mut head, form, &profile);
                (Bytes::from(text), None, None)
            }
        };
        answer::open(
            &mut head.headers,
            self.ending.request(),
            &profile,
            not_shown,
        );
        answer::leaving(&mut head.headers, self.ending.request(), &self.options);
        Response::from_parts(head, ProfiledBody::made(page, trailers, self.ending))
    }
}

fn is_endless(head: &response::Parts) -> bool {
    head.headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|ct| inject::is_endless(ct.as_bytes()))
}

/// Why holding back is over.
#[derive(Clone, Copy)]
enum End {
    Whole,
    Failed,
    TooLarge,
}

impl<B> Holding<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let Self {
                body, visit, held, ..
            } = self;
            let frame = ready!(
                visit
                    .ending
                    .observe("panic in the body", || body.as_mut().poll_frame(cx))
            );
            match frame {
                None => return Poll::Ready(End::Whole),
                Some(Err(error)) => {
                    held.error = Some(error);
                    return Poll::Ready(End::Failed);
                }
                Some(Ok(frame)) => {
                    let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
                    held.bytes = held.bytes.saturating_add(bytes);
                    held.frames.push_back(frame);
                    if held.bytes > visit.options.max_page {
                        return Poll::Ready(End::TooLarge);
                    }
                }
            }
        }
    }

    fn answer(self, end: End) -> Response<ProfiledBody<B>> {
        let Self {
            body,
            held,
            head,
            aim,
            mut visit,
        } = self;
        let rest = matches!(end, End::TooLarge).then_some(body);
        match (aim, end) {
            (Aim::Replace(_), _) => {
                if let Some(error) = &held.error {
                    visit.ending.request().set_error(&error.to_string());
                }
                visit.ending.observe("panic in the body", || drop(rest));
                visit.shown(head, aim, Bytes::new(), None)
            }
            (Aim::Panel(_), End::Whole) => {
                let (page, trailers) = held.into_page();
                visit.shown(head, aim, page, trailers)
            }
            (Aim::Panel(_), End::Failed) => {
                visit.not_shown(head, NotShown::BodyError, |ending, wire| {
                    ProfiledBody::replay(held, None, ending, wire)
                })
            }
            (Aim::Panel(_), End::TooLarge) => {
                visit.not_shown(head, NotShown::TooLarge, |ending, wire| {
                    ProfiledBody::replay(held, rest, ending, wire)
                })
            }
        }
    }
}

impl<B: Body> Held<B> {
    /// The body in one piece, and its trailers.
    fn into_page(self) -> (Bytes, Option<HeaderMap>) {
        let mut trailers = None;
        let mut pieces = self.frames.into_iter().filter_map(|frame: Frame<Bytes>| {
            frame
                .into_data()
                .map_err(|other| trailers = other.into_trailers().ok())
                .ok()
        });
        let first = pieces.next().unwrap_or_default();
        let mut rest = pieces.peekable();
        if rest.peek().is_none() {
            drop(rest);
            return (first, trailers);
        }
        let mut page = BytesMut::from(&first[..]);
        rest.for_each(|piece| page.extend_from_slice(&piece));
        (page.freeze(), trailers)
    }
}

impl<F: Future, B: Body<Data = Bytes>> fmt::Debug for ResponseFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
