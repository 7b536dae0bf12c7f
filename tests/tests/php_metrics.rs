//! What an application in PHP counts, under PHP-FPM: sent by datagrams after the answer, without a
//! thread, by three workers as one; scraped, kept, and what wrong options say.

use ioprofiler_tests::php::Php;
use ioprofiler_tests::servers::{Server, nginx, php_fpm, program};
use ioprofiler_tests::shop::Answer;
use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Much longer than anything takes.
const SOON: Duration = Duration::from_secs(60);
const PAGES: u64 = 60;

#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn skipped(name: &str) {
    println!("skipped: {name}: it is not installed");
}

fn get(server: &Server, path: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    Answer::of(&server.address(), request.as_bytes()).expect("the server answers")
}

/// A StatsD of which only the datagrams matter.
struct Statsd {
    socket: UdpSocket,
    counters: BTreeMap<String, f64>,
    gauges: BTreeMap<String, f64>,
}

impl Statsd {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_nonblocking(true).expect("a socket");
        Self {
            socket,
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
        }
    }

    fn address(&self) -> String {
        self.socket.local_addr().expect("an address").to_string()
    }

    /// Takes what has come; the sum of a counter.
    fn sum(&mut self, counter: &str) -> f64 {
        let mut datagram = [0; 65_536];
        while let Ok(length) = self.socket.recv(&mut datagram) {
            let text = String::from_utf8(datagram[..length].to_vec()).expect("UTF-8");
            text.lines().for_each(|line| self.take(line));
        }
        self.counters.get(counter).copied().unwrap_or(0.0)
    }

    fn take(&mut self, line: &str) {
        let (name, rest) = line.rsplit_once(':').expect("a name");
        let (value, kind) = rest.split_once('|').expect("a kind");
        let value: f64 = value.parse().expect("a number");
        match kind.split('|').next() {
            Some("c") => *self.counters.entry(name.to_owned()).or_default() += value,
            Some("g") => drop(self.gauges.insert(name.to_owned(), value)),
            Some("ms") => {}
            other => panic!("{other:?}: {line}"),
        }
    }
}

/// nginx before PHP-FPM with three workers; `None`, said, where one of them is missing.
fn serve(statsd: &str) -> Option<(Server, Server)> {
    if program("nginx").is_none() || program("php").is_none() {
        skipped("nginx or php");
        return None;
    }
    let php = Php {
        prepend: None,
        ..Php::default()
    };
    let Some(fpm) = php_fpm(|folder| php.ini(folder)) else {
        skipped("php-fpm");
        return None;
    };
    let server = nginx(|folder, port| {
        let parameters = std::fs::read_to_string("/etc/nginx/fastcgi_params");
        let _ = folder.file("fastcgi_params", &parameters.expect("nginx brings it"));
        let script = fpm.path("php/pages/counted.php").display().to_string();
        format!(
            "server {{\nlisten 127.0.0.1:{port};\nlocation / {{\ninclude fastcgi_params;\n\
             fastcgi_param SCRIPT_FILENAME {script};\nfastcgi_param STATSD {statsd};\n\
             fastcgi_pass {};\n}}\n}}\n",
            fpm.address()
        )
    });
    Some((server.expect("nginx is there"), fpm))
}

fn log(fpm: &Server) -> String {
    std::fs::read_to_string(fpm.path("php.log")).unwrap_or_default()
}

