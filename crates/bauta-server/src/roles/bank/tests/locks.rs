use bauta_crypto::hash;
use bauta_proto::{
    account::PayeeOpening,
    ids::{HashLock, LockTag, PolicyId},
    lock::{
        Capture, Claim, ClaimOutcome, ClaimRequest, LeafProof, LockMode, LockReply, LockRequest,
        LockState, LockStatusRequest, Payer, Release,
    },
    log::{
        leaf::{Deed, Leaf},
        receipt::Receipt,
    },
    time::Seconds,
};

use super::*;

pub(super) const SPAN: u64 = 600;
pub(super) const EXPIRY: u64 = START + SPAN;
pub(super) const PREIMAGE: [u8; 32] = [0x55; 32];
/// Later than expiry and clock tolerance.
pub(super) const LATE: u64 = EXPIRY + 31;

fn opening(test: &TestBank) -> PayeeOpening {
    PayeeOpening {
        bank: test.id(),
        account: key(3).verifying_key().into(),
        salt: [8; 32],
    }
}

pub(super) fn request(
    test: &TestBank,
    price: u64,
    payer: Payer,
    change: Vec<Output>,
) -> LockRequest {
    LockRequest {
        bank: test.id(),
        hash_lock: HashLock(hash::sha256(&[&PREIMAGE])),
        amount: cents(price),
        payee: opening(test).commitment(),
        log_policy: test.bank.policy.policy_id(),
        expiry: Timestamp(EXPIRY),
        mode: LockMode::Fast,
        dispute_window: Seconds(3_600),
        payer,
        change,
    }
}

fn by_coins(
    test: &TestBank,
    price: u64,
    coins: &[(&TestCoin, u32, u64)],
    change: Vec<Output>,
) -> Authorized<LockRequest> {
    let (inputs, keys) = inputs(coins);
    let body = request(test, price, Payer::Coins(inputs.clone()), change);
    authorize(body, &inputs, &keys.iter().collect::<Vec<_>>())
}

fn by_account(test: &TestBank, price: u64) -> Authorized<LockRequest> {
    let payer = Payer::Account {
        account: key(1).verifying_key().into(),
        nonce: [1; 16],
    };
    let body = request(test, price, payer, Vec::new());
    let signatures = vec![body.sign(&key(1))];
    Authorized { body, signatures }
}

async fn held(test: &TestBank) -> (LockReply, TestCoin) {
    let coin = test.coins(10..11, 4).await.remove(0);
    let request = by_coins(test, 16, &[(&coin, 0, 16)], Vec::new());
    let reply = test.ask::<bank::LockValue>(&request).await.expect("locked");
    (reply, coin)
}

pub(super) async fn state(test: &TestBank, lock_tag: LockTag) -> LockState {
    let question = LockStatusRequest {
        bank: test.id(),
        lock_tags: vec![lock_tag],
    };
    let status = test.ask::<bank::Status>(&question).await.expect("answers");
    let status = status.verified(&test.id().key()).expect("signed");
    status.locks[0].state.clone()
}

pub(super) async fn claim(
    test: &TestBank,
    lock_tag: LockTag,
    proofs: impl IntoIterator<Item = LeafProof>,
) -> ClaimOutcome {
    let claim = Claim {
        lock_tag,
        payee: opening(test),
        proofs: proofs.into_iter().collect(),
    };
    let request = ClaimRequest {
        bank: test.id(),
        claims: vec![claim],
    };
    test.ask::<bank::ClaimLocks>(&request)
        .await
        .expect("answers")
        .outcomes[0]
}

pub(super) const CAPTURED: LockState = LockState::Captured { preimage: PREIMAGE };

