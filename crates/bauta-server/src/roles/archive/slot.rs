//! A log of the archive, open or not: opened when somebody needs it, closed when nobody does, frozen in the end.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bauta_crypto::{note::Vkey, sign::SigningKey};
use bauta_io::threads::blocking;
use bauta_proto::{
    codec::{Message, Signed},
    decision::{Age, age},
    log::{leaf::Leaf, policy::Shard},
    problem::{Problem, ProblemKind},
    submission::Promise,
    time::Timestamp,
};
use bauta_store::archive::{Appended, ArchiveReader};

use super::{
    ArchiveConfig, ArchiveStartError, STORE_FILE,
    folder::PublicFolder,
    keys::{Keys, origin_of},
    log::{self, Log, OpenLog},
    prune::{Mark, SHARDS_FOLDER},
    publish::{CHECKPOINT_FILE, PublishError},
    span::{Due, due, is_stale, last_moment},
};
use crate::keys::RoleSeed;

/// Where a log is, and what it is called.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) shard: Option<Shard>,
    pub(super) origin: String,
    /// Folder of the store and of what says that the log is frozen.
    pub(super) data: PathBuf,
    /// Folder of the public files.
    pub(super) public: PathBuf,
}

impl Place {
    pub(super) fn new(config: &ArchiveConfig, shard: Option<Shard>) -> Self {
        let public = config.data.join("public");
        let (data, public) = match shard {
            Some(shard) => {
                let name = shard.to_string();
                let shards = config.data.join(SHARDS_FOLDER);
                (shards.join(&name), public.join(name))
            }
            None => (config.data.clone(), public),
        };
        Self {
            shard,
            origin: origin_of(&config.origin, shard),
            data,
            public,
        }
    }

    /// The store's file.
    pub(super) fn store(&self) -> PathBuf {
        self.data.join(STORE_FILE)
    }
}

/// One log.
pub(super) struct Slot {
    pub(super) place: Place,
    pub(super) folder: Arc<PublicFolder>,
    pub(super) log_vkey: Vkey,
    /// Signs promises, with the log's key.
    key: SigningKey,
    name: [u8; 32],
    stage: Mutex<Stage>,
    /// Whether leaves may have been written since the last publication began.
    is_touched: AtomicBool,
    published_at: Mutex<Option<Timestamp>>,
}

enum Stage {
    /// Only files, until somebody brings a leaf or it is to be published.
    Closed,
    Open(Arc<Log>),
    /// Only files, for ever.
    Frozen,
}

