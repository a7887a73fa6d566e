//! A bank that signs what suits it. What a bank alone can always do is not pay: then the victim must hold a proof.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bauta_crypto::{blind::BlindSignature, sign::SigningKey};
use bauta_proto::{
    codec::Message,
    coin::{Issued, KeysetList, PublishedKeyset},
    decision::{Age, age},
    ids::{HashLock, PayeeCommitment, PolicyId},
    lock::{
        ClaimOutcome, ClaimReply, Lock, LockPrivate, LockPublic, LockReply, LockState, LockStatus,
        TaggedLockState,
    },
    log::{
        leaf::{Deed, Leaf},
        receipt::Receipt,
    },
    problem::ProblemKind,
    submission::Submission,
    time::Seconds,
    transport::{
        Endpoint,
        archive::SubmitLeaf,
        bank::{self, CaptureLock, ClaimLocks, LockValue, Status},
        merchant::AcceptOffer,
    },
};
use bauta_wallet::PurchaseState;

use crate::{
    net::{Answer, Asked, BANK, Caller, Say},
    purse::key,
    town::{Customer, PRICE, PURSE, Town, foiled},
};

/// The bank gives other locks than were asked for. The customer must not hand one on, and has its money back in the end.
async fn lock_changed(change: fn(&mut LockPublic, &mut LockPrivate)) {
    let town = Town::new().await;
    let bank = town.bank_key();
    locks(&town, move |lock| {
        let (mut public, mut private) = (lock.public, lock.private);
        change(&mut public, &mut private);
        Lock::new(public, private, &bank)
    })
    .await;
}

async fn locks(town: &Town, change: impl Fn(Lock) -> Lock + Send + Sync + 'static) {
    town.good("song");
    let mut customer = town.customer().await;
    town.ways
        .twist_reply::<LockValue>(move |_, reply| LockReply {
            lock: change(reply.lock),
            ..reply
        });
    let bought = customer.buy("song").await;
    foiled(bought.is_err(), "a lock that was not asked for");
    let heard = town.ways.heard();
    let accepted = heard
        .iter()
        .any(|heard| heard.url.ends_with(AcceptOffer::PATH));
    foiled(!accepted, "a lock that was not asked for");
    for _ in 0..2 {
        town.settle().await;
        // It is told that the bank's answer is wrong for as long as the money may be held.
        customer.resume().await;
    }
    foiled(customer.available() == PURSE, "the money did not return");
}

#[tokio::test]
async fn a_lock_with_another_amount() {
    lock_changed(|_, private| private.amount = crate::town::money(PRICE - 1)).await;
}

#[tokio::test]
async fn a_lock_with_another_payee() {
    lock_changed(|_, private| private.payee = PayeeCommitment([0x66; 32])).await;
}

#[tokio::test]
async fn a_lock_with_another_hash() {
    lock_changed(|public, _| public.hash_lock = HashLock([0x66; 32])).await;
}

#[tokio::test]
async fn a_lock_with_another_expiry() {
    lock_changed(|public, private| {
        public.expiry = public.expiry.plus(Seconds::days(60));
        private.dispute_until = private.dispute_until.plus(Seconds::days(60));
        private.settle_until = private.settle_until.plus(Seconds::days(60));
    })
    .await;
}

#[tokio::test]
async fn a_lock_under_another_policy() {
    lock_changed(|public, _| public.log_policy = PolicyId([0x66; 32])).await;
}

#[tokio::test]
async fn a_lock_with_a_shorter_dispute() {
    lock_changed(|public, private| private.dispute_until = public.expiry).await;
}

#[tokio::test]
async fn a_lock_that_ends_before_its_dispute() {
    lock_changed(|public, private| private.settle_until = public.expiry).await;
}

/// A lock that the bank can deny: it is not signed.
#[tokio::test]
async fn a_lock_that_is_not_signed() {
    let town = Town::new().await;
    locks(&town, |lock| Lock::new(lock.public, lock.private, &key(66))).await;
}

/// Change that is no money: the bank signs something else.
#[tokio::test]
async fn change_that_is_no_money() {
    let town = Town::new().await;
    town.good_at("song", 333);
    let mut customer = town.customer().await;
    // A signature that it has given for something else.
    let other = other_signature(&town);
    let gave_change = Arc::new(AtomicBool::new(false));
    let gives = gave_change.clone();
    town.ways.twist_reply::<LockValue>(move |_, mut reply| {
        if let Some(first) = reply.change.first_mut() {
            *first = other;
            gives.store(true, Ordering::SeqCst);
        }
        reply
    });
    // At first the wallet has coins for the exact price.
    for _ in 0..5 {
        let bought = customer.buy("song").await;
        if gave_change.load(Ordering::SeqCst) {
            foiled(bought.is_err(), "worthless change was taken");
            return;
        }
    }
    panic!("no purchase needed change");
}

