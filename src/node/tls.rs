//! Certificates: one for the page, SIP over TLS and WSS. A self-signed one is made at first start and kept.

use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use ringfort_call::config::WebSection;
use ringfort_store::{StateDir, create_private_dir, write_atomic};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Roots that peers' certificates are checked against.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Both roles.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    self_signed: bool,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or is no PEM.
    #[error("{}: {source}", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// Certificate and key do not fit, or are of no usable kind.
    #[error("certificate: {0}")]
    Rustls(#[from] rustls::Error),
    /// A self-signed one could not be made.
    #[error("self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// It could not be kept.
    #[error(transparent)]
    File(#[from] ringfort_store::FileError),
}

impl Tls {
    /// Reads the configured certificate, or the self-signed one, which is made when it does not exist.
    pub fn open(web: &WebSection, state: &StateDir, name: &str, addresses: &[IpAddr]) -> Result<Tls, TlsError> {
        let (certificate, key, self_signed) = match (&web.certificate, &web.key) {
            (Some(certificate), Some(key)) => (certificate.clone(), key.clone(), false),
            _ => {
                let (certificate, key) = own(state, name, addresses)?;
                (certificate, key, true)
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = CertificateDer::pem_file_iter(&certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|source| TlsError::Pem { path: certificate, source })?;
        let key = PrivateKeyDer::from_pem_file(&key).map_err(|source| TlsError::Pem { path: key, source })?;
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots())
            .with_no_client_auth();
        let (acceptor, connector) = (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
        Ok(Tls { acceptor, connector, self_signed })
    }

    /// For connections that come.
    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// For connections that the node opens.
    pub fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// Whether browsers will warn.
    pub fn is_self_signed(&self) -> bool {
        self.self_signed
    }
}

/// The system's roots; none where there are none, then no peer is trusted.
fn roots() -> RootCertStore {
    let mut store = RootCertStore::empty();
    if let Ok(found) = CertificateDer::pem_file_iter(SYSTEM_ROOTS) {
        store.add_parsable_certificates(found.flatten());
    }
    store
}

/// The node's own certificate, made when there is none yet.
fn own(state: &StateDir, name: &str, addresses: &[IpAddr]) -> Result<(PathBuf, PathBuf), TlsError> {
    let dir = state.tls();
    let (certificate, key) = (dir.join("self-signed.pem"), dir.join("self-signed.key"));
    if !is_there(&certificate) || !is_there(&key) {
        create_private_dir(&dir)?;
        let mut params = CertificateParams::new(vec!["localhost".to_string(), host_name(name)])?;
        params.distinguished_name.push(DnType::CommonName, format!("Ringfort {name}"));
        params.subject_alt_names.extend(addresses.iter().map(|ip| SanType::IpAddress(*ip)));
        let pair = KeyPair::generate()?;
        let signed = params.self_signed(&pair)?;
        write_atomic(&key, pair.serialize_pem().as_bytes(), 0o600)?;
        write_atomic(&certificate, signed.pem().as_bytes(), 0o644)?;
    }
    Ok((certificate, key))
}

fn is_there(path: &Path) -> bool {
    path.is_file()
}

/// The node's name as far as it fits a DNS name.
fn host_name(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '.';
    let host: String = name.chars().filter(fits).collect();
    if host.is_empty() { "ringfort".into() } else { host }
}
