//! Sockets that sinks send by: opened when there is something to send, and again when they are gone.
//!
//! Names are looked up on the sink's thread, and again after a minute. A host that closes all files
//! does not know ours: their numbers may be another socket's by then, and what is ours must not go
//! there, nor be closed there.

use super::parcel::Unsent;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read as _, Write as _};
use std::net::{
    IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket,
};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// A looked-up name is believed for so long, and where nobody answers for so long.
const BELIEVE: Duration = Duration::from_secs(60);
const DOUBT: Duration = Duration::from_secs(5);
/// So many datagrams go out at once; then the other end is given a pause to read them. Linux keeps some
/// 90 of this size for a reader that is busy, and StatsD reads 50,000 lines a second on half a core.
const BURST: u32 = 8;
const PAUSE: Duration = Duration::from_millis(5);

/// Whether a text is `HOST:PORT`, with the brackets of IPv6 where there are any.
pub(crate) fn check_address(text: &str, example: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err(format!("missing; write HOST:PORT, as in {example:?}"));
    }
    let wrong = || format!("{text:?} is no HOST:PORT, as in {example:?}");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => is_host(host),
    };
    if good && port != 0 {
        Ok(())
    } else {
        Err(wrong())
    }
}

/// Whether a text can be the name of a machine, or an address of IPv4.
pub(crate) fn is_host(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&text.len()) && text.bytes().all(known)
}

/// A socket, and what the system knows it by.
struct Ours<S: AsFd> {
    /// Always there, until it is dropped.
    socket: Option<S>,
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
        Ok(Self {
            socket: Some(socket),
            identity,
        })
    }

    /// The socket, if its number has not become somebody else's.
    fn get(&self) -> io::Result<&S> {
        let ours = |socket: &&S| identity(*socket).is_ok_and(|found| found == self.identity);
        let socket = self.socket.as_ref().filter(ours);
        socket.ok_or_else(|| io::Error::other("the host closed the socket"))
    }
}

impl<S: AsFd> Drop for Ours<S> {
    fn drop(&mut self) {
        if self.get().is_err() {
            // It is not ours to close.
            std::mem::forget(self.socket.take());
        }
    }
}

/// A name that is looked up now and then. The last answer holds where there is no new one.
pub(crate) struct Name {
    text: String,
    addresses: Vec<SocketAddr>,
    /// When it was looked up last, with whatever result.
    looked_up: Option<Instant>,
    /// Why that led nowhere.
    trouble: String,
    /// What it led to may be wrong: nobody answers there.
    is_doubtful: bool,
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            addresses: Vec::new(),
            looked_up: None,
            trouble: String::new(),
            is_doubtful: false,
        }
    }

    /// Whether it is time to look it up. Who must not wait has that done only where nobody answers,
    /// and no more than once a minute.
    fn is_due(&self, may_wait: bool) -> bool {
        let in_doubt = self.addresses.is_empty() || self.is_doubtful;
        match self.looked_up.map(|at| at.elapsed()) {
            None => true,
            Some(age) if may_wait => age > BELIEVE || (in_doubt && age > DOUBT),
            Some(age) => age > BELIEVE && in_doubt,
        }
    }

    /// Where it leads. May take as long as the system's resolver does.
    pub(crate) fn addresses(&mut self) -> Result<&[SocketAddr], Unsent> {
        self.look(true)
    }

    fn look(&mut self, may_wait: bool) -> Result<&[SocketAddr], Unsent> {
        if self.is_due(may_wait) {
            self.look_up();
        }
        if self.addresses.is_empty() {
            return Err(self.failed(&self.trouble));
        }
        Ok(&self.addresses)
    }

    fn look_up(&mut self) {
        match self.text.to_socket_addrs().map(Vec::from_iter) {
            Ok(addresses) if !addresses.is_empty() => self.addresses = addresses,
            Ok(_) => "the name leads nowhere".clone_into(&mut self.trouble),
            Err(error) => self.trouble = error.to_string(),
        }
        self.looked_up = Some(Instant::now());
        self.is_doubtful = false;
    }

    /// It may lead elsewhere by now: one of the next looks finds out.
    pub(crate) fn forget(&mut self) {
        self.is_doubtful = true;
    }

    fn failed(&self, why: &str) -> Unsent {
        Unsent::Later(format!("{}: {why}", self.text))
    }
}

pub(crate) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    }
}

/// Bytes over TCP, a connection for each piece.
///
/// A kernel takes bytes for a server that is gone, and the next write hears of it, if any. So what
/// is written is followed by our end of the connection, and was taken when the server ends it too:
/// every server of lines does, once it has read them all. A name that leads elsewhere now, and a
/// firewall that forgets idle connections, need no further thought then.
pub(crate) struct Tcp {
    name: Name,
}

impl Tcp {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            name: Name::new(address),
        }
    }

    /// Has the other end read all of it, or says why not. It may have read some of it then.
    pub(crate) fn send(&mut self, bytes: &[u8], within: Duration) -> Result<(), Unsent> {
        let deadline = Instant::now() + within;
        let stream = self.connect(deadline)?;
        deliver(&stream, bytes, deadline).map_err(|error| self.name.failed(&said(&error)))
    }

    fn connect(&mut self, deadline: Instant) -> Result<Ours<TcpStream>, Unsent> {
        let mut last = None;
        let addresses = self.name.addresses()?.to_vec();
        for (number, address) in addresses.iter().enumerate() {
            // One that does not answer leaves time for the others.
            let others = u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
            let share = left_until(deadline) / others;
            match TcpStream::connect_timeout(address, share.max(MOMENT)).and_then(Ours::new) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(said(&error)),
            }
        }
        self.name.forget();
        let why = last.unwrap_or_else(|| "no answer in time".to_owned());
        Err(self.name.failed(&why))
    }
}

