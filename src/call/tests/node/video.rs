//! Video in a call: between phones by ports of its own, between browsers in the bundle, refused where a side has none.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_base::{PortId, Transport, limits};
use ringfort_call::Input;
use ringfort_media::plan::{Component, Destination, FlowPlan, Latch, PortPositions, RelayCommand, RelayEvent};
use ringfort_media::srtp::{Position, StreamPosition};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PICTURE: &str = "m=video 6000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f;packetization-mode=1\r\n\
    a=rtcp-fb:96 nack pli\r\na=label:11\r\na=x-host:cam.example.com\r\n";
const REFUSED: &str = "m=video 0 RTP/AVP 96\r\n";

fn pictured(address: &str, version: u32, direction: &str) -> String {
    format!("{}{PICTURE}a={direction}\r\n", sdp(address, version, "sendrecv"))
}

fn lines(message: &Message) -> Vec<String> {
    body(message).lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect()
}

/// Open ports with their RTP addresses' numbers, in the order in which they were opened.
fn ports(desk: &Desk) -> Vec<(PortId, u16)> {
    let mut open = Vec::new();
    for command in &desk.relayed {
        match command {
            RelayCommand::Open { port, rtp, .. } => open.push((*port, rtp.port())),
            RelayCommand::Close { port } => open.retain(|(of, _)| of != port),
            _ => {}
        }
    }
    open
}

fn plans(desk: &Desk) -> BTreeMap<PortId, FlowPlan> {
    let of = |command: &RelayCommand| {
        if let RelayCommand::Plan { port, plan } = command { Some((*port, (**plan).clone())) } else { None }
    };
    desk.relayed.iter().filter_map(of).collect()
}

/// The phone calls the trunk with pictures, which takes them or not.
fn called(answer: &str) -> (Desk, End, End) {
    let mut desk = Desk::new(CONFIG);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let offer = pictured(PHONE, 1, "sendrecv");
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &offer);
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), answer);
    let (ok, invite) = (desk.last_of(PHONE, |m| m.status() == Some(200)), desk.last_of(TRUNK, |m| m.method() == Method::Invite));
    let (mut phone, trunk) = talk::ends(&ok, &invite);
    phone.ack(&mut desk, "");
    (desk, phone, trunk)
}

#[test]
fn phones_see_each_other_by_ports_of_their_own() {
    let (mut desk, mut phone, _) = called(&pictured(TRUNK, 1, "sendrecv"));
    let offer = body(&desk.last_of(TRUNK, |m| m.method() == Method::Invite));
    let answer = body(&phone.answered(&desk));
    let open = ports(&desk);
    let [(a, _), (av, av_port), (_, _), (bv, bv_port)] = open[..] else { panic!("{open:?}") };
    assert!(offer.contains(&format!("m=video {bv_port} RTP/AVP 96\r\n")), "{offer}");
    assert!(answer.contains(&format!("m=video {av_port} RTP/AVP 96\r\n")), "{answer}");
    for told in [&offer, &answer] {
        assert!(
            told.contains("a=fmtp:96 profile-level-id=42e01f;packetization-mode=1") && told.contains("a=rtcp-fb:96 nack pli")
        );
        assert!(!told.contains("example.com") && !told.contains("203.0.113") && !told.contains("198.51.100"), "{told}");
    }
    let now = plans(&desk);
    assert_eq!((now[&av].destination, now[&bv].destination), (Destination::Port(bv), Destination::Port(av)));
    let Latch::Symmetric { expected: Some(expected), .. } = now[&av].receive.latch else { panic!("{:?}", now[&av]) };
    assert_eq!(expected.to_string(), "203.0.113.5:6000");
    assert_eq!(now[&bv].transmit.rtcp.map(|to| to.to_string()), Some("198.51.100.1:6001".into()));
    assert_eq!(now[&a].receive.speech.len(), 1, "the audio knows nothing of it");
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!((ports(&desk), desk.residue()[1]), (Vec::new(), 0));
}

#[test]
fn refused_pictures_give_their_ports_back() {
    let (desk, phone, _) = called(&format!("{}{REFUSED}", sdp(TRUNK, 1, "sendrecv")));
    assert_eq!(ports(&desk).len(), 2);
    assert_eq!(lines(&phone.answered(&desk))[1], "m=video 0 RTP/AVP 96");
}

