//! The keys of one flag → [`FlagSpec`].

use super::names::{date, value_or_kind, variant_name_is_wrong};
use super::nearest::{did_you_mean, nearest};
use super::node::{Node, Table, Value};
use super::problem::{Findings, Spot, shown};
use super::{shares, shed, write};
use crate::flags::model::{BucketBy, Enabled, FlagSpec, Share};

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
    pub(super) node: &'a Node,
}

/// Reads what there is; `variants` are the names that its layers introduce. What is wrong makes the flag a bad one, and is left out.
pub(super) fn read<'a>(
    name: &'a str,
    keys: &[Written<'a>],
    variants: &[&'a str],
    findings: &'a mut Findings,
) -> FlagSpec {
    let mut reader = Reader {
        name,
        findings,
        variants: known(variants, keys),
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
fn known<'a>(introduced: &[&'a str], keys: &[Written<'a>]) -> Vec<&'a str> {
    let mut names = introduced.to_vec();
    let is_numbered = keys.iter().any(|written| written.key == "variants");
    let data = keys.iter().find(|written| written.key == "data");
    if let Some(table) = data.and_then(|data| data.node.as_table())
        && !is_numbered
    {
        names.extend(table.entries.iter().map(|entry| entry.key.as_str()));
    }
    names
}

struct Reader<'a> {
    name: &'a str,
    findings: &'a mut Findings,
    variants: Vec<&'a str>,
}

impl Reader<'_> {
    fn wrong(&mut self, layer: usize, node: &Node, said: impl Into<String>) {
        self.findings
            .flag(self.name, Spot::new(layer, node.span.clone()), said);
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

    /// A text that is a variant's name, or what is wrong with it.
    fn variant(&self, word: &str, key: &str) -> Result<String, String> {
        if self.variants.contains(&word) {
            return Ok(word.to_owned());
        }
        let short = shown(word);
        if word.eq_ignore_ascii_case("on") || word.eq_ignore_ascii_case("off") {
            return Err(format!(
                "\"{short}\" is written in small letters: {key} = \"{}\"",
                word.to_lowercase()
            ));
        }
        if word == "dark" {
            return Err(
                "dark is no variant; write dark = 100 for code that runs unseen for all".to_owned(),
            );
        }
        let meant = match word.to_lowercase().as_str() {
            "true" | "yes" | "enabled" | "enable" => "; write \"on\"".to_owned(),
            "false" | "no" | "none" | "disabled" | "disable" | "of" | "" => {
                "; write \"off\"".to_owned()
            }
            _ => did_you_mean(word, self.variants.iter().copied()),
        };
        if meant.is_empty() {
            return Err(format!(
                "this flag has no variant \"{short}\"; it has {}; a new one is introduced with variants = {{ {short} = 1 }}",
                shown(&self.variants.join(", "))
            ));
        }
        Err(format!("this flag has no variant \"{short}\"{meant}"))
    }

    fn enabled(&mut self, written: &Written<'_>) -> Option<Enabled> {
        let key = Key::ENABLED;
        let read = match &written.node.value {
            Value::Bool(true) => Ok(Enabled::on()),
            Value::Bool(false) => Ok(Enabled::Off),
            Value::Text(word) if word == "off" => Ok(Enabled::Off),
            Value::Text(word) if shares::looks_like(word) => {
                shares::read(written.node, key).map(Enabled::share)
            }
            Value::Text(word) => self.variant(word, key).map(Enabled::All),
            Value::Whole(_) | Value::Real(_) => {
                self.small_number(written);
                shares::read(written.node, key).map(Enabled::share)
            }
            Value::Table(table) => return self.shares(written, table),
            Value::List(_) | Value::Date(..) | Value::Nothing | Value::Broken => Err(format!(
                "enabled is {}; write \"on\", \"off\", a percentage, or {{ blue = 10, green = 20 }}",
                written.node.kind()
            )),
        };
        read.map_err(|said| self.wrong(written.spot.layer, written.node, said))
            .ok()
    }

    /// `enabled = 1` is one percent, and is often meant as yes.
    fn small_number(&mut self, written: &Written<'_>) {
        let said = match &written.node.value {
            Value::Whole(1) => {
                "enabled = 1 is 1 percent; for all write \"on\", and for 1 percent \"1%\""
            }
            Value::Whole(0) => {
                "enabled = 0 is 0 percent: users and groups still have it; to switch it off for all write \"off\", and for 0 percent \"0%\""
            }
            Value::Real(text)
                if text
                    .parse::<f64>()
                    .is_ok_and(|number| number > 0.0 && number <= 1.0) =>
            {
                self.findings.warn(
                    Some(self.name),
                    Spot::new(written.spot.layer, written.node.span.clone()),
                    format!(
                        "enabled = {0} is {0} percent; if so write \"{0}%\", and for one half 50",
                        shown(text)
                    ),
                );
                return;
            }
            _ => return,
        };
        let spot = Spot::new(written.spot.layer, written.node.span.clone());
        self.findings.warn(Some(self.name), spot, said);
    }

    fn shares(&mut self, written: &Written<'_>, table: &Table) -> Option<Enabled> {
        let layer = written.spot.layer;
        let mut list = Vec::new();
        let mut sum = 0_u64;
        let mut good = true;
        for entry in &table.entries {
            if matches!(entry.node.value, Value::Broken) {
                good = false;
                continue;
            }
            if let Some(said) = variant_name_is_wrong(&entry.key) {
                self.findings
                    .flag(self.name, Spot::new(layer, entry.at.clone()), said);
                good = false;
                continue;
            }
            match shares::read(&entry.node, &entry.key) {
                Ok(share) => {
                    sum += u64::from(share.to_millionths());
                    list.push((entry.key.clone(), share));
                }
                Err(said) => {
                    self.wrong(layer, &entry.node, said);
                    good = false;
                }
            }
        }
        if sum > u64::from(Share::ALL.to_millionths()) {
            let parts: Vec<String> = list.iter().map(|(_, share)| share.to_string()).collect();
            let (whole, part) = (sum / 1_000_000, sum % 1_000_000);
            let sum = if part == 0 {
                whole.to_string()
            } else {
                format!("{whole}.{part:06}")
                    .trim_end_matches('0')
                    .to_owned()
            };
            let said = format!(
                "{} is {sum} percent, over 100; what is left of 100 is off",
                parts.join(" + ")
            );
            self.wrong(layer, written.node, said);
            return None;
        }
        good.then_some(Enabled::Shares(list))
    }

    /// `{ name = variant }`, or a list of names that all have it on.
    fn members(&mut self, written: &Written<'_>, example: &str) -> Vec<(String, String)> {
        let layer = written.spot.layer;
        let mut members = Vec::new();
        match &written.node.value {
            Value::Table(table) => {
                for entry in &table.entries {
                    let key = format!("\"{}\"", shown(&entry.key));
                    match self.member(&entry.node, &key) {
                        Some(Ok(variant)) => members.push((entry.key.clone(), variant)),
                        Some(Err(said)) => self.wrong(layer, &entry.node, said),
                        None => {}
                    }
                }
            }
            Value::List(list) => {
                for item in list {
                    match &item.value {
                        Value::Text(name) => members.push((name.clone(), "on".to_owned())),
                        Value::Whole(number) => members.push((number.to_string(), "on".to_owned())),
                        Value::Broken => {}
                        _ => {
                            let said =
                                format!("{} in a list of names; write \"{example}\"", item.kind());
                            self.wrong(layer, item, said);
                        }
                    }
                }
            }
            Value::Text(name) => {
                let said = format!(
                    "{0} is one name; write {0} = {{ \"{1}\" = \"on\" }}",
                    written.key,
                    shown(name)
                );
                self.wrong(layer, written.node, said);
            }
            _ => {
                let said = format!(
                    "{0} is {1}; write {0} = {{ \"{example}\" = \"on\" }}",
                    written.key,
                    written.node.kind()
                );
                self.wrong(layer, written.node, said);
            }
        }
        members
    }

    fn member(&self, node: &Node, key: &str) -> Option<Result<String, String>> {
        Some(match &node.value {
            Value::Broken => return None,
            Value::Text(word)
                if shares::looks_like(word) && !self.variants.contains(&word.as_str()) =>
            {
                Err(format!(
                    "a percentage of {key} cannot be had; write {key} = \"on\""
                ))
            }
            Value::Text(word) => self.variant(word, key),
            Value::Bool(yes) => Ok(if *yes { "on" } else { "off" }.to_owned()),
            Value::List(_) => Err(format!(
                "the variant comes second; write each of these names = \"{}\"",
                key.trim_matches('"')
            )),
            Value::Whole(_) | Value::Real(_) => Err(format!(
                "a percentage of {key} cannot be had; write {key} = \"on\""
            )),
            _ => Err(format!(
                "{} is no variant; write {key} = \"on\"",
                node.kind()
            )),
        })
    }

    fn text(&mut self, written: &Written<'_>) -> Option<String> {
        match &written.node.value {
            Value::Text(text) => Some(text.clone()),
            _ => {
                let said = format!(
                    "{0} is {1}; write {0} = \"…\"",
                    written.key,
                    written.node.kind()
                );
                self.wrong(written.spot.layer, written.node, said);
                None
            }
        }
    }

    fn salt(&mut self, written: &Written<'_>) -> Option<String> {
        let salt = self.text(written)?;
        if salt.is_empty() {
            let said = "an empty salt; take the line out to have the flag's name for it";
            self.wrong(written.spot.layer, written.node, said);
            return None;
        }
        Some(salt)
    }

    fn share(&mut self, written: &Written<'_>) -> Option<Share> {
        match shares::read(written.node, written.key) {
            Ok(share) => Some(share),
            Err(said) => {
                self.wrong(written.spot.layer, written.node, said);
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
                self.wrong(written.spot.layer, written.node, said);
                BucketBy::Any
            }
            "random" => {
                self.wrong(
                    written.spot.layer,
                    written.node,
                    "write bucket_by = \"request\": drawn anew for each request",
                );
                BucketBy::Any
            }
            attribute => {
                if nearest(attribute, KNOWN).is_some() {
                    let said = format!(
                        "bucket_by = \"{}\" is taken for an attribute's name{}",
                        shown(attribute),
                        did_you_mean(attribute, KNOWN)
                    );
                    let spot = Spot::new(written.spot.layer, written.node.span.clone());
                    self.findings.warn(Some(self.name), spot, said);
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
            self.wrong(written.spot.layer, written.node, said);
        }
        number
    }

    fn numbers(&mut self, written: &Written<'_>) -> Vec<(String, u32)> {
        let layer = written.spot.layer;
        let Some(table) = written.node.as_table() else {
            let said = format!(
                "variants is {}; write variants = {{ blue = 1, green = 2 }}: the numbers logged",
                written.node.kind()
            );
            self.wrong(layer, written.node, said);
            return Vec::new();
        };
        let mut numbers: Vec<(String, u32)> = Vec::new();
        for entry in &table.entries {
            let spot = Spot::new(layer, entry.node.span.clone());
            let number = match &entry.node.value {
                Value::Broken => continue,
                Value::Whole(number) => u32::try_from(*number).ok(),
                _ => None,
            };
            let Some(number) = number else {
                let said = format!(
                    "{} is {}; write its number in the log, as in {0} = 1",
                    shown(&entry.key),
                    value_or_kind(&entry.node)
                );
                self.findings.flag(self.name, spot, said);
                continue;
            };
            if let Some(said) = variant_name_is_wrong(&entry.key).filter(|_| entry.key != "off") {
                self.findings
                    .flag(self.name, Spot::new(layer, entry.at.clone()), said);
                continue;
            }
            if let Some((other, _)) = numbers.iter().find(|(_, used)| *used == number) {
                let said = format!(
                    "the number {number} is {}'s; give each variant its own, and never one that was used before",
                    shown(other)
                );
                self.findings.about(self.name, spot, said);
            } else if number == 0 && entry.key != "off" {
                let said = "the number 0 is logged for off; give this variant another one";
                self.findings.about(self.name, spot, said);
            }
            numbers.push((entry.key.clone(), number));
        }
        numbers
    }

    fn data(&mut self, written: &Written<'_>) -> Vec<(String, String)> {
        let layer = written.spot.layer;
        let Some(table) = written.node.as_table() else {
            let said = format!(
                "data is {}; write it by variant, as in data = {{ on = {{ limit = 10 }} }}",
                written.node.kind()
            );
            self.wrong(layer, written.node, said);
            return Vec::new();
        };
        let mut data = Vec::new();
        for entry in &table.entries {
            if matches!(entry.node.value, Value::Broken) {
                continue;
            }
            if let Err(said) = self.variant(&entry.key, "data") {
                self.findings
                    .flag(self.name, Spot::new(layer, entry.at.clone()), said);
                continue;
            }
            match write::json_of(&entry.node) {
                Ok(json) => data.push((entry.key.clone(), json)),
                Err(said) => self.wrong(layer, &entry.node, said),
            }
        }
        data
    }

    fn priority(&mut self, written: &Written<'_>) -> Option<u8> {
        let said = match &written.node.value {
            Value::Whole(number @ 1..=9) => return u8::try_from(*number).ok(),
            Value::Text(word) if word == "none" => return None,
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
        self.wrong(written.spot.layer, written.node, said);
        None
    }

    fn expires(&mut self, written: &Written<'_>) -> Option<String> {
        let date = match &written.node.value {
            Value::Date(year, month, day) => Some((*year, *month, *day)),
            Value::Text(text) => date(text),
            _ => None,
        };
        if let Some((year, month, day)) = date {
            return Some(format!("{year:04}-{month:02}-{day:02}"));
        }
        let said = format!(
            "expires is {}; write a day, as in expires = 2027-01-31",
            value_or_kind(written.node)
        );
        self.wrong(written.spot.layer, written.node, said);
        None
    }
}
