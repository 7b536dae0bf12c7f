//! The C ABI as it is shipped: the library of the profile `dist`, the committed header, and
//! programs in C that get everything wrong.

use ioprofiler_tests::metric_servers::skipped;
use ioprofiler_tests::servers::{python_with, says};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, OnceLock};

/// What makes the header; another version may write it differently.
const CBINDGEN: &str = "0.29.4";

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs a command; its output, where it succeeded.
fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// The folder of the shared library as it is shipped, built once a test run.
fn library() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("the folder of temporary files is in the target folder");
        run(Command::new(env!("CARGO"))
            .args([
                "build",
                "--quiet",
                "--profile",
                "dist",
                "-p",
                "ioprofiler-c",
            ])
            .arg("--target-dir")
            .arg(target)
            .current_dir(root()));
        target.join("dist")
    })
}

/// Compiles a C source against the header and the library, with every warning an error.
fn compile(source: &str, name: &str, compiler: &[&str]) -> PathBuf {
    let (first, rest) = compiler.split_first().expect("a compiler");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let library = library();
    run(Command::new(first)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude"])
        .args(rest)
        .args([source, "-x", "none", "-pthread", "-lioprofiler", "-o"])
        .arg(&program)
        .arg(format!("-L{}", library.display()))
        // Before LD_LIBRARY_PATH, in which cargo has its own libraries: maybe ours, older or slower.
        .arg(format!(
            "-Wl,--disable-new-dtags,-rpath,{}",
            library.display()
        ))
        .current_dir(root()));
    program
}

const C99: &[&str] = &["cc", "-std=c99", "-O2"];

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The tool, in the pinned version: what is on the path, else installed once into the target folder.
fn cbindgen() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cbindgen");
    let ours = folder.join("bin/cbindgen");
    for tool in [PathBuf::from("cbindgen"), ours.clone()] {
        let version = Command::new(&tool).arg("--version").output();
        if version.is_ok_and(|version| said(&version).trim().ends_with(CBINDGEN)) {
            return tool;
        }
    }
    run(Command::new(env!("CARGO"))
        .args(["install", "--quiet", "--locked", "--debug", "cbindgen"])
        .args(["--version", &format!("={CBINDGEN}"), "--root"])
        .arg(&folder));
    ours
}

/// Set `IOPROF_BLESS=1` to make it anew instead of comparing it.
#[test]
fn header_is_what_cbindgen_makes() {
    let made = run(Command::new(cbindgen())
        .args([
            "--quiet",
            "--config",
            "bindings/c/cbindgen.toml",
            "bindings/c",
        ])
        .current_dir(root()));
    let committed = root().join("include/ioprofiler.h");
    if std::env::var_os("IOPROF_BLESS").is_some() {
        std::fs::write(&committed, &made.stdout).expect("the header can be written");
    }
    let committed = std::fs::read_to_string(committed).expect("the header is there");
    assert!(
        said(&made) == committed,
        "include/ioprofiler.h differs from bindings/c: make it anew with IOPROF_BLESS=1"
    );
}

#[test]
fn hello_prints_its_table_in_c_and_in_cpp() {
    let source = "examples/c/hello.c";
    let golden = std::fs::read_to_string(root().join("tests/golden/hello.txt")).expect("golden");
    let others: &[&[&str]] = &[
        C99,
        &["cc", "-std=c99", "-DIOPROF_NO_INLINE"],
        &["cc", "-std=c17"],
        &["g++", "-std=c++11", "-x", "c++"],
        &["g++", "-std=c++20", "-x", "c++"],
    ];
    for (number, compiler) in others.iter().enumerate() {
        let hello = compile(source, &format!("hello{number}"), compiler);
        let output = run(Command::new(&hello).arg("--manual-clock"));
        assert_eq!(said(&output), golden, "{compiler:?}");
        run(&mut Command::new(hello));
    }
}

