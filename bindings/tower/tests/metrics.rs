//! `/metrics` over a real socket.

mod common;

use axum::Router;
use common::{Answer, app, get_page, request, serve};
use ioprofiler::Profiler;
use ioprofiler_tower::{IoprofilerLayer, Metrics};
use std::net::SocketAddr;

const OPEN: &str =
    "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n";

async fn serve_with(profiler: &Profiler) -> SocketAddr {
    let layer = IoprofilerLayer::new(profiler.clone());
    let metrics = Metrics::new(profiler.clone());
    serve(app().layer(layer).route_service("/metrics", metrics)).await
}

/// The value of a series, or nothing.
fn value<'a>(answer: &'a Answer, series: &str) -> Option<&'a str> {
    let rows = answer.text().lines();
    let mut rows = rows.filter_map(|line| line.rsplit_once(' '));
    rows.find(|(name, _)| *name == series)
        .map(|(_, value)| value)
}

#[tokio::test]
async fn pages_are_counted_and_scrapes_are_not() {
    let profiler = Profiler::builder()
        .metrics(true)
        .worker("one")
        .build()
        .unwrap();
    let address = serve_with(&profiler).await;
    for id in 0..5 {
        assert_eq!(
            get_page(address, &format!("/listing/{id}")).await.status,
            200
        );
    }
    get_page(address, "/error").await;
    profiler.count("registrations", 2);
    for _ in 0..3 {
        let text = get_page(address, "/metrics").await;
        assert_eq!(
            (text.status, text.header("content-type")),
            (200, Some("text/plain; version=0.0.4; charset=utf-8"))
        );
        let requests = |route: &str, status: &str, outcome: &str| {
            let labels = format!(
                "kind=\"web\",route=\"{route}\",method=\"GET\",status=\"{status}\",outcome=\"{outcome}\""
            );
            value(
                &text,
                &format!("ioprofiler_request_duration_seconds_count{{{labels},worker=\"one\"}}"),
            )
        };
        assert_eq!(requests("/listing/{id}", "200", "ok"), Some("5"));
        assert_eq!(requests("/error", "500", "error"), Some("1"));
        assert_eq!(
            value(&text, "registrations_total{worker=\"one\"}"),
            Some("2")
        );
        assert!(!text.text().contains("/metrics"), "{}", text.text());
        assert!(!text.text().contains("SELECT"), "no details");
    }
}

#[tokio::test]
async fn the_format_is_what_the_scraper_wants() {
    let profiler = Profiler::builder().metrics(true).build().unwrap();
    let address = serve_with(&profiler).await;
    let open = request(address, "GET /metrics", OPEN).await;
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(open.text().ends_with("\n# EOF\n"));
    // Several headers are one list.
    let two = "Accept: text/plain;q=0.5\r\nAccept: application/openmetrics-text\r\n";
    let two = request(address, "GET /metrics", two).await;
    assert!(two.text().ends_with("\n# EOF\n"));
    let head = request(address, "HEAD /metrics", OPEN).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-type"), open.header("content-type"));
    let post = request(address, "POST /metrics", "Content-Length: 0\r\n").await;
    assert_eq!(
        (post.status, post.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

#[tokio::test]
async fn a_profiler_that_counts_nothing_says_so() {
    let profiler = Profiler::builder().build().unwrap();
    let metrics = Metrics::new(profiler);
    let address = serve(Router::new().route_service("/metrics", metrics)).await;
    let answer = request(address, "GET /metrics", OPEN).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, Some("text/plain; charset=utf-8"))
    );
    assert_eq!(
        answer.text(),
        "nothing is counted: write [prometheus] into the configuration file, \
         or set the option metrics\n"
    );
}

#[tokio::test]
async fn a_crowd_of_scrapers_is_served_or_sent_away() {
    let profiler = Profiler::builder().metrics(true).build().unwrap();
    let address = serve_with(&profiler).await;
    for _ in 0..3 {
        let scrapes: Vec<_> = (0..100)
            .map(|_| tokio::spawn(async move { get_page(address, "/metrics").await }))
            .collect();
        let mut served = 0;
        for scrape in scrapes {
            let answer = scrape.await.unwrap();
            match answer.status {
                200 => served += 1,
                503 => assert_eq!(
                    answer.text(),
                    "too many scrapes at once, or no thread to be had\n"
                ),
                other => panic!("{other}"),
            }
        }
        assert!(served > 0);
        assert_eq!(get_page(address, "/metrics").await.status, 200);
    }
}
