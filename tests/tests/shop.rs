//! The example shop, as a newcomer meets it: its pages and what their profiles say, on SQLite, on
//! MariaDB and PostgreSQL with memcached.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stderr, reason = "says which server is not installed")]

use ioprofiler::gate::TokenKeys;
use ioprofiler_tests::servers::{self, Folder};
use ioprofiler_tests::shop::{Shop, Shown};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'";
/// Is on the first shard; its shop too.
const LISTING: &str = "/listing/5773453";

/// How the shop's servers show in a profile.
struct Servers<'a> {
    shards: [&'a str; 2],
    cache: &'a str,
    /// The first parameter of a query.
    parameter: &'a str,
}

#[test]
fn on_sqlite() {
    let shop = Shop::start(&[], &[]);
    let servers = Servers {
        shards: ["dbshard01.sqlite", "dbshard02.sqlite"],
        cache: "memcache",
        parameter: "?",
    };
    all_pages(&shop, &servers);
}

#[test]
fn on_mariadb_and_memcached() {
    let (Some(database), Some(cache)) = (
        servers::mariadb(&["dbshard01", "dbshard02"]),
        servers::memcached(),
    ) else {
        return skipped("mariadbd or memcached");
    };
    on_servers("mysql", "?", &database, &cache);
}

#[test]
fn on_postgresql_and_memcached() {
    let (Some(database), Some(cache)) = (
        servers::postgresql(&["dbshard01", "dbshard02"]),
        servers::memcached(),
    ) else {
        return skipped("postgres or memcached");
    };
    on_servers("postgres", "$1", &database, &cache);
}

fn skipped(what: &str) {
    eprintln!("skipped: {what} is not installed");
}

fn on_servers(scheme: &str, parameter: &str, database: &servers::Server, cache: &servers::Server) {
    let address = cache.address();
    let first = database.url(scheme, "dbshard01");
    let second = database.url(scheme, "dbshard02");
    let environment = [
        ("DBSHARD01_URL", first.as_str()),
        ("DBSHARD02_URL", second.as_str()),
        ("MEMCACHED", address.as_str()),
    ];
    let shards =
        ["dbshard01", "dbshard02"].map(|name| format!("127.0.0.1:{}/{name}", database.port()));
    let servers = Servers {
        shards: [&shards[0], &shards[1]],
        cache: &address,
        parameter,
    };
    let shop = Shop::start(&[], &environment);
    assert!(
        shop.said().contains("made 4000 listings"),
        "{}",
        shop.said()
    );
    all_pages(&shop, &servers);
    drop(shop);

    // The second start finds the shards filled.
    let shop = Shop::start(&[], &environment);
    assert!(!shop.said().contains("made"), "{}", shop.said());
    assert_eq!(shop.get(LISTING).status, 200);
}

fn all_pages(shop: &Shop, servers: &Servers<'_>) {
    home(shop, servers);
    listing(shop, servers);
    one_query_too_many(shop, servers);
    search(shop, servers);
    api(shop);
    stream(shop);
    favorite(shop, servers);
    ticket(shop, servers);
    panel(shop);
    missing(shop);
}

/// How many calls of a category began at a server.
fn at(shown: &Shown, target: &str) -> usize {
    shown
        .calls
        .iter()
        .filter(|call| call.target == target)
        .count()
}

