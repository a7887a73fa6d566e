//! The bank: accounts, blind coins, and locks that hold value until the logs, the payee or time decides.
//!
//! It learns an account's owner when coins are withdrawn, and amounts; never who pays, what is bought or from whom.

mod check;
mod checkpoints;
mod config;
mod dead;
mod decide;
mod endpoints;
mod follow;
mod jobs;
mod keysets;
mod logs;
pub mod operator;
mod readers;
#[cfg(test)]
mod tests;

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use bauta_crypto::{secret::Secret, sign::SigningKey};
use bauta_proto::{
    codec::{Message, Signed},
    coin::{Issued, Output},
    ids::{BankId, LockTag, RequestId},
    lock::{LockState, LockStatus, TaggedLockState},
    log::policy::{Policy, PolicyUseError},
    money::Currency,
    problem::{Problem, ProblemKind},
    time::{Clock, Seconds, Timestamp},
    transport::Transport,
};
use bauta_store::{
    StoreError,
    bank::{BankCommand, BankResult, BankStore, Done},
};
use tokio::sync::watch;

pub use config::{BankConfig, BankConfigError};
pub use follow::{FollowError, Followed};
pub use jobs::{JobError, LoggingError};
pub use keysets::{IssueSpan, KeysDiffer, PlannedKeyset, Schedule};

use crate::{batch::Writer, config::PolicySourceError, keys::RoleSeed, work::World};
use checkpoints::Checkpoints;
use keysets::Keysets;
use logs::Logs;
use readers::Readers;

/// The bank's name: the public key that follows from its seed.
#[must_use]
pub fn bank_id(seed: &RoleSeed) -> BankId {
    signing_key(seed).verifying_key().into()
}

fn signing_key(seed: &RoleSeed) -> SigningKey {
    seed.signing_key("bank")
}

/// A running bank.
pub struct Bank<T> {
    /// Signs keysets, locks and their status.
    key: SigningKey,
    /// From which the keys of keysets are derived.
    seed: RoleSeed,
    /// From which serials and salts of locks are derived.
    lock_secret: Secret<32>,
    name: String,
    currencies: Vec<Currency>,
    schedule: Schedule,
    limits: Limits,
    policy: Arc<Policy>,
    logs: Logs<T>,
    checkpoints: Checkpoints,
    follow_interval: Duration,
    world: World<T>,
    writer: Writer<BankCommand, BankResult>,
    readers: Readers,
    keysets: Keysets,
}

/// What the bank agrees to in a lock.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Farthest expiry from now.
    lock_span_max: Seconds,
    /// For how long after expiry and clock tolerance a lock can wait for a receipt.
    claim_span: Seconds,
    /// Longest dispute window.
    dispute_window_max: Seconds,
}

