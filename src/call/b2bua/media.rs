//! A leg's media: opening its port, driving its session, compiling its plan for the relay.

use super::call::{Call, Media, Phase, Side};
use super::ending::Cause;
use super::{Env, Tables, service, sharing, timeline};
use crate::wake::Wake;
use ringfort_base::{CallId, Event, Hop, PortId, Time, limits};
use ringfort_media::audio::Speaking;
use ringfort_media::bridge;
use ringfort_media::description::Description;
use ringfort_media::plan::{AudioPlan, Destination, DiscardReason, PortCounters, RelayCommand, RelayEvent, Source, Speech};
use ringfort_media::sdp::{Connection, Sdp};
use ringfort_media::session::{LegKind, LegOutput, LegSession, MediaAddress};
use ringfort_media::{DigitsWay, MediaCause};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The shortest pause between two turns of a leg's session.
const TICK: Duration = Duration::from_millis(1);

/// How long browsers have ports of their own after the one that they share could not be opened.
const APART: Duration = Duration::from_secs(60);

/// Where a leg's peer is.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub hop: &'a Hop,
    /// An address of the family in which its audio is, where it has said so.
    pub audio: Option<IpAddr>,
}

/// Where the audio of a description is. `None`: it does not say so by an address.
pub(super) fn address_of(sdp: &[u8]) -> Option<IpAddr> {
    let sdp = Sdp::parse(sdp).ok()?;
    let of_media = || sdp.media_section(0).and_then(|section| section.connection().ok().flatten());
    match of_media().or_else(|| sdp.session_section().connection().ok().flatten())? {
        // An unspecified address is an old way to hold.
        Connection::Address(address) if !address.is_unspecified() => Some(address),
        _ => None,
    }
}

/// A port and a session for a leg. A browser's is one with all others', where the configuration has it so: its packets are known by
/// ICE. `None`: every port is in use.
pub(super) fn open(env: &mut Env<'_>, tables: &mut Tables, call: CallId, kind: LegKind, at: At<'_>) -> Option<Media> {
    let own = env.cx.own.for_media(at.hop, at.audio);
    let (bind, advertised) = (own.media_bind, own.media_advertised);
    let common = env.cx.snapshot.media.shared_port();
    let common = common.filter(|_| kind == LegKind::Webrtc && tables.apart_until <= env.cx.now.mono);
    let number = if common.is_none() { Some(tables.allocator.take(env.cx.now.mono, env.cx.entropy.u64())?) } else { None };
    let port = PortId(tables.fresh_id().0);
    let rtp = SocketAddr::new(bind, number.or(common)?);
    // A browser multiplexes for sure (RFC 8834 4.5); a phone may not.
    let rtcp = (kind == LegKind::Rtp).then(|| SocketAddr::new(bind, rtp.port() + 1));
    let address = MediaAddress { rtp, rtcp, advertised };
    let session = LegSession::new(kind, port, address, &mut *env.cx.entropy);
    tables.ports.insert(port, call);
    env.cx.relay(RelayCommand::Open { port, call, rtp, rtcp, shared: number.is_none() });
    Some(Media {
        port,
        session,
        counters: PortCounters::default(),
        told: Default::default(),
        watch: Default::default(),
        positions: None,
        elsewhere: 0,
        closed: false,
        restarts: 0,
        number,
        described: None,
        attendance: None,
        voice: None,
        one_stream: false,
        offered: None,
    })
}

/// A second port for a leg that is told of a phone's video, or tells of its own. Where every port is in use the call goes on without.
pub(super) fn open_aside(env: &mut Env<'_>, tables: &mut Tables, call: CallId, media: &mut Media, described: &Description) {
    if !media.session.wants_aside(described) {
        return;
    }
    let Some(number) = tables.allocator.take(env.cx.now.mono, env.cx.entropy.u64()) else { return };
    let port = PortId(tables.fresh_id().0);
    let own = media.session.address();
    let at = |number| SocketAddr::new(own.rtp.ip(), number);
    let (rtp, rtcp) = (at(number), Some(at(number + 1)));
    media.session.set_aside(port, MediaAddress { rtp, rtcp, ..own });
    tables.ports.insert(port, call);
    env.cx.relay(RelayCommand::Open { port, call, rtp, rtcp, shared: false });
}