fn home(shop: &Shop, servers: &Servers<'_>) {
    let first = shop.profile("/");
    let text = &first.text;
    assert_eq!(first.count("memcache_get"), 100, "{text}");
    assert_eq!(first.count("memcache_get_multi"), 1, "{text}");
    assert!(first.count("memcache_set") > 100, "{text}");
    assert!(
        first.count("dbshard01") > 25 && first.count("dbshard02") > 25,
        "{text}"
    );
    assert_eq!(
        at(&first, servers.shards[0]) as u64,
        first.count("dbshard01"),
        "{text}"
    );
    assert_eq!(
        at(&first, servers.shards[1]) as u64,
        first.count("dbshard02"),
        "{text}"
    );

    let second = shop.profile("/");
    let text = &second.text;
    assert_eq!(second.count("memcache_get"), 100, "{text}");
    assert_eq!(second.count("memcache_get_multi"), 1, "{text}");
    assert_eq!(second.count("memcache_set"), 0, "{text}");
    assert_eq!(
        second.count("dbshard01") + second.count("dbshard02"),
        0,
        "{text}"
    );
    assert_eq!(second.count("template"), 2, "{text}");
    assert_eq!(at(&second, servers.cache), 101, "{text}");
    assert_eq!(second.having("Cache HIT, keys: ").len(), 101, "{text}");
    assert!(text.contains("100 hits"), "{text}");
    assert!(text.contains("(50 hits, 0 misses)"), "{text}");
}

fn listing(shop: &Shop, servers: &Servers<'_>) {
    // Not on the home page, so it is in no cache.
    let path = "/listing/5770001";
    let first = shop.profile(path);
    let text = &first.text;
    assert!(
        first.having("Cache MISS, keys: listing:5770001").len() == 1,
        "{text}"
    );
    assert!(
        first.having("Cache SET, keys: listing:5770001").len() == 1,
        "{text}"
    );

    let second = shop.profile(path);
    let text = &second.text;
    let title = format!("# GET {path}?ioprofiler=text 200 ");
    assert!(text.starts_with(&title), "{text}");
    assert!(
        second.having("Cache HIT, keys: listing:5770001").len() == 1,
        "{text}"
    );
    assert_eq!(second.count("memcache_get"), 2, "{text}");
    assert_eq!(second.count("memcache_set"), 0, "{text}");
    assert!(
        first.count("dbshard01") > second.count("dbshard01"),
        "{text}"
    );
    // Both shards, at once.
    assert_eq!(second.count("dbshard01"), 3, "{text}");
    assert_eq!(second.count("dbshard02"), 1, "{text}");
    for target in servers.shards {
        assert!(at(&second, target) > 0, "{text}");
    }

    let favorites = format!(
        "SELECT count(*) FROM FavoriteListingUser WHERE listing_id = {} -- [int]  (1 row)",
        servers.parameter
    );
    let counted = second.having(&favorites);
    assert_eq!(counted.len(), 1, "{text}");
    assert!(
        counted[0].text.contains(" examples/shop/market.rs:"),
        "{text}"
    );

    // Templates in templates.
    let depth = |name: &str| second.having(name).first().map(|call| call.depth);
    assert_eq!(depth("listing.html"), Some(0), "{text}");
    assert_eq!(depth("part/buy.html"), Some(1), "{text}");
    assert_eq!(depth("part/heart.html"), Some(2), "{text}");
    assert_eq!(second.count("template"), 6, "{text}");
}

/// The shop's window is the classic mistake, and the profile says so.
fn one_query_too_many(shop: &Shop, servers: &Servers<'_>) {
    let shown = shop.profile("/shop/QuarryWorkshop");
    let text = &shown.text;
    let queries = shown.having("SELECT count(*) FROM FavoriteListingUser");
    assert!(queries.len() > 10, "{text}");
    let repeated = shown.repeated("dbshard01");
    assert_eq!(repeated.len(), 1, "{text}");
    let begin = format!("repeated {} times [dbshard01] ", queries.len());
    assert!(repeated[0].starts_with(&begin), "{text}");
    assert!(repeated[0].contains(" examples/shop/market.rs:"), "{text}");
    assert!(
        queries.iter().all(|call| call.target == servers.shards[0]),
        "{text}"
    );
}

