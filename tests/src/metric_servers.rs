//! Real servers that metrics are sent to: carbon, StatsD, gmond. Each is read back in its own way.

use crate::servers::{Folder, Server, dies_with_us, program, run, start, start_on};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A server has at most so long to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Says that a test was not run, for `tests/run` to count.
#[expect(clippy::print_stdout, reason = "tests/run reads it")]
pub fn skipped(name: &str, why: &str) {
    println!("skipped: {name}: {why}");
}

/// carbon, with what it keeps in whisper files.
#[derive(Debug)]
pub struct Carbon {
    server: Option<Server>,
    port: u16,
    reader: Mutex<Reader>,
    /// Configuration and whisper files, which stay when it is stopped.
    data: Folder,
}

/// What reads whisper files: whisper itself, and carbon's own code says where a series is kept. In
/// Debian's Python, which they are installed for.
const READER: &str = r"
import json, sys, whisper
from carbon.util import TaggedSeries
for series in sys.stdin:
    series = series.rstrip('\n')
    name = series.replace('.', '/')
    if ';' in series:
        name = TaggedSeries.encode(TaggedSeries.parse(series).path, '/', True)
    path = sys.argv[1] + '/' + name + '.wsp'
    try:
        print(json.dumps([whisper.info(path), whisper.fetch(path, 0)]), flush=True)
    except Exception as error:
        print(json.dumps(str(error)), flush=True)
";

#[derive(Debug)]
struct Reader {
    process: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    fn start(folder: &Path) -> std::io::Result<Self> {
        let mut process = Command::new("/usr/bin/python3")
            .args(["-c", READER])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (questions, answers) = (process.stdin.take(), process.stdout.take());
        let lost = || std::io::Error::other("no pipe");
        Ok(Self {
            process,
            questions: questions.ok_or_else(lost)?,
            answers: BufReader::new(answers.ok_or_else(lost)?),
        })
    }

