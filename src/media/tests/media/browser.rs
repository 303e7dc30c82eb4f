//! A simulated browser: a full, controlling ICE agent and a DTLS endpoint, made of the same crates as the node's side but on the
//! other end of a wire.

use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use ringfort_media::plan::{SrtpKeys, SrtpProfile};
use ringfort_media::webrtc::IceCredentials;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use str0m::Candidate;
use str0m::crypto::dtls::{self, DtlsCert, DtlsInstance, DtlsOutput, DtlsVersion};
use str0m::crypto::{CryptoProvider, Fingerprint, from_feature_flags};
use str0m::ice::{IceAgent, IceAgentEvent, IceCreds, StunMessage, StunPacket, TransId};
use str0m::net::Protocol;

fn provider() -> &'static CryptoProvider {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    PROVIDER.get_or_init(from_feature_flags)
}

fn instant(time: Time) -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now) + Duration::from_micros(time.as_micros())
}

fn time(instant_: Instant) -> Time {
    let since = instant_.saturating_duration_since(instant(Time::ZERO));
    if since < Duration::from_secs(86_400) { Time::ZERO + since } else { Time::NEVER }
}

/// What of the browser's transport does not work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Its checks never say USE-CANDIDATE.
    pub never_nominates: bool,
    /// It does no DTLS.
    pub no_dtls: bool,
}

pub struct Browser {
    pub addresses: Vec<SocketAddr>,
    pub faults: Faults,
    pub version: DtlsVersion,
    pub keys: Option<(SrtpKeys, SrtpKeys)>,
    agent: IceAgent,
    credentials: IceCredentials,
    certificate: DtlsCert,
    dtls: Option<Box<dyn DtlsInstance>>,
    dtls_due: Time,
    ice_due: Time,
    client: bool,
    node: Option<SocketAddr>,
    pair: Option<SocketAddr>,
    outgoing: Vec<(SocketAddr, SocketAddr, Vec<u8>)>,
}

impl Browser {
    pub fn new(seed: u64, addresses: &[&str]) -> Browser {
        let credentials = IceCredentials::generate(&mut Seeded::new(seed));
        let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let mut browser = Browser {
            agent: Browser::agent(&credentials),
            addresses,
            faults: Faults::default(),
            version: DtlsVersion::Auto,
            keys: None,
            credentials,
            certificate: provider().dtls_provider.generate_certificate().unwrap(),
            dtls: None,
            dtls_due: Time::NEVER,
            ice_due: Time::NEVER,
            client: true,
            node: None,
            pair: None,
            outgoing: Vec::new(),
        };
        browser.add_candidates();
        browser
    }

