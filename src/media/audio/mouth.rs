//! What the node says to one peer, from samples at a steady pace to RTP packets.

mod key;
mod pause;
mod report;

use super::codec::Codec;
use super::digit::Digit;
use super::encoder::Encoder;
use super::packet::{HEADER, Packet};
use super::wishes::OpusWishes;
use key::Key;
use pause::{Pause, Verdict};
use report::Report;
use ringfort_base::limits::DIGITS_QUEUED_MAX;
use ringfort_base::{Entropy, Time};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// Nothing was said for this long: timestamps catch up with time.
const PAUSE: Duration = Duration::from_millis(200);

/// How the node speaks to a peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speaking {
    /// Payload type of speech.
    pub payload: u8,
    /// Its codec.
    pub codec: Codec,
    /// Sampling rate of what is said, Hz: Opus codes no more than that. Other codecs have their own.
    pub source_hz: u32,
    /// Audio of one packet, ms, as [`Codec::packet_ms`] has it: another number counts as the next shorter one.
    pub ptime_ms: u32,
    /// Payload type and clock of telephone events; `None`: digits are sent as tones.
    pub events: Option<(u8, u32)>,
    /// Payload type of comfort noise: in pauses little is sent. `None`: pauses are sent as they are.
    pub comfort_noise: Option<u8>,
    /// What the peer wants of Opus.
    #[serde(default)]
    pub opus: OpusWishes,
    /// SSRC of all of it.
    pub ssrc: u32,
}

/// Speaks to one peer. Call [`Mouth::speak`] with the next samples at [`Mouth::rate_hz`] as they are due, [`Mouth::digit`] at any time.
#[derive(Debug)]
pub struct Mouth {
    speaking: Speaking,
    encoder: Encoder,
    /// Samples of the packet to come.
    pcm: Vec<i16>,
    sequence: u16,
    /// Of the packet to come.
    timestamp: u32,
    /// The next packet begins a talkspurt.
    marker: bool,
    spoke: Option<Time>,
    digits: VecDeque<Digit>,
    report: Option<Report>,
    key: Option<Key>,
    pause: Pause,
}

impl Mouth {
    /// A mouth that begins with a random sequence number and timestamp (RFC 3550 5.1). `None`: the codec could not be set up.
    pub fn new(speaking: &Speaking, entropy: &mut dyn Entropy) -> Option<Mouth> {
        let random = entropy.u64().to_be_bytes();
        Some(Mouth {
            speaking: speaking.clone(),
            encoder: Encoder::new(speaking.codec, speaking.source_hz, speaking.opus)?,
            pcm: Vec::new(),
            // Far from the roll-over, so that a first packet that gets lost leaves no doubt about it (RFC 3711 3.3.1).
            sequence: u16::from_be_bytes([random[0] & 0x7f, random[1]]),
            timestamp: u32::from_be_bytes([random[2], random[3], random[4], random[5]]),
            marker: true,
            spoke: None,
            digits: VecDeque::with_capacity(DIGITS_QUEUED_MAX),
            report: None,
            key: None,
            pause: Pause::new(),
        })
    }

    /// Speaks otherwise from now on. Sequence numbers and timestamps go on where the SSRC does. False: the codec could not be set up.
    pub fn change(&mut self, speaking: &Speaking) -> bool {
        let coding = |speaking: &Speaking| (speaking.codec, speaking.source_hz, speaking.opus);
        if coding(speaking) != coding(&self.speaking) {
            let Some(encoder) = Encoder::new(speaking.codec, speaking.source_hz, speaking.opus) else { return false };
            self.encoder = encoder;
            self.pcm.clear();
            self.marker = true;
        }
        if speaking.events != self.speaking.events {
            self.report = None;
            self.key = None;
        }
        self.speaking = speaking.clone();
        true
    }

    /// Rate of the samples that it takes, Hz.
    pub fn rate_hz(&self) -> u32 {
        self.encoder.rate_hz()
    }

    /// A digit begins or ends, or is told as a whole. It is sent as an event where the peer takes events, as tones otherwise.
    pub fn digit(&mut self, digit: Digit) {
        let ends =
            self.report.as_mut().is_some_and(|report| report.end(digit)) || self.key.as_mut().is_some_and(|key| key.end(digit));
        if ends {
            return;
        }
        let has_room = self.digits.len() < DIGITS_QUEUED_MAX;
        let waiting = self.digits.iter_mut().find(|waiting| !waiting.end && waiting.code == digit.code && digit.end);
        match waiting {
            Some(waiting) => *waiting = digit,
            None if has_room => self.digits.push_back(digit),
            None => {}
        }
    }

    /// A digit waits to be told, or is being told: [`Mouth::speak`] is wanted, also when there is nothing else to say.
    pub fn is_telling(&self) -> bool {
        self.report.is_some() || self.key.is_some() || !self.digits.is_empty()
    }

