//! What a running profiler really sends and shows, compared with the list that people are given,
//! `examples/monitoring/SERIES.md`, and both with what the crate says of its metrics.

use ioprofiler::collect::series::{METRICS, Name, SeriesKind, Value};
use ioprofiler::sinks::Graphite;
use ioprofiler::{Facts, Outcome, Profiler, ProfilerBuilder};
use ioprofiler_tests::listed::{in_prometheus, in_ticks, monitoring, names, table};
use ioprofiler_tests::servers::Folder;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// A carbon that keeps the lines that it is sent.
#[derive(Clone, Default)]
struct Carbon(Arc<Mutex<String>>);

impl Carbon {
    fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let kept = self.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4_096];
                    while let Ok(read @ 1..) = stream.read(&mut buffer) {
                        kept.0
                            .lock()
                            .unwrap()
                            .push_str(std::str::from_utf8(&buffer[..read]).unwrap());
                    }
                });
            }
        });
        address
    }

    fn series(&self) -> Vec<String> {
        let text = self.0.lock().unwrap();
        text.lines()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }
}

/// A profiler after requests, jobs, flags, dark work, a deploy and metrics of the application's own.
fn busy(folder: &Folder, configure: impl FnOnce(ProfilerBuilder) -> ProfilerBuilder) -> Profiler {
    let flags = folder.file(
        "flags.toml",
        "[flags.new_search]\nenabled = \"on\"\n[flags.new_ranking]\ndark = 100\nenabled = 0\n",
    );
    let builder = Profiler::builder()
        .flags([flags])
        .prometheus(Default::default());
    let profiler = configure(builder).build().unwrap();
    // What comes is counted under this version.
    profiler.deploy("8c1f", "erika", "new search");
    profiler.flush(SOON);
    for _ in 0..3 {
        let request = profiler.begin(&Facts::web("GET", "/listing/7"));
        request.set_route("/listing/{id}");
        request.set_visitor("7");
        request.run(|| {
            ioprofiler::span("memcache_get", "keys").hits(3).misses(1);
            ioprofiler::span("dbshard01", "SELECT 1").end(Outcome::Error);
            ioprofiler::span("dbshard01", "SELECT 2").end(Outcome::Cancelled);
            let _ = request.flag("new_search");
            request.dark("new_ranking", || Err::<(), ()>(()));
        });
        request.finish(200, 5_120);
    }
    profiler.begin(&Facts::job("newsletter")).finish(0, 0);
    profiler.count("registrations;plan=pro", 1);
    profiler.gauge("queue.length", 17.0);
    profiler.timing("mail.sent", Duration::from_millis(30));
    profiler.flush(SOON);
    profiler
}

#[test]
fn each_documented_series_is_there_with_its_labels_and_no_other() {
    let folder = Folder::new("series");
    let carbon = Carbon::default().start();
    let profiler = busy(&folder, |builder| builder.send_to(Graphite::to(carbon)));
    let mut missing: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    for series in profiler.series() {
        for sample in &series.samples {
            let Name::Known(metric) = &sample.name else {
                let own = ["registrations", "queue.length", "mail.sent"];
                assert!(own.contains(&sample.name.as_str()), "{sample:?}");
                continue;
            };
            let name = metric.name;
            missing.remove(name);
            let labels: Vec<&str> = sample.labels.iter().map(|(label, _)| &**label).collect();
            assert_eq!(labels, metric.labels, "{name}");
            let kind = match sample.value {
                Value::Counter(_) => SeriesKind::Counter,
                Value::Gauge { .. } => SeriesKind::Gauge,
                _ => SeriesKind::Distribution,
            };
            assert_eq!(kind, metric.kind, "{name}");
        }
    }
    assert!(
        missing.is_empty(),
        "documented and never there: {missing:?}"
    );
    let first = table("# Every series");
    let names: Vec<&str> = first.iter().map(|row| in_ticks(&row[0])[0]).collect();
    assert_eq!(
        names,
        METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>()
    );
}

