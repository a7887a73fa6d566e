//! The promises that every database of a bank keeps, as one list: each takes an empty store and panics when the promise
//! is broken.

use bauta_crypto::{
    blind::{BlindSignature, BlindedMessage, IssuerPublicKey},
    hash,
    merkle::Frontier,
    sign::{Signature, VerifyingKey},
};
use bauta_proto::{
    codec::{Message, Signed},
    coin::{Keyset, Spend},
    decision::LogView,
    ids::{AccountId, BankId, HashLock, LockTag, PayeeCommitment, PolicyId, RequestId, Serial},
    lock::{ClaimOutcome, Lock, LockMode, LockPrivate, LockPublic, LockReply},
    log::leaf::Deed,
    money::{Amount, Currency, Money},
    time::{Seconds, Timestamp},
};

use super::*;

/// A promise by its name.
pub(super) type Promise = (&'static str, fn(&mut dyn BankStoreOps));

macro_rules! promises {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn(&mut dyn BankStoreOps)),)*] };
}

pub(super) const PROMISES: &[Promise] = promises![
    a_credit_is_booked_once_for_each_reference,
    a_credit_that_cannot_be_counted_is_refused,
    a_withdrawal_takes_what_the_account_has_and_no_more,
    a_frozen_account_pays_nothing_until_it_is_thawed,
    a_repeated_withdrawal_is_answered_the_same_and_booked_once,
    an_output_is_signed_for_one_request_only,
    a_coin_is_spent_once_at_each_sequence_and_the_second_spender_gets_the_proof,
    a_coin_is_spent_at_its_own_sequence_only,
    a_coin_gives_no_more_than_it_holds,
    sums_that_do_not_add_up_are_refused,
    two_requests_for_one_coin_in_one_batch_have_one_winner,
    a_lock_takes_the_price_and_gives_change,
    a_repeated_lock_is_answered_with_the_bytes_of_the_first,
    a_released_lock_gives_its_value_back_to_just_its_coins,
    a_lock_of_an_account_returns_to_the_account_even_if_it_is_frozen,
    a_preimage_captures_until_the_expiry_and_not_a_second_later,
    v4_a_lock_is_never_both_captured_and_released,
    a_claim_is_paid_once,
    a_claim_with_a_receipt_captures_and_pays_at_once,
    v2_a_commit_that_a_frozen_payee_proves_is_not_given_back,
    a_step_along_the_log_is_taken_from_its_own_position_only,
    a_preimage_captures_a_safe_lock_only_while_it_is_prepared,
    what_logs_have_shown_adds_up_in_any_order_and_is_never_forgotten,
    each_log_has_a_position_of_its_own,
    what_is_not_decided_by_the_logs_ends_by_time,
    v6_no_lock_outlives_its_last_moment,
    a_keyset_ends_when_nothing_of_it_is_locked_and_the_rest_is_income,
];

pub(super) const NOW: Timestamp = Timestamp(1_000);
pub(super) const EXPIRY: Timestamp = Timestamp(2_000);
pub(super) const SETTLE: Timestamp = Timestamp(3_000);
pub(super) const KEYSET_SETTLE: Timestamp = Timestamp(9_000);
pub(super) const PREIMAGE: [u8; 32] = [0x77; 32];

pub(super) fn euros(cents: u64) -> Money {
    let euro = Currency::from_code("EUR").expect("a currency");
    amount(cents).of(euro)
}

pub(super) fn amount(cents: u64) -> Amount {
    Amount::new(cents).expect("a small amount")
}

pub(super) fn account(number: u8) -> AccountId {
    AccountId([number; 32])
}

pub(super) fn one(store: &mut dyn BankStoreOps, command: BankCommand) -> BankResult {
    let mut results = store.apply(vec![command]).expect("the store works");
    assert_eq!(results.len(), 1);
    results.remove(0)
}

pub(super) fn operation(reference: &str, number: u8, cents: u64) -> Operation {
    Operation {
        reference: reference.to_owned(),
        account: account(number),
        money: euros(cents),
        at: NOW,
    }
}

