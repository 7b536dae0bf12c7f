//! What an operator is given beside: rules, alerts, a dashboard. Each name in them is one that is shown,
//! each alert fires when it should, and each query has an answer from a real Prometheus that scrapes
//! four processes.

use super::shop::{carbon, folder, load};
use super::{skipped, start};
use ioprofiler_tests::listed::{in_prometheus, monitoring};
use ioprofiler_tests::servers::{Server, program, prometheus, says};
use ioprofiler_tests::shop::Answer;
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;
use std::time::{Duration, Instant};

fn text(file: &str) -> String {
    let path = monitoring().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn dashboard() -> Value {
    serde_json::from_str(&text("grafana/ioprofiler.json")).unwrap()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The dashboard's queries, each with where it stands.
fn dashboard_queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in list(&dashboard, "panels") {
        for target in list(panel, "targets") {
            queries.push((
                panel["title"].to_string(),
                target["expr"].as_str().unwrap().to_owned(),
            ));
        }
    }
    for annotation in list(&dashboard["annotations"], "list") {
        queries.push((
            annotation["name"].to_string(),
            annotation["expr"].as_str().unwrap().to_owned(),
        ));
    }
    let values = Regex::new(r"^label_values\((.*), [a-z]+\)$").unwrap();
    for variable in list(&dashboard["templating"], "list") {
        if let Some(query) = variable["query"]["query"].as_str() {
            let selector = values.captures(query).unwrap()[1].to_owned();
            queries.push((variable["name"].to_string(), selector));
        }
    }
    queries
}

/// A query as Grafana sends it.
fn filled_in(query: &str) -> String {
    let query = query
        .replace("$__rate_interval", "20s")
        .replace("$job", "shop");
    ["$instance", "$route", "$flag"]
        .iter()
        .fold(query, |query, variable| query.replace(variable, ".*"))
}

/// Names of the application's own in examples, of Prometheus itself, and of what rules record.
fn others() -> BTreeSet<String> {
    let rules = text("prometheus/ioprofiler.rules.yml");
    let recorded = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    let mut others: BTreeSet<String> = recorded.map(str::to_owned).collect();
    others.extend(["up", "registrations_total"].map(str::to_owned));
    others
}

/// Each series that a query names is shown, with the labels that it is asked by.
fn check_names(place: &str, query: &str) {
    let known = in_prometheus();
    let others = others();
    let series = Regex::new(r"([A-Za-z_:][A-Za-z0-9_:]*)(\{[^}]*\})?").unwrap();
    let label = Regex::new(r"([A-Za-z_]+) *(?:=~|!~|!=|=)").unwrap();
    let quoted = Regex::new(r#""(?:\\.|[^"\\])*""#).unwrap();
    let bare = quoted.replace_all(query, "\"\"");
    let mut named = 0;
    for found in series.captures_iter(&bare) {
        let name = &found[1];
        let is_series =
            name.starts_with("ioprofiler_") || name.contains(':') || name.ends_with("_total");
        if !is_series {
            continue;
        }
        named += 1;
        let labels = known.get(name);
        assert!(
            labels.is_some() || others.contains(name),
            "{place}: {name} is no series of ours"
        );
        let asked = found.get(2).map_or("", |labels| labels.as_str());
        for asked in label.captures_iter(asked) {
            let asked = &asked[1];
            let everywhere = ["job", "instance", "version", "worker"];
            let has_it = labels.is_none_or(|labels| labels.contains(asked));
            assert!(
                has_it || everywhere.contains(&asked),
                "{place}: {name} has no label {asked}"
            );
        }
    }
    assert!(named > 0, "{place} names nothing: {query}");
}

#[test]
fn rules_and_dashboard_name_only_what_is_shown() {
    for (place, query) in dashboard_queries() {
        check_names(&place, &query);
    }
    let rules = text("prometheus/ioprofiler.rules.yml");
    for rule in rules.split("      - ").skip(1) {
        let (title, rest) = rule.split_once('\n').unwrap();
        let (_, query) = rest.split_once("expr:").unwrap();
        let query = query.split("\n        for:").next().unwrap();
        let query = query.split("\n        labels:").next().unwrap();
        let query = query.split("\n      #").next().unwrap();
        let query = query.split("\n\n").next().unwrap();
        check_names(title, query);
    }
}

#[test]
fn the_dashboard_is_laid_out_and_explains_itself() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    let mut titles = BTreeSet::new();
    for panel in list(&dashboard, "panels") {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} lies over another panel");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(titles.insert(title), "{title} twice");
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|said| said.ends_with('.')),
            "{title}"
        );
        assert!(
            panel["fieldConfig"]["defaults"]["unit"].is_string(),
            "{title}"
        );
        assert!(!list(panel, "targets").is_empty(), "{title}");
        for target in list(panel, "targets") {
            let query = target["expr"].as_str().unwrap();
            assert!(
                query.contains("job=~\"$job\"") && query.contains("instance=~\"$instance\""),
                "{title}: {query}"
            );
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
}

