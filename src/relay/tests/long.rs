//! Twelve virtual hours of two calls with SRTP on both legs: roll-overs of the sequence number together with everything that happens to
//! a call meanwhile, also while keys change. Every packet that is sent and not lost on purpose must arrive, readable, and none under an index used before: the
//! parties' own contexts refuse what repeats one.

use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::plan::*;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use ringfort_relay::path::{Arrival, Flows, Slot, Step};
use std::collections::HashMap;
use std::net::SocketAddr;

const HOURS: u64 = 12;
const FRAME_MS: u64 = 20;
const FRAMES: u64 = HOURS * 3_600_000 / FRAME_MS;
/// Packets of one roll-over.
const TURN: u32 = 1 << 16;

/// One end of the call: its own contexts, and the keys that the node has of it.
struct Party {
    port: PortId,
    address: SocketAddr,
    profile: SrtpProfile,
    /// Of its direction, then of the node's.
    keys: [SrtpKeys; 2],
    sender: SrtpSender,
    receiver: SrtpReceiver,
    ssrc: u32,
    sequence: u16,
    /// Packets held back, to come later than the next one.
    late: Option<Vec<u8>>,
}

fn keys(profile: SrtpProfile, dice: &mut Seeded) -> SrtpKeys {
    let (key, salt) = profile.lengths();
    let mut octets = |len| (0..len).map(|_| dice.next() as u8).collect::<Vec<u8>>();
    SrtpKeys { profile, key: octets(key), salt: octets(salt) }
}

impl Party {
    fn new(port: u64, profile: SrtpProfile, dice: &mut Seeded) -> Party {
        let keys = [keys(profile, dice), keys(profile, dice)];
        let (sender, receiver) = (SrtpSender::new(&keys[0]).unwrap(), SrtpReceiver::new(&keys[1]).unwrap());
        let address = SocketAddr::from(([192, 0, 2, port as u8], 4_000));
        // Close to the first wrap, so that it comes early.
        let sequence = (TURN - 200 - dice.below(200) as u32) as u16;
        Party { port: PortId(port), address, profile, keys, sender, receiver, ssrc: dice.next() as u32, sequence, late: None }
    }

    fn plan(&self, to: PortId, latch: Latch) -> Box<FlowPlan> {
        let [theirs, ours] = self.keys.clone();
        let receive = Receive { srtp: Some(theirs), speech: vec![(0, 8_000)], ..Receive::of(latch) };
        let transmit =
            Transmit { rtp: Some(self.address), rtcp: None, rtcp_mux: true, srtp: Some(ours), lent: false, muted: false };
        Box::new(FlowPlan { receive, destination: Destination::Port(to), transmit, audio: None, copy: None, apart: None })
    }

    /// A re-INVITE with new keys in both directions. What was held back goes on under the old ones.
    fn rekey(&mut self, dice: &mut Seeded) {
        self.keys = [keys(self.profile, dice), keys(self.profile, dice)];
        self.sender = SrtpSender::new(&self.keys[0]).unwrap();
        self.receiver = SrtpReceiver::new(&self.keys[1]).unwrap();
    }

    fn next(&mut self) -> Vec<u8> {
        let mut packet = vec![0x80, 0];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend((u32::from(self.sequence) * 160).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend([self.sequence as u8; 20]);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }

    /// A report of what was never sent: its content does not matter.
    fn report(&self) -> Vec<u8> {
        [&[0x80, 201, 0, 1][..], &self.ssrc.to_be_bytes()].concat()
    }
}

/// The node's side: a relay that dies and comes again, and what was written down of it.
struct World {
    flows: Flows,
    slots: [Slot; 2],
    journal: HashMap<PortId, PortPositions>,
    parties: [Party; 2],
    dice: Seeded,
    now: Time,
    delivered: u64,
}

impl World {
    fn new(profiles: [SrtpProfile; 2], seed: u64) -> World {
        let mut dice = Seeded::new(seed);
        let parties = [Party::new(1, profiles[0], &mut dice), Party::new(2, profiles[1], &mut dice)];
        let mut flows = Flows::new();
        let slots = [1, 2].map(|port| flows.open(PortId(port), false).unwrap());
        let mut world = World { flows, slots, journal: HashMap::new(), parties, dice, now: Time::ZERO, delivered: 0 };
        world.replan(Latch::Symmetric { expected: None, grace_ms: 0 });
        world
    }

    fn replan(&mut self, symmetric: Latch) {
        for (of, other) in [(0, 1), (1, 0)] {
            let exact = Latch::Exact(self.parties[of].address);
            let latch = if matches!(symmetric, Latch::Exact(_)) { exact } else { symmetric };
            let plan = self.parties[of].plan(self.parties[other].port, latch);
            self.flows.plan(self.now, self.parties[of].port, plan);
        }
    }

    /// The process dies; the next one has what was written down, and keys and addresses.
    fn restart(&mut self) {
        self.flows = Flows::new();
        self.slots = [1, 2].map(|port| self.flows.open(PortId(port), false).unwrap());
        self.replan(Latch::Exact(self.parties[0].address));
        for port in [PortId(1), PortId(2)] {
            let positions = self.journal.get(&port).cloned().unwrap_or_default();
            self.flows.restore(port, &positions);
        }
    }

