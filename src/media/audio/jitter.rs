//! The jitter buffer: packets of one stream in their order, and how long they should wait.
//!
//! Every packet's lateness is measured against the quickest one of late. What nearly all packets keep is what each has to wait, so that
//! the late ones find their turn. Read RFC 3550 6.4.1 and A.1 first.

use super::codec::Codec;
use super::packet::Packet;
use ringfort_base::Time;
use ringfort_base::limits::{JITTER_PACKETS_MAX, JITTER_WAIT_MAX, MEDIA_DATAGRAM_MAX};
use std::time::Duration;

/// A jump ahead that is more than a gap: the sender began anew (RFC 3550 A.1).
const DROPOUT_MAX: u16 = 3_000;
/// Timestamps that go against arrivals by more than this have a new base.
const JUMP: Duration = Duration::from_secs(2);
/// Packets wait this long at least: a timer's grain on either side.
const WAIT_MIN: Duration = Duration::from_millis(20);
/// Wait before anything is known of the path.
const WAIT_FIRST: Duration = Duration::from_millis(40);
/// Width of the classes that lateness is counted in.
const CLASS: Duration = Duration::from_millis(10);
const CLASSES: usize = (JITTER_WAIT_MAX.as_millis() / CLASS.as_millis()) as usize;
/// Share of packets that come in time, per mille.
const IN_TIME: f32 = 0.97;
/// The quickest packet is forgotten by this much of the time, per mille: more than any clock drifts.
const DRIFT_PER_MILLE: i64 = 1;

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Speech(Codec),
    ComfortNoise,
    /// Something that is not played, such as an event: its sequence number is not missing.
    Silent,
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Kept,
    /// It begins a stream; what was there of an earlier one is gone.
    Anew,
    /// Seen before, too late, or a stray.
    Dropped,
}

/// A packet that waits.
#[derive(Debug)]
pub(super) struct Slot {
    filled: bool,
    /// Extended by roll-overs.
    pub sequence: u64,
    /// Extended by roll-overs, in units of the stream's clock.
    pub timestamp: i64,
    pub kind: Kind,
    pub octets: Vec<u8>,
    arrived: Time,
    late_us: u64,
}

impl Slot {
    fn empty() -> Slot {
        let octets = Vec::new();
        Slot { filled: false, sequence: 0, timestamp: 0, kind: Kind::Silent, octets, arrived: Time::ZERO, late_us: 0 }
    }

    /// How long the quickest packet would have waited if this one is played now.
    pub fn delay(&self, now: Time) -> Duration {
        now.since(self.arrived) + Duration::from_micros(self.late_us)
    }

    /// Copies the payload. Room grows in two steps, so that a stream whose packets differ in size soon allocates no more.
    fn fill(&mut self, payload: &[u8]) {
        self.octets.clear();
        if self.octets.capacity() < payload.len() {
            self.octets.reserve_exact(if payload.len() <= 256 { 256 } else { MEDIA_DATAGRAM_MAX.max(payload.len()) });
        }
        self.octets.extend_from_slice(payload);
        self.filled = true;
    }
}

/// One synchronisation source from one beginning to the next.
#[derive(Debug)]
struct Stream {
    ssrc: u32,
    clock_hz: u32,
    /// Highest sequence number and timestamp, extended.
    highest: u64,
    timestamp: i64,
    /// A jump was seen, and this number would confirm that the sender began anew.
    confirms: Option<u16>,
    /// Arrival less timestamp of the quickest packet, µs.
    quickest_us: i64,
    arrived: Time,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Jitter {
    slots: Box<[Slot]>,
    stream: Option<Stream>,
    /// First sequence number that was neither taken nor given up.
    next: u64,
    lateness: Lateness,
}

impl Jitter {
    pub fn new() -> Jitter {
        let slots = (0..JITTER_PACKETS_MAX).map(|_| Slot::empty()).collect();
        Jitter { slots, stream: None, next: 0, lateness: Lateness::new() }
    }

