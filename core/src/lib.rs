//! See every call that one web request made.
pub mod category;
pub mod fingerprint;
pub mod profile;
pub mod render;
pub mod table;
