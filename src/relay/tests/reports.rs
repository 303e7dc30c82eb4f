//! Reports that the node makes: to whom, when, and what is in them (RFC 3550 6).

use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::plan::*;
use ringfort_media::quality::reports::read;
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use ringfort_relay::path::{Arrival, Flows, Slot, Step};
use std::net::SocketAddr;

const A: PortId = PortId(1);
const B: PortId = PortId(2);
/// SSRC of A's party.
const SSRC: u32 = 7;
/// Payload type of video in the same bundle, and its SSRC.
const VIDEO: u8 = 96;
const VIDEO_SSRC: u32 = 70;

fn address(port: PortId) -> SocketAddr {
    let PortId(id) = port;
    SocketAddr::from(([192, 0, 2, id as u8], 4_000))
}

fn plan(port: PortId, destination: Destination, srtp: Option<SrtpKeys>) -> Box<FlowPlan> {
    let latch = Latch::Exact(address(port));
    let receive =
        Receive { srtp: srtp.clone(), speech: vec![(0, 8_000)], signals: vec![101], video: vec![VIDEO], ..Receive::of(latch) };
    let transmit = Transmit { rtp: Some(address(port)), rtcp: None, rtcp_mux: true, srtp, lent: false, muted: false };
    Box::new(FlowPlan { receive, destination, transmit, audio: None, copy: None, apart: None })
}

fn rtp(n: u64) -> Vec<u8> {
    [&[0x80, 0][..], &(n as u16).to_be_bytes(), &(n as u32 * 160).to_be_bytes(), &SSRC.to_be_bytes(), &[0x55; 160]].concat()
}

/// A relay in virtual time.
struct World {
    flows: Flows,
    slots: [Slot; 2],
    now_ms: u64,
    /// Reports that were made: when, to whom, and the packet as it left.
    made: Vec<(u64, SocketAddr, Vec<u8>)>,
}

impl World {
    fn new() -> World {
        let mut flows = Flows::new();
        flows.make_reports(Seeded::new(1));
        let slots = [A, B].map(|port| flows.open(port, false).unwrap());
        World { flows, slots, now_ms: 0, made: Vec::new() }
    }

    fn call() -> World {
        let mut world = World::new();
        world.plan(A, Destination::Port(B), None);
        world.plan(B, Destination::Port(A), None);
        world
    }

    fn plan(&mut self, port: PortId, destination: Destination, srtp: Option<SrtpKeys>) {
        self.flows.plan(Time::from_millis(self.now_ms), port, plan(port, destination, srtp));
    }

    fn arrive(&mut self, slot: usize, packet: &[u8]) {
        let mut buffer = [packet, &[0; 32]].concat();
        let from = address([A, B][slot]);
        let arrival = Arrival { slot: self.slots[slot], component: Component::Rtp, from, len: packet.len() };
        let verdict = self.flows.relay(Time::from_millis(self.now_ms), arrival, &mut buffer);
        assert!(matches!(verdict.step, Step::Send(_) | Step::Drop), "{verdict:?}");
    }

    /// Seconds pass, in which A's party speaks, as `speak` makes of each packet, and in each of which `each` happens.
    fn pass(&mut self, seconds: u64, mut speak: impl FnMut(Vec<u8>) -> Vec<u8>, each: fn(&mut World)) {
        for _ in 0..seconds * 50 {
            if self.now_ms.is_multiple_of(1_000) {
                each(self);
            }
            let packet = speak(rtp(self.now_ms / 20));
            self.arrive(0, &packet);
            self.now_ms += 20;
            let (mut from, mut buffer) = (0, [0; 256]);
            let now = Time::from_millis(self.now_ms);
            while let Some((next, departure)) = self.flows.poll_report(now, self.now_ms << 32, from, &mut buffer) {
                self.made.push((self.now_ms, departure.to, buffer[..departure.len].to_vec()));
                from = next;
            }
        }
    }

    fn made_for(&self, port: PortId) -> Vec<&Vec<u8>> {
        self.made.iter().filter(|(_, to, _)| *to == address(port)).map(|(_, _, packet)| packet).collect()
    }
}

fn same(packet: Vec<u8>) -> Vec<u8> {
    packet
}

#[test]
fn a_peer_that_gets_no_reports_gets_the_nodes() {
    let mut world = World::call();
    world.pass(60, same, |_| {});
    assert!(world.made.iter().all(|(at, ..)| *at >= 15_000), "the parties' own are waited for");
    let (to_a, to_b) = (world.made_for(A), world.made_for(B));
    assert!((7..25).contains(&to_a.len()) && (7..25).contains(&to_b.len()), "{} {}", to_a.len(), to_b.len());
    // B hears A's source, so it is told of that; A's party is told how it is heard.
    assert!(to_b.iter().all(|packet| packet[1] == 200 && packet[4..8] == SSRC.to_be_bytes()));
    let mut blocks = Vec::new();
    to_a.iter().for_each(|packet| read(packet, |_, _| panic!("nothing is sent to A"), |block| blocks.push(block)));
    assert!(blocks.iter().all(|block| (block.ssrc, block.lost) == (SSRC, 0)) && blocks.len() == to_a.len());
    assert_ne!(to_a[0][8 + 24 + 8..][..16], to_b[0][28 + 8..][..16], "names tell nothing of the other leg");
    // The node's own report measures the way: B answers half a second later, at once.
    let (at, _, last) = world.made.iter().rfind(|(_, to, _)| *to == address(B)).cloned().unwrap();
    let mut sent = 0;
    read(&last, |_, time| sent = time, |_| {});
    world.now_ms = at + 500;
    let block = [&SSRC.to_be_bytes()[..], &[0; 12], &sent.to_be_bytes(), &[0; 4]].concat();
    world.arrive(1, &[&[0x81, 201, 0, 7, 0, 0, 0, 8][..], &block].concat());
    let trip = world.flows.close(B).unwrap().1.round_trip_us.expect("measured");
    assert!((499_000..=501_000).contains(&trip), "{trip}");
}

