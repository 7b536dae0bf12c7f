//! Sinks that send by HTTP, in children that are forked while the parent's are at it: each child
//! sends what is its own, once, and is done before its alarm rings.
#![cfg(all(target_os = "linux", feature = "otlp", feature = "webhook"))]

use ioprofiler::sinks::{Otlp, Webhook};
use ioprofiler::{Event, EventKind, Facts, Profiler};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);
const CHILDREN: u32 = 200;

fn answer(mut stream: TcpStream, bodies: &Mutex<Vec<String>>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))?;
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1)?;
    let body = String::from_utf8(body).unwrap();
    bodies.lock().unwrap().push(format!("{path} {body}"));
    stream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .ok()
}

fn event(name: &str) -> Event {
    Event::new(EventKind::Own, name)
}

/// What a child does; gives its exit status.
fn child(profiler: &Profiler, number: u32) -> i32 {
    // SAFETY: the alarm ends the child where it hangs.
    unsafe { libc::alarm(20) };
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    profiler.event(event(&format!("child-{number}.")));
    let deadline = Instant::now() + SOON;
    while !profiler.flush(SOON) && Instant::now() < deadline {}
    let sinks = profiler.stats().sinks;
    let sent = sinks.iter().all(|sink| (sink.sent, sink.dropped) == (1, 0));
    i32::from(!sent)
}

#[test]
fn children_send_what_is_theirs() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&bodies);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, &taken);
        }
    });
    let profiler = Profiler::builder()
        .send_to(
            Otlp::to(&url)
                .metrics(false)
                .traces(false)
                .json(true)
                .gzip(false),
        )
        .send_to(Webhook::to(format!("{url}/hook")).at_most(600))
        .build()
        .unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let busy = {
        let (profiler, ended) = (profiler.clone(), Arc::clone(&ended));
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                profiler.event(event("parent."));
                profiler.flush(Duration::from_millis(5));
            }
        })
    };
    for number in 0..CHILDREN {
        // SAFETY: the child runs `child` only, and ends itself.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let status = child(&profiler, number);
            // SAFETY: ends the child, and nothing of the parent's is cleaned up in it.
            unsafe { libc::_exit(status) };
        }
        let mut status = 0;
        // SAFETY: the pointer is to an integer of ours.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(status, 0, "child {number} hung or did not send");
    }
    ended.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    let bodies = bodies.lock().unwrap();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for body in bodies.iter() {
        let (path, body) = body.split_once(' ').unwrap();
        for number in 0..CHILDREN {
            let found = body.contains(&format!("own child-{number}."));
            *counts.entry(format!("{path} {number}")).or_default() += usize::from(found);
        }
    }
    for number in 0..CHILDREN {
        for path in ["/v1/logs", "/hook"] {
            assert_eq!(counts[&format!("{path} {number}")], 1, "{path} {number}");
        }
    }
}
