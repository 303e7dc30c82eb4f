//! One peer's audio, from RTP packets as the network brings them to samples at a steady pace.

use super::codec::Codec;
use super::decoder::Decoder;
use super::digit::Digit;
use super::events::Events;
use super::jitter::{Inserted, Jitter, Kind};
use super::listener::Listener;
use super::noise::Noise;
use super::packet::Packet;
use super::resample::Resampler;
use super::stretch;
use ringfort_base::Time;
use ringfort_base::limits::{AUDIO_PAYLOADS_MAX, DIGITS_QUEUED_MAX};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Nothing came for this long: what comes next is a new beginning.
const FORGOTTEN_MS: i64 = 2_000;

/// Packets may wait this much longer than they should before speech is shortened, and this much less before it is lengthened.
const LONGER: Duration = Duration::from_millis(25);
const SHORTER: Duration = Duration::from_millis(15);
/// One packet of so many is changed in its length.
const CHANGED_EVERY: u32 = 4;
/// Packets that wait this much too long are left out: what was held up as a whole is not played late as a whole.
const TOO_LONG: Duration = Duration::from_millis(200);

/// What a payload type of the peer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heard {
    /// Speech.
    Speech(Codec),
    /// Telephone events (RFC 4733).
    Events {
        /// Clock of their durations, Hz.
        clock_hz: u32,
    },
    /// Comfort noise (RFC 3389).
    ComfortNoise,
}

/// What a peer may send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hearing {
    /// Payload types; what else comes is not played. The first `AUDIO_PAYLOADS_MAX` count.
    pub payloads: Vec<(u8, Heard)>,
    /// Digits are listened for in what is said, too: the peer has no telephone events. What sounds like a key is not passed on. Once the
    /// peer sends an event after all, nothing is listened for any more.
    pub in_band: bool,
}

/// What [`Ear::play`] filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// What the peer sent.
    Audio,
    /// Something like what is missing.
    Concealed,
    /// Noise in a pause that the peer makes.
    Noise,
    /// Silence.
    Nothing,
}

/// Hears one peer. Feed packets to [`Ear::receive`] as they come, then call [`Ear::play`] every 10 or 20 ms and [`Ear::poll_digit`] until
/// it has none.
#[derive(Debug)]
pub struct Ear {
    payloads: Vec<(u8, Heard)>,
    jitter: Jitter,
    events: Events,
    digits: VecDeque<Digit>,
    in_band: bool,
    listener: Option<Listener>,
    decoder: Option<Decoder>,
    noise: Option<Noise>,
    /// Decoded and not yet played, at the decoder's rate.
    line: Vec<i16>,
    playout: Playout,
    resampler: Option<(u32, u32, Resampler)>,
    last: Played,
    delay: Duration,
}

/// Where playing stands in the stream, in units of its clock.
#[derive(Debug, Default)]
struct Playout {
    /// Timestamp of what is to be played next. `None`: nothing was played of this stream.
    expected: Option<i64>,
    /// How much was filled in because there was nothing at all: it moves what comes later, unless that is missing for good.
    owed: i64,
    /// Something was played in place of packets that others had overtaken.
    overtaken: bool,
    /// Packets played since one was changed in its length.
    unchanged: u32,
}

impl Ear {
    /// An ear that has heard nothing.
    pub fn new(hearing: &Hearing) -> Ear {
        Ear {
            payloads: hearing.payloads.iter().copied().take(AUDIO_PAYLOADS_MAX).collect(),
            jitter: Jitter::new(),
            events: Events::default(),
            digits: VecDeque::with_capacity(DIGITS_QUEUED_MAX),
            in_band: hearing.in_band,
            listener: None,
            decoder: None,
            noise: None,
            line: Vec::new(),
            playout: Playout::default(),
            resampler: None,
            last: Played::Nothing,
            delay: Duration::ZERO,
        }
    }

    /// The peer may send something else from now on; what goes on sounds on.
    pub fn change(&mut self, hearing: &Hearing) {
        self.payloads.clear();
        self.payloads.extend(hearing.payloads.iter().copied().take(AUDIO_PAYLOADS_MAX));
        self.in_band = hearing.in_band;
    }

    /// Takes in a whole RTP packet that the peer sent. What is none is ignored.
    pub fn receive(&mut self, now: Time, rtp: &[u8]) {
        let Some(packet) = Packet::parse(rtp) else { return };
        let heard = self.payloads.iter().find(|(payload_type, _)| *payload_type == packet.payload_type);
        let (kind, clock_hz) = match heard.map(|(_, heard)| *heard) {
            Some(Heard::Speech(codec)) => (Kind::Speech(codec), Some(codec.rtp_clock_hz())),
            Some(Heard::ComfortNoise) => (Kind::ComfortNoise, None),
            Some(Heard::Events { clock_hz }) => {
                self.in_band = false;
                let digits = self.events.receive(now, &packet, clock_hz);
                digits.into_iter().flatten().for_each(|digit| self.tell(digit));
                (Kind::Silent, None)
            }
            None => (Kind::Silent, None),
        };
        if self.jitter.insert(now, &packet, kind, clock_hz) == Inserted::Anew {
            self.playout = Playout::default();
        }
    }

