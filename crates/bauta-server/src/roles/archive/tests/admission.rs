//! What the log takes, and that it promises nothing that is not on disk.

use bauta_crypto::sign::SigningKey;
use bauta_proto::{
    codec::Message,
    submission::{Record, Submission},
};
use bauta_store::archive::NewLeaf;

use super::{
    super::{endpoints, *},
    world::{NOW, World, commit, key},
};

async fn submit(archive: &Arc<Archive>, commit: Submission) -> Result<Signed<Promise>, Problem> {
    endpoints::leaf::leaf(Arc::clone(archive), commit).await
}

async fn refusal(archive: &Arc<Archive>, commit: Submission) -> ProblemKind {
    submit(archive, commit).await.expect_err("refused").kind
}

#[tokio::test]
async fn the_same_commit_gets_the_same_bytes_for_ever_also_after_its_expiry() {
    let world = World::new();
    let archive = world.open();
    let first = submit(&archive, world.commit(1)).await.expect("promised");
    first
        .verified(&archive.log_vkey().key)
        .expect("signed by the log");
    assert_eq!(first.body.log, Promise::log_name(&archive.log_vkey().name));
    assert_eq!(
        (first.body.index, first.body.promised_at),
        (0, Timestamp(NOW))
    );
    submit(&archive, world.commit(2)).await.expect("promised");
    world.set_clock(NOW + 30);
    assert_eq!(
        submit(&archive, world.commit(1))
            .await
            .expect("promised")
            .to_bytes(),
        first.to_bytes()
    );
    world.set_clock(NOW + 1_000_000);
    assert_eq!(
        submit(&archive, world.commit(1))
            .await
            .expect("promised")
            .to_bytes(),
        first.to_bytes()
    );
    drop(archive);
    let archive = world.open();
    assert_eq!(
        submit(&archive, world.commit(1))
            .await
            .expect("promised")
            .to_bytes(),
        first.to_bytes()
    );
}

#[tokio::test]
async fn many_commits_at_once_get_an_index_each_and_repeats_the_same() {
    let world = World::new();
    let archive = world.open();
    let calls = (0..300).map(|number| submit(&archive, world.commit(number % 100)));
    let promises = futures_util::future::try_join_all(calls)
        .await
        .expect("promised");
    let mut indices: Vec<u64> = promises.iter().map(|promise| promise.body.index).collect();
    assert_eq!(indices[..100], indices[100..200]);
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn expired_too_distant_and_unlisted_commits_are_refused_at_the_second() {
    let world = World::new();
    let archive = world.open();
    let bank = &world.bank;
    let at = |time_s| commit(bank, time_s, Timestamp(time_s));
    assert_eq!(
        refusal(&archive, at(NOW - 1)).await,
        ProblemKind::CommitExpired
    );
    submit(&archive, at(NOW)).await.expect("the last second");
    submit(&archive, at(NOW + 86_400))
        .await
        .expect("the farthest");
    assert_eq!(
        refusal(&archive, at(NOW + 86_401)).await,
        ProblemKind::CommitTooFar
    );
    let stranger = commit(&key(2), 1, Timestamp(NOW + 60));
    assert_eq!(refusal(&archive, stranger).await, ProblemKind::UnknownBank);
}

#[tokio::test]
async fn one_flipped_bit_in_any_byte_of_a_commit_is_refused() {
    let world = World::new();
    let archive = world.open();
    let bytes = world.commit(1).to_bytes();
    for position in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[position] ^= 1 << (position % 8);
        // A deed that there is not does not even decode.
        let Ok(altered) = Submission::from_bytes(&altered) else {
            continue;
        };
        assert_eq!(
            refusal(&archive, altered).await,
            ProblemKind::BadCommit,
            "byte {position}"
        );
    }
    archive.publish_once().await.expect("publishes");
    assert_eq!(
        world.published().expect("a checkpoint").lines().nth(1),
        Some("0")
    );
}

#[tokio::test]
async fn another_preimage_is_refused_even_under_the_banks_signature() {
    let world = World::new();
    let archive = world.open();
    let preimage = world.commit(2).preimage;
    let wrong = Submission {
        preimage,
        ..world.commit(1)
    };
    assert_eq!(refusal(&archive, wrong).await, ProblemKind::BadCommit);
}

#[tokio::test]
async fn a_record_is_taken_from_a_listed_bank_in_its_time_only() {
    let world = World::new();
    let archive = world.open();
    let record = |bank: &SigningKey, valid_until| Record {
        bank: bank.verifying_key().into(),
        valid_until: Timestamp(valid_until),
        subject: [8; 32],
    };
    let submit = |record| endpoints::record::record(Arc::clone(&archive), record);
    let good = record(&world.bank, u64::MAX).signed(&world.bank);
    let promise = submit(good.clone()).await.expect("promised");
    assert_eq!(promise.body.leaf_hash, good.body.leaf().hash());
    assert_eq!(submit(good).await.expect("repeated"), promise);

    let refused = [
        (
            record(&world.bank, NOW).signed(&key(2)),
            ProblemKind::BadSignature,
        ),
        (
            record(&key(2), NOW).signed(&key(2)),
            ProblemKind::UnknownBank,
        ),
        (
            record(&world.bank, NOW - 1).signed(&world.bank),
            ProblemKind::StaleRequest,
        ),
    ];
    for (record, kind) in refused {
        assert_eq!(submit(record).await.expect_err("refused").kind, kind);
    }
}

#[tokio::test]
async fn no_promise_without_a_durable_write_and_none_is_lost_by_asking_again() {
    let world = World::new();
    let archive = world.open();
    submit(&archive, world.commit(1)).await.expect("promised");
    let other = commit(&world.bank, 2, Timestamp(NOW + 60))
        .checked_leaf()
        .expect("a leaf");
    let mut second_process = world.store();
    let other = NewLeaf {
        leaf: other,
        promised_at: Timestamp(NOW),
    };
    second_process.append(&[other]).expect("appends");
    let failed = submit(&archive, world.commit(3))
        .await
        .expect_err("the batch failed");
    assert!(failed.is_temporary());
    let promise = submit(&archive, world.commit(3)).await.expect("promised");
    assert_eq!(promise.body.index, 2);
}
