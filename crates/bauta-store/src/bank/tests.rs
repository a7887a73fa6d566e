use bauta_crypto::{blind::BlindedMessage, sign::VerifyingKey};
use bauta_proto::{account::EntryKind, ids::RequestId, lock::LockState, time::Timestamp};
use proptest::prelude::*;

use super::{conformance::*, *};
use crate::sqlite::Schema;

fn store() -> (tempfile::TempDir, BankStore, BankReader) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bank.db");
    let store = BankStore::open(&path, BankId([9; 32])).expect("opens");
    let reader = BankReader::open(&path).expect("opens");
    (folder, store, reader)
}

#[test]
fn sqlite_keeps_every_promise_of_the_conformance_list() {
    for (name, promise) in all_promises() {
        println!("{name}");
        let (_folder, mut store, _) = store();
        promise(&mut store);
    }
}

#[test]
fn a_store_is_served_under_one_key_only_and_an_operator_needs_none() {
    let (folder, store, _) = store();
    drop(store);
    let path = folder.path().join("bank.db");
    let other = BankStore::open(&path, BankId([8; 32]));
    assert!(matches!(other, Err(StoreError::Foreign)));
    assert!(BankStore::open_existing(&path).is_ok());
    let missing = folder.path().join("missing.db");
    assert!(BankStore::open_existing(&missing).is_err());
    assert!(!missing.exists(), "an operator's mistake makes no bank");
}

#[test]
fn statements_come_in_pages_and_balances_follow_from_the_entries() {
    let (_folder, mut store, reader) = store();
    funded(&mut store);
    let euro = euros(0).currency;
    let all = reader
        .statement(account(1), euro, 0)
        .expect("reads")
        .expect("an account");
    let kinds: Vec<_> = all.entries.iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Credit, EntryKind::Withdrawal]);
    assert_eq!(all.balance, amount(36));
    assert_eq!(all.entries[1].balance, all.balance);
    let rest = reader.statement(account(1), euro, 1).expect("reads");
    assert_eq!(rest.expect("an account").entries, all.entries[1..]);
    assert_eq!(reader.statement(account(5), euro, 0).expect("reads"), None);
    let mut rows = Vec::new();
    reader.accounts(|row| rows.push(row)).expect("reads");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].balance, euros(36));
}

#[test]
fn what_was_signed_is_restored_and_coins_show_their_state() {
    let (_folder, mut store, reader) = store();
    funded(&mut store);
    let restored = reader.restore(&BlindedMessage([2; 48])).expect("reads");
    let (keyset, exponent, signature) = restored.expect("was signed");
    assert_eq!((keyset, exponent), (KeysetNumber(1), 4));
    assert_eq!(signature, output(2, 4).signature);
    assert!(
        reader
            .restore(&BlindedMessage([99; 48]))
            .expect("reads")
            .is_none()
    );

    let state = |reader: &BankReader| {
        let state = reader.coin_state(KeysetNumber(1), 4, VerifyingKey([1; 32]));
        let state = state.expect("reads");
        (
            state.sequence,
            state.remaining.minor_units(),
            state.locked.minor_units(),
        )
    };
    assert_eq!(state(&reader), (0, 16, 0));
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 10)]);
    one(&mut store, new_lock(9, 10, payer, Vec::new())).expect("locked");
    assert_eq!(state(&reader), (1, 6, 10));
    one(&mut store, release(9)).expect("released");
    assert_eq!(state(&reader), (1, 16, 0));
}

#[test]
fn jobs_find_the_locks_that_are_due() {
    let (_folder, mut store, reader) = store();
    funded(&mut store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 10)]);
    one(&mut store, new_lock(9, 10, payer, Vec::new())).expect("locked");
    let due = UndecidedLock {
        lock_tag: tag(9),
        expiry: EXPIRY,
    };
    let due_before = |moment, after| reader.due_before(moment, after, 10).expect("reads");
    assert_eq!(due_before(EXPIRY, None), []);
    let after = Timestamp(EXPIRY.0 + 1);
    assert_eq!(due_before(after, None), [due]);
    assert_eq!(due_before(after, Some(due)), []);
    assert_eq!(reader.oldest_undecided().expect("reads"), Some(EXPIRY));
    let within = |from, until| reader.has_undecided(from, until).expect("reads");
    assert!(within(EXPIRY, after) && !within(NOW, EXPIRY) && !within(after, Timestamp::MAX));
    assert_eq!(reader.outlived(after, 10).expect("reads"), []);
    assert_eq!(reader.outlived(SETTLE, 10).expect("reads"), [due]);
    let row = reader.lock(tag(9)).expect("reads").expect("a lock");
    assert_eq!(row.state, LockState::Held);
    assert_eq!(row.public.lock_tag(), tag(9));
    let bytes = reply(row.public, euros(10));
    assert_eq!(reader.lock_reply(tag(9)).expect("reads"), Some(bytes));
    let later = SeenLock {
        lock_tag: tag(9),
        views: Vec::new(),
        preimage: None,
        is_prepared: false,
        due: after,
    };
    let decisions = Decisions {
        undecided: vec![later],
        ..Decisions::default()
    };
    one(&mut store, BankCommand::Decide(Box::new(decisions))).expect("kept");
    assert_eq!(due_before(after, None), []);
    assert_eq!(due_before(Timestamp(after.0 + 1), None), [due]);
    one(&mut store, capture(9, NOW)).expect("captured");
    assert_eq!(due_before(Timestamp::MAX, None), []);
    assert_eq!(reader.oldest_undecided().expect("reads"), None);
    let row = reader.lock(tag(9)).expect("reads").expect("a lock");
    assert_eq!(row.state, LockState::Captured { preimage: PREIMAGE });
}

