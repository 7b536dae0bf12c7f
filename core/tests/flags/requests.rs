//! Flags of requests: decided once, by the snapshot that the request began with.

use crate::make::{flag, shed, snapshot};
use ioprofiler::flags::{BucketBy, FlagId, Subject};
use ioprofiler::profile::ProfileData;
use ioprofiler::{Facts, Flag, Profiler, Request};

fn with(flags: impl IntoIterator<Item = crate::make::Make>) -> Profiler {
    let profiler = Profiler::builder().build().expect("a profiler");
    profiler.set_flags(snapshot(flags));
    profiler
}

fn begin(profiler: &Profiler) -> Request {
    profiler.begin(&Facts::web("GET", "/"))
}

/// `flag variant, reason, count`, a line each.
fn exposures(profile: &ProfileData) -> Vec<String> {
    let flags = profile.flags.as_ref().expect("flags");
    let line = |exposure: &ioprofiler::flags::Exposure| {
        let mut line = format!(
            "{} {}, {}, {}",
            exposure.flag,
            exposure.variant,
            exposure.reason_text(),
            exposure.count
        );
        for (mark, is) in [(" past", exposure.past), (" other", exposure.other)] {
            if is {
                line.push_str(mark);
            }
        }
        line
    };
    flags.exposures.iter().map(line).collect()
}

#[test]
fn by_handle_by_number_and_by_name_is_the_same() {
    static CART: Flag = Flag::new("requests_cart");
    let profiler = with([flag("requests_cart").all("green")]);
    let request = begin(&profiler);
    let id = FlagId::intern("requests_cart");
    assert_eq!(FlagId::from_number(id.number()), id);
    assert_eq!((id.name(), CART.name()), ("requests_cart", "requests_cart"));
    assert!(request.flag(&CART) && request.flag(id) && request.flag("requests_cart"));
    assert!(request.flag(&"requests_cart".to_owned()));
    assert_eq!(request.variant(&CART), "green");
    assert!(!request.flag(FlagId::from_number(u32::MAX)));
    assert!(!request.flag(FlagId::default()));
    let profile = request.finish(200, 0);
    assert_eq!(
        exposures(&profile),
        ["requests_cart green, on, 5", " off, not_found, 1"][..1],
        "what has no name is no exposure"
    );
}

#[test]
fn exposures_stand_in_the_order_of_first_questions_and_count() {
    let profiler = with([
        flag("c").all("on"),
        flag("b").percent(50),
        flag("a").killed(),
        flag("unasked").all("on"),
    ]);
    let request = begin(&profiler);
    request.set_visitor("v");
    for name in ["c", "a", "c", "b", "missing", "c"] {
        let _ = request.flag(name);
    }
    let shown = exposures(&request.finish(200, 0));
    assert_eq!(shown[0], "c on, on, 3");
    assert_eq!(shown[1], "a off, killed, 1");
    assert!(shown[2].starts_with("b "), "{shown:?}");
    assert_eq!(shown[3], "missing off, not_found, 1");
    assert_eq!(shown.len(), 4);
}

#[test]
fn a_slots_next_request_knows_nothing_of_the_last_one() {
    let profiler = with((0..700).map(|n| flag(&format!("next{n}")).all("on")));
    for asked in [700, 3, 0, 40] {
        let request = begin(&profiler);
        for n in 0..asked {
            assert!(request.flag(&format!("next{n}")));
        }
        assert_eq!(exposures(&request.finish(200, 0)).len(), asked);
    }
}

