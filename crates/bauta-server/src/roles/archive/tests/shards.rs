//! Shards: each leaf has one log, a log that has ended says so for ever, and what is removed never comes back different.

use std::{fs, sync::Mutex};

use bauta_proto::{
    codec::Message,
    decision::{Age, age},
    limits::REVEAL_WINDOW_MAX,
    log::reader::{KEPT_FOLDER, LogReader},
    submission::{Record, Submission},
    time::CLOCK_TOLERANCE,
};

use super::{
    super::{endpoints, keys::log_lines, span::last_moment, *},
    witnessed::{Deed, cosigner, witness},
    world::{NOW, World, commit, key, role_seed},
};
use crate::config::PolicySource;

const DAYS: u32 = 30;

/// An archive with shards of 30 days, two of them ahead.
fn sharded() -> World {
    let mut world = World::new();
    world.config.shard_days = DAYS;
    world.config.shards_ahead = Some(2);
    world
}

fn current() -> Shard {
    Shard::containing(Timestamp(NOW), DAYS)
}

/// A lock that expires in this shard, as early as it can from `NOW` on.
fn lock_in(world: &World, shard: Shard, number: u64) -> Submission {
    let expiry = shard.from.max(Timestamp(NOW + 60));
    commit(&world.bank, number, expiry)
}

async fn submit(
    archive: &Arc<Archive>,
    shard: Shard,
    submission: Submission,
) -> Result<Signed<Promise>, Problem> {
    endpoints::leaf::leaf_of_shard(Arc::clone(archive), shard.to_string(), submission).await
}

fn note(world: &World, shard: Shard) -> String {
    let path = world.config.data.join("public").join(shard.to_string());
    fs::read_to_string(path.join(CHECKPOINT_FILE)).expect("a checkpoint")
}

fn open_logs(archive: &Archive) -> usize {
    let shards = [0, 1, 2].map(|n| wanted_shard(n).to_string());
    let slots = shards
        .iter()
        .filter_map(|name| archive.slots.named(Some(name)));
    slots.filter(|slot| slot.opened().is_some()).count()
}

fn wanted_shard(number: usize) -> Shard {
    std::iter::successors(Some(current()), |shard| Some(shard.next()))
        .nth(number)
        .expect("without an end")
}

#[tokio::test]
async fn a_leaf_is_taken_by_the_shard_of_its_expiry_and_by_no_other() {
    let mut world = sharded();
    world.config.commit_span_max_s = 60 * 86_400;
    let archive = world.open();
    let (this, next) = (current(), current().next());
    let promise = submit(&archive, this, lock_in(&world, this, 1)).await;
    let promise = promise.expect("promised");
    let name = format!("{}/{this}", world.config.origin);
    assert_eq!(promise.body.log, Promise::log_name(&name));
    let later = submit(&archive, next, lock_in(&world, next, 2)).await;
    let later = later.expect("promised");
    assert_eq!((later.body.index, promise.body.index), (0, 0));
    assert_ne!(later.body.log, promise.body.log);

    let refused = submit(&archive, next, lock_in(&world, this, 1)).await;
    let refused = refused.expect_err("another shard");
    assert_eq!(refused.kind, ProblemKind::OtherShard);
    assert_eq!(refused.detail, Some(this.to_string()));
    let whole = endpoints::leaf::leaf(Arc::clone(&archive), lock_in(&world, this, 1)).await;
    assert_eq!(whole.expect_err("no shard").kind, ProblemKind::OtherShard);
    for name in ["20000101-20000201", "checkpoint", ".."] {
        let commit = lock_in(&world, this, 1);
        let answer = endpoints::leaf::leaf_of_shard(Arc::clone(&archive), name.into(), commit);
        assert_eq!(
            answer.await.expect_err("no such").kind,
            ProblemKind::NotFound
        );
    }
    let record = Record {
        bank: world.bank.verifying_key().into(),
        valid_until: next.from,
        subject: [8; 32],
    };
    let record = record.signed(&world.bank);
    let submit = |shard: Shard| {
        let archive = Arc::clone(&archive);
        endpoints::record::record_of_shard(archive, shard.to_string(), record.clone())
    };
    submit(next).await.expect("promised");
    let refused = submit(this).await.expect_err("another shard");
    assert_eq!(refused.kind, ProblemKind::OtherShard);
}

