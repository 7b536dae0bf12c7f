//! The calls, in order of start, each with its bar on the request's clock.

use super::head::end;
use super::markup::Markup;
use crate::category::Kind;
use crate::profile::{Outcome, ProfileData, SpanData};
use crate::table::Table;
use std::collections::HashMap;

/// Mid tones that can be told apart on white and on near black.
const COLOURS: [&str; 8] = [
    "#2f7de1", "#c97a0a", "#0f9b8e", "#b04bd0", "#6f9a1c", "#0b95c4", "#7d6bf0", "#c2608a",
];
const ERROR_COLOUR: &str = "#dc2f2f";
/// A detail of more bytes is folded: its beginning stands in the list, the whole one click away.
const FOLD_ABOVE: usize = 160;
const FOLDED: usize = 120;
/// Deeper calls are listed, but not moved further to the right.
const DEEPEST_INDENT: usize = 12;

/// The colour of a category that stands at this place in the table.
pub(super) fn colour(place: usize) -> &'static str {
    COLOURS
        .get(place % COLOURS.len())
        .copied()
        .unwrap_or("#888")
}

/// The time line that all bars share: from the request's begin to its last moment.
#[derive(Clone, Copy)]
pub(super) struct Clock {
    length_ns: u64,
    /// When the answer began.
    answer_ns: u64,
}

impl Clock {
    pub(super) fn of(profile: &ProfileData) -> Self {
        let last = profile.spans.iter().map(end).max().unwrap_or(0);
        Self {
            length_ns: last.max(profile.page_ns).max(1),
            answer_ns: profile.app_ns,
        }
    }

    /// In which of so many equal steps a moment falls.
    pub(super) fn step(self, moment_ns: u64, steps: u64) -> usize {
        let step = u128::from(moment_ns) * u128::from(steps) / u128::from(self.length_ns);
        step.min(u128::from(steps.saturating_sub(1))) as usize
    }

    /// The first moment of a step.
    pub(super) fn moment(self, step: usize, steps: u64) -> u64 {
        let moment = (u128::from(self.length_ns) * step as u128).div_ceil(u128::from(steps.max(1)));
        u64::try_from(moment).unwrap_or(u64::MAX)
    }

    /// How much of a step so many nanoseconds are, where a whole one is `whole`.
    pub(super) fn share_of_step(self, nanoseconds: u64, steps: u64, whole: u64) -> u64 {
        let share = u128::from(nanoseconds) * u128::from(steps) * u128::from(whole);
        ((share + u128::from(self.length_ns / 2)) / u128::from(self.length_ns))
            .min(u128::from(whole)) as u64
    }
}

/// The list of calls.
pub(super) fn list(out: &mut Markup, profile: &ProfileData, table: &Table) {
    if profile.spans.is_empty() {
        let text = if profile.unlisted > 0 {
            "No call is listed."
        } else {
            "No calls."
        };
        out.raw("<p>").raw(text).raw("</p>");
        return;
    }
    let clock = Clock::of(profile);
    out.raw("<div><div class=\"h\"><h3>Calls, in order of start</h3>");
    out.raw("<p hidden=\"\"><input id=\"filter\" type=\"search\" placeholder=\"Filter calls\" ");
    out.raw("aria-label=\"Filter calls\"/></p></div>");
    out.raw("<table class=\"w\" width=\"100%\" cellpadding=\"3\" cellspacing=\"0\" ");
    out.raw("aria-label=\"Calls, in order of start\">");
    heading(out, clock);
    out.raw("<tbody>");
    let colours: HashMap<&str, &'static str> = table
        .rows
        .iter()
        .enumerate()
        .map(|(place, row)| (row.category, colour(place)))
        .collect();
    let mut depths: Vec<usize> = Vec::with_capacity(profile.spans.len());
    for span in &profile.spans {
        let parent = span.parent.and_then(|parent| depths.get(parent as usize));
        let depth = parent.map_or(0, |depth| depth + 1);
        depths.push(depth);
        let colour = colours.get(span.category).copied().unwrap_or("#888");
        call(out, span, depth, clock, colour);
    }
    out.raw("</tbody></table></div>");
}

fn heading(out: &mut Markup, clock: Clock) {
    out.raw(
        "<thead><tr><th align=\"right\" nowrap=\"\" scope=\"col\">Start (ms)</th>\
         <th align=\"left\" scope=\"col\">Category</th>\
         <th align=\"right\" nowrap=\"\" scope=\"col\">Time (ms)</th>\
         <th align=\"left\" scope=\"col\" width=\"25%\" aria-label=\"On the request's clock\">\
         <svg width=\"100%\" height=\"13\" font-size=\"11\" fill=\"currentColor\" aria-hidden=\"true\">\
         <text x=\"0\" y=\"11\">0</text><text x=\"50%\" y=\"11\" text-anchor=\"middle\">",
    );
    out.about(clock.length_ns / 2)
        .raw("</text><text x=\"100%\" y=\"11\" text-anchor=\"end\">");
    out.about(clock.length_ns).raw("</text>");
    out.raw(
        "</svg></th><th align=\"left\" scope=\"col\">Detail</th>\
         <th align=\"left\" scope=\"col\">Caller</th></tr></thead>",
    );
}

