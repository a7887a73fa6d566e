//! Leaves: the log's entries, 73 bytes each.

use bauta_crypto::merkle;
use tls_codec::{Deserialize, Serialize, TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    ids::{BankId, LockTag},
    time::Timestamp,
};

/// The length of a leaf's encoding.
pub const LEAF_BYTES: usize = 73;

/// What a leaf says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum LeafKind {
    /// The preimage of a lock: decides it for the payee.
    Commit = 2,
    /// The id of a public parameter of a bank.
    Record = 6,
}

/// One entry of the log: `kind || subject || expiry || value`.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Leaf {
    /// What it says.
    pub kind: LeafKind,
    /// Of whom: a lock's tag, or a bank.
    pub subject: [u8; 32],
    /// The lock's expiry, or until when the record matters.
    pub expiry: Timestamp,
    /// The preimage, or the id that is recorded.
    pub value: [u8; 32],
}

impl std::fmt::Debug for Leaf {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Leaf({:?}, ..)", self.kind)
    }
}

impl Leaf {
    /// The leaf that decides a lock for its payee.
    #[must_use]
    pub const fn commit(lock_tag: LockTag, expiry: Timestamp, preimage: [u8; 32]) -> Self {
        Self {
            kind: LeafKind::Commit,
            subject: lock_tag.0,
            expiry,
            value: preimage,
        }
    }

    /// The leaf that shows a bank's public parameter to everybody.
    #[must_use]
    pub const fn record(bank: BankId, valid_until: Timestamp, subject: [u8; 32]) -> Self {
        Self {
            kind: LeafKind::Record,
            subject: bank.0,
            expiry: valid_until,
            value: subject,
        }
    }

    /// The 73 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.tls_serialize_detached().expect("fields of fixed size")
    }

    /// Reads exactly one leaf; none from bytes that are not one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::tls_deserialize_exact(bytes).ok()
    }

    /// The leaf's hash in the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn hash(&self) -> merkle::Hash {
        merkle::leaf_hash(&self.to_bytes())
    }

    /// The lock that a commit leaf decides.
    #[must_use]
    pub fn lock_tag(&self) -> Option<LockTag> {
        (self.kind == LeafKind::Commit).then_some(LockTag(self.subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_73_bytes_and_unknown_kinds_are_refused() {
        let mut bytes = Leaf::commit(LockTag([1; 32]), Timestamp(2), [3; 32]).to_bytes();
        assert_eq!(bytes.len(), LEAF_BYTES);
        assert!(Leaf::from_bytes(&bytes).is_some());
        bytes[0] = 99;
        assert!(Leaf::from_bytes(&bytes).is_none());
        bytes[0] = 2;
        bytes.push(0);
        assert!(Leaf::from_bytes(&bytes).is_none());
    }
}
