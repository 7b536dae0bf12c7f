//! The time of a line, as `%t` writes it.

use super::directive::push_padded;
use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// How `%{…}t` was asked to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TimeFormat {
    /// When the request ended, instead of when it began.
    pub(super) at_end: bool,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// `[23/Nov/2026:03:12:07 +0000]`
    Common,
    Seconds,
    Milliseconds,
    Microseconds,
    MillisecondFraction,
    MicrosecondFraction,
    Strftime(String),
}

/// C's, as far as they do not end the line.
const SPECIFIERS: &str = "aAbBcCdDeFgGhHIjklmMpPrRsStTuUVwWxXyYzZ%";
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl TimeFormat {
    pub(super) fn parse(argument: &str) -> Result<Self, String> {
        let (at_end, form) = match argument {
            "begin" => (false, ""),
            "end" => (true, ""),
            other => match (other.strip_prefix("begin:"), other.strip_prefix("end:")) {
                (Some(rest), _) => (false, rest),
                (_, Some(rest)) => (true, rest),
                _ => (false, other),
            },
        };
        let form = match form {
            "" => Form::Common,
            "sec" => Form::Seconds,
            "msec" => Form::Milliseconds,
            "usec" => Form::Microseconds,
            "msec_frac" => Form::MillisecondFraction,
            "usec_frac" => Form::MicrosecondFraction,
            strftime => Form::Strftime(c_locale(strftime)?),
        };
        Ok(Self { at_end, form })
    }

    /// Whether it is the one in brackets.
    pub(super) fn is_common(&self) -> bool {
        self.form == Form::Common
    }

    /// Appends a moment, given in nanoseconds since the Unix epoch.
    pub(super) fn write(&self, epoch_ns: u64, zone: &TimeZone, line: &mut Vec<u8>) {
        let (micros, millis, seconds) = (
            epoch_ns / 1_000,
            epoch_ns / 1_000_000,
            epoch_ns / 1_000_000_000,
        );
        match &self.form {
            Form::Common => write_common(timestamp(epoch_ns), zone, line),
            Form::Seconds => push_padded(seconds, 1, line),
            Form::Milliseconds => push_padded(millis, 1, line),
            Form::Microseconds => push_padded(micros, 1, line),
            Form::MillisecondFraction => push_padded(millis % 1_000, 3, line),
            Form::MicrosecondFraction => push_padded(micros % 1_000_000, 6, line),
            Form::Strftime(format) => {
                let moment = timestamp(epoch_ns).to_zoned_datetime(zone.clone());
                // The format was tried when it was parsed.
                let text = strtime::format(format, &moment).unwrap_or_default();
                line.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn timestamp(epoch_ns: u64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(epoch_ns)).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn write_common(moment: Timestamp, zone: &TimeZone, line: &mut Vec<u8>) {
    let offset = zone.to_offset(moment);
    let local = offset.to_datetime(moment);
    let number = |number: i8| u64::try_from(number).unwrap_or(0);
    let month = usize::try_from(local.month())
        .unwrap_or(1)
        .saturating_sub(1);
    line.push(b'[');
    push_padded(number(local.day()), 2, line);
    line.push(b'/');
    line.extend_from_slice(MONTHS.get(month).copied().unwrap_or("-").as_bytes());
    line.push(b'/');
    push_padded(u64::try_from(local.year()).unwrap_or(0), 1, line);
    for part in [local.hour(), local.minute(), local.second()] {
        line.push(b':');
        push_padded(number(part), 2, line);
    }
    let seconds = offset.seconds();
    line.extend_from_slice(if seconds < 0 { b" -" } else { b" +" });
    let minutes = u64::from(seconds.unsigned_abs()) / 60;
    push_padded(minutes / 60, 2, line);
    push_padded(minutes % 60, 2, line);
    line.push(b']');
}

/// A strftime format whose composed specifiers are those of the locale C.
fn c_locale(format: &str) -> Result<String, String> {
    let mut out = String::with_capacity(format.len());
    let mut characters = format.chars().peekable();
    while let Some(next) = characters.next() {
        if next.is_control() && next != '\t' {
            return Err("a time cannot contain a control character".to_owned());
        }
        if next != '%' {
            out.push(next);
            continue;
        }
        let flag = characters.next_if(|next| matches!(next, '-' | '_' | '0' | '^' | '#'));
        let specifier = characters.next();
        let Some(specifier) = specifier.filter(|letter| SPECIFIERS.contains(*letter)) else {
            let letter = specifier.map(String::from).unwrap_or_default();
            return Err(format!(
                "%{{{format}}}t: %{letter} is no time; allowed: sec, msec, usec, msec_frac, \
                 usec_frac, begin:… and end:…, or strftime's %{}",
                SPECIFIERS
                    .chars()
                    .map(String::from)
                    .collect::<Vec<_>>()
                    .join(" %")
            ));
        };
        match specifier {
            'c' => out.push_str("%a %b %e %H:%M:%S %Y"),
            'x' => out.push_str("%m/%d/%y"),
            'X' => out.push_str("%H:%M:%S"),
            'r' => out.push_str("%I:%M:%S %p"),
            specifier => {
                out.push('%');
                out.extend(flag);
                out.push(specifier);
            }
        }
    }
    let epoch = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
    match strtime::format(&out, &epoch) {
        Ok(_) => Ok(out),
        Err(error) => Err(format!("%{{{format}}}t: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: u64 = 1_795_403_527_120_456_789;

    fn written(format: &str, zone: &str) -> String {
        let mut line = Vec::new();
        let zone = TimeZone::get(zone).unwrap();
        TimeFormat::parse(format)
            .unwrap()
            .write(MOMENT, &zone, &mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn forms() {
        for (format, zone, wanted) in [
            ("", "UTC", "[23/Nov/2026:03:12:07 +0000]"),
            ("begin", "America/New_York", "[22/Nov/2026:22:12:07 -0500]"),
            ("end:", "Asia/Kolkata", "[23/Nov/2026:08:42:07 +0530]"),
            ("sec", "UTC", "1795403527"),
            ("msec", "UTC", "1795403527120"),
            ("begin:usec", "UTC", "1795403527120456"),
            ("msec_frac", "UTC", "120"),
            ("usec_frac", "UTC", "120456"),
            (
                "%Y-%m-%dT%H:%M:%S%z",
                "Asia/Kolkata",
                "2026-11-23T08:42:07+0530",
            ),
            (
                "%c|%x|%X|%r|%e|%j|%%",
                "UTC",
                "Mon Nov 23 03:12:07 2026|11/23/26|03:12:07|03:12:07 AM|23|327|%",
            ),
            ("%d/%b/%Y %T", "UTC", "23/Nov/2026 03:12:07"),
        ] {
            assert_eq!(written(format, zone), wanted, "{format:?}");
        }
    }

    #[test]
    fn unknown_forms() {
        for format in ["%", "%Q", "%f", "%n", "%Ey", "a\nb", "%-"] {
            assert!(TimeFormat::parse(format).is_err(), "{format:?}");
        }
    }
}
