//! `enabled`: on, off, one variant for all, a percentage, or a share for each variant.

use super::flag::{Key, Reader, Written};
use super::names::variant_name_is_wrong;
use super::nearest::did_you_mean;
use super::node::{Entry, Table, Value};
use super::problem::{Spot, shown};
use super::shares;
use crate::flags::model::{Enabled, Share};

impl Reader<'_> {
    pub(super) fn enabled(&mut self, written: &Written<'_>) -> Option<Enabled> {
        let key = Key::ENABLED;
        let read = match &written.node.value {
            Value::Bool(true) => Ok(Enabled::on()),
            Value::Bool(false) => Ok(Enabled::Off),
            Value::Text(word) if *word == "off" => Ok(Enabled::Off),
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
        read.map_err(|said| self.refuse(written, said)).ok()
    }

    /// A text that is a variant's name, or what is wrong with it.
    pub(super) fn variant(&self, word: &str, key: &str) -> Result<String, String> {
        if self.variants.contains(&word) {
            return Ok(word.to_owned());
        }
        Err(self.no_variant(word, key))
    }

    pub(super) fn no_variant(&self, word: &str, key: &str) -> String {
        let short = shown(word);
        if word.eq_ignore_ascii_case("on") || word.eq_ignore_ascii_case("off") {
            return format!(
                "\"{short}\" is written in small letters: {key} = \"{}\"",
                word.to_lowercase()
            );
        }
        if word == "dark" {
            return "dark is no variant; write dark = 100 for code that runs unseen for all"
                .to_owned();
        }
        let meant = match word.to_lowercase().as_str() {
            "true" | "yes" | "enabled" | "enable" => "; write \"on\"".to_owned(),
            "false" | "no" | "none" | "disabled" | "disable" | "of" | "" => {
                "; write \"off\"".to_owned()
            }
            _ => did_you_mean(word, self.variants.iter().copied()),
        };
        if meant.is_empty() {
            return format!(
                "this flag has no variant \"{short}\"; it has {}; a new one is introduced with variants = {{ {short} = 1 }}",
                shown(&self.variants.join(", "))
            );
        }
        format!("this flag has no variant \"{short}\"{meant}")
    }

    /// `enabled = 1` is one percent, and is often meant as yes.
    fn small_number(&mut self, written: &Written<'_>) {
        let is_part = |text: &str| {
            let number = text.parse::<f64>();
            number.is_ok_and(|number| number > 0.0 && number <= 1.0)
        };
        let said = match &written.node.value {
            Value::Whole(1) => {
                "enabled = 1 is 1 percent; for all write \"on\", and for 1 percent \"1%\"".to_owned()
            }
            Value::Whole(0) => {
                "enabled = 0 is 0 percent: users and groups still have it; to switch it off for all write \"off\", and for 0 percent \"0%\"".to_owned()
            }
            Value::Real(text) if is_part(text) => format!(
                "enabled = {0} is {0} percent; if so write \"{0}%\", and for one half 50",
                shown(text)
            ),
            _ => return,
        };
        self.doubt(written, said);
    }

    fn shares(&mut self, written: &Written<'_>, table: &Table<'_>) -> Option<Enabled> {
        let mut shares = Vec::with_capacity(table.entries.len());
        for entry in &table.entries {
            shares.extend(self.share_of(written.spot.layer, entry));
        }
        // What can be read may be too much whatever the rest is.
        if let Some(said) = too_much(&shares) {
            self.refuse(written, said);
            return None;
        }
        (shares.len() == table.entries.len()).then_some(Enabled::Shares(shares))
    }

    fn share_of(&mut self, layer: usize, entry: &Entry<'_>) -> Option<(String, Share)> {
        if matches!(entry.node.value, Value::Broken) {
            return None;
        }
        if let Some(said) = variant_name_is_wrong(&entry.key) {
            let spot = Spot::new(layer, entry.at.clone());
            self.findings.flag(self.name, spot, said);
            return None;
        }
        let share = shares::read(&entry.node, &entry.key);
        let share = share.map_err(|said| self.wrong(layer, &entry.node, said));
        Some((entry.key.to_string(), share.ok()?))
    }
}

fn too_much(shares: &[(String, Share)]) -> Option<String> {
    let millionths = shares.iter().map(|(_, share)| share.to_millionths());
    let sum: u64 = millionths.map(u64::from).sum();
    if sum <= u64::from(Share::ALL.to_millionths()) {
        return None;
    }
    let parts: Vec<String> = shares.iter().map(|(_, share)| share.to_string()).collect();
    let sum = format!("{}.{:06}", sum / 1_000_000, sum % 1_000_000);
    let sum = sum.trim_end_matches('0').trim_end_matches('.');
    Some(format!(
        "{} is {sum} percent, over 100; what is left of 100 is off",
        parts.join(" + ")
    ))
}