impl Slot {
    pub(super) fn new(
        config: &ArchiveConfig,
        seed: &RoleSeed,
        shard: Option<Shard>,
    ) -> Result<Self, ArchiveStartError> {
        let keys = Keys::derive(seed, &config.origin, shard)?;
        let place = Place::new(config, shard);
        let folder = PublicFolder::new(place.public.clone(), place.data.join("unfinished"));
        let stage = match Mark::read(&place.data)? {
            Some(_) => Stage::Frozen,
            None => {
                folder.prepare()?;
                Stage::Closed
            }
        };
        Ok(Self {
            folder: Arc::new(folder),
            log_vkey: keys.log_vkey().clone(),
            name: Promise::log_name(&place.origin),
            key: keys.promise,
            place,
            stage: Mutex::new(stage),
            is_touched: AtomicBool::new(false),
            published_at: Mutex::new(None),
        })
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // A panic elsewhere leaves one stage or the other.
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log is frozen.
    pub(super) fn is_frozen(&self) -> bool {
        matches!(*self.stage(), Stage::Frozen)
    }

    /// The log, if it is open.
    pub(super) fn opened(&self) -> Option<Arc<Log>> {
        match &*self.stage() {
            Stage::Open(log) => Some(Arc::clone(log)),
            Stage::Closed | Stage::Frozen => None,
        }
    }

    /// The log, which is opened if it is not; none if it is frozen. Blocks on the disk.
    pub(super) fn open(&self, opener: &dyn OpenLog) -> Result<Option<Arc<Log>>, ArchiveStartError> {
        let mut stage = self.stage();
        match &*stage {
            Stage::Open(log) => Ok(Some(Arc::clone(log))),
            Stage::Frozen => Ok(None),
            Stage::Closed => {
                let log = Arc::new(opener.open(&self.place, &self.folder)?);
                *stage = Stage::Open(Arc::clone(&log));
                Ok(Some(log))
            }
        }
    }

    async fn open_beside(
        self: &Arc<Self>,
        opener: &Arc<dyn OpenLog>,
    ) -> Result<Option<Arc<Log>>, PublishError> {
        if let Some(log) = self.opened() {
            return Ok(Some(log));
        }
        let (slot, opener) = (Arc::clone(self), Arc::clone(opener));
        let opened = blocking(move || slot.open(opener.as_ref())).await;
        let opened = opened.map_err(|_| PublishError::Stopping)?;
        opened.map_err(|error| PublishError::Open(Box::new(error)))
    }

    /// Writes a leaf that is admitted and promises it. One that is not admitted any more, but stands in the log, is
    /// promised again: a repeat gets the same bytes for ever.
    pub(super) async fn promise(
        self: &Arc<Self>,
        opener: &Arc<dyn OpenLog>,
        leaf: Leaf,
        now: Timestamp,
        admission: Result<(), Problem>,
    ) -> Result<Signed<Promise>, Problem> {
        let leaf_hash = leaf.hash();
        let appended = match admission {
            Ok(()) => self.append(opener, leaf, now).await?,
            Err(refusal) => self.find(leaf).await?.ok_or(refusal)?,
        };
        let promise = Promise {
            log: self.name,
            leaf_hash,
            index: appended.index,
            promised_at: appended.promised_at,
        };
        Ok(promise.signed(&self.key))
    }

    async fn append(
        self: &Arc<Self>,
        opener: &Arc<dyn OpenLog>,
        leaf: Leaf,
        now: Timestamp,
    ) -> Result<Appended, Problem> {
        let Some(log) = self.ready_log(opener).await? else {
            let frozen = Problem::new(ProblemKind::CommitExpired);
            return self.find(leaf).await?.ok_or(frozen);
        };
        self.is_touched.store(true, Ordering::Release);
        log.append(leaf, now).await
    }

    /// The log, ready to promise if that is possible now: one that was opened for this caller asks its witnesses first.
    async fn ready_log(
        self: &Arc<Self>,
        opener: &Arc<dyn OpenLog>,
    ) -> Result<Option<Arc<Log>>, Problem> {
        if let Some(log) = self.opened() {
            return Ok(Some(log));
        }
        let log = match self.open_beside(opener).await {
            Ok(log) => log,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "a log cannot be opened");
                return Err(ProblemKind::Internal.into());
            }
        };
        if let Some(log) = &log
            && !log.publication.may_promise()
        {
            // What went wrong is told by the next round of publication.
            let _refused_below = log.publication.run().await;
        }
        Ok(log)
    }

    /// Where a leaf stands, if it does and the store is still there. Whatever anybody asks opens no log, and so makes its
    /// witnesses no work.
    async fn find(&self, leaf: Leaf) -> Result<Option<Appended>, Problem> {
        if let Some(log) = self.opened() {
            return log.find(leaf).await;
        }
        let path = self.place.store();
        match blocking(move || ArchiveReader::open(&path)).await {
            Ok(Ok(reader)) => log::find(&Arc::new(Mutex::new(reader)), leaf).await,
            Ok(Err(_pruned)) => Ok(None),
            Err(_stopping) => Err(ProblemKind::Overloaded.into()),
        }
    }

    /// Publishes if it is time to, and freezes the log if nothing can come any more.
    pub(super) async fn publish(
        self: &Arc<Self>,
        opener: &Arc<dyn OpenLog>,
        now: Timestamp,
    ) -> Result<(), PublishError> {
        let due = due(self.place.shard, now);
        if self.is_frozen() || (due == Due::WhenChanged && !self.has_changed(now)) {
            return Ok(());
        }
        let Some(log) = self.open_beside(opener).await? else {
            return Ok(());
        };
        let touched = self.is_touched.swap(false, Ordering::AcqRel);
        if let Err(error) = log.publication.run().await {
            self.is_touched.fetch_or(touched, Ordering::AcqRel);
            return Err(error);
        }
        *self.published() = Some(now);
        match (due, self.place.shard) {
            (Due::Freezing, Some(shard)) => self.freeze(&log, shard).await?,
            (Due::WhenChanged, _) if !touched => self.close(log),
            _ => {}
        }
        Ok(())
    }

    fn has_changed(&self, now: Timestamp) -> bool {
        let is_stale = self.published().is_none_or(|at| is_stale(at, now));
        is_stale || self.is_touched.load(Ordering::Acquire)
    }

    fn published(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.published_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the store for ever and freezes the log, if a quorum of witnesses says that it is time to: what was published
    /// is late for every lock in it. This archive's clock alone, which may be wrong, ends no log that others cosign. What
    /// is published last has every leaf that came before the store was closed.
    async fn freeze(&self, log: &Log, shard: Shard) -> Result<(), PublishError> {
        if !self.is_late(log, shard)? {
            return Ok(());
        }
        log.close().await?;
        log.publication.run().await?;
        if self.is_late(log, shard)? {
            Mark::Frozen.write(&self.place.data)?;
            *self.stage() = Stage::Frozen;
            tracing::info!(shard = %shard, "the shard is frozen");
        }
        Ok(())
    }

    /// Whether what is published is late for every lock in the shard.
    fn is_late(&self, log: &Log, shard: Shard) -> Result<bool, PublishError> {
        let note = self.folder.read(CHECKPOINT_FILE)?.unwrap_or_default();
        let checked = String::from_utf8(note).ok();
        let checked = checked.and_then(|note| log.policy.check(&note).ok());
        Ok(checked.is_some_and(|checked| age(&checked, last_moment(shard)) == Age::Late))
    }

    /// Lets go of store and thread until somebody needs them; not while somebody but the caller holds the log.
    fn close(&self, log: Arc<Log>) {
        let mut stage = self.stage();
        drop(log);
        if matches!(&*stage, Stage::Open(log) if Arc::strong_count(log) == 1) {
            *stage = Stage::Closed;
        }
    }

    /// Whether the log is published as its policy asks, as far as that matters now.
    pub(super) fn ready(&self, now: Timestamp) -> Result<(), &'static str> {
        if due(self.place.shard, now) == Due::WhenChanged || self.is_frozen() {
            return Ok(());
        }
        match self.opened() {
            Some(log) => log.publication.ready(),
            None => Err("the log is not being published"),
        }
    }
}

/// The shards that have a folder already.
pub(super) fn shards_in(config: &ArchiveConfig) -> io::Result<Vec<Shard>> {
    let folder = config.data.join(SHARDS_FOLDER);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut shards = Vec::new();
    for entry in fs::read_dir(folder)? {
        shards.extend(entry?.file_name().to_str().and_then(shard_named));
    }
    shards.sort_unstable();
    Ok(shards)
}

/// The shard of this name, `YYYYMMDD-YYYYMMDD`.
pub(super) fn shard_named(name: &str) -> Option<Shard> {
    let shard = Shard::of_origin(&format!("/{name}"))?;
    (shard.to_string() == name).then_some(shard)
}
