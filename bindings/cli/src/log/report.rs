//! What is said of a log: a table for a person, JSON for a program.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use ioprofiler::render::shown::{push_line, thousands};
use serde_json::{Map, Value, json};

use super::histogram::{Difference, Histogram};
use super::tally::{Group, Tally};
use super::time;

/// Of groups that are listed by size, so many are shown to a person.
const MOST_SHOWN: usize = 40;
/// The variants that others are compared with: by number, and by name.
const BASES: [&[u8]; 2] = [b"0", b"off"];

/// A part of the report: by what, and the groups' names, with the seconds that each covers.
type Section<'t> = (&'static str, Vec<(String, &'t Group, Option<f64>)>);

fn sections(tally: &Tally) -> Vec<Section<'_>> {
    let whole = tally.seconds();
    let mut sections: Vec<Section<'_>> = vec![("all", vec![("all".to_owned(), &tally.all, whole)])];
    let mut minutes = Vec::new();
    for (second, group) in &tally.minutes {
        minutes.push((time::shown(*second, false), group, Some(60.0)));
    }
    sections.push(("minute", minutes));
    let mut routes: Vec<_> = tally.routes.iter().collect();
    routes.sort_by(|(name, group), (other, bigger)| {
        bigger.lines.cmp(&group.lines).then_with(|| name.cmp(other))
    });
    let named = |name: &Vec<u8>, group| (shown(name), group, whole);
    let routes = routes.into_iter().map(|(name, group)| named(name, group));
    sections.push(("route", routes.collect()));
    let statuses = tally
        .statuses
        .iter()
        .map(|(name, group)| named(name, group));
    sections.push(("status", statuses.collect()));
    sections.retain(|(_, groups)| !groups.is_empty());
    sections
}

/// Text of a log, as it may be shown.
fn shown(text: &[u8]) -> String {
    let mut line = String::new();
    push_line(&mut line, &String::from_utf8_lossy(text));
    line
}

/// Whether a value is microseconds, which people read as milliseconds.
fn is_microseconds(name: &str) -> bool {
    let name = name.trim_start_matches('%');
    name == "D"
        || name == "{us}T"
        || name.trim_end_matches("}n").ends_with("_us")
        || name.ends_with(".us")
}

fn unit(name: &str) -> &'static str {
    if is_microseconds(name) { " (ms)" } else { "" }
}

