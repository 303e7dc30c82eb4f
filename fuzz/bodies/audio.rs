//! What a peer sends as audio: packets into an ear; and a file as a sound.

use ringfort_base::Time;
use ringfort_media::audio::{Codec, Ear, Heard, Hearing, Sound};

/// Octets as a program: how long to wait, ms, how long the packet is, the packet. After each of them 20 ms are played.
pub fn audio(octets: &[u8]) {
    if let Ok(sound) = Sound::read(octets) {
        let mut out = [0; 480];
        assert!(sound.play(0, true, &mut out) <= sound.end(), "a place lies within the sound");
    }
    let (mut ear, mut now_ms, mut rest) = (ear(), 0, octets);
    while let [wait_ms, len, tail @ ..] = rest {
        let (packet, after) = tail.split_at_checked(usize::from(*len)).unwrap_or((tail, &[]));
        now_ms += u64::from(*wait_ms);
        ear.receive(Time::from_millis(now_ms), packet);
        let rate_hz = [8_000, 16_000, 48_000][usize::from(*len) % 3];
        let mut out = vec![0; rate_hz as usize / 50];
        ear.play(Time::from_millis(now_ms), rate_hz, &mut out);
        while let Some(digit) = ear.poll_digit() {
            assert!(digit.symbol() != '?', "a digit is a key");
        }
        rest = after;
    }
}

fn ear() -> Ear {
    let mut payloads: Vec<_> = Codec::ALL.map(|codec| (codec.static_payload().unwrap_or(111), Heard::Speech(codec))).to_vec();
    payloads.extend([(101, Heard::Events { clock_hz: 8_000 }), (13, Heard::ComfortNoise)]);
    Ear::new(&Hearing { payloads, in_band: true })
}
