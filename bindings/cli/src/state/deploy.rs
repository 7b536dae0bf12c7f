//! `ioprofiler deploy`: tells that a version of the application went live.

use ioprofiler::Event;
use ioprofiler::collect::state::processes;
use ioprofiler::collect::{last_deploy, record};

use super::Common;
use super::folder::Folder;
use super::table::shown;
use super::when::Now;
use crate::Done;
use crate::flags::who;
use crate::options::{Options, Wrong, needed};

const HELP: &str = "\
usage: ioprofiler deploy --version V [--what TEXT] [--who W] [--why TEXT]

Tells that a version of the application went live: to all who are sent events,
and in ioprofiler events. What is counted from then on is counted under this
version. Told twice it is one event.

  --version V      the version, as the build calls it
  --what TEXT      what is new
  --who W          who did it, the user if not given
  --why TEXT       why
  --state-dir DIR  as the program has it in its option state_dir
  or IOPROFILER_STATE_DIR=DIR in the environment
";

const ALLOWED: &str = "--version, --what, --who, --why, --state-dir";

/// What is to be told.
#[derive(Default)]
struct Deploy {
    version: Option<String>,
    what: Option<String>,
    who: Option<String>,
    why: Option<String>,
}

pub(super) fn run(options: &mut Options) -> Result<Done, Wrong> {
    let mut deploy = Deploy::default();
    let common = Common::parse(options, None, ALLOWED, |name, options| {
        let to = match name {
            "--version" => &mut deploy.version,
            "--what" => &mut deploy.what,
            "--who" => &mut deploy.who,
            "--why" => &mut deploy.why,
            _ => return Ok(false),
        };
        *to = Some(options.text(name)?);
        Ok(true)
    })?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let event = deploy.event()?;
    // The processes of this machine tell it.
    tell_processes(&mut common.folder()?, &event)
}

impl Deploy {
    fn event(self) -> Result<Event, Wrong> {
        let version = needed(self.version, "--version", "8c1f")?;
        if version.is_empty() {
            return Err(Wrong::Usage("--version is empty".to_owned()));
        }
        let mut event =
            Event::deploy(&version).who(&who(self.who.as_deref().filter(|who| !who.is_empty())));
        if let Some(what) = &self.what {
            event = event.what(what);
        }
        if let Some(why) = &self.why {
            event = event.why(why);
        }
        Ok(event)
    }
}

/// Writes it down where one of them, who sends, finds it.
fn tell_processes(folder: &mut Folder, event: &Event) -> Result<Done, Wrong> {
    let is_news = record(&folder.path, event).map_err(|error| Wrong::Failed(error.to_string()))?;
    if !is_news {
        let told = last_deploy(&folder.path).unwrap_or_else(|| event.clone());
        let when = Now::new().ago(told.at);
        return Ok(Done::said(format!(
            "told already, {when}: {}\n",
            shown(&told.to_string())
        )));
    }
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
