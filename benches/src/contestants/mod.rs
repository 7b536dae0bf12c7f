//! Who takes part: the floor, ioprofiler from Rust and from C, and its peers.

pub(crate) mod c_abi;
pub(crate) mod flag_peers;
pub(crate) mod flags;
mod flags_file;
pub(crate) mod floor;
pub(crate) mod ours;
pub(crate) mod peers;

use std::hint::black_box;

/// Calls of one request: what a page of a web application makes.
pub(crate) const SPANS: usize = 100;

/// The detail of every call: 79 bytes, and the compiler knows neither which nor how many.
#[inline(always)]
pub(crate) fn detail() -> &'static str {
    const DETAIL: &str =
        "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453 AND shop=12";
    const { assert!(DETAIL.len() == 79) };
    black_box(DETAIL)
}
