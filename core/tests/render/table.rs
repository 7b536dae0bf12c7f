//! The table against a brute-force oracle: a bitmap of microseconds.

use std::collections::BTreeMap;

use ioprofiler::category::Kind;
use ioprofiler::fingerprint::fingerprint;
use ioprofiler::profile::{ProfileData, SpanData};
use ioprofiler::table::{Row, Table, io_wall_ns, self_times, table, times};
use proptest::prelude::*;

use crate::profiles::{self, Page, any_profile, called_from, inside, leaf, scope};

const MICROSECONDS: usize = 256;

/// In which microseconds a call goes on.
fn bitmap(span: &SpanData) -> [bool; MICROSECONDS] {
    let start = span.start_ns / 1_000;
    let end = (span.start_ns + span.duration_ns) / 1_000;
    std::array::from_fn(|us| (start..end).contains(&(us as u64)))
}

fn oracle_self_ns(data: &ProfileData, index: usize) -> u64 {
    let own = bitmap(&data.spans[index]);
    let children: Vec<_> = data
        .spans
        .iter()
        .filter(|span| span.parent == Some(index as u32))
        .map(bitmap)
        .collect();
    let alone = |us: &usize| own[*us] && !children.iter().any(|child| child[*us]);
    (0..MICROSECONDS).filter(alone).count() as u64 * 1_000
}

fn oracle_wall_ns(data: &ProfileData) -> u64 {
    let leaves: Vec<_> = data
        .spans
        .iter()
        .filter(|span| span.kind == Kind::Leaf)
        .map(bitmap)
        .collect();
    let page_us = (data.page_ns / 1_000) as usize;
    let busy = |us: &usize| *us < page_us && leaves.iter().any(|leaf| leaf[*us]);
    (0..MICROSECONDS).filter(busy).count() as u64 * 1_000
}

fn row<'a>(table: &'a Table, category: &str) -> &'a Row {
    table
        .rows
        .iter()
        .find(|row| row.category == category)
        .expect("a row")
}

/// The profile with only some of its calls listed; the children of others go to their parents'.
fn with_listed(data: &ProfileData, listed: &[bool]) -> ProfileData {
    let kept = |index: usize| listed.get(index).copied().unwrap_or(true);
    let mut new_index: Vec<Option<u32>> = Vec::new();
    let mut partial = data.clone();
    partial.spans.clear();
    for (index, span) in data.spans.iter().enumerate() {
        let mut parent = span.parent;
        while let Some(unlisted) = parent.filter(|parent| new_index[*parent as usize].is_none()) {
            parent = data.spans[unlisted as usize].parent;
        }
        let mut span = span.clone();
        span.parent = parent.and_then(|parent| new_index[parent as usize]);
        new_index.push(kept(index).then_some(partial.spans.len() as u32));
        if kept(index) {
            partial.spans.push(span);
        }
    }
    partial.unlisted = (data.spans.len() - partial.spans.len()) as u64;
    partial
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn self_times_and_wall_agree_with_the_oracle(data in any_profile()) {
        let found = self_times(&data);
        for (index, span) in data.spans.iter().enumerate() {
            prop_assert_eq!(found[index], oracle_self_ns(&data, index), "span {}: {:?}", index, span);
        }
        prop_assert_eq!(io_wall_ns(&data), oracle_wall_ns(&data));

        let table = table(&data);
        prop_assert_eq!(table.other_ns, data.page_ns - table.io_wall_ns);
        prop_assert_eq!(table.total_calls, data.spans.len() as u64);
        prop_assert_eq!(table.total_calls_self_ns, found.iter().sum::<u64>());
        prop_assert_eq!(table.parallel.is_some(), found.iter().sum::<u64>() > data.page_ns && data.page_ns > 0);
        for row in &table.rows {
            let of_row = |(span, _): &(&SpanData, &u64)| span.category == row.category;
            let own: u64 = data.spans.iter().zip(&found).filter(of_row).map(|(_, own)| own).sum();
            prop_assert_eq!(row.self_ns, own);
            prop_assert!(row.self_ns <= row.time_ns);
            prop_assert!(!row.self_at_least);
        }
    }

    #[test]
    fn order_of_the_list_does_not_matter(data in any_profile()) {
        let count = data.spans.len() as u32;
        let mut reversed = data.clone();
        reversed.spans.reverse();
        for span in &mut reversed.spans {
            span.parent = span.parent.map(|parent| count - 1 - parent);
        }
        let mut own = self_times(&reversed);
        own.reverse();
        prop_assert_eq!(own, self_times(&data));
        prop_assert_eq!(io_wall_ns(&reversed), io_wall_ns(&data));
    }

    #[test]
    fn repeated_calls_agree_with_the_oracle(data in any_profile()) {
        let mut groups: BTreeMap<_, (u64, u64, u32)> = BTreeMap::new();
        let leaves = (0_u32..).zip(&data.spans).filter(|(_, span)| span.kind == Kind::Leaf);
        for (index, span) in leaves {
            let text = fingerprint(span.dialect, &span.detail, false);
            let group = groups.entry((span.category, text, span.caller)).or_insert((0, 0, index));
            group.0 += 1;
            group.1 += span.duration_ns;
        }
        groups.retain(|_, group| group.0 >= 5);
        let found = table(&data).repeated;
        prop_assert!(found.is_sorted_by_key(|group| std::cmp::Reverse(group.total_ns)));
        let found: BTreeMap<_, _> = found
            .into_iter()
            .map(|group| {
                let key = (group.category, group.fingerprint, group.caller);
                (key, (group.count, group.total_ns, group.example))
            })
            .collect();
        prop_assert_eq!(found, groups);
    }

    #[test]
    fn bounds_of_a_partial_list_hold(data in any_profile(), listed in prop::collection::vec(any::<bool>(), 40)) {
        let whole = table(&data);
        let partial = table(&with_listed(&data, &listed));
        prop_assert!(partial.io_wall_ns <= whole.io_wall_ns);
        prop_assert!(partial.other_ns >= whole.other_ns);
        prop_assert!(partial.total_calls_self_ns <= whole.total_calls_self_ns);
        prop_assert_eq!(partial.total_calls, whole.total_calls);
        for (part, row) in partial.rows.iter().zip(&whole.rows) {
            prop_assert_eq!(part.time_ns, row.time_ns);
            if part.self_at_least {
                prop_assert!(part.self_ns <= row.self_ns, "{:?} {:?}", part, row);
            } else {
                prop_assert_eq!(part.self_ns, row.self_ns);
            }
        }
    }
}

