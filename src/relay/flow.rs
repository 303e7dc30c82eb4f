//! One port's packets: its plan with the SRTP contexts that belong to it, its latch, its counters.

mod ahead;
mod way;

use crate::allowance::Allowance;
use crate::apart::Apart;
use crate::latch::{LatchState, Standing};
use crate::path::Slot;
use crate::plausible::is_plausible;
use crate::protection::{Protection, Receiving};
use crate::spent::{Spent, protect};
use crate::untouched::{LentKeys, Origin};
use crate::voice::Voice;
use ringfort_base::limits::{CONTROL_PER_SECOND_MAX, STRAYS_PROVED_PER_SECOND_MAX, STREAMS_TOLD_MAX};
use ringfort_base::{PortId, Time};
use ringfort_media::plan::{Component, Destination, DiscardReason, FlowPlan, PortCounters, PortPositions, Receive, Transmit};
use ringfort_media::quality::making::{Heard, MADE_MAX, Reporter};
use ringfort_media::quality::{Audio, Reception, RoundTrip};
use ringfort_media::srtp::{KeyMark, SrtpError, SrtpSender};
use std::net::SocketAddr;
use std::time::Duration;
pub(crate) use way::{Carried, Seal, Way};

/// The shortest pause between two tellings of one port's positions.
const POSITIONS_PAUSE: Duration = Duration::from_secs(1);

/// What a media packet is, whichever socket carries it (RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
    /// A datagram of a fax, of which the relay reads nothing (ITU-T T.38 over UDPTL).
    Udptl,
}

/// A plan in force.
struct Active {
    plan: Box<FlowPlan>,
    latch: LatchState,
    receiver: Receiving,
    sender: Protection<SrtpSender>,
    lent: LentKeys,
    spent: Spent,
    /// The destination port where it was last found.
    across: Option<Slot>,
}

impl Active {
    fn new(now: Time, plan: Box<FlowPlan>) -> Active {
        let sender = protect(&plan.transmit);
        Active {
            latch: LatchState::new(now, plan.receive.latch),
            receiver: Receiving::new(plan.receive.srtp.as_ref()),
            lent: LentKeys::new(&plan.transmit, &sender),
            sender,
            spent: Spent::default(),
            across: None,
            plan,
        }
    }

    /// A context whose keys did not change goes on: roll-over counter and replay window belong to the keys, not to the plan.
    fn replace(&mut self, now: Time, plan: Box<FlowPlan>) {
        self.latch.renew(now, plan.receive.latch);
        if self.plan.receive.opened != plan.receive.opened {
            self.latch.open(now);
        }
        if self.plan.receive.srtp != plan.receive.srtp {
            self.receiver.replace(now, plan.receive.srtp.as_ref());
        }
        let keys = |transmit: &'_ Transmit| (transmit.srtp.clone(), transmit.lent);
        if keys(&self.plan.transmit) != keys(&plan.transmit) {
            self.spent.replace(&mut self.sender, &plan.transmit);
            self.lent.replace(now, &plan.transmit, &self.sender);
        }
        self.across = None;
        self.plan = plan;
    }

    /// Whether the peer is followed to where its keys are used. With ICE it is found by its checks alone.
    fn follows(&self) -> bool {
        !self.receiver.is_plain() && self.plan.receive.fragment.is_none()
    }

    /// Whether a packet from elsewhere is asked for its keys: where they prove that it is the peer's. Keys that others know prove it only
    /// for the host that the peer's description names.
    fn may_prove(&self, now: Time, component: Component, from: SocketAddr) -> bool {
        let whose = !self.plan.receive.told || self.latch.is_named(from);
        self.follows() && whose && self.latch.is_silent(now, component, from)
    }

    /// Whether who uses the peer's keys is the peer.
    fn is_proof(&self) -> bool {
        !self.receiver.is_plain() && !self.plan.receive.told
    }
}

