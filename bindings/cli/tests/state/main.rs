//! `ioprofiler top`, `slow`, `show`, `events`, `status`, `series` and `deploy`, run from outside on a
//! `state_dir` that real processes fill.
#![allow(clippy::print_stdout)] // workers say when they are done

mod done;
mod hostile;
mod kept;
mod many;
mod screen;
mod status;
mod tell;
mod terminal;
mod top;
mod worker;
mod wrong;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A folder with a `state_dir` in it, and the flags' file beside that; gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ioprofiler-cli-state-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let flags = "[flags.new_search]\nenabled = 10\npriority = 8\n\n[flags.cart]\nenabled = \"on\"\nvariants = { blue = 1, green = 2 }\n";
        std::fs::write(path.join("state.toml"), flags).unwrap();
        Self(path)
    }

    fn state(&self) -> PathBuf {
        self.0.join("state")
    }

    fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        run(Some(&self.state()), &words)
    }

    /// What it says where it says yes.
    fn out(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(
            output.status.success(),
            "{line}: {}{}",
            out(&output),
            err(&output)
        );
        out(&output)
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&out(&self.run(&format!("{line} --json")))).unwrap()
    }

    /// Asks again until it is so.
    fn until(&self, line: &str, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let said = out(&self.run(line));
            if is_so(&said) {
                return said;
            }
            assert!(begun.elapsed() < SOON, "{line}: not {what}: {said}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Much longer than anything takes.
const SOON: Duration = Duration::from_secs(60);

fn command(state_dir: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ioprofiler"));
    for name in [
        "IOPROFILER_FLAGS",
        "IOPROFILER_STATE_DIR",
        "SUDO_USER",
        "COLUMNS",
        "NO_COLOR",
    ] {
        command.env_remove(name);
    }
    if let Some(state_dir) = state_dir {
        command.env("IOPROFILER_STATE_DIR", state_dir);
    }
    command.env("USER", "ann").env("TZ", "UTC");
    command
}

fn run(state_dir: Option<&Path>, words: &[&str]) -> Output {
    command(state_dir).args(words).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The line with these words in it, one after the other.
fn line_with<'a>(text: &'a str, words: &[&str]) -> &'a str {
    let has_all = |line: &&str| {
        let mut rest = *line;
        words.iter().all(|word| match rest.split_once(word) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    };
    let found = text.lines().find(has_all);
    found.unwrap_or_else(|| panic!("no line has {words:?}:\n{text}"))
}
