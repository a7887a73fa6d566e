//! One SQLite file a role: durable, opened with the same settings everywhere, changed only by whole transactions.

use std::{fs, path::Path, time::Duration};

use rusqlite::{
    Connection, OpenFlags, Transaction, TransactionBehavior,
    config::DbConfig,
    ffi::{ErrorCode, SQLITE_IOERR_SHMSIZE},
};

/// How long a connection waits for another process (an operator's command) to finish its transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Page cache of a connection, in KiB.
const CACHE_KIB: i32 = 64 * 1024;
/// Pages that gather in the write-ahead log before they go into the file (32 MiB): what was written again meanwhile, such as
/// totals and the inner pages of a table, goes there once.
const CHECKPOINT_PAGES: i32 = 8_192;

/// A role's tables.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Marks the file as this role's (SQLite's application id), so that no file is opened as another role's.
    pub application_id: i32,
    /// Statements that lead from one version to the next; the first makes an empty file version 1.
    pub migrations: &'static [&'static str],
}

/// An open file.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
}

/// Why the store did not do something. Nothing of the transaction was done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or the file system's quota is full.
    #[error("no space is left for the store")]
    Full,
    /// Another process holds the store for too long.
    #[error("another process keeps the store busy")]
    Busy,
    /// The file cannot be opened, read or written.
    #[error("the store's file cannot be used")]
    Unusable(#[source] rusqlite::Error),
    /// The file belongs to something else.
    #[error("the file is not this role's store")]
    Foreign,
    /// The file was written by a newer version of the program.
    #[error("the store was written by a newer version of this program")]
    TooNew,
    /// What is stored does not read as what was written: a damaged file.
    #[error("the store holds a damaged {0}")]
    Damaged(&'static str),
    /// Another process has written what this one was about to write.
    #[error("another process writes to the same store; run one only")]
    Overtaken,
    /// The log in the store has ended and takes nothing any more.
    #[error("the log has ended and takes nothing any more")]
    Closed,
    /// A rule that the tables themselves check was about to be broken: a defect of the program.
    #[error("a rule of the books would be broken; nothing was changed")]
    Rule(#[source] rusqlite::Error),
    /// Anything else that SQLite reports.
    #[error("the store failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if let Some(SQLITE_IOERR_SHMSIZE) = error.sqlite_error().map(|error| error.extended_code) {
            // There is no room for the index of the write-ahead log.
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                Self::Unusable(error)
            }
            Some(ErrorCode::SystemIoFailure) => Self::Unusable(error),
            Some(ErrorCode::NotADatabase) => Self::Foreign,
            Some(ErrorCode::ConstraintViolation) => Self::Rule(error),
            _ => Self::Sqlite(error),
        }
    }
}

impl Database {
    /// Opens or makes the file, which only its owner may read, and brings its tables to the current version.
    ///
    /// # Errors
    /// [`StoreError`] when the file is not this role's, is too new, or cannot be used.
    pub fn open(path: &Path, schema: &Schema) -> Result<Self, StoreError> {
        keep_private(path);
        let connection = Connection::open(path).map_err(StoreError::Unusable)?;
        let mut database = Self { connection };
        database.configure()?;
        database.migrate(schema)?;
        Ok(database)
    }

    /// Opens the file for reading beside a writer.
    ///
    /// # Errors
    /// [`StoreError`] when there is no such file, or it cannot be used.
    pub fn open_reader(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(StoreError::Unusable)?;
        let database = Self { connection };
        database.keep_statements()?;
        Ok(database)
    }

