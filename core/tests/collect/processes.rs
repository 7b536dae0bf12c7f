//! Several processes with one `state_dir`: they are one set of series, whoever is asked.
//!
//! Each process is this test binary, started with a part to play.

use super::*;
use ioprofiler::collect::state::{kept_requests, live_processes, merged_series, show_kept};
use ioprofiler::{Facts, Profiler};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const PART: &str = "IOPROF_COLLECT_PART";

/// A process that does what it is told, a line each, and says when it is done.
struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "processes::part",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(PART, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut worker = Self {
            child,
            orders,
            answers,
        };
        worker.wait_for("ready");
        worker
    }

    fn wait_for(&mut self, word: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the worker ended before it said {word:?}");
            if line.contains(word) {
                return line;
            }
        }
    }

    fn order(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.wait_for("done")
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part of a worker; in the test run itself there is nothing to play.
#[test]
fn part() {
    let Some(folder) = std::env::var_os(PART) else {
        return;
    };
    let profiler = Profiler::builder().state_dir(folder).build().unwrap();
    println!("ready");
    let mut open = Vec::new();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let mut words = order.split(' ');
        match words.next().unwrap() {
            "serve" => {
                for _ in 0..words.next().unwrap().parse::<u32>().unwrap() {
                    let request = profiler.begin(&Facts::web("GET", "/listing/7"));
                    request.set_route("/listing/{id}");
                    request.run(|| drop(ioprofiler::span("dbshard01", "SELECT 7")));
                    request.finish(200, 0);
                }
            }
            "fail" => {
                let facts = Facts::web("GET", "/broken?x").id("../../the id");
                profiler.begin(&facts).finish(500, 0);
            }
            "hang" => {
                let request = profiler.begin(&Facts::web("GET", "/slow").id("4bf92f35"));
                request.set_route("/slow");
                request.run(|| {
                    std::mem::forget(ioprofiler::span(
                        "dbshard02",
                        "SELECT * FROM t WHERE id = 7",
                    ));
                });
                open.push(request);
                std::thread::sleep(Duration::from_millis(1_600));
            }
            "deploy" => profiler.deploy(words.next().unwrap(), "erika", "new search"),
            "count" => profiler.count("registrations", 1),
            "read" => {
                print!("{} ", requests(&profiler.series()));
            }
            other => panic!("{other}"),
        }
        assert!(profiler.flush(SOON));
        println!("done");
    }
}

fn requests(series: &[Series]) -> u64 {
    let counts = samples(series).filter_map(|sample| match &sample.value {
        Value::Distribution(counted) if sample.name.as_str() == "request.duration" => {
            Some(counted.count)
        }
        _ => None,
    });
    counts.sum()
}

fn read(worker: &mut Worker) -> u64 {
    let line = worker.order("read");
    line.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn they_are_one_set_of_series_also_when_some_were_killed() {
    let folder = folder("one");
    let mut workers: Vec<Worker> = (0..4).map(|_| Worker::start(&folder)).collect();
    for (number, worker) in workers.iter_mut().enumerate() {
        worker.order(&format!("serve {}", number + 1));
        worker.order("count");
    }
    for worker in &mut workers {
        assert_eq!(read(worker), 10, "whoever is asked");
    }
    let series = merged_series(&folder);
    assert_eq!(requests(&series), 10);
    assert_eq!(counter(&series, "registrations", &[]), 4);
    assert_eq!(gauge(&series, "process.live", &[]), 4.0);

    workers.remove(3).kill();
    workers.remove(0).kill();
    let series = merged_series(&folder);
    assert_eq!(requests(&series), 10, "what they counted stays");
    assert_eq!(
        gauge(&series, "process.live", &[]),
        2.0,
        "what they had does not"
    );

    // Whoever leads takes them in; sums never go back meanwhile.
    for _ in 0..20 {
        for worker in &mut workers {
            worker.order("serve 1");
        }
        let first = read(&mut workers[0]);
        assert!(read(&mut workers[1]) >= first);
    }
    assert_eq!(requests(&merged_series(&folder)), 50);
    drop(workers);
    // All new, as after a deploy.
    let mut anew = Worker::start(&folder);
    assert_eq!(read(&mut anew), 50);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_killed_worker_was_in_can_be_seen() {
    let folder = folder("live");
    let mut worker = Worker::start(&folder);
    worker.order("serve 3");
    worker.order("hang");
    let seen = |running: bool| {
        let processes = live_processes(&folder).unwrap();
        let [process] = &processes[..] else {
            panic!("{processes:?}")
        };
        assert_eq!((process.running, process.live), (running, 1));
        let request = &process.requests[0];
        assert_eq!((&*request.id, &*request.route), ("4bf92f35", "/slow"));
        assert!(request.age_ns > 0);
        let call = &request.open[0];
        assert_eq!(call.category, "dbshard02");
        assert_eq!(call.detail, "SELECT * FROM t WHERE id = ?");
    };
    seen(true);
    worker.kill();
    seen(false);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn kept_requests_are_found_by_any_id() {
    let folder = folder("kept");
    let mut worker = Worker::start(&folder);
    worker.order("serve 2");
    worker.order("fail");
    let kept = kept_requests(&folder).unwrap();
    assert_eq!(kept.len(), 3, "{kept:?}");
    let failed = kept.iter().find(|kept| kept.reason == "error").unwrap();
    assert_eq!((&*failed.id, failed.status), ("../../the id", Some(500)));
    let text = show_kept(&folder, "../../the id", false).unwrap();
    assert!(text.contains("TOTAL PAGE EXEC"), "{text}");
    let json = show_kept(&folder, &kept[0].id, true).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["format"], "ioprofiler.profile");
    assert_eq!(show_kept(&folder, "never", true), None);
    // Nothing was written beside the folder.
    assert!(!folder.join("the id.json").exists());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_deploy_of_one_is_the_version_of_all() {
    let folder = folder("deploy");
    let mut workers: Vec<Worker> = (0..2).map(|_| Worker::start(&folder)).collect();
    workers[0].order("deploy 8c1f");
    for worker in &mut workers {
        worker.order("serve 1");
        worker.order("serve 1");
    }
    let series = merged_series(&folder);
    let of = |version: &str| {
        let found = series
            .iter()
            .filter(|series| series.version.as_deref() == Some(version));
        requests(&found.cloned().collect::<Vec<_>>())
    };
    assert!(of("8c1f") >= 3, "{series:?}");
    assert_eq!(requests(&series), 4);
    workers[1].order("deploy 8c1f");
    let events = ioprofiler::collect::events_since(&folder, 0).unwrap();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].to_string(), "deploy 8c1f: new search, by erika");
    std::fs::remove_dir_all(folder).unwrap();
}
