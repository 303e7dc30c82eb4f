//! Twelve virtual hours of a call whose keys come by DTLS on both legs, and change by a new handshake about once an hour: a re-INVITE with
//! another certificate, or with the same one and another name of the association (RFC 8842 5.2). The sequence numbers go on and roll over
//! before and after. The parties' own contexts refuse what repeats an index.

use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use ringfort_media::{Description, DtlsIdentity, Keying, LegKind, LegOutput, LegSession, MediaAddress, Security, Srtp};
use ringfort_relay::path::{Arrival, Flows, Slot, Step};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const HOURS: u64 = 12;
const FRAME_MS: u64 = 20;
const FRAMES: u64 = HOURS * 3_600_000 / FRAME_MS;
/// Turns of the wire that a handshake may take; it needs about six.
const TURNS_MAX: usize = 100;

fn leg(port: u64, host: u8, seed: u64) -> LegSession {
    let rtp = SocketAddr::from(([192, 0, 2, host], 4_000));
    let address = MediaAddress { rtp, rtcp: None, advertised: rtp.ip() };
    LegSession::new(LegKind::Rtp, PortId(port), address, &mut Seeded::new(seed))
}

fn identity() -> Arc<DtlsIdentity> {
    Arc::new(DtlsIdentity::generate().expect("a certificate"))
}

/// A telephone, and the node's leg to it.
struct Party {
    port: PortId,
    certificate: Arc<DtlsIdentity>,
    node: LegSession,
    address: SocketAddr,
    keys: [SrtpKeys; 2],
    sender: SrtpSender,
    receiver: SrtpReceiver,
    ssrc: u32,
    sequence: u16,
    /// Of its own and of the other's numbers under the keys of now.
    turns: u32,
}

impl Party {
    fn new(port: u64, now: Time) -> Party {
        let certificate = identity();
        let mut node = leg(port, 100 + port as u8, port);
        let address = leg(0, port as u8, 0).address().rtp;
        let keys = shaken(&mut node, telephone(port, certificate.clone(), 0), None, now, |_| ());
        let (sender, receiver) = (SrtpSender::new(&keys[0]).unwrap(), SrtpReceiver::new(&keys[1]).unwrap());
        let (ssrc, sequence) = (port as u32, 65_000 + port as u16);
        Party { port: PortId(port), certificate, node, address, keys, sender, receiver, ssrc, sequence, turns: 0 }
    }

    /// A new handshake. `anew`: under another certificate. `agreed`: is shown the node's leg before it.
    fn rekey(&mut self, anew: bool, count: u64, now: Time, agreed: impl FnMut(&LegSession)) {
        if anew {
            self.certificate = identity();
        }
        let name = format!("a=tls-id:{count:020}\r\n");
        let telephone = telephone(self.port.0, self.certificate.clone(), count);
        let keys = shaken(&mut self.node, telephone, (!anew).then_some(&name), now, agreed);
        assert!(keys.iter().all(|key| !self.keys.contains(key)), "keys of a handshake of its own");
        (self.sender, self.receiver) = (SrtpSender::new(&keys[0]).unwrap(), SrtpReceiver::new(&keys[1]).unwrap());
        (self.keys, self.turns) = (keys, 0);
    }

    fn next(&mut self) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend([self.sequence as u8; 20]);
        self.sequence = self.sequence.wrapping_add(1);
        self.turns += u32::from(self.sequence == 0);
        packet
    }
}

fn telephone(port: u64, certificate: Arc<DtlsIdentity>, seed: u64) -> LegSession {
    let security = Security { srtp: Srtp::Required, keying: Keying::Dtls, ..Security::default() };
    leg(0, port as u8, 1_000 + seed).with_security(security).with_identity(certificate)
}

/// The telephone offers, the node's leg answers, both shake hands: the keys by which the telephone sends, and the node.
fn shaken(
    node: &mut LegSession,
    mut peer: LegSession,
    name: Option<&String>,
    now: Time,
    mut agreed: impl FnMut(&LegSession),
) -> [SrtpKeys; 2] {
    let offer = peer.make_offer(now, &Description::g711()).expect("an offer");
    let offer = [&offer[..], name.map_or(&[][..], |name| name.as_bytes())].concat();
    let described = node.receive_offer(now, &offer).expect("an offer that can be used");
    let answer = node.make_answer(now, &described).expect("an answer");
    peer.receive_answer(now, &answer).expect("an answer that can be used");
    let to = Destination::Port(PortId(9));
    assert!(matches!(node.plan(to).destination, Destination::Discard(_)), "nothing passes before there are keys");
    agreed(node);
    let (mut now, mut ready) = (now, [false; 2]);
    for _ in 0..TURNS_MAX {
        carry(&mut peer, node, now, &mut ready[0]);
        carry(node, &mut peer, now, &mut ready[1]);
        if ready == [true; 2] {
            let plan = peer.plan(to);
            let keys = [plan.transmit.srtp, plan.receive.srtp].map(|keys| keys.expect("keys"));
            let plan = node.plan(to);
            assert_eq!([plan.receive.srtp.as_ref(), plan.transmit.srtp.as_ref()], [Some(&keys[0]), Some(&keys[1])]);
            return keys;
        }
        now = now + Duration::from_millis(5);
    }
    panic!("the two shake hands");
}

