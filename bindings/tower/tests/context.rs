//! Whose calls are whose, and what a request knows about itself.

mod common;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{self, HeaderName};
use axum::response::Html;
use axum::routing::get;
use common::{app, finished, get_page, only, profiler, refusals, request, serve};
use futures_util::future::join_all;
use ioprofiler::category::Kind;
use ioprofiler::gate::Gate;
use ioprofiler::profile::ProfileData;
use ioprofiler_tower::IoprofilerLayer;
use tower::{Layer as _, ServiceExt as _};

fn details(profile: &ProfileData) -> Vec<&str> {
    profile.spans.iter().map(|span| &*span.detail).collect()
}

#[tokio::test]
async fn the_facts() {
    let profiler = profiler(Gate::closed());
    let address = serve(app().layer(IoprofilerLayer::new(profiler.clone()))).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = format!("X-Request-Id: a-1\r\nTraceparent: {traceparent}\r\n");
    request(address, "GET /listing/5773453?a=1&b=2", &headers).await;
    let profile = only(&profiler).await;
    let facts = &profile.facts;
    assert_eq!((&*facts.method, &*facts.path), ("GET", "/listing/5773453"));
    assert_eq!(facts.query.as_deref(), Some("a=1&b=2"));
    assert_eq!(facts.host.as_deref(), Some("shop.example"));
    assert_eq!(facts.protocol.as_deref(), Some("HTTP/1.1"));
    assert_eq!(facts.peer.as_deref(), Some("127.0.0.1"));
    assert_eq!(facts.traceparent.as_deref(), Some(traceparent));
    assert_eq!(facts.route.as_deref(), Some("/listing/{id}"));
    assert_eq!(facts.status, Some(200));
    assert_eq!(profile.id, "a-1");
    assert!(
        profile
            .hooks
            .iter()
            .any(|hook| hook.name == "tower" && hook.hooked)
    );
}

#[tokio::test]
async fn a_request_id_that_is_none() {
    let profiler = profiler(Gate::closed());
    let layer = IoprofilerLayer::new(profiler.clone());
    let address = serve(app().layer(layer.clone())).await;
    let long = "a".repeat(129);
    for id in ["", "a b", "a\"b", "caf\u{e9}", &long] {
        request(address, "GET /json", &format!("X-Request-Id: {id}\r\n")).await;
    }
    let other = layer.request_id_header(Some(HeaderName::from_static("x-amzn-trace-id")));
    let other = serve(app().layer(other)).await;
    request(
        other,
        "GET /json",
        "X-Request-Id: b\r\nX-Amzn-Trace-Id: Root=1-2\r\n",
    )
    .await;
    let ids: Vec<_> = finished(&profiler, 6)
        .await
        .into_iter()
        .map(|p| p.id)
        .collect();
    assert!(ids[..5].iter().all(|id| id.len() == 32), "{ids:?}");
    assert_eq!(ids[5], "Root=1-2");
}

#[tokio::test]
async fn routes() {
    let profiler = profiler(Gate::closed());
    let shop = Router::new().route("/shop/{name}", get(async || "a shop"));
    let app = app().nest("/en/{country}", shop);
    let inside = serve(app.clone().layer(IoprofilerLayer::new(profiler.clone()))).await;
    for path in ["/listing/1", "/en/de/shop/a", "/nothing"] {
        get_page(inside, path).await;
    }
    let routes: Vec<_> = finished(&profiler, 3)
        .await
        .into_iter()
        .map(|p| (p.facts.path, p.facts.route))
        .collect();
    assert_eq!(
        routes[0],
        ("/listing/1".into(), Some("/listing/{id}".into()))
    );
    assert_eq!(
        routes[1],
        (
            "/en/de/shop/a".into(),
            Some("/en/{country}/shop/{name}".into())
        )
    );
    assert_eq!(routes[2], ("/nothing".into(), None));
}