fn close_aside(env: &mut Env<'_>, tables: &mut Tables, (port, address): (PortId, MediaAddress)) {
    tables.allocator.give_back(env.cx.now.mono, address.rtp.port());
    tables.ports.remove(&port);
    env.cx.relay(RelayCommand::Close { port });
}

/// Closes a leg's ports; their numbers come back after a rest.
pub(super) fn close(env: &mut Env<'_>, tables: &mut Tables, media: &Media) {
    if let Some(aside) = media.session.aside() {
        close_aside(env, tables, aside);
    }
    give_back(env, tables, media);
    env.cx.relay(RelayCommand::Close { port: media.port });
}

fn give_back(env: &Env<'_>, tables: &mut Tables, media: &Media) {
    if let Some(number) = media.number {
        tables.allocator.give_back(env.cx.now.mono, number);
    }
}

/// Another port number for a leg whose own could not be opened, or the one that it shares.
fn reopen(env: &mut Env<'_>, tables: &mut Tables, call: CallId, media: &mut Media, number: u16) {
    give_back(env, tables, media);
    let address = media.session.address();
    let moved = |old: SocketAddr, number| SocketAddr::new(old.ip(), number);
    let (rtp, rtcp) = (moved(address.rtp, number), address.rtcp.map(|old| moved(old, number + 1)));
    let port = PortId(tables.fresh_id().0);
    media.session.move_to(port, MediaAddress { rtp, rtcp, ..address });
    tables.ports.remove(&media.port);
    tables.ports.insert(port, call);
    (media.port, media.number) = (port, Some(number));
    env.cx.relay(RelayCommand::Open { port, call, rtp, rtcp, shared: false });
}

/// Where a leg sits in its call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seat {
    Caller,
    Callee,
    /// A target that rings.
    Branch(u32),
}

impl Seat {
    fn side(self) -> Side {
        if self == Seat::Caller { Side::Caller } else { Side::Callee }
    }
}

/// Whether the one's digits are told to the other.
fn tells(far: &Media, near: &Media) -> bool {
    bridge::tells_digits(&far.session, &near.session)
}

impl Media {
    /// A browser hears one stream from now on, as the node is about to speak to it; the plans change then. False: it does so already, or is none.
    pub(super) fn begins_one_stream(&mut self) -> bool {
        let begins = self.session.kind() == LegKind::Webrtc && !self.one_stream;
        if begins {
            // A stream that the node spoke in before would be one that the browser knew before.
            (self.one_stream, self.voice) = (true, None);
        }
        begins
    }

    /// The port by which the leg's peer is sent what is beside the audio: its second one, or that of its bundle.
    fn port_beside(&self) -> Option<PortId> {
        match self.session.has_video() {
            true => Some(self.port),
            false => self.session.aside().filter(|_| self.session.uses_aside()).map(|(port, _)| port),
        }
    }
}

impl Call {
    /// Where every leg with media sits.
    fn seats(&self) -> Vec<Seat> {
        let branches = self.asking.branches.iter().map(|branch| Seat::Branch(branch.no));
        [Seat::Caller].into_iter().chain(self.callee.is_some().then_some(Seat::Callee)).chain(branches).collect()
    }

    fn media_at(&mut self, seat: Seat) -> Option<&mut Media> {
        match seat {
            Seat::Caller => self.caller.media.as_mut(),
            Seat::Callee => self.callee.as_mut()?.media.as_mut(),
            Seat::Branch(no) => self.asking.branch(no)?.leg.media.as_mut(),
        }
    }

    fn media_ref(&self, seat: Seat) -> Option<&Media> {
        match seat {
            Seat::Caller => self.caller.media.as_ref(),
            Seat::Callee => self.callee.as_ref()?.media.as_ref(),
            Seat::Branch(no) => self.asking.branches.iter().find(|branch| branch.no == no)?.leg.media.as_ref(),
        }
    }

    /// Who hears the peer at this seat. Before the answer the caller hears one branch.
    fn opposite(&self, seat: Seat) -> Option<Seat> {
        let heard = self.asking.heard.filter(|_| self.callee.is_none()).map_or(Seat::Callee, Seat::Branch);
        match seat {
            Seat::Caller => Some(heard),
            Seat::Callee => Some(Seat::Caller),
            Seat::Branch(_) => (seat == heard).then_some(Seat::Caller),
        }
    }

