//! `ioprofiler series`: everything that was counted, as tables.

use ioprofiler::collect::series::{Distribution, Sample, Series, Unit, Value};
use ioprofiler::collect::state::merged_series;
use ioprofiler::flags::file::did_you_mean;
use ioprofiler::render::shown::thousands;
use serde_json::json;

use super::Common;
use super::table::{Column, Paint, Paper, Table, cut, json as to_json, shown};
use super::when::{Now, age};
use crate::Done;
use crate::options::{Options, Wrong};

const HELP: &str = "\
usage: ioprofiler series [NAME] [--json]

Prints everything that the processes counted since they began, those that have
ended included: by version of the application, and a table for each name. NAME
is the beginning of a name: request, call.duration. Durations are in
milliseconds.

  --json           for a program, durations in nanoseconds
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "NAME, --json, --state-dir";
const NS_PER_MS: f64 = 1e6;
const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let common = Common::parse(options, Some("NAME"), ALLOWED, |_, _| Ok(false))?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let mut folder = common.folder()?;
    let name = common.word.as_deref().unwrap_or_default();
    let mut all = folder.read(|path| Ok(merged_series(path)))?;
    let samples = all.iter().flat_map(|series| &series.samples);
    let meant = did_you_mean(name, samples.map(|sample| sample.name.as_str()));
    for series in &mut all {
        series
            .samples
            .retain(|sample| sample.name.as_str().starts_with(name));
    }
    all.retain(|series| !series.samples.is_empty());
    // What belongs to no version is last.
    all.sort_by_key(|series| series.version.is_none());
    let mut done = Done::said(if common.json {
        to_json(&json!({"series": all, "passed_over": folder.passed_over()}))
    } else {
        text(&all, &Now::new())
    });
    if all.is_empty() && !common.json {
        done.remarks = match name {
            "" => "nothing was counted yet\n".to_owned(),
            name => format!("nothing is called {}{meant}\n", shown(name)),
        };
    }
    done.remarks.push_str(&folder.remark());
    Ok(done)
}

fn text(all: &[Series], now: &Now) -> String {
    let paper = Paper::stdout();
    let mut lines = Vec::new();
    for series in all {
        let title = match &series.version {
            Some(version) => format!("version {}", shown(version)),
            None => "of the processes, whatever their version".to_owned(),
        };
        let line = format!(
            "{title}, from {} to {}",
            now.clock_or_day(series.since),
            now.clock_or_day(series.at)
        );
        lines.push(Paint::Bold.on(&line, paper.colours));
        for samples in series.samples.chunk_by(|a, b| a.name == b.name) {
            lines.push(String::new());
            lines.extend(family(samples, now, paper));
        }
        lines.push(String::new());
    }
    lines.pop();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// All series of one name.
fn family(samples: &[Sample], now: &Now, paper: Paper) -> Vec<String> {
    let Some(first) = samples.first() else {
        return Vec::new();
    };
    let metric = first.name.metric();
    let help = metric.map_or_else(String::new, |metric| format!(": {}", metric.help));
    let unit = match &first.value {
        Value::Distribution(_) => ", ms",
        _ => "",
    };
    let line = format!("{}{unit}{help}", shown(first.name.as_str()));
    let mut lines = vec![paper.width.map_or(line.clone(), |width| cut(&line, width))];
    let names: Vec<String> = first
        .labels
        .iter()
        .map(|(name, _)| name.to_uppercase())
        .collect();
    let title = match metric {
        Some(_) if !names.is_empty() => shown(&names.join(" ")),
        _ => "LABELS".to_owned(),
    };
    let mut columns = vec![Column::left(title).cut_to(16)];
    match &first.value {
        Value::Distribution(_) => {
            let titles = ["COUNT", "MEAN", "P50", "P95", "P99", "MAX"];
            columns.extend(titles.map(Column::right));
        }
        _ => columns.push(Column::right("VALUE")),
    }
    let mut table = Table::new(columns);
    for sample in samples {
        let mut cells = vec![labels(sample)];
        match &sample.value {
            Value::Distribution(counted) => cells.extend(figures(counted)),
            _ => cells.push(value(sample, now)),
        }
        table.row(cells, Paint::Plain);
    }
    lines.extend(table.lines(paper));
    lines
}

/// `web /listing/{id} GET 200 ok`; the application's own with their names.
fn labels(sample: &Sample) -> String {
    let is_own = sample.name.metric().is_none();
    let labels = sample
        .labels
        .iter()
        .map(|(name, value)| match (is_own, &**value) {
            (true, value) => format!("{name}={value}"),
            (false, "") => "-".to_owned(),
            (false, value) => value.to_owned(),
        });
    let labels: Vec<String> = labels.collect();
    if labels.is_empty() {
        return "-".to_owned();
    }
    shown(&labels.join(" "))
}

fn figures(counted: &Distribution) -> Vec<String> {
    let mut figures = vec![thousands(counted.count), in_ms(counted.mean_ns())];
    for share in QUANTILES {
        figures.push(in_ms(counted.quantile_ns(share)));
    }
    figures.push(in_ms(counted.max_ns()));
    figures
}

/// Milliseconds with as many digits as mean something.
fn in_ms(ns: Option<u64>) -> String {
    let Some(ns) = ns else { return "-".to_owned() };
    let ms = ns as f64 / NS_PER_MS;
    match ms {
        ..9.9995 => format!("{ms:.3}"),
        ..99.995 => format!("{ms:.2}"),
        ..999.95 => format!("{ms:.1}"),
        _ => thousands(ms.round() as u64),
    }
}

fn value(sample: &Sample, now: &Now) -> String {
    match (&sample.value, sample.unit()) {
        (Value::Counter(ns), Unit::Time) => age(*ns),
        (Value::Counter(bytes), Unit::Bytes) => mib(*bytes as f64),
        (Value::Counter(count), _) => thousands(*count),
        (Value::Gauge { value, .. }, Unit::Time) => {
            let ns = (value.max(0.0) * 1e9) as u64;
            // A moment, where all others are ages.
            if sample.name.as_str().ends_with("timestamp") {
                now.clock_or_day(ns)
            } else {
                age(ns)
            }
        }
        (Value::Gauge { value, .. }, Unit::Bytes) => mib(*value),
        (Value::Gauge { value, .. }, _) => format!("{value}"),
        (_, _) => "-".to_owned(),
    }
}

fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1_048_576.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_have_four_digits() {
        for (ns, wanted) in [
            (902, "0.001"),
            (902_000, "0.902"),
            (9_999_900, "10.00"),
            (12_345_678, "12.35"),
            (123_456_789, "123.5"),
            (999_990_000, "1,000"),
            (28_134_000_000, "28,134"),
        ] {
            assert_eq!(in_ms(Some(ns)), wanted);
        }
        assert_eq!(in_ms(None), "-");
    }
}
