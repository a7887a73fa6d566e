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
}
