//! Did this request ask for its profile, and what of ours does it carry?
//!
//! This runs on every request of every page, so it takes nothing apart that does not mention us:
//! one scan over the query and each Cookie header, no allocation. What is found is kept by
//! reference in [`Inputs`]; nothing is decided here.
//!
//! Ways to ask, the first that is there wins:
//!
//! 1. the query: `?ioprofiler=1`, `text`, `json` or `ticket` (the name is [`Gate::parameter`]'s);
//! 2. the header `X-Ioprofiler: text`;
//! 3. the cookie `ioprofiler_ask=FORM.EXPIRY`, for redirects, POSTs and API calls. `EXPIRY` is in
//!    Unix seconds and at most 15 minutes ahead, so the cookie switches itself off even where the
//!    browser keeps it: see [`ask_cookie`].
//!
//! [`Gate::parameter`]: super::Gate::parameter

use super::Refusal;

/// Name of the cookie that asks.
pub const ASK_COOKIE: &str = "ioprofiler_ask";
/// How long the cookie that asks is good for, in seconds.
pub const ASK_COOKIE_LIFE: u64 = 15 * 60;
/// Name of the header that asks.
pub const ASK_HEADER: &str = "x-ioprofiler";
/// Names of the cookies that carry a token: the first over https, the second without.
pub const TOKEN_COOKIES: [&str; 2] = ["__Host-ioprofiler", "ioprofiler"];
/// Name of the header that carries a token.
pub const TOKEN_HEADER: &str = "x-ioprofiler-token";
/// Longest query or header that is looked at, in bytes; servers allow 8 to 64 KiB.
pub const MAX_LOOKED_AT: usize = 64 * 1024;

/// The query's parameter that overrides flags: `?ioflags=new_search:green,cart:off`.
pub const FLAGS_PARAMETER: &str = "ioflags";
/// Name of the cookie that overrides flags, with the same value.
pub const FLAGS_COOKIE: &str = "ioprofiler_flags";

/// How far a viewer's clock may differ from ours, in seconds.
pub(super) const SKEW: u64 = 60;

/// What all our cookie names contain.
const MARK: &[u8] = b"ioprofiler";

/// The form in which a profile was asked for.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// `1`: the panel in the page.
    #[default]
    Page,
    /// `text`: calls and table as text.
    Text,
    /// `json`: everything, for scripts.
    Json,
    /// `ticket`: text without literals, to be pasted anywhere.
    Ticket,
}

impl Form {
    /// All forms.
    pub const ALL: [Self; 4] = [Self::Page, Self::Text, Self::Json, Self::Ticket];

    /// As it is written in a URL, header or cookie: `1`, `text`, `json` or `ticket`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Page => "1",
            Self::Text => "text",
            Self::Json => "json",
            Self::Ticket => "ticket",
        }
    }

    /// The form that is written so, if any is. Case matters.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|form| form.as_str().as_bytes() == text)
    }
}

/// A value that may be said once; said twice and differently, it is not to be trusted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Slot<'a> {
    #[default]
    Empty,
    One(&'a [u8]),
    Ambiguous,
}

impl<'a> Slot<'a> {
    fn put(&mut self, value: &'a [u8]) {
        *self = match *self {
            Self::Empty => Self::One(value),
            Self::One(before) if before == value => Self::One(before),
            Self::One(_) | Self::Ambiguous => Self::Ambiguous,
        };
    }

    /// A header's value; servers join repeated headers with commas.
    fn put_list(&mut self, value: &'a [u8]) {
        for part in value.split(|&byte| byte == b',') {
            self.put(part.trim_ascii());
        }
    }
}

/// What a request carries that may concern the gate, by reference.
///
/// ```
/// use ioprofiler::gate::Inputs;
/// let mut inputs = Inputs::new(b"page=2&ioprofiler=1", Some(b"etsy.example"));
/// inputs.cookie(b"session=5; __Host-ioprofiler=iop1.abc"); // once for each Cookie header
/// inputs.header(b"X-Ioprofiler", b"text"); // or simply all headers, by name
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs<'a> {
    pub(super) query: &'a [u8],
    pub(super) host: Option<&'a [u8]>,
    pub(super) token: Slot<'a>,
    ask_header: Slot<'a>,
    ask_cookie: Slot<'a>,
    flags_cookie: Slot<'a>,
    pub(super) oversized: bool,
}

impl<'a> Inputs<'a> {
    /// The raw query without `?` (empty if there is none), and the Host header or authority.
    #[inline]
    #[must_use]
    pub fn new(query: &'a [u8], host: Option<&'a [u8]>) -> Self {
        Self {
            query,
            host,
            ..Self::default()
        }
    }

    /// The value of a Cookie header. HTTP/2 may send one for each cookie: call it for each.
    #[inline]
    pub fn cookie(&mut self, value: &'a [u8]) {
        if value.len() > MAX_LOOKED_AT {
            self.oversized = true;
        } else if mentions(value, MARK) {
            self.take_cookies(value);
        }
    }