/// One open port.
pub(crate) struct Flow {
    pub(crate) port: PortId,
    pub(crate) counters: PortCounters,
    reception: Reception,
    round_trip: RoundTrip,
    /// The stream that the core was told of last, and how many it was told of.
    stream: Option<u32>,
    streams: u8,
    /// Makes reports to this port's peer; `None`: none are made.
    pub(crate) reporter: Option<Box<Reporter>>,
    has_rtcp_socket: bool,
    active: Option<Active>,
    control: Allowance,
    /// Packets from elsewhere that are asked for their keys.
    strays: Allowance,
    /// What the node hears and says itself on this port.
    pub(crate) voice: Option<Box<Voice>>,
    /// Video of a bundle that goes another way than the audio.
    pub(crate) apart: Option<Box<Apart>>,
    /// When the positions were told last, and whether they should be told again.
    told: Option<Time>,
    turned: bool,
}

/// A packet that a port accepted.
pub(crate) struct Accepted {
    pub(crate) len: usize,
    /// The packet's source was locked on just now.
    pub(crate) latched: bool,
    /// By which keys it was proved.
    pub(crate) under: Option<KeyMark>,
}

/// Where a packet leaves.
pub(crate) struct Exit {
    pub(crate) component: Component,
    pub(crate) to: SocketAddr,
    pub(crate) len: usize,
}

impl Flow {
    pub(crate) fn new(port: PortId, has_rtcp_socket: bool) -> Flow {
        Flow {
            port,
            counters: PortCounters::default(),
            reception: Reception::default(),
            round_trip: RoundTrip::default(),
            stream: None,
            streams: 0,
            reporter: None,
            has_rtcp_socket,
            active: None,
            control: Allowance::default(),
            strays: Allowance::default(),
            voice: None,
            apart: None,
            told: None,
            turned: false,
        }
    }

    /// The counters, with what was measured of the audio.
    pub(crate) fn report(&self) -> PortCounters {
        let round_trip = self.round_trip.last().map(|trip| u32::try_from(trip.as_micros()).unwrap_or(u32::MAX));
        PortCounters {
            rtp_lost: self.reception.lost(),
            jitter_us: self.reception.jitter_us(),
            jitter_max_us: self.reception.jitter_max_us(),
            round_trip_us: round_trip,
            peer_lost: self.round_trip.peer_lost(),
            peer_mos_tenths: self.round_trip.mos_tenths(),
            ..self.counters
        }
    }

