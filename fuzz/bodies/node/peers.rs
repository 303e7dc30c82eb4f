//! What peers say: sound requests and responses put together from lists, and damaged ones. They remember what the node said, so that a
//! short program comes far into a call.

use super::bench::{NODE, password};
use crate::bodies::program::Program;
use ringfort_base::{FlowId, Hop, Transport};
use ringfort_sip::digest::{Challenge, Ha1};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::collections::VecDeque;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

/// A datagram and how it comes.
pub type Said = (Hop, Vec<u8>);

/// User, address and transport: three devices, the carrier, the cloud, a stranger.
const PEERS: [(&str, &str, Transport, Option<FlowId>); 6] = [
    ("101", "10.1.0.101:5060", Transport::Udp, None),
    ("102", "10.1.0.102:5070", Transport::Tcp, Some(FlowId(1))),
    ("103", "10.1.0.103:40000", Transport::Wss, Some(FlowId(2))),
    ("carrier", "10.2.0.101:5060", Transport::Udp, None),
    ("cloud", "10.3.0.100:5060", Transport::Udp, None),
    ("nobody", "198.51.100.7:5060", Transport::Udp, None),
];
const CARRIER: usize = 3;

/// Where audio comes from.
pub const MEDIA: [&str; 3] = ["10.1.0.101:40000", "10.2.0.101:40000", "198.51.100.7:9"];

const NUMBERS: [&str; 7] = ["101", "102", "103", "0123", "112", "*43", "555"];
const METHODS: [&str; 9] = ["INVITE", "INVITE", "REGISTER", "REGISTER", "SUBSCRIBE", "MESSAGE", "OPTIONS", "PUBLISH", "NOTIFY"];
const INSIDE: [&str; 14] = [
    "ACK",
    "BYE",
    "INVITE",
    "UPDATE",
    "PRACK",
    "CANCEL",
    "REFER",
    "INFO",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "SUBSCRIBE",
    "ACK",
    "ACK",
];
const STATUSES: [&str; 16] = [
    "100 T", "180 R", "183 P", "200 O", "200 O", "202 A", "302 M", "401 U", "404 N", "407 P", "408 T", "422 S", "481 D", "487 T",
    "491 P", "503 S",
];
const EXTRAS: [&str; 20] = [
    "",
    "",
    "Supported: 100rel, timer, replaces, norefersub\r\n",
    "Require: 100rel\r\nRSeq: 1\r\n",
    "Require: 100rel\r\nRSeq: 2\r\n",
    "Supported: timer\r\nSession-Expires: 90;refresher=uac\r\n",
    "Require: timer\r\nSession-Expires: 90;refresher=uas\r\n",
    "Min-SE: 200\r\n",
    "Event: dialog\r\nExpires: 60\r\n",
    "Event: message-summary\r\nExpires: 0\r\n",
    "Event: refer\r\nSubscription-State: terminated;reason=noresource\r\n",
    "Event: dialog\r\nSubscription-State: active;expires=60\r\n",
    "Refer-To: <sip:0123@ringfort.test>\r\n",
    "Refer-To: <sip:102@ringfort.test>\r\nRefer-Sub: false\r\n",
    "Contact: <sip:0555@10.2.0.101>;q=0.5, <sip:102@ringfort.test>\r\n",
    "Expires: 0\r\n",
    "Path: <sip:10.3.0.100;lr>\r\nSupported: path, outbound, gruu\r\n",
    "P-Asserted-Identity: <sip:900@10.2.0.101>\r\nPrivacy: id\r\nDiversion: <sip:1@x>;reason=no-answer\r\n",
    "Retry-After: 5\r\nReason: Q.850;cause=16\r\nWarning: 399 x \"no\"\r\n",
    "WWW-Authenticate: Digest realm=\"c\", nonce=\"n\", qop=\"auth\"\r\nProxy-Authenticate: Digest realm=\"c\", nonce=\"n\"\r\n",
];
/// Content-Type and body.
const BODIES: [(&str, &str); 9] = [
    ("", ""),
    ("application/sdp", include_str!("../../corpus/sdp/phone")),
    ("application/sdp", include_str!("../../corpus/sdp/phone")),
    ("application/sdp", include_str!("../../corpus/sdp/held")),
    ("application/sdp", include_str!("../../corpus/sdp/sdes")),
    ("application/sdp", include_str!("../../corpus/sdp/browser")),
    ("application/sdp", "v=1\r\n"),
    ("text/plain", "hello"),
    ("message/sipfrag", "SIP/2.0 200 OK\r\n"),
];
/// Octets that mean something in SIP or SDP.
const SHARP: &[u8] = b"\r\n\t \",;<>%:=@/?&[]\0\xff09";
/// What each side remembers.
const MEMORY: usize = 24;

/// One side of one dialog, be it that the other side knows nothing of it.
#[derive(Clone)]
struct Talk {
    peer: usize,
    call_id: String,
    local: String,
    remote: String,
    target: String,
    cseq: u32,
    /// Branch and number of the last INVITE of ours.
    invite: Option<(String, u32)>,
}

