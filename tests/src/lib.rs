//! Helpers for tests that cross crates, languages or servers.

pub mod browser;
