//! Reading the log: checkpoints, entries and receipts from its static files (C2SP tlog-tiles), believed only as far as
//! they are proved.
//!
//! The log is asked for whole tiles and whole bundles, never for one leaf, so that it does not learn who waits for
//! which lock.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bauta_crypto::{
    merkle::{self, Frontier, MerkleError, TILE_WIDTH, TileSource},
    note::NoteError,
};
use futures_util::future::try_join_all;

use crate::{
    log::{
        leaf::Leaf,
        policy::{CheckedCheckpoint, KnownLog, Policy, PolicyError},
        receipt::{Receipt, ReceiptError},
    },
    problem::ProblemKind,
    time::Timestamp,
    transport::{CallError, Request, Transport, TransportError, address, archive, fetch},
};

/// Longest checkpoint that is read, in bytes: 64 signature lines fit.
pub const CHECKPOINT_BYTES_MAX: usize = 16_384;
/// Bundles that one call of [`LogReader::entries`] reads at most, of 256 entries each.
pub const BUNDLES_READ_MAX: u64 = 64;
/// Longest bundle of entries that is read, in bytes: leaves have 73, other entries may have up to 1,024 on average.
pub const BUNDLE_BYTES_MAX: usize = 256 * (2 + 1_024);
/// Files that are asked for at the same time.
const REQUESTS_AT_ONCE: usize = 8;
/// Tiles that a reader keeps, of 8 KiB at most.
const TILES_KEPT_MAX: usize = 512;
const HASH_BYTES: usize = 32;

/// Reads one log. May be used from many tasks at once.
pub struct LogReader<T> {
    transport: Arc<T>,
    url: String,
    /// Whose checkpoints are taken; those of the policy's other logs are not.
    origin: String,
    policy: Arc<Policy>,
    /// Tiles that were proved to be the log's; they never change, they only grow.
    tiles: Mutex<KeptTiles>,
    /// The checkpoint that was read last: the same bytes need not be checked again.
    latest: Mutex<Option<FetchedCheckpoint>>,
    /// The file of kept checkpoints that was read last.
    kept_file: Mutex<Option<kept::KeptFile>>,
}

/// A checkpoint that the policy accepts, with the text that shows it to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedCheckpoint {
    note: String,
    checked: CheckedCheckpoint,
}

/// Consecutive leaves that are proved to stand in the checkpoint's tree behind those that the reader had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEntries {
    /// In the order of the log. Entries that this version does not understand are passed over; they decide nothing.
    pub leaves: Vec<Leaf>,
    /// The index of each of them in the log.
    pub indices: Vec<u64>,
    /// Where the next call goes on; to be stored together with what the leaves led to.
    pub frontier: Frontier,
    /// Whether the checkpoint's last leaf was reached. Only then may the lack of a leaf mean anything.
    pub complete: bool,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No answer, or a refusal.
    #[error("the log did not answer the request")]
    Call(#[from] CallError),
    /// The checkpoint is not signed and cosigned as the policy wants: the log is at fault.
    #[error("the log's checkpoint is not accepted")]
    Checkpoint(#[from] PolicyError),
    /// The log does not have a file that its checkpoint needs: the log is at fault.
    #[error("the log lacks a file that its checkpoint needs")]
    Missing,
    /// The log's files are not those of the tree in its checkpoint: the log is at fault.
    #[error("the log's files contradict its checkpoint")]
    Inconsistent(#[from] MerkleError),
    /// A tree that the log showed before is not the beginning of this one: the log is at fault, and its two signed
    /// checkpoints prove it.
    #[error("the log's checkpoint contradicts what it showed before")]
    Forked,
    /// A checkpoint is of another log than the one that is read.
    #[error("the checkpoint is of another log")]
    OtherLog,
    /// The checkpoint's tree is smaller than what was read before: an old copy. Nobody needs to be at fault.
    #[error("the checkpoint is older than what was read before")]
    Older,
    /// The checkpoint's tree does not reach the leaf; a later one will.
    #[error("the checkpoint does not reach the leaf yet")]
    NotYet,
    /// Another leaf stands at the index: the log broke its promise, or the index is wrong.
    #[error("the log has another leaf at this index")]
    OtherLeaf(#[source] ReceiptError),
}

impl ReadError {
    /// Whether trying again later may help.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Call(error) => error.is_temporary(),
            Self::Missing | Self::Older | Self::NotYet => true,
            Self::Checkpoint(_)
            | Self::Inconsistent(_)
            | Self::Forked
            | Self::OtherLog
            | Self::OtherLeaf(_) => false,
        }
    }
}

impl FetchedCheckpoint {
    /// Checks a checkpoint that was kept or came another way.
    ///
    /// # Errors
    /// [`PolicyError`]; the log is at fault, or whoever passed the checkpoint on.
    pub fn open(note: String, policy: &Policy) -> Result<Self, PolicyError> {
        let checked = policy.check(&note)?;
        Ok(Self { note, checked })
    }

    /// The signed note, verbatim.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// What it says, and when it was cosigned.
    #[must_use]
    pub const fn checked(&self) -> &CheckedCheckpoint {
        &self.checked
    }

    /// The number of leaves in its tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.checked.size
    }
}

