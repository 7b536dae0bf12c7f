//! A browser's half of HTTP/1.1, as little of it as a keep-alive connection to the shop needs.

use crate::harness::Result;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// One connection that asks for one page again and again.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: &str, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(60)))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
             Accept: text/html,application/xhtml+xml\r\nAccept-Language: en\r\n\
             Referer: http://{address}/\r\nCookie: session=5020244\r\n\r\n"
        );
        Ok(Self {
            stream,
            request: request.into_bytes(),
            answer: vec![0; 1 << 20],
        })
    }

    /// Gets the page so many times, one after the other.
    pub(crate) fn pages(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.stream.write_all(&self.request)?;
            self.read_answer()?;
        }
        Ok(())
    }

    /// Reads one whole answer; its status must be 200.
    fn read_answer(&mut self) -> Result<()> {
        let mut length = 0;
        loop {
            let room = self.answer.get_mut(length..).unwrap_or_default();
            match self.stream.read(room)? {
                0 => return Err("the shop closed the connection".into()),
                more => length += more,
            }
            let answer = self.answer.get(..length).unwrap_or_default();
            if is_whole(answer)? {
                return Ok(());
            }
        }
    }
}

/// Whether all of an answer has come.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let (head, body) = answer.split_at(end + 4);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200 ") {
        return Err(format!("the shop answers {:?}", head.lines().next()).into());
    }
    if let Some(length) = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
    {
        return Ok(body.len() >= length.trim().parse()?);
    }
    Ok(body.ends_with(b"0\r\n\r\n"))
}
