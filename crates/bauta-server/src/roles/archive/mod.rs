//! The archive: an append-only public log of decisions, as static files with one way in.
//!
//! It learns lock tags and released preimages, and no amounts, parties or goods. Its word is worth as much as its files
//! prove: the promise says which leaf will be where, and anybody can check that it is.

mod config;
mod endpoints;
mod folder;
mod keep;
mod keys;
mod log;
mod prune;
mod publish;
mod round;
mod slot;
mod slots;
mod span;
mod witnesses;

pub use config::ArchiveConfig;
pub use keys::{address, cosigner_vkey, is_too_long, log_lines, log_policy, own_policy};
pub use prune::{PrunedShard, prune};
pub use publish::PublishError;
pub use slots::shards_until;
pub use witnesses::Complaint;

use std::{collections::HashSet, io, sync::Arc, time::Duration};

use axum::{Router, routing::get};
use bauta_crypto::note::{self, NoteError, Vkey};
use bauta_io::threads::blocking;
use bauta_proto::{
    codec::Signed,
    ids::{BankId, PolicyId},
    log::{
        leaf::Leaf,
        policy::{Policy, PolicyTextError, Shard},
    },
    problem::{Problem, ProblemKind},
    submission::Promise,
    time::{Clock, Seconds, Timestamp},
    transport::{
        Transport,
        archive::{CHECKPOINT_PATH, POLICY_PATH, SubmitLeaf, SubmitRecord},
    },
};
use bauta_store::{
    StoreError,
    archive::{ArchiveReader, SignedCheckpoint},
};
use tokio::{sync::watch, time::MissedTickBehavior};

use self::{
    folder::PublicFolder,
    keys::Keys,
    log::Opener,
    prune::SHARDS_FOLDER,
    publish::CHECKPOINT_FILE,
    slot::{Place, Slot},
    slots::Slots,
    witnesses::Patience,
};
use crate::{
    config::PolicySourceError,
    edge::{operation, operation_of_part},
    keys::RoleSeed,
    work::World,
};

/// The name of the store's file in the data folder.
const STORE_FILE: &str = "archive.db";
/// The route of kept checkpoints.
const KEPT_ROUTE: &str = "/checkpoints/{hour}";
/// Bounds of the configuration's `checkpoint_interval_ms`.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 10..=600_000;
/// Bounds of the configuration's `batch_max`.
const BATCH: std::ops::RangeInclusive<usize> = 1..=65_536;

/// Greatest `shard_days`.
const SHARD_DAYS_MAX: u32 = 3_660;
/// Greatest `shards_ahead`.
const SHARDS_AHEAD_MAX: u32 = 1_000;
/// Bounds of the configuration's `witness_timeout_ms`.
const WITNESS_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// A running archive.
pub struct Archive {
    /// The key of the one log, or of the current shard when the archive was started.
    log_vkey: Vkey,
    cosigner_vkey: Vkey,
    policy: Arc<Policy>,
    banks: HashSet<BankId>,
    /// Empty for any.
    policies: HashSet<PolicyId>,
    commit_span_max: Seconds,
    interval: Duration,
    clock: Arc<dyn Clock>,
    slots: Slots,
    pruning: Option<Pruning>,
}

/// When frozen shards are removed.
struct Pruning {
    config: ArchiveConfig,
    retention: Seconds,
}

