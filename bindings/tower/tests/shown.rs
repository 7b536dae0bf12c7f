//! Asked, with the gate open: what the answer then looks like, for every kind of answer.

mod common;

use std::net::SocketAddr;

use axum::Router;
use common::{
    Answer, PAGE, Watched, app, finished, get_page, only, profiler, refusals, request, serve,
};
use ioprofiler::gate::{Gate, TokenKeys};
use ioprofiler_tower::IoprofilerLayer;
use scraper::{Html, Selector};
use tower_http::compression::CompressionLayer;

async fn open(change: impl FnOnce(IoprofilerLayer) -> IoprofilerLayer) -> (Watched, SocketAddr) {
    let profiler = profiler(Gate::everyone());
    let layer = change(IoprofilerLayer::new(profiler.clone()));
    (profiler, serve(app().layer(layer)).await)
}

/// A browser finds the panel as a child of the body, and the rest of the page as it was.
#[track_caller]
fn assert_panel(answer: &Answer, before: &str, behind: &str) {
    let text = String::from_utf8_lossy(&answer.body);
    let panel = text
        .strip_prefix(before)
        .and_then(|t| t.strip_suffix(behind))
        .expect(&text);
    assert!(!panel.is_empty());
    assert_eq!(answer.header("x-ioprofiler"), None);
    answer.assert_open();
    if let Some(length) = answer.header("content-length") {
        assert_eq!(length, answer.body.len().to_string());
    }
    let document = Html::parse_document(&text);
    let children = Selector::parse("body > *").unwrap();
    let last = document.select(&children).next_back().unwrap();
    let without = Html::parse_document(&format!("{before}{behind}"));
    assert_eq!(
        document.select(&children).count(),
        without.select(&children).count() + 1
    );
    assert!(
        last.html().contains("SELECT") || !panel.contains("SELECT"),
        "{}",
        last.html()
    );
}

fn split(page: &str) -> (&str, &str) {
    page.split_at(page.rfind("</body>").unwrap())
}

