//! From payloads to samples, and to something like them when they are missing.

use super::codec::Codec;
use super::conceal::Concealer;
use super::{g711, g722};

/// Longest packet that is decoded, ms (RFC 6716 3.1).
pub(super) const PACKET_MAX_MS: u32 = 120;
/// Opus conceals for this long; it fades by itself.
const OPUS_CONCEALED_MAX_MS: u32 = 400;

/// One codec's decoder with what it remembers.
#[derive(Debug)]
pub(super) struct Decoder {
    codec: Codec,
    rate_hz: u32,
    state: State,
    /// Samples of the last packet.
    packet: usize,
}

#[derive(Debug)]
enum State {
    G711(fn(u8) -> i16, Concealer),
    G722(Box<g722::Decoder>, Concealer),
    /// With how many samples it concealed.
    Opus(opus::Decoder, u32),
}

impl Decoder {
    /// Decodes at the codec's own rate; Opus at `rate_hz`, which is 8,000, 16,000 or 48,000. `None`: it cannot.
    pub fn new(codec: Codec, rate_hz: u32) -> Option<Decoder> {
        let rate_hz = Decoder::rate_of(codec, rate_hz);
        let concealer = || Concealer::new(rate_hz);
        let state = match codec {
            Codec::Pcmu => State::G711(g711::mu_law_to_linear, concealer()),
            Codec::Pcma => State::G711(g711::a_law_to_linear, concealer()),
            Codec::G722 => State::G722(Box::default(), concealer()),
            Codec::Opus => State::Opus(opus::Decoder::new(rate_hz, opus::Channels::Mono).ok()?, 0),
        };
        Some(Decoder { codec, rate_hz, state, packet: rate_hz as usize / 50 })
    }

    /// Rate at which a codec is decoded for one who wants `rate_hz`.
    pub fn rate_of(codec: Codec, rate_hz: u32) -> u32 {
        if codec == Codec::Opus { rate_hz } else { codec.rate_hz() }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Of the samples that it makes, Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// Samples of the last packet, or of 20 ms.
    pub fn packet(&self) -> usize {
        self.packet
    }

    /// Appends the samples of a payload and tells how many. `None`: it is none of this codec's.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<i16>) -> Option<usize> {
        let (from, most) = (out.len(), self.rate_hz as usize * PACKET_MAX_MS as usize / 1_000);
        if payload.is_empty() {
            return None;
        }
        match &mut self.state {
            State::G711(..) if payload.len() > most => return None,
            State::G722(..) if payload.len() * 2 > most => return None,
            State::G711(expand, _) => out.extend(payload.iter().map(|octet| expand(*octet))),
            State::G722(decoder, _) => decoder.decode(payload, out),
            State::Opus(decoder, concealed) => {
                let len = decoder.get_nb_samples(payload).ok().filter(|len| *len <= most)?;
                opus(decoder, payload, len, false, out)?;
                *concealed = 0;
            }
        }
        self.heard(from, out);
        self.packet = out.len() - from;
        Some(self.packet)
    }

    /// Samples from `from` on are played and were not concealed.
    pub fn heard(&mut self, from: usize, out: &mut [i16]) {
        if let State::G711(_, concealer) | State::G722(_, concealer) = &mut self.state {
            concealer.heard(out.get_mut(from..).unwrap_or_default());
        }
    }

    /// Appends `len` samples in place of missing ones. False: they are silent.
    pub fn conceal(&mut self, len: usize, out: &mut Vec<i16>) -> bool {
        let from = out.len();
        match &mut self.state {
            State::G711(_, concealer) | State::G722(_, concealer) => {
                out.resize(from + len, 0);
                concealer.conceal(&mut out[from..])
            }
            State::Opus(decoder, concealed) => {
                *concealed = concealed.saturating_add(len as u32);
                let audible = *concealed < self.rate_hz * OPUS_CONCEALED_MAX_MS / 1_000;
                if !audible || opus(decoder, &[], len, false, out).is_none() {
                    out.resize(from + len, 0);
                }
                audible
            }
        }
    }

    /// Appends the samples of the packet before `next`, where that carries them (in-band FEC, RFC 6716 2.1.7). `None`: it cannot.
    pub fn restore(&mut self, next: &[u8], out: &mut Vec<i16>) -> Option<usize> {
        let State::Opus(decoder, _) = &mut self.state else { return None };
        if next.is_empty() {
            return None;
        }
        opus(decoder, next, self.packet, true, out)
    }
}

fn opus(decoder: &mut opus::Decoder, payload: &[u8], len: usize, fec: bool, out: &mut Vec<i16>) -> Option<usize> {
    let from = out.len();
    out.resize(from + len, 0);
    let decoded = decoder.decode(payload, &mut out[from..], fec).unwrap_or(0);
    out.truncate(from + decoded);
    (decoded > 0).then_some(decoded)
}
