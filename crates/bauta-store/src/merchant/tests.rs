use std::path::PathBuf;

use bauta_crypto::{
    secret::Secret,
    sign::{Signature, SigningKey},
};
use bauta_proto::{
    accept::{Accept, AcceptRequest},
    codec::{Message, Signed},
    ids::{
        AccountId, BankId, CiphertextRoot, GoodId, MerchantId, PlaintextRoot, PolicyId, Pseudonym,
        Serial, Txid,
    },
    lock::{Lock, LockMode, LockPrivate, LockPublic, LockStatus},
    log::leaf::Deed,
    merchant::{Conditions, GoodForSale, Seller, compose_offer},
    offer::{Mode, OrderRequest, Terms},
    submission::Promise,
    time::{Seconds, Timestamp},
};

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

struct Shop {
    _folder: tempfile::TempDir,
    path: PathBuf,
    store: MerchantStore,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("merchant.db");
        let store = MerchantStore::open(&path).expect("opens");
        Self {
            _folder: folder,
            path,
            store,
        }
    }

    /// What a crash leaves: the file.
    fn reopen(&mut self) {
        self.store = MerchantStore::open(&self.path).expect("opens again");
    }

    fn reader(&self) -> MerchantReader {
        MerchantReader::open(&self.path).expect("opens for reading")
    }

    fn one(&mut self, command: MerchantCommand) -> Result<Order, MerchantRefusal> {
        let mut results = self.store.apply(&[command]).expect("written");
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    fn step(&mut self, txid: Txid, step: Step) -> Order {
        self.one(MerchantCommand::Step(txid, step)).expect("known")
    }

    fn offered(&mut self, number: u8) -> Order {
        self.one(offer(number, NOW)).expect("taken")
    }

    fn sent(&mut self, number: u8) -> Order {
        let order = self.offered(number);
        self.one(accept(&order, 1, true)).expect("taken")
    }

    fn in_state(&self, state: OrderState, now: Timestamp) -> Vec<Txid> {
        let due = self.reader().due(state, now, 10).expect("reads");
        due.into_iter().map(|order| order.txid).collect()
    }
}

fn good(number: u8) -> GoodForSale {
    GoodForSale {
        price: "4.99EUR".parse().expect("an amount"),
        terms: Terms {
            salt: [0; 32],
            title: "Title".into(),
            file_name: "file.txt".into(),
            media_type: "text/plain".into(),
            description: "Description".into(),
            licence: "Licence".into(),
            refund_rule: "Rule".into(),
        },
        pt_root: PlaintextRoot([number; 32]),
        pt_len: 5,
        ct_root: CiphertextRoot([number; 32]),
        ct_len: 77,
        content_key: Secret::new([number; 16]),
    }
}

fn offer(number: u8, now: Timestamp) -> MerchantCommand {
    offer_in(Mode::Fast, number, now)
}

fn offer_in(mode: Mode, number: u8, now: Timestamp) -> MerchantCommand {
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    let request = OrderRequest {
        mode,
        merchant: MerchantId::from(key.verifying_key()),
        good: GoodId([1; 16]),
        version: 1,
        bank: BankId([2; 32]),
        log_policy: PolicyId([3; 32]),
        pseudonym: Pseudonym([4; 32]),
        nonce: [number; 32],
    };
    let seller = Seller {
        key: &key,
        sale_secret: &Secret::new([5; 32]),
        account: AccountId([6; 32]),
    };
    let conditions = Conditions {
        reveal_window: Seconds(60),
        offer_span: Seconds(60),
        lock_min: Seconds(10),
        lock_max: Seconds(100),
        dispute_window: Seconds(0),
    };
    let composed = compose_offer(seller, &good(1), &request, conditions, now);
    MerchantCommand::Offer(Box::new(NewOrder {
        request,
        offer: composed.reply.offer,
        account: AccountId([6; 32]),
        answered_at: now,
        keep_until: now.plus(Seconds(90)),
    }))
}

