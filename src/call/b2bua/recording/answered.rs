//! What a recorder says to the node's requests, or leaves unsaid.

use super::Question;
use super::told::{Scene, next_hop};
use crate::b2bua::call::Call;
use crate::b2bua::{Env, Tables, progress, write};
use crate::peers::PeerName;
use crate::registration_client::retry_after;
use crate::wake::Wake;
use ringfort_base::{Event, Hop, limits};
use ringfort_sip::dialog::{Dialog, DialogState};
use ringfort_sip::message::Message;
use ringfort_sip::transaction::TransactionId;
use std::time::Duration;

/// A change that met the recorder's own is tried again after this time and up to as much more (RFC 3261 14.1).
const GLARE: Duration = Duration::from_millis(2_100);

/// Which of the node's requests to a recorder.
pub(super) enum Sent {
    Invite,
    Change,
    Alive,
}

impl Call {
    fn sent_to_recorder(&self, id: TransactionId) -> Option<Sent> {
        let live = self.recorded.as_ref()?.live.as_ref()?;
        match &live.asked {
            _ if live.invite.0 == id => Some(Sent::Invite),
            Some((asked, Question::Change(_))) if *asked == id => Some(Sent::Change),
            Some((asked, Question::Alive)) if *asked == id => Some(Sent::Alive),
            _ if live.ack.as_ref().is_some_and(|(acked, ..)| *acked == id) => Some(Sent::Invite),
            _ => None,
        }
    }

    /// A response of a recorder. False: it is none of that.
    pub(in crate::b2bua) fn recorder_answered(
        &mut self,
        env: &mut Env<'_>,
        tables: &mut Tables,
        id: TransactionId,
        hop: Hop,
        response: &Message,
    ) -> bool {
        let Some(sent) = self.sent_to_recorder(id) else { return false };
        let status = response.status().unwrap_or(500);
        if matches!(status, 401 | 407) && self.prove_to_recorder(env, id, &sent, response) {
            return true;
        }
        if status >= 200 {
            self.recorder_granted(id, status < 300);
        }
        match sent {
            Sent::Invite if status < 200 => self.recorder_spoke(env),
            Sent::Invite if status < 300 => self.recorder_accepted(env, tables, id, hop, response),
            Sent::Invite => self.recorder_refused(env, tables, status, response),
            _ if status < 200 => env.cx.timers.set(Wake::Recording(self.id), env.cx.now.mono + limits::RECORDER_ANSWER_MAX),
            // RFC 3261 12.2.1.2: it knows nothing of the session any more.
            _ if matches!(status, 408 | 481) => self.lose_recorder(env, tables, "forgotten"),
            Sent::Change => self.change_answered(env, tables, id, status, response),
            Sent::Alive => self.recorder_lives(env),
        }
        true
    }

    /// A request to a recorder has no answer and will have none. False: it is none of that.
    pub(in crate::b2bua) fn recorder_failed(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId) -> bool {
        let known = self.sent_to_recorder(id).is_some();
        if known {
            self.recorder_silent(env, tables);
        }
        known
    }

    /// Time for what is next: a recorder has been silent for too long, is to be asked whether it is there, or another one is to be tried.
    pub(in crate::b2bua) fn recording_due(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let Some(recorded) = &self.recorded else { return };
        match recorded.live_dialog() {
            None if recorded.live.is_none() => self.try_recorders(env, tables),
            None => self.recorder_silent(env, tables),
            Some((live, _)) if live.asked.is_some() => self.recorder_silent(env, tables),
            Some((live, _)) if live.quiet_until > env.cx.now.mono => self.watch_recorder(env),
            Some(_) => {
                self.tell_recorder(env, tables);
                let asked = self.recorded.as_ref().and_then(|r| r.live.as_ref()).is_some_and(|live| live.asked.is_some());
                if !asked {
                    self.ask_whether_recorded(env, tables);
                }
            }
        }
    }

    /// The next moment at which the recorder is looked after.
    fn watch_recorder(&self, env: &mut Env<'_>) {
        let Some(live) = self.recorded.as_ref().and_then(|recorded| recorded.live.as_ref()) else { return };
        let (now, quiet) = (env.cx.now.mono, live.quiet_until);
        let next = if quiet > now { quiet } else { now + limits::RECORDER_ASKED };
        env.cx.timers.set(Wake::Recording(self.id), next);
    }