    #[cold]
    fn take_cookies(&mut self, value: &'a [u8]) {
        for pair in value.split(|&byte| byte == b';') {
            let Some((name, value)) = split_pair(pair) else {
                continue;
            };
            let (name, value) = (name.trim_ascii(), value.trim_ascii());
            if TOKEN_COOKIES.iter().any(|cookie| cookie.as_bytes() == name) {
                self.token.put(value);
            } else if name == ASK_COOKIE.as_bytes() {
                self.ask_cookie.put(value);
            } else if name == FLAGS_COOKIE.as_bytes() {
                self.flags_cookie.put(value);
            }
        }
    }

    /// The value of an `X-Ioprofiler` header.
    pub fn ask_header(&mut self, value: &'a [u8]) {
        if value.len() > MAX_LOOKED_AT {
            self.oversized = true;
        } else {
            self.ask_header.put_list(value);
        }
    }

    /// The value of an `X-Ioprofiler-Token` header.
    pub fn token_header(&mut self, value: &'a [u8]) {
        if value.len() > MAX_LOOKED_AT {
            self.oversized = true;
        } else {
            self.token.put_list(value);
        }
    }

    /// Any header: those that do not concern the gate are passed over. For hosts that walk over
    /// all headers; the name's case does not matter. `Host` counts where [`new`](Self::new) was
    /// given none.
    #[inline]
    pub fn header(&mut self, name: &[u8], value: &'a [u8]) {
        match name.len() {
            4 if self.host.is_none() && name.eq_ignore_ascii_case(b"host") => {
                self.host = Some(value);
            }
            6 if name.eq_ignore_ascii_case(b"cookie") => self.cookie(value),
            12 if name.eq_ignore_ascii_case(ASK_HEADER.as_bytes()) => self.ask_header(value),
            18 if name.eq_ignore_ascii_case(TOKEN_HEADER.as_bytes()) => self.token_header(value),
            _ => {}
        }
    }

    /// Whether anything here asks for a profile, or for flags.
    #[inline]
    pub(super) fn mention_us(&self, parameter: &[u8]) -> bool {
        let no_header = matches!(
            (self.ask_header, self.ask_cookie, self.flags_cookie),
            (Slot::Empty, Slot::Empty, Slot::Empty)
        );
        !no_header
            || self.query_mentions(parameter)
            || self.query_mentions(FLAGS_PARAMETER.as_bytes())
    }

    #[inline]
    fn query_mentions(&self, parameter: &[u8]) -> bool {
        self.query.len() <= MAX_LOOKED_AT && mentions(self.query, parameter)
    }

    /// The form asked for; an error where it asked, but not clearly.
    #[inline]
    pub(super) fn form(&self, parameter: &[u8], now: u64) -> Option<Result<Form, Refusal>> {
        let in_query = self.query_mentions(parameter);
        let nowhere_else =
            matches!(self.ask_header, Slot::Empty) && matches!(self.ask_cookie, Slot::Empty);
        if !in_query && nowhere_else {
            return None;
        }
        self.form_by_order(parameter, now)
    }

    /// The flags that the viewer wants otherwise, `new_search:green,cart:off`: the query's before
    /// the cookie's, since the first of a name holds.
    pub(super) fn flag_overrides(&self) -> Option<String> {
        let in_query = self.query_mentions(FLAGS_PARAMETER.as_bytes());
        if !in_query && matches!(self.flags_cookie, Slot::Empty) {
            return None;
        }
        let query = self.query.split(|&byte| byte == b'&');
        let query = query.filter_map(split_pair).filter(|_| in_query);
        let query = query
            .filter(|(name, _)| *name == FLAGS_PARAMETER.as_bytes())
            .map(|(_, value)| value);
        let cookie = match self.flags_cookie {
            Slot::One(value) => Some(value),
            Slot::Empty | Slot::Ambiguous => None,
        };
        let values: Vec<String> = query.chain(cookie).map(decoded).collect();
        let values = values.join(",");
        (!values.is_empty()).then_some(values)
    }

    #[cold]
    fn form_by_order(&self, parameter: &[u8], now: u64) -> Option<Result<Form, Refusal>> {
        let mut query = Slot::Empty;
        if self.query.len() <= MAX_LOOKED_AT {
            for pair in self.query.split(|&byte| byte == b'&') {
                let (name, value) = split_pair(pair).unwrap_or((pair, b""));
                if name == parameter {
                    query.put(value);
                }
            }
        }
        for slot in [query, self.ask_header] {
            match slot {
                Slot::Empty => {}
                Slot::One(text) => return Some(Form::parse(text).ok_or(Refusal::UnknownForm)),
                Slot::Ambiguous => return Some(Err(Refusal::AmbiguousAsk)),
            }
        }
        match self.ask_cookie {
            Slot::Empty => None,
            // An old one is no fault of the viewer's: as if it were not there.
            Slot::One(text) => form_of_cookie(text, now).transpose(),
            Slot::Ambiguous => Some(Err(Refusal::AmbiguousAsk)),
        }
    }
}

