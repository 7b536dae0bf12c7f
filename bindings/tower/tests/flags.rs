//! Flags through the layer: the viewer's own, and the gate's.

mod common;

use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse as _};
use axum::routing::get;
use common::{Watched, only, profiler, refusals, request, serve};
use ioprofiler::flags::{Document, Enabled, FlagSpec, compile};
use ioprofiler::gate::Gate;
use ioprofiler_tower::IoprofilerLayer;
use std::net::SocketAddr;

/// A shop whose search asks a flag, and whose staff are a group.
async fn shop(gate: Gate) -> (Watched, SocketAddr) {
    let profiler = profiler(gate);
    let mut document = Document::default();
    document.flags.push(FlagSpec::new("tower_search"));
    let mut panel = FlagSpec::new("tower_panel");
    panel.groups.push(("staff".to_owned(), "on".to_owned()));
    document.flags.push(panel);
    let mut killed = FlagSpec::new("tower_killed");
    killed.enabled = Enabled::Off;
    document.flags.push(killed);
    profiler.set_flags(compile(document));
    let search = |headers: axum::http::HeaderMap| async move {
        let live = ioprofiler::current();
        if headers.contains_key("x-staff") {
            live.add_group("staff");
        }
        let page = format!(
            "<html><body>search {} killed {}</body></html>",
            live.variant("tower_search"),
            live.variant("tower_killed")
        );
        let cached = [
            (header::CACHE_CONTROL, "public, max-age=60"),
            (header::ETAG, "\"1\""),
        ];
        let conditional = headers.contains_key(header::IF_NONE_MATCH).to_string();
        (cached, [("x-conditional", conditional)], Html(page)).into_response()
    };
    let app = Router::new().route("/search", get(search));
    let app = app.layer(IoprofilerLayer::new(profiler.clone()));
    (profiler, serve(app).await)
}

const OFF: &str = "<html><body>search off killed off</body></html>";
const ON: &str = "<html><body>search on killed off</body></html>";

/// Nobody else is ever shown it, though no profile was asked for.
#[track_caller]
fn assert_private(answer: &common::Answer) {
    assert_eq!(answer.all("cache-control"), ["private, no-store"]);
    assert_eq!(answer.header("cdn-cache-control"), Some("no-store"));
    assert_eq!(answer.header("etag"), None);
    assert_eq!(answer.header("server-timing"), None);
}

#[tokio::test]
async fn a_viewers_own_flags_hold_where_the_gate_is_open_and_the_answer_is_private() {
    let (watched, address) = shop(Gate::everyone()).await;
    let line = "GET /search?q=a&ioflags=tower_search%3Aon,tower_killed:on";
    let answer = request(address, line, "If-None-Match: \"1\"\r\n").await;
    assert_eq!(answer.text(), ON);
    assert_private(&answer);
    assert_eq!(answer.header("x-conditional"), Some("false"));
    let profile = only(&watched).await;
    let exposures = &profile.flags.as_ref().expect("flags").exposures;
    assert_eq!(exposures[0].reason.as_str(), "override");
    assert_eq!(exposures[1].reason.as_str(), "killed");
}

#[tokio::test]
async fn the_cookie_does_the_same_and_the_query_goes_before_it() {
    let (_watched, address) = shop(Gate::everyone()).await;
    let cookie = "Cookie: a=b; ioprofiler_flags=tower_search:on\r\n";
    let answer = request(address, "GET /search", cookie).await;
    assert_eq!(answer.text(), ON);
    assert_private(&answer);
    let answer = request(address, "GET /search?ioflags=tower_search:off", cookie).await;
    assert_eq!(answer.text(), OFF);
}

#[tokio::test]
async fn with_the_gate_closed_nothing_changes_but_the_count() {
    let (watched, address) = shop(Gate::closed()).await;
    let plain = request(address, "GET /search", "").await;
    let asked = request(address, "GET /search?ioflags=tower_search", "").await;
    assert_eq!(asked.text(), OFF);
    let without_date = |answer: &common::Answer| {
        let mut headers = answer.headers.clone();
        headers.retain(|(name, _)| name != "date");
        headers
    };
    assert_eq!(without_date(&plain), without_date(&asked));
    assert_eq!(refusals(&watched), [("no way in is configured", 1)]);
}

#[tokio::test]
async fn the_gates_flag_is_asked_after_the_handler_and_knows_no_override() {
    let (watched, address) = shop(Gate::flag("tower_panel")).await;
    let staff = request(address, "GET /search?ioprofiler=1", "X-Staff: 1\r\n").await;
    staff.assert_open();
    assert!(
        staff.text().contains("ioprofiler-panel"),
        "{}",
        staff.text()
    );
    let buyer = request(address, "GET /search?ioprofiler=1&ioflags=tower_panel", "").await;
    assert_eq!(buyer.text(), OFF);
    assert_eq!(buyer.header("cache-control"), Some("public, max-age=60"));
    assert_eq!(
        refusals(&watched),
        [
            ("the callable was not asked", 1),
            ("the gate's flag is off", 1)
        ]
    );
}

#[tokio::test]
async fn a_callable_beside_the_flag_is_asked_where_the_flag_says_no() {
    let watched = profiler(Gate::flag("nobody_knows_it"));
    let layer = IoprofilerLayer::new(watched.clone())
        .gate(|asking| asking.request().headers.contains_key("x-owner"));
    let app = Router::new().route("/", get(|| async { Html("<html><body></body></html>") }));
    let address = serve(app.layer(layer)).await;
    let owner = request(address, "GET /?ioprofiler=1", "X-Owner: 1\r\n").await;
    owner.assert_open();
    let other = request(address, "GET /?ioprofiler=1", "").await;
    assert_eq!(other.text(), "<html><body></body></html>");
    assert_eq!(refusals(&watched), [("the callable said no", 1)]);
}
