//! Which shards there are at a moment, and what becomes of each: pure functions of the clock.
//!
//! | moment | shard |
//! |---|---|
//! | long before its span | is made, takes leaves, is published when they come and now and then |
//! | from the beginning of its span on | is published at every interval: locks in it expire |
//! | after its span and the longest reveal window | takes nothing any more |
//! | and the tolerance of clocks later | gets its last checkpoint, late for every lock in it: it is frozen |

use bauta_proto::{
    limits::REVEAL_WINDOW_MAX,
    log::policy::Shard,
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
};

/// How old the checkpoint of a shard may get whose span has not begun. Wallets want to see a log that runs.
const REFRESH: Seconds = Seconds(120);

/// What a log is due for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To be published at every interval.
    Always,
    /// To be published when leaves came, and now and then.
    WhenChanged,
    /// To get its last checkpoint.
    Freezing,
}

/// The shard of this moment and those that are made ahead of it.
pub(super) fn wanted(now: Timestamp, days: u32, ahead: u32) -> Vec<Shard> {
    let current = Shard::containing(now, days);
    std::iter::successors(Some(current), |shard| Some(shard.next()))
        .take(ahead as usize + 1)
        .collect()
}

/// The last moment at which a leaf may come into the shard: a lock of its last second, in mode SAFE, with the longest
/// window.
pub(super) const fn last_moment(shard: Shard) -> Timestamp {
    shard.until.plus(REVEAL_WINDOW_MAX)
}

/// What a log is due for; one that is no shard is never frozen.
pub(super) fn due(shard: Option<Shard>, now: Timestamp) -> Due {
    match shard {
        Some(shard) if now > last_moment(shard).plus(CLOCK_TOLERANCE) => Due::Freezing,
        Some(shard) if now.plus(CLOCK_TOLERANCE) < shard.from => Due::WhenChanged,
        _ => Due::Always,
    }
}

/// Whether a checkpoint of this age is to be made again.
pub(super) fn is_stale(published_at: Timestamp, now: Timestamp) -> bool {
    now.since(published_at) >= REFRESH
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn a_shard_is_frozen_only_when_no_leaf_can_come_any_more() {
        let shard = Shard::containing(Timestamp(20_000 * DAY), 10);
        let at = |moment: u64| due(Some(shard), Timestamp(moment));
        assert_eq!(at(shard.from.0 - 31), Due::WhenChanged);
        assert_eq!(at(shard.from.0 - 30), Due::Always);
        let last = shard.until.0 + 7 * DAY;
        assert_eq!(at(last + 30), Due::Always);
        assert_eq!(at(last + 31), Due::Freezing);
        assert_eq!(due(None, Timestamp(u64::MAX)), Due::Always);
    }

    #[test]
    fn shards_are_made_ahead_without_gaps() {
        let shards = wanted(Timestamp(20_005 * DAY), 10, 3);
        assert_eq!(shards.len(), 4);
        assert!(shards[0].contains(Timestamp(20_005 * DAY)));
        assert!(shards.windows(2).all(|pair| pair[0].until == pair[1].from));
    }
}
