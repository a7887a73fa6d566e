//! Shards: logs that take the leaves of a span of expiries, and are frozen after it.

use std::fmt;

use time::{Date, Month, UtcDateTime};

use crate::time::Timestamp;

const SECONDS_A_DAY: u64 = 86_400;

/// The span of expiries whose leaves a log takes, in whole days of UTC.
///
/// It is the last part of the log's origin line, behind a slash: `YYYYMMDD-YYYYMMDD`, the first day and the first day after
/// the last. A log whose origin does not end so takes every leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    /// The beginning of the first day.
    pub from: Timestamp,
    /// The end of the last day; no leaf of this expiry or a later one.
    pub until: Timestamp,
}

impl Shard {
    /// The shard that a log with this origin line is; none if it takes everything.
    #[must_use]
    pub fn of_origin(origin: &str) -> Option<Self> {
        let (_, span) = origin.rsplit_once('/')?;
        let (from, until) = span.split_once('-')?;
        let (from, until) = (midnight(from)?, midnight(until)?);
        (from < until).then_some(Self { from, until })
    }

    /// The shard of `days` days that contains `moment`, counted from 1970-01-01, so that neighbours never overlap.
    #[must_use]
    pub fn containing(moment: Timestamp, days: u32) -> Self {
        let span = u64::from(days.max(1)) * SECONDS_A_DAY;
        let from = moment.0 / span * span;
        Self {
            from: Timestamp(from),
            until: Timestamp(from.saturating_add(span)),
        }
    }

    /// The shard of the same length right after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        let span = self.until.0 - self.from.0;
        Self {
            from: self.until,
            until: Timestamp(self.until.0.saturating_add(span)),
        }
    }

    /// Whether leaves of this expiry belong here.
    #[must_use]
    pub fn contains(&self, expiry: Timestamp) -> bool {
        self.from <= expiry && expiry < self.until
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = [day(self.from), day(self.until)].map(|day| day.ok_or(fmt::Error));
        let [from, until] = days;
        write!(formatter, "{}-{}", from?, until?)
    }
}

/// The day `YYYYMMDD` of a moment before the year 10000.
fn day(moment: Timestamp) -> Option<String> {
    let moment = UtcDateTime::from_unix_timestamp(moment.0.try_into().ok()?).ok()?;
    let (year, month, day) = moment.to_calendar_date();
    Some(format!("{year:04}{:02}{day:02}", u8::from(month)))
}

/// The beginning of the day `YYYYMMDD` from 1970 on, if there is such a day.
fn midnight(text: &str) -> Option<Timestamp> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year = text.get(..4)?.parse().ok()?;
    let month: u8 = text.get(4..6)?.parse().ok()?;
    let month = Month::try_from(month).ok()?;
    let date = Date::from_calendar_date(year, month, text.get(6..)?.parse().ok()?).ok()?;
    let seconds = date.midnight().as_utc().unix_timestamp();
    Some(Timestamp(seconds.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_says_which_expiries_its_log_takes() {
        let shard = Shard::of_origin("log.example/bauta/20261101-20270201").expect("a shard");
        assert_eq!(shard.from, Timestamp(1_793_491_200));
        assert_eq!(shard.until, Timestamp(1_801_440_000));
        assert!(shard.contains(shard.from) && !shard.contains(shard.until));
        for other in [
            "log.example/bauta",
            "log.example/20261101-20261101",
            "log.example/20261131-20270201",
            "log.example/20260229-20270201",
            "log.example/2026110-20270201",
            "log.example/+0261101-20270201",
            "20261101-20270201",
        ] {
            assert_eq!(Shard::of_origin(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_is_in_one_shard_and_its_name_says_which(
            moment in 0_u64..250_000_000_000,
            days in 1_u32..400,
        ) {
            let shard = Shard::containing(Timestamp(moment), days);
            prop_assert!(shard.contains(Timestamp(moment)));
            prop_assert!(!shard.next().contains(Timestamp(moment)));
            prop_assert_eq!(shard.next().from, shard.until);
            prop_assert_eq!(Shard::of_origin(&format!("log.example/{shard}")), Some(shard));
        }
    }
}