#[tokio::test]
async fn the_panel_is_in_the_page() {
    let (profiler, address) = open(|layer| layer).await;
    let answer = get_page(address, "/html?ioprofiler=1").await;
    assert_eq!(answer.status, 200);
    let (before, behind) = split(PAGE);
    assert_panel(&answer, before, behind);
    assert!(answer.text().contains("dbshard01"), "{}", answer.text());
    // A call's detail is text, never markup.
    assert!(answer.text().contains("bold") && !answer.text().contains("<b>bold"));
    assert_eq!(
        answer.all("vary"),
        ["Accept", "Cookie, X-Ioprofiler, X-Ioprofiler-Token"]
    );
    assert_eq!(answer.header("x-robots-tag"), Some("noindex"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let profile = only(&profiler).await;
    assert_eq!(answer.header("x-ioprofiler-request"), Some(&*profile.id));
    assert_eq!(profile.facts.bytes_out, Some(answer.body.len() as u64));
    assert!(refusals(&profiler).is_empty());
}

#[tokio::test]
async fn pages_of_every_status_and_charset() {
    let (_profiler, address) = open(|layer| layer).await;
    let (before, behind) = split(PAGE);
    for (path, status) in [("/error", 500), ("/nothing", 404), ("/listing/5", 200)] {
        let answer = get_page(address, &format!("{path}?ioprofiler=1")).await;
        assert_eq!(answer.status, status);
        assert_panel(&answer, before, behind);
    }
    let latin = get_page(address, "/latin?ioprofiler=1").await;
    assert!(latin.body.starts_with(b"<html><body>caf\xe9<"));
    assert!(latin.body[17..].is_ascii());
    let xhtml = get_page(address, "/xhtml?ioprofiler=1").await;
    assert_panel(
        &xhtml,
        "<html xmlns=\"http://www.w3.org/1999/xhtml\"><body><br/>",
        "</body></html>",
    );
    assert!(xhtml.text().contains("<iframe xmlns="));
}

/// Nothing that the page's policy would block, and report.
#[tokio::test]
async fn the_panel_keeps_to_the_pages_policy() {
    let (_profiler, address) = open(|layer| layer).await;
    let strict = get_page(address, "/strict?ioprofiler=1").await;
    let (before, behind) = split(PAGE);
    assert_panel(&strict, before, behind);
    let added = &strict.text()[before.len()..];
    assert!(added.starts_with("<ioprofiler-panel "), "{added}");
    assert!(
        !added.contains("<style") && !added.contains("<script"),
        "{added}"
    );
    let nonce = get_page(address, "/nonce?ioprofiler=1").await;
    assert!(
        nonce.text().contains("<style nonce=\"r4nd0m\""),
        "{}",
        nonce.text()
    );
    assert!(nonce.text().contains("<script nonce=\"r4nd0m\""));
    let free = get_page(address, "/html?ioprofiler=1").await;
    assert!(free.text().contains("<style>"));
}

#[tokio::test]
async fn repeated_headers_stay() {
    let (_profiler, address) = open(|layer| layer).await;
    let answer = get_page(address, "/headers?ioprofiler=1").await;
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!(answer.all("server-timing").len(), 2);
    assert_eq!(answer.all("server-timing")[0], "cdn;dur=1");
    assert_eq!(answer.all("vary")[0], "a");
    assert_eq!(answer.header("digest"), None);
}

#[tokio::test]
async fn conditional_requests_are_answered_whole() {
    let (_profiler, address) = open(|layer| layer).await;
    let (before, behind) = split(PAGE);
    for header in ["If-None-Match: \"5\"\r\n", "Range: bytes=0-4\r\n"] {
        let answer = request(address, "GET /conditional?ioprofiler=1", header).await;
        assert_eq!(answer.status, 200, "{header}");
        assert_panel(&answer, before, behind);
    }
}

#[tokio::test]
async fn what_cannot_carry_it_says_why() {
    let (_profiler, address) = open(|layer| layer).await;
    for (line, reason) in [
        ("GET /json", "content-type"),
        ("GET /stream", "streaming"),
        ("GET /chunks", "streaming"),
        ("GET /trailers", "streaming"),
        ("GET /attachment", "attachment"),
        ("GET /gzipped", "content-encoding"),
        ("GET /unclosed", "no-body-end"),
        ("GET /empty", "status"),
        ("HEAD /html", "head"),
        ("POST /post", "no-content-type"),
    ] {
        let plain = request(address, line, "").await;
        let asked = request(address, &format!("{line}?ioprofiler=1"), "").await;
        asked.assert_not_shown(reason);
        assert_eq!(
            (asked.status, &asked.body),
            (plain.status, &plain.body),
            "{line}"
        );
        for name in [
            "content-length",
            "transfer-encoding",
            "location",
            "set-cookie",
        ] {
            assert_eq!(asked.header(name), plain.header(name), "{line}");
        }
    }
}

#[tokio::test]
async fn streams_carry_it_when_the_host_says_so() {
    let (profiler, address) = open(|layer| layer.buffer_streams(true)).await;
    let answer = get_page(address, "/stream?ioprofiler=1").await;
    assert_panel(&answer, "<html><body>onetwo", "</body></html>");
    // The calls that the stream itself made are in it.
    assert_eq!(answer.text().matches("data-row=\"call\"").count(), 5);
    assert_eq!(only(&profiler).await.spans.len(), 5);
}

#[tokio::test]
async fn trailers_stay() {
    let (_profiler, address) = open(|layer| layer.buffer_streams(true)).await;
    let text = "GET /trailers?ioprofiler=1 HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\
                Connection: close\r\n\r\n";
    let raw = common::raw(address, text).await;
    assert!(
        raw.ends_with(b"\r\n0\r\nx-sum: 5\r\n\r\n"),
        "{}",
        String::from_utf8_lossy(&raw)
    );
    assert_panel(&Answer::parse(&raw), "<p>trailed</p>", "</body>");
}

#[tokio::test]
async fn too_large_is_sent_on_whole() {
    let (profiler, address) = open(|layer| layer.buffer_streams(true).max_page(10_000)).await;
    let plain = get_page(address, "/large").await;
    let asked = get_page(address, "/large?ioprofiler=1").await;
    asked.assert_not_shown("too-large");
    assert_eq!(asked.body, plain.body);
    let (_, address) = open(|layer| layer.max_page(20)).await;
    get_page(address, "/html?ioprofiler=1")
        .await
        .assert_not_shown("too-large");
    let profiles = finished(&profiler, 2).await;
    assert!(
        profiles
            .iter()
            .all(|p| p.state == ioprofiler::profile::State::Finished)
    );
}

#[tokio::test]
async fn text_json_and_ticket_replace_the_body() {
    let (profiler, address) = open(|layer| layer).await;
    for (form, content_type) in [
        ("text", "text/plain; charset=utf-8"),
        ("ticket", "text/plain; charset=utf-8"),
        ("json", "application/json"),
    ] {
        for path in [
            "/html",
            "/json",
            "/stream",
            "/large",
            "/gzipped",
            "/trailers",
            "/attachment",
        ] {
            let answer = get_page(address, &format!("{path}?ioprofiler={form}")).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.all("content-type"), [content_type], "{path}");
            assert_eq!(
                answer.all("content-length"),
                [answer.body.len().to_string()]
            );
            for gone in [
                "content-encoding",
                "content-disposition",
                "transfer-encoding",
                "trailer",
            ] {
                assert_eq!(answer.header(gone), None, "{path}");
            }
            assert!(!answer.text().contains("<html"), "{path}");
            answer.assert_open();
        }
    }
    let text = get_page(address, "/html?ioprofiler=text").await;
    assert!(text.text().contains("\n[dbshard01] "), "{}", text.text());
    let ticket = get_page(address, "/html?ioprofiler=ticket").await;
    assert!(ticket.text().contains("[dbshard01]"), "{}", ticket.text());
    let count = finished(&profiler, 23).await.len();
    assert_eq!(count, 23);
}

#[tokio::test]
async fn the_handlers_stream_runs_to_its_end_for_a_text() {
    let (profiler, address) = open(|layer| layer).await;
    let answer = get_page(address, "/stream?ioprofiler=text").await;
    assert_eq!(
        answer.text().matches("\n[memcache_get]").count(),
        5,
        "{}",
        answer.text()
    );
    assert_eq!(
        only(&profiler).await.facts.bytes_out,
        Some(answer.body.len() as u64)
    );
    let (_, address) = open(|layer| layer.max_page(25)).await;
    let cut = get_page(address, "/large?ioprofiler=text").await;
    assert_eq!(
        cut.text().matches("\n[memcache_get]").count(),
        3,
        "{}",
        cut.text()
    );
}

#[tokio::test]
async fn what_has_no_end_is_not_waited_for() {
    let (_profiler, address) = open(|layer| layer).await;
    let answer = get_page(address, "/events?ioprofiler=text").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.text().starts_with("# GET /events"),
        "{}",
        answer.text()
    );
}

