//! Kept requests: of each route the slowest of the last minutes, and those that failed.
//!
//! Whole profiles, call by call, so that whoever looks for why something was slow need not wait for
//! it to happen again. What may leave the process may be kept: details are fingerprints, and
//! nothing is there of the person who asked, unless the operator wants full details. Bounded in
//! number and in bytes.

use super::config::{Configurable, Key};
use super::state::kept::{self, KeptFolder};
use crate::clock;
use crate::error::Error;
use crate::profile::{ProfileData, RequestKind, State};
use crate::render::{self, Details, mask};
use crate::request::Profile;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Which finished requests are kept.
///
/// ```
/// use ioprofiler::{Keep, Profiler};
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let profiler = Profiler::builder().keep(Keep::default().slowest(3)).threadless(true).build()?;
/// profiler.begin(&ioprofiler::Facts::web("GET", "/")).finish(503, 0);
/// profiler.flush(std::time::Duration::from_millis(200));
/// assert_eq!(profiler.kept().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub(crate) slowest: usize,
    pub(crate) errors: usize,
    pub(crate) during: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) details: Details,
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            slowest: 5,
            errors: 5,
            during: Duration::from_secs(15 * 60),
            max_bytes: 8 << 20,
            details: Details::Fingerprint,
        }
    }
}

impl Configurable for Keep {
    const NAME: &'static str = "keep";
    const KEYS: &'static [Key<Self>] = &[
        Key("slowest", |keep, setting| setting.number(&mut keep.slowest)),
        Key("errors", |keep, setting| setting.number(&mut keep.errors)),
        Key("during", |keep, setting| setting.duration(&mut keep.during)),
        Key("max_bytes", |keep, setting| {
            setting.number(&mut keep.max_bytes)
        }),
        Key("details", |keep, setting| {
            let words = [
                ("fingerprint", Details::Fingerprint),
                ("full", Details::Full),
            ];
            setting.choice(&mut keep.details, &words)
        }),
    ];
}

impl Keep {
    /// So many slowest requests of each route. Default 5, at most 100.
    #[must_use]
    pub fn slowest(mut self, requests: usize) -> Self {
        self.slowest = requests;
        self
    }

    /// So many of the last requests of each route that failed. Default 5, at most 100.
    #[must_use]
    pub fn errors(mut self, requests: usize) -> Self {
        self.errors = requests;
        self
    }

    /// Of so long a time. Default 15 minutes.
    #[must_use]
    pub fn during(mut self, time: Duration) -> Self {
        self.during = time;
        self
    }

    /// As long as they are not larger together, in bytes; the oldest go first. Default 8 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How much of them. Default: fingerprints.
    #[must_use]
    pub fn details(mut self, details: Details) -> Self {
        self.details = details;
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let at_most = |option: &str, value: usize, most: usize| {
            if value <= most {
                return Ok(());
            }
            Err(Error::of(
                option,
                format_args!("{value} is more than {most}"),
            ))
        };
        at_most("keep.slowest", self.slowest, 100)?;
        at_most("keep.errors", self.errors, 100)?;
        at_most("keep.max_bytes", self.max_bytes, 1 << 30)?;
        if self.during > Duration::from_secs(86_400) {
            let why = format!("{:?} is more than 1d", self.during);
            return Err(Error::of("keep.during", why));
        }
        Ok(())
    }
}

/// Why a request was kept.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeptFor {
    /// It was among the slowest of its route.
    Slow,
    /// It failed.
    Error,
}

impl KeptFor {
    /// `slow` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Error => "error",
        }
    }
}

/// A request that was kept.
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Kept {
    /// Why.
    pub reason: KeptFor,
    /// What it did. Shared: it never changes.
    pub profile: Arc<ProfileData>,
}

impl Kept {
    /// The profile as hosts hold it, for bindings.
    #[must_use]
    pub fn to_profile(&self) -> Profile {
        Profile::ready(ProfileData::clone(&self.profile))
    }

    /// The profile as JSON (see [`render::json`](mod@crate::render::json)) with one more object in it,
    /// `kept`: why it was kept, and what a list of such requests shows. It is what `ioprofiler show --json`
    /// prints.
    #[must_use]
    pub fn json(&self, details: Details) -> String {
        kept::with_summary(self, &render::json(&self.profile, details))
    }
}

/// How slow a request of a route must be to be kept, told to pages by the collector: so that a host
/// which keeps details on its own side knows whether anybody will read them.
pub(crate) struct Thresholds {
    keys: RandomState,
    routes: Box<[(AtomicU64, AtomicU64)]>,
}

const ROUTES: usize = 1_024;

impl Thresholds {
    pub(crate) fn new() -> Self {
        Self {
            keys: RandomState::new(),
            routes: std::iter::repeat_with(Default::default)
                .take(ROUTES)
                .collect(),
        }
    }

    fn place(&self, kind: RequestKind, route: &str) -> (u64, Option<&(AtomicU64, AtomicU64)>) {
        let key = self.keys.hash_one((kind, route)).max(1);
        (key, self.routes.get(key as usize % ROUTES))
    }

