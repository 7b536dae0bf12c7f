//! What a flag says of its variants: their numbers in the log, and their data.

use super::flag::{Reader, Written};
use super::names::{value_or_kind, variant_name_is_wrong};
use super::node::{Entry, Value};
use super::problem::{Spot, shown};
use super::write;

impl Reader<'_> {
    pub(super) fn numbers(&mut self, written: &Written<'_>) -> Vec<(String, u32)> {
        let Some(table) = written.node.as_table() else {
            let said = format!(
                "variants is {}; write variants = {{ blue = 1, green = 2 }}: the numbers logged",
                written.node.kind()
            );
            self.refuse(written, said);
            return Vec::new();
        };
        let layer = written.spot.layer;
        let mut numbers: Vec<(String, u32)> = Vec::with_capacity(table.entries.len());
        for entry in &table.entries {
            if let Some(number) = self.number(layer, entry) {
                self.is_free(layer, entry, number, &numbers);
                numbers.push((entry.key.to_string(), number));
            }
        }
        numbers
    }

    fn number(&mut self, layer: usize, entry: &Entry<'_>) -> Option<u32> {
        let number = match &entry.node.value {
            Value::Broken => return None,
            Value::Whole(number) => u32::try_from(*number).ok(),
            _ => None,
        };
        if number.is_none() {
            let said = format!(
                "{} is {}; write its number in the log, as in {0} = 1",
                shown(&entry.key),
                value_or_kind(&entry.node)
            );
            self.wrong(layer, &entry.node, said);
            return None;
        }
        if let Some(said) = variant_name_is_wrong(&entry.key).filter(|_| entry.key != "off") {
            let spot = Spot::new(layer, entry.at.clone());
            self.findings.flag(self.name, spot, said);
            return None;
        }
        number
    }

    /// A number that two variants have is wrong in the log; the flag works all the same.
    fn is_free(&mut self, layer: usize, entry: &Entry<'_>, number: u32, used: &[(String, u32)]) {
        let said = match used.iter().find(|(_, used)| *used == number) {
            Some((other, _)) => format!(
                "the number {number} is {}'s; give each variant its own, and never one that was used before",
                shown(other)
            ),
            None if number == 0 && entry.key != "off" => {
                "the number 0 is logged for off; give this variant another one".to_owned()
            }
            None => return,
        };
        let spot = Spot::new(layer, entry.node.span.clone());
        self.findings.about(self.name, spot, said);
    }

    /// Variant and JSON text.
    pub(super) fn data(&mut self, written: &Written<'_>) -> Vec<(String, String)> {
        let Some(table) = written.node.as_table() else {
            let said = format!(
                "data is {}; write it by variant, as in data = {{ on = {{ limit = 10 }} }}",
                written.node.kind()
            );
            self.refuse(written, said);
            return Vec::new();
        };
        let layer = written.spot.layer;
        let entries = table.entries.iter();
        let data = entries.filter_map(|entry| {
            if matches!(entry.node.value, Value::Broken) {
                return None;
            }
            if let Err(said) = self.variant(&entry.key, "data") {
                let spot = Spot::new(layer, entry.at.clone());
                self.findings.flag(self.name, spot, said);
                return None;
            }
            let json = write::json_of(&entry.node);
            let json = json.map_err(|said| self.wrong(layer, &entry.node, said));
            Some((entry.key.to_string(), json.ok()?))
        });
        data.collect()
    }
}
