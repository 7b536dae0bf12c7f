//! Events to graphite-web: `POST /events/`, what was done as lines in every graph.
//!
//! Format: graphite-web's documentation "Graphite Events". `what` has at most 255 characters; of
//! `tags`, which must not have spaces, there are the kind (`deploy`), the prefix of the names, the
//! machine, and the flag that was switched; `data` says by whom and why.

use super::destination::{SinkConfig, Wants};
use super::flat::part;
use super::http::{Client, HttpOptions, Post};
use super::parcel::{MetricSink, Packet, Parcel, Unsent};
use crate::collect::{Event, EventKind};
use crate::error::Error;
use crate::text::cut_str;
use serde::Serialize;
use std::time::Duration;

/// What the column of its database holds.
const MAX_WHAT: usize = 255;
/// A longer tag is cut.
const MAX_TAG: usize = 50;

/// Where graphite-web is.
#[derive(Clone, Debug)]
pub(super) struct GraphiteWeb {
    pub(super) http: HttpOptions,
    pub(super) prefix: String,
}

impl SinkConfig for GraphiteWeb {
    fn name(&self) -> &'static str {
        "graphite_events"
    }

    fn check(&self) -> Result<(), Error> {
        self.http.check("graphite", "events")
    }

    /// It sends no series.
    fn interval(&self) -> Duration {
        Duration::from_secs(3_600)
    }

    fn wants(&self) -> Wants {
        Wants {
            events: true,
            ..Wants::default()
        }
    }

    fn is_datagram(&self) -> bool {
        false
    }

    fn make(&self) -> Box<dyn MetricSink> {
        Box::new(Sender {
            client: Client::new(&self.http),
            prefix: self.prefix.clone(),
        })
    }
}

struct Sender {
    client: Client,
    prefix: String,
}

#[derive(Serialize)]
struct Sent<'a> {
    what: &'a str,
    tags: Vec<String>,
    when: u64,
    data: String,
}

impl MetricSink for Sender {
    fn encode(&mut self, parcel: &Parcel) -> Vec<Packet> {
        let Parcel::Event(event) = parcel else {
            return Vec::new();
        };
        let what = event.to_string();
        let sent = Sent {
            what: cut_str(&what, MAX_WHAT),
            tags: tags(event, &self.prefix),
            when: event.at / 1_000_000_000,
            data: data(event),
        };
        vec![Packet {
            // Neither the list nor the writer can fail: keys are names of fields, memory takes all.
            bytes: serde_json::to_vec(&sent).unwrap_or_default(),
            points: 1,
            place: "/events/",
        }]
    }

    fn send(&mut self, packet: &Packet, within: Duration) -> Result<(), Unsent> {
        let post = Post {
            path: packet.place,
            content_type: "application/json",
            is_gzip: false,
            body: &packet.bytes,
        };
        self.client.post(&post, within).map(drop)
    }
}

fn tags(event: &Event, prefix: &str) -> Vec<String> {
    let flag = Some(&*event.what).filter(|_| event.kind == EventKind::Flag);
    let words = [
        Some(event.kind.as_str()),
        Some(prefix),
        Some(&*event.host),
        flag,
    ];
    let mut tags = Vec::new();
    for word in words.into_iter().flatten() {
        let tag = cut_str(&part(word), MAX_TAG).to_owned();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn data(event: &Event) -> String {
    let host = &event.host;
    let who = event.who.as_deref().map(|who| format!("by {who} "));
    let why = event.why.as_deref().map(|why| format!(": {why}"));
    format!(
        "{}on {host}{}",
        who.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::super::graphite::Graphite;
    use super::super::http::tests::Server;
    use super::*;
    use crate::collect::sink::destination::Destination;
    use serde_json::{Value, json};
    use std::sync::Arc;

    fn sent(event: Event) -> Value {
        let server = Server::saying("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let config = GraphiteWeb {
            http: HttpOptions::to(format!("{}/graphite/", server.url())),
            prefix: "shop.web".to_owned(),
        };
        let mut sink = config.make();
        let packets = sink.encode(&Parcel::Event(Arc::new(event)));
        sink.send(&packets[0], Duration::from_secs(20)).unwrap();
        let asked = server.asked();
        assert!(
            asked[0]
                .head
                .starts_with("POST /graphite/events/ HTTP/1.1\r\n")
        );
        serde_json::from_slice(&asked[0].body).unwrap()
    }

    #[test]
    fn an_event_is_what_tags_when_and_data() {
        let mut event = Event::new(EventKind::Flag, "new search")
            .change("10%", "off")
            .who("erika")
            .why("it melts");
        (event.at, event.host) = (1_764_000_000_999_999_999, "web0022.example".to_owned());
        let wanted = json!({
            "what": "flag new search: 10% → off, by erika (it melts)",
            "tags": ["flag", "shop_web", "web0022_example", "new_search"],
            "when": 1_764_000_000,
            "data": "by erika on web0022.example: it melts",
        });
        assert_eq!(sent(event), wanted);
        let long = sent(Event::deploy("1").what(&"ü".repeat(10_000)));
        assert!(long["what"].as_str().unwrap().len() <= MAX_WHAT);
    }

    #[test]
    fn graphite_comes_with_it_where_it_is_named() {
        let said = |graphite: Graphite| {
            let checked = Destination::from(graphite).check(false);
            checked.map_err(|error| error.to_string())
        };
        let carbon = || Graphite::to("carbon:2003");
        assert_eq!(Destination::from(carbon()).configs().count(), 1);
        let both = carbon()
            .events("http://graphite.example.com/")
            .header("X-Key", "secret");
        assert_eq!(Destination::from(both.clone()).configs().count(), 2);
        assert_eq!(said(both), Ok(()));
        let error = said(carbon().events("graphite.example.com")).unwrap_err();
        assert!(error.starts_with("graphite.events: "), "{error}");
        let error = said(carbon().header("X-Key", "secret")).unwrap_err();
        assert!(error.starts_with("graphite.headers: "), "{error}");
        let threadless = Destination::from(carbon().udp(true).events("http://g/")).check(true);
        assert!(
            threadless
                .unwrap_err()
                .to_string()
                .starts_with("graphite_events: ")
        );
    }
}