    /// Compiles all legs' plans anew and hands them to the relay.
    pub(super) fn replan(&mut self, env: &mut Env<'_>) {
        let mut transcoded = false;
        self.seats().into_iter().for_each(|seat| self.begin_one_stream(seat));
        self.note_keys();
        for seat in self.seats() {
            let Some(ssrc) = self.media_at(seat).map(|m| *m.voice.get_or_insert_with(|| env.cx.entropy.u64() as u32)) else {
                continue;
            };
            let Some(media) = self.media_ref(seat) else { continue };
            let attended = self.announced_at(seat.side(), media, ssrc).or_else(|| service::attended(media, ssrc));
            let (destination, audio) = attended.unwrap_or_else(|| {
                let (destination, audio, coded) = self.across(seat, media, ssrc);
                transcoded |= coded;
                (destination, audio)
            });
            transcoded |= audio.as_ref().is_some_and(AudioPlan::has_own_words);
            let mut plan = Box::new(media.session.plan(destination));
            plan.audio = audio.map(Box::new);
            plan.copy = self.copied(seat.side()).map(Box::new);
            let far = self.opposite(seat).and_then(|other| self.media_ref(other));
            plan.transmit.muted |= sharing::is_overheard(media, far);
            plan.apart = far.and_then(|far| bridge::apart(&media.session, &far.session));
            env.cx.relay(RelayCommand::Plan { port: media.port, plan });
            if let Some((port, plan)) = media.session.aside_plan(far.and_then(Media::port_beside)) {
                env.cx.relay(RelayCommand::Plan { port, plan: Box::new(plan) });
            }
        }
        self.count_transcoding(env, transcoded);
    }

    /// A browser plays the SSRC that it met last, and not one that it knew before (Chromium does; its stream is not signalled). Where the
    /// node speaks to it in between, with music on hold for instance, the other party comes in the node's own stream from then on.
    fn begin_one_stream(&mut self, seat: Seat) {
        let far = self.opposite(seat).and_then(|other| self.media_ref(other));
        let is_browser = |media: &&Media| media.session.kind() == LegKind::Webrtc && !media.one_stream;
        let Some(near) = self.media_ref(seat).filter(is_browser) else { return };
        // One without events is told digits as tones, by the relay itself.
        let tones = far.is_some_and(|far| matches!(near.session.digits(), DigitsWay::Tones { .. }) && tells(far, near));
        if !tones && self.told_instead(seat.side(), near, far).is_none() {
            return;
        }
        self.media_at(seat).map(Media::begins_one_stream);
    }

    /// Where packets go that the peer at this seat sends, and what the node hears and says there itself. `None`: packets only pass. The
    /// last says whether speech goes across in another codec only.
    fn across(&self, seat: Seat, near: &Media, ssrc: u32) -> (Destination, Option<AudioPlan>, bool) {
        let far = self.opposite(seat).and_then(|other| self.media_ref(other));
        let own = self.told_instead(seat.side(), near, far).and_then(|what| service::said(&near.session, what, ssrc));
        let Some(far) = far else {
            let audio = own.map(|speech| AudioPlan { speak: Some(speech), ..AudioPlan::default() });
            return (Destination::Discard(DiscardReason::NotConnected), audio, false);
        };
        if self.told_instead(seat.side().other(), far, Some(near)).is_some() {
            // Its other side hears the node itself, and nothing of what this one may still send.
            return (Destination::Discard(DiscardReason::OnHold), None, false);
        }
        let there = bridge::crossing(&near.session, &far.session, far.one_stream);
        let back = bridge::crossing(&far.session, &near.session, near.one_stream);
        let crossed = back.speaking.map(|how| {
            let how = Speaking { ssrc, ..how };
            // Where nothing is heard there, the node says what the core tells it, and takes no turns between.
            let what = if back.hearing.payloads.is_empty() { Source::Silence } else { Source::Port(far.port) };
            Speech { how, what, digits: back.digits, pauses: back.passes }
        });
        // Pictures pass whatever becomes of the audio.
        let video = near.session.has_video() && far.session.has_video();
        let destination =
            if there.passes || video { Destination::Port(far.port) } else { Destination::Discard(DiscardReason::Unheard) };
        let speak = own.or(crossed);
        let silent = there.hearing.payloads.is_empty() && speak.is_none();
        (destination, (!silent).then_some(AudioPlan { hear: there.hearing, speak }), !there.passes)
    }

