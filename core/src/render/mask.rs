//! What of a profile may be written out: all, or only what carries nobody's data.

use std::borrow::Cow;

use super::Details;
use crate::category::Dialect;
use crate::fingerprint::{fingerprint, fingerprint_into, mask_query};
use crate::profile::{Caller, FactsData, ProfileData, SpanData};

/// Of an absolute path to a source file, so many last parts are kept.
const PARTS_OF_A_FILE: usize = 2;

/// The detail of a call, or its fingerprint, written to `scratch`.
pub fn detail<'a>(span: &'a SpanData, details: Details, scratch: &'a mut String) -> &'a str {
    match details {
        Details::Full => &span.detail,
        Details::Fingerprint => {
            scratch.clear();
            fingerprint_into(
                scratch,
                span.dialect,
                &span.detail,
                span.detail_cut_from.is_some(),
            );
            scratch
        }
    }
}

/// As [`detail`], in memory of its own where it is a fingerprint.
#[must_use]
pub fn owned_detail(span: &SpanData, details: Details) -> Cow<'_, str> {
    match details {
        Details::Full => Cow::Borrowed(&span.detail),
        Details::Fingerprint => {
            let cut = span.detail_cut_from.is_some();
            Cow::Owned(fingerprint(span.dialect, &span.detail, cut))
        }
    }
}

/// The target of a call; none where it cannot be shown: a target may be an address with a
/// password in it, so only names that a fingerprint leaves as they are pass.
#[must_use]
pub fn target(span: &SpanData, details: Details) -> Option<&str> {
    let target = span.target.as_deref()?;
    match details {
        Details::Full => Some(target),
        Details::Fingerprint => {
            (fingerprint(Dialect::Path, target, false) == target).then_some(target)
        }
    }
}

/// The file of a caller; an absolute path tells about the machine or who built it, so its end.
#[must_use]
pub fn file(file: &str, details: Details) -> &str {
    let is_separator = |character| matches!(character, '/' | '\\');
    let absolute = file.starts_with(is_separator) || file.get(1..2) == Some(":");
    if details == Details::Full || !absolute {
        return file;
    }
    let cut = file.rmatch_indices(is_separator).nth(PARTS_OF_A_FILE - 1);
    cut.and_then(|(at, _)| file.get(at + 1..)).unwrap_or(file)
}

/// The path of a request, or the name of a job; else its route, or its fingerprint.
#[must_use]
pub fn path(facts: &FactsData, details: Details) -> Cow<'_, str> {
    match (details, &facts.route) {
        (Details::Full, _) => Cow::Borrowed(&facts.path),
        (Details::Fingerprint, Some(route)) => Cow::Borrowed(route),
        (Details::Fingerprint, None) => Cow::Owned(fingerprint(Dialect::Path, &facts.path, false)),
    }
}

/// The query of a request, without its values where they may not be shown.
#[must_use]
pub fn query(facts: &FactsData, details: Details) -> Option<Cow<'_, str>> {
    let query = facts.query.as_deref()?;
    Some(match details {
        Details::Full => Cow::Borrowed(query),
        Details::Fingerprint => Cow::Owned(mask_query(query)),
    })
}

/// What went wrong; else how long the message is. It is prose, and no dialect tells a name in it
/// from a word: `no such user: ann`.
#[must_use]
pub fn error(facts: &FactsData, details: Details) -> Option<Cow<'_, str>> {
    let error = facts.error.as_deref()?;
    Some(match details {
        Details::Full => Cow::Borrowed(error),
        Details::Fingerprint => Cow::Owned(format!("<not shown, {} bytes>", error.len())),
    })
}

/// What only those may see whom the gate let through.
#[must_use]
pub fn personal<T>(value: Option<T>, details: Details) -> Option<T> {
    value.filter(|_| details == Details::Full)
}

/// Leaves in a profile only what carries nobody's data, so that it may be kept.
pub fn profile(data: &mut ProfileData) {
    let details = Details::Fingerprint;
    for span in &mut data.spans {
        span.detail = owned_detail(span, details).into_owned();
        span.detail_cut_from = None;
        span.target = target(span, details).map(str::to_owned);
        span.caller = span
            .caller
            .map(|caller| Caller::new(file(caller.file, details), caller.line));
    }
    let facts = &mut data.facts;
    let masked = FactsData {
        kind: facts.kind,
        method: std::mem::take(&mut facts.method),
        path: path(facts, details).into_owned(),
        query: query(facts, details).map(Cow::into_owned),
        scheme: facts.scheme.take(),
        host: facts.host.take(),
        protocol: facts.protocol.take(),
        traceparent: facts.traceparent.take(),
        route: facts.route.clone(),
        status: facts.status,
        bytes_out: facts.bytes_out,
        error: error(facts, details).map(Cow::into_owned),
        ..FactsData::default()
    };
    *facts = masked;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lose_what_tells_about_the_machine() {
        for (path, shown) in [
            ("src/views.rs", "src/views.rs"),
            ("/home/ann/shop/src/views.rs", "src/views.rs"),
            ("C:\\build\\shop\\src\\views.cpp", "src\\views.cpp"),
            ("/views.py", "/views.py"),
            ("é", "é"),
            ("", ""),
        ] {
            assert_eq!(file(path, Details::Fingerprint), shown);
            assert_eq!(file(path, Details::Full), path);
        }
    }

    #[test]
    fn targets_pass_only_as_plain_names() {
        for (name, passes) in [
            ("dbshard01", true),
            ("listing.html", true),
            ("redis://:hunter2@cache:6379", false),
            ("8f14e45fceea167a5a36dedd4bea2543", false),
        ] {
            let mut span = SpanData {
                target: Some(name.to_owned()),
                ..SpanData::default()
            };
            assert_eq!(
                target(&span, Details::Fingerprint).is_some(),
                passes,
                "{name}"
            );
            span.target = None;
            assert_eq!(target(&span, Details::Full), None);
        }
    }
}
