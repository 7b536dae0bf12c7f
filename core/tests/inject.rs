//! Which answers may carry the panel, and where it goes.

use ioprofiler::inject::{
    Answer, DEFAULT_CAP, InlineCode, NotShown, TAIL, inline_code, is_endless, may_inject,
    may_replace, position, replaced_status,
};
use proptest::prelude::*;

fn html<'a>() -> Answer<'a> {
    Answer::new("GET", 200)
        .header("content-type", b"text/html")
        .length(Some(100))
}

fn with_type(content_type: &str) -> Result<(), NotShown> {
    let answer = Answer::new("GET", 200).length(Some(100));
    may_inject(&answer.header("Content-Type", content_type.as_bytes())).map(|_| ())
}

#[test]
fn methods_and_statuses() {
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
        let answer = Answer::new(method, 200)
            .header("content-type", b"text/html")
            .length(Some(1));
        assert!(may_inject(&answer).is_ok(), "{method}");
    }
    let head = Answer::new("HEAD", 200)
        .header("content-type", b"text/html")
        .length(Some(1));
    assert_eq!(may_inject(&head), Err(NotShown::Head));
    let connect = Answer::new("CONNECT", 200)
        .header("content-type", b"text/html")
        .length(Some(1));
    assert_eq!(may_inject(&connect), Err(NotShown::Upgrade));
    for (status, reason) in [
        (100, Some(NotShown::Status)),
        (101, Some(NotShown::Upgrade)),
        (103, Some(NotShown::Status)),
        (200, None),
        (201, None),
        (204, Some(NotShown::Status)),
        (205, Some(NotShown::Status)),
        (206, Some(NotShown::Partial)),
        (302, None),
        (304, Some(NotShown::Status)),
        (404, None),
        (500, None),
        (599, None),
    ] {
        let answer = Answer::new("GET", status)
            .header("content-type", b"text/html")
            .length(Some(1));
        assert_eq!(may_inject(&answer).err(), reason, "{status}");
    }
}

#[test]
fn content_types() {
    for yes in [
        "text/html",
        "TEXT/HTML",
        " text/html ",
        "text/html;",
        "text/html;charset=utf-8",
        "text/html; charset=\"UTF-8\"; q=1",
        "text/html ; x=\"a;charset=utf-16\"; charset=utf8",
        "text/html; charset=iso-8859-1",
        "text/html; charset=windows-1252",
        "text/html; charset=Shift_JIS",
        "text/html; charset=",
        "application/xhtml+xml",
        "application/xhtml+xml; charset=utf-8",
    ] {
        assert_eq!(with_type(yes), Ok(()), "{yes}");
    }
    for no in [
        "",
        "text/plain",
        "text/html-template",
        "text/htm",
        "xtext/html",
        "text/html, text/plain",
        "application/json",
        "application/xml",
        "image/svg+xml",
        "multipart/x-mixed-replace; boundary=text/html",
        "*/*",
        "text / html",
    ] {
        assert_eq!(with_type(no), Err(NotShown::ContentType), "{no}");
    }
    for no in [
        "text/html; charset=utf-16",
        "text/html; charset=UTF-16LE",
        "text/html; charset=utf-32",
        "text/html; charset=utf-7",
        "text/html; charset=iso-2022-jp",
        "text/html; charset=hz-gb-2312",
        "text/html; charset=ibm037",
        "text/html; charset=nonsense",
        "text/html; charset=utf-8; charset=iso-8859-1",
    ] {
        assert_eq!(with_type(no), Err(NotShown::Charset), "{no}");
    }
    // An unclosed quote: what a browser makes of it too.
    assert_eq!(with_type("text/html; charset=\"utf-8"), Ok(()));
}

#[test]
fn several_content_types_are_none() {
    let none = Answer::new("GET", 200).length(Some(1));
    assert_eq!(may_inject(&none), Err(NotShown::NoContentType));
    assert_eq!(
        may_inject(&html().header("Content-type", b"text/html")),
        Err(NotShown::NoContentType)
    );
}

