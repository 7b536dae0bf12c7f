//! A flag, decided: beside its floors and its peers; whole requests; reloads.

use crate::contestants::{c_abi, flag_peers, flags as ours, floor};
use crate::harness::{Contestant, Effort, Result, Samples, measure};
use crate::report::{self, Row, Unit, verdict};
use std::fmt::Write as _;

/// Measures one set in this process; false if it is none of ours.
pub(crate) fn run(part: &str, effort: Effort) -> Result<bool> {
    match part {
        "flag_reload" => ours::reload(effort)?,
        ours::SPIN => ours::spin(),
        _ => match set(part)? {
            Some(set) => measure(set, effort)?,
            None => return Ok(false),
        },
    }
    Ok(true)
}

fn set(part: &str) -> Result<Option<Vec<Contestant>>> {
    let mut set = ours::floors();
    match part {
        "flags" => {
            set.extend(ours::decisions());
            set.extend(flag_peers::peers());
        }
        "flag_requests" => {
            set.push(floor::floor());
            set.extend(ours::requests());
            set.extend(c_abi::flags()?);
        }
        _ => return Ok(None),
    }
    Ok(Some(set))
}

/// The tables of flags.
pub(crate) fn report(effort: Effort, quick: bool) -> Result<String> {
    let samples = Samples::collect("flags", effort, quick)?;
    let rows = [
        Row::new(ours::HASH),
        Row::new(ours::LOAD),
        Row::new(ours::HANDLE_ON).at_most_ns(3.0),
        Row::new(ours::HANDLE_PERCENT).at_most_ns(6.0),
        Row::new(ours::NAME_ON).at_most_ns(12.0),
        Row::new(ours::NAME_PERCENT).at_most_ns(20.0),
        Row::new(ours::USERS).at_most_ns(25.0),
        Row::new(ours::GROUPS),
        Row::new(ours::CURRENT),
        Row::new(ours::EXPLAIN).at_most_ns(1_000.0),
        Row::new(flag_peers::YGGDRASIL_ON),
        Row::new(flag_peers::YGGDRASIL_PERCENT),
        Row::new(flag_peers::YGGDRASIL_USERS),
        Row::new(flag_peers::LAUNCHDARKLY_ON),
        Row::new(flag_peers::LAUNCHDARKLY_PERCENT),
        Row::new(flag_peers::GROWTHBOOK_ON),
        Row::new(flag_peers::GROWTHBOOK_PERCENT),
    ];
    let title = "A flag of 500, decided; the snapshot and the user are there";
    let mut text = report::table(title, &samples, ours::HASH, Unit::Nanoseconds, &rows)?;
    for (peer, own, least) in [
        (flag_peers::YGGDRASIL_ON, ours::HANDLE_ON, 8.0),
        (flag_peers::YGGDRASIL_PERCENT, ours::HANDLE_PERCENT, 8.0),
        (flag_peers::YGGDRASIL_ON, ours::NAME_ON, 2.5),
        (flag_peers::YGGDRASIL_PERCENT, ours::NAME_PERCENT, 2.5),
    ] {
        if let Some(times) = samples.ratio(peer, own) {
            let verdict = verdict(&format!("≥ {least} ×"), times.median >= least);
            writeln!(text, "{peer} ÷ {own}: {times}  {verdict}")?;
        }
    }
    text.push_str(&requests(effort, quick)?);
    text.push_str(&crate::harness::child("flag_reload", quick)?);
    Ok(text)
}

fn requests(effort: Effort, quick: bool) -> Result<String> {
    if let Err(error) = c_abi::build() {
        eprintln!("C is not measured: {error}");
    }
    let samples = Samples::collect("flag_requests", effort, quick)?;
    let rows = [
        Row::new(ours::LOAD),
        Row::new(ours::COUNT),
        Row::new(ours::SECOND_EACH).at_most_ns(2.0),
        Row::new(ours::SECOND).at_most_ns(2.0),
        Row::new(ours::SECOND_NAME),
        Row::new(ours::SECOND_CURRENT_EACH),
        Row::new(ours::SECOND_CURRENT),
        Row::new(ours::SECOND_HANDLE),
        Row::new(c_abi::FLAG),
        Row::new(c_abi::FLAG_NAME),
        Row::new(ours::FIRST),
        Row::new(ours::EMPTY_5),
        Row::new(ours::EMPTY_5000),
        Row::new(ours::TWENTY),
    ];
    let title = "Flags of a request";
    let mut text = report::table(title, &samples, ours::LOAD, Unit::Nanoseconds, &rows)?;
    if let Some(times) = samples.ratio(ours::EMPTY_5000, ours::EMPTY_5) {
        let verdict = verdict("≤ 1.05 ×", times.median <= 1.05);
        writeln!(
            text,
            "{} ÷ {}: {times}  {verdict}",
            ours::EMPTY_5000,
            ours::EMPTY_5
        )?;
    }
    for (c, rust) in [
        (c_abi::FLAG, ours::SECOND_HANDLE),
        (c_abi::FLAG_NAME, ours::SECOND_NAME),
    ] {
        if let (Some(c_ns), Some(rust_ns)) = (samples.ns(c), samples.ns(rust)) {
            let more = c_ns.median - rust_ns.median;
            let verdict = verdict("≤ 10 ns", more <= 10.0);
            writeln!(text, "{c} − {rust}: {more:.2} ns  {verdict}")?;
        }
    }
    text.push_str(&two_threads(&samples)?);
    Ok(text)
}

/// What two threads do, as many times as one; and what two processes do. Where the two processors of
/// a machine are two threads of one core, nothing does twice as much.
fn two_threads(samples: &Samples) -> Result<String> {
    let times = |both| Some(2.0 / samples.ratio(both, ours::FIRST)?.median);
    let mut text = String::new();
    let (Some(threads), Some(processes)) = (times(ours::TWO_THREADS), times(ours::TWO_PROCESSES))
    else {
        return Ok(text);
    };
    let shared = threads / processes;
    writeln!(
        text,
        "first reads on two threads at once ÷ on one: {threads:.2} × as many  {}",
        verdict("≥ 1.9 ×", threads >= 1.9)
    )?;
    writeln!(
        text,
        "the same in two processes, which share nothing: {processes:.2} ×; threads ÷ processes: {shared:.2}  {}",
        verdict("≥ 0.95", shared >= 0.95)
    )?;
    Ok(text)
}
