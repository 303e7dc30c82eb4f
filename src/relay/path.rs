//! A packet's path from port to port. Knows no sockets: octets and addresses in, a verdict out; so it is measured and tested
//! without any.

use crate::allowance::Sources;
use crate::copied::Copied;
use crate::flow::{Accepted, Carried, Exit, Flow, Media, Way};
use crate::hash::OwnKeys;
use crate::untouched::{Origin, Untouched};
use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::demux::{Kind, classify};
use ringfort_media::plan::{Component, Destination, FlowPlan, PortCounters, PortPositions};
use ringfort_media::quality::Progress;
use ringfort_media::quality::making::Reporter;
use ringfort_media::tier::{Obstacle, Tier};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A place in the table of ports. Places are used again; the generation tells the users apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Position in the table.
    pub index: u32,
    /// How often the position was taken before.
    pub generation: u32,
}

/// A datagram as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The port.
    pub slot: Slot,
    /// The port's socket.
    pub component: Component,
    /// Source.
    pub from: SocketAddr,
    /// Octets of the datagram at the beginning of the buffer.
    pub len: usize,
}

/// A packet that is ready to be sent from the buffer it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The port that sends.
    pub slot: Slot,
    /// The port's socket.
    pub component: Component,
    /// What it is.
    pub media: Media,
    /// It is RTP of video.
    pub is_video: bool,
    /// Where to.
    pub to: SocketAddr,
    /// Octets at the beginning of the buffer.
    pub len: usize,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It is sent on.
    Send(Departure),
    /// The core gets it: STUN or DTLS.
    Control,
    /// It ended in the port's ear.
    Heard,
    /// Nothing; a counter says why.
    Drop,
}

/// The verdict on one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of it.
    pub step: Step,
    /// The port locked on its source just now.
    pub latched: bool,
}

const DROP: Verdict = Verdict { step: Step::Drop, latched: false };

#[derive(Default)]
struct Entry {
    generation: u32,
    flow: Option<Flow>,
}

/// The ports of one worker. Plain data with one owner: no lock, no atomic.
///
/// Order of calls: [`open`](Flows::open), [`plan`](Flows::plan) any number of times, [`relay`](Flows::relay) for each
/// datagram and [`sent`](Flows::sent) for each departure, [`close`](Flows::close).
#[derive(Default)]
pub struct Flows {
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_port: HashMap<PortId, Slot, OwnKeys>,
    /// Ports on which the node speaks.
    pub(crate) speakers: Vec<Slot>,
    /// Ports whose positions are to be told.
    due: Vec<PortId>,
    /// Ports whose peers want a picture, of which the core is to be told.
    pub(crate) wanted: Vec<PortId>,
    /// Streams that began, and on which port.
    began: Vec<(PortId, u32)>,
    /// What is random of the reports that the node makes; `None`: it makes none.
    dice: Option<Seeded>,
    /// The copy of the last packet, where a recorder gets one.
    pub(crate) copied: Copied,
    /// The packet at hand as it came, where it may leave so.
    pub(crate) untouched: Untouched,
    /// Who sends datagrams for the core.
    sources: Sources,
}

impl Flows {
    /// An empty table.
    pub fn new() -> Flows {
        Flows::default()
    }

    /// Peers of ports that are opened from now on get reports of the node's own where they get none otherwise.
    pub fn make_reports(&mut self, dice: Seeded) {
        self.dice = Some(dice);
    }

    /// The next report that is due, of the ports from place `from` on, and the place behind its port. `ntp` is the time of day. The
    /// report is ready to be sent, at the beginning of `buffer`.
    pub fn poll_report(&mut self, now: Time, ntp: u64, from: u32, buffer: &mut [u8]) -> Option<(u32, Departure)> {
        let entries = self.entries.iter_mut().enumerate().skip(from as usize);
        for (index, entry) in entries {
            let slot = Slot { index: index as u32, generation: entry.generation };
            if let Some(Exit { component, to, len }) =
                entry.flow.as_mut().and_then(|flow| flow.make_report(now, ntp, false, buffer))
            {
                return Some((slot.index + 1, Departure { slot, component, media: Media::Rtcp, is_video: false, to, len }));
            }
        }
        None
    }

