//! Putting goods on the shelf and taking them away: what the operator's commands do, also beside a running shop.
//!
//! A good is encrypted once for all its buyers, under a key of its own for each version.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bauta_crypto::{
    content::{self, ContentKey, EncryptError, Progress, Sealed},
    secret::Secret,
};
use bauta_proto::{
    ids::{CiphertextRoot, GoodId, PlaintextRoot},
    limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX},
    merchant::GoodForSale,
    money::Money,
    offer::{CONTENT_CONTEXT, Terms},
    time::Clock,
};
use bauta_store::{
    StoreError,
    merchant::{GoodVersion, MerchantReader, MerchantStore, Order, OrderState, ShelfRefusal},
};
use data_encoding::HEXLOWER;
use rand_core::CryptoRng;

use super::tar_stream::Folder;
pub use super::tar_stream::FolderError;

/// A temporary file that nobody has written to for so long was left by a crash.
const TEMPORARY_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
const TEMPORARY_SUFFIX: &str = ".part";

/// What the operator says about a good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodInput {
    /// What it is called in the shop.
    pub title: String,
    /// What it costs; not nothing.
    pub price: Money,
    /// The description on which customers rely.
    pub description: String,
    /// Under which licence it is sold.
    pub licence: String,
    /// When money is given back.
    pub refund_rule: String,
    /// Media type of the file; without it, it is guessed by the file's name.
    pub media_type: Option<String>,
}

/// How far encrypting has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoodProgress {
    /// Bytes done.
    pub bytes: u64,
    /// Bytes to do.
    pub bytes_total: u64,
}

/// A version that is for sale now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedGood {
    /// The good.
    pub good: GoodId,
    /// Its version.
    pub version: u32,
    /// The name under which it is delivered.
    pub file_name: String,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub pt_root: PlaintextRoot,
    /// BLAKE3 of its ciphertext.
    pub ct_root: CiphertextRoot,
}

