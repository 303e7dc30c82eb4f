//! How much audio a packet has that the node codes anew: what its peer wishes for, and never more than it takes.

use crate::peers::{T0, rtp, text};
use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::LegSession;
use ringfort_media::audio::{Codec, Ear, Heard, Hearing, Mouth, Played};
use ringfort_media::bridge::crossing;

fn body(port: u16, format: &str, lines: &str) -> String {
    let (payload, _) = format.split_once(' ').unwrap();
    format!(
        "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio {port} RTP/AVP {payload}\r\n\
         a=rtpmap:{format}\r\n{lines}"
    )
}

/// A caller with Opus and a callee with PCMU, each with lines of its own.
fn call(caller: &str, callee: &str) -> (LegSession, LegSession) {
    let (mut near, mut far) = (rtp(4000), rtp(4100));
    let offered = near.receive_offer(T0, body(6_000, "111 opus/48000/2", caller).as_bytes()).unwrap();
    far.make_offer(T0, &ringfort_media::Description::g711()).unwrap();
    far.receive_answer(T0, body(6_100, "0 PCMU/8000", callee).as_bytes()).unwrap();
    text(near.make_answer(T0, &offered).unwrap());
    (near, far)
}

/// Milliseconds of a packet to each of both.
fn agreed(caller: &str, callee: &str) -> (u32, u32) {
    let (near, far) = call(caller, callee);
    let ms = |from, to| crossing(from, to, false).speaking.expect("the node speaks").ptime_ms;
    (ms(&far, &near), ms(&near, &far))
}

#[test]
fn each_side_gets_packets_as_it_wishes() {
    assert_eq!(agreed("", ""), (20, 20));
    assert_eq!(agreed("a=ptime:60\r\n", "a=ptime:30\r\n"), (60, 30));
    assert_eq!(agreed("a=ptime:30\r\n", "a=ptime:60\r\n"), (20, 60), "Opus has no frame of 30 ms");
    assert_eq!(agreed("a=ptime:0\r\n", "a=ptime:4000000000\r\n"), (20, 60));
}

#[test]
fn no_packet_is_longer_than_a_side_takes() {
    assert_eq!(agreed("a=ptime:60\r\na=maxptime:50\r\n", "a=ptime:60\r\na=maxptime:30\r\n"), (40, 30));
    assert_eq!(agreed("a=maxptime:10\r\n", "a=maxptime:10\r\n"), (10, 10), "also where nothing is wished for");
    assert_eq!(agreed("a=maxptime:120\r\n", "a=ptime:30\r\na=maxptime:150\r\n"), (20, 30), "it is no wish");
    assert_eq!(agreed("a=maxptime:0\r\n", "a=ptime:30\r\na=maxptime:0\r\n"), (20, 30));
}

/// From one leg to the other: the packets have that length, and all of it is heard.
#[test]
fn packets_of_30_and_60_ms_cross() {
    for (caller, callee, per_packet) in [("", "a=ptime:30\r\n", 30), ("", "a=ptime:60\r\n", 60), ("a=ptime:60\r\n", "", 20)] {
        let (near, far) = call(caller, callee);
        let speaking = crossing(&near, &far, false).speaking.expect("the node speaks");
        let payload = speaking.payload;
        let (mut mouth, mut ear) = (
            Mouth::new(&speaking, &mut Seeded::new(1)).expect("a codec"),
            Ear::new(&Hearing { payloads: vec![(payload, Heard::Speech(Codec::Pcmu))], in_band: false }),
        );
        let (mut lengths, mut stamps, mut heard) = (Vec::new(), Vec::new(), 0);
        for frame in 0..300u64 {
            let now = Time::from_millis(20 * frame);
            let said: Vec<i16> = (0..160).map(|n| if (n / 10) % 2 == 0 { 4_000 } else { -4_000 }).collect();
            let (mut packet, mut pcm) = ([0; 1_500], [0; 160]);
            if let Some(len) = mouth.speak(now, &said, &mut packet) {
                lengths.push((len - 12) / 8);
                stamps.push(u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]));
                ear.receive(now, &packet[..len]);
            }
            heard += usize::from(ear.play(now, 8_000, &mut pcm) == Played::Audio);
        }
        assert!(lengths.iter().all(|ms| *ms == per_packet) && lengths.len() >= 6_000 / per_packet - 1, "{lengths:?}");
        assert!(stamps.windows(2).all(|two| two[1].wrapping_sub(two[0]) == 8 * per_packet as u32), "{stamps:?}");
        assert!(heard > 280, "{per_packet}: {heard} of 300");
        assert_eq!(near.port(), PortId(4_000));
    }
}
