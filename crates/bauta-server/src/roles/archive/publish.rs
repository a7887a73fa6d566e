//! The steps of publication that touch the disk: the checkpoint is signed and stored before anything shows it, then its
//! tiles are written, and last it is shown, with whatever cosignatures it has got meanwhile.
//!
//! Each step can be repeated, and a crash between any two leaves nothing that the next round does not mend: the store
//! swaps the signed checkpoint only forward, tiles come out of the store the same every time, and the published
//! checkpoint is renamed into place last.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bauta_crypto::{
    merkle::{self, Frontier, Hash, MerkleError, TILE_WIDTH},
    note::{self, Checkpoint, CosignerSigner, LogSigner, NoteError},
};
use bauta_proto::{
    log::policy::CheckedCheckpoint,
    time::{Clock, Timestamp},
};
use bauta_store::{
    StoreError,
    archive::{ArchiveReader, ArchiveStore, SignedCheckpoint, TileRoot},
};

use super::{
    ArchiveStartError,
    folder::{NamedFile, PublicFolder},
    keep::Keeper,
    witnesses::Complaint,
};

/// The name of the checkpoint's file.
pub(super) const CHECKPOINT_FILE: &str = "checkpoint";
/// Leaves whose files are written before the store is told: a whole tile of the second level.
const STEP_LEAVES: u64 = 1 << 16;

