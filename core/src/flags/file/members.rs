//! `users` and `groups`: who gets what, or a list of those who have it on.

use super::flag::{Reader, Written};
use super::node::{Node, Value};
use super::problem::shown;
use super::shares;

type Members = Vec<(String, String)>;

impl Reader<'_> {
    pub(super) fn members(&mut self, written: &Written<'_>, example: &str) -> Members {
        let said = match &written.node.value {
            Value::Table(table) => {
                let entries = table.entries.iter();
                let members = entries.filter_map(|entry| {
                    let variant = self.member(written, &entry.key, &entry.node)?;
                    Some((entry.key.to_string(), variant))
                });
                return members.collect();
            }
            Value::List(list) => {
                let names = list.iter();
                let names = names.filter_map(|item| self.listed(written, item, example));
                return names.map(|name| (name, "on".to_owned())).collect();
            }
            Value::Text(name) => format!(
                "{0} is one name; write {0} = {{ \"{1}\" = \"on\" }}",
                written.key,
                shown(name)
            ),
            _ => format!(
                "{0} is {1}; write {0} = {{ \"{example}\" = \"on\" }}",
                written.key,
                written.node.kind()
            ),
        };
        self.refuse(written, said);
        Members::new()
    }

    fn listed(&mut self, written: &Written<'_>, item: &Node<'_>, example: &str) -> Option<String> {
        match &item.value {
            Value::Text(name) => Some(name.to_string()),
            Value::Whole(number) => Some(number.to_string()),
            Value::Broken => None,
            _ => {
                let said = format!("{} in a list of names; write \"{example}\"", item.kind());
                self.wrong(written.spot.layer, item, said);
                None
            }
        }
    }

    /// What somebody gets: a variant, or the code unseen.
    fn member(&mut self, written: &Written<'_>, who: &str, node: &Node<'_>) -> Option<String> {
        match &node.value {
            Value::Broken => None,
            Value::Bool(true) => Some("on".to_owned()),
            Value::Bool(false) => Some("off".to_owned()),
            Value::Text(word) if *word == "dark" || self.variants.contains(&&**word) => {
                Some(word.to_string())
            }
            _ => {
                let said = self.no_member(&format!("\"{}\"", shown(who)), node);
                self.wrong(written.spot.layer, node, said);
                None
            }
        }
    }

    fn no_member(&self, who: &str, node: &Node<'_>) -> String {
        match &node.value {
            Value::Text(word) if !shares::looks_like(word) => self.no_variant(word, who),
            Value::Text(_) | Value::Whole(_) | Value::Real(_) => {
                format!("a percentage of {who} cannot be had; write {who} = \"on\"")
            }
            Value::List(_) => {
                format!("the variant comes second; write each of these names = {who}")
            }
            _ => format!("{} is no variant; write {who} = \"on\"", node.kind()),
        }
    }
}
