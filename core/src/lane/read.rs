//! Records → plain data: what whoever first reads a profile does.

use super::chunk::{BYTES, Chunk, HITS, INNER, MISSES, NO_SPAN, ROWS, Record, Text};
use super::process::{self, Process};
use super::slot::Held;
use super::word::End;
use super::{open, site, span_number, unlisted};
use crate::category;
use crate::clock::Scale;
use crate::flags::DARK_PREFIX;
use crate::profile::{CategoryTotal, Counts, Outcome, SpanData};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

/// One record, read.
struct Read {
    number: u32,
    parent: u32,
    inner: bool,
    start: u64,
    lane: u32,
    span: SpanData,
}

/// The listed calls up to a tick in order of start, and the totals of all calls.
pub(crate) fn calls(held: &Held, scale: &Scale, until: u64) -> (Vec<SpanData>, Vec<CategoryTotal>) {
    let Some(process) = process::existing() else {
        return (Vec::new(), Vec::new());
    };
    let mut reads = records(held, process, scale, until);
    merge_inner(&mut reads);
    let mut spans = in_order(reads, scale, held.slot.begun_at.load(Ordering::Relaxed));
    mark_dark(&mut spans);
    let totals = totals(held, &spans, scale, until);
    (spans, totals)
}

/// The listed calls that are open, in order of start, without what else a profile says of them.
pub(crate) fn open_calls(held: &Held, scale: &Scale, until: u64) -> Vec<SpanData> {
    let Some(process) = process::existing() else {
        return Vec::new();
    };
    let is_open = |record: &Record| record.end.load() == End::Open;
    let mut reads = records_that(held, process, scale, until, is_open);
    reads.retain(|read| !read.inner);
    reads.sort_by_key(|read| read.start);
    let begun_at = held.slot.begun_at.load(Ordering::Relaxed);
    let span = |read: Read| SpanData {
        start_ns: scale.between(begun_at, read.start),
        lane: read.lane,
        ..read.span
    };
    reads.into_iter().map(span).collect()
}

fn records(held: &Held, process: &Process, scale: &Scale, until: u64) -> Vec<Read> {
    records_that(held, process, scale, until, |_| true)
}

fn records_that(
    held: &Held,
    process: &Process,
    scale: &Scale,
    until: u64,
    which: impl Fn(&Record) -> bool,
) -> Vec<Read> {
    let mut reads = Vec::new();
    let begun_at = held.slot.begun_at.load(Ordering::Relaxed);
    let answered_at = held.slot.answered_at.load(Ordering::Relaxed);
    let generation = held.slot.generation();
    for lane in held
        .slot
        .each_lane()
        .filter(|lane| lane.word.is_of(generation))
    {
        let number = lane.number.load(Ordering::Relaxed);
        // SAFETY: null or a chunk, and chunks live for ever.
        let mut next = unsafe { lane.first.load(Ordering::Acquire).as_ref() };
        while let Some(chunk) = next {
            let (published, is_last) = chunk.readable();
            for index in 0..published {
                let Some(record) = chunk.record(index) else {
                    break;
                };
                let start = record.start.load(Ordering::Relaxed);
                if start > until || !which(record) {
                    continue;
                }
                let mut read = read(record, process, scale, start.max(begun_at), until);
                read.number = span_number(chunk.number, index);
                read.lane = number;
                read.span.after_answer = answered_at != 0 && start > answered_at;
                reads.push(read);
            }
            if is_last {
                break;
            }
            // SAFETY: as above.
            next = unsafe { chunk.next.load(Ordering::Acquire).as_ref() };
        }
    }
    reads
}

fn read(record: &Record, process: &Process, scale: &Scale, start: u64, until: u64) -> Read {
    let (outcome, end) = match record.end.load() {
        End::Ended(code, tick) if tick <= until => (outcome(code), tick),
        _ => (Outcome::Open, until),
    };
    let about = record.about();
    let info = category::info(about.category());
    let count =
        |bit: u8, value: &AtomicU32| about.counted(bit).then(|| value.load(Ordering::Relaxed));
    let (detail, detail_cut_from) = text(process, Text(record.detail.load(Ordering::Acquire)));
    let (target, _) = text(process, Text(record.target.load(Ordering::Acquire)));
    // SAFETY: the word was put there by `fill`, from `site`.
    let caller = unsafe { site::decode(record.caller.load(Ordering::Relaxed)) };
    let span = SpanData {
        category: info.name,
        kind: info.kind,
        dialect: info.dialect,
        target: (!target.is_empty()).then_some(target),
        detail,
        detail_cut_from,
        start_ns: 0,
        duration_ns: scale.between(start, end),
        outcome,
        counts: Counts {
            hits: count(HITS, &record.hits),
            misses: count(MISSES, &record.misses),
            rows: count(ROWS, &record.rows),
            bytes: count(BYTES, &record.bytes),
        },
        parent: None,
        caller,
        after_answer: false,
        lane: 0,
        dark: false,
    };
    Read {
        number: 0,
        parent: about.parent(),
        inner: about.has(INNER),
        start,
        lane: 0,
        span,
    }
}

