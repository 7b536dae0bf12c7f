//! Real servers for tests: Apache, nginx, PHP-FPM, MariaDB, PostgreSQL, memcached, Redis, Prometheus,
//! each in a folder of its own on a port of its own, stopped when it is dropped.
//!
//! Where one is not installed a test that needs it is skipped, saying so; with
//! `IOPROFILER_TEST_SERVERS=required` in the environment it fails instead.

use crate::python;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A server takes no longer than this to start, on a slow machine under load.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who logs in.
const USER: &str = "shop";
/// With what. Not a secret: it guards made-up goods for as long as a test runs.
const PASSWORD: &str = "in love with clay";

/// A running server.
#[derive(Debug)]
pub struct Server {
    process: Child,
    /// What tells it to stop soon and cleanly.
    stop: &'static str,
    port: u16,
    _folder: Folder,
}

impl Server {
    /// The port it listens on, at 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A path in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self._folder.path(name)
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, scheme: &str, database: &str) -> String {
        let password = PASSWORD.replace(' ', "%20");
        format!("{scheme}://{USER}:{password}@{}/{database}", self.address())
    }
}

impl Server {
    /// Stops it; what it left in its folder is still there.
    #[must_use]
    pub fn end(mut self) -> Folder {
        std::mem::replace(&mut self._folder, Folder(PathBuf::new()))
    }

    /// Kills it: it has no time for anything more.
    #[must_use]
    pub fn kill(mut self) -> Folder {
        drop(self.process.kill());
        self.end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let number = self.process.id().to_string();
        drop(Command::new("kill").args([self.stop, &number]).status());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// MariaDB with these databases; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn mariadb(databases: &[&str]) -> Option<Server> {
    let server = program("mariadbd")?;
    let install = program("mariadb-install-db")?;
    let folder = Folder::new("mariadb");
    let data = folder.path("data");
    let as_root = is_root().then_some("--user=root");
    run(Command::new(install)
        .args([
            "--no-defaults",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ])
        .arg(format!("--datadir={}", data.display()))
        .args(as_root));
    let mut script = format!("CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n");
    for database in databases {
        script.push_str(&format!(
            "CREATE DATABASE {database} CHARACTER SET utf8mb4;\n"
        ));
        script.push_str(&format!("GRANT ALL ON {database}.* TO '{USER}'@'%';\n"));
    }
    // What `mysql_install_db` makes for nobody would match before our user does.
    script.push_str("DELETE FROM mysql.global_priv WHERE User = '';\nFLUSH PRIVILEGES;\n");
    let first = folder.file("first.sql", &script);
    start(folder, "-TERM", |folder, port| {
        let mut command = dies_with_us(&server, None);
        command
            .args([
                "--no-defaults",
                "--bind-address=127.0.0.1",
                "--skip-name-resolve",
            ])
            .args([
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=32M",
            ])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={}", folder.path("socket").display()))
            .arg(format!("--pid-file={}", folder.path("pid").display()))
            .arg(format!("--init-file={}", first.display()))
            .arg(format!("--port={port}"))
            .args(as_root);
        command
    })
}

/// PostgreSQL with these databases; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn postgresql(databases: &[&str]) -> Option<Server> {
    let (initdb, server, createdb) = (
        program("initdb")?,
        program("postgres")?,
        program("createdb")?,
    );
    let folder = Folder::new("postgresql");
    let data = folder.path("data");
    let password = folder.file("password", PASSWORD);
    // It refuses to run as root.
    let user = is_root().then_some("postgres");
    if let Some(user) = user {
        run(Command::new("chown").arg("-R").arg(user).arg(&folder.0));
    }
    run(dies_with_us(&initdb, user)
        .args([
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ])
        .args(["--username", USER, "--pgdata"])
        .arg(&data)
        .arg("--pwfile")
        .arg(&password));
    let server = start(folder, "-INT", |_, port| {
        let mut command = dies_with_us(&server, user);
        command.arg("-D").arg(&data).args(["-p", &port.to_string()]);
        command.args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ]);
        command.args(["-c", "fsync=off"]);
        command
    })?;
    for database in databases {
        let port = server.port().to_string();
        let create = || {
            let mut command = Command::new(&createdb);
            command.args(["-h", "127.0.0.1", "-U", USER, "-p", &port, database]);
            command.env("PGPASSWORD", PASSWORD).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        // It listens before it serves.
        wait("createdb", create);
    }
    Some(server)
}

