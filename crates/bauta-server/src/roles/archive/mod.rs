//! The archive: an append-only public log of decisions, as static files with one way in.
//!
//! It learns lock tags and released preimages, and no amounts, parties or goods. Its word is worth as much as its files
//! prove: the promise says which leaf will be where, and anybody can check that it is.

mod config;
mod endpoints;
mod folder;
mod publish;
mod round;
mod witnesses;

pub use config::ArchiveConfig;
pub use publish::PublishError;
pub use witnesses::Complaint;

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, routing::get};
use bauta_crypto::{
    note::{self, CosignerSigner, LogSigner, NoteError, Vkey},
    sign::SigningKey,
};
use bauta_io::threads::blocking;
use bauta_proto::{
    codec::{Message, Signed},
    ids::BankId,
    log::{
        leaf::Leaf,
        policy::{Policy, PolicyTextError},
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
    archive::{Appended, ArchiveReader, ArchiveStore, NewLeaf, SignedCheckpoint},
};
use tokio::{sync::watch, time::MissedTickBehavior};

use self::{
    folder::PublicFolder,
    publish::{CHECKPOINT_FILE, Publisher, locked},
    round::Publication,
    witnesses::{Patience, Witnesses},
};
use crate::{
    batch::{Writer, store_problem},
    config::PolicySourceError,
    edge::operation,
    keys::RoleSeed,
    work::World,
};

/// The name of the store's file in the data folder.
const STORE_FILE: &str = "archive.db";
/// Bounds of the configuration's `checkpoint_interval_ms`.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 10..=600_000;
/// Bounds of the configuration's `batch_max`.
const BATCH: std::ops::RangeInclusive<usize> = 1..=65_536;

/// Bounds of the configuration's `witness_timeout_ms`.
const WITNESS_TIMEOUT_MS: std::ops::RangeInclusive<u64> = 100..=60_000;

/// A running archive.
pub struct Archive {
    /// Signs promises, with the log's key.
    key: SigningKey,
    log_name: [u8; 32],
    log_vkey: Vkey,
    cosigner_vkey: Vkey,
    policy: Arc<Policy>,
    banks: HashSet<BankId>,
    commit_span_max: Seconds,
    interval: Duration,
    clock: Arc<dyn Clock>,
    writer: Writer<NewLeaf, Appended>,
    /// For looking up what is there already.
    reader: Arc<Mutex<ArchiveReader>>,
    publication: Publication,
    folder: Arc<PublicFolder>,
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
    /// Opens the store, makes it and the folder if there are none, and starts the writer.
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
        let keys = Keys::derive(&seed, &config.origin).map_err(ArchiveStartError::Origin)?;
        let (log_vkey, cosigner_vkey) = (keys.log.vkey().clone(), keys.cosigner.vkey().clone());
        let policy = Arc::new(keys.policy_of(config)?);
        let clock = Arc::clone(&world.clock);

        std::fs::create_dir_all(&config.data)?;
        let folder = Arc::new(PublicFolder::open(&config.data)?);
        let path = config.data.join(STORE_FILE);
        let store = Arc::new(Mutex::new(ArchiveStore::open(&path)?));
        let reader = ArchiveReader::open(&path)?;
        check_history(&reader, &folder, &log_vkey)?;
        let reader = Arc::new(Mutex::new(reader));
        let mut named = policy.witnesses().iter();
        let is_named = named.any(|witness| witness.key == cosigner_vkey);
        let publisher = Publisher::new(
            (Arc::clone(&store), ArchiveReader::open(&path)?),
            Arc::clone(&folder),
            (keys.log, is_named.then_some(keys.cosigner)),
            Arc::clone(&clock),
        )?;
        let witnesses = Witnesses::new(
            (&policy, &cosigner_vkey),
            Arc::clone(&world.transport),
            (Arc::clone(&folder), Arc::clone(&reader)),
            patience(config),
            &config.disbelieved_witnesses,
        );
        let publication =
            Publication::new(publisher, witnesses, Arc::clone(&policy), log_vkey.clone());
        Ok(Arc::new(Self {
            key: keys.promise,
            log_name: Promise::log_name(&config.origin),
            log_vkey,
            cosigner_vkey,
            policy,
            banks: config.banks.iter().copied().collect(),
            commit_span_max: Seconds(config.commit_span_max_s),
            interval: Duration::from_millis(config.checkpoint_interval_ms),
            clock,
            writer: Writer::start("archive-writer", config.batch_max, move |leaves: Vec<_>| {
                locked(&store).append(&leaves)
            }),
            reader,
            publication,
            folder,
        }))
    }

    /// The archive's paths.
    pub fn router(self: &Arc<Self>) -> Router {
        let router = Router::new()
            .route(CHECKPOINT_PATH, get(endpoints::files::checkpoint))
            .route("/tile/{*path}", get(endpoints::files::tile))
            .route(POLICY_PATH, get(endpoints::files::policy));
        let router = operation::<SubmitLeaf, _, _, _>(router, endpoints::leaf::leaf);
        let router = operation::<SubmitRecord, _, _, _>(router, endpoints::record::record);
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

    /// One round of publication: signs the head, writes its files, has it cosigned, shows the checkpoint.
    ///
    /// # Errors
    /// [`PublishError`]; what was published before stays, and the next round goes on from there.
    pub async fn publish_once(&self) -> Result<(), PublishError> {
        self.publication.run().await
    }

    /// Whether the log is being published as its policy asks.
    ///
    /// # Errors
    /// What is missing.
    pub fn ready(&self) -> Result<(), &'static str> {
        self.publication.ready()
    }

    /// The policy that the log publishes: the configured one, or that of this log alone, cosigned by itself.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The key of checkpoints and promises.
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

    /// Writes a leaf that is admitted and promises it. One that is not admitted any more, but stands in the log, is
    /// promised again: a repeat gets the same bytes for ever.
    async fn promise(
        &self,
        leaf: Leaf,
        now: Timestamp,
        admission: Result<(), Problem>,
    ) -> Result<Signed<Promise>, Problem> {
        let leaf_hash = leaf.hash();
        let admission = admission.and_then(|()| {
            let may_promise = self.publication.may_promise();
            may_promise
                .then_some(())
                .ok_or(ProblemKind::LogHalted.into())
        });
        let appended = match admission {
            Ok(()) => {
                let promised_at = now;
                self.writer.apply(NewLeaf { leaf, promised_at }).await?
            }
            Err(refusal) => self.find(leaf).await?.ok_or(refusal)?,
        };
        let promise = Promise {
            log: self.log_name,
            leaf_hash,
            index: appended.index,
            promised_at: appended.promised_at,
        };
        Ok(promise.signed(&self.key))
    }

    async fn find(&self, leaf: Leaf) -> Result<Option<Appended>, Problem> {
        let reader = Arc::clone(&self.reader);
        let find = move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            reader.find(&leaf)
        };
        match blocking(find).await {
            Ok(found) => found.map_err(|error| {
                tracing::error!(error = &error as &dyn std::error::Error, "a lookup failed");
                store_problem(&error)
            }),
            Err(_stopping) => Err(ProblemKind::Overloaded.into()),
        }
    }
}

