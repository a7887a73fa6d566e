//! An archive that leaks, denies, hides or dates its leaves as it likes, alone and with others.

use std::sync::Arc;

use bauta_crypto::hash;
use bauta_proto::{
    codec::{Message, Signed},
    ids::{HashLock, LockTag},
    lock::{Lock, LockState},
    log::leaf::{Deed, Leaf},
    offer::Offer,
    problem::ProblemKind,
    submission::{Promise, Submission},
    time::Seconds,
    transport::archive::{CHECKPOINT_PATH, SubmitLeaf},
};
use bauta_server::roles::archive::Archive;
use bauta_store::archive::{ArchiveStore, NewLeaf};

use crate::{
    net::{Answer, Caller, LOG, Say},
    town::{ORIGIN, PRICE, Town, foiled, second_archive},
};

/// A sale to a purse, with the log lying; whether the customer was told the secret, and what for.
async fn sold(town: &Town) -> (Offer, Lock, Option<bauta_proto::accept::Delivery>) {
    let coin = town.coins(1, 10..11, 9).await.remove(0);
    let offer = town.offer(&town.good("song"), 1).await.offer.body;
    let lock = town.lock(&offer, (&coin, 0, PRICE)).await;
    let delivered = town.accept(&offer, &lock).await.ok();
    (offer, lock, delivered)
}

/// Leak and deny: the archive keeps the secret, passes it to the customer, and says nothing. In the source it would know
/// the key itself.
#[tokio::test]
async fn leak_and_deny() {
    let town = Town::new().await;
    let leaked = crate::customer::leaking_archive(&town);
    let (offer, ..) = sold(&town).await;
    town.settle().await;
    let leaked = leaked.lock().expect("no panic").clone();
    let opens = |secret: &[u8; 32]| hash::sha256(&[secret]) == offer.hash_lock.0;
    assert!(leaked.iter().any(opens), "the customer has the secret");
    foiled(town.shop_earned() == PRICE, "goods for nothing");
}

/// Contradictory abort: the archive has the secret in time, and says that it came too late.
#[tokio::test]
async fn a_contradictory_abort() {
    let town = Town::new().await;
    town.ways.lie(|asked| match asked.is::<SubmitLeaf>() {
        true => Say::Lie(Answer::refusal(ProblemKind::CommitExpired)),
        false => Say::Truth,
    });
    sold(&town).await;
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "goods for nothing");
}

/// What the archive promises instead of writing the leaf, signed by the log's key.
fn promises(town: &Town, change: impl Fn(&mut Promise) + Send + Sync + 'static) {
    let (log, now) = (town.log_key(), town.now());
    town.ways.lie(move |asked| {
        if !asked.is::<SubmitLeaf>() {
            return Say::Truth;
        }
        let commit = asked.message::<SubmitLeaf>();
        let tag = commit.lock.lock_tag();
        let mut promise = Promise {
            log: Promise::log_name(ORIGIN),
            leaf_hash: Leaf::of_lock(Deed::Commit, tag, commit.lock.expiry, commit.preimage).hash(),
            index: 1_000,
            promised_at: now,
        };
        change(&mut promise);
        Say::Lie(Answer::of(&promise.signed(&log)))
    });
}

/// The archive promises, and writes nothing.
#[tokio::test]
async fn a_promise_that_is_not_kept() {
    let town = Town::new().await;
    promises(&town, |_| ());
    let (_, _, delivered) = sold(&town).await;
    assert!(delivered.is_some(), "a promise is enough for the key");
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "goods for nothing");
}

/// The promised place is another leaf's.
#[tokio::test]
async fn a_promise_of_anothers_place() {
    let town = Town::new().await;
    promises(&town, |promise| promise.index = 0);
    sold(&town).await;
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "goods for nothing");
    let order = town.sales().remove(0);
    foiled(
        !order.leaves.is_empty(),
        "the broken promise is not kept as proof",
    );
}

