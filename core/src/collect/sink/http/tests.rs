//! Against servers that are kind, strange, slow, gone and hostile.

use super::*;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;

const SOON: Duration = Duration::from_secs(20);
/// Enough for this machine, and too little for a server that does not want to answer.
const SHORT: Duration = Duration::from_millis(400);

/// What a server was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The request line and the headers.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (there, value) = line.split_once(": ")?;
            there.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut asked = Self::default();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        asked.head = String::from_utf8(head).ok()?;
        let length = asked.header("content-length")?.parse().ok()?;
        asked.body.resize(length, 0);
        stream.read_exact(&mut asked.body).ok()?;
        Some(asked)
    }
}

/// A server of one test: answers by what it is told, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Reads each request, and has it answered.
    pub(crate) fn new(answer: impl Fn(&Asked, &mut TcpStream) + Send + 'static) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let port = listen(move |mut stream| {
            if let Some(asked) = Asked::read(&mut stream) {
                seen.lock().unwrap().push(asked.clone());
                answer(&asked, &mut stream);
            }
        });
        Self { port, asked }
    }

    /// Answers always the same.
    pub(crate) fn saying(answer: impl Into<String>) -> Self {
        let answer = answer.into();
        Self::new(move |_, stream| {
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

/// One connection after the other, as long as the test runs.
fn listen(mut each: impl FnMut(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().flatten().for_each(&mut each));
    port
}

fn post<'a>(path: &'a str, body: &'a [u8]) -> Post<'a> {
    Post {
        path,
        content_type: "text/plain",
        is_gzip: false,
        body,
    }
}

fn send(url: &str, within: Duration) -> Result<Answer, Unsent> {
    let mut client = Client::new(&HttpOptions::to(url));
    client.post(&post("", b"hello"), within)
}

fn later(sent: Result<Answer, Unsent>) -> String {
    match sent {
        Err(Unsent::Later(why)) => why,
        other => panic!("{other:?}"),
    }
}

const FINE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

#[test]
fn what_is_sent_is_what_was_asked_for() {
    let server = Server::saying(FINE);
    let mut options = HttpOptions::to(format!("{}/base/", server.url()));
    options.headers = vec![("X-Key".to_owned(), "secret".to_owned())];
    let mut client = Client::new(&options);
    let body = vec![b'x'; 300_000];
    let answer = client.post(&post("/v1/logs", &body), SOON).unwrap();
    assert_eq!((&*answer.body, answer.is_json), (&b"{}"[..], true));
    assert_eq!(answer.torn, None);
    let zipped = Post {
        is_gzip: true,
        ..post("", b"zipped")
    };
    client.post(&zipped, SOON).unwrap();
    let [first, second] = server.asked().try_into().unwrap();
    assert!(first.head.starts_with("POST /base/v1/logs HTTP/1.1\r\n"));
    assert_eq!(first.body, body);
    assert_eq!(first.header("content-type"), Some("text/plain"));
    assert_eq!(first.header("content-encoding"), None);
    assert_eq!(first.header("x-key"), Some("secret"));
    assert_eq!(first.header("user-agent"), Some(USER_AGENT));
    let host = format!("127.0.0.1:{}", server.port);
    assert_eq!(first.header("host"), Some(&*host));
    assert!(second.head.starts_with("POST /base/ HTTP/1.1\r\n"));
    assert_eq!(second.header("content-encoding"), Some("gzip"));
}

#[test]
fn no_proxy_is_taken_from_the_environment() {
    let test = std::env::current_exe().unwrap();
    let name = "collect::sink::http::tests::what_is_sent_is_what_was_asked_for";
    let nowhere = "http://127.0.0.1:9";
    let run = std::process::Command::new(test)
        .args(["--exact", name])
        .envs([("HTTP_PROXY", nowhere), ("http_proxy", nowhere)])
        .envs([("ALL_PROXY", nowhere), ("all_proxy", nowhere)])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn a_refusal_says_whether_to_try_again_and_why() {
    let answer = |status: u16, headers: &str, body: &str| {
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        send(&Server::saying(text).url(), SOON).unwrap_err()
    };
    for status in [400, 401, 404, 408, 413, 500, 501, 505] {
        let Unsent::Never(why) = answer(status, "Retry-After: 5\r\n", "n\r\no\x1b[31m\u{202e}!")
        else {
            panic!("{status} is for ever")
        };
        let (_, what) = why.split_once(": ").unwrap();
        assert_eq!(what, format!("answered {status}: n o [31m !"));
    }
    for status in [429, 502, 503, 504] {
        let wait = Duration::from_secs(7);
        let after = answer(status, "Retry-After: 7\r\n", "");
        assert!(
            matches!(after, Unsent::After(told, _) if told == wait),
            "{status}: {after:?}"
        );
        for headers in ["", "Retry-After: soon\r\n"] {
            let later = answer(status, headers, "busy");
            assert!(
                matches!(&later, Unsent::Later(why) if why.ends_with("busy")),
                "{later:?}"
            );
        }
    }
    let Unsent::Never(why) = answer(400, "", &"é".repeat(10_000)) else {
        panic!("400 is for ever")
    };
    assert!(why.len() < 300, "{why}");
}

#[test]
fn the_wait_is_a_number_of_seconds_or_a_date() {
    let now: Timestamp = "2026-11-23T03:12:07Z".parse().unwrap();
    let seconds = |number| Some(Duration::from_secs(number));
    for (value, wait) in [
        ("0", seconds(0)),
        (" 120 ", seconds(120)),
        ("100000", Some(LONGEST_WAIT)),
        ("99999999999999999999999999", Some(LONGEST_WAIT)),
        ("Mon, 23 Nov 2026 03:12:37 GMT", seconds(30)),
        ("Mon, 23 Nov 2026 03:12:00 GMT", seconds(0)),
        ("Mon, 23 Nov 2037 03:12:00 GMT", Some(LONGEST_WAIT)),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
    ] {
        assert_eq!(retry_after(value, now), wait, "{value:?}");
    }
}

#[test]
fn redirects_are_not_followed() {
    let other = Server::saying(FINE);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/elsewhere", other.url());
        let answer = format!("HTTP/1.1 {status} X\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        let server = Server::saying(answer);
        let Err(Unsent::Never(why)) = send(&server.url(), SOON) else {
            panic!("{status} is no success")
        };
        let (from, to) = (server.url(), other.url());
        let wanted = format!("{from}: answered {status}, which is not followed: {to}");
        assert_eq!(why, wanted);
    }
    assert!(other.asked().is_empty());
}

#[test]
fn a_server_that_is_gone_or_hangs_up_is_tried_again_later() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let why = later(send(&url, SOON));
    assert!(why.contains("refused"), "{why}");
    later(send(&Server::new(|_, _| {}).url(), SOON));
    // A reset: what it had not read is thrown away.
    let port = listen(drop);
    later(send(&format!("http://127.0.0.1:{port}"), SOON));
    later(send(&Server::saying("HTTP/1.1 200").url(), SOON));
    let why = later(send("http://no-such-host.invalid", SOON));
    let said = why.strip_prefix("http://no-such-host.invalid: no-such-host.invalid:80: ");
    assert!(said.is_some(), "{why}");
}

#[test]
fn what_is_no_http_is_tried_again_later() {
    for answer in [
        "\x15\x03\x01\x00\x02\x02\x46",
        "hello\r\n\r\n",
        "HTTP/9.9 200 OK\r\n\r\n",
    ] {
        later(send(&Server::saying(answer).url(), SHORT));
    }
    let endless = Server::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream
            .write_all(b"X-More: and more and more and more\r\n")
            .is_ok()
        {}
    });
    later(send(&endless.url(), SOON));
}

#[test]
fn nobody_is_waited_for_longer_than_is_allowed() {
    let silent = Server::new(|_, stream| {
        let _ = stream.read(&mut [0]);
    });
    assert!(later(send(&silent.url(), SHORT)).ends_with("no answer in time"));
    // One byte after the other: each comes in time, and the answer never does.
    let slow = Server::new(|_, stream| {
        for byte in FINE.bytes().cycle() {
            if stream.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    later(send(&slow.url(), SHORT));
    // One that takes nothing: more than fits into the system's buffers.
    let deaf = listen(|stream| {
        std::thread::sleep(2 * SHORT);
        drop(stream);
    });
    let mut client = Client::new(&HttpOptions::to(format!("http://127.0.0.1:{deaf}")));
    later(client.post(&post("", &vec![b'x'; 64 << 20]), SHORT));
}

#[test]
fn of_an_answer_no_more_is_read_than_anybody_needs() {
    let endless = Server::new(|_, stream| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
        let _ = stream.write_all(head.as_bytes());
        while stream.write_all(&[b'y'; 4_096]).is_ok() {}
    });
    let answer = send(&endless.url(), SOON).unwrap();
    assert_eq!(answer.body, vec![b'y'; MOST_ANSWER]);
    assert!(answer.torn.unwrap().contains("65536"));
}

#[test]
fn an_answer_that_breaks_off_was_an_answer() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
    let answer = send(&Server::saying(head).url(), SOON).unwrap();
    assert!(answer.torn.is_some());
    let slow = Server::new(move |_, stream| {
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read(&mut [0]);
    });
    let answer = send(&slow.url(), SHORT).unwrap();
    assert_eq!(answer.body, b"half");
    assert!(answer.torn.is_some());
}

#[test]
fn who_refuses_before_it_has_read_everything_is_heard() {
    let port = listen(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        let answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        // Lingers, as servers do, so that its answer is not thrown away by a reset.
        std::thread::sleep(SHORT);
    });
    let mut client = Client::new(&HttpOptions::to(format!("http://127.0.0.1:{port}")));
    let sent = client.post(&post("", &vec![b'x'; 8 << 20]), SOON);
    assert!(matches!(sent, Err(Unsent::Never(_))), "{sent:?}");
}

fn wrong(url: &str) -> String {
    let options = HttpOptions::to(url);
    options
        .check("otlp", "url")
        .map_or_else(|error| error.to_string(), |()| String::new())
}

#[test]
fn urls_are_checked_and_their_secrets_are_not_shown() {
    for url in [
        "http://collector:4318",
        "http://collector",
        "http://[::1]:4318/otlp",
        "http://hooks.example.com/services/T0/B0/XYZ?wait=true",
    ] {
        assert_eq!(wrong(url), "", "{url}");
        let shown = format!("{:?}", HttpOptions::to(url));
        assert!(!shown.contains("XYZ"), "{shown}");
    }
    for (url, why) in [
        ("", "no URL"),
        ("collector:4318", "no URL"),
        ("/v1/metrics", "no URL"),
        ("ftp://collector/", "no such URL"),
        ("http://", "no URL"),
        ("http://collector:0", "no such URL"),
        ("http://collector:80x/", "port that is none"),
        ("http://collector:70000/", "port that is none"),
        ("http://user:hunter2@collector/", "Authorization"),
        ("http://collector/#part", "no URL"),
        ("http://col lector/", "no URL"),
    ] {
        let said = wrong(url);
        assert!(
            said.starts_with("otlp.url: ") && said.contains(why),
            "{url}: {said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
    let https = wrong("https://hooks.example.com/XYZ");
    if cfg!(feature = "tls") {
        assert_eq!(https, "");
    } else {
        assert!(
            https.contains("feature `tls`") && !https.contains("XYZ"),
            "{https}"
        );
    }
}

#[test]
fn headers_and_authorities_are_checked() {
    let said = |name: &str, value: &str| {
        let mut options = HttpOptions::to("http://collector");
        options.headers = vec![(name.to_owned(), value.to_owned())];
        options
            .check("otlp", "url")
            .map_err(|error| error.to_string())
    };
    assert_eq!(said("Authorization", "Bearer abc"), Ok(()));
    for (name, value) in [
        ("", "x"),
        ("a b", "x"),
        ("a:b", "x"),
        ("x", "hunter2\r\nEvil: 1"),
        ("x", "hunter2 é"),
        ("Host", "x"),
        ("content-length", "1"),
    ] {
        let said = said(name, value).unwrap_err();
        assert!(said.starts_with("otlp.headers: "), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let mut options = HttpOptions::to("http://collector");
    options.ca_file = Some(Path::new("/no/such/file").to_owned());
    let said = options.check("otlp", "url").unwrap_err().to_string();
    assert!(said.starts_with("otlp.ca_file: "), "{said}");
}
