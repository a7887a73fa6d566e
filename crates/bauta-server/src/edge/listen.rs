//! Listening: connections in, each under its limits, until the role shuts down.

use std::{
    future::{Future, pending},
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, rustls};
use tower::ServiceExt;

use super::{stall::Stall, tls};
use crate::config::HttpConfig;

/// How long a TLS handshake may take, and the head of a request (also the first byte of the next one: longer idle
/// connections are closed).
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller may take no byte of an answer.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests that are under way at shutdown may still take.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes; more is answered with 431.
pub const HEADER_BYTES_MAX: usize = 16_384;

/// How long to wait when the system gives out no connection, for example for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a role cannot listen. Whoever wrote its configuration is at fault.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// The address is in use, not this machine's, or not allowed.
    #[error("cannot listen on {address}: choose another `listen` address or stop what uses it")]
    Bind {
        /// The address of the configuration.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// One of a pair is missing.
    #[error("`certificate` and `certificate_key` belong together: set both or none")]
    HalfTls,
    /// The certificate file cannot be read, or holds no certificate.
    #[error("{} is not a readable PEM file with a certificate chain", path.display())]
    Certificate {
        /// The file of the configuration.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The key file cannot be read, or holds no key.
    #[error("{} is not a readable PEM file with a private key", path.display())]
    CertificateKey {
        /// The file of the configuration.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// The two files do not fit together.
    #[error("the certificate in {} does not go with the key in {}", certificate.display(), key.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
}

/// The network address that a request came from; an extension of every request that [`Bound::serve`] takes.
/// It has no `Debug`: an address is not to be logged.
#[derive(Clone, Copy)]
pub(super) struct Caller(pub(super) SocketAddr);

/// A port that is taken, not yet served: callers wait in the system's queue.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    connections_max: usize,
}

/// Takes the port and reads the certificate.
///
/// # Errors
/// [`EdgeError`].
pub async fn bind(config: &HttpConfig) -> Result<Bound, EdgeError> {
    let tls = tls::acceptor(config)?;
    let address = config.listen;
    let cannot = |source| EdgeError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(cannot)?;
    Ok(Bound {
        address: listener.local_addr().map_err(cannot)?,
        listener,
        tls,
        connections_max: config.connections_max,
    })
}

impl Bound {
    /// The address with the port that the system chose, if it was to choose.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The base address for clients on this machine.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves `router` until `shutdown` is over; then takes no new requests, and ends when those under way are
    /// answered or [`SHUTDOWN_TIMEOUT`] has passed.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.connections_max));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                (stream, caller, place) = accept(&self.listener, &places) => {
                    let service = Service { router: router.clone(), caller };
                    let (tls, watcher) = (self.tls.clone(), graceful.watcher());
                    connections.spawn(connection(stream, tls, service, watcher, place));
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
        drop(self.listener);
        let _in_time = timeout(SHUTDOWN_TIMEOUT, graceful.shutdown()).await;
        connections.shutdown().await;
    }
}

/// The next connection, once there is a place for it. Callers beyond the limit wait in the system's queue.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Caller, OwnedSemaphorePermit) {
    let Ok(place) = Arc::clone(places).acquire_owned().await else {
        return pending().await; // The semaphore is never closed.
    };
    loop {
        match listener.accept().await {
            Ok((stream, caller)) => return (stream, Caller(caller), place),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no new connections"
                );
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The caller went away before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

async fn connection(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    service: Service,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    // Only a slower connection if it fails.
    let _slower = stream.set_nodelay(true);
    let stream = Stall::new(stream, STALL_TIMEOUT);
    match tls {
        None => requests(stream, service, watcher).await,
        Some(tls) => {
            if let Ok(Ok(stream)) = timeout(HEADER_TIMEOUT, tls.accept(stream)).await {
                requests(stream, service, watcher).await;
            }
        }
    }
}

/// What one connection's requests go to.
struct Service {
    router: Router,
    caller: Caller,
}

async fn requests<S>(stream: S, Service { router, caller }: Service, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller);
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever ends a connection early is the caller's affair: it repeats its request.
    let _ended = watcher.watch(connection).await;
}
