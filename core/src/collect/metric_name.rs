//! A metric's name with labels, put together: for hosts whose labels are values of their own.
//!
//! Without an allocation, since it is done at every count.

use super::own::MAX_LABELS;
use crate::names::MAX_NAME;

/// A name as [`Profiler::count`](crate::Profiler::count) takes it, made of its parts:
/// `registrations;country=de;plan=pro`.
///
/// The order of the labels does not matter. What would end a label early (`;`, and `=` in its name)
/// becomes `_`; a label whose value is empty is none, as in Prometheus. The name may have labels
/// already. What cannot be a name, because it is too long or has more than 8 labels, is an empty text:
/// what is counted under it is counted as lost.
///
/// ```
/// use ioprofiler::MetricName;
/// let name = MetricName::new("registrations", [("plan", "pro"), ("country", "de")]);
/// assert_eq!(name.as_str(), "registrations;country=de;plan=pro");
/// ```
#[derive(Clone, Copy)]
pub struct MetricName {
    text: [u8; MAX_NAME],
    length: usize,
}

impl MetricName {
    /// Of a name and its labels.
    #[must_use]
    pub fn new<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self::made(name, labels).unwrap_or(Self::EMPTY)
    }

    /// The name; empty where there can be none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..self.length).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }

    const EMPTY: Self = Self {
        text: [0; MAX_NAME],
        length: 0,
    };

    fn made<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Self> {
        let mut all = [("", ""); MAX_LABELS];
        let mut count = 0;
        for (label, value) in labels {
            if !value.is_empty() {
                *all.get_mut(count)? = (label, value);
                count += 1;
            }
        }
        let all = all.get_mut(..count)?;
        all.sort_unstable();
        let mut made = Self::EMPTY;
        made.push(name, &[])?;
        for (label, value) in all {
            made.push(";", &[])?;
            made.push(label, b";=")?;
            made.push("=", &[])?;
            made.push(value, b";")?;
        }
        Some(made)
    }

    fn push(&mut self, text: &str, forbidden: &[u8]) -> Option<()> {
        let end = self.length.checked_add(text.len())?;
        let room = self.text.get_mut(self.length..end)?;
        room.copy_from_slice(text.as_bytes());
        for byte in room {
            if forbidden.contains(byte) {
                *byte = b'_';
            }
        }
        self.length = end;
        Some(())
    }
}

impl std::fmt::Debug for MetricName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MetricName").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, labels: &[(&str, &str)]) -> String {
        let name = MetricName::new(name, labels.iter().copied());
        name.as_str().to_owned()
    }

    #[test]
    fn labels_are_in_one_order_and_end_where_they_end() {
        assert_eq!(made("a", &[]), "a");
        assert_eq!(made("a", &[("y", "1"), ("x", "2")]), "a;x=2;y=1");
        assert_eq!(made("a;z=0", &[("y", "1")]), "a;z=0;y=1");
        assert_eq!(made("a", &[("x", ""), ("y", "1")]), "a;y=1");
        assert_eq!(made("a", &[("x;=ü", "1;x=2\n=ü")]), "a;x__ü=1_x=2\n=ü");
    }

    #[test]
    fn what_is_too_much_is_no_name() {
        let long = "x".repeat(MAX_NAME);
        assert_eq!(made(&long, &[]), long);
        assert_eq!(made(&long, &[("a", "b")]), "");
        assert_eq!(made("a", &[("a", &long)]), "");
        let many = [("a", "b"); MAX_LABELS + 1];
        assert_eq!(made("a", &many), "");
        assert_eq!(made("a", &many[1..]).len(), 1 + 4 * MAX_LABELS);
        assert_eq!(made("", &[]), "");
    }
}
