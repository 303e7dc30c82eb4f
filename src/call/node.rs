//! The whole node without IO or clock. [`Node::handle`] takes one input and routes it to its one owner; [`Node::poll_output`] yields what
//! the driver has to do, in order, until it returns `None`; then the driver arms one timer for [`Node::next_timeout`] and
//! calls [`Node::handle_timeout`] when it fires. Times passed in never go back.

mod arrival;
mod begin;
mod report;

use crate::ALLOW;
use crate::alarms::{Alarm, Alarms};
use crate::auth::Authenticator;
use crate::b2bua::{Calls, Env, Incoming};
use crate::config::Snapshot;
use crate::context::{Context, Output, Owner};
use crate::events::{Asked, Events, single};
use crate::overload::Load;
use crate::peers::Peers;
use crate::registrar::{Registrar, Surroundings};
use crate::registration_client::{Answer as Registered, Clients};
use crate::shield::Shield;
use crate::survive::Survival;
use crate::wake::Wake;
use arrival::UAS;
pub use begin::NodeSetup;
use bytes::Bytes;
use ringfort_base::{CallId, Event, FlowId, Hop, Now, SourceNet, Time};
use ringfort_media::plan::{RelayCommand, RelayEvent};
use ringfort_sip::locate::{Answer, Question};
use ringfort_sip::message::{Builder, HeaderName, Message, Method, ParseError};
use ringfort_sip::screen::Verdict;
use ringfort_sip::transaction::{Step, TransactionId};
use std::sync::Arc;
use std::time::Duration;

/// How often the relay is asked for counters while calls are alive.
const REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// What can happen to a node.
#[derive(Debug)]
pub enum Input {
    /// A message, framed and parsed by its transport.
    Message {
        /// Whence.
        hop: Hop,
        /// The message.
        message: Message,
    },
    /// Octets that are no message.
    Unparsed {
        /// Whence.
        hop: Hop,
        /// The octets.
        octets: Bytes,
        /// Which rule they break.
        error: ParseError,
    },
    /// The other end of a connection has proved by its certificate to be these SIP domains and hosts (RFC 5922). It comes before the
    /// connection's first message.
    Proved {
        /// The connection.
        flow: FlowId,
        /// Names in lower case.
        names: Vec<String>,
    },
    /// A connection ended.
    FlowClosed(FlowId),
    /// Something could not be sent to this hop.
    SendFailed(Hop),
    /// The relay told something.
    Relay(RelayEvent),
    /// The DNS answered, or failed to.
    Resolved {
        /// What was asked.
        question: Question,
        /// What it said.
        answer: Answer,
    },
    /// The driver's view of how far the core is behind.
    Load(Load),
    /// Everything that the driver knows to be wrong now.
    Alarms(Vec<Alarm>),
    /// The operator lifts a ban.
    Unban(SourceNet),
    /// Another configuration, for calls from now on.
    Reload(Arc<Snapshot>),
    /// The operator ends a call.
    HangUp(CallId),
}

/// The node.
pub struct Node {
    cx: Context,
    auth: Authenticator,
    peers: Peers,
    clients: Clients,
    survival: Survival,
    registrar: Registrar,
    calls: Calls,
    events: Events,
    shield: Shield,
    alarms: Alarms,
}

impl Node {
    /// The calls, and what they need of the rest.
    fn parts(&mut self) -> (&mut Calls, Env<'_>) {
        let env = Env {
            cx: &mut self.cx,
            auth: &mut self.auth,
            peers: &mut self.peers,
            bindings: &self.registrar.table,
            mode: self.survival.mode,
        };
        (&mut self.calls, env)
    }

