use bauta_crypto::content;

use super::*;
use crate::{
    accept::Accept,
    ids::{BankId, GoodId, LockTag, PayeeCommitment, PolicyId, Pseudonym, Serial, Txid},
    lock::{LockMode, LockPrivate, LockPublic, opens},
    log::leaf::Deed,
    submission::Submission,
};

const NOW: Timestamp = Timestamp(1_800_000_000);

pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([number; 32]))
}

pub(crate) fn merchant() -> SigningKey {
    key(1)
}

fn bank() -> SigningKey {
    key(2)
}

pub(crate) fn pseudonym() -> SigningKey {
    key(3)
}

pub(crate) fn good() -> GoodForSale {
    GoodForSale {
        price: "4.99EUR".parse().expect("an amount"),
        terms: Terms {
            salt: [0; 32],
            title: "Title".into(),
            file_name: "file.txt".into(),
            media_type: "text/plain".into(),
            description: "Description".into(),
            licence: "Licence".into(),
            refund_rule: "Rule".into(),
        },
        pt_root: PlaintextRoot([4; 32]),
        pt_len: 20_000,
        ct_root: CiphertextRoot([5; 32]),
        ct_len: content::ciphertext_len(20_000).expect("short"),
        content_key: Secret::new([6; 16]),
    }
}

pub(crate) fn order() -> OrderRequest {
    OrderRequest {
        mode: Mode::Fast,
        merchant: MerchantId::from(merchant().verifying_key()),
        good: GoodId([7; 16]),
        version: 1,
        bank: BankId::from(bank().verifying_key()),
        log_policy: PolicyId([8; 32]),
        pseudonym: Pseudonym::from(pseudonym().verifying_key()),
        nonce: [9; 32],
    }
}

pub(crate) fn compose(order: &OrderRequest, now: Timestamp) -> ComposedOffer {
    let seller = Seller {
        key: &merchant(),
        sale_secret: &Secret::new([10; 32]),
        account: AccountId([11; 32]),
    };
    let conditions = Conditions {
        reveal_window: Seconds(60),
        offer_span: Seconds(900),
        lock_min: Seconds(20),
        lock_max: Seconds(3_620),
        dispute_window: Seconds(600),
    };
    compose_offer(seller, &good(), order, conditions, now)
}

fn offer() -> Offer {
    compose(&order(), NOW).reply.offer.body
}

fn lock_at(offer: &Offer, expiry: Timestamp) -> Lock {
    let public = LockPublic {
        mode: LockMode::Fast,
        bank: offer.bank,
        serial: Serial([12; 16]),
        hash_lock: offer.hash_lock,
        expiry,
        log_policy: offer.log_policy,
    };
    let private = LockPrivate {
        amount: offer.price,
        payee: offer.payee,
        dispute_until: expiry.plus(offer.dispute_window),
        settle_until: expiry.plus(Seconds::days(7)),
        salt: [13; 16],
    };
    Lock::new(public, private, &bank())
}

fn lock(offer: &Offer) -> Lock {
    lock_at(offer, NOW.plus(Seconds(100)))
}

/// The pseudonym's word for `lock`, whatever it says.
fn accepted(offer: &Offer, lock: Lock) -> AcceptRequest {
    let accept = Accept {
        txid: offer.txid(),
        lock_tag: lock.lock_tag(),
    };
    AcceptRequest {
        lock,
        accept: accept.signed(&pseudonym()),
    }
}

fn check(request: &AcceptRequest, now: Timestamp) -> Result<(), AcceptError> {
    CheckedAccept::check(request, &offer(), now).map(|_| ())
}

/// The same lock with something changed, under the bank's true signature.
fn changed(change: impl FnOnce(&mut LockPublic, &mut LockPrivate)) -> Result<(), AcceptError> {
    let Lock {
        mut public,
        mut private,
        ..
    } = lock(&offer());
    change(&mut public, &mut private);
    check(
        &accepted(&offer(), Lock::new(public, private, &bank())),
        NOW,
    )
}

