//! An application over a real socket, and a client that sees raw bytes.
#![allow(dead_code, reason = "each test file uses its part")]

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use http_body::Frame;
use http_body_util::StreamBody;
use ioprofiler::gate::Gate;
use ioprofiler::{MemorySink, ProfileData, Profiler};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const PAGE: &str = "<!doctype html><html><head><title>a listing</title></head>\
    <body><script>var end = '</body>';</script><p>hello</p></body></html>\n";

/// A profiler whose finished requests are kept.
pub(crate) struct Watched {
    profiler: Profiler,
    memory: MemorySink,
}

/// `watched.clone()` is the profiler's.
impl std::ops::Deref for Watched {
    type Target = Profiler;

    fn deref(&self) -> &Profiler {
        &self.profiler
    }
}

pub(crate) fn profiler(gate: Gate) -> Watched {
    let memory = MemorySink::new(10_000);
    let kept = memory.clone();
    let profiler = Profiler::builder()
        .gate(gate)
        .sink(move || kept.clone())
        .build()
        .unwrap();
    Watched { profiler, memory }
}

/// The profiles of the requests that are finished by now.
pub(crate) fn finished_now(watched: &Watched) -> Vec<ProfileData> {
    assert!(watched.flush(Duration::from_secs(10)));
    watched.memory.profiles()
}

/// The profiles of the finished requests, once there are so many.
pub(crate) async fn finished(profiler: &Watched, at_least: usize) -> Vec<ProfileData> {
    for _ in 0..500 {
        let finished = finished_now(profiler);
        if finished.len() >= at_least {
            return finished;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("fewer than {at_least} requests finished");
}

/// The one profile that there is.
pub(crate) async fn only(profiler: &Watched) -> ProfileData {
    let mut all = finished(profiler, 1).await;
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

/// The reasons for which requests were refused, in alphabetical order, and how often.
pub(crate) fn refusals(profiler: &Watched) -> Vec<(&'static str, u64)> {
    let refused = profiler.stats().refused.into_iter();
    let mut refused: Vec<_> = refused
        .map(|(reason, count)| (reason.as_str(), count))
        .collect();
    refused.sort_unstable();
    refused
}

/// The address of an application that is now served.
pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        axum::serve(
            listener,
            app.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .await
        .unwrap();
    });
    address
}

/// Sends these bytes and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    // A connection that the server breaks off is an answer too.
    let _ = read.await.expect("the server closes");
    answer
}

/// One request on a connection of its own; `headers` end with CRLF each.
pub(crate) async fn request(address: SocketAddr, line: &str, headers: &str) -> Answer {
    let text =
        format!("{line} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n");
    Answer::parse(&raw(address, &text).await)
}

pub(crate) async fn get_page(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path}"), "").await
}

/// An answer taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(raw: &[u8]) -> Self {
        let at = raw
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("a head");
        let head = std::str::from_utf8(&raw[..at]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut body = raw[at + 4..].to_vec();
        if headers
            .iter()
            .any(|(n, v)| n == "transfer-encoding" && v == "chunked")
        {
            body = unchunk(&body);
        }
        Self {
            status,
            headers,
            body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| &**value)
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| &**value)
            .collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// What was not shown has its reason, and the headers of an open gate.
    #[track_caller]
    pub(crate) fn assert_not_shown(&self, reason: &str) {
        assert_eq!(
            self.header("x-ioprofiler"),
            Some(&*format!("not-shown; {reason}")),
            "{self:?}"
        );
        self.assert_open();
    }

    #[track_caller]
    pub(crate) fn assert_open(&self) {
        assert_eq!(
            self.header("cache-control"),
            Some("private, no-store"),
            "{self:?}"
        );
        assert!(self.header("x-ioprofiler-request").is_some(), "{self:?}");
        assert!(self.header("server-timing").is_some(), "{self:?}");
        for gone in ["etag", "last-modified", "expires", "age"] {
            assert_eq!(self.header(gone), None, "{self:?}");
        }
    }
}

fn unchunk(mut chunked: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunked
            .windows(2)
            .position(|w| w == b"\r\n")
            .expect("a chunk's length");
        let length = std::str::from_utf8(&chunked[..end]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&chunked[end + 2..end + 2 + length]);
        chunked = &chunked[end + 4 + length..];
    }
}