    /// The last report to a port's peer, if it has got any of the node: to be sent before the port closes.
    pub fn farewell(&mut self, now: Time, ntp: u64, port: PortId, buffer: &mut [u8]) -> Option<Departure> {
        let slot = self.slot(port)?;
        let Exit { component, to, len } = self.flow(slot)?.make_report(now, ntp, true, buffer)?;
        Some(Departure { slot, component, media: Media::Rtcp, is_video: false, to, len })
    }

    /// Whether there is any port.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_port.is_empty()
    }

    /// Adds a port. `None` if it is open already.
    pub fn open(&mut self, port: PortId, has_rtcp_socket: bool) -> Option<Slot> {
        let mut flow = Flow::new(port, has_rtcp_socket);
        flow.reporter = self.dice.as_mut().map(|dice| Box::new(Reporter::new(dice)));
        self.put(flow)
    }

    /// Takes a port in as it stands. `None` if it is open already.
    pub(crate) fn put(&mut self, flow: Flow) -> Option<Slot> {
        let port = flow.port;
        if self.by_port.contains_key(&port) {
            return None;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() as u32 - 1
        });
        let entry = self.entries.get_mut(index as usize)?;
        entry.flow = Some(flow);
        let slot = Slot { index, generation: entry.generation };
        self.by_port.insert(port, slot);
        self.voice_changed(slot);
        Some(slot)
    }

    /// Removes a port and returns its final counters.
    pub fn close(&mut self, port: PortId) -> Option<(Slot, PortCounters)> {
        self.take(port).map(|(slot, flow)| (slot, flow.report()))
    }

    /// Takes a port out as it stands.
    pub(crate) fn take(&mut self, port: PortId) -> Option<(Slot, Flow)> {
        let slot = self.by_port.remove(&port)?;
        let entry = self.entries.get_mut(slot.index as usize)?;
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot.index);
        entry.flow.take().map(|flow| (slot, flow))
    }

    /// Installs or replaces a port's plan. False if the port is not open.
    pub fn plan(&mut self, now: Time, port: PortId, plan: Box<FlowPlan>) -> bool {
        let Some(flow) = self.flow_of(port) else { return false };
        flow.plan(now, plan);
        if let Some(slot) = self.slot(port) {
            self.voice_changed(slot);
        }
        true
    }

    /// Takes one datagram in `buffer[..arrival.len]` all the way: judged and unprotected at the port it came to, rewritten and
    /// protected at the port it leaves by, in this buffer. Behind the datagram there must be room for an SRTP trailer.
    pub fn relay(&mut self, now: Time, arrival: Arrival, buffer: &mut [u8]) -> Verdict {
        let Some(flow) = flow_at(&mut self.entries, arrival.slot) else { return DROP };
        let fax = flow.is_fax() && arrival.component == Component::Rtp && arrival.len > 0;
        let media = match buffer.get(..arrival.len).map(classify) {
            Some(_) if fax => Media::Udptl,
            Some(_) if flow.is_fax() => {
                flow.counters.malformed += 1;
                return DROP;
            }
            Some(Kind::Rtp) if arrival.component == Component::Rtp => Media::Rtp,
            Some(Kind::Rtcp) => Media::Rtcp,
            // ICE and DTLS speak on the port of RTP alone: a peer that does not multiplex would need both once more for RTCP.
            Some(Kind::Stun | Kind::Dtls) if arrival.component == Component::Rtp => {
                let sources = &mut self.sources;
                return match flow.admit_control(now, || sources.take(now, arrival.from)) {
                    true => Verdict { step: Step::Control, latched: false },
                    false => DROP,
                };
            }
            _ => {
                flow.counters.malformed += 1;
                return DROP;
            }
        };
        if !self.keep(arrival.slot, media, buffer.get(..arrival.len).unwrap_or_default()) {
            return DROP;
        }
        let flow = flow_at(&mut self.entries, arrival.slot);
        let Some(accepted) = flow.and_then(|flow| flow.accept(now, arrival.component, media, arrival.from, buffer, arrival.len))
        else {
            return DROP;
        };
        self.note(now, arrival.slot);
        if media == Media::Rtp {
            let began = self.flow(arrival.slot).and_then(|flow| Some((flow.port, flow.take_stream()?)));
            self.began.extend(began);
            self.copy(now, arrival.slot, buffer.get(..accepted.len).unwrap_or_default());
        }
        let flow = self.flow(arrival.slot);
        let heard =
            media == Media::Rtp && flow.is_some_and(|flow| flow.hear(now, buffer.get(..accepted.len).unwrap_or_default()));
        if heard {
            return Verdict { step: Step::Heard, latched: accepted.latched };
        }
        let step = self.across(now, arrival.slot, media, buffer, &accepted).map_or(Step::Drop, Step::Send);
        if let Step::Send(departure) = step {
            self.note(now, departure.slot);
        }
        Verdict { step, latched: accepted.latched }
    }

    /// Remembers a port whose positions are to be told.
    pub(crate) fn note(&mut self, now: Time, slot: Slot) {
        let due = self.flow(slot).filter(|flow| flow.is_secure()).and_then(|flow| flow.is_due(now).then_some(flow.port));
        self.due.extend(due);
    }

    /// A port whose SRTP contexts went on so far that a restarted process needs to know where they stand.
    pub fn poll_positions(&mut self) -> Option<(PortId, PortPositions)> {
        while let Some(port) = self.due.pop() {
            if let Some(positions) = self.positions(port) {
                return Some((port, positions));
            }
        }
        None
    }

    /// A stream that began, which the core is to be told of.
    pub fn poll_stream(&mut self) -> Option<(PortId, u32)> {
        self.began.pop()
    }

    /// From the port that accepted a packet to the port that sends it, and out there.
    fn across(&mut self, now: Time, from: Slot, media: Media, buffer: &mut [u8], accepted: &Accepted) -> Option<Departure> {
        let len = accepted.len;
        let flow = self.flow(from)?;
        let (parted, is_video) = (flow.apart.is_some(), media == Media::Rtp && flow.is_video(buffer));
        if parted && media == Media::Rtcp {
            return self.part_reports(now, from, buffer, len);
        }
        let slot = match parted.then(|| self.exit_apart(from, is_video, buffer)).flatten() {
            Some(exit) => exit?,
            None => self.exit_of(from, media, buffer)?,
        };
        if media == Media::Rtp && self.flow(slot)?.apart.is_some() {
            let port = self.flow(from)?.port;
            self.flow(slot)?.together(port, buffer);
        }
        if media == Media::Rtp && !is_video && self.flow(slot)?.is_sounding() {
            self.flow(slot)?.discard();
            return None;
        }
        let origin = Origin::Peer { under: accepted.under, as_it_came: self.untouched.octets() };
        let Exit { component, to, len } = flow_at(&mut self.entries, slot)?.depart(now, media, buffer, len, origin)?;
        Some(Departure { slot, component, media, is_video, to, len })
    }

    /// The port by which video of a bundle leaves, if there is any: counted where not. `None`: it is no such packet.
    fn exit_apart(&mut self, from: Slot, is_video: bool, buffer: &mut [u8]) -> Option<Option<Slot>> {
        let exit = match self.flow(from)?.apart(is_video, buffer)? {
            Destination::Port(port) => self.slot(port),
            Destination::Echo { .. } | Destination::Discard(_) => None,
        };
        if exit.is_none() {
            self.flow(from)?.discard();
        }
        Some(exit)
    }

    /// The port by which a packet leaves. Counts the packet where there is none.
    fn exit_of(&mut self, from: Slot, media: Media, buffer: &mut [u8]) -> Option<Slot> {
        let (destination, known) = self.flow(from)?.destination()?;
        let slot = match destination {
            Destination::Port(port) => self.find(from, port, known),
            Destination::Echo { ssrc } if media == Media::Rtp => {
                // RFC 3550 8.2: a sender that meets its own SSRC must take it for a collision or a loop.
                buffer.get_mut(8..12)?.copy_from_slice(&ssrc.to_be_bytes());
                Some(from)
            }
            Destination::Echo { .. } | Destination::Discard(_) => None,
        };
        if slot.is_none() {
            self.flow(from)?.discard();
        }
        slot
    }

    /// Looks a destination up by its id only when it is not where it last was.
    pub(crate) fn find(&mut self, from: Slot, port: PortId, known: Option<Slot>) -> Option<Slot> {
        if let Some(slot) = known.filter(|slot| self.flow(*slot).is_some()) {
            return Some(slot);
        }
        let slot = *self.by_port.get(&port)?;
        self.flow(from)?.found_across(slot);
        Some(slot)
    }

    /// Counts what became of a departure.
    pub fn sent(&mut self, departure: &Departure, success: bool) {
        if let Some(flow) = self.flow(departure.slot) {
            flow.sent(departure.media, success);
        }
    }

    /// The way of a port's RTP when nothing but its addresses is to be changed, or why it is not so.
    pub(crate) fn way(&mut self, slot: Slot) -> Result<Way, Obstacle> {
        let flow = self.flow(slot).ok_or(Obstacle::Stopped)?;
        let ((peer, to, speech, under), is_video) = (flow.untouched_in()?, flow.is_all_video());
        let exit = *self.by_port.get(&to).ok_or(Obstacle::Stopped)?;
        let to = self.flow(exit).ok_or(Obstacle::Stopped)?.untouched_out(under)?;
        let seal = match under {
            Some(_) => Some(self.flow(slot).and_then(|flow| flow.seal()).ok_or(Obstacle::Settling)?),
            None => None,
        };
        Ok(Way { peer, exit, to, speech, is_video, seal })
    }

    /// The kernel carried a port's stream of SRTP on up to this index.
    pub(crate) fn carried_on(&mut self, slot: Slot, ssrc: u32, index: u64) {
        if let Some(flow) = self.flow(slot) {
            flow.carried_on(ssrc, index);
        }
    }

    /// The port's locked source has sent, though nothing came here.
    pub(crate) fn heard_elsewhere(&mut self, now: Time, slot: Slot) {
        if let Some(flow) = self.flow(slot) {
            flow.heard_elsewhere(now);
        }
    }

    /// Whether a datagram from there is worth asking the kernel how far it has carried the port's stream, and how old an
    /// earlier answer may be.
    pub(crate) fn minds(&mut self, now: Time, slot: Slot, component: Component, from: SocketAddr) -> Option<Duration> {
        self.flow(slot)?.minds(now, component, from)
    }

    /// SSRC and index of a port's stream that comes, if it is SRTP.
    pub(crate) fn stands(&mut self, slot: Slot) -> Option<(u32, u64)> {
        self.flow(slot)?.stands()
    }

    /// Where the count of what a port receives stands.
    pub(crate) fn progress(&mut self, slot: Slot) -> Progress {
        self.flow(slot).map_or(Progress::default(), |flow| flow.progress())
    }

    /// The kernel took packets from one port's peer and sent them to the other's.
    pub(crate) fn forwarded(&mut self, from: Slot, exit: Slot, carried: Carried, progress: Progress) {
        if let Some(flow) = self.flow(from) {
            flow.took(carried, progress);
        }
        if let Some(flow) = self.flow(exit) {
            flow.counters.rtp_out += carried.packets;
        }
    }

    /// What carries a port's packets now.
    pub(crate) fn set_tier(&mut self, slot: Slot, tier: Tier) {
        if let Some(flow) = self.flow(slot) {
            flow.set_tier(tier);
        }
    }

    /// The port's packets come as frames, or by its socket.
    pub(crate) fn carried_as_frames(&mut self, slot: Slot, frames: bool) {
        if let Some(flow) = self.flow(slot) {
            flow.set_tier(flow.tier().as_frames(frames));
        }
    }

    /// What carries the port's packets.
    pub(crate) fn tier(&mut self, slot: Slot) -> Option<Tier> {
        self.flow(slot).map(|flow| flow.tier())
    }

    /// Counts a datagram that the slow path could not send.
    pub(crate) fn send_failed(&mut self, port: PortId) {
        if let Some(flow) = self.flow_of(port) {
            flow.counters.send_failed += 1;
        }
    }

    /// Counts a datagram that was longer than any that is handled.
    pub(crate) fn too_long(&mut self, slot: Slot) {
        if let Some(flow) = self.flow(slot) {
            flow.counters.malformed += 1;
        }
    }

    /// Counts a control datagram that the core had no room for, which was taken for passed up.
    pub(crate) fn control_lost(&mut self, slot: Slot) {
        if let Some(flow) = self.flow(slot) {
            flow.counters.control_in -= 1;
            flow.counters.control_dropped += 1;
        }
    }

    /// The slot of an open port.
    pub fn slot(&self, port: PortId) -> Option<Slot> {
        self.by_port.get(&port).copied()
    }

    /// The port in a slot.
    pub fn port(&self, slot: Slot) -> Option<PortId> {
        let entry = self.entries.get(slot.index as usize).filter(|entry| entry.generation == slot.generation)?;
        entry.flow.as_ref().map(|flow| flow.port)
    }

    /// Counters of all ports.
    pub fn counters(&self) -> impl Iterator<Item = (PortId, PortCounters)> {
        self.entries.iter().filter_map(|entry| entry.flow.as_ref()).map(|flow| (flow.port, flow.report()))
    }

    /// Where the SRTP contexts of a port stand. `None` if the port is not open.
    pub fn positions(&mut self, port: PortId) -> Option<PortPositions> {
        self.flow_of(port).map(|flow| flow.positions())
    }

    /// Lets the SRTP contexts of a port's plan go on from `positions`.
    pub fn restore(&mut self, port: PortId, positions: &PortPositions) {
        if let Some(flow) = self.flow_of(port) {
            flow.restore(positions);
        }
    }

    pub(crate) fn flow_of(&mut self, port: PortId) -> Option<&mut Flow> {
        let slot = self.slot(port)?;
        self.flow(slot)
    }

    pub(crate) fn flow(&mut self, slot: Slot) -> Option<&mut Flow> {
        flow_at(&mut self.entries, slot)
    }

    /// Where a slot's port lies, if one may lie there.
    pub(crate) fn place(&self, slot: Slot) -> Option<&Option<Flow>> {
        self.entries.get(slot.index as usize).map(|entry| &entry.flow)
    }

    /// The port in a slot, and the room for copies.
    pub(crate) fn flow_and_copied(&mut self, slot: Slot) -> (Option<&mut Flow>, &mut Copied) {
        (flow_at(&mut self.entries, slot), &mut self.copied)
    }
}

