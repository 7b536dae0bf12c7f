//! `ioprofiler deploy`: tells that a version of the application went live.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ioprofiler::collect::state::processes;
use ioprofiler::collect::{Told, last_deploy, record};
use ioprofiler::{Event, EventKind, Profiler, SinkStats};

use super::folder::Folder;
use super::table::shown;
use super::when::Now;
use super::{Common, duration};
use crate::Done;
use crate::flags::who;
use crate::options::{Options, Wrong};

const HELP: &str = "\
usage: ioprofiler deploy [--version V] [--what TEXT] [--who W] [--why TEXT]
                         [--config FILE [--within TIME]]

Tells that a version of the application went live: to all who are sent events,
and in ioprofiler events. What is counted from then on is counted under this
version. Told twice it is one event.

The processes of a state_dir tell it, the one of them that sends. With --config,
which may stand on a machine where none of them runs, the command itself sends
it to the sinks of that file, unless processes run with the file's state_dir.

  --version V      the version, as the build calls it
  --what TEXT      what is new; one of the two is needed
  --who W          who did it, the user if not given
  --why TEXT       why
  --config FILE    the configuration that the program has, in TOML
  --within TIME    how long all that may take: 10s if not given
  --state-dir DIR  without --config: as the program has it in its option
                   state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "--version, --what, --who, --why, --config, --within, --state-dir";

/// What sinks may take together.
const WITHIN: Duration = Duration::from_secs(10);

/// What is to be told.
#[derive(Default)]
struct Deploy {
    version: Option<String>,
    what: Option<String>,
    who: Option<String>,
    why: Option<String>,
    /// The configuration of who sends it.
    config: Option<PathBuf>,
    within: Option<Duration>,
}

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let mut deploy = Deploy::default();
    let common = Common::parse(options, None, ALLOWED, |name, options| {
        let to = match name {
            "--version" => &mut deploy.version,
            "--what" => &mut deploy.what,
            "--who" => &mut deploy.who,
            "--why" => &mut deploy.why,
            "--config" => {
                deploy.config = Some(options.value()?.into());
                return Ok(true);
            }
            "--within" => {
                deploy.within = Some(duration(name, options)?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        *to = Some(options.text(name)?);
        Ok(true)
    })?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let event = deploy.event()?;
    match &deploy.config {
        Some(_) if common.state_dir.is_some() => {
            let why = "--state-dir and --config: the file says state_dir itself";
            Err(Wrong::Usage(why.to_owned()))
        }
        Some(config) => tell(config, &event, deploy.within.unwrap_or(WITHIN)),
        None if deploy.within.is_some() => {
            let why = "--within is of no use without --config";
            Err(Wrong::Usage(why.to_owned()))
        }
        // The processes of this machine tell it.
        None => tell_processes(&mut common.folder()?, &event),
    }
}

impl Deploy {
    fn event(&self) -> Result<Event, Wrong> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (version, what) = (given(&self.version), given(&self.what));
        let mut event = match (&version, &what) {
            (Some(version), _) => Event::deploy(version),
            (None, Some(_)) => Event::new(EventKind::Deploy, ""),
            (None, None) => {
                let why = "--version is needed, or --what, as in --version 8c1f";
                return Err(Wrong::Usage(why.to_owned()));
            }
        };
        event = event.who(&who(self.who.as_deref().filter(|who| !who.is_empty())));
        if let Some(what) = &what {
            event = event.what(what);
        }
        if let Some(why) = given(&self.why) {
            event = event.why(&why);
        }
        Ok(event)
    }
}

/// Has it told by who leads the processes of the configuration's `state_dir`, or sends it from here.
fn tell(config: &Path, event: &Event, within: Duration) -> Result<Done, Wrong> {
    let builder = Profiler::builder().config_file(config);
    let told = builder.tell(event.clone(), within);
    let sinks = match told.map_err(|error| Wrong::Failed(error.to_string()))? {
        Told::Before(folder) => return told_already(&folder, event),
        Told::Written(folder) => return passed_on(&mut Folder::of(Some(&folder))?, event),
        Told::Sent(sinks) => sinks,
        _ => Vec::new(),
    };
    let mut done = Done::said(format!("{}\n", shown(&event.to_string())));
    if sinks.is_empty() {
        let file = config.display().to_string();
        done.remarks = format!("{} names no sink that is sent events\n", shown(&file));
        done.yes = false;
    }
    for sink in &sinks {
        let is_sent = sink.sent > 0 && sink.sent == sink.produced;
        done.yes &= is_sent;
        done.remarks.push_str(&of_sink(sink, is_sent));
    }
    Ok(done)
}

fn of_sink(sink: &SinkStats, is_sent: bool) -> String {
    let name = shown(sink.name);
    match (is_sent, sink.why.as_str()) {
        (true, _) => format!("sent to {name}\n"),
        (false, "") => format!("not sent to {name}: it took too long\n"),
        (false, why) => format!("not sent to {name}: {}\n", shown(why)),
    }
}

fn told_already(folder: &Path, event: &Event) -> Result<Done, Wrong> {
    let told = last_deploy(folder).unwrap_or_else(|| event.clone());
    let when = Now::new().ago(told.at);
    Ok(Done::said(format!(
        "told already, {when}: {}\n",
        shown(&told.to_string())
    )))
}

/// Writes it down where one of them, who sends, finds it.
fn tell_processes(folder: &mut Folder, event: &Event) -> Result<Done, Wrong> {
    let is_news = record(&folder.path, event).map_err(|error| Wrong::Failed(error.to_string()))?;
    if !is_news {
        return told_already(&folder.path, event);
    }
    passed_on(folder, event)
}

/// Says which of the processes passes it on.
fn passed_on(folder: &mut Folder, event: &Event) -> Result<Done, Wrong> {
    let mut done = Done::said(format!("{}\n", shown(&event.to_string())));
    let all = folder.read(processes)?;
    let sends = all.iter().find(|process| process.running && process.leads);
    done.remarks = match sends {
        Some(sends) if sends.sinks.is_empty() => {
            format!("pid {} sends, but has no sinks: it stays here\n", sends.pid)
        }
        Some(sends) => {
            let sinks: Vec<String> = sends.sinks.iter().map(|sink| shown(&sink.name)).collect();
            format!("pid {} passes it on to {}\n", sends.pid, sinks.join(", "))
        }
        None => {
            "no program with this state_dir runs: one that starts within the hour passes it on\n"
                .to_owned()
        }
    };
    Ok(done)
}
