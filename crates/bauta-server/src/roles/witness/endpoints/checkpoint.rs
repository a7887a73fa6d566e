//! `GET /<SHA-256 of the origin>/checkpoint` (C2SP tlog-witness): the newest checkpoint of one log with this witness's
//! cosignature. Whoever finds that a log shows something else has found a fork.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bauta_crypto::note::open_foreign_checkpoint;
use bauta_proto::problem::{Problem, ProblemKind};
use bauta_store::witness::KnownLog;

use crate::{edge::Refusal, roles::witness::Witness};

/// The cosignature is made anew and is the same as when it was first given: its time is what is stored.
pub(in crate::roles::witness) async fn checkpoint(
    State(witness): State<Arc<Witness>>,
    Path(log): Path<String>,
) -> Result<Response, Refusal> {
    let not_found = || Problem::new(ProblemKind::NotFound);
    let origin = witness.origins.get(&format!("/{log}/checkpoint"));
    let known = witness.known(origin.ok_or_else(not_found)?).await?;
    let known = known.ok_or_else(not_found)?;
    let note = cosigned(&witness, &known).ok_or(Problem::new(ProblemKind::Internal))?;
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, note).into_response())
}

/// None if the key that signed the note is no longer listed.
fn cosigned(witness: &Witness, known: &KnownLog) -> Option<String> {
    let mut logs = witness.logs.iter();
    let opened = logs.find_map(|log| open_foreign_checkpoint(&known.note, log).ok())?;
    let time_s = known.state.cosigned_at.0;
    let line = opened.cosignature(&witness.cosigner, time_s).ok()?;
    Some(known.note.clone() + &line)
}
