//! The shop as a process of its own: built, started on a free port, asked for its CPU time.

use crate::harness::{Result, clock_ns};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Whether the shop runs inside the layer.
#[derive(Clone, Copy)]
pub(crate) enum Layer {
    With,
    Without,
}

/// A running shop; ends when dropped.
pub(crate) struct Shop {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// The path of a listing's page.
    pub(crate) listing: String,
}

/// Builds the shop and says where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = target_folder()?;
    let built = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--release",
            "--example",
            "shop",
            "--target-dir",
        ])
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .status()?;
    if !built.success() {
        return Err(format!("building the shop: {built}").into());
    }
    Ok(target.join("release/examples/shop"))
}

/// Where the shop keeps its listings, so that only the first start has to make them.
pub(crate) fn data_folder() -> Result<PathBuf> {
    let folder = target_folder()?.join("ioprofiler-benches-shop");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The folder of cargo's output that this program was built into.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program
        .parent()
        .and_then(Path::parent)
        .ok_or("this program is in no folder")?;
    Ok(folder.to_owned())
}

/// The shop's command, on the last processor where there are two and `taskset` is there; ahead of
/// all else that runs on it, where this user may ask for that.
pub(crate) fn pinned(binary: &Path) -> Command {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let last = (processors - 1).to_string();
    let mut words = Vec::new();
    if runs("chrt", &["-f", "1", "true"]) {
        words.extend(["chrt", "-f", "1"]);
    }
    if processors > 1 && runs("taskset", &["-V"]) {
        words.extend(["taskset", "-c", &last]);
    }
    let Some((program, arguments)) = words.split_first() else {
        return Command::new(binary);
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(binary);
    command
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// This thread, and those that it starts, go ahead of others while it lives: a client that waits
/// for a processor leaves the shop's to whoever else wants it, and its caches with it. Does nothing
/// where this user may not.
pub(crate) struct Ahead(());

impl Ahead {
    pub(crate) fn of_others() -> Self {
        schedule(libc::SCHED_FIFO, 1);
        Self(())
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        schedule(libc::SCHED_OTHER, 0);
    }
}

fn schedule(policy: libc::c_int, priority: libc::c_int) {
    // SAFETY: zero is a valid value of each of its fields.
    let mut wanted: libc::sched_param = unsafe { std::mem::zeroed() };
    wanted.sched_priority = priority;
    // SAFETY: changes this thread alone. Where it may not, it goes on as before.
    let _ = unsafe { libc::sched_setscheduler(0, policy, &wanted) };
}

impl Shop {
    /// Starts the shop that `command` begins with, and waits until it has said what to try.
    pub(crate) fn start(command: &mut Command, data: &Path, layer: Layer) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        command
            .args(["--port", &port.to_string(), "--data"])
            .arg(data);
        if let Layer::Without = layer {
            command.arg("--without-profiler");
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let address = format!("127.0.0.1:{port}");
        // From here on dropping it ends the child.
        let mut shop = Self {
            child,
            address,
            listing: String::new(),
        };
        let mut lines = BufReader::new(output).lines();
        while shop.listing.is_empty() {
            let line = lines
                .next()
                .ok_or("the shop ended before it named a listing's page")??;
            shop.listing = listing_path(&line, &shop.address).unwrap_or_default();
        }
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        shop.wait_until_open()?;
        Ok(shop)
    }

    fn wait_until_open(&self) -> Result<()> {
        for _ in 0..600 {
            if std::net::TcpStream::connect(&self.address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Err("the shop does not listen".into())
    }

    /// CPU time of all its threads so far, ended ones included, user and system.
    pub(crate) fn cpu_ns(&self) -> Result<u64> {
        let mut clock = 0;
        // SAFETY: `clock` is a valid clock id for the call to fill.
        let status =
            unsafe { libc::clock_getcpuclockid(self.child.id().cast_signed(), &mut clock) };
        if status != 0 {
            return Err("the shop has no CPU clock".into());
        }
        clock_ns(clock).ok_or_else(|| "the shop's CPU clock cannot be read".into())
    }

    /// Asks it to end, as an operator would, and waits: valgrind then writes what it counted.
    pub(crate) fn stop(mut self) -> Result<()> {
        // SAFETY: signals a child that was not waited for yet, so the id is still its own.
        unsafe { libc::kill(self.child.id().cast_signed(), libc::SIGTERM) };
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The path in a line like `http://127.0.0.1:PORT/listing/5773453?ioprofiler=1`, without what asks
/// for a profile.
fn listing_path(line: &str, address: &str) -> Option<String> {
    let (_, path) = line.split_once(address)?;
    let end = path
        .find(|end: char| end.is_whitespace() || end == '?')
        .unwrap_or(path.len());
    let path = path.get(..end)?;
    path.starts_with("/listing/").then(|| path.to_owned())
}
