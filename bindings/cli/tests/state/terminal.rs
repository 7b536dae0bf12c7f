//! A terminal to run the command on, and what it shows.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Parser, Screen};

use super::SOON;

pub(crate) struct Terminal {
    ours: File,
    theirs: File,
    parser: Arc<Mutex<Parser>>,
    child: Child,
}

fn size(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

impl Terminal {
    /// Runs the command on a new terminal of its own, with the signals that come with one.
    pub(crate) fn run(state_dir: &Path, words: &[&str], variables: &[(&str, &str)]) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let name = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(OsString::from_vec(name.into_bytes()))
            .unwrap();
        let ours = File::from(ours);
        let parser = Arc::new(Mutex::new(Parser::new(size(24), size(80), 0)));
        let command = super::command(Some(state_dir));
        let mut on_terminal = Command::new("setsid");
        on_terminal
            .arg("--ctty")
            .arg(command.get_program())
            .args(words);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => on_terminal.env(name, value),
                None => on_terminal.env_remove(name),
            };
        }
        on_terminal
            .env("TERM", "xterm-256color")
            .envs(variables.iter().copied());
        tcsetwinsize(&ours, winsize(24, 80)).unwrap();
        let child = on_terminal
            .stdin(theirs.try_clone().unwrap())
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs.try_clone().unwrap())
            .spawn()
            .unwrap();
        let terminal = Self {
            ours,
            theirs,
            parser,
            child,
        };
        terminal.read_on();
        terminal
    }

    /// Shows what is written, until nobody can write any more.
    fn read_on(&self) {
        let (mut ours, parser) = (self.ours.try_clone().unwrap(), Arc::clone(&self.parser));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = ours.read(&mut bytes) {
                parser.lock().unwrap().process(&bytes[..read]);
            }
        });
    }

    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        let mut parser = self.parser.lock().unwrap();
        parser.screen_mut().set_size(size(rows), size(columns));
        drop(parser);
        tcsetwinsize(&self.ours, winsize(rows, columns)).unwrap();
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// How the terminal takes keys.
    pub(crate) fn modes(&self) -> Termios {
        tcgetattr(&self.theirs).unwrap()
    }

    /// Looks until it is so.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let parser = self.parser.lock().unwrap();
            let contents = parser.screen().contents();
            if is_so(parser.screen()) {
                return contents;
            }
            drop(parser);
            assert!(begun.elapsed() < SOON, "not {what}:\n{contents}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn until_shown(&self, text: &str) -> String {
        self.until(text, |screen| screen.contents().contains(text))
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < SOON {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