#[test]
fn pictures_come_and_go_in_later_offers() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", &pictured(PHONE, 2, "sendrecv"));
    let asked = lines(&trunk.asked(&desk));
    assert!(asked.len() == 2 && asked[1].starts_with("m=video 2"), "{asked:?}");
    trunk.answer(&mut desk, "200 OK", "", &pictured(TRUNK, 2, "sendrecv"));
    assert!(lines(&phone.answered(&desk))[1].starts_with("m=video 2"));
    phone.ack(&mut desk, "");
    assert_eq!(ports(&desk).len(), 4);
    // On hold nothing passes.
    phone.send(&mut desk, "INVITE", "", &pictured(PHONE, 3, "inactive"));
    assert!(body(&trunk.asked(&desk)).ends_with("a=inactive\r\n"), "{}", body(&trunk.asked(&desk)));
    trunk.answer(&mut desk, "200 OK", "", &pictured(TRUNK, 3, "inactive"));
    phone.ack(&mut desk, "");
    let held = plans(&desk);
    assert!(
        ports(&desk)[2..]
            .iter()
            .all(|(port, _)| held[port].transmit.muted && matches!(held[port].destination, Destination::Discard(_)))
    );
    phone.send(&mut desk, "INVITE", "", &format!("{}{REFUSED}", sdp(PHONE, 4, "sendrecv")));
    let asked = lines(&trunk.asked(&desk));
    assert_eq!((asked.len(), asked[1].split(' ').nth(1)), (2, Some("0")));
    trunk.answer(&mut desk, "200 OK", "", &format!("{}{REFUSED}", sdp(TRUNK, 4, "sendrecv")));
    assert_eq!((ports(&desk).len(), desk.residue()[1]), (2, 2));
}

#[test]
fn a_refused_change_leaves_no_port_behind() {
    let (mut desk, mut phone, trunk) = talk::connected(CONFIG, "", "");
    phone.send(&mut desk, "INVITE", "", &pictured(PHONE, 2, "sendrecv"));
    trunk.answer(&mut desk, "488 Not Acceptable Here", "", "");
    assert_eq!(phone.status(&desk), 488);
    phone.ack(&mut desk, "");
    phone.send(&mut desk, "BYE", "", "");
    assert_eq!((ports(&desk), desk.residue()[1]), (Vec::new(), 0));
}

#[test]
fn a_restarted_node_goes_on_with_the_pictures() {
    let (mut desk, ..) = called(&pictured(TRUNK, 1, "sendrecv"));
    let open = ports(&desk);
    let source = "203.0.113.5:6010".parse().expect("an address");
    desk.input(Input::Relay(RelayEvent::Latched { port: open[1].0, component: Component::Rtp, source }));
    let next = Desk::restarted(CONFIG, desk.left_behind());
    let mut again = ports(&next);
    again.sort();
    let mut before = open.clone();
    before.sort();
    assert_eq!(again, before);
    let now = plans(&next);
    assert_eq!(now[&open[1].0].receive.latch, Latch::Exact(source));
    assert_eq!(now[&open[1].0].destination, Destination::Port(open[3].0));
}

/// A trunk whose profile wants keys is called by a phone with pictures.
fn keyed() -> (Desk, String) {
    let config = keyed_config();
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let offer = pictured(PHONE, 1, "sendrecv");
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &offer);
    let asked = body(&desk.last(TRUNK));
    assert_eq!(asked.lines().filter(|line| line.starts_with("m=") && line.contains("RTP/SAVP ")).count(), 2, "{asked}");
    let key = asked.lines().find(|line| line.starts_with("a=crypto:1 ")).expect("keys").to_owned() + "\r\n";
    (desk, key)
}

fn keyed_config() -> String {
    CONFIG.replace("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"keyed\"\n")
        + "[[profile]]\nname = \"keyed\"\nsrtp = \"required\"\n"
}

/// A peer whose profile wants keys gets no pictures without.
#[test]
fn where_keys_are_required_pictures_without_are_refused() {
    let (mut desk, key) = keyed();
    let answer = sdp(TRUNK, 1, "sendrecv").replace("RTP/AVP", "RTP/SAVP") + &key + PICTURE;
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &answer);
    let answer = desk.last_of(PHONE, |m| m.status() == Some(200));
    assert_eq!(lines(&answer)[1], "m=video 0 RTP/AVP 96");
    assert_eq!(ports(&desk).len(), 2);
}

