//! The name that was probably meant.

use super::problem::shown;

/// Longer words are not compared.
const MAX_WORD: usize = 64;
/// More names than these are not looked through.
const MAX_NAMES: usize = 10_000;

/// The one of `names` that is nearest to `word`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length > MAX_WORD {
        return None;
    }
    // One slip in a short word, two or three in a long one.
    let allowed = match length {
        0..=2 => 0,
        3..=5 => 1,
        6..=9 => 2,
        _ => 3,
    };
    names
        .into_iter()
        .take(MAX_NAMES)
        .filter(|name| name.len() <= MAX_WORD * 4 && *name != word)
        .map(|name| (distance(word, name), name))
        .filter(|(distance, _)| *distance <= allowed.max(1) && (allowed > 0 || *distance == 0))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters to add, drop, change or swap with their neighbour, capitals and `-` for `_`
/// for nothing.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = plain(one).collect();
    let other: Vec<char> = plain(other).collect();
    let width = other.len() + 1;
    let mut before_last: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let get = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    for (i, a) in one.iter().enumerate() {
        let mut row = Vec::with_capacity(width);
        row.push(i + 1);
        for (j, b) in other.iter().enumerate() {
            let changed = get(&last, j) + usize::from(a != b);
            let mut best = changed.min(get(&last, j + 1) + 1).min(get(&row, j) + 1);
            let swapped =
                i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                best = best.min(get(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    get(&last, other.len())
}

fn plain(word: &str) -> impl Iterator<Item = char> {
    word.chars().map(|c| match c {
        '-' | ' ' => '_',
        other => other.to_ascii_lowercase(),
    })
}

/// `; did you mean `x`?`, for the name that is nearest to a word, or nothing where none is near.
#[must_use]
pub fn did_you_mean<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, names).map_or_else(String::new, |name| {
        format!("; did you mean `{}`?", shown(name))
    })
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_are_found() {
        let keys = ["enabled", "priority", "owner", "dark", "bucket_by", "users"];
        for (word, meant) in [
            ("enable", "enabled"),
            ("Enabled", "enabled"),
            ("enalbed", "enabled"),
            ("prioritty", "priority"),
            ("onwer", "owner"),
            ("bucket-by", "bucket_by"),
            ("bucketby", "bucket_by"),
            ("user", "users"),
        ] {
            assert_eq!(nearest(word, keys), Some(meant), "{word}");
        }
        for word in ["", "x", "zzzzzz", "colour", "enabled"] {
            assert_eq!(nearest(word, keys), None, "{word}");
        }
    }
}
