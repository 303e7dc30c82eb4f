//! Who a TLS peer is (RFC 5922): its certificate is signed by a root that is trusted, and names the SIP domain that was meant.

use ringfort_sip::uri::Uri;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::Arc;
use webpki::EndEntityCert;

/// Checks the certificate of a peer that the node connects to.
#[derive(Debug)]
pub struct PeerVerifier {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl PeerVerifier {
    /// Trusts what these roots sign.
    pub fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> PeerVerifier {
        PeerVerifier { roots, provider }
    }
}

/// The SIP domains that a certificate names (RFC 5922 7.1): the hosts of its SIP URIs; its DNS names only where it has no such URI. The
/// subject's common name counts for nothing, and neither does a name with a wildcard (7.2).
pub fn identities(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    let uris: Vec<Uri> = parsed.valid_uri_names().filter_map(|uri| Uri::parse(uri).ok()).filter(Uri::is_sip).collect();
    if uris.is_empty() {
        let exact = parsed.valid_dns_names().filter(|name| !name.contains('*'));
        return exact.map(str::to_ascii_lowercase).collect();
    }
    // A URI with a user part names a person, not a domain.
    uris.iter().filter(|uri| uri.user.is_none()).map(|uri| uri.host.to_string().to_ascii_lowercase()).collect()
}

/// Whether the certificate is the wanted peer's. A peer that is configured by its address must have it in the certificate.
fn is_of(certificate: &CertificateDer<'_>, wanted: &ServerName<'_>) -> bool {
    match wanted {
        ServerName::DnsName(name) => identities(certificate).iter().any(|own| own.eq_ignore_ascii_case(name.as_ref())),
        _ => EndEntityCert::try_from(certificate).is_ok_and(|parsed| parsed.verify_is_valid_for_subject_name(wanted).is_ok()),
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        wanted: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        match is_of(certificate, wanted) {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::NotValidForName.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(dns: &[&str], uris: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = dns.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("a URI"))));
        params.subject_alt_names.push(SanType::IpAddress(std::net::Ipv4Addr::new(192, 0, 2, 1).into()));
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().clone()
    }

    fn names(certificate: &CertificateDer<'_>, name: &str) -> bool {
        is_of(certificate, &ServerName::try_from(name.to_string()).expect("a name"))
    }

    /// RFC 5922 7.1 and 7.2.
    #[test]
    fn a_sip_uri_comes_before_dns_names_and_no_wildcard_matches() {
        let by_name = certificate(&["Sip.Example.com", "*.example.net"], &[]);
        assert!(names(&by_name, "sip.example.COM") && !names(&by_name, "a.example.net") && !names(&by_name, "example.com"));
        let by_uri = certificate(&["host.example.com"], &["sip:example.com", "https://www.example.com", "sip:bob@example.org"]);
        assert_eq!(identities(&by_uri), ["example.com"]);
        assert!(names(&by_uri, "example.com") && !names(&by_uri, "host.example.com") && !names(&by_uri, "example.org"));
        assert!(names(&by_uri, "192.0.2.1") && !names(&by_uri, "192.0.2.2"));
    }
}
