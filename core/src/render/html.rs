//! The HTML panel: what one request did, inside the page that it made.
//!
//! The panel is one element, `<ioprofiler-panel>`, whose content stands in a declarative shadow
//! root, so the page's style sheets and ours never meet. Nothing in it has to be allowed: with
//! neither style nor script it is a block of headings and tables at the page's end, its bars drawn
//! by SVG attributes, its colours the page's own. A style sheet and a small script, where the
//! page's policy lets them run, make it a badge that opens, a copy button and a filter.
//!
//! The output is pure ASCII and well-formed XML: it fits pages of other charsets, and XHTML.
//! (Browsers attach declarative shadow roots in HTML only; in XHTML the script does it.)
//!
//! # Reading it back
//!
//! Rows carry attributes that stay as they are, for tests and scripts. Times are milliseconds with
//! three decimals, without the `≥` that may be shown before them.
//!
//! | `data-row` | further attributes |
//! | --- | --- |
//! | `category` | `data-category` `data-calls` `data-time` `data-self` |
//! | `total` | `data-name` (`TOTAL CALLS`, `TOTAL PAGE EXEC`, `I/O WALL`, `OTHER`), `data-time`; the first one `data-calls` `data-self` as well |
//! | `call` | `data-category` `data-start` `data-time` `data-outcome` `data-depth`; the whole detail is the text of the row's `[data-detail]` |
//! | `repeated` | `data-category` `data-calls` `data-time` |
//! | `flag` | `data-flag` `data-state` `data-variant` `data-reason` `data-count` |
//! | `note` | `data-name` `data-value` |
//! | `hook` | `data-name` `data-hooked` (`yes`, `no`) |
//!
//! `<ioprofiler-panel>` itself has `data-request`, the request's id.

mod calls;
mod foot;
mod head;
pub(super) mod markup;
mod totals;

use super::flags;
use crate::profile::ProfileData;
use crate::table::{Table, table};
use markup::Markup;

const STYLE: &str = include_str!("html/panel.css");
const SCRIPT: &str = include_str!("html/panel.js");

/// How a panel is to be made.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default)]
pub struct PanelOptions<'a> {
    /// The nonce of the page's Content-Security-Policy, for our style and script.
    pub nonce: Option<&'a str>,
    /// Neither style nor script: for a page whose policy would block them, and whose console is to
    /// stay quiet. It stands at the page's end, over nothing, so it begins unfolded.
    pub plain: bool,
    /// Begin unfolded; with our style, folded it is a badge in the corner of the page.
    pub open: bool,
}

impl<'a> PanelOptions<'a> {
    /// With the nonce of the page's Content-Security-Policy.
    #[must_use]
    pub fn nonce(mut self, nonce: &'a str) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// Without style and script, and unfolded.
    #[must_use]
    pub fn plain(mut self, plain: bool) -> Self {
        self.plain = plain;
        self
    }

    /// Unfolded or not at first.
    #[must_use]
    pub fn open(mut self, open: bool) -> Self {
        self.open = open;
        self
    }
}

/// The panel: what goes into a page before its `</body>`.
#[must_use]
pub fn panel(profile: &ProfileData) -> String {
    panel_with(profile, &PanelOptions::default())
}

/// As [`panel`], for a host that knows its page's policy.
#[must_use]
pub fn panel_with(profile: &ProfileData, options: &PanelOptions<'_>) -> String {
    let mut out = Markup::with_capacity(expected_size(profile));
    element(&mut out, profile, options, false);
    out.into_string()
}

/// A whole document with the same content, for a file or an answer of its own.
#[must_use]
pub fn page(profile: &ProfileData) -> String {
    let mut out = Markup::with_capacity(expected_size(profile));
    out.raw(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"/>\
         <meta name=\"color-scheme\" content=\"light dark\"/>\
         <meta name=\"viewport\" content=\"width=device-width\"/>\
         <meta name=\"robots\" content=\"noindex\"/><title>",
    );
    head::name(&mut out, profile);
    out.raw(" - ioprofiler</title></head><body>");
    element(&mut out, profile, &PanelOptions::default().open(true), true);
    out.raw("</body></html>\n");
    out.into_string()
}

/// Enough that a usual profile is written without growing the string.
fn expected_size(profile: &ProfileData) -> usize {
    let details: usize = profile.spans.iter().map(|span| span.detail.len()).sum();
    16_384 + 480 * profile.spans.len() + 2 * details
}

fn element(out: &mut Markup, profile: &ProfileData, options: &PanelOptions<'_>, page: bool) {
    let table = table(profile);
    out.raw("<ioprofiler-panel data-request=\"")
        .text(&profile.id);
    out.raw(if page { "\" data-page=\"\">" } else { "\">" });
    out.raw("<template shadowrootmode=\"open\">");
    if !options.plain {
        open_tag(out, "<style", options.nonce)
            .raw(STYLE)
            .raw("</style>");
    }
    out.raw("<details id=\"panel\" class=\"p\"");
    let unfolded = options.open || options.plain;
    out.raw(if unfolded { " open=\"\">" } else { ">" });
    head::summary(out, profile, &table);
    body(out, profile, &table);
    out.raw("</details></template>");
    if !options.plain {
        open_tag(out, "<script", options.nonce)
            .raw(SCRIPT)
            .raw("</script>");
    }
    out.raw("</ioprofiler-panel>");
}

fn open_tag<'m>(out: &'m mut Markup, tag: &'static str, nonce: Option<&str>) -> &'m mut Markup {
    out.raw(tag);
    if let Some(nonce) = nonce {
        out.raw(" nonce=\"").text(nonce).raw("\"");
    }
    out.raw(">")
}

fn body(out: &mut Markup, profile: &ProfileData, table: &Table) {
    out.raw("<div class=\"b\">");
    head::facts(out, profile);
    head::warnings(out, profile);
    out.raw("<div class=\"two\">");
    totals::categories(out, table);
    totals::repeated(out, profile, table);
    out.raw("</div>");
    calls::list(out, profile, table);
    flags::table(out, profile);
    foot::notes(out, profile);
    foot::hooks(out, profile);
    foot::ticket(out, profile);
    foot::own_cost(out, profile);
    out.raw("</div>");
}
