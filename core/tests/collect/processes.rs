//! Several processes with one `state_dir`: they are one set of series, whoever is asked.
//!
//! Each process is this test binary, started with a part to play.

use super::*;
use ioprofiler::collect::state::{
    ProcessStatus, kept_requests, live_processes, merged_series, processes, show_kept,
};
use ioprofiler::sinks::Graphite;
use ioprofiler::{Facts, Profiler};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const PART: &str = "IOPROF_COLLECT_PART";
/// Where carbon would be, where it is to be sent to.
const CARBON: &str = "IOPROF_COLLECT_CARBON";

/// A process that does what it is told, a line each, and says when it is done.
struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, "")
    }

    fn start_with(folder: &Path, carbon: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(CARBON, carbon)
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
    let carbon = std::env::var(CARBON).unwrap();
    let mut builder = Profiler::builder().state_dir(folder);
    if !carbon.is_empty() {
        builder = builder.send_to(Graphite::to(&carbon));
    }
    let profiler = builder.build().unwrap();
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
            "end" => assert!(profiler.shutdown(SOON)),
            "count" => profiler.count("registrations", 1),
            "read" => {
                print!("{} ", requests(&profiler.series()));
            }
            other => panic!("{other}"),
        }
        let is_told = order != "end";
        // Nobody listens at carbon's: that is not waited for.
        if !carbon.is_empty() {
            profiler.flush(Duration::from_millis(500));
        } else if is_told {
            assert!(profiler.flush(SOON));
        }
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
fn each_process_says_how_it_is() {
    let folder = folder("status");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let carbon = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let mut workers = [&carbon, "", ""].map(|carbon| Worker::start_with(&folder, carbon));
    let ids: Vec<u32> = workers.iter().map(|worker| worker.child.id()).collect();
    let all = || processes(&folder).unwrap();
    let find = |which: usize| all().into_iter().find(|status| status.pid == ids[which]);
    let of = |which: usize| find(which).unwrap_or_else(|| panic!("{which} of {:?}", all()));
    let sums = |status: &ProcessStatus| {
        let recent = status.recent.iter();
        recent.fold((0, 0), |(requests, failed), recent| {
            (requests + recent.requests, failed + recent.failed)
        })
    };
    workers[0].order("serve 3");
    workers[0].order("fail");
    // It does not wait until carbon is there, so it is waited for.
    let begun = std::time::Instant::now();
    let is_told = |status: &ProcessStatus| sums(status) == (4, 1) && status.sinks[0].failures > 0;
    while !find(0).is_some_and(|status| is_told(&status)) {
        assert!(begun.elapsed() < 6 * SOON, "{:?}", all());
        std::thread::sleep(Duration::from_millis(20));
    }
    workers[1].order("serve 2");
    workers[2].order("serve 1");
    assert_eq!((all().len(), all().passed_over), (3, 0));
    let first = of(0);
    assert!(first.running && first.leads && first.by_thread && !first.ended);
    assert!(first.memory > Some(1 << 20) && first.at >= first.since);
    let keeps = first.keeps.unwrap();
    assert_eq!(
        (keeps.slowest, keeps.errors, keeps.during_s),
        (5, 5, 15 * 60)
    );
    let sink = &first.sinks[0];
    assert_eq!((&*sink.name, sink.sent, sink.sent_at), ("graphite", 0, 0));
    assert!(sink.failures > 0 && sink.failed_at >= first.since);
    assert!(sink.why.contains("refused"), "{sink:?}");
    assert!(of(1).running && !of(1).leads);

    workers[1].order("hang");
    workers[1].order("end");
    assert!(!of(1).running && of(1).ended, "it said so");
    let live = live_processes(&folder).unwrap();
    let left = live.iter().find(|process| process.pid == ids[1]).unwrap();
    assert!(left.ended && !left.running && left.live == 1, "{left:?}");
    let [first, _, third] = workers;
    third.kill();
    assert!(!of(2).running && !of(2).ended, "it could not");
    drop(first);
    // What the dead left is not in the way of those who begin.
    let mut anew = Worker::start(&folder);
    anew.order("serve 1");
    assert_eq!(all().len(), 4);
    assert!(
        all()
            .iter()
            .all(|s| s.leads == (s.pid == anew.child.id()) || s.pid == ids[0])
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn who_is_scraped_often_says_how_it_is_all_the_same() {
    alone(
        "processes::who_is_scraped_often_says_how_it_is_all_the_same",
        scrape_often,
    );
}

fn scrape_often() {
    let folder = folder("scraped_often");
    let profiler = Profiler::builder().state_dir(&folder).build().unwrap();
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    assert!(profiler.flush(SOON));
    let said = || processes(&folder).unwrap()[0].at;
    let first = said();
    // Each scrape tells what was counted, so nothing of that is ever left to be told by a turn.
    let begun = std::time::Instant::now();
    while said() == first {
        assert!(begun.elapsed() < 2 * SOON, "nothing was said since {first}");
        profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
        drop(profiler.series());
        std::thread::sleep(Duration::from_millis(50));
    }
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
    // What is no kept request is counted and passed over.
    for (name, text) in [
        ("half.json", "{\"kept\":{\"id\":\"x\""),
        ("other.json", "{}"),
        ("notes", ""),
        ("a.json.1.new", "{"),
    ] {
        std::fs::write(folder.join("kept").join(name), text).unwrap();
    }
    let again = kept_requests(&folder).unwrap();
    assert_eq!((again.len(), again.passed_over), (3, 3));
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

#[test]
fn without_a_thread_each_request_is_told_at_once() {
    let folder = folder("threadless");
    let profiler = Profiler::builder()
        .state_dir(&folder)
        .threadless(true)
        .build()
        .unwrap();
    for number in 1..=3 {
        profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
        // After an answer, as PHP does. Long enough apart that telling is no burden, however long it
        // takes on a machine that is busy.
        let begun = std::time::Instant::now();
        assert!(profiler.flush(SOON));
        std::thread::sleep(Duration::from_millis(300).max(25 * begun.elapsed()));
        if number > 1 {
            assert_eq!(requests(&merged_series(&folder)), number);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
}