    /// Runs `work` in one transaction that is on disk when this returns `Ok`; any error undoes all of it.
    ///
    /// # Errors
    /// Whatever `work` or the commit reports; nothing was changed.
    pub fn transaction<R>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&transaction)?;
        transaction.commit()?;
        Ok(result)
    }

    /// For queries outside a transaction.
    #[must_use]
    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Statements are prepared once: without the query planner's promise of stable plans, SQLite may prepare one again
    /// whenever other values are bound to it.
    fn keep_statements(&self) -> Result<(), StoreError> {
        self.connection.busy_timeout(BUSY_TIMEOUT)?;
        self.connection.set_prepared_statement_cache_capacity(128);
        self.connection
            .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(())
    }

    fn configure(&self) -> Result<(), StoreError> {
        self.keep_statements()?;
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        self.connection
            .pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        // What undoes a refused request of a batch stays in memory; SQLite would write it to a temporary file.
        self.connection
            .pragma_update(None, "temp_store", "MEMORY")?;
        self.connection
            .pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok(())
    }

    fn migrate(&mut self, schema: &Schema) -> Result<(), StoreError> {
        self.transaction(|transaction| {
            let number =
                |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
            let application_id = number("application_id")?;
            let version = number("user_version")?;
            if application_id != schema.application_id && (application_id, version) != (0, 0) {
                return Err(StoreError::Foreign);
            }
            let done = usize::try_from(version).map_err(|_| StoreError::Foreign)?;
            let missing = schema.migrations.get(done..).ok_or(StoreError::TooNew)?;
            if missing.is_empty() {
                return Ok(());
            }
            for migration in missing {
                transaction.execute_batch(migration)?;
            }
            transaction.pragma_update(None, "application_id", schema.application_id)?;
            transaction.pragma_update(None, "user_version", schema.migrations.len() as i64)?;
            Ok(())
        })
    }
}

/// Makes the file for its owner alone, before SQLite does it for everybody; what SQLite makes beside it has the same
/// permissions. That the file cannot be made is for SQLite to report.
fn keep_private(path: &Path) {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _reported_by_sqlite = options.open(path);
}

/// Runs one request of a batch so that a refusal undoes what the request did and nothing else.
///
/// # Errors
/// A [`StoreError`] fails the whole batch; a refusal `Err(R)` only this request.
pub fn attempt<T, R>(
    transaction: &Transaction<'_>,
    work: impl FnOnce() -> Result<Result<T, R>, StoreError>,
) -> Result<Result<T, R>, StoreError> {
    transaction
        .prepare_cached("SAVEPOINT request")?
        .execute([])?;
    let result = work()?;
    if result.is_err() {
        transaction
            .prepare_cached("ROLLBACK TO request")?
            .execute([])?;
    }
    transaction.prepare_cached("RELEASE request")?.execute([])?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema {
        application_id: 7,
        migrations: &["CREATE TABLE t (x INTEGER PRIMARY KEY) STRICT"],
    };

    #[test]
    fn a_refused_request_leaves_nothing_and_its_neighbours_stay() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut database = Database::open(&folder.path().join("t.db"), &SCHEMA).expect("opens");
        let insert = |transaction: &Transaction<'_>, x: i64, refuse: bool| {
            attempt(transaction, || {
                transaction.execute("INSERT INTO t VALUES (?1)", [x])?;
                Ok(if refuse { Err(()) } else { Ok(()) })
            })
        };
        database
            .transaction(|transaction| {
                insert(transaction, 1, false)?.expect("taken");
                insert(transaction, 2, true)?.expect_err("refused");
                insert(transaction, 3, false)?.expect("taken");
                Ok(())
            })
            .expect("commits");
        let sum: i64 = database
            .connection()
            .query_row("SELECT sum(x) FROM t", [], |row| row.get(0))
            .expect("reads");
        assert_eq!(sum, 4);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_but_its_owner_reads_a_roles_records() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut database = Database::open(&folder.path().join("t.db"), &SCHEMA).expect("opens");
        database
            .transaction(|transaction| Ok(transaction.execute("INSERT INTO t VALUES (1)", [])?))
            .expect("commits");
        let files: Vec<_> = fs::read_dir(folder.path()).expect("reads").collect();
        assert!(files.len() > 1, "the write-ahead log stands beside it");
        for file in files {
            let metadata = file.expect("an entry").metadata().expect("there");
            assert_eq!(metadata.permissions().mode() & 0o077, 0);
        }
    }

    #[test]
    fn another_roles_file_and_a_newer_one_are_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("t.db");
        drop(Database::open(&path, &SCHEMA).expect("opens"));
        let foreign = Schema {
            application_id: 8,
            ..SCHEMA
        };
        assert!(matches!(
            Database::open(&path, &foreign),
            Err(StoreError::Foreign)
        ));
        let older = Schema {
            migrations: &[],
            ..SCHEMA
        };
        assert!(matches!(
            Database::open(&path, &older),
            Err(StoreError::TooNew)
        ));
        std::fs::write(
            folder.path().join("x.db"),
            "not a database, but long enough to look at",
        )
        .expect("writes");
        assert!(Database::open(&folder.path().join("x.db"), &SCHEMA).is_err());
    }
}
