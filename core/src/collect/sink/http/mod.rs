//! The HTTP client of the sinks: POST, on the sink's own thread, within a time.
//!
//! A connection lives for one request: sinks send every so many seconds, and a socket that is kept
//! would be one more that a host may close or take over meanwhile. Nothing is read from the
//! environment (no proxies), no redirect is followed, and of an answer no more than [`MOST_ANSWER`]
//! bytes are read. Connections and what travels through them are [`wire`]'s.
//!
//! What may be sent again is what no server took: where there was no answer, and 429, 502, 503, 504,
//! after the time that the server asks for. Any other refusal is for ever.

#[cfg(feature = "tls")]
mod tls;
mod wire;

use super::parcel::Unsent;
use crate::error::Error;
use crate::text::{cut_str, is_unsafe_to_show};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::http::{HeaderName, HeaderValue, Request, Response, Uri, header};
use ureq::{Agent, Body};
use wire::{Connect, Lookup, Wire};

/// What says who sends.
const USER_AGENT: &str = concat!("ioprofiler/", env!("CARGO_PKG_VERSION"));
/// Of an answer no more is read.
const MOST_ANSWER: usize = 64 << 10;
/// An answer's first lines may have so many bytes.
const MOST_HEADERS: usize = 16 << 10;
/// So much of a refusal is shown.
const MOST_SHOWN: usize = 200;
/// No server has us wait longer.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Where a sink sends to by HTTP: options that several sinks have.
#[derive(Clone, Default)]
pub(crate) struct HttpOptions {
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) ca_file: Option<PathBuf>,
}

/// URLs of webhooks and headers are secrets often enough.
impl std::fmt::Debug for HttpOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.headers.iter().map(|(name, _)| name);
        f.debug_struct("HttpOptions")
            .field("to", &self.shown())
            .field("headers", &names.collect::<Vec<_>>())
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

impl HttpOptions {
    pub(crate) fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// What is wrong, naming which option of which sink and what is allowed.
    pub(crate) fn check(&self, sink: &str, url_option: &str) -> Result<(), Error> {
        self.check_url()
            .map_err(|why| Error::of(format!("{sink}.{url_option}"), why))?;
        for (name, value) in &self.headers {
            check_header(name, value).map_err(|why| {
                Error::of(format!("{sink}.headers"), format_args!("{name:?} {why}"))
            })?;
        }
        self.check_ca_file()
            .map_err(|why| Error::of(format!("{sink}.ca_file"), why))
    }

    fn check_url(&self) -> Result<(), String> {
        const ALLOWED: &str = "wanted is http://HOST[:PORT][/PATH], or the same with https";
        let uri = self.uri().ok_or_else(|| format!("no URL; {ALLOWED}"))?;
        let host = uri.host().unwrap_or_default();
        let shown = self.shown();
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || host.is_empty() || uri.port_u16() == Some(0) {
            return Err(format!("{shown:?} is no such URL; {ALLOWED}"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err(
                "a user and a password do not go into the URL; set a header \
                        `Authorization`"
                    .to_owned(),
            );
        }
        // What follows a port that is none: `host:80x`.
        if authority.len() > host.len() && uri.port_u16().is_none() {
            return Err(format!("{shown:?} has a port that is none; {ALLOWED}"));
        }
        if scheme == "https" && cfg!(not(feature = "tls")) {
            return Err(format!(
                "{shown:?} needs TLS, and this ioprofiler was built without its feature `tls`"
            ));
        }
        Ok(())
    }

    #[cfg(feature = "tls")]
    fn check_ca_file(&self) -> Result<(), String> {
        self.ca_file
            .as_deref()
            .map_or(Ok(()), |file| tls::read(file).map(drop))
    }

    #[cfg(not(feature = "tls"))]
    fn check_ca_file(&self) -> Result<(), String> {
        match &self.ca_file {
            None => Ok(()),
            Some(_) => Err("this ioprofiler was built without its feature `tls`".to_owned()),
        }
    }

    fn uri(&self) -> Option<Uri> {
        // The parser forgets a fragment silently.
        let uri = (!self.url.contains('#')).then(|| self.url.parse::<Uri>());
        uri?.ok()
            .filter(|uri| uri.scheme().is_some() && uri.host().is_some())
    }

    /// Scheme, host and port: what may be shown of it.
    fn shown(&self) -> String {
        let Some(uri) = self.uri() else {
            return String::new();
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        let host = uri.host().unwrap_or_default();
        match uri.port_u16() {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }
    }
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| "is no name of a header".to_owned())?;
    let ours = [
        header::CONNECTION,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::EXPECT,
        header::HOST,
        header::TRANSFER_ENCODING,
    ];
    if ours.contains(&parsed) {
        return Err("is not for you to set".to_owned());
    }
    let is_plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !value.bytes().all(is_plain) {
        return Err("has a value with other than visible characters of ASCII".to_owned());
    }
    Ok(())
}

/// What a server answered that took what it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) is_json: bool,
    pub(crate) body: Vec<u8>,
    /// Why the body is not whole.
    pub(crate) torn: Option<String>,
}

/// One thing to send.
pub(crate) struct Post<'a> {
    /// Behind the URL's own path.
    pub(crate) path: &'a str,
    pub(crate) content_type: &'static str,
    pub(crate) is_gzip: bool,
    pub(crate) body: &'a [u8],
}