impl<T: Transport> LogReader<T> {
    /// Reads a log of this policy; none if the policy gives no address for it.
    #[must_use]
    pub fn new(transport: Arc<T>, log: &KnownLog, policy: Arc<Policy>) -> Option<Self> {
        Some(Self {
            transport,
            url: log.url.clone()?,
            origin: log.key.name.clone(),
            policy,
            tiles: Mutex::default(),
            latest: Mutex::default(),
            kept_file: Mutex::default(),
        })
    }

    /// Readers of all logs of the policy that take leaves of this expiry and have an address.
    pub fn all_for(transport: &Arc<T>, policy: &Arc<Policy>, expiry: Timestamp) -> Vec<Self> {
        let logs = policy.logs_for(expiry);
        logs.filter_map(|log| Self::new(Arc::clone(transport), log, Arc::clone(policy)))
            .collect()
    }

    /// The log's origin line.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Where the log is reached.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The policy that checkpoints are checked by.
    #[must_use]
    pub const fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The log's latest checkpoint.
    ///
    /// # Errors
    /// [`ReadError::Call`], [`ReadError::Missing`] before the log's first checkpoint, [`ReadError::Checkpoint`], or
    /// [`ReadError::OtherLog`] when another log of the policy answers.
    pub async fn checkpoint(&self) -> Result<FetchedCheckpoint, ReadError> {
        let path = archive::CHECKPOINT_PATH;
        let bytes = self.file(path, CHECKPOINT_BYTES_MAX).await?;
        let note = String::from_utf8(bytes.ok_or(ReadError::Missing)?)
            .map_err(|_| PolicyError::Note(NoteError::MalformedNote))?;
        if let Some(same) = self.latest().as_ref().filter(|latest| latest.note == note) {
            return Ok(same.clone());
        }
        let fetched = FetchedCheckpoint::open(note, &self.policy)?;
        if fetched.checked.origin != self.origin {
            return Err(ReadError::OtherLog);
        }
        *self.latest() = Some(fetched.clone());
        Ok(fetched)
    }

    fn latest(&self) -> MutexGuard<'_, Option<FetchedCheckpoint>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The leaves behind `frontier` in the checkpoint's tree: [`BUNDLES_READ_MAX`] bundles at most, each call proved by
    /// itself. What comes back has been checked to be of this tree, and this tree to begin with `frontier`'s.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::Older`] when `frontier` is beyond the checkpoint. Entries are not signed one by one: when
    /// they and `frontier` do not lead to the checkpoint, [`Self::extends`] tells a forked log from damaged files.
    pub async fn entries(
        &self,
        frontier: &Frontier,
        checkpoint: &FetchedCheckpoint,
    ) -> Result<ReadEntries, ReadError> {
        let (start, size) = (frontier.size(), checkpoint.size());
        if start > size {
            return Err(ReadError::Older);
        }
        let width = u64::from(TILE_WIDTH);
        let end = size.min((start / width + BUNDLES_READ_MAX).saturating_mul(width));
        let entries = self.entries_between(start, end, size).await?;
        let mut frontier = frontier.clone();
        entries
            .iter()
            .for_each(|entry| frontier.append(merkle::leaf_hash(entry)));
        match self.prove_prefix(end, frontier.root(), checkpoint).await {
            Err(ReadError::Forked) if end > start => return Err(MerkleError::InvalidProof.into()),
            outcome => outcome?,
        }
        let read = |(index, entry): (u64, &Vec<u8>)| Some((index, Leaf::from_bytes(entry)?));
        let (indices, leaves) = (start..).zip(&entries).filter_map(read).unzip();
        Ok(ReadEntries {
            leaves,
            indices,
            frontier,
            complete: end == size,
        })
    }