fn accept(order: &Order, lock: u8, send: bool) -> MerchantCommand {
    let offer = &order.offer.body;
    let bank = SigningKey::from_seed(&Secret::new([2; 32]));
    let public = LockPublic {
        mode: LockMode::Fast,
        bank: offer.bank,
        serial: Serial([lock; 16]),
        hash_lock: offer.hash_lock,
        expiry: NOW.plus(Seconds(50)),
        log_policy: offer.log_policy,
    };
    let private = LockPrivate {
        amount: offer.price,
        payee: offer.payee,
        dispute_until: NOW,
        settle_until: NOW,
        salt: [0; 16],
    };
    let lock = Lock::new(public, private, &bank);
    let accept = Accept {
        txid: order.txid,
        lock_tag: lock.lock_tag(),
    };
    let accept = accept.signed(&bank);
    MerchantCommand::Accept {
        request: Box::new(AcceptRequest { lock, accept }),
        at: NOW,
        send,
    }
}

fn promise() -> Box<Signed<Promise>> {
    Box::new(Signed {
        body: Promise {
            log: [1; 32],
            leaf_hash: [2; 32],
            index: 3,
            promised_at: NOW,
        },
        signature: Signature([9; 64]),
    })
}

fn promised() -> Step {
    Step::Promise {
        deed: Deed::Commit,
        promises: vec![*promise()],
        threshold: 1,
        at: NOW,
        due_at: NOW,
    }
}

fn captured() -> Step {
    let status = LockStatus {
        bank: BankId([2; 32]),
        locks: Vec::new(),
    };
    Step::Capture {
        word: Box::new(Signed {
            body: status,
            signature: Signature([8; 64]),
        }),
        at: NOW,
    }
}

#[test]
fn a_repeated_order_keeps_its_first_answer() {
    let mut shop = Shop::new();
    let first = shop.offered(1);
    shop.reopen();
    let again = shop.one(offer(1, NOW.plus(Seconds(7)))).expect("taken");
    assert_eq!(again, first);
    assert_eq!(
        shop.reader().order(&first.order_id()).expect("reads"),
        Some(first)
    );
}

#[test]
fn one_lock_pays_for_one_offer_and_a_second_is_refused() {
    let mut shop = Shop::new();
    let order = shop.offered(1);
    let first = accept(&order, 1, false);
    let taken = shop.one(first.clone()).expect("taken");
    assert_eq!(taken.state, OrderState::Accepted);
    assert_eq!(shop.one(first).expect("a repeat"), taken);
    let other = shop.one(accept(&order, 2, true));
    assert_eq!(other, Err(MerchantRefusal::OtherLock));
    assert_eq!(shop.reader().sale(order.txid).expect("reads"), Some(taken));
}

#[test]
fn a_lock_for_an_offer_that_was_never_made_is_refused_and_its_neighbours_stay() {
    let mut shop = Shop::new();
    let order = shop.offered(1);
    let stranger = Order {
        txid: Txid([9; 32]),
        ..order.clone()
    };
    let batch = [accept(&stranger, 1, true), accept(&order, 1, true)];
    let results = shop.store.apply(&batch).expect("written");
    assert_eq!(results[0], Err(MerchantRefusal::UnknownOffer));
    assert_eq!(
        results[1].as_ref().map(|order| order.state),
        Ok(OrderState::Sent)
    );
}

#[test]
fn every_step_survives_a_crash_and_its_repeat_changes_nothing() {
    let mut shop = Shop::new();
    let order = shop.offered(1);
    let txid = order.txid;
    shop.one(accept(&order, 1, false)).expect("taken");
    let log = Step::Log {
        log: [1; 32],
        deed: Deed::Commit,
        receipt: vec![1],
        threshold: 1,
        due_at: NOW,
    };
    let steps = [
        (Step::Send { at: NOW }, OrderState::Sent),
        (Step::Lose { due_at: NOW }, OrderState::Unknown),
        (promised(), OrderState::Promised),
        (log, OrderState::Logged),
        (Step::Claim { at: NOW }, OrderState::Claimed),
    ];
    for (step, state) in steps {
        let after = shop.step(txid, step.clone());
        assert_eq!(after.state, state);
        shop.reopen();
        assert_eq!(shop.step(txid, step), after);
    }
}

#[test]
fn a_claimed_order_never_fails_and_a_failed_one_is_never_promised() {
    let mut shop = Shop::new();
    let fail = Step::Fail {
        reason: Reason::Released,
        at: NOW,
    };
    let claimed = shop.sent(1).txid;
    shop.step(claimed, captured());
    shop.step(claimed, Step::Claim { at: NOW });
    assert_eq!(shop.step(claimed, fail.clone()).state, OrderState::Claimed);
    let failed = shop.sent(2).txid;
    shop.step(failed, fail);
    assert_eq!(shop.step(failed, promised()).state, OrderState::Failed);
}

