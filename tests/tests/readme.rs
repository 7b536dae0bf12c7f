//! Each shell command that the README shows, run; its Rust is run by the core's doctests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in the workspace")
}

/// The lines of the README's blocks of shell.
fn shell_lines() -> Vec<String> {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("there is a README");
    let mut inside = false;
    let mut lines = Vec::new();
    for line in readme.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside && !line.is_empty() => lines.push(line.to_owned()),
            _ => {}
        }
    }
    lines
}

/// Where the `ioprofiler` command is, built if it was not.
fn command_folder() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "ioprofiler-cli"])
        .current_dir(top())
        .status()
        .expect("cargo runs");
    assert!(built.success());
    let test = std::env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/readme-…
    let target = test.ancestors().nth(3).expect("it lies in a target folder");
    target.join("debug")
}

fn run(line: &str, folder: &Path, programs: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .expect("there is a shell")
}

#[test]
fn shown_commands_work() {
    let folder = std::env::temp_dir().join(format!("ioprofiler-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let programs = command_folder();
    let lines = shell_lines();
    assert!(lines.iter().any(|line| line == "tests/run"));
    for line in &lines {
        // What other tests run: all tests, the shop, the benchmarks.
        let program = line.split(' ').next().unwrap_or_default();
        if program == "tests/run" || program == "cargo" {
            assert!(top().join("tests/run").exists());
            continue;
        }
        // The gate of whoever runs the tests stays as it is.
        let line = if line.starts_with("ioprofiler gate") {
            format!("{line} --file gate")
        } else {
            line.clone()
        };
        let ran = run(&line, &folder, &programs);
        assert!(
            ran.status.success(),
            "{line}\n{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
