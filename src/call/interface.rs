//! The node's own addresses: one interface for each address family of each realm. A realm is a network that the node stands in; who is
//! spoken to there is told that realm's addresses and no other's. A message belongs to the interface of the listener that it came by;
//! where none is known, to the first one of its peer's family, so that peers on IPv4 and on IPv6 each read addresses they can reach.

use crate::config::{Addresses, Snapshot};
use ringfort_base::{Hop, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Where the node is reached in one realm by one address family.
#[derive(Clone, Debug)]
pub struct Interface {
    /// Name of the realm; empty: the one of `[sip]` and `[media]`.
    pub realm: String,
    /// Listening sockets: their real ports.
    pub listeners: Vec<(Transport, SocketAddr)>,
    /// Address in Via and Contact.
    pub advertised: IpAddr,
    /// Address that media sockets are bound to.
    pub media_bind: IpAddr,
    /// Address in SDP.
    pub media_advertised: IpAddr,
}

impl Interface {
    /// One address for everything.
    pub fn plain(listeners: Vec<(Transport, SocketAddr)>, address: IpAddr) -> Interface {
        let realm = String::new();
        Interface { realm, listeners, advertised: address, media_bind: address, media_advertised: address }
    }

    /// The advertised address as a URI host.
    pub fn host(&self) -> String {
        host(self.advertised)
    }

    fn is_ipv4(&self) -> bool {
        self.advertised.is_ipv4()
    }

    fn has(&self, local: SocketAddr) -> bool {
        self.listeners.iter().any(|(_, listener)| *listener == local)
    }

    /// A listener by which its peers are reached on this transport; any of it where there is none, for a connection that the node opens.
    fn listener(&self, transport: Transport) -> Option<SocketAddr> {
        let own = self.listeners.iter().find(|(own, _)| *own == transport);
        own.or(self.listeners.first()).map(|(_, address)| *address)
    }
}

/// An address as a URI host.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// All interfaces.
#[derive(Clone, Debug)]
pub struct OwnAddresses {
    first: Interface,
    others: Vec<Interface>,
}

/// Listeners of one realm as they were bound.
pub type Listeners = Vec<(Transport, SocketAddr)>;

impl OwnAddresses {
    /// The first interface is that of peers of whom nothing else is known.
    pub fn new(first: Interface, others: Vec<Interface>) -> OwnAddresses {
        OwnAddresses { first, others }
    }

    /// One address for everything.
    pub fn plain(listeners: Listeners, address: IpAddr) -> OwnAddresses {
        OwnAddresses::new(Interface::plain(listeners, address), Vec::new())
    }

    /// As configured: the listeners of `[sip]`, and those of each `[[realm]]` in its order. `default` is the machine's own address of a
    /// family, for listeners on every address where none is advertised.
    pub fn configured(
        snapshot: &Snapshot,
        sip: Listeners,
        realms: Vec<Listeners>,
        default: impl Fn(bool) -> IpAddr,
    ) -> OwnAddresses {
        let (own, media) = (&snapshot.sip, &snapshot.media);
        let mut all =
            Planned { realm: "", advertise: &own.advertise, bind: &media.bind, media: &media.advertise }.of(sip, &default);
        for (realm, listeners) in snapshot.realms.iter().zip(realms) {
            let planned = Planned {
                realm: &realm.name,
                advertise: &realm.advertise,
                bind: &realm.media_bind,
                media: &realm.media_advertise,
            };
            all.extend(planned.of(listeners, &default));
        }
        let mut all = all.into_iter();
        let first = all.next().unwrap_or_else(|| Interface::plain(Vec::new(), default(true)));
        OwnAddresses::new(first, all.collect())
    }

    /// All of them, the first one first.
    pub fn all(&self) -> impl Iterator<Item = &Interface> + Clone {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The interface by which this peer is spoken to.
    pub fn at(&self, hop: &Hop) -> &Interface {
        let v4 = hop.remote.ip().to_canonical().is_ipv4();
        let of_family = || self.all().filter(move |interface| interface.is_ipv4() == v4);
        let local = hop.local.filter(|local| local.is_ipv4() == hop.remote.is_ipv4());
        let by_listener = local.and_then(|local| of_family().find(|interface| interface.has(local)));
        let same_ip =
            |local: SocketAddr| of_family().find(|interface| interface.listeners.iter().any(|(_, own)| own.ip() == local.ip()));
        let by_address = || local.filter(|local| !local.ip().is_unspecified()).and_then(same_ip);
        by_listener.or_else(by_address).or_else(|| of_family().next()).unwrap_or(&self.first)
    }

    /// The interface of the same realm for audio of another family, where the peer's description says that it has its audio there.
    pub fn for_media(&self, hop: &Hop, family: Option<IpAddr>) -> &Interface {
        let at = self.at(hop);
        let fits = |other: &&Interface| family.is_some_and(|address| address.is_ipv4() == other.is_ipv4());
        Some(at).filter(fits).or_else(|| self.all().filter(|other| other.realm == at.realm).find(fits)).unwrap_or(at)
    }

    /// The hop to an address of a peer that belongs to this realm. `None`: the realm has no address of its family.
    pub fn hop(&self, realm: Option<&str>, transport: Transport, remote: SocketAddr) -> Option<Hop> {
        let Some(realm) = realm else { return Some(Hop::to(transport, remote)) };
        let interface = self.all().find(|own| own.realm == realm && own.is_ipv4() == remote.is_ipv4())?;
        Some(Hop { local: interface.listener(transport), ..Hop::to(transport, remote) })
    }

    /// The same peer by another transport, out of the same realm.
    pub fn other_transport(&self, hop: &Hop, transport: Transport) -> Hop {
        let at = self.at(hop);
        let local = at.listener(transport).filter(|_| !at.realm.is_empty());
        Hop { transport, local, flow: None, ..*hop }
    }

    /// Whether a message that came by this hop came by a listener of the realm; with one realm there is nothing to tell apart.
    pub fn is_of_realm(&self, hop: &Hop, realm: Option<&str>) -> bool {
        self.others.iter().all(|other| other.realm.is_empty()) || self.at(hop).realm == realm.unwrap_or_default()
    }

    /// Address for Via and Contact towards a peer. WebSocket peers reach the node only by the connection they opened, so any address
    /// does for them (RFC 7118 5).
    pub fn address(&self, hop: &Hop) -> SocketAddr {
        let at = self.at(hop);
        let port = at.listeners.iter().find(|(t, _)| *t == hop.transport).map(|(_, a)| a.port());
        let default = if hop.transport.is_secure() { 5061 } else { 5060 };
        SocketAddr::new(at.advertised, port.unwrap_or(default))
    }

    /// The same as text, `host:port`.
    pub fn sent_by(&self, hop: &Hop) -> String {
        self.address(hop).to_string()
    }

    /// What the node calls itself in Warning (RFC 3261 20.43): its address where it has one realm; an address of one realm is not told
    /// in another.
    pub fn agent(&self) -> String {
        let one = self.others.iter().all(|other| other.realm.is_empty());
        if one { self.first.host() } else { crate::PRODUCT.to_string() }
    }

    /// The interface of peers of whom nothing else is known.
    pub fn first(&self) -> &Interface {
        &self.first
    }
}

/// What a realm says of its addresses.
struct Planned<'a> {
    realm: &'a str,
    advertise: &'a Addresses,
    bind: &'a Addresses,
    media: &'a Addresses,
}

impl Planned<'_> {
    /// An interface for each family that it listens on, that of its first listener first.
    fn of(&self, listeners: Listeners, default: &impl Fn(bool) -> IpAddr) -> Vec<Interface> {
        let first = listeners.first().is_none_or(|(_, address)| address.is_ipv4());
        let interface = |v4: bool| {
            let listeners: Listeners = listeners.iter().copied().filter(|(_, address)| address.is_ipv4() == v4).collect();
            let (_, some) = *listeners.first()?;
            let one = listeners.iter().all(|(_, address)| address.ip() == some.ip()) && !some.ip().is_unspecified();
            let advertised = self.advertise.of(v4).or(one.then(|| some.ip())).unwrap_or_else(|| default(v4));
            let media_advertised = self.media.of(v4).unwrap_or(advertised);
            let media_bind = self.bind.of(v4).unwrap_or(media_advertised);
            Some(Interface { realm: self.realm.to_string(), listeners, advertised, media_bind, media_advertised })
        };
        [first, !first].into_iter().filter_map(interface).collect()
    }
}

