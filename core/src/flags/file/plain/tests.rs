//! What is plain is read as the parsers of all TOML and all JSON read it, to the last place.

use crate::flags::file::node::Table;
use crate::flags::file::problem::Findings;
use crate::flags::file::{json, toml};

const TOML: &str = "\
# flags
[shed]
from = 7 # why
at = 2026-11-23

[flags.search]
enabled = { blue = 10, green = 20.5 }\t# ramp
groups = { staff = \"on\", \"a b\" = 'off' }
users = [\"1\", 2, true]
empty = {}
none = []
\"quoted\" = \"\"
[flags.search.data.on]
x = { y = { z = 0 } }

[flags]
cart = \"off\"
[ flags . \"wish list\" ]\r
enabled = false
[a.b]
[a]
c = 1
";

const JSON: &str = r#"
{"$schema": "https://example.com/flags.json",
 "shed" : {"from": 7, "why": "db", "at": null},
 "flags": {"search": {"enabled": {"blue": 10, "green": 20.5}, "groups": {"staff": "on"},
  "users": ["1", 2, true], "empty": {}, "none": [ ], "data": {"on": {"x": [{"y": 0}, [{"z": 1}]]}}},
  "cart": "off", "wish list": false}}
"#;

/// Reads it all, or nothing.
type Read = for<'t> fn(&'t str) -> Option<Table<'t>>;

fn whole_toml(text: &str) -> Option<Table<'_>> {
    let mut findings = Findings::default();
    let table = toml::read_any(0, text, &mut findings);
    findings.is_empty().then_some(table)
}

fn whole_json(text: &str) -> Option<Table<'_>> {
    let mut findings = Findings::default();
    let table = json::read_any(0, text, &mut findings);
    findings.is_empty().then_some(table)
}

/// Whether it is plain; if so, it is what the other one reads.
fn compare(text: &str, plain: Read, whole: Read) -> bool {
    let Some(table) = plain(text) else {
        return false;
    };
    assert_eq!(Some(table), whole(text), "{text:?}");
    true
}

fn compare_toml(text: &str) -> bool {
    compare(text, super::toml, whole_toml)
}

fn compare_json(text: &str) -> bool {
    compare(text, super::json, whole_json)
}

#[test]
fn what_flag_files_consist_of_is_plain() {
    for text in [TOML, "", "x = 1", "x = 1 # y", "# y", "x = 1\r\n#\r\n"] {
        assert!(compare_toml(text), "{text:?}");
    }
    for line in TOML.lines() {
        compare_toml(line);
    }
    for text in [JSON, "{}", " {\"a\":\"\"} ", "{\"a\":1,\r\n\t\"b\":[]}"] {
        assert!(compare_json(text), "{text:?}");
    }
    for line in JSON.lines() {
        compare_json(line);
    }
}

#[test]
fn a_table_of_many_is_plain_unless_a_key_stands_twice() {
    let many = |last: &str| -> (String, String) {
        let names = (0..40).map(|name| format!("f{name}"));
        let names: Vec<String> = names.chain([last.to_owned()]).collect();
        let toml = names.iter().map(|name| format!("{name} = 1\n")).collect();
        let json: Vec<String> = names.iter().map(|name| format!("\"{name}\": 1")).collect();
        (toml, format!("{{{}}}", json.join(",")))
    };
    let (toml, json) = many("g");
    assert!(compare_toml(&toml) && compare_json(&json));
    let (toml, json) = many("f17");
    assert!(!compare_toml(&toml) && !compare_json(&json));
}

