//! Purchases: one record each, written before every step that sends something, so that the wallet may be stopped anywhere.
//!
//! [`Ordering`] → [`Offered`] → Downloaded → [`Locking`] → [`Accepting`] → [`Delivered`] → [`Receipted`]; or `Refused`
//! (nothing was paid) or `Returned` (the money is back). Each stage is named after what it waits for and holds all that
//! came before it, which is also the evidence.

mod buy;
mod cancel;
mod clock;
mod download;
mod drive;
mod lock;
mod report;
mod resume;
mod save;
mod settle;

use std::{fmt, str::FromStr};

use bauta_proto::{
    accept::AcceptRequest,
    codec::Signed,
    coin::Authorized,
    customer::OpenedOffer,
    ids::{BankId, ParseIdError},
    lock::{Lock, LockRequest, LockStatus},
    money::Money,
    offer::{OrderReply, OrderRequest},
    submission::Promise,
    time::Timestamp,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    seed::CoinSlot,
    store::{Kind, Record},
};

pub use self::{
    buy::BuyOptions,
    cancel::{CancelOutcome, Cancelling},
    report::{PurchaseReport, PurchaseState},
    resume::{ResumeReport, Trouble},
    save::SaveOptions,
};

/// A purchase in this wallet; says nothing to anybody else.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct PurchaseId(pub [u8; 8]);

impl fmt::Display for PurchaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PurchaseId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PurchaseId(..)")
    }
}

impl FromStr for PurchaseId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes());
        let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or(ParseIdError { hex_digits: 16 })
    }
}

impl serde::Serialize for PurchaseId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One purchase.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Purchase {
    /// Its id.
    pub id: PurchaseId,
    /// When it was begun.
    pub created_at: Timestamp,
    /// Where the shop is reached.
    pub shop_url: String,
    /// The bank that pays.
    pub bank: BankId,
    /// What the catalogue called the good.
    pub title: String,
    /// What the catalogue asked for it.
    pub listed: Money,
    /// Who pays.
    pub payer: PayerKind,
    /// For how long to lock, in seconds, when the owner said so; otherwise as short as the offer allows.
    pub lock_span: Option<u32>,
    /// How often it went back to an earlier stage, because an offer or a lock request became too old.
    pub attempts: u8,
    /// What went wrong last, in words; empty if nothing did.
    pub trouble: String,
    /// What the goods turned out to be.
    pub defect: Option<Defect>,
    /// Whether its owner wants it back (mode SAFE, with money asked for).
    pub cancel: Option<Cancelling>,
    /// How far it is.
    pub stage: Stage,
}

/// Who pays for a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum PayerKind {
    /// Anonymous coins.
    Coins = 1,
    /// The owner's account, by name.
    Account = 2,
}

/// Why goods are not what was sold. Each is provable to a judge; the merchant is at fault.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    thiserror::Error,
    TlsSize,
    TlsSerialize,
    TlsDeserialize,
    serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Defect {
    /// T0.
    #[error("the key does not match the file's commitment; the merchant is at fault")]
    WrongKey = 1,
    /// T1.
    #[error("a part of the file does not decrypt; the merchant is at fault")]
    Record = 2,
    /// T2.
    #[error("the file decrypts to something else than was offered; the merchant is at fault")]
    Content = 3,
    /// T3.
    #[error("the file has another length or structure than was offered; the merchant is at fault")]
    Length = 4,
}

/// How far a purchase is.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Stage {
    /// Waits for the offer.
    #[tls_codec(discriminant = 1)]
    Ordering(Box<Ordering>),
    /// Waits for the ciphertext.
    #[tls_codec(discriminant = 2)]
    Offered(Box<Offered>),
    /// The ciphertext is here and intact; the money has to be locked.
    #[tls_codec(discriminant = 3)]
    Downloaded(Box<Offered>),
    /// Waits for the bank's lock.
    #[tls_codec(discriminant = 4)]
    Locking(Box<Locking>),
    /// Waits for the preimage, from the merchant, the bank or the log.
    #[tls_codec(discriminant = 5)]
    Accepting(Box<Accepting>),
    /// The goods can be opened; waits for the receipt.
    #[tls_codec(discriminant = 6)]
    Delivered(Box<Delivered>),
    /// Ended: goods and, unless the bank took the preimage itself, a receipt.
    #[tls_codec(discriminant = 7)]
    Receipted(Box<Receipted>),
    /// Ended: not delivered, and the money is back.
    #[tls_codec(discriminant = 8)]
    Returned(Box<Returned>),
    /// Ended before anything was locked.
    #[tls_codec(discriminant = 9)]
    Refused,
}

