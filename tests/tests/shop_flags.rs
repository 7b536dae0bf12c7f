//! The shop's flags: shed under load, and what pages show of them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ioprofiler_tests::command;
use ioprofiler_tests::servers::Folder;
use ioprofiler_tests::shop::Shop;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

const LISTING: &str = "/listing/5773453";

struct Flags {
    files: [String; 2],
}

impl Flags {
    fn of(folder: &Folder) -> Self {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/flags.toml");
        let path = |name: &str| folder.path(name).to_str().unwrap().to_owned();
        std::fs::copy(own, path("flags.toml")).unwrap();
        Self {
            files: [path("flags.toml"), path("emergency.toml")],
        }
    }

    fn open_shop(&self) -> Shop {
        let [own, emergency] = &self.files;
        Shop::start(&["--flags", own, "--flags", emergency], &[])
    }

    fn command(&self, deed: &str) -> String {
        let [own, emergency] = &self.files;
        let output = Command::new(command::program())
            .arg("flags")
            .args(deed.split(' '))
            .args(["--file", own, "--file", emergency])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{deed}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Waits until it is so; the shop looks once a second.
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: waited in vain");
}

#[test]
fn what_is_shed_goes_from_every_page_and_no_request_fails() {
    let folder = Folder::new("shop-flags");
    let flags = Flags::of(&folder);
    let shop = flags.open_shop();
    let has = |what: &str| shop.get(LISTING).text().contains(what);
    assert!(has("You may also like") && has("admirer") && has("More from"));
    let stop = AtomicBool::new(false);
    let (pages, failed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let good = shop.get(LISTING).status == 200;
                    pages.fetch_add(1, Ordering::Relaxed);
                    failed.fetch_add(u64::from(!good), Ordering::Relaxed);
                }
            });
        }
        let out = flags.command("shed 7 --reason melting");
        for flag in ["similar", "fans", "new_search"] {
            assert!(out.contains(&format!("goes off {flag} ")), "{out}");
        }
        assert!(!out.contains("more_of_shop"), "{out}");
        wait_for("shed", || !has("You may also like"));
        // From then on no page has it.
        for _ in 0..20 {
            assert!(!has("You may also like") && has("More from") && has("admirer"));
        }
        flags.command("off favorites");
        wait_for("favorites off", || !has("admirer"));
        flags.command("clear");
        wait_for("all on again", || {
            has("admirer") && has("You may also like")
        });
        // A slip in the deployed file changes nothing.
        std::fs::write(&flags.files[0], "[flags.similar\n").unwrap();
        flags.command("shed 8");
        wait_for("shed over a broken file", || !has("You may also like"));
        assert!(has("admirer"));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(pages.into_inner() > 20);
    assert_eq!(failed.into_inner(), 0);
}

#[test]
fn profiles_show_the_flags_of_a_page_with_reasons() {
    let folder = Folder::new("shop-flags-shown");
    let flags = Flags::of(&folder);
    let shop = flags.open_shop();
    let text = shop.profile(LISTING).text;
    assert!(text.contains("\nflag similar on, on\n"), "{text}");
    let panel = shop.get(&format!("{LISTING}?ioprofiler=1")).text();
    assert!(panel.contains("similar"), "{panel}");
    // Who is in which part, the file decides: some see the new search, beside some it runs unseen.
    let search = |visitor: &str| {
        let cookie = format!("Cookie: visitor={visitor}");
        let path = "/search?q=walnut&ioprofiler=text";
        shop.ask("GET", path, &[&cookie], "").text()
    };
    let all: Vec<String> = (0..60)
        .map(|visitor| search(&visitor.to_string()))
        .collect();
    let count = |what: &str| all.iter().filter(|text| text.contains(what)).count();
    assert!(count("flag new_search on, percent") > 0);
    assert!(count("flag new_search dark, dark") > 0);
    assert!(count("flag new_search off, off") > 0);
    let dark = all
        .iter()
        .find(|text| text.contains("flag new_search dark"))
        .unwrap();
    assert!(
        dark.contains("dark:new_search"),
        "its work is a row of its own: {dark}"
    );
    flags.command("off new_search --reason night");
    wait_for("killed", || {
        search("1").contains("flag new_search off, killed")
    });
    // Whoever the gate lets through may choose, but not against the kill switch.
    let chosen = shop
        .get(&format!("{LISTING}?ioprofiler=text&ioflags=similar:off"))
        .text();
    assert!(chosen.contains("flag similar off, override"), "{chosen}");
    let killed = shop
        .get("/search?q=oak&ioprofiler=text&ioflags=new_search:on")
        .text();
    assert!(killed.contains("flag new_search off, killed"), "{killed}");
}