#[test]
fn a_lock_that_pays_for_the_offer_is_accepted() {
    let request = accepted(&offer(), lock(&offer()));
    let checked = CheckedAccept::check(&request, &offer(), NOW).expect("accepted");
    assert_eq!(checked.lock(), &request.lock);
}

#[test]
fn a_lock_that_differs_from_the_offer_in_any_field_is_refused_though_the_bank_signed_it() {
    use AcceptError::Field;
    let other = |name| Err(Field(name));
    assert_eq!(
        changed(|public, _| public.bank = BankId([1; 32])),
        other("bank")
    );
    assert_eq!(
        changed(|public, _| public.hash_lock.0[0] ^= 1),
        other("hash")
    );
    assert_eq!(
        changed(|public, _| public.log_policy.0[31] ^= 1),
        other("log policy")
    );
    let cheaper = |_: &mut LockPublic, private: &mut LockPrivate| {
        private.amount = "4.98EUR".parse().expect("an amount");
    };
    assert_eq!(changed(cheaper), other("amount"));
    let foreign = |_: &mut LockPublic, private: &mut LockPrivate| {
        private.amount = "4.99USD".parse().expect("an amount");
    };
    assert_eq!(changed(foreign), other("amount"));
    let elsewhere = |_: &mut LockPublic, private: &mut LockPrivate| {
        private.payee = PayeeCommitment([1; 32]);
    };
    assert_eq!(changed(elsewhere), other("payee"));
    for shift in [-1_i64, 1] {
        let disputed = |_: &mut LockPublic, private: &mut LockPrivate| {
            private.dispute_until.0 = private.dispute_until.0.saturating_add_signed(shift);
        };
        assert_eq!(changed(disputed), other("dispute window"));
    }
    let short = |_: &mut LockPublic, private: &mut LockPrivate| {
        private.settle_until.0 = private.dispute_until.0 - 1;
    };
    assert_eq!(changed(short), other("settlement"));
}

#[test]
fn a_safe_lock_that_ends_before_its_reveal_window_was_judged_is_refused() {
    let mut offer = offer();
    offer.mode = OfferMode::Safe {
        prepare_hash: HashLock([14; 32]),
        reveal_window: Seconds(3_600),
    };
    let check = |seconds_before: u64| {
        let Lock {
            mut public,
            mut private,
            ..
        } = lock(&offer);
        public.mode = offer.mode.lock_mode(HashLock([15; 32]));
        let judged_from = public.commit_until().plus(CLOCK_TOLERANCE);
        private.settle_until = Timestamp(judged_from.0 - seconds_before);
        let request = accepted(&offer, Lock::new(public, private, &bank()));
        CheckedAccept::check(&request, &offer, NOW).map(|_| ())
    };
    assert_eq!(check(0), Ok(()));
    assert_eq!(check(1), Err(AcceptError::Field("settlement")));
}

