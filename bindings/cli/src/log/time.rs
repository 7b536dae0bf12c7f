//! The times of log lines, in seconds since the Unix epoch.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// Reads `[23/Nov/2026:03:12:07 +0000]`; lines of one minute are parsed once.
#[derive(Debug, Default)]
pub(crate) struct CommonTime {
    /// All but the seconds, of the last line: what stands before and behind them.
    minute: Vec<u8>,
    begins: i64,
}

/// `[23/Nov/2026:03:12:`
const BEFORE: usize = 19;
const LENGTH: usize = 28;

impl CommonTime {
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<i64> {
        if text.len() != LENGTH {
            return None;
        }
        let (before, rest) = text.split_at_checked(BEFORE)?;
        let (seconds, behind) = rest.split_at_checked(2)?;
        let [tens, ones] = *seconds else { return None };
        if !tens.is_ascii_digit() || !ones.is_ascii_digit() {
            return None;
        }
        let second = i64::from(tens - b'0') * 10 + i64::from(ones - b'0');
        let known = self
            .minute
            .split_at_checked(BEFORE)
            .is_some_and(|(known, zone)| known == before && zone == behind);
        if !known {
            self.begins = parse_minute(before, behind)?;
            self.minute.clear();
            self.minute.extend_from_slice(before);
            self.minute.extend_from_slice(behind);
        }
        Some(self.begins + second)
    }
}

fn parse_minute(before: &[u8], behind: &[u8]) -> Option<i64> {
    let text = format!(
        "{}00{}",
        str::from_utf8(before).ok()?,
        str::from_utf8(behind).ok()?
    );
    let parsed = BrokenDownTime::parse("[%d/%b/%Y:%H:%M:%S %z]", &text).ok()?;
    Some(parsed.to_timestamp().ok()?.as_second())
}

/// Times in a form that the operator gave, at the beginning of a text.
#[derive(Debug)]
pub(crate) struct GivenTime {
    format: String,
    /// Of times that do not say theirs.
    zone: TimeZone,
    /// The last text and its second: lines of one second are parsed once.
    last: (Vec<u8>, i64),
}

impl GivenTime {
    pub(crate) fn new(format: &str) -> Result<Self, String> {
        // A format is tried by reading what it writes.
        let now = Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
        let written =
            jiff::fmt::strtime::format(format, &now).map_err(|error| error.to_string())?;
        let given = Self {
            format: format.to_owned(),
            zone: TimeZone::system(),
            last: (Vec::new(), 0),
        };
        match given.parse(&written) {
            Some(_) => Ok(given),
            None => Err("it needs a day and a time, as in %Y-%m-%d %H:%M:%S".to_owned()),
        }
    }

    pub(crate) fn read(&mut self, text: &[u8]) -> Option<i64> {
        // Enough for any time, and a bound for what a foreign line makes us copy.
        let text = text.get(..64).unwrap_or(text);
        if !self.last.0.is_empty() && text == self.last.0 {
            return Some(self.last.1);
        }
        let valid = match str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => str::from_utf8(text.get(..error.valid_up_to())?).ok()?,
        };
        let second = self.parse(valid)?;
        self.last.0.clear();
        self.last.0.extend_from_slice(text);
        self.last.1 = second;
        Some(second)
    }

    fn parse(&self, text: &str) -> Option<i64> {
        let (parsed, _) = BrokenDownTime::parse_prefix(&self.format, text).ok()?;
        if let Ok(moment) = parsed.to_timestamp() {
            return Some(moment.as_second());
        }
        let local: DateTime = parsed.to_datetime().ok()?;
        Some(self.zone.to_timestamp(local).ok()?.as_second())
    }
}

/// RFC 3339, as JSON lines have it; lines of one second are parsed once.
#[derive(Debug, Default)]
pub(crate) struct JsonTime {
    last: (String, i64),
}

impl JsonTime {
    pub(crate) fn read(&mut self, text: &str) -> Option<i64> {
        let second = text.get(..19)?;
        if self.last.0 != second || !text.ends_with('Z') {
            let parsed: Timestamp = text.parse().ok()?;
            self.last = (second.to_owned(), parsed.as_second());
        }
        Some(self.last.1)
    }
}

/// `2026-11-23 03:12` or, with seconds, `2026-11-23 03:12:07`, UTC.
pub(crate) fn shown(second: i64, with_seconds: bool) -> String {
    let format = if with_seconds {
        "%Y-%m-%d %H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M"
    };
    Timestamp::from_second(second)
        .ok()
        .and_then(|moment| jiff::fmt::strtime::format(format, moment).ok())
        .unwrap_or_else(|| second.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_times() {
        let mut time = CommonTime::default();
        for (text, wanted) in [
            ("[23/Nov/2026:03:12:07 +0000]", Some(1_795_403_527)),
            ("[23/Nov/2026:03:12:08 +0000]", Some(1_795_403_528)),
            ("[23/Nov/2026:03:12:08 +0100]", Some(1_795_399_928)),
            ("[22/Nov/2026:22:12:09 -0500]", Some(1_795_403_529)),
            ("[23/Nix/2026:03:12:08 +0000]", None),
            ("[23/Nov/2026:03:12:x8 +0000]", None),
            ("[23/Nov/2026:03:12:08 +0000", None),
            ("", None),
        ] {
            assert_eq!(time.read(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn given_times() {
        let mut slide = GivenTime::new("%Y-%m-%d %H:%M:%S,%f").unwrap();
        slide.zone = TimeZone::UTC;
        let line = b"2010-11-03 12:53:02,668 [pool-26-thread-209] INFO";
        assert_eq!(slide.read(line), Some(1_288_788_782));
        assert_eq!(slide.read(line), Some(1_288_788_782));
        assert_eq!(slide.read(b"yesterday"), None);
        assert_eq!(slide.read(b"\xff"), None);
        let mut unix = GivenTime::new("%s").unwrap();
        assert_eq!(unix.read(b"1288788782 x"), Some(1_288_788_782));
        for bad in ["%H:%M", "%", "%!", "hello"] {
            assert!(GivenTime::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn json_times() {
        let mut time = JsonTime::default();
        assert_eq!(time.read("2026-11-23T03:12:07.120Z"), Some(1_795_403_527));
        assert_eq!(time.read("2026-11-23T03:12:07.999Z"), Some(1_795_403_527));
        assert_eq!(
            time.read("2026-11-23T03:12:07.999+01:00"),
            Some(1_795_399_927)
        );
        assert_eq!(time.read("soon"), None);
        assert_eq!(shown(1_795_403_527, true), "2026-11-23 03:12:07");
    }
}
