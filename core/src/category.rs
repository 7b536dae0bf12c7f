//! Names of categories ↔ small ids, process-wide.
//!
//! The table only grows and nothing in it moves, so reading takes no lock, and a child of a fork
//! goes on with what it inherited.

use crate::fork::Forever;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// What a category's calls are, fixed at its first use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// I/O: never a parent. A leaf begun inside a leaf is part of it.
    #[default]
    Leaf,
    /// A template, a function: may contain others.
    Scope,
}

/// How the details of a category are written, and so how their literals are found.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQL of an unknown server: every quoted form is a literal.
    #[default]
    Generic,
    /// MySQL and MariaDB: `"…"` is a string, `` `…` `` an identifier, `\'` an escape.
    MySql,
    /// PostgreSQL: `"…"` is an identifier, `$tag$…$tag$` and `E'…'` are strings.
    PostgreSql,
    /// SQLite: `'…'` is a string; `"…"`, `` `…` `` and `[…]` are identifiers.
    Sqlite,
    /// Keys of a cache: `user:5020244:name`.
    Keys,
    /// Paths and template names: `/listing/5773453`.
    Path,
}

/// At most so many categories a process, `other` included.
pub const MAX_CATEGORIES: usize = 1_024;
/// A longer name is cut.
pub const MAX_NAME: usize = 64;

const BUCKETS: usize = 4 * MAX_CATEGORIES;
const KIND_SHIFT: u32 = 16;
const _: () = assert!(MAX_CATEGORIES.is_power_of_two());
const UNASSIGNED: u16 = u16::MAX;

/// A category as it was at its first use. Leaked: it lives as long as the process, forks included.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) dialect: Dialect,
    id: AtomicU16,
}

static OTHER: Info = Info {
    name: "other",
    kind: Kind::Leaf,
    dialect: Dialect::Generic,
    id: AtomicU16::new(0),
};

// Append-only and never moved, so that a child of a fork goes on reading them.
static BY_NAME: [Forever<Info>; BUCKETS] = [const { Forever::empty() }; BUCKETS];
static BY_ID: [Forever<Info>; MAX_CATEGORIES] = [const { Forever::empty() }; MAX_CATEGORIES];
static COUNT: AtomicUsize = AtomicUsize::new(1);
/// How often a category became `other` because the table was full.
static OVERFLOWED: AtomicUsize = AtomicUsize::new(0);

/// A category's number in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CategoryId {
    pub(crate) number: u16,
    pub(crate) kind: Kind,
}

impl CategoryId {
    /// The number, for bindings that keep it: below [`MAX_CATEGORIES`].
    #[must_use]
    pub fn number(self) -> u16 {
        self.number
    }

    /// The category of a number; of an unknown one, `other`.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        let info = u16::try_from(number).map_or(&OTHER, info);
        Self {
            number: info.id.load(Ordering::Relaxed),
            kind: info.kind,
        }
    }

    /// Number and kind in one integer, for bindings that keep it: its category is found without a
    /// look at any table. 0 is `other`.
    #[must_use]
    #[inline]
    pub const fn to_bits(self) -> u32 {
        self.number as u32 | ((self.kind as u32) << KIND_SHIFT)
    }

    /// The category of such an integer. Any integer is allowed: one that is no category's is
    /// `other`.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u32) -> Self {
        const MASK: u32 = (MAX_CATEGORIES as u32 - 1) | (1 << KIND_SHIFT);
        // One comparison: that a number has a name is asked by whoever reads it.
        let bits = if bits & !MASK == 0 { bits } else { 0 };
        Self {
            number: bits as u16,
            kind: if bits >> KIND_SHIFT == 0 {
                Kind::Leaf
            } else {
                Kind::Scope
            },
        }
    }

    /// Leaf or scope.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// The category's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        info(self.number).name
    }
}

/// A category that knows its number after its first use: the cheapest to begin a span with.
///
/// ```
/// use ioprofiler::{Category, Dialect};
/// static DBSHARD01: Category = Category::leaf("dbshard01").dialect(Dialect::MySql);
/// let _call = ioprofiler::span(&DBSHARD01, "SELECT 1");
/// ```
#[derive(Debug)]
pub struct Category {
    name: &'static str,
    kind: Kind,
    dialect: Dialect,
    id: AtomicU16,
}

impl Category {
    /// I/O: `dbshard01`, `memcache_get`.
    #[must_use]
    pub const fn leaf(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Leaf,
            dialect: Dialect::Generic,
            id: AtomicU16::new(UNASSIGNED),
        }
    }

    /// What may contain other calls: `template`, `function`.
    #[must_use]
    pub const fn scope(name: &'static str) -> Self {
        Self {
            name,
            kind: Kind::Scope,
            dialect: Dialect::Path,
            id: AtomicU16::new(UNASSIGNED),
        }
    }

    /// How its details are written, for fingerprints.
    #[must_use]
    pub const fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }
}

/// What can name a category: a [`Category`], a [`CategoryId`], or a name.
///
/// A name is looked up at every call (some nanoseconds more); its kind is fixed by its first use.
pub trait AsCategory {
    /// The category's number; `kind` holds if this is its first use.
    fn as_category(&self, kind: Kind) -> CategoryId;
}

