//! `ioprofiler flags`, run from outside.

use std::path::PathBuf;
use std::process::{Command, Output};

use ioprofiler::{Facts, Profiler};

struct Folder(PathBuf);

const DEPLOYED: &str = "\
# The shop's flags. Deploys own this file.
[flags.new_search]
description = \"Solr | 4\"
owner = \"search-team\"
enabled = { blue = 10, green = 20 }   # ramp
groups = { staff = \"on\" }
priority = 3

[flags.recommendations]
enabled = \"on\"
priority = 8

[flags.checkout]
enabled = \"on\"
priority = 1

[flags]
cart = 12
old = { enabled = 5, priority = 9 }
";

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ioprofiler-cli-flags-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        folder.write("flags.toml", DEPLOYED);
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The words of a command line, in this folder, with two layers.
    fn run(&self, line: &str) -> Output {
        self.with("flags.toml:emergency.toml", line)
    }

    fn with(&self, files: &str, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
            .current_dir(&self.0)
            .env("IOPROFILER_FLAGS", files)
            .env_remove("IOPROFILER_STATE_DIR")
            .env_remove("SUDO_USER")
            .env("USER", "ann")
            .arg("flags")
            .args(line.split_whitespace())
            .output()
            .unwrap()
    }

    fn out(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "{line}: {}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn undo(&self, out: &str) {
        for line in out
            .lines()
            .filter_map(|line| line.strip_prefix("undo: ioprofiler flags "))
        {
            self.out(line);
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn off_writes_the_last_file_only_and_says_how_to_take_it_back() {
    let folder = Folder::new("off");
    let out = folder.out("off new_search --reason db_shard02");
    assert_eq!(
        out,
        "goes off new_search (switched off; was blue 10%, green 20%)\n\
         done in emergency.toml: new_search is off for everybody\n\
         undo: ioprofiler flags clear new_search\n"
    );
    assert_eq!(folder.read("flags.toml"), DEPLOYED, "deploys own it");
    let emergency = folder.read("emergency.toml");
    let lines: Vec<&str> = emergency.lines().collect();
    let [table, note, enabled] = lines[..] else {
        panic!("{emergency}")
    };
    assert_eq!(
        (table, enabled),
        ("[flags.new_search]", "enabled = \"off\"")
    );
    assert!(note.starts_with("# switched off by ann at 20") && note.ends_with("Z: db_shard02"));
    // Twice is the same as once, even for another reason.
    let again = folder.out("off new_search --reason other");
    assert_eq!(again, "nothing to do: new_search is off for everybody\n");
    assert_eq!(folder.read("emergency.toml"), emergency);
    folder.undo(&out);
    assert_eq!(
        folder.read("emergency.toml"),
        "# Nothing is switched here.\n"
    );
    assert!(
        folder
            .out("clear new_search")
            .starts_with("nothing to do: new_search is blue 10%, green 20%")
    );
}

#[test]
fn every_command_is_taken_back_by_its_undo_line() {
    let folder = Folder::new("undo");
    // From nothing, and from a file in which somebody has worked.
    for start in [
        "",
        "# By hand.\n\n[shed]\nfrom = 9 # the rest can stay\n\n[flags.cart] # half\n# more than in the file\nenabled = 50 # see OPS-7\npriority = 4\n\n[flags.night]\nenabled = true\n",
    ] {
        for deed in [
            "off cart",
            "on cart",
            "set cart 20%",
            "set cart 0.5",
            "set new_search blue=1,green=99",
            "set new_search green",
            "on old",
            "off recommendations",
            "shed 7",
            "shed 1",
            "shed none",
            "clear",
            "clear cart",
        ] {
            let _ = std::fs::remove_file(folder.0.join("emergency.toml"));
            if !start.is_empty() {
                folder.write("emergency.toml", start);
            }
            let before = folder.out("list --json");
            let dry = folder.out(&format!("{deed} --dry-run"));
            assert_eq!(
                folder.out("list --json"),
                before,
                "{deed}: a dry run writes nothing"
            );
            let out = folder.out(deed);
            if out.starts_with("nothing to do") {
                assert_eq!(dry, out);
                continue;
            }
            assert_ne!(folder.out("list --json"), before, "{deed}");
            assert!(
                folder.out(deed).starts_with("nothing to do"),
                "{deed} twice"
            );
            folder.undo(&out);
            let states = |list: &str| {
                let list: serde_json::Value = serde_json::from_str(list).unwrap();
                let flags = list["flags"].as_array().unwrap().iter();
                let flags: Vec<_> = flags
                    .map(|flag| (flag["name"].clone(), flag["state"].clone()))
                    .collect();
                (list["shed"]["from"].clone(), flags)
            };
            assert_eq!(
                states(&folder.out("list --json")),
                states(&before),
                "{start}{deed}\n{out}"
            );
            if !start.is_empty() {
                for comment in ["# By hand.", "# half", "# more than in the file"] {
                    assert!(
                        folder.read("emergency.toml").contains(comment),
                        "{deed}: {comment} is lost"
                    );
                }
            }
        }
    }
}

#[test]
fn comments_and_order_stay_where_there_is_one_file() {
    let folder = Folder::new("one");
    let out = |line: &str| {
        let output = folder.with("flags.toml", line);
        assert!(output.status.success(), "{line}: {}", err(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    out("off new_search");
    out("off cart");
    out("off old --by bo");
    let text = folder.read("flags.toml");
    let kept: String = text
        .lines()
        .filter(|line| !line.starts_with("# switched off by "))
        .map(|line| format!("{line}\n"))
        .collect();
    let expected = DEPLOYED
        .replace(
            "enabled = { blue = 10, green = 20 }   # ramp",
            "enabled = \"off\"   # ramp",
        )
        .replace("cart = 12", "cart = \"off\"")
        .replace("enabled = 5,", "enabled = \"off\",");
    assert_eq!(kept, expected);
    assert_eq!(text.matches("# switched off by ").count(), 3);
    assert_eq!(text.matches("# switched off by bo at ").count(), 1);
    assert!(out("off checkout").ends_with("undo: ioprofiler flags set checkout on\n"));
    // Only one note a line, however often it is switched.
    out("on checkout");
    out("off checkout");
    assert_eq!(folder.read("flags.toml").matches("# switched").count(), 4);
    for deed in ["clear", "clear cart"] {
        let refused = folder.with("flags.toml", deed);
        assert_eq!(refused.status.code(), Some(1), "{deed}");
        assert!(err(&refused).contains("no flag"), "{}", err(&refused));
    }
}

#[test]
fn json_is_changed_in_place_too() {
    let folder = Folder::new("json");
    folder.write(
        "flags.json",
        "{\n  \"flags\": {\n    \"zoo\": 12,\n    \"search\": {\"enabled\": 5, \"priority\": 3}\n  }\n}\n",
    );
    for deed in ["off zoo", "set search 7%"] {
        let output = folder.with("flags.json", deed);
        assert!(output.status.success(), "{deed}: {}", err(&output));
    }
    assert_eq!(
        folder.read("flags.json"),
        "{\n  \"flags\": {\n    \"zoo\": \"off\",\n    \"search\": {\"enabled\": \"7%\", \"priority\": 3}\n  }\n}\n"
    );
    for deed in ["off zoo", "shed 3 --reason night"] {
        assert!(
            folder.with("flags.json:night.json", deed).status.success(),
            "{deed}"
        );
    }
    let night: serde_json::Value = serde_json::from_str(&folder.read("night.json")).unwrap();
    assert_eq!(night["shed"]["from"], 3);
    assert_eq!(night["shed"]["why"], "night");
    assert_eq!(
        night["flags"],
        serde_json::Value::Null,
        "it was off already"
    );
    assert!(
        folder
            .with("flags.json:night.json", "on zoo")
            .status
            .success()
    );
    assert!(
        folder
            .with("flags.json:night.json", "clear")
            .status
            .success()
    );
    assert_eq!(
        folder.with("flags.json:night.json", "check").status.code(),
        Some(0)
    );
}

#[test]
fn what_would_do_harm_is_refused() {
    let folder = Folder::new("refused");
    for (line, code, says) in [
        ("off new_serch", 1, "did you mean `new_search`?"),
        ("set cart 120", 1, "120 is over 100"),
        ("set new_search blue=60,green=60", 1, "over 100"),
        ("set cart of", 1, "write \"off\""),
        ("set cart", 2, "what it is to be"),
        ("off", 2, "the flag's name is missing"),
        ("off cart old", 2, "one word too many"),
        ("shed 0", 2, "allowed: 1 to 9"),
        ("shed 10", 2, "allowed: 1 to 9"),
        ("shed", 2, "from which priority on"),
        ("offf cart", 2, "did you mean `off`?"),
        ("off cart --resaon x", 2, "--reason"),
        ("check --deny errors", 2, "--deny warnings"),
        ("eval nothing", 1, "no file has a flag"),
        ("eval cart --attr country", 2, "--attr country=de"),
        ("list none.toml", 1, "there is 1 error in these files"),
    ] {
        let output = folder.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", err(&output));
        assert!(err(&output).contains(says), "{line}: {}", err(&output));
        assert!(!folder.0.join("emergency.toml").exists(), "{line}");
    }
    // A last file that is wrong is not made worse; how to go on is said.
    folder.write("emergency.toml", "[flags.cart\nenabled = 3\n");
    let output = folder.run("off cart");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        err(&output).contains("emergency.toml:1:12: error: the closing `]`"),
        "{}",
        err(&output)
    );
    assert!(err(&output).contains("mv emergency.toml emergency.toml.wrong"));
    assert_eq!(folder.read("emergency.toml"), "[flags.cart\nenabled = 3\n");
    std::fs::remove_file(folder.0.join("emergency.toml")).unwrap();
    // A deployed file that is wrong does not keep anybody from switching off.
    folder.write("flags.toml", "[flags.cart\n");
    assert!(folder.run("off cart").status.success());
    assert!(folder.read("emergency.toml").contains("[flags.cart]"));
    // Nor from taking it back: programs go by what it said when it was good.
    for (line, said) in [
        (
            "clear cart",
            "done in emergency.toml: cart is as the files before the last one said when they were good; flags.toml is wrong now\n",
        ),
        (
            "clear",
            "done in emergency.toml: nothing is switched in the last file\n",
        ),
    ] {
        folder.out("off cart");
        let out = folder.out(line);
        assert!(out.contains(said), "{line}: {out}");
        assert!(
            out.ends_with("undo: ioprofiler flags set cart off\n"),
            "{out}"
        );
        assert!(!folder.read("emergency.toml").contains("cart"), "{line}");
    }
    let nothing = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args(["flags", "list"])
        .env_remove("IOPROFILER_FLAGS")
        .env_remove("IOPROFILER_STATE_DIR")
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(2));
    assert!(err(&nothing).contains("--file FILE for each"));
}

#[test]
fn the_file_is_replaced_in_one_step_and_stays_whose_it_was() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    let folder = Folder::new("replace");
    std::fs::create_dir(folder.0.join("real")).unwrap();
    folder.write("real/emergency.toml", "# mine\n");
    let real = folder.0.join("real/emergency.toml");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/emergency.toml", folder.0.join("emergency.toml")).unwrap();
    let inode = std::fs::metadata(&real).unwrap().ino();
    folder.out("off cart");
    let about = std::fs::metadata(&real).unwrap();
    assert_ne!(about.ino(), inode);
    assert_eq!(about.permissions().mode() & 0o777, 0o640);
    let link = std::fs::symlink_metadata(folder.0.join("emergency.toml")).unwrap();
    assert!(link.is_symlink());
    let left: Vec<_> = std::fs::read_dir(folder.0.join("real")).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
}

#[test]
fn two_operators_at_once_lose_nothing() {
    let folder = Folder::new("two");
    let flags: String = (0..24).map(|flag| format!("flag{flag} = 5\n")).collect();
    folder.write("flags.toml", &format!("[flags]\n{flags}"));
    std::thread::scope(|scope| {
        for flag in 0..24 {
            let folder = &folder;
            scope.spawn(move || folder.out(&format!("off flag{flag}")));
        }
    });
    let text = folder.read("emergency.toml");
    for flag in 0..24 {
        assert!(text.contains(&format!("[flags.flag{flag}]\n")), "{text}");
    }
    assert!(folder.run("check").status.success());
}

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
fn nobody_gets_a_variant_that_the_flag_has_not() {
    let folder = Folder::new("variants");
    for (line, said) in [
        (
            "set new_search blue=5,gren=20",
            "nothing is written: new_search has no variant \"gren\"; did you mean `green`?",
        ),
        (
            "set new_search red=5",
            "nothing is written: new_search has no variant \"red\"; it has blue, green, on, off; a new one is introduced in the file that describes the flag",
        ),
        (
            "set cart blue=5",
            "cart has no variant \"blue\"; it has on, off;",
        ),
        ("set new_search red", "this flag has no variant \"red\""),
    ] {
        let refused = folder.run(line);
        assert_eq!(refused.status.code(), Some(1), "{line}");
        assert!(err(&refused).contains(said), "{line}: {}", err(&refused));
    }
    assert!(!folder.0.join("emergency.toml").exists());
    // What was switched before hides none of those that the files below have.
    folder.out("set new_search green=5");
    folder.out("set new_search blue=5,on=1");
    folder.out("set new_search 5%");
    let emergency = folder.read("emergency.toml");
    assert!(
        emergency.contains("# switched to 5% by ann at 20"),
        "{emergency}"
    );
    folder.out("set new_search green=5,blue=3");
    let emergency = folder.read("emergency.toml");
    assert!(
        emergency.contains("# switched to green 5%, blue 3% by ann at 20"),
        "{emergency}"
    );
}

#[test]
fn a_number_of_the_log_is_never_given_away() {
    let folder = Folder::new("numbers");
    let file = |name: &str, flags: &[(&str, u32, &str, &str)]| {
        let flag = |(name, id, variants, more): &(&str, u32, &str, &str)| {
            format!(
                "[flags.{name}]\nid = {id}\nvariants = {{ {variants} }}\npriority = 1\n{more}\n"
            )
        };
        folder.write(name, &flags.iter().map(flag).collect::<String>());
    };
    file(
        "was.toml",
        &[
            ("search", 51, "blue = 1, green = 2", ""),
            ("cart", 52, "blue = 1", ""),
            ("old", 53, "blue = 1", ""),
            ("renamed", 54, "blue = 1", ""),
        ],
    );
    file(
        "is.toml",
        &[
            ("search", 55, "blue = 1, red = 2, green = 3", ""),
            ("cart", 53, "blue = 1, new = 2", ""),
            ("called", 54, "blue = 1", "salt = \"renamed\""),
        ],
    );
    let output = folder.run("check is.toml --against was.toml");
    assert_eq!(output.status.code(), Some(1));
    let out = String::from_utf8(output.stdout).unwrap();
    for said in [
        "is.toml:2:1: warning: id = 55 was 51: lines of the log from before and after that do not go together",
        "is.toml:3:1: error: the number 2 was green's; give red a number of its own, and never one that was used before",
        "is.toml:3:1: warning: green = 3 was 2: lines of the log from before and after that do not go together",
        "is.toml:7:1: error: id = 53 was old's; give this flag a number of its own, and never one that was used before",
        "is.toml: 3 flags, 2 errors, 2 warnings",
    ] {
        assert!(out.contains(said), "{said}:\n{out}");
    }
    let json = folder.run("check is.toml --against was.toml --json").stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["errors"], &json["warnings"]), (&2.into(), &2.into()));
    // One that is renamed keeps its number.
    assert!(!out.contains("54"), "{out}");
    assert_eq!(folder.run("check is.toml").status.code(), Some(0));
}

#[test]
fn flags_on_one_line_stay_on_one_line() {
    let folder = Folder::new("one-line");
    folder.write(
        "emergency.toml",
        "flags = { new_search = \"on\", cart = { enabled = 1 } }\n",
    );
    folder.out("off new_search");
    folder.out("off cart");
    let emergency = folder.read("emergency.toml");
    let (note, flags) = emergency.split_once('\n').unwrap();
    assert!(
        note.starts_with("# switched off by ann at 20"),
        "{emergency}"
    );
    assert_eq!(
        flags,
        "flags = { new_search = \"off\", cart = { enabled = \"off\" } }\n"
    );
}

#[test]
fn check_tells_a_pipeline_and_a_person() {
    let folder = Folder::new("check");
    folder.write("good.toml", "[flags.a]\nenabled = 10\npriority = 3\n");
    let run = |line: &str| {
        let output = folder.run(line);
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(
        run("check good.toml"),
        (0, "good.toml: 1 flag, good\n".to_owned())
    );
    folder.write(
        "warn.toml",
        "[flags.a]\nenabled = 1\npriority = 3\nexpires = 2020-01-31\n",
    );
    let (code, out) = run("check warn.toml");
    assert_eq!(code, 0);
    assert!(
        out.contains("warn.toml:2:11: warning: enabled = 1 is 1 percent"),
        "{out}"
    );
    assert!(out.contains("\n  enabled = 1\n            ^\n"), "{out}");
    assert!(out.contains("warn.toml:4:1: warning: a was to be gone by 2020-01-31"));
    assert!(out.ends_with("warn.toml: 1 flag, 0 errors, 2 warnings\n"));
    assert!(!out.contains('\x1b'), "no colours in a pipe");
    assert_eq!(run("check warn.toml --deny warnings").0, 1);
    folder.write(
        "wrong.toml",
        "[flags.a]\nenabled = 10%\n[flags.b]\nenabeld = 5\npriority = 3\n",
    );
    let (code, out) = run("check good.toml wrong.toml");
    assert_eq!(code, 1);
    assert!(
        out.ends_with("good.toml, wrong.toml: 2 flags, 2 errors, 0 warnings\n"),
        "{out}"
    );
    let (code, out) = run("check wrong.toml --json");
    assert_eq!(code, 1);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["errors"], 2);
    assert_eq!(json["problems"][1]["line"], 4);
    assert_eq!(json["problems"][1]["flag"], "b");
    assert_eq!(run("check missing.toml").0, 1);
}

#[test]
fn check_counts_who_would_move() {
    let folder = Folder::new("moves");
    folder.write(
        "old.toml",
        "[flags.a]\nenabled = { blue = 10, green = 10 }\nusers = { x = \"blue\" }\npriority = 3\n",
    );
    folder.write(
        "grown.toml",
        "[flags.a]\nenabled = { blue = 10, green = 30 }\nusers = { x = \"blue\" }\npriority = 3\n",
    );
    folder.write(
        "moved.toml",
        "[flags.a]\nenabled = { blue = 20, green = 10 }\nusers = { x = \"green\" }\npriority = 3\n",
    );
    let moves = |line: &str| {
        let output = folder.run(&format!("check {line} --json"));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let moves = json["moves"].as_array().unwrap().clone();
        let moves = moves.into_iter().map(|one| {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            (
                text("flag"),
                text("from"),
                text("to"),
                one["people"].as_u64().unwrap(),
            )
        });
        moves.collect::<Vec<_>>()
    };
    assert_eq!(moves("old.toml --against old.toml"), []);
    // The last one grows: nobody goes from one variant to another.
    let grown = moves("grown.toml --against old.toml");
    assert_eq!(grown.len(), 1, "{grown:?}");
    assert_eq!((grown[0].1.as_str(), grown[0].2.as_str()), ("off", "green"));
    assert!((19_000..21_000).contains(&grown[0].3), "{grown:?}");
    let moved = moves("moved.toml --against old.toml");
    let of = |from: &str, to: &str| {
        let mut all = moved.iter();
        all.find(|one| one.1 == from && one.2 == to)
            .map(|one| (one.0.clone(), one.3))
    };
    assert!((9_000..11_000).contains(&of("green", "blue").unwrap().1));
    assert!((9_000..11_000).contains(&of("off", "green").unwrap().1));
    assert_eq!(
        of("blue", "green"),
        Some(("a (users listed)".to_owned(), 1))
    );
    // Of real people.
    folder.write("people", "1\n2\n3\n\n");
    let people = moves("moved.toml --against old.toml --users people");
    assert!(people.iter().map(|one| one.3).sum::<u64>() <= 3);
    let text = String::from_utf8(folder.run("check grown.toml --against old.toml").stdout).unwrap();
    assert!(
        text.contains("moves: a: off -> green: about 2")
            || text.contains("moves: a: off -> green: about 19"),
        "{text}"
    );
    let text = String::from_utf8(folder.run("check old.toml --against old.toml").stdout).unwrap();
    assert!(text.contains("nobody moves\n"));
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
