//! A leg's media: opening its port, driving its session, compiling its plan for the relay.

use super::call::{Call, Failure, Media, Phase, Side};
use super::ending::Cause;
use super::{Env, Tables};
use crate::wake::Wake;
use ringfort_base::{CallId, Event, PortId};
use ringfort_media::plan::{Destination, DiscardReason, PortCounters, RelayCommand, RelayEvent};
use ringfort_media::session::{LegKind, LegOutput, LegSession, MediaAddress};
use std::net::SocketAddr;
use std::time::Duration;

/// The shortest pause between two turns of a leg's session.
const TICK: Duration = Duration::from_millis(1);

/// A port and a session for a leg. `None`: every port is in use.
pub(super) fn open(env: &mut Env<'_>, tables: &mut Tables, call: CallId, side: Side, kind: LegKind) -> Option<Media> {
    let number = tables.allocator.take(env.cx.now.mono)?;
    let port = PortId(tables.fresh_id().0);
    let rtp = SocketAddr::new(env.cx.own.media_bind, number);
    // A browser multiplexes for sure (RFC 8834 4.5); a phone may not.
    let rtcp = (kind == LegKind::Rtp).then(|| SocketAddr::new(env.cx.own.media_bind, number + 1));
    let address = MediaAddress { rtp, rtcp, advertised: env.cx.own.media_advertised };
    let session = LegSession::new(kind, port, address, &mut *env.cx.entropy);
    tables.ports.insert(port, (call, side));
    env.cx.relay(RelayCommand::Open { port, call: tables.group_of(call), rtp, rtcp });
    Some(Media {
        port,
        session,
        counters: PortCounters::default(),
        closed: false,
        number,
        described: None,
        echo: None,
        offered: None,
    })
}

/// Closes a leg's port; its number comes back after a rest.
pub(super) fn close(env: &mut Env<'_>, tables: &mut Tables, media: &Media) {
    tables.allocator.give_back(env.cx.now.mono, media.number);
    env.cx.relay(RelayCommand::Close { port: media.port });
}

impl Call {
    /// Where packets go that this side's peer sends.
    fn destination(&self, side: Side) -> Destination {
        let (own, other) = match side {
            Side::Caller => (self.caller.media.as_ref(), self.callee.as_ref().and_then(|c| c.media.as_ref())),
            Side::Callee => (self.callee.as_ref().and_then(|c| c.media.as_ref()), self.caller.media.as_ref()),
        };
        match (own.and_then(|m| m.echo), other) {
            (Some(ssrc), _) => Destination::Echo { ssrc },
            (None, Some(other)) => Destination::Port(other.port),
            (None, None) => Destination::Discard(DiscardReason::NotConnected),
        }
    }

    /// Compiles both legs' plans anew and hands them to the relay.
    pub(super) fn replan(&mut self, env: &mut Env<'_>) {
        for side in [Side::Caller, Side::Callee] {
            let destination = self.destination(side);
            if let Some(media) = self.media(side) {
                let plan = Box::new(media.session.plan(destination));
                let port = media.port;
                env.cx.relay(RelayCommand::Plan { port, plan });
            }
        }
    }

    /// Performs what both legs' sessions want.
    pub(super) fn pump(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        for side in [Side::Caller, Side::Callee] {
            self.pump_side(env, tables, side);
        }
    }

    fn pump_side(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        while let Some(output) = self.media(side).and_then(|m| m.session.poll_output()) {
            if self.phase == Phase::Ending {
                continue;
            }
            match output {
                LegOutput::Send { to, datagram } => {
                    if let Some(port) = self.media(side).map(|m| m.port) {
                        env.cx.relay(RelayCommand::Send { port, to, datagram });
                    }
                }
                LegOutput::PlanChanged => self.replan(env),
                LegOutput::Ready { how } => {
                    env.cx.event(Event::MediaReady { call: self.id, leg: side.as_str().into(), how });
                }
                LegOutput::Failed { cause } => {
                    let (leg, name) = (side.as_str().into(), cause.as_str());
                    env.cx.event(Event::MediaFailed { call: self.id, leg, cause: name.into() });
                    self.end(env, tables, Cause::media(name));
                }
            }
        }
        let at = self.media(side).map_or(ringfort_base::Time::NEVER, |m| m.session.next_timeout());
        let at = if self.phase == Phase::Ending { ringfort_base::Time::NEVER } else { at };
        // A session that asks for a moment that has passed is asked again, but time goes on in between.
        let at = at.max(env.cx.now.mono + TICK);
        env.cx.timers.set(Wake::Media(self.id, side), at);
    }

    /// ICE, DTLS or deadline of a leg.
    pub(super) fn media_timeout(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        let now = env.cx.now.mono;
        if let Some(media) = self.media(side) {
            media.session.handle_timeout(now);
        }
        self.pump_side(env, tables, side);
    }

    /// The relay told something about a leg's port.
    pub(super) fn relayed(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side, event: RelayEvent) {
        let now = env.cx.now.mono;
        let Some(media) = self.media(side) else { return };
        match event {
            RelayEvent::Control { from, datagram, .. } => media.session.handle_datagram(now, from, &datagram),
            RelayEvent::Latched { component, source, .. } => {
                media.session.latched(component, source);
                self.write_down(env);
            }
            RelayEvent::OpenFailed { error, .. } => {
                env.cx.event(Event::Impaired { part: "relay".into(), reason: format!("media port: {error}") });
                self.end(env, tables, Cause::named(503, "no-media-port"));
            }
            RelayEvent::Counters { counters, last, .. } => {
                media.counters = *counters;
                media.closed |= last;
                return self.record_when_closed(env, tables);
            }
        }
        self.pump_side(env, tables, side);
    }

    /// The echo service: the caller's own packets go back to it, in whatever format it offered.
    pub(super) fn answer_by_echo(&mut self, env: &mut Env<'_>, tables: &mut Tables) -> Result<(), Failure> {
        let (now, ssrc) = (env.cx.now.mono, env.cx.entropy.u64() as u32);
        let media = self.caller.media.as_mut().ok_or(Failure::new(500, "No Media"))?;
        let offered = media.described.clone().unwrap_or_default();
        let answer = media.session.make_answer(now, &offered);
        let answer = answer.map_err(|error| Failure::new(error.status(), "Echo Not Possible"))?;
        media.echo = Some(ssrc);
        self.connect(env, tables, answer);
        Ok(())
    }
}
