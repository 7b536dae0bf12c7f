//! `ioprofiler top`: what every worker is in.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::worker::Worker;
use super::*;

#[test]
fn what_every_worker_is_in_the_oldest_first() {
    let folder = Folder::new("top");
    let mut workers: Vec<Worker> = (0..4).map(|_| Worker::start(&folder.state())).collect();
    for worker in &mut workers {
        worker.order("serve 1 / 200 1");
    }
    workers[2].order("hang 4bf92f35 /listing/{id} dbshard02");
    workers[0]
        .order("wait 300")
        .order("hang 77a1 /search dbshard02 ");
    workers[0].order("wait 1100");
    let text = folder.out("top");
    let lines: Vec<&str> = text.lines().collect();
    let head = "2 requests in 2 of 4 workers, the oldest for ";
    assert!(
        lines[0].starts_with(head) && lines[0].ends_with(" s"),
        "{text}"
    );
    assert_eq!(lines[1], "2 in dbshard02");
    let columns: Vec<&str> = lines[3].split_whitespace().collect();
    assert_eq!(columns, ["PID", "AGE", "REQUEST", "ID", "IN"]);
    let sql = "s SELECT * FROM listings WHERE shop_id = ? AND title = ?";
    let first = [
        &workers[2].pid().to_string(),
        " s  GET /listing/{id}  4bf92f35  [dbshard02] ",
        sql,
    ];
    let second = [
        &workers[0].pid().to_string(),
        " s  GET /search        77a1      [dbshard02] ",
        sql,
    ];
    line_with(lines[4], &first);
    line_with(lines[5], &second);
    assert_eq!(*lines.last().unwrap(), "2 workers are idle");
    assert!(!text.contains("ring"), "a literal: {text}");

    let narrow = command(Some(&folder.state()))
        .env("COLUMNS", "80")
        .arg("top")
        .output()
        .unwrap();
    let narrow = out(&narrow);
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 80),
        "{narrow}"
    );
    line_with(
        &narrow,
        &[
            " s  GET /listing/{id}  [dbshard02] ",
            " s SELECT * FROM",
            "…",
        ],
    );

    let json = folder.json("top");
    assert_eq!(
        (&json["idle"], &json["passed_over"]),
        (&2.into(), &0.into())
    );
    let processes = json["processes"].as_array().unwrap();
    let busy = processes
        .iter()
        .find(|process| process["pid"] == workers[2].pid())
        .unwrap();
    assert_eq!(busy["state"], "running");
    let request = &busy["requests"][0];
    assert_eq!(
        (&request["id"], &request["route"]),
        (&"4bf92f35".into(), &"/listing/{id}".into())
    );
    let calls = request["open"].as_array().unwrap();
    let categories: Vec<&Value> = calls.iter().map(|call| &call["category"]).collect();
    assert_eq!(categories, ["template", "dbshard02"]);
    assert!(request["age_ns"].as_u64().unwrap() >= calls[1]["age_ns"].as_u64().unwrap());
}

#[test]
fn a_worker_that_was_killed_is_marked_and_what_it_was_in_stays() {
    let folder = Folder::new("killed");
    let mut workers = [(); 3].map(|()| Worker::start(&folder.state()));
    for worker in &mut workers {
        worker.order("serve 1 / 200 1");
    }
    workers[0].order("hang 4bf92f35 /listing/{id} dbshard02");
    workers[1].order("hang 77a1 /search memcache_get");
    workers[1].order("wait 1100").order("end");
    let [killed, ended, _idle] = workers;
    let (killed_pid, ended_pid) = (killed.pid().to_string(), ended.pid().to_string());
    killed.kill();
    let text = folder.out("top");
    assert!(text.starts_with("1 worker idle; 1 killed\n"), "{text}");
    line_with(
        &text,
        &[
            &killed_pid,
            "GET /listing/{id}  4bf92f35  killed ",
            " s ago in [dbshard02] ",
            "SELECT",
        ],
    );
    line_with(
        &text,
        &[
            &ended_pid,
            "GET /search",
            "ended ",
            " s ago in [memcache_get] ",
        ],
    );
    let json = folder.json("top");
    let states: Vec<&str> = json["processes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|process| process["state"].as_str().unwrap())
        .collect();
    assert_eq!(states.len(), 3);
    assert!(
        states.contains(&"killed") && states.contains(&"ended"),
        "{states:?}"
    );

    // Of one request in flight the page is the whole answer, of whatever time it is.
    std::thread::sleep(Duration::from_millis(1_100));
    let text = folder.out("top --since 1s");
    assert_eq!(text, "1 worker idle\n");
}

#[test]
fn a_worker_that_is_stopped_is_seen_to_be_silent() {
    let folder = Folder::new("silent");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    worker.order("hang 4bf92f35 /listing/{id} dbshard02");
    worker.signal("STOP");
    let text = folder.until("top", "silent", |said| said.contains("silent for "));
    line_with(&text, &["4bf92f35  silent for ", " s; [dbshard02] "]);
    worker.signal("CONT");
    folder.until("top", "running", |said| !said.contains("silent for "));
}

#[test]
fn into_a_pipe_it_prints_once_or_as_often_as_it_is_told() {
    let folder = Folder::new("pipe");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    assert_eq!(folder.out("top"), "1 worker idle\n");
    assert_eq!(folder.out("top --once"), "1 worker idle\n");
    for (more, wanted) in [("", "1 worker idle"), ("--json", "\"idle\":1")] {
        let mut child = command(Some(&folder.state()))
            .args(["top", "--every", "1s"])
            .args(more.split_whitespace())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let looks = lines
            .map(Result::unwrap)
            .filter(|line| line.contains(wanted));
        assert_eq!(looks.take(2).count(), 2);
        // Its reader has left: it ends by itself.
        assert!(child.wait().unwrap().success());
    }
    let output = folder.run("top --once --every 2s");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn nobody_is_a_no() {
    let folder = Folder::new("nobody");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1").order("end");
    let output = folder.run("top");
    assert_eq!(
        (output.status.code(), &*out(&output)),
        (Some(1), "no worker runs\n")
    );
}
