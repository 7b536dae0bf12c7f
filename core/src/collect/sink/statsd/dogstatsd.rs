//! Tags, distributions and events, as Datadog's agent reads them.

use super::samples::{Sample, rate, with_longest};
use super::{Statsd, StatsdTimings};
use crate::collect::Event;
use crate::collect::series::{self, Distribution, Name, Series, Unit, Value};
use crate::collect::sink::flat::{
    FlatValue, Shape, Style, Tags, bound, cut_name, flatten, in_ms, number, own_label, own_name,
    part,
};
use crate::collect::sink::lines::Lines;
use crate::collect::sink::parcel::Report;
use crate::text::cut_str;
use std::fmt::Write as _;

/// Datadog takes no longer names, nor tags.
const MAX_NAME: usize = 200;
const MAX_TAG: usize = 200;
/// Of a tag, its name with the colon.
const MAX_TAG_NAME: usize = 65;
/// Of an event, in characters; what is longer Datadog refuses.
const MAX_TITLE: usize = 100;

pub(super) fn tag_name(text: &str) -> String {
    part(text)
}

pub(super) fn tag_value(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_alphanumeric() || matches!(character, '_' | '-' | ':' | '.' | '/') {
            value.push(character);
        } else if !value.ends_with('_') {
            value.push('_');
        }
    }
    // Datadog leaves these out itself.
    value.truncate(value.trim_end_matches('_').len());
    cut_name(value, text, MAX_TAG - MAX_TAG_NAME)
}

/// A name behind the prefix: letters, digits, `_` and dots, a letter first.
pub(super) fn name(prefix: &str, name: &str) -> String {
    let whole = format!("{prefix}.{name}");
    let mut made = whole.replace('-', "_");
    begin_with_letter(&mut made);
    cut_name(made, &whole, MAX_NAME)
}

/// Datadog takes no name that begins otherwise.
fn begin_with_letter(name: &mut String) {
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name.insert(0, 'x');
    }
}

/// Tags as they stand in a line; nothing where there are none.
fn written(tags: &Tags) -> String {
    let mut text = String::new();
    for (name, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        let before = if text.is_empty() { "|#" } else { "," };
        let _ = write!(text, "{before}{name}:{value}");
    }
    text
}

/// Writes the lines of one series of versions.
struct Writer<'a> {
    options: &'a Statsd,
    report: &'a Report,
    version: Option<&'a str>,
    lines: &'a mut Lines,
}

pub(super) fn add_report(options: &Statsd, report: &Report, lines: &mut Lines) {
    for series in &report.since {
        let mut writer = Writer {
            options,
            report,
            version: series.version.as_deref(),
            lines,
        };
        match options.timings {
            StatsdTimings::Samples if options.calls_by_route => writer.add_series(series),
            StatsdTimings::Samples => writer.add_series(&without_routes_of_calls(series)),
            StatsdTimings::Gauges => writer.add_flats(series),
        }
    }
}

/// The same with the calls of all routes together.
fn without_routes_of_calls(series: &Series) -> Series {
    let is_of_calls = |sample: &series::Sample| sample.name.as_str().starts_with("call.");
    let (calls, others) = series.samples.iter().cloned().partition(is_of_calls);
    let of = |samples| Series {
        samples,
        ..series.clone()
    };
    let mut all = of(calls).without_labels(&["route"]);
    all.samples.extend(of(others).samples);
    all
}