/// `text.1795430000` → the form, nothing when switched off, an error when not ours.
fn form_of_cookie(text: &[u8], now: u64) -> Result<Option<Form>, Refusal> {
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let form = parts
        .next()
        .and_then(Form::parse)
        .ok_or(Refusal::UnknownForm)?;
    let expires = parts.next().and_then(seconds).ok_or(Refusal::UnknownForm)?;
    let on = now < expires && expires <= now.saturating_add(ASK_COOKIE_LIFE + SKEW);
    Ok(on.then_some(form))
}

/// The cookie that asks for the next 15 minutes, as a value for `Set-Cookie` or for
/// `document.cookie`.
///
/// It carries no right, only the wish; the gate decides as for any other request. A script may
/// write the same: `ioprofiler_ask=1.` and the Unix time in seconds plus 900.
#[must_use]
pub fn ask_cookie(form: Form, now: u64) -> String {
    let (form, expires) = (form.as_str(), now.saturating_add(ASK_COOKIE_LIFE));
    format!("{ASK_COOKIE}={form}.{expires}; Path=/; Max-Age={ASK_COOKIE_LIFE}; SameSite=Strict")
}

/// Unix seconds as at most 12 digits without leading zeros: one spelling for each number.
pub(super) fn seconds(text: &[u8]) -> Option<u64> {
    let canonical = (1..=12).contains(&text.len())
        && text.iter().all(u8::is_ascii_digit)
        && (text.len() == 1 || text.first() != Some(&b'0'));
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A value with its `%XX` read; what is none stays.
fn decoded(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = if byte == b'%' { after.get(..2) } else { None };
        let hex = escaped.filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let read = hex
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match read {
            Some(read) => {
                bytes.push(read);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = pair.iter().position(|&byte| byte == b'=')?;
    Some((pair.get(..at)?, pair.get(at + 1..)?))
}

/// Positions that [`mentions`] looks at in one go.
const BLOCK: usize = 32;

/// Whether `text` contains `word`.
///
/// Three bytes of the word are compared at once over blocks of 32 positions, in a form that the
/// compiler turns into vector instructions; only where all stand at their distance is the text
/// looked at closely. The last block overlaps the one before it, so nothing is left over.
#[inline]
fn mentions(text: &[u8], word: &[u8]) -> bool {
    let Some(places) = (text.len() + 1).checked_sub(word.len()) else {
        return false;
    };
    let probe = |at: usize| Some((*word.get(at)?, text.get(at..at + places)?));
    let probes = (
        probe(word.len() / 5),
        probe(word.len() / 2),
        probe(word.len().wrapping_sub(1)),
    );
    let (Some((a, first)), Some((b, second)), Some((c, third))) = probes else {
        return false;
    };
    let in_block = |x: &[u8; BLOCK], y: &[u8; BLOCK], z: &[u8; BLOCK]| {
        let mut seen = 0;
        for ((&x, &y), &z) in x.iter().zip(y).zip(z) {
            seen |= u8::from(x == a) & u8::from(y == b) & u8::from(z == c);
        }
        seen != 0
    };
    let seen = match (first.last_chunk(), second.last_chunk(), third.last_chunk()) {
        (Some(x), Some(y), Some(z)) => {
            let (xs, ys, zs) = (
                first.as_chunks().0,
                second.as_chunks().0,
                third.as_chunks().0,
            );
            in_block(x, y, z)
                || xs
                    .iter()
                    .zip(ys)
                    .zip(zs)
                    .any(|((x, y), z)| in_block(x, y, z))
        }
        _ => first.iter().zip(second).any(|(&x, &y)| (x == a) & (y == b)),
    };
    seen && contains(text, word)
}

#[cold]
fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_agrees_with_the_plain_search_at_every_place() {
        for word in ["ioprofiler", "p", "ab", "profile_me_now"] {
            for length in 0..150 {
                let plain = vec![b'i'; length];
                let word = word.as_bytes();
                assert!(!mentions(&plain, word), "{length}");
                for at in 0..(length + 1).saturating_sub(word.len()) {
                    let mut text = plain.clone();
                    text.splice(at..at + word.len(), word.iter().copied());
                    assert!(mentions(&text, word), "{length} {at}");
                    *text.get_mut(at + word.len() - 1).unwrap() = b'~';
                    assert!(!mentions(&text, word), "{length} {at}");
                }
            }
        }
    }

    #[test]
    fn seconds_have_one_spelling() {
        assert_eq!(seconds(b"1795430000"), Some(1_795_430_000));
        assert_eq!(seconds(b"0"), Some(0));
        for bad in [
            &b""[..],
            b"00",
            b"01",
            b"+1",
            b"-1",
            b" 1",
            b"1e9",
            b"1234567890123",
            b"\xff",
        ] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }
}