#[test]
fn what_is_not_plain_toml_is_left_to_the_other() {
    for text in [
        "x = 1\nx = 2",
        "[a]\n[a]",
        "a = 1\n[a]",
        "[a]\nb = 1\n[a.b]",
        "[a]\nb = {}\n[a.b]",
        "a.b = 1",
        "x = \"\\n\"",
        "x = \"\"\"y\"\"\"",
        "x = 1_000",
        "x = -1",
        "x = 01",
        "x = 1e3",
        "x = inf",
        "x = 10%",
        "x = off",
        "x = 2026-02-30",
        "x = 2026-11-23 10:00:00",
        "x = [1,\n2]",
        "x = { a = 1, }",
        "x = { a = 1, a = 2 }",
        "x = { a.b = 1 }",
        "[[a]]",
        "[a.b.c.d.e.f.g]",
        "[a",
        "x",
        "x = ",
        "x = 1 y = 2",
        "x = \"a",
        "x = \u{1}",
        "x = 1\ry = 2",
        "\u{feff}x = 1",
    ] {
        assert!(super::toml(text).is_none(), "{text:?}");
    }
}

#[test]
fn what_is_not_plain_json_is_left_to_the_other() {
    for text in [
        "",
        "[]",
        "1",
        r#"{"a": 1, "a": 2}"#,
        r#"{"a": [[{"b": 1, "b": 2}]]}"#,
        r#"{"a": 1,}"#,
        r#"{"a": [1,]}"#,
        r#"{"a" 1}"#,
        r#"{a: 1}"#,
        r#"{'a': 1}"#,
        r#"{"a": "\n"}"#,
        "{\"a\": \"x\ty\"}",
        "{\"a\": \"x\ny\"}",
        r#"{"a": -1}"#,
        r#"{"a": 01}"#,
        r#"{"a": 1e3}"#,
        r#"{"a": 1.}"#,
        r#"{"a": .5}"#,
        r#"{"a": 10%}"#,
        r#"{"a": off}"#,
        r#"{"a": 1} x"#,
        r#"{"a": 1 /* no */}"#,
        r#"{"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i": {}}}}}}}}}}"#,
        r#"{"a": 1"#,
        r#"{"a""#,
        "\u{feff}{}",
    ] {
        assert!(super::json(text).is_none(), "{text:?}");
    }
}

/// xorshift, so that a failure can be had again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }
}

/// Takes a part out, puts a piece in, or says a part again, some times.
fn mangled(text: &str, pieces: &[&str], dice: &mut Dice) -> String {
    let mut text = text.to_owned();
    for _ in 0..=dice.roll(3) {
        let mut at = dice.roll(text.len() + 1);
        let mut to = (at + dice.roll(8)).min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        while !text.is_char_boundary(to) {
            to += 1;
        }
        match dice.roll(3) {
            0 => text.replace_range(at..to, ""),
            1 => text.insert_str(at, pieces[dice.roll(pieces.len())]),
            _ => {
                let part = text[at..to].to_owned();
                text.insert_str(at, &part);
            }
        }
    }
    text
}

const PIECES: [&str; 29] = [
    "\"", "'", "[", "]", "{", "}", "=", ":", ",", ".", "#", "\n", " ", "\t", "\r\n", "\r", "0",
    "1", "-", "a", "flags", "é", "\\", "true", "null", "\u{7f}", "/", "1.5", "1e3",
];

#[test]
fn it_never_reads_anything_else_than_the_others() {
    let toml = [
        "[flags.",
        "[a.b]\n",
        "x = 1\n",
        "2027-01-31",
        "[flags]\n",
        "\"x\" = 1\n",
    ];
    let json = [
        "\"flags\": {",
        "\"a\": 1,",
        "{\"b\": []},",
        "\"enabled\": \"off\",",
    ];
    let mut dice = Dice(88_172_645_463_325_252);
    for (text, own, compare) in [
        (TOML, &toml[..], compare_toml as fn(&str) -> bool),
        (JSON, &json[..], compare_json),
    ] {
        let pieces = [&PIECES[..], own].concat();
        let texts = (0..20_000).map(|_| mangled(text, &pieces, &mut dice));
        let plain = texts.filter(|text| compare(text)).count();
        assert!(plain > 1_000, "{plain}");
    }
}
