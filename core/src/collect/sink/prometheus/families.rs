//! Series → families: each name once, and below it each set of labels once.

use super::names::{Taken, family_of, label, own_family};
use crate::collect::series::{METRICS, Metric, Name, Sample, Series, SeriesKind, Unit, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// A longer value of a label is cut, in characters.
const MAX_VALUE: usize = 256;

/// All of one name.
pub(super) struct Family<'a> {
    /// Without `_total`.
    pub(super) name: String,
    pub(super) kind: SeriesKind,
    pub(super) unit: Unit,
    pub(super) help: Cow<'static, str>,
    pub(super) bounds_ns: &'static [u64],
    pub(super) rows: Vec<Row<'a>>,
    /// Of rows, by their labels.
    places: HashMap<String, usize>,
}

/// One series.
pub(super) struct Row<'a> {
    /// As they are written: `route="/",method="GET"`.
    pub(super) labels: String,
    pub(super) sample: Cow<'a, Sample>,
}

/// What has no family of ours: by kind, then by name.
type Own<'a> = BTreeMap<(u8, String), Family<'a>>;

pub(super) struct Families<'a>(pub(super) Vec<Family<'a>>);

/// What is the same for all series of one version.
struct Around<'a> {
    version: Option<&'a str>,
    worker: Option<&'a str>,
    left_out: &'a [String],
}

impl<'a> Families<'a> {
    pub(super) fn of(series: &'a [Series], worker: Option<&str>, left_out: &[String]) -> Self {
        let mut known: Vec<Family<'a>> =
            METRICS.iter().map(|metric| Family::known(metric)).collect();
        let places: HashMap<&str, usize> = METRICS
            .iter()
            .enumerate()
            .map(|(place, metric)| (metric.name, place))
            .collect();
        let mut own = Own::new();
        for series in series {
            let around = Around {
                version: series.version.as_deref(),
                worker,
                left_out,
            };
            for sample in &series.samples {
                let family = match &sample.name {
                    Name::Known(metric) => places
                        .get(metric.name)
                        .and_then(|place| known.get_mut(*place)),
                    Name::Own(name) => Some(own_of(&mut own, name, sample)),
                };
                if let Some(family) = family {
                    family.add(sample, &around);
                }
            }
        }
        let mut taken = Taken::default();
        for family in &known {
            let _ = taken.take(family.name.clone(), family.kind);
        }
        known.retain(|family| !family.rows.is_empty());
        known.extend(own.into_values().map(|family| Family {
            name: taken.take(family.name, family.kind),
            ..family
        }));
        Self(known)
    }
}

fn own_of<'a, 'b>(own: &'b mut Own<'a>, name: &str, sample: &Sample) -> &'b mut Family<'a> {
    let (kind, rank, word) = match sample.value {
        Value::Counter(_) => (SeriesKind::Counter, 0, "counter"),
        Value::Distribution(_) => (SeriesKind::Distribution, 1, "timing"),
        Value::Gauge { .. } => (SeriesKind::Gauge, 2, "gauge"),
    };
    let family = own_family(name, kind);
    own.entry((rank, family.clone())).or_insert_with(|| Family {
        name: family,
        kind,
        unit: sample.unit(),
        help: format!("A {word} of the application's own: {name}.").into(),
        bounds_ns: sample.bounds_ns(),
        rows: Vec::new(),
        places: HashMap::new(),
    })
}

impl<'a> Family<'a> {
    fn known(metric: &'static Metric) -> Self {
        Self {
            name: family_of(metric),
            kind: metric.kind,
            unit: metric.unit,
            help: metric.help.into(),
            bounds_ns: metric.bounds_ns,
            rows: Vec::new(),
            places: HashMap::new(),
        }
    }

    fn add(&mut self, sample: &'a Sample, around: &Around<'_>) {
        // What another version of ours wrote may be of another kind.
        let fits = matches!(
            (self.kind, &sample.value),
            (SeriesKind::Counter, Value::Counter(_))
                | (SeriesKind::Gauge, Value::Gauge { .. })
                | (SeriesKind::Distribution, Value::Distribution(_))
        );
        if !fits {
            return;
        }
        let labels = self.labels(sample, around);
        match self.places.get(&labels) {
            Some(place) => {
                if let Some(row) = self.rows.get_mut(*place) {
                    row.sample.to_mut().add(sample);
                }
            }
            None => {
                self.places.insert(labels.clone(), self.rows.len());
                let sample = Cow::Borrowed(sample);
                self.rows.push(Row { labels, sample });
            }
        }
    }

    fn labels(&self, sample: &Sample, around: &Around<'_>) -> String {
        let is_own = matches!(sample.name, Name::Own(_));
        let mut names: Vec<String> = Vec::with_capacity(sample.labels.len());
        let mut text = String::new();
        for (name, value) in &sample.labels {
            let left_out = !is_own && around.left_out.iter().any(|label| label == name);
            if value.is_empty() || left_out {
                continue;
            }
            let name = if is_own {
                label(name, self.kind, &names)
            } else {
                name.to_string()
            };
            push(&mut text, &name, value);
            names.push(name);
        }
        for (name, value) in [("version", around.version), ("worker", around.worker)] {
            // One of the series of the same name stays.
            let is_there = names.iter().any(|there| there == name);
            if let Some(value) = value.filter(|value| !value.is_empty() && !is_there) {
                push(&mut text, name, value);
            }
        }
        text
    }
}

fn push(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.push_str(name);
    labels.push_str("=\"");
    for (at, character) in value.chars().enumerate() {
        match character {
            _ if at == MAX_VALUE => {
                labels.push('…');
                break;
            }
            '\\' => labels.push_str("\\\\"),
            '"' => labels.push_str("\\\""),
            '\n' => labels.push_str("\\n"),
            character if character.is_control() => labels.push('\u{fffd}'),
            character => labels.push(character),
        }
    }
    labels.push('"');
}