/// With a promise that does not convict, the merchant must not deliver: only the bank's word will do then.
async fn no_delivery_on(change: impl Fn(&mut Promise) + Send + Sync + 'static) {
    let town = Town::new().await;
    promises(&town, change);
    let (_, _, delivered) = sold(&town).await;
    let promise = delivered.and_then(|delivery| delivery.promises.into_iter().next());
    foiled(
        promise.is_none(),
        "the key for a promise that proves nothing",
    );
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "goods for nothing");
}

#[tokio::test]
async fn a_promise_for_another_leaf() {
    no_delivery_on(|promise| promise.leaf_hash[0] ^= 1).await;
}

/// Promise replay across logs: the same key, another log.
#[tokio::test]
async fn a_promise_of_another_log() {
    no_delivery_on(|promise| promise.log = Promise::log_name("another.example/log")).await;
}

/// A promise that the log can deny, passed on by whoever is between.
#[tokio::test]
async fn a_promise_that_is_not_signed() {
    let town = Town::new().await;
    town.ways
        .twist_reply::<SubmitLeaf>(|_, promise| promise.body.signed(&crate::purse::key(66)));
    let (_, _, delivered) = sold(&town).await;
    let promise = delivered.and_then(|delivery| delivery.promises.into_iter().next());
    foiled(
        promise.is_none(),
        "the key for a promise that proves nothing",
    );
}

/// A lock on which the script plays the payee: nobody else will bring the secret anywhere.
struct Bare {
    lock: Lock,
    preimage: [u8; 32],
}

impl Bare {
    async fn new(town: &Town) -> Self {
        let coin = town.coins(1, 10..11, 9).await.remove(0);
        let offer = town.offer(&town.good("song"), 1).await.offer.body;
        let preimage = [0x5e; 32];
        let locked = town.lock_changed(&offer, (&coin, 0, PRICE), |request| {
            request.hash_lock = HashLock(hash::sha256(&[&preimage]));
        });
        let lock = locked.await.expect("locked").lock;
        Self { lock, preimage }
    }

    fn tag(&self) -> LockTag {
        self.lock.lock_tag()
    }

    async fn commit(&self, town: &Town) -> bool {
        let commit = Submission::new(&self.lock, Deed::Commit, self.preimage);
        // The writer that finds another's leaf before its own fails once, and reads the head anew.
        let first = town.ask::<SubmitLeaf>(LOG, &commit).await;
        first.is_ok() || town.ask::<SubmitLeaf>(LOG, &commit).await.is_ok()
    }

    async fn state(&self, town: &Town) -> LockState {
        town.state(self.tag()).await
    }

    /// Seconds from now to the expiry and its tolerance, and one more.
    fn until_late(&self, town: &Town) -> u32 {
        self.lock.public.expiry.since(town.now()).0 + 31
    }
}

/// Early abort: the bank is shown an old checkpoint, without the leaf, for as long as it takes to give the money back.
#[tokio::test]
async fn an_early_abort() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    let old = town.get(CHECKPOINT_PATH).await;
    assert!(bare.commit(&town).await, "in time");
    town.ways.lie(move |asked| {
        match asked.caller == Caller::Bank && asked.request.url.ends_with(CHECKPOINT_PATH) {
            true => Say::Lie(old.clone()),
            false => Say::Truth,
        }
    });
    town.archive.publish_once().await.expect("published");
    town.pass(bare.until_late(&town)).await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "released although committed",
    );
}

/// Cosignature times: the archive dates its checkpoint into the future, so that it counts as late before the payee has
/// committed.
#[tokio::test]
async fn a_checkpoint_dated_ahead() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    town.set_archive_clock(bare.lock.public.expiry.plus(Seconds(60)));
    town.round().await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "released before the expiry",
    );
}

