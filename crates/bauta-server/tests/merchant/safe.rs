//! Mode SAFE: nothing that pays the shop leaves it before no cancel can come first.

use bauta_proto::{
    codec::Message,
    lock::{LockState, opens},
    log::leaf::Deed,
    offer::Mode,
    problem::ProblemKind,
};
use bauta_server::roles::merchant::MerchantStartError;
use bauta_store::merchant::{OrderState, Reason};

use super::world::{Town, Way, kind, seed};

/// A town whose customers order in mode SAFE and whose shop has begun to follow the log.
async fn town() -> Town {
    let mut town = Town::new().await;
    town.mode = Mode::Safe;
    town.follow().await;
    town
}

#[tokio::test]
async fn the_key_leaves_only_after_what_prepares_is_proved_to_come_before_any_cancel() {
    let town = town().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    let pending = ProblemKind::DeliveryPending;
    assert_eq!(kind(town.accept(&accept).await), pending);
    assert_eq!(town.state(&reply), OrderState::Preparing);
    // The log has promised, but shown nothing.
    town.set_clock(2);
    town.merchant.push_commits().await.expect("pushed");
    assert_eq!(town.state(&reply), OrderState::Preparing);
    assert_eq!(town.record(&reply).sent_at, None);
    town.follow().await;
    town.set_clock(4);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    let order = town.record(&reply);
    assert_eq!(order.state, OrderState::Promised);
    let delivery = town.accept(&accept).await.expect("delivered");
    assert!(opens(&delivery.preimage, &reply.offer.body.hash_lock));
    town.archive.publish_once().await.expect("published");
    town.set_clock(8);
    town.merchant.collect_receipts().await.expect("collected");
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
    let proofs = &town.net.bank.credited()[0].proofs;
    let deeds: Vec<Deed> = proofs.iter().map(|proof| proof.deed).collect();
    assert_eq!(deeds, [Deed::Prepare, Deed::Commit]);
    let again = town.accept(&accept).await.expect("delivered");
    assert_eq!(again.to_bytes(), delivery.to_bytes());
}

#[tokio::test]
async fn v2_the_key_does_not_leave_before_the_bank_has_seen_the_lock_prepared() {
    let town = town().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    // The log shows the shop more than it shows the bank.
    town.net
        .bank
        .decide(accept.lock.lock_tag(), LockState::Held);
    let pending = ProblemKind::DeliveryPending;
    assert_eq!(kind(town.accept(&accept).await), pending);
    town.set_clock(2);
    town.follow().await;
    town.set_clock(4);
    town.merchant.push_commits().await.expect("pushed");
    assert_eq!(town.state(&reply), OrderState::Preparing);
    assert_eq!(town.record(&reply).sent_at, None);
    town.net
        .bank
        .decide(accept.lock.lock_tag(), LockState::Prepared);
    town.set_clock(6);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    assert_eq!(town.state(&reply), OrderState::Promised);
}

#[tokio::test]
async fn a_cancel_that_came_first_ends_the_sale_and_the_key_never_leaves() {
    for is_read_late in [false, true] {
        let town = town().await;
        let reply = town.offered(1).await;
        let accept = town.pay(&reply, 1);
        town.cancel(&accept.lock).await;
        if !is_read_late {
            town.follow().await;
        }
        assert!(town.accept(&accept).await.is_err());
        town.follow().await;
        town.set_clock(2);
        town.merchant.push_commits().await.expect("pushed");
        let order = town.record(&reply);
        assert_eq!(
            (order.state, order.reason, order.sent_at),
            (OrderState::Failed, Some(Reason::Cancelled), None)
        );
        let failed = ProblemKind::DeliveryFailed;
        assert_eq!(kind(town.accept(&accept).await), failed);
    }
}

#[tokio::test]
async fn a_cancel_that_came_second_changes_nothing() {
    let town = town().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    assert!(town.accept(&accept).await.is_err());
    town.cancel(&accept.lock).await;
    town.follow().await;
    town.set_clock(2);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    assert_eq!(town.state(&reply), OrderState::Promised);
}

#[tokio::test]
async fn what_cannot_be_prepared_in_time_never_sends_the_key() {
    let town = town().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    assert!(town.accept(&accept).await.is_err());
    // Prepared, but seen only when less than two checkpoints and a round trip of the reveal window are left.
    town.archive.publish_once().await.expect("published");
    town.set_clock(80 + 60 - 14 + 1);
    town.merchant.follow_logs().await.expect("followed");
    town.merchant.push_commits().await.expect("pushed");
    let order = town.record(&reply);
    assert_eq!(
        (order.state, order.reason, order.sent_at),
        (OrderState::Failed, Some(Reason::TooLate), None)
    );
}

#[tokio::test]
async fn a_prepare_that_stands_only_in_a_late_checkpoint_is_none() {
    let town = town().await;
    let reply = town.offered(1).await;
    assert!(town.accept(&town.pay(&reply, 1)).await.is_err());
    town.set_clock(80 + 31);
    town.follow().await;
    town.merchant.push_commits().await.expect("pushed");
    assert_eq!(town.state(&reply), OrderState::Preparing);
    assert_eq!(town.record(&reply).sent_at, None);
}

#[tokio::test]
async fn a_prepare_whose_early_checkpoint_nobody_fetched_is_found_among_those_that_the_log_kept() {
    let town = town().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    assert!(town.accept(&accept).await.is_err());
    town.set_clock(20);
    town.archive.publish_once().await.expect("published");
    // Nobody looks before only late checkpoints are shown.
    town.set_clock(80 + 31);
    town.follow().await;
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    assert!(town.record(&reply).sent_at.is_some());
}

