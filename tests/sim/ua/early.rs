//! Reliable provisional responses (RFC 3262), either side.

use super::{Call, CallNo, GIVE_UP, Purpose, Reliable, State, T1, Timer, Ua, mirror};
use crate::wire::Wire;
use ringfort_base::Time;

fn lists(wire: &Wire, name: &str, token: &str) -> bool {
    wire.all(name).iter().flat_map(|value| value.split(',')).any(|item| item.trim() == token)
}

impl Ua {
    /// A provisional response of the node that wants a PRACK gets it, once; the PRACK carries the answer to an offer.
    pub(super) fn prack(&mut self, now: Time, no: CallNo, wire: &Wire) {
        let rseq = wire.get("RSeq").parse::<u32>().ok();
        let (Some(rseq), true) = (rseq, lists(wire, "Require", "100rel")) else { return };
        let invite = self.calls[no].invite.clone();
        if !lists(&invite, "Supported", "100rel") {
            self.complaints.push(format!("{} is reliable, which nobody asked for", wire.start));
        }
        let tag = wire.to_tag().to_string();
        let last = self.calls[no].reliable_seen.get(&tag).copied();
        if last.is_some_and(|last| rseq != last + 1) {
            return;
        }
        self.calls[no].reliable_seen.insert(tag.clone(), rseq);
        let rack = format!("{rseq} {} INVITE", wire.cseq());
        let prack = self.inside(no, "PRACK", None).with("RAck", rack);
        let offered = invite.body.is_empty() && !wire.body.is_empty() && self.calls[no].answered.insert(tag);
        let prack = if offered { prack.sdp(&self.sdp(1, mirror(wire.direction()))) } else { prack };
        self.send(now, prack, Purpose::Other);
    }

    /// Whether a provisional response to this INVITE is to be reliable.
    pub(super) fn rings_reliably(&mut self, invite: &Wire) -> bool {
        let may = lists(invite, "Supported", "100rel") && self.dice.chance(self.habits.reliable);
        may || lists(invite, "Require", "100rel")
    }

    /// Sends a provisional response reliably, until its PRACK comes.
    pub(super) fn ring_reliably(&mut self, now: Time, no: CallNo, key: &str, response: Wire) {
        let rseq = 1 + self.dice.below(1 << 20) as u32;
        let response = response.with("Require", "100rel").with("RSeq", rseq);
        let offers = self.calls[no].invite.body.is_empty() && !response.body.is_empty();
        self.calls[no].reliable = Some(Reliable { response: response.clone(), rseq, interval: T1, since: now, offers });
        self.timer(now + T1, Timer::Reliable(no, rseq));
        self.respond(now, key, response);
    }

    pub(super) fn ring_again(&mut self, now: Time, no: CallNo, rseq: u32) {
        let Some(call) = self.calls.get_mut(no).filter(|call| call.state == State::Early) else { return };
        let Some(reliable) = call.reliable.as_mut().filter(|reliable| reliable.rseq == rseq) else { return };
        if now.since(reliable.since) >= GIVE_UP {
            return self.reject(now, no, 504);
        }
        reliable.interval *= 2;
        let (response, at) = (reliable.response.clone(), now + reliable.interval);
        self.out(&response);
        self.timer(at, Timer::Reliable(no, rseq));
    }

    /// A PRACK: it names our response and carries the answer that it owes.
    pub(super) fn pracked(&mut self, now: Time, no: CallNo, key: &str, wire: &Wire) {
        let call = &mut self.calls[no];
        let cseq = call.invite.cseq();
        let named = |reliable: &mut Reliable| wire.get("RAck") == format!("{} {cseq} INVITE", reliable.rseq);
        let Some(reliable) = call.reliable.take_if(named) else { return self.respond(now, key, wire.reply(481, "")) };
        if reliable.offers && wire.body.is_empty() {
            self.complaints.push(format!("{} without the answer to our offer", wire.start));
        }
        // The 2xx need not say it again.
        if reliable.offers || (!reliable.response.body.is_empty() && self.dice.chance(500)) {
            let tag = call.local_tag.clone();
            call.answered.insert(tag);
        }
        let reply = wire.reply(200, "");
        let reply = match wire.body.is_empty() || reliable.offers {
            true => reply,
            false => reply.sdp(&self.sdp(1, mirror(wire.direction()))),
        };
        self.respond(now, key, reply);
    }

    /// RFC 3262 3: no 2xx before the PRACK of a response that carries a description.
    pub fn waits_for_prack(&self, no: CallNo) -> bool {
        self.calls.get(no).is_some_and(|call| call.reliable.is_some())
    }

    /// A provisional response of another early dialog to the same INVITE: a proxy behind us forks. Its tag.
    pub(super) fn ring_elsewhere(&mut self, now: Time, no: CallNo, key: &str, invite: &Wire) {
        let tag = self.unique("tag");
        let reply = invite.reply(180, &tag).with("Contact", self.contact());
        self.respond(now, key, reply);
        // The other branch may be the one that answers.
        if self.dice.chance(500) {
            self.calls[no].local_tag = tag;
        }
    }
}

impl Call {
    /// Whether the node knows our description, or we its answer, before the 2xx.
    pub(super) fn agreed_early(&self) -> bool {
        self.answered.contains(&self.local_tag)
    }
}