/// Why a good is not for sale. Nothing was left behind.
#[derive(Debug, thiserror::Error)]
pub enum AddGoodError {
    /// The file or folder cannot be read.
    #[error("the good cannot be read")]
    Unreadable(#[source] io::Error),
    /// Neither a file nor a folder.
    #[error("a good is a file or a folder, and this is neither")]
    NotAFile,
    /// There is no name to deliver it under.
    #[error("the good has no name of its own")]
    NoName,
    /// It was changed while it was read.
    #[error("the good was changed while it was read; add it again when nobody writes to it")]
    Changed,
    /// Something in the folder cannot be sold.
    #[error("the folder cannot be sold")]
    Folder(#[from] FolderError),
    /// The price is nothing.
    #[error("the price is zero")]
    Price,
    /// A text is missing or too long.
    #[error(
        "a good needs a title; title, name and media type have {NAME_BYTES_MAX} bytes at most, other texts {TEXT_BYTES_MAX}"
    )]
    Text,
    /// The disk is full.
    #[error("no space is left for the encrypted good; make room and add it again")]
    DiskFull,
    /// The encrypted file cannot be written.
    #[error("the encrypted good cannot be written")]
    Write(#[source] io::Error),
    /// Longer than the format takes.
    #[error("the good is longer than the 4 PiB that the format takes")]
    TooLong,
    /// A new version of a good that there is not.
    #[error(transparent)]
    Shelf(#[from] ShelfRefusal),
    /// The records cannot be written.
    #[error("the shop's records cannot be written")]
    Store(#[from] StoreError),
}

/// Why the shop's records cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The folder cannot be made.
    #[error("the shop's data folder cannot be used")]
    Folder(#[from] io::Error),
    /// The records cannot be opened.
    #[error("the shop's records cannot be opened")]
    Store(#[from] StoreError),
}

/// A shop's shelf and books, as its operator works with them.
pub struct Shop {
    store: MerchantStore,
    reader: MerchantReader,
    ciphertexts: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Shop {
    /// Opens the records in a shop's data folder, and makes them if there are none.
    ///
    /// # Errors
    /// [`ShopError`].
    pub fn open(data: &Path, clock: Arc<dyn Clock>) -> Result<Self, ShopError> {
        let ciphertexts = ciphertext_folder(data);
        fs::create_dir_all(&ciphertexts)?;
        let path = data.join("merchant.db");
        Ok(Self {
            store: MerchantStore::open(&path)?,
            reader: MerchantReader::open(&path)?,
            ciphertexts,
            clock,
        })
    }

    /// Encrypts a file, or a folder as one tar stream, and puts it up for sale.
    ///
    /// # Errors
    /// [`AddGoodError`].
    pub fn add_good(
        &mut self,
        source: &Path,
        input: &GoodInput,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(GoodProgress),
    ) -> Result<AddedGood, AddGoodError> {
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        self.add(GoodId(id), source, input, rng, progress)
    }

    /// Puts a new version in the place of a good's current one, also if that was withdrawn.
    ///
    /// # Errors
    /// [`AddGoodError`].
    pub fn new_version(
        &mut self,
        good: GoodId,
        source: &Path,
        input: &GoodInput,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(GoodProgress),
    ) -> Result<AddedGood, AddGoodError> {
        if self.store.current(good)?.is_none() {
            return Err(ShelfRefusal::UnknownGood.into());
        }
        self.add(good, source, input, rng, progress)
    }

    /// The newest version of every good, in the order in which they were added.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn goods(&self) -> Result<Vec<GoodVersion>, StoreError> {
        self.reader.goods()
    }

    /// Takes a good from the shelf. What was ordered before is still sold and delivered.
    ///
    /// # Errors
    /// [`StoreError`], or why it cannot be taken.
    pub fn withdraw_from_sale(
        &mut self,
        good: GoodId,
    ) -> Result<Result<(), ShelfRefusal>, StoreError> {
        self.store.withdraw(good)
    }

    /// Orders in any of `states` (in all states if it is empty), the newest first. [`Order::standing`] says who acts next.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn orders(&self, states: &[OrderState], at_most: usize) -> Result<Vec<Order>, StoreError> {
        self.reader.orders(states, at_most)
    }

    fn add(
        &mut self,
        good: GoodId,
        source: &Path,
        input: &GoodInput,
        rng: &mut impl CryptoRng,
        progress: &mut dyn FnMut(GoodProgress),
    ) -> Result<AddedGood, AddGoodError> {
        let source = Source::open(source)?;
        let terms = terms(input, &source)?;
        remove_stale(&self.ciphertexts);
        let key: ContentKey = Secret::generate(rng);
        let (sealed, path) = store_sealed(&self.ciphertexts, source, &key, rng, progress)?;
        let sale = GoodForSale {
            price: input.price,
            terms,
            pt_root: PlaintextRoot(sealed.pt_root),
            pt_len: sealed.pt_len,
            ct_root: CiphertextRoot(sealed.ct_root),
            ct_len: sealed.ct_len,
            content_key: key,
        };
        match self.store.add_version(good, &sale, self.clock.now()) {
            Ok(version) => Ok(added(good, version, sale)),
            Err(error) => {
                let _left_behind = fs::remove_file(path);
                Err(error.into())
            }
        }
    }
}

/// Where the encrypted goods are in a shop's data folder.
pub(super) fn ciphertext_folder(data: &Path) -> PathBuf {
    data.join("ciphertext")
}

/// The file of one ciphertext: named by its root's digits, so that no request can name another file.
pub(super) fn ciphertext_path(folder: &Path, root: &CiphertextRoot) -> PathBuf {
    folder.join(format!("{}.ct", root.hex()))
}

fn added(good: GoodId, version: u32, sale: GoodForSale) -> AddedGood {
    AddedGood {
        good,
        version,
        file_name: sale.terms.file_name,
        media_type: sale.terms.media_type,
        bytes: sale.pt_len,
        pt_root: sale.pt_root,
        ct_root: sale.ct_root,
    }
}

fn terms(input: &GoodInput, source: &Source) -> Result<Terms, AddGoodError> {
    if input.price.amount.is_zero() {
        return Err(AddGoodError::Price);
    }
    let file_name = source.file_name()?;
    let guessed = || {
        mime_guess::from_path(&file_name)
            .first_or_octet_stream()
            .to_string()
    };
    let media_type = input.media_type.clone().unwrap_or_else(guessed);
    let terms = Terms {
        salt: [0; 32],
        title: input.title.clone(),
        file_name,
        media_type,
        description: input.description.clone(),
        licence: input.licence.clone(),
        refund_rule: input.refund_rule.clone(),
    };
    if terms.title.trim().is_empty() || !terms.is_within_limits() {
        return Err(AddGoodError::Text);
    }
    Ok(terms)
}

/// What is sold, opened.
enum Source {
    File {
        path: PathBuf,
        file: File,
        bytes: u64,
        modified: Option<SystemTime>,
    },
    Folder {
        path: PathBuf,
        folder: Folder,
    },
}

impl Source {
    fn open(path: &Path) -> Result<Self, AddGoodError> {
        // Also gives `.` and `..` their names.
        let path = path.canonicalize().map_err(AddGoodError::Unreadable)?;
        let metadata = fs::metadata(&path).map_err(AddGoodError::Unreadable)?;
        if metadata.is_dir() {
            let folder = Folder::list(&path, OsStr::new(&name_of(&path)?))?;
            return Ok(Self::Folder { path, folder });
        }
        if !metadata.is_file() {
            return Err(AddGoodError::NotAFile);
        }
        let file = File::open(&path).map_err(AddGoodError::Unreadable)?;
        let metadata = file.metadata().map_err(AddGoodError::Unreadable)?;
        Ok(Self::File {
            path,
            file,
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    fn file_name(&self) -> Result<String, AddGoodError> {
        match self {
            Self::File { path, .. } => name_of(path),
            Self::Folder { path, .. } => Ok(name_of(path)? + ".tar"),
        }
    }

    /// Encrypts all of it, and makes sure that it was what it seemed when it was opened.
    fn seal(
        self,
        out: &mut impl io::Write,
        key: &ContentKey,
        salt: [u8; content::SALT_BYTES],
        progress: &mut dyn FnMut(GoodProgress),
    ) -> Result<Sealed, AddGoodError> {
        match self {
            Self::File {
                mut file,
                bytes,
                modified,
                ..
            } => {
                // One byte more shows that the file has grown, and a file that grows for ever has an end.
                let mut reader = Read::take(&mut file, bytes.saturating_add(1));
                let sealed = encrypt(&mut reader, out, key, salt, bytes, progress)?;
                let metadata = file.metadata().map_err(AddGoodError::Unreadable)?;
                let is_same = metadata.len() == bytes && metadata.modified().ok() == modified;
                if sealed.pt_len == bytes && is_same {
                    Ok(sealed)
                } else {
                    Err(AddGoodError::Changed)
                }
            }
            Self::Folder { folder, .. } => seal_folder(&folder, out, key, salt, progress),
        }
    }
}

/// The tar stream is written on one thread and encrypted on this one, with a pipe between them.
fn seal_folder(
    folder: &Folder,
    out: &mut impl io::Write,
    key: &ContentKey,
    salt: [u8; content::SALT_BYTES],
    progress: &mut dyn FnMut(GoodProgress),
) -> Result<Sealed, AddGoodError> {
    let (mut reader, writer) = io::pipe().map_err(AddGoodError::Unreadable)?;
    std::thread::scope(|scope| {
        let written = scope.spawn(move || folder.write(writer));
        let sealed = encrypt(&mut reader, out, key, salt, folder.tar_bytes(), progress);
        // If encrypting failed, this is what stops the other thread.
        drop(reader);
        let written = written
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let sealed = sealed?;
        written?;
        Ok(sealed)
    })
}

fn encrypt(
    reader: &mut impl Read,
    out: &mut impl io::Write,
    key: &ContentKey,
    salt: [u8; content::SALT_BYTES],
    bytes_total: u64,
    progress: &mut dyn FnMut(GoodProgress),
) -> Result<Sealed, AddGoodError> {
    let mut observe = |done: Progress| {
        progress(GoodProgress {
            bytes: done.plaintext_bytes,
            bytes_total: bytes_total.max(done.plaintext_bytes),
        });
    };
    content::encrypt(reader, out, key, salt, CONTENT_CONTEXT, &mut observe).map_err(|error| {
        match error {
            EncryptError::Read(error) => AddGoodError::Unreadable(error),
            EncryptError::Write(error) => not_written(error),
            EncryptError::TooLong => AddGoodError::TooLong,
        }
    })
}

/// Encrypts into a temporary file, which gets its name once it is whole and on disk.
fn store_sealed(
    folder: &Path,
    source: Source,
    key: &ContentKey,
    rng: &mut impl CryptoRng,
    progress: &mut dyn FnMut(GoodProgress),
) -> Result<(Sealed, PathBuf), AddGoodError> {
    let mut random = [0; 8];
    rng.fill_bytes(&mut random);
    let mut salt = [0; content::SALT_BYTES];
    rng.fill_bytes(&mut salt);
    let temporary = Temporary::new(folder, &random);
    let mut file = File::create_new(&temporary.0).map_err(not_written)?;
    let sealed = source.seal(&mut file, key, salt, progress)?;
    file.sync_all().map_err(not_written)?;
    let path = ciphertext_path(folder, &CiphertextRoot(sealed.ct_root));
    fs::rename(&temporary.0, &path).map_err(not_written)?;
    sync_folder(folder).map_err(not_written)?;
    Ok((sealed, path))
}

fn not_written(error: io::Error) -> AddGoodError {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    if matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge) {
        AddGoodError::DiskFull
    } else {
        AddGoodError::Write(error)
    }
}

/// A file that is removed with this value, unless it has been renamed by then.
struct Temporary(PathBuf);

impl Temporary {
    fn new(folder: &Path, random: &[u8]) -> Self {
        Self(folder.join(HEXLOWER.encode(random) + TEMPORARY_SUFFIX))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _renamed = fs::remove_file(&self.0);
    }
}

/// Removes what crashes left. Failing to is no reason not to sell.
fn remove_stale(folder: &Path) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    for file in files {
        let is_temporary = file
            .file_name()
            .to_string_lossy()
            .ends_with(TEMPORARY_SUFFIX);
        let modified = file.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| modified.elapsed().ok());
        if is_temporary && age.is_some_and(|age| age > TEMPORARY_AGE_MAX) {
            let _still_there = fs::remove_file(file.path());
        }
    }
}

/// The last part of a path, without what could be taken for a separator or a control.
fn name_of(path: &Path) -> Result<String, AddGoodError> {
    let name = path.file_name().ok_or(AddGoodError::NoName)?;
    let is_misleading = |c: char| c == '/' || c == '\\' || c.is_control();
    Ok(name.to_string_lossy().replace(is_misleading, "_"))
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