#[tokio::test]
async fn a_lock_says_what_was_asked_gives_change_and_repeats_bit_for_bit() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let coins = test.coins(10..12, 4).await;
    let change = [FreshCoin::new(&keyset, 20, 2)];
    let request = by_coins(
        &test,
        28,
        &[(&coins[0], 0, 16), (&coins[1], 0, 16)],
        outputs(&change),
    );
    let reply = test.ask::<bank::LockValue>(&request).await.expect("locked");
    let checked = bauta_proto::customer::CheckedLock::check(reply.lock.clone(), &request.body);
    let private = &checked.expect("just what was asked").lock().private.clone();
    assert_eq!(private.settle_until, Timestamp(EXPIRY + 30 + 7 * 86_400));
    let change = finish(change.into(), &reply.change, &keyset);
    assert_eq!(test.state(&change[0]).await.remaining, cents(4).amount);
    test.set_time(400 * 86_400);
    let test = test.reopened();
    let again = test.ask::<bank::LockValue>(&request).await;
    assert_eq!(again, Ok(reply));
    let mut forged = request;
    forged.signatures.swap(0, 1);
    let refused = test.refused::<bank::LockValue>(&forged).await;
    assert_eq!(refused.kind, ProblemKind::BadSignature, "is no repeat");
}

#[tokio::test]
async fn a_lock_that_cannot_be_is_refused_with_its_reason() {
    let test = TestBank::new().await;
    let coin = test.coins(10..11, 4).await.remove(0);
    let (inputs, keys) = inputs(&[(&coin, 0, 16)]);
    let with = |change: &dyn Fn(&mut LockRequest)| {
        let mut body = request(&test, 16, Payer::Coins(inputs.clone()), Vec::new());
        change(&mut body);
        authorize(body, &inputs, &keys.iter().collect::<Vec<_>>())
    };
    let kind = async |request: Authorized<LockRequest>| {
        test.refused::<bank::LockValue>(&request).await.kind
    };
    use ProblemKind as Kind;
    let at = |time| move |r: &mut LockRequest| r.expiry = Timestamp(time);
    assert_eq!(kind(with(&at(START + 4))).await, Kind::ExpiryTooNear);
    assert_eq!(kind(with(&at(START - 1))).await, Kind::ExpiryTooNear);
    assert_eq!(kind(with(&at(START + 86_401))).await, Kind::ExpiryTooFar);
    assert_eq!(kind(with(&at(u64::MAX))).await, Kind::ExpiryTooFar);
    let policy = with(&|r| r.log_policy = PolicyId([0; 32]));
    assert_eq!(kind(policy).await, Kind::UnknownPolicy);
    let window = with(&|r| r.dispute_window = Seconds(86_401));
    assert_eq!(kind(window).await, Kind::DisputeWindow);
    assert_eq!(kind(with(&|r| r.amount = cents(0))).await, Kind::Form);
    assert_eq!(kind(with(&|r| r.amount = cents(15))).await, Kind::Form);
    assert_eq!(kind(with(&|r| r.amount = cents(17))).await, Kind::Form);
    let yen = with(&|r| r.amount = "16JPY".parse().expect("money"));
    assert_eq!(kind(yen).await, Kind::MixedCurrency);
    assert_eq!(
        kind(with(&|r| r.bank.0[0] ^= 1)).await,
        Kind::WrongRecipient
    );
    let mut changed = with(&|_| {});
    changed.body.expiry = Timestamp(EXPIRY + 1);
    assert_eq!(
        kind(changed).await,
        Kind::BadSignature,
        "signed for another body"
    );
    let mut forged = by_account(&test, 16);
    forged.signatures[0] = forged.body.sign(&key(2));
    assert_eq!(kind(forged).await, Kind::BadSignature);
    assert_eq!(kind(by_account(&test, 985)).await, Kind::InsufficientFunds);
}

