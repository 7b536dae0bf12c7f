//! The record that a flag was evaluated in a request.

use super::decision::{Packed, Reason, State};
use super::names;
use super::snapshot::Snapshot;

/// A flag that was asked for in a request, and what it was.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// The flag's name.
    pub flag: &'static str,
    /// The flag's number in the log, where the file gives one.
    pub id: Option<u32>,
    /// On, off or dark. A flag that is not found or broken is off here, whatever the caller's
    /// default said.
    pub state: State,
    /// The variant.
    pub variant: &'static str,
    /// The variant's number in the log: what the file gives, else 1 for `on` and 0 for `off`.
    /// `None` for others, and where it is dark (logs write `d`).
    pub number: Option<u32>,
    /// Why.
    pub reason: Reason,
    /// The group that decided, where one did.
    pub group: Option<&'static str>,
    /// How often it was asked for.
    pub count: u32,
    /// It was decided again since, by newer flags.
    pub past: bool,
    /// It was asked about somebody else than the request's own user and visitor.
    pub other: bool,
}

impl Exposure {
    pub(crate) fn of(
        snapshot: &Snapshot,
        decided: Packed,
        count: u32,
        past: bool,
        other: bool,
    ) -> Self {
        let (id, number) = snapshot.logged(decided);
        let reason = decided.reason();
        Self {
            flag: names::flag_name(decided.flag()),
            id,
            state: decided.state(),
            variant: decided.variant().text(),
            number,
            reason,
            group: (reason == Reason::Group).then(|| decided.group().text()),
            count,
            past,
            other,
        }
    }

    /// The reason as it is shown: `percent`, `group:staff`.
    #[must_use]
    pub fn reason_text(&self) -> String {
        match self.group {
            Some(group) => format!("{}:{group}", self.reason.as_str()),
            None => self.reason.as_str().to_owned(),
        }
    }
}

/// The flags that a profile ran under.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagsData {
    /// The snapshot's version, 16 hex digits.
    pub version: String,
    /// How long before this profile the source was last looked at; where nobody looks, how long
    /// before it the flags were set. Nanoseconds.
    pub age_ns: u64,
    /// Flags of this priority and higher numbers are shed.
    pub shed_from: Option<u8>,
    /// What was asked for, in the order of first questions; what was asked about others at last.
    pub exposures: Vec<Exposure>,
}

impl FlagsData {
    /// The first four digits of the version: what people say.
    #[must_use]
    pub fn short_version(&self) -> &str {
        self.version.get(..4).unwrap_or(&self.version)
    }
}