    /// What is known of a series: what `whisper.info` and `whisper.fetch` give.
    fn read(&mut self, series: &str) -> std::io::Result<Value> {
        writeln!(self.questions, "{series}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// carbon with these lines in `storage-schemas.conf` and `storage-aggregation.conf`; where there is a
/// graphite-web (`http://…`) it tells that which tags it saw. Listens for lines over TCP and UDP on
/// the same port. `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn carbon(schemas: &str, aggregation: &str, graphite_web: Option<&str>) -> Option<Carbon> {
    let server = program("carbon-cache")?;
    let data = Folder::new("carbon-data");
    let _ = data.file("storage-schemas.conf", schemas);
    let _ = data.file("storage-aggregation.conf", aggregation);
    let tags = match graphite_web {
        Some(url) => format!("ENABLE_TAGS = True\nGRAPHITE_URL = {url}\nTAG_BATCH_SIZE = 1\n"),
        None => "ENABLE_TAGS = False\n".to_owned(),
    };
    let server = start(Folder::new("carbon"), "-TERM", |folder, port| {
        carbon_command(&server, folder, port, &data, &tags)
    })?;
    let reader = Reader::start(&data.path("whisper"));
    let reader = reader.unwrap_or_else(|error| panic!("/usr/bin/python3: {error}"));
    Some(Carbon {
        port: server.port(),
        server: Some(server),
        reader: Mutex::new(reader),
        data,
    })
}

fn carbon_command(server: &Path, folder: &Folder, port: u16, data: &Folder, tags: &str) -> Command {
    let own = folder.path("").display().to_string();
    let place = data.path("").display().to_string();
    let configuration = format!(
        "[cache]\nSTORAGE_DIR = {place}\nLOCAL_DATA_DIR = {place}/whisper\nCONF_DIR = {place}\n\
         LOG_DIR = {own}\nPID_DIR = {own}\nENABLE_LOGROTATION = False\n\
         MAX_CREATES_PER_MINUTE = inf\nMAX_UPDATES_PER_SECOND = inf\nCARBON_METRIC_INTERVAL = 0\n\
         LINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {port}\n\
         ENABLE_UDP_LISTENER = True\nUDP_RECEIVER_INTERFACE = 127.0.0.1\n\
         UDP_RECEIVER_PORT = {port}\nPICKLE_RECEIVER_PORT = 0\n\
         CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = 0\n{tags}"
    );
    let file = data.file("carbon.conf", &configuration);
    let mut command = dies_with_us(server, None);
    command
        .arg(format!("--config={}", file.display()))
        .args(["--nodaemon", "start"])
        .env("GRAPHITE_ROOT", data.path(""));
    command
}

impl Carbon {
    /// `127.0.0.1:port`, of both.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it, as an operator does.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it again, on the same port and with what it kept.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&mut self) {
        let server = program("carbon-cache").unwrap_or_default();
        let started = start_on(Folder::new("carbon"), self.port, "-TERM", |folder, port| {
            carbon_command(&server, folder, port, &self.data, "ENABLE_TAGS = False\n")
        });
        self.server = Some(started.unwrap_or_else(|_| panic!("carbon does not start again")));
    }

    /// What it logged.
    #[must_use]
    pub fn log(&self) -> String {
        let server = self.server.as_ref();
        let log = server.and_then(|server| std::fs::read_to_string(server.path("log")).ok());
        log.unwrap_or_default()
    }

    fn read(&self, series: &str) -> Value {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let read = reader.read(series);
        read.unwrap_or_else(|error| panic!("{series}: {error}"))
    }

    /// The values of a series and their times, oldest first: what `whisper.fetch` reads. Empty where
    /// there is none.
    ///
    /// # Panics
    /// When whisper cannot be asked.
    #[must_use]
    pub fn values(&self, series: &str) -> BTreeMap<u64, f64> {
        let read = self.read(series);
        let time = &read[1][0];
        let (Some(start), Some(step)) = (time[0].as_u64(), time[2].as_u64()) else {
            return BTreeMap::new();
        };
        let step = usize::try_from(step).unwrap_or(1).max(1);
        let values = read[1][1].as_array().into_iter().flatten();
        let known = (start..).step_by(step).zip(values);
        known
            .filter_map(|(at, value)| Some((at, value.as_f64()?)))
            .collect()
    }

    /// What `whisper.info` says of a series: `aggregationMethod`, `xFilesFactor`, `archives`.
    ///
    /// # Panics
    /// When it says nothing.
    #[must_use]
    pub fn info(&self, series: &str) -> Value {
        let read = self.read(series);
        assert!(read[0].is_object(), "{series}: {read}");
        read[0].clone()
    }

    /// The names of all series without tags.
    #[must_use]
    pub fn series(&self) -> Vec<String> {
        let top = self.data.path("whisper");
        let mut found = Vec::new();
        let mut folders = vec![top.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let below = path.strip_prefix(&top).unwrap_or(&path).with_extension("");
                let name = below.to_string_lossy().replace('/', ".");
                if path.is_dir() && name != "_tagged" {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "wsp") {
                    found.push(name);
                }
            }
        }
        found.sort();
        found
    }
}

/// etsy's StatsD, from npm.
#[derive(Debug)]
pub struct Statsd {
    server: Server,
}

/// A backend of StatsD that writes what others print or hand on, as a line of JSON.
const JSON_BACKEND: &str = r"
const fs = require('fs');
exports.init = (startupTime, config, events) => {
  events.on('flush', (timestamp, metrics) => {
    const {counters, gauges, timers, timer_data} = metrics;
    const line = JSON.stringify({timestamp, counters, gauges, timers, timer_data});
    fs.appendFileSync(config.jsonFile, line + '\n');
  });
  return true;
};
";

/// StatsD with this interval, which `tests/run` installs from npm; `None` where it is not.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn statsd(flush_interval: Duration) -> Option<Statsd> {
    let node = program("node")?;
    let stats = npm_package("statsd")?.join("stats.js");
    let server = start(Folder::new("statsd"), "-TERM", |folder, port| {
        let backend = folder.file("json_backend.js", JSON_BACKEND);
        let configuration = serde_json::json!({
            "address": "127.0.0.1", "port": port,
            "mgmt_address": "127.0.0.1", "mgmt_port": port,
            "flushInterval": u64::try_from(flush_interval.as_millis()).unwrap_or(u64::MAX),
            "percentThreshold": [50, 90, 95, 99],
            "deleteIdleStats": true, "deleteGauges": false,
            "jsonFile": folder.path("flushes.json"),
            "backends": [backend],
        });
        let file = folder.file("config.js", &format!("({configuration})"));
        let mut command = dies_with_us(&node, None);
        command.arg(&stats).arg(file);
        command
    })?;
    Some(Statsd { server })
}

