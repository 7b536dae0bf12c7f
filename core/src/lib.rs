//! See every call that one web request made.
//!
//! A developer adds `?ioprofiler=1` to a URL of your site and sees what this one page did: each
//! query, cache read and template, timed, with a table by category. Calls are recorded on every
//! request, because a page cannot feel it (about 25 ns each); who may look is another matter (see
//! [`gate`]).
//!
//! ```
//! use ioprofiler::{Category, Facts, Profiler};
//!
//! static DBSHARD01: Category = Category::leaf("dbshard01");
//!
//! # fn main() -> Result<(), ioprofiler::Error> {
//! let profiler = Profiler::builder().build()?; // once, at start
//!
//! let request = profiler.begin(&Facts::web("GET", "/listing/5773453"));
//! request.run(|| {
//!     let mut call = ioprofiler::span(&DBSHARD01, "SELECT * FROM listings WHERE id = 5773453");
//!     call.rows(1); // ends when it is dropped
//! });
//! let profile = request.finish(200, 5_120);
//! print!("{}", profile.text());
//! # Ok(())
//! # }
//! ```
//!
//! For axum, hyper and tonic, the crate `ioprofiler-tower` begins and finishes requests, and puts
//! the panel into pages.
//!
//! # The pieces
//!
//! - [`Profiler`] holds options; [`Request`] is one unit of work; [`span`] and [`scope`] time calls
//!   of the current one. [`Span`] ends when dropped, or with a future ([`Span::wrap`]).
//! - A request is current on a thread while it is [entered](Request::enter), runs a
//!   [closure](Request::run), or a [wrapped](Request::wrap) future is polled.
//! - [`flags`] decide once in a request, by who is there; [`Flag`] names one.
//! - [`Profile`] is what a request has done so far ([`Request::snapshot`]) or did
//!   ([`Request::finish`]). It renders itself; [`ProfileData`] is the plain data behind it.
//! - [`Sink`] takes finished profiles, on a thread of ours that the first request starts: when it
//!   ends, or when it begins where something is counted.
//!
//! # What it never does
//!
//! It panics, blocks, allocates without bound or does I/O on none of your threads; it opens no port,
//! sets no hook, handler or allocator, reads no environment and prints nothing. What goes wrong is
//! counted in [`Stats`] and said once a minute and kind through
//! [`on_log`](ProfilerBuilder::on_log). A child of a fork starts afresh.
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

pub mod answer;
pub mod category;
mod clock;
pub mod collect;
mod error;
mod facts;
pub mod fingerprint;
pub mod flags;
mod fork;
pub mod gate;
pub mod handed;
pub mod handle;
pub mod inject;
mod lane;
pub mod log_format;
mod memory;
mod names;
pub mod notes;
pub mod profile;
mod profiler;
pub mod render;
mod request;
mod scope;
pub mod sinks;
mod state_dir;
mod stats;
pub mod table;
mod text;
mod trace_context;

pub use category::{AsCategory, Category, CategoryId, Dialect, Kind};
pub use clock::Clock;
pub use collect::sink::access_log::AccessLog;
pub use collect::sink::memory::MemorySink;
pub use collect::{Ended, Event, EventKind, Keep, Kept, KeptFor, LogEvent, MetricName, Sink};
pub use error::Error;
pub use facts::Facts;
pub use flags::{Flag, Flags, flag};
pub use gate::Gate;
pub use lane::detail::Detail;
pub use lane::future::SpanFuture;
pub use lane::span::Span;
pub use log_format::{LogFormat, NoteFormat};
pub use notes::{Note, NoteValue};
pub use profile::{Caller, Counts, Hook, Outcome, ProfileData, RequestKind, SpanData, State};
pub use profiler::{Profiler, ProfilerBuilder, Record, WantedHeaders};
pub use request::{Entered, InRequest, Profile, Request, RequestNumber};
pub use scope::{current, note, scope, span};
pub use stats::{SinkStats, Stats};
pub use trace_context::TraceContext;

/// The README's Rust, compiled and run with the crate's own examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
