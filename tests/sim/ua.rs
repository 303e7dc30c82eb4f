//! A minimal user agent of the simulator's own: transactions, dialogs and calls of one address. Deliberately not the product's
//! layers, so that a misunderstanding of the protocol shows on the wire. [`crate::phone`] and [`crate::trunk`] give it a temper.

use crate::wire::{Secret, Wire, uri_of};
use ringfort_base::Time;
use ringfort_base::entropy::Seeded;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// RFC 3261 17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// Timers B, F, H: 64*T1.
const GIVE_UP: Duration = Duration::from_secs(32);

/// A call's number within its user agent.
pub type CallNo = usize;

/// What a request was sent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// First INVITE of a call.
    Invite(CallNo),
    /// INVITE within a call.
    Reinvite(CallNo),
    /// BYE.
    Bye(CallNo),
    /// CANCEL, OPTIONS.
    Other,
    /// REGISTER.
    Register,
}

/// What the user agent tells its owner.
#[derive(Clone, Debug)]
pub enum Notice {
    /// A request of ours was answered; provisional responses only of INVITEs.
    Answered(Purpose, Wire),
    /// A request of ours was not answered at all.
    Unanswered(Purpose),
    /// A call comes in; the owner rings, answers or rejects.
    Incoming(CallNo),
    /// The caller took it back; the INVITE still waits for its final response.
    Cancelled(CallNo),
    /// A re-INVITE came; the owner answers.
    Reinvited(CallNo),
    /// The call's last word was said.
    Over(CallNo),
    /// A request outside any call.
    Request(Wire),
    /// A timer of the owner's.
    Due(u64),
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// INVITE sent or received.
    Early,
    /// 2xx sent or received.
    Confirmed,
    /// Refused, cancelled or released.
    Over,
}

/// How a confirmed call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The node sent BYE.
    Released,
    /// Our BYE was answered so; 0: not at all.
    Bye(u16),
}

/// One call as this peer sees it.
#[derive(Debug)]
pub struct Call {
    /// We called.
    pub outgoing: bool,
    /// How far.
    pub state: State,
    /// The INVITE as sent or received, with the latest credentials.
    pub invite: Wire,
    /// Our tag, the other's.
    pub local_tag: String,
    /// Empty until known.
    pub remote_tag: String,
    remote_target: String,
    local_cseq: u32,
    remote_cseq: u32,
    /// Key of the INVITE that waits for our final response, first or re-INVITE.
    pub waiting: Option<String>,
    /// Our ACK, repeated when the 2xx is.
    ack: Option<(u32, Wire)>,
    /// Our own INVITE or re-INVITE is out.
    pub pending: bool,
    /// The audio direction we last offered.
    pub direction: &'static str,
    /// When and how it ended, if it was confirmed.
    pub end: Option<(Time, End)>,
    /// When the 2xx passed.
    pub confirmed: Option<Time>,
    /// Final statuses of the first INVITE's transactions.
    pub finals: Vec<u16>,
    /// Digest was answered.
    pub proven: bool,
    sdp_version: u32,
}

struct Client {
    wire: Wire,
    purpose: Purpose,
    interval: Duration,
    provisional: bool,
    last: Option<(u16, String)>,
    ack: Option<Wire>,
    cancel: bool,
}

struct Server {
    wire: Wire,
    response: Option<Wire>,
    acked: bool,
    interval: Duration,
    since: Time,
    call: Option<CallNo>,
}

enum Timer {
    Resend(String),
    Expire(String),
    Repeat(String),
    Forget(String),
    Owner(u64),
}

/// The user agent.
pub struct Ua {
    /// Word in everything that must not be told to others.
    pub word: &'static str,
    /// User part.
    pub user: String,
    /// Own address.
    pub address: SocketAddr,
    node: SocketAddr,
    domain: String,
    /// Randomness.
    pub dice: Seeded,
    serial: u64,
    clients: BTreeMap<String, Client>,
    servers: BTreeMap<String, Server>,
    timers: BTreeMap<(Time, u64), Timer>,
    /// Every call there was.
    pub calls: Vec<Call>,
    /// Datagrams to be sent.
    pub outbox: VecDeque<Vec<u8>>,
    /// What happened.
    pub notices: VecDeque<Notice>,
    /// Rules that the node broke.
    pub complaints: Vec<String>,
    /// Answers challenges of REGISTER and INVITE.
    pub secret: Option<Secret>,
    register: (String, u32),
}

