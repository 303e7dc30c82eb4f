//! Executes the tables: finds the row, goes to its next state, performs its actions in order.

use super::client::{self, Cancel, Client};
use super::store::{Side, Transaction};
use super::table::{Action, Event, Machine, State};
use super::timers::Timer;
use super::{ClientFailure, Error, Step, TransactionId, Transactions};
use crate::message::{Builder, HeaderName, Message, Method};
use bytes::Bytes;
use ringfort_base::{Hop, Time};

/// A step, or one that is decided when it is polled.
#[derive(Debug)]
pub(super) enum Pending {
    Step(Step),
    /// 100 to this INVITE, unless the TU answered it meanwhile.
    Trying(TransactionId, Message),
}

/// What came with an event. An action takes it.
#[derive(Debug)]
pub(super) enum Input {
    Nothing,
    /// A message from the wire.
    Received(Hop, Message),
    /// A message of ours: the response, or the CANCEL.
    Ours(Bytes),
}

impl Input {
    fn take(&mut self) -> Input {
        std::mem::replace(self, Input::Nothing)
    }
}

impl Transactions {
    /// Applies an event to a transaction. False when the table ignores it, or there is no such transaction.
    pub(super) fn apply(&mut self, now: Time, id: TransactionId, event: Event, mut input: Input) -> bool {
        let Some(transaction) = self.store.find_mut(id) else { return false };
        let Some(row) = transaction.machine.row(transaction.state, event) else { return false };
        transaction.state = row.next;
        let mut at_once = None;
        for action in row.actions {
            at_once = self.perform(now, id, *action, &mut input).or(at_once);
        }
        match at_once {
            _ if row.next == State::Terminated => self.end(id),
            // The absorbing timers of reliable transports: 0 s (RFC 3261 17.1.1.2 and others).
            Some(timer) => drop(self.apply(now, id, Event::Fired(timer), Input::Nothing)),
            None => self.store.weigh(id),
        }
        true
    }

    /// A timer came due.
    pub(super) fn fire(&mut self, now: Time, id: TransactionId, timer: Timer) {
        if let Some(transaction) = self.store.find_mut(id) {
            transaction.armed.stop(timer);
            transaction.fired = transaction.fired.saturating_add(u8::from(timer.repeats()));
        }
        self.counters.retransmitted += u64::from(timer.repeats());
        self.apply(now, id, Event::Fired(timer), Input::Nothing);
    }

    /// Performs one action; a timer that runs for no time is returned instead of started.
    fn perform(&mut self, now: Time, id: TransactionId, action: Action, input: &mut Input) -> Option<Timer> {
        match action {
            Action::SendRequest => self.send(id, |t| t.client().map(|client| client.request.clone())),
            Action::SendAck => self.send_ack(id, input),
            Action::SendCancel => self.send_cancel(now, id, input),
            Action::HoldCancel => self.hold_cancel(id, input),
            Action::ReleaseCancel => self.release_cancel(now, id),
            Action::SendResponse => self.send_response(id, input),
            Action::Resend => self.send(id, |t| t.server().map(|server| server.response.clone())),
            Action::SendTrying => self.queue_trying(id, input),
            Action::Start(timer) => return self.start(now, id, timer, false),
            Action::StartSlow(timer) => return self.start(now, id, timer, true),
            Action::Stop(timer) => self.stop(id, timer),
            Action::TellRequest => self.tell_request(id, input),
            Action::TellAck => self.tell_ack(input),
            Action::TellResponse => self.tell_response(id, input),
            Action::FailTimeout => self.fail(id, ClientFailure::Timeout),
            Action::FailCancelled => self.fail(id, ClientFailure::CancelTimeout),
            Action::FailTransport => self.fail(id, ClientFailure::Transport),
            Action::TellNoAck => {
                self.counters.unacknowledged += 1;
                self.push(Step::NoAck { id });
            }
        }
        None
    }

    pub(super) fn push(&mut self, step: Step) {
        self.steps.push_back(Pending::Step(step));
    }

    /// Sends what `octets` picks from the transaction, if it is there and the peer can be reached.
    fn send(&mut self, id: TransactionId, octets: impl FnOnce(&mut Transaction) -> Option<Bytes>) {
        let Some(transaction) = self.store.find_mut(id) else { return };
        let hop = transaction.hop;
        if transaction.server().is_some_and(|server| server.unreachable) {
            return;
        }
        let away = hop.flow.is_some_and(|flow| self.away.contains(&flow));
        if let Some(octets) = octets(transaction).filter(|octets| !octets.is_empty() && !away) {
            self.push(Step::Send { hop, octets });
        }
    }