#[test]
fn prometheus_is_shown_what_the_list_says() {
    let folder = Folder::new("series");
    let carbon = Carbon::default().start();
    let configure =
        |builder: ProfilerBuilder| builder.worker("web-1").send_to(Graphite::to(carbon));
    let profiler = busy(&folder, configure);
    let scrape = profiler.prometheus("text/plain");
    // Each name with all labels that it was seen with.
    let mut shown: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let label = Regex::new(r#"([A-Za-z_]+)="((?:\\.|[^"\\])*)""#).unwrap();
    for line in scrape.body.lines().filter(|line| !line.starts_with('#')) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = label.captures_iter(labels).map(|found| found[1].to_owned());
        shown.entry(name.to_owned()).or_default().extend(labels);
    }
    let mut listed = BTreeSet::new();
    for (name, mut labels) in in_prometheus() {
        let seen = shown
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is never shown"));
        labels.insert("worker".to_owned());
        // Of the whole process, or of a version.
        let of_version = BTreeSet::from(["version".to_owned()]);
        assert!(
            *seen == labels || *seen == &labels | &of_version,
            "{name}: {seen:?} and not {labels:?}"
        );
        listed.insert(name);
    }
    listed.extend(["registrations_total", "queue_length"].map(str::to_owned));
    listed.extend(["_bucket", "_sum", "_count"].map(|ending| format!("mail_sent_seconds{ending}")));
    assert_eq!(shown.into_keys().collect::<BTreeSet<_>>(), listed);
}

/// The words in capitals of a listed name as what they stand for.
fn pattern(listed: &str) -> Regex {
    let word = Regex::new("[A-Z]{3,}").unwrap();
    let pattern = regex::escape(listed);
    let pattern = word.replace_all(&pattern, "[A-Za-z0-9_-]+");
    Regex::new(&format!("^{pattern}$")).unwrap()
}

/// Each name that is sent is listed, and each that is listed is sent.
fn compare(sent: &BTreeSet<String>, listed: &[String]) {
    let patterns: Vec<(&String, Regex)> = listed.iter().map(|name| (name, pattern(name))).collect();
    for name in sent {
        assert!(
            patterns.iter().any(|(_, pattern)| pattern.is_match(name)),
            "{name} is not listed"
        );
    }
    for (name, pattern) in patterns {
        assert!(
            sent.iter().any(|sent| pattern.is_match(sent)),
            "{name} is never sent"
        );
    }
}

#[test]
fn graphite_is_sent_what_the_list_says() {
    let folder = Folder::new("series");
    let carbon = Carbon::default();
    let address = carbon.start();
    let profiler = busy(&folder, |builder| {
        builder.worker("web-1").send_to(
            Graphite::to(address)
                .prefix("shop")
                .interval(Duration::from_secs(3_600)),
        )
    });
    // What became of the values themselves is in the next report.
    profiler.flush(SOON);
    profiler.shutdown(SOON);
    let beginning = Regex::new(r"^shop\.[A-Za-z0-9_-]+\.web-1\.").unwrap();
    let mut sent = BTreeSet::new();
    for name in carbon.series() {
        if name == "shop.events.deploy" {
            continue;
        }
        assert!(beginning.is_match(&name), "{name}");
        let name = beginning.replace(&name, "");
        let own = [
            ("registrations.pro", "COUNTER.VALUE"),
            ("queue.length", "GAUGE.VALUE"),
            ("mail.sent.", "TIMING.VALUE."),
        ];
        let own = own.into_iter().find(|(own, _)| name.starts_with(own));
        sent.insert(match own {
            Some((own, listed)) => name.replace(own, listed),
            None => name.into_owned(),
        });
    }
    let listed = names("## Names and numbers");
    let of_jobs = listed.iter().filter_map(|name| {
        name.strip_prefix("request.ROUTE.")
            .map(|last| format!("job.ROUTE.{last}"))
    });
    let of_all_jobs = listed.iter().filter_map(|name| {
        name.strip_prefix("request.all.")
            .map(|last| format!("job.all.{last}"))
    });
    compare(
        &sent,
        &listed
            .iter()
            .cloned()
            .chain(of_jobs)
            .chain(of_all_jobs)
            .collect::<Vec<_>>(),
    );
}

#[test]
fn graphite_with_tags_is_sent_what_the_list_says() {
    let folder = Folder::new("series");
    let carbon = Carbon::default();
    let address = carbon.start();
    let profiler = busy(&folder, |builder| {
        let graphite = Graphite::to(address).prefix("PREFIX").tags(true);
        builder
            .worker("web-1")
            .send_to(graphite.interval(Duration::from_secs(3_600)))
    });
    profiler.flush(SOON);
    profiler.shutdown(SOON);
    let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for series in carbon.series() {
        let (name, tags) = series.split_once(';').unwrap_or((&series, ""));
        let tags = tags.split(';').filter_map(|tag| tag.split_once('='));
        let tags = tags.map(|(tag, _)| tag.replace("plan", "LABEL"));
        let own = [
            ("registrations", "COUNTER"),
            ("queue.length", "GAUGE"),
            ("mail.sent", "TIMING"),
        ];
        let name = own
            .into_iter()
            .fold(name.to_owned(), |name, (own, listed)| {
                name.replace(own, listed)
            });
        sent.entry(name).or_default().extend(tags);
    }
    sent.remove("PREFIX.events.deploy");
    let mut listed = BTreeSet::new();
    for row in table("## Graphite with tags") {
        let name = in_ticks(&row[0])[0].to_owned();
        let seen = sent
            .get(&name)
            .unwrap_or_else(|| panic!("{name} is never sent"));
        let tags: BTreeSet<String> = row[1].split(", ").map(str::to_owned).collect();
        for tag in seen {
            assert!(
                tags.contains(tag) || tag == "worker",
                "{name} has the tag {tag}"
            );
        }
        for tag in tags {
            // Only some have a label of their own, and only some belong to a version.
            assert!(
                seen.contains(&tag) || ["LABEL", "version"].contains(&&*tag),
                "{name} lacks the tag {tag}"
            );
        }
        listed.insert(name);
    }
    assert_eq!(sent.into_keys().collect::<BTreeSet<_>>(), listed);
}

