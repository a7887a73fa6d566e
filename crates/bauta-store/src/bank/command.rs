//! What the bank's store is told to do, and what comes of it.
//!
//! Every command was checked before: form, keys, times. The store decides only what depends on its rows.

use std::fmt;

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage},
    merkle::Frontier,
    sign::Signature,
};
use bauta_proto::{
    codec::Signed,
    coin::{Keyset, Spend},
    decision::LogView,
    ids::{AccountId, HashLock, LockTag, PayeeCommitment, RequestId},
    lock::ClaimOutcome,
    money::{Amount, Currency, Money},
    time::Timestamp,
};

/// A keyset's short name within one bank's store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeysetNumber(pub i64);

/// Money that the operator books in or out.
#[derive(Clone)]
pub struct Operation {
    /// The payment's name outside, such as a bank transfer's; a repeat of it is booked once.
    pub reference: String,
    /// The account.
    pub account: AccountId,
    /// How much.
    pub money: Money,
    /// When it is booked.
    pub at: Timestamp,
}

/// A keyset to be kept.
#[derive(Clone)]
pub struct NewKeyset {
    /// The record under the bank's signature.
    pub record: Signed<Keyset>,
    /// The number in its currency from which its keys are derived.
    pub generation: u32,
}

/// A coin's checked consent to give `spend.amount`.
#[derive(Clone)]
pub struct CoinSpend {
    /// The keyset that signed the coin.
    pub keyset: KeysetNumber,
    /// The coin was issued worth `2^exponent`.
    pub exponent: u8,
    /// What the coin signed, with its signature: kept as the proof of the spend.
    pub spend: Signed<Spend>,
}

/// An output and the signature that it gets, if the command is done.
#[derive(Clone)]
pub struct SignedOutput {
    /// The keyset that signs.
    pub keyset: KeysetNumber,
    /// The coin will be worth `2^exponent`.
    pub exponent: u8,
    /// The blinded message.
    pub blinded: BlindedMessage,
    /// The bank's blind signature.
    pub signature: BlindSignature,
}

/// Account money for coins.
#[derive(Clone)]
pub struct Withdrawal {
    /// The request's name.
    pub request: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// What the outputs are worth together.
    pub money: Money,
    /// At least one.
    pub outputs: Vec<SignedOutput>,
    /// When it is booked.
    pub at: Timestamp,
}

/// Coins for coins of the same value.
#[derive(Clone)]
pub struct Exchange {
    /// The request's name.
    pub request: RequestId,
    /// The currency of all of them.
    pub currency: Currency,
    /// At least one.
    pub inputs: Vec<CoinSpend>,
    /// At least one; worth as much as is taken from the inputs.
    pub outputs: Vec<SignedOutput>,
}

/// Who pays for a lock.
#[derive(Clone)]
pub enum LockPayer {
    /// Coins; the price is taken from them in this order, the rest is change.
    Coins(Vec<CoinSpend>),
    /// An account.
    Account(AccountId),
}

/// Value to be held under a hash and an expiry.
#[derive(Clone)]
pub struct NewLock {
    /// The request's name.
    pub request: RequestId,
    /// The lock's name; the same request always has the same.
    pub lock_tag: LockTag,
    /// The answer to the request, a [`LockReply`](bauta_proto::lock::LockReply), kept for ever.
    pub reply: Vec<u8>,
    /// What is held.
    pub money: Money,
    /// The hash that it waits for.
    pub hash_lock: HashLock,
    /// Who will be paid.
    pub payee: PayeeCommitment,
    /// E: until when it can be prepared or, in mode FAST, committed.
    pub expiry: Timestamp,
    /// When it ends whatever happens.
    pub settle_until: Timestamp,
    /// Who pays.
    pub payer: LockPayer,
    /// Change; empty for accounts.
    pub change: Vec<SignedOutput>,
    /// When it is booked.
    pub at: Timestamp,
}

/// A step along a log: what was read and what follows from it.
#[derive(Clone)]
pub struct LogAdvance {
    /// The log's origin line.
    pub origin: String,
    /// The size at which the reading began; the step is refused when the store stands elsewhere.
    pub from_size: u64,
    /// The right edge of the tree as far as it was read.
    pub frontier: Frontier,
    /// The checkpoint in whose tree it was read, verbatim.
    pub checkpoint: String,
    /// What it makes of locks.
    pub decisions: Decisions,
}

