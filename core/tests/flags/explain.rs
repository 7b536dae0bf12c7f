//! Explanations: what an operator reads at night.

use crate::make::{document, flag, shed, snapshot};
use ioprofiler::flags::{Place, Shed, Subject, compile};
use ioprofiler::{Facts, Profiler};

#[test]
fn a_percentage_says_the_bucket_and_the_bounds() {
    let snapshot = snapshot([flag("f")
        .shares(&[("blue", 10), ("green", 20)])
        .dark(30)
        .user("x", "on")
        .group("staff", "on")
        .group("beta", "on")]);
    let explanation = snapshot.explain("f", &Subject::user("ann").with_visitor("v"));
    let bucket = explanation.bucket().expect("a bucket");
    let shown = format!("{}.{:06}", bucket / 1_000_000, bucket % 1_000_000);
    let shown = shown.trim_end_matches('0');
    assert_eq!(
        explanation.to_string(),
        format!(
            "f: off, because off\n  \
               killed    no\n  \
               shed      no: nothing is shed\n  \
               override  no\n  \
               users     no: ann is not among the 1 listed\n  \
               groups    no: in none of staff, beta\n\
             > enabled   visitor v is at {shown} %: blue below 10, green below 30, dark below 60\n"
        )
    );
}

#[test]
fn the_step_that_decided_is_the_last_one_and_fits_the_reason() {
    let ann = Subject::user("ann").in_groups(&["staff"]);
    let expect = |snapshot: ioprofiler::flags::Snapshot, rule: &str, reason: &str| {
        let explanation = snapshot.explain("f", &ann);
        let last = explanation.steps().last().expect("a step");
        assert!(last.decided, "{explanation}");
        assert_eq!(last.rule, rule, "{explanation}");
        assert_eq!(explanation.decision().reason().as_str(), reason);
        let decided = explanation.steps().iter().filter(|step| step.decided);
        assert_eq!(decided.count(), 1, "{explanation}");
        assert_eq!(
            explanation.decision(),
            snapshot.decide("f", &ann, false),
            "{explanation}"
        );
    };
    expect(snapshot([]), "file", "not_found");
    expect(snapshot([flag("f").broken("x")]), "file", "error");
    expect(snapshot([flag("f").killed()]), "killed", "killed");
    expect(shed(5, [flag("f").priority(5)]), "shed", "shed");
    expect(snapshot([flag("f").user("ann", "on")]), "users", "user");
    expect(
        snapshot([flag("f").group("staff", "on")]),
        "groups",
        "group",
    );
    expect(snapshot([flag("f").all("on")]), "enabled", "on");
    expect(snapshot([flag("f").percent(100)]), "enabled", "percent");
    expect(snapshot([flag("f")]), "enabled", "off");
    expect(snapshot([flag("f").percent(0)]), "enabled", "off");
    expect(shed(5, [flag("f").all("dark")]), "enabled", "shed");
    expect(
        shed(5, [flag("f").group("staff", "dark")]),
        "groups",
        "shed",
    );
}

#[test]
fn files_and_lines_are_named() {
    let mut document = document([flag("f").killed(), flag("g").priority(8)]);
    document.files = vec!["flags.toml".to_owned(), "emergency.toml".to_owned()];
    document.flags[0].place = Place::new(0, 12);
    document.flags[0].keys = vec![("enabled", Place::new(1, 3))];
    let mut shed = Shed::from(7);
    shed.why = Some("db_shard02 is melting".to_owned());
    document.shed = Some(shed);
    let snapshot = compile(document);
    let says = |flag: &str| {
        let explanation = snapshot.explain(flag, &Subject::NOBODY);
        explanation.steps().last().expect("a step").says.to_string()
    };
    assert_eq!(says("f"), "yes (emergency.toml:3)");
    assert_eq!(
        says("g"),
        "yes: priority 8, shed from 7, db_shard02 is melting"
    );
}

#[test]
fn ids_cannot_forge_lines() {
    let snapshot = snapshot([flag("f").percent(50)]);
    let forged = format!("v\n> enabled on\u{1b}[2J{}", "x".repeat(5_000));
    let text = snapshot
        .explain("f", &Subject::visitor(&forged))
        .to_string();
    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(!text.contains('\u{1b}') && text.len() < 500, "{text}");
}

#[test]
fn a_request_tells_what_it_decided_before() {
    let profiler = Profiler::builder().build().expect("a profiler");
    profiler.set_flags(snapshot([flag("f").percent(0).user("ann", "on")]));
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.set_visitor("v");
    assert!(!request.flag("f"));
    request.set_user("ann");
    assert!(!request.flag("f"), "decided once");
    let explanation = request.explain("f");
    assert_eq!(explanation.decision().to_string(), "f on, user");
    let before = explanation.before().expect("another decision");
    assert_eq!(before.to_string(), "f off, off");
    assert!(
        explanation
            .to_string()
            .ends_with("decided before: f off, off\n")
    );
    let profile = request.finish(200, 0);
    let exposures = &profile.flags.as_ref().expect("flags").exposures;
    assert_eq!((exposures.len(), exposures[0].count), (1, 2), "no exposure");
}
