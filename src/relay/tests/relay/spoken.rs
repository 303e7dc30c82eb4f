//! What the node says by itself, while no peer sends anything.

use crate::world::*;
use ringfort_media::audio::{Codec, OpusWishes, Signal, Speaking};
use ringfort_media::plan::*;

/// A tone to a peer who only listens.
fn tone(peer: &Peer) -> FlowPlan {
    let how = Speaking {
        payload: 0,
        codec: Codec::Pcmu,
        source_hz: 8_000,
        ptime_ms: 20,
        events: None,
        comfort_noise: None,
        opus: OpusWishes::default(),
        ssrc: 7,
    };
    let what = Source::Tone { country: String::new(), signal: Signal::RingBack };
    let speak = Some(Speech { how, what, digits: false, pauses: false });
    let destination = Destination::Discard(DiscardReason::OnHold);
    FlowPlan { destination, audio: Some(Box::new(AudioPlan { speak, ..AudioPlan::default() })), ..plan(A, peer) }
}

/// The worker has nothing else to wake for: nobody sends, and no other command comes.
#[test]
fn begins_and_ends_though_nobody_sends() {
    let world = World::new();
    let peer = Peer::new();
    world.open_on("127.0.0.1:0", A, false);
    world.plan(A, &tone(&peer));
    for _ in 0..10 {
        assert_eq!(receive(&peer.rtp)[1] & 0x7f, 0);
    }
    world.plan(A, &FlowPlan { audio: None, ..tone(&peer) });
    // What was on its way comes still; a stream of 50 a second that went on would fill this many.
    peer.rtp.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let more = (0..250).take_while(|_| peer.rtp.recv(&mut [0; 2_000]).is_ok()).count();
    assert!(more < 250, "it ends");
}
