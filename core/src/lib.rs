//! See every call that one web request made.
pub mod category;
pub mod fingerprint;
pub mod gate;
pub mod inject;
pub mod profile;
