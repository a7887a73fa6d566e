//! Goods: C2SP chunked-encryption, instance Cobblestone-128 (HKDF-Expand with SHA-512, AES-128-GCM, 16 KiB chunks).
//!
//! A ciphertext is `salt(24) || commitment(32) || records`. Every record but the last holds 16 KiB of plain text and
//! [`RECORD_BYTES`] bytes; the last is always shorter, and may hold nothing: that is how the end is known. Key, nonce and
//! commitment come from the content key, the salt and a context, so that no two keys open one ciphertext.
//!
//! [`encrypt`] and [`decrypt`] stream in constant memory on every core; [`Encryptor`] and [`Decryptor`] work on single
//! records, for random access and for a judge.

mod stream;

pub use stream::{DecryptError, EncryptError, Opened, Progress, Sealed, decrypt, encrypt};

use crate::{
    kdf::OutputBytes,
    opaque::opaque_debug,
    secret::{Secret, equal_in_constant_time},
};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA512, Prk};
use zeroize::Zeroizing;

/// Bytes of a content key.
pub const KEY_BYTES: usize = 16;
/// Bytes of plain text in every record but the last.
pub const CHUNK_BYTES: usize = 16_384;
/// Bytes of every record but the last.
pub const RECORD_BYTES: usize = CHUNK_BYTES + TAG_BYTES;
/// Bytes before the first record: salt and commitment.
pub const HEADER_BYTES: usize = SALT_BYTES + COMMITMENT_BYTES;
/// Bytes of the salt, fresh for every ciphertext under one key.
pub const SALT_BYTES: usize = 24;
/// Bytes of the commitment to the key.
pub const COMMITMENT_BYTES: usize = 32;
/// Bytes that each record is longer than its plain text.
pub const TAG_BYTES: usize = 16;
/// The most records that a ciphertext may have.
pub const RECORDS_MAX: u64 = 1 << 38;

const NONCE_BYTES: usize = 12;
/// The specification's prefix, the cipher's registered name and the zero that ends it.
const INFO_PREFIX: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_128_GCM\0";

/// The key of one good: uniformly random, fresh for each good and version.
pub type ContentKey = Secret<KEY_BYTES>;

/// Why a ciphertext or a part of it is refused. Whoever made or altered the ciphertext is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// No ciphertext has this length, or no record this length at this place.
    #[error("no content has this length")]
    Length,
    /// The header does not commit to this key and context.
    #[error("the key does not match the content's commitment")]
    WrongKey,
    /// The record was not made with the key at this place.
    #[error("the record does not authenticate")]
    Record,
}

/// The length of the ciphertext of `plaintext_len` bytes; `None` beyond the 4 PiB that the format takes.
pub fn ciphertext_len(plaintext_len: u64) -> Option<u64> {
    let records = plaintext_len / CHUNK_BYTES as u64 + 1;
    (records <= RECORDS_MAX)
        .then(|| HEADER_BYTES as u64 + plaintext_len + records * TAG_BYTES as u64)
}

/// The length of the plain text of a ciphertext of `ciphertext_len` bytes.
///
/// # Errors
/// [`ContentError::Length`] if no ciphertext has this length: cut at the border of a record or inside a tag, or too long.
pub fn plaintext_len(ciphertext_len: u64) -> Result<u64, ContentError> {
    let records = ciphertext_len
        .checked_sub(HEADER_BYTES as u64)
        .ok_or(ContentError::Length)?;
    let (full, last) = (records / RECORD_BYTES as u64, records % RECORD_BYTES as u64);
    if full >= RECORDS_MAX {
        return Err(ContentError::Length);
    }
    let last = last
        .checked_sub(TAG_BYTES as u64)
        .ok_or(ContentError::Length)?;
    Ok(full * CHUNK_BYTES as u64 + last)
}

/// Makes records.
pub struct Encryptor {
    header: [u8; HEADER_BYTES],
    records: RecordCipher,
}

/// Opens records of a ciphertext whose header commits to the key.
pub struct Decryptor {
    records: RecordCipher,
}

opaque_debug!(Encryptor, Decryptor);

impl Encryptor {
    /// Derives the ciphertext's keys. A salt must not be used twice with one key.
    pub fn new(key: &ContentKey, salt: [u8; SALT_BYTES], context: &[u8]) -> Self {
        let (commitment, records) = derive(key, &salt, context);
        let mut header = [0; HEADER_BYTES];
        header[..SALT_BYTES].copy_from_slice(&salt);
        header[SALT_BYTES..].copy_from_slice(&commitment);
        Self { header, records }
    }

    /// What stands before the first record.
    pub const fn header(&self) -> [u8; HEADER_BYTES] {
        self.header
    }