/// Loopback of a family.
pub fn loopback(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(text: &str) -> OwnAddresses {
        let snapshot = Snapshot::load("t", text, &mut |_| None).expect("sound");
        let bound = |listen: &[crate::config::ListenAddress]| listen.iter().map(|own| (own.transport, own.address)).collect();
        let realms = snapshot.realms.iter().map(|realm| bound(&realm.listen)).collect();
        let default =
            |v4: bool| if v4 { Ipv4Addr::new(192, 0, 2, 1).into() } else { IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]) };
        OwnAddresses::configured(&snapshot, bound(&snapshot.sip.listen), realms, default)
    }

    fn hop(transport: Transport, remote: &str, local: Option<&str>) -> Hop {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        Hop { local: local.map(address), ..Hop::to(transport, address(remote)) }
    }

    #[test]
    fn listeners_on_every_address_advertise_what_is_said_or_the_machines_own() {
        let both = own("[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"udp:[::]:5062\"]\n");
        assert_eq!(both.sent_by(&hop(Transport::Udp, "198.51.100.1:5060", None)), "192.0.2.1:5060");
        assert_eq!(both.sent_by(&hop(Transport::Udp, "[2001:db8:9::1]:5060", None)), "[2001:db8::1]:5062");
        let said =
            own("[sip]\nlisten = [\"udp:0.0.0.0:5060\", \"udp:[::]:5060\"]\nadvertise = [\"203.0.113.1\", \"2001:db8::7\"]\n\
            [media]\nbind = \"10.0.0.1\"\n");
        let hosts: Vec<(String, String)> = said.all().map(|own| (own.host(), own.media_bind.to_string())).collect();
        assert_eq!(hosts, [("203.0.113.1".into(), "10.0.0.1".into()), ("[2001:db8::7]".into(), "2001:db8::7".into())]);
        assert!(said.agent() == "203.0.113.1" && said.is_of_realm(&hop(Transport::Udp, "[::2]:1", None), None));
    }

    #[test]
    fn a_message_belongs_to_the_realm_of_its_listener() {
        let text = "[sip]\nlisten = [\"udp:0.0.0.0:5060\"]\n[[realm]]\nname = \"a\"\n\
            listen = [\"udp:198.51.100.1:5060\", \"tls:198.51.100.1:5061\", \"udp:[2001:db8::1]:5060\"]\n";
        let own = own(text);
        let realm = |local| own.at(&hop(Transport::Udp, "203.0.113.9:5060", local)).realm.clone();
        for (local, name) in [
            (Some("198.51.100.1:5060"), "a"),
            // A connection that the node opened: another port of the same address.
            (Some("198.51.100.1:40000"), "a"),
            (Some("0.0.0.0:5060"), ""),
            (Some("0.0.0.0:9"), ""),
            (None, ""),
            // A socket of the other family cannot have sent it.
            (Some("[2001:db8::1]:5060"), ""),
        ] {
            assert_eq!(realm(local), name, "{local:?}");
        }
        let to = |transport, remote: &str| own.hop(Some("a"), transport, remote.parse().expect("an address"));
        let local = |transport, remote| to(transport, remote).and_then(|hop| hop.local).map(|local| local.to_string());
        assert_eq!(local(Transport::Tls, "203.0.113.9:5061").as_deref(), Some("198.51.100.1:5061"));
        assert_eq!(local(Transport::Tcp, "203.0.113.9:5060").as_deref(), Some("198.51.100.1:5060"), "any of the realm");
        assert_eq!(local(Transport::Udp, "[2001:db8:9::1]:5060").as_deref(), Some("[2001:db8::1]:5060"));
        assert_eq!(own.hop(Some("b"), Transport::Udp, "203.0.113.9:5060".parse().expect("an address")), None);
        assert_eq!(own.agent(), "Ringfort", "no address of one realm is told in another");
    }
}
