//! Session timers (RFC 4028), each leg on its own: a session that nobody refreshes ends. The node takes either role, whatever the
//! peer's part in the call: it refreshes after half the interval, or ends the leg shortly before it runs out.

use crate::b2bua::call::{Call, Leg, Phase, Side};
use crate::b2bua::ending::Cause;
use crate::b2bua::exchange::Offer;
use crate::b2bua::{Env, Tables, connected, write};
use crate::context::Owner;
use crate::wake::Wake;
use ringfort_base::Time;
use ringfort_sip::message::{Builder, HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Min-SE where nobody says another one, seconds (RFC 4028 5).
pub(in crate::b2bua) const MIN_SE_S: u32 = 90;
/// A refresh that was refused, or that another change is in the way of, is tried again after this time.
const AGAIN: Duration = Duration::from_secs(5);
/// A leg is released so many seconds before its session runs out, or a third of the interval if that is less (RFC 4028 10).
const RELEASE_BEFORE_S: u32 = 32;

/// The session of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionTimer {
    /// Session-Expires, seconds.
    pub interval_s: u32,
    /// The node refreshes; otherwise the peer does.
    pub ours: bool,
}

/// What a leg knows of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// `None`: it does not run out.
    pub timer: Option<SessionTimer>,
    /// The largest Min-SE that was told on this leg, seconds.
    pub min_s: u32,
    /// When the leg is released unless it is refreshed. Does not outlive the process.
    #[serde(skip)]
    pub deadline: Option<Time>,
    /// UPDATE that refreshes it.
    #[serde(skip)]
    pub refresh: Option<TransactionId>,
}

/// Session-Expires as told: seconds, and whether the node's peer named the client or the server of the transaction.
struct Told {
    interval_s: u32,
    by_uac: Option<bool>,
}

fn told(message: &Message) -> Option<Told> {
    let mut parts = message.header(HeaderName::SessionExpires)?.split(';').map(str::trim);
    let interval_s = parts.next()?.parse::<u32>().ok()?;
    let refresher = parts.find_map(|part| part.strip_prefix("refresher=").map(|r| r.trim().eq_ignore_ascii_case("uac")));
    Some(Told { interval_s, by_uac: refresher })
}

fn min_se(message: &Message) -> Option<u32> {
    message.header(HeaderName::MinSe)?.split(';').next()?.trim().parse().ok()
}

impl SessionTimer {
    /// When the timer's owner acts, and when the leg is released.
    fn moments(self) -> (Duration, Duration) {
        let seconds = |s: u32| Duration::from_secs(s.into());
        let release = seconds(self.interval_s - RELEASE_BEFORE_S.min(self.interval_s / 3));
        (if self.ours { seconds(self.interval_s / 2) } else { release }, release)
    }

    /// Session-Expires of a request of the node.
    fn asked(self) -> String {
        format!("{};refresher={}", self.interval_s, if self.ours { "uac" } else { "uas" })
    }
}

/// Min-SE of the 422 that a request is owed whose session is shorter than this node takes.
pub(in crate::b2bua) fn too_short(env: &Env<'_>, request: &Message) -> Option<u32> {
    let min = env.cx.snapshot.sip.session_min_s;
    told(request).filter(|told| told.interval_s < min).map(|_| min)
}

/// The session that the node asks for in an INVITE: Session-Expires, and Min-SE where it is not what everybody assumes.
pub(in crate::b2bua) fn ask(expires_s: u32, min_s: u32, request: Builder) -> Builder {
    fields(expires_s, min_s).iter().fold(request, |request, (name, value)| request.header(*name, value))
}

/// The same as header fields.
pub(in crate::b2bua) fn fields(expires_s: u32, min_s: u32) -> Vec<(HeaderName, String)> {
    let min = Some((HeaderName::MinSe, min_s.to_string())).filter(|_| min_s > MIN_SE_S);
    let expires = Some((HeaderName::SessionExpires, expires_s.max(min_s).to_string())).filter(|_| expires_s > 0);
    expires.into_iter().chain(min).collect()
}

