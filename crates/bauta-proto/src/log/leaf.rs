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
    /// The preimage of a lock's prepare hash: its payee will commit (mode SAFE).
    Prepare = 1,
    /// The preimage of a lock: decides it for the payee.
    Commit = 2,
    /// The preimage of a lock's cancel hash: its payer takes it back (mode SAFE).
    Cancel = 3,
    /// The id of a public parameter of a bank.
    Record = 6,
}

/// What a leaf does to a lock. Which of them count, and in which order, is the rule of [`crate::decision`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
#[repr(u8)]
pub enum Deed {
    /// The payee announces that it will commit; from then on the payer cannot cancel.
    Prepare = 1,
    /// The payee publishes the preimage that pays it and opens the goods.
    Commit = 2,
    /// The payer takes the lock back before it is prepared.
    Cancel = 3,
}

impl Deed {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Prepare, Self::Commit, Self::Cancel];

    /// The kind of leaf that does it.
    #[must_use]
    pub const fn leaf_kind(self) -> LeafKind {
        match self {
            Self::Prepare => LeafKind::Prepare,
            Self::Commit => LeafKind::Commit,
            Self::Cancel => LeafKind::Cancel,
        }
    }
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
    /// A leaf about a lock.
    #[must_use]
    pub const fn of_lock(
        deed: Deed,
        lock_tag: LockTag,
        expiry: Timestamp,
        preimage: [u8; 32],
    ) -> Self {
        Self {
            kind: deed.leaf_kind(),
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

    /// The lock that the leaf is about, and what it does to it if it is the lock's (see
    /// [`LockPublic::deed_of`](crate::lock::LockPublic::deed_of)).
    #[must_use]
    pub fn about_lock(&self) -> Option<(LockTag, Deed)> {
        let deed = match self.kind {
            LeafKind::Prepare => Deed::Prepare,
            LeafKind::Commit => Deed::Commit,
            LeafKind::Cancel => Deed::Cancel,
            LeafKind::Record => return None,
        };
        Some((LockTag(self.subject), deed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_73_bytes_and_unknown_kinds_are_refused() {
        let mut bytes =
            Leaf::of_lock(Deed::Commit, LockTag([1; 32]), Timestamp(2), [3; 32]).to_bytes();
        assert_eq!(bytes.len(), LEAF_BYTES);
        assert!(Leaf::from_bytes(&bytes).is_some());
        bytes[0] = 99;
        assert!(Leaf::from_bytes(&bytes).is_none());
        bytes[0] = 2;
        bytes.push(0);
        assert!(Leaf::from_bytes(&bytes).is_none());
    }
}
