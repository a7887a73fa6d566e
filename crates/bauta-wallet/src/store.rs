//! The wallet's records: one SQLite file in which every value is sealed.
//!
//! What somebody sees who has the file but not the storage key: how many records there are, how long each is in steps
//! of 256 bytes, and (from the write-ahead log) which were written together. Kinds, names and contents are sealed with
//! AES-256-GCM-SIV; a row's id is a keyed hash of kind and name. `downloads/` holds ciphertext as shops publish it, under
//! names that are keyed hashes: whoever compares lengths or contents with a shop's can tell what was fetched.
//!
//! One process at a time: a lock on `wallet.lock` is held as long as the store is open, and ends with the process.
//!
//! The shapes of the records have a version: `version.rs` says how to change them.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use bauta_crypto::{kdf, label, secret::Secret, storage};
use rand_core::CryptoRng;
use rusqlite::{
    Connection,
    ffi::{ErrorCode, SQLITE_IOERR_SHMSIZE},
    params,
};
use tls_codec::{Deserialize, Serialize, Size};
use zeroize::Zeroizing;

pub use self::version::Added;
use self::version::Versions;

const DATABASE_FILE: &str = "wallet.db";
const LOCK_FILE: &str = "wallet.lock";
const DOWNLOADS_FOLDER: &str = "downloads";
/// Marks the file as a wallet's (SQLite's application id): "bauw".
const APPLICATION_ID: i32 = 0x6261_7577;
/// Lengths of sealed records are multiples of this, in bytes, so that they tell less.
const PADDING_BYTES: usize = 256;
const LOCK_POLL: Duration = Duration::from_millis(50);

/// What a record is; sealed together with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// The words' entropy.
    Seed = 1,
    /// A bank.
    Bank = 2,
    /// A keyset of a bank.
    Keyset = 3,
    /// The next unused coin of a keyset and denomination.
    Counter = 4,
    /// A coin.
    Coin = 5,
    /// A request for coins that has no answer yet.
    Intent = 6,
    /// A purchase.
    Purchase = 7,
}

/// A value with a place in the store. Its encoding is that of the wire: one for each value.
pub trait Record: Serialize + Deserialize + Size {
    /// What it is.
    const KIND: Kind;

    /// Unique among the records of its kind.
    fn name(&self) -> Vec<u8>;
}

/// Why the store did not do something. Nothing of the change was done.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds the wallet.
    #[error("another wallet command is running on this wallet")]
    Running,
    /// There is no wallet in the folder.
    #[error("there is no wallet in this folder")]
    Missing,
    /// There is a wallet in the folder already.
    #[error("there is a wallet in this folder already")]
    Exists,
    /// Making the wallet was interrupted before it had a seed.
    #[error("the wallet was never finished and holds nothing: remove its folder and make it again")]
    Unfinished,
    /// The disk or quota is full.
    #[error("no space is left for the wallet's records")]
    Full,
    /// The file was written by a newer version.
    #[error("the wallet was written by a newer version of this program")]
    TooNew,
    /// The file was written by a version whose records cannot be read any more.
    #[error(
        "the wallet was written by an early version of this program, whose records this one does not read"
    )]
    TooOld,
    /// The file is not a wallet's, or what is in it does not open.
    #[error("the wallet's records are damaged; restore the wallet from its words")]
    Damaged,
    /// The folder or a file in it cannot be used.
    #[error("the wallet's folder cannot be used")]
    Folder(#[source] io::Error),
    /// Anything else that SQLite reports.
    #[error("the wallet's records cannot be read or written")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Folder(error),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        if let Some(SQLITE_IOERR_SHMSIZE) = error.sqlite_error().map(|error| error.extended_code) {
            // There is no room for the index of the write-ahead log.
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Damaged,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Running,
            _ => Self::Sqlite(error),
        }
    }
}

/// A record's kind and name.
type Place = (u8, Vec<u8>);
/// Records, opened.
type Records = BTreeMap<Place, Zeroizing<Vec<u8>>>;

/// Several changes that happen together or not at all.
#[derive(Default)]
pub struct Batch {
    changes: Vec<(Place, Option<Zeroizing<Vec<u8>>>)>,
}

impl Batch {
    /// No changes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record, in place of the one with its name.
    pub fn put<R: Record>(&mut self, record: &R) {
        let bytes = record
            .tls_serialize_detached()
            .expect("a value in memory is shorter than length fields can say");
        self.changes
            .push(((R::KIND as u8, record.name()), Some(Zeroizing::new(bytes))));
    }

