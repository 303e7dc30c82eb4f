//! SRTP that goes on as it came, by sockets: the peers were told each other's keys.

use crate::world::*;
use ringfort_base::PortId;
use ringfort_media::audio::{Codec, OpusWishes, Signal, Speaking};
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use std::net::SocketAddr;

const PROFILES: [SrtpProfile; 3] = [SrtpProfile::Aes128CmSha1_80, SrtpProfile::Aes128CmSha1_32, SrtpProfile::AeadAes256Gcm];

/// A call of two peers, each of which knows the other's keys.
struct Lent {
    world: World,
    peers: [Peer; 2],
    ports: [SocketAddr; 2],
    senders: [SrtpSender; 2],
    profile: SrtpProfile,
}

impl Lent {
    fn new(profile: SrtpProfile) -> Lent {
        let world = World::new();
        let (a, b) = world.call();
        let senders = [1, 2].map(|seed| SrtpSender::new(&keys(profile, seed)).unwrap());
        let lent = Lent { world, peers: [Peer::new(), Peer::new()], ports: [a.rtp, b.rtp], senders, profile };
        lent.world.plan(A, &lent.plan(0));
        lent.world.plan(B, &lent.plan(1));
        lent
    }

    /// The plan of a side: what comes is under its own peer's keys, what goes under the other one's.
    fn plan(&self, side: usize) -> FlowPlan {
        let mut plan = plan([B, A][side], &self.peers[side]);
        plan.receive.srtp = Some(keys(self.profile, [1, 2][side]));
        plan.receive.speech = vec![(0, 8_000)];
        plan.transmit =
            Transmit { srtp: Some(keys(self.profile, [2, 1][side])), lent: true, rtcp_mux: true, rtcp: None, ..plan.transmit };
        plan
    }

    fn send(&mut self, from: usize, packet: &[u8]) -> Vec<u8> {
        let secret = protected(&mut self.senders[from], packet);
        self.peers[from].rtp.send_to(&secret, self.ports[from]).unwrap();
        secret
    }

    fn pass(&mut self, from: usize, packet: &[u8]) {
        let secret = self.send(from, packet);
        assert_eq!(receive(&self.peers[1 - from].rtp), secret, "octet for octet");
    }
}

fn protected(sender: &mut SrtpSender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = [packet, &[0; 32]].concat();
    let is_rtcp = (200..=206).contains(&packet[1]);
    let len =
        if is_rtcp { sender.protect_rtcp(&mut buffer, packet.len()) } else { sender.protect_rtp(&mut buffer, packet.len()) };
    buffer.truncate(len.unwrap());
    buffer
}

#[test]
fn packets_and_reports_leave_as_they_came() {
    for profile in PROFILES {
        let mut lent = Lent::new(profile);
        for n in (65_500..=u16::MAX).chain(0..40) {
            lent.pass(0, &rtp(1, n));
            lent.pass(1, &rtp(2, n));
        }
        // A header extension is authenticated with what follows it.
        let extended = [&[0x90, 0, 0, 40, 0, 0, 25, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x10, 5, 0, 0][..], &[5; 100]].concat();
        lent.pass(0, &extended);
        lent.pass(0, &rtcp(1));
        lent.pass(1, &rtcp(2));
        let a = lent.world.counters(A, |c| c.rtcp_out == 1);
        assert_eq!((a.rtp_in, a.rtp_out, a.rtp_lost, a.rtcp_in, a.auth_failed, a.replayed), (77, 76, 0, 1, 0, 0));
    }
}

/// What the node does not touch it proves all the same.
#[test]
fn forgeries_and_replays_go_no_further() {
    for profile in PROFILES {
        let mut lent = Lent::new(profile);
        let first = lent.send(0, &rtp(1, 1));
        assert_eq!(receive(&lent.peers[1].rtp), first);
        lent.peers[0].rtp.send_to(&first, lent.ports[0]).unwrap();
        let mut forged = protected(&mut lent.senders[0], &rtp(1, 2));
        forged[20] ^= 1;
        lent.peers[0].rtp.send_to(&forged, lent.ports[0]).unwrap();
        let a = lent.world.counters(A, |c| c.auth_failed == 1);
        assert_eq!((a.rtp_in, a.replayed), (1, 1));
        lent.pass(0, &rtp(1, 3));
    }
}