    /// A digit sounds as tones in place of speech, or will do so: whatever else the peer is sent beside it would drown it.
    pub fn is_sounding(&self) -> bool {
        self.key.is_some() || (self.speaking.events.is_none() && !self.digits.is_empty())
    }

    /// Takes the next samples, 20 ms at most, and writes the RTP packet that is due, if one is. When packets are shorter than what was
    /// taken, further ones are had by calling it with no samples.
    pub fn speak(&mut self, now: Time, pcm: &[i16], out: &mut [u8]) -> Option<usize> {
        self.catch_up(now);
        self.pcm.extend_from_slice(pcm);
        let packet = self.rate_hz() as usize * self.ptime_ms() as usize / 1_000;
        while self.pcm.len() >= packet {
            // In a pause most packets are none.
            if let Some(len) = self.say(packet, out) {
                return Some(len);
            }
        }
        None
    }

    /// The next `packet` samples.
    fn say(&mut self, packet: usize, out: &mut [u8]) -> Option<usize> {
        self.begin_digit();
        if let Some(key) = &mut self.key {
            key.sound(self.encoder.rate_hz(), &mut self.pcm[..packet]);
        }
        let len = match self.report {
            Some(_) => self.write_report(out),
            None => self.write_speech_or_noise(packet, out),
        };
        self.key = self.key.take().filter(|key| !key.is_over());
        self.report = self.report.take().filter(|report| !report.is_over());
        self.pcm.drain(..packet);
        self.timestamp = self.timestamp.wrapping_add(self.ticks());
        len
    }

    fn ptime_ms(&self) -> u32 {
        self.speaking.codec.packet_ms(self.speaking.ptime_ms)
    }

    /// Of one packet.
    fn ticks(&self) -> u32 {
        self.speaking.codec.rtp_clock_hz() / 1_000 * self.ptime_ms()
    }

    /// The peer's jitter buffer goes by timestamps: after a pause they have to say how long it was.
    fn catch_up(&mut self, now: Time) {
        let silent = self.spoke.replace(now).map_or(Duration::ZERO, |spoke| now.since(spoke));
        if silent > PAUSE {
            let ticks = silent.as_millis() as u64 * u64::from(self.speaking.codec.rtp_clock_hz()) / 1_000;
            self.timestamp = self.timestamp.wrapping_add(ticks as u32);
            self.pcm.clear();
            self.marker = true;
        }
    }

    fn begin_digit(&mut self) {
        if self.report.is_some() || self.key.is_some() {
            return;
        }
        let Some(digit) = self.digits.pop_front() else { return };
        match self.speaking.events {
            Some((_, clock_hz)) => self.report = Some(Report::new(digit, clock_hz, self.timestamp)),
            None => self.key = Some(Key::new(digit)),
        }
    }

    fn write_report(&mut self, out: &mut [u8]) -> Option<usize> {
        let (payload_type, _) = self.speaking.events?;
        let ptime_ms = self.ptime_ms();
        let told = self.report.as_mut()?.next(ptime_ms);
        let payload = out.get_mut(HEADER..HEADER + told.payload.len())?;
        payload.copy_from_slice(&told.payload);
        // Speech that follows begins a talkspurt.
        self.marker = true;
        self.write_header(payload_type, told.marker, told.timestamp, out)?;
        Some(HEADER + told.payload.len())
    }

    fn write_speech_or_noise(&mut self, packet: usize, out: &mut [u8]) -> Option<usize> {
        let Some(payload_type) = self.speaking.comfort_noise else { return self.write_speech(packet, out) };
        match self.pause.judge(self.pcm.get(..packet)?) {
            Verdict::Speech => self.write_speech(packet, out),
            Verdict::Nothing => None,
            Verdict::Tell(level) => {
                // Speech that follows begins a talkspurt.
                self.marker = true;
                *out.get_mut(HEADER)? = level;
                self.write_header(payload_type, false, self.timestamp, out)?;
                Some(HEADER + 1)
            }
        }
    }

    fn write_speech(&mut self, packet: usize, out: &mut [u8]) -> Option<usize> {
        let Some(len) = self.encoder.encode(&self.pcm[..packet], out.get_mut(HEADER..)?) else {
            // Speech that follows begins a talkspurt.
            self.marker = true;
            return None;
        };
        let marker = std::mem::take(&mut self.marker);
        self.write_header(self.speaking.payload, marker, self.timestamp, out)?;
        Some(HEADER + len)
    }

    fn write_header(&mut self, payload_type: u8, marker: bool, timestamp: u32, out: &mut [u8]) -> Option<()> {
        let (sequence, ssrc) = (self.sequence, self.speaking.ssrc);
        self.sequence = self.sequence.wrapping_add(1);
        Packet { payload_type: payload_type & 0x7f, marker, sequence, timestamp, ssrc, payload: &[] }.write_header(out)
    }
}
