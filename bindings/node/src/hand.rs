//! Calls that were recorded in JavaScript, handed over.
//!
//! JavaScript keeps a request's calls as [`Record`]s in an `ArrayBuffer`, and their details as
//! strings in an array. Details cross over as one string, joined with NULs: should a detail contain
//! one, the count is off, and JavaScript hands its calls over one by one.

use crate::profile::Held;
use crate::raw::Call;
use ioprofiler_core::category::{self, CategoryId, Dialect};
use ioprofiler_core::handed::{HandOver, HandedSpan, Tick};
use ioprofiler_core::handle::{Site, SpanHandle};
use ioprofiler_core::{Counts, Kind, Outcome};
use napi::bindgen_prelude::{ArrayBuffer, External};
use napi_derive::napi;
use std::sync::{Mutex, PoisonError};

/// One call; `lib/recorder.js` has the same.
#[repr(C)]
struct Record {
    start: f64,
    /// 0 while it is open.
    end: f64,
    /// Category, outcome, flags, and which counts were given.
    about: u32,
    /// The index of the record it happened in, plus one; 0 is none.
    parent: u32,
    /// From [`site`]; 0 is none.
    site: u32,
    /// Once it was handed over, the span's handle. Before, the detail's whole length where it was
    /// cut.
    low: u32,
    high: u32,
    hits: u32,
    misses: u32,
    rows: u32,
    bytes: u32,
    /// JavaScript's own.
    _wording: u32,
}

const _: () = assert!(size_of::<Record>() == 56);

const PART_OF_LEAF: u32 = 1 << 18;
const HAS_TARGET: u32 = 1 << 19;
const CUT: u32 = 1 << 20;
const HITS: u32 = 1 << 24;
const MISSES: u32 = 1 << 25;
const ROWS: u32 = 1 << 26;
const BYTES: u32 = 1 << 27;

impl Record {
    fn has(&self, flag: u32) -> bool {
        self.about & flag != 0
    }

    fn handle(&self) -> SpanHandle {
        SpanHandle::from_bits(u64::from(self.low) | (u64::from(self.high) << 32))
    }

    fn outcome(&self) -> Outcome {
        match (self.about >> 16) & 3 {
            1 => Outcome::Error,
            2 => Outcome::Cancelled,
            _ => Outcome::Ok,
        }
    }

    fn ended(&self) -> Option<(Tick, Outcome)> {
        let tick = Tick::from_bits(self.end as u64);
        (self.end > 0.0).then(|| (tick, self.outcome()))
    }

    fn counts(&self) -> Counts {
        let given = |flag, value| self.has(flag).then_some(value);
        let mut counts = Counts::default();
        counts.hits = given(HITS, self.hits);
        counts.misses = given(MISSES, self.misses);
        counts.rows = given(ROWS, self.rows);
        counts.bytes = given(BYTES, self.bytes);
        counts
    }
}

/// A range of records with their texts.
struct Batch<'a> {
    records: &'a mut [Record],
    from: usize,
    to: usize,
    /// `None` where only their number and times are wanted.
    words: Option<Words<'a>>,
}

/// Details and targets of a range of records, each joined with NULs.
struct Words<'a> {
    details: &'a [u8],
    targets: &'a [u8],
}

/// `details` or `targets` are not as many as they should be.
struct Miscounted;

impl Batch<'_> {
    fn hand(self, desk: &HandOver) -> Result<(), Miscounted> {
        let to = self.to.min(self.records.len());
        let range = self.from.min(to)..to;
        let chosen = self.records.get(range.clone()).unwrap_or_default();
        let (mut details, mut targets) = match self.words {
            Some(words) => {
                let with_target = chosen.iter().filter(|record| record.has(HAS_TARGET));
                let targets = split(words.targets, with_target.count())?;
                (split(words.details, chosen.len())?, targets)
            }
            None => (Texts::None, Texts::None),
        };
        let sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
        for index in range {
            let detail = details.next();
            let Some(record) = self.records.get(index) else {
                break;
            };
            let target = if record.has(HAS_TARGET) {
                targets.next()
            } else {
                &[]
            };
            let mut span = described(record, detail, &sites).target(target);
            if let Some(parent) = parent(self.records, record, index, to) {
                span = if record.has(PART_OF_LEAF) {
                    span.part_of(parent)
                } else {
                    span.parent(parent)
                };
            }
            let bits = desk.append(&span).to_bits();
            if let Some(record) = self.records.get_mut(index) {
                (record.low, record.high) = (bits as u32, (bits >> 32) as u32);
            }
        }
        Ok(())
    }
}

fn described<'a>(record: &Record, detail: &'a [u8], sites: &[Site]) -> HandedSpan<'a> {
    let category = CategoryId::from_number(record.about & 0xffff);
    let start = Tick::from_bits(record.start as u64);
    let mut span = HandedSpan::new(category, detail, start).counts(record.counts());
    if let Some((tick, outcome)) = record.ended() {
        span = span.ended(tick, outcome);
    }
    if record.has(CUT) {
        span = span.cut_from(u64::from(record.low));
    }
    let site = record.site.checked_sub(1).map(|site| site as usize);
    match site.and_then(|site| sites.get(site)) {
        Some(site) => span.site(*site),
        None => span,
    }
}

/// The parent's handle: it began before, and so was handed over before.
fn parent(records: &[Record], record: &Record, index: usize, to: usize) -> Option<SpanHandle> {
    let parent = record.parent.checked_sub(1)? as usize;
    let was_handed = parent < index || parent >= to;
    was_handed.then(|| records.get(parent).map(Record::handle))?
}

