//! What must hold for any flags and any people.

use crate::make::{flag, snapshot};
use ioprofiler::flags::{
    Document, Enabled, FlagSpec, Share, Shed, Snapshot, Subject, bucket_of, compile, hash,
};
use proptest::prelude::*;

const PEOPLE: u32 = 1_000_000;

fn buckets(flag: &str) -> impl Iterator<Item = u32> {
    let flag = hash(flag);
    (0..PEOPLE).map(move |person| bucket_of(hash(&person.to_string()), flag))
}

/// Chi-squared of a thousand equal parts: with 999 degrees of freedom its mean is 999 and its
/// standard deviation 44.7; six of those either way is one chance in a hundred million.
#[test]
fn a_million_people_are_spread_evenly() {
    for name in ["new_search", "f", "\u{65e5}\u{672c}"] {
        let mut parts = [0_u32; 1_000];
        for bucket in buckets(name) {
            parts[bucket as usize / 100_000] += 1;
        }
        let expected = f64::from(PEOPLE) / 1_000.0;
        let squared = |part: &u32| (f64::from(*part) - expected).powi(2) / expected;
        let chi_squared: f64 = parts.iter().map(squared).sum();
        assert!(
            (730.0..1_270.0).contains(&chi_squared),
            "{name}: {chi_squared}"
        );
    }
}

/// A share of p is met within six standard deviations.
#[test]
fn percentages_are_what_they_say() {
    for percent in [1, 10, 50, 90, 99] {
        let below = Share::percent(percent).to_millionths();
        let on = buckets("percentages")
            .filter(|bucket| *bucket < below)
            .count();
        let share = f64::from(percent) / 100.0;
        let people = f64::from(PEOPLE);
        let deviation = (people * share * (1.0 - share)).sqrt();
        let off_by = (on as f64 - people * share).abs();
        assert!(off_by < 6.0 * deviation, "{percent} %: {on}");
    }
}

/// Who is in one flag's part is neither more nor less likely in another's: the 2 × 2 table of each
/// pair is as chance would have it, also for names that differ in one letter.
#[test]
fn flags_are_independent() {
    let names = [
        "search",
        "search2",
        "Search",
        "sEarch",
        "a",
        "b",
        "c",
        "new_search",
    ];
    let people = 100_000_u32;
    let in_half = |name: &str| -> Vec<bool> {
        let flag = hash(name);
        let half = |person: u32| bucket_of(hash(&format!("user{person}")), flag) < 50_000_000;
        (0..people).map(half).collect()
    };
    let halves: Vec<Vec<bool>> = names.iter().map(|name| in_half(name)).collect();
    for (first, one) in halves.iter().enumerate() {
        for (second, other) in halves.iter().enumerate().skip(first + 1) {
            let both = one.iter().zip(other).filter(|(a, b)| **a && **b).count();
            let deviation = (f64::from(people) * 0.25 * 0.75).sqrt();
            let off_by = (both as f64 - f64::from(people) * 0.25).abs();
            assert!(
                off_by < 6.0 * deviation,
                "{} {}: {both}",
                names[first],
                names[second]
            );
        }
    }
}

fn variant(snapshot: &Snapshot, who: &str) -> &'static str {
    snapshot
        .decide("f", &Subject::visitor(who), false)
        .variant()
}

fn of_shares(shares: &[(&str, u32)], dark: u32) -> Snapshot {
    let mut flag = FlagSpec::new("f");
    let share = |(name, share): &(&str, u32)| {
        let share = Share::millionths(*share).expect("at most all");
        ((*name).to_owned(), share)
    };
    flag.enabled = Enabled::Shares(shares.iter().map(share).collect());
    flag.dark = Share::millionths(dark);
    let mut document = Document::default();
    document.flags.push(flag);
    compile(document)
}

