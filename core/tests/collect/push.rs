//! What is sent to servers of lines and of datagrams: all of it or what is counted as dropped, whoever
//! is killed when, and nobody is held up.

use super::*;
use ioprofiler::sinks::{Ganglia, Graphite, Statsd, StatsdDialect};
use ioprofiler::{Facts, Profiler, SinkStats};
use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

const EACH: Duration = Duration::from_secs(1);

/// A server that takes the lines of connections that were ended, and none of those that it was killed
/// in the middle of.
struct Lines {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<String>>>,
    killed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Lines {
    fn new() -> Self {
        let mut lines = Self {
            address: ([127, 0, 0, 1], 0).into(),
            taken: Arc::default(),
            killed: Arc::default(),
            thread: None,
        };
        lines.start();
        lines
    }

    fn start(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        self.address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        self.killed = Arc::default();
        let (taken, killed) = (Arc::clone(&self.taken), Arc::clone(&self.killed));
        self.thread = Some(std::thread::spawn(move || {
            while !killed.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => take(stream, &taken, &killed),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        }));
    }

    fn kill(&mut self) {
        self.killed.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    fn taken(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.kill();
    }
}

fn take(mut stream: TcpStream, taken: &Mutex<Vec<String>>, killed: &AtomicBool) {
    stream
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    stream.set_nonblocking(false).unwrap();
    let (mut all, mut piece) = (Vec::new(), [0; 512]);
    while !killed.load(Ordering::Relaxed) {
        match stream.read(&mut piece) {
            Ok(0) => {
                let text = String::from_utf8(all).unwrap();
                let lines = text.lines().map(str::to_owned);
                taken.lock().unwrap().extend(lines);
                return;
            }
            Ok(read) => all.extend_from_slice(&piece[..read]),
            Err(error) => assert!(
                matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ),
                "{error}"
            ),
        }
    }
    // As a machine that crashes: nobody is told that this was the end.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
}

fn sink(profiler: &Profiler) -> SinkStats {
    profiler.stats().sinks[0].clone()
}

fn page(profiler: &Profiler) {
    let request = profiler.begin(&Facts::web("GET", "/"));
    request.set_route("/");
    request.finish(200, 0);
}

/// The values of a series by time, those that came last.
fn values(lines: &[String], end: &str) -> BTreeMap<u64, f64> {
    let mut values = BTreeMap::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, value, at] = words[..] else {
            panic!("{line:?}")
        };
        if name.ends_with(end) {
            values.insert(at.parse().unwrap(), value.parse().unwrap());
        }
    }
    values
}

#[test]
fn a_server_that_is_killed_again_and_again_gets_everything_once() {
    let mut server = Lines::new();
    let to = Graphite::to(server.address.to_string()).interval(EACH);
    let profiler = Profiler::builder()
        .worker("w1")
        .send_to(to)
        .build()
        .unwrap();
    let (stopped, counted) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stopped.load(Ordering::Relaxed) {
                page(&profiler);
                profiler.count("registrations", 1);
                counted.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        for round in 0..12 {
            // Whoever flushes while it is gone waits no longer than it wants to.
            let _ = profiler.flush(Duration::from_millis(30));
            std::thread::sleep(Duration::from_millis(37 * round));
            server.kill();
            let _ = profiler.flush(Duration::from_millis(30));
            server.start();
        }
        stopped.store(true, Ordering::Relaxed);
    });
    assert!(profiler.flush(SOON), "{:?}", sink(&profiler));
    let (sink, taken) = (sink(&profiler), server.taken());
    assert_eq!((sink.sent, sink.dropped), (sink.produced, 0), "{sink:?}");
    assert!(sink.failures > 0, "it was never missed: {sink:?}");
    assert_eq!(taken.len() as u64, sink.sent);
    let total = counted.load(Ordering::Relaxed) as f64;
    for name in ["w1.registrations.count", "w1.request.root.count"] {
        let values = values(&taken, name);
        assert_eq!(values.values().sum::<f64>(), total, "{name} {values:?}");
    }
}

