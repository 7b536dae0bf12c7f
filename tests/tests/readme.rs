//! Each shell command that the README shows, run; its Rust is run by the core's doctests.

use ioprofiler::Profiler;
use ioprofiler_tests::command;
use ioprofiler_tests::servers::Folder;
use std::path::Path;
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

/// The README's blocks of flags, in files of these names.
const FLAG_FILES: [&str; 2] = ["flags.toml", "emergency.toml"];

fn flag_blocks() -> Vec<String> {
    let blocks = toml_blocks().into_iter();
    blocks.filter(|block| block.contains("[flags")).collect()
}

fn toml_blocks() -> Vec<String> {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("there is a README");
    readme
        .split("```toml\n")
        .skip(1)
        .filter_map(|block| block.split_once("```\n").map(|(block, _)| block.to_owned()))
        .collect()
}

#[test]
fn shown_configuration_is_taken() {
    let folder = Folder::new("readme-configuration");
    let blocks = toml_blocks();
    let shown = "# ioprofiler.toml\n";
    let blocks: Vec<&String> = blocks
        .iter()
        .filter(|block| block.starts_with(shown))
        .collect();
    assert_eq!(blocks.len(), 2);
    for block in blocks {
        let state = folder.path("state").display().to_string();
        let file = folder.file("ioprofiler.toml", &block.replace("/var/lib/shop", &state));
        let profiler = Profiler::builder().config_file(file).build();
        profiler.unwrap_or_else(|wrong| panic!("{block}\n{wrong}"));
    }
}

fn run(line: &str, exported: &str, folder: &Path, programs: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("sh")
        .args(["-c", &format!("{exported}{line}")])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .expect("there is a shell")
}

/// The logs that the README reads back. One line is of the format with notes, which is no other.
fn write_logs(folder: &Path) {
    let combined =
        r#"10.0.0.1 - - [23/Nov/2026:03:12:07 +0000] "GET / HTTP/1.1" 200 5120 "-" "curl/8""#;
    let search = "2010-11-03 12:53:02,668 [pool-26-thread-209] INFO solr.SolrListingsv2Search - \
                  listingsv2.search: execTime=40, listings query=laptop bag";
    let access = format!("{combined}\n{combined} 5020244 3%20things 9461 10003 10481\n");
    for (name, text) in [
        ("access.log", access),
        ("search.log", format!("{search}\n")),
    ] {
        std::fs::write(folder.join(name), text).expect("the temporary folder can be written");
    }
}

#[test]
fn shown_commands_work() {
    let folder = std::env::temp_dir().join(format!("ioprofiler-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder can be written");
    write_logs(&folder);
    let blocks = flag_blocks();
    assert_eq!(blocks.len(), FLAG_FILES.len());
    for (name, text) in FLAG_FILES.into_iter().zip(&blocks) {
        std::fs::write(folder.join(name), text).expect("the folder is ours");
    }
    std::fs::write(folder.join("deployed.toml"), &blocks[0]).expect("the folder is ours");
    let programs = command::folder();
    let lines = shell_lines();
    assert!(lines.iter().any(|line| line == "tests/run"));
    let checked = run(
        "ioprofiler flags check --deny warnings flags.toml emergency.toml",
        "",
        &folder,
        programs,
    );
    assert!(checked.status.success(), "{checked:?}");
    // The commands begin without a last file.
    std::fs::remove_file(folder.join("emergency.toml")).expect("it was just written");
    let mut exported = String::new();
    let mut said = String::new();
    for line in &lines {
        if line.starts_with("export ") {
            exported.push_str(&format!("{line}; "));
            continue;
        }
        // What other tests run: all tests, the shop, the benchmarks, the packages' installation.
        let program = line.split(' ').next().unwrap_or_default();
        if ["tests/run", "cargo", "pip", "npm"].contains(&program) {
            assert!(top().join("tests/run").exists());
            continue;
        }
        // The gate of whoever runs the tests stays as it is.
        let line = if line.starts_with("ioprofiler gate") {
            format!("{line} --file gate")
        } else {
            line.clone()
        };
        let ran = run(&line, &exported, &folder, programs);
        said.push_str(&String::from_utf8_lossy(&ran.stdout));
        assert!(
            ran.status.success(),
            "{line}\n{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        );
    }
    // What a command is shown to say.
    let readme = std::fs::read_to_string(top().join("README.md")).expect("there is a README");
    let shown = readme
        .split("```text\n")
        .filter_map(|block| block.split_once("```").map(|(block, _)| block))
        .find(|block| block.starts_with("goes off"))
        .expect("it is shown");
    assert!(said.contains(shown), "{said}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
