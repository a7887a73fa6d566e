//! Locks: value that a bank holds under a hash and an expiry (messages P2 and P3 of document 003, figure 4).
//!
//! The preimage of the hash captures it for the payee, time gives it back. Coins and accounts pay the same way.

use bauta_crypto::{
    blind::BlindSignature,
    hash,
    sign::{Signature, SignatureError, SigningKey},
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    account::PayeeOpening,
    codec::{Message, message, opaque_debug},
    coin::{CoinsError, Input, Output, check_inputs, check_outputs},
    ids::{AccountId, BankId, HashLock, LockTag, PayeeCommitment, PolicyId, RequestId, Serial},
    limits::{
        CLAIMS_MAX, LOCK_STATUS_MAX, OUTPUTS_MAX, RECEIPT_BYTES_MAX, REVEAL_WINDOW_MAX,
        REVEAL_WINDOW_MIN,
    },
    log::leaf::{Deed, Leaf},
    money::Money,
    time::{Seconds, Timestamp},
};

/// Who pays for a lock.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Payer {
    /// Anonymous coins, in ascending order of their keys; each signs its [`Spend`](crate::coin::Spend).
    /// The price is taken from them in this order and returns to just these when the lock is released; what they give
    /// beyond it is the change.
    #[tls_codec(discriminant = 1)]
    Coins(Vec<Input>),
    /// A named account (row C16), which signs the request's body.
    #[tls_codec(discriminant = 2)]
    Account {
        /// The account.
        account: AccountId,
        /// Makes two equal purchases two requests.
        nonce: [u8; 16],
    },
}

/// How a lock is decided, with the hashes that its mode needs. The rule itself is in [`crate::decision`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum LockMode {
    /// Figure 4: one commit by the expiry decides.
    #[tls_codec(discriminant = 1)]
    Fast,
    /// Figure 3: the payee prepares by the expiry and then commits within the window; until it has prepared, the payer can
    /// cancel.
    #[tls_codec(discriminant = 2)]
    Safe {
        /// hp: its preimage, which the payee has, prepares.
        prepare_hash: HashLock,
        /// hv: its preimage, which the payer has, cancels.
        cancel_hash: HashLock,
        /// For how long after the expiry a prepared lock can be committed.
        reveal_window: Seconds,
    },
}

/// P2: what the payer asks of the bank. Nothing in it names the merchant, the good or the purchase.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LockRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// The hash that the lock waits for.
    pub hash_lock: HashLock,
    /// The price.
    pub amount: Money,
    /// Who will be paid, hidden until the claim.
    pub payee: PayeeCommitment,
    /// The logs and witnesses whose word decides.
    pub log_policy: PolicyId,
    /// E: the preimage must be in the log by now, or the money returns.
    pub expiry: Timestamp,
    /// How the lock is decided.
    pub mode: LockMode,
    /// For how long after the expiry the payment can be disputed.
    pub dispute_window: Seconds,
    /// Who pays.
    pub payer: Payer,
    /// Change, in ascending order of the blinded messages; empty for named payers.
    pub change: Vec<Output>,
}
message!(LockRequest, "lock-request", 24_576);

/// Why the form of a [`LockRequest`] is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockFormError {
    /// The price is nothing.
    #[error("the amount to lock is zero")]
    Zero,
    /// The lists of coins are wrong.
    #[error(transparent)]
    Coins(#[from] CoinsError),
    /// Coins in, price and change do not add up.
    #[error("the coins give {given} minor units, price and change take {taken}")]
    Balance {
        /// What is taken from the coins.
        given: u64,
        /// Price plus change.
        taken: u64,
    },
    /// A named payer gets no change.
    #[error("a request of a named payer has change")]
    ChangeForAccount,
    /// The mode cannot be decided.
    #[error(transparent)]
    Mode(#[from] LockModeError),
}

/// Why no lock can have a mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockModeError {
    /// The time between preparing and committing.
    #[error(
        "the reveal window must have {} to {} seconds",
        REVEAL_WINDOW_MIN.0,
        REVEAL_WINDOW_MAX.0
    )]
    RevealWindow,
    /// One preimage would do two things.
    #[error("the hashes to commit, prepare and cancel must differ")]
    EqualHashes,
}

