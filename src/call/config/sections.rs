//! Sections that stand alone: node, signalling, page, names, audio, emergency, services.

use super::{Addresses, Redirect, TargetName, Zone};
use ringfort_base::{Transport, limits};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// `[node]`: who the node is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// Name on the page and in events.
    pub name: String,
    /// SIP domain of the accounts, and the digest realm.
    pub domain: String,
    /// Disk: certificates, administrators, call records.
    pub state_dir: PathBuf,
    /// RAM: the journal that a restart reads.
    pub run_dir: PathBuf,
    /// Time zone of routes' `when`, by its IANA name.
    pub time_zone: Zone,
}

impl Default for NodeSection {
    fn default() -> Self {
        NodeSection {
            name: "ringfort".into(),
            domain: "ringfort.local".into(),
            state_dir: "/var/lib/ringfort".into(),
            run_dir: "/run/ringfort".into(),
            time_zone: Zone::default(),
        }
    }
}

/// `[sip]`: listeners and the address that peers are told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SipSection {
    /// `transport:address:port` each. Port 0 asks the system for one.
    pub listen: Vec<ListenAddress>,
    /// Addresses in Via and Contact; absent: that of the listeners, or the address of the interface with the default route.
    pub advertise: Addresses,
    /// Shortest registration granted, seconds.
    pub expires_min_s: u32,
    /// Longest registration granted, seconds.
    pub expires_max_s: u32,
    /// How long a digest nonce is good, seconds.
    pub nonce_s: u32,
    /// T1 of RFC 3261 17.1.1.1, milliseconds.
    pub t1_ms: u32,
    /// URIs that registered devices are to put into Route of what they send (RFC 3608).
    pub service_route: Vec<String>,
    /// Session-Expires that the node asks for and grants at most, seconds (RFC 4028); 0: it asks for none.
    pub session_expires_s: u32,
    /// Shortest session that the node takes, seconds.
    pub session_min_s: u32,
    /// To whom large requests go by TCP although UDP is configured.
    pub large_by_tcp: LargeByTcp,
    /// A target that said 100 and nothing else for so long is given up for the next one, milliseconds.
    pub progress_timeout_ms: u32,
    /// How long devices ring before those of a lower preference (`q`) have their turn, seconds.
    pub serial_ring_s: u32,
    /// What is done with a device's 3xx.
    pub device_redirect: Redirect,
    /// Differentiated services code point of signalling, 0 to 63 (RFC 4594 4.2: 40, CS5).
    pub dscp: u8,
}

impl Default for SipSection {
    fn default() -> Self {
        let any = |transport, port| ListenAddress { transport, address: (Ipv4Addr::UNSPECIFIED, port).into() };
        SipSection {
            listen: vec![any(Transport::Udp, 5060), any(Transport::Tcp, 5060), any(Transport::Tls, 5061)],
            advertise: Addresses::default(),
            expires_min_s: 60,
            expires_max_s: 600,
            nonce_s: 300,
            t1_ms: 500,
            service_route: Vec::new(),
            session_expires_s: 1_800,
            session_min_s: 90,
            large_by_tcp: LargeByTcp::Peers,
            progress_timeout_ms: 12_000,
            serial_ring_s: 15,
            device_redirect: Redirect::Follow,
            dscp: 40,
        }
    }
}

/// To whom requests above 1,300 octets go by TCP although UDP is configured (RFC 3261 18.1.1). Who takes no TCP gets them by UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LargeByTcp {
    /// Nobody.
    None,
    /// Cloud and trunks.
    #[default]
    Peers,
    /// Devices as well.
    All,
}

/// One listener, written `udp:0.0.0.0:5060`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Transport.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let (transport, address) =
            text.split_once(':').ok_or_else(|| de::Error::custom("a listener is `transport:address:port`"))?;
        let transport = Transport::from_token(transport)
            .ok_or_else(|| de::Error::custom(format!("`{transport}` is not udp, tcp, tls, ws or wss")))?;
        let address = address.parse().map_err(|_| de::Error::custom(format!("`{address}` is not address:port")))?;
        Ok(ListenAddress { transport, address })
    }
}

/// `[web]`: the page, the API, and SIP over WebSocket for browsers on the same port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebSection {
    /// Address and port of HTTPS.
    pub listen: SocketAddr,
    /// PEM file of a certificate chain; absent: a self-signed one is made at first start.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
}

impl Default for WebSection {
    fn default() -> Self {
        WebSection { listen: (Ipv4Addr::UNSPECIFIED, 8443).into(), certificate: None, key: None }
    }
}