/// memcached; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn memcached() -> Option<Server> {
    let server = program("memcached")?;
    start(Folder::new("memcached"), "-TERM", |_, port| {
        let mut command = dies_with_us(&server, None);
        command.args([
            "-l",
            "127.0.0.1",
            "-U",
            "0",
            "-m",
            "64",
            "-p",
            &port.to_string(),
        ]);
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        command
    })
}

/// Redis; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn redis() -> Option<Server> {
    let server = program("redis-server")?;
    start(Folder::new("redis"), "-TERM", |folder, port| {
        let mut command = dies_with_us(&server, None);
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        command.arg("--port").arg(port.to_string());
        command.arg("--dir").arg(&folder.0);
        command
    })
}

/// Apache with these modules (`headers`, `proxy`; an MPM and what guards files are always there) and
/// this configuration, which is told Apache's folder and port; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn apache(modules: &[&str], configuration: impl Fn(&Folder, u16) -> String) -> Option<Server> {
    let server = program("apache2")?;
    let folder = Folder::new("apache");
    let has_mpm = modules.iter().any(|module| module.starts_with("mpm_"));
    let mpm = (!has_mpm).then_some("mpm_event");
    let modules: String = mpm
        .into_iter()
        .chain(["authz_core"])
        .chain(modules.iter().copied())
        .map(|name| format!("LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n"))
        .collect();
    let user = if is_root() {
        "User www-data\nGroup www-data\n"
    } else {
        ""
    };
    start(folder, "-TERM", |folder, port| {
        let place = folder.0.display();
        let configuration = configuration(folder, port);
        let all = format!(
            "ServerRoot {place}\nPidFile {place}/pid\nErrorLog {place}/error.log\n\
             Mutex file:{place}\nListen 127.0.0.1:{port}\nServerName shop.example:{port}\n\
             {user}{modules}{configuration}"
        );
        let file = folder.file("apache.conf", &all);
        let mut command = dies_with_us(&server, None);
        command.args(["-DFOREGROUND", "-f"]).arg(file);
        command.env("TZ", APACHE_ZONE);
        command
    })
}

/// nginx with this configuration inside its `http { }`, which is told nginx's folder and port; `None`
/// where it is not installed. Relative paths are relative to its folder.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn nginx(configuration: impl Fn(&Folder, u16) -> String) -> Option<Server> {
    let server = program("nginx")?;
    start(Folder::new("nginx"), "-TERM", |folder, port| {
        let place = folder.0.display();
        let user = if is_root() { "user www-data;\n" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {place}/{kind};\n"))
            .collect();
        let configuration = configuration(folder, port);
        let all = format!(
            "daemon off;\npid {place}/pid;\nerror_log {place}/error.log;\n{user}\
             events {{ }}\nhttp {{\n{temporary}{configuration}\n}}\n"
        );
        let file = folder.file("nginx.conf", &all);
        let mut command = dies_with_us(&server, None);
        command.arg("-p").arg(&folder.0).arg("-c").arg(file);
        command.arg("-e").arg(folder.path("error.log"));
        command
    })
}

