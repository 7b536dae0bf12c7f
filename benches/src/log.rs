//! Notes, and the lines that they get into.

use crate::contestants::floor;
use crate::contestants::ours::profiler;
use crate::harness::{Contestant, Effort, Result, Samples, measure};
use crate::report::{self, Row, Unit};
use ioprofiler::{Facts, LogFormat, NoteFormat, Profile, Record};
use std::hint::black_box;

const AGAIN: &str = "a note set again, one of six";
const CURRENT: &str = "the same, on the current request";
const NEW: &str = "a note set anew, six a request (with its share of it)";
const TEXT: &str = "a note of 20 bytes of text, set again";
const LINE: &str = "the combined line with 6 notes";
const NOTE: &str = "the compact note of 5 fields";
const JSON: &str = "the line as JSON, with 6 notes";

const NAMES: [&str; 6] = [
    "ab_ids",
    "user_id",
    "memory",
    "cart_items",
    "shop_id",
    "listing_id",
];
const FORMAT: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %{ab_ids}n %{user_id}n %{memory}n %{cart_items}n %{shop_id}n %{listing_id}n"#;

/// Measures all of it in this process.
pub(crate) fn run(effort: Effort) -> Result<()> {
    let on = profiler(Record::Always);
    let mut set = vec![floor::floor()];
    let live = on.begin(&Facts::web("GET", "/listing/5773453"));
    let (same, current) = (live.clone(), live);
    set.push(Contestant::new(AGAIN, 6, move || {
        for (number, name) in NAMES.iter().enumerate() {
            same.note(black_box(name), number);
        }
    }));
    set.push(Contestant::timed(CURRENT, 6, {
        let current = current.clone();
        move |batches| {
            let _entered = current.enter();
            let start = crate::harness::thread_cpu_ns();
            for _ in 0..batches {
                for (number, name) in NAMES.iter().enumerate() {
                    ioprofiler::note(black_box(name), number);
                }
            }
            crate::harness::thread_cpu_ns().saturating_sub(start)
        }
    }));
    set.push(Contestant::new(TEXT, 1, move || {
        current.note("cart", black_box("twenty bytes of text"));
    }));
    let fresh = on.clone();
    set.push(Contestant::new(NEW, 6, move || {
        let request = fresh.begin(&Facts::web("GET", "/listing/5773453"));
        for (number, name) in NAMES.iter().enumerate() {
            request.note(black_box(name), number);
        }
        request.finish(200, 5_120);
    }));
    set.extend(lines()?);
    measure(set, effort)
}

/// A page that a browser asked for, with six notes.
fn page() -> Profile {
    let headers = [
        ("referer", "http://www.etsy.example/search/handmade?q=clay"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
        ),
    ];
    let facts = Facts::web("GET", "/listing/5773453/handmade-clay-mug")
        .query("ref=home&page=2")
        .protocol("HTTP/1.1")
        .host("www.etsy.example")
        .peer("203.0.113.77")
        .headers(&headers);
    let request = profiler(Record::Always).begin(&facts);
    request.note("ab_ids", "6;12;14");
    for (number, name) in (5_020_244..).zip(&NAMES[1..]) {
        request.note(name, number);
    }
    request.finish(200, 5_120)
}

fn lines() -> Result<Vec<Contestant>> {
    let mut set = Vec::new();
    for (name, format) in [(LINE, FORMAT), (JSON, "json")] {
        let (format, page) = (LogFormat::parse(format)?, page());
        let mut line = Vec::new();
        set.push(Contestant::new(name, 1, move || {
            line.clear();
            format.write(black_box(page.data()), &mut line);
            black_box(&line);
        }));
    }
    let (format, page) = (NoteFormat::parse(NoteFormat::ETSY)?, page());
    set.push(Contestant::new(NOTE, 1, move || {
        black_box(format.write(black_box(page.data())));
    }));
    Ok(set)
}

/// The table.
pub(crate) fn report(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("log", effort, quick)?;
    let rows = [
        Row::new(AGAIN).at_most_ns(15.0),
        Row::new(CURRENT).at_most_ns(15.0),
        Row::new(NEW),
        Row::new(TEXT),
        Row::new(LINE).at_most_ns(1_000.0),
        Row::new(NOTE),
        Row::new(JSON),
    ];
    let title = "Notes and lines";
    report::table(title, &samples, floor::FLOOR, Unit::Nanoseconds, &rows)
}
