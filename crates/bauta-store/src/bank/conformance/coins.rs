//! Coins: issued once, spent once, void with their keyset.

use bauta_proto::time::Timestamp;

use super::*;

pub(super) const PROMISES: &[Promise] = promises![
    an_output_is_signed_for_one_request_only,
    a_coin_is_spent_once_at_each_sequence_and_the_second_spender_gets_the_proof,
    a_coin_is_spent_at_its_own_sequence_only,
    a_coin_gives_no_more_than_it_holds,
    sums_that_do_not_add_up_are_refused,
    two_requests_for_one_coin_in_one_batch_have_one_winner,
    a_keyset_ends_when_nothing_of_it_is_locked_and_the_rest_is_income,
];

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
