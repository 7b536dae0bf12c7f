//! Why a flag is what it is: each rule in the order of decision, and what it says.

use super::bucket::{BUCKETS, bucket_of};
use super::decision::{Decision, Packed, Reason, State};
use super::evaluate::{By, ById, Rule};
use super::model::Share;
use super::names::{self, Word};
use super::snapshot::Snapshot;
use super::subject::{Subject, Unit};
use std::borrow::Cow;
use std::fmt::Write as _;

/// How a flag was decided, rule by rule.
///
/// ```
/// use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, Subject, compile};
/// let mut search = FlagSpec::new("new_search");
/// search.enabled = Enabled::share(Share::percent(10));
/// search.groups = ["staff", "beta"].map(|group| (group.to_owned(), "on".to_owned())).into();
/// let mut document = Document::default();
/// document.flags.push(search);
///
/// let explanation = compile(document).explain("new_search", &Subject::user("5020244"));
/// assert_eq!(explanation.bucket(), Some(53_817_047));
/// assert_eq!(explanation.to_string(), "\
/// new_search: off, because off
///   killed    no
///   shed      no: nothing is shed
///   override  no
///   users     no: none are listed
///   groups    no: in none of staff, beta
/// > enabled   user 5020244 is at 53.817047 %: on below 10
/// ");
/// ```
#[derive(Clone, Debug)]
pub struct Explanation {
    decision: Decision,
    version: u64,
    bucket: Option<u32>,
    steps: Vec<Step>,
    before: Option<Decision>,
}

/// One rule.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `killed`, `shed`, `override`, `users`, `groups`, `enabled`, `dark` …
    pub rule: &'static str,
    /// What it says here, for people.
    pub says: Cow<'static, str>,
    /// Whether it decided; it is then the last one.
    pub decided: bool,
}

impl Explanation {
    /// What the rules say now.
    #[must_use]
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The snapshot's version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The unit's bucket, from 0 to 99,999,999, where a percentage was looked at.
    #[must_use]
    pub fn bucket(&self) -> Option<u32> {
        self.bucket
    }

    /// The rules, in the order of decision, up to the one that decided.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What the request goes by, where it decided earlier: before its user was known, say.
    #[must_use]
    pub fn before(&self) -> Option<Decision> {
        self.before
    }

    pub(crate) fn set_before(&mut self, before: Option<Decision>) {
        self.before = before.filter(|before| *before != self.decision);
    }
}

impl std::fmt::Display for Explanation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decision = self.decision;
        write!(f, "{}: {}", decision.flag(), decision.state().as_str())?;
        if decision.state() == State::On && decision.variant() != "on" {
            write!(f, " ({})", decision.variant())?;
        }
        write!(f, ", because {}", decision.reason().as_str())?;
        match decision.group() {
            Some(group) => writeln!(f, ":{group}")?,
            None => writeln!(f)?,
        }
        for step in &self.steps {
            let mark = if step.decided { '>' } else { ' ' };
            writeln!(f, "{mark} {:<9} {}", step.rule, step.says)?;
        }
        match self.before {
            Some(before) => writeln!(f, "this request decided before: {before}"),
            None => Ok(()),
        }
    }
}

/// Explains what `snapshot.resolve` gives.
pub(crate) fn explain(snapshot: &Snapshot, flag: u16, who: &Subject<'_>) -> Explanation {
    let decided = snapshot.resolve(flag, who);
    let mut explained = Explained {
        snapshot,
        flag,
        decided,
        who,
        bucket: None,
        steps: Vec::with_capacity(8),
    };
    match snapshot.rule(flag) {
        Some(rule) => explained.rule(rule),
        None => explained.step("file", "no file names it", true),
    }
    Explanation {
        decision: Decision::new(decided, false),
        version: snapshot.version(),
        bucket: explained.bucket,
        steps: explained.steps,
        before: None,
    }
}

struct Explained<'a> {
    snapshot: &'a Snapshot,
    flag: u16,
    decided: Packed,
    who: &'a Subject<'a>,
    bucket: Option<u32>,
    steps: Vec<Step>,
}

