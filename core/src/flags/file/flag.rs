//! The keys of one flag → [`FlagSpec`]. Here are those that say one thing; `enabled`, members and
//! variants have modules of their own.

use super::names::{date, day_text, value_or_kind};
use super::nearest::{did_you_mean, nearest};
use super::node::{Node, Value};
use super::problem::{Findings, Spot, shown};
use super::{shares, shed};
use crate::flags::model::{BucketBy, FlagSpec, Share};

/// The keys that a flag may have.
pub(super) const KEYS: [&str; 13] = [
    Key::ENABLED,
    "description",
    "owner",
    "groups",
    "users",
    "dark",
    "bucket_by",
    "id",
    "variants",
    "data",
    "priority",
    "expires",
    "salt",
];

/// Keys that other systems have, and what the same is here.
const ELSEWHERE: [(&str, &str); 14] = [
    ("rollout", "enabled = 10"),
    ("percentage", "enabled = 10"),
    ("percent", "enabled = 10"),
    ("state", "enabled = \"off\""),
    ("value", "enabled = \"on\""),
    (
        "default",
        "enabled = \"off\"; a default is given in the code, with the question",
    ),
    ("on", "enabled = \"on\""),
    ("off", "enabled = \"off\""),
    ("kill", "enabled = \"off\""),
    ("admin", "groups = { admin = \"on\" }"),
    ("internal", "groups = { internal = \"on\" }"),
    ("bucketing", "bucket_by = \"user\""),
    ("seed", "salt = \"…\""),
    ("user", "users = { \"5020244\" = \"on\" }"),
];

pub(super) struct Key;

impl Key {
    pub(super) const ENABLED: &'static str = "enabled";
}

/// A key of a flag, from the layer that has the last word on it.
#[derive(Clone)]
pub(super) struct Written<'a> {
    pub(super) key: &'a str,
    pub(super) spot: Spot,
    pub(super) node: &'a Node<'a>,
}

/// Reads what there is; `variants` are the names that its layers introduce. What is wrong makes the
/// flag a bad one, and is left out.
pub(super) fn read<'a>(
    name: &'a str,
    keys: &[Written<'a>],
    mut variants: Vec<&'a str>,
    findings: &'a mut Findings,
) -> FlagSpec {
    variants.extend(named_by_data(keys));
    let mut reader = Reader {
        name,
        findings,
        variants,
    };
    let mut spec = FlagSpec::new(name);
    for written in keys {
        if matches!(written.node.value, Value::Broken) {
            continue; // This was said when it was parsed.
        }
        match written.key {
            Key::ENABLED => {
                if let Some(enabled) = reader.enabled(written) {
                    spec.enabled = enabled;
                }
            }
            "description" => spec.description = reader.text(written),
            "owner" => spec.owner = reader.text(written),
            "salt" => spec.salt = reader.salt(written),
            "groups" => spec.groups = reader.members(written, "staff"),
            "users" => spec.users = reader.members(written, "5020244"),
            "dark" => spec.dark = reader.share(written),
            "bucket_by" => spec.bucket_by = reader.bucket_by(written),
            "id" => spec.id = reader.id(written),
            "variants" => spec.variants = reader.numbers(written),
            "data" => spec.data = reader.data(written),
            "priority" => spec.priority = reader.priority(written),
            "expires" => spec.expires = reader.expires(written),
            _ => reader.unknown(written),
        }
    }
    spec
}

/// Where no variants are numbered, `data` introduces them too; else a name there alone is a slip.
fn named_by_data<'a>(keys: &[Written<'a>]) -> impl Iterator<Item = &'a str> {
    let is_numbered = keys.iter().any(|written| written.key == "variants");
    let data = keys.iter().find(|written| written.key == "data");
    let table = data
        .filter(|_| !is_numbered)
        .and_then(|data| data.node.as_table());
    let entries = table.into_iter().flat_map(|table| &table.entries);
    entries.map(|entry| &*entry.key)
}

/// One flag that is being read.
pub(super) struct Reader<'a> {
    pub(super) name: &'a str,
    pub(super) findings: &'a mut Findings,
    /// The names of its variants.
    pub(super) variants: Vec<&'a str>,
}

