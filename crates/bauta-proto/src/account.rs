//! Accounts at a bank: withdrawing coins, statements, and being paid without being named beforehand.

use bauta_crypto::hash;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    codec::{Message, message, opaque_debug},
    coin::Output,
    ids::{AccountId, BankId, PayeeCommitment, RequestId},
    limits::STATEMENT_ENTRIES_MAX,
    money::{Amount, Currency},
    time::Timestamp,
};

/// Account money for blind coins; signed by the account's key. The bank sees the account and the sum, never the coins.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct WithdrawRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// The account that pays.
    pub account: AccountId,
    /// Coins wanted, all of one currency, in ascending order of their blinded messages.
    pub outputs: Vec<Output>,
}
message!(WithdrawRequest, "withdraw-request", 12_288);

impl WithdrawRequest {
    /// The request's name: repeats of it are answered with the same bytes.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId(self.id())
    }
}

/// Asks for an account's statement; signed by the account's key.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct StatementRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// The account.
    pub account: AccountId,
    /// The currency; an account has a balance in each.
    pub currency: Currency,
    /// Entries after this number; 0 for all. At most [`STATEMENT_ENTRIES_MAX`] come in one answer.
    pub after: u64,
    /// When the question was signed; an old one is refused, so that a recorded one is of no use.
    pub asked_at: Timestamp,
}
message!(StatementRequest, "statement-request", 83);

/// Why an account's balance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum EntryKind {
    /// The operator credited money that came in.
    Credit = 1,
    /// Money left as coins.
    Withdrawal = 2,
    /// Money was locked for a purchase by name.
    Locked = 3,
    /// A lock was decided against the payee and the money came back.
    Released = 4,
    /// A lock was claimed in the account's favour.
    Claim = 5,
    /// The operator paid money out.
    Payout = 6,
}

impl EntryKind {
    /// The kind in one word, for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Withdrawal => "withdrawal",
            Self::Locked => "locked",
            Self::Released => "released",
            Self::Claim => "claim",
            Self::Payout => "payout",
        }
    }

    /// Whether the entry adds to the balance.
    #[must_use]
    pub const fn adds(self) -> bool {
        matches!(self, Self::Credit | Self::Released | Self::Claim)
    }
}

/// One line of a statement.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Entry {
    /// Counts from 1 within the account and currency.
    pub number: u64,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// Why.
    pub kind: EntryKind,
    /// How much; [`EntryKind::adds`] says in which direction.
    pub amount: Amount,
    /// The balance afterwards.
    pub balance: Amount,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Standing {
    /// As usual.
    Open = 1,
    /// The operator has frozen it: nothing goes in or out.
    Frozen = 2,
}

/// An account's balance and recent entries.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Statement {
    /// The currency.
    pub currency: Currency,
    /// What the account holds now.
    pub balance: Amount,
    /// Whether money may leave it.
    pub standing: Standing,
    /// In ascending order of their numbers.
    pub entries: Vec<Entry>,
}
message!(Statement, "statement", 16 + 33 * STATEMENT_ENTRIES_MAX);

/// What a payee commitment hides: the account, under a salt that is fresh for each sale.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct PayeeOpening {
    /// The bank that keeps the account.
    pub bank: BankId,
    /// The account that is paid.
    pub account: AccountId,
    /// 32 bytes that nobody can guess, so that two sales of one merchant cannot be linked before they are claimed.
    pub salt: [u8; 32],
}
message!(PayeeOpening, "payee-opening", 96);

impl PayeeOpening {
    /// The commitment that stands in offer and lock.
    #[must_use]
    pub fn commitment(&self) -> PayeeCommitment {
        PayeeCommitment(hash::id(Self::TYPE as u16, &self.to_bytes()))
    }
}

opaque_debug!(Entry, Statement, PayeeOpening);
