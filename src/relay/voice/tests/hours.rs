//! Twelve hours of a call that is transcoded between Opus and PCMU, with SRTP on both legs, while the parties' clocks drift from the
//! node's: six with the one side's clock fast and the other's slow, and six the other way round.
//!
//! To code twelve hours takes minutes. They are run through in an eighth of the time, by clocks that drift eight times as fast: what has to
//! be left out or filled in of either party's speech is what 100 millionths come to in those hours, 108 packets in six.

use super::*;
use ringfort_media::plan::{PortPositions, SrtpKeys, SrtpProfile};
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};

const HOURS: u64 = 6;
/// Clocks of telephones are off by so much, millionths.
const PPM: i64 = 100;
const FASTER: i64 = 8;
const FRAME_US: i64 = 20_000;
/// At the parties' own ends.
const RATE: usize = 8_000;
const LEVEL: f64 = 8_000.0;
/// Of an ear at the node: what jitter of 8 ms asks for, and what is allowed beyond it before speech is shortened.
const DELAY_MAX: Duration = Duration::from_millis(90);
/// Seconds after something happened in which the audio need not be whole.
const SETTLING: u64 = 3;

fn keys(dice: &mut Seeded) -> SrtpKeys {
    let profile = SrtpProfile::Aes128CmSha1_80;
    let (key, salt) = profile.lengths();
    let mut octets = |len| (0..len).map(|_| dice.next() as u8).collect::<Vec<u8>>();
    SrtpKeys { profile, key: octets(key), salt: octets(salt) }
}

/// A second of a tone, over and over, by a clock of its own.
struct Party {
    port: PortId,
    codec: Codec,
    /// Between two of its packets by the node's clock, µs.
    step_us: i64,
    spoken: u64,
    loops: Vec<Vec<u8>>,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    keys: [SrtpKeys; 2],
    sender: SrtpSender,
    receiver: SrtpReceiver,
    /// What it sent and what is still on its way.
    flying: Vec<(u64, Vec<u8>)>,
    ear: Ear,
    played: u64,
    /// Of the second at hand.
    heard: Vec<i16>,
    packets: u64,
}

impl Party {
    fn new(port: u64, codec: Codec, hz: f64, ppm: i64, dice: &mut Seeded) -> Party {
        let mut phone = Phone::new(codec, hz);
        let said = |frame| phone.says(Time::from_millis(20 * frame), frame).expect("a packet")[12..].to_vec();
        // The first second warms the coder up.
        let loops = (0..100).map(said).skip(50).collect();
        let keys = [keys(dice), keys(dice)];
        let (sender, receiver) = (SrtpSender::new(&keys[0]).unwrap(), SrtpReceiver::new(&keys[1]).unwrap());
        let hearing = Hearing { payloads: vec![(codec.static_payload().unwrap_or(111), Heard::Speech(codec))], in_band: false };
        Party {
            port: PortId(port),
            codec,
            step_us: FRAME_US + FRAME_US * ppm / 1_000_000,
            spoken: 0,
            loops,
            ssrc: dice.next() as u32,
            // Both wrap early.
            sequence: u16::MAX - 900,
            timestamp: u32::MAX - 3_000_000,
            keys,
            sender,
            receiver,
            flying: Vec::new(),
            ear: Ear::new(&hearing),
            played: 0,
            heard: Vec::new(),
            packets: 0,
        }
    }

    fn plan(&self, other: PortId, ssrc: u32) -> Box<FlowPlan> {
        let mut plan = plan(self.codec, Source::Port(other));
        let [theirs, ours] = self.keys.clone();
        (plan.receive.srtp, plan.transmit.srtp) = (Some(theirs), Some(ours));
        if let Some(speech) = plan.audio.as_mut().and_then(|audio| audio.speak.as_mut()) {
            // To a telephone of 8 kHz no more is worth coding.
            (speech.how.ssrc, speech.how.source_hz) = (ssrc, 8_000);
        }
        Box::new(plan)
    }

    /// Packets that are due by `now_us`, each of which is up to 8 ms on its way.
    fn speak(&mut self, now_us: u64, dice: &mut Seeded) {
        while self.spoken * self.step_us as u64 <= now_us {
            let at = self.spoken * self.step_us as u64 + dice.below(8_000);
            let packet = self.next();
            self.flying.push((at, packet));
        }
    }

