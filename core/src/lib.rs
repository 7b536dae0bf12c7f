//! See every call that one web request made.
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

pub mod category;
mod clock;
pub mod collect;
mod error;
mod facts;
pub mod fingerprint;
mod fork;
pub mod gate;
pub mod handle;
pub mod inject;
mod lane;
pub mod profile;
mod profiler;
mod request;
mod scope;
mod stats;
mod text;

pub use category::{AsCategory, Category, CategoryId, Dialect, Kind};
pub use clock::Clock;
pub use collect::sink::memory::MemorySink;
pub use collect::{Ended, LogEvent, Sink};
pub use error::Error;
pub use facts::Facts;
pub use gate::Gate;
pub use lane::span::{Span, SpanFuture};
pub use profile::{Caller, Counts, Hook, Outcome, ProfileData, RequestKind, SpanData, State};
pub use profiler::{Profiler, ProfilerBuilder, Record};
pub use request::{Entered, InRequest, Profile, Request, RequestNumber};
pub use scope::{current, scope, span};
pub use stats::Stats;