impl Leg {
    /// A request of the node that refreshes the session says so.
    pub(in crate::b2bua) fn refreshing(&self, request: Builder) -> Builder {
        let min = Some(self.session.min_s).filter(|min| *min > MIN_SE_S);
        let asked = self.session.timer.map(SessionTimer::asked);
        request.header_if(HeaderName::SessionExpires, asked).header_if(HeaderName::MinSe, min)
    }

    /// A 422 told a larger Min-SE. False: nothing new.
    pub(in crate::b2bua) fn raise_interval(&mut self, response: &Message) -> bool {
        let Some(min) = min_se(response).filter(|min| *min > self.session.min_s.max(MIN_SE_S)) else { return false };
        self.session.min_s = min;
        if let Some(timer) = &mut self.session.timer {
            timer.interval_s = timer.interval_s.max(min);
        }
        true
    }
}

impl Call {
    /// The peer's request is answered by 2xx: who refreshes how often (RFC 4028 9, table 2).
    pub(in crate::b2bua) fn grant_session(
        &mut self,
        env: &mut Env<'_>,
        side: Side,
        request: &Message,
        reply: Builder,
    ) -> Builder {
        let own = env.cx.snapshot.sip.session_expires_s;
        let supports = request.has_token(HeaderName::Supported, "timer");
        let told = told(request);
        let Some(leg) = self.leg(side) else { return reply };
        let wanted = told.as_ref().map(|told| told.interval_s).or(Some(own).filter(|own| supports && *own > 0));
        let before = leg.session.timer;
        leg.session.timer = wanted.map(|wanted| {
            let least = min_se(request).unwrap_or(MIN_SE_S).max(env.cx.snapshot.sip.session_min_s);
            let interval_s = if own > 0 { wanted.min(own) } else { wanted }.max(least);
            let ours = match told.and_then(|told| told.by_uac) {
                Some(by_uac) if supports => !by_uac,
                _ => !supports || before.is_none_or(|before| before.ours),
            };
            SessionTimer { interval_s, ours }
        });
        let timer = leg.session.timer;
        self.watch_session(env, side);
        let Some(timer) = timer else { return reply };
        let refresher = if timer.ours { "uas" } else { "uac" };
        let reply = reply.header(HeaderName::SessionExpires, format!("{};refresher={refresher}", timer.interval_s));
        reply.header_if(HeaderName::Require, (!timer.ours).then_some("timer"))
    }

    /// The peer answered a request of the node by 2xx: what it granted (RFC 4028 7.2). Without Session-Expires nothing runs out.
    pub(in crate::b2bua) fn session_granted(&mut self, env: &mut Env<'_>, side: Side, response: &Message) {
        let Some(leg) = self.leg(side) else { return };
        leg.session.timer = told(response)
            .map(|told| SessionTimer { interval_s: told.interval_s.max(MIN_SE_S), ours: told.by_uac.unwrap_or(true) });
        self.watch_session(env, side);
    }

    /// The session begins anew: so do its timers.
    pub(in crate::b2bua) fn watch_session(&mut self, env: &mut Env<'_>, side: Side) {
        let (id, now) = (self.id, env.cx.now.mono);
        let Some(leg) = self.leg(side) else { return };
        leg.session.refresh = None;
        leg.session.deadline = leg.session.timer.map(|timer| now + timer.moments().1);
        match leg.session.timer {
            Some(timer) => env.cx.timers.set(Wake::Session(id, side), now + timer.moments().0),
            None => env.cx.timers.stop(Wake::Session(id, side)),
        }
    }

