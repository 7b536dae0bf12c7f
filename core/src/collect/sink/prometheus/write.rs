//! Families → text.

use super::accept::Format;
use super::families::{Families, Family, Row};
use super::names::unit_word;
use crate::collect::series::{Distribution, SeriesKind, Unit, Value};
use std::fmt::Write as _;

/// The body of an answer.
pub(super) fn body(families: &Families<'_>, format: Format) -> String {
    let mut text = String::with_capacity(16 << 10);
    for family in &families.0 {
        head(&mut text, family, format);
        for row in &family.rows {
            write_row(&mut text, family, row);
        }
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn head(text: &mut String, family: &Family<'_>, format: Format) {
    let (kind, total) = match family.kind {
        SeriesKind::Counter => ("counter", "_total"),
        SeriesKind::Gauge => ("gauge", ""),
        SeriesKind::Distribution => ("histogram", ""),
    };
    let open = format == Format::OpenMetrics;
    let name = &family.name;
    // In OpenMetrics the family of a counter has no `_total`, only its series.
    let total = if open { "" } else { total };
    let _ = writeln!(text, "# TYPE {name}{total} {kind}");
    if let Some(unit) = unit_word(family.unit).filter(|_| open) {
        let _ = writeln!(text, "# UNIT {name} {unit}");
    }
    let _ = write!(text, "# HELP {name}{total} ");
    for character in family.help.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if open => text.push_str("\\\""),
            character if character.is_control() => text.push('\u{fffd}'),
            character => text.push(character),
        }
    }
    text.push('\n');
}

fn write_row(text: &mut String, family: &Family<'_>, row: &Row<'_>) {
    let labels = &row.labels;
    match &row.sample.value {
        Value::Counter(count) => {
            begin(text, family, "_total", labels, "");
            match family.unit {
                Unit::Time => seconds(text, *count),
                Unit::Count | Unit::Bytes => drop(write!(text, "{count}")),
            }
            text.push('\n');
        }
        Value::Gauge { value, .. } => {
            begin(text, family, "", labels, "");
            number(text, *value);
            text.push('\n');
        }
        Value::Distribution(counted) => histogram(text, family, labels, counted),
    }
}

fn histogram(text: &mut String, family: &Family<'_>, labels: &str, counted: &Distribution) {
    let counts = counted.at_most_each(family.bounds_ns);
    for (bound_ns, count) in family.bounds_ns.iter().zip(counts) {
        // With a point in it, as OpenMetrics wants it: the same series in both formats.
        let le = format!("le=\"{:?}\"", *bound_ns as f64 / 1e9);
        begin(text, family, "_bucket", labels, &le);
        let _ = writeln!(text, "{count}");
    }
    begin(text, family, "_bucket", labels, "le=\"+Inf\"");
    let _ = writeln!(text, "{}", counted.count);
    begin(text, family, "_sum", labels, "");
    seconds(text, counted.sum_ns);
    text.push('\n');
    begin(text, family, "_count", labels, "");
    let _ = writeln!(text, "{}", counted.count);
}

/// A series up to its value.
fn begin(text: &mut String, family: &Family<'_>, ending: &str, labels: &str, le: &str) {
    text.push_str(&family.name);
    text.push_str(ending);
    if !labels.is_empty() || !le.is_empty() {
        text.push('{');
        text.push_str(labels);
        if !labels.is_empty() && !le.is_empty() {
            text.push(',');
        }
        text.push_str(le);
        text.push('}');
    }
    text.push(' ');
}

/// Nanoseconds as seconds, exactly.
fn seconds(text: &mut String, time_ns: u64) {
    let _ = write!(
        text,
        "{}.{:09}",
        time_ns / 1_000_000_000,
        time_ns % 1_000_000_000
    );
    let without_zeros = text.trim_end_matches('0').len();
    text.truncate(without_zeros);
    if text.ends_with('.') {
        text.push('0');
    }
}

fn number(text: &mut String, value: f64) {
    let _ = match value {
        value if value.is_nan() => write!(text, "NaN"),
        f64::INFINITY => write!(text, "+Inf"),
        f64::NEG_INFINITY => write!(text, "-Inf"),
        value => write!(text, "{value}"),
    };
}
