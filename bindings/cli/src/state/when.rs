//! Times as an operator reads them: by the clock on the wall here, and how long ago.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::time::roughly;

const NS_PER_S: u64 = 1_000_000_000;
/// Up to here seconds are told with a tenth.
const EXACT_S: u64 = 600;

/// The moment at which somebody looks, and the zone in which.
pub(super) struct Now {
    /// Nanoseconds since 1970.
    pub(super) at: u64,
    zone: TimeZone,
}

impl Now {
    pub(super) fn new() -> Self {
        let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            at: u64::try_from(since.as_nanos()).unwrap_or(0),
            zone: TimeZone::system(),
        }
    }

    /// How long ago that was, in nanoseconds.
    pub(super) fn since(&self, at: u64) -> u64 {
        self.at.saturating_sub(at)
    }

    /// `4 min ago`.
    pub(super) fn ago(&self, at: u64) -> String {
        format!("{} ago", roughly(self.since(at) / NS_PER_S))
    }

    /// `03:12:07`.
    pub(super) fn clock(&self, at: u64) -> String {
        self.write(at, "%H:%M:%S")
    }

    /// `03:12:07`, of another day `27 Nov 03:12`.
    pub(super) fn clock_or_day(&self, at: u64) -> String {
        let format = if self.day(at) == self.day(self.at) {
            "%H:%M:%S"
        } else {
            "%-d %b %H:%M"
        };
        self.write(at, format)
    }

    /// `Friday, 27 November 2026`.
    pub(super) fn long_day(&self, at: u64) -> String {
        self.write(at, "%A, %-d %B %Y")
    }

    pub(super) fn day(&self, at: u64) -> Option<Date> {
        Some(self.local(at)?.date())
    }

    fn local(&self, at: u64) -> Option<jiff::ZonedDateTime> {
        let moment = Timestamp::from_nanosecond(i128::from(at)).ok()?;
        Some(moment.to_zoned_datetime(self.zone.clone()))
    }

    fn write(&self, at: u64, format: &str) -> String {
        let local = self.local(at);
        let written = local.and_then(|local| jiff::fmt::strtime::format(format, &local).ok());
        written.unwrap_or_else(|| "?".to_owned())
    }
}

/// How long something has been going on: `28.1 s`, `12 min`.
pub(super) fn age(ns: u64) -> String {
    let tenths = ns / (NS_PER_S / 10);
    if tenths < EXACT_S * 10 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    roughly(ns / NS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_exact_while_that_matters() {
        for (ms, wanted) in [
            (0, "0.0 s"),
            (99, "0.0 s"),
            (28_199, "28.1 s"),
            (599_999, "599.9 s"),
            (600_000, "10 min"),
            (7_500_000, "2 h 5 min"),
        ] {
            assert_eq!(age(ms * 1_000_000), wanted);
        }
    }

    #[test]
    fn times_are_those_of_the_zone_here() {
        let now = Now {
            at: 1_795_403_527 * NS_PER_S,
            zone: TimeZone::fixed(jiff::tz::offset(1)),
        };
        assert_eq!(now.clock(now.at), "04:12:07");
        assert_eq!(now.clock_or_day(now.at - 5 * NS_PER_S), "04:12:02");
        assert_eq!(now.clock_or_day(now.at - 18_000 * NS_PER_S), "22 Nov 23:12");
        assert_eq!(now.long_day(now.at), "Monday, 23 November 2026");
        assert_eq!(now.ago(now.at - 240 * NS_PER_S), "4 min ago");
        assert_eq!(now.ago(now.at + 1), "0 s ago");
        assert_eq!(now.clock(u64::MAX), "00:34:33", "of the year 2554");
    }
}
