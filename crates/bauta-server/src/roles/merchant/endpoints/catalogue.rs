//! `GET /v1/catalogue`: what the shop shows to everybody.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{
        HeaderMap, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};
use bauta_proto::transport::Transport;

use super::super::{Merchant, shelf::Goods};
use crate::{batch::store_problem, edge::Refusal, work::compute};

/// The catalogue as JSON, or 304 for whoever has it already.
pub(super) async fn catalogue<T: Transport + 'static>(
    State(merchant): State<Arc<Merchant<T>>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let goods = known_goods(&merchant).await?;
    let entity_tag = format!("\"{}\"", goods.entity_tag());
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|tags| tags.contains(&entity_tag));
    let caching = [(ETAG, entity_tag), (CACHE_CONTROL, "no-cache".to_owned())];
    Ok(if is_known {
        (StatusCode::NOT_MODIFIED, caching).into_response()
    } else {
        let json = [(CONTENT_TYPE, "application/json")];
        (caching, json, goods.catalogue()).into_response()
    })
}

/// The goods as they are now.
pub(super) async fn known_goods<T: Transport + 'static>(
    merchant: &Arc<Merchant<T>>,
) -> Result<Arc<Goods>, Refusal> {
    let shop = Arc::clone(merchant);
    let goods = compute(move || shop.shelf.goods()).await;
    goods.map_err(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the goods cannot be read"
        );
        Refusal(store_problem(&error))
    })
}
