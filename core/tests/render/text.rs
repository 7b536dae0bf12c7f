//! Text and ticket: golden files, the original's lines, and that no detail can forge a line.

use ioprofiler::profile::ProfileData;
use ioprofiler::render::shown::is_unsafe_to_show;
use ioprofiler::render::{text, ticket};
use proptest::prelude::*;

use crate::assert_golden;
use crate::profiles::{self, Page, called_from, inside, leaf, scope};

#[test]
fn golden_files() {
    for (name, data) in profiles::all() {
        assert_golden(&format!("{name}.txt"), &text(&data));
        assert_golden(&format!("{name}.ticket.txt"), &ticket(&data));
    }
}

/// What the slide shows must begin a line of ours, and what we add follows after two spaces.
#[test]
fn lines_of_the_original_come_out_exactly() {
    let text = text(&profiles::slide());
    for original in [
        "[dbshard01] 0.902 ms SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453",
        "[memcache] 0.361 ms Cache HIT, keys: Etsy_Cache_Results:c812331f123321:1121231",
        "Category               Calls   Time (ms)",
        "function                   2      11.528",
        "apc                       17       0.299",
        "memcache_get             106      40.327",
        "om_etsy_shard_002_B        1       1.066",
        "TOTAL CALLS              166     123.001",
        "TOTAL PAGE EXEC                  236.312",
    ] {
        let found = text.lines().any(|line| {
            line.strip_prefix(original)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("  "))
        });
        assert!(found, "{original:?} is not in\n{text}");
    }
    let call = text
        .lines()
        .find(|line| line.starts_with("[dbshard01]"))
        .expect("a line");
    assert!(
        call.ends_with("= 5773453  (1 row) @100.310 shop/views.py:41"),
        "{call}"
    );
}

#[test]
fn the_header_names_the_request() {
    let text = text(&profiles::slide());
    assert_eq!(
        text.lines().next(),
        Some(
            "# GET /listing/5773453 200 2026-11-23T03:12:07.120Z web0022 pid 4711 build 8c1f request 4bf92f35"
        ),
    );
}

#[test]
fn very_deep_calls_stop_moving_to_the_right() {
    let mut page = Page::new("/", 10_000);
    let mut parent = page.add(scope("function", "f", 0, 5_000));
    for _ in 0..1_999 {
        parent = page.add(inside(scope("function", "f", 0, 5_000), parent));
    }
    let text = text(&page.done());
    let deepest = text
        .lines()
        .filter(|line| line.contains("[function]"))
        .map(|line| line.len() - line.trim_start().len());
    assert_eq!(deepest.max(), Some(128));
}

#[test]
fn many_groups_of_repeated_calls_are_cut() {
    let mut page = Page::new("/", 100_000);
    for line in 1..=30 {
        for nth in 0..5 {
            page.add(called_from(
                leaf("apc", "a:b", u64::from(line) * 10 + nth, 1),
                "a.rs",
                line,
            ));
        }
    }
    let text = text(&page.done());
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("repeated "))
            .count(),
        20
    );
    assert!(
        text.contains("\nand 10 more groups of repeated calls\n"),
        "{text}"
    );
}

/// A profile whose every text is hostile.
fn profile_of(texts: &[String]) -> ProfileData {
    let mut page = Page::new(&texts[0], 1_000);
    page.0.facts.query = Some(texts[1].clone());
    page.0.facts.method.clone_from(&texts[2]);
    page.0.id.clone_from(&texts[3]);
    page.0.host.clone_from(&texts[4]);
    page.0.facts.error = Some(texts[5].clone());
    for (nth, detail) in texts.iter().enumerate() {
        let mut span = leaf("dbshard01", detail, nth as u64, 1);
        span.target = (nth % 2 == 0).then(|| detail.clone());
        page.add(span);
    }
    page.done()
}

/// Any text, rich in what does harm.
pub(crate) fn any_text() -> impl Strategy<Value = String> {
    let harm = prop::sample::select(vec![
        "\n",
        "\r\n",
        "\t",
        " ",
        "\0",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{85}",
        "\u{202e}",
        "\u{2028}",
        "\u{2029}",
        "\u{feff}",
        "</script>",
        "<!--",
        "\\",
        "\"",
        "'",
        "&",
        "é",
        "🦀",
        "SELECT 1",
    ]);
    let piece = prop_oneof![harm.prop_map(str::to_owned), any::<String>()];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_forges_a_line(texts in prop::collection::vec(any_text(), 6..10)) {
        let data = profile_of(&texts);
        let plain = profile_of(&vec!["x".to_owned(); texts.len()]);
        for render in [text as fn(&ProfileData) -> String, ticket] {
            let lines = |data| -> Vec<String> {
                let all = render(data);
                let is_line = |line: &&str| !line.starts_with("repeated ");
                all.lines().filter(is_line).map(str::to_owned).collect()
            };
            let shown = lines(&data);
            prop_assert_eq!(shown.len(), lines(&plain).len());
            for line in shown {
                prop_assert!(!line.contains(is_unsafe_to_show), "{:?}", line);
            }
        }
    }
}