    /// The first refusal builds the ACK; repeats send the same again. A response from which none can be built, for want of a To, is
    /// not ACKed: `screen` lets none through.
    fn send_ack(&mut self, id: TransactionId, input: &Input) {
        let Input::Received(_, response) = input else { return };
        self.send(id, |transaction| {
            let client = transaction.client()?;
            if client.ack.is_empty() {
                let invite = Message::parse(client.request.clone()).ok()?;
                client.ack = client::ack(&invite, response).ok()?;
            }
            Some(client.ack.clone())
        });
    }

    /// CANCEL has a client transaction of its own, which the TU does not hear of. It does not count for the limit: there is at
    /// most one for each INVITE. Should the TU have taken its key, the CANCEL is sent once.
    fn send_cancel(&mut self, now: Time, id: TransactionId, input: &mut Input) {
        let Input::Ours(octets) = input.take() else { return };
        let Some(transaction) = self.store.find_mut(id) else { return };
        let hop = transaction.hop;
        if let Some(client) = transaction.client() {
            client.cancel = Cancel::Sent;
        }
        if self.begin_client(now, hop, octets.clone(), true).is_err() {
            self.push(Step::Send { hop, octets });
        }
    }

    fn hold_cancel(&mut self, id: TransactionId, input: &mut Input) {
        if let (Input::Ours(octets), Some(client)) = (input.take(), self.store.find_mut(id).and_then(Transaction::client)) {
            client.cancel = Cancel::Held(octets);
        }
    }

    fn release_cancel(&mut self, now: Time, id: TransactionId) {
        let Some(client) = self.store.find_mut(id).and_then(Transaction::client) else { return };
        if let Cancel::Held(octets) = std::mem::take(&mut client.cancel) {
            self.apply(now, id, Event::Cancel, Input::Ours(octets));
        }
    }

    fn send_response(&mut self, id: TransactionId, input: &mut Input) {
        let Input::Ours(octets) = input.take() else { return };
        self.send(id, |transaction| {
            transaction.server()?.response = octets.clone();
            Some(octets)
        });
    }

    /// A CANCEL is the layer's own business. The request stays with the input, for the 100.
    fn tell_request(&mut self, id: TransactionId, input: &Input) {
        let Input::Received(hop, message) = input else { return };
        if self.store.find(id).is_some_and(|transaction| !transaction.internal) {
            self.push(Step::Request { id, hop: *hop, message: message.clone() });
        }
    }

    /// The 100 is decided when its turn comes, behind the request: a TU that answers at once saves it.
    fn queue_trying(&mut self, id: TransactionId, input: &mut Input) {
        if let Input::Received(_, request) = input.take() {
            self.steps.push_back(Pending::Trying(id, request));
        }
    }

    fn tell_ack(&mut self, input: &mut Input) {
        if let Input::Received(hop, message) = input.take() {
            self.push(Step::Ack { hop, message });
        }
    }

    fn tell_response(&mut self, id: TransactionId, input: &mut Input) {
        let Input::Received(hop, message) = input.take() else { return };
        if self.store.find(id).is_some_and(|transaction| !transaction.internal) {
            self.push(Step::Response { id, hop, message });
        }
    }

    fn fail(&mut self, id: TransactionId, cause: ClientFailure) {
        match cause {
            ClientFailure::Transport => self.counters.transport_failed += 1,
            ClientFailure::Timeout | ClientFailure::CancelTimeout => self.counters.timed_out += 1,
        }
        if self.store.find(id).is_some_and(|transaction| !transaction.internal) {
            self.push(Step::Failed { id, cause });
        }
    }

    pub(super) fn start(&mut self, now: Time, id: TransactionId, timer: Timer, slow: bool) -> Option<Timer> {
        let transaction = self.store.find_mut(id)?;
        let reliable = transaction.hop.transport.is_reliable();
        let fired = if slow { u8::MAX } else { transaction.fired };
        let length = timer.runs(&self.timers, reliable, fired)?;
        if length.is_zero() {
            return Some(timer);
        }
        let sequence = self.queue.push(now + length, id, timer);
        let dead = transaction.armed.start(timer, sequence);
        self.queue.forget(dead);
        None
    }

