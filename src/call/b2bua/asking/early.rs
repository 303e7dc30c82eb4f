//! Early dialogs towards the caller. Every early dialog of a target that brings its own audio has one, with a tag of the node's own
//! (RFC 3261 12.1, 13.2.2.4); what rings without audio is told in the first. Provisional responses are made reliable where the caller
//! asks for it or would lose SDP otherwise (RFC 3262 3).

use crate::b2bua::call::{Call, Phase, Side};
use crate::b2bua::connected::{self, Fields};
use crate::b2bua::ending::Cause;
use crate::b2bua::within::Asked;
use crate::b2bua::{Env, Tables, progress, write};
use crate::config::Extension;
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Time, limits};
use ringfort_media::description::Description;
use ringfort_media::lending::Lent;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Message};
use std::collections::VecDeque;
use std::time::Duration;

/// One early dialog towards the caller.
pub(crate) struct Early {
    pub dialog: Dialog,
    /// The target's early dialog that it stands for: branch and the target's tag. `None` while nothing with audio came.
    pub of: Option<(u32, String)>,
    /// SDP that is told in it.
    pub sdp: Option<Vec<u8>>,
    /// That SDP went out in a reliable response: it is an answer that needs no other.
    pub exchanged: bool,
    /// RSeq of the next reliable response.
    rseq: u32,
    awaited: Option<Reliable>,
    queue: VecDeque<Provisional>,
}

/// A reliable provisional response that waits for its PRACK.
struct Reliable {
    rseq: u32,
    octets: Bytes,
    has_sdp: bool,
    interval: Duration,
    next: Time,
    until: Time,
}

/// A provisional response.
pub(in crate::b2bua) struct Provisional {
    pub status: u16,
    /// `None`: the standard phrase.
    pub phrase: Option<String>,
    /// Who it is that rings.
    pub who: Fields,
}

/// What a caller says of reliable provisional responses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Required,
    Supported,
    Unknown,
}

impl Early {
    /// An early dialog in which nothing was said yet.
    pub fn new(dialog: Dialog, rseq: u32) -> Early {
        // RFC 3262 3: the first number lies between 1 and 2^31 - 1.
        let rseq = rseq % (1 << 30) + 1;
        Early { dialog, of: None, sdp: None, exchanged: false, rseq, awaited: None, queue: VecDeque::new() }
    }

    /// A reliable response with SDP waits for its PRACK.
    pub fn awaits_prack(&self) -> bool {
        self.awaited.as_ref().is_some_and(|reliable| reliable.has_sdp)
    }
}

impl Call {
    fn wish(&self) -> Wish {
        let says = |name| self.invite.as_ref().is_some_and(|invite| invite.message.has_token(name, "100rel"));
        match (says(HeaderName::Require), says(HeaderName::Supported), self.asking.reliable) {
            (true, ..) | (_, true, Extension::Required) => Wish::Required,
            (_, true, Extension::Supported) => Wish::Supported,
            _ => Wish::Unknown,
        }
    }

    /// The early dialog that stands for this one of a target's.
    pub(in crate::b2bua) fn early_of(&self, key: &(u32, String)) -> Option<usize> {
        self.asking.earlies.iter().position(|early| early.of.as_ref() == Some(key))
    }

    /// The same, made if need be: the first one as long as nobody has it, then one with a new tag. When there are too many the last is taken.
    pub(in crate::b2bua) fn claim(&mut self, env: &mut Env<'_>, tables: &mut Tables, key: (u32, String)) -> usize {
        let place = self.early_of(&key).or_else(|| self.asking.earlies.iter().position(|early| early.of.is_none()));
        let place = place.unwrap_or_else(|| {
            if self.asking.earlies.len() < limits::EARLY_DIALOGS_MAX
                && let Some(first) = self.asking.earlies.first()
            {
                let dialog = first.dialog.sibling(&env.cx.tag());
                tables.dialogs.insert((dialog.id.call_id.clone(), dialog.id.local_tag.clone()), (self.id, Side::Caller));
                let rseq = env.cx.entropy.u64() as u32;
                self.asking.earlies.push(Early::new(dialog, rseq));
            }
            self.asking.earlies.len().saturating_sub(1)
        });
        if let Some(early) = self.asking.earlies.get_mut(place) {
            early.of = Some(key);
        }
        place
    }