    /// Whether the port takes the datagrams of a fax, and nothing else.
    pub(crate) fn is_fax(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.plan.receive.udptl)
    }

    /// Installs or replaces the plan.
    pub(crate) fn plan(&mut self, now: Time, plan: Box<FlowPlan>) {
        Voice::renew(&mut self.voice, plan.audio.as_deref());
        Apart::renew(&mut self.apart, plan.apart.as_deref());
        if plan.transmit.lent != self.has_lent_keys()
            && let Some(reporter) = &mut self.reporter
        {
            reporter.forget_sent();
        }
        match &mut self.active {
            Some(active) => active.replace(now, plan),
            None => self.active = Some(Active::new(now, plan)),
        }
    }

    /// Whether RTP can be sent to the peer now.
    pub(crate) fn has_exit(&self) -> bool {
        self.active.as_ref().is_some_and(|active| {
            let transmit = &active.plan.transmit;
            !transmit.muted && matches!(target(transmit, &active.latch, self.has_rtcp_socket, Media::Rtp), Target::At(..))
        })
    }

    /// The stream that comes now, if the core is to be told of it.
    pub(crate) fn take_stream(&mut self) -> Option<u32> {
        let source = self.reception.source();
        if source == self.stream || self.streams >= STREAMS_TOLD_MAX {
            return None;
        }
        (self.stream, self.streams) = (source, self.streams + 1);
        source
    }

    /// Takes an accepted packet that the node hears itself. False: it is none.
    pub(crate) fn hear(&mut self, now: Time, rtp: &[u8]) -> bool {
        let payload = rtp.get(1).map_or(0, |octet| octet & 0x7f);
        let Some(voice) = self.voice.as_mut().filter(|voice| voice.hears(payload)) else { return false };
        voice.hear(now, rtp);
        true
    }

    /// Whether one more STUN or DTLS datagram may go up to the core in this second: where the plan asks for them, and their source
    /// has sent no more than `source` lets it.
    pub(crate) fn admit_control(&mut self, now: Time, source: impl FnOnce() -> bool) -> bool {
        let wanted = self.active.as_ref().is_some_and(|active| active.plan.receive.control);
        let admitted = wanted && self.control.take(now, CONTROL_PER_SECOND_MAX) && source();
        let counter = if admitted { &mut self.counters.control_in } else { &mut self.counters.control_dropped };
        *counter += 1;
        admitted
    }

    /// Judges a media packet in `buffer[..len]` that arrived on the socket of `component`, and unprotects it in place.
    /// `None`: it was refused and counted. A source locks only with a packet that proved to be media (with keys: that is
    /// authentic). Where keys prove it, a peer that fell silent is followed elsewhere: its NAT gave it another address.
    pub(crate) fn accept(
        &mut self,
        now: Time,
        component: Component,
        media: Media,
        from: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Option<Accepted> {
        let Some(active) = &mut self.active else {
            self.counters.discarded += 1;
            return None;
        };
        let mut standing = active.latch.judge(now, component, from);
        if standing == Standing::Stray {
            if !active.may_prove(now, component, from) || !self.strays.take(now, STRAYS_PROVED_PER_SECOND_MAX) {
                self.stray(from);
                return None;
            }
            standing = Standing::Moved;
        }
        let (plain_len, under) = match active.receiver.unprotect(now, media, &mut buffer[..len], standing == Standing::Known) {
            Ok(opened) if is_plausible(media, &buffer[..opened.0]) => opened,
            _ if standing == Standing::Moved => {
                self.stray(from);
                return None;
            }
            Ok(_) => return self.refuse(None),
            Err(error) => return self.refuse(Some(error)),
        };
        let latched = standing != Standing::Known;
        match standing {
            Standing::Moved => active.latch.follow(now, component, from, active.is_proof()),
            Standing::Candidate => active.latch.lock(component, from),
            Standing::Known | Standing::Stray => {}
        }
        active.latch.heard(now, component);
        let plain = &buffer[..plain_len];
        match media {
            Media::Rtp => {
                let content = Content::of(&active.plan.receive, plain);
                if !matches!(content, Content::Video) {
                    self.reception.packet(now, plain, content.clock_hz());
                }
                self.counters.rtp_in += 1;
                self.counters.rtp_in_octets += len as u64;
                content.count(&mut self.counters);
            }
            Media::Udptl => {
                self.counters.rtp_in += 1;
                self.counters.rtp_in_octets += len as u64;
                self.counters.signals_in += 1;
            }
            Media::Rtcp => {
                // Only a bundle has sources that are no audio; elsewhere a source may have changed unseen, in the kernel.
                let audio = match active.plan.receive.video.is_empty() {
                    true => Audio::default(),
                    false => {
                        let to = self.reporter.as_ref().and_then(|reporter| reporter.source());
                        Audio { from: self.reception.source(), to }
                    }
                };
                self.round_trip.came(now, plain, audio);
                self.counters.rtcp_in += 1;
            }
        }
        Some(Accepted { len: plain_len, latched, under })
    }

    /// Whether something comes back that the node itself has said to this port's peer, under keys that its own peer lent.
    pub(crate) fn has_said(&self, media: Media, packet: &[u8]) -> bool {
        let at = if media == Media::Rtcp { 4 } else { 8 };
        let ssrc = packet.get(at..).and_then(<[u8]>::first_chunk).map(|octets| u32::from_be_bytes(*octets));
        let sender = self.active.as_ref().map(|active| &active.sender);
        matches!((sender, ssrc), (Some(Protection::Srtp(sender)), Some(ssrc)) if sender.is_lent() && sender.owns(ssrc))
    }

    /// Such a packet is refused.
    pub(crate) fn refuse_own(&mut self) {
        self.counters.replayed += 1;
    }

    /// A packet came from elsewhere. While nobody may send yet, that is no stray.
    fn stray(&mut self, from: SocketAddr) {
        if matches!(self.destination(), Some((Destination::Discard(DiscardReason::NotReady | DiscardReason::NotConnected), _))) {
            return self.discard();
        }
        self.counters.stray_source += 1;
        self.counters.stray_last = Some(from);
    }

    /// A packet goes nowhere.
    pub(crate) fn discard(&mut self) {
        self.counters.discarded += 1;
        match self.active.as_ref().map(|active| active.plan.destination) {
            Some(Destination::Discard(DiscardReason::OnHold)) => self.counters.discarded_on_hold += 1,
            Some(Destination::Discard(_)) => self.counters.discarded_not_ready += 1,
            _ => {}
        }
    }

    fn refuse<T>(&mut self, error: Option<SrtpError>) -> Option<T> {
        let counter = match error {
            None | Some(SrtpError::TooShort | SrtpError::Version) => &mut self.counters.malformed,
            Some(SrtpError::Replayed | SrtpError::TooOld) => &mut self.counters.replayed,
            Some(_) => &mut self.counters.auth_failed,
        };
        *counter += 1;
        None
    }

    /// The port by which a copy of this packet leaves, and the payload type that it has then. `None`: nobody gets one.
    pub(crate) fn copied_to(&self, packet: &[u8]) -> Option<(PortId, u8)> {
        let copy = self.active.as_ref()?.plan.copy.as_ref()?;
        let payload = packet.get(1)? & 0x7f;
        let (_, as_sent) = copy.payloads.iter().find(|(from, _)| *from == payload)?;
        Some((copy.port, *as_sent))
    }

    /// Whether an RTP packet that came in is video, which goes by the plan.
    pub(crate) fn is_video(&self, packet: &[u8]) -> bool {
        let payload = packet.get(1).map_or(0, |octet| octet & 0x7f);
        self.is_all_video() || self.active.as_ref().is_some_and(|active| active.plan.receive.video.contains(&payload))
    }

    /// Whether nothing but video comes in.
    pub(crate) fn is_all_video(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.plan.receive.is_video)
    }

    /// Whether RTP that comes from elsewhere has to wait: a digit sounds.
    pub(crate) fn is_sounding(&self) -> bool {
        self.voice.as_ref().is_some_and(|voice| voice.is_sounding())
    }

    /// Where accepted packets go, and the slot where that port was last found.
    pub(crate) fn destination(&self) -> Option<(Destination, Option<Slot>)> {
        self.active.as_ref().map(|active| (active.plan.destination, active.across))
    }

    /// It comes to another table, where slots mean something else.
    pub(crate) fn moved(&mut self) {
        if let Some(active) = &mut self.active {
            active.across = None;
        }
    }

    /// Remembers where the destination port is.
    pub(crate) fn found_across(&mut self, slot: Slot) {
        if let Some(active) = &mut self.active {
            active.across = Some(slot);
        }
    }

    /// Whether the keys of the plan are lent.
    pub(crate) fn has_lent_keys(&self) -> bool {
        self.active.as_ref().is_some_and(|active| active.lent.now().is_some())
    }

    /// Lets a packet out to this port's peer: protects it in place, or lets it go as it came, and says where to. `None`: it does not
    /// leave, and was counted.
    pub(crate) fn depart(&mut self, now: Time, media: Media, buffer: &mut [u8], len: usize, origin: Origin<'_>) -> Option<Exit> {
        // While one leg is a fax and the other one is not yet, nothing of the one is anything to the other.
        let fits = |plan: &FlowPlan| !plan.transmit.muted && plan.receive.udptl == (media == Media::Udptl);
        let Some(active) = self.active.as_mut().filter(|active| fits(&active.plan)) else {
            self.counters.discarded += 1;
            return None;
        };
        let (component, to) = match target(&active.plan.transmit, &active.latch, self.has_rtcp_socket, media) {
            Target::At(component, to) => (component, to),
            Target::NotTaken => {
                self.counters.discarded += 1;
                return None;
            }
            Target::Unknown => {
                self.counters.send_failed += 1;
                return None;
            }
        };
        let plain = buffer.get(..len).unwrap_or_default();
        let passes = active.lent.now().is_some() && matches!(origin, Origin::Peer { .. });
        match (media, &mut self.reporter) {
            // Under lent keys the node does not speak for an SSRC of the peer.
            (Media::Rtp, _) if passes => {}
            (Media::Rtp, Some(reporter)) => {
                let content = Content::of(&active.plan.receive, plain);
                if !matches!(content, Content::Video) {
                    reporter.sent(now, plain, content.clock_hz());
                }
            }
            (Media::Rtp, None) | (Media::Udptl, _) => {}
            (Media::Rtcp, reporter) => {
                self.round_trip.passed_on(now, plain);
                reporter.iter_mut().for_each(|reporter| reporter.passed(now));
            }
        }
        let leaves = match passes {
            true => active.lent.pass(now, media, origin, &mut active.sender, buffer),
            false => active.sender.protect(media, buffer, len),
        };
        match leaves {
            Ok(len) => Some(Exit { component, to, len }),
            Err(
                SrtpError::Replayed
                | SrtpError::TooOld
                | SrtpError::Retired
                | SrtpError::TooManyStreams
                | SrtpError::ForeignSource
                | SrtpError::KeyExhausted,
            ) => {
                self.counters.srtp_unsent += 1;
                None
            }
            Err(_) => {
                self.counters.send_failed += 1;
                None
            }
        }
    }

    /// A report of the node's own to this port's peer, if one is due, or with `bye` if the peer has got any before. `ntp` is the time of
    /// day.
    pub(crate) fn make_report(&mut self, now: Time, ntp: u64, bye: bool, buffer: &mut [u8]) -> Option<Exit> {
        let (active, reporter) = (self.active.as_mut()?, self.reporter.as_mut()?);
        let alone = self.voice.is_some() || !matches!(active.plan.destination, Destination::Port(_));
        let wanted = if bye { reporter.has_reported() } else { reporter.is_due(now, alone) };
        if !wanted {
            return None;
        }
        let transmit = &active.plan.transmit;
        if active.plan.receive.udptl {
            return None;
        }
        let Target::At(component, to) = target(transmit, &active.latch, self.has_rtcp_socket, Media::Rtcp) else { return None };
        let clock_hz = active.plan.receive.speech.first().map_or(0, |(_, clock_hz)| *clock_hz);
        let heard = self.reception.heard(clock_hz);
        let heard = heard.map(|heard| Heard { last_report: self.round_trip.last_report(now), ..heard });
        let len = reporter.write(now, ntp, heard, bye, buffer.get_mut(..MADE_MAX)?)?;
        self.round_trip.passed_on(now, buffer.get(..len)?);
        let len = active.sender.protect(Media::Rtcp, buffer, len).ok()?;
        Some(Exit { component, to, len })
    }

    /// Counts what became of a departure.
    pub(crate) fn sent(&mut self, media: Media, success: bool) {
        let counter = match (success, media) {
            (false, _) => &mut self.counters.send_failed,
            (true, Media::Rtp | Media::Udptl) => &mut self.counters.rtp_out,
            (true, Media::Rtcp) => &mut self.counters.rtcp_out,
        };
        *counter += 1;
    }

    /// Whether packets are protected on this port.
    pub(crate) fn is_secure(&self) -> bool {
        let plain = |active: &Active| active.receiver.is_plain() && matches!(active.sender, Protection::Plain);
        self.active.as_ref().is_some_and(|active| !plain(active))
    }

    /// Whether the positions of the SRTP contexts are to be told now. A peer that begins a stream with each packet makes no more work
    /// than others.
    pub(crate) fn is_due(&mut self, now: Time) -> bool {
        if let Some(receiver) = self.active.as_mut().and_then(|active| active.receiver.context()) {
            self.turned |= receiver.take_turned();
        }
        if let Some(Active { sender: Protection::Srtp(sender), .. }) = &mut self.active {
            self.turned |= sender.take_turned();
        }
        let due = self.turned && self.told.is_none_or(|told| now.since(told) >= POSITIONS_PAUSE);
        if due {
            (self.turned, self.told) = (false, Some(now));
        }
        due
    }

    /// Where the SRTP contexts stand.
    pub(crate) fn positions(&self) -> PortPositions {
        let mut positions = PortPositions::default();
        if let Some(receive) = self.active.as_ref().and_then(|active| active.receiver.positions()) {
            positions.receive = receive;
        }
        if let Some(Active { sender: Protection::Srtp(sender), .. }) = &self.active {
            positions.transmit = sender.positions();
        }
        positions
    }

    /// The contexts of the plan in force go on from `positions`.
    pub(crate) fn restore(&mut self, positions: &PortPositions) {
        let Some(active) = &mut self.active else { return };
        if let Some(receiver) = active.receiver.context() {
            receiver.restore(&positions.receive);
        }
        if let Protection::Srtp(sender) = &mut active.sender {
            sender.restore(&positions.transmit);
        }
    }
}

