//! `GET /v1/witness`: the witness's key and what it has cosigned last. All of it is public.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::{edge::Refusal, roles::witness::Witness};
use bauta_store::witness::KnownLog;

/// Sizes are strings: they may be larger than a number in JSON is exact.
pub(in crate::roles::witness) async fn about(
    State(witness): State<Arc<Witness>>,
) -> Result<Response, Refusal> {
    let known = witness.read(|reader| reader.logs()).await?;
    let logs = witness.logs.iter().map(|log| {
        let state = known.iter().find(|known| known.origin == log.name);
        json!({ "vkey": log.to_string(), "cosigned": state.map(cosigned) })
    });
    let about = json!({ "vkey": witness.vkey().to_string(), "logs": logs.collect::<Vec<_>>() });
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, about.to_string()).into_response())
}

fn cosigned(known: &KnownLog) -> Value {
    json!({
        "size": known.state.size.to_string(),
        "root": BASE64.encode(&known.state.root),
        "time": known.state.cosigned_at.0,
    })
}