/// A time limit of zero would be none.
const MOMENT: Duration = Duration::from_millis(1);

fn left_until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

fn deliver(stream: &Ours<TcpStream>, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let in_time = || {
        let left = left_until(deadline);
        if left.is_zero() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(Some(left.max(MOMENT)))
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let mut socket = stream.get()?;
        socket.set_write_timeout(in_time()?)?;
        match socket.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or(&[]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    stream.get()?.shutdown(Shutdown::Write)?;
    let mut answer = [0_u8; 256];
    loop {
        let mut socket = stream.get()?;
        socket.set_read_timeout(in_time()?)?;
        match socket.read(&mut answer) {
            Ok(0) => return Ok(()),
            // What it has to say is of no interest.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How datagrams to a group of machines are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Multicast {
    /// The address of the interface that they leave by; else what the system's routes say.
    pub(crate) interface: Option<Ipv4Addr>,
    /// How many routers they pass, one more.
    pub(crate) ttl: u8,
}

/// Datagrams to one address.
pub(crate) struct Udp {
    name: Name,
    multicast: Option<Multicast>,
    socket: Option<Ours<UdpSocket>>,
    sent: u32,
    sent_at: Option<Instant>,
}

impl Udp {
    pub(crate) fn new(address: &str) -> Self {
        Self {
            name: Name::new(address),
            multicast: None,
            socket: None,
            sent: 0,
            sent_at: None,
        }
    }

    /// How it is sent where the address is that of a group.
    pub(crate) fn multicast(mut self, multicast: Multicast) -> Self {
        self.multicast = Some(multicast);
        self
    }

    /// Sends one datagram. Waits for room and for the other end only where there is time for it.
    ///
    /// That nobody listens there is told by the system for the datagram before, if at all.
    pub(crate) fn send(&mut self, bytes: &[u8], within: Duration) -> Result<(), Unsent> {
        let may_wait = !within.is_zero();
        if may_wait {
            self.pace();
        }
        let is_stolen = |socket: &Ours<UdpSocket>| socket.get().is_err();
        if self.name.is_due(may_wait) || self.socket.as_ref().is_some_and(is_stolen) {
            self.socket = None;
        }
        let socket = match &self.socket {
            Some(socket) => socket,
            None => {
                let socket = self.open(may_wait)?;
                self.socket.insert(socket)
            }
        };
        let sent = socket
            .get()
            .and_then(|socket| send_one(socket, bytes, within));
        sent.or_else(|error| self.send_again(&error, bytes, within))
    }

    /// What was refused was the one before; this one is tried for itself.
    fn send_again(
        &mut self,
        error: &io::Error,
        bytes: &[u8],
        within: Duration,
    ) -> Result<(), Unsent> {
        let why = format!("{}: {}", self.name.text, said(error));
        self.name.forget();
        if error.kind() == io::ErrorKind::ConnectionRefused
            && let Some(socket) = &self.socket
            && let Ok(socket) = socket.get()
            && send_one(socket, bytes, within).is_ok()
        {
            return Err(Unsent::Partly(0, why));
        }
        self.socket = None;
        Err(Unsent::Never(why))
    }

    /// Nobody reads as fast as this sends, and what a reader has no room for is lost.
    fn pace(&mut self) {
        let goes_on = self.sent_at.is_some_and(|at| at.elapsed() < PAUSE);
        self.sent = if goes_on { self.sent + 1 } else { 1 };
        if self.sent > BURST {
            std::thread::sleep(PAUSE);
            self.sent = 1;
        }
        self.sent_at = Some(Instant::now());
    }

    fn open(&mut self, may_wait: bool) -> Result<Ours<UdpSocket>, Unsent> {
        let address = self.name.look(may_wait)?.first().copied();
        let address = address.ok_or_else(|| self.name.failed("the name leads nowhere"))?;
        let any: IpAddr = match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let multicast = self.multicast.filter(|_| address.ip().is_multicast());
        let socket = UdpSocket::bind((any, 0)).and_then(|socket| {
            if let Some(multicast) = multicast {
                socket.set_multicast_ttl_v4(multicast.ttl.into())?;
                if let Some(interface) = &multicast.interface {
                    rustix::net::sockopt::set_ip_multicast_if(&socket, interface)?;
                }
            }
            socket.connect(address)?;
            socket.set_nonblocking(true)?;
            Ours::new(socket)
        });
        socket.map_err(|error| self.name.failed(&said(&error)))
    }
}

fn send_one(socket: &UdpSocket, bytes: &[u8], within: Duration) -> io::Result<()> {
    match socket.send(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock && !within.is_zero() => {
            let within = Timespec::try_from(within).map_err(|_| error)?;
            let mut waiting = [PollFd::new(socket, PollFlags::OUT)];
            poll(&mut waiting, Some(&within))?;
            socket.send(bytes).map(drop)
        }
        sent => sent.map(drop),
    }
}

#[cfg(test)]
mod tests;
