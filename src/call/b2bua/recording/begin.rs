//! Which calls are recorded, and by whom: a rule is looked for when a call is answered, and whenever its parties change.

use super::aware;
use super::metadata::{self, Cast};
use super::{Considered, Live, Recorded};
use crate::b2bua::call::{Call, Phase, Side};
use crate::b2bua::proof::Proving;
use crate::b2bua::{Env, Tables, write};
use crate::config::Recordable;
use crate::context::{Context, Owner};
use crate::overload::Stage;
use crate::peers::PeerName;
use crate::wake::Wake;
use bytes::Bytes;
use ringfort_base::{Hop, PortId, Time, limits};
use ringfort_media::MediaAddress;
use ringfort_media::plan::RelayCommand;
use ringfort_media::recording::RecordingSession;
use ringfort_sip::message::{Builder, HeaderName, Method};
use std::net::SocketAddr;

/// What tells a recorder that the node is the client of recording sessions (RFC 7866 6.1.1).
pub(super) const OPTION: &str = "siprec";

/// Ports of the relay, and their numbers to be given back.
type Opened = (Vec<(PortId, MediaAddress)>, Vec<u16>);

impl Call {
    /// Looks whether the call is to be recorded, and tells the recorder what changed. Called after everything that happens to a call.
    pub(in crate::b2bua) fn follow_recording(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if self.phase != Phase::Connected {
            return;
        }
        self.consider_recording(env, tables);
        self.tell_recorder(env, tables);
        self.tell_parties(env);
    }

    /// Looks for a rule, if there are other parties than before, or they wish something else.
    fn consider_recording(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let terms = self.terms(env.cx);
        if terms.recordings.is_empty() && self.recorded.is_none() {
            return;
        }
        let Some(caller) = self.party(Side::Caller) else { return };
        let kind = self.service_kind();
        let parties = match (kind, self.party(Side::Callee)) {
            (Some(_), _) => vec![caller],
            (None, Some(callee)) => vec![caller, callee],
            (None, None) => return,
        };
        let now = Considered { parties, wish: self.recording_wish() };
        // Of a transfer's call the referrer's party is to take the node's place first.
        let is_dialling = || tables.referrals.values().any(|(_, target)| *target == self.id);
        if self.considered.as_deref() == Some(&now) || is_dialling() || self.scene(env.cx).is_none() {
            return;
        }
        let fits = match (kind, &now.parties[..]) {
            (Some(kind), [caller]) => terms.recording(Recordable::Service(caller, kind), &self.asked.rule).cloned(),
            (_, [caller, callee]) => terms.recording(Recordable::Parties([caller, callee]), &self.asked.rule).cloned(),
            _ => None,
        };
        let group = self.room().and_then(|room| tables.rooms.group(room));
        let is_recorded = self.recorded.as_ref().is_some_and(|recorded| recorded.wanted.is_some());
        let rule = fits.clone().filter(|rule| aware::is_wished(rule, now.wish, is_recorded));
        self.considered = Some(Box::new(now));
        self.recorded.iter_mut().for_each(|recorded| recorded.cast.join(group.clone()));
        match (rule, &mut self.recorded) {
            (None, None) => {}
            (None, Some(_)) if fits.is_some() => self.stop_recording(env, tables, "preference"),
            (None, Some(_)) => self.stop_recording(env, tables, "no-rule"),
            (Some(_), Some(recorded)) if recorded.wanted.is_some() => {}
            (Some(rule), Some(recorded)) => {
                recorded.wanted = Some(rule);
                self.try_recorders(env, tables);
            }
            (Some(rule), None) => {
                let mut cast = Cast::new(self.answered.unwrap_or(env.cx.now.wall), &mut *env.cx.entropy);
                cast.join(group);
                self.recorded = Some(Box::new(Recorded::new(rule, cast)));
                self.try_recorders(env, tables);
            }
        }
    }

    /// Asks recorders in turn until one has an INVITE. When all of them have failed, after a while again.
    pub(super) fn try_recorders(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        loop {
            let Some((rule, tries)) = self.recorded.as_mut().and_then(|r| Some((r.wanted.clone()?, r.tries))) else { return };
            let Some(name) = rule.to.get(tries % rule.to.len().max(1)) else { return };
            if tries >= limits::RECORDINGS_PER_CALL_MAX {
                return;
            }
            if let Some(recorded) = &mut self.recorded {
                recorded.tries += 1;
            }
            // One that is known to be dead is passed over while others are left in this turn.
            let is_up = |name: &String| env.peers.is_up(&PeerName::Recorder(name.clone()));
            let asked = match is_up(name) || !rule.to.iter().any(is_up) {
                true => self.ask_recorder(env, tables, name),
                false => Err("unreachable"),
            };
            let Err(cause) = asked else { return };
            self.note_failure(env, name, cause);
            if self.waits_for_recorders(env) {
                return;
            }
        }
    }

    /// Whether all recorders of the rule have had their turn. The next turn begins later, if there is one.
    pub(super) fn waits_for_recorders(&mut self, env: &mut Env<'_>) -> bool {
        let Some((count, tries)) = self.recorded.as_ref().and_then(|r| Some((r.wanted.as_ref()?.to.len(), r.tries))) else {
            return true;
        };
        let round = tries / count.max(1);
        let over = tries % count.max(1) == 0;
        if over && tries < limits::RECORDINGS_PER_CALL_MAX {
            let wait = limits::RECORDER_WAIT * (1 << (round.saturating_sub(1)).min(6)) as u32;
            env.cx.timers.set(Wake::Recording(self.id), env.cx.now.mono + wait);
        }
        over
    }

