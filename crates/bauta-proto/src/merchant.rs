//! The merchant's side of a purchase: composing offers, checking acceptances, and when to do what with the preimage.

use bauta_crypto::{content::ContentKey, hash, kdf, label, secret::Secret, sign::SigningKey, wrap};

use crate::{
    accept::AcceptRequest,
    account::PayeeOpening,
    codec::{Message, Signed},
    ids::{AccountId, BankId, CiphertextRoot, HashLock, MerchantId, PlaintextRoot},
    lock::Lock,
    money::Money,
    offer::{Mode, Offer, OfferMode, OrderReply, OrderRequest, Suite, Terms},
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
};

/// What a merchant knows of a good that it sells: everything that goes into an offer.
#[derive(Clone, Debug)]
pub struct GoodForSale {
    /// What it costs.
    pub price: Money,
    /// What it is; the salt is filled in for each sale.
    pub terms: Terms,
    /// BLAKE3 root of the plain text.
    pub pt_root: PlaintextRoot,
    /// Length of the plain text in bytes.
    pub pt_len: u64,
    /// BLAKE3 root of the ciphertext.
    pub ct_root: CiphertextRoot,
    /// Length of the ciphertext in bytes.
    pub ct_len: u64,
    /// The key that opens it.
    pub content_key: ContentKey,
}

/// A merchant's standing conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// How long an offer stands.
    pub offer_span: Seconds,
    /// A lock must have at least this much time left when it comes; see [`Margins::lock_min`].
    pub lock_min: Seconds,
    /// A lock may have at most this much time left when it comes.
    pub lock_max: Seconds,
    /// For how long after a lock's expiry the merchant may commit, once it has prepared (mode SAFE).
    pub reveal_window: Seconds,
    /// For how long after the expiry a customer can dispute.
    pub dispute_window: Seconds,
}

/// How long things take, and so when it is still safe to let the preimage go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margins {
    /// How often the log publishes a checkpoint.
    pub checkpoint_interval: Seconds,
    /// How long the bank may take to accept a preimage.
    pub bank_round_trip: Seconds,
}

impl Margins {
    /// The time that a lock must have left: two checkpoints and a bank round trip.
    #[must_use]
    pub const fn lock_min(&self) -> Seconds {
        Seconds(2 * self.checkpoint_interval.0 + self.bank_round_trip.0)
    }
}

/// The secrets of one sale, derived from the merchant's own secret and the order, so that they need not be stored
/// before they matter and a repeated order gives the same offer.
pub struct SaleSecrets {
    /// u.
    pub preimage: Secret<32>,
    /// What prepares, in mode SAFE.
    pub prepare_preimage: Secret<32>,
    payee_salt: Secret<32>,
    terms_salt: Secret<32>,
}

impl SaleSecrets {
    /// The secrets for `order`, answered at `answered_at`.
    #[must_use]
    pub fn derive(sale_secret: &Secret<32>, order: &OrderRequest, answered_at: Timestamp) -> Self {
        let order_id = order.id();
        let time = answered_at.0.to_be_bytes();
        let derive = |purpose: &[u8]| {
            kdf::derive(
                label::SALE_SECRET,
                sale_secret.expose(),
                &[purpose, &order_id, &time],
            )
        };
        Self {
            preimage: derive(b"preimage"),
            prepare_preimage: derive(b"prepare"),
            payee_salt: derive(b"payee"),
            terms_salt: derive(b"terms"),
        }
    }

    /// What opens the payee commitment of the sale's offer.
    #[must_use]
    pub fn payee(&self, bank: BankId, account: AccountId) -> PayeeOpening {
        PayeeOpening {
            bank,
            account,
            salt: *self.payee_salt.expose(),
        }
    }

    /// The terms as this sale's offer binds them: a good's terms with the sale's salt.
    #[must_use]
    pub fn terms(&self, terms: &Terms) -> Terms {
        Terms {
            salt: *self.terms_salt.expose(),
            ..terms.clone()
        }
    }
}

/// Who sells, and where it is paid.
#[derive(Clone, Copy)]
pub struct Seller<'a> {
    /// Signs offers.
    pub key: &'a SigningKey,
    /// From which the secrets of each sale come.
    pub sale_secret: &'a Secret<32>,
    /// The account that is paid, at the bank that the order names.
    pub account: AccountId,
}

/// An offer with what the merchant keeps to itself.
#[derive(Debug)]
pub struct ComposedOffer {
    /// The answer to the customer.
    pub reply: OrderReply,
    /// Opens the payee commitment at the claim.
    pub payee: PayeeOpening,
}

