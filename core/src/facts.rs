//! What a request is about: as the host tells it at begin, and as a slot keeps it.

use crate::flags::{FlagFacts, Subject, hash};
use crate::notes::StoredNotes;
use crate::profile::{FactsData, RequestKind};
use std::net::IpAddr;

/// What is known of a request when it begins. Borrowed: nothing is copied before
/// [`Profiler::begin`](crate::Profiler::begin).
///
/// ```
/// use ioprofiler::Facts;
/// let facts = Facts::web("GET", "/listing/5773453").query("ioprofiler=1").host("etsy.example");
/// # let _ = facts;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    pub(crate) kind: RequestKind,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
    pub(crate) protocol: Option<&'a str>,
    pub(crate) peer: Option<&'a str>,
    pub(crate) peer_ip: Option<IpAddr>,
    pub(crate) id: Option<&'a str>,
    pub(crate) parent_id: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    pub(crate) viewer: Option<&'a str>,
    pub(crate) headers: Headers<'a>,
    pub(crate) asked: bool,
    pub(crate) flag_overrides: Option<&'a str>,
}

/// Request headers, as a host has them: as text or as they came.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Headers<'a> {
    Text(&'a [(&'a str, &'a str)]),
    Raw(&'a [(&'a str, &'a [u8])]),
}

impl Default for Headers<'_> {
    fn default() -> Self {
        Self::Text(&[])
    }
}

macro_rules! optional {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[must_use]
        #[inline]
        pub fn $name(mut self, value: &'a str) -> Self {
            self.$name = Some(value);
            self
        }
    )*};
}

impl<'a> Facts<'a> {
    /// A page or an API call: method and raw path, without the query.
    #[must_use]
    #[inline]
    pub fn web(method: &'a str, path: &'a str) -> Self {
        Self {
            kind: RequestKind::Web,
            method,
            path,
            ..Self::default()
        }
    }

    /// Work in the background, by its name.
    #[must_use]
    pub fn job(name: &'a str) -> Self {
        Self {
            kind: RequestKind::Job,
            path: name,
            ..Self::default()
        }
    }

    /// A command, by its name.
    #[must_use]
    pub fn command(name: &'a str) -> Self {
        Self {
            kind: RequestKind::Command,
            path: name,
            ..Self::default()
        }
    }

    optional! {
        /// The raw query, without `?`.
        query
        /// `http` or `https`.
        scheme
        /// The Host header or authority.
        host
        /// `HTTP/1.1`.
        protocol
        /// The peer's address.
        peer
        /// The request's id, where the host has one; else one is made up.
        id
        /// The W3C `traceparent` header.
        traceparent
        /// Who looks at the profile, where a token said so.
        viewer
        /// What the viewer chose, `new_search:green,cart:off`. Only where the gate was open at
        /// begin: see [`Gate::flag_overrides`](crate::Gate::flag_overrides).
        flag_overrides
    }

    /// As [`Facts::peer`], where the host has it as a number: it is written out only where somebody
    /// reads it.
    #[must_use]
    #[inline]
    pub fn peer_ip(mut self, peer: IpAddr) -> Self {
        self.peer_ip = Some(peer);
        self
    }

    /// Those request headers that configured formats name
    /// ([`Profiler::wanted_headers`](crate::Profiler::wanted_headers)).
    #[must_use]
    pub fn headers(mut self, headers: &'a [(&'a str, &'a str)]) -> Self {
        self.headers = Headers::Text(headers);
        self
    }

    /// As [`Facts::headers`], with values as they came: any bytes. Instead of it, not beside it.
    #[must_use]
    pub fn raw_headers(mut self, headers: &'a [(&'a str, &'a [u8])]) -> Self {
        self.headers = Headers::Raw(headers);
        self
    }

    /// Whether the request asked for its profile: under `record = asked` only such requests record
    /// their calls.
    #[must_use]
    #[inline]
    pub fn asked(mut self, asked: bool) -> Self {
        self.asked = asked;
        self
    }

    pub(crate) fn parent(mut self, id: &'a str) -> Self {
        self.parent_id = Some(id);
        self
    }
}

/// A longer fact is cut.
const MAX_FACT: usize = 8_192;
/// Of a string that is kept for the slot's next request.
const KEPT_CAPACITY: usize = 1_024;
/// A request keeps at most so many headers, and so many of its answer.
const MAX_HEADERS: usize = 128;

/// Texts that every request has, one after the other in one buffer.
#[derive(Clone, Copy, Debug)]
enum At {
    Method,
    Path,
    Query,
    Scheme,
    Host,
    Protocol,
    Peer,
    Id,
    ParentId,
    Traceparent,
}

