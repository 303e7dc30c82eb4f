//! A bare SIP user agent for one thread: sends a request, waits for the answer. For what SIPp cannot do: TLS, WebSocket,
//! SHA-256, and requests that are wrong on purpose.

use super::digest::{self, Algorithm, Proof};
use super::sip_message::{SipMessage, audio_port, ending, plain_sdp};
use super::stream::Wire;
use super::{Context, Failure, Outcome};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A text that no other request of this machine has.
fn unique() -> String {
    format!("{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A user agent on one connection.
pub struct SipClient {
    wire: Wire,
    user: String,
    password: String,
    domain: String,
    algorithm: Algorithm,
    /// Stays the same over REGISTERs, as RFC 3261 10.2 asks for.
    register_call_id: String,
    cseq: u32,
    count: u32,
}

/// A call that a [`SipClient`] has placed.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Call-ID.
    pub call_id: String,
    /// From with its tag.
    pub from: String,
    /// To; with its tag once there was an answer.
    pub to: String,
    /// Where requests within the dialog go.
    pub target: String,
    /// CSeq of the INVITE.
    pub cseq: u32,
    /// The INVITE's branch.
    pub branch: String,
    /// The final answer.
    pub answer: SipMessage,
}

impl Placed {
    /// The port where the answer wants audio.
    pub fn media_port(&self) -> Outcome<u16> {
        audio_port(&self.answer.body).during(format_args!("no audio line in the answer {:?}", self.answer.body))
    }
}

impl SipClient {
    /// For this account.
    pub fn new(wire: Wire, user: &str, password: &str, domain: &str) -> SipClient {
        SipClient {
            wire,
            user: user.into(),
            password: password.into(),
            domain: domain.into(),
            algorithm: Algorithm::Md5,
            register_call_id: unique(),
            cseq: 0,
            count: 0,
        }
    }

    /// Answers challenges with this algorithm.
    pub fn with(mut self, algorithm: Algorithm) -> SipClient {
        self.algorithm = algorithm;
        self
    }

    /// The way to the node.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn aor(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.domain)
    }

    fn contact(&self) -> Outcome<String> {
        let transport = self.wire.transport().to_ascii_lowercase();
        Ok(format!("<sip:{}@{};transport={transport}>", self.user, self.wire.local()?))
    }

    fn via(&self, branch: &str) -> Outcome<String> {
        Ok(format!("SIP/2.0/{} {};branch=z9hG4bK{branch};rport", self.wire.transport(), self.wire.local()?))
    }

    /// REGISTER with digest; the final answer, whatever it is.
    pub fn register(&mut self, expires_s: u32) -> Outcome<SipMessage> {
        let first = self.register_once(expires_s, "")?;
        if first.status() != Some(401) {
            return Ok(first);
        }
        let second = self.register_with(&first, expires_s)?;
        let stale = second.header("WWW-Authenticate").to_ascii_lowercase().contains("stale=true");
        if stale { self.register_with(&second, expires_s) } else { Ok(second) }
    }

    fn register_with(&mut self, challenge: &SipMessage, expires_s: u32) -> Outcome<SipMessage> {
        self.count = 0;
        self.register_again(challenge, expires_s)
    }

    /// A further REGISTER with the nonce of `challenge`; each time the nonce count is one higher.
    pub fn register_again(&mut self, challenge: &SipMessage, expires_s: u32) -> Outcome<SipMessage> {
        let credentials = self.credentials(challenge, "REGISTER")?;
        self.register_once(expires_s, &format!("Authorization: {credentials}\r\n"))
    }

    /// One REGISTER with further header lines.
    pub fn register_once(&mut self, expires_s: u32, more: &str) -> Outcome<SipMessage> {
        self.register_other(&self.user.clone(), expires_s, more)
    }

    /// One REGISTER for the address of record of `user`, who need not be the one that the credentials name.
    pub fn register_other(&mut self, user: &str, expires_s: u32, more: &str) -> Outcome<SipMessage> {
        self.cseq += 1;
        let aor = format!("<sip:{user}@{}>", self.domain);
        let request = format!(
            "REGISTER sip:{} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {aor};tag={}\r\nTo: {aor}\r\nCall-ID: {}\r\n\
             CSeq: {} REGISTER\r\nContact: {}\r\nExpires: {expires_s}\r\n{more}{}",
            self.domain,
            self.via(&unique())?,
            unique(),
            self.register_call_id,
            self.cseq,
            self.contact()?,
            ending("")
        );
        self.ask(&request)
    }

    /// The next answer to a 401 for a request to the domain itself.
    pub fn credentials(&mut self, challenge: &SipMessage, method: &str) -> Outcome<String> {
        self.count += 1;
        let uri = format!("sip:{}", self.domain);
        self.prove(challenge, "WWW-Authenticate", method, &uri)
    }

    fn prove(&self, challenge: &SipMessage, header: &str, method: &str, uri: &str) -> Outcome<String> {
        let challenges: Vec<String> = challenge.headers(header).map(str::to_string).collect();
        let proof = Proof { user: &self.user, password: &self.password, method, uri, count: self.count };
        digest::answer(&challenges, self.algorithm, proof)
    }

    /// OPTIONS to the node itself.
    pub fn options(&mut self) -> Outcome<SipMessage> {
        let uri = format!("sip:{}", self.domain);
        self.request("OPTIONS", &uri, "")
    }

    /// Any request outside a dialog, without a body.
    pub fn request(&mut self, method: &str, uri: &str, more: &str) -> Outcome<SipMessage> {
        let aor = self.aor();
        let request = format!(
            "{method} {uri} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {aor};tag={}\r\nTo: <{uri}>\r\nCall-ID: {}\r\n\
             CSeq: 1 {method}\r\nContact: {}\r\n{more}{}",
            self.via(&unique())?,
            unique(),
            unique(),
            self.contact()?,
            ending("")
        );
        self.ask(&request)
    }

    /// INVITE with an SDP, digest when asked for, up to the final answer, which is acknowledged.
    pub fn invite(&mut self, number: &str, sdp: &str) -> Outcome<Placed> {
        let uri = format!("sip:{number}@{}", self.domain);
        let (call_id, from) = (unique(), format!("{};tag={}", self.aor(), unique()));
        let first = self.invite_once(&uri, &call_id, &from, 1, "", sdp)?;
        if first.answer.status() != Some(407) {
            return Ok(first);
        }
        self.count = 1;
        let credentials = self.prove(&first.answer, "Proxy-Authenticate", "INVITE", &uri)?;
        self.invite_once(&uri, &call_id, &from, 2, &format!("Proxy-Authorization: {credentials}\r\n"), sdp)
    }

    fn invite_once(&mut self, uri: &str, call_id: &str, from: &str, cseq: u32, more: &str, sdp: &str) -> Outcome<Placed> {
        let branch = unique();
        let via = self.via(&branch)?;
        let request = format!(
            "INVITE {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {from}\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} INVITE\r\nContact: {}\r\n{more}{}",
            self.contact()?,
            ending(sdp)
        );
        let answer = self.ask(&request)?;
        let accepted = answer.status().is_some_and(|s| s < 300);
        let target = if accepted { answer.contact_uri().to_string() } else { uri.to_string() };
        let to = answer.header("To").to_string();
        let placed = Placed { call_id: call_id.into(), from: from.into(), to, target, cseq, branch, answer };
        self.acknowledge(&placed, accepted)?;
        Ok(placed)
    }

    /// The ACK of a 2xx is a transaction of its own, that of another answer is not (RFC 3261 17.1.1.3).
    fn acknowledge(&mut self, placed: &Placed, accepted: bool) -> Outcome<()> {
        let branch = if accepted { unique() } else { placed.branch.clone() };
        let request = self.within(placed, "ACK", placed.cseq, &branch)?;
        self.wire.send(request.as_bytes())
    }

    /// BYE; the final answer.
    pub fn bye(&mut self, placed: &Placed) -> Outcome<SipMessage> {
        let request = self.within(placed, "BYE", placed.cseq + 1, &unique())?;
        self.ask(&request)
    }

    /// REFER of one call's peer to that of another one, in its place there (RFC 5589 7.3); the final answer.
    pub fn refer(&mut self, placed: &Placed, number: &str, instead: &Placed) -> Outcome<SipMessage> {
        let tag = |field: &str| field.split(";tag=").nth(1).unwrap_or_default().to_string();
        let (to, from) = (tag(&instead.to), tag(&instead.from));
        let replaces = format!("{}%3Bto-tag%3D{to}%3Bfrom-tag%3D{from}", instead.call_id);
        self.refer_to(placed, &format!("{number}@{}?Replaces={replaces}", self.domain))
    }

    /// REFER of a call's peer to this number, unasked (RFC 5589 6); the final answer.
    pub fn transfer(&mut self, placed: &Placed, number: &str) -> Outcome<SipMessage> {
        self.refer_to(placed, &format!("{number}@{}", self.domain))
    }

    fn refer_to(&mut self, placed: &Placed, target: &str) -> Outcome<SipMessage> {
        let request = self.within(placed, "REFER", placed.cseq + 1, &unique())?;
        let (line, rest) = request.split_once("\r\n").during("a request has a first line")?;
        self.ask(&format!("{line}\r\nContact: {}\r\nRefer-To: <sip:{target}>\r\n{rest}", self.contact()?))
    }

    /// A re-INVITE with this SDP and number; the final answer, which is acknowledged.
    pub fn change(&mut self, placed: &Placed, cseq: u32, sdp: &str) -> Outcome<SipMessage> {
        let request = self.within(placed, "INVITE", cseq, &unique())?;
        let head = request.strip_suffix(&ending("")).during("a request without a body")?;
        let answer = self.ask(&format!("{head}Contact: {}\r\n{}", self.contact()?, ending(sdp)))?;
        let ack = self.within(placed, "ACK", cseq, &unique())?;
        self.wire.send(ack.as_bytes())?;
        Ok(answer)
    }

    /// Accepts the re-INVITE that the node sends, with this port.
    pub fn accept_change(&mut self, media_port: u16, limit: Duration) -> Outcome<()> {
        self.accept(limit, |_| Ok(plain_sdp(media_port, "sendrecv")))
    }

    /// Accepts the next INVITE that the node sends, whose SDP `answer` is given, up to the ACK.
    pub fn accept(&mut self, limit: Duration, answer: impl FnOnce(&str) -> Outcome<String>) -> Outcome<()> {
        self.accept_with("", limit, answer)
    }

    /// The same with further header lines in the answer.
    pub fn accept_with(&mut self, more: &str, limit: Duration, answer: impl FnOnce(&str) -> Outcome<String>) -> Outcome<()> {
        let request = self.await_request("INVITE", limit)?;
        let contact = format!("Contact: {}\r\n{more}", self.contact()?);
        let reply = request.reply("200 OK", &unique(), &contact, &answer(&request.body)?);
        self.wire.send(reply.as_bytes())?;
        self.await_request("ACK", limit).map(drop)
    }

    fn within(&self, placed: &Placed, method: &str, cseq: u32, branch: &str) -> Outcome<String> {
        Ok(format!(
            "{method} {} SIP/2.0\r\nVia: {}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n{}",
            placed.target,
            self.via(branch)?,
            placed.from,
            placed.to,
            placed.call_id,
            ending("")
        ))
    }

    /// INVITE with the usual SDP; it must be accepted.
    pub fn call(&mut self, number: &str, media_port: u16) -> Outcome<Placed> {
        let placed = self.invite(number, &plain_sdp(media_port, "sendrecv"))?;
        match placed.answer.status() {
            Some(200..=299) => Ok(placed),
            _ => Err(Failure::new(format!("the call to {number} was answered {}", placed.answer.start))),
        }
    }

    /// Sends a request as it is and waits for the final answer that carries the branch of its Via.
    pub fn ask(&mut self, request: &str) -> Outcome<SipMessage> {
        self.ask_within(request, PATIENCE)?.during(format_args!("no answer to {}", request.lines().next().unwrap_or_default()))
    }

    /// As [`SipClient::ask`]; `None` when nothing came in time. Over UDP the request is repeated, but for that.
    pub fn ask_within(&mut self, request: &str, limit: Duration) -> Outcome<Option<SipMessage>> {
        let branch = request.split_once("branch=").map(|(_, b)| b.split([';', '\r']).next().unwrap_or_default());
        let branch = branch.unwrap_or_default().to_string();
        let deadline = Instant::now() + limit;
        self.wire.send(request.as_bytes())?;
        while Instant::now() < deadline {
            let again = matches!(self.wire, Wire::Udp(_));
            match self.wire.receive(Duration::from_millis(500).min(limit))? {
                Some(octets) if octets.len() > 4 => {
                    let message = SipMessage::parse(&octets)?;
                    let ours = message.header("Via").contains(&branch);
                    if ours && message.status().is_some_and(|s| s >= 200) {
                        return Ok(Some(message));
                    }
                }
                Some(_) => {}
                None if again => self.wire.send(request.as_bytes())?,
                None => {}
            }
        }
        Ok(None)
    }

    /// The next request of this method that the node sends.
    pub fn await_request(&mut self, method: &str, limit: Duration) -> Outcome<SipMessage> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Some(octets) = self.wire.receive(Duration::from_millis(100))?
                && octets.len() > 4
            {
                let message = SipMessage::parse(&octets)?;
                if message.method() == Some(method) {
                    return Ok(message);
                }
            }
        }
        Err(Failure::new(format!("the node sent no {method}")))
    }
}
