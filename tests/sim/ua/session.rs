//! Session timers (RFC 4028), either role.

use super::{CallNo, Notice, State, Ua};
use crate::wire::{Wire, param};
use ringfort_base::Time;
use std::time::Duration;

/// The session of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Seconds.
    pub interval_s: u64,
    /// We refresh.
    pub ours: bool,
    /// When it was agreed last.
    pub since: Time,
}

impl Session {
    /// When its owner acts: it refreshes, or gives the call up.
    pub fn due(&self) -> Time {
        let s = if self.ours { self.interval_s / 2 } else { self.interval_s };
        self.since + Duration::from_secs(s)
    }
}

fn told(wire: &Wire) -> Option<(u64, Option<bool>)> {
    let value = wire.get("Session-Expires");
    let seconds = value.split(';').next()?.trim().parse().ok()?;
    Some((seconds, param(value, "refresher").map(|who| who == "uac")))
}

impl Ua {
    /// What our first INVITE says of sessions and of reliable responses.
    pub(super) fn extensions(&mut self, wire: Wire) -> Wire {
        let (reliable, timer) = (self.dice.chance(self.habits.reliable), self.dice.chance(self.habits.timer));
        let names = [("100rel", reliable), ("timer", timer), ("replaces", true)];
        let list: Vec<&str> = names.iter().filter(|(_, used)| *used).map(|(name, _)| *name).collect();
        let wire = wire.with("Supported", list.join(", ")).with("Allow", self.allow());
        match self.dice.below(3) {
            _ if !timer => wire,
            0 => wire,
            1 => wire.with("Session-Expires", self.habits.session_s + self.dice.below(60)),
            _ => wire.with("Session-Expires", format!("{};refresher=uac", self.habits.session_s * 2 / 3 + self.dice.below(100))),
        }
    }

    /// Methods that we take.
    pub(super) fn allow(&self) -> &'static str {
        match self.habits.update {
            true => "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, MESSAGE",
            false => "INVITE, ACK, BYE, CANCEL, OPTIONS",
        }
    }

    /// A request of ours that refreshes the session says so.
    pub(super) fn refreshing(&self, no: CallNo, wire: Wire) -> Wire {
        let Some(session) = self.calls[no].session else { return wire };
        let who = if session.ours { "uac" } else { "uas" };
        wire.with("Supported", "timer").with("Session-Expires", format!("{};refresher={who}", session.interval_s))
    }

    /// A 2xx of the node: who refreshes from now on. Without Session-Expires nobody does.
    pub(super) fn session_granted(&mut self, now: Time, no: CallNo, wire: &Wire) {
        let found = told(wire).map(|(interval_s, by_uac)| Session { interval_s, ours: by_uac.unwrap_or(true), since: now });
        self.session_set(no, found);
    }

    /// What our 2xx says to a request of the node, which may ask for a session.
    pub(super) fn grant_session(&mut self, now: Time, no: CallNo, request: &Wire, reply: Wire) -> Wire {
        let Some((interval_s, by_uac)) = told(request).filter(|_| self.habits.timer > 0) else {
            self.session_set(no, None);
            return reply;
        };
        let node_can = request.get("Supported").contains("timer");
        let by_uac = by_uac.unwrap_or(node_can && self.dice.chance(500));
        self.session_set(no, Some(Session { interval_s, ours: !by_uac, since: now }));
        let who = if by_uac { "uac" } else { "uas" };
        let reply = if by_uac { reply.with("Require", "timer") } else { reply };
        reply.with("Session-Expires", format!("{interval_s};refresher={who}"))
    }

    fn session_set(&mut self, no: CallNo, session: Option<Session>) {
        self.calls[no].session = session;
        if session.is_some() {
            self.notices.push_back(Notice::Session(no));
        }
    }

    /// A 422: our session was too short (RFC 4028 6); the INVITE goes again with what is wanted.
    pub(super) fn lengthened(&mut self, now: Time, no: CallNo, status: u16, wire: &Wire) -> bool {
        let min = wire.get("Min-SE");
        if status != 422 || min.is_empty() || self.calls[no].state != State::Early {
            return false;
        }
        let via = self.via();
        let call = &mut self.calls[no];
        call.finals.clear();
        call.local_cseq += 1;
        let cseq = format!("{} INVITE", call.local_cseq);
        let again = call.invite.clone().replace("CSeq", &cseq).replace("Via", &via).replace("Session-Expires", min);
        call.invite = again.replace("Min-SE", min);
        let again = call.invite.clone();
        self.send(now, again, super::Purpose::Invite(no));
        true
    }
}
