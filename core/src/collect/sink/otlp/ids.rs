//! Ids of traces and spans: from `traceparent` where the request came with one, else from its own id.
//!
//! They are the same each time they are made, so that a trace that is sent twice is one trace.

use crate::profile::ProfileData;
use sha2::{Digest as _, Sha256};

pub(super) struct Ids {
    pub(super) trace: [u8; 16],
    /// The caller's span.
    pub(super) parent: Option<[u8; 8]>,
    base: u64,
}

impl Ids {
    pub(super) fn of(data: &ProfileData) -> Self {
        let traced = data.facts.trace();
        let trace = traced.and_then(|trace| bytes(trace.trace_id));
        let parent = traced.and_then(|trace| bytes(trace.parent_id));
        // A job belongs to the trace of the request that detached it.
        let family = data.parent_id.as_deref().unwrap_or(&data.id);
        // Services hand an id on to each other: it alone does not tell their spans apart.
        let mut hash = Sha256::new();
        for part in [data.id.as_bytes(), data.host.as_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(data.pid.to_be_bytes());
        hash.update(data.started_at.to_be_bytes());
        Self {
            trace: trace.unwrap_or_else(|| trace_of(family)),
            parent: parent.filter(|_| trace.is_some()),
            base: u64::from_be_bytes(beginning(&hash.finalize())),
        }
    }

    /// The request's own span.
    pub(super) fn request(&self) -> [u8; 8] {
        self.span(0)
    }

    /// The span of a call, by its place in the list.
    pub(super) fn call(&self, place: usize) -> [u8; 8] {
        self.span(place as u64 + 1)
    }

    /// Different for different numbers: each step of the mixing can be undone (splitmix64).
    fn span(&self, number: u64) -> [u8; 8] {
        let mut mixed = self
            .base
            .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // Zero is no id.
        mixed.max(1).to_be_bytes()
    }
}

/// The trace of an id: what it says where it is 32 hex digits, with dashes or without.
fn trace_of(id: &str) -> [u8; 16] {
    let plain: String = id.chars().filter(|character| *character != '-').collect();
    let said = bytes(&plain).filter(|trace| *trace != [0; 16]);
    said.unwrap_or_else(|| beginning(&Sha256::digest(id.as_bytes())))
}

fn bytes<const N: usize>(hex: &str) -> Option<[u8; N]> {
    if hex.len() != 2 * N || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn beginning<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(hash) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn request(id: &str, traceparent: Option<&str>) -> ProfileData {
        let mut data = ProfileData {
            id: id.to_owned(),
            ..ProfileData::default()
        };
        data.facts.traceparent = traceparent.map(str::to_owned);
        data
    }

    #[test]
    fn a_trace_is_the_callers_or_that_of_the_requests_id() {
        let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let ids = Ids::of(&request("x", Some(header)));
        assert_eq!(
            ids.trace,
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes()
        );
        assert_eq!(ids.parent, Some(0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()));
        for id in [
            "0123456789abcdef0123456789abcdef",
            "01234567-89AB-CDEF-0123-456789abcdef",
        ] {
            let ids = Ids::of(&request(id, Some("nonsense")));
            let wanted: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
            assert_eq!((ids.trace, ids.parent), (wanted.to_be_bytes(), None));
        }
        let zero = "0".repeat(32);
        let others = ["", "abc", &zero, "é", "web-7"].map(|id| Ids::of(&request(id, None)).trace);
        assert!(others.iter().all(|trace| *trace != [0; 16]));
        assert_eq!(HashSet::from(others).len(), others.len());
        let mut job = request("job", None);
        job.parent_id = Some("web-7".to_owned());
        assert_eq!(Ids::of(&job).trace, others[4]);
    }

    #[test]
    fn spans_differ_within_a_request_and_between_services() {
        let here = Ids::of(&request("same", None));
        let mut elsewhere = request("same", None);
        elsewhere.host = "another".to_owned();
        let elsewhere = Ids::of(&elsewhere);
        let mut seen = HashSet::new();
        for ids in [&here, &elsewhere] {
            assert!(seen.insert(ids.request()));
            for place in 0..5_000 {
                assert!(seen.insert(ids.call(place)));
            }
        }
        assert_eq!(Ids::of(&request("same", None)).call(7), here.call(7));
    }
}