pub(super) fn new_keyset(generation: u32) -> BankCommand {
    let keyset = Keyset {
        bank: BankId([9; 32]),
        currency: euros(0).currency,
        issue_from: Timestamp(u64::from(generation)),
        issue_until: Timestamp(5_000),
        spend_until: Timestamp(7_000),
        settle_until: KEYSET_SETTLE,
        keys: vec![IssuerPublicKey([1; 96])],
    };
    let record = Signed {
        body: keyset,
        signature: Signature([0; 64]),
    };
    BankCommand::AddKeyset(Box::new(NewKeyset { record, generation }))
}

pub(super) fn output(number: u8, exponent: u8) -> SignedOutput {
    SignedOutput {
        keyset: KeysetNumber(1),
        exponent,
        blinded: BlindedMessage([number; 48]),
        signature: BlindSignature([number; 48]),
    }
}

pub(super) fn coin(request: u8, key: u8, sequence: u32, cents: u64) -> CoinSpend {
    let body = Spend {
        request: RequestId([request; 32]),
        key: VerifyingKey([key; 32]),
        sequence,
        amount: amount(cents),
    };
    CoinSpend {
        keyset: KeysetNumber(1),
        exponent: 4,
        spend: Signed {
            body,
            signature: Signature([request; 64]),
        },
    }
}

pub(super) fn withdrawal(request: u8, cents: u64, outputs: Vec<SignedOutput>) -> BankCommand {
    BankCommand::Withdraw(Withdrawal {
        request: RequestId([request; 32]),
        account: account(1),
        money: euros(cents),
        outputs,
        at: NOW,
    })
}

pub(super) fn exchange(
    request: u8,
    inputs: Vec<CoinSpend>,
    outputs: Vec<SignedOutput>,
) -> BankCommand {
    BankCommand::Exchange(Exchange {
        request: RequestId([request; 32]),
        currency: euros(0).currency,
        inputs,
        outputs,
    })
}

pub(super) fn tag(number: u8) -> LockTag {
    fast_lock(number).lock_tag()
}

pub(super) fn fast_lock(number: u8) -> LockPublic {
    public(number, LockMode::Fast)
}

fn public(number: u8, mode: LockMode) -> LockPublic {
    LockPublic {
        bank: BankId([9; 32]),
        serial: Serial([number; 16]),
        hash_lock: HashLock(hash::sha256(&[&PREIMAGE])),
        expiry: EXPIRY,
        log_policy: PolicyId([9; 32]),
        mode,
    }
}

const SAFE: LockMode = LockMode::Safe {
    prepare_hash: HashLock([1; 32]),
    cancel_hash: HashLock([2; 32]),
    reveal_window: Seconds(100),
};

pub(super) fn reply(public: LockPublic, money: Money) -> Vec<u8> {
    let private = LockPrivate {
        amount: money,
        payee: payee(7),
        dispute_until: public.expiry,
        settle_until: SETTLE,
        salt: [0; 16],
    };
    let lock = Lock {
        public,
        private,
        signature: Signature([0; 64]),
    };
    let change = Vec::new();
    LockReply { lock, change }.to_bytes()
}

pub(super) fn payee(number: u8) -> PayeeCommitment {
    PayeeCommitment([number; 32])
}

pub(super) fn new_lock(
    number: u8,
    cents: u64,
    payer: LockPayer,
    change: Vec<SignedOutput>,
) -> BankCommand {
    lock_of(number, cents, (payer, change), LockMode::Fast)
}

fn lock_of(
    number: u8,
    cents: u64,
    (payer, change): (LockPayer, Vec<SignedOutput>),
    mode: LockMode,
) -> BankCommand {
    let public = public(number, mode);
    BankCommand::Lock(Box::new(NewLock {
        request: RequestId([number; 32]),
        lock_tag: public.lock_tag(),
        reply: reply(public, euros(cents)),
        money: euros(cents),
        hash_lock: HashLock(hash::sha256(&[&PREIMAGE])),
        payee: payee(7),
        expiry: EXPIRY,
        settle_until: SETTLE,
        payer,
        change,
        at: NOW,
    }))
}

pub(super) fn capture(number: u8, at: Timestamp) -> BankCommand {
    BankCommand::Capture {
        lock_tag: tag(number),
        preimage: PREIMAGE,
        at,
    }
}

