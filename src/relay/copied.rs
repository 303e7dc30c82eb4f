//! A second packet beside the one that is relayed: a copy for a recorder, or the other part of RTCP that is taken apart.
//! A copy is made of what a party sends, before the packet itself goes on; it leaves by a port of its
//! own, protected as that port's plan says. Nothing of the packet's own way depends on what becomes of the copy.

use crate::flow::{Exit, Flow, Media};
use crate::path::{Departure, Flows, Slot};
use crate::untouched::Origin;
use ringfort_base::Time;
use ringfort_base::limits::{MEDIA_DATAGRAM_MAX, SRTP_TRAILER_MAX};

/// Bit of the second octet that is no part of the payload type.
const MARKER: u8 = 0x80;

/// Room for one copy, and where it goes.
pub(crate) struct Copied {
    room: Box<[u8]>,
    departure: Option<Departure>,
}

impl Default for Copied {
    fn default() -> Copied {
        Copied { room: vec![0; MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX].into(), departure: None }
    }
}

impl Copied {
    /// Keeps a packet that is ready to be sent beside the one at hand.
    pub(crate) fn hold(&mut self, departure: Departure, packet: &[u8]) {
        if let Some(room) = self.room.get_mut(..packet.len()) {
            room.copy_from_slice(packet);
            self.departure = Some(departure);
        }
    }
}

impl Flows {
    /// Makes the copy of a packet that a port accepted, in plain, where its plan asks for one.
    pub(crate) fn copy(&mut self, now: Time, from: Slot, packet: &[u8]) {
        self.copied.departure = None;
        let Some((port, payload)) = self.flow(from).and_then(|flow| flow.copied_to(packet)) else { return };
        let Some(slot) = self.slot(port) else { return };
        let (Some(flow), copied) = self.flow_and_copied(slot) else { return };
        copied.departure = copy_by(flow, now, slot, packet, payload, &mut copied.room);
    }

    /// What leaves beside the packet that was relayed last; [`Flows::sent`] is told what became of it.
    pub fn take_copy(&mut self) -> Option<(Departure, &[u8])> {
        let departure = self.copied.departure.take()?;
        Some((departure, self.copied.room.get(..departure.len)?))
    }
}

fn copy_by(flow: &mut Flow, now: Time, slot: Slot, packet: &[u8], payload: u8, room: &mut [u8]) -> Option<Departure> {
    room.get_mut(..packet.len())?.copy_from_slice(packet);
    let second = room.get_mut(1)?;
    *second = *second & MARKER | payload & !MARKER;
    let Exit { component, to, len } = flow.depart(now, Media::Rtp, room, packet.len(), Origin::READ)?;
    Some(Departure { slot, component, media: Media::Rtp, is_video: false, to, len })
}
