//! What requests come to, against the same added up from their profiles one by one.

use super::*;
use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, compile};
use ioprofiler::{
    Category, Facts, MemorySink, Outcome, ProfileData, Profiler, Record, Request, table,
};
use std::collections::BTreeMap;

const ROUTES: [&str; 4] = ["/", "/listing/{id}", "/search", "/a \"strange\"\n{route}"];
const STATUSES: [u16; 4] = [200, 302, 404, 503];

/// A small generator, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % sides
    }
}

fn calls(request: &Request, dice: &mut Dice, depth: u32) {
    for _ in 0..dice.roll(6) {
        match dice.roll(4) {
            0 if depth < 3 => {
                let _scope = ioprofiler::scope("template", "part.html");
                calls(request, dice, depth + 1);
            }
            1 => {
                let mut call = ioprofiler::span("memcache_get", "Cache GET, keys: a");
                call.hits(dice.roll(3) as u32).misses(dice.roll(3) as u32);
            }
            2 => {
                let span = ioprofiler::span("dbshard01", "SELECT 1");
                let outcome = [Outcome::Ok, Outcome::Error, Outcome::Cancelled];
                span.end(outcome[dice.roll(3) as usize]);
            }
            _ => request.add_span(
                "dbshard02",
                "SELECT 2",
                Duration::ZERO,
                Duration::from_micros(dice.roll(5_000)),
            ),
        }
    }
}

/// Requests of all kinds, each ended in some way.
fn serve(profiler: &Profiler, dice: &mut Dice, requests: u64) {
    for _ in 0..requests {
        let request = profiler.begin(&Facts::web(
            ["GET", "POST", "BREW"][dice.roll(3) as usize],
            "/p",
        ));
        let route = dice.roll(ROUTES.len() as u64 + 1) as usize;
        if let Some(route) = ROUTES.get(route) {
            request.set_route(route);
        }
        request.set_visitor(&dice.roll(100).to_string());
        request.run(|| {
            calls(&request, dice, 0);
            let _ = request.flag("new_search");
            if dice.roll(2) == 0 {
                let _ = request.flag("never");
            }
            if dice.roll(2) == 0 {
                request.dark("unseen", || {
                    drop(ioprofiler::span("dbshard01", "SELECT 3"));
                    if dice.roll(3) == 0 { Err(()) } else { Ok(()) }
                });
            }
        });
        if dice.roll(5) == 0 {
            request.set_error("it broke");
        }
        match dice.roll(10) {
            0 => drop(request.abort(None, 0)),
            1 => drop(request),
            _ => drop(request.finish(STATUSES[dice.roll(4) as usize], 10)),
        }
    }
}

fn flags() -> ioprofiler::flags::Snapshot {
    let mut document = Document::default();
    let mut search = FlagSpec::new("new_search");
    search.enabled = Enabled::share(Share::percent(50));
    let never = FlagSpec::new("never");
    let mut unseen = FlagSpec::new("unseen");
    unseen.dark = Some(Share::percent(100));
    document.flags.extend([search, never, unseen]);
    compile(document)
}

#[derive(Debug, Default, PartialEq)]
struct Sum {
    count: u64,
    time_ns: u64,
    /// The longest, to a hundredth.
    longest_ns: u64,
}

impl Sum {
    fn add(&mut self, time_ns: u64) {
        self.count += 1;
        self.time_ns += time_ns;
        self.longest_ns = self.longest_ns.max(time_ns);
    }

    fn is(&self, counted: &Distribution) {
        assert_eq!((counted.count, counted.sum_ns), (self.count, self.time_ns));
        let bucketed: u64 = counted.buckets.iter().map(|(_, count)| count).sum();
        assert_eq!(bucketed, self.count);
        let longest = counted.max_ns().unwrap_or(0);
        assert!(longest >= self.longest_ns, "{longest} {self:?}");
        assert!(
            longest <= self.longest_ns + self.longest_ns / 100 + 1_000,
            "{longest} {self:?}"
        );
    }
}

type Keyed<T> = BTreeMap<Vec<String>, T>;

fn key(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| (*part).to_owned()).collect()
}

