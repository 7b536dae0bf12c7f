//! Flags, from outside: decisions, requests, dark work, vectors, properties.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod ahead;
mod dark;
mod decisions;
mod etsy;
mod explain;
mod handles;
mod make;
mod properties;
mod requests;
mod vectors;
