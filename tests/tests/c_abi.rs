//! The C ABI as it is shipped: the library of the profile `dist`, the committed header, and
//! programs in C that get everything wrong.

use ioprofiler_tests::metric_servers::skipped;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

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
        .arg(format!("-Wl,-rpath,{}", library.display()))
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
