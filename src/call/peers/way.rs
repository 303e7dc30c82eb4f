//! How a peer is named and reached beyond its servers: its outbound proxy, what its registrar asked for, and where its calls come from.

use crate::config::{CloudSection, Network, RecorderSection, TrunkSection};
use ringfort_base::{Hop, Transport};
use ringfort_sip::message::NameAddr;
use ringfort_sip::uri::Uri;
use std::net::IpAddr;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Way {
    /// What it is called in requests to itself.
    pub(super) uri: Uri,
    proxy: Option<String>,
    sources: Vec<Network>,
    /// Route values that the registrar gave (RFC 3608).
    service: Vec<String>,
    /// The server that holds the registration, with the connection.
    registered: Option<Hop>,
}

impl Way {
    pub(super) fn of_cloud(cloud: &CloudSection) -> Way {
        let uri = Uri::sip(None, cloud.address.uri_host(), cloud.address.port);
        Way { uri, proxy: None, sources: Vec::new(), service: Vec::new(), registered: None }
    }

    pub(super) fn of_trunk(trunk: &TrunkSection) -> Way {
        let (host, port) = trunk.named();
        let (proxy, sources) = (trunk.proxy_route(), trunk.sources.clone());
        Way { uri: Uri::sip(None, host, port), proxy, sources, service: Vec::new(), registered: None }
    }

    pub(super) fn of_recorder(recorder: &RecorderSection) -> Way {
        Way { uri: recorder.uri(), proxy: None, sources: Vec::new(), service: Vec::new(), registered: None }
    }

    /// Takes another configuration over; what the registrar said stays.
    pub(super) fn follow(&mut self, new: Way) {
        let old = std::mem::replace(self, new);
        (self.service, self.registered) = (old.service, old.registered);
    }

    /// Route values of requests that found no dialog of their own: OPTIONS, REGISTER.
    pub fn proxy(&self) -> &[String] {
        self.proxy.as_slice()
    }

    /// Route values of requests that found dialogs (RFC 3608 5): the outbound proxy, then what the registrar gave. A registrar that
    /// names the proxy itself does not have it twice.
    pub fn routes(&self) -> Vec<String> {
        let named = |route: &String| NameAddr::parse(route).ok().and_then(|address| Uri::parse(address.uri).ok());
        let place = |route: &String| named(route).map(|uri| (uri.host.to_string().to_ascii_lowercase(), uri.port));
        let twice = |proxy: &&String| self.service.first().is_some_and(|first| place(first) == place(proxy));
        self.proxy.iter().filter(|proxy| !twice(proxy)).chain(&self.service).cloned().collect()
    }

    /// A registration is held by the server at this hop, which wants these routes to be taken.
    pub(super) fn registered(&mut self, hop: Option<Hop>, service: Vec<String>) {
        (self.registered, self.service) = (hop, service);
    }

    /// Whether somebody there registered the node: the server, or the connection to it.
    pub(super) fn is_registered_at(&self, hop: &Hop) -> bool {
        self.registered.is_some_and(|known| known.same_peer(hop) && (hop.transport == Transport::Udp || known.flow == hop.flow))
    }

    /// Whether its calls may come from this address.
    pub(super) fn is_source(&self, address: IpAddr) -> bool {
        self.sources.iter().any(|network| network.contains(address))
    }
}