#[derive(Default)]
struct Expected {
    requests: Keyed<Sum>,
    io: Keyed<u64>,
    other: Keyed<u64>,
    calls: Keyed<Sum>,
    errors: Keyed<u64>,
    cancelled: Keyed<u64>,
    hits: Keyed<u64>,
    misses: Keyed<u64>,
    by_flag: Keyed<Sum>,
    flag_calls: Keyed<u64>,
    flag_time: Keyed<u64>,
    dark: Keyed<Sum>,
    dark_errors: Keyed<u64>,
}

impl Expected {
    fn add(&mut self, data: &ProfileData) {
        let route = data.facts.route.as_deref().unwrap_or("unknown");
        let method = match data.facts.method.as_str() {
            "BREW" => "other",
            known => known,
        };
        let status = data
            .facts
            .status
            .map(|status| status.to_string())
            .unwrap_or_default();
        let failed =
            data.facts.error.is_some() || data.facts.status.is_some_and(|code| code >= 500);
        let outcome = match data.state {
            ioprofiler::State::Aborted => "aborted",
            ioprofiler::State::Abandoned => "abandoned",
            _ if failed => "error",
            _ => "ok",
        };
        let by_route = || key(&["web", route]);
        let ending = key(&["web", route, method, &status, outcome]);
        self.requests.entry(ending).or_default().add(data.page_ns);
        let times = table::times(data);
        *self.io.entry(by_route()).or_default() += times.io_wall_ns;
        *self.other.entry(by_route()).or_default() += times.other_ns;
        let mut done: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for span in &data.spans {
            if span.dark {
                if let Some(flag) = span.category.strip_prefix("dark:") {
                    self.dark
                        .entry(key(&[flag]))
                        .or_default()
                        .add(span.duration_ns);
                    *self.dark_errors.entry(key(&[flag])).or_default() +=
                        u64::from(span.outcome == Outcome::Error);
                }
                continue;
            }
            let call = || key(&["web", route, span.category]);
            self.calls.entry(call()).or_default().add(span.duration_ns);
            *self.errors.entry(call()).or_default() += u64::from(span.outcome == Outcome::Error);
            *self.cancelled.entry(call()).or_default() +=
                u64::from(span.outcome == Outcome::Cancelled);
            *self.hits.entry(call()).or_default() += u64::from(span.counts.hits.unwrap_or(0));
            *self.misses.entry(call()).or_default() += u64::from(span.counts.misses.unwrap_or(0));
            let (count, time) = done.entry(span.category).or_default();
            *count += 1;
            *time += span.duration_ns;
        }
        for exposure in data.flags.iter().flat_map(|flags| &flags.exposures) {
            let variant = match exposure.state {
                ioprofiler::flags::State::Dark => "dark",
                _ => exposure.variant,
            };
            let flag = key(&[exposure.flag, variant]);
            self.by_flag.entry(flag).or_default().add(data.page_ns);
            for (category, (count, time)) in &done {
                let flag = key(&[exposure.flag, variant, category]);
                *self.flag_calls.entry(flag.clone()).or_default() += count;
                *self.flag_time.entry(flag).or_default() += time;
            }
        }
    }

    fn check(&self, series: &[Series]) {
        let labels = |key: &[String]| -> Vec<String> { key.to_vec() };
        for (name, sums) in [
            ("request.duration", &self.requests),
            ("call.duration", &self.calls),
            ("flag.request.duration", &self.by_flag),
            ("dark.duration", &self.dark),
        ] {
            let found = samples(series)
                .filter(|sample| sample.name.as_str() == name)
                .count();
            assert_eq!(found, sums.len(), "{name}");
            for (key, sum) in sums {
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                sum.is(&distribution(series, name, &key));
            }
        }
        for (name, counts) in [
            ("request.io", &self.io),
            ("request.other", &self.other),
            ("call.errors", &self.errors),
            ("call.cancelled", &self.cancelled),
            ("call.hits", &self.hits),
            ("call.misses", &self.misses),
            ("flag.calls", &self.flag_calls),
            ("flag.call", &self.flag_time),
            ("dark.errors", &self.dark_errors),
        ] {
            for (key, count) in counts {
                let key = labels(key);
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                assert_eq!(counter(series, name, &key), *count, "{name} {key:?}");
            }
        }
    }
}

/// Ticks become nanoseconds by a slope that is measured anew at each reading, so that a profile and
/// a sum may differ by a rounding: a manual clock has none.
fn manual(profiler: ioprofiler::ProfilerBuilder) -> ioprofiler::ProfilerBuilder {
    profiler.clock(ioprofiler::Clock::Manual)
}