#[tokio::test]
async fn a_sale_not_prepared_by_the_expiry_ends_by_the_banks_word_which_is_not_asked_all_the_time()
{
    let mut town = Town::new().await;
    town.config.reveal_window_s = 3_600;
    town.crash();
    town.mode = Mode::Safe;
    town.follow().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    assert!(town.accept(&accept).await.is_err());
    let lock_tag = accept.lock.lock_tag();
    // The bank may have seen more than this shop, or has not seen the end yet.
    for (state, passed) in [(LockState::Prepared, 40), (LockState::Held, 400)] {
        town.net.bank.decide(lock_tag, state);
        town.set_clock(80 + passed);
        town.merchant.push_commits().await.expect("pushed");
        let order = town.record(&reply);
        assert_eq!((order.state, order.sent_at), (OrderState::Preparing, None));
        let asked_at = accept.lock.public.expiry.0 + u64::from(passed);
        assert_eq!(order.due_at.0, asked_at + u64::from(passed / 4));
    }
    town.net.bank.decide(lock_tag, LockState::Released);
    town.set_clock(80 + 500);
    town.merchant.push_commits().await.expect("pushed");
    let order = town.record(&reply);
    assert_eq!(
        (order.state, order.reason, order.sent_at),
        (OrderState::Failed, Some(Reason::Released), None)
    );
}

#[tokio::test]
async fn a_sale_of_which_the_log_was_not_read_from_the_beginning_is_not_prepared() {
    let mut town = Town::new().await;
    town.mode = Mode::Safe;
    let overloaded = ProblemKind::Overloaded;
    let good = town.add_good(b"text");
    let order = town.order_of(&good, 1);
    assert_eq!(kind(town.order(&order).await), overloaded);
    town.follow().await;
    town.order(&order).await.expect("now it is followed");
}

#[tokio::test]
async fn a_mode_that_the_shop_does_not_offer_is_refused_and_the_catalogue_says_so() {
    let mut town = Town::new().await;
    town.config.modes = vec![Mode::Fast];
    town.crash();
    town.mode = Mode::Safe;
    let good = town.add_good(b"text");
    let order = town.order_of(&good, 1);
    assert_eq!(kind(town.order(&order).await), ProblemKind::ModeNotOffered);
    let catalogue = town.get("/v1/catalogue", &[]).await;
    let text = String::from_utf8(catalogue.into_body()).expect("JSON");
    assert!(text.contains(r#""modes":["fast"]"#), "{text}");
}

#[tokio::test]
async fn from_half_of_the_reveal_window_on_the_bank_gets_the_key_and_not_before() {
    let town = town().await;
    let reply = town.offered(1).await;
    let accept = town.pay(&reply, 1);
    assert!(town.accept(&accept).await.is_err());
    town.follow().await;
    town.ways(Way::Cut, Way::Open);
    town.set_clock(10);
    town.merchant.push_commits().await.expect("pushed");
    assert_eq!(town.state(&reply), OrderState::Sent);
    // From 10 to 80 + 60: half of it is gone at 75.
    town.set_clock(75);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 0);
    town.set_clock(76);
    assert_eq!(town.merchant.push_commits().await.expect("pushed"), 1);
    assert_eq!(town.state(&reply), OrderState::Captured);
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_safe_sale_loses_nothing() {
    let mut town = town().await;
    let reply = town.offered(1).await;
    town.crash();
    let accept = town.pay(&reply, 1);
    town.ways(Way::Unacknowledged, Way::Open);
    assert!(town.accept(&accept).await.is_err());
    assert_eq!(town.state(&reply), OrderState::Preparing);
    town.crash();
    town.ways(Way::Open, Way::Open);
    town.set_clock(2);
    town.merchant.push_commits().await.expect("pushed");
    town.crash();
    town.follow().await;
    town.crash();
    town.merchant.follow_logs().await.expect("nothing new");
    town.ways(Way::Unacknowledged, Way::Cut);
    town.set_clock(4);
    town.merchant.push_commits().await.expect("pushed");
    assert!(matches!(
        town.state(&reply),
        OrderState::Sent | OrderState::Preparing
    ));
    town.crash();
    town.ways(Way::Open, Way::Open);
    for seconds in [6, 8, 10] {
        town.follow().await;
        town.set_clock(seconds);
        town.merchant.push_commits().await.expect("pushed");
        town.merchant.collect_receipts().await.expect("collected");
    }
    assert_eq!(town.state(&reply), OrderState::Logged);
    let lock_tag = accept.lock.lock_tag();
    let preimage = [0; 32];
    let captured = LockState::Captured { preimage };
    town.net.bank.decide(lock_tag, captured);
    assert_eq!(town.merchant.claim().await.expect("claimed"), 1);
}

#[tokio::test]
async fn a_reveal_window_that_is_too_short_to_commit_in_is_refused() {
    let town = Town::new().await;
    for (window, is_right) in [(13, false), (14, true), (4, false), (604_801, false)] {
        let mut config = town.config.clone();
        config.reveal_window_s = window;
        assert_eq!(opens_with(&town, &config), is_right, "{window}");
    }
}

fn opens_with(town: &Town, config: &bauta_server::roles::merchant::MerchantConfig) -> bool {
    let world = bauta_server::work::World {
        clock: town.clock.clone(),
        transport: town.net.clone(),
    };
    let seed = seed(config, "merchant.key");
    let opened = bauta_server::roles::merchant::Merchant::open(config, seed, world);
    !matches!(opened, Err(MerchantStartError::Config(_)))
}
