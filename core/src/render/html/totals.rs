//! The category table and the repeated calls.

use super::calls::{colour, cut};
use super::head::{AT_LEAST, AT_MOST, at_least};
use super::markup::Markup;
use crate::profile::ProfileData;
use crate::table::{Repeated, Row, Table};

/// Calls and time of each category, then the totals.
pub(super) fn categories(out: &mut Markup, table: &Table) {
    out.raw(
        "<table cellpadding=\"3\" cellspacing=\"0\" aria-label=\"Time per category\"><thead><tr>\
         <th align=\"left\" scope=\"col\">Category</th><th align=\"right\" nowrap=\"\" scope=\"col\">Calls</th>\
         <th align=\"right\" nowrap=\"\" scope=\"col\">Time (ms)</th>\
         <th align=\"right\" nowrap=\"\" scope=\"col\">Self (ms)</th><th></th></tr></thead><tbody>",
    );
    let most = table.rows.iter().map(|row| row.self_ns).max().unwrap_or(0);
    for (place, row) in table.rows.iter().enumerate() {
        category(out, row, place, most);
    }
    out.raw("</tbody><tbody>");
    total_calls(out, table);
    let (at_least, at_most) = if table.partial {
        (AT_LEAST, AT_MOST)
    } else {
        ("", "")
    };
    total(out, "TOTAL PAGE EXEC", "", table.page_ns);
    total(out, "I/O WALL", at_least, table.io_wall_ns);
    total(out, "OTHER", at_most, table.other_ns);
    out.raw("</tbody></table>");
}

fn category(out: &mut Markup, row: &Row, place: usize, most: u64) {
    out.raw("<tr data-row=\"category\" data-category=\"")
        .text(row.category);
    out.raw("\" data-calls=\"").int(row.calls);
    out.raw("\" data-time=\"").ms(row.time_ns);
    out.raw("\" data-self=\"").ms(row.self_ns);
    out.raw("\"><td>").text(row.category);
    out.raw("</td><td align=\"right\">").int(row.calls);
    out.raw("</td><td align=\"right\">").ms(row.time_ns);
    out.raw("</td><td align=\"right\">");
    at_least(out, row.self_at_least).ms(row.self_ns);
    out.raw("</td><td><svg width=\"100\" height=\"10\" aria-hidden=\"true\"><rect width=\"");
    out.percent(row.self_ns, most)
        .raw("\" height=\"10\" fill=\"")
        .raw(colour(place));
    out.raw("\" stroke=\"").raw(colour(place)).raw("\"/></svg>");
    marks(out, row);
    out.raw("</td></tr>");
}

/// What is worth saying of a category besides its time.
fn marks(out: &mut Markup, row: &Row) {
    for (count, class, one, many) in [
        (row.errors, "bad", " error", " errors"),
        (row.cancelled, "warn", " cancelled", " cancelled"),
        (row.open, "warn", " open", " open"),
    ] {
        if count > 0 {
            out.raw(" <small class=\"").raw(class).raw("\">");
            counted(out, count, one, many).raw("</small>");
        }
    }
    if row.hits.saturating_add(row.misses) > 0 {
        out.raw(" <small>");
        counted(out, row.hits, " hit", " hits").raw(", ");
        counted(out, row.misses, " miss", " misses").raw("</small>");
    }
}

/// `1 hit`, `2 hits`.
fn counted<'a>(
    out: &'a mut Markup,
    count: u64,
    one: &'static str,
    many: &'static str,
) -> &'a mut Markup {
    out.int(count).raw(if count == 1 { one } else { many })
}

fn total_calls(out: &mut Markup, table: &Table) {
    out.raw("<tr data-row=\"total\" data-name=\"TOTAL CALLS\" data-calls=\"")
        .int(table.total_calls);
    out.raw("\" data-time=\"").ms(table.total_calls_self_ns);
    out.raw("\" data-self=\"").ms(table.total_calls_self_ns);
    out.raw("\"><th align=\"left\" scope=\"row\">TOTAL CALLS</th><td align=\"right\">");
    out.int(table.total_calls).raw("</td><td align=\"right\">");
    at_least(out, table.total_at_least)
        .ms(table.total_calls_self_ns)
        .raw("</td><td align=\"right\">");
    at_least(out, table.total_at_least)
        .ms(table.total_calls_self_ns)
        .raw("</td><td>");
    if let Some(parallel) = table.parallel {
        out.raw("parallel &#xd7;")
            .tenths((parallel * 10.0).round() as u64);
    }
    out.raw("</td></tr>");
}

fn total(out: &mut Markup, name: &'static str, bound: &'static str, time_ns: u64) {
    out.raw("<tr data-row=\"total\" data-name=\"")
        .raw(name)
        .raw("\" data-time=\"")
        .ms(time_ns);
    out.raw("\"><th align=\"left\" scope=\"row\">").raw(name);
    out.raw("</th><td></td><td align=\"right\">");
    out.raw(bound)
        .ms(time_ns)
        .raw("</td><td></td><td></td></tr>");
}

/// So many groups of repeated calls stand open, the most expensive ones; the rest is folded.
const REPEATED_OPEN: usize = 6;

/// The same call made again and again, with the line that makes it.
pub(super) fn repeated(out: &mut Markup, profile: &ProfileData, table: &Table) {
    if table.repeated.is_empty() {
        return;
    }
    out.raw(
        "<div class=\"grow\"><h3 class=\"warn\">Repeated calls: one call could do for many</h3>",
    );
    let (open, folded) = table
        .repeated
        .split_at_checked(REPEATED_OPEN)
        .unwrap_or((&table.repeated, &[]));
    groups(out, profile, open);
    if !folded.is_empty() {
        out.raw("<details><summary>")
            .int(folded.len() as u64)
            .raw(" more</summary>");
        groups(out, profile, folded);
        out.raw("</details>");
    }
    out.raw("</div>");
}

fn groups(out: &mut Markup, profile: &ProfileData, groups: &[Repeated]) {
    out.raw(
        "<table cellpadding=\"3\" cellspacing=\"0\" aria-label=\"Repeated calls\"><thead><tr>\
         <th align=\"right\" nowrap=\"\" scope=\"col\">Calls</th><th align=\"right\" nowrap=\"\" scope=\"col\">Time (ms)</th>\
         <th align=\"left\" scope=\"col\">Category</th><th align=\"left\" scope=\"col\">Call</th>\
         </tr></thead><tbody>",
    );
    for group in groups {
        self::group(out, profile, group);
    }
    out.raw("</tbody></table>");
}

fn group(out: &mut Markup, profile: &ProfileData, group: &Repeated) {
    out.raw("<tr data-row=\"repeated\" valign=\"top\" data-category=\"")
        .text(group.category);
    out.raw("\" data-calls=\"").int(group.count);
    out.raw("\" data-time=\"").ms(group.total_ns);
    out.raw("\"><td align=\"right\"><b>").int(group.count);
    out.raw("&#xd7;</b></td><td align=\"right\">")
        .ms(group.total_ns);
    out.raw("</td><td>")
        .text(group.category)
        .raw("</td><td><code>");
    out.breakable(&group.fingerprint).raw("</code><br/><small>");
    if let Some(caller) = group.caller {
        out.raw("from ")
            .breakable(caller.file)
            .raw(":")
            .int(caller.line)
            .raw(", ");
    }
    let example = profile
        .spans
        .get(group.example as usize)
        .map_or("", |span| &span.detail);
    out.raw("for example <code>")
        .breakable(cut(example))
        .raw("</code></small></td></tr>");
}
