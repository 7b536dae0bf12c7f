//! `ioprofiler flags`, run from outside.

mod check;
mod edit;
mod look;

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
