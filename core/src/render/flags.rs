//! How the flags that a profile ran under are shown: text, JSON, panel.

use serde::Serialize;
use std::fmt::Write as _;

use super::html::markup::Markup;
use super::shown::push_line;
use crate::flags::{Exposure, FlagsData, State};
use crate::profile::ProfileData;

/// So many flags are written out in text.
const MOST_SHOWN: usize = 200;

/// ` flags 77a1 (2 s old)`, for the header.
pub(super) fn push_version(out: &mut String, data: &ProfileData) {
    if let Some(flags) = &data.flags {
        // Writing to a String cannot fail, here and below.
        let _ = write!(out, " flags {} ({})", flags.short_version(), age(flags));
    }
}

/// `2 s old`, `5 min old`, `3 h old`: the largest unit that is not zero.
fn age(flags: &FlagsData) -> String {
    let seconds = flags.age_ns / 1_000_000_000;
    match seconds {
        0..120 => format!("{seconds} s old"),
        120..7_200 => format!("{} min old", seconds / 60),
        _ => format!("{} h old", seconds / 3_600),
    }
}

/// `flag new_search green, group:staff (3 times)`, a line each.
pub(super) fn push_lines(out: &mut String, data: &ProfileData) {
    let Some(flags) = &data.flags else { return };
    if let Some(from) = flags.shed_from {
        let _ = writeln!(out, "flags of priority {from} and higher are shed");
    }
    for exposure in flags.exposures.iter().take(MOST_SHOWN) {
        out.push_str("flag ");
        push_line(out, exposure.flag);
        out.push(' ');
        push_line(out, exposure.variant);
        out.push_str(", ");
        push_line(out, &exposure.reason_text());
        push_marks(out, exposure);
        out.push('\n');
    }
    let more = flags.exposures.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        let _ = writeln!(out, "and {more} more flags");
    }
}

/// ` (3 times, about somebody else, until newer flags came)`, of that what there is.
fn push_marks(out: &mut String, exposure: &Exposure) {
    let mut before = " (";
    let mut push = |text: &str| {
        out.push_str(before);
        out.push_str(text);
        before = ", ";
    };
    if exposure.count > 1 {
        push(&format!("{} times", exposure.count));
    }
    if exposure.other {
        push("about somebody else");
    }
    if exposure.past {
        push("until newer flags came");
    }
    if before == ", " {
        out.push(')');
    }
}

/// The flags of the process, and those that this request asked for.
#[derive(Serialize)]
pub struct Flags<'a> {
    /// A hash of all that decides.
    version: &'a str,
    /// How long ago the source was last looked at, or the flags were set.
    age_ns: u64,
    /// Flags of this priority and higher numbers are shed.
    #[serde(skip_serializing_if = "Option::is_none")]
    shed_from: Option<u8>,
    /// Those that were asked for, in the order of first questions.
    exposures: Vec<FlagExposure<'a>>,
}

/// A flag that was asked for.
#[derive(Serialize)]
pub struct FlagExposure<'a> {
    /// Its name.
    flag: &'a str,
    /// Its number in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u32>,
    /// `on`, `off` or `dark`.
    state: &'static str,
    /// Its variant.
    variant: &'a str,
    /// The variant's number in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    /// Why: `killed`, `shed`, `override`, `user`, `group`, `on`, `percent`, `dark`, `off`,
    /// `no_unit`, `not_found` or `error`.
    reason: &'static str,
    /// The group that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    /// How often it was asked for.
    count: u32,
    /// It was decided again since, by newer flags.
    past: bool,
    /// It was asked about somebody else than the request's own user and visitor.
    other: bool,
}

impl<'a> Flags<'a> {
    pub(super) fn of(flags: &'a FlagsData) -> Self {
        Self {
            version: &flags.version,
            age_ns: flags.age_ns,
            shed_from: flags.shed_from,
            exposures: flags.exposures.iter().map(FlagExposure::of).collect(),
        }
    }
}

impl<'a> FlagExposure<'a> {
    fn of(exposure: &'a Exposure) -> Self {
        Self {
            flag: exposure.flag,
            id: exposure.id,
            state: exposure.state.as_str(),
            variant: exposure.variant,
            number: exposure.number,
            reason: exposure.reason.as_str(),
            group: exposure.group,
            count: exposure.count,
            past: exposure.past,
            other: exposure.other,
        }
    }
}

/// The panel's fact `flags 77a1 (2 s old)`.
pub(super) fn fact(out: &mut Markup, profile: &ProfileData) {
    if let Some(flags) = &profile.flags {
        out.raw(" &#xb7; flags ").text(flags.short_version());
        out.raw(" (").text(&age(flags)).raw(")");
    }
}

/// The panel's table of flags.
pub(super) fn table(out: &mut Markup, profile: &ProfileData) {
    let Some(flags) = &profile.flags else { return };
    if flags.exposures.is_empty() && flags.shed_from.is_none() {
        return;
    }
    out.raw("<div><h3>Flags</h3>");
    if let Some(from) = flags.shed_from {
        out.raw("<p class=\"n\">Flags of priority ")
            .int(from)
            .raw(" and higher are shed.</p>");
    }
    if flags.exposures.is_empty() {
        out.raw("</div>");
        return;
    }
    out.raw(
        "<table cellpadding=\"3\" cellspacing=\"0\" aria-label=\"Flags\"><thead><tr>\
         <th align=\"left\" scope=\"col\">Flag</th><th align=\"left\" scope=\"col\">Variant</th>\
         <th align=\"left\" scope=\"col\">Because</th>\
         <th align=\"right\" nowrap=\"\" scope=\"col\">Asked</th></tr></thead><tbody>",
    );
    for exposure in &flags.exposures {
        row(out, exposure);
    }
    out.raw("</tbody></table></div>");
}

fn row(out: &mut Markup, exposure: &Exposure) {
    out.raw("<tr data-row=\"flag\" data-flag=\"")
        .text(exposure.flag);
    out.raw("\" data-state=\"").raw(exposure.state.as_str());
    out.raw("\" data-variant=\"").text(exposure.variant);
    out.raw("\" data-reason=\"").raw(exposure.reason.as_str());
    out.raw("\" data-count=\"").int(exposure.count);
    out.raw("\"><td>").breakable(exposure.flag).raw("</td><td>");
    match exposure.state {
        State::Off => out.breakable(exposure.variant),
        State::On => out.raw("<b>").breakable(exposure.variant).raw("</b>"),
        State::Dark => out.raw("<b class=\"warn\">dark</b>"),
    };
    out.raw("</td><td>").breakable(&exposure.reason_text());
    if exposure.other {
        out.raw(" <small>about somebody else</small>");
    }
    if exposure.past {
        out.raw(" <small>until newer flags came</small>");
    }
    out.raw("</td><td align=\"right\">")
        .int(exposure.count)
        .raw("&#xd7;</td></tr>");
}