impl Reader<'_> {
    /// Something in a key's value is wrong.
    pub(super) fn wrong(&mut self, layer: usize, node: &Node<'_>, said: impl Into<String>) {
        self.findings
            .flag(self.name, Spot::new(layer, node.span.clone()), said);
    }

    /// The value of a key is wrong.
    pub(super) fn refuse(&mut self, written: &Written<'_>, said: impl Into<String>) {
        self.wrong(written.spot.layer, written.node, said);
    }

    /// The value of a key works, and is probably not what was meant.
    pub(super) fn doubt(&mut self, written: &Written<'_>, said: impl Into<String>) {
        let spot = Spot::new(written.spot.layer, written.node.span.clone());
        self.findings.warn(Some(self.name), spot, said);
    }

    fn unknown(&mut self, written: &Written<'_>) {
        let key = shown(written.key);
        let known = KEYS.iter().copied();
        let said = if shed::KEYS.contains(&written.key) {
            format!("`{key}` is a key of [shed], and stands below a flag; move it below [shed]")
        } else if let Some((_, here)) = ELSEWHERE.iter().find(|(other, _)| *other == written.key) {
            format!("a flag has no `{key}`; write {here}")
        } else if nearest(written.key, known.clone()).is_some() {
            format!("a flag has no `{key}`{}", did_you_mean(written.key, known))
        } else if written
            .node
            .as_table()
            .is_some_and(|table| table.get(Key::ENABLED).is_some())
        {
            format!(
                "`{key}` looks like a flag in a flag; for a name with a point in it write [flags.\"{}.{key}\"]",
                shown(self.name)
            )
        } else {
            format!("a flag has no `{key}`; it has {}", KEYS.join(", "))
        };
        self.findings.flag(self.name, written.spot.clone(), said);
    }

    fn text(&mut self, written: &Written<'_>) -> Option<String> {
        match &written.node.value {
            Value::Text(text) => Some(text.to_string()),
            _ => {
                let said = format!(
                    "{0} is {1}; write {0} = \"…\"",
                    written.key,
                    written.node.kind()
                );
                self.refuse(written, said);
                None
            }
        }
    }

    fn salt(&mut self, written: &Written<'_>) -> Option<String> {
        let salt = self.text(written)?;
        if salt.is_empty() {
            let said = "an empty salt; take the line out to have the flag's name for it";
            self.refuse(written, said);
            return None;
        }
        Some(salt)
    }

    fn share(&mut self, written: &Written<'_>) -> Option<Share> {
        match shares::read(written.node, written.key) {
            Ok(share) => Some(share),
            Err(said) => {
                self.refuse(written, said);
                None
            }
        }
    }

    fn bucket_by(&mut self, written: &Written<'_>) -> BucketBy {
        const KNOWN: [&str; 3] = ["visitor", "user", "request"];
        let Some(word) = self.text(written) else {
            return BucketBy::Any;
        };
        match word.as_str() {
            "visitor" => BucketBy::Visitor,
            "user" => BucketBy::User,
            "request" => BucketBy::Request,
            "" => {
                let said = "bucket_by is empty; write \"visitor\", \"user\", \"request\" or an attribute's name";
                self.refuse(written, said);
                BucketBy::Any
            }
            "random" => {
                let said = "write bucket_by = \"request\": drawn anew for each request";
                self.refuse(written, said);
                BucketBy::Any
            }
            attribute => {
                if nearest(attribute, KNOWN).is_some() {
                    let said = format!(
                        "bucket_by = \"{}\" is taken for an attribute's name{}",
                        shown(attribute),
                        did_you_mean(attribute, KNOWN)
                    );
                    self.doubt(written, said);
                }
                BucketBy::Attribute(attribute.to_owned())
            }
        }
    }

    fn id(&mut self, written: &Written<'_>) -> Option<u32> {
        let number = match &written.node.value {
            Value::Whole(number @ 1..) => u32::try_from(*number).ok(),
            _ => None,
        };
        if number.is_none() {
            let said = format!(
                "id is {}; write a whole number from 1 to {}",
                value_or_kind(written.node),
                u32::MAX
            );
            self.refuse(written, said);
        }
        number
    }

    fn priority(&mut self, written: &Written<'_>) -> Option<u8> {
        let said = match &written.node.value {
            Value::Whole(number @ 1..=9) => return u8::try_from(*number).ok(),
            Value::Text(word) if *word == "none" => return None,
            Value::Text(word)
                if word
                    .trim()
                    .parse::<u8>()
                    .is_ok_and(|number| (1..=9).contains(&number)) =>
            {
                format!(
                    "priority is a number; write priority = {}, without quotes",
                    word.trim()
                )
            }
            _ => format!(
                "priority is {}; write a number from 1 (the site is not the site without it) to 9 (first to go), or \"none\" for never",
                value_or_kind(written.node)
            ),
        };
        self.refuse(written, said);
        None
    }

    fn expires(&mut self, written: &Written<'_>) -> Option<String> {
        let date = match &written.node.value {
            Value::Date(year, month, day) => Some((*year, *month, *day)),
            Value::Text(text) => date(text),
            _ => None,
        };
        if let Some((year, month, day)) = date {
            return Some(day_text(year, month, day));
        }
        let said = format!(
            "expires is {}; write a day, as in expires = 2027-01-31",
            value_or_kind(written.node)
        );
        self.refuse(written, said);
        None
    }
}