fn search(shop: &Shop, servers: &Servers<'_>) {
    let shown = shop.profile("/search?q=walnut");
    let text = &shown.text;
    let on = |target: &str| {
        shown
            .calls
            .iter()
            .find(|call| call.target == target)
            .unwrap()
            .clone()
    };
    let (first, second) = (on(servers.shards[0]), on(servers.shards[1]));
    assert_eq!(shown.count("dbshard01"), 1, "{text}");
    assert_eq!(shown.count("dbshard02"), 1, "{text}");
    assert_eq!(shown.count("function"), 1, "{text}");
    assert!(
        second.start < first.start + first.duration,
        "not at once: {text}"
    );
    assert!(first.text.contains("-- [text, text]"), "{text}");
    assert!(
        !first.text.contains("walnut"),
        "values are not shown: {text}"
    );

    let page = shop.get("/search?q=walnut").text();
    assert!(page.contains("24 finds for “walnut”"), "{page}");
    let page = shop.get("/search?q=%3Cscript%3E").text();
    assert!(page.contains("Nothing for “&lt;script&gt;”"), "{page}");
    let page = shop.get("/search?q=%25").text();
    assert!(!page.contains("<script"), "{page}");
}

fn api(shop: &Shop) {
    let answer = shop.get("/api/listing/5773453");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json["listing"]["listing_id"], 5_773_453);
    assert_eq!(json["shop"]["name"], "QuarryWorkshop");

    let shown = shop.profile("/api/listing/5773453");
    assert_eq!(shown.count("memcache_get"), 2, "{}", shown.text);
    assert_eq!(shown.count("dbshard01"), 1, "{}", shown.text);
    let json = shop.get("/api/listing/5773453?ioprofiler=json").body;
    assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
}

fn stream(shop: &Shop) {
    let answer = shop.get("/stream");
    let (first, last) = answer.times;
    assert_eq!(answer.status, 200);
    assert!(answer.text().trim_end().ends_with("</html>"));
    // Six pauses of 150 ms lie between.
    assert!(
        last - first > Duration::from_millis(600),
        "in one piece: {first:?}, {last:?}"
    );

    let shown = shop.profile("/stream");
    let text = &shown.text;
    assert_eq!(shown.count("dbshard01"), 3, "{text}");
    assert_eq!(shown.count("dbshard02"), 3, "{text}");
    assert_eq!(shown.having("stream_rows.html").len(), 6, "{text}");
}

fn favorite(shop: &Shop, servers: &Servers<'_>) {
    let count = || {
        let json: serde_json::Value =
            serde_json::from_slice(&shop.get("/api/listing/5773453").body).unwrap();
        json["favorites"].as_i64().unwrap()
    };
    let before = count();
    let form = "listing_id=5773453";
    let answer = shop.ask("POST", "/favorite", &[], form);
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some(LISTING));
    let after = count();
    assert_eq!((after - before).abs(), 1);

    // A redirect has no page to show it in: asked for as text, the profile is the answer.
    let answer = shop.ask("POST", "/favorite", &["X-Ioprofiler: text"], form);
    let shown = Shown::read(&answer.text());
    let text = &shown.text;
    assert!(text.starts_with("# POST /favorite 303 "), "{text}");
    for target in servers.shards {
        assert!(at(&shown, target) > 0, "{text}");
    }
    assert_eq!(
        shown.having("(1 row)").len(),
        4,
        "two counts and two changes: {text}"
    );
    assert_eq!(count(), before);

    assert_eq!(
        shop.ask("POST", "/favorite", &[], "listing_id=1").status,
        404
    );
}

fn ticket(shop: &Shop, servers: &Servers<'_>) {
    let text = shop.get(&format!("{LISTING}?ioprofiler=ticket")).text();
    assert!(text.contains("Cache HIT, keys: listing:?"), "{text}");
    let query = format!(
        "FROM FavoriteListingUser WHERE listing_id = {}",
        servers.parameter
    );
    assert!(text.contains(&query), "{text}");
    assert!(!text.contains("listing:5773453"), "{text}");
}

