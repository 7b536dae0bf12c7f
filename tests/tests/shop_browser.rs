//! The shop's listing page in a real browser, as its visitors get it: under a policy that allows no
//! script and no style of anybody's but the shop's own file.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ioprofiler_tests::browser::Browser;
use ioprofiler_tests::panel::{ROWS, VISIBLE};
use ioprofiler_tests::shop::{Shop, Shown};
use serde_json::{Value, json};
use std::path::Path;

const LISTING: &str = "/listing/5773453";

fn strings<'a>(rows: &'a Value, column: usize) -> Vec<&'a str> {
    let cell = |row: &'a Value| row.get(column).and_then(Value::as_str);
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| cell(row).unwrap()).collect()
}

/// What the text form says of each call, but for times: details in alphabetical order, since two of
/// the page's queries run at once.
fn details(shown: &Shown) -> Vec<String> {
    let detail = |text: &str| text.split("  ").next().unwrap_or_default().to_owned();
    let mut details: Vec<String> = shown.calls.iter().map(|call| detail(&call.text)).collect();
    details.sort();
    details
}

#[test]
fn the_listing_page_shows_what_it_did() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let shop = Shop::start(&[], &[]);
    // The first page fills the cache; from then on all are alike.
    assert_eq!(shop.get(LISTING).status, 200);
    let shown = shop.profile(LISTING);
    let policy = "default-src 'none'; style-src 'self'; img-src 'self'";
    let asked = format!("{LISTING}?ioprofiler=1");
    let answer = shop.get(&asked);
    assert_eq!(answer.header("content-security-policy"), Some(policy));

    browser
        .go(&format!("http://{}{asked}", shop.address()))
        .unwrap();
    let rows = browser.run(ROWS).unwrap();
    let categories: Vec<(String, u64)> = strings(&rows["categories"], 0)
        .into_iter()
        .zip(strings(&rows["categories"], 1))
        .map(|(name, calls)| (name.to_owned(), calls.parse().unwrap()))
        .collect();
    assert_eq!(categories, shown.table, "{}", shown.text);
    assert_eq!(
        strings(&rows["totals"], 0),
        ["TOTAL CALLS", "TOTAL PAGE EXEC", "I/O WALL", "OTHER"]
    );
    let mut calls = strings(&rows["calls"], 3);
    calls.sort_unstable();
    assert_eq!(calls, details(&shown), "{}", shown.text);

    // Whoever asked sees it without a click: where no style may run it stands below the page.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panel");
    assert_eq!(browser.run(VISIBLE).unwrap(), json!(true));
    let down = "document.querySelector('ioprofiler-panel').scrollIntoView()";
    browser.run(down).unwrap();
    browser.shoot(&folder, "shop-listing").unwrap();
    assert_eq!(
        browser.console().unwrap(),
        Vec::<String>::new(),
        "the policy forbids nothing that the panel wants"
    );
}
