//! Helpers for tests that cross crates, languages or servers.

pub mod browser;
pub mod command;
pub mod endpoint;
pub mod php;
pub mod python;
pub mod servers;
pub mod shop;