/// Clock manipulation: after a late checkpoint without the leaf the archive sets its clock back and commits after all.
#[tokio::test]
async fn a_clock_set_back() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    let (expiry, before) = (bare.lock.public.expiry, town.now());
    town.pass(bare.until_late(&town)).await;
    assert_eq!(bare.state(&town).await, LockState::Released, "late");
    town.set_archive_clock(before);
    assert!(
        bare.commit(&town).await,
        "by the archive's own clock it is in time"
    );
    town.archive.publish_once().await.expect("published");
    let checkpoint = String::from_utf8(town.get(CHECKPOINT_PATH).await.body).expect("text");
    let checked = town.policy().check(&checkpoint).expect("a checkpoint");
    let age = bauta_proto::decision::age(&checked, expiry);
    foiled(
        age != bauta_proto::decision::Age::Early,
        "committed and released",
    );
}

/// A leaf of the archive's own making, past every check.
async fn write_leaf(town: &Town, leaf: Leaf) {
    let path = town.folder.path().join("archive").join("archive.db");
    let mut store = ArchiveStore::open(&path).expect("opens");
    let promised_at = town.now();
    let appended = store.append(&[NewLeaf { leaf, promised_at }]);
    appended.expect("written");
    town.archive.publish_once().await.expect("published");
}

/// Paid for another secret: merchant and archive put a secret into the log that opens nothing.
#[tokio::test]
async fn a_leaf_with_another_secret() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    write_leaf(
        &town,
        Leaf::of_lock(
            Deed::Commit,
            bare.tag(),
            bare.lock.public.expiry,
            [0x66; 32],
        ),
    )
    .await;
    town.round().await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "paid for nothing",
    );
    town.settle().await;
    foiled(
        bare.state(&town).await == LockState::Released,
        "the money is stuck",
    );
}

/// Late commit: merchant and archive write the leaf with a later expiry, by which it would be in time.
#[tokio::test]
async fn a_leaf_with_another_expiry() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    let expiry = bare.lock.public.expiry.plus(Seconds::days(1));
    write_leaf(
        &town,
        Leaf::of_lock(Deed::Commit, bare.tag(), expiry, bare.preimage),
    )
    .await;
    town.round().await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "paid by another expiry",
    );
}

/// Late commit: merchant and archive write the right leaf when the bank has not looked yet, after the expiry. It must not
/// pay: others may have seen a late checkpoint without it.
#[tokio::test]
async fn a_leaf_written_late() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    town.set_clock(bare.lock.public.expiry.plus(Seconds(31)));
    write_leaf(
        &town,
        Leaf::of_lock(
            Deed::Commit,
            bare.tag(),
            bare.lock.public.expiry,
            bare.preimage,
        ),
    )
    .await;
    town.round().await;
    let is_captured = matches!(bare.state(&town).await, LockState::Captured { .. });
    foiled(!is_captured, "paid after the expiry");
}

/// The leaf stands in the tree, and the file that the bank reads shows another in its place.
#[tokio::test]
async fn a_leaf_hidden_from_the_bank() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    assert!(bare.commit(&town).await, "in time");
    let tag = bare.tag();
    town.ways.twist(move |asked, mut answer| {
        if asked.caller == Caller::Bank && asked.request.url.contains("/tile/entries/") {
            hide(&mut answer.body, tag);
        }
        answer
    });
    town.archive.publish_once().await.expect("published");
    town.pass(bare.until_late(&town)).await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "released although committed",
    );
}

/// Writes over the subject of the lock's leaf in a bundle of entries.
fn hide(bundle: &mut [u8], tag: LockTag) {
    let place = bundle.windows(32).position(|window| window == tag.0);
    if let Some(place) = place {
        bundle[place..place + 32].fill(0x66);
    }
}

/// An archive with two histories: what the bank has read before is not the beginning of what it is shown now, without the
/// leaf.
#[tokio::test]
async fn two_histories_for_one_bank() {
    let town = Town::new().await;
    let filler = |number| Leaf::record(town.bank.bank_id(), town.now(), [number; 32]);
    write_leaf(&town, filler(1)).await;
    town.round().await;
    let bare = Bare::new(&town).await;
    assert!(bare.commit(&town).await, "in time");
    let other = second_archive(&town);
    write_other(&town, &[filler(2), filler(3), filler(4)]);
    show_to_bank(&town, &other);
    town.pass(bare.until_late(&town)).await;
    other.publish_once().await.expect("published");
    town.round().await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "released although committed",
    );
}

