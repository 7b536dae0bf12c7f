//! What ioprofiler costs: one command, one run, ratios to the floor.
//!
//! `cargo run --release -p ioprofiler-benches` prints everything. Each part runs in fresh processes
//! of this same program (`--part NAME`), which print samples that the parent turns into rows.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a report is what this is for"
)]

mod allocations;
mod collect;
mod contestants;
mod flags;
mod harness;
mod instructions;
mod log;
mod log_stats;
mod memory;
mod page;
mod rendering;
mod report;
mod scrape;
mod series;
mod spans;

use harness::{Effort, Result};
use std::io::Write as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

/// What can be asked for.
const HELP: &str = "\
usage: ioprofiler-benches [--quick] [--instructions] [spans] [requests] [sizes] [rendering] [flags] [log] [collect] [scrape] [stats] [memory] [page]

Without a name: everything. --quick measures next to nothing, to see that all of it runs.
--instructions counts instructions under valgrind instead of time.
";

/// The tables, in the order they are printed.
const TABLES: [&str; 11] = [
    "spans",
    "requests",
    "sizes",
    "rendering",
    "flags",
    "log",
    "collect",
    "scrape",
    "stats",
    "memory",
    "page",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let quick = words.contains(&"--quick");
    match words[..] {
        ["--part", part, ..] => run_part(part, effort(quick)),
        ["--once", part, name, batches] => instructions::run(part, name, batches.parse()?),
        _ => report(&words, quick),
    }
}

/// The tables that were asked for, or all.
fn report(words: &[&str], quick: bool) -> Result<()> {
    let (options, names): (Vec<&str>, Vec<&str>) =
        words.iter().partition(|word| word.starts_with("--"));
    let known = options
        .iter()
        .all(|option| ["--quick", "--instructions"].contains(option))
        && names.iter().all(|name| TABLES.contains(name));
    if !known {
        return Err(HELP.into());
    }
    let effort = effort(quick);
    if options.contains(&"--instructions") {
        return instructions::report(quick);
    }
    print!("{}", report::head(effort));
    for table in TABLES {
        if names.is_empty() || names.contains(&table) {
            print!("{}", one_table(table, effort, quick)?);
            std::io::stdout().flush()?;
        }
    }
    Ok(())
}

fn one_table(table: &str, effort: Effort, quick: bool) -> Result<String> {
    match table {
        "spans" => spans::spans_table(effort, quick),
        "requests" => spans::requests_table(effort, quick),
        "sizes" => spans::sizes_table(effort, quick),
        "rendering" => rendering::report(effort, quick),
        "flags" => flags::report(effort, quick),
        "log" => log::report(effort, quick),
        "collect" => collect::report(effort, quick),
        "scrape" => scrape::report(effort, quick),
        "stats" => log_stats::report(quick),
        "memory" => Ok(memory::report(quick)? + &series::report(quick)?),
        _ => page::report(quick),
    }
}

/// One part, in this process.
fn run_part(part: &str, effort: Effort) -> Result<()> {
    if spans::run(part, effort)?
        || flags::run(part, effort)?
        || memory::run(part)?
        || series::run(part)?
    {
        return Ok(());
    }
    match part {
        "rendering" => rendering::run(effort),
        "log" => log::run(effort),
        "collect" => collect::run(effort),
        "scrape" => scrape::run(effort),
        other => Err(format!("no part {other}").into()),
    }
}

fn effort(quick: bool) -> Effort {
    if quick { Effort::QUICK } else { Effort::FULL }
}
