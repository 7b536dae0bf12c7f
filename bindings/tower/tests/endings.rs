//! How requests end: whole, left by the client, failed, panicked, cancelled.

mod common;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{self, StatusCode, header};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::get;
use common::{app, finished, get_page, only, profiler, raw, request, serve};
use futures_util::StreamExt as _;
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use ioprofiler::gate::Gate;
use ioprofiler::profile::{Outcome, State};
use ioprofiler_tower::IoprofilerLayer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

fn get_request(uri: &str) -> http::Request<Body> {
    http::Request::get(uri).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn whole_answers_are_finished() {
    let profiler = profiler(Gate::closed());
    let address = serve(app().layer(IoprofilerLayer::new(profiler.clone()))).await;
    let mut number = 0;
    for (line, status) in [
        ("GET /html", 200),
        ("HEAD /html", 200),
        ("HEAD /stream", 200),
        ("GET /stream", 200),
        ("GET /trailers", 200),
        ("GET /empty", 204),
        ("GET /nothing", 404),
        ("POST /post", 303),
        ("GET /error", 500),
    ] {
        let answer = request(address, line, "").await;
        number += 1;
        let profile = finished(&profiler, number).await.remove(number - 1);
        assert_eq!(profile.state, State::Finished, "{line}");
        assert_eq!(profile.facts.status, Some(status), "{line}");
        assert_eq!(
            profile.facts.bytes_out,
            Some(answer.body.len() as u64),
            "{line}"
        );
        assert_eq!(profile.facts.error, None, "{line}");
    }
    let status =
        "GET /conditional HTTP/1.1\r\nHost: a\r\nIf-None-Match: x\r\nConnection: close\r\n\r\n";
    raw(address, status).await;
    let profile = finished(&profiler, number + 1).await.remove(number);
    assert_eq!(
        (profile.state, profile.facts.status),
        (State::Finished, Some(304))
    );
}

/// A stream whose length the head tells: the server stops reading it at that length.
#[tokio::test]
async fn a_stream_of_told_length_is_finished_at_that_length() {
    let profiler = profiler(Gate::closed());
    let handler = async || {
        let pieces = futures_util::stream::iter(["12345", "67890"]).map(Ok::<_, Infallible>);
        ([(header::CONTENT_LENGTH, "10")], Body::from_stream(pieces)).into_response()
    };
    let app = Router::new().route("/", get(handler));
    let address = serve(app.layer(IoprofilerLayer::new(profiler.clone()))).await;
    assert_eq!(get_page(address, "/").await.text(), "1234567890");
    assert_eq!(only(&profiler).await.state, State::Finished);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_body() {
    let profiler = profiler(Gate::closed());
    let address = serve(app().layer(IoprofilerLayer::new(profiler.clone()))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("data: x") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
    drop(stream);
    let profile = only(&profiler).await;
    assert_eq!(
        (profile.state, profile.facts.status),
        (State::Aborted, Some(200))
    );
    assert!(profile.facts.bytes_out > Some(0));
    assert_eq!(profile.facts.error, None);
}

#[tokio::test]
async fn a_client_that_leaves_during_the_handler() {
    let profiler = profiler(Gate::closed());
    let handler = async || {
        let call = ioprofiler::span("dbshard01", "SELECT SLEEP(60)");
        call.wrap(tokio::time::sleep(Duration::from_secs(60))).await;
    };
    let app = Router::new().route("/", get(handler));
    let address = serve(app.layer(IoprofilerLayer::new(profiler.clone()))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    let profile = only(&profiler).await;
    assert_eq!(
        (profile.state, profile.facts.status),
        (State::Aborted, None)
    );
    // The call was cut off with it, before the request ended.
    assert_eq!(profile.spans.len(), 1);
    assert_eq!(profile.spans[0].outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn a_client_that_leaves_while_its_page_is_held_back() {
    let profiler = profiler(Gate::everyone());
    let handler = async || {
        let slow = futures_util::stream::repeat(()).then(async |()| {
            let call = ioprofiler::span("memcache_get", "k");
            call.wrap(tokio::time::sleep(Duration::from_secs(60))).await;
            Ok::<_, Infallible>("x")
        });
        Body::from_stream(slow).into_response()
    };
    let app = Router::new().route("/", get(handler));
    let address = serve(app.layer(IoprofilerLayer::new(profiler.clone()))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /?ioprofiler=text HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(stream);
    let profile = only(&profiler).await;
    assert_eq!(
        (profile.state, profile.facts.status),
        (State::Aborted, Some(200))
    );
    assert_eq!(profile.spans[0].outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn a_timeout_outside_drops_the_handler() {
    let profiler = profiler(Gate::closed());
    let slow = service_fn(|_: http::Request<Body>| async move {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let service = ServiceBuilder::new()
        .timeout(Duration::from_millis(20))
        .layer(IoprofilerLayer::new(profiler.clone()))
        .service(slow);
    assert!(service.oneshot(get_request("/")).await.is_err());
    let profile = only(&profiler).await;
    assert_eq!(
        (profile.state, profile.facts.status),
        (State::Aborted, None)
    );
}

/// The panic goes on as it was, and reaches who waits for it.
#[tokio::test]
async fn a_panicking_handler() {
    let profiler = profiler(Gate::everyone());
    let panicking = async || -> Response {
        tokio::task::yield_now().await;
        std::panic::panic_any(4_711_u32)
    };
    let app = Router::new()
        .route("/", get(panicking))
        .layer(IoprofilerLayer::new(profiler.clone()))
        .layer(CatchPanicLayer::custom(
            |payload: Box<dyn std::any::Any + Send>| {
                assert_eq!(payload.downcast_ref(), Some(&4_711_u32));
                (StatusCode::IM_A_TEAPOT, "caught").into_response()
            },
        ));
    let address = serve(app).await;
    for query in ["", "?ioprofiler=1", "?ioprofiler=text"] {
        let answer = get_page(address, &format!("/{query}")).await;
        assert_eq!((answer.status, answer.text()), (418, "caught"));
        assert_eq!(answer.header("x-ioprofiler-request"), None);
    }
    for profile in finished(&profiler, 3).await {
        assert_eq!(
            (profile.state, profile.facts.status),
            (State::Finished, Some(500))
        );
        assert_eq!(profile.facts.error.as_deref(), Some("panic in the handler"));
    }
    assert!(ioprofiler::current().is_none());
}

/// Before its first await, a service works in `call` already.
#[tokio::test]
async fn a_service_that_panics_when_called() {
    let profiler = profiler(Gate::closed());
    let mut service = IoprofilerLayer::new(profiler.clone()).layer(service_fn(
        |_: http::Request<Body>| -> std::future::Ready<Result<Response, Infallible>> {
            drop(ioprofiler::span("dbshard01", "SELECT 1"));
            panic!("in call")
        },
    ));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        drop(service.call(get_request("/")));
    }));
    assert_eq!(result.unwrap_err().downcast_ref(), Some(&"in call"));
    let profile = only(&profiler).await;
    assert_eq!(profile.facts.error.as_deref(), Some("panic in the handler"));
    assert_eq!(profile.spans.len(), 1);
    assert!(ioprofiler::current().is_none());
}

#[tokio::test]
async fn a_panicking_body() {
    let profiler = profiler(Gate::closed());
    let handler = async || {
        Body::from_stream(futures_util::stream::iter(0..).map(|number| {
            assert!(number < 2, "third piece");
            Ok::<_, Infallible>("piece")
        }))
    };
    let app = Router::new().route("/", get(handler));
    let address = serve(app.layer(IoprofilerLayer::new(profiler.clone()))).await;
    raw(
        address,
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    let profile = only(&profiler).await;
    assert_eq!(profile.facts.error.as_deref(), Some("panic in the body"));
    assert_eq!(
        (profile.state, profile.facts.bytes_out),
        (State::Finished, Some(10))
    );
}

fn failing_body() -> Response {
    let pieces = vec![
        Ok("<p>begun</p>"),
        Err(std::io::Error::other("disk on fire")),
    ];
    let slowly = futures_util::stream::iter(pieces).then(async |piece| {
        tokio::task::yield_now().await;
        piece
    });
    Html(Body::from_stream(slowly)).into_response()
}

#[tokio::test]
async fn a_failing_body() {
    for (query, buffered) in [
        ("/", false),
        ("/?ioprofiler=1", false),
        ("/?ioprofiler=1", true),
    ] {
        let profiler = profiler(Gate::everyone());
        let app = Router::new().route("/", get(async || failing_body()));
        let layer = IoprofilerLayer::new(profiler.clone()).buffer_streams(buffered);
        let plain = raw(
            serve(app.clone()).await,
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
        let asked = format!("GET {query} HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = raw(serve(app.layer(layer)).await, &asked).await;
        // The connection breaks off at the same place, which tells the client.
        let body = |raw: &[u8]| {
            let text = String::from_utf8_lossy(raw).into_owned();
            text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
        };
        assert_eq!(body(&plain).as_deref(), Some("C\r\n<p>begun</p>\r\n"));
        assert_eq!(body(&answer), body(&plain), "{query}");
        let profile = only(&profiler).await;
        assert_eq!(profile.state, State::Finished);
        assert!(profile.facts.error.unwrap().contains("disk on fire"));
        let reason = String::from_utf8_lossy(&answer).contains("not-shown; body-error");
        assert_eq!(reason, buffered);
    }
    let profiler = profiler(Gate::everyone());
    let app = Router::new().route("/", get(async || failing_body()));
    let address = serve(app.layer(IoprofilerLayer::new(profiler.clone()))).await;
    assert!(
        get_page(address, "/?ioprofiler=text")
            .await
            .text()
            .starts_with("# GET /")
    );
    assert!(
        only(&profiler)
            .await
            .facts
            .error
            .unwrap()
            .contains("disk on fire")
    );
}

/// In axum services cannot fail; in hyper they can, and the connection then closes unanswered.
#[tokio::test]
async fn a_failing_service() {
    let profiler = profiler(Gate::everyone());
    let service = IoprofilerLayer::new(profiler.clone()).layer(service_fn(
        |request: http::Request<hyper::body::Incoming>| async move {
            if request.uri().path() == "/fail" {
                return Err(std::io::Error::other("no route to host"));
            }
            Ok(http::Response::new(Full::new(Bytes::from_static(b"fine"))))
        },
    ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
            );
        }
    });
    assert_eq!(get_page(address, "/fine").await.text(), "fine");
    let failed = "GET /fail?ioprofiler=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(raw(address, failed).await, b"");
    let profiles = finished(&profiler, 2).await;
    assert_eq!(profiles[0].facts.error, None);
    assert_eq!(profiles[1].facts.error.as_deref(), Some("no route to host"));
    assert_eq!(
        (profiles[1].state, profiles[1].facts.status),
        (State::Finished, Some(500))
    );
}

#[tokio::test]
async fn hints_and_ends_are_the_handlers() {
    let layer = IoprofilerLayer::new(profiler(Gate::closed()).clone());
    for text in ["", "four"] {
        let service = layer.layer(service_fn(|_: http::Request<Body>| async move {
            Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(text))))
        }));
        let body = service
            .oneshot(get_request("/?ioprofiler=1"))
            .await
            .unwrap()
            .into_body();
        let plain = Full::<Bytes>::new(Bytes::from(text));
        assert_eq!(body.size_hint().exact(), plain.size_hint().exact());
        assert_eq!(body.is_end_stream(), plain.is_end_stream());
        assert_eq!(body.collect().await.unwrap().to_bytes(), text);
    }
}

/// An answer that nobody reads was not sent.
#[tokio::test]
async fn an_answer_dropped_unread() {
    let profiler = profiler(Gate::closed());
    let service = IoprofilerLayer::new(profiler.clone()).layer(app());
    drop(service.clone().oneshot(get_request("/html")).await.unwrap());
    drop(
        service
            .clone()
            .oneshot(get_request("/empty"))
            .await
            .unwrap(),
    );
    let states: Vec<_> = finished(&profiler, 2)
        .await
        .iter()
        .map(|p| p.state)
        .collect();
    assert_eq!(states, [State::Aborted, State::Finished]);
}

/// What a body's drop records is still the request's.
#[tokio::test]
async fn the_bodys_drop_belongs_to_the_request() {
    struct Records;
    impl Drop for Records {
        fn drop(&mut self) {
            drop(ioprofiler::span("dbshard01", "ROLLBACK"));
        }
    }
    let profiler = profiler(Gate::closed());
    let service = IoprofilerLayer::new(profiler.clone()).layer(service_fn(
        |_: http::Request<Body>| async move {
            let records = Arc::new(Records);
            let stream = futures_util::stream::pending::<Result<Bytes, Infallible>>()
                .inspect(move |_| drop(Arc::clone(&records)));
            Ok::<_, Infallible>(Response::new(Body::from_stream(stream)))
        },
    ));
    drop(service.oneshot(get_request("/")).await.unwrap());
    let profile = only(&profiler).await;
    assert_eq!(profile.state, State::Aborted);
    assert_eq!(profile.spans[0].detail, "ROLLBACK");
}
