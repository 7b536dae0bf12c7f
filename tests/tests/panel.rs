//! The panel in a real browser: under policies that allow nothing, and among hostile style sheets.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../core/tests/common/sample.rs"]
mod sample;

use ioprofiler::profile::ProfileData;
use ioprofiler::render::html::{PanelOptions, page, panel, panel_with};
use ioprofiler::render::shown::ms;
use ioprofiler::table::table;
use ioprofiler_tests::browser::Browser;
use ioprofiler_tests::panel::{OPEN, ROWS, VISIBLE};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

const STRICT: &str = "Content-Security-Policy: default-src 'none'\r\n";
const NONCE: &str = "Content-Security-Policy: default-src 'none'; style-src 'nonce-n0nce'; script-src 'nonce-n0nce'\r\n";
const HTML: &str = "Content-Type: text/html; charset=iso-8859-1\r\n";
const HOSTILE_STYLE: &str = "<style>
    * { display: none !important; color: red !important; font: 99px serif !important }
    html, body, h1 { display: block !important }
    body { transform: none } td, summary { font-size: 99px; padding: 80px }
    ioprofiler-panel { visibility: hidden; opacity: 0 !important; position: absolute !important }
    </style>";

/// One page, served until the test ends.
struct Served {
    url: String,
}

impl Served {
    fn new(headers: &str, document: String) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let answer = format!(
            "HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{document}",
            document.len()
        );
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A browser that goes away in the middle is no failure of the page.
                let _ = serve(stream, &answer);
            }
        });
        Self { url }
    }
}

fn serve(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    stream.write_all(answer.as_bytes())
}

fn host(head: &str, panel: &str) -> String {
    format!(
        "<!DOCTYPE html><html><head><meta name=\"color-scheme\" content=\"light dark\">{head}\
         <title>shop</title></head><body><h1>Walnut bowl</h1><p>The page itself.</p>{panel}</body></html>"
    )
}

/// Where pictures go, to be looked at: `target/tmp/panel/`.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("panel")
}

fn shoot(browser: &Browser, name: &str) {
    browser.shoot(&pictures(), name).unwrap();
}

fn expected_rows(profile: &ProfileData) -> Value {
    let table = table(profile);
    let category = |row: &ioprofiler::table::Row| {
        json!([
            row.category,
            row.calls.to_string(),
            ms(row.time_ns),
            ms(row.self_ns)
        ])
    };
    let calls = profile.spans.iter().map(|span| {
        json!([
            span.category,
            ms(span.start_ns),
            ms(span.duration_ns),
            span.detail
        ])
    });
    json!({
        "categories": table.rows.iter().map(category).collect::<Vec<_>>(),
        "totals": [
            ["TOTAL CALLS", ms(table.total_calls_self_ns)],
            ["TOTAL PAGE EXEC", ms(table.page_ns)],
            ["I/O WALL", ms(table.io_wall_ns)],
            ["OTHER", ms(table.other_ns)],
        ],
        "calls": calls.collect::<Vec<_>>(),
    })
}

#[test]
fn a_policy_that_allows_nothing() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let profile = sample::listing();
    let plain = panel_with(&profile, &PanelOptions::default().plain(true));
    for (name, panel, quiet) in [
        ("strict-plain", plain, true),
        ("strict", panel(&profile), false),
    ] {
        let page = Served::new(&format!("{HTML}{STRICT}"), host("", &panel));
        browser.go(&page.url).unwrap();
        assert_eq!(browser.run(ROWS).unwrap(), expected_rows(&profile));
        if !quiet {
            browser.run(OPEN).unwrap();
        }
        assert_eq!(browser.run(VISIBLE).unwrap(), json!(true), "{name}");
        shoot(&browser, name);
        let complaints = browser.console().unwrap();
        let ours = |message: &&String| !message.contains("favicon");
        assert_eq!(
            complaints.iter().filter(ours).count() == 0,
            quiet,
            "{complaints:?}"
        );
    }
}