#[test]
fn other_headers() {
    for (name, value, reason) in [
        ("content-encoding", "gzip", Some(NotShown::ContentEncoding)),
        ("Content-Encoding", "br", Some(NotShown::ContentEncoding)),
        ("content-encoding", "identity", None),
        ("content-encoding", " Identity ,", None),
        ("content-encoding", "", None),
        (
            "content-encoding",
            "identity, gzip",
            Some(NotShown::ContentEncoding),
        ),
        ("transfer-encoding", "chunked", None),
        (
            "transfer-encoding",
            "gzip, chunked",
            Some(NotShown::ContentEncoding),
        ),
        ("content-disposition", "inline", None),
        ("content-disposition", "inline; filename=attachment", None),
        (
            "content-disposition",
            "attachment",
            Some(NotShown::Attachment),
        ),
        (
            "content-disposition",
            "ATTACHMENT; filename=x",
            Some(NotShown::Attachment),
        ),
        (
            "content-disposition",
            "unheard-of",
            Some(NotShown::Attachment),
        ),
        ("content-range", "bytes 0-1/2", Some(NotShown::Partial)),
        ("x-anything", "gzip", None),
    ] {
        assert_eq!(
            may_inject(&html().header(name, value.as_bytes())).err(),
            reason,
            "{name}: {value}"
        );
    }
}

#[test]
fn lengths() {
    assert!(may_inject(&html().length(Some(DEFAULT_CAP))).is_ok());
    assert_eq!(
        may_inject(&html().length(Some(DEFAULT_CAP + 1))),
        Err(NotShown::TooLarge)
    );
    assert_eq!(
        may_inject(&html().length(Some(11)).cap(10)),
        Err(NotShown::TooLarge)
    );
    assert_eq!(may_inject(&html().length(None)), Err(NotShown::Streaming));
    assert!(may_inject(&html().length(None).buffer_streams(true)).is_ok());
}

#[test]
fn replacing_is_freer() {
    assert_eq!(may_replace("GET", 206), Ok(()));
    assert_eq!(may_replace("POST", 204), Ok(()));
    assert_eq!(may_replace("HEAD", 200), Err(NotShown::Head));
    assert_eq!(may_replace("GET", 101), Err(NotShown::Upgrade));
    assert_eq!(may_replace("GET", 103), Err(NotShown::Status));
    for (status, replaced) in [
        (200, 200),
        (204, 200),
        (206, 200),
        (302, 302),
        (304, 200),
        (500, 500),
    ] {
        assert_eq!(replaced_status(status), replaced);
    }
    assert!(is_endless(b"Text/Event-Stream; charset=utf-8"));
    assert!(is_endless(b"multipart/x-mixed-replace;boundary=x"));
    assert!(!is_endless(b"text/html"));
}

#[test]
fn reasons_are_stable_words() {
    for reason in [
        NotShown::Head,
        NotShown::Streaming,
        NotShown::NoBodyEnd,
        NotShown::Memory,
    ] {
        assert_eq!(reason.header_value(), format!("not-shown; {reason}"));
    }
}

