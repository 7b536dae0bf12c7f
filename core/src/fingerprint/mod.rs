//! Fingerprints: a call's detail without its literals.
//!
//! A fingerprint serves two ends. Calls that differ only in their values have the same one, so
//! that repeated calls (N+1) can be counted; and it carries nobody's data, so that it may leave
//! the process: in a ticket, a log, a kept request. **It fails closed**: what cannot be read
//! becomes `<unparsable, N bytes>`, N being the length of the whole detail, and never the text.
//!
//! # Rules
//!
//! They are exact, so that they can be written again elsewhere; `tests/vectors/fingerprint.json`
//! holds cases. ASCII decides; of other characters only Unicode's property *Alphabetic* is asked.
//!
//! ## All dialects of SQL
//!
//! - White space (space, `\t`, `\n`, `\r`, `\x0b`, `\x0c`) and comments become one space between
//!   tokens, none at the ends. Nothing else is added or taken between tokens; case is kept.
//! - A *word* is a letter, `_` or a non-ASCII character, and then these, digits and `$`. It stays,
//!   digits included (`dbshard01`), as do `NULL`, `TRUE`, `FALSE`. Longer than 64 bytes, or the
//!   first part of a UUID: `?`. A character beyond ASCII that is not alphabetic is unreadable.
//! - A *number* is a digit and all letters, digits, `_` and `.` glued to it, an exponent's sign,
//!   and, once it has letters, a dash before another letter or digit: `?`. So is `.5` after an
//!   operator or space. A `+` or `-` glued before it is part of it, unless an operand comes
//!   before: a literal, parameter, quoted name, closing bracket, or a word other than those after
//!   which a value begins (`SELECT`, `AND`, `LIMIT` … ; see `list.rs`).
//! - A quoted literal with its prefix (`N`, `X`, `B`; PostgreSQL and Generic `E`, `U&`): `?`. The
//!   quote doubled is a quote.
//! - A quoted identifier stays as written if it begins with a letter or `_`, has at most 64 bytes
//!   and only letters, digits, space and `_ $ - . ( ) *`; else `?`.
//! - After the word `IN` a list `(…)`, and after `VALUES` all rows `(…), (…)`, become `(?)`; after
//!   `ARRAY` a list `[…]` becomes `[?]`; an empty one stays empty. A list whose first word is
//!   `SELECT`, `WITH`, `VALUES` or `TABLE` is none. `VALUES (name)` stays.
//! - A word glued to `@` and to another word (an e-mail, an account) goes with all that is glued
//!   to it: `?`.
//! - Unreadable: a quote, comment or list that does not end; a control character; a backslash
//!   outside quotes; `*/` outside a comment.
//!
//! ## Dialects apart
//!
//! | | MySQL | PostgreSQL | SQLite | Generic |
//! | --- | --- | --- | --- | --- |
//! | `'…'` | string | string | string | string |
//! | `"…"` | string | identifier | identifier; a string right after `=`, `<`, `>`, `LIKE`, `GLOB`, `MATCH`, `REGEXP`, `IS`, `NOT`, unless a dot follows | string |
//! | `` `…` `` | identifier | unreadable | identifier | string |
//! | `[…]` | brackets | brackets | identifier | brackets |
//! | `\` in a string | escapes | nothing; escapes in `E'…'` and its continuations | nothing | before a quote, uneven: unreadable |
//! | `$tag$…$tag$` | – | string | – | string |
//! | `--` | comment if space, control or end follows; unreadable if `-`, `#`, `/` or `*` does | comment | comment | comment; unreadable if no space follows and the line has a quote |
//! | `#` | comment | operator | operator | operator if glued to a letter, digit, `_ > ?`; else comment, unreadable with a quote in it |
//! | `/* … */` | flat | nested | flat | a `/*` inside is unreadable |
//! | `/*! … */` | content is read | comment | comment | comment, unreadable with a quote in it |
//! | parameters | `?`, `:name`, `@name` | and `$1` to `$99999` | and `?1`, `$1`, `$name` | `?`, `$1` to `$99`, `:name`, `@name` |
//!
//! ## Generic
//!
//! SQL of a server that we do not know, or no SQL at all (`Cache HIT, keys: a:1:2`). Every quoted
//! form is a literal; where two servers would end it at different places, the text is unreadable
//! (a form that holds `]` while a `[` is open, one that goes over a line's end after `#word`,
//! three quotes in a row, Oracle's `q'`). Beyond the rules above, a word is `?` if it has
//! characters beyond ASCII, six digits in a row, eight or more characters that are all hex digits
//! and a digit among them, 16 or more characters and a letter right after a digit, or 32 or more
//! characters without `_`. From `://` and from `?name=` to white space the rules of paths
//! apply (unreadable if a quote, `$` or `/*` is in it). A backslash not before a quote stays. A space parts a
//! literal from a letter glued to it. Bare words stay: give a category whose
//! details are keys or paths its dialect.
//!
//! ## Keys
//!
//! White space folds; `: / | , ;` and, inside what they separate, `. - _` separate segments, and
//! stay. A segment stays if it is a *short plain word*: 1 to 24 ASCII letters, not eight or more
//! that are all hex digits, and with at most one capital after a small letter in five letters.
//! Anything else is `?`; a UUID is one segment; what has a quote, `@` or `=` between its separators
//! is `?` whole, quoted forms included. Keys (separated by space, `,`, `;`) that have a `?` and
//! read like the one before are left out, so that a fetch of 38 keys reads like one of 40.
//!
//! ## Path
//!
//! A method (`GET `) and a scheme (`https://`) stay; user and password go; a host stays if its
//! labels are letters, digits (at most 4) and `-`, begin with a letter and have at most 24
//! characters, its port if it is a number. Segments (between `/` or `\`) stay if they are at most
//! four words joined by `_ - .`, each short and plain, with two digits at its end at most (`v1`), or
//! a place in a route: `{id}`, `:id`, `*`. Else `?`. Fragments become `#?`, queries as [`mask_query`]
//! says. A `?` that fills a segment is a mask, not the begin of the query.
//!
//! ## Cut details
//!
//! The recorder cuts long details. Then a word, number, parameter, quoted form, key, or segment
//! that touches the end is dropped, since nobody knows how it goes on, and so are dashes and `#`
//! before it; an open list is closed, or goes if it is empty. A detail of which nothing is left is
//! unreadable. More than 64 KiB are never read: the rest is cut.
//!
//! # Promises
//!
//! No panic, no recursion, time linear in the input. A readable fingerprint's fingerprint is
//! itself. It is at most as long as [`bound`] says.

