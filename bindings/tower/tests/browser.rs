//! The place that the core finds for the panel, judged by a browser's parser (html5ever).

use ioprofiler::inject::position;
use proptest::prelude::*;
use scraper::{Html, Selector};

/// What pages are made of, and what misleads those who search for text.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "<p>",
        "</p>",
        "text ",
        "</body>",
        "</BODY\n>",
        "</body ",
        "</body x='>'>",
        "<!--",
        "-->",
        "--!>",
        "<!-->",
        "<!--->",
        "--",
        "<script>",
        "</script>",
        "<script ",
        "</script ",
        "<style>",
        "</style>",
        "<textarea>",
        "</textarea>",
        "<title>",
        "</title>",
        "<iframe srcdoc='",
        "<iframe>",
        "</iframe>",
        "<noscript>",
        "</noscript>",
        "<xmp>",
        "</xmp>",
        "<a href=\"",
        "\"",
        "'",
        "=",
        ">",
        "<",
        "/",
        "</",
        "<!",
        "<?",
        "-",
        "<br/>",
        "<a b=c'd>",
        "<!doctype html>",
        "<body>",
        "</html>",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Wherever the panel goes, a browser makes an element of it: it is never in a comment, a
    /// script, an attribute or a title.
    #[test]
    fn the_panel_becomes_an_element(pieces in prop::collection::vec(piece(), 0..24)) {
        let page = format!("<body>{}", pieces.concat());
        if let Some(place) = position(page.as_bytes()) {
            let (before, behind) = page.split_at(place);
            let document = Html::parse_document(&format!("{before}<ins id=panel></ins>{behind}"));
            let panel = document.select(&Selector::parse("ins#panel").unwrap()).next();
            prop_assert!(panel.is_some(), "{before}|{behind}");
        }
    }

    /// And it finds the end of every page that is well made.
    #[test]
    fn a_well_made_page_has_a_place(
        parts in prop::collection::vec(prop::sample::select(vec![
            "<p>text</p>", "<!-- </body> -->", "<script>'</body>'</script>", "<a title=\"</body>\">a</a>",
            "<style></body></style>", "<script><!-- <script></script> --></script>", "1 < 2", "<br/>",
            "<svg><path d=''/><style/></svg>", "<textarea></body></textarea>",
        ]), 0..12),
        tail in prop::sample::select(vec!["", "</html>\n", "<!-- </body> -->", "<script>x</script>"]),
    ) {
        let before = format!("<!doctype html><body>{}", parts.concat());
        prop_assert_eq!(position(format!("{before}</body>{tail}").as_bytes()), Some(before.len()));
    }
}
