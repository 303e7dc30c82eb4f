//! Video in a call: between phones by ports of its own, between browsers in the bundle, refused where a side has none.

use crate::fixture::Desk;
use crate::talk::{self, CONFIG, End, PHONE, TRUNK, body, contact, sdp};
use ringfort_base::{PortId, Transport};
use ringfort_call::Input;
use ringfort_media::plan::{Component, Destination, FlowPlan, Latch, RelayCommand, RelayEvent};
use ringfort_sip::message::{Message, Method};
use std::collections::BTreeMap;

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

/// A phone whose profile wants keys gets no line without.
#[test]
fn where_keys_are_required_pictures_without_are_refused() {
    let config = CONFIG.replace("options_interval_ms = 0\n", "options_interval_ms = 0\nprofile = \"keyed\"\n")
        + "[[profile]]\nname = \"keyed\"\nsrtp = \"required\"\n";
    let mut desk = Desk::new(&config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let offer = pictured(PHONE, 1, "sendrecv");
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &contact("101", PHONE), &offer);
    assert_eq!(lines(&desk.last(TRUNK)).len(), 1);
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
