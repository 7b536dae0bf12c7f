//! Layers of flag files, and what stays in force when one is wrong.

use ioprofiler::flags::file::{Content, LastGood, Layer, Reading, advise, native_json, read};
use ioprofiler::flags::{BucketBy, Enabled, FlagSpec, Share, Subject, compile};
use std::sync::Arc;

const DEPLOYED: &str = r#"
[flags.new_search]
description = "Solr 4 search"
owner = "search-team"
enabled = { blue = 10, green = 20.5 }
groups = { staff = "on", beta = "green" }
users = { "5020244" = "green", "" = "off" }
dark = 50
bucket_by = "visitor"
id = 51
variants = { blue = 1, green = 2 }
data = { blue = { limit = 10, tags = ["a", 2027-01-31] }, green = "x" }
priority = 3
expires = 2027-01-31
salt = "search 2026"

[flags]
cart = "off"
wishlist = true
cart_v2 = 12
"#;

fn layers(texts: &[&str]) -> Vec<Layer> {
    let named = texts.iter().enumerate();
    named
        .map(|(at, text)| Layer::new(format!("layer{at}.toml"), *text))
        .collect()
}

fn flag<'a>(reading: &'a Reading, name: &str) -> &'a FlagSpec {
    let mut flags = reading.document.flags.iter();
    flags.find(|flag| flag.name == name).unwrap()
}

fn again(reading: &Reading, texts: &[&str]) -> Reading {
    let last = LastGood {
        layers: &reading.layers,
        document: &reading.document,
    };
    read(&layers(texts), Some(last))
}

#[test]
fn every_key_is_read() {
    let reading = read(&layers(&[DEPLOYED]), None);
    assert_eq!(reading.problems, []);
    assert!(reading.is_whole());
    let search = flag(&reading, "new_search");
    let share = |millionths| Share::millionths(millionths).unwrap();
    assert_eq!(
        search.enabled,
        Enabled::Shares(vec![
            ("blue".into(), share(10_000_000)),
            ("green".into(), share(20_500_000))
        ])
    );
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(search.groups, [pair("staff", "on"), pair("beta", "green")]);
    assert_eq!(search.users, [pair("5020244", "green"), pair("", "off")]);
    assert_eq!(search.dark, Some(Share::percent(50)));
    assert_eq!(search.bucket_by, BucketBy::Visitor);
    assert_eq!(search.id, Some(51));
    assert_eq!(search.variants, [("blue".into(), 1), ("green".into(), 2)]);
    assert_eq!(search.data[0].0, "blue");
    let data: serde_json::Value = serde_json::from_str(&search.data[0].1).unwrap();
    assert_eq!(
        data,
        serde_json::json!({"limit": 10, "tags": ["a", "2027-01-31"]})
    );
    assert_eq!(search.data[1], pair("green", "\"x\""));
    assert_eq!(search.priority, Some(3));
    assert_eq!(search.expires.as_deref(), Some("2027-01-31"));
    assert_eq!(search.salt.as_deref(), Some("search 2026"));
    assert_eq!(search.owner.as_deref(), Some("search-team"));
    assert_eq!(search.place.line, 2);
    let priority = search.keys.iter().find(|(key, _)| *key == "priority");
    assert_eq!(priority.unwrap().1.line, 13);
    // A bare value is short for `enabled`.
    assert_eq!(flag(&reading, "cart").enabled, Enabled::Off);
    assert_eq!(flag(&reading, "wishlist").enabled, Enabled::on());
    assert_eq!(
        flag(&reading, "cart_v2").enabled,
        Enabled::share(Share::percent(12))
    );
}

#[test]
fn json_of_the_same_shape_says_the_same() {
    let toml = read(&layers(&[DEPLOYED]), None);
    let json = native_json(&toml.document.flags);
    let json = read(&[Layer::new("flags.json", json)], None);
    assert_eq!(json.problems, []);
    assert_eq!(plain(&json), plain(&toml));
}

#[test]
fn users_and_groups_may_have_it_dark() {
    let text = "[flags.ranking]\nenabled = 0.0\nusers = { \"7\" = \"dark\" }\ngroups = { staff = \"dark\" }\n";
    let reading = read(&layers(&[text]), None);
    assert_eq!(reading.problems, []);
    let json = native_json(&reading.document.flags);
    let json = read(&[Layer::new("flags.json", json)], None);
    assert_eq!((plain(&json), json.errors()), (plain(&reading), 0));
    let snapshot = compile(reading.document);
    let decided = |who: &Subject<'_>| snapshot.decide("ranking", who, false).to_string();
    assert_eq!(decided(&Subject::user("7")), "ranking dark, user");
    let staff = Subject::user("8").in_groups(&["staff"]);
    assert_eq!(decided(&staff), "ranking dark, group:staff");
    assert_eq!(decided(&Subject::user("8")), "ranking off, off");
}