const FIXED: usize = At::Traceparent as usize + 1;

/// The facts of a slot. Its buffers are kept from request to request.
#[derive(Debug, Default)]
pub(crate) struct StoredFacts {
    kind: RequestKind,
    buffer: String,
    /// Which texts there are: a bit for each.
    there: u16,
    places: [(u32, u32); FIXED],
    peer_ip: Option<IpAddr>,
    headers: StoredHeaders,
    answer_headers: StoredHeaders,
    viewer: Kept,
    route: Kept,
    user: Kept,
    visitor: Kept,
    /// The first `group_count` are this request's, the rest are buffers.
    groups: Vec<String>,
    group_count: usize,
    error: Kept,
    /// What only flags ask for.
    pub(crate) flags: FlagFacts,
    /// Beside the facts, because whoever sets or reads either takes the same lock.
    pub(crate) notes: StoredNotes,
}

const _: () = assert!(FIXED <= u16::BITS as usize);

/// A text that may be set later, in a buffer that is kept.
#[derive(Debug, Default)]
struct Kept {
    text: String,
    is_set: bool,
}

impl Kept {
    fn set(&mut self, text: &str) {
        refill(&mut self.text, text);
        self.is_set = true;
    }

    fn get(&self) -> Option<&str> {
        self.is_set.then_some(&self.text)
    }

    fn owned(&self) -> Option<String> {
        self.get().map(str::to_owned)
    }
}

/// Puts a fact into a buffer, which does not stay large for a later, smaller one.
fn refill(buffer: &mut String, text: &str) {
    let text = crate::text::cut_str(text, MAX_FACT);
    buffer.clear();
    buffer.shrink_to(KEPT_CAPACITY.max(text.len()));
    buffer.push_str(text);
}

/// Names and values of headers, one after the other in one buffer.
#[derive(Debug, Default)]
struct StoredHeaders {
    bytes: Vec<u8>,
    /// Where each name ends, and its value.
    ends: Vec<(u32, u32)>,
}

impl StoredHeaders {
    fn add(&mut self, name: &str, value: &[u8]) {
        if self.ends.len() >= MAX_HEADERS {
            return;
        }
        let name = crate::text::cut_str(name, MAX_FACT);
        self.bytes.extend_from_slice(name.as_bytes());
        let name_end = self.bytes.len() as u32;
        self.bytes
            .extend_from_slice(value.get(..MAX_FACT).unwrap_or(value));
        self.ends.push((name_end, self.bytes.len() as u32));
    }

    fn clear(&mut self) {
        if self.ends.is_empty() {
            return;
        }
        self.ends.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
    }

    fn data(&self) -> Vec<(String, Vec<u8>)> {
        let mut start = 0;
        let mut read = |end: u32| {
            let bytes = self.bytes.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            bytes
        };
        let pair = |&(name, value): &(u32, u32)| {
            let name = String::from_utf8_lossy(read(name)).into_owned();
            (name, read(value).to_owned())
        };
        self.ends.iter().map(pair).collect()
    }
}

