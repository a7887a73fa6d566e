//! `GET /v1/log-policy`: the log policy that the bank goes by.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bauta_proto::transport::Transport;

use crate::roles::bank::Bank;

const TEXT: &str = "text/plain; charset=utf-8";

/// The policy's text, byte for byte: its hash is its name.
pub(in crate::roles::bank) async fn policy<T: Transport + 'static>(
    State(bank): State<Arc<Bank<T>>>,
) -> Response {
    ([(CONTENT_TYPE, TEXT)], bank.policy.text().to_owned()).into_response()
}
