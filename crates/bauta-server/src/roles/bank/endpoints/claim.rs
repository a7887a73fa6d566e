//! `POST /v1/claim`: the payee takes the money of captured locks.

use std::sync::Arc;

use bauta_proto::{
    limits::{CLAIMS_MAX, LEAF_PROOFS_MAX},
    lock::{Claim, ClaimOutcome, ClaimReply, ClaimRequest, LeafProof},
    log::receipt::Receipt,
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, CheckedClaim, Done, LockRow, SeenLock};
use futures_util::future::try_join_all;
use rayon::prelude::*;

use crate::{
    roles::bank::{
        Bank, damaged,
        decide::{Judged, Undecided},
    },
    work::compute,
};

/// A claim that the records have to decide, or its outcome if they do not.
type Checked = Result<(CheckedClaim, Proofs), ClaimOutcome>;

/// Whether all proofs of a claim prove something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proofs {
    Good,
    Bad,
}

/// Answers each claim by itself; a repeat of one that was credited is answered so again.
pub(in crate::roles::bank) async fn claim<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: ClaimRequest,
) -> Result<ClaimReply, Problem> {
    bank.is_meant(request.bank)?;
    let has_many = |claim: &Claim| claim.proofs.len() > LEAF_PROOFS_MAX;
    if request.claims.len() > CLAIMS_MAX || request.claims.iter().any(has_many) {
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

async fn settle<T: Transport>(bank: &Bank<T>, claim: Checked) -> Result<ClaimOutcome, Problem> {
    let (claim, proofs) = match claim {
        Ok(claim) => claim,
        Err(outcome) => return Ok(outcome),
    };
    match (bank.apply(BankCommand::Claim(claim)).await?, proofs) {
        (Done::Claimed(ClaimOutcome::Undecided), Proofs::Bad) => Ok(ClaimOutcome::BadReceipt),
        (Done::Claimed(outcome), _) => Ok(outcome),
        _ => Err(damaged()),
    }
}

fn check_claim<T: Transport>(bank: &Bank<T>, claim: &Claim) -> Result<Checked, Problem> {
    let lock = bank.readers.read(|reader| reader.lock(claim.lock_tag))?;
    let Some(lock) = lock else {
        return Ok(Err(ClaimOutcome::Unknown));
    };
    let payee = claim.payee.commitment();
    if claim.payee.bank != bank.bank_id() || payee != lock.payee {
        return Ok(Err(ClaimOutcome::WrongPayee));
    }
    let Proved {
        proven,
        seen,
        proofs,
    } = if lock.is_undecided() && !claim.proofs.is_empty() {
        prove(bank, claim, lock)?
    } else {
        Proved::NOTHING
    };
    let checked = CheckedClaim {
        lock_tag: claim.lock_tag,
        payee,
        account: claim.payee.account,
        proven,
        seen,
        at: bank.now(),
    };
    Ok(Ok((checked, proofs)))
}

/// What a claim's proofs, with what the bank has read, make of its lock.
struct Proved {
    /// The preimage, if the lock is the payee's.
    proven: Option<[u8; 32]>,
    /// What is to be kept.
    seen: Option<SeenLock>,
    proofs: Proofs,
}

impl Proved {
    const NOTHING: Self = Self {
        proven: None,
        seen: None,
        proofs: Proofs::Good,
    };
}

fn prove<T: Transport>(bank: &Bank<T>, claim: &Claim, lock: LockRow) -> Result<Proved, Problem> {
    let lock_tag = claim.lock_tag;
    let mut lock = bank
        .readers
        .read(|reader| Undecided::with_views(reader, lock_tag, lock))?;
    let mut proofs = Proofs::Good;
    for proof in &claim.proofs {
        if !take_in(bank, &mut lock, proof) {
            proofs = Proofs::Bad;
        }
    }
    let (proven, seen) = match lock.judge(&bank.policy, &bank.logs.heads()) {
        Judged::Captured(_, preimage) => (Some(preimage), None),
        Judged::Undecided(seen) => (None, seen),
        // The jobs write it, with others.
        Judged::Released(_) => (None, None),
    };
    Ok(Proved {
        proven,
        seen,
        proofs,
    })
}

/// Whether the proof shows, in an early checkpoint of one of the lock's logs, a leaf that is the lock's own.
fn take_in<T: Transport>(bank: &Bank<T>, lock: &mut Undecided, proof: &LeafProof) -> bool {
    let Ok(receipt) = Receipt::from_text(&proof.receipt) else {
        return false;
    };
    let Some(checkpoint) = bank.checkpoints.check(&receipt.checkpoint, &bank.policy) else {
        return false;
    };
    let leaf = lock.leaf(proof.deed, proof.preimage);
    let logs = bank.policy.logs();
    let log = logs.iter().find(|log| log.key.name == checkpoint.origin);
    receipt.check_within(&leaf, &checkpoint).is_ok()
        && log.is_some_and(|log| lock.prove(log, &leaf, &checkpoint))
}
