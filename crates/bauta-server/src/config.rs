//! The configuration file: one documented structure a role, unknown keys refused, secrets only by file.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

/// How a role is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// PEM file with the certificate chain; with it the role speaks TLS 1.3 only through HTTPS.
    pub certificate: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub certificate_key: Option<PathBuf>,
    /// Connections that are open at once; callers beyond it wait.
    #[serde(default = "connections_max")]
    pub connections_max: usize,
    /// Requests that are worked on at once; more are answered with "overloaded".
    #[serde(default = "requests_max")]
    pub requests_max: usize,
}

/// Connections that a role holds open at once unless configured otherwise.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Requests that a role works on at once unless configured otherwise.
pub const REQUESTS_MAX: usize = 1_024;

impl HttpConfig {
    /// Plain HTTP with the default limits.
    #[must_use]
    pub const fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            certificate: None,
            certificate_key: None,
            connections_max: CONNECTIONS_MAX,
            requests_max: REQUESTS_MAX,
        }
    }
}

const fn connections_max() -> usize {
    CONNECTIONS_MAX
}

const fn requests_max() -> usize {
    REQUESTS_MAX
}
