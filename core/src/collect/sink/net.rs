//! Sockets that sinks send by: opened when there is something to send, looked at before each use,
//! opened again when they are gone.
//!
//! Names are looked up on the sink's thread, and again after a minute. A host that closes all files
//! does not know ours: their numbers may be another socket's by then, and what is ours must not go
//! there.

use super::parcel::Unsent;
use rustix::net::RecvFlags;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A looked-up name is believed for so long.
const BELIEVE: Duration = Duration::from_secs(60);

/// Whether a text is `HOST:PORT`, with the brackets of IPv6 where there are any.
pub(crate) fn check_address(text: &str) -> Result<(), String> {
    let wrong = || format!("{text:?} is no HOST:PORT, as in \"carbon.example.com:2003\"");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    if host.is_empty() || port == 0 || (host.contains(':') && !bracketed) {
        return Err(wrong());
    }
    Ok(())
}

/// A socket, and what the system knows it by.
struct Ours<S: AsFd> {
    socket: S,
    identity: (u64, u64),
}

fn identity(socket: &impl AsFd) -> io::Result<(u64, u64)> {
    let found = rustix::fs::fstat(socket)?;
    // What these are in width differs from system to system.
    #[allow(clippy::unnecessary_cast, reason = "not unnecessary on all systems")]
    Ok((found.st_dev as u64, found.st_ino as u64))
}

impl<S: AsFd> Ours<S> {
    fn new(socket: S) -> io::Result<Self> {
        let identity = identity(&socket)?;
        Ok(Self { socket, identity })
    }

    fn is_ours(&self) -> bool {
        identity(&self.socket).is_ok_and(|found| found == self.identity)
    }
}

/// Forgets a socket whose number is somebody else's now: it is not ours to close.
fn forget_stolen<S: AsFd>(place: &mut Option<Ours<S>>) {
    if let Some(stolen) = place.take_if(|socket| !socket.is_ours()) {
        std::mem::forget(stolen);
    }
}

/// Where a name led to, and when that was found out.
struct Found {
    addresses: Vec<SocketAddr>,
    at: Instant,
}

/// A name that is looked up now and then. The last answer holds where there is no new one.
pub(crate) struct Name {
    text: String,
    found: Option<Found>,
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            found: None,
        }
    }

    fn is_old(&self) -> bool {
        let found = self.found.as_ref();
        found.is_none_or(|found| found.at.elapsed() > BELIEVE)
    }

    pub(crate) fn addresses(&mut self) -> Result<&[SocketAddr], Unsent> {
        if self.is_old() {
            let answer = self.text.to_socket_addrs().map(Vec::from_iter);
            match answer {
                Ok(addresses) if !addresses.is_empty() => {
                    self.found = Some(Found {
                        addresses,
                        at: Instant::now(),
                    });
                }
                Ok(_) if self.found.is_none() => return Err(self.failed("the name leads nowhere")),
                Err(error) if self.found.is_none() => {
                    return Err(self.failed(&error.to_string()));
                }
                _ => {}
            }
        }
        let found = self.found.as_ref();
        Ok(found.map_or(&[], |found| &found.addresses))
    }

    /// It may lead elsewhere by now: the next look finds out.
    pub(crate) fn forget(&mut self) {
        self.found = None;
    }

    fn failed(&self, why: &str) -> Unsent {
        Unsent::Later(format!("{}: {why}", self.text))
    }
}

/// A connection that bytes are written to, and nothing is read from.
pub(crate) struct Tcp {
    name: Name,
    stream: Option<Ours<TcpStream>>,
}

impl Tcp {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            name: Name::new(address),
            stream: None,
        }
    }

    /// Writes all of it, or says why not. What was written of it then may have arrived.
    pub(crate) fn send(&mut self, bytes: &[u8], within: Duration) -> Result<(), Unsent> {
        let deadline = Instant::now() + within;
        forget_stolen(&mut self.stream);
        self.stream.take_if(|stream| is_hung_up(&stream.socket));
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let stream = self.connect(deadline)?;
                self.stream.insert(stream)
            }
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let written = stream
            .socket
            .set_write_timeout(Some(left.max(Duration::from_millis(1))))
            .and_then(|()| stream.socket.write_all(bytes));
        written.map_err(|error| {
            self.stream = None;
            self.name.failed(&said(&error))
        })
    }

    fn connect(&mut self, deadline: Instant) -> Result<Ours<TcpStream>, Unsent> {
        let mut last = None;
        for address in self.name.addresses()?.to_vec() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(&address, left).and_then(Ours::new) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(said(&error)),
            }
        }
        self.name.forget();
        let why = last.unwrap_or_else(|| "no answer in time".to_owned());
        Err(self.name.failed(&why))
    }
}

