//! A client of memcached: the three commands the shop needs, in the text protocol.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A cache that does not answer by then is slower than what it caches.
const PATIENCE: Duration = Duration::from_millis(500);
/// memcached's own limit on the length of a key.
const LONGEST_KEY: usize = 250;
const LONGEST_VALUE: usize = 1 << 20;
const MOST_IDLE: usize = 16;

/// Connections to one server, opened as they are needed.
#[derive(Debug)]
pub(crate) struct Memcached {
    address: String,
    idle: Mutex<Vec<BufStream<TcpStream>>>,
}

impl Memcached {
    /// A client of the server at `host:port`, which must answer now.
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let client = Self {
            address: address.to_owned(),
            idle: Mutex::default(),
        };
        client.get(&["is anyone there".replace(' ', "_")]).await?;
        Ok(client)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Those of the keys that are there.
    pub(crate) async fn get(&self, keys: &[String]) -> Result<HashMap<String, Vec<u8>>> {
        let usable: Vec<&str> = keys
            .iter()
            .map(String::as_str)
            .filter(|key| usable(key))
            .collect();
        if usable.is_empty() {
            return Ok(HashMap::new());
        }
        let request = format!("get {}\r\n", usable.join(" "));
        self.ask(request.as_bytes(), async |connection| {
            let mut found = HashMap::new();
            loop {
                let line = read_line(connection).await?;
                if line == "END" {
                    return Ok(found);
                }
                let (key, length) = value_line(&line).ok_or_else(|| unexpected(&line))?;
                let mut value = vec![0; length + 2];
                connection.read_exact(&mut value).await?;
                value.truncate(length);
                found.insert(key.to_owned(), value);
            }
        })
        .await
    }

    /// Keeps a value for `life`.
    pub(crate) async fn set(&self, key: &str, value: &[u8], life: Duration) -> Result<()> {
        if !usable(key) || value.len() > LONGEST_VALUE {
            return Ok(());
        }
        let mut request =
            format!("set {key} 0 {} {}\r\n", life.as_secs(), value.len()).into_bytes();
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
        self.ask(&request, async |connection| {
            let line = read_line(connection).await?;
            if line == "STORED" {
                Ok(())
            } else {
                Err(unexpected(&line))
            }
        })
        .await
    }

    /// Sends a request and reads its answer. A connection that has idled may have been closed by
    /// the server, so a failure there is tried once more on a new one.
    async fn ask<R>(
        &self,
        request: &[u8],
        answer: impl AsyncFn(&mut BufStream<TcpStream>) -> Result<R>,
    ) -> Result<R> {
        let attempt = async |mut connection: BufStream<TcpStream>| {
            connection.write_all(request).await?;
            connection.flush().await?;
            Ok::<_, Error>((answer(&mut connection).await?, connection))
        };
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let work = async {
            if let Some(connection) = idle
                && let Ok(done) = attempt(connection).await
            {
                return Ok(done);
            }
            let stream = TcpStream::connect(&self.address).await?;
            stream.set_nodelay(true)?;
            attempt(BufStream::new(stream)).await
        };
        let (result, connection) = timeout(PATIENCE, work)
            .await
            .map_err(|_| Error::new(ErrorKind::TimedOut, "no answer in half a second"))??;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MOST_IDLE {
            idle.push(connection);
        }
        Ok(result)
    }
}

/// A key ends at a space or a line's end: one that holds such could say something else to the
/// server.
fn usable(key: &str) -> bool {
    !key.is_empty() && key.len() <= LONGEST_KEY && key.bytes().all(|byte| byte.is_ascii_graphic())
}

async fn read_line(connection: &mut BufStream<TcpStream>) -> Result<String> {
    let mut line = String::new();
    if connection.read_line(&mut line).await? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// `VALUE key flags length` → key, length.
fn value_line(line: &str) -> Option<(&str, usize)> {
    let mut words = line.strip_prefix("VALUE ")?.split(' ');
    let key = words.next()?;
    let length = words
        .nth(1)?
        .parse()
        .ok()
        .filter(|length| *length <= LONGEST_VALUE)?;
    Some((key, length))
}

fn unexpected(line: &str) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("memcached answered `{line}`"),
    )
}
