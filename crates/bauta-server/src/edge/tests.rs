//! The edge's promises, over real sockets of the loopback interface.

use std::{net::SocketAddr, path::PathBuf};

use axum::routing::get;
use bauta_io::{HttpOptions, HttpTransport};
use bauta_proto::{
    coin::{CoinState, CoinStateRequest},
    transport::{
        self, CallError, Method, Request as Call, Transport, TransportError,
        bank::State as CoinStateEndpoint, fetch,
    },
};
use rcgen::generate_simple_self_signed;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::{Instant, sleep},
};

use tower::ServiceExt;

use super::*;
use crate::config::HttpConfig;

/// A served router; it stops when told to.
struct Served {
    address: SocketAddr,
    url: String,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<()>,
}

impl Served {
    async fn start(config: &HttpConfig, router: Router) -> Self {
        let bound = bind(config).await.expect("binds");
        let (address, url) = (bound.local_addr(), bound.url());
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(bound.serve(router, async {
            let _dropped = stopped.await;
        }));
        Self {
            address,
            url,
            stop: Some(stop),
            ended,
        }
    }

    async fn standard(router: Router) -> Self {
        Self::start(&local(), Standard::new("test").wrap(router, || Ok(()))).await
    }

    async fn problem(&self, request: Call) -> Problem {
        match fetch(&client(), request, 1_000_000).await {
            Err(CallError::Refused(problem)) => *problem,
            other => panic!("{other:?}"),
        }
    }

    async fn text(&self, path: &str) -> String {
        let request = Call::get(format!("{}{path}", self.url));
        let body = fetch(&client(), request, 1_000_000).await.expect("fetched");
        String::from_utf8(body).expect("text")
    }