/// Each page with `|` where the panel belongs; none where it belongs nowhere.
const PLACES: &[&str] = &[
    "<p>hello|</body></html>",
    "<p>hello|</BODY>",
    "|</body>",
    "x|</body\n >",
    "x|</body/>",
    "x|</body class='>'></html>",
    "|</body></html><!-- </body> -->",
    "a</body>b|</body>c",
    "no end",
    "</bodyx>",
    "</body",
    "</body ",
    "<p></ body>",
    "<!-- </body>",
    "<!-- </body> -->",
    "<!--> |</body>",
    "<!---> |</body>",
    "<!-- x --!> |</body>",
    "<!-- x -- > </body>",
    "<!-- x --->|</body>",
    "<script>var end = '</body>';</script>",
    "<script>var end = '</body>';</script>|</body>",
    "|</body><script>var end = '</body>';</script>",
    "<script>'</scripty></body>'</script >|</body>",
    "<script><!-- <script> </script> </body> --></script>|</body>",
    "<script><!-- </script>|</body>",
    "<script><!--><script></script>|</body>",
    "<script><!-- <script> </script></body>",
    "<SCRIPT src=a>x</script>|</body>",
    "<style>a::after { content: '</body>' }</style>|</body>",
    "<textarea></body></textarea>|</body>",
    "<title></body></title>|</body>",
    "<noscript></body></noscript>|</body>",
    "<iframe srcdoc=\"<body>x</body>\"></iframe>|</body>",
    "<a title='</body>'>|</body>",
    "<a title = '</body>' b>|</body>",
    "<a title=x'y>|</body>",
    "<a 'title>|</body>",
    "<a title=/'>|</body>",
    "<a title=\"</body>",
    "1 < 2 <3 |</body>",
    "<!doctype html>|</body>",
    "<? </body> ?>|</body>",
    "<svg><script/></svg>|</body>",
    "<svg><![CDATA[ </body> ]]></svg>|</body>",
    "<script/></body>",
    "<plaintext></body>",
    "",
    "<",
    "</",
    "<!",
    "<!-",
    "<!--",
];

#[test]
fn places() {
    for marked in PLACES {
        let page = marked.replacen('|', "", 1);
        assert_eq!(position(page.as_bytes()), marked.find('|'), "{marked}");
    }
}

const XHTML_PLACES: &[&str] = &[
    "<?xml version='1.0'?><!DOCTYPE html [<!ENTITY a '>'>]><html><body>|</body></html>",
    "<html><body>|</body ></html><!-- </body> -->",
    "<body><![CDATA[</body>]]>|</body>",
    "<body></BODY>",
    "<body><a title='</body>'/>|</body>",
    "<body></body><!-- open",
    "<body><script>'</body>'</script",
];

#[test]
fn places_in_xhtml() {
    let answer = Answer::new("GET", 200)
        .header("content-type", b"application/xhtml+xml; charset=utf-8")
        .length(Some(1));
    let page_kind = may_inject(&answer).unwrap();
    for marked in XHTML_PLACES {
        let page = marked.replacen('|', "", 1);
        assert_eq!(
            page_kind.position(page.as_bytes()),
            marked.find('|'),
            "{marked}"
        );
    }
}

#[test]
fn only_near_the_end() {
    let page = |behind: usize| format!("<p></body>{}", " ".repeat(behind));
    assert_eq!(position(page(TAIL - 7).as_bytes()), Some(3));
    assert_eq!(position(page(TAIL - 6).as_bytes()), None);
}

#[test]
fn the_panel_suits_the_page() {
    let kind = |content_type: &'static [u8]| {
        may_inject(
            &Answer::new("GET", 200)
                .header("content-type", content_type)
                .length(Some(1)),
        )
        .unwrap()
    };
    let panel = "<p title=\"a&amp;b\">\u{b5}s\n\u{1}</p>";
    assert_eq!(kind(b"text/html; charset=utf-8").panel(panel), panel);
    let ascii = "<p title=\"a&amp;b\">&#xb5;s\n\u{1}</p>";
    assert_eq!(kind(b"text/html").panel(panel), ascii);
    assert_eq!(kind(b"text/html; charset=latin1").panel(panel), ascii);
    let framed = kind(b"application/xhtml+xml; charset=utf-8")
        .panel(panel)
        .into_owned();
    assert!(
        framed.starts_with("<iframe xmlns=\"http://www.w3.org/1999/xhtml\""),
        "{framed}"
    );
    assert!(
        framed.ends_with(
            "srcdoc=\"&lt;p title=&quot;a&amp;amp;b&quot;&gt;\u{b5}s&#10;\u{fffd}&lt;/p&gt;\"></iframe>"
        ),
        "{framed}"
    );
    assert!(kind(b"application/xhtml+xml").panel(panel).is_ascii());
}

#[test]
fn splice_says_why_not() {
    let page = may_inject(&html()).unwrap();
    assert_eq!(page.splice(b"<p>", "x"), Err(NotShown::NoBodyEnd));
    assert_eq!(page.splice(b"<p></body>", "x").unwrap(), b"<p>x</body>");
}

