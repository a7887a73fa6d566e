//! `POST /v1/capture`: the preimage brought to the bank itself, when the log is out of reach.

use std::sync::Arc;

use bauta_proto::{
    codec::Signed,
    lock::{Capture, LockState, LockStatus, opens},
    problem::{Problem, ProblemKind},
    transport::Transport,
};
use bauta_store::bank::{BankCommand, Done};

use crate::{
    roles::bank::{Bank, damaged},
    work::compute,
};

/// Captures the lock, if the rule lets the bank do so ([`bank_takes`](bauta_proto::decision::bank_takes)).
pub(in crate::roles::bank) async fn capture<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: Capture,
) -> Result<Signed<LockStatus>, Problem> {
    let Capture { lock_tag, preimage } = request;
    let checking = Arc::clone(&bank);
    compute(move || check_preimage(&checking, &request)).await?;
    let command = BankCommand::Capture {
        lock_tag,
        preimage,
        at: bank.now(),
    };
    match bank.apply(command).await? {
        Done::Captured(preimage) => {
            Ok(bank.lock_status(vec![(lock_tag, LockState::Captured { preimage })]))
        }
        _ => Err(damaged()),
    }
}

/// Keeps guesses away from the writer.
fn check_preimage<T: Transport>(bank: &Bank<T>, request: &Capture) -> Result<(), Problem> {
    let lock = bank.readers.read(|reader| reader.lock(request.lock_tag))?;
    let lock = lock.ok_or(ProblemKind::UnknownLock)?;
    if opens(&request.preimage, &lock.public.hash_lock) {
        Ok(())
    } else {
        Err(ProblemKind::WrongPreimage.into())
    }
}