/// One report of a browser speaks of each source of the bundle, in whatever order.
#[test]
fn what_a_peer_misses_of_the_video_is_no_loss_of_audio() {
    let block = |ssrc: u32, lost: u32| [&ssrc.to_be_bytes()[..], &lost.to_be_bytes(), &[0; 16]].concat();
    let (audio, video) = (block(SSRC, 3), block(VIDEO_SSRC, 900));
    for blocks in [[&audio[..], &video].concat(), [&video[..], &audio].concat()] {
        let mut world = World::call();
        world.arrive(0, &rtp(1));
        let mut frame = rtp(1);
        frame[1] = VIDEO;
        frame[8..12].copy_from_slice(&VIDEO_SSRC.to_be_bytes());
        world.arrive(0, &frame);
        world.arrive(1, &[&[0x82, 201, 0, 13, 0, 0, 0, 8][..], &blocks].concat());
        // And one of the video alone.
        world.arrive(1, &[&[0x81, 201, 0, 7, 0, 0, 0, 8][..], &video].concat());
        assert_eq!(world.flows.close(B).unwrap().1.peer_lost, 3);
    }
}

/// What the node reports of the audio names the time in the report of the audio's source.
#[test]
fn a_senders_report_of_its_video_is_not_taken_for_that_of_its_audio() {
    let mut world = World::call();
    let report =
        |ssrc: u32, time: u32| [&[0x80, 200, 0, 6][..], &ssrc.to_be_bytes(), &[1, 2], &time.to_be_bytes(), &[0; 14]].concat();
    world.arrive(0, &rtp(0));
    let compound = [report(SSRC, 77), report(VIDEO_SSRC, 78)].concat();
    world.arrive(0, &compound);
    world.pass(30, same, |_| {});
    let mut named = Vec::new();
    world.made_for(A).iter().for_each(|packet| read(packet, |_, _| {}, |block| named.push(block.last_report)));
    assert!(!named.is_empty() && named.iter().all(|time| *time == 77), "{named:?}");
}

#[test]
fn reports_that_pass_are_enough() {
    let mut world = World::call();
    let report = |world: &mut World| world.arrive(0, &[&[0x80, 201, 0, 1][..], &SSRC.to_be_bytes()].concat());
    world.pass(60, same, report);
    assert_eq!(world.made_for(B), Vec::<&Vec<u8>>::new(), "A's party reports to B");
    assert!(!world.made_for(A).is_empty(), "B's does not");
    world.made.clear();
    world.pass(30, same, |_| {});
    assert!(!world.made_for(B).is_empty(), "it has ceased");
}

/// At the end of a stream nobody else could report: the echo service, under SRTP.
#[test]
fn the_end_of_a_stream_reports_at_once_and_says_goodbye() {
    for profile in [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm] {
        let salt = if profile == SrtpProfile::AeadAes128Gcm { 12 } else { 14 };
        let keys = SrtpKeys { profile, key: vec![7; 16], salt: vec![9; salt] };
        let (mut sender, mut receiver) = (SrtpSender::new(&keys).unwrap(), SrtpReceiver::new(&keys).unwrap());
        let mut world = World::new();
        world.plan(A, Destination::Echo { ssrc: 99 }, Some(keys));
        let protected = |packet: Vec<u8>| {
            let mut buffer = [&packet[..], &[0; 32]].concat();
            let len = sender.protect_rtp(&mut buffer, packet.len()).unwrap();
            buffer.truncate(len);
            buffer
        };
        world.pass(10, protected, |_| {});
        assert!(world.made[0].0 <= 3_200, "half an interval: {} ms", world.made[0].0);
        let mut farewell = [0; 256];
        let departure = world.flows.farewell(Time::from_millis(world.now_ms), 1, A, &mut farewell).expect("a BYE");
        world.made.push((world.now_ms, departure.to, farewell[..departure.len].to_vec()));
        for (_, to, packet) in &mut world.made {
            let len = receiver.unprotect_rtcp(packet).expect("authentic");
            packet.truncate(len);
            assert_eq!((*to, packet[1], &packet[4..8]), (address(A), 200, &99u32.to_be_bytes()[..]));
        }
        let last = &world.made.last().unwrap().2;
        assert_eq!(last[last.len() - 8..], [0x81, 203, 0, 1, 0, 0, 0, 99]);
        assert!(world.flows.farewell(Time::ZERO, 1, B, &mut farewell).is_none(), "nobody there has heard of the node");
    }
}
