//! What is wrong with the text itself, where it is no TOML. Values are not shown: they may be secrets.

use crate::flags::file::shown;
use std::ops::Range;

/// Words that people write for true and false.
const YES: [&str; 2] = ["on", "yes"];
const NO: [&str; 2] = ["off", "no"];

/// The message for what the parser says of a place.
pub(super) fn message(said: &str, at: &Range<usize>, text: &str) -> String {
    let line = line_of(text, at.start);
    let start = line.trim_start();
    if text.trim_start().starts_with('{') {
        return "this is JSON; the configuration is TOML, as in stuck_after = \"10s\"".to_owned();
    }
    if start.starts_with("//") || start.starts_with(';') || start.starts_with("--") {
        return "a comment begins with #".to_owned();
    }
    if start.starts_with('[') && !start.contains(']') {
        let name = start.trim_matches(['[', ' ']);
        return format!("the closing `]` is missing; write [{}]", shown(name));
    }
    let found = text.get(at.clone()).unwrap_or_default().trim();
    if said == "duplicate key" {
        return format!("a second `{}`; keep one of the two", shown(found));
    }
    match key_of(line, '=') {
        Some(key) => of_value(said, found, key),
        None if key_of(line, ':').is_some() => "`:` stands where `=` belongs".to_owned(),
        None if said.starts_with("key with no value") => {
            "a line is KEY = VALUE, as in stuck_after = \"10s\", or [TABLE], or begins with #"
                .to_owned()
        }
        None => format!("cannot be read as TOML: {}", shown(said)),
    }
}

/// What is wrong with the value of a key.
fn of_value(said: &str, found: &str, key: &str) -> String {
    if said.starts_with("invalid boolean") {
        return format!("write {key} = true or {key} = false, in small letters");
    }
    if !said.starts_with("string values must be quoted") {
        return format!("the value of {key} cannot be read as TOML: {}", shown(said));
    }
    if found.is_empty() {
        return format!("nothing stands after {key} =; write a value, or # before the line");
    }
    if YES.contains(&found) {
        return format!("{found} without quotes; write {key} = true");
    }
    if NO.contains(&found) {
        return format!("{found} without quotes; write {key} = false");
    }
    if found.contains(['“', '”', '„', '‘', '’', '«', '»', '`']) {
        return format!("quotation marks that are not the plain ones; write {key} = \"…\"");
    }
    format!("a text without quotes; write {key} = \"…\"")
}

fn line_of(text: &str, offset: usize) -> &str {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(start..).unwrap_or_default();
    rest.lines().next().unwrap_or_default()
}

/// What stands before a sign, where that is a key.
fn key_of(line: &str, sign: char) -> Option<&str> {
    let (key, _) = line.split_once(sign)?;
    let key = key.trim();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    let is_key = !key.is_empty() && key.len() <= 40 && key.bytes().all(plain);
    is_key.then_some(key)
}
