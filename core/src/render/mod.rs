//! A profile as text, ticket, HTML, JSON, `Server-Timing` or trace: pure functions of [`ProfileData`].
//!
//! Each renderer escapes all that it did not write itself: a detail is whatever somebody sent.
//!
//! [`ProfileData`]: crate::profile::ProfileData

mod flags;
pub mod html;
pub mod json;
pub mod mask;
pub mod server_timing;
pub mod shown;
pub mod text;
pub mod trace;

pub use json::json;
pub use server_timing::server_timing;
pub use text::{text, ticket};
pub use trace::trace;

/// How much of what a profile holds is written out.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Details {
    /// All of it: only for those whom the gate let through.
    Full,
    /// Fingerprints for details, no values of the query, nothing of the person who asked: what may
    /// leave the process.
    #[default]
    Fingerprint,
}
