//! PHP with our package, as the tests' servers run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::servers::{Folder, is_root, program};

/// What a test's PHP is like.
#[derive(Clone, Debug)]
pub struct Php {
    /// Under the package's folder, `None` for no profiler.
    pub prepend: Option<&'static str>,
    /// Whether the administrator has let PHP have the library.
    pub has_library: bool,
    /// Bytes that PHP holds back itself.
    pub output_buffering: u32,
    /// More of `php.ini`.
    pub further: String,
}

impl Default for Php {
    fn default() -> Self {
        Self {
            prepend: Some("shop/prepend.php"),
            has_library: true,
            output_buffering: 4_096,
            further: String::new(),
        }
    }
}

impl Php {
    /// Puts the package into `folder/php` and says what `php.ini` has to say. Errors are logged
    /// into `folder/php.log`.
    ///
    /// # Panics
    /// When that cannot be done.
    #[must_use]
    pub fn ini(&self, folder: &Folder) -> String {
        let package = folder.path("php");
        copy(&root().join("examples/php"), &package);
        copy(&root().join("tests/php"), &package.join("pages"));
        let log = folder.file("php.log", "");
        if is_root() {
            give(&log);
        }
        // Where the package remembers what it said.
        let temporary = folder.path("temporary");
        fs::create_dir_all(&temporary).expect("a folder");
        if is_root() {
            give(&temporary);
        }
        let mut ini = format!(
            "error_log = {}\nlog_errors = 1\ndisplay_errors = 0\nerror_reporting = E_ALL\n\
             output_buffering = {}\nsys_temp_dir = {}\nopcache.enable = 1\n{}\n",
            log.display(),
            self.output_buffering,
            temporary.display(),
            self.further
        );
        if let Some(prepend) = self.prepend {
            let prepend = package.join(prepend);
            ini.push_str(&format!("auto_prepend_file = {}\n", prepend.display()));
        }
        if self.has_library {
            let header = folder.file("ioprofiler-ffi.h", ffi_header());
            ini.push_str(&format!("ffi.preload = {}\n", header.display()));
            ini.push_str(&format!(
                "opcache.preload = {}\n",
                package.join("preload.php").display()
            ));
            if is_root() {
                ini.push_str("opcache.preload_user = www-data\n");
            }
        }
        ini
    }
}

/// Servers that are started as root work as this user.
fn give(path: &Path) {
    let status = Command::new("chown").arg("www-data").arg(path).status();
    assert!(status.is_ok_and(|status| status.success()));
}

/// Apache's directives that load mod_php with the `php.ini` in its folder, and send every address
/// to `script`; `None` where it is not installed.
///
/// # Panics
/// When `php.ini` cannot be written.
#[must_use]
pub fn apache_directives(folder: &Folder, php: &Php, script: &str) -> Option<String> {
    let module = module()?;
    let place = folder.file("php.ini", &php.ini(folder));
    let place = place
        .parent()
        .map(Path::display)
        .expect("it is in a folder");
    Some(format!(
        "LoadModule php_module {}\nPHPIniDir {place}\nDocumentRoot {place}/php\n\
         <FilesMatch \"\\.php$\">\nSetHandler application/x-httpd-php\n</FilesMatch>\n\
         FallbackResource {script}\n",
        module.display()
    ))
}

/// mod_php, which Debian names by PHP's version.
#[must_use]
pub fn module() -> Option<PathBuf> {
    let folder = fs::read_dir("/usr/lib/apache2/modules").ok()?;
    folder.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("libphp") && name.ends_with(".so")
    })
}

/// The declarations that PHP reads, made as an administrator makes them.
fn ffi_header() -> &'static str {
    static HEADER: OnceLock<String> = OnceLock::new();
    HEADER.get_or_init(|| {
        let php = program("php").expect("who has PHP's servers has php");
        let made = Command::new(php)
            .arg(root().join("examples/php/bin/ioprofiler-ffi-header"))
            .arg(root().join("include/ioprofiler.h"))
            .arg(library())
            .output()
            .expect("php runs");
        assert!(made.status.success(), "{made:?}");
        String::from_utf8(made.stdout).expect("it is text")
    })
}

/// The shared library, built as the tests are.
///
/// # Panics
/// When it does not build.
#[must_use]
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["build", "--package", "ioprofiler-c"])
            .args(["--message-format", "json-render-diagnostics"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|error| panic!("cargo: {error}"));
        assert!(output.status.success(), "the library does not build");
        let text = String::from_utf8_lossy(&output.stdout);
        let files = text.lines().filter_map(|line| {
            let message: serde_json::Value = serde_json::from_str(line).ok()?;
            Some(message.get("filenames")?.as_array()?.clone())
        });
        let found = files
            .flatten()
            .filter_map(|file| Some(PathBuf::from(file.as_str()?)))
            .find(|file| {
                file.extension()
                    .is_some_and(|end| end == "so" || end == "dylib")
                    && file.to_string_lossy().contains("libioprofiler.")
            });
        found.unwrap_or_else(|| panic!("cargo does not say where the library is"))
    })
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A tree as it is now, for servers that cannot read ours.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder can be made");
    for entry in fs::read_dir(from).expect("there is a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}

/// The first block of this kind (`apache`, `nginx`) below a heading of a README.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn shown(readme: &str, heading: &str, kind: &str) -> String {
    let text = fs::read_to_string(root().join(readme)).expect("there is a README");
    let below = text
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("{readme} has no {heading}"))
        .1;
    let block = below
        .split_once(&format!("\n```{kind}\n"))
        .unwrap_or_else(|| panic!("{readme} shows no {kind} below {heading}"))
        .1;
    block.split_once("```").unwrap_or_default().0.to_owned()
}

/// Replaces what a README can only make up, and what has to be there.
///
/// # Panics
/// When it is not there.
#[must_use]
pub fn with(text: &str, made_up: &str, real: &str) -> String {
    assert!(text.contains(made_up), "{made_up} is not in {text}");
    text.replace(made_up, real)
}