#[test]
fn logged_numbers_are_the_files_and_else_one_and_zero() {
    let profiler = with([
        flag("colours")
            .all("green")
            .id(51, &[("blue", 1), ("green", 2)]),
        flag("plain").all("on").id(12, &[]),
        flag("off").id(13, &[]),
        flag("dark").dark(100).id(14, &[("dark", 9)]),
        flag("unnumbered").all("pink"),
        flag("on_is_7").all("on").id(15, &[("on", 7)]),
    ]);
    let request = begin(&profiler);
    for name in ["colours", "plain", "off", "dark", "unnumbered", "on_is_7"] {
        let _ = request.decide(name, false);
    }
    let profile = request.finish(200, 0);
    let numbers: Vec<_> = profile
        .flags
        .as_ref()
        .expect("flags")
        .exposures
        .iter()
        .map(|exposure| (exposure.id, exposure.number))
        .collect();
    assert_eq!(
        numbers,
        [
            (Some(51), Some(2)),
            (Some(12), Some(1)),
            (Some(13), Some(0)),
            (Some(14), None),
            (None, None),
            (Some(15), Some(7)),
        ]
    );
}

#[test]
fn a_request_decides_by_the_flags_it_began_with() {
    let profiler = with([flag("pinned").all("on"), flag("later").all("on")]);
    let old = begin(&profiler);
    assert!(old.flag("pinned"));
    let before = profiler.set_flags(snapshot([flag("pinned").killed()]));
    assert_eq!(before.document().flags.len(), 2);
    assert!(old.flag("pinned") && old.flag("later"), "not asked before");
    let new = begin(&profiler);
    assert_eq!(new.decide("pinned", true).reason().as_str(), "killed");
    assert_eq!(new.decide("later", true).reason().as_str(), "not_found");
    let (old, new) = (old.finish(200, 0), new.finish(200, 0));
    let version = |profile: &ProfileData| profile.flags.as_ref().map(|flags| flags.version.clone());
    assert_ne!(version(&old), version(&new));
    assert_eq!(version(&old), Some(before.version_text()));
}

#[test]
fn what_another_profiler_publishes_changes_nothing() {
    let ours = with([flag("apart").all("on")]);
    let request = begin(&ours);
    assert!(request.flag("apart"));
    let theirs = with([flag("apart").killed()]);
    assert!(request.flag("apart") && !begin(&theirs).flag("apart"));
    ours.set_flags(snapshot([flag("apart").killed()]));
    assert!(request.flag("apart"), "it began before");
    theirs.set_flags(snapshot([]));
    assert!(request.flag("apart") && !begin(&ours).flag("apart"));
    request.refresh_flags();
    assert!(!request.flag("apart"));
    assert_eq!(
        exposures(&request.finish(200, 0)),
        ["apart on, on, 4 past", "apart off, killed, 1"]
    );
}

#[test]
fn however_many_flags_a_request_reads_each_counts_exactly() {
    let names: Vec<String> = (0..300).map(|number| format!("many{number}")).collect();
    let profiler = with(names.iter().map(|name| flag(name).all("on")));
    let request = begin(&profiler);
    let other = with([flag("apart").all("on")]);
    for round in 0..4 {
        assert!(names.iter().all(|name| request.flag(name)), "{round}");
        // Sends the next reads the long way.
        other.set_flags(snapshot([]));
        request.run(|| assert!(names.iter().all(ioprofiler::flag), "{round}"));
    }
    let expected: Vec<String> = names
        .iter()
        .map(|name| format!("{name} on, on, 8"))
        .collect();
    assert_eq!(exposures(&request.finish(200, 0)), expected);
}

#[test]
fn refresh_takes_the_newest() {
    let profiler = with([flag("refreshed").all("on"), flag("same").all("on")]);
    let request = begin(&profiler);
    assert!(request.flag("refreshed") && request.flag("same"));
    request.refresh_flags();
    assert!(request.flag("refreshed"), "nothing newer");
    profiler.set_flags(snapshot([
        flag("refreshed").killed(),
        flag("same").all("on"),
    ]));
    request.refresh_flags();
    assert!(!request.flag("refreshed") && request.flag("same"));
    assert_eq!(
        exposures(&request.finish(200, 0)),
        [
            "refreshed on, on, 2 past",
            "same on, on, 2",
            "refreshed off, killed, 1"
        ]
    );
}

#[test]
fn a_storm_of_changes_takes_requests_in_flight_along() {
    let profiler = with([flag("storm").all("first")]);
    let request = begin(&profiler);
    for change in 0..40 {
        profiler.set_flags(snapshot([flag("storm").all(&format!("change{change}"))]));
    }
    assert_eq!(request.variant("storm"), "change39", "its own is gone");
}

