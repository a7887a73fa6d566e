//! The only place that names a cryptographic primitive.
//!
//! Everything above this crate speaks of signatures, blind signatures, contents, notes and trees; which curve, hash or
//! cipher stands behind a word is decided here, once. There is no clock, no socket, no file and no randomness of its own:
//! bytes, times and random generators come in, values go out. Every label that separates one use of a primitive from
//! another stands in the table of [`label`].
//!
//! | module | what it is | source |
//! |---|---|---|
//! | [`hash`] | SHA-256 ids, BLAKE3 content roots | FIPS 180-4, BLAKE3 |
//! | [`secret`] | secret bytes that vanish when dropped | |
//! | [`kdf`] | HKDF-SHA-256 | RFC 5869 |
//! | [`sign`] | Ed25519, verified strictly | RFC 8032 |
//! | [`blind`] | blind BLS signatures on BLS12-381 | RFC 9380, draft-irtf-cfrg-bls-signature |
//! | [`content`] | goods: Cobblestone-128 | C2SP chunked-encryption |
//! | [`wrap`] | a content key under a sale's secret | |
//! | [`note`] | checkpoints and cosignatures | C2SP signed-note, tlog-checkpoint, tlog-cosignature |
//! | [`merkle`] | trees, proofs and tiles | RFC 6962, C2SP tlog-tiles |
//! | [`storage`] | records at rest: AES-256-GCM-SIV | RFC 8452 |

mod opaque;

pub mod blind;
pub mod content;
pub mod hash;
pub mod kdf;
pub mod label;
pub mod merkle;
pub mod note;
pub mod secret;
pub mod sign;
pub mod storage;
pub mod wrap;

#[cfg(test)]
mod vectors;
