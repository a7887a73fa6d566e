//! `POST /v1/release`: the payee gives the money back at once.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    lock::{LockState, LockStatus, Release},
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, Done};

use crate::{
    roles::bank::{Bank, damaged},
    work::compute,
};

/// Releases the lock, if the signer is who would have been paid.
pub(in crate::roles::bank) async fn release<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: Signed<Release>,
) -> Result<Signed<LockStatus>, Problem> {
    bank.is_meant(request.body.payee.bank)?;
    let release = compute(move || {
        let key = request.body.payee.account.key();
        let verified = request.verified(&key).cloned();
        verified.map_err(|_| Problem::new(ProblemKind::BadSignature))
    })
    .await?;
    let command = BankCommand::Release {
        lock_tag: release.lock_tag,
        payee: release.payee.commitment(),
        at: bank.now(),
    };
    match bank.apply(command).await? {
        Done::Released => Ok(bank.lock_status(vec![(release.lock_tag, LockState::Released)])),
        _ => Err(damaged()),
    }
}
