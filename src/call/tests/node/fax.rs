//! A fax in a call: T.38 over UDPTL where both sides have it (ITU-T T.38 annex D), G.711 where not.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, sdp};
use ringfort_base::{Event, PortId};
use ringfort_call::Input;
use ringfort_media::plan::{Destination, FlowPlan, Latch, PortCounters, RelayCommand, RelayEvent};
use ringfort_sip::message::Method;
use std::time::Duration;

/// The description of a fax machine at a party's host.
fn image(address: &str, version: u32, port: u16) -> String {
    let audio = sdp(address, version, "sendrecv");
    let head = audio.split("m=audio").next().expect("a session");
    format!(
        "{head}m=image {port} udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\n\
         a=T38FaxMaxBuffer:262\r\na=T38FaxMaxDatagram:176\r\na=T38FaxUdpEC:t38UDPRedundancy\r\na=T38VendorInfo:0 0 37\r\n\
         a=X-host:fax.example.com\r\n"
    )
}

/// The plans in force, of the caller's port and the callee's.
fn plans(desk: &Desk) -> [FlowPlan; 2] {
    let opened = |command: &RelayCommand| if let RelayCommand::Open { port, .. } = command { Some(*port) } else { None };
    let ports: Vec<_> = desk.relayed.iter().filter_map(opened).collect();
    [0, 1].map(|at| {
        let of = |command: &RelayCommand| match command {
            RelayCommand::Plan { port, plan } if *port == ports[at] => Some((**plan).clone()),
            _ => None,
        };
        desk.relayed.iter().rev().find_map(of).expect("a plan")
    })
}

/// The carrier's machine asks for T.38 and the phone's takes it.
fn faxing() -> (Desk, End, End) {
    let (mut desk, phone, mut trunk) = talk::connected(CONFIG, "", "");
    trunk.send(&mut desk, "INVITE", "", &image(TRUNK, 2, 4_444));
    phone.answer(&mut desk, "200 OK", "", &image(PHONE, 2, 5_555));
    assert_eq!(trunk.status(&desk), 200);
    trunk.ack(&mut desk, "");
    (desk, phone, trunk)
}

#[test]
fn t38_passes_where_both_sides_have_it() {
    let (desk, phone, trunk) = faxing();
    let offer = body(&desk.last_of(PHONE, |m| m.is_request() && m.method() == Method::Invite));
    let media: Vec<&str> = offer.lines().filter(|line| line.starts_with("m=") || line.starts_with("a=")).collect();
    let (line, attributes) = media.split_first().expect("a line");
    assert!(line.starts_with("m=image ") && line.ends_with(" udptl t38"), "{offer}");
    let told = ["Version:0", "RateManagement:transferredTCF", "MaxBuffer:262", "MaxDatagram:176", "UdpEC:t38UDPRedundancy"];
    assert_eq!(attributes.len(), 6, "{offer}");
    assert!(told.iter().all(|text| attributes.contains(&format!("a=T38Fax{text}").as_str())), "{offer}");
    assert!(!offer.contains("198.51.100.1") && !offer.contains("example") && !offer.contains("Vendor"), "{offer}");
    let answer = body(&trunk.answered(&desk));
    assert!(answer.contains("m=image ") && answer.contains("udptl t38") && !answer.contains("203.0.113.5"), "{answer}");
    assert_eq!(phone.asked(&desk).method(), Method::Ack);
    let [caller, callee] = plans(&desk);
    assert!(caller.receive.udptl && callee.receive.udptl && caller.audio.is_none() && callee.audio.is_none());
    let Latch::Symmetric { expected: Some(expected), .. } = caller.receive.latch else { panic!("{:?}", caller.receive) };
    assert_eq!(
        (expected.to_string(), callee.transmit.rtp.map(|to| to.to_string())),
        ("203.0.113.5:5555".into(), Some("198.51.100.1:4444".into()))
    );
    assert!(matches!((caller.destination, callee.destination), (Destination::Port(_), Destination::Port(_))));
    assert_eq!(desk.status().calls[0].media, ["udptl", "udptl"]);
}

#[test]
fn who_has_no_t38_refuses_it_and_the_audio_goes_on() {
    for status in ["488 Not Acceptable Here", "606 Not Acceptable"] {
        let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", "");
        let before = plans(&desk);
        trunk.send(&mut desk, "INVITE", "", &image(TRUNK, 2, 4_444));
        assert!(body(&phone.asked(&desk)).contains("m=image"));
        phone.answer(&mut desk, status, "", "");
        assert_eq!(Some(trunk.status(&desk)), status.split(' ').next().and_then(|code| code.parse().ok()));
        trunk.ack(&mut desk, "");
        assert_eq!((plans(&desk), desk.status().calls[0].media.clone()), (before, ["rtp".to_string(), "rtp".to_string()]));
        phone.send(&mut desk, "INVITE", "", &sdp(PHONE, 2, "sendrecv"));
        trunk.answer(&mut desk, "200 OK", "", &sdp(TRUNK, 3, "sendrecv"));
        assert_eq!(phone.status(&desk), 200);
    }
}

