//! What other people's parsers say of it: those of Prometheus' client for Python, of both formats, and
//! `promtool`.

use super::shop::{HOSTILE, carbon, folder, load};
use super::{OPEN, skipped, start};
use ioprofiler_tests::servers::{program, python_with, says};
use ioprofiler_tests::shop::Answer;
use std::process::Command;
use std::time::Duration;

/// Reads a scrape strictly, and says what it found as JSON: families, and each series.
const READ: &str = r#"
import json, sys
if sys.argv[1] == "open":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
else:
    from prometheus_client.parser import text_string_to_metric_families as read
text = sys.stdin.buffer.read().decode("utf-8")
families = [[f.name, f.type, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]] for f in read(text)]
names = [name for name, *_ in families]
assert len(names) == len(set(names)), "a family twice"
series = [(name, tuple(sorted(labels.items()))) for *_, samples in families for name, labels, _ in samples]
assert len(series) == len(set(series)), "a series twice"
print(json.dumps(families))
"#;

/// Scrapes of four processes, in both formats, after a load.
fn scrapes(hostile: bool) -> Vec<(&'static str, Answer)> {
    let folder = folder(carbon());
    let workers = start(&folder, 4);
    let _ = load(&workers, 4, 100);
    let _ = workers.get("/deploy", "");
    if hostile {
        for _ in 0..4 {
            let answer = workers.get("/hostile", "").unwrap();
            assert_eq!(answer.text(), "done");
        }
    }
    // What a process has counted it tells the others once a second.
    let last = if hostile {
        "route=\"xxx"
    } else {
        "route=\"/deploy\""
    };
    let scrape = |(name, headers)| loop {
        let scrape = workers.get("/metrics", headers).unwrap();
        if scrape.text().contains(last) {
            return (name, scrape);
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    [("text", ""), ("open", OPEN)].map(scrape).into()
}

/// The families of a scrape, as the client for Python reads them.
fn read(python: &std::path::Path, format: &str, scrape: &Answer) -> serde_json::Value {
    let mut command = Command::new(python);
    let (ended_well, said) = says(command.args(["-c", READ, format]), &scrape.text());
    assert!(ended_well, "{format}: {said}\n{}", scrape.text());
    serde_json::from_str(&said).unwrap()
}

/// The values of a label of a series, sorted.
fn values(families: &serde_json::Value, series: &str, label: &str) -> Vec<String> {
    let families = families.as_array().unwrap().iter();
    let samples = families.flat_map(|family| family[3].as_array().unwrap());
    let of_series = samples.filter(|sample| sample[0] == series);
    let labels = of_series.filter_map(|sample| sample[1][label].as_str().map(str::to_owned));
    let mut values: Vec<String> = labels.collect();
    values.sort();
    values.dedup();
    values
}

#[test]
fn the_client_for_python_reads_both_formats() {
    let Some(python) = python_with("prometheus_client") else {
        return skipped("prometheus_client");
    };
    for (format, scrape) in scrapes(false) {
        let families = read(&python, format, &scrape);
        let routes = values(
            &families,
            "ioprofiler_request_duration_seconds_count",
            "route",
        );
        assert_eq!(
            routes,
            [
                "/broken",
                "/deploy",
                "/job",
                "/listing/{id}",
                "/register",
                "newsletter"
            ]
        );
        let versions = values(
            &families,
            "ioprofiler_call_duration_seconds_bucket",
            "version",
        );
        assert_eq!(versions, ["8c1f"]);
        for family in families.as_array().unwrap() {
            let help = family[2].as_str().unwrap();
            assert!(help.ends_with('.') || help.ends_with('`'), "{family}");
            assert_ne!(family[1], "unknown", "{family}");
        }
    }
}

#[test]
fn hostile_names_leave_all_else_intact() {
    let Some(python) = python_with("prometheus_client") else {
        return skipped("prometheus_client");
    };
    for (format, scrape) in scrapes(true) {
        let families = read(&python, format, &scrape);
        let routes = values(
            &families,
            "ioprofiler_request_duration_seconds_count",
            "route",
        );
        for name in HOSTILE {
            let shown: String = name
                .chars()
                .map(|c| {
                    if c.is_control() && c != '\n' {
                        '\u{fffd}'
                    } else {
                        c
                    }
                })
                .collect();
            assert!(routes.contains(&shown), "{shown:?} is not in {routes:?}");
        }
        for route in ["/listing/{id}", "newsletter"] {
            assert!(routes.iter().any(|there| there == route), "{routes:?}");
        }
        let longest = routes.iter().map(|route| route.chars().count()).max();
        assert_eq!(longest, Some(257), "cut, and said so");
        let live = values(&families, "ioprofiler_request_live", "a");
        assert!(live.is_empty(), "forged: {live:?}");
        assert!(scrape.text().len() < 4 << 20);
    }
}

#[test]
fn promtool_finds_nothing_to_say() {
    let Some(promtool) = program("promtool") else {
        return skipped("promtool");
    };
    for (format, scrape) in scrapes(false) {
        if format == "text" {
            let mut check = Command::new(&promtool);
            let said = says(check.args(["check", "metrics"]), &scrape.text());
            assert_eq!(said, (true, String::new()), "{}", scrape.text());
        }
    }
    // Names of the application's own may not be to its taste, but it reads them.
    let (_, scrape) = scrapes(true).remove(0);
    let mut check = Command::new(&promtool);
    let (_, said) = says(check.args(["check", "metrics"]), &scrape.text());
    assert!(!said.contains("error while linting"), "{said}");
    for line in said.lines() {
        assert!(!line.starts_with("ioprofiler_"), "{line}");
    }
}
