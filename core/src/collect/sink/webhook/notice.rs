//! What people are told, one thing or several.

use crate::clock;
use crate::collect::{Event, EventKind, LogEvent};
use crate::fork;
use crate::text::{cut_str, is_unsafe_to_show};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A longer text is cut.
const MAX_TEXT: usize = 1_000;
/// Of several, so many are told one by one.
const MOST_TOLD: usize = 10;

/// One notice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notice {
    pub(super) kind: Cow<'static, str>,
    pub(super) text: String,
    pub(super) what: String,
    pub(super) who: String,
    pub(super) why: String,
    pub(super) version: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) host: String,
    /// Nanoseconds since 1970.
    pub(super) at: u64,
    pub(super) count: u64,
}

impl Notice {
    pub(super) fn of_event(event: &Event) -> Self {
        // Those of operators may hold links and mentions that are meant.
        let made_safe = if event.kind == EventKind::Own {
            harmless
        } else {
            shown
        };
        let part = |part: &Option<String>| made_safe(part.as_deref().unwrap_or_default());
        Self {
            kind: Cow::Borrowed(event.kind.as_str()),
            text: made_safe(&event.to_string()),
            what: made_safe(&event.what),
            who: part(&event.who),
            why: part(&event.why),
            version: part(&event.version),
            from: part(&event.from),
            to: part(&event.to),
            host: shown(&event.host),
            at: event.at,
            count: 1,
        }
    }

    pub(super) fn of_alert(event: &LogEvent) -> Self {
        let message = harmless(&event.message);
        Self {
            kind: Cow::Borrowed(event.kind),
            text: format!("{}: {message}", event.kind),
            what: message,
            host: shown(&fork::host_name()),
            at: clock::wall(),
            count: 1,
            ..Self::default()
        }
    }
}

/// In a line, and without what changes how the text around it looks.
fn shown(text: &str) -> String {
    let made: String = text
        .chars()
        .map(|character| match character {
            character if is_unsafe_to_show(character) => ' ',
            character => character,
        })
        .collect();
    cut_str(&made, MAX_TEXT).to_owned()
}

/// As [`shown`], and without what chat servers take for a command.
fn harmless(text: &str) -> String {
    shown(text)
        .replace('<', "‹")
        .replace('>', "›")
        .replace('@', "＠")
}

pub(super) fn write(notices: &[Notice]) -> Vec<u8> {
    // Neither the lists nor the writer can fail: keys are names of fields, memory takes all.
    serde_json::to_vec(notices).unwrap_or_default()
}

pub(super) fn read(bytes: &[u8]) -> Vec<Notice> {
    serde_json::from_slice(bytes).unwrap_or_default()
}

/// Several as one: the first of them line by line, and how many there were.
pub(super) fn together(notices: Vec<Notice>) -> Notice {
    let count = notices.len();
    let mut lines: Vec<&str> = notices
        .iter()
        .take(MOST_TOLD)
        .map(|notice| &*notice.text)
        .collect();
    let more = format!("and {} more", count.saturating_sub(MOST_TOLD));
    if count > MOST_TOLD {
        lines.push(&more);
    }
    let several = Notice {
        kind: Cow::Borrowed("several"),
        text: format!("{count} notices: {}", lines.join("; ")),
        what: format!("{count} notices"),
        count: count as u64,
        ..Notice::default()
    };
    let mut notices = notices;
    match (notices.pop(), count) {
        (Some(only), 1) => only,
        (last, _) => {
            let (host, at) = last.map(|last| (last.host, last.at)).unwrap_or_default();
            Notice {
                host,
                at,
                ..several
            }
        }
    }
}
