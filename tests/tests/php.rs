//! The PHP package under a real Apache with mod_php: calls on real servers, notes in Apache's own
//! line, the panel, what goes wrong.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ioprofiler::LogFormat;
use ioprofiler::gate::TokenKeys;
use ioprofiler::log_format::read::read_line;
use ioprofiler_tests::php::{Php, apache_directives, module, shown};
use ioprofiler_tests::servers::{Folder, Server, apache, mariadb, memcached, program, redis};
use ioprofiler_tests::shop::{Answer, Shop, Shown};

const SECRET: &str = "a secret of the tests, of 32 bytes and more";

#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn skipped(name: &str) {
    println!("skipped: {name}: it is not installed");
}

/// Apache with mod_php; `false`, said, where either is missing.
fn installed() -> bool {
    for (name, found) in [
        ("apache2", program("apache2").is_some()),
        ("php", program("php").is_some()),
        ("mod_php", module().is_some()),
    ] {
        if !found {
            skipped(name);
            return false;
        }
    }
    true
}

/// Apache whose `script` answers every address.
fn serve(php: &Php, script: &str, further: impl Fn(&Folder) -> String) -> Server {
    let modules = ["mpm_prefork", "dir", "env"];
    let server = apache(&modules, |folder, _| {
        let directives = apache_directives(folder, php, script).expect("mod_php is there");
        let secret = folder.file("secret", SECRET);
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("a file's mode can be set");
        if ioprofiler_tests::servers::is_root() {
            let owner = std::process::Command::new("chown")
                .arg("www-data")
                .arg(&secret)
                .status();
            assert!(owner.is_ok_and(|owner| owner.success()));
        }
        format!(
            "{directives}StartServers 2\nMinSpareServers 2\nSetEnv IOPROFILER_SECRET {}\n{}",
            secret.display(),
            further(folder)
        )
    });
    server.expect("Apache is there")
}

fn get(server: &Server, path: &str, headers: &[String]) -> Answer {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n{lines}Connection: close\r\n\r\n");
    Answer::of(&server.address(), request.as_bytes()).expect("Apache answers")
}

/// The headers that show that somebody may look.
fn token() -> Vec<String> {
    let keys = TokenKeys::new(&[SECRET]).expect("a secret");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("it is after 1970")
        .as_secs();
    let gate = ioprofiler::Gate::token(keys);
    let token = gate
        .grant("you@example.com", "shop.example", 600, now)
        .expect("a token");
    vec![format!("X-Ioprofiler-Token: {}", token.as_str())]
}

/// Waits for so many lines; Apache writes them after it has answered.
fn lines(file: PathBuf, count: usize) -> Vec<String> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let log = std::fs::read(&file).unwrap_or_default();
        let log = String::from_utf8(log).expect("a log is text");
        if log.ends_with('\n') && log.lines().count() >= count {
            return log.lines().map(str::to_owned).collect();
        }
        assert!(Instant::now() < deadline, "not {count} lines:\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn php_log(server: &Server) -> String {
    std::fs::read_to_string(server.path("php.log")).unwrap_or_default()
}

const README: &str = "examples/php/README.md";

/// What README shows for Apache's own line.
fn steroids() -> (String, LogFormat) {
    let shown = shown(README, "### Apache with mod_php", "apache");
    let format = shown
        .split_once('"')
        .and_then(|(_, rest)| rest.split_once("\" steroids"))
        .expect("a format")
        .0
        .replace("\\\"", "\"");
    let format = LogFormat::parse(&format).expect("it is in Apache's language");
    (shown, format)
}

fn field(line: &[(String, Option<Vec<u8>>)], name: &str) -> Option<String> {
    let (_, value) = line
        .iter()
        .find(|(known, _)| known == name)
        .unwrap_or_else(|| panic!("no {name} in {line:?}"));
    value
        .as_ref()
        .map(|value| String::from_utf8(value.clone()).expect("UTF-8"))
}