    fn recorder_spoke(&mut self, env: &mut Env<'_>) {
        let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) else { return };
        if !std::mem::replace(&mut live.spoke, true) {
            env.cx.timers.set(Wake::Recording(self.id), env.cx.now.mono + limits::RECORDER_ANSWER_MAX);
        }
    }

    fn recorder_lives(&mut self, env: &mut Env<'_>) {
        if let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) {
            live.asked = None;
        }
        self.watch_recorder(env);
    }

    /// 2xx to the INVITE, or once more to any INVITE of the session.
    fn recorder_accepted(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId, hop: Hop, response: &Message) {
        let Some(recorded) = &mut self.recorded else { return };
        let Some(live) = &mut recorded.live else { return };
        if let Some(dialog) = &recorded.dialog {
            let same = response.to().is_ok_and(|to| to.tag() == Some(dialog.id.remote_tag.as_str()));
            match live.ack.clone().filter(|(acked, ..)| same && *acked == id) {
                Some((_, hop, ack)) => env.cx.send(hop, ack),
                // Of another branch of a fork.
                None if !same => tables.abandoned.acknowledge_and_release(env.cx, live.unwanted(hop), response),
                None => {}
            }
            return;
        }
        let founded = Message::parse(live.invite.1.clone()).ok().and_then(|invite| Dialog::uac(&invite, response, hop).ok());
        let Some(dialog) = founded.filter(|dialog| dialog.state == DialogState::Confirmed) else {
            return self.refuse_recorder(env, tables, "bad-dialog");
        };
        live.hop = hop;
        recorded.dialog = Some(dialog);
        self.acknowledge_recorder(env, id);
        match self.take_recorders_answer(env, response) {
            Ok(()) => self.recording_stands(env, tables),
            Err(cause) => self.refuse_recorder(env, tables, cause),
        }
    }

    fn acknowledge_recorder(&mut self, env: &mut Env<'_>, id: TransactionId) {
        let Some(recorded) = &mut self.recorded else { return };
        let (Some(live), Some(dialog)) = (&mut recorded.live, &recorded.dialog) else { return };
        let hop = next_hop(live, dialog);
        if let Some(ack) = write::ack(env.cx, dialog) {
            let ack = live.proving.acknowledging(ack).build();
            live.ack = Some((id, hop, ack.clone()));
            env.cx.send(hop, ack);
        }
    }

    /// Takes the answer in a 2xx or ACK, and lets the relay know.
    pub(super) fn take_recorders_answer(&mut self, env: &mut Env<'_>, response: &Message) -> Result<(), &'static str> {
        let sdp = progress::sdp_of(response).ok_or("no-sdp-in-answer")?;
        let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) else { return Err("no-rule") };
        let was_paused = live.audio.is_paused();
        live.audio.receive_answer(sdp).map_err(|error| match error.status() {
            488 => "incompatible",
            _ => "bad-sdp-in-answer",
        })?;
        self.recorders_audio_changed(env, was_paused);
        Ok(())
    }

    fn recording_stands(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let call = self.id;
        let Some(live) = self.recorded.as_mut().and_then(|recorded| recorded.live.as_mut()) else { return };
        live.began = Some(env.cx.now.wall);
        let (recorder, scene, paused) = (live.recorder.clone(), live.told.clone(), live.audio.is_paused());
        let stands = Some((recorder.clone(), env.cx.now.wall));
        self.recorded.iter_mut().for_each(|recorded| recorded.stands.clone_from(&stands));
        env.cx.event(Event::Recording { call, recorder: recorder.clone(), state: "begun".into(), cause: String::new() });
        if paused {
            env.cx.event(Event::Recording { call, recorder, state: "paused".into(), cause: String::new() });
        }
        self.watch_recorder(env);
        self.write_down(env);
        if let Some(scene) = scene {
            self.announce_recording(env, tables, &scene);
        }
    }

    /// A final answer to a change.
    fn change_answered(&mut self, env: &mut Env<'_>, tables: &mut Tables, id: TransactionId, status: u16, response: &Message) {
        let wait = GLARE.mul_f64(1.0 + env.cx.entropy.u64() as f64 / u64::MAX as f64);
        let Some(recorded) = &mut self.recorded else { return };
        let (Some(live), Some(dialog)) = (&mut recorded.live, &mut recorded.dialog) else { return };
        let Some((_, Question::Change(scene))) = live.asked.take() else { return };
        if (200..300).contains(&status) {
            // A malformed Contact leaves the target as it was.
            let _ = dialog.accept_success(response);
            live.told = Some(*scene);
            self.acknowledge_recorder(env, id);
            return match self.take_recorders_answer(env, response) {
                Ok(()) => self.watch_recorder(env),
                Err(cause) => self.refuse_recorder(env, tables, cause),
            };
        }
        let same_codecs = |before: &Scene| before.sent == scene.sent;
        match status {
            491 => live.quiet_until = env.cx.now.mono + wait,
            // What it took before goes on; it knows less than it could.
            _ if live.told.as_ref().is_some_and(same_codecs) => live.told = Some(*scene),
            _ => return self.refuse_recorder(env, tables, "change-refused"),
        }
        self.watch_recorder(env);
    }

    /// The recorder declined the INVITE.
    fn recorder_refused(&mut self, env: &mut Env<'_>, tables: &mut Tables, status: u16, response: &Message) {
        if status == 503
            && let Some(live) = self.recorded.as_ref().and_then(|recorded| recorded.live.as_ref())
        {
            let (name, hop) = (PeerName::Recorder(live.recorder.clone()), live.hop);
            env.peers.server_failed(env.cx, &name, hop, retry_after(response), "INVITE answered 503");
        }
        self.next_recorder(env, tables, &format!("refused-{status}"), true);
    }

    /// Nothing came in time: another recorder is tried.
    fn recorder_silent(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if let Some(live) = self.recorded.as_ref().and_then(|recorded| recorded.live.as_ref()) {
            let (name, hop) = (PeerName::Recorder(live.recorder.clone()), live.hop);
            env.peers.server_failed(env.cx, &name, hop, None, "recorder silent");
        }
        self.next_recorder(env, tables, "no-answer", false);
    }

    /// What the recorder wants is not possible: it is released, and another one is tried.
    pub(super) fn refuse_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, cause: &str) {
        self.next_recorder(env, tables, cause, false);
    }

    /// The session is lost: another recorder is tried.
    pub(super) fn lose_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, cause: &str) {
        self.next_recorder(env, tables, cause, true);
    }
}