/// Everybody but the node.
pub struct Peers {
    serial: u32,
    talks: VecDeque<Talk>,
    asked: VecDeque<(usize, Message)>,
    /// The last challenge for each peer.
    challenges: [Option<(HeaderName, String)>; PEERS.len()],
    last: (usize, Vec<u8>),
}

fn hop(peer: usize) -> Hop {
    let (_, address, transport, flow) = PEERS[peer];
    let (remote, local) = (address.parse().expect("a constant address"), NODE.parse().ok());
    Hop { transport, remote, local, flow }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == MEMORY {
        list.pop_front();
    }
    list.push_back(item);
}

impl Peers {
    /// They heard nothing yet.
    pub fn new() -> Peers {
        Peers { serial: 0, talks: VecDeque::new(), asked: VecDeque::new(), challenges: Default::default(), last: (0, Vec::new()) }
    }

    /// How each of them is reached.
    pub fn hops(&self) -> [Hop; PEERS.len()] {
        std::array::from_fn(hop)
    }

    /// The carrier's address.
    pub fn carrier(&self) -> IpAddr {
        hop(CARRIER).remote.ip()
    }

    /// The node said this.
    pub fn hear(&mut self, to: Hop, message: Message) {
        let address = |peer: &usize| PEERS[*peer].1.parse::<SocketAddr>() == Ok(to.remote);
        let Some(peer) = (0..PEERS.len()).find(address) else { return };
        if message.is_request() {
            if message.method() != Method::Ack {
                remember(&mut self.asked, (peer, message));
            }
            return;
        }
        for name in [HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate] {
            if let Some(value) = message.header(name) {
                self.challenges[peer] = Some((name, value.to_string()));
            }
        }
        let fits = |talk: &&mut Talk| talk.peer == peer && message.call_id() == Ok(talk.call_id.as_str());
        let Some(talk) = self.talks.iter_mut().rev().find(fits) else { return };
        talk.remote = message.header(HeaderName::To).unwrap_or_default().to_string();
        if let Some(target) = target(&message) {
            talk.target = target;
        }
    }

    /// A request outside any dialog.
    pub fn request(&mut self, program: &mut Program<'_>) -> Said {
        let (peer, method) = (usize::from(program.octet()) % PEERS.len(), program.one(&METHODS));
        self.serial += 1;
        let (user, address, ..) = PEERS[peer];
        let uri = match method {
            "REGISTER" => "sip:ringfort.test".to_string(),
            _ => format!("sip:{}@ringfort.test", program.one(&NUMBERS)),
        };
        let to = if method == "REGISTER" { format!("<sip:{user}@ringfort.test>") } else { format!("<{uri}>") };
        let talk = Talk {
            peer,
            call_id: format!("c{}@{address}", self.serial),
            local: format!("<sip:{user}@ringfort.test>;tag=f{}", self.serial),
            remote: to,
            target: uri,
            cseq: 0,
            invite: None,
        };
        remember(&mut self.talks, talk);
        let talk = self.talks.len() - 1;
        self.ask(program, talk, method)
    }

    /// A request inside a dialog.
    pub fn within(&mut self, program: &mut Program<'_>) -> Option<Said> {
        let talk = program.place(self.talks.len())?;
        let method = program.one(&INSIDE);
        Some(self.ask(program, talk, method))
    }

