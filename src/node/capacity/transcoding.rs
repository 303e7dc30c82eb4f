//! Calls whose sides have no codec in common: jitter buffer, decoder, resampler and encoder, in memory, on one core.

use ringfort_media::audio::Codec;
use ringfort_media::audio::trial::{Crossing, PACKET_MS, PACKETS_A_SECOND, WARM_S, packets};
use std::time::Instant;

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
    let packets = packets(from, WARM_S + SECONDS)?;
    let mut calls = (0..CALLS).map(|_| Crossing::new(from, to)).collect::<Option<Vec<_>>>()?;
    let mut times = Vec::new();
    for (second, batch) in packets.chunks(PACKETS_A_SECOND).enumerate() {
        for call in &mut calls {
            let begun = Instant::now();
            call.pass(second * PACKETS_A_SECOND, batch);
            if second >= WARM_S {
                times.push(begun.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
            }
        }
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
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
