//! Which files, and what they say now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ioprofiler::flags::FlagSpec;
use ioprofiler::flags::file::{Content, Layer, Problem, Reading, advise, read, renumbered};
use ioprofiler::flags::source::{content_of, known_files};

use crate::options::Wrong;
use crate::time;

/// Names files where none are given, divided by `:`.
const FILES: &str = "IOPROFILER_FLAGS";
/// Names a program's `state_dir` where none is given.
const STATE_DIR: &str = "IOPROFILER_STATE_DIR";

/// The files of one set of flags, lowest layer first.
#[derive(Clone)]
pub(super) struct Files {
    pub(super) paths: Vec<PathBuf>,
    /// As it has to be said to mean the same files.
    pub(super) said: String,
}

impl Files {
    /// Those that were named, by one of the ways there are.
    pub(super) fn of(named: &[PathBuf], state_dir: Option<&PathBuf>) -> Result<Self, Wrong> {
        if !named.is_empty() {
            let said = named
                .iter()
                .map(|path| format!(" --file {}", quoted(&path.display().to_string())));
            return Ok(Self {
                paths: named.to_vec(),
                said: said.collect(),
            });
        }
        if let Some(folder) = state_dir {
            let said = format!(" --state-dir {}", quoted(&folder.display().to_string()));
            return Self::known(folder, said);
        }
        if let Some(list) = std::env::var_os(FILES).filter(|list| !list.is_empty()) {
            return Ok(Self {
                paths: std::env::split_paths(&list).collect(),
                said: String::new(),
            });
        }
        if let Some(folder) = self::state_dir(None) {
            return Self::known(&folder, String::new());
        }
        Err(Wrong::Usage(format!(
            "which files? --file FILE for each, lowest layer first; or --state-dir DIR of the program; or set {FILES} or {STATE_DIR}"
        )))
    }

    fn known(folder: &Path, said: String) -> Result<Self, Wrong> {
        let paths = known_files(folder).map_err(|error| {
            Wrong::Failed(format!(
                "{}: {error}; no program with this state_dir has read flags yet",
                folder.display()
            ))
        })?;
        Ok(Self { paths, said })
    }

    /// What they say now.
    pub(super) fn load(&self) -> Loaded {
        let layers = self
            .paths
            .iter()
            .enumerate()
            .map(|(at, path)| Layer {
                path: path.clone(),
                content: content_of(path, at == 0),
            })
            .collect();
        Loaded::of(layers)
    }
}

/// The folder that was named, here or in the environment.
pub(crate) fn state_dir(named: Option<&PathBuf>) -> Option<PathBuf> {
    let set = || std::env::var_os(STATE_DIR).filter(|folder| !folder.is_empty());
    named.cloned().or_else(|| set().map(PathBuf::from))
}

/// Files, read.
pub(super) struct Loaded {
    pub(super) layers: Vec<Layer>,
    pub(super) reading: Reading,
}

impl Loaded {
    pub(super) fn of(layers: Vec<Layer>) -> Self {
        let reading = read(&layers, None);
        Self { layers, reading }
    }

    /// The same, with other words in the last file.
    pub(super) fn with_last(&self, text: &str) -> Self {
        let mut layers = self.layers.clone();
        if let Some(last) = layers.last_mut() {
            last.content = Content::Text(text.into());
        }
        Self::of(layers)
    }

    pub(super) fn flags(&self) -> &[FlagSpec] {
        &self.reading.document.flags
    }

    pub(super) fn flag(&self, name: &str) -> Option<&FlagSpec> {
        self.flags().iter().find(|flag| flag.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.flags().iter().map(|flag| flag.name.as_str())
    }

    /// What is wrong, and what is probably not meant, file by file and line by line; beside an
    /// older state, also what became of its numbers.
    pub(super) fn problems(&self, before: Option<&Self>) -> Vec<Problem> {
        let named: Vec<(PathBuf, Arc<str>)> = self
            .layers
            .iter()
            .zip(&self.reading.layers)
            .map(|(layer, text)| (layer.path.clone(), text.clone().unwrap_or_default()))
            .collect();
        let mut problems = self.reading.problems.clone();
        let document = &self.reading.document;
        problems.extend(advise(document, &named, &time::today()));
        if let Some(before) = before {
            problems.extend(renumbered(document, &named, &before.reading.document));
        }
        let place = |problem: &Problem| {
            let mut layers = self.layers.iter();
            let file = layers.position(|layer| layer.path == problem.file);
            (file, problem.line, problem.column)
        };
        problems.sort_by_key(place);
        problems
    }

    /// A line of a file, from 1.
    pub(super) fn line(&self, file: u32, line: u32) -> Option<&str> {
        let text = self.reading.layers.get(file as usize)?.as_deref()?;
        text.lines().nth((line as usize).checked_sub(1)?)
    }

    /// A file that cannot be read as it is: programs go by its last good content, if there was one.
    pub(super) fn wrong_file(&self) -> Option<&Path> {
        let at = self.reading.kept_layers.first()?;
        Some(&self.layers.get(*at)?.path)
    }

    /// Whether a layer cannot be read as it is.
    pub(super) fn is_broken(&self, layer: usize) -> bool {
        self.reading.kept_layers.contains(&layer)
    }
}

/// A word as a shell takes it for one.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,=+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
