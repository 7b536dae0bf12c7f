//! Etsy's decision table (etsy/feature), as cases of ours.
//!
//! Where we differ, on purpose:
//! - `enabled = "on"` is not final: users and groups may be listed off, and the decision is logged.
//!   Only `"off"` beats everything. (Theirs: any string is final, and logs nothing.)
//! - A flag that no file names is the caller's default. (Theirs: off.)
//! - The override wants the gate's leave, beats lists, and may only choose a variant that the flag
//!   has. (Theirs: internal requests, admins, or a flag's own `public_url_override`; any word.)
//! - `admin` and `internal` are groups like any other, in the order written.
//! - Ids are compared as they are. (Theirs: lower case.)
//! - Without an id there is no bucket. (Theirs: all who have no id share one.)

use crate::make::{Make, flag, snapshot};
use ioprofiler::flags::Subject;
use ioprofiler::{Facts, Profiler};

fn variant(make: Make, who: &Subject<'_>) -> String {
    let decision = snapshot([make]).decide("f", who, false);
    let group = decision.group().map(|group| format!(":{group}"));
    let reason = decision.reason().as_str();
    format!(
        "{} {reason}{}",
        decision.variant(),
        group.unwrap_or_default()
    )
}

const NOBODY: &Subject<'_> = &Subject::NOBODY;

fn ann() -> Subject<'static> {
    Subject::user("ann")
}

fn admin() -> Subject<'static> {
    Subject::user("root").in_groups(&["admin"])
}

fn internal() -> Subject<'static> {
    Subject::visitor("v").in_groups(&["internal"])
}

#[test]
fn stanzas_that_are_a_word() {
    assert_eq!(variant(flag("f").killed(), &admin()), "off killed");
    assert_eq!(variant(flag("f").all("on"), NOBODY), "on on");
    assert_eq!(variant(flag("f").all("foo"), NOBODY), "foo on");
}

#[test]
fn a_stanza_that_is_empty_is_off_but_for_those_it_lists() {
    assert_eq!(variant(flag("f"), &ann()), "off off");
    assert_eq!(variant(flag("f").user("ann", "on"), &ann()), "on user");
}

#[test]
fn users_and_groups_of_a_flag_without_variants() {
    let listed = || {
        flag("f")
            .percent(0)
            .user("ann", "on")
            .user("bob", "on")
            .group("1234", "on")
    };
    assert_eq!(variant(listed(), &ann()), "on user");
    assert_eq!(variant(listed(), &Subject::user("bob")), "on user");
    assert_eq!(variant(listed(), &Subject::user("carol")), "off off");
    let member = Subject::user("carol").in_groups(&["1234"]);
    assert_eq!(variant(listed(), &member), "on group:1234");
    let stranger = Subject::user("carol").in_groups(&["12345"]);
    assert_eq!(variant(listed(), &stranger), "off off");
}

#[test]
fn users_and_groups_of_a_flag_with_variants() {
    let listed = || {
        flag("f")
            .shares(&[("odd", 0), ("even", 0)])
            .user("ann", "odd")
            .user("bob", "even")
            .group("1234", "odd")
            .group("2345", "even")
    };
    assert_eq!(variant(listed(), &ann()), "odd user");
    assert_eq!(variant(listed(), &Subject::user("bob")), "even user");
    let in_groups = |groups| Subject::user("carol").in_groups(groups);
    assert_eq!(variant(listed(), &in_groups(&["1234"])), "odd group:1234");
    assert_eq!(variant(listed(), &in_groups(&["2345"])), "even group:2345");
    assert_eq!(variant(listed(), &in_groups(&[])), "off off");
}

#[test]
fn a_user_comes_before_a_group_a_group_before_admin_admin_before_internal() {
    let listed = || {
        flag("f")
            .shares(&[("a", 0), ("b", 0), ("c", 0), ("d", 0)])
            .user("ann", "a")
            .group("1234", "b")
            .group("admin", "c")
            .group("internal", "d")
    };
    let everything = &["internal", "admin", "1234"];
    assert_eq!(variant(listed(), &ann().in_groups(everything)), "a user");
    let carol = Subject::user("carol");
    assert_eq!(
        variant(listed(), &carol.in_groups(everything)),
        "b group:1234"
    );
    assert_eq!(
        variant(listed(), &carol.in_groups(&["internal", "admin"])),
        "c group:admin"
    );
    assert_eq!(variant(listed(), &internal()), "d group:internal");
}

#[test]
fn admins_and_internal_requests() {
    let listed = || flag("f").percent(0).group("admin", "on");
    assert_eq!(variant(listed(), &admin()), "on group:admin");
    assert_eq!(variant(listed(), &internal()), "off off");
    let off = flag("f").percent(100).group("admin", "off");
    assert_eq!(variant(off, &admin()), "off group:admin");
}

#[test]
fn percentages_are_cumulative_in_the_order_written() {
    let users: Vec<String> = (0..1_000).map(|user| user.to_string()).collect();
    let shares = [("a", 20), ("b", 0), ("c", 30)];
    let snapshot = snapshot([flag("f").shares(&shares)]);
    for user in &users {
        let subject = Subject::user(user);
        let bucket = snapshot.explain("f", &subject).bucket().expect("a bucket");
        let wanted = match bucket {
            0..20_000_000 => "a",
            20_000_000..50_000_000 => "c",
            _ => "off",
        };
        assert_eq!(snapshot.decide("f", &subject, false).variant(), wanted);
    }
}

#[test]
fn overrides_from_the_url() {
    let profiler = Profiler::builder().build().expect("a profiler");
    profiler.set_flags(snapshot([
        flag("f").percent(0),
        flag("g").shares(&[("x", 0), ("y", 0)]).user("ann", "x"),
        flag("k").killed(),
    ]));
    let asked = |overrides: &str| {
        let request = profiler.begin(&Facts::web("GET", "/").flag_overrides(overrides));
        request.set_user("ann");
        ["f", "g", "k"].map(|flag| request.decide(flag, false).to_string())
    };
    let plain = ["f off, off", "g x, user", "k off, killed"];
    assert_eq!(asked(""), plain);
    assert_eq!(asked("f"), ["f on, override", plain[1], plain[2]]);
    assert_eq!(
        asked("f:on,g:y"),
        ["f on, override", "g y, override", plain[2]]
    );
    assert_eq!(asked("g:off"), [plain[0], "g off, override", plain[2]]);
    assert_eq!(asked("k:on"), plain, "nothing beats the kill switch");
    assert_eq!(asked("f:purple,h,,:x,g:"), plain, "no such variant or flag");
    assert_eq!(asked("g:y,g:x")[1], "g y, override", "the first one holds");
    assert_eq!(asked("ff:on,F:on"), plain, "names are compared whole");
}
