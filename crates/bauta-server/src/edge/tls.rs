//! TLS 1.3 with the hybrid post-quantum key exchange first.

use std::{path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{
            CertificateDer, PrivateKeyDer,
            pem::{self, PemObject},
        },
        version::TLS13,
    },
};

use super::listen::EdgeError;
use crate::config::HttpConfig;

/// What speaks TLS for a role, none without a certificate.
pub(super) fn acceptor(config: &HttpConfig) -> Result<Option<TlsAcceptor>, EdgeError> {
    match (&config.certificate, &config.certificate_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let tls = server_config(certificate, key)?;
            Ok(Some(TlsAcceptor::from(Arc::new(tls))))
        }
        _ => Err(EdgeError::HalfTls),
    }
}

fn server_config(certificate: &Path, key: &Path) -> Result<ServerConfig, EdgeError> {
    let chain = read_chain(certificate).map_err(|source| EdgeError::Certificate {
        path: certificate.to_owned(),
        source,
    })?;
    let private_key =
        PrivateKeyDer::from_pem_file(key).map_err(|source| EdgeError::CertificateKey {
            path: key.to_owned(),
            source,
        })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .expect("the provider has suites of TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|source| EdgeError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            source,
        })?;
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A ticket would let the role recognise a caller that comes back.
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)?.collect::<Result<_, _>>()?;
    if chain.is_empty() {
        return Err(pem::Error::NoItemsFound);
    }
    Ok(chain)
}
