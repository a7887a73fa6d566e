//! Key derivation: HKDF with SHA-256 (RFC 5869).

pub use crate::label::Label;
use crate::secret::Secret;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};

/// The most that HKDF-SHA-256 gives: 255 blocks.
const OUTPUT_BYTES_MAX: usize = 255 * 32;

/// Derives `N` bytes (at most 8160, checked when compiling) from `secret`.
///
/// The salt is the label; the info is every part of `info` after its length as a big-endian `u32`, so that no two lists
/// of parts give the same info.
pub fn derive<const N: usize>(label: Label, secret: &[u8], info: &[&[u8]]) -> Secret<N> {
    hkdf_sha256(label.as_bytes(), secret, &length_prefixed(info))
}

fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut info = Vec::with_capacity(parts.iter().map(|part| part.len() + 4).sum());
    for part in parts {
        let length =
            u32::try_from(part.len()).expect("a context of a derived key is far below 4 GiB");
        info.extend_from_slice(&length.to_be_bytes());
        info.extend_from_slice(part);
    }
    info
}

fn hkdf_sha256<const N: usize>(salt: &[u8], secret: &[u8], info: &[u8]) -> Secret<N> {
    const {
        assert!(
            N <= OUTPUT_BYTES_MAX,
            "HKDF-SHA-256 gives at most 8160 bytes"
        )
    };
    let mut bytes = [0; N];
    Salt::new(HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], OutputBytes(N))
        .and_then(|output| output.fill(&mut bytes))
        .expect("the length was checked when compiling");
    let derived = Secret::new(bytes);
    zeroize::Zeroize::zeroize(&mut bytes);
    derived
}

/// How many bytes to expand to.
pub(crate) struct OutputBytes(pub(crate) usize);

impl KeyType for OutputBytes {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests;