/// Under keys that somebody else has, the node protects nothing that it has read: neither another party's audio nor what came in plain.
#[test]
fn nothing_else_leaves_under_lent_keys() {
    for of_another in [None, Some(keys(PROFILES[0], 9))] {
        let mut lent = Lent::new(PROFILES[0]);
        lent.pass(0, &rtp(1, 1));
        let mut plan = lent.plan(0);
        plan.receive.srtp = of_another.clone();
        lent.world.plan(A, &plan);
        let mut another = of_another.map(|keys| SrtpSender::new(&keys).unwrap());
        for n in 2..12 {
            let packet = another.as_mut().map_or(rtp(1, n), |sender| protected(sender, &rtp(1, n)));
            lent.peers[0].rtp.send_to(&packet, lent.ports[0]).unwrap();
        }
        let report = another.as_mut().map_or(rtcp(1), |sender| protected(sender, &rtcp(1)));
        lent.peers[0].rtp.send_to(&report, lent.ports[0]).unwrap();
        lent.world.counters(B, |c| c.srtp_unsent == 11);
        lent.world.plan(A, &lent.plan(0));
        lent.world.counters(A, |_| true);
        lent.pass(0, &rtp(1, 20));
    }
}

/// A re-INVITE brings other keys. What is under those before passes for a moment: its sender does not know yet, or it was on its way.
#[test]
fn keys_change_without_a_gap() {
    for first in [A, B] {
        let mut lent = Lent::new(PROFILES[0]);
        (0..5).for_each(|n| lent.pass(0, &rtp(1, n)));
        let mut plans = [lent.plan(0), lent.plan(1)];
        plans[0].receive.srtp = Some(keys(PROFILES[0], 3));
        plans[1].transmit.srtp = Some(keys(PROFILES[0], 3));
        let order = if first == A { [0, 1] } else { [1, 0] };
        order.into_iter().for_each(|side| lent.world.plan([A, B][side], &plans[side]));
        lent.world.counters(A, |_| true);
        (5..10).for_each(|n| lent.pass(0, &rtp(1, n)));
        lent.senders[0] = SrtpSender::new(&keys(PROFILES[0], 3)).unwrap();
        (10..15).for_each(|n| lent.pass(0, &rtp(1, n)));
        let b = lent.world.counters(B, |c| c.rtp_out == 15);
        assert_eq!(b.srtp_unsent, 0);
    }
}

/// The recorder gets what was said, the other side what was sent.
#[test]
fn a_recorder_reads_what_passes_untouched() {
    const RECORDED: PortId = PortId(11);
    let mut lent = Lent::new(PROFILES[2]);
    let recorder = Peer::new();
    lent.world.open_on("127.0.0.1:0", RECORDED, true);
    lent.world.plan(RECORDED, &plan(A, &recorder));
    lent.pass(0, &rtp(1, 1));
    let copy = Some(Box::new(CopyPlan { port: RECORDED, payloads: vec![(0, 0)] }));
    lent.world.plan(A, &FlowPlan { copy, ..lent.plan(0) });
    for n in 2..20 {
        lent.pass(0, &rtp(1, n));
        assert_eq!(receive(&recorder.rtp), rtp(1, n));
    }
}

/// Music for who is held: the keys are the other side's, the SSRC is the node's own and stays so.
#[test]
fn what_the_node_says_has_an_ssrc_of_its_own() {
    let mut lent = Lent::new(PROFILES[2]);
    lent.pass(0, &rtp(1, 1));
    let how = |ssrc| Speaking {
        payload: 0,
        codec: Codec::Pcmu,
        source_hz: 8_000,
        ptime_ms: 20,
        events: None,
        comfort_noise: None,
        opus: OpusWishes::default(),
        ssrc,
    };
    let what = Source::Tone { country: String::new(), signal: Signal::RingBack };
    let speak = |ssrc| Some(Speech { how: how(ssrc), what: what.clone(), digits: false, pauses: false });
    let spoken = |ssrc| Some(Box::new(AudioPlan { speak: speak(ssrc), ..AudioPlan::default() }));
    lent.world.plan(B, &FlowPlan { audio: spoken(77), ..lent.plan(1) });
    let mut listener = SrtpReceiver::new(&keys(PROFILES[2], 1)).unwrap();
    for _ in 0..5 {
        let mut packet = receive(&lent.peers[1].rtp);
        listener.unprotect_rtp(&mut packet).expect("under the lent keys");
        assert_eq!(packet[8..12], [0, 0, 0, 77]);
    }
    // What comes back of it is none of the lender's, though its keys prove it.
    let reflected = receive(&lent.peers[1].rtp);
    lent.peers[0].rtp.send_to(&reflected, lent.ports[0]).unwrap();
    lent.world.counters(A, |c| c.replayed == 1 && c.rtp_in == 1);
    // Neither takes the other's SSRC: under one key that would be one keystream for two streams.
    lent.send(0, &rtp(77, 2));
    lent.world.counters(A, |c| c.replayed == 2);
    lent.world.plan(B, &FlowPlan { audio: spoken(1), ..lent.plan(1) });
    lent.world.counters(B, |c| c.srtp_unsent > 3);
    lent.world.plan(B, &lent.plan(1));
}
