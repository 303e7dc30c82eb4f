//! What concerns two calls: the call that a transfer makes, and the leg that leaves one call for another. The call that the referrer
//! asked for is a call like any other, whose caller is the node; what it would answer comes here.

use crate::b2bua::call::{Call, Leg, Phase, Side};
use crate::b2bua::exchange::Offer;
use crate::b2bua::transfer::{Deferred, Dialled, Replaces};
use crate::b2bua::{Calls, Env, ending, setup, write};
use crate::route::Source;
use ringfort_base::{CallId, Hop, PortId, Transport, limits};
use ringfort_media::description::Description;
use ringfort_media::plan::RelayCommand;
use ringfort_media::sdp::Direction;
use ringfort_media::session::{LegKind, LegSession, MediaAddress};
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use std::net::SocketAddr;

impl Calls {
    /// What calls left to be done.
    pub(in crate::b2bua) fn settle(&mut self, env: &mut Env<'_>) {
        while let Some(deferred) = self.tables.deferred.pop() {
            match deferred {
                Deferred::Dial(call, dialled) => self.dial(env, call, dialled),
                Deferred::Attend { call, dialog, asker } => self.attend(env, call, &dialog, asker),
                Deferred::GiveUp(call) => {
                    self.tables.referrals.retain(|_, (_, target)| *target != call);
                    self.with(env, call, |call, env, tables| {
                        call.caller.dialog = None;
                        call.end(env, tables, ending::Cause::named(487, "cancelled"));
                    });
                }
            }
        }
    }

    /// Asks the target of a blind transfer, by a call whose caller is the node.
    fn dial(&mut self, env: &mut Env<'_>, id: CallId, dialled: Dialled) {
        let Dialled { number, source, from, referred_by } = dialled;
        let Some(call) = self.live.get_mut(&id) else { return };
        let Some(remains) = call.transfer.as_ref().map(|t| t.referrer.other()) else { return };
        let described = call.media(remains).and_then(|m| m.described.clone()).unwrap_or_default();
        let hop = call.leg(remains).map(|leg| leg.hop);
        let sdp = hop.as_ref().and_then(|hop| offer_of(env, hop, described));
        let (Some(hop), Some(sdp)) = (hop, sdp) else { return self.refuse_transfer(env, id, 488) };
        let internal = TransactionId::internal(self.tables.fresh_id().0);
        let invite = write_invite(env, &hop, &number, &from, referred_by.as_deref(), sdp);
        let full = self.live.len() >= limits::CALLS_MAX;
        let hop = Hop { flow: None, ..hop };
        let Some(invite) = invite else { return self.refuse_transfer(env, id, 400) };
        let incoming = setup::Incoming { id: internal, hop, invite };
        let target = self.tables.next_id + 1;
        self.tables.referrals.insert(internal, (id, CallId(target)));
        if let Some(transfer) = self.live.get_mut(&id).and_then(|call| call.transfer.as_mut()) {
            transfer.target = Some(CallId(target));
        }
        if let Some(mut call) = setup::begin_as(env, &mut self.tables, incoming, source, full) {
            call.caller.device = None;
            self.begin(env, call);
        }
    }

    pub(in crate::b2bua) fn refuse_transfer(&mut self, env: &mut Env<'_>, id: CallId, status: u16) {
        let reason = ringfort_sip::status::reason(status);
        self.with(env, id, |call, env, tables| call.transfer_failed(env, tables, status, reason));
    }

    /// What the node answered to a call that it made itself.
    pub fn answered_internally(&mut self, env: &mut Env<'_>, id: TransactionId, response: &Message) {
        let Some((call, target)) = self.tables.referrals.get(&id).copied() else { return };
        let status = response.status().unwrap_or(500);
        let reason = write::own_phrase(response.reason()).unwrap_or(ringfort_sip::status::reason(status)).to_string();
        match status {
            ..200 => self.with(env, call, |call, env, _| call.transfer_progress(env, status, &reason)),
            200..300 => {
                self.tables.referrals.remove(&id);
                self.join_target(env, call, target);
            }
            _ => {
                self.tables.referrals.remove(&id);
                self.with(env, call, |call, env, tables| call.transfer_failed(env, tables, status, &reason));
            }
        }
    }

    /// The target answered: the remaining party takes the node's place in its call.
    fn join_target(&mut self, env: &mut Env<'_>, id: CallId, target: CallId) {
        if let Some(call) = self.live.get_mut(&target) {
            // The node is no party: nobody acknowledges, and nobody is to be released.
            call.caller.dialog = None;
            call.invites.retain(|awaited| !awaited.id.is_internal());
        }
        let transfer = self.live.get(&id).and_then(|call| call.transfer.as_ref());
        let Some((remains, consulted)) = transfer.map(|t| (t.referrer.other(), t.consulted)) else {
            return self.with(env, target, |call, env, tables| call.end(env, tables, ending::Cause::named(487, "cancelled")));
        };
        // A consultation call was made with what the referrer can, so its target hears of the change too.
        self.join(env, (id, remains), (target, Side::Caller), consulted);
    }

