//! `POST /v1/restore`: which outputs were signed, for a wallet that has only its seed.

use std::sync::Arc;

use bauta_proto::{
    coin::{Output, RestoreRequest, Restored, RestoredOutput},
    limits::RESTORE_OUTPUTS_MAX,
    problem::{Problem, ProblemKind},
    transport::Transport,
};

use crate::{roles::bank::Bank, work::compute};

/// Looks each blinded message up.
pub(in crate::roles::bank) async fn restore<T: Transport + 'static>(
    bank: Arc<Bank<T>>,
    request: RestoreRequest,
) -> Result<Restored, Problem> {
    bank.is_meant(request.bank)?;
    if request.blinded.len() > RESTORE_OUTPUTS_MAX {
        return Err(ProblemKind::TooLarge.into());
    }
    compute(move || look_up(&bank, &request)).await
}

fn look_up<T: Transport>(bank: &Bank<T>, request: &RestoreRequest) -> Result<Restored, Problem> {
    let book = bank.keysets.current();
    let mut outputs = Vec::new();
    for blinded in &request.blinded {
        let found = bank.readers.read(|reader| reader.restore(blinded))?;
        let Some((number, exponent, signature)) = found else {
            continue;
        };
        let keyset = book.by_number(number).ok_or(ProblemKind::Internal)?.id;
        let output = Output {
            keyset,
            exponent,
            blinded: *blinded,
        };
        outputs.push(RestoredOutput { output, signature });
    }
    Ok(Restored { outputs })
}
