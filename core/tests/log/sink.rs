//! The access log's file: whole lines, rotation, and what cannot be written.

use ioprofiler::log_format::read::read_line;
use ioprofiler::{AccessLog, Facts, LogFormat, Profiler};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ioprofiler-log-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn format() -> LogFormat {
    LogFormat::parse("%m %U %{user_id}n %>s").unwrap()
}

fn profiler(log: AccessLog, threadless: bool) -> Profiler {
    let builder = Profiler::builder().access_log(log).threadless(threadless);
    builder.build().unwrap()
}

fn serve(profiler: &Profiler, number: u32) {
    let request = profiler.begin(&Facts::web("GET", &format!("/{number}")));
    request.note("user_id", number);
    request.finish(200, 0);
}

#[test]
fn each_page_is_a_line() {
    for threadless in [false, true] {
        let folder = Folder::new();
        let profiler = profiler(AccessLog::file(folder.path("log"), format()), threadless);
        assert!(!folder.path("log").exists(), "nothing was served yet");
        for number in 0..100 {
            serve(&profiler, number);
        }
        profiler.begin(&Facts::job("rebuild")).finish(0, 0);
        assert!(profiler.flush(LONG));
        let wanted: Vec<String> = (0..100).map(|n| format!("GET /{n} {n} 200")).collect();
        assert_eq!(folder.lines("log"), wanted, "threadless: {threadless}");
        assert_eq!(profiler.stats().log_written, 100);
        let mode = std::fs::metadata(folder.path("log")).unwrap().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}: others could read or run it");
        serve(&profiler, 100);
        assert!(profiler.shutdown(LONG));
        assert_eq!(folder.lines("log").len(), 101);
    }
}

#[test]
fn json_has_jobs_as_well() {
    let folder = Folder::new();
    let profiler = profiler(AccessLog::file(folder.path("log"), LogFormat::json()), true);
    serve(&profiler, 1);
    profiler.begin(&Facts::job("rebuild")).finish(0, 0);
    assert!(profiler.flush(LONG));
    let lines = folder.lines("log");
    let read: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&read[0]["kind"], &read[1]["kind"]),
        (&"web".into(), &"job".into())
    );
    assert_eq!(read[1]["url.path"], "rebuild");
}

#[test]
fn a_log_that_was_moved_away_is_begun_anew() {
    let folder = Folder::new();
    let profiler = profiler(AccessLog::file(folder.path("log"), format()), false);
    let mut served = 0;
    for round in 0..5 {
        for _ in 0..50 {
            serve(&profiler, served);
            served += 1;
        }
        assert!(profiler.flush(LONG));
        std::fs::rename(folder.path("log"), folder.path(&format!("log.{round}"))).unwrap();
    }
    serve(&profiler, served);
    assert!(profiler.flush(LONG));
    let mut lines = Vec::new();
    for name in ["log.0", "log.1", "log.2", "log.3", "log.4", "log"] {
        lines.extend(folder.lines(name));
    }
    let wanted: Vec<String> = (0..=served).map(|n| format!("GET /{n} {n} 200")).collect();
    assert_eq!(lines, wanted);
    // Emptied in place, and opened again on request: nothing is lost, nothing stands twice.
    std::fs::write(folder.path("log"), "").unwrap();
    profiler.reopen_logs();
    serve(&profiler, 7);
    assert!(profiler.flush(LONG));
    assert_eq!(folder.lines("log"), ["GET /7 7 200"]);
}