    /// It is time to refresh a leg, or to end it.
    pub(in crate::b2bua) fn session_due(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        let now = env.cx.now.mono;
        if self.phase != Phase::Connected {
            return;
        }
        let Some(leg) = self.leg(side) else { return };
        let (Some(timer), Some(deadline)) = (leg.session.timer, leg.session.deadline) else { return };
        if now >= deadline {
            return self.end(env, tables, Cause::named(408, "session-expired"));
        }
        let again = if timer.ours && !self.refresh(env, side) { (now + AGAIN).min(deadline) } else { deadline };
        env.cx.timers.set(Wake::Session(self.id, side), again);
    }

    /// Refreshes a leg: by UPDATE where the peer takes it, else by a re-INVITE that says what was said before. The other leg hears
    /// nothing of it. False: something is in the way.
    fn refresh(&mut self, env: &mut Env<'_>, side: Side) -> bool {
        if self.exchange.is_some() {
            return false;
        }
        match self.leg(side).is_some_and(|leg| leg.abilities.update) {
            true => self.update(env, side),
            false => self.begin_own(env, side, Offer::Refresh),
        }
    }

    /// UPDATE without offer: it refreshes the session and says who sits at the other leg. False: it could not be sent.
    pub(in crate::b2bua) fn update(&mut self, env: &mut Env<'_>, side: Side) -> bool {
        let owner = Owner::Call(self.id);
        let who = self.present(env.cx, side);
        let Some(leg) = self.leg(side) else { return false };
        let hop = leg.next_hop();
        let Some(update) = leg.inside(env.cx, &Method::Update) else { return false };
        let update =
            update.header(HeaderName::Contact, write::contact(env.cx, &hop)).header(HeaderName::Supported, crate::SUPPORTED);
        let octets = connected::with(leg.refreshing(update), &who).build();
        leg.session.refresh = leg.send_inside(env.cx, hop, octets, owner);
        self.write_down(env);
        true
    }

    fn refreshed_by(&mut self, id: TransactionId) -> Option<Side> {
        [Side::Caller, Side::Callee].into_iter().find(|s| self.leg(*s).is_some_and(|leg| leg.session.refresh == Some(id)))
    }

    /// The answer to an UPDATE that refreshes. False: that was none.
    pub(in crate::b2bua) fn refresh_answered(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
        response: &Message,
    ) -> bool {
        let Some(side) = self.refreshed_by(id) else { return false };
        let status = response.status().unwrap_or(500);
        let Some(leg) = self.leg(side) else { return true };
        match status {
            ..200 => return true,
            200..300 => {
                leg.learn(response);
                self.session_granted(env, side, response);
                if self.hears_who(env.cx, side, response) {
                    self.tell_who(env, side.other());
                }
                self.write_down(env);
                return true;
            }
            408 | 481 => {
                self.end(env, tables, Cause { released_by: Some(side), ..Cause::named(status, "peer-gone") });
                return true;
            }
            422 if leg.raise_interval(response) => {}
            405 | 501 => leg.abilities.update = false,
            // RFC 4028 10: what else it says does not end the session; that it runs out does.
            _ => {
                leg.session.refresh = None;
                env.cx.timers.set(Wake::Session(self.id, side), env.cx.now.mono + AGAIN);
                return true;
            }
        }
        leg.session.refresh = None;
        self.refresh(env, side);
        true
    }

    /// No answer came to a refresh: the peer is gone (RFC 4028 10). False: that was none.
    pub(in crate::b2bua) fn refresh_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId) -> bool {
        if self.refreshed_by(id).is_none() {
            return false;
        }
        self.end(env, tables, Cause::named(408, "peer-gone"));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_refreshes_acts_at_half_time_and_who_waits_shortly_before_the_end() {
        let moments = |interval_s, ours| {
            let (act, release) = SessionTimer { interval_s, ours }.moments();
            (act.as_secs(), release.as_secs())
        };
        assert_eq!((moments(1800, true), moments(1800, false)), ((900, 1768), (1768, 1768)));
        assert_eq!(moments(90, false), (60, 60));
    }
}
