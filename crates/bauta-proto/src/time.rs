//! Moments and spans, in whole seconds as in RFC 9162 and the C2SP formats.

use std::fmt;

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TlsSize,
    TlsSerialize,
    TlsDeserialize,
)]
pub struct Timestamp(pub u64);

/// A span of whole seconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TlsSize,
    TlsSerialize,
    TlsDeserialize,
)]
pub struct Seconds(pub u32);

/// How far two honest clocks may be apart: the delta of the decision rule.
pub const CLOCK_TOLERANCE: Seconds = Seconds(30);

impl Timestamp {
    /// A moment later than any other, for what never ends.
    pub const MAX: Self = Self(u64::MAX);

    /// This moment and a span more; stays at the end of time.
    #[must_use]
    pub const fn plus(self, span: Seconds) -> Self {
        Self(self.0.saturating_add(span.0 as u64))
    }

    /// A span before this moment; stays at the beginning of time.
    #[must_use]
    pub const fn minus(self, span: Seconds) -> Self {
        Self(self.0.saturating_sub(span.0 as u64))
    }

    /// The span from `earlier` to this moment, none if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Seconds {
        Seconds(u32::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(u32::MAX))
    }
}

impl Seconds {
    /// Whole days.
    #[must_use]
    pub const fn days(days: u32) -> Self {
        Self(days * 86_400)
    }

    /// Whole hours.
    #[must_use]
    pub const fn hours(hours: u32) -> Self {
        Self(hours * 3_600)
    }
}

impl fmt::Display for Seconds {
    /// The largest two units: `3 d 4 h`, `2 min`, `45 s`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
        let mut rest = self.0;
        let mut shown = 0;
        for (length, unit) in units {
            if rest >= length && shown < 2 {
                let gap = if shown > 0 { " " } else { "" };
                write!(formatter, "{gap}{} {unit}", rest / length)?;
                rest %= length;
                shown += 1;
            }
        }
        if shown == 0 {
            formatter.write_str("0 s")
        } else {
            Ok(())
        }
    }
}

/// Where a role reads the time. The simulator has its own.
pub trait Clock: Send + Sync {
    /// The present moment, as far as this party's clock knows it.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_in_their_two_largest_units() {
        assert_eq!(Seconds(0).to_string(), "0 s");
        assert_eq!(Seconds(61).to_string(), "1 min 1 s");
        assert_eq!(Seconds(90_061).to_string(), "1 d 1 h");
    }

    #[test]
    fn time_never_wraps() {
        assert_eq!(Timestamp::MAX.plus(Seconds(1)), Timestamp::MAX);
        assert_eq!(Timestamp(1).minus(Seconds(2)), Timestamp(0));
        assert_eq!(Timestamp(1).since(Timestamp(2)), Seconds(0));
    }
}
