//! Networks that lose, delay, reorder and drift.

use super::line::*;
use crate::audio::*;
use ringfort_base::entropy::Seeded;
use ringfort_base::limits::JITTER_WAIT_MAX;
use std::time::Duration;

/// Lost packets by pattern: at random, or in bursts of three.
pub(super) fn lost(n: u64, percent: u64, bursts: bool) -> bool {
    let n = if bursts { n / 3 } else { n };
    Seeded::new(n.wrapping_mul(0x9e37_79b9)).chance(percent * 10)
}

/// Steps of 10 ms in which something else than the peer's audio was played.
fn missed(line: &Line, from: usize) -> usize {
    line.played[from..].iter().filter(|played| **played != Played::Audio).count()
}

/// Speech over a network, and the line afterwards.
fn over(codec: Codec, seconds: f64, fate: &mut Fate<'_>) -> Line {
    let mut line = Line::new(&speaking(codec, 8_000));
    let said = speech(line.mouth.rate_hz(), seconds);
    line.say(&said, 8_000, fate);
    line
}

#[test]
fn packets_wait_as_long_as_the_network_asks() {
    for codec in [Codec::Pcma, Codec::Opus] {
        let mut random = Seeded::new(9);
        let mut line = over(codec, 20.0, &mut |_| Some(Duration::from_millis(random.below(90))));
        assert!((60..130).contains(&line.ear.delay().as_millis()), "{codec:?}: {:?}", line.ear.delay());
        assert!(missed(&line, 1_000) < 30, "{codec:?}: {} of 1000", missed(&line, 1_000));
        // Calm again: they wait no longer than they have to.
        let said = speech(line.mouth.rate_hz(), 20.0);
        line.say(&said, 8_000, &mut at_once);
        assert!(line.ear.delay().as_millis() < 60, "{codec:?}: {:?}", line.ear.delay());
    }
}

#[test]
fn a_calm_network_costs_little_delay_and_nothing_is_missed() {
    for codec in Codec::ALL {
        let line = over(codec, 5.0, &mut at_once);
        assert_eq!(missed(&line, 10), 0, "{codec:?}");
        assert!(line.ear.delay().as_millis() <= 60, "{codec:?}: {:?}", line.ear.delay());
    }
}

#[test]
fn reordering_within_the_wait_and_duplicates_are_not_heard() {
    let mut line = Line::new(&speaking(Codec::Pcma, 8_000));
    let said = speech(8_000, 10.0);
    // Every fifth packet is overtaken by the next one.
    let heard = line.say(&said, 8_000, &mut |n| Some(Duration::from_millis(if n % 5 == 0 { 25 } else { 0 })));
    assert!(missed(&line, 100) < 4, "{}", missed(&line, 100));
    assert!(ratio_db(&said[16_000..], &heard[16_000..], 8_000) > 25.0);
    let packet = line.packets.last().unwrap().clone();
    let before = line.ear.delay();
    for _ in 0..100 {
        line.ear.receive(line.now, &packet);
    }
    line.say(&said[..16_000], 8_000, &mut at_once);
    assert!(line.ear.delay() <= before + Duration::from_millis(20));
}

/// A second of nothing, then all of it at once, as a phone on Wi-Fi does: it is not played a second late.
#[test]
fn what_was_held_up_is_left_out() {
    let mut line =
        over(Codec::Pcmu, 10.0, &mut |n| Some(Duration::from_millis(if (200..250).contains(&n) { (250 - n) * 20 } else { 0 })));
    assert!(line.ear.delay() < JITTER_WAIT_MAX + Duration::from_millis(50), "{:?}", line.ear.delay());
    line.say(&speech(8_000, 10.0), 8_000, &mut at_once);
    assert!(line.ear.delay() < Duration::from_millis(70), "{:?}", line.ear.delay());
}

/// Clocks differ by 500 millionths, either way, for two minutes.
#[test]
fn clocks_that_drift_are_followed() {
    for sender_step_us in [9_995u64, 10_005] {
        let mut line = Line::new(&speaking(Codec::Pcma, 8_000));
        let said = speech(8_000, 120.0);
        let mut skew = 0i64;
        let heard_at = |n: u64| (n as i64 + 1) * 2 * (sender_step_us as i64 - 10_000);
        let mut fate = |n: u64| {
            skew = heard_at(n);
            // The line's clock is the listener's: packets of a slow sender come later and later, those of a quick one were sent earlier.
            Some(Duration::from_micros((skew + 200_000) as u64))
        };
        line.say(&said, 8_000, &mut fate);
        assert!(missed(&line, 200) < 20, "{sender_step_us}: {}", missed(&line, 200));
        assert!(line.ear.delay() < Duration::from_millis(90), "{sender_step_us}: {:?}", line.ear.delay());
    }
}

