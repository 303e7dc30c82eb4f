//! Calls that are recorded (RFC 7866): what recorders are told, what becomes of theirs, and that the call never notices.

mod asked;
mod aware;
mod services;

use crate::fixture::Desk;
use crate::talk::{self, End, PHONE, TRUNK, body, contact};
use ringfort_base::event::CallRecord;
use ringfort_base::{Event, Hop, PortId, Transport};
use ringfort_call::Input;
use ringfort_media::plan::{CopyPlan, Destination, FlowPlan, PortCounters, RelayCommand, RelayEvent, Source};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::time::Duration;

const FIRST: &str = "198.51.100.7:5060";
const SECOND: &str = "198.51.100.8:5060";
const ANSWER: &str = "v=0\r\no=- 9 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
                      m=audio 7000 RTP/AVP 8\r\na=recvonly\r\nm=audio 7002 RTP/AVP 8\r\na=recvonly\r\n";

fn config(rule: &str) -> String {
    let recorder = |name: &str, address: &str| {
        format!("[[recorder]]\nname = \"{name}\"\naddress = \"{address}\"\ntransport = \"udp\"\noptions_interval_ms = 0\n")
    };
    format!(
        "{}[sip]\nlarge_by_tcp = \"none\"\nsession_expires_s = 0\n{}{}[[recording]]\nname = \"all\"\nto = [\"first\", \"second\"]\n{rule}",
        talk::CONFIG,
        recorder("first", FIRST),
        recorder("second", SECOND)
    )
}

/// A recorded call whose recorder has not said anything yet.
fn begun(rule: &str) -> (Desk, End, End) {
    talk::connected(&config(rule), "", "")
}

/// The same, and the recorder took it.
fn standing(rule: &str) -> (Desk, End, End) {
    let (mut desk, phone, trunk) = begun(rule);
    accept(&mut desk, FIRST, ANSWER);
    (desk, phone, trunk)
}

fn accept(desk: &mut Desk, recorder: &str, sdp: &str) {
    let invite = invite_to(desk, recorder);
    let contact = contact("rec", recorder).replace(">", ">;+sip.srs");
    desk.reply_to(recorder, &invite, "200 OK", "rec", &contact, sdp);
}

fn invite_to(desk: &Desk, recorder: &str) -> Message {
    desk.requests(recorder, Method::Invite).pop().expect("an INVITE")
}

/// The parts of a body: description and metadata.
fn parts(message: &Message) -> (String, String) {
    let kind = message.header(HeaderName::ContentType).expect("a type").to_string();
    let boundary = kind.strip_prefix("multipart/mixed;boundary=").expect("two parts");
    let text = body(message);
    let delimiter = format!("--{boundary}");
    let mut parts = text.split(&delimiter).skip(1).map(|part| part.split_once("\r\n\r\n"));
    let (head, sdp) = parts.next().flatten().expect("a description");
    assert!(head.contains("application/sdp"));
    let (head, xml) = parts.next().flatten().expect("metadata");
    assert!(head.contains("Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session"), "{head}");
    assert!(text.ends_with(&format!("--{boundary}--\r\n")));
    (sdp.to_string(), xml.trim_end().to_string())
}

/// Elements as `path` with their attributes and texts. Panics unless the text is well-formed.
fn elements(xml: &str) -> Vec<(String, String, String)> {
    let mut rest = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration").trim_start();
    let (mut open, mut found): (Vec<String>, Vec<(String, String, String)>) = (Vec::new(), Vec::new());
    while let Some(after) = rest.strip_prefix('<') {
        let (tag, behind) = after.split_once('>').expect("a tag that ends");
        let (text, next) = behind.split_at(behind.find('<').unwrap_or(behind.len()));
        assert!(!tag.contains('<') && !text.contains('>'), "{tag}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "in {xml}"),
            None => {
                let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
                assert_eq!(attributes.matches('"').count() % 2, 0, "{tag}");
                open.push(name.to_string());
                found.push((open.join("/"), attributes.to_string(), text.trim().to_string()));
            }
        }
        rest = next;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{rest}");
    found
}

fn named<'a>(elements: &'a [(String, String, String)], path: &str) -> Vec<&'a (String, String, String)> {
    elements.iter().filter(|(at, ..)| at == path).collect()
}

