//! Acceptance, delivery and money.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bauta_proto::{
    accept::Delivery,
    codec::Message,
    customer::OpenedOffer,
    decision::{Age, age},
    lock::{ClaimOutcome, LockState, opens},
    log::receipt::Receipt,
    problem::ProblemKind,
};
use bauta_server::roles::merchant::{MerchantStartError, payee_account};
use bauta_store::merchant::{Actor, MerchantCommand, MerchantStore, OrderState, Reason};

use super::world::{NOW, Town, Way, input, key, kind, seed};

#[tokio::test]
async fn a_sale_goes_from_lock_to_money_and_the_key_opens_the_goods() {
    let town = Town::new().await;
    let good = town.add_good(b"text");
    let order = town.order_of(&good, 1);
    let reply = town.order(&order).await.expect("offered");
    let accept = town.pay(&reply, 1);
    let delivery = town.accept(&accept).await.expect("delivered");
    let opened = OpenedOffer::check(reply.clone(), &order, input().price, NOW).expect("opened");
    assert!(opened.open_key(&delivery.preimage).is_some());
    assert!(!delivery.promises.is_empty());
    assert_eq!(town.state(&reply), OrderState::Promised);

    town.archive.publish_once().await.expect("published");
    town.set_clock(2);
    assert_eq!(
        town.merchant.collect_receipts().await.expect("collected"),
        1
    );
    town.check_receipt(&town.record(&reply), &delivery);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
    assert_eq!(town.state(&reply), OrderState::Claimed);
    let claims = town.net.bank.credited();
    let bank = reply.offer.body.bank;
    let own = payee_account(&seed(&town.config, "merchant.key"), bank);
    assert_eq!(claims[0].payee.account, own);
    assert_eq!(claims[0].payee.commitment(), reply.offer.body.payee);
    assert_eq!(town.merchant.claim().await.expect("nothing"), 0);
}

#[tokio::test]
async fn a_claim_shows_its_receipt_only_when_the_bank_is_undecided() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    let tag = accept.lock.lock_tag();
    town.accept(&accept).await.expect("delivered");
    town.archive.publish_once().await.expect("published");
    town.set_clock(2);
    town.merchant.collect_receipts().await.expect("collected");
    town.merchant.claim().await.expect("claimed");
    let claims = town.net.bank.claims.lock().expect("no panic").clone();
    assert_eq!(claims, [(tag, false), (tag, true)]);
}

#[tokio::test]
async fn the_same_acceptance_gets_the_same_bytes_at_every_later_moment() {
    let mut town = Town::new().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    let first = town.accept(&accept).await.expect("delivered").to_bytes();
    town.archive.publish_once().await.expect("published");
    for seconds in [2, 3_600, 100_000] {
        town.set_clock(seconds);
        town.crash();
        let again = town.accept(&accept).await.expect("delivered");
        assert_eq!(again.to_bytes(), first);
        town.merchant.collect_receipts().await.expect("collected");
        town.merchant.claim().await.expect("claimed");
    }
    assert_eq!(town.state(&reply), OrderState::Claimed);
}

#[tokio::test]
async fn a_second_lock_for_one_offer_is_refused() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    town.accept(&town.pay(&reply, 1)).await.expect("delivered");
    let second = town.pay(&reply, 2);
    assert_eq!(kind(town.accept(&second).await), ProblemKind::OtherLock);
}

#[tokio::test]
async fn locks_that_do_not_pay_in_time_are_refused_and_nothing_is_sent() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let mut foreign = town.pay(&reply, 1);
    foreign.lock.signature = key(9).sign(0, b"");
    assert_eq!(kind(town.accept(&foreign).await), ProblemKind::LockMismatch);
    let mut unsigned = town.pay(&reply, 1);
    unsigned.accept = unsigned.accept.body.signed(&key(9));
    assert_eq!(
        kind(town.accept(&unsigned).await),
        ProblemKind::BadSignature
    );
    let paid = town.pay(&reply, 1);
    town.set_clock(80 - 14 + 1);
    assert_eq!(kind(town.accept(&paid).await), ProblemKind::LockTooShort);
    assert_eq!(town.state(&reply), OrderState::Offered);
    town.set_clock(80 - 14);
    town.accept(&paid).await.expect("in time");
    town.set_clock(15 * 60 + 1);
    let other = town.order_of(&town.add_good(b"other"), 9);
    town.set_clock(0);
    let reply = town.order(&other).await.expect("offered");
    town.set_clock(15 * 60 + 1);
    let late = town.pay(&reply, 3);
    assert_eq!(kind(town.accept(&late).await), ProblemKind::OfferExpired);
}