#[test]
fn rotation_while_pages_are_served_loses_nothing() {
    let folder = Folder::new();
    let profiler = profiler(AccessLog::file(folder.path("log"), format()), false);
    std::thread::scope(|threads| {
        for thread in 0..2 {
            let profiler = &profiler;
            threads.spawn(move || {
                for number in 0..1_000 {
                    serve(profiler, thread * 1_000 + number);
                    if number % 100 == 0 {
                        profiler.flush(LONG);
                    }
                }
            });
        }
        for round in 0..20 {
            let _ = std::fs::rename(folder.path("log"), folder.path(&format!("log.{round}")));
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert!(profiler.flush(LONG));
    let mut lines = folder.lines("log");
    for round in 0..20 {
        lines.extend(folder.lines(&format!("log.{round}")));
    }
    lines.sort();
    let mut wanted: Vec<String> = (0..2_000).map(|n| format!("GET /{n} {n} 200")).collect();
    wanted.sort();
    assert_eq!(lines, wanted);
}

#[test]
fn a_full_disk_is_counted_and_not_felt() {
    for threadless in [false, true] {
        let profiler = profiler(AccessLog::file("/dev/full", format()), threadless);
        for number in 0..10 {
            serve(&profiler, number);
        }
        assert!(profiler.flush(LONG));
        let stats = profiler.stats();
        assert_eq!((stats.log_written, stats.log_failed), (0, 10));
    }
}

#[test]
fn what_was_lost_is_said_once() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    let profiler = Profiler::builder()
        .access_log(AccessLog::file("/dev/full", format()))
        .on_log(move |event| {
            heard
                .lock()
                .unwrap()
                .push((event.kind, event.message.clone()))
        })
        .threadless(true)
        .build()
        .unwrap();
    for number in 0..3 {
        serve(&profiler, number);
        assert!(profiler.flush(LONG));
    }
    let said = said.lock().unwrap();
    let about_logs: Vec<&str> = said
        .iter()
        .filter(|(kind, _)| *kind == "log")
        .map(|(_, message)| message.as_str())
        .collect();
    assert_eq!(
        about_logs,
        [
            "lines of the access log lost: /dev/full cannot be written (1 times): No space left on \
             device (os error 28)"
        ]
    );
}

#[test]
fn the_worst_notes_are_one_line_each_and_come_back() {
    let folder = Folder::new();
    let format = LogFormat::parse(r#"%m "%r" %{note}n %{visitor}n %>s"#).unwrap();
    let profiler = profiler(AccessLog::file(folder.path("log"), format.clone()), true);
    let every: String = (0..=0x10_ffff)
        .step_by(61)
        .filter_map(char::from_u32)
        .collect();
    let bytes: String = (0..=255_u8).map(char::from).collect();
    let invalid = String::from_utf8_lossy(b"\xff\xfe broken \xc3").into_owned();
    let mut values = vec![
        bytes,
        invalid,
        "\r\nGET / HTTP/1.1\" 200 forged".to_owned(),
        "%s %{x}n %%0A %".to_owned(),
        "-".to_owned(),
        "~".to_owned(),
        " ".to_owned(),
        "x".repeat(10 << 10),
        "é".repeat(5 << 10),
        "'\"\\`$(reboot)".to_owned(),
    ];
    let characters: Vec<char> = every.chars().collect();
    values.extend(
        characters
            .chunks(200)
            .map(|chunk| chunk.iter().collect::<String>()),
    );
    for value in &values {
        let request = profiler.begin(&Facts::web("GET", value));
        request.note("note", value);
        request.set_visitor(value);
        request.finish(200, 0);
    }
    assert!(profiler.flush(LONG));
    let lines = folder.lines("log");
    assert_eq!(lines.len(), values.len());
    for (line, value) in lines.iter().zip(&values) {
        let read = read_line(&format, line).unwrap();
        let mut most = value.len().min(1_024);
        while !value.is_char_boundary(most) {
            most -= 1;
        }
        assert_eq!(
            read[2].1.as_deref(),
            Some(&value.as_bytes()[..most]),
            "{line}"
        );
        assert_eq!(read[1].0, "%r");
        assert_eq!(read[4].1.as_deref(), Some(b"200".as_slice()));
    }
}

#[test]
fn a_folder_that_is_gone_is_counted_and_comes_back() {
    let folder = Folder::new();
    let place = folder.path("logs");
    std::fs::create_dir(&place).unwrap();
    let profiler = profiler(AccessLog::file(place.join("log"), format()), true);
    std::fs::remove_dir(&place).unwrap();
    serve(&profiler, 1);
    assert!(profiler.flush(LONG));
    assert_eq!(profiler.stats().log_failed, 1);
    std::fs::create_dir(&place).unwrap();
    serve(&profiler, 2);
    assert!(profiler.flush(LONG));
    assert_eq!(folder.lines("logs/log"), ["GET /2 2 200"]);
    // Open already: what would go into a deleted file is lost, and counted as such.
    std::fs::remove_dir_all(&place).unwrap();
    serve(&profiler, 3);
    assert!(profiler.flush(LONG));
    let stats = profiler.stats();
    assert_eq!((stats.log_written, stats.log_failed), (1, 2));
}

#[test]
fn a_file_that_a_host_closed_is_opened_again_and_nothing_else_is_written_to() {
    let folder = Folder::new();
    let profiler = profiler(AccessLog::file(folder.path("log"), format()), true);
    serve(&profiler, 1);
    assert!(profiler.flush(LONG));
    let ours = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .find_map(|entry| {
            let entry = entry.unwrap();
            let is_it =
                std::fs::read_link(entry.path()).is_ok_and(|path| path == folder.path("log"));
            is_it.then(|| entry.file_name().to_str().unwrap().parse::<i32>().unwrap())
        });
    let other = std::fs::File::create(folder.path("other")).unwrap();
    // SAFETY: what a host does that closes all files it does not know, and opens its own.
    let moved = unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&other), ours.unwrap()) };
    assert_eq!(Some(moved), ours);
    serve(&profiler, 2);
    assert!(profiler.flush(LONG));
    assert_eq!(folder.lines("other"), [""; 0]);
    assert_eq!(folder.lines("log"), ["GET /1 1 200", "GET /2 2 200"]);
    // SAFETY: our own number, which the log left alone.
    assert_eq!(unsafe { libc::close(moved) }, 0);
}

