//! What requests come to, as metrics.

use super::*;

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

fn serve(profiler: &Profiler, dice: &mut Dice, requests: u64) {
    for _ in 0..requests {
        let method = ["GET", "POST", "BREW"][dice.roll(3) as usize];
        let request = profiler.begin(&Facts::web(method, "/listing/5773453"));
        if dice.roll(4) != 0 {
            request.set_route(["/", "/listing/{id}"][dice.roll(2) as usize]);
        }
        for _ in 0..dice.roll(5) {
            let took = Duration::from_micros(1 + dice.roll(2_000_000));
            let category = [&DBSHARD01, &DBSHARD02][dice.roll(2) as usize];
            request.add_span(category, "SELECT 1", Duration::ZERO, took);
        }
        let mut call = request.span(&MEMCACHE, "listing:5773453");
        call.hits(dice.roll(3) as u32).misses(1);
        call.end([Outcome::Ok, Outcome::Error][dice.roll(2) as usize]);
        if dice.roll(5) == 0 {
            request.set_error("it broke");
        }
        match dice.roll(8) {
            0 => drop(request.abort(None, 0)),
            1 => drop(request),
            _ => drop(request.finish([200, 404, 503][dice.roll(3) as usize], 10)),
        }
    }
}

type Attributes = BTreeMap<String, String>;
/// By metric and attributes: how long each took, in nanoseconds.
type Durations = BTreeMap<(String, Attributes), Vec<u64>>;

pub(super) fn pairs(pairs: &[(&str, &str)]) -> Attributes {
    let text = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(text).collect()
}