impl LockMode {
    /// Checks the mode of a lock that waits for `hash_lock`.
    ///
    /// # Errors
    /// [`LockModeError`]; whoever chose the mode is at fault.
    pub fn check(&self, hash_lock: &HashLock) -> Result<(), LockModeError> {
        let Self::Safe {
            prepare_hash,
            cancel_hash,
            reveal_window,
        } = self
        else {
            return Ok(());
        };
        if !(REVEAL_WINDOW_MIN..=REVEAL_WINDOW_MAX).contains(reveal_window) {
            return Err(LockModeError::RevealWindow);
        }
        let differ =
            prepare_hash != cancel_hash && prepare_hash != hash_lock && cancel_hash != hash_lock;
        differ.then_some(()).ok_or(LockModeError::EqualHashes)
    }
}

impl LockRequest {
    /// The request's name: repeats of it are answered with the same bytes.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId(self.id())
    }

    /// Checks everything that needs neither keys nor records: lists, order, sums.
    ///
    /// # Errors
    /// [`LockFormError`]; whoever composed the request is at fault.
    pub fn check_form(&self, signatures: usize) -> Result<(), LockFormError> {
        if self.amount.amount.is_zero() {
            return Err(LockFormError::Zero);
        }
        self.mode.check(&self.hash_lock)?;
        match &self.payer {
            Payer::Coins(inputs) => {
                let given = check_inputs(inputs, signatures)?;
                let change = check_outputs(&self.change)?;
                let taken = self.amount.amount.plus(change).map_err(CoinsError::from)?;
                if given != taken {
                    let (given, taken) = (given.minor_units(), taken.minor_units());
                    return Err(LockFormError::Balance { given, taken });
                }
            }
            Payer::Account { .. } if !self.change.is_empty() => {
                return Err(LockFormError::ChangeForAccount);
            }
            Payer::Account { .. } if signatures != 1 => {
                return Err(CoinsError::Signatures {
                    inputs: 1,
                    signatures,
                }
                .into());
            }
            Payer::Account { .. } => {}
        }
        Ok(())
    }
}

/// The half of a lock that goes into the log's hands: no amount and no party in it.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LockPublic {
    /// The bank that holds the value.
    pub bank: BankId,
    /// The bank's own number for it.
    pub serial: Serial,
    /// The hash that it waits for.
    pub hash_lock: HashLock,
    /// E: when it returns to the payer.
    pub expiry: Timestamp,
    /// The logs and witnesses whose word decides.
    pub log_policy: PolicyId,
    /// How it is decided.
    pub mode: LockMode,
}
message!(LockPublic, "lock-public", 189);

impl LockPublic {
    /// The lock's name in public.
    #[must_use]
    pub fn lock_tag(&self) -> LockTag {
        LockTag(self.id())
    }

    /// The moment by which the payee must have committed: the expiry, in mode SAFE the end of the reveal window.
    #[must_use]
    pub const fn commit_until(&self) -> Timestamp {
        match self.mode {
            LockMode::Fast => self.expiry,
            LockMode::Safe { reveal_window, .. } => self.expiry.plus(reveal_window),
        }
    }

    /// The moment until which a log takes leaves for this deed.
    #[must_use]
    pub const fn taken_until(&self, deed: Deed) -> Timestamp {
        match deed {
            Deed::Commit => self.commit_until(),
            Deed::Prepare | Deed::Cancel => self.expiry,
        }
    }

    /// The hash whose preimage does it, if the lock's mode knows the deed.
    #[must_use]
    pub const fn hash_of(&self, deed: Deed) -> Option<HashLock> {
        match (deed, self.mode) {
            (Deed::Commit, _) => Some(self.hash_lock),
            (Deed::Prepare, LockMode::Safe { prepare_hash, .. }) => Some(prepare_hash),
            (Deed::Cancel, LockMode::Safe { cancel_hash, .. }) => Some(cancel_hash),
            (Deed::Prepare | Deed::Cancel, LockMode::Fast) => None,
        }
    }

    /// The leaf with which `preimage` does `deed` to this lock.
    #[must_use]
    pub fn leaf(&self, deed: Deed, preimage: [u8; 32]) -> Leaf {
        Leaf::of_lock(deed, self.lock_tag(), self.expiry, preimage)
    }

