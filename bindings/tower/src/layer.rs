//! The layer, its options, and the service that it makes.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderName, request};
use http_body::Body;
use ioprofiler::gate::Gate;
use ioprofiler::{Category, Hook, Profiler, Request, inject};
use tower_layer::Layer;
use tower_service::Service;

use crate::ask::{self, Asked, Asking, Predicate};
use crate::body::ProfiledBody;
use crate::ending::Ending;
use crate::facts::{self, Noticed};
use crate::future::{ResponseFuture, Visit};

/// What a layer is to a request that another one has begun.
static JOINED: Category = Category::scope("tower");

/// Observes each request of a service, and shows its profile to those who ask for it and may see
/// it.
///
/// **Asked** is by `?ioprofiler=1`, `text`, `json` or `ticket`, a header or a cookie; whether it
/// is **seen** says the profiler's [`Gate`], or the layer's own [`gate`](Self::gate). Then:
///
/// - `1` puts the panel into the page, if [`inject::may_inject`] says so. The page is held back
///   for that until its body has ended; at most [`max_page`](Self::max_page) bytes of it, and
///   where its length is not known beforehand only with [`buffer_streams`](Self::buffer_streams).
/// - `text`, `json` and `ticket` put the profile **in place of** the body, whatever it was. The
///   handler's body is run to its end first and thrown away, so that the calls it makes are seen;
///   up to [`max_page`](Self::max_page) bytes, and not at all where it has no end by its nature
///   (`text/event-stream`). Status and headers stay, cookies and `Location` too, but for those
///   that describe the body; 204, 205, 206 and 304 become 200.
/// - Where it cannot be shown (an image, a redirect to HEAD, a compressed page), the body is as it
///   was, and `X-Ioprofiler: not-shown; REASON` says why: [`inject::NotShown`].
/// - Shown or not: `Server-Timing`, `X-Ioprofiler-Request` with the request's id, and the headers
///   that keep the answer out of every cache.
#[derive(Clone)]
pub struct IoprofilerLayer {
    options: Arc<Options>,
}

#[derive(Clone)]
pub(crate) struct Options {
    pub(crate) profiler: Profiler,
    /// The profiler's gate, with the layer's own as one more way in.
    pub(crate) gate: Gate,
    pub(crate) predicate: Option<Predicate>,
    pub(crate) max_page: u64,
    pub(crate) buffer_streams: bool,
    request_id_header: Option<HeaderName>,
    /// What formats of the profiler name.
    wanted_headers: Vec<HeaderName>,
    pub(crate) wanted_answer_headers: Vec<HeaderName>,
    pub(crate) note_header: Option<HeaderName>,
}

impl IoprofilerLayer {
    /// A layer that observes requests with this profiler, and shows profiles by its gate.
    #[must_use]
    pub fn new(profiler: Profiler) -> Self {
        profiler.hook(Hook::hooked("tower"));
        let wanted = profiler.wanted_headers();
        Self {
            options: Arc::new(Options {
                gate: profiler.gate().clone(),
                wanted_headers: header_names(&wanted.request),
                wanted_answer_headers: header_names(&wanted.answer),
                note_header: None,
                profiler,
                predicate: None,
                max_page: inject::DEFAULT_CAP,
                buffer_streams: false,
                request_id_header: Some(HeaderName::from_static("x-request-id")),
            }),
        }
    }

    /// One more way through the gate: called only if the request asked and no other way was open,
    /// after the handler and before headers leave, so that authentication has run. A panic in it
    /// is a no.
    ///
    /// Conditional and range headers stay on such a request, as nobody knows yet whether it may
    /// see anything; a 304 or 206 is then not shown.
    ///
    /// ```
    /// # fn example(layer: ioprofiler_tower::IoprofilerLayer) -> ioprofiler_tower::IoprofilerLayer {
    /// #[derive(Clone)]
    /// struct Staff; // put into the answer's extensions by your own middleware
    ///
    /// layer.gate(|asking| asking.response().extensions.get::<Staff>().is_some())
    /// # }
    /// ```
    #[must_use]
    pub fn gate(self, opens: impl Fn(&Asking<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|options| {
            if !options.gate.wants_callable() {
                options.gate = options.gate.clone().or(Gate::callable());
            }
            options.predicate = Some(Arc::new(opens));
        })
    }

    /// The largest body, in bytes, that is held back for a panel or a text; 4 MiB otherwise.
    #[must_use]
    pub fn max_page(self, bytes: u64) -> Self {
        self.with(|options| options.max_page = bytes)
    }

    /// Whether a page whose length is not known beforehand is held back to its end for the panel,
    /// when asked; no, otherwise.
    #[must_use]
    pub fn buffer_streams(self, yes: bool) -> Self {
        self.with(|options| options.buffer_streams = yes)
    }

