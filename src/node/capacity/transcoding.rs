//! Calls whose sides have no codec in common: jitter buffer, decoder, resampler and encoder, in memory, on one core.

use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use ringfort_media::audio::{Codec, Ear, Heard, Hearing, Mouth, Speaking};
use std::time::Instant;

const PACKET_MS: u32 = 20;
/// Packets of a second.
const BATCH: usize = 50;
/// The jitter buffer has room for 64 packets: so many seconds warm up.
const WARM: usize = 2;
/// Seconds that count, and calls in turn, so that none has the caches for itself.
const SECONDS: usize = 2;
const CALLS: usize = 10;

/// How many such calls one core carries, both directions of each; `None`: a codec is missing.
pub fn calls_a_core(a: Codec, b: Codec) -> Option<u32> {
    let packet_us = direction_us(a, b)? + direction_us(b, a)?;
    Some((f64::from(PACKET_MS) * 1_000.0 / packet_us) as u32)
}

/// Microseconds a packet.
fn direction_us(from: Codec, to: Codec) -> Option<f64> {
    let packets = packets(from)?;
    let mut calls = (0..CALLS).map(|_| Call::new(from, to)).collect::<Option<Vec<_>>>()?;
    let mut times = Vec::new();
    for (second, batch) in packets.chunks(BATCH).enumerate() {
        for call in &mut calls {
            let begun = Instant::now();
            call.pass(second * BATCH, batch);
            if second >= WARM {
                times.push(begun.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
            }
        }
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

struct Call {
    ear: Ear,
    mouth: Mouth,
    pcm: Vec<i16>,
}

impl Call {
    fn new(from: Codec, to: Codec) -> Option<Call> {
        let ear = Ear::new(&Hearing { payloads: vec![(payload(from), Heard::Speech(from))], in_band: false });
        let mouth = mouth(to, from.rate_hz())?;
        let pcm = vec![0; (mouth.rate_hz() / 1_000 * PACKET_MS) as usize];
        Some(Call { ear, mouth, pcm })
    }

    fn pass(&mut self, first: usize, packets: &[Vec<u8>]) {
        let mut out = [0; 1_500];
        for (n, packet) in packets.iter().enumerate() {
            let now = Time::from_millis((first + n) as u64 * u64::from(PACKET_MS));
            self.ear.receive(now, packet);
            self.ear.play(now, self.mouth.rate_hz(), &mut self.pcm);
            std::hint::black_box(self.mouth.speak(now, &self.pcm, &mut out));
        }
    }
}

fn payload(codec: Codec) -> u8 {
    codec.static_payload().unwrap_or(111)
}

fn mouth(codec: Codec, source_hz: u32) -> Option<Mouth> {
    let ptime_ms = PACKET_MS;
    let speaking = Speaking { payload: payload(codec), codec, source_hz, ptime_ms, events: None, comfort_noise: None, ssrc: 1 };
    Mouth::new(&speaking, &mut Seeded::new(1))
}

/// What a peer sends: a voice that glides, swells and ebbs, and a little breath.
fn packets(codec: Codec) -> Option<Vec<Vec<u8>>> {
    let mut mouth = mouth(codec, codec.rate_hz())?;
    let rate = mouth.rate_hz() as usize;
    let (mut random, mut phase) = (Seeded::new(3), 0.0f64);
    let mut sample = |n: usize| {
        let t = n as f64 / rate as f64;
        phase += std::f64::consts::TAU * (130.0 + 30.0 * (5.7 * t).sin()) / rate as f64;
        let part = |(overtone, level): (f64, f64)| (phase * overtone).sin() * level;
        let voice: f64 = [(1.0, 1.0), (2.0, 0.8), (4.0, 0.5), (7.0, 0.35), (11.0, 0.2)].map(part).iter().sum();
        (voice * (7.2 * t).sin().powi(2) * 4_000.0 + random.below(200) as f64 - 100.0) as i16
    };
    let pcm: Vec<i16> = (0..rate * (WARM + SECONDS)).map(&mut sample).collect();
    let packet = |(n, pcm): (usize, &[i16])| {
        let mut out = vec![0; 1_500];
        let len = mouth.speak(Time::from_millis(n as u64 * u64::from(PACKET_MS)), pcm, &mut out)?;
        out.truncate(len);
        Some(out)
    };
    pcm.chunks(rate / 1_000 * PACKET_MS as usize).enumerate().map(packet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_have_a_price() {
        let calls = calls_a_core(Codec::Pcmu, Codec::Pcma).expect("both are there");
        assert!(calls > 10, "{calls}");
    }
}