#[test]
fn requests_come_to_what_their_profiles_do() {
    let _clock = clock();
    let memory = MemorySink::new(100_000);
    let sink = memory.clone();
    let profiler = manual(Profiler::builder())
        .metrics(true)
        .threadless(true)
        .sink(move || sink.clone())
        .build()
        .unwrap();
    profiler.set_flags(flags());
    let mut dice = Dice(7);
    let mut expected = Expected::default();
    for _ in 0..20 {
        serve(&profiler, &mut dice, 50);
        ioprofiler::Clock::advance(Duration::from_micros(dice.roll(1_000_000)));
        assert!(profiler.flush(SOON));
        memory.profiles().iter().for_each(|data| expected.add(data));
        memory.clear();
        expected.check(&profiler.series());
    }
    assert!(expected.calls.len() > 12 && expected.requests.len() > 30);
}

#[test]
fn calls_past_a_limit_are_counted_too() {
    // A clock that another test sets by hand is the process's.
    let _clock = clock();
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .max_spans(10)
        .build()
        .unwrap();
    let request = profiler.begin(&Facts::job("reindex"));
    request.run(|| {
        for call in 0..1_000 {
            let mut span = ioprofiler::span("memcache_get", "a");
            span.hits(1).misses(2);
            span.end(if call % 10 == 0 {
                Outcome::Error
            } else {
                Outcome::Ok
            });
        }
    });
    request.finish(0, 0);
    let series = profiler.series();
    let labels = ["job", "reindex", "memcache_get"];
    let counted = distribution(&series, "call.duration", &labels);
    assert_eq!(counted.count, 1_000);
    assert_eq!(counter(&series, "call.errors", &labels), 100);
    assert_eq!(counter(&series, "call.hits", &labels), 1_000);
    assert_eq!(counter(&series, "call.misses", &labels), 2_000);
    assert_eq!(
        distribution(
            &series,
            "request.duration",
            &["job", "reindex", "", "", "ok"]
        )
        .count,
        1
    );
}

#[test]
fn what_the_queue_does_not_take_is_counted_all_the_same() {
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .max_live_requests(20_000)
        .build()
        .unwrap();
    let requests = 12_000;
    for number in 0..requests {
        let request = profiler.begin(&Facts::web("GET", "/"));
        request.set_route("/");
        request.run(|| {
            drop(ioprofiler::span("dbshard01", "SELECT 1"));
            let mut call = ioprofiler::span("memcache_get", "a");
            call.hits(2);
            drop(call);
        });
        if number % 100 == 0 {
            request.abort(None, 0);
        } else {
            request.finish(if number % 10 == 1 { 500 } else { 200 }, 0);
        }
    }
    let dropped = profiler.stats().queue_dropped;
    assert!((1_000..requests).contains(&dropped), "{dropped}");
    let series = profiler.series();
    let all = |name: &str, which: &dyn Fn(&Sample) -> bool| -> u64 {
        let counts =
            samples(&series).filter(|sample| sample.name.as_str() == name && which(sample));
        counts
            .map(|sample| match &sample.value {
                Value::Distribution(counted) => counted.count,
                Value::Counter(count) => *count,
                _ => 0,
            })
            .sum()
    };
    assert_eq!(all("request.duration", &|_| true), requests);
    assert_eq!(
        all("request.duration", &|sample| sample.label("outcome")
            == "aborted"),
        120
    );
    assert_eq!(
        all("request.duration", &|sample| sample.label("outcome")
            == "error"),
        1_200
    );
    for category in ["dbshard01", "memcache_get"] {
        assert_eq!(
            all("call.duration", &|sample| sample.label("category")
                == category),
            requests
        );
    }
    assert_eq!(all("call.hits", &|_| true), 2 * requests);
    assert_eq!(counter(&series, "profiler.dropped", &["queue"]), dropped);
    // Taken once.
    assert_eq!(profiler.series().len(), series.len());
    let again = profiler.series();
    assert_eq!(
        samples(&again)
            .filter(|sample| sample.name.as_str() == "request.duration")
            .count(),
        samples(&series)
            .filter(|sample| sample.name.as_str() == "request.duration")
            .count(),
    );
}

