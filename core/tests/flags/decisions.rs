//! The order of decision, rule against rule.

use crate::make::{Make, document, flag, shed, snapshot};
use ioprofiler::flags::{BucketBy, Share, Snapshot, State, Subject, compile};

/// `variant, reason` of a flag named `f`.
fn decided(snapshot: &Snapshot, who: &Subject<'_>) -> String {
    let decision = snapshot.decide("f", who, false);
    decision
        .to_string()
        .strip_prefix("f ")
        .expect("its name")
        .to_owned()
}

fn of(make: Make, who: &Subject<'_>) -> String {
    decided(&snapshot([make]), who)
}

const BUYER: Subject<'static> = Subject::NOBODY;

fn ann() -> Subject<'static> {
    Subject::user("ann").in_groups(&["beta", "staff"])
}

#[test]
fn the_kill_switch_beats_everything() {
    let make = flag("f").killed().user("ann", "on").group("staff", "on");
    assert_eq!(of(make.dark(100), &ann()), "off, killed");
}

#[test]
fn shed_beats_lists_and_spares_what_has_a_lower_number_or_none() {
    let make = |priority| flag("f").all("on").user("ann", "on").priority(priority);
    assert_eq!(decided(&shed(7, [make(7)]), &ann()), "off, shed");
    assert_eq!(decided(&shed(7, [make(9)]), &ann()), "off, shed");
    assert_eq!(decided(&shed(7, [make(6)]), &ann()), "on, user");
    assert_eq!(decided(&shed(7, [flag("f").all("on")]), &BUYER), "on, on");
}

#[test]
fn killed_is_said_before_shed() {
    let make = flag("f").killed().priority(9);
    assert_eq!(decided(&shed(1, [make]), &BUYER), "off, killed");
}

#[test]
fn any_shedding_turns_all_dark_work_off() {
    let dark = |make: Make| decided(&shed(9, [make.priority(1)]), &ann());
    assert_eq!(dark(flag("f").dark(100)), "off, shed");
    assert_eq!(dark(flag("f").user("ann", "dark")), "off, shed");
    assert_eq!(dark(flag("f").group("staff", "dark")), "off, shed");
    assert_eq!(dark(flag("f").all("dark")), "off, shed");
    assert_eq!(dark(flag("f").percent(100).dark(50)), "on, percent");
}

#[test]
fn users_beat_groups_and_groups_beat_percentages() {
    let make = || flag("f").percent(100).group("staff", "green");
    assert_eq!(of(make().user("ann", "blue"), &ann()), "blue, user");
    assert_eq!(of(make(), &ann()), "green, group:staff");
    assert_eq!(of(make(), &Subject::user("bob")), "on, percent");
}

#[test]
fn the_first_group_as_written_decides() {
    let make = flag("f").group("staff", "green").group("beta", "blue");
    assert_eq!(of(make, &ann()), "green, group:staff");
    let make = flag("f").group("beta", "blue").group("staff", "green");
    assert_eq!(of(make, &ann()), "blue, group:beta");
}

#[test]
fn lists_can_turn_off_and_dark() {
    let make = || flag("f").all("on");
    assert_eq!(of(make().user("ann", "off"), &ann()), "off, user");
    assert_eq!(of(make().group("beta", "off"), &ann()), "off, group:beta");
    assert_eq!(of(make().user("ann", "dark"), &ann()), "dark, user");
    let decision = snapshot([flag("f").user("ann", "dark")]).decide("f", &ann(), false);
    assert_eq!((decision.state(), decision.is_on()), (State::Dark, false));
}

#[test]
fn where_a_user_stands_twice_the_last_one_holds() {
    let make = flag("f").user("ann", "blue").user("ann", "green");
    assert_eq!(of(make, &ann()), "green, user");
}

#[test]
fn on_is_on_for_nobody_in_particular_too() {
    assert_eq!(of(flag("f").all("on"), &BUYER), "on, on");
    assert_eq!(of(flag("f").all("green"), &BUYER), "green, on");
    assert_eq!(of(flag("f"), &BUYER), "off, off");
}

#[test]
fn no_percent_and_all_percent_need_nobody() {
    assert_eq!(of(flag("f").percent(0), &BUYER), "off, off");
    assert_eq!(of(flag("f").percent(100), &BUYER), "on, percent");
    assert_eq!(of(flag("f").dark(100), &BUYER), "dark, dark");
    assert_eq!(
        of(flag("f").shares(&[("blue", 0), ("green", 100)]), &BUYER),
        "green, percent"
    );
}