/// `[tls]`: SIP over TLS, both ways. Absent certificate and key: those of `[web]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsSection {
    /// PEM file of a certificate chain; shown to who connects, and to whom the node connects.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// PEM file of the roots that peers' certificates are checked against; absent: the system's.
    pub ca: Option<PathBuf>,
    /// Whether who connects must show a certificate.
    pub client_auth: ClientAuth,
}

/// Whether who connects by SIP over TLS must show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Nobody is asked for one.
    #[default]
    None,
    /// Who has one shows it; a wrong one is refused.
    Request,
    /// Nobody connects without one.
    Require,
}

/// What may carry audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaTier {
    /// The kernel by itself where nothing but addresses changes and the system permits it, sockets where not.
    #[default]
    Auto,
    /// Sockets only.
    Sockets,
}

/// `[media]`: addresses and ports of audio.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaSection {
    /// Address that sockets are bound to; absent: as advertised.
    pub bind: Addresses,
    /// Address in SDP; absent: as `sip.advertise`.
    pub advertise: Addresses,
    /// First port; RTP takes the even, RTCP the odd ones.
    pub port_first: u16,
    /// Last port.
    pub port_last: u16,
    /// The one port of all browsers; 0: each has a port of its own; absent: the first of the range.
    pub webrtc_port: Option<u16>,
    /// Relay workers; 0: one a core.
    pub workers: usize,
    /// Differentiated services code point of audio that is sent, 0 to 63 (RFC 4594 4.1).
    pub dscp: u8,
    /// And of video.
    pub dscp_video: u8,
    /// How long packets gather where a relay worker has many of them, microseconds; 0: never.
    pub gather_us: u32,
    /// Relay workers go before all threads that are not of a real-time class.
    pub realtime: bool,
    /// What may carry audio.
    pub tier: MediaTier,
    /// Interfaces whose frames for the node's media ports are read past the kernel's sockets (AF_XDP), by name.
    pub af_xdp: Vec<String>,
    /// Whether the node brings together sides that share no codec.
    pub transcode: bool,
}

impl Default for MediaSection {
    fn default() -> Self {
        MediaSection {
            bind: Addresses::default(),
            advertise: Addresses::default(),
            port_first: 20_000,
            port_last: 29_999,
            webrtc_port: None,
            workers: 0,
            dscp: 46,
            dscp_video: 34,
            gather_us: limits::RELAY_GATHER_US,
            realtime: false,
            tier: MediaTier::Auto,
            af_xdp: Vec::new(),
            transcode: true,
        }
    }
}

impl MediaSection {
    /// The port that all browsers share. `None`: each has its own.
    pub fn shared_port(&self) -> Option<u16> {
        self.webrtc_port.or(Some(self.port_first.next_multiple_of(2))).filter(|port| *port != 0)
    }
}

/// `[emergency]`: numbers that go before all else and are never refused for a limit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmergencySection {
    /// Numbers as dialled.
    pub numbers: Vec<String>,
    /// Where they go, in order.
    pub to: Vec<TargetName>,
}

/// `[services]`: what the node answers itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServicesSection {
    /// Number of the echo service; empty: none.
    pub echo: String,
    /// Conferences: the number of a room is this and one to eight digits. Empty: none.
    pub conference: String,
    /// Sound that a party hears while the other one holds; empty: what the other one sends.
    pub music_on_hold: String,
    /// Country whose tones callers hear, by ISO 3166-1's two letters; empty: 425 Hz, as ITU-T E.180 recommends.
    pub tones: String,
}

impl Default for ServicesSection {
    fn default() -> Self {
        ServicesSection { echo: "*43".into(), conference: String::new(), music_on_hold: String::new(), tones: String::new() }
    }
}

impl ServicesSection {
    /// The room that this number leads to.
    pub fn room<'a>(&self, dialled: &'a str) -> Option<&'a str> {
        let room = dialled.strip_prefix(self.conference.as_str()).filter(|_| !self.conference.is_empty())?;
        let fits = (1..=8).contains(&room.len()) && room.bytes().all(|digit| digit.is_ascii_digit());
        fits.then_some(room)
    }
}

/// `[[sound]]`: a WAV file that callers may hear.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundSection {
    /// Name by which other keys know it.
    pub name: String,
    /// The file; a relative path begins beside the configuration.
    pub file: PathBuf,
}

/// `[dns]`: how names of peers are looked up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsSection {
    /// Name servers, `address` or `address:port`; empty: those of the system.
    #[serde(default)]
    pub servers: Vec<NameServer>,
    /// Names that are not asked for: their addresses stand here.
    #[serde(default)]
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
}

/// A name server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

impl<'de> Deserialize<'de> for NameServer {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let bare = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        text.parse()
            .or_else(|_| bare())
            .map(NameServer)
            .map_err(|_| de::Error::custom(format!("`{text}` is no address of a name server")))
    }
}
