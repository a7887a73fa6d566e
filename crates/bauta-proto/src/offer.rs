//! Orders and offers (message P1 of document 003, figure 4).

use bauta_crypto::content;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::{
    codec::{Message, Signed, message, opaque_debug},
    ids::{
        BankId, CiphertextRoot, GoodId, HashLock, MerchantId, PayeeCommitment, PlaintextRoot,
        PolicyId, Pseudonym, Txid,
    },
    limits::{NAME_BYTES_MAX, TEXT_BYTES_MAX},
    lock::LockMode,
    money::Money,
    time::{Seconds, Timestamp},
};

/// The context under which goods are encrypted (C2SP chunked-encryption), for [`bauta_crypto::content`].
pub const CONTENT_CONTEXT: &[u8] = b"bauta1-good";

/// The cryptographic suite of a purchase; there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u16)]
pub enum Suite {
    /// Ed25519, SHA-256, BLAKE3, Cobblestone-128, blind BLS12-381.
    One = 1,
}

/// How a purchase is decided: what a customer asks for and a merchant agrees to.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, TlsSize, TlsSerialize, TlsDeserialize,
)]
#[repr(u8)]
pub enum Mode {
    /// Figure 4: one commit decides.
    Fast = 1,
    /// Figure 3: the merchant prepares, then commits; until then the customer can cancel.
    Safe = 2,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Fast, Self::Safe];

    /// What catalogues, settings and commands call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Safe => "safe",
        }
    }
}

/// A mode with what the merchant adds to it in an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum OfferMode {
    /// Figure 4.
    #[tls_codec(discriminant = 1)]
    Fast,
    /// Figure 3.
    #[tls_codec(discriminant = 2)]
    Safe {
        /// hp: the hash whose preimage the merchant publishes to prepare.
        prepare_hash: HashLock,
        /// For how long after the lock's expiry the merchant may commit, once it has prepared.
        reveal_window: Seconds,
    },
}

impl OfferMode {
    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        match self {
            Self::Fast => Mode::Fast,
            Self::Safe { .. } => Mode::Safe,
        }
    }

    /// The mode of a lock under this offer; `cancel_hash` is the customer's, for modes that need one.
    #[must_use]
    pub const fn lock_mode(&self, cancel_hash: HashLock) -> LockMode {
        match *self {
            Self::Fast => LockMode::Fast,
            Self::Safe {
                prepare_hash,
                reveal_window,
            } => LockMode::Safe {
                prepare_hash,
                cancel_hash,
                reveal_window,
            },
        }
    }

    /// Whether a lock of this mode is what the offer asks for, whatever the customer's cancel hash.
    #[must_use]
    pub fn is_met_by(&self, lock: &LockMode) -> bool {
        match *lock {
            LockMode::Fast => *self == Self::Fast,
            LockMode::Safe { cancel_hash, .. } => self.lock_mode(cancel_hash) == *lock,
        }
    }
}

/// What a customer asks of a merchant.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct OrderRequest {
    /// The merchant that is meant.
    pub merchant: MerchantId,
    /// The good.
    pub good: GoodId,
    /// Its version, as the catalogue lists it.
    pub version: u32,
    /// The bank that will hold the money.
    pub bank: BankId,
    /// The logs and witnesses that the customer relies on.
    pub log_policy: PolicyId,
    /// How the purchase is to be decided.
    pub mode: Mode,
    /// The customer's key for this purchase (row C11): fresh, unless the customer wants to be recognised.
    pub pseudonym: Pseudonym,
    /// Makes two orders under one pseudonym two purchases.
    pub nonce: [u8; 32],
}
message!(OrderRequest, "order-request", 181);

/// P1: the merchant's binding offer. `txid = id(Offer)`.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Offer {
    /// The cryptographic suite.
    pub suite: Suite,
    /// How the purchase is decided.
    pub mode: OfferMode,
    /// The merchant.
    pub merchant: MerchantId,
    /// The customer's key, from the order.
    pub pseudonym: Pseudonym,
    /// The order's nonce.
    pub nonce: [u8; 32],
    /// The bank that must hold the money.
    pub bank: BankId,
    /// The logs and witnesses whose word decides.
    pub log_policy: PolicyId,
    /// What it costs.
    pub price: Money,
    /// Id of the [`Terms`], which are salted: whoever sees the offer's hash cannot guess the good from it.
    pub terms: [u8; 32],
    /// BLAKE3 root of the plain text.
    pub pt_root: PlaintextRoot,
    /// Length of the plain text in bytes.
    pub pt_len: u64,
    /// BLAKE3 root of the ciphertext.
    pub ct_root: CiphertextRoot,
    /// Length of the ciphertext in bytes.
    pub ct_len: u64,
    /// hu: the hash whose preimage u pays the merchant and opens the goods.
    pub hash_lock: HashLock,
    /// wk: the content key, wrapped under u; see [`bauta_crypto::wrap`].
    pub wrapped_key: [u8; content::KEY_BYTES],
    /// Who is paid, hidden from the bank until the claim.
    pub payee: PayeeCommitment,
    /// The merchant takes locks under this offer until then.
    pub offer_until: Timestamp,
    /// A lock's expiry must be at least this far ahead when the merchant sees it.
    pub lock_min: Seconds,
    /// A lock's expiry must be at most this far ahead when the merchant sees it.
    pub lock_max: Seconds,
    /// For how long after the expiry the customer can dispute.
    pub dispute_window: Seconds,
}
message!(Offer, "offer", 512);

impl Offer {
    /// The purchase's name.
    #[must_use]
    pub fn txid(&self) -> Txid {
        Txid(self.id())
    }
}

/// What is sold, in words, and under which rules; hidden behind its salted id in the offer.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Terms {
    /// 32 bytes that nobody can guess, fresh for each sale.
    pub salt: [u8; 32],
    /// What the good is called in the shop.
    pub title: String,
    /// The name that the merchant gave the file; the wallet makes it safe before it uses it.
    pub file_name: String,
    /// Media type of the plain text (RFC 6838).
    pub media_type: String,
    /// The description on which the customer relies.
    pub description: String,
    /// Under which licence it is sold.
    pub licence: String,
    /// When money is given back.
    pub refund_rule: String,
}
message!(Terms, "terms", 4 * TEXT_BYTES_MAX);

impl Terms {
    /// Whether every text keeps its limit.
    #[must_use]
    pub fn is_within_limits(&self) -> bool {
        let names = [&self.title, &self.file_name, &self.media_type];
        let texts = [&self.description, &self.licence, &self.refund_rule];
        names.iter().all(|name| name.len() <= NAME_BYTES_MAX)
            && texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX)
    }
}

/// The merchant's answer to an order.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct OrderReply {
    /// The offer under the merchant's signature.
    pub offer: Signed<Offer>,
    /// The terms that the offer binds.
    pub terms: Terms,
}
message!(OrderReply, "order-reply", 600 + 4 * TEXT_BYTES_MAX);

opaque_debug!(OrderRequest, Offer, Terms);
