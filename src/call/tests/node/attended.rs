//! What the node answers itself: sounds, conferences; and music on hold.

use crate::fixture::{Desk, SDP};
use crate::talk::{self, PHONE, TRUNK, body};
use ringfort_base::{CallId, PortId};
use ringfort_call::Input;
use ringfort_media::plan::{Destination, DiscardReason, FlowPlan, RelayCommand, RelayEvent, Source};
use ringfort_sip::message::Method;
use std::time::Duration;

const OTHER: &str = "203.0.113.6:5060";
const SOUNDS: &str = "[[sound]]\nname = \"closed\"\nfile = \"closed.wav\"\n[[sound]]\nname = \"music\"\nfile = \"music.wav\"\n";

fn config(more: &str) -> String {
    format!("{}{SOUNDS}{more}", talk::CONFIG)
}

fn plan_of(desk: &Desk, wanted: PortId) -> FlowPlan {
    let plan = desk.relayed.iter().rev().find_map(|command| match command {
        RelayCommand::Plan { port, plan } if *port == wanted => Some((**plan).clone()),
        _ => None,
    });
    plan.expect("a plan")
}

/// The ports in the order in which they were opened.
fn ports(desk: &Desk) -> Vec<PortId> {
    let opened = |command: &RelayCommand| match command {
        RelayCommand::Open { port, .. } => Some(*port),
        _ => None,
    };
    desk.relayed.iter().filter_map(opened).collect()
}

fn said(desk: &Desk, port: PortId) -> Option<Source> {
    Some(plan_of(desk, port).audio?.speak?.what)
}

fn sound(name: &str, repeat: bool) -> Option<Source> {
    Some(Source::Sound { name: name.into(), repeat })
}

#[test]
fn a_sound_is_a_target_and_its_end_is_the_calls_end() {
    let route = "[[route]]\nname = \"closed\"\nnumber = \"9*\"\nto = [\"sound:closed\"]\n";
    let mut desk = Desk::new(&config(route));
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    desk.request(PHONE, "INVITE", "sip:9123@ringfort.local", "101", &contact, SDP);
    assert_eq!(desk.answer(PHONE), 200);
    assert!(body(&desk.last(PHONE)).contains("m=audio") && desk.status().calls[0].target == "sound:closed");
    let port = ports(&desk)[0];
    assert_eq!(said(&desk, port), sound("closed", false));
    let ok = desk.last(PHONE);
    desk.inside(PHONE, "ACK", &ok, ok.cseq().unwrap().0, "", "");
    desk.input(Input::Relay(RelayEvent::Said { port }));
    let bye = desk.last(PHONE);
    assert_eq!(bye.method(), Method::Bye);
    desk.reply_to(PHONE, &bye, "200 OK", "", "", "");
    desk.pass(Duration::from_secs(40));
    assert_eq!(desk.residue(), [0, 0, 0]);
}

#[test]
fn a_codec_that_the_node_does_not_speak_is_refused_by_a_sound() {
    let mut desk = Desk::new(&config("[[route]]\nname = \"closed\"\nnumber = \"9*\"\nto = [\"sound:closed\"]\n"));
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    desk.request(PHONE, "INVITE", "sip:9123@ringfort.local", "101", &contact, &SDP.replace("RTP/AVP 8", "RTP/AVP 18"));
    assert_eq!(desk.answer(PHONE), 488);
}

#[test]
fn parties_of_a_room_are_on_one_worker_and_in_one_mix() {
    let mut desk = Desk::new(&config("[services]\nconference = \"*6\"\n"));
    let phones = [(PHONE, "101"), (OTHER, "102")];
    for (address, user) in phones {
        let contact = talk::contact(user, address);
        assert_eq!(desk.register(address, user, &contact), 200);
        desk.request(address, "INVITE", "sip:*6123@ringfort.local", user, &contact, SDP);
        assert_eq!(desk.answer(address), 200);
    }
    let mixes: Vec<_> = ports(&desk).into_iter().map(|port| said(&desk, port)).collect();
    assert!(matches!(mixes[..], [Some(Source::Mix(one)), Some(Source::Mix(other))] if one == other), "{mixes:?}");
    let moved = |command: &RelayCommand| match command {
        RelayCommand::Move { call, .. } => Some(*call),
        _ => None,
    };
    let workers: Vec<CallId> = desk.relayed.iter().filter_map(moved).collect();
    assert!(matches!(workers[..], [one, other] if one == other), "{workers:?}");
    assert!(ports(&desk).into_iter().all(|port| !plan_of(&desk, port).audio.unwrap().hear.payloads.is_empty()));
    let next = Desk::restarted(&config("[services]\nconference = \"*6\"\n"), desk.left_behind());
    assert_eq!(next.relayed.iter().filter_map(moved).collect::<Vec<_>>(), workers, "after a restart too");
}

