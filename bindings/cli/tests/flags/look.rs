//! What there is, what somebody gets and why, what programs go by.

use super::*;

#[test]
fn list_is_the_ladder() {
    let folder = Folder::new("list");
    folder.out("off new_search --reason slow");
    folder.out("shed 8 --reason db02");
    let out = folder.out("list");
    let names: Vec<&str> = out
        .lines()
        .skip(2)
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    assert_eq!(
        names,
        ["cart", "checkout", "new_search", "recommendations", "old"]
    );
    assert!(out.starts_with("shed: priority 8 to 9 by ann at 20") && out.contains("Z: db02\n"));
    let line = |name: &str| out.lines().find(|line| line.contains(name)).unwrap();
    assert!(line("new_search").contains("off"));
    let overlaid = line("new_search")
        .split("enabled by emergency.toml:")
        .nth(1)
        .unwrap();
    assert!(
        overlaid.contains(", switched off by ann at 20") && overlaid.ends_with(": slow"),
        "{overlaid}"
    );
    assert!(line("recommendations").contains("shed (on)"));
    let markdown = folder.out("list --markdown");
    assert!(
        markdown.contains("| 3 | `new_search` | off | search-team |  | Solr \\| 4 | enabled by"),
        "{markdown}"
    );
    let json: serde_json::Value = serde_json::from_str(&folder.out("list --json")).unwrap();
    assert_eq!(json["shed"]["from"], 8);
    assert_eq!(json["flags"][2]["name"], "new_search");
}

#[test]
fn what_was_written_by_hand_is_as_old_as_its_file() {
    let folder = Folder::new("by-hand");
    folder.write("emergency.toml", "[flags]\ncart = \"off\"\n");
    let file = std::fs::File::options()
        .write(true)
        .open(folder.0.join("emergency.toml"))
        .unwrap();
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_795_748_400);
    file.set_modified(at).unwrap();
    let out = folder.out("list");
    let line = out.lines().find(|line| line.contains("cart")).unwrap();
    assert!(
        line.ends_with("enabled by emergency.toml:2, a file of 2026-11-27T03:00:00Z"),
        "{line}"
    );
}

#[test]
fn eval_shows_each_step() {
    let folder = Folder::new("eval");
    let out = folder.out("eval new_search --visitor 77 --group staff");
    assert!(
        out.contains("> groups") && out.starts_with("new_search: on"),
        "{out}"
    );
    let out = folder.out("eval flags.toml new_search --visitor 77 --json");
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["variant"], "green");
    assert_eq!(json["reason"], "percent");
    assert_eq!(json["bucket"], 19_814_605);
    folder.out("shed 3");
    let out = folder.out("eval new_search --visitor 77");
    assert!(out.contains("> shed"), "{out}");
}

#[test]
fn status_tells_what_a_running_program_goes_by() {
    let folder = Folder::new("status");
    let state = folder.0.join("state");
    let profiler = Profiler::builder()
        .flags([folder.0.join("flags.toml"), folder.0.join("emergency.toml")])
        .state_dir(&state)
        .threadless(true)
        .build()
        .unwrap();
    let run = |line: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
            .env_remove("IOPROFILER_FLAGS")
            .env("IOPROFILER_STATE_DIR", &state)
            .arg("flags")
            .args(line.split_whitespace())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    // It says what it goes by as soon as it works.
    assert_eq!(run("status"), (0, String::new()));
    assert!(profiler.reload_flags().is_empty());
    let (code, out) = run("status");
    assert_eq!(code, 0, "{out}");
    let version = profiler.flags().snapshot().version_text();
    assert!(
        out.starts_with(&format!("pid {} on ", std::process::id())),
        "{out}"
    );
    assert!(
        out.contains(&format!("flags {}, 5 flags, nothing shed", &version[..4])),
        "{out}"
    );
    // A switch that has not arrived is seen, and then it has.
    assert_eq!(run("off cart").0, 0);
    let (code, out) = run("status");
    assert_eq!(code, 1);
    assert!(out.contains("(the files say "), "{out}");
    assert!(profiler.reload_flags().is_empty());
    assert!(!profiler.begin(&Facts::web("GET", "/")).flag("cart"));
    assert_eq!(run("status").0, 0);
    // What is wrong is said by those who go on with the last good one.
    folder.write("flags.toml", "[flags.cart\n");
    profiler.reload_flags();
    let (code, out) = run("status");
    assert_eq!(code, 1);
    assert!(
        out.contains("flags.toml:1:12: error: the closing `]` is missing"),
        "{out}"
    );
    let (_, json) = run("status --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["processes"][0]["errors"], 1);
    // One that has ended is no more shown.
    let mut gone = json["processes"][0].clone();
    let mut child = Command::new("true").spawn().unwrap();
    gone["pid"] = child.id().into();
    child.wait().unwrap();
    let path = state.join(format!("flags/{}.json", gone["pid"]));
    std::fs::write(&path, gone.to_string()).unwrap();
    let (_, out) = run("status");
    assert_eq!(out.matches("pid ").count(), 1, "{out}");
    assert!(!path.exists());
}
