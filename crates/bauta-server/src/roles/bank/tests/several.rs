//! Locks of both modes under several logs, and logs that are dead.

use bauta_crypto::hash;
use bauta_proto::{
    ids::{HashLock, LockTag},
    lock::{Capture, LeafProof, Lock, LockMode, LockState, Payer},
    log::leaf::Deed,
    time::Seconds,
};

use super::{
    locks::{CAPTURED, EXPIRY, LATE, PREIMAGE, SPAN, claim, request, state},
    *,
};
use crate::{
    config::HttpConfig,
    roles::witness::{Witness, WitnessConfig, witness_vkey},
};
use bauta_proto::lock::ClaimOutcome;

const WINDOW: u64 = 100;
const PREPARE: [u8; 32] = [0x66; 32];
const CANCEL: [u8; 32] = [0x77; 32];

fn safe() -> LockMode {
    let hash_of = |preimage: &[u8; 32]| HashLock(hash::sha256(&[preimage]));
    LockMode::Safe {
        prepare_hash: hash_of(&PREPARE),
        cancel_hash: hash_of(&CANCEL),
        reveal_window: Seconds(100),
    }
}

/// A bank that goes by two logs, of which `threshold` decide; the second is down.
async fn two_logs(threshold: usize) -> TestBank {
    let net = FakeNet {
        logs: vec![
            Arc::new(FakeLog::numbered(1)),
            Arc::new(FakeLog::numbered(2)),
        ],
        routers: Vec::new(),
    };
    net.logs[1].set_down(threshold == 1);
    net.logs[1].publish(START);
    let clock = Arc::new(FakeClock(AtomicU64::new(START)));
    let one = net.logs[0].policy().text().to_owned();
    let text = format!("#bauta logs {threshold}\n{}{one}", net.logs[1].line());
    let test = TestBank::unlogged_on(net, clock, |config| config.log_policy = PolicySource(text));
    test.log.publish(START);
    let _no_proof_yet = test.round().await;
    test.log.publish(START + 1);
    test.net.logs[1].publish(START + 1);
    let _one_is_down = test.round().await;
    let account = key(1).verifying_key().into();
    operator::credit(
        &test.config,
        account,
        cents(1_000),
        "start",
        Timestamp(START),
    )
    .expect("credits");
    test
}

async fn locked(test: &TestBank, price: u64, mode: LockMode) -> Result<Lock, Problem> {
    let payer = Payer::Account {
        account: key(1).verifying_key().into(),
        nonce: [1; 16],
    };
    let mut body = request(test, price, payer, Vec::new());
    body.mode = mode;
    let signatures = vec![body.sign(&key(1))];
    let request = Authorized { body, signatures };
    Ok(test.ask::<bank::LockValue>(&request).await?.lock)
}

fn log(test: &TestBank, number: usize) -> &FakeLog {
    &test.net.logs[number - 1]
}

/// Brings a leaf into a log that then publishes at this time.
fn say(test: &TestBank, number: usize, lock: &Lock, (deed, preimage): (Deed, [u8; 32]), at: u64) {
    log(test, number).append(lock.public.leaf(deed, preimage));
    log(test, number).publish(at);
}

const COMMIT: (Deed, [u8; 32]) = (Deed::Commit, PREIMAGE);

async fn capture(test: &TestBank, lock_tag: LockTag) -> Result<(), ProblemKind> {
    let preimage = PREIMAGE;
    let capture = Capture { lock_tag, preimage };
    let captured = test.ask::<bank::CaptureLock>(&capture).await;
    captured.map(drop).map_err(|problem| problem.kind)
}

#[tokio::test]
async fn a_log_that_never_answers_holds_up_neither_the_bank_nor_the_other_logs() {
    let test = two_logs(1).await;
    log(&test, 2).set_silent();
    let lock = locked(&test, 10, LockMode::Fast)
        .await
        .expect("one log is enough");
    say(&test, 1, &lock, COMMIT, EXPIRY);
    // The runtime's clock jumps to the next moment that somebody waits for.
    tokio::time::pause();
    test.round().await.expect_err("a log is silent");
    assert_eq!(state(&test, lock.lock_tag()).await, CAPTURED);
}

