//! Python for tests: virtual environments in the target folder, with what PyPI has for a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The Python of an environment with these packages, made at its first use; `None` where it cannot be
/// made, which skips a test, unless servers are required.
///
/// # Panics
/// When it is required and cannot be made.
#[must_use]
pub fn with(name: &str, packages: &[&str]) -> Option<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock();
    let folder = target().join(format!("python-{name}"));
    let python = folder.join("bin/python");
    // Written last: an environment without it is half made.
    let list = folder.join("packages");
    let wanted = packages.join("\n");
    if std::fs::read_to_string(&list).is_ok_and(|there| there == wanted) {
        return Some(python);
    }
    let made = run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).and_then(|()| {
        let mut pip = Command::new(&python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        run(pip.args(packages))
    });
    made.map_err(|why| skip(name, &why)).ok()?;
    std::fs::write(list, wanted).ok()?;
    Some(python)
}

/// Whether it can load a module, which may want a library of the system's. Where not, a test is
/// skipped, unless servers are required.
///
/// # Panics
/// When it is required and cannot be loaded.
#[must_use]
pub fn has(python: &Path, name: &str, module: &str) -> Option<()> {
    let load = format!("import {module}");
    let loaded = run(Command::new(python).args(["-c", &load]));
    loaded.map_err(|why| skip(name, &why)).ok()
}

#[expect(clippy::print_stdout, reason = "says what is skipped, and why")]
fn skip(name: &str, why: &str) {
    let required = std::env::var_os("IOPROFILER_TEST_SERVERS").is_some_and(|v| v == "required");
    assert!(!required, "{name} is required, and cannot be had: {why}");
    println!("skipped: {name}: it cannot be had from PyPI here");
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// target/PROFILE/deps/TEST-…
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let target = test.ancestors().nth(3).unwrap_or(Path::new("target"));
    target.to_owned()
}
