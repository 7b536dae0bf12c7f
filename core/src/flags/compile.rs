//! Documents → snapshots.

use super::bucket::hash;
use super::decision::{Packed, Reason};
use super::evaluate::{By, ById, Head, Rule, Users};
use super::model::{BucketBy, Document, Enabled, FlagSpec, Share};
use super::names::{self, MAX_FLAGS, MAX_NAME, Word};
use super::snapshot::Snapshot;
use super::version::version_of;
use std::sync::Arc;

/// Makes a snapshot of a document. Takes any document, and never fails: what is too much of
/// something is left out, and [`Snapshot::problems`] says so.
///
/// ```
/// use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, Subject, compile};
///
/// let mut search = FlagSpec::new("new_search");
/// search.enabled = Enabled::share(Share::percent(10));
/// search.users.push(("5020244".to_owned(), "on".to_owned()));
/// let mut document = Document::default();
/// document.flags.push(search);
///
/// let snapshot = compile(document);
/// let decision = snapshot.decide("new_search", &Subject::user("5020244"), false);
/// assert_eq!(decision.to_string(), "new_search on, user");
/// ```
#[must_use]
pub fn compile(document: Document) -> Snapshot {
    let version = version_of(&document);
    let shed_from = document.shed.as_ref().map(|shed| shed.from);
    let mut made = Made::default();
    for (place, spec) in document.flags.iter().enumerate() {
        made.add(place, spec, shed_from);
    }
    let Made {
        heads,
        rules,
        problems,
    } = made;
    Snapshot::new(version, document, heads, rules, problems)
}

#[derive(Default)]
struct Made {
    heads: Vec<Head>,
    rules: Vec<Rule>,
    problems: Vec<String>,
}

impl Made {
    fn add(&mut self, place: usize, spec: &FlagSpec, shed_from: Option<u8>) {
        let name = &spec.name;
        let Some(flag) = names::intern_flag(name) else {
            self.problems.push(if (1..=MAX_NAME).contains(&name.len()) {
                format!("{name}: left out, a process knows at most {MAX_FLAGS} flags")
            } else {
                format!("{name:?}: left out, a name has 1 to {MAX_NAME} bytes")
            });
            return;
        };
        let Some(rule) = Rule::of(flag, place as u32, spec, shed_from) else {
            self.problems
                .push(format!("{name}: too many variants and groups are known"));
            self.put(Rule::broken(flag, place as u32));
            return;
        };
        self.put(rule);
    }

    fn put(&mut self, rule: Rule) {
        let at = usize::from(rule.flag);
        if self.heads.len() <= at {
            self.heads.resize(at + 1, Head::Absent);
        }
        let head = rule.head();
        if let Some(place) = self.heads.get_mut(at) {
            *place = head;
        }
        self.rules.push(rule);
    }
}

impl Rule {
    /// `None` where a word cannot be interned.
    fn of(flag: u16, place: u32, spec: &FlagSpec, shed_from: Option<u8>) -> Option<Self> {
        let dark_is_shed = shed_from.is_some();
        let decided = |variant: &str, reason| {
            let variant = Word::intern(variant)?;
            Some(Self::packed(flag, variant, reason, dark_is_shed))
        };
        let users = boxed(spec.users.iter().map(|(user, variant)| {
            let packed = decided(variant, Reason::User)?;
            Some((Box::from(user.as_str()), packed))
        }))?;
        let groups = boxed(spec.groups.iter().map(|(group, variant)| {
            let packed = decided(variant, Reason::Group)?.with_group(Word::intern(group)?);
            Some((Box::from(group.as_str()), packed))
        }))?;
        let numbers = boxed(
            spec.variants
                .iter()
                .map(|(variant, number)| Some((Word::intern(variant)?, *number))),
        )?;
        let data = boxed(
            spec.data
                .iter()
                .map(|(variant, json)| Some((Word::intern(variant)?, Arc::from(json.as_str())))),
        )?;
        let (all, bounds) = shares(flag, spec, dark_is_shed)?;
        Some(Self {
            flag,
            spec: place,
            locked: locked(flag, spec, shed_from),
            users: Users::new(users),
            groups,
            all,
            bounds,
            seed: hash(spec.salt.as_deref().unwrap_or(&spec.name)),
            by: By::from(&spec.bucket_by),
            variants: variants(spec)?,
            dark_is_shed,
            id: spec.id,
            numbers,
            data,
        })
    }

