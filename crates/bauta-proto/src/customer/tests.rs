use super::*;
use crate::{
    codec::Message,
    ids::{
        BankId, CiphertextRoot, HashLock, MerchantId, PayeeCommitment, PolicyId, Pseudonym, Serial,
    },
    lock::{LockPrivate, LockPublic},
    merchant::tests::{compose, good, key, merchant, order, pseudonym},
};

const NOW: Timestamp = Timestamp(1_800_000_000);

fn reply() -> OrderReply {
    compose(&order(), NOW).reply
}

fn check(reply: OrderReply) -> Result<OpenedOffer, OfferError> {
    OpenedOffer::check(reply, &order(), good().price, NOW)
}

/// The offer with something changed, under the merchant's true signature.
fn changed(change: impl FnOnce(&mut Offer)) -> OfferError {
    let mut reply = reply();
    change(&mut reply.offer.body);
    reply.offer = reply.offer.body.signed(&merchant());
    check(reply).expect_err("must be refused")
}

#[test]
fn an_offer_that_answers_the_order_is_opened() {
    let opened = check(reply()).expect("opened");
    assert_eq!(opened.txid(), reply().offer.body.txid());
}

#[test]
fn an_offer_with_any_bit_changed_is_refused() {
    let bytes = reply().to_bytes();
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(damaged) = OrderReply::from_bytes(&bytes) {
            assert!(check(damaged).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn an_offer_that_the_merchant_signed_but_that_answers_something_else_is_refused() {
    use OfferError as E;
    assert_eq!(
        changed(|offer| offer.merchant = MerchantId([1; 32])),
        E::OtherOrder
    );
    assert_eq!(
        changed(|offer| offer.pseudonym = Pseudonym([1; 32])),
        E::OtherOrder
    );
    assert_eq!(changed(|offer| offer.nonce[0] ^= 1), E::OtherOrder);
    assert_eq!(changed(|offer| offer.bank = BankId([1; 32])), E::OtherOrder);
    assert_eq!(
        changed(|offer| offer.log_policy = PolicyId([1; 32])),
        E::OtherOrder
    );
    assert_eq!(changed(|offer| offer.terms[0] ^= 1), E::Terms);
    assert_eq!(changed(|offer| offer.pt_len += 1), E::Lengths);
    assert_eq!(changed(|offer| offer.ct_len -= 1), E::Lengths);
    assert_eq!(changed(|offer| offer.pt_len = u64::MAX), E::Lengths);
    assert_eq!(
        changed(|offer| offer.lock_min = Seconds(offer.lock_max.0 + 1)),
        E::LockLimits
    );
    let dearer = changed(|offer| offer.price = "5.00EUR".parse().expect("an amount"));
    assert!(matches!(dearer, E::Price { .. }));
    let foreign = changed(|offer| offer.price = "4.99USD".parse().expect("an amount"));
    assert!(matches!(foreign, E::Price { .. }));
}

#[test]
fn a_free_offer_is_refused_even_if_it_was_listed_so() {
    let free = "0EUR".parse().expect("an amount");
    let mut reply = reply();
    reply.offer.body.price = free;
    reply.offer = reply.offer.body.signed(&merchant());
    let refused = OpenedOffer::check(reply, &order(), free, NOW);
    assert!(matches!(refused, Err(OfferError::Price { .. })));
}

#[test]
fn terms_that_the_offer_does_not_bind_are_refused() {
    let mut reply = reply();
    reply.terms.licence.push('!');
    assert_eq!(check(reply), Err(OfferError::Terms));
}

#[test]
fn an_offer_is_opened_until_it_expires_and_the_clocks_differ_at_most() {
    let until = reply().offer.body.offer_until.plus(CLOCK_TOLERANCE);
    let at = |now| OpenedOffer::check(reply(), &order(), good().price, now).map(|_| ());
    assert_eq!(at(until), Ok(()));
    assert_eq!(at(until.plus(Seconds(1))), Err(OfferError::Expired));
}

fn asked() -> LockRequest {
    let opened = check(reply()).expect("opened");
    let payer = Payer::Account {
        account: crate::ids::AccountId([1; 32]),
        nonce: [2; 16],
    };
    opened.lock_request(
        opened.lock_expiry(NOW),
        HashLock([0; 32]),
        payer,
        Vec::new(),
    )
}

fn halves() -> (LockPublic, LockPrivate) {
    let asked = asked();
    let public = LockPublic {
        mode: asked.mode,
        bank: asked.bank,
        serial: Serial([3; 16]),
        hash_lock: asked.hash_lock,
        expiry: asked.expiry,
        log_policy: asked.log_policy,
    };
    let private = LockPrivate {
        amount: asked.amount,
        payee: asked.payee,
        dispute_until: asked.expiry.plus(asked.dispute_window),
        settle_until: asked.expiry.plus(Seconds::days(7)),
        salt: [4; 16],
    };
    (public, private)
}

fn lock_with(change: impl FnOnce(&mut LockPublic, &mut LockPrivate)) -> Lock {
    let (mut public, mut private) = halves();
    change(&mut public, &mut private);
    // The key of the bank in the tests of the merchant's side.
    Lock::new(public, private, &key(2))
}

#[test]
fn a_lock_that_differs_from_what_was_asked_in_any_field_is_refused() {
    let refused = |lock: Lock| CheckedLock::check(lock, &asked()).expect_err("must be refused");
    let field = |name| LockError::Field(name);
    assert_eq!(
        refused(lock_with(|p, _| p.bank = BankId([1; 32]))),
        field("bank")
    );
    assert_eq!(
        refused(lock_with(|p, _| p.hash_lock = HashLock([1; 32]))),
        field("hash")
    );
    assert_eq!(
        refused(lock_with(|p, _| p.log_policy = PolicyId([1; 32]))),
        field("log policy")
    );
    let less = lock_with(|_, p| p.amount = "4.98EUR".parse().expect("an amount"));
    assert_eq!(refused(less), field("amount"));
    assert_eq!(
        refused(lock_with(|_, p| p.payee = PayeeCommitment([1; 32]))),
        field("payee")
    );
    let shorter = lock_with(|_, p| p.dispute_until.0 -= 1);
    assert_eq!(refused(shorter), field("dispute window"));
    let unsettled = lock_with(|_, p| p.settle_until = p.dispute_until.minus(Seconds(1)));
    assert_eq!(refused(unsettled), field("settlement"));
    for shift in [-1_i64, 1] {
        let moved = lock_with(|p, _| p.expiry.0 = p.expiry.0.saturating_add_signed(shift));
        assert_eq!(refused(moved), field("expiry"));
    }
    let (public, private) = halves();
    assert_eq!(
        refused(Lock::new(public, private, &key(99))),
        LockError::Signature
    );
}

#[test]
fn the_lock_that_the_customer_asks_for_is_one_that_the_merchant_takes() {
    let opened = check(reply()).expect("opened");
    let checked = CheckedLock::check(lock_with(|_, _| ()), &asked()).expect("checked");
    let request = opened.accept(&checked, &pseudonym());
    let taken = crate::merchant::CheckedAccept::check(&request, opened.offer(), NOW);
    assert!(taken.is_ok());
}

#[test]
fn the_content_key_opens_with_the_offers_preimage_and_with_no_other() {
    let opened = check(reply()).expect("opened");
    let secret = Secret::new([10; 32]);
    let secrets = crate::merchant::SaleSecrets::derive(&secret, &order(), NOW);
    let key = opened.open_key(secrets.preimage.expose());
    assert_eq!(key, Some(good().content_key));
    assert_eq!(opened.open_key(&[0; 32]), None);
    assert_eq!(opened.offer().ct_root, CiphertextRoot([5; 32]));
}