fn call(out: &mut Markup, span: &SpanData, depth: usize, clock: Clock, colour: &'static str) {
    out.raw("<tr valign=\"top\" data-row=\"call\" data-category=\"")
        .text(span.category);
    out.raw("\" data-start=\"").ms(span.start_ns);
    out.raw("\" data-time=\"").ms(span.duration_ns);
    out.raw("\" data-outcome=\"").raw(span.outcome.as_str());
    out.raw("\" data-depth=\"").int(depth as u64);
    out.raw("\"><td align=\"right\">")
        .ms(span.start_ns)
        .raw("</td><td nowrap=\"\">");
    indent(out, depth);
    out.text(span.category);
    if let Some(target) = &span.target {
        out.raw(" <small>[").breakable(target).raw("]</small>");
    }
    out.raw("</td><td align=\"right\">")
        .ms(span.duration_ns)
        .raw("</td><td>");
    bar(out, span, clock, colour);
    out.raw("</td><td>");
    detail(out, span);
    marks(out, span);
    out.raw("</td><td>");
    if let Some(caller) = span.caller {
        out.raw("<small>")
            .breakable(caller.file)
            .raw(":")
            .int(caller.line)
            .raw("</small>");
    }
    out.raw("</td></tr>\n");
}

fn indent(out: &mut Markup, depth: usize) {
    if depth == 0 {
        return;
    }
    out.raw("<span class=\"d\" aria-hidden=\"true\">");
    for _ in 1..depth.min(DEEPEST_INDENT) {
        out.raw("&#xa0;&#xa0;");
    }
    out.raw("&#x2514;&#xa0;</span>");
}

/// Calls are full bars, scopes thin ones. The stroke keeps the shortest call visible. One that
/// came after the answer has a mark where the answer began.
fn bar(out: &mut Markup, span: &SpanData, clock: Clock, colour: &'static str) {
    let colour = if span.outcome == Outcome::Error {
        ERROR_COLOUR
    } else {
        colour
    };
    out.raw("<svg width=\"100%\" height=\"11\" aria-hidden=\"true\"><rect x=\"");
    out.percent(span.start_ns, clock.length_ns)
        .raw("\" width=\"");
    out.percent(span.duration_ns, clock.length_ns);
    out.raw(match span.kind {
        Kind::Leaf => "\" height=\"11\" fill=\"",
        Kind::Scope => "\" y=\"4\" height=\"3\" fill=\"",
    });
    out.raw(colour).raw("\" stroke=\"").raw(colour);
    out.raw(match span.outcome {
        Outcome::Open => "\" fill-opacity=\".3\" stroke-dasharray=\"3\"/>",
        Outcome::Cancelled => "\" fill-opacity=\".1\"/>",
        _ => "\"/>",
    });
    if span.after_answer {
        out.raw("<line y2=\"11\" stroke=\"currentColor\" stroke-dasharray=\"2\" x1=\"");
        out.percent(clock.answer_ns, clock.length_ns)
            .raw("\" x2=\"");
        out.percent(clock.answer_ns, clock.length_ns).raw("\"/>");
    }
    out.raw("</svg>");
}

fn detail(out: &mut Markup, span: &SpanData) {
    let detail = span.detail.as_str();
    if detail.len() <= FOLD_ABOVE {
        out.raw("<code data-detail=\"\">")
            .breakable(detail)
            .raw("</code>");
    } else {
        out.raw("<details><summary><code>").breakable(cut(detail));
        out.raw("&#x2026;</code></summary><pre wrap=\"\" data-detail=\"\">");
        if detail.starts_with('\n') {
            out.raw("\n"); // a parser drops the first one
        }
        out.breakable(detail).raw("</pre></details>");
    }
    if let Some(whole) = span.detail_cut_from {
        out.raw(" <small>cut, ")
            .int(whole)
            .raw(" bytes in all</small>");
    }
}

/// The beginning of a long detail.
pub(super) fn cut(detail: &str) -> &str {
    let mut end = FOLDED.min(detail.len());
    while !detail.is_char_boundary(end) {
        end -= 1;
    }
    detail.get(..end).unwrap_or_default()
}

/// How it ended, what it brought, and whether the answer had left before it.
fn marks(out: &mut Markup, span: &SpanData) {
    match span.outcome {
        Outcome::Ok => {}
        outcome => {
            _ = out
                .raw(" <b class=\"e\">")
                .raw(outcome.as_str())
                .raw("</b>")
        }
    }
    if span.after_answer {
        out.raw(" <b class=\"warn\">after answer</b>");
    }
    if span.dark {
        out.raw(" <b class=\"warn\">dark</b>");
    }
    let counts = &span.counts;
    let all = [
        (counts.hits, " hit", " hits"),
        (counts.misses, " miss", " misses"),
        (counts.rows, " row", " rows"),
        (counts.bytes, " byte", " bytes"),
    ];
    let mut before = " <small>";
    for (count, one, many) in all {
        let Some(count) = count else { continue };
        out.raw(before)
            .int(count)
            .raw(if count == 1 { one } else { many });
        before = ", ";
    }
    if before == ", " {
        out.raw("</small>");
    }
}
