//! About whom a flag decides.

use super::bucket::hash;

/// A text and its hash: what percentages and lists of users look at. Never empty.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unit<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: u64,
}

impl<'a> Unit<'a> {
    /// An empty id is nobody's: it would put all who have none into one bucket.
    #[inline]
    pub(crate) fn of(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then(|| Self {
            text,
            hash: hash(text),
        })
    }
}

/// About whom a flag is asked, where it is not about the current request's own: a user, a visitor,
/// groups, attributes. Ids are text; see [`number`] for how a number becomes one.
///
/// ```
/// use ioprofiler::flags::Subject;
/// let buyer = Subject::user("5020244").in_groups(&["beta"]);
/// assert!(!ioprofiler::flags::decide_for("new_search", &buyer, false).is_on());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    pub(crate) visitor: Option<Unit<'a>>,
    pub(crate) user: Option<Unit<'a>>,
    pub(crate) request: Option<Unit<'a>>,
    pub(crate) groups: List<'a, &'a str, String>,
    pub(crate) attributes: List<'a, (&'a str, &'a str), (String, String)>,
    pub(crate) overrides: &'a [(String, String)],
}

impl<'a> Subject<'a> {
    /// Nobody: percentages do not decide.
    pub const NOBODY: Self = Self {
        visitor: None,
        user: None,
        request: None,
        groups: List::Borrowed(&[]),
        attributes: List::Borrowed(&[]),
        overrides: &[],
    };

    /// A user, by id. An empty id is nobody.
    #[must_use]
    pub fn user(id: &'a str) -> Self {
        Self {
            user: Unit::of(id),
            ..Self::NOBODY
        }
    }

    /// A visitor (a browser), by id. An empty id is nobody.
    #[must_use]
    pub fn visitor(id: &'a str) -> Self {
        Self {
            visitor: Unit::of(id),
            ..Self::NOBODY
        }
    }

    /// And is this user.
    #[must_use]
    pub fn with_user(mut self, id: &'a str) -> Self {
        self.user = Unit::of(id);
        self
    }

    /// And came as this visitor.
    #[must_use]
    pub fn with_visitor(mut self, id: &'a str) -> Self {
        self.visitor = Unit::of(id);
        self
    }

    /// And in this request, for flags with `bucket_by = "request"`.
    #[must_use]
    pub fn with_request(mut self, id: &'a str) -> Self {
        self.request = Unit::of(id);
        self
    }

    /// And is in these groups.
    #[must_use]
    pub fn in_groups(mut self, groups: &'a [&'a str]) -> Self {
        self.groups = List::Borrowed(groups);
        self
    }

    /// And has these attributes, as pairs of name and value.
    #[must_use]
    pub fn with_attributes(mut self, attributes: &'a [(&'a str, &'a str)]) -> Self {
        self.attributes = List::Borrowed(attributes);
        self
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        match self.groups {
            List::Borrowed(groups) => groups.contains(&group),
            List::Owned(groups) => groups.iter().any(|own| own == group),
        }
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<Unit<'a>> {
        let value = match self.attributes {
            List::Borrowed(pairs) => pairs.iter().find(|(own, _)| *own == name)?.1,
            List::Owned(pairs) => pairs.iter().find(|(own, _)| own == name)?.1.as_str(),
        };
        Unit::of(value)
    }

    pub(crate) fn override_of(&self, flag: &str) -> Option<&'a str> {
        let (_, variant) = self.overrides.iter().find(|(name, _)| name == flag)?;
        Some(variant)
    }

    /// One number for who this is, to tell decisions about different subjects apart.
    pub(crate) fn key(&self) -> u64 {
        let units = [self.visitor, self.user, self.request];
        let mut key = units.iter().fold(0x51_u64, |key, unit| {
            mix(key ^ unit.map_or(1, |unit| unit.hash))
        });
        let mut add = |text: &str| key = mix(key ^ hash(text));
        match self.groups {
            List::Borrowed(groups) => groups.iter().for_each(|group| add(group)),
            List::Owned(groups) => groups.iter().for_each(|group| add(group)),
        }
        let mut pair = |name: &str, value: &str| {
            add(name);
            add(value);
        };
        match self.attributes {
            List::Borrowed(pairs) => pairs.iter().for_each(|(n, v)| pair(n, v)),
            List::Owned(pairs) => pairs.iter().for_each(|(n, v)| pair(n, v)),
        }
        key
    }
}

fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    key ^ (key >> 32)
}

/// A user, by id.
impl<'a> From<&'a str> for Subject<'a> {
    fn from(user: &'a str) -> Self {
        Self::user(user)
    }
}

/// What a caller lends, or what a request keeps.
#[derive(Debug)]
pub(crate) enum List<'a, B, O> {
    Borrowed(&'a [B]),
    Owned(&'a [O]),
}

impl<B, O> Clone for List<'_, B, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B, O> Copy for List<'_, B, O> {}

impl<B, O> Default for List<'_, B, O> {
    fn default() -> Self {
        Self::Borrowed(&[])
    }
}

/// A number as the text that is hashed for it, so that 1 and 1.0 are one unit in every language,
/// and the same as `"1"`: whole numbers without a point, others in the shortest decimal
/// form that reads back as the same 64-bit float, never with an exponent. Infinity and NaN are
/// empty, and so nobody.
///
/// ```
/// use ioprofiler::flags::number;
/// assert_eq!(number(1.0), "1");
/// assert_eq!(number(-0.0), "0");
/// assert_eq!(number(0.1), "0.1");
/// assert_eq!(number(1e21), "1000000000000000000000");
/// assert_eq!(number(f64::NAN), "");
/// ```
#[must_use]
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rust's own form is the shortest that reads back, without an exponent and without `.0`.
    value.to_string()
}