/// Without the places.
fn plain(reading: &Reading) -> Vec<FlagSpec> {
    let mut flags = reading.document.flags.clone();
    for flag in &mut flags {
        flag.place = Default::default();
        flag.keys = Vec::new();
    }
    flags
}

#[test]
fn later_files_lie_over_earlier_ones_key_by_key() {
    let night = "[flags.new_search]\nenabled = \"off\"\n[flags.brand_new]\nenabled = 5\n";
    let reading = read(&layers(&[DEPLOYED, night]), None);
    assert_eq!(reading.problems, []);
    let search = flag(&reading, "new_search");
    assert_eq!(search.enabled, Enabled::Off);
    assert_eq!(search.priority, Some(3), "the rest stays");
    assert_eq!(search.groups.len(), 2);
    let enabled = search
        .keys
        .iter()
        .find(|(key, _)| *key == "enabled")
        .unwrap();
    assert_eq!((enabled.1.file, enabled.1.line), (1, 2));
    let names: Vec<&str> = reading
        .document
        .flags
        .iter()
        .map(|flag| flag.name.as_str())
        .collect();
    assert_eq!(
        names,
        ["new_search", "cart", "wishlist", "cart_v2", "brand_new"]
    );
    assert_eq!(reading.document.files, ["layer0.toml", "layer1.toml"]);
    // Groups and users may go on naming a variant that an earlier layer introduces.
    let base = "[flags.a]\nenabled = { blue = 1, green = 2 }\ngroups = { beta = \"green\" }\n";
    for night in [
        "enabled = 5",
        "enabled = \"green\"",
        "enabled = { red = 5 }",
    ] {
        let reading = read(&layers(&[base, &format!("[flags.a]\n{night}\n")]), None);
        assert_eq!(reading.problems, [], "{night}");
    }
    // A table is replaced whole: what the emergency file lists is all there is.
    let other = read(
        &layers(&[DEPLOYED, "[flags.new_search]\nenabled = { blue = 1 }\n"]),
        None,
    );
    assert_eq!(
        flag(&other, "new_search").enabled,
        Enabled::Shares(vec![("blue".into(), Share::percent(1))])
    );
    let shed = read(
        &layers(&[
            "[shed]\nfrom = 9\n",
            "[shed]\nfrom = 7\nwhy = \"db\"\nby = \"ann\"\nat = 2026-11-23T03:12:00Z\n",
        ]),
        None,
    );
    let shed = shed.document.shed.unwrap();
    assert_eq!((shed.from, shed.place.file, shed.place.line), (7, 1, 2));
    assert_eq!(shed.why.as_deref(), Some("db"));
    assert_eq!(shed.at.as_deref(), Some("2026-11-23T03:12:00Z"));
    let none = read(
        &layers(&["[shed]\nfrom = 9\n", "[shed]\nfrom = \"none\"\n"]),
        None,
    );
    assert_eq!(none.document.shed, None);
}

#[test]
fn a_wrong_flag_keeps_its_last_good_form_and_the_others_are_new() {
    let good = read(
        &layers(&["[flags.a]\nenabled = 10\n[flags.b]\nenabled = 10\n"]),
        None,
    );
    for wrong in [
        "enabled = 20%",
        "enabled = 200",
        "enabeld = 20",
        "enabled = 20\nenabled = 30",
        "enabled = 20 # fine\npriority = \"x\"",
        "enabled = \"20",
        "enabled = 20, ",
    ] {
        let text = format!("[flags.a]\n{wrong}\n[flags.b]\nenabled = 20\n");
        let reading = again(&good, &[&text]);
        assert_eq!(
            flag(&reading, "a").enabled,
            Enabled::share(Share::percent(10)),
            "{wrong}"
        );
        assert_eq!(
            flag(&reading, "b").enabled,
            Enabled::share(Share::percent(20)),
            "{wrong}"
        );
        assert_eq!(reading.kept_flags, ["a"], "{wrong}");
        assert_eq!(
            reading
                .problems
                .iter()
                .filter(|p| p.flag.as_deref() == Some("a"))
                .count(),
            1
        );
        let alone = read(&layers(&[&text]), None);
        assert_eq!(alone.broken_flags, ["a"], "{wrong}");
        assert!(flag(&alone, "a").broken.is_some());
        assert!(flag(&alone, "b").broken.is_none());
    }
}