pub(super) fn release(number: u8) -> BankCommand {
    BankCommand::Release {
        lock_tag: tag(number),
        payee: payee(7),
        at: NOW,
    }
}

pub(super) fn claim(number: u8, proven: Option<[u8; 32]>) -> BankCommand {
    BankCommand::Claim(CheckedClaim {
        lock_tag: tag(number),
        payee: payee(7),
        account: account(2),
        proven,
        seen: None,
        at: NOW,
    })
}

pub(super) fn advance(from_size: u64, to_size: u64) -> LogAdvance {
    let mut frontier = Frontier::new();
    (0..to_size).for_each(|number| frontier.append([number as u8; 32]));
    LogAdvance {
        origin: "log.example".to_owned(),
        from_size,
        frontier,
        checkpoint: "note".to_owned(),
        decisions: Decisions::default(),
    }
}

/// Account 1 with 1.00 EUR, keyset 1, and coin keys 1 to 4 worth 0.16 each in circulation.
pub(super) fn funded(store: &mut dyn BankStoreOps) {
    one(store, BankCommand::Credit(operation("start", 1, 100))).expect("credited");
    one(store, new_keyset(1)).expect("added");
    let outputs = (1..=4).map(|number| output(number, 4)).collect();
    one(store, withdrawal(250, 64, outputs)).expect("withdrawn");
}

/// Nothing may be missing anywhere, after whatever was done or refused.
pub(super) fn sound(store: &dyn BankStoreOps) -> Audit {
    let audit = store.audit().expect("readable");
    assert_eq!(audit.defects, []);
    audit
}

fn balance(store: &dyn BankStoreOps) -> u64 {
    sound(store)
        .currencies
        .first()
        .map_or(0, |totals| totals.accounts.minor_units())
}

fn circulation(store: &dyn BankStoreOps) -> u64 {
    sound(store).currencies[0].circulation.minor_units()
}

fn a_credit_is_booked_once_for_each_reference(store: &mut dyn BankStoreOps) {
    for _ in 0..2 {
        let credited = one(store, BankCommand::Credit(operation("a", 1, 100)));
        assert_eq!(credited, Ok(Done::Booked));
    }
    let other = one(store, BankCommand::Credit(operation("a", 1, 101)));
    assert_eq!(other, Err(Refusal::ReferenceReused));
    let payout = one(store, BankCommand::Payout(operation("a", 1, 100)));
    assert_eq!(payout, Err(Refusal::ReferenceReused));
    assert_eq!(balance(store), 100);
    one(store, BankCommand::Payout(operation("b", 1, 30))).expect("paid out");
    let more = one(store, BankCommand::Payout(operation("c", 1, 71)));
    assert_eq!(more, Err(Refusal::InsufficientFunds));
    assert_eq!(balance(store), 70);
}

fn a_credit_that_cannot_be_counted_is_refused(store: &mut dyn BankStoreOps) {
    let most = operation("a", 1, Amount::MAX.minor_units());
    let batch = vec![
        BankCommand::Credit(most),
        BankCommand::Credit(operation("b", 2, 1)),
    ];
    let results = store.apply(batch).expect("the store works");
    assert_eq!(results, [Ok(Done::Booked), Err(Refusal::TooMuch)]);
    sound(store);
}

fn a_withdrawal_takes_what_the_account_has_and_no_more(store: &mut dyn BankStoreOps) {
    one(store, new_keyset(1)).expect("added");
    let unknown = one(store, withdrawal(1, 16, vec![output(1, 4)]));
    assert_eq!(unknown, Err(Refusal::UnknownAccount));
    one(store, BankCommand::Credit(operation("a", 1, 20))).expect("credited");
    let done = one(store, withdrawal(1, 16, vec![output(1, 4)]));
    assert_eq!(done, Ok(Done::Issued(vec![BlindSignature([1; 48])])));
    let more = one(store, withdrawal(2, 16, vec![output(2, 4)]));
    assert_eq!(more, Err(Refusal::InsufficientFunds));
    assert_eq!((balance(store), circulation(store)), (4, 16));
}

