//! A browser's bundle on one side, a port for each line on the other: RTP goes by its payload type, RTCP by the streams that it names.

use crate::srtp::Secure;
use crate::world::*;
use ringfort_base::PortId;
use ringfort_media::plan::*;
use ringfort_relay::LocalAddresses;
use std::net::SocketAddr;

/// The phone's port for video. A is the browser's, B the phone's for audio.
const C: PortId = PortId(3);
const VOICE: u32 = 11;
const PICTURE: u32 = 12;
const THEIR_VOICE: u32 = 21;
const THEIR_PICTURE: u32 = 22;

struct Call {
    world: World,
    browser: Secure,
    at: SocketAddr,
    voice: Peer,
    picture: Peer,
    /// The node's ports that face the phone's.
    by: [LocalAddresses; 2],
}

impl Call {
    /// In the bundle the format of the pictures is 96, at the phone 99.
    fn new() -> Call {
        let world = World::new();
        let browser = Secure::new(SrtpProfile::AeadAes128Gcm);
        let (voice, picture) = (Peer::new(), Peer::new());
        let (a, b) = world.call();
        let c = world.open_on("127.0.0.1:0", C, true);
        let call = Call { world, browser, at: a.rtp, voice, picture, by: [b, c] };
        call.world.plan(A, &call.bundle(Destination::Port(C)));
        call.world.plan(B, &plan(A, &call.voice));
        call.world.plan(C, &plan(A, &call.picture));
        call
    }

    fn bundle(&self, to: Destination) -> FlowPlan {
        let mut plan = self.browser.plan(B);
        (plan.receive.speech, plan.receive.video) = (vec![(0, 8_000)], vec![96]);
        plan.apart = Some(Box::new(ApartPlan { to, there: vec![(96, 99)], back: vec![(99, 96)], silent: false }));
        plan
    }

    /// One packet of each stream, so that the relay knows whose they are.
    fn talk(&mut self, sequence: u16) {
        self.browser.send(&rtp(VOICE, sequence), self.at);
        assert_eq!(receive_from(&self.voice.rtp), (rtp(VOICE, sequence), self.by[0].rtp));
        self.browser.send(&picture(PICTURE, sequence, 96), self.at);
        assert_eq!(receive_from(&self.picture.rtp), (picture(PICTURE, sequence, 99), self.by[1].rtp));
        self.voice.rtp.send_to(&rtp(THEIR_VOICE, sequence), self.by[0].rtp).unwrap();
        assert_eq!(self.browser.receive(false), rtp(THEIR_VOICE, sequence));
        self.picture.rtp.send_to(&picture(THEIR_PICTURE, sequence, 99), self.by[1].rtp).unwrap();
        assert_eq!(self.browser.receive(false), picture(THEIR_PICTURE, sequence, 96));
    }
}

/// The last packet of a picture.
fn picture(ssrc: u32, sequence: u16, payload: u8) -> Vec<u8> {
    let mut packet = rtp(ssrc, sequence);
    packet[1] = 0x80 | payload;
    packet
}

/// A receiver report with a block for each source.
fn report(ssrc: u32, sources: &[u32]) -> Vec<u8> {
    let blocks = sources.iter().flat_map(|source| [&source.to_be_bytes()[..], &[0; 20]].concat());
    let words = 1 + 6 * sources.len() as u8;
    [&[0x80 | sources.len() as u8, 201, 0, words][..], &ssrc.to_be_bytes()].concat().into_iter().chain(blocks).collect()
}

/// Picture loss indication (RFC 4585 6.3.1).
fn lost(ssrc: u32, of: u32) -> Vec<u8> {
    [&[0x81, 206, 0, 2][..], &ssrc.to_be_bytes(), &of.to_be_bytes()].concat()
}

#[test]
fn each_line_has_its_port() {
    let mut call = Call::new();
    (65_530..65_545u32).for_each(|sequence| call.talk(sequence as u16));
    let counters = call.world.counters(A, |c| c.rtp_out == 30);
    assert_eq!((counters.rtp_in, counters.signals_in, counters.unknown_payload), (30, 15, 0), "pictures are no speech");
    assert_eq!((counters.rtp_lost, counters.discarded), (0, 0));
}

