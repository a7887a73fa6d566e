//! The archive's store: the leaves of the log, the head of its tree, and the checkpoint that was last signed.
//!
//! The head is one row that is swapped only if it is what the writer last saw, in the transaction that writes the
//! leaves: whoever else opens the same file, the log has one history.

mod reader;

pub use reader::ArchiveReader;

use std::path::Path;

use bauta_crypto::merkle::{self, Frontier};
use bauta_proto::{log::leaf::Leaf, time::Timestamp};
use rusqlite::{Transaction, params};

use crate::sqlite::{Database, Schema, StoreError};

/// The tables. Single rows have `only = 1`.
const SCHEMA: Schema = Schema {
    application_id: 0x6261_7541,
    migrations: &[
        include_str!("schema.sql"),
        "ALTER TABLE head ADD COLUMN is_closed INTEGER NOT NULL DEFAULT 0",
    ],
};

/// A leaf that may be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLeaf {
    /// What it says.
    pub leaf: Leaf,
    /// The log's clock, for its promise.
    pub promised_at: Timestamp,
}

/// Where a leaf stands: the same for every repeat of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its index in the log, from 0.
    pub index: u64,
    /// The log's clock when it was first written.
    pub promised_at: Timestamp,
    /// Whether it was there already.
    pub repeated: bool,
}

/// The checkpoint that was last signed; it may be published, or about to be.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The number of leaves.
    pub size: u64,
    /// The tree's root.
    pub root: merkle::Hash,
    /// The time of the log's own cosignature.
    pub cosigned_at: Timestamp,
    /// The signed note.
    pub note: String,
}

impl std::fmt::Debug for SignedCheckpoint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SignedCheckpoint({} leaves)", self.size)
    }
}

/// The root of a full tile: hash `number` in the tiles of `level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileRoot {
    /// The level of the tiles that list the hash; 1 or more.
    pub level: u8,
    /// Its number in that level.
    pub number: u64,
    /// The hash.
    pub hash: merkle::Hash,
}

/// The one who writes.
#[derive(Debug)]
pub struct ArchiveStore {
    database: Database,
    /// The head that this writer last saw; none after a failure, when it has to be read again.
    frontier: Option<Frontier>,
}

impl ArchiveStore {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, &SCHEMA)?;
        let frontier = Some(reader::head(database.connection())?);
        Ok(Self { database, frontier })
    }

    /// Appends leaves in one transaction, which is on disk when this returns; a leaf that is there already keeps its
    /// place. One result for each leaf, in order.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] when another process has appended since, [`StoreError::Closed`] after
    /// [`close`](Self::close); any error means that nothing was written.
    pub fn append(&mut self, leaves: &[NewLeaf]) -> Result<Vec<Appended>, StoreError> {
        let seen = match self.frontier.take() {
            Some(frontier) => frontier,
            None => reader::head(self.database.connection())?,
        };
        let (appended, frontier) = self.database.transaction(|transaction| {
            let mut frontier = seen.clone();
            check_head(transaction, &seen)?;
            let appended = leaves
                .iter()
                .map(|leaf| append_one(transaction, &mut frontier, leaf))
                .collect::<Result<_, _>>()?;
            swap_head(transaction, &seen, &frontier)?;
            Ok((appended, frontier))
        })?;
        self.frontier = Some(frontier);
        Ok(appended)
    }

    /// Takes no leaf any more, for ever, whichever process appends. Safe to repeat.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn close(&mut self) -> Result<(), StoreError> {
        self.database.transaction(|transaction| {
            transaction.execute("UPDATE head SET is_closed = 1", [])?;
            Ok(())
        })
    }

    /// Replaces the signed checkpoint `old` by `new`, whose tree and time are not behind it.
    ///
    /// # Errors
    /// [`StoreError::Overtaken`] when `old` is no longer the signed checkpoint, or `new` would be a step back, beyond
    /// the head, or not the head's tree.
    pub fn swap_checkpoint(
        &mut self,
        old: Option<&SignedCheckpoint>,
        new: &SignedCheckpoint,
    ) -> Result<(), StoreError> {
        self.database.transaction(|transaction| {
            let current = reader::checkpoint(transaction)?;
            let head = reader::head(transaction)?;
            let forward = old.is_none_or(|old| follows(new, old));
            let of_the_log =
                new.size < head.size() || (new.size, new.root) == (head.size(), head.root());
            if current.as_ref() != old || !forward || !of_the_log {
                return Err(StoreError::Overtaken);
            }
            transaction
                .prepare_cached("INSERT OR REPLACE INTO checkpoint VALUES (1, ?1, ?2, ?3, ?4)")?
                .execute(params![
                    new.size.cast_signed(),
                    new.root,
                    new.cosigned_at.0.cast_signed(),
                    new.note
                ])?;
            Ok(())
        })
    }

    /// Notes that the tiles of the first `size` leaves are on disk, and the roots of those that became full.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tiles_written(&mut self, size: u64, roots: &[TileRoot]) -> Result<(), StoreError> {
        self.database.transaction(|transaction| {
            for root in roots {
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO tile_root VALUES (?1, ?2, ?3)")?
                    .execute(params![root.level, root.number.cast_signed(), root.hash])?;
            }
            transaction
                .prepare_cached("UPDATE tiles SET size = max(size, ?1)")?
                .execute([size.cast_signed()])?;
            Ok(())
        })
    }
}

/// Whether a checkpoint may be signed after another.
fn follows(new: &SignedCheckpoint, old: &SignedCheckpoint) -> bool {
    let same_tree = new.size == old.size && new.root == old.root;
    (new.size > old.size || same_tree) && new.cosigned_at >= old.cosigned_at
}

fn check_head(transaction: &Transaction<'_>, seen: &Frontier) -> Result<(), StoreError> {
    if reader::is_closed(transaction)? {
        Err(StoreError::Closed)
    } else if reader::head(transaction)? == *seen {
        Ok(())
    } else {
        Err(StoreError::Overtaken)
    }
}

fn append_one(
    transaction: &Transaction<'_>,
    frontier: &mut Frontier,
    new: &NewLeaf,
) -> Result<Appended, StoreError> {
    let bytes = new.leaf.to_bytes();
    let hash = merkle::leaf_hash(&bytes);
    if let Some(found) = reader::find(transaction, &bytes, &hash)? {
        return Ok(found);
    }
    let index = frontier.size();
    transaction
        .prepare_cached("INSERT INTO leaf VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            index.cast_signed(),
            reader::search_key(&hash),
            bytes,
            new.promised_at.0.cast_signed()
        ])?;
    frontier.append(hash);
    Ok(Appended {
        index,
        promised_at: new.promised_at,
        repeated: false,
    })
}

fn swap_head(
    transaction: &Transaction<'_>,
    old: &Frontier,
    new: &Frontier,
) -> Result<(), StoreError> {
    let swapped = transaction
        .prepare_cached("UPDATE head SET size = ?1, edge = ?2 WHERE size = ?3")?
        .execute(params![
            new.size().cast_signed(),
            new.hashes().concat(),
            old.size().cast_signed()
        ])?;
    if swapped == 1 {
        Ok(())
    } else {
        Err(StoreError::Overtaken)
    }
}

#[cfg(test)]
mod tests;
