use bauta_proto::{
    coin::RestoreRequest,
    limits::{INPUTS_MAX, OUTPUTS_MAX},
};

use super::*;

const DAY: u64 = 86_400;

#[tokio::test]
async fn a_withdrawal_is_answered_with_the_same_bytes_for_ever() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let fresh = [FreshCoin::new(&keyset, 10, 3)];
    let request = test.withdrawal(&fresh).signed(&key(1));
    let first = test.ask::<bank::Withdraw>(&request).await.expect("issued");
    let books = test.audit();
    test.set_time(400 * DAY);
    let test = test.reopened();
    let again = test.ask::<bank::Withdraw>(&request).await;
    assert_eq!(again, Ok(first));
    assert_eq!(test.audit(), books, "it was booked once");
}

#[tokio::test]
async fn a_withdrawal_that_cannot_be_is_refused_with_its_reason() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let request = test.withdrawal(&[FreshCoin::new(&keyset, 10, 6)]);
    let kind = async |request: Signed<WithdrawRequest>| {
        test.refused::<bank::Withdraw>(&request).await.kind
    };
    let with = |change: &dyn Fn(&mut WithdrawRequest)| {
        let mut request = request.clone();
        change(&mut request);
        request.signed(&key(1))
    };
    use ProblemKind as Kind;
    assert_eq!(
        kind(request.clone().signed(&key(2))).await,
        Kind::BadSignature
    );
    let elsewhere = with(&|request| request.bank = BankId([1; 32]));
    assert_eq!(kind(elsewhere).await, Kind::WrongRecipient);
    assert_eq!(kind(with(&|r| r.outputs.clear())).await, Kind::Form);
    let unknown = with(&|request| request.outputs[0].keyset.0[0] ^= 1);
    assert_eq!(kind(unknown).await, Kind::UnknownKeyset);
    let too_large = with(&|request| request.outputs[0].exponent = 7);
    assert_eq!(kind(too_large).await, Kind::Form);
    let no_point = with(&|request| request.outputs[0].blinded.0 = [0xff; 48]);
    assert_eq!(kind(no_point).await, Kind::BadOutput);
    let twice = with(&|request| request.outputs.push(request.outputs[0].clone()));
    assert_eq!(kind(twice).await, Kind::Form);
    let many = with(&|request| request.outputs = vec![request.outputs[0].clone(); OUTPUTS_MAX + 1]);
    assert!(matches!(kind(many).await, Kind::Form | Kind::TooLarge));
    test.set_time(30 * DAY);
    assert_eq!(
        kind(request.clone().signed(&key(1))).await,
        Kind::KeysetNotIssuing
    );
}

#[tokio::test]
async fn an_exchange_gives_the_same_value_once_and_repeats_its_answer() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let coins = test.coins(10..12, 3).await;
    let fresh = [FreshCoin::new(&keyset, 20, 4)];
    let request = test.exchange(&[(&coins[0], 0, 8), (&coins[1], 0, 8)], outputs(&fresh));
    let first = test.ask::<bank::Exchange>(&request).await.expect("issued");
    assert_eq!(
        test.ask::<bank::Exchange>(&request).await,
        Ok(first.clone())
    );
    let new = finish(fresh.into(), &first.signatures, &keyset);
    assert_eq!(test.state(&new[0]).await.remaining, cents(16).amount);
    assert_eq!(test.state(&coins[0]).await.remaining, Amount::ZERO);
    assert_eq!(test.state(&coins[0]).await.sequence, 1);
}

#[tokio::test]
async fn a_coin_spent_twice_is_refused_with_the_proof_of_its_first_spend() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let coins = test.coins(10..11, 3).await;
    let first = test.exchange(
        &[(&coins[0], 0, 8)],
        outputs(&[FreshCoin::new(&keyset, 20, 3)]),
    );
    test.ask::<bank::Exchange>(&first).await.expect("issued");
    let second = test.exchange(
        &[(&coins[0], 0, 8)],
        outputs(&[FreshCoin::new(&keyset, 21, 3)]),
    );
    let problem = test.refused::<bank::Exchange>(&second).await;
    let proof = proof(&problem);
    let spend = proof
        .verified(&coins[0].name.key)
        .expect("the coin's own word");
    assert_eq!(spend.request, first.request_id());
}