#[test]
fn an_answer_in_audio_is_no_answer_to_a_fax() {
    let (mut desk, phone, mut trunk) = talk::connected(CONFIG, "", "");
    trunk.send(&mut desk, "INVITE", "", &image(TRUNK, 2, 4_444));
    phone.answer(&mut desk, "200 OK", "", &sdp(PHONE, 2, "sendrecv"));
    assert_eq!(trunk.status(&desk), 488);
    let [caller, callee] = plans(&desk);
    assert!(!caller.receive.udptl && !callee.receive.udptl);
    assert_eq!(desk.status().calls[0].state, "connected");
}

#[test]
fn two_faxes_that_meet_try_again() {
    let (mut desk, mut phone, mut trunk) = talk::connected(CONFIG, "", "");
    trunk.send(&mut desk, "INVITE", "", &image(TRUNK, 2, 4_444));
    phone.send(&mut desk, "INVITE", "", &image(PHONE, 2, 5_555));
    assert_eq!(phone.status(&desk), 491);
    phone.ack(&mut desk, "");
    phone.answer(&mut desk, "491 Request Pending", "", "");
    desk.pass(Duration::from_secs(4));
    assert!(body(&phone.asked(&desk)).contains("m=image"), "asked again");
    phone.answer(&mut desk, "200 OK", "", &image(PHONE, 2, 5_555));
    assert_eq!(trunk.status(&desk), 200);
    assert!(body(&trunk.answered(&desk)).contains("m=image"));
}

#[test]
fn after_the_fax_the_audio_comes_back() {
    let (mut desk, phone, mut trunk) = faxing();
    trunk.ack(&mut desk, "");
    trunk.send(&mut desk, "INVITE", "", &sdp(TRUNK, 3, "sendrecv"));
    let offer = body(&phone.asked(&desk));
    assert!(offer.contains("m=audio ") && offer.contains("RTP/AVP 8") && !offer.contains("m=image"), "{offer}");
    phone.answer(&mut desk, "200 OK", "", &sdp(PHONE, 3, "sendrecv"));
    assert_eq!(trunk.status(&desk), 200);
    let [caller, callee] = plans(&desk);
    assert!(!caller.receive.udptl && !callee.receive.udptl);
    assert_eq!((caller.receive.speech, callee.receive.speech), (vec![(8, 8_000), (0, 8_000)], vec![(8, 8_000)]));
    assert_eq!(desk.status().calls[0].media, ["rtp", "rtp"]);
}

/// Some refuse the audio line and put the fax beside it: the other side is told likewise, and every line is answered (RFC 3264 6).
#[test]
fn a_fax_beside_a_refused_audio_line_stays_beside() {
    let (mut desk, phone, mut trunk) = talk::connected(CONFIG, "", "");
    let beside = |body: String| body.replace("m=image", "m=audio 0 RTP/AVP 8\r\nm=image");
    trunk.send(&mut desk, "INVITE", "", &beside(image(TRUNK, 2, 4_444)));
    let lines = |text: &str| text.lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect::<Vec<_>>();
    let offer = lines(&body(&phone.asked(&desk)));
    assert!(offer.len() == 2 && offer[0] == "m=audio 0 RTP/AVP 8" && offer[1].starts_with("m=image "), "{offer:?}");
    phone.answer(&mut desk, "200 OK", "", &beside(image(PHONE, 2, 5_555)));
    let answer = lines(&body(&trunk.answered(&desk)));
    assert!(answer.len() == 2 && answer[0] == "m=audio 0 RTP/AVP 8" && answer[1].starts_with("m=image "), "{answer:?}");
    trunk.ack(&mut desk, "");
    assert!(plans(&desk).iter().all(|plan| plan.receive.udptl));
    let back = sdp(TRUNK, 3, "sendrecv") + "m=image 0 udptl t38\r\n";
    trunk.send(&mut desk, "INVITE", "", &back);
    let offer = lines(&body(&phone.asked(&desk)));
    assert!(offer.len() == 2 && offer[0].starts_with("m=audio ") && offer[1] == "m=image 0 udptl t38", "{offer:?}");
    assert!(!offer[0].starts_with("m=audio 0 "), "{offer:?}");
    phone.answer(&mut desk, "200 OK", "", &(sdp(PHONE, 3, "sendrecv") + "m=image 0 udptl t38\r\n"));
    let answer = lines(&body(&trunk.answered(&desk)));
    assert!(!answer[0].starts_with("m=audio 0 ") && answer[1] == "m=image 0 udptl t38", "{answer:?}");
    assert!(plans(&desk).iter().all(|plan| !plan.receive.udptl));
}

