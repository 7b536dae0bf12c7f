//! The text that a notice is put into: JSON, with `{{NAME}}` in its strings.

use super::notice::Notice;
use crate::text::cut_str;
use jiff::Timestamp;

/// What a name stands for.
type Value = fn(&Notice) -> String;

const NAMES: [(&str, Value); 11] = [
    ("text", |notice| notice.text.clone()),
    ("kind", |notice| notice.kind.clone().into_owned()),
    ("what", |notice| notice.what.clone()),
    ("who", |notice| notice.who.clone()),
    ("why", |notice| notice.why.clone()),
    ("version", |notice| notice.version.clone()),
    ("from", |notice| notice.from.clone()),
    ("to", |notice| notice.to.clone()),
    ("host", |notice| notice.host.clone()),
    ("time", |notice| time(notice.at)),
    ("count", |notice| notice.count.to_string()),
];
/// A longer template is no text for people.
const MAX_TEMPLATE: usize = 16 << 10;

fn time(at: u64) -> String {
    let seconds = i64::try_from(at / 1_000_000_000).unwrap_or(0);
    let time = Timestamp::from_second(seconds);
    time.map(|time| time.to_string()).unwrap_or_default()
}

enum Part {
    Text(String),
    Value(Value),
}

/// A template that makes JSON of any notice.
#[derive(Default)]
pub(super) struct Template(Vec<Part>);

impl Template {
    /// Reads a template, or says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_TEMPLATE {
            return Err(format!("has more than {MAX_TEMPLATE} bytes"));
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once("{{") {
            let name = behind.split_once("}}").map(|(name, behind)| {
                rest = behind;
                name.trim()
            });
            let name = name.ok_or_else(|| "a `{{` has no `}}`".to_owned())?;
            let value = NAMES.iter().find(|(known, _)| *known == name);
            let (_, value) = value.ok_or_else(|| {
                let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                let (name, names) = (cut_str(name, 40), names.join(", "));
                format!("there is no {{{{{name}}}}}; allowed are: {names}")
            })?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(*value));
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self(parts);
        template.check()?;
        Ok(template)
    }

    /// A value that is no JSON by itself shows whether all stand in strings.
    fn check(&self) -> Result<(), String> {
        let filled = self.filled_by(|_| "a\"b\\c\n".to_owned());
        serde_json::from_str::<serde::de::IgnoredAny>(&filled)
            .map(drop)
            .map_err(|error| {
                format!(
                    "makes no JSON ({error}); a name such as {{{{text}}}} stands in a string, \
                     as in {{\"text\": \"{{{{text}}}}\"}}"
                )
            })
    }

    pub(super) fn filled(&self, notice: &Notice) -> String {
        self.filled_by(|value| value(notice))
    }

    fn filled_by(&self, text_of: impl Fn(&Value) -> String) -> String {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(value) => filled.push_str(&escaped(&text_of(value))),
            }
        }
        filled
    }
}

/// As it stands in a string of JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let inside = quoted.strip_prefix('"');
    let inside = inside.and_then(|inside| inside.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}
