//! Following the logs for cancels (mode SAFE): only who has read every leaf from before a lock existed on knows that its
//! prepare came before any cancel.

use std::sync::{Arc, atomic::Ordering};

use bauta_io::threads::blocking;
use bauta_proto::{
    limits::REVEAL_WINDOW_MAX,
    log::{
        leaf::Deed,
        policy::Shard,
        reader::{FetchedCheckpoint, ReadEntries, ReadError},
    },
    offer::Mode,
    time::Timestamp,
    transport::Transport,
};
use bauta_store::merchant::{Cancel, LogPosition, LogStep};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    JobError, Merchant, locked,
    logs::{Log, PATIENCE},
};
use crate::work::compute;

impl<T: Transport + 'static> Merchant<T> {
    /// Reads every log that may still get leaves from where it stopped to its latest checkpoint, and keeps the cancels.
    /// Returns how many there were.
    ///
    /// # Errors
    /// [`JobError`]; logs that do answer are read to their ends.
    pub async fn follow_logs(self: &Arc<Self>) -> Result<usize, JobError> {
        if !self.modes.contains(&Mode::Safe) {
            return Ok(0);
        }
        let now = self.now();
        let logs = self.logs.iter().filter(|log| is_worth_following(log, now));
        let followed = join_all(logs.map(|log| self.follow(log))).await;
        followed.into_iter().sum()
    }

    /// What was read of a log that is slow or endless is on record: the next look goes on from there.
    async fn follow(self: &Arc<Self>, log: &Log<T>) -> Result<usize, JobError> {
        let begun = Instant::now();
        let checkpoint = log.answer(self.now(), log.reader.checkpoint()).await?;
        let mut cancels = 0;
        while begun.elapsed() < PATIENCE {
            let Some(position) = self.log_position(log.name).await? else {
                self.begin_following(log, &checkpoint).await?;
                continue;
            };
            let entries = log.reader.entries(&position.frontier, &checkpoint);
            let entries = match log.answer(self.now(), entries).await {
                Err(ReadError::Older) => return Ok(cancels),
                entries => entries?,
            };
            let (complete, is_new) = (entries.complete, entries.frontier != position.frontier);
            if is_new {
                let step = step(log.name, &position, entries);
                cancels += step.cancels.len();
                self.advance_log(step).await?;
                log.has_answered();
            }
            if complete || !is_new {
                *locked(&log.latest) = Some(Arc::new(checkpoint));
                break;
            }
        }
        Ok(cancels)
    }

    /// Begins at the end of the log: whatever lock is made for an order that is answered later, its leaves come behind.
    async fn begin_following(
        self: &Arc<Self>,
        log: &Log<T>,
        checkpoint: &FetchedCheckpoint,
    ) -> Result<(), JobError> {
        let step = LogStep {
            log: log.name,
            from_size: None,
            frontier: log.answer(self.now(), log.reader.edge(checkpoint)).await?,
            cancels: Vec::new(),
        };
        self.advance_log(step).await
    }

    async fn advance_log(&self, step: LogStep) -> Result<(), JobError> {
        let store = Arc::clone(&self.store);
        let advanced = blocking(move || locked(&store).advance_log(&step)).await;
        let advanced = advanced.map_err(|_| JobError::Stopping)?;
        self.healthy.store(advanced.is_ok(), Ordering::Relaxed);
        Ok(advanced?)
    }

    async fn log_position(
        self: &Arc<Self>,
        log: [u8; 32],
    ) -> Result<Option<LogPosition>, JobError> {
        let shop = Arc::clone(self);
        Ok(compute(move || shop.reader().log_position(&log)).await?)
    }
}

impl<T> Merchant<T> {
    /// Whether enough logs are followed for a sale in mode SAFE that is offered now.
    pub(super) fn can_prepare(&self, now: Timestamp) -> Result<bool, bauta_store::StoreError> {
        let reader = self.reader();
        let conditions = &self.conditions;
        let earliest = now.plus(conditions.lock_min);
        let latest = now.plus(conditions.offer_span).plus(conditions.lock_max);
        for expiry in [earliest, latest] {
            let mut followed = 0;
            for log in self.logs_for(expiry) {
                followed += usize::from(reader.log_position(&log.name)?.is_some());
            }
            if followed < self.policy.log_threshold() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether a prepare may still have to be found in front of every cancel: those of a shard's last second are in early
/// checkpoints only a moment after its end.
fn is_worth_following<T>(log: &Log<T>, now: Timestamp) -> bool {
    let is_within = |shard: Shard| now < shard.until.plus(REVEAL_WINDOW_MAX);
    log.known.shard.is_none_or(is_within)
}

fn step(log: [u8; 32], position: &LogPosition, entries: ReadEntries) -> LogStep {
    let leaves = entries.indices.into_iter().zip(entries.leaves);
    let cancels = leaves
        .filter(|(_, leaf)| matches!(leaf.about_lock(), Some((_, Deed::Cancel))))
        .map(|(index, leaf)| Cancel { log, index, leaf });
    LogStep {
        log,
        from_size: Some(position.frontier.size()),
        cancels: cancels.collect(),
        frontier: entries.frontier,
    }
}
