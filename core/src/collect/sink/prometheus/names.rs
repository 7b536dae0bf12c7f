//! What series are called: letters, digits and `_`, with the unit and, of counters, `_total` behind.

use crate::collect::series::{Metric, SeriesKind, Unit};
use std::collections::HashSet;

/// Own metrics have no names that begin so: those are ours, and the server's own.
const RESERVED: [&str; 2] = ["ioprofiler_", "scrape_"];
/// The server's own series of each target.
const UP: &str = "up";

/// The family of one of our metrics; of a counter without `_total`.
pub(crate) fn family_of(metric: &Metric) -> String {
    let name = metric.name.replace('.', "_");
    with_unit(format!("ioprofiler_{name}"), metric.unit)
}

/// The family of a metric of the application's own, before it is looked whether others are called so.
pub(super) fn own_family(name: &str, kind: SeriesKind) -> String {
    let mut family = safe(name, "unnamed");
    if family == UP || RESERVED.iter().any(|reserved| family.starts_with(reserved)) {
        family.insert_str(0, "own_");
    }
    match kind {
        SeriesKind::Counter => match family.strip_suffix("_total") {
            Some(before) if !before.is_empty() => before.to_owned(),
            _ => family,
        },
        SeriesKind::Gauge => family,
        SeriesKind::Distribution => with_unit(family, Unit::Time),
    }
}

fn with_unit(name: String, unit: Unit) -> String {
    match unit_word(unit) {
        Some(unit) if !name.ends_with(&format!("_{unit}")) => format!("{name}_{unit}"),
        _ => name,
    }
}

pub(super) fn unit_word(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Count => None,
        Unit::Time => Some("seconds"),
        Unit::Bytes => Some("bytes"),
    }
}

/// The name of a label, and of none of those before it. `le` is the histogram's own, and two `_` at the
/// beginning are the server's.
pub(super) fn label(name: &str, kind: SeriesKind, before: &[String]) -> String {
    let safe = safe(name, "label");
    let safe = match safe.trim_start_matches('_') {
        "le" if kind == SeriesKind::Distribution => "exported_le".to_owned(),
        trimmed if safe.starts_with("__") => format!("_{trimmed}"),
        _ => safe,
    };
    unlike(safe, |name| before.iter().any(|there| there == name))
}

/// A name with a number behind it, where without one it is taken.
fn unlike(name: String, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(&name) {
        return name;
    }
    (2..)
        .map(|number: u32| format!("{name}_{number}"))
        .find(|name| !is_taken(name))
        .unwrap_or(name)
}

/// What is no letter, digit or `_` becomes `_`, several in a row one; a digit does not begin a name.
fn safe(text: &str, otherwise: &str) -> String {
    let mut name = String::with_capacity(text.len() + 1);
    let mut replaced = false;
    for character in text.chars() {
        let is_plain = character.is_ascii_alphanumeric() || character == '_';
        if name.is_empty() && character.is_ascii_digit() {
            name.push('_');
        }
        if is_plain {
            name.push(character);
        } else if !replaced && !name.is_empty() {
            name.push('_');
        }
        replaced = !is_plain;
    }
    if replaced {
        name.truncate(name.trim_end_matches('_').len());
    }
    if name.is_empty() {
        otherwise.clone_into(&mut name);
    }
    name
}

/// The names that are given already. Of two kinds of own metrics that are called the same, counters keep
/// the name, then timings; the others get their kind behind it: `queue_gauge`.
#[derive(Default)]
pub(super) struct Taken(HashSet<String>);

impl Taken {
    /// Every name that a family's samples can have.
    fn names(family: &str, kind: SeriesKind) -> Vec<String> {
        let endings: &[&str] = match kind {
            SeriesKind::Counter => &["", "_total", "_created"],
            SeriesKind::Gauge => &[""],
            SeriesKind::Distribution => &["", "_bucket", "_sum", "_count", "_created"],
        };
        let names = endings.iter().map(|ending| format!("{family}{ending}"));
        names.collect()
    }

    fn is_free(&self, family: &str, kind: SeriesKind) -> bool {
        let names = Self::names(family, kind);
        !names.iter().any(|name| self.0.contains(name))
    }

