//! What can be read beside the writer.

use std::{ops::Range, path::Path};

use bauta_crypto::merkle::{self, Frontier};
use bauta_proto::{log::leaf::Leaf, time::Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{Appended, SignedCheckpoint};
use crate::sqlite::{Database, StoreError};

/// A connection that only reads; sees whole transactions of the writer.
#[derive(Debug)]
pub struct ArchiveReader {
    database: Database,
}

impl ArchiveReader {
    /// Opens the file that a writer has made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open_reader(path)?;
        Ok(Self { database })
    }

    /// The tree over all leaves.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn head(&self) -> Result<Frontier, StoreError> {
        head(self.database.connection())
    }

    /// The checkpoint that was last signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn checkpoint(&self) -> Result<Option<SignedCheckpoint>, StoreError> {
        checkpoint(self.database.connection())
    }

    /// How many leaves have their tiles on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tiles_written(&self) -> Result<u64, StoreError> {
        let connection = self.database.connection();
        let size: i64 = connection
            .prepare_cached("SELECT size FROM tiles")?
            .query_one([], |row| row.get(0))?;
        Ok(size.cast_unsigned())
    }

    /// The entries with these indices, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when one is missing.
    pub fn entries(&self, indices: Range<u64>) -> Result<Vec<Vec<u8>>, StoreError> {
        let connection = self.database.connection();
        let sql = "SELECT leaf FROM leaf WHERE position >= ?1 AND position < ?2 ORDER BY position";
        let bounds = [indices.start.cast_signed(), indices.end.cast_signed()];
        let entries = connection
            .prepare_cached(sql)?
            .query_map(bounds, |row| row.get(0))?
            .collect::<Result<Vec<Vec<u8>>, _>>()?;
        if entries.len() as u64 == indices.end.saturating_sub(indices.start) {
            Ok(entries)
        } else {
            Err(StoreError::Damaged("log entry"))
        }
    }

    /// The root of one full tile: hash `number` in the tiles of `level`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is missing.
    pub fn tile_root(&self, level: u8, number: u64) -> Result<merkle::Hash, StoreError> {
        let connection = self.database.connection();
        connection
            .prepare_cached("SELECT hash FROM tile_root WHERE level = ?1 AND number = ?2")?
            .query_one(params![level, number.cast_signed()], |row| row.get(0))
            .optional()?
            .ok_or(StoreError::Damaged("root of a tile"))
    }

    /// Where a leaf stands, if it does.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, leaf: &Leaf) -> Result<Option<Appended>, StoreError> {
        let bytes = leaf.to_bytes();
        let hash = merkle::leaf_hash(&bytes);
        find(self.database.connection(), &bytes, &hash)
    }
}

pub(super) fn head(connection: &Connection) -> Result<Frontier, StoreError> {
    let (size, edge): (i64, Vec<u8>) = connection
        .prepare_cached("SELECT size, edge FROM head")?
        .query_one([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (hashes, rest) = edge.as_chunks::<32>();
    let frontier = Frontier::from_parts(size.cast_unsigned(), hashes.to_vec());
    frontier
        .filter(|_| rest.is_empty())
        .ok_or(StoreError::Damaged("head of the log"))
}

/// Whether the log takes no leaf any more.
pub(super) fn is_closed(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT is_closed FROM head";
    Ok(connection
        .prepare_cached(sql)?
        .query_one([], |row| row.get(0))?)
}

pub(super) fn checkpoint(connection: &Connection) -> Result<Option<SignedCheckpoint>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(SignedCheckpoint {
            size: row.get::<_, i64>(0)?.cast_unsigned(),
            root: row.get(1)?,
            cosigned_at: Timestamp(row.get::<_, i64>(2)?.cast_unsigned()),
            note: row.get(3)?,
        })
    };
    let sql = "SELECT size, root, cosigned_at, note FROM checkpoint";
    Ok(connection
        .prepare_cached(sql)?
        .query_one([], read)
        .optional()?)
}

pub(super) fn find(
    connection: &Connection,
    leaf: &[u8],
    hash: &merkle::Hash,
) -> Result<Option<Appended>, StoreError> {
    let sql = "SELECT position, promised_at FROM leaf WHERE key = ?1 AND leaf = ?2";
    let read = |row: &Row<'_>| {
        Ok(Appended {
            index: row.get::<_, i64>(0)?.cast_unsigned(),
            promised_at: Timestamp(row.get::<_, i64>(1)?.cast_unsigned()),
            repeated: true,
        })
    };
    let found = connection
        .prepare_cached(sql)?
        .query_one(params![search_key(hash), leaf], read);
    Ok(found.optional()?)
}

/// The first eight bytes of a leaf's hash.
pub(super) fn search_key(hash: &merkle::Hash) -> i64 {
    let (first, _) = hash
        .split_first_chunk()
        .expect("a hash has more than eight bytes");
    i64::from_be_bytes(*first)
}
