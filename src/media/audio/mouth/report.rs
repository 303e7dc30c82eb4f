//! A digit as telephone events (RFC 4733).

use crate::audio::digit::Digit;
use crate::audio::events::{Payload, SEGMENT};
use ringfort_base::limits::DIGIT_MAX;

/// The end is told three times (RFC 4733 2.5.1.4).
const ENDS: u8 = 3;
/// Level that is told, dB below 1 mW: what most phones say.
const VOLUME: u8 = 10;
/// Shortest digit that is sent: what every receiver recognises (ITU-T Q.24).
const SHORTEST_MS: u32 = 40;

/// What one packet tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub payload: [u8; Payload::LEN],
    pub marker: bool,
    pub timestamp: u32,
}

/// One digit that is being told of, packet by packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    code: u8,
    clock_hz: u32,
    /// Where the segment began that is told of.
    timestamp: u32,
    /// Time since the digit began; what earlier segments held of it, and what of this one is told; in units of the clock.
    elapsed: u32,
    before: u32,
    told: u32,
    /// Known once the digit is over.
    whole: Option<u32>,
    is_first: bool,
    ends: u8,
}

impl Report {
    pub fn new(digit: Digit, clock_hz: u32, timestamp: u32) -> Report {
        let mut report = Report {
            code: digit.code,
            clock_hz,
            timestamp,
            elapsed: 0,
            before: 0,
            told: 0,
            whole: None,
            is_first: true,
            ends: 0,
        };
        report.end(digit);
        report
    }

    /// The digit is over. False: it is another one, or this is known.
    pub fn end(&mut self, digit: Digit) -> bool {
        let ends = digit.end && digit.code == self.code && self.whole.is_none();
        if ends {
            self.whole = Some(self.units(digit.duration_ms.max(SHORTEST_MS)).max(self.elapsed));
        }
        ends
    }

    /// Its end was told often enough.
    pub fn is_over(&self) -> bool {
        self.ends >= ENDS
    }

    /// What the next packet tells, `ptime_ms` after the one before.
    pub fn next(&mut self, ptime_ms: u32) -> Told {
        if self.ends == 0 {
            self.advance(self.units(ptime_ms));
        }
        let whole = self.whole.unwrap_or_else(|| self.units(DIGIT_MAX.as_millis() as u32));
        let end = self.before + self.told >= whole;
        self.ends += u8::from(end);
        let duration = self.told.min(SEGMENT) as u16;
        let payload = Payload { code: self.code, end, volume: VOLUME, duration }.octets();
        Told { payload, marker: std::mem::take(&mut self.is_first), timestamp: self.timestamp }
    }

    /// A segment is filled before the next one begins (RFC 4733 2.5.1.3).
    fn advance(&mut self, by: u32) {
        self.elapsed = self.whole.map_or(self.elapsed + by, |whole| whole.min(self.elapsed + by));
        if self.told == SEGMENT {
            self.timestamp = self.timestamp.wrapping_add(SEGMENT);
            self.before += SEGMENT;
        }
        self.told = (self.elapsed - self.before).min(SEGMENT);
    }

    fn units(&self, ms: u32) -> u32 {
        let longest = DIGIT_MAX.as_millis() as u32;
        (u64::from(ms.min(longest)) * u64::from(self.clock_hz) / 1_000) as u32
    }
}