#[tokio::test]
async fn the_customer_gets_no_key_before_log_or_bank_confirm_it() {
    for way in [Way::Cut, Way::Unacknowledged] {
        let mut town = Town::new().await;
        let reply = town.offered(1).await;
        let accept = town.pay(&reply, 1);
        town.ways(way, way);
        assert_eq!(
            kind(town.accept(&accept).await),
            ProblemKind::DeliveryPending
        );
        assert_eq!(
            kind(town.accept(&accept).await),
            ProblemKind::DeliveryPending
        );
        town.crash();
        town.set_clock(1);
        town.merchant.push_commits().await.expect("pushed");
        assert_eq!(
            kind(town.accept(&accept).await),
            ProblemKind::DeliveryPending
        );
        town.ways(Way::Open, Way::Open);
        town.set_clock(2);
        assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
        let delivery = town.accept(&accept).await.expect("delivered");
        assert!(opens(&delivery.preimage, &reply.offer.body.hash_lock));
    }
}

#[tokio::test]
async fn from_half_of_the_time_on_the_bank_gets_the_key_and_not_before() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    town.ways(Way::Cut, Way::Open);
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryPending
    );
    town.set_clock(40);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 0);
    town.set_clock(41);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    let order = town.record(&reply);
    assert_eq!(order.state, OrderState::Captured);
    assert!(order.capture.is_some());
    let delivery = town.accept(&accept).await.expect("delivered");
    assert_eq!(delivery.promises, []);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
}

/// The log did it and the answer was lost until the expiry; the log still has it.
#[tokio::test]
async fn a_sale_that_became_unknown_is_found_in_the_log() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    town.ways(Way::Unacknowledged, Way::Cut);
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryPending
    );
    town.set_clock(81);
    town.merchant.push_commits().await.expect("pushed");
    let order = town.record(&reply);
    assert_eq!(order.state, OrderState::Unknown);
    assert_eq!(order.standing(NOW).next, Actor::Bank);
    town.ways(Way::Open, Way::Open);
    town.set_clock(90);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    let delivery: Delivery = town.accept(&accept).await.expect("delivered");
    assert!(!delivery.promises.is_empty());
}

#[tokio::test]
async fn a_sale_that_neither_log_nor_bank_got_in_time_fails_without_key_or_money() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    town.ways(Way::Cut, Way::Cut);
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryPending
    );
    town.set_clock(81);
    town.merchant.push_commits().await.expect("pushed");
    town.ways(Way::Open, Way::Open);
    town.set_clock(100);
    town.merchant.push_commits().await.expect("pushed");
    assert_eq!(town.state(&reply), OrderState::Unknown);
    town.net
        .bank
        .decide(accept.lock.lock_tag(), LockState::Released);
    town.set_clock(1_000);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    let order = town.record(&reply);
    assert_eq!(
        (order.state, order.reason),
        (OrderState::Failed, Some(Reason::Released))
    );
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryFailed
    );
    assert_eq!(order.standing(NOW).next, Actor::Nobody);
}

#[tokio::test]
async fn a_log_that_breaks_its_promise_is_on_record_and_the_money_comes_from_the_bank() {
    let town = Town::new().await;
    let other = town.offered(1).await;
    town.accept(&town.pay(&other, 1)).await.expect("delivered");
    let reply = town.offered(2).await;
    let accept = town.pay(&reply, 2);
    town.ways(Way::Lying, Way::Open);
    let first = town.accept(&accept).await.expect("delivered");
    town.archive.publish_once().await.expect("published");
    town.set_clock(2);
    town.merchant.collect_receipts().await.expect("collected");
    let order = town.record(&reply);
    assert_eq!(
        (order.state, order.reason),
        (OrderState::Unknown, Some(Reason::BrokenPromise))
    );
    let evidence =
        String::from_utf8(order.leaves[0].evidence.clone().expect("kept")).expect("a note");
    town.archive
        .policy()
        .check(&evidence)
        .expect("the log's own checkpoint");
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    assert_eq!(town.state(&reply), OrderState::Captured);
    assert_eq!(town.accept(&accept).await.expect("delivered"), first);
}

