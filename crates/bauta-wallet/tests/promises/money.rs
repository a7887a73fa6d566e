//! One thing at a time.

use std::sync::atomic::Ordering;

use bauta_proto::time::Seconds;
use bauta_wallet::{
    BuyOptions, Environment, Protection, PurchaseState, SaveOptions, Wallet, WalletError,
    observer::Unobserved,
};

use crate::{
    add_bank, available, buy, environment, funded, money, new_wallet, patient,
    world::{BANK, Fault, Merchant, PRICE, SHOP, World},
};

#[tokio::test]
async fn a_purchase_ends_in_goods_a_receipt_and_the_right_change() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    let report = buy(&mut wallet).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Complete);
    assert!(report.receipt_verified);
    assert_eq!(available(&wallet), 2_000 - PRICE);
    assert!(
        wallet
            .receipt(report.id)
            .expect("there")
            .starts_with("c2sp.org/tlog-proof@v1")
    );
    let saved = wallet
        .save(report.id, folder.path(), SaveOptions::default())
        .await;
    let saved = saved.expect("opened");
    assert_eq!(
        saved.file_name().and_then(|name| name.to_str()),
        Some("song.flac")
    );
    assert_eq!(
        std::fs::read(&saved).expect("there"),
        world.state().plaintext
    );
    let again = wallet
        .save(report.id, folder.path(), SaveOptions::default())
        .await;
    assert!(matches!(again, Err(WalletError::DestinationExists)));
    let overwrite = SaveOptions { overwrite: true };
    wallet
        .save(report.id, folder.path(), overwrite)
        .await
        .expect("replaced");
    assert!(
        wallet
            .resume()
            .await
            .expect("nothing to do")
            .again_at
            .is_none()
    );
}

#[tokio::test]
async fn a_merchant_that_refuses_gets_nothing_and_the_money_returns() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::Refuses;
    let report = wallet.buy(SHOP, "song", &patient(30)).await.expect("begun");
    assert_eq!(report.state, PurchaseState::Locked);
    assert!(report.trouble.is_some());
    let balance = wallet.balance().expect("readable").remove(0);
    assert_eq!(balance.locked[0].amount.minor_units, PRICE);
    assert_eq!(balance.available.minor_units, 2_000 - PRICE);
    let again_at = wallet
        .resume()
        .await
        .expect("waits")
        .again_at
        .expect("a time");
    assert!(again_at > world.now.load(Ordering::SeqCst));
    world.pass(500);
    let resumed = wallet.resume().await.expect("resumed");
    assert_eq!(resumed.ended[0].state, PurchaseState::Returned);
    assert_eq!(available(&wallet), 2_000);
    // Coins that were in a lock are exchanged, so that the next purchase is not linked to this one.
    assert_eq!(
        wallet.refresh().await.expect("refreshed").exchanged.len(),
        1
    );
    assert_eq!(available(&wallet), 2_000);
    world.state().merchant_does = Merchant::Honest;
    assert_eq!(
        buy(&mut wallet).await.expect("bought").state,
        PurchaseState::Complete
    );
}

#[tokio::test]
async fn v8_no_coin_of_a_purchase_that_failed_pays_for_the_next() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    let bank = add_bank(&mut wallet).await;
    wallet
        .withdraw(bank, money(PRICE))
        .await
        .expect("withdrawn");
    world.state().merchant_does = Merchant::Refuses;
    buy(&mut wallet).await.expect("begun");
    world.pass(500);
    wallet.resume().await.expect("resumed");
    assert_eq!(available(&wallet), PRICE);
    world.state().merchant_does = Merchant::Honest;
    let report = buy(&mut wallet).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Complete);
    let [first, second] = world.coins_of_locks().try_into().expect("two locks");
    assert!(first.iter().all(|key| !second.contains(key)));
}

#[tokio::test]
async fn v5_a_purchase_ends_although_the_merchant_passed_on_a_false_promise() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::PromisesNowhere;
    let report = buy(&mut wallet).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Delivered);
    world.pass(500);
    let resumed = wallet.resume().await.expect("resumed");
    assert_eq!(resumed.ended[0].state, PurchaseState::Complete);
    assert!(resumed.ended[0].receipt_verified);
}