    /// What the leaf does to this lock: nothing unless lock, expiry and preimage are the lock's own.
    #[must_use]
    pub fn deed_of(&self, leaf: &Leaf) -> Option<Deed> {
        let (lock_tag, deed) = leaf.about_lock()?;
        let is_its = self.expiry == leaf.expiry
            && opens(&leaf.value, &self.hash_of(deed)?)
            && lock_tag == self.lock_tag();
        is_its.then_some(deed)
    }
}

/// The half of a lock that only payer and payee see.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LockPrivate {
    /// What is held.
    pub amount: Money,
    /// Who is paid, hidden until the claim.
    pub payee: PayeeCommitment,
    /// Until when the payment can be disputed.
    pub dispute_until: Timestamp,
    /// When the lock ends whatever happens.
    pub settle_until: Timestamp,
    /// Hides the rest in [`LockPrivate::id`](Message::id) from whoever guesses.
    pub salt: [u8; 16],
}
message!(LockPrivate, "lock-private", 75);

/// P3: the bank's word that it holds the value. One signature covers both halves by their ids.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Lock {
    /// For everybody.
    pub public: LockPublic,
    /// For payer and payee.
    pub private: LockPrivate,
    /// The bank's signature over [`lock_statement`].
    pub signature: Signature,
}
message!(Lock, "lock", 328);

/// What a bank signs: the ids of both halves, so that the log can check the signature without seeing the private one.
#[must_use]
pub fn lock_statement(lock_tag: LockTag, private_id: &[u8; 32]) -> Vec<u8> {
    [lock_tag.as_bytes(), private_id].concat()
}

impl Lock {
    /// Makes the bank's word for both halves.
    #[must_use]
    pub fn new(public: LockPublic, private: LockPrivate, bank: &SigningKey) -> Self {
        let statement = lock_statement(public.lock_tag(), &private.id());
        let signature = bank.sign(Self::TYPE as u16, &statement);
        Self {
            public,
            private,
            signature,
        }
    }

    /// The lock's name in public.
    #[must_use]
    pub fn lock_tag(&self) -> LockTag {
        self.public.lock_tag()
    }

    /// Checks that the bank named in the public half signed both.
    ///
    /// # Errors
    /// [`SignatureError`] when it did not: whoever passed the lock on is at fault.
    pub fn check_signature(&self) -> Result<(), SignatureError> {
        let statement = lock_statement(self.lock_tag(), &self.private.id());
        let key = self.public.bank.key();
        key.verify(Self::TYPE as u16, &statement, &self.signature)
    }
}

/// The bank's answer to a lock request: the lock, and the change.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LockReply {
    /// The lock.
    pub lock: Lock,
    /// Blind signatures for the change, in the order asked.
    pub change: Vec<BlindSignature>,
}
message!(LockReply, "lock-reply", 332 + 48 * OUTPUTS_MAX);

/// The preimage brought to the bank itself before the expiry, when the log is out of reach.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Capture {
    /// The lock.
    pub lock_tag: LockTag,
    /// u, the preimage of its hash.
    pub preimage: [u8; 32],
}
message!(Capture, "capture", 64);

impl std::fmt::Debug for Capture {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Capture(..)")
    }
}

/// The payee gives the money back at once; signed by the payee's account.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Release {
    /// The lock.
    pub lock_tag: LockTag,
    /// Shows that the signer is who would have been paid.
    pub payee: PayeeOpening,
}
message!(Release, "release", 128);

/// The payee asks for the money of one captured lock.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Claim {
    /// The lock.
    pub lock_tag: LockTag,
    /// Opens the commitment; the account in it is credited.
    pub payee: PayeeOpening,
    /// Proofs that leaves stood in logs in time, when the bank may not have read them so; at most
    /// [`LEAF_PROOFS_MAX`](crate::limits::LEAF_PROOFS_MAX).
    pub proofs: Vec<LeafProof>,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Claim(..)")
    }
}

/// What shows to whoever has not read the log that a leaf about a lock stood in it.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LeafProof {
    /// What the leaf does: prepare or commit.
    pub deed: Deed,
    /// The preimage in the leaf.
    pub preimage: [u8; 32],
    /// The tlog-proof of the leaf, as text; its checkpoint must be early.
    pub receipt: Vec<u8>,
}