    fn ask(&mut self, program: &mut Program<'_>, at: usize, method: &str) -> Said {
        let talk = &mut self.talks[at];
        let peer = talk.peer;
        let follows = matches!(method, "ACK" | "CANCEL");
        let (branch, cseq) = match talk.invite.clone().filter(|_| follows) {
            // A 2xx is acknowledged by a transaction of its own.
            Some((branch, cseq)) => {
                (if method == "ACK" && program.octet().is_multiple_of(2) { format!("{branch}a") } else { branch }, cseq)
            }
            None => {
                talk.cseq += 1;
                (format!("z9hG4bK{}x{}", talk.call_id.len(), talk.call_id) + &talk.cseq.to_string(), talk.cseq)
            }
        };
        if method == "INVITE" {
            talk.invite = Some((branch.clone(), cseq));
        }
        let remote = if method == "CANCEL" { without_tag(&talk.remote) } else { talk.remote.clone() };
        let (user, address, transport, _) = PEERS[peer];
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{transport} {address};branch={branch};rport\r\nMax-Forwards: 70\r\nFrom: {}\r\n\
             To: {remote}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nUser-Agent: desk\r\n",
            talk.target, talk.local, talk.call_id
        );
        if method != "CANCEL" && !program.octet().is_multiple_of(16) {
            let _ = write!(text, "Contact: <sip:{user}@{address};transport={transport}>\r\n");
        }
        if method == "PRACK" {
            let _ = write!(
                text,
                "RAck: {} {} INVITE\r\n",
                1 + u32::from(program.octet() % 3),
                talk.invite.as_ref().map_or(1, |i| i.1)
            );
        }
        let target = talk.target.clone();
        self.more(program, peer, (method, &target), &mut text);
        self.finish(program, peer, text)
    }

    /// Credentials, and a header field that names another dialog.
    fn more(&mut self, program: &mut Program<'_>, peer: usize, (method, uri): (&str, &str), text: &mut String) {
        if let Some((name, challenge)) = self.challenges[peer].clone().filter(|_| !program.octet().is_multiple_of(8))
            && let Ok(challenge) = Challenge::parse(&challenge)
        {
            let user = PEERS[peer].0;
            self.serial += 1;
            let ha1 = Ha1::new(user, &challenge.realm, &password(user));
            let name = if name == HeaderName::WwwAuthenticate { "Authorization" } else { "Proxy-Authorization" };
            let answer = challenge.answer(user, &ha1, method, uri, "c", self.serial);
            let _ = write!(text, "{name}: {answer}\r\n");
        }
        let kind = program.octet() % 12;
        let Some(other) = program.place(self.talks.len()).filter(|_| kind < 3) else { return };
        let other = &self.talks[other];
        let tag = |value: &str| value.rsplit_once(";tag=").map_or("", |(_, tag)| tag).to_string();
        let (to, from) = (tag(&other.remote), tag(&other.local));
        let _ = match kind {
            0 => write!(text, "Replaces: {};to-tag={to};from-tag={from}\r\n", other.call_id),
            1 => write!(text, "Join: {};to-tag={to};from-tag={from}\r\n", other.call_id),
            _ => {
                let id = other.call_id.replace('@', "%40");
                write!(text, "Refer-To: <sip:102@ringfort.test?Replaces={id}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}>\r\n")
            }
        };
    }

    /// The answer to a request of the node.
    pub fn response(&mut self, program: &mut Program<'_>) -> Option<Said> {
        let back = program.place(self.asked.len())?;
        let (peer, request) = self.asked[self.asked.len() - 1 - back].clone();
        let field = |name| request.header(name).unwrap_or_default().to_string();
        let (to, tag) = (field(HeaderName::To), program.one(&["a", "b"]));
        let to = if to.contains(";tag=") { to } else { format!("{to};tag={tag}") };
        let (user, address, ..) = PEERS[peer];
        let mut text = format!(
            "SIP/2.0 {}\r\nVia: {}\r\nFrom: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n",
            program.one(&STATUSES),
            field(HeaderName::Via),
            field(HeaderName::From),
            field(HeaderName::CallId),
            field(HeaderName::CSeq)
        );
        if request.method() == Method::Register {
            let _ = write!(text, "Contact: {};expires=60\r\n", field(HeaderName::Contact));
        } else if !program.octet().is_multiple_of(16) {
            let _ = write!(text, "Contact: <sip:{user}@{address}>\r\n");
        }
        let known = self.talks.iter().any(|talk| talk.peer == peer && talk.local == to);
        if request.method() == Method::Invite && !known {
            let target = target(&request).unwrap_or_else(|| "sip:ringfort.test".into());
            let (call_id, remote) = (field(HeaderName::CallId), field(HeaderName::From));
            remember(&mut self.talks, Talk { peer, call_id, local: to, remote, target, cseq: 100, invite: None });
        }
        Some(self.finish(program, peer, text))
    }

    fn finish(&mut self, program: &mut Program<'_>, peer: usize, mut text: String) -> Said {
        text.push_str(program.one(&EXTRAS));
        let (kind, body) = program.one(&BODIES);
        if !kind.is_empty() {
            let _ = write!(text, "Content-Type: {kind}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        self.last = (peer, text.into_bytes());
        (hop(peer), self.last.1.clone())
    }

    /// The last message once more, with octets changed, put in or left out; or just once more, from anybody.
    pub fn damaged(&mut self, program: &mut Program<'_>) -> Said {
        let (peer, mut octets) = self.last.clone();
        for _ in 0..program.octet() % 4 {
            let at = usize::from(program.octet()) << 3 | usize::from(program.octet() % 8);
            let at = if octets.is_empty() { 0 } else { at % octets.len() };
            match program.octet() % 4 {
                0 if !octets.is_empty() => octets[at] = program.octet(),
                1 => octets.insert(at, program.one(SHARP)),
                2 => drop(octets.drain(at..(at + 1 + usize::from(program.octet())).min(octets.len()))),
                _ => {
                    let again = octets[at..(at + usize::from(program.octet())).min(octets.len())].to_vec();
                    octets.splice(at..at, again);
                }
            }
        }
        let stranger = program.octet().is_multiple_of(8);
        (hop(if stranger { PEERS.len() - 1 } else { peer }), octets)
    }

    /// Octets of the program itself.
    pub fn noise(&mut self, program: &mut Program<'_>) -> Said {
        let (peer, len) = (usize::from(program.octet()) % PEERS.len(), usize::from(program.octet()) * 2);
        let octets: Vec<u8> = (0..len).map_while(|_| (!program.is_over()).then(|| program.octet())).collect();
        (hop(peer), octets)
    }
}

fn target(message: &Message) -> Option<String> {
    message.contacts().ok()?.first().map(|contact| contact.uri.to_string())
}

fn without_tag(value: &str) -> String {
    value.split(";tag=").next().unwrap_or_default().to_string()
}
