//! Everything that can go wrong, who is at fault and what to do next.

use bauta_proto::{
    customer::{LockError, OfferError},
    ids::{BankId, ParseIdError},
    log::{
        policy::{PolicyTextError, PolicyUseError},
        reader::ReadError,
    },
    money::{Money, MoneyError},
    problem::Fault,
    time::Seconds,
    transport::{CallError, TransportError},
};

use crate::{key::KeyError, purchase::Defect, seed::WordsError, store::StoreError};

/// What a wallet's operations return.
pub type Result<T> = std::result::Result<T, WalletError>;

/// Why an operation did not happen or did not end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// The wallet's records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The wallet's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The words of a seed.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The bank refused or did not answer.
    #[error("the bank: {0}")]
    Bank(#[source] CallError),
    /// The shop refused or did not answer.
    #[error("the shop: {0}")]
    Shop(#[source] CallError),
    /// The log did not answer or is not to be believed.
    #[error("the log: {0}")]
    Log(#[source] ReadError),
    /// The address is not one.
    #[error("the address is not a valid http or https URL")]
    Address,
    /// The bank's log policy is not one.
    #[error("the bank's log policy is not valid")]
    Policy(#[from] PolicyTextError),
    /// The bank's log policy can decide no lock now.
    #[error(transparent)]
    PolicyUse(#[from] PolicyUseError),
    /// The shop does not sell in the mode that was asked for.
    #[error("the shop does not sell in this mode")]
    ModeNotOffered,
    /// The policy names no log that can be reached.
    #[error("the bank's log policy gives no address of its log")]
    NoLogAddress,
    /// Another bank answers at this address than the one that was expected.
    #[error("another bank answers at this address than the one that was expected")]
    UnexpectedBank {
        /// Who answers.
        found: BankId,
    },
    /// Another bank answers at this address than before.
    #[error("ANOTHER BANK ANSWERS AT THIS ADDRESS THAN BEFORE; nothing was sent to it")]
    BankChanged {
        /// Who answers now.
        found: BankId,
    },
    /// The bank goes by another log than before.
    #[error("THE BANK GOES BY ANOTHER LOG THAN BEFORE; nothing was sent to it")]
    PolicyChanged,
    /// A keyset is not the bank's or contradicts itself.
    #[error("the bank publishes a keyset that is not in order")]
    BadKeyset,
    /// No keyset can be used.
    #[error("the bank has no keyset that stands in its log")]
    NoKeyset {
        /// How many were refused because no valid receipt came with them.
        unlogged: usize,
    },
    /// No keyset issues coins in this currency now.
    #[error("the bank issues no coins of this currency at present")]
    NotIssuing,
    /// The wallet does not know this bank.
    #[error("the wallet knows no such bank")]
    UnknownBank,
    /// Several banks could be meant.
    #[error("the wallet knows several banks: say which one")]
    AmbiguousBank,
    /// The shop takes money of none of the wallet's banks, or goes by another log policy.
    #[error("the shop takes the money of none of this wallet's banks under the same log policy")]
    BankNotAccepted,
    /// Too little money.
    #[error("{needed} are needed, {available} are available")]
    Insufficient {
        /// The price.
        needed: Money,
        /// What can be spent at this bank now.
        available: Money,
    },
    /// Amount zero or too large for one request.
    #[error("the amount is zero or needs too many coins at once")]
    Amount,
    /// Arithmetic on money had no answer.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// The bank's blind signatures are wrong. They were not counted as money; the answer can be had again.
    #[error("the bank's signatures on coins do not verify")]
    BadIssue,
    /// The bank's answer has the wrong form.
    #[error("the bank's answer does not belong to the question")]
    BankAnswer,
    /// The catalogue is not understood.
    #[error("the shop's catalogue is not understood")]
    Catalogue,
    /// No such good.
    #[error("the shop has no such good")]
    UnknownGood,
    /// Several goods could be meant.
    #[error("several goods match: use the good's id")]
    AmbiguousGood,
    /// The price is above the limit that was given.
    #[error("the price of {price} is above the limit of {price_max}")]
    PriceAbove {
        /// In the catalogue.
        price: Money,
        /// What was allowed.
        price_max: Money,
    },
    /// The offer is not acceptable.
    #[error("the offer is refused: {0}")]
    Offer(#[from] OfferError),
    /// The shop's ciphertext is not what the offer says, twice.
    #[error("the shop's file is not what its offer says; it was fetched twice")]
    Ciphertext,
    /// The bank's lock is not what was asked for.
    #[error("the bank's lock is refused: {0}")]
    Lock(#[from] LockError),
    /// This machine's clock and the log's are too far apart to lock money.
    #[error("this machine's clock is {apart} {direction} the log's")]
    ClockWrong {
        /// How far.
        apart: Seconds,
        /// `behind` or `ahead of`.
        direction: &'static str,
    },
    /// The expiry that was asked for is outside of what the offer allows.
    #[error("the shop takes locks of {lock_min} to {lock_max}")]
    Expiry {
        /// At least.
        lock_min: Seconds,
        /// At most.
        lock_max: Seconds,
    },
    /// No such purchase, or several.
    #[error("the wallet has no purchase with this id, or several")]
    UnknownPurchase,
    /// The purchase has no goods (yet).
    #[error("the purchase has not been delivered")]
    NotDelivered,
    /// The purchase cannot be cancelled any more.
    #[error("money has been asked for already; the purchase ends in goods or money")]
    TooLate,
    /// The goods are not what was sold.
    #[error("the goods are defective: {0}")]
    Defective(Defect),
    /// The ciphertext on this disk is gone or changed since it was checked.
    #[error("the downloaded file is no longer what was checked")]
    DownloadLost,
    /// There is a file of this name.
    #[error("there is a file of this name already")]
    DestinationExists,
    /// A file cannot be read or written.
    #[error("a file cannot be read or written")]
    File(#[source] std::io::Error),
    /// No space is left.
    #[error("no space is left on the disk")]
    DiskFull,
    /// The purchase ended without goods and without payment.
    #[error("the purchase was refused: {0}")]
    Refused(String),
    /// An id is not one.
    #[error(transparent)]
    Id(#[from] ParseIdError),
}

/// Who has to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AtFault {
    /// The owner of the wallet, or this machine.
    You,
    /// The bank.
    Bank,
    /// The merchant.
    Merchant,
    /// The log.
    Log,
    /// The way between: nobody answered.
    Network,
    /// Nobody: the state of things has moved on.
    Nobody,
}

impl From<std::io::Error> for WalletError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull,
            ErrorKind::AlreadyExists => Self::DestinationExists,
            _ => Self::File(error),
        }
    }
}

impl WalletError {
    /// Who has to act for the same operation to succeed.
    #[must_use]
    pub fn at_fault(&self) -> AtFault {
        match self {
            Self::Bank(error) => fault_of_call(error, AtFault::Bank),
            Self::Shop(error) => fault_of_call(error, AtFault::Merchant),
            Self::Log(ReadError::Call(error)) => fault_of_call(error, AtFault::Log),
            Self::Log(_) => AtFault::Log,
            Self::Policy(_)
            | Self::PolicyUse(_)
            | Self::NoLogAddress
            | Self::UnexpectedBank { .. }
            | Self::BankChanged { .. }
            | Self::PolicyChanged
            | Self::BadKeyset
            | Self::NoKeyset { .. }
            | Self::NotIssuing
            | Self::BadIssue
            | Self::BankAnswer
            | Self::Lock(_) => AtFault::Bank,
            Self::Catalogue | Self::Offer(_) | Self::Ciphertext | Self::Defective(_) => {
                AtFault::Merchant
            }
            Self::Refused(_) => AtFault::Nobody,
            _ => AtFault::You,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Running) => "Wait for the other command to end.",
            Self::Store(StoreError::Full) | Self::DiskFull => {
                "Make room on the disk, then run resume; nothing was lost."
            }
            Self::Store(StoreError::Missing) | Self::Key(KeyError::Missing) => {
                "Make a wallet with init, or name the folder of the existing one."
            }
            Self::Store(StoreError::TooNew) => "Use the program that wrote it, or a newer one.",
            Self::Store(StoreError::TooOld) => {
                "Finish its purchases with the program that wrote it; then make a new wallet from its 24 words."
            }
            Self::Store(_) | Self::Key(KeyError::Damaged) => {
                "Restore from a copy, or from the 24 words in a new folder."
            }
            Self::Key(_) => "Give the passphrase or key file that the wallet was made with.",
            Self::Words(_) => "Compare each word with what was written down.",
            Self::Bank(error) | Self::Shop(error) => remedy_of_call(error),
            Self::Log(error) if error.is_temporary() => {
                "Run resume later; nothing is lost while the log is away."
            }
            Self::Log(_) => "Keep the wallet's folder: it holds the evidence. Tell the bank.",
            Self::BankChanged { .. } | Self::PolicyChanged | Self::UnexpectedBank { .. } => {
                "Ask the bank by another way. Do not go on before that."
            }
            Self::NoKeyset { .. } => "Try again in a few seconds; if it stays, tell the bank.",
            Self::Insufficient { .. } => "Withdraw more, or choose something else.",
            Self::ClockWrong { .. } => {
                "Set this machine's clock. If it is right, the log stands still: try later."
            }
            Self::PriceAbove { .. } => "Allow a higher price, or do not buy. Nothing was paid.",
            Self::ModeNotOffered => "Choose another --mode, or another shop.",
            Self::PolicyUse(_) => "Nothing was paid. Tell the bank.",
            Self::Offer(_) | Self::Ciphertext | Self::Catalogue => {
                "Nothing was paid. Try again later or buy elsewhere."
            }
            Self::BadIssue | Self::BankAnswer | Self::BadKeyset | Self::Lock(_) => {
                "Keep the wallet's folder: it holds the evidence. Run resume later, and tell the bank."
            }
            Self::Defective(_) => {
                "Keep the wallet's folder: offer, receipt and ciphertext in it are the evidence."
            }
            Self::NotDelivered | Self::TooLate => "Run resume: it ends in goods or money.",
            Self::UnknownPurchase => "See them with: bauta wallet list",
            Self::UnknownGood => "See what there is with: bauta wallet shop URL",
            Self::DestinationExists => "Choose another name, or allow overwriting (--force).",
            Self::DownloadLost => "Run resume: the file is fetched again.",
            _ => "Correct what the message says and try again.",
        }
    }

    /// Whether the same operation may succeed later without anybody doing anything else.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Bank(error) | Self::Shop(error) => error.is_temporary(),
            Self::Log(error) => error.is_temporary(),
            Self::NoKeyset { .. } => true,
            Self::Store(StoreError::Running | StoreError::Full) | Self::DiskFull => true,
            _ => false,
        }
    }
}

fn fault_of_call(error: &CallError, role: AtFault) -> AtFault {
    match error {
        CallError::Transport(_) => AtFault::Network,
        CallError::Refused(problem) => match problem.kind.fault() {
            Fault::Caller => AtFault::You,
            Fault::Role | Fault::Elsewhere => role,
            Fault::Nobody => AtFault::Nobody,
        },
        CallError::Answer(_) | CallError::Status(_) => role,
    }
}

fn remedy_of_call(error: &CallError) -> &'static str {
    match error {
        CallError::Refused(problem) => problem.kind.remedy(),
        CallError::Transport(TransportError::Certificate) => {
            "Check the address. Name a private certificate authority with --ca FILE."
        }
        CallError::Transport(_) => "Check address and network, then try again or run resume.",
        CallError::Answer(_) | CallError::Status(_) => "Try later; if it stays, tell the operator.",
    }
}
