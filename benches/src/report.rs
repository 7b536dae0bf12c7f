//! The report: the machine, the method, and rows of figures.

use crate::harness::{Effort, Result, Samples};
use std::fmt::Write as _;
use std::process::Command;

/// One line of a table.
pub(crate) struct Row {
    name: String,
    target: Option<Target>,
}

/// What is to be reached.
enum Target {
    /// At most so many times the floor.
    Ratio(f64),
    /// At most so many nanoseconds.
    Nanoseconds(f64),
}

impl Row {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            target: None,
        }
    }

    pub(crate) fn at_most_floors(mut self, ratio: f64) -> Self {
        self.target = Some(Target::Ratio(ratio));
        self
    }

    pub(crate) fn at_most_ns(mut self, ns: f64) -> Self {
        self.target = Some(Target::Nanoseconds(ns));
        self
    }
}

/// What the figures of a table are printed in.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Nanoseconds,
    Microseconds,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Microseconds => "µs",
        }
    }

    fn ns(self) -> f64 {
        match self {
            Self::Nanoseconds => 1.0,
            Self::Microseconds => 1_000.0,
        }
    }
}

/// The head of the output: what was run, on what, how.
pub(crate) fn head(effort: Effort) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "ioprofiler benchmarks");
    let _ = writeln!(text);
    for (name, value) in machine() {
        let _ = writeln!(text, "{name:<10} {value}");
    }
    let _ = write!(
        text,
        "
method     CPU time of the thread (CLOCK_THREAD_CPUTIME_ID), not wall time: what else the machine
           does is left out. A sample is as many batches as take {sample} ms; contestants take turns,
           one sample each a round, forth and back; {rounds} rounds in each of {processes} fresh processes.
           A figure is the median of the processes' medians, in brackets the lowest and the
           highest of these. Ratios are taken within a round, against the sample of the same round.
           Spans are made in requests of 100, and a request's begin and finish are part of them;
           so are a peer's frame or root. The detail is 79 bytes, unknown to the compiler.
           Background threads (collectors, ours and the peers') are not charged.
           Rust runs under cargo's `release` profile, the shared library under `dist`.
",
        sample = effort.sample_ns as f64 / 1e6,
        rounds = effort.rounds,
        processes = effort.processes,
    );
    text
}

/// What the figures were taken on.
fn machine() -> Vec<(&'static str, String)> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let first = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().ok()?;
        Some(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()?
                .to_owned(),
        )
    };
    let file = |path: &str| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let family = |(name, field_name)| field(field_name).map(|value| format!("{name} {value}"));
    let model: Vec<String> = [
        ("family", "cpu family"),
        ("model", "model\t"),
        ("MHz", "cpu MHz"),
    ]
    .into_iter()
    .filter_map(family)
    .collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        (
            "cpu",
            format!("{} ({})", or_unknown(field("model name")), model.join(", ")),
        ),
        (
            "cores",
            format!(
                "{cores}, load average {}",
                or_unknown(file("/proc/loadavg"))
            ),
        ),
        ("kernel", or_unknown(first("uname", "-srm"))),
        (
            "clock",
            or_unknown(file(
                "/sys/devices/system/clocksource/clocksource0/current_clocksource",
            )),
        ),
        ("rustc", or_unknown(first("rustc", "-V"))),
        ("cc", or_unknown(first("cc", "--version"))),
    ]
}

/// A table of rows, each in `unit` and as a ratio to `base`.
pub(crate) fn table(
    title: &str,
    samples: &Samples,
    base: &str,
    unit: Unit,
    rows: &[Row],
) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "\n{title}\n{:<58}{:>26}{:>24}",
        "",
        unit.name(),
        "× floor"
    )?;
    for Row { name, target } in rows {
        let (Some(ns), Some(ratio)) = (samples.ns(name), samples.ratio(name, base)) else {
            writeln!(text, "{name:<58}{:>26}", "not measured")?;
            continue;
        };
        let figure = ns.scaled(1.0 / unit.ns());
        let (figure, floors) = (figure.to_string(), ratio.to_string());
        write!(text, "{name:<58}{figure:>26}{floors:>24}")?;
        match target {
            Some(Target::Ratio(most)) => {
                write!(
                    text,
                    "  {}",
                    verdict(&format!("≤ {most} ×"), ratio.median <= *most)
                )?;
            }
            Some(Target::Nanoseconds(most)) => {
                let shown = format!("≤ {} {}", most / unit.ns(), unit.name());
                write!(text, "  {}", verdict(&shown, ns.median <= *most))?;
            }
            None => {}
        }
        writeln!(text)?;
    }
    Ok(text)
}

/// What was to be reached, and whether it was.
pub(crate) fn verdict(target: &str, reached: bool) -> String {
    format!("{target}: {}", if reached { "reached" } else { "MISSED" })
}
