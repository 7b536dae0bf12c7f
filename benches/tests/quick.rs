//! The benchmarks run and print all their rows; how long anything takes is never judged here.
#![allow(missing_docs, reason = "a test")]

use std::process::Command;

fn quick(tables: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ioprofiler-benches"))
        .arg("--quick")
        .args(tables)
        .output()
        .expect("the benchmarks start");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn every_row_is_measured() {
    let report = quick(&[
        "spans",
        "requests",
        "sizes",
        "rendering",
        "flags",
        "log",
        "scrape",
        "stats",
    ]);
    assert!(!report.contains("not measured"), "{report}");
    for row in [
        "floor",
        "Rust: explicit request",
        "C: explicit handle",
        "puffin",
        "HTML panel",
        "by handle: 50 %",
        "yggdrasil",
        "Reload of 5,000 flags",
        "a note set again",
        "the combined line with 6 notes",
        "4 processes that share a state_dir",
        "prometheus-client",
        "ioprofiler log stats",
    ] {
        assert!(report.contains(row), "{row} is missing:\n{report}");
    }
}

#[test]
fn nothing_is_allocated_on_the_hot_path() {
    let report = quick(&["memory"]);
    let counted: Vec<&str> = report
        .lines()
        .filter(|line| line.contains(" allocations "))
        .collect();
    assert!(!counted.is_empty(), "{report}");
    for line in counted {
        assert!(line.contains(" 0 allocations"), "{line}");
    }
}

#[test]
fn an_unknown_table_is_refused_with_the_names_of_all() {
    let output = Command::new(env!("CARGO_BIN_EXE_ioprofiler-benches"))
        .arg("spas")
        .output()
        .expect("the benchmarks start");
    assert!(!output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("[spans]"), "{errors}");
}
