//! Telephone events that the node hears and says anew, beside speech that passes and that the kernel carries.

use crate::network::{V4, V6};
use crate::*;
use ringfort_media::audio::{Codec, Digit, Heard, Hearing, Speaking};

/// Payload types of events: what the caller sends, and what the callee takes.
const SENT: u8 = 101;
const TAKEN: u8 = 96;
/// Of what the node says.
const OWN: u32 = 77;

/// As `media/bridge.rs` has it where both sides share their speech, and not their events.
pub fn plans(call: &Call) -> [FlowPlan; 2] {
    let mut caller = call.plain(B, 0);
    caller.receive.signals = vec![SENT];
    let hear = Hearing { payloads: vec![(SENT, Heard::Events { clock_hz: 8_000 })], in_band: false };
    caller.audio = Some(Box::new(AudioPlan { hear, speak: None }));
    let mut callee = call.plain(A, 1);
    let how = Speaking {
        payload: 0,
        codec: Codec::Pcmu,
        source_hz: 8_000,
        ptime_ms: 20,
        events: Some((TAKEN, 8_000)),
        comfort_noise: None,
        opus: Default::default(),
        ssrc: OWN,
    };
    let speak = Some(Speech { how, what: Source::Port(A), digits: true, pauses: true });
    callee.audio = Some(Box::new(AudioPlan { speak, ..AudioPlan::default() }));
    [caller, callee]
}

/// A packet of the event `5` that began at `since` (RFC 4733 2.3).
fn event(n: u16, since: u16, end: bool) -> Vec<u8> {
    let head = [&[0x80, SENT][..], &n.to_be_bytes(), &(u32::from(since) * 160).to_be_bytes(), &1u32.to_be_bytes()].concat();
    let duration = (n - since + 1) * 160;
    [&head[..], &[5, 10 | if end { 0x80 } else { 0 }], &duration.to_be_bytes()].concat()
}

/// What reaches the callee.
#[derive(Default)]
struct Got {
    speech: Vec<u16>,
    ended: bool,
}

impl Got {
    fn read(&mut self, call: &Call) {
        let mut buffer = [0; 2_000];
        let (len, source) = call.peers[1].recv_from(&mut buffer).expect("a packet");
        let number = u16::from_be_bytes([buffer[2], buffer[3]]);
        let ssrc = u32::from_be_bytes([buffer[8], buffer[9], buffer[10], buffer[11]]);
        assert_eq!(source, call.ports[1]);
        match (buffer[1] & 0x7f, ssrc) {
            (0, 1) => {
                assert_eq!(&buffer[..len], rtp(1, number));
                self.speech.push(number);
            }
            (TAKEN, OWN) => {
                assert_eq!((buffer[12], len), (5, 16));
                self.ended |= buffer[13] & 0x80 != 0;
            }
            other => panic!("{other:?}: nothing else is said, and no event passes as it came"),
        }
    }
}

fn digits(call: &Call) -> Vec<Digit> {
    let events = std::iter::from_fn(|| call.events.try_recv().ok());
    events.filter_map(|event| if let RelayEvent::Digit { port: A, digit } = event { Some(digit) } else { None }).collect()
}

#[test]
fn a_digit_comes_up_and_no_speech_is_lost() {
    for addresses in [&V4, &V6] {
        let Some(call) = Call::new(addresses) else { return };
        let [caller, callee] = plans(&call);
        call.plan(A, &caller);
        call.plan(B, &callee);
        call.settle();
        let mut got = Got::default();
        let (first, last) = (40, 49);
        // The end is told three times, as senders do.
        let packet = |n: u16| match n {
            _ if n < first || n > last => rtp(1, n),
            _ => event(n.min(last - 2), first, n >= last - 2),
        };
        for n in 2..200 {
            let mut packet = packet(n);
            packet[2..4].copy_from_slice(&n.to_be_bytes());
            call.send(0, &packet);
            if n < first || n > last {
                while got.speech.last() != Some(&n) {
                    got.read(&call);
                }
            }
            if n == last + 50 {
                assert_eq!(call.counters(A).tier, TC, "the event has come up");
            }
        }
        while !got.ended {
            got.read(&call);
        }
        let spoken: Vec<u16> = (2..200).filter(|n| *n < first || *n > last).collect();
        assert_eq!(got.speech, spoken, "each once, and in its order");
        let a = call.counters(A);
        assert_eq!((a.rtp_in, a.rtp_lost, a.unknown_payload, a.tier), (200, 0, 0, TC), "{a:?}");
        assert_eq!((a.signals_in, a.discarded, a.malformed), (u64::from(last - first + 1), 0, 0), "{a:?}");
    }
}

/// The core is told of it, and told once that it ended.
#[test]
fn the_core_hears_of_a_digit() {
    let Some(call) = Call::new(&V4) else { return };
    let [caller, callee] = plans(&call);
    call.plan(A, &caller);
    call.plan(B, &callee);
    call.settle();
    for n in 2..6 {
        call.send(0, &event(n, 2, n == 5));
    }
    let mut got = Got::default();
    while !got.ended {
        got.read(&call);
    }
    let told = digits(&call);
    let ended: Vec<_> = told.iter().filter(|digit| digit.end).map(|digit| (digit.symbol(), digit.duration_ms)).collect();
    assert_eq!(ended, [('5', 80)], "{told:?}");
    assert_eq!(call.counters(A).tier, TC);
}