fn carry(from: &mut LegSession, to: &mut LegSession, now: Time, ready: &mut bool) {
    if from.next_timeout() <= now {
        from.handle_timeout(now);
    }
    while let Some(output) = from.poll_output() {
        match output {
            LegOutput::Send { datagram, .. } => to.handle_datagram(now, from.address().rtp, &datagram),
            LegOutput::Ready { .. } => *ready = true,
            _ => {}
        }
    }
}

struct World {
    flows: Flows,
    slots: [Slot; 2],
    parties: [Party; 2],
}

impl World {
    fn new(now: Time) -> World {
        let mut flows = Flows::new();
        let slots = [1, 2].map(|port| flows.open(PortId(port), false).expect("a port"));
        let mut world = World { flows, slots, parties: [Party::new(1, now), Party::new(2, now)] };
        world.replan(now);
        world
    }

    fn replan(&mut self, now: Time) {
        for (of, other) in [(0, 1), (1, 0)] {
            let to = Destination::Port(self.parties[other].port);
            let party = &self.parties[of];
            assert!(self.flows.plan(now, party.port, Box::new(party.node.plan(to))));
        }
    }

    /// A packet of one party must arrive at the other one as it was.
    fn speak(&mut self, from: usize, now: Time) {
        let plain = self.parties[from].next();
        let mut buffer = [&plain[..], &[0; 32]].concat();
        let len = self.parties[from].sender.protect_rtp(&mut buffer, plain.len()).expect("a packet of its own");
        let arrival = Arrival { slot: self.slots[from], component: Component::Rtp, from: self.parties[from].address, len };
        let verdict = self.flows.relay(now, arrival, &mut buffer);
        let Step::Send(departure) = verdict.step else { panic!("{verdict:?} at {now:?}") };
        let other = &mut self.parties[1 - from];
        assert_eq!(departure.to, other.address);
        let got = other.receiver.unprotect_rtp(&mut buffer[..departure.len]).unwrap_or_else(|error| panic!("{error} at {now:?}"));
        assert_eq!(&buffer[..got], plain);
    }

    /// The party's keys change while one of its packets is on its way.
    fn rekey(&mut self, which: usize, count: u64, now: Time) {
        let (address, slot) = (self.parties[which].address, self.slots[which]);
        let stale = self.parties[which].next();
        let mut stale = [&stale[..], &[0; 32]].concat();
        let len = stale.len() - 32;
        let len = self.parties[which].sender.protect_rtp(&mut stale, len).expect("a packet of its own");
        let (flows, other) = (&mut self.flows, self.parties[1 - which].port);
        let port = self.parties[which].port;
        self.parties[which].rekey(count % 4 < 2, count, now, |node| {
            assert!(flows.plan(now, port, Box::new(node.plan(Destination::Port(other)))));
        });
        self.replan(now);
        self.speak(which, now);
        self.speak(1 - which, now);
        let arrival = Arrival { slot, component: Component::Rtp, from: address, len };
        // What was on its way under the old keys is heard still.
        let step = self.flows.relay(now, arrival, &mut stale).step;
        let Step::Send(departure) = step else { panic!("{step:?} of what was on its way at {now:?}") };
        self.parties[1 - which].receiver.unprotect_rtp(&mut stale[..departure.len]).expect("under the other's keys");
    }
}

#[test]
fn handshakes_and_roll_overs_take_turns() {
    let mut now = Time::from_millis(1_000);
    let (mut world, mut dice) = (World::new(now), Seeded::new(5));
    let (mut handshakes, mut turned) = (0, 0);
    for _ in 0..FRAMES {
        now = now + Duration::from_millis(FRAME_MS);
        if dice.below(FRAMES / HOURS / 2) == 0 {
            let which = (handshakes % 2) as usize;
            turned += u64::from(world.parties[which].turns > 0);
            world.rekey(which, handshakes, now);
            handshakes += 1;
        }
        world.speak(0, now);
        world.speak(1, now);
    }
    println!("{handshakes} handshakes, {turned} after a roll-over under the keys before");
    assert!(handshakes > 12 && turned > 8, "{handshakes} {turned}");
    assert!(world.parties.iter().all(|party| party.turns > 0), "and a roll-over after the last one");
}
