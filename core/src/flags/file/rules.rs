//! What a file may say, and is probably not meant: rules that nothing reaches, flags that should be
//! gone.

use super::numbers::{Layers, place_of};
use super::problem::{Problem, Severity, shown};
use crate::flags::model::{Document, Enabled, FlagSpec, Share};
use std::path::PathBuf;
use std::sync::Arc;

/// What works and is probably not meant. `today` is a day like `2026-11-23`.
#[must_use]
pub fn advise(document: &Document, named: &[(PathBuf, Arc<str>)], today: &str) -> Vec<Problem> {
    let layers = Layers { named };
    let mut problems = Vec::new();
    for flag in document.flags.iter().filter(|flag| flag.broken.is_none()) {
        for (key, said) in of_flag(flag, today) {
            let place = place_of(flag, key).unwrap_or(flag.place);
            problems.extend(layers.problem(Severity::Warning, place, flag, said));
        }
    }
    problems
}

/// Key and advice.
fn of_flag(flag: &FlagSpec, today: &str) -> Vec<(&'static str, String)> {
    let mut advice = Vec::new();
    never_reached(flag, &mut advice);
    if let Some(expires) = &flag.expires
        && expires.as_str() < today
    {
        let whom = flag
            .owner
            .as_deref()
            .map_or_else(String::new, |owner| format!(" (owner: {owner})"));
        advice.push((
            "expires",
            format!(
                "{} was to be gone by {expires}: clean its branch up, then take it out{whom}",
                flag.name
            ),
        ));
    }
    if place_of(flag, "priority").is_none() {
        advice.push((
            "",
            format!(
                "{} has no priority, so it is never shed; write priority = 1 (the site is not the site without it) to 9 (first to go), or \"none\"",
                flag.name
            ),
        ));
    }
    if flag.id.is_some()
        && !flag.variants.is_empty()
        && let Enabled::Shares(shares) = &flag.enabled
    {
        let numbered = |name: &str| {
            ["on", "off"].contains(&name)
                || flag.variants.iter().any(|(variant, _)| variant == name)
        };
        for (name, _) in shares.iter().filter(|(name, _)| !numbered(name)) {
            advice.push((
                "variants",
                format!(
                    "the variant {} has no number for the log; add it to variants",
                    shown(name)
                ),
            ));
        }
    }
    advice
}

fn never_reached(flag: &FlagSpec, advice: &mut Vec<(&'static str, String)>) {
    let here = place_of(flag, "enabled").map(|place| place.file);
    let same_file = |key| place_of(flag, key).map(|place| place.file) == here;
    let dark = flag
        .dark
        .filter(|dark| *dark > Share::NONE && same_file("dark"));
    match &flag.enabled {
        Enabled::Off => {
            // An emergency file switches off what another one describes: that is what it is for.
            for (key, there) in [
                ("users", !flag.users.is_empty()),
                ("groups", !flag.groups.is_empty()),
            ] {
                if there && same_file(key) {
                    advice.push((
                        key,
                        format!("{key} are never looked at, because enabled = \"off\" beats them; for none but these write enabled = \"0%\""),
                    ));
                }
            }
            if dark.is_some() {
                advice.push((
                    "dark",
                    "nothing runs dark, because enabled = \"off\" beats it; for dark only write enabled = \"0%\"".to_owned(),
                ));
            }
        }
        Enabled::All(variant) => {
            if dark.is_some() {
                let said = format!(
                    "nothing runs dark, because enabled = \"{variant}\" leaves nobody for it"
                );
                advice.push(("dark", said));
            }
        }
        Enabled::Shares(shares) => {
            let on: u64 = shares
                .iter()
                .map(|(_, share)| u64::from(share.to_millionths()))
                .sum();
            let all = u64::from(Share::ALL.to_millionths());
            if let Some(dark) = dark
                && on + u64::from(dark.to_millionths()) > all
            {
                let left = Share::millionths(u32::try_from(all.saturating_sub(on)).unwrap_or(0));
                advice.push((
                    "dark",
                    format!(
                        "only {} percent are left to run dark",
                        left.unwrap_or_default()
                    ),
                ));
            }
        }
    }
}