    /// Removes the record with this name, if there is one.
    pub fn remove<R: Record>(&mut self, record: &R) {
        self.changes.push(((R::KIND as u8, record.name()), None));
    }

    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// The open records of one wallet.
pub struct Store {
    folder: PathBuf,
    connection: Mutex<Connection>,
    seal_key: Secret<32>,
    name_key: Secret<32>,
    /// Everything, opened: a wallet is small.
    records: Records,
    /// Held as long as the store is open.
    _lock: File,
}

impl Store {
    /// Whether there is a wallet in `folder`.
    #[must_use]
    pub fn is_in(folder: &Path) -> bool {
        folder.join(DATABASE_FILE).exists()
    }

    /// Makes the files of a new wallet in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one, [`StoreError::Running`] when somebody is making one.
    pub fn create(
        folder: &Path,
        key: &Secret<32>,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, StoreError> {
        if Self::is_in(folder) {
            return Err(StoreError::Exists);
        }
        Self::open_files(folder, key, Duration::ZERO, &version::PRESENT, rng)
    }

    /// Opens the wallet in `folder`, after waiting up to `wait` for another process to let go of it. Records of an earlier
    /// version are brought to the present one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        folder: &Path,
        key: &Secret<32>,
        wait: Duration,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, StoreError> {
        if !Self::is_in(folder) {
            return Err(StoreError::Missing);
        }
        Self::open_files(folder, key, wait, &version::PRESENT, rng)
    }

    fn open_files(
        folder: &Path,
        key: &Secret<32>,
        wait: Duration,
        versions: &Versions,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(folder.join(DOWNLOADS_FOLDER))?;
        let lock = lock_folder(folder, wait)?;
        let (connection, found) = open_database(&folder.join(DATABASE_FILE), versions)?;
        let steps = versions.steps_from(found)?;
        let derive = |purpose: &[u8]| kdf::derive(label::STORAGE_KEY, key.expose(), &[purpose]);
        let mut store = Self {
            folder: folder.to_owned(),
            connection: Mutex::new(connection),
            seal_key: derive(b"wallet records"),
            name_key: derive(b"wallet names"),
            records: BTreeMap::new(),
            _lock: lock,
        };
        store.records = version::migrated(store.load()?, steps)?;
        if !steps.is_empty() {
            store.write_all(versions.present(), rng)?;
        }
        Ok(store)
    }

    /// Writes every record anew, as those of this version.
    fn write_all(&self, version: i32, rng: &mut impl CryptoRng) -> Result<(), StoreError> {
        let sealed = |(place, value): (&Place, &Zeroizing<Vec<u8>>)| {
            let id = self.row_id(place);
            let sealed = self.seal(&id, place, value, rng);
            (id, Some(sealed))
        };
        let rows: Vec<_> = self.records.iter().map(sealed).collect();
        self.write(&rows, Some(version))
    }

    /// Writes all changes, on disk when this returns.
    ///
    /// # Errors
    /// [`StoreError`]; then none of them was made.
    pub fn commit(&mut self, batch: Batch, rng: &mut impl CryptoRng) -> Result<(), StoreError> {
        let rows: Vec<_> = batch
            .changes
            .iter()
            .map(|(place, value)| {
                let id = self.row_id(place);
                let sealed = value
                    .as_ref()
                    .map(|value| self.seal(&id, place, value, rng));
                (id, sealed)
            })
            .collect();
        self.write(&rows, None)?;
        for (place, value) in batch.changes {
            match value {
                Some(value) => self.records.insert(place, value),
                None => self.records.remove(&place),
            };
        }
        Ok(())
    }

    /// All records of a kind, in the order of their names.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when one does not read.
    pub fn all<R: Record>(&self) -> Result<Vec<R>, StoreError> {
        let kind = R::KIND as u8;
        self.records
            .range((kind, Vec::new())..(kind + 1, Vec::new()))
            .map(|(_, bytes)| decode(bytes))
            .collect()
    }

    /// The record with this name.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it does not read.
    pub fn one<R: Record>(&self, name: &[u8]) -> Result<Option<R>, StoreError> {
        let place = (R::KIND as u8, name.to_vec());
        self.records
            .get(&place)
            .map(|bytes| decode(bytes))
            .transpose()
    }

    /// The wallet's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a download of this name is kept; the file's name does not show it.
    #[must_use]
    pub fn download_path(&self, name: &[u8]) -> PathBuf {
        let hidden: Secret<16> = kdf::derive(
            label::STORAGE_KEY,
            self.name_key.expose(),
            &[b"download", name],
        );
        let hidden = data_encoding::HEXLOWER.encode(hidden.expose());
        self.folder.join(DOWNLOADS_FOLDER).join(hidden)
    }

    fn row_id(&self, (kind, name): &Place) -> [u8; 16] {
        let id: Secret<16> = kdf::derive(
            label::STORAGE_KEY,
            self.name_key.expose(),
            &[b"record", &[*kind], name],
        );
        *id.expose()
    }

    fn seal(
        &self,
        id: &[u8; 16],
        place: &Place,
        value: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Vec<u8> {
        let mut nonce = [0; storage::NONCE_BYTES];
        rng.fill_bytes(&mut nonce);
        storage::seal(
            &self.seal_key,
            nonce,
            &associated(id),
            &envelope(place, value),
        )
    }

    /// Writes rows, and the version that they are of if it is another, in one transaction.
    fn write(
        &self,
        rows: &[([u8; 16], Option<Vec<u8>>)],
        version: Option<i32>,
    ) -> Result<(), StoreError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        for (id, sealed) in rows {
            match sealed {
                Some(sealed) => transaction.execute(
                    "INSERT INTO records (id, sealed) VALUES (?1, ?2)
                     ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
                    params![id, sealed],
                )?,
                None => transaction.execute("DELETE FROM records WHERE id = ?1", params![id])?,
            };
        }
        if let Some(version) = version {
            transaction.pragma_update(None, "user_version", version)?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn load(&self) -> Result<Records, StoreError> {
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut statement = connection.prepare("SELECT id, sealed FROM records")?;
        let mut rows = statement.query([])?;
        let mut records = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let (id, sealed): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let opened = storage::open(&self.seal_key, &associated(&id), &sealed)
                .map_err(|_| StoreError::Damaged)?;
            let (place, value) =
                open_envelope(&Zeroizing::new(opened)).ok_or(StoreError::Damaged)?;
            records.insert(place, value);
        }
        Ok(records)
    }
}

fn lock_folder(folder: &Path, wait: Duration) -> Result<File, StoreError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join(LOCK_FILE))?;
    let deadline = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(error.into()),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(StoreError::Running);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_POLL),
        }
    }
}

