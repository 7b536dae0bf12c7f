//! A real browser: Chromium, headless, driven through chromedriver by the WebDriver protocol.
//!
//! ```no_run
//! use ioprofiler_tests::browser::Browser;
//!
//! let browser = Browser::start()?;
//! browser.go("http://127.0.0.1:8080/listing/1?ioprofiler=1")?;
//! let rows = browser.run("return [...document.querySelectorAll('tr')].map(row => row.textContent)")?;
//! # Ok::<(), ioprofiler_tests::browser::Error>(())
//! ```

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// What went wrong, for a person.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

const CHROMEDRIVER: &str = "chromedriver";
const CHROMIUM: [&str; 3] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
];
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
];

/// A browser with one window. It and its files are gone when this is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Driver,
    session: String,
}

/// Light or dark, as the user of the browser prefers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `prefers-color-scheme: light`
    Light,
    /// `prefers-color-scheme: dark`
    Dark,
}

/// The driver's process and its folder.
#[derive(Debug)]
struct Driver {
    process: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Browser {
    /// Whether this machine has what [`Browser::start`] needs.
    #[must_use]
    pub fn is_installed() -> bool {
        let driver = Command::new(CHROMEDRIVER)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        driver.is_ok_and(|status| status.success()) && chromium().is_some()
    }

    /// A browser, where this machine has one; else a line that says that a test was left out.
    ///
    /// # Panics
    /// When there is one and it does not start.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a test that did not run says so")]
    pub fn if_installed() -> Option<Self> {
        if !Self::is_installed() {
            eprintln!("skipped: neither chromedriver nor Chromium is installed");
            return None;
        }
        Some(Self::start().unwrap_or_else(|error| panic!("the browser: {error}")))
    }

    /// Starts a driver on a free port, and a browser with a profile of its own.
    pub fn start() -> Result<Self, Error> {
        let driver = Driver::start()?;
        let mut arguments: Vec<String> = FLAGS.map(str::to_owned).into();
        arguments.push(format!(
            "--user-data-dir={}",
            driver.folder.join("profile").display()
        ));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": chromium().ok_or("no Chromium")?,
                "args": arguments,
            },
        }}});
        let answer = driver.ask("POST", "/session", Some(&wanted))?;
        let session = answer
            .get("sessionId")
            .and_then(Value::as_str)
            .ok_or("no session")?;
        Ok(Self {
            session: session.to_owned(),
            driver,
        })
    }

    /// Loads a page and waits until it is loaded.
    pub fn go(&self, url: &str) -> Result<(), Error> {
        self.ask("POST", "/url", Some(&json!({"url": url})))
            .map(drop)
    }

    /// Runs a function's body in the page and gives what it returns. The page's
    /// Content-Security-Policy does not hold for it.
    pub fn run(&self, script: &str) -> Result<Value, Error> {
        self.ask(
            "POST",
            "/execute/sync",
            Some(&json!({"script": script, "args": []})),
        )
    }

    /// What the page's console said since the last time, one message a line.
    pub fn console(&self) -> Result<Vec<String>, Error> {
        let answer = self.ask("POST", "/se/log", Some(&json!({"type": "browser"})))?;
        let entries = answer.as_array().cloned().unwrap_or_default();
        let message = |entry: &Value| Some(entry.get("message")?.as_str()?.to_owned());
        Ok(entries.iter().filter_map(message).collect())
    }

    /// Emulates what the user prefers.
    pub fn prefer(&self, scheme: Scheme) -> Result<(), Error> {
        let value = if scheme == Scheme::Dark {
            "dark"
        } else {
            "light"
        };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": features}))
            .map(drop)
    }

    /// Emulates the media that pages are shown on: `screen`, `print`.
    pub fn show_on(&self, medium: &str) -> Result<(), Error> {
        self.devtools("Emulation.setEmulatedMedia", &json!({"media": medium}))
            .map(drop)
    }

    /// The window's size in CSS pixels, as the page sees it.
    pub fn resize(&self, width: u32, height: u32) -> Result<(), Error> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics)
            .map(drop)
    }

    /// A command of the DevTools protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Result<Value, Error> {
        let body = json!({"cmd": command, "params": parameters});
        self.ask("POST", "/goog/cdp/execute", Some(&body))
    }

    /// What the window shows, as a PNG file; the folder is made.
    pub fn screenshot(&self, file: &Path) -> Result<(), Error> {
        let answer = self.ask("GET", "/screenshot", None)?;
        let bytes = from_base64(answer.as_str().ok_or("no picture")?).ok_or("not base64")?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        Ok(std::fs::write(file, bytes)?)
    }

    /// What the window shows, in light and in dark: `NAME-light.png` and `NAME-dark.png`.
    pub fn shoot(&self, folder: &Path, name: &str) -> Result<(), Error> {
        for (scheme, suffix) in [(Scheme::Dark, "dark"), (Scheme::Light, "light")] {
            self.prefer(scheme)?;
            self.screenshot(&folder.join(format!("{name}-{suffix}.png")))?;
        }
        Ok(())
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        self.driver
            .ask(method, &format!("/session/{}{path}", self.session), body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Without it the browser would outlive its driver. A failure has nobody to be told to.
        let _ = self.ask("DELETE", "", None);
    }
}

impl Driver {
    fn start() -> Result<Self, Error> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("ioprofiler-browser-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let process = Command::new(CHROMEDRIVER)
            .arg(format!("--port={}", address.port()))
            .env("TMPDIR", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let driver = Self {
            process,
            address,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while driver.ask("GET", "/status", None).is_err() {
            if Instant::now() > deadline {
                return Err("chromedriver does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(driver)
    }

    /// One request of the WebDriver protocol; the `value` of the answer.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.address,
            body.len(),
        )?;
        let answer = read_body(&mut stream)?;
        let mut answer: Value = serde_json::from_slice(&answer)?;
        let value = answer.get_mut("value").map(Value::take).unwrap_or_default();
        match value.get("error") {
            Some(error) if value.get("message").is_some() => {
                let message = value
                    .get("message")
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                Err(format!("{error}: {message}").into())
            }
            _ => Ok(value),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A process that is gone already, or files that stay, must not fail a test.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn chromium() -> Option<&'static str> {
    CHROMIUM.into_iter().find(|file| Path::new(file).exists())
}

fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The body of an answer that says its length.
fn read_body(stream: &mut TcpStream) -> Result<Vec<u8>, Error> {
    let mut read = Vec::new();
    let mut part = [0u8; 16_384];
    loop {
        let head = read.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head) = head {
            let body = head + 4;
            let lines =
                String::from_utf8_lossy(read.get(..head).unwrap_or_default()).to_lowercase();
            let length = lines
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.ok_or("an answer without a length")?.trim().parse()?;
            while read.len() < body + length {
                read_more(stream, &mut part, &mut read)?;
            }
            return Ok(read.get(body..body + length).unwrap_or_default().to_vec());
        }
        read_more(stream, &mut part, &mut read)?;
    }
}

fn read_more(stream: &mut TcpStream, part: &mut [u8], read: &mut Vec<u8>) -> Result<(), Error> {
    let count = stream.read(part)?;
    if count == 0 {
        return Err("an answer that breaks off".into());
    }
    read.extend_from_slice(part.get(..count).unwrap_or_default());
    Ok(())
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for character in text.bytes().filter(|byte| *byte != b'=') {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64() {
        assert_eq!(super::from_base64("aW9w").as_deref(), Some(&b"iop"[..]));
        assert_eq!(super::from_base64("aW8=").as_deref(), Some(&b"io"[..]));
        assert_eq!(super::from_base64("a-"), None);
    }
}
