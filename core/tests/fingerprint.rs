//! The committed vectors of `tests/vectors/fingerprint.json`.
//!
//! A row may have `"cut": true`. Properties that hold for every text are in
//! `fingerprint_properties.rs`.

use ioprofiler::category::Dialect;
use ioprofiler::fingerprint::{bound, fingerprint, fingerprint_into, mask_query};
use serde_json::Value;

fn dialect(name: &str) -> Dialect {
    match name {
        "generic" => Dialect::Generic,
        "mysql" => Dialect::MySql,
        "postgresql" => Dialect::PostgreSql,
        "sqlite" => Dialect::Sqlite,
        "keys" => Dialect::Keys,
        "path" => Dialect::Path,
        other => panic!("no such dialect: {other}"),
    }
}

#[test]
fn committed_vectors() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/vectors/fingerprint.json"
    );
    let text = std::fs::read_to_string(path).expect("the vectors are committed");
    let rows: Vec<Value> = serde_json::from_str(&text).expect("an array");
    assert!(rows.len() >= 120, "{} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows {
        let field = |name: &str| {
            row[name]
                .as_str()
                .unwrap_or_else(|| panic!("{name} in {row}"))
        };
        let cut = row["cut"].as_bool().unwrap_or(false);
        let dialect = dialect(field("dialect"));
        let (input, expected) = (field("in"), field("out"));
        let out = fingerprint(dialect, input, cut);
        if out != expected {
            wrong.push(format!(
                "{dialect:?} {input:?}\n   got {out:?}\n  want {expected:?}"
            ));
        }
        if !out.starts_with("<unparsable") && fingerprint(dialect, &out, false) != out {
            wrong.push(format!("{dialect:?} {out:?} has another fingerprint"));
        }
        assert!(out.len() <= bound(input.len()), "{input:?}");
        assert!(!field("why").is_empty());
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn appends_and_leaves_what_was_there() {
    let mut out = String::from("[db] ");
    fingerprint_into(&mut out, Dialect::MySql, "SELECT 1", false);
    fingerprint_into(&mut out, Dialect::MySql, " 'open", false);
    fingerprint_into(&mut out, Dialect::Path, "/a/5", false);
    assert_eq!(out, "[db] SELECT ?<unparsable, 6 bytes>/a/?");
}

#[test]
fn queries_lose_their_values() {
    for (query, expected) in [
        ("", ""),
        ("a=1&b=x", "a=?&b=?"),
        ("a=&=b&=", "a=?&=?&=?"),
        ("page[]=1&page[]=2", "page[]=?&page[]=?"),
        ("a=b=c", "a=?"),
        ("ann@example.com=1", "?=?"),
        ("5020244", "?"),
        ("logout", "?"),
        ("a=1&&b=2&", "a=?&&b=?&"),
        ("a=x y'z\"&ä=1", "a=?&?=?"),
        ("utm_source=a&q2=b&deadbeef=c", "utm_source=?&q2=?&?=?"),
    ] {
        assert_eq!(mask_query(query), expected, "{query:?}");
        assert_eq!(mask_query(expected), expected);
    }
}
