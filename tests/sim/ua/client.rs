//! Requests of the user agent: sent, repeated, answered, acknowledged.

use super::{Call, CallNo, Client, End, GIVE_UP, Notice, Purpose, State, T1, Timer, Ua, mirror};
use crate::wire::Wire;
use ringfort_base::Time;
use std::time::Duration;

impl Ua {
    pub(super) fn out(&mut self, wire: &Wire) {
        self.outbox.push_back(wire.octets());
    }

    pub(super) fn via(&mut self) -> String {
        let branch = self.unique("z9hG4bK");
        format!("SIP/2.0/{} {};branch={branch};rport", if self.tcp { "TCP" } else { "UDP" }, self.address)
    }

    pub(super) fn send(&mut self, now: Time, wire: Wire, purpose: Purpose) {
        self.out(&wire);
        let key = format!("{} {}", wire.branch(), wire.method());
        self.timer(now + T1, Timer::Resend(key.clone()));
        self.timer(now + GIVE_UP, Timer::Expire(key.clone()));
        let client = Client { wire, purpose, interval: T1, provisional: false, last: None, ack: None, cancel: false };
        self.clients.insert(key, client);
    }

    pub(super) fn resend(&mut self, now: Time, key: String) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let invite = client.wire.method() == "INVITE";
        // A connection loses nothing (RFC 3261 17.1.1.1).
        if self.tcp || client.last.is_some() || (invite && client.provisional) {
            return;
        }
        client.interval = if invite { client.interval * 2 } else { (client.interval * 2).min(Duration::from_secs(4)) };
        let (wire, at) = (client.wire.clone(), now + client.interval);
        self.out(&wire);
        self.timer(at, Timer::Resend(key));
    }

    /// Timer B or F, and the end of a finished transaction's memory.
    pub(super) fn expire(&mut self, key: String) {
        let Some(client) = self.clients.get(&key) else { return };
        let (waits, purpose) = (client.provisional && client.wire.method() == "INVITE", client.purpose);
        match client.last {
            Some(_) => drop(self.clients.remove(&key)),
            None if waits => {}
            None => {
                self.ignored.push(key.rsplit(' ').next().unwrap_or_default().into());
                self.clients.remove(&key);
                self.unanswered(purpose);
            }
        }
    }

    pub(super) fn unanswered(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::Invite(no) => self.over(no),
            Purpose::Reinvite(no) | Purpose::Update(no) => self.calls[no].pending = false,
            Purpose::Bye(no) => self.ended(no, Time::ZERO, End::Bye(0)),
            _ => {}
        }
        self.notices.push_back(Notice::Unanswered(purpose));
    }

    /// Calls a number; returns the call.
    pub fn call(&mut self, now: Time, uri: &str) -> CallNo {
        self.call_instead(now, uri, None)
    }

    /// The same with one more header field, which names another call: Replaces takes its place (RFC 3891), Join wants to talk along
    /// (RFC 3911).
    pub fn call_instead(&mut self, now: Time, uri: &str, other: Option<(&str, String)>) -> CallNo {
        let (tag, call_id) = (self.unique("tag"), self.unique("call"));
        let invite = Wire::request("INVITE", uri)
            .with("Via", self.via())
            .with("Max-Forwards", 70)
            .with("From", format!("\"Caller {}\" <sip:{}@{}>;tag={tag}", self.user, self.user, self.domain))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", format!("{call_id}@{}", self.address.ip()))
            .with("CSeq", "1 INVITE")
            .with("Contact", self.contact())
            .with("User-Agent", format!("{}-phone", self.word));
        let invite = self.extensions(invite);
        let invite = other.into_iter().fold(invite, |invite, (name, value)| invite.with(name, value));
        let empty = self.dice.chance(self.habits.empty);
        let invite = if empty { invite } else { invite.sdp(&self.sdp(1, "sendrecv")) };
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
            .with("User-Agent", format!("{}-phone", self.word))
            .with("Contact", format!("<{}>;expires={expires_s}{}", self.place(), self.device()));
        if self.instance.is_some() {
            wire = wire.with("Supported", if self.tcp { "gruu, outbound, path" } else { "gruu" });
        }
        if let Some(authorization) = authorization {
            wire = wire.with("Authorization", authorization);
        }
        self.send(now, wire, Purpose::Register);
    }

    /// Contact parameters that tell which device registers.
    fn device(&self) -> String {
        let reg_id = if self.tcp { ";reg-id=1" } else { "" };
        self.instance.as_ref().map_or(String::new(), |instance| format!(";+sip.instance=\"<{instance}>\"{reg_id}"))
    }

    /// A request within a call.
    pub(super) fn inside(&mut self, no: CallNo, method: &str, cseq: Option<u32>) -> Wire {
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
        let mut wire = self.inside(no, "INVITE", None).with("Allow", self.allow());
        wire = self.refreshing(no, wire);
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

    /// A datagram came.
    pub fn receive(&mut self, now: Time, wire: Wire) {
        match wire.status() {
            Some(status) => self.response(now, status, wire),
            None => self.request(now, wire),
        }
    }

    pub(super) fn response(&mut self, now: Time, status: u16, wire: Wire) {
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
                self.prack(now, no, &wire);
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
        if let Some(fault) = self.clients.get(&key).and_then(|client| misfit(&client.wire, &wire)) {
            self.complaints.push(fault);
        }
        self.concluded(now, purpose, status, &wire);
        self.notices.push_back(Notice::Answered(purpose, wire));
    }

    /// A final response once more: acknowledged again; another one breaks a rule.
    pub(super) fn again(&mut self, key: &str, status: u16, wire: &Wire, last: &(u16, String)) {
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

    pub(super) fn ack_refusal(&mut self, key: &str, response: &Wire) -> Wire {
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
    pub(super) fn stray(&mut self, status: u16, wire: &Wire) {
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

    pub(super) fn learn(&mut self, no: CallNo, wire: &Wire) {
        let call = &mut self.calls[no];
        if !wire.to_tag().is_empty() {
            call.remote_tag = wire.to_tag().into();
        }
        if !wire.contact().is_empty() {
            call.remote_target = wire.contact().into();
        }
    }

    pub(super) fn concluded(&mut self, now: Time, purpose: Purpose, status: u16, wire: &Wire) {
        match purpose {
            Purpose::Invite(no) => {
                self.calls[no].finals.push(status);
                if (200..300).contains(&status) {
                    self.learn(no, wire);
                    self.calls[no].state = State::Confirmed;
                    self.calls[no].confirmed = Some(now);
                    self.acknowledge(no, wire);
                    self.session_granted(now, no, wire);
                } else if !self.prove(now, no, status, wire) && !self.lengthened(now, no, status, wire) {
                    self.over(no);
                }
            }
            Purpose::Reinvite(no) => {
                self.calls[no].pending = false;
                if (200..300).contains(&status) {
                    self.acknowledge(no, wire);
                    self.session_granted(now, no, wire);
                } else if matches!(status, 408 | 481) {
                    self.bye(now, no);
                }
            }
            Purpose::Update(no) => {
                self.calls[no].pending = false;
                match status {
                    200..=299 => self.session_granted(now, no, wire),
                    408 | 481 => self.bye(now, no),
                    _ => {}
                }
            }
            Purpose::Bye(no) => self.ended(no, now, End::Bye(status)),
            _ => {}
        }
    }

    pub(super) fn acknowledge(&mut self, no: CallNo, wire: &Wire) {
        let mut ack = self.inside(no, "ACK", Some(wire.cseq()));
        let call = &self.calls[no];
        let first = wire.cseq() == call.invite.cseq() && call.outgoing;
        let early = first && call.answered.contains(wire.to_tag());
        let offered = !early && !self.clients.values().any(|c| c.wire.branch() == wire.branch() && !c.wire.body.is_empty());
        if offered && !wire.body.is_empty() {
            let answer = mirror(wire.direction());
            ack = ack.sdp(&self.sdp(call.sdp_version, answer));
        }
        self.calls[no].ack = Some((wire.cseq(), ack.clone()));
        self.out(&ack);
    }

    /// Answers a challenge once.
    pub(super) fn prove(&mut self, now: Time, no: CallNo, status: u16, wire: &Wire) -> bool {
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

    pub(super) fn over(&mut self, no: CallNo) {
        self.calls[no].state = State::Over;
    }

    pub(super) fn ended(&mut self, no: CallNo, now: Time, end: End) {
        self.calls[no].end.get_or_insert((now, end));
        self.over(no);
    }
}

/// What is wrong with an answer to our offer (RFC 3264 6, 6.1).
fn misfit(offer: &Wire, answer: &Wire) -> Option<String> {
    if offer.body.is_empty() || answer.body.is_empty() || !answer.body.starts_with("v=0") {
        return None;
    }
    let streams = |wire: &Wire| wire.body.lines().filter(|line| line.starts_with("m=")).count();
    let (offered, answered) = (offer.direction(), answer.direction());
    let fits = match offered {
        "sendonly" => matches!(answered, "recvonly" | "inactive"),
        "recvonly" => matches!(answered, "sendonly" | "inactive"),
        "inactive" => answered == "inactive",
        _ => true,
    };
    (!fits || streams(offer) != streams(answer)).then(|| format!("{} answers {offered} with {answered}", answer.start))
}
