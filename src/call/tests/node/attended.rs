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

/// Chromium plays the stream that it met last, and none that it knew before: after music the other side comes in the music's stream.
#[test]
fn a_browser_hears_one_stream_once_the_node_has_spoken_to_it() {
    let mut desk = Desk::new(&config("[services]\nmusic_on_hold = \"music\"\n"));
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &talk::contact("101", PHONE), talk::BROWSER);
    desk.reply(TRUNK, "200 OK", "t", &talk::contact("gw", TRUNK), &talk::sdp(TRUNK, 1, "sendrecv"));
    let (ok, invite) = (desk.last(PHONE), desk.last_of(TRUNK, |m| m.is_request() && m.method() == Method::Invite));
    let (mut browser, mut trunk) = talk::ends(&ok, &invite);
    browser.ack(&mut desk, "");
    let [near, far] = [0, 1].map(|n| ports(&desk)[n]);
    assert_eq!((said(&desk, near), plan_of(&desk, far).destination), (None, Destination::Port(near)), "untouched so far");
    let mut streams = Vec::new();
    for (version, direction, what) in [
        (2, "sendonly", sound("music", true)),
        (3, "sendrecv", Some(Source::Port(far))),
        (4, "inactive", sound("music", true)),
        (5, "sendrecv", Some(Source::Port(far))),
    ] {
        trunk.send(&mut desk, "INVITE", "", &talk::sdp(TRUNK, version, direction));
        let back = match direction {
            "sendrecv" => "sendrecv",
            _ => "recvonly",
        };
        let answer = talk::BROWSER.replace("actpass", "active").replace("a=sendrecv", &format!("a={back}"));
        browser.answer(&mut desk, "200 OK", "", &answer);
        trunk.ack(&mut desk, "");
        assert_eq!(said(&desk, near), what, "{direction}");
        streams.push(plan_of(&desk, near).audio.unwrap().speak.unwrap().how.ssrc);
    }
    assert!(streams.iter().all(|ssrc| *ssrc == streams[0]), "{streams:?}");
    let across = plan_of(&desk, far);
    assert!(
        across.destination == Destination::Discard(DiscardReason::Unheard) && !across.audio.unwrap().hear.payloads.is_empty()
    );
    assert!(plan_of(&desk, near).audio.unwrap().hear.payloads.is_empty(), "what the browser says passes");
}