#[test]
fn the_preimage_goes_to_the_customer_only_behind_promise_or_capture() {
    let mut shop = Shop::new();
    let order = shop.offered(1);
    assert!(!order.is_deliverable());
    let order = shop.one(accept(&order, 1, true)).expect("taken");
    assert!(!order.is_deliverable());
    assert!(shop.step(order.txid, promised()).is_deliverable());
    let taken = shop.sent(2).txid;
    assert!(shop.step(taken, captured()).is_deliverable());
}

#[test]
fn an_answer_once_given_stays_when_the_log_breaks_its_promise() {
    let mut shop = Shop::new();
    let txid = shop.sent(1).txid;
    shop.step(txid, promised());
    let broken = Step::BreakPromise {
        log: [1; 32],
        deed: Deed::Commit,
        threshold: 1,
        evidence: vec![7],
        due_at: NOW,
    };
    let order = shop.step(txid, broken);
    assert_eq!(order.state, OrderState::Unknown);
    assert_eq!(order.leaves[0].evidence, Some(vec![7]));
    assert_eq!(order.standing(NOW).next, Actor::Operator);
    let order = shop.step(txid, captured());
    let told: Vec<_> = order.told_promises().cloned().collect();
    assert_eq!(told, [*promise()]);
}

#[test]
fn unpaid_offers_are_forgotten_after_their_time_and_paid_ones_never() {
    let mut shop = Shop::new();
    let unpaid = shop.offered(1).txid;
    let paid = shop.sent(2).txid;
    let end = NOW.plus(Seconds(90));
    assert_eq!(shop.store.prune(end, 10).expect("prunes"), 0);
    assert_eq!(
        shop.store.prune(end.plus(Seconds(1)), 10).expect("prunes"),
        1
    );
    assert_eq!(shop.reader().sale(unpaid).expect("reads"), None);
    assert!(shop.reader().sale(paid).expect("reads").is_some());
}

#[test]
fn offers_beyond_the_limit_are_refused_until_one_is_paid_and_repeats_are_not() {
    let mut shop = Shop::new();
    shop.store = MerchantStore::open(&shop.path)
        .expect("opens")
        .with_offers_max(2);
    let first = shop.offered(1);
    shop.offered(1);
    shop.offered(2);
    let third = shop.one(offer(3, NOW));
    assert_eq!(third, Err(MerchantRefusal::TooManyOffers));
    assert_eq!(shop.one(offer(1, NOW)), Ok(first.clone()));
    shop.one(accept(&first, 1, true)).expect("taken");
    shop.offered(3);
    let fourth = shop.one(offer(4, NOW));
    assert_eq!(fourth, Err(MerchantRefusal::TooManyOffers));
}

#[test]
fn a_deferred_order_is_due_later_and_only_in_its_state() {
    let mut shop = Shop::new();
    let txid = shop.sent(1).txid;
    let later = NOW.plus(Seconds(5));
    let defer = |state| Step::Defer {
        state,
        reason: Some(Reason::OutOfReach),
        due_at: later,
    };
    shop.step(txid, defer(OrderState::Promised));
    assert_eq!(shop.in_state(OrderState::Sent, NOW), [txid]);
    let order = shop.step(txid, defer(OrderState::Sent));
    assert_eq!(
        (order.attempts, order.reason),
        (1, Some(Reason::OutOfReach))
    );
    assert_eq!(shop.in_state(OrderState::Sent, NOW), []);
    assert_eq!(shop.in_state(OrderState::Sent, later), [txid]);
}

#[test]
fn each_state_says_who_acts_next() {
    let mut shop = Shop::new();
    let offered = shop.offered(1);
    assert_eq!(offered.standing(NOW).next, Actor::Customer);
    let lapsed = NOW.plus(Seconds(61));
    assert_eq!(offered.standing(lapsed).next, Actor::Nobody);
    let order = shop.one(accept(&offered, 1, false)).expect("taken");
    assert_eq!(order.standing(NOW).next, Actor::Shop);
    let order = shop.step(order.txid, Step::Send { at: NOW });
    assert_eq!(order.standing(NOW).next, Actor::Log);
    let order = shop.step(order.txid, captured());
    assert_eq!(order.standing(NOW).next, Actor::Shop);
    let frozen = Step::Defer {
        state: OrderState::Captured,
        reason: Some(Reason::Frozen),
        due_at: NOW,
    };
    assert_eq!(
        shop.step(order.txid, frozen).standing(NOW).next,
        Actor::Operator
    );
}

