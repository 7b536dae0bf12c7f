//! What somebody sent drives no terminal, whichever command shows it.

use super::worker::Worker;
use super::*;
use ioprofiler::render::shown::is_unsafe_to_show;

#[test]
fn nothing_that_is_printed_drives_a_terminal() {
    let folder = Folder::new("hostile");
    let mut worker = Worker::start(&folder.state());
    worker.order("hostile").order("wait 1100");
    let id = "\x1b[2Jid\u{9b}";
    let commands = [
        &["top"][..],
        &["slow"],
        &["show", id],
        &["show", "\x1b]0;unknown"],
        &["events"],
        &["status"],
        &["series"],
        &[
            "deploy",
            "--version",
            "\x1b[2J1",
            "--what",
            "\u{202e}x",
            "--who",
            "\x07",
        ],
        &["deploy", "--version", "\x1b[2J1"],
    ];
    for words in commands {
        for json in [false, true] {
            let mut words = words.to_vec();
            if json && words[0] != "deploy" {
                words.push("--json");
            }
            let output = run(Some(&folder.state()), &words);
            let (said, warned) = (out(&output), err(&output));
            for text in [&said, &warned] {
                let found = text.chars().find(|c| is_unsafe_to_show(*c) && *c != '\n');
                assert_eq!(found, None, "{words:?}: {text:?}");
            }
            if json && words[0] != "deploy" && output.status.success() {
                serde_json::from_str::<Value>(&said).unwrap();
            }
        }
    }
    let text = folder.out("top");
    line_with(&text, &[r"G\x1bT /\x1b]0;title\x07\u{202e}", "[cat_[1m] "]);
    let text = folder.out("events");
    line_with(&text, &[r"own \x1b[2Jwhat, by \x07who (\u{9b}why line)"]);
    // It is found by what it is really called.
    let output = run(Some(&folder.state()), &["show", id]);
    assert!(output.status.success(), "{}", err(&output));
    worker.kill();
    let text = folder.out("top");
    line_with(&text, &["killed ", "[cat_[1m] "]);
}

#[test]
fn files_of_somebody_else_are_passed_over_and_counted() {
    let folder = Folder::new("foreign");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 2 / 200 1").order("event something");
    let before = (folder.out("top"), folder.out("slow"), folder.out("events"));
    let half = "{\"pid\": 1, \"ho";
    let (live, process, kept) = ("live", "process", "kept");
    for (part, name, text) in [
        (live, "1-2-3.json", half),
        (live, "notes.txt", "by hand\x1b[2J"),
        (process, "1-2-3.json", "[]"),
        (kept, "4bf92f35.json", "{\"kept\":{\"id\":"),
        (
            kept,
            "77a1.txt",
            "\x1b[2J a text of somebody else\u{9b}\n\x07",
        ),
    ] {
        std::fs::write(folder.state().join(part).join(name), text).unwrap();
    }
    std::fs::create_dir(folder.state().join("live/7-8-9.json")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.state().join("kept/zero.json")).unwrap();
    let mut lines = std::fs::read_to_string(folder.state().join("events.jsonl")).unwrap();
    lines.push_str("\x1b[2J no event\n{\"at\": 1");
    std::fs::write(folder.state().join("events.jsonl"), lines).unwrap();
    for (line, passed_over, before) in [
        ("top", 3, before.0),
        ("slow", 2, before.1),
        ("events", 1, before.2),
    ] {
        let output = folder.run(line);
        assert_eq!(out(&output), before, "{line}");
        let said = match passed_over {
            1 => "1 thing there could not be read, and was passed over\n".to_owned(),
            many => format!("{many} things there could not be read, and were passed over\n"),
        };
        assert_eq!(err(&output), said, "{line}");
        assert_eq!(folder.json(line)["passed_over"], passed_over);
    }
    assert!(folder.run("status").status.success());
    let text = folder.out("show 77a1");
    assert_eq!(text, "\\x1b[2J a text of somebody else\\u{9b}\n\\x07\n");
}