    /// Second ports go whose video was refused, or is over.
    pub(super) fn close_idle_asides(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        for seat in self.seats() {
            if let Some(aside) = self.media_at(seat).and_then(|media| media.session.take_idle_aside()) {
                close_aside(env, tables, aside);
            }
        }
    }

    /// The relay told something about a leg's second port.
    fn relayed_aside(&mut self, env: &mut Env<'_>, event: &RelayEvent) {
        let is_its = |media: &Media| media.session.aside().is_some_and(|(port, _)| port == event.port());
        let Some(seat) = self.seats().into_iter().find(|seat| self.media_ref(*seat).is_some_and(is_its)) else { return };
        match event {
            RelayEvent::Latched { component, source, .. } => {
                if let Some(media) = self.media_at(seat) {
                    media.session.aside_latched(*component, *source);
                }
                self.write_down(env);
            }
            RelayEvent::Positions { positions, .. } => {
                if let Some(media) = self.media_at(seat) {
                    media.session.aside_positions(positions.clone());
                }
                self.write_down(env);
            }
            // The call goes on without pictures.
            RelayEvent::OpenFailed { error, .. } => {
                env.cx.event(Event::Impaired { part: "relay".into(), reason: format!("video port: {error}") });
            }
            _ => {}
        }
    }

    /// Performs what the legs' sessions want.
    pub(super) fn pump(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        for seat in self.seats() {
            self.pump_seat(env, tables, seat);
        }
        self.watch_media(env);
    }

    fn pump_seat(&mut self, env: &mut Env<'_>, tables: &mut Tables, seat: Seat) {
        let steps = self.media_at(seat).map(Media::agreed_steps).unwrap_or_default();
        steps.into_iter().for_each(|step| self.tell_step(env, seat.side(), step));
        while let Some(output) = self.media_at(seat).and_then(|m| m.session.poll_output()) {
            if self.phase == Phase::Ending {
                continue;
            }
            let leg = || seat.side().as_str().to_string();
            match output {
                LegOutput::Send { to, datagram } => {
                    if let Some(port) = self.media_at(seat).map(|m| m.port) {
                        env.cx.relay(RelayCommand::Send { port, to, datagram });
                    }
                }
                LegOutput::PlanChanged => {
                    self.replan(env);
                    // The next process needs the keys, and the browser's address.
                    if self.media_at(seat).is_some_and(|media| media.session.is_protected()) {
                        self.write_down(env);
                    }
                }
                LegOutput::Ready { how } => {
                    if let Some(media) = self.media_at(seat) {
                        media.restarts = 0;
                    }
                    env.cx.event(Event::MediaReady { call: self.id, leg: leg(), how });
                }
                LegOutput::Step(step) => self.tell_step(env, seat.side(), step),
                LegOutput::Failed { cause } => {
                    let name = cause.as_str();
                    env.cx.event(Event::MediaFailed { call: self.id, leg: leg(), cause: name.into() });
                    // A phone that described itself while it rang may open its handshake when it answers, and not before.
                    let rings = self.answered.is_none() && self.media_at(seat).is_some_and(|m| m.session.kind() == LegKind::Rtp);
                    let asked = cause == MediaCause::ConsentExpired && self.restart_ice(env, seat.side());
                    if !rings && !asked {
                        self.end(env, tables, Cause::media(name));
                    }
                }
            }
        }
    }

    /// Arms the timers of both sides. A session that asks for a moment that has passed is asked again, but time goes on in between.
    fn watch_media(&mut self, env: &mut Env<'_>) {
        for side in [Side::Caller, Side::Callee] {
            let mut next = Time::NEVER;
            for seat in self.seats().into_iter().filter(|seat| seat.side() == side) {
                next = next.min(self.media_at(seat).map_or(Time::NEVER, |media| media.session.next_timeout()));
            }
            let next = if self.phase == Phase::Ending { Time::NEVER } else { next };
            let at = next.max(env.cx.now.mono + TICK);
            env.cx.timers.set(Wake::Media(self.id, side), at);
        }
    }