/// What the logs' words make of locks. Whatever was decided before stands.
#[derive(Clone, Default)]
pub struct Decisions {
    /// Locks decided for the payee, with the preimage.
    pub captures: Vec<(LockTag, [u8; 32])>,
    /// Locks decided for the payer.
    pub releases: Vec<LockTag>,
    /// Undecided locks about which something new is known.
    pub undecided: Vec<SeenLock>,
    /// When returns to accounts are booked.
    pub at: Timestamp,
}

impl Decisions {
    /// Whether there is nothing to be done.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.releases.is_empty() && self.undecided.is_empty()
    }
}

/// What is known of an undecided lock. It is added to what was known: nothing of that is forgotten.
#[derive(Clone)]
pub struct SeenLock {
    /// The lock.
    pub lock_tag: LockTag,
    /// What logs have shown about it, by their origin lines.
    pub views: Vec<(String, LogView)>,
    /// The preimage, if a log has shown it.
    pub preimage: Option<[u8; 32]>,
    /// Whether the payer cannot cancel any more.
    pub is_prepared: bool,
    /// When the logs' silence can mean something; at most the lock's last moment.
    pub due: Timestamp,
}

/// A payee's claim whose opening was checked to be of `payee`.
#[derive(Clone)]
pub struct CheckedClaim {
    /// The lock.
    pub lock_tag: LockTag,
    /// The commitment that the claimant opened.
    pub payee: PayeeCommitment,
    /// The account in it.
    pub account: AccountId,
    /// The preimage, if with the claim's proofs the lock is the payee's.
    pub proven: Option<[u8; 32]>,
    /// What the claim's proofs add to what is known, if the lock stays undecided.
    pub seen: Option<SeenLock>,
    /// When it is booked.
    pub at: Timestamp,
}

/// One thing to be done, wholly or not at all.
#[derive(Clone)]
pub enum BankCommand {
    /// Money came in for an account, which is opened if it is new.
    Credit(Operation),
    /// Money of an account went out.
    Payout(Operation),
    /// Freezes an account, or thaws it.
    SetFrozen(AccountId, bool),
    /// Keeps a new keyset.
    AddKeyset(Box<NewKeyset>),
    /// The log's proof that everybody can see the keyset.
    SetReceipt(KeysetNumber, Vec<u8>),
    /// Ends a keyset that has nothing locked: what was not exchanged in time is the bank's income.
    CloseKeyset(KeysetNumber, Timestamp),
    /// Account money for coins.
    Withdraw(Withdrawal),
    /// Coins for coins.
    Exchange(Exchange),
    /// Holds value.
    Lock(Box<NewLock>),
    /// The preimage came to the bank itself, at this moment.
    Capture {
        /// The lock.
        lock_tag: LockTag,
        /// u.
        preimage: [u8; 32],
        /// The bank's clock, compared with the last moment to commit in the decision itself.
        at: Timestamp,
    },
    /// A step along a log.
    AdvanceLog(Box<LogAdvance>),
    /// What follows from the words of the logs as far as they were read.
    Decide(Box<Decisions>),
    /// The payee gives the money back.
    Release {
        /// The lock.
        lock_tag: LockTag,
        /// The commitment that the payee opened.
        payee: PayeeCommitment,
        /// When a return to an account is booked.
        at: Timestamp,
    },
    /// Ends an undecided lock that has reached its last moment.
    ReleaseOutlived {
        /// The lock.
        lock_tag: LockTag,
        /// The bank's clock, compared with the last moment in the decision itself.
        at: Timestamp,
    },
    /// The payee takes the money.
    Claim(CheckedClaim),
}

/// What was done, now or by an earlier repeat of the same request.
#[derive(Clone, PartialEq, Eq)]
pub enum Done {
    /// It stands in the books.
    Booked,
    /// The keyset is kept under this number.
    Keyset(KeysetNumber),
    /// The outputs were signed; in the order asked.
    Issued(Vec<BlindSignature>),
    /// The value is held; the reply as it was first given.
    Locked(Vec<u8>),
    /// The lock is decided for the payee.
    Captured([u8; 32]),
    /// The value is back with the payer.
    Released,
    /// What became of a claim.
    Claimed(ClaimOutcome),
    /// How many locks the words of the logs decided.
    Decided {
        /// For the payee.
        captured: usize,
        /// For the payer.
        released: usize,
    },
}