/// PHP-FPM with three workers and this `php.ini`, which is made for its folder; `None` where it is
/// not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn php_fpm(ini: impl Fn(&Folder) -> String) -> Option<Server> {
    // Debian names it by PHP's version.
    let names = ["php-fpm", "php-fpm8.2", "php-fpm8.4", "php-fpm8.3"];
    let server = match names.iter().find_map(|name| find_program(name)) {
        Some(server) => server,
        None => program("php-fpm")?,
    };
    start(Folder::new("php-fpm"), "-QUIT", |folder, port| {
        let place = folder.0.display();
        let user = if is_root() {
            "user = www-data\ngroup = www-data\n"
        } else {
            ""
        };
        let pool = format!(
            "[global]\nerror_log = {place}/fpm.log\ndaemonize = no\n[shop]\n{user}\
             listen = 127.0.0.1:{port}\npm = static\npm.max_children = 3\n"
        );
        let pool = folder.file("fpm.conf", &pool);
        let ini = folder.file("php.ini", &ini(folder));
        let mut command = dies_with_us(&server, None);
        command.arg("-F").arg("-c").arg(ini).arg("-y").arg(pool);
        command
    })
}

/// Prometheus with this configuration, which is made for its folder; `None` where it is not installed.
///
/// # Panics
/// When it is installed and does not start.
#[must_use]
pub fn prometheus(configuration: impl Fn(&Folder) -> String) -> Option<Server> {
    let server = program("prometheus")?;
    start(Folder::new("prometheus"), "-TERM", |folder, port| {
        let file = folder.file("prometheus.yml", &configuration(folder));
        let mut command = dies_with_us(&server, None);
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn");
        command
    })
}

/// A collector that takes only what OpenTelemetry's own definitions allow; `None` where Python has not
/// got them. It writes what it took to `taken` in its folder, a line of JSON each. `more` are further
/// arguments of `tests/otlp/collector.py`.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn collector(more: &[&str]) -> Option<Server> {
    let python = python::with("otlp", &["opentelemetry-proto==1.45.0", "protobuf==7.36.2"])?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/otlp/collector.py");
    start(Folder::new("collector"), "-TERM", |folder, port| {
        let mut command = dies_with_us(&python, None);
        command.arg(script).arg(port.to_string());
        command.arg(folder.file("taken", "")).args(more);
        command
    })
}

/// graphite-web with an empty database; `None` where it is not to be had from PyPI.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn graphite_web() -> Option<Server> {
    let python = python::with("graphite", &["graphite-web==1.1.10", "setuptools<81"])?;
    python::has(&python, "graphite", "cairocffi")?;
    let folder = Folder::new("graphite-web");
    let place = folder.0.display();
    let _ = folder.file(
        "graphite_settings.py",
        &format!(
            "from graphite.settings import *\n\
             SECRET_KEY = 'of a test'\nSTORAGE_DIR = '{place}'\nLOG_DIR = '{place}'\n\
             WHISPER_DIR = '{place}'\nINDEX_FILE = '{place}/index'\n\
             DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3',\n\
             'NAME': '{place}/db'}}}}\n"
        ),
    );
    let django = |folder: &Folder, command: &mut Command| {
        command.arg("-m").arg("django");
        command.env("DJANGO_SETTINGS_MODULE", "graphite_settings");
        command.env("PYTHONPATH", &folder.0);
    };
    let mut migrate = Command::new(&python);
    django(&folder, &mut migrate);
    run(migrate.args(["migrate", "--run-syncdb", "--verbosity", "0"]));
    start(folder, "-TERM", |folder, port| {
        let mut command = dies_with_us(&python, None);
        django(folder, &mut command);
        let address = format!("127.0.0.1:{port}");
        command.args(["runserver", "--noreload", &address]);
        command
    })
}

/// The time zone of its log: one whose offset is no whole number of hours.
pub const APACHE_ZONE: &str = "America/St_Johns";
/// Where Debian has them.
const APACHE_MODULES: &str = "/usr/lib/apache2/modules";