#[test]
fn too_many_routes_statuses_and_categories_are_one() {
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .build()
        .unwrap();
    for number in 0..1_000_u64 {
        let request = profiler.begin(&Facts::web(&format!("METHOD{number}"), "/"));
        request.set_route(&format!("/{number}"));
        request.finish(200, 0);
        let request = profiler.begin(&Facts::web("GET", "/"));
        request.set_route("/one");
        request.finish(number as u16, 0);
        if number % 100 == 0 {
            assert!(profiler.flush(SOON));
        }
    }
    let series = profiler.series();
    let of = |which: &dyn Fn(&Sample) -> bool| -> (usize, u64) {
        let found = samples(&series)
            .filter(|sample| sample.name.as_str() == "request.duration" && which(sample));
        found.fold((0, 0), |(series, requests), sample| match &sample.value {
            Value::Distribution(counted) => (series + 1, requests + counted.count),
            _ => (series, requests),
        })
    };
    let (one, requests) = of(&|sample| sample.label("route") == "/one");
    assert_eq!(requests, 1_000);
    assert!(one <= 67, "{one}");
    let (all, requests) = of(&|_| true);
    assert_eq!(requests, 2_000);
    assert!(all <= 600, "{all}");
    let (_, others) = of(&|sample| sample.label("route") == "other");
    assert!(others >= 400, "{others}");
    assert!(counter(&series, "profiler.dropped", &["series"]) >= others);
}

#[test]
fn nothing_is_counted_where_nobody_wants_it() {
    let profiler = Profiler::builder().build().unwrap();
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    assert!(profiler.series().is_empty());
    assert!(profiler.kept().is_empty());
}

#[test]
fn requests_that_are_not_recorded_are_counted_without_calls() {
    let profiler = Profiler::builder()
        .metrics(true)
        .record(Record::Off)
        .threadless(true)
        .build()
        .unwrap();
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.run(|| drop(ioprofiler::span("dbshard01", "SELECT 1")));
    request.finish(200, 0);
    let series = profiler.series();
    let ending = ["web", "unknown", "GET", "200", "ok"];
    assert_eq!(distribution(&series, "request.duration", &ending).count, 1);
    assert!(samples(&series).all(|sample| sample.name.as_str() != "call.duration"));
}

#[test]
fn a_leaf_in_a_leaf_is_one_call_with_the_inner_ones_counts() {
    static ORM: Category = Category::leaf("orm");
    let profiler = Profiler::builder()
        .metrics(true)
        .threadless(true)
        .build()
        .unwrap();
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.run(|| {
        ioprofiler::span(&ORM, "Listing.find").run(|| {
            let mut inner = ioprofiler::span("driver", "SELECT 1");
            inner.hits(3).misses(1);
        });
    });
    request.finish(200, 0);
    let series = profiler.series();
    let orm = ["web", "unknown", "orm"];
    assert_eq!(distribution(&series, "call.duration", &orm).count, 1);
    assert_eq!(counter(&series, "call.hits", &orm), 3);
    assert!(find(&series, "call.duration", &["web", "unknown", "driver"]).is_none());
}

#[test]
fn threads_that_end_requests_while_others_read_lose_none() {
    // Those that other tests of this process let wait count as well.
    let profiler = Profiler::builder()
        .metrics(true)
        .max_live_requests(60_000)
        .build()
        .unwrap();
    let threads = 4;
    let each = 5_000_u64;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..each {
                    let request = profiler.begin(&Facts::web("GET", "/"));
                    request.set_route("/");
                    request.run(|| drop(ioprofiler::span("dbshard01", "SELECT 1")));
                    request.finish(200, 0);
                    profiler.count("sums.requests", 1);
                }
            });
        }
        let mut before = 0;
        for _ in 0..50 {
            let now = counter(&profiler.series(), "sums.requests", &[]);
            assert!(now >= before, "{now} < {before}");
            before = now;
        }
    });
    let series = profiler.series();
    let all = samples(&series).filter_map(|sample| match &sample.value {
        Value::Distribution(counted) if sample.name.as_str() == "request.duration" => {
            Some(counted.count)
        }
        _ => None,
    });
    let refused = profiler.stats().refused_live;
    assert_eq!(all.sum::<u64>(), threads * each, "{refused} refused");
    assert_eq!(counter(&series, "sums.requests", &[]), threads * each);
    assert!(profiler.shutdown(SOON));
}
