//! `ioprofiler deploy` and `events`: what was done to the site.

use super::worker::Worker;
use super::*;

#[test]
fn a_deploy_is_told_once() {
    let folder = Folder::new("deploy");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    let deploy = [
        "deploy",
        "--version",
        "8c1f",
        "--what",
        "new search",
        "--why",
        "it is Tuesday",
    ];
    let told = run(Some(&folder.state()), &deploy);
    assert_eq!(
        out(&told),
        "deploy 8c1f: new search, by ann (it is Tuesday)\n"
    );
    let pid = worker.pid();
    assert_eq!(
        err(&told),
        format!("pid {pid} sends, but has no sinks: it stays here\n")
    );
    let again = folder.run("deploy --version 8c1f --who erika");
    let said = out(&again);
    assert!(again.status.success());
    assert!(
        said.starts_with("told already, ") && said.contains(" s ago: deploy 8c1f: "),
        "{said}"
    );
    assert_eq!(folder.json("events")["events"].as_array().unwrap().len(), 1);
    // What runs counts under it from now on.
    folder.until("series", "under it", |said| {
        worker_serves(&folder);
        said.contains("version 8c1f, from ")
    });
    let text = folder.until("status", "deployed", |said| said.contains("version 8c1f"));
    line_with(
        &text,
        &[
            "deploy     8c1f: new search, by ann (it is Tuesday), ",
            " ago",
        ],
    );
    drop(worker);
    let nobody = folder.run("deploy --version 8c20 --who erika");
    assert_eq!(out(&nobody), "deploy 8c20, by erika\n");
    assert!(err(&nobody).contains("one that starts within the hour passes it on"));
    for line in [
        "deploy",
        "deploy --version",
        "deploy 8c1f",
        "deploy --version 1 --json",
    ] {
        assert_eq!(folder.run(line).status.code(), Some(2), "{line}");
    }
}

/// A short life of another worker.
fn worker_serves(folder: &Folder) {
    Worker::start(&folder.state()).order("serve 1 / 200 1");
}

#[test]
fn each_change_of_a_flag_is_an_event_once() {
    let folder = Folder::new("flags");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    let emergency = folder.0.join("emergency.toml");
    let flags = |line: &str| {
        let files = [folder.0.join("state.toml"), emergency.clone()];
        let mut command = command(None);
        command.arg("flags").args(line.split_whitespace());
        for file in files {
            command.arg("--file").arg(file);
        }
        let ran = command
            .arg("--state-dir")
            .arg(folder.state())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{line}: {}", err(&ran));
        assert_eq!(err(&ran), "");
    };
    flags("off new_search --reason melting --dry-run");
    flags("off new_search --reason melting");
    flags("off new_search --reason other");
    flags("shed 7 --by bo --reason db02");
    flags("shed 7 --by bo");
    flags("shed 8");
    flags("set new_search 5%");
    flags("set cart blue=10,green=20");
    flags("clear");
    flags("clear");
    let json = folder.json("events");
    let said: Vec<String> = json["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            let event: ioprofiler::Event = serde_json::from_value(event.clone()).unwrap();
            event.to_string()
        })
        .collect();
    assert_eq!(
        said,
        [
            "flag new_search: 10% → off, by ann (melting)",
            "shed: none → 7, by bo (db02)",
            "shed: 7 → 8, by ann",
            "flag new_search: off → 5%, by ann",
            "flag cart: on → blue 10%, green 20%, by ann",
            "shed: 8 → none, by ann",
            "flag cart: blue 10%, green 20% → on, by ann",
            "flag new_search: 5% → 10%, by ann",
        ]
    );
    let text = folder.out("events");
    for (line, said) in text.lines().skip(1).zip(&said) {
        assert!(line.ends_with(said.as_str()), "{text}");
    }
    // Where the folder is not there yet, it is not made, and the switch is made all the same.
    let elsewhere = folder.0.join("elsewhere");
    let ran = command(Some(&elsewhere))
        .args(["flags", "off", "cart", "--file"])
        .arg(folder.0.join("state.toml"))
        .output()
        .unwrap();
    assert!(ran.status.success() && err(&ran).starts_with("no event is written down: "));
    assert!(!elsewhere.exists());
}

#[test]
fn days_and_hours_between_events_are_seen() {
    let folder = Folder::new("events");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    // The noon before the last one, and later.
    let day = 86_400;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let noon = now / day * day - day - day / 2;
    let event = |at: u64, what: &str| {
        format!(
            "{{\"at\":{},\"kind\":\"own\",\"what\":\"{what}\"}}\n",
            at * 1_000_000_000
        )
    };
    let lines = [
        event(noon, "first"),
        event(noon + 59 * 60, "second"),
        event(noon + 3 * 3_600 + 60 * 59, "third"),
        "half a li".to_owned() + "\n",
        event(noon + day, "fourth"),
    ];
    std::fs::write(folder.state().join("events.jsonl"), lines.concat()).unwrap();
    let output = folder.run("events --since 72h");
    let text = out(&output);
    let shown: Vec<&str> = text.lines().collect();
    assert!(shown[0].contains("day, "), "{text}");
    assert_eq!(
        shown[1..5],
        [
            "12:00:00  own first",
            "12:59:00  own second",
            "          3 hours later",
            "15:59:00  own third"
        ]
    );
    assert_eq!(shown[5], "");
    assert!(shown[6].contains("day, ") && shown[6] != shown[0], "{text}");
    assert_eq!(shown[7], "12:00:00  own fourth");
    assert_eq!(
        err(&output),
        "1 thing there could not be read, and was passed over\n"
    );
    let output = folder.run("events --since 1s");
    let said = err(&output);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(
        said.starts_with("no event in the last 1 s; the last one was "),
        "{said}"
    );
    assert!(said.contains(" ago: own fourth\n"), "{said}");
}
