//! SRTP on one side, RTP on the other; and where the contexts go on.

use crate::world::*;
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};

const PROFILES: [SrtpProfile; 5] = {
    use SrtpProfile::*;
    [Aes128CmSha1_80, Aes128CmSha1_32, AeadAes128Gcm, Aes192CmSha1_32, Aes256CmSha1_80]
};

/// A peer that speaks SRTP: its own direction has keys 1, the node's keys 2.
pub struct Secure {
    peer: Peer,
    sender: SrtpSender,
    receiver: SrtpReceiver,
    profile: SrtpProfile,
}

impl Secure {
    pub fn new(profile: SrtpProfile) -> Secure {
        let sender = SrtpSender::new(&keys(profile, 1)).unwrap();
        let receiver = SrtpReceiver::new(&keys(profile, 2)).unwrap();
        Secure { peer: Peer::new(), sender, receiver, profile }
    }

    /// The plan for the port that faces it, as WebRTC has it.
    pub fn plan(&self, to: ringfort_base::PortId) -> FlowPlan {
        let mut plan = plan(to, &self.peer);
        plan.receive.srtp = Some(keys(self.profile, 1));
        plan.transmit.srtp = Some(keys(self.profile, 2));
        plan.transmit.rtcp_mux = true;
        plan.transmit.rtcp = None;
        plan
    }

    fn protected(&mut self, packet: &[u8], is_rtcp: bool) -> Vec<u8> {
        let mut buffer = [packet, &[0; 32]].concat();
        let len = packet.len();
        let protected =
            if is_rtcp { self.sender.protect_rtcp(&mut buffer, len) } else { self.sender.protect_rtp(&mut buffer, len) };
        buffer.truncate(protected.unwrap());
        buffer
    }

    pub fn receive(&mut self, is_rtcp: bool) -> Vec<u8> {
        let mut packet = receive(&self.peer.rtp);
        let len = if is_rtcp { self.receiver.unprotect_rtcp(&mut packet) } else { self.receiver.unprotect_rtp(&mut packet) };
        packet.truncate(len.expect("authentic"));
        packet
    }

    pub fn send(&mut self, packet: &[u8], to: std::net::SocketAddr) {
        let secret = self.protected(packet, (200..=206).contains(&packet[1]));
        self.peer.rtp.send_to(&secret, to).unwrap();
    }
}

#[test]
fn srtp_meets_rtp() {
    for profile in PROFILES {
        let world = World::new();
        let (mut a, b) = (Secure::new(profile), Peer::new());
        let (pa, pb) = world.call();
        world.plan(A, &a.plan(B));
        world.plan(B, &plan(A, &b));
        for n in 65_500..65_600u32 {
            a.send(&rtp(1, n as u16), pa.rtp);
            assert_eq!(receive(&b.rtp), rtp(1, n as u16), "across the wrap");
            b.rtp.send_to(&rtp(2, n as u16), pb.rtp).unwrap();
            assert_eq!(a.receive(false), rtp(2, n as u16));
        }
        a.send(&rtcp(1), pa.rtp);
        assert_eq!(receive(&b.rtcp), rtcp(1), "muxed to separate");
        b.rtcp.send_to(&rtcp(2), pb.rtcp.unwrap()).unwrap();
        assert_eq!(a.receive(true), rtcp(2), "separate to muxed");
        let counters = world.counters(A, |c| c.rtcp_out == 1);
        let tag = match profile {
            SrtpProfile::Aes128CmSha1_32 | SrtpProfile::Aes192CmSha1_32 => 4,
            SrtpProfile::AeadAes128Gcm => 16,
            _ => 10,
        };
        assert_eq!((counters.rtp_in, counters.rtp_in_octets, counters.rtp_out), (100, 100 * (172 + tag), 100));
    }
}