/// Waits for the offer.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Ordering {
    /// What is sent.
    pub order: OrderRequest,
}

/// Holds an offer that was checked.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Offered {
    /// What was ordered.
    pub order: OrderRequest,
    /// The merchant's answer.
    pub reply: OrderReply,
}

impl Offered {
    pub(crate) fn opened(&self) -> OpenedOffer {
        OpenedOffer::from_own_record(self.reply.clone())
    }
}

/// Waits for the lock.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Locking {
    /// The offer.
    pub offered: Offered,
    /// What is sent, exactly.
    pub request: Authorized<LockRequest>,
    /// Where the secrets of the change come from, in the order of the outputs.
    pub change: Vec<CoinSlot>,
    /// Where the logs stood before: all leaves of the lock come behind.
    pub logs: Vec<LogMark>,
}

/// Where a log stood at a moment.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LogMark {
    /// The log's name, as in its promises.
    pub log: [u8; 32],
    /// How many leaves it had.
    pub size: u64,
    /// The edge of its tree.
    pub edge: Vec<[u8; 32]>,
}

/// Waits for the preimage.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Accepting {
    /// The offer and the request.
    pub locking: Locking,
    /// The bank's word.
    pub lock: Lock,
    /// What is sent, exactly.
    pub accept: AcceptRequest,
}

/// Can open the goods.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Delivered {
    /// Offer, request, lock and acceptance.
    pub accepting: Accepting,
    /// u.
    pub preimage: [u8; 32],
    /// The logs' promises, when the merchant passed them on.
    pub promises: Vec<Signed<Promise>>,
    /// The bank's word about the lock, when it was asked: captured, if the preimage came from there; released, although a log
    /// holds the preimage, is a proof against the bank or money in the purse.
    pub word: Option<Signed<LockStatus>>,
}

/// The money is back.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Returned {
    /// Offer, request, lock and acceptance.
    pub accepting: Accepting,
    /// The bank's word that it released the lock.
    pub word: Signed<LockStatus>,
}

/// Has all that a purchase can have.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Receipted {
    /// The rest.
    pub delivered: Delivered,
    /// The tlog-proofs of enough logs as text, verified; none when the bank took the preimage and the logs never saw it.
    pub receipts: Vec<Vec<u8>>,
}

impl Record for Purchase {
    const KIND: Kind = Kind::Purchase;

    fn name(&self) -> Vec<u8> {
        self.id.0.to_vec()
    }
}

impl Purchase {
    /// Whether something can still happen.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        matches!(
            self.stage,
            Stage::Receipted(_) | Stage::Returned(_) | Stage::Refused
        )
    }
}

impl Stage {
    /// The offer, from when there is one.
    #[must_use]
    pub fn offered(&self) -> Option<&Offered> {
        match self {
            Self::Offered(offered) | Self::Downloaded(offered) => Some(offered),
            Self::Locking(locking) => Some(&locking.offered),
            _ => self.accepting().map(|accepting| &accepting.locking.offered),
        }
    }

    /// The lock, from when there is one.
    #[must_use]
    pub fn accepting(&self) -> Option<&Accepting> {
        match self {
            Self::Accepting(accepting) => Some(accepting),
            Self::Returned(returned) => Some(&returned.accepting),
            _ => self.delivered().map(|delivered| &delivered.accepting),
        }
    }

    /// The preimage, from when there is one.
    #[must_use]
    pub fn delivered(&self) -> Option<&Delivered> {
        match self {
            Self::Delivered(delivered) => Some(delivered),
            Self::Receipted(receipted) => Some(&receipted.delivered),
            _ => None,
        }
    }
}