#[tokio::test]
async fn statuses_without_a_body_get_one() {
    let (_profiler, address) = open(|layer| layer).await;
    assert_eq!(
        get_page(address, "/empty?ioprofiler=text").await.status,
        200
    );
    let redirect = request(address, "POST /post?ioprofiler=text", "").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (303, Some("/html"))
    );
    assert_eq!(redirect.header("set-cookie"), Some("a=1"));
    assert!(
        redirect.text().contains("[dbshard02]"),
        "{}",
        redirect.text()
    );
    request(address, "HEAD /html?ioprofiler=text", "")
        .await
        .assert_not_shown("head");
}

#[tokio::test]
async fn asked_by_header_and_cookie() {
    let (_profiler, address) = open(|layer| layer).await;
    let text = request(address, "GET /html", "X-Ioprofiler: text\r\n").await;
    assert!(text.text().starts_with("# GET /html"));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let cookie = format!("Cookie: a=1; ioprofiler_ask=text.{}\r\n", now + 60);
    assert!(
        request(address, "GET /html", &cookie)
            .await
            .text()
            .starts_with("# GET /html")
    );
}

#[tokio::test]
async fn with_compression() {
    let profiler = profiler(Gate::everyone());
    let layer = IoprofilerLayer::new(profiler.clone());
    let gzip = "Accept-Encoding: gzip\r\n";
    let outside = serve(app().layer(layer.clone()).layer(CompressionLayer::new())).await;
    let shown = request(outside, "GET /html?ioprofiler=1", gzip).await;
    assert_eq!(shown.header("content-encoding"), Some("gzip"));
    assert_eq!(shown.header("x-ioprofiler"), None);
    shown.assert_open();
    let inside = serve(app().layer(CompressionLayer::new()).layer(layer)).await;
    let not_shown = request(inside, "GET /html?ioprofiler=1", gzip).await;
    not_shown.assert_not_shown("content-encoding");
    assert!(not_shown.body.starts_with(b"\x1f\x8b"));
}

