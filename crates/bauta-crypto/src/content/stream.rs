//! Whole goods as streams: read a batch of records, work on them on every core, write them, in constant memory.

use super::{
    CHUNK_BYTES, ContentError, ContentKey, Decryptor, Encryptor, HEADER_BYTES, RECORD_BYTES,
    RECORDS_MAX, SALT_BYTES, TAG_BYTES,
};
use crate::hash::ContentHasher;
use rayon::prelude::*;
use std::io::{self, Read, Write};

/// Records that are worked on together: 4 MiB of plain text.
const BATCH_RECORDS: usize = 256;

/// How far a stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of plain text done so far.
    pub plaintext_bytes: u64,
}

/// What encrypting gave besides the ciphertext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// BLAKE3 of the plain text.
    pub pt_root: [u8; 32],
    /// Bytes of the plain text.
    pub pt_len: u64,
    /// BLAKE3 of the ciphertext, header included.
    pub ct_root: [u8; 32],
    /// Bytes of the ciphertext, header included.
    pub ct_len: u64,
}

/// What decrypting gave besides the plain text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// BLAKE3 of the plain text.
    pub pt_root: [u8; 32],
    /// Bytes of the plain text.
    pub pt_len: u64,
}

/// Why a good was not encrypted.
#[derive(Debug, thiserror::Error)]
pub enum EncryptError {
    /// The plain text could not be read.
    #[error("the content could not be read")]
    Read(#[source] io::Error),
    /// The ciphertext could not be written.
    #[error("the encrypted content could not be written")]
    Write(#[source] io::Error),
    /// The plain text is longer than the 4 PiB that the format takes.
    #[error("the content is longer than the format takes")]
    TooLong,
}

/// Why a good was not decrypted.
#[derive(Debug, thiserror::Error)]
pub enum DecryptError {
    /// The ciphertext could not be read.
    #[error("the encrypted content could not be read")]
    Read(#[source] io::Error),
    /// The plain text could not be written.
    #[error("the content could not be written")]
    Write(#[source] io::Error),
    /// The header does not commit to this key and context.
    #[error("the key does not match the content's commitment")]
    WrongKey,
    /// The ciphertext ends in its header, at the border of a record or inside a tag: some of its end is missing.
    #[error("the encrypted content is cut off")]
    Truncated,
    /// A record that is not the last was altered or is in another's place; or it was the last, and bytes were added.
    #[error("record {index} of the encrypted content does not authenticate")]
    Record {
        /// The number of the first such record, from 0.
        index: u64,
    },
    /// The short record at the end was altered, cut or lengthened.
    #[error("the end of the encrypted content, record {index}, was altered, cut off or lengthened")]
    LastRecord {
        /// The number of the last record, from 0.
        index: u64,
    },
    /// The ciphertext has more records than the format takes.
    #[error("the encrypted content is longer than the format takes")]
    TooLong,
}

/// Encrypts all of `reader` to `writer` and computes the BLAKE3 roots of both streams on the way.
///
/// A salt must not be used twice with one key. `observe` is called after every batch of 4 MiB.
///
/// # Errors
/// [`EncryptError`] if a stream fails or the plain text is too long; what was written by then is of no use.
pub fn encrypt(
    reader: &mut impl Read,
    writer: &mut impl Write,
    key: &ContentKey,
    salt: [u8; SALT_BYTES],
    context: &[u8],
    observe: &mut impl FnMut(Progress),
) -> Result<Sealed, EncryptError> {
    let encryptor = Encryptor::new(key, salt, context);
    let (mut plain_hasher, mut sealed_hasher) = (ContentHasher::new(), ContentHasher::new());
    let header = encryptor.header();
    writer.write_all(&header).map_err(EncryptError::Write)?;
    sealed_hasher.update(&header);
    let mut plain = vec![0; BATCH_RECORDS * CHUNK_BYTES];
    let mut sealed = vec![0; BATCH_RECORDS * RECORD_BYTES];
    let (mut index, mut pt_len, mut ct_len) = (0, 0, HEADER_BYTES as u64);
    loop {
        let filled = fill(reader, &mut plain).map_err(EncryptError::Read)?;
        let is_last = filled < plain.len();
        let records = filled / CHUNK_BYTES + usize::from(is_last);
        if index + records as u64 > RECORDS_MAX {
            return Err(EncryptError::TooLong);
        }
        let (plain, sealed) = (
            &plain[..filled],
            &mut sealed[..filled + records * TAG_BYTES],
        );
        seal_batch(&encryptor, index, plain, sealed);
        plain_hasher.update(plain);
        sealed_hasher.update(sealed);
        writer.write_all(sealed).map_err(EncryptError::Write)?;
        index += records as u64;
        pt_len += plain.len() as u64;
        ct_len += sealed.len() as u64;
        observe(Progress {
            plaintext_bytes: pt_len,
        });
        if is_last {
            break;
        }
    }
    Ok(Sealed {
        pt_root: plain_hasher.finalize(),
        pt_len,
        ct_root: sealed_hasher.finalize(),
        ct_len,
    })
}

/// Decrypts all of `reader` to `writer` and computes the BLAKE3 root of the plain text on the way.
///
/// Only authenticated bytes are written, but a ciphertext that is cut off is known as such only at its end: on an error
/// the caller throws away what was written. Added bytes make the former last record fail to authenticate. `observe` is
/// called after every batch of 4 MiB.
///
/// # Errors
/// [`DecryptError`] if a stream fails, the key is another, or the ciphertext is not as it was made.
pub fn decrypt(
    reader: &mut impl Read,
    writer: &mut impl Write,
    key: &ContentKey,
    context: &[u8],
    observe: &mut impl FnMut(Progress),
) -> Result<Opened, DecryptError> {
    let decryptor = read_header(reader, key, context)?;
    let mut hasher = ContentHasher::new();
    let mut sealed = vec![0; BATCH_RECORDS * RECORD_BYTES];
    let mut plain = vec![0; BATCH_RECORDS * CHUNK_BYTES];
    let (mut index, mut pt_len) = (0, 0);
    loop {
        let filled = fill(reader, &mut sealed).map_err(DecryptError::Read)?;
        let is_last = filled < sealed.len();
        if is_last && filled % RECORD_BYTES < TAG_BYTES {
            return Err(DecryptError::Truncated);
        }
        let records = filled / RECORD_BYTES + usize::from(is_last);
        if index + records as u64 > RECORDS_MAX {
            return Err(DecryptError::TooLong);
        }
        open_batch(&decryptor, index, &sealed[..filled], &mut plain)?;
        let opened = &plain[..filled - records * TAG_BYTES];
        hasher.update(opened);
        writer.write_all(opened).map_err(DecryptError::Write)?;
        index += records as u64;
        pt_len += opened.len() as u64;
        observe(Progress {
            plaintext_bytes: pt_len,
        });
        if is_last {
            break;
        }
    }
    Ok(Opened {
        pt_root: hasher.finalize(),
        pt_len,
    })
}

/// Seals consecutive chunks; each record's length tells its chunk's, so that an empty last chunk gets its record.
fn seal_batch(encryptor: &Encryptor, first: u64, plain: &[u8], sealed: &mut [u8]) {
    sealed
        .par_chunks_mut(RECORD_BYTES)
        .enumerate()
        .for_each(|(place, record)| {
            let start = place * CHUNK_BYTES;
            let chunk = &plain[start..start + record.len() - TAG_BYTES];
            encryptor.records.seal(first + place as u64, chunk, record);
        });
}

/// Opens consecutive records into their chunks and names the first that fails.
fn open_batch(
    decryptor: &Decryptor,
    first: u64,
    sealed: &[u8],
    plain: &mut [u8],
) -> Result<(), DecryptError> {
    let failed = sealed
        .par_chunks(RECORD_BYTES)
        .zip(plain.par_chunks_mut(CHUNK_BYTES))
        .enumerate()
        .filter_map(|(place, (record, chunk))| {
            let index = first + place as u64;
            let chunk = &mut chunk[..record.len() - TAG_BYTES];
            let opened = decryptor.records.open(index, record, chunk);
            opened.err().map(|_| (index, record.len() == RECORD_BYTES))
        })
        .min();
    match failed {
        None => Ok(()),
        Some((index, true)) => Err(DecryptError::Record { index }),
        Some((index, false)) => Err(DecryptError::LastRecord { index }),
    }
}

fn read_header(
    reader: &mut impl Read,
    key: &ContentKey,
    context: &[u8],
) -> Result<Decryptor, DecryptError> {
    let mut header = [0; HEADER_BYTES];
    let filled = fill(reader, &mut header).map_err(DecryptError::Read)?;
    if filled < header.len() {
        return Err(DecryptError::Truncated);
    }
    Decryptor::new(key, &header, context).map_err(|error| match error {
        ContentError::WrongKey => DecryptError::WrongKey,
        ContentError::Length | ContentError::Record => DecryptError::Truncated,
    })
}

/// Reads until the buffer is full or the stream ends.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