/// The panel is in the page, under the page's own strict policy.
fn panel(shop: &Shop) {
    let plain = shop.get(LISTING);
    let shown = shop.get(&format!("{LISTING}?ioprofiler=1"));
    for answer in [&plain, &shown] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-security-policy"), Some(POLICY));
    }
    assert!(shown.body.len() > plain.body.len());
    assert!(!plain.text().contains("FavoriteListingUser"));
    assert!(shown.text().contains("FavoriteListingUser"));
    assert!(shown.header("server-timing").is_some());
    assert_eq!(plain.header("server-timing"), None);
}

fn missing(shop: &Shop) {
    for path in [
        "/nothing",
        "/listing/1",
        "/listing/x",
        "/shop/Nobody",
        "/shop/no%0d%0abody",
    ] {
        let answer = shop.get(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.text().contains("This page is not for sale."),
            "{path}"
        );
    }
    let shown = shop.profile("/shop/no%0d%0abody");
    assert_eq!(shown.count("memcache_get"), 1, "{}", shown.text);
    for path in ["/static/shop.css", "/static/picture/toys/3.svg"] {
        assert_eq!(shop.get(path).status, 200, "{path}");
    }
}

#[test]
fn pages_outlive_the_cache() {
    let Some(cache) = servers::memcached() else {
        return skipped("memcached");
    };
    let shop = Shop::start(&[], &[("MEMCACHED", &cache.address())]);
    assert_eq!(shop.profile("/").count("memcache_get"), 100);
    drop(cache);
    let shown = shop.profile(LISTING);
    let text = &shown.text;
    let failed = shown.having("Cache GET, keys: listing:5773453");
    assert_eq!(failed.len(), 1, "{text}");
    assert!(failed[0].text.ends_with(" error"), "{text}");
    assert!(shown.count("dbshard01") >= 5, "{text}");
    assert_eq!(shop.get(LISTING).status, 200);
}

#[test]
fn pages_say_that_a_shard_is_gone() {
    let Some(database) = servers::postgresql(&["dbshard01", "dbshard02"]) else {
        return skipped("postgres");
    };
    let first = database.url("postgres", "dbshard01");
    let second = database.url("postgres", "dbshard02");
    let shop = Shop::start(
        &[],
        &[("DBSHARD01_URL", &first), ("DBSHARD02_URL", &second)],
    );
    assert_eq!(shop.get(LISTING).status, 200);
    drop(database);
    assert_eq!(shop.get(LISTING).status, 503);
    let shown = shop.profile(LISTING);
    assert!(
        shown.calls.iter().any(|call| call.text.ends_with(" error")),
        "{}",
        shown.text
    );
    assert!(
        shown.notes.iter().any(|note| note.starts_with("error: ")),
        "{}",
        shown.text
    );
}

#[test]
fn a_secret_closes_the_gate() {
    let folder = Folder::new("secret");
    let secret = "a secret of thirty-two bytes, or more";
    let file = folder.file("secret", secret);
    let shop = Shop::start(&["--secret", file.to_str().unwrap()], &[]);
    assert!(shop.said().contains("token mint"), "{}", shop.said());

    let asked = format!("{LISTING}?ioprofiler=text");
    let refused = shop.get(&asked);
    assert!(refused.text().starts_with("<!doctype html>"));
    assert_eq!(refused.body, shop.get(LISTING).body);

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let token = TokenKeys::new(&[secret])
        .unwrap()
        .mint("ada", shop.address(), 60, now)
        .unwrap();
    let header = format!("X-Ioprofiler-Token: {}", token.as_str());
    let seen = shop.ask("GET", &asked, &[&header], "");
    assert!(seen.text().starts_with("# GET "), "{}", seen.text());
}