impl AsCategory for &Category {
    #[inline(always)]
    fn as_category(&self, _: Kind) -> CategoryId {
        let number = self.id.load(Ordering::Relaxed);
        if number < MAX_CATEGORIES as u16 {
            return CategoryId {
                number,
                kind: self.kind,
            };
        }
        let id = intern(self.name, self.kind, self.dialect);
        // Where somebody else fixed another kind first, the number alone is not the whole answer:
        // such a category is looked up each time.
        if id.kind == self.kind {
            self.id.store(id.number, Ordering::Relaxed);
        }
        id
    }
}

impl AsCategory for CategoryId {
    #[inline(always)]
    fn as_category(&self, _: Kind) -> CategoryId {
        *self
    }
}

impl AsCategory for &str {
    #[inline]
    fn as_category(&self, kind: Kind) -> CategoryId {
        intern(
            self,
            kind,
            if kind == Kind::Scope {
                Dialect::Path
            } else {
                Dialect::Generic
            },
        )
    }
}

impl AsCategory for &String {
    #[inline]
    fn as_category(&self, kind: Kind) -> CategoryId {
        self.as_str().as_category(kind)
    }
}

/// The number of a name, given at its first use; the kind and dialect of the first use hold.
#[must_use]
pub fn intern(name: &str, kind: Kind, dialect: Dialect) -> CategoryId {
    let mut bucket = hash(name.as_bytes()) % BUCKETS;
    for _ in 0..BUCKETS {
        let Some(place) = BY_NAME.get(bucket) else {
            break;
        };
        let found = place.get().or_else(|| claim(place, name, kind, dialect));
        let Some(found) = found else { break };
        if is_same(found.name.as_bytes(), name.as_bytes()) || is_clean_form(found.name, name) {
            return assigned(found);
        }
        bucket = (bucket + 1) % BUCKETS;
    }
    OVERFLOWED.fetch_add(1, Ordering::Relaxed);
    CategoryId {
        number: 0,
        kind: OTHER.kind,
    }
}

/// How often a name became `other` because [`MAX_CATEGORIES`] were taken.
pub(crate) fn overflowed() -> u64 {
    OVERFLOWED.load(Ordering::Relaxed) as u64
}

pub(crate) fn info(number: u16) -> &'static Info {
    BY_ID
        .get(usize::from(number))
        .and_then(Forever::get)
        .unwrap_or(&OTHER)
}

/// Puts a new category into a free place, or gives what another thread put there first. `None`
/// when all numbers are taken.
fn claim(place: &Forever<Info>, name: &str, kind: Kind, dialect: Dialect) -> Option<&'static Info> {
    if COUNT.load(Ordering::Relaxed) >= MAX_CATEGORIES {
        return None;
    }
    let name: &'static str = Box::leak(clean(name).into_boxed_str());
    if name == OTHER.name {
        return Some(&OTHER);
    }
    let new = Box::leak(Box::new(Info {
        name,
        kind,
        dialect,
        id: AtomicU16::new(UNASSIGNED),
    }));
    let new: &'static Info = new;
    if let Err(first) = place.set(new) {
        return Some(first);
    }
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    match (BY_ID.get(number), u16::try_from(number)) {
        (Some(by_id), Ok(number)) => {
            by_id.replace(new);
            new.id.store(number, Ordering::Release);
        }
        _ => new.id.store(0, Ordering::Release),
    }
    Some(new)
}

/// The winner of a race gives the number in a few instructions. In the child of a fork that fell
/// between them it never comes, and the category is `other`.
fn assigned(info: &'static Info) -> CategoryId {
    for _ in 0..1_000 {
        let number = info.id.load(Ordering::Acquire);
        if number != UNASSIGNED {
            let kind = if number == 0 { OTHER.kind } else { info.kind };
            return CategoryId { number, kind };
        }
        std::hint::spin_loop();
    }
    CategoryId {
        number: 0,
        kind: OTHER.kind,
    }
}

/// Scripts read the table's rows by white space, so a name has none, nor control characters.
fn clean(name: &str) -> String {
    let cut = crate::text::cut_str(name, MAX_NAME);
    let clean: String = cut.chars().map(clean_char).collect();
    if clean.is_empty() {
        "unnamed".to_owned()
    } else {
        clean
    }
}

fn clean_char(character: char) -> char {
    if crate::text::is_unsafe_to_show(character) || character.is_whitespace() {
        '_'
    } else {
        character
    }
}

/// Whether `clean` made `stored` out of `name`, without allocating.
fn is_clean_form(stored: &str, name: &str) -> bool {
    if name.is_empty() {
        return stored == "unnamed";
    }
    stored
        .chars()
        .eq(crate::text::cut_str(name, MAX_NAME).chars().map(clean_char))
}

/// Of a name's words: names are short, and this runs on the hot path.
#[inline]
fn hash(bytes: &[u8]) -> usize {
    let mut hash = bytes.len() as u64;
    for word in words(bytes) {
        hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        hash ^= hash >> 29;
    }
    hash as usize
}

/// As `==`, without a call of `memcmp`.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && words(one).eq(words(other))
}

/// All bytes, in words of eight; the last one overlaps the one before it.
#[inline]
fn words(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let (whole, _) = bytes.as_chunks::<8>();
    let last = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>()) {
        (Some(last), _) => u64::from_le_bytes(*last),
        (None, Some(first)) => {
            let last = bytes.last_chunk::<4>().unwrap_or(first);
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        (None, None) => bytes
            .iter()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let words = whole.iter().map(|word| u64::from_le_bytes(*word));
    words.chain(std::iter::once(last))
}
