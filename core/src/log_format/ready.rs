//! The notes of a line: what the application set under a name, else what is ready made.

use super::directive::{Writing, push_padded};
use super::escape::{escape_item, escape_note};
use crate::category::Kind;
use crate::flags::{Exposure, State};
use crate::notes::NoteValue;
use crate::profile::ProfileData;
use std::io::Write as _;

/// A name in `%{…}n`, looked up once.
#[derive(Clone, Debug)]
pub(super) struct NoteName {
    name: String,
    ready: Option<Ready>,
}

#[derive(Clone, Debug)]
enum Ready {
    AbIds,
    AbVariants,
    AbReasons,
    Flags,
    FlagsVersion,
    Shed,
    UserId,
    Visitor,
    RequestId,
    TraceId,
    Host,
    Route,
    Build,
    AppTime,
    Calls,
    Errors,
    IoWall,
    IoSum,
    OtherTime,
    ResidentMemory,
    CategoryCalls(String),
    CategoryTime(String),
}

impl NoteName {
    pub(super) fn new(name: String) -> Self {
        let ready = match name.as_str() {
            "ab_ids" => Some(Ready::AbIds),
            "ab_variants" => Some(Ready::AbVariants),
            "ab_reasons" => Some(Ready::AbReasons),
            "flags" => Some(Ready::Flags),
            "flags_version" => Some(Ready::FlagsVersion),
            "shed" => Some(Ready::Shed),
            "user_id" => Some(Ready::UserId),
            "visitor" => Some(Ready::Visitor),
            "request_id" => Some(Ready::RequestId),
            "trace_id" => Some(Ready::TraceId),
            "host" => Some(Ready::Host),
            "route" => Some(Ready::Route),
            "build" => Some(Ready::Build),
            "app_us" => Some(Ready::AppTime),
            "calls" => Some(Ready::Calls),
            "errors" => Some(Ready::Errors),
            "io_us" => Some(Ready::IoWall),
            "io_sum_us" => Some(Ready::IoSum),
            "other_us" => Some(Ready::OtherTime),
            "rss" => Some(Ready::ResidentMemory),
            other => Self::of_category(other),
        };
        Self { name, ready }
    }

