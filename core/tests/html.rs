//! The panel, read back by a real HTML parser and by an XML parser.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/sample.rs"]
mod sample;

use ioprofiler::profile::ProfileData;
use ioprofiler::render::html::{PanelOptions, page, panel, panel_with};
use ioprofiler::render::shown::{is_unsafe_to_show, ms, push_escape};
use ioprofiler::table::table;
use proptest::prelude::*;
use scraper::{ElementRef, Html, Selector};

fn rows<'a>(document: &'a Html, row: &str) -> Vec<ElementRef<'a>> {
    let selector = Selector::parse(&format!("[data-row={row}]")).unwrap();
    document.select(&selector).collect()
}

fn attribute<'a>(row: ElementRef<'a>, name: &str) -> &'a str {
    row.value().attr(name).unwrap_or("(absent)")
}

fn attributes(row: ElementRef<'_>, names: &[&str]) -> String {
    names
        .iter()
        .map(|name| attribute(row, name))
        .collect::<Vec<_>>()
        .join("|")
}

/// What a reader sees of a text: the rule of the panel, written once more.
fn shown(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        let noncharacter = u32::from(character) & 0xfffe == 0xfffe
            || ('\u{fdd0}'..='\u{fdef}').contains(&character);
        match character {
            '\n' | '\t' => shown.push(character),
            _ if is_unsafe_to_show(character) || noncharacter => push_escape(&mut shown, character),
            _ => shown.push(character),
        }
    }
    shown
}

/// The panel in a page, parsed; nothing of it may stand outside its element.
fn parsed(profile: &ProfileData) -> Html {
    let panel = panel(profile);
    assert!(panel.is_ascii());
    roxmltree::Document::parse(&panel).unwrap();
    let host = format!("<!DOCTYPE html><html><body><p>before</p>{panel}<p>after</p></body></html>");
    let document = Html::parse_document(&host);
    let names = |selector: &str| -> Vec<String> {
        let selector = Selector::parse(selector).unwrap();
        document
            .select(&selector)
            .map(|element| element.value().name().to_owned())
            .collect()
    };
    assert_eq!(names("body > *"), ["p", "ioprofiler-panel", "p"]);
    assert_eq!(names("ioprofiler-panel > *"), ["template", "script"]);
    assert_eq!(names("head > *"), Vec::<String>::new());
    document
}

/// All rows of the panel are those of the table, and all details are there as text.
fn check(profile: &ProfileData) {
    let document = parsed(profile);
    check_table(&document, profile);
    check_calls(&document, profile);
    assert_eq!(rows(&document, "hook").len(), profile.hooks.len());
}

fn check_table(document: &Html, profile: &ProfileData) {
    let table = table(profile);
    let read = |row: &str, names: &[&str]| -> Vec<String> {
        rows(document, row)
            .into_iter()
            .map(|row| attributes(row, names))
            .collect()
    };
    let categories: Vec<_> = table
        .rows
        .iter()
        .map(|row| {
            format!(
                "{}|{}|{}|{}",
                row.category,
                row.calls,
                ms(row.time_ns),
                ms(row.self_ns)
            )
        })
        .collect();
    let names = ["data-category", "data-calls", "data-time", "data-self"];
    assert_eq!(read("category", &names), categories);
    let totals = [
        format!(
            "TOTAL CALLS|{}|{}",
            ms(table.total_calls_self_ns),
            table.total_calls
        ),
        format!("TOTAL PAGE EXEC|{}|(absent)", ms(profile.page_ns)),
        format!("I/O WALL|{}|(absent)", ms(table.io_wall_ns)),
        format!("OTHER|{}|(absent)", ms(table.other_ns)),
    ];
    assert_eq!(
        read("total", &["data-name", "data-time", "data-calls"]),
        totals
    );
    let repeated: Vec<_> = table
        .repeated
        .iter()
        .map(|group| format!("{}|{}|{}", group.category, group.count, ms(group.total_ns)))
        .collect();
    assert_eq!(
        read("repeated", &["data-category", "data-calls", "data-time"]),
        repeated
    );
}

fn check_calls(document: &Html, profile: &ProfileData) {
    let calls = rows(document, "call");
    assert_eq!(calls.len(), profile.spans.len());
    let detail = Selector::parse("[data-detail]").unwrap();
    for (row, span) in calls.into_iter().zip(&profile.spans) {
        let read = attributes(
            row,
            &["data-category", "data-start", "data-time", "data-outcome"],
        );
        let (start, time) = (ms(span.start_ns), ms(span.duration_ns));
        assert_eq!(
            read,
            [span.category, &start, &time, span.outcome.as_str()].join("|")
        );
        let text: String = row.select(&detail).next().unwrap().text().collect();
        assert_eq!(text, shown(&span.detail));
    }
}

#[test]
fn rows_are_those_of_the_table() {
    for profile in [
        sample::listing(),
        sample::many(300),
        sample::Sample::new("/").done(2_000),
    ] {
        check(&profile);
    }
    check(&ProfileData::default());
}

#[test]
fn hostile_text_stays_text() {
    check(&sample::hostile());
    let document = parsed(&sample::hostile());
    let count = |element| document.select(&Selector::parse(element).unwrap()).count();
    assert_eq!(["h1", "img", "b b", "script"].map(count), [0, 0, 0, 1]);
}