    /// Attended transfer: the leg that Replaces names gives its place to the remaining party.
    fn attend(&mut self, env: &mut Env<'_>, id: CallId, dialog: &Replaces, asker: Option<Source>) {
        let Some(remains) = self.live.get(&id).and_then(|call| call.transfer.as_ref()).map(|t| t.referrer.other()) else {
            return;
        };
        let Some((other, side)) = self.named(dialog).filter(|(other, _)| *other != id) else {
            return self.refuse_transfer(env, id, 481);
        };
        let Some(call) = self.live.get_mut(&other) else { return self.refuse_transfer(env, id, 481) };
        if side == Side::Caller && matches!(call.phase, Phase::Routing | Phase::Ringing) {
            return self.adopt(env, id, other, asker.as_ref());
        }
        if call.phase != Phase::Connected || call.exchange.is_some() {
            let status = if call.phase == Phase::Connected { 491 } else { 481 };
            return self.refuse_transfer(env, id, status);
        }
        if call.party(side) != asker {
            return self.refuse_transfer(env, id, 603);
        }
        self.join(env, (id, remains), (other, side), true);
    }

    /// The leg that Replaces names.
    pub(in crate::b2bua) fn named(&self, dialog: &Replaces) -> Option<(CallId, Side)> {
        let key = (dialog.call_id.clone(), dialog.to_tag.clone());
        let (id, side) = self.tables.dialogs.get(&key).copied()?;
        let call = self.live.get(&id)?;
        let leg = if side == Side::Caller { Some(&call.caller) } else { call.callee.as_ref() };
        leg.filter(|leg| leg.is_named_by(dialog)).map(|_| (id, side))
    }

    /// Moves a leg from its call to another one's side, whose leg so far is released. Then both parties are told of each other.
    fn join(&mut self, env: &mut Env<'_>, from: (CallId, Side), into: (CallId, Side), both: bool) {
        let (Some(mut left), Some(mut entered)) = (self.live.remove(&from.0), self.live.remove(&into.0)) else { return };
        let (side, place) = (from.1, into.1);
        left.withdraw_exchange(env, &mut self.tables);
        left.reject_exchange(env, 487);
        let (party, connected) = (left.party(side), left.connected(env.cx, side));
        // Where the node itself is the other side, in a conference for instance, it serves whoever comes.
        let (worker, attendance) = (entered.worker_of(), entered.media(place).and_then(|media| media.attendance.take()));
        if let Some(mut leg) = left.take_leg(env, side) {
            (leg.party, leg.connected) = (party, connected);
            if let Some(media) = &mut leg.media {
                (media.elsewhere, media.attendance) = (media.counters.rtp_in, attendance);
                // Packets do not pass from one worker of the relay to another.
                for port in std::iter::once(media.port).chain(media.session.aside().map(|(port, _)| port)) {
                    env.cx.relay(RelayCommand::Move { port, call: worker });
                }
            }
            leg.outbound = Some(left.is_ours_with(side, leg.outbound));
            entered.replace_leg(env, &mut self.tables, place, leg);
            for awaited in left.invites.extract_if(.., |awaited| awaited.side == side) {
                self.tables.invites.insert(awaited.id, into.0);
                entered.invites.push(crate::b2bua::call::Awaited { side: place, ..awaited });
            }
        }
        self.put_back(env, entered, |call, env, tables| {
            for side in [Side::Caller, Side::Callee] {
                if let Some(described) = call.media(side).and_then(|m| m.described.as_mut()) {
                    // Whoever was held to make the transfer is held no more.
                    described.direction = Direction::SendRecv;
                }
            }
            call.agreed(env, tables);
            call.begin_own(env, place, Offer::Resync);
            match call.exchange.as_mut().filter(|_| both) {
                Some(exchange) => exchange.then = Some(place.other()),
                None => call.tell_who(env, place.other()),
            }
        });
        // Its leg is the other call's from now on, also for a process that reads this.
        left.write_down(env);
        self.put_back(env, left, Call::transferred);
        if self.is_circular(into.0) {
            self.with(env, into.0, |call, env, tables| call.end(env, tables, ending::Cause::named(482, "loop")));
        }
    }

    /// Whether nobody is left in a call: each leg ends at another leg of the node, and the last of them at the first. A peer that
    /// called itself through the cloud and then transferred both its calls leaves such a ring, which would never end.
    fn is_circular(&self, start: CallId) -> bool {
        let (mut id, mut side) = (start, Side::Caller);
        for _ in 0..self.live.len() {
            let Some(call) = self.live.get(&id) else { return false };
            let leg = if side == Side::Caller { Some(&call.caller) } else { call.callee.as_ref() };
            let Some(dialog) = leg.and_then(|leg| leg.dialog.as_ref()) else { return false };
            let far = (dialog.id.call_id.clone(), dialog.id.remote_tag.clone());
            let Some((next, entry)) = self.tables.dialogs.get(&far).copied() else { return false };
            (id, side) = (next, entry.other());
            if (id, side) == (start, Side::Caller) {
                return true;
            }
        }
        false
    }

