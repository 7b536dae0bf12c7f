//! JSON: its golden files, that it can be read back, and that it may stand in HTML.

use ioprofiler::render::{Details, json};
use proptest::prelude::*;
use serde_json::Value;

use crate::assert_golden;
use crate::profiles::{self, Page, leaf};
use crate::text::any_text;

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn golden_files() {
    for (name, data) in [
        ("nested", profiles::nested()),
        ("outcomes", profiles::outcomes()),
        ("flags", profiles::flags()),
    ] {
        for (details, of) in [
            (Details::Full, "full"),
            (Details::Fingerprint, "fingerprint"),
        ] {
            let pretty = serde_json::to_string_pretty(&read(&json(&data, details))).expect("JSON");
            assert_golden(&format!("{name}.{of}.json"), &(pretty + "\n"));
        }
    }
}

#[test]
fn every_profile_can_be_read_back() {
    for (name, data) in profiles::all() {
        let value = read(&json(&data, Details::Full));
        assert_eq!(value["format"], "ioprofiler.profile", "{name}");
        assert_eq!(value["version"], 1);
        assert_eq!(
            value["calls"].as_array().map(Vec::len),
            Some(data.spans.len())
        );
        assert_eq!(
            value["categories"].as_array().map(Vec::len),
            Some(data.totals.len())
        );
        for (call, span) in value["calls"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(&data.spans)
        {
            assert_eq!(call["detail"].as_str(), Some(span.detail.as_str()));
            assert_eq!(call["start_ns"], span.start_ns);
            assert_eq!(call["duration_ns"], span.duration_ns);
        }
    }
}

/// Who documents a format must write what it says.
#[test]
fn every_field_is_documented() {
    let source = include_str!("../../src/render/json.rs");
    let documented: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"))
        .flat_map(|line| line.split(" |").next().unwrap_or("").split('`'))
        .filter(|name| !name.is_empty() && !name.contains(' ') && !name.contains(','))
        .collect();
    let mut data = profiles::limits();
    data.parent_id = Some("77aa".to_owned());
    data.flags = profiles::flags().flags;
    let value = read(&json(&data, Details::Full));
    let fields: Vec<&String> = value.as_object().expect("an object").keys().collect();
    for field in &fields {
        assert!(
            documented.contains(&field.as_str()),
            "{field} is not in {documented:?}"
        );
    }
    for name in documented {
        assert!(
            fields.iter().any(|field| *field == name),
            "{name} is not written"
        );
    }
}

proptest! {
    #[test]
    fn any_detail_comes_back_and_is_safe_in_html(details in prop::collection::vec(any_text(), 1..8)) {
        let mut page = Page::new(&details[0], 1_000);
        page.0.facts.error = Some(details[0].clone());
        for detail in &details {
            page.add(leaf("dbshard01", detail, 1, 1));
        }
        let text = json(&page.done(), Details::Full);
        let risky = |character: char| {
            character.is_control() || matches!(character, '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
        };
        prop_assert!(!text.contains(risky), "{}", text);
        let value = read(&text);
        for (call, detail) in value["calls"].as_array().expect("calls").iter().zip(&details) {
            prop_assert_eq!(call["detail"].as_str(), Some(detail.as_str()));
        }
        prop_assert_eq!(value["facts"]["path"].as_str(), Some(details[0].as_str()));
    }
}