#[test]
fn a_new_version_takes_the_place_of_the_old_one_and_a_reader_notices() {
    let mut shop = Shop::new();
    let reader = shop.reader();
    let id = GoodId([1; 16]);
    assert_eq!(shop.store.add_version(id, &good(1), NOW).expect("adds"), 1);
    let before = reader.revision().expect("reads");
    assert_eq!(shop.store.add_version(id, &good(2), NOW).expect("adds"), 2);
    assert!(reader.revision().expect("reads") > before);
    let goods = reader.goods().expect("reads");
    assert_eq!(goods.len(), 1);
    assert_eq!((goods[0].version, goods[0].state), (2, SaleState::ForSale));
    let old = reader.version(id, 1).expect("reads").expect("kept");
    assert_eq!(old.state, SaleState::Superseded);
    assert_eq!(reader.ciphertexts().expect("reads").len(), 2);
}

#[test]
fn a_good_is_withdrawn_once_and_a_new_version_brings_it_back() {
    let mut shop = Shop::new();
    let id = GoodId([1; 16]);
    let unknown = shop.store.withdraw(id).expect("asks");
    assert_eq!(unknown, Err(ShelfRefusal::UnknownGood));
    shop.store.add_version(id, &good(1), NOW).expect("adds");
    assert_eq!(shop.store.withdraw(id).expect("asks"), Ok(()));
    let again = shop.store.withdraw(id).expect("asks");
    assert_eq!(again, Err(ShelfRefusal::NotForSale));
    shop.store.add_version(id, &good(2), NOW).expect("adds");
    let current = shop.store.current(id).expect("reads").expect("known");
    assert_eq!((current.version, current.state), (2, SaleState::ForSale));
}

