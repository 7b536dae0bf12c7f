//! `ioprofiler top`, `slow`, `show`, `events`, `status`, `series`, `metrics`, `deploy`: what the processes of a
//! `state_dir` are doing and did, and what was done to them.
//!
//! Nothing here asks a process: it reads what they wrote, so it works as well when they hang.

mod condition;
mod deploy;
mod events;
mod folder;
mod metrics;
mod rows;
mod screen;
mod series;
mod show;
mod slow;
mod status;
mod table;
mod top;
mod when;

use std::path::PathBuf;
use std::time::Duration;

use crate::Done;
use crate::options::{Next, Options, Wrong, unknown};
use folder::Folder;

/// Each of these is an area without deeds.
pub(crate) const WORDS: [&str; 8] = [
    "top", "slow", "show", "events", "status", "series", "metrics", "deploy",
];

pub(crate) fn run(word: &str, options: &mut Options) -> Result<Done, Wrong> {
    match word {
        "top" => top::run(options),
        "slow" => slow::run(options),
        "show" => show::run(options),
        "events" => events::run(options),
        "status" => status::run(options),
        "series" => series::run(options),
        "metrics" => metrics::run(options),
        _ => deploy::run(options),
    }
}

/// What each of them is told.
#[derive(Default)]
struct Common {
    state_dir: Option<PathBuf>,
    json: bool,
    /// The word that may stand alone.
    word: Option<String>,
}

impl Common {
    /// Takes the rest of the line; `own` takes the options that others do not have, and says whether
    /// it did. `word` says what a plain word is, where there may be one.
    fn parse(
        options: &mut Options,
        word: Option<&str>,
        allowed: &str,
        mut own: impl FnMut(&str, &mut Options) -> Result<bool, Wrong>,
    ) -> Result<Self, Wrong> {
        let mut common = Self::default();
        while let Some(next) = options.next()? {
            match next {
                Next::Option(name) if name == "--state-dir" => {
                    common.state_dir = Some(options.value()?.into());
                }
                Next::Option(name) if name == "--json" && allowed.contains("--json") => {
                    common.json = true;
                }
                Next::Option(name) if own(&name, options)? => {}
                Next::Word(given) if word.is_some() && common.word.is_none() => {
                    let what = word.unwrap_or_default();
                    common.word = Some(crate::options::text(what, given)?);
                }
                other => return Err(unknown(other, allowed)),
            }
        }
        Ok(common)
    }

    fn folder(&self) -> Result<Folder, Wrong> {
        Folder::of(self.state_dir.as_ref())
    }
}

/// The value of an option that is a time: `90s`, `30m` or `8h`.
fn duration(name: &str, options: &mut Options) -> Result<Duration, Wrong> {
    let text = options.text(name)?;
    match crate::time::parse_duration(&text) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(Wrong::Usage(format!(
            "{name} {text:?}; allowed: 90s, 30m or 8h"
        ))),
    }
}

/// Nanoseconds, as the library tells them.
fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
