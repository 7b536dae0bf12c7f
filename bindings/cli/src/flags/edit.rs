//! `flags off`, `on`, `set`, `shed`, `clear`: the last file is changed, and nothing else.

use std::path::Path;

use ioprofiler::flags::file::{Content, MAX_FILE};
use ioprofiler::flags::{Enabled, FlagSpec, Shed};

use super::change::{Change, Wanted, apply, effects, variants};
use super::files::{Files, Loaded, quoted};
use super::given::Given;
use super::write::{Turn, replace};
use super::{event, nearest, note, remark};
use crate::options::Wrong;
use crate::{Done, time};

/// What is to be done.
pub(super) enum Deed {
    Off,
    On,
    Set,
    Shed,
    Clear,
}

/// A change that is about to be made.
struct Plan {
    changes: Vec<Change>,
    /// What will be true then.
    outcome: String,
    /// A deed that may be meant instead, and for what; without the files.
    instead: Option<(&'static str, String)>,
    /// The deeds that take it back, without the files.
    undo: Vec<String>,
}

pub(super) fn run(deed: &Deed, mut given: Given) -> Result<Done, Wrong> {
    let files = Files::of(&given.files, given.state_dir.as_ref())?;
    let last = files
        .paths
        .last()
        .ok_or_else(|| Wrong::Usage("no file is named".to_owned()))?
        .clone();
    let failed = |error: std::io::Error| Wrong::Failed(format!("{}: {error}", last.display()));
    let _turn = Turn::of(&last).map_err(failed)?;
    let before = files.load();
    let text = last_text(&before, &last)?;
    let plan = plan(deed, &mut given, &before)?;
    given.no_more_words()?;
    if plan.changes.is_empty() {
        return Ok(Done::said(format!("nothing to do: {}\n", plan.outcome)));
    }
    let mut new = text.clone();
    for change in &plan.changes {
        new = apply(&last, &new, change)?;
    }
    let after = before.with_last(&new);
    check(&before, &after, &new, &last)?;
    let mut effects = effects(&before, &after);
    if given.dry_run {
        effects.push(format!(
            "nothing is written: --dry-run; it would change {}",
            last.display()
        ));
        return Ok(Done::said(lines(&effects)));
    }
    replace(&last, &new).map_err(failed)?;
    let untold = event::tell(&before, &after, &given);
    let mut out = lines(&effects);
    out.push_str(&format!("done in {}: {}\n", last.display(), plan.outcome));
    if let Some((what, deed)) = plan.instead {
        out.push_str(&format!("{what}: ioprofiler flags {deed}{}\n", files.said));
    }
    for undo in plan.undo {
        out.push_str(&format!("undo: ioprofiler flags {undo}{}\n", files.said));
    }
    let mut done = Done::said(out);
    done.remarks = untold;
    if let Some(remark) = remark(&before.reading) {
        done.remarks.push_str(&remark);
    }
    Ok(done)
}

fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The text of the last file; nothing, where it is not there yet.
fn last_text(before: &Loaded, path: &Path) -> Result<String, Wrong> {
    let at = before.layers.len().saturating_sub(1);
    let problem = || {
        let mut problems = before.reading.problems.iter();
        problems
            .find(|problem| problem.file == path)
            .map(ToString::to_string)
    };
    match before.layers.last().map(|layer| &layer.content) {
        Some(Content::Text(text)) if !before.is_broken(at) => Ok(text.to_string()),
        Some(Content::Text(text)) if text.trim().is_empty() => Ok(String::new()),
        Some(Content::NotYet) => Ok(String::new()),
        // The only file, and there is none: a name cannot be checked then, but shedding can be.
        Some(Content::Unreadable(_)) if !path.exists() => Ok(String::new()),
        _ => Err(Wrong::Failed(format!(
            "{}\nthe last file is wrong and is not changed; mend it, or move it away and repeat the command:\n  mv {path} {path}.wrong",
            problem().unwrap_or_else(|| format!("{}: it cannot be read", path.display())),
            path = quoted(&path.display().to_string())
        ))),
    }
}

/// What a change has to be: understood by programs, and no worse than before.
fn check(before: &Loaded, after: &Loaded, new: &str, path: &Path) -> Result<(), Wrong> {
    if new.len() > MAX_FILE {
        return Err(Wrong::Failed(format!(
            "{} would become too long",
            path.display()
        )));
    }
    if after.reading.errors() <= before.reading.errors() {
        return Ok(());
    }
    let new_ones = after.reading.problems.iter().filter(|problem| {
        let mut old = before.reading.problems.iter();
        !old.any(|old| old.message == problem.message && old.file == problem.file)
    });
    let said: Vec<String> = new_ones.map(|problem| problem.message.clone()).collect();
    Err(Wrong::Failed(format!(
        "nothing is written: {}",
        said.join("; ")
    )))
}

fn plan(deed: &Deed, given: &mut Given, before: &Loaded) -> Result<Plan, Wrong> {
    let by = note::who(given.by.as_deref());
    match deed {
        Deed::Shed => shed(given, before, by),
        Deed::Clear if given.words.is_empty() => clear_all(before),
        Deed::Clear => {
            let name = flag_name(given, before)?;
            clear(before, &name)
        }
        Deed::Off => enable(given, before, &by, Some("off")),
        Deed::On => enable(given, before, &by, Some("on")),
        Deed::Set => enable(given, before, &by, None),
    }
}

/// The flag's name, which some file must know: what is mistyped would switch nothing off.
fn flag_name(given: &mut Given, before: &Loaded) -> Result<String, Wrong> {
    let name = given.word("the flag's name")?;
    if before.flag(&name).is_some() || !before.reading.kept_layers.is_empty() {
        return Ok(name);
    }
    let meant = nearest(&name, before.names());
    Err(Wrong::Failed(format!("no file has a flag {name:?}{meant}")))
}

fn enable(given: &mut Given, before: &Loaded, by: &str, word: Option<&str>) -> Result<Plan, Wrong> {
    let name = flag_name(given, before)?;
    let wanted = match word {
        Some(word) => Wanted::Word(word.to_owned()),
        None => Wanted::parse(&given.word("what it is to be, as in 10% or blue=10,green=20,")?),
    };
    let flag = before.flag(&name);
    let under = without_last(before);
    has_variants(&name, &wanted, flag, under.flag(&name))?;
    let last = before.layers.len().saturating_sub(1);
    let own = flag.and_then(|flag| enabled_in(flag, last));
    let undo = match (own, flag) {
        // The last file had a word on it before.
        (Some(_), Some(flag)) => format!(
            "set {} {}",
            quoted(&name),
            quoted(&Wanted::of(&flag.enabled))
        ),
        _ => format!("clear {}", quoted(&name)),
    };
    let same = flag.is_some_and(|flag| is(&flag.enabled, &wanted));
    let what = match word {
        Some(word) => format!("switched {word}"),
        None => format!("switched to {}", said(&wanted)),
    };
    let outcome = match (word, flag) {
        (Some("off"), _) => format!("{name} is off for everybody"),
        (Some(_), _) => format!("{name} is on for everybody"),
        (None, _) => format!("{name} is {}", said(&wanted)),
    };
    // After an `off`, people say `on` and mean: as it was.
    let was_else = under
        .flag(&name)
        .is_some_and(|under| !is(&under.enabled, &wanted));
    let instead = (word == Some("on") && own.is_some() && was_else).then(|| {
        let clear = format!("clear {}", quoted(&name));
        ("as before it was switched", clear)
    });
    let note = note::of(&what, by, given.reason.as_deref());
    let change = Change::Enable {
        flag: name,
        value: wanted,
        note,
    };
    Ok(Plan {
        changes: if same { Vec::new() } else { vec![change] },
        outcome,
        instead,
        undo: vec![undo],
    })
}

/// That each variant is one that the flag has, and not a slip of tired fingers.
fn has_variants(
    name: &str,
    wanted: &Wanted,
    flag: Option<&FlagSpec>,
    under: Option<&FlagSpec>,
) -> Result<(), Wrong> {
    let (Wanted::Shares(shares), Some(flag)) = (wanted, flag) else {
        return Ok(());
    };
    let forms: Vec<&FlagSpec> = std::iter::once(flag).chain(under).collect();
    let known = variants(&forms);
    let Some((wrong, _)) = shares.iter().find(|(share, _)| !known.contains(&&**share)) else {
        return Ok(());
    };
    let mut meant = nearest(wrong, known.iter().copied());
    if meant.is_empty() {
        meant = format!(
            "; it has {}; a new one is introduced in the file that describes the flag",
            known.join(", ")
        );
    }
    Err(Wrong::Failed(format!(
        "nothing is written: {name} has no variant {wrong:?}{meant}"
    )))
}

fn said(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Word(word) => word.clone(),
        Wanted::Shares(shares) => {
            let parts = shares.iter().map(|(name, share)| format!("{name} {share}"));
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// Whether it is so already.
fn is(enabled: &Enabled, wanted: &Wanted) -> bool {
    Wanted::parse(&Wanted::of(enabled)) == *wanted
}

/// The line in which a layer says `enabled` of a flag, if its word holds.
fn enabled_in(flag: &FlagSpec, layer: usize) -> Option<u32> {
    let mut keys = flag.keys.iter();
    let (_, place) = keys.find(|(key, _)| *key == "enabled")?;
    (place.file as usize == layer).then_some(place.line)
}

fn shed(given: &mut Given, before: &Loaded, by: String) -> Result<Plan, Wrong> {
    let word = given.word("from which priority on, 1 to 9, or none,")?;
    let now = before.reading.document.shed.as_ref();
    let undo = vec![match now {
        Some(shed) => format!("shed {}", shed.from),
        None => "shed none".to_owned(),
    }];
    if word == "none" {
        let elsewhere = without_last(before).reading.document.shed.is_some();
        let note = note::of("shedding none", &by, given.reason.as_deref());
        let change = if elsewhere {
            Change::ShedNothing { note }
        } else {
            Change::ClearShed
        };
        return Ok(Plan {
            changes: if now.is_some() {
                vec![change]
            } else {
                Vec::new()
            },
            outcome: "nothing is shed".to_owned(),
            instead: None,
            undo,
        });
    }
    let from = word.parse().ok().filter(|from| (1..=9).contains(from));
    let from: u8 = from.ok_or_else(|| {
        Wrong::Usage(format!(
            "shed {word:?}; allowed: 1 to 9, where 9 goes first, and none"
        ))
    })?;
    let mut shed = Shed::from(from);
    shed.why = given.reason.as_deref().map(note::one_line);
    shed.by = Some(by);
    shed.at = Some(time::rfc3339(time::now()));
    Ok(Plan {
        changes: if now.is_some_and(|now| now.from == from) {
            Vec::new()
        } else {
            vec![Change::Shed(shed)]
        },
        outcome: format!("flags of priority {from} to 9 are off"),
        instead: None,
        undo,
    })
}

/// The layers below the last one.
fn without_last(before: &Loaded) -> Loaded {
    let mut layers = before.layers.clone();
    layers.pop();
    Loaded::of(layers)
}

/// What the last file says of one flag goes, so that those before it hold.
fn clear(before: &Loaded, name: &str) -> Result<Plan, Wrong> {
    let last = before.layers.len().saturating_sub(1);
    let below = without_last(before);
    let flag = before.flag(name);
    let outcome = |flag: Option<&FlagSpec>| {
        let is = flag.map_or_else(|| "gone".to_owned(), |flag| flag.enabled.to_string());
        format!("{name} is {is}, as the files before the last one say")
    };
    let Some(flag) = flag.filter(|flag| enabled_in(flag, last).is_some()) else {
        return Ok(Plan {
            changes: Vec::new(),
            outcome: outcome(flag),
            instead: None,
            undo: Vec::new(),
        });
    };
    let outcome = match (below.flag(name), below.wrong_file()) {
        (_, Some(wrong)) => format!(
            "{name} is as the files before the last one said when they were good; {} is wrong now",
            wrong.display()
        ),
        (Some(under), None) => outcome(Some(under)),
        (None, None) => {
            return Err(Wrong::Failed(format!(
                "only the last file has {name}: cleared, it would be no flag at all; say what it is to be: ioprofiler flags set {} 10%",
                quoted(name)
            )));
        }
    };
    Ok(Plan {
        changes: vec![Change::Clear {
            flag: name.to_owned(),
        }],
        outcome,
        instead: None,
        undo: vec![format!(
            "set {} {}",
            quoted(name),
            quoted(&Wanted::of(&flag.enabled))
        )],
    })
}

/// All that the last file says over those before it goes.
fn clear_all(before: &Loaded) -> Result<Plan, Wrong> {
    if before.layers.len() < 2 {
        return Err(Wrong::Failed(
            "there is one file only: cleared, there would be no flags at all".to_owned(),
        ));
    }
    let last = before.layers.len() - 1;
    let below = without_last(before);
    let is_below = |name: &str| below.flag(name).is_some() || below.wrong_file().is_some();
    let switched = before
        .flags()
        .iter()
        .filter(|flag| enabled_in(flag, last).is_some() && is_below(&flag.name));
    let mut undo: Vec<String> = Vec::new();
    let mut changes = Vec::new();
    for flag in switched {
        undo.push(format!(
            "set {} {}",
            quoted(&flag.name),
            quoted(&Wanted::of(&flag.enabled))
        ));
        changes.push(Change::Clear {
            flag: flag.name.clone(),
        });
    }
    if let Some(shed) = &before.reading.document.shed
        && shed.place.file as usize == last
    {
        undo.push(format!("shed {}", shed.from));
        changes.push(Change::ClearShed);
    }
    Ok(Plan {
        changes,
        outcome: "nothing is switched in the last file".to_owned(),
        instead: None,
        undo,
    })
}
