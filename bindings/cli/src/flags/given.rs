//! The command line of `ioprofiler flags`, after its deed.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::options::{Next, Options, Wrong, text, unknown};

/// What was said.
#[derive(Default)]
pub(super) struct Given {
    pub(super) files: Vec<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) words: Vec<OsString>,
    pub(super) against: Vec<PathBuf>,
    pub(super) users_file: Option<PathBuf>,
    pub(super) reason: Option<String>,
    pub(super) by: Option<String>,
    pub(super) user: Option<String>,
    pub(super) visitor: Option<String>,
    pub(super) request: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) dry_run: bool,
    pub(super) json: bool,
    pub(super) markdown: bool,
    pub(super) deny_warnings: bool,
}

impl Given {
    /// Takes the rest of the line; `allowed` are the options that the deed has.
    pub(super) fn parse(options: &mut Options, allowed: &[&str]) -> Result<Self, Wrong> {
        let mut given = Self::default();
        while let Some(next) = options.next()? {
            match next {
                Next::Word(word) => given.words.push(word),
                Next::Option(name) if allowed.contains(&name.as_str()) => {
                    given.option(&name, options)?;
                }
                other @ Next::Option(_) => return Err(unknown(other, &allowed.join(", "))),
            }
        }
        Ok(given)
    }

    fn option(&mut self, name: &str, options: &mut Options) -> Result<(), Wrong> {
        match name {
            "--file" => self.files.push(options.value()?.into()),
            "--state-dir" => self.state_dir = Some(options.value()?.into()),
            "--against" => self.against.push(options.value()?.into()),
            "--users" => self.users_file = Some(options.value()?.into()),
            "--reason" => self.reason = Some(options.text(name)?),
            "--by" => self.by = Some(options.text(name)?),
            "--user" => self.user = Some(options.text(name)?),
            "--visitor" => self.visitor = Some(options.text(name)?),
            "--request" => self.request = Some(options.text(name)?),
            "--group" => self.groups.push(options.text(name)?),
            "--attr" => {
                let pair = options.text(name)?;
                let (key, value) = pair.split_once('=').ok_or_else(|| {
                    Wrong::Usage(format!("--attr {pair:?}; write it as in --attr country=de"))
                })?;
                self.attributes.push((key.to_owned(), value.to_owned()));
            }
            "--deny" => match options.text(name)?.as_str() {
                "warnings" => self.deny_warnings = true,
                other => {
                    return Err(Wrong::Usage(format!(
                        "--deny {other:?}; allowed: --deny warnings"
                    )));
                }
            },
            "--dry-run" => self.dry_run = true,
            "--json" => self.json = true,
            _ => self.markdown = true,
        }
        Ok(())
    }

    /// The next word, which must be text.
    pub(super) fn word(&mut self, what: &str) -> Result<String, Wrong> {
        if self.words.is_empty() {
            return Err(Wrong::Usage(format!("{what} is missing")));
        }
        text(what, self.words.remove(0))
    }

    /// That nothing is left on the line.
    pub(super) fn no_more_words(&self) -> Result<(), Wrong> {
        match self.words.first() {
            None => Ok(()),
            Some(word) => Err(Wrong::Usage(format!("{word:?} is one word too many"))),
        }
    }

    /// The files that are named, as words or by `--file`.
    pub(super) fn named_files(&mut self) -> Vec<PathBuf> {
        let mut files = std::mem::take(&mut self.files);
        files.extend(
            std::mem::take(&mut self.words)
                .into_iter()
                .map(PathBuf::from),
        );
        files
    }
}
