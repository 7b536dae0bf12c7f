//! What names flags and variants, what is a day, and how a value is shown in a message.

use super::node::{Node, Value};
use super::problem::shown;

/// A name longer than this is none.
const MAX_NAME: usize = 128;

/// Why a name cannot be one.
pub(super) fn name_is_wrong(name: &str, node: &Node<'_>) -> Option<String> {
    if name == "shed"
        && node
            .as_table()
            .is_some_and(|table| table.get("from").is_some())
    {
        return Some("`shed` is no flag; write [shed] instead of [flags.shed]".to_owned());
    }
    if name.is_empty() {
        return Some("a flag without a name; write [flags.NAME]".to_owned());
    }
    if name.len() > MAX_NAME {
        return Some(format!(
            "the name {} is longer than {MAX_NAME} bytes",
            shown(name)
        ));
    }
    let good = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let bad = name.chars().find(|c| !good(*c))?;
    Some(format!(
        "the name \"{}\" has `{}` in it; a name has letters, digits, _, - and .",
        shown(name),
        shown(&bad.to_string())
    ))
}

/// A text as it is written, anything else as what it is.
pub(super) fn value_or_kind(node: &Node<'_>) -> String {
    match &node.value {
        Value::Text(text) => format!("\"{}\"", shown(text)),
        Value::Whole(number) => number.to_string(),
        Value::Real(number) => shown(number),
        Value::Bool(yes) => yes.to_string(),
        _ => node.kind().to_owned(),
    }
}

pub(super) fn variant_name_is_wrong(name: &str) -> Option<String> {
    if name == "off" {
        return Some(
            "off has no share of its own: what is left of 100 is off; take it out".to_owned(),
        );
    }
    if name == "dark" {
        return Some("dark is no variant; write dark = 10 on a line of its own".to_owned());
    }
    let good = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    (name.is_empty() || name.len() > 64 || !name.chars().all(good)).then(|| {
        format!(
            "\"{}\" cannot name a variant; letters, digits, _, - and ., 64 bytes at most",
            shown(name)
        )
    })
}

/// `2027-01-31`, if there is such a day.
pub(super) fn date(text: &str) -> Option<(u16, u8, u8)> {
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        let part = parts.next()?;
        let digits = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| part.parse::<u16>().ok()).flatten()
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u16::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let rest = parts.next();
    ((1..=days).contains(&day) && rest.is_none()).then_some(())?;
    Some((year, u8::try_from(month).ok()?, u8::try_from(day).ok()?))
}

/// `2027-01-31`. Not by `format!`, which takes milliseconds for thousands of flags.
pub(super) fn day_text(year: u16, month: u8, day: u8) -> String {
    let digit = |number: u16| char::from_digit(u32::from(number % 10), 10).unwrap_or('0');
    let mut text = String::with_capacity(10);
    text.extend([year / 1_000, year / 100, year / 10, year].map(digit));
    for part in [month, day].map(u16::from) {
        text.push('-');
        text.extend([part / 10, part].map(digit));
    }
    text
}