    /// The registrar, and what it needs of the rest.
    fn registry(&mut self) -> (&mut Registrar, &mut Context, Surroundings<'_>) {
        let around = Surroundings { auth: &mut self.auth, peers: &mut self.peers, mode: self.survival.mode };
        (&mut self.registrar, &mut self.cx, around)
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.cx.now = now;
        match input {
            Input::Message { hop, message } => self.received(hop, message),
            Input::Unparsed { hop, octets, error } => self.unparsed(hop, octets, error),
            Input::Proved { flow, names } => drop(self.cx.proved.insert(flow, names)),
            Input::FlowClosed(flow) => {
                self.cx.proved.remove(&flow);
                self.cx.reuse.closed(flow);
                self.registrar.flow_closed(&mut self.cx, flow);
                self.shield.flow_closed(flow);
                self.clients.flow_closed(&mut self.cx, &mut self.peers, flow);
            }
            Input::SendFailed(hop) => self.cx.send_failed(hop),
            Input::Relay(event) => {
                let (calls, mut env) = self.parts();
                calls.relayed(&mut env, event);
            }
            Input::Resolved { question, answer } => {
                self.peers.resolved(&mut self.cx, question, answer);
                self.shield.peers_at(&mut self.cx, self.peers.addresses().map(|(_, at)| at.ip()));
            }
            Input::Load(load) => self.loaded(load),
            Input::Alarms(alarms) => self.alarms.are(&mut self.cx, alarms),
            Input::Unban(source) => drop(self.shield.unban(&mut self.cx, source)),
            Input::Reload(snapshot) => self.reload(snapshot),
            Input::HangUp(call) => {
                let (calls, mut env) = self.parts();
                calls.hang_up(&mut env, call);
            }
        }
        self.settle();
    }

