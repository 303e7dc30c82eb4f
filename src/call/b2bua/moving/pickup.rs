//! Call pickup (RFC 5359 2.16): INVITE with Replaces of a dialog that still rings takes the call away from the device that rings. It is
//! for whoever is called, and for accounts of the same `pickup_group`.

use crate::b2bua::call::{Awaited, Call, Leg, Phase, Side};
use crate::b2bua::exchange::{Exchange, Offer};
use crate::b2bua::transfer::Replaces;
use crate::b2bua::within::Asked;
use crate::b2bua::{Calls, Env, Tables, connected, media, progress, setup, write};
use crate::config::Snapshot;
use crate::route::{Source, Target};
use crate::wake::Wake;
use ringfort_base::CallId;
use ringfort_media::description::Description;
use ringfort_sip::message::{Builder, HeaderName};

/// Begins the Call-ID by which watchers know a ringing device.
const NAMED: &str = "pickup-";

/// Call-ID, the device's tag and the node's tag of a device that rings, as watchers are told: its own are none of their business.
pub(in crate::b2bua) fn name(call: CallId, branch: u32) -> [String; 3] {
    let CallId(id) = call;
    [format!("{NAMED}{id:x}"), format!("d{branch}"), format!("n{branch}")]
}

/// Begins the Call-ID by which watchers know a call that is parked.
const PARKED: &str = "parked-";

/// The same of a call that stands at an account which parks calls.
pub(in crate::b2bua) fn parked(call: CallId, side: Side) -> [String; 3] {
    let (CallId(id), side) = (call, side.as_str());
    [format!("{PARKED}{id:x}"), format!("d{side}"), format!("n{side}")]
}

/// The call and the side of such a name.
pub(in crate::b2bua) fn read_parked(wanted: &Replaces) -> Option<(CallId, Side)> {
    let id = CallId(u64::from_str_radix(wanted.call_id.strip_prefix(PARKED)?, 16).ok()?);
    let named = |side: &Side| parked(id, *side) == [wanted.call_id.as_str(), &wanted.from_tag, &wanted.to_tag];
    [Side::Caller, Side::Callee].into_iter().find(named).map(|side| (id, side))
}

/// Whether this account may take a call that is parked at that one: one of its `pickup_group`.
pub(in crate::b2bua) fn may_retrieve(snapshot: &Snapshot, source: &Source, parks: &Source) -> bool {
    let (Source::Account(own), Source::Account(parks)) = (source, parks) else { return false };
    let account = |user: &str| snapshot.accounts.get(user);
    account(parks).is_some_and(|account| account.parks && account.pickup_group.is_some()) && share_group(snapshot, own, parks)
}

fn share_group(snapshot: &Snapshot, one: &str, other: &str) -> bool {
    let group = |user: &str| snapshot.accounts.get(user).and_then(|account| account.pickup_group.as_deref());
    group(one).is_some_and(|own| group(other) == Some(own))
}

/// The call and the branch of such a name.
fn read(wanted: &Replaces) -> Option<(CallId, u32)> {
    let id = CallId(u64::from_str_radix(wanted.call_id.strip_prefix(NAMED)?, 16).ok()?);
    let branch = wanted.from_tag.strip_prefix('d')?.parse().ok()?;
    (name(id, branch) == [wanted.call_id.as_str(), &wanted.from_tag, &wanted.to_tag]).then_some((id, branch))
}

impl Calls {
    /// The call whose ringing device Replaces names, and that device's branch: as watchers are told, or by the device's own dialog.
    pub(in crate::b2bua) fn ringing(&mut self, incoming: &setup::Incoming) -> Option<(CallId, u32)> {
        let wanted = Replaces::parse(incoming.invite.header(HeaderName::Replaces)?)?;
        if let Some((id, no)) = read(&wanted) {
            let call = self.live.get_mut(&id).filter(|call| call.phase == Phase::Ringing)?;
            return call.asking.branch(no).map(|branch| (id, branch.no));
        }
        let (id, side) = self.tables.dialogs.get(&(wanted.call_id.clone(), wanted.to_tag.clone())).copied()?;
        let call = self.live.get_mut(&id).filter(|call| side == Side::Callee && call.phase == Phase::Ringing)?;
        let branch = call.asking.branches.iter_mut().find(|branch| branch.leg.call_id == wanted.call_id)?;
        branch.fork_tagged(&wanted.from_tag)?;
        Some((id, branch.no))
    }
}