    /// Callers get their defaults.
    fn broken(flag: u16, spec: u32) -> Self {
        Self {
            flag,
            spec,
            locked: Some(Packed::off(flag, Reason::Error)),
            users: Users::default(),
            groups: Box::default(),
            all: None,
            bounds: Box::default(),
            seed: 0,
            by: By::Request,
            variants: Box::default(),
            dark_is_shed: false,
            id: None,
            numbers: Box::default(),
            data: Box::default(),
        }
    }

    /// The quickest form that decides the same.
    fn head(&self) -> Head {
        if let Some(locked) = self.locked {
            return Head::Fixed(locked);
        }
        if self.users.len() > 0 || !self.groups.is_empty() {
            return Head::Rule;
        }
        if let Some(all) = self.all {
            return Head::Fixed(all);
        }
        match (&*self.bounds, &self.by) {
            ([], _) => Head::Fixed(self.off(Reason::Off)),
            ([(below, decided)], By::Id(by)) if decided.reason() == Reason::Percent => {
                Head::Share {
                    seed: self.seed,
                    below: *below,
                    variant: decided.variant(),
                    by: *by,
                }
            }
            _ => Head::Rule,
        }
    }
}

impl From<&BucketBy> for By {
    fn from(by: &BucketBy) -> Self {
        match by {
            BucketBy::Any => Self::Id(ById::Any),
            BucketBy::Visitor => Self::Id(ById::Visitor),
            BucketBy::User => Self::Id(ById::User),
            BucketBy::Request => Self::Request,
            BucketBy::Attribute(name) => Self::Attribute(name.as_str().into()),
        }
    }
}

/// All of them, or `None` where one is missing; in exactly the room that they need.
fn boxed<T>(items: impl ExactSizeIterator<Item = Option<T>>) -> Option<Box<[T]>> {
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        list.push(item?);
    }
    Some(list.into())
}

fn locked(flag: u16, spec: &FlagSpec, shed_from: Option<u8>) -> Option<Packed> {
    if spec.broken.is_some() {
        return Some(Packed::off(flag, Reason::Error));
    }
    if spec.enabled == Enabled::Off {
        return Some(Packed::off(flag, Reason::Killed));
    }
    let shed = spec.priority? >= shed_from?;
    shed.then(|| Packed::off(flag, Reason::Shed))
}

type Bounds = Box<[(u32, Packed)]>;

/// What all get, or who gets what by bucket: cumulative, in the order written, dark at last.
fn shares(flag: u16, spec: &FlagSpec, dark_is_shed: bool) -> Option<(Option<Packed>, Bounds)> {
    let decided = |variant: &str, reason| {
        let variant = Word::intern(variant)?;
        Some(Rule::packed(flag, variant, reason, dark_is_shed))
    };
    let mut bounds = Vec::new();
    let mut below = 0_u32;
    let mut add = |share: Share, packed: Packed| {
        let next = below
            .saturating_add(share.to_millionths())
            .min(Share::ALL.to_millionths());
        if next > below {
            bounds.push((next, packed));
        }
        below = next;
    };
    match &spec.enabled {
        Enabled::Off => {}
        Enabled::All(variant) => {
            return Some((Some(decided(variant, Reason::On)?), Box::default()));
        }
        Enabled::Shares(shares) => {
            for (variant, share) in shares {
                add(*share, decided(variant, Reason::Percent)?);
            }
        }
    }
    add(
        spec.dark.unwrap_or_default(),
        decided("dark", Reason::Dark)?,
    );
    // Who is in no bucket cannot be outside of all of them.
    let all = bounds
        .first()
        .filter(|(below, _)| *below == Share::ALL.to_millionths());
    match all {
        Some((_, packed)) => Some((Some(*packed), Box::default())),
        None => Some((None, bounds.into())),
    }
}

/// Every variant that the flag speaks of, and the three that all flags have.
fn variants(spec: &FlagSpec) -> Option<Box<[Word]>> {
    let enabled: Vec<&String> = match &spec.enabled {
        Enabled::Off => Vec::new(),
        Enabled::All(variant) => vec![variant],
        Enabled::Shares(shares) => shares.iter().map(|(variant, _)| variant).collect(),
    };
    let lists = spec
        .users
        .iter()
        .chain(&spec.groups)
        .map(|(_, variant)| variant);
    let listed = spec.variants.iter().map(|(variant, _)| variant);
    let named = enabled.into_iter().chain(lists).chain(listed);
    let mut variants = Vec::with_capacity(8);
    variants.extend([Word::OFF, Word::ON, Word::DARK]);
    for variant in named {
        let variant = Word::intern(variant)?;
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    Some(variants.into())
}