impl Writer<'_> {
    fn add_series(&mut self, series: &Series) {
        for sample in &series.samples {
            let mut tags = Tags::new();
            for (label, value) in &sample.labels {
                let mut label = match &sample.name {
                    Name::Known(_) => label.to_string(),
                    Name::Own(_) => own_label(label, &tags),
                };
                begin_with_letter(&mut label);
                tags.push((label, tag_value(value)));
            }
            let known = match &sample.name {
                Name::Known(metric) => metric.name.to_owned(),
                Name::Own(name) => own_name(name),
            };
            match &sample.value {
                Value::Counter(time_ns) if sample.unit() == Unit::Time => {
                    self.add_count(&format!("{known}.time"), tags, in_ms(*time_ns));
                }
                Value::Counter(count) => self.add_count(&known, tags, *count as f64),
                Value::Gauge { value, .. } => self.add_gauge(&known, tags, *value),
                Value::Distribution(duration) => self.add_distribution(&known, tags, duration),
            }
        }
    }

    fn add_flats(&mut self, series: &Series) {
        let shape = Shape {
            style: Style::Tags(tag_value),
            buckets: self.options.buckets,
            whole: false,
            calls_by_route: self.options.calls_by_route,
            says_count: false,
        };
        for flat in flatten(&series.samples, &shape) {
            let mut tags = Tags::clone(&flat.tags);
            if let Some(le) = flat.le {
                tags.push(("le".to_owned(), bound(le)));
            }
            tags.iter_mut()
                .for_each(|(label, _)| begin_with_letter(label));
            match flat.value {
                FlatValue::Count(count) => self.add_count(&flat.name, tags, count),
                FlatValue::Level(level) => self.add_gauge(&flat.name, tags, level),
                FlatValue::Durations(_) => {}
            }
        }
    }

    fn name(&self, known: &str) -> String {
        name(&self.options.prefix, known)
    }

    /// The tags of a series with those of all, written.
    fn tags(&self, mut tags: Tags, worker: bool) -> String {
        let worker = self.report.origin.worker.as_deref().filter(|_| worker);
        for (name, value) in [("version", self.version), ("worker", worker)] {
            if let Some(value) = value
                && !tags.iter().any(|(there, _)| there == name)
            {
                tags.push((name.to_owned(), tag_value(value)));
            }
        }
        tags.extend(self.options.tags.iter().cloned());
        tags.sort();
        written(&tags)
    }

    fn add_count(&mut self, known: &str, tags: Tags, count: f64) {
        let Some(text) = number(count).filter(|_| count != 0.0) else {
            return;
        };
        let line = format!("{}:{text}|c{}\n", self.name(known), self.tags(tags, false));
        self.lines.push(&line, 1);
    }

    fn add_gauge(&mut self, known: &str, tags: Tags, value: f64) {
        let Some(text) = number(value) else { return };
        let line = format!("{}:{text}|g{}\n", self.name(known), self.tags(tags, true));
        self.lines.push(&line, 1);
    }

    /// Samples of the same weight share a line.
    fn add_distribution(&mut self, known: &str, tags: Tags, duration: &Distribution) {
        let mut samples = with_longest(duration, self.options.samples);
        samples.sort_by_key(|sample| sample.weight);
        let name = self.name(known);
        let tags = self.tags(tags, false);
        for group in samples.chunk_by(|one, next| one.weight == next.weight) {
            let weight = group.first().map_or(1, |sample| sample.weight);
            let rate = rate(weight).map_or_else(String::new, |rate| format!("|@{rate}"));
            let end = format!("|d{rate}{tags}\n");
            self.add_packed(&name, group, &end);
        }
    }

    fn add_packed(&mut self, name: &str, group: &[Sample], end: &str) {
        let (mut line, mut values) = (name.to_owned(), 0);
        for sample in group {
            let value = format!(":{}", sample.ms);
            let length = line.len() + value.len() + end.len();
            if values != 0 && length > self.options.max_datagram {
                self.lines.push(&format!("{line}{end}"), values);
                (line, values) = (name.to_owned(), 0);
            }
            line.push_str(&value);
            values += 1;
        }
        if values != 0 {
            self.lines.push(&format!("{line}{end}"), values);
        }
    }
}

/// What may stand in an event: line feeds are written as it reads them.
fn text(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => safe.push_str("\\n"),
            character if character.is_control() => safe.push(' '),
            character => safe.push(character),
        }
    }
    safe
}

pub(super) fn add_event(options: &Statsd, event: &Event, lines: &mut Lines) {
    let kind = event.kind.as_str();
    let about = event.version.as_ref().unwrap_or(&event.what);
    let title = text(&format!("{kind} {about}"));
    let title: String = title.trim_end().chars().take(MAX_TITLE).collect();
    let mut tags: Tags = vec![("kind".to_owned(), kind.to_owned())];
    for (name, value) in [("version", &event.version), ("who", &event.who)] {
        if let Some(value) = value {
            tags.push((name.to_owned(), tag_value(value)));
        }
    }
    tags.extend(options.tags.iter().cloned());
    let at = event.at / 1_000_000_000;
    let end = format!("|d:{at}|t:info{}\n", written(&tags));
    // The lengths have no more digits than that.
    let head = "_e{000,00000}:|".len() + title.len();
    let room = options.max_datagram.saturating_sub(head + end.len());
    let whole = text(&event.to_string());
    let said = cut_str(&whole, room);
    let lengths = format!("{},{}", title.len(), said.len());
    lines.push(&format!("_e{{{lengths}}}:{title}|{said}{end}"), 1);
}
