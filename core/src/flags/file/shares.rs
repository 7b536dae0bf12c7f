//! Percentages as people write them: `10`, `0.5`, `"10%"`.

use super::node::{Node, Value};
use super::problem::shown;
use crate::flags::model::Share;

/// What was written, if it is a percentage; else what to write.
pub(super) fn read(node: &Node<'_>, key: &str) -> Result<Share, String> {
    match &node.value {
        Value::Whole(number @ 0..=100) => {
            Ok(Share::percent(u32::try_from(*number).unwrap_or_default()))
        }
        Value::Whole(number) => of_text(&number.to_string(), key),
        Value::Real(text) => of_text(text, key),
        Value::Text(text) => {
            let number = text.trim();
            let number = number.strip_suffix('%').unwrap_or(number).trim_end();
            of_text(number, key)
        }
        Value::Bool(true) => Err(format!("true is no percentage; write {key} = 100")),
        Value::Bool(false) => Err(format!("false is no percentage; write {key} = 0")),
        _ => Err(format!(
            "{} is no percentage; write {key} = 10",
            node.kind()
        )),
    }
}

/// Whether a text is meant as a percentage.
pub(super) fn looks_like(text: &str) -> bool {
    let text = text.trim();
    let number = text.strip_suffix('%').unwrap_or(text).trim_end();
    let number = number.strip_prefix(['-', '+']).unwrap_or(number);
    number.starts_with(|c: char| c.is_ascii_digit()) || number.starts_with('.')
}

/// Exact: no binary fractions between the file and the bucket.
fn of_text(text: &str, key: &str) -> Result<Share, String> {
    let wrong = || {
        format!(
            "{} is no percentage; write {key} = 10, {key} = 0.5 or {key} = \"10%\", from 0 to 100",
            shown(text)
        )
    };
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let plain = plain.strip_prefix('+').unwrap_or(&plain);
    if let Some(rest) = plain.strip_prefix('-') {
        return Err(format!(
            "-{} is below 0; write {key} = 0 for nobody",
            shown(rest)
        ));
    }
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if plain.is_empty() || whole.is_empty() || !digits(whole) || !digits(part) {
        return Err(wrong());
    }
    let part = part.trim_end_matches('0');
    if part.len() > 6 {
        return Err(format!(
            "{} has more than six digits after the point; a millionth of a percent is the least there is",
            shown(text)
        ));
    }
    let over = || {
        format!(
            "{} is over 100; write {key} = 100 for everybody",
            shown(text)
        )
    };
    let whole = whole.trim_start_matches('0');
    if whole.len() > 3 {
        return Err(over());
    }
    let number = |text: &str| text.parse::<u32>().unwrap_or(0);
    let millionths = number(whole) * 1_000_000 + number(&format!("{part:0<6}"));
    Share::millionths(millionths).ok_or_else(over)
}

#[cfg(test)]
mod tests {
    use super::{Node, Value, read};

    fn of(value: Value) -> Result<u32, String> {
        let node = Node { span: 0..0, value };
        read(&node, "enabled").map(|share| share.to_millionths())
    }

    #[test]
    fn percentages_are_exact() {
        let text = |text: &str| of(Value::Text(text.into()));
        assert_eq!(of(Value::Whole(0)), Ok(0));
        assert_eq!(of(Value::Whole(100)), Ok(100_000_000));
        assert_eq!(of(Value::Real("0.1".into())), Ok(100_000));
        assert_eq!(of(Value::Real("99.999999".into())), Ok(99_999_999));
        assert_eq!(of(Value::Real("1_0.50".into())), Ok(10_500_000));
        assert_eq!(text("10%"), Ok(10_000_000));
        assert_eq!(text(" 010 % "), Ok(10_000_000));
        assert_eq!(text("12.5"), Ok(12_500_000));
    }

    #[test]
    fn what_is_none_says_what_to_write() {
        for (text, says) in [
            ("101", "over 100"),
            ("100.000001", "over 100"),
            ("99999999999999999999", "over 100"),
            ("-1", "below 0"),
            ("0.0000001", "millionth"),
            ("nan", "is no percentage; write enabled = 10"),
            ("inf", "is no percentage"),
            ("1e1", "is no percentage"),
            ("", "is no percentage"),
            (".", "is no percentage"),
            ("10%%", "is no percentage"),
            ("ten", "is no percentage"),
        ] {
            let said = of(Value::Text(text.into())).unwrap_err();
            assert!(said.contains(says), "{text}: {said}");
        }
        assert!(of(Value::Bool(true)).unwrap_err().contains("= 100"));
    }
}
