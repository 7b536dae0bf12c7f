//! What is said of a log, or of a call, that is not as it should be.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Folder, SEARCH, access_log, read, said, stats};

#[test]
fn what_is_wrong_with_a_line_is_said() {
    let folder = Folder::new();
    let combined =
        r#"127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "-" "-""#;
    let guessed = "; the format was guessed from the first line: --format says what it is";
    let search = SEARCH.lines().next().unwrap();
    for (line, arguments, wanted) in [
        (combined, vec!["--format", "combined"], None),
        (
            &*format!("{combined} 17"),
            vec![],
            Some(format!(
                "something stands behind %{{User-Agent}}i, the format's last{guessed}"
            )),
        ),
        (
            combined.split("26").next().unwrap(),
            vec!["--format", "combined"],
            Some("at %b it is not as the format says".to_owned()),
        ),
        (
            "{}",
            vec!["--format", "json"],
            Some("it is no JSON object with a time".to_owned()),
        ),
        (
            search,
            vec![
                "--match",
                "exectime=",
                "--time",
                "%Y-%m-%d %H:%M:%S",
                "--of",
                "execTime",
            ],
            Some("--match does not match it".to_owned()),
        ),
        (
            search,
            vec![
                "--match",
                "execTime=",
                "--time",
                "%d/%b/%Y %H:%M:%S",
                "--of",
                "execTime",
            ],
            Some("it has no time of the form that --time says".to_owned()),
        ),
        (
            &"x".repeat(2 << 20),
            vec!["--format", "%h"],
            Some("it is longer than 1 MiB".to_owned()),
        ),
    ] {
        let log = folder.file("log", format!("{line}\n"));
        let arguments = [&arguments[..], &[&log]].concat();
        let table = String::from_utf8(stats(&arguments).stdout).unwrap();
        let why = table.lines().find_map(|line| line.strip_prefix("why: "));
        assert_eq!(
            why,
            wanted.as_deref(),
            "{arguments:?}: {}",
            table.get(..300).unwrap_or(&table)
        );
        let json = stats(&[&arguments[..], &["--json"]].concat()).stdout;
        let json: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["example"]["why"].as_str(), wanted.as_deref());
    }
}

#[test]
fn a_number_that_no_line_has_is_said() {
    let folder = Folder::new();
    let log = folder.file("log", SEARCH);
    let arguments = [
        "--match",
        "execTime=",
        "--time",
        "%Y-%m-%d %H:%M:%S",
        "--of",
        "execTme,execTime",
        &log,
    ];
    let table = said(&arguments);
    assert!(
        table.contains("\nno line has a number for execTme\n"),
        "{table}"
    );
    assert_eq!(table.matches("no line has").count(), 1, "{table}");
}

#[test]
fn lines_of_too_many_minutes_are_counted() {
    let folder = Folder::new();
    let mut log = String::new();
    for minute in 0..10_003 {
        log += &format!("{} took=1\n", 1_288_788_780 + minute * 60);
    }
    log += "1288788781 took=1\n";
    let log = folder.file("log", log);
    let arguments = [
        "--match", "took=", "--time", "%s", "--of", "took", "--by", "minute", &log,
    ];
    let report = read(&arguments);
    assert_eq!(
        (&report["lines"], &report["minutes_left_out"]),
        (&json!(10_004), &json!(3))
    );
    let table = said(&arguments);
    assert!(
        table.contains("\n3 lines of minutes beyond the first 10,000: left out by minute\n"),
        "{}",
        table.get(..300).unwrap()
    );
}

#[test]
fn wrong_calls_say_what_is_allowed() {
    let folder = Folder::new();
    let log = folder.file("log", access_log());
    for (arguments, wanted) in [
        (vec![], "a FILE is needed"),
        (
            vec!["--format", "%h %Z", &log],
            "--format: log format, column 4: %Z is not known",
        ),
        (
            vec!["--format", "%h%l", &log],
            "nobody can tell where %h ends",
        ),
        (
            vec!["--of", "app_us", &log],
            "app_us is not in the format; it has %h %l %u %t",
        ),
        (
            vec!["--by", "test", &log],
            "%{ab_ids}n with %{ab_variants}n is not in the format",
        ),
        (
            vec!["--by", "hour", &log],
            "allowed: minute, route, status, test",
        ),
        (
            vec!["--match", "x", &log],
            "--match and --time are needed together",
        ),
        (
            vec!["--match", "(", "--time", "%s", "--of", "a", &log],
            "--match: ",
        ),
        (
            vec!["--match", "x", "--time", "%H", "--of", "a", &log],
            "--time: it needs a day and a time",
        ),
        (
            vec!["--match", "x", "--time", "%s", &log],
            "--of is needed with --match",
        ),
        (
            vec![
                "--match", "x", "--time", "%s", "--of", "a", "--by", "status", &log,
            ],
            "no group (?<status>…)",
        ),
        (
            vec!["--every", "1s", &log],
            "--every and --for are for --follow",
        ),
        (vec!["--follow", "-"], "--follow needs one file"),
        (
            vec!["--follow", "--every", "1", &log],
            "allowed: 90s, 30m or 8h",
        ),
        (vec!["--nothing"], "allowed: --format, --match"),
    ] {
        let output = stats(&arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(wanted), "{arguments:?}: {errors}");
    }
    let output = stats(&[&folder.path("none")]);
    assert_eq!(output.status.code(), Some(1));
    let here = folder.path("");
    for arguments in [vec![&*here], vec!["--follow", "--for", "1s", &here]] {
        let output = stats(&arguments);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {errors}");
        assert!(
            errors.to_lowercase().contains(": is a directory"),
            "{errors}"
        );
    }
    let wrong = stats(&["--follow", "--format", "%h %Z", &log]);
    let errors = String::from_utf8(wrong.stderr).unwrap();
    assert!(!errors.contains("following"), "{errors}");
    assert!(said(&["--help"]).contains("usage: ioprofiler log stats"));
}

#[test]
fn a_bad_line_of_a_followed_log_has_no_number() {
    let folder = Folder::new();
    let log = folder.file("log", "a\nb\nc\n");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args(["log", "stats", "--follow", "--for", "2s", &log])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut remark = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut remark)
        .unwrap();
    let mut file = File::options().append(true).open(&log).unwrap();
    file.write_all(b"nothing like it\n").unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    assert!(
        said.contains(&format!(
            "1 line could not be read, the first is in {log}: nothing like it\n"
        )),
        "{said}"
    );
}
