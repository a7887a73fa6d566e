//! Coins: keysets that sign them, the requests that spend and issue them.
//!
//! A coin is an Ed25519 key that the customer made and the bank signed blindly, together with its keyset and
//! denomination (rows C1 and C10; the token `Q*` of document 003, section 1). It is a small account: what is left on
//! it and a sequence number stand at the bank from its first use on.

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage, CoinSignature, IssuerPublicKey},
    sign::{Signature, SigningKey, VerifyingKey},
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    codec::{Message, Signed, message, opaque_debug},
    ids::{BankId, KeysetId, RequestId},
    limits::{
        INPUTS_MAX, KEYSET_KEYS_MAX, KEYSETS_MAX, OUTPUTS_MAX, RESTORE_OUTPUTS_MAX, SEQUENCE_MAX,
    },
    money::{Amount, Currency, MoneyError},
    time::Timestamp,
};

/// A set of keys with which a bank signs coins of one currency: an immutable record, signed by the bank.
///
/// `issue_from <= issue_until <= spend_until <= settle_until`.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Keyset {
    /// The bank that signs with it.
    pub bank: BankId,
    /// The currency of its coins.
    pub currency: Currency,
    /// Coins are issued from this moment on; before it the keyset is announced.
    pub issue_from: Timestamp,
    /// Coins are issued before this moment.
    pub issue_until: Timestamp,
    /// Coins pay before this moment; afterwards they can only be exchanged.
    pub spend_until: Timestamp,
    /// Coins can be exchanged and locks on them settled before this moment; then they are worth nothing.
    pub settle_until: Timestamp,
    /// `keys[i]` signs coins worth `2^i` minor units.
    pub keys: Vec<IssuerPublicKey>,
}
message!(Keyset, "keyset", 8_192);

impl Keyset {
    /// The name of this keyset: the id of the record, so that nothing in it can be changed afterwards.
    #[must_use]
    pub fn keyset_id(&self) -> KeysetId {
        KeysetId(self.id())
    }

    /// Whether times and keys make sense together.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        let times = [
            self.issue_from,
            self.issue_until,
            self.spend_until,
            self.settle_until,
        ];
        times.is_sorted() && !self.keys.is_empty() && self.keys.len() <= KEYSET_KEYS_MAX
    }

    /// The key for coins worth `2^exponent`.
    #[must_use]
    pub fn key(&self, exponent: u8) -> Option<&IssuerPublicKey> {
        self.keys.get(usize::from(exponent))
    }

    /// Whether coins of this set are issued at `now`.
    #[must_use]
    pub fn issues_at(&self, now: Timestamp) -> bool {
        (self.issue_from..self.issue_until).contains(&now)
    }
}

/// One keyset as a bank hands it out: signed, with the proof that it is in the log.
///
/// A wallet takes only keys that everybody can see in the log, so that a bank cannot give somebody keys of his own.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct PublishedKeyset {
    /// The record under the bank's signature.
    pub keyset: Signed<Keyset>,
    /// The tlog-proof of its [`Record`](crate::submission::Record) leaf, as text.
    pub receipt: Vec<u8>,
}

/// Everything a bank publishes about its keys: current keysets, announced ones and those that still settle.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct KeysetList {
    /// At most [`KEYSETS_MAX`].
    pub keysets: Vec<PublishedKeyset>,
}
message!(KeysetList, "keyset-list", KEYSETS_MAX * 40_960);

/// What a bank's blind signature is on.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct CoinName {
    /// The keyset that signs.
    pub keyset: KeysetId,
    /// The coin is worth `2^exponent`.
    pub exponent: u8,
    /// The coin's key.
    pub key: VerifyingKey,
}
message!(CoinName, "coin-name", 65);

/// A blinded coin that a bank is asked to sign.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Output {
    /// The keyset to sign with.
    pub keyset: KeysetId,
    /// The coin will be worth `2^exponent`.
    pub exponent: u8,
    /// The blinded [`CoinName`].
    pub blinded: BlindedMessage,
}

