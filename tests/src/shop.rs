//! The example shop as a process of its own, a client for it, and a reader of the text form.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A running shop, on a free port; stopped when dropped.
#[derive(Debug)]
pub struct Shop {
    process: Child,
    address: String,
    /// What it printed before it opened.
    said: String,
}

impl Shop {
    /// Starts it with these arguments and this environment, and waits until it is open.
    ///
    /// # Panics
    /// When it does not open.
    #[must_use]
    pub fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut process = command(arguments, environment)
            .args(["--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|error| panic!("the shop: {error}"));
        let mut said = String::new();
        let mut address = None;
        if let Some(out) = process.stdout.take() {
            let mut lines = BufReader::new(out);
            // The gate's state is the last thing that it says.
            while !said.contains("The gate is open") && !matches!(lines.read_line(&mut said), Ok(0))
            {
            }
            let found = said.lines().find_map(|line| line.strip_prefix("http://"));
            address = found
                .and_then(|url| url.split('/').next())
                .map(str::to_owned);
            // Goes on reading, lest the shop hang on a full pipe.
            std::thread::spawn(move || drop(std::io::copy(&mut lines, &mut std::io::sink())));
        }
        let address = address.unwrap_or_else(|| panic!("the shop does not open: {said}"));
        Self {
            process,
            address,
            said,
        }
    }

    /// Runs it where it should refuse to start.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn refused(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let output = command(arguments, environment).output();
        output.unwrap_or_else(|error| panic!("the shop: {error}"))
    }

    /// The number of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it printed before it opened.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }

    /// A page.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// A page's profile, in the text form.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn profile(&self, path: &str) -> Shown {
        let sign = if path.contains('?') { '&' } else { '?' };
        let answer = self.get(&format!("{path}{sign}ioprofiler=text"));
        Shown::read(&answer.text())
    }

    /// Any request.
    ///
    /// # Panics
    /// When there is no answer.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.address);
        if !body.is_empty() {
            head.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        let request = format!("{head}Connection: close\r\n\r\n{body}");
        let answer = Answer::of(&self.address, request.as_bytes());
        answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Asks it to close, and says how it ended and how long it took.
    ///
    /// # Panics
    /// When it does not close.
    #[must_use]
    pub fn close(mut self, signal: &str) -> (Option<i32>, Duration) {
        let began = Instant::now();
        drop(
            Command::new("kill")
                .args([signal, &self.process.id().to_string()])
                .status(),
        );
        while began.elapsed() < Duration::from_secs(20) {
            if let Ok(Some(status)) = self.process.try_wait() {
                return (status.code(), began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the shop does not close at {signal}");
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            drop(
                Command::new("kill")
                    .arg(self.process.id().to_string())
                    .status(),
            );
            let deadline = Instant::now() + Duration::from_secs(5);
            while Instant::now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(5));
            }
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }
}

fn command(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program());
    for name in ["DBSHARD01_URL", "DBSHARD02_URL", "MEMCACHED"] {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    command
}

/// The shop's program, built in the profile that the tests are built in.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn program() -> &'static PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let mut command = Command::new(env!("CARGO"));
        command.args([
            "build",
            "--package",
            "ioprofiler-examples",
            "--example",
            "shop",
        ]);
        command.args(["--message-format", "json-render-diagnostics"]);
        if !cfg!(debug_assertions) {
            command.arg("--release");
        }
        let output = command
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output();
        let output = output.unwrap_or_else(|error| panic!("cargo: {error}"));
        assert!(output.status.success(), "the shop does not build");
        let executable = |line: &str| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            let of_shop = message.get("target")?.get("name")? == "shop";
            let path = message.get("executable")?.as_str()?;
            of_shop.then(|| PathBuf::from(path))
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.lines().find_map(executable);
        found.unwrap_or_else(|| panic!("cargo does not say where the shop is"))
    })
}