fn other_signature(town: &Town) -> BlindSignature {
    let heard = town.ways.heard();
    let mut withdrawn = heard
        .iter()
        .filter(|heard| heard.url.ends_with(bank::Withdraw::PATH));
    let issued = &withdrawn.next().expect("withdrawn").answer.body;
    Issued::from_bytes(issued).expect("issued").signatures[0]
}

/// Coins that are no money.
#[tokio::test]
async fn coins_that_are_no_money() {
    let town = Town::new().await;
    let mut customer = town.stranger_wallet();
    customer.wallet.add_bank(BANK, None).await.expect("a bank");
    let bank = town.bank.bank_id();
    town.credit(customer.wallet.account(bank), 96, "hers");
    town.ways.twist_reply::<bank::Withdraw>(|_, mut issued| {
        issued.signatures.reverse();
        issued
    });
    let taken = customer.wallet.withdraw(bank, crate::town::money(96)).await;
    foiled(taken.is_err(), "worthless coins were taken");
    // The account is debited; the same request gets the coins as soon as the bank tells the truth.
    town.ways.be_honest();
    customer.resume().await;
    foiled(customer.available() == 96, "the money is lost");
}

fn keysets(
    town: &Town,
    change: impl Fn(PublishedKeyset) -> PublishedKeyset + Send + Sync + 'static,
) {
    town.ways.twist(move |asked, answer| {
        if !asked.request.url.ends_with(bank::KEYSETS_PATH) {
            return answer;
        }
        let list = KeysetList::from_bytes(&answer.body).expect("a list");
        let keysets = list.keysets.into_iter().map(&change).collect();
        Answer::of(&KeysetList { keysets })
    });
}

/// Keys that only one customer is given, and that are not in the log: by them his coins could be told from all others.
#[tokio::test]
async fn a_keyset_for_one_customer() {
    let town = Town::new().await;
    let bank = town.bank_key();
    keysets(&town, move |published| {
        let mut keyset = published.keyset.body;
        keyset.settle_until = keyset.settle_until.plus(Seconds(1));
        PublishedKeyset {
            keyset: keyset.signed(&bank),
            receipt: published.receipt,
        }
    });
    let mut customer = town.stranger_wallet();
    let added = customer.wallet.add_bank(BANK, None).await;
    foiled(added.is_err(), "keys of his own");
}

/// Keys that the bank has not signed: it could deny them.
#[tokio::test]
async fn a_keyset_that_is_not_signed() {
    let town = Town::new().await;
    keysets(&town, |published| PublishedKeyset {
        keyset: published.keyset.body.signed(&key(66)),
        receipt: published.receipt,
    });
    let mut customer = town.stranger_wallet();
    let added = customer.wallet.add_bank(BANK, None).await;
    foiled(added.is_err(), "keys that the bank can deny");
}

/// A log of his own for one customer: the bank tells him another policy than before.
#[tokio::test]
async fn another_log_for_one_customer() {
    let town = Town::new().await;
    let mut customer = town.customer().await;
    town.ways.twist(|asked, mut answer| {
        if asked.caller == Caller::Customer && asked.request.url.ends_with(bank::POLICY_PATH) {
            answer.body.extend_from_slice(b"# another policy\n");
        }
        answer
    });
    let added = customer.wallet.add_bank(BANK, None).await;
    foiled(added.is_err(), "a policy of his own");
}

/// What the bank tells one caller about every lock, signed by this key.
fn says(town: &Town, caller: Caller, state: LockState, signer: SigningKey) {
    let bank = town.bank.bank_id();
    town.ways.lie(move |asked| {
        let lock_tags = if asked.caller != caller {
            return Say::Truth;
        } else if asked.is::<Status>() {
            asked.message::<Status>().lock_tags
        } else if asked.is::<CaptureLock>() {
            vec![asked.message::<CaptureLock>().lock_tag]
        } else {
            return Say::Truth;
        };
        let locks = lock_tags.into_iter().map(|lock_tag| TaggedLockState {
            lock_tag,
            state: state.clone(),
        });
        let locks = locks.collect();
        Say::Lie(Answer::of(&LockStatus { bank, locks }.signed(&signer)))
    });
}

/// The bank says that it took a secret, and shows one that opens nothing: it would keep the money and the customer would
/// have neither. With the merchant, who does not answer.
#[tokio::test]
async fn captured_with_a_wrong_secret() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    town.ways.lie(|asked| match asked.is::<AcceptOffer>() {
        true => Say::Nothing,
        false => Say::Truth,
    });
    let preimage = [0x66; 32];
    let captured = LockState::Captured { preimage };
    says(&town, Caller::Customer, captured, town.bank_key());
    let _unreached = customer.buy("song").await;
    customer.resume().await;
    foiled(
        customer.purchase().state == PurchaseState::Locked,
        "a wrong secret was taken",
    );
    town.ways.be_honest();
    customer.ended_in_goods_or_money(&town, "song").await;
}

