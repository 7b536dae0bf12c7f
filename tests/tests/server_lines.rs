//! The compact note in the own line of servers that stand in front: Apache and nginx before any
//! application, nginx before PHP-FPM. What README shows is what is run.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ioprofiler::log_format::read::read_line;
use ioprofiler::{Facts, LogFormat, NoteFormat, Profiler};
use ioprofiler_tests::php::{Php, shown, with};
use ioprofiler_tests::servers::{Server, apache, nginx, php_fpm, program};
use ioprofiler_tests::shop::Answer;

const NOTES: &str = "%{case}n %{user_id}n";
const HEADER: &str = "x-ioprofiler-note";
/// The longest that these servers are asked to bear.
const MOST: usize = 1_000;

#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn skipped(name: &str) {
    println!("skipped: {name}: it is not installed");
}

/// Notes that try to break a line or a header.
fn hostile() -> Vec<Vec<u8>> {
    let mut cases: Vec<Vec<u8>> = vec![
        (0..=255).collect(),
        b"\" 200 5 \"-\" \"forged\" - -".to_vec(),
        b"a\r\nSet-Cookie: forged=1\r\n\r\n<html>".to_vec(),
        b"%s %{x}n %% %00 %".to_vec(),
        b"\\x00\\\"\\".to_vec(),
        "clay \u{2028} é \u{85} 陶 \u{1f3fa}".as_bytes().to_vec(),
        b"\xff\xfe\xc3".to_vec(),
        b"-".to_vec(),
        b"6;12;14".to_vec(),
        vec![b'x'; 10_240],
        vec![b'x'; MOST - 8],
        vec![b'"'; 10_240],
    ];
    cases.extend((0..=255).map(|byte| vec![b'a', byte, b'z']));
    cases
}

/// What a note keeps of these bytes: UTF-8, at most 1,024 bytes of it.
fn kept(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(bytes).into_owned();
    let end = (0..=text.len().min(1_024))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
    text
}

/// The status that the application answers a case with: a server may treat each in its own way.
fn status(number: usize) -> (u16, &'static str) {
    match number % 4 {
        1 => (404, "Not Found"),
        2 => (500, "Internal Server Error"),
        3 => (204, "No Content"),
        _ => (200, "OK"),
    }
}

/// An application that notes the case that its path names, and hands it on in a header.
fn application(cases: Vec<Vec<u8>>) -> u16 {
    let format = NoteFormat::parse(NOTES).and_then(|format| format.max_bytes(MOST));
    let profiler = Profiler::builder()
        .note_format(format.expect("a format"))
        .build()
        .expect("a profiler");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(&profiler, &cases, stream);
        }
    });
    port
}

