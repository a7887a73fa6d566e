//! What the wallet remembers of banks, coins and unanswered requests.

use bauta_crypto::blind::CoinSignature;
use bauta_proto::{
    account::WithdrawRequest,
    codec::Signed,
    coin::{Authorized, ExchangeRequest, Keyset, PublishedKeyset},
    ids::{BankId, KeysetId, RequestId},
    log::policy::Policy,
    money::{Amount, Money},
    time::Timestamp,
};
use tls_codec::{Serialize, TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    error::Result,
    purchase::PurchaseId,
    seed::CoinSlot,
    store::{Kind, Record},
};

/// A bank that the owner trusts with money.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Bank {
    /// Its key.
    pub bank: BankId,
    /// Where it is reached.
    pub url: String,
    /// The text of its log policy, as it was when the bank was added.
    pub policy: String,
    /// The branch of the seed that this wallet uses for coins of this bank.
    pub branch: Branch,
    /// When it was added.
    pub added_at: Timestamp,
}

/// Which device's branch of the seed coins come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Branch {
    /// Not known yet: a restored wallet first has to look which branches are in use.
    #[tls_codec(discriminant = 1)]
    Unscanned,
    /// This one.
    #[tls_codec(discriminant = 2)]
    Device(u32),
}

impl Record for Bank {
    const KIND: Kind = Kind::Bank;

    fn name(&self) -> Vec<u8> {
        self.bank.0.to_vec()
    }
}

impl Bank {
    /// The policy that its text says.
    ///
    /// # Errors
    /// [`crate::WalletError::Policy`] when the record is damaged: the text was checked before it was kept.
    pub fn parsed_policy(&self) -> Result<Policy> {
        Ok(self.policy.parse()?)
    }
}

/// A keyset whose signature and receipt were checked.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct KnownKeyset {
    /// As the bank published it.
    pub published: PublishedKeyset,
}

impl Record for KnownKeyset {
    const KIND: Kind = Kind::Keyset;

    fn name(&self) -> Vec<u8> {
        let keyset = self.keyset();
        [keyset.bank.0, keyset.keyset_id().0].concat()
    }
}

impl KnownKeyset {
    /// The keyset.
    #[must_use]
    pub const fn keyset(&self) -> &Keyset {
        &self.published.keyset.body
    }
}

/// The next unused coin of a keyset and denomination on this wallet's branch; written before a coin is used.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub(crate) struct Counter {
    pub(crate) keyset: KeysetId,
    pub(crate) exponent: u8,
    pub(crate) device: u32,
    pub(crate) next: u32,
}

impl Counter {
    pub(crate) fn name_of(keyset: KeysetId, exponent: u8, device: u32) -> Vec<u8> {
        [keyset.0.as_slice(), &[exponent], &device.to_be_bytes()].concat()
    }
}

impl Record for Counter {
    const KIND: Kind = Kind::Counter;

    fn name(&self) -> Vec<u8> {
        Self::name_of(self.keyset, self.exponent, self.device)
    }
}

/// A coin whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Coin {
    /// The bank that issued it.
    pub bank: BankId,
    /// Where its secrets come from.
    pub slot: CoinSlot,
    /// The bank's signature.
    pub signature: CoinSignature,
    /// How often it has been spent.
    pub sequence: u32,
    /// What is on it.
    pub remaining: Amount,
    /// Whether it can be spent.
    pub state: CoinUse,
}

/// What a coin is being used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum CoinUse {
    /// Nothing: it can be spent.
    #[tls_codec(discriminant = 1)]
    Available,
    /// It is in a request for an exchange that has no answer yet.
    #[tls_codec(discriminant = 2)]
    Exchanging(RequestId),
    /// It is in the lock of a purchase, or in the request for one.
    #[tls_codec(discriminant = 3)]
    Paying(PurchaseId),
    /// The bank has to be asked what is left on it.
    #[tls_codec(discriminant = 4)]
    Unsure,
}

impl Record for Coin {
    const KIND: Kind = Kind::Coin;

    fn name(&self) -> Vec<u8> {
        let slot = self.slot.tls_serialize_detached();
        [self.bank.0.to_vec(), slot.expect("of fixed size")].concat()
    }
}

/// A request for coins, exactly as it was or will be sent, until its answer is in.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Intent {
    /// The request's name.
    pub request: RequestId,
    /// The bank that is asked.
    pub bank: BankId,
    /// What the new coins will be worth.
    pub value: Money,
    /// What is asked.
    pub action: Action,
    /// Where the new coins' secrets come from, in the order of the outputs.
    pub outputs: Vec<CoinSlot>,
    /// When it was written.
    pub created_at: Timestamp,
}

/// The two ways to new coins, besides change.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Action {
    /// From the account.
    #[tls_codec(discriminant = 1)]
    Withdraw(Box<Signed<WithdrawRequest>>),
    /// From older coins.
    #[tls_codec(discriminant = 2)]
    Exchange(Box<Authorized<ExchangeRequest>>),
}

impl Record for Intent {
    const KIND: Kind = Kind::Intent;

    fn name(&self) -> Vec<u8> {
        self.request.0.to_vec()
    }
}
