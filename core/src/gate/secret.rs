//! The file that holds the operator's secret.
//!
//! Any file of at least 32 bytes, at most 4 KiB; one final newline does not count, so that
//! `openssl rand -base64 33 > gate.secret` and raw bytes both do. Two live secrets are two files:
//! the newer first.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::GateError;
use super::token::MIN_SECRET;

/// Largest secret file, in bytes.
const MAX_SECRET: u64 = 4096;

/// A secret as it was read from its file.
#[derive(Clone)]
pub struct SecretFile {
    secret: Vec<u8>,
    warning: Option<String>,
}

impl std::fmt::Debug for SecretFile {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretFile")
            .field("warning", &self.warning)
            .finish_non_exhaustive()
    }
}

impl SecretFile {
    /// Reads a secret file. For construction time, not for a page's thread.
    ///
    /// # Errors
    /// When it cannot be read, is no plain file, or is too short or too long.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, GateError> {
        let path = path.as_ref();
        let name = path.display();
        let fails = |why: String| GateError::new(format!("secret file {name}: {why}"));
        // Not blocking: opening a pipe that nobody writes to would wait for ever.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open(path)
            .map_err(|error| fails(error.to_string()))?;
        let about = file.metadata().map_err(|error| fails(error.to_string()))?;
        if !about.is_file() {
            return Err(fails("is no plain file".to_owned()));
        }
        let mut secret = read_capped(file).map_err(|error| fails(error.to_string()))?;
        if secret.len() as u64 > MAX_SECRET {
            return Err(fails(format!(
                "longer than {MAX_SECRET} bytes; is it the right file?"
            )));
        }
        if secret.last() == Some(&b'\n') {
            secret.pop();
            if secret.last() == Some(&b'\r') {
                secret.pop();
            }
        }
        if secret.len() < MIN_SECRET {
            let length = secret.len();
            return Err(fails(format!(
                "{length} bytes; allowed: {MIN_SECRET} at least. To make one: \
                 (umask 077; openssl rand -base64 33 > {name})"
            )));
        }
        let warning = (about.mode() & 0o007 != 0).then(|| {
            format!("secret file {name}: every user of this machine can use it; chmod o= {name}")
        });
        Ok(Self { secret, warning })
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// What is wrong with the file, though it can be used: others may read it.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }
}

impl AsRef<[u8]> for SecretFile {
    fn as_ref(&self) -> &[u8] {
        &self.secret
    }
}

fn read_capped(file: File) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MAX_SECRET + 1).read_to_end(&mut content)?;
    Ok(content)
}
