//! The customer's side of a purchase: what is checked before each step, as values that must be passed on.
//!
//! Order -> [`OpenedOffer`] -> (ciphertext fetched) -> lock -> [`CheckedLock`] -> accept -> [`OpenedOffer::open_key`].

use bauta_crypto::{content::ContentKey, secret::Secret, sign::SigningKey, wrap};

use crate::{
    accept::{Accept, AcceptRequest},
    codec::Message,
    coin::Output,
    ids::{HashLock, Txid},
    lock::{Lock, LockRequest, Payer, opens},
    money::Money,
    offer::{Offer, OrderReply, OrderRequest, Terms},
    time::{CLOCK_TOLERANCE, Seconds, Timestamp},
};

/// Spare time that the wallet adds to the shortest lock that a merchant takes, for clocks and slow ways.
const EXPIRY_SLACK: Seconds = Seconds(60);

/// An offer that was checked against the order: it binds the merchant to just what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedOffer {
    reply: OrderReply,
}

/// Why an offer is refused. In every case nothing has been paid, and the merchant is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// The merchant's signature is wrong.
    #[error("the offer does not bear the merchant's signature")]
    Signature,
    /// It answers another order.
    #[error("the offer answers another order")]
    OtherOrder,
    /// The terms are not those that the offer binds.
    #[error("the terms are not the ones that the offer binds")]
    Terms,
    /// It costs something else than the catalogue said.
    #[error("the offer asks {asked}, the shop listed {listed}")]
    Price {
        /// In the offer.
        asked: Money,
        /// In the catalogue.
        listed: Money,
    },
    /// The lengths cannot belong together.
    #[error("the offered lengths contradict each other")]
    Lengths,
    /// It has expired or lasts shorter than a purchase takes.
    #[error("the offer has expired (or this machine's clock is wrong)")]
    Expired,
    /// No lock can meet its conditions.
    #[error("the offer's limits for the lock contradict each other")]
    LockLimits,
}

impl OpenedOffer {
    /// Checks everything that the offer says against the order and the price that the catalogue listed.
    ///
    /// # Errors
    /// [`OfferError`]; nothing has been paid yet.
    pub fn check(
        reply: OrderReply,
        order: &OrderRequest,
        listed: Money,
        now: Timestamp,
    ) -> Result<Self, OfferError> {
        let key = order.merchant.key();
        let offer = reply
            .offer
            .verified(&key)
            .map_err(|_| OfferError::Signature)?;
        if !answers(offer, order) {
            return Err(OfferError::OtherOrder);
        }
        if reply.terms.id() != offer.terms || !reply.terms.is_within_limits() {
            return Err(OfferError::Terms);
        }
        if offer.price != listed || listed.amount.is_zero() {
            return Err(OfferError::Price {
                asked: offer.price,
                listed,
            });
        }
        if bauta_crypto::content::ciphertext_len(offer.pt_len) != Some(offer.ct_len) {
            return Err(OfferError::Lengths);
        }
        if offer.offer_until.plus(CLOCK_TOLERANCE) < now {
            return Err(OfferError::Expired);
        }
        if offer.lock_min > offer.lock_max {
            return Err(OfferError::LockLimits);
        }
        Ok(Self { reply })
    }

    /// An offer that this wallet has checked before and kept.
    #[must_use]
    pub const fn from_own_record(reply: OrderReply) -> Self {
        Self { reply }
    }