#[test]
fn a_call_may_begin_as_a_fax() {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    let offer = image(PHONE, 1, 5_555);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &talk::contact("101", PHONE), &offer);
    assert!(body(&desk.last(TRUNK)).contains("m=image "), "{}", body(&desk.last(TRUNK)));
    desk.reply(TRUNK, "200 OK", "t", &talk::contact("gw", TRUNK), &image(TRUNK, 1, 4_444));
    assert!(body(&desk.last_of(PHONE, |m| m.status() == Some(200))).contains("m=image "));
    assert!(plans(&desk).iter().all(|plan| plan.receive.udptl));
}

#[test]
fn a_restarted_node_goes_on_with_the_fax() {
    let (desk, _, mut trunk) = faxing();
    let before = plans(&desk);
    let mut next = Desk::restarted(CONFIG, desk.left_behind());
    assert_eq!(plans(&next).map(|plan| (plan.receive, plan.transmit)), before.map(|plan| (plan.receive, plan.transmit)));
    trunk.send(&mut next, "INVITE", "", &sdp(TRUNK, 3, "sendrecv"));
    assert!(body(&next.last_of(PHONE, |m| m.method() == Method::Invite)).contains("m=audio "));
}

/// A leg with keys must not fall back to a transport without any.
#[test]
fn a_leg_with_keys_gets_no_fax() {
    let config = CONFIG.replace("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"keyed\"\n")
        + "[[profile]]\nname = \"keyed\"\nsrtp = \"required\"\n";
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &talk::contact("101", PHONE), &image(PHONE, 1, 5_555));
    assert_eq!((desk.answer(PHONE), desk.requests(TRUNK, Method::Invite).len()), (488, 0));
}

/// What the node says and hears itself is audio.
#[test]
fn a_service_takes_no_fax() {
    let mut desk = Desk::new(&format!("{CONFIG}[services]\necho = \"*43\"\n"));
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    desk.request(PHONE, "INVITE", "sip:*43@ringfort.local", "101", &talk::contact("101", PHONE), &image(PHONE, 1, 5_555));
    assert_eq!(desk.answer(PHONE), 488);
}

/// Nobody speaks in a fax: that is no missing audio, and has no mean opinion.
#[test]
fn a_fax_lacks_no_audio() {
    let (mut desk, ..) = faxing();
    let opened = |command: &RelayCommand| if let RelayCommand::Open { port, .. } = command { Some(*port) } else { None };
    let ports: Vec<_> = desk.relayed.iter().filter_map(opened).collect();
    let mut counted = PortCounters::default();
    for _ in 0..30 {
        for port in &ports {
            desk.input(Input::Relay(RelayEvent::Counters { port: *port, counters: Box::new(counted), last: false }));
        }
        (counted.rtp_in, counted.signals_in) = (counted.rtp_in + 30, counted.signals_in + 30);
        desk.pass(Duration::from_secs(2));
    }
    assert!(!desk.events.iter().any(|event| matches!(event, Event::AudioMissing { .. })));
    let call = &desk.status().calls[0];
    assert_eq!((&call.missing, call.quality[0].mos), (&[None, None], None));
}

/// Audio and a fax at once, each with a port of its own.
fn both(address: &str, version: u32, port: u16) -> String {
    let fax = image(address, version, port);
    sdp(address, version, "sendrecv")
        + fax.split_once("m=image").map(|(_, fax)| format!("m=image{fax}")).expect("a line").as_str()
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect()
}

/// Open ports in the order in which they were opened, each with its plan.
fn open(desk: &Desk) -> Vec<(PortId, Option<FlowPlan>)> {
    let mut open: Vec<(PortId, Option<FlowPlan>)> = Vec::new();
    for command in &desk.relayed {
        match command {
            RelayCommand::Open { port, .. } => open.push((*port, None)),
            RelayCommand::Close { port } => open.retain(|(of, _)| of != port),
            RelayCommand::Plan { port, plan } => {
                open.iter_mut().filter(|(of, _)| of == port).for_each(|(_, now)| *now = Some((**plan).clone()));
            }
            _ => {}
        }
    }
    open
}

/// The phone offers both; the trunk is asked for both and answers with this.
fn both_offered(answer: &str) -> (Desk, End, End) {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    let (contact, offer) = (talk::contact("101", PHONE), both(PHONE, 1, 5_555));
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact, &offer);
    let asked = lines(&body(&desk.last(TRUNK)));
    assert!(asked.len() == 2 && asked[0].starts_with("m=audio ") && asked[1].starts_with("m=image "), "{asked:?}");
    assert!(asked[0].split(' ').nth(1) != asked[1].split(' ').nth(1) && !asked[1].starts_with("m=image 0 "), "{asked:?}");
    desk.reply(TRUNK, "200 OK", "t", &talk::contact("gw", TRUNK), answer);
    let (ok, invite) = (desk.last_of(PHONE, |m| m.status() == Some(200)), desk.last_of(TRUNK, |m| m.method() == Method::Invite));
    let (mut phone, trunk) = talk::ends(&ok, &invite);
    phone.ack(&mut desk, "");
    (desk, phone, trunk)
}

