//! What people are told through a webhook, by a profiler that runs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ioprofiler::sinks::{Graphite, Webhook};
use ioprofiler::{Event, EventKind, Facts, Profiler};
use ioprofiler_tests::endpoint::{Endpoint, Mood};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

fn told(endpoint: &Endpoint) -> Vec<Value> {
    let asked = endpoint.asked().into_iter();
    asked
        .map(|asked| {
            assert!(
                asked.head.starts_with("post /hooks/secret http/1.1\r\n"),
                "{}",
                asked.head
            );
            assert!(
                asked.head.contains("\r\nx-key: sesame\r\n"),
                "{}",
                asked.head
            );
            serde_json::from_slice(&asked.body).unwrap()
        })
        .collect()
}

fn hook(endpoint: &Endpoint) -> Webhook {
    Webhook::to(format!("{}/hooks/secret", endpoint.url())).header("X-Key", "sesame")
}

fn wait_for(endpoint: &Endpoint, notices: usize) -> Vec<Value> {
    let deadline = Instant::now() + SOON;
    loop {
        let told = told(endpoint);
        if told.len() >= notices {
            return told;
        }
        assert!(Instant::now() < deadline, "{told:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn deploys_and_switches_are_told() {
    let endpoint = Endpoint::start(Mood::answer(204, "", ""));
    let irc = hook(&endpoint).on(["deploy", "flag"]).template(
        r##"{"channel": "#push", "message": "{{who}} deployed {{what}} {{version}}", "kind": "{{kind}}"}"##,
    );
    let profiler = Profiler::builder().send_to(irc).build().unwrap();
    profiler.event(Event::deploy("8c1f").who("erika").what("new \"search\""));
    profiler.event(Event::deploy("8c1f").who("erika").what("again"));
    profiler.event(Event::new(EventKind::Shed, "not asked for"));
    profiler.event(Event::new(EventKind::Flag, "search").change("10%", "off"));
    assert!(profiler.flush(SOON));
    let wanted = [
        json!({
            "channel": "#push",
            "message": "erika deployed new \"search\" 8c1f",
            "kind": "deploy",
        }),
        json!({ "channel": "#push", "message": " deployed search ", "kind": "flag" }),
    ];
    assert_eq!(told(&endpoint), wanted);
    let stats = &profiler.stats().sinks[0];
    assert_eq!((stats.produced, stats.sent, stats.dropped), (2, 2, 0));
}

#[test]
fn a_request_that_is_stuck_is_told_while_it_is() {
    let endpoint = Endpoint::start(Mood::good());
    let profiler = Profiler::builder()
        .stuck_after(Duration::from_millis(100))
        .send_to(hook(&endpoint))
        .build()
        .unwrap();
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    let request = profiler.begin(&Facts::web("GET", "/listing/5773453").id("<!channel>"));
    request.set_route("/listing/{id}");
    let call = request.span("dbshard02", "SELECT * FROM listings WHERE id = 5773453");
    let text = wait_for(&endpoint, 1)[0]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(text.starts_with("stuck: GET /listing/{id} for "), "{text}");
    assert!(text.contains("request ‹!channel›: [dbshard02] "), "{text}");
    assert!(
        text.ends_with(" SELECT * FROM listings WHERE id = ?"),
        "{text}"
    );
    drop(call);
    request.finish(200, 0);
}

#[test]
fn that_another_sink_cannot_send_is_told_to_who_asks_for_it() {
    let endpoint = Endpoint::start(Mood::good());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let carbon = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let profiler = Profiler::builder()
        .send_to(Graphite::to(carbon))
        .send_to(hook(&endpoint).on(["sink"]))
        .build()
        .unwrap();
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    profiler.flush(Duration::from_millis(100));
    let text = wait_for(&endpoint, 1)[0]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(text.starts_with("sink: graphite: cannot send"), "{text}");
}

#[test]
fn what_is_too_much_for_a_minute_comes_in_one_notice() {
    let endpoint = Endpoint::start(Mood::good());
    let hook = hook(&endpoint)
        .at_most(2)
        .template(r#"{"n": "{{count}}", "kind": "{{kind}}"}"#);
    let profiler = Profiler::builder().send_to(hook).build().unwrap();
    for number in 0..30 {
        profiler.event(Event::new(EventKind::Own, &number.to_string()));
    }
    let told = wait_for(&endpoint, 2);
    profiler.flush(Duration::from_millis(300));
    assert_eq!(told.len(), 2);
    assert_eq!(told[0], json!({ "n": "1", "kind": "own" }));
    let count = |told: &Value| told["n"].as_str().unwrap().parse::<u64>().unwrap();
    let stats = &profiler.stats().sinks[0];
    assert_eq!(stats.produced, 30);
    assert_eq!(stats.sent, told.iter().map(count).sum::<u64>());
    // That it sends no more now is no failure.
    assert_eq!((stats.failures, stats.dropped), (0, 0));
}