#[test]
fn a_scope_is_not_charged_for_what_its_unlisted_children_did() {
    let table = table(&profiles::limits());
    assert!(table.partial && table.total_at_least);
    let export = row(&table, "function");
    // 8 s, of which 19 listed calls took 17.1 ms and 5,000 unlisted ones 4.5 s.
    assert_eq!(export.self_ns, 8_000_000_000 - 17_100_000 - 4_500_000_000);
    assert!(export.self_at_least);
    let database = row(&table, "dbshard01");
    assert_eq!((database.calls, database.self_ns), (5_019, 4_517_100_000));
    assert!(!database.self_at_least);
    assert_eq!(table.io_wall_ns, 17_100_000);
}

#[test]
fn parallel_calls_exceed_the_page() {
    let table = table(&profiles::parallel());
    assert_eq!(table.io_wall_ns, 9_500_000);
    assert_eq!(table.other_ns, 2_500_000);
    let factor = table.parallel.expect("more than the page");
    assert!((factor - 28.0 / 12.0).abs() < 1e-9, "{factor}");
}

#[test]
fn repeats_need_five_of_one_caller() {
    let data = profiles::repeated();
    let found: Vec<_> = table(&data)
        .repeated
        .iter()
        .map(|group| {
            (
                group.category,
                group.fingerprint.clone(),
                group.count,
                group.total_ns,
            )
        })
        .collect();
    let expected = [
        (
            "dbshard02",
            "SELECT * FROM listings WHERE id = ?".to_owned(),
            24,
            36_000_000,
        ),
        ("memcache_get", "listing:?:image".to_owned(), 24, 7_200_000),
    ];
    assert_eq!(found, expected);
    assert!(times(&data).repeated.is_empty());
}

#[test]
fn cut_details_repeat_apart_from_whole_ones() {
    let mut page = Page::new("/", 1_000);
    for nth in 0..10 {
        let mut span = leaf("dbshard01", "SELECT a, b", nth, 1);
        span.detail_cut_from = (nth >= 5).then_some(9_000);
        page.add(called_from(span, "a.rs", 1));
    }
    let table = table(&page.done());
    let counts: Vec<u64> = table.repeated.iter().map(|group| group.count).collect();
    assert_eq!(counts, [5, 5], "{:?}", table.repeated);
}

#[test]
fn figures_out_of_all_proportion_do_not_overflow() {
    let mut page = Page::new("/", u64::MAX / 1_000);
    page.0.page_ns = u64::MAX;
    for start in [0, u64::MAX - 5, u64::MAX] {
        let around = page.add(scope("template", "", 0, 0));
        page.0.spans[around as usize].start_ns = start;
        page.0.spans[around as usize].duration_ns = u64::MAX;
        let call = page.add(inside(leaf("dbshard01", "", 0, 0), around));
        page.0.spans[call as usize].start_ns = start;
        page.0.spans[call as usize].duration_ns = u64::MAX;
    }
    // Parents that do not exist, or come later, are no parents.
    page.0.spans[1].parent = Some(77);
    page.0.spans[0].parent = Some(5);
    let spans = std::mem::take(&mut page.0.spans);
    let mut data = page.done();
    data.spans = spans;
    for category in ["template", "dbshard01"] {
        let mut total = ioprofiler::profile::CategoryTotal::default();
        total.category = category;
        total.time_ns = u64::MAX;
        total.calls = u64::MAX;
        data.totals.push(total);
    }
    data.unlisted = u64::MAX;
    let table = table(&data);
    assert_eq!(table.io_wall_ns, u64::MAX);
    assert_eq!(table.other_ns, 0);
    assert_eq!(table.total_calls, u64::MAX);
}