#[test]
fn nothing_but_our_names_leaves_the_library() {
    let library = library().join("libioprofiler.so");
    let symbols = run(Command::new("nm")
        .args(["-D", "--defined-only"])
        .arg(&library));
    let symbols = said(&symbols);
    let names: Vec<&str> = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert!(names.contains(&"ioprof_span_begin"), "{names:?}");
    let foreign: Vec<_> = names
        .iter()
        .filter(|name| !name.starts_with("ioprof_"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let header = std::fs::read_to_string(root().join("include/ioprofiler.h")).expect("the header");
    for name in names {
        assert!(
            header.contains(&format!("{name}(")),
            "{name} is not in the header"
        );
    }
    let dynamic = said(&run(Command::new("readelf").arg("-d").arg(&library)));
    assert!(
        dynamic.contains("soname: [libioprofiler.so.0]"),
        "{dynamic}"
    );
}

#[test]
fn a_hostile_host_goes_on() {
    let program = compile("tests/c/hostile.c", "hostile", C99);
    let output = run(Command::new(program).arg("1000000"));
    assert_eq!(said(&output), "survived\n");
}

#[test]
fn a_hostile_host_goes_on_under_the_address_sanitizer() {
    let compiler = [
        "cc",
        "-std=c99",
        "-O1",
        "-g",
        "-fsanitize=address,undefined",
    ];
    let program = compile("tests/c/hostile.c", "hostile_asan", &compiler);
    let output = run(Command::new(program).arg("50000"));
    assert_eq!(said(&output), "survived\n");
}

/// What a process keeps as long as it lives can be reached. Some of it only by pointers into its
/// middle (the flags' snapshot, behind `arc-swap`), which valgrind calls possibly lost.
#[test]
fn memory_that_is_kept_can_be_reached() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return skipped("valgrind", "it is not installed");
    }
    let hello = compile("examples/c/hello.c", "hello_memcheck", C99);
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--error-exitcode=9", "--leak-check=full"]);
    valgrind.arg("--errors-for-leak-kinds=definite,indirect");
    run(valgrind
        .arg("--show-leak-kinds=definite,indirect")
        .arg(hello));
}

#[test]
fn eight_threads_share_a_request() {
    let program = compile("tests/c/threads.c", "threads", C99);
    assert_eq!(
        said(&run(&mut Command::new(program))),
        "40000 calls\n0 busy\n"
    );
}

#[test]
fn notes_and_lines_reach_a_host_in_c() {
    let program = compile("tests/c/log.c", "log", C99);
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c-access.log");
    drop(std::fs::remove_file(&log));
    let output = run(Command::new(program).arg(&log));
    let line =
        r#"10.0.0.1 "GET /listing/5773453 HTTP/1.1" 200 "a\"b\xff" clay 5020244 3%20things%0D%0A"#;
    let printed = said(&output);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("access_log_format: log format, column 4: %Z is not known"));
    assert!(lines[1].starts_with("note_format: note format \"%h  %u\": one space"));
    assert!(lines[2].starts_with("access_log: /no/such/folder/log: "));
    assert_eq!(
        lines[3..],
        [
            "request: user-agent",
            "answer: x-shop",
            "note (34): 5020244 3%20things%0D%0A 0.25 true",
            "note (34): 5020244…",
            &format!("line ({}): {line}", line.len()),
            "1 written, 0 failed, 1 notes lost",
        ]
    );
    let written = std::fs::read_to_string(log).expect("the log");
    assert_eq!(written, format!("{line}\n"));
}

#[test]
fn a_host_that_begins_anew_finds_its_profiler_and_shows_profiles() {
    let program = compile("tests/c/pages.c", "pages", C99);
    let printed = said(&run(&mut Command::new(program)));
    let expected = "\
none yet: 1
found: 1
others: 1
again: 100
why: name: there is a profiler of this name
no policy: panel, style
style-src 'nonce-r4nd0m'; script-src 'nonce-r4nd0m': panel, style, nonce
default-src 'none': panel
replace 2 304: 0, status 200, # GET /
with its status: 1
replace 3 500: 0, status 500, {\"forma
replace 1 200: 300, status 0, ?
page: 1
ticket: 1
json: {\"format\":\"ioprofiler.profile\",\"version\":1,
line: 5020244\ta%09b%0D%0Ac%00d\t-
wrong: 100
why: log format, column 4: ";
    assert!(printed.starts_with(expected), "{printed}");
    assert!(
        printed.ends_with("nothing said: 0\nkept: 1\nsaid: gate: \nnothing more: 0\nfreed: 1\n"),
        "{printed}"
    );
}

#[test]
fn numbers_are_scraped_in_c_and_in_cpp() {
    let compilers: [&[&str]; 2] = [C99, &["g++", "-std=c++11", "-x", "c++"]];
    for (number, compiler) in compilers.iter().enumerate() {
        let program = compile(
            "examples/c/numbers.c",
            &format!("numbers{number}"),
            compiler,
        );
        let printed = said(&run(&mut Command::new(program)));
        assert!(printed.starts_with("200 text/plain; version=0.0.4; charset=utf-8\n"));
        for line in [
            "registrations_total{worker=\"web-1\"} 1",
            "registrations_total{plan=\"pro\",worker=\"web-1\"} 1",
            "registrations_total{country=\"de\",worker=\"web-1\"} 1",
            "queue_length{worker=\"web-1\"} 17",
            "mail_sent_seconds_sum{worker=\"web-1\"} 0.12",
        ] {
            assert!(
                printed.lines().any(|printed| printed == line),
                "{line}: {printed}"
            );
        }
    }
}

/// A carbon of which only the lines matter: those of connections that were ended.
fn carbon() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its number").to_string();
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = Arc::clone(&lines);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = String::new();
            if stream.read_to_string(&mut text).is_ok() {
                let lines = text.lines().map(str::to_owned);
                taken.lock().expect("nobody panics").extend(lines);
            }
        }
    });
    (address, lines)
}