/// What an RTP packet carries, by its payload type.
enum Content {
    /// Agreed speech, with its clock, Hz.
    Speech(u32),
    /// Telephone events, comfort noise.
    Signal,
    /// Video that was agreed on.
    Video,
    /// Nothing that was agreed on.
    Unknown(u8),
    /// The plan does not say what was agreed on.
    Untold,
}

impl Content {
    fn of(receive: &Receive, packet: &[u8]) -> Content {
        let payload = packet.get(1).map_or(0, |octet| octet & 0x7f);
        match receive.speech.iter().find(|(of, _)| *of == payload) {
            Some((_, clock_hz)) => Content::Speech(*clock_hz),
            None if receive.signals.contains(&payload) => Content::Signal,
            None if receive.video.contains(&payload) => Content::Video,
            None if receive.speech.is_empty() => Content::Untold,
            None => Content::Unknown(payload),
        }
    }

    fn clock_hz(&self) -> Option<u32> {
        if let Content::Speech(clock_hz) = self { Some(*clock_hz) } else { None }
    }

    fn count(&self, counters: &mut PortCounters) {
        match self {
            Content::Speech(_) | Content::Untold => {}
            Content::Signal | Content::Video => counters.signals_in += 1,
            Content::Unknown(payload) => {
                counters.unknown_payload += 1;
                counters.unknown_payload_last = Some(*payload);
            }
        }
    }
}

