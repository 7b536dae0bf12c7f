//! Times as people write and read them: `8h`, `2026-11-23 03:12:07 UTC`.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in Unix seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// `90s`, `30m` or `8h` in seconds.
pub(crate) fn parse_duration(text: &str) -> Option<u64> {
    let number = text.strip_suffix(['s', 'm', 'h'])?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let unit = match text.bytes().last() {
        Some(b'h') => 3600,
        Some(b'm') => 60,
        _ => 1,
    };
    number.parse::<u64>().ok()?.checked_mul(unit)
}

/// A span of time, roughly: `59 min`.
pub(crate) fn roughly(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A point in time in UTC.
pub(crate) fn utc(seconds: u64) -> String {
    let (year, month, day) = day_of(seconds);
    let (hour, minute, second) = clock_of(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The same as RFC 3339 has it.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = day_of(seconds);
    let (hour, minute, second) = clock_of(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The day that it is, in UTC: `2026-11-23`.
pub(crate) fn today() -> String {
    let (year, month, day) = day_of(now());
    format!("{year:04}-{month:02}-{day:02}")
}

fn clock_of(seconds: u64) -> (u64, u64, u64) {
    let second = seconds % 86_400;
    (second / 3600, second % 3600 / 60, second % 60)
}

/// By the calendar that civil_from_days of H. Hinnant counts.
fn day_of(seconds: u64) -> (u64, u64, u64) {
    let shifted = seconds / 86_400 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("8h"), Some(28_800));
        assert_eq!(parse_duration("30m"), Some(1800));
        assert_eq!(parse_duration("90s"), Some(90));
        for bad in [
            "",
            "h",
            "8",
            "8d",
            "-1h",
            "+1h",
            "1.5h",
            " 1h",
            "99999999999999999999h",
        ] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_795_430_000), "2026-11-23 10:33:20 UTC");
        assert_eq!(utc(4_107_542_399), "2100-02-28 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400), "2100-03-01 00:00:00 UTC");
        assert_eq!(rfc3339(1_795_430_000), "2026-11-23T10:33:20Z");
    }
}
