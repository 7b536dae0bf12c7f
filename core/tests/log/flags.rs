//! A flag that was evaluated in a request is in its line without another line of code.

#[path = "../flags/make.rs"]
#[expect(dead_code, reason = "the tests of flags use the rest")]
mod make;

use crate::page;
use ioprofiler::profile::ProfileData;
use ioprofiler::{Facts, LogFormat, Profiler};
use make::{flag, shed};
use serde_json::{Value, json};

/// The original's page, whose request asked for these flags, in this order.
fn asked(names: &[&str]) -> ProfileData {
    let profiler = Profiler::builder().build().unwrap();
    profiler.set_flags(shed(
        7,
        [
            flag("search").id(6, &[]),
            flag("cart").percent(0).id(12, &[]),
            flag("new_search")
                .shares(&[("green", 100)])
                .id(14, &[("green", 2)]),
            flag("buy_now").percent(100).priority(8).id(15, &[]),
            flag("dark").dark(100).id(16, &[]),
            flag("staff").group("staff", "on").id(17, &[]),
            flag("plain").percent(100),
        ],
    ));
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.set_user("5020244");
    request.set_visitor("7c9e6679");
    request.add_group("staff");
    for name in names {
        let _ = request.flag(*name);
    }
    let mut data = page();
    data.flags = request.finish(200, 0).flags.clone();
    data.notes.retain(|note| !note.name.starts_with("ab_"));
    data
}

fn line(format: &str, data: &ProfileData) -> String {
    LogFormat::parse(format).unwrap().line(data)
}

/// What the original's line ends with, from flags alone.
#[test]
fn the_end_of_the_originals_line() {
    let mut data = asked(&["new_search", "search", "buy_now", "cart"]);
    let flags = data.flags.as_mut().unwrap();
    flags.exposures[0].number = Some(1);
    let format = "%{ab_ids}n %{ab_variants}n %{user_id}n %{memory}n %{app_us}n %D";
    assert_eq!(
        line(format, &data),
        "6;12;14;15 0;0;1;0 5020244 8912896 373846 842158"
    );
}

#[test]
fn lists_are_ascending_and_equally_long() {
    let data = asked(&[
        "plain",
        "staff",
        "dark",
        "buy_now",
        "new_search",
        "nothing",
        "search",
    ]);
    assert_eq!(
        line("%{ab_ids}n %{ab_variants}n %{ab_reasons}n", &data),
        "6;14;15;16;17 0;2;0;0;1 x;p;s;s;g"
    );
    assert_eq!(
        line("%{flags}n", &data),
        "plain:on;staff:on;dark:off;buy_now:off;new_search:green;nothing:off;search:off"
    );
    let version = &data.flags.as_ref().unwrap().version;
    assert_eq!(
        line("%{flags_version}n %{shed}n", &data),
        format!("{version} 7")
    );
    let none = asked(&[]);
    assert_eq!(
        line("%{ab_ids}n %{ab_variants}n %{ab_reasons}n %{flags}n", &none),
        "- - - -"
    );
    assert_eq!(
        line("%{flags}n %{flags_version}n %{shed}n", &page()),
        "- - -"
    );
}

#[test]
fn what_does_not_hold_for_this_request_stays_out_of_the_lists() {
    let mut data = asked(&["new_search", "search", "plain"]);
    let flags = data.flags.as_mut().unwrap();
    flags.exposures[0].past = true;
    flags.exposures[1].other = true;
    assert_eq!(line("%{ab_ids}n %{flags}n", &data), "- plain:on");
    flags_of_json(&data, |flags| {
        assert_eq!(flags[0]["past"], true);
        assert_eq!(flags[1]["other"], true);
    });
}

#[test]
fn json_has_flags_with_reasons() {
    let data = asked(&["new_search", "staff"]);
    flags_of_json(&data, |flags| {
        assert_eq!(
            *flags,
            json!([
                {"flag": "new_search", "variant": "green", "reason": "percent", "id": 14, "number": 2},
                {"flag": "staff", "variant": "on", "reason": "group:staff", "id": 17, "number": 1},
            ])
        );
    });
    let read: Value = serde_json::from_str(&LogFormat::json().line(&data)).unwrap();
    assert_eq!(read["shed"], 7);
    assert_eq!(
        read["flags_version"].as_str(),
        Some(data.flags.as_ref().unwrap().version.as_str())
    );
}

fn flags_of_json(data: &ProfileData, check: impl Fn(&Value)) {
    let read: Value = serde_json::from_str(&LogFormat::json().line(data)).unwrap();
    check(&read["flags"]);
}
