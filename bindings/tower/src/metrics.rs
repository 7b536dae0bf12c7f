//! `/metrics`: what a scrape of Prometheus reads.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_channel::oneshot;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::Full;
use ioprofiler::Profiler;
use ioprofiler::sinks::Exposition;
use tower_service::Service;

/// Everything that a profiler counted, for Prometheus to scrape: one line in a router.
///
/// ```
/// use axum::Router;
/// use ioprofiler::Profiler;
/// use ioprofiler_tower::{IoprofilerLayer, Metrics};
///
/// # fn app() -> Result<Router, ioprofiler::Error> {
/// let profiler = Profiler::builder().metrics(true).build()?;
/// Ok(Router::new()
///     // … routes …
///     .layer(IoprofilerLayer::new(profiler.clone()))
///     .route_service("/metrics", Metrics::new(profiler))) // behind the layer: scrapes are not counted
/// # }
/// # app().unwrap();
/// ```
///
/// Nothing of a request's details is in it, so it needs no gate; who may read numbers is up to the
/// server in front, or to a layer around this service. It answers GET and HEAD, in OpenMetrics 1.0 or
/// the text format by the `Accept` header, and 503 with the reason where nothing is counted or too many
/// scrapes come at once. What it writes is made on a thread of the profiler's, not on one that polls.
/// See [`Profiler::prometheus`].
#[derive(Clone, Debug)]
pub struct Metrics {
    profiler: Profiler,
}

impl Metrics {
    /// Of this profiler.
    #[must_use]
    pub fn new(profiler: Profiler) -> Self {
        Self { profiler }
    }
}

impl<B> Service<http::Request<B>> for Metrics {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = MetricsFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> MetricsFuture {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return MetricsFuture(Inner::WrongMethod);
        }
        let (sender, receiver) = oneshot::channel();
        let accept = accept(request.headers());
        let then = move |exposition| drop(sender.send(exposition));
        // Where it is not begun, the sender is gone.
        let _ = self.profiler.prometheus_then(&accept, then);
        MetricsFuture(Inner::Waiting(receiver))
    }
}

/// What a client wants, all headers of that name together.
fn accept(headers: &HeaderMap) -> String {
    let values = headers.get_all(header::ACCEPT).iter();
    let values: Vec<&str> = values.filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// The answer of [`Metrics`], when it is made.
pub struct MetricsFuture(Inner);

enum Inner {
    WrongMethod,
    Waiting(oneshot::Receiver<Exposition>),
}

impl fmt::Debug for MetricsFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsFuture").finish_non_exhaustive()
    }
}

impl Future for MetricsFuture {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match &mut self.0 {
            Inner::WrongMethod => wrong_method(),
            Inner::Waiting(receiver) => match ready!(Pin::new(receiver).poll(cx)) {
                Ok(exposition) => shown(exposition),
                Err(oneshot::Canceled) => shown(Exposition::busy()),
            },
        }))
    }
}

fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let content_type = HeaderValue::from_static(content_type);
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    answer
}

const PLAIN: &str = "text/plain; charset=utf-8";

fn shown(exposition: Exposition) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(exposition.status);
    let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    answer(status, exposition.content_type, exposition.body)
}

fn wrong_method() -> Response<Full<Bytes>> {
    let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "GET or HEAD\n");
    let allowed = HeaderValue::from_static("GET, HEAD");
    answer.headers_mut().insert(header::ALLOW, allowed);
    answer
}
