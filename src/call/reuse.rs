//! Connections that a peer opened and offers for requests in the other direction, too (RFC 5923): it says `alias` in its Via, and its
//! certificate names a configured peer. Over plain TCP nobody can be told from somebody else at the same address, so there it is not
//! done. In its own requests over TCP and TLS the node offers the same: behind a firewall that lets connections out and none in, the
//! cloud reaches it by no other way.

use ringfort_base::{FlowId, Hop, Transport};
use ringfort_sip::message::Message;
use std::collections::HashMap;
use std::net::SocketAddr;

/// Port of SIP over TLS where Via names none (RFC 3261 18.1.1).
const TLS_PORT: u16 = 5061;

/// Connections by the address that their peers serve. Each has one entry at most, so their number bounds the table.
#[derive(Default)]
pub struct Reuse(HashMap<SocketAddr, FlowId>);

impl Reuse {
    /// A request of a peer that its certificate named.
    pub(crate) fn offered(&mut self, hop: &Hop, request: &Message) {
        let Some((flow, via)) = hop.flow.zip(request.top_via().ok()) else { return };
        if hop.transport != Transport::Tls || !request.is_request() || !via.params.has("alias") {
            return;
        }
        let serves = SocketAddr::new(hop.remote.ip(), via.port.unwrap_or(TLS_PORT));
        if self.0.get(&serves) != Some(&flow) {
            self.closed(flow);
            self.0.insert(serves, flow);
        }
    }

    /// A connection ended.
    pub(crate) fn closed(&mut self, flow: FlowId) {
        self.0.retain(|_, of| *of != flow);
    }

    /// The hop by a connection that is there already, or as it is.
    pub(crate) fn by(&self, hop: Hop) -> Hop {
        match self.0.get(&hop.remote) {
            Some(flow) if hop.flow.is_none() && hop.transport == Transport::Tls => Hop { flow: Some(*flow), ..hop },
            _ => hop,
        }
    }
}