    fn of_category(name: &str) -> Option<Ready> {
        let (category, what) = name.rsplit_once('.')?;
        match what {
            "calls" => Some(Ready::CategoryCalls(category.to_owned())),
            "us" => Some(Ready::CategoryTime(category.to_owned())),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.name
    }

    pub(super) fn needs_calls(&self) -> bool {
        matches!(
            self.ready,
            Some(
                Ready::Calls
                    | Ready::Errors
                    | Ready::IoWall
                    | Ready::IoSum
                    | Ready::OtherTime
                    | Ready::CategoryCalls(_)
                    | Ready::CategoryTime(_)
            )
        )
    }

    pub(super) fn write(&self, writing: &Writing<'_>, line: &mut Vec<u8>) {
        let set = writing
            .data
            .notes
            .iter()
            .find(|note| note.name == self.name);
        match (set, &self.ready) {
            (Some(note), _) => write_value(&note.value, writing, line),
            (None, Some(ready)) => ready.write(writing, line),
            (None, None) => line.push(b'-'),
        }
    }
}

fn write_value(value: &NoteValue, writing: &Writing<'_>, line: &mut Vec<u8>) {
    match value {
        NoteValue::Text(text) => escape_note(writing.cut(text).as_bytes(), line),
        NoteValue::Integer(number) => {
            if *number < 0 {
                line.push(b'-');
            }
            push_padded(number.unsigned_abs(), 1, line);
        }
        NoteValue::Large(number) => push_padded(*number, 1, line),
        NoteValue::Float(number) if !number.is_finite() => line.push(b'-'),
        // Writing to memory cannot fail; a number's digits, `.` and `-` need no escape.
        NoteValue::Float(number) => drop(write!(line, "{number}")),
        NoteValue::Bool(true) => line.extend_from_slice(b"true"),
        NoteValue::Bool(false) => line.extend_from_slice(b"false"),
    }
}

impl Ready {
    fn write(&self, writing: &Writing<'_>, line: &mut Vec<u8>) {
        let data = writing.data;
        let facts = &data.facts;
        let text = |text: Option<&str>, line: &mut Vec<u8>| {
            escape_note(writing.cut(text.unwrap_or("")).as_bytes(), line);
        };
        let number = |number: u64, line: &mut Vec<u8>| push_padded(number, 1, line);
        // What counts calls is absent where calls were not recorded, not 0.
        let counted = |count: u64, line: &mut Vec<u8>| {
            if data.recorded {
                number(count, line);
            } else {
                line.push(b'-');
            }
        };
        let total = |category: &str| data.totals.iter().find(|total| total.category == category);
        match self {
            Self::AbIds => join(&numbered(data), line, |exposure, line| {
                number(exposure.id.unwrap_or(0).into(), line);
            }),
            Self::AbVariants => join(&numbered(data), line, |exposure, line| {
                match (exposure.state, exposure.number) {
                    (State::Dark, _) => line.push(b'd'),
                    (_, Some(variant)) => number(variant.into(), line),
                    (_, None) => line.push(b'-'),
                }
            }),
            Self::AbReasons => join(&numbered(data), line, |exposure, line| {
                let letter = exposure.reason.letter();
                line.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
            }),
            Self::Flags => join(&exposures(data), line, |exposure, line| {
                escape_item(exposure.flag.as_bytes(), line);
                line.push(b':');
                escape_item(exposure.variant.as_bytes(), line);
            }),
            Self::FlagsVersion => {
                text(
                    data.flags.as_ref().map(|flags| flags.version.as_str()),
                    line,
                );
            }
            Self::Shed => match data.flags.as_ref().and_then(|flags| flags.shed_from) {
                Some(priority) => number(priority.into(), line),
                None => line.push(b'-'),
            },
            Self::UserId => text(facts.user.as_deref(), line),
            Self::Visitor => text(facts.visitor.as_deref(), line),
            Self::RequestId => text(Some(&data.id), line),
            Self::TraceId => text(facts.trace().map(|trace| trace.trace_id), line),
            Self::Host => text(Some(&data.host), line),
            Self::Route => text(facts.route.as_deref().or(Some("unknown")), line),
            Self::Build => text(data.build.as_deref(), line),
            Self::AppTime => number(data.app_ns / 1_000, line),
            Self::Calls => counted(sum(data, |total| total.calls), line),
            Self::Errors => counted(sum(data, |total| total.errors), line),
            Self::IoWall => counted(writing.table().io_wall_ns / 1_000, line),
            Self::IoSum => counted(io_sum_ns(data) / 1_000, line),
            Self::OtherTime => counted(writing.table().other_ns / 1_000, line),
            Self::ResidentMemory => match crate::memory::resident() {
                Some(bytes) => number(bytes, line),
                None => line.push(b'-'),
            },
            Self::CategoryCalls(name) => {
                counted(total(name).map_or(0, |total| total.calls), line);
            }
            Self::CategoryTime(name) => {
                counted(total(name).map_or(0, |total| total.time_ns / 1_000), line);
            }
        }
    }
}

fn sum(data: &ProfileData, of: impl Fn(&crate::profile::CategoryTotal) -> u64) -> u64 {
    data.totals.iter().map(of).fold(0, u64::saturating_add)
}

/// The time of all calls that are I/O, as if none had run beside another.
pub(super) fn io_sum_ns(data: &ProfileData) -> u64 {
    let leaves = data.totals.iter().filter(|total| total.kind == Kind::Leaf);
    leaves
        .map(|total| total.time_ns)
        .fold(0, u64::saturating_add)
}

/// The flags that hold for this request: not what newer flags have decided anew, nor what was asked
/// about somebody else.
fn exposures(data: &ProfileData) -> Vec<&Exposure> {
    let all = data.flags.iter().flat_map(|flags| &flags.exposures);
    all.filter(|exposure| !exposure.past && !exposure.other)
        .collect()
}

/// Those of them that have a number, in its order.
fn numbered(data: &ProfileData) -> Vec<&Exposure> {
    let mut exposures = exposures(data);
    exposures.retain(|exposure| exposure.id.is_some());
    exposures.sort_by_key(|exposure| exposure.id);
    exposures
}

/// `a;b;c`, or `-` for none.
fn join(exposures: &[&Exposure], line: &mut Vec<u8>, write: impl Fn(&Exposure, &mut Vec<u8>)) {
    if exposures.is_empty() {
        line.push(b'-');
    }
    for (place, exposure) in exposures.iter().enumerate() {
        if place > 0 {
            line.push(b';');
        }
        write(exposure, line);
    }
}