impl Explained<'_> {
    fn step(&mut self, rule: &'static str, says: impl Into<Cow<'static, str>>, decided: bool) {
        self.steps.push(Step {
            rule,
            says: says.into(),
            decided,
        });
    }

    /// Each rule in its order, up to the one that the decision's reason names.
    fn rule(&mut self, rule: &Rule) {
        let reason = self.decided.reason();
        if reason == Reason::Error {
            let spec = self.snapshot.spec(self.flag);
            let message = spec.and_then(|spec| spec.broken.as_deref());
            let says = message.unwrap_or("too many variants and groups are known");
            return self.step("file", format!("it is broken: {says}"), true);
        }
        if reason == Reason::Killed {
            return self.step("killed", format!("yes{}", self.written("enabled")), true);
        }
        self.step("killed", "no", false);
        if self.shed(rule) || self.overridden(rule) || self.users(rule) || self.groups(rule) {
            return;
        }
        self.shares(rule);
    }

    /// ` (flags.toml:12)`: where a key of the flag got its value.
    fn written(&self, key: &str) -> String {
        let document = self.snapshot.document();
        let Some(spec) = self.snapshot.spec(self.flag) else {
            return String::new();
        };
        let of_key = spec.keys.iter().find(|(name, _)| *name == key);
        let place = of_key.map_or(spec.place, |(_, place)| *place);
        match document.files.get(place.file as usize) {
            Some(file) if place.line != 0 => format!(" ({file}:{})", place.line),
            _ => String::new(),
        }
    }

    fn shed(&mut self, rule: &Rule) -> bool {
        let Some(shed) = self.snapshot.shed() else {
            self.step("shed", "no: nothing is shed", false);
            return false;
        };
        let from = shed.from;
        let priority = self.snapshot.spec(self.flag).and_then(|spec| spec.priority);
        let locked = rule.locked.is_some();
        let mut says = match priority {
            Some(priority) if locked => format!("yes: priority {priority}, shed from {from}"),
            Some(priority) => format!("no: priority {priority}, shed from {from}"),
            None => format!("no: it has no priority, shed from {from}"),
        };
        if locked && let Some(why) = &shed.why {
            // Writing to a String cannot fail, here and below.
            let _ = write!(says, ", {why}");
        }
        self.step("shed", says, locked);
        locked
    }

    fn overridden(&mut self, rule: &Rule) -> bool {
        let chosen = self.who.override_of(names::flag_name(self.flag));
        let applies = rule.overridden(self.who).is_some();
        let says: Cow<'static, str> = match chosen {
            None => "no".into(),
            Some(variant) if applies => format!("yes: {variant}").into(),
            Some(variant) => format!("no: {variant} is none of its variants").into(),
        };
        self.step("override", says, applies);
        applies
    }

    fn users(&mut self, rule: &Rule) -> bool {
        let listed = rule.users.len();
        let found = self.who.user.and_then(|user| rule.users.find(user));
        let says: Cow<'static, str> = match (found, self.who.user) {
            _ if listed == 0 => "no: none are listed".into(),
            (Some(found), Some(user)) => {
                format!("yes: {} is listed as {}", user.text, found.variant().text()).into()
            }
            (_, Some(user)) => format!("no: {} is not among the {listed} listed", user.text).into(),
            (_, None) => "no: the user is not known".into(),
        };
        self.step("users", says, found.is_some());
        found.is_some()
    }

    fn groups(&mut self, rule: &Rule) -> bool {
        let found = rule.groups.iter().find(|(group, _)| self.who.is_in(group));
        let says: Cow<'static, str> = match found {
            _ if rule.groups.is_empty() => "no: none are listed".into(),
            Some((group, listed)) => {
                format!("yes: {group} is listed as {}", listed.variant().text()).into()
            }
            None => {
                let names: Vec<&str> = rule.groups.iter().map(|(group, _)| &**group).collect();
                format!("no: in none of {}", names.join(", ")).into()
            }
        };
        self.step("groups", says, found.is_some());
        found.is_some()
    }

    /// `enabled` and `dark`, which share one line of buckets.
    fn shares(&mut self, rule: &Rule) {
        let reason = self.decided.reason();
        if let Some(all) = rule.all {
            let says = format!(
                "{} for all{}",
                all.variant().text(),
                self.written("enabled")
            );
            return self.step("enabled", says, true);
        }
        if rule.bounds.is_empty() {
            return self.step("enabled", "for nobody else", true);
        }
        let Some(unit) = rule.by.of(self.who) else {
            let says = format!("no {} to hash: off", by_name(&rule.by));
            return self.step("enabled", says, true);
        };
        let bucket = bucket_of(unit.hash, rule.seed);
        self.bucket = Some(bucket);
        let says = format!(
            "{} {} is at {} %: {}",
            by_unit(&rule.by, self.who),
            shown(unit),
            percent(bucket),
            bounds(rule)
        );
        let is_dark = matches!(reason, Reason::Dark | Reason::Shed);
        self.step("enabled", says, !is_dark);
        if reason == Reason::Shed {
            self.step("dark", "yes, but dark work is shed first", true);
        } else if is_dark {
            self.step("dark", "yes", true);
        }
    }
}

/// An id may be anything, and long.
fn shown(unit: Unit<'_>) -> Cow<'_, str> {
    let cut = crate::text::cut_str(unit.text, 64);
    let clean = |c: char| !crate::text::is_unsafe_to_show(c);
    if cut.len() == unit.text.len() && cut.chars().all(clean) {
        return cut.into();
    }
    cut.escape_debug().collect::<String>().into()
}

fn by_name(by: &By) -> &str {
    match by {
        By::Id(ById::Any) => "visitor or user",
        By::Id(ById::Visitor) => "visitor",
        By::Id(ById::User) => "user",
        By::Request => "request",
        By::Attribute(name) => name,
    }
}

fn by_unit<'a>(by: &'a By, who: &Subject<'_>) -> &'a str {
    match by {
        By::Id(ById::Any) if who.visitor.is_some() => "visitor",
        By::Id(ById::Any) => "user",
        by => by_name(by),
    }
}

fn percent(millionths: u32) -> String {
    debug_assert!(millionths <= BUCKETS);
    Share::millionths(millionths)
        .unwrap_or_default()
        .to_string()
}

/// `blue below 10, green below 30, dark below 80`
fn bounds(rule: &Rule) -> String {
    let mut text = String::new();
    for (below, decided) in &rule.bounds {
        let comma = if text.is_empty() { "" } else { ", " };
        let variant = match decided.reason() {
            Reason::Shed => Word::DARK.text(),
            _ => decided.variant().text(),
        };
        let _ = write!(text, "{comma}{variant} below {}", percent(*below));
    }
    text
}