#[tokio::test]
async fn two_requests_racing_for_one_coin_have_exactly_one_winner() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let coins = test.coins(10..11, 3).await;
    let requests: Vec<_> = (20..36)
        .map(|number| {
            let fresh = FreshCoin::new(&keyset, number, 3);
            test.exchange(&[(&coins[0], 0, 8)], outputs(&[fresh]))
        })
        .collect();
    let asked = requests.iter().map(|r| test.ask::<bank::Exchange>(r));
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let winner = answers.iter().position(Result::is_ok).expect("one");
    for problem in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(proof(problem).body.request, requests[winner].request_id());
    }
    test.audit();
}

#[tokio::test]
async fn an_exchange_that_cannot_be_is_refused_with_its_reason() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let coins = test.coins(10..11, 3).await;
    let wanted = |exponent| outputs(&[FreshCoin::new(&keyset, 20, exponent)]);
    let request = test.exchange(&[(&coins[0], 0, 8)], wanted(3));
    let kind = async |request: Authorized<ExchangeRequest>| {
        test.refused::<bank::Exchange>(&request).await.kind
    };
    use ProblemKind as Kind;
    let mut unsigned = request.clone();
    unsigned.signatures[0].0[0] ^= 1;
    assert_eq!(kind(unsigned).await, Kind::BadSignature);
    let mut missing = request.clone();
    missing.signatures.clear();
    assert_eq!(kind(missing).await, Kind::Form);
    let forged = TestCoin {
        key: coins[0].key.clone(),
        name: CoinName {
            exponent: 4,
            ..coins[0].name.clone()
        },
        signature: coins[0].signature,
    };
    let forged = test.exchange(&[(&forged, 0, 8)], wanted(3));
    assert_eq!(kind(forged).await, Kind::BadCoin);
    let uneven = test.exchange(&[(&coins[0], 0, 8)], wanted(2));
    assert_eq!(kind(uneven).await, Kind::Form);
    let nothing = test.exchange(&[(&coins[0], 0, 0)], Vec::new());
    assert_eq!(kind(nothing).await, Kind::Form);
    let limit = bauta_proto::limits::SEQUENCE_MAX;
    let worn = test.exchange(&[(&coins[0], limit, 8)], wanted(3));
    assert_eq!(kind(worn).await, Kind::Form);
    let never = test.exchange(&[(&coins[0], 1, 8)], wanted(3));
    assert_eq!(kind(never).await, Kind::CoinSpent, "it stands at 0");
    let many = vec![(&coins[0], 0, 8); INPUTS_MAX + 1];
    assert_eq!(kind(test.exchange(&many, wanted(3))).await, Kind::Form);
    let twice = test.exchange(&[(&coins[0], 0, 4), (&coins[0], 1, 4)], wanted(3));
    assert_eq!(kind(twice).await, Kind::Form);
    test.ask::<bank::Exchange>(&request)
        .await
        .expect("the right one is taken");
}

#[tokio::test]
async fn an_output_signed_before_is_refused_and_can_be_restored() {
    let test = TestBank::new().await;
    let keyset = test.keyset().await;
    let coins = test.coins(10..12, 3).await;
    let taken = outputs(&[FreshCoin::new(&keyset, 10, 3)]);
    let request = test.exchange(&[(&coins[0], 0, 8)], taken.clone());
    let problem = test.refused::<bank::Exchange>(&request).await;
    assert_eq!(problem.kind, ProblemKind::OutputReused);

    let never = FreshCoin::new(&keyset, 99, 3);
    let restore = RestoreRequest {
        bank: test.id(),
        blinded: vec![never.output.blinded, taken[0].blinded],
    };
    let restored = test.ask::<bank::Restore>(&restore).await.expect("answers");
    assert_eq!(restored.outputs.len(), 1);
    assert_eq!(restored.outputs[0].output, taken[0]);
    let coin = FreshCoin::new(&keyset, 10, 3).finish(&restored.outputs[0].signature, &keyset);
    assert!(coins.iter().any(|known| known.signature == coin.signature));
}