    fn next(&mut self) -> Vec<u8> {
        let payload = &self.loops[self.spoken as usize % self.loops.len()];
        let mut packet = vec![0x80, self.codec.static_payload().unwrap_or(111)];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        let len = packet.len();
        packet.resize(len + SRTP_TRAILER_MAX, 0);
        let len = self.sender.protect_rtp(&mut packet, len).expect("a packet of its own");
        packet.truncate(len);
        self.spoken += 1;
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.codec.rtp_clock_hz() / 50);
        packet
    }

    /// What is next at hand by `now_us`.
    fn arrived(&mut self, now_us: u64) -> Option<(u64, Vec<u8>)> {
        (self.flying.first()?.0 <= now_us).then(|| self.flying.remove(0))
    }

    /// Plays by its own clock.
    fn hear(&mut self, now_us: u64) {
        while self.played * self.step_us as u64 <= now_us {
            let mut pcm = [0; RATE / 50];
            self.ear.play(Time::from_micros(self.played * self.step_us as u64), RATE as u32, &mut pcm);
            self.heard.extend(pcm);
            self.played += 1;
        }
    }

    /// How loud a tone was in the second that was heard, as a share of how loud it was said: in tenths of it, because speech that is
    /// stretched or filled in may shift it.
    fn loudness(&mut self, hz: f64) -> f64 {
        let heard = std::mem::take(&mut self.heard);
        let tenths = heard.chunks(RATE / 10).map(|tenth| amplitude(tenth, hz));
        tenths.sum::<f64>() / heard.len().div_ceil(RATE / 10).max(1) as f64 / LEVEL
    }
}

fn amplitude(heard: &[i16], hz: f64) -> f64 {
    let turn = |n: usize| TAU * hz * n as f64 / RATE as f64;
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in heard.iter().enumerate() {
        (re, im) = (re + f64::from(*sample) * turn(n).cos(), im + f64::from(*sample) * turn(n).sin());
    }
    2.0 * re.hypot(im) / heard.len().max(1) as f64
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    happened: u32,
    /// The softest second of each party that counts, and the longest delay of the node's ears.
    softest: [f64; 2],
    delay_max: Duration,
}

struct World {
    flows: Flows,
    turn: Turn,
    slots: [Slot; 2],
    parties: [Party; 2],
    tones: [f64; 2],
    journal: BTreeMap<PortId, PortPositions>,
    dice: Seeded,
    /// Of the node's streams.
    ssrc: u32,
    settled_s: u64,
    found: Found,
}

impl World {
    fn new(ppm: [i64; 2]) -> World {
        let mut dice = Seeded::new(ppm[0] as u64);
        let tones = [440.0, 1_000.0];
        let codecs = [Codec::Opus, Codec::Pcmu];
        let parties = [0, 1].map(|n| Party::new(n as u64 + 1, codecs[n], tones[n], ppm[n], &mut dice));
        let mut flows = Flows::new();
        let slots = [1, 2].map(|port| flows.open(PortId(port), false).expect("a port"));
        let found = Found { softest: [9.0; 2], ..Found::default() };
        let (turn, journal) = (Turn::new(), BTreeMap::new());
        let mut world = World { flows, turn, slots, parties, tones, journal, dice, ssrc: 1_000, settled_s: SETTLING, found };
        world.replan(Time::ZERO);
        world
    }

    fn replan(&mut self, now: Time) {
        for (of, other) in [(0, 1), (1, 0)] {
            let plan = self.parties[of].plan(self.parties[other].port, self.ssrc + of as u32);
            self.flows.plan(now, self.parties[of].port, plan);
        }
    }

    /// One turn of the node.
    fn frame(&mut self, now_us: u64) {
        for of in [0, 1] {
            self.parties[of].speak(now_us, &mut self.dice);
            while let Some((at, packet)) = self.parties[of].arrived(now_us) {
                let from = "192.0.2.1:4000".parse().expect("an address");
                let arrival = Arrival { slot: self.slots[of], component: Component::Rtp, from, len: packet.len() };
                let step =
                    self.flows.relay(Time::from_micros(at), arrival, &mut [packet, vec![0; SRTP_TRAILER_MAX]].concat()).step;
                assert_eq!(step, Step::Heard, "of {of} at {now_us} µs");
            }
        }
        let (parties, now) = (&mut self.parties, Time::from_micros(now_us));
        self.flows.speak(now, &mut self.turn, &mut |departure, packet| {
            let party = &mut parties[departure.slot.index as usize];
            let mut packet = packet.to_vec();
            // Under an index that was used before it could not be read.
            let len = party.receiver.unprotect_rtp(&mut packet).expect("what the node says can be read");
            party.ear.receive(now, &packet[..len]);
            party.packets += 1;
            true
        });
        while let Some((port, positions)) = self.flows.poll_positions() {
            self.journal.insert(port, positions);
        }
        self.parties.iter_mut().for_each(|party| party.hear(now_us));
    }