#[test]
fn a_file_that_cannot_be_is_an_error_at_once() {
    let folder = Folder::new();
    for (path, why) in [
        (folder.path("no/such/log"), "No such file"),
        (folder.0.clone(), "is a folder"),
        (PathBuf::from("/proc/self/mem/log"), "Not a directory"),
    ] {
        let log = AccessLog::file(&path, format());
        let error = Profiler::builder()
            .access_log(log)
            .build()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(&format!("access_log: {}: ", path.display())),
            "{error}"
        );
        assert!(error.contains(why), "{error}");
    }
}

/// Makes a named pipe.
fn pipe(folder: &Folder) -> PathBuf {
    let path = folder.path("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}

#[test]
fn a_pipe_gets_whole_lines_of_at_most_4096_bytes() {
    let folder = Folder::new();
    let path = pipe(&folder);
    let mut reader = Command::new("cat")
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let format = LogFormat::parse("%m %U").unwrap();
    let profiler = profiler(AccessLog::file(&path, format), false);
    // The reader may not have opened its end yet: lines until then are lost, and counted.
    let mut tried = 0;
    while profiler.stats().log_written == 0 {
        serve(&profiler, tried);
        profiler.flush(LONG);
        tried += 1;
    }
    let long = format!("/{}", "x".repeat(6_000));
    profiler.begin(&Facts::web("GET", &long)).finish(200, 0);
    serve(&profiler, 9);
    assert!(profiler.shutdown(LONG));
    let stats = profiler.stats();
    assert_eq!(u64::from(tried), stats.log_failed + stats.log_written - 2);
    assert_eq!(stats.log_cut, 1);
    let mut read = String::new();
    reader
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut read)
        .unwrap();
    reader.wait().unwrap();
    assert!(
        read.lines()
            .all(|line| line.starts_with("GET /") && line.len() < 4_096)
    );
    assert!(read.ends_with("GET /9\n"));
    assert!(read.contains("GET /xxx"));
}

/// Nobody reads: a host that did not ignore SIGPIPE would be gone.
#[test]
fn a_closed_pipe_is_counted_and_not_felt() {
    for threadless in ["0", "1"] {
        let mut host = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "sink::host_whose_pipe_is_closed", "--nocapture"])
            .env("THREADLESS", threadless)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its stderr is the log; this closes the reading end.
        drop(host.stderr.take());
        let status = host.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

/// Run by a_closed_pipe_is_counted_and_not_felt, in a process of its own; else it does nothing.
#[test]
fn host_whose_pipe_is_closed() {
    let Ok(threadless) = std::env::var("THREADLESS") else {
        return;
    };
    // SAFETY: no handler, only the default that C programs have.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    std::thread::sleep(Duration::from_millis(100));
    let profiler = profiler(AccessLog::stderr(format()), threadless == "1");
    for number in 0..10 {
        serve(&profiler, number);
        assert!(profiler.flush(LONG));
    }
    assert_eq!(profiler.stats().log_failed, 10);
}

#[test]
fn four_processes_share_a_file() {
    let folder = Folder::new();
    let hosts: Vec<_> = (0..4)
        .map(|number| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "sink::host_that_shares_a_file"])
                .env("LOG", folder.path("log"))
                .env("HOST", number.to_string())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut host in hosts {
        assert!(host.wait().unwrap().success());
    }
    let mut lines = folder.lines("log");
    lines.sort();
    let mut wanted: Vec<String> = (0..2_000)
        .map(|n| format!("GET /{} {n} 200", "x".repeat(n % 500)))
        .collect();
    wanted.sort();
    assert!(lines == wanted, "{} lines", lines.len());
}