fn flow_at(entries: &mut [Entry], slot: Slot) -> Option<&mut Flow> {
    let entry = entries.get_mut(slot.index as usize)?;
    entry.flow.as_mut().filter(|_| entry.generation == slot.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ringfort_base::limits::{MEDIA_DATAGRAM_MAX, SRTP_TRAILER_MAX};
    use ringfort_media::plan::{Latch, Receive, SrtpKeys, SrtpProfile, Transmit};

    fn plan(to: PortId, keys: Option<SrtpKeys>) -> Box<FlowPlan> {
        Box::new(FlowPlan {
            receive: Receive {
                srtp: keys.clone(),
                speech: vec![(0, 8_000)],
                signals: vec![101],
                control: true,
                ..Receive::of(Latch::Symmetric { expected: None, grace_ms: 0 })
            },
            destination: Destination::Port(to),
            transmit: Transmit {
                rtp: "192.0.2.1:4000".parse().ok(),
                rtcp: None,
                rtcp_mux: true,
                srtp: keys,
                lent: false,
                muted: false,
            },
            audio: None,
            copy: None,
            apart: None,
        })
    }

    fn arrival(slot: Slot, len: usize) -> Arrival {
        Arrival { slot, component: Component::Rtp, from: "192.0.2.2:5000".parse().unwrap(), len }
    }

    #[test]
    fn a_place_is_used_again_under_another_generation() {
        let mut flows = Flows::new();
        let first = flows.open(PortId(1), false).unwrap();
        assert_eq!(flows.open(PortId(1), false), None);
        flows.close(PortId(1)).unwrap();
        let second = flows.open(PortId(2), false).unwrap();
        assert_eq!((first.index, flows.port(first)), (second.index, None));
        assert_eq!(flows.port(second), Some(PortId(2)));
        assert_eq!(flows.relay(Time::ZERO, arrival(first, 12), &mut [0x80; 64]), DROP);
        assert_eq!(flows.close(PortId(1)), None);
    }

    #[test]
    fn a_length_beyond_the_buffer_is_refused() {
        let mut flows = Flows::new();
        let slot = flows.open(PortId(1), false).unwrap();
        flows.plan(Time::ZERO, PortId(1), plan(PortId(1), None));
        assert_eq!(flows.relay(Time::ZERO, arrival(slot, 65), &mut [0x80; 64]), DROP);
        assert_eq!(flows.close(PortId(1)).unwrap().1.malformed, 1);
    }

    /// Loss, jitter and the way to the peer and back, as they are counted when the port closes.
    #[test]
    fn what_passes_is_measured() {
        let mut flows = Flows::new();
        let slots = [1, 2].map(|port| flows.open(PortId(port), false).unwrap());
        flows.plan(Time::ZERO, PortId(1), plan(PortId(2), None));
        flows.plan(Time::ZERO, PortId(2), plan(PortId(1), None));
        let pass = |flows: &mut Flows, at_us: u64, slot: usize, packet: &[u8]| {
            let mut buffer = packet.to_vec();
            buffer.resize(packet.len() + SRTP_TRAILER_MAX, 0);
            let verdict = flows.relay(Time::from_micros(at_us), arrival(slots[slot], packet.len()), &mut buffer);
            assert!(matches!(verdict.step, Step::Send(_)), "{verdict:?}");
        };
        let rtp =
            |n: u16| [&[0x80, 0][..], &n.to_be_bytes(), &(u32::from(n) * 160).to_be_bytes(), &[0, 0, 0, 7], &[0; 20]].concat();
        for n in (0..100).filter(|n| n % 10 != 9) {
            let late = if n % 2 == 0 { 0 } else { 4_000 };
            pass(&mut flows, u64::from(n) * 20_000 + late, 0, &rtp(n));
        }
        // A sender report of the first, and what the second answers 70 ms later, of which it held the report for 50.
        let sender = [&[0x80, 200, 0, 6, 0, 0, 0, 7, 1, 2][..], &77u32.to_be_bytes(), &[0; 14]].concat();
        pass(&mut flows, 3_000_000, 0, &sender);
        let block = [&[0, 0, 0, 7, 0, 0, 0, 3][..], &[0; 8], &77u32.to_be_bytes(), &(65_536u32 / 20).to_be_bytes()].concat();
        pass(&mut flows, 3_070_000, 1, &[&[0x81, 201, 0, 7, 0, 0, 0, 8][..], &block].concat());
        let [first, second] = [1, 2].map(|port| flows.close(PortId(port)).unwrap().1);
        assert_eq!((first.rtp_in, first.rtp_lost), (90, 9), "the last one is not missed yet");
        assert!((3_000..=4_000).contains(&first.jitter_max_us), "{}", first.jitter_max_us);
        assert_eq!((second.peer_lost, second.rtp_lost, first.round_trip_us), (3, 0, None));
        assert!(second.round_trip_us.is_some_and(|us| (19_900..=20_100).contains(&us)), "{:?}", second.round_trip_us);
    }

    proptest! {
        /// Whatever comes in: no panic, and each datagram is counted exactly once at the port where it arrived.
        #[test]
        fn every_datagram_is_counted_once(
            datagrams in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 0u8..8, any::<bool>()), 0..40),
            secure: bool,
        ) {
            let keys = secure.then(|| SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, key: vec![1; 16], salt: vec![2; 12] });
            let mut flows = Flows::new();
            let slot = flows.open(PortId(1), true).unwrap();
            flows.open(PortId(2), false).unwrap();
            flows.plan(Time::ZERO, PortId(1), plan(PortId(2), keys));
            flows.plan(Time::ZERO, PortId(2), plan(PortId(1), None));
            let count = datagrams.len() as u64;
            for (mut datagram, first, rtcp) in datagrams {
                if let Some(octet) = datagram.first_mut() {
                    *octet = [0x80, 0x90, 0xa0, 0x8f, 0x00, 0x16, 0xff, *octet][usize::from(first)];
                }
                let len = datagram.len();
                datagram.resize(MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX, 0);
                let component = if rtcp { Component::Rtcp } else { Component::Rtp };
                flows.relay(Time::ZERO, Arrival { component, ..arrival(slot, len) }, &mut datagram);
            }
            let c = flows.close(PortId(1)).unwrap().1;
            let taken = c.rtp_in + c.rtcp_in + c.control_in;
            let refused = c.stray_source + c.auth_failed + c.replayed + c.malformed + c.control_dropped;
            prop_assert_eq!(taken + refused, count);
        }
    }
}