/// Why an archive does not start. Its operator has to act.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveStartError {
    /// The configuration lists no bank.
    #[error("the configuration lists no bank whose locks the log takes (banks)")]
    NoBank,
    /// The time between checkpoints is out of bounds.
    #[error("checkpoint_interval_ms must be between 10 and 600000")]
    Interval,
    /// The size of a batch is out of bounds.
    #[error("batch_max must be between 1 and 65536")]
    Batch,
    /// The time that a witness may take is out of bounds.
    #[error("witness_timeout_ms must be between 100 and 60000, and witness_grace_ms at most that")]
    Patience,
    /// The policy cannot be used.
    #[error("the log policy cannot be used")]
    Policy(#[from] PolicySourceError),
    /// The policy is about other logs.
    #[error("the log policy does not list this log's key: {0}")]
    NotListed(Box<Vkey>),
    /// The length of a shard is out of bounds.
    #[error("shard_days must be at most 3660")]
    ShardDays,
    /// The shards do not reach far enough.
    #[error(
        "the shards ahead must reach farther than the farthest commit (commit_span_max_s) and be at most 1000 \
         (shards_ahead)"
    )]
    ShardsAhead,
    /// The folder belongs to an archive with shards, and the configuration has none, or the other way round.
    #[error(
        "the data folder was made with another kind of log: with shards (shard_days) or without"
    )]
    Sharding,
    /// The origin is not a name for a log.
    #[error("origin is not a name for a log: one word without spaces and plus signs")]
    Origin(#[source] NoteError),
    /// Without a port there is no address for the log's policy.
    #[error("the log needs its address for its policy: set url, or a port to listen on")]
    NoAddress,
    /// The address does not fit into a policy.
    #[error("the log's address does not fit into a policy: one word without spaces")]
    Address(#[source] PolicyTextError),
    /// The store cannot be opened.
    #[error("the archive's store cannot be opened")]
    Store(#[from] StoreError),
    /// The data folder cannot be used.
    #[error("the archive's data folder cannot be used")]
    Folder(#[from] io::Error),
    /// Store or folder belong to a log of another origin or key.
    #[error("the data folder belongs to a log of another origin or key")]
    OtherLog,
    /// The published checkpoint has leaves that the store lacks: the store was put back to an old state.
    #[error(
        "the store lacks what the log has published already; starting would fork the log: restore the newest store"
    )]
    StoreBehind,
}

impl Archive {
    /// Opens the stores, makes them and the folders if there are none, and starts the writers.
    ///
    /// # Errors
    /// [`ArchiveStartError`].
    ///
    /// # Panics
    /// Panics if the system cannot start a thread.
    pub fn open<T: Transport + 'static>(
        config: &ArchiveConfig,
        seed: RoleSeed,
        world: &World<T>,
    ) -> Result<Arc<Self>, ArchiveStartError> {
        check_bounds(config)?;
        let now = world.clock.now();
        std::fs::create_dir_all(&config.data)?;
        let shards = shards_at_start(config, now)?;
        let policy = Arc::new(keys::policy_of(config, &seed, &shards)?);
        show_policy(config, &policy)?;
        let keys = Keys::derive(&seed, &config.origin, None)?;
        let opener = Opener {
            config: config.clone(),
            seed: seed.clone(),
            policy: Arc::clone(&policy),
            world: world.clone(),
        };
        let slots = Slots::open(config, seed, &shards, Arc::new(opener), now)?;
        Ok(Arc::new(Self {
            log_vkey: slots.first_vkey(now),
            cosigner_vkey: keys.cosigner.vkey().clone(),
            policy,
            banks: config.banks.iter().copied().collect(),
            policies: config.policies.iter().copied().collect(),
            commit_span_max: Seconds(config.commit_span_max_s),
            interval: Duration::from_millis(config.checkpoint_interval_ms),
            clock: Arc::clone(&world.clock),
            slots,
            pruning: config.retention_days.map(|days| Pruning {
                config: config.clone(),
                retention: Seconds(days.saturating_mul(86_400)),
            }),
        }))
    }

    /// The archive's paths; those of a shard have its name before them.
    pub fn router(self: &Arc<Self>) -> Router {
        let router = Router::new().route(POLICY_PATH, get(endpoints::files::policy));
        let router = operation::<SubmitLeaf, _, _, _>(router, endpoints::leaf::leaf);
        let router = operation::<SubmitRecord, _, _, _>(router, endpoints::record::record);
        let router = if self.slots.is_sharded() {
            let of_shard = |path: &str| format!("/{{part}}{path}");
            let router = router
                .route(
                    &of_shard(CHECKPOINT_PATH),
                    get(endpoints::files::checkpoint_of_shard),
                )
                .route(
                    &of_shard("/tile/{*path}"),
                    get(endpoints::files::tile_of_shard),
                )
                .route(&of_shard(KEPT_ROUTE), get(endpoints::files::kept_of_shard))
                .route(&of_shard(POLICY_PATH), get(endpoints::files::policy));
            let leaf = endpoints::leaf::leaf_of_shard;
            let router = operation_of_part::<SubmitLeaf, _, _, _>(router, leaf);
            let record = endpoints::record::record_of_shard;
            operation_of_part::<SubmitRecord, _, _, _>(router, record)
        } else {
            router
                .route(CHECKPOINT_PATH, get(endpoints::files::checkpoint))
                .route("/tile/{*path}", get(endpoints::files::tile))
                .route(KEPT_ROUTE, get(endpoints::files::kept))
        };
        router.with_state(Arc::clone(self))
    }

    /// Publishes at every interval until `shutdown` is true, and once more then.
    pub async fn run_jobs(self: Arc<Self>, mut shutdown: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What goes on failing in the same way is told once.
        let mut last_said = None;
        loop {
            let stop = tokio::select! {
                // A sender that is gone means shutdown, too.
                _stopped = shutdown.wait_for(|stop| *stop) => true,
                _tick = ticks.tick() => false,
            };
            let said = self.publish_once().await.err();
            if let Some(error) = &said
                && last_said != said.as_ref().map(ToString::to_string)
            {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "no checkpoint was published"
                );
            }
            last_said = said.map(|error| error.to_string());
            if stop {
                return;
            }
        }
    }

    /// One round of publication of every log that is due: signs the head, writes its files, has it cosigned, shows the
    /// checkpoint. Makes the shards that are to be there, freezes those that have ended, removes those whose retention is
    /// over.
    ///
    /// # Errors
    /// The first [`PublishError`]; what was published before stays, and the next round goes on from there.
    pub async fn publish_once(&self) -> Result<(), PublishError> {
        let now = self.clock.now();
        let added = self.slots.add_shards(now);
        let published = self.slots.publish(now).await;
        let pruned = self.prune(now).await;
        added.and(published).and(pruned)
    }

    /// Whether the logs are being published as their policy asks.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), &'static str> {
        self.slots.ready(self.clock.now())
    }

    async fn prune(&self, now: Timestamp) -> Result<(), PublishError> {
        let Some(pruning) = &self.pruning else {
            return Ok(());
        };
        if !self.slots.may_prune(now) {
            return Ok(());
        }
        let (config, retention) = (pruning.config.clone(), pruning.retention);
        let pruned = blocking(move || prune(&config, retention, now, false)).await;
        for shard in pruned.map_err(|_| PublishError::Stopping)?? {
            tracing::info!(shard = %shard.shard, "a shard was removed after its retention");
        }
        Ok(())
    }

    /// The policy that the archive publishes: the configured one, or that of its own logs, cosigned by itself.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The key of checkpoints and promises: of the one log, or of the shard that was current at the start.
    #[must_use]
    pub const fn log_vkey(&self) -> &Vkey {
        &self.log_vkey
    }

    /// The key of the archive's own cosignatures.
    #[must_use]
    pub const fn cosigner_vkey(&self) -> &Vkey {
        &self.cosigner_vkey
    }

    fn check_bank(&self, bank: BankId) -> Result<(), Problem> {
        let listed = self.banks.contains(&bank);
        listed.then_some(()).ok_or(ProblemKind::UnknownBank.into())
    }

    /// A leaf under a policy that does not list this log would mean nothing, and whoever brings it would rely on it.
    fn check_policy(&self, policy: PolicyId) -> Result<(), Problem> {
        let served = self.policies.is_empty() || self.policies.contains(&policy);
        served
            .then_some(())
            .ok_or(ProblemKind::PolicyNotServed.into())
    }

    /// The log of this name, if leaves of this expiry belong there; without a name, the archive's one log.
    fn slot_for(&self, shard: Option<&str>, expiry: Timestamp) -> Result<Arc<Slot>, Problem> {
        let slot = match (shard, self.slots.is_sharded()) {
            (None, true) => None,
            (name, _) => Some(self.slots.named(name).ok_or(ProblemKind::NotFound)?),
        };
        let takes = |slot: &Arc<Slot>| slot.place.shard.is_none_or(|s| s.contains(expiry));
        slot.filter(takes).ok_or_else(|| self.other_shard(expiry))
    }

    fn other_shard(&self, expiry: Timestamp) -> Problem {
        let problem = Problem::new(ProblemKind::OtherShard);
        match self.slots.containing(expiry) {
            Some(shard) => problem.detail(shard),
            None => problem.detail("no shard of this archive reaches there"),
        }
    }

    /// Writes a leaf that is admitted and promises it, or promises one again that stands in the log.
    async fn promise(
        &self,
        slot: &Arc<Slot>,
        leaf: Leaf,
        now: Timestamp,
        admission: Result<(), Problem>,
    ) -> Result<Signed<Promise>, Problem> {
        slot.promise(self.slots.opener(), leaf, now, admission)
            .await
    }
}

