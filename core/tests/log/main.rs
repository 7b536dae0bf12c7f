//! Log lines: what is written, that nothing forges one, and that they can be read back.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod compact;
mod flags;
mod format;
mod json;
mod sink;

use ioprofiler::notes::Note;
use ioprofiler::profile::{ProfileData, State};

/// A page as the original's operators knew it.
pub(crate) fn page() -> ProfileData {
    let mut data = ProfileData::default();
    data.id = "7391ba500041194080da1a2b33482537".to_owned();
    data.host = "web0022".to_owned();
    data.pid = 4_711;
    data.state = State::Finished;
    data.started_at = 1_288_789_982_668_000_000;
    data.page_ns = 842_158_000;
    data.app_ns = 373_846_000;
    data.recorded = true;
    let facts = &mut data.facts;
    facts.method = "GET".to_owned();
    facts.path = "/listing/5773453".to_owned();
    facts.query = Some("ref=cat".to_owned());
    facts.protocol = Some("HTTP/1.1".to_owned());
    facts.host = Some("www.etsy.example".to_owned());
    facts.peer = Some("10.0.0.1".to_owned());
    facts.user = Some("5020244".to_owned());
    facts.status = Some(200);
    facts.bytes_out = Some(5_120);
    facts.headers = vec![
        ("referer".to_owned(), b"http://www.etsy.example/".to_vec()),
        ("user-agent".to_owned(), b"Mozilla/5.0 (Windows)".to_vec()),
        ("cookie".to_owned(), b"a=1; uaid = 77 ; b=2".to_vec()),
    ];
    facts.answer_headers = vec![
        (
            "content-type".to_owned(),
            b"text/html; charset=utf-8".to_vec(),
        ),
        ("set-cookie".to_owned(), b"a=1".to_vec()),
        ("set-cookie".to_owned(), b"b=2".to_vec()),
    ];
    data.notes = vec![
        Note::new("ab_ids", "6;12;14;15"),
        Note::new("ab_variants", "0;0;1;0"),
        Note::new("user_id", 5_020_244),
        Note::new("memory", 8_912_896),
    ];
    data
}