fn millionths() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..=100_000_000_u32,
        Just(0),
        Just(1),
        Just(99_999_999),
        Just(100_000_000)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_leaves_as_a_percentage_grows(a in millionths(), b in millionths(), who in ".{1,30}") {
        let (less, more) = (a.min(b), a.max(b));
        let was = variant(&of_shares(&[("on", less)], 0), &who);
        let is = variant(&of_shares(&[("on", more)], 0), &who);
        prop_assert!(was == "off" || is == "on", "{was} → {is}");
    }

    #[test]
    fn the_last_variant_grows_without_moving_anybody_between_variants(
        blue in 0..50_000_000_u32, a in 0..50_000_000_u32, b in 0..50_000_000_u32, who in ".{1,30}",
    ) {
        let (less, more) = (a.min(b), a.max(b));
        let was = variant(&of_shares(&[("blue", blue), ("green", less)], 0), &who);
        let is = variant(&of_shares(&[("blue", blue), ("green", more)], 0), &who);
        prop_assert!(was == is || (was == "off" && is == "green"), "{was} → {is}");
    }

    #[test]
    fn who_was_dark_is_on_next(on in 0..50_000_000_u32, more in 0..50_000_000_u32, who in ".{1,30}") {
        let dark = 50_000_000;
        let was = variant(&of_shares(&[("on", on)], dark), &who);
        let is = variant(&of_shares(&[("on", on + more)], dark), &who);
        let order = ["off", "dark", "on"];
        let place = |variant| order.iter().position(|name| *name == variant);
        prop_assert!(place(was) <= place(is), "{was} → {is}");
    }

    #[test]
    fn any_document_compiles_and_decides(
        flags in prop::collection::vec(any_flag(), 0..8),
        from in prop::option::of(any::<u8>()),
        who in ".{0,12}",
        group in "[abc]{1}",
    ) {
        let mut document = Document::default();
        document.shed = from.map(Shed::from);
        document.flags = flags;
        let names: Vec<String> = document.flags.iter().map(|flag| flag.name.clone()).collect();
        let snapshot = compile(document);
        let groups = [group.as_str()];
        let subject = Subject::user(&who).in_groups(&groups);
        for name in names.iter().map(String::as_str).chain(["never named"]) {
            let decision = snapshot.decide(name, &subject, false);
            prop_assert_eq!(snapshot.decide(name, &subject, false), decision);
            let explanation = snapshot.explain(name, &subject);
            prop_assert_eq!(explanation.decision(), decision);
            let last = explanation.steps().last();
            prop_assert!(last.is_some_and(|step| step.decided), "{}", explanation);
            prop_assert!(!explanation.to_string().is_empty());
        }
    }
}

fn any_flag() -> impl Strategy<Value = FlagSpec> {
    let word = prop_oneof![
        Just("on"),
        Just("off"),
        Just("dark"),
        Just("blue"),
        Just("green"),
        Just("")
    ];
    let word = word.prop_map(str::to_owned).boxed();
    let share = millionths().prop_map(|share| Share::millionths(share).expect("at most all"));
    let share = share.boxed();
    let enabled = prop_oneof![
        Just(Enabled::Off),
        word.clone().prop_map(Enabled::All),
        prop::collection::vec((word.clone(), share.clone()), 0..4).prop_map(Enabled::Shares),
    ];
    let lists = || prop::collection::vec((".{0,3}", word.clone()), 0..4);
    let name = prop_oneof!["[a-e]{1,2}", ".{0,4}", Just("n".repeat(200))];
    (
        name,
        enabled,
        lists(),
        lists(),
        prop::option::of(share),
        prop::option::of(any::<u8>()),
    )
        .prop_map(|(name, enabled, users, groups, dark, priority)| {
            let mut flag = FlagSpec::new(name);
            flag.enabled = enabled;
            flag.users = users;
            flag.groups = groups;
            flag.dark = dark;
            flag.priority = priority;
            flag
        })
}

#[test]
fn a_list_of_ten_thousand_users_finds_each_of_them_and_nobody_else() {
    let mut make = flag("f");
    for user in 0..10_000 {
        make = make.user(&format!("user{user}"), "on");
    }
    let snapshot = snapshot([make]);
    let is_on = |user: u32| {
        let user = format!("user{user}");
        snapshot.decide("f", &Subject::user(&user), false).is_on()
    };
    assert!((0..10_000).all(is_on));
    assert!(!(10_000..20_000).any(is_on));
}