/// Another SSRC, a sequence number from elsewhere, a timestamp from elsewhere: heard again within 100 ms.
#[test]
fn a_stream_that_begins_anew_is_heard() {
    for change in 0..5 {
        let mut line = over(Codec::Pcma, 2.0, &mut at_once);
        let played = line.played.len();
        for n in 0..50u16 {
            let mut packet = line.packets[n as usize].clone();
            let last = line.packets.last().unwrap();
            let (sequence, stamp) = (u16::from_be_bytes([last[2], last[3]]), u32::from_be_bytes(last[4..8].try_into().unwrap()));
            let sequence = if change == 1 { sequence.wrapping_add(20_000 + n) } else { sequence.wrapping_add(1 + n) };
            let stamp = stamp.wrapping_add(160 * (1 + u32::from(n)) + if change == 2 { 900_000_000 } else { 0 });
            // Less than what is taken for a new base, with and without a packet missing.
            let stamp = stamp.wrapping_add(if change > 2 { 15_000 } else { 0 });
            let sequence = sequence.wrapping_add(u16::from(change == 4));
            packet[2..4].copy_from_slice(&sequence.to_be_bytes());
            packet[4..8].copy_from_slice(&stamp.to_be_bytes());
            packet[11] = if change == 0 { 99 } else { 7 };
            line.ear.receive(line.now, &packet);
            line.step(8_000);
            line.step(8_000);
        }
        let missed = missed(&line, played);
        // A gap in timestamps beside a lost packet is one of audio, until the next packet has waited for too long.
        let most = if change == 4 { 25 } else { 12 };
        assert!(missed <= most, "change {change}: {missed} steps of 10 ms were missed");
    }
}

/// A sender that stops in pauses (RFC 3551 4.1): silence, then speech again, nothing concealed for long.
#[test]
fn pauses_are_silent_and_speech_comes_back() {
    let mut line = over(Codec::Pcma, 2.0, &mut at_once);
    for _ in 0..300 {
        line.step(8_000);
    }
    let concealed = line.played[200..].iter().filter(|played| **played == Played::Concealed).count();
    assert!(concealed <= 8, "{concealed}");
    let from = line.played.len();
    line.say(&speech(8_000, 2.0), 8_000, &mut at_once);
    assert!(missed(&line, from) <= 8, "{}", missed(&line, from));
}

/// RFC 3389: in pauses a packet now and then, noise in the ear as loud as in the mouth, and speech back without a loss.
#[test]
fn comfort_noise_fills_pauses() {
    // Short packets, two for each piece of 20 ms: none is left behind in a pause.
    let mut mouth =
        Mouth::new(&Speaking { ptime_ms: 10, comfort_noise: Some(13), ..speaking(Codec::Pcma, 8_000) }, &mut Seeded::new(1))
            .unwrap();
    let mut out = [0; 200];
    for n in 0..500 {
        let now = ringfort_base::Time::from_millis(n * 20);
        let mut next = mouth.speak(now, &[0; 160], &mut out);
        while next.is_some() {
            next = mouth.speak(now, &[], &mut out);
        }
    }
    let loud = std::iter::from_fn(|| mouth.speak(ringfort_base::Time::from_millis(10_000), &[], &mut out)).count();
    assert_eq!(loud, 0);
    let mut line = Line::new(&Speaking { comfort_noise: Some(13), ..speaking(Codec::Pcma, 8_000) });
    line.say(&speech(8_000, 2.0), 8_000, &mut at_once);
    let mut random = Seeded::new(4);
    let room: Vec<i16> = (0..24_000).map(|_| random.below(120) as i16 - 60).collect();
    let (packets, from) = (line.packets.len(), line.played.len());
    let heard = line.say(&room, 8_000, &mut at_once);
    assert!(line.packets.len() - packets < 30, "{} packets in 3 s", line.packets.len() - packets);
    let noise = line.played[from + 100..].iter().filter(|played| **played == Played::Noise).count();
    assert!(noise >= 190, "{noise} of 200 steps");
    let level = |pcm: &[i16]| (pcm.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt();
    let (made, real) = (level(&heard[16_000..]), level(&room));
    assert!((0.7..1.4).contains(&(made / real)), "{made:.0} for {real:.0}");
    let from = line.played.len();
    line.say(&speech(8_000, 2.0), 8_000, &mut at_once);
    assert!(line.played[from..].iter().all(|played| *played != Played::Concealed));
}
