//! How a call is worded: strings, bytes, and what `format_args!` puts together.

use ioprofiler::{Category, Facts, ProfileData, Profiler, Record, Request};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

static DB: Category = Category::leaf("dbshard01");
static TEMPLATE: Category = Category::scope("template");

fn begin() -> Request {
    let profiler = Profiler::builder().build().expect("fine");
    profiler.begin(&Facts::web("GET", "/"))
}

fn details(profile: &ProfileData) -> Vec<&str> {
    let spans = profile.spans.iter();
    spans.map(|span| span.detail.as_str()).collect()
}

/// Counts how often it was written down.
#[derive(Default)]
struct Counted(Cell<u32>);

impl Display for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        out.write_str("counted")
    }
}

#[test]
fn every_kind_of_text_will_do() {
    let request = begin();
    request.run(|| {
        let owned = String::from("String");
        drop(ioprofiler::span(&DB, "str"));
        drop(ioprofiler::span(&DB, &owned));
        drop(ioprofiler::span(&DB, owned));
        drop(ioprofiler::span(&DB, b"bytes"));
        drop(ioprofiler::span(&DB, b"bytes".to_vec()));
        drop(ioprofiler::span(&DB, &b"bytes"[..]));
        drop(ioprofiler::span(&DB, Cow::Borrowed("Cow")));
        drop(ioprofiler::span(&DB, Arc::<str>::from("Arc")));
        drop(ioprofiler::span(&DB, Box::<str>::from("Box")));
        let number = 7;
        drop(ioprofiler::span(&DB, format_args!("number {number}")));
        drop(ioprofiler::span(&DB, format_args!("nothing to format")));
    });
    let texts = [
        "str",
        "String",
        "String",
        "bytes",
        "bytes",
        "bytes",
        "Cow",
        "Arc",
        "Box",
        "number 7",
        "nothing to format",
    ];
    assert_eq!(details(&request.finish(200, 0)), texts);
}

#[test]
fn detail_and_target_are_put_together_everywhere() {
    let request = begin();
    let shard = 2;
    let mut call = request.span(&DB, format_args!("SELECT {shard}"));
    call.detail(format_args!("SELECT {shard} -- [{}]", "int"))
        .rows(1);
    drop(call.target(format_args!("shard{shard}:3306")));
    request.run(|| {
        let mut call = ioprofiler::scope(&TEMPLATE, format_args!("{}.html", "listing"));
        call.detail(format_args!("{}.html, {} parts", "listing", 3));
    });
    drop(request.scope(&TEMPLATE, format_args!("{}", "footer.html")));
    let ago = Duration::from_millis(1);
    request.add_span(&DB, format_args!("SELECT {}", 3), ago, ago);
    let profile = request.finish(200, 0);
    let mut found = details(&profile);
    found.sort_unstable();
    assert_eq!(
        found,
        [
            "SELECT 2 -- [int]",
            "SELECT 3",
            "footer.html",
            "listing.html, 3 parts"
        ]
    );
    let target = |target: &str| {
        let has = |span: &ioprofiler::SpanData| span.target.as_deref() == Some(target);
        profile.spans.iter().any(has)
    };
    assert!(target("shard2:3306"));
}

#[test]
fn nothing_is_written_where_nothing_is_recorded() {
    let counted = Counted::default();
    let say_all = |request: &Request| {
        let mut call = request.span(&DB, format_args!("{counted}"));
        call.detail(format_args!("{counted}"));
        drop(call.target(format_args!("{counted}")));
        let ago = Duration::from_millis(1);
        request.add_span(&DB, format_args!("{counted}"), ago, ago);
        request.run(|| {
            ioprofiler::scope(&TEMPLATE, format_args!("{counted}"))
                .detail(format_args!("{counted}"));
        });
    };
    say_all(&Request::none());
    let off = Profiler::builder()
        .record(Record::Off)
        .build()
        .expect("fine");
    say_all(&off.begin(&Facts::web("GET", "/")));
    let ended = begin();
    let _ = ended.finish(200, 0);
    say_all(&ended);
    assert_eq!(counted.0.get(), 0);

    say_all(&begin());
    assert_eq!(counted.0.get(), 6, "each of them once where it is recorded");
}