/// The sum of a series that carbon was sent: of each moment what it was told last.
fn sent(lines: &[String], series: &str) -> f64 {
    let values = lines.iter().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, value, at] = words[..] else {
            return None;
        };
        (name == series).then_some((at, value.parse::<f64>().ok()?))
    });
    values.collect::<BTreeMap<_, _>>().values().sum()
}

/// The values of a series, as Prometheus' client for Python reads them.
const READ_SCRAPE: &str = r#"
import json, sys
if sys.argv[1] == "open":
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
else:
    from prometheus_client.parser import text_string_to_metric_families as read
samples = [s for family in read(sys.stdin.read()) for s in family.samples]
print(json.dumps({s.name + s.labels.get("plan", ""): s.value for s in samples}))
"#;

/// The samples of one series of the application's own, by their labels' values.
fn samples<'a>(series: &'a serde_json::Value, name: &str) -> Vec<&'a serde_json::Value> {
    let all = series.as_array().expect("a list").iter();
    let all = all.flat_map(|series| series["samples"].as_array().expect("a list"));
    all.filter(|sample| sample["name"] == name).collect()
}

/// Four threads count 25,000 rounds each: what is read and what is sent is what they counted.
#[test]
fn what_a_host_in_c_counts_is_read_sent_and_kept() {
    let program = compile("tests/c/metrics.c", "metrics", C99);
    let (address, lines) = carbon();
    let config = format!(
        "worker = \"w1\"\n[graphite]\naddress = \"{address}\"\nprefix = \"shop\"\nbuckets = false\n"
    );
    let printed = said(&run(Command::new(&program).arg(&config)));
    let line = |begin: &str| {
        let found = printed.lines().find_map(|line| line.strip_prefix(begin));
        found.unwrap_or_else(|| panic!("{begin}: {printed}"))
    };
    assert_eq!((line("flushed: "), line("freed: ")), ("0", "0"));
    assert_eq!((line("as long: "), line("none: ")), ("1", "0 0"));

    let mails = f64::from(4 * (0..25_000_u32).map(|round| round % 3).sum::<u32>());
    let series: serde_json::Value = serde_json::from_str(line("series: ")).expect("JSON");
    assert_eq!(samples(&series, "mails")[0]["count"], mails as u64);
    let of_plan = |plan: &str| {
        let all = samples(&series, "registrations").into_iter();
        let mut all = all.filter(|sample| sample["labels"]["plan"] == plan);
        all.next().map(|sample| sample["count"].clone())
    };
    assert_eq!(of_plan("pro"), Some(50_000.into()));
    assert_eq!(of_plan("a_b=c"), Some(25_000.into()));
    let timing = samples(&series, "mail.sent")[0];
    let sum = 4 * 250 * (1..=100_u64).sum::<u64>() * 1_000_000;
    assert_eq!(
        (&timing["count"], &timing["sum"]),
        (&100_000.into(), &sum.into())
    );
    assert_eq!(samples(&series, "queue.length")[0]["value"], 17.5);
    let lost = samples(&series, "profiler.dropped").into_iter();
    let mut lost = lost.filter(|sample| sample["labels"]["reason"] == "metrics");
    assert_eq!(lost.next().map(|lost| &lost["count"]), Some(&2.into()));

    the_scrapes_are_read(&printed, mails);

    let kept = "\
kept: 3 of 3
  slow /about 200, its call: 1
  slow /listing/%7Bid%7D 200, its call: 1
  error /listing/%7Bid%7D 503, its call: 1
";
    assert!(printed.contains(kept), "{printed}");
    let json: serde_json::Value = serde_json::from_str(line("kept_json: ")).expect("JSON");
    assert_eq!(json[2]["kept"]["reason"], "error");
    assert_eq!(
        (&json[2]["version"], &json[2]["calls"][0]["detail"]),
        (&1.into(), &"SELECT ?".into())
    );

    let lines = lines.lock().expect("nobody panics").clone();
    let of = |series: &str| sent(&lines, &format!("shop.{}.w1.{series}", line_host(&lines)));
    assert_eq!(of("mails.count"), mails + 7.0, "{lines:?}");
    assert_eq!(of("registrations.pro.count"), 50_000.0);
    assert_eq!(of("mail.sent.count"), 100_000.0);
    for (event, times) in [("deploy", 1.0), ("own", 1.0)] {
        let end = format!("events.{event}");
        let of_kind = lines.iter().filter(|line| line.contains(&end)).count();
        assert_eq!(of_kind as f64, times, "{lines:?}");
    }
}

