//! A large site: a thousand kept requests, two hundred workers, and all of it changing.

use super::worker::Worker;
use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Copies a file, with other words in it.
fn copies(
    path: &Path,
    count: usize,
    name: impl Fn(usize) -> String,
    from: &str,
    to: impl Fn(usize) -> String,
) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    for number in 0..count {
        let text = text.replace(from, &to(number));
        std::fs::write(path.with_file_name(name(number)), text).unwrap();
    }
}

#[test]
fn a_large_site_is_shown_whole() {
    let folder = Folder::new("many");
    let mut worker = Worker::start(&folder.state());
    worker.order("one 4bf92f35 /listing/{id}");
    worker
        .order("hang 77a1 /search dbshard02")
        .order("wait 1100");
    let kept = folder.state().join("kept");
    let id = |number: usize| format!("{number:032x}");
    copies(
        &kept.join("4bf92f35.json"),
        999,
        |n| format!("{}.json", id(n)),
        "4bf92f35",
        id,
    );
    copies(
        &kept.join("4bf92f35.txt"),
        999,
        |n| format!("{}.txt", id(n)),
        "4bf92f35",
        id,
    );
    // The files of its other profilers, as it were.
    for part in ["live", "process"] {
        let of_worker = |name: &str| name.ends_with("-0.json");
        let entries = std::fs::read_dir(folder.state().join(part)).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let path = paths
            .find(|path| of_worker(path.to_str().unwrap()))
            .unwrap();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let stem = stem.strip_suffix("-0").unwrap().to_owned();
        copies(
            &path,
            199,
            |n| format!("{stem}-{}.json", n + 1),
            "\"pid\"",
            |_| "\"pid\"".to_owned(),
        );
    }
    assert_eq!(folder.out("slow").lines().count(), 1 + 1_000);
    assert!(
        folder
            .out(&format!("show {}", id(500)))
            .contains("TOTAL PAGE EXEC")
    );
    let text = folder.out("top");
    assert!(
        text.starts_with("200 requests in 1 of 1 worker, "),
        "{text}"
    );
    assert_eq!(text.matches("[dbshard02]").count(), 200);
    let json = folder.json("status");
    assert_eq!(json["processes"].as_array().unwrap().len(), 200);
    assert_eq!(json["requests"]["in_flight"], 200);
}

#[test]
fn processes_come_and_go_while_it_looks() {
    let folder = Folder::new("coming");
    Worker::start(&folder.state()).order("serve 1 / 200 1");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut worker = Worker::start(&folder.state());
                    worker
                        .order("serve 3 / 200 1")
                        .order("serve 1 /search 500 1");
                    worker.order("hang 77a1 /search dbshard02");
                    worker.order("end");
                }
            });
        }
        for _ in 0..15 {
            for line in ["top", "slow", "events", "series", "status"] {
                let output = folder.run(line);
                assert_ne!(output.status.code(), Some(2));
                // What is in the middle of being written is nobody's mistake.
                assert!(
                    !err(&output).contains("passed over"),
                    "{line}: {}",
                    err(&output)
                );
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}