impl std::fmt::Debug for LeafProof {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LeafProof(..)")
    }
}

/// Claims of one payee, answered one by one.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ClaimRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// At most [`CLAIMS_MAX`].
    pub claims: Vec<Claim>,
}
message!(ClaimRequest, "claim-request", 1_048_576 + RECEIPT_BYTES_MAX);

/// What became of one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum ClaimOutcome {
    /// The account has been credited, now or by an earlier claim.
    Credited = 1,
    /// The lock is not decided yet, as far as the bank knows. Ask again, with a receipt.
    Undecided = 2,
    /// The lock was released; the money is back with the payer.
    Released = 3,
    /// The bank knows no such lock.
    Unknown = 4,
    /// The opening does not match the lock's payee commitment.
    WrongPayee = 5,
    /// The receipt does not prove an early commit of this lock.
    BadReceipt = 6,
    /// The account is frozen.
    Frozen = 7,
}

/// Answers to a [`ClaimRequest`], in its order.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ClaimReply {
    /// One for each claim.
    pub outcomes: Vec<ClaimOutcome>,
}
message!(ClaimReply, "claim-reply", 4 + CLAIMS_MAX);

/// Asks what became of a lock. Anybody who knows the tag may ask.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LockStatusRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// At most [`LOCK_STATUS_MAX`].
    pub lock_tags: Vec<LockTag>,
}
message!(
    LockStatusRequest,
    "lock-status-request",
    36 + 32 * LOCK_STATUS_MAX
);

/// Where a lock's value is.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum LockState {
    /// The bank knows no such lock.
    #[tls_codec(discriminant = 1)]
    Unknown,
    /// Held, undecided.
    #[tls_codec(discriminant = 2)]
    Held,
    /// Decided for the payee; here is the preimage that decided it.
    #[tls_codec(discriminant = 3)]
    Captured {
        /// u.
        preimage: [u8; 32],
    },
    /// Given back to the payer.
    #[tls_codec(discriminant = 4)]
    Released,
    /// Held, and prepared: the payer cannot cancel any more, the payee has until the end of the reveal window.
    #[tls_codec(discriminant = 5)]
    Prepared,
}

impl std::fmt::Debug for LockState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Unknown => "Unknown",
            Self::Held => "Held",
            Self::Captured { .. } => "Captured(..)",
            Self::Released => "Released",
            Self::Prepared => "Prepared",
        })
    }
}

/// The bank's answer, in the order asked; the bank signs it.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LockStatus {
    /// The bank that answers.
    pub bank: BankId,
    /// Each lock's tag and where its value is.
    pub locks: Vec<TaggedLockState>,
}
message!(LockStatus, "lock-status", 36 + 65 * LOCK_STATUS_MAX);

/// A lock's tag and where its value is.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct TaggedLockState {
    /// The lock.
    pub lock_tag: LockTag,
    /// Where its value is.
    pub state: LockState,
}

/// Whether `preimage` opens `hash_lock`.
#[must_use]
pub fn opens(preimage: &[u8; 32], hash_lock: &HashLock) -> bool {
    hash::sha256(&[preimage]) == hash_lock.0
}

opaque_debug!(Payer, LockRequest, LockPrivate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_lock_has_three_hashes_and_a_window_within_the_limits() {
        let check = |prepare: u8, cancel: u8, window: u32| {
            let mode = LockMode::Safe {
                prepare_hash: HashLock([prepare; 32]),
                cancel_hash: HashLock([cancel; 32]),
                reveal_window: Seconds(window),
            };
            mode.check(&HashLock([1; 32]))
        };
        assert_eq!(check(2, 3, REVEAL_WINDOW_MIN.0), Ok(()));
        assert_eq!(check(2, 3, REVEAL_WINDOW_MAX.0), Ok(()));
        for window in [REVEAL_WINDOW_MIN.0 - 1, REVEAL_WINDOW_MAX.0 + 1] {
            assert_eq!(check(2, 3, window), Err(LockModeError::RevealWindow));
        }
        for (prepare, cancel) in [(1, 3), (2, 1), (2, 2)] {
            let equal = Err(LockModeError::EqualHashes);
            assert_eq!(check(prepare, cancel, 60), equal);
        }
    }
}
