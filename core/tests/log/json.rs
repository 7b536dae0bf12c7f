//! The line as JSON.

use crate::page;
use ioprofiler::notes::Note;
use ioprofiler::profile::{CategoryTotal, ProfileData};
use ioprofiler::render::Details;
use ioprofiler::{Kind, LogFormat};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(format: &LogFormat, data: &ProfileData) -> Value {
    serde_json::from_str(&format.line(data)).unwrap()
}

#[test]
fn facts_notes_totals() {
    let mut data = page();
    data.facts.traceparent =
        Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned());
    data.facts.error = Some("no such user: ann".to_owned());
    let mut total = CategoryTotal::default();
    total.category = "dbshard01";
    total.kind = Kind::Leaf;
    total.calls = 6;
    total.time_ns = 8_994_000;
    total.errors = 1;
    data.totals = vec![total];
    data.notes = vec![
        Note::new("cart", "3 things"),
        Note::new("exact", 1_i64 << 53),
        Note::new("rounded", (1_i64 << 53) + 1),
        Note::new("below", -(1_i64 << 53) - 1),
        Note::new("large", u64::MAX),
        Note::new("share", 0.25),
        Note::new("nan", f64::NAN),
        Note::new("staff", true),
    ];
    let line = read(&LogFormat::json(), &data);
    for (key, wanted) in [
        ("time", json!("2010-11-03T13:13:02.668Z")),
        ("kind", json!("web")),
        ("state", json!("finished")),
        ("request_id", json!("7391ba500041194080da1a2b33482537")),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("host.name", json!("web0022")),
        ("process.pid", json!(4711)),
        ("http.request.method", json!("GET")),
        ("url.path", json!("/listing/5773453")),
        ("url.query", json!("ref=?")),
        ("http.route", json!("unknown")),
        ("client.address", json!("10.0.0.1")),
        ("user_agent.original", json!("Mozilla/5.0 (Windows)")),
        ("http.response.status_code", json!(200)),
        ("http.response.body.size", json!(5120)),
        ("error", json!("<not shown, 17 bytes>")),
        ("duration_us", json!(842_158)),
        ("app_us", json!(373_846)),
        ("calls", json!(6)),
        ("call_errors", json!(1)),
        ("io_sum_us", json!(8994)),
        (
            "categories",
            json!({"dbshard01": {"calls": 6, "us": 8994, "errors": 1}}),
        ),
    ] {
        assert_eq!(line[key], wanted, "{key}");
    }
    assert_eq!(
        line["notes"],
        json!({
            "cart": "3 things", "exact": 9_007_199_254_740_992_i64,
            "rounded": "9007199254740993", "below": "-9007199254740993",
            "large": "18446744073709551615", "share": 0.25, "nan": null, "staff": true,
        })
    );
    let full = read(&LogFormat::json().details(Details::Full), &data);
    assert_eq!(full["url.query"], "ref=cat");
    assert_eq!(full["error"], "no such user: ann");
    data.recorded = false;
    assert_eq!(read(&LogFormat::json(), &data)["calls"], Value::Null);
    data.facts.bytes_out = Some(0);
    let size = &read(&LogFormat::json(), &data)["http.response.body.size"];
    assert_eq!(*size, Value::Null, "a host that does not know says 0");
}

#[test]
fn every_key_is_documented() {
    let source = include_str!("../../src/log_format/json.rs");
    let mut data = page();
    data.facts.groups = vec!["staff".to_owned(), "beta".to_owned()];
    let line = read(&LogFormat::json(), &data);
    for key in line.as_object().unwrap().keys() {
        let documented = source
            .lines()
            .filter(|line| line.starts_with("//! | `"))
            .any(|line| line.contains(&format!("`{key}`")));
        assert!(documented, "{key}");
    }
}

proptest! {
    #[test]
    fn any_text_is_one_line_and_comes_back(
        text in any::<String>(),
        more in "[\\x00-\\x1f\"\\\\\u{7f}\u{85}\u{2028}\u{2029}a<]{0,20}",
        bytes in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        for text in [text, more] {
            let mut data = page();
            data.facts.path = text.clone();
            data.facts.headers[1].1 = bytes.clone();
            data.notes = vec![Note::new("text", &text)];
            let line = LogFormat::json().line(&data);
            let ends_a_line = |character: char| {
                matches!(character, '\0'..='\u{1f}' | '\u{7f}' | '\u{85}' | '\u{2028}' | '\u{2029}')
            };
            prop_assert!(!line.contains(ends_a_line), "{line:?}");
            let read: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(read["url.path"].as_str(), Some(text.as_str()));
            prop_assert_eq!(read["notes"]["text"].as_str(), Some(text.as_str()));
            let agent = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(read["user_agent.original"].as_str(), Some(&*agent));
        }
    }
}
