//! `POST /v1/claim`: the payee takes the money of captured locks.

use std::sync::Arc;

use bauta_proto::{
    decision::{Age, age},
    limits::CLAIMS_MAX,
    lock::{Claim, ClaimOutcome, ClaimReply, ClaimRequest, LeafProof, LockState},
    log::{
        leaf::{Deed, Leaf},
        receipt::Receipt,
    },
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, CheckedClaim, Done, LockRow};
use futures_util::future::try_join_all;
use rayon::prelude::*;

use crate::{
    roles::bank::{Bank, damaged},
    work::compute,
};

/// Answers each claim by itself; a repeat of one that was credited is answered so again.
pub(in crate::roles::bank) async fn claim<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: ClaimRequest,
) -> Result<ClaimReply, Problem> {
    bank.is_meant(request.bank)?;
    if request.claims.len() > CLAIMS_MAX {
        return Err(ProblemKind::TooLarge.into());
    }
    let checking = Arc::clone(&bank);
    let checked = compute(move || {
        let claims = request.claims.par_iter();
        claims
            .map(|claim| check_claim(&checking, claim))
            .collect::<Result<Vec<_>, _>>()
    })
    .await?;
    let outcomes = checked.into_iter().map(|claim| settle(&bank, claim));
    let outcomes = try_join_all(outcomes).await?;
    Ok(ClaimReply { outcomes })
}

async fn settle<T: Transport>(
    bank: &Bank<T>,
    claim: Result<CheckedClaim, ClaimOutcome>,
) -> Result<ClaimOutcome, Problem> {
    let claim = match claim {
        Ok(claim) => claim,
        Err(outcome) => return Ok(outcome),
    };
    match bank.apply(BankCommand::Claim(claim)).await? {
        Done::Claimed(outcome) => Ok(outcome),
        _ => Err(damaged()),
    }
}

/// A claim that the records have to decide, or its outcome if they do not.
fn check_claim<T: Transport>(
    bank: &Bank<T>,
    claim: &Claim,
) -> Result<Result<CheckedClaim, ClaimOutcome>, Problem> {
    let lock = bank.readers.read(|reader| reader.lock(claim.lock_tag))?;
    let Some(lock) = lock else {
        return Ok(Err(ClaimOutcome::Unknown));
    };
    let payee = claim.payee.commitment();
    if claim.payee.bank != bank.bank_id() || payee != lock.payee {
        return Ok(Err(ClaimOutcome::WrongPayee));
    }
    let proven = match (claim.proofs.first(), &lock.state) {
        (Some(proof), LockState::Held) if proves(bank, claim, &lock, proof) => Some(proof.preimage),
        (Some(_), LockState::Held) => return Ok(Err(ClaimOutcome::BadReceipt)),
        _ => None,
    };
    Ok(Ok(CheckedClaim {
        lock_tag: claim.lock_tag,
        payee,
        account: claim.payee.account,
        proven,
        at: bank.now(),
    }))
}

/// Whether the receipt shows the commit leaf in an early checkpoint.
fn proves<T: Transport>(bank: &Bank<T>, claim: &Claim, lock: &LockRow, proof: &LeafProof) -> bool {
    let leaf = Leaf::of_lock(Deed::Commit, claim.lock_tag, lock.expiry, proof.preimage);
    let checkpoint =
        Receipt::from_text(&proof.receipt).and_then(|receipt| receipt.check(&leaf, &bank.policy));
    checkpoint.is_ok_and(|checkpoint| age(&checkpoint, lock.expiry) == Age::Early)
}
