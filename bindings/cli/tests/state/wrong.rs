//! What is said where there is nothing to read.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;

use super::worker::Worker;
use super::*;

const WORDS: [&[&str]; 8] = [
    &["top"],
    &["slow"],
    &["show", "4bf92f35"],
    &["events"],
    &["status"],
    &["series"],
    &["metrics"],
    &["deploy", "--version", "8c1f"],
];

/// Each of them says this and ends so.
fn each_says(state_dir: Option<&Path>, code: i32, wanted: &str) {
    for words in WORDS {
        let output = run(state_dir, words);
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        assert!(output.stdout.is_empty(), "{words:?}");
        let said = err(&output);
        assert!(
            said.starts_with("ioprofiler: ") && said.contains(wanted),
            "{words:?}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

#[test]
fn no_state_dir_or_one_that_is_none() {
    let folder = Folder::new("wrong");
    each_says(None, 2, "whose? --state-dir DIR");
    each_says(
        Some(&folder.state()),
        1,
        "there is no such folder; a program makes it when it starts",
    );
    assert!(!folder.state().exists(), "nothing makes it");
    each_says(Some(&folder.0.join("state.toml")), 1, "that is no folder");
    each_says(Some(&folder.0), 1, "that is no state_dir");
    std::fs::create_dir(folder.state()).unwrap();
    each_says(Some(&folder.state()), 1, "nothing is there yet");
}

#[test]
fn a_folder_of_another_user() {
    let folder = Folder::new("foreigner");
    Worker::start(&folder.state()).order("serve 1 / 200 1");
    // Root may read everything, so somebody else looks; others look at what nobody may read.
    let is_root = rustix::process::getuid().is_root();
    let program = folder.0.join("ioprofiler");
    // By another process: what this one writes, a child that another test starts meanwhile may hold
    // open, and what is open for writing cannot be started.
    let copied = Command::new("cp")
        .args([Path::new(env!("CARGO_BIN_EXE_ioprofiler")), &program])
        .status();
    assert!(copied.unwrap().success());
    for path in [&folder.0, &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    if !is_root {
        std::fs::set_permissions(folder.state(), std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    for words in WORDS {
        let mut command = Command::new(&program);
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        let output = command
            .args(words)
            .arg("--state-dir")
            .arg(folder.state())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        let said = err(&output);
        assert!(
            said.contains("may read it, as the program does; sudo -u "),
            "{words:?}: {said}"
        );
    }
    std::fs::set_permissions(folder.state(), std::fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_state_dir_in_which_nothing_happened_yet() {
    let folder = Folder::new("fresh");
    let _worker = Worker::start(&folder.state());
    let said = |line: &str| {
        let output = folder.run(line);
        (output.status.code().unwrap(), out(&output), err(&output))
    };
    assert_eq!(
        said("top"),
        (1, "no worker runs\n".to_owned(), String::new())
    );
    assert_eq!(
        said("slow"),
        (
            0,
            String::new(),
            "no request is kept: none ended lately\n".to_owned()
        )
    );
    assert_eq!(
        said("events"),
        (
            0,
            String::new(),
            "no event was written down yet\n".to_owned()
        )
    );
    assert_eq!(
        said("series"),
        (0, String::new(), "nothing was counted yet\n".to_owned())
    );
    let (code, text, _) = said("status");
    assert_eq!(code, 1);
    line_with(&text, &["  no program with this state_dir runs"]);
}

#[test]
fn a_command_that_is_called_wrongly() {
    let folder = Folder::new("called");
    std::fs::create_dir(folder.state()).unwrap();
    for line in [
        "top x",
        "top --every",
        "top --every 0s",
        "top --every soon",
        "slow a b",
        "slow --since yesterday",
        "show a b",
        "events x",
        "status --since 1h",
        "deploy --json",
        "series --by route",
    ] {
        let output = folder.run(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", err(&output));
        assert!(output.stdout.is_empty(), "{line}");
    }
    for word in WORDS {
        let help = run(None, &[word[0], "--help"]);
        assert!(help.status.success());
        let text = out(&help);
        assert!(
            text.starts_with(&format!("usage: ioprofiler {}", word[0])),
            "{text}"
        );
        assert!(text.contains("--state-dir DIR"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}
