//! The report: the machine, the method, and rows of figures.

use crate::harness::{Effort, Result, Samples, Spread};
use std::fmt::Write as _;
use std::process::Command;

/// One line of a table.
pub(crate) struct Row {
    pub(crate) name: String,
    /// What is to be reached, as it is printed, and whether the figure is.
    pub(crate) target: Option<(String, bool)>,
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
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
    };
    let file = |path: &str| Some(std::fs::read_to_string(path).ok()?.trim().to_owned());
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let family = |(name, field_name)| field(field_name).map(|value| format!("{name} {value}"));
    let model: Vec<String> = [("family", "cpu family"), ("model", "model\t"), ("MHz", "cpu MHz")]
        .into_iter()
        .filter_map(family)
        .collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("cpu", format!("{} ({})", or_unknown(field("model name")), model.join(", "))),
        ("cores", format!("{cores}, load average {}", or_unknown(file("/proc/loadavg")))),
        ("kernel", or_unknown(first("uname", "-srm"))),
        ("clock", or_unknown(file("/sys/devices/system/clocksource/clocksource0/current_clocksource"))),
        ("rustc", or_unknown(first("rustc", "-V"))),
        ("cc", or_unknown(first("cc", "--version"))),
    ]
}

/// A table of rows as nanoseconds and as ratios to `base`.
pub(crate) fn table(title: &str, samples: &Samples, base: &str, rows: &[Row]) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "\n{title}\n{:<58}{:>24}{:>24}", "", "ns", "× floor")?;
    for row in rows {
        let Some(ns) = samples.ns(&row.name) else {
            writeln!(text, "{:<58}{:>24}", row.name, "not measured")?;
            continue;
        };
        let ratio = samples.ratio(&row.name, base);
        let ratio = ratio.as_ref().map(|ratio| spread(ratio, 2)).unwrap_or_default();
        write!(text, "{:<58}{:>24}{ratio:>24}", row.name, spread(&ns, decimals(ns.median)))?;
        if let Some((target, reached)) = &row.target {
            write!(text, "  {target}: {}", if *reached { "reached" } else { "MISSED" })?;
        }
        writeln!(text)?;
    }
    Ok(text)
}

/// `1.04 [1.02–1.10]`.
pub(crate) fn spread(value: &Spread, decimals: usize) -> String {
    format!(
        "{:.decimals$} [{:.decimals$}–{:.decimals$}]",
        value.median, value.low, value.high
    )
}

/// As many decimals as a figure of this size bears.
fn decimals(ns: f64) -> usize {
    match ns {
        small if small < 10.0 => 2,
        middle if middle < 1_000.0 => 1,
        _ => 0,
    }
}