/// The archive's keys.
struct Keys {
    log: LogSigner,
    cosigner: CosignerSigner,
    promise: SigningKey,
}

/// The policy of the log that has this seed, origin and address: what its archive will publish once it runs.
///
/// # Errors
/// [`ArchiveStartError::Origin`] and [`ArchiveStartError::Address`] for what fits into no policy.
pub fn log_policy(seed: &RoleSeed, origin: &str, url: &str) -> Result<Policy, ArchiveStartError> {
    Keys::derive(seed, origin)
        .map_err(ArchiveStartError::Origin)?
        .policy(url)
}

impl Keys {
    /// The policy that the configuration names, or that of this log alone.
    fn policy_of(&self, config: &ArchiveConfig) -> Result<Policy, ArchiveStartError> {
        let Some(source) = &config.log_policy else {
            return self.policy(&address(config)?);
        };
        let policy = source.load()?;
        let log = self.log.vkey();
        if !policy.logs().iter().any(|known| known.key == *log) {
            return Err(ArchiveStartError::NotListed(Box::new(log.clone())));
        }
        Ok(policy)
    }

    fn policy(&self, url: &str) -> Result<Policy, ArchiveStartError> {
        Policy::of_one_log(self.log.vkey(), url, self.cosigner.vkey())
            .map_err(ArchiveStartError::Address)
    }

    fn derive(seed: &RoleSeed, origin: &str) -> Result<Self, NoteError> {
        let promise = seed.signing_key("log");
        let cosigner = format!("{origin}/cosigner");
        Ok(Self {
            log: LogSigner::new(origin, &promise)?,
            cosigner: CosignerSigner::new(&cosigner, &seed.signing_key("cosigner"))?,
            promise,
        })
    }
}

fn check_bounds(config: &ArchiveConfig) -> Result<(), ArchiveStartError> {
    if config.banks.is_empty() {
        Err(ArchiveStartError::NoBank)
    } else if !INTERVAL_MS.contains(&config.checkpoint_interval_ms) {
        Err(ArchiveStartError::Interval)
    } else if !BATCH.contains(&config.batch_max) {
        Err(ArchiveStartError::Batch)
    } else if !WITNESS_TIMEOUT_MS.contains(&config.witness_timeout_ms)
        || config.witness_grace_ms > config.witness_timeout_ms
    {
        Err(ArchiveStartError::Patience)
    } else {
        Ok(())
    }
}

const fn patience(config: &ArchiveConfig) -> Patience {
    Patience {
        limit: Duration::from_millis(config.witness_timeout_ms),
        grace: Duration::from_millis(config.witness_grace_ms),
    }
}

/// Where others reach the log.
fn address(config: &ArchiveConfig) -> Result<String, ArchiveStartError> {
    if let Some(url) = &config.url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    let scheme = match config.http.certificate {
        Some(_) => "https",
        None => "http",
    };
    match config.http.listen.port() {
        0 => Err(ArchiveStartError::NoAddress),
        _ => Ok(format!("{scheme}://{}", config.http.listen)),
    }
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