fn a_frozen_account_pays_nothing_until_it_is_thawed(store: &mut dyn BankStoreOps) {
    funded(store);
    let unknown = one(store, BankCommand::SetFrozen(account(3), true));
    assert_eq!(unknown, Err(Refusal::UnknownAccount));
    one(store, BankCommand::SetFrozen(account(1), true)).expect("frozen");
    let frozen = Err(Refusal::AccountFrozen);
    assert_eq!(one(store, withdrawal(1, 1, vec![output(9, 0)])), frozen);
    let payout = BankCommand::Payout(operation("p", 1, 1));
    assert_eq!(one(store, payout.clone()), frozen);
    one(store, BankCommand::SetFrozen(account(1), false)).expect("thawed");
    one(store, payout).expect("paid out");
    assert_eq!(balance(store), 35);
}

fn a_repeated_withdrawal_is_answered_the_same_and_booked_once(store: &mut dyn BankStoreOps) {
    funded(store);
    let request = withdrawal(1, 3, vec![output(8, 0), output(9, 1)]);
    let first = one(store, request.clone());
    let again = store
        .apply(vec![request.clone(), request])
        .expect("the store works");
    assert_eq!(again, [first.clone(), first]);
    assert_eq!(balance(store), 33);
}

fn an_output_is_signed_for_one_request_only(store: &mut dyn BankStoreOps) {
    funded(store);
    let reused = one(store, withdrawal(1, 17, vec![output(0, 0), output(1, 4)]));
    assert_eq!(reused, Err(Refusal::OutputReused));
    let change = vec![output(2, 2)];
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    let reused = one(store, new_lock(9, 12, payer, change));
    assert_eq!(reused, Err(Refusal::OutputReused));
    let fresh = one(store, withdrawal(2, 1, vec![output(0, 0)]));
    assert!(fresh.is_ok());
    assert_eq!(balance(store), 35);
}

fn a_coin_is_spent_once_at_each_sequence_and_the_second_spender_gets_the_proof(
    store: &mut dyn BankStoreOps,
) {
    funded(store);
    let first = exchange(1, vec![coin(1, 1, 0, 8)], vec![output(9, 3)]);
    let done = one(store, first.clone());
    assert!(done.is_ok());
    let second = exchange(2, vec![coin(2, 1, 0, 8)], vec![output(10, 3)]);
    let kept = coin(1, 1, 0, 8).spend;
    let proof = Some(Box::new((kept.body, kept.signature)));
    assert_eq!(one(store, second), Err(Refusal::CoinSpent { proof }));
    let next = exchange(3, vec![coin(3, 1, 1, 8)], vec![output(10, 3)]);
    assert!(one(store, next).is_ok());
    assert_eq!(one(store, first), done);
    assert_eq!(circulation(store), 64);
}

fn a_coin_is_spent_at_its_own_sequence_only(store: &mut dyn BankStoreOps) {
    funded(store);
    for (request, sequence) in [(1, 0), (2, 1), (3, 2)] {
        let spend = exchange(
            request,
            vec![coin(request, 1, sequence, 2)],
            vec![output(10 + request, 1)],
        );
        assert!(one(store, spend).is_ok());
    }
    for (request, sequence) in [(4, 1), (5, 2), (6, 4)] {
        let spend = exchange(
            request,
            vec![coin(request, 1, sequence, 2)],
            vec![output(10 + request, 1)],
        );
        let refused = one(store, spend);
        assert!(matches!(refused, Err(Refusal::CoinSpent { .. })));
    }
    assert_eq!(circulation(store), 64);
}

fn a_coin_gives_no_more_than_it_holds(store: &mut dyn BankStoreOps) {
    funded(store);
    let outputs = |first| vec![output(first, 1), output(first + 1, 3)];
    let first = exchange(1, vec![coin(1, 1, 0, 10)], outputs(9));
    one(store, first).expect("10 of 16");
    let second = exchange(2, vec![coin(2, 1, 1, 10)], outputs(11));
    let refused = one(store, second);
    assert!(matches!(
        refused,
        Err(Refusal::CoinSpent { proof: Some(_) })
    ));
    assert_eq!(circulation(store), 64);
}

