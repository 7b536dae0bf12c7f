//! Each shell command that the README shows, run; its Rust is run by the core's doctests.
#![allow(clippy::print_stdout)] // workers say when they are done

use ioprofiler::{Facts, Profiler};
use ioprofiler_tests::command;
use ioprofiler_tests::servers::Folder;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

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

const PART: &str = "IOPROF_README_PART";
/// As the README calls it.
const STATE_DIR: &str = "/var/lib/shop";

/// A worker of the shop: this test binary, started with a part to play.
struct Worker {
    child: Child,
    /// Open for as long as it is to live.
    _orders: ChildStdin,
}

impl Worker {
    /// Starts one that is in these calls: route, category, detail.
    fn start(state_dir: &Path, part: &str) -> Self {
        let this = std::env::current_exe().expect("a test binary has a path");
        let mut child = Command::new(this)
            .args(["--exact", "part", "--nocapture", "--test-threads=1"])
            .env(PART, format!("{}|{part}", state_dir.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut lines = answers.lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("ready")), "{part}");
        Self {
            child,
            _orders: orders,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part of a worker; in the test run itself there is nothing to play.
#[test]
fn part() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let mut words = part.split('|');
    let state_dir = words.next().expect("it is named");
    let profiler = Profiler::builder()
        .state_dir(state_dir)
        .build()
        .expect("the folder is ours");
    let kept = profiler.begin(&Facts::web("GET", "/search").id("4bf92f3577b34da6"));
    kept.set_route("/search");
    kept.finish(503, 0);
    let open = words.next().filter(|route| !route.is_empty()).map(|route| {
        let request = profiler.begin(&Facts::web("GET", "/listing/5773453"));
        request.set_route(route);
        let mut next = || words.next().expect("there are three words").to_owned();
        let (category, detail) = (next(), next());
        let call = request.run(|| ioprofiler::span(category.as_str(), &detail));
        (request, call)
    });
    assert!(profiler.flush(Duration::from_secs(10)));
    println!("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    drop(open);
}

/// The workers that the README shows, one of them killed, and what `top` says of them.
fn what_workers_do(state_dir: &Path, programs: &Path) -> String {
    let listing =
        "/listing/{id}|dbshard02|SELECT * FROM listings WHERE shop_id = 7 AND title = 'x'";
    let killed = Worker::start(state_dir, listing);
    let parts = [listing, listing, "/search|memcache_get|listing:5773453", ""];
    let workers = parts.map(|part| Worker::start(state_dir, part));
    drop(killed);
    let line = "COLUMNS=80 ioprofiler top";
    let exported = format!("export IOPROFILER_STATE_DIR={}; ", state_dir.display());
    let begun = Instant::now();
    loop {
        let ran = run(line, &exported, state_dir, programs);
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        // Each says once a second what it is in.
        if said.starts_with("3 requests") || begun.elapsed() > Duration::from_secs(60) {
            drop(workers);
            return said;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A table without what differs each time: numbers, their width, and where a line is cut.
fn shape(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| {
        let line = line.split("SELECT").next().unwrap_or_default();
        let mut before = "";
        let words = line.split_whitespace().map(|word| {
            let is_number = word.starts_with(|first: char| first.is_ascii_digit());
            // Counts of workers and requests are a digit, and the same.
            let differs = word.len() > 1 || before == "killed";
            before = word;
            if is_number && differs { "N" } else { word }
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect()
}

/// The block of this kind that begins so.
fn shown_block(begin: &str) -> String {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("there is a README");
    readme
        .split("```text\n")
        .filter_map(|block| block.split_once("```").map(|(block, _)| block))
        .find(|block| block.starts_with(begin))
        .expect("it is shown")
        .to_owned()
}

#[test]
fn shown_workers_are_seen() {
    let folder = std::env::temp_dir().join(format!("ioprofiler-readme-top-{}", std::process::id()));
    let said = what_workers_do(&folder, command::folder());
    let shown = shown_block("3 requests in");
    assert_eq!(shape(&said), shape(&shown), "{said}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
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
    let state_dir = folder.join("state");
    let _worker = Worker::start(&state_dir, "/listing/{id}|dbshard02|SELECT 7");
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
        let line = &line.replace(STATE_DIR, &state_dir.display().to_string());
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
    let shown = shown_block("goes off");
    assert!(said.contains(&shown), "{said}");
    std::fs::remove_dir_all(&folder).expect("it is ours");
}
