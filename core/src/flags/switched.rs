//! What was switched, as events: old → new. Told once, by whoever switched it: a command that wrote
//! a file, or a program that set its flags itself. Processes that only read the file say nothing.

use super::model::{Document, FlagSpec};
use super::snapshot::Change;
use crate::collect::{Event, EventKind};

/// A flag that no document knows.
const UNKNOWN: &str = "unknown";

impl Document {
    /// What is switched in a newer document, an event each: what is shed, then flags by name. Of a
    /// flag whose `enabled` is what it was, `to` says which of the other keys decide otherwise:
    /// `10%, other groups`.
    ///
    /// ```
    /// use ioprofiler::flags::{Document, Enabled, FlagSpec, Shed};
    /// let mut before = Document::default();
    /// before.flags.push(FlagSpec::new("new_search"));
    /// let mut after = before.clone();
    /// after.flags[0].enabled = Enabled::Off;
    /// after.shed = Some(Shed::from(7));
    /// let said: Vec<String> = before.switched(&after).iter().map(ToString::to_string).collect();
    /// assert_eq!(said, ["shed: none → 7", "flag new_search: 0% → off"]);
    /// ```
    #[must_use]
    pub fn switched(&self, newer: &Self) -> Vec<Event> {
        let flags = Change::all(&self.flags, &newer.flags);
        let flags = flags.iter().filter_map(of_flag);
        of_shed(self, newer).into_iter().chain(flags).collect()
    }
}

fn of_shed(before: &Document, after: &Document) -> Option<Event> {
    let from = |document: &Document| document.shed.as_ref().map(|shed| shed.from);
    let (old, new) = (from(before), from(after));
    if old == new {
        return None;
    }
    let in_words =
        |from: Option<u8>| from.map_or_else(|| "none".to_owned(), |from| from.to_string());
    let mut event = Event::new(EventKind::Shed, "").change(&in_words(old), &in_words(new));
    if let Some(shed) = &after.shed {
        event.who = shed.by.clone();
        event.why = shed.why.clone();
    }
    Some(event)
}

fn of_flag(change: &Change<'_>) -> Option<Event> {
    let in_words = |flag: Option<&FlagSpec>| {
        flag.map_or_else(|| UNKNOWN.to_owned(), |flag| flag.enabled.to_string())
    };
    let (from, mut to) = (in_words(change.before), in_words(change.after));
    if let (Some(before), Some(after)) = (change.before, change.after)
        && before.enabled == after.enabled
    {
        let others = before.decides_otherwise_by(after);
        if others.is_empty() {
            return None;
        }
        to = format!("{to}, other {}", others.join(", "));
    }
    Some(Event::new(EventKind::Flag, change.flag).change(&from, &to))
}