enum Target {
    At(Component, SocketAddr),
    /// The peer takes no RTCP.
    NotTaken,
    Unknown,
}

/// Which of the port's sockets sends, and to which address: the latched one, else the one in the plan.
fn target(transmit: &Transmit, latch: &LatchState, has_rtcp_socket: bool, media: Media) -> Target {
    let at = |component, to: Option<SocketAddr>| to.map_or(Target::Unknown, |to| Target::At(component, to));
    let rtp = latch.source(Component::Rtp);
    if media != Media::Rtcp || transmit.rtcp_mux {
        return at(Component::Rtp, rtp.or(transmit.rtp));
    }
    match transmit.rtcp {
        Some(planned) if has_rtcp_socket => {
            let learned = latch.source(Component::Rtcp).or_else(|| behind_nat(transmit, rtp?));
            at(Component::Rtcp, Some(learned.unwrap_or(planned)))
        }
        _ => Target::NotTaken,
    }
}

/// RTP that comes from another host than the plan says comes through a NAT, where the planned RTCP address leads nowhere. The
/// next port is the best guess until RTCP latches by itself (RFC 3550 11).
fn behind_nat(transmit: &Transmit, rtp: SocketAddr) -> Option<SocketAddr> {
    let planned = transmit.rtp?;
    let port = rtp.port().checked_add(1)?;
    (planned.ip() != rtp.ip()).then(|| SocketAddr::new(rtp.ip(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtcp_follows_rtp_through_a_nat() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let transmit = Transmit {
            rtp: Some(at("10.0.0.1:4000")),
            rtcp: Some(at("10.0.0.1:4001")),
            rtcp_mux: false,
            srtp: None,
            lent: false,
            muted: false,
        };
        let rule = ringfort_media::plan::Latch::Symmetric { expected: None, grace_ms: 0 };
        let mut latch = LatchState::new(Time::ZERO, rule);
        let to = |latch: &LatchState, sockets| match target(&transmit, latch, sockets, Media::Rtcp) {
            Target::At(Component::Rtcp, to) => Some(to),
            _ => None,
        };
        assert_eq!(to(&latch, true), Some(at("10.0.0.1:4001")));
        assert_eq!(to(&latch, false), None);
        latch.lock(Component::Rtp, at("192.0.2.1:7000"));
        assert_eq!(to(&latch, true), Some(at("192.0.2.1:7001")));
        latch.lock(Component::Rtcp, at("192.0.2.1:9999"));
        assert_eq!(to(&latch, true), Some(at("192.0.2.1:9999")));
    }
}
