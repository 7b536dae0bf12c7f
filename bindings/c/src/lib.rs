//! The C ABI: what `include/ioprofiler.h` declares.
//!
//! It translates types and errors, and nothing else: a rule that C needs lives in the core. The
//! documentation of an item is what a C user reads in the header, and so speaks of C.
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
#![allow(
    non_camel_case_types,
    clippy::missing_safety_doc,
    reason = "names are C's, and the header's first page says once for all what pointers must be"
)]

#[cfg(panic = "abort")]
compile_error!(
    "libioprofiler keeps its panics from the host, so it needs panic = \"unwind\" (use --profile dist)"
);

pub mod flags;
pub mod gate;
mod guard;
pub mod inject;
pub mod log;
mod messages;
pub mod metrics;
pub mod profile;
pub mod profiler;
pub mod request;
mod sized;
pub mod span;
pub mod stats;
pub mod status;
pub mod text;
pub mod version;