    fn put_back(
        &mut self,
        env: &mut Env<'_>,
        call: Box<Call>,
        act: impl FnOnce(&mut Call, &mut Env<'_>, &mut crate::b2bua::Tables),
    ) {
        let id = call.id;
        self.live.insert(id, call);
        self.with(env, id, act);
    }
}

impl Call {
    /// The leg leaves; an empty one stays in its place.
    fn take_leg(&mut self, env: &mut Env<'_>, side: Side) -> Option<Leg> {
        env.cx.timers.stop(crate::wake::Wake::Session(self.id, side));
        env.cx.timers.stop(crate::wake::Wake::Media(self.id, side));
        let slot = self.leg(side)?;
        let empty = Leg::new(slot.hop, slot.by_target, String::new(), String::new());
        let leg = std::mem::replace(slot, empty);
        self.left[side as usize] += leg.media.as_ref().map_or(0, |m| m.heard());
        Some(leg)
    }

    /// Puts another leg in a side's place and releases the one so far.
    pub(in crate::b2bua) fn replace_leg(&mut self, env: &mut Env<'_>, tables: &mut crate::b2bua::Tables, side: Side, leg: Leg) {
        let id = self.id;
        tables.dialogs.insert((leg.call_id.clone(), leg.tag.clone()), (id, side));
        if let Some(media) = &leg.media {
            let ports = std::iter::once(media.port).chain(media.session.aside().map(|(port, _)| port));
            tables.ports.extend(ports.map(|port| (port, id)));
        }
        let awaited = |a: &&crate::b2bua::call::Awaited| a.side == side && !a.id.is_internal();
        let unacknowledged = self.invites.iter().find(awaited).map(|a| a.id);
        let Some(slot) = self.leg(side) else { return };
        let old = std::mem::replace(slot, leg);
        self.drop_leg(env, tables, side, old, unacknowledged);
        self.watch_session(env, side);
    }

    /// A leg that is no part of the call any more: BYE, port closed.
    pub(in crate::b2bua) fn drop_leg(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut crate::b2bua::Tables,
        side: Side,
        mut leg: Leg,
        unacknowledged: Option<TransactionId>,
    ) {
        self.left[side as usize] += leg.media.as_ref().map_or(0, |m| m.heard());
        leg.release(env, tables, false, unacknowledged, None);
        tables.forget_leg(&leg);
    }

    fn is_ours_with(&self, side: Side, outbound: Option<bool>) -> bool {
        outbound.unwrap_or(side == Side::Callee)
    }
}

/// An offer with these formats, for the INVITE of a transfer.
pub(in crate::b2bua) fn offer_of(env: &mut Env<'_>, hop: &Hop, described: Description) -> Option<Vec<u8>> {
    let described = Description { direction: Direction::SendRecv, ..described };
    let own = env.cx.own.at(hop);
    let (rtp, advertised) = (SocketAddr::new(own.media_bind, 9), own.media_advertised);
    let address = MediaAddress { rtp, rtcp: None, advertised };
    let mut session = LegSession::new(LegKind::Rtp, PortId(0), address, &mut *env.cx.entropy);
    session.make_offer(env.cx.now.mono, &described).ok()
}

/// The INVITE by which the node calls itself on behalf of a referrer.
pub(in crate::b2bua) fn write_invite(
    env: &mut Env<'_>,
    hop: &Hop,
    number: &str,
    from: &str,
    referred_by: Option<&str>,
    sdp: Vec<u8>,
) -> Option<Message> {
    let domain = env.cx.snapshot.node.domain.clone();
    let (branch, tag, call_id) = (env.cx.branch(), env.cx.tag(), env.cx.entropy.token(20));
    let uri = format!("sip:{}@{domain}", write::user(number));
    let sent_by = env.cx.own.sent_by(&env.cx.own.other_transport(hop, Transport::Udp));
    let octets = Builder::request(&Method::Invite, &uri)
        .via(Transport::Udp, &sent_by, &branch, false)
        .header(HeaderName::MaxForwards, 70)
        .header(HeaderName::From, format!("<sip:{}@{domain}>;tag={tag}", write::user(from)))
        .header(HeaderName::To, format!("<{uri}>"))
        .header(HeaderName::CallId, call_id)
        .header(HeaderName::CSeq, "1 INVITE")
        .header(HeaderName::Contact, format!("<sip:{sent_by}>"))
        .header_if(HeaderName::ReferredBy, referred_by)
        .body("application/sdp", sdp)
        .build();
    Message::parse(octets).ok()
}