#[tokio::test]
async fn a_promise_without_a_checkpoint_by_half_of_the_time_is_insured_at_the_bank() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let first = town.accept(&town.pay(&reply, 1)).await.expect("delivered");
    town.set_clock(40);
    town.merchant.collect_receipts().await.expect("none yet");
    assert_eq!(town.state(&reply), OrderState::Promised);
    town.set_clock(42);
    town.merchant.collect_receipts().await.expect("none yet");
    let order = town.record(&reply);
    assert_eq!(
        (order.state, order.told_promises().cloned().collect()),
        (OrderState::Captured, first.promises)
    );
}

#[tokio::test]
async fn v2_a_receipt_that_is_not_early_is_no_reason_to_keep_the_key_from_the_bank() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    town.accept(&accept).await.expect("delivered");
    // The log's clock was ahead for a moment; its checkpoints never go back.
    town.set_clock(80 + 31);
    town.archive.publish_once().await.expect("published");
    town.set_clock(2);
    town.merchant.collect_receipts().await.expect("looked");
    assert_eq!(town.state(&reply), OrderState::Captured);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
}

#[tokio::test]
async fn a_frozen_account_is_paid_whenever_it_is_thawed() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    town.accept(&town.pay(&reply, 1)).await.expect("delivered");
    town.archive.publish_once().await.expect("published");
    town.set_clock(2);
    town.merchant.collect_receipts().await.expect("collected");
    let answer = |outcome| *town.net.bank.answer.lock().expect("no panic") = outcome;
    answer(Some(ClaimOutcome::Frozen));
    town.set_clock(40 * 86_400);
    assert_eq!(town.merchant.claim().await.expect("asked"), 0);
    answer(None);
    town.set_clock(41 * 86_400);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_sale_loses_nothing() {
    let mut town = Town::new().await;
    let reply = town.offered(1).await;
    town.crash();
    let accept = town.pay(&reply, 1);
    town.ways(Way::Unacknowledged, Way::Open);
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryPending
    );
    assert_eq!(town.state(&reply), OrderState::Sent);
    town.crash();
    town.ways(Way::Open, Way::Open);
    town.set_clock(1);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    town.crash();
    town.archive.publish_once().await.expect("published");
    town.set_clock(5);
    assert_eq!(
        town.merchant.collect_receipts().await.expect("collected"),
        1
    );
    town.crash();
    town.ways(Way::Open, Way::Unacknowledged);
    town.merchant.claim().await.expect_err("the answer is lost");
    assert_eq!(town.state(&reply), OrderState::Logged);
    town.crash();
    town.ways(Way::Open, Way::Open);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
    assert_eq!(town.state(&reply), OrderState::Claimed);
}

#[tokio::test]
async fn what_hinders_a_claim_is_said_and_the_claim_comes_again() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    town.accept(&town.pay(&reply, 1)).await.expect("delivered");
    town.archive.publish_once().await.expect("published");
    town.set_clock(2);
    town.merchant.collect_receipts().await.expect("collected");
    let answer = |outcome| *town.net.bank.answer.lock().expect("no panic") = outcome;
    answer(Some(ClaimOutcome::Frozen));
    assert_eq!(town.merchant.claim().await.expect("asked"), 0);
    let order = town.record(&reply);
    assert_eq!(
        (order.state, order.reason),
        (OrderState::Logged, Some(Reason::Frozen))
    );
    assert_eq!(order.standing(NOW).next, Actor::Operator);
    answer(None);
    town.set_clock(60);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
}

/// While too many preimages are on their way, a lock is stored and its preimage waits.
#[tokio::test]
async fn a_preimage_that_had_to_wait_leaves_in_time_or_never() {
    let town = Town::new().await;
    let (prompt, late) = (town.offered(1).await, town.offered(2).await);
    let mut store = MerchantStore::open(&town.config.store_path()).expect("opens");
    let mut accept = |reply, serial| {
        let command = MerchantCommand::Accept {
            request: Box::new(town.pay(reply, serial)),
            at: NOW,
            send: false,
        };
        let results = store.apply(&[command]).expect("written");
        assert!(results[0].is_ok());
    };
    accept(&prompt, 1);
    town.set_clock(80 - 14);
    town.merchant.push_commits().await.expect("pushed");
    assert_eq!(town.state(&prompt), OrderState::Promised);
    town.set_clock(0);
    accept(&late, 2);
    town.set_clock(80 - 14 + 1);
    town.merchant.push_commits().await.expect("pushed");
    let order = town.record(&late);
    assert_eq!(
        (order.state, order.reason),
        (OrderState::Failed, Some(Reason::TooLate))
    );
    assert_eq!(order.sent_at, None);
}

