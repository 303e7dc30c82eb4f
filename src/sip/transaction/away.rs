//! A peer whose connection broke may come back by another one (RFC 5626 4.3): what waits for it is kept for a while, and follows it.
//! Whether a peer is expected back, and for how long, is the decision of whoever knows the peer.

use super::engine::Input;
use super::store::{Side, Transaction};
use super::table::{Event, Machine, State};
use super::timers::Timer;
use super::{Error, Step, TransactionId, Transactions};
use crate::message::Message;
use bytes::Bytes;
use ringfort_base::{FlowId, Hop, Time};

impl Transactions {
    /// The connection broke, but its peer is expected back. Requests within dialogs and responses wait for
    /// [`Transactions::moved`]; other requests fail now, for another target may take them.
    /// [`Transactions::flow_closed`] ends the waiting.
    pub fn hold(&mut self, now: Time, flow: FlowId) {
        self.away.insert(flow);
        for id in self.store.by_flow(flow) {
            match self.waits(id) {
                true => self.rest(id),
                false => drop(self.apply(now, id, Event::FlowLost, Input::Nothing)),
            }
        }
        self.settle();
    }

    /// The peer behind this connection is reached by `to` from now on: what waits is sent there, what was sent and not answered is
    /// sent again. The branch stays, so the peer knows a repeat (RFC 3261 17.2.3).
    pub fn moved(&mut self, now: Time, flow: FlowId, to: Hop) {
        self.away.remove(&flow);
        for id in self.store.by_flow(flow) {
            self.store.reroute(id, to);
            self.resend(now, id);
        }
        self.settle();
    }

    /// Whether a transaction may wait for its peer: a request of ours within a dialog, or a request of the peer.
    fn waits(&self, id: TransactionId) -> bool {
        match self.store.find(id).map(|transaction| &transaction.side) {
            Some(Side::Client(client)) => {
                let request = Message::parse(client.request.clone());
                request.is_ok_and(|request| request.to().is_ok_and(|to| to.tag().is_some()))
            }
            _ => true,
        }
    }

    /// Nothing fails for want of an answer while the peer cannot be asked.
    pub(super) fn rest(&mut self, id: TransactionId) {
        for timer in [Timer::B, Timer::F] {
            self.stop(id, timer);
        }
    }

    fn resend(&mut self, now: Time, id: TransactionId) {
        let Some(transaction) = self.store.find_mut(id) else { return };
        let (hop, state, is_invite) = (transaction.hop, transaction.state, transaction.machine == Machine::InviteClient);
        let octets = match &mut transaction.side {
            Side::Client(client) if matches!(state, State::Calling | State::Trying | State::Proceeding) => client.request.clone(),
            Side::Client(_) => return,
            Side::Server(server) => {
                server.unreachable = false;
                server.response.clone()
            }
        };
        let unanswered = transaction.machine.is_client() && !(is_invite && state == State::Proceeding);
        if !octets.is_empty() {
            self.push(Step::Send { hop, octets });
        }
        if unanswered {
            self.start(now, id, if is_invite { Timer::B } else { Timer::F }, false);
        }
    }
}

impl Transactions {
    /// Sends a request as [`Transactions::request`] does; when no connection can be opened to `hop`, it goes the way of `fallback`
    /// instead, worded for it, under the same branch (RFC 3261 18.1.1: a large request by TCP, or by UDP where nobody takes TCP).
    ///
    /// # Errors
    /// As of [`Transactions::request`].
    pub fn request_or(&mut self, now: Time, hop: Hop, octets: Bytes, fallback: (Hop, Bytes)) -> Result<TransactionId, Error> {
        let id = self.begin_client(now, hop, octets, false)?;
        if let Some(client) = self.store.find_mut(id).and_then(Transaction::client) {
            client.fallback = Some(fallback);
        }
        self.store.weigh(id);
        self.settle();
        Ok(id)
    }

    /// Takes the other way. False: there is none.
    pub(super) fn fall_back(&mut self, now: Time, id: TransactionId) -> bool {
        let Some(transaction) = self.store.find_mut(id) else { return false };
        let is_invite = transaction.machine == Machine::InviteClient;
        let Some(client) = transaction.client() else { return false };
        let Some((hop, octets)) = client.fallback.take() else { return false };
        client.request = octets.clone();
        // Another wording is another sent-by, which the response will bear.
        let worded = Message::parse(octets.clone()).ok();
        let key = worded.as_ref().and_then(|request| self.keyring.client(request).ok());
        if !key.is_some_and(|key| self.store.rekey(id, key)) {
            return false;
        }
        self.store.reroute(id, hop);
        self.store.weigh(id);
        self.push(Step::Send { hop, octets });
        let timers = if is_invite { [Timer::A, Timer::B] } else { [Timer::E, Timer::F] };
        for timer in timers {
            self.start(now, id, timer, false);
        }
        true
    }
}
