//! What the node answers itself, recorded: the caller's audio alone.

use super::*;

const RULE: &str = "service = [\"conference\", \"echo\"]\n[[route]]\nname = \"room\"\nnumber = \"80\"\nto = [\"conference:r\"]\n\
                    [[route]]\nname = \"echo\"\nnumber = \"81\"\nto = [\"echo\"]\n";
const ONE: &str =
    "v=0\r\no=- 9 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\nm=audio 7000 RTP/AVP 8\r\na=recvonly\r\n";

/// 101 calls what the node answers itself.
fn attended(desk: &mut Desk, number: &str, more: &str) -> End {
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let (uri, fields) = (format!("sip:{number}@ringfort.local"), format!("{}{more}", contact("101", PHONE)));
    desk.request(PHONE, "INVITE", &uri, "101", &fields, &talk::sdp(PHONE, 1, "sendrecv"));
    let ok = desk.last_of(PHONE, |message| message.status() == Some(200));
    let field = |name| ok.header(name).expect("a field").to_string();
    let (local, remote) = (field(HeaderName::From), field(HeaderName::To));
    let mut phone = End { address: PHONE, call_id: field(HeaderName::CallId), local, remote, cseq: ok.cseq().expect("one").0 };
    phone.ack(desk, "");
    phone
}

#[test]
fn a_party_of_a_conference_is_recorded() {
    let mut desk = Desk::new(&config(RULE));
    let phone = attended(&mut desk, "80", "");
    let (sdp, xml) = parts(&invite_to(&desk, FIRST));
    let elements = elements(&xml);
    assert_eq!((sdp.matches("m=audio").count(), named(&elements, "recording/stream").len()), (1, 1));
    let people: Vec<&str> = named(&elements, "recording/participant/nameID").iter().map(|(_, aor, _)| aor.as_str()).collect();
    assert_eq!(people, ["aor=\"sip:101@ringfort.local\"", "aor=\"sip:80@ringfort.local\""]);
    let count = |path: &str| named(&elements, path).len();
    assert_eq!((count("recording/participantstreamassoc/send"), count("recording/participantstreamassoc/recv")), (1, 1));
    let moved = desk.relayed.iter().find_map(|command| match command {
        RelayCommand::Move { port, call } => Some((*port, *call)),
        _ => None,
    });
    let (port, home) = moved.expect("to the worker of the room");
    accept(&mut desk, FIRST, ONE);
    let copy = plan_of(&desk, port).copy.expect("a copy");
    let opened = desk.relayed.iter().find_map(|command| match command {
        RelayCommand::Open { port, call, .. } if *port == copy.port => Some(*call),
        _ => None,
    });
    assert_eq!((opened, copy.payloads.clone()), (Some(home), vec![(8, 8)]), "on the same worker");
    assert!(plan_of(&desk, port).audio.is_some_and(|audio| audio.speak.is_some()), "it still hears the others");
    assert_eq!(told(&desk), [state("first", "begun", "")]);
    assert_eq!(causes(&ends(desk, phone)), [("first", "call-ended", true)]);
}

#[test]
fn parties_of_one_conference_are_one_group() {
    const OTHER: &str = "203.0.113.6:5060";
    let mut desk = Desk::new(&config(RULE));
    attended(&mut desk, "80", "");
    let group = |desk: &Desk| {
        let (_, xml) = parts(&invite_to(desk, FIRST));
        let elements = elements(&xml);
        let [(_, group, _)] = named(&elements, "recording/group")[..] else { panic!("no group in {xml}") };
        let [(_, _, reference)] = named(&elements, "recording/session/group-ref")[..] else { panic!("not told in {xml}") };
        assert_eq!(*group, format!("group_id=\"{reference}\""));
        reference.clone()
    };
    let first = group(&desk);
    accept(&mut desk, FIRST, ONE);
    assert_eq!(desk.register(OTHER, "102", &contact("102", OTHER)), 200);
    let uri = "sip:80@ringfort.local";
    desk.request(OTHER, "INVITE", uri, "102", &contact("102", OTHER), &talk::sdp(OTHER, 1, "sendrecv"));
    assert_eq!((desk.requests(FIRST, Method::Invite).len(), group(&desk)), (2, first.clone()));
    let sessions: Vec<String> = desk.requests(FIRST, Method::Invite).iter().map(|invite| parts(invite).1).collect();
    let id = |xml: &String| named(&elements(xml), "recording/session")[0].1.clone();
    assert_ne!(id(&sessions[0]), id(&sessions[1]), "each is a session of its own");
    let mut next = Desk::restarted(&config(RULE), desk.left_behind());
    next.pass(Duration::from_secs(1));
    assert_eq!(group(&next), first, "recorders know the conference again");

    let mut desk = Desk::new(&config(RULE));
    attended(&mut desk, "81", "");
    assert!(!parts(&invite_to(&desk, FIRST)).1.contains("group"), "an echo is nobody's conference");
}

#[test]
fn who_is_alone_with_the_node_is_told_too() {
    let sound = format!("announce = \"told\"\n{RULE}[[sound]]\nname = \"told\"\nfile = \"told.wav\"\n");
    let mut desk = Desk::new(&config(&sound));
    let phone = attended(&mut desk, "81", AWARE);
    accept(&mut desk, FIRST, ONE);
    let port = ports(&desk)[0];
    assert_eq!(told_state(&desk, PHONE).as_deref(), Some("on"));
    phone.answer(&mut desk, "200 OK", AWARE, &talk::sdp(PHONE, 1, "sendrecv"));
    let plan = plan_of(&desk, port);
    assert!(plan.copy.is_none() && plan.audio.is_some_and(|audio| audio.speak.is_some()), "it hears of it first");
    desk.input(Input::Relay(RelayEvent::Said { port }));
    let plan = plan_of(&desk, port);
    assert!(plan.copy.is_some() && matches!(plan.destination, Destination::Echo { .. }));
    assert_eq!(desk.status().calls.len(), 1);
    ends(desk, phone);
}

#[test]
fn rules_for_parties_leave_services_alone() {
    let mut desk = Desk::new(&config(&RULE.replace("service = [\"conference\", \"echo\"]\n", "")));
    let phone = attended(&mut desk, "81", "");
    assert_eq!(desk.count(FIRST), 0);
    ends(desk, phone);
}