    pub(super) fn stop(&mut self, id: TransactionId, timer: Timer) {
        if let Some(transaction) = self.store.find_mut(id) {
            self.queue.forget(transaction.armed.stop(timer));
        }
    }

    /// Forgets a transaction.
    fn end(&mut self, id: TransactionId) {
        let Some(transaction) = self.store.remove(id) else { return };
        self.queue.forget(transaction.armed.count());
        if !transaction.internal {
            self.push(Step::Ended { id });
        }
    }

    /// Keeps the timer queue bounded and its top alive; called at the end of every input.
    pub(super) fn settle(&mut self) {
        let store = &self.store;
        self.queue.settle(|entry| store.runs(entry));
    }

    /// Begins a client transaction with a request of ours.
    pub(super) fn begin_client(&mut self, now: Time, hop: Hop, octets: Bytes, internal: bool) -> Result<TransactionId, Error> {
        let request = Message::parse(octets.clone())?;
        let machine = match request.method() {
            _ if !request.is_request() => return Err(Error::WrongKind),
            Method::Ack => return Err(Error::WrongKind),
            Method::Invite => Machine::InviteClient,
            _ => Machine::Client,
        };
        if !internal && self.is_full() {
            return Err(Error::Full);
        }
        let key = self.keyring.client(&request)?;
        if self.store.by_key(key).is_some() {
            return Err(Error::BranchInUse);
        }
        let client = Client { request: octets, ..Client::default() };
        let id = self.store.insert(key, Transaction::new(machine, hop, internal, Side::Client(client)));
        self.counters.begun[machine as usize] += 1;
        self.apply(now, id, Event::Begin, Input::Nothing);
        if hop.flow.is_some_and(|flow| self.away.contains(&flow)) {
            self.rest(id);
        }
        Ok(id)
    }

    /// Whether a further transaction would exceed a limit: in number, or in what they all remember.
    pub(super) fn is_full(&self) -> bool {
        self.store.len() >= self.limit || self.store.octets() >= self.octets_max
    }

    /// Gives a response to a server transaction.
    pub(super) fn answer(&mut self, now: Time, id: TransactionId, octets: Bytes) -> Result<(), Error> {
        let event = match status_of(&octets).ok_or(Error::WrongKind)? {
            100..200 => Event::RespondProvisional,
            200..300 => Event::RespondSuccess,
            _ => Event::RespondFailure,
        };
        let transaction = self.store.find(id).filter(|t| !t.machine.is_client()).ok_or(Error::Unknown)?;
        let state = transaction.state;
        if self.apply(now, id, event, Input::Ours(octets)) { Ok(()) } else { Err(Error::WrongState(state)) }
    }

    /// Cancels an INVITE client transaction, unless that is under way already or the table ignores it.
    pub(super) fn begin_cancel(&mut self, now: Time, id: TransactionId, extra: &[(HeaderName, &str)]) -> Result<(), Error> {
        let transaction = self.store.find_mut(id).filter(|t| t.machine == Machine::InviteClient).ok_or(Error::Unknown)?;
        let possible = transaction.machine.row(transaction.state, Event::Cancel).is_some();
        let Some(client) = transaction.client().filter(|client| possible && matches!(client.cancel, Cancel::None)) else {
            return Ok(());
        };
        let invite = Message::parse(client.request.clone())?;
        let octets = client::cancel(&invite, extra)?;
        self.apply(now, id, Event::Cancel, Input::Ours(octets));
        Ok(())
    }

    /// The 100 of an INVITE that the TU has not answered when its turn comes (RFC 3261 17.2.1 allows 200 ms; it is sent at once,
    /// because finding a route may take long).
    pub(super) fn trying(&mut self, id: TransactionId, request: &Message) -> Option<Step> {
        let transaction = self.store.find_mut(id).filter(|t| t.state == State::Proceeding)?;
        let hop = transaction.hop;
        let server = transaction.server().filter(|server| server.response.is_empty() && !server.unreachable)?;
        let octets = Builder::reply(request, 100, None, None).build();
        server.response = octets.clone();
        self.store.weigh(id);
        Some(Step::Send { hop, octets })
    }
}

/// The status of a response of ours, read without parsing it.
fn status_of(octets: &[u8]) -> Option<u16> {
    let digits = octets.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..700).contains(status))
}