/// The merchant sees one history, with the leaf, the bank another, without. The merchant's receipt must be enough.
#[tokio::test]
async fn one_history_for_the_bank_one_for_the_shop() {
    let town = Town::new().await;
    let other = second_archive(&town);
    let filler = |number| Leaf::record(town.bank.bank_id(), town.now(), [number; 32]);
    write_other(&town, &[filler(1), filler(2)]);
    other.publish_once().await.expect("published");
    show_to_bank(&town, &other);
    sold(&town).await;
    town.settle().await;
    foiled(town.shop_earned() == PRICE, "goods for nothing");
}

fn write_other(town: &Town, leaves: &[Leaf]) {
    let path = town.folder.path().join("other").join("archive.db");
    let mut store = ArchiveStore::open(&path).expect("opens");
    let promised_at = town.now();
    let leaf = |leaf: &Leaf| NewLeaf {
        leaf: leaf.clone(),
        promised_at,
    };
    let leaves: Vec<_> = leaves.iter().map(leaf).collect();
    store.append(&leaves).expect("written");
}

/// From now on the bank reads another archive with the same keys.
fn show_to_bank(town: &Town, other: &Arc<Archive>) {
    const OTHER: &str = "http://other.example";
    town.ways.place(OTHER, other.router());
    town.ways.divert(|caller, request| {
        if caller == Caller::Bank && request.url.starts_with(LOG) {
            request.url = request.url.replacen(LOG, OTHER, 1);
        }
    });
}

/// Cosignature times: whoever stands between bank and log shows an old checkpoint, without the leaf, under a later time
/// than its witness cosigned it at.
#[tokio::test]
async fn an_old_checkpoint_under_a_later_time() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    let old = town.get(CHECKPOINT_PATH).await;
    assert!(bare.commit(&town).await, "in time");
    let late = bare.lock.public.expiry.plus(Seconds(60));
    let forged = Answer {
        status: 200,
        body: dated(&old.body, late.0).into_bytes(),
    };
    town.ways.lie(move |asked| {
        match asked.caller == Caller::Bank && asked.request.url.ends_with(CHECKPOINT_PATH) {
            true => Say::Lie(forged.clone()),
            false => Say::Truth,
        }
    });
    town.pass(bare.until_late(&town)).await;
    foiled(
        bare.state(&town).await == LockState::Held,
        "released although committed",
    );
}

/// The checkpoint with another time in its last signature line: `— name base64(key id(4) || time(8) || signature)`.
fn dated(checkpoint: &[u8], time_s: u64) -> String {
    use data_encoding::BASE64;
    let note = String::from_utf8(checkpoint.to_vec()).expect("text");
    let (rest, signature) = note.trim_end().rsplit_once(' ').expect("a signature line");
    let mut bytes = BASE64.decode(signature.as_bytes()).expect("base64");
    bytes[4..12].copy_from_slice(&time_s.to_be_bytes());
    format!("{rest} {}\n", BASE64.encode(&bytes))
}

/// A promise is for one leaf of one log for ever: asked again, the archive cannot but say the same.
#[tokio::test]
async fn a_commit_promised_twice() {
    let town = Town::new().await;
    let bare = Bare::new(&town).await;
    let commit = Submission::new(&bare.lock, Deed::Commit, bare.preimage);
    let first: Signed<Promise> = town.ask::<SubmitLeaf>(LOG, &commit).await.expect("in time");
    town.pass(5).await;
    let again = town
        .ask::<SubmitLeaf>(LOG, &commit)
        .await
        .expect("a repeat");
    foiled(first == again, "two promises for one leaf");
    town.pass(bare.until_late(&town)).await;
    let late = town.ask::<SubmitLeaf>(LOG, &commit).await;
    foiled(late == Ok(first), "a repeat after the expiry is denied");
}