/// Sends to one server.
pub(crate) struct Client {
    options: HttpOptions,
    shown: String,
    wire: Arc<Wire>,
    /// Made when there is something to send.
    agent: Option<Agent>,
}

impl Client {
    pub(crate) fn new(options: &HttpOptions) -> Self {
        let uri = options.uri();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
        let port = uri.as_ref().map_or(80, |uri| {
            let https = uri.scheme_str() == Some("https");
            uri.port_u16().unwrap_or(if https { 443 } else { 80 })
        });
        Self {
            options: options.clone(),
            shown: options.shown(),
            wire: Arc::new(Wire::new(&format!("{host}:{port}"))),
            agent: None,
        }
    }

    /// Sends, and reads the answer; says what became of it.
    pub(crate) fn post(&mut self, post: &Post<'_>, within: Duration) -> Result<Answer, Unsent> {
        self.wire.set_deadline(Instant::now() + within);
        let agent = self.agent()?.clone();
        let request = self.request(post);
        let request = request.map_err(|error| self.never(&error.to_string()))?;
        let response = agent.run(request);
        let response = response.map_err(|error| self.failed(&error))?;
        let status = response.status().as_u16();
        let wait = response.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|value| retry_after(value.to_str().ok()?, Timestamp::now()));
        let target = response.headers().get(header::LOCATION).cloned();
        let answer = read(response);
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let mut why = format!("{}: answered {status}", self.shown);
        if (300..400).contains(&status) {
            // Of where it leads no more is shown than of the URL: it may be the same secret.
            let target = target.as_ref().and_then(|target| target.to_str().ok());
            let target = HttpOptions::to(target.unwrap_or_default()).shown();
            why.push_str(&format!(", which is not followed: {target}"));
        } else if !answer.body.is_empty() {
            why.push_str(&format!(": {}", shown(&answer.body)));
        }
        Err(match (status, wait) {
            (429 | 502 | 503 | 504, Some(wait)) => Unsent::After(wait, why),
            (429 | 502 | 503 | 504, None) => Unsent::Later(why),
            _ => Unsent::Never(why),
        })
    }

    /// What is said of an answer that is not what it should be.
    #[cfg(feature = "otlp")]
    pub(crate) fn complaint(&self, answer: &Answer, why: &str) -> String {
        format!("{}: {why}: {}", self.shown, shown(&answer.body))
    }

    /// What is said where a server took it, and said something of it.
    #[cfg(feature = "otlp")]
    pub(crate) fn said(&self, text: &str) -> String {
        format!("{}: {}", self.shown, shown(text.as_bytes()))
    }

    fn agent(&mut self) -> Result<&Agent, Unsent> {
        if self.agent.is_none() {
            let made = self.make_agent().map_err(|why| self.later(&why))?;
            self.agent = Some(made);
        }
        let agent = self.agent.as_ref();
        agent.ok_or_else(|| self.later("no client"))
    }

    fn make_agent(&self) -> Result<Agent, String> {
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .max_idle_connections(0)
            .max_response_header_size(MOST_HEADERS)
            .user_agent(USER_AGENT);
        #[cfg(feature = "tls")]
        let config = config.tls_config(tls::config(&self.options)?);
        let lookup = Lookup(Arc::clone(&self.wire));
        let connect = Connect(Arc::clone(&self.wire));
        #[cfg(feature = "tls")]
        let connect = {
            use ureq::unversioned::transport::{Connector as _, RustlsConnector};
            connect.chain(RustlsConnector::default())
        };
        Ok(Agent::with_parts(config.build(), connect, lookup))
    }

    fn request<'a>(&self, post: &Post<'a>) -> Result<Request<&'a [u8]>, ureq::http::Error> {
        let url = format!("{}{}", self.options.url.trim_end_matches('/'), post.path);
        let url = if post.path.is_empty() {
            &self.options.url
        } else {
            &url
        };
        let mut request = Request::post(url)
            .header(header::CONTENT_TYPE, post.content_type)
            .header(header::CONNECTION, "close");
        if post.is_gzip {
            request = request.header(header::CONTENT_ENCODING, "gzip");
        }
        for (name, value) in &self.options.headers {
            let mut value = HeaderValue::from_str(value)?;
            value.set_sensitive(true);
            request = request.header(name, value);
        }
        request.body(post.body)
    }

    /// There was no answer.
    fn failed(&self, error: &ureq::Error) -> Unsent {
        match error {
            ureq::Error::Http(_) | ureq::Error::BadUri(_) => self.never("no URL"),
            _ => self.later(&wire::said(error)),
        }
    }

    fn later(&self, why: &str) -> Unsent {
        Unsent::Later(format!("{}: {why}", self.shown))
    }

    fn never(&self, why: &str) -> Unsent {
        Unsent::Never(format!("{}: {why}", self.shown))
    }
}

