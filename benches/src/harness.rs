//! How a figure comes about: CPU time of the thread, samples long enough to trust, contestants
//! that take turns.
//!
//! Other programs may load the machine. CPU time leaves out the time others ran, and turns of a
//! few milliseconds let every contestant meet the same heat, clock rate and neighbours, so ratios
//! within a round hold where nanoseconds do not.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

/// What goes wrong ends the run with a sentence.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// One thing to measure.
pub(crate) struct Contestant {
    /// The row's name, unique within a set.
    pub(crate) name: String,
    /// Operations in one batch: a request of 100 spans is a batch of 100.
    pub(crate) operations: u64,
    /// Runs so many batches and returns the CPU time they took, in nanoseconds.
    pub(crate) run: Box<dyn FnMut(u64) -> u64>,
}

impl Contestant {
    /// A contestant whose batch is a closure on this thread.
    pub(crate) fn new(
        name: impl Into<String>,
        operations: u64,
        mut batch: impl FnMut() + 'static,
    ) -> Self {
        Self::timed(name, operations, move |batches| {
            let start = thread_cpu_ns();
            for _ in 0..batches {
                batch();
            }
            thread_cpu_ns().saturating_sub(start)
        })
    }

    /// A contestant that takes the time itself.
    pub(crate) fn timed(
        name: impl Into<String>,
        operations: u64,
        run: impl FnMut(u64) -> u64 + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            operations,
            run: Box::new(run),
        }
    }
}

/// How much to measure.
#[derive(Clone, Copy)]
pub(crate) struct Effort {
    /// Fresh processes, one after the other: each has its own layout of memory.
    pub(crate) processes: usize,
    /// Rounds in each process; every contestant has one sample a round.
    pub(crate) rounds: usize,
    /// The shortest sample that counts.
    pub(crate) sample_ns: u64,
}

impl Effort {
    /// What the figures are quoted with.
    pub(crate) const FULL: Self = Self {
        processes: 9,
        rounds: 21,
        sample_ns: 1_500_000,
    };
    /// Enough to see that everything runs.
    pub(crate) const QUICK: Self = Self {
        processes: 1,
        rounds: 2,
        sample_ns: 20_000,
    };
}

/// Measures a set within this process and prints its samples for the parent.
pub(crate) fn measure(mut set: Vec<Contestant>, effort: Effort) -> Result<()> {
    let batches: Vec<u64> = set
        .iter_mut()
        .map(|one| calibrate(one, effort.sample_ns))
        .collect();
    let mut out = io::stdout().lock();
    for round in 0..effort.rounds {
        for turn in 0..set.len() {
            // Forth and back, so that nobody always follows the same neighbour.
            let index = if round % 2 == 0 {
                turn
            } else {
                set.len() - 1 - turn
            };
            let (one, batches) = (&mut set[index], batches[index]);
            let ns = (one.run)(batches) as f64 / (batches * one.operations) as f64;
            writeln!(out, "sample\t{}\t{ns}", one.name)?;
        }
    }
    Ok(())
}

/// Batches that take at least `sample_ns`, found by growing; warms everything up on the way.
fn calibrate(one: &mut Contestant, sample_ns: u64) -> u64 {
    let mut batches = 1;
    loop {
        let ns = (one.run)(batches).max(1);
        if ns >= sample_ns {
            return batches;
        }
        // Aim a little past the mark, but do not believe a first, cold batch.
        batches = (batches * sample_ns * 11 / 10 / ns).clamp(batches + 1, batches * 8);
    }
}

/// The samples of a set: name → process → round → nanoseconds an operation.
pub(crate) struct Samples {
    by_name: BTreeMap<String, Vec<Vec<f64>>>,
}

impl Samples {
    /// Runs `part` of this program in fresh processes and collects what they print.
    pub(crate) fn collect(part: &str, effort: Effort, quick: bool) -> Result<Self> {
        let mut by_name: BTreeMap<String, Vec<Vec<f64>>> = BTreeMap::new();
        for process in 0..effort.processes {
            for line in child(part, quick)?.lines() {
                let Some((name, ns)) = line
                    .strip_prefix("sample\t")
                    .and_then(|rest| rest.split_once('\t'))
                else {
                    continue;
                };
                let processes = by_name.entry(name.to_owned()).or_default();
                processes.resize(process + 1, Vec::new());
                processes[process].push(ns.parse()?);
            }
        }
        Ok(Self { by_name })
    }

    /// Nanoseconds an operation: the median of each process.
    pub(crate) fn ns(&self, name: &str) -> Option<Spread> {
        let processes = self.by_name.get(name)?;
        Some(Spread::of(
            processes.iter().map(|rounds| median(rounds)).collect(),
        ))
    }

    /// How many times `base`: the median of each process over ratios taken within a round.
    pub(crate) fn ratio(&self, name: &str, base: &str) -> Option<Spread> {
        let (ours, floors) = (self.by_name.get(name)?, self.by_name.get(base)?);
        let of_process = |(ours, floors): (&Vec<f64>, &Vec<f64>)| {
            let ratios: Vec<f64> = ours.iter().zip(floors).map(|(a, b)| a / b).collect();
            median(&ratios)
        };
        Some(Spread::of(
            ours.iter().zip(floors).map(of_process).collect(),
        ))
    }
}

/// The output of this program run for one part only.
pub(crate) fn child(part: &str, quick: bool) -> Result<String> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--part").arg(part).stderr(Stdio::inherit());
    if quick {
        command.arg("--quick");
    }
    let output = command.output()?;
    if !output.status.success() {
        return Err(format!("part {part}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A median and how far the values it stands for lie apart.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// The same in another unit.
    pub(crate) fn scaled(&self, by: f64) -> Self {
        Self {
            median: self.median * by,
            low: self.low * by,
            high: self.high * by,
        }
    }

    /// Of the values, at least one.
    pub(crate) fn of(values: Vec<f64>) -> Self {
        Self {
            median: median(&values),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

impl fmt::Display for Spread {
    /// `1.04 [1.02–1.10]`, with as many decimals as a figure of its size bears.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = match self.median {
            small if small < 10.0 => 2,
            middle if middle < 1_000.0 => 1,
            _ => 0,
        };
        let text = format!(
            "{:.decimals$} [{:.decimals$}–{:.decimals$}]",
            self.median, self.low, self.high
        );
        out.pad(&text)
    }
}

/// The middle value, or the mean of the two in the middle; not a number when there is none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => sorted[odd / 2],
        even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
    }
}

/// CPU time that this thread has used.
pub(crate) fn thread_cpu_ns() -> u64 {
    clock_ns(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

/// What a clock says, in nanoseconds; `None` for a clock that is not there.
pub(crate) fn clock_ns(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec for the kernel to write to.
    let status = unsafe { libc::clock_gettime(clock, &mut time) };
    (status == 0).then_some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}
