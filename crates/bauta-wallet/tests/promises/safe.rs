//! Mode SAFE: cancellable until the seller commits; and what log hosts learn by being asked.

use std::time::Duration;

use bauta_wallet::{CancelOutcome, PurchaseState, WalletError};

use crate::{
    available, buy, buy_safely, funded,
    world::{Merchant, PRICE, World},
};

const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_safe_purchase_ends_in_goods_with_a_receipt() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    let bought = buy_safely(&mut wallet).await.expect("bought");
    assert_eq!(
        (bought.state, bought.mode),
        (PurchaseState::Complete, "safe")
    );
    assert!(bought.receipt_verified);
    assert_eq!(bought.cancellable_until, None);
    let late = wallet.cancel(bought.id);
    assert!(matches!(late, Err(WalletError::TooLate)));
}

#[tokio::test]
async fn a_lock_that_was_not_prepared_comes_back_at_once_when_its_owner_cancels() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::Refuses;
    let bought = buy_safely(&mut wallet).await.expect("begun");
    assert_eq!(bought.state, PurchaseState::Locked);
    assert_eq!(bought.cancellable_until, bought.expires_at);
    wallet.cancel(bought.id).expect("wanted");
    let ended = wallet.finish_purchase(bought.id, PATIENCE).await;
    let ended = ended.expect("decided");
    assert_eq!(ended.state, PurchaseState::Returned);
    assert_eq!(available(&wallet), 2_000);
}

#[tokio::test]
async fn a_cancel_behind_a_prepare_is_too_late_and_the_purchase_goes_on_by_itself() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::PreparesAndVanishes;
    let bought = buy_safely(&mut wallet).await.expect("begun");
    wallet.cancel(bought.id).expect("wanted");
    world.state().merchant_does = Merchant::Honest;
    let ended = wallet.finish_purchase(bought.id, PATIENCE).await;
    let ended = ended.expect("decided");
    assert_eq!(ended.cancel, Some(CancelOutcome::TooLate));
    assert_eq!(ended.state, PurchaseState::Complete);
    assert_eq!(available(&wallet), 2_000 - PRICE);
}

#[tokio::test]
async fn a_merchant_that_prepares_and_vanishes_keeps_the_money_no_longer_than_its_window() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::PreparesAndVanishes;
    let bought = buy_safely(&mut wallet).await.expect("begun");
    // The expiry is 120 s ahead, the reveal window 60 s long.
    world.pass(160);
    wallet.resume().await.expect("resumed");
    let shown = wallet.show(bought.id).expect("known");
    assert_eq!(shown.state, PurchaseState::Locked);
    world.pass(60);
    wallet.resume().await.expect("resumed");
    let shown = wallet.show(bought.id).expect("known");
    assert_eq!(shown.state, PurchaseState::Returned);
    assert_eq!(available(&wallet), 2_000);
}

#[tokio::test]
async fn a_purchase_in_mode_fast_with_money_locked_cannot_be_cancelled() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::Refuses;
    let bought = buy(&mut wallet).await.expect("begun");
    assert_eq!((bought.mode, bought.cancellable_until), ("fast", None));
    let late = wallet.cancel(bought.id);
    assert!(matches!(late, Err(WalletError::TooLate)));
}

/// Purchase, receipt, a silent merchant and a cancel: of a log's host only its checkpoint and whole files of the tree are
/// asked for, and one path to which every submission goes.
#[tokio::test]
async fn log_hosts_are_asked_for_whole_files_that_name_neither_lock_nor_leaf() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    let mut tags = Vec::new();
    let mut keep = |tag: Option<String>| tags.extend(tag);
    keep(buy(&mut wallet).await.expect("bought").lock_tag);
    world.state().merchant_does = Merchant::CommitsAndVanishes;
    let silent = buy(&mut wallet).await.expect("found in the log");
    assert_eq!(silent.state, PurchaseState::Complete);
    keep(silent.lock_tag);
    world.state().merchant_does = Merchant::Refuses;
    let cancelled = buy_safely(&mut wallet).await.expect("begun");
    wallet.cancel(cancelled.id).expect("wanted");
    let ended = wallet.finish_purchase(cancelled.id, PATIENCE).await;
    keep(ended.expect("decided").lock_tag);
    assert_eq!(tags.len(), 3);

    let asked = world.state().asked.clone();
    let log = asked
        .iter()
        .filter_map(|url| url.strip_prefix("http://log.example"));
    let mut files = 0;
    for path in log {
        assert!(tags.iter().all(|tag| !path.contains(tag)), "{path}");
        let whole = ["/tile/entries/000.p/", "/tile/0/000.p/"];
        let width = whole.iter().find_map(|whole| path.strip_prefix(whole));
        match width {
            // The width is the tree's: the log has so many leaves, whoever asks.
            Some(width) => assert!(width.parse::<u64>().is_ok(), "{path}"),
            None => assert!(["/checkpoint", "/v1/leaf"].contains(&path), "{path}"),
        }
        files += 1;
    }
    assert!(files > 10, "the log was asked at all");
}
