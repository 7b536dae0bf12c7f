//! Who does not ask, or asks in vain, gets the bytes that they would get without the layer.

mod common;

use axum::Router;
use axum::routing::get;
use common::{PAGE, app, profiler, raw, refusals, serve};
use ioprofiler::gate::Gate;
use ioprofiler_tower::IoprofilerLayer;
use tower_http::compression::CompressionLayer;

/// Whole exchanges: each ends with a request that closes the connection.
const EXCHANGES: &[(&str, &[&str])] = &[
    ("html", &["GET /html"]),
    ("route", &["GET /listing/5773453"]),
    ("json", &["GET /json"]),
    ("streamed", &["GET /stream"]),
    ("chunks", &["GET /chunks"]),
    ("large", &["GET /large"]),
    ("trailers", &["GET /trailers"]),
    ("head", &["HEAD /html"]),
    ("head of a stream", &["HEAD /stream"]),
    ("conditional", &["GET /conditional"]),
    ("latin", &["GET /latin"]),
    ("xhtml", &["GET /xhtml"]),
    ("attachment", &["GET /attachment"]),
    ("unclosed", &["GET /unclosed"]),
    ("no content", &["GET /empty"]),
    ("error", &["GET /error"]),
    ("not found", &["GET /nothing/here"]),
    ("method not allowed", &["POST /html"]),
    ("redirect", &["POST /post"]),
    ("repeated headers", &["GET /headers"]),
    (
        "keep-alive",
        &[
            "GET /html",
            "HEAD /html",
            "GET /stream",
            "GET /json",
            "GET /nothing",
        ],
    ),
];

const EXTRA: &[&str] = &[
    "",
    "If-None-Match: \"5\"\r\n",
    "Range: bytes=0-4\r\n",
    "Accept-Encoding: gzip\r\n",
    "TE: trailers\r\n",
];

/// The bytes of an exchange without the lines of `Date`.
fn without_date(answer: &[u8]) -> Vec<u8> {
    let mut lines = answer.split_inclusive(|&b| b == b'\n');
    lines
        .by_ref()
        .filter(|line| !line.starts_with(b"date: "))
        .flatten()
        .copied()
        .collect()
}

fn exchange(requests: &[&str], query: &str, extra: &str) -> String {
    let mut text = String::new();
    for (at, request) in requests.iter().enumerate() {
        let close = if at + 1 == requests.len() {
            "Connection: close\r\n"
        } else {
            ""
        };
        text += &format!("{request}{query} HTTP/1.1\r\nHost: shop.example\r\n{extra}{close}\r\n");
    }
    text
}

/// Compares all exchanges with those of the same application without the layer.
async fn assert_identical(plain: Router, profiled: Router, query: &str) -> usize {
    let (plain, profiled) = (serve(plain).await, serve(profiled).await);
    let mut compared = 0;
    for (name, requests) in EXCHANGES {
        for extra in EXTRA {
            let text = exchange(requests, query, extra);
            let without = without_date(&raw(plain, &text).await);
            let with = without_date(&raw(profiled, &text).await);
            assert!(!without.is_empty(), "{name}");
            assert_eq!(
                String::from_utf8_lossy(&with),
                String::from_utf8_lossy(&without),
                "{name}, {extra:?}"
            );
            assert_eq!(with, without, "{name}, {extra:?}");
            compared += requests.len();
        }
    }
    compared
}

#[tokio::test]
async fn not_asked() {
    let profiler = profiler(Gate::everyone());
    let layer = IoprofilerLayer::new(profiler.clone()).buffer_streams(true);
    let requests = assert_identical(app(), app().layer(layer), "").await;
    assert_eq!(common::finished(&profiler, requests).await.len(), requests);
    assert!(refusals(&profiler).is_empty());
}

#[tokio::test]
async fn asked_in_vain() {
    for form in ["1", "text", "json", "ticket", "what"] {
        let profiler = profiler(Gate::closed());
        let layer = IoprofilerLayer::new(profiler.clone()).buffer_streams(true);
        let query = format!("?ioprofiler={form}");
        let requests = assert_identical(app(), app().layer(layer), &query).await;
        let reason = if form == "what" {
            "unknown form asked for (known: 1, text, json, ticket)"
        } else {
            "no way in is configured"
        };
        assert_eq!(refusals(&profiler), [(reason, requests as u64)]);
    }
}

#[tokio::test]
async fn asked_and_refused_by_the_hosts_gate() {
    let profiler = profiler(Gate::closed());
    let layer = IoprofilerLayer::new(profiler.clone()).gate(|_| false);
    let requests = assert_identical(app(), app().layer(layer), "?ioprofiler=1").await;
    assert_eq!(
        refusals(&profiler),
        [("the callable said no", requests as u64)]
    );
}

#[tokio::test]
async fn with_compression_outside_and_inside() {
    for outside in [true, false] {
        let profiler = profiler(Gate::closed());
        let layer = IoprofilerLayer::new(profiler.clone());
        let profiled = if outside {
            app().layer(layer).layer(CompressionLayer::new())
        } else {
            app().layer(CompressionLayer::new()).layer(layer)
        };
        assert_identical(app().layer(CompressionLayer::new()), profiled, "").await;
    }
}

#[tokio::test]
async fn layer_twice() {
    let profiler = profiler(Gate::everyone());
    let layer = IoprofilerLayer::new(profiler.clone());
    let requests = assert_identical(app(), app().layer(layer.clone()).layer(layer), "").await;
    assert_eq!(common::finished(&profiler, requests).await.len(), requests);
}

/// Frames leave when they are ready, not when all are.
#[tokio::test]
async fn streams_are_not_held_back() {
    use axum::body::{Body, Bytes};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::mpsc;

    let (to_body, receiver) = mpsc::channel::<Bytes>(1);
    let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
    let handler = async move || {
        let receiver = receiver.lock().unwrap().take().unwrap();
        Body::from_stream(futures_util::stream::unfold(
            receiver,
            async |mut receiver| {
                receiver
                    .recv()
                    .await
                    .map(|piece| (Ok::<_, std::io::Error>(piece), receiver))
            },
        ))
    };
    let layer = IoprofilerLayer::new(profiler(Gate::closed()).clone()).buffer_streams(true);
    let app = Router::new().route("/", get(handler)).layer(layer);
    let mut stream = tokio::net::TcpStream::connect(serve(app).await)
        .await
        .unwrap();
    stream
        .write_all(b"GET /?ioprofiler=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut seen = Vec::new();
    for piece in ["first", "second", "third"] {
        to_body.send(Bytes::from(piece)).await.unwrap();
        while !String::from_utf8_lossy(&seen).contains(piece) {
            let mut buffer = [0; 1_024];
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0);
            seen.extend_from_slice(&buffer[..read]);
        }
    }
}

#[test]
fn the_page_is_one_with_a_trap() {
    assert_eq!(PAGE.matches("</body>").count(), 2);
}