#[test]
fn without_a_unit_a_percentage_is_off_and_says_so() {
    assert_eq!(of(flag("f").percent(99), &BUYER), "off, no_unit");
    assert_eq!(of(flag("f").dark(1), &BUYER), "off, no_unit");
    assert_eq!(
        of(flag("f").shares(&[("blue", 50), ("green", 50)]), &BUYER),
        "off, no_unit"
    );
    assert_eq!(
        of(flag("f").percent(99), &Subject::user("")),
        "off, no_unit"
    );
    assert_eq!(
        of(flag("f").percent(99), &Subject::visitor("")),
        "off, no_unit"
    );
}

#[test]
fn what_is_hashed_is_the_visitor_else_the_user_unless_the_flag_says_otherwise() {
    let who = Subject::user("u").with_visitor("v").with_request("r");
    let at = |by: BucketBy, who: &Subject<'_>| {
        let explanation = snapshot([flag("f").percent(50).by(by)]).explain("f", who);
        explanation.bucket()
    };
    let bucket_of = |text: &str| {
        Some(ioprofiler::flags::bucket_of(
            ioprofiler::flags::hash(text),
            ioprofiler::flags::hash("f"),
        ))
    };
    assert_eq!(at(BucketBy::Any, &who), bucket_of("v"));
    assert_eq!(at(BucketBy::Any, &Subject::user("u")), bucket_of("u"));
    assert_eq!(at(BucketBy::Visitor, &who), bucket_of("v"));
    assert_eq!(at(BucketBy::Visitor, &Subject::user("u")), None);
    assert_eq!(at(BucketBy::User, &who), bucket_of("u"));
    assert_eq!(at(BucketBy::User, &Subject::visitor("v")), None);
    assert_eq!(at(BucketBy::Request, &who), bucket_of("r"));
    let country = BucketBy::Attribute("country".to_owned());
    assert_eq!(at(country.clone(), &who), None);
    let german = who.with_attributes(&[("country", "de")]);
    assert_eq!(at(country, &german), bucket_of("de"));
}

#[test]
fn ids_that_look_alike_are_one_only_where_their_text_is() {
    let number = ioprofiler::flags::number;
    assert_eq!([number(1.0), number(1.5), number(-0.0)], ["1", "1.5", "0"]);
    let make = || snapshot([flag("f").user("1", "on")]);
    assert_eq!(decided(&make(), &Subject::user("1")), "on, user");
    assert_eq!(decided(&make(), &Subject::user(&number(1.0))), "on, user");
    for other in ["1.0", "01", " 1", "1 ", "\u{ff11}"] {
        assert_eq!(decided(&make(), &Subject::user(other)), "off, off");
    }
    let accented = || snapshot([flag("f").user("Zo\u{eb}", "on")]);
    assert_eq!(decided(&accented(), &Subject::user("Zo\u{eb}")), "on, user");
    assert_eq!(
        decided(&accented(), &Subject::user("Zoe\u{308}")),
        "off, off",
        "bytes are compared, nothing is normalised"
    );
}

#[test]
fn the_default_answers_what_is_not_found_or_broken_and_nothing_else() {
    let broken = snapshot([flag("f").broken("line 3: no such key")]);
    for default in [false, true] {
        let missing = snapshot([]).decide("f", &BUYER, default);
        assert_eq!(missing.is_on(), default);
        assert_eq!(missing.reason().as_str(), "not_found");
        let broken = broken.decide("f", &BUYER, default);
        assert_eq!(broken.is_on(), default);
        assert_eq!(broken.reason().as_str(), "error");
    }
    for off in [
        snapshot([flag("f").killed()]),
        shed(1, [flag("f").all("on").priority(1)]),
        snapshot([flag("f").percent(50)]),
    ] {
        assert!(!off.decide("f", &BUYER, true).is_on());
    }
}