    fn agent(credentials: &IceCredentials) -> IceAgent {
        let creds = IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.pwd.clone() };
        IceAgent::with_hmac(creds, provider().sha1_hmac_provider)
    }

    fn add_candidates(&mut self) {
        self.agent.set_controlling(true);
        for address in &self.addresses {
            self.agent.add_local_candidate(Candidate::host(*address, Protocol::Udp).unwrap()).unwrap();
        }
    }

    /// New credentials and a new agent, as after `restartIce()`. The DTLS association goes on.
    pub fn restart_ice(&mut self, seed: u64) {
        self.credentials = IceCredentials::generate(&mut Seeded::new(seed));
        self.agent = Browser::agent(&self.credentials);
        self.add_candidates();
        self.pair = None;
    }

    /// Another page load: another certificate, everything anew.
    pub fn reload(&mut self, seed: u64) {
        self.restart_ice(seed);
        self.certificate = provider().dtls_provider.generate_certificate().unwrap();
        (self.dtls, self.keys) = (None, None);
    }

    pub fn fingerprint(&self) -> String {
        let bytes = provider().sha256_provider.sha256(&self.certificate.certificate).to_vec();
        Fingerprint { hash_func: "sha-256".to_owned(), bytes }.to_string()
    }

    /// An offer or answer with this `a=setup`.
    pub fn description(&self, setup: &str) -> String {
        let IceCredentials { ufrag, pwd } = &self.credentials;
        let fingerprint = self.fingerprint();
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0 101\r\nc=IN IP4 0.0.0.0\r\n\
             a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\na=mid:0\r\na=sendrecv\r\n\
             a=rtcp-mux\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
    }

    /// Takes the node's description.
    pub fn take(&mut self, now: Time, sdp: &str) {
        let value = |name: &str| sdp.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        let creds = IceCreds { ufrag: value("a=ice-ufrag:").to_owned(), pass: value("a=ice-pwd:").to_owned() };
        let candidate: Vec<&str> = value("a=candidate:").split(' ').collect();
        let node = SocketAddr::new(candidate[4].parse().unwrap(), candidate[5].parse().unwrap());
        self.agent.set_controlling(true);
        self.agent.set_remote_credentials(creds);
        self.agent.add_remote_candidate(Candidate::host(node, Protocol::Udp).unwrap());
        self.client = value("a=setup:") != "active";
        self.node = Some(node);
        self.handle_timeout(now);
    }

    pub fn is_connected(&self) -> bool {
        self.agent.state().is_connected()
    }

    pub fn handle(&mut self, now: Time, to: SocketAddr, datagram: &[u8]) {
        let Some(node) = self.node else { return };
        match datagram.first() {
            Some(0..=3) => {
                let message = StunMessage::parse(datagram).unwrap();
                let packet = StunPacket { proto: Protocol::Udp, source: node, destination: to, message };
                self.agent.handle_packet(instant(now), packet);
            }
            Some(20..=63) => {
                if let Some(dtls) = &mut self.dtls {
                    let _ = dtls.handle_timeout(instant(now));
                    let _ = dtls.handle_packet(datagram);
                }
            }
            _ => {}
        }
        self.drain(now);
    }

    pub fn handle_timeout(&mut self, now: Time) {
        if self.node.is_none() {
            return;
        }
        if self.faults.never_nominates {
            self.check_by_hand(now);
            return;
        }
        self.agent.handle_timeout(instant(now));
        if let Some(dtls) = &mut self.dtls {
            let _ = dtls.handle_timeout(instant(now));
        }
        self.drain(now);
    }

    /// A check every half second without USE-CANDIDATE, which the agent would never do.
    fn check_by_hand(&mut self, now: Time) {
        let (Some(node), Some(theirs)) = (self.node, self.agent.remote_credentials()) else { return };
        let username = format!("{}:{}", theirs.ufrag, self.credentials.ufrag);
        let check = StunMessage::binding_request(&username, TransId::new(), true, 7, 1_000, false);
        let mut datagram = vec![0; 500];
        let hmac = |key: &[u8], payloads: &[&[u8]]| provider().sha1_hmac_provider.sha1_hmac(key, payloads);
        let length = check.to_bytes(Some(theirs.pass.as_bytes()), &mut datagram, hmac).unwrap();
        self.outgoing.push((self.addresses[0], node, datagram[..length].to_vec()));
        self.ice_due = now + Duration::from_millis(500);
    }

    pub fn next_timeout(&self) -> Time {
        self.dtls_due.min(self.ice_due)
    }

    /// `(from, to, datagram)`.
    pub fn poll_send(&mut self) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        (!self.outgoing.is_empty()).then(|| self.outgoing.remove(0))
    }

    fn drain(&mut self, now: Time) {
        while let Some(transmit) = self.agent.poll_transmit() {
            self.outgoing.push((transmit.source, transmit.destination, transmit.contents.into()));
        }
        while let Some(event) = self.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { source, .. } = event {
                self.pair = Some(source);
            }
        }
        self.ice_due = self.agent.poll_timeout().map_or(Time::NEVER, time).max(now + Duration::from_millis(1));
        if self.pair.is_some() && self.dtls.is_none() && !self.faults.no_dtls {
            let mut dtls = provider().dtls_provider.new_dtls(&self.certificate, instant(now), self.version, None).unwrap();
            dtls.set_active(self.client);
            dtls.handle_timeout(instant(now)).unwrap();
            self.dtls = Some(dtls);
        }
        self.drain_dtls(now);
    }

    fn drain_dtls(&mut self, now: Time) {
        let (Some(dtls), Some(node), Some(pair)) = (&mut self.dtls, self.node, self.pair) else { return };
        let mut buffer = vec![0; 20_000];
        loop {
            match dtls.poll_output(&mut buffer) {
                DtlsOutput::Packet(packet) => self.outgoing.push((pair, node, packet.to_vec())),
                DtlsOutput::KeyingMaterial(material, profile) => self.keys = Some(split(&material, profile, self.client)),
                DtlsOutput::Timeout(at) => {
                    self.dtls_due = time(at).max(now + Duration::from_millis(1));
                    return;
                }
                _ => {}
            }
        }
    }
}

/// What the browser sends with, and what it expects.
fn split(material: &[u8], profile: dtls::SrtpProfile, client: bool) -> (SrtpKeys, SrtpKeys) {
    let (profile, key, salt) = match profile {
        dtls::SrtpProfile::AES128_CM_SHA1_80 => (SrtpProfile::Aes128CmSha1_80, 16, 14),
        dtls::SrtpProfile::AEAD_AES_128_GCM => (SrtpProfile::AeadAes128Gcm, 16, 12),
        _ => (SrtpProfile::AeadAes256Gcm, 32, 12),
    };
    let at = |key_at: usize, salt_at: usize| SrtpKeys {
        profile,
        key: material[key_at..key_at + key].to_vec(),
        salt: material[salt_at..salt_at + salt].to_vec(),
    };
    let (of_client, of_server) = (at(0, 2 * key), at(key, 2 * key + salt));
    if client { (of_client, of_server) } else { (of_server, of_client) }
}