/// Ports in the order in which they were opened: caller, callee, and those of recorders.
fn ports(desk: &Desk) -> Vec<PortId> {
    let opened = desk.relayed.iter().filter_map(|command| match command {
        RelayCommand::Open { port, .. } => Some(*port),
        _ => None,
    });
    opened.collect()
}

fn plan_of(desk: &Desk, wanted: PortId) -> FlowPlan {
    let plan = desk.relayed.iter().rev().find_map(|command| match command {
        RelayCommand::Plan { port, plan } if *port == wanted => Some((**plan).clone()),
        _ => None,
    });
    plan.expect("a plan")
}

/// What is copied of caller and callee.
fn copies(desk: &Desk) -> [Option<CopyPlan>; 2] {
    let ports = ports(desk);
    [0, 1].map(|n| plan_of(desk, ports[n]).copy.map(|copy| *copy))
}

fn told(desk: &Desk) -> Vec<(String, String, String)> {
    let told = desk.events.iter().filter_map(|event| match event {
        Event::Recording { recorder, state, cause, .. } => Some((recorder.clone(), state.clone(), cause.clone())),
        _ => None,
    });
    told.collect()
}

fn state(recorder: &str, state: &str, cause: &str) -> (String, String, String) {
    (recorder.into(), state.into(), cause.into())
}

/// Both parties can still talk, and are asked nothing.
fn goes_on(desk: &Desk) {
    let ports = ports(desk);
    assert_eq!(plan_of(desk, ports[0]).destination, Destination::Port(ports[1]));
    assert_eq!(plan_of(desk, ports[1]).destination, Destination::Port(ports[0]));
    assert_eq!((desk.requests(TRUNK, Method::Invite).len(), desk.requests(PHONE, Method::Invite).len()), (1, 0));
    assert!(desk.requests(TRUNK, Method::Bye).is_empty() && desk.requests(PHONE, Method::Bye).is_empty());
    assert_eq!(desk.status().calls.len(), 1);
}

/// The caller hangs up, and the peers answer; nothing is left over.
fn ends(mut desk: Desk, mut phone: End) -> CallRecord {
    phone.send(&mut desk, "BYE", "", "");
    for at in [TRUNK, FIRST, SECOND] {
        for bye in desk.requests(at, Method::Bye) {
            desk.receive(at, &talk::reply(&bye, "200 OK", "", ""));
        }
    }
    desk.pass(Duration::from_secs(60));
    assert_eq!(desk.residue(), [0, 0, 0]);
    let record = desk.events.iter().rev().find_map(|event| match event {
        Event::CallEnded(record) => Some(record.clone()),
        _ => None,
    });
    record.expect("a record")
}

const AWARE: &str = "Supported: record-aware\r\n";

/// What a party was told of the recording in the last description.
fn told_state(desk: &Desk, at: &str) -> Option<String> {
    let text = body(&desk.last_of(at, |message| message.session_description().is_some()));
    text.lines().find_map(|line| line.strip_prefix("a=record:").map(str::to_string))
}

fn causes(record: &CallRecord) -> Vec<(&str, &str, bool)> {
    record.recordings.iter().map(|note| (note.recorder.as_str(), note.cause.as_str(), note.began.is_some())).collect()
}

