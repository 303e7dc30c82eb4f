//! A call whose sides share no codec, in memory: for whoever measures what transcoding costs. Pure as all of media: whoever measures
//! brings the clock.

use super::{Codec, Ear, Heard, Hearing, Mouth, OpusWishes, Speaking};
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use std::hint::black_box;

/// Audio of one packet.
pub const PACKET_MS: u32 = 20;
/// Packets of a second.
pub const PACKETS_A_SECOND: usize = 50;
/// The jitter buffer has room for 64 packets: so many seconds warm up.
pub const WARM_S: usize = 2;
/// Room for a packet.
const ROOM: usize = 1_500;

/// One direction of such a call: jitter buffer, decoder, resampler, encoder.
pub struct Crossing {
    ear: Ear,
    mouth: Mouth,
    pcm: Vec<i16>,
}

impl Crossing {
    /// `None`: a codec is missing.
    pub fn new(from: Codec, to: Codec) -> Option<Crossing> {
        let ear = Ear::new(&Hearing { payloads: vec![(payload(from), Heard::Speech(from))], in_band: false });
        let mouth = mouth(to, from.rate_hz())?;
        let pcm = vec![0; (mouth.rate_hz() / 1_000 * PACKET_MS) as usize];
        Some(Crossing { ear, mouth, pcm })
    }

    /// Packets from the one side come out at the other; `first` is the number of the first of them.
    pub fn pass(&mut self, first: usize, packets: &[Vec<u8>]) {
        let mut out = [0; ROOM];
        for (n, packet) in packets.iter().enumerate() {
            let now = Time::from_millis((first + n) as u64 * u64::from(PACKET_MS));
            self.ear.receive(now, packet);
            self.ear.play(now, self.mouth.rate_hz(), &mut self.pcm);
            black_box(self.mouth.speak(now, &self.pcm, &mut out));
        }
    }
}

fn payload(codec: Codec) -> u8 {
    codec.static_payload().unwrap_or(111)
}

fn mouth(codec: Codec, source_hz: u32) -> Option<Mouth> {
    let ptime_ms = PACKET_MS;
    let (payload, opus) = (payload(codec), OpusWishes { fec: true, ..OpusWishes::default() });
    let speaking = Speaking { payload, codec, source_hz, ptime_ms, events: None, comfort_noise: None, opus, ssrc: 1 };
    Mouth::new(&speaking, &mut Seeded::new(1))
}

/// What a peer sends in so many seconds: a gliding voice with overtones that swells and ebbs, and a little breath. `None`: the codec is
/// missing.
pub fn packets(codec: Codec, seconds: usize) -> Option<Vec<Vec<u8>>> {
    let mut mouth = mouth(codec, codec.rate_hz())?;
    let rate = mouth.rate_hz() as usize;
    let (mut random, mut phase) = (Seeded::new(3), 0.0f64);
    let sample = |n: usize| {
        let t = n as f64 / rate as f64;
        phase += std::f64::consts::TAU * (130.0 + 30.0 * (5.7 * t).sin()) / rate as f64;
        let part = |(overtone, level): (f64, f64)| (phase * overtone).sin() * level;
        let voice: f64 = [(1.0, 1.0), (2.0, 0.8), (4.0, 0.5), (7.0, 0.35), (11.0, 0.2), (20.0, 0.1)].map(part).iter().sum();
        (voice * (7.2 * t).sin().powi(2) * 4_000.0 + random.below(200) as f64 - 100.0) as i16
    };
    let pcm: Vec<i16> = (0..rate * seconds).map(sample).collect();
    let packet = |(n, pcm): (usize, &[i16])| {
        let mut out = vec![0; ROOM];
        let len = mouth.speak(Time::from_millis(n as u64 * u64::from(PACKET_MS)), pcm, &mut out)?;
        out.truncate(len);
        Some(out)
    };
    pcm.chunks(rate / 1_000 * PACKET_MS as usize).enumerate().map(packet).collect()
}