fn outcome(code: u8) -> Outcome {
    match code {
        open::ERROR => Outcome::Error,
        open::CANCELLED => Outcome::Cancelled,
        _ => Outcome::Ok,
    }
}

/// UTF-8 is checked and repaired here, not when it was recorded.
fn text(process: &Process, text: Text) -> (String, Option<u64>) {
    if text.0 == Text::EMPTY.0 {
        return (String::new(), None);
    }
    let Some(chunk) = process.chunk(text.chunk()) else {
        return (String::new(), None);
    };
    // SAFETY: the caller holds the request, and the place is of one of its published records.
    let bytes = unsafe { Chunk::read(chunk, text.offset(), text.length()) };
    let cut_from = text.is_cut().then(|| {
        // SAFETY: as above; a cut text has its whole length behind it.
        let whole = unsafe { Chunk::read(chunk, text.offset() + text.length(), 8) };
        whole.try_into().map_or(0, u64::from_le_bytes)
    });
    (String::from_utf8_lossy(bytes).into_owned(), cut_from)
}

/// A leaf inside a leaf is one call: the inner one's detail, the outer one's time.
fn merge_inner(reads: &mut Vec<Read>) {
    if !reads.iter().any(|read| read.inner) {
        return;
    }
    let index: HashMap<u32, usize> = reads
        .iter()
        .enumerate()
        .map(|(index, read)| (read.number, index))
        .collect();
    let mut order: Vec<usize> = (0..reads.len()).collect();
    order.sort_by_key(|&at| reads.get(at).map(|read| read.start));
    let mut detailed = HashSet::new();
    for at in order {
        let Some((mut outer, span)) = inner_of(reads, at) else {
            continue;
        };
        let outermost = loop {
            let Some(&found) = index.get(&outer) else {
                break None;
            };
            match reads.get(found) {
                Some(read) if read.inner && read.parent != outer => outer = read.parent,
                Some(_) => break Some(found),
                None => break None,
            }
        };
        let Some(found) = outermost else { continue };
        if let Some(outer) = reads.get_mut(found) {
            let first = !span.detail.is_empty() && detailed.insert(found);
            take_over(&mut outer.span, span, first);
        }
    }
    reads.retain(|read| !read.inner);
}

fn inner_of(reads: &[Read], at: usize) -> Option<(u32, SpanData)> {
    let read = reads.get(at).filter(|read| read.inner)?;
    Some((read.parent, read.span.clone()))
}

/// Several inner calls: the first detail stays.
fn take_over(outer: &mut SpanData, inner: SpanData, first_detail: bool) {
    if first_detail {
        outer.detail = inner.detail;
        outer.detail_cut_from = inner.detail_cut_from;
        outer.dialect = inner.dialect;
    }
    outer.target = outer.target.take().or(inner.target);
    let counts = &mut outer.counts;
    counts.hits = counts.hits.or(inner.counts.hits);
    counts.misses = counts.misses.or(inner.counts.misses);
    counts.rows = counts.rows.or(inner.counts.rows);
    counts.bytes = counts.bytes.or(inner.counts.bytes);
}

/// Sorts by start, and turns parents' numbers into indices; a parent stands before its children.
fn in_order(mut reads: Vec<Read>, scale: &Scale, begun_at: u64) -> Vec<SpanData> {
    // A child that another core's counter dated a little before its parent begins with it.
    let starts: HashMap<u32, u64> = reads.iter().map(|read| (read.number, read.start)).collect();
    for read in &mut reads {
        if let Some(&parent) = starts.get(&read.parent) {
            read.start = read.start.max(parent);
        }
    }
    let depths = depths(&reads);
    let mut order: Vec<usize> = (0..reads.len()).collect();
    // Records of one lane lie in the order of their begin, and this sort keeps it. The depth
    // matters only between lanes, for a parent and a child that began at the same tick.
    let lanes = reads
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.lane != b.lane));
    order.sort_by_key(|&at| {
        let depth = if lanes {
            depths.get(at).copied().unwrap_or(0)
        } else {
            0
        };
        (reads.get(at).map_or(0, |read| read.start), depth)
    });
    let mut place = vec![0_u32; reads.len()];
    for (new, &old) in order.iter().enumerate() {
        if let Some(place) = place.get_mut(old) {
            *place = new as u32;
        }
    }
    let places: HashMap<u32, u32> = reads
        .iter()
        .zip(&place)
        .map(|(read, &place)| (read.number, place))
        .collect();
    let mut spans: Vec<(u32, SpanData)> = reads
        .into_iter()
        .zip(place)
        .map(|(read, place)| {
            let mut span = read.span;
            span.start_ns = scale.between(begun_at, read.start);
            span.lane = read.lane;
            span.parent = places
                .get(&read.parent)
                .copied()
                .filter(|&parent| parent < place);
            (place, span)
        })
        .collect();
    spans.sort_by_key(|(place, _)| *place);
    spans.into_iter().map(|(_, span)| span).collect()
}

