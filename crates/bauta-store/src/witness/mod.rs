//! The witness's store: what it has cosigned last of each log.
//!
//! A state replaces another only if that is still the one that the check saw, in the transaction that writes it. So a
//! race of two requests has one winner, also between two processes on one file.

use std::path::Path;

use bauta_proto::{log::witness::LogState, time::Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::sqlite::{Database, Schema, StoreError};

const SCHEMA: Schema = Schema {
    application_id: 0x6261_7557,
    migrations: &[include_str!("schema.sql")],
};

/// A state that follows from another, by a check that was made before.
#[derive(Clone, Debug)]
pub struct Advance {
    /// The log.
    pub origin: String,
    /// What the check saw.
    pub from: LogState,
    /// What it led to.
    pub to: LogState,
    /// The checkpoint with the log's signature alone.
    pub note: String,
}

/// What became of an advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advanced {
    /// It is on disk, and the checkpoint may be cosigned with this time: that of the new state, or a later one that a
    /// request for the same tree has had since.
    CosignAt(Timestamp),
    /// Another tree was cosigned since the check; this is its size.
    Overtaken(u64),
}

/// What is known of one log.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownLog {
    /// Its name.
    pub origin: String,
    /// What was cosigned last.
    pub state: LogState,
    /// The checkpoint with the log's signature alone.
    pub note: String,
}

impl std::fmt::Debug for KnownLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "KnownLog({}, {} leaves)",
            self.origin, self.state.size
        )
    }
}

/// The one who writes.
#[derive(Debug)]
pub struct WitnessStore {
    database: Database,
}

impl WitnessStore {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open(path, &SCHEMA)?;
        Ok(Self { database })
    }

    /// Writes states in one transaction, which is on disk when this returns; one result for each, in order.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written, and nothing may be cosigned.
    pub fn advance(&mut self, advances: &[Advance]) -> Result<Vec<Advanced>, StoreError> {
        self.database.transaction(|transaction| {
            let advances = advances.iter();
            advances
                .map(|advance| advance_one(transaction, advance))
                .collect()
        })
    }
}

/// A connection that only reads.
#[derive(Debug)]
pub struct WitnessReader {
    database: Database,
}

impl WitnessReader {
    /// Opens the file that a writer has made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let database = Database::open_reader(path)?;
        Ok(Self { database })
    }

    /// What is known of a log; none before its first cosignature.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn log(&self, origin: &str) -> Result<Option<KnownLog>, StoreError> {
        log(self.database.connection(), origin)
    }

    /// What is known of all logs, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn logs(&self) -> Result<Vec<KnownLog>, StoreError> {
        let sql = "SELECT origin, size, root, cosigned_at, note FROM log ORDER BY origin";
        let connection = self.database.connection();
        let mut statement = connection.prepare_cached(sql)?;
        let logs = statement.query_map([], known_log)?;
        Ok(logs.collect::<Result<_, _>>()?)
    }
}

fn advance_one(transaction: &Transaction<'_>, advance: &Advance) -> Result<Advanced, StoreError> {
    let stored = log(transaction, &advance.origin)?;
    let stored = stored.map_or(LogState::EMPTY, |log| log.state);
    if (stored.size, stored.root) != (advance.from.size, advance.from.root) {
        return Ok(Advanced::Overtaken(stored.size));
    }
    let cosigned_at = advance.to.cosigned_at.max(stored.cosigned_at);
    // An upsert, so that the triggers see the old row.
    transaction
        .prepare_cached(
            "INSERT INTO log VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (origin) DO UPDATE
             SET size = excluded.size, root = excluded.root, cosigned_at = excluded.cosigned_at, note = excluded.note",
        )?
        .execute(params![
            advance.origin,
            advance.to.size.cast_signed(),
            advance.to.root,
            cosigned_at.0.cast_signed(),
            advance.note
        ])?;
    Ok(Advanced::CosignAt(cosigned_at))
}

fn log(connection: &Connection, origin: &str) -> Result<Option<KnownLog>, StoreError> {
    let sql = "SELECT origin, size, root, cosigned_at, note FROM log WHERE origin = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_one([origin], known_log).optional()?)
}

fn known_log(row: &Row<'_>) -> rusqlite::Result<KnownLog> {
    let state = LogState {
        size: row.get::<_, i64>(1)?.cast_unsigned(),
        root: row.get(2)?,
        cosigned_at: Timestamp(row.get::<_, i64>(3)?.cast_unsigned()),
    };
    Ok(KnownLog {
        origin: row.get(0)?,
        state,
        note: row.get(4)?,
    })
}

#[cfg(test)]
mod tests;
