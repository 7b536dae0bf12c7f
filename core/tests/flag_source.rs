//! Flag files as they are found at night: half written, swapped, deleted, a pipe, 8 GiB.

use ioprofiler::flags::source::{known_files, statuses};
use ioprofiler::{Facts, LogEvent, Profiler};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// A folder of its own for each test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ioprofiler-flags-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// In place, as an editor or `cat >` does.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// By rename, as commands and deploys do.
    fn rename(&self, name: &str, text: &str) {
        self.write("fresh", text);
        std::fs::rename(self.path("fresh"), self.path(name)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const ON: &str = "[flags.search]\nenabled = \"on\"\n";
const OFF: &str = "[flags.search]\nenabled = \"off\"\n";

fn profiler(folder: &Folder, files: &[&str]) -> Profiler {
    let files = files.iter().map(|file| folder.path(file));
    Profiler::builder()
        .flags(files)
        .threadless(true)
        .build()
        .unwrap()
}

/// What a request that begins now decides, and why.
fn search(profiler: &Profiler) -> (bool, String) {
    let request = profiler.begin(&Facts::web("GET", "/"));
    let decision = request.decide("search", false);
    (decision.is_on(), decision.reason().as_str().to_owned())
}

fn is_on(profiler: &Profiler) -> bool {
    search(profiler).0
}

#[test]
fn changes_are_taken_however_they_are_made() {
    let folder = Folder::new("changes");
    folder.write("flags.toml", ON);
    let profiler = profiler(&folder, &["flags.toml"]);
    assert!(is_on(&profiler));
    folder.rename("flags.toml", OFF);
    assert!(profiler.reload_flags().is_empty());
    assert!(!is_on(&profiler), "by rename");
    folder.write("flags.toml", ON);
    profiler.reload_flags();
    assert!(is_on(&profiler), "in place");
    // Same size, same times.
    let times = std::fs::metadata(folder.path("flags.toml"))
        .unwrap()
        .modified()
        .unwrap();
    folder.write("flags.toml", "[flags.search]\nenabled = 0.00\n");
    std::fs::File::open(folder.path("flags.toml"))
        .unwrap()
        .set_modified(times)
        .unwrap();
    profiler.reload_flags();
    assert!(!is_on(&profiler), "with the old time");
    // A time in the past, a time in the future.
    for time in [1, 4_000_000_000] {
        folder.rename("flags.toml", ON);
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
        std::fs::File::open(folder.path("flags.toml"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        profiler.reload_flags();
        assert!(is_on(&profiler));
        folder.rename("flags.toml", OFF);
        profiler.reload_flags();
        assert!(!is_on(&profiler));
    }
    let stats = profiler.stats().flags;
    assert!(stats.looks >= 8 && stats.reloads >= 8, "{stats:?}");
    assert_eq!(stats.version, profiler.flags().snapshot().version());
    assert!(stats.looked_at >= stats.changed_at && stats.changed_at > 0);
}

#[test]
fn a_swapped_link_is_seen() {
    // As Kubernetes does with a ConfigMap.
    let folder = Folder::new("links");
    for (name, text) in [("one", ON), ("two", OFF)] {
        std::fs::create_dir(folder.path(name)).unwrap();
        folder.write(&format!("{name}/flags.toml"), text);
    }
    symlink("one", folder.path("..data")).unwrap();
    symlink("..data/flags.toml", folder.path("flags.toml")).unwrap();
    let profiler = profiler(&folder, &["flags.toml"]);
    assert!(is_on(&profiler));
    symlink("two", folder.path("..data_tmp")).unwrap();
    std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    std::fs::remove_dir_all(folder.path("one")).unwrap();
    assert!(profiler.reload_flags().is_empty());
    assert!(!is_on(&profiler));
    // The link is there before what it points to.
    symlink("three", folder.path("..data_tmp")).unwrap();
    std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    assert!(!profiler.reload_flags().is_empty());
    assert!(!is_on(&profiler));
    std::fs::create_dir(folder.path("three")).unwrap();
    folder.write("three/flags.toml", ON);
    assert!(profiler.reload_flags().is_empty());
    assert!(is_on(&profiler));
}

#[test]
fn whatever_happens_to_the_file_the_last_good_one_serves() {
    let folder = Folder::new("faults");
    folder.write("flags.toml", ON);
    let profiler = profiler(&folder, &["flags.toml"]);
    let path = folder.path("flags.toml");
    let gone = || {
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_dir(&path);
    };
    let faults: [(&str, &dyn Fn()); 9] = [
        ("deleted", &|| gone()),
        ("empty", &|| folder.write("flags.toml", "")),
        ("half written", &|| {
            folder.write("flags.toml", "[flags.search]\nenabled = \"o")
        }),
        ("not UTF-8", &|| {
            std::fs::write(&path, b"[flags.search]\nenabled = \"\xff\"\n").unwrap()
        }),
        ("a folder", &|| {
            gone();
            std::fs::create_dir(&path).unwrap();
        }),
        ("a pipe", &|| {
            gone();
            let made = std::process::Command::new("mkfifo")
                .arg(&path)
                .status()
                .unwrap();
            assert!(made.success());
        }),
        ("/dev/zero", &|| {
            gone();
            symlink("/dev/zero", &path).unwrap();
        }),
        ("8 GiB", &|| {
            gone();
            let file = std::fs::File::create(&path).unwrap();
            file.set_len(8 << 30).unwrap();
        }),
        ("a link to itself", &|| {
            gone();
            symlink("flags.toml", &path).unwrap();
        }),
    ];
    for (fault, make) in faults {
        make();
        let problems = profiler.reload_flags();
        assert_eq!(problems.len(), 1, "{fault}: {problems:?}");
        assert!(problems[0].message.len() > 10, "{fault}");
        assert_eq!(search(&profiler), (true, "on".to_owned()), "{fault}");
        assert_eq!(profiler.stats().flags.errors, 1, "{fault}");
        // And it comes back.
        gone();
        folder.rename("flags.toml", "[flags.search]\nenabled = \"off\"\n");
        assert!(profiler.reload_flags().is_empty(), "{fault}");
        assert!(!is_on(&profiler), "{fault}");
        folder.rename("flags.toml", ON);
        profiler.reload_flags();
        assert_eq!(profiler.stats().flags.errors, 0);
    }
}

/// Runs a test of this file as somebody who is not root. `false` where that cannot be done.
fn as_nobody(test: &str) -> bool {
    let nobody = 65_534;
    let program = std::env::current_exe().unwrap();
    let status = std::process::Command::new(program)
        .args(["--exact", test])
        .env("IOPROF_AS_NOBODY", "1")
        .uid(nobody)
        .gid(nobody)
        .status();
    match status {
        Ok(status) => {
            assert!(status.success(), "{test} as nobody");
            true
        }
        Err(_) => false,
    }
}

#[test]
fn a_permission_that_is_lost_is_said() {
    // Root reads it all the same.
    let is_nobody = std::env::var_os("IOPROF_AS_NOBODY").is_some();
    if !is_nobody && as_nobody("a_permission_that_is_lost_is_said") {
        return;
    }
    let folder = Folder::new("permission");
    folder.write("flags.toml", ON);
    let profiler = profiler(&folder, &["flags.toml"]);
    let mode = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(folder.path("flags.toml"), mode).unwrap();
    };
    mode(0o000);
    let problems = profiler.reload_flags();
    if is_nobody || std::fs::read(folder.path("flags.toml")).is_err() {
        assert!(problems[0].message.contains("chmod"), "{problems:?}");
    }
    assert!(is_on(&profiler));
    mode(0o644);
    assert!(profiler.reload_flags().is_empty());
}

#[test]
fn a_torn_write_is_not_taken_for_the_whole() {
    // Cut at the end of a line, half a file is a good file: only that it was just changed in place
    // tells, so such a change is believed when it is found twice.
    let folder = Folder::new("torn");
    folder.write(
        "flags.toml",
        &format!("[flags.other]\nenabled = \"on\"\n{ON}"),
    );
    let profiler = profiler(&folder, &["flags.toml"]);
    let page = || drop(profiler.begin(&Facts::web("GET", "/")));
    let before = profiler.flags().snapshot().version();
    folder.write("flags.toml", "[flags.other]\nenabled = \"on\"\n");
    // One look of a page, at most: the flags stay what they were.
    page();
    assert_eq!(profiler.flags().snapshot().version(), before);
    folder.write(
        "flags.toml",
        &format!("[flags.other]\nenabled = \"off\"\n{ON}"),
    );
    profiler.reload_flags();
    assert!(is_on(&profiler));
    assert_ne!(profiler.flags().snapshot().version(), before);
}

#[test]
fn without_a_thread_a_page_looks() {
    let folder = Folder::new("page");
    folder.write("flags.toml", ON);
    let profiler = profiler(&folder, &["flags.toml"]);
    folder.rename("flags.toml", OFF);
    // It looks at most once a second, so that it may take some pages.
    let mut pages = 0;
    while is_on(&profiler) {
        pages += 1;
        assert!(pages < 6_000, "no page has looked");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let stats = profiler.stats().flags;
    assert!(stats.page_looks >= 1 && stats.page_look_ns > 0, "{stats:?}");
    // The page that looked shows what it cost.
    let shown = (0..6_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        let request = profiler.begin(&Facts::web("GET", "/"));
        request
            .finish(200, 0)
            .text()
            .contains("looked at the flags' files")
    });
    assert!(shown);
    // A long file is left to a thread, or to who asks.
    let long = format!("{ON}{}", "# and so on and so on\n".repeat(5_000));
    folder.rename("flags.toml", &long);
    while !profiler.stats().flags.put_off {
        assert!(!is_on(&profiler));
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    profiler.reload_flags();
    assert!(is_on(&profiler));
}

#[test]
fn a_thread_looks_where_there_is_one() {
    let folder = Folder::new("thread");
    folder.write("flags.toml", ON);
    let said = Arc::new(Mutex::new(Vec::new()));
    let log = {
        let said = Arc::clone(&said);
        move |event: &LogEvent| {
            said.lock()
                .unwrap()
                .push((event.kind, event.message.clone()))
        }
    };
    let profiler = Profiler::builder()
        .flags([folder.path("flags.toml")])
        .on_log(log)
        .build()
        .unwrap();
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    let wait = |done: &dyn Fn() -> bool| {
        for _ in 0..6_000 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        panic!("waited in vain: {:?}", said.lock().unwrap());
    };
    folder.rename("flags.toml", OFF);
    wait(&|| !is_on(&profiler));
    folder.rename("flags.toml", "[flags.search]\nenabled = of\n");
    wait(&|| profiler.stats().flags.errors == 1);
    let of = |text: &str| {
        let said = said.lock().unwrap();
        said.iter()
            .any(|(kind, line)| *kind == "flags" && line.contains(text))
    };
    wait(&|| of("flags.toml:2:11: error: of is a word without quotes"));
    wait(&|| of("keep their last good form: search"));
    wait(&|| of("changed: search"));
    folder.rename("flags.toml", ON);
    wait(&|| of("good again"));
    assert!(is_on(&profiler));
    assert!(profiler.shutdown(std::time::Duration::from_secs(10)));
    // Pages look again.
    folder.rename("flags.toml", OFF);
    wait(&|| !is_on(&profiler));
}

#[test]
fn a_hanging_sink_does_not_freeze_the_flags() {
    struct Hangs;
    impl ioprofiler::Sink for Hangs {
        fn take(&mut self, _: &ioprofiler::Profile) {
            std::thread::sleep(std::time::Duration::from_secs(3_600));
        }
    }
    let folder = Folder::new("hang");
    folder.write("flags.toml", ON);
    let profiler = Profiler::builder()
        .flags([folder.path("flags.toml")])
        .sink(|| Hangs)
        .build()
        .unwrap();
    profiler.begin(&Facts::web("GET", "/")).finish(200, 0);
    folder.rename("flags.toml", OFF);
    let mut pages = 0;
    while is_on(&profiler) {
        pages += 1;
        assert!(pages < 6_000, "the flags are frozen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn layers_may_come_later_and_a_kill_holds_while_the_deployed_file_is_broken() {
    let folder = Folder::new("layers");
    folder.write("flags.toml", ON);
    let profiler = profiler(&folder, &["flags.toml", "emergency.toml"]);
    assert!(
        profiler.reload_flags().is_empty(),
        "the last file need not be there"
    );
    folder.rename("emergency.toml", OFF);
    folder.rename("flags.toml", "[flags.search");
    assert_eq!(profiler.reload_flags().len(), 1);
    assert_eq!(search(&profiler), (false, "killed".to_owned()));
    std::fs::remove_file(folder.path("emergency.toml")).unwrap();
    assert_eq!(profiler.reload_flags().len(), 2);
    assert!(!is_on(&profiler), "deleting is no way to switch on");
    folder.rename("emergency.toml", "# nothing\n");
    folder.rename("flags.toml", ON);
    assert!(profiler.reload_flags().is_empty());
    assert!(is_on(&profiler));
}

#[test]
fn what_was_good_is_there_after_a_restart() {
    let folder = Folder::new("restart");
    let state = folder.path("state");
    let start = || {
        Profiler::builder()
            .flags([folder.path("flags.toml"), folder.path("emergency.toml")])
            .state_dir(&state)
            .threadless(true)
            .build()
            .unwrap()
    };
    let decided = |profiler: &Profiler, flag: &str| {
        let request = profiler.begin(&Facts::web("GET", "/"));
        let decision = request.decide(flag, false);
        (decision.is_on(), decision.reason().as_str().to_owned())
    };
    let pair = |on: bool, reason: &str| (on, reason.to_owned());
    folder.write(
        "flags.toml",
        "[flags.search]\nenabled = \"on\"\n[flags.cart]\nenabled = \"on\"\npriority = 8\n",
    );
    folder.write("emergency.toml", "[shed]\nfrom = 7\n");
    let first = start();
    // The start was a look.
    assert!(first.stats().flags.looked_at > 0 && first.flags().age_ns() < 60_000_000_000);
    assert_eq!(decided(&first, "cart"), pair(false, "shed"));
    first.reload_flags();
    assert!(statuses(&state).unwrap()[0].looked_at > 0);
    // One flag goes wrong, then both files do, then the program is started again.
    folder.rename(
        "flags.toml",
        "[flags.search]\nenabled = onn\n[flags.cart]\nenabled = \"on\"\npriority = 8\n",
    );
    first.reload_flags();
    assert_eq!(decided(&first, "search"), pair(true, "on"));
    let again = start();
    assert_eq!(
        decided(&again, "search"),
        pair(true, "on"),
        "one flag's form was kept"
    );
    folder.rename("flags.toml", "[[[");
    std::fs::remove_file(folder.path("emergency.toml")).unwrap();
    let third = start();
    assert!(third.stats().flags.looked_at > 0, "it looked at its start");
    assert_eq!(decided(&third, "search"), pair(true, "on"));
    assert_eq!(decided(&third, "cart"), pair(false, "shed"));
    assert_eq!(third.reload_flags().len(), 2);

    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("flags/last-good")), 0o600);
    assert_eq!(
        known_files(&state).unwrap(),
        [folder.path("flags.toml"), folder.path("emergency.toml")]
    );
    let status = &statuses(&state).unwrap()[0];
    assert_eq!(status.pid, std::process::id());
    assert_eq!(status.shed, Some(7));
    assert_eq!(status.version, third.flags().snapshot().version_text());
    assert_eq!(status.errors, 2);
    assert!(status.is_running() && status.changed_at > 0 && status.looked_at > 0);
    // Nonsense in the folder is no worse than none.
    let kept = state.join("flags/last-good");
    let whole = std::fs::read(&kept).unwrap();
    for nonsense in [
        b"{\"format\": 2, \"layers\": 7".as_slice(),
        b"\n",
        b"\xff\xfe\n\n",
        &whole[..whole.len() - 1],
        &whole
            .iter()
            .map(|byte| if *byte == b'=' { 0xff } else { *byte })
            .collect::<Vec<_>>(),
        &String::from_utf8_lossy(&whole)
            .replace("\"bytes\":", "\"bytes\":9999")
            .into_bytes(),
    ] {
        std::fs::write(&kept, nonsense).unwrap();
        let fourth = start();
        assert_eq!(
            decided(&fourth, "search"),
            pair(false, "not_found"),
            "{}",
            String::from_utf8_lossy(nonsense)
        );
    }
    std::fs::write(&kept, &whole).unwrap();
    assert_eq!(decided(&start(), "search"), pair(true, "on"));
}

#[test]
fn wrong_options_are_errors_at_start() {
    let folder = Folder::new("options");
    let message = |builder: ioprofiler::ProfilerBuilder| builder.build().unwrap_err().to_string();
    let missing = Profiler::builder().flags([folder.path("none.toml")]);
    assert!(
        message(missing.flags_required(true)).contains("none.toml: error: there is no such file")
    );
    folder.write("wrong.toml", "[flags.search]\nenabled = 10%\n");
    let wrong = Profiler::builder().flags([folder.path("wrong.toml")]);
    let said = message(wrong.flags_required(true));
    assert!(
        said.contains("wrong.toml:2:11: error: 10% is a percentage"),
        "{said}"
    );
    assert!(message(Profiler::builder().flags_required(true)).contains("no files are named"));
    let twice = [folder.path("wrong.toml"), folder.path("wrong.toml")];
    assert!(message(Profiler::builder().flags(twice)).contains("named twice"));
    folder.write("flags.toml", ON);
    let with = |state: &str| {
        Profiler::builder()
            .flags([folder.path("flags.toml")])
            .state_dir(folder.path(state))
    };
    assert!(message(with("flags.toml")).contains("state_dir"));
    std::fs::create_dir(folder.path("open")).unwrap();
    std::fs::set_permissions(folder.path("open"), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(message(with("open")).contains("chmod 700"));
    // Without being required, none of it keeps a program from starting.
    for file in ["none.toml", "wrong.toml"] {
        let profiler = profiler(&folder, &[file]);
        assert!(!is_on(&profiler));
        assert_eq!(profiler.reload_flags().len(), 1, "{file}");
    }
}
