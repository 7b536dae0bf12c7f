//! Decisions made ahead, and what of them was read.

use crate::make::{flag, snapshot};
use ioprofiler::flags::{BucketBy, Decision, FlagId};
use ioprofiler::handle::RequestHandle;
use ioprofiler::{Facts, Profiler};

fn begin(profiler: &Profiler) -> RequestHandle {
    RequestHandle::new(profiler.begin(&Facts::web("GET", "/")))
}

fn profiler() -> Profiler {
    let profiler = Profiler::builder().build().expect("a profiler");
    profiler.set_flags(snapshot([
        flag("ahead_all").all("green"),
        flag("ahead_user").all("off").user("ann", "blue"),
        flag("ahead_half").percent(50),
        flag("ahead_dark").dark(100),
        flag("ahead_broken").broken("as told"),
        flag("ahead_drawn").percent(100).by(BucketBy::Request),
    ]));
    profiler
}

const NAMES: [&str; 7] = [
    "ahead_all",
    "ahead_user",
    "ahead_half",
    "ahead_dark",
    "ahead_broken",
    "ahead_nowhere",
    "ahead_drawn",
];

fn look(request: RequestHandle) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let flags = NAMES.iter().map(|name| FlagId::intern(name));
    assert!(request.decide_ahead(flags, |decision| decisions.push(decision)));
    decisions
}

fn exposures(request: RequestHandle) -> Vec<(String, &'static str, u32)> {
    let profile = request.request().finish(200, 0);
    let flags = profile.flags.as_ref().expect("flags");
    let exposures = flags.exposures.iter();
    exposures
        .map(|one| (one.flag.to_string(), one.variant, one.count))
        .collect()
}

#[test]
fn they_are_what_would_be_decided_and_no_exposure() {
    let profiler = profiler();
    for user in [None, Some("ann"), Some("bob"), Some("5020244")] {
        let (ahead, asked) = (begin(&profiler), begin(&profiler));
        if let Some(user) = user {
            ahead.request().set_user(user);
            asked.request().set_user(user);
        }
        for (decision, name) in look(ahead).into_iter().zip(NAMES) {
            assert_eq!(
                decision,
                asked.decide(FlagId::intern(name), false),
                "{name}"
            );
            assert_eq!(Decision::from_bits(decision.to_bits()), decision);
        }
        assert!(exposures(ahead).is_empty());
        drop(asked.request().finish(200, 0));
    }
}

#[test]
fn what_was_read_is_an_exposure_as_often() {
    let request = begin(&profiler());
    request.request().set_user("ann");
    let decisions = look(request);
    request.expose(decisions[1], 3);
    request.expose(decisions[0], 1);
    request.expose(decisions[1], 2);
    request.expose(decisions[3], 0);
    assert!(request.decide(FlagId::intern("ahead_all"), false).is_on());
    let wanted = [("ahead_user", "blue", 5), ("ahead_all", "green", 2)];
    assert_eq!(
        exposures(request),
        wanted.map(|(flag, variant, count)| (flag.to_owned(), variant, count))
    );
}

#[test]
fn what_was_exposed_stays_and_the_rest_follows_who_it_is() {
    let request = begin(&profiler());
    let before = look(request);
    assert_eq!(before[2].reason().as_str(), "no_unit");
    assert_eq!(before[6].reason().as_str(), "percent");
    request.expose(before[2], 2);
    request.expose(before[0], 1);
    request.request().set_user("ann");
    let after = look(request);
    assert_eq!(after[0], before[0]);
    assert_eq!(after[1].variant(), "blue");
    assert_ne!(
        after[2].reason().as_str(),
        "no_unit",
        "it only lacked a unit"
    );
    request.expose(after[2], 1);
    let counts: Vec<u32> = exposures(request).iter().map(|one| one.2).collect();
    assert_eq!(counts, [2, 1, 1]);
}

#[test]
fn stale_and_foreign_numbers_do_nothing() {
    let profiler = profiler();
    let stale = begin(&profiler);
    let decision = look(stale)[0];
    drop(stale.request().finish(200, 0));
    let next = begin(&profiler);
    for handle in [
        stale,
        RequestHandle::NONE,
        RequestHandle::from_bits(u64::MAX),
    ] {
        handle.expose(decision, 1);
        assert!(!handle.decide_ahead([FlagId::default()].into_iter(), |_| panic!("decided")));
    }
    next.expose(Decision::from_bits(u64::MAX), 1);
    next.expose(Decision::from_bits(0), 1);
    assert!(next.request().snapshot().data().flags.is_some());
    drop(next.request().finish(200, 0));
}
