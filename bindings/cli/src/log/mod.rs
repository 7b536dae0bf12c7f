//! `ioprofiler log`: what an access log adds up to.

mod histogram;
mod json;
mod record;
mod report;
mod source;
mod tally;
mod time;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::Done;
use crate::options::{Next, Options, Wrong, unknown};
use record::{Form, Record, Unread, Wanted};
use source::{Followed, Line, Progress};
use tally::{By, Example, Tally};

/// So much of a malformed line is shown.
const EXAMPLE: usize = 200;
/// Why a line may be malformed that is not.
const GUESSED: &str = "; the format was guessed from the first line: --format says what it is";

const HELP: &str = "\
usage: ioprofiler log stats [OPTIONS] FILE...

Prints lines a second, and mean, p50, p95, p99 and max of numbers in a log:
%D, app_us, execTime, any numeric note or KEY=NUMBER. Files may be packed by
gzip; - is stdin. Percentiles are within 0.4 %, the rest is exact.

What the log looks like, combined if not given; JSON is recognised:
  --format FORMAT   common, combined, json, or Apache's LogFormat, as in
                    '%h %l %u %t \"%r\" %>s %b %{app_us}n %D'
  --match REGEX     any form; lines that do not match are counted. Groups
                    (?<time>…), (?<route>…), (?<status>…), (?<ab_ids>…),
                    (?<ab_variants>…), (?<ab_reasons>…) and (?<NUMBER>…)
                    say what is what; KEY=NUMBER needs none
  --time FORMAT     with --match: strptime of the group time, else of the
                    line's beginning, as in '%Y-%m-%d %H:%M:%S,%f'

What is printed:
  --of NAME,...     which numbers: D, app_us, dbshard01.us; D if not given
  --by WHAT,...     minute, route, status, test: A/B tests and variants of
                    users whom a percentage assigned, each with the
                    difference to variant 0 and its 95 % confidence interval
  --json            for a program, numbers as they are in the log

A log that is still written:
  --follow          begins at the file's end and prints what came since the
                    last time, across rotation
  --every TIME      how often, 10s if not given
  --for TIME        ends after that; without it, never
";

#[derive(Default)]
struct Given {
    files: Vec<OsString>,
    format: Option<String>,
    pattern: Option<String>,
    time: Option<String>,
    wanted: Wanted,
    by: By,
    json: bool,
    follow: bool,
    every: Option<Duration>,
    until: Option<Duration>,
}

pub(crate) fn run(options: &mut Options) -> Result<Done, Wrong> {
    match options.word()?.as_deref() {
        Some("stats") => {}
        None if options.wants_help() => return Ok(Done::said(HELP)),
        None => return Err(Wrong::Usage(format!("log what?\n\n{HELP}"))),
        Some(other) => {
            return Err(Wrong::Usage(format!(
                "log {other} is not known; allowed: stats"
            )));
        }
    }
    let given = parse(options)?;
    if options.wants_help() {
        return Ok(Done::said(HELP));
    }
    let given = given.checked()?;
    if given.follow {
        given.follow()
    } else {
        given.stats()
    }
}

fn parse(options: &mut Options) -> Result<Given, Wrong> {
    const ALLOWED: &str = "--format, --match, --time, --of, --by, --json, --follow, --every, --for";
    let mut given = Given::default();
    while let Some(next) = options.next()? {
        let name = match next {
            Next::Option(name) => name,
            Next::Word(file) => {
                given.files.push(file);
                continue;
            }
        };
        match name.as_str() {
            "--format" => given.format = Some(options.text("--format")?),
            "--match" => given.pattern = Some(options.text("--match")?),
            "--time" => given.time = Some(options.text("--time")?),
            "--of" => {
                let names = options.text("--of")?;
                let names = names
                    .split(',')
                    .map(str::trim)
                    .filter(|name| !name.is_empty());
                given.wanted.values.extend(names.map(str::to_owned));
            }
            "--by" => by(&options.text("--by")?, &mut given.by)?,
            "--json" => given.json = true,
            "--follow" => given.follow = true,
            "--every" => given.every = Some(duration(options, "--every")?),
            "--for" => given.until = Some(duration(options, "--for")?),
            _ => return Err(unknown(Next::Option(name), ALLOWED)),
        }
    }
    Ok(given)
}

fn by(text: &str, by: &mut By) -> Result<(), Wrong> {
    for what in text.split(',').map(str::trim) {
        match what {
            "minute" => by.minute = true,
            "route" => by.route = true,
            "status" => by.status = true,
            "test" => by.tests = true,
            other => {
                return Err(Wrong::Usage(format!(
                    "--by {other:?} is not known; allowed: minute, route, status, test"
                )));
            }
        }
    }
    Ok(())
}

fn duration(options: &mut Options, name: &str) -> Result<Duration, Wrong> {
    let text = options.text(name)?;
    match crate::time::parse_duration(&text) {
        Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(Wrong::Usage(format!(
            "{name} {text:?}; allowed: 90s, 30m or 8h"
        ))),
    }
}

impl Given {
    fn checked(mut self) -> Result<Self, Wrong> {
        let wrong = |why: &str| Err(Wrong::Usage(why.to_owned()));
        if self.files.is_empty() {
            return wrong("a FILE is needed, or - for stdin");
        }
        if self.pattern.is_some() != self.time.is_some() {
            return wrong("--match and --time are needed together");
        }
        if self.pattern.is_some() && self.format.is_some() {
            return wrong("--format and --match cannot both say what the log looks like");
        }
        if self.wanted.values.is_empty() {
            if self.pattern.is_some() {
                return wrong("--of is needed with --match, as in --of execTime");
            }
            self.wanted.values.push("D".to_owned());
            self.wanted.by_default = true;
        }
        if !self.follow && (self.every.is_some() || self.until.is_some()) {
            return wrong("--every and --for are for --follow");
        }
        if self.follow && (self.files.len() != 1 || self.files.iter().any(|file| file == "-")) {
            return wrong("--follow needs one file");
        }
        self.wanted.route = self.by.route;
        self.wanted.status = self.by.status;
        self.wanted.tests = self.by.tests;
        Ok(self)
    }

