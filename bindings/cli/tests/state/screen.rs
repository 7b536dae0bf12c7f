//! `ioprofiler top` on a terminal: it refreshes, fits, and gives the terminal back as it was.

use std::os::unix::process::ExitStatusExt as _;

use rustix::termios::{LocalModes, Termios};

use super::terminal::Terminal;
use super::worker::Worker;
use super::*;

fn has_echo(modes: &Termios) -> bool {
    let wanted = LocalModes::ECHO | LocalModes::ICANON;
    modes.local_modes.contains(wanted)
}

/// The screen that was there before is there again, with its cursor, and keys are echoed.
fn is_given_back(terminal: &Terminal) {
    terminal.until("given back", |screen| {
        !screen.alternate_screen() && !screen.hide_cursor()
    });
    assert!(has_echo(&terminal.modes()));
}

#[test]
fn it_refreshes_and_fits_what_it_is_resized_to() {
    let folder = Folder::new("screen");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    let mut terminal = Terminal::run(&folder.state(), &["top"], &[]);
    terminal.until_shown("1 worker idle");
    terminal.until("its own screen", |screen| {
        screen.alternate_screen() && screen.hide_cursor()
    });
    assert!(!has_echo(&terminal.modes()));
    for number in 0..30 {
        worker.order(&format!("hang id{number:02} /listing/{{id}} dbshard02"));
    }
    let shown = terminal.until_shown("30 requests in 1 of 1 worker");
    assert!(shown.lines().count() <= 24, "{shown}");
    line_with(&shown, &["30 in dbshard02"]);
    line_with(
        &shown,
        &[
            " s  GET /listing/{id}  [dbshard02] ",
            " s SELECT * FROM",
            "…",
        ],
    );
    terminal.until_shown("and 13 more");
    terminal.resize(40, 160);
    let shown = terminal.until_shown("WHERE shop_id = ? AND title = ?");
    assert_eq!(shown.matches("SELECT").count(), 30, "{shown}");
    line_with(&shown, &["id00", "[dbshard02]"]);
    terminal.resize(10, 40);
    terminal.until("small", |screen| {
        let shown = screen.contents();
        shown.contains("and 27 more") && shown.lines().all(|line| line.chars().count() <= 40)
    });
    worker.kill();
    terminal.resize(24, 100);
    let shown = terminal.until_shown("no worker runs; 1 killed");
    line_with(&shown, &["killed ", " s ago in [dbshard02] "]);
    // Keys that mean nothing change nothing.
    terminal.press("x\r\x1b[A");
    terminal.press("q");
    assert!(terminal.wait().success());
    is_given_back(&terminal);
}

#[test]
fn whatever_ends_it_the_terminal_is_as_it_was() {
    let folder = Folder::new("signals");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    for (signal, ends_by) in [
        ("key", None),
        ("INT", None),
        ("TERM", Some(15)),
        ("HUP", Some(1)),
        ("QUIT", Some(3)),
    ] {
        let mut terminal = Terminal::run(&folder.state(), &["top", "--every", "1h"], &[]);
        terminal.until_shown("1 worker idle");
        if signal == "key" {
            // As the terminal turns Ctrl-C into a signal.
            terminal.press("\x03");
        } else {
            terminal.signal(signal);
        }
        let status = terminal.wait();
        assert_eq!(status.signal(), ends_by, "{signal}: {status}");
        assert_eq!(status.code(), ends_by.is_none().then_some(0), "{signal}");
        is_given_back(&terminal);
    }
}

#[test]
fn stopped_it_gives_the_terminal_back_and_takes_it_again() {
    let folder = Folder::new("stop");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 / 200 1");
    let mut terminal = Terminal::run(&folder.state(), &["top"], &[]);
    terminal.until_shown("1 worker idle");
    terminal.signal("TSTP");
    is_given_back(&terminal);
    worker.order("hang 4bf92f35 /search dbshard02");
    terminal.signal("CONT");
    terminal.until("back", |screen| screen.alternate_screen());
    terminal.until_shown("GET /search");
    assert!(!has_echo(&terminal.modes()));
    terminal.press("Q");
    assert!(terminal.wait().success());
    is_given_back(&terminal);
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let folder = Folder::new("colours");
    let mut worker = Worker::start(&folder.state());
    worker.order("serve 1 /search 503 1");
    let red = vt100::Color::Idx(1);
    for (variables, is_red) in [
        (&[][..], true),
        (&[("NO_COLOR", "1")], false),
        (&[("TERM", "dumb")], false),
    ] {
        let mut terminal = Terminal::run(&folder.state(), &["slow"], variables);
        assert!(terminal.wait().success());
        terminal.until_shown("GET /search");
        terminal.until("in its colour", |screen| {
            (screen.cell(1, 0).map(vt100::Cell::fgcolor) == Some(red)) == is_red
        });
    }
    // What cannot be written over is written once.
    let mut terminal = Terminal::run(&folder.state(), &["top"], &[("TERM", "dumb")]);
    assert!(terminal.wait().success());
    terminal.until_shown("1 worker idle");
    assert!(has_echo(&terminal.modes()));
}