/// The parts of a joined string.
enum Texts<'a> {
    None,
    /// One, which may contain anything.
    One(&'a [u8]),
    Many(std::slice::Split<'a, u8, fn(&u8) -> bool>),
}

fn split(joined: &[u8], count: usize) -> Result<Texts<'_>, Miscounted> {
    match count {
        0 => Ok(Texts::None),
        1 => Ok(Texts::One(joined)),
        _ if joined.iter().filter(|&&byte| byte == 0).count() + 1 != count => Err(Miscounted),
        _ => Ok(Texts::Many(joined.split(|&byte| byte == 0))),
    }
}

impl<'a> Texts<'a> {
    fn next(&mut self) -> &'a [u8] {
        match self {
            Self::None => &[],
            Self::One(text) => std::mem::take(text),
            Self::Many(texts) => texts.next().unwrap_or_default(),
        }
    }
}

/// `hand(low, high, records, from, to, details, targets)`: hands over calls of an open request.
/// Answers 1, and does nothing, where texts are not as many as calls.
pub(crate) fn hand(call: &Call) {
    call.answer(0);
    let Some(desk) = call.request().hand_over() else {
        return;
    };
    let (from, to) = (call.u32(3) as usize, call.u32(4) as usize);
    call.with_text(5, |details| {
        call.with_text(6, |targets| {
            let batch = Batch {
                // SAFETY: an argument of the running call, which runs no JavaScript; all bits are valid.
                records: unsafe { call.records(2) },
                from,
                to,
                words: Some(Words { details, targets }),
            };
            if batch.hand(&desk).is_err() {
                call.answer(1);
            }
        });
    });
}

/// As [`hand`], without texts: the records, from and to are the arguments from `at` on. For calls
/// that are only added up.
pub(crate) fn hand_times(call: &Call, at: usize) {
    let (from, to) = (call.u32(at + 1) as usize, call.u32(at + 2) as usize);
    if from == to {
        return;
    }
    let Some(desk) = call.request().hand_over() else {
        return;
    };
    let batch = Batch {
        // SAFETY: an argument of the running call, which runs no JavaScript; all bits are valid.
        records: unsafe { call.records(at) },
        from,
        to,
        words: None,
    };
    // Without texts there is nothing to be miscounted.
    drop(batch.hand(&desk));
}

/// `late(records, index, detail, target)`: what became known of a call after it was handed over
/// open: its counts, its texts where they are strings, and its end.
pub(crate) fn late(call: &Call) {
    // SAFETY: an argument of the running call, which runs no JavaScript; all bits are valid.
    let records: &mut [Record] = unsafe { call.records(0) };
    let Some(record) = records.get(call.u32(1) as usize) else {
        return;
    };
    let span = record.handle();
    let counts = record.counts();
    counts.hits.into_iter().for_each(|count| span.hits(count));
    counts
        .misses
        .into_iter()
        .for_each(|count| span.misses(count));
    counts.rows.into_iter().for_each(|count| span.rows(count));
    counts.bytes.into_iter().for_each(|count| span.bytes(count));
    if call.is_string(2) {
        call.with_text(2, |detail| span.detail(detail));
    }
    if call.is_string(3) {
        call.with_text(3, |target| span.target(target));
    }
    if let Some((tick, outcome)) = record.ended() {
        span.end_at(tick, outcome);
    }
}

/// As [`hand`], for the calls of a request that has ended, whose profile nobody has read yet.
#[napi(catch_unwind)]
pub fn profile_hand(
    profile: &External<Held>,
    records: ArrayBuffer<'_>,
    from: u32,
    to: u32,
    details: String,
    targets: String,
) -> u32 {
    let Some(desk) = profile.hand_over() else {
        return 0;
    };
    let length = records.len() / size_of::<Record>();
    let data = records.as_ptr().cast::<Record>().cast_mut();
    if length == 0 || !data.is_aligned() {
        return 0;
    }
    // SAFETY: so many whole records lie in the buffer, all bits are valid for their numbers, and no
    // JavaScript runs before this call returns.
    let records = unsafe { std::slice::from_raw_parts_mut(data, length) };
    let batch = Batch {
        records,
        from: from as usize,
        to: to as usize,
        words: Some(Words {
            details: details.as_bytes(),
            targets: targets.as_bytes(),
        }),
    };
    u32::from(batch.hand(&desk).is_err())
}

/// Places in the application, by number. They are few: the core interns at most 8,192.
static SITES: Mutex<Vec<Site>> = Mutex::new(Vec::new());
const MOST_SITES: usize = 8_192;

/// The number of a place in the application; 0 once there are too many.
#[napi(catch_unwind)]
pub fn site(file: String, line: u32) -> u32 {
    let site = Site::intern(&file, line);
    let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    if site == Site::NONE {
        return 0;
    }
    if let Some(known) = sites.iter().position(|known| *known == site) {
        return known as u32 + 1;
    }
    if sites.len() >= MOST_SITES {
        return 0;
    }
    sites.push(site);
    sites.len() as u32
}

/// The number of a category, and whether it is a scope: `number | scope << 16`. The kind and
/// dialect of its first use hold.
#[napi(catch_unwind)]
pub fn category(name: String, scope: bool, dialect: String) -> u32 {
    let kind = if scope { Kind::Scope } else { Kind::Leaf };
    let dialect = match dialect.as_str() {
        "mysql" => Dialect::MySql,
        "postgresql" => Dialect::PostgreSql,
        "sqlite" => Dialect::Sqlite,
        "keys" => Dialect::Keys,
        "path" => Dialect::Path,
        _ => Dialect::Generic,
    };
    let id = category::intern(&name, kind, dialect);
    u32::from(id.number()) | (u32::from(id.kind() == Kind::Scope) << 16)
}