impl Ua {
    /// A user agent at `address` that sends everything to `node`.
    pub fn new(word: &'static str, user: &str, address: SocketAddr, node: SocketAddr, domain: &str, seed: u64) -> Ua {
        let mut dice = Seeded::new(seed ^ u64::from(address.port()) << 32 ^ word.bytes().fold(7, |h, b| h * 31 + u64::from(b)));
        let register = (format!("reg-{word}-{}@{}", dice.below(1 << 40), address.ip()), 0);
        Ua {
            word,
            user: user.into(),
            address,
            node,
            domain: domain.into(),
            dice,
            serial: 0,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            timers: BTreeMap::new(),
            calls: Vec::new(),
            outbox: VecDeque::new(),
            notices: VecDeque::new(),
            complaints: Vec::new(),
            secret: None,
            register,
        }
    }

    /// A name nobody else uses.
    fn unique(&mut self, prefix: &str) -> String {
        self.serial += 1;
        format!("{prefix}-{}-{}-{:x}", self.word, self.serial, self.dice.below(1 << 32))
    }

    /// Domain of its address of record.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Our Contact.
    pub fn contact(&self) -> String {
        format!("<sip:{}@{}>", self.user, self.address)
    }

    /// Our description, with everything in it that has to be hidden.
    pub fn sdp(&self, version: u32, direction: &str) -> String {
        let (ip, word) = (self.address.ip(), self.word);
        format!(
            "v=0\r\no={word} 77 {version} IN IP4 {ip}\r\ns={word}\r\nc=IN IP4 {ip}\r\nt=0 0\r\na=tool:{word}\r\n\
             m=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
             a=rtpmap:101 telephone-event/8000\r\na=rtcp:40001 IN IP4 {ip}\r\na={direction}\r\n"
        )
    }

    /// Sets a timer that comes back as [`Notice::Due`].
    pub fn wake(&mut self, at: Time, token: u64) {
        self.timer(at, Timer::Owner(token));
    }

    fn timer(&mut self, at: Time, timer: Timer) {
        self.serial += 1;
        self.timers.insert((at, self.serial), timer);
    }

    /// When [`Ua::fire`] wants to be called.
    pub fn next(&self) -> Time {
        self.timers.keys().next().map_or(Time::NEVER, |(at, _)| *at)
    }

    /// Fires what is due.
    pub fn fire(&mut self, now: Time) {
        while let Some(entry) = self.timers.first_entry().filter(|e| e.key().0 <= now) {
            match entry.remove() {
                Timer::Resend(key) => self.resend(now, key),
                Timer::Expire(key) => self.expire(key),
                Timer::Repeat(key) => self.repeat(now, key),
                Timer::Forget(key) => drop(self.servers.remove(&key)),
                Timer::Owner(token) => self.notices.push_back(Notice::Due(token)),
            }
        }
    }

    /// Forgets what its owner has in mind.
    pub fn die_timers(&mut self) {
        self.timers.retain(|_, timer| !matches!(timer, Timer::Owner(_)));
    }

    /// Forgets everything, as a process that dies.
    pub fn die(&mut self) {
        self.clients.clear();
        self.servers.clear();
        self.timers.clear();
        self.calls.clear();
        self.notices.clear();
    }

    // Client side.

    fn out(&mut self, wire: &Wire) {
        self.outbox.push_back(wire.octets());
    }

    fn via(&mut self) -> String {
        let branch = self.unique("z9hG4bK");
        format!("SIP/2.0/UDP {};branch={branch};rport", self.address)
    }

    fn send(&mut self, now: Time, wire: Wire, purpose: Purpose) {
        self.out(&wire);
        let key = format!("{} {}", wire.branch(), wire.method());
        self.timer(now + T1, Timer::Resend(key.clone()));
        self.timer(now + GIVE_UP, Timer::Expire(key.clone()));
        let client = Client { wire, purpose, interval: T1, provisional: false, last: None, ack: None, cancel: false };
        self.clients.insert(key, client);
    }

