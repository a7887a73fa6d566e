//! `POST /add-checkpoint` (C2SP tlog-witness): a log's checkpoint for a cosignature.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bauta_proto::{
    limits::ADD_CHECKPOINT_BYTES_MAX,
    log::witness::{COSIGNATURES_MEDIA_TYPE, Refusal, SIZE_MEDIA_TYPE},
    problem::{Problem, ProblemKind},
};

use crate::{
    edge::{self, read_body},
    roles::witness::{Declined, Witness},
};

/// Answers with the witness's signature line, or with the status that the protocol names.
pub(in crate::roles::witness) async fn add_checkpoint(
    State(witness): State<Arc<Witness>>,
    request: Request,
) -> Response {
    // Logs differ in the media type that they send; the protocol names none.
    let body = match read_body(request.into_body(), ADD_CHECKPOINT_BYTES_MAX).await {
        Ok(body) => body,
        Err(problem) => return edge::Refusal(problem).into_response(),
    };
    match witness.cosign(&body).await {
        Ok(line) => ([(CONTENT_TYPE, COSIGNATURES_MEDIA_TYPE)], line).into_response(),
        Err(Declined::Refused(refusal)) => refused(refusal),
        Err(Declined::Problem(problem)) => edge::Refusal(problem).into_response(),
    }
}

fn refused(refusal: Refusal) -> Response {
    if let Some(size) = refusal.size_text() {
        let headers = [(CONTENT_TYPE, SIZE_MEDIA_TYPE)];
        return (StatusCode::CONFLICT, headers, size).into_response();
    }
    let kind = match refusal {
        Refusal::UnknownLog => ProblemKind::UnknownLog,
        Refusal::NotSigned(_) => ProblemKind::UnsignedCheckpoint,
        Refusal::OldSizeBeyond | Refusal::OtherSize(_) => ProblemKind::Malformed,
        Refusal::OtherRoot | Refusal::Inconsistent => ProblemKind::InconsistentCheckpoint,
    };
    edge::Refusal(Problem::new(kind).detail(refusal)).into_response()
}