#[tokio::test]
async fn a_log_that_is_down_keeps_the_bank_neither_from_trade_nor_from_the_other_logs() {
    let test = two_logs(1).await;
    let lock = locked(&test, 10, LockMode::Fast)
        .await
        .expect("one log is enough");
    say(&test, 1, &lock, COMMIT, EXPIRY);
    test.round().await.expect_err("a log is down");
    assert_eq!(state(&test, lock.lock_tag()).await, CAPTURED);

    let lock = locked(&test, 11, LockMode::Fast)
        .await
        .expect("one log is enough");
    for number in 0..3 {
        log(&test, 2).append(lock.public.leaf(Deed::Commit, [number; 32]));
    }
    say(&test, 2, &lock, COMMIT, EXPIRY);
    log(&test, 2).set_down(false);
    test.round().await.expect("both are up");
    let known = state(&test, lock.lock_tag()).await;
    assert_eq!(known, CAPTURED, "what came while it was down was read");
    test.audit();
}

#[tokio::test]
async fn of_two_logs_that_must_agree_both_say_yes_or_one_says_no() {
    let test = two_logs(2).await;
    let paid = locked(&test, 10, LockMode::Fast).await.expect("locked");
    let unpaid = locked(&test, 11, LockMode::Fast).await.expect("locked");
    say(&test, 1, &paid, COMMIT, EXPIRY);
    say(&test, 1, &unpaid, COMMIT, EXPIRY);
    test.round().await.expect("follows");
    assert_eq!(state(&test, paid.lock_tag()).await, LockState::Held);
    test.bank.follow().await.expect("repeats");
    let test = test.reopened();
    say(&test, 2, &paid, COMMIT, EXPIRY);
    test.round().await.expect("follows");
    assert_eq!(state(&test, paid.lock_tag()).await, CAPTURED);
    test.set_time(SPAN + 31);
    log(&test, 2).publish(LATE);
    test.round().await.expect("follows");
    assert_eq!(state(&test, unpaid.lock_tag()).await, LockState::Released);
    test.audit();
}

#[tokio::test]
async fn a_claims_proofs_from_several_logs_add_up() {
    let test = two_logs(2).await;
    let lock = locked(&test, 10, LockMode::Fast).await.expect("locked");
    let mut proofs = Vec::new();
    for number in [1, 2] {
        say(&test, number, &lock, COMMIT, EXPIRY);
        let logs = test.bank.logs.all();
        let origin = format!("log{number}.test/bauta");
        let followed = logs
            .iter()
            .find(|log| log.origin() == origin)
            .expect("is there");
        let checkpoint = followed.reader.checkpoint().await.expect("reads");
        let leaf = lock.public.leaf(Deed::Commit, PREIMAGE);
        let index = checkpoint.size() - 1;
        let receipt = followed
            .reader
            .receipt(index, &leaf, &checkpoint)
            .await
            .expect("in it");
        proofs.push(LeafProof {
            deed: Deed::Commit,
            preimage: PREIMAGE,
            receipt: receipt.to_text().into_bytes(),
        });
    }
    let (first, second) = (proofs.remove(0), proofs.remove(0));
    let lock_tag = lock.lock_tag();
    assert_eq!(
        claim(&test, lock_tag, [first.clone()]).await,
        ClaimOutcome::Undecided
    );
    assert_eq!(
        claim(&test, lock_tag, [first]).await,
        ClaimOutcome::Undecided
    );
    let mut forged = second.clone();
    forged.preimage[0] ^= 1;
    assert_eq!(
        claim(&test, lock_tag, [forged]).await,
        ClaimOutcome::BadReceipt
    );
    assert_eq!(
        claim(&test, lock_tag, [second]).await,
        ClaimOutcome::Credited
    );
    test.audit();
}