    /// Fills `out` with the next samples at 8,000, 16,000 or 48,000 Hz; call it at the pace at which they are played.
    pub fn play(&mut self, now: Time, rate_hz: u32, out: &mut [i16]) -> Played {
        if let Some(over) = self.events.lapse(now) {
            self.tell(over);
        }
        if !matches!(rate_hz, 8_000 | 16_000 | 48_000) {
            out.fill(0);
            return Played::Nothing;
        }
        let line_hz = loop {
            let line_hz = self.line_hz(rate_hz);
            if self.line.len() >= out.len() * line_hz as usize / rate_hz as usize {
                break line_hz;
            }
            self.last = self.produce(now, rate_hz);
        };
        self.take(line_hz, rate_hz, out);
        if self.events.sounding() {
            // The key's tone, or what was said beside it, is not meant to be heard twice.
            out.fill(0);
        }
        self.last
    }

    /// What was pressed or released since the last call, one by one.
    pub fn poll_digit(&mut self) -> Option<Digit> {
        self.digits.pop_front()
    }

    /// The codec that the peer sends now.
    pub fn codec(&self) -> Option<Codec> {
        self.decoder.as_ref().map(Decoder::codec)
    }

    /// How long the quickest packet waits now. A part of the delay that the listener notices.
    pub fn delay(&self) -> Duration {
        self.delay
    }

    fn tell(&mut self, digit: Digit) {
        if self.digits.len() < DIGITS_QUEUED_MAX {
            self.digits.push_back(digit);
        }
    }

    /// Rate of what waits to be played.
    fn line_hz(&self, rate_hz: u32) -> u32 {
        self.decoder.as_ref().map_or(rate_hz, Decoder::rate_hz)
    }

    /// Moves samples from the line to `out`.
    fn take(&mut self, line_hz: u32, rate_hz: u32, out: &mut [i16]) {
        let len = out.len() * line_hz as usize / rate_hz as usize;
        self.listen(line_hz, len);
        let played = self.line.get(..len).unwrap_or_default();
        if line_hz == rate_hz {
            out.copy_from_slice(played);
        } else {
            if self.resampler.as_ref().is_none_or(|(from, to, _)| (*from, *to) != (line_hz, rate_hz)) {
                self.resampler = Some((line_hz, rate_hz, Resampler::new(line_hz, rate_hz)));
            }
            if let Some((_, _, resampler)) = &mut self.resampler {
                resampler.process(played, out);
            }
        }
        self.line.drain(..len);
    }

    /// Looks for keys in the next `len` samples of the line, and silences them where there may be one.
    fn listen(&mut self, line_hz: u32, len: usize) {
        if !self.in_band {
            self.listener = None;
            return;
        }
        if self.listener.as_ref().is_none_or(|listener| listener.rate_hz() != line_hz) {
            self.listener = Some(Listener::new(line_hz));
        }
        let Some(listener) = &mut self.listener else { return };
        // In steps of 5 ms, so that little of a key's tone is passed on before it is noticed.
        for step in self.line.get_mut(..len).unwrap_or_default().chunks_mut(line_hz as usize / 200) {
            listener.hear(step, |digit| {
                if self.digits.len() < DIGITS_QUEUED_MAX {
                    self.digits.push_back(digit);
                }
            });
            if listener.suspects() {
                step.fill(0);
            }
        }
    }

    /// Appends to the line what is due, or 10 ms of what stands for it.
    fn produce(&mut self, now: Time, rate_hz: u32) -> Played {
        loop {
            let next = self.jitter.next();
            let Some(first) = self.jitter.first() else { return self.starve(rate_hz) };
            let (sequence, timestamp, kind) = (first.sequence, first.timestamp, first.kind);
            let (delay, wanted) = (first.delay(now), self.jitter.wanted());
            // A gap that holds the next packet up for too long is one of timestamps only.
            let (waited, is_late) = (delay >= wanted, delay > wanted + TOO_LONG);
            let missing = sequence > next;
            if kind == Kind::Silent {
                self.jitter.give_up_before(sequence + 1);
                continue;
            }
            let half = i64::from(self.jitter.clock_hz()) / 2;
            let gap = timestamp - self.playout.expected.unwrap_or(timestamp) - self.playout.owed;
            let played = match self.playout.expected {
                None if !waited => Some(self.pause(rate_hz)),
                Some(_) if gap > 0 && missing && !is_late => Some(self.bridge(gap, rate_hz)),
                Some(_) if gap > 0 && !waited => Some(self.pause(rate_hz)),
                Some(_) if gap < 0 && gap > -half && self.playout.overtaken => {
                    self.jitter.give_up_before(sequence + 1);
                    None
                }
                _ => self.consume(now, kind, rate_hz),
            };
            if let Some(played) = played {
                return played;
            }
        }
    }

