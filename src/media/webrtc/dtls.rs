//! The DTLS handshake that yields a leg's SRTP keys (RFC 5764), and the node's certificate.

use super::provider;
use crate::clock;
use crate::error::MediaCause;
use crate::sdp::Fingerprint;
use ringfort_base::Time;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use str0m::crypto::dtls::{DtlsCert, DtlsImplError, DtlsOutput, KeyingMaterial, SrtpProfile};

/// Largest handshake datagram: below the IPv6 minimum MTU with headers, so that no flight is fragmented.
const DTLS_MTU: usize = 1_200;
/// Output buffer; a record is never larger.
const RECORD_MAX: usize = 17 * 1024;
/// A timer that is already due is given this much, so that a driver never spins.
const TIMER_STEP: Duration = Duration::from_millis(1);

/// The certificate with which the node meets browsers, and its fingerprint.
///
/// One for each process: a browser trusts it by the fingerprint in the SDP alone, and making one costs more than a handshake.
/// Its key, like the key exchange of every handshake, is drawn from the system's generator inside the crypto provider, not from
/// the `Entropy` argument: key material must never depend on a seed that a caller chose, and the provider offers no other way.
pub struct DtlsIdentity {
    certificate: DtlsCert,
    fingerprint: Fingerprint,
}

impl DtlsIdentity {
    /// A new self-signed certificate (ECDSA P-256); `None` when the system's generator failed.
    pub fn generate() -> Option<DtlsIdentity> {
        let certificate = provider().dtls_provider.generate_certificate()?;
        let fingerprint = sha256_fingerprint(&certificate.certificate);
        Some(DtlsIdentity { certificate, fingerprint })
    }

    /// The process's own, made at the first call.
    pub fn of_process() -> Option<Arc<DtlsIdentity>> {
        static IDENTITY: OnceLock<Option<Arc<DtlsIdentity>>> = OnceLock::new();
        IDENTITY.get_or_init(|| DtlsIdentity::generate().map(Arc::new)).clone()
    }

    /// SHA-256 of the certificate, for `a=fingerprint`.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

impl fmt::Debug for DtlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DtlsIdentity({})", self.fingerprint)
    }
}

fn sha256_fingerprint(certificate: &[u8]) -> Fingerprint {
    Fingerprint { hash: "sha-256".to_owned(), digest: provider().sha256_provider.sha256(certificate).to_vec() }
}

/// What all associations have in common, as str0m's provider makes it for each of them anew. Making it tries all algorithms on known answers,
/// which costs three times a handshake, so it is made once.
///
/// A peer that ICE has not vouched for has to show that it hears the node before it gets the certificate (RFC 6347 4.2.1), so that nobody
/// is flooded by hellos in his name.
fn settings(vouched: bool) -> Option<Arc<dimpl::Config>> {
    static SETTINGS: [OnceLock<Option<Arc<dimpl::Config>>>; 2] = [OnceLock::new(), OnceLock::new()];
    let make = || dimpl::Config::builder().use_server_cookie(!vouched).mtu(DTLS_MTU).build().ok().map(Arc::new);
    let [others, browsers] = &SETTINGS;
    if vouched { browsers } else { others }.get_or_init(make).clone()
}

/// One DTLS association. Feed it with [`Association::handle`] and [`Association::handle_timeout`], then drain
/// [`Association::poll_send`] and [`Association::take_keying`].
#[derive(Debug)]
pub(super) struct Association {
    instance: Box<dimpl::Dtls>,
    client: bool,
    buffer: Vec<u8>,
    outgoing: std::collections::VecDeque<Vec<u8>>,
    peer: Option<Fingerprint>,
    keying: Option<(KeyingMaterial, SrtpProfile)>,
    /// The handshake is done.
    done: bool,
    /// Keys came of it.
    keyed: bool,
    next: Time,
    /// The peer refused the node's hello. That is not proved, so it ends nothing by itself.
    refused: bool,
}

impl Association {
    /// `client`: the node opens the handshake. `vouched`: ICE has found the peer to be where it is. The version is the highest that both sides have: 1.3 or 1.2.
    pub fn new(identity: &DtlsIdentity, now: Time, client: bool, vouched: bool) -> Result<Association, MediaCause> {
        let config = settings(vouched).ok_or(MediaCause::DtlsFailed)?;
        let mut instance = Box::new(dimpl::Dtls::new_auto(config, identity.certificate.clone(), clock::instant(now)));
        instance.set_active(client);
        let outgoing = std::collections::VecDeque::new();
        let buffer = vec![0; 2 * 1024];
        let mut association = Association {
            instance,
            client,
            buffer,
            outgoing,
            peer: None,
            keying: None,
            done: false,
            keyed: false,
            next: now,
            refused: false,
        };
        association.handle_timeout(now)?;
        Ok(association)
    }

