//! Certificates: one for the page and WSS, one for SIP over TLS, which are the same unless `[tls]` names another. A self-signed one is
//! made at first start and kept. A renewed certificate is read by a reload; connections that stand keep theirs.

use crate::identity::{PeerVerifier, identities};
use arc_swap::ArcSwap;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use ringfort_call::config::{ClientAuth, Snapshot};
use ringfort_store::{StateDir, create_private_dir, write_atomic};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, CommonState, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// Roots that peers' certificates are checked against, unless `tls.ca` names others.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// What new connections use.
struct Current {
    web: Arc<ServerConfig>,
    sip: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    self_signed: bool,
}

/// Both roles.
#[derive(Clone)]
pub struct Tls {
    current: Arc<ArcSwap<Current>>,
    /// The self-signed certificate and its key.
    own: (PathBuf, PathBuf),
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
    /// Nothing to check clients' certificates against.
    #[error("certificates of clients cannot be checked: {0}")]
    Clients(#[from] rustls::server::VerifierBuilderError),
    /// A self-signed one could not be made.
    #[error("self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// It could not be kept.
    #[error(transparent)]
    File(#[from] ringfort_store::FileError),
}

/// A certificate chain and its key.
struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Pair {
    fn read(certificate: &Path, key: &Path) -> Result<Pair, TlsError> {
        let chain = read_certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Pem { path: key.into(), source })?;
        Ok(Pair { chain, key })
    }
}

impl Tls {
    /// Reads the configured certificates; the self-signed one is made when it does not exist.
    pub fn open(snapshot: &Snapshot, state: &StateDir, addresses: &[IpAddr]) -> Result<Tls, TlsError> {
        let own = own(state, &snapshot.node.name, addresses)?;
        let current = Arc::new(ArcSwap::from_pointee(Current::read(snapshot, &own)?));
        Ok(Tls { current, own })
    }

    /// Reads them again, for connections from now on. What cannot be read changes nothing.
    pub fn reload(&self, snapshot: &Snapshot) -> Result<(), TlsError> {
        self.current.store(Arc::new(Current::read(snapshot, &self.own)?));
        Ok(())
    }

    /// For browsers that come: page and WSS.
    pub fn web_acceptor(&self) -> TlsAcceptor {
        self.current.load().web.clone().into()
    }

    /// For SIP over TLS that comes.
    pub fn sip_acceptor(&self) -> TlsAcceptor {
        self.current.load().sip.clone().into()
    }

    /// For connections that the node opens.
    pub fn connector(&self) -> TlsConnector {
        self.current.load().client.clone().into()
    }

    /// Whether browsers will warn.
    pub fn is_self_signed(&self) -> bool {
        self.current.load().self_signed
    }
}

/// SIP domains and hosts that the other end has proved to be; none where it showed no certificate that was checked.
pub fn proved(connection: &CommonState) -> Vec<String> {
    connection.peer_certificates().and_then(|chain| chain.first()).map(identities).unwrap_or_default()
}

impl Current {
    fn read(snapshot: &Snapshot, own: &(PathBuf, PathBuf)) -> Result<Current, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (web, tls) = (&snapshot.web, &snapshot.tls);
        let of_web = match (&web.certificate, &web.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            _ => (&own.0, &own.1),
        };
        let of_sip = match (&tls.certificate, &tls.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            _ => of_web,
        };
        let roots = Arc::new(roots(tls.ca.as_deref())?);
        let (for_sip, for_client) = (Pair::read(of_sip.0, of_sip.1)?, Pair::read(of_sip.0, of_sip.1)?);
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerVerifier::new(roots.clone(), provider.clone())));
        let client = match for_client.chain.is_empty() {
            true => client.with_no_client_auth(),
            false => client.with_client_auth_cert(for_client.chain, for_client.key)?,
        };
        Ok(Current {
            web: Arc::new(server(&provider, Pair::read(of_web.0, of_web.1)?, None)?),
            sip: Arc::new(server(&provider, for_sip, clients(tls.client_auth, roots, &provider)?)?),
            client: Arc::new(client),
            self_signed: *of_web.0 == own.0,
        })
    }
}

fn server(
    provider: &Arc<CryptoProvider>,
    pair: Pair,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    Ok(builder.with_single_cert(pair.chain, pair.key)?)
}

/// How clients' certificates are checked; `None`: they are not asked for any.
fn clients(
    wanted: ClientAuth,
    roots: Arc<RootCertStore>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    Ok(match wanted {
        ClientAuth::None => None,
        ClientAuth::Request => Some(builder.allow_unauthenticated().build()?),
        ClientAuth::Require => Some(builder.build()?),
    })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| TlsError::Pem { path: path.into(), source })
}

/// The configured roots, or the system's; none where there are none, then no peer is trusted.
fn roots(configured: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    match configured {
        Some(path) => drop(store.add_parsable_certificates(read_certificates(path)?)),
        None => {
            if let Ok(found) = CertificateDer::pem_file_iter(SYSTEM_ROOTS) {
                store.add_parsable_certificates(found.flatten());
            }
        }
    }
    Ok(store)
}

/// The node's own certificate, made when there is none yet.
fn own(state: &StateDir, name: &str, addresses: &[IpAddr]) -> Result<(PathBuf, PathBuf), TlsError> {
    let dir = state.tls();
    let (certificate, key) = (dir.join("self-signed.pem"), dir.join("self-signed.key"));
    if !certificate.is_file() || !key.is_file() {
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

/// The node's name as far as it fits a DNS name.
fn host_name(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '.';
    let host: String = name.chars().filter(fits).collect();
    if host.is_empty() { "ringfort".into() } else { host }
}