/// Pictures have keys of their own there, and the next process has those too and goes on where their counters stood.
#[test]
fn pictures_have_keys_of_their_own() {
    let (mut desk, key) = keyed();
    let secured = |media: &str| media.replace("RTP/AVP", "RTP/SAVP") + &key;
    let answer = secured(&sdp(TRUNK, 1, "sendrecv")) + &secured(PICTURE);
    desk.reply(TRUNK, "200 OK", "t", &contact("gw", TRUNK), &answer);
    let open = ports(&desk);
    let [_, (plain, _), _, (port, _)] = open[..] else { panic!("{open:?}") };
    let before = plans(&desk)[&port].clone();
    assert!(before.receive.srtp.is_some() && before.transmit.srtp.is_some() && plans(&desk)[&plain].transmit.srtp.is_none());
    let stream = StreamPosition { ssrc: 7, rtp: Some(Position { highest: 0x3_4000, seen: [1, 0] }), rtcp: None, shift: 0 };
    let mut positions = PortPositions::default();
    positions.receive.streams = vec![stream];
    desk.input(Input::Relay(RelayEvent::Positions { port, positions: Box::new(positions.clone()) }));
    let next = Desk::restarted(&keyed_config(), desk.left_behind());
    let after = plans(&next)[&port].clone();
    assert_eq!((after.receive.srtp, after.transmit.srtp), (before.receive.srtp, before.transmit.srtp));
    let restored = RelayCommand::Restore { port, positions: Box::new(positions) };
    assert!(next.relayed.contains(&restored));
}

/// A browser's description with pictures in the bundle.
fn browser(ufrag: &str, setup: &str) -> String {
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f\r\na=setup:{setup}\r\na=rtcp-mux\r\n\
         a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3B:4B:65:2E:7D:46:3F:54:42:CD:54:F1\r\n"
    );
    format!(
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0 8\r\n{transport}a=mid:0\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{transport}a=mid:1\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n"
    )
}

#[test]
fn browsers_see_each_other_in_the_bundle() {
    const OTHER: &str = "203.0.113.6:5060";
    let mut desk = Desk::new(CONFIG);
    for (address, user, flow) in [(PHONE, "101", 7), (OTHER, "102", 8)] {
        desk.connect_by(Transport::Wss, address, flow);
        assert_eq!(desk.register(address, user, &format!("Contact: <sip:{user}@{address};transport=ws>\r\n")), 200);
    }
    let own = format!("Contact: <sip:101@{PHONE};transport=ws>\r\n");
    desk.request(PHONE, "INVITE", "sip:102@ringfort.local", "101", &own, &browser("qW3z", "actpass"));
    let asked = desk.last(OTHER);
    let offer = body(&asked);
    assert!(
        offer.contains("a=group:BUNDLE 0 1\r\n") && offer.contains("a=rtcp-fb:96 nack pli\r\n") && !offer.contains("qW3z"),
        "{offer}"
    );
    desk.reply(OTHER, "200 OK", "t", &format!("Contact: <sip:102@{OTHER};transport=ws>\r\n"), &browser("rX4a", "active"));
    let answer = body(&desk.last_of(PHONE, |m| m.status() == Some(200)));
    let media: Vec<&str> = answer.lines().filter(|line| line.starts_with("m=")).collect();
    let number = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    assert!(media.len() == 2 && number(media[0]) == number(media[1]), "{answer}");
    assert_eq!(ports(&desk).len(), 2, "one port for each browser");
}

const BROWSER: &str = "203.0.113.6:5060";

