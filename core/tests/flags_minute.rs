//! A request keeps the flags that it began with for a minute. The clock is the process's own, so
//! this is a test by itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests"
)]

use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, Shed, Snapshot, compile};
use ioprofiler::{Clock, Facts, Profiler};
use std::time::Duration;

fn flags(shed: Option<u8>, flags: &[(&str, Enabled)]) -> Snapshot {
    let mut document = Document::default();
    document.shed = shed.map(Shed::from);
    for (name, enabled) in flags {
        let mut flag = FlagSpec::new(*name);
        flag.enabled = enabled.clone();
        if *name == "low" {
            flag.priority = Some(8);
        }
        if *name == "dark" {
            flag.dark = Some(Share::ALL);
        }
        document.flags.push(flag);
    }
    compile(document)
}

fn all(variant: &str) -> Enabled {
    Enabled::All(variant.to_owned())
}

#[test]
fn after_a_minute_a_newer_kill_or_shed_wins_and_nothing_else() {
    let profiler = Profiler::builder().clock(Clock::Manual).build().unwrap();
    let nobody = Enabled::default;
    let before = [
        ("kept", all("blue")),
        ("killed", all("on")),
        ("low", all("on")),
        ("dark", nobody()),
        ("was_killed", Enabled::Off),
        ("unasked", all("blue")),
    ];
    profiler.set_flags(flags(None, &before));
    let request = profiler.begin(&Facts::web("GET", "/socket"));
    let ask = |name: &str| request.decide(name, false).to_string();
    let asked = ["kept", "killed", "low", "dark", "was_killed"];
    assert_eq!(
        asked.map(ask),
        [
            "kept blue, on",
            "killed on, on",
            "low on, on",
            "dark dark, dark",
            "was_killed off, killed"
        ]
    );
    let after = [
        ("kept", all("green")),
        ("killed", Enabled::Off),
        ("low", all("on")),
        ("dark", nobody()),
        ("was_killed", all("on")),
        ("unasked", all("green")),
    ];
    profiler.set_flags(flags(Some(8), &after));
    Clock::advance(Duration::from_secs(59));
    profiler.flags().looked();
    let first_minute = asked.map(ask);
    assert_eq!(
        first_minute[1..4],
        ["killed on, on", "low on, on", "dark dark, dark"]
    );
    Clock::advance(Duration::from_secs(2));
    assert_eq!(
        asked.map(ask),
        [
            "kept blue, on",
            "killed off, killed",
            "low off, shed",
            "dark off, shed",
            "was_killed on, on"
        ]
    );
    assert_eq!(ask("unasked"), "unasked green, on", "by the newest");
    // And what is cleared again comes back.
    profiler.set_flags(flags(None, &before));
    assert_eq!(ask("low"), "low on, on");
    assert_eq!(ask("kept"), "kept blue, on");
    let profile = request.finish(200, 0);
    let shown = &profile.flags.as_ref().unwrap();
    let past = shown.exposures.iter().filter(|exposure| exposure.past);
    assert!(past.count() >= 4, "{shown:?}");
    assert_eq!(shown.age_ns, 2_000_000_000, "since the last look");
    assert!(profile.text().contains(" (2 s old)"));
}