/// The host's name, as it is a part of a series' name.
fn line_host(lines: &[String]) -> String {
    let first = lines.first().and_then(|line| line.split('.').nth(1));
    first.unwrap_or_default().to_owned()
}

fn the_scrapes_are_read(printed: &str, mails: f64) {
    let mut scrapes = printed.split("scrape: ").skip(1);
    for (format, kind) in [
        ("text", "200 40 text/plain; version=0.0.4; charset=utf-8"),
        (
            "open",
            "200 58 application/openmetrics-text; version=1.0.0; charset=utf-8",
        ),
    ] {
        let scrape = scrapes.next().expect("a scrape");
        let (head, body) = scrape.split_once('\n').expect("its head");
        assert_eq!(head, kind);
        let Some(python) = python_with("prometheus_client") else {
            return skipped("prometheus_client", "it is not installed");
        };
        let body = body.split_once("scraped\n").expect("its end").0;
        let (good, read) = says(Command::new(python).args(["-c", READ_SCRAPE, format]), body);
        assert!(good, "{read}");
        let read: serde_json::Value = serde_json::from_str(&read).expect("JSON");
        assert_eq!(read["mails_total"], mails);
        assert_eq!(read["registrations_totalpro"], 50_000.0);
        assert_eq!(read["mail_sent_seconds_count"], 100_000.0);
        assert_eq!(read["queue_length"], 17.5);
    }
}

#[test]
fn what_cannot_be_sent_in_c_is_over_at_the_deadline_and_wrong_options_fail() {
    let program = compile("tests/c/metrics.c", "metrics_deadline", C99);
    // It accepts, and never reads.
    let hangs = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = hangs.local_addr().expect("its number");
    let config = format!("[graphite]\naddress = \"{address}\"\n");
    let printed = said(&run(Command::new(&program).args([&config, "100"])));
    assert!(printed.contains("\nflushed: 400\n") || printed.starts_with("flushed: 400\n"));

    let wrong = |arguments: &[&str]| {
        let output = Command::new(&program).args(arguments).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        said(&output)
    };
    let said = wrong(&["[graphite]\nadress = \"x:1\""]);
    let begin = "100\nwhy: config:2:1: graphite.adress: unknown; did you mean `address`?";
    assert!(said.starts_with(begin), "{said}");
    let said = wrong(&["", "1", "/nowhere/ioprofiler.toml"]);
    let begin = "100\nwhy: /nowhere/ioprofiler.toml: cannot be read: ";
    assert!(said.starts_with(begin), "{said}");
}

/// 200 times; 10,000 times with `IOPROF_LONG=1`.
#[test]
fn children_record_while_four_threads_do() {
    let program = compile("tests/c/fork.c", "fork", C99);
    let long = std::env::var_os("IOPROF_LONG").is_some_and(|long| long == "1");
    let forks = if long { "10000" } else { "200" };
    let output = run(Command::new(program).arg(forks));
    assert_eq!(said(&output), format!("{forks} of {forks}\n"));
}