    /// How long the quickest packet should wait.
    pub fn wanted(&self) -> Duration {
        self.lateness.wanted
    }

    /// Clock of the stream, Hz.
    pub fn clock_hz(&self) -> u32 {
        self.stream.as_ref().map_or(8_000, |stream| stream.clock_hz)
    }

    /// First sequence number that was neither taken nor given up.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes a packet in. `clock_hz`: of its payload type; `None`: whatever the stream has.
    pub fn insert(&mut self, now: Time, packet: &Packet<'_>, kind: Kind, clock_hz: Option<u32>) -> Inserted {
        let Some(sequence) = self.place(packet, clock_hz) else { return self.begin(now, packet, kind, clock_hz) };
        let Some(stream) = self.stream.as_mut() else { return Inserted::Dropped };
        let Some(sequence) = sequence.filter(|sequence| *sequence >= self.next) else { return Inserted::Dropped };
        let timestamp = stream.timestamp + i64::from(packet.timestamp.wrapping_sub(stream.timestamp as u32) as i32);
        let Some(late_us) = stream.late_us(now, timestamp, packet.marker, kind) else {
            return self.begin(now, packet, kind, clock_hz);
        };
        stream.highest = stream.highest.max(sequence);
        // An event's timestamp may be of another clock.
        if kind != Kind::Silent {
            stream.timestamp = stream.timestamp.max(timestamp);
        }
        if matches!(kind, Kind::Speech(_)) {
            self.lateness.count(late_us);
        }
        self.make_room(sequence);
        self.put(Slot { filled: true, sequence, timestamp, kind, octets: Vec::new(), arrived: now, late_us }, packet.payload)
    }

    /// `None`: a new stream; `Some(None)`: a stray, or older than anything that is kept.
    fn place(&mut self, packet: &Packet<'_>, clock_hz: Option<u32>) -> Option<Option<u64>> {
        let stream = self.stream.as_mut()?;
        if stream.ssrc != packet.ssrc || clock_hz.is_some_and(|hz| hz != stream.clock_hz) {
            return None;
        }
        let ahead = packet.sequence.wrapping_sub(stream.highest as u16);
        if ahead < DROPOUT_MAX {
            stream.confirms = None;
            return Some(Some(stream.highest + u64::from(ahead)));
        }
        let back = u64::from((stream.highest as u16).wrapping_sub(packet.sequence));
        if back < JITTER_PACKETS_MAX as u64 {
            return Some(stream.highest.checked_sub(back));
        }
        // Two in a row make a new beginning; one alone is a stray.
        let anew = stream.confirms == Some(packet.sequence);
        stream.confirms = Some(packet.sequence.wrapping_add(1));
        if anew { None } else { Some(None) }
    }

    fn begin(&mut self, now: Time, packet: &Packet<'_>, kind: Kind, clock_hz: Option<u32>) -> Inserted {
        self.slots.iter_mut().for_each(|slot| slot.filled = false);
        let clock_hz = clock_hz.unwrap_or_else(|| self.clock_hz()).max(1);
        // Room for what comes late from before the first packet.
        let sequence = (1 << 16) | u64::from(packet.sequence);
        let mut stream = Stream {
            ssrc: packet.ssrc,
            clock_hz,
            highest: sequence,
            timestamp: i64::from(packet.timestamp),
            confirms: None,
            quickest_us: 0,
            arrived: now,
        };
        stream.quickest_us = stream.transit_us(now, stream.timestamp);
        let timestamp = stream.timestamp;
        self.stream = Some(stream);
        self.next = sequence;
        self.put(Slot { filled: true, sequence, timestamp, kind, octets: Vec::new(), arrived: now, late_us: 0 }, packet.payload);
        Inserted::Anew
    }

