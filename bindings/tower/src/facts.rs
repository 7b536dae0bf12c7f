//! What a request is about, read off its head.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header, request};
use ioprofiler::Facts;
use ioprofiler::gate::{Inputs, ask};
use std::net::IpAddr;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static ASK: HeaderName = HeaderName::from_static(ask::ASK_HEADER);
static TOKEN: HeaderName = HeaderName::from_static(ask::TOKEN_HEADER);

/// Longest request id that is taken over from a header.
const MAX_REQUEST_ID: usize = 128;

/// The URI as the client sent it: a nested axum router sees only the rest of it.
pub(crate) fn whole_uri(head: &request::Parts) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::OriginalUri(uri)) = head.extensions.get() {
        return uri;
    }
    &head.uri
}

/// What of a head concerns us, by reference. Headers are walked over once: names are compared as
/// the numbers that most of them are, where each look-up would hash one.
pub(crate) struct Noticed<'a> {
    /// What concerns the gate.
    pub(crate) inputs: Inputs<'a>,
    head: &'a request::Parts,
    uri: &'a Uri,
    host: Option<&'a str>,
    traceparent: Option<&'a str>,
    id: Option<&'a str>,
}

impl<'a> Noticed<'a> {
    pub(crate) fn of(head: &'a request::Parts, id_header: Option<&HeaderName>) -> Self {
        let uri = whole_uri(head);
        let mut inputs = Inputs::new(uri.query().unwrap_or_default().as_bytes(), None);
        let (mut host, mut traceparent, mut id) = (None, None, None);
        for (name, value) in &head.headers {
            let first = if *name == header::HOST {
                &mut host
            } else if *name == header::COOKIE {
                inputs.cookie(value.as_bytes());
                continue;
            } else if *name == TRACEPARENT {
                &mut traceparent
            } else if Some(name) == id_header {
                &mut id
            } else {
                if *name == ASK {
                    inputs.ask_header(value.as_bytes());
                } else if *name == TOKEN {
                    inputs.token_header(value.as_bytes());
                }
                continue;
            };
            first.get_or_insert(value);
        }
        // The Host header, or HTTP/2's authority.
        let authority = || uri.authority().map(http::uri::Authority::as_str);
        let known = host.and_then(text).or_else(authority);
        let for_gate = known.map(str::as_bytes).or(host.map(HeaderValue::as_bytes));
        if let Some(host) = for_gate {
            inputs.header(b"host", host);
        }
        Self {
            inputs,
            head,
            uri,
            host: known,
            traceparent: traceparent.and_then(text),
            id: id.and_then(text).filter(|id| is_modest(id)),
        }
    }

    /// The facts that are known at begin, handed to `begin`: they borrow from the head. Of the
    /// headers those that are wanted.
    pub(crate) fn with_facts<R>(
        &self,
        wanted: &[HeaderName],
        begin: impl FnOnce(Facts<'_>) -> R,
    ) -> R {
        let Self { head, uri, .. } = self;
        let headers: Vec<(&str, &[u8])> = values_of(&head.headers, wanted).collect();
        let mut facts = Facts::web(head.method.as_str(), uri.path()).raw_headers(&headers);
        if let Some(query) = uri.query() {
            facts = facts.query(query);
        }
        if let Some(scheme) = uri.scheme_str() {
            facts = facts.scheme(scheme);
        }
        if let Some(host) = self.host {
            facts = facts.host(host);
        }
        if let Some(protocol) = protocol(head.version) {
            facts = facts.protocol(protocol);
        }
        if let Some(traceparent) = self.traceparent {
            facts = facts.traceparent(traceparent);
        }
        if let Some(id) = self.id {
            facts = facts.id(id);
        }
        if let Some(peer) = peer(head) {
            facts = facts.peer_ip(peer);
        }
        begin(facts)
    }
}

/// All values of these headers, with their names.
pub(crate) fn values_of<'a>(
    headers: &'a HeaderMap,
    wanted: &'a [HeaderName],
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    wanted.iter().flat_map(|name| {
        let values = headers.get_all(name).iter();
        values.map(|value| (name.as_str(), value.as_bytes()))
    })
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

/// An id that a proxy gave goes into logs and answers, so only a modest one is taken.
fn is_modest(id: &str) -> bool {
    let modest = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
    (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(modest)
}

fn protocol(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("HTTP/0.9"),
        Version::HTTP_10 => Some("HTTP/1.0"),
        Version::HTTP_11 => Some("HTTP/1.1"),
        Version::HTTP_2 => Some("HTTP/2.0"),
        Version::HTTP_3 => Some("HTTP/3.0"),
        _ => None,
    }
}

/// The address of who connected, where axum was told to keep it.
#[cfg(feature = "axum")]
fn peer(head: &request::Parts) -> Option<IpAddr> {
    use axum::extract::ConnectInfo;
    let ConnectInfo(address) = head.extensions.get::<ConnectInfo<std::net::SocketAddr>>()?;
    Some(address.ip())
}

#[cfg(not(feature = "axum"))]
fn peer(_: &request::Parts) -> Option<IpAddr> {
    None
}

/// The route's template, if the router has told it.
#[cfg(feature = "axum")]
pub(crate) fn route(head: &request::Parts) -> Option<&str> {
    head.extensions
        .get::<axum::extract::MatchedPath>()
        .map(axum::extract::MatchedPath::as_str)
}

#[cfg(not(feature = "axum"))]
pub(crate) fn route(_: &request::Parts) -> Option<&str> {
    None
}

/// The path of a gRPC call, which is its route as soon as the server has answered that it knows it.
pub(crate) fn grpc_method(head: &request::Parts) -> Option<String> {
    let content_type = head.headers.get(header::CONTENT_TYPE)?.as_bytes();
    content_type
        .starts_with(b"application/grpc")
        .then(|| head.uri.path().to_owned())
}