#[tokio::test]
async fn a_shop_cannot_hold_money_for_long_unless_its_owner_agrees() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    let day = Seconds::hours(24);
    for (lock_min, is_agreed) in [(day, true), (Seconds(day.0 + 1), false)] {
        world.state().lock_min = lock_min;
        let bought = buy(&mut wallet).await;
        assert_eq!(bought.is_ok(), is_agreed);
        assert!(is_agreed || matches!(bought, Err(WalletError::Expiry { .. })));
    }
    let options = BuyOptions {
        lock_span: Some(Seconds(day.0 + 1)),
        ..patient(1)
    };
    wallet.buy(SHOP, "song", &options).await.expect("agreed");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_sees_what_is_in_the_wallets_folder() {
    use std::os::unix::fs::PermissionsExt;
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let folder = folder.path().join("wallet");
    let _wallet = new_wallet(&world, &folder);
    let metadata = std::fs::metadata(&folder).expect("made");
    assert_eq!(metadata.permissions().mode() & 0o077, 0);
}

#[tokio::test]
async fn a_merchant_that_commits_and_vanishes_has_delivered_through_the_log() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::CommitsAndVanishes;
    let report = wallet.buy(SHOP, "song", &patient(5)).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Complete);
    assert!(report.receipt_verified);
    wallet
        .save(report.id, folder.path(), SaveOptions::default())
        .await
        .expect("opens");
}

#[tokio::test]
async fn v3_a_bank_that_says_released_while_the_log_holds_the_key_keeps_nobody_from_the_goods() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().merchant_does = Merchant::CommitsAndVanishes;
    world.state().bank_denies = true;
    let report = wallet.buy(SHOP, "song", &patient(5)).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Complete);
    assert!(report.receipt_verified, "with the bank's word, a proof");
    wallet
        .save(report.id, folder.path(), SaveOptions::default())
        .await
        .expect("opens");
}

#[tokio::test]
async fn damaged_ciphertext_is_fetched_twice_and_then_nothing_is_paid() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.state().ciphertext[1_000_000] ^= 1;
    let refused = buy(&mut wallet).await;
    assert!(matches!(refused, Err(WalletError::Ciphertext)));
    let asked = world.state().asked.clone();
    let downloads = asked
        .iter()
        .filter(|url| url.contains("/v1/ciphertext/"))
        .count();
    assert_eq!(downloads, 2);
    assert_eq!(
        wallet.list().expect("listed")[0].state,
        PurchaseState::Refused
    );
    assert_eq!(available(&wallet), 2_000);
}

#[tokio::test]
async fn a_clock_that_is_wrong_by_hours_is_noticed_before_money_is_locked() {
    for ahead in [7_200, -7_200] {
        let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
        let mut wallet = funded(&world, folder.path()).await;
        world.state().log_clock_ahead = ahead;
        let refused = buy(&mut wallet).await;
        assert!(matches!(refused, Err(WalletError::ClockWrong { .. })));
        assert_eq!(available(&wallet), 2_000);
        world.state().log_clock_ahead = 0;
        let resumed = wallet.resume().await.expect("resumed");
        assert_eq!(resumed.ended[0].state, PurchaseState::Complete);
    }
}

#[tokio::test]
async fn words_alone_bring_every_coin_back_and_two_devices_share_none() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    buy(&mut wallet).await.expect("bought");
    let words = wallet.words();
    let other = tempfile::tempdir().expect("a folder");
    let Environment {
        transport,
        clock,
        rng,
        observer,
    } = environment(&world, Box::new(Unobserved));
    let environment = Environment {
        transport,
        clock,
        rng,
        observer,
    };
    let mut restored =
        Wallet::restore(other.path(), &Protection::Unprotected, &words, environment).expect("made");
    let report = restored.add_bank(BANK, None).await.expect("found");
    assert!(report.restored_coins > 0);
    assert_eq!(available(&restored), 2_000 - PRICE);
    let bought = buy(&mut restored).await.expect("bought");
    assert_eq!(bought.state, PurchaseState::Complete);
    let bank = restored.find_bank(None).expect("one");
    restored
        .withdraw(bank, money(100))
        .await
        .expect("withdrawn");
    wallet.withdraw(bank, money(100)).await.expect("withdrawn");
    assert_eq!(available(&restored), 2_100 - 2 * PRICE);
}

