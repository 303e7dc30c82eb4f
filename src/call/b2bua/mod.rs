//! Calls: each is one value with one owner, both its dialogs and both its media sessions inside ([`call`]). Read on in the order of a
//! call's life: [`arriving`] (an INVITE becomes a call), [`asking`] (targets, until one answers), [`standing`] (what happens inside a
//! call), [`moving`] (parties that change), [`release`] (its end). [`telling`] says what each side learns of the other's people,
//! [`media`] opens ports and drives sessions, [`timeline`] tells what they did.

mod abilities;
mod arriving;
mod asking;
pub(crate) mod call;
pub(crate) mod device;
mod media;
mod moving;
mod places;
mod ports;
mod proof;
mod quality;
mod recording;
mod release;
mod restore;
mod rows;
mod seats;
mod service;
mod standing;
mod telling;
mod timeline;
pub(crate) mod write;

use arriving::loops;
pub(crate) use arriving::{identity, setup};
use asking::{again, attempt, branch, early};
pub(crate) use asking::{destination, outcome, progress};
pub use call::{Call, Leg, Phase, Side};
pub(crate) use farewell::Farewell;
use moving::{join, pickup, refer_on, replace, transfer};
pub use ports::PortAllocator;
use release::{abandoned, ending, farewell};
pub use setup::Incoming;
pub(crate) use standing::{digits, pictures, relayed, within};
use standing::{exchange, session_timer, sharing};
use telling::{connected, forwarded, location};
pub(crate) use telling::{passing, people};

use crate::admission::Admission;
use crate::auth::Authenticator;
use crate::config::Snapshot;
use crate::context::Context;
use crate::peers::{PeerName, Peers};
use crate::registrar::BindingTable;
use crate::route::Target;
use crate::status::{CallStatus, LimitStatus};
use abandoned::{Abandoned, Answered};
use farewell::Farewells;
use loops::Loops;
use ringfort_base::event::{CallRecord, Mode};
use ringfort_base::{CallId, Hop, PortId, Time, limits};
use ringfort_media::plan::RelayEvent;
use ringfort_sip::message::{HeaderName, Message};
use ringfort_sip::transaction::TransactionId;
use std::collections::{HashMap, VecDeque};
use transfer::Deferred;

/// What a call needs of the node while it handles something.
pub struct Env<'a> {
    /// Time, configuration, transactions, outputs.
    pub cx: &'a mut Context,
    /// Digest.
    pub auth: &'a mut Authenticator,
    /// Cloud and trunks.
    pub peers: &'a mut Peers,
    /// Devices.
    pub bindings: &'a BindingTable,
    /// Mode now.
    pub mode: Mode,
}

/// Where calls are found by, and what they share.
pub(crate) struct Tables {
    /// By Call-ID and the node's own tag.
    dialogs: HashMap<(String, String), (CallId, Side)>,
    ports: HashMap<PortId, CallId>,
    /// Sessions with recorders, by Call-ID and the node's own tag.
    recordings: HashMap<(String, String), CallId>,
    invites: HashMap<TransactionId, CallId>,
    allocator: PortAllocator,
    /// Until then browsers share no port.
    apart_until: Time,
    admission: Admission,
    abandoned: Abandoned,
    farewells: Farewells,
    loops: Loops,
    recent: VecDeque<CallRecord>,
    rooms: service::Rooms,
    next_id: u64,
    /// What concerns two calls, until the one at hand is done.
    deferred: Vec<Deferred>,
    /// By the node's own INVITE: the call whose referrer asked for it, and the call that it became.
    referrals: HashMap<TransactionId, (CallId, CallId)>,
}

/// All calls.
pub struct Calls {
    // Boxed: a call is large, and the table has up to twice as many places as calls.
    live: HashMap<CallId, Box<Call>>,
    tables: Tables,
    /// Whether any of them was looked at since the watchers were told.
    changed: bool,
}

