//! `ioprofiler gate`: the file that opens the gate `this-machine`.

use ioprofiler::gate::GateFile;

use crate::options::{Next, Options, Wrong, needed, unknown};
use crate::{Done, time};

const HELP: &str = "\
usage: ioprofiler gate open --for TIME [--file FILE]
       ioprofiler gate close [--file FILE]

Opens the gate of applications of this user on this machine whose option gate
is \"this-machine\". It writes a file that only this user can write and read,
with its expiry inside: /run/user/UID/ioprofiler-gate, or else
/var/tmp/ioprofiler-gate-UID.

  --for TIME    90s, 30m or 8h; at most 24h
  --file FILE   elsewhere, where the application was told so
";

pub(crate) fn run(options: &mut Options) -> Result<Done, Wrong> {
    match options.word()?.as_deref() {
        Some("open") => open(options),
        Some("close") => close(options),
        None if options.wants_help() => Ok(Done::said(HELP)),
        None => Err(Wrong::Usage(format!("gate what?\n\n{HELP}"))),
        Some(other) => Err(Wrong::Usage(format!(
            "gate {other} is not known; allowed: open, close"
        ))),
    }
}

fn open(options: &mut Options) -> Result<Done, Wrong> {
    let (mut life, mut file) = (None, GateFile::of_this_user());
    while let Some(next) = options.next()? {
        match next {
            Next::Option(name) if name == "--for" => life = Some(lifetime(options)?),
            Next::Option(name) if name == "--file" => file = GateFile::at(options.value()?),
            other => return Err(unknown(other, "--for, --file")),
        }
    }
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let life = needed(life, "--for", "8h")?;
    let now = time::now();
    let path = file
        .open(life, now)
        .map_err(|error| failed(&file, &error))?;
    let (path, until) = (path.display(), time::utc(now.saturating_add(life)));
    Ok(Done::said(format!("open until {until}: {path}\n")))
}

fn close(options: &mut Options) -> Result<Done, Wrong> {
    let mut file = GateFile::of_this_user();
    while let Some(next) = options.next()? {
        match next {
            Next::Option(name) if name == "--file" => file = GateFile::at(options.value()?),
            other => return Err(unknown(other, "--file")),
        }
    }
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let removed = file.close().map_err(|error| failed(&file, &error))?;
    if removed.is_empty() {
        return Ok(Done::said("closed: it was not open\n"));
    }
    let lines = removed
        .iter()
        .map(|path| format!("closed: {}\n", path.display()));
    Ok(Done::said(lines.collect::<String>()))
}

/// The value of `--for`.
pub(crate) fn lifetime(options: &mut Options) -> Result<u64, Wrong> {
    let text = options.text("--for")?;
    match time::parse_duration(&text) {
        Some(life @ 1..=86_400) => Ok(life),
        _ => Err(Wrong::Usage(format!(
            "--for {text:?}; allowed: 90s, 30m or 8h, at most 24h"
        ))),
    }
}

fn failed(file: &GateFile, error: &std::io::Error) -> Wrong {
    let paths: Vec<_> = file
        .paths()
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Wrong::Failed(format!("{}: {error}", paths.join(" or ")))
}