/// Around the router from outside, a second layer inside tells the route.
#[tokio::test]
async fn a_second_layer_joins_as_a_scope() {
    let outer = profiler(Gate::everyone());
    let inner = profiler(Gate::everyone());
    let app = app().layer(IoprofilerLayer::new(inner.clone()));
    let service = IoprofilerLayer::new(outer.clone()).layer(app);
    let ask = http::Request::get("/listing/5?ioprofiler=1")
        .body(Body::empty())
        .unwrap();
    let answer = service.oneshot(ask).await.unwrap();
    let body = http_body_util::BodyExt::collect(answer.into_body())
        .await
        .unwrap()
        .to_bytes();
    // Shown once.
    let page = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(page.matches("<ioprofiler-panel ").count(), 1, "{page}");
    let profile = only(&outer).await;
    assert_eq!(profile.facts.route.as_deref(), Some("/listing/{id}"));
    assert_eq!(details(&profile), ["/listing/{id}", "SELECT '<b>bold</b>'"]);
    assert_eq!(
        (profile.spans[0].category, profile.spans[1].parent),
        ("tower", Some(0))
    );
    assert_eq!(profile.spans[0].kind, Kind::Scope);
    assert!(common::finished_now(&inner).is_empty());
}

/// Many at once, hopping between threads: each sees its own calls and no others.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once() {
    let profiler = profiler(Gate::everyone());
    let handler = async |Path(number): Path<usize>| {
        for step in 0..5 {
            let call = ioprofiler::span("dbshard01", format!("<{number}> {step}"));
            call.wrap(tokio::time::sleep(Duration::from_millis(
                (number % 7) as u64,
            )))
            .await;
            let spawned = async move {
                drop(ioprofiler::span(
                    "memcache_get",
                    format!("<{number}> spawned {step}"),
                ));
            };
            tokio::spawn(ioprofiler::current().wrap(spawned))
                .await
                .unwrap();
        }
        Html(format!("<html><body>{number}</body></html>"))
    };
    let app = Router::new()
        .route("/page/{number}", get(handler))
        .layer(IoprofilerLayer::new(profiler.clone()));
    let address = serve(app).await;
    let asks = (0..200).map(async |number| {
        let path = format!("/page/{number}?ioprofiler=text");
        let answer = tokio::spawn(async move { get_page(address, &path).await })
            .await
            .unwrap();
        let own = format!("<{number}> ");
        let calls: Vec<_> = answer
            .text()
            .lines()
            .filter(|line| line.starts_with('['))
            .collect();
        assert_eq!(calls.len(), 10, "{}", answer.text());
        assert!(
            calls.iter().all(|line| line.contains(&own)),
            "{}",
            answer.text()
        );
    });
    join_all(asks).await;
    for profile in finished(&profiler, 200).await {
        let own = format!("<{}> ", profile.facts.path.trim_start_matches("/page/"));
        assert_eq!(profile.spans.len(), 10);
        assert!(
            details(&profile)
                .iter()
                .all(|detail| detail.starts_with(&own)),
            "{profile:#?}"
        );
    }
}

/// Calls that one task makes at once lie beside each other, whoever of them is polled when: also
/// where some are given up, and some go on in tasks of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_made_at_once_are_those_of_their_page() {
    let profiler = profiler(Gate::closed());
    let call = async |number: u32| {
        let pause = tokio::time::sleep(Duration::from_millis(u64::from(number % 7)));
        let wait = ioprofiler::span("dbshard01", format_args!("joined {number}")).wrap(pause);
        wait.await;
        // Made after others have begun and ended on this thread: still no part of any of them.
        ioprofiler::span("memcache_get", format_args!("after {number}")).run(|| {});
    };
    let work = async move || {
        let given_up = ioprofiler::span("dbshard01", "given up")
            .wrap(tokio::time::sleep(Duration::from_secs(3_600)));
        tokio::select! {
            () = given_up => {}
            _ = join_all((0..20).map(call)) => {}
        }
        let spawned = (20..30).map(|number| tokio::spawn(ioprofiler::current().wrap(call(number))));
        join_all(spawned).await;
    };
    let handler = async move || {
        ioprofiler::scope("template", "all of it")
            .wrap(work())
            .await;
        Html("<html><body></body></html>")
    };
    let app = Router::new()
        .route("/", get(handler))
        .layer(IoprofilerLayer::new(profiler.clone()));
    let address = serve(app).await;
    get_page(address, "/").await;
    let profile = only(&profiler).await;
    let of = |prefix: &str| {
        let is = |span: &&ioprofiler::SpanData| span.detail.starts_with(prefix);
        profile.spans.iter().filter(is).collect::<Vec<_>>()
    };
    let (joined, after, given_up) = (of("joined"), of("after"), of("given up"));
    assert_eq!(
        (joined.len(), after.len(), given_up.len()),
        (30, 30, 1),
        "{profile:#?}"
    );
    assert_eq!(given_up[0].outcome, ioprofiler::Outcome::Cancelled);
    assert!(
        joined
            .iter()
            .chain(&after)
            .all(|span| span.outcome == ioprofiler::Outcome::Ok)
    );
    // Of those that did not leave the page's own task, each is inside its scope, and in nothing else.
    let is_in_page = |span: &&&ioprofiler::SpanData| span.parent == Some(0);
    assert_eq!(joined.iter().filter(is_in_page).count(), 20, "{profile:#?}");
    assert_eq!(after.iter().filter(is_in_page).count(), 20, "{profile:#?}");
    let overlapping = joined.iter().filter(|span| {
        let end = |span: &ioprofiler::SpanData| span.start_ns + span.duration_ns;
        joined.iter().any(|other| {
            !std::ptr::eq(**span, *other)
                && other.start_ns < end(span)
                && span.start_ns < end(other)
        })
    });
    assert!(overlapping.count() > 1, "they ran at once: {profile:#?}");
}