    /// Each hears the other, and nobody for long after it was said.
    fn judge(&mut self, second: u64) {
        for of in [0, 1] {
            let loudness = self.parties[of].loudness(self.tones[1 - of]);
            let port = self.parties[of].port;
            let ear = self.flows.flow_of(port).and_then(|flow| flow.voice.as_ref()).and_then(|voice| voice.ear.as_ref());
            let delay = ear.map(|(_, ear)| ear.delay()).expect("an ear");
            if second < self.settled_s {
                continue;
            }
            assert!((0.75..1.2).contains(&loudness), "{of} hears the other at {loudness} in second {second}");
            assert!(delay < DELAY_MAX, "{of} waits {delay:?} in second {second}");
            self.found.softest[of] = self.found.softest[of].min(loudness);
            self.found.delay_max = self.found.delay_max.max(delay);
        }
    }

    /// What may happen to a call at any moment.
    fn happen(&mut self, now_us: u64) {
        let which = self.dice.below(2) as usize;
        let anew = [self.dice.next(), self.dice.next(), self.dice.next()];
        let party = &mut self.parties[which];
        match self.dice.below(5) {
            0 => self.replan(Time::from_micros(now_us)),
            1 => {
                party.flying.clear();
                (party.ssrc, party.sequence, party.timestamp) = (anew[0] as u32, anew[1] as u16, anew[2] as u32);
            }
            // Half a minute of its timestamps and some of its numbers are left out, and nothing of its time.
            2 => {
                party.flying.clear();
                party.sequence = party.sequence.wrapping_add((anew[0] % 30_000) as u16);
                party.timestamp = party.timestamp.wrapping_add(party.codec.rtp_clock_hz() * 30);
            }
            3 => (0..anew[0] % 50).for_each(|_| drop(party.next())),
            _ => self.restart(now_us),
        }
        self.settled_s = now_us / 1_000_000 + 1 + SETTLING;
        self.found.happened += 1;
    }

    /// The process dies; the next one has keys and positions, and speaks in streams of its own.
    fn restart(&mut self, now_us: u64) {
        self.flows = Flows::new();
        self.slots = [1, 2].map(|port| self.flows.open(PortId(port), false).expect("a port"));
        self.ssrc += 2;
        self.replan(Time::from_micros(now_us));
        for (port, positions) in &self.journal {
            self.flows.restore(*port, positions);
        }
    }
}

/// The hours in one `faster`th of them.
fn hours(ppm: [i64; 2], faster: i64) -> Found {
    let mut world = World::new(ppm.map(|ppm| ppm * faster));
    let seconds = HOURS * 3_600 / faster as u64;
    for frame in 0..seconds * 50 {
        let now_us = frame * FRAME_US as u64;
        // About once in two minutes.
        if frame > 250 && world.dice.below(6_000) == 0 {
            world.happen(now_us);
        }
        world.frame(now_us);
        if frame % 50 == 49 {
            world.judge(frame / 50);
        }
    }
    // A packet for each frame: nothing gathers on the way.
    for party in &world.parties {
        let missing = (seconds * 50).abs_diff(party.packets);
        assert!(missing < 100 + 200 * u64::from(world.found.happened), "{missing} packets of {}", seconds * 50);
    }
    println!("{ppm:?}, {faster} times as fast: {:?}", world.found);
    world.found
}

#[test]
fn the_browser_s_clock_is_fast_and_the_carrier_s_slow() {
    let found = hours([-PPM, PPM], FASTER);
    assert!(found.happened > 10, "{found:?}");
}

#[test]
fn the_browser_s_clock_is_slow_and_the_carrier_s_fast() {
    let found = hours([PPM, -PPM], FASTER);
    assert!(found.happened > 10, "{found:?}");
}