/// A coin and what is taken from it.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Input {
    /// The keyset that signed the coin.
    pub keyset: KeysetId,
    /// The coin was issued worth `2^exponent`.
    pub exponent: u8,
    /// The coin's key.
    pub key: VerifyingKey,
    /// The bank's signature on the coin.
    pub signature: CoinSignature,
    /// How often the coin has been spent before.
    pub sequence: u32,
    /// What is taken; the rest stays on the coin.
    pub amount: Amount,
}

impl Input {
    /// What the bank's signature must be on.
    #[must_use]
    pub fn name(&self) -> CoinName {
        CoinName {
            keyset: self.keyset,
            exponent: self.exponent,
            key: self.key,
        }
    }

    /// The statement that the coin's key signs to take part in `request`.
    #[must_use]
    pub fn spend(&self, request: RequestId) -> Spend {
        Spend {
            request,
            key: self.key,
            sequence: self.sequence,
            amount: self.amount,
        }
    }
}

/// A coin's consent to one request. All coins of a request sign the same request id, and thereby its whole body;
/// the statement is small enough to be kept and shown as proof when the coin is spent twice.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Spend {
    /// The request that the coin pays for.
    pub request: RequestId,
    /// The coin's key.
    pub key: VerifyingKey,
    /// How often the coin had been spent before.
    pub sequence: u32,
    /// What is taken from it.
    pub amount: Amount,
}
message!(Spend, "spend", 76);

/// Why a list of inputs or outputs cannot be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoinsError {
    /// No coin is spent.
    #[error("no coin is spent")]
    NoInput,
    /// More coins than a request takes.
    #[error("{0} coins are spent, {INPUTS_MAX} at most in one request")]
    TooManyInputs(usize),
    /// More outputs than a request takes.
    #[error("{0} coins are asked for, {OUTPUTS_MAX} at most in one request")]
    TooManyOutputs(usize),
    /// Nothing is taken from a coin, or more than it can ever hold.
    #[error("the amount taken from a coin is zero or above its value")]
    AmountTaken,
    /// The inputs are not in strictly ascending order of their keys.
    #[error("coins are not in order, or one is named twice")]
    Order,
    /// The outputs are not in strictly ascending order.
    #[error("outputs are not in order, or one is named twice")]
    OutputOrder,
    /// The coin has been spent as often as a coin can be.
    #[error("the coin has reached its last sequence number")]
    SequenceLimit,
    /// The denomination is none.
    #[error("there is no denomination with this exponent")]
    Exponent,
    /// Not one signature for each coin.
    #[error("{inputs} coins but {signatures} signatures")]
    Signatures {
        /// Coins named.
        inputs: usize,
        /// Signatures given.
        signatures: usize,
    },
    /// The sums cannot be formed.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

/// Checks the form of a list of inputs and returns what they give together.
///
/// # Errors
/// [`CoinsError`]; whoever composed the request is at fault.
pub fn check_inputs(inputs: &[Input], signatures: usize) -> Result<Amount, CoinsError> {
    if inputs.is_empty() {
        return Err(CoinsError::NoInput);
    }
    if inputs.len() > INPUTS_MAX {
        return Err(CoinsError::TooManyInputs(inputs.len()));
    }
    if inputs.len() != signatures {
        return Err(CoinsError::Signatures {
            inputs: inputs.len(),
            signatures,
        });
    }
    if !inputs.is_sorted_by(|a, b| a.key < b.key) {
        return Err(CoinsError::Order);
    }
    for input in inputs {
        let value = Amount::power_of_two(input.exponent).ok_or(CoinsError::Exponent)?;
        if input.amount.is_zero() || input.amount > value {
            return Err(CoinsError::AmountTaken);
        }
        if input.sequence >= SEQUENCE_MAX {
            return Err(CoinsError::SequenceLimit);
        }
    }
    Ok(Amount::sum(inputs.iter().map(|input| input.amount))?)
}

