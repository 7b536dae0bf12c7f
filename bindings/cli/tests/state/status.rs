//! `ioprofiler status`: is it well? And `series`: everything that was counted.

use super::worker::Worker;
use super::*;

#[test]
fn one_page_says_that_it_is_well() {
    let folder = Folder::new("well");
    let mut workers = [(); 3].map(|()| Worker::start(&folder.state()));
    for worker in &mut workers {
        worker.order("serve 20 / 200 1");
    }
    workers[0].order("serve 1 / 500 1");
    workers[1]
        .order("hang 4bf92f35 /listing/{id} dbshard02")
        .order("wait 1100");
    let text = folder.out("status");
    assert!(text.starts_with("well at "), "{text}");
    line_with(
        &text,
        &["processes  3 run, the first for ", ", the last for "],
    );
    line_with(&text, &["memory     ", " MiB in 3 processes, "]);
    line_with(&text, &["requests   61 in the last minute, 1.6 % failed"]);
    line_with(&text, &["▁", "█ 15 minutes, at most 61 a minute"]);
    line_with(&text, &["           1 in flight, the oldest for ", " s"]);
    line_with(&text, &["queue      0 wait, 0 dropped"]);
    line_with(&text, &["sends      pid ", " would, but has no sinks"]);
    line_with(&text, &["flags      ", "; looked at ", " ago, changed "]);
    line_with(&text, &["           nothing is shed"]);
    line_with(&text, &["deploy     none was told"]);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let json = folder.json("status");
    assert_eq!(
        (&json["well"], &json["reasons"]),
        (&true.into(), &Value::Array(Vec::new()))
    );
    let requests = &json["requests"];
    assert_eq!(
        (&requests["last_minute"], &requests["failed"]),
        (&61.into(), &1.into())
    );
    assert_eq!(json["processes"].as_array().unwrap().len(), 3);
}

#[test]
fn or_why_it_is_not() {
    let folder = Folder::new("unwell");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let carbon = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let mut sender = Worker::start_with(&folder.state(), &carbon);
    sender.order("serve 1 / 200 1").order("deploy 8c1f");
    let mut workers = [(); 2].map(|()| Worker::start(&folder.state()));
    for worker in &mut workers {
        worker.order("serve 10 / 503 1");
        worker.order("hang 4bf92f35 /listing/{id} dbshard02");
    }
    workers[0].order("wait 1100");
    let [first, _second] = workers;
    let pid = first.pid();
    first.kill();
    let is_told = |said: &str| said.contains("cannot be sent to") && said.contains("failed ");
    let text = folder.until("status", "failing", is_told);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("not well at "), "{text}");
    assert_eq!(
        lines[1],
        "  1 worker was killed in a request in the last 15 min: ioprofiler top"
    );
    assert_eq!(
        lines[2],
        "  95.2 % of requests fail: ioprofiler slow --errors"
    );
    line_with(
        lines[3],
        &["  graphite cannot be sent to: ", &carbon, "refused"],
    );
    line_with(&text, &["processes  2 run, "]);
    line_with(&text, &["           1 ended ", " ago, without a word"]);
    line_with(
        &text,
        &[
            &format!("           pid {pid} was killed in a request "),
            " ago",
        ],
    );
    line_with(&text, &[&format!("sends      pid {}", sender.pid())]);
    line_with(
        &text,
        &[
            "           graphite: 0 sent, ",
            " dropped; failed ",
            " times, the last ",
            " ago",
        ],
    );
    let output = folder.run("status --json");
    assert_eq!(output.status.code(), Some(1));
    let json: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(
        (&json["well"], &json["killed"]),
        (&false.into(), &serde_json::json!([pid]))
    );
    assert_eq!(json["reasons"].as_array().unwrap().len(), 3);
    let sink = &json["processes"][0]["sinks"][0];
    assert_eq!(
        (&sink["name"], &sink["sent_at"]),
        (&"graphite".into(), &0.into())
    );
}

#[test]
fn a_stopped_process_and_shed_features_are_told() {
    let folder = Folder::new("stopped");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    let flags = folder.0.join("state.toml");
    let shed = command(Some(&folder.state()))
        .args(["flags", "shed", "7", "--reason", "db02 melts", "--file"])
        .arg(&flags)
        .output();
    assert!(shed.unwrap().status.success());
    let text = folder.until("status", "shed", |said| said.contains("are shed"));
    line_with(
        &text,
        &[
            "           priority 7 to 9 are shed, ",
            " ago by ann: db02 melts",
        ],
    );
    assert!(text.starts_with("well at "), "{text}");
    std::fs::write(&flags, "[flags.new_search]\nenabled = maybe\n").unwrap();
    let text = folder.until("status", "wrong", |said| said.starts_with("not well"));
    line_with(
        &text,
        &["  1 error in the files of the flags: ioprofiler flags status"],
    );
    worker.signal("STOP");
    let is_silent = |said: &str| said.contains("has said nothing for ");
    let text = folder.until("status", "silent", is_silent);
    line_with(
        &text,
        &[
            &format!("  pid {} has said nothing for ", worker.pid()),
            " s: stopped",
        ],
    );
    worker.signal("CONT");
    worker.kill();
    let output = folder.run("status");
    assert_eq!(output.status.code(), Some(1));
    let text = out(&output);
    line_with(&text, &["  no program with this state_dir runs"]);
    line_with(&text, &["processes  none runs"]);
    line_with(&text, &["sends      nobody"]);
}

#[test]
fn everything_that_was_counted_is_a_table() {
    let folder = Folder::new("series");
    let mut worker = Worker::start(&folder.state());
    worker
        .order("serve 3 /listing/{id} 200 2")
        .order("serve 1 /search 503 1");
    worker
        .order("count registrations;plan=pro")
        .order("count registrations;plan=pro");
    let text = folder.out("series");
    line_with(&text, &["of the processes, whatever their version, from "]);
    line_with(&text, &["request.duration, ms: Requests that ended, "]);
    line_with(
        &text,
        &[
            "KIND ROUTE METHOD STATUS OUTCOME",
            "COUNT",
            "MEAN",
            "P50",
            "P95",
            "P99",
            "MAX",
        ],
    );
    let row = line_with(&text, &["web /listing/{id} GET 200 ok"]);
    let figures: Vec<&str> = row.split_whitespace().skip(5).collect();
    assert_eq!((figures.len(), figures[0]), (6, "3"), "{row}");
    let mean: f64 = figures[1].parse().unwrap();
    assert!((2.0..1_000.0).contains(&mean), "{row}");
    line_with(&text, &["registrations"]);
    line_with(&text, &["plan=pro", "2"]);
    let part = folder.out("series request.dur");
    assert_eq!(
        part.lines().filter(|line| line.contains(": ")).count(),
        1,
        "{part}"
    );
    let json = folder.json("series registrations");
    let sample = &json["series"][0]["samples"][0];
    assert_eq!(
        sample,
        &serde_json::json!({"name": "registrations", "labels": {"plan": "pro"}, "count": 2})
    );
    assert_eq!(
        err(&folder.run("series nothing")),
        "nothing is called nothing\n"
    );
    assert_eq!(
        err(&folder.run("series reqest.duration")),
        "nothing is called reqest.duration; did you mean `request.duration`?\n"
    );
    // Those that ended are counted still.
    worker.kill();
    let json = folder.json("series request.duration");
    let samples = json["series"][0]["samples"].as_array().unwrap();
    let count: u64 = samples
        .iter()
        .map(|sample| sample["count"].as_u64().unwrap())
        .sum();
    assert_eq!(count, 4);
}
