//! What is brought to the log: commits (message P4 of document 003, figure 4) and records; and its promise in return.

use bauta_crypto::{
    hash,
    sign::{Signature, SignatureError},
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    codec::{MessageType, message, opaque_debug},
    ids::BankId,
    lock::{LockPublic, lock_statement, opens},
    log::leaf::Leaf,
    time::Timestamp,
};

/// P4: the public half of a lock, the bank's word for it and the preimage.
///
/// The log checks all three itself and takes nobody's word for the expiry: in the document it did (hole "late commit").
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Commit {
    /// The lock's public half.
    pub lock: LockPublic,
    /// Id of its private half, which the log does not see.
    pub private_id: [u8; 32],
    /// The bank's signature over both.
    pub signature: Signature,
    /// u, the preimage of the lock's hash.
    pub preimage: [u8; 32],
}
message!(Commit, "commit", 248);

impl std::fmt::Debug for Commit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Commit(..)")
    }
}

/// Why a commit or record is not admitted to the log, whatever the time.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The bank did not sign.
    #[error("the bank's signature does not cover this lock")]
    Signature(#[from] SignatureError),
    /// The preimage does not open the lock.
    #[error("the preimage does not match the lock's hash")]
    Preimage,
}

impl Commit {
    /// Checks signature and preimage and returns the leaf that they deserve; the caller checks bank and expiry.
    ///
    /// # Errors
    /// [`CommitError`]; whoever sent the commit is at fault.
    pub fn checked_leaf(&self) -> Result<Leaf, CommitError> {
        if !opens(&self.preimage, &self.lock.hash_lock) {
            return Err(CommitError::Preimage);
        }
        let lock_tag = self.lock.lock_tag();
        let statement = lock_statement(lock_tag, &self.private_id);
        let bank = self.lock.bank.key();
        bank.verify(MessageType::Lock as u16, &statement, &self.signature)?;
        Ok(Leaf::commit(lock_tag, self.lock.expiry, self.preimage))
    }
}

/// A public parameter of a bank that should stand in the log for everybody to see; signed by the bank.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Record {
    /// The bank.
    pub bank: BankId,
    /// Until when the parameter matters.
    pub valid_until: Timestamp,
    /// The id of the parameter, such as a keyset's.
    pub subject: [u8; 32],
}
message!(Record, "record", 72);

impl Record {
    /// The leaf of this record.
    #[must_use]
    pub fn leaf(&self) -> Leaf {
        Leaf::record(self.bank, self.valid_until, self.subject)
    }
}

/// The log's word, given after the durable write: this leaf has this index and will be in every later tree.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Promise {
    /// SHA-256 of the log's origin line, which names the log.
    pub log: [u8; 32],
    /// RFC 6962 hash of the leaf.
    pub leaf_hash: [u8; 32],
    /// The leaf's index in the log, from 0.
    pub index: u64,
    /// The log's clock when it wrote the leaf.
    pub promised_at: Timestamp,
}
message!(Promise, "promise", 80);

impl Promise {
    /// The name of the log with this origin line.
    #[must_use]
    pub fn log_name(origin: &str) -> [u8; 32] {
        hash::sha256(&[origin.as_bytes()])
    }
}

opaque_debug!(Record, Promise);