    /// Plays the first packet. `None`: it holds no samples.
    fn consume(&mut self, now: Time, kind: Kind, rate_hz: u32) -> Option<Played> {
        if let Kind::Speech(codec) = kind {
            self.listen_to(codec, rate_hz);
        }
        let first = self.jitter.first()?;
        let (sequence, timestamp, from) = (first.sequence, first.timestamp, self.line.len());
        let queued = Duration::from_micros(from as u64 * 1_000_000 / u64::from(self.line_hz(rate_hz).max(1)));
        self.delay = first.delay(now) + queued;
        let unchanged = self.playout.unchanged.saturating_add(1);
        self.playout = Playout { expected: Some(timestamp), owed: 0, overtaken: false, unchanged };
        let mut played = None;
        if kind == Kind::ComfortNoise {
            match (Noise::described(&first.octets), &mut self.noise) {
                (Some(told), Some(noise)) => noise.change(told),
                (told, noise) => *noise = told,
            }
        } else if let Some(decoder) = self.decoder.as_mut() {
            self.noise = None;
            played = Some(match decoder.decode(&first.octets, &mut self.line) {
                Some(_) => Played::Audio,
                None => {
                    decoder.conceal(decoder.packet(), &mut self.line);
                    Played::Concealed
                }
            });
            let len = self.units(decoder_packet(&self.decoder), rate_hz);
            self.playout.expected = Some(timestamp + len);
            self.keep_pace(from, rate_hz);
        }
        self.jitter.give_up_before(sequence + 1);
        played
    }

    /// Brings the time that packets wait to what it should be, by what was appended to the line last.
    fn keep_pace(&mut self, from: usize, rate_hz: u32) {
        let (wanted, line_hz) = (self.jitter.wanted(), self.line_hz(rate_hz));
        if self.delay > wanted + TOO_LONG {
            self.line.truncate(from);
            return;
        }
        if self.playout.unchanged < CHANGED_EVERY {
            return;
        }
        let is_changed = if self.delay > wanted + LONGER {
            stretch::shorten(&mut self.line, from, line_hz)
        } else if self.delay + SHORTER < wanted {
            stretch::lengthen(&mut self.line, from, line_hz)
        } else {
            false
        };
        if is_changed {
            self.playout.unchanged = 0;
        }
    }

    /// Makes sure that the decoder is of this codec.
    fn listen_to(&mut self, codec: Codec, rate_hz: u32) {
        let wanted_hz = Decoder::rate_of(codec, rate_hz);
        if self.decoder.as_ref().is_some_and(|decoder| decoder.codec() == codec && decoder.rate_hz() == wanted_hz) {
            return;
        }
        if self.line_hz(rate_hz) != wanted_hz {
            self.line.clear();
        }
        self.decoder = Decoder::new(codec, rate_hz);
    }

    /// Packets are missing that others have overtaken: 10 ms of something like them, or what the next packet repeats of them.
    fn bridge(&mut self, gap: i64, rate_hz: u32) -> Played {
        self.playout.overtaken = true;
        let packet = self.units(decoder_packet(&self.decoder), rate_hz);
        if let (true, Some(decoder), Some(first)) = (gap == packet, self.decoder.as_mut(), self.jitter.first())
            && decoder.restore(&first.octets, &mut self.line).is_some()
        {
            self.playout.expected = self.playout.expected.map(|expected| expected + packet);
            return Played::Concealed;
        }
        let ten = self.jitter.clock_hz() as i64 / 100;
        self.playout.expected = self.playout.expected.map(|expected| expected + ten.min(gap));
        self.fill(rate_hz, true)
    }

    /// The peer makes a pause: nothing is missing, but the next packet has not waited long enough.
    fn pause(&mut self, rate_hz: u32) -> Played {
        self.fill(rate_hz, false)
    }

    /// There is nothing to play. Nobody knows why.
    fn starve(&mut self, rate_hz: u32) -> Played {
        let clock_hz = i64::from(self.jitter.clock_hz());
        self.playout.owed += clock_hz / 100;
        if self.playout.owed > clock_hz * FORGOTTEN_MS / 1_000 {
            self.playout = Playout::default();
        }
        let missed = self.playout.expected.is_some() && !self.events.sounding();
        self.fill(rate_hz, missed)
    }

    /// 10 ms of noise where the peer said so, of concealment where something is missing, of silence otherwise.
    fn fill(&mut self, rate_hz: u32, missing: bool) -> Played {
        let ten = self.line_hz(rate_hz) as usize / 100;
        let from = self.line.len();
        if let Some(noise) = &mut self.noise {
            noise.make(ten, &mut self.line);
        } else if let Some(decoder) = self.decoder.as_mut().filter(|_| missing) {
            return if decoder.conceal(ten, &mut self.line) { Played::Concealed } else { Played::Nothing };
        } else {
            self.line.resize(from + ten, 0);
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.heard(from, &mut self.line);
        }
        if self.noise.is_some() { Played::Noise } else { Played::Nothing }
    }

    /// Samples of the line in units of the stream's clock.
    fn units(&self, samples: usize, rate_hz: u32) -> i64 {
        samples as i64 * i64::from(self.jitter.clock_hz()) / i64::from(self.line_hz(rate_hz).max(1))
    }
}

fn decoder_packet(decoder: &Option<Decoder>) -> usize {
    decoder.as_ref().map_or(0, Decoder::packet)
}
