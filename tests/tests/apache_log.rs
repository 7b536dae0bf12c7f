//! Our access-log line beside the one that a real Apache wrote for the same bytes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ioprofiler::LogFormat;
use ioprofiler::profile::ProfileData;
use ioprofiler_tests::servers::{APACHE_ZONE, Server, apache};

/// Everything that both can know. `%U` and `%q` stand in quotes so that a difference shows.
const FORMAT: &str = r#"%h %a %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" | %m "%U" "%q" %H %s %<s %B %D %T %{s}T %{ms}T %{us}T %v %V %p %{None}i %{Content-Type}o %{X-Answer}o %{Allow}o %{Set-Cookie}o "%{sid}C" %404,405{User-Agent}i %!200,304{Referer}i %{begin}t %{%Y-%m-%d %H:%M:%S %z %Z %a %A %b %B %d %e %j %y %c %x %X %p %I %D %T %R %F %U %u %w %%}t %{sec}t %{msec}t %{usec}t %{msec_frac}t %{usec_frac}t %{begin:msec}t %{end:sec}t %{end:%H:%M:%S}t %% \t\\ \"quoted\" {}"#;

fn started() -> Option<Server> {
    apache(&["headers"], |folder, _| {
        let place = folder.path("").display().to_string();
        let pages = folder.path("pages");
        std::fs::create_dir_all(pages.join("a b")).expect("a folder for pages");
        for page in ["index.html", "a b/c\"d.html"] {
            std::fs::write(pages.join(page), "hello").expect("a page");
        }
        let quoted = FORMAT.replace('\\', "\\\\").replace('"', "\\\"");
        let quoted = quoted.replace("\\\\\\\"", "\\\"").replace("\\\\t", "\\t");
        format!(
            "DocumentRoot {place}/pages\nHttpProtocolOptions Unsafe LenientMethods Allow0.9\n\
             LimitRequestFieldSize 16000\nAddDefaultCharset utf-8\nFileETag None\n\
             Header set X-Answer \"one \\\"two\\\" \\\\ é\"\n\
             Header add Set-Cookie a=1\nHeader add Set-Cookie b=2\n\
             LogFormat \"%{{usec}}t %D %>s %B\\t{quoted}\" both\n\
             CustomLog {place}/access.log both\n"
        )
    })
}

/// Sends these bytes; the answer's head.
fn send(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).expect("Apache listens");
    stream.write_all(bytes).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    answer.truncate(end.unwrap_or(0));
    answer
}

/// Apache writes the line after it has answered.
fn line(server: &Server, number: usize) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let log = std::fs::read_to_string(server.path("access.log")).unwrap_or_default();
        if let Some(line) = log.lines().nth(number)
            && log.ends_with('\n')
        {
            return line.to_owned();
        }
        assert!(Instant::now() < deadline, "no line {number} in\n{log}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The headers of a head, as a server hands them on: names, and values without blanks around.
fn headers(head: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    lines
        .filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = String::from_utf8_lossy(&line[..colon]).into_owned();
            let value = line[colon + 1..]
                .strip_suffix(b"\r")
                .unwrap_or(&line[colon + 1..]);
            let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
            let from = value
                .iter()
                .position(|byte| !blank(byte))
                .unwrap_or(value.len());
            let to = value
                .iter()
                .rposition(|byte| !blank(byte))
                .map_or(from, |at| at + 1);
            Some((name, value[from..to].to_vec()))
        })
        .collect()
}

/// What a library in the application would have been told of this request and its answer.
fn facts(request: &[u8], answer: &[u8]) -> ProfileData {
    let mut data = ProfileData::default();
    let facts = &mut data.facts;
    let end = request
        .iter()
        .position(|byte| *byte == b'\r')
        .expect("a line");
    let first = std::str::from_utf8(&request[..end]).expect("UTF-8");
    let (method, rest) = first.split_once(' ').expect("a method");
    let (target, protocol) = rest.rsplit_once(' ').expect("a protocol");
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    facts.method = method.to_owned();
    facts.path = path.to_owned();
    facts.query = query;
    facts.protocol = Some(protocol.to_owned());
    facts.peer = Some("127.0.0.1".to_owned());
    facts.headers = headers(request);
    facts.answer_headers = headers(answer);
    let host = facts
        .headers
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("host"));
    facts.host = host.map(|(_, value)| String::from_utf8_lossy(value).into_owned());
    data
}