#[tokio::test]
async fn v6_a_lock_that_would_outlive_its_coins_keyset_is_refused() {
    let settle_days = |config: &mut BankConfig| config.settle_days = 8;
    let test = TestBank::with(settle_days).await;
    let coin = test.coins(10..11, 4).await.remove(0);
    let keyset = test.keyset().await;
    let last_expiry = keyset.settle_until.0 - 30 - 7 * 86_400 - 1;
    test.set_time(last_expiry - START - 86_400);
    let expiring = |expiry| {
        let (inputs, keys) = inputs(&[(&coin, 0, 16)]);
        let mut body = request(&test, 16, Payer::Coins(inputs.clone()), Vec::new());
        body.expiry = Timestamp(expiry);
        authorize(body, &inputs, &keys.iter().collect::<Vec<_>>())
    };
    let now = test.bank.now().0;
    assert!(now < keyset.spend_until.0, "coins still pay");
    let too_far = expiring(last_expiry + 1);
    test.set_time(last_expiry + 1 - START - 86_400);
    let problem = test.refused::<bank::LockValue>(&too_far).await;
    assert_eq!(problem.kind, ProblemKind::ExpiryTooFar);
    let request = expiring(last_expiry);
    test.ask::<bank::LockValue>(&request).await.expect("locked");
}

#[tokio::test]
async fn a_coin_pays_until_its_keysets_end_of_spending() {
    let test = TestBank::new().await;
    let coin = test.coins(10..11, 4).await.remove(0);
    let last = 120 * 86_400;
    test.set_time(last - 1);
    let expiring = |expiry| {
        let (inputs, keys) = inputs(&[(&coin, 0, 16)]);
        let mut body = request(&test, 16, Payer::Coins(inputs.clone()), Vec::new());
        body.expiry = Timestamp(expiry);
        authorize(body, &inputs, &keys.iter().collect::<Vec<_>>())
    };
    let request = expiring(START + last + 60);
    test.set_time(last);
    let problem = test.refused::<bank::LockValue>(&request).await;
    assert_eq!(problem.kind, ProblemKind::KeysetExpired);
    test.set_time(last - 1);
    test.ask::<bank::LockValue>(&request).await.expect("locked");
}

#[tokio::test]
async fn a_released_coin_pays_again_under_its_next_sequence_number() {
    let test = TestBank::new().await;
    let (reply, coin) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    assert_eq!(test.state(&coin).await.locked, cents(16).amount);
    let release = Release {
        lock_tag,
        payee: opening(&test),
    };
    let stranger = release.clone().signed(&key(4));
    let problem = test.refused::<bank::ReleaseLock>(&stranger).await;
    assert_eq!(problem.kind, ProblemKind::BadSignature);
    let mut other = release.clone();
    other.payee.account = key(4).verifying_key().into();
    let problem = test
        .refused::<bank::ReleaseLock>(&other.signed(&key(4)))
        .await;
    assert_eq!(problem.kind, ProblemKind::WrongPayee);
    let release = release.signed(&key(3));
    let first = test
        .ask::<bank::ReleaseLock>(&release)
        .await
        .expect("released");
    let again = test.ask::<bank::ReleaseLock>(&release).await;
    assert_eq!(again, Ok(first), "bit for bit");
    assert_eq!(state(&test, lock_tag).await, LockState::Released);
    assert_eq!(claim(&test, lock_tag, None).await, ClaimOutcome::Released);
    let capture = Capture {
        lock_tag,
        preimage: PREIMAGE,
    };
    let problem = test.refused::<bank::CaptureLock>(&capture).await;
    assert_eq!(problem.kind, ProblemKind::LockDecided);
    let next = by_coins(&test, 16, &[(&coin, 1, 16)], Vec::new());
    test.ask::<bank::LockValue>(&next)
        .await
        .expect("locked again");
}