#[test]
fn content_security_policies() {
    use InlineCode::{Blocked, Free, Nonce};
    for (policies, expected) in [
        (&[][..], Free),
        (&["", "img-src 'none'"][..], Free),
        (&["default-src 'self'"], Blocked),
        (&["default-src 'self' 'unsafe-inline'"], Free),
        (
            &["script-src 'unsafe-inline'; style-src 'UNSAFE-INLINE'"],
            Free,
        ),
        (&["script-src 'unsafe-inline'; default-src 'self'"], Blocked),
        (
            &["script-src 'unsafe-inline' 'sha256-abc='; style-src 'unsafe-inline'"],
            Blocked,
        ),
        (&["script-src 'unsafe-inline' 'strict-dynamic'"], Blocked),
        (&["script-src"], Blocked),
        (&["script-src 'nonce-r4nd0m'"], Nonce("r4nd0m")),
        (
            &["Default-Src 'self' 'Nonce-r4nd0m' 'unsafe-inline'"],
            Nonce("r4nd0m"),
        ),
        (&["script-src 'nonce-a'; style-src 'nonce-b'"], Blocked),
        (
            &["script-src 'nonce-a' 'nonce-b'; style-src 'nonce-b'"],
            Nonce("b"),
        ),
        (&["script-src 'nonce-a'; style-src 'self'"], Blocked),
        (
            &["script-src 'nonce-a'", "style-src 'nonce-a', default-src *"],
            Blocked,
        ),
        (&["script-src 'nonce-a'", "style-src 'nonce-a'"], Nonce("a")),
        (
            &["script-src-elem 'nonce-a'; script-src 'none'"],
            Nonce("a"),
        ),
        (&["script-src nonce-a"], Blocked),
        (&["script-src 'nonce-'"], Blocked),
        (&["script-src 'unsafe-inline'; script-src 'none'"], Free),
    ] {
        let headers = policies.iter().map(|policy| policy.as_bytes());
        assert_eq!(inline_code(headers), expected, "{policies:?}");
    }
    assert_eq!(inline_code([&b"\xff"[..]]), Blocked);
}

/// Pieces that pages, broken ones too, are made of.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "</body>",
            "</BODY >",
            "</body",
            "<!--",
            "-->",
            "--!>",
            "<script>",
            "</script>",
            "<style>",
            "</style>",
            "<svg>",
            "</svg>",
            "<![CDATA[",
            "]]>",
            "<a b='",
            "'",
            "\"",
            ">",
            "<",
            "/",
            "<p>",
            "text",
            " ",
            "-",
            "<!",
            "<?",
            "é",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn any_bytes_keep_their_order(pieces in prop::collection::vec(piece(), 0..60), panel in ".*") {
        let body = pieces.concat();
        for content_type in ["text/html", "text/html;charset=utf-8", "application/xhtml+xml"] {
            let answer = Answer::new("GET", 200)
                .header("content-type", content_type.as_bytes())
                .length(Some(body.len() as u64));
            let page = may_inject(&answer).unwrap();
            match page.position(&body) {
                None => prop_assert_eq!(page.splice(&body, &panel), Err(NotShown::NoBodyEnd)),
                Some(place) => {
                    let (before, behind) = body.split_at(place);
                    prop_assert!(behind[..6].eq_ignore_ascii_case(b"</body"));
                    let expected = [before, page.panel(&panel).as_bytes(), behind].concat();
                    prop_assert_eq!(page.splice(&body, &panel).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn any_headers_are_borne(
        method in ".*", status in any::<u16>(),
        headers in prop::collection::vec(
            (prop::sample::select(vec![
                "content-type", "content-encoding", "content-disposition", "transfer-encoding",
            ]), prop::collection::vec(any::<u8>(), 0..40)), 0..6),
    ) {
        let mut answer = Answer::new(&method, status);
        for (name, value) in &headers {
            answer = answer.header(name, value);
        }
        let _ = may_inject(&answer);
    }
}
