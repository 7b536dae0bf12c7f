//! A profile as the value of the header `Server-Timing`, which browsers show beside a request.
//!
//! `total;dur=236.312, io;dur=88.12;desc="I/O wall", memcache_get;dur=40.327;desc="memcache_get (106)"`
//!
//! First `total` (the page) and `io` (I/O wall), then the categories by time. Only categories,
//! never a target or detail. Durations are milliseconds. Names are tokens, each once; descriptions
//! are quoted strings of ASCII (W3C Server Timing, RFC 9110 §5.6). At most 20 entries and
//! 1.5 KiB: servers and proxies refuse answers with large headers.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::shown::push_ms;
use crate::profile::ProfileData;
use crate::table::{Row, times};

/// So many entries are written at most.
pub const MOST_ENTRIES: usize = 20;
/// So long is the value at most, in bytes.
pub const MOST_BYTES: usize = 1_536;
/// A category's name is cut to so many bytes, in name and description alike.
const MOST_NAME: usize = 40;

/// The header's value.
///
/// ```
/// use ioprofiler::profile::ProfileData;
/// use ioprofiler::render::server_timing;
///
/// let mut profile = ProfileData::default();
/// profile.page_ns = 236_312_000;
/// assert_eq!(server_timing(&profile), r#"total;dur=236.312, io;dur=0;desc="I/O wall""#);
/// ```
#[must_use]
pub fn server_timing(data: &ProfileData) -> String {
    let table = times(data);
    let mut value = String::with_capacity(512);
    push_duration(&mut value, "total", table.page_ns);
    value.push_str(", ");
    push_duration(&mut value, "io", table.io_wall_ns);
    value.push_str(if table.partial {
        r#";desc="I/O wall, at least""#
    } else {
        r#";desc="I/O wall""#
    });

    let mut rows: Vec<&Row> = table.rows.iter().collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.time_ns));
    let mut names = HashSet::from(["total".to_owned(), "io".to_owned()]);
    for row in rows.into_iter().take(MOST_ENTRIES - 2) {
        let before = value.len();
        let name = unique(token(row.category), &mut names);
        value.push_str(", ");
        push_duration(&mut value, &name, row.time_ns);
        push_description(&mut value, row);
        if value.len() > MOST_BYTES {
            value.truncate(before);
            break;
        }
    }
    value
}

/// `name;dur=40.327`, without zeros that say nothing.
fn push_duration(value: &mut String, name: &str, ns: u64) {
    value.push_str(name);
    value.push_str(";dur=");
    push_ms(value, ns);
    let end = value.trim_end_matches('0').trim_end_matches('.').len();
    value.truncate(end.max(value.rfind('.').unwrap_or(end)));
}

/// `;desc="memcache_get (106)"`: browsers show the description in place of the name.
fn push_description(value: &mut String, row: &Row) {
    value.push_str(";desc=\"");
    for character in row.category.chars().take(MOST_NAME) {
        match character {
            '"' | '\\' => value.extend(['\\', character]),
            ' '..='~' => value.push(character),
            _ => value.push('?'),
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(value, " ({})\"", row.calls);
}

/// A category's name as a token: what no token may hold becomes `_`.
fn token(category: &str) -> String {
    let character = |character: char| match character {
        '!' | '#' | '$' | '%' | '&' | '\'' | '*' | '+' | '-' | '.' | '^' | '_' | '`' | '|'
        | '~' => character,
        other if other.is_ascii_alphanumeric() => other,
        _ => '_',
    };
    let token: String = category.chars().take(MOST_NAME).map(character).collect();
    if token.is_empty() {
        "_".to_owned()
    } else {
        token
    }
}

/// Two categories can make the same token: the second becomes `name_2`.
fn unique(token: String, names: &mut HashSet<String>) -> String {
    let mut name = token.clone();
    let mut number = 2_u32;
    while !names.insert(name.clone()) {
        name = format!("{token}_{number}");
        number = number.saturating_add(1);
    }
    name
}
