//! The pure part of requests that move coins: everything that needs no record, on all cores.

use bauta_crypto::sign::Signature;
use bauta_proto::{
    codec::{Message, Signed},
    coin::{CoinsError, Input, Output},
    ids::RequestId,
    lock::LockFormError,
    money::Currency,
    problem::{Problem, ProblemKind},
    time::Timestamp,
};
use bauta_store::bank::{CoinSpend, Refusal, SignedOutput};
use rayon::prelude::*;

use super::keysets::{KeysetBook, LiveKeyset};
use crate::work::POINTS_AT_ONCE;

/// What coins are spent for, and so until when their keyset lets them.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// To pay, by a lock that ends at this moment: before the keyset's end, or the value could not return.
    Pay {
        /// The lock's last moment.
        settle_until: Timestamp,
    },
    /// For other coins.
    Exchange,
}

/// Checks each coin: its keyset's times, the bank's signature on it, its own signature on the request.
pub(super) fn inputs(
    book: &KeysetBook,
    (inputs, signatures): (&[Input], &[Signature]),
    request: RequestId,
    (currency, purpose): (Currency, Purpose),
    now: Timestamp,
) -> Result<Vec<CoinSpend>, Problem> {
    for input in inputs {
        let keyset = book.get(&input.keyset)?;
        in_currency(keyset, currency)?;
        in_time(keyset, purpose, now)?;
    }
    let check = |(input, signature)| coin(book, input, signature, request);
    if inputs.len() <= POINTS_AT_ONCE {
        return inputs.iter().zip(signatures).map(check).collect();
    }
    inputs.par_iter().zip(signatures).map(check).collect()
}

fn coin(
    book: &KeysetBook,
    input: &Input,
    signature: &Signature,
    request: RequestId,
) -> Result<CoinSpend, Problem> {
    let keyset = book.get(&input.keyset)?;
    let issuer = keyset.key(input.exponent)?;
    let body = input.spend(request);
    if body.verify(&input.key, signature).is_err() {
        return Err(ProblemKind::BadSignature.into());
    }
    if !issuer.verify(&input.name().to_bytes(), &input.signature) {
        return Err(ProblemKind::BadCoin.into());
    }
    Ok(CoinSpend {
        keyset: keyset.number(),
        exponent: input.exponent,
        spend: Signed {
            body,
            signature: *signature,
        },
    })
}

/// Signs each output, if its keyset issues coins of the currency now.
pub(super) fn outputs(
    book: &KeysetBook,
    outputs: &[Output],
    currency: Currency,
    now: Timestamp,
) -> Result<Vec<SignedOutput>, Problem> {
    for output in outputs {
        let keyset = book.get(&output.keyset)?;
        in_currency(keyset, currency)?;
        if keyset.row.receipt.is_none() {
            return Err(ProblemKind::UnknownKeyset.into());
        }
        if !keyset.record().issues_at(now) {
            return Err(ProblemKind::KeysetNotIssuing.into());
        }
    }
    let sign = |output| signed_output(book, output);
    if outputs.len() <= POINTS_AT_ONCE {
        return outputs.iter().map(sign).collect();
    }
    outputs.par_iter().map(sign).collect()
}

fn signed_output(book: &KeysetBook, output: &Output) -> Result<SignedOutput, Problem> {
    let keyset = book.get(&output.keyset)?;
    let signature = keyset.key(output.exponent)?.sign(&output.blinded);
    Ok(SignedOutput {
        keyset: keyset.number(),
        exponent: output.exponent,
        blinded: output.blinded,
        signature: signature.map_err(|_| ProblemKind::BadOutput)?,
    })
}

/// Checks that each coin consents to the request. A repeat may be refused for the time that has passed, before signatures were
/// looked at; under other signatures it is no repeat.
pub(super) fn consents(
    inputs: &[Input],
    signatures: &[Signature],
    request: RequestId,
) -> Result<(), Problem> {
    let consents = |(input, signature): (&Input, &Signature)| {
        input.spend(request).verify(&input.key, signature).is_ok()
    };
    let all = inputs.iter().zip(signatures).all(consents);
    all.then_some(()).ok_or(ProblemKind::BadSignature.into())
}

fn in_currency(keyset: &LiveKeyset, currency: Currency) -> Result<(), Problem> {
    if keyset.record().currency == currency {
        Ok(())
    } else {
        Err(ProblemKind::MixedCurrency.into())
    }
}

fn in_time(keyset: &LiveKeyset, purpose: Purpose, now: Timestamp) -> Result<(), Problem> {
    let record = keyset.record();
    match purpose {
        _ if keyset.row.closed || now >= record.settle_until => {
            Err(ProblemKind::KeysetExpired.into())
        }
        Purpose::Pay { .. } if now >= record.spend_until => Err(ProblemKind::KeysetExpired.into()),
        Purpose::Pay { settle_until } if settle_until >= record.settle_until => {
            Err(Problem::new(ProblemKind::ExpiryTooFar).detail("the coin's keyset ends before"))
        }
        Purpose::Pay { .. } | Purpose::Exchange => Ok(()),
    }
}

/// What the caller is told about lists or sums that are wrong.
pub(super) fn form(error: CoinsError) -> Problem {
    Problem::new(ProblemKind::Form).detail(error)
}

/// The same for a lock request.
pub(super) fn lock_form(error: LockFormError) -> Problem {
    let kind = match error {
        LockFormError::Mode(_) => ProblemKind::LockMode,
        _ => ProblemKind::Form,
    };
    Problem::new(kind).detail(error)
}

/// What the caller is told when the store refused its request.
pub(super) fn refusal(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::CoinSpent { proof: Some(proof) } => {
            let (body, signature) = *proof;
            Problem::new(ProblemKind::CoinSpent).proof(Signed { body, signature }.to_bytes())
        }
        Refusal::CoinSpent { proof: None } => {
            Problem::new(ProblemKind::CoinSpent).detail("it stands at sequence number 0")
        }
        Refusal::OutputReused => ProblemKind::OutputReused.into(),
        Refusal::KeysetClosed => ProblemKind::KeysetExpired.into(),
        Refusal::UnknownAccount => ProblemKind::UnknownAccount.into(),
        Refusal::InsufficientFunds => ProblemKind::InsufficientFunds.into(),
        Refusal::AccountFrozen => ProblemKind::AccountFrozen.into(),
        Refusal::UnknownLock => ProblemKind::UnknownLock.into(),
        Refusal::LockDecided => ProblemKind::LockDecided.into(),
        Refusal::NotPrepared => ProblemKind::NotPrepared.into(),
        Refusal::WrongPreimage => ProblemKind::WrongPreimage.into(),
        Refusal::LockTime => ProblemKind::LockExpired.into(),
        Refusal::WrongPayee => ProblemKind::WrongPayee.into(),
        Refusal::Unbalanced
        | Refusal::TooMuch
        | Refusal::ReferenceReused
        | Refusal::UnknownKeyset
        | Refusal::KeysetConflict
        | Refusal::LogMoved => ProblemKind::Internal.into(),
    }
}
