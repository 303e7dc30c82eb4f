//! A user agent of its own: it answers what comes by itself and begins what the story tells it to.

use crate::axes::{Digits, Kit};
use crate::fixture::{self, Desk};
use crate::voice::Voice;
use ringfort_base::Transport;
use ringfort_sip::message::{HeaderName, Message, Method};
use std::collections::BTreeMap;

/// Where a dialog of a party stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Calling,
    Ringing,
    Up,
    Over,
    Refused(u16),
}

/// One dialog of a party.
pub struct Line {
    pub call_id: String,
    pub local: String,
    pub remote: String,
    target: String,
    cseq: u32,
    invite_via: String,
    pub state: State,
    pub voice: Voice,
    /// The node's INVITE.
    pub invite: Option<Message>,
    /// Its ACK has come.
    pub acknowledged: bool,
    /// PRACKs that came.
    pub pracks: usize,
    /// Reliable responses that came.
    pub reliable: usize,
}

pub struct Party {
    pub user: String,
    pub address: String,
    pub kit: Kit,
    pub lines: Vec<Line>,
    /// It answers a call as soon as it comes.
    pub prompt: bool,
    read: usize,
    serial: u32,
    seed: u64,
    pub faults: Vec<String>,
    /// First lines of the bodies of NOTIFY.
    pub news: Vec<String>,
    pub infos: Vec<String>,
    /// Refer-To of REFERs that came.
    pub referred: Vec<String>,
    /// Final answers to its own requests but INVITE, by method.
    pub answers: BTreeMap<String, u16>,
}

pub fn text_of(message: &Message) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}

fn field(message: &Message, name: HeaderName) -> String {
    message.header(name).unwrap_or_default().to_string()
}

fn with_tag(to: String, tag: &str) -> String {
    if to.contains(";tag=") { to } else { format!("{to};tag={tag}") }
}

impl Party {
    pub fn new(desk: &mut Desk, user: &str, kit: Kit, seed: u64) -> Party {
        let host = if kit.v6 { format!("[2001:db8:{seed}::5]") } else { format!("203.0.113.{seed}") };
        let port = if kit.transport == Transport::Udp { 5060 } else { 40_000 + seed };
        let address = format!("{host}:{port}");
        if kit.transport != Transport::Udp {
            desk.connect_by(kit.transport, &address, seed);
        }
        let (user, read) = (user.to_string(), desk.sent.len());
        let (faults, news, infos, referred) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let answers = BTreeMap::new();
        Party {
            user,
            address,
            kit,
            lines: Vec::new(),
            prompt: false,
            read,
            serial: 0,
            seed,
            faults,
            news,
            infos,
            referred,
            answers,
        }
    }