/// An application with every kind of answer, and one call in each that has a handler.
pub(crate) fn app() -> Router {
    Router::new()
        .route("/html", get(html))
        .route("/listing/{id}", get(html))
        .route("/json", get(async || Json("{\"a\": 1}")))
        .route("/stream", get(stream))
        .route("/chunks", get(async || chunks("text/html", 3)))
        .route("/large", get(async || chunks("text/html", 3_000)))
        .route("/events", get(events))
        .route("/trailers", get(trailers))
        .route("/conditional", get(conditional))
        .route("/latin", get(latin))
        .route("/xhtml", get(xhtml))
        .route("/attachment", get(attachment))
        .route("/gzipped", get(gzipped))
        .route("/unclosed", get(async || Html("<p>no end")))
        .route("/empty", get(async || StatusCode::NO_CONTENT))
        .route(
            "/error",
            get(async || (StatusCode::INTERNAL_SERVER_ERROR, Html(PAGE))),
        )
        .route("/post", post(posted))
        .route("/headers", get(headers))
        .route("/strict", get(async || with_policy("default-src 'self'")))
        .route(
            "/nonce",
            get(async || with_policy("default-src 'nonce-r4nd0m'")),
        )
        .fallback(async || (StatusCode::NOT_FOUND, Html(PAGE)))
}

async fn html() -> Response {
    drop(ioprofiler::span("dbshard01", "SELECT '<b>bold</b>'"));
    tokio::task::yield_now().await;
    let headers = [
        (header::ETAG, "\"5\""),
        (header::LAST_MODIFIED, "Mon, 23 Nov 2026 00:00:00 GMT"),
        (header::CACHE_CONTROL, "max-age=60"),
        (header::VARY, "Accept"),
    ];
    (headers, Html(PAGE)).into_response()
}

fn stream_of(pieces: Vec<&'static [u8]>) -> Body {
    Body::from_stream(futures_util::stream::iter(pieces).then(async |piece| {
        drop(ioprofiler::span("memcache_get", "Cache HIT, keys: a"));
        tokio::task::yield_now().await;
        Ok::<_, std::io::Error>(Bytes::from_static(piece))
    }))
}

async fn stream() -> Response {
    let pieces = vec![&b"<html><body>"[..], b"one", b"two", b"</body>", b"</html>"];
    ([(header::CONTENT_TYPE, "text/html")], stream_of(pieces)).into_response()
}

/// Of unknown length, in pieces of 10 bytes and a last one.
fn chunks(content_type: &'static str, number: usize) -> Response {
    let mut pieces = vec![&b"0123456789"[..]; number];
    pieces.push(b"</body>");
    ([(header::CONTENT_TYPE, content_type)], stream_of(pieces)).into_response()
}

/// Events without end.
async fn events() -> Response {
    let endless = futures_util::stream::repeat(()).then(async |()| {
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok::<_, std::io::Error>("data: x\n\n")
    });
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(endless),
    )
        .into_response()
}

async fn trailers() -> Response {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "5".parse().unwrap());
    let frames = vec![
        Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"<p>trailed</p></body>"))),
        Ok(Frame::trailers(trailers)),
    ];
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    (
        [
            (header::CONTENT_TYPE, "text/html"),
            (header::TRAILER, "x-sum"),
        ],
        body,
    )
        .into_response()
}

/// Answers as a file server does.
async fn conditional(request: Request) -> Response {
    let etag = [(header::ETAG, "\"5\"")];
    if request.headers().contains_key(header::IF_NONE_MATCH) {
        (StatusCode::NOT_MODIFIED, etag).into_response()
    } else if request.headers().contains_key(header::RANGE) {
        let range = [(header::CONTENT_RANGE, "bytes 0-4/100")];
        (StatusCode::PARTIAL_CONTENT, etag, range, Html("<html")).into_response()
    } else {
        (etag, Html(PAGE)).into_response()
    }
}

async fn latin() -> Response {
    let page: &[u8] = b"<html><body>caf\xe9</body></html>";
    (
        [(header::CONTENT_TYPE, "text/html; charset=iso-8859-1")],
        page,
    )
        .into_response()
}

async fn xhtml() -> Response {
    let page = "<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><br/></body></html>";
    ([(header::CONTENT_TYPE, "application/xhtml+xml")], page).into_response()
}

async fn attachment() -> Response {
    (
        [(header::CONTENT_DISPOSITION, "attachment; filename=a.html")],
        Html(PAGE),
    )
        .into_response()
}

async fn gzipped() -> Response {
    (
        [(header::CONTENT_ENCODING, "gzip")],
        Html("\u{1f}not really"),
    )
        .into_response()
}

async fn posted(body: Bytes) -> Response {
    drop(ioprofiler::span(
        "dbshard02",
        format!("INSERT {} bytes", body.len()),
    ));
    ([(header::SET_COOKIE, "a=1")], Redirect::to("/html")).into_response()
}

fn with_policy(policy: &'static str) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE)).into_response()
}

/// Repeated headers, which stay repeated and in order.
async fn headers() -> Response {
    let mut response = Html(PAGE).into_response();
    for value in ["a=1", "b=2", "c=3"] {
        response
            .headers_mut()
            .append(header::SET_COOKIE, value.parse().unwrap());
    }
    for (name, value) in [
        ("server-timing", "cdn;dur=1"),
        ("digest", "sha-256=x"),
        ("vary", "a"),
    ] {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}