    /// Proves that `leaf` stands at `index` in the checkpoint's tree.
    ///
    /// # Errors
    /// [`ReadError`]; [`ReadError::NotYet`] when the tree does not reach the index.
    pub async fn receipt(
        &self,
        index: u64,
        leaf: &Leaf,
        checkpoint: &FetchedCheckpoint,
    ) -> Result<Receipt, ReadError> {
        let (size, root) = (checkpoint.size(), checkpoint.checked.root);
        if index >= size {
            return Err(ReadError::NotYet);
        }
        let wanted = merkle::tiles_for_inclusion(size, index);
        let tiles = self.tiles(&wanted).await?;
        let path = merkle::prove_inclusion(size, index, root, &tiles)?;
        self.keep(tiles);
        // The checkpoint's signatures were checked when it was fetched: that is not repeated for every leaf in it.
        merkle::check_inclusion(&path, size, root, index, leaf.hash())
            .map_err(|error| ReadError::OtherLeaf(error.into()))?;
        Ok(Receipt {
            index,
            path,
            checkpoint: checkpoint.note.clone(),
        })
    }

    /// Checks that `newer`'s tree begins with `older`'s: that the log only appended.
    ///
    /// # Errors
    /// [`ReadError::Forked`] when it did not, [`ReadError::Older`] when the two are in the wrong order,
    /// [`ReadError::OtherLog`] when they are of two logs.
    pub async fn extends(
        &self,
        older: &FetchedCheckpoint,
        newer: &FetchedCheckpoint,
    ) -> Result<(), ReadError> {
        if older.checked.origin != newer.checked.origin {
            return Err(ReadError::OtherLog);
        }
        if older.size() > newer.size() {
            return Err(ReadError::Older);
        }
        self.prove_prefix(older.size(), older.checked.root, newer)
            .await
    }

    /// Checks that the first `size` leaves of the checkpoint's tree have this root.
    async fn prove_prefix(
        &self,
        size: u64,
        root: merkle::Hash,
        checkpoint: &FetchedCheckpoint,
    ) -> Result<(), ReadError> {
        let (new_size, new_root) = (checkpoint.size(), checkpoint.checked.root);
        if size == new_size {
            let same = root == new_root;
            return same.then_some(()).ok_or(ReadError::Forked);
        }
        let wanted = merkle::tiles_for_consistency(size, new_size);
        let tiles = self.tiles(&wanted).await?;
        let proof = merkle::prove_consistency(size, new_size, new_root, &tiles)?;
        self.keep(tiles);
        merkle::check_consistency(&proof, size, root, new_size, new_root)
            .map_err(|_| ReadError::Forked)
    }

    /// The entries with indices from `start` to below `end`, out of a tree of `size`.
    async fn entries_between(
        &self,
        start: u64,
        end: u64,
        size: u64,
    ) -> Result<Vec<Vec<u8>>, ReadError> {
        let width = u64::from(TILE_WIDTH);
        if start == end {
            return Ok(Vec::new());
        }
        let bundles: Vec<u64> = (start / width..end.div_ceil(width)).collect();
        let mut entries = Vec::new();
        for group in bundles.chunks(REQUESTS_AT_ONCE) {
            let fetched = group.iter().map(|bundle| self.bundle(*bundle, size));
            entries.extend(try_join_all(fetched).await?.into_iter().flatten());
        }
        let read_already = usize::try_from(start % width).unwrap_or(usize::MAX);
        Ok(entries.split_off(read_already.min(entries.len())))
    }

    /// One bundle, with as many entries as a tree of `size` has in it.
    async fn bundle(&self, index: u64, size: u64) -> Result<Vec<Vec<u8>>, ReadError> {
        let before = index * u64::from(TILE_WIDTH);
        let width = u16::try_from(size - before)
            .unwrap_or(TILE_WIDTH)
            .min(TILE_WIDTH);
        let path = |width| merkle::entries_path(index, width);
        let bytes = self
            .file_of_width(path, width, |_| BUNDLE_BYTES_MAX)
            .await?;
        let mut entries = merkle::decode_bundle(&bytes)?;
        if entries.len() < usize::from(width) {
            return Err(MerkleError::TruncatedBundle.into());
        }
        entries.truncate(usize::from(width));
        Ok(entries)
    }