#[tokio::test]
async fn the_policy_lists_every_shard_with_a_key_that_was_known_before_it_began() {
    let world = sharded();
    let archive = world.open();
    let shards: Vec<Shard> = (0..3).map(wanted_shard).collect();
    let seed = role_seed(&world.folder, 7);
    let place = (world.config.origin.as_str(), "http://log.example");
    let lines = log_lines(&seed, place, &shards).expect("lines");
    assert!(archive.policy().text().starts_with(&lines));
    for (known, shard) in archive.policy().logs().iter().zip(&shards) {
        assert_eq!(known.shard, Some(*shard));
        assert_eq!(known.url, Some(format!("http://log.example/{shard}")));
        let slot = archive.slots.named(Some(&shard.to_string()));
        assert_eq!(slot.expect("is there").log_vkey, known.key);
    }
    let keys: std::collections::HashSet<_> = archive
        .policy()
        .logs()
        .iter()
        .map(|log| log.key.to_string())
        .collect();
    assert_eq!(keys.len(), 3);
    archive
        .policy()
        .check_use(Timestamp(NOW + 60))
        .expect("can be used");
}

#[tokio::test]
async fn each_shard_is_read_at_its_own_address_and_proves_its_leaves() {
    let mut world = sharded();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    world.config.url = Some(format!("http://{}", listener.local_addr().expect("bound")));
    world.config.commit_span_max_s = 60 * 86_400;
    let archive = world.open();
    let router = archive.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    archive.publish_once().await.expect("publishes");
    for (number, shard) in [current(), current().next()].into_iter().enumerate() {
        let commit = lock_in(&world, shard, number as u64);
        let leaf = commit.leaf();
        let promise = submit(&archive, shard, commit).await.expect("promised");
        archive.publish_once().await.expect("publishes");
        let readers = LogReader::all_for(&world.transport, archive.policy(), leaf.expiry);
        let [reader] = readers.as_slice() else {
            panic!("one log takes the leaf");
        };
        let checkpoint = reader.checkpoint().await.expect("a checkpoint");
        let receipt = reader.receipt(promise.body.index, &leaf, &checkpoint).await;
        let receipt = receipt.expect("proves");
        receipt.check(&leaf, archive.policy()).expect("checks");
    }
}

#[tokio::test]
async fn shards_that_nobody_uses_hold_neither_store_nor_thread_and_are_shown_fresh() {
    let mut world = sharded();
    world.config.commit_span_max_s = 60 * 86_400;
    let archive = world.open();
    archive.publish_once().await.expect("publishes");
    assert_eq!(open_logs(&archive), 1, "the current one");
    let next = current().next();
    let first = note(&world, next);
    world.set_clock(NOW + 100);
    archive.publish_once().await.expect("publishes");
    assert_eq!(note(&world, next), first, "nothing came");
    assert_eq!(open_logs(&archive), 1);
    world.set_clock(NOW + 120);
    archive.publish_once().await.expect("publishes");
    assert_ne!(note(&world, next), first, "time passed");
    submit(&archive, next, lock_in(&world, next, 2))
        .await
        .expect("promised");
    assert_eq!(open_logs(&archive), 2);
    let before = note(&world, next);
    archive.publish_once().await.expect("publishes");
    assert_ne!(note(&world, next), before, "a leaf came");
    world.set_clock(NOW + 300);
    archive.publish_once().await.expect("publishes");
    assert_eq!(open_logs(&archive), 1);
}

#[tokio::test]
async fn new_shards_are_made_as_time_passes() {
    let world = sharded();
    let archive = world.open();
    archive.publish_once().await.expect("publishes");
    let new = wanted_shard(3);
    assert!(archive.slots.named(Some(&new.to_string())).is_none());
    world.set_clock(current().until.0);
    archive.publish_once().await.expect("publishes");
    assert!(archive.slots.named(Some(&new.to_string())).is_some());
    assert!(note(&world, new).contains(&new.to_string()));
}

/// The moment after which nothing can come into the current shard.
fn end() -> u64 {
    last_moment(current()).plus(CLOCK_TOLERANCE).0
}

#[tokio::test]
async fn a_shard_is_frozen_by_one_last_checkpoint_that_is_late_for_every_lock_in_it() {
    let world = sharded();
    let archive = world.open();
    let shard = current();
    let commit = lock_in(&world, shard, 1);
    let promise = submit(&archive, shard, commit.clone())
        .await
        .expect("promised");
    world.set_clock(end());
    archive.publish_once().await.expect("publishes");
    let slot = archive
        .slots
        .named(Some(&shard.to_string()))
        .expect("is there");
    assert!(!slot.is_frozen());
    world.set_clock(end() + 1);
    archive.publish_once().await.expect("publishes");
    assert!(slot.is_frozen());
    let last = note(&world, shard);
    let checked = archive.policy().check(&last).expect("by the policy");
    assert_eq!(checked.size, 1);
    let latest = Timestamp(shard.until.0 - 1).plus(REVEAL_WINDOW_MAX);
    assert_eq!(age(&checked, latest), Age::Late);

    world.set_clock(end() + 1_000);
    archive.publish_once().await.expect("publishes");
    assert_eq!(note(&world, shard), last, "never again");
    let again = submit(&archive, shard, commit)
        .await
        .expect("promised before");
    assert_eq!(again.to_bytes(), promise.to_bytes());
    let other = submit(&archive, shard, lock_in(&world, shard, 2)).await;
    assert_eq!(
        other.expect_err("too late").kind,
        ProblemKind::CommitExpired
    );

    drop((slot, archive));
    let archive = world.open();
    archive.publish_once().await.expect("publishes");
    assert_eq!(note(&world, shard), last, "after a restart, too");
    let slot = archive.slots.named(Some(&shard.to_string()));
    assert!(slot.expect("is there").opened().is_none(), "files only");
}