fn of_graphite(file: &str) -> String {
    std::fs::read_to_string(monitoring().join("graphite").join(file)).unwrap()
}

/// The sections of one of carbon's files: the pattern, and what is to be done by it.
fn sections(file: &str, key: &str) -> Vec<(Regex, String)> {
    let text = of_graphite(file);
    let value = |section: &str, key: &str| {
        let line = section
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key} = ")));
        line.unwrap_or_else(|| panic!("{file}: no {key} in {section}"))
            .to_owned()
    };
    let sections = text.split("\n[").skip(1);
    let sections = sections.map(|section| {
        (
            Regex::new(&value(section, "pattern")).unwrap(),
            value(section, key),
        )
    });
    sections.collect()
}

#[test]
fn carbon_is_told_how_to_keep_what_it_is_sent() {
    let aggregation = sections("storage-aggregation.conf", "aggregationMethod");
    let schemas = sections("storage-schemas.conf", "retentions");
    let of_names = names("## Names and numbers")
        .into_iter()
        .map(|name| format!("ioprofiler.web0022.{name}"));
    let of_tags = table("## Graphite with tags").into_iter().map(|row| {
        let name = in_ticks(&row[0])[0].replace("PREFIX", "ioprofiler");
        format!("{name};host=web0022;route=listing_id")
    });
    let counted = [
        "count",
        "errors",
        "aborted",
        "cancelled",
        "calls",
        "time",
        "bucket",
        "5ms",
        "hits",
        "misses",
    ];
    for name in of_names.chain(of_tags) {
        let name = name.replace("BOUND", "5ms");
        let last = name.split(';').next().unwrap().rsplit('.').next().unwrap();
        let expected = match last {
            last if counted.contains(&last) => "sum",
            "max" => "max",
            _ => "average",
        };
        // The first one that matches is taken.
        let found = aggregation
            .iter()
            .find(|(pattern, _)| pattern.is_match(&name));
        assert_eq!(found.map(|(_, method)| &**method), Some(expected), "{name}");
        assert!(schemas[0].0.is_match(&name), "{name}");
    }
    // As often as it is sent, or values are lost.
    assert!(schemas[0].1.starts_with("60s:"), "{}", schemas[0].1);
}

#[test]
fn graphs_of_graphite_draw_what_is_sent() {
    let listed = names("## Names and numbers");
    let path = Regex::new(r"ioprofiler\.[A-Za-z0-9_.*]+").unwrap();
    let is_drawn = |path: &str, listed: &str| {
        let (path, listed): (Vec<_>, Vec<_>) =
            (path.split('.').collect(), listed.split('.').collect());
        let mut parts = path.iter().zip(&listed);
        let is_value = |part: &str| part.bytes().all(|byte| byte.is_ascii_uppercase());
        path.len() == listed.len()
            && parts.all(|(asked, part)| asked == part || *asked == "*" || is_value(part))
    };
    let text = of_graphite("graphs.txt");
    let graphs: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("/render?"))
        .collect();
    assert!(graphs.len() > 10);
    for graph in graphs {
        let targets = graph.split("&target=").skip(1);
        assert_eq!(
            graph.matches('(').count(),
            graph.matches(')').count(),
            "{graph}"
        );
        for target in targets {
            let found = path
                .find(target)
                .unwrap_or_else(|| panic!("{target} draws nothing"));
            let drawn = found.as_str();
            let name = drawn.strip_prefix("ioprofiler.*.").unwrap_or(drawn);
            let is_listed = listed.iter().any(|listed| is_drawn(name, listed));
            assert!(
                is_listed || name == "ioprofiler.events.deploy",
                "{name} is never sent"
            );
        }
    }
}