/// Why a bank does not start. Its operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum BankStartError {
    /// A setting is out of bounds.
    #[error(transparent)]
    Config(#[from] BankConfigError),
    /// There is no log policy.
    #[error("the bank has no log policy (log_policy)")]
    Policy(#[from] PolicySourceError),
    /// No lock can be decided now.
    #[error("the log policy decides no lock that would be made now")]
    PolicyUse(#[from] PolicyUseError),
    /// The data folder cannot be made.
    #[error("the bank's data folder cannot be used")]
    Folder(#[from] io::Error),
    /// The store cannot be opened, or belongs to a bank with another key.
    #[error("the bank's store cannot be opened")]
    Store(#[from] StoreError),
    /// Locks of another policy are undecided.
    #[error(
        "undecided locks name another log policy: start with that one until they have ended (log_policy)"
    )]
    PolicyInUse,
    /// The key file is another bank's.
    #[error(transparent)]
    Keys(#[from] KeysDiffer),
}

/// A request after its check.
enum Checked<R> {
    /// It was done before and was answered with this.
    Repeat(R),
    /// It can be done if the records allow.
    New(Box<BankCommand>),
}

impl<T: Transport + 'static> Bank<T> {
    /// Opens the store, makes it and the folder if there are none, and starts the writer.
    ///
    /// # Errors
    /// [`BankStartError`].
    ///
    /// # Panics
    /// Panics if the system cannot start a thread.
    pub fn open(
        config: &BankConfig,
        seed: RoleSeed,
        world: World<T>,
    ) -> Result<Arc<Self>, BankStartError> {
        config.check()?;
        let policy = Arc::new(config.log_policy.load()?);
        policy.check_use(Clock::now(&*world.clock))?;
        std::fs::create_dir_all(&config.data)?;
        let mut store = BankStore::open(&config.store_path(), bank_id(&seed))?;
        if !store.go_by(policy.policy_id())? {
            return Err(BankStartError::PolicyInUse);
        }
        let readers = Readers::new(config.store_path());
        let keysets = Keysets::default();
        keysets.replace(readers.read_or_fail(|reader| reader.keysets())?, &seed)?;
        let logs = Logs::new(&world.transport, &policy);
        for log in logs.all() {
            let position = readers.read_or_fail(|reader| reader.log_position(log.origin()))?;
            if let Some(position) = position {
                logs.resume(position, &policy);
            }
        }
        let apply = move |commands| store.apply(commands);
        Ok(Arc::new(Self {
            key: signing_key(&seed),
            lock_secret: seed.secret("lock"),
            seed,
            name: config.name.clone(),
            currencies: config.currencies.clone(),
            schedule: config.schedule(),
            limits: limits(config),
            policy,
            logs,
            checkpoints: Checkpoints::default(),
            follow_interval: Duration::from_millis(config.follow_interval_ms),
            world,
            writer: Writer::start("bank", config.batch_max, apply),
            readers,
            keysets,
        }))
    }

    /// The bank's paths.
    pub fn router(self: &Arc<Self>) -> Router {
        endpoints::router(Arc::clone(self))
    }

    /// Does what is due, again and again, until `shutdown` says true or its sender is gone.
    pub async fn run_jobs(self: Arc<Self>, shutdown: watch::Receiver<bool>) {
        jobs::run(&self, shutdown).await;
    }

    /// Whether coins of every currency can be issued.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), &'static str> {
        let book = self.keysets.current();
        let now = self.now();
        if self.currencies.iter().all(|c| book.issues(*c, now)) {
            Ok(())
        } else {
            Err("no keyset that issues coins is in the log yet")
        }
    }
}

fn limits(config: &BankConfig) -> Limits {
    Limits {
        lock_span_max: Seconds(config.lock_span_max_s),
        claim_span: Seconds::days(config.claim_days),
        dispute_window_max: Seconds(config.dispute_window_max_s),
    }
}

impl<T: Transport> Bank<T> {
    /// The bank's name in messages.
    #[must_use]
    pub fn bank_id(&self) -> BankId {
        self.key.verifying_key().into()
    }

    /// The bank's name for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn now(&self) -> Timestamp {
        Clock::now(&*self.world.clock)
    }

    fn is_meant(&self, bank: BankId) -> Result<(), Problem> {
        if bank == self.bank_id() {
            Ok(())
        } else {
            Err(ProblemKind::WrongRecipient.into())
        }
    }

    /// Has a command applied, and tells the caller why if it is refused.
    async fn apply(&self, command: BankCommand) -> Result<Done, Problem> {
        self.writer.apply(command).await?.map_err(check::refusal)
    }

    /// What a request that is refused now was answered with, if it was done before: time makes nothing of it undone.
    ///
    /// A repeat that is not refused needs no question here: the store itself answers it as before.
    fn issued_before(
        &self,
        request: RequestId,
        outputs: &[Output],
        refusal: Problem,
    ) -> Result<Checked<Issued>, Problem> {
        let blinded: Vec<_> = outputs.iter().map(|output| output.blinded).collect();
        let signatures = self
            .readers
            .read(|reader| reader.issued(request, &blinded))?;
        let repeat = signatures.map(|signatures| Checked::Repeat(Issued { signatures }));
        repeat.ok_or(refusal)
    }

    /// Applies a request for outputs, unless it is a repeat.
    async fn issued(&self, checked: Checked<Issued>) -> Result<Issued, Problem> {
        match checked {
            Checked::Repeat(issued) => Ok(issued),
            Checked::New(command) => match self.apply(*command).await? {
                Done::Issued(signatures) => Ok(Issued { signatures }),
                _ => Err(damaged()),
            },
        }
    }

    /// The bank's signed word about locks.
    fn lock_status(&self, states: Vec<(LockTag, LockState)>) -> Signed<LockStatus> {
        let locks = states
            .into_iter()
            .map(|(lock_tag, state)| TaggedLockState { lock_tag, state });
        let status = LockStatus {
            bank: self.bank_id(),
            locks: locks.collect(),
        };
        status.signed(&self.key)
    }
}

/// The store answered with what the command cannot lead to, or holds what was not written.
fn damaged() -> Problem {
    ProblemKind::Internal.into()
}