/// A fact that is set after begin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Late<'a> {
    Route(&'a str),
    User(&'a str),
    Visitor(&'a str),
    Group(&'a str),
    Viewer(&'a str),
    Error(&'a str),
    Attribute(&'a str, &'a str),
    AnswerHeader(&'a str, &'a [u8]),
}

const MAX_GROUPS: usize = 64;

impl StoredFacts {
    pub(crate) fn store(&mut self, facts: &Facts<'_>) {
        // Cleared here, not when the last request ended: that saves it another lock.
        self.clear();
        self.kind = facts.kind;
        self.peer_ip = facts.peer_ip;
        self.put(At::Method, Some(facts.method));
        self.put(At::Path, Some(facts.path));
        self.put(At::Query, facts.query);
        self.put(At::Scheme, facts.scheme);
        self.put(At::Host, facts.host);
        self.put(At::Protocol, facts.protocol);
        self.put(At::Peer, facts.peer);
        self.put(At::Id, facts.id);
        self.put(At::ParentId, facts.parent_id);
        self.put(At::Traceparent, facts.traceparent);
        match facts.headers {
            Headers::Text(headers) => {
                for (name, value) in headers {
                    self.headers.add(name, value.as_bytes());
                }
            }
            Headers::Raw(headers) => {
                for (name, value) in headers {
                    self.headers.add(name, value);
                }
            }
        }
        if let Some(viewer) = facts.viewer {
            self.viewer.set(viewer);
        }
        if let Some(overrides) = facts.flag_overrides {
            self.flags.set_overrides(overrides);
        }
    }

    #[inline]
    fn put(&mut self, at: At, text: Option<&str>) {
        let Some(text) = text else { return };
        let start = self.buffer.len() as u32;
        self.buffer.push_str(crate::text::cut_str(text, MAX_FACT));
        if let Some(place) = self.places.get_mut(at as usize) {
            *place = (start, self.buffer.len() as u32);
            self.there |= 1 << at as usize;
        }
    }

    fn text(&self, at: At) -> Option<&str> {
        if self.there & (1 << at as usize) == 0 {
            return None;
        }
        let (start, end) = *self.places.get(at as usize)?;
        self.buffer.get(start as usize..end as usize)
    }

    fn owned(&self, at: At) -> Option<String> {
        self.text(at).map(str::to_owned)
    }

    pub(crate) fn set(&mut self, late: Late<'_>) {
        match late {
            Late::Route(route) => self.route.set(route),
            Late::User(user) => {
                self.user.set(user);
                self.flags.user = hash(&self.user.text);
            }
            Late::Visitor(visitor) => {
                self.visitor.set(visitor);
                self.flags.visitor = hash(&self.visitor.text);
            }
            Late::Attribute(name, value) => self.flags.set_attribute(name, value),
            Late::Viewer(viewer) => self.viewer.set(viewer),
            Late::Error(error) => self.error.set(error),
            Late::AnswerHeader(name, value) => self.answer_headers.add(name, value),
            Late::Group(group) => self.add_group(group),
        }
    }

    fn add_group(&mut self, group: &str) {
        if self.group_count >= MAX_GROUPS || self.groups().iter().any(|known| known == group) {
            return;
        }
        if self.groups.len() <= self.group_count {
            self.groups.push(String::new());
        }
        if let Some(buffer) = self.groups.get_mut(self.group_count) {
            refill(buffer, group);
            self.group_count += 1;
        }
    }

    fn groups(&self) -> &[String] {
        self.groups.get(..self.group_count).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.buffer.clear();
        if self.buffer.capacity() > KEPT_CAPACITY {
            self.buffer.shrink_to(KEPT_CAPACITY);
        }
        self.there = 0;
        self.headers.clear();
        self.answer_headers.clear();
        self.notes.clear();
        self.group_count = 0;
        self.viewer.is_set = false;
        self.route.is_set = false;
        self.user.is_set = false;
        self.visitor.is_set = false;
        self.error.is_set = false;
        self.flags.clear();
    }

    /// About whom flags decide.
    pub(crate) fn subject(&self) -> Subject<'_> {
        self.flags
            .subject(self.visitor.get(), self.user.get(), self.groups())
    }

    pub(crate) fn id(&self) -> Option<String> {
        self.owned(At::Id)
    }

    pub(crate) fn parent_id(&self) -> Option<String> {
        self.owned(At::ParentId)
    }

    pub(crate) fn kind(&self) -> RequestKind {
        self.kind
    }

    /// Kind, and whether something went wrong.
    pub(crate) fn ending(&self) -> (RequestKind, bool) {
        (self.kind, self.error.is_set)
    }

    pub(crate) fn method(&self) -> &str {
        self.text(At::Method).unwrap_or_default()
    }

    /// What its series are called by: see [`FactsData::route_label`].
    pub(crate) fn route_label(&self) -> &str {
        match (self.kind, self.route.get()) {
            (_, Some(route)) => route,
            (RequestKind::Web, None) => "unknown",
            (RequestKind::Job | RequestKind::Command, None) => {
                self.text(At::Path).unwrap_or_default()
            }
        }
    }

    pub(crate) fn data(&self) -> FactsData {
        FactsData {
            kind: self.kind,
            method: self.owned(At::Method).unwrap_or_default(),
            path: self.owned(At::Path).unwrap_or_default(),
            query: self.owned(At::Query),
            scheme: self.owned(At::Scheme),
            host: self.owned(At::Host),
            protocol: self.owned(At::Protocol),
            peer: self
                .owned(At::Peer)
                .or_else(|| Some(self.peer_ip?.to_string())),
            traceparent: self.owned(At::Traceparent),
            headers: self.headers.data(),
            answer_headers: self.answer_headers.data(),
            route: self.route.owned(),
            user: self.user.owned(),
            visitor: self.visitor.owned(),
            groups: self.groups().to_vec(),
            viewer: self.viewer.owned(),
            status: None,
            bytes_out: None,
            error: self.error.owned(),
        }
    }
}
