//! Requests to the user agent: told apart, answered, repeated until acknowledged.

use super::{Call, CallNo, End, GIVE_UP, Notice, Server, State, T1, Timer, Ua, mirror};
use crate::wire::Wire;
use ringfort_base::Time;
use std::time::Duration;

impl Ua {
    pub(super) fn request(&mut self, now: Time, wire: Wire) {
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

    pub(super) fn acked(&mut self, ack: &Wire) {
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

    pub(super) fn cancelled(&mut self, now: Time, key: &str, cancel: &Wire) {
        let invite = format!("{} INVITE", cancel.branch());
        let found = self.servers.get(&invite).map(|s| (s.call, s.response.as_ref().and_then(Wire::status).unwrap_or(0)));
        let tag = self.unique("tag");
        self.respond(now, key, cancel.reply(if found.is_some() { 200 } else { 481 }, &tag));
        if let Some((Some(no), ..200)) = found {
            self.notices.push_back(Notice::Cancelled(no));
        }
    }

    pub(super) fn invited(&mut self, key: String, wire: Wire) {
        let (tag, remote_tag) = (self.unique("tag"), wire.tag_of_from().to_string());
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

    pub(super) fn within(&mut self, now: Time, key: String, wire: Wire) {
        if let Some(status) = self.told(&wire) {
            return self.respond(now, &key, wire.reply(status, ""));
        }
        let fits = |c: &Call| {
            c.invite.get("Call-ID") == wire.get("Call-ID") && c.local_tag == wire.to_tag() && c.remote_tag == wire.tag_of_from()
        };
        let Some(no) = self.calls.iter().position(fits) else { return self.respond(now, &key, wire.reply(481, "")) };
        if wire.uri() != self.place() {
            self.complaints.push(format!("{} is not for {}", wire.start, self.place()));
        }
        let state = self.calls[no].state;
        let released = self.calls[no].end.is_some();
        self.calls[no].released |= wire.method() == "BYE";
        if wire.method() == "BYE" && state != State::Early && !released {
            self.respond(now, &key, wire.reply(200, ""));
            return self.ended(no, now, End::Released);
        }
        let early = state == State::Early && matches!(wire.method(), "PRACK" | "UPDATE" | "OPTIONS" | "NOTIFY");
        if state != State::Confirmed && !early {
            return self.respond(now, &key, wire.reply(481, ""));
        }
        if wire.cseq() <= self.calls[no].remote_cseq {
            return self.respond(now, &key, wire.reply(500, ""));
        }
        self.calls[no].remote_cseq = wire.cseq();
        match wire.method() {
            "INVITE" if self.calls[no].pending || self.calls[no].waiting.is_some() => {
                self.respond(now, &key, wire.reply(491, ""))
            }
            "INVITE" => {
                self.calls[no].waiting = Some(key.clone());
                if let Some(server) = self.servers.get_mut(&key) {
                    server.call = Some(no);
                }
                self.notices.push_back(Notice::Reinvited(no));
            }
            "PRACK" => self.pracked(now, no, &key, &wire),
            _ => self.other_within(now, no, &key, &wire),
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

    pub(super) fn repeat(&mut self, now: Time, key: String) {
        let Some(server) = self.servers.get_mut(&key) else { return };
        let Some(response) = server.response.clone().filter(|_| !server.acked) else { return };
        let call = server.call;
        if now.since(server.since) >= GIVE_UP {
            // RFC 3261 13.3.1.4: a 2xx that nobody acknowledges is followed by BYE.
            if let (Some(no), Some(200)) = (call, response.status()) {
                self.unacknowledged += 1;
                self.bye(now, no);
            }
            return;
        }
        server.interval = (server.interval * 2).min(Duration::from_secs(4));
        let at = now + server.interval;
        if self.tcp && response.status() != Some(200) {
            return;
        }
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
        let reply = invite.reply(status, &self.calls[no].local_tag).with("Contact", self.contact()).with("Allow", self.allow());
        let reply = if early_media { reply.sdp(&self.sdp(1, "sendrecv")) } else { reply };
        // Offers stand in reliable responses only (RFC 6337 2.2).
        let offers = invite.body.is_empty() && early_media;
        match self.rings_reliably(&invite) {
            true => self.ring_reliably(now, no, &key, reply),
            false if offers => {}
            false => {
                self.respond(now, &key, reply);
                if self.dice.chance(self.habits.branches) {
                    self.ring_elsewhere(now, no, &key, &invite);
                }
            }
        }
    }

    /// 200 to the waiting INVITE, first or re-INVITE.
    pub fn accept(&mut self, now: Time, no: CallNo) {
        let Some((key, invite)) = self.waiting(no) else { return };
        let call = &mut self.calls[no];
        call.waiting = None;
        let agreed = call.state == State::Early && call.agreed_early();
        if call.state == State::Early {
            call.state = State::Confirmed;
            call.confirmed = Some(now);
        }
        let version = call.sdp_version;
        let direction = mirror(invite.direction());
        let reply = invite.reply(200, &self.calls[no].local_tag).with("Contact", self.contact()).with("Allow", self.allow());
        let reply = self.grant_session(now, no, &invite, reply);
        // What was agreed by a reliable response and its PRACK is not said again.
        let reply = if agreed { reply } else { reply.sdp(&self.sdp(version, direction)) };
        self.respond(now, &key, reply);
    }

    /// Refuses the waiting INVITE; the first one ends the call.
    pub fn reject(&mut self, now: Time, no: CallNo, status: u16) {
        let Some((_, invite)) = self.waiting(no) else { return };
        let reply = invite.reply(status, &self.calls[no].local_tag);
        // The agent in Warning names its host (RFC 3261 20.43).
        let reply = reply.with("Warning", format!("399 {} \"not now, thank you\"", self.address));
        let moved = (300..400).contains(&status);
        let user =
            if moved && self.dice.chance(500) { ["103", "0555444", "900"][self.dice.below(3) as usize] } else { "elsewhere" };
        let reply = if moved { reply.with("Contact", format!("<sip:{user}@{}>", self.address)) } else { reply };
        self.refuse(now, no, reply);
    }

    /// This final response to the waiting INVITE; to the first one it ends the call.
    pub fn refuse(&mut self, now: Time, no: CallNo, reply: Wire) {
        let Some(key) = self.calls[no].waiting.take() else { return };
        self.respond(now, &key, reply);
        if self.calls[no].state == State::Early {
            self.calls[no].reliable = None;
            self.over(no);
        }
    }

    /// A second answer to the same INVITE, of another branch of a fork behind us: its dialog is a call of its own.
    pub fn fork(&mut self, now: Time, no: CallNo) {
        let invite = self.calls[no].invite.clone();
        let (tag, remote_tag) = (self.unique("tag"), invite.tag_of_from().to_string());
        let reply = invite.reply(200, &tag).with("Contact", self.contact()).sdp(&self.sdp(1, "sendrecv"));
        let mut call = Call::new(false, invite.clone(), tag, remote_tag);
        call.remote_target = invite.contact().into();
        call.remote_cseq = invite.cseq();
        (call.state, call.confirmed) = (State::Confirmed, Some(now));
        self.calls.push(call);
        let key = format!("{} INVITE fork", invite.branch());
        let server =
            Server { wire: invite, response: None, acked: false, interval: T1, since: now, call: Some(self.calls.len() - 1) };
        self.servers.insert(key.clone(), server);
        self.respond(now, &key, reply);
    }
}