fn check_bounds(config: &ArchiveConfig) -> Result<(), ArchiveStartError> {
    if config.banks.is_empty() {
        Err(ArchiveStartError::NoBank)
    } else if !INTERVAL_MS.contains(&config.checkpoint_interval_ms) {
        Err(ArchiveStartError::Interval)
    } else if !BATCH.contains(&config.batch_max) {
        Err(ArchiveStartError::Batch)
    } else if config.shard_days > SHARD_DAYS_MAX {
        Err(ArchiveStartError::ShardDays)
    } else if config.shard_days > 0 && !reaches(config) {
        Err(ArchiveStartError::ShardsAhead)
    } else if !WITNESS_TIMEOUT_MS.contains(&config.witness_timeout_ms)
        || config.witness_grace_ms > config.witness_timeout_ms
    {
        Err(ArchiveStartError::Patience)
    } else {
        Ok(())
    }
}

/// Whether the shards ahead reach farther than any lock.
fn reaches(config: &ArchiveConfig) -> bool {
    let ahead = config.shards_ahead();
    let days = u64::from(ahead) * u64::from(config.shard_days);
    ahead <= SHARDS_AHEAD_MAX && days * 86_400 >= u64::from(config.commit_span_max_s)
}

const fn patience(config: &ArchiveConfig) -> Patience {
    Patience {
        limit: Duration::from_millis(config.witness_timeout_ms),
        grace: Duration::from_millis(config.witness_grace_ms),
    }
}

