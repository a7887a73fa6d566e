//! What a bank does by itself. Each step is complete in itself and safe to repeat, so that a simulator can call it.

use std::sync::Arc;

use bauta_proto::{
    codec::{Message, Signed},
    log::reader::{FetchedCheckpoint, ReadError},
    money::Currency,
    submission::{Promise, Record},
    transport::{CallError, Transport, TransportError, archive::SubmitRecord, call},
};
use bauta_store::{
    StoreError,
    bank::{BankCommand, NewKeyset, Refusal},
};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, timeout},
};

use super::{
    Bank, FollowError, KeysDiffer, follow::PATIENCE, keysets::LiveKeyset, logs::FollowedLog,
};
use crate::{batch::WriteError, work::compute};

/// Locks that one round ends by time at most.
const OUTLIVED_MAX: usize = 1_024;

/// Why a step was not done. It is tried again in the next round.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The store failed.
    #[error("the bank's store cannot be read")]
    Store(#[from] StoreError),
    /// The command was not written.
    #[error("the step was not written")]
    Write(#[from] WriteError),
    /// The store refused the command.
    #[error("the step was refused")]
    Refused(#[from] Refusal),
    /// The keys do not fit the records.
    #[error(transparent)]
    Keys(#[from] KeysDiffer),
    /// The log has not taken a keyset's record yet.
    #[error("a keyset is not in the log yet")]
    Logging(#[from] LoggingError),
    /// The log was not followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

/// Why a keyset's record is not in the log yet.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The log did not take it.
    #[error("the log did not take the record")]
    Submit(#[from] CallError),
    /// The operator has to add one.
    #[error("no log of the policy takes records of keysets that end then")]
    NoLog,
    /// The log's promise is about something else or not signed by it: the log is at fault.
    #[error("the log's promise is not its word for this record")]
    Promise,
    /// No checkpoint proves it yet.
    #[error("no checkpoint proves the record yet")]
    Read(#[from] ReadError),
}

/// Runs all steps in every interval until `shutdown` says true.
pub(super) async fn run<T: Transport + 'static>(
    bank: &Arc<Bank<T>>,
    mut shutdown: watch::Receiver<bool>,
) {
    let mut interval = tokio::time::interval(bank.follow_interval);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = false;
    while !*shutdown.borrow_and_update() {
        tokio::select! {
            _ = interval.tick() => failed = report(bank.tick().await, failed),
            changed = shutdown.changed() => if changed.is_err() { return },
        }
    }
}

/// A failure that lasts is told once, and once when it is over.
fn report(round: Result<(), JobError>, failed_before: bool) -> bool {
    match &round {
        Err(error) if !failed_before => tracing::warn!(
            error = error as &dyn std::error::Error,
            "the bank's jobs wait for something"
        ),
        Ok(()) if failed_before => tracing::info!("the bank's jobs go on"),
        _ => {}
    }
    round.is_err()
}

impl<T: Transport + 'static> Bank<T> {
    /// All steps once. A step that fails does not keep the others from being tried; the first failure is returned.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn tick(self: &Arc<Self>) -> Result<(), JobError> {
        let steps = [
            self.rotate_keysets().await,
            self.log_keysets().await,
            self.follow().await.map(drop).map_err(JobError::from),
            self.outlive_dead_logs()
                .await
                .map(drop)
                .map_err(JobError::from),
            self.end_outlived_locks().await,
            self.end_keysets().await,
        ];
        steps.into_iter().collect()
    }

    /// Makes the keysets that the schedule wants.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn rotate_keysets(self: &Arc<Self>) -> Result<(), JobError> {
        for currency in &self.currencies {
            self.rotate(*currency).await?;
        }
        Ok(())
    }

    async fn rotate(self: &Arc<Self>, currency: Currency) -> Result<(), JobError> {
        let spans = self.keysets.current().spans(currency);
        let Some(planned) = self.schedule.plan(&spans, self.now()) else {
            return Ok(());
        };
        let bank = Arc::clone(self);
        let record = compute(move || {
            let keyset = bank
                .schedule
                .keyset(bank.bank_id(), currency, planned, &bank.seed);
            keyset.signed(&bank.key)
        })
        .await;
        let generation = planned.generation;
        let new = NewKeyset { record, generation };
        self.done(BankCommand::AddKeyset(Box::new(new))).await?;
        self.reload_keysets().await
    }

    /// Brings keysets into the log, and publishes those that a checkpoint proves to be there.
    ///
    /// # Errors
    /// [`JobError::Logging`] as long as the proof has not come.
    pub async fn log_keysets(self: &Arc<Self>) -> Result<(), JobError> {
        let book = self.keysets.current();
        let unlogged: Vec<_> = book
            .all()
            .into_iter()
            .filter(|keyset| keyset.row.receipt.is_none() && !keyset.row.closed)
            .collect();
        if unlogged.is_empty() {
            return Ok(());
        }
        for keyset in unlogged {
            let receipt = self.receipt(keyset).await?;
            let command = BankCommand::SetReceipt(keyset.number(), receipt.into_bytes());
            self.done(command).await?;
        }
        self.reload_keysets().await
    }

    /// The proof of the first log that gives one: one is enough for wallets. The others are asked when that log is out of
    /// reach, or does not publish.
    async fn receipt(&self, keyset: &LiveKeyset) -> Result<String, LoggingError> {
        let record = keyset.log_record();
        let signed = record.clone().signed(&self.key);
        let mut failure = LoggingError::NoLog;
        for log in self.logs.within(record.valid_until, record.valid_until) {
            let receipt = timeout(PATIENCE, self.receipt_of(log, &signed)).await;
            match receipt.unwrap_or_else(|_| Err(silence())) {
                Ok(receipt) => return Ok(receipt),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// The same record leads to the same promise, so that it may be submitted in every round.
    async fn receipt_of(
        &self,
        log: &FollowedLog<T>,
        signed: &Signed<Record>,
    ) -> Result<String, LoggingError> {
        let promise = call::<SubmitRecord, _>(&*self.world.transport, log.reader.url(), signed);
        let index = promised_index(log, &promise.await?, &signed.body)?;
        let checkpoint: FetchedCheckpoint = log.reader.checkpoint().await?;
        let leaf = signed.body.leaf();
        let receipt = log.reader.receipt(index, &leaf, &checkpoint).await?;
        Ok(receipt.to_text())
    }

    /// Ends undecided locks that have reached their last moment: their value returns.
    ///
    /// # Errors
    /// [`JobError`].
    pub async fn end_outlived_locks(self: &Arc<Self>) -> Result<(), JobError> {
        let now = self.now();
        let bank = Arc::clone(self);
        let read = move || {
            bank.readers
                .read_or_fail(|reader| reader.outlived(now, OUTLIVED_MAX))
        };
        for lock in compute(read).await? {
            let lock_tag = lock.lock_tag;
            let at = self.now();
            // A decision that came in between stands; that is no failure.
            let _decided = self
                .writer
                .apply(BankCommand::ReleaseOutlived { lock_tag, at })
                .await?;
        }
        Ok(())
    }

    /// Ends keysets whose coins have had their time.
    ///
    /// # Errors
    /// [`JobError`]; a keyset with a lock on it waits for the lock.
    pub async fn end_keysets(self: &Arc<Self>) -> Result<(), JobError> {
        let now = self.now();
        let book = self.keysets.current();
        let ended =
            |keyset: &&&Arc<LiveKeyset>| !keyset.row.closed && keyset.record().settle_until <= now;
        let ended: Vec<_> = book
            .all()
            .iter()
            .filter(ended)
            .map(|k| k.number())
            .collect();
        if ended.is_empty() {
            return Ok(());
        }
        for number in ended {
            self.done(BankCommand::CloseKeyset(number, now)).await?;
        }
        self.reload_keysets().await
    }

    async fn done(&self, command: BankCommand) -> Result<(), JobError> {
        self.writer.apply(command).await??;
        Ok(())
    }

    async fn reload_keysets(self: &Arc<Self>) -> Result<(), JobError> {
        let bank = Arc::clone(self);
        compute(move || {
            let rows = bank.readers.read_or_fail(|reader| reader.keysets())?;
            Ok(bank.keysets.replace(rows, &bank.seed)?)
        })
        .await
    }
}

const fn silence() -> LoggingError {
    LoggingError::Submit(CallError::Transport(TransportError::Timeout))
}

fn promised_index<T>(
    log: &FollowedLog<T>,
    promise: &Signed<Promise>,
    record: &Record,
) -> Result<u64, LoggingError> {
    let body = promise
        .verified(&log.known.key.key)
        .map_err(|_| LoggingError::Promise)?;
    let is_meant =
        body.leaf_hash == record.leaf().hash() && body.log == Promise::log_name(log.origin());
    is_meant.then_some(body.index).ok_or(LoggingError::Promise)
}