#[test]
fn audio_and_a_fax_live_beside_each_other() {
    let (desk, phone, _) = both_offered(&both(TRUNK, 1, 4_444));
    let answer = lines(&body(&phone.answered(&desk)));
    assert!(answer.len() == 2 && answer.iter().all(|line| line.split(' ').nth(1) != Some("0")), "{answer:?}");
    let ports = open(&desk);
    let [(a, Some(audio)), (af, Some(fax)), (b, Some(_)), (bf, Some(other))] = &ports[..] else { panic!("{ports:?}") };
    assert!(!audio.receive.udptl && fax.receive.udptl && other.receive.udptl);
    assert_eq!([audio, fax, other].map(|plan| plan.destination), [b, bf, af].map(|port| Destination::Port(*port)));
    assert_eq!(other.transmit.rtp.map(|to| to.to_string()), Some("198.51.100.1:4444".into()));
    assert!(fax.transmit.rtcp.is_none() && a != af);
    let mut next = open(&Desk::restarted(CONFIG, desk.left_behind()));
    next.sort_by_key(|(port, _)| *port);
    assert_eq!(next.iter().map(|(_, plan)| plan.as_ref().is_some_and(|plan| plan.receive.udptl)).filter(|fax| *fax).count(), 2);
}

#[test]
fn who_takes_the_audio_alone_refuses_the_fax_beside_it() {
    let (desk, phone, _) = both_offered(&(sdp(TRUNK, 1, "sendrecv") + "m=image 0 udptl t38\r\n"));
    let answer = lines(&body(&phone.answered(&desk)));
    assert!(!answer[0].starts_with("m=audio 0 ") && answer[1] == "m=image 0 udptl t38", "{answer:?}");
    assert_eq!((open(&desk).len(), desk.status().calls[0].media.clone()), (2, ["rtp", "rtp"].map(str::to_owned)));
}

#[test]
fn who_takes_the_fax_alone_refuses_the_audio_beside_it() {
    let taken = both(TRUNK, 1, 4_444);
    let audio = lines(&taken).remove(0);
    let number = audio.split(' ').nth(1).expect("a port");
    let (mut desk, phone, mut trunk) = both_offered(&taken.replace(&audio, &audio.replace(number, "0")));
    let answer = lines(&body(&phone.answered(&desk)));
    assert!(answer[0].starts_with("m=audio 0 ") && !answer[1].starts_with("m=image 0 "), "{answer:?}");
    let ports = open(&desk);
    let [(_, Some(audio)), (af, Some(fax)), (_, Some(_)), (bf, Some(other))] = &ports[..] else { panic!("{ports:?}") };
    assert_eq!([fax, other].map(|plan| plan.destination), [bf, af].map(|port| Destination::Port(*port)));
    assert!(audio.transmit.muted && matches!(audio.destination, Destination::Discard(_)));
    assert_eq!(desk.status().calls[0].media, ["udptl", "udptl"]);
    // Back to the audio.
    trunk.send(&mut desk, "INVITE", "", &(sdp(TRUNK, 2, "sendrecv") + "m=image 0 udptl t38\r\n"));
    let asked = lines(&body(&phone.asked(&desk)));
    assert!(!asked[0].starts_with("m=audio 0 ") && asked[1] == "m=image 0 udptl t38", "{asked:?}");
    phone.answer(&mut desk, "200 OK", "", &(sdp(PHONE, 2, "sendrecv") + "m=image 0 udptl t38\r\n"));
    let ports = open(&desk);
    assert!(ports.len() == 2 && ports.iter().all(|(_, plan)| plan.as_ref().is_some_and(|plan| !plan.transmit.muted)));
    assert_eq!(desk.status().calls[0].media, ["rtp", "rtp"]);
}

/// A fax goes in the clear, so it is none beside audio that has keys.
#[test]
fn beside_audio_with_keys_a_fax_is_refused() {
    let config = CONFIG.replace("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"keyed\"\n")
        + "[[profile]]\nname = \"keyed\"\nsrtp = \"required\"\n";
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &talk::contact("101", PHONE)), 200);
    let (contact, offer) = (talk::contact("101", PHONE), both(PHONE, 1, 5_555));
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact, &offer);
    let asked = body(&desk.last(TRUNK));
    assert_eq!(lines(&asked).len(), 1, "{asked}");
}