/// The file, and the version of what is in it.
fn open_database(path: &Path, versions: &Versions) -> Result<(Connection, i32), StoreError> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "secure_delete", "on")?;
    let read = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    match (read("application_id")?, read("user_version")?) {
        (0, 0) => {
            let present = versions.present();
            connection.execute_batch(&format!(
                "BEGIN;
                 CREATE TABLE records (id BLOB PRIMARY KEY, sealed BLOB NOT NULL) WITHOUT ROWID;
                 PRAGMA application_id = {APPLICATION_ID};
                 PRAGMA user_version = {present};
                 COMMIT;"
            ))?;
            Ok((connection, present))
        }
        (APPLICATION_ID, version) => Ok((connection, version)),
        _ => Err(StoreError::Damaged),
    }
}

fn associated(id: &[u8]) -> Vec<u8> {
    [b"records/".as_slice(), id].concat()
}

/// `kind || name length:u16 || name || value length:u32 || value || zeros`.
fn envelope((kind, name): &Place, value: &[u8]) -> Zeroizing<Vec<u8>> {
    let name_length = u16::try_from(name.len()).expect("names are ids and numbers");
    let value_length = u32::try_from(value.len()).expect("records are far below 4 GiB");
    let mut bytes = Zeroizing::new(vec![*kind]);
    bytes.extend_from_slice(&name_length.to_be_bytes());
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&value_length.to_be_bytes());
    bytes.extend_from_slice(value);
    let padded = bytes.len().next_multiple_of(PADDING_BYTES);
    bytes.resize(padded, 0);
    bytes
}

fn open_envelope(bytes: &[u8]) -> Option<(Place, Zeroizing<Vec<u8>>)> {
    let (kind, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (value, _) = rest.split_at_checked(length)?;
    Some(((*kind, name.to_vec()), Zeroizing::new(value.to_vec())))
}

fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    R::tls_deserialize_exact(bytes).map_err(|_| StoreError::Damaged)
}

mod version;

#[cfg(test)]
mod tests;