    /// The offer.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.reply.offer.body
    }

    /// The terms that it binds.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.reply.terms
    }

    /// The merchant's answer as it came, to be kept.
    #[must_use]
    pub const fn reply(&self) -> &OrderReply {
        &self.reply
    }

    /// The purchase's name.
    #[must_use]
    pub fn txid(&self) -> Txid {
        self.offer().txid()
    }

    /// The expiry for a lock made now: a little more than the merchant needs, never more than it takes.
    #[must_use]
    pub fn lock_expiry(&self, now: Timestamp) -> Timestamp {
        let offer = self.offer();
        let span = offer
            .lock_min
            .0
            .saturating_add(EXPIRY_SLACK.0)
            .min(offer.lock_max.0);
        now.plus(Seconds(span))
    }

    /// What to ask of the bank.
    ///
    /// `cancel_hash` is the hash of a secret that only the customer knows; mode FAST leaves it out.
    #[must_use]
    pub fn lock_request(
        &self,
        expiry: Timestamp,
        cancel_hash: HashLock,
        payer: Payer,
        change: Vec<Output>,
    ) -> LockRequest {
        let offer = self.offer();
        LockRequest {
            bank: offer.bank,
            hash_lock: offer.hash_lock,
            amount: offer.price,
            payee: offer.payee,
            log_policy: offer.log_policy,
            expiry,
            mode: offer.mode.lock_mode(cancel_hash),
            dispute_window: offer.dispute_window,
            payer,
            change,
        }
    }

    /// What to hand to the merchant. To be called only when the ciphertext is here and its root checked:
    /// the acceptance says so.
    #[must_use]
    pub fn accept(&self, lock: &CheckedLock, pseudonym: &SigningKey) -> AcceptRequest {
        let accept = Accept {
            txid: self.txid(),
            lock_tag: lock.lock.lock_tag(),
        };
        AcceptRequest {
            lock: lock.lock.clone(),
            accept: accept.signed(pseudonym),
        }
    }

    /// The content key, if `preimage` is the one that the offer names.
    #[must_use]
    pub fn open_key(&self, preimage: &[u8; 32]) -> Option<ContentKey> {
        let offer = self.offer();
        let is_opened = opens(preimage, &offer.hash_lock);
        let secret = Secret::new(*preimage);
        is_opened.then(|| {
            wrap::unwrap(
                &offer.wrapped_key,
                &secret,
                &offer.hash_lock.0,
                &offer.ct_root.0,
            )
        })
    }
}

fn answers(offer: &Offer, order: &OrderRequest) -> bool {
    offer.merchant == order.merchant
        && offer.pseudonym == order.pseudonym
        && offer.nonce == order.nonce
        && offer.bank == order.bank
        && offer.log_policy == order.log_policy
        && offer.mode.mode() == order.mode
}

/// A lock that was checked against the request: the bank holds just what was asked, on just those conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedLock {
    lock: Lock,
}

/// Why a lock is refused. The bank is at fault; the money stays claimable under its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// The bank's signature is wrong.
    #[error("the lock does not bear the bank's signature")]
    Signature,
    /// A field differs from the request.
    #[error("the lock differs from what was asked: {0}")]
    Field(&'static str),
}

impl CheckedLock {
    /// Checks the bank's answer against the request.
    ///
    /// # Errors
    /// [`LockError`] names the field; the bank is at fault.
    pub fn check(lock: Lock, request: &LockRequest) -> Result<Self, LockError> {
        let (public, private) = (&lock.public, &lock.private);
        let fields = [
            ("bank", public.bank == request.bank),
            ("hash", public.hash_lock == request.hash_lock),
            ("expiry", public.expiry == request.expiry),
            ("mode", public.mode == request.mode),
            ("log policy", public.log_policy == request.log_policy),
            ("amount", private.amount == request.amount),
            ("payee", private.payee == request.payee),
            (
                "dispute window",
                private.dispute_until == request.expiry.plus(request.dispute_window),
            ),
            ("settlement", private.settle_until >= private.dispute_until),
        ];
        if let Some((field, _)) = fields.into_iter().find(|(_, matches)| !matches) {
            return Err(LockError::Field(field));
        }
        lock.check_signature().map_err(|_| LockError::Signature)?;
        Ok(Self { lock })
    }

    /// The lock.
    #[must_use]
    pub const fn lock(&self) -> &Lock {
        &self.lock
    }
}

#[cfg(test)]
mod tests;
