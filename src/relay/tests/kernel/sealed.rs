//! SRTP that the kernel carries as it is.

use crate::network::{V4, V6};
use crate::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};

/// Nothing more is told then.
const QUIET: Duration = Duration::from_millis(10);

const PROFILES: [SrtpProfile; 2] = [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes256Gcm];

fn keys(profile: SrtpProfile, side: usize) -> SrtpKeys {
    let (key, salt) = profile.lengths();
    SrtpKeys { profile, key: vec![1 + side as u8; key], salt: vec![7; salt] }
}

/// A call of two peers, each of which knows the other's keys.
pub struct Sealed {
    pub call: Call,
    profile: SrtpProfile,
    senders: [SrtpSender; 2],
}

impl Sealed {
    fn new(addresses: &Addresses, profile: SrtpProfile) -> Option<Sealed> {
        Call::new(addresses).map(|call| Sealed::over(call, profile))
    }

    /// Its ports get plans of this kind.
    pub fn over(call: Call, profile: SrtpProfile) -> Sealed {
        let sealed = Sealed { call, profile, senders: [0, 1].map(|side| SrtpSender::new(&keys(profile, side)).unwrap()) };
        sealed.call.plan(A, &sealed.plan(0));
        sealed.call.plan(B, &sealed.plan(1));
        sealed
    }

    fn plan(&self, side: usize) -> FlowPlan {
        let mut plan = self.call.plain([B, A][side], side);
        plan.receive.srtp = Some(keys(self.profile, side));
        plan.receive.signals = vec![101];
        plan.transmit.srtp = Some(keys(self.profile, 1 - side));
        plan.transmit.lent = true;
        plan
    }

    fn protected(&mut self, from: usize, packet: &[u8]) -> Vec<u8> {
        let mut buffer = [packet, &[0; 32]].concat();
        let len = self.senders[from].protect_rtp(&mut buffer, packet.len()).unwrap();
        buffer.truncate(len);
        buffer
    }

    pub fn pass(&mut self, from: usize, packet: &[u8]) -> Vec<u8> {
        let secret = self.protected(from, packet);
        self.call.pass(from, &secret);
        secret
    }

    fn tier(&self) -> Tier {
        self.call.counters(A).tier
    }

    /// The caller's packets are carried by the kernel.
    fn settle(&mut self, from: u16) {
        (from..from + 2).for_each(|n| drop(self.pass(0, &rtp(1, n))));
        assert!(self.tier().is_kernel());
    }
}

#[test]
fn the_kernel_carries_srtp_as_it_is() {
    for (addresses, profile) in [(&V4, PROFILES[0]), (&V6, PROFILES[1])] {
        let Some(mut sealed) = Sealed::new(addresses, profile) else { return };
        let mut listener = SrtpReceiver::new(&keys(profile, 0)).unwrap();
        for n in 0..400 {
            let mut secret = sealed.pass(0, &rtp(1, n));
            listener.unprotect_rtp(&mut secret).expect("the callee can read it");
            sealed.pass(1, &rtp(2, n));
        }
        let (a, b) = (sealed.call.counters(A), sealed.call.counters(B));
        assert_eq!([a.tier, b.tier], [TC; 2]);
        assert_eq!((a.rtp_in, a.rtp_out, a.rtp_lost, b.rtp_in, b.rtp_out), (400, 400, 0, 400, 400));
    }
}

/// The numbers roll over in the kernel, twice; whatever brings the flow up, user space can read on, and nothing is lost.
#[test]
fn what_comes_up_is_read_with_the_right_roll_over_counter() {
    for profile in PROFILES {
        let Some(mut sealed) = Sealed::new(&V4, profile) else { return };
        sealed.settle(65_000);
        let numbers = (65_002..=u16::MAX).chain((0..=u16::MAX).step_by(50)).chain(0..300);
        numbers.for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
        assert_eq!(sealed.tier(), TC);
        // Digits come up by themselves.
        let mut event = rtp(1, 300);
        event[1] = 101;
        sealed.pass(0, &event);
        let a = sealed.call.counters(A);
        assert_eq!((a.signals_in, a.tier), (1, TC));
        (301..400).for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
        // A recorder's copy needs all of it.
        let copy = Some(Box::new(CopyPlan { port: PortId(99), payloads: vec![(0, 0)] }));
        sealed.call.plan(A, &FlowPlan { copy, ..sealed.plan(0) });
        sealed.call.counters(A);
        (400..420).for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
        assert_eq!(sealed.tier(), Tier::Sockets(Obstacle::Recorded));
        sealed.call.plan(A, &sealed.plan(0));
        sealed.call.counters(A);
        (420..500).for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
        let a = sealed.call.counters(A);
        assert_eq!((a.auth_failed, a.replayed, a.tier), (0, 0, TC));
    }
}

/// What the kernel says of the roll-over counter is written down as soon as a packet proves it, and not before: a restart begins there.
#[test]
fn positions_are_told_when_they_are_proved() {
    let Some(mut sealed) = Sealed::new(&V4, PROFILES[0]) else { return };
    sealed.settle(65_000);
    (65_002..=u16::MAX).chain((0..40_000).step_by(100)).for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
    let highest = |sealed: &Sealed| {
        let told = std::iter::from_fn(|| sealed.call.events.recv_timeout(QUIET).ok()).filter_map(|event| match event {
            RelayEvent::Positions { port: A, positions } => positions.receive.streams.first()?.rtp,
            _ => None,
        });
        told.map(|position| position.highest).max()
    };
    // A plan brings the flow up for a packet, for one that comes after it: the kernel may have taken others meanwhile.
    sealed.call.plan(A, &sealed.plan(0));
    let (deadline, mut next) = (Instant::now() + PATIENCE, 40_000);
    let told = loop {
        sealed.pass(0, &rtp(1, next));
        next += 1;
        sealed.call.relay.command(RelayCommand::Report);
        match highest(&sealed).filter(|highest| *highest > 0xffff) {
            Some(highest) => break highest,
            None => assert!(Instant::now() < deadline, "positions come"),
        }
    };
    assert!((0x1_0000 + 40_000..0x1_0000 + u64::from(next)).contains(&told), "what was proved: {told}");
}

