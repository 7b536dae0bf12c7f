//! Categories, sites and spans: the hot path.

use crate::guard::{count_invalid, guard};
use crate::request::ioprof_request;
use crate::text::{bytes, text};
use ioprofiler_core::category::intern;
use ioprofiler_core::handle::{PastCall, RequestHandle, Site, SpanHandle};
use ioprofiler_core::{CategoryId, Dialect, Kind, Outcome};
use std::ffi::c_char;
use std::time::Duration;

/// A timed call inside a request: an integer. 0 is none: every call accepts it and does nothing.
/// One that is stale, foreign or already ended does nothing either, and is counted.
pub type ioprof_span = u64;

/// I/O: never a parent. A leaf begun inside a leaf is part of it.
pub const IOPROF_LEAF: u32 = 0;
/// A template, a function: may contain others.
pub const IOPROF_SCOPE: u32 = 1;

/// SQL of an unknown server: every quoted form is a literal.
pub const IOPROF_DIALECT_GENERIC: u32 = 0;
/// MySQL and MariaDB.
pub const IOPROF_DIALECT_MYSQL: u32 = 1;
/// PostgreSQL.
pub const IOPROF_DIALECT_POSTGRESQL: u32 = 2;
/// SQLite.
pub const IOPROF_DIALECT_SQLITE: u32 = 3;
/// Keys of a cache: `user:5020244:name`.
pub const IOPROF_DIALECT_KEYS: u32 = 4;
/// Paths and template names: `/listing/5773453`.
pub const IOPROF_DIALECT_PATH: u32 = 5;

/// It did what it should.
pub const IOPROF_OUTCOME_OK: u32 = 0;
/// It failed.
pub const IOPROF_OUTCOME_ERROR: u32 = 1;
/// It was given up before it was ready.
pub const IOPROF_OUTCOME_CANCELLED: u32 = 2;

/// What `ioprof_site` answers when it knows 8,192 lines already. Good as a site: no caller.
pub const IOPROF_SITE_FULL: u32 = u32::MAX;

/// The number of a category's name (`dbshard01`), given at its first use; good in this process
/// and its children, for ever. Kind (`IOPROF_LEAF`, `IOPROF_SCOPE`) and dialect
/// (`IOPROF_DIALECT_…`: how details are written, so that tickets can mask their literals) are
/// fixed by the first use. Ask once and keep the number: `static uint32_t`. At most 1,024 names a
/// process, at most 64 bytes each; further ones are `other`, which is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_category(
    name: *const c_char,
    length: usize,
    kind: u32,
    dialect: u32,
) -> u32 {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let name = unsafe { text(name, length) };
        let kind = match kind {
            IOPROF_SCOPE => Kind::Scope,
            _ => in_range(kind == IOPROF_LEAF, Kind::Leaf),
        };
        let dialect = match dialect {
            IOPROF_DIALECT_MYSQL => Dialect::MySql,
            IOPROF_DIALECT_POSTGRESQL => Dialect::PostgreSql,
            IOPROF_DIALECT_SQLITE => Dialect::Sqlite,
            IOPROF_DIALECT_KEYS => Dialect::Keys,
            IOPROF_DIALECT_PATH => Dialect::Path,
            _ => in_range(dialect == IOPROF_DIALECT_GENERIC, Dialect::Generic),
        };
        intern(&name, kind, dialect).to_bits()
    })
}

/// Counts a number that is not in its range, and takes `usual` for it.
fn in_range<T>(known: bool, usual: T) -> T {
    if !known {
        count_invalid();
    }
    usual
}

/// The number of a line of the application, for `ioprof_span_begin`: `IOPROF_HERE` asks once and
/// keeps it. At most 8,192 lines a process; then `IOPROF_SITE_FULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_site(file: *const c_char, length: usize, line: u32) -> u32 {
    guard(IOPROF_SITE_FULL, || {
        // SAFETY: the host's promise, as the header states it.
        let file = unsafe { text(file, length) };
        Site::numbered(&file, line).unwrap_or(IOPROF_SITE_FULL)
    })
}

#[inline(always)]
fn outcome(number: u32) -> Outcome {
    match number {
        IOPROF_OUTCOME_OK => Outcome::Ok,
        IOPROF_OUTCOME_ERROR => Outcome::Error,
        IOPROF_OUTCOME_CANCELLED => Outcome::Cancelled,
        _ => in_range(false, Outcome::Ok),
    }
}

