//! What a request is about, read off its head.

use http::{HeaderMap, HeaderName, Uri, Version, header, request};
use ioprofiler::Facts;
use ioprofiler::gate::Inputs;

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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

/// What of the request concerns the gate.
pub(crate) fn gate_inputs(head: &request::Parts) -> Inputs<'_> {
    let uri = whole_uri(head);
    let host = host_of(head, uri).map(str::as_bytes);
    let mut inputs = Inputs::new(uri.query().unwrap_or_default().as_bytes(), host);
    for (name, value) in &head.headers {
        inputs.header(name.as_str().as_bytes(), value.as_bytes());
    }
    inputs
}

/// The facts that are known at begin, handed to `begin`: they borrow from the head. Of the headers
/// those that are wanted.
pub(crate) fn with_facts<R>(
    head: &request::Parts,
    request_id_header: Option<&HeaderName>,
    wanted: &[HeaderName],
    begin: impl FnOnce(Facts<'_>) -> R,
) -> R {
    let uri = whole_uri(head);
    let headers: Vec<(&str, &[u8])> = values_of(&head.headers, wanted).collect();
    let mut facts = Facts::web(head.method.as_str(), uri.path()).raw_headers(&headers);
    if let Some(query) = uri.query() {
        facts = facts.query(query);
    }
    if let Some(scheme) = uri.scheme_str() {
        facts = facts.scheme(scheme);
    }
    if let Some(host) = host_of(head, uri) {
        facts = facts.host(host);
    }
    if let Some(protocol) = protocol(head.version) {
        facts = facts.protocol(protocol);
    }
    if let Some(traceparent) = text(&head.headers, &TRACEPARENT) {
        facts = facts.traceparent(traceparent);
    }
    if let Some(id) = request_id_header.and_then(|name| request_id(&head.headers, name)) {
        facts = facts.id(id);
    }
    match peer(head) {
        Some(peer) => begin(facts.peer(&peer)),
        None => begin(facts),
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

/// The Host header, or HTTP/2's authority.
fn host_of<'a>(head: &'a request::Parts, uri: &'a Uri) -> Option<&'a str> {
    text(&head.headers, &header::HOST).or_else(|| uri.authority().map(http::uri::Authority::as_str))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// An id that a proxy gave. It goes into logs and answers, so only a modest one is taken.
fn request_id<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let modest = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b);
    text(headers, name)
        .filter(|id| (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(modest))
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
fn peer(head: &request::Parts) -> Option<String> {
    use axum::extract::ConnectInfo;
    let ConnectInfo(address) = head.extensions.get::<ConnectInfo<std::net::SocketAddr>>()?;
    Some(address.ip().to_string())
}

#[cfg(not(feature = "axum"))]
fn peer(_: &request::Parts) -> Option<String> {
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