    /// How slow a request of this route must be. Of two routes in one place the one that was told
    /// last is known: the other's requests are taken for slow, which costs a little.
    pub(crate) fn of(&self, kind: RequestKind, route: &str) -> u64 {
        let (key, place) = self.place(kind, route);
        place
            .filter(|(there, _)| there.load(Ordering::Relaxed) == key)
            .map_or(0, |(_, threshold)| threshold.load(Ordering::Relaxed))
    }

    fn set(&self, kind: RequestKind, route: &str, threshold: u64) {
        let (key, place) = self.place(kind, route);
        if let Some((there, value)) = place {
            value.store(threshold, Ordering::Relaxed);
            there.store(key, Ordering::Relaxed);
        }
    }
}

struct Entry {
    at: u64,
    page_ns: u64,
    bytes: usize,
    profile: Arc<ProfileData>,
}

#[derive(Default)]
struct Route {
    /// The slowest last.
    slow: Vec<Entry>,
    /// The newest last.
    errors: VecDeque<Entry>,
}

/// What a process keeps.
pub(crate) struct Keeper {
    keep: Keep,
    routes: HashMap<(RequestKind, Box<str>), Route>,
    bytes: usize,
    folder: Option<KeptFolder>,
}

/// Routes of their own; requests of further ones are not kept.
const MOST_ROUTES: usize = 500;

impl Keeper {
    pub(crate) fn new(keep: Keep, folder: Option<KeptFolder>) -> Self {
        Self {
            keep,
            routes: HashMap::new(),
            bytes: 0,
            folder,
        }
    }

    /// Which requests it keeps.
    pub(crate) fn keep(&self) -> Keep {
        self.keep
    }

    /// Looks at a request that ended, and keeps it if it is to be kept. `true` where it was.
    pub(crate) fn look(
        &mut self,
        kind: RequestKind,
        route: &str,
        failed: bool,
        page_ns: u64,
        thresholds: &Thresholds,
        profile: &Profile,
    ) -> Option<Kept> {
        // Pages that were told so may have left out their calls' details.
        if !failed && page_ns < thresholds.of(kind, route) {
            return None;
        }
        let now = clock::wall();
        let reason = self.reason(kind, route, failed, page_ns, now)?;
        let mut data = profile.data().clone();
        if self.keep.details == Details::Fingerprint {
            mask::profile(&mut data);
        }
        let kept = Kept {
            reason,
            profile: Arc::new(data),
        };
        if let Some(folder) = &self.folder {
            folder.keep(&kept, self.keep.details);
        }
        self.put(kind, route, &kept, page_ns, now);
        self.tell_threshold(kind, route, thresholds);
        Some(kept)
    }

    /// Why it would be kept. Makes room in what is too old.
    fn reason(
        &mut self,
        kind: RequestKind,
        name: &str,
        failed: bool,
        page_ns: u64,
        now: u64,
    ) -> Option<KeptFor> {
        if failed && self.keep.errors > 0 {
            return Some(KeptFor::Error);
        }
        if self.keep.slowest == 0 {
            return None;
        }
        let Some(route) = self.routes.get_mut(&(kind, Box::from(name))) else {
            return (self.routes.len() < MOST_ROUTES).then_some(KeptFor::Slow);
        };
        let oldest = now.saturating_sub(u64::try_from(self.keep.during.as_nanos()).unwrap_or(0));
        if route.slow.iter().any(|entry| entry.at < oldest) {
            let forgotten = route.slow.extract_if(.., |entry| entry.at < oldest);
            let forgotten: Vec<Entry> = forgotten.collect();
            forgotten.iter().for_each(|entry| self.forget(entry));
            return Some(KeptFor::Slow);
        }
        let is_full = route.slow.len() >= self.keep.slowest;
        let fastest = route.slow.first().map_or(0, |entry| entry.page_ns);
        (!is_full || page_ns > fastest).then_some(KeptFor::Slow)
    }

    fn put(&mut self, kind: RequestKind, name: &str, kept: &Kept, page_ns: u64, at: u64) {
        let is_new = !self.routes.contains_key(&(kind, Box::from(name)));
        if is_new && self.routes.len() >= MOST_ROUTES {
            return;
        }
        let entry = Entry {
            at,
            page_ns,
            bytes: size(&kept.profile),
            profile: Arc::clone(&kept.profile),
        };
        self.bytes += entry.bytes;
        let (slowest, errors) = (self.keep.slowest, self.keep.errors);
        let route = self.routes.entry((kind, Box::from(name))).or_default();
        let mut forgotten = Vec::new();
        match kept.reason {
            KeptFor::Error => {
                route.errors.push_back(entry);
                if route.errors.len() > errors {
                    forgotten.extend(route.errors.pop_front());
                }
            }
            KeptFor::Slow => {
                let place = route.slow.partition_point(|entry| entry.page_ns < page_ns);
                route.slow.insert(place, entry);
                if route.slow.len() > slowest {
                    forgotten.push(route.slow.remove(0));
                }
            }
        }
        forgotten.iter().for_each(|entry| self.forget(entry));
        while self.bytes > self.keep.max_bytes && self.forget_oldest() {}
    }

