//! The clocks of a world: one true time, and nodes whose clocks are a little wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bauta_proto::time::{Clock, Timestamp};
use tokio::time::Instant;

/// When every world begins, in seconds since 1970.
pub const BEGINNING: Timestamp = Timestamp(1_800_000_000);

/// One node's clock.
#[derive(Debug)]
pub struct NodeClock {
    begun: Instant,
    ahead_ms: AtomicI64,
}

impl NodeClock {
    pub(crate) fn new(begun: Instant) -> Arc<Self> {
        Arc::new(Self {
            begun,
            ahead_ms: AtomicI64::new(0),
        })
    }

    /// Sets the clock: so many milliseconds ahead of true time, or behind it.
    pub fn set_ahead(&self, milliseconds: i64) {
        self.ahead_ms.store(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for NodeClock {
    fn now(&self) -> Timestamp {
        moment(self.begun.elapsed(), self.ahead_ms.load(Ordering::Relaxed))
    }
}

/// The time on a clock that is so far ahead, so long after the beginning.
pub(crate) fn moment(elapsed: Duration, ahead_ms: i64) -> Timestamp {
    let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let milliseconds = (BEGINNING.0 * 1_000)
        .saturating_add(elapsed)
        .saturating_add_signed(ahead_ms);
    Timestamp(milliseconds / 1_000)
}
