//! The HTTP edge: messages in, messages or problem documents out; the same for every role.

use std::{future::Future, sync::Arc};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::post,
};
use bauta_proto::{
    codec::Message,
    problem::{Problem, ProblemKind},
    transport::Endpoint,
};

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
    let body: Body = request.into_body();
    let bytes = to_bytes(body, M::BYTES_MAX).await;
    let bytes = bytes.map_err(|_| Problem::new(ProblemKind::TooLarge).detail(M::BYTES_MAX))?;
    M::from_bytes(&bytes).map_err(|error| Problem::new(ProblemKind::Malformed).detail(error))
}
