//! Hashes: SHA-256 for ids, hash locks and the log; BLAKE3 for contents.

use crate::label;
use aws_lc_rs::digest::{Context, SHA256};

/// From this many bytes on an update is worth spreading over the cores (the figure of the `blake3` crate).
const PARALLEL_BYTES_MIN: usize = 128 * 1024;

/// SHA-256 (FIPS 180-4) over the concatenation of `parts`.
///
/// The borders between the parts are not hashed: a caller with more than one part of variable length puts lengths in.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The id of a typed body: `SHA-256("bauta1-id" || 0 || type:u16 || body)`, the type big-endian.
pub fn id(message_type: u16, body: &[u8]) -> [u8; 32] {
    sha256(&[
        label::ID.as_bytes(),
        &[0],
        &message_type.to_be_bytes(),
        body,
    ])
}

/// BLAKE3 over `bytes`, on every core when they are many.
pub fn content(bytes: &[u8]) -> [u8; 32] {
    let mut hasher = ContentHasher::new();
    hasher.update(bytes);
    hasher.finalize()
}

/// BLAKE3 over a stream.
///
/// Updates of 128 KiB and more are hashed on every core; the result does not depend on how the stream is cut.
#[derive(Clone, Default)]
pub struct ContentHasher(blake3::Hasher);

crate::opaque::opaque_debug!(ContentHasher);

impl ContentHasher {
    /// A hasher that has seen nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream.
    pub fn update(&mut self, bytes: &[u8]) {
        if bytes.len() >= PARALLEL_BYTES_MIN {
            self.0.update_rayon(bytes);
        } else {
            self.0.update(bytes);
        }
    }

    /// The hash of all bytes so far; more may follow.
    pub fn finalize(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    #[test]
    fn sha256_gives_the_example_of_fips_180() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(HEXLOWER.encode(&sha256(&[b"a", b"", b"bc"])), expected);
    }

    #[test]
    fn content_of_nothing_is_the_published_blake3_hash() {
        let expected = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(HEXLOWER.encode(&content(b"")), expected);
    }

    #[test]
    fn an_id_depends_on_the_type() {
        assert_ne!(id(1, b"body"), id(2, b"body"));
        assert_eq!(id(0x0102, b"x"), sha256(&[b"bauta1-id\x00\x01\x02x"]));
    }

    proptest! {
        #[test]
        fn a_content_hash_does_not_depend_on_the_cuts(length in 0_usize..700_000, cut in 0_usize..700_000) {
            let bytes: Vec<u8> = (0..length).map(|index| (index % 251) as u8).collect();
            let (head, tail) = bytes.split_at(cut.min(length));
            let mut hasher = ContentHasher::new();
            hasher.update(head);
            hasher.update(tail);
            prop_assert_eq!(hasher.finalize(), content(&bytes));
        }
    }
}