#[test]
fn flags_set_after_a_request_began_reach_it_if_there_were_none() {
    let profiler = Profiler::builder().build().expect("a profiler");
    let request = begin(&profiler);
    assert_eq!(request.decide("late", true).reason().as_str(), "not_found");
    assert!(request.snapshot().flags.is_none(), "no flags, no section");
    profiler.set_flags(snapshot([flag("late").all("on"), flag("later").all("on")]));
    assert!(request.flag("later"));
    assert!(begin(&profiler).flag("late"));
}

#[test]
fn decided_once_but_for_what_only_lacked_a_unit() {
    let profiler = with([
        flag("half").percent(99),
        flag("listed").percent(0).user("ann", "on"),
    ]);
    let request = begin(&profiler);
    assert_eq!(
        request.decide("half", true).to_string(),
        "half off, no_unit"
    );
    assert_eq!(
        request.decide("half", true).to_string(),
        "half off, no_unit"
    );
    assert!(!request.flag("listed"));
    let in_99 = (0..).map(|n| format!("v{n}")).find(|visitor| {
        let snapshot = profiler.flags().snapshot();
        let decision = snapshot.decide("half", &Subject::visitor(visitor), false);
        decision.is_on()
    });
    request.set_visitor(&in_99.expect("one of many"));
    request.set_user("ann");
    assert!(request.flag("half"), "the visitor is known now");
    assert!(!request.flag("listed"), "decided before");
    request.set_visitor("somebody else");
    assert!(request.flag("half"), "decided before");
    assert_eq!(
        exposures(&request.finish(200, 0)),
        [
            "half off, no_unit, 2 past",
            "listed off, off, 2",
            "half on, percent, 2"
        ]
    );
}

#[test]
fn about_others_nothing_of_the_request_counts_and_each_is_decided_once() {
    let profiler = with([flag("seller").user("ann", "on").group("staff", "on")]);
    let request = begin(&profiler);
    request.set_user("ann");
    request.add_group("staff");
    assert!(request.flag("seller"));
    assert!(!request.flag_for("seller", "bob"));
    assert!(!request.flag_for("seller", "bob"));
    assert!(request.flag_for("seller", "ann"));
    let staff = Subject::user("bob").in_groups(&["staff"]);
    assert!(request.flag_for("seller", staff));
    let decision = request.decide_for("missing", &staff, true);
    assert!(decision.is_on());
    let shown = exposures(&request.finish(200, 0));
    assert_eq!(
        shown,
        [
            "seller on, user, 1",
            "seller off, off, 2 other",
            "seller on, user, 1 other",
            "seller on, group:staff, 1 other",
            "missing off, not_found, 1 other"
        ]
    );
}

#[test]
fn questions_about_very_many_others_are_answered_and_counted() {
    let profiler = with([flag("many").percent(50)]);
    let request = begin(&profiler);
    let snapshot = profiler.flags().snapshot();
    for user in 0..500 {
        let user = user.to_string();
        let subject = Subject::user(&user);
        let expected = snapshot.decide("many", &subject, false);
        assert_eq!(request.decide_for("many", &subject, false), expected);
    }
    assert_eq!(exposures(&request.finish(200, 0)).len(), 64);
    assert_eq!(profiler.stats().exposures_unlisted, 500 - 64);
}

#[test]
fn by_request_is_drawn_anew_for_each_and_stays_within_it() {
    let profiler = with([flag("random").percent(50).by(BucketBy::Request)]);
    let on = (0..400).filter(|_| {
        let request = begin(&profiler);
        request.set_visitor("always the same");
        let first = request.flag("random");
        assert_eq!(request.flag("random"), first);
        drop(request.finish(200, 0));
        first
    });
    let on = on.count();
    assert!((100..300).contains(&on), "{on}");
    let by_id = |id| {
        profiler
            .begin(&Facts::web("GET", "/").id(id))
            .flag("random")
    };
    for id in ["a", "b", "c"] {
        assert_eq!(by_id(id), by_id(id), "an id from the log tells what it saw");
    }
}