/// An answer, read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks put together.
    pub body: Vec<u8>,
    /// When the first and the last byte of the body came.
    pub times: (Duration, Duration),
}

impl Answer {
    /// The answer of whoever listens at `address` to these bytes, which are to ask for the
    /// connection's end.
    ///
    /// # Errors
    /// The connection's.
    pub fn of(address: &str, request: &[u8]) -> std::io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let began = Instant::now();
        stream.write_all(request)?;
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let first = lines.first().cloned().unwrap_or_default();
        let status = first
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        let headers: Vec<(String, String)> = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut body = Vec::new();
        let chunked = headers.iter().any(|(name, value)| {
            name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked")
        });
        let mut first_byte = None;
        if chunked {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size)?;
                let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
                first_byte.get_or_insert_with(|| began.elapsed());
                let mut chunk = vec![0; size + 2];
                reader.read_exact(&mut chunk)?;
                body.extend(chunk.iter().take(size));
                if size == 0 {
                    break;
                }
            }
        } else {
            reader.read_to_end(&mut body)?;
        }
        let last = began.elapsed();
        Ok(Self {
            status,
            headers,
            body,
            times: (first_byte.unwrap_or(last), last),
        })
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A profile's text form, read as a script would read it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// All of it.
    pub text: String,
    /// The calls, in their order.
    pub calls: Vec<Call>,
    /// Rows of the table: category, calls.
    pub table: Vec<(String, u64)>,
    /// What stands below the table.
    pub notes: Vec<String>,
}

/// A line of the list of calls.
#[derive(Clone, Debug)]
pub struct Call {
    /// How many scopes it is in.
    pub depth: usize,
    /// What stands in brackets.
    pub target: String,
    /// How long it took, in ms.
    pub duration: f64,
    /// When it began, in ms.
    pub start: f64,
    /// The detail, and what follows it.
    pub text: String,
}

impl Shown {
    /// Reads the text form.
    ///
    /// # Panics
    /// When the text is no profile.
    #[must_use]
    pub fn read(text: &str) -> Self {
        assert!(text.starts_with("# "), "this is no profile: {text}");
        let mut shown = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        let mut parts = text.splitn(3, "\n\n");
        shown.calls = parts
            .next()
            .unwrap_or_default()
            .lines()
            .filter_map(call)
            .collect();
        let rows = parts.next().unwrap_or_default().lines().skip(1);
        shown.table = rows
            .take_while(|line| !line.starts_with("TOTAL"))
            .filter_map(row)
            .collect();
        shown.notes = parts
            .next()
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect();
        shown
    }

    /// How often a category was called.
    #[must_use]
    pub fn count(&self, category: &str) -> u64 {
        let found = self.table.iter().find(|(name, _)| name == category);
        found.map_or(0, |(_, calls)| *calls)
    }

    /// The calls whose line holds this.
    #[must_use]
    pub fn having(&self, part: &str) -> Vec<&Call> {
        self.calls
            .iter()
            .filter(|call| call.text.contains(part))
            .collect()
    }

    /// The lines on repeated calls of this category.
    #[must_use]
    pub fn repeated(&self, category: &str) -> Vec<&str> {
        let of = format!(" times [{category}] ");
        let lines = self.notes.iter().map(String::as_str);
        lines
            .filter(|line| line.starts_with("repeated ") && line.contains(&of))
            .collect()
    }
}

fn call(line: &str) -> Option<Call> {
    let text = line.trim_start();
    let depth = (line.len() - text.len()) / 2;
    let (target, rest) = text.strip_prefix('[')?.split_once("] ")?;
    let (duration, text) = rest.split_once(" ms ")?;
    let start = text.rsplit_once('@')?.1.split(' ').next()?.parse().ok()?;
    let duration = duration.parse().ok()?;
    Some(Call {
        depth,
        target: target.to_owned(),
        duration,
        start,
        text: text.to_owned(),
    })
}

fn row(line: &str) -> Option<(String, u64)> {
    let mut words = line.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}