    /// Whether nobody said how lines are read.
    fn guesses(&self) -> bool {
        self.pattern.is_none() && self.format.is_none()
    }

    /// How lines are read, where that was said.
    fn form(&self) -> Result<Option<Form>, Wrong> {
        match (&self.pattern, &self.time, &self.format) {
            (Some(pattern), Some(time), _) => Form::matching(pattern, time, &self.wanted).map(Some),
            (_, _, Some(format)) => Form::format(format, &self.wanted).map(Some),
            _ => Ok(None),
        }
    }

    fn report(&self, tally: &Tally) -> String {
        if self.json {
            report::json(tally, &self.wanted.values)
        } else {
            report::table(tally, &self.wanted.values)
        }
    }

    fn stats(&self) -> Result<Done, Wrong> {
        let mut progress = Progress::of(&self.files);
        let mut tally = Tally::new(self.by, self.wanted.values.len());
        let mut form = self.form()?;
        for file in &self.files {
            let mut reading = Reading::new(self, file, &mut form, &mut tally);
            let read = source::read_all(file, &mut progress, &mut |line| reading.line(&line));
            let wrong = reading.wrong.take();
            progress.clear();
            read?;
            wrong.map_or(Ok(()), Err)?;
        }
        Ok(Done {
            out: self.report(&tally),
            remarks: String::new(),
            yes: tally.all.lines > 0 || tally.malformed == 0,
        })
    }

    fn follow(&self) -> Result<Done, Wrong> {
        let done = || Ok(Done::said(""));
        let Some(file) = self.files.first() else {
            return done();
        };
        let mut form = self.form()?;
        let mut followed = Followed::open(file)?;
        // Whoever started us may want to know that nothing from now on is missed.
        let _ = writeln!(std::io::stderr(), "following {}", file.display());
        let end = self.until.map(|until| Instant::now() + until);
        let every = self.every.unwrap_or(Duration::from_secs(10));
        let mut next = Instant::now() + every;
        loop {
            let mut tally = Tally::new(self.by, self.wanted.values.len());
            let deadline = end.map_or(next, |end| end.min(next));
            let mut reading = Reading::new(self, file, &mut form, &mut tally);
            // It did not begin where the file does.
            reading.number = None;
            followed.read_until(deadline, &mut |line| reading.line(&line));
            reading.wrong.take().map_or(Ok(()), Err)?;
            let mut out = std::io::stdout();
            let said = out
                .write_all(self.report(&tally).as_bytes())
                .and_then(|()| out.flush());
            // A reader that has left (`| head -1`) ends it.
            if said.is_err() || end.is_some_and(|end| Instant::now() >= end) {
                return done();
            }
            next += every;
        }
    }
}

/// The lines of one file on their way into the tally.
struct Reading<'r> {
    given: &'r Given,
    file: &'r OsStr,
    form: &'r mut Option<Form>,
    tally: &'r mut Tally,
    /// Of the last line, from 1, where the file was read from its beginning.
    number: Option<u64>,
    /// The form that the first line has cannot give what is wanted.
    wrong: Option<Wrong>,
}

impl<'r> Reading<'r> {
    fn new(
        given: &'r Given,
        file: &'r OsStr,
        form: &'r mut Option<Form>,
        tally: &'r mut Tally,
    ) -> Self {
        Self {
            given,
            file,
            form,
            tally,
            number: Some(0),
            wrong: None,
        }
    }

    /// The form of a log whose first line is this one, where nobody said.
    fn guessed(&self, line: &[u8]) -> Result<Form, Wrong> {
        let is_json = line.starts_with(b"{");
        let format = if is_json { "json" } else { "combined" };
        Form::format(format, &self.given.wanted).map_err(|wrong| match wrong {
            Wrong::Usage(why) => Wrong::Usage(format!("{why}; --format says what it is")),
            wrong => wrong,
        })
    }

    fn line(&mut self, line: &Line<'_>) {
        self.number = self.number.map(|number| number + 1);
        let (line, is_whole) = match line {
            Line::Whole(line) => (*line, true),
            Line::TooLong(line) => (*line, false),
        };
        if line.is_empty() || self.wrong.is_some() {
            return;
        }
        if self.form.is_none() {
            match self.guessed(line) {
                Ok(form) => *self.form = Some(form),
                Err(wrong) => {
                    self.wrong = Some(wrong);
                    return;
                }
            }
        }
        let Some(form) = self.form.as_mut() else {
            return;
        };
        let mut record = Record::default();
        let read = if is_whole {
            form.read(line, &self.given.wanted, &mut record)
        } else {
            Err(Unread::TooLong)
        };
        let Err(unread) = read else {
            return self.tally.add(&record);
        };
        let (file, guessed) = (self.file.to_string_lossy(), self.given.guesses());
        self.tally.malformed(|| Example {
            file: file.into_owned(),
            line: self.number,
            text: line.get(..EXAMPLE).unwrap_or(line).to_vec(),
            why: form.why(unread) + if guessed { GUESSED } else { "" },
        });
    }
}