#[tokio::test]
async fn a_clock_that_jumped_ahead_ends_no_shard_that_others_cosign() {
    let mut world = sharded();
    let shard = current();
    let place = (world.config.origin.as_str(), "http://log.example");
    let seed = role_seed(&world.folder, 7);
    let line = log_lines(&seed, place, &[shard]).expect("a name");
    let keys = Keys::derive(&seed, &world.config.origin, Some(shard)).expect("a name");
    let says = Arc::new(Mutex::new(Deed::At(NOW)));
    let url = witness(1, &says, keys.log_vkey()).await;
    let witness = cosigner(1).vkey().clone();
    let text = format!("{line}witness w1 {witness} {url}\nquorum w1\n");
    world.config.log_policy = Some(PolicySource(text));
    let archive = world.open();
    // The policy does not list the shards after this one.
    let publish = async || drop(archive.publish_once().await);
    publish().await;
    let slot = archive.slots.named(Some(&shard.to_string()));
    let slot = slot.expect("is there");
    for _ in 0..3 {
        world.set_clock(end() + 1_000_000);
        publish().await;
        assert!(!slot.is_frozen());
    }
    world.set_clock(NOW + 1);
    let taken = submit(&archive, shard, lock_in(&world, shard, 1)).await;
    taken.expect("promised when the clock is right again");
    world.set_clock(end() + 1);
    *says.lock().expect("no panic") = Deed::At(end() + 1);
    publish().await;
    assert!(slot.is_frozen(), "when the witness says so, too");
    let last = archive.policy().check(&note(&world, shard));
    assert_eq!(last.expect("by the policy").size, 1);
}

#[tokio::test]
async fn what_was_promised_before_a_shard_ended_is_in_its_last_checkpoint_whatever_crashes() {
    for closed_before in [false, true] {
        let world = sharded();
        let archive = world.open();
        let shard = current();
        submit(&archive, shard, lock_in(&world, shard, 1))
            .await
            .expect("promised");
        world.set_clock(end() + 1);
        if closed_before {
            let slot = archive
                .slots
                .named(Some(&shard.to_string()))
                .expect("is there");
            slot.opened().expect("open").close().await.expect("closes");
        }
        drop(archive);
        let archive = world.open();
        archive.publish_once().await.expect("publishes");
        let slot = archive
            .slots
            .named(Some(&shard.to_string()))
            .expect("is there");
        assert!(slot.is_frozen());
        let checked = archive
            .policy()
            .check(&note(&world, shard))
            .expect("by the policy");
        assert_eq!(checked.size, 1);
    }
}

#[tokio::test]
async fn a_pruned_shard_keeps_its_last_checkpoint_and_can_never_begin_again() {
    let world = sharded();
    let archive = world.open();
    let shard = current();
    let commit = lock_in(&world, shard, 1);
    submit(&archive, shard, commit.clone())
        .await
        .expect("promised");
    world.set_clock(end() + 1);
    archive.publish_once().await.expect("publishes");
    let last = note(&world, shard);
    let public = world.config.data.join("public").join(shard.to_string());
    assert!(public.join(KEPT_FOLDER).exists());
    let retention = Seconds::days(10);
    let at = |days: u64| Timestamp(end() + days * 86_400);
    let pruned = |now, dry_run| prune(&world.config, retention, now, dry_run).expect("prunes");
    assert_eq!(pruned(at(9), false), []);
    let listed = pruned(at(11), true);
    assert_eq!(listed.len(), 1);
    assert!(listed[0].shard == shard && listed[0].bytes > 0);
    let data = world.config.data.join("shards").join(shard.to_string());
    assert!(data.join(STORE_FILE).exists(), "only listed");
    assert_eq!(pruned(at(11), false), listed);
    assert_eq!(pruned(at(12), false), [], "once");
    assert!(!data.join(STORE_FILE).exists());
    assert!(!public.join("tile").exists());
    assert!(!public.join(KEPT_FOLDER).exists());
    assert_eq!(note(&world, shard), last);

    let asked = submit(&archive, shard, commit.clone()).await;
    assert_eq!(asked.expect_err("gone").kind, ProblemKind::CommitExpired);
    drop(archive);
    // Also with a clock that is wrong.
    world.set_clock(NOW);
    let archive = world.open();
    archive.publish_once().await.expect("publishes the others");
    assert_eq!(note(&world, shard), last);
    assert!(submit(&archive, shard, commit).await.is_err());
    drop(archive);
    fs::remove_file(data.join("frozen")).expect("a careless operator");
    assert!(matches!(
        world.try_open(),
        Err(ArchiveStartError::StoreBehind)
    ));
}

