//! What ioprofiler costs: one command, one run, ratios to the floor.
//!
//! `cargo run --release -p ioprofiler-benches` prints everything. Each part runs in fresh processes
//! of this same program (`--part NAME`), which print samples that the parent turns into rows.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a report is what this is for")]

mod allocations;
mod contestants;
mod harness;
mod report;
mod spans;

use harness::{Effort, Result};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let part = arguments.iter().skip_while(|argument| *argument != "--part").nth(1);
    let outcome = match part {
        Some(part) => run_part(part, quick),
        None => report_all(quick),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The whole report.
fn report_all(quick: bool) -> Result<()> {
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    print!("{}", report::head(effort));
    print!("{}", spans::report(effort, quick)?);
    Ok(())
}

/// One part, in this process.
fn run_part(part: &str, quick: bool) -> Result<()> {
    let effort = if quick { Effort::QUICK } else { Effort::FULL };
    match part {
        "spans" => spans::run(effort),
        other => Err(format!("no part {other}").into()),
    }
}