#[test]
fn a_kill_switch_is_not_lost_to_a_slip() {
    let good = read(
        &layers(&["[flags.a]\nenabled = \"on\"\npriority = 3\n"]),
        None,
    );
    for night in [
        "[flags.a]\nenabled = \"off\"\npriorty = 3\n",
        "[flags.a]\nenabled = \"off\"\nusers = 7\n",
        "[flags.a]\nenabled = off\n",
        "[flags.a]\nenabled = OFF # the database is melting\n",
        "[flags.a]\nenabled = False\n",
        "[flags.a]\nenabled = “off”\n",
        "[flags.a]\nenabled = \"on\"\nenabled = \"off\"\n",
        "[flags.a]\nenabled = \"off\"\nenabled = \"on\"\n",
        "[flags]\na = off\n",
        "[flags.a]\nenabled = \"off\",\n",
    ] {
        let reading = again(
            &good,
            &["[flags.a]\nenabled = \"on\"\npriority = 3\n", night],
        );
        assert_eq!(flag(&reading, "a").enabled, Enabled::Off, "{night}");
        assert!(reading.errors() > 0, "{night}");
    }
    let json = r#"{"flags": {"a": {"enabled": "on", "enabled": "off"}}}"#;
    let reading = read(&[Layer::new("f.json", json)], None);
    assert_eq!(flag(&reading, "a").enabled, Enabled::Off);
    // Also where the file that deploys own is broken altogether.
    let reading = again(&good, &["[flags.a", "[flags.a]\nenabled = \"off\"\n"]);
    assert_eq!(flag(&reading, "a").enabled, Enabled::Off);
    assert_eq!(flag(&reading, "a").priority, Some(3));
}

#[test]
fn a_broken_file_keeps_its_last_good_content() {
    let good = read(&layers(&[DEPLOYED, "[shed]\nfrom = 7\n"]), None);
    let nothing = Arc::<str>::from("");
    for broken in [
        "",
        " \n\n",
        "[flags.new_search",
        "[flag.new_search]\nenabled = 5\n",
        "[flags.new_search]\nenabled = { blue = 10\n",
        "[flags.new_search]\nenabled = 5\n[flags.new_search]\npriority = 5\n",
        "[flags.new_search]\nenabled = 5\n[flags.cart]\nenabled = \"o",
        "[flags.new_search]\nenabled = 5\n[flags.cart]\nenab",
        "flags = 5\n",
        "{\"flags\": {}}",
        "<html></html>",
        "\0\0\0\0",
    ] {
        let reading = again(&good, &[broken, "[shed]\nfrom = 5\n"]);
        assert_eq!(reading.kept_layers, [0], "{broken}");
        assert_eq!(plain(&reading), plain(&good), "{broken}");
        assert_eq!(reading.layers[0], good.layers[0]);
        assert_eq!(
            reading.document.shed.as_ref().unwrap().from,
            5,
            "the other file is new"
        );
        assert!(reading.errors() > 0);
        let alone = read(&layers(&[broken]), None);
        assert_eq!(alone.document.flags, [], "{broken}");
        assert_eq!(alone.layers, [None]);
    }
    for content in [
        Content::Unreadable("gone".into()),
        Content::of_bytes(b"[flags.x]\nenabled = \"\xff\"\n"),
        Content::of_bytes(b"\xff\xfe[\0f\0"),
        Content::Text(nothing),
        Content::of_bytes(&vec![b'#'; (4 << 20) + 1]),
    ] {
        let mut new = layers(&["", "[shed]\nfrom = 7\n"]);
        new[0].content = content;
        let last = LastGood {
            layers: &good.layers,
            document: &good.document,
        };
        let reading = read(&new, Some(last));
        assert_eq!(plain(&reading), plain(&good));
        assert!(reading.errors() > 0);
    }
    // A byte order mark is no fault, nor are Windows' line ends.
    let text = format!("\u{feff}{}", DEPLOYED.replace('\n', "\r\n"));
    let reading = read(
        &[Layer {
            path: "f.toml".into(),
            content: Content::of_bytes(text.as_bytes()),
        }],
        None,
    );
    assert_eq!(plain(&reading), plain(&good));
}

