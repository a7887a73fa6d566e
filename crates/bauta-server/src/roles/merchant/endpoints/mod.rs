//! The shop's endpoints, one a file.

mod accept;
mod catalogue;
mod ciphertext;
mod order;

use std::sync::Arc;

use axum::{Router, routing::get};
use bauta_proto::transport::{
    Transport,
    merchant::{AcceptOffer, CATALOGUE_PATH, CIPHERTEXT_PATH, Order},
};

use super::Merchant;
use crate::edge::operation;

/// All of them.
pub(super) fn router<T: Transport + 'static>(merchant: Arc<Merchant<T>>) -> Router {
    let ciphertext = format!("{CIPHERTEXT_PATH}{{root}}");
    let router = Router::new()
        .route(CATALOGUE_PATH, get(catalogue::catalogue::<T>))
        .route(&ciphertext, get(ciphertext::ciphertext::<T>));
    let router = operation::<Order, _, _, _>(router, order::order::<T>);
    let router = operation::<AcceptOffer, _, _, _>(router, accept::accept::<T>);
    router.with_state(merchant)
}