#[test]
fn a_text_of_a_hundred_megabytes_is_cut_and_its_length_known() {
    struct Long;
    impl Display for Long {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            let piece = "0123456789".repeat(100_000);
            (0..100).try_for_each(|_| out.write_str(&piece))
        }
    }
    let request = begin();
    request.run(|| {
        drop(ioprofiler::span(&DB, format_args!("{Long}")));
        ioprofiler::span(&DB, "?").detail(format_args!("a{Long}"));
    });
    drop(request.span(&DB, format_args!("bc{Long}")));
    let ago = Duration::from_millis(1);
    request.add_span(&DB, format_args!("def{Long}"), ago, ago);
    let mut cuts: Vec<_> = request
        .finish(200, 0)
        .spans
        .iter()
        .map(|span| (span.detail_cut_from, span.detail.len()))
        .collect();
    cuts.sort_unstable();
    let whole = |more: u64| (Some(100_000_000 + more), 8_192);
    assert_eq!(cuts, [whole(0), whole(1), whole(2), whole(3)]);
}

#[test]
fn a_long_text_is_cut_at_a_character() {
    let request = begin();
    let (one, many) = ("é", "é".repeat(5_000));
    request.run(|| {
        drop(ioprofiler::span(&DB, format_args!("{many}{one}")));
        drop(ioprofiler::span(&DB, format_args!("x{many}")));
    });
    let profile = request.finish(200, 0);
    assert_eq!(profile.spans[0].detail, "é".repeat(4_096));
    assert_eq!(profile.spans[0].detail_cut_from, Some(10_002));
    assert_eq!(profile.spans[1].detail, format!("x{}", "é".repeat(4_095)));
    assert_eq!(profile.spans[1].detail_cut_from, Some(10_001));
}

#[test]
fn what_is_formatted_may_make_calls_itself() {
    struct Curious;
    impl Display for Curious {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            ioprofiler::span(&DB, format_args!("asked by {}", "Display")).run(|| {});
            out.write_str("curious")
        }
    }
    let request = begin();
    request.run(|| {
        let mut call = ioprofiler::scope(&TEMPLATE, format_args!("{Curious} begin"));
        call.detail(format_args!("{Curious} end"));
    });
    let profile = request.finish(200, 0);
    assert_eq!(
        details(&profile),
        ["asked by Display", "curious end", "asked by Display"]
    );
    let parents: Vec<_> = profile.spans.iter().map(|span| span.parent).collect();
    assert_eq!(parents, [None, None, Some(1)]);
}

#[test]
fn a_display_that_fails_is_no_reason_to_fail() {
    struct Fails;
    impl Display for Fails {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Err(fmt::Error)
        }
    }
    let request = begin();
    request.run(|| drop(ioprofiler::span(&DB, format_args!("half {Fails} rest"))));
    assert_eq!(details(&request.finish(200, 0)), ["half "]);
}

#[test]
fn late_words_of_long_requests_are_kept_whatever_chunk_they_fall_into() {
    let request = begin();
    let wanted: Vec<String> = (0..1_500)
        .map(|call| format!("{call}: {}", "y".repeat(call % 150)))
        .collect();
    request.run(|| {
        for (place, text) in wanted.iter().enumerate() {
            let mut call = ioprofiler::span(&DB, "?").target(format_args!("t{place}"));
            call.detail(format_args!("{text}")).rows(place as u32);
        }
    });
    let profile = request.finish(200, 0);
    assert_eq!(details(&profile), wanted);
    for (place, span) in profile.spans.iter().enumerate() {
        assert_eq!(span.target, Some(format!("t{place}")));
        assert_eq!(span.counts.rows, Some(place as u32));
    }
}