/// The bank tells the merchant that the money is back, without signing it; a merchant that believes it gives up a sale
/// whose secret is out, and has no proof. The log is out of reach.
#[tokio::test]
async fn released_by_a_word_that_can_be_denied() {
    let town = Town::new().await;
    let leaked = crate::customer::leaking_archive(&town);
    says(&town, Caller::Merchant, LockState::Released, key(66));
    town.good("song");
    let mut customer = town.customer().await;
    let _waits = customer.buy("song").await;
    town.pass(20).await;
    town.pass(20).await;
    assert!(
        !leaked.lock().expect("no panic").is_empty(),
        "the secret is out"
    );
    town.ways.be_honest();
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "the merchant gave up");
}

/// The same to the customer, who would stop looking for what it has paid for.
#[tokio::test]
async fn returned_by_a_word_that_can_be_denied() {
    let town = Town::new().await;
    town.good("song");
    let mut customer = town.customer().await;
    town.ways
        .twist(|asked, answer| match asked.is::<AcceptOffer>() {
            true => Answer::refusal(ProblemKind::DeliveryFailed),
            false => answer,
        });
    says(&town, Caller::Customer, LockState::Released, key(66));
    let _waits = customer.buy("song").await;
    customer.resume().await;
    foiled(
        customer.purchase().state == PurchaseState::Locked,
        "the customer gave up",
    );
    town.ways.be_honest();
    town.settle().await;
    customer.ended_in_goods_or_money(&town, "song").await;
}

/// A sale that is in the log, at a bank that will not pay for it.
async fn sold_at(town: &Town, lie: impl Fn(&Asked<'_>) -> Say + Send + Sync + 'static) -> Customer {
    town.good("song");
    let mut customer = town.customer().await;
    town.ways.lie(lie);
    customer.buy("song").await.expect("bought");
    town.settle().await;
    customer
}

/// The merchant's proof against the bank: the bank's word for the lock, and the commit in an early checkpoint. Whoever
/// has both is owed the money.
fn convicts(town: &Town) -> bool {
    let sales = town.sales();
    let [order] = sales.as_slice() else {
        return false;
    };
    let Some(accept) = &order.accept else {
        return false;
    };
    let public = &accept.lock.public;
    let commit = town.ways.heard().into_iter().find_map(|heard| {
        let is_commit = heard.url.ends_with(SubmitLeaf::PATH);
        let commit = Submission::from_bytes(&heard.request);
        is_commit.then(|| commit.expect("a commit"))
    });
    let leaf = commit.map(|commit| {
        Leaf::of_lock(
            Deed::Commit,
            public.lock_tag(),
            public.expiry,
            commit.preimage,
        )
    });
    let text = order.leaves.iter().find_map(|leaf| leaf.receipt.as_deref());
    let receipt = text.and_then(|text| Receipt::from_text(text).ok());
    let (Some(leaf), Some(receipt)) = (leaf, receipt) else {
        return false;
    };
    let checkpoint = receipt.check(&leaf, town.policy());
    let is_early = checkpoint.is_ok_and(|checkpoint| age(&checkpoint, public.expiry) == Age::Early);
    is_early && accept.lock.check_signature().is_ok()
}

/// The bank denies that there ever was such a lock.
#[tokio::test]
async fn the_bank_denies_the_lock() {
    let town = Town::new().await;
    let mut customer = sold_at(&town, |asked| {
        if asked.caller != Caller::Merchant {
            return Say::Truth;
        }
        if asked.is::<ClaimLocks>() {
            let outcomes = vec![ClaimOutcome::Unknown; asked.message::<ClaimLocks>().claims.len()];
            return Say::Lie(Answer::of(&ClaimReply { outcomes }));
        }
        match asked.is::<CaptureLock>() || asked.is::<Status>() {
            true => Say::Lie(Answer::refusal(ProblemKind::UnknownLock)),
            false => Say::Truth,
        }
    })
    .await;
    foiled(
        convicts(&town),
        "the bank denies, and the merchant proves nothing",
    );
    customer.ended_in_goods_or_money(&town, "song").await;
    // A bank that comes to reason still finds the claim.
    town.ways.be_honest();
    town.pass(7_200).await;
    foiled(town.shop_earned() == PRICE, "the merchant gave up");
}

/// Bank and customer: the money is given back although the log has the secret.
#[tokio::test]
async fn the_bank_releases_what_was_committed() {
    let town = Town::new().await;
    sold_at(&town, |asked| {
        if asked.caller != Caller::Merchant || !asked.is::<ClaimLocks>() {
            return Say::Truth;
        }
        let outcomes = vec![ClaimOutcome::Released; asked.message::<ClaimLocks>().claims.len()];
        Say::Lie(Answer::of(&ClaimReply { outcomes }))
    })
    .await;
    foiled(convicts(&town), "released, and the merchant proves nothing");
}
