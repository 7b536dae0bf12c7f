//! Which `state_dir`, and what is to be said where it cannot be read.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ioprofiler::collect::state::Found;

use crate::flags::state_dir;
use crate::options::Wrong;

/// What a `state_dir` has, any of it.
const PARTS: [&str; 6] = ["live", "process", "kept", "series", "flags", "events.jsonl"];

/// A `state_dir` that is there and may be read.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    /// Files and lines in it that were passed over.
    passed_over: u64,
}

impl Folder {
    /// The one that was named, here or in the environment.
    pub(super) fn of(named: Option<&PathBuf>) -> Result<Self, Wrong> {
        let path = state_dir(named).ok_or_else(|| {
            Wrong::Usage(
                "whose? --state-dir DIR, as the program has it in its option state_dir, or IOPROFILER_STATE_DIR=DIR in the environment"
                    .to_owned(),
            )
        })?;
        let folder = Self {
            path,
            passed_over: 0,
        };
        folder.check()?;
        Ok(folder)
    }

    fn check(&self) -> Result<(), Wrong> {
        let mut entries = std::fs::read_dir(&self.path).map_err(|error| self.wrong(&error))?;
        if PARTS.iter().any(|part| self.path.join(part).exists()) {
            return Ok(());
        }
        let path = self.path.display();
        Err(Wrong::Failed(if entries.next().is_none() {
            format!("{path}: nothing is there yet; no program has run with this state_dir")
        } else {
            format!("{path}: that is no state_dir; no program has run with it")
        }))
    }

    /// What was read there; nothing, where nobody has written any of it yet.
    pub(super) fn read<T>(
        &mut self,
        read: impl FnOnce(&Path) -> IoResult<Found<T>>,
    ) -> Result<Vec<T>, Wrong> {
        match read(&self.path) {
            Ok(found) => {
                self.passed_over += found.passed_over;
                Ok(found.all)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.wrong(&error)),
        }
    }

    /// What was passed over, in a line; empty where nothing was.
    pub(super) fn remark(&self) -> String {
        match self.passed_over {
            0 => String::new(),
            1 => "1 thing there could not be read, and was passed over\n".to_owned(),
            many => format!("{many} things there could not be read, and were passed over\n"),
        }
    }

    pub(super) fn passed_over(&self) -> u64 {
        self.passed_over
    }

    pub(super) fn wrong(&self, error: &Error) -> Wrong {
        let path = self.path.display();
        Wrong::Failed(match error.kind() {
            ErrorKind::NotFound => {
                format!("{path}: there is no such folder; a program makes it when it starts")
            }
            ErrorKind::NotADirectory => format!("{path}: that is no folder"),
            ErrorKind::PermissionDenied => match owner(&self.path) {
                Some(owner) => format!(
                    "{path}: only {owner} may read it, as the program does; sudo -u {owner} ioprofiler …"
                ),
                None => format!("{path}: you may not look there"),
            },
            _ => format!("{path}: {error}"),
        })
    }
}

/// Whose a folder is: a name, or `#33`, as sudo takes it.
pub(super) fn owner(path: &Path) -> Option<String> {
    let uid = std::fs::metadata(path).ok()?.uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let is_it = fields.nth(1)?.parse() == Ok(uid);
        is_it.then(|| name.to_owned())
    });
    Some(name.unwrap_or_else(|| format!("'#{uid}'")))
}
