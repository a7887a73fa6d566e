use bauta_proto::account::{EntryKind, StatementRequest};

use super::*;

fn question(test: &TestBank, number: u8, asked_at: u64) -> Signed<StatementRequest> {
    StatementRequest {
        bank: test.id(),
        account: key(number).verifying_key().into(),
        currency: euro(),
        after: 0,
        asked_at: Timestamp(asked_at),
    }
    .signed(&key(number))
}

#[tokio::test]
async fn a_statement_is_for_the_accounts_owner_and_only_when_freshly_asked() {
    let test = TestBank::new().await;
    test.coins(10..11, 3).await;
    let asked = question(&test, 1, START);
    let statement = test
        .ask::<bank::AccountStatement>(&asked)
        .await
        .expect("answers");
    assert_eq!(statement.balance, cents(992).amount);
    let kinds: Vec<_> = statement.entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Credit, EntryKind::Withdrawal]);
    let kind = async |question| test.refused::<bank::AccountStatement>(&question).await.kind;
    assert_eq!(
        kind(question(&test, 1, START - 301)).await,
        ProblemKind::StaleRequest
    );
    assert_eq!(
        kind(question(&test, 1, START + 31)).await,
        ProblemKind::StaleRequest
    );
    assert_eq!(
        kind(question(&test, 9, START)).await,
        ProblemKind::UnknownAccount
    );
    let stolen = Signed {
        signature: question(&test, 2, START).signature,
        body: asked.body,
    };
    assert_eq!(kind(stolen).await, ProblemKind::BadSignature);
}

#[tokio::test]
async fn the_operators_bookings_take_effect_beside_the_running_bank() {
    let test = TestBank::new().await;
    let account = AccountId::from(key(1).verifying_key());
    let now = Timestamp(START);
    let config = &test.config;
    operator::credit(config, account, cents(5), "again", now).expect("books");
    operator::credit(config, account, cents(5), "again", now).expect("the same payment");
    operator::payout(config, account, cents(4), "out", now).expect("books");
    operator::payout(config, account, cents(5_000), "much", now).expect_err("more than there is");
    operator::credit(config, account, cents(0), "none", now).expect_err("nothing");
    operator::credit(config, account, cents(1), "", now).expect_err("no reference");
    let yen: Money = "5JPY".parse().expect("money");
    operator::credit(config, account, yen, "yen", now).expect_err("another currency");
    let mut rows = Vec::new();
    operator::accounts(config, |row| rows.push(row)).expect("reads");
    assert_eq!(rows[0].balance, cents(1_001));
    let mut entries = 0;
    operator::export(config, account, euro(), |page| {
        entries += page.entries.len()
    })
    .expect("reads");
    assert_eq!(entries, 3);

    operator::freeze(config, account).expect("freezes");
    let keyset = test.keyset().await;
    let request = test
        .withdrawal(&[FreshCoin::new(&keyset, 10, 3)])
        .signed(&key(1));
    let problem = test.refused::<bank::Withdraw>(&request).await;
    assert_eq!(problem.kind, ProblemKind::AccountFrozen);
    operator::unfreeze(config, account).expect("thaws");
    test.ask::<bank::Withdraw>(&request).await.expect("issued");
}

#[tokio::test]
async fn an_account_that_is_unknown_or_too_poor_withdraws_nothing() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let fresh = FreshCoin::new(&keyset, 10, 6);
    let mut request = test.withdrawal(&[fresh]);
    request.account = key(2).verifying_key().into();
    let unknown = request.clone().signed(&key(2));
    let problem = test.refused::<bank::Withdraw>(&unknown).await;
    assert_eq!(problem.kind, ProblemKind::UnknownAccount);
    let account = request.account;
    operator::credit(&test.config, account, cents(63), "poor", Timestamp(START)).expect("books");
    let problem = test.refused::<bank::Withdraw>(&unknown).await;
    assert_eq!(problem.kind, ProblemKind::InsufficientFunds);
}

#[tokio::test]
async fn nothing_is_computed_for_a_stranger_who_asks_for_coins() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let mut request = test.withdrawal(&[FreshCoin::new(&keyset, 10, 3)]);
    // No point of the curve, which is seen as soon as somebody computes with it.
    request.outputs[0].blinded.0 = [0; 48];
    let own = test
        .refused::<bank::Withdraw>(&request.clone().signed(&key(1)))
        .await;
    assert_eq!(own.kind, ProblemKind::BadOutput);
    request.account = key(2).verifying_key().into();
    let stranger = test
        .refused::<bank::Withdraw>(&request.signed(&key(2)))
        .await;
    assert_eq!(stranger.kind, ProblemKind::UnknownAccount);
}
