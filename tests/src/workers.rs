//! Several processes that serve one port, as a prefork server's workers do: whoever is free takes the
//! next connection.
//!
//! Each is the test's own program, started with one of its tests to run: the part that it plays.

use crate::shop::Answer;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// In a worker's environment: the folder that it was started with.
const FOLDER: &str = "IOPROFILER_TEST_WORKER";

/// Running workers, killed when dropped.
#[derive(Debug)]
pub struct Workers {
    part: &'static str,
    folder: PathBuf,
    listener: TcpListener,
    address: SocketAddr,
    children: Vec<Child>,
}

impl Workers {
    /// So many, which play this part (the name of a test) in this folder.
    ///
    /// # Panics
    /// When they cannot be started.
    #[must_use]
    pub fn start(part: &'static str, folder: &Path, workers: usize) -> Self {
        let listener =
            TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no port: {error}"));
        let address = listener
            .local_addr()
            .unwrap_or_else(|error| panic!("no port: {error}"));
        let mut started = Self {
            part,
            folder: folder.to_owned(),
            listener,
            address,
            children: Vec::new(),
        };
        (0..workers).for_each(|_| started.start_one());
        started
    }

    fn start_one(&mut self) {
        let program = std::env::current_exe().unwrap_or_else(|error| panic!("no program: {error}"));
        let listener = self
            .listener
            .try_clone()
            .unwrap_or_else(|error| panic!("no socket: {error}"));
        let child = Command::new(program)
            .args(["--exact", self.part, "--nocapture", "--test-threads=1"])
            .env(FOLDER, &self.folder)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .spawn();
        self.children
            .push(child.unwrap_or_else(|error| panic!("no worker: {error}")));
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Kills one, in the middle of whatever it does, and starts another.
    ///
    /// # Panics
    /// When that is not possible.
    pub fn kill_one(&mut self) {
        let mut child = self.children.remove(0);
        child
            .kill()
            .unwrap_or_else(|error| panic!("not killed: {error}"));
        child
            .wait()
            .unwrap_or_else(|error| panic!("not gone: {error}"));
        self.start_one();
    }

    /// A page. `None` where the worker was killed before it answered.
    #[must_use]
    pub fn get(&self, path: &str, headers: &str) -> Option<Answer> {
        get(&self.address(), path, headers)
    }
}

/// A page of a worker. `None` where it was killed before it answered; headers end with CRLF.
#[must_use]
pub fn get(address: &str, path: &str, headers: &str) -> Option<Answer> {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n{headers}\r\n");
    let answer = Answer::of(address, request.as_bytes()).ok()?;
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let whole = length.is_none_or(|length: usize| length == answer.body.len());
    (answer.status != 0 && whole).then_some(answer)
}

impl Drop for Workers {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// In a worker: its folder, and the port that it shares. `None` in the test run itself, where there is
/// no part to play.
#[must_use]
pub fn part() -> Option<(PathBuf, TcpListener)> {
    let folder = std::env::var_os(FOLDER)?;
    let listener = std::io::stdin().as_fd().try_clone_to_owned().ok()?;
    let parent = parent_id();
    std::thread::spawn(move || {
        while parent_id() == parent {
            std::thread::sleep(Duration::from_millis(100));
        }
        // Whoever started it is gone.
        drop(
            Command::new("kill")
                .args(["-KILL", &std::process::id().to_string()])
                .status(),
        );
    });
    Some((PathBuf::from(folder), TcpListener::from(listener)))
}