#[test]
fn promtool_takes_rules_configuration_and_queries() {
    let Some(promtool) = program("promtool") else {
        return skipped("promtool");
    };
    let folder = monitoring().join("prometheus");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&promtool);
        let (ended_well, said) = says(command.args(arguments).current_dir(&folder), "");
        assert!(ended_well, "{arguments:?}: {said}");
    };
    run(&["check", "rules", "ioprofiler.rules.yml"]);
    run(&["check", "config", "prometheus.yml"]);
    run(&["test", "rules", "ioprofiler.test.yml", "business.test.yml"]);
    // The dashboard's queries, as a file of rules.
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, (_, query)) in dashboard_queries().into_iter().enumerate() {
        let query = serde_json::to_string(&filled_in(&query)).unwrap();
        rules.push_str(&format!(
            "      - record: query:{number}\n        expr: {query}\n"
        ));
    }
    let written = ioprofiler_tests::servers::Folder::new("dashboard");
    let file = written.file("dashboard.yml", &rules);
    run(&["check", "rules", file.to_str().unwrap()]);
}

#[test]
fn each_alert_is_seen_firing_and_not_firing() {
    let rules = text("prometheus/ioprofiler.rules.yml");
    let tests = text("prometheus/ioprofiler.test.yml") + &text("prometheus/business.test.yml");
    let alerts: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() >= 13, "{alerts:?}");
    for alert in alerts {
        let cases: Vec<&str> = tests
            .split("      - alertname: ")
            .filter(|case| case.lines().next() == Some(alert))
            .collect();
        assert!(
            cases.iter().any(|case| case.contains("exp_alerts: []")),
            "{alert} is never seen not to fire"
        );
        assert!(
            cases.iter().any(|case| case.contains("exp_labels:")),
            "{alert} is never seen firing"
        );
    }
}