#[tokio::test]
async fn another_bank_at_a_known_address_is_refused_loudly() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    world.replace_bank();
    let changed = wallet.add_bank(BANK, None).await;
    assert!(matches!(changed, Err(WalletError::BankChanged { .. })));
    let bank = wallet.find_bank(None).expect("the old one");
    let refused = wallet.refresh_keysets(bank).await;
    assert!(matches!(refused, Err(WalletError::UnexpectedBank { .. })));
    assert_eq!(available(&wallet), 2_000);
    let mut fresh = new_wallet(&world, tempfile::tempdir().expect("a folder").path());
    let unexpected = fresh.add_bank(BANK, Some(bank)).await;
    assert!(matches!(
        unexpected,
        Err(WalletError::UnexpectedBank { .. })
    ));
}

#[tokio::test]
async fn what_another_role_at_the_banks_address_says_loses_no_money() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    let bank = add_bank(&mut wallet).await;
    let next = world.state().requests + 1;
    world.state().fault = Some((next, Fault::Unanswered));
    wallet.withdraw(bank, money(1_000)).await.expect_err("lost");
    world.state().bank_is_elsewhere = true;
    let resumed = wallet.resume().await.expect("resumed");
    assert_eq!((resumed.coins_settled, resumed.troubles.len()), (0, 1));
    world.state().bank_is_elsewhere = false;
    assert_eq!(wallet.resume().await.expect("resumed").coins_settled, 1);
    assert_eq!(available(&wallet), 1_000);

    let options = BuyOptions::default();
    let id = wallet
        .begin_purchase(SHOP, "song", &options)
        .await
        .expect("begun");
    let (asked, lock) = (world.state().requests, 5);
    world.state().fault = Some((asked + lock, Fault::Unanswered));
    wallet
        .finish_purchase(id, options.patience)
        .await
        .expect_err("lost");
    assert_eq!(world.coins_of_locks().len(), 1);
    world.state().bank_is_elsewhere = true;
    wallet.resume().await.expect("resumed");
    world.state().bank_is_elsewhere = false;
    let resumed = wallet.resume().await.expect("resumed");
    assert_eq!(resumed.ended[0].state, PurchaseState::Complete);
    assert_eq!(available(&wallet), 1_000 - PRICE);
}

#[tokio::test]
async fn a_named_payer_buys_without_any_coin() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    add_bank(&mut wallet).await;
    let options = BuyOptions {
        from_account: true,
        ..patient(1)
    };
    let report = wallet.buy(SHOP, "song", &options).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Complete);
    assert!(report.named);
}

#[tokio::test]
async fn a_price_above_the_limit_and_a_purse_too_small_are_refused_before_an_order() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    add_bank(&mut wallet).await;
    assert!(matches!(
        buy(&mut wallet).await,
        Err(WalletError::Insufficient { .. })
    ));
    let options = BuyOptions {
        price_max: Some(money(PRICE - 1)),
        ..patient(1)
    };
    let refused = wallet.buy(SHOP, "song", &options).await;
    assert!(matches!(refused, Err(WalletError::PriceAbove { .. })));
    assert!(wallet.list().expect("listed").is_empty());
}

#[tokio::test]
async fn coins_of_an_ending_keyset_are_shown_and_the_doctor_finds_the_rest_in_order() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    assert_eq!(wallet.balance().expect("read")[0].expiring.minor_units, 0);
    let checks = wallet.doctor().await.expect("looked");
    assert!(
        checks
            .iter()
            .all(|check| check.outcome != bauta_wallet::doctor::Outcome::Fail)
    );
    world.pass(210_000);
    assert_eq!(
        wallet.balance().expect("read")[0].expiring.minor_units,
        2_000
    );
}

