//! The cache in front of the shards: get, get_multi, set. Every look-up of the shop goes through
//! here, and is profiled here.
//!
//! A cache may forget, and its server may be dead: both are a miss, and the page is made all the
//! same.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ioprofiler::{Category, Dialect, Outcome, Span};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::memcached::Memcached;

/// How long an entry is believed.
const LIFE: Duration = Duration::from_secs(300);
/// Past that many entries the cache in this process forgets them all.
const MOST_ENTRIES: usize = 50_000;

/// Where entries are kept.
#[derive(Debug)]
enum Store {
    InProcess(Mutex<HashMap<String, (Instant, Vec<u8>)>>),
    Memcached(Memcached),
}

/// The shop's cache.
#[derive(Debug)]
pub(crate) struct Cache {
    store: Store,
}

static GET: Category = Category::leaf("memcache_get").dialect(Dialect::Keys);
static GET_MULTI: Category = Category::leaf("memcache_get_multi").dialect(Dialect::Keys);
static SET: Category = Category::leaf("memcache_set").dialect(Dialect::Keys);

impl Cache {
    pub(crate) fn in_process() -> Self {
        Self {
            store: Store::InProcess(Mutex::default()),
        }
    }

    pub(crate) fn memcached(server: Memcached) -> Self {
        Self {
            store: Store::Memcached(server),
        }
    }

    /// One entry, if it is there and can be read.
    #[track_caller]
    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        key: String,
    ) -> impl Future<Output = Option<T>> + Send {
        let looked_up = self.look_up_as(&GET, vec![key]);
        async { decode(looked_up.await.values().next()?) }
    }

    /// Many entries, in one trip; only those that are there and can be read.
    #[track_caller]
    pub(crate) fn get_multi<T: DeserializeOwned>(
        &self,
        keys: Vec<String>,
    ) -> impl Future<Output = HashMap<String, T>> + Send {
        let looked_up = self.look_up_as(&GET_MULTI, keys);
        async {
            let found = looked_up.await;
            found
                .into_iter()
                .filter_map(|(key, json)| Some((key, decode(&json)?)))
                .collect()
        }
    }

    /// Keeps an entry.
    #[track_caller]
    pub(crate) fn set<T: Serialize>(
        &self,
        key: String,
        value: &T,
    ) -> impl Future<Output = ()> + Send {
        let json = serde_json::to_vec(value).unwrap_or_default();
        let mut call = ioprofiler::span(&SET, format_args!("Cache SET, keys: {key}"));
        call.bytes(count(json.len()));
        let call = call.target(self.target());
        let stored = call.wrap_result(async move { self.store(&key, json).await });
        async { drop(stored.await) }
    }

    /// The look-up behind `get` and `get_multi`, under a category. A failed one finds nothing.
    #[track_caller]
    fn look_up_as(
        &self,
        category: &'static Category,
        keys: Vec<String>,
    ) -> impl Future<Output = HashMap<String, Vec<u8>>> + Send {
        let wanted = List(|| keys.iter());
        let call = ioprofiler::span(category, format_args!("Cache GET, keys: {wanted}"))
            .target(self.target());
        let keys = Arc::new(keys);
        let asked = Arc::clone(&keys);
        let found = call.wrap_with(
            async move { self.look_up(&keys).await },
            move |call, found: &std::io::Result<_>| {
                if let Ok(found) = found {
                    say_what_was_found(call, &asked, found);
                }
                Outcome::of(found)
            },
        );
        async { found.await.unwrap_or_default() }
    }

    async fn look_up(&self, keys: &[String]) -> std::io::Result<HashMap<String, Vec<u8>>> {
        match &self.store {
            Store::InProcess(entries) => {
                let entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                let fresh = |key: &String| {
                    let (kept_at, value) = entries.get(key)?;
                    (kept_at.elapsed() < LIFE).then(|| (key.clone(), value.clone()))
                };
                Ok(keys.iter().filter_map(fresh).collect())
            }
            Store::Memcached(server) => server.get(keys).await,
        }
    }

    async fn store(&self, key: &str, value: Vec<u8>) -> std::io::Result<()> {
        match &self.store {
            Store::InProcess(entries) => {
                let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                if entries.len() >= MOST_ENTRIES {
                    entries.clear();
                }
                entries.insert(key.to_owned(), (Instant::now(), value));
                Ok(())
            }
            Store::Memcached(server) => server.set(key, &value, LIFE).await,
        }
    }

    /// Which server this is.
    pub(crate) fn target(&self) -> &str {
        match &self.store {
            Store::InProcess(_) => "memcache",
            Store::Memcached(server) => server.address(),
        }
    }
}

/// `Cache HIT, keys: a, b`, `Cache MISS, keys: a`, or `Cache 38/40 HIT, missed: a, b`.
fn say_what_was_found(call: &mut Span, keys: &[String], found: &HashMap<String, Vec<u8>>) {
    let (all, hits) = (keys.len(), found.len());
    let every = List(|| keys.iter());
    if hits == all {
        call.detail(format_args!("Cache HIT, keys: {every}"));
    } else if hits == 0 {
        call.detail(format_args!("Cache MISS, keys: {every}"));
    } else {
        let missed = List(|| keys.iter().filter(|key| !found.contains_key(*key)));
        call.detail(format_args!("Cache {hits}/{all} HIT, missed: {missed}"));
    }
    call.hits(count(hits)).misses(count(all - hits));
}

/// Keys as they are written into a detail, without making a string of them first: `a, b`.
struct List<F>(F);

impl<'a, F, I> fmt::Display for List<F>
where
    F: Fn() -> I,
    I: Iterator<Item = &'a String>,
{
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(keys) = self;
        for (place, key) in keys().enumerate() {
            out.write_str(if place == 0 { "" } else { ", " })?;
            out.write_str(key)?;
        }
        Ok(())
    }
}

fn decode<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

fn count(number: usize) -> u32 {
    number.try_into().unwrap_or(u32::MAX)
}