#[tokio::test]
async fn the_archive_prunes_by_itself_after_the_retention() {
    let mut world = sharded();
    world.config.retention_days = Some(1);
    let archive = world.open();
    world.set_clock(end() + 1);
    archive.publish_once().await.expect("publishes");
    let store = world
        .config
        .data
        .join("shards")
        .join(current().to_string())
        .join(STORE_FILE);
    assert!(store.exists());
    world.set_clock(end() + 86_401);
    archive.publish_once().await.expect("publishes");
    assert!(!store.exists());
}

#[tokio::test]
async fn locks_of_another_policy_than_those_listed_are_refused() {
    let mut world = World::new();
    let submission = world.commit(1);
    world.config.policies = vec![PolicyId([9; 32])];
    let archive = world.open();
    let refused = endpoints::leaf::leaf(Arc::clone(&archive), submission.clone()).await;
    assert_eq!(
        refused.expect_err("refused").kind,
        ProblemKind::PolicyNotServed
    );
    drop(archive);
    world.config.policies.push(submission.lock.log_policy);
    let archive = world.open();
    let taken = endpoints::leaf::leaf(archive, submission).await;
    taken.expect("the lock's policy is listed");
}

#[tokio::test]
async fn a_folder_is_of_one_log_or_of_shards_for_ever() {
    let mut world = sharded();
    drop(world.open());
    world.config.shard_days = 0;
    assert!(matches!(world.try_open(), Err(ArchiveStartError::Sharding)));
    let mut world = World::new();
    drop(world.open());
    world.config.shard_days = DAYS;
    assert!(matches!(world.try_open(), Err(ArchiveStartError::Sharding)));
}

#[tokio::test]
async fn shards_that_do_not_reach_as_far_as_locks_do_not_start() {
    let mut world = sharded();
    world.config.commit_span_max_s = 60 * 86_400;
    assert!(world.try_open().is_ok());
    world.config.commit_span_max_s += 1;
    assert!(matches!(
        world.try_open(),
        Err(ArchiveStartError::ShardsAhead)
    ));
    world.config.shards_ahead = None;
    assert!(world.try_open().is_ok());
    world.config.shard_days = 3_661;
    assert!(matches!(
        world.try_open(),
        Err(ArchiveStartError::ShardDays)
    ));
}

#[tokio::test]
async fn a_configured_policy_must_list_the_shards_with_their_keys() {
    let mut world = sharded();
    let archive = world.open();
    let text = archive.policy().text().to_owned();
    drop(archive);
    world.config.log_policy = Some(PolicySource(text.clone()));
    let archive = world.open();
    archive.publish_once().await.expect("publishes");
    assert_eq!(archive.policy().text(), text);
    drop(archive);
    let ends: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains(&wanted_shard(2).to_string()))
        .collect();
    world.config.log_policy = Some(PolicySource(ends.join("\n") + "\n"));
    let archive = world.open();
    archive
        .publish_once()
        .await
        .expect("a shard to come may be listed later");
    assert!(
        archive
            .slots
            .named(Some(&wanted_shard(2).to_string()))
            .is_none()
    );
    drop(archive);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    world.config.log_policy = Some(PolicySource(lines.join("\n") + "\n"));
    assert!(matches!(
        world.try_open(),
        Err(ArchiveStartError::NotListed(_))
    ));
}

#[tokio::test]
async fn a_leaf_that_is_refused_opens_no_log_and_gives_its_witnesses_no_work() {
    let mut world = sharded();
    world.config.commit_span_max_s = 60 * 86_400;
    let archive = world.open();
    archive.publish_once().await.expect("publishes");
    let next = current().next();
    let stranger = commit(&key(99), 1, next.from);
    let refused = submit(&archive, next, stranger).await;
    let refused = refused.expect_err("a bank that is not listed");
    assert_eq!(refused.kind, ProblemKind::UnknownBank);
    assert_eq!(open_logs(&archive), 1, "the current one");
}
