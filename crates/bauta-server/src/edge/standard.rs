//! What every role's router gets around it: limits, panics and errors as problem documents, health and metrics.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{MatchedPath, Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use bauta_proto::problem::{Problem, ProblemKind};
use futures_util::FutureExt;
use tokio::time::{Instant, timeout};

use super::{Refusal, listen::Caller, metrics, metrics::EdgeMetrics};
use crate::config::REQUESTS_MAX;

/// How long a role may take from the head of a request to the head of its answer. The body of a download may take
/// longer.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The path label of requests for addresses that are not there.
const NO_PATH: &str = "none";

/// The surroundings of one role's router.
#[derive(Clone, Copy, Debug)]
pub struct Standard {
    role_name: &'static str,
    requests_max: usize,
    request_timeout: Duration,
    metrics_public: bool,
}

struct Guard {
    metrics: EdgeMetrics,
    standard: Standard,
}

impl Standard {
    /// The default limits for the role of this name (`bank`, `archive` ...).
    #[must_use]
    pub const fn new(role_name: &'static str) -> Self {
        Self {
            role_name,
            requests_max: REQUESTS_MAX,
            request_timeout: REQUEST_TIMEOUT,
            metrics_public: false,
        }
    }

    /// Requests that are worked on at once; more are answered with "overloaded".
    #[must_use]
    pub const fn requests_max(self, requests_max: usize) -> Self {
        Self {
            requests_max,
            ..self
        }
    }

    /// Another limit than [`REQUEST_TIMEOUT`].
    #[must_use]
    pub const fn request_timeout(self, request_timeout: Duration) -> Self {
        Self {
            request_timeout,
            ..self
        }
    }

    /// Answers `/metrics` to other machines, too. Whoever reads the numbers of two roles at every moment can tell which
    /// requests belong together.
    #[must_use]
    pub const fn metrics_public(self, metrics_public: bool) -> Self {
        Self {
            metrics_public,
            ..self
        }
    }

    /// Puts the limits around `router` and adds `/healthz` (the process lives), `/readyz` (what `ready` says; its
    /// error is the reason, which anyone may read) and `/metrics` (for callers on this machine). These three have no limits: they are needed most
    /// when the role is overloaded.
    pub fn wrap(
        self,
        router: Router,
        ready: impl Fn() -> Result<(), &'static str> + Send + Sync + 'static,
    ) -> Router {
        let guard = Arc::new(Guard {
            metrics: EdgeMetrics::new(self.role_name),
            standard: self,
        });
        let ready = Arc::new(ready);
        let guarded = router.layer(from_fn_with_state(Arc::clone(&guard), limits));
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(async move || readiness(ready())))
            .route("/metrics", get(exposition))
            .method_not_allowed_fallback(async || Refusal(ProblemKind::Method.into()))
            .fallback_service(guarded)
            .with_state(guard)
    }
}

fn readiness(ready: Result<(), &'static str>) -> Result<&'static str, Refusal> {
    match ready {
        Ok(()) => Ok("ready\n"),
        Err(reason) => Err(Refusal(
            Problem::new(ProblemKind::Overloaded).detail(reason),
        )),
    }
}

async fn exposition(State(guard): State<Arc<Guard>>, request: Request) -> Response {
    if !guard.standard.metrics_public && !is_from_here(&request) {
        return refusal(ProblemKind::NotFound);
    }
    (
        [(CONTENT_TYPE, metrics::MEDIA_TYPE)],
        guard.metrics.render(),
    )
        .into_response()
}

/// What a proxy adds when it passes on somebody else's request.
const FORWARDED: [&str; 3] = ["forwarded", "x-forwarded-for", "via"];

/// Whether the caller is on this machine; one that is not known is not, and one behind a proxy on it is not.
fn is_from_here(request: &Request) -> bool {
    let headers = request.headers();
    if FORWARDED.iter().any(|name| headers.contains_key(*name)) {
        return false;
    }
    let caller = request.extensions().get::<Caller>();
    caller.is_some_and(|Caller(address)| address.ip().to_canonical().is_loopback())
}

async fn limits(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let path = path.as_ref().map_or(NO_PATH, MatchedPath::as_str);
    let response = match guard.metrics.enter(guard.standard.requests_max) {
        Some(_place) => answer(&guard.standard, path, request, next).await,
        None => refusal(ProblemKind::Overloaded),
    };
    let status = response.status().as_u16();
    guard.metrics.answered(path, status, started.elapsed());
    response
}

async fn answer(standard: &Standard, path: &str, request: Request, next: Next) -> Response {
    // A panic leaves no half-done state behind: what must be whole is in the store's transactions.
    let handled = AssertUnwindSafe(next.run(request)).catch_unwind();
    match timeout(standard.request_timeout, handled).await {
        Ok(Ok(response)) => problem_instead(response),
        Ok(Err(_message)) => {
            tracing::error!(role = standard.role_name, path, "a handler panicked");
            refusal(ProblemKind::Internal)
        }
        Err(_elapsed) => {
            tracing::warn!(role = standard.role_name, path, "a handler took too long");
            refusal(ProblemKind::Overloaded)
        }
    }
}

/// Errors of the HTTP library (no such path, no such method, refused extractors) become problem documents too.
fn problem_instead(response: Response) -> Response {
    let Some(kind) = library_error(&response) else {
        return response;
    };
    let (parts, _text) = response.into_parts();
    let mut problem = refusal(kind);
    if let Some(allow) = parts.headers.get(http::header::ALLOW) {
        problem
            .headers_mut()
            .insert(http::header::ALLOW, allow.clone());
    }
    problem
}

fn library_error(response: &Response) -> Option<ProblemKind> {
    let kind = match response.status() {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => ProblemKind::Malformed,
        StatusCode::NOT_FOUND => ProblemKind::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemKind::Method,
        StatusCode::REQUEST_TIMEOUT => ProblemKind::Timeout,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemKind::TooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemKind::MediaType,
        StatusCode::INTERNAL_SERVER_ERROR => ProblemKind::Internal,
        StatusCode::SERVICE_UNAVAILABLE => ProblemKind::Overloaded,
        _ => return None,
    };
    let media_type = response.headers().get(CONTENT_TYPE);
    let is_problem = media_type.is_some_and(|media_type| media_type == Problem::MEDIA_TYPE);
    (!is_problem).then_some(kind)
}

fn refusal(kind: ProblemKind) -> Response {
    Refusal(kind.into()).into_response()
}