/// Reads an answer's body, or the beginning of it.
fn read(response: Response<Body>) -> Answer {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    let is_json = content_type.is_some_and(|kind| {
        let kind = kind.as_bytes().to_ascii_lowercase();
        kind.starts_with(b"application/json")
    });
    let mut body = Vec::new();
    let mut reader = response.into_body().into_reader();
    let most = MOST_ANSWER as u64 + 1;
    let read = reader.by_ref().take(most).read_to_end(&mut body);
    let torn = match read {
        Ok(_) if body.len() > MOST_ANSWER => {
            Some(format!("the answer has more than {MOST_ANSWER} bytes"))
        }
        Ok(_) => None,
        Err(error) => Some(format!("the answer broke off: {error}")),
    };
    body.truncate(MOST_ANSWER);
    Answer {
        is_json,
        body,
        torn,
    }
}

/// How long a server asks us to wait: seconds, or a date.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    static DATES: DateTimeParser = DateTimeParser::new();
    let value = value.trim();
    let wait = if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a long time too.
        Duration::from_secs(
            value
                .parse()
                .ok()
                .or((!value.is_empty()).then_some(u64::MAX))?,
        )
    } else {
        let then = DATES.parse_timestamp(value).ok()?;
        Duration::try_from(then.duration_since(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST_WAIT))
}

/// The beginning of what a server said, as one line that does no harm.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4 * MOST_SHOWN).unwrap_or(bytes));
    let words: String = text
        .chars()
        .map(|character| match character {
            character if is_unsafe_to_show(character) => ' ',
            character => character,
        })
        .collect();
    let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    cut_str(&line, MOST_SHOWN).to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
