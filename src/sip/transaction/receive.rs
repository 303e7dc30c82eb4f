//! What arrives, up to the event it is for a transaction: RFC 3261 17.1.3, 17.2.3, 9.2, 18.

use super::engine::Input;
use super::server::{self, Server};
use super::store::{Side, Transaction};
use super::table::{Event, Machine, State};
use super::{RETRY_AFTER_S, Step, TransactionId, Transactions};
use crate::message::{Builder, HeaderName, Message, Method};
use ringfort_base::{FlowId, Hop, Time};
use std::fmt::Write;

impl Transactions {
    pub(super) fn receive_request(&mut self, now: Time, hop: Hop, request: Message) {
        let method = request.method();
        let Ok(key) = self.keyring.server(&request, &method) else {
            self.counters.unusable += 1;
            return;
        };
        let known = self.store.by_key(key);
        match (known, method) {
            (Some(invite), Method::Ack) => self.receive_ack(now, invite, hop, request),
            (None, Method::Ack) => self.push(Step::Ack { hop, message: request }),
            (Some(id), _) => self.repeated(now, id, hop),
            (None, Method::Cancel) => self.receive_cancel(now, hop, request),
            (None, Method::Invite) => drop(self.begin_server(now, Machine::InviteServer, hop, request)),
            (None, _) => drop(self.begin_server(now, Machine::Server, hop, request)),
        }
    }

    /// Whether this request came before and its transaction is alive: it has the answer that the first one has.
    pub fn is_repeat(&mut self, request: &Message) -> bool {
        let key = self.keyring.server(request, &request.method());
        key.is_ok_and(|key| self.store.by_key(key).is_some())
    }

    /// A new server transaction for a request whose key was built last. `None` when there is no room for it.
    fn begin_server(&mut self, now: Time, machine: Machine, hop: Hop, request: Message) -> Option<TransactionId> {
        let request = request.received_from(hop.remote);
        // A CANCEL that came this far belongs to an INVITE that is alive; there is room for one each.
        let internal = request.method() == Method::Cancel;
        if !internal && self.is_full() {
            self.counters.refused_full += 1;
            self.refuse(hop, &request, 503, &[(HeaderName::RetryAfter, RETRY_AFTER_S.to_string())]);
            return None;
        }
        let via = request.top_via().ok()?;
        let reply_port = via.port.unwrap_or_else(|| super::key::default_port(via.transport));
        let server = Server { reply_port, ..Server::default() };
        let to = server::reply_hop(hop, &via);
        // The Via is now another one, so a legacy key would be too: the key is that of the request as it came.
        let id = self.store.insert(self.keyring.last(), Transaction::new(machine, to, internal, Side::Server(server)));
        self.counters.begun[machine as usize] += 1;
        self.apply(now, id, Event::Begin, Input::Received(hop, request));
        Some(id)
    }

    /// Answers without a transaction (RFC 3261 8.2.7): the tag follows from the request, so every repeat has the same answer.
    pub(super) fn refuse(&mut self, hop: Hop, request: &Message, status: u16, headers: &[(HeaderName, String)]) {
        let Ok(via) = request.top_via() else { return };
        let hop = server::reply_hop(hop, &via);
        let tag = self.tag(via.raw.as_bytes());
        let reply = Builder::reply(request, status, None, Some(&tag));
        let octets = headers.iter().fold(reply, |reply, (name, value)| reply.header(*name, value)).build();
        self.push(Step::Send { hop, octets });
    }

    /// A tag that only this node can make of `octets`, and makes of them every time.
    fn tag(&self, octets: &[u8]) -> String {
        let mut tag = String::with_capacity(16);
        // Writing to a String cannot fail.
        let _ = write!(tag, "{:016x}", self.store.digest(octets));
        tag
    }

    /// The request came again. When the peer opened a new connection the answers follow it, but never to another host: who knows a
    /// branch could otherwise have them sent to himself.
    fn repeated(&mut self, now: Time, id: TransactionId, hop: Hop) {
        self.counters.absorbed += 1;
        if let Some(transaction) = self.store.find_mut(id) {
            let before = transaction.hop;
            let same_host = before.transport == hop.transport && before.remote.ip() == hop.remote.ip();
            let moved = before.flow != hop.flow && hop.transport.is_reliable();
            if let Some(server) = transaction.server().filter(|_| same_host && moved) {
                server.unreachable = false;
                self.store.reroute(id, hop);
            }
        }
        self.apply(now, id, Event::Repeat, Input::Nothing);
    }

