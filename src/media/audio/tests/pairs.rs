//! Every codec to every rate, and to every codec.

use super::line::*;
use crate::audio::resample::Resampler;
use crate::audio::*;

/// What the codec keeps of something like speech, dB: a little less than measured (36.8, 41.6 and 5.0).
fn floor_db(codec: Codec) -> f64 {
    match codec {
        Codec::Pcmu | Codec::Pcma => 36.0,
        Codec::G722 => 39.0,
        // It keeps what is heard, and not the shape of the wave.
        Codec::Opus => 4.6,
    }
}

#[test]
fn what_is_said_is_heard_at_every_rate() {
    for codec in Codec::ALL {
        for rate in [8_000, 16_000, 48_000] {
            let mut line = Line::new(&speaking(codec, rate));
            let said_hz = line.mouth.rate_hz();
            let said = speech(said_hz, 3.0);
            let heard = line.say(&said, rate, &mut at_once);
            let expected = match codec {
                Codec::Opus => rate,
                codec => codec.rate_hz(),
            };
            assert_eq!(said_hz, expected);
            assert!(line.played[20..].iter().all(|played| *played == Played::Audio), "{codec:?} {rate}");
            if rate == said_hz {
                let ratio = ratio_db(&said[rate as usize..], &heard[rate as usize..], rate);
                assert!(ratio > floor_db(codec), "{codec:?} at {rate} Hz: {ratio:.1} dB");
            }
        }
    }
}

/// Something like speech through one codec, an ear, a mouth and another codec.
fn through(from: Codec, to: Codec) -> (f64, f64) {
    let rate = from.rate_hz().min(to.rate_hz());
    let (mut first, mut second) = (Line::new(&speaking(from, from.rate_hz())), Line::new(&speaking(to, rate)));
    let said = speech(8_000, 4.0);
    let mut up = Resampler::new(8_000, first.mouth.rate_hz());
    let mut heard = Vec::new();
    for ten in said.chunks(80) {
        let mut pcm = vec![0; first.mouth.rate_hz() as usize / 100];
        if first.mouth.rate_hz() == 8_000 {
            pcm.copy_from_slice(ten)
        } else {
            up.process(ten, &mut pcm)
        }
        let pcm = first.say(&pcm, second.mouth.rate_hz(), &mut at_once);
        heard.extend(second.say(&pcm, 8_000, &mut at_once));
    }
    assert!(second.played[30..].iter().all(|played| *played == Played::Audio), "{from:?} to {to:?}");
    let (said, heard) = (&said[8_000..24_000], &heard[8_000..]);
    (ratio_db(said, heard, 8_000), spectrum_db(said, heard))
}

/// The worse codec of the two decides. A spectrum in place of another voice's, or of silence, is 5 dB and more away (`concealment.rs`).
#[test]
fn every_pair_of_codecs_keeps_what_the_worse_one_keeps() {
    for from in Codec::ALL {
        for to in Codec::ALL {
            // Measured: 34.4 and 0.74 dB, 5.0 and 1.96 dB, 3.5 and 2.14 dB.
            let (least, most) = match [from, to].iter().filter(|codec| **codec == Codec::Opus).count() {
                0 => (33.5, 0.82),
                1 => (4.6, 2.1),
                _ => (3.1, 2.3),
            };
            let (ratio, apart) = through(from, to);
            assert!(ratio > least && apart < most, "{from:?} to {to:?}: {ratio:.1} dB, spectra {apart:.2} dB apart");
        }
    }
}

/// A peer may use any payload type that it was offered, at any time (RFC 3264 6.1), and any packet time.
#[test]
fn the_codec_may_change_at_any_time() {
    for ptime_ms in [10, 20, 30, 60] {
        let mut line = Line::new(&speaking(Codec::Pcma, 8_000));
        for codec in [Codec::Pcma, Codec::Pcmu, Codec::Opus, Codec::G722, Codec::Opus, Codec::Pcma] {
            assert!(line.mouth.change(&Speaking { ptime_ms, ..speaking(codec, 16_000) }));
            let from = line.played.len();
            let said = speech(line.mouth.rate_hz(), 1.0);
            line.say(&said, 16_000, &mut at_once);
            let missed = line.played[from..].iter().filter(|played| **played != Played::Audio).count();
            assert!(missed <= 16, "{codec:?}, {ptime_ms} ms: {missed} of 100 steps");
            assert_eq!(line.ear.codec(), Some(codec));
        }
    }
}

/// A peer that says what it wants of Opus gets that (RFC 7587 7).
#[test]
fn opus_is_what_its_hearer_wants() {
    let said_with = |opus: OpusWishes| Line::new(&Speaking { opus, ..speaking(Codec::Opus, 48_000) });
    let octets = |line: &Line| line.packets.iter().map(|packet| packet.len() - 12).sum::<usize>();
    let spoken = |opus: OpusWishes| {
        let mut line = said_with(opus);
        let said = speech(line.mouth.rate_hz(), 4.0);
        line.say(&said, 48_000, &mut at_once);
        line
    };
    let plain = spoken(OpusWishes::default());
    let poor = spoken(OpusWishes { bits_max: Some(12_000), ..OpusWishes::default() });
    // 4 s at 12 kbit/s are 6,000 octets; an average is no exact measure.
    assert!(octets(&poor) < 7_000 && octets(&poor) < octets(&plain) * 2 / 3, "{} of {}", octets(&poor), octets(&plain));
    let narrow = |playback_hz| said_with(OpusWishes { playback_hz, ..OpusWishes::default() }).mouth.rate_hz();
    assert_eq!([8_000, 16_000, 24_000, 48_000].map(narrow), [8_000, 16_000, 16_000, 48_000]);
    let constant = spoken(OpusWishes { constant: true, ..OpusWishes::default() });
    assert!(constant.packets.windows(2).all(|pair| pair[0].len() == pair[1].len()));
    let mut sparing = spoken(OpusWishes { dtx: true, ..OpusWishes::default() });
    let (before, silence) = (sparing.packets.len(), vec![0; 3 * 48_000]);
    sparing.say(&silence, 48_000, &mut at_once);
    assert!(sparing.packets.len() - before < 50, "{} packets in 3 s of silence", sparing.packets.len() - before);
    // The timestamps tell how long the pause was, and speech after it begins a talkspurt.
    let from = sparing.packets.len();
    let stamp = |packet: &[u8]| u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
    sparing.say(&speech(48_000, 1.0), 48_000, &mut at_once);
    assert_eq!(sparing.packets[from][1] & 0x80, 0x80);
    assert_eq!(stamp(&sparing.packets[from]).wrapping_sub(stamp(&sparing.packets[0])) / 48_000, 7);
}
