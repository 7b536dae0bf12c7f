//! A webhook: what was done to the site, and what goes wrong, told to people where they are.
//!
//! Each notice is a POST of JSON made by a [template](Webhook::template): chat servers take
//! `{"text": "…"}` as it is, and gateways to IRC, mail or a pager what they want. Told are, by
//! [`on`](Webhook::on):
//!
//! | kind | is |
//! | --- | --- |
//! | `deploy`, `flag`, `shed`, `own` | events: what was done to the site, by whom and why |
//! | `stuck` | a request that is being served for longer than `stuck_after`, with the call it is in |
//! | `flags` | errors in the files of the flags |
//! | `sink` | another sink cannot send, or drops |
//! | `queue`, `log`, `limit`, `misuse`, `panic`, `gate` | what else [`on_log`](crate::ProfilerBuilder::on_log) is told |
//!
//! By default the first two rows. What the last rows say each process says for itself, once a minute
//! and kind, and some of it any visitor can bring about.
//!
//! No more than [`at_most`](Webhook::at_most) are sent a minute: with the last one come all that are
//! too many, in one notice of the kind `several`.
//!
//! In what the profiler or the application says (`stuck`, `own` and so on; not in `deploy`, `flag`
//! and `shed`), which may quote a visitor, `<`, `>` and `@` are written `‹`, `›` and `＠`, so that
//! nobody calls a channel together from outside.

mod notice;
mod template;

use super::destination::{Destination, SinkConfig, Wants};
use super::http::{Client, HttpOptions, Post};
use super::parcel::{MetricSink, Packet, Parcel, Unsent};
use crate::collect::config::{Configurable, Key};
use crate::error::Error;
use crate::flags::file::did_you_mean;
use notice::Notice;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use template::Template;

/// What can be told.
const KINDS: [&str; 13] = [
    "deploy", "flag", "shed", "own", "stuck", "flags", "sink", "queue", "log", "limit", "misuse",
    "panic", "gate",
];
const DEFAULT_KINDS: usize = 5;
const DEFAULT_TEMPLATE: &str = r#"{"text": "{{text}}"}"#;
const MINUTE: Duration = Duration::from_secs(60);
/// What waits is told in one notice, but of so many bytes.
const MAX_WAITING: usize = 64 << 10;

/// Tells people, through a webhook.
///
/// ```
/// use ioprofiler::Profiler;
/// use ioprofiler::sinks::Webhook;
/// # fn main() -> Result<(), ioprofiler::Error> {
/// let chat = Webhook::to("http://chat.example.com/hooks/xyz");
/// // A gateway that sends mail, for what somebody must get up for.
/// let mail = Webhook::to("http://gateway.example.com/mail")
///     .on(["shed", "stuck"])
///     .header("Authorization", "Bearer 0123456789")
///     .template(
///         r#"{"to": ["ops@example.com"],
///             "subject": "[shop] {{kind}} on {{host}}",
///             "body": "{{text}}\n\n{{time}}"}"#,
///     );
/// // A bot that speaks IRC.
/// let irc = Webhook::to("http://bot.example.com:8080/say")
///     .on(["deploy"])
///     .template(r##"{"channel": "#push", "message": "{{who}} deployed {{what}} {{version}}"}"##);
/// let profiler = Profiler::builder().send_to(chat).send_to(mail).send_to(irc).build()?;
/// # let _ = profiler;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Webhook {
    http: HttpOptions,
    on: Vec<String>,
    template: String,
    at_most: u32,
}

impl Default for Webhook {
    fn default() -> Self {
        let kinds = KINDS.iter().take(DEFAULT_KINDS);
        Self {
            http: HttpOptions::default(),
            on: kinds.map(|kind| (*kind).to_owned()).collect(),
            template: DEFAULT_TEMPLATE.to_owned(),
            at_most: 10,
        }
    }
}

impl Webhook {
    /// To a URL, which is never shown, since it is a secret often enough. `https://` needs the
    /// feature `tls`.
    #[must_use]
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            http: HttpOptions::to(url),
            ..Self::default()
        }
    }

    /// What is told: `deploy`, `flag`, `shed`, `own`, `stuck`, `flags`, `sink`, `queue`, `log`,
    /// `limit`, `misuse`, `panic`, `gate`. Default: the first five.
    #[must_use]
    pub fn on<K: Into<String>>(mut self, kinds: impl IntoIterator<Item = K>) -> Self {
        self.on = kinds.into_iter().map(Into::into).collect();
        self
    }

    /// What is sent: JSON, in whose texts `{{NAME}}` stands for
    ///
    /// - `text`: all of it, in a line: `deploy 8c1f: new search, by erika (it is Tuesday)`;
    /// - `kind`: what of [`on`](Self::on) it is, or `several`;
    /// - `what`, `who`, `why`, `version`, `from`, `to`: the parts of an event, empty where it has
    ///   none; of what the profiler says, `what` is all of it;
    /// - `host`: the machine; `time`: when, as `2026-11-23T03:12:07Z`;
    /// - `count`: of how many notices.
    ///
    /// Default `{"text": "{{text}}"}`, which Slack, Mattermost, Rocket.Chat and Google Chat take;
    /// Discord takes `{"content": "{{text}}"}`.
    #[must_use]
    pub fn template(mut self, template: impl Into<String>) -> Self {
        self.template = template.into();
        self
    }

    /// One more header of each request. Never shown.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.http.headers.push((name.into(), value.into()));
        self
    }

    /// A file of certificates in PEM, of the authorities that are believed instead of the machine's.
    /// Needs the feature `tls`.
    #[must_use]
    pub fn ca_file(mut self, file: impl Into<PathBuf>) -> Self {
        self.http.ca_file = Some(file.into());
        self
    }

    /// No more than so many a minute, 1 to 600; what is more comes in one notice. Default 10.
    #[must_use]
    pub fn at_most(mut self, notices: u32) -> Self {
        self.at_most = notices;
        self
    }

    fn tells(&self, kind: &str) -> bool {
        self.on.iter().any(|on| on == kind)
    }
}