#[test]
fn data_is_the_variants() {
    let profiler = with([flag("banner")
        .all("blue")
        .data("blue", r##"{"colour":"#00f"}"##)
        .data("green", "[1]")]);
    let request = begin(&profiler);
    let data = request.flag_data("banner").expect("data");
    assert_eq!(&*data, r##"{"colour":"#00f"}"##);
    assert!(request.flag_data("missing").is_none());
    assert_eq!(
        request.flag_data_for("banner", &Subject::NOBODY),
        Some(data.clone())
    );
    let decision = profiler.flags().decide("banner", &Subject::NOBODY, false);
    assert_eq!(profiler.flags().data(decision).as_deref(), Some(&*data));
    drop(request.finish(200, 0));
}

#[test]
fn the_gates_flag_knows_no_override_and_leaves_no_trace() {
    let profiler = with([flag("gate").group("staff", "on"), flag("f")]);
    let request = profiler.begin(&Facts::web("GET", "/").flag_overrides("gate,f"));
    assert!(request.flag("f"), "overridden");
    assert!(!request.gate_flag("gate"));
    request.add_group("staff");
    assert!(request.gate_flag("gate"), "the handler has set the group");
    assert!(!Request::none().gate_flag("gate"));
    assert_eq!(exposures(&request.finish(200, 0)), ["f on, override, 1"]);
}

#[test]
fn nothing_is_lost_when_threads_ask_at_once() {
    let profiler = with((0..40).map(|n| flag(&format!("thread{n}")).percent(50)));
    for _ in 0..50 {
        let request = begin(&profiler);
        request.set_visitor("v");
        let decided: Vec<Vec<String>> = std::thread::scope(|scope| {
            let ask = || {
                (0..40)
                    .map(|n| request.decide(&format!("thread{n}"), false).to_string())
                    .collect()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Vec<String>>| thread.join();
            threads
                .into_iter()
                .map(|t| join(t).expect("no panic"))
                .collect()
        });
        assert!(decided.windows(2).all(|pair| pair[0] == pair[1]));
        assert_eq!(exposures(&request.finish(200, 0)).len(), 40);
    }
}

#[test]
fn flags_may_change_while_requests_ask() {
    let profiler = with([flag("changing").all("on")]);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            for _ in 0..2_000 {
                // Where more changes come than are kept, the second answer may be a newer one.
                let request = begin(&profiler);
                for _ in 0..2 {
                    let reason = request.decide("changing", false).reason();
                    assert!(
                        ["on", "killed", "shed"].contains(&reason.as_str()),
                        "{reason:?}"
                    );
                }
                let profile = request.finish(200, 0);
                let exposures = &profile.flags.as_ref().expect("flags").exposures;
                let asked: u32 = exposures.iter().map(|exposure| exposure.count).sum();
                assert_eq!(asked, 2, "{exposures:?}");
            }
        });
        while !asking.is_finished() {
            profiler.set_flags(snapshot([flag("changing").killed()]));
            profiler.set_flags(shed(1, [flag("changing").all("on").priority(1)]));
        }
    });
}

#[test]
fn the_header_says_which_flags_and_how_old() {
    let profiler = with([flag("shown").all("on")]);
    profiler.flags().looked();
    assert!(profiler.flags().looked_at() >= profiler.flags().changed_at());
    let request = begin(&profiler);
    assert!(request.flag("shown"));
    let profile = request.finish(200, 0);
    let text = profile.text();
    let version = profiler.flags().snapshot().version_text();
    let header = text.lines().next().expect("a header");
    let flags = format!(" flags {} (", &version[..4]);
    assert!(
        header.contains(&flags) && header.ends_with(" s old)"),
        "{header}"
    );
    assert!(text.contains("\nflag shown on, on\n"), "{text}");
    assert!(profile.html().contains("data-flag=\"shown\""));
    assert!(profile.json().contains("\"flag\":\"shown\""));
}
