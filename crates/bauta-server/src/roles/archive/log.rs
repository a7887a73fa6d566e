//! One open log: its store with the one who writes, and its publication.

use std::sync::{Arc, Mutex, PoisonError};

use bauta_io::threads::blocking;
use bauta_proto::{
    log::{leaf::Leaf, policy::Policy},
    problem::{Problem, ProblemKind},
    time::Timestamp,
    transport::Transport,
};
use bauta_store::archive::{Appended, ArchiveReader, ArchiveStore, NewLeaf};

use super::{
    ArchiveConfig, ArchiveStartError, check_history,
    folder::PublicFolder,
    keep::Keeper,
    keys::{Keys, policy_of_log},
    patience,
    publish::{PublishError, Publisher, locked},
    round::Publication,
    slot::Place,
    witnesses::Witnesses,
};
use crate::{
    batch::{Writer, store_problem},
    keys::RoleSeed,
    work::World,
};

/// An open log. Its writer's thread ends when the last handle is dropped.
pub(super) struct Log {
    writer: Writer<NewLeaf, Appended>,
    store: Arc<Mutex<ArchiveStore>>,
    /// For looking up what is there already.
    reader: Arc<Mutex<ArchiveReader>>,
    pub(super) publication: Publication,
    /// What its checkpoints are published by.
    pub(super) policy: Arc<Policy>,
}

/// Opens logs. Blocks on the disk.
pub(super) trait OpenLog: Send + Sync {
    fn open(&self, place: &Place, folder: &Arc<PublicFolder>) -> Result<Log, ArchiveStartError>;
}

/// What every log of an archive is opened with.
pub(super) struct Opener<T> {
    pub(super) config: ArchiveConfig,
    pub(super) seed: RoleSeed,
    /// The policy that the archive publishes.
    pub(super) policy: Arc<Policy>,
    pub(super) world: World<T>,
}

impl<T: Transport + 'static> OpenLog for Opener<T> {
    fn open(&self, place: &Place, folder: &Arc<PublicFolder>) -> Result<Log, ArchiveStartError> {
        let config = &self.config;
        let keys = Keys::derive(&self.seed, &config.origin, place.shard)?;
        let policy = policy_of_log(config, &self.policy, &keys)?;
        let (log_vkey, cosigner_vkey) = (keys.log.vkey().clone(), keys.cosigner.vkey().clone());
        std::fs::create_dir_all(&place.data)?;
        let path = place.store();
        let store = Arc::new(Mutex::new(ArchiveStore::open(&path)?));
        let reader = ArchiveReader::open(&path)?;
        check_history(&reader, folder, &log_vkey)?;
        let reader = Arc::new(Mutex::new(reader));
        let mut named = policy.witnesses().iter();
        let is_named = named.any(|witness| witness.key == cosigner_vkey);
        let publisher = Publisher::new(
            (Arc::clone(&store), ArchiveReader::open(&path)?),
            Arc::clone(folder),
            (keys.log, is_named.then_some(keys.cosigner)),
            Arc::clone(&self.world.clock),
            Keeper::new(place.shard),
        )?;
        let witnesses = Witnesses::new(
            (&policy, &cosigner_vkey),
            Arc::clone(&self.world.transport),
            (Arc::clone(folder), Arc::clone(&reader)),
            patience(config),
            &config.disbelieved_witnesses,
        );
        let publication = Publication::new(publisher, witnesses, Arc::clone(&policy), log_vkey);
        let written = Arc::clone(&store);
        Ok(Log {
            writer: Writer::start("archive-writer", config.batch_max, move |leaves: Vec<_>| {
                locked(&written).append(&leaves)
            }),
            store,
            reader,
            publication,
            policy,
        })
    }
}

impl Log {
    /// Writes a leaf that is admitted; while the log may promise nothing new, looks it up.
    pub(super) async fn append(&self, leaf: Leaf, now: Timestamp) -> Result<Appended, Problem> {
        if !self.publication.may_promise() {
            let halted = Problem::new(ProblemKind::LogHalted);
            return self.find(leaf).await?.ok_or(halted);
        }
        let promised_at = now;
        Ok(self.writer.apply(NewLeaf { leaf, promised_at }).await?)
    }

    /// Where a leaf stands, if it does.
    pub(super) async fn find(&self, leaf: Leaf) -> Result<Option<Appended>, Problem> {
        find(&self.reader, leaf).await
    }

    /// Takes no leaf any more, for ever, whichever process is asked: what was written before is all.
    pub(super) async fn close(&self) -> Result<(), PublishError> {
        let store = Arc::clone(&self.store);
        let closed = blocking(move || locked(&store).close()).await;
        Ok(closed.map_err(|_| PublishError::Stopping)??)
    }
}

/// Where a leaf stands, if it does.
pub(super) async fn find(
    reader: &Arc<Mutex<ArchiveReader>>,
    leaf: Leaf,
) -> Result<Option<Appended>, Problem> {
    let reader = Arc::clone(reader);
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
