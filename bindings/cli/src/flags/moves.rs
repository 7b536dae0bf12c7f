//! Who would get something else: two sets of flags, asked about the same people.

use std::collections::BTreeMap;
use std::path::Path;

use ioprofiler::flags::{BucketBy, Decision, Snapshot, Subject, compile};
use serde_json::{Value, json};

use super::files::Loaded;
use crate::options::Wrong;

/// So many people are made up, where no list of real ones is given.
const SAMPLE: usize = 100_000;
/// No longer list is read.
const MAX_LIST: u64 = 256 << 20;

/// Of one flag, those who go from one answer to another.
pub(super) struct Move {
    flag: String,
    from: String,
    to: String,
    people: usize,
    of: usize,
    sampled: bool,
}

impl std::fmt::Display for Move {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            flag,
            from,
            to,
            people,
            of,
            sampled,
        } = self;
        let percent = *people as f64 * 100.0 / (*of).max(1) as f64;
        let about = if *sampled { "about " } else { "" };
        write!(
            f,
            "moves: {flag}: {from} -> {to}: {about}{percent:.2} % ({people} of {of})"
        )
    }
}

impl Move {
    pub(super) fn to_json(&self) -> Value {
        json!({
            "flag": self.flag,
            "from": self.from,
            "to": self.to,
            "people": self.people,
            "of": self.of,
            "sampled": self.sampled,
        })
    }
}

/// All moves. Of real people, where a file lists their ids, a line each; of made-up ones else.
pub(super) fn between(
    old: &Loaded,
    new: &Loaded,
    users: Option<&Path>,
) -> Result<Vec<Move>, Wrong> {
    let ids = match users {
        Some(path) => read_ids(path)?,
        None => (0..SAMPLE)
            .map(|number| format!("visitor-{number}"))
            .collect(),
    };
    let old = compile(old.reading.document.clone());
    let new = compile(new.reading.document.clone());
    let mut moves = Vec::new();
    let sheds = old.shed().map(|shed| shed.from) != new.shed().map(|shed| shed.from);
    let names: Vec<&str> = if sheds {
        let flags = old.document().flags.iter();
        flags.map(|flag| flag.name.as_str()).collect()
    } else {
        new.changes(&old).iter().map(|change| change.flag).collect()
    };
    for name in names {
        moves.extend(of_flag(name, &old, &new, &ids, users.is_none()));
    }
    Ok(moves)
}

fn read_ids(path: &Path) -> Result<Vec<String>, Wrong> {
    let failed =
        |error: std::io::Error| Wrong::Failed(format!("--users {}: {error}", path.display()));
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() || about.len() > MAX_LIST {
        return Err(Wrong::Failed(format!(
            "--users {}: no plain file of at most {} MiB",
            path.display(),
            MAX_LIST >> 20
        )));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect())
}

fn of_flag(name: &str, old: &Snapshot, new: &Snapshot, ids: &[String], sampled: bool) -> Vec<Move> {
    let known = |snapshot: &Snapshot| {
        let mut flags = snapshot.document().flags.iter();
        flags.find(|flag| flag.name == name).cloned()
    };
    let (before, after) = (known(old), known(new));
    // Those who are named are asked about by name.
    let listed = before.iter().chain(&after).flat_map(|flag| &flag.users);
    let mut listed: Vec<&str> = listed.map(|(id, _)| id.as_str()).collect();
    listed.sort_unstable();
    listed.dedup();
    let by = after
        .as_ref()
        .or(before.as_ref())
        .map(|flag| flag.bucket_by.clone());
    let mut counts = Counts::default();
    for id in ids {
        let pair;
        let subject = match &by {
            Some(BucketBy::User) => Subject::user(id),
            Some(BucketBy::Attribute(attribute)) => {
                pair = [(attribute.as_str(), id.as_str())];
                Subject::NOBODY.with_attributes(&pair)
            }
            _ => Subject::visitor(id),
        };
        counts.ask(name, old, new, &subject);
    }
    let mut moves = counts.into_moves(name, ids.len(), sampled);
    if sampled {
        let mut counts = Counts::default();
        for id in &listed {
            counts.ask(name, old, new, &Subject::user(id));
        }
        let label = format!("{name} (users listed)");
        moves.extend(counts.into_moves(&label, listed.len(), false));
    }
    moves
}

/// How many go from one answer to another.
#[derive(Default)]
struct Counts(BTreeMap<(String, String), usize>);

impl Counts {
    fn ask(&mut self, flag: &str, old: &Snapshot, new: &Snapshot, who: &Subject<'_>) {
        let from = answer(old.decide(flag, who, false));
        let to = answer(new.decide(flag, who, false));
        if from != to {
            *self.0.entry((from, to)).or_default() += 1;
        }
    }

    fn into_moves(self, flag: &str, of: usize, sampled: bool) -> Vec<Move> {
        let moves = self.0.into_iter().map(|((from, to), people)| Move {
            flag: flag.to_owned(),
            from,
            to,
            people,
            of,
            sampled,
        });
        moves.collect()
    }
}

/// `off`, `dark`, or the variant.
fn answer(decision: Decision) -> String {
    if decision.is_on() {
        decision.variant().to_owned()
    } else {
        decision.state().as_str().to_owned()
    }
}
