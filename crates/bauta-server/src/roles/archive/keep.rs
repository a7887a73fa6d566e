//! Checkpoints that are kept: whoever was away finds one that is early for what happened meanwhile.
//!
//! Kept are the first checkpoint with a new leaf, then one every [`KEPT_INTERVAL`] while leaves come, and in a log in which
//! locks expire one in every hour, so that nobody has to look far back. They stay as long as the tiles that they need.

use std::io;

use bauta_proto::{
    log::{
        policy::{CheckedCheckpoint, Shard},
        reader::{KEPT_INTERVAL, kept_hour, kept_path},
    },
    time::Timestamp,
};

use super::{
    folder::{NamedFile, PublicFolder},
    span::{Due, due},
};

/// What was kept last.
pub(super) struct Keeper {
    shard: Option<Shard>,
    last: Option<Kept>,
}

#[derive(Clone, Copy)]
struct Kept {
    size: u64,
    at: Timestamp,
}

impl Keeper {
    /// After a start, when it does not know what was kept, the next checkpoint is kept.
    pub(super) const fn new(shard: Option<Shard>) -> Self {
        Self { shard, last: None }
    }

    /// The file that keeps this checkpoint, with those of the same hour, if it is to be kept.
    pub(super) fn keep(
        &mut self,
        folder: &PublicFolder,
        (note, checked): (&str, &CheckedCheckpoint),
        now: Timestamp,
    ) -> io::Result<Option<NamedFile>> {
        let (size, at) = (checked.size, checked.quorum_at());
        if !self.is_wanted(size, at, now) {
            return Ok(None);
        }
        let name = kept_path(kept_hour(at));
        let mut notes = folder.read(&name)?.unwrap_or_default();
        if !notes.ends_with(note.as_bytes()) {
            notes.extend_from_slice(note.as_bytes());
        }
        self.last = Some(Kept { size, at });
        Ok(Some((name, notes)))
    }

    fn is_wanted(&self, size: u64, at: Timestamp, now: Timestamp) -> bool {
        let locks_expire = due(self.shard, now) == Due::Always;
        let Some(last) = self.last else {
            return size > 0 || locks_expire;
        };
        // Witnesses' clocks may say less than before.
        let is_later = last.at.0.abs_diff(at.0) >= u64::from(KEPT_INTERVAL.0);
        (size > last.size && is_later) || (locks_expire && kept_hour(at) != kept_hour(last.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000);

    fn wanted(last: (u64, u64), next: (u64, u64), shard: Option<Shard>) -> bool {
        let keeper = Keeper {
            shard,
            last: Some(Kept {
                size: last.0,
                at: Timestamp(NOW.0 + last.1),
            }),
        };
        keeper.is_wanted(next.0, Timestamp(NOW.0 + next.1), NOW)
    }

    #[test]
    fn a_log_that_grows_keeps_a_checkpoint_at_every_interval_and_an_idle_one_every_hour() {
        assert!(!wanted((5, 0), (6, 9), None));
        assert!(wanted((5, 0), (6, 10), None));
        assert!(!wanted((5, 0), (5, 10), None));
        assert!(wanted((5, 0), (5, 3_600), None));
        let to_come = Shard::containing(NOW, 10).next();
        assert!(!wanted((5, 0), (5, 3_600), Some(to_come)));
        assert!(wanted((5, 0), (6, 10), Some(to_come)));
    }
}
