//! The C ABI from Ruby.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use ioprofiler_tests::php::{library, root};
use ioprofiler_tests::servers::program;
use ioprofiler_tests::shop::Shown;

/// What an example prints; `None`, said, where there is no Ruby.
#[expect(clippy::print_stdout, reason = "tests/run reads it")]
fn printed(example: &str, arguments: &[&str]) -> Option<String> {
    let Some(ruby) = program("ruby") else {
        println!("skipped: ruby: it is not installed");
        return None;
    };
    let output = Command::new(ruby)
        .arg(root().join("examples/ruby").join(example))
        .arg(library())
        .args(arguments)
        .output()
        .expect("ruby runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(errors, "");
    Some(String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn numbers_in_ruby_are_scraped_and_sent() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let timeout = Some(Duration::from_secs(1));
    socket.set_read_timeout(timeout).expect("a socket");
    let address = socket.local_addr().expect("an address").to_string();
    let Some(printed) = printed("numbers.rb", &[&address]) else {
        return;
    };
    for line in [
        "sent 200 text/plain; version=0.0.4; charset=utf-8",
        "registrations_total{worker=\"w1\"} 3",
        "registrations_total{country=\"de_x=y\",plan=\"pro\",worker=\"w1\"} 2",
        "mail_sent_seconds_count{worker=\"w1\"} 2",
        "queue_length{worker=\"w1\"} 17.5",
        "series: true",
        "kept: []",
        "flushed: true",
        "closed: true",
    ] {
        assert!(printed.lines().any(|it| it == line), "{line}: {printed}");
    }
    let wrong = "config: statsd.adress: unknown; did you mean `address`?";
    assert!(printed.contains(wrong), "{printed}");
    let mut sent = String::new();
    let mut datagram = [0; 65_536];
    while let Ok(length) = socket.recv(&mut datagram) {
        sent.push_str(std::str::from_utf8(&datagram[..length]).expect("UTF-8"));
        sent.push('\n');
    }
    let sum: u64 = sent
        .lines()
        .filter_map(|line| line.strip_prefix("shop.registrations:")?.strip_suffix("|c"))
        .map(|count| count.parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(sum, 3, "{sent}");
    assert!(sent.contains("shop.events.deploy:1|c"), "{sent}");
}

#[test]
fn ruby_prints_its_table() {
    let Some(printed) = printed("hello.rb", &[]) else {
        return;
    };
    let shown = Shown::read(&printed);
    assert!(shown.text.starts_with("# GET /listing/5773453 200 "));
    assert_eq!(shown.count("dbshard01"), 1, "{}", shown.text);
    assert_eq!(
        shown
            .having("SELECT count(*) FROM FavoriteListingUser WHERE listing_id = 5773453")
            .len(),
        1
    );
    assert!(
        shown
            .notes
            .iter()
            .any(|line| line == "note user_id = 5020244")
    );
}
