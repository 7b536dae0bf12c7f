//! `ioprofiler log stats`, run from outside on logs of every form.

mod wrong;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use ioprofiler::notes::Note;
use ioprofiler::profile::ProfileData;
use ioprofiler::{LogFormat, NoteFormat};
use serde_json::{Value, json};

/// A folder of its own, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("ioprofiler-stats-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn stats(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args(["log", "stats"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(arguments: &[&str]) -> String {
    let output = stats(arguments);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    assert_eq!(errors, "", "nothing but a terminal sees how far it is");
    String::from_utf8(output.stdout).unwrap()
}

fn read(arguments: &[&str]) -> Value {
    serde_json::from_str(&said(&[arguments, &["--json"]].concat())).unwrap()
}

fn group<'v>(report: &'v Value, by: &str, key: &str) -> &'v Value {
    let groups = report["groups"].as_array().unwrap();
    let is_it =
        |group: &&Value| group["by"] == by && (group["key"] == key || group["variant"] == key);
    groups
        .iter()
        .find(is_it)
        .unwrap_or_else(|| panic!("{by} {key} is not in {report}"))
}

/// The search log of the original, and some lines around it.
const SEARCH: &str = "\
2010-11-03 12:53:02,668 [pool-26-thread-209] INFO solr.SolrListingsv2Search - listingsv2.search: execTime=40, listings query=laptop bag
2010-11-03 12:53:03,001 [pool-26-thread-210] INFO solr.SolrListingsv2Search - listingsv2.search: execTime=60, listings query=myexecTime=7
2010-11-03 12:54:03,999 [pool-26-thread-211] INFO solr.SolrListingsv2Search - listingsv2.search: execTime=110, listings query=-
\tat com.etsy.search.Listings(Listings.java:41)
";

