//! The access log and the compact note of a real server.

mod common;

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::routing::get;
use common::{raw, serve};
use ioprofiler::log_format::read::read_line;
use ioprofiler::{AccessLog, LogFormat, NoteFormat, Profiler};
use ioprofiler_tower::IoprofilerLayer;

const FORMAT: &str = r#"%h %u "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %{Content-Type}o %{X-Shop}o %{sid}C %{cart}n %{route}n"#;

struct Log(std::path::PathBuf);

impl Log {
    fn new(name: &str) -> Self {
        let name = format!("ioprofiler-tower-{name}-{}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn read(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

async fn page() -> ([(HeaderName, &'static str); 2], &'static str) {
    ioprofiler::note("cart", "3 things\r\n\"forged\" %s %{x}n é");
    ioprofiler::note("user_id", 5_020_244);
    let shop = HeaderName::from_static("x-shop");
    (
        [
            (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
            (shop, "clay"),
        ],
        "hello",
    )
}

fn app() -> Router {
    Router::new()
        .route("/page/{id}", get(page))
        .route("/gone", get(|| async { StatusCode::GONE }))
}

#[tokio::test]
async fn each_answer_leaves_one_line_with_the_headers_that_it_names() {
    let log = Log::new("lines");
    let format = LogFormat::parse(FORMAT).unwrap();
    let profiler = Profiler::builder()
        .access_log(AccessLog::file(&log.0, format.clone()))
        .build()
        .unwrap();
    let address = serve(app().layer(IoprofilerLayer::new(profiler.clone()))).await;
    let request = "GET /page/7?a=%22b HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\
                   User-Agent: \"\\ x\x7f\r\nCookie: a=1; sid=s%20d\r\nX-Other: no\r\n\r\n";
    // A control character that HTTP forbids: hyper refuses the request, so it is no page of ours.
    raw(address, request).await;
    let request = request.replace('\x7f', "é\t");
    raw(address, &request).await;
    raw(
        address,
        "HEAD /gone HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(profiler.flush(Duration::from_secs(10)));
    let text = log.read();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            concat!(
                r#"127.0.0.1 - "GET /page/7?a=%22b HTTP/1.1" 200 5 "-" "\"\\ x\xc3\xa9" "#,
                "text/plain clay s%20d 3%20things%0D%0A%22forged%22%20%25s%20%25%7Bx%7Dn%20%C3%A9 /page/%7Bid%7D"
            ),
            r#"127.0.0.1 - "HEAD /gone HTTP/1.1" 410 - "-" "-" - - - - /gone"#,
        ]
    );
    let values = read_line(&format, lines[0]).unwrap();
    let cart = values.iter().find(|(name, _)| name == "%{cart}n").unwrap();
    assert_eq!(
        cart.1.as_deref(),
        Some("3 things\r\n\"forged\" %s %{x}n é".as_bytes())
    );
}

#[tokio::test]
async fn the_note_for_a_server_in_front_is_a_header() {
    let profiler = Profiler::builder()
        .note_format(NoteFormat::parse("%{user_id}n %{cart}n %s %{memory}n").unwrap())
        .build()
        .unwrap();
    let name = HeaderName::from_static("x-ioprofiler-note");
    let layer = IoprofilerLayer::new(profiler.clone()).note_header(name);
    let address = serve(app().layer(layer)).await;
    for (path, wanted) in [
        (
            "/page/1",
            "5020244 3%20things%0D%0A%22forged%22%20%25s%20%25%7Bx%7Dn%20%C3%A9 200 -",
        ),
        ("/gone", "- - 410 -"),
        ("/nothing", "- - 404 -"),
    ] {
        let answer = common::get_page(address, path).await;
        let note = answer
            .headers
            .iter()
            .find(|(name, _)| name == "x-ioprofiler-note");
        assert_eq!(note.unwrap().1, wanted, "{path}");
    }
    let address = serve(app().layer(IoprofilerLayer::new(profiler))).await;
    let answer = common::get_page(address, "/page/1").await;
    assert!(
        answer
            .headers
            .iter()
            .all(|(name, _)| name != "x-ioprofiler-note")
    );
}
