//! Whom the HTTP client believes: the authorities of the machine, as its administrator set them up,
//! or those of one file.
//!
//! The machine's are read from the file that its distribution keeps, without asking the environment;
//! the places are those that Go looks at.

use super::HttpOptions;
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

const PLACES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// A larger file holds no certificates.
const MAX_FILE: u64 = 16 << 20;

pub(super) fn config(options: &HttpOptions) -> Result<TlsConfig, String> {
    let roots = match &options.ca_file {
        _ if !options.url.starts_with("https:") => Vec::new(),
        Some(file) => read(file)?,
        None => of_the_machine()?,
    };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

fn of_the_machine() -> Result<Vec<Certificate<'static>>, String> {
    let place = PLACES.iter().map(Path::new).find(|place| place.is_file());
    let place = place.ok_or_else(|| {
        "this machine has no list of authorities (on Debian the package ca-certificates); \
         install one, or set ca_file"
            .to_owned()
    })?;
    read(place)
}

/// The certificates of a file, in PEM.
pub(super) fn read(file: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let said = |why: &str| format!("{}: {why}", file.display());
    let content = content(file).map_err(|error| said(&error.to_string()))?;
    let certificates: Vec<_> = parse_pem(&content)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(said("has no certificate in PEM"));
    }
    Ok(certificates)
}

/// A pipe is not waited for.
fn content(file: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(file)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("is no plain file"));
    }
    let mut content = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}