    fn forget(&mut self, entry: &Entry) {
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        if let Some(folder) = &self.folder {
            folder.forget(&entry.profile.id);
        }
    }

    fn forget_oldest(&mut self) -> bool {
        let oldest_of = |route: &Route| {
            let slow = route.slow.iter().map(|entry| entry.at).min();
            let error = route.errors.front().map(|entry| entry.at);
            slow.into_iter().chain(error).min()
        };
        let routes = self.routes.values_mut();
        let with_age = routes.filter_map(|route| Some((oldest_of(route)?, route)));
        let Some((at, route)) = with_age.min_by_key(|(at, _)| *at) else {
            return false;
        };
        let place = route.slow.iter().position(|entry| entry.at == at);
        let entry = match place {
            Some(place) => Some(route.slow.remove(place)),
            None => route.errors.pop_front(),
        };
        if let Some(entry) = &entry {
            self.forget(entry);
        }
        entry.is_some()
    }

    /// Forgets what is too old; called now and then.
    pub(crate) fn sweep(&mut self, thresholds: &Thresholds) {
        let during = u64::try_from(self.keep.during.as_nanos()).unwrap_or(0);
        let oldest = clock::wall().saturating_sub(during);
        let mut forgotten = Vec::new();
        for ((kind, name), route) in &mut self.routes {
            let before = forgotten.len();
            forgotten.extend(route.slow.extract_if(.., |entry| entry.at < oldest));
            while route.errors.front().is_some_and(|entry| entry.at < oldest) {
                forgotten.extend(route.errors.pop_front());
            }
            if forgotten.len() != before {
                thresholds.set(*kind, name, 0);
            }
        }
        forgotten.iter().for_each(|entry| self.forget(entry));
        self.routes
            .retain(|_, route| !route.slow.is_empty() || !route.errors.is_empty());
    }

    fn tell_threshold(&self, kind: RequestKind, name: &str, thresholds: &Thresholds) {
        let Some(route) = self.routes.get(&(kind, Box::from(name))) else {
            return;
        };
        let is_full = route.slow.len() >= self.keep.slowest;
        let fastest = route.slow.first().filter(|_| is_full);
        let threshold = fastest.map_or(0, |entry| entry.page_ns.saturating_add(1));
        thresholds.set(kind, name, threshold);
    }

    /// All that is kept: by route, the slowest first, then errors, the newest first.
    pub(crate) fn all(&self) -> Vec<Kept> {
        let mut names: Vec<_> = self.routes.iter().collect();
        names.sort_by(|(a, _), (b, _)| (a.0.as_str(), &a.1).cmp(&(b.0.as_str(), &b.1)));
        let mut all = Vec::new();
        for (_, route) in names {
            let with = |reason| {
                move |entry: &Entry| Kept {
                    reason,
                    profile: Arc::clone(&entry.profile),
                }
            };
            all.extend(route.slow.iter().rev().map(with(KeptFor::Slow)));
            all.extend(route.errors.iter().rev().map(with(KeptFor::Error)));
        }
        all
    }
}

/// Whether a request failed: what is kept as an error.
pub(crate) fn has_failed(state: State, status: Option<u16>, error: bool) -> bool {
    error || state == State::Abandoned || status.is_some_and(|status| status >= 500)
}

/// About how much memory a profile takes.
fn size(data: &ProfileData) -> usize {
    let spans = data.spans.iter().map(|span| {
        size_of_val(span) + span.detail.len() + span.target.as_ref().map_or(0, String::len)
    });
    let totals = size_of_val(data.totals.as_slice());
    size_of_val(data) + spans.sum::<usize>() + totals + data.facts.path.len() + 1_024
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Facts, Profiler};
    use std::time::Duration;

    #[test]
    fn what_pages_were_told_is_of_no_interest_is_not_kept_until_they_are_told_otherwise() {
        let profiler = Profiler::builder().threadless(true).build().unwrap();
        let profile = profiler.begin(&Facts::web("GET", "/a")).finish(200, 1);
        let thresholds = Thresholds::new();
        let keep = Keep::default().slowest(1).during(Duration::from_millis(1));
        let mut keeper = Keeper::new(keep, None);
        let is_kept = |keeper: &mut Keeper, page_ns| {
            let web = RequestKind::Web;
            let kept = keeper.look(web, "/a", false, page_ns, &thresholds, &profile);
            kept.is_some()
        };
        assert!(is_kept(&mut keeper, 1_000_000));
        std::thread::sleep(Duration::from_millis(5));
        assert!(!is_kept(&mut keeper, 10));
        keeper.sweep(&thresholds);
        assert!(is_kept(&mut keeper, 10));
    }
}
