//! The native part of the npm package `ioprofiler`.
//!
//! Two layers, because a `#[napi]` function costs a hundred nanoseconds and more: the few functions
//! that run in every page are callbacks on bare Node-API ([`raw`]), which answer through shared
//! memory ([`board`]); everything else is `#[napi]`. Calls themselves are recorded in JavaScript,
//! and cross over in one go when somebody will read them ([`hand`]).
//!
//! Nothing here is the package's interface: `index.js` is. A panic never gets out: raw callbacks
//! catch it ([`guard`]), `#[napi(catch_unwind)]` makes it an exception, which `index.js` contains.
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
// Without Node there is nobody who calls what is `#[napi]`.
#![cfg_attr(test, allow(dead_code, unused_imports))]
#![allow(
    missing_docs,
    reason = "what napi-derive makes has none, and the interface is index.d.ts"
)]
#![allow(
    unreachable_pub,
    reason = "what is `#[napi]` is reached from JavaScript"
)]

#[cfg(not(panic = "unwind"))]
compile_error!("a panic must not take Node down: build with panic = \"unwind\"");

mod answer;
mod board;
mod flags;
mod gate;
mod guard;
mod hand;
mod metrics;
mod profile;
mod profiler;
mod raw;
mod request;