#[test]
fn jobs_find_due_locks_by_an_index_however_many_are_decided() {
    let (_folder, store, _) = store();
    let plan = |query: &str| -> String {
        let explain = format!("EXPLAIN QUERY PLAN {query}");
        let connection = store.database.connection();
        let mut statement = connection.prepare(&explain).expect("a statement");
        let mut rows = statement.raw_query();
        let row = rows.next().expect("a plan").expect("a row");
        row.get(3).expect("a text")
    };
    let due = plan(read::DUE);
    assert!(due.contains("COVERING INDEX locks_undecided"), "{due}");
    for query in [read::OUTLIVED, read::OLDEST, read::UNDECIDED_WITHIN] {
        let plan = plan(query);
        assert!(plan.contains("INDEX locks_undecided"), "{plan}");
    }
}

#[test]
fn the_position_in_the_log_and_a_repeats_answer_read_back() {
    let (_folder, mut store, reader) = store();
    funded(&mut store);
    let step = advance(0, 5);
    one(&mut store, BankCommand::AdvanceLog(Box::new(step.clone()))).expect("advanced");
    let position = reader.log_position(&step.origin).expect("reads");
    let position = position.expect("was read");
    assert!(reader.log_position("other").expect("reads").is_none());
    assert_eq!(position.frontier, step.frontier);
    assert_eq!(position.checkpoint, step.checkpoint);
    let blinded = [BlindedMessage([1; 48]), BlindedMessage([2; 48])];
    let issued = |request| reader.issued(RequestId([request; 32]), &blinded);
    assert!(issued(250).expect("reads").is_some());
    assert!(issued(251).expect("reads").is_none());
}

#[test]
fn a_store_of_the_first_version_keeps_its_locks_and_its_place_in_the_log() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("bank.db");
    let first = Schema {
        migrations: &schema::SCHEMA.migrations[..1],
        ..schema::SCHEMA
    };
    let mut database = Database::open(&path, &first).expect("opens");
    let fast = reply(fast_lock(1), euros(5));
    let without_mode = [&fast[..120], &fast[121..]].concat();
    database
        .transaction(|transaction| {
            for (number, state) in [(1, 1), (2, 3), (3, 4)] {
                let preimage = (state == 3).then_some(PREIMAGE);
                transaction.execute(
                    "INSERT INTO locks (lock_tag, state, currency, amount, hash_lock, payee, expiry, settle_until,
                     preimage, reply) VALUES (?1, ?2, 'EUR', 5, x'00', ?3, 2000, 3000, ?4, ?5)",
                    rusqlite::params![tag(number).0, state, [7_u8; 32], preimage, without_mode],
                )?;
            }
            let position = "UPDATE log_position SET size = 0, checkpoint = 'log.example' || char(10) || '0'";
            transaction.execute(position, [])?;
            Ok(())
        })
        .expect("writes");
    drop(database);
    BankStore::open(&path, BankId([9; 32])).expect("migrates");
    let reader = BankReader::open(&path).expect("opens");
    let lock = |number| reader.lock(tag(number)).expect("reads").expect("a lock");
    assert_eq!(lock(1).state, LockState::Held);
    assert_eq!(lock(1).public, fast_lock(1));
    assert_eq!(
        (lock(2).state, lock(2).preimage),
        (LockState::Held, Some(PREIMAGE))
    );
    assert_eq!(lock(3).state, LockState::Released);
    let due = reader.due_before(SETTLE, None, 10).expect("reads");
    assert_eq!(due.len(), 1, "one waits for nothing but its end");
    let position = reader.log_position("log.example").expect("reads");
    assert_eq!(position.expect("a position").frontier.size(), 0);
}

