//! How far the logs have been read for cancels, and the cancels that stood there.

use bauta_crypto::merkle::Frontier;
use bauta_proto::{
    ids::LockTag,
    log::leaf::{Deed, Leaf},
    time::Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use super::row::{integer, unsigned};
use crate::sqlite::StoreError;

/// How far one log has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPosition {
    /// The log's name, as in its promises.
    pub log: [u8; 32],
    /// The right edge of the tree that was read.
    pub frontier: Frontier,
    /// The number of the first order since whose answer every leaf was read.
    pub first_sale: u64,
}

/// A cancel in a log, whether or not it is its lock's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancel {
    /// The log's name, as in its promises.
    pub log: [u8; 32],
    /// Its index there.
    pub index: u64,
    /// The leaf.
    pub leaf: Leaf,
}

/// A step along one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogStep {
    /// The log's name, as in its promises.
    pub log: [u8; 32],
    /// The size from which it goes; none to begin at `frontier` without reading what is before.
    pub from_size: Option<u64>,
    /// Where it leads.
    pub frontier: Frontier,
    /// The cancels between, in the order of the log.
    pub cancels: Vec<Cancel>,
}

/// Takes a step; nothing happens if the log has been read further already, or was not begun.
pub(super) fn advance(transaction: &Transaction<'_>, step: &LogStep) -> Result<(), StoreError> {
    let (size, hashes) = (
        integer(step.frontier.size()),
        step.frontier.hashes().concat(),
    );
    let Some(from_size) = step.from_size else {
        transaction.execute(
            "INSERT INTO log_position (log, size, hashes, first_sale) \
             SELECT ?1, ?2, ?3, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'sale'), 0) + 1 \
             WHERE true ON CONFLICT DO NOTHING",
            params![step.log, size, hashes],
        )?;
        return Ok(());
    };
    let moved = transaction.execute(
        "UPDATE log_position SET size = ?3, hashes = ?4 WHERE log = ?1 AND size = ?2",
        params![step.log, integer(from_size), size, hashes],
    )?;
    if moved == 0 {
        return Ok(());
    }
    let mut statement = transaction
        .prepare_cached("INSERT INTO cancel VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?;
    for cancel in &step.cancels {
        let leaf = &cancel.leaf;
        statement.execute(params![
            leaf.subject,
            cancel.log,
            integer(cancel.index),
            integer(leaf.expiry.0),
            leaf.value
        ])?;
    }
    Ok(())
}

/// Forgets cancels of locks that expired before `moment`, at most so many.
pub(super) fn prune(
    transaction: &Transaction<'_>,
    moment: Timestamp,
    at_most: usize,
) -> Result<usize, StoreError> {
    let mut statement = transaction.prepare_cached(
        "DELETE FROM cancel WHERE rowid IN (SELECT rowid FROM cancel WHERE expiry < ?1 LIMIT ?2)",
    )?;
    Ok(statement.execute([integer(moment.0), integer(at_most as u64)])?)
}

/// How far a log has been read; none before it was begun.
pub(super) fn position(
    connection: &Connection,
    log: &[u8; 32],
) -> Result<Option<LogPosition>, StoreError> {
    let sql = "SELECT log, size, hashes, first_sale FROM log_position WHERE log = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement
        .query_row([log], |row| Ok(read_position(row)))
        .optional()?;
    found.transpose()
}

/// All cancels that name this lock, in all logs.
pub(super) fn cancels(
    connection: &Connection,
    lock_tag: LockTag,
) -> Result<Vec<Cancel>, StoreError> {
    let sql = "SELECT log, leaf_index, expiry, preimage FROM cancel WHERE lock_tag = ?1 ORDER BY log, leaf_index";
    let mut statement = connection.prepare_cached(sql)?;
    let read = |row: &Row<'_>| -> Result<_, StoreError> {
        let expiry = Timestamp(unsigned(row, "expiry")?);
        Ok(Cancel {
            log: row.get("log")?,
            index: unsigned(row, "leaf_index")?,
            leaf: Leaf::of_lock(Deed::Cancel, lock_tag, expiry, row.get("preimage")?),
        })
    };
    let rows = statement.query_map([lock_tag.as_bytes()], |row| Ok(read(row)))?;
    rows.map(|row| row?).collect()
}

fn read_position(row: &Row<'_>) -> Result<LogPosition, StoreError> {
    let hashes: Vec<u8> = row.get("hashes")?;
    let hashes = hashes.as_chunks::<32>().0.to_vec();
    let frontier = Frontier::from_parts(unsigned(row, "size")?, hashes);
    Ok(LogPosition {
        log: row.get("log")?,
        frontier: frontier.ok_or(StoreError::Damaged("position"))?,
        first_sale: unsigned(row, "first_sale")?,
    })
}