/// Composes the offer for an order. Whether the order can be met is the caller's to check.
#[must_use]
pub fn compose_offer(
    seller: Seller<'_>,
    good: &GoodForSale,
    order: &OrderRequest,
    conditions: Conditions,
    now: Timestamp,
) -> ComposedOffer {
    let secrets = SaleSecrets::derive(seller.sale_secret, order, now);
    let hash_lock = HashLock(hash::sha256(&[secrets.preimage.expose()]));
    let mode = match order.mode {
        Mode::Fast => OfferMode::Fast,
        Mode::Safe => OfferMode::Safe {
            prepare_hash: HashLock(hash::sha256(&[secrets.prepare_preimage.expose()])),
            reveal_window: conditions.reveal_window,
        },
    };
    let payee = secrets.payee(order.bank, seller.account);
    let terms = secrets.terms(&good.terms);
    let offer = Offer {
        suite: Suite::One,
        mode,
        merchant: MerchantId::from(seller.key.verifying_key()),
        pseudonym: order.pseudonym,
        nonce: order.nonce,
        bank: order.bank,
        log_policy: order.log_policy,
        price: good.price,
        terms: terms.id(),
        pt_root: good.pt_root,
        pt_len: good.pt_len,
        ct_root: good.ct_root,
        ct_len: good.ct_len,
        hash_lock,
        wrapped_key: wrap::wrap(
            &good.content_key,
            &secrets.preimage,
            &hash_lock.0,
            &good.ct_root.0,
        ),
        payee: payee.commitment(),
        offer_until: now.plus(conditions.offer_span),
        lock_min: conditions.lock_min,
        lock_max: conditions.lock_max,
        dispute_window: conditions.dispute_window,
    };
    let offer: Signed<Offer> = offer.signed(seller.key);
    ComposedOffer {
        reply: OrderReply { offer, terms },
        payee,
    }
}

/// Why a lock is not accepted. The customer is at fault (or its bank); the money returns at the lock's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptError {
    /// The acceptance is not signed by the order's pseudonym, or names something else.
    #[error("the acceptance is not the pseudonym's word for this offer and lock")]
    Acceptance,
    /// The bank's signature is wrong.
    #[error("the lock does not bear the bank's signature")]
    BankSignature,
    /// A field of the lock differs from the offer.
    #[error("{0}")]
    Field(&'static str),
    /// The offer has expired.
    #[error("the offer has expired")]
    OfferExpired,
    /// Too little time is left.
    #[error("the lock expires too soon")]
    TooShort,
    /// More time is left than the offer allows.
    #[error("the lock expires too late")]
    TooLong,
}

/// A lock that pays for an offer in every field, in time: what it takes to let the preimage go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedAccept {
    lock: Lock,
}

impl CheckedAccept {
    /// Checks an acceptance and its lock against the offer.
    ///
    /// # Errors
    /// [`AcceptError`]; the preimage must not go.
    pub fn check(
        request: &AcceptRequest,
        offer: &Offer,
        now: Timestamp,
    ) -> Result<Self, AcceptError> {
        let lock = &request.lock;
        let accept = request.accept.verified(&offer.pseudonym.key());
        let accept = accept.map_err(|_| AcceptError::Acceptance)?;
        if accept.txid != offer.txid() || accept.lock_tag != lock.lock_tag() {
            return Err(AcceptError::Acceptance);
        }
        check_fields(lock, offer)?;
        lock.check_signature()
            .map_err(|_| AcceptError::BankSignature)?;
        check_times(lock, offer, now)?;
        Ok(Self { lock: lock.clone() })
    }

    /// The lock.
    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }
}

fn check_fields(lock: &Lock, offer: &Offer) -> Result<(), AcceptError> {
    let (public, private) = (&lock.public, &lock.private);
    let fields = [
        ("bank", public.bank == offer.bank),
        ("hash", public.hash_lock == offer.hash_lock),
        ("mode", offer.mode.is_met_by(&public.mode)),
        ("log policy", public.log_policy == offer.log_policy),
        ("amount", private.amount == offer.price),
        ("payee", private.payee == offer.payee),
        (
            "dispute window",
            private.dispute_until == public.expiry.plus(offer.dispute_window),
        ),
        ("settlement", is_settled_in_time(lock)),
    ];
    match fields.into_iter().find(|(_, matches)| !matches) {
        Some((field, _)) => Err(AcceptError::Field(field)),
        None => Ok(()),
    }
}

/// A lock that ends before its last commit has been judged would give the money back although the payee was in time.
fn is_settled_in_time(lock: &Lock) -> bool {
    let judged_from = lock.public.commit_until().plus(CLOCK_TOLERANCE);
    lock.private.settle_until >= lock.private.dispute_until.max(judged_from)
}

fn check_times(lock: &Lock, offer: &Offer, now: Timestamp) -> Result<(), AcceptError> {
    if offer.offer_until < now {
        return Err(AcceptError::OfferExpired);
    }
    if lock.public.expiry < now.plus(offer.lock_min) {
        return Err(AcceptError::TooShort);
    }
    if lock.public.expiry > now.plus(offer.lock_max).plus(CLOCK_TOLERANCE) {
        return Err(AcceptError::TooLong);
    }
    Ok(())
}

/// Where the preimage of an accepted lock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To the log.
    Log,
    /// To the log and to the bank: half of the time has gone without a promise.
    LogAndBank,
    /// Nowhere: it is too late for either, and it was never sent. The sale is off.
    Nowhere,
    /// It was sent and no answer came before the expiry: only the log or the bank knows. Ask both.
    Unknown,
}

/// Where the preimage goes at `now` while it is not confirmed, if it may go since `since` and counts until `until`: the
/// moments of acceptance and expiry; in mode SAFE those at which the lock was prepared and at which the reveal window ends.
#[must_use]
pub fn route(since: Timestamp, until: Timestamp, was_sent: bool, now: Timestamp) -> Route {
    let half = since.plus(Seconds(until.since(since).0 / 2));
    match (now <= half, now <= until, was_sent) {
        (true, ..) => Route::Log,
        (false, true, _) => Route::LogAndBank,
        (false, false, true) => Route::Unknown,
        (false, false, false) => Route::Nowhere,
    }
}

#[cfg(test)]
pub(crate) mod tests;
