//! What stands last: notes, what is recorded at all, the ticket, and what the profiler cost.

use super::markup::Markup;
use crate::profile::ProfileData;

/// Up to so many listed calls, the text for a ticket stands in the panel; longer ones are asked
/// for by `?ioprofiler=ticket`, so that a page of thousands of calls is not sent twice.
const TICKET_UP_TO: usize = 500;

/// What the application noted for the request's line in the log.
pub(super) fn notes(out: &mut Markup, profile: &ProfileData) {
    if profile.notes.is_empty() {
        return;
    }
    out.raw("<div><h3>Notes</h3><ul>");
    for note in &profile.notes {
        let value = note.value.to_string();
        out.raw("<li data-row=\"note\" data-name=\"")
            .text(&note.name);
        out.raw("\" data-value=\"").text(&value);
        out.raw("\"><b>").breakable(&note.name).raw("</b> ");
        out.breakable(&value);
        if let Some(length) = note.cut_from {
            out.raw(" (cut from ").int(length).raw(" bytes)");
        }
        out.raw("</li>");
    }
    out.raw("</ul></div>");
}

/// What is hooked, what was seen and is not, and what happened outside any request.
pub(super) fn hooks(out: &mut Markup, profile: &ProfileData) {
    out.raw("<div><h3>What is recorded</h3><ul>");
    if profile.hooks.is_empty() {
        out.raw("<li>No library is hooked: what is listed was recorded by hand.</li>");
    }
    for hook in &profile.hooks {
        out.raw("<li data-row=\"hook\" data-name=\"")
            .text(&hook.name);
        out.raw(if hook.hooked {
            "\" data-hooked=\"yes\">"
        } else {
            "\" data-hooked=\"no\">"
        });
        out.breakable(&hook.name);
        out.raw(if hook.hooked {
            " is hooked"
        } else {
            " <b class=\"warn\">is not hooked</b>"
        });
        if let Some(hint) = &hook.hint {
            out.raw(": ").breakable(hint);
        }
        out.raw("</li>");
    }
    if profile.calls_outside > 0 {
        out.raw("<li>").int(profile.calls_outside);
        out.raw(" calls of this process happened outside any request</li>");
    }
    out.raw("</ul></div>");
}

/// The text form with fingerprints in place of details, to be copied.
pub(super) fn ticket(out: &mut Markup, profile: &ProfileData) {
    out.raw("<details><summary>Copy as ticket</summary>");
    if profile.spans.len() > TICKET_UP_TO {
        out.raw("<p>Ask for <code>?ioprofiler=ticket</code>: the list is long.</p></details>");
        return;
    }
    out.raw("<p><small>Literals are masked: this may be pasted anywhere.</small> ");
    out.raw("<button id=\"copy\" type=\"button\" hidden=\"\">Copy</button></p>");
    out.raw("<textarea id=\"ticket\" readonly=\"\" rows=\"12\" cols=\"100\" wrap=\"off\" ");
    out.raw("aria-label=\"Profile as text\">\n");
    out.text(&crate::render::ticket(profile))
        .raw("</textarea></details>");
}

/// What the profiler added to this request.
pub(super) fn own_cost(out: &mut Markup, profile: &ProfileData) {
    out.raw("<p><small>ioprofiler itself took about <b>")
        .about(profile.own_cost_ns);
    out.raw("</b> of this request (an estimate)</small></p>");
}
