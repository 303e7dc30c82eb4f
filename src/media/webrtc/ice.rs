//! ICE-lite (RFC 8445 2.5) for one leg: one host candidate, which only answers the browser's checks.

use super::provider;
use crate::clock;
use ringfort_base::{Entropy, Time};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use str0m::Candidate;
use str0m::ice::{IceAgent, IceCreds, StunMessage, StunPacket};
use str0m::net::Protocol;

use ringfort_base::limits::ICE_SOURCES_MAX as SOURCES_MAX;

/// User name fragment and password (RFC 8445 5.3).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceCredentials {
    /// `a=ice-ufrag`.
    pub ufrag: String,
    /// `a=ice-pwd`.
    pub pwd: String,
}

impl IceCredentials {
    /// Fresh ones: 40 and 160 bits of randomness, where RFC 8445 5.3 asks for 24 and 128.
    pub fn generate(entropy: &mut dyn Entropy) -> IceCredentials {
        IceCredentials { ufrag: entropy.token(8), pwd: entropy.token(32) }
    }
}

impl From<&IceCredentials> for IceCreds {
    fn from(credentials: &IceCredentials) -> IceCreds {
        IceCreds { ufrag: credentials.ufrag.clone(), pass: credentials.pwd.clone() }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IceCredentials")
    }
}

/// The agent of one leg. Feed it with [`IceLite::handle`] and [`IceLite::handle_timeout`], then drain [`IceLite::poll_send`] and
/// [`IceLite::poll_nominated`].
#[derive(Debug)]
pub(super) struct IceLite {
    agent: IceAgent,
    local: SocketAddr,
    sources: Vec<SocketAddr>,
    /// Where the peer's latest nomination came from, until it is taken.
    nominated: Option<SocketAddr>,
    last_check: Option<Time>,
}

impl IceLite {
    /// `None` when `local` cannot be a host candidate: unspecified, multicast or link-local.
    ///
    /// The peer's own candidates are not given to the agent: ICE-lite sends no checks, and learns the peer's addresses from the
    /// checks that arrive (RFC 8445 7.3.1.3). So nothing in a description can direct a datagram anywhere.
    pub fn new(local: SocketAddr, ours: &IceCredentials, theirs: &IceCredentials) -> Option<IceLite> {
        let mut agent = IceAgent::with_hmac(ours.into(), provider().sha1_hmac_provider);
        agent.set_ice_lite(true);
        agent.set_controlling(false);
        // A full agent must control where the other is lite (RFC 8445 6.1.1), so a peer that claims to be controlled is put right
        // with 487 every time. A random value would now and then make the node nominate a pair without ever checking it.
        agent.set_control_tie_breaker(u64::MAX);
        agent.set_remote_credentials(theirs.into());
        agent.add_local_candidate(Candidate::host(local, Protocol::Udp).ok()?)?;
        Some(IceLite { agent, local, sources: Vec::new(), nominated: None, last_check: None })
    }

    /// Takes a STUN datagram. Whatever is not an authentic check for this leg is dropped (RFC 8445 7.3).
    pub fn handle(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) {
        if !self.is_known(from) && self.sources.len() >= SOURCES_MAX {
            return;
        }
        let Ok(message) = StunMessage::parse(datagram) else { return };
        let nominates = message.use_candidate() && message.ice_controlling().is_some();
        let packet = StunPacket { proto: Protocol::Udp, source: from, destination: self.local, message };
        if self.agent.handle_packet(clock::instant(now), packet) {
            self.last_check = Some(now);
            if nominates {
                self.nominated = Some(from);
            }
            if !self.is_known(from) {
                self.sources.push(from);
            }
            // Nomination is evaluated by the agent's clock, not by its input.
            self.agent.handle_timeout(clock::instant(now));
        }
    }

    /// Whether an authentic check came from there, so that DTLS may (RFC 8842 5.1: over the ICE pair only).
    pub fn is_known(&self, source: SocketAddr) -> bool {
        self.sources.contains(&source)
    }

    /// When the last authentic check arrived.
    pub fn last_check(&self) -> Option<Time> {
        self.last_check
    }

    pub fn handle_timeout(&mut self, now: Time) {
        self.agent.handle_timeout(clock::instant(now));
    }

    pub fn next_timeout(&mut self) -> Time {
        self.agent.poll_timeout().map_or(Time::ZERO, clock::time)
    }

    /// The next datagram to send.
    pub fn poll_send(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        let transmit = self.agent.poll_transmit()?;
        Some((transmit.destination, transmit.contents.into()))
    }