    /// What the caller is told of this description: an answer, or an offer where its INVITE had none. `lent`: keys of who described it.
    pub(in crate::b2bua) fn sdp_for_caller(
        &mut self,
        now: Time,
        described: &Description,
        lent: Lent,
    ) -> Result<Vec<u8>, &'static str> {
        let delayed = self.asking.delayed;
        let media = self.media(Side::Caller).ok_or("no-media")?;
        media.session.borrow(lent);
        let sdp = if delayed { media.session.make_offer(now, described) } else { media.session.make_answer(now, described) };
        sdp.map_err(|_| "no-common-codec")
    }

    /// Whether SDP may be told to the caller before the answer: an offer needs a reliable response (RFC 3261 13.2.1).
    pub(in crate::b2bua) fn takes_early_sdp(&self) -> bool {
        !self.asking.delayed || self.wish() != Wish::Unknown
    }

    /// A provisional response in this early dialog, now or as soon as the one before it is acknowledged (RFC 3262 3).
    pub(in crate::b2bua) fn provide(&mut self, env: &mut Env<'_>, place: usize, said: Provisional) {
        let wish = self.wish();
        let Some(early) = self.asking.earlies.get_mut(place) else { return };
        let reliable = wish == Wish::Required || (wish == Wish::Supported && early.sdp.is_some() && !early.exchanged);
        if reliable && self.asking.delayed && early.sdp.is_none() && !early.exchanged {
            // RFC 3262 5: the first reliable response to an INVITE without offer holds one, and there is none to tell yet.
            return;
        }
        if reliable && early.awaited.is_some() {
            if early.queue.len() < limits::RELIABLE_QUEUE_MAX {
                early.queue.push_back(said);
            }
            return;
        }
        let Some(invite) = &self.invite else { return };
        // RFC 3261 12.1.1: a response that founds a dialog, be it early, bears the Record-Routes.
        let reply = Builder::reply(&invite.message, said.status, said.phrase.as_deref(), Some(&early.dialog.id.local_tag))
            .copy(&invite.message, HeaderName::RecordRoute)
            .header(HeaderName::Contact, write::contact(env.cx, &self.caller.hop))
            .header(HeaderName::Allow, crate::ALLOW);
        let reply = connected::with(reply, &said.who);
        let sdp = early.sdp.clone().filter(|_| !early.exchanged);
        let has_sdp = sdp.is_some();
        let reply =
            if reliable { reply.header(HeaderName::Require, "100rel").header(HeaderName::RSeq, early.rseq) } else { reply };
        let octets = match sdp {
            Some(sdp) => reply.body("application/sdp", sdp).build(),
            None => reply.build(),
        };
        env.cx.respond(invite.id, octets.clone());
        if reliable {
            let (now, t1) = (env.cx.now.mono, Duration::from_millis(env.cx.snapshot.sip.t1_ms.into()));
            early.exchanged |= has_sdp;
            early.awaited =
                Some(Reliable { rseq: early.rseq, octets, has_sdp, interval: t1, next: now + t1, until: now + t1 * 64 });
            early.rseq += 1;
            self.watch_reliable(env);
        }
    }

    fn watch_reliable(&self, env: &mut Env<'_>) {
        let waiting = self.asking.earlies.iter().filter_map(|early| early.awaited.as_ref());
        match waiting.map(|reliable| reliable.next.min(reliable.until)).min() {
            Some(next) => env.cx.timers.set(Wake::Reliable(self.id), next),
            None => env.cx.timers.stop(Wake::Reliable(self.id)),
        }
    }

    /// A reliable response is sent again, or was sent for long enough: then the INVITE is refused (RFC 3262 3).
    pub(in crate::b2bua) fn repeat_reliable(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let now = env.cx.now.mono;
        let Some(invite) = self.invite.as_ref().map(|invite| invite.id) else { return };
        if self.asking.earlies.iter().filter_map(|early| early.awaited.as_ref()).any(|reliable| reliable.until <= now) {
            return self.refuse(env, tables, 504, "no-prack", Vec::new());
        }
        for reliable in self.asking.earlies.iter_mut().filter_map(|early| early.awaited.as_mut()).filter(|r| r.next <= now) {
            env.cx.respond(invite, reliable.octets.clone());
            reliable.interval *= 2;
            reliable.next = now + reliable.interval;
        }
        self.watch_reliable(env);
    }

    /// Whether a 2xx has to wait: reliable SDP is not acknowledged yet (RFC 3262 3).
    pub(in crate::b2bua) fn awaits_prack(&self) -> bool {
        self.asking.earlies.iter().any(Early::awaits_prack)
    }

    /// PRACK.
    pub(in crate::b2bua) fn pracked(&mut self, env: &mut Env<'_>, tables: &mut Tables, place: usize, asked: &Asked) {
        let cseq = self.invite.as_ref().and_then(|invite| invite.message.cseq().ok()).map(|(number, _)| number);
        let Some(early) = self.asking.earlies.get_mut(place) else { return asked.reply(env, 481, &[]) };
        let named = rack(&asked.request);
        let Some(reliable) = early.awaited.take_if(|r| named.is_some() && named == cseq.map(|cseq| (r.rseq, cseq))) else {
            return asked.reply(env, 481, &[]);
        };
        let sdp = progress::sdp_of(&asked.request).map(<[u8]>::to_vec);
        let (next, settled) = (early.queue.pop_front(), early.exchanged);
        self.watch_reliable(env);
        if self.asking.delayed && reliable.has_sdp {
            // The response bore the node's offer: here is the answer (RFC 3262 5).
            if self.take_answer(env, tables, sdp.as_deref()).is_err() {
                asked.reply(env, 488, &[]);
                return self.end(env, tables, Cause::named(488, "bad-sdp-in-prack"));
            }
            asked.reply(env, 200, &[]);
        } else {
            match sdp {
                // RFC 6337 table 1: not before the INVITE's own exchange is complete.
                Some(_) if !settled => {
                    let retry = (env.cx.entropy.u64() % 10 + 1).to_string();
                    asked.reply(env, 500, &[(HeaderName::RetryAfter, retry)]);
                }
                Some(offer) => self.answer_offer(env, tables, Side::Caller, asked, &offer),
                None => asked.reply(env, 200, &[]),
            }
        }
        if let Some(next) = next {
            self.provide(env, place, next);
        }
        if !self.awaits_prack()
            && let Some((place, sdp)) = self.asking.held.take()
        {
            self.connect(env, tables, place, sdp);
        }
    }

    /// The caller's answer to the node's own offer, from an ACK or a PRACK.
    pub(in crate::b2bua) fn take_answer(&mut self, env: &mut Env<'_>, tables: &mut Tables, sdp: Option<&[u8]>) -> Result<(), ()> {
        let now = env.cx.now.mono;
        let media = self.media(Side::Caller).ok_or(())?;
        let described = media.session.receive_answer(now, sdp.ok_or(())?).map_err(|_| ())?;
        media.described = Some(described);
        self.replan(env);
        self.pump(env, tables);
        Ok(())
    }

    /// An offer before the call is answered is answered here: audio ends at the node, so the other side need not hear of it.
    pub(in crate::b2bua) fn answer_offer(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        side: Side,
        asked: &Asked,
        offer: &[u8],
    ) {
        let now = env.cx.now.mono;
        let named = |message: &Message| message.call_id().map(str::to_string).unwrap_or_default();
        let heard = self.asking.heard;
        let other = match side {
            Side::Caller => heard.and_then(|no| self.asking.branch(no)).and_then(|branch| branch.leg.media.as_ref()),
            Side::Callee => self.caller.media.as_ref(),
        };
        let lent = other.map(|media| media.session.lends()).unwrap_or_default();
        let other = other.and_then(|media| media.described.clone());
        let call_id = named(&asked.request);
        let media = match side {
            Side::Caller => self.caller.media.as_mut(),
            Side::Callee => {
                let branch = self.asking.branches.iter_mut().find(|branch| branch.leg.call_id == call_id);
                branch.and_then(|branch| branch.leg.media.as_mut())
            }
        };
        let Some(media) = media else { return asked.reply(env, 488, &[]) };
        let answer = media.session.receive_offer(now, offer).and_then(|described| {
            media.session.borrow(lent);
            let answer = media.session.make_answer(now, &other.unwrap_or_else(Description::g711))?;
            media.described = Some(described);
            Ok(answer)
        });
        match answer {
            Ok(sdp) => {
                let reply = Builder::reply(&asked.request, 200, None, None)
                    .header(HeaderName::Contact, write::contact(env.cx, &asked.hop));
                env.cx.respond(asked.id, reply.header(HeaderName::Allow, crate::ALLOW).body("application/sdp", sdp).build());
                self.replan(env);
                self.pump(env, tables);
            }
            Err(error) => {
                media.session.reject_offer();
                let warning = write::warning(env.cx, &error);
                asked.reply(env, error.status(), &[(HeaderName::Warning, warning)]);
            }
        }
    }

    /// An early dialog of a target is over while others go on: the caller may forget its part of it (RFC 6228).
    pub(in crate::b2bua) fn early_over(&mut self, env: &mut Env<'_>, key: &(u32, String)) {
        let Some(place) = self.early_of(key) else { return };
        let Some(invite) = self.invite.as_ref().filter(|_| self.phase == Phase::Ringing) else { return };
        let wanted = invite.message.has_token(HeaderName::Supported, "199") && self.wish() != Wish::Required;
        let Some(early) = self.asking.earlies.get(place).filter(|_| wanted) else { return };
        let reply = Builder::reply(&invite.message, 199, Some("Early Dialog Terminated"), Some(&early.dialog.id.local_tag));
        env.cx.respond(invite.id, reply.header(HeaderName::Contact, write::contact(env.cx, &self.caller.hop)).build());
    }
}

/// RSeq and CSeq number of RAck (RFC 3262 7.2). `None`: there is none that names an INVITE.
fn rack(prack: &Message) -> Option<(u32, u32)> {
    let mut words = prack.header(HeaderName::RAck)?.split_ascii_whitespace();
    let (rseq, cseq) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (words.next() == Some("INVITE") && words.next().is_none()).then_some((rseq, cseq))
}
