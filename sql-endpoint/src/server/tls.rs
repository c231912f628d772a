//! TLS: certificate and key, from PEM files.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Certificates that cannot be used; the text names the file and says no secret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

/// What encrypts connections, and the certificates in PEM as clients see them.
#[derive(Clone)]
pub struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) certificate: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the server's certificate, followed by those that vouch for it, and its key.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not belong together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |path: &Path, what: &dyn std::fmt::Display| {
            TlsError(format!("{}: {what}", path.display()))
        };
        let pem = std::fs::read(certificate).map_err(|error| wrong(certificate, &error))?;
        let chain = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| wrong(certificate, &format!("{error:?}")))?;
        if chain.is_empty() {
            return Err(wrong(
                certificate,
                &"there is no certificate in it; name a PEM file",
            ));
        }
        let secret =
            PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &format!("{error:?}")))?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError(error.to_string()))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| wrong(key, &error))?;
        // Clients of PostgreSQL 17 may begin with TLS at once and name the protocol so.
        config.alpn_protocols = vec![b"postgresql".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: pem,
        })
    }
}