#[test]
fn dark_is_the_share_that_comes_next() {
    let states = |percent, dark| {
        let snapshot = snapshot([flag("f").percent(percent).dark(dark)]);
        let state = move |user: u32| {
            let user = user.to_string();
            snapshot.decide("f", &Subject::user(&user), false).state()
        };
        (0..2_000).map(state).collect::<Vec<_>>()
    };
    let count = |states: &[State], wanted| states.iter().filter(|s| **s == wanted).count();
    let before = states(10, 50);
    assert!((100..300).contains(&count(&before, State::On)));
    assert!((850..1_150).contains(&count(&before, State::Dark)));
    let after = states(60, 50);
    assert_eq!(count(&after, State::Off), 0, "60 and 50 are all");
    for (before, after) in before.iter().zip(&after) {
        if *before != State::Off {
            assert_eq!(*after, State::On, "who was dark comes next");
        }
    }
}

#[test]
fn a_salt_moves_everybody_and_lets_a_flag_be_renamed() {
    let users: Vec<String> = (0..500).map(|user| format!("user{user}")).collect();
    let on = |make: Make| {
        let name = make.0.name.clone();
        let snapshot = snapshot([make]);
        let on = |user: &&String| snapshot.decide(&name, &Subject::user(user), false).is_on();
        users.iter().filter(on).cloned().collect::<Vec<String>>()
    };
    let plain = on(flag("f").percent(50));
    assert_ne!(plain, on(flag("f").percent(50).salt("again")));
    assert_eq!(plain, on(flag("renamed").percent(50).salt("f")));
}

#[test]
fn shares_past_all_are_cut_and_nonsense_is_borne() {
    let mut make = flag("f").shares(&[("blue", 80), ("green", 80), ("red", 80)]);
    make.0.dark = Some(Share::ALL);
    let snapshot = snapshot([make]);
    for user in 0..500 {
        let user = user.to_string();
        let variant = snapshot.decide("f", &Subject::user(&user), false).variant();
        assert!(["blue", "green"].contains(&variant), "{variant}");
    }
}

#[test]
fn names_that_are_too_long_or_empty_are_left_out_and_said() {
    let long = "x".repeat(200);
    let snapshot = snapshot([flag(""), flag(&long), flag("f").all("on")]);
    assert_eq!(snapshot.problems().len(), 2, "{:?}", snapshot.problems());
    assert!(snapshot.decide("f", &BUYER, false).is_on());
    assert_eq!(
        snapshot.decide(&long, &BUYER, false).reason().as_str(),
        "not_found"
    );
    assert_eq!(
        snapshot.decide("", &BUYER, false).reason().as_str(),
        "not_found"
    );
}

#[test]
fn the_version_is_of_what_decides() {
    let base = || flag("f").percent(10).user("ann", "on");
    let version = |make: Make| snapshot([make]).version();
    let mut told = base();
    told.0.description = Some("new words".to_owned());
    told.0.owner = Some("search-team".to_owned());
    told.0.place = ioprofiler::flags::Place::new(0, 9);
    assert_eq!(version(base()), version(told));
    let others = [
        base().percent(11),
        base().user("bob", "on"),
        base().group("ann", "on"),
        base().dark(1),
        base().priority(3),
        base().salt("f"),
        base().by(BucketBy::User),
        base().id(5, &[]),
        base().data("on", "1"),
        base().killed(),
        base().broken("x"),
    ];
    let mut versions: Vec<u64> = others.into_iter().map(version).collect();
    versions.push(version(base()));
    versions.push(shed(3, [base()]).version());
    versions.push(shed(4, [base()]).version());
    let all = versions.len();
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), all, "each one counts");
    let two = |first, second| snapshot([flag(first), flag(second)]).version();
    assert_eq!(two("f", "g"), two("g", "f"), "flags have no order");
}

#[test]
fn changes_are_of_flags_not_of_lines() {
    let before = snapshot([flag("a").all("on"), flag("b").percent(10), flag("c")]);
    let mut moved = document([flag("a").all("on"), flag("b").percent(20), flag("d")]);
    for flag in &mut moved.flags {
        flag.place = ioprofiler::flags::Place::new(0, 7);
    }
    let after = compile(moved);
    let changes = before.changes(&after);
    let shown: Vec<(&str, bool, bool)> = changes
        .iter()
        .map(|change| (change.flag, change.before.is_some(), change.after.is_some()))
        .collect();
    assert_eq!(
        shown,
        [("b", true, true), ("c", true, false), ("d", false, true)]
    );
    assert!(before.changes(&before).is_empty());
}
