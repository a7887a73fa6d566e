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
    let key = SigningKey::from_seed(&Secret::new([1; 32]));
    let request = OrderRequest {
        mode: Mode::Fast,
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
        promise: promise(),
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
        receipt: vec![1],
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
        evidence: vec![7],
        due_at: NOW,
    };
    let order = shop.step(txid, broken);
    assert_eq!(order.state, OrderState::Unknown);
    assert_eq!(order.evidence, Some(vec![7]));
    assert_eq!(order.standing(NOW).next, Actor::Operator);
    let order = shop.step(txid, captured());
    assert_eq!(order.promise, Some(*promise()));
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
    let known = "number order_id txid good version answered_at account offer state due_at accept accepted_at sent_at \
         promise captured_at capture receipt evidence reason attempts ended_at";
    assert_eq!(columns.join(" "), known);
}
