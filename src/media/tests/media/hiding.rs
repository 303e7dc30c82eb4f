//! Topology hiding: nothing that identifies peer A is in what is sent to peer B, whatever A writes.

use crate::peers::{CHROMIUM, FIREFOX, PHONE_ANSWER, T0, rtp, text, webrtc};
use proptest::prelude::*;

/// Words of A that B must never see.
const OF_CHROMIUM: &[&str] = &[
    "192.168.77.31",
    "203.0.113.77",
    "51432",
    "6a8f1c1e",
    ".local",
    "qW3z",
    "H4xVt0dQ",
    "4A:AD:B9",
    "8124759304718824905",
    "4TOk42mS",
    "7f3c1a52",
    "0b9d44ee",
    "3570614608",
    "extmap",
    "rtcp-fb",
    "candidate",
    "setup",
    "ice-",
    "msid",
    "127.0.0.1",
];
const OF_FIREFOX: &[&str] =
    &["mozilla", "SDPARTA", "8a2b7c6d", "5d1c9e77", "1F:2E:3D", "8d5dbd1c", "1206370419", "f6b1f1c4", "a0 ", "0.0.0.0"];
const OF_PHONE: &[&str] = &["desk-4711", "10.7.1.44", "11780", "20518", "SIP Call"];

#[test]
fn a_phone_sees_nothing_of_a_browser() {
    for (offer, words) in [(CHROMIUM, OF_CHROMIUM), (FIREFOX, OF_FIREFOX)] {
        let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
        let description = browser.receive_offer(T0, offer.as_bytes()).unwrap();
        let told = text(phone.make_offer(T0, &description).unwrap());
        words.iter().for_each(|word| assert!(!told.contains(word), "{word} in {told}"));
    }
}

#[test]
fn a_browser_sees_nothing_of_a_phone() {
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let description = browser.receive_offer(T0, CHROMIUM.as_bytes()).unwrap();
    phone.make_offer(T0, &description).unwrap();
    let description = phone.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    let told = text(browser.make_answer(T0, &description).unwrap());
    OF_PHONE.iter().for_each(|word| assert!(!told.contains(word), "{word} in {told}"));
}

#[test]
fn what_is_unknown_and_harmless_passes() {
    let offer = CHROMIUM.replace("a=sendrecv", "a=sendrecv\r\na=x-headset:model 7\r\na=content:speaker");
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let description = browser.receive_offer(T0, offer.as_bytes()).unwrap();
    let told = text(phone.make_offer(T0, &description).unwrap());
    assert!(told.contains("a=x-headset:model 7\r\na=content:speaker\r\n"), "{told}");
}

#[derive(Clone, Debug)]
struct Peer {
    address: String,
    host: String,
    user: String,
    ufrag: String,
    pwd: String,
    cname: String,
    fingerprint: String,
}

impl Peer {
    fn words(&self) -> [&str; 7] {
        [&self.address, &self.host, &self.user, &self.ufrag, &self.pwd, &self.cname, &self.fingerprint]
    }
}

fn address() -> impl Strategy<Value = String> {
    let v4 = (any::<[u8; 4]>()).prop_map(std::net::Ipv4Addr::from);
    let v6 = (any::<[u16; 8]>()).prop_map(std::net::Ipv6Addr::from);
    let unicast =
        v4.prop_filter("unicast of three digits", |ip| !ip.is_multicast() && !ip.is_unspecified() && ip.octets()[0] > 9);
    prop_oneof![
        unicast.prop_map(|ip| format!("IP4 {ip}")),
        v6.prop_filter("unicast", |ip| !ip.is_multicast()).prop_map(|ip| format!("IP6 {ip}"))
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    let fingerprint = prop::collection::vec(any::<u8>(), 32)
        .prop_map(|digest| digest.iter().map(|octet| format!("{octet:02X}")).collect::<Vec<_>>().join(":"));
    (
        address(),
        "[a-z]{3,8}\\.[a-z]{3,8}\\.[a-z]{2,4}",
        "[A-Za-z]{8,12}",
        "[A-Z0-9]{7,9}",
        "[A-Za-z0-9]{22,30}",
        "[A-Za-z0-9]{8,16}",
        fingerprint,
    )
        .prop_map(|(address, host, user, ufrag, pwd, cname, fingerprint)| Peer {
            address,
            host,
            user,
            ufrag,
            pwd,
            cname,
            fingerprint,
        })
}

/// Where a peer could put one of its words besides where it belongs.
fn places() -> impl Strategy<Value = Vec<(usize, usize)>> {
    prop::collection::vec((0..8usize, 0..7usize), 1..6)
}

fn offer(peer: &Peer, places: &[(usize, usize)]) -> String {
    let Peer { address, host, user, ufrag, pwd, cname, fingerprint } = peer;
    let bare = address.split(' ').nth(1).unwrap();
    let mut body = format!(
        "v=0\r\no={user} 99887766 1 IN {address}\r\ns={user}\r\ni={host}\r\nu=http://{host}/\r\ne={user}@{host}\r\nc=IN {address}\r\nt=0 0\r\n\
         m=audio 7078 UDP/TLS/RTP/SAVPF 0 96\r\ni={host}\r\nb=AS:64\r\na=rtpmap:96 opus/48000/2\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:actpass\r\na=rtcp-mux\r\na=ssrc:1 cname:{cname}\r\na=msid:{cname} {cname}\r\n\
         a=candidate:1 1 udp 1 {bare} 7078 typ host\r\na=candidate:2 1 udp 1 {host} 7079 typ srflx raddr {bare} rport 1\r\n"
    );
    for (place, word) in places {
        let word = peer.words()[*word].trim_start_matches("IP4 ").trim_start_matches("IP6 ");
        body.push_str(&match place {
            0 => format!("a=x-note:{word}\r\n"),
            1 => format!("a=x-note:sip:{word};transport=udp\r\n"),
            2 => format!("a=fmtp:96 note={word}\r\n"),
            3 => format!("a=x-{word}\r\n"),
            4 => format!("a=label:{word}\r\n"),
            5 => format!("a=x-list:one,{word},two\r\n"),
            6 => format!("a=rtcp-xr:rcvr-rtt=all:{word}\r\n"),
            _ => format!("a=x-note:[{word}]:5060\r\n"),
        });
    }
    body
}

proptest! {
    #[test]
    fn nothing_of_a_reaches_b(peer in peer(), places in places()) {
        let offer = offer(&peer, &places);
        let (mut browser, mut phone, mut other) = (webrtc(40_000), rtp(40_002), webrtc(40_004));
        let description = browser.receive_offer(T0, offer.as_bytes()).unwrap();
        for told in [phone.make_offer(T0, &description), other.make_offer(T0, &description)] {
            let told = text(told.unwrap());
            for word in peer.words() {
                let word = word.trim_start_matches("IP4 ").trim_start_matches("IP6 ");
                prop_assert!(!told.contains(word), "{} in {}", word, told);
            }
        }
        // The same in an answer to the other leg.
        let mut caller = rtp(40_006);
        caller.receive_offer(T0, PHONE_ANSWER.as_bytes()).unwrap();
        let answer = text(caller.make_answer(T0, &description).unwrap());
        for word in peer.words() {
            let word = word.trim_start_matches("IP4 ").trim_start_matches("IP6 ");
            prop_assert!(!answer.contains(word), "{} in {}", word, answer);
        }
    }
}