    /// Sends the INVITE to a recorder.
    fn ask_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, name: &str) -> Result<(), &'static str> {
        if tables.recordings.len() >= limits::RECORDINGS_MAX || !tables.allocator.has_plenty() {
            return Err("limit");
        }
        if env.cx.overload >= Stage::Overloaded {
            return Err("overload");
        }
        let peer = env.peers.find(&PeerName::Recorder(name.to_string())).ok_or("unreachable")?;
        let (hop, patience) = (peer.hop().ok_or("unreachable")?, peer.patience());
        let section = env.cx.snapshot.recorder(name).ok_or("unreachable")?;
        let (security, uri) = (section.security(), section.uri().to_string());
        let scene = self.scene(env.cx).ok_or("no-audio")?;
        let (ports, numbers) = self.open_ports(env, tables, &hop, scene.sent.len()).ok_or("limit")?;
        let mut audio = RecordingSession::new(security, &ports, &mut *env.cx.entropy);
        let sdp = audio.make_offer(&scene.sent, !scene.held, &mut *env.cx.entropy);
        let now = env.cx.now;
        let key = (env.cx.entropy.token(20), env.cx.tag());
        let xml = self.cast_now(env.cx, &scene);
        let octets = invite(env.cx, &hop, &uri, &key, (&sdp, &xml));
        let Some(id) = env.cx.request(hop, octets.clone(), Some(Owner::Call(self.id))) else {
            close_ports(env, tables, audio.ports(), &numbers);
            return Err("limit");
        };
        tables.recordings.insert(key.clone(), self.id);
        let (recorder, invite, spoke, ack, began) = (name.to_string(), (id, octets), false, None, None);
        let (told, asked, quiet_until) = (Some(scene), None, Time::ZERO);
        let proving = Proving::of_recorder(name);
        let unacknowledged = None;
        let live = Live {
            recorder,
            hop,
            key,
            invite,
            spoke,
            ack,
            audio,
            proving,
            numbers,
            began,
            told,
            asked,
            quiet_until,
            unacknowledged,
            ways: Default::default(),
            silent: [false; 2],
        };
        if let Some(recorded) = &mut self.recorded {
            recorded.live = Some(live);
        }
        env.cx.timers.set(Wake::Recording(self.id), now.mono + patience);
        Ok(())
    }

    /// A port for each stream. `None`: there are not enough.
    fn open_ports(&self, env: &mut Env<'_>, tables: &mut Tables, hop: &Hop, count: usize) -> Option<Opened> {
        let own = env.cx.own.for_media(hop, Some(hop.remote.ip()));
        let (bind, advertised) = (own.media_bind, own.media_advertised);
        let numbers: Vec<u16> = (0..count).filter_map(|_| tables.allocator.take(env.cx.now.mono, env.cx.entropy.u64())).collect();
        if numbers.len() < count {
            numbers.iter().for_each(|number| tables.allocator.give_back(env.cx.now.mono, *number));
            return None;
        }
        let mut ports = Vec::new();
        for number in &numbers {
            let port = PortId(tables.fresh_id().0);
            let (rtp, rtcp) = (SocketAddr::new(bind, *number), Some(SocketAddr::new(bind, *number + 1)));
            tables.ports.insert(port, self.id);
            // A copy does not change workers.
            env.cx.relay(RelayCommand::Open { port, call: self.worker_of(), rtp, rtcp, shared: false });
            ports.push((port, MediaAddress { rtp, rtcp, advertised }));
        }
        Some((ports, numbers))
    }
}

/// The ports of a session close; their numbers come back after a rest.
pub(super) fn close_ports(env: &mut Env<'_>, tables: &mut Tables, ports: impl Iterator<Item = PortId>, numbers: &[u16]) {
    numbers.iter().for_each(|number| tables.allocator.give_back(env.cx.now.mono, *number));
    for port in ports {
        tables.ports.remove(&port);
        env.cx.relay(RelayCommand::Close { port });
    }
}

/// The node's Contact towards a recorder.
pub(super) fn contact(cx: &Context, hop: &Hop) -> String {
    format!("{};+sip.src", write::contact(cx, hop))
}

/// The INVITE that begins a session (RFC 7866 6.1).
fn invite(cx: &mut Context, hop: &Hop, uri: &str, key: &(String, String), (sdp, xml): (&[u8], &str)) -> Bytes {
    let (branch, boundary) = (cx.branch(), cx.entropy.token(16));
    let (content_type, body) = metadata::body(&boundary, sdp, xml);
    let from = format!("<sip:ringfort@{}>;tag={}", cx.own.at(hop).host(), key.1);
    Builder::request(&Method::Invite, uri)
        .via(hop.transport, cx.own.sent_by(hop), &branch, true)
        .header(HeaderName::MaxForwards, 70)
        .header(HeaderName::From, from)
        .header(HeaderName::To, format!("<{uri}>"))
        .header(HeaderName::CallId, &key.0)
        .header(HeaderName::CSeq, "1 INVITE")
        .header(HeaderName::Contact, contact(cx, hop))
        .header(HeaderName::Require, OPTION)
        .header(HeaderName::Allow, ALLOW)
        .header(HeaderName::Accept, "application/sdp, application/rs-metadata-request")
        .header(HeaderName::UserAgent, crate::PRODUCT)
        .body(&content_type, body)
        .build()
}

/// What the node takes of a recorder.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO";
