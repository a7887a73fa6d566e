//! Accounts: credits, payouts, withdrawals.

use bauta_crypto::blind::BlindSignature;
use bauta_proto::money::Amount;

use super::*;

pub(super) const PROMISES: &[Promise] = promises![
    a_credit_is_booked_once_for_each_reference,
    a_credit_that_cannot_be_counted_is_refused,
    a_withdrawal_takes_what_the_account_has_and_no_more,
    a_frozen_account_pays_nothing_until_it_is_thawed,
    a_repeated_withdrawal_is_answered_the_same_and_booked_once,
];

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