/// Begins a call. `category` is from `ioprof_category`; `detail` says what the call is (the SQL,
/// the keys), is copied, and is cut at 8 KiB; `parent` is the scope that it happens in, or 0;
/// `site` is the line that makes it (`IOPROF_HERE`), or 0. Gives 0 where the request does not
/// record, which the header finds out without a call.
///
/// From any thread; several threads may record in one request at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_span_begin(
    request: ioprof_request,
    category: u32,
    detail: *const c_char,
    detail_length: usize,
    parent: ioprof_span,
    site: u32,
) -> ioprof_span {
    let handle = RequestHandle::from_bits(request);
    if handle.is_off() {
        return 0;
    }
    if !detail.is_null() && detail_length <= RequestHandle::SHORT {
        // SAFETY: not NULL, short, and good for reading by the host's promise.
        let detail = unsafe { std::slice::from_raw_parts(detail.cast(), detail_length) };
        // The usual way has nothing in it that can panic or touch errno, so it needs no guard.
        let span = handle.try_span(category, detail, SpanHandle::from_bits(parent), site);
        if let Some(span) = span {
            return span.to_bits();
        }
    }
    begin_guarded(request, category, detail, detail_length, parent, site)
}

/// Takes what the host gave as it came, so that the usual way has nothing to put away for it.
#[cold]
#[inline(never)]
extern "C" fn begin_guarded(
    request: ioprof_request,
    category: u32,
    detail: *const c_char,
    detail_length: usize,
    parent: ioprof_span,
    site: u32,
) -> ioprof_span {
    guard(0, || {
        // SAFETY: the host's promise, as the header states it.
        let detail = unsafe { bytes(detail, detail_length) };
        let category = CategoryId::from_bits(category);
        let (parent, site) = (SpanHandle::from_bits(parent), Site::from_number(site));
        let request = RequestHandle::from_bits(request);
        request.span(category, detail, parent, site).to_bits()
    })
}

/// Ends a call, the first time: `outcome` is `IOPROF_OUTCOME_…`. From any thread.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_span_end(span: ioprof_span, outcome: u32) {
    // As in `ioprof_span_begin`: the usual way first, and all else as it came.
    let usual = match outcome {
        IOPROF_OUTCOME_OK => Outcome::Ok,
        IOPROF_OUTCOME_ERROR => Outcome::Error,
        IOPROF_OUTCOME_CANCELLED => Outcome::Cancelled,
        _ => return end_guarded(span, outcome),
    };
    if span != 0 && !SpanHandle::from_bits(span).try_end(usual) {
        end_guarded(span, outcome);
    }
}

#[cold]
#[inline(never)]
extern "C" fn end_guarded(span: ioprof_span, outcome: u32) {
    guard((), || {
        SpanHandle::from_bits(span).end(self::outcome(outcome))
    });
}

/// Replaces a call's detail, before it ends: "Cache HIT, keys: …" is known only afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_span_detail(
    span: ioprof_span,
    detail: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        SpanHandle::from_bits(span).detail(unsafe { bytes(detail, length) });
    });
}

/// Says which server or file the call goes to, where that is more than its category says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_span_target(
    span: ioprof_span,
    target: *const c_char,
    length: usize,
) {
    guard((), || {
        // SAFETY: the host's promise, as the header states it.
        SpanHandle::from_bits(span).target(unsafe { bytes(target, length) });
    });
}

/// How many rows the call returned or changed; said before it ends.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_span_rows(span: ioprof_span, rows: u32) {
    guard((), || SpanHandle::from_bits(span).rows(rows));
}

/// How many keys the call found; said before it ends.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_span_hits(span: ioprof_span, hits: u32) {
    guard((), || SpanHandle::from_bits(span).hits(hits));
}

/// How many keys the call did not find; said before it ends.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_span_misses(span: ioprof_span, misses: u32) {
    guard((), || SpanHandle::from_bits(span).misses(misses));
}

/// How many bytes the call read or wrote; said before it ends.
#[unsafe(no_mangle)]
pub extern "C" fn ioprof_span_bytes(span: ioprof_span, bytes: u32) {
    guard((), || SpanHandle::from_bits(span).bytes(bytes));
}

/// Records a call that is over: it ended `ended_ago_ns` before now and took `duration_ns`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioprof_span_add(
    request: ioprof_request,
    category: u32,
    detail: *const c_char,
    detail_length: usize,
    parent: ioprof_span,
    site: u32,
    ended_ago_ns: u64,
    duration_ns: u64,
    outcome: u32,
) {
    guard((), || {
        RequestHandle::from_bits(request).add_span(PastCall {
            category: CategoryId::from_bits(category),
            // SAFETY: the host's promise, as the header states it.
            detail: unsafe { bytes(detail, detail_length) },
            parent: SpanHandle::from_bits(parent),
            site: Site::from_number(site),
            ended_ago: Duration::from_nanos(ended_ago_ns),
            duration: Duration::from_nanos(duration_ns),
            outcome: self::outcome(outcome),
        });
    });
}
