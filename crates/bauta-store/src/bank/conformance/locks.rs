//! Locks: made, captured, released, claimed.

use bauta_proto::{lock::ClaimOutcome, time::Timestamp};

use super::*;

pub(super) const PROMISES: &[Promise] = promises![
    a_lock_takes_the_price_and_gives_change,
    a_repeated_lock_is_answered_with_the_bytes_of_the_first,
    a_released_lock_gives_its_value_back_to_just_its_coins,
    a_lock_of_an_account_returns_to_the_account_even_if_it_is_frozen,
    a_preimage_captures_until_the_expiry_and_not_a_second_later,
    v4_a_lock_is_never_both_captured_and_released,
    a_claim_is_paid_once,
    a_claim_with_a_receipt_captures_and_pays_at_once,
    v2_a_commit_that_a_frozen_payee_proves_is_not_given_back,
    v6_no_lock_outlives_its_last_moment,
];

fn a_lock_takes_the_price_and_gives_change(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16), coin(9, 2, 0, 16)]);
    let locked = one(store, new_lock(9, 28, payer, vec![output(9, 2)]));
    let bytes = reply(fast_lock(9), euros(28));
    assert_eq!(locked, Ok(Done::Locked(bytes)));
    let audit = sound(store);
    assert_eq!(audit.currencies[0].locked, amount(28));
    assert_eq!(audit.currencies[0].circulation, amount(36));
    assert_eq!(audit.keysets[0].locked, amount(28));
    assert_eq!(audit.keysets[0].redeemed, amount(4));
}

fn a_repeated_lock_is_answered_with_the_bytes_of_the_first(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    let lock = new_lock(9, 12, payer, vec![output(9, 2)]);
    let results = store.apply(vec![lock.clone(), lock.clone()]);
    let bytes = reply(fast_lock(9), euros(12));
    let first = Ok(Done::Locked(bytes));
    assert_eq!(
        results.expect("the store works"),
        [first.clone(), first.clone()]
    );
    one(store, release(9)).expect("released");
    assert_eq!(one(store, lock), first, "also when it was decided");
    assert_eq!(circulation(store), 64);
}

fn a_released_lock_gives_its_value_back_to_just_its_coins(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 10), coin(9, 2, 0, 16)]);
    one(store, new_lock(9, 18, payer, vec![output(9, 3)])).expect("locked");
    one(store, release(9)).expect("released");
    let whole = exchange(2, vec![coin(2, 1, 1, 16)], vec![output(20, 4)]);
    assert!(one(store, whole).is_ok(), "10 of 10 returned to the first");
    let outputs = vec![output(21, 3), output(22, 0)];
    let more = exchange(3, vec![coin(3, 2, 1, 9)], outputs);
    assert!(matches!(
        one(store, more),
        Err(Refusal::CoinSpent { proof: Some(_) })
    ));
    let rest = exchange(4, vec![coin(4, 2, 1, 8)], vec![output(21, 3)]);
    assert!(one(store, rest).is_ok(), "8 of 16 returned to the second");
    assert_eq!(circulation(store), 64);
}

fn a_lock_of_an_account_returns_to_the_account_even_if_it_is_frozen(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Account(account(1));
    one(store, new_lock(9, 36, payer.clone(), Vec::new())).expect("locked");
    let more = one(store, new_lock(10, 1, payer, Vec::new()));
    assert_eq!(more, Err(Refusal::InsufficientFunds));
    one(store, BankCommand::SetFrozen(account(1), true)).expect("frozen");
    one(store, release(9)).expect("released");
    assert_eq!(balance(store), 36);
}

fn a_preimage_captures_until_the_expiry_and_not_a_second_later(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let late = Timestamp(EXPIRY.0 + 1);
    assert_eq!(one(store, capture(8, NOW)), Err(Refusal::UnknownLock));
    assert_eq!(one(store, capture(9, late)), Err(Refusal::LockTime));
    let wrong = BankCommand::Capture {
        lock_tag: tag(9),
        preimage: [0; 32],
        at: NOW,
    };
    assert_eq!(one(store, wrong), Err(Refusal::WrongPreimage));
    let captured = Ok(Done::Captured(PREIMAGE));
    assert_eq!(one(store, capture(9, EXPIRY)), captured);
    assert_eq!(one(store, capture(9, late)), captured, "a repeat");
    assert_eq!(sound(store).keysets[0].redeemed, amount(16));
}