#[test]
fn datagrams_are_sent_after_the_answer_without_a_thread() {
    let mut statsd = Statsd::start();
    let Some((server, fpm)) = serve(&statsd.address()) else {
        return;
    };
    for number in 0..PAGES {
        let plan = ["pro", "free;x=y"][number as usize % 2];
        let answer = get(&server, &format!("/?page=register&plan={plan}"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "registered"),
            "{}",
            log(&fpm)
        );
    }
    assert_eq!(get(&server, "/?page=fail").status, 503);
    // What each worker counted the one that leads sends, when it serves a page and its time has come.
    let begun = Instant::now();
    while statsd.sum("shop.registrations") < PAGES as f64 {
        assert!(
            begun.elapsed() < SOON,
            "{:?} {}",
            statsd.counters,
            log(&fpm)
        );
        assert_eq!(get(&server, "/").text(), "nothing");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(statsd.sum("shop.registrations"), PAGES as f64);
    let labelled: BTreeSet<&String> = statsd
        .counters
        .keys()
        .filter(|name| name.starts_with("shop.registrations."))
        .collect();
    assert_eq!(labelled.len(), 2, "{:?}", statsd.counters);
    for name in labelled {
        assert_eq!(statsd.counters[name], PAGES as f64, "{name}");
    }
    // A gauge is of a machine.
    let mut gauges = statsd.gauges.iter();
    let queue = gauges.find(|(name, _)| name.ends_with(".queue.length"));
    assert_eq!(
        queue.map(|(_, value)| *value),
        Some(17.5),
        "{:?}",
        statsd.gauges
    );
    // One event of several that three workers told, and each of the others.
    assert_eq!(
        statsd.sum("shop.events.deploy"),
        1.0,
        "{:?}",
        statsd.counters
    );
    assert_eq!(statsd.sum("shop.events.own"), PAGES as f64);
    the_scrape_is_of_all_workers(&server);
    kept_requests_are_plain_data(&server);
    assert_eq!(log(&fpm), "");
}

fn the_scrape_is_of_all_workers(server: &Server) {
    let scrape = get(server, "/?page=metrics");
    assert_eq!(scrape.status, 200);
    assert_eq!(
        scrape.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let text = scrape.text();
    let of = |begin: &str| -> f64 {
        let lines = text.lines().filter_map(|line| line.strip_prefix(begin));
        lines
            .map(|rest| {
                let value = rest.rsplit(' ').next().unwrap_or_default();
                value.parse::<f64>().expect("a number")
            })
            .sum()
    };
    assert_eq!(of("registrations_total "), PAGES as f64, "{text}");
    assert_eq!(
        of("registrations_total{paid=\"true\",plan=\"pro\"}"),
        PAGES as f64
    );
    assert_eq!(
        of("registrations_total{paid=\"true\",plan=\"free_x=y\"}"),
        PAGES as f64
    );
    assert_eq!(of("mail_sent_seconds_count "), PAGES as f64);
    let seconds = of("mail_sent_seconds_sum ");
    assert!((seconds - 0.12 * PAGES as f64).abs() < 1e-6, "{seconds}");
}

/// Those of the worker that answers.
fn kept_requests_are_plain_data(server: &Server) {
    let begun = Instant::now();
    loop {
        let answer = get(server, "/?page=kept").text();
        let data: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        let kept = data["kept"].as_array().expect("a list");
        assert!(!data["series"].as_array().expect("a list").is_empty());
        let failed = kept.iter().find(|kept| kept["kept"]["reason"] == "error");
        if let Some(failed) = failed {
            assert_eq!(failed["facts"]["status"], 503, "{failed}");
            return;
        }
        assert!(begun.elapsed() < SOON, "{answer}");
    }
}

#[test]
fn wrong_options_are_said_and_the_page_is_as_ever() {
    let Some((server, fpm)) = serve("127.0.0.1:9") else {
        return;
    };
    for wrong in ["key", "tcp"] {
        let answer = get(&server, &format!("/?page=register&plan=pro&wrong={wrong}"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "registered"));
    }
    let answer = get(&server, "/?page=metrics&wrong=key");
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, "nothing is observed\n")
    );
    let log = log(&fpm);
    let said = "nothing is observed: config: statsd.adress: unknown; did you mean `address`?";
    assert!(log.contains(said), "{log}");
    assert!(
        log.contains("nothing is observed: config: graphite"),
        "{log}"
    );
    assert!(log.contains("thread"), "{log}");
}
