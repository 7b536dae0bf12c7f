use super::*;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

const SOON: Duration = Duration::from_secs(5);
/// What is waited for in vain.
const BRIEFLY: Duration = Duration::from_millis(50);

fn why(sent: Result<(), Unsent>) -> String {
    match sent {
        Err(Unsent::Later(why) | Unsent::Never(why) | Unsent::Partly(_, why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn addresses_are_a_host_and_a_port() {
    for (text, good) in [
        ("carbon.example.com:2003", true),
        ("127.0.0.1:8125", true),
        ("[::1]:8125", true),
        ("::1:8125", false),
        ("[nonsense]:8125", false),
        ("carbon", false),
        ("carbon:", false),
        (":2003", false),
        ("carbon:0", false),
        ("carbon:70000", false),
        ("a b:2003", false),
        ("http://carbon:2003/", false),
    ] {
        assert_eq!(check_address(text, "carbon:2003").is_ok(), good, "{text}");
    }
    let told = check_address("carbon", "carbon:2003").unwrap_err();
    assert_eq!(told, "\"carbon\" is no HOST:PORT, as in \"carbon:2003\"");
}

/// A server of one connection.
fn serve(with: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || with(listener.accept().unwrap().0));
    address
}

#[test]
fn what_was_read_to_its_end_was_sent() {
    let (told, heard) = std::sync::mpsc::channel();
    let address = serve(move |mut stream| {
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        // Some servers have something to say.
        stream.write_all(b"thank you\n").unwrap();
        told.send(all).unwrap();
    });
    let bytes = vec![b'x'; 3 << 20];
    Tcp::new(&address).send(&bytes, SOON).unwrap();
    assert_eq!(heard.recv().unwrap(), bytes);
}

#[test]
fn what_a_server_left_unread_was_not_sent() {
    let address = serve(|mut stream| {
        stream.read_exact(&mut [0; 10]).unwrap();
    });
    let mut tcp = Tcp::new(&address);
    let told = why(tcp.send(&[b'x'; 100_000], SOON));
    assert!(told.starts_with(&address), "{told}");
    // It has ended, too.
    let told = why(tcp.send(b"x\n", SOON));
    assert!(told.contains("refused"), "{told}");
}

#[test]
fn a_server_that_hangs_is_not_waited_for_longer_than_told() {
    // It accepts by itself, and nobody reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut tcp = Tcp::new(&listener.local_addr().unwrap().to_string());
    for bytes in [10, 64 << 20] {
        let told = why(tcp.send(&vec![b'x'; bytes], BRIEFLY));
        assert!(told.ends_with("no answer in time"), "{told}");
    }
}

#[test]
fn a_name_that_leads_nowhere_is_said() {
    for mut name in [
        Name::new("nobody.invalid:2003"),
        Name::new("a name with spaces:2003"),
    ] {
        assert!(name.look(true).is_err());
        let looked_up = name.looked_up;
        let Err(Unsent::Later(why)) = name.look(false) else {
            panic!("it leads somewhere")
        };
        assert!(why.starts_with(&name.text), "{why}");
        assert!(why.len() > name.text.len() + 3, "{why}");
        assert_eq!(name.looked_up, looked_up, "looked up again at once");
    }
}

/// Gives a number another meaning, as a host does that closes all files and opens its own.
fn steal(number: i32, by: &impl AsFd) {
    // SAFETY: `dup2` closes the number and opens it anew; whoever had it is told here that it may
    // have been stolen, which is what is tested.
    let given = unsafe { libc::dup2(by.as_fd().as_raw_fd(), number) };
    assert_eq!(given, number);
}

fn close(number: i32) {
    // SAFETY: the number was opened by `steal`, and nobody else closes it.
    assert_eq!(unsafe { libc::close(number) }, 0, "it was closed already");
}

fn hears_nothing(friend: &mut UnixStream) {
    friend.set_read_timeout(Some(BRIEFLY)).unwrap();
    assert!(friend.read(&mut [0; 1]).is_err());
}

#[test]
fn a_connection_whose_number_is_somebody_elses_is_neither_written_to_nor_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let number = stream.as_raw_fd();
    let stream = Ours::new(stream).unwrap();
    let (host, mut friend) = UnixStream::pair().unwrap();
    steal(number, &host);
    assert!(deliver(&stream, b"secret\n", Instant::now() + SOON).is_err());
    hears_nothing(&mut friend);
    drop(stream);
    close(number);
}

#[test]
fn datagrams_go_on_by_another_number_where_theirs_is_somebody_elses() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let mut udp = Udp::new(&server.local_addr().unwrap().to_string());
    let mut read = [0_u8; 16];
    udp.send(b"first", SOON).unwrap();
    assert_eq!(server.recv(&mut read).unwrap(), 5);
    let number = |udp: &Udp| udp.socket.as_ref().unwrap().get().unwrap().as_raw_fd();
    let stolen = number(&udp);
    let (host, mut friend) = UnixStream::pair().unwrap();
    steal(stolen, &host);
    udp.send(b"second", Duration::ZERO).unwrap();
    assert_eq!(server.recv(&mut read).unwrap(), 6);
    hears_nothing(&mut friend);
    close(stolen);
    // Closed, and nobody has the number.
    let closed = number(&udp);
    close_of_another(&mut udp, closed);
    udp.send(b"third", SOON).unwrap();
    assert_eq!(server.recv(&mut read).unwrap(), 5);
    // Stolen when it ends.
    let last = number(&udp);
    steal(last, &host);
    drop(udp);
    close(last);
}

/// The host closes our number.
fn close_of_another(udp: &mut Udp, number: i32) {
    assert!(udp.socket.is_some());
    // SAFETY: as `steal`: its owner looks before it uses the number.
    assert_eq!(unsafe { libc::close(number) }, 0);
}

#[test]
fn that_nobody_listens_is_told_and_what_comes_later_is_sent() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    drop(server);
    for within in [SOON, Duration::ZERO] {
        let mut udp = Udp::new(&address.to_string());
        let sent: Vec<_> = (0..4).map(|_| udp.send(b"lost", within)).collect();
        assert_eq!(sent[0], Ok(()));
        assert!(
            sent.iter().any(|sent| matches!(sent, Err(Unsent::Partly(0, why) | Unsent::Never(why)) if why.contains("refused"))),
            "{sent:?}"
        );
        let server = UdpSocket::bind(address).unwrap();
        server.set_read_timeout(Some(SOON)).unwrap();
        let sent = udp.send(b"there", within);
        assert!(
            matches!(sent, Ok(()) | Err(Unsent::Partly(0, _))),
            "{sent:?}"
        );
        assert_eq!(server.recv(&mut [0; 16]).unwrap(), 5);
    }
}