/// A gRPC method is its own template, unless the server says that it has no such method.
#[tokio::test]
async fn grpc_methods_are_routes() {
    let profiler = profiler(Gate::closed());
    let service = tower::service_fn(|request: http::Request<Body>| async move {
        let known = request.uri().path() == "/shop.Listings/Get";
        let response = http::Response::builder().header("content-type", "application/grpc");
        let status = if known { "5" } else { "12" };
        let response = response.header("grpc-status", status).body(Body::empty());
        Ok::<_, std::convert::Infallible>(response.unwrap())
    });
    let service = IoprofilerLayer::new(profiler.clone()).layer(service);
    for (path, content_type) in [
        ("/shop.Listings/Get", "application/grpc+proto"),
        ("/made.Up/Thing", "application/grpc"),
        ("/shop.Listings/Get", "application/json"),
    ] {
        let request = http::Request::post(path).header("content-type", content_type);
        let request = request.body(Body::empty()).unwrap();
        drop(service.clone().oneshot(request).await.unwrap());
    }
    let routes: Vec<_> = finished(&profiler, 3)
        .await
        .into_iter()
        .map(|p| p.facts.route)
        .collect();
    assert_eq!(routes, [Some("/shop.Listings/Get".into()), None, None]);
}

#[tokio::test]
async fn a_gate_without_its_callable_is_closed() {
    let profiler = profiler(Gate::callable());
    let address = serve(app().layer(IoprofilerLayer::new(profiler.clone()))).await;
    assert_eq!(
        get_page(address, "/html?ioprofiler=1").await.text(),
        common::PAGE
    );
    assert_eq!(refusals(&profiler), [("the callable was not asked", 1)]);
}

/// Over HTTP/2 the host comes as authority, and trailers need nobody's leave.
#[tokio::test]
async fn http2() {
    use http_body_util::BodyExt as _;
    use hyper_util::rt::{TokioExecutor, TokioIo};

    let profiler = profiler(Gate::everyone());
    let layer = IoprofilerLayer::new(profiler.clone()).buffer_streams(true);
    let service = hyper_util::service::TowerToHyperService::new(layer.layer(app()));
    let (client, server) = tokio::io::duplex(64 << 10);
    tokio::spawn(
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(server), service),
    );
    let (mut send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client))
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut lengths = Vec::new();
    for query in ["", "?ioprofiler=1"] {
        let uri = format!("http://shop.example/trailers{query}");
        let request = http::Request::get(uri).body(Body::empty()).unwrap();
        let answer = send.send_request(request).await.unwrap();
        assert_eq!(answer.headers().get("x-ioprofiler"), None);
        let whole = answer.into_body().collect().await.unwrap();
        assert_eq!(whole.trailers().unwrap()["x-sum"], "5");
        lengths.push(whole.to_bytes().len());
    }
    assert!(lengths[0] < lengths[1], "{lengths:?}");
    let facts = finished(&profiler, 2).await.remove(0).facts;
    assert_eq!(facts.protocol.as_deref(), Some("HTTP/2.0"));
    assert_eq!(facts.host.as_deref(), Some("shop.example"));
    assert_eq!(facts.scheme.as_deref(), Some("http"));
}