/// A phone, 101, and a browser, 102.
fn phone_and_browser(config: &str) -> Desk {
    let mut desk = Desk::new(config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    desk.connect_by(Transport::Wss, BROWSER, 8);
    assert_eq!(desk.register(BROWSER, "102", &by_websocket("102")), 200);
    desk
}

fn by_websocket(user: &str) -> String {
    format!("Contact: <sip:{user}@{BROWSER};transport=ws>\r\n")
}

#[test]
fn a_phone_and_a_browser_see_each_other() {
    let mut desk = phone_and_browser(CONFIG);
    let offer = pictured(PHONE, 1, "sendrecv")
        .replace("H264/90000\r\na=fmtp:96 profile-level-id=42e01f;packetization-mode=1", "VP8/90000");
    desk.request(PHONE, "INVITE", "sip:102@ringfort.local", "101", &contact("101", PHONE), &offer);
    let offer = body(&desk.last(BROWSER));
    assert!(offer.contains("a=group:BUNDLE 0 1\r\n") && offer.contains("a=rtcp-fb:96 nack pli"), "{offer}");
    desk.reply(BROWSER, "200 OK", "t", &by_websocket("102"), &browser("rX4a", "active"));
    let answer = body(&desk.last_of(PHONE, |m| m.status() == Some(200)));
    let open = ports(&desk);
    let [(voice, _), (picture, number), (bundle, _)] = open[..] else { panic!("{open:?}") };
    assert!(answer.contains(&format!("m=video {number} RTP/AVP 96\r\n")), "{answer}");
    for hidden in ["rX4a", "BUNDLE", "fingerprint", "rtcp-mux", "a=mid"] {
        assert!(!answer.contains(hidden), "{hidden} in {answer}");
    }
    let now = plans(&desk);
    assert_eq!([voice, picture].map(|port| now[&port].destination), [Destination::Port(bundle); 2]);
    assert_eq!(now[&bundle].apart.as_ref().map(|apart| apart.to), Some(Destination::Port(picture)));
    assert!(now[&voice].apart.is_none() && now[&picture].apart.is_none());
}

#[test]
fn a_browser_calls_a_phone_with_pictures() {
    let mut desk = phone_and_browser(CONFIG);
    desk.request(BROWSER, "INVITE", "sip:101@ringfort.local", "102", &by_websocket("102"), &browser("qW3z", "actpass"));
    let asked = body(&desk.last(PHONE));
    assert!(asked.contains("RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\n"), "{asked}");
    // The phone takes them, and holds them back later.
    let camera = |direction: &str| format!("{}{PICTURE}a={direction}\r\n", sdp(PHONE, 1, "sendrecv")).replace("H264", "VP8");
    desk.reply(PHONE, "200 OK", "t", &contact("101", PHONE), &camera("recvonly"));
    let answer = body(&desk.last_of(BROWSER, |m| m.status() == Some(200)));
    let video = answer.split("m=video").nth(1).expect("a video line");
    assert!(
        video.contains("UDP/TLS/RTP/SAVPF 96\r\n") && video.contains("a=recvonly") && answer.contains("BUNDLE 0 1"),
        "{answer}"
    );
    let open = ports(&desk);
    let [(bundle, _), _, (picture, _)] = open[..] else { panic!("{open:?}") };
    let now = plans(&desk);
    assert_eq!(now[&bundle].apart.as_ref().map(|apart| apart.to), Some(Destination::Port(picture)));
    assert!(matches!(now[&picture].destination, Destination::Discard(_)) && !now[&picture].transmit.muted);
}

#[test]
fn a_phone_that_takes_no_pictures_leaves_a_browser_without() {
    let mut desk = phone_and_browser(CONFIG);
    desk.request(BROWSER, "INVITE", "sip:101@ringfort.local", "102", &by_websocket("102"), &browser("qW3z", "actpass"));
    // Its codec is none of the browser's: that is no common picture either.
    let other = format!("{}m=video 6000 RTP/AVP 34\r\n", sdp(PHONE, 1, "sendrecv"));
    desk.reply(PHONE, "200 OK", "t", &contact("101", PHONE), &other);
    let answer = body(&desk.last_of(BROWSER, |m| m.status() == Some(200)));
    assert!(answer.contains("m=video 0 ") && answer.contains("BUNDLE 0\r\n"), "{answer}");
    assert_eq!(ports(&desk).len(), 2, "the second port is given back");
    assert!(plans(&desk).values().all(|plan| plan.apart.is_none()));
}

const UPDATE: &str =
    "<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder></vc_primitive></media_control>";
const CONTROL: &str = "Content-Type: application/media_control+xml\r\n";

/// The browser has called a phone that takes no feedback, or does. The bundle's port, and the phone's end.
fn watched(feedback: bool, more: &str) -> (Desk, PortId, End) {
    let mut desk = phone_and_browser(CONFIG);
    desk.request(BROWSER, "INVITE", "sip:101@ringfort.local", "102", &by_websocket("102"), &browser("qW3z", "actpass"));
    let invite = desk.last_of(PHONE, |m| m.method() == Method::Invite);
    let camera = format!("{}{PICTURE}", sdp(PHONE, 1, "sendrecv")).replace("H264", "VP8");
    let camera = if feedback { camera } else { camera.replace("a=rtcp-fb:96 nack pli\r\n", "") };
    desk.reply(PHONE, "200 OK", "t", &(contact("101", PHONE) + more), &camera);
    let ok = desk.last_of(BROWSER, |m| m.status() == Some(200));
    let (mut caller, phone) = talk::ends_at(&ok, BROWSER, &invite, PHONE);
    caller.ack(&mut desk, "");
    let bundle = ports(&desk)[0].0;
    assert_eq!(plans(&desk)[&bundle].apart.as_ref().map(|apart| apart.silent), Some(!feedback));
    (desk, bundle, phone)
}

/// How often the phone was asked by INFO, repetitions left out.
fn asked_by_info(desk: &Desk) -> usize {
    let numbers = desk.requests(PHONE, Method::Info).into_iter().filter_map(|info| info.cseq().ok());
    numbers.map(|(number, _)| number).collect::<BTreeSet<_>>().len()
}

fn wants(desk: &mut Desk, bundle: PortId) {
    desk.input(Input::Relay(RelayEvent::PictureWanted { port: bundle }));
}

const PAUSE: Duration = Duration::from_millis(limits::PICTURE_PAUSE_MS);

#[test]
fn a_browser_that_wants_a_picture_has_the_phone_asked_by_info() {
    let (mut desk, bundle, phone) = watched(false, "");
    wants(&mut desk, bundle);
    let info = phone.asked(&desk);
    assert_eq!((info.method(), info.header(HeaderName::ContentType)), (Method::Info, Some("application/media_control+xml")));
    assert!(body(&info).contains("<to_encoder><picture_fast_update/></to_encoder>"), "{}", body(&info));
    // One question at a time, and not too often.
    desk.pass(PAUSE);
    wants(&mut desk, bundle);
    assert_eq!(asked_by_info(&desk), 1);
    phone.answer(&mut desk, "200 OK", "", "");
    wants(&mut desk, bundle);
    wants(&mut desk, bundle);
    assert_eq!(asked_by_info(&desk), 2);
    phone.answer(&mut desk, "503 Service Unavailable", "", "");
    desk.pass(PAUSE);
    wants(&mut desk, bundle);
    assert_eq!(asked_by_info(&desk), 3, "it was only busy");
    // Who cannot do it is left alone, and the call goes on.
    phone.answer(&mut desk, "415 Unsupported Media Type", "", "");
    desk.pass(PAUSE);
    wants(&mut desk, bundle);
    assert_eq!((asked_by_info(&desk), desk.status().calls.len()), (3, 1));
}

#[test]
fn a_phone_that_takes_no_info_is_not_asked() {
    for (more, asked) in [("Allow: INVITE, ACK, BYE, CANCEL\r\n", 0), ("Allow: INVITE, ACK, BYE, INFO\r\n", 1)] {
        let (mut desk, bundle, _) = watched(false, more);
        wants(&mut desk, bundle);
        assert_eq!(asked_by_info(&desk), asked, "{more}");
    }
}

#[test]
fn a_phone_that_wants_a_picture_has_the_browser_asked_by_rtcp() {
    for feedback in [false, true] {
        let (mut desk, bundle, mut phone) = watched(feedback, "");
        let asked = |desk: &Desk| desk.relayed.iter().filter(|c| **c == RelayCommand::AskForPicture { port: bundle }).count();
        phone.send(&mut desk, "INFO", CONTROL, UPDATE);
        assert_eq!((phone.status(&desk), asked(&desk)), (200, 1));
        assert!(desk.requests(BROWSER, Method::Info).is_empty(), "no browser knows what that is");
        // What asks for something else goes on as it is.
        phone.send(&mut desk, "INFO", CONTROL, "<media_control/>");
        phone.send(&mut desk, "INFO", "Content-Type: application/vnd.x\r\n", UPDATE);
        assert_eq!((asked(&desk), desk.requests(BROWSER, Method::Info).len()), (1, 2));
    }
}

#[test]
fn between_phones_the_request_passes_as_it_is() {
    let (mut desk, mut phone, trunk) = called(&pictured(TRUNK, 1, "sendrecv"));
    phone.send(&mut desk, "INFO", CONTROL, UPDATE);
    let info = trunk.asked(&desk);
    assert_eq!((info.method(), body(&info)), (Method::Info, UPDATE.to_string()));
    trunk.answer(&mut desk, "200 OK", "", "");
    assert_eq!(phone.status(&desk), 200);
}