/// The folder of a package that `tests/run` installed from npm. Not finding it skips the test,
/// unless servers are required.
///
/// # Panics
/// When it is required and not there.
#[must_use]
pub fn npm_package(name: &str) -> Option<PathBuf> {
    // target/PROFILE/deps/TEST-…
    let test = std::env::current_exe().unwrap_or_default();
    let target = test.ancestors().nth(3).unwrap_or(Path::new("target"));
    let folder = target.join("npm").join("node_modules").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let required = std::env::var_os("IOPROFILER_TEST_SERVERS").is_some_and(|v| v == "required");
    assert!(
        !required,
        "{} is not there, and IOPROFILER_TEST_SERVERS=required",
        folder.display()
    );
    None
}

impl Statsd {
    /// `127.0.0.1:port`, of its datagrams.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// What it handed to its backends so far: `counters`, `gauges`, `timers`, `timer_data`.
    #[must_use]
    pub fn flushes(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.server.path("flushes.json"));
        let text = text.unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines.collect()
    }

    /// Lines that it could not read, by what it says itself.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn bad_lines(&self) -> u64 {
        let answer = self.ask("stats");
        let found = answer
            .lines()
            .find_map(|line| line.strip_prefix("messages.bad_lines_seen: "));
        let found = found.and_then(|count| count.trim().parse().ok());
        found.unwrap_or_else(|| panic!("{answer}"))
    }

    /// The answer to a command of its management interface.
    fn ask(&self, command: &str) -> String {
        let answer = TcpStream::connect(self.address()).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(format!("{command}\n").as_bytes())?;
            let mut answer = String::new();
            for line in BufReader::new(stream).lines() {
                match line? {
                    line if line == "END" => break,
                    line => answer.extend([line.as_str(), "\n"]),
                }
            }
            Ok(answer)
        });
        answer.unwrap_or_else(|error| panic!("{command}: {error}"))
    }
}

/// Ganglia's gmond.
#[derive(Debug)]
pub struct Gmond {
    server: Server,
}

/// gmond of a cluster called `shop`, listening for one machine's datagrams on its port, and for those
/// of a multicast group on the loopback interface where one is named; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn gmond(group: Option<(Ipv4Addr, u16)>) -> Option<Gmond> {
    let server = program("gmond")?;
    let server = start(Folder::new("gmond"), "-TERM", |folder, port| {
        let group = group.map_or_else(String::new, |(group, port)| {
            format!(
                "udp_recv_channel {{ mcast_join = {group} port = {port} bind = {group} mcast_if = lo }}\n"
            )
        });
        let configuration = format!(
            "globals {{ daemonize = no setuid = no mute = no deaf = no allow_extra_data = yes \
             cleanup_threshold = 300 host_dmax = 0 send_metadata_interval = 0 }}\n\
             cluster {{ name = \"shop\" }}\n\
             udp_recv_channel {{ port = {port} bind = 127.0.0.1 }}\n{group}\
             tcp_accept_channel {{ port = {port} bind = 127.0.0.1 }}\n"
        );
        let file = folder.file("gmond.conf", &configuration);
        let mut command = dies_with_us(&server, None);
        command.arg("-c").arg(file);
        command
    })?;
    Some(Gmond { server })
}

impl Gmond {
    /// `127.0.0.1:port`, of its datagrams.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.address()
    }

    /// What it tells of its cluster.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn xml(&self) -> String {
        let answer = TcpStream::connect(self.address()).and_then(|mut stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer)?;
            Ok(answer)
        });
        let answer = answer.unwrap_or_else(|error| panic!("gmond: {error}"));
        String::from_utf8(answer).unwrap_or_else(|error| panic!("gmond: {error}"))
    }

    /// Sends with `gmetric`, Ganglia's own, to this address; `false` where it is not installed.
    #[must_use]
    pub fn gmetric(&self, to: &str, arguments: &[&str]) -> bool {
        let Some(gmetric) = program("gmetric") else {
            return false;
        };
        let (host, port) = to.rsplit_once(':').unwrap_or((to, "8649"));
        let text = format!("udp_send_channel {{ host = {host} port = {port} }}\n");
        let folder = Folder::new("gmetric");
        let file = folder.file("gmetric.conf", &text);
        run(Command::new(gmetric).arg("-c").arg(file).args(arguments));
        true
    }
}
