//! What a recorder is told when the call changes (RFC 7866 7.1, 9.2): other people, other codecs, hold. Each time it is told all, by
//! re-INVITE, so that nothing depends on what it made of the time before.

use super::begin::{OPTION, contact};
use super::metadata::{self, Who};
use super::{Live, Question, Recorded};
use crate::b2bua::call::{Call, Side};
use crate::b2bua::service::Attendance;
use crate::b2bua::{Env, Tables, write};
use crate::config::ServiceKind;
use crate::context::{Context, Owner};
use crate::peers::PeerName;
use crate::wake::Wake;
use ringfort_base::limits;
use ringfort_media::description::Format;
use ringfort_media::recording;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::{Builder, HeaderName, Method};
use ringfort_sip::transaction::TransactionId;

/// The call as a recorder knows it.
#[derive(Clone, PartialEq)]
pub(super) struct Scene {
    /// Who sits there, caller's side first.
    pub people: [Who; 2],
    /// The formats that each of them sends; of what the node answers itself the caller's alone.
    pub sent: Vec<Vec<Format>>,
    /// Nothing is recorded now: a party takes no audio, or wishes it so.
    pub held: bool,
    /// How the parties name the session, caller first.
    pub sip: [Option<u128>; 2],
}

impl Call {
    /// The call as it is. `None`: the audio of a party is not agreed on.
    pub(super) fn scene(&mut self, cx: &Context) -> Option<Scene> {
        let held = self.is_held() || self.is_paused_by_wish();
        let (first, a) = self.heard_at(cx, Side::Caller)?;
        let (second, sent) = match self.service_kind() {
            Some(_) => (self.service_person(cx), vec![a]),
            None => self.heard_at(cx, Side::Callee).map(|(second, b)| (second, vec![a, b]))?,
        };
        let sip = [Side::Caller, Side::Callee].map(|side| self.leg(side).and_then(|leg| leg.abilities.session));
        Some(Scene { people: [first, second], sent, held, sip })
    }

    /// What the node does with the caller itself. `None`: there is another party.
    pub(super) fn service_kind(&self) -> Option<ServiceKind> {
        let media = self.caller.media.as_ref().filter(|_| self.callee.is_none())?;
        Some(match media.attendance.as_ref()? {
            Attendance::Echo { .. } => ServiceKind::Echo,
            Attendance::Sound(_) => ServiceKind::Sound,
            Attendance::Room(_) => ServiceKind::Conference,
        })
    }

    /// What was called stands for the node: all in a room have dialled it.
    fn service_person(&self, cx: &Context) -> Who {
        let aor = format!("sip:{}@{}", write::user(&self.asked.number), self.terms(cx).node.domain);
        Who { aor, name: String::new() }
    }

    fn heard_at(&mut self, cx: &Context, side: Side) -> Option<(Who, Vec<Format>)> {
        let media = self.media(side)?;
        let sent = recording::sent_by(&media.session);
        if !sent.iter().any(Format::is_speech) {
            return None;
        }
        let connected = self.connected(cx, side)?;
        let (user, name) = connected.person_told();
        let aor = format!("sip:{}@{}", write::user(user), self.terms(cx).node.domain);
        Some((Who { aor, name: name.to_string() }, sent))
    }

    /// The people of the scene as metadata.
    pub(super) fn cast_now(&mut self, cx: &mut Context, scene: &Scene) -> String {
        let Some(recorded) = &mut self.recorded else { return String::new() };
        recorded.cast.enter(cx.now.wall, &scene.people, &mut *cx.entropy);
        recorded.cast.xml(scene.sent.len(), !scene.held, scene.sip)
    }

    /// Tells the recorder what it does not know yet, if its session stands and nothing is under way.
    pub(super) fn tell_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let now = env.cx.now.mono;
        let stands = self.recorded.as_deref().is_some_and(|recorded| recorded.live_dialog().is_some());
        let Some(scene) = stands.then(|| self.scene(env.cx)).flatten() else { return };
        // Whoever came in hears it at once, whatever the recorder is busy with.
        self.announce_recording(env, tables, &scene);
        let idle = |r: &Recorded| {
            r.live_dialog()
                .is_some_and(|(live, _)| live.asked.is_none() && live.unacknowledged.is_none() && live.quiet_until <= now)
        };
        if !self.recorded.as_deref().is_some_and(idle) {
            return;
        }
        if self.recorded.as_ref().and_then(|r| r.live.as_ref()).is_some_and(|live| live.told.as_ref() == Some(&scene)) {
            return;
        }
        // Another party took the node's place, or the other way round: a session keeps its lines.
        let lines = self.recorded.as_ref().and_then(|r| r.live.as_ref()).map(|live| live.audio.ports().count());
        if lines.is_some_and(|lines| lines != scene.sent.len()) {
            return self.next_recorder(env, tables, "other-streams", false);
        }
        self.send_change(env, tables, scene);
    }

    fn send_change(&mut self, env: &mut Env<'_>, tables: &mut Tables, scene: Scene) {
        let (xml, boundary) = (self.cast_now(env.cx, &scene), env.cx.entropy.token(16));
        let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) else { return };
        let sdp = live.audio.make_offer(&scene.sent, !scene.held, &mut *env.cx.entropy);
        let (content_type, body) = metadata::body(&boundary, &sdp, &xml);
        let contact = contact(env.cx, &live.hop);
        let sent = self.ask_inside(env, &Method::Invite, |request| {
            request.header(HeaderName::Contact, contact).header(HeaderName::Require, OPTION).body(&content_type, body)
        });
        match (sent, self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut())) {
            (Some(id), Some(live)) => live.asked = Some((id, Question::Change(Box::new(scene)))),
            _ => self.next_recorder(env, tables, "limit", false),
        }
        self.write_down(env);
    }

    /// Asks whether the recorder is still there.
    pub(super) fn ask_whether_recorded(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let sent = self.ask_inside(env, &Method::Options, |request| request);
        match (sent, self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut())) {
            (Some(id), Some(live)) => live.asked = Some((id, Question::Alive)),
            _ => self.next_recorder(env, tables, "limit", false),
        }
    }

    /// Sends a request within the recorder's dialog; it has to be answered in time.
    fn ask_inside(&mut self, env: &mut Env<'_>, method: &Method, word: impl FnOnce(Builder) -> Builder) -> Option<TransactionId> {
        let id = self.id;
        let recorded = self.recorded.as_mut()?;
        let (live, dialog) = (recorded.live.as_mut()?, recorded.dialog.as_mut()?);
        let patience = env.peers.find(&PeerName::Recorder(live.recorder.clone())).map(|peer| peer.patience());
        let hop = next_hop(live, dialog);
        let (request, target) = (write::inside(env.cx, dialog, method), dialog.remote_target.clone());
        let fields = live.proving.fields(env.cx, method, &target);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let sent = live.proving.send(env.cx, hop, word(request).build(), Owner::Call(id))?;
        env.cx.timers.set(Wake::Recording(id), env.cx.now.mono + patience.unwrap_or(limits::RECORDER_ANSWER_MAX));
        Some(sent)
    }
}

/// Where requests within the dialog go: where the recorder says, if that is an address.
pub(super) fn next_hop(live: &Live, dialog: &Dialog) -> ringfort_base::Hop {
    write::named_hop(dialog, live.hop)
}
