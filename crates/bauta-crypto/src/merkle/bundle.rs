//! Bundles of entries (C2SP tlog-tiles): up to 256 entries, each after its length as a big-endian `u16`.

use super::{MerkleError, TILE_WIDTH};

/// Puts entries into a bundle.
///
/// # Errors
/// [`MerkleError::EntryTooLong`] if an entry is longer than 65,535 bytes or there are more than 256.
pub fn encode_bundle(entries: &[impl AsRef<[u8]>]) -> Result<Vec<u8>, MerkleError> {
    if entries.len() > usize::from(TILE_WIDTH) {
        return Err(MerkleError::EntryTooLong);
    }
    let mut bundle = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        let length = u16::try_from(entry.len()).map_err(|_| MerkleError::EntryTooLong)?;
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

/// Takes the entries out of a bundle.
///
/// # Errors
/// [`MerkleError::TruncatedBundle`] if it ends inside an entry, [`MerkleError::EntryTooLong`] beyond 256 entries.
pub fn decode_bundle(bundle: &[u8]) -> Result<Vec<Vec<u8>>, MerkleError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    while !rest.is_empty() {
        if entries.len() == usize::from(TILE_WIDTH) {
            return Err(MerkleError::EntryTooLong);
        }
        let (length, after) = rest
            .split_first_chunk()
            .ok_or(MerkleError::TruncatedBundle)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after
            .split_at_checked(length)
            .ok_or(MerkleError::TruncatedBundle)?;
        entries.push(entry.to_vec());
        rest = after;
    }
    Ok(entries)
}
