//! One value of the file, and what it may be written as.

use crate::flags::file::shown;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// Whether a value was taken; else what it is and what is allowed.
pub(crate) type Taken = Result<(), String>;

/// One value of the file. Each method writes it to its place, if it is one of its kind.
pub(crate) struct Setting<'a> {
    value: &'a DeValue<'a>,
}

/// What may stand for a duration.
const DURATION: &str = r#""500ms", "10s", "15m", "2h", "1d" or a number of seconds"#;
/// Longer ones are no numbers.
const MAX_DIGITS: usize = 32;

#[cfg_attr(
    not(all(
        feature = "graphite",
        feature = "statsd",
        feature = "ganglia",
        feature = "prometheus",
        feature = "otlp",
        feature = "webhook"
    )),
    allow(dead_code, reason = "what a sink's options are that is not built")
)]
impl<'a> Setting<'a> {
    pub(super) fn new(value: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            value: value.get_ref(),
        }
    }

    fn wrong(&self, wanted: &str) -> Taken {
        Err(format!("{}, where {wanted} is wanted", kind(self.value)))
    }

    /// A text in quotes.
    pub(crate) fn text(&self, to: &mut String) -> Taken {
        let DeValue::String(text) = self.value else {
            return self.wrong("a text in quotes");
        };
        *to = text.to_string();
        Ok(())
    }

    /// The path of a file or a folder.
    pub(crate) fn path(&self, to: &mut PathBuf) -> Taken {
        let mut text = String::new();
        self.text(&mut text)?;
        if text.is_empty() {
            return Err("an empty text, where a path is wanted".to_owned());
        }
        *to = PathBuf::from(text);
        Ok(())
    }

    /// A text that something is read from.
    pub(crate) fn parsed<T>(
        &self,
        to: &mut T,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Taken {
        let mut text = String::new();
        self.text(&mut text)?;
        *to = parse(&text).ok_or_else(|| format!("\"{}\" is no {wanted}", shown(&text)))?;
        Ok(())
    }

    /// `true` or `false`.
    pub(crate) fn switch(&self, to: &mut bool) -> Taken {
        let DeValue::Boolean(yes) = self.value else {
            return self.wrong("true or false");
        };
        *to = *yes;
        Ok(())
    }

    /// A whole number from 0 on.
    pub(crate) fn number<N: TryFrom<u64>>(&self, to: &mut N) -> Taken {
        let wanted = "a whole number from 0 on";
        let DeValue::Integer(digits) = self.value else {
            return self.wrong(wanted);
        };
        let (digits, radix) = (digits.as_str(), digits.radix());
        if digits.starts_with('-') {
            return Err(format!("{} is not {wanted}", shown(digits)));
        }
        let number = u64::from_str_radix(digits, radix)
            .ok()
            .and_then(|number| N::try_from(number).ok());
        *to = number.ok_or_else(|| {
            let most = u64::MAX >> (64 - 8 * size_of::<N>().min(8));
            format!("{} is more than {most}", shown(digits))
        })?;
        Ok(())
    }

    /// A duration: `"500ms"`, `"10s"`, `"15m"`, `"2h"`, `"1d"`, or a number of seconds.
    pub(crate) fn duration(&self, to: &mut Duration) -> Taken {
        let (written, duration) = match self.value {
            DeValue::String(text) => (format!("\"{}\"", shown(text)), duration(text)),
            DeValue::Integer(digits) if digits.radix() == 10 => {
                (shown(digits.as_str()), seconds(digits.as_str()))
            }
            DeValue::Float(number) => (shown(number.as_str()), seconds(number.as_str())),
            other => return Err(format!("{} is no duration; write {DURATION}", kind(other))),
        };
        *to = duration.ok_or_else(|| format!("{written} is no duration; write {DURATION}"))?;
        Ok(())
    }

    /// One of several words.
    pub(crate) fn choice<T: Copy>(&self, to: &mut T, choices: &[(&str, T)]) -> Taken {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        let words = words.join(", ");
        let DeValue::String(text) = self.value else {
            return self.wrong(&format!("one of {words}"));
        };
        let chosen = choices.iter().find(|(word, _)| word == text);
        let wrong = || format!("\"{}\" is not one of {words}", shown(text));
        *to = chosen.ok_or_else(wrong)?.1;
        Ok(())
    }

    /// A list of texts.
    pub(crate) fn texts(&self, to: &mut Vec<String>) -> Taken {
        let wanted = r#"a list of texts, as in ["one", "two"],"#;
        let DeValue::Array(list) = self.value else {
            return self.wrong(wanted);
        };
        let mut texts = Vec::new();
        for item in list.iter() {
            let DeValue::String(text) = item.get_ref() else {
                return Err(format!(
                    "{} in the list, where a text in quotes is wanted",
                    kind(item.get_ref())
                ));
            };
            texts.push(text.to_string());
        }
        *to = texts;
        Ok(())
    }

    /// Names and texts: `{ Authorization = "Bearer …" }`, or a table of its own.
    pub(crate) fn pairs(&self, to: &mut Vec<(String, String)>) -> Taken {
        let wanted = r#"names with texts, as in { NAME = "text" },"#;
        let DeValue::Table(table) = self.value else {
            return self.wrong(wanted);
        };
        let mut pairs = Vec::new();
        for (name, value) in table.iter() {
            let DeValue::String(text) = value.get_ref() else {
                let name = shown(name.get_ref());
                let kind = kind(value.get_ref());
                return Err(format!(
                    "{name} is {kind}, where a text in quotes is wanted"
                ));
            };
            pairs.push((name.get_ref().to_string(), text.to_string()));
        }
        *to = pairs;
        Ok(())
    }
}

/// What a value is, in words.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|character: char| !matches!(character, '0'..='9' | '.'))?;
    let (number, unit) = text.split_at_checked(at)?;
    let unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let whole = number.starts_with(|first: char| first.is_ascii_digit());
    let number: f64 = number.parse().ok().filter(|_| whole && at <= MAX_DIGITS)?;
    Duration::try_from_secs_f64(number * unit).ok()
}

fn seconds(number: &str) -> Option<Duration> {
    let number: f64 = number.parse().ok().filter(|_| number.len() <= MAX_DIGITS)?;
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("1.5s", 1_500),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(duration(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            ".s",
            "-1s",
            "+1s",
            "1 s",
            "1s ",
            "10x",
            "1h30m",
            "1e3s",
            "1.2.3s",
            "infs",
            "99999999999999999999999999999999d",
            "NaNs",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        assert_eq!(seconds("1.5"), Some(Duration::from_millis(1_500)));
        for text in ["-1", "nan", "inf", "1e300"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