#[tokio::test]
async fn defective_goods_name_their_defect_and_the_merchant() {
    use bauta_wallet::purchase::Defect;
    type Spoil = fn(&World);
    let cases: [(Defect, Spoil); 2] = [
        (Defect::WrongKey, World::sell_under_another_key),
        (Defect::Content, World::sell_something_else),
    ];
    for (defect, spoil) in cases {
        let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
        spoil(&world);
        let mut wallet = funded(&world, folder.path()).await;
        let report = buy(&mut wallet).await.expect("bought");
        let opened = wallet
            .save(report.id, folder.path(), SaveOptions::default())
            .await;
        let error = opened.expect_err("refused");
        assert_eq!(error.at_fault(), bauta_wallet::AtFault::Merchant);
        assert!(matches!(error, WalletError::Defective(found) if found == defect));
        assert_eq!(wallet.show(report.id).expect("shown").defect, Some(defect));
        let left = std::fs::read_dir(folder.path())
            .expect("a folder")
            .flatten();
        let names: Vec<_> = left.map(|entry| entry.file_name()).collect();
        assert!(
            !names
                .iter()
                .any(|name| name.to_string_lossy().starts_with("song"))
        );
    }
}

#[tokio::test]
async fn signatures_of_another_key_are_not_counted_as_money() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    let bank = add_bank(&mut wallet).await;
    world.sign_wrongly();
    let refused = wallet.withdraw(bank, money(100)).await;
    assert!(matches!(refused, Err(WalletError::BadIssue)));
    assert_eq!(available(&wallet), 0);
    assert_eq!(
        wallet.balance().expect("read")[0].pending[0]
            .amount
            .minor_units,
        100
    );
}

#[tokio::test]
async fn a_keyset_that_does_not_stand_in_the_log_is_not_used() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    world.forget_the_record();
    let refused = wallet.add_bank(BANK, None).await;
    assert!(matches!(
        refused,
        Err(WalletError::NoKeyset { unlogged: 1 })
    ));
    assert!(wallet.banks().expect("read").is_empty());
}

#[tokio::test]
async fn too_many_small_coins_are_made_fewer_and_still_pay() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = new_wallet(&world, folder.path());
    let bank = add_bank(&mut wallet).await;
    for _ in 0..80 {
        wallet.withdraw(bank, money(7)).await.expect("withdrawn");
    }
    let report = buy(&mut wallet).await.expect("bought");
    assert_eq!(report.state, PurchaseState::Complete);
    assert_eq!(available(&wallet), 80 * 7 - PRICE);
}

#[tokio::test]
async fn a_purchase_can_be_given_up_before_money_is_asked_for_and_not_after() {
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    let options = BuyOptions::default();
    let early = wallet
        .begin_purchase(SHOP, "song", &options)
        .await
        .expect("begun");
    wallet.cancel(early).expect("cancelled");
    assert_eq!(
        wallet.show(early).expect("shown").state,
        PurchaseState::Refused
    );
    let late = buy(&mut wallet).await.expect("bought");
    assert!(matches!(wallet.cancel(late.id), Err(WalletError::TooLate)));
    assert_eq!(available(&wallet), 2_000 - PRICE);
}

#[tokio::test]
async fn operations_can_run_on_any_thread() {
    fn assert_send<F: Send>(future: F) -> F {
        future
    }
    let (world, folder) = (World::new(), tempfile::tempdir().expect("a folder"));
    let mut wallet = funded(&world, folder.path()).await;
    assert_send(wallet.refresh()).await.expect("nothing to do");
    assert_send(wallet.resume()).await.expect("nothing to do");
    assert_send(wallet.doctor()).await.expect("looked");
    let bought = assert_send(wallet.buy(SHOP, "song", &patient(1)))
        .await
        .expect("bought");
    let saved = wallet.save(bought.id, folder.path(), SaveOptions::default());
    assert_send(saved).await.expect("opened");
}