#[test]
fn rtcp_goes_to_the_line_it_speaks_of() {
    let mut call = Call::new();
    call.talk(1);
    // One compound of both lines, as RFC 9143 allows it.
    let mixed = [report(VOICE, &[THEIR_VOICE, THEIR_PICTURE]), lost(PICTURE, THEIR_PICTURE)].concat();
    call.browser.send(&mixed, call.at);
    assert_eq!(receive(&call.voice.rtcp), report(VOICE, &[THEIR_VOICE]));
    assert_eq!(receive(&call.picture.rtcp), [report(VOICE, &[THEIR_PICTURE]), lost(PICTURE, THEIR_PICTURE)].concat());
    // One of the pictures alone, as browsers send it.
    let wish = [report(PICTURE, &[THEIR_PICTURE]), lost(PICTURE, THEIR_PICTURE)].concat();
    call.browser.send(&wish, call.at);
    assert_eq!(receive(&call.picture.rtcp), wish);
    // What the phone says of either comes in the bundle.
    let wish = [report(THEIR_PICTURE, &[PICTURE]), lost(THEIR_PICTURE, PICTURE)].concat();
    call.picture.rtcp.send_to(&wish, call.by[1].rtcp.unwrap()).unwrap();
    assert_eq!(call.browser.receive(true), wish);
    call.voice.rtcp.send_to(&report(THEIR_VOICE, &[VOICE]), call.by[0].rtcp.unwrap()).unwrap();
    assert_eq!(call.browser.receive(true), report(THEIR_VOICE, &[VOICE]));
    let counters = [A, B, C].map(|port| call.world.counters(port, |c| c.rtcp_out > 0));
    assert_eq!(counters.map(|c| (c.rtcp_in, c.rtcp_out)), [(2, 2), (1, 1), (1, 2)]);
}

#[test]
fn pictures_without_a_way_do_not_go_with_the_audio() {
    let mut call = Call::new();
    call.talk(1);
    call.world.plan(A, &call.bundle(Destination::Discard(DiscardReason::OnHold)));
    call.browser.send(&picture(PICTURE, 2, 96), call.at);
    call.browser.send(&lost(PICTURE, THEIR_PICTURE), call.at);
    call.browser.send(&rtp(VOICE, 2), call.at);
    assert_eq!(receive(&call.voice.rtp), rtp(VOICE, 2), "the first that comes");
    call.world.counters(A, |c| c.discarded == 2);
    // What was known of the streams is known still.
    call.world.plan(A, &call.bundle(Destination::Port(C)));
    call.browser.send(&lost(PICTURE, THEIR_PICTURE), call.at);
    assert_eq!(receive(&call.picture.rtcp), [report(PICTURE, &[]), lost(PICTURE, THEIR_PICTURE)].concat());
}

/// The phone's video has keys of its own.
#[test]
fn pictures_change_their_keys() {
    let mut call = Call::new();
    let mut phone = Secure::new(SrtpProfile::Aes128CmSha1_80);
    let mut plan = phone.plan(A);
    plan.transmit.rtcp_mux = false;
    call.world.plan(C, &plan);
    for sequence in 65_530..65_545u32 {
        call.browser.send(&picture(PICTURE, sequence as u16, 96), call.at);
        assert_eq!(phone.receive(false), picture(PICTURE, sequence as u16, 99));
        phone.send(&picture(THEIR_PICTURE, sequence as u16, 99), call.by[1].rtp);
        assert_eq!(call.browser.receive(false), picture(THEIR_PICTURE, sequence as u16, 96));
    }
}

/// A phone that takes no feedback gets none, and the core hears that a picture is wanted; the browser is asked by RTCP for one of its own.
#[test]
fn who_takes_no_feedback_is_asked_by_the_core() {
    let mut call = Call::new();
    call.talk(1);
    let mut plan = call.bundle(Destination::Port(C));
    plan.apart.iter_mut().for_each(|apart| apart.silent = true);
    call.world.plan(A, &plan);
    let nack = [&[0x81, 205, 0, 3][..], &PICTURE.to_be_bytes(), &THEIR_PICTURE.to_be_bytes(), &[0, 5, 0, 0]].concat();
    let told = [report(PICTURE, &[THEIR_PICTURE]), nack, lost(PICTURE, THEIR_PICTURE)].concat();
    (0..3).for_each(|_| call.browser.send(&told, call.at));
    call.browser.send(&[report(VOICE, &[THEIR_VOICE]), lost(VOICE, THEIR_PICTURE)].concat(), call.at);
    (0..3).for_each(|_| assert_eq!(receive(&call.picture.rtcp), report(PICTURE, &[THEIR_PICTURE])));
    assert_eq!(receive(&call.voice.rtcp), report(VOICE, &[THEIR_VOICE]));
    while call.world.event() != (RelayEvent::PictureWanted { port: A }) {}
    // Nobody shows anything to the port of a phone, or to one that has gone.
    [B, C, PortId(99), A].into_iter().for_each(|port| call.world.relay.command(RelayCommand::AskForPicture { port }));
    assert_eq!(call.browser.receive(true), [report(THEIR_PICTURE, &[]), lost(THEIR_PICTURE, PICTURE)].concat());
    assert_eq!(call.world.counters(A, |c| c.rtcp_in == 4).discarded, 0);
}
