//! What stands first: the line of the folded panel, the facts, and what to be wary of.

use super::calls::Clock;
use super::markup::Markup;
use crate::category::Kind;
use crate::profile::{ProfileData, RequestKind, SpanData, State};
use crate::table::Table;

/// `GET /listing/5773453?a=1`, or a job's name. Without places to break: it is a title, too.
pub(super) fn name(out: &mut Markup, profile: &ProfileData) {
    let facts = &profile.facts;
    match facts.kind {
        RequestKind::Web => out.text(&facts.method),
        kind => out.raw(kind.as_str()),
    };
    out.raw(" ").text(&facts.path);
    if let Some(query) = &facts.query {
        out.raw("?").text(query);
    }
}

/// The one line that a folded panel shows.
pub(super) fn summary(out: &mut Markup, profile: &ProfileData, table: &Table) {
    out.raw("<summary><b>ioprofiler</b>");
    strip(out, profile);
    item(out)
        .raw("<b>")
        .about(profile.page_ns)
        .raw("</b> page</span>");
    item(out).raw("<b>").int(table.total_calls).raw("</b> ");
    out.raw(if table.total_calls == 1 {
        "call</span>"
    } else {
        "calls</span>"
    });
    item(out).raw("<b>");
    at_least(out, table.partial)
        .about(table.io_wall_ns)
        .raw("</b> I/O wall</span>");
    let errors: u64 = profile.totals.iter().map(|total| total.errors).sum();
    if errors > 0 {
        item(out).raw("<b class=\"bad\">").int(errors);
        out.raw(if errors == 1 {
            " error</b></span>"
        } else {
            " errors</b></span>"
        });
    }
    if !table.repeated.is_empty() {
        item(out)
            .raw("<b class=\"warn\">")
            .int(table.repeated.len() as u64);
        out.raw(" repeated</b></span>");
    }
    out.raw("<i> &#xb7; </i><span class=\"d\">request ");
    out.text(short(&profile.id)).raw("</span></summary>");
}

fn item(out: &mut Markup) -> &mut Markup {
    out.raw("<i> &#xb7; </i><span>")
}

/// The sign before a figure that covers the listed calls only, so is a lower bound.
pub(super) const AT_LEAST: &str = "&#x2265;&#xa0;";
/// The sign before an upper bound.
pub(super) const AT_MOST: &str = "&#x2264;&#xa0;";

pub(super) fn at_least(out: &mut Markup, partial: bool) -> &mut Markup {
    out.raw(if partial { AT_LEAST } else { "" })
}

fn short(id: &str) -> &str {
    id.char_indices()
        .nth(8)
        .and_then(|(end, _)| id.get(..end))
        .unwrap_or(id)
}

/// How much of each part of the request was spent waiting for I/O, as one small line of bars.
fn strip(out: &mut Markup, profile: &ProfileData) {
    const HEIGHT: u64 = 12;
    let clock = Clock::of(profile);
    out.raw(
        " <svg width=\"120\" height=\"12\" role=\"img\" aria-label=\"When it waited for I/O\">\
         <rect width=\"120\" height=\"12\" fill=\"#888\" fill-opacity=\".25\"/>\
         <path stroke=\"#2f7de1\" stroke-width=\"1.1\" d=\"",
    );
    for (step, busy_ns) in waiting(profile, clock).iter().enumerate() {
        if *busy_ns > 0 {
            let height = clock.share_of_step(*busy_ns, STEPS, HEIGHT).max(1);
            out.raw("M").int(step as u64).raw(".5 12v-").int(height);
        }
    }
    out.raw("\"/></svg>");
}

const STEPS: u64 = 120;

/// In each of the equal parts of the request, how long at least one leaf was going on.
fn waiting(profile: &ProfileData, clock: Clock) -> [u64; STEPS as usize] {
    let mut busy_ns = [0; STEPS as usize];
    let mut until = 0;
    for span in profile.spans.iter().filter(|span| span.kind == Kind::Leaf) {
        let mut from = span.start_ns.max(until);
        let end = end(span);
        until = until.max(end);
        while from < end {
            let step = clock.step(from, STEPS);
            let to = if step + 1 == busy_ns.len() {
                end
            } else {
                end.min(clock.moment(step + 1, STEPS))
            };
            if let Some(busy_ns) = busy_ns.get_mut(step) {
                *busy_ns += to.saturating_sub(from);
            }
            from = to.max(from + 1);
        }
    }
    busy_ns
}

/// When a call ended.
pub(super) fn end(span: &SpanData) -> u64 {
    span.start_ns.saturating_add(span.duration_ns)
}

/// What the request is about and where it ran.
pub(super) fn facts(out: &mut Markup, profile: &ProfileData) {
    let facts = &profile.facts;
    out.raw("<p><b>");
    name(out, profile);
    out.raw("</b>");
    if let Some(status) = facts.status {
        out.raw(" <b>").int(status).raw("</b>");
    }
    out.raw("<br/><small>");
    out.text(&crate::render::shown::utc(profile.started_at));
    fact(out, "host", &profile.host);
    out.raw(" &#xb7; pid ").int(profile.pid);
    optional(out, "build", profile.build.as_deref());
    fact(out, "request", &profile.id);
    optional(out, "trace", facts.trace().map(|trace| trace.trace_id));
    optional(out, "of", profile.parent_id.as_deref());
    optional(out, "route", facts.route.as_deref());
    optional(out, "user", facts.user.as_deref());
    optional(out, "visitor", facts.visitor.as_deref());
    for group in &facts.groups {
        fact(out, "group", group);
    }
    optional(out, "seen by", facts.viewer.as_deref());
    crate::render::flags::fact(out, profile);
    if let Some(bytes) = facts.bytes_out {
        out.raw(" &#xb7; ").int(bytes).raw(" bytes");
    }
    out.raw("</small></p>");
}

fn optional(out: &mut Markup, label: &'static str, value: Option<&str>) {
    fact(out, label, value.unwrap_or_default());
}

fn fact(out: &mut Markup, label: &'static str, value: &str) {
    if !value.is_empty() {
        out.raw(" &#xb7; ").raw(label).raw(" ").breakable(value);
    }
}

/// What a reader must know before believing the numbers.
pub(super) fn warnings(out: &mut Markup, profile: &ProfileData) {
    if let Some(error) = &profile.facts.error {
        warning(out, "The request failed: ")
            .breakable(error)
            .raw("</p>");
    }
    match profile.state {
        State::Aborted => _ = warning(out, "The client left before the answer was sent.</p>"),
        State::Abandoned => _ = warning(out, "Nobody finished this request.</p>"),
        State::Live | State::Finished => {}
    }
    if !profile.recorded {
        warning(
            out,
            "Calls were not recorded in this request (option <code>record</code>).</p>",
        );
    }
    if profile.unlisted > 0 {
        warning(out, "")
            .int(profile.unlisted)
            .raw(" more calls are counted but not listed");
        if let Some(limit) = profile.limit {
            out.raw(" (limit <code>")
                .raw(limit.as_str())
                .raw("</code>)");
        }
        out.raw(". Calls and Time are exact; what needs the list is marked &#x2265;.</p>");
    }
    if profile.clock_suspect {
        warning(
            out,
            "The clock's rate changed or the machine slept: times may be wrong.</p>",
        );
    }
}

fn warning<'m>(out: &'m mut Markup, text: &'static str) -> &'m mut Markup {
    out.raw("<p class=\"n\">").raw(text)
}