impl Calls {
    /// None yet; ids begin behind `first_id`.
    pub fn new(allocator: PortAllocator, first_id: u64) -> Calls {
        let tables = Tables {
            dialogs: HashMap::new(),
            ports: HashMap::new(),
            recordings: HashMap::new(),
            invites: HashMap::new(),
            allocator,
            apart_until: Time::ZERO,
            admission: Admission::default(),
            abandoned: Abandoned::default(),
            farewells: Farewells::default(),
            loops: Loops::default(),
            rooms: service::Rooms::default(),
            recent: VecDeque::new(),
            next_id: first_id,
            deferred: Vec::new(),
            referrals: HashMap::new(),
        };
        Calls { live: HashMap::new(), tables, changed: false }
    }

    /// How many are alive.
    pub fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether none is alive.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Media ports in use. Zero when no call is alive, or a port was lost.
    pub fn ports_in_use(&self) -> usize {
        self.tables.allocator.in_use()
    }

    /// Lets `act` change the call, and forgets it when it is over.
    fn with(&mut self, env: &mut Env<'_>, id: CallId, act: impl FnOnce(&mut Call, &mut Env<'_>, &mut Tables)) {
        let Some(call) = self.live.get_mut(&id) else { return };
        self.changed = true;
        call.follow_devices(env.bindings);
        act(call, env, &mut self.tables);
        call.settle_replacement(env, &mut self.tables);
        call.follow_recording(env, &mut self.tables);
        if call.is_over() {
            self.tables.forget(call);
            self.live.remove(&id);
        }
        self.settle(env);
    }

    /// Sends what an earlier process left unsaid.
    pub(crate) fn resume_farewells(&mut self, cx: &mut Context, waiting: Vec<(String, farewell::Farewell)>) {
        farewell::resume(cx, waiting);
    }

    /// An INVITE outside any dialog.
    pub fn invited(&mut self, env: &mut Env<'_>, incoming: Incoming) {
        if incoming.invite.header(HeaderName::Replaces).is_some() {
            return self.replace(env, incoming);
        }
        if incoming.invite.header(HeaderName::Join).is_some() {
            // RFC 3911 4: a call of two parties cannot become one of three.
            let warning = format!("399 {} \"Join is not possible\"", env.cx.own.agent());
            return drop(setup::refuse(env, &incoming, 488, None, &[(HeaderName::Warning, warning)]));
        }
        let full = self.live.len() >= limits::CALLS_MAX;
        if let Some(call) = setup::begin(env, &mut self.tables, incoming, full) {
            self.begin(env, call);
        }
    }

    fn begin(&mut self, env: &mut Env<'_>, call: Call) {
        let id = call.id;
        self.live.insert(id, Box::new(call));
        self.with(env, id, |call, env, tables| {
            if call.phase == Phase::Routing {
                call.try_next(env, tables);
            }
        });
    }

    /// A request inside a dialog. False: no such dialog.
    pub fn within(&mut self, env: &mut Env<'_>, id: TransactionId, hop: Hop, request: Message) -> bool {
        let Some((call, side)) = self.dialog_of(&request) else { return self.within_recording(env, id, hop, request) };
        let asked = within::Asked { id, hop, request };
        self.with(env, call, |call, env, tables| match call.is_early(side) {
            true => call.requested_early(env, tables, side, &asked),
            false => call.requested(env, tables, side, asked),
        });
        true
    }

    /// A request inside a dialog with a recorder. False: no such dialog.
    fn within_recording(&mut self, env: &mut Env<'_>, id: TransactionId, hop: Hop, request: Message) -> bool {
        let Some(call) = self.recorded_in(&request) else { return false };
        let asked = within::Asked { id, hop, request };
        self.with(env, call, |call, env, tables| call.recorder_asks(env, tables, &asked));
        true
    }

    fn recorded_in(&self, request: &Message) -> Option<CallId> {
        self.tables.recordings.get(&dialog_named_by(request)?).copied()
    }

    /// Whether a request names a dialog with a recorder.
    pub fn is_of_recorder(&self, request: &Message) -> bool {
        !self.tables.recordings.is_empty() && self.recorded_in(request).is_some()
    }

    /// Whether a request names a dialog of a call.
    pub fn knows(&self, request: &Message) -> bool {
        self.dialog_of(request).is_some() || self.recorded_in(request).is_some()
    }

    /// An ACK to a 2xx.
    pub fn acknowledged(&mut self, env: &mut Env<'_>, ack: &Message) {
        let Some(dialog) = dialog_named_by(ack) else { return };
        let Tables { farewells, abandoned, .. } = &mut self.tables;
        farewells.acknowledged(env.cx, &mut abandoned.byes, &dialog);
        if let Some((call, side)) = self.tables.dialogs.get(&dialog).copied() {
            self.with(env, call, |call, env, tables| call.acknowledged(env, tables, side, ack));
        } else if let Some(call) = self.tables.recordings.get(&dialog).copied() {
            self.with(env, call, |call, env, tables| call.recorder_acknowledged(env, tables, ack));
        }
    }

    /// A CANCEL for this INVITE.
    pub fn cancelled(&mut self, env: &mut Env<'_>, invite: TransactionId, cancel: &Message) {
        if let Some(call) = self.tables.invites.get(&invite).copied() {
            self.with(env, call, |call, env, tables| call.cancelled(env, tables, invite, cancel));
        }
    }

    /// A response to a request of this call.
    pub fn answered(&mut self, env: &mut Env<'_>, call: CallId, id: TransactionId, hop: Hop, response: &Message) {
        self.with(env, call, |call, env, tables| call.response(env, tables, id, hop, response));
    }

    /// A response to an INVITE that its call gave up. False: not one of those.
    pub fn answered_abandoned(&mut self, env: &mut Env<'_>, id: TransactionId, response: &Message) -> bool {
        match self.tables.abandoned.answered(env.cx, id, response) {
            Answered::Unknown => false,
            Answered::Settled => true,
            Answered::Diverged(call, side) => {
                self.with(env, call, |call, env, tables| call.resync(env, tables, side));
                true
            }
        }
    }

    /// A request of this call got no answer.
    pub fn failed(&mut self, env: &mut Env<'_>, call: CallId, id: TransactionId, what: &str) {
        self.with(env, call, |call, env, tables| call.request_failed(env, tables, id, what));
    }

    /// Nobody acknowledged the final response to this INVITE (RFC 3261 13.3.1.4: the session ends with a BYE).
    pub fn unacknowledged(&mut self, env: &mut Env<'_>, invite: TransactionId) {
        let Tables { farewells, abandoned, .. } = &mut self.tables;
        farewells.send(env.cx, &mut abandoned.byes, invite);
        if let Some(call) = self.tables.invites.get(&invite).copied() {
            self.with(env, call, |call, env, tables| call.unacknowledged(env, tables, invite));
        }
    }

    /// The transaction layer forgot a transaction; nothing about it will come any more.
    pub fn transaction_over(&mut self, cx: &mut Context, id: TransactionId) {
        self.tables.abandoned.over(id);
        let Tables { farewells, abandoned, .. } = &mut self.tables;
        farewells.send(cx, &mut abandoned.byes, id);
        self.tables.invites.remove(&id);
    }

    /// The relay told something.
    pub fn relayed(&mut self, env: &mut Env<'_>, event: RelayEvent) {
        if let Some(call) = self.tables.ports.get(&event.port()).copied() {
            self.with(env, call, |call, env, tables| call.relayed(env, tables, event));
        }
    }

    /// The operator ends a call. False: no such call.
    pub fn hang_up(&mut self, env: &mut Env<'_>, id: CallId) -> bool {
        let known = self.live.contains_key(&id);
        self.with(env, id, |call, env, tables| call.end(env, tables, ending::Cause::named(480, "operator")));
        known
    }

    /// The target of a call is silent.
    pub fn target_silent(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::target_silent);
    }

    /// It has rung long enough.
    pub fn ring_end(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::ring_end);
    }

    /// A reliable provisional response of this call is not acknowledged.
    pub fn repeat_reliable(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::repeat_reliable);
    }

    /// The other leg does not finish a re-INVITE.
    pub fn exchange_overdue(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::exchange_overdue);
    }

    /// What met 491 is sent again.
    pub fn exchange_again(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, |call, env, _| call.send_again(env));
    }

    /// Who refused other keys is asked again.
    pub fn share_keys_again(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::share_keys_again);
    }

    /// A call's recorder is to be looked after, or another one tried.
    pub fn recording_due(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::recording_due);
    }

    /// The sound that tells of a recording does not end.
    pub fn announcement_overdue(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::announcement_overdue);
    }

    /// The session of a leg is to be refreshed, or runs out.
    pub fn session_due(&mut self, env: &mut Env<'_>, id: CallId, side: Side) {
        self.with(env, id, |call, env, tables| call.session_due(env, tables, side));
    }

    /// A browser that was asked to begin ICE anew has had its time.
    pub fn ice_restart_due(&mut self, env: &mut Env<'_>, id: CallId, side: Side) {
        self.with(env, id, |call, env, tables| call.ice_restart_due(env, tables, side));
    }

    /// Time to ask both ends whether they still know of the call.
    pub fn ask_whether_alive(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::ask_whether_alive);
    }

    /// A leg's ICE, DTLS or deadline.
    pub fn media_timeout(&mut self, env: &mut Env<'_>, id: CallId, side: Side) {
        self.with(env, id, |call, env, tables| call.media_timeout(env, tables, side));
    }

    /// The counters of an ended call did not come: its record is written without them.
    pub fn record_overdue(&mut self, env: &mut Env<'_>, id: CallId) {
        self.with(env, id, Call::record_overdue);
    }

    /// How many calls go through this peer.
    pub fn through(&self, peer: &PeerName) -> usize {
        let uses = |target: &Target| match (target, peer) {
            (Target::Cloud { .. }, PeerName::Cloud) => true,
            (Target::Trunk { name, .. }, PeerName::Trunk(wanted)) => name == wanted,
            _ => false,
        };
        if let PeerName::Recorder(name) = peer {
            return self.live.values().filter(|call| call.recorder() == Some(name)).count();
        }
        self.live.values().filter(|call| call.targets().any(uses)).count()
    }

    /// Places in use, for the status.
    pub fn limits(&self, snapshot: &Snapshot) -> Vec<LimitStatus> {
        self.tables.admission.status(snapshot)
    }

    /// For the page, oldest first.
    pub fn status(&self) -> Vec<CallStatus> {
        let mut rows: Vec<CallStatus> = self.live.values().map(|call| call.status()).collect();
        rows.sort_by_key(|row| row.call);
        rows
    }

    /// Calls that ended, newest first.
    pub fn recent(&self) -> Vec<CallRecord> {
        self.tables.recent.iter().rev().cloned().collect()
    }

    /// Port allocation follows a new configuration; ports in use stay until their calls end.
    pub fn set_ports(&mut self, first: u16, last: u16, aside: Option<u16>) {
        self.tables.allocator.set_range(first, last, aside);
    }

    fn dialog_of(&self, message: &Message) -> Option<(CallId, Side)> {
        self.tables.dialogs.get(&dialog_named_by(message)?).copied()
    }
}

/// Call-ID and the node's own tag of a received request.
fn dialog_named_by(request: &Message) -> Option<(String, String)> {
    Some((request.call_id().ok()?.to_string(), request.to().ok()?.tag()?.to_string()))
}

impl Tables {
    fn fresh_id(&mut self) -> CallId {
        self.next_id += 1;
        CallId(self.next_id)
    }

    /// Nothing of the call can be found any more.
    fn forget(&mut self, call: &Call) {
        [Some(&call.caller), call.callee.as_ref()].into_iter().flatten().for_each(|leg| self.forget_leg(leg));
        self.loops.over(call.id);
        self.rooms.leave(call.id);
        for branch in &call.asking.branches {
            self.forget_leg(&branch.leg);
        }
        for early in &call.asking.earlies {
            self.dialogs.remove(&(early.dialog.id.call_id.clone(), early.dialog.id.local_tag.clone()));
        }
        for awaited in &call.invites {
            self.invites.remove(&awaited.id);
        }
    }

    fn forget_leg(&mut self, leg: &Leg) {
        self.dialogs.remove(&(leg.call_id.clone(), leg.tag.clone()));
        if let Some(media) = &leg.media {
            self.ports.remove(&media.port);
        }
    }
}
