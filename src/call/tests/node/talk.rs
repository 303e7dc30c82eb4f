//! A call that stands, and both its ends: each sends requests inside its dialog and answers those of the node.

use crate::fixture::{Desk, SDP};
use ringfort_sip::message::{HeaderName, Message, Method};
use std::net::SocketAddr;

pub const CONFIG: &str = "[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\noptions_interval_ms = 0\n\
    [[account]]\nuser = \"101\"\n[[account]]\nuser = \"102\"\n[[account]]\nuser = \"103\"\n\
    [[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n";
pub const PHONE: &str = "203.0.113.5:5060";
pub const TRUNK: &str = "198.51.100.1:5060";
pub const ALLOWS_UPDATE: &str = "Allow: INVITE, ACK, BYE, CANCEL, UPDATE\r\n";
/// A browser's description, offer or answer by its `a=setup`.
pub const BROWSER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 8\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=rtcp-mux\r\na=sendrecv\r\na=rtpmap:8 PCMA/8000\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef01234567\r\na=setup:actpass\r\na=fingerprint:sha-256 \
    00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n";

/// One end of a call.
#[derive(Clone)]
pub struct End {
    pub address: &'static str,
    pub call_id: String,
    pub local: String,
    pub remote: String,
    pub cseq: u32,
}

/// The SDP of a party, with a version and a direction.
pub fn sdp(address: &str, version: u32, direction: &str) -> String {
    let address: SocketAddr = address.parse().expect("an address");
    let sdp = if address.is_ipv4() { SDP.to_string() } else { SDP.replace("IP4", "IP6") };
    sdp.replace("10.0.0.9", &address.ip().to_string()).replace("1 1 IN", &format!("1 {version} IN"))
        + &format!("a={direction}\r\n")
}

pub fn contact(user: &str, address: &str) -> String {
    format!("Contact: <sip:{user}@{address}>\r\n")
}

/// 101 has called 0123 by the trunk. `caller` and `callee` are further header lines of INVITE and 200.
pub fn connected(config: &str, caller: &str, callee: &str) -> (Desk, End, End) {
    let mut desk = Desk::new(config);
    assert_eq!(desk.register(PHONE, "101", &contact("101", PHONE)), 200);
    let (phone, trunk) = call(&mut desk, (PHONE, "101", caller), "0123", (TRUNK, callee));
    (desk, phone, trunk)
}

/// `caller` dials `number`, `callee` answers; everything is acknowledged.
pub fn call(desk: &mut Desk, caller: (&'static str, &str, &str), number: &str, callee: (&'static str, &str)) -> (End, End) {
    let (from, user, more) = caller;
    let uri = format!("sip:{number}@ringfort.local");
    desk.request(from, "INVITE", &uri, user, &format!("{}{more}", contact(user, from)), &sdp(from, 1, "sendrecv"));
    let (to, more) = callee;
    desk.reply(to, "200 OK", "t", &format!("{}{more}", contact("gw", to)), &sdp(to, 1, "sendrecv"));
    let (ok, invite) =
        (desk.last_of(from, |m| m.status() == Some(200)), desk.last_of(to, |m| m.method() == Method::Invite && m.is_request()));
    let (mut one, other) = ends_at(&ok, from, &invite, to);
    one.ack(desk, "");
    (one, other)
}

/// The ends of the call of 101's phone by the trunk: its 200 to the phone, and its INVITE to the trunk.
pub fn ends(ok: &Message, invite: &Message) -> (End, End) {
    ends_at(ok, PHONE, invite, TRUNK)
}

/// The same of any two.
pub fn ends_at(ok: &Message, from: &'static str, invite: &Message, to: &'static str) -> (End, End) {
    let field = |m: &Message, name| m.header(name).expect("a field").to_string();
    let call_id = |m: &Message| m.call_id().expect("one").to_string();
    let one = End {
        address: from,
        call_id: call_id(ok),
        local: field(ok, HeaderName::From),
        remote: field(ok, HeaderName::To),
        cseq: ok.cseq().expect("one").0,
    };
    let other = End {
        address: to,
        call_id: call_id(invite),
        local: format!("{};tag=t", field(invite, HeaderName::To)),
        remote: field(invite, HeaderName::From),
        cseq: 0,
    };
    (one, other)
}

impl End {
    /// A new request inside the dialog.
    pub fn send(&mut self, desk: &mut Desk, method: &str, more: &str, body: &str) {
        self.cseq += 1;
        self.write(desk, method, more, body);
    }

    /// The ACK of the last INVITE.
    pub fn ack(&mut self, desk: &mut Desk, body: &str) {
        self.write(desk, "ACK", "", body);
    }

    fn write(&self, desk: &mut Desk, method: &str, more: &str, body: &str) {
        let kind = if body.is_empty() || more.contains("Content-Type") { "" } else { "Content-Type: application/sdp\r\n" };
        let contact = if more.contains("Contact:") { String::new() } else { contact("x", self.address) };
        let text = format!(
            "{method} sip:ringfort@192.0.2.10 SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{method}{}{};rport\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {} {method}\r\nMax-Forwards: 70\r\n{contact}{more}{kind}Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.call_id,
            self.cseq,
            self.local,
            self.remote,
            self.call_id,
            self.cseq,
            body.len()
        );
        desk.receive(self.address, &text);
    }

    /// The peer's last request of this dialog.
    pub fn asked(&self, desk: &Desk) -> Message {
        desk.last_of(self.address, |m| m.is_request() && m.call_id().is_ok_and(|id| id == self.call_id))
    }

    /// The last response within this dialog.
    pub fn answered(&self, desk: &Desk) -> Message {
        desk.last_of(self.address, |m| !m.is_request() && m.call_id().is_ok_and(|id| id == self.call_id))
    }

    pub fn status(&self, desk: &Desk) -> u16 {
        self.answered(desk).status().expect("a response")
    }

    /// Answers the last request of the node in this dialog.
    pub fn answer(&self, desk: &mut Desk, status: &str, more: &str, body: &str) {
        let request = desk.last_of(self.address, |m| {
            m.is_request() && m.method() != Method::Ack && m.call_id().is_ok_and(|id| id == self.call_id)
        });
        let text = reply(&request, status, &format!("{}{more}", contact("x", self.address)), body);
        desk.receive(self.address, &text);
    }
}

/// A response to a request of the node, with its To as it is.
pub fn reply(request: &Message, status: &str, more: &str, body: &str) -> String {
    let field = |name| request.header(name).unwrap_or_default().to_string();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n{more}{kind}Content-Length: {}\r\n\r\n{body}",
        field(HeaderName::Via),
        field(HeaderName::From),
        field(HeaderName::To),
        field(HeaderName::CallId),
        field(HeaderName::CSeq),
        body.len()
    )
}

/// The body as text.
pub fn body(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}