#[test]
fn the_search_log_of_the_original() {
    let folder = Folder::new();
    let log = folder.file("search.log", SEARCH);
    let pattern = r"^\S+ \S+ \[(?<route>pool-\d+)-.*execTime=";
    let arguments = [
        "--match",
        pattern,
        "--time",
        "%Y-%m-%d %H:%M:%S,%f",
        "--of",
        "execTime",
        "--by",
        "minute,route",
        &log,
    ];
    let report = read(&arguments);
    assert_eq!(report["lines"], 3);
    assert_eq!(report["malformed"], 1);
    assert_eq!(report["example"]["line"], 4);
    let all = &group(&report, "all", "all")["values"]["execTime"];
    assert_eq!(
        (&all["count"], &all["mean"], &all["max"]),
        (&json!(3), &json!(70.0), &json!(110.0))
    );
    assert_eq!(group(&report, "route", "pool-26")["lines"], 3);
    let minutes = report["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|group| group["by"] == "minute");
    let lines: Vec<_> = minutes
        .map(|group| group["lines"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, [2, 1]);
    let table = said(&arguments);
    assert!(table.starts_with("3 lines, 2010-11-03 "), "{table}");
    assert!(
        table.contains(r"1 line could not be read, the first is line 4 of"),
        "{table}"
    );
    assert!(
        table.contains(r"search.log: \tat com.etsy.search"),
        "{table}"
    );
    let row = table.lines().find(|line| line.starts_with("all ")).unwrap();
    let figures: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        (figures[1], figures[3], figures[4], figures[8]),
        ("3", "3", "70", "110")
    );
}

const NOTES: &str = r#"%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %{ab_ids}n %{ab_variants}n %{ab_reasons}n %{app_us}n %D"#;

/// A line that our own writer wrote; `time` is the text of `%t`.
fn line(second: u32, path: &str, status: u16, tests: [&str; 3], app_us: u32) -> String {
    format!(
        "10.0.0.1 - - [23/Nov/2026:03:{:02}:{:02} +0000] \"GET {path}?q=%22 HTTP/1.1\" {status} 5 \"-\" \
         \"say \\\"hi\\\" \\\\\" {} {} {} {app_us} {}\n",
        second / 60,
        second % 60,
        tests[0],
        tests[1],
        tests[2],
        app_us + 1_000
    )
}

fn access_log() -> String {
    let mut log = String::new();
    for number in 0..600 {
        let variant = number % 2;
        let path = if number % 3 == 0 {
            "/search"
        } else {
            "/listing"
        };
        let status = if number % 100 == 99 { 500 } else { 200 };
        let variants = format!("0;{variant}");
        let reasons = if variant == 0 { "x;x" } else { "g;p" };
        log += &line(
            number / 5,
            path,
            status,
            ["6;12", &variants, reasons],
            10_000 + 100 * (number % 7) + 5_000 * variant,
        );
    }
    // The original's own line: four tests, three variants.
    log += &line(119, "/", 200, ["6;12;14;15", "0;0;1", "p;p;p;p"], 1);
    log += &line(119, "/", 200, ["-", "-", "-"], 1);
    log += "10.0.0.1 - - forged\x1b[31m\n";
    log
}

#[test]
fn a_log_with_notes_by_everything() {
    let folder = Folder::new();
    let log = folder.file("access.log", access_log());
    let report = read(&[
        "--format",
        NOTES,
        "--of",
        "D,app_us",
        "--by",
        "minute,route,status",
        "--by",
        "test",
        &log,
    ]);
    assert_eq!(report["lines"], 602);
    assert_eq!(report["malformed"], 1);
    assert_eq!(report["lists_differ"], 1);
    assert_eq!(report["not_assigned"], 300, "by group, in test 6");
    assert_eq!(report["example"]["line"], 603);
    assert_eq!(group(&report, "minute", "2026-11-23 03:00")["lines"], 300);
    assert_eq!(
        group(&report, "minute", "2026-11-23 03:01")["per_second"],
        json!(302.0 / 60.0)
    );
    assert_eq!(group(&report, "route", "/search")["lines"], 200);
    assert_eq!(group(&report, "status", "500")["lines"], 6);
    let tests: Vec<_> = report["groups"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|group| group["by"] == "test")
        .collect();
    let counts: Vec<_> = tests
        .iter()
        .map(|group| {
            (
                group["test"].as_str().unwrap(),
                group["variant"].as_str().unwrap(),
                group["lines"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        counts,
        [("6", "0", 300), ("12", "0", 300), ("12", "1", 300)],
        "numbers in their order"
    );
    let difference = &tests[2]["values"]["app_us"]["difference"];
    let [mean, low, high] = ["mean", "low", "high"].map(|key| difference[key].as_f64().unwrap());
    assert!(
        (4_990.0..5_010.0).contains(&mean) && low < mean && mean < high,
        "{difference}"
    );
    assert!(high - low < 100.0 && low > 4_900.0, "{difference}");
    assert_eq!(tests[1]["values"]["app_us"]["difference"], Value::Null);
    let table = said(&["--format", NOTES, "--of", "app_us", "--by", "test", &log]);
    assert!(
        table.contains("1 line passed over: its lists of tests and variants differ in length"),
        "{table}"
    );
    assert!(table.contains(r"forged\x1b[31m"), "{table}");
    let variant = table
        .lines()
        .find(|line| line.starts_with("  variant 1"))
        .unwrap();
    assert!(
        variant.contains(" +4.99") || variant.contains(" +5.00"),
        "{variant}"
    );
    assert!(variant.contains("(95 %: 4.9"), "{variant}");
}

/// A server's own line with a compact note in it: its fields are the line's.
#[test]
fn compact_notes_are_fields() {
    let folder = Folder::new();
    let format = NoteFormat::parse(NoteFormat::ETSY).unwrap();
    let mut data = ProfileData::default();
    data.app_ns = 373_846_000;
    data.notes = vec![
        Note::new("ab_ids", "6;12;14"),
        Note::new("ab_variants", "0;0;1"),
        Note::new("user_id", 5_020_244),
        Note::new("memory", 8_912_896),
    ];
    let whole = format.write(&data);
    let cut = format.max_bytes(20).unwrap().write(&data);
    assert_eq!(whole, "6;12;14 0;0;1 5020244 8912896 373846");
    assert_eq!(cut, "6;12;14 0;0;1 ~");
    let server = |note: &str| {
        format!(
            "10.0.0.1 - - [23/Nov/2026:03:12:07 +0000] \"GET / HTTP/1.1\" 200 5 \"{note}\" 842158\n"
        )
    };
    let log = folder.file("log", server(&whole) + &server(&cut) + &server("-"));
    let fields = r#"%h %l %u %t "%r" %>s %b "%{ab_ids}n %{ab_variants}n %{user_id}n %{memory}n %{app_us}n" %D"#;
    let report = read(&[
        "--format",
        fields,
        "--of",
        "app_us,memory,D",
        "--by",
        "test",
        &log,
    ]);
    assert_eq!(
        (&report["lines"], &report["malformed"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(report["without_reason"], 3);
    let all = &group(&report, "all", "all")["values"];
    assert_eq!(
        (&all["app_us"]["max"], &all["D"]["max"]),
        (&json!(373_846.0), &json!(842_158.0))
    );
}

#[test]
fn packed_files_and_stdin_and_several() {
    let folder = Folder::new();
    let log = access_log();
    let plain = folder.file("access.log", &log);
    let packed = folder.path("access.log.1.gz");
    let mut file = File::create(&packed).unwrap();
    // Two members, as `cat a.gz b.gz` makes them.
    for half in [&log[..1_000], &log[1_000..]] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(half.as_bytes()).unwrap();
        file.write_all(&encoder.finish().unwrap()).unwrap();
    }
    let one = read(&["--format", NOTES, &plain]);
    assert_eq!(read(&["--format", NOTES, &packed])["groups"], one["groups"]);
    let both = read(&["--format", NOTES, &packed, &plain]);
    assert_eq!(both["lines"], 1_204);
    let mut child = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args(["log", "stats", "--json", "--format", NOTES, "-"])
        .stdin(File::open(&packed).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let report: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(report["groups"], one["groups"]);
    let cut = folder.file("cut.gz", &std::fs::read(&packed).unwrap()[..500]);
    let output = stats(&["--format", NOTES, &cut]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cut.gz: "));
}

#[test]
fn our_own_json_is_recognised() {
    let folder = Folder::new();
    let mut log = String::new();
    for number in 0..10_u32 {
        let mut data = ProfileData::default();
        data.started_at = 1_795_403_527_000_000_000 + u64::from(number) * 1_000_000_000;
        data.page_ns = u64::from(number) * 1_000_000;
        data.app_ns = 500_000;
        data.recorded = true;
        data.facts.path = "/\"é\u{2028}".to_owned();
        data.facts.route = Some("/listing/{id}".to_owned());
        data.facts.status = Some(if number == 0 { 404 } else { 200 });
        data.notes = vec![
            Note::new("things", number),
            Note::new("large", u64::MAX),
            Note::new("text", "x"),
        ];
        let mut total = ioprofiler::profile::CategoryTotal::default();
        total.category = "dbshard01";
        total.calls = 2;
        total.time_ns = 4_000;
        data.totals = vec![total];
        log += &LogFormat::json().line(&data);
        log += "\n";
    }
    log += "{\"cut\":true}\n{\"time\":\n";
    let file = folder.file("access.json", log);
    let report = read(&[
        "--of",
        "D,app_us,things,large,text,dbshard01.us",
        "--by",
        "route,status",
        &file,
    ]);
    assert_eq!(
        (&report["lines"], &report["malformed"]),
        (&json!(10), &json!(2))
    );
    let all = &group(&report, "all", "all")["values"];
    for (name, count, mean) in [
        ("D", 10, json!(4_500.0)),
        ("app_us", 10, json!(500.0)),
        ("things", 10, json!(4.5)),
        ("large", 10, json!(u64::MAX as f64)),
        ("text", 0, Value::Null),
        ("dbshard01.us", 10, json!(4.0)),
    ] {
        assert_eq!(
            (&all[name]["count"], &all[name]["mean"]),
            (&json!(count), &mean),
            "{name}"
        );
    }
    assert_eq!(group(&report, "route", "/listing/{id}")["lines"], 10);
    assert_eq!(group(&report, "status", "404")["lines"], 1);
}

#[test]
fn tests_of_json_lines_go_by_name() {
    let folder = Folder::new();
    let mut log = String::new();
    for number in 0..100 {
        let (variant, reason) = match number % 4 {
            0 | 1 => ("off", "off"),
            2 => ("green", "percent"),
            _ => ("green", "group:staff"),
        };
        let took = if variant == "off" { 100 } else { 200 } + number % 8;
        let past = if number == 99 { "" } else { r#","past":true"# };
        log += &format!(
            "{}\n",
            json!({ "time": "2026-11-23T03:12:07.120Z", "duration_us": took, "flags": [{ "flag": "new_search", "variant": variant, "reason": reason, "id": 51 }] })
        );
        log += &format!(
            r#"{{"time":"2026-11-23T03:12:07.120Z","duration_us":1,"flags":[{{"flag":"old","variant":"on","reason":"percent"{past}}}]}}{}"#,
            "\n"
        );
    }
    let file = folder.file("access.json", log);
    let report = read(&["--by", "test", &file]);
    assert_eq!(report["not_assigned"], 25);
    assert_eq!(group(&report, "test", "off")["lines"], 50);
    let green = group(&report, "test", "green");
    assert_eq!(
        (&green["lines"], &green["test"]),
        (&json!(25), &json!("new_search"))
    );
    let difference = green["values"]["D"]["difference"]["mean"].as_f64().unwrap();
    assert!((100.0..103.0).contains(&difference), "{difference}");
    assert_eq!(
        group(&report, "test", "on")["lines"],
        1,
        "what newer flags decided anew is left out"
    );
}

#[test]
fn tests_that_the_application_noted_itself_are_read_from_json_too() {
    let folder = Folder::new();
    let mut log = String::new();
    for (ids, variants, reasons, took) in [
        (json!("6;12"), json!("0;1"), json!("x;p"), 100),
        (json!("6;12"), json!("1;1"), json!("p;g"), 300),
        (json!(6), json!(0), Value::Null, 100),
        (json!("6;12;14;15"), json!("0;0;1"), Value::Null, 1),
        (json!("-"), json!("-"), Value::Null, 1),
    ] {
        let mut notes = json!({ "ab_ids": ids, "ab_variants": variants, "cart": 3 });
        if !reasons.is_null() {
            notes["ab_reasons"] = reasons;
        }
        let flags = json!([{ "flag": "new_search", "variant": "green", "reason": "percent" }]);
        let line = json!({ "time": "2026-11-23T03:12:07.120Z", "duration_us": took, "notes": notes, "flags": flags });
        log += &format!("{line}\n");
    }
    let file = folder.file("access.json", log);
    let report = read(&["--by", "test", "--of", "D,cart", &file]);
    assert_eq!(report["lists_differ"], 1);
    assert_eq!(report["not_assigned"], 1);
    assert_eq!(report["without_reason"], 1);
    let mut found: Vec<_> = report["groups"].as_array().unwrap().iter().collect();
    found.retain(|group| group["by"] == "test");
    let found: Vec<_> = found
        .iter()
        .map(|group| (&group["test"], &group["variant"], &group["lines"]))
        .collect();
    let (six, twelve, zero, one) = (&json!("6"), &json!("12"), &json!("0"), &json!("1"));
    assert_eq!(
        found,
        [
            (six, zero, &json!(2)),
            (six, one, &json!(1)),
            (twelve, one, &json!(1))
        ],
        "its own word stands in the flags' place"
    );
    let all = group(&report, "all", "all");
    assert_eq!(all["values"]["cart"]["count"], 5, "other notes as ever");
}

#[test]
fn combined_is_what_a_log_is_otherwise() {
    let folder = Folder::new();
    let line = r#"127.0.0.1 - frank van x [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326 "-" "-""#;
    let log = folder.file("log", format!("{line}\n{line}\n"));
    let report = read(&["--by", "route", &log]);
    assert_eq!(report["lines"], 2);
    assert_eq!(report["from"], 971_211_336);
    assert_eq!(group(&report, "route", "/a.gif")["lines"], 2);
    let empty = folder.file("empty", "");
    assert!(said(&[&empty]).starts_with("0 lines\n"));
    let other = folder.file("other", "nothing like it\n");
    assert_eq!(
        stats(&[&other]).status.code(),
        Some(1),
        "no line could be read"
    );
}

#[test]
fn a_log_is_followed_over_rotation() {
    let folder = Folder::new();
    let log = folder.file("log", line(1, "/before", 200, ["-", "-", "-"], 1));
    let mut child = Command::new(env!("CARGO_BIN_EXE_ioprofiler"))
        .args([
            "log", "stats", "--follow", "--every", "1s", "--for", "60s", "--json", "--by", "route",
        ])
        .args(["--format", NOTES, &log])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut remark = String::new();
    BufReader::new(child.stderr.take().unwrap())
        .read_line(&mut remark)
        .unwrap();
    assert_eq!(remark, format!("following {log}\n"));
    let append = |path: &str| {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        file.write_all(line(2, path, 200, ["-", "-", "-"], 1).as_bytes())
            .unwrap();
    };
    append("/first");
    std::fs::rename(&log, folder.path("log.1")).unwrap();
    append("/second");
    // Emptied in place, as `copytruncate` does; after it was read.
    let mut seen: Vec<String> = Vec::new();
    let mut reports = BufReader::new(child.stdout.take().unwrap()).lines();
    let deadline = Instant::now() + Duration::from_secs(50);
    let mut emptied = false;
    while !seen.contains(&"/third".to_owned()) {
        assert!(Instant::now() < deadline, "{seen:?}");
        let report: Value = serde_json::from_str(&reports.next().unwrap().unwrap()).unwrap();
        let groups = report["groups"].as_array().unwrap();
        let routes = groups.iter().filter(|group| group["by"] == "route");
        seen.extend(routes.map(|group| group["key"].as_str().unwrap().to_owned()));
        if !emptied && seen.contains(&"/second".to_owned()) {
            File::options()
                .write(true)
                .truncate(true)
                .open(&log)
                .unwrap();
            emptied = true;
            // A file that is longer again at the next look cannot be told from one that grew.
            std::thread::sleep(Duration::from_millis(500));
            append("/third");
        }
    }
    seen.sort();
    assert_eq!(
        seen,
        ["/first", "/second", "/third"],
        "each once, and not what was there before"
    );
    // Its reader leaves: it ends by itself.
    drop(reports);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.wait().unwrap().success());
}