    /// Fires the timers that are due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.cx.now = now;
        self.cx.transactions.handle_timeout(now.mono);
        self.settle();
        while let Some(wake) = self.cx.timers.fire(now.mono) {
            self.woken(wake);
            self.settle();
        }
    }

    /// When [`Node::handle_timeout`] wants to be called next.
    pub fn next_timeout(&self) -> Time {
        self.cx.transactions.next_timeout().min(self.cx.timers.next())
    }

    /// What the driver has to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.cx.outputs.pop_front()
    }

    /// The driver told how far it is behind.
    fn loaded(&mut self, load: Load) {
        let stage = self.cx.overload.after(load);
        if stage != self.cx.overload {
            self.cx.overload = stage;
            let (queued, lag_ms) = (load.queued, load.lag.as_millis() as u64);
            self.cx.event(Event::Overload { stage: stage.as_str().into(), queued, lag_ms });
        }
    }

    /// Hands every step of the transaction layer to its owner, until nothing moves any more; then the mode follows the peers.
    fn settle(&mut self) {
        loop {
            while let Some(step) = self.cx.transactions.poll_step() {
                self.step(step);
            }
            let Some((id, octets)) = self.cx.internal.pop_front() else { break };
            if let Ok(response) = Message::parse(octets) {
                let (calls, mut env) = self.parts();
                calls.answered_internally(&mut env, id, &response);
            }
        }
        self.cx.border.follow_peers(self.peers.addresses());
        if !self.cx.proofs.is_empty() {
            self.shield.learn(&mut self.cx);
        }
        if self.calls.take_changed() {
            self.events.calls_changed(&mut self.cx);
        }
        let before = self.survival.mode;
        self.survival.follow(&mut self.cx, &self.peers);
        if self.survival.mode != before {
            self.on_events(Events::mode_changed);
            self.settle();
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send { hop, octets } => self.cx.put(hop, octets),
            Step::Request { id, hop, message } => {
                let message = self.cx.incoming(&hop, message, Some(id));
                let message = self.located(&hop, message);
                self.requested(id, hop, message);
            }
            Step::Response { id, hop, message } => {
                let hop = self.cx.large.get(&id).copied().unwrap_or(hop);
                let message = self.cx.incoming(&hop, message, Some(id));
                let message = self.located(&hop, message);
                self.answered(id, hop, &message);
            }
            Step::Failed { id, cause } => self.failed(id, &cause.to_string()),
            Step::Ack { hop, message } => {
                let message = self.cx.incoming(&hop, message, None);
                let (calls, mut env) = self.parts();
                calls.acknowledged(&mut env, &message);
            }
            Step::Cancel { invite, message } => {
                let (calls, mut env) = self.parts();
                calls.cancelled(&mut env, invite, &message);
            }
            Step::NoAck { id } => {
                let (calls, mut env) = self.parts();
                calls.unacknowledged(&mut env, id);
            }
            Step::Ended { id } => {
                self.cx.owners.remove(&id);
                self.cx.border.forget(id);
                self.cx.large.remove(&id);
                self.calls.transaction_over(&mut self.cx, id);
            }
            // Counted by the layer. A late 2xx of an INVITE that both layers forgot is not acknowledged; its sender gives up.
            Step::StrayResponse { .. } => {}
        }
    }

    /// A message that founds or refreshes a dialog says where the device is, be it by a GRUU.
    fn located(&self, hop: &Hop, message: Message) -> Message {
        let elsewhere = message.method() == Method::Register || message.status().is_some_and(|status| status >= 300);
        if elsewhere { message } else { self.registrar.table.located(hop, &message).unwrap_or(message) }
    }

    /// A new request, by where it belongs: inside a dialog, or by method.
    fn requested(&mut self, id: TransactionId, hop: Hop, message: Message) {
        if let Verdict::Reply { status, rule, reason } = self.held_to(&message).screen(&message) {
            let tag = self.cx.tag();
            let octets = UAS.refuse(&message, status, &reason, &tag).build();
            self.cx.respond(id, octets);
            return self.rejected(hop, Verdict::Reply { status, rule, reason }, |_, _| None);
        }
        if message.to().is_ok_and(|to| to.tag().is_some()) {
            return self.requested_within(Asked { id, hop, message });
        }
        match message.method() {
            Method::Invite => {
                let (calls, mut env) = self.parts();
                calls.invited(&mut env, Incoming { id, hop, invite: message });
            }
            Method::Register => {
                let (registrar, cx, around) = self.registry();
                registrar.handle(cx, around, id, hop, &message);
            }
            Method::Options => {
                let (_, env) = self.parts();
                let status = if single::is_there(&env, &message, &hop).unwrap_or(true) { 200 } else { 480 };
                let accept = (HeaderName::Accept, crate::ACCEPT.into());
                self.reply(id, &message, status, vec![(HeaderName::Allow, ALLOW.into()), accept]);
            }
            Method::Refer => self.on_call(|calls, env| calls.referred_aside(env, id, hop, message)),
            // RFC 3261 9.2, 15.1.2: nothing here matches them.
            Method::Bye | Method::Cancel => self.reply(id, &message, 481, Vec::new()),
            _ => self.on_events(|events, env| events.requested(env, Asked { id, hop, message })),
        }
    }

    /// A request inside a dialog: of a subscription, or of a call.
    fn requested_within(&mut self, asked: Asked) {
        let Some(Asked { id, hop, message }) = self.with_events(|events, env| events.within(env, asked)) else { return };
        let reply_to = message.clone();
        let (calls, mut env) = self.parts();
        if !calls.within(&mut env, id, hop, message) {
            self.reply(id, &reply_to, 481, Vec::new());
        }
    }

    fn reply(&mut self, id: TransactionId, request: &Message, status: u16, headers: Vec<(HeaderName, String)>) {
        let tag = self.cx.tag();
        let reply = Builder::reply(request, status, None, Some(&tag));
        let octets = headers.iter().fold(reply, |b, (name, value)| b.header(*name, value)).build();
        self.cx.respond(id, octets);
    }

    /// A response, to whoever sent the request.
    fn answered(&mut self, id: TransactionId, hop: Hop, response: &Message) {
        match self.cx.owners.get(&id).cloned() {
            Some(Owner::Probe(peer)) => {
                let status = response.status().unwrap_or(500);
                self.peers.answered(&mut self.cx, peer, id, status);
            }
            Some(Owner::TrunkRegistration(trunk)) => {
                self.clients.answered(&mut self.cx, &mut self.peers, trunk, Registered { id, hop, response })
            }
            Some(Owner::Registration(pending)) => {
                let (registrar, cx, around) = self.registry();
                registrar.relayed_answer(cx, around, pending, response);
            }
            Some(Owner::Event(key)) => self.on_events(|events, env| events.answered(env, key, id, hop, response)),
            Some(Owner::Call(call)) => {
                let (calls, mut env) = self.parts();
                calls.answered(&mut env, call, id, hop, response);
            }
            None => {
                let (calls, mut env) = self.parts();
                calls.answered_abandoned(&mut env, id, response);
            }
        }
    }

    /// A request that will have no answer, to whoever sent it.
    fn failed(&mut self, id: TransactionId, what: &str) {
        match self.cx.owners.get(&id).cloned() {
            Some(Owner::Probe(peer)) => self.peers.probe_failed(&mut self.cx, peer, id),
            Some(Owner::TrunkRegistration(trunk)) => self.clients.failed(&mut self.cx, &mut self.peers, trunk, id),
            Some(Owner::Registration(pending)) => {
                let (registrar, cx, around) = self.registry();
                registrar.relayed_overdue(cx, around, pending, "REGISTER failed");
            }
            Some(Owner::Event(key)) => self.on_events(|events, env| events.failed(env, key, id)),
            Some(Owner::Call(call)) => {
                let (calls, mut env) = self.parts();
                calls.failed(&mut env, call, id, what);
            }
            None => {}
        }
    }

    /// A timer above the transaction layer.
    fn woken(&mut self, wake: Wake) {
        match wake {
            Wake::ProbePeer(peer) => self.peers.probe(&mut self.cx, peer),
            Wake::RegisterTrunk(trunk) => self.clients.woken(&mut self.cx, &mut self.peers, trunk),
            Wake::ProbeOverdue(peer) => self.peers.overdue(&mut self.cx, peer),
            Wake::ShieldTurn => self.shield.turn(&mut self.cx),
            Wake::ExpireBindings => self.registrar.expire(&mut self.cx),
            Wake::Subscriptions => self.on_events(Events::turn),
            Wake::TellOfCalls => {
                let rows = self.calls.rows(&self.cx.snapshot);
                self.on_events(|events, env| events.look(env, &rows));
            }
            Wake::DevicesAway => self.registrar.give_up_away(&mut self.cx),
            Wake::RegisterOverdue(pending) => {
                let (registrar, cx, around) = self.registry();
                registrar.relayed_overdue(cx, around, pending, "REGISTER unanswered");
            }
            Wake::ReportMedia => {
                if !self.calls.is_empty() {
                    self.cx.relay(RelayCommand::Report);
                }
                self.cx.timers.set(Wake::ReportMedia, self.cx.now.mono + REPORT_INTERVAL);
            }
            Wake::TargetSilent(call) => self.on_call(|calls, env| calls.target_silent(env, call)),
            Wake::RingEnd(call) => self.on_call(|calls, env| calls.ring_end(env, call)),
            Wake::ExchangeOverdue(call) => self.on_call(|calls, env| calls.exchange_overdue(env, call)),
            Wake::ExchangeAgain(call) => self.on_call(|calls, env| calls.exchange_again(env, call)),
            Wake::KeysAgain(call) => self.on_call(|calls, env| calls.share_keys_again(env, call)),
            Wake::Session(call, side) => self.on_call(|calls, env| calls.session_due(env, call, side)),
            Wake::Reliable(call) => self.on_call(|calls, env| calls.repeat_reliable(env, call)),
            Wake::AskAlive(call) => self.on_call(|calls, env| calls.ask_whether_alive(env, call)),
            Wake::Media(call, side) => self.on_call(|calls, env| calls.media_timeout(env, call, side)),
            Wake::IceRestart(call, side) => self.on_call(|calls, env| calls.ice_restart_due(env, call, side)),
            Wake::Recording(call) => self.on_call(|calls, env| calls.recording_due(env, call)),
            Wake::RecordingSound(call) => self.on_call(|calls, env| calls.announcement_overdue(env, call)),
            Wake::RecordOverdue(call) => self.on_call(|calls, env| calls.record_overdue(env, call)),
        }
    }

    fn on_events(&mut self, act: impl FnOnce(&mut Events, &mut Env<'_>)) {
        self.with_events(act)
    }

    fn with_events<T>(&mut self, act: impl FnOnce(&mut Events, &mut Env<'_>) -> T) -> T {
        let mut env = Env {
            cx: &mut self.cx,
            auth: &mut self.auth,
            peers: &mut self.peers,
            bindings: &self.registrar.table,
            mode: self.survival.mode,
        };
        act(&mut self.events, &mut env)
    }

    fn on_call(&mut self, act: impl FnOnce(&mut Calls, &mut Env<'_>)) {
        let (calls, mut env) = self.parts();
        act(calls, &mut env);
    }
}