#[tokio::test]
async fn a_token_opens_and_says_who() {
    let keys = TokenKeys::new(&["a secret of more than thirty-two bytes"]).unwrap();
    let profiler = profiler(Gate::token(keys.clone()));
    let address = serve(app().layer(IoprofilerLayer::new(profiler.clone()))).await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let token = keys.mint("ann", "shop.example", 600, now).unwrap();
    let header = format!("X-Ioprofiler-Token: {}\r\n", token.as_str());
    let answer = request(address, "GET /html?ioprofiler=text", &header).await;
    assert!(
        answer.text().starts_with("# GET /html"),
        "{}",
        answer.text()
    );
    assert_eq!(only(&profiler).await.facts.viewer.as_deref(), Some("ann"));
    let refused = get_page(address, "/html?ioprofiler=text").await;
    assert_eq!(
        (refused.text(), refused.header("etag")),
        (PAGE, Some("\"5\""))
    );
    assert_eq!(refusals(&profiler), [("no token", 1)]);
}

#[tokio::test]
async fn the_hosts_gate_is_asked_last() {
    #[derive(Clone)]
    struct Staff;
    let profiler = profiler(Gate::closed());
    let layer = IoprofilerLayer::new(profiler.clone()).gate(|asking| {
        assert_eq!(asking.request().uri.path(), "/html");
        assert!(!asking.live().is_none());
        assert!(!asking.request().headers.contains_key("x-bomb"), "boom");
        asking.response().extensions.get::<Staff>().is_some()
    });
    let authenticated = app().layer(axum::middleware::map_response_with_state(
        (),
        async |mut response: axum::response::Response| {
            response.extensions_mut().insert(Staff);
            response
        },
    ));
    let staff = serve(authenticated.layer(layer.clone())).await;
    assert_panel(
        &get_page(staff, "/html?ioprofiler=1").await,
        split(PAGE).0,
        split(PAGE).1,
    );
    // A panic in it is a no.
    let bomb = request(staff, "GET /html?ioprofiler=1", "X-Bomb: 1\r\n").await;
    assert_eq!((bomb.text(), bomb.header("etag")), (PAGE, Some("\"5\"")));
    let everybody = serve(app().layer(layer)).await;
    let refused = get_page(everybody, "/html?ioprofiler=1").await;
    assert_eq!(
        (refused.text(), refused.header("etag")),
        (PAGE, Some("\"5\""))
    );
    assert_eq!(
        refusals(&profiler),
        [("the callable failed", 1), ("the callable said no", 1)]
    );
    // Not asked for: not called.
    assert_eq!(get_page(everybody, "/json").await.status, 200);
}

#[tokio::test]
async fn under_a_later_verdict_conditions_stay() {
    let profiler = profiler(Gate::closed());
    let layer = IoprofilerLayer::new(profiler.clone()).gate(|_| true);
    let address = serve(app().layer(layer)).await;
    let line = "GET /conditional?ioprofiler=1";
    let not_modified = request(address, line, "If-None-Match: \"5\"\r\n").await;
    assert_eq!(not_modified.status, 304);
    not_modified.assert_not_shown("status");
    let part = request(address, line, "Range: bytes=0-4\r\n").await;
    assert_eq!((part.status, part.text()), (206, "<html"));
    part.assert_not_shown("partial");
    let text = request(
        address,
        "GET /conditional?ioprofiler=text",
        "Range: bytes=0-4\r\n",
    )
    .await;
    assert_eq!((text.status, text.header("content-range")), (200, None));
}

#[tokio::test]
async fn nothing_outside_the_layer_is_touched() {
    let profiler = profiler(Gate::everyone());
    let inner = Router::new()
        .nest("/shop", app())
        .layer(IoprofilerLayer::new(profiler.clone()));
    let address = serve(inner).await;
    let answer = get_page(address, "/shop/html?ioprofiler=text").await;
    assert!(
        answer.text().starts_with("# GET /shop/html"),
        "{}",
        answer.text()
    );
}