    /// An ACK whose branch, or RFC 2543 fields, are those of an INVITE.
    fn receive_ack(&mut self, now: Time, invite: TransactionId, hop: Hop, ack: Message) {
        if !self.acks_response(invite, &ack) {
            self.push(Step::Ack { hop, message: ack });
        } else if !self.apply(now, invite, Event::Ack, Input::Received(hop, ack)) {
            self.counters.absorbed += 1;
        }
    }

    /// An RFC 2543 peer's ACK must bear the To tag of the response (RFC 3261 17.2.3); a branch with the cookie is proof enough.
    fn acks_response(&mut self, invite: TransactionId, ack: &Message) -> bool {
        if super::key::is_modern(ack) {
            return true;
        }
        let tag = self.response_tag(invite);
        ack.to().is_ok_and(|to| to.tag() == tag.as_deref())
    }

    /// The To tag of the last response to an INVITE.
    fn response_tag(&mut self, invite: TransactionId) -> Option<String> {
        let octets = self.store.find_mut(invite)?.server()?.response.clone();
        Message::parse(octets).ok()?.to().ok()?.tag().map(str::to_owned)
    }

    /// RFC 3261 9.2: 481 when it cancels nothing, else 200, and the TU hears of it while the INVITE has no final response. Only
    /// an INVITE can be cancelled: other methods are answered at once (9.1).
    fn receive_cancel(&mut self, now: Time, hop: Hop, cancel: Message) {
        let invite = self.keyring.server(&cancel, &Method::Invite).ok().and_then(|key| self.store.by_key(key));
        let Some(invite) = invite else {
            self.counters.cancels_unmatched += 1;
            let cancel = cancel.received_from(hop.remote);
            return self.refuse(hop, &cancel, 481, &[]);
        };
        // The key of the CANCEL itself again, for its own transaction.
        if self.keyring.server(&cancel, &Method::Cancel).is_err() {
            return;
        }
        let Some(id) = self.begin_server(now, Machine::Server, hop, cancel.clone()) else { return };
        let cancel = cancel.received_from(hop.remote);
        let tag = self.response_tag(invite).unwrap_or_else(|| self.tag(cancel.octets()));
        // A fresh server transaction takes any final response.
        let _ = self.answer(now, id, Builder::reply(&cancel, 200, None, Some(&tag)).build());
        if self.state(invite) == Some((Machine::InviteServer, State::Proceeding)) {
            self.push(Step::Cancel { invite, message: cancel });
        }
    }

    pub(super) fn receive_response(&mut self, now: Time, hop: Hop, response: Message) {
        let event = match response.status() {
            Some(100..200) => Event::Provisional,
            Some(200..300) => Event::Success,
            _ => Event::Failure,
        };
        let found = self.keyring.client(&response).ok().and_then(|key| self.store.by_key(key));
        let Some(id) = found else {
            self.counters.stray += 1;
            return self.push(Step::StrayResponse { hop, message: response });
        };
        self.learn_flow(id, hop);
        if !self.apply(now, id, event, Input::Received(hop, response)) {
            self.counters.absorbed += 1;
        }
    }

    /// The driver opened a connection for a request that had none: what follows, ACK and CANCEL, goes by the same.
    fn learn_flow(&mut self, id: TransactionId, hop: Hop) {
        let known = self.store.find(id).map(|transaction| transaction.hop);
        if known.is_some_and(|known| known.flow.is_none() && hop.transport.is_reliable() && known.same_peer(&hop)) {
            self.store.reroute(id, hop);
        }
    }

    /// A connection closed: see [`Transactions::flow_closed`].
    pub(super) fn lose_flow(&mut self, now: Time, flow: FlowId) {
        for id in self.store.by_flow(flow) {
            self.apply(now, id, Event::FlowLost, Input::Nothing);
            let Some(transaction) = self.store.find_mut(id) else { continue };
            let hop = transaction.hop;
            let Some(server) = transaction.server() else { continue };
            match server::hop_without_flow(hop, server.reply_port) {
                Some(hop) => self.store.reroute(id, hop),
                None => server.unreachable = true,
            }
        }
    }

    /// Sending to a peer failed: see [`Transactions::transport_failed`].
    pub(super) fn lose_peer(&mut self, now: Time, hop: Hop) {
        for id in self.store.by_hop(&hop) {
            if self.store.find(id).is_some_and(|transaction| transaction.machine.is_client()) && !self.fall_back(now, id) {
                self.apply(now, id, Event::FlowLost, Input::Nothing);
            }
        }
    }
}
