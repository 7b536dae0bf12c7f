//! The `ioprofiler` command, run from outside.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ioprofiler::gate::{Gate, GateFile, Inputs, SecretFile, TokenKeys};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args(arguments)
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A folder with two secrets, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ioprofiler-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        for name in ["one", "two"] {
            std::fs::write(
                folder.path(name),
                format!("{name}: a secret of at least 32 bytes\n"),
            )
            .unwrap();
            folder.mode(name, 0o600);
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn mint(&self, more: &[&str]) -> Output {
        let secret = self.path("one");
        let mut all = vec![
            "token",
            "mint",
            "--secret",
            &secret,
            "--host",
            "etsy.example",
            "--who",
            "ann",
        ];
        all.extend(more);
        run(&all)
    }

    fn token(&self) -> String {
        out(&self.mint(&[])).lines().next().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn mint_prints_what_opens_the_gate() {
    let folder = Folder::new("mint");
    let minted = folder.mint(&["--for", "30m"]);
    assert!(minted.status.success(), "{}", err(&minted));
    assert!(
        err(&minted).starts_with("for ann on etsy.example, until 20"),
        "{}",
        err(&minted)
    );
    let text = out(&minted);
    let lines: Vec<_> = text.lines().collect();
    let [token, curl, script] = lines[..] else {
        panic!("{text}")
    };
    assert!(curl.starts_with("curl -H 'X-Ioprofiler: text'") && curl.contains(token));
    assert!(curl.ends_with("'https://etsy.example/'"));
    assert_eq!(
        script,
        format!(
            "document.cookie='__Host-ioprofiler={token}; Path=/; Max-Age=1800; Secure; SameSite=Strict'"
        )
    );
    let secret = SecretFile::read(folder.path("one")).unwrap();
    let gate = Gate::token(TokenKeys::new(&[secret]).unwrap());
    let mut inputs = Inputs::new(b"ioprofiler=1", Some(b"etsy.example"));
    inputs.token_header(token.as_bytes());
    assert_eq!(
        gate.asked(&inputs, now()).unwrap().verdict.who(),
        Some("ann")
    );

    let plain = out(&folder.mint(&["--http"]));
    assert!(
        plain.contains("'http://etsy.example/'") && plain.contains("document.cookie='ioprofiler=")
    );
    assert!(!plain.contains("Secure"));
}

#[test]
fn check_says_which_part_fails() {
    let folder = Folder::new("check");
    let (one, two) = (folder.path("one"), folder.path("two"));
    let token = folder.token();
    let check = |more: &[&str], token: &str| {
        let mut all = vec!["token", "check", "--secret"];
        all.extend(more);
        all.push(token);
        let output = run(&all);
        (output.status.code().unwrap(), out(&output))
    };
    let (status, text) = check(&[&one, "--host", "ETSY.example:443"], &token);
    assert_eq!(status, 0, "{text}");
    for part in [
        "key     ok",
        "mac     ok",
        "expiry  ok",
        "host    ok: etsy.example",
        "who     ann",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(check(&[&one], &token).0, 0);
    assert_eq!(
        check(&[&two, "--secret", &one], &token).0,
        0,
        "the second of two"
    );

    let (status, text) = check(&[&one, "--host", "evil.example"], &token);
    assert!(
        status == 1 && text.contains("host    FAILS") && text.contains("expiry  ok"),
        "{text}"
    );
    let (status, text) = check(&[&two], &token);
    assert!(
        status == 1 && text.contains("FAILS: token of another key"),
        "{text}"
    );
    let (status, text) = check(&[&one], &token[..token.len() - 4]);
    assert!(status == 1 && text.contains("FAILS"), "{text}");
    let keys = TokenKeys::new(&[SecretFile::read(&one).unwrap()]).unwrap();
    let old = keys.mint("ann", "etsy.example", 60, now() - 7200).unwrap();
    let (status, text) = check(&[&one], old.as_str());
    assert!(
        status == 1 && text.contains("expiry  FAILS: token expired"),
        "{text}"
    );
    assert!(
        text.contains("ago") && text.contains("mac     ok"),
        "{text}"
    );
}

#[test]
fn check_reads_stdin() {
    let folder = Folder::new("stdin");
    let check = |input: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
            .args(["token", "check", "--secret", &folder.path("one"), "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), out(&output))
    };
    assert_eq!(check(format!("{}\n", folder.token()).as_bytes()).0, 0);
    let (status, text) = check(&vec![b'x'; 100_000]);
    assert!(status == 1 && text.contains("longer than 512"), "{text}");
}

#[test]
fn wrong_calls_say_what_is_allowed() {
    let folder = Folder::new("wrong");
    let one = folder.path("one");
    for (arguments, says) in [
        (vec![], "usage:"),
        (vec!["tokens"], "allowed: token, gate"),
        (vec!["token"], "usage:"),
        (vec!["token", "make"], "allowed: mint, check"),
        (vec!["token", "mint"], "--secret is needed"),
        (vec!["token", "mint", "--secret", &one], "--host is needed"),
        (
            vec!["token", "mint", "--secret", &one, "--host", "a"],
            "--who is needed",
        ),
        (
            vec![
                "token", "mint", "--secret", &one, "--host", "a b", "--who", "x",
            ],
            "host",
        ),
        (vec!["token", "mint", "--for", "25h"], "at most 24h"),
        (vec!["token", "mint", "--for", "soon"], "90s, 30m or 8h"),
        (vec!["token", "mint", "--ttl", "1h"], "--for"),
        (vec!["token", "mint", "word"], "not known here"),
        (vec!["token", "check", "--secret", &one], "TOKEN is needed"),
        (
            vec!["token", "check", "--who", "x"],
            "allowed: --secret, --host",
        ),
        (vec!["gate", "shut"], "allowed: open, close"),
        (vec!["gate", "open"], "--for is needed"),
        (vec!["gate", "open", "--for", "0h"], "at most 24h"),
        (vec!["gate", "close", "--for", "1h"], "allowed: --file"),
        (vec!["--verbose"], "--verbose"),
    ] {
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            err(&output).contains(says),
            "{arguments:?}: {}",
            err(&output)
        );
        assert!(output.stdout.is_empty());
    }
    for help in [
        vec!["--help"],
        vec!["token", "--help"],
        vec!["token", "mint", "-h"],
        vec!["gate", "open", "--help"],
    ] {
        let output = run(&help);
        assert!(
            output.status.success() && out(&output).contains("usage:"),
            "{help:?}"
        );
    }
    assert!(out(&run(&["--version"])).starts_with("ioprofiler "));
}

#[test]
fn secrets_are_looked_at() {
    let folder = Folder::new("secrets");
    folder.mode("one", 0o644);
    let minted = folder.mint(&[]);
    assert!(minted.status.success() && err(&minted).contains("warning: secret file"));
    std::fs::write(folder.path("one"), "short\n").unwrap();
    let refused = folder.mint(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("5 bytes") && err(&refused).contains("openssl"));
    std::fs::remove_file(folder.path("one")).unwrap();
    assert_eq!(folder.mint(&[]).status.code(), Some(1));
}

#[test]
fn gate_opens_and_closes() {
    let folder = Folder::new("gate");
    let path = folder.path("gate");
    let opened = run(&["gate", "open", "--for", "8h", "--file", &path]);
    assert!(opened.status.success(), "{}", err(&opened));
    assert!(out(&opened).starts_with("open until 20") && out(&opened).contains(&path));
    let until = GateFile::at(&path).check(now()).unwrap();
    assert!((8 * 3600 - 10..=8 * 3600).contains(&(until - now())));
    assert!(out(&run(&["gate", "close", "--file", &path])).contains("closed: /"));
    assert!(GateFile::at(&path).check(now()).is_err());
    assert_eq!(
        out(&run(&["gate", "close", "--file", &path])),
        "closed: it was not open\n"
    );
    let nowhere = run(&[
        "gate",
        "open",
        "--for",
        "8h",
        "--file",
        "/no/such/folder/gate",
    ]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(err(&nowhere).contains("/no/such/folder/gate"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let folder = Folder::new("pipe");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args([
            "token",
            "mint",
            "--secret",
            &folder.path("one"),
            "--host",
            "a",
            "--who",
            "x",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
