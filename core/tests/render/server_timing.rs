//! `Server-Timing`, read by a strict parser of its grammar.
//!
//! ```text
//! Server-Timing        = #server-timing-metric          (RFC 9110: no empty elements are sent)
//! server-timing-metric = token *( OWS ";" OWS token OWS "=" OWS ( token / quoted-string ) )
//! ```

use std::collections::HashSet;

use ioprofiler::render::server_timing;
use proptest::prelude::*;

use crate::profiles::{self, Page, leaf};

#[derive(Debug, Default, PartialEq)]
struct Metric {
    name: String,
    duration_ms: f64,
    description: Option<String>,
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn spaces(&mut self) {
        while self.eat(b' ') || self.eat(b'\t') {}
    }

    fn token(&mut self) -> String {
        let is_token =
            |byte: &&u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let length = self.0.iter().take_while(is_token).count();
        assert!(
            length > 0,
            "no token at {:?}",
            String::from_utf8_lossy(self.0)
        );
        let (token, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8(token.to_vec()).expect("ASCII")
    }

    fn quoted(&mut self) -> String {
        let mut text = String::new();
        loop {
            let (&byte, rest) = self.0.split_first().expect("the quote ends");
            self.0 = rest;
            match byte {
                b'"' => return text,
                b'\\' => {
                    let (&next, rest) = self.0.split_first().expect("a quoted pair");
                    assert!(matches!(next, b'\t' | b' '..=b'~'), "quoted-pair {next}");
                    text.push(char::from(next));
                    self.0 = rest;
                }
                b'\t' | b' ' | b'!' | 0x23..=0x5b | 0x5d..=0x7e => text.push(char::from(byte)),
                other => panic!("{other} may not be quoted"),
            }
        }
    }
}

fn parse(value: &str) -> Vec<Metric> {
    let mut reader = Reader(value.as_bytes());
    let mut metrics = Vec::new();
    loop {
        let mut metric = Metric {
            name: reader.token(),
            ..Metric::default()
        };
        let mut seen = HashSet::new();
        reader.spaces();
        while reader.eat(b';') {
            reader.spaces();
            let name = reader.token();
            assert!(seen.insert(name.clone()), "{name} twice");
            reader.spaces();
            assert!(reader.eat(b'='), "= after {name}");
            reader.spaces();
            let value = if reader.eat(b'"') {
                reader.quoted()
            } else {
                reader.token()
            };
            match name.as_str() {
                "dur" => metric.duration_ms = value.parse().expect("a number"),
                "desc" => metric.description = Some(value),
                other => panic!("parameter {other}"),
            }
            reader.spaces();
        }
        assert!(seen.contains("dur"));
        metrics.push(metric);
        if reader.0.is_empty() {
            return metrics;
        }
        assert!(
            reader.eat(b','),
            "at {:?}",
            String::from_utf8_lossy(reader.0)
        );
        reader.spaces();
    }
}

#[test]
fn the_slide() {
    assert_eq!(
        server_timing(&profiles::slide()),
        "total;dur=236.312, io;dur=111.473;desc=\"I/O wall\", \
         solr;dur=68.879;desc=\"solr (39)\", \
         memcache_get;dur=40.327;desc=\"memcache_get (106)\", \
         function;dur=11.528;desc=\"function (2)\", \
         om_etsy_shard_002_B;dur=1.066;desc=\"om_etsy_shard_002_B (1)\", \
         dbshard01;dur=0.902;desc=\"dbshard01 (1)\", \
         apc;dur=0.299;desc=\"apc (17)\"",
    );
}

#[test]
fn every_profile_keeps_the_grammar() {
    for (name, data) in profiles::all() {
        let metrics = parse(&server_timing(&data));
        assert_eq!(metrics[0].name, "total", "{name}");
        assert_eq!(metrics[1].name, "io", "{name}");
        assert_eq!(metrics.len(), data.totals.len() + 2);
    }
    let limits = parse(&server_timing(&profiles::limits()));
    assert_eq!(limits[1].description.as_deref(), Some("I/O wall, at least"));
}

/// Durations are short: no zeros at the end, at most three decimals.
#[test]
fn durations_are_short() {
    for (ns, shown) in [
        (0, "0"),
        (1_000_000, "1"),
        (10_000_000, "10"),
        (100_500_000, "100.5"),
        (1_250, "0.001"),
        (999, "0.001"),
        (499, "0"),
    ] {
        let mut page = Page::new("/", 0);
        page.0.page_ns = ns;
        let value = server_timing(&page.done());
        assert!(
            value.starts_with(&format!("total;dur={shown}, ")),
            "{ns}: {value}"
        );
    }
}

proptest! {
    #[test]
    fn any_names_keep_grammar_and_size(
        names in prop::collection::vec(("\\PC{0,3}|[a-c\"\\\\ ,;=]{0,4}|total|io|.{0,60}", 0_u64..5_000), 0..40),
    ) {
        let mut page = Page::new("/", 20_000);
        for (name, duration) in names {
            page.add(leaf(Box::leak(name.into_boxed_str()), "secret", 0, duration));
        }
        let data = page.done();
        let value = server_timing(&data);
        prop_assert!(value.len() <= 1_536, "{}", value.len());
        prop_assert!(!value.contains("secret"));
        let metrics = parse(&value);
        prop_assert!(metrics.len() <= 20);
        let names: HashSet<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        prop_assert_eq!(names.len(), metrics.len(), "names are unique");
        let rows = &metrics[2..];
        prop_assert!(rows.is_sorted_by(|a, b| a.duration_ms >= b.duration_ms));
        // What is left out is left out for the size alone.
        prop_assert!(rows.len() == data.totals.len().min(18) || value.len() > 1_536 - 140);
    }
}
