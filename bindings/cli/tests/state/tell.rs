//! `ioprofiler deploy --config`: sent by the command itself. `ioprofiler metrics`.

use super::worker::Worker;
use super::*;
use std::io::Read as _;
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, channel};

/// A carbon of which only the lines matter; those of a connection come when it ends.
fn carbon() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut text = String::new();
            if stream.read_to_string(&mut text).is_ok() {
                drop(stream);
                tell.send(text).unwrap();
            }
        }
    });
    (address, told)
}

fn statsd() -> (String, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    (socket.local_addr().unwrap().to_string(), socket)
}

fn datagram(socket: &UdpSocket) -> Option<String> {
    let mut datagram = [0; 2_048];
    let length = socket.recv(&mut datagram).ok()?;
    Some(String::from_utf8(datagram[..length].to_vec()).unwrap())
}

/// `FILE` in a line is this configuration.
fn deploy(folder: &Folder, config: &str, line: &str) -> Output {
    let file = folder.0.join("ioprofiler.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = command(None);
    command.arg("deploy").args(line.split_whitespace());
    command.arg("--config").arg(file).output().unwrap()
}

#[test]
fn a_deploy_is_sent_to_the_sinks_of_a_configuration_and_nothing_else_is() {
    let folder = Folder::new("config");
    let ((graphite, lines), (statsd, socket)) = (carbon(), statsd());
    let config = format!(
        "[graphite]\naddress = \"{graphite}\"\nprefix = \"shop\"\n\
         [statsd]\naddress = \"{statsd}\"\ndialect = \"dogstatsd\"\n\
         [ganglia]\naddress = \"127.0.0.1:9\"\n[prometheus]\n"
    );
    let told = deploy(&folder, &config, "--version 8c1f --what search --who erika");
    assert_eq!(out(&told), "deploy 8c1f: search, by erika\n");
    let said = err(&told);
    assert!(
        said.starts_with("sent to graphite\nsent to statsd\n"),
        "{said}"
    );
    assert!(told.status.success(), "{said}");
    let sent = lines.recv_timeout(SOON).unwrap();
    assert!(
        sent.starts_with("shop.events.deploy 1 ") && sent.lines().count() == 1,
        "{sent}"
    );
    let sent = datagram(&socket).unwrap();
    assert!(sent.contains("|deploy 8c1f: search, by erika|"), "{sent}");
    assert!(sent.contains("version:8c1f"), "{sent}");
    assert_eq!(datagram(&socket), None);
    // Without a version it is another one each time.
    for _ in 0..2 {
        let told = deploy(&folder, &config, "--what banner");
        assert_eq!(out(&told), "deploy: banner, by ann\n");
        assert!(
            datagram(&socket)
                .unwrap()
                .contains("|deploy: banner, by ann|")
        );
    }
}

#[test]
fn what_could_not_be_sent_is_said() {
    let folder = Folder::new("unsent");
    // Nobody listens there any more.
    let gone = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (statsd, socket) = statsd();
    let config = format!(
        "[graphite]\naddress = \"{gone}\"\n[statsd]\naddress = \"{statsd}\"\ndialect = \"dogstatsd\"\n"
    );
    let told = deploy(&folder, &config, "--version 8c1f --within 1s");
    assert_eq!(told.status.code(), Some(1));
    let said = err(&told);
    assert!(
        said.contains("not sent to graphite: ") && said.contains("refused"),
        "{said}"
    );
    assert!(said.contains("\nsent to statsd\n"), "{said}");
    assert!(datagram(&socket).is_some());
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!(
        "[graphite]\naddress = \"{}\"\n",
        hangs.local_addr().unwrap()
    );
    let told = deploy(&folder, &config, "--version 8c1f --within 1s");
    assert_eq!(
        (told.status.code(), err(&told).lines().count()),
        (Some(1), 1)
    );
    assert!(err(&told).starts_with("not sent to graphite: "));
    let told = deploy(&folder, "[prometheus]\n", "--version 8c1f");
    assert_eq!(told.status.code(), Some(1));
    assert!(err(&told).ends_with("ioprofiler.toml names no sink that is sent events\n"));
}

#[test]
fn where_processes_run_with_its_state_dir_they_pass_it_on() {
    let folder = Folder::new("passed");
    let (graphite, lines) = carbon();
    let config = format!(
        "state_dir = \"{}\"\n[graphite]\naddress = \"{graphite}\"\nprefix = \"shop\"\n",
        folder.state().display()
    );
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    let told = deploy(&folder, &config, "--version 8c1f");
    let said = format!(
        "pid {} sends, but has no sinks: it stays here\n",
        worker.pid()
    );
    assert_eq!(
        (out(&told).as_str(), err(&told)),
        ("deploy 8c1f, by ann\n", said)
    );
    folder.until("events", "told", |said| said.contains("deploy 8c1f"));
    // It takes up to a second until the worker has it.
    std::thread::sleep(Duration::from_secs(2));
    drop(worker);
    let told = deploy(&folder, &config, "--version 8c20 --who erika");
    assert_eq!(err(&told), "sent to graphite\n");
    assert_eq!(out(&told), "deploy 8c20, by erika\n");
    let sent = lines.recv_timeout(SOON).unwrap();
    assert_eq!(sent.lines().count(), 1, "{sent}");
    let again = deploy(&folder, &config, "--version 8c20");
    assert!(again.status.success());
    assert!(out(&again).starts_with("told already, "), "{}", out(&again));
    assert_eq!(folder.json("events")["events"].as_array().unwrap().len(), 2);
    assert!(lines.try_recv().is_err());
}

#[test]
fn wrong_options_of_a_deploy_say_what_is_allowed() {
    let folder = Folder::new("wrong-deploy");
    let told = deploy(&folder, "[graphite]\nadress = \"x:1\"\n", "--version 1");
    assert_eq!(told.status.code(), Some(1));
    let said = err(&told);
    assert!(
        said.contains("ioprofiler.toml:2:1: graphite.adress: unknown; did you mean `address`?"),
        "{said}"
    );
    for (line, wanted) in [
        ("", "--version is needed, or --what, as in --version 8c1f"),
        (
            "--version 1 --within soon",
            "--within \"soon\"; allowed: 90s, 30m or 8h",
        ),
        (
            "--version 1 --state-dir /tmp",
            "the file says state_dir itself",
        ),
        (
            "--version 1 --conf x",
            "allowed: --version, --what, --who, --why, --config, --within",
        ),
    ] {
        let told = deploy(&folder, "", line);
        assert_eq!(told.status.code(), Some(2), "{line}");
        assert!(err(&told).contains(wanted), "{line}: {}", err(&told));
    }
    let told = run(None, &["deploy", "--version", "1", "--within", "1s"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(err(&told).contains("--within is of no use without --config"));
    let told = run(
        None,
        &["deploy", "--version", "1", "--config", "/nowhere.toml"],
    );
    assert_eq!(told.status.code(), Some(1));
    assert!(err(&told).contains("/nowhere.toml: cannot be read"));
}

#[test]
fn metrics_are_what_prometheus_reads_of_all_processes() {
    let folder = Folder::new("metrics");
    for _ in 0..2 {
        Worker::start(&folder.state()).order("serve 3 /about 200 1");
    }
    let text = folder.until("metrics", "counted", |said| {
        said.lines().any(|line| {
            line.starts_with("ioprofiler_request_duration_seconds_count{")
                && line.contains("route=\"/about\"")
                && line.ends_with(" 6")
        })
    });
    assert!(
        text.starts_with("# TYPE ioprofiler_") && !text.contains("worker="),
        "{text}"
    );
    let open = folder.out("metrics --openmetrics");
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert_eq!(
        folder.json("metrics")["series"],
        folder.json("series")["series"]
    );
    let wrong = folder.run("metrics request");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(err(&wrong).contains("allowed: --openmetrics, --json, --state-dir"));
}