    /// The peer's address of the pair that it nominated last. The agent itself would keep to the pair of the highest priority (RFC 8445
    /// 8.1.1), but a browser with several addresses moves to the one that works best, and its audio comes from there alone.
    pub fn poll_nominated(&mut self) -> Option<SocketAddr> {
        while self.agent.poll_event().is_some() {}
        self.nominated.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_millis(1);

    fn agent(pwd: &str) -> IceLite {
        let ours = IceCredentials { ufrag: "evtj".to_owned(), pwd: pwd.to_owned() };
        let theirs = IceCredentials { ufrag: "h6vY".to_owned(), pwd: "x".repeat(22) };
        IceLite::new("192.0.2.1:3478".parse().unwrap(), &ours, &theirs).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 5769 2.1.
    fn request() -> Vec<u8> {
        hex(concat!(
            "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1",
            "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
        ))
    }

    fn is_signed(datagram: &[u8], key: &[u8]) -> bool {
        StunMessage::parse(datagram).unwrap().verify(key, |key, parts| provider().sha1_hmac_provider.sha1_hmac(key, parts))
    }

    /// RFC 5769 2.2 to 2.4: what the engine reads of them, and that it counts as no check.
    #[test]
    fn the_other_samples_are_read() {
        let response = "2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220";
        let password = "VOkJxbRl1RmTxUk/WvJxBt";
        let ipv4 = hex(&format!(
            "0101003c{response}002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
        ));
        let ipv6 = hex(&format!(
            "01010048{response}002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41\
             80280004c8fb0b4c"
        ));
        let long_term = hex(concat!(
            "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b39",
            "353464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a2",
            "8ca89666"
        ));
        for (datagram, mapped) in [(&ipv4, "192.0.2.1:32853"), (&ipv6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
            assert_eq!(StunMessage::parse(datagram).unwrap().mapped_address(), mapped.parse().ok());
            assert!(is_signed(datagram, password.as_bytes()) && !is_signed(datagram, b"another"));
        }
        assert!(StunMessage::parse(&long_term).is_err(), "a name of the long-term mechanism is none of ICE");
        let mut ice = agent(password);
        for datagram in [&ipv4, &ipv6, &long_term] {
            ice.handle(NOW, "192.0.2.9:40000".parse().unwrap(), datagram);
            assert!(ice.poll_send().is_none() && ice.last_check().is_none());
        }
    }

    /// RFC 5769 2.1. Its sender claims to be controlled, so the authentic answer is 487 (RFC 8445 7.3.1.1).
    #[test]
    fn the_sample_request_is_authentic() {
        let request = request();
        let from = "192.0.2.9:40000".parse().unwrap();
        let mut ice = agent("VOkJxbRl1RmTxUk/WvJxBt");
        ice.handle(NOW, from, &request);
        let (to, answer) = ice.poll_send().unwrap();
        assert_eq!((to, ice.is_known(from), ice.last_check()), (from, true, Some(NOW)));
        assert_eq!(StunMessage::parse(&answer).unwrap().error_code().map(|(code, _)| code), Some(487));
        assert_eq!(ice.poll_nominated(), None);
    }

    #[test]
    fn another_password_or_a_changed_octet_is_not() {
        let mut request = request();
        let from = "192.0.2.9:40000".parse().unwrap();
        let mut ice = agent("VOkJxbRl1RmTxUk/WvJxBu");
        ice.handle(NOW, from, &request);
        request[30] ^= 1;
        let mut other = agent("VOkJxbRl1RmTxUk/WvJxBt");
        other.handle(NOW, from, &request);
        for ice in [&mut ice, &mut other] {
            assert!(ice.poll_send().is_none() && !ice.is_known(from) && ice.last_check().is_none());
        }
    }

    #[test]
    fn sources_are_bounded() {
        let request = request();
        let mut ice = agent("VOkJxbRl1RmTxUk/WvJxBt");
        for port in 0..2 * SOURCES_MAX as u16 {
            ice.handle(NOW, SocketAddr::from(([192, 0, 2, 9], 1000 + port)), &request);
        }
        assert_eq!(ice.sources.len(), SOURCES_MAX);
    }

    #[test]
    fn a_candidate_needs_a_usable_address() {
        let credentials = IceCredentials { ufrag: "evtj".to_owned(), pwd: "x".repeat(22) };
        for (local, usable) in
            [("127.0.0.1:9", true), ("[::1]:9", true), ("10.0.0.1:9", true), ("0.0.0.0:9", false), ("224.0.0.1:9", false)]
        {
            assert_eq!(IceLite::new(local.parse().unwrap(), &credentials, &credentials).is_some(), usable, "{local}");
        }
    }
}
