//! Telephone events (RFC 4733) as they come: from packets that repeat, get lost and overtake each other to digits that begin and end once.

use super::digit::Digit;
use super::packet::Packet;
use ringfort_base::Time;
use std::time::Duration;

/// The last code that is a key of a keypad (RFC 4733 table 3).
const KEY_LAST: u8 = 15;
/// Nothing more was heard of an event for this long: its end got lost (RFC 4733 2.5.2.2 has three packets' time).
const SILENT_MAX: Duration = Duration::from_millis(200);
/// Longest duration that one packet can tell; longer events go on in a further segment (RFC 4733 2.5.1.3).
pub(super) const SEGMENT: u32 = 0xffff;

/// What an event packet says (RFC 4733 2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Payload {
    pub code: u8,
    pub end: bool,
    /// Attenuation, dB below 1 mW.
    pub volume: u8,
    /// Units of the event clock.
    pub duration: u16,
}

impl Payload {
    pub const LEN: usize = 4;

    pub fn parse(octets: &[u8]) -> Option<Payload> {
        let octets: &[u8; 4] = octets.first_chunk()?;
        let duration = u16::from_be_bytes([octets[2], octets[3]]);
        Some(Payload { code: octets[0], end: octets[1] & 0x80 != 0, volume: octets[1] & 0x3f, duration })
    }

    pub fn octets(self) -> [u8; Payload::LEN] {
        let [high, low] = self.duration.to_be_bytes();
        [self.code, u8::from(self.end) << 7 | (self.volume & 0x3f), high, low]
    }
}

/// The event that is told of now, or was last.
#[derive(Clone, Copy, Debug)]
struct Event {
    ssrc: u32,
    code: u8,
    clock_hz: u32,
    /// Where it began, and where the segment begins that is told of last.
    began: u32,
    segment: u32,
    /// Longest duration told, from the beginning.
    duration: u32,
    heard: Time,
    over: bool,
}

impl Event {
    fn digit(&self) -> Digit {
        let duration_ms = u64::from(self.duration) * 1_000 / u64::from(self.clock_hz.max(1));
        Digit { code: self.code, duration_ms: duration_ms as u32, end: self.over }
    }

    /// A packet that tells more of this event: of the same segment, or of a later one (RFC 4733 2.5.1.3).
    fn goes_on(&self, packet: &Packet<'_>, payload: Payload) -> bool {
        let later = packet.timestamp.wrapping_sub(self.segment);
        let told = self.duration - self.segment.wrapping_sub(self.began);
        let next = !self.over && !packet.marker && later < u32::MAX / 2 && later.is_multiple_of(SEGMENT) && later >= told;
        self.ssrc == packet.ssrc && self.code == payload.code && (later == 0 || next)
    }

    /// It belongs to an event before this one: a repeated end that came late.
    fn follows(&self, packet: &Packet<'_>) -> bool {
        self.ssrc == packet.ssrc && packet.timestamp.wrapping_sub(self.segment) > u32::MAX / 2
    }
}

/// One peer's events.
#[derive(Debug, Default)]
pub(super) struct Events {
    event: Option<Event>,
}

/// What became of a packet or of time: the end of an event, then perhaps the beginning of another, and its end.
pub(super) type Digits = [Option<Digit>; 3];

impl Events {
    /// An event is going on: what the peer says beside it is not meant to be heard.
    pub fn sounding(&self) -> bool {
        self.event.is_some_and(|event| !event.over)
    }

    /// Takes an event packet in.
    pub fn receive(&mut self, now: Time, packet: &Packet<'_>, clock_hz: u32) -> Digits {
        let Some(payload) = Payload::parse(packet.payload).filter(|payload| payload.code <= KEY_LAST) else { return [None; 3] };
        match self.event.as_mut() {
            Some(event) if event.goes_on(packet, payload) => [event.more(now, packet, payload), None, None],
            Some(event) if event.follows(packet) => [None; 3],
            _ => self.begin(now, packet, payload, clock_hz),
        }
    }

    /// Time passes: an event of which nothing more is heard is over.
    pub fn lapse(&mut self, now: Time) -> Option<Digit> {
        let event = self.event.as_mut().filter(|event| !event.over && now.since(event.heard) > SILENT_MAX)?;
        event.over = true;
        Some(event.digit())
    }

    fn begin(&mut self, now: Time, packet: &Packet<'_>, payload: Payload, clock_hz: u32) -> Digits {
        let before = self.event.as_mut().filter(|event| !event.over).map(|event| {
            event.over = true;
            event.digit()
        });
        let (ssrc, timestamp, duration) = (packet.ssrc, packet.timestamp, u32::from(payload.duration));
        let event =
            Event { ssrc, code: payload.code, clock_hz, began: timestamp, segment: timestamp, duration, heard: now, over: false };
        let begins = event.digit();
        let event = self.event.insert(event);
        [before, Some(begins), event.more(now, packet, payload)]
    }
}

impl Event {
    /// Told when it is over, once.
    fn more(&mut self, now: Time, packet: &Packet<'_>, payload: Payload) -> Option<Digit> {
        if self.over {
            return None;
        }
        self.heard = now;
        self.segment = packet.timestamp;
        let before = packet.timestamp.wrapping_sub(self.began);
        self.duration = self.duration.max(before.saturating_add(u32::from(payload.duration)));
        self.over = payload.end;
        self.over.then(|| self.digit())
    }
}

#[cfg(test)]
mod tests;
