//! What is wrong, and what would change.

use super::*;

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