/// Whether the other end has closed the connection, or sent what nobody asked for.
fn is_hung_up(stream: &TcpStream) -> bool {
    let mut byte = [0_u8; 1];
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match rustix::net::recv(stream, &mut byte, flags) {
        Ok((_, received)) => received == 0,
        Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
    }
}

pub(crate) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// Datagrams to one address.
pub(crate) struct Udp {
    name: Name,
    socket: Option<Ours<UdpSocket>>,
}

impl Udp {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            name: Name::new(address),
            socket: None,
        }
    }

    /// Sends one datagram without waiting. That nobody listens there is told by the system for the
    /// datagram before, if at all.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Unsent> {
        forget_stolen(&mut self.socket);
        if self.name.is_old() {
            self.socket = None;
        }
        let socket = match &self.socket {
            Some(socket) => socket,
            None => {
                let socket = self.open()?;
                self.socket.insert(socket)
            }
        };
        match socket.socket.send(bytes) {
            Ok(_) => Ok(()),
            // What was refused was the one before; this one is tried for itself.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let again = socket.socket.send(bytes).map(drop);
                again.map_err(|error| Unsent::Never(self.said(&error)))
            }
            Err(error) => Err(Unsent::Never(self.said(&error))),
        }
    }

    fn said(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.name.text)
    }

    fn open(&mut self) -> Result<Ours<UdpSocket>, Unsent> {
        let address = self.name.addresses()?.first().copied();
        let address = address.ok_or_else(|| self.name.failed("the name leads nowhere"))?;
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(address)?;
            socket.set_nonblocking(true)?;
            Ours::new(socket)
        });
        socket.map_err(|error| self.name.failed(&said(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::net::TcpListener;
    use std::os::fd::AsRawFd as _;

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn addresses_are_a_host_and_a_port() {
        for (text, good) in [
            ("carbon.example.com:2003", true),
            ("127.0.0.1:8125", true),
            ("[::1]:8125", true),
            ("::1:8125", false),
            ("carbon", false),
            ("carbon:", false),
            (":2003", false),
            ("carbon:0", false),
            ("carbon:70000", false),
            ("http://carbon:2003/", false),
        ] {
            assert_eq!(check_address(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_connection_that_was_closed_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tcp = Tcp::new(&listener.local_addr().unwrap().to_string());
        tcp.send(b"first\n", SOON).unwrap();
        let (mut first, _) = listener.accept().unwrap();
        let mut read = [0_u8; 6];
        first.read_exact(&mut read).unwrap();
        drop(first);
        tcp.send(b"second\n", SOON).unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let mut read = [0_u8; 7];
        second.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"second\n");
        drop((listener, second));
        let Err(Unsent::Later(why)) = tcp.send(b"third\n", SOON) else {
            panic!("nobody is there")
        };
        assert!(why.contains("refused"), "{why}");
    }

    #[test]
    fn nothing_is_written_to_a_number_that_is_somebody_elses_now() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut tcp = Tcp::new(&listener.local_addr().unwrap().to_string());
        tcp.send(b"first\n", SOON).unwrap();
        let number = tcp.stream.as_ref().unwrap().socket.as_raw_fd();
        let (host, mut hosts_friend) = std::os::unix::net::UnixStream::pair().unwrap();
        // A host that closes all files, and whose own socket then gets our number.
        // SAFETY: `dup2` gives the number another meaning, as such a host does.
        assert_eq!(unsafe { libc::dup2(host.as_raw_fd(), number) }, number);
        tcp.send(b"second\n", SOON).unwrap();
        hosts_friend
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        assert!(hosts_friend.read(&mut [0; 1]).is_err());
        // SAFETY: nobody uses the copy any more.
        unsafe { libc::close(number) };
        let _ = listener.accept().unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let mut read = [0_u8; 7];
        second.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"second\n");
    }

    #[test]
    fn datagrams_go_on_after_nobody_listened() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        let mut udp = Udp::new(&address.to_string());
        for _ in 0..3 {
            let _ = udp.send(b"lost");
        }
        let socket = UdpSocket::bind(address).unwrap();
        udp.send(b"there").unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        let mut read = [0_u8; 16];
        assert_eq!(socket.recv(&mut read).unwrap(), 5);
    }
}