#[test]
fn a_nonce_lets_style_and_script_run() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let panel = panel_with(&sample::listing(), &PanelOptions::default().nonce("n0nce"));
    let page = Served::new(&format!("{HTML}{NONCE}"), host("", &panel));
    browser.go(&page.url).unwrap();
    browser.run(OPEN).unwrap();
    let root = "const root = document.querySelector('ioprofiler-panel').shadowRoot;";
    let style = format!("{root} return getComputedStyle(root.getElementById('panel')).position");
    assert_eq!(browser.run(&style).unwrap(), json!("fixed"));
    let script = format!("{root} return root.getElementById('copy').hidden");
    assert_eq!(browser.run(&script).unwrap(), json!(false));
    let filter = format!(
        "{root} const filter = root.getElementById('filter'); filter.value = 'FavoriteListingUser';
         filter.oninput(); return root.querySelectorAll('[data-row=call]:not([hidden])').length"
    );
    assert_eq!(browser.run(&filter).unwrap(), json!(1));
    let close = format!(
        "{root} root.getElementById('filter').dispatchEvent(
             new KeyboardEvent('keydown', {{key: 'Escape', bubbles: true}}));
         return root.getElementById('panel').open"
    );
    assert_eq!(browser.run(&close).unwrap(), json!(false));
}

#[test]
fn the_page_and_the_panel_never_meet() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let profile = sample::listing();
    let page = Served::new(HTML, host(HOSTILE_STYLE, &panel(&profile)));
    browser.go(&page.url).unwrap();
    browser.screenshot(&pictures().join("badge.png")).unwrap();
    browser.run(OPEN).unwrap();
    assert_eq!(browser.run(ROWS).unwrap(), expected_rows(&profile));
    assert_eq!(browser.run(VISIBLE).unwrap(), json!(true));
    shoot(&browser, "hostile-style");
    let fonts = "
        const cell = document.querySelector('ioprofiler-panel').shadowRoot.querySelector('td');
        return [getComputedStyle(cell).fontSize, getComputedStyle(document.querySelector('h1')).fontSize]";
    assert_eq!(browser.run(fonts).unwrap(), json!(["13px", "99px"]));
    browser.show_on("print").unwrap();
    let shown = "return document.querySelector('ioprofiler-panel').checkVisibility()";
    assert_eq!(browser.run(shown).unwrap(), json!(false));
}

#[test]
fn hostile_text_runs_nothing() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let page = Served::new(HTML, host("", &panel(&sample::hostile())));
    browser.go(&page.url).unwrap();
    let elements = "return [...document.body.children].map(element => element.localName)";
    assert_eq!(
        browser.run(elements).unwrap(),
        json!(["h1", "p", "ioprofiler-panel"])
    );
    let inside = "
        const root = document.querySelector('ioprofiler-panel').shadowRoot;
        return [root.querySelectorAll('script, img, h1').length, root.querySelectorAll('[data-row=call]').length]";
    let calls = sample::hostile().spans.len();
    assert_eq!(browser.run(inside).unwrap(), json!([0, calls]));
    browser.run(OPEN).unwrap();
    shoot(&browser, "hostile-text");
}

#[test]
fn pages_of_their_own() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let empty = sample::Sample::new("/empty").done(2_000);
    for (name, profile) in [
        ("page", sample::listing()),
        ("page-2000", sample::many(2_000)),
        ("page-empty", empty),
    ] {
        let page = Served::new(HTML, page(&profile));
        browser.go(&page.url).unwrap();
        assert_eq!(browser.run(ROWS).unwrap(), expected_rows(&profile));
        shoot(&browser, name);
        browser.resize(600, 1_400).unwrap();
        let overflow = "return document.documentElement.scrollWidth";
        assert_eq!(
            browser.run(overflow).unwrap(),
            json!(600),
            "{name}: no sideways scrolling"
        );
        shoot(&browser, &format!("{name}-narrow"));
        browser.resize(1_400, 1_000).unwrap();
    }
}

#[test]
fn xhtml_stays_well_formed() {
    let Some(browser) = Browser::if_installed() else {
        return;
    };
    let document = format!(
        "<html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title>x</title></head><body><h1>Bowl</h1>{}</body></html>",
        panel(&sample::hostile())
    );
    let page = Served::new("Content-Type: application/xhtml+xml\r\n", document);
    browser.go(&page.url).unwrap();
    let read = "
        const panel = document.querySelector('ioprofiler-panel');
        return [document.querySelector('h1').textContent, document.querySelectorAll('parsererror').length,
            panel.shadowRoot.querySelectorAll('[data-row=call]').length]";
    let calls = sample::hostile().spans.len();
    assert_eq!(browser.run(read).unwrap(), json!(["Bowl", 0, calls]));
}