    /// The record number `index` over a chunk, which is full for all records but the last.
    ///
    /// # Errors
    /// [`ContentError::Length`] if the chunk is longer than 16 KiB or the index beyond the format's last.
    pub fn encrypt_record(&self, index: u64, chunk: &[u8]) -> Result<Vec<u8>, ContentError> {
        if chunk.len() > CHUNK_BYTES || index >= RECORDS_MAX {
            return Err(ContentError::Length);
        }
        let mut record = vec![0; chunk.len() + TAG_BYTES];
        self.records.seal(index, chunk, &mut record);
        Ok(record)
    }
}

impl Decryptor {
    /// Derives the ciphertext's keys and checks them, in constant time, against the commitment of its header.
    ///
    /// # Errors
    /// [`ContentError::WrongKey`] if key, context or header do not belong together.
    pub fn new(
        key: &ContentKey,
        header: &[u8; HEADER_BYTES],
        context: &[u8],
    ) -> Result<Self, ContentError> {
        let (salt, commitment) = header
            .split_first_chunk::<SALT_BYTES>()
            .ok_or(ContentError::Length)?;
        let (expected, records) = derive(key, salt, context);
        if !equal_in_constant_time(&expected, commitment) {
            return Err(ContentError::WrongKey);
        }
        Ok(Self { records })
    }

    /// The plain text of record number `index`.
    ///
    /// That a record is the last is told by its length; only the last may be shorter than [`RECORD_BYTES`].
    ///
    /// # Errors
    /// [`ContentError::Length`] if no record has this length or index, [`ContentError::Record`] if it is not the record
    /// that was made at this place.
    pub fn decrypt_record(&self, index: u64, record: &[u8]) -> Result<Vec<u8>, ContentError> {
        if index >= RECORDS_MAX || record.len() > RECORD_BYTES {
            return Err(ContentError::Length);
        }
        let chunk_bytes = record
            .len()
            .checked_sub(TAG_BYTES)
            .ok_or(ContentError::Length)?;
        let mut chunk = vec![0; chunk_bytes];
        self.records.open(index, record, &mut chunk)?;
        Ok(chunk)
    }
}

/// The cipher of one ciphertext's records.
struct RecordCipher {
    key: LessSafeKey,
    base_nonce: [u8; NONCE_BYTES],
}

impl RecordCipher {
    /// Seals `chunk` into `record`, which is [`TAG_BYTES`] longer.
    fn seal(&self, index: u64, chunk: &[u8], record: &mut [u8]) {
        let (ciphertext, tag) = record.split_at_mut(chunk.len());
        self.key
            .seal_out_of_place_scatter(self.nonce(index), Aad::empty(), chunk, ciphertext, &[], tag)
            .expect("the record is as long as its chunk and a tag");
    }

    /// Opens `record` into `chunk`, which is [`TAG_BYTES`] shorter.
    fn open(&self, index: u64, record: &[u8], chunk: &mut [u8]) -> Result<(), ContentError> {
        let (ciphertext, tag) = record.split_at(chunk.len());
        self.key
            .open_separate_gather(self.nonce(index), Aad::empty(), ciphertext, tag, chunk)
            .map_err(|_| ContentError::Record)
    }

    /// The base nonce with the record's number, big-endian, laid over its end.
    fn nonce(&self, index: u64) -> Nonce {
        let mut nonce = self.base_nonce;
        for (byte, number) in nonce[NONCE_BYTES - 8..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= number;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// `key || base nonce || commitment = HKDF-Expand(content key, prefix || salt || context)`.
fn derive(
    key: &ContentKey,
    salt: &[u8; SALT_BYTES],
    context: &[u8],
) -> ([u8; COMMITMENT_BYTES], RecordCipher) {
    let mut derived = Zeroizing::new([0; KEY_BYTES + NONCE_BYTES + COMMITMENT_BYTES]);
    Prk::new_less_safe(HKDF_SHA512, key.expose())
        .expand(&[INFO_PREFIX, salt, context], OutputBytes(derived.len()))
        .and_then(|output| output.fill(derived.as_mut_slice()))
        .expect("sixty bytes are less than one block of SHA-512");
    let (record_key, rest) = derived.split_at(KEY_BYTES);
    let (nonce, committed) = rest.split_at(NONCE_BYTES);
    let mut base_nonce = [0; NONCE_BYTES];
    base_nonce.copy_from_slice(nonce);
    let mut commitment = [0; COMMITMENT_BYTES];
    commitment.copy_from_slice(committed);
    let key = UnboundKey::new(&AES_128_GCM, record_key).expect("the key has the cipher's length");
    (
        commitment,
        RecordCipher {
            key: LessSafeKey::new(key),
            base_nonce,
        },
    )
}

#[cfg(test)]
mod tests;