/// Checks the form of a list of outputs and returns what they are worth together; an empty list is worth nothing.
///
/// # Errors
/// [`CoinsError`]; whoever composed the request is at fault.
pub fn check_outputs(outputs: &[Output]) -> Result<Amount, CoinsError> {
    if outputs.len() > OUTPUTS_MAX {
        return Err(CoinsError::TooManyOutputs(outputs.len()));
    }
    if !outputs.is_sorted_by(|a, b| a.blinded < b.blinded) {
        return Err(CoinsError::OutputOrder);
    }
    let values = outputs
        .iter()
        .map(|output| Amount::power_of_two(output.exponent));
    let values = values
        .collect::<Option<Vec<_>>>()
        .ok_or(CoinsError::Exponent)?;
    Ok(Amount::sum(values)?)
}

/// Old coins for new ones of the same total value: refreshing before they expire, or changing denominations.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ExchangeRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// Coins taken, in ascending order of their keys.
    pub inputs: Vec<Input>,
    /// Coins wanted, in ascending order of their blinded messages; worth exactly as much.
    pub outputs: Vec<Output>,
}
message!(ExchangeRequest, "exchange-request", 24_576);

/// A request and the consent of every coin that it spends, in the order of its inputs.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Authorized<M: tls_codec::Serialize + tls_codec::Deserialize + tls_codec::Size> {
    /// What is asked.
    pub body: M,
    /// Signatures over each input's [`Spend`] (or one of an account over the body).
    pub signatures: Vec<Signature>,
}

impl<M: Message> Authorized<M> {
    /// The request's name: repeats of it are answered with the same bytes.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        RequestId(self.body.id())
    }
}

impl<M: Message> Message for Authorized<M> {
    const TYPE: crate::codec::MessageType = M::TYPE;
    const BYTES_MAX: usize = M::BYTES_MAX + 4 + 64 * INPUTS_MAX;
    const MEDIA_TYPE: &'static str = M::MEDIA_TYPE;
}

/// Signs `body` with the key of each of its inputs; `keys` are in the inputs' order.
#[must_use]
pub fn authorize<M: Message>(body: M, inputs: &[Input], keys: &[&SigningKey]) -> Authorized<M> {
    let request = RequestId(body.id());
    let signatures = inputs
        .iter()
        .zip(keys)
        .map(|(input, key)| input.spend(request).sign(key))
        .collect();
    Authorized { body, signatures }
}

/// Blind signatures, in the order of the outputs that were asked for.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Issued {
    /// One for each output.
    pub signatures: Vec<BlindSignature>,
}
message!(Issued, "issued", 4 + 48 * OUTPUTS_MAX);

/// Asks which of these outputs the bank has signed: how a wallet finds its coins again from its seed.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RestoreRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// Blinded messages, at most [`RESTORE_OUTPUTS_MAX`].
    pub blinded: Vec<BlindedMessage>,
}
message!(
    RestoreRequest,
    "restore-request",
    36 + 48 * RESTORE_OUTPUTS_MAX
);

/// What the bank remembers of one output.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RestoredOutput {
    /// The output as it was signed.
    pub output: Output,
    /// The signature that was given.
    pub signature: BlindSignature,
}

/// The outputs of a [`RestoreRequest`] that were signed; the others are left out.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Restored {
    /// In the order asked.
    pub outputs: Vec<RestoredOutput>,
}
message!(Restored, "restored", 4 + 129 * RESTORE_OUTPUTS_MAX);

/// Asks what is left on one coin. One coin a request: two in one would tell the bank that they belong together.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct CoinStateRequest {
    /// The bank that is meant.
    pub bank: BankId,
    /// The coin.
    pub coin: CoinName,
}
message!(CoinStateRequest, "coin-state-request", 97);

/// What the bank knows of a coin. A coin never spent is unknown to the bank: sequence 0, nothing taken.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct CoinState {
    /// How often it has been spent: the sequence number of the next spend.
    pub sequence: u32,
    /// What can be spent of it now.
    pub remaining: Amount,
    /// What is in locks that are not decided yet and may come back.
    pub locked: Amount,
}
message!(CoinState, "coin-state", 20);

opaque_debug!(PublishedKeyset, Input, Spend, CoinState);
