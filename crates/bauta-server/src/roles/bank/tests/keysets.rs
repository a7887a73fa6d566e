use bauta_proto::log::{leaf::Leaf, receipt::Receipt};

use super::*;

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_keyset_is_published_only_with_the_proof_that_it_is_in_the_log() {
    let test = TestBank::unlogged();
    assert!(test.bank.ready().is_err());
    test.log.set_down(true);
    test.round().await.expect_err("the log is down");
    assert_eq!(test.keyset_list().await.keysets, []);
    test.log.set_down(false);
    test.log.publish(START);
    test.round()
        .await
        .expect_err("no checkpoint has the record");
    assert_eq!(test.keyset_list().await.keysets, []);
    test.log.publish(START + 1);
    test.round().await.expect("logged");
    assert!(test.bank.ready().is_ok());
    let list = test.keyset_list().await;
    let published = &list.keysets[0];
    let keyset = published.keyset.verified(&test.id().key()).expect("signed");
    assert!(keyset.is_consistent());
    let receipt = Receipt::from_text(&published.receipt).expect("a tlog-proof");
    let leaf = Leaf::record(test.id(), keyset.settle_until, keyset.keyset_id().0);
    receipt.check(&leaf, &test.log.policy()).expect("proves it");
}

#[tokio::test]
async fn keysets_follow_each_other_without_a_gap_and_end_in_income() {
    let test = TestBank::new().await;
    let first = test.keyset().await;
    let coins = test.coins(10..12, 3).await;
    test.set_time(23 * DAY);
    test.round().await.expect_err("announced, not logged yet");
    test.log.publish(START + 23 * DAY);
    test.round().await.expect("logged");
    let second = test.keyset().await;
    assert_eq!(second.issue_from, first.issue_until);
    let early = [FreshCoin::new(&second, 20, 3)];
    let early = test.withdrawal(&early).signed(&key(1));
    let problem = test.refused::<bank::Withdraw>(&early).await;
    assert_eq!(problem.kind, ProblemKind::KeysetNotIssuing);

    test.set_time(130 * DAY);
    test.round().await.expect_err("a new one to be logged");
    test.log.publish(START + 130 * DAY);
    test.round().await.expect("logged");
    let current = test.keyset().await;
    let exchange = test.exchange(
        &[(&coins[0], 0, 8)],
        outputs(&[FreshCoin::new(&current, 30, 3)]),
    );
    test.ask::<bank::Exchange>(&exchange)
        .await
        .expect("until the end of settling");

    test.set_time(300 * DAY);
    let late = test.exchange(
        &[(&coins[1], 0, 8)],
        outputs(&[FreshCoin::new(&current, 31, 3)]),
    );
    let problem = test.refused::<bank::Exchange>(&late).await;
    assert_eq!(problem.kind, ProblemKind::KeysetExpired);
    let _unlogged = test.round().await;
    let income = test.audit().currencies[0].income;
    assert_eq!(income, cents(8).amount);
    let listed = test.keyset_list().await;
    let is_first = |published: &bauta_proto::coin::PublishedKeyset| published.keyset.body == first;
    assert!(!listed.keysets.iter().any(is_first), "an ended keyset");
}

#[tokio::test]
async fn seed_and_records_bring_the_same_keys_back() {
    let test = TestBank::new().await;
    let coins = test.coins(10..11, 3).await;
    let before = test.keyset().await;
    let test = test.reopened();
    assert_eq!(test.keyset().await, before);
    let fresh = FreshCoin::new(&before, 20, 3);
    let request = test.exchange(&[(&coins[0], 0, 8)], outputs(&[fresh]));
    test.ask::<bank::Exchange>(&request)
        .await
        .expect("its own coin");
}

#[test]
fn settings_out_of_bounds_are_refused_by_name_and_unknown_ones_too() {
    let text = |more: &str| {
        format!(
            "data = 'd'\nkey_file = 'k'\nname = 'n'\ncurrencies = ['eur']\nlog_policy = 'p'\n{more}\n\
             [http]\nlisten = '127.0.0.1:0'\n"
        )
    };
    let config: BankConfig = toml::from_str(&text("")).expect("defaults for the rest");
    assert_eq!((config.exponent_max, config.issue_days), (24, 30));
    config.check().expect("the defaults are in bounds");
    toml::from_str::<BankConfig>(&text("colour = 1")).expect_err("unknown");
    let refused = |more: &str| {
        let config: BankConfig = toml::from_str(&text(more)).expect("well formed");
        config.check().expect_err("out of bounds")
    };
    assert_eq!(refused("exponent_max = 40"), BankConfigError::Exponent);
    assert_eq!(refused("issue_days = 0"), BankConfigError::Days);
    assert_eq!(refused("announce_days = 30"), BankConfigError::Announce);
    assert_eq!(refused("lock_span_max_s = 4"), BankConfigError::LockSpan);
    assert_eq!(refused("follow_interval_ms = 9"), BankConfigError::Interval);
    assert_eq!(refused("batch_max = 0"), BankConfigError::Batch);
}