#[test]
fn without_the_profiler_pages_are_the_same() {
    let folder = Folder::new("data");
    let arguments = ["--data", folder.path("shards").to_str().unwrap()].map(str::to_owned);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let with = Shop::start(&arguments, &[]);
    let without = Shop::start(&[&arguments[..], &["--without-profiler"]].concat(), &[]);
    for path in ["/", LISTING, "/search?q=walnut", "/stream", "/nothing"] {
        let unlike_date = |shop: &Shop| {
            let mut answer = shop.get(path);
            answer.headers.retain(|(name, _)| name != "date");
            (answer.status, answer.headers, answer.body)
        };
        assert_eq!(unlike_date(&with), unlike_date(&without), "{path}");
    }
    let asked = format!("{LISTING}?ioprofiler=1");
    assert_eq!(without.get(&asked).body, with.get(LISTING).body);
}

#[test]
fn closes_when_told() {
    for signal in ["-TERM", "-INT"] {
        let folder = Folder::new("data");
        let data = folder.path("shards");
        let arguments = ["--data", data.to_str().unwrap()];
        let shop = Shop::start(&arguments, &[]);
        assert!(shop.said().contains("made 4000 listings"));
        // A connection that idles does not hold it up for long.
        let idle = TcpStream::connect(shop.address()).unwrap();
        let (code, took) = shop.close(signal);
        assert_eq!(code, Some(0));
        assert!(took < Duration::from_secs(5), "{took:?}");
        drop(idle);
        // The folder that was named stays, and is found again.
        let shop = Shop::start(&arguments, &[]);
        assert!(!shop.said().contains("made"), "{}", shop.said());
        assert_eq!(shop.get(LISTING).status, 200);

        // The one that nobody named goes.
        let shop = Shop::start(&[], &[]);
        let own = std::env::temp_dir().join(format!("ioprofiler-shop-{}", shop.id()));
        assert!(own.join("dbshard01.sqlite").is_file());
        let (code, _) = shop.close(signal);
        assert_eq!(code, Some(0));
        assert!(!own.exists());
    }
}

/// Arguments, environment, and what the complaint must hold.
type Refusal<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a [&'a str]);

#[test]
fn wrong_options_are_named() {
    let dead = servers::free_port();
    let mysql = format!("mysql://shop:hidden@127.0.0.1:{dead}/a");
    let postgres = format!("postgres://shop:hidden@127.0.0.1:{dead}/b");
    let dead = format!("127.0.0.1:{dead}");
    let cases: [Refusal<'_>; 11] = [
        (
            &["--prot", "1"],
            &[],
            &[
                "--prot",
                "--port, --listen, --data, --secret, --flags, --without-profiler",
            ],
        ),
        (&["--port", "99999"], &[], &["--port 99999", "0", "65535"]),
        (&["--port"], &[], &["--port needs a value"]),
        (&["--listen", "here"], &[], &["--listen here", "IP address"]),
        (&["--secret", "/nowhere"], &[], &["--secret", "/nowhere"]),
        (&["--data", "/dev/null/x"], &[], &["--data", "/dev/null/x"]),
        (
            &[],
            &[("DBSHARD01_URL", &mysql)],
            &["DBSHARD02_URL is missing"],
        ),
        (
            &[],
            &[
                ("DBSHARD01_URL", "oracle://x"),
                ("DBSHARD02_URL", "mysql://y"),
            ],
            &["DBSHARD01_URL", "mysql:// or postgres://"],
        ),
        (
            &["--port", "0"],
            &[("DBSHARD01_URL", &mysql), ("DBSHARD02_URL", &postgres)],
            &["DBSHARD01_URL", "refused"],
        ),
        (
            &["--port", "0"],
            &[("DBSHARD01_URL", &postgres), ("DBSHARD02_URL", &mysql)],
            &["DBSHARD01_URL", "refused"],
        ),
        (
            &["--port", "0"],
            &[("MEMCACHED", &dead)],
            &["MEMCACHED", &dead, "refused"],
        ),
    ];
    for (arguments, environment, expected) in cases {
        let output = Shop::refused(arguments, environment);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        for part in expected {
            assert!(
                said.contains(part),
                "{arguments:?} {environment:?}: no `{part}` in: {said}"
            );
        }
        assert!(!said.contains("hidden"), "a password is told: {said}");
    }
}
