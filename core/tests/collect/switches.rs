//! What a program does to itself, flags that it switches and deploys: an event each, sent once.

use super::*;
use ioprofiler::flags::{Document, Enabled, FlagSpec, Share, Shed, Snapshot, compile};
use ioprofiler::sinks::{Statsd, StatsdDialect};
use ioprofiler::{Profiler, ProfilerBuilder};
use std::net::UdpSocket;

fn flags(search: Enabled, shed: Option<u8>) -> Snapshot {
    let mut flag = FlagSpec::new("new_search");
    flag.enabled = search;
    let mut document = Document::default();
    document.flags.push(flag);
    document.shed = shed.map(Shed::from);
    compile(document)
}

fn percent(percent: u32) -> Enabled {
    Enabled::share(Share::percent(percent))
}

/// Events that have come, as the agent of Datadog is sent them.
fn told(socket: &UdpSocket) -> Vec<String> {
    let mut told = Vec::new();
    let mut datagram = [0; 2_048];
    while let Ok(length) = socket.recv(&mut datagram) {
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        let events = text.lines().filter(|line| line.starts_with("_e{"));
        told.extend(events.map(|line| line.split('|').nth(1).unwrap_or_default().to_owned()));
    }
    told
}

fn listener() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    socket
}

fn sending(to: &UdpSocket) -> ProfilerBuilder {
    let to = to.local_addr().unwrap().to_string();
    let statsd = Statsd::to(to).dialect(StatsdDialect::Dogstatsd);
    Profiler::builder().threadless(true).send_to(statsd)
}

#[test]
fn what_the_program_switches_is_told_once() {
    let socket = listener();
    let profiler = sending(&socket).build().unwrap();
    let flushed = || {
        assert!(profiler.flush(SOON));
        told(&socket)
    };
    // What it begins with was not switched.
    profiler.set_flags(flags(percent(10), None));
    assert_eq!(flushed(), [""; 0]);
    profiler
        .flags()
        .set_by(flags(Enabled::Off, Some(7)), "erika", "db02 melts");
    assert_eq!(
        flushed(),
        [
            "shed: none → 7, by erika (db02 melts)",
            "flag new_search: 10% → off, by erika (db02 melts)"
        ]
    );
    profiler.set_flags(flags(Enabled::Off, Some(7)));
    assert_eq!(flushed(), [""; 0]);
    let mut document = flags(Enabled::Off, None).document().clone();
    document.flags[0].groups.push(("staff".into(), "on".into()));
    document.flags.push(FlagSpec::new("cart"));
    profiler.set_flags(compile(document));
    assert_eq!(
        flushed(),
        [
            "shed: 7 → none",
            "flag cart: unknown → 0%",
            "flag new_search: off → off, other groups"
        ]
    );
    profiler.set_flags(flags(Enabled::Off, None));
    assert_eq!(
        flushed(),
        [
            "flag cart: 0% → unknown",
            "flag new_search: off → off, other groups"
        ]
    );
}

#[test]
fn what_two_of_one_state_dir_switch_is_one_event() {
    let (socket, folder) = (listener(), folder("switches"));
    let make = || sending(&socket).state_dir(&folder).build().unwrap();
    let both = [make(), make()];
    for profiler in &both {
        profiler.set_flags(flags(percent(10), None));
        assert!(profiler.flush(SOON));
    }
    for profiler in both.iter().chain(&both) {
        profiler.set_flags(flags(percent(20), None));
        assert!(profiler.flush(SOON));
    }
    both.iter().for_each(|profiler| {
        profiler.flush(SOON);
    });
    assert_eq!(told(&socket), ["flag new_search: 10% → 20%"]);
    let written = ioprofiler::collect::events_since(&folder, 0).unwrap();
    let written: Vec<String> = written.iter().map(ToString::to_string).collect();
    assert_eq!(written, ["flag new_search: 10% → 20%"]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_deploy_that_is_told_twice_before_anybody_looks_is_one_event() {
    let socket = listener();
    let profiler = sending(&socket).build().unwrap();
    profiler.deploy("8c1f", "erika", "new search");
    profiler.deploy("8c1f", "bo", "told twice");
    profiler.deploy("8c20", "bo", "");
    profiler.deploy("8c1f", "bo", "back");
    assert!(profiler.flush(SOON));
    assert_eq!(
        told(&socket),
        [
            "deploy 8c1f: new search, by erika",
            "deploy 8c20, by bo",
            "deploy 8c1f: back, by bo"
        ]
    );
}
