//! The `ioprofiler` command, built if it was not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder in which it is.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "ioprofiler-cli"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "the command does not build"
        );
        // target/PROFILE/deps/TEST-…
        let test = std::env::current_exe().unwrap_or_default();
        let target = test.ancestors().nth(3).unwrap_or(Path::new("target"));
        target.join("debug")
    })
}

/// Its program.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn program() -> PathBuf {
    folder().join("ioprofiler")
}
