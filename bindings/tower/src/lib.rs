//! [`ioprofiler`] as a tower layer: for axum, hyper and tonic, and whatever else serves HTTP as a
//! [`tower_service::Service`] over bodies of [`bytes::Bytes`].
//!
//! ```no_run
//! use axum::{Router, response::Html, routing::get};
//! use ioprofiler::{Profiler, gate::Gate};
//! use ioprofiler_tower::IoprofilerLayer;
//!
//! async fn listing() -> Html<&'static str> {
//!     let call = ioprofiler::span("dbshard01", "SELECT 1");
//!     // … the database works …
//!     drop(call);
//!     Html("<html><body>a listing</body></html>")
//! }
//!
//! pub fn app() -> Result<Router, ioprofiler::Error> {
//!     let profiler = Profiler::builder().gate(Gate::this_machine()).build()?;
//!     Ok(Router::new().route("/listing/{id}", get(listing)).layer(IoprofilerLayer::new(profiler)))
//! }
//! ```
//!
//! # What it does
//!
//! Each request is begun before the handler and finished when its body has ended or was dropped.
//! While the handler's future or the answer's body is polled, their calls belong to the request;
//! a task that is spawned takes it along with `ioprofiler::current().wrap(future)`. With the
//! feature `axum` the route's template, the peer (`ConnectInfo`) and the whole path of nested
//! routers are known; a gRPC method is its own template.
//!
//! A request that does not ask for its profile, or asks in vain, is answered with the same bytes
//! as without the layer: the same frames at the same moments, no header touched, nothing held
//! back. What is done for one that asks, and may see it, is in [`IoprofilerLayer`].
//!
//! # Order of layers
//!
//! What is outside sees the answer last. From the outside in:
//!
//! 1. **`CatchPanic`, `Timeout`**: outside. A panicking handler passes through unchanged, its
//!    request finished with an error; a future that is dropped is finished as aborted.
//! 2. **`Compression`**: outside, so that the panel is put into the page before it is compressed.
//!    The other way round the profile is not shown (`X-Ioprofiler: not-shown; content-encoding`).
//!    `Accept-Encoding` is never touched.
//! 3. **[`IoprofilerLayer`]**.
//! 4. **Sessions, authentication and your own middleware**: inside, so that their calls are seen.
//!    A [`gate`](IoprofilerLayer::gate) asks after they have run; they can tell it what they found
//!    in the answer's extensions, or in the request's groups (`ioprofiler::current().add_group`).
//!
//! ```
//! use axum::{Router, response::Html, routing::get};
//! use tower::ServiceBuilder;
//! use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};
//! # use ioprofiler_tower::IoprofilerLayer;
//!
//! pub fn app(ioprofiler: IoprofilerLayer) -> Router {
//!     Router::new()
//!         .route("/", get(async || Html("<html><body>hello</body></html>")))
//!         .layer(
//!             ServiceBuilder::new() // the first is outermost
//!                 .layer(CatchPanicLayer::new())
//!                 .layer(CompressionLayer::new())
//!                 .layer(ioprofiler),
//!         )
//! }
//! ```
//!
//! In axum, `Router::layer` runs behind the routing, which is where the route's template is known.
//! Wrapped around the whole router from outside, the layer does not see it; a second one inside
//! (`Router::layer` or `route_layer`) joins the request as a scope and adds the template.
//!
//! # Upgrades
//!
//! A request that becomes a WebSocket is finished with its 101. What goes on afterwards is a job:
//! `ioprofiler::current().detach("chat")`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]
#![forbid(unsafe_code)]

mod answer;
mod ask;
mod body;
mod ending;
mod facts;
mod future;
mod layer;
mod metrics;

pub use ask::Asking;
pub use body::ProfiledBody;
pub use future::ResponseFuture;
pub use layer::{Ioprofiler, IoprofilerLayer};
pub use metrics::{Metrics, MetricsFuture};