    /// Sends bytes as they are, and reads until the other side closes.
    async fn raw(&self, bytes: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        stream.write_all(bytes.as_bytes()).await.expect("writes");
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn local() -> HttpConfig {
    HttpConfig::new("127.0.0.1:0".parse().expect("an address"))
}

fn client() -> HttpTransport {
    HttpTransport::new(HttpOptions::default()).expect("a transport")
}

fn post(url: String, media_type: &'static str, body: Vec<u8>) -> Call {
    Call {
        method: Method::Post,
        url,
        media_type: Some(media_type),
        body,
        resume: None,
    }
}

/// A role with one operation that finds nothing, one that panics, one that waits to be let go.
fn role(gate: Arc<Semaphore>) -> Router {
    let router = operation::<CoinStateEndpoint, _, _, _>(Router::new(), async |_role, _request| {
        Err::<CoinState, _>(ProblemKind::UnknownKeyset.into())
    });
    let waiting = async move || {
        let _passed = gate.acquire().await;
        "passed"
    };
    router
        .route("/wait", get(waiting))
        .route("/panic", get(async || -> &str { panic!("as a test") }))
        .with_state(Arc::new(()))
}

fn open_role() -> Router {
    role(Arc::new(Semaphore::new(1)))
}

fn path<E: Endpoint>(served: &Served) -> String {
    transport::address(&served.url, E::PATH)
}

const STATE_TYPE: &str = CoinStateRequest::MEDIA_TYPE;

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let served = Served::standard(open_role()).await;
    let at = |end: &str| format!("{}{end}", served.url);
    let state = path::<CoinStateEndpoint>(&served);
    let largest = vec![0; CoinStateRequest::BYTES_MAX];
    let over = vec![0; CoinStateRequest::BYTES_MAX + 1];
    let cases = [
        (Call::get(at("/nowhere")), ProblemKind::NotFound),
        (Call::get(state.clone()), ProblemKind::Method),
        (post(at("/wait"), "x/y", vec![]), ProblemKind::Method),
        (post(at("/healthz"), "x/y", vec![]), ProblemKind::Method),
        (post(state.clone(), "x/y", vec![]), ProblemKind::MediaType),
        (
            post(state.clone(), STATE_TYPE, vec![]),
            ProblemKind::Malformed,
        ),
        (
            post(state.clone(), STATE_TYPE, largest),
            ProblemKind::UnknownKeyset,
        ),
        (post(state, STATE_TYPE, over), ProblemKind::TooLarge),
        (Call::get(at("/panic")), ProblemKind::Internal),
    ];
    for (request, kind) in cases {
        assert_eq!(served.problem(request).await.kind, kind);
    }
    assert_eq!(served.text("/wait").await, "passed");
}

#[tokio::test]
async fn a_body_of_unannounced_length_is_cut_off_at_the_limit() {
    let served = Served::standard(open_role()).await;
    let chunk = "0".repeat(CoinStateRequest::BYTES_MAX + 1);
    let answer = served
        .raw(&format!(
            "POST {} HTTP/1.1\r\nhost: x\r\ncontent-type: {STATE_TYPE}\r\nconnection: close\r\n\
             transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n",
            CoinStateEndpoint::PATH,
            chunk.len()
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("urn:bauta:problem:1003"), "{answer}");
}

#[tokio::test]
async fn a_wrong_method_is_told_which_one_is_right() {
    let served = Served::standard(open_role()).await;
    let answer = served
        .raw("DELETE /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.contains("\r\nallow: GET,HEAD\r\n"), "{answer}");
}

#[tokio::test]
async fn a_head_at_the_limit_is_taken_and_a_longer_one_is_not() {
    let served = Served::standard(open_role()).await;
    let head = |bytes: usize| {
        let start = "GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-fill: ";
        format!("{start}{}\r\n\r\n", "x".repeat(bytes - start.len() - 4))
    };
    let taken = served.raw(&head(HEADER_BYTES_MAX - 1)).await;
    assert!(taken.starts_with("HTTP/1.1 200 "), "{taken}");
    let refused = served.raw(&head(HEADER_BYTES_MAX + 1)).await;
    assert!(refused.starts_with("HTTP/1.1 431 "), "{refused}");
}

#[tokio::test]
async fn more_requests_than_the_limit_are_overload_and_health_is_still_told() {
    let gate = Arc::new(Semaphore::new(0));
    // A request that is let in waits longer than the client does.
    let standard = Standard::new("test")
        .requests_max(2)
        .request_timeout(Duration::from_secs(600));
    let router = standard.wrap(role(Arc::clone(&gate)), || Ok(()));
    let served = Served::start(&local(), router).await;
    let wait = || {
        let request = Call::get(format!("{}/wait", served.url));
        tokio::spawn(async move { fetch(&client(), request, 10).await })
    };
    let waiting = [wait(), wait()];
    while !served
        .text("/metrics")
        .await
        .contains("in_flight{role=\"test\"} 2\n")
    {
        sleep(std::time::Duration::from_millis(5)).await;
    }
    let third = Call::get(format!("{}/wait", served.url));
    let problem = served.problem(third).await;
    assert_eq!(problem.kind, ProblemKind::Overloaded);
    assert_eq!(served.text("/healthz").await, "ok\n");
    gate.add_permits(1);
    for answer in waiting {
        assert_eq!(answer.await.expect("ran").expect("answered"), b"passed");
    }
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_overload() {
    let standard = Standard::new("test").request_timeout(Duration::from_millis(50));
    let router = standard.wrap(role(Arc::new(Semaphore::new(0))), || Ok(()));
    let served = Served::start(&local(), router).await;
    let request = Call::get(format!("{}/wait", served.url));
    assert_eq!(served.problem(request).await.kind, ProblemKind::Overloaded);
}

#[tokio::test]
async fn a_download_may_take_longer_than_its_request() {
    let standard = Standard::new("test").request_timeout(Duration::from_millis(50));
    let pieces = async || {
        let stream = futures_util::stream::unfold(0, async |sent| {
            sleep(Duration::from_millis(40)).await;
            (sent < 4).then_some((Ok::<_, std::io::Error>("piece "), sent + 1))
        });
        Body::from_stream(stream)
    };
    let router = standard.wrap(Router::new().route("/long", get(pieces)), || Ok(()));
    let served = Served::start(&local(), router).await;
    assert_eq!(served.text("/long").await, "piece ".repeat(4));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_a_timeout() {
    let (_sender, never) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
    let stream = futures_util::stream::unfold(never, async |mut never| {
        never.recv().await.map(|chunk| (chunk, never))
    });
    let started = Instant::now();
    let problem = read_body(Body::from_stream(stream), 10).await;
    assert_eq!(problem.expect_err("late").kind, ProblemKind::Timeout);
    assert_eq!(started.elapsed(), BODY_TIMEOUT);
}

#[tokio::test]
async fn a_head_that_comes_too_slowly_closes_the_connection() {
    let served = Served::standard(open_role()).await;
    let started = Instant::now();
    let answer = served.raw("GET /wait HTTP/1.1\r\nhost: ").await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
        "{answer}"
    );
    assert!(started.elapsed() >= HEADER_TIMEOUT);
    assert!(started.elapsed() < HEADER_TIMEOUT * 2);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_place() {
    let config = HttpConfig {
        connections_max: 1,
        ..local()
    };
    let served = Served::start(&config, open_role()).await;
    let first = TcpStream::connect(served.address).await.expect("connects");
    sleep(Duration::from_millis(50)).await;
    let second = served.raw("GET /wait HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    let mut second = std::pin::pin!(second);
    assert!(
        timeout(Duration::from_millis(100), &mut second)
            .await
            .is_err()
    );
    drop(first);
    assert!(second.await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn shutdown_answers_what_is_under_way_and_takes_nothing_new() {
    let gate = Arc::new(Semaphore::new(0));
    let mut served = Served::standard(role(Arc::clone(&gate))).await;
    let request = Call::get(format!("{}/wait", served.url));
    let under_way = tokio::spawn(async move { fetch(&client(), request, 10).await });
    let _idle = TcpStream::connect(served.address).await.expect("connects");
    sleep(Duration::from_millis(100)).await;
    served.stop.take().expect("once").send(()).expect("serves");
    sleep(Duration::from_millis(50)).await;
    let late = client().send(Call::get(served.url.clone())).await;
    assert_eq!(late.map(|_| ()), Err(TransportError::Connect));
    gate.add_permits(1);
    assert_eq!(under_way.await.expect("ran").expect("answered"), b"passed");
    served.ended.await.expect("ended");
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let mut served = Served::standard(role(Arc::new(Semaphore::new(0)))).await;
    let request = Call::get(format!("{}/wait", served.url));
    let under_way = tokio::spawn(async move { fetch(&client(), request, 10).await });
    sleep(Duration::from_millis(100)).await;
    served.stop.take().expect("once").send(()).expect("serves");
    let started = Instant::now();
    served.ended.await.expect("ended");
    assert!(started.elapsed() >= SHUTDOWN_TIMEOUT);
    assert!(under_way.await.expect("ran").is_err());
}

#[tokio::test]
async fn readiness_says_why_not() {
    let router = Standard::new("test").wrap(Router::new(), || Err("no checkpoint yet"));
    let served = Served::start(&local(), router).await;
    let request = Call::get(format!("{}/readyz", served.url));
    let problem = served.problem(request).await;
    assert_eq!(problem.kind.status(), 503);
    assert_eq!(problem.detail.as_deref(), Some("no checkpoint yet"));
    let served = Served::standard(Router::new()).await;
    assert_eq!(served.text("/readyz").await, "ready\n");
}

#[tokio::test]
async fn metrics_name_path_templates_and_never_what_was_asked_for() {
    let router = Router::new().route("/goods/{name}", get(async || "sold"));
    let served = Served::standard(router).await;
    assert_eq!(served.text("/goods/secret-item").await, "sold");
    let request = Call::get(format!("{}/secret-place", served.url));
    assert_eq!(served.problem(request).await.kind, ProblemKind::NotFound);
    let metrics = served.text("/metrics").await;
    assert!(!metrics.contains("secret"), "{metrics}");
    for line in [
        "bauta_http_requests_total{role=\"test\",path=\"/goods/{name}\",status=\"2xx\"} 1\n",
        "bauta_http_requests_total{role=\"test\",path=\"none\",status=\"4xx\"} 1\n",
        "bauta_http_request_seconds_count{role=\"test\",path=\"/goods/{name}\"} 1\n",
        "bauta_http_requests_in_flight{role=\"test\"} 0\n",
        "bauta_build_info{role=\"test\",version=\"",
        "# EOF\n",
    ] {
        assert!(metrics.contains(line), "{line}{metrics}");
    }
}

#[tokio::test]
async fn metrics_are_for_this_machine_unless_they_are_public() {
    for (address, public, status) in [
        ("127.0.0.1:1", false, 200),
        ("[::1]:1", false, 200),
        ("[::ffff:127.0.0.1]:1", false, 200),
        ("192.0.2.1:1", false, 404),
        ("[2001:db8::1]:1", false, 404),
        ("192.0.2.1:1", true, 200),
    ] {
        let standard = Standard::new("test").metrics_public(public);
        let router = standard.wrap(Router::new(), || Ok(()));
        let caller = listen::Caller(address.parse().expect("an address"));
        let request = Request::get("/metrics")
            .extension(caller)
            .body(Body::empty());
        let answer = router.oneshot(request.expect("a request")).await;
        assert_eq!(answer.expect("answered").status(), status, "{address}");
    }
}

#[tokio::test]
async fn metrics_are_not_for_those_behind_a_proxy_on_this_machine() {
    for header in ["X-Forwarded-For", "Forwarded", "Via"] {
        let router = Standard::new("test").wrap(Router::new(), || Ok(()));
        let caller = listen::Caller("127.0.0.1:1".parse().expect("an address"));
        let request = Request::get("/metrics")
            .extension(caller)
            .header(header, "192.0.2.1")
            .body(Body::empty());
        let answer = router.oneshot(request.expect("a request")).await;
        assert_eq!(answer.expect("answered").status(), 404, "{header}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let first = bind(&local()).await.expect("binds");
    let config = HttpConfig::new(first.local_addr());
    let error = bind(&config).await.err().expect("taken").to_string();
    assert!(error.contains(&first.local_addr().to_string()), "{error}");
}

/// Certificate, its key, and another key, as PEM files.
struct Pki {
    folder: tempfile::TempDir,
    certificate_pem: Vec<u8>,
}

impl Pki {
    fn new() -> Self {
        let names = ["localhost".to_owned()];
        let made = generate_simple_self_signed(names.clone()).expect("a certificate");
        let other = generate_simple_self_signed(names).expect("a certificate");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name, text: String| std::fs::write(folder.path().join(name), text);
        write("cert.pem", made.cert.pem()).expect("writes");
        write("key.pem", made.signing_key.serialize_pem()).expect("writes");
        write("other.pem", other.signing_key.serialize_pem()).expect("writes");
        write("empty.pem", String::new()).expect("writes");
        let certificate_pem = made.cert.pem().into_bytes();
        Self {
            folder,
            certificate_pem,
        }
    }

    fn config(&self, certificate: Option<&str>, key: Option<&str>) -> HttpConfig {
        let file = |name: Option<&str>| -> Option<PathBuf> { Some(self.folder.path().join(name?)) };
        HttpConfig {
            certificate: file(certificate),
            certificate_key: file(key),
            ..local()
        }
    }
}

#[tokio::test]
async fn with_a_certificate_the_role_speaks_https_and_nothing_else() {
    let pki = Pki::new();
    let config = pki.config(Some("cert.pem"), Some("key.pem"));
    let served = Served::start(&config, open_role()).await;
    let options = HttpOptions {
        extra_root: Some(pki.certificate_pem.clone()),
        ..HttpOptions::default()
    };
    let trusting = HttpTransport::new(options).expect("a transport");
    let base = format!("//localhost:{}/wait", served.address.port());
    let answer = fetch(&trusting, Call::get(format!("https:{base}")), 10).await;
    assert_eq!(answer.expect("fetched"), b"passed");
    let stranger = fetch(&client(), Call::get(format!("https:{base}")), 10).await;
    assert!(matches!(
        stranger,
        Err(CallError::Transport(TransportError::Certificate))
    ));
    assert!(
        fetch(&client(), Call::get(format!("http:{base}")), 10)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_by_file() {
    let pki = Pki::new();
    let cases = [
        (Some("cert.pem"), None, "`certificate_key`"),
        (None, Some("key.pem"), "`certificate`"),
        (Some("none.pem"), Some("key.pem"), "none.pem"),
        (Some("empty.pem"), Some("key.pem"), "empty.pem"),
        (Some("cert.pem"), Some("none.pem"), "none.pem"),
        (Some("cert.pem"), Some("empty.pem"), "empty.pem"),
        (Some("cert.pem"), Some("other.pem"), "other.pem"),
    ];
    for (certificate, key, named) in cases {
        let error = bind(&pki.config(certificate, key)).await.err();
        let error = error.expect("unusable").to_string();
        assert!(error.contains(named), "{error}");
    }
}