/// What the profiles come to, one by one.
fn durations(profiles: &[ProfileData]) -> Durations {
    let mut all = Durations::new();
    for data in profiles {
        let facts = &data.facts;
        let mut about = Attributes::new();
        let method = if facts.method == "BREW" {
            "_OTHER"
        } else {
            &facts.method
        };
        about.insert("http.request.method".to_owned(), method.to_owned());
        let route = facts.route.as_deref();
        about.extend(route.map(|route| ("http.route".to_owned(), route.to_owned())));
        let status = facts.status.map(|status| status.to_string());
        about.extend(status.map(|status| ("http.response.status_code".to_owned(), status)));
        let ending = match (data.state, facts.status) {
            (ioprofiler::State::Aborted, _) => Some(("ioprofiler.outcome", "aborted")),
            (ioprofiler::State::Abandoned, _) => Some(("error.type", "abandoned")),
            (_, Some(503)) => Some(("error.type", "503")),
            _ if facts.error.is_some() => Some(("error.type", "_OTHER")),
            _ => None,
        };
        about.extend(ending.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let name = "http.server.request.duration".to_owned();
        all.entry((name, about)).or_default().push(data.page_ns);
        for call in &data.spans {
            let route = route.unwrap_or("unknown");
            let about = [
                ("kind", "web"),
                ("route", route),
                ("category", call.category),
            ];
            let name = "ioprofiler.call.duration".to_owned();
            all.entry((name, pairs(&about)))
                .or_default()
                .push(call.duration_ns);
        }
    }
    all
}

/// All points of the last report, and the metrics that they belong to.
pub(super) fn points(reports: &[Value]) -> Vec<(Value, Value)> {
    let mut points = Vec::new();
    for resource in reports
        .iter()
        .flat_map(|report| list(report, "resourceMetrics"))
    {
        for metric in list(resource, "scopeMetrics")
            .iter()
            .flat_map(|scope| list(scope, "metrics"))
        {
            let kinds = ["sum", "gauge", "histogram", "exponentialHistogram"];
            for data in kinds.iter().filter_map(|kind| metric.get(kind)) {
                let each = list(data, "dataPoints").iter();
                points.extend(each.map(|point| (metric.clone(), point.clone())));
            }
        }
    }
    points
}

fn check_histogram(point: &Value, durations: &[u64]) {
    assert_eq!(number(&point["count"]), durations.len() as u64, "{point}");
    let sum_ns: u64 = durations.iter().sum();
    let sum = point["sum"].as_f64().unwrap() * 1e9;
    // Ticks are rounded to nanoseconds by each who reads them.
    let off = (sum - sum_ns as f64).abs();
    assert!(off <= durations.len() as f64, "{off} {point}");
    let bounds = list(point, "explicitBounds");
    let counts: Vec<u64> = list(point, "bucketCounts").iter().map(number).collect();
    let mut up_to = 0;
    for (bound, count) in bounds.iter().zip(&counts) {
        up_to += count;
        let bound_ns = bound.as_f64().unwrap() * 1e9;
        let within = |most: f64| durations.iter().filter(|it| **it as f64 <= most).count() as u64;
        // A bucket of ours is a hundredth wide.
        let range = within(bound_ns * 0.99 - 1e3)..=within(bound_ns * 1.01 + 1e3);
        assert!(range.contains(&up_to), "{up_to} {range:?} {point}");
    }
}

/// By the formula of the definition: bucket `i` ends at `base^(offset+i+1)`.
fn check_exponential(point: &Value, durations: &[u64]) {
    assert_eq!(number(&point["count"]), durations.len() as u64, "{point}");
    let scale = point["scale"].as_f64().unwrap_or(0.0);
    let base = (-scale).exp2().exp2();
    let positive = &point["positive"];
    let offset = positive["offset"].as_f64().unwrap_or(0.0);
    let mut up_to = 0;
    for (place, count) in list(positive, "bucketCounts").iter().enumerate() {
        up_to += number(count);
        let end_ns = base.powf(offset + place as f64 + 1.0) * 1e9;
        let within = |most: f64| durations.iter().filter(|it| **it as f64 <= most).count() as u64;
        let range = within(end_ns * 0.99 - 1e3)..=within(end_ns * 1.01 + 1e3);
        assert!(range.contains(&up_to), "{up_to} {range:?} {point}");
    }
}

fn check_durations(reports: &[Value], expected: &Durations) {
    let mut found = 0;
    for (metric, point) in points(reports) {
        let name = metric["name"].as_str().unwrap();
        if !name.ends_with(".duration") || name.contains("flag") || name.contains("dark") {
            continue;
        }
        found += 1;
        assert_eq!(metric["unit"], "s");
        let key = (name.to_owned(), attributes(&point));
        let durations = expected.get(&key).unwrap_or_else(|| panic!("{key:?}"));
        if metric.get("histogram").is_some() {
            check_histogram(&point, durations);
        } else {
            check_exponential(&point, durations);
        }
    }
    assert_eq!(found, expected.len());
}

/// What the last report says of a counter, all attributes together.
fn counted(reports: &[Value], name: &str) -> u64 {
    let of = |(metric, point): (Value, Value)| {
        let is = metric["name"] == name;
        is.then(|| number(&point["asInt"]))
    };
    points(reports).into_iter().filter_map(of).sum()
}

#[test]
fn metrics_are_what_the_requests_come_to() {
    for (json, exponential) in [(false, false), (true, false), (false, true), (true, true)] {
        let Some(collector) = servers::collector(&[]) else {
            return;
        };
        let memory = MemorySink::new(10_000);
        let keeps = memory.clone();
        let to = otlp(&collector)
            .json(json)
            .exponential(exponential)
            .traces(false)
            .logs(false)
            .resource("deployment.environment.name", "test")
            .header("X-Key", "sesame");
        let profiler = builder(to).sink(move || keeps.clone()).build().unwrap();
        let mut dice = Dice(7);
        profiler.count("registrations;plan=pro", 3);
        profiler.gauge("queue.length", 17.5);
        profiler.timing("mail.sent", Duration::from_millis(120));
        for _ in 0..3 {
            serve(&profiler, &mut dice, 100);
            flush(&profiler);
        }
        check_all_sent(&profiler);
        let entries = taken(&collector);
        let content_type = if json {
            "application/json"
        } else {
            "application/x-protobuf"
        };
        for entry in &entries {
            assert_eq!(entry["content_type"], content_type);
            assert_eq!(entry["headers"]["x-key"], "sesame");
            assert_eq!(entry["gzip"], true);
        }
        let last = messages(&collector, "/v1/metrics").pop().unwrap();
        let reports = [last];
        check_durations(&reports, &durations(&memory.profiles()));
        check_rest(&reports, &memory.profiles());
    }
}

/// What the profiles come to beside durations, the application's own metrics, and the resource.
fn check_rest(reports: &[Value], profiles: &[ProfileData]) {
    let calls = || profiles.iter().flat_map(|data| &data.spans);
    let errors = calls()
        .filter(|call| call.outcome == Outcome::Error)
        .count() as u64;
    assert_eq!(counted(reports, "ioprofiler.call.errors"), errors);
    let hits: u32 = calls().filter_map(|call| call.counts.hits).sum();
    assert_eq!(counted(reports, "ioprofiler.call.hits"), u64::from(hits));
    assert_eq!(counted(reports, "registrations"), 3);
    for (metric, point) in points(reports) {
        match metric["name"].as_str().unwrap() {
            "registrations" => assert_eq!(attributes(&point), pairs(&[("plan", "pro")])),
            "queue.length" => assert_eq!(point["asDouble"], 17.5),
            "mail.sent" => {
                assert_eq!((&metric["unit"], number(&point["count"])), (&json!("s"), 1));
                assert_eq!(point["sum"], 0.12);
            }
            "ioprofiler.process.memory" => {
                assert_eq!(metric["unit"], "By");
                assert!(point["asDouble"].as_f64().unwrap() > 1e6);
            }
            "ioprofiler.call.errors" => {
                assert_eq!(metric["unit"], "{call}");
                let sum = &metric["sum"];
                assert_eq!(sum["isMonotonic"], true);
                assert_eq!(
                    sum["aggregationTemporality"],
                    "AGGREGATION_TEMPORALITY_CUMULATIVE"
                );
            }
            _ => {}
        }
    }
    let resources = list(&reports[0], "resourceMetrics");
    let with_version = resources.iter().map(|it| attributes(&it["resource"]));
    let with_version: Vec<Attributes> = with_version
        .filter(|it| it.contains_key("service.version"))
        .collect();
    assert_eq!(with_version.len(), 1);
    let resource = &with_version[0];
    assert_eq!(resource["service.name"], "shop");
    assert_eq!(resource["service.version"], "8c1f");
    assert_eq!(resource["deployment.environment.name"], "test");
    let instance = format!("{}:w1", resource["host.name"]);
    assert_eq!(resource["service.instance.id"], instance);
}

#[test]
fn deltas_add_up_and_leave_no_time_out() {
    let Some(collector) = servers::collector(&[]) else {
        return;
    };
    let memory = MemorySink::new(10_000);
    let keeps = memory.clone();
    let to = otlp(&collector).delta(true).traces(false).logs(false);
    let profiler = builder(to).sink(move || keeps.clone()).build().unwrap();
    let mut dice = Dice(11);
    for _ in 0..4 {
        serve(&profiler, &mut dice, 50);
        profiler.count("registrations", 5);
        flush(&profiler);
    }
    let reports = messages(&collector, "/v1/metrics");
    assert_eq!(counted(&reports, "registrations"), 20);
    let mut counts: BTreeMap<(String, Attributes), u64> = BTreeMap::new();
    let mut ends: HashMap<(String, Attributes), u64> = HashMap::new();
    for (metric, point) in points(&reports) {
        let key = (
            metric["name"].as_str().unwrap().to_owned(),
            attributes(&point),
        );
        let is_counted = ["histogram", "sum"]
            .iter()
            .find_map(|kind| metric.get(kind));
        let Some(data) = is_counted else { continue };
        assert_eq!(
            data["aggregationTemporality"],
            "AGGREGATION_TEMPORALITY_DELTA"
        );
        let start = number(&point["startTimeUnixNano"]);
        let end = number(&point["timeUnixNano"]);
        let before = ends.insert(key.clone(), end);
        // Where nothing was counted nothing is sent: then there is a gap, and never an overlap.
        assert!(before.is_none_or(|before| start >= before), "{key:?}");
        if metric.get("histogram").is_some() {
            *counts.entry(key).or_default() += number(&point["count"]);
        }
    }
    let expected = durations(&memory.profiles());
    for (key, durations) in &expected {
        assert_eq!(counts.get(key), Some(&(durations.len() as u64)), "{key:?}");
    }
}