/// Dark work, and what was made by it.
fn mark_dark(spans: &mut [SpanData]) {
    let is_root = |span: &SpanData| {
        span.kind == category::Kind::Scope && span.category.starts_with(DARK_PREFIX)
    };
    if !spans.iter().any(is_root) {
        return;
    }
    for at in 0..spans.len() {
        let (before, after) = spans.split_at_mut(at);
        let Some(span) = after.first_mut() else {
            break;
        };
        let parent = span.parent.and_then(|parent| before.get(parent as usize));
        span.dark = is_root(span) || parent.is_some_and(|parent| parent.dark);
    }
}

/// How deep each record lies, counted up to a bound; parents may form no cycle, but memory that a
/// caller corrupted could.
fn depths(reads: &[Read]) -> Vec<u32> {
    let parents: HashMap<u32, u32> = reads
        .iter()
        .map(|read| (read.number, read.parent))
        .collect();
    let mut known: HashMap<u32, u32> = HashMap::new();
    let depth_of = |read: &Read| {
        let (mut depth, mut at) = (0, read.parent);
        while at != NO_SPAN && depth < 10_000 {
            if let Some(above) = known.get(&at) {
                depth += above + 1;
                break;
            }
            depth += 1;
            at = parents.get(&at).copied().unwrap_or(NO_SPAN);
        }
        known.insert(read.number, depth);
        depth
    };
    reads.iter().map(depth_of).collect()
}

fn totals(held: &Held, spans: &[SpanData], scale: &Scale, until: u64) -> Vec<CategoryTotal> {
    let mut totals: Vec<CategoryTotal> = Vec::new();
    let mut places: HashMap<&'static str, usize> = HashMap::new();
    for span in spans {
        let Some(total) = total_of(&mut totals, &mut places, span.category) else {
            continue;
        };
        total.kind = span.kind;
        total.calls += 1;
        total.time_ns += span.duration_ns;
        match span.outcome {
            Outcome::Error => total.errors += 1,
            Outcome::Cancelled => total.cancelled += 1,
            Outcome::Open => total.open += 1,
            Outcome::Ok => {}
        }
        total.hits += u64::from(span.counts.hits.unwrap_or(0));
        total.misses += u64::from(span.counts.misses.unwrap_or(0));
        total.rows += u64::from(span.counts.rows.unwrap_or(0));
        total.bytes += u64::from(span.counts.bytes.unwrap_or(0));
    }
    for (number, sums) in held.slot.totals.iter() {
        let info = category::info(number);
        let Some(total) = total_of(&mut totals, &mut places, info.name) else {
            continue;
        };
        let sum = |sum: &std::sync::atomic::AtomicU64| sum.load(Ordering::Relaxed);
        total.kind = info.kind;
        total.calls += sum(&sums.calls);
        total.time_ns += scale.nanoseconds(sum(&sums.ticks));
        total.errors += sum(&sums.errors);
        total.cancelled += sum(&sums.cancelled);
        total.open += sum(&sums.calls).saturating_sub(sum(&sums.ended));
        total.hits += sum(&sums.hits);
        total.misses += sum(&sums.misses);
        total.rows += sum(&sums.rows);
        total.bytes += sum(&sums.bytes);
    }
    let process = process::existing();
    let open = process.map(|process| unlisted::each_open(process, held.slot));
    for (number, start) in open.into_iter().flatten() {
        if let Some(total) = total_of(&mut totals, &mut places, category::info(number).name) {
            total.time_ns += scale.between(start, until);
        }
    }
    totals
}

fn total_of<'a>(
    totals: &'a mut Vec<CategoryTotal>,
    places: &mut HashMap<&'static str, usize>,
    category: &'static str,
) -> Option<&'a mut CategoryTotal> {
    let place = *places.entry(category).or_insert_with(|| {
        totals.push(CategoryTotal {
            category,
            ..CategoryTotal::default()
        });
        totals.len() - 1
    });
    totals.get_mut(place)
}