/// The shards that are there or to be made; none without shards.
fn shards_at_start(
    config: &ArchiveConfig,
    now: Timestamp,
) -> Result<Vec<Shard>, ArchiveStartError> {
    let is_sharded = config.shard_days > 0;
    let other = if is_sharded {
        STORE_FILE
    } else {
        SHARDS_FOLDER
    };
    if config.data.join(other).exists() {
        return Err(ArchiveStartError::Sharding);
    }
    if !is_sharded {
        return Ok(Vec::new());
    }
    let mut shards = slot::shards_in(config)?;
    shards.extend(span::wanted(now, config.shard_days, config.shards_ahead()));
    shards.sort_unstable();
    shards.dedup();
    Ok(shards)
}

/// Puts the policy among the public files, for whoever serves them as they are.
fn show_policy(config: &ArchiveConfig, policy: &Policy) -> io::Result<()> {
    let place = Place::new(config, None);
    let folder = PublicFolder::new(place.public, config.data.join("unfinished"));
    folder.prepare()?;
    let name = POLICY_PATH.trim_start_matches('/');
    let text = policy.text().as_bytes();
    if folder.read(name)?.as_deref() == Some(text) {
        return Ok(());
    }
    folder.write(&[(name.to_owned(), text.to_vec())])
}

/// Checks that store and folder are this log's, and that the store has everything that was ever shown.
fn check_history(
    reader: &ArchiveReader,
    folder: &PublicFolder,
    log: &Vkey,
) -> Result<(), ArchiveStartError> {
    let signed = reader.checkpoint()?;
    if let Some(signed) = &signed {
        note::open_checkpoint(&signed.note, log).map_err(|_| ArchiveStartError::OtherLog)?;
    }
    let Some(published) = folder.read(CHECKPOINT_FILE)? else {
        return Ok(());
    };
    let published = String::from_utf8(published).map_err(|_| ArchiveStartError::OtherLog)?;
    let opened = note::open_checkpoint(&published, log).map_err(|_| ArchiveStartError::OtherLog)?;
    let covers = |signed: SignedCheckpoint| {
        let (size, root) = (opened.checkpoint.size, opened.checkpoint.root);
        signed.size > size || (signed.size, signed.root) == (size, root)
    };
    let whole = signed.is_some_and(covers);
    whole.then_some(()).ok_or(ArchiveStartError::StoreBehind)
}

#[cfg(test)]
mod tests;
