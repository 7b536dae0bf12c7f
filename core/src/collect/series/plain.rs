//! Series as plain data for programs: the command's `--json`, and `series()` of every language.
//!
//! ```text
//! {"version":"8c1f","since":…,"at":…,"samples":[
//!   {"name":"registrations","labels":{"plan":"pro"},"count":3},
//!   {"name":"queue.length","labels":{},"value":17.0},
//!   {"name":"mail.sent","labels":{},"count":1,"sum":…,"mean":…,"p50":…,"p95":…,"p99":…,"max":…}]}
//! ```
//!
//! Moments and durations are in nanoseconds; but gauges of time are in seconds.

use super::{Labels, Sample, Series, Value};
use serde::ser::{Serialize, SerializeMap, SerializeStruct, Serializer};

const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut series = serializer.serialize_struct("Series", 4)?;
        series.serialize_field("version", &self.version.as_deref())?;
        series.serialize_field("since", &self.since)?;
        series.serialize_field("at", &self.at)?;
        series.serialize_field("samples", &self.samples)?;
        series.end()
    }
}

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sample = serializer.serialize_map(None)?;
        sample.serialize_entry("name", self.name.as_str())?;
        sample.serialize_entry("labels", &ByName(&self.labels))?;
        match &self.value {
            Value::Counter(count) => sample.serialize_entry("count", count)?,
            Value::Gauge { value, .. } => sample.serialize_entry("value", value)?,
            Value::Distribution(counted) => {
                sample.serialize_entry("count", &counted.count)?;
                sample.serialize_entry("sum", &counted.sum_ns)?;
                sample.serialize_entry("mean", &counted.mean_ns())?;
                for (name, share) in QUANTILES {
                    sample.serialize_entry(name, &counted.quantile_ns(share))?;
                }
                sample.serialize_entry("max", &counted.max_ns())?;
            }
        }
        sample.end()
    }
}

struct ByName<'a>(&'a Labels);

impl Serialize for ByName<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, &**value)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Distribution, Name};
    use super::*;
    use std::sync::Arc;

    #[test]
    fn series_are_plain_data() {
        let sample = |name: &str, value| Sample {
            name: Name::Own(Arc::from(name)),
            labels: vec![("plan".into(), Arc::from("pro"))],
            value,
        };
        let distribution = Distribution {
            count: 2,
            sum_ns: 3_000,
            buckets: vec![(1, 1), (2, 1)],
        };
        let series = Series {
            version: Some(Arc::from("8c1f")),
            since: 1,
            at: 2,
            samples: vec![
                sample("a", Value::Counter(3)),
                sample(
                    "b",
                    Value::Gauge {
                        value: 1.5,
                        set_at: 7,
                    },
                ),
                sample("c", Value::Distribution(distribution)),
                sample("d", Value::Distribution(Distribution::default())),
            ],
        };
        assert_eq!(
            serde_json::to_string(&series).unwrap(),
            concat!(
                r#"{"version":"8c1f","since":1,"at":2,"samples":["#,
                r#"{"name":"a","labels":{"plan":"pro"},"count":3},"#,
                r#"{"name":"b","labels":{"plan":"pro"},"value":1.5},"#,
                r#"{"name":"c","labels":{"plan":"pro"},"count":2,"sum":3000,"mean":1500,"#,
                r#""p50":1000,"p95":2000,"p99":2000,"max":2000},"#,
                r#"{"name":"d","labels":{"plan":"pro"},"count":0,"sum":0,"mean":null,"#,
                r#""p50":null,"p95":null,"p99":null,"max":null}]}"#,
            )
        );
    }
}