/// Requests as bytes; `HOST` becomes the server's.
fn requests() -> Vec<Vec<u8>> {
    let head = |line: &str, headers: &[u8]| {
        let mut request = format!("{line}\r\nHost: HOST\r\nConnection: close\r\n").into_bytes();
        request.extend_from_slice(headers);
        request.extend_from_slice(b"\r\n");
        request
    };
    let mut requests: Vec<Vec<u8>> = [
        "GET / HTTP/1.1",
        "GET / HTTP/1.0",
        "HEAD / HTTP/1.1",
        "OPTIONS / HTTP/1.1",
        "PROPFIND / HTTP/1.1",
        "GET /?a=1&b=%22%0a\"'\\ HTTP/1.1",
        "GET /? HTTP/1.1",
        "GET /?é=ü HTTP/1.1",
        "GET /a%20b/c%22d.html?x HTTP/1.1",
        "GET /nothing/%C3%A9%0d%0a%5C%7f HTTP/1.1",
        "GET /é\"\\ HTTP/1.1",
        "GET /index.html%3fa HTTP/1.1",
        "GET /%s%n%{x}n HTTP/1.1",
    ]
    .iter()
    .map(|line| {
        head(
            line,
            b"User-Agent: curl/8\r\nReferer: http://shop.example/\r\n",
        )
    })
    .collect();
    for value in 1..=255_u8 {
        // What ends a line, and what Apache refuses even so: no application ever sees it.
        if !matches!(value, b'\r' | b'\n' | 0x0b | 0x0c) {
            let agent = [b"User-Agent: a".as_slice(), &[value; 2], b"z\r\n"].concat();
            requests.push(head("GET / HTTP/1.1", &agent));
        }
    }
    for headers in [
        "User-Agent: \r\nReferer:\r\n",
        "User-Agent: -\r\nReferer: \"-\"\r\n",
        "User-Agent: \" 200 5 \"-\" \"forged\r\n",
        "User-Agent: one\r\nuser-agent: two\r\nUSER-AGENT: three\r\n",
        "User-Agent: \t spaces around \t \r\n",
        "Cookie: sid=1\r\n",
        "Cookie: a=1; SID = \"q\" ; b\r\n",
        "Cookie: sid; sid=; sid=second=3; sid=third\r\n",
        "Cookie: a=b;sid=\\x\"\r\n",
        "Cookie: sidx=1; xsid=2\r\n",
    ] {
        requests.push(head("GET / HTTP/1.1", headers.as_bytes()));
    }
    let long = format!("User-Agent: {}\r\n", "\"\\é".repeat(2_000));
    requests.push(head("GET / HTTP/1.1", long.as_bytes()));
    requests
}

#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn skipped() {
    println!("skipped: apache2: it is not installed");
}

#[test]
fn lines_are_apaches_own_byte_for_byte() {
    let Some(server) = started() else {
        skipped();
        return;
    };
    let format = LogFormat::parse(FORMAT)
        .and_then(|format| format.time_zone(APACHE_ZONE))
        .expect("a format");
    let format = format.server_name("shop.example");
    let requests = requests();
    for (number, request) in requests.iter().enumerate() {
        let host = format!("Shop.Example:{}", server.port());
        let at = request
            .windows(4)
            .position(|four| four == b"HOST")
            .expect("a host");
        let request = [&request[..at], host.as_bytes(), &request[at + 4..]].concat();
        let answer = send(&server, &request);
        let line = line(&server, number);
        let (own, apaches) = line.split_once('\t').expect("both parts");
        let mut own = own
            .split(' ')
            .map(|field| field.parse::<u64>().expect("a number"));
        let mut next = || own.next().expect("four numbers");
        let mut data = facts(&request, &answer);
        data.started_at = next() * 1_000;
        data.page_ns = next() * 1_000;
        data.facts.status = u16::try_from(next()).ok();
        data.facts.bytes_out = Some(next());
        assert_eq!(
            format.line(&data),
            apaches,
            "for {}",
            String::from_utf8_lossy(&request)
        );
    }
    assert!(requests.len() > 270);
}