#[test]
fn a_recorder_is_told_who_speaks_and_gets_copies() {
    let (mut desk, phone, _) = begun("");
    let invite = invite_to(&desk, FIRST);
    assert_eq!(invite.header(HeaderName::Require), Some("siprec"));
    assert!(invite.header(HeaderName::Contact).is_some_and(|contact| contact.ends_with(";+sip.src")));
    let (sdp, xml) = parts(&invite);
    let lines: Vec<&str> = sdp.lines().filter(|l| l.starts_with("m=") || l.contains("label") || *l == "a=sendonly").collect();
    let recorders = &ports(&desk)[2..];
    assert!(
        matches!(lines[..], [a, "a=label:1", "a=sendonly", b, "a=label:2", "a=sendonly"]
        if a.ends_with(" RTP/AVP 8") && b.ends_with(" RTP/AVP 8")),
        "{lines:?}"
    );
    let elements = elements(&xml);
    let one = |path: &str| named(&elements, path).len();
    assert_eq!(elements[0].1, "xmlns=\"urn:ietf:params:xml:ns:recording:1\"");
    assert_eq!((one("recording/session"), one("recording/participant"), one("recording/stream")), (1, 2, 2));
    assert_eq!(named(&elements, "recording/datamode")[0].2, "complete");
    assert_eq!(named(&elements, "recording/session/start-time").len(), 1);
    let labels: Vec<&str> = named(&elements, "recording/stream/label").iter().map(|(.., text)| text.as_str()).collect();
    assert_eq!(labels, ["1", "2"]);
    let people: Vec<&str> = named(&elements, "recording/participant/nameID").iter().map(|(_, aor, _)| aor.as_str()).collect();
    assert_eq!(people, ["aor=\"sip:101@ringfort.local\"", "aor=\"sip:0123@ringfort.local\""]);
    let ids: Vec<&String> = named(&elements, "recording/participantstreamassoc/send").iter().map(|(.., id)| id).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1] && xml.contains(&format!("stream_id=\"{}\"", ids[0])));
    assert_eq!((one("recording/participantsessionassoc"), one("recording/sessionrecordingassoc")), (2, 1));
    assert_eq!(copies(&desk), [None, None], "the recorder has not agreed, and the call waits for nothing");
    goes_on(&desk);
    accept(&mut desk, FIRST, ANSWER);
    assert_eq!(desk.last(FIRST).method(), Method::Ack);
    let copied = |port: PortId| Some(CopyPlan { port, payloads: vec![(8, 8)] });
    assert_eq!(copies(&desk), [copied(recorders[0]), copied(recorders[1])]);
    let outward = plan_of(&desk, recorders[1]);
    assert_eq!((outward.transmit.rtp, outward.transmit.srtp.is_none()), ("198.51.100.7:7002".parse().ok(), true));
    goes_on(&desk);
    assert_eq!(told(&desk), [state("first", "begun", "")]);
    assert_eq!(desk.status().calls[0].recording, "by first");
    let hidden = |(to, message): &(std::net::SocketAddr, Message)| {
        let text = String::from_utf8_lossy(message.octets()).to_string();
        to.to_string() == FIRST || !["198.51.100.7", "siprec", "recording", "first"].iter().any(|word| text.contains(word))
    };
    assert!(desk.sent.iter().all(hidden), "nobody else hears of it");
    let record = ends(desk, phone);
    assert_eq!(causes(&record), [("first", "call-ended", true)]);
}

#[test]
fn a_recorder_learns_how_the_parties_name_the_session() {
    let (one, other) = ("ab30317f1a784dc48ff824d0d3715d86", "47755a9de7794ba387653f2099600ef2");
    let nil = "0".repeat(32);
    let field = |uuid: &str| format!("Session-ID: {uuid};remote={nil}\r\n");
    let named = |desk: &Desk| {
        let (_, xml) = parts(&invite_to(desk, FIRST));
        named(&elements(&xml), "recording/session/sipSessionID").first().map(|(.., text)| text.clone())
    };
    let (mut desk, mut phone, trunk) = talk::connected(&config(""), &field(one), &field(other));
    assert_eq!(named(&desk), Some(format!("{one};remote={other}")));
    accept(&mut desk, FIRST, ANSWER);
    // Whoever takes over has another name for it, and what is malformed is none.
    phone.send(&mut desk, "INVITE", &field(other), &talk::sdp(PHONE, 2, "sendrecv"));
    trunk.answer(&mut desk, "200 OK", "Session-ID: <x>\r\n", &talk::sdp(TRUNK, 2, "sendrecv"));
    phone.ack(&mut desk, "");
    assert_eq!(named(&desk), Some(format!("{other};remote={other}")));
    let (desk, ..) = begun("");
    assert_eq!(named(&desk), None);
}