fn figure(name: &str, number: Option<f64>) -> String {
    match number {
        None => "-".to_owned(),
        Some(number) if is_microseconds(name) => format!("{:.3}", number / 1_000.0),
        Some(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        Some(number) => format!("{number:.3}"),
    }
}

/// The report for a person.
pub(crate) fn table(tally: &Tally, values: &[String]) -> String {
    let mut out = head(tally);
    push_missing(&mut out, tally, values);
    let sections = sections(tally);
    for (place, name) in values.iter().enumerate() {
        let width = sections
            .iter()
            .flat_map(|(_, groups)| groups.iter().take(MOST_SHOWN))
            .map(|(name, _, _)| name.chars().count())
            .chain([name.chars().count() + unit(name).len(), 16])
            .max()
            .unwrap_or(16)
            .min(60);
        let title = format!("{name}{}", unit(name));
        let _ = write!(
            out,
            "\n{title:<width$} {:>11} {:>9} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11}\n",
            "lines", "per s", "values", "mean", "p50", "p95", "p99", "max"
        );
        for (by, groups) in &sections {
            if *by != "all" {
                let _ = writeln!(out, "by {by}");
            }
            // Minutes in a row; of others the largest.
            let most = if *by == "minute" {
                usize::MAX
            } else {
                MOST_SHOWN
            };
            for (key, group, seconds) in groups.iter().take(most) {
                push_row(&mut out, key, group, *seconds, (place, name), width);
            }
            if groups.len() > most {
                let _ = writeln!(out, "and {} more", thousands((groups.len() - most) as u64));
            }
        }
        push_tests(&mut out, tally, (place, name), width);
    }
    out
}

fn head(tally: &Tally) -> String {
    let mut out = counted(tally.all.lines, "line", "lines");
    if let (Some(from), Some(to), Some(seconds)) = (tally.from, tally.to, tally.seconds()) {
        let _ = write!(
            out,
            ", {} to {} UTC, {:.2} a second",
            time::shown(from, true),
            time::shown(to, true),
            tally.all.lines as f64 / seconds
        );
    }
    out.push('\n');
    if let Some(example) = &tally.example {
        let place = example.line.map_or_else(
            || "in".to_owned(),
            |line| format!("line {} of", thousands(line)),
        );
        let _ = writeln!(
            out,
            "{} could not be read, the first is {place} {}: {}",
            counted(tally.malformed, "line", "lines"),
            shown(example.file.as_bytes()),
            shown(&example.text)
        );
        let _ = writeln!(out, "why: {}", example.why);
    }
    for (count, one, more) in [
        (
            tally.minutes_left_out,
            "line of a minute beyond the first 10,000: left out by minute",
            "lines of minutes beyond the first 10,000: left out by minute",
        ),
        (
            tally.lists_differ,
            "line passed over: its lists of tests and variants differ in length",
            "lines passed over: their lists of tests and variants differ in length",
        ),
        (
            tally.not_assigned,
            "time a user was in a test by another reason than a percentage: left out",
            "times a user was in a test by another reason than a percentage: left out",
        ),
        (
            tally.without_reason,
            "time the reason was not logged: counted as by percentage",
            "times the reason was not logged: counted as by percentage",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(out, "{}", counted(count, one, more));
        }
    }
    out
}

/// A name that is misspelled looks like a site without traffic.
fn push_missing(out: &mut String, tally: &Tally, values: &[String]) {
    for (place, name) in values.iter().enumerate() {
        let histogram = tally.all.values.get(place);
        if histogram.is_some_and(|histogram| histogram.count() == 0) {
            let _ = writeln!(out, "no line has a number for {name}");
        }
    }
}

/// What is left of a log, in numbers.
fn counted(count: u64, one: &str, more: &str) -> String {
    let what = if count == 1 { one } else { more };
    format!("{} {what}", thousands(count))
}

fn figures(histogram: &Histogram) -> [(&'static str, Option<f64>); 5] {
    [
        ("mean", histogram.mean()),
        ("p50", histogram.percentile(0.5)),
        ("p95", histogram.percentile(0.95)),
        ("p99", histogram.percentile(0.99)),
        ("max", histogram.most()),
    ]
}

fn push_row(
    out: &mut String,
    key: &str,
    group: &Group,
    seconds: Option<f64>,
    (place, name): (usize, &str),
    width: usize,
) {
    let rate = seconds.map_or("-".to_owned(), |seconds| {
        format!("{:.2}", group.lines as f64 / seconds)
    });
    let none = Histogram::default();
    let histogram = group.values.get(place).unwrap_or(&none);
    let _ = write!(
        out,
        "{key:<width$} {:>11} {rate:>9} {:>11}",
        thousands(group.lines),
        thousands(histogram.count())
    );
    for (_, number) in figures(histogram) {
        let _ = write!(out, " {:>11}", figure(name, number));
    }
    out.push('\n');
}

/// Tests or variants in the order in which people look for them: numbers as numbers, then names.
fn in_order<T>(groups: &BTreeMap<Vec<u8>, T>) -> Vec<(&Vec<u8>, &T)> {
    let mut list: Vec<_> = groups.iter().collect();
    list.sort_by_cached_key(|(name, _)| {
        let number = std::str::from_utf8(name)
            .ok()
            .and_then(|name| name.parse::<u64>().ok());
        (number.is_none(), number, *name)
    });
    list
}

/// The group that the variants of a test are compared with.
fn base(variants: &BTreeMap<Vec<u8>, Group>) -> Option<&Group> {
    BASES.iter().find_map(|name| variants.get(*name))
}

fn difference(base: Option<&Group>, group: &Group, place: usize) -> Option<Difference> {
    let base = base.filter(|base| !std::ptr::eq(*base, group))?;
    Difference::of(base.values.get(place)?, group.values.get(place)?)
}

fn push_tests(out: &mut String, tally: &Tally, (place, name): (usize, &str), width: usize) {
    let whole = tally.seconds();
    for (test, variants) in in_order(&tally.tests) {
        let _ = writeln!(out, "test {}", shown(test));
        let base = base(variants);
        for (variant, group) in in_order(variants) {
            let key = format!("  variant {}", shown(variant));
            push_row(out, &key, group, whole, (place, name), width);
            if let Some(difference) = difference(base, group, place) {
                out.pop();
                let sign = if difference.mean < 0.0 { "" } else { "+" };
                let _ = writeln!(
                    out,
                    "  {sign}{} (95 %: {} to {})",
                    figure(name, Some(difference.mean)),
                    figure(name, Some(difference.low)),
                    figure(name, Some(difference.high))
                );
            }
        }
    }
}

/// The report for a program. Numbers stand as they are in the log.
pub(crate) fn json(tally: &Tally, values: &[String]) -> String {
    let mut groups = Vec::new();
    for (by, section) in sections(tally) {
        for (key, group, seconds) in section {
            let mut object = json!({ "by": by, "key": key });
            fill(&mut object, group, seconds, values, None);
            groups.push(object);
        }
    }
    for (test, variants) in in_order(&tally.tests) {
        let base = base(variants);
        for (variant, group) in in_order(variants) {
            let (test, variant) = (
                String::from_utf8_lossy(test),
                String::from_utf8_lossy(variant),
            );
            let mut object = json!({ "by": "test", "test": test, "variant": variant });
            fill(&mut object, group, tally.seconds(), values, base);
            groups.push(object);
        }
    }
    let example = tally.example.as_ref().map(|example| {
        json!({
            "file": example.file,
            "line": example.line,
            "text": String::from_utf8_lossy(&example.text),
            "why": example.why,
        })
    });
    let report = json!({
        "lines": tally.all.lines,
        "from": tally.from,
        "to": tally.to,
        "malformed": tally.malformed,
        "example": example,
        "minutes_left_out": tally.minutes_left_out,
        "lists_differ": tally.lists_differ,
        "not_assigned": tally.not_assigned,
        "without_reason": tally.without_reason,
        "groups": groups,
    });
    format!("{report}\n")
}

fn fill(
    object: &mut Value,
    group: &Group,
    seconds: Option<f64>,
    values: &[String],
    base: Option<&Group>,
) {
    let mut all = Map::new();
    for (place, (name, histogram)) in values.iter().zip(&group.values).enumerate() {
        let mut one = Map::new();
        one.insert("count".to_owned(), histogram.count().into());
        for (figure, number) in figures(histogram) {
            one.insert(figure.to_owned(), json!(number));
        }
        if let Some(Difference { mean, low, high }) = difference(base, group, place) {
            let difference = json!({ "mean": mean, "low": low, "high": high });
            one.insert("difference".to_owned(), difference);
        }
        all.insert(name.clone(), one.into());
    }
    if let Some(object) = object.as_object_mut() {
        object.insert("lines".to_owned(), group.lines.into());
        let rate = seconds.map(|seconds| group.lines as f64 / seconds);
        object.insert("per_second".to_owned(), json!(rate));
        object.insert("values".to_owned(), all.into());
    }
}
