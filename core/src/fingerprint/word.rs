//! What a run of letters and digits looks like: a word that may stay, or a value that must go.

/// The longest identifier that is kept: MySQL allows 64 characters, PostgreSQL 63 bytes.
pub(super) const LONGEST_IDENTIFIER: usize = 64;

/// The longest part of a key, a path or a query name that is kept.
const LONGEST_PLAIN: usize = 24;

/// Whether `bytes` has a UUID (8-4-4-4-12 hex digits) at `at`, and where it ends.
pub(super) fn uuid_end(bytes: &[u8], at: usize) -> Option<usize> {
    let end = at.checked_add(36)?;
    let candidate = bytes.get(at..end)?;
    let fits = candidate.iter().enumerate().all(|(i, byte)| match i {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    });
    fits.then_some(end)
}

/// Whether a bare word of unknown SQL, or of a text that is no SQL, looks like an id, a hash or a
/// token rather than a name. Names have few digits, and at the end of their parts
/// (`dbshard01_users`); what is made by a machine has many, or has them amid letters.
pub(super) fn is_machine_made(word: &[u8]) -> bool {
    let mut digits_in_row = 0_usize;
    let mut most_digits_in_row = 0;
    let mut has_digit = false;
    let mut only_hex = true;
    let mut letter_after_digit = false;
    let mut part = 0_usize;
    let mut longest_part = 0;
    for byte in word {
        if byte.is_ascii_digit() {
            digits_in_row += 1;
            has_digit = true;
        } else {
            letter_after_digit |= digits_in_row > 0 && byte.is_ascii_alphabetic();
            digits_in_row = 0;
        }
        most_digits_in_row = most_digits_in_row.max(digits_in_row);
        only_hex &= byte.is_ascii_hexdigit();
        part = if *byte == b'_' { 0 } else { part + 1 };
        longest_part = longest_part.max(part);
    }
    most_digits_in_row >= 6
        || (has_digit && only_hex && word.len() >= 8)
        || (letter_after_digit && word.len() >= 16)
        || longest_part >= 32
}

/// Whether `part` is a short plain word: what may stay of a key, a path or a query name.
///
/// One to 24 ASCII letters, `digits` digits at most and these at the end, not eight or more hex
/// digits, and no more capitals amid it than words joined have (one in five letters).
pub(super) fn is_plain(part: &[u8], digits: usize) -> bool {
    let letters = part
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let trailing = part.get(letters..).unwrap_or_default();
    if letters == 0
        || part.len() > LONGEST_PLAIN
        || trailing.len() > digits
        || !trailing.iter().all(u8::is_ascii_digit)
    {
        return false;
    }
    let hash = part.len() >= 8 && part.iter().all(u8::is_ascii_hexdigit);
    let humps = part
        .windows(2)
        .filter(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
        .count();
    !hash && humps * 5 <= part.len()
}

/// Whether `name` is made of at most four short plain words, joined by `_`, `-` or `.`: a segment
/// of a path, the name of a query's parameter. A longer one is a title, not a name.
pub(super) fn is_plain_name(name: &[u8]) -> bool {
    let mut parts = 0;
    for part in name.split(|byte| matches!(byte, b'_' | b'-' | b'.')) {
        parts += 1;
        if parts > 4 || !(part.is_empty() || is_plain(part, 2)) {
            return false;
        }
    }
    !name.is_empty()
}

/// Whether what stands between the quotes of an identifier reads like one. Whatever does not may
/// be a string that somebody put into the wrong quotes.
pub(super) fn is_identifier(content: &str) -> bool {
    let Some(first) = content.chars().next() else {
        return false;
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_$- .()*".contains(&byte);
    let ascii_fits = content.bytes().all(|byte| byte >= 0x80 || fits(byte));
    ascii_fits
        && (first == '_' || first.is_alphabetic())
        && content.len() <= LONGEST_IDENTIFIER
        && (content.is_ascii() || content.chars().all(|c| c.is_ascii() || c.is_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_and_what_machines_make_goes() {
        for name in [
            "dbshard01",
            "t2",
            "user_2_b",
            "FavoriteListingUser",
            "utf8mb4",
        ] {
            assert!(!is_machine_made(name.as_bytes()), "{name}");
        }
        for token in [
            "c812331f123321",
            "user5020244",
            "dGhpcyBpcyBh1IHRl",
            "deadbee1",
        ] {
            assert!(is_machine_made(token.as_bytes()), "{token}");
        }
    }

    #[test]
    fn plain_words() {
        for word in [
            "a",
            "user",
            "Results",
            "FavoriteListingUser",
            "userId",
            "HIT",
        ] {
            assert!(is_plain(word.as_bytes(), 0), "{word}");
        }
        for word in [
            "",
            "deadbeef",
            "dGhpcyBpcyB",
            "QmFz",
            "v1",
            "é",
            "abcdefghijklmnopqrstuvwxyz",
        ] {
            assert!(!is_plain(word.as_bytes(), 0), "{word}");
        }
        assert!(is_plain(b"v1", 2) && !is_plain(b"v123", 2) && !is_plain(b"1v", 2));
    }

    #[test]
    fn uuids() {
        let text = b"x550e8400-e29b-41d4-a716-446655440000";
        assert_eq!(uuid_end(text, 1), Some(37));
        assert_eq!(uuid_end(text, 0), None);
        assert_eq!(uuid_end(text, usize::MAX), None);
    }
}