#[test]
fn only_calls_that_fit_are_recorded() {
    for rule in ["direction = \"in\"\n", "extension = [\"102\"]\n", "trunk = [\"carrier\"]\ndirection = \"internal\"\n"] {
        let (desk, phone, _) = begun(rule);
        assert_eq!(desk.count(FIRST) + desk.count(SECOND), 0, "{rule}");
        assert_eq!(desk.status().calls[0].recording, "");
        assert!(ends(desk, phone).recordings.is_empty());
    }
    let (desk, ..) = begun("direction = \"out\"\nextension = [\"1XX\"]\ntrunk = [\"carrier\"]\nroute = [\"out\"]\n");
    assert_eq!(desk.requests(FIRST, Method::Invite).len(), 1);
}

#[test]
fn the_next_recorder_has_its_turn_when_one_refuses_or_is_silent() {
    let (mut desk, phone, _) = begun("");
    let invite = invite_to(&desk, FIRST);
    desk.reply_to(FIRST, &invite, "503 Service Unavailable", "x", "", "");
    accept(&mut desk, SECOND, ANSWER);
    assert_eq!(told(&desk), [state("first", "failed", "refused-503"), state("second", "begun", "")]);
    assert!(copies(&desk).iter().all(Option::is_some));
    assert_eq!(causes(&ends(desk, phone)), [("first", "refused-503", false), ("second", "call-ended", true)]);

    let (mut desk, phone, _) = begun("");
    desk.pass(Duration::from_secs(3));
    assert_eq!(desk.count(SECOND), 0);
    desk.pass(Duration::from_secs(2));
    accept(&mut desk, SECOND, ANSWER);
    assert_eq!(told(&desk), [state("first", "failed", "no-answer"), state("second", "begun", "")]);
    // It answers after all, when nobody waits any more.
    let invite = invite_to(&desk, FIRST);
    desk.reply_to(FIRST, &invite, "200 OK", "late", &contact("rec", FIRST), ANSWER);
    assert_eq!((desk.requests(FIRST, Method::Ack).len(), desk.requests(FIRST, Method::Bye).len()), (1, 1));
    goes_on(&desk);
    ends(desk, phone);
}

#[test]
fn a_recorder_that_dies_in_the_middle_is_replaced_and_the_call_goes_on() {
    let dead = |desk: &mut Desk| desk.pass(Duration::from_secs(20));
    let leaves = |desk: &mut Desk| {
        let invite = invite_to(desk, FIRST);
        end_of(&invite, FIRST).send(desk, "BYE", "", "");
        assert_eq!(desk.answer(FIRST), 200);
    };
    let forgot = |desk: &mut Desk| {
        desk.pass(Duration::from_secs(16));
        let options = desk.requests(FIRST, Method::Options).pop().expect("a question");
        desk.receive(FIRST, &talk::reply(&options, "481 Unknown", "", ""));
    };
    type Way = fn(&mut Desk);
    let ways: [(Way, &str); 3] = [(dead, "no-answer"), (leaves, "released-by-recorder"), (forgot, "forgotten")];
    for (way, cause) in ways {
        let (mut desk, phone, _) = standing("");
        way(&mut desk);
        assert_eq!(copies(&desk), [None, None], "{cause}: flows are as without recording");
        goes_on(&desk);
        assert_eq!(told(&desk)[1..], [state("first", "lost", cause)]);
        let before = parts(&invite_to(&desk, FIRST)).1;
        accept(&mut desk, SECOND, ANSWER);
        let session = |xml: &str| named(&elements(xml), "recording/session")[0].1.clone();
        assert_eq!(session(&parts(&invite_to(&desk, SECOND)).1), session(&before), "the pieces can be put together");
        assert!(copies(&desk).iter().all(Option::is_some));
        assert_eq!(causes(&ends(desk, phone)), [("first", cause, true), ("second", "call-ended", true)]);
    }
}