fn sums_that_do_not_add_up_are_refused(store: &mut dyn BankStoreOps) {
    funded(store);
    let unbalanced = Err(Refusal::Unbalanced);
    let exchange = exchange(1, vec![coin(1, 1, 0, 15)], vec![output(9, 4)]);
    assert_eq!(one(store, exchange), unbalanced);
    let withdrawal = withdrawal(2, 15, vec![output(9, 4)]);
    assert_eq!(one(store, withdrawal), unbalanced);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    let lock = new_lock(9, 16, payer, vec![output(9, 0)]);
    assert_eq!(one(store, lock), unbalanced);
    assert_eq!((balance(store), circulation(store)), (36, 64));
}

fn two_requests_for_one_coin_in_one_batch_have_one_winner(store: &mut dyn BankStoreOps) {
    funded(store);
    let batch = vec![
        exchange(1, vec![coin(1, 1, 0, 16)], vec![output(9, 4)]),
        exchange(
            2,
            vec![coin(2, 1, 0, 16), coin(2, 2, 0, 16)],
            vec![output(10, 5)],
        ),
        exchange(3, vec![coin(3, 2, 0, 16)], vec![output(10, 4)]),
    ];
    let results = store.apply(batch).expect("the store works");
    assert!(results[0].is_ok());
    assert!(matches!(results[1], Err(Refusal::CoinSpent { .. })));
    assert!(results[2].is_ok(), "the loser left no trace");
    assert_eq!(circulation(store), 64);
}

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

