//! A program with a `state_dir`: this test binary, started with a part to play.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use ioprofiler::sinks::Graphite;
use ioprofiler::{Event, EventKind, Facts, Profiler, Request};

const PART: &str = "IOPROF_STATE_PART";
/// Where carbon would be, where it is to be sent to.
const CARBON: &str = "IOPROF_STATE_CARBON";
const SOON: Duration = Duration::from_secs(10);

/// A process that does what it is told, a line each, and says when it is done.
pub(crate) struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(state_dir: &Path) -> Self {
        Self::start_with(state_dir, "")
    }

    pub(crate) fn start_with(state_dir: &Path, carbon: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker::part", "--nocapture", "--test-threads=1"])
            .env(PART, state_dir)
            .env(CARBON, carbon)
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

    fn wait_for(&mut self, word: &str) {
        loop {
            let mut line = String::new();
            let read = self.answers.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the worker ended before it said {word:?}");
            if line.contains(word) {
                return;
            }
        }
    }

    pub(crate) fn order(&mut self, order: &str) -> &mut Self {
        writeln!(self.orders, "{order}").unwrap();
        self.wait_for("done");
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn kill(mut self) {
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
    let folder = Path::new(&folder);
    let carbon = std::env::var(CARBON).unwrap();
    let mut builder = Profiler::builder()
        .state_dir(folder)
        .stuck_after(Duration::from_secs(60))
        .flags([folder.with_extension("toml")]);
    if !carbon.is_empty() {
        builder = builder.send_to(Graphite::to(&carbon));
    }
    let profiler = builder.build().unwrap();
    println!("ready");
    let mut open = Vec::new();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let words: Vec<&str> = order.split(' ').collect();
        obey(&profiler, &words, &mut open);
        // Nobody listens at carbon's: that is not waited for.
        if !carbon.is_empty() {
            profiler.flush(Duration::from_millis(500));
        } else if words[0] != "end" {
            assert!(profiler.flush(SOON));
        }
        println!("done");
    }
}

fn obey(profiler: &Profiler, words: &[&str], open: &mut Vec<Request>) {
    match *words {
        ["serve", count, route, status, ms] => {
            for _ in 0..count.parse::<u32>().unwrap() {
                let request = profiler.begin(&Facts::web("GET", "/7?secret"));
                request.set_route(route);
                request.run(|| {
                    let call = ioprofiler::span("dbshard01", "SELECT * FROM t WHERE name = 'ann'");
                    std::thread::sleep(Duration::from_millis(ms.parse().unwrap()));
                    drop(call);
                });
                request.finish(status.parse().unwrap(), 0);
            }
        }
        ["one", id, route] => {
            let request = profiler.begin(&Facts::web("GET", "/7").id(id));
            request.set_route(route);
            request.run(|| drop(ioprofiler::span("memcache_get", "listing:5773453")));
            request.finish(200, 0);
        }
        ["hang", id, route, category, ..] => {
            let request = profiler.begin(&Facts::web("GET", "/7").id(id));
            request.set_route(route);
            request.run(|| {
                std::mem::forget(ioprofiler::scope("template", "listing.html"));
                let sql = "SELECT * FROM listings WHERE shop_id = 7 AND title = 'a ring'";
                std::mem::forget(ioprofiler::span(category, sql));
            });
            open.push(request);
        }
        ["wait", ms] => std::thread::sleep(Duration::from_millis(ms.parse().unwrap())),
        ["hostile"] => {
            for state in [200, 500] {
                let request = profiler.begin(&Facts::web("G\x1bT", "/").id("\x1b[2Jid\u{9b}"));
                request.set_route("/\x1b]0;title\x07\u{202e}");
                request.run(|| std::mem::forget(ioprofiler::span("cat\x1b[1m", "\x1bcdetail")));
                if state == 500 {
                    request.finish(500, 0);
                } else {
                    open.push(request);
                }
            }
            let event = Event::new(EventKind::Own, "\x1b[2Jwhat").why("\u{9b}why\nline");
            profiler.event(event.who("\x07who"));
            profiler.count("own\x1b[1m;label=\x1b[2J", 1);
        }
        ["deploy", version] => profiler.deploy(version, "erika", "new search"),
        ["event", what] => profiler.event(Event::new(EventKind::Own, what)),
        ["count", name] => profiler.count(name, 1),
        ["end"] => assert!(profiler.shutdown(SOON)),
        _ => panic!("{words:?}"),
    }
}