    /// Takes a DTLS datagram. What does not fit the handshake's state is dropped, so that a forged record does not end it
    /// (RFC 6347 4.1.2.7); what shows that the two sides cannot agree ends it.
    pub fn handle(&mut self, now: Time, datagram: &[u8]) -> Result<(), MediaCause> {
        self.refused |= self.client && refuses_hello(datagram);
        self.check(|instance| instance.handle_timeout(clock::instant(now)))?;
        self.check(|instance| instance.handle_packet(datagram))?;
        self.drain(now)
    }

    pub fn handle_timeout(&mut self, now: Time) -> Result<(), MediaCause> {
        self.check(|instance| instance.handle_timeout(clock::instant(now)))?;
        self.drain(now)
    }

    pub fn next_timeout(&self) -> Time {
        self.next
    }

    pub fn poll_send(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// Fingerprint of the certificate that the peer proved to own.
    pub fn peer(&self) -> Option<&Fingerprint> {
        self.peer.as_ref()
    }

    /// The exported keys, once.
    pub fn take_keying(&mut self) -> Option<(KeyingMaterial, SrtpProfile)> {
        self.keying.take()
    }

    /// The handshake is done, and both sides share no SRTP profile, or the peer wants none (RFC 5764 4.1.1).
    pub fn is_without_keys(&self) -> bool {
        self.done && !self.keyed
    }

    /// `1.2` or `1.3`, once that is agreed on.
    pub fn version(&self) -> Option<&'static str> {
        match self.instance.protocol_version()? {
            dimpl::ProtocolVersion::DTLS1_3 => Some("1.3"),
            _ => Some("1.2"),
        }
    }

    /// Whether the node is the DTLS client.
    pub fn is_client(&self) -> bool {
        self.client
    }

    fn check(&mut self, act: impl FnOnce(&mut dimpl::Dtls) -> Result<(), DtlsImplError>) -> Result<(), MediaCause> {
        match act(&mut self.instance) {
            Err(error) if is_fatal(&error) => Err(cause_of(&error)),
            _ => Ok(()),
        }
    }

    /// A plain alert came, which is not given to the engine. Returns what it tells, if that is known.
    pub fn refused(&mut self, datagram: &[u8]) -> Option<MediaCause> {
        self.refused |= self.client && refuses_hello(datagram);
        self.objection()
    }

    /// What the peer told of why there is no agreement yet.
    pub fn objection(&self) -> Option<MediaCause> {
        (self.refused && self.peer.is_none()).then_some(MediaCause::DtlsCertificate)
    }

    /// The engine's state is consistent only when it has been polled up to its timeout.
    fn drain(&mut self, now: Time) -> Result<(), MediaCause> {
        loop {
            match self.instance.poll_output(&mut self.buffer) {
                DtlsOutput::Packet(packet) => self.outgoing.push_back(packet.to_vec()),
                DtlsOutput::BufferTooSmall { needed } if needed <= RECORD_MAX => self.buffer.resize(needed, 0),
                DtlsOutput::BufferTooSmall { .. } => return Err(MediaCause::DtlsFailed),
                DtlsOutput::PeerCert(certificate) => self.peer = Some(sha256_fingerprint(certificate)),
                DtlsOutput::KeyingMaterial(keying, profile) => {
                    (self.keying, self.keyed) = (Some((keying, profile)), true);
                }
                DtlsOutput::Connected => self.done = true,
                DtlsOutput::Timeout(at) => {
                    self.next = clock::time(at).max(now + TIMER_STEP);
                    return Ok(());
                }
                // No data channel is carried. A browser that closes the association also ends the call by SIP, or its checks
                // cease; the call must not fail in the meantime, when a BYE is on its way.
                _ => {}
            }
        }
    }
}

fn is_fatal(error: &DtlsImplError) -> bool {
    matches!(
        error,
        DtlsImplError::SecurityError(_)
            | DtlsImplError::CryptoError(_)
            | DtlsImplError::CertificateError(_)
            | DtlsImplError::ConfigError(_)
            | DtlsImplError::RenegotiationAttempt
    )
}

/// A peer that shows no certificate, or one that cannot be read, has none of an elliptic curve: it was asked for one by its client's hello
/// or by the node's request (RFC 5246 7.4.4), and both name ECDSA alone.
fn cause_of(error: &DtlsImplError) -> MediaCause {
    match error {
        DtlsImplError::CertificateError(_) => MediaCause::DtlsCertificate,
        _ => MediaCause::DtlsFailed,
    }
}

/// A plain alert `handshake_failure` (RFC 5246 7.2.2): the server has no suite for what the hello offers, all of which want a certificate of
/// an elliptic curve.
fn refuses_hello(datagram: &[u8]) -> bool {
    // Record of type alert, epoch 0; behind its 13 octets level `fatal` and the description.
    datagram.first() == Some(&21) && datagram.get(3..5) == Some(&[0, 0]) && datagram.get(13..15) == Some(&[2, 40])
}