fn v4_a_lock_is_never_both_captured_and_released(store: &mut dyn BankStoreOps) {
    held_lock(store);
    one(store, capture(9, NOW)).expect("captured");
    assert_eq!(one(store, release(9)), Err(Refusal::LockDecided));
    let outlived = BankCommand::ReleaseOutlived {
        lock_tag: tag(9),
        at: SETTLE,
    };
    assert_eq!(one(store, outlived), Err(Refusal::LockDecided));
    let mut by_log = advance(0, 1);
    by_log.decisions.releases = vec![tag(9)];
    let step = one(store, BankCommand::AdvanceLog(Box::new(by_log)));
    let nothing = Done::Decided {
        captured: 0,
        released: 0,
    };
    assert_eq!(step, Ok(nothing.clone()));

    let payer = LockPayer::Coins(vec![coin(10, 2, 0, 16)]);
    one(store, new_lock(10, 16, payer, Vec::new())).expect("locked");
    one(store, release(10)).expect("released");
    assert_eq!(one(store, capture(10, NOW)), Err(Refusal::LockDecided));
    let mut by_log = advance(1, 2);
    by_log.decisions.captures = vec![(tag(10), PREIMAGE)];
    let step = one(store, BankCommand::AdvanceLog(Box::new(by_log)));
    assert_eq!(step, Ok(nothing));
    let claimed = one(store, claim(10, Some(PREIMAGE)));
    assert_eq!(claimed, Ok(Done::Claimed(ClaimOutcome::Released)));
    sound(store);
}

fn a_claim_is_paid_once(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let outcome = |store: &mut dyn BankStoreOps, command| match one(store, command) {
        Ok(Done::Claimed(outcome)) => outcome,
        other => panic!("not a claim's outcome: {other:?}"),
    };
    assert_eq!(outcome(store, claim(8, None)), ClaimOutcome::Unknown);
    assert_eq!(outcome(store, claim(9, None)), ClaimOutcome::Undecided);
    one(store, capture(9, NOW)).expect("captured");
    let stranger = BankCommand::Claim(CheckedClaim {
        lock_tag: tag(9),
        payee: payee(8),
        account: account(3),
        proven: Some(PREIMAGE),
        seen: None,
        at: NOW,
    });
    assert_eq!(outcome(store, stranger), ClaimOutcome::WrongPayee);
    assert_eq!(sound(store).currencies[0].locked, amount(16));
    assert_eq!(outcome(store, claim(9, None)), ClaimOutcome::Credited);
    assert_eq!(outcome(store, claim(9, None)), ClaimOutcome::Credited);
    assert_eq!(balance(store), 36 + 16);
    one(store, BankCommand::SetFrozen(account(2), true)).expect("opened by the claim");
    let payer = LockPayer::Account(account(1));
    one(store, new_lock(10, 1, payer, Vec::new())).expect("locked");
    one(store, capture(10, NOW)).expect("captured");
    assert_eq!(outcome(store, claim(10, None)), ClaimOutcome::Frozen);
}

fn a_claim_with_a_receipt_captures_and_pays_at_once(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let wrong = one(store, claim(9, Some([0; 32])));
    assert_eq!(wrong, Ok(Done::Claimed(ClaimOutcome::BadReceipt)));
    let paid = one(store, claim(9, Some(PREIMAGE)));
    assert_eq!(paid, Ok(Done::Claimed(ClaimOutcome::Credited)));
    assert_eq!(one(store, capture(9, NOW)), Ok(Done::Captured(PREIMAGE)));
    assert_eq!(balance(store), 36 + 16);
}

fn v2_a_commit_that_a_frozen_payee_proves_is_not_given_back(store: &mut dyn BankStoreOps) {
    held_lock(store);
    one(store, BankCommand::Credit(operation("m", 2, 1))).expect("opened");
    one(store, BankCommand::SetFrozen(account(2), true)).expect("frozen");
    let claimed = one(store, claim(9, Some(PREIMAGE)));
    assert_eq!(claimed, Ok(Done::Claimed(ClaimOutcome::Frozen)));
    let end = BankCommand::ReleaseOutlived {
        lock_tag: tag(9),
        at: SETTLE,
    };
    assert_eq!(one(store, end), Err(Refusal::LockDecided));
    one(store, BankCommand::SetFrozen(account(2), false)).expect("thawed");
    let claimed = one(store, claim(9, None));
    assert_eq!(claimed, Ok(Done::Claimed(ClaimOutcome::Credited)));
    sound(store);
}

fn v6_no_lock_outlives_its_last_moment(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let at = |at| BankCommand::ReleaseOutlived {
        lock_tag: tag(9),
        at,
    };
    let before = Timestamp(SETTLE.0 - 1);
    assert_eq!(one(store, at(before)), Err(Refusal::LockTime));
    assert_eq!(one(store, at(SETTLE)), Ok(Done::Released));
    assert_eq!(one(store, at(SETTLE)), Ok(Done::Released));
    assert_eq!(circulation(store), 64);
}