/// Why a command was not done. Nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A coin stands at another sequence number, or holds less than is taken.
    #[error("the coin was spent in another request")]
    CoinSpent {
        /// The coin's last spend under its own signature; none if it was never spent.
        proof: Option<Box<(Spend, Signature)>>,
    },
    /// A blinded output was signed in another request.
    #[error("a blinded output was signed in another request")]
    OutputReused,
    /// The keyset has ended.
    #[error("the keyset has ended")]
    KeysetClosed,
    /// What is given is not what is taken: a defect of the check that let it through.
    #[error("what is given and what is taken differ")]
    Unbalanced,
    /// There is no such account.
    #[error("no such account")]
    UnknownAccount,
    /// The account holds less.
    #[error("the account does not hold that much")]
    InsufficientFunds,
    /// The operator has frozen the account.
    #[error("the account is frozen")]
    AccountFrozen,
    /// The bank would hold more of the currency than can be counted.
    #[error("the bank would hold more of this currency than can be counted")]
    TooMuch,
    /// The reference names another operation.
    #[error("the reference stands for another operation already")]
    ReferenceReused,
    /// There is no such keyset.
    #[error("no such keyset")]
    UnknownKeyset,
    /// Another keyset has the generation, or the keyset still has locks or time.
    #[error("the keyset cannot be added or ended now")]
    KeysetConflict,
    /// There is no such lock.
    #[error("no such lock")]
    UnknownLock,
    /// The lock is decided the other way.
    #[error("the lock is decided already")]
    LockDecided,
    /// Only a prepared lock of this mode is captured so.
    #[error("the lock is not prepared")]
    NotPrepared,
    /// The preimage is of another hash.
    #[error("the preimage does not open the lock")]
    WrongPreimage,
    /// It is after the last moment to commit, or before the lock's last moment.
    #[error("the time for this has passed, or has not come")]
    LockTime,
    /// The opening is of another commitment.
    #[error("the opening does not match the lock's payee commitment")]
    WrongPayee,
    /// The log was read from another position.
    #[error("the log has been read from another position")]
    LogMoved,
}

/// Commands hold references, amounts and preimages: none of them is for a log.
macro_rules! opaque_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}
pub(super) use opaque_debug;
opaque_debug!(
    Operation,
    NewKeyset,
    CoinSpend,
    SignedOutput,
    Withdrawal,
    Exchange,
    LockPayer,
    NewLock,
    LogAdvance,
    Decisions,
    SeenLock,
    CheckedClaim,
    BankCommand
);

impl fmt::Debug for Done {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Booked => "Booked",
            Self::Keyset(_) => "Keyset(..)",
            Self::Issued(_) => "Issued(..)",
            Self::Locked(_) => "Locked(..)",
            Self::Captured(_) => "Captured(..)",
            Self::Released => "Released",
            Self::Claimed(outcome) => return write!(formatter, "Claimed({outcome:?})"),
            Self::Decided { .. } => "Decided(..)",
        })
    }
}

/// The outcome of one command.
pub type BankResult = Result<Done, Refusal>;

/// The worth of a denomination; nothing if there is none such.
pub(super) fn value(exponent: u8) -> Amount {
    Amount::power_of_two(exponent).unwrap_or(Amount::ZERO)
}

/// Whether what is given equals what is taken. The check knows it before; the books do not take its word.
pub(super) fn is_balanced(
    given: impl IntoIterator<Item = Amount>,
    taken: impl IntoIterator<Item = Amount>,
) -> bool {
    match (Amount::sum(given), Amount::sum(taken)) {
        (Ok(given), Ok(taken)) => given == taken,
        _ => false,
    }
}

/// What is taken from each coin.
pub(super) fn given(inputs: &[CoinSpend]) -> impl Iterator<Item = Amount> {
    inputs.iter().map(|input| input.spend.body.amount)
}

/// What each output is worth.
pub(super) fn wanted(outputs: &[SignedOutput]) -> impl Iterator<Item = Amount> {
    outputs.iter().map(|output| value(output.exponent))
}