/// The recorder's end of its dialog.
fn end_of(invite: &Message, at: &'static str) -> End {
    let field = |name| invite.header(name).expect("a field").to_string();
    let (local, remote) = (format!("{};tag=rec", field(HeaderName::To)), field(HeaderName::From));
    End { address: at, call_id: field(HeaderName::CallId), local, remote, cseq: 0 }
}

#[test]
fn a_recorder_that_lives_is_kept() {
    let (mut desk, phone, _) = standing("");
    for _ in 0..6 {
        let asked = desk.requests(FIRST, Method::Options).len();
        while desk.requests(FIRST, Method::Options).len() == asked {
            desk.pass(Duration::from_secs(1));
        }
        let options = desk.last(FIRST);
        desk.receive(FIRST, &talk::reply(&options, "200 OK", "", ""));
    }
    assert_eq!((told(&desk).len(), desk.count(SECOND)), (1, 0));
    ends(desk, phone);
}

#[test]
fn answers_that_do_not_fit_end_the_session_and_not_the_call() {
    let one = ANSWER.split("m=audio 7002").next().expect("a line").to_string();
    let refused = ANSWER.replace("7002", "0");
    let foreign = ANSWER.replace("RTP/AVP 8\r\na=recvonly\r\nm=", "RTP/AVP 0\r\na=recvonly\r\nm=");
    let video = ANSWER.replace("m=audio 7002", "m=video 7002");
    let huge = format!("{ANSWER}{}", "a=x\r\n".repeat(4_000));
    let lines = ANSWER.to_string() + &"m=audio 0 RTP/AVP 8\r\n".repeat(14);
    let hostile = [String::new(), "v=0".into(), "\u{0}\u{1}".repeat(50), one, refused, foreign, video, huge, lines];
    for answer in hostile {
        let (mut desk, phone, _) = begun("");
        accept(&mut desk, FIRST, &answer);
        assert_eq!((desk.requests(FIRST, Method::Ack).len(), desk.requests(FIRST, Method::Bye).len()), (1, 1), "{answer:.60}");
        goes_on(&desk);
        assert_eq!(copies(&desk), [None, None]);
        accept(&mut desk, SECOND, ANSWER);
        assert!(copies(&desk).iter().all(Option::is_some), "{answer:.60}");
        ends(desk, phone);
    }
}

#[test]
fn when_all_fail_they_are_tried_again_and_then_no_more() {
    let (mut desk, phone, _) = begun("");
    let mut met = 0;
    for _ in 0..200 {
        desk.pass(Duration::from_secs(1));
        for recorder in [FIRST, SECOND] {
            let invite = desk.requests(recorder, Method::Invite).pop();
            if let Some(invite) =
                invite.filter(|_| desk.last(recorder).method() == Method::Invite && desk.last(recorder).is_request())
            {
                met += 1;
                desk.reply_to(recorder, &invite, "603 Decline", "x", "", "");
            }
        }
    }
    assert_eq!(met, 8, "sessions that one call begins are bounded");
    goes_on(&desk);
    assert_eq!(desk.status().calls[0].recording, "no: refused-603");
    assert_eq!(ends(desk, phone).recordings.len(), 8);
}