    pub fn host(&self) -> &str {
        self.address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']'])
    }

    fn tag(&self) -> String {
        format!("tag-of-{}", self.user)
    }

    /// What nobody but the node may read.
    pub fn secrets(&self) -> Vec<String> {
        let of_lines = self.lines.iter().flat_map(|line| line.voice.secrets().into_iter().chain([line.call_id.clone()]));
        of_lines.chain([self.host().to_string(), self.tag(), self.branch_mark(), self.invalid()]).collect()
    }

    fn branch_mark(&self) -> String {
        format!("z9hG4bKof{}", self.user)
    }

    fn invalid(&self) -> String {
        format!("browser-{}.invalid", self.user)
    }

    fn sent_by(&self) -> String {
        if self.kit.transport == Transport::Wss { self.invalid() } else { self.address.clone() }
    }

    fn contact(&self) -> String {
        format!("Contact: <sip:{}@{};transport={}>\r\n", self.user, self.sent_by(), self.kit.transport.uri_token())
    }

    fn abilities(&self) -> String {
        let refer = if self.kit.follows { ", REFER" } else { "" };
        let supported = if self.kit.reliable { "Supported: 100rel\r\n" } else { "" };
        let info = if self.kit.digits == Digits::Info { ", INFO" } else { "" };
        format!("Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE, NOTIFY, OPTIONS{refer}{info}\r\n{supported}")
    }

    fn via(&mut self) -> String {
        self.serial += 1;
        let token = self.kit.transport.via_token();
        format!("Via: SIP/2.0/{token} {};branch={}n{};rport\r\n", self.sent_by(), self.branch_mark(), self.serial)
    }

    pub fn register(&mut self, desk: &mut Desk, agent: &str) -> bool {
        let mut proof = String::new();
        for cseq in 1..3 {
            let (via, user) = (self.via(), &self.user);
            let text = format!(
                "REGISTER sip:ringfort.local SIP/2.0\r\n{via}From: <sip:{user}@ringfort.local>;tag=r{user}\r\nTo: <sip:{user}@ringfort.local>\r\n\
                 Call-ID: registration-{user}\r\nCSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\n{}User-Agent: {agent}\r\n{proof}Content-Length: 0\r\n\r\n",
                self.contact()
            );
            desk.receive(&self.address, &text);
            let answer = desk.last(&self.address);
            if let Some(challenge) = answer.header(HeaderName::WwwAuthenticate) {
                proof = format!("Authorization: {}\r\n", fixture::proof(challenge, &self.user, "REGISTER", "sip:ringfort.local"));
            }
        }
        self.read = desk.sent.len();
        desk.answer(&self.address) == 200
    }

    fn new_voice(&mut self) -> Voice {
        self.seed += 20;
        Voice::new(self.kit, self.host(), self.seed)
    }

    /// Calls a number.
    pub fn call(&mut self, desk: &mut Desk, number: &str) {
        let mut voice = self.new_voice();
        let offer = voice.offer("sendrecv", false);
        let (target, via) = (format!("sip:{number}@ringfort.local"), self.via());
        self.lines.push(Line {
            call_id: format!("call-{}-of-{}", self.serial, self.user),
            local: format!("<sip:{}@ringfort.local>;tag={}", self.user, self.tag()),
            remote: format!("<{target}>"),
            target,
            cseq: 1,
            invite_via: via.clone(),
            state: State::Calling,
            voice,
            invite: None,
            acknowledged: false,
            pracks: 0,
            reliable: 0,
        });
        let text = self.text(self.lines.len() - 1, "INVITE", 1, &via, "", &offer);
        desk.receive(&self.address, &text);
    }

    fn text(&self, line: usize, method: &str, cseq: u32, via: &str, more: &str, body: &str) -> String {
        let line = &self.lines[line];
        let kind = if body.is_empty() || more.contains("Content-Type") { "" } else { "Content-Type: application/sdp\r\n" };
        format!(
            "{method} {} SIP/2.0\r\n{via}From: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n{}{}{more}{kind}\
             Content-Length: {}\r\n\r\n{body}",
            line.target,
            line.local,
            line.remote,
            line.call_id,
            self.contact(),
            self.abilities(),
            body.len()
        )
    }

    /// A new request inside a dialog.
    pub fn send(&mut self, desk: &mut Desk, line: usize, method: &str, more: &str, body: &str) {
        self.lines[line].cseq += 1;
        let (cseq, via) = (self.lines[line].cseq, self.via());
        if method == "INVITE" {
            self.lines[line].invite_via = via.clone();
        }
        let text = self.text(line, method, cseq, &via, more, body);
        desk.receive(&self.address, &text);
    }

    /// Rings and answers the call that came, as it can.
    pub fn ring(&mut self, desk: &mut Desk, line: usize) {
        let Some(invite) = self.lines[line].invite.clone() else { return };
        self.lines[line].state = State::Ringing;
        if !self.kit.reliable {
            return self.respond(desk, &invite, "180 Ringing", "", "");
        }
        let answer = self.lines[line].voice.answer().unwrap_or_default();
        self.respond(desk, &invite, "183 Session Progress", "Require: 100rel\r\nRSeq: 41\r\n", &answer);
    }

    /// Audio before the answer, unreliably.
    pub fn progress(&mut self, desk: &mut Desk, line: usize) {
        let Some(invite) = self.lines[line].invite.clone() else { return };
        self.lines[line].state = State::Ringing;
        let answer = self.lines[line].voice.answer().unwrap_or_default();
        self.respond(desk, &invite, "183 Session Progress", "", &answer);
    }

    pub fn pick_up(&mut self, desk: &mut Desk, line: usize) {
        let Some(invite) = self.lines[line].invite.clone() else { return };
        // What a reliable response has said is not said again (RFC 6337 3.1.1).
        let said = self.lines[line].voice.told.clone().filter(|_| self.lines[line].state == State::Ringing);
        let answer = match said {
            Some(_) if self.kit.reliable => Some(String::new()),
            Some(told) => Some(told.text),
            None => self.lines[line].voice.answer(),
        };
        match answer {
            Some(body) => {
                self.lines[line].state = State::Up;
                self.respond(desk, &invite, "200 OK", "", &body);
            }
            None => {
                self.lines[line].state = State::Refused(488);
                self.respond(desk, &invite, "488 Not Acceptable Here", "", "");
            }
        }
    }

    fn respond(&mut self, desk: &mut Desk, request: &Message, status: &str, more: &str, body: &str) {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "SIP/2.0 {status}\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {}\r\n{}{}{more}{kind}Content-Length: {}\r\n\r\n{body}",
            field(request, HeaderName::Via),
            field(request, HeaderName::From),
            with_tag(field(request, HeaderName::To), &self.tag()),
            field(request, HeaderName::CallId),
            field(request, HeaderName::CSeq),
            self.contact(),
            self.abilities(),
            body.len()
        );
        desk.receive(&self.address, &text);
    }

    fn line_of(&self, message: &Message) -> Option<usize> {
        let id = message.call_id().ok()?;
        self.lines.iter().position(|line| line.call_id == id)
    }

    /// Reads what has come and answers it. False: nothing came.
    pub fn serve(&mut self, desk: &mut Desk) -> bool {
        let news: Vec<Message> =
            desk.sent[self.read..].iter().filter(|m| m.0.to_string() == self.address).map(|m| m.1.clone()).collect();
        self.read = desk.sent.len();
        for message in &news {
            self.judge(message);
            match (message.is_request(), self.line_of(message)) {
                (true, line) => self.asked(desk, line, message),
                (false, Some(line)) => self.answered(desk, line, message),
                (false, None) => {}
            }
        }
        !news.is_empty()
    }

    /// What a party without a connection of its own is told to send to must be of its address family.
    fn judge(&mut self, message: &Message) {
        let contact = field(message, HeaderName::Contact);
        if self.kit.transport != Transport::Wss && !contact.is_empty() && contact.contains("@[") != self.kit.v6 {
            self.faults.push(format!("an IPv{} party is told a Contact of the other family", if self.kit.v6 { 6 } else { 4 }));
        }
    }

    fn asked(&mut self, desk: &mut Desk, line: Option<usize>, request: &Message) {
        let (method, body) = (request.method(), text_of(request));
        let Some(at) = line else {
            match method {
                Method::Invite => self.called(desk, request),
                _ => self.faults.push(format!("{method} outside any dialog")),
            }
            return;
        };
        match method {
            Method::Invite | Method::Update if !body.is_empty() => {
                self.lines[at].voice.take_offer(desk.now(), &body);
                match self.lines[at].voice.answer() {
                    Some(answer) => self.respond(desk, request, "200 OK", "", &answer),
                    None => self.respond(desk, request, "488 Not Acceptable Here", "", ""),
                }
            }
            Method::Invite => {
                let offer = self.lines[at].voice.offer("sendrecv", false);
                self.respond(desk, request, "200 OK", "", &offer);
            }
            Method::Ack => {
                self.lines[at].acknowledged = true;
                if self.lines[at].voice.waits && !body.is_empty() {
                    self.lines[at].voice.take_answer(desk.now(), &body);
                }
            }
            Method::Info if self.kit.digits != Digits::Info => {
                self.respond(desk, request, "415 Unsupported Media Type", "Accept: application/sdp\r\n", "");
            }
            method => self.simply(desk, at, &method, request, body),
        }
    }

    fn simply(&mut self, desk: &mut Desk, at: usize, method: &Method, request: &Message, body: String) {
        match method {
            Method::Prack => self.lines[at].pracks += 1,
            Method::Notify => self.news.push(body.trim().to_string()),
            Method::Info => self.infos.push(body),
            Method::Bye => self.lines[at].state = State::Over,
            Method::Refer => self.referred.push(field(request, HeaderName::ReferTo)),
            Method::Update | Method::Options => {}
            other => self.faults.push(format!("{other} in a dialog")),
        }
        self.respond(desk, request, if *method == Method::Refer { "202 Accepted" } else { "200 OK" }, "", "");
    }

    fn called(&mut self, desk: &mut Desk, invite: &Message) {
        let mut voice = self.new_voice();
        voice.take_offer(desk.now(), &text_of(invite));
        let contact = field(invite, HeaderName::Contact);
        self.lines.push(Line {
            call_id: invite.call_id().unwrap_or_default().to_string(),
            local: with_tag(field(invite, HeaderName::To), &self.tag()),
            remote: field(invite, HeaderName::From),
            target: inside_angles(&contact),
            cseq: 100,
            invite_via: String::new(),
            state: State::Calling,
            voice,
            invite: Some(invite.clone()),
            acknowledged: false,
            pracks: 0,
            reliable: 0,
        });
        if self.prompt {
            self.pick_up(desk, self.lines.len() - 1);
        }
    }

    fn answered(&mut self, desk: &mut Desk, at: usize, response: &Message) {
        let (status, Ok((cseq, method))) = (response.status().unwrap_or(0), response.cseq()) else { return };
        if method != Method::Invite {
            if status >= 200 {
                self.answers.insert(method.as_str().to_string(), status);
            }
            let body = text_of(response);
            if method == Method::Update && status == 200 && !body.is_empty() {
                self.lines[at].voice.take_answer(desk.now(), &body);
            }
            return;
        }
        match status {
            100 => {}
            101..300 => self.progressed(desk, at, response, cseq),
            _ => {
                let via = self.lines[at].invite_via.clone();
                let ack = self.text(at, "ACK", cseq, &via, "", "");
                desk.receive(&self.address, &ack);
                if self.lines[at].state != State::Up {
                    self.lines[at].state = State::Refused(status);
                }
                self.answers.insert("INVITE".into(), status);
            }
        }
    }

    fn progressed(&mut self, desk: &mut Desk, at: usize, response: &Message, cseq: u32) {
        let (status, body) = (response.status().unwrap_or(0), text_of(response));
        self.lines[at].remote = field(response, HeaderName::To);
        self.lines[at].target = inside_angles(&field(response, HeaderName::Contact));
        if !body.is_empty() {
            self.lines[at].voice.take_answer(desk.now(), &body);
        }
        if status >= 200 {
            self.lines[at].state = State::Up;
            self.answers.insert("INVITE".into(), status);
            let via = self.via();
            let ack = self.text(at, "ACK", cseq, &via, "", "");
            return desk.receive(&self.address, &ack);
        }
        self.lines[at].state = State::Ringing;
        if response.has_token(HeaderName::Require, "100rel") {
            self.lines[at].reliable += 1;
            if !self.kit.reliable {
                self.faults.push("a reliable response to a caller that takes none".into());
            }
            let rack = format!("RAck: {} {cseq} INVITE\r\n", field(response, HeaderName::RSeq));
            self.send(desk, at, "PRACK", &rack, "");
        }
    }
}

fn inside_angles(contact: &str) -> String {
    contact.split(['<', '>']).nth(1).unwrap_or("sip:nobody.invalid").to_string()
}
