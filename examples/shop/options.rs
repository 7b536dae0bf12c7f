//! What the shop is told: its command line, and which servers the environment names.
//!
//! A wrong option ends the start with a message that names it and says what is allowed.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// Printed for `--help`, and below every complaint.
pub(crate) const USAGE: &str = "\
usage: shop [--port N] [--listen ADDRESS] [--data DIR] [--secret FILE]
            [--flags FILE]... [--without-profiler]

  --port N          port to listen on, 0 for any free  (8080)
  --listen ADDRESS  IP address to listen on            (127.0.0.1)
  --data DIR        where the SQLite shards are kept   (a temporary folder, removed at exit)
  --secret FILE     profiles for holders of a token    (they are shown to everyone)
  --flags FILE      flags, once for each layer          (the shop's own, and emergency.toml in
                                                        --data, if that is given)
  --without-profiler  leaves the layer out, for comparison

environment:

  DBSHARD01_URL, DBSHARD02_URL  mysql:// or postgres://user:password@host:port/database
                                                       (SQLite files)
  MEMCACHED                     host:port              (a cache in this process)";

/// The shop's whole configuration.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) port: u16,
    pub(crate) listen: IpAddr,
    /// `None`: a temporary folder, removed at exit.
    pub(crate) data: Option<PathBuf>,
    /// `None`: the gate is open to everyone.
    pub(crate) secret: Option<PathBuf>,
    /// Files with flags, lowest layer first; none: the shop's own.
    pub(crate) flags: Vec<PathBuf>,
    /// The pages are not observed at all: what does observing cost?
    pub(crate) without_profiler: bool,
    /// `None`: SQLite files in `data`.
    pub(crate) shards: Option<[String; 2]>,
    /// `None`: a cache in this process.
    pub(crate) memcached: Option<String>,
}

/// What the command line asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Serve(Options),
    Help,
}

/// Reads a command line (without the program's name) and the environment.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = String>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Command, String> {
    let mut options = Options {
        port: 8080,
        listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
        data: None,
        secret: None,
        flags: Vec::new(),
        without_profiler: false,
        shards: shards(&environment)?,
        memcached: environment("MEMCACHED").filter(|value| !value.is_empty()),
    };
    if let Some(address) = &options.memcached
        && !has_port(address)
    {
        return Err(format!(
            "MEMCACHED is `{address}`: it takes host:port, like 127.0.0.1:11211"
        ));
    }
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let (name, inline) = match argument.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (argument, None),
        };
        if name == "--help" || name == "-h" {
            return Ok(Command::Help);
        }
        if name == "--without-profiler" && inline.is_none() {
            options.without_profiler = true;
            continue;
        }
        if !["--port", "--listen", "--data", "--secret", "--flags"].contains(&name.as_str()) {
            return Err(format!(
                "unknown option `{name}`: allowed are --port, --listen, --data, --secret, \
                 --flags, --without-profiler and --help"
            ));
        }
        let Some(value) = inline
            .or_else(|| arguments.next())
            .filter(|value| !value.is_empty())
        else {
            return Err(format!("{name} needs a value"));
        };
        match name.as_str() {
            "--port" => {
                options.port = value.parse().map_err(|_| {
                    format!("--port {value}: it takes a number from 0 (any free port) to 65535")
                })?;
            }
            "--listen" => {
                options.listen = value.parse().map_err(|_| {
                    format!("--listen {value}: it takes an IP address, like 127.0.0.1 or 0.0.0.0")
                })?;
            }
            "--data" => options.data = Some(value.into()),
            "--flags" => options.flags.push(value.into()),
            _ => options.secret = Some(value.into()),
        }
    }
    Ok(Command::Serve(options))
}

impl Options {
    /// The files with flags, lowest layer first. The last one is for emergencies.
    pub(crate) fn flag_files(&self) -> Vec<PathBuf> {
        if !self.flags.is_empty() {
            return self.flags.clone();
        }
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/shop/flags.toml");
        let emergency = self.data.as_ref().map(|data| data.join("emergency.toml"));
        std::iter::once(own.into()).chain(emergency).collect()
    }
}

fn shards(environment: impl Fn(&str) -> Option<String>) -> Result<Option<[String; 2]>, String> {
    let read = |name: &str| environment(name).filter(|value| !value.is_empty());
    let urls = match (read("DBSHARD01_URL"), read("DBSHARD02_URL")) {
        (None, None) => return Ok(None),
        (Some(first), Some(second)) => [first, second],
        (Some(_), None) => {
            return Err("DBSHARD02_URL is missing: name both shards, or neither".into());
        }
        (None, Some(_)) => {
            return Err("DBSHARD01_URL is missing: name both shards, or neither".into());
        }
    };
    for (name, url) in ["DBSHARD01_URL", "DBSHARD02_URL"].iter().zip(&urls) {
        let scheme = url.split_once("://").map(|(scheme, _)| scheme);
        if !matches!(scheme, Some("mysql" | "postgres" | "postgresql")) {
            return Err(format!("{name} must begin with mysql:// or postgres://"));
        }
    }
    if urls[0] == urls[1] {
        return Err(
            "DBSHARD01_URL and DBSHARD02_URL name the same database: each shard needs its own"
                .into(),
        );
    }
    Ok(Some(urls))
}

fn has_port(address: &str) -> bool {
    let Some((host, port)) = address.rsplit_once(':') else {
        return false;
    };
    !host.is_empty() && port.parse::<u16>().is_ok()
}
