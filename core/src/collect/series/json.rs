//! Series as JSON: how the processes of one `state_dir` tell each other what they counted.
//!
//! ```text
//! {"version":"8c1f","since":…,"at":…,"samples":[["request.io",["web","/"],1200], …]}
//! ```
//!
//! A sample is its name, its labels (values only: the metric names them; of the application's own
//! metrics names and values in turn, and the name has `=` before it) and its value: a number, a
//! gauge `{"g":1.5,"t":…}`, or a distribution `{"n":2,"s":3000,"b":[[1,1],[2,1]]}`. What a reader
//! does not know it leaves out: it may be of another version.

use super::{Distribution, Name, Sample, Series, Value, find};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(crate) struct SeriesJson<'a> {
    version: Option<Cow<'a, str>>,
    since: u64,
    at: u64,
    samples: Vec<SampleJson<'a>>,
}

#[derive(Serialize, Deserialize)]
struct SampleJson<'a>(Cow<'a, str>, Vec<Cow<'a, str>>, ValueJson<'a>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum ValueJson<'a> {
    Counter(u64),
    Gauge { g: f64, t: u64 },
    Distribution(Cow<'a, Distribution>),
}

impl<'a> SeriesJson<'a> {
    pub(crate) fn of(series: &'a Series) -> Self {
        Self {
            version: series.version.as_deref().map(Cow::Borrowed),
            since: series.since,
            at: series.at,
            samples: series.samples.iter().map(SampleJson::of).collect(),
        }
    }

    pub(crate) fn into_series(self) -> Series {
        let mut series = Series {
            version: self.version.map(Arc::from),
            since: self.since,
            at: self.at,
            samples: self
                .samples
                .into_iter()
                .filter_map(SampleJson::into_sample)
                .collect(),
        };
        // Another version may have another order.
        series.sort();
        series
    }
}

impl<'a> SampleJson<'a> {
    fn of(sample: &'a Sample) -> Self {
        let values = sample.labels.iter();
        let (name, labels) = match &sample.name {
            Name::Known(metric) => (
                Cow::Borrowed(metric.name),
                values.map(|(_, value)| Cow::Borrowed(&**value)).collect(),
            ),
            Name::Own(name) => (
                Cow::Owned(format!("={name}")),
                values
                    .flat_map(|(name, value)| [Cow::Borrowed(&**name), Cow::Borrowed(&**value)])
                    .collect(),
            ),
        };
        let value = match &sample.value {
            Value::Counter(count) => ValueJson::Counter(*count),
            // JSON has no infinity, and would not be read back.
            Value::Gauge { value, set_at } => ValueJson::Gauge {
                g: if value.is_finite() { *value } else { 0.0 },
                t: *set_at,
            },
            Value::Distribution(counted) => ValueJson::Distribution(Cow::Borrowed(counted)),
        };
        Self(name, labels, value)
    }

    fn into_sample(self) -> Option<Sample> {
        let Self(name, labels, value) = self;
        let (name, labels) = match name.strip_prefix('=') {
            Some(own) => {
                let pairs = labels.chunks_exact(2).filter_map(|pair| match pair {
                    [name, value] => Some((Cow::Owned(name.to_string()), Arc::from(&**value))),
                    _ => None,
                });
                (Name::Own(Arc::from(own)), pairs.collect())
            }
            None => {
                let metric = find(&name)?;
                let names = metric.labels.iter().map(|name| Cow::Borrowed(*name));
                if metric.labels.len() != labels.len() {
                    return None;
                }
                let values = labels.iter().map(|value| Arc::from(&**value));
                (Name::Known(metric), names.zip(values).collect())
            }
        };
        let value = match value {
            ValueJson::Counter(count) => Value::Counter(count),
            ValueJson::Gauge { g, t } => Value::Gauge {
                value: g,
                set_at: t,
            },
            ValueJson::Distribution(counted) => Value::Distribution(counted.into_owned()),
        };
        Some(Sample {
            name,
            labels,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CALL_DURATION, CALL_HITS, PROCESS_MEMORY};
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        let text = |text: &str| Arc::<str>::from(text);
        let labels = || [text("web"), text("/l\"isting/{id}"), text("dbshard01")];
        let counted = Distribution {
            count: 2,
            sum_ns: 3_000,
            buckets: vec![(1, 1), (2, 1)],
        };
        let gauge = |value| Value::Gauge { value, set_at: 7 };
        let series = Series {
            version: Some(text("8c1f")),
            since: 1,
            at: 2,
            samples: vec![
                Sample::known(&CALL_DURATION, labels(), Value::Distribution(counted)),
                Sample::known(&CALL_HITS, labels(), Value::Counter(u64::MAX)),
                Sample::known(&PROCESS_MEMORY, [], gauge(1.5)),
                Sample {
                    name: Name::Own(text("registrations")),
                    labels: vec![(Cow::Borrowed("plan"), text("pro"))],
                    value: gauge(-2.0),
                },
            ],
        };
        let json = serde_json::to_string(&SeriesJson::of(&series)).unwrap();
        let read: SeriesJson<'_> = serde_json::from_str(&json).unwrap();
        assert_eq!(read.into_series(), series);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let json = r#"{"version":null,"since":1,"at":2,"samples":[
            ["call.hits",["web","/"],3], ["call.later",["a"],4], ["=own",["k"],5]]}"#;
        let read: SeriesJson<'_> = serde_json::from_str(json).unwrap();
        let series = read.into_series();
        assert_eq!(series.samples.len(), 1);
        assert_eq!(series.samples[0].name.as_str(), "own");
        assert!(series.samples[0].labels.is_empty());
    }
}