/// What a Prometheus answers.
fn ask(server: &Server, path: &str) -> Value {
    let request = format!("GET {path} HTTP/1.1\r\nHost: prometheus\r\nConnection: close\r\n\r\n");
    let answer = Answer::of(&server.address(), request.as_bytes()).unwrap();
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// The values that a query has now.
fn query(server: &Server, query: &str) -> Vec<f64> {
    let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = ask(server, &format!("/api/v1/query?query={encoded}"));
    assert_ne!(answer["status"], "error", "{query}: {answer}");
    let results = list(&answer["data"], "result").iter();
    let value = |result: &Value| {
        result["value"][1]
            .as_str()
            .and_then(|value| value.parse().ok())
    };
    results.filter_map(value).collect()
}

/// Waits until something holds; says what it was instead.
fn wait<T: std::fmt::Debug>(mut look: impl FnMut() -> Result<(), T>) {
    let deadline = Instant::now() + Duration::from_secs(90);
    while let Err(found) = look() {
        assert!(Instant::now() < deadline, "{found:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_real_prometheus_sees_what_clients_counted_and_answers_each_query() {
    let folder = folder(carbon());
    let workers = start(&folder, 4);
    let rules = monitoring().join("prometheus/ioprofiler.rules.yml");
    let server = prometheus(|_| {
        format!(
            "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nrule_files: ['{}']\n\
             scrape_configs:\n  - job_name: shop\n    static_configs: [targets: ['{}']]\n",
            rules.display(),
            workers.address()
        )
    });
    let Some(server) = server else {
        return skipped("prometheus");
    };
    let _ = workers.get("/deploy", "");
    wait(|| match query(&server, "up{job='shop'}")[..] {
        [1.0] => Ok(()),
        ref other => Err(other.to_vec()),
    });
    // Each series twice at least, or no rate can be told.
    let mut told = load(&workers, 4, 40);
    wait(|| {
        match query(
            &server,
            "count_over_time(ioprofiler_sink_points_total[20s]) > 3",
        )
        .len()
        {
            0 => Err("too few scrapes"),
            _ => Ok(()),
        }
    });
    told.add(load(&workers, 4, 40));
    let sums = [
        (
            "ioprofiler_request_duration_seconds_count{route='/listing/{id}',status='200'}",
            told.listings(),
        ),
        (
            "ioprofiler_request_duration_seconds_bucket{route='/broken',status='500',le='+Inf'}",
            told.broken,
        ),
        (
            "ioprofiler_request_duration_seconds_count{kind='job',route='newsletter'}",
            told.jobs,
        ),
        (
            "ioprofiler_call_duration_seconds_count{route='/listing/{id}',category='dbshard01'}",
            2 * told.listings(),
        ),
        ("ioprofiler_call_hits_total", 3 * told.listings()),
        ("ioprofiler_call_misses_total", told.listings()),
        ("ioprofiler_call_errors_total", told.broken),
        (
            "ioprofiler_flag_request_duration_seconds_count{flag='new_search',variant='on'}",
            told.new,
        ),
        (
            "ioprofiler_flag_calls_total{flag='new_search',variant='on',category='solr'}",
            told.new,
        ),
        (
            "ioprofiler_dark_duration_seconds_count{flag='new_ranking'}",
            told.listings(),
        ),
        ("ioprofiler_dark_errors_total", told.failed_dark),
        ("registrations_total", told.registered),
        ("registrations_by_plan_total{plan='pro'}", told.pro),
        ("mail_sent_seconds_count", told.registered),
        ("queue_length", 17),
        ("ioprofiler_process_live", 4),
        ("ioprofiler_build_info{version='8c1f'}", 4),
    ];
    wait(|| {
        let found = sums.iter().map(|(series, expected)| {
            let found = query(&server, &format!("sum({series})"));
            (*series, found, vec![*expected as f64])
        });
        let wrong: Vec<_> = found
            .filter(|(_, found, expected)| found != expected)
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    });
    for name in in_prometheus().into_keys() {
        let only_grows = ["_total", "_count", "_sum", "_bucket"]
            .iter()
            .any(|ending| name.ends_with(ending));
        if only_grows {
            let resets = query(&server, &format!("sum(resets({name}[5m]))"));
            assert_eq!(resets, [0.0], "{name} went back");
        }
    }
    for (place, asked) in dashboard_queries() {
        let values = query(&server, &filled_in(&asked));
        let of_nothing = place == "\"Shed\"";
        assert!(
            values.is_empty() == of_nothing,
            "{place}: {asked}: {values:?}"
        );
    }
    // Names that try to break the exposition are read as what they are, and break nothing.
    assert_eq!(workers.get("/hostile", "").unwrap().text(), "done");
    // Before 3.0, a dot is no end of a line unless it is said.
    let forging = r#"{route=~"(?s:evil.*666.*)"}"#;
    for (selector, expected) in [
        (r#"{route="a\nb"}"#, 1.0),
        (forging, 1.0),
        (r#"{route="back\\slash"}"#, 1.0),
        (r#"{route="clay \u2028 é \ufffd 陶 \U0001f3fa"}"#, 1.0),
        (r#"{route="/listing/{id}"}"#, told.listings() as f64),
    ] {
        let series = format!("sum(ioprofiler_request_duration_seconds_count{selector})");
        wait(|| match query(&server, &series)[..] {
            [found] if found == expected => Ok(()),
            ref other => Err((series.clone(), other.to_vec())),
        });
    }
    assert_eq!(query(&server, "up"), [1.0]);
    let rules = ask(&server, "/api/v1/rules");
    for group in list(&rules["data"], "groups") {
        for rule in list(group, "rules") {
            assert_eq!(
                (&rule["health"], &rule["lastError"]),
                (&Value::from("ok"), &Value::Null),
                "{rule}"
            );
        }
    }
    let targets = ask(&server, "/api/v1/targets");
    assert_eq!(
        targets["data"]["activeTargets"][0]["lastError"], "",
        "{targets}"
    );
}
