//! `GET /v1/keysets`: the keysets whose receipts have come.

use std::sync::Arc;

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use bauta_proto::{codec::Message, coin::KeysetList, transport::Transport};

use crate::roles::bank::Bank;

/// The list as it was encoded when it last changed.
pub(in crate::roles::bank) async fn keysets<T: Transport + 'static>(
    State(bank): State<Arc<Bank<T>>>,
) -> Response {
    let published = bank.keysets.current().published.clone();
    ([(CONTENT_TYPE, KeysetList::MEDIA_TYPE)], published).into_response()
}