#[tokio::test]
async fn v2_the_preimage_brought_to_the_bank_by_the_expiry_pays_the_payee_once() {
    let test = TestBank::new().await;
    let (reply, _) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    let capture = |preimage| Capture { lock_tag, preimage };
    let wrong = test.refused::<bank::CaptureLock>(&capture([0; 32])).await;
    assert_eq!(wrong.kind, ProblemKind::WrongPreimage);
    assert_eq!(claim(&test, lock_tag, None).await, ClaimOutcome::Undecided);
    test.set_time(SPAN + 1);
    let late = test.refused::<bank::CaptureLock>(&capture(PREIMAGE)).await;
    assert_eq!(late.kind, ProblemKind::LockExpired);
    test.set_time(SPAN);
    let first = test
        .ask::<bank::CaptureLock>(&capture(PREIMAGE))
        .await
        .expect("captured");
    test.set_time(SPAN + 1_000);
    let again = test.ask::<bank::CaptureLock>(&capture(PREIMAGE)).await;
    assert_eq!(again, Ok(first), "bit for bit");
    assert_eq!(state(&test, lock_tag).await, CAPTURED);
    for _ in 0..2 {
        assert_eq!(claim(&test, lock_tag, None).await, ClaimOutcome::Credited);
    }
    assert_eq!(test.audit().currencies[0].accounts, cents(1_000).amount);
    let unknown = LockTag([0; 32]);
    assert_eq!(claim(&test, unknown, None).await, ClaimOutcome::Unknown);
    assert_eq!(state(&test, unknown).await, LockState::Unknown);
    let missing = Capture {
        lock_tag: unknown,
        preimage: PREIMAGE,
    };
    let problem = test.refused::<bank::CaptureLock>(&missing).await;
    assert_eq!(problem.kind, ProblemKind::UnknownLock);
}

fn commit_leaf(lock_tag: LockTag) -> Leaf {
    Leaf::of_lock(Deed::Commit, lock_tag, Timestamp(EXPIRY), PREIMAGE)
}

#[tokio::test]
async fn a_commit_in_an_early_checkpoint_captures() {
    let test = TestBank::new().await;
    let (reply, _) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    test.log.append(commit_leaf(lock_tag));
    test.log.publish(EXPIRY + 30);
    let followed = test.bank.follow().await.expect("follows");
    assert_eq!((followed.captured, followed.released), (1, 0));
    assert_eq!(state(&test, lock_tag).await, CAPTURED);
    let again = test.bank.follow().await.expect("follows");
    assert_eq!(again, Followed::default());
    test.audit();
}

#[tokio::test]
async fn a_late_checkpoint_without_the_commit_releases_and_an_early_one_does_not() {
    let test = TestBank::new().await;
    let (reply, coin) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    test.set_time(SPAN + 1_000);
    test.log.publish(EXPIRY + 30);
    assert_eq!(test.bank.follow().await.expect("follows").released, 0);
    assert_eq!(state(&test, lock_tag).await, LockState::Held);
    test.log.publish(LATE);
    assert_eq!(test.bank.follow().await.expect("follows").released, 1);
    assert_eq!(state(&test, lock_tag).await, LockState::Released);
    assert_eq!(test.state(&coin).await.remaining, cents(16).amount);
    test.log.append(commit_leaf(lock_tag));
    test.log.publish(LATE + 1);
    let followed = test.bank.follow().await.expect("follows");
    assert_eq!(followed, Followed::default(), "v4");
    assert_eq!(state(&test, lock_tag).await, LockState::Released);
}

