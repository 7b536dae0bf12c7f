//! The configuration file, seen from outside: what is wrong in one is said with its place, its key
//! and what is allowed, when the profiler is made.
#![cfg(all(
    feature = "graphite",
    feature = "statsd",
    feature = "ganglia",
    feature = "prometheus"
))]

use ioprofiler::Profiler;
use std::path::PathBuf;

/// A file of a test's own.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &[u8]) -> Self {
        let file = format!("ioprofiler-config-{}-{name}.toml", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    /// What is said of it, without its path.
    fn said(&self, threadless: bool) -> String {
        let builder = Profiler::builder().config_file(&self.0);
        match builder.threadless(threadless).build() {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string().replace(self.0.to_str().unwrap(), "FILE"),
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

const DURATION: &str = r#""500ms", "10s", "15m", "2h", "1d" or a number of seconds"#;
const KEYS: &str = "metrics, stuck_after, worker, state_dir and [keep], [graphite], [statsd], \
                    [ganglia], [prometheus], [otlp], [webhook]";
const GRAPHITE: &str = if cfg!(feature = "http") {
    "[graphite] has address, udp, prefix, interval, tags, buckets, calls_by_route, events, headers, ca_file"
} else {
    "[graphite] has address, udp, prefix, interval, tags, buckets, calls_by_route"
};
const KEEP: &str = "[keep] has slowest, errors, during, max_bytes, details";

/// A file that is wrong, and what is said of it: lines, each without `FILE:` before it.
type Case = (&'static str, &'static str);

/// What belongs to no table. `DURATION` and so on stand for those texts.
const GENERAL: &[Case] = &[
    (
        "metrisc = true",
        "1:1: metrisc: unknown; did you mean `metrics`? there are KEYS",
    ),
    ("adress = 5", "1:1: adress: unknown; there are KEYS"),
    (
        "\"metrics\\u0007x\" = 1",
        "1:1: metrics\\u{7}x: unknown; did you mean `metrics`? there are KEYS",
    ),
    (
        "metrics = \"yes\"",
        "1:11: metrics: a text, where true or false is wanted",
    ),
    (
        "[metrics]\non = true",
        "1:1: metrics: a table, where true or false is wanted",
    ),
    (
        "stuck_after = \"10 s\"",
        "1:15: stuck_after: \"10 s\" is no duration; write DURATION",
    ),
    (
        "stuck_after = true",
        "1:15: stuck_after: true or false is no duration; write DURATION",
    ),
    (
        "stuck_after = -1",
        "1:15: stuck_after: -1 is no duration; write DURATION",
    ),
    (
        "stuck_after = [1, 2]",
        "1:15: stuck_after: a list is no duration; write DURATION",
    ),
    (
        "stuck_after = 2027-01-31",
        "1:15: stuck_after: a date is no duration; write DURATION",
    ),
    (
        "stuck_after = \"5ms\"",
        "1:15: stuck_after: 5ms is not between 100ms and 1d",
    ),
    (
        "\n\nstuck_after = 0.05",
        "3:15: stuck_after: 50ms is not between 100ms and 1d",
    ),
    (
        "worker = 7",
        "1:10: worker: a number, where a text in quotes is wanted",
    ),
    (
        "worker = \"\"",
        "1:10: worker: \"\" has not between 1 and 64 bytes",
    ),
    (
        "state_dir = \"\"",
        "1:13: state_dir: an empty text, where a path is wanted",
    ),
    (
        "metrics = true\nstate_dir = \"/dev/null\"",
        "2:13: state_dir: /dev/null: no folder; name one that is there or can be made",
    ),
    (
        "state_dir = 5",
        "1:13: state_dir: a number, where a text in quotes is wanted",
    ),
    (
        "slowest = 3",
        "1:1: slowest: a key of [keep]; write it below that line",
    ),
    (
        "metrics = 1 # ü\nworker = 2",
        "1:11: metrics: a number, where true or false is wanted\n\
         2:10: worker: a number, where a text in quotes is wanted",
    ),
];

const TABLES: &[Case] = &[
    (
        "[grahpite]",
        "1:2: grahpite: unknown; did you mean `graphite`? there are KEYS",
    ),
    (
        "[datadog]\nkey = \"a secret\"",
        "1:2: datadog: unknown; there are KEYS",
    ),
    (
        "[graphite]",
        "1:1: graphite.address: missing; write HOST:PORT, as in \"carbon.example.com:2003\"",
    ),
    (
        "[graphite]\nadress = \"c:1\"",
        "2:1: graphite.adress: unknown; did you mean `address`? GRAPHITE",
    ),
    (
        "[graphite]\naddress = \"carbon\"",
        "2:11: graphite.address: \"carbon\" is no HOST:PORT, as in \"carbon.example.com:2003\"",
    ),
    (
        "[graphite]\naddress = 2003",
        "2:11: graphite.address: a number, where a text in quotes is wanted",
    ),
    (
        "[graphite]\naddress = \"c:1\"\nprefix = \"a b\"",
        "3:10: graphite.prefix: \"a b\" is not made of letters, digits, `-`, `_` and dots between",
    ),
    (
        "[graphite]\naddress = \"c:1\"\ninterval = \"2h\"",
        "3:12: graphite.interval: 7200s is not between 1s and 1h",
    ),
    (
        "[graphite]\naddress = \"c:1\"\ntags = 1",
        "3:8: graphite.tags: a number, where true or false is wanted",
    ),
    (
        "[graphite]\naddress = \"c:1\"\nmetrics = true",
        "3:1: metrics: belongs to no table; write it above the first [TABLE]",
    ),
    (
        "graphite = \"c:1\"",
        "1:12: graphite: a text, where a table is wanted; write [graphite] and its keys below it",
    ),
    (
        "[[graphite]]\naddress = \"c:1\"\n[[graphite]]\naddress = \"c:2\"",
        "3:1: a second [graphite]; there can be one",
    ),
    (
        "[keep]\nslowest = 101",
        "2:11: keep.slowest: 101 is more than 100",
    ),
    (
        "keep.slowest = 101",
        "1:16: keep.slowest: 101 is more than 100",
    ),
    (
        "[keep]\nslowest = -1",
        "2:11: keep.slowest: -1 is not a whole number from 0 on",
    ),
    (
        "[keep]\nslowest = \"5\"",
        "2:11: keep.slowest: a text, where a whole number from 0 on is wanted",
    ),
    (
        "[keep]\nslowest = 1.5",
        "2:11: keep.slowest: a number, where a whole number from 0 on is wanted",
    ),
    (
        "[keep]\nmax_bytes = 99999999999999999999",
        "2:13: keep.max_bytes: 99999999999999999999 is more than 18446744073709551615",
    ),
    (
        "[keep]\nduring = \"2d\"",
        "2:10: keep.during: 172800s is more than 1d",
    ),
    (
        "[keep]\ndetails = \"all\"",
        "2:11: keep.details: \"all\" is not one of \"fingerprint\", \"full\"",
    ),
    (
        "[keep]\ndetails = true",
        "2:11: keep.details: true or false, where one of \"fingerprint\", \"full\" is wanted",
    ),
    (
        "[keep]\nslowset = 5\neror = 5",
        "2:1: keep.slowset: unknown; did you mean `slowest`? KEEP\n\
         3:1: keep.eror: unknown; KEEP",
    ),
    (
        "[prometheus]\nleave_out = [\"route\", \"metod\"]",
        "2:13: prometheus.leave_out: \"metod\" is not one of kind, route, method, status, category; \
         did you mean `method`?",
    ),
    (
        "[prometheus]\nleave_out = \"route\"",
        "2:13: prometheus.leave_out: a text, where a list of texts, as in [\"one\", \"two\"], is wanted",
    ),
    (
        "[prometheus]\nleave_out = [1]",
        "2:13: prometheus.leave_out: a number in the list, where a text in quotes is wanted",
    ),
    (
        "[prometheus]\nport = 9090",
        "2:1: prometheus.port: unknown; [prometheus] has leave_out",
    ),
];

/// Of the sinks that have more to say.
const SINKS: &[Case] = &[
    (
        "[statsd]\nadress = \"127.0.0.1:8125\"",
        "2:1: statsd.adress: unknown; did you mean `address`? [statsd] has address, dialect, prefix, \
         interval, timings, samples, buckets, calls_by_route, max_datagram, tags",
    ),
    (
        "[statsd]\naddress = \"localhost:8125\"\ndialect = \"datadog\"",
        "3:11: statsd.dialect: \"datadog\" is not one of \"etsy\", \"dogstatsd\"",
    ),
    (
        "[statsd]\naddress = \"localhost:8125\"\nsamples = 5",
        "3:11: statsd.samples: 5 is not between 10 and 1000",
    ),
    (
        "[statsd]\naddress = \"localhost:8125\"\ntags = { env = \"production\" }",
        "3:8: statsd.tags: only the dialect \"dogstatsd\" has tags",
    ),
    (
        "[statsd]\naddress = \"localhost:8125\"\ntags = [\"env:production\"]",
        "3:8: statsd.tags: a list, where names with texts, as in { NAME = \"text\" }, is wanted",
    ),
    (
        "[statsd]\naddress = \"localhost:8125\"\ntags = { env = 1 }",
        "3:8: statsd.tags: env is a number, where a text in quotes is wanted",
    ),
    (
        "[ganglia]\naddress = \"239.2.11.71\"",
        "2:11: ganglia.address: \"239.2.11.71\" is no HOST:PORT, as in \"239.2.11.71:8649\"",
    ),
    (
        "[ganglia]\naddress = \"239.2.11.71:8649\"\nttl = 0",
        "3:7: ganglia.ttl: 0 is not between 1 and 255",
    ),
    (
        "[ganglia]\naddress = \"239.2.11.71:8649\"\nttl = 256",
        "3:7: ganglia.ttl: 256 is more than 255",
    ),
    (
        "[ganglia]\naddress = \"239.2.11.71:8649\"\ninterface = \"eth0\"",
        "3:13: ganglia.interface: \"eth0\" is no address of IPv4, as in \"10.1.2.3\"",
    ),
    (
        "[ganglia]\naddress = \"239.2.11.71:8649\"\nspoof = \"web0022\"",
        "3:9: ganglia.spoof: \"web0022\" is no ADDRESS:NAME of a machine, as in \"10.1.2.3:web0022\"",
    ),
];

/// Of those that send by HTTP.
const HTTP: &[Case] = if cfg!(all(feature = "otlp", feature = "webhook")) {
    &[
        (
            "[otlp]\nservice_name = \"shop\"",
            "1:1: otlp.url: no URL; wanted is http://HOST[:PORT][/PATH], or the same with https",
        ),
        (
            "[otlp]\nurl = \"collector:4318\"",
            "2:7: otlp.url: no URL; wanted is http://HOST[:PORT][/PATH], or the same with https",
        ),
        (
            "[otlp]\nurl = \"http://c:4318\"\nresource = { \"service.name\" = \"shop\" }",
            "3:12: otlp.resource: \"service.name\" is not for you to set (others are: host.name, \
             process.pid, service.instance.id, service.name, service.version; service.name is the option \
             service_name)",
        ),
        (
            "[otlp]\nurl = \"http://c:4318\"\nmetrics = false\ntraces = false\nlogs = false",
            "3:11: otlp.metrics: is off, as are traces and logs, so there is nothing to send",
        ),
        (
            "[otlp]\nurl = \"http://c:4318\"\nheaders = { \"Content-Type\" = \"text/plain\" }",
            "3:11: otlp.headers: \"Content-Type\" is not for you to set",
        ),
        (
            "[webhook]\nurl = \"http://chat/\"\non = [\"deplo\"]",
            "3:6: webhook.on: there is no \"deplo\"; did you mean `deploy`? allowed are: deploy, flag, \
             shed, own, stuck, flags, sink, queue, log, limit, misuse, panic, gate",
        ),
        (
            "[[webhook]]\nurl = \"http://chat/\"\n[[webhook]]\nurl = \"http://mail/\"\nat_most = 0",
            "5:11: webhook.at_most: 0 is not between 1 and 600",
        ),
        (
            "[webhook]\nurl = \"http://chat/\"\ntemplate = \"{{text}}\"",
            "3:12: webhook.template: makes no JSON (expected value at line 1 column 1); a name such as \
             {{text}} stands in a string, as in {\"text\": \"{{text}}\"}",
        ),
    ]
} else {
    &[]
};

/// What is no TOML. Values are not said: they may be secrets.
const SLIPS: &[Case] = &[
    (
        "metrics = on",
        "1:11: on without quotes; write metrics = true",
    ),
    (
        "metrics = False",
        "1:11: write metrics = true or metrics = false, in small letters",
    ),
    (
        "stuck_after = 10s",
        "1:15: a text without quotes; write stuck_after = \"…\"",
    ),
    (
        "[graphite]\naddress = carbon:2003",
        "2:11: a text without quotes; write address = \"…\"",
    ),
    (
        "[graphite]\naddress = “carbon:2003”",
        "2:11: quotation marks that are not the plain ones; write address = \"…\"",
    ),
    (
        "metrics =",
        "1:10: nothing stands after metrics =; write a value, or # before the line",
    ),
    ("metrics: true", "1:8: `:` stands where `=` belongs"),
    (
        "metrics true",
        "1:9: a line is KEY = VALUE, as in stuck_after = \"10s\", or [TABLE], or begins with #",
    ),
    (
        "metrics = true\nmetrics = false",
        "2:1: a second `metrics`; keep one of the two",
    ),
    (
        "[graphite]\naddress = \"c:1\"\n[graphite]",
        "3:2: a second `graphite`; keep one of the two",
    ),
    (
        "[keep\nslowest = 5",
        "1:6: the closing `]` is missing; write [keep]",
    ),
    (
        "// no comment\nmetrics = true",
        "1:1: a comment begins with #",
    ),
    (
        "{\"metrics\": true}",
        "1:1: this is JSON; the configuration is TOML, as in stuck_after = \"10s\"",
    ),
    (
        "worker = \"web",
        "1:14: the value of worker cannot be read as TOML: invalid basic string, expected `\"`",
    ),
    (
        "wörker = 1",
        "1:2: cannot be read as TOML: invalid unquoted key, expected letters, numbers, `-`, `_`",
    ),
];

#[test]
fn what_is_wrong_is_said_with_its_place_and_what_is_allowed() {
    for (text, said) in [GENERAL, TABLES, SINKS, HTTP, SLIPS].concat() {
        let expected: Vec<String> = said
            .lines()
            .map(|line| {
                let line = line.replace("DURATION", DURATION).replace("KEYS", KEYS);
                let line = line.replace("GRAPHITE", GRAPHITE).replace("KEEP", KEEP);
                format!("FILE:{line}")
            })
            .collect();
        let file = File::new("wrong", text.as_bytes());
        assert_eq!(file.said(false), expected.join("\n"), "{text}");
    }
}

#[test]
fn a_text_is_read_as_a_file_is_and_an_object_too() {
    let said = |builder: ioprofiler::ProfilerBuilder| builder.build().unwrap_err().to_string();
    let text = "[keep]\nslowest = 101\n[graphite]\nadress = \"c:1\"\n";
    let expected = format!(
        "config:2:11: keep.slowest: 101 is more than 100\n\
         config:4:1: graphite.adress: unknown; did you mean `address`? {GRAPHITE}"
    );
    assert_eq!(said(Profiler::builder().config_text(text)), expected);
    let json = r#"{"keep": {"slowest": 101}, "graphite": {"adress": "c:1"}, "worker": null}"#;
    let mut expected: Vec<String> = expected
        .lines()
        .map(|line| format!("config: {}", line.split_once(": ").unwrap().1))
        .collect();
    let mut said_of_json: Vec<String> = said(Profiler::builder().config_json(json))
        .lines()
        .map(str::to_owned)
        .collect();
    expected.sort();
    said_of_json.sort();
    assert_eq!(said_of_json, expected);
    let json = r#"{"statsd": {"address": "127.0.0.1:8125", "interval": 1}}"#;
    assert!(Profiler::builder().config_json(json).build().is_ok());
}

#[test]
fn a_sink_that_this_program_lacks_says_so() {
    for sink in [
        "graphite",
        "statsd",
        "ganglia",
        "prometheus",
        "otlp",
        "webhook",
    ] {
        let file = File::new(sink, format!("[{sink}]\nno_such_key = 1\n").as_bytes());
        let said = file.said(false);
        let built_without = format!(
            "FILE:1:2: {sink}: this program was built without it: the feature `{sink}` of the crate ioprofiler"
        );
        let built_with = said.starts_with(&format!(
            "FILE:2:1: {sink}.no_such_key: unknown; [{sink}] has "
        ));
        assert!(said == built_without || built_with, "{said}");
        assert!(built_with || ["otlp", "webhook"].contains(&sink), "{said}");
    }
}

#[test]
fn what_a_profiler_without_threads_cannot_do_names_the_place() {
    let file = File::new("threadless", b"\n[graphite]\naddress = 'localhost:2003'\n");
    assert_eq!(
        file.said(true),
        "FILE:2:1: graphite: a profiler without threads can only send datagrams (udp); \
         set a state_dir and let another process send, or use udp"
    );
    assert_eq!(file.said(false), "nothing");
    let file = File::new(
        "udp",
        b"[graphite]\naddress = 'localhost:2003'\nudp = true\n",
    );
    assert_eq!(file.said(true), "nothing");
}

#[test]
fn what_is_no_file_of_ours_is_an_error_too() {
    let missing = Profiler::builder()
        .config_file("/nowhere/ioprofiler.toml")
        .build();
    assert_eq!(
        missing.unwrap_err().to_string(),
        "/nowhere/ioprofiler.toml: cannot be read: No such file or directory (os error 2)"
    );
    let folder = Profiler::builder()
        .config_file(std::env::temp_dir())
        .build();
    assert!(
        folder
            .unwrap_err()
            .to_string()
            .ends_with(": no plain file; name a file")
    );
    assert_eq!(
        File::new("bytes", b"metrics = \xff").said(false),
        "FILE: no text in UTF-8"
    );
    let long = vec![b'#'; (1 << 20) + 1];
    let said = File::new("long", &long).said(false);
    assert_eq!(said, "FILE: longer than 1 MiB, which no configuration is");
    let deep = format!("worker = {}", "[".repeat(500_000));
    let said = File::new("deep", deep.as_bytes()).said(false);
    assert!(said.contains("cannot recurse further"), "{said}");
    let many = "x = 1\n".repeat(1_000);
    let said = File::new("many", many.as_bytes()).said(false);
    assert_eq!(said.lines().count(), 21, "{said}");
    assert!(said.ends_with("FILE: and 979 more"), "{said}");
}

/// Whatever stands in a file, it is taken or refused.
#[test]
fn any_text_is_read_or_refused() {
    use proptest::prelude::*;
    let word = prop::sample::select(vec![
        "[",
        "]",
        "graphite",
        "keep",
        "address",
        "stuck_after",
        "during",
        "=",
        "\"",
        "'",
        "\n",
        " ",
        "10s",
        "5",
        "true",
        "{",
        "}",
        ",",
        "#",
        "\u{0}",
        "ü",
        "[[",
        "]]",
        ".",
        "-",
        "1e999",
        "state_dir",
    ]);
    proptest!(|(words in prop::collection::vec(word, 0..40))| {
        let text = words.concat();
        let file = File::new("any", text.as_bytes());
        // No folder that it names is made: something else is wrong after all.
        let builder = Profiler::builder().config_file(&file.0).max_spans(0);
        prop_assert!(!builder.build().unwrap_err().to_string().is_empty());
    });
}

#[test]
fn who_only_tells_a_deploy_is_told_the_place_too() {
    let file = File::new("tell", b"metrics = true\nstate_dir = \"/dev/null\"\n");
    let builder = Profiler::builder().config_file(&file.0);
    let told = builder.tell(
        ioprofiler::Event::deploy("8c1f"),
        std::time::Duration::from_secs(1),
    );
    let said = told.unwrap_err().to_string();
    assert!(
        said.contains(".toml:2:13: state_dir: /dev/null: no folder"),
        "{said}"
    );
}