fn answer(profiler: &Profiler, cases: &[Vec<u8>], mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    let path = first.split(' ').nth(1).expect("a path");
    let number: usize = path.trim_start_matches('/').parse().expect("a number");
    let request = profiler.begin(&Facts::web("GET", path));
    request.set_user("5020244");
    request.note("case", &*String::from_utf8_lossy(&cases[number]));
    let note = request.compact_note().expect("a note");
    let (status, word) = status(number);
    let body = if status == 204 { "" } else { "clay" };
    let answer = format!(
        "HTTP/1.1 {status} {word}\r\nX-Ioprofiler-Note: {note}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    drop(stream.write_all(answer.as_bytes()));
    request.finish(status, body.len() as u64);
}

fn get(server: &Server, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    Answer::of(&server.address(), request.as_bytes()).expect("the server answers")
}

fn lines(file: PathBuf, count: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let log = std::fs::read_to_string(&file).unwrap_or_default();
        if log.ends_with('\n') && log.lines().count() >= count {
            return log.lines().map(str::to_owned).collect();
        }
        assert!(Instant::now() < deadline, "not {count} lines:\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Each case has one line, whose end is the note, and the note gives the case back.
fn gives_back(cases: &[Vec<u8>], lines: &[String]) {
    assert_eq!(lines.len(), cases.len());
    let format = LogFormat::parse(NOTES).expect("a format");
    for (case, line) in cases.iter().zip(lines) {
        let (rest, last) = line.rsplit_once(' ').expect("fields");
        if last == "~" {
            // No byte is written as more than three.
            assert!(kept(case).len() * 3 > MOST - 8, "{line}");
            continue;
        }
        let (_, first) = rest.rsplit_once(' ').expect("fields");
        let note = format!("{first} {last}");
        assert!(note.len() <= MOST, "{line}");
        let fields = read_line(&format, &note).unwrap_or_else(|| panic!("{line}"));
        let bytes = |at: usize| fields[at].1.clone();
        let expected = kept(case);
        // A lone `-` cannot be told from nothing unless it is escaped, and so it is.
        assert_eq!(bytes(0), Some(expected.into_bytes()), "{line}");
        assert_eq!(bytes(1).as_deref(), Some(&b"5020244"[..]), "{line}");
    }
}

/// The answers of all cases, through this server; none shows the note to the client.
fn ask_all(server: &Server, cases: &[Vec<u8>]) {
    for number in 0..cases.len() {
        let answer = get(server, &format!("/{number}"));
        let (status, _) = status(number);
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.header(HEADER), None, "the client does not see it");
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.text(), if status == 204 { "" } else { "clay" });
    }
}

const HEADING: &str = "### Have the notes in your server's own line";

#[test]
fn apache_before_any_application() {
    if program("apache2").is_none() {
        skipped("apache2");
        return;
    }
    let cases = hostile();
    let port = application(cases.clone());
    let modules = ["headers", "proxy", "proxy_http"];
    let server = apache(&modules, |_, _| {
        let shown = shown("README.md", HEADING, "apache");
        with(&shown, "127.0.0.1:8081", &format!("127.0.0.1:{port}"))
    });
    let server = server.expect("Apache is there");
    ask_all(&server, &cases);
    gives_back(&cases, &lines(server.path("access.log"), cases.len()));
}

#[test]
fn nginx_before_any_application() {
    if program("nginx").is_none() {
        skipped("nginx");
        return;
    }
    let cases = hostile();
    let port = application(cases.clone());
    let server = nginx(|_, own| {
        let shown = shown("README.md", HEADING, "nginx");
        let shown = with(&shown, "127.0.0.1:8081", &format!("127.0.0.1:{port}"));
        with(&shown, "127.0.0.1:8080", &format!("127.0.0.1:{own}"))
    });
    let server = server.expect("nginx is there");
    ask_all(&server, &cases);
    gives_back(&cases, &lines(server.path("access.log"), cases.len()));
}

#[test]
fn nginx_before_php_fpm() {
    if program("nginx").is_none() || program("php").is_none() {
        skipped("nginx or php");
        return;
    }
    let cases = hostile();
    let php = Php {
        prepend: Some("pages/noted.php"),
        output_buffering: 65_536,
        ..Php::default()
    };
    let fpm = php_fpm(|folder| {
        let ini = php.ini(folder);
        for (number, case) in cases.iter().enumerate() {
            std::fs::write(folder.path(&format!("php/pages/case-{number}")), case)
                .expect("a case can be written");
        }
        ini
    });
    let Some(fpm) = fpm else {
        skipped("php-fpm");
        return;
    };
    let secret = fpm.path("temporary/secret");
    std::fs::write(&secret, "a secret of the tests, of 32 bytes and more").expect("a secret");
    if ioprofiler_tests::servers::is_root() {
        let owner = std::process::Command::new("chown")
            .arg("www-data")
            .arg(&secret)
            .status();
        assert!(owner.is_ok_and(|owner| owner.success()));
    }
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("a file's mode can be set");
    let server = nginx(|folder, own| {
        let _ = folder.file(
            "fastcgi_params",
            &std::fs::read_to_string("/etc/nginx/fastcgi_params").expect("nginx brings it"),
        );
        let shown = shown(
            "examples/php/README.md",
            "### PHP-FPM behind nginx",
            "nginx",
        );
        let shown = with(&shown, "127.0.0.1:9000", &fpm.address());
        let script = fpm.path("php/pages/index.php").display().to_string();
        let shown = with(&shown, "/var/www/shop/index.php", &script);
        let shown = with(&shown, "127.0.0.1:8080", &format!("127.0.0.1:{own}"));
        let secret = format!(
            "include fastcgi_params;\nfastcgi_param IOPROFILER_SECRET {};",
            secret.display()
        );
        with(&shown, "include fastcgi_params;", &secret)
    });
    let server = server.expect("nginx is there");
    for number in 0..cases.len() {
        let answer = get(&server, &format!("/?page=note&case={number}"));
        let log = std::fs::read_to_string(fpm.path("php.log")).unwrap_or_default();
        assert_eq!(answer.status, 200, "{log}");
        assert_eq!(answer.header(HEADER), None, "the client does not see it");
        assert_eq!(answer.header("set-cookie"), None);
    }
    gives_back(&cases, &lines(server.path("access.log"), cases.len()));
    // The log of our own, which the workers share, is written after the answer.
    let own = lines(fpm.path("temporary/own.log"), cases.len());
    assert_eq!(own.len(), cases.len());
    for line in &own {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(line.to_string().contains("5020244"), "{line}");
    }
    let log = std::fs::read_to_string(fpm.path("php.log")).unwrap_or_default();
    assert_eq!(log, "");
}