    /// ICE, DTLS or deadline of a side's legs.
    pub(super) fn media_timeout(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        let now = env.cx.now.mono;
        for seat in self.seats().into_iter().filter(|seat| seat.side() == side) {
            if let Some(media) = self.media_at(seat) {
                media.session.handle_timeout(now);
            }
        }
        self.pump(env, tables);
    }

    /// The relay told something about a leg's port.
    pub(super) fn relayed(&mut self, env: &mut Env<'_>, tables: &mut Tables, event: RelayEvent) {
        let (now, port) = (env.cx.now.mono, event.port());
        if self.relayed_of_recorder(env, tables, &event) {
            return;
        }
        let seat = self.seats().into_iter().find(|seat| self.media_at(*seat).is_some_and(|media| media.port == port));
        let Some((seat, media)) = seat.and_then(|seat| Some((seat, self.media_at(seat)?))) else {
            return self.relayed_aside(env, &event);
        };
        match event {
            RelayEvent::Control { from, datagram, .. } => media.session.handle_datagram(now, from, &datagram),
            RelayEvent::Latched { component, source, .. } => {
                media.session.latched(component, source);
                self.tell_step(env, seat.side(), timeline::latched(component, source));
                self.write_down(env);
            }
            RelayEvent::Stream { ssrc, .. } => {
                let step = media.stream_step(ssrc);
                return self.tell_step(env, seat.side(), step);
            }
            RelayEvent::Positions { positions, .. } => {
                media.positions = Some(positions);
                return self.write_down(env);
            }
            RelayEvent::OpenFailed { error, .. } => {
                env.cx.event(Event::Impaired { part: "relay".into(), reason: format!("media port: {error}") });
                return self.port_lost(env, tables, seat);
            }
            RelayEvent::Digit { digit, .. } => return self.digit_heard(env, seat.side(), digit),
            RelayEvent::PictureWanted { .. } => return self.picture_wanted(env, seat.side()),
            RelayEvent::Said { .. } => return self.said(env, tables, seat.side()),
            RelayEvent::Counters { counters, last, .. } => {
                media.counters = *counters;
                media.closed |= last;
                self.watch_audio(env, port);
                self.tell_measured(env, seat.side(), port);
                return self.record_when_closed(env, tables);
            }
        }
        self.pump_seat(env, tables, seat);
        self.watch_media(env);
    }

    /// A sound was said to its end: that the call is recorded, or all that the node had to say.
    fn said(&mut self, env: &mut Env<'_>, tables: &mut Tables, side: Side) {
        if !self.announced(env, side) {
            self.sound_over(env, tables);
        }
    }

    /// Another process sits on a port. Before anybody was told of it another one is taken: the caller's leg moves, a target is asked anew.
    fn port_lost(&mut self, env: &mut Env<'_>, tables: &mut Tables, seat: Seat) {
        self.asking.ports_lost += 1;
        if self.media_at(seat).is_some_and(|media| media.number.is_none()) {
            tables.apart_until = env.cx.now.mono + APART;
        }
        let untold = self.answered.is_none() && self.asking.earlies.iter().all(|early| early.sdp.is_none());
        let again = self.asking.ports_lost <= limits::PORT_TRIES_MAX;
        match seat {
            Seat::Caller if again && untold && self.callee.is_none() && self.phase != Phase::Ending => {
                let number = tables.allocator.take(env.cx.now.mono, env.cx.entropy.u64());
                if let (Some(number), Some(media)) = (number, self.caller.media.as_mut()) {
                    return reopen(env, tables, self.id, media, number);
                }
            }
            Seat::Branch(no) if again => {
                if let Some(branch) = self.asking.take(no) {
                    let wanted = branch.wanted();
                    branch.give_up(env, tables, None);
                    if let Err(failure) = self.ask(env, tables, wanted) {
                        self.asking.failures.push(failure);
                    }
                    return self.after_failure(env, tables);
                }
            }
            _ => {}
        }
        self.end(env, tables, Cause::named(503, "no-media-port"));
    }
}
