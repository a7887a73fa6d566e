//! The system's clock.

use std::time::SystemTime;

use bauta_proto::time::{Clock, Timestamp};

/// The time of the operating system. Its operator keeps it right (NTP): roles allow each other
/// [`CLOCK_TOLERANCE`](bauta_proto::time::CLOCK_TOLERANCE).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        // A clock before 1970 is so wrong that every expiry is far away: nothing is decided by it.
        Timestamp(since_epoch.map_or(0, |span| span.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_tells_this_century() {
        let now = SystemClock.now();
        assert!(now > Timestamp(1_700_000_000));
        assert!(now < Timestamp(4_102_444_800));
    }
}
