//! Following the log: what it says about held locks, and what its silence says.

use std::sync::Arc;

use bauta_proto::{
    decision::{Age, age},
    ids::LockTag,
    lock::opens,
    log::{
        leaf::{Deed, Leaf},
        reader::{FetchedCheckpoint, ReadError},
    },
    time::{CLOCK_TOLERANCE, Timestamp},
    transport::Transport,
};
use bauta_store::{
    StoreError,
    bank::{BankCommand, BankReader, Done, LogAdvance, LogPosition, Refusal},
};

use super::Bank;
use crate::{batch::WriteError, work::compute};

/// Locks that one step releases at most.
const RELEASES_MAX: usize = 1_024;

/// Locks decided by one look at the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// For the payee.
    pub captured: usize,
    /// For the payer.
    pub released: usize,
}

/// Why the log was not followed to its end. Everything up to there stands.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The log cannot be read, or contradicts itself.
    #[error("the log cannot be followed")]
    Read(#[from] ReadError),
    /// The store failed.
    #[error("the bank's store cannot be read")]
    Store(#[from] StoreError),
    /// The step was not written.
    #[error("the step along the log was not written")]
    Write(#[from] WriteError),
    /// Another process moved the position.
    #[error("another process follows the log in this store")]
    Moved(#[source] Refusal),
}

impl<T: Transport + 'static> Bank<T> {
    /// Reads the log from where it stopped to its latest checkpoint, and decides locks by the rule of
    /// [`bauta_proto::decision`]. Safe to repeat; for one task at a time.
    ///
    /// # Errors
    /// [`FollowError`].
    pub async fn follow(self: &Arc<Self>) -> Result<Followed, FollowError> {
        let checkpoint = Arc::new(self.log.checkpoint().await?);
        let mut followed = Followed::default();
        self.begin(&checkpoint, &mut followed).await?;
        loop {
            let position = self.log_position().await?;
            // Also with nothing new this proves that the checkpoint's tree is the one that was read.
            let entries = self.log.entries(&position.frontier, &checkpoint).await?;
            if entries.leaves.is_empty() && entries.frontier == position.frontier {
                break;
            }
            let advance = self
                .decide_leaves(&checkpoint, &position, entries.leaves)
                .await?;
            let advance = LogAdvance {
                frontier: entries.frontier,
                ..advance
            };
            self.advance(advance, &mut followed).await?;
            if entries.complete {
                break;
            }
        }
        self.release_expired(&checkpoint, &mut followed).await?;
        Ok(followed)
    }

    /// A bank without locks begins at the end of the log: whatever lock is made after the checkpoint was fetched, its
    /// leaf comes behind it.
    async fn begin(
        self: &Arc<Self>,
        checkpoint: &Arc<FetchedCheckpoint>,
        followed: &mut Followed,
    ) -> Result<(), FollowError> {
        let bank = Arc::clone(self);
        let has_locks = move || bank.readers.read_or_fail(|reader| reader.has_locks());
        let position = self.log_position().await?;
        if position.frontier.size() > 0 || checkpoint.size() == 0 || compute(has_locks).await? {
            return Ok(());
        }
        let frontier = self.log.edge(checkpoint).await?;
        let advance = LogAdvance {
            frontier,
            ..self.step(checkpoint, &position)
        };
        self.advance(advance, followed).await
    }

    /// What the leaves decide. A leaf counts only with the lock's own expiry and preimage.
    async fn decide_leaves(
        self: &Arc<Self>,
        checkpoint: &Arc<FetchedCheckpoint>,
        position: &LogPosition,
        leaves: Vec<Leaf>,
    ) -> Result<LogAdvance, FollowError> {
        let mut advance = self.step(checkpoint, position);
        let (bank, checkpoint) = (Arc::clone(self), Arc::clone(checkpoint));
        let decide = move |reader: &BankReader| {
            for leaf in &leaves {
                let Some(lock_tag) = committed_lock(reader, leaf)? else {
                    continue;
                };
                match age(checkpoint.checked(), leaf.expiry) {
                    Age::Early => advance.captures.push((lock_tag, leaf.value)),
                    _ => advance.await_receipt.push((lock_tag, leaf.value)),
                }
            }
            Ok(advance)
        };
        Ok(compute(move || bank.readers.read_or_fail(decide)).await?)
    }

    /// Releases held locks that a late checkpoint lacks: only after all of its tree was read.
    async fn release_expired(
        self: &Arc<Self>,
        checkpoint: &Arc<FetchedCheckpoint>,
        followed: &mut Followed,
    ) -> Result<(), FollowError> {
        loop {
            let releases = self.due_releases(checkpoint).await?;
            if releases.is_empty() {
                return Ok(());
            }
            let position = self.log_position().await?;
            if position.frontier.size() != checkpoint.size() {
                return Ok(());
            }
            let advance = LogAdvance {
                releases,
                ..self.step(checkpoint, &position)
            };
            let before = followed.released;
            self.advance(advance, followed).await?;
            if followed.released == before {
                return Ok(());
            }
        }
    }

    async fn due_releases(
        self: &Arc<Self>,
        checkpoint: &Arc<FetchedCheckpoint>,
    ) -> Result<Vec<LockTag>, StoreError> {
        let (bank, checkpoint) = (Arc::clone(self), Arc::clone(checkpoint));
        let expired = self.now().minus(CLOCK_TOLERANCE);
        compute(move || {
            let held = bank
                .readers
                .read_or_fail(|reader| reader.held_before(expired, RELEASES_MAX))?;
            let is_due = |expiry: Timestamp| age(checkpoint.checked(), expiry) == Age::Late;
            let due = held.into_iter().filter(|lock| is_due(lock.expiry));
            Ok(due.map(|lock| lock.lock_tag).collect())
        })
        .await
    }

    /// A step that decides nothing and stays where it is.
    fn step(&self, checkpoint: &FetchedCheckpoint, position: &LogPosition) -> LogAdvance {
        LogAdvance {
            from_size: position.frontier.size(),
            frontier: position.frontier.clone(),
            checkpoint: checkpoint.note().to_owned(),
            captures: Vec::new(),
            await_receipt: Vec::new(),
            releases: Vec::new(),
            at: self.now(),
        }
    }

    async fn advance(
        &self,
        advance: LogAdvance,
        followed: &mut Followed,
    ) -> Result<(), FollowError> {
        let command = BankCommand::AdvanceLog(Box::new(advance));
        let done = self.writer.apply(command).await?;
        if let Done::Advanced { captured, released } = done.map_err(FollowError::Moved)? {
            followed.captured += captured;
            followed.released += released;
        }
        Ok(())
    }

    async fn log_position(self: &Arc<Self>) -> Result<LogPosition, StoreError> {
        let bank = Arc::clone(self);
        compute(move || bank.readers.read_or_fail(|reader| reader.log_position())).await
    }
}

/// The lock of this bank that the leaf commits, if it is one.
fn committed_lock(reader: &BankReader, leaf: &Leaf) -> Result<Option<LockTag>, StoreError> {
    let Some((lock_tag, Deed::Commit)) = leaf.about_lock() else {
        return Ok(None);
    };
    let lock = reader.lock(lock_tag)?;
    let is_its =
        lock.is_some_and(|lock| lock.expiry == leaf.expiry && opens(&leaf.value, &lock.hash_lock));
    Ok(is_its.then_some(lock_tag))
}