#[test]
fn it_installs_and_is_found_by_pkg_config() {
    let prefix = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prefix");
    let target = library().parent().expect("the target folder");
    run(Command::new("make")
        .args(["-s", "-C", "bindings/c", "install"])
        .arg(format!("PREFIX={}", prefix.display()))
        .arg(format!("TARGET={}", target.display()))
        .current_dir(root()));
    let flags = run(Command::new("pkg-config")
        .args(["--cflags", "--libs", "ioprofiler"])
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")));
    let program = prefix.join("hello");
    run(Command::new("cc")
        .arg("examples/c/hello.c")
        .args(said(&flags).split_whitespace())
        .arg("-o")
        .arg(&program)
        .current_dir(root()));
    let output = run(Command::new(program).env("LD_LIBRARY_PATH", prefix.join("lib")));
    assert!(
        said(&output).contains("TOTAL CALLS                2"),
        "{}",
        said(&output)
    );
}

/// The vectors' documents, as flags files, with what else the program asks about.
fn flags_file(folder: &Path, name: &str, document: &str) -> PathBuf {
    let more = r#""flags": {"f": {"dark": 100, "data": {"dark": [1, "two"]}},
        "gate": {"groups": {"staff": "on"}}, "#;
    let document = document.replacen("\"flags\": {", more, 1);
    let file = folder.join(format!("flags-{name}.json"));
    std::fs::write(&file, document).expect("a flags file");
    file
}

/// A case as the program reads it, and what it is to print.
fn case(case: &serde_json::Value) -> (String, String) {
    let who = &case["who"];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = |value: &serde_json::Value, between: &str| -> String {
        let pair = |(name, value): (&String, &serde_json::Value)| {
            format!("{name}{between}{}", text(value))
        };
        let pairs = value.as_object().into_iter().flatten();
        pairs.map(pair).collect::<Vec<String>>().join(",")
    };
    let groups: Vec<String> = who["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    let fields = [
        text(&case["flag"]),
        text(&who["user"]),
        text(&who["visitor"]),
        text(&who["request"]),
        groups.join(","),
        pairs(&who["attributes"], "="),
        pairs(&who["overrides"], ":"),
    ];
    let reason = text(&case["reason"]);
    let reason = reason.split(':').next().unwrap_or_default();
    let (state, variant) = match reason {
        "not_found" => ("off".to_owned(), "off".to_owned()),
        _ => (text(&case["state"]), text(&case["variant"])),
    };
    (fields.join("\t"), format!("{state} {variant} {reason}"))
}

#[test]
fn flags_decide_as_the_vectors_say() {
    use std::io::Write as _;
    let program = compile("tests/c/flags.c", "flags", C99);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let vectors = std::fs::read_to_string(root().join("tests/vectors/flags.json"));
    let vectors = vectors.expect("the vectors");
    // As they stand there: the order of keys counts, which a parsed value does not keep.
    let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&vectors).expect("JSON");
    let documents: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(raw["documents"].get()).expect("documents");
    let vectors: serde_json::Value = serde_json::from_str(&vectors).expect("JSON");
    for (name, document) in &documents {
        let cases = vectors["decisions"].as_array().expect("cases").iter();
        // A request always has an id, given or made up.
        let has_id = |case: &&serde_json::Value| {
            case["flag"] != "by_request" || !case["who"]["request"].is_null()
        };
        let cases = cases
            .filter(|case| case["document"] == **name)
            .filter(has_id);
        let (mut lines, mut expected): (Vec<String>, Vec<String>) = cases.map(case).unzip();
        assert!(lines.len() > 400, "{}", lines.len());
        if name == "calm" {
            for more in ["the rest", "the gate"] {
                lines.push(more.to_owned());
                expected.push(more.to_owned());
            }
        }
        let mut child = Command::new(&program)
            .arg(flags_file(folder, name, document.get()))
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().expect("its input");
        let text = lines.join("\n");
        let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output().expect("it ends");
        let _ = writer.join();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        let printed = said(&output);
        for ((line, expected), printed) in lines.iter().zip(&expected).zip(printed.lines()) {
            assert_eq!(printed, expected, "{name}: {line}");
        }
        assert_eq!(printed.lines().count(), expected.len(), "{name}");
    }
}