/// RFC 4579 5.5: a party is referred to the conference. It comes with its own leg, and the referrer is released.
#[test]
fn a_party_that_is_referred_to_a_room_is_mixed_there() {
    let (mut desk, mut phone, trunk) = talk::connected(&config("[services]\nconference = \"*6\"\n"), "", "");
    let contact = talk::contact("101", PHONE);
    desk.request(PHONE, "INVITE", "sip:*6123@ringfort.local", "101", &contact, SDP);
    assert_eq!(desk.answer(PHONE), 200);
    let mixed = said(&desk, *ports(&desk).last().unwrap());
    // The party was held before.
    phone.send(&mut desk, "INVITE", "", &talk::sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &talk::sdp(TRUNK, 2, "recvonly"));
    phone.ack(&mut desk, "");
    phone.send(&mut desk, "REFER", "Refer-To: <sip:*6123@ringfort.local>\r\n", "");
    let offer = trunk.asked(&desk);
    assert!(offer.method() == Method::Invite && body(&offer).contains("m=audio") && !body(&offer).contains("a=sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &talk::sdp(TRUNK, 3, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Ack);
    let port = ports(&desk)[1];
    assert_eq!((said(&desk, port), matches!(mixed, Some(Source::Mix(_)))), (mixed, true), "it hears the others");
    assert!(!plan_of(&desk, port).audio.unwrap().hear.payloads.is_empty(), "and they hear it");
    let moved = |command: &RelayCommand| match command {
        RelayCommand::Move { call, .. } => Some(*call),
        _ => None,
    };
    let workers: Vec<CallId> = desk.relayed.iter().filter_map(moved).collect();
    assert!(workers.iter().all(|worker| *worker == workers[0]), "{workers:?}");
    phone.answer(&mut desk, "200 OK", "", "");
    assert_eq!(phone.asked(&desk).method(), Method::Bye);
    let live = |desk: &Desk| desk.status().calls.iter().filter(|call| call.state != "ending").count();
    assert_eq!(live(&desk), 2);
    // A change of its own is answered here.
    let mut trunk = trunk;
    trunk.send(&mut desk, "INVITE", "", &talk::sdp(TRUNK, 4, "sendonly"));
    assert_eq!(trunk.status(&desk), 200);
    trunk.ack(&mut desk, "");
    let next = Desk::restarted(&config("[services]\nconference = \"*6\"\n"), desk.left_behind());
    assert_eq!(next.relayed.iter().filter_map(moved).collect::<Vec<_>>(), workers[..2], "after a restart too");
    trunk.send(&mut desk, "BYE", "", "");
    assert_eq!((trunk.status(&desk), live(&desk)), (200, 1));
}

/// The seat in a conference is taken over as any other call is.
#[test]
fn a_device_pulls_the_conference_of_its_user() {
    let mut desk = Desk::new(&config("[services]\nconference = \"*6\"\n"));
    for address in [PHONE, OTHER] {
        assert_eq!(desk.register(address, "101", &talk::contact("101", address)), 200);
    }
    desk.request(PHONE, "INVITE", "sip:*6123@ringfort.local", "101", &talk::contact("101", PHONE), SDP);
    let ok = desk.last(PHONE);
    desk.inside(PHONE, "ACK", &ok, ok.cseq().unwrap().0, "", "");
    let seat = desk.status().seats.remove(0);
    assert_eq!(seat.peer.reveal(), "*6123");
    let replaces = format!("Replaces: {};to-tag={};from-tag={}\r\n", seat.call_id.reveal(), seat.node_tag, seat.client_tag);
    let more = format!("{}{replaces}", talk::contact("101", OTHER));
    desk.request(OTHER, "INVITE", "sip:*6123@ringfort.local", "101", &more, SDP);
    assert_eq!(desk.answer(OTHER), 200);
    assert_eq!(desk.last(PHONE).method(), Method::Bye);
    let [before, after] = [0, 1].map(|n| ports(&desk)[n]);
    assert!(matches!((said(&desk, before), said(&desk, after)), (one, other) if one == other && one.is_some()));
    let moves = desk.relayed.iter().filter_map(|command| match command {
        RelayCommand::Move { port, call } => Some((*port, *call)),
        _ => None,
    });
    let moves: Vec<_> = moves.collect();
    assert!(moves.len() == 2 && moves[1] == (after, moves[0].1), "{moves:?}");
}

/// Nobody is lost where the room is full, or the party has no codec that the node speaks.
#[test]
fn a_room_that_takes_nobody_gives_the_call_back() {
    let (mut desk, mut phone, trunk) = talk::connected(&config("[services]\nconference = \"*6\"\n"), "", "");
    let contact = talk::contact("101", PHONE);
    for _ in 0..8 {
        desk.request(PHONE, "INVITE", "sip:*61@ringfort.local", "101", &contact, SDP);
        assert_eq!(desk.answer(PHONE), 200);
    }
    phone.send(&mut desk, "REFER", "Refer-To: <sip:*61@ringfort.local>\r\n", "");
    let notify = phone.asked(&desk);
    assert!(notify.method() == Method::Notify && body(&notify).contains("486"), "{}", body(&notify));
    phone.answer(&mut desk, "200 OK", "", "");
    phone.send(&mut desk, "INVITE", "", &talk::sdp(PHONE, 2, "sendrecv"));
    assert_eq!(trunk.asked(&desk).method(), Method::Invite, "the call stands");
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