#[test]
fn the_listing_page_shows_its_calls_and_apaches_line_has_the_originals_shape() {
    if !installed() {
        return;
    }
    let databases = ["dbshard01", "dbshard02"];
    let (Some(database), Some(cache), Some(redis)) = (mariadb(&databases), memcached(), redis())
    else {
        skipped("mariadbd, memcached or redis-server");
        return;
    };
    let urls = databases.map(|name| database.url("mysql", name));
    let [first, second] = &urls;
    let environment = [
        ("DBSHARD01_URL", first.as_str()),
        ("DBSHARD02_URL", second.as_str()),
        ("MEMCACHED", &cache.address()),
    ];
    // It makes and fills the shards.
    let rust = Shop::start(&[], &environment);
    let in_rust = rust.get("/listing/5773453").text();
    let heading = in_rust
        .split_once("<h1>")
        .and_then(|(_, rest)| rest.split_once("</h1>"))
        .expect("a title")
        .0
        .to_owned();
    drop(rust);

    let (apache_lines, format) = steroids();
    let php = Php::default();
    let server = serve(&php, "/shop/index.php", |_| {
        let environment: String = environment
            .iter()
            .map(|(name, value)| format!("SetEnv {name} \"{value}\"\n"))
            .collect();
        let redis = redis.address();
        format!("{environment}SetEnv REDIS {redis}\n{apache_lines}")
    });
    let plain = get(&server, "/listing/5773453", &[]);
    assert_eq!(plain.status, 200, "{}\n{}", plain.text(), php_log(&server));
    assert!(plain.text().contains(&format!("<h1>{heading}</h1>")));
    let asked = get(&server, "/listing/5773453?ioprofiler=text", &token());
    let shown = Shown::read(&asked.text());
    assert_eq!(
        asked.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    let count = shown.having("SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453");
    assert_eq!(count.len(), 1, "{}", shown.text);
    assert!(count[0].text.contains("(1 row)"), "{}", shown.text);
    assert!(
        count[0].text.contains("shop/Market.php:"),
        "the caller is told to whoever looks: {}",
        shown.text
    );
    assert_eq!(count[0].target, format!("{}/dbshard01", database.address()));
    assert_eq!(shown.count("memcache_get"), 2, "{}", shown.text);
    assert_eq!(shown.count("memcache_get_multi"), 1, "{}", shown.text);
    assert!(shown.count("dbshard01") >= 4 && shown.count("dbshard02") >= 2);
    // listing.html, what it extends, and three parts.
    assert_eq!(shown.count("template"), 5, "{}", shown.text);
    let part = shown.having("part/buy.html");
    assert!(part[0].depth >= 1, "{}", shown.text);
    assert!(!shown.having("Cache HIT, keys: listing:5773453").is_empty());
    assert!(!shown.having("WHERE shop_id = ? AND listing_id <> ? ORDER BY listing_id DESC LIMIT 4 -- [int, int]").is_empty());

    let panel = get(&server, "/listing/5773453?ioprofiler=1", &token());
    assert_eq!(panel.text().matches("<ioprofiler-panel").count(), 1);
    assert!(panel.text().contains("FavoriteListingUser"));
    assert_eq!(
        panel.header("cache-control"),
        Some("private, no-store"),
        "{:?}",
        panel.headers
    );
    assert_eq!(get(&server, "/listing/1", &[]).status, 404);

    let lines = lines(server.path("access.log"), 4);
    let line = read_line(&format, &lines[0]).unwrap_or_else(|| panic!("{}", lines[0]));
    assert_eq!(field(&line, "%{ab_ids}n").as_deref(), Some("6;12;14;15"));
    let variants = field(&line, "%{ab_variants}n").expect("variants");
    assert_eq!(variants.split(';').count(), 4, "{variants}");
    assert_eq!(field(&line, "%{user_id}n").as_deref(), Some("5020244"));
    for (name, least) in [
        ("%{memory}n", 300_000),
        ("%{app_us}n", 100),
        ("%D", 100),
        ("%b", 500),
    ] {
        let value = field(&line, name).expect(name);
        assert!(value.parse::<u64>().expect(name) >= least, "{name} {value}");
    }
    assert!(field(&line, "%{host}n").is_some());
    let missing = read_line(&format, &lines[3]).expect("a line");
    assert_eq!(field(&missing, "%s").as_deref(), Some("404"));
    every_class_records_and_changes_nothing(&server);
    assert_eq!(php_log(&server), "");
}

fn every_class_records_and_changes_nothing(server: &Server) {
    let path = "/pages/wrappers.php";
    assert_eq!(
        get(server, path, &[]).text(),
        "1\n3\n2\nrefused\nfalse\ntrue\nfalsefalse\n2\na secret\n[1,[\"a secret\",\"1\"]]\n2\ndone\n",
        "{}",
        php_log(server)
    );
    let asked = get(server, &format!("{path}?ioprofiler=text"), &token());
    let shown = Shown::read(&asked.text());
    let text = &shown.text;
    for (part, count) in [
        (
            "SELECT title FROM Listing WHERE listing_id = ? AND quantity > ? -- [int, int]",
            1,
        ),
        ("PREPARE SELECT title FROM Listing", 1),
        ("SELECT shop_id FROM Shop LIMIT 3  (3 rows)", 1),
        (
            "SELECT city FROM Shop WHERE shop_id > ? LIMIT 2 -- [int]",
            1,
        ),
        ("SELECT nothing FROM nowhere", 2),
        (
            "UPDATE Listing SET quantity = quantity WHERE listing_id = :id -- [int]",
            1,
        ),
        ("Cache SET, keys: a  (4 bytes)", 1),
        ("Cache 3/4 HIT, missed: d", 1),
        ("Cache HIT, keys: c", 1),
        ("Cache MISS, keys: none", 1),
        ("Cache DELETE, keys: a", 1),
        ("SET session:1", 1),
        ("EXEC: INCR, MGET", 1),
        ("BEGIN", 1),
        ("ROLLBACK", 1),
    ] {
        assert_eq!(shown.having(part).len(), count, "{part} in {text}");
    }
    for failed in shown.having("SELECT nothing FROM nowhere") {
        assert!(failed.text.ends_with(" error"), "{text}");
    }
    assert_eq!(shown.count("users"), 7, "{text}");
    assert!(
        text.starts_with("# GET /pages/wrappers.php?ioprofiler=text 200 "),
        "{text}"
    );
    let inside = |part: &str| shown.having(part)[0].depth;
    assert_eq!(inside("in the outer"), 1, "{text}");
    assert_eq!(inside("in a fiber"), 0, "{text}");
    assert!(!text.contains("a secret"), "{text}");
}

#[test]
fn who_asks_in_vain_or_not_at_all_gets_the_same_bytes_as_without_us() {
    if !installed() {
        return;
    }
    let with = Php {
        prepend: Some("pages/noted.php"),
        ..Php::default()
    };
    let without = Php {
        prepend: None,
        has_library: false,
        ..Php::default()
    };
    let missing = Php {
        has_library: false,
        ..with.clone()
    };
    let [with, without, missing] =
        [with, without, missing].map(|php| serve(&php, "/pages/index.php", |_| String::new()));
    for page in [
        "?page=plain",
        "?page=plain&words=9000",
        "?page=json",
        "?page=stream",
        "?page=cleared",
        "?page=tagged",
        "?page=empty",
    ] {
        for asked in ["", "&ioprofiler=1", "&ioprofiler=text"] {
            for header in ["If-None-Match: \"1\"", "X-Ioprofiler-Token: iop1.a.b.c.d.e"] {
                let path = format!("/{page}{asked}");
                let seen = |server: &Server| {
                    let mut answer = get(server, &path, &[header.to_owned()]);
                    // The notes' header is switched on by name in these pages.
                    answer
                        .headers
                        .retain(|(name, _)| name != "date" && name != "x-unused");
                    (answer.status, answer.headers, answer.body)
                };
                let expected = seen(&without);
                assert_eq!(seen(&with), expected, "{path}");
                assert_eq!(seen(&missing), expected, "{path}");
            }
        }
    }
    let said = php_log(&with);
    assert!(
        said.contains("ioprofiler: gate: asked, gate closed: "),
        "{said}"
    );
    assert!(said.lines().count() <= 8, "{said}");
    let said = php_log(&missing);
    assert_eq!(
        said.matches("ioprofiler: nothing is observed: ").count(),
        1,
        "{said}"
    );
    assert!(said.contains("ffi.preload"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn who_may_look_sees_the_panel_where_the_answer_can_carry_it() {
    if !installed() {
        return;
    }
    let php = Php {
        prepend: Some("pages/noted.php"),
        ..Php::default()
    };
    let server = serve(&php, "/pages/index.php", |_| String::new());
    let mut headers = token();
    headers.push("If-None-Match: \"1\"".to_owned());
    let shown = |page: &str| get(&server, &format!("/?page={page}&ioprofiler=1"), &headers);
    for (page, body) in [
        ("plain", "plain clay"),
        ("plain&words=5000", "clay clay"),
        ("cleared", "<body>kept"),
        ("tagged", "tagged"),
        ("exit", "<body>exit"),
    ] {
        let answer = shown(page);
        let text = answer.text();
        assert_eq!(answer.status, 200, "{page}: {}", php_log(&server));
        assert!(text.contains(body), "{page}: {text}");
        assert_eq!(
            text.matches("<ioprofiler-panel").count(),
            1,
            "{page}: {text}"
        );
        assert!(text.ends_with("</body>"), "{page}: {text}");
        assert!(!text.contains("to be forgotten"));
        assert_eq!(answer.header("etag"), None, "{page}");
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        assert!(answer.header("x-ioprofiler-request").is_some());
        assert!(answer.header("server-timing").is_some());
        if let Some(length) = answer.header("content-length") {
            assert_eq!(length.parse::<usize>().ok(), Some(answer.body.len()));
        }
    }
    for (page, status, body) in [
        ("json", 200, "{\"kept\": true}"),
        ("stream", 200, "<!doctype html><body>one two</body>"),
        ("empty", 204, ""),
    ] {
        let answer = shown(page);
        assert_eq!((answer.status, &*answer.text()), (status, body), "{page}");
        let why = answer.header("x-ioprofiler").unwrap_or_default();
        assert!(
            why.starts_with("not-shown; "),
            "{page}: {:?}",
            answer.headers
        );
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    }
    let json = get(&server, "/?page=empty&ioprofiler=json", &token());
    assert_eq!(json.status, 200, "a profile is no empty answer");
    assert_eq!(json.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&json.body).expect("JSON");
    assert!(json.to_string().contains("you@example.com"), "{json}");
    let ticket = get(&server, "/?page=thrown&ioprofiler=ticket", &token());
    assert_eq!(ticket.status, 500);
    assert!(
        ticket.text().starts_with("# GET /?page="),
        "{}",
        ticket.text()
    );
}

/// Wrong options end nothing but the observation, and are said once.
#[test]
fn a_wrong_option_is_said_and_the_page_is_as_ever() {
    if !installed() {
        return;
    }
    let php = Php {
        prepend: Some("pages/wrong.php"),
        ..Php::default()
    };
    let server = serve(&php, "/pages/index.php", |_| String::new());
    for _ in 0..6 {
        assert!(get(&server, "/", &[]).text().contains("plain clay"));
    }
    let said = php_log(&server);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("note_format: log format, column 12: %Z"),
        "{said}"
    );
}

/// Notes that try to break a line.
fn hostile() -> Vec<Vec<u8>> {
    let mut cases: Vec<Vec<u8>> = vec![
        (0..=255).collect(),
        b"\" 200 5 \"-\" \"forged\" - -".to_vec(),
        b"a\r\n10.0.0.1 - - [x] \"GET / HTTP/1.1\" 200 5\r\n".to_vec(),
        b"%s %{x}n %% %00 %".to_vec(),
        b"\\x00\\\"\\".to_vec(),
        "clay \u{2028} é \u{85} 陶 \u{1f3fa}".as_bytes().to_vec(),
        b"\xff\xfe\xc3".to_vec(),
        b"-".to_vec(),
        b"6;12;14".to_vec(),
        vec![b'x'; 10_240],
        "é".repeat(5_000).into_bytes(),
        vec![0; 10_240],
        vec![b'"'; 3_000],
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

#[test]
fn notes_of_any_bytes_are_one_field_of_one_line_of_apaches() {
    if !installed() {
        return;
    }
    let cases = hostile();
    let format = "%h %t \"%r\" %>s %{case}n %{user_id}n";
    let php = Php {
        prepend: Some("pages/noted.php"),
        ..Php::default()
    };
    let server = serve(&php, "/pages/index.php", |folder| {
        for (number, case) in cases.iter().enumerate() {
            std::fs::write(folder.path(&format!("php/pages/case-{number}")), case)
                .expect("a case can be written");
        }
        let quoted = format.replace('"', "\\\"");
        format!("LogFormat \"{quoted}\" noted\nCustomLog access.log noted\n")
    });
    let parsed = LogFormat::parse(format).expect("a format");
    let mut processes = BTreeSet::new();
    for number in 0..cases.len() {
        let answer = get(&server, &format!("/?page=note&case={number}"), &[]);
        assert_eq!(answer.status, 200, "{}", php_log(&server));
        processes.insert(answer.text());
    }
    assert!(processes.len() >= 2, "one process served them all");
    let lines = lines(server.path("access.log"), cases.len());
    assert_eq!(lines.len(), cases.len());
    for (case, line) in cases.iter().zip(&lines) {
        let fields = read_line(&parsed, line).unwrap_or_else(|| panic!("{line}"));
        assert_eq!(
            field(&fields, "%{case}n").as_deref(),
            Some(&*kept(case)),
            "{line}"
        );
        assert_eq!(field(&fields, "%{user_id}n").as_deref(), Some("5020244"));
    }
    assert_eq!(php_log(&server), "");
}

#[test]
fn what_goes_wrong_in_a_page_is_noted_all_the_same() {
    if !installed() {
        return;
    }
    let php = Php {
        prepend: Some("pages/noted.php"),
        ..Php::default()
    };
    let server = serve(&php, "/pages/index.php", |_| {
        "LogFormat \"%>s %{case}n %{ioprofiler}n\" noted\nCustomLog access.log noted\n".to_owned()
    });
    for page in ["late", "thrown", "exit", "empty"] {
        get(&server, &format!("/?page={page}"), &[]);
    }
    let lines = lines(server.path("access.log"), 4);
    assert_eq!(
        lines,
        [
            "200 in%20the%20shutdown in%20the%20shutdown -",
            "500 before before -",
            "200 exited exited -",
            "204 - - -",
        ]
    );
    let own = std::fs::read_to_string(server.path("temporary/own.log")).expect("our own log");
    let own: Vec<serde_json::Value> = own
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(own.len(), 4);
    assert!(
        own[1].to_string().contains("thrown on purpose"),
        "{}",
        own[1]
    );
}

#[test]
fn who_makes_the_declarations_hears_of_a_library_that_is_not_there() {
    let Some(php) = program("php") else {
        skipped("php");
        return;
    };
    let root = ioprofiler_tests::php::root();
    let made = std::process::Command::new(php)
        .arg(root.join("examples/php/bin/ioprofiler-ffi-header"))
        .arg(root.join("include/ioprofiler.h"))
        .arg("/nowhere/libioprofiler.so.0")
        .output()
        .expect("php runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(
        said.contains("/nowhere/libioprofiler.so.0") && said.contains("no PHP starts"),
        "{said}"
    );
    assert!(made.status.success(), "it may be for another machine");
    assert!(String::from_utf8_lossy(&made.stdout).contains("ioprof_request_begin("));
}

#[test]
fn numbers_in_php_are_the_headers() {
    let file = |name: &str| {
        std::fs::read_to_string(ioprofiler_tests::php::root().join(name)).expect("a file")
    };
    let header = file("include/ioprofiler.h");
    let defined = |name: &str, number: &str| {
        let line = format!("#define IOPROF_{name} {number}");
        header.lines().any(|known| known == line)
    };
    let mut checked = 0;
    for (source, prefixes) in [
        ("examples/php/src/Library.php", &[""][..]),
        ("examples/php/src/Request.php", &["", "DIALECT_"]),
        ("examples/php/src/Profiler.php", &[""]),
        ("examples/php/src/Span.php", &[""]),
    ] {
        let text = file(source);
        let constants = text.lines().filter_map(|line| {
            let (_, constant) = line.split_once(" const ")?;
            constant.strip_suffix(';')?.split_once(" = ")
        });
        for (name, number) in constants {
            let is_ours = ["ROOM", "FRAMES", "MOST", "TEXTS", "NUMBERS"].contains(&name);
            assert!(
                is_ours
                    || prefixes
                        .iter()
                        .any(|prefix| defined(&format!("{prefix}{name}"), number)),
                "{source}: {name} = {number}"
            );
            checked += usize::from(!is_ours);
        }
    }
    assert!(checked >= 20, "{checked}");
}