/// Another source and a leap are proved in user space; then the kernel goes on with them.
#[test]
fn other_streams_are_proved_first() {
    let Some(mut sealed) = Sealed::new(&V4, PROFILES[0]) else { return };
    sealed.settle(0);
    for (ssrc, from) in [(9, 30_000), (9, 50_000)] {
        let deadline = Instant::now() + PATIENCE;
        let mut n = from;
        while n < from + 3 || sealed.tier() != TC {
            sealed.pass(0, &rtp(ssrc, n));
            assert!(Instant::now() < deadline, "it goes down again");
            n += 1;
        }
    }
    // A forgery of another stream does not pass, and does not bring the flow up.
    let forged = [&rtp(10, 1)[..], &[0; 10]].concat();
    sealed.call.send(0, &forged);
    let deadline = Instant::now() + PATIENCE;
    while sealed.call.counters(A).auth_failed == 0 {
        assert!(Instant::now() < deadline, "it is refused");
    }
    assert_eq!(sealed.tier(), TC);
}

/// Forged numbers may lead the kernel astray, since it proves nothing. The peer's own packets are told from them.
#[test]
fn a_stranger_who_forges_numbers_does_not_end_the_stream() {
    for profile in PROFILES {
        let Some(mut sealed) = Sealed::new(&V4, profile) else { return };
        sealed.settle(0);
        let forged = |n: u32| [&rtp(1, (n * 2_500) as u16)[..], &[0; 16]].concat();
        // Two roll-overs ahead of the peer.
        (1..60).for_each(|n| sealed.call.pass(0, &forged(n)));
        (2..30).for_each(|n| drop(sealed.pass(0, &rtp(1, n))));
        assert_eq!(sealed.call.counters(A).auth_failed, 0);
    }
}

/// A packet that the kernel carried, sent once more from elsewhere while the peer is silent, is no sign that the peer has moved.
#[test]
fn what_was_carried_proves_nothing_from_elsewhere() {
    let Some(mut sealed) = Sealed::new(&V4, PROFILES[0]) else { return };
    sealed.settle(0);
    let carried: Vec<Vec<u8>> = (2..40).map(|n| sealed.pass(0, &rtp(1, n))).collect();
    let stranger = sealed.call.network.caller.socket("10.77.1.1:0");
    stranger.send_to(&carried[10], sealed.call.ports[0]).unwrap();
    // Nothing comes for longer than a source may be silent.
    sealed.call.peers[1].set_read_timeout(Some(Duration::from_millis(1_300))).unwrap();
    assert!(sealed.call.peers[1].recv(&mut [0; 2_000]).is_err(), "it is refused");
    for packet in &carried[20..] {
        stranger.send_to(packet, sealed.call.ports[0]).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while sealed.call.counters(A).stray_source < 19 {
        assert!(Instant::now() < deadline, "{:?}", sealed.call.counters(A));
    }
    // The peer itself is followed, once it has been silent.
    let moved = sealed.call.network.caller.socket("10.77.1.1:0");
    // When that began the node may have learnt only from the stranger's packets.
    let follows = (40..44).any(|n| {
        let packet = sealed.protected(0, &rtp(1, n));
        moved.send_to(&packet, sealed.call.ports[0]).unwrap();
        let mut buffer = [0; 2_000];
        sealed.call.peers[1].recv(&mut buffer).is_ok_and(|len| buffer[..len] == packet)
    });
    assert!(follows);
}

/// What is no longer the same on both sides comes up and stays there.
#[test]
fn a_hold_brings_it_up_and_other_keys_go_on_above() {
    let Some(mut sealed) = Sealed::new(&V4, PROFILES[0]) else { return };
    sealed.settle(0);
    let mut held = sealed.plan(0);
    held.destination = Destination::Discard(DiscardReason::OnHold);
    sealed.call.plan(A, &held);
    assert_eq!(sealed.tier(), Tier::Sockets(Obstacle::Settling));
    sealed.call.plan(A, &sealed.plan(0));
    sealed.call.counters(A);
    sealed.settle(2);
    // The other side has keys that are not this one's: the node would have to protect by them, and does not.
    let mut other = sealed.plan(1);
    other.transmit.srtp = Some(keys(sealed.profile, 5));
    sealed.call.plan(B, &other);
    sealed.call.counters(A);
    sealed.pass(0, &rtp(1, 4));
    assert_eq!(sealed.tier(), Tier::Sockets(Obstacle::Secure), "those before are good for a moment");
}

/// The kernel proves nothing, so now and then a packet comes up that is proved; with it the flow goes down again.
#[test]
fn now_and_then_a_packet_is_proved() {
    let Some(mut sealed) = Sealed::new(&V4, PROFILES[0]) else { return };
    sealed.settle(0);
    let deadline = Instant::now() + Duration::from_secs(20);
    sealed.call.peers[1].set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    while sealed.tier() == TC {
        assert!(sealed.call.peers[1].recv(&mut [0; 2_000]).is_err(), "nobody sends");
        assert!(Instant::now() < deadline, "it comes up");
    }
    sealed.call.peers[1].set_read_timeout(Some(PATIENCE)).unwrap();
    sealed.settle(2);
}