#[test]
fn the_database_itself_refuses_to_break_the_books() {
    let (_folder, mut store, _) = store();
    funded(&mut store);
    let broken = store.database.transaction(|transaction| {
        transaction.execute("UPDATE books SET locked = locked + 1", [])?;
        Ok(())
    });
    assert!(matches!(broken, Err(StoreError::Rule(_))));
    let broken = store.database.transaction(|transaction| {
        transaction.execute("UPDATE keysets SET redeemed = redeemed + 1", [])?;
        Ok(())
    });
    assert!(matches!(broken, Err(StoreError::Rule(_))));
}

#[test]
fn the_audit_names_what_differs() {
    let (_folder, mut store, _) = store();
    funded(&mut store);
    let tamper = "UPDATE balances SET balance = balance + 1; DELETE FROM issued WHERE exponent = 4";
    store
        .database
        .transaction(|transaction| Ok(transaction.execute_batch(tamper)?))
        .expect("writes");
    let euro = euros(0).currency;
    let defects = BankStoreOps::audit(&store).expect("reads").defects;
    let expected = [
        Defect::Accounts(euro),
        Defect::Entries(euro),
        Defect::Issued(KeysetNumber(1)),
    ];
    assert_eq!(defects, expected);
}

/// Any command over few accounts, coins, outputs and locks, so that most collide with earlier ones.
fn any_command() -> impl Strategy<Value = BankCommand> {
    let number = 0..6_u8;
    let coins = prop::collection::btree_map(1..5_u8, (0..3_u32, 1..17_u64), 1..3);
    prop_oneof![
        (1..4_u8, 1..50_u64, number.clone()).prop_map(|(to, cents, reference)| {
            BankCommand::Credit(operation(&reference.to_string(), to, cents))
        }),
        (1..4_u8, 1..50_u64, number.clone()).prop_map(|(from, cents, reference)| {
            BankCommand::Payout(operation(&reference.to_string(), from, cents))
        }),
        (number.clone(), 0..3_u8, 10..20_u8).prop_map(|(request, exponent, blinded)| {
            withdrawal(request, 1 << exponent, vec![output(blinded, exponent)])
        }),
        (number.clone(), coins.clone(), 20..90_u8).prop_map(|(request, coins, first)| {
            let inputs = spends(request, &coins);
            let total = coins.values().map(|(_, cents)| cents).sum();
            exchange(request, inputs, outputs_worth(total, first))
        }),
        (number.clone(), coins, 0..8_u64, 90..250_u8).prop_map(|(lock, coins, change, first)| {
            let inputs = spends(lock, &coins);
            let total: u64 = coins.values().map(|(_, cents)| cents).sum();
            let change = change.min(total - 1);
            let payer = LockPayer::Coins(inputs);
            new_lock(lock, total - change, payer, outputs_worth(change, first))
        }),
        (number.clone(), 1..20_u64).prop_map(|(lock, cents)| {
            new_lock(lock, cents, LockPayer::Account(account(1)), Vec::new())
        }),
        (number.clone(), any::<bool>())
            .prop_map(|(lock, late)| { capture(lock, if late { SETTLE } else { NOW }) }),
        number.clone().prop_map(release),
        (number.clone(), any::<bool>())
            .prop_map(|(lock, proven)| claim(lock, proven.then_some(PREIMAGE))),
        (number, any::<bool>()).prop_map(|(lock, early)| {
            let mut step = advance(0, 0);
            if early {
                step.decisions.captures = vec![(tag(lock), PREIMAGE)];
            } else {
                step.decisions.releases = vec![tag(lock)];
            }
            BankCommand::AdvanceLog(Box::new(step))
        }),
        Just(BankCommand::CloseKeyset(KeysetNumber(1), KEYSET_SETTLE)),
    ]
}

fn spends(request: u8, coins: &std::collections::BTreeMap<u8, (u32, u64)>) -> Vec<CoinSpend> {
    let spend =
        |(key, (sequence, cents)): (&u8, &(u32, u64))| coin(request, *key, *sequence, *cents);
    coins.iter().map(spend).collect()
}

/// Outputs of the powers of two that make up `total`.
fn outputs_worth(total: u64, first: u8) -> Vec<SignedOutput> {
    (0..8_u8)
        .filter(|exponent| total & (1 << exponent) != 0)
        .map(|exponent| output(first.wrapping_add(exponent), exponent))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn v1_value_is_conserved_and_rows_equal_totals_whatever_happens(
        batches in prop::collection::vec(prop::collection::vec(any_command(), 1..6), 1..16)
    ) {
        let (_folder, mut store, _) = store();
        funded(&mut store);
        for batch in batches {
            store.apply(batch).expect("no batch breaks a rule");
            sound(&store);
        }
    }
}