    /// Tiles from the reader's own store or from the log; not yet proved.
    async fn tiles(&self, wanted: &[(u8, u64, u16)]) -> Result<FetchedTiles, ReadError> {
        let mut tiles = self.kept_tiles().find(wanted);
        let missing: Vec<(u8, u64, u16)> = wanted
            .iter()
            .filter(|(level, index, _)| !tiles.0.contains_key(&(*level, *index)))
            .copied()
            .collect();
        for group in missing.chunks(REQUESTS_AT_ONCE) {
            let fetched = group.iter().map(|tile| self.tile(*tile));
            tiles.0.extend(try_join_all(fetched).await?);
        }
        Ok(tiles)
    }

    async fn tile(
        &self,
        (level, index, width): (u8, u64, u16),
    ) -> Result<((u8, u64), Vec<u8>), ReadError> {
        let path = |width| merkle::tile_path(level, index, width);
        let bytes_of = |width| usize::from(width) * HASH_BYTES;
        let mut tile = self.file_of_width(path, width, bytes_of).await?;
        // A full tile may stand in for a partial one; its further hashes are not of this tree and not proved.
        tile.truncate(bytes_of(width));
        Ok(((level, index), tile))
    }

    /// A file that may be partial. A log may drop a partial file as soon as it has the full one.
    async fn file_of_width(
        &self,
        path: impl Fn(Option<u16>) -> String,
        width: u16,
        bytes_max: impl Fn(u16) -> usize,
    ) -> Result<Vec<u8>, ReadError> {
        let exact = format!("/{}", path(Some(width)));
        if let Some(bytes) = self.file(&exact, bytes_max(width)).await? {
            return Ok(bytes);
        }
        if width == TILE_WIDTH {
            return Err(ReadError::Missing);
        }
        let full = format!("/{}", path(None));
        let bytes = self.file(&full, bytes_max(TILE_WIDTH)).await?;
        bytes.ok_or(ReadError::Missing)
    }

    /// One file of the log, none if it does not exist.
    async fn file(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        let request = Request::get(address(&self.url, path));
        match fetch(self.transport.as_ref(), request, bytes_max).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(CallError::Transport(TransportError::TooLarge(_))) => {
                Err(MerkleError::InconsistentTile.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    fn keep(&self, tiles: FetchedTiles) {
        self.kept_tiles().insert(tiles);
    }

    fn kept_tiles(&self) -> std::sync::MutexGuard<'_, KeptTiles> {
        // A panic elsewhere leaves whole tiles or none.
        self.tiles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_missing(error: &CallError) -> bool {
    match error {
        CallError::Status(status) => matches!(status, 404 | 410),
        CallError::Refused(problem) => problem.kind == ProblemKind::NotFound,
        CallError::Transport(_) | CallError::Answer(_) => false,
    }
}

impl<T> std::fmt::Debug for LogReader<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "LogReader({})", self.url)
    }
}

/// Tiles for one proof, by level and index.
struct FetchedTiles(BTreeMap<(u8, u64), Vec<u8>>);

impl TileSource for FetchedTiles {
    fn tile(&self, level: u8, index: u64, _width: u16) -> Option<Vec<u8>> {
        self.0.get(&(level, index)).cloned()
    }
}

/// Proved tiles, the longest form of each that was seen; the oldest go first.
#[derive(Default)]
struct KeptTiles {
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    order: VecDeque<(u8, u64)>,
}

impl KeptTiles {
    fn find(&self, wanted: &[(u8, u64, u16)]) -> FetchedTiles {
        let find = |&(level, index, width): &(u8, u64, u16)| {
            let tile = self.tiles.get(&(level, index))?;
            let hashes = tile.get(..usize::from(width) * HASH_BYTES)?;
            Some(((level, index), hashes.to_vec()))
        };
        FetchedTiles(wanted.iter().filter_map(find).collect())
    }

    fn insert(&mut self, proved: FetchedTiles) {
        for (place, tile) in proved.0 {
            match self.tiles.get_mut(&place) {
                Some(kept) if kept.len() >= tile.len() => {}
                Some(kept) => *kept = tile,
                None => {
                    self.tiles.insert(place, tile);
                    self.order.push_back(place);
                }
            }
        }
        while self.order.len() > TILES_KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.tiles.remove(&oldest);
            }
        }
    }
}

mod audit;
mod edge;
mod kept;
mod prefix;

pub use audit::{Audit, AuditError, AuditedEntries};
pub use kept::{KEPT_FOLDER, KEPT_INTERVAL, kept_hour, kept_hour_of, kept_path};
pub use prefix::Prefix;

#[cfg(test)]
mod tests;
