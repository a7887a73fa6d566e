//! What is brought to the log: submissions about a lock (message P4 of document 003, figure 4; figure 3 for the two
//! steps) and records; and its promise in return.

use bauta_crypto::{
    hash,
    sign::{Signature, SignatureError},
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    codec::{Message, MessageType, message, opaque_debug},
    ids::BankId,
    lock::{Lock, LockPublic, lock_statement},
    log::leaf::{Deed, Leaf},
    time::Timestamp,
};

/// P4: the public half of a lock, the bank's word for it, and the preimage of one of its hashes.
///
/// The log checks all three itself and takes nobody's word for the expiry: in the document it did (hole "late commit").
/// Who sends it does not matter: whoever knows the preimage may decide.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Submission {
    /// What it does to the lock, and so which hash is opened.
    pub deed: Deed,
    /// The lock's public half.
    pub lock: LockPublic,
    /// Id of its private half, which the log does not see.
    pub private_id: [u8; 32],
    /// The bank's signature over both.
    pub signature: Signature,
    /// The preimage.
    pub preimage: [u8; 32],
}
message!(Submission, "submission", 320);

impl std::fmt::Debug for Submission {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Submission(..)")
    }
}

/// Why a submission is not admitted to the log, whatever the time.
#[derive(Debug, thiserror::Error)]
pub enum SubmissionError {
    /// The bank did not sign.
    #[error("the bank's signature does not cover this lock")]
    Signature(#[from] SignatureError),
    /// The preimage does not open the lock's hash for this deed, or the lock's mode does not know the deed.
    #[error("the preimage does not match the lock's hash for it")]
    Preimage,
}

impl Submission {
    /// What whoever holds `lock` and a preimage brings to the log.
    #[must_use]
    pub fn new(lock: &Lock, deed: Deed, preimage: [u8; 32]) -> Self {
        Self {
            deed,
            lock: lock.public.clone(),
            private_id: lock.private.id(),
            signature: lock.signature,
            preimage,
        }
    }

    /// Checks signature and preimage and returns the leaf that they deserve; the caller checks bank and time
    /// ([`LockPublic::taken_until`]).
    ///
    /// # Errors
    /// [`SubmissionError`]; whoever sent it is at fault.
    pub fn checked_leaf(&self) -> Result<Leaf, SubmissionError> {
        let leaf = self.leaf();
        if self.lock.deed_of(&leaf) != Some(self.deed) {
            return Err(SubmissionError::Preimage);
        }
        let statement = lock_statement(self.lock.lock_tag(), &self.private_id);
        let bank = self.lock.bank.key();
        bank.verify(MessageType::Lock as u16, &statement, &self.signature)?;
        Ok(leaf)
    }

    /// The leaf that is asked for.
    #[must_use]
    pub fn leaf(&self) -> Leaf {
        self.lock.leaf(self.deed, self.preimage)
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