#[test]
fn a_full_room_takes_nobody_else() {
    let mut desk = Desk::new(&config("[services]\nconference = \"*6\"\n"));
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    for _ in 0..8 {
        desk.request(PHONE, "INVITE", "sip:*61@ringfort.local", "101", &contact, SDP);
        assert_eq!(desk.answer(PHONE), 200);
    }
    desk.request(PHONE, "INVITE", "sip:*61@ringfort.local", "101", &contact, SDP);
    assert_eq!(desk.answer(PHONE), 486);
    desk.request(PHONE, "INVITE", "sip:*62@ringfort.local", "101", &contact, SDP);
    assert_eq!(desk.answer(PHONE), 200, "there are other rooms");
}

/// Each party of a room, and whoever hears a sound, is coded for; who only hears himself is not.
#[test]
fn conferences_and_sounds_take_places_of_transcoded_calls() {
    let more = "[services]\nconference = \"*6\"\necho = \"*43\"\n[limits]\ntranscoded_calls_max = 2\n\
                [[route]]\nname = \"closed\"\nnumber = \"9*\"\nto = [\"sound:closed\", \"trunk:carrier\"]\n";
    let mut desk = Desk::new(&config(more));
    let places = |desk: &Desk| {
        let row = desk.status().limits.into_iter().find(|row| row.holder == "transcoded").expect("a row");
        (row.calls, row.refused)
    };
    let contact = talk::contact("101", PHONE);
    assert_eq!(desk.register(PHONE, "101", &contact), 200);
    let call = |desk: &mut Desk, number: &str| {
        desk.request(PHONE, "INVITE", &format!("sip:{number}@ringfort.local"), "101", &contact, SDP);
        desk.last(PHONE)
    };
    let status = |desk: &mut Desk, number: &str| call(desk, number).status();
    assert_eq!((status(&mut desk, "*43"), places(&desk).0), (Some(200), 0), "an echo is not coded");
    let ok = call(&mut desk, "*61");
    assert_eq!((ok.status(), places(&desk).0), (Some(200), 1));
    assert_eq!((status(&mut desk, "9123"), places(&desk).0), (Some(200), 2));
    assert_eq!(status(&mut desk, "*61"), Some(503));
    assert!(places(&desk).0 == 2 && places(&desk).1 > 0, "{:?}", places(&desk));
    let before = desk.count(TRUNK);
    call(&mut desk, "9123");
    assert!(desk.count(TRUNK) > before, "the next target is asked");
    assert_eq!(status(&mut desk, "*43"), Some(200));
    let cseq = ok.cseq().expect("one").0;
    desk.inside(PHONE, "ACK", &ok, cseq, "", "");
    desk.inside(PHONE, "BYE", &ok, cseq + 1, "", "");
    assert_eq!(places(&desk).0, 1);
    assert_eq!((status(&mut desk, "*61"), places(&desk).0), (Some(200), 2));
    let next = Desk::restarted(&config(more), desk.left_behind());
    assert_eq!(places(&next).0, 2, "after a restart too");
}

/// Held by `inactive`, which leaves nothing to hear, and by `sendonly`.
#[test]
fn who_is_held_hears_music() {
    for direction in ["inactive", "sendonly"] {
        let (mut desk, mut phone, trunk) = talk::connected(&config("[services]\nmusic_on_hold = \"music\"\n"), "", "");
        let [near, far] = ports(&desk).try_into().unwrap();
        assert_eq!((said(&desk, near), said(&desk, far)), (None, None));
        phone.send(&mut desk, "INVITE", &talk::contact("101", PHONE), &talk::sdp(PHONE, 2, direction));
        assert!(body(&trunk.asked(&desk)).contains("a=sendonly"), "{direction}: it is to listen");
        trunk.answer(&mut desk, "200 OK", &talk::contact("gw", TRUNK), &talk::sdp(TRUNK, 2, "recvonly"));
        phone.ack(&mut desk, "");
        assert_eq!((said(&desk, near), said(&desk, far)), (None, sound("music", true)), "{direction}");
        assert!(!plan_of(&desk, far).transmit.muted);
        assert_eq!(plan_of(&desk, near).destination, Destination::Discard(DiscardReason::OnHold), "{direction}");
        phone.send(&mut desk, "INVITE", &talk::contact("101", PHONE), &talk::sdp(PHONE, 3, "sendrecv"));
        trunk.answer(&mut desk, "200 OK", &talk::contact("gw", TRUNK), &talk::sdp(TRUNK, 3, "sendrecv"));
        assert_eq!((said(&desk, near), said(&desk, far)), (None, None), "{direction}: it is over");
        assert_eq!(plan_of(&desk, near).destination, Destination::Port(far));
    }
}
