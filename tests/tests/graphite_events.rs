//! What was done to the site, told to a real graphite-web and read back from it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ioprofiler::sinks::Graphite;
use ioprofiler::{Event, EventKind, Profiler};
use ioprofiler_tests::servers;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

fn get(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{answer}");
    serde_json::from_str(body).unwrap()
}

#[test]
fn graphite_web_shows_what_was_done() {
    let Some(web) = servers::graphite_web() else {
        return;
    };
    // Carbon is gone: what graphite-web is told does not wait for it.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let carbon = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let to = Graphite::to(carbon)
        .prefix("shop")
        .events(format!("http://{}/", web.address()));
    let profiler = Profiler::builder().send_to(to).build().unwrap();
    let strange = "it's \"melting\"\n<b>é 😀 \\";
    let mut deploy = Event::deploy("8c1f").who("erika").what("new search");
    deploy.at = 1_764_000_000_000_000_000;
    profiler.event(deploy);
    profiler.event(
        Event::new(EventKind::Flag, "new search")
            .change("10%", "off")
            .why(strange),
    );
    profiler.event(Event::new(EventKind::Own, &"x".repeat(10_000)));
    let deadline = Instant::now() + SOON;
    while profiler.stats().sinks[1].sent < 3 && Instant::now() < deadline {
        profiler.flush(Duration::from_millis(100));
    }
    let stats = profiler.stats();
    let [carbon, events] = &stats.sinks[..] else {
        panic!("{stats:?}")
    };
    assert_eq!((carbon.name, events.name), ("graphite", "graphite_events"));
    assert_eq!(
        (carbon.sent, events.sent, events.dropped),
        (0, 3, 0),
        "{stats:?}"
    );

    let all = get(
        &web.address(),
        "/events/get_data?from=20250101&until=now%2B1d",
    );
    assert_eq!(all.as_array().unwrap().len(), 3);
    let found = get(&web.address(), "/events/get_data?tags=deploy&from=20250101");
    let [deploy] = &found.as_array().unwrap()[..] else {
        panic!("{found}")
    };
    assert_eq!(deploy["what"], "deploy 8c1f: new search, by erika");
    assert_eq!(deploy["when"], 1_764_000_000);
    let tags = deploy["tags"].as_array().unwrap();
    assert!(
        tags.contains(&"deploy".into()) && tags.contains(&"shop".into()),
        "{tags:?}"
    );
    assert!(
        deploy["data"].as_str().unwrap().starts_with("by erika on "),
        "{deploy}"
    );
    let found = get(
        &web.address(),
        "/events/get_data?tags=new_search&from=20250101",
    );
    let [flag] = &found.as_array().unwrap()[..] else {
        panic!("{found}")
    };
    assert!(flag["data"].as_str().unwrap().ends_with(strange), "{flag}");
}