#[tokio::test]
async fn a_commit_seen_only_late_waits_for_the_receipt_of_an_early_checkpoint() {
    let test = TestBank::new().await;
    let (reply, _) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    let index = test.log.append(commit_leaf(lock_tag));
    let receipt_at = async |time| {
        test.log.publish(time);
        let checkpoint = test.bank.logs.all()[0]
            .reader
            .checkpoint()
            .await
            .expect("reads");
        let leaf = commit_leaf(lock_tag);
        let receipt = test.bank.logs.all()[0]
            .reader
            .receipt(index, &leaf, &checkpoint);
        let receipt: Receipt = receipt.await.expect("in the tree");
        LeafProof {
            deed: Deed::Commit,
            preimage: PREIMAGE,
            receipt: receipt.to_text().into_bytes(),
        }
    };
    let early = receipt_at(EXPIRY).await;
    let late = receipt_at(LATE).await;
    test.set_time(SPAN + 1_000);
    let followed = test.bank.follow().await.expect("follows");
    assert_eq!(followed, Followed::default());
    assert_eq!(state(&test, lock_tag).await, LockState::Held);
    assert_eq!(claim(&test, lock_tag, None).await, ClaimOutcome::Undecided);
    assert_eq!(
        claim(&test, lock_tag, Some(late)).await,
        ClaimOutcome::BadReceipt
    );
    let mut other = early.clone();
    other.preimage[0] ^= 1;
    assert_eq!(
        claim(&test, lock_tag, Some(other)).await,
        ClaimOutcome::BadReceipt
    );
    assert_eq!(
        claim(&test, lock_tag, Some(early)).await,
        ClaimOutcome::Credited
    );
    assert_eq!(state(&test, lock_tag).await, CAPTURED);
    test.audit();
}

#[tokio::test]
async fn claims_with_receipts_of_one_checkpoint_have_its_signatures_checked_once() {
    let test = TestBank::new().await;
    let mut tags = Vec::new();
    for price in 1..=8 {
        let request = by_account(&test, price);
        let reply = test.ask::<bank::LockValue>(&request).await.expect("locked");
        tags.push(reply.lock.lock_tag());
    }
    for lock_tag in &tags {
        test.log.append(commit_leaf(*lock_tag));
    }
    test.log.publish(EXPIRY);
    let reader = &test.bank.logs.all()[0].reader;
    let checkpoint = reader.checkpoint().await.expect("reads");
    let mut claims = Vec::new();
    for (index, lock_tag) in (1..).zip(&tags) {
        let leaf = commit_leaf(*lock_tag);
        let receipt = reader.receipt(index, &leaf, &checkpoint);
        let receipt: Receipt = receipt.await.expect("in the tree");
        claims.push(Claim {
            lock_tag: *lock_tag,
            payee: opening(&test),
            proofs: vec![LeafProof {
                deed: Deed::Commit,
                preimage: PREIMAGE,
                receipt: receipt.to_text().into_bytes(),
            }],
        });
    }
    let request = ClaimRequest {
        bank: test.id(),
        claims,
    };
    test.log.set_down(true);
    let reply = test.ask::<bank::ClaimLocks>(&request).await;
    assert_eq!(
        reply.expect("answers").outcomes,
        [ClaimOutcome::Credited; 8]
    );
    assert_eq!(test.bank.checkpoints.checked(), 1);
}

#[tokio::test]
async fn a_leaf_with_another_preimage_or_expiry_decides_nothing() {
    let test = TestBank::new().await;
    let (reply, _) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    test.log.append(Leaf::of_lock(
        Deed::Commit,
        lock_tag,
        Timestamp(EXPIRY),
        [1; 32],
    ));
    test.log.append(Leaf::of_lock(
        Deed::Commit,
        lock_tag,
        Timestamp(EXPIRY + 1),
        PREIMAGE,
    ));
    test.log.publish(EXPIRY);
    assert_eq!(
        test.bank.follow().await.expect("follows"),
        Followed::default()
    );
    assert_eq!(state(&test, lock_tag).await, LockState::Held);
}

#[tokio::test]
async fn v5_a_dead_log_holds_no_value_beyond_the_locks_last_moment() {
    let test = TestBank::new().await;
    let (reply, coin) = held(&test).await;
    test.log.set_down(true);
    let last = reply.lock.private.settle_until.0;
    test.set_time(last - START - 1);
    test.round().await.expect_err("the log is down");
    assert_eq!(test.state(&coin).await.remaining, Amount::ZERO);
    test.set_time(last - START);
    test.round().await.expect_err("the log is down");
    assert_eq!(test.state(&coin).await.remaining, cents(16).amount);
    assert_eq!(
        state(&test, reply.lock.lock_tag()).await,
        LockState::Released
    );
}

