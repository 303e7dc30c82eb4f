//! Answered calls as clients of their users have them, for those users' other clients (RFC 3891).

use super::Calls;
use super::call::{Call, Leg, Phase, Side};
use super::connected::party_of;
use crate::route::Source;
use crate::status::SeatStatus;

impl Calls {
    /// A row for each client of an account that has an answered call, oldest call first.
    pub fn seats(&self) -> Vec<SeatStatus> {
        let both = self.live.values().flat_map(|call| [Side::Caller, Side::Callee].map(|side| call.seat(side)));
        let mut seats: Vec<SeatStatus> = both.flatten().collect();
        seats.sort_by_key(|seat| (seat.call, !seat.outgoing));
        seats
    }
}

impl Call {
    fn seat(&self, side: Side) -> Option<SeatStatus> {
        let answered = self.answered.filter(|_| self.phase == Phase::Connected)?;
        let (own, other) = match side {
            Side::Caller => (&self.caller, self.callee.as_ref()),
            Side::Callee => (self.callee.as_ref()?, Some(&self.caller)),
        };
        let Source::Account(user) = self.party_at(side, own)? else { return None };
        let dialog = own.dialog.as_ref().filter(|_| own.is_confirmed())?;
        let (peer, peer_name) = self.person_at(side.other(), other);
        let mut media = [Some(own), other].into_iter().flatten().filter_map(|leg| leg.media.as_ref());
        Some(SeatStatus {
            user: user.into(),
            call: self.id,
            call_id: dialog.id.call_id.clone().into(),
            node_tag: dialog.id.local_tag.clone(),
            client_tag: dialog.id.remote_tag.clone(),
            outgoing: side == Side::Caller,
            peer: peer.into(),
            peer_name: peer_name.into(),
            held: media.any(|media| media.session.on_hold()),
            answered,
        })
    }

    /// Whom this leg belongs to.
    pub(in crate::b2bua) fn party_at(&self, side: Side, leg: &Leg) -> Option<Source> {
        let of_slot = || match side {
            Side::Caller => Some(self.asked.source.clone()),
            Side::Callee => self.target.as_ref().and_then(party_of),
        };
        let of_device = || leg.device.as_ref().map(|device| Source::Account(device.user.clone()));
        leg.party.clone().or_else(of_device).or_else(of_slot)
    }

    /// Who sits there, as far as it may be shown: user part and name.
    fn person_at(&self, side: Side, leg: Option<&Leg>) -> (String, String) {
        let known = leg.and_then(|leg| leg.connected.as_ref()).map(|connected| connected.person_shown());
        let asked = match side {
            Side::Caller => (self.asked.from.as_str(), self.asked.from_name.as_str()),
            Side::Callee => (self.asked.number.as_str(), ""),
        };
        let (user, name) = known.unwrap_or(asked);
        (user.to_string(), name.to_string())
    }
}