#[test]
fn a_lock_with_any_bit_changed_is_refused() {
    let request = accepted(&offer(), lock(&offer()));
    let bytes = request.to_bytes();
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(damaged) = AcceptRequest::from_bytes(&bytes) {
            assert!(check(&damaged, NOW).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn a_lock_that_another_bank_signed_is_refused() {
    let Lock {
        public, private, ..
    } = lock(&offer());
    let forged = Lock::new(public, private, &key(99));
    let refused = check(&accepted(&offer(), forged), NOW);
    assert_eq!(refused, Err(AcceptError::BankSignature));
}

#[test]
fn an_acceptance_of_another_offer_lock_or_customer_is_refused() {
    let lock = lock(&offer());
    let with = |txid, lock_tag, signer: SigningKey| AcceptRequest {
        lock: lock.clone(),
        accept: Accept { txid, lock_tag }.signed(&signer),
    };
    let (txid, tag) = (offer().txid(), lock.lock_tag());
    let refused = [
        with(Txid([1; 32]), tag, pseudonym()),
        with(txid, LockTag([1; 32]), pseudonym()),
        with(txid, tag, key(99)),
    ];
    for request in refused {
        assert_eq!(check(&request, NOW), Err(AcceptError::Acceptance));
    }
}

#[test]
fn times_are_taken_on_one_side_of_each_limit_and_refused_on_the_other() {
    let offer = offer();
    let expiring = |span| accepted(&offer, lock_at(&offer, NOW.plus(Seconds(span))));
    assert_eq!(check(&expiring(20), NOW), Ok(()));
    assert_eq!(check(&expiring(19), NOW), Err(AcceptError::TooShort));
    let longest = 3_620 + CLOCK_TOLERANCE.0;
    assert_eq!(check(&expiring(longest), NOW), Ok(()));
    assert_eq!(
        check(&expiring(longest + 1), NOW),
        Err(AcceptError::TooLong)
    );
    let until = offer.offer_until;
    let late = accepted(&offer, lock_at(&offer, until.plus(Seconds(100))));
    assert_eq!(check(&late, until), Ok(()));
    assert_eq!(
        check(&late, until.plus(Seconds(1))),
        Err(AcceptError::OfferExpired)
    );
}

#[test]
fn the_preimage_opens_the_offers_hash_and_the_content_key() {
    let composed = compose(&order(), NOW);
    let offer = &composed.reply.offer.body;
    let preimage = SaleSecrets::derive(&Secret::new([10; 32]), &order(), NOW).preimage;
    assert!(opens(preimage.expose(), &offer.hash_lock));
    let unwrapped = wrap::unwrap(
        &offer.wrapped_key,
        &preimage,
        &offer.hash_lock.0,
        &offer.ct_root.0,
    );
    assert_eq!(unwrapped, good().content_key);
    assert_eq!(composed.payee.commitment(), offer.payee);
}

#[test]
fn two_orders_share_no_secret_and_the_same_order_at_the_same_time_shares_all() {
    let first = compose(&order(), NOW);
    assert_eq!(compose(&order(), NOW).reply, first.reply);
    let other = OrderRequest {
        nonce: [0; 32],
        ..order()
    };
    for second in [
        compose(&other, NOW),
        compose(&order(), NOW.plus(Seconds(1))),
    ] {
        let (one, two) = (&first.reply.offer.body, &second.reply.offer.body);
        assert_ne!(one.hash_lock, two.hash_lock);
        assert_ne!(one.payee, two.payee);
        assert_ne!(one.terms, two.terms);
        assert_ne!(one.wrapped_key, two.wrapped_key);
    }
}

#[test]
fn a_commit_carries_the_lock_and_the_preimage_and_the_log_admits_it() {
    let preimage = SaleSecrets::derive(&Secret::new([10; 32]), &order(), NOW).preimage;
    let lock = lock(&offer());
    let leaf = Submission::new(&lock, Deed::Commit, *preimage.expose())
        .checked_leaf()
        .expect("admitted");
    assert_eq!(leaf.about_lock(), Some((lock.lock_tag(), Deed::Commit)));
    let refused = Submission::new(&lock, Deed::Commit, [0; 32]).checked_leaf();
    assert!(refused.is_err());
}

#[test]
fn the_preimage_goes_to_the_log_then_to_both_then_nowhere_on_both_sides_of_each_moment() {
    let (accepted, expiry) = (Timestamp(100), Timestamp(200));
    let at = |now, was_sent| route(accepted, expiry, was_sent, Timestamp(now));
    assert_eq!(at(100, false), Route::Log);
    assert_eq!(at(150, false), Route::Log);
    assert_eq!(at(151, false), Route::LogAndBank);
    assert_eq!(at(200, true), Route::LogAndBank);
    assert_eq!(at(201, true), Route::Unknown);
    assert_eq!(at(201, false), Route::Nowhere);
}

#[test]
fn a_lock_has_to_last_two_checkpoints_and_a_bank_round_trip() {
    let margins = Margins {
        checkpoint_interval: Seconds(5),
        bank_round_trip: Seconds(3),
    };
    assert_eq!(margins.lock_min(), Seconds(13));
}