#[tokio::test]
async fn a_safe_lock_is_cancelled_before_it_is_prepared_and_not_after() {
    let test = TestBank::new().await;
    let prepare = (Deed::Prepare, PREPARE);
    let cancel = (Deed::Cancel, CANCEL);
    let cancelled = locked(&test, 10, safe()).await.expect("locked");
    let paid = locked(&test, 11, safe()).await.expect("locked");
    let silent = locked(&test, 12, safe()).await.expect("locked");
    let settle = EXPIRY + WINDOW + 30 + 7 * 86_400;
    assert_eq!(paid.private.settle_until, Timestamp(settle));
    let lock_tag = paid.lock_tag();
    assert_eq!(
        capture(&test, lock_tag).await,
        Err(ProblemKind::NotPrepared)
    );
    say(&test, 1, &cancelled, cancel, EXPIRY);
    say(&test, 1, &cancelled, COMMIT, EXPIRY);
    say(&test, 1, &silent, prepare, EXPIRY);
    say(&test, 1, &paid, prepare, EXPIRY);
    say(&test, 1, &paid, cancel, EXPIRY);
    let followed = test.bank.follow().await.expect("follows");
    assert_eq!((followed.captured, followed.released), (0, 1));
    assert_eq!(
        state(&test, cancelled.lock_tag()).await,
        LockState::Released
    );
    assert_eq!(state(&test, lock_tag).await, LockState::Prepared);
    assert_eq!(state(&test, silent.lock_tag()).await, LockState::Prepared);
    let test = test.reopened();
    test.set_time(SPAN + WINDOW);
    test.log.publish(EXPIRY + WINDOW + 30);
    let followed = test.bank.follow().await.expect("follows");
    assert_eq!(followed, Followed::default(), "there is time to commit");
    capture(&test, lock_tag)
        .await
        .expect("prepared, and in time");
    test.set_time(SPAN + WINDOW + 31);
    test.log.publish(EXPIRY + WINDOW + 31);
    let followed = test.bank.follow().await.expect("follows");
    assert_eq!((followed.captured, followed.released), (0, 1));
    assert_eq!(state(&test, silent.lock_tag()).await, LockState::Released);
    test.audit();
}

#[tokio::test]
async fn a_lock_that_no_log_could_decide_is_refused() {
    let test = TestBank::unlogged();
    let account = key(1).verifying_key().into();
    operator::credit(&test.config, account, cents(10), "a", Timestamp(START)).expect("credits");
    let kind = async |mode| locked(&test, 1, mode).await.map(drop).map_err(|p| p.kind);
    assert_eq!(kind(LockMode::Fast).await, Err(ProblemKind::LogsUnreached));
    test.log.publish(START);
    test.bank.follow().await.expect("reached");
    assert_eq!(kind(LockMode::Fast).await, Ok(()));
    let LockMode::Safe {
        prepare_hash,
        reveal_window,
        ..
    } = safe()
    else {
        unreachable!("it is");
    };
    let equal = LockMode::Safe {
        prepare_hash,
        cancel_hash: prepare_hash,
        reveal_window,
    };
    assert_eq!(kind(equal).await, Err(ProblemKind::LockMode));
}

/// Three witnesses on the net, of which two are a quorum, and the log whose checkpoints they have cosigned.
fn witnessed(folder: &tempfile::TempDir, clock: &Arc<FakeClock>) -> (FakeNet, String) {
    let mut log = FakeLog::numbered(1);
    let mut text = log.line();
    let log_key = log.policy().logs()[0].key.clone();
    let mut routers = Vec::new();
    log.cosigners.clear();
    for name in ["a", "b", "c"] {
        let seed = RoleSeed::generate(&mut bauta_io::SystemRng::new());
        let vkey_name = format!("{name}.test");
        let config = WitnessConfig {
            http: HttpConfig::new(([127, 0, 0, 1], 0).into()),
            data: folder.path().join(name),
            key_file: folder.path().join("unused"),
            name: vkey_name.clone(),
            logs: vec![log_key.clone()],
            log_policy: None,
        };
        let witness = Witness::open(&config, &seed, Arc::clone(clock) as Arc<dyn Clock>);
        let url = format!("http://{name}.test");
        let vkey = witness_vkey(&seed, &vkey_name).expect("a name");
        text += &format!("witness {name} {vkey} {url}\n");
        routers.push((url, witness.expect("opens").router()));
        let cosigner =
            bauta_crypto::note::CosignerSigner::new(&vkey_name, &seed.signing_key("witness"));
        log.cosigners.push(cosigner.expect("a name"));
    }
    text += "group g 2 a b c\nquorum g\n";
    let logs = vec![Arc::new(log)];
    (FakeNet { logs, routers }, text)
}