/// Whether this account may have what rings at that target.
fn may_pick_up(snapshot: &Snapshot, source: &Source, target: &Target) -> bool {
    let (Source::Account(own), Target::Device { user, .. }) = (source, target) else { return false };
    own == user || share_group(snapshot, own, user)
}

impl Call {
    /// The new leg answers the call in the place of whoever rings. The refusal's status, if it may not or cannot.
    pub(in crate::b2bua) fn picked_up(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        no: u32,
        mut leg: Leg,
        incoming: &setup::Incoming,
    ) -> Result<(), u16> {
        let snapshot = self.snapshot.clone().unwrap_or_else(|| env.cx.snapshot.clone());
        let target = self.asking.branch(no).map(|branch| branch.target.clone()).ok_or(481u16)?;
        if !leg.party.as_ref().is_some_and(|source| may_pick_up(&snapshot, source, &target)) {
            return Err(403);
        }
        if self.invite.is_none() || self.callee.is_some() || self.asking.held.is_some() {
            return Err(481);
        }
        let offer = progress::sdp_of(&incoming.invite).map(<[u8]>::to_vec);
        match offer {
            // Neither side has an offer to give.
            None if self.asking.delayed => return Err(488),
            None if self.awaits_prack() => return Err(491),
            _ => {}
        }
        let source = leg.party.clone().ok_or(403u16)?;
        let opened = setup::open_for(env, tables, self.id, &source, (&incoming.hop, &incoming.invite));
        let mut media = opened.ok_or(503u16)?;
        let before = self.caller.media.as_ref().and_then(|media| media.described.clone()).unwrap_or_else(Description::g711);
        let now = env.cx.now.mono;
        let agreed = match &offer {
            Some(offer) => {
                let described = media.session.receive_offer(now, offer);
                described.and_then(|described| Ok((media.session.make_answer(now, &before)?, described)))
            }
            // The caller's offer goes to whoever picks up, and the ACK tells what it takes of it.
            None => media.session.make_offer(now, &before).map(|sdp| (sdp, before)),
        };
        let (sdp, described) = match agreed {
            Ok(agreed) => agreed,
            Err(error) => {
                media::close(env, tables, &media);
                tables.ports.remove(&media.port);
                return Err(error.status());
            }
        };
        match &offer {
            Some(offer) => {
                media.described = Some(described.clone());
                media.remember(offer);
            }
            None => {
                let asked = Asked { id: incoming.id, hop: incoming.hop, request: incoming.invite.clone() };
                let then = Some(Side::Caller);
                self.exchange = Some(Exchange { answered: true, then, ..Exchange::of(Side::Callee, &asked, Offer::FromNode) });
            }
        }
        leg.media = Some(media);
        self.settle_pickup(env, tables, target, leg);
        self.accept_pickup(env, tables, incoming, sdp);
        let key = (self.asking.number(), String::new());
        self.tell_answer(env, tables, key, &described);
        Ok(())
    }

    fn settle_pickup(&mut self, env: &mut Env<'_>, tables: &mut Tables, target: Target, leg: Leg) {
        env.cx.timers.stop(Wake::TargetSilent(self.id));
        env.cx.timers.stop(Wake::RingEnd(self.id));
        self.asking.completed_elsewhere(env, tables);
        tables.dialogs.insert((leg.call_id.clone(), leg.tag.clone()), (self.id, Side::Callee));
        self.target = Some(target);
        self.callee = Some(leg);
    }

    /// 200 to whoever picks the call up.
    fn accept_pickup(&mut self, env: &mut Env<'_>, tables: &mut Tables, incoming: &setup::Incoming, sdp: Vec<u8>) {
        let Some(leg) = self.callee.as_mut() else { return };
        if let Some(dialog) = &mut leg.dialog {
            dialog.confirm();
        }
        let (hop, tag) = (leg.hop, leg.tag.clone());
        let cseq = incoming.invite.cseq().map_or(0, |(number, _)| number);
        self.invites.push(Awaited { id: incoming.id, side: Side::Callee, cseq });
        tables.invites.insert(incoming.id, self.id);
        let reply = Builder::reply(&incoming.invite, 200, None, Some(&tag))
            .copy(&incoming.invite, HeaderName::RecordRoute)
            .header(HeaderName::Contact, write::contact(env.cx, &hop))
            .header(HeaderName::Allow, crate::ALLOW)
            .header(HeaderName::Supported, crate::SUPPORTED);
        let reply = connected::with(reply, &self.told_of_other(env.cx, Side::Callee));
        let reply = self.grant_session(env, Side::Callee, &incoming.invite, reply);
        env.cx.respond(incoming.id, reply.body("application/sdp", sdp).build());
    }
}
