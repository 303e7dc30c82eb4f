//! Requests within a call that are no INVITE: UPDATE, INFO, MESSAGE, REFER and its NOTIFYs.

use super::{CallNo, Notice, Purpose, State, Ua, mirror};
use crate::wire::Wire;
use ringfort_base::Time;

impl Ua {
    /// Changes the audio direction, or only refreshes the session, by UPDATE (RFC 3311).
    pub fn update(&mut self, now: Time, no: CallNo, direction: Option<&'static str>) {
        let mut wire = self.inside(no, "UPDATE", None).with("Contact", self.contact());
        wire = self.refreshing(no, wire);
        if let Some(direction) = direction {
            let call = &mut self.calls[no];
            (call.pending, call.direction) = (true, direction);
            call.sdp_version += 1;
            let version = call.sdp_version;
            wire = wire.sdp(&self.sdp(version, direction));
        }
        self.send(now, wire, Purpose::Update(no));
    }

    /// Says something within a call that changes nothing: a key that was pressed, or a line of text.
    pub fn tell(&mut self, now: Time, no: CallNo, method: &str) {
        let mut wire = self.inside(no, method, None);
        let (kind, body) = match method {
            "INFO" => ("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"),
            _ => ("text/plain", "hello"),
        };
        wire.body = body.into();
        self.send(now, wire.with("Content-Type", kind), Purpose::Other);
    }

    /// Sends the other party elsewhere; with `instead` to whoever that other call of ours is with (RFC 5589).
    pub fn refer(&mut self, now: Time, no: CallNo, uri: &str, instead: Option<CallNo>) {
        let target = match instead.map(|other| self.replaces(other)) {
            Some(value) => {
                let escaped = value.replace('@', "%40").replace(';', "%3B").replace('=', "%3D");
                format!("<{uri}?Replaces={escaped}>")
            }
            None => format!("<{uri}>"),
        };
        let wire = self.inside(no, "REFER", None).with("Contact", self.contact()).with("Refer-To", target);
        self.send(now, wire, Purpose::Other);
    }

    /// Replaces of one of our calls (RFC 3891): the node reads its own tag as `to-tag`.
    pub fn replaces(&self, no: CallNo) -> String {
        let call = &self.calls[no];
        format!("{};to-tag={};from-tag={}", call.invite.get("Call-ID"), call.remote_tag, call.local_tag)
    }

    /// Tells how a transfer goes that the node asked us for (RFC 3515 2.4.4).
    pub fn report(&mut self, now: Time, no: CallNo, refer: &Wire, status: u16) {
        let state = if status < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        let mut wire = self
            .inside(no, "NOTIFY", None)
            .with("Contact", self.contact())
            .with("Event", format!("refer;id={}", refer.cseq()))
            .with("Subscription-State", state)
            .with("Content-Type", "message/sipfrag;version=2.0");
        wire.body = format!("SIP/2.0 {status} Because\r\n");
        self.send(now, wire, Purpose::Other);
    }

    /// A request of the node within a confirmed call that is neither INVITE nor BYE.
    pub(super) fn other_within(&mut self, now: Time, no: CallNo, key: &str, wire: &Wire) {
        let taken = self.habits.update;
        let reply = match wire.method() {
            "OPTIONS" => wire.reply(200, ""),
            "UPDATE" if taken => return self.updated(now, no, key, wire),
            "NOTIFY" => {
                self.notified(no, wire);
                wire.reply(200, "")
            }
            "REFER" if taken => {
                let status = if self.dice.chance(200) { 603 } else { 202 };
                if status == 202 {
                    self.notices.push_back(Notice::Referred(no, wire.clone()));
                }
                wire.reply(status, "").with("Contact", self.contact())
            }
            "INFO" | "MESSAGE" if taken => wire.reply(if self.dice.chance(100) { 415 } else { 200 }, ""),
            _ => wire.reply(405, "").with("Allow", self.allow()),
        };
        self.respond(now, key, reply);
    }

    fn notified(&mut self, no: CallNo, wire: &Wire) {
        let status = wire.body.strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3)?.parse::<u16>().ok());
        if let Some(status) = status.filter(|_| wire.get("Subscription-State").starts_with("terminated")) {
            self.notices.push_back(Notice::Transferred(no, status));
        }
    }

    /// UPDATE of the node, also before the call is answered.
    pub(super) fn updated(&mut self, now: Time, no: CallNo, key: &str, wire: &Wire) {
        let call = &self.calls[no];
        let early = call.state == State::Early;
        let busy = call.pending || (!early && call.waiting.is_some()) || call.reliable.is_some();
        if busy && !wire.body.is_empty() {
            return self.respond(now, key, wire.reply(491, ""));
        }
        let reply = wire.reply(200, "").with("Contact", self.contact());
        let reply = if early { reply } else { self.grant_session(now, no, wire, reply) };
        let version = self.calls[no].sdp_version;
        let reply = if wire.body.is_empty() { reply } else { reply.sdp(&self.sdp(version, mirror(wire.direction()))) };
        self.respond(now, key, reply);
    }
}