#[tokio::test]
async fn v5_a_dead_log_holds_no_value_while_its_witnesses_live() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(FakeClock(AtomicU64::new(START)));
    let (net, text) = witnessed(&folder, &clock);
    let test = TestBank::unlogged_on(net, clock, |config| config.log_policy = PolicySource(text));
    let test = test.funded().await;
    let unpaid = locked(&test, 10, LockMode::Fast).await.expect("locked");
    let unrevealed = locked(&test, 11, safe()).await.expect("locked");
    let paid = locked(&test, 12, LockMode::Fast).await.expect("locked");
    say(&test, 1, &unrevealed, (Deed::Prepare, PREPARE), START + 2);
    say(&test, 1, &paid, COMMIT, START + 2);
    test.round().await.expect("follows");
    assert_eq!(state(&test, paid.lock_tag()).await, CAPTURED);
    test.log.set_down(true);
    test.set_time(SPAN + 60);
    test.round().await.expect_err("the log is down");
    assert_eq!(state(&test, unpaid.lock_tag()).await, LockState::Held);
    let test = test.reopened();
    test.set_time(SPAN + 61);
    test.round().await.expect_err("the log is down");
    assert_eq!(state(&test, unpaid.lock_tag()).await, LockState::Released);
    assert_eq!(
        state(&test, unrevealed.lock_tag()).await,
        LockState::Prepared
    );
    test.set_time(SPAN + WINDOW + 61);
    test.round().await.expect_err("the log is down");
    assert_eq!(
        state(&test, unrevealed.lock_tag()).await,
        LockState::Released
    );
    assert_eq!(
        claim(&test, paid.lock_tag(), None).await,
        ClaimOutcome::Credited
    );
    test.audit();
}

#[tokio::test]
async fn v4_a_bank_that_has_not_read_all_that_witnesses_saw_does_not_release_by_their_word() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(FakeClock(AtomicU64::new(START)));
    let (net, text) = witnessed(&folder, &clock);
    let test = TestBank::unlogged_on(net, clock, |config| config.log_policy = PolicySource(text));
    let test = test.funded().await;
    let lock = locked(&test, 10, LockMode::Fast).await.expect("locked");
    say(&test, 1, &lock, COMMIT, START + 2);
    let seen = test.bank.logs.all()[0]
        .reader
        .checkpoint()
        .await
        .expect("reads");
    for (url, _) in &test.net.routers[..2] {
        let request = bauta_proto::log::witness::AddCheckpoint {
            old_size: 0,
            proof: Vec::new(),
            checkpoint: seen.note().to_owned(),
        };
        let answer = bauta_proto::log::witness::ask(&*test.net, url, &request).await;
        let cosigned = matches!(answer, Ok(bauta_proto::log::witness::Answer::Cosigned(_)));
        assert!(cosigned, "{answer:?}");
    }
    test.log.set_down(true);
    test.set_time(SPAN + 100);
    test.round().await.expect_err("the log is down");
    assert_eq!(state(&test, lock.lock_tag()).await, LockState::Held);
    test.set_time(lock.private.settle_until.0 - START);
    test.round().await.expect_err("the log is down");
    assert_eq!(state(&test, lock.lock_tag()).await, LockState::Released);
}