/// One profile to the other, as between two browsers.
#[test]
fn srtp_meets_srtp() {
    let world = World::new();
    let (mut a, mut b) = (Secure::new(PROFILES[0]), Secure::new(SrtpProfile::AeadAes128Gcm));
    let (pa, pb) = world.call();
    world.plan(A, &a.plan(B));
    world.plan(B, &b.plan(A));
    for n in 0..20 {
        a.send(&rtp(1, n), pa.rtp);
        assert_eq!(b.receive(false), rtp(1, n));
        b.send(&rtp(2, n), pb.rtp);
        assert_eq!(a.receive(false), rtp(2, n));
    }
}

#[test]
fn echo_is_protected() {
    for profile in PROFILES {
        let world = World::new();
        let mut a = Secure::new(profile);
        let pa = world.open_on("127.0.0.1:0", A, false);
        world.plan(A, &FlowPlan { destination: Destination::Echo { ssrc: 77 }, ..a.plan(A) });
        for n in 0..5 {
            a.send(&rtp(1, n), pa.rtp);
            assert_eq!(a.receive(false), rtp(77, n));
        }
    }
}

#[test]
fn replays_and_forgeries_are_counted() {
    for profile in PROFILES {
        let world = World::new();
        let (mut a, b) = (Secure::new(profile), Peer::new());
        let (pa, _) = world.call();
        world.plan(A, &a.plan(B));
        world.plan(B, &plan(A, &b));
        let secret = a.protected(&rtp(1, 1), false);
        a.peer.rtp.send_to(&secret, pa.rtp).unwrap();
        a.peer.rtp.send_to(&secret, pa.rtp).unwrap();
        let mut forged = a.protected(&rtp(1, 2), false);
        forged[20] ^= 1;
        a.peer.rtp.send_to(&forged, pa.rtp).unwrap();
        a.peer.rtp.send_to(&rtp(1, 3), pa.rtp).unwrap();
        let counters = world.counters(A, |c| c.auth_failed == 2);
        assert_eq!((counters.rtp_in, counters.replayed), (1, 1));
        a.send(&rtp(1, 4), pa.rtp);
        assert_eq!((receive(&b.rtp), receive(&b.rtp)), (rtp(1, 1), rtp(1, 4)));
    }
}

/// A re-INVITE brings a new plan with the same keys: the peer is in roll-over 1, and so must the node be.
#[test]
fn a_plan_with_the_same_keys_keeps_the_roll_over_counter() {
    for profile in PROFILES {
        let world = World::new();
        let (mut a, b) = (Secure::new(profile), Peer::new());
        let (pa, pb) = world.call();
        world.plan(A, &a.plan(B));
        world.plan(B, &plan(A, &b));
        for n in [60_000u16, 100] {
            a.send(&rtp(1, n), pa.rtp);
            assert_eq!(receive(&b.rtp), rtp(1, n));
            b.rtp.send_to(&rtp(2, n), pb.rtp).unwrap();
            assert_eq!(a.receive(false), rtp(2, n));
        }
        let mut again = a.plan(B);
        again.transmit.muted = true;
        world.plan(A, &again);
        world.plan(A, &a.plan(B));
        a.send(&rtp(1, 101), pa.rtp);
        assert_eq!(receive(&b.rtp), rtp(1, 101));
        b.rtp.send_to(&rtp(2, 101), pb.rtp).unwrap();
        assert_eq!(a.receive(false), rtp(2, 101));
    }
}

#[test]
fn new_keys_replace_the_old_ones() {
    let world = World::new();
    let (mut a, b) = (Secure::new(PROFILES[1]), Peer::new());
    let (pa, _) = world.call();
    world.plan(A, &a.plan(B));
    world.plan(B, &plan(A, &b));
    a.send(&rtp(1, 1), pa.rtp);
    assert_eq!(receive(&b.rtp), rtp(1, 1));
    let mut rekeyed = a.plan(B);
    rekeyed.receive.srtp = Some(keys(PROFILES[0], 9));
    world.plan(A, &rekeyed);
    let mut stranger = Secure::new(PROFILES[1]);
    stranger.sender = SrtpSender::new(&keys(PROFILES[1], 7)).unwrap();
    let forged = stranger.protected(&rtp(1, 2), false);
    a.peer.rtp.send_to(&forged, pa.rtp).unwrap();
    world.counters(A, |c| c.auth_failed == 1);
    a.sender = SrtpSender::new(&keys(PROFILES[0], 9)).unwrap();
    a.send(&rtp(1, 3), pa.rtp);
    assert_eq!(receive(&b.rtp), rtp(1, 3));
}