#[cfg(unix)]
#[test]
fn only_the_owner_reads_the_file_with_the_content_keys() {
    use std::os::unix::fs::PermissionsExt;
    let shop = Shop::new();
    for name in ["merchant.db", "merchant.db-wal"] {
        let file = shop.path.with_file_name(name);
        let mode = std::fs::metadata(file).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

/// Whoever adds a column has to say here that it tells nothing about a customer.
#[test]
fn a_sale_is_on_record_with_a_pseudonym_and_nothing_else_about_the_customer() {
    let shop = Shop::new();
    let connection = shop.store.database.connection();
    let mut statement = connection
        .prepare("SELECT name FROM pragma_table_info('sale') ORDER BY cid")
        .expect("a statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("reads");
    let columns: Vec<String> = rows.map(|name| name.expect("a name")).collect();
    let known = "number order_id txid good version answered_at account offer is_safe state due_at accept accepted_at \
         sent_at confirmed_at captured_at capture reason attempts ended_at";
    assert_eq!(columns.join(" "), known);
}

/// A log's promise of a leaf.
fn promise_of(log: u8) -> Signed<Promise> {
    let mut promise = *promise();
    promise.body.log = [log; 32];
    promise
}

/// Promises of which two are enough.
fn promised_by(deed: Deed, logs: &[u8]) -> Step {
    Step::Promise {
        deed,
        promises: logs.iter().map(|log| promise_of(*log)).collect(),
        threshold: 2,
        at: NOW,
        due_at: NOW,
    }
}

#[test]
fn with_several_logs_enough_promises_release_the_key_and_later_ones_change_no_answer() {
    let mut shop = Shop::new();
    let txid = shop.sent(1).txid;
    let order = shop.step(txid, promised_by(Deed::Commit, &[1]));
    assert_eq!(
        (order.state, order.is_deliverable()),
        (OrderState::Sent, false)
    );
    let order = shop.step(txid, promised_by(Deed::Commit, &[2]));
    assert_eq!(
        (order.state, order.is_deliverable()),
        (OrderState::Promised, true)
    );
    let told: Vec<_> = order.told_promises().cloned().collect();
    assert_eq!(told, [promise_of(1), promise_of(2)]);
    let order = shop.step(txid, promised_by(Deed::Commit, &[3]));
    assert_eq!(order.leaves.len(), 3);
    let still: Vec<_> = order.told_promises().cloned().collect();
    assert_eq!(still, told);
}

#[test]
fn one_log_that_breaks_its_promise_is_noted_and_the_sale_goes_on_with_the_others() {
    let mut shop = Shop::new();
    let txid = shop.sent(1).txid;
    shop.step(txid, promised_by(Deed::Commit, &[1, 2, 3]));
    let broken = |log| Step::BreakPromise {
        log: [log; 32],
        deed: Deed::Commit,
        evidence: vec![7],
        threshold: 2,
        due_at: NOW,
    };
    let order = shop.step(txid, broken(2));
    assert_eq!(order.state, OrderState::Promised);
    assert_eq!(
        order
            .leaf(&[2; 32], Deed::Commit)
            .map(|leaf| leaf.evidence.is_some()),
        Some(true)
    );
    let receipt = |log| Step::Log {
        log: [log; 32],
        deed: Deed::Commit,
        receipt: vec![log],
        threshold: 2,
        due_at: NOW,
    };
    assert_eq!(shop.step(txid, receipt(2)).state, OrderState::Promised);
    assert_eq!(shop.step(txid, receipt(1)).state, OrderState::Promised);
    assert_eq!(shop.step(txid, receipt(3)).state, OrderState::Logged);
    let other = shop.sent(2).txid;
    shop.step(other, promised_by(Deed::Commit, &[1, 2]));
    assert_eq!(shop.step(other, broken(1)).state, OrderState::Unknown);
}

#[test]
fn in_mode_safe_the_key_leaves_behind_what_prepares_only() {
    let mut shop = Shop::new();
    let order = shop.one(offer_in(Mode::Safe, 1, NOW)).expect("taken");
    let txid = order.txid;
    let prompt = shop.one(accept(&order, 1, true)).expect("taken");
    assert_eq!(
        (prompt.state, prompt.sent_at),
        (OrderState::Preparing, None)
    );
    let order = shop.step(txid, promised_by(Deed::Prepare, &[1, 2]));
    assert_eq!(
        (order.state, order.is_deliverable()),
        (OrderState::Preparing, false)
    );
    // A promise of a commit that was never sent means nothing.
    assert!(!shop.step(txid, captured()).is_deliverable());
    shop.reopen();
    assert_eq!(shop.in_state(OrderState::Preparing, NOW), [txid]);
    let order = shop.step(txid, Step::Send { at: NOW });
    assert_eq!((order.state, order.sent_at), (OrderState::Sent, Some(NOW)));
    let waiting = shop.one(offer_in(Mode::Safe, 2, NOW)).expect("taken");
    let waiting = shop.one(accept(&waiting, 2, false)).expect("taken");
    assert_eq!(waiting.state, OrderState::Accepted);
    let same = shop.step(waiting.txid, Step::Send { at: NOW });
    assert_eq!(same.state, OrderState::Accepted);
    let order = shop.step(waiting.txid, Step::Prepare { at: NOW });
    assert_eq!(order.state, OrderState::Preparing);
    let cancelled = Step::Fail {
        reason: Reason::Cancelled,
        at: NOW,
    };
    let order = shop.step(waiting.txid, cancelled);
    assert_eq!((order.state, order.sent_at), (OrderState::Failed, None));
}

#[test]
fn cancels_are_kept_with_the_position_behind_them_until_their_locks_are_long_over() {
    let mut shop = Shop::new();
    let before = shop.sent(1).number;
    let mut frontier = bauta_crypto::merkle::Frontier::new();
    frontier.append([1; 32]);
    let begin = LogStep {
        log: [5; 32],
        from_size: None,
        frontier: frontier.clone(),
        cancels: Vec::new(),
    };
    shop.store.advance_log(&begin).expect("written");
    let leaf = bauta_proto::log::leaf::Leaf::of_lock(
        Deed::Cancel,
        bauta_proto::ids::LockTag([6; 32]),
        NOW,
        [7; 32],
    );
    let cancel = Cancel {
        log: [5; 32],
        index: 1,
        leaf: leaf.clone(),
    };
    frontier.append(leaf.hash());
    let step = LogStep {
        log: [5; 32],
        from_size: Some(1),
        frontier,
        cancels: vec![cancel.clone()],
    };
    shop.store.advance_log(&step).expect("written");
    shop.reopen();
    shop.store.advance_log(&step).expect("a repeat");
    shop.store.advance_log(&begin).expect("begun already");
    let position = shop.reader().log_position(&[5; 32]).expect("reads");
    let position = position.expect("begun");
    assert_eq!(position.frontier.size(), 2);
    assert_eq!(position.first_sale, before + 1);
    let tag = bauta_proto::ids::LockTag([6; 32]);
    assert_eq!(shop.reader().cancels(tag).expect("reads"), [cancel]);
    assert_eq!(shop.store.prune_cancels(NOW, 10).expect("prunes"), 0);
    let later = NOW.plus(Seconds(1));
    assert_eq!(shop.store.prune_cancels(later, 10).expect("prunes"), 1);
    assert_eq!(shop.reader().cancels(tag).expect("reads"), []);
}

#[test]
fn what_one_log_said_before_there_were_several_is_kept() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("merchant.db");
    let before = Schema {
        migrations: &[include_str!("schema.sql")],
        ..SCHEMA
    };
    let database = Database::open(&path, &before).expect("opens");
    let MerchantCommand::Offer(new) = offer(1, NOW) else {
        unreachable!("an offer")
    };
    let promise = promise();
    let connection = database.connection();
    connection
        .execute(
            "INSERT INTO sale (order_id, txid, good, version, answered_at, account, offer, state, due_at, accept, \
             sent_at, promise, receipt) VALUES (?1, ?2, zeroblob(16), 1, 0, ?3, ?4, 9, 0, NULL, 5, ?5, x'09')",
            rusqlite::params![
                order_id(&new),
                new.offer.body.txid().as_bytes(),
                [6_u8; 32],
                new.offer.to_bytes(),
                promise.to_bytes(),
            ],
        )
        .expect("written");
    drop(database);
    drop(MerchantStore::open(&path).expect("migrates"));
    let reader = MerchantReader::open(&path).expect("opens for reading");
    let kept = reader
        .sale(new.offer.body.txid())
        .expect("reads")
        .expect("kept");
    assert_eq!(kept.confirmed_at, Some(Timestamp(5)));
    let leaf = kept.leaf(&promise.body.log, Deed::Commit).expect("kept");
    assert_eq!((leaf.is_told, leaf.receipt.clone()), (true, Some(vec![9])));
    assert_eq!(leaf.promise, *promise);
}

/// Begins to follow a log at its beginning.
fn begin_following(shop: &mut Shop) -> u64 {
    let log = [5; 32];
    let begin = LogStep {
        log,
        from_size: None,
        frontier: bauta_crypto::merkle::Frontier::new(),
        cancels: Vec::new(),
    };
    shop.store.advance_log(&begin).expect("written");
    let position = shop.reader().log_position(&log).expect("reads");
    position.expect("begun").first_sale
}

#[test]
fn what_is_sold_after_lapsed_offers_were_forgotten_is_newer_than_where_the_logs_are_read_from() {
    let mut shop = Shop::new();
    let lapsed = [1, 2, 3].map(|number| shop.offered(number).number);
    let first_sale = begin_following(&mut shop);
    assert!(lapsed.iter().all(|number| *number < first_sale));
    let later = NOW.plus(Seconds(91));
    assert_eq!(shop.store.prune(later, 10).expect("prunes"), 3);
    shop.reopen();
    let order = shop.one(offer_in(Mode::Safe, 4, later)).expect("taken");
    assert!(order.number >= first_sale, "{} {first_sale}", order.number);
}

#[test]
fn a_store_that_gave_numbers_again_is_mended_and_keeps_its_sales() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("merchant.db");
    let before = Schema {
        migrations: &SCHEMA.migrations[..2],
        ..SCHEMA
    };
    let MerchantCommand::Offer(new) = offer(1, NOW) else {
        unreachable!("an offer")
    };
    let database = Database::open(&path, &before).expect("opens");
    assert!(row::insert(database.connection(), &new).expect("written"));
    // It was begun behind sale 7; the newest sales have lapsed since.
    let position = "INSERT INTO log_position VALUES (zeroblob(32), 0, x'', 8)";
    database
        .connection()
        .execute(position, [])
        .expect("written");
    drop(database);
    let store = MerchantStore::open(&path).expect("migrates");
    let mut shop = Shop {
        _folder: folder,
        path,
        store,
    };
    let kept = shop.reader().sale(new.offer.body.txid()).expect("reads");
    assert_eq!(kept.expect("kept").number, 1);
    assert_eq!(shop.offered(2).number, 8);
}