#[test]
fn what_was_shed_stays_shed_while_its_line_is_wrong() {
    let good = read(&layers(&["[shed]\nfrom = 7\n"]), None);
    for wrong in [
        "[shed]\nfrom = 77\n",
        "[shed]\nfrom = \"x\"\n",
        "[shed]\nwhy = \"y\"\n",
        "shed = 3\n",
    ] {
        let reading = again(&good, &[wrong]);
        assert_eq!(
            reading.document.shed.map(|shed| shed.from),
            Some(7),
            "{wrong}"
        );
        assert_eq!(read(&layers(&[wrong]), None).document.shed, None);
    }
    assert_eq!(again(&good, &["# nothing\n"]).document.shed, None);
    // A word too many does not keep the site from shedding.
    let reading = again(&good, &["[shed]\nfrom = 3\nreason = \"x\"\n"]);
    assert_eq!(
        reading.document.shed.as_ref().map(|shed| shed.from),
        Some(3)
    );
    assert_eq!(reading.errors(), 1);
}

#[test]
fn advice_is_given_on_what_works_and_is_not_meant() {
    let text = "\
[flags.old]
enabled = \"on\"
priority = 3
expires = 2026-11-22
owner = \"ann\"
[flags.today]
enabled = \"on\"
priority = 3
expires = 2026-11-23
[flags.unranked]
enabled = \"on\"
[flags.never]
enabled = \"on\"
priority = \"none\"
[flags.killed]
enabled = \"off\"
dark = 10
users = { \"7\" = \"on\" }
priority = 1
[flags.all]
enabled = \"on\"
dark = 10
priority = 1
[flags.more]
enabled = 95
dark = 10
priority = 1
[flags.numbers]
id = 7
enabled = { blue = 5, red = 5 }
variants = { blue = 1 }
priority = 1
";
    let one = layers(&[text]);
    let reading = read(&one, None);
    assert_eq!(reading.problems, []);
    let named = [(one[0].path.clone(), Arc::from(text))];
    let advice = advise(&reading.document, &named, "2026-11-23");
    let said: Vec<(u32, &str)> = advice
        .iter()
        .map(|problem| (problem.line, problem.message.as_str()))
        .collect();
    let expected = [
        (4, "old was to be gone by 2026-11-22"),
        (10, "unranked has no priority"),
        (18, "users are never looked at"),
        (17, "nothing runs dark"),
        (22, "nothing runs dark"),
        (26, "only 5 percent are left"),
        (31, "the variant red has no number"),
    ];
    assert_eq!(said.len(), expected.len(), "{said:#?}");
    for ((line, text), (expected_line, expected)) in said.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{text}");
        assert!(text.contains(expected), "{text}");
    }
    // An emergency file that kills what another one describes is as it should be.
    let night = layers(&[
        "[flags.a]\nenabled = 5\ndark = 10\nusers = { x = \"on\" }\npriority = 1\n",
        "[flags.a]\nenabled = \"off\"\n",
    ]);
    let reading = read(&night, None);
    let named: Vec<_> = night
        .iter()
        .zip(&reading.layers)
        .map(|(layer, text)| (layer.path.clone(), text.clone().unwrap()))
        .collect();
    assert_eq!(advise(&reading.document, &named, "2026-11-23"), []);
}

#[test]
fn limits_are_said() {
    let many: String = (0..10_001).map(|at| format!("f{at} = 1\n")).collect();
    let reading = read(&layers(&[&format!("[flags]\n{many}")]), None);
    assert_eq!(reading.document.flags.len(), 0);
    assert!(
        reading
            .problems
            .iter()
            .any(|problem| problem.message.contains("more than 10000 flags"))
    );
    for deep in [
        format!(
            "[flags.a]\ndata = {{ on = {}1{} }}\n",
            "[".repeat(60),
            "]".repeat(60)
        ),
        format!("[flags.a]\ndata = {}", "[".repeat(100_000)),
        format!("{}b = 1\n", "a.".repeat(100_000)),
        format!("[{}b]\n", "a.".repeat(100_000)),
    ] {
        let reading = read(&layers(&[&deep]), None);
        assert!(reading.errors() > 0);
    }
    for deep in [
        "[".repeat(1_000_000),
        "{\"a\":".repeat(500_000),
        format!(
            "{{\"flags\":{{\"a\":{{\"data\":{{\"on\":{}1{}}}}}}}}}",
            "[".repeat(60),
            "]".repeat(60)
        ),
    ] {
        let reading = read(&[Layer::new("f.json", deep)], None);
        assert!(
            reading.problems[0].message.contains("deep"),
            "{:?}",
            reading.problems
        );
    }
}