/// Starts a server on a free port and waits until it listens.
pub(crate) fn start(
    folder: Folder,
    stop: &'static str,
    command: impl Fn(&Folder, u16) -> Command,
) -> Option<Server> {
    let mut folder = folder;
    // Nobody keeps a free port free: another process may be faster.
    for _ in 0..3 {
        match start_on(folder, free_port(), stop, &command) {
            Ok(server) => return Some(server),
            Err(back) => folder = back,
        }
    }
    let log = std::fs::read_to_string(folder.path("log")).unwrap_or_default();
    panic!("a server does not start:\n{log}");
}

/// Starts a server on this port and waits until it listens. Gives the folder back where it does not.
pub(crate) fn start_on(
    folder: Folder,
    port: u16,
    stop: &'static str,
    command: impl Fn(&Folder, u16) -> Command,
) -> Result<Server, Folder> {
    let log = folder.path("log");
    let log = std::fs::File::options().create(true).append(true).open(log);
    let Ok((log, errors)) = log.and_then(|log| Ok((log.try_clone()?, log))) else {
        return Err(folder);
    };
    let mut command = command(&folder, port);
    let started = command
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Apache ends its whole group, which is not to be ours.
        .process_group(0)
        .spawn();
    let Ok(process) = started else {
        return Err(folder);
    };
    let mut server = Server {
        process,
        stop,
        port,
        _folder: folder,
    };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline && matches!(server.process.try_wait(), Ok(None)) {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(server);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(server.end())
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what} does not succeed");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port that nobody listens on.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address
        .unwrap_or_else(|error| panic!("no free port: {error}"))
        .port()
}

/// A program, as another user if named, that is ended by the system if this thread ends without
/// having done so.
pub(crate) fn dies_with_us(program: &Path, user: Option<&str>) -> Command {
    let Some(setpriv) = find_program("setpriv") else {
        return Command::new(program);
    };
    let mut command = Command::new(setpriv);
    if let Some(user) = user {
        command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "INT", "--"]).arg(program);
    command
}

pub(crate) fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
}

/// A server's program. Not finding it skips the test, unless servers are required.
///
/// # Panics
/// When it is required and not there.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let found = find_program(name);
    assert!(
        found.is_some() || !is_required(),
        "{name} is not installed, and IOPROFILER_TEST_SERVERS=required"
    );
    found
}

fn is_required() -> bool {
    std::env::var_os("IOPROFILER_TEST_SERVERS").is_some_and(|value| value == "required")
}

/// A Python that has this module: that of the path, or the system's own, which has Debian's packages.
/// Not finding one skips the test, unless servers are required.
///
/// # Panics
/// When it is required and not there.
#[must_use]
pub fn python_with(module: &str) -> Option<PathBuf> {
    let has_it = |python: &PathBuf| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {module}")]);
        let output = command.stdin(Stdio::null()).output();
        output.is_ok_and(|output| output.status.success())
    };
    let pythons = [
        find_program("python3"),
        Some(PathBuf::from("/usr/bin/python3")),
    ];
    let found = pythons.into_iter().flatten().find(has_it);
    assert!(
        found.is_some() || !is_required(),
        "no Python has {module}, and IOPROFILER_TEST_SERVERS=required"
    );
    found
}

/// What a program says that is given this on its standard input, and whether it ended well.
///
/// # Panics
/// When it cannot be run.
#[must_use]
pub fn says(command: &mut Command, input: &str) -> (bool, String) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || {
        // A program that has seen enough closes its end.
        stdin
            .as_mut()
            .map(|stdin| stdin.write_all(input.as_bytes()))
    });
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    drop(writer.join());
    let said = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    // Debian keeps PostgreSQL's programs apart, by version.
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .collect();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether servers have to be told to become somebody else.
#[must_use]
pub fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A temporary folder, removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new one.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("ioprofiler-test-{name}-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        Self(folder)
    }

    /// A path in it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A new file in it.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.0.as_os_str().is_empty() {
            drop(std::fs::remove_dir_all(&self.0));
        }
    }
}