#[test]
fn who_flushes_waits_as_long_as_he_said_for_a_server_that_is_slow_to_come_back() {
    let mut lines = Lines::new();
    lines.kill();
    let profiler = Profiler::builder()
        .send_to(Graphite::to(lines.address.to_string()).interval(EACH))
        .build()
        .unwrap();
    page(&profiler);
    let flushes = profiler.clone();
    let flusher = std::thread::spawn(move || flushes.flush(Duration::from_secs(30)));
    std::thread::sleep(Duration::from_secs(2));
    // Meanwhile pages are worked on.
    page(&profiler);
    let deadline = Instant::now() + Duration::from_secs(10);
    while profiler.stats().queued != 0 {
        assert!(Instant::now() < deadline, "nobody works on what ends");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!flusher.is_finished(), "it was not waited for");
    lines.start();
    assert!(flusher.join().unwrap());
    assert!(sink(&profiler).sent > 0);
    assert!(!lines.taken().is_empty());
}

#[test]
fn what_is_too_much_for_a_server_that_is_gone_is_dropped_and_counted() {
    let mut server = Lines::new();
    server.kill();
    let to = Graphite::to(server.address.to_string()).interval(EACH);
    let profiler = Profiler::builder()
        .worker("w1")
        .send_to(to)
        .build()
        .unwrap();
    for number in 0..1_500 {
        profiler.count(&format!("much.{number}.{}", "x".repeat(60)), 1);
    }
    while sink(&profiler).dropped == 0 || sink(&profiler).failures == 0 {
        assert!(!profiler.flush(Duration::from_millis(20)));
    }
    let before = sink(&profiler);
    assert_eq!(before.sent, 0, "{before:?}");
    assert!(before.why.contains("refused"), "{before:?}");
    server.start();
    assert!(profiler.flush(SOON), "{:?}", sink(&profiler));
    let (sink, taken) = (sink(&profiler), server.taken());
    assert_eq!(sink.sent + sink.dropped, sink.produced, "{sink:?}");
    assert_eq!(taken.len() as u64, sink.sent);
    // What waited was bounded.
    let bytes: usize = taken.iter().map(|line| line.len() + 1).sum();
    assert!((2 << 20..5 << 20).contains(&bytes), "{bytes}");
}

/// The part of a host that ends; in the test run itself there is nothing to play.
#[test]
fn part() {
    let Some(address) = std::env::var_os("IOPROF_PUSH_PART") else {
        return;
    };
    let address = address.into_string().unwrap();
    let profiler = Profiler::builder()
        .send_to(Graphite::to(&address))
        .send_to(Statsd::to(&address))
        .build()
        .unwrap();
    page(&profiler);
    profiler.count("registrations", 1);
    profiler.deploy("8c1f", "erika", "new search");
    assert!(!profiler.shutdown(Duration::from_millis(200)), "it hangs");
}