#[test]
fn depth_is_that_of_the_parents() {
    let document = parsed(&sample::listing());
    let depths: Vec<_> = rows(&document, "call")
        .into_iter()
        .map(|row| attribute(row, "data-depth"))
        .collect();
    assert_eq!(
        depths.get(..7).unwrap(),
        ["0", "1", "1", "0", "1", "1", "2"]
    );
}

#[test]
fn partial_figures_are_marked() {
    let partial = panel(&sample::hostile());
    assert!(partial.contains("max_spans"));
    assert!(
        partial.contains("&#x2265;&#xa0;7.020"),
        "I/O wall is at least"
    );
    assert!(partial.contains("&#x2264;&#xa0;2.980"), "OTHER is at most");
    assert!(!panel(&sample::listing()).contains("&#x2265;"));
}

#[test]
fn numbers_agree_with_their_words() {
    let mut profile = sample::listing();
    for total in &mut profile.totals {
        (total.errors, total.hits, total.misses) = (total.calls, total.calls, 2 * total.calls);
    }
    let document = parsed(&profile);
    let rows = rows(&document, "category");
    assert!(!rows.is_empty());
    for row in rows {
        let text = row.text().collect::<String>();
        let calls: u64 = attribute(row, "data-calls").parse().unwrap();
        let said = |count: u64, one: &str, many: &str| {
            let word = if count == 1 { one } else { many };
            let said = format!("{count} {word}");
            assert!(text.contains(&said), "{said}: {text}");
        };
        said(calls, "error", "errors");
        said(calls, "hit", "hits");
        said(2 * calls, "miss", "misses");
        assert!(
            !text.contains("1 hits") && !text.contains("1 errors"),
            "{text}"
        );
    }
}

#[test]
fn notes_stand_in_the_panel() {
    let mut data = sample::Sample::new("/listing/5773453").0;
    assert!(rows(&parsed(&data), "note").is_empty());
    data.notes = vec![
        ioprofiler::Note::new("user_id", 5_020_244),
        ioprofiler::Note::new("said", "</li><script>\"\u{202e}"),
    ];
    let document = parsed(&data);
    let notes: Vec<String> = rows(&document, "note")
        .iter()
        .map(|row| attributes(*row, &["data-name", "data-value"]))
        .collect();
    let said = shown("</li><script>\"\u{202e}");
    assert_eq!(
        notes,
        ["user_id|5020244".to_owned(), format!("said|{said}")]
    );
}

#[test]
fn nothing_needs_to_be_allowed() {
    let plain = panel_with(&sample::listing(), &PanelOptions::default().plain(true));
    for needs in [
        "<style", "<script", " style=", " onclick", "src=", "href=", "url(",
    ] {
        assert!(!plain.contains(needs), "{needs}");
    }
    assert!(plain.contains("<details id=\"panel\" class=\"p\" open=\"\">"));
    let panel = panel(&sample::listing());
    for needs in [" style=", "src=", "href=", "url("] {
        assert!(!panel.contains(needs), "{needs}");
    }
    let document = Html::parse_document(&plain);
    assert_eq!(rows(&document, "call").len(), sample::listing().spans.len());
}

#[test]
fn a_nonce_reaches_style_and_script() {
    let panel = panel_with(
        &sample::listing(),
        &PanelOptions::default().nonce("r4nd\"><b>"),
    );
    assert_eq!(
        panel.matches(" nonce=\"r4nd&quot;&gt;&lt;b&gt;\"").count(),
        2
    );
}

#[test]
fn the_page_is_whole() {
    let page = page(&sample::hostile());
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    let document = Html::parse_document(&page);
    assert_eq!(rows(&document, "call").len(), sample::hostile().spans.len());
    let title = Selector::parse("head > title").unwrap();
    let title: String = document.select(&title).next().unwrap().text().collect();
    assert_eq!(
        title,
        format!("GET {} - ioprofiler", sample::hostile().facts.path)
    );
}

#[test]
fn style_and_script_are_small() {
    let plain = panel_with(&sample::listing(), &PanelOptions::default().plain(true));
    assert!(panel(&sample::listing()).len() - plain.len() < 8 * 1_024);
}

#[test]
fn the_ticket_can_be_copied() {
    let document = parsed(&sample::listing());
    let selector = Selector::parse("textarea[readonly]").unwrap();
    let ticket: String = document.select(&selector).next().unwrap().text().collect();
    assert_eq!(
        ticket,
        shown(&ioprofiler::render::ticket(&sample::listing()))
    );
    assert!(!panel(&sample::many(2_000)).contains("<textarea"));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_detail_survives(
        details in prop::collection::vec(
            prop_oneof![any::<String>(), "[<>/&'\" a-z!\\-\\[\\]\n\r\t\0]{0,400}", ".{100,300}"],
            1..6,
        ),
        nonce in any::<String>(),
        at in any::<u64>(),
    ) {
        let mut page = sample::Sample::new("/");
        for (number, detail) in details.iter().enumerate() {
            let call = page.call("dbshard01", number as u64, 5, detail);
            call.start_ns = at.saturating_add(number as u64);
            call.duration_ns = at >> number;
        }
        page.0.id = details.concat();
        let profile = page.done(100);
        check(&profile);
        let panel = panel_with(&profile, &PanelOptions::default().nonce(&nonce));
        roxmltree::Document::parse(&panel).unwrap();
    }
}
