//! Feature flags: branched on in code, switched in files, decided in this process.
//!
//! A [`Document`] is what layered files say; [`compile`](compile()) makes an immutable
//! [`Snapshot`] of it, which decides.

mod bucket;
mod compile;
mod model;

pub use bucket::{bucket_of, hash};
pub use compile::{Snapshot, compile};
pub use model::{BucketBy, Document, Enabled, FlagSpec, Place, Share, Shed};