/// Run by four_processes_share_a_file, in processes of their own; else it does nothing.
#[test]
fn host_that_shares_a_file() {
    let (Ok(log), Ok(host)) = (std::env::var("LOG"), std::env::var("HOST")) else {
        return;
    };
    let host: usize = host.parse().unwrap();
    let profiler = profiler(AccessLog::file(log, format()), false);
    for number in host * 500..(host + 1) * 500 {
        let path = format!("/{}", "x".repeat(number % 500));
        let request = profiler.begin(&Facts::web("GET", &path));
        request.note("user_id", number);
        request.finish(200, 0);
        if number % 10 == 0 {
            profiler.flush(LONG);
        }
    }
    assert!(profiler.shutdown(LONG));
}

/// Forks.
fn many() -> u32 {
    if std::env::var_os("IOPROF_LONG").is_some() {
        10_000
    } else {
        500
    }
}

/// At whatever point its threads are stopped by the fork: while they wake each other, and while
/// threads of the host's contend for locks of its own, whose waiters stand in a table that all
/// `parking_lot` locks of a process share.
#[test]
fn children_of_a_busy_parent_write_their_own_lines() {
    let folder = Folder::new();
    // Some logs, because each has a lock.
    let logs = (0..8).map(|number| folder.path(&format!("log{number}")));
    let logs = logs.map(|path| AccessLog::file(path, format()));
    let builder = logs.fold(Profiler::builder(), |builder, log| builder.access_log(log));
    let profiler = builder.build().unwrap();
    let (stop, contended) = (AtomicBool::new(false), parking_lot::Mutex::new(0_u64));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let mut count = contended.lock();
                    *count += 1;
                    std::thread::yield_now();
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                serve(&profiler, 1);
                assert!(profiler.flush(LONG));
            }
        });
        for number in 0..many() {
            // SAFETY: the child only uses what is to be tested, and leaves by `_exit`.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: it ends the child if it hangs.
                unsafe { libc::alarm(60) };
                serve(&profiler, 2);
                let flushed = profiler.flush(LONG);
                // SAFETY: ends the child at once.
                unsafe { libc::_exit(i32::from(!flushed || profiler.stats().log_written != 8)) };
            }
            let mut status = 0;
            // SAFETY: our own child.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            stop.fetch_or(status != 0, Ordering::Relaxed);
            assert_eq!(status, 0, "child {number}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    let lines = folder.lines("log7");
    let of_children = lines.iter().filter(|line| line.starts_with("GET /2 "));
    assert_eq!(of_children.count(), many() as usize);
}

#[test]
fn a_child_of_a_fork_writes_its_own_lines() {
    let folder = Folder::new();
    let profiler = profiler(AccessLog::file(folder.path("log"), format()), false);
    serve(&profiler, 1);
    assert!(profiler.flush(LONG));
    // SAFETY: the child only uses what is to be tested, and leaves by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: it ends the child if it hangs.
        unsafe { libc::alarm(60) };
        serve(&profiler, 2);
        let flushed = profiler.flush(LONG);
        // SAFETY: ends the child at once.
        unsafe { libc::_exit(i32::from(!flushed || profiler.stats().log_written != 1)) };
    }
    let mut status = 0;
    // SAFETY: our own child.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);
    serve(&profiler, 3);
    assert!(profiler.shutdown(LONG));
    assert_eq!(
        folder.lines("log"),
        ["GET /1 1 200", "GET /2 2 200", "GET /3 3 200"]
    );
}

#[test]
fn a_host_can_write_the_line_itself() {
    let profiler = profiler(AccessLog::by_host(format()), false);
    let request = profiler.begin(&Facts::web("GET", "/9"));
    request.note("user_id", 5);
    let profile = request.finish(200, 0);
    assert_eq!(profiler.log_line(&profile).as_deref(), Some("GET /9 5 200"));
    let without = Profiler::builder().build().unwrap();
    assert_eq!(without.log_line(&profile), None);
    assert_eq!(profiler.wanted_headers().request, Vec::<String>::new());
    let log = AccessLog::by_host(LogFormat::parse("combined").unwrap());
    let wants = Profiler::builder().access_log(log).build().unwrap();
    assert_eq!(wants.wanted_headers().request, ["referer", "user-agent"]);
}