    /// Gives a family its name.
    pub(super) fn take(&mut self, wanted: String, kind: SeriesKind) -> String {
        let name = if self.is_free(&wanted, kind) {
            wanted
        } else {
            let (before, behind) = match kind {
                SeriesKind::Counter => (&*wanted, "_counter"),
                SeriesKind::Gauge => (&*wanted, "_gauge"),
                // The unit stays behind.
                SeriesKind::Distribution => {
                    let before = wanted.strip_suffix("_seconds");
                    (before.unwrap_or(&wanted), "_timing_seconds")
                }
            };
            unlike(format!("{before}{behind}"), |name| {
                !self.is_free(name, kind)
            })
        };
        self.0.extend(Self::names(&name, kind));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [SeriesKind; 3] = [
        SeriesKind::Counter,
        SeriesKind::Gauge,
        SeriesKind::Distribution,
    ];

    #[test]
    fn own_names_are_made_safe() {
        for (name, families) in [
            (
                "registrations",
                ["registrations", "registrations", "registrations_seconds"],
            ),
            ("mail.sent", ["mail_sent", "mail_sent", "mail_sent_seconds"]),
            ("jobs_total", ["jobs", "jobs_total", "jobs_total_seconds"]),
            ("_total", ["_total", "_total", "_total_seconds"]),
            (
                "mail_seconds",
                ["mail_seconds", "mail_seconds", "mail_seconds"],
            ),
            ("a b\n\"c\"{}", ["a_b_c", "a_b_c", "a_b_c_seconds"]),
            ("a__b", ["a__b", "a__b", "a__b_seconds"]),
            ("4xx", ["_4xx", "_4xx", "_4xx_seconds"]),
            ("ü", ["unnamed", "unnamed", "unnamed_seconds"]),
            ("a:b", ["a_b", "a_b", "a_b_seconds"]),
            ("up", ["own_up", "own_up", "own_up_seconds"]),
            (
                "ioprofiler.request.live",
                [
                    "own_ioprofiler_request_live",
                    "own_ioprofiler_request_live",
                    "own_ioprofiler_request_live_seconds",
                ],
            ),
            (
                "scrape.duration",
                [
                    "own_scrape_duration",
                    "own_scrape_duration",
                    "own_scrape_duration_seconds",
                ],
            ),
        ] {
            assert_eq!(KINDS.map(|kind| own_family(name, kind)), families, "{name}");
        }
    }

    #[test]
    fn labels_are_made_safe_and_different() {
        let mut before = Vec::new();
        for (name, made) in [
            ("plan", "plan"),
            ("a-b", "a_b"),
            ("a.b", "a_b_2"),
            ("a b", "a_b_3"),
            ("__name__", "_name__"),
            ("le", "exported_le"),
            ("_le", "exported_le_2"),
            ("7", "_7"),
            ("ü", "label"),
        ] {
            let label = label(name, SeriesKind::Distribution, &before);
            assert_eq!(label, made, "{name}");
            before.push(label);
        }
        assert_eq!(label("le", SeriesKind::Counter, &[]), "le");
    }

    #[test]
    fn no_two_families_share_a_name() {
        let mut taken = Taken::default();
        let mut take = |name: &str, kind| taken.take(own_family(name, kind), kind);
        assert_eq!(take("queue", SeriesKind::Counter), "queue");
        assert_eq!(
            take("queue_created", SeriesKind::Counter),
            "queue_created_counter"
        );
        assert_eq!(take("queue", SeriesKind::Distribution), "queue_seconds");
        assert_eq!(take("queue", SeriesKind::Gauge), "queue_gauge");
        assert_eq!(take("queue_gauge", SeriesKind::Gauge), "queue_gauge_gauge");
        assert_eq!(take("queue_total", SeriesKind::Gauge), "queue_total_gauge");
        assert_eq!(
            take("queue_seconds_count", SeriesKind::Gauge),
            "queue_seconds_count_gauge"
        );
        assert_eq!(
            take("other_seconds_sum", SeriesKind::Gauge),
            "other_seconds_sum"
        );
        assert_eq!(
            take("other", SeriesKind::Distribution),
            "other_timing_seconds"
        );
        assert_eq!(
            take("other_timing", SeriesKind::Distribution),
            "other_timing_timing_seconds"
        );
    }
}
