//! INVITE with Replaces (RFC 3891): a device takes over a call of its own user, such as from the desk phone to the one in the hand. The
//! other party is asked with what the new device offers; the old one is released when the new one has its answer, and not before. So is a
//! call taken that was parked (RFC 5359 2.15).

use crate::b2bua::call::{Awaited, Call, Leg, Phase, Side};
use crate::b2bua::exchange::{Exchange, Offer};
use crate::b2bua::proof::Proving;
use crate::b2bua::transfer::Replaces;
use crate::b2bua::within::Asked;
use crate::b2bua::{Calls, Env, Tables, connected, device, identity, media, pickup, progress, setup};
use crate::route::Source;
use ringfort_base::CallId;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::HeaderName;

/// A leg that is being replaced.
pub(crate) struct Replaced {
    side: Side,
    /// The leg so far; it comes back when the new one is refused.
    old: Leg,
    /// The new one has its answer.
    pub stands: bool,
}

impl Calls {
    /// An INVITE that wants the place of a leg.
    pub(in crate::b2bua) fn replace(&mut self, env: &mut Env<'_>, incoming: setup::Incoming) {
        let source = match identity::source_of(env, &incoming.hop, &incoming.invite) {
            Ok(source) => source,
            Err(stranger) => return drop(setup::turn_away(env, &incoming, stranger)),
        };
        let rings = self.ringing(&incoming);
        let found = match rings {
            Some((id, _)) => Ok((id, Side::Callee)),
            None => self.replaceable(env, &incoming, &source),
        };
        let refusal = match found {
            Ok((id, side)) => {
                let tag = env.cx.tag();
                let dialog = Dialog::uas(&incoming.invite, &tag, incoming.hop).map_err(|error| error.status());
                dialog.map(|dialog| (id, side, dialog))
            }
            Err(status) => Err(status),
        };
        match refusal {
            Err(status) => drop(setup::refuse(env, &incoming, status, None, &[])),
            Ok((id, side, dialog)) => {
                let device = device::of_caller(env, &source, &incoming.hop, &incoming.invite, &dialog);
                let (call_id, tag) = (dialog.id.call_id.clone(), dialog.id.local_tag.clone());
                let by_target = !matches!(source, crate::route::Source::Account(_));
                let mut leg = Leg::new(incoming.hop, by_target, call_id, tag);
                (leg.dialog, leg.device, leg.placed) = (Some(dialog), device, env.cx.now.mono);
                leg.proving = Proving::of(&source);
                leg.connected = connected::of_newcomer(&env.cx.snapshot, &source, &incoming.invite);
                (leg.party, leg.outbound) = (Some(source), Some(false));
                leg.learn(&incoming.invite);
                let mut refused = None;
                self.with(env, id, |call, env, tables| match rings {
                    Some((_, no)) => {
                        refused = call.picked_up(env, tables, no, leg, &incoming).err().map(|status| (status, incoming))
                    }
                    None => call.take_over_leg(env, tables, side, leg, incoming),
                });
                if let Some((status, incoming)) = refused {
                    setup::refuse(env, &incoming, status, None, &[]);
                }
            }
        }
    }

    /// The leg that may be replaced, or the status of RFC 3891 3 that says why none is.
    fn replaceable(&mut self, env: &Env<'_>, incoming: &setup::Incoming, source: &Source) -> Result<(CallId, Side), u16> {
        let mut values = incoming.invite.headers(HeaderName::Replaces);
        let (Some(value), None) = (values.next(), values.next()) else { return Err(400) };
        let wanted = Replaces::parse(value).filter(|_| incoming.invite.header(HeaderName::Join).is_none()).ok_or(400u16)?;
        let parked = pickup::read_parked(&wanted);
        let (id, side) = parked.or_else(|| self.named(&wanted)).ok_or(481u16)?;
        let call = self.live.get_mut(&id).ok_or(481u16)?;
        let party = call.party(side);
        let retrieves = |party: &Source| parked.is_some() && pickup::may_retrieve(&env.cx.snapshot, source, party);
        let own = party.as_ref().is_some_and(|party| party == source || retrieves(party));
        match call.phase {
            // An early dialog that the peer began cannot be replaced.
            Phase::Routing | Phase::Ringing => Err(481),
            Phase::Ending | Phase::Over => Err(603),
            Phase::Connected if wanted.early_only => Err(486),
            Phase::Connected if !own => Err(403),
            Phase::Connected if call.exchange.is_some() || call.replaced.is_some() || call.transfer.is_some() => Err(491),
            Phase::Connected => Ok((id, side)),
        }
    }
}

impl Call {
    /// The new leg stands in the place of the old one while the other party is asked.
    fn take_over_leg(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, mut leg: Leg, incoming: setup::Incoming) {
        let source = leg.party.clone().unwrap_or(Source::Cloud);
        leg.media = setup::open_for(env, tables, self.id, &source, (&incoming.hop, &incoming.invite));
        if leg.media.is_none() {
            return drop(setup::refuse(env, &incoming, 503, None, &[]));
        }
        tables.dialogs.insert((leg.call_id.clone(), leg.tag.clone()), (self.id, side));
        let Some(slot) = self.leg(side) else { return };
        let old = std::mem::replace(slot, leg);
        if let (Some(media), Some(before)) = (&mut slot.media, &old.media) {
            media.attendance.clone_from(&before.attendance);
        }
        self.gather(env);
        self.replaced = Some(Replaced { side, old, stands: false });
        let cseq = incoming.invite.cseq().map_or(0, |(number, _)| number);
        self.invites.push(Awaited { id: incoming.id, side, cseq });
        tables.invites.insert(incoming.id, self.id);
        let offer = progress::sdp_of(&incoming.invite).map(<[u8]>::to_vec);
        let kind = if offer.is_some() { Offer::Request } else { Offer::FromOtherLeg };
        let asked = Asked { id: incoming.id, hop: incoming.hop, request: incoming.invite };
        self.exchange = Some(Exchange::of(side, &asked, kind));
        match offer {
            Some(offer) => self.carry_offer(env, tables, side, &offer),
            None => self.ask_for_offer(env, side),
        }
    }

    /// The new leg was accepted: the old one is released. Or it was not: the old one is back.
    pub(in crate::b2bua) fn settle_replacement(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let over = |replaced: &mut Replaced| replaced.stands || self.exchange.is_none();
        let Some(Replaced { side, old, stands }) = self.replaced.take_if(over) else { return };
        if stands || self.phase != Phase::Connected {
            self.drop_leg(env, tables, side, old, None);
            self.watch_session(env, side);
            return self.write_down(env);
        }
        let Some(slot) = self.leg(side) else { return };
        let refused = std::mem::replace(slot, old);
        if let Some(media) = &refused.media {
            media::close(env, tables, media);
        }
        tables.forget_leg(&refused);
        self.watch_session(env, side);
        self.agreed(env, tables);
    }
}
