//! Paths, addresses and queries: `/listing/5773453?page=2` reads `/listing/??page=?`.

use super::word;

const fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Appends the fingerprint of `text` to `out`. Never fails: what is no plain segment is masked.
pub(super) fn read(out: &mut String, text: &str, cut: bool) {
    let mut rest = if cut { without_last(text) } else { text }.trim();
    // `GET /listing/5`
    if let Some((method, path)) = rest.split_once(' ') {
        let upper = method.bytes().all(|byte| byte.is_ascii_uppercase());
        if upper && (3..=7).contains(&method.len()) {
            out.push_str(method);
            out.push(' ');
            rest = path.trim_start();
        }
    }
    if let Some((scheme, address)) = rest.split_once("://") {
        let letters = scheme.bytes().all(|byte| byte.is_ascii_alphabetic());
        if letters && (1..=10).contains(&scheme.len()) {
            out.push_str(scheme);
            out.push_str("://");
            after_scheme(out, address, false);
            return;
        }
    }
    segments(out, rest);
}

/// Appends what follows `https://`: the host without user and password, path and query.
pub(super) fn after_scheme(out: &mut String, address: &str, cut: bool) {
    let address = if cut { without_last(address) } else { address };
    let bytes = address.as_bytes();
    let mask = bytes.first() == Some(&b'?')
        && bytes
            .get(1)
            .is_none_or(|next| is_slash(*next) || matches!(next, b'?' | b'#'));
    let ends = |byte: &u8| is_slash(*byte) || matches!(byte, b'?' | b'#');
    let end = if mask {
        1
    } else {
        bytes.iter().position(ends).unwrap_or(bytes.len())
    };
    let authority = address.get(..end).unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (name, port) = host
        .split_once(':')
        .map_or((host, None), |(name, port)| (name, Some(port)));
    let plain = name.split('.').all(|label| {
        let digits = label.bytes().filter(u8::is_ascii_digit).count();
        label.starts_with(|c: char| c.is_ascii_alphabetic())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && label.len() <= 24
            && digits <= 4
    });
    let port_fits = port.is_none_or(|port| {
        (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if host.is_empty() || (plain && port_fits) {
        out.push_str(host);
    } else {
        out.push('?');
    }
    segments(out, address.get(end..).unwrap_or_default());
}

/// A path that was cut, without its last segment or parameter.
fn without_last(path: &str) -> &str {
    let separator = |byte: &u8| is_slash(*byte) || matches!(byte, b'?' | b'&' | b'#');
    let end = path
        .as_bytes()
        .iter()
        .rposition(separator)
        .map_or(0, |at| at + 1);
    path.get(..end).unwrap_or_default()
}

fn segments(out: &mut String, path: &str) {
    let bytes = path.as_bytes();
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        // A `?` that is a whole segment is one that we wrote: the query has not begun.
        let mask = rest.first() == Some(&b'?')
            && rest
                .get(1)
                .is_none_or(|next| is_slash(*next) || matches!(next, b'?' | b'#'))
            && (at == 0 || bytes.get(at - 1).is_some_and(|before| is_slash(*before)));
        let ends = |byte: &u8| is_slash(*byte) || matches!(byte, b'?' | b'#');
        let length = if mask {
            1
        } else {
            rest.iter().position(ends).unwrap_or(rest.len())
        };
        let segment = path.get(at..at + length).unwrap_or_default();
        out.push_str(if is_plain_segment(segment) {
            segment
        } else {
            "?"
        });
        at += length;
        match bytes.get(at) {
            None => return,
            Some(b'?') => {
                out.push('?');
                query_into(out, path.get(at + 1..).unwrap_or_default());
                return;
            }
            Some(b'#') => {
                out.push_str("#?");
                return;
            }
            Some(_) => out.push_str(path.get(at..at + 1).unwrap_or_default()),
        }
        at += 1;
    }
}

/// A segment that may stay: empty, a name, or the place of a value in a route (`{id}`, `:id`, `*`).
fn is_plain_segment(segment: &str) -> bool {
    let place = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| segment.strip_prefix(':'));
    let name = place.unwrap_or(segment);
    segment.is_empty() || segment == "*" || word::is_plain_name(name.as_bytes())
}

/// Appends `query` with `?` for each value.
pub(super) fn query_into(out: &mut String, query: &str) {
    for (i, item) in query.split('&').enumerate() {
        if i > 0 {
            out.push('&');
        }
        match item.split_once('=') {
            Some((name, _)) => {
                let bare = name.strip_suffix("[]").unwrap_or(name);
                let plain = name.is_empty() || word::is_plain_name(bare.as_bytes());
                out.push_str(if plain { name } else { "?" });
                out.push_str("=?");
            }
            None if item.is_empty() => {}
            None => out.push('?'),
        }
    }
}
