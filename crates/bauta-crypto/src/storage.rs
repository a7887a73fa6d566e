//! Records at rest: AES-256-GCM-SIV (RFC 8452), which survives a repeated nonce.

use crate::secret::Secret;
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes of the nonce in front of a sealed record.
pub const NONCE_BYTES: usize = 12;
/// Bytes of the tag behind a sealed record.
pub const TAG_BYTES: usize = 16;

/// A record does not open: other key, other context, altered or cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stored record does not open")]
pub struct OpenError;

/// Seals `plaintext` to `nonce || ciphertext || tag`. The associated data binds it to its place and is not stored.
pub fn seal(key: &Secret<32>, nonce: [u8; NONCE_BYTES], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(NONCE_BYTES + plaintext.len() + TAG_BYTES);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plaintext);
    let tag = cipher(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut sealed[NONCE_BYTES..],
        )
        .expect("a record is far below the 64 GiB that the cipher takes");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// Opens what [`seal`] made with the same key and associated data.
///
/// # Errors
/// [`OpenError`] if anything differs.
pub fn open(key: &Secret<32>, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError)?;
    let mut opened = ciphertext.to_vec();
    let length = cipher(key)
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            &mut opened,
        )
        .map_err(|_| OpenError)?
        .len();
    opened.truncate(length);
    Ok(opened)
}

fn cipher(key: &Secret<32>) -> LessSafeKey {
    LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM_SIV, key.expose()).expect("the key has the cipher's length"),
    )
}

#[cfg(test)]
mod tests;
