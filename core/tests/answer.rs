//! What an open gate does to an answer that is a status and a list of headers.

use ioprofiler::answer::{Aim, Answering, Head, aim};
use ioprofiler::gate::Form;
use ioprofiler::inject::NotShown;
use ioprofiler::profile::ProfileData;

const PAGE: &[u8] = b"<html><body>Hello</body></html>";

fn head(status: u16, headers: &[(&str, &str)]) -> Head {
    let mut head = Head::new(status);
    for (name, value) in headers {
        head.add(name.as_bytes(), value.as_bytes());
    }
    head
}

fn values(head: &Head, name: &str) -> Vec<String> {
    head.headers
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))
        .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        .collect()
}

#[test]
fn the_panel_goes_into_a_page_and_the_head_is_mended() {
    let mut head = head(
        200,
        &[
            ("Content-Type", "text/html; charset=utf-8"),
            ("Set-Cookie", "a=1"),
            ("Content-Length", "31"),
            ("ETag", "\"5\""),
            ("Cache-Control", "public"),
            ("Set-Cookie", "b=2"),
            ("cache-control", "max-age=60"),
        ],
    );
    let aim = aim(Form::Page, &head, &Answering::new("GET")).unwrap();
    let page = head
        .show(aim, PAGE, "4bf92f35", &ProfileData::default())
        .unwrap();
    assert!(page.starts_with(b"<html><body>Hello"));
    assert!(page.ends_with(b"</body></html>"));
    assert_eq!(values(&head, "content-length"), [page.len().to_string()]);
    assert_eq!(values(&head, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(values(&head, "cache-control"), ["private, no-store"]);
    assert!(values(&head, "etag").is_empty());
    assert_eq!(values(&head, "x-ioprofiler-request"), ["4bf92f35"]);
    assert!(values(&head, "x-ioprofiler").is_empty());
}

#[test]
fn a_page_without_a_place_stays_and_says_so() {
    let mut head = head(
        200,
        &[("Content-Type", "text/html"), ("Content-Length", "5")],
    );
    let aim = aim(Form::Page, &head, &Answering::new("GET")).unwrap();
    assert_eq!(head.show(aim, b"Hello", "1", &ProfileData::default()), None);
    assert_eq!(values(&head, "content-length"), ["5"]);
    assert_eq!(values(&head, "x-ioprofiler"), ["not-shown; no-body-end"]);
    assert_eq!(values(&head, "x-robots-tag"), ["noindex"]);
}

#[test]
fn text_takes_the_place_of_any_body() {
    let mut head = head(
        304,
        &[
            ("Content-Encoding", "gzip"),
            ("Content-Type", "image/png"),
            ("Location", "/elsewhere"),
        ],
    );
    let aim = aim(Form::Text, &head, &Answering::new("GET")).unwrap();
    assert_eq!(aim, Aim::Replace(Form::Text));
    let text = head.show(aim, b"", "1", &ProfileData::default()).unwrap();
    assert_eq!(head.status, 200);
    assert!(values(&head, "content-encoding").is_empty());
    assert_eq!(values(&head, "content-type"), ["text/plain; charset=utf-8"]);
    assert_eq!(values(&head, "content-length"), [text.len().to_string()]);
    assert_eq!(values(&head, "x-content-type-options"), ["nosniff"]);
    assert_eq!(values(&head, "location"), ["/elsewhere"]);
}

#[test]
fn what_the_head_forbids_is_not_shown() {
    let page = [("Content-Type", "text/html")];
    let streamed = head(200, &page);
    let length = Answering::new("GET");
    assert_eq!(
        aim(Form::Page, &streamed, &length),
        Err(NotShown::Streaming)
    );
    assert!(aim(Form::Page, &streamed, &length.length(Some(5))).is_ok());
    assert!(aim(Form::Page, &streamed, &length.buffer_streams(true)).is_ok());
    let large = length.length(Some(6)).max_page(5);
    assert_eq!(aim(Form::Page, &streamed, &large), Err(NotShown::TooLarge));
    let asked_head = Answering::new("HEAD").length(Some(5));
    assert_eq!(aim(Form::Text, &streamed, &asked_head), Err(NotShown::Head));
    assert!(head(200, &[("content-type", "text/event-stream")]).is_endless());
}

#[test]
fn not_shown_without_a_request_has_no_id() {
    let mut head = head(200, &[]);
    head.not_shown(NotShown::NotObserved, "", None);
    assert_eq!(values(&head, "x-ioprofiler"), ["not-shown; not-observed"]);
    assert!(values(&head, "x-ioprofiler-request").is_empty());
    assert!(values(&head, "server-timing").is_empty());
}
