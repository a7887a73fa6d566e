//! The HTTP edge: messages in, messages or problem documents out; the same for every role.

mod listen;
mod metrics;
mod stall;
mod standard;
#[cfg(test)]
mod tests;
mod tls;

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, HttpBody, to_bytes},
    extract::{Path, Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use bauta_proto::{
    codec::Message,
    problem::{Problem, ProblemKind},
    transport::Endpoint,
};
use bytes::Bytes;
use tokio::time::timeout;

pub use listen::{
    Bound, EdgeError, HEADER_BYTES_MAX, HEADER_TIMEOUT, SHUTDOWN_TIMEOUT, STALL_TIMEOUT, bind,
};
pub use standard::{REQUEST_TIMEOUT, Standard};

/// How long the body of a message may take to arrive.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(20);

/// A problem on its way out.
#[derive(Debug)]
pub struct Refusal(pub Problem);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = HeaderValue::from_static(Problem::MEDIA_TYPE);
        (status, [(CONTENT_TYPE, media_type)], self.0.to_json()).into_response()
    }
}

/// Adds one operation of the protocol to a role's router.
pub fn operation<E, S, H, F>(router: Router<Arc<S>>, handler: H) -> Router<Arc<S>>
where
    E: Endpoint + 'static,
    E::Request: Send,
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, E::Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<E::Reply, Problem>> + Send,
{
    router.route(
        E::PATH,
        post(
            async move |State(role): State<Arc<S>>,
                        request: Request|
                        -> Result<Response, Refusal> {
                let message = read::<E::Request>(request).await?;
                Ok(message_response(&handler(role, message).await?))
            },
        ),
    )
}

/// Adds one operation of the protocol to a role's router for each part of the role that has a path of its own: the handler
/// also gets the part's name, which stands before the operation's path.
pub fn operation_of_part<E, S, H, F>(router: Router<Arc<S>>, handler: H) -> Router<Arc<S>>
where
    E: Endpoint + 'static,
    E::Request: Send,
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, String, E::Request) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Result<E::Reply, Problem>> + Send,
{
    router.route(
        &format!("/{{part}}{}", E::PATH),
        post(
            async move |State(role): State<Arc<S>>,
                        Path(part): Path<String>,
                        request: Request|
                        -> Result<Response, Refusal> {
                let message = read::<E::Request>(request).await?;
                Ok(message_response(&handler(role, part, message).await?))
            },
        ),
    )
}

/// The answer that carries `message`.
pub fn message_response<M: Message>(message: &M) -> Response {
    let media_type = HeaderValue::from_static(M::MEDIA_TYPE);
    ([(CONTENT_TYPE, media_type)], message.to_bytes()).into_response()
}

async fn read<M: Message>(request: Request) -> Result<M, Problem> {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .map(HeaderValue::as_bytes);
    if media_type != Some(M::MEDIA_TYPE.as_bytes()) {
        return Err(Problem::new(ProblemKind::MediaType).detail(M::MEDIA_TYPE));
    }
    let bytes = read_body(request.into_body(), M::BYTES_MAX).await?;
    M::from_bytes(&bytes).map_err(|error| Problem::new(ProblemKind::Malformed).detail(error))
}

/// Reads a body of at most `bytes_max` bytes.
pub(crate) async fn read_body(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(ProblemKind::TooLarge).detail(bytes_max);
    // What is announced too large is refused before it is sent.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    match timeout(BODY_TIMEOUT, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_too_large_or_cut_off)) => Err(too_large()),
        Err(_elapsed) => Err(ProblemKind::Timeout.into()),
    }
}
