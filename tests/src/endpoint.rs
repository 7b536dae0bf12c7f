//! A web server of a test's own, for what is sent by HTTP: it takes what it is sent, or misbehaves.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How it behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mood {
    /// It reads a request and says this.
    Says(String),
    /// It reads a request and never answers.
    Silent,
    /// It answers well, but a byte at a time, and never to the end.
    Slow,
    /// It hangs up before it has read anything.
    Resets,
    /// It answers with 100 MB.
    Floods,
}

impl Mood {
    /// It says this status, with these headers (each with its line's end) and this body.
    #[must_use]
    pub fn answer(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Says(format!(
            "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    /// It takes everything.
    #[must_use]
    pub fn good() -> Self {
        Self::answer(200, "Content-Type: application/json\r\n", "{}")
    }
}

/// One request.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The request line and the headers, in small letters.
    pub head: String,
    /// What was sent.
    pub body: Vec<u8>,
}

/// The server. It runs until the test's process ends.
#[derive(Debug)]
pub struct Endpoint {
    port: u16,
    state: Arc<Mutex<(Mood, Vec<Asked>)>>,
}

impl Endpoint {
    /// Starts it.
    ///
    /// # Panics
    /// When there is no port to be had.
    #[must_use]
    pub fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.unwrap_or_else(|error| panic!("no free port: {error}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let state = Arc::new(Mutex::new((mood, Vec::new())));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { port, state }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on it behaves like this.
    pub fn set(&self, mood: Mood) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = mood;
    }

    /// What it was asked so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.1.clone()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<(Mood, Vec<Asked>)>) {
    let mood = || {
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.clone()
    };
    if mood() == Mood::Resets {
        return;
    }
    let Ok(asked) = read(&mut stream) else { return };
    let mut there = state.lock().unwrap_or_else(PoisonError::into_inner);
    there.1.push(asked);
    drop(there);
    // The other end hangs up sooner or later: no answer is an error here.
    let _ = match mood() {
        Mood::Says(answer) => stream.write_all(answer.as_bytes()),
        Mood::Silent | Mood::Resets => stream.read(&mut [0]).map(drop),
        Mood::Slow => slowly(&mut stream),
        Mood::Floods => flood(&mut stream),
    };
}

fn slowly(stream: &mut TcpStream) -> io::Result<()> {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-More: ".iter();
    for byte in head.chain(std::iter::repeat(&b'x')) {
        stream.write_all(&[*byte])?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn flood(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")?;
    for _ in 0..100 {
        stream.write_all(&vec![b'{'; 1_000_000])?;
    }
    Ok(())
}

fn read(stream: &mut TcpStream) -> io::Result<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Asked { head, body })
}
