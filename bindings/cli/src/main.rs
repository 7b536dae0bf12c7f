//! The `ioprofiler` command: what an operator does from a shell.
//!
//! One word for the area, one for the deed (or only that), then options. Results go to stdout, one a line, for
//! pipes; what is only for people goes to stderr. Exit status: 0 done, 1 it says no, 2 wrongly
//! called.
#![allow(clippy::print_stdout, clippy::print_stderr)] // a command is there to print
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

mod flags;
mod gate;
mod log;
mod options;
mod state;
mod time;
mod token;

use std::io::Write as _;
use std::process::ExitCode;

use options::{Options, Wrong};

const HELP: &str = "\
ioprofiler: see every call that one web request made

usage: ioprofiler AREA DEED [OPTIONS]
       ioprofiler DEED [OPTIONS]

  status        is it well? one page
  top           what every worker is in right now, and killed ones were in
  slow, show    slow and failed requests that were kept; one of them
  events        what was done to the site: deploys, flags that were switched
  series        everything that was counted
  metrics       the same, as Prometheus reads it
  deploy        tell that a version of the application went live

  token mint    make a token that lets somebody see profiles
  token check   say whether a token is good, and if not, which part fails
  gate open     open the gate \"this-machine\" of this user, for development
  gate close    close it again
  flags off     switch a flag off for everybody; on, set, shed, clear likewise
  flags list    the flags by priority; status, eval, check likewise
  log stats     what an access log adds up to: rates, percentiles, A/B tests

  --help        this text; after a word: all about it
  --version     the version
";

/// What a command leaves behind.
struct Done {
    /// For stdout.
    out: String,
    /// For stderr.
    remarks: String,
    /// Whether it was a yes.
    yes: bool,
}

fn main() -> ExitCode {
    match run(&mut Options::from_arguments()) {
        Ok(done) => {
            // A reader that has left (`| head -1`) is no failure of ours.
            let _ = std::io::stderr().write_all(done.remarks.as_bytes());
            let _ = std::io::stdout().write_all(done.out.as_bytes());
            ExitCode::from(u8::from(!done.yes))
        }
        Err(Wrong::Usage(message)) => {
            let _ = writeln!(std::io::stderr(), "ioprofiler: {message}");
            ExitCode::from(2)
        }
        Err(Wrong::Failed(message)) => {
            let _ = writeln!(std::io::stderr(), "ioprofiler: {message}");
            ExitCode::from(1)
        }
    }
}

fn run(options: &mut Options) -> Result<Done, Wrong> {
    let area = options.word()?;
    match area.as_deref() {
        Some("token") => token::run(options),
        Some("gate") => gate::run(options),
        Some("flags") => flags::run(options),
        Some("log") => log::run(options),
        Some(word) if state::WORDS.contains(&word) => state::run(word, options),
        None if options.wants_version() => Ok(Done::said(concat!(
            "ioprofiler ",
            env!("CARGO_PKG_VERSION"),
            "\n"
        ))),
        None if options.wants_help() => Ok(Done::said(HELP)),
        None => Err(Wrong::Usage(format!("nothing to do\n\n{HELP}"))),
        Some(other) => Err(Wrong::Usage(format!(
            "{other:?} is not known; allowed: token, gate, flags, log, {}",
            state::WORDS.join(", ")
        ))),
    }
}

impl Done {
    fn said(text: impl Into<String>) -> Self {
        Self {
            out: text.into(),
            remarks: String::new(),
            yes: true,
        }
    }
}
