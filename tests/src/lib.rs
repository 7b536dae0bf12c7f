//! Helpers for tests that cross crates, languages or servers.

pub mod browser;
pub mod command;
pub mod endpoint;
pub mod listed;
pub mod metric_servers;
pub mod panel;
pub mod php;
pub mod python;
pub mod servers;
pub mod shop;
pub mod workers;