#[tokio::test]
async fn a_named_payer_is_debited_for_a_lock_and_gets_it_back() {
    let test = TestBank::new().await;
    let request = by_account(&test, 600);
    let reply = test.ask::<bank::LockValue>(&request).await.expect("locked");
    assert_eq!(test.ask::<bank::LockValue>(&request).await, Ok(reply));
    let books = test.audit().currencies[0];
    assert_eq!(
        (books.accounts, books.locked),
        (cents(400).amount, cents(600).amount)
    );
    test.set_time(SPAN + 1_000);
    test.log.publish(LATE);
    test.bank.follow().await.expect("follows");
    assert_eq!(test.audit().currencies[0].accounts, cents(1_000).amount);
}

#[tokio::test]
async fn a_frozen_payee_is_not_credited_and_a_wrong_opening_pays_nobody() {
    let test = TestBank::new().await;
    let (reply, _) = held(&test).await;
    let lock_tag = reply.lock.lock_tag();
    let capture = Capture {
        lock_tag,
        preimage: PREIMAGE,
    };
    test.ask::<bank::CaptureLock>(&capture)
        .await
        .expect("captured");
    let payee = opening(&test);
    let now = Timestamp(START);
    operator::credit(&test.config, payee.account, cents(1), "m", now).expect("books");
    operator::freeze(&test.config, payee.account).expect("freezes");
    assert_eq!(claim(&test, lock_tag, None).await, ClaimOutcome::Frozen);
    operator::unfreeze(&test.config, payee.account).expect("thaws");
    let thief = Claim {
        lock_tag,
        payee: PayeeOpening {
            account: key(5).verifying_key().into(),
            ..payee
        },
        proofs: Vec::new(),
    };
    let request = ClaimRequest {
        bank: test.id(),
        claims: vec![thief],
    };
    let reply = test
        .ask::<bank::ClaimLocks>(&request)
        .await
        .expect("answers");
    assert_eq!(reply.outcomes, [ClaimOutcome::WrongPayee]);
    assert_eq!(claim(&test, lock_tag, None).await, ClaimOutcome::Credited);
}

#[tokio::test]
async fn a_new_bank_does_not_read_what_an_old_log_says_of_others() {
    let test = TestBank::unlogged();
    for number in 0..100 {
        test.log.append(commit_leaf(LockTag([number; 32])));
    }
    test.log.publish(START);
    test.log.lose_entries();
    let followed = test.bank.follow().await;
    assert_eq!(
        followed.expect("nothing of it is read"),
        Followed::default()
    );
    test.log.append(commit_leaf(LockTag([100; 32])));
    test.log.publish(START);
    test.log.lose_entries();
    test.bank.follow().await.expect_err("what follows is");
}

#[tokio::test]
async fn v4_another_log_policy_is_taken_only_when_no_lock_of_the_old_one_is_undecided() {
    let test = TestBank::new().await;
    let request = by_account(&test, 600);
    test.ask::<bank::LockValue>(&request).await.expect("locked");
    let mut moved = test.config.clone();
    moved.log_policy = PolicySource(format!("# moved\n{}", test.log.policy().text()));
    let open = || {
        let world = World {
            clock: Arc::clone(&test.clock) as Arc<dyn Clock>,
            transport: Arc::clone(&test.net),
        };
        Bank::open(&moved, seed(&test.folder), world)
    };
    assert!(matches!(open(), Err(BankStartError::PolicyInUse)));

    test.set_time(SPAN + 1_000);
    test.log.publish(LATE);
    test.bank.follow().await.expect("follows");
    let bank = open().expect("no lock is undecided");
    bank.ready()
        .expect_err("its keysets are not shown under the new policy yet");
}