fn held_lock(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    one(store, new_lock(9, 16, payer, Vec::new())).expect("locked");
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

fn a_step_along_the_log_is_taken_from_its_own_position_only(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let mut step = advance(0, 3);
    step.decisions.captures = vec![(tag(9), PREIMAGE)];
    let mut elsewhere = step.clone();
    elsewhere.from_size = 1;
    let elsewhere = BankCommand::AdvanceLog(Box::new(elsewhere));
    assert_eq!(one(store, elsewhere), Err(Refusal::LogMoved));
    let step = BankCommand::AdvanceLog(Box::new(step));
    let done = Done::Decided {
        captured: 1,
        released: 0,
    };
    assert_eq!(one(store, step.clone()), Ok(done));
    assert_eq!(one(store, step), Err(Refusal::LogMoved));
    sound(store);
}

fn seen(number: u8, mode: LockMode, origin: &str, view: LogView) -> SeenLock {
    SeenLock {
        lock_tag: public(number, mode).lock_tag(),
        views: vec![(origin.to_owned(), view)],
        preimage: None,
        is_prepared: false,
        due: EXPIRY,
    }
}

fn know(store: &mut dyn BankStoreOps, undecided: Vec<SeenLock>) {
    let decisions = Decisions {
        undecided,
        ..Decisions::default()
    };
    one(store, BankCommand::Decide(Box::new(decisions))).expect("kept");
}

fn a_preimage_captures_a_safe_lock_only_while_it_is_prepared(store: &mut dyn BankStoreOps) {
    funded(store);
    let payer = LockPayer::Coins(vec![coin(9, 1, 0, 16)]);
    let lock = lock_of(9, 16, (payer, Vec::new()), SAFE);
    one(store, lock).expect("locked");
    let lock_tag = public(9, SAFE).lock_tag();
    let capture = |at| BankCommand::Capture {
        lock_tag,
        preimage: PREIMAGE,
        at,
    };
    assert_eq!(one(store, capture(NOW)), Err(Refusal::NotPrepared));
    let view = LogView {
        first: Some(Deed::Prepare),
        first_early: true,
        ..LogView::default()
    };
    let prepared = SeenLock {
        is_prepared: true,
        ..seen(9, SAFE, "a", view)
    };
    know(store, vec![prepared]);
    // What is known is added to: one that has seen less makes nothing of it undone.
    know(
        store,
        vec![seen(
            9,
            SAFE,
            "a",
            LogView {
                first_early: false,
                ..view
            },
        )],
    );
    let last = EXPIRY.plus(Seconds(100));
    let late = Timestamp(last.0 + 1);
    assert_eq!(one(store, capture(late)), Err(Refusal::LockTime));
    assert_eq!(one(store, capture(last)), Ok(Done::Captured(PREIMAGE)));
    sound(store);
}

fn what_logs_have_shown_adds_up_in_any_order_and_is_never_forgotten(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let read = LogView {
        first: Some(Deed::Commit),
        committed: true,
        ..LogView::default()
    };
    let proven = LogView {
        first_early: true,
        commit_early: true,
        ..read
    };
    let mut in_b = seen(9, LockMode::Fast, "b", read);
    in_b.preimage = Some(PREIMAGE);
    know(store, vec![in_b]);
    know(store, vec![seen(9, LockMode::Fast, "a", proven)]);
    know(store, vec![seen(9, LockMode::Fast, "a", read)]);
    let views = store.log_views(tag(9)).expect("readable");
    let expected = [("a".to_owned(), proven), ("b".to_owned(), read)];
    assert_eq!(views, expected);
    one(store, release(9)).expect("undecided until now");
    know(store, vec![seen(9, LockMode::Fast, "b", proven)]);
    let views = store.log_views(tag(9)).expect("readable");
    assert_eq!(views, expected, "a decided lock is not looked at again");
    sound(store);
}

fn each_log_has_a_position_of_its_own(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let in_log = |origin: &str, from, to| {
        let origin = origin.to_owned();
        BankCommand::AdvanceLog(Box::new(LogAdvance {
            origin,
            ..advance(from, to)
        }))
    };
    let done = Ok(Done::Decided {
        captured: 0,
        released: 0,
    });
    assert_eq!(one(store, in_log("a", 0, 0)), done, "an empty log");
    assert_eq!(one(store, in_log("a", 0, 3)), done);
    assert_eq!(one(store, in_log("b", 3, 4)), Err(Refusal::LogMoved));
    assert_eq!(one(store, in_log("b", 0, 5)), done);
    assert_eq!(one(store, in_log("a", 3, 4)), done);
    assert_eq!(one(store, in_log("b", 4, 6)), Err(Refusal::LogMoved));
}

fn what_is_not_decided_by_the_logs_ends_by_time(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let late = LogView {
        first: Some(Deed::Commit),
        committed: true,
        ..LogView::default()
    };
    let unproven = SeenLock {
        preimage: Some(PREIMAGE),
        due: Timestamp::MAX,
        ..seen(9, LockMode::Fast, "a", late)
    };
    know(store, vec![unproven]);
    let undecided = one(store, claim(9, None));
    assert_eq!(undecided, Ok(Done::Claimed(ClaimOutcome::Undecided)));
    let outlived = BankCommand::ReleaseOutlived {
        lock_tag: tag(9),
        at: SETTLE,
    };
    assert_eq!(one(store, outlived), Ok(Done::Released));
    assert_eq!(circulation(store), 64);
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

fn a_keyset_ends_when_nothing_of_it_is_locked_and_the_rest_is_income(store: &mut dyn BankStoreOps) {
    held_lock(store);
    let close = |at| BankCommand::CloseKeyset(KeysetNumber(1), at);
    let conflict = Err(Refusal::KeysetConflict);
    let before = Timestamp(KEYSET_SETTLE.0 - 1);
    assert_eq!(one(store, close(KEYSET_SETTLE)), conflict, "a lock is held");
    one(store, release(9)).expect("released");
    assert_eq!(one(store, close(before)), conflict);
    let batch = vec![
        exchange(1, vec![coin(1, 1, 1, 16)], vec![output(9, 4)]),
        close(KEYSET_SETTLE),
        exchange(2, vec![coin(2, 2, 0, 16)], vec![output(10, 4)]),
        close(KEYSET_SETTLE),
    ];
    let results = store.apply(batch).expect("the store works");
    assert!(results[0].is_ok());
    assert_eq!(results[1], Ok(Done::Booked));
    assert_eq!(results[2], Err(Refusal::KeysetClosed));
    assert_eq!(results[3], Ok(Done::Booked), "a repeat");
    assert_eq!(sound(store).currencies[0].income, amount(64));
    let old = exchange(1, vec![coin(1, 1, 1, 16)], vec![output(9, 4)]);
    assert!(one(store, old).is_ok(), "a repeat of what was done before");
}