mod address;
mod class;
mod keys;
mod list;
mod path;
mod quote;
mod sql;
mod word;

use std::fmt::Write as _;

use crate::category::Dialect;

/// The text cannot be read for certain, so nothing of it may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unreadable;

/// Work is bounded: more of a detail than this is never read.
const MOST_READ: usize = 64 << 10;

/// The fingerprint of a call's detail: its text without literals.
///
/// `cut` says that the recorder truncated the detail
/// ([`detail_cut_from`](crate::profile::SpanData::detail_cut_from) is set): its last token, which
/// may be incomplete, is dropped.
///
/// ```
/// use ioprofiler::category::Dialect;
/// use ioprofiler::fingerprint::fingerprint;
///
/// let sql = "SELECT name FROM users WHERE id IN (4, 8) AND mail = 'ann@example.com'";
/// assert_eq!(
///     fingerprint(Dialect::PostgreSql, sql, false),
///     "SELECT name FROM users WHERE id IN (?) AND mail = ?",
/// );
/// assert_eq!(fingerprint(Dialect::Keys, "user:5020244:name", false), "user:?:name");
/// // What cannot be read is not shown:
/// assert_eq!(fingerprint(Dialect::MySql, "SELECT 'it's me'", false), "<unparsable, 16 bytes>");
/// ```
#[must_use]
pub fn fingerprint(dialect: Dialect, detail: &str, cut: bool) -> String {
    let mut out = String::with_capacity(detail.len().min(1024));
    fingerprint_into(&mut out, dialect, detail, cut);
    out
}

/// Appends the fingerprint of `detail` to `out`, like [`fingerprint`], but in memory that is used
/// again: clear one `String` between the calls of a page and none of them allocates.
///
/// ```
/// use ioprofiler::category::Dialect;
/// use ioprofiler::fingerprint::fingerprint_into;
///
/// let mut out = String::new();
/// for path in ["/listing/5773453", "/listing/89?page=2"] {
///     out.clear();
///     fingerprint_into(&mut out, Dialect::Path, path, false);
///     assert!(out.starts_with("/listing/?"));
/// }
/// ```
pub fn fingerprint_into(out: &mut String, dialect: Dialect, detail: &str, cut: bool) {
    let base = out.len();
    let text = head(detail);
    let cut = cut || text.len() < detail.len();
    let read = match dialect {
        Dialect::Keys => keys::read(out, text, cut),
        Dialect::Path => {
            path::read(out, text, cut);
            Ok(())
        }
        Dialect::Generic | Dialect::MySql | Dialect::PostgreSql | Dialect::Sqlite => {
            sql::read(out, dialect, text, cut)
        }
    };
    let lost = cut && out.len() == base && !detail.is_empty();
    if read.is_err() || lost {
        out.truncate(base);
        // Writing to a String cannot fail.
        let _ = write!(out, "<unparsable, {} bytes>", detail.len());
    }
}

/// The most bytes that the fingerprint of a detail of `length` bytes can have: 40 for an
/// unparsable one, `length` for SQL and keys (and one more where a list that was cut is closed), twice
/// that for paths (`a=` becomes `a=?`).
///
/// ```
/// use ioprofiler::fingerprint::bound;
/// assert_eq!(bound(0), 40);
/// assert_eq!(bound(100), 200);
/// ```
#[must_use]
pub const fn bound(length: usize) -> usize {
    let doubled = length.saturating_mul(2);
    if doubled > 40 { doubled } else { 40 }
}

/// A URL's query without its values: `a=1&b=x` becomes `a=?&b=?`.
///
/// A name stays if it is at most four words joined by `_ - .`, each 1 to 24 letters and two digits at
/// most, `[]` after it or not; else it is `?`. What has no `=` may be a value, and is `?`.
///
/// ```
/// use ioprofiler::fingerprint::mask_query;
/// assert_eq!(mask_query("q=red+scarf&utm_source=mail"), "q=?&utm_source=?");
/// assert_eq!(mask_query("8f14e45fceea167a=1&logout"), "?=?&?");
/// ```
#[must_use]
pub fn mask_query(query: &str) -> String {
    let mut out = String::with_capacity(query.len().min(1024));
    path::query_into(&mut out, head(query));
    out
}

/// As much of `text` as is read, ending between two characters.
fn head(text: &str) -> &str {
    let mut end = MOST_READ;
    while !text.is_char_boundary(end.min(text.len())) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
