//! What is switched, and taken back.

use super::*;

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
        (
            "list none.toml",
            1,
            "none.toml: error: there is no such file",
        ),
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
