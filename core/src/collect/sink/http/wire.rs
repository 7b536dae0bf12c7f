//! Connections of the HTTP client: names looked up on the sink's thread and believed for a while,
//! and one moment by which everything must be over, however slowly the other end talks.

use super::super::net::{self, Name};
use super::super::parcel::Unsent;
use parking_lot::Mutex;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

/// Names lead to no more addresses than the client takes.
const MOST_ADDRESSES: usize = 16;
/// A server that does not answer leaves time for the next of its addresses.
const LONGEST_CONNECT: Duration = Duration::from_secs(2);

/// What the requests of one client share. Never locked by two threads at once.
pub(super) struct Wire {
    name: Mutex<Name>,
    deadline: Mutex<Instant>,
}

impl Wire {
    pub(super) fn new(address: &str) -> Self {
        Self {
            name: Mutex::new(Name::new(address)),
            deadline: Mutex::new(Instant::now()),
        }
    }

    pub(super) fn set_deadline(&self, deadline: Instant) {
        *self.deadline.lock() = deadline;
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

/// What is said of a failure.
pub(super) fn said(error: &Error) -> String {
    match error {
        Error::Io(error) => net::said(error),
        Error::Timeout(_) => LATE.to_owned(),
        // What we said ourselves, where a name was looked up.
        Error::Other(error) => error.to_string(),
        error => error.to_string(),
    }
}

const LATE: &str = "no answer in time";

fn late() -> Error {
    Error::Io(io::Error::new(io::ErrorKind::TimedOut, LATE))
}

/// How long there is left until a moment.
fn left(deadline: Instant) -> Result<Duration, Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(late());
    }
    Ok(left)
}

/// Looks names up.
#[derive(Debug)]
pub(super) struct Lookup(pub(super) Arc<Wire>);

impl Resolver for Lookup {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut name = self.0.name.lock();
        let found = name.addresses().map_err(|unsent| match unsent {
            Unsent::Later(why) => Error::Other(why.into()),
            _ => Error::HostNotFound,
        })?;
        let mut addresses = self.empty();
        for address in found.iter().take(MOST_ADDRESSES) {
            addresses.push(*address);
        }
        Ok(addresses)
    }
}

/// Connects.
#[derive(Debug)]
pub(super) struct Connect(pub(super) Arc<Wire>);

impl Connector<()> for Connect {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        let deadline = *self.0.deadline.lock();
        let mut last = None;
        for address in &details.addrs {
            match connect(*address, left(deadline)?) {
                Ok(stream) => {
                    let config = details.config;
                    let buffers =
                        LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Connection {
                        stream,
                        buffers,
                        deadline,
                        broken: None,
                    }));
                }
                Err(error) => last = Some(error),
            }
        }
        self.0.name.lock().forget();
        Err(last.map_or(Error::HostNotFound, Error::Io))
    }
}

fn connect(address: SocketAddr, left: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, left.min(LONGEST_CONNECT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection that ends by a moment.
pub(super) struct Connection {
    stream: TcpStream,
    buffers: LazyBuffers,
    deadline: Instant,
    /// Why nothing more could be written.
    broken: Option<io::Error>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

impl Connection {
    fn write(&mut self, amount: usize) -> Result<(), Error> {
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(left(self.deadline)?))?;
            match (&self.stream).write(rest) {
                Ok(0) => return Err(Error::Io(io::ErrorKind::WriteZero.into())),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::Io(error)),
            }
        }
        Ok(())
    }

    fn read(&mut self) -> Result<usize, Error> {
        let place = self.buffers.input_append_buf();
        loop {
            self.stream.set_read_timeout(Some(left(self.deadline)?))?;
            match self.stream.read(place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(Error::Io),
            }
        }
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// A server that has seen enough answers and hangs up: its answer says more than that nothing
    /// more could be written.
    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        if self.broken.is_some() {
            return Ok(());
        }
        match self.write(amount) {
            Err(Error::Io(error)) if has_hung_up(&error) => {
                self.broken = Some(error);
                Ok(())
            }
            done => done,
        }
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let read = self.read();
        match (read, self.broken.take()) {
            (Ok(0) | Err(_), Some(broken)) => Err(Error::Io(broken)),
            (Ok(amount), broken) => {
                self.broken = broken;
                self.buffers.input_appended(amount);
                Ok(amount > 0)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// No connection is used twice.
    fn is_open(&mut self) -> bool {
        false
    }
}

fn has_hung_up(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}