#[test]
fn hold_stops_the_copies_and_the_recorder_is_told() {
    let (mut desk, mut phone, trunk) = standing("");
    phone.send(&mut desk, "INVITE", "", &talk::sdp(PHONE, 2, "sendonly"));
    trunk.answer(&mut desk, "200 OK", "", &talk::sdp(TRUNK, 2, "recvonly"));
    phone.ack(&mut desk, "");
    assert_eq!(copies(&desk), [None, None]);
    let (sdp, xml) = parts(&invite_to(&desk, FIRST));
    assert_eq!(sdp.matches("a=inactive").count(), 2, "{sdp}");
    assert!(named(&elements(&xml), "recording/participantstreamassoc").is_empty());
    accept(&mut desk, FIRST, &ANSWER.replace("recvonly", "inactive"));
    phone.send(&mut desk, "INVITE", "", &talk::sdp(PHONE, 3, "sendrecv"));
    trunk.answer(&mut desk, "200 OK", "", &talk::sdp(TRUNK, 3, "sendrecv"));
    phone.ack(&mut desk, "");
    assert_eq!(copies(&desk), [None, None], "the recorder has to agree");
    let (sdp, xml) = parts(&invite_to(&desk, FIRST));
    assert!(sdp.matches("a=sendonly").count() == 2 && sdp.contains(" 3 IN IP4"), "{sdp}");
    assert_eq!(named(&elements(&xml), "recording/participantstreamassoc").len(), 2);
    // It meets a change of the recorder's own, and is told again.
    let invite = invite_to(&desk, FIRST);
    desk.reply_to(FIRST, &invite, "491 Request Pending", "rec", "", "");
    let number = |message: &Message| message.cseq().expect("a number").0;
    desk.pass(Duration::from_secs(5));
    assert_eq!(number(&invite_to(&desk, FIRST)), number(&invite) + 1);
    accept(&mut desk, FIRST, ANSWER);
    assert!(copies(&desk).iter().all(Option::is_some));
    assert_eq!(told(&desk).len(), 1);
    ends(desk, phone);
}

#[test]
fn who_takes_a_party_over_is_told_to_the_recorder() {
    let (mut desk, mut phone, trunk) = standing("");
    let other = "203.0.113.9:5060";
    assert_eq!(desk.register(other, "103", &contact("103", other)), 200);
    phone.send(&mut desk, "REFER", "Refer-To: <sip:103@ringfort.local>\r\n", "");
    let invite = desk.requests(other, Method::Invite).pop().expect("an INVITE");
    desk.reply_to(other, &invite, "200 OK", "tt", &contact("103", other), &talk::sdp(other, 1, "sendrecv"));
    trunk.answer(&mut desk, "200 OK", "", &talk::sdp(TRUNK, 2, "sendrecv"));
    desk.pass(Duration::from_secs(1));
    // The call that the transfer made goes on; it is recorded by the same rule, under its own id, when both sit there.
    let xml = parts(&invite_to(&desk, FIRST)).1;
    let elements = elements(&xml);
    let people: Vec<&str> = named(&elements, "recording/participant/nameID").iter().map(|(_, aor, _)| aor.as_str()).collect();
    assert_eq!(people, ["aor=\"sip:0123@ringfort.local\"", "aor=\"sip:103@ringfort.local\""]);
}

#[test]
fn a_recorder_may_want_srtp() {
    let text = config("").replacen(
        "options_interval_ms = 0\n[[recorder]]",
        "options_interval_ms = 0\nsrtp = \"required\"\n[[recorder]]",
        1,
    );
    let (mut desk, phone, _) = talk::connected(&text, "", "");
    let (sdp, _) = parts(&invite_to(&desk, FIRST));
    assert!(
        sdp.matches("RTP/SAVP 8").count() == 2 && sdp.matches("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:").count() == 2,
        "{sdp}"
    );
    let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
    let secured = ANSWER.replace("RTP/AVP", "RTP/SAVP").replace("a=recvonly\r\n", &format!("a=recvonly\r\n{key}"));
    accept(&mut desk, FIRST, &secured);
    assert!(plan_of(&desk, ports(&desk)[2]).transmit.srtp.is_some() && copies(&desk)[0].is_some());
    ends(desk, phone);
}

