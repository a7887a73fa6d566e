//! Following the logs: what they say about undecided locks, and what their silence says.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    log::{
        leaf::Leaf,
        policy::KnownLog,
        reader::{FetchedCheckpoint, ReadEntries, ReadError},
        witness::CosignAgainError,
    },
    time::{CLOCK_TOLERANCE, Timestamp},
    transport::{CallError, Transport, TransportError},
};
use bauta_store::{
    StoreError,
    bank::{
        BankCommand, BankReader, Decisions, Done, LogAdvance, LogPosition, Refusal, UndecidedLock,
    },
};
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::{
    Bank,
    decide::Undecided,
    logs::{FollowedLog, Heads},
};
use crate::{batch::WriteError, work::compute};

/// Locks that one step looks at for the logs' silence at most.
pub(super) const DUE_MAX: usize = 1_024;

/// How long one log, or the witnesses of one, may hold up a round: the others wait for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Locks decided by one look at the logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// For the payee.
    pub captured: usize,
    /// For the payer.
    pub released: usize,
}

/// Why a log was not followed to its end. Everything up to there stands, and the other logs were followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The log cannot be read, or contradicts itself.
    #[error("a log cannot be followed")]
    Read(#[from] ReadError),
    /// The witnesses of a log that says nothing new did not cosign its last checkpoint again.
    #[error("a log says nothing new, and locks wait for it")]
    Silent(#[from] CosignAgainError),
    /// The store failed.
    #[error("the bank's store cannot be read")]
    Store(#[from] StoreError),
    /// The step was not written.
    #[error("the step along a log was not written")]
    Write(#[from] WriteError),
    /// Another process moved the position.
    #[error("another process follows the logs in this store")]
    Moved(#[source] Refusal),
}

impl Followed {
    const fn add(&mut self, more: Self) {
        self.captured += more.captured;
        self.released += more.released;
    }
}

impl<T: Transport + 'static> Bank<T> {
    /// Reads the logs from where it stopped to their latest checkpoints, and decides locks by the rule of
    /// [`bauta_proto::decision`]. A log that is out of reach does not keep the others from being followed. Safe to repeat;
    /// for one task at a time.
    ///
    /// # Errors
    /// [`FollowError`], the first of those that occurred.
    pub async fn follow(self: &Arc<Self>) -> Result<Followed, FollowError> {
        let now = self.now();
        let oldest = self.read(|reader| reader.oldest_undecided()).await?;
        let first = oldest.unwrap_or(now).min(now);
        let last = now.plus(self.limits.lock_span_max);
        let steps = self
            .logs
            .within(first, last)
            .map(|log| self.follow_log(log));
        let mut followed = Followed::default();
        let mut failure = Ok(());
        let decided = join_all(steps).await;
        for step in decided.into_iter().chain([self.decide_due().await]) {
            match step {
                Ok(step) => followed.add(step),
                Err(error) => failure = failure.and(Err(error)),
            }
        }
        failure.map(|()| followed)
    }

    /// One that is slow or endless is left alone after a while, and gone on with in the next round: only asking is broken
    /// off, never a decision.
    async fn follow_log(self: &Arc<Self>, log: &FollowedLog<T>) -> Result<Followed, FollowError> {
        let begun = Instant::now();
        let checkpoint = Arc::new(read_in_time(log.reader.checkpoint()).await?);
        let mut followed = Followed::default();
        loop {
            let position = match self.log_position(log).await? {
                Some(position) => position,
                None => self.begin(log, &checkpoint).await?,
            };
            // Also with nothing new this proves that the checkpoint's tree is the one that was read.
            let entries = log.reader.entries(&position.frontier, &checkpoint);
            let entries = read_in_time(entries).await?;
            let complete = entries.complete;
            let is_first = position.checkpoint.is_empty();
            if is_first || !entries.leaves.is_empty() || entries.frontier != position.frontier {
                followed.add(self.step(log, &checkpoint, &position, entries).await?);
            }
            if complete {
                self.logs.set_head(checkpoint);
                return Ok(followed);
            }
            if begun.elapsed() >= PATIENCE {
                return Ok(followed);
            }
        }
    }

    /// Where the reading of a log begins that was never read. Without undecided locks it begins at the log's end: whatever
    /// lock is made after the checkpoint was fetched, its leaf comes behind it. With such locks, which were made while
    /// the log was out of reach, it begins at the beginning.
    async fn begin(
        self: &Arc<Self>,
        log: &FollowedLog<T>,
        checkpoint: &FetchedCheckpoint,
    ) -> Result<LogPosition, FollowError> {
        let within = log.known.shard.map(|shard| (shard.from, shard.until));
        let (from, until) = within.unwrap_or((Timestamp(0), Timestamp::MAX));
        let has_undecided = self.read(move |reader| reader.has_undecided(from, until));
        if checkpoint.size() == 0 || has_undecided.await? {
            return Ok(LogPosition::default());
        }
        let frontier = read_in_time(log.reader.edge(checkpoint)).await?;
        let nothing = ReadEntries {
            leaves: Vec::new(),
            indices: Vec::new(),
            frontier,
            complete: true,
        };
        let start = LogPosition::default();
        let (advance, position) = advance(log, checkpoint, &start, nothing.frontier);
        self.decided(BankCommand::AdvanceLog(Box::new(advance)))
            .await?;
        Ok(position)
    }

    /// Decides what the leaves decide, and moves the position behind them in the same transaction.
    async fn step(
        self: &Arc<Self>,
        log: &FollowedLog<T>,
        checkpoint: &Arc<FetchedCheckpoint>,
        position: &LogPosition,
        entries: ReadEntries,
    ) -> Result<Followed, FollowError> {
        let _deciding = self.logs.deciding.lock().await;
        let mut heads = self.logs.heads();
        if entries.complete {
            heads.set(Arc::clone(checkpoint));
        }
        let (known, leaves) = (log.known.clone(), entries.leaves);
        let (bank, read_in) = (Arc::clone(self), Arc::clone(checkpoint));
        let decisions =
            self.read(move |reader| bank.decide_leaves(reader, &known, &leaves, &read_in, &heads));
        let decisions = decisions.await?;
        let (step, _) = advance(log, checkpoint, position, entries.frontier);
        let step = LogAdvance { decisions, ..step };
        self.decided(BankCommand::AdvanceLog(Box::new(step))).await
    }

    fn decide_leaves(
        &self,
        reader: &BankReader,
        log: &KnownLog,
        leaves: &[Leaf],
        checkpoint: &FetchedCheckpoint,
        heads: &Heads,
    ) -> Result<Decisions, StoreError> {
        let mut locks = BTreeMap::new();
        for leaf in leaves {
            let Some((lock_tag, _)) = leaf.about_lock() else {
                continue;
            };
            let lock = match locks.entry(lock_tag) {
                Entry::Occupied(lock) => lock.into_mut(),
                Entry::Vacant(place) => match Undecided::load(reader, lock_tag)? {
                    Some(lock) => place.insert(lock),
                    None => continue,
                },
            };
            lock.read(log, leaf, checkpoint.checked());
        }
        let mut decisions = self.no_decisions();
        for lock in locks.into_values() {
            lock.judge(&self.policy, heads).add_to(&mut decisions);
        }
        Ok(decisions)
    }

    /// Decides what the logs' silence decides.
    pub(super) async fn decide_due(self: &Arc<Self>) -> Result<Followed, FollowError> {
        let _deciding = self.logs.deciding.lock().await;
        let heads = Arc::new(self.logs.heads());
        let mut followed = Followed::default();
        let mut after = None;
        loop {
            let (bank, heads) = (Arc::clone(self), Arc::clone(&heads));
            let page = self.read(move |reader| bank.due_decisions(reader, after, &heads));
            let (decisions, last) = page.await?;
            followed.add(
                self.decided(BankCommand::Decide(Box::new(decisions)))
                    .await?,
            );
            if last.is_none() {
                return Ok(followed);
            }
            after = last;
        }
    }

    /// What follows for some due locks, and the last of them if there may be more.
    fn due_decisions(
        &self,
        reader: &BankReader,
        after: Option<UndecidedLock>,
        heads: &Heads,
    ) -> Result<(Decisions, Option<UndecidedLock>), StoreError> {
        let moment = self.now().minus(CLOCK_TOLERANCE);
        let due = reader.due_before(moment, after, DUE_MAX)?;
        let mut decisions = self.no_decisions();
        for lock in &due {
            if let Some(lock) = Undecided::load(reader, lock.lock_tag)? {
                lock.judge(&self.policy, heads).add_to(&mut decisions);
            }
        }
        let is_full = due.len() == DUE_MAX;
        Ok((decisions, due.last().copied().filter(|_| is_full)))
    }

    fn no_decisions(&self) -> Decisions {
        Decisions {
            at: self.now(),
            ..Decisions::default()
        }
    }

    /// Has decisions written, if there are any.
    async fn decided(&self, command: BankCommand) -> Result<Followed, FollowError> {
        if matches!(&command, BankCommand::Decide(decisions) if decisions.is_empty()) {
            return Ok(Followed::default());
        }
        let done = self.writer.apply(command).await?;
        match done.map_err(FollowError::Moved)? {
            Done::Decided { captured, released } => Ok(Followed { captured, released }),
            _ => Ok(Followed::default()),
        }
    }

    async fn log_position(
        self: &Arc<Self>,
        log: &FollowedLog<T>,
    ) -> Result<Option<LogPosition>, StoreError> {
        let origin = log.origin().to_owned();
        self.read(move |reader| reader.log_position(&origin)).await
    }

    pub(super) async fn read<R: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&BankReader) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let bank = Arc::clone(self);
        compute(move || bank.readers.read_or_fail(read)).await
    }
}

/// An answer of a log, if it comes in time.
async fn read_in_time<R>(
    reading: impl Future<Output = Result<R, ReadError>>,
) -> Result<R, ReadError> {
    let silence = || Err(CallError::Transport(TransportError::Timeout).into());
    timeout(PATIENCE, reading)
        .await
        .unwrap_or_else(|_| silence())
}

/// A step that decides nothing, and where it leads.
fn advance<T>(
    log: &FollowedLog<T>,
    checkpoint: &FetchedCheckpoint,
    position: &LogPosition,
    frontier: Frontier,
) -> (LogAdvance, LogPosition) {
    let position_then = LogPosition {
        frontier: frontier.clone(),
        checkpoint: checkpoint.note().to_owned(),
    };
    let step = LogAdvance {
        origin: log.origin().to_owned(),
        from_size: position.frontier.size(),
        frontier,
        checkpoint: checkpoint.note().to_owned(),
        decisions: Decisions::default(),
    };
    (step, position_then)
}