/// Why a checkpoint was not published. What was published before stays.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store failed.
    #[error("the store failed while publishing")]
    Store(#[from] StoreError),
    /// The public folder cannot be written or read.
    #[error("the public folder cannot be used")]
    Folder(#[from] io::Error),
    /// The checkpoint cannot be signed.
    #[error("the checkpoint cannot be signed")]
    Note(#[from] NoteError),
    /// The files on disk are not those of the checkpoint's tree: the folder or the store is damaged.
    #[error("the log's files do not match its checkpoint; nothing was published")]
    Tiles(#[from] MerkleError),
    /// Too few witnesses cosigned; the next round asks them again.
    #[error("too few witnesses cosigned; not in step: {missing}")]
    NoQuorum {
        /// Their names in the policy.
        missing: String,
    },
    /// A witness knows what the store does not. The operator has to act.
    #[error("the log has stopped")]
    Complaint(#[from] Complaint),
    /// A shard's store or folder cannot be opened. The operator has to act.
    #[error("a shard cannot be opened")]
    Open(#[source] Box<ArchiveStartError>),
    /// The process is shutting down.
    #[error("the process is shutting down")]
    Stopping,
}

/// Who signs and writes.
pub(super) struct Publisher {
    pub(super) store: Arc<Mutex<ArchiveStore>>,
    pub(super) reader: ArchiveReader,
    pub(super) folder: Arc<PublicFolder>,
    pub(super) log: LogSigner,
    /// Signs too, if the policy names it.
    pub(super) cosigner: Option<CosignerSigner>,
    pub(super) clock: Arc<dyn Clock>,
    /// How many leaves have their files.
    written: u64,
    /// The note that stands in the folder, as far as this publisher knows.
    published: Option<String>,
    keeper: Keeper,
}

/// Gives the store to one user at a time. A panic elsewhere leaves it whole: its changes are transactions.
pub(super) fn locked(store: &Mutex<ArchiveStore>) -> MutexGuard<'_, ArchiveStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Publisher {
    pub(super) fn new(
        (store, reader): (Arc<Mutex<ArchiveStore>>, ArchiveReader),
        folder: Arc<PublicFolder>,
        (log, cosigner): (LogSigner, Option<CosignerSigner>),
        clock: Arc<dyn Clock>,
        keeper: Keeper,
    ) -> Result<Self, StoreError> {
        let written = folder.complete_up_to(reader.tiles_written()?);
        Ok(Self {
            store,
            reader,
            folder,
            log,
            cosigner,
            clock,
            written,
            published: None,
            keeper,
        })
    }

    /// The checkpoint that was signed last; before the first, that of the tree without leaves, which contradicts nothing.
    pub(super) fn last_signed(&self) -> Result<SignedCheckpoint, PublishError> {
        if let Some(last) = self.reader.checkpoint()? {
            return Ok(last);
        }
        let first = self.sign_tree(&Frontier::new(), self.clock.now())?;
        locked(&self.store).swap_checkpoint(None, &first)?;
        Ok(first)
    }

    /// Step 1: signs the head's tree with the present time and stores that it did. The time never goes back, even if the
    /// clock does: a leaf that is missing from a late checkpoint must never appear in an early one.
    pub(super) fn sign(&self) -> Result<SignedCheckpoint, PublishError> {
        let (head, current) = (self.reader.head()?, self.reader.checkpoint()?);
        let cosigned_at = match &current {
            Some(current) => self.clock.now().max(current.cosigned_at),
            None => self.clock.now(),
        };
        match current {
            Some(current) if is_of(&current, &head, cosigned_at) => Ok(current),
            current => {
                let new = self.sign_tree(&head, cosigned_at)?;
                locked(&self.store).swap_checkpoint(current.as_ref(), &new)?;
                Ok(new)
            }
        }
    }

    /// Step 2: writes the files of the leaves that are new in the checkpoint, and checks that they make up its tree.
    pub(super) fn write_tiles(
        &mut self,
        checkpoint: &SignedCheckpoint,
    ) -> Result<(), PublishError> {
        while self.written < checkpoint.size {
            let step = (self.written / STEP_LEAVES + 1) * STEP_LEAVES;
            let next = step.min(checkpoint.size);
            let tiles = NewTiles::build(&self.reader, self.written, next)?;
            self.folder.write(&tiles.files)?;
            locked(&self.store).tiles_written(next, &tiles.roots())?;
            for full in &tiles.full {
                self.folder.drop_partials(full)?;
            }
            self.written = next;
        }
        Ok(self.check_tiles(checkpoint)?)
    }

    /// Step 3: shows the checkpoint, with its cosignatures. What is to be kept is kept first: a log that ends in between
    /// has shown nothing that it does not keep.
    pub(super) fn publish(
        &mut self,
        note: &str,
        checked: Option<&CheckedCheckpoint>,
    ) -> Result<(), PublishError> {
        if self.published.as_deref() != Some(note) {
            let kept = match checked {
                Some(checked) => {
                    let now = self.clock.now();
                    self.keeper.keep(&self.folder, (note, checked), now)?
                }
                None => None,
            };
            let file = (CHECKPOINT_FILE.to_owned(), note.to_owned().into());
            let files: Vec<_> = kept.into_iter().chain([file]).collect();
            self.folder.write(&files)?;
            self.published = Some(note.to_owned());
        }
        Ok(())
    }

    fn sign_tree(
        &self,
        head: &Frontier,
        cosigned_at: Timestamp,
    ) -> Result<SignedCheckpoint, PublishError> {
        let checkpoint = Checkpoint {
            origin: self.log.vkey().name.clone(),
            size: head.size(),
            root: head.root(),
        };
        let signed = note::sign_checkpoint(&checkpoint, &self.log)?;
        let note = match &self.cosigner {
            Some(cosigner) => note::cosign(&signed, cosigner, cosigned_at.0)?,
            None => signed,
        };
        Ok(SignedCheckpoint {
            size: checkpoint.size,
            root: checkpoint.root,
            cosigned_at,
            note,
        })
    }

    /// Proves the last leaf from the files: every tile on the tree's right edge is there and leads to the root.
    fn check_tiles(&self, checkpoint: &SignedCheckpoint) -> Result<(), MerkleError> {
        match checkpoint.size {
            0 => Ok(()),
            size => merkle::prove_inclusion(size, size - 1, checkpoint.root, self.folder.as_ref())
                .map(|_| ()),
        }
    }
}

/// Whether the checkpoint says this tree and time already.
fn is_of(checkpoint: &SignedCheckpoint, head: &Frontier, cosigned_at: Timestamp) -> bool {
    (checkpoint.size, checkpoint.root) == (head.size(), head.root())
        && checkpoint.cosigned_at == cosigned_at
}

/// The files that a log needs when its tree grows.
struct NewTiles {
    files: Vec<NamedFile>,
    /// Names of those that are full.
    full: Vec<String>,
    roots: BTreeMap<(u8, u64), Hash>,
}

impl NewTiles {
    /// From the entries in the store; lower levels come first and give the hashes of the higher.
    fn build(reader: &ArchiveReader, from: u64, to: u64) -> Result<Self, PublishError> {
        let mut tiles = Self {
            files: Vec::new(),
            full: Vec::new(),
            roots: BTreeMap::new(),
        };
        for (level, index, width) in merkle::tiles_to_write(from, to) {
            let first = index * u64::from(TILE_WIDTH);
            let numbers = first..first + u64::from(width);
            let hashes: Vec<Hash> = if level == 0 {
                let entries = reader.entries(numbers)?;
                let bundle = merkle::encode_bundle(&entries)?;
                tiles.add(merkle::entries_path(index, Some(width)), bundle, width);
                entries.iter().map(|e| merkle::leaf_hash(e)).collect()
            } else {
                let hashes = numbers.map(|number| tiles.root(reader, level, number));
                hashes.collect::<Result<_, _>>()?
            };
            tiles.add_tile((level, index, width), hashes.concat());
        }
        Ok(tiles)
    }

    fn add_tile(&mut self, (level, index, width): (u8, u64, u16), tile: Vec<u8>) {
        if let Some(root) = merkle::full_tile_root(&tile) {
            self.roots.insert((level + 1, index), root);
        }
        self.add(merkle::tile_path(level, index, Some(width)), tile, width);
    }

    fn add(&mut self, name: String, bytes: Vec<u8>, width: u16) {
        if width == TILE_WIDTH {
            self.full.push(name.clone());
        }
        self.files.push((name, bytes));
    }

    fn root(&self, reader: &ArchiveReader, level: u8, number: u64) -> Result<Hash, StoreError> {
        match self.roots.get(&(level, number)) {
            Some(hash) => Ok(*hash),
            None => reader.tile_root(level, number),
        }
    }

    fn roots(&self) -> Vec<TileRoot> {
        let roots = self.roots.iter();
        roots
            .map(|(&(level, number), &hash)| TileRoot {
                level,
                number,
                hash,
            })
            .collect()
    }
}