#[test]
fn parties_hear_of_it_before_anything_is_recorded() {
    let sound = "announce = \"told\"\n[[sound]]\nname = \"told\"\nfile = \"told.wav\"\n";
    let (mut desk, phone, _) = standing(sound);
    let both = |desk: &Desk| [0, 1].map(|n| plan_of(desk, ports(desk)[n]));
    let says = |plan: &FlowPlan| plan.audio.as_ref().and_then(|audio| Some(audio.speak.as_ref()?.what.clone()));
    let told_by = Some(Source::Sound { name: "told".into(), repeat: false });
    assert!(both(&desk).iter().all(|plan| says(plan) == told_by && plan.copy.is_none()));
    assert!(both(&desk).iter().all(|plan| matches!(plan.destination, Destination::Discard(_))), "nothing passes meanwhile");
    let [caller, callee] = [0, 1].map(|n| ports(&desk)[n]);
    desk.input(Input::Relay(RelayEvent::Said { port: caller }));
    assert!(says(&both(&desk)[0]).is_none() && says(&both(&desk)[1]) == told_by && copies(&desk) == [None, None]);
    desk.input(Input::Relay(RelayEvent::Said { port: callee }));
    assert!(copies(&desk).iter().all(Option::is_some) && both(&desk).iter().all(|plan| says(plan).is_none()));
    goes_on(&desk);
    ends(desk, phone);

    let (mut desk, phone, _) = standing(sound);
    desk.pass(Duration::from_secs(16));
    let options = desk.requests(FIRST, Method::Options).pop().expect("a question");
    desk.receive(FIRST, &talk::reply(&options, "200 OK", "", ""));
    desk.pass(Duration::from_secs(15));
    goes_on(&desk);
    assert_eq!(told(&desk)[1..], [state("first", "lost", "cannot-announce")], "the sound never ends: it goes on unrecorded");
    assert_eq!(desk.count(SECOND), 0);
    ends(desk, phone);
}

#[test]
fn after_a_restart_another_session_begins() {
    let (desk, mut phone, _) = standing("");
    let kept = desk.kept_call();
    assert!(!kept.contains("inline") && !kept.contains(":7000"), "neither keys nor addresses of the recorder's audio");
    let mut next = Desk::restarted(&config(""), desk.left_behind());
    let byes = next.requests(FIRST, Method::Bye);
    let old = invite_to(&desk, FIRST);
    assert_eq!(byes.iter().map(|bye| bye.call_id().ok()).collect::<Vec<_>>(), [old.call_id().ok()], "the old one is released");
    assert!(byes[0].cseq().is_ok_and(|(number, _)| number > 1_000));
    accept(&mut next, FIRST, ANSWER);
    assert!(copies(&next).iter().all(Option::is_some));
    let id = |desk: &Desk| named(&elements(&parts(&invite_to(desk, FIRST)).1), "recording/session")[0].1.clone();
    assert_eq!(id(&next), id(&desk));
    phone.cseq += 10;
    assert_eq!(causes(&ends(next, phone)), [("first", "restart", true), ("first", "call-ended", true)]);
}

/// Its INVITE is larger than a datagram should be.
#[test]
fn a_recorder_without_tcp_gets_datagrams() {
    let (mut desk, phone, _) = talk::connected(&config("").replace("large_by_tcp = \"none\"\n", ""), "", "");
    let via = |desk: &Desk| invite_to(desk, FIRST).header(HeaderName::Via).unwrap_or_default().to_string();
    assert!(via(&desk).starts_with("SIP/2.0/TCP"));
    desk.input(Input::SendFailed(Hop::to(Transport::Tcp, FIRST.parse().expect("an address"))));
    assert!(via(&desk).starts_with("SIP/2.0/UDP"));
    accept(&mut desk, FIRST, ANSWER);
    assert_eq!(told(&desk), [state("first", "begun", "")]);
    ends(desk, phone);
}

#[test]
fn a_port_that_cannot_be_opened_costs_the_recording_only() {
    let (mut desk, phone, _) = begun("");
    let port = ports(&desk)[2];
    desk.input(Input::Relay(RelayEvent::OpenFailed { port, error: "in use".into() }));
    goes_on(&desk);
    assert_eq!(told(&desk), [state("first", "failed", "media-port")]);
    accept(&mut desk, SECOND, ANSWER);
    goes_on(&desk);
    ends(desk, phone);
}