/// The process dies; another one opens the same ports and takes up plans and positions from the journal.
#[test]
fn a_restarted_relay_goes_on_in_the_same_roll_over() {
    for profile in PROFILES {
        let (mut a, b) = (Secure::new(profile), Peer::new());
        let (pa, pb, positions) = {
            let world = World::new();
            let (pa, pb) = world.call();
            world.plan(A, &a.plan(B));
            world.plan(B, &plan(A, &b));
            for n in [60_000u16, 100] {
                a.send(&rtp(1, n), pa.rtp);
                assert_eq!(receive(&b.rtp), rtp(1, n));
                b.rtp.send_to(&rtp(2, n), pb.rtp).unwrap();
                assert_eq!(a.receive(false), rtp(2, n));
            }
            (pa, pb, world.relay.positions(&[A, B]))
        };
        assert_eq!(positions.len(), 2);
        let world = World::new();
        for (port, local) in [(A, pa), (B, pb)] {
            let open =
                RelayCommand::Open { port, call: ringfort_base::CallId(7), rtp: local.rtp, rtcp: local.rtcp, shared: false };
            world.relay.command(open);
            assert_eq!(world.relay.local(port), Some(local));
        }
        let mut plan_a = a.plan(B);
        plan_a.receive.latch = Latch::Exact(a.peer.address());
        world.plan(A, &plan_a);
        world.plan(B, &plan(A, &b));
        positions.into_iter().for_each(|(port, positions)| world.relay.restore(port, positions));
        a.send(&rtp(1, 101), pa.rtp);
        assert_eq!(receive(&b.rtp), rtp(1, 101));
        b.rtp.send_to(&rtp(2, 101), pb.rtp).unwrap();
        assert_eq!(a.receive(false), rtp(2, 101));
    }
}

/// A media server that plays something else under one SSRC begins with lower numbers. Its listener hears it, and where SRTP must not send
/// a packet that is counted.
#[test]
fn plain_audio_that_begins_anew_is_heard_by_srtp() {
    for profile in PROFILES {
        let world = World::new();
        let (mut a, b) = (Secure::new(profile), Peer::new());
        let (_, pb) = world.call();
        world.plan(A, &a.plan(B));
        world.plan(B, &plan(A, &b));
        let numbers = [20_000u16, 20_001, 15_000, 15_001, 15_002, 30, 31, 32];
        for n in numbers {
            b.rtp.send_to(&rtp(2, n), pb.rtp).unwrap();
        }
        for (n, sent_as) in [(20_000, 20_000), (20_001, 20_001), (15_001, 20_002), (15_002, 20_003), (31, 20_004), (32, 20_005)] {
            let heard = a.receive(false);
            assert_eq!((&heard[2..4], &heard[12..]), (&u16::to_be_bytes(sent_as)[..], &rtp(2, n)[12..]));
        }
        assert_eq!(world.counters(A, |c| c.rtp_out == 6).srtp_unsent, 2);
    }
}

/// Keys that cannot be used silence the leg; they do not open it.
#[test]
fn unusable_keys_let_nothing_through() {
    let world = World::new();
    let (a, b) = (Peer::new(), Peer::new());
    let (pa, pb) = world.call();
    let mut broken = plan(B, &a);
    broken.receive.srtp = Some(SrtpKeys { profile: PROFILES[0], key: vec![1; 3], salt: vec![] });
    broken.transmit.srtp = broken.receive.srtp.clone();
    world.plan(A, &broken);
    world.plan(B, &plan(A, &b));
    a.rtp.send_to(&rtp(1, 1), pa.rtp).unwrap();
    b.rtp.send_to(&rtp(2, 1), pb.rtp).unwrap();
    let counters = world.counters(A, |c| c.auth_failed == 1 && c.send_failed == 1);
    assert_eq!((counters.rtp_in, counters.rtp_out), (0, 0));
}
