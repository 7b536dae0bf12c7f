//! Names and numbers, as every StatsD server reads them.

use super::samples::{even, rate};
use super::{Statsd, StatsdTimings};
use crate::collect::series::Distribution;
use crate::collect::sink::flat::{FlatValue, Shape, Style, flatten, number, part};
use crate::collect::sink::lines::Lines;
use crate::collect::sink::parcel::Report;
use std::fmt::Write as _;

pub(super) fn add_report(options: &Statsd, report: &Report, lines: &mut Lines) {
    let shape = Shape {
        style: Style::Names,
        buckets: options.buckets,
        whole: options.timings == StatsdTimings::Samples,
        calls_by_route: options.calls_by_route,
        says_count: false,
    };
    let prefix = &options.prefix;
    let mut of_machine = format!("{prefix}.{}", part(&report.origin.host));
    if let Some(worker) = &report.origin.worker {
        let _ = write!(of_machine, ".{}", part(worker));
    }
    for flat in flatten(report.since_of_all(), &shape) {
        let name = &flat.name;
        match flat.value {
            FlatValue::Count(count) => {
                if let Some(count) = number(count).filter(|_| count != 0.0) {
                    lines.push(&format!("{prefix}.{name}:{count}|c\n"), 1);
                }
            }
            FlatValue::Level(level) => add_gauge(&format!("{of_machine}.{name}"), level, lines),
            FlatValue::Durations(duration) => {
                let name = format!("{prefix}.{name}");
                add_samples(&name, &duration, options.samples, lines);
            }
        }
    }
}

fn add_gauge(name: &str, value: f64, lines: &mut Lines) {
    let Some(text) = number(value) else { return };
    if text.starts_with('-') {
        // A sign would say how much it is to change.
        lines.push(&format!("{name}:0|g\n{name}:{text}|g\n"), 1);
    } else {
        lines.push(&format!("{name}:{text}|g\n"), 1);
    }
}

fn add_samples(name: &str, duration: &Distribution, most: usize, lines: &mut Lines) {
    for sample in even(duration, most) {
        let ms = sample.ms;
        match rate(sample.weight) {
            None => lines.push(&format!("{name}:{ms}|ms\n"), 1),
            Some(rate) => lines.push(&format!("{name}:{ms}|ms|@{rate}\n"), 1),
        }
    }
}
