//! A recorder gets copies of what parties send; the call does not notice.

use crate::world::*;
use ringfort_base::PortId;
use ringfort_media::audio::{Codec, Heard, Hearing};
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};

/// Ports by which copies of the first and of the second party leave.
const RA: PortId = PortId(11);
const RB: PortId = PortId(12);

/// A call between two peers, and a recorder with a socket for each.
struct Recorded {
    world: World,
    parties: [Peer; 2],
    ports: [std::net::SocketAddr; 2],
    recorder: [Peer; 2],
}

/// What leaves by a port for the recorder: nothing that comes there goes anywhere.
fn outward(recorder: &Peer, srtp: Option<SrtpKeys>) -> FlowPlan {
    let mut plan = plan(RA, recorder);
    plan.receive.latch = Latch::Exact(recorder.address());
    plan.receive.speech = vec![(0, 8_000)];
    plan.destination = Destination::Discard(DiscardReason::Unheard);
    plan.transmit.srtp = srtp;
    plan
}

fn copy_to(port: PortId) -> Option<Box<CopyPlan>> {
    Some(Box::new(CopyPlan { port, payloads: vec![(0, 0)] }))
}

impl Recorded {
    fn new(srtp: Option<SrtpKeys>) -> Recorded {
        let world = World::new();
        let parties = [Peer::new(), Peer::new()];
        let (a, b) = world.call();
        let recorder = [Peer::new(), Peer::new()];
        for (port, peer) in [RA, RB].into_iter().zip(&recorder) {
            world.open_on("127.0.0.1:0", port, true);
            world.plan(port, &outward(peer, srtp.clone()));
        }
        Recorded { world, parties, ports: [a.rtp, b.rtp], recorder }
    }

    fn begin(&self) {
        self.world.plan(A, &FlowPlan { copy: copy_to(RA), ..plan(B, &self.parties[0]) });
        self.world.plan(B, &FlowPlan { copy: copy_to(RB), ..plan(A, &self.parties[1]) });
    }

    fn end(&self) {
        self.world.plan(A, &plan(B, &self.parties[0]));
        self.world.plan(B, &plan(A, &self.parties[1]));
    }

    /// The party says something; the other one hears just that.
    fn say(&self, party: usize, packet: &[u8]) {
        self.parties[party].rtp.send_to(packet, self.ports[party]).unwrap();
        assert_eq!(receive(&self.parties[1 - party].rtp), packet);
    }
}

#[test]
fn each_party_is_copied_to_its_own_port() {
    let call = Recorded::new(None);
    call.end();
    call.say(0, &rtp(1, 1));
    call.begin();
    call.say(0, &rtp(1, 2));
    call.say(1, &rtp(2, 7));
    assert_eq!(receive(&call.recorder[0].rtp), rtp(1, 2), "from where recording began");
    assert_eq!(receive(&call.recorder[1].rtp), rtp(2, 7));
    call.end();
    call.say(0, &rtp(1, 3));
    call.begin();
    call.say(0, &rtp(1, 4));
    assert_eq!(receive(&call.recorder[0].rtp), rtp(1, 4), "and nothing of what was said meanwhile");
    let counters = call.world.counters(RA, |c| c.rtp_out == 2);
    assert_eq!((counters.rtp_in, counters.send_failed), (0, 0));
}

#[test]
fn other_payloads_are_not_copied_and_numbers_are_the_recorders() {
    let call = Recorded::new(None);
    call.begin();
    let copy = Some(Box::new(CopyPlan { port: RA, payloads: vec![(0, 96)] }));
    call.world.plan(A, &FlowPlan { copy, ..plan(B, &call.parties[0]) });
    let mut other = rtp(1, 1);
    other[1] = 101;
    call.say(0, &other);
    let mut marked = rtp(1, 2);
    marked[1] |= 0x80;
    call.say(0, &marked);
    let mut copied = marked.clone();
    copied[1] = 0x80 | 96;
    assert_eq!(receive(&call.recorder[0].rtp), copied, "the marker stays");
}

/// Whom the node answers itself is copied all the same: by an ear, by an echo, by nobody.
#[test]
fn what_goes_nowhere_is_copied() {
    let call = Recorded::new(None);
    let nowhere = Destination::Discard(DiscardReason::Unheard);
    for (n, destination) in (1..).zip([nowhere, Destination::Echo { ssrc: 9 }, nowhere]) {
        let hearing = Hearing { payloads: vec![(0, Heard::Speech(Codec::Pcmu))], in_band: false };
        let audio = (n == 3).then(|| Box::new(AudioPlan { hear: hearing, speak: None }));
        call.world.plan(A, &FlowPlan { copy: copy_to(RA), destination, audio, ..plan(B, &call.parties[0]) });
        call.parties[0].rtp.send_to(&rtp(1, n), call.ports[0]).unwrap();
        assert_eq!(receive(&call.recorder[0].rtp), rtp(1, n));
    }
}

#[test]
fn srtp_of_a_party_is_copied_in_plain() {
    let call = Recorded::new(None);
    let profile = SrtpProfile::Aes128CmSha1_80;
    let mut secured = plan(B, &call.parties[0]);
    secured.receive.srtp = Some(keys(profile, 1));
    call.world.plan(B, &plan(A, &call.parties[1]));
    call.world.plan(A, &FlowPlan { copy: copy_to(RA), ..secured });
    let mut sender = SrtpSender::new(&keys(profile, 1)).unwrap();
    for n in 1..20 {
        let mut packet = [rtp(1, n), vec![0; 32]].concat();
        let len = sender.protect_rtp(&mut packet, rtp(1, n).len()).unwrap();
        call.parties[0].rtp.send_to(&packet[..len], call.ports[0]).unwrap();
        assert_eq!(receive(&call.parties[1].rtp), rtp(1, n));
        assert_eq!(receive(&call.recorder[0].rtp), rtp(1, n));
    }
}

#[test]
fn a_copy_is_protected_by_the_keys_of_the_recorder() {
    for profile in [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm] {
        let call = Recorded::new(Some(keys(profile, 5)));
        call.begin();
        let mut receiver = SrtpReceiver::new(&keys(profile, 5)).unwrap();
        for n in 65_530..65_540u32 {
            call.say(0, &rtp(1, n as u16));
            let mut copied = receive(&call.recorder[0].rtp);
            assert_ne!(copied[12..], rtp(1, n as u16)[12..]);
            let len = receiver.unprotect_rtp(&mut copied).expect("authentic");
            assert_eq!(copied[..len], rtp(1, n as u16), "across the wrap");
        }
    }
}

#[test]
fn a_recorder_that_is_gone_costs_the_call_nothing() {
    let mut call = Recorded::new(None);
    call.begin();
    call.say(0, &rtp(1, 1));
    receive(&call.recorder[0].rtp);
    // Nobody listens there any more: the system tells by ICMP.
    call.recorder = [Peer::new(), Peer::new()];
    (2..200).for_each(|n| call.say(0, &rtp(1, n)));
    // Its ports close while the plans still name them.
    call.world.relay.command(RelayCommand::Close { port: RA });
    (200..300).for_each(|n| call.say(0, &rtp(1, n)));
    let counters = call.world.counters(A, |c| c.rtp_in == 299);
    assert_eq!((counters.discarded, counters.send_failed), (0, 0));
}