    /// The request header whose value becomes the request's id; `x-request-id` otherwise. `None`
    /// makes up an id for each request.
    #[must_use]
    pub fn request_id_header(self, name: Option<HeaderName>) -> Self {
        self.with(|options| options.request_id_header = name)
    }

    /// Adds the compact note of the profiler's
    /// [`note_format`](ioprofiler::ProfilerBuilder::note_format) to each answer, as a header of this
    /// name, for the log of a server in front. That server should take it off: the client would see
    /// it otherwise. None is added otherwise, nor where the profiler has no format for notes.
    #[must_use]
    pub fn note_header(self, name: HeaderName) -> Self {
        self.with(|options| options.note_header = Some(name))
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }
}

/// A name that can be none in HTTP is never there.
fn header_names(names: &[String]) -> Vec<HeaderName> {
    names
        .iter()
        .filter_map(|name| HeaderName::try_from(name).ok())
        .collect()
}

impl fmt::Debug for IoprofilerLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoprofilerLayer")
            .field("gate", &format_args!("{}", self.gate))
            .field("max_page", &self.max_page)
            .field("buffer_streams", &self.buffer_streams)
            .field("request_id_header", &self.request_id_header)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for IoprofilerLayer {
    type Service = Ioprofiler<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Ioprofiler {
            inner,
            options: Arc::clone(&self.options),
        }
    }
}

/// The service that [`IoprofilerLayer`] makes.
#[derive(Clone, Debug)]
pub struct Ioprofiler<S> {
    inner: S,
    options: Arc<Options>,
}

impl<S, RequestBody, B> Service<http::Request<RequestBody>> for Ioprofiler<S>
where
    S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
    S::Error: fmt::Display,
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Response = http::Response<ProfiledBody<B>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<RequestBody>) -> Self::Future {
        let live = ioprofiler::current();
        if !live.is_none() {
            return self.join(&live, request);
        }
        let (mut head, body) = request.into_parts();
        let options = &self.options;
        let noticed = Noticed::of(&head, options.request_id_header.as_ref());
        let wish = options.wish(&head, &noticed);
        let live = options.begin(&noticed, &wish);
        if let Some(route) = facts::route(&head) {
            live.set_route(route);
        }
        let Wish { asked, overrides } = wish;
        if let Some(asked) = &asked {
            asked.make_unconditional(&mut head);
        }
        if overrides.is_some() {
            ask::make_unconditional(&mut head);
        }
        let mut visit = Visit {
            asked,
            private: overrides.is_some(),
            method: head.method.clone(),
            grpc_method: facts::grpc_method(&head),
            ending: Ending::new(live),
            options: Arc::clone(options),
        };
        let inner = &mut self.inner;
        let request = http::Request::from_parts(head, body);
        let future = visit
            .ending
            .observe("panic in the handler", || inner.call(request));
        ResponseFuture::handling(future, visit)
    }
}

impl<S> Ioprofiler<S> {
    /// The layer stands twice in this request's way: the inner one is a scope of it.
    fn join<RequestBody, B>(
        &mut self,
        live: &Request,
        request: http::Request<RequestBody>,
    ) -> ResponseFuture<S::Future, B>
    where
        S: Service<http::Request<RequestBody>, Response = http::Response<B>>,
        B: Body<Data = Bytes>,
    {
        let (head, body) = request.into_parts();
        let route = facts::route(&head);
        if let Some(route) = route {
            live.set_route(route);
        }
        let scope = ioprofiler::scope(&JOINED, route.unwrap_or(head.uri.path()));
        let future = self.inner.call(http::Request::from_parts(head, body));
        ResponseFuture::joining(scope.wrap(future))
    }
}

/// What the viewer wants of us.
#[derive(Default)]
struct Wish {
    asked: Option<Asked>,
    overrides: Option<String>,
}

impl Options {
    /// What the viewer wants, and may have as far as is known. Next to nothing where the head does
    /// not mention us.
    fn wish(&self, head: &request::Parts, noticed: &Noticed<'_>) -> Wish {
        let (profiler, gate, inputs) = (&self.profiler, &self.gate, &noticed.inputs);
        if !gate.is_mentioned(inputs) {
            return Wish::default();
        }
        Wish {
            asked: Asked::at_begin(profiler, gate, self.predicate.is_some(), head, inputs),
            overrides: ask::flag_overrides(profiler, gate, inputs),
        }
    }

    fn begin(&self, noticed: &Noticed<'_>, wish: &Wish) -> Request {
        noticed.with_facts(&self.wanted_headers, |facts| {
            let mut facts = facts.asked(wish.asked.is_some());
            if let Some(overrides) = &wish.overrides {
                facts = facts.flag_overrides(overrides);
            }
            if let Some(who) = wish.asked.as_ref().and_then(Asked::who) {
                facts = facts.viewer(who);
            }
            self.profiler.begin(&facts)
        })
    }
}
