//! TLS to a server.

use std::sync::{Arc, OnceLock};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::{Error, ErrorKind, Result};
use crate::membership::TlsFiles;

/// How servers with TLS are reached; its certificates are read once, by the first connection.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    files: Option<TlsFiles>,
    connector: OnceLock<TlsConnector>,
}

impl Tls {
    /// Servers' certificates must be signed by the given authorities, or without them by one that the system knows.
    pub(crate) fn new(files: Option<TlsFiles>) -> Tls {
        Tls { files, connector: OnceLock::new() }
    }

    #[cfg(feature = "cli")]
    pub(crate) fn files(&self) -> Option<&TlsFiles> {
        self.files.as_ref()
    }

    /// # Errors
    /// `Invalid` where the certificates cannot be used.
    pub(crate) fn connector(&self) -> Result<&TlsConnector> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let made = TlsConnector::from(Arc::new(config(self.files.as_ref())?));
        Ok(self.connector.get_or_init(|| made))
    }

    /// Encrypts a connection to a host.
    pub(super) async fn encrypt(&self, host: &str, tcp: TcpStream) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| bad("the host cannot be in a certificate").with_source(error))?;
        self.connector()?.connect(name, tcp).await.map_err(|error| {
            Error::new(ErrorKind::Unreachable, format!("no TLS with {host}"))
                .with_hint("check the server's certificate, its authority, and that the port speaks TLS")
                .with_source(error)
        })
    }
}

fn config(files: Option<&TlsFiles>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match files {
        Some(files) => {
            for certificate in CertificateDer::pem_slice_iter(files.authorities.as_bytes()) {
                let certificate = certificate.map_err(|error| bad("the authorities are not PEM").with_source(error))?;
                roots.add(certificate).map_err(|error| bad("an authority cannot be used").with_source(error))?;
            }
            if roots.is_empty() {
                return Err(bad("the authorities hold no certificate"));
            }
        }
        None => {
            // One of the system's that cannot be read is no reason to refuse the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    // The provider is named, since a process may have several and then rustls refuses to choose.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("no protocol version can be used").with_source(error))?
        .with_root_certificates(roots);
    match files.and_then(|files| files.identity.as_ref()) {
        None => Ok(builder.with_no_client_auth()),
        Some((certificates, key)) => {
            let chain = CertificateDer::pem_slice_iter(certificates.as_bytes())
                .collect::<std::result::Result<Vec<_>, _>>()
                .map_err(|error| bad("the client's certificate is not PEM").with_source(error))?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|error| bad("the client's key is not PEM").with_source(error))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| bad("the client's certificate and key do not fit").with_source(error))
        }
    }
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("TLS: {what}"))
}