#[test]
fn a_host_that_ends_is_not_held_up_by_a_server_that_hangs() {
    // It accepts by itself, and nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "push::part", "--test-threads=1"])
        .env("IOPROF_PUSH_PART", address.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it was held up");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
    // Who did not hang got all of it.
    let all = received(&datagrams);
    let counter = all
        .iter()
        .any(|line| line == "ioprofiler.registrations:1|c");
    assert!(counter, "{all:?}");
}

/// The lines of all datagrams that have arrived.
fn received(socket: &UdpSocket) -> Vec<String> {
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut lines = Vec::new();
    let mut read = [0; 65_536];
    while let Ok(length) = socket.recv(&mut read) {
        let text = String::from_utf8_lossy(&read[..length]);
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

/// PHP's case: each request is flushed after its answer, and whoever flushes when it is time sends.
#[test]
fn without_a_thread_who_flushes_sends_what_is_due() {
    alone(
        "push::without_a_thread_who_flushes_sends_what_is_due",
        flush_without_a_thread,
    );
}

fn flush_without_a_thread() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = || server.local_addr().unwrap().to_string();
    let profiler = Profiler::builder()
        .threadless(true)
        .worker("w1")
        .send_to(Statsd::to(to()).interval(EACH))
        .send_to(Graphite::to(to()).udp(true).interval(EACH))
        .send_to(Ganglia::to(to()).interval(EACH))
        .build()
        .unwrap();
    let sent = || {
        profiler
            .stats()
            .sinks
            .iter()
            .map(|sink| sink.sent)
            .sum::<u64>()
    };
    let (mut served, mut quiet, mut reports) = (0_u64, 0, 0);
    let deadline = Instant::now() + Duration::from_secs(30);
    while reports < 3 {
        assert!(Instant::now() < deadline, "{:?}", profiler.stats().sinks);
        page(&profiler);
        served += 1;
        let before = sent();
        assert!(profiler.flush(Duration::ZERO));
        if sent() == before {
            quiet += 1;
        } else {
            reports += 1;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(quiet > 0, "each flush sends");
    // What was not due yet is sent at the end.
    assert!(profiler.shutdown(SOON));
    for sink in profiler.stats().sinks {
        assert_eq!((sink.sent, sink.dropped), (sink.produced, 0), "{sink:?}");
    }
    let lines = received(&server);
    let timings = lines
        .iter()
        .filter(|line| line.starts_with("ioprofiler.request.root:"));
    let weights = timings.map(|line| match line.split_once("|@") {
        Some((_, rate)) => (1.0 / rate.parse::<f64>().unwrap()) as u64,
        None => 1,
    });
    assert_eq!(weights.sum::<u64>(), served);
    let of_graphite: Vec<String> = lines
        .iter()
        .filter(|line| line.contains(".w1.request.root.count "))
        .cloned()
        .collect();
    let counts = values(&of_graphite, ".request.root.count");
    assert_eq!(counts.values().sum::<f64>(), served as f64);
    let names = lines.iter().filter(|line| line.contains("GROUP"));
    assert!(names.count() > 20, "Ganglia was told what its series are");
}

#[test]
fn without_a_thread_nothing_that_could_hang_is_taken() {
    let told = Profiler::builder()
        .threadless(true)
        .send_to(Graphite::to("carbon.example.com:2003"))
        .build()
        .unwrap_err();
    assert_eq!(
        told.to_string(),
        "graphite: a profiler without threads can only send datagrams (udp); \
         set a state_dir and let another process send, or use udp"
    );
}

#[test]
fn wrong_options_fail_at_start() {
    let told = |to: ioprofiler::sinks::Destination| {
        let built = Profiler::builder().send_to(to).build();
        built.unwrap_err().to_string()
    };
    for (to, begins) in [
        (
            Graphite::to("carbon").into(),
            "graphite.address: \"carbon\" is no HOST:PORT",
        ),
        (
            Statsd::to("statsd:8125").max_datagram(1).into(),
            "statsd.max_datagram: 1 is not",
        ),
        (
            Ganglia::to("gmond:8649").ttl(0).into(),
            "ganglia.ttl: 0 is not between",
        ),
    ] {
        let told = told(to);
        assert!(told.starts_with(begins), "{told}");
    }
}

/// A line that no datagram has room for is dropped and counted; the others arrive.
#[test]
fn a_line_that_is_too_long_is_dropped_and_counted() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = Statsd::to(server.local_addr().unwrap().to_string())
        .dialect(StatsdDialect::Dogstatsd)
        .calls_by_route(true)
        .max_datagram(256);
    let profiler = Profiler::builder().send_to(to).build().unwrap();
    let request = profiler.begin(&Facts::job(&"j".repeat(300)));
    request.run(|| drop(ioprofiler::span("c".repeat(100).as_str(), "x")));
    request.finish(0, 0);
    profiler.count("short", 5);
    assert!(profiler.flush(SOON));
    let sink = sink(&profiler);
    assert!(sink.dropped > 0, "{sink:?}");
    assert_eq!(sink.sent + sink.dropped, sink.produced, "{sink:?}");
    assert!(
        sink.why.contains("is longer than the 256 bytes"),
        "{sink:?}"
    );
    let lines = received(&server);
    assert!(
        lines.iter().any(|line| line == "ioprofiler.short:5|c"),
        "{lines:?}"
    );
    let mut counts: HashMap<bool, u64> = HashMap::new();
    for line in &lines {
        *counts.entry(line.len() < 256).or_default() += 1;
    }
    assert_eq!(counts.get(&false), None, "{lines:?}");
}