#[tokio::test]
async fn a_promise_or_word_that_log_or_bank_did_not_give_confirms_nothing() {
    for way in [Way::Forged, Way::OtherLeaf] {
        let town = Town::new().await;
        let reply = town.offered(1).await;
        town.ways(way, Way::Forged);
        let accept = town.pay(&reply, 1);
        assert_eq!(
            kind(town.accept(&accept).await),
            ProblemKind::DeliveryPending
        );
        assert_eq!(town.state(&reply), OrderState::Sent);
    }
}

#[tokio::test]
async fn the_jobs_finish_a_sale_by_themselves_and_stop_when_told() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    town.ways(Way::Unacknowledged, Way::Open);
    let accept = town.pay(&reply, 1);
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryPending
    );
    town.archive.publish_once().await.expect("published");
    town.ways(Way::Open, Way::Open);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let jobs = tokio::spawn(town.merchant.clone().run_jobs(stopped));
    for seconds in 1..100 {
        town.set_clock(seconds.min(40));
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        if town.state(&reply) == OrderState::Claimed {
            break;
        }
    }
    assert_eq!(town.state(&reply), OrderState::Claimed);
    stop.send_replace(true);
    jobs.await.expect("stopped");
}

#[tokio::test]
async fn no_preimage_goes_to_the_logs_of_another_policy_than_the_sale_names() {
    let mut town = Town::new().await;
    let (unpaid, open) = (town.offered(1).await, town.offered(2).await);
    let (late, accept) = (town.pay(&unpaid, 1), town.pay(&open, 2));
    town.ways(Way::Cut, Way::Cut);
    assert_eq!(
        kind(town.accept(&accept).await),
        ProblemKind::DeliveryPending
    );
    let refused = town.change_policy();
    assert!(matches!(refused, Err(MerchantStartError::PolicyInUse)));

    town.ways(Way::Open, Way::Open);
    town.set_clock(1);
    town.merchant.push_commits().await.expect("pushed");
    town.archive.publish_once().await.expect("published");
    town.set_clock(4);
    town.merchant.collect_receipts().await.expect("collected");
    town.change_policy().expect("no sale waits for logs");
    let refused = kind(town.accept(&late).await);
    assert_eq!(refused, ProblemKind::PolicyNotAccepted);
    assert_eq!(town.state(&unpaid), OrderState::Offered);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
}

#[tokio::test]
async fn a_commit_whose_early_checkpoint_nobody_fetched_is_found_among_those_that_the_log_kept() {
    let town = Town::new().await;
    let reply = town.offered(1).await;
    let delivery = town.accept(&town.pay(&reply, 1)).await;
    let delivery = delivery.expect("delivered");
    town.set_clock(20);
    town.archive.publish_once().await.expect("published");
    // The shop sleeps until only late checkpoints are shown.
    town.set_clock(80 + 31);
    town.archive.publish_once().await.expect("published");
    assert_eq!(town.merchant.collect_receipts().await.expect("read"), 1);
    let order = town.record(&reply);
    assert_eq!(order.state, OrderState::Logged);
    town.check_receipt(&order, &delivery);
    let text = order.leaves[0].receipt.clone().expect("a receipt");
    let receipt = Receipt::from_text(&text).expect("a receipt");
    let shown = town.archive.policy().check(&receipt.checkpoint);
    let expiry = order.expiry().expect("a lock");
    assert_eq!(age(&shown.expect("by the policy"), expiry), Age::Early);
}

#[tokio::test]
async fn a_log_that_stalls_costs_one_wait_and_not_one_for_each_sale() {
    let town = Town::new().await;
    let mut replies = Vec::new();
    for number in 1..=3 {
        let reply = town.offered(number).await;
        let delivery = town.accept(&town.pay(&reply, number)).await;
        delivery.expect("delivered");
        replies.push(reply);
    }
    town.archive.publish_once().await.expect("published");
    town.set_clock(3);
    town.ways(Way::Stalling, Way::Open);
    let begun = Instant::now();
    assert!(town.merchant.collect_receipts().await.is_err());
    let waited = begun.elapsed();
    assert!(waited < Duration::from_secs(9), "{waited:?}");
    // Left alone for a while after a second wait.
    town.set_clock(5);
    assert!(town.merchant.collect_receipts().await.is_err());
    let asked = town.net.stalled.load(Ordering::Relaxed);
    town.set_clock(7);
    assert!(town.merchant.collect_receipts().await.is_err());
    assert_eq!(town.net.stalled.load(Ordering::Relaxed), asked);
    town.ways(Way::Open, Way::Open);
    town.set_clock(9);
    assert_eq!(town.merchant.collect_receipts().await.expect("read"), 3);
}