#[test]
fn a_datagram_that_is_too_long_is_refused_and_the_next_is_sent() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let mut udp = Udp::new(&server.local_addr().unwrap().to_string());
    let sent = udp.send(&[b'x'; 70_000], SOON);
    assert!(matches!(sent, Err(Unsent::Never(_))), "{sent:?}");
    udp.send(b"short", SOON).unwrap();
    assert_eq!(server.recv(&mut [0; 16]).unwrap(), 5);
}

#[test]
fn many_datagrams_all_arrive() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let mut udp = Udp::new(&server.local_addr().unwrap().to_string());
    let reader = std::thread::spawn(move || {
        let mut read = [0_u8; 2_000];
        (0..1_000).all(|_| server.recv(&mut read).is_ok_and(|read| read == 1_432))
    });
    for _ in 0..1_000 {
        udp.send(&[b'x'; 1_432], SOON).unwrap();
    }
    assert!(reader.join().unwrap());
}

#[test]
fn a_group_is_reached_by_the_interface_that_was_named() {
    let server = UdpSocket::bind("0.0.0.0:0").unwrap();
    let group = Ipv4Addr::new(239, 2, 11, 71);
    server
        .join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)
        .unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let port = server.local_addr().unwrap().port();
    let multicast = Multicast {
        interface: Some(Ipv4Addr::LOCALHOST),
        ttl: 1,
    };
    let mut udp = Udp::new(&format!("{group}:{port}")).multicast(multicast);
    udp.send(b"hello", SOON).unwrap();
    assert_eq!(server.recv(&mut [0; 16]).unwrap(), 5);
}
