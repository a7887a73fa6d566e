//! Requests over HTTP/1.1 and TLS 1.3.
//!
//! One client keeps the connections of a process. It follows no redirects (an address that a role signed is not to be
//! replaced by another), takes no proxy from the environment, sends no cookies and no `User-Agent`, and asks for no
//! compression: protocol messages are random bytes.

use std::{error::Error, io, time::Duration};

use bauta_proto::transport::{Body, Method, Request, Response, Resume, Transport, TransportError};
use reqwest::{
    Certificate, Client, RequestBuilder, StatusCode, Url,
    header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, IF_RANGE, RANGE},
    redirect, tls,
};

#[cfg(test)]
mod tests;

/// Idle connections are dropped before the other side would (after ten seconds), so that no request meets a closed one.
const IDLE_MAX: Duration = Duration::from_secs(8);

/// How the transport behaves. [`Default`] is right for everything but private certificate authorities.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// PEM file contents with certificates to trust beside the system's: for a private certificate authority.
    pub extra_root: Option<Vec<u8>>,
    /// How long a connection with its TLS handshake may take.
    pub connect_timeout: Duration,
    /// How long the other side may stay silent, before its answer and between two pieces of a body.
    pub read_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            extra_root: None,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(30),
        }
    }
}

/// Why there is no transport. Whoever chose the options is at fault.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    /// The extra root is no certificate.
    #[error("the extra root certificate is not a PEM file with certificates")]
    ExtraRoot,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[source] reqwest::Error),
}

/// The network, as the protocol sees it. Clones share connections.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: Client,
}

impl HttpTransport {
    /// Sets up TLS and an empty pool of connections.
    ///
    /// A system without any root certificates is no error: HTTPS addresses then answer
    /// [`TransportError::Certificate`] unless `extra_root` vouches for them.
    ///
    /// # Errors
    /// [`OptionsError`].
    pub fn new(options: HttpOptions) -> Result<Self, OptionsError> {
        let extra = extra_roots(options.extra_root.as_deref())?;
        let with_system = builder(&options).tls_certs_merge(extra.clone()).build();
        let client = with_system
            .or_else(|_| builder(&options).tls_certs_only(extra).build())
            .map_err(OptionsError::Tls)?;
        Ok(Self { client })
    }

    fn builder(&self, request: Request) -> Result<RequestBuilder, TransportError> {
        let url = address(&request.url)?;
        let builder = match request.method {
            Method::Get => self.client.get(url),
            Method::Post => self.client.post(url).body(request.body),
        };
        let builder = match request.media_type {
            Some(media_type) => builder.header(CONTENT_TYPE, HeaderValue::from_static(media_type)),
            None => builder,
        };
        match request.resume {
            Some(resume) => Ok(builder.headers(resume_headers(&resume)?)),
            None => Ok(builder),
        }
    }
}

impl Transport for HttpTransport {
    type Body = HttpBody;

    async fn send(&self, request: Request) -> Result<Response<HttpBody>, TransportError> {
        let asked_from = request.resume.as_ref().map_or(0, |resume| resume.from);
        let answer = self.builder(request)?.send().await.map_err(|e| cause(&e))?;
        let from = if answer.status() == StatusCode::PARTIAL_CONTENT {
            first_byte(answer.headers())
                .filter(|from| *from == asked_from)
                .ok_or(TransportError::Part)?
        } else {
            0
        };
        Ok(Response {
            status: answer.status().as_u16(),
            from,
            body: HttpBody(answer),
        })
    }
}

/// A body on its way from the network; only the piece at hand is in memory.
#[derive(Debug)]
pub struct HttpBody(reqwest::Response);

impl Body for HttpBody {
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>, TransportError> {
        let chunk = self.0.chunk().await.map_err(|error| cause(&error))?;
        Ok(chunk.map(Vec::from))
    }
}

fn builder(options: &HttpOptions) -> reqwest::ClientBuilder {
    Client::builder()
        .tls_backend_rustls()
        .tls_version_min(tls::Version::TLS_1_3)
        .http1_only()
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE_MAX)
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
}

fn extra_roots(pem: Option<&[u8]>) -> Result<Vec<Certificate>, OptionsError> {
    let Some(pem) = pem else {
        return Ok(Vec::new());
    };
    let roots = Certificate::from_pem_bundle(pem).map_err(|_| OptionsError::ExtraRoot)?;
    if roots.is_empty() {
        return Err(OptionsError::ExtraRoot);
    }
    Ok(roots)
}

fn address(text: &str) -> Result<Url, TransportError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or(TransportError::Address)
}

/// RFC 9110 §13.1.5 and §14.2: the rest, or the whole if it is no longer the same.
fn resume_headers(resume: &Resume) -> Result<HeaderMap, TransportError> {
    let range = HeaderValue::try_from(format!("bytes={}-", resume.from));
    let entity_tag = HeaderValue::try_from(format!("\"{}\"", resume.entity_tag));
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(RANGE, range.map_err(|_| TransportError::Part)?);
    headers.insert(IF_RANGE, entity_tag.map_err(|_| TransportError::Part)?);
    Ok(headers)
}

/// The first byte that `Content-Range: bytes 5-9/10` or `bytes 5-9/*` names (RFC 9110 §14.4); none if it contradicts
/// itself.
fn first_byte(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    let (span, total) = range.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let ends_within = total == "*" || total.parse::<u64>().is_ok_and(|total| last < total);
    (first <= last && ends_within).then_some(first)
}

/// What a client error means to the protocol. The library's own text is dropped: it holds the address.
fn cause(error: &reqwest::Error) -> TransportError {
    if is_certificate(error) {
        TransportError::Certificate
    } else if error.is_connect() {
        TransportError::Connect
    } else if error.is_timeout() {
        TransportError::Timeout
    } else if error.is_builder() {
        TransportError::Address
    } else {
        TransportError::Broken
    }
}

fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    let tls = error.downcast_ref::<rustls::Error>();
    if let Some(InvalidCertificate(_) | NoCertificatesPresented) = tls {
        return true;
    }
    // An I/O error hands out the source of what it wraps, not the thing itself.
    let wrapped = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    wrapped.is_some_and(|inner| is_certificate(inner)) || error.source().is_some_and(is_certificate)
}