    /// A packet through the node, to the other party, which must be able to read it.
    fn pass(&mut self, from: usize, secret: &[u8], plain: &[u8]) {
        let mut buffer = [secret, &[0; 32]].concat();
        let party = &self.parties[from];
        let arrival = Arrival { slot: self.slots[from], component: Component::Rtp, from: party.address, len: secret.len() };
        let verdict = self.flows.relay(self.now, arrival, &mut buffer);
        let Step::Send(departure) = verdict.step else { panic!("{verdict:?} at {:?} of {plain:02x?}", self.now) };
        let other = &mut self.parties[1 - from];
        assert_eq!(departure.to, other.address);
        let got = &mut buffer[..departure.len];
        let len = match plain[1] {
            201 => other.receiver.unprotect_rtcp(got),
            _ => other.receiver.unprotect_rtp(got),
        };
        assert_eq!(&got[..len.unwrap_or_else(|error| panic!("{error} at {:?}", self.now))], plain);
        self.delivered += 1;
        while let Some((port, positions)) = self.flows.poll_positions() {
            // As it is written and read.
            let written = serde_json::to_string(&positions).unwrap();
            self.journal.insert(port, serde_json::from_str(&written).unwrap());
        }
    }

    fn protect(&mut self, from: usize, plain: &[u8]) -> Vec<u8> {
        let mut buffer = [plain, &[0; 32]].concat();
        let sender = &mut self.parties[from].sender;
        let len = if plain[1] == 201 {
            sender.protect_rtcp(&mut buffer, plain.len())
        } else {
            sender.protect_rtp(&mut buffer, plain.len())
        };
        buffer.truncate(len.unwrap());
        buffer
    }

    /// One packet of a party; around the wrap some are lost, and some change places.
    fn speak(&mut self, from: usize) {
        let plain = self.parties[from].next();
        let secret = self.protect(from, &plain);
        let near = self.parties[from].sequence.wrapping_add(30) < 60;
        if near && self.dice.chance(200) {
            return;
        }
        if near && self.parties[from].late.is_none() && self.dice.chance(300) {
            self.parties[from].late = Some([plain, secret].concat());
            return;
        }
        self.pass(from, &secret, &plain);
        if let Some(late) = self.parties[from].late.take() {
            let (plain, secret) = late.split_at(32);
            self.pass(from, secret, plain);
        }
    }

    /// What may happen to a call at any moment.
    fn happen(&mut self) {
        let which = self.dice.below(2) as usize;
        match self.dice.below(7) {
            // A re-INVITE that changes nothing, one with new keys, and a hold in between.
            0 => self.replan(Latch::Symmetric { expected: None, grace_ms: 0 }),
            1 => self.rekey(which),
            2 => {
                let party = &mut self.parties[which];
                (party.ssrc, party.sequence, party.late) = (self.dice.next() as u32, self.dice.next() as u16, None);
            }
            // A jump, up to what a receiver can tell from a step back.
            3 => {
                let party = &mut self.parties[which];
                party.sequence = party.sequence.wrapping_add(self.dice.below(30_000) as u16);
                party.late = None;
            }
            4 => (0..self.dice.below(500)).for_each(|_| self.lose(which)),
            // The process dies, and is away for some seconds, in which both go on.
            5 => {
                let lost = 20 + self.dice.below(200);
                (0..lost).for_each(|_| (self.lose(0), self.lose(1)).1);
                self.parties.iter_mut().for_each(|party| party.late = None);
                self.restart();
            }
            _ => {
                let plain = self.parties[which].report();
                let secret = self.protect(which, &plain);
                self.pass(which, &secret, &plain);
            }
        }
    }

    /// New keys while some packets are on their way; they come after the first ones under the new keys.
    fn rekey(&mut self, which: usize) {
        let crossing: Vec<_> = (0..self.dice.below(6))
            .map(|_| {
                let plain = self.parties[which].next();
                (self.protect(which, &plain), plain)
            })
            .collect();
        let World { parties, dice, .. } = self;
        parties[which].rekey(dice);
        self.replan(Latch::Symmetric { expected: None, grace_ms: 0 });
        for (secret, plain) in crossing {
            self.speak(which);
            self.pass(which, &secret, &plain);
        }
    }

    fn lose(&mut self, from: usize) {
        let plain = self.parties[from].next();
        self.protect(from, &plain);
    }
}

fn twelve_hours(profiles: [SrtpProfile; 2], seed: u64) {
    let mut world = World::new(profiles, seed);
    let mut happened = 0;
    for frame in 0..FRAMES {
        world.now = Time::from_millis(frame * FRAME_MS);
        // About once in three minutes; right at a wrap more often.
        let near = world.parties.iter().any(|party| party.sequence.wrapping_add(5) < 10);
        if world.dice.below(if near { 200 } else { 9_000 }) == 0 && frame > 100 {
            world.happen();
            happened += 1;
        }
        world.speak(0);
        world.speak(1);
    }
    println!("{profiles:?}: {} packets, {happened} events", world.delivered);
    assert!(world.delivered > 2 * FRAMES * 99 / 100 && happened > 150, "{} {happened}", world.delivered);
}

#[test]
fn aes_cm_and_gcm() {
    twelve_hours([SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm], 1);
}

#[test]
fn the_short_tag_and_aes_256_gcm() {
    twelve_hours([SrtpProfile::Aes128CmSha1_32, SrtpProfile::AeadAes256Gcm], 2);
}

#[test]
fn longer_keys() {
    twelve_hours([SrtpProfile::Aes192CmSha1_80, SrtpProfile::Aes256CmSha1_32], 3);
}