    fn resend(&mut self, now: Time, key: String) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let invite = client.wire.method() == "INVITE";
        if client.last.is_some() || (invite && client.provisional) {
            return;
        }
        client.interval = if invite { client.interval * 2 } else { (client.interval * 2).min(Duration::from_secs(4)) };
        let (wire, at) = (client.wire.clone(), now + client.interval);
        self.out(&wire);
        self.timer(at, Timer::Resend(key));
    }

    /// Timer B or F, and the end of a finished transaction's memory.
    fn expire(&mut self, key: String) {
        let Some(client) = self.clients.get(&key) else { return };
        let (waits, purpose) = (client.provisional && client.wire.method() == "INVITE", client.purpose);
        match client.last {
            Some(_) => drop(self.clients.remove(&key)),
            None if waits => {}
            None => {
                self.clients.remove(&key);
                self.unanswered(purpose);
            }
        }
    }

    fn unanswered(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Invite(no) => self.over(no),
            Purpose::Reinvite(no) => self.calls[no].pending = false,
            Purpose::Bye(no) => self.ended(no, Time::ZERO, End::Bye(0)),
            _ => {}
        }
        self.notices.push_back(Notice::Unanswered(purpose));
    }

    /// Calls a number; returns the call.
    pub fn call(&mut self, now: Time, uri: &str) -> CallNo {
        let (tag, call_id) = (self.unique("tag"), self.unique("call"));
        let invite = Wire::request("INVITE", uri)
            .with("Via", self.via())
            .with("Max-Forwards", 70)
            .with("From", format!("\"Caller {}\" <sip:{}@{}>;tag={tag}", self.user, self.user, self.domain))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", format!("{call_id}@{}", self.address.ip()))
            .with("CSeq", "1 INVITE")
            .with("Contact", self.contact())
            .with("User-Agent", format!("{}-phone", self.word))
            .sdp(&self.sdp(1, "sendrecv"));
        self.calls.push(Call::new(true, invite.clone(), tag, String::new()));
        let no = self.calls.len() - 1;
        self.send(now, invite, Purpose::Invite(no));
        no
    }

    /// Registers for so long; 0 removes.
    pub fn register(&mut self, now: Time, expires_s: u32, authorization: Option<String>) {
        self.register.1 += 1;
        let (aor, tag) = (format!("<sip:{}@{}>", self.user, self.domain), self.unique("tag"));
        let mut wire = Wire::request("REGISTER", &format!("sip:{}", self.domain))
            .with("Via", self.via())
            .with("Max-Forwards", 70)
            .with("From", format!("{aor};tag={tag}"))
            .with("To", aor)
            .with("Call-ID", self.register.0.clone())
            .with("CSeq", format!("{} REGISTER", self.register.1))
            .with("Contact", format!("{};expires={expires_s}", self.contact()));
        if let Some(authorization) = authorization {
            wire = wire.with("Authorization", authorization);
        }
        self.send(now, wire, Purpose::Register);
    }

    /// A request within a call.
    fn inside(&mut self, no: CallNo, method: &str, cseq: Option<u32>) -> Wire {
        let via = self.via();
        let contact = self.contact();
        let call = &mut self.calls[no];
        if cseq.is_none() {
            call.local_cseq += 1;
        }
        let (us, them) = if call.outgoing { ("From", "To") } else { ("To", "From") };
        let untagged = |value: &str| value.split(";tag=").next().unwrap_or_default().to_string();
        let from = format!("{};tag={}", untagged(call.invite.get(us)), call.local_tag);
        let to = format!("{};tag={}", untagged(call.invite.get(them)), call.remote_tag);
        let wire = Wire::request(method, &call.remote_target)
            .with("Via", via)
            .with("Max-Forwards", 70)
            .with("From", from)
            .with("To", to)
            .with("Call-ID", call.invite.get("Call-ID"))
            .with("CSeq", format!("{} {method}", cseq.unwrap_or(call.local_cseq)));
        if method == "INVITE" { wire.with("Contact", contact) } else { wire }
    }

    /// Changes the audio direction; `None`: asks the other side for an offer.
    pub fn reinvite(&mut self, now: Time, no: CallNo, direction: Option<&'static str>) {
        let call = &mut self.calls[no];
        call.pending = true;
        call.sdp_version += 1;
        let version = call.sdp_version;
        let mut wire = self.inside(no, "INVITE", None);
        if let Some(direction) = direction {
            self.calls[no].direction = direction;
            wire = wire.sdp(&self.sdp(version, direction));
        }
        self.send(now, wire, Purpose::Reinvite(no));
    }

    /// Asks within a call whether it lives.
    pub fn options(&mut self, now: Time, no: CallNo) {
        let wire = self.inside(no, "OPTIONS", None);
        self.send(now, wire, Purpose::Other);
    }

    /// Hangs up a confirmed call.
    pub fn bye(&mut self, now: Time, no: CallNo) {
        if self.calls[no].state != State::Confirmed {
            return;
        }
        self.calls[no].state = State::Over;
        let wire = self.inside(no, "BYE", None);
        self.send(now, wire, Purpose::Bye(no));
    }

    /// Takes our INVITE back: at once when something was heard, else as soon as it is (RFC 3261 9.1).
    pub fn cancel(&mut self, now: Time, no: CallNo) {
        let ours = |c: &Client| matches!(c.purpose, Purpose::Invite(n) | Purpose::Reinvite(n) if n == no) && c.last.is_none();
        let Some(client) = self.clients.values_mut().find(|c| ours(c)) else { return };
        if !client.provisional {
            client.cancel = true;
            return;
        }
        client.cancel = false;
        let invite = client.wire.clone();
        let mut wire = Wire::request("CANCEL", invite.uri());
        for name in ["Via", "Max-Forwards", "From", "To", "Call-ID"] {
            wire = wire.with(name, invite.get(name));
        }
        self.send(now, wire.with("CSeq", format!("{} CANCEL", invite.cseq())), Purpose::Other);
    }

    // Receiving.

    /// A datagram came.
    pub fn receive(&mut self, now: Time, wire: Wire) {
        match wire.status() {
            Some(status) => self.response(now, status, wire),
            None => self.request(now, wire),
        }
    }

    fn response(&mut self, now: Time, status: u16, wire: Wire) {
        let key = format!("{} {}", wire.branch(), wire.method());
        let Some(client) = self.clients.get_mut(&key) else { return self.stray(status, &wire) };
        let purpose = client.purpose;
        if status < 200 {
            let first = !std::mem::replace(&mut client.provisional, true);
            let cancel = client.cancel;
            if client.last.is_some() {
                return;
            }
            if let (Purpose::Invite(no), true) = (purpose, first || status > 100) {
                self.learn(no, &wire);
                self.notices.push_back(Notice::Answered(purpose, wire));
            }
            if let (true, Purpose::Invite(no) | Purpose::Reinvite(no)) = (cancel, purpose) {
                self.cancel(now, no);
            }
            return;
        }
        if let Some(last) = client.last.clone() {
            return self.again(&key, status, &wire, &last);
        }
        client.last = Some((status, wire.to_tag().to_string()));
        self.timer(now + GIVE_UP, Timer::Expire(key.clone()));
        if wire.method() == "INVITE" && status >= 300 {
            let ack = self.ack_refusal(&key, &wire);
            self.out(&ack);
        }
        self.concluded(now, purpose, status, &wire);
        self.notices.push_back(Notice::Answered(purpose, wire));
    }

    /// A final response once more: acknowledged again; another one breaks a rule.
    fn again(&mut self, key: &str, status: u16, wire: &Wire, last: &(u16, String)) {
        if *last != (status, wire.to_tag().to_string()) {
            self.complaints.push(format!("second final response: {} after {last:?}", wire.start));
        }
        if wire.method() != "INVITE" {
            return;
        }
        match self.clients.get(key).and_then(|c| c.ack.clone()) {
            Some(ack) => self.out(&ack),
            None => self.stray(status, wire),
        }
    }

    fn ack_refusal(&mut self, key: &str, response: &Wire) -> Wire {
        let invite = &self.clients[key].wire;
        let ack = Wire::request("ACK", invite.uri())
            .with("Via", invite.get("Via"))
            .with("Max-Forwards", 70)
            .with("From", invite.get("From"))
            .with("To", response.get("To"))
            .with("Call-ID", invite.get("Call-ID"))
            .with("CSeq", format!("{} ACK", invite.cseq()));
        if let Some(client) = self.clients.get_mut(key) {
            client.ack = Some(ack.clone());
        }
        ack
    }

    /// A response without transaction: a repeated 2xx is acknowledged again.
    fn stray(&mut self, status: u16, wire: &Wire) {
        if wire.method() != "INVITE" || !(200..300).contains(&status) {
            return;
        }
        let fits = |c: &&Call| c.invite.get("Call-ID") == wire.get("Call-ID") && c.remote_tag == wire.to_tag();
        let ack = self.calls.iter().find(fits).and_then(|c| c.ack.clone());
        if let Some((cseq, ack)) = ack
            && cseq == wire.cseq()
        {
            self.out(&ack);
        }
    }

    fn learn(&mut self, no: CallNo, wire: &Wire) {
        let call = &mut self.calls[no];
        if !wire.to_tag().is_empty() {
            call.remote_tag = wire.to_tag().into();
        }
        if !wire.contact().is_empty() {
            call.remote_target = wire.contact().into();
        }
    }

    fn concluded(&mut self, now: Time, purpose: Purpose, status: u16, wire: &Wire) {
        match purpose {
            Purpose::Invite(no) => {
                self.calls[no].finals.push(status);
                if (200..300).contains(&status) {
                    self.learn(no, wire);
                    self.calls[no].state = State::Confirmed;
                    self.calls[no].confirmed = Some(now);
                    self.acknowledge(no, wire);
                } else if !self.prove(now, no, status, wire) {
                    self.over(no);
                }
            }
            Purpose::Reinvite(no) => {
                self.calls[no].pending = false;
                if (200..300).contains(&status) {
                    self.acknowledge(no, wire);
                } else if matches!(status, 408 | 481) {
                    self.bye(now, no);
                }
            }
            Purpose::Bye(no) => self.ended(no, now, End::Bye(status)),
            _ => {}
        }
    }

    fn acknowledge(&mut self, no: CallNo, wire: &Wire) {
        let mut ack = self.inside(no, "ACK", Some(wire.cseq()));
        let call = &self.calls[no];
        let offered = !self.clients.values().any(|c| c.wire.branch() == wire.branch() && !c.wire.body.is_empty());
        if offered && !wire.body.is_empty() {
            let answer = mirror(wire.direction());
            ack = ack.sdp(&self.sdp(call.sdp_version, answer));
        }
        self.calls[no].ack = Some((wire.cseq(), ack.clone()));
        self.out(&ack);
    }

    /// Answers a challenge once.
    fn prove(&mut self, now: Time, no: CallNo, status: u16, wire: &Wire) -> bool {
        let Some(secret) = self.secret.clone().filter(|_| status == 407 && !self.calls[no].proven) else { return false };
        let Some(challenge) = secret.challenge(wire) else { return false };
        let (via, call) = (self.via(), &mut self.calls[no]);
        call.proven = true;
        call.finals.clear();
        call.local_cseq += 1;
        let answer = secret.answer(&challenge, "INVITE", call.invite.uri(), 1);
        let cseq = format!("{} INVITE", call.local_cseq);
        let again = call.invite.clone().replace("CSeq", &cseq).replace("Via", &via).with("Proxy-Authorization", answer);
        call.invite = again.clone();
        self.send(now, again, Purpose::Invite(no));
        true
    }

    fn over(&mut self, no: CallNo) {
        self.calls[no].state = State::Over;
        self.notices.push_back(Notice::Over(no));
    }

    fn ended(&mut self, no: CallNo, now: Time, end: End) {
        self.calls[no].end.get_or_insert((now, end));
        self.over(no);
    }

    // Server side.

    fn request(&mut self, now: Time, wire: Wire) {
        if wire.method() == "ACK" {
            return self.acked(&wire);
        }
        let key = format!("{} {}", wire.branch(), wire.method());
        if let Some(server) = self.servers.get(&key) {
            if let Some(response) = server.response.clone() {
                self.out(&response);
            }
            return;
        }
        let server = Server { wire: wire.clone(), response: None, acked: false, interval: T1, since: now, call: None };
        self.servers.insert(key.clone(), server);
        match (wire.method(), wire.to_tag()) {
            ("CANCEL", _) => self.cancelled(now, &key, &wire),
            ("INVITE", "") => self.invited(key, wire),
            (_, "") => self.notices.push_back(Notice::Request(wire)),
            _ => self.within(now, key, wire),
        }
    }

    fn acked(&mut self, ack: &Wire) {
        let key = format!("{} INVITE", ack.branch());
        if let Some(server) = self.servers.get_mut(&key) {
            server.acked = true;
            return;
        }
        let founded = |s: &&mut Server| {
            s.wire.get("Call-ID") == ack.get("Call-ID") && s.wire.cseq() == ack.cseq() && s.wire.method() == "INVITE"
        };
        let tag_fits = |s: &&mut Server| s.response.as_ref().is_some_and(|r| r.to_tag() == ack.to_tag());
        self.servers.values_mut().filter(founded).filter(tag_fits).for_each(|s| s.acked = true);
    }

    fn cancelled(&mut self, now: Time, key: &str, cancel: &Wire) {
        let invite = format!("{} INVITE", cancel.branch());
        let found = self.servers.get(&invite).map(|s| (s.call, s.response.as_ref().and_then(Wire::status).unwrap_or(0)));
        let tag = self.unique("tag");
        self.respond(now, key, cancel.reply(if found.is_some() { 200 } else { 481 }, &tag));
        if let Some((Some(no), ..200)) = found {
            self.notices.push_back(Notice::Cancelled(no));
        }
    }

    fn invited(&mut self, key: String, wire: Wire) {
        let (tag, remote_tag) = (self.unique("tag"), wire.from_tag().to_string());
        let mut call = Call::new(false, wire.clone(), tag, remote_tag);
        call.remote_target = wire.contact().into();
        call.remote_cseq = wire.cseq();
        call.waiting = Some(key.clone());
        self.calls.push(call);
        let no = self.calls.len() - 1;
        if let Some(server) = self.servers.get_mut(&key) {
            server.call = Some(no);
        }
        self.notices.push_back(Notice::Incoming(no));
    }

    fn within(&mut self, now: Time, key: String, wire: Wire) {
        let fits = |c: &Call| c.invite.get("Call-ID") == wire.get("Call-ID") && c.local_tag == wire.to_tag() && c.remote_tag == wire.from_tag();
        let Some(no) = self.calls.iter().position(fits) else { return self.respond(now, &key, wire.reply(481, "")) };
        if wire.uri() != uri_of(&self.contact()) {
            self.complaints.push(format!("{} is not for {}", wire.start, self.contact()));
        }
        let state = self.calls[no].state;
        let released = self.calls[no].end.is_some();
        if wire.method() == "BYE" && state != State::Early && !released {
            self.respond(now, &key, wire.reply(200, ""));
            return self.ended(no, now, End::Released);
        }
        if state != State::Confirmed {
            return self.respond(now, &key, wire.reply(481, ""));
        }
        if wire.cseq() <= self.calls[no].remote_cseq {
            return self.respond(now, &key, wire.reply(500, ""));
        }
        self.calls[no].remote_cseq = wire.cseq();
        match wire.method() {
            "INVITE" if self.calls[no].pending || self.calls[no].waiting.is_some() => self.respond(now, &key, wire.reply(491, "")),
            "INVITE" => {
                self.calls[no].waiting = Some(key.clone());
                if let Some(server) = self.servers.get_mut(&key) {
                    server.call = Some(no);
                }
                self.notices.push_back(Notice::Reinvited(no));
            }
            "OPTIONS" => self.respond(now, &key, wire.reply(200, "")),
            _ => self.respond(now, &key, wire.reply(405, "").with("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS")),
        }
    }

    /// Sends a response; a final one to an INVITE is repeated until its ACK comes.
    pub fn respond(&mut self, now: Time, key: &str, response: Wire) {
        self.out(&response);
        let status = response.status().unwrap_or(500);
        let Some(server) = self.servers.get_mut(key) else { return };
        let invite = server.wire.method() == "INVITE";
        (server.response, server.since) = (Some(response), now);
        if status >= 200 && invite {
            self.timer(now + T1, Timer::Repeat(key.into()));
        }
        if status >= 200 {
            self.timer(now + GIVE_UP + T1, Timer::Forget(key.into()));
        }
    }

    /// Answers a request outside any call.
    pub fn answer_request(&mut self, now: Time, wire: &Wire, response: Wire) {
        self.respond(now, &format!("{} {}", wire.branch(), wire.method()), response);
    }

    fn repeat(&mut self, now: Time, key: String) {
        let Some(server) = self.servers.get_mut(&key) else { return };
        let Some(response) = server.response.clone().filter(|_| !server.acked) else { return };
        let call = server.call;
        if now.since(server.since) >= GIVE_UP {
            // RFC 3261 13.3.1.4: a 2xx that nobody acknowledges is followed by BYE.
            if let (Some(no), Some(200)) = (call, response.status()) {
                self.bye(now, no);
            }
            return;
        }
        server.interval = (server.interval * 2).min(Duration::from_secs(4));
        let at = now + server.interval;
        self.out(&response);
        self.timer(at, Timer::Repeat(key));
    }

    /// The INVITE that waits for our response.
    pub fn waiting(&self, no: CallNo) -> Option<(String, Wire)> {
        let key = self.calls[no].waiting.clone()?;
        Some((key.clone(), self.servers.get(&key)?.wire.clone()))
    }

    /// Provisional response to the waiting INVITE.
    pub fn progress(&mut self, now: Time, no: CallNo, status: u16, early_media: bool) {
        let Some((key, invite)) = self.waiting(no) else { return };
        let reply = invite.reply(status, &self.calls[no].local_tag).with("Contact", self.contact());
        let reply = if early_media { reply.sdp(&self.sdp(1, "sendrecv")) } else { reply };
        self.respond(now, &key, reply);
    }

    /// 200 to the waiting INVITE, first or re-INVITE.
    pub fn accept(&mut self, now: Time, no: CallNo) {
        let Some((key, invite)) = self.waiting(no) else { return };
        let call = &mut self.calls[no];
        call.waiting = None;
        if call.state == State::Early {
            call.state = State::Confirmed;
            call.confirmed = Some(now);
        }
        let version = call.sdp_version;
        let direction = mirror(invite.direction());
        let reply = invite.reply(200, &self.calls[no].local_tag).with("Contact", self.contact());
        self.respond(now, &key, reply.sdp(&self.sdp(version, direction)));
    }

    /// Refuses the waiting INVITE; the first one ends the call.
    pub fn reject(&mut self, now: Time, no: CallNo, status: u16) {
        let Some((key, invite)) = self.waiting(no) else { return };
        self.calls[no].waiting = None;
        let reply = invite.reply(status, &self.calls[no].local_tag);
        // The agent in Warning names its host (RFC 3261 20.43).
        let reply = reply.with("Warning", format!("399 {} \"not now, thank you\"", self.address));
        let moved = (300..400).contains(&status);
        let reply = if moved { reply.with("Contact", format!("<sip:elsewhere@{}>", self.address)) } else { reply };
        self.respond(now, &key, reply);
        if self.calls[no].state == State::Early {
            self.over(no);
        }
    }

    /// A second answer to the same INVITE, of another branch of a fork behind us: its dialog is a call of its own.
    pub fn fork(&mut self, now: Time, no: CallNo) {
        let invite = self.calls[no].invite.clone();
        let (tag, remote_tag) = (self.unique("tag"), invite.from_tag().to_string());
        let reply = invite.reply(200, &tag).with("Contact", self.contact()).sdp(&self.sdp(1, "sendrecv"));
        let mut call = Call::new(false, invite.clone(), tag, remote_tag);
        call.remote_target = invite.contact().into();
        call.remote_cseq = invite.cseq();
        (call.state, call.confirmed) = (State::Confirmed, Some(now));
        self.calls.push(call);
        let key = format!("{} INVITE fork", invite.branch());
        let server = Server { wire: invite, response: None, acked: false, interval: T1, since: now, call: Some(self.calls.len() - 1) };
        self.servers.insert(key.clone(), server);
        self.respond(now, &key, reply);
    }

    /// Calls that are not over.
    pub fn alive(&self) -> impl Iterator<Item = CallNo> {
        (0..self.calls.len()).filter(|no| self.calls[*no].state != State::Over)
    }
}

impl Call {
    fn new(outgoing: bool, invite: Wire, local_tag: String, remote_tag: String) -> Call {
        Call {
            outgoing,
            state: State::Early,
            remote_target: invite.uri().into(),
            local_cseq: if outgoing { invite.cseq() } else { 0 },
            invite,
            local_tag,
            remote_tag,
            remote_cseq: 0,
            waiting: None,
            ack: None,
            pending: false,
            direction: "sendrecv",
            end: None,
            confirmed: None,
            finals: Vec::new(),
            proven: false,
            sdp_version: 1,
        }
    }
}

/// The direction that answers an offered one (RFC 3264 6.1).
pub fn mirror(offered: &str) -> &'static str {
    match offered {
        "sendonly" => "recvonly",
        "recvonly" => "sendonly",
        "inactive" => "inactive",
        _ => "sendrecv",
    }
}
