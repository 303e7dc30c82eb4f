//! Whatever comes, an ear goes on.

use super::line::*;
use crate::audio::*;
use proptest::prelude::*;
use ringfort_base::Time;

fn ear() -> Ear {
    Ear::new(&Hearing { in_band: true, ..hearing() })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_octets_are_survived(packets in prop::collection::vec((0u64..40, prop::collection::vec(any::<u8>(), 0..200)), 0..60)) {
        let (mut ear, mut now, mut out) = (ear(), 0, [0; 160]);
        for (wait, packet) in packets {
            now += wait;
            ear.receive(Time::from_millis(now), &packet);
            ear.play(Time::from_millis(now), 8_000, &mut out);
            while ear.poll_digit().is_some() {}
        }
    }

    /// Whole headers, so that more of it is looked at.
    #[test]
    fn any_packets_are_survived(
        packets in prop::collection::vec(
            (0u64..3_000, prop::sample::select(vec![0u8, 8, 9, 13, 101, 102, 111, 55]), any::<u16>(), any::<u32>(), 0u32..3, any::<bool>(),
             prop::collection::vec(any::<u8>(), 0..1_400)),
            0..60),
        rates in prop::collection::vec(prop::sample::select(vec![8_000u32, 16_000, 48_000, 1, 44_100]), 1..4),
        near in any::<bool>(),
    ) {
        let (mut ear, mut now) = (ear(), 0);
        for (n, (wait, payload_type, sequence, timestamp, ssrc, marker, payload)) in packets.into_iter().enumerate() {
            now += if near { wait % 30 } else { wait };
            // Near ones follow each other as a stream does, with gaps.
            let (sequence, timestamp) = if near { (65_530u16.wrapping_add(n as u16 + sequence % 3), (u32::MAX - 500).wrapping_add(n as u32 * 160)) } else { (sequence, timestamp) };
            let mut octets = vec![0x80, payload_type | u8::from(marker) << 7];
            octets.extend(sequence.to_be_bytes());
            octets.extend(timestamp.to_be_bytes());
            octets.extend((if near { 1 } else { ssrc }).to_be_bytes());
            octets.extend(payload);
            ear.receive(Time::from_millis(now), &octets);
            let rate = rates[n % rates.len()];
            let mut out = vec![0; rate as usize / 50];
            ear.play(Time::from_millis(now), rate, &mut out);
            ear.poll_digit();
        }
    }
}

/// Time may stand still or jump, and nobody may poll digits: nothing grows.
#[test]
fn a_flood_of_digits_is_bounded() {
    let mut ear = ear();
    for n in 0..10_000u32 {
        let mut packet = vec![0x80, 101];
        packet.extend((n as u16).to_be_bytes());
        packet.extend((n * 800).to_be_bytes());
        packet.extend([0, 0, 0, 1, 5, 0x80, 1, 0]);
        ear.receive(Time::from_millis(u64::from(n % 7)), &packet);
    }
    assert_eq!(std::iter::from_fn(|| ear.poll_digit()).count(), ringfort_base::limits::DIGITS_QUEUED_MAX);
}