    /// Gives up the oldest places when a packet lies too far ahead.
    fn make_room(&mut self, sequence: u64) {
        let first = (sequence + 1).saturating_sub(JITTER_PACKETS_MAX as u64);
        if first > self.next {
            self.give_up_before(first);
        }
    }

    fn put(&mut self, new: Slot, payload: &[u8]) -> Inserted {
        let slot = &mut self.slots[new.sequence as usize % JITTER_PACKETS_MAX];
        if slot.filled {
            return Inserted::Dropped;
        }
        let octets = std::mem::take(&mut slot.octets);
        *slot = Slot { octets, ..new };
        slot.fill(payload);
        Inserted::Kept
    }

    /// What comes before `sequence` will not be played any more.
    pub fn give_up_before(&mut self, sequence: u64) {
        let gone = sequence.saturating_sub(self.next).min(JITTER_PACKETS_MAX as u64);
        for sequence in self.next..self.next + gone {
            self.slots[sequence as usize % JITTER_PACKETS_MAX].filled = false;
        }
        self.next = self.next.max(sequence);
    }

    /// The oldest packet that waits.
    pub fn first(&self) -> Option<&Slot> {
        let highest = self.stream.as_ref()?.highest;
        (self.next..=highest).find_map(|sequence| self.at(sequence))
    }

    fn at(&self, sequence: u64) -> Option<&Slot> {
        Some(&self.slots[sequence as usize % JITTER_PACKETS_MAX]).filter(|slot| slot.filled && slot.sequence == sequence)
    }
}

impl Stream {
    fn transit_us(&self, now: Time, timestamp: i64) -> i64 {
        now.as_micros() as i64 - timestamp.saturating_mul(1_000_000) / i64::from(self.clock_hz)
    }

    /// How much later than the quickest packet this one came. `None`: its timestamp has a new base.
    fn late_us(&mut self, now: Time, timestamp: i64, marker: bool, kind: Kind) -> Option<u64> {
        if kind == Kind::Silent {
            // An event's timestamp is that of its beginning.
            return Some(0);
        }
        let transit_us = self.transit_us(now, timestamp);
        self.quickest_us += now.since(self.arrived).as_micros() as i64 * DRIFT_PER_MILLE / 1000;
        self.arrived = now;
        let late_us = transit_us - self.quickest_us;
        if late_us.unsigned_abs() > JUMP.as_micros() as u64 {
            return None;
        }
        // Some senders stop their timestamps in silence: a talkspurt that seems late is a new beginning.
        if late_us < 0 || (marker && late_us > JITTER_WAIT_MAX.as_micros() as i64) {
            self.quickest_us = transit_us;
        }
        Some((transit_us - self.quickest_us).max(0) as u64)
    }
}

/// How late packets are, as shares of classes that slowly forget.
#[derive(Debug)]
struct Lateness {
    shares: [f32; CLASSES],
    counted: u32,
    wanted: Duration,
}

impl Lateness {
    fn new() -> Lateness {
        Lateness { shares: [0.0; CLASSES], counted: 0, wanted: WAIT_FIRST }
    }

    /// The first packets count more, so that a path is known after a second.
    fn count(&mut self, late_us: u64) {
        self.counted = self.counted.saturating_add(1);
        let weight = 1.0 / self.counted.min(256) as f32;
        let class = ((late_us / CLASS.as_micros() as u64) as usize).min(CLASSES - 1);
        self.shares.iter_mut().for_each(|share| *share -= *share * weight);
        self.shares[class] += weight;
        let mut sum = 0.0;
        let enough = self.shares.iter().position(|share| {
            sum += share;
            sum >= IN_TIME
        });
        let wanted = CLASS * (enough.unwrap_or(CLASSES - 1) as u32 + 1);
        let least = if self.counted < 25 { WAIT_FIRST } else { WAIT_MIN };
        self.wanted = wanted.clamp(least, JITTER_WAIT_MAX);
    }
}
