//! See every call that one web request made.
pub mod category;
pub mod gate;
pub mod inject;
pub mod profile;