impl Configurable for Webhook {
    const NAME: &'static str = "webhook";
    const SEVERAL: bool = true;
    const KEYS: &'static [Key<Self>] = &[
        Key("url", |webhook, setting| {
            setting.text(&mut webhook.http.url)
        }),
        Key("on", |webhook, setting| setting.texts(&mut webhook.on)),
        Key("template", |webhook, setting| {
            setting.text(&mut webhook.template)
        }),
        Key("headers", |webhook, setting| {
            setting.pairs(&mut webhook.http.headers)
        }),
        Key("ca_file", |webhook, setting| {
            setting.path(webhook.http.ca_file.get_or_insert_default())
        }),
        Key("at_most", |webhook, setting| {
            setting.number(&mut webhook.at_most)
        }),
    ];
}

impl From<Webhook> for Destination {
    fn from(webhook: Webhook) -> Self {
        Self(Arc::new(webhook))
    }
}

impl SinkConfig for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str, why: String| Err(Error::of(format!("webhook.{what}"), why));
        self.http.check("webhook", "url")?;
        let allowed = KINDS.join(", ");
        if self.on.is_empty() {
            return wrong("on", format!("is empty; allowed are: {allowed}"));
        }
        if let Some(kind) = self.on.iter().find(|kind| !KINDS.contains(&&***kind)) {
            let meant = did_you_mean(kind, KINDS);
            let between = if meant.is_empty() { ";" } else { "" };
            let why = format!("there is no {kind:?}{meant}{between} allowed are: {allowed}");
            return wrong("on", why);
        }
        if let Err(why) = Template::parse(&self.template) {
            return wrong("template", why);
        }
        if !(1..=600).contains(&self.at_most) {
            let why = format!("{} is not between 1 and 600", self.at_most);
            return wrong("at_most", why);
        }
        Ok(())
    }

    /// It sends no series.
    fn interval(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    fn wants(&self) -> Wants {
        Wants {
            events: KINDS.iter().take(4).any(|kind| self.tells(kind)),
            ..Wants::default()
        }
    }

    fn wants_notices(&self) -> bool {
        KINDS.iter().skip(4).any(|kind| self.tells(kind))
    }

    fn is_datagram(&self) -> bool {
        false
    }

    fn make(&self) -> Box<dyn MetricSink> {
        Box::new(Sender {
            client: Client::new(&self.http),
            template: Template::parse(&self.template).unwrap_or_default(),
            options: self.clone(),
            sent: VecDeque::new(),
        })
    }
}

struct Sender {
    options: Webhook,
    client: Client,
    template: Template,
    /// When notices were sent, in the last minute.
    sent: VecDeque<Instant>,
}

impl Sender {
    /// How many more may be sent now.
    fn left(&mut self) -> usize {
        while self.sent.front().is_some_and(|at| at.elapsed() >= MINUTE) {
            self.sent.pop_front();
        }
        (self.options.at_most as usize).saturating_sub(self.sent.len())
    }
}

impl MetricSink for Sender {
    /// Waits as a list of notices; which of them are told together is seen when they are sent.
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
        let notice = match parcel {
            Parcel::Event(event) => Notice::of_event(event),
            Parcel::Notice(event) => Notice::of_alert(event),
            Parcel::Report(_) | Parcel::Kept(_) => return Vec::new(),
        };
        if !self.options.tells(&notice.kind) {
            return Vec::new();
        }
        vec![Packet {
            bytes: notice::write(&[notice]),
            points: 1,
            place: "",
        }]
    }

    fn join(&mut self, first: &mut Packet, next: &Packet) -> bool {
        let fits = first.bytes.len() + next.bytes.len() <= MAX_WAITING;
        if self.left() > 1 || !fits {
            return false;
        }
        let mut notices = notice::read(&first.bytes);
        notices.extend(notice::read(&next.bytes));
        first.bytes = notice::write(&notices);
        first.points += next.points;
        true
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        if self.left() == 0
            && let Some(first) = self.sent.front()
        {
            return Err(Unsent::NotYet(MINUTE.saturating_sub(first.elapsed())));
        }
        let notice = notice::together(notice::read(&packet.bytes));
        let body = self.template.filled(&notice);
        let post = Post {
            path: "",
            content_type: "application/json",
            is_gzip: false,
            body: body.as_bytes(),
        };
        self.client.post(&post, within)?;
        self.sent.push_back(Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests;
