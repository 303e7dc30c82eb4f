//! A recording session ends: with its call, because no rule wants it any more, or because its recorder failed; then another one has
//! its turn. The call goes on as if it had never been recorded.

use super::begin::close_ports;
use super::told::next_hop;
use crate::b2bua::call::{Call, Phase};
use crate::b2bua::proof::{Bye, Proving};
use crate::b2bua::{Env, Tables, write};
use crate::wake::Wake;
use ringfort_base::Event;
use ringfort_base::event::RecordingNote;
use ringfort_media::plan::RelayEvent;
use ringfort_sip::message::Method;

impl Call {
    /// The call ends.
    pub(in crate::b2bua) fn end_recording(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if self.recorded.is_some() {
            self.stop_recording(env, tables, "call-ended");
        }
    }

    /// Nothing is recorded from now on.
    pub(super) fn stop_recording(&mut self, env: &mut Env<'_>, tables: &mut Tables, cause: &str) {
        self.release_recorder(env, tables, cause, false);
        if let Some(recorded) = &mut self.recorded {
            recorded.wanted = None;
        }
        self.after_recording(env);
    }

    /// The recorder failed: another one has its turn. `by_peer`: it has nothing to be released.
    pub(super) fn next_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, cause: &str, by_peer: bool) {
        self.release_recorder(env, tables, cause, by_peer);
        self.after_recording(env);
        if self.phase == Phase::Connected && !self.waits_for_recorders(env) {
            self.try_recorders(env, tables);
        }
    }

    /// Nobody hears of it any more, and flows go back to where they were.
    fn after_recording(&mut self, env: &mut Env<'_>) {
        env.cx.timers.stop(Wake::Recording(self.id));
        env.cx.timers.stop(Wake::RecordingSound(self.id));
        if let Some(recorded) = &mut self.recorded {
            recorded.announcing = [false; 2];
        }
        if self.phase == Phase::Connected {
            self.replan(env);
            self.write_down(env);
        }
    }

    /// BYE to a session that stands, CANCEL to an INVITE; its ports close.
    fn release_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, cause: &str, by_peer: bool) {
        let Some(recorded) = &mut self.recorded else { return };
        let (Some(mut live), dialog) = (recorded.live.take(), recorded.dialog.take()) else { return };
        tables.recordings.remove(&live.key);
        recorded.stands = None;
        if let Some(awaited) = &live.unacknowledged {
            tables.invites.remove(&awaited.id);
            env.cx.transactions.ack_received(env.cx.now.mono, awaited.id);
        }
        if let Some((id, _)) = &live.asked {
            env.cx.owners.remove(id);
        }
        match dialog {
            Some(mut dialog) => {
                env.cx.owners.remove(&live.invite.0);
                if !by_peer {
                    let hop = next_hop(&live, &dialog);
                    let bye = write::inside(env.cx, &mut dialog, &Method::Bye);
                    let fields = live.proving.fields(env.cx, &Method::Bye, &dialog.remote_target);
                    let octets = fields.iter().fold(bye, |bye, (name, value)| bye.header(*name, value)).build();
                    tables.abandoned.byes.say(env.cx, Bye { hop, octets, proving: std::mem::take(&mut live.proving) });
                }
            }
            None if by_peer => drop(env.cx.owners.remove(&live.invite.0)),
            None => {
                let unwanted = live.unwanted(live.hop);
                tables.abandoned.give_up(env.cx, live.invite.0, unwanted, None);
            }
        }
        close_ports(env, tables, live.audio.ports(), &live.numbers);
        let note =
            RecordingNote { recorder: live.recorder.clone(), began: live.began, ended: env.cx.now.wall, cause: cause.into() };
        recorded.notes.push(note);
        let state = match (live.began, cause) {
            (Some(_), "call-ended" | "no-rule" | "preference") => "ended",
            (Some(_), _) => "lost",
            (None, "call-ended" | "no-rule" | "preference") => return,
            (None, _) => "failed",
        };
        env.cx.event(Event::Recording { call: self.id, recorder: live.recorder, state: state.into(), cause: cause.into() });
    }

    /// A recorder could not even be asked.
    pub(super) fn note_failure(&mut self, env: &mut Env<'_>, recorder: &str, cause: &str) {
        let Some(recorded) = &mut self.recorded else { return };
        let (recorder, ended) = (recorder.to_string(), env.cx.now.wall);
        recorded.notes.push(RecordingNote { recorder: recorder.clone(), began: None, ended, cause: cause.into() });
        env.cx.event(Event::Recording { call: self.id, recorder, state: "failed".into(), cause: cause.into() });
    }

    /// The relay told something about a port that leads to a recorder. False: it does not.
    pub(in crate::b2bua) fn relayed_of_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, event: &RelayEvent) -> bool {
        let known = self.is_recorders(event.port());
        if let RelayEvent::OpenFailed { error, .. } = event
            && known
        {
            env.cx.event(Event::Impaired { part: "relay".into(), reason: format!("media port of a recording: {error}") });
            self.next_recorder(env, tables, "media-port", false);
        }
        if let RelayEvent::Counters { port, counters, last: false } = event
            && known
        {
            self.recorder_counted(env, tables, *port, counters);
        }
        known
    }

    /// After a restart: the session of the dead process is released, and another one begins (see [`super::Recorded`]).
    pub(in crate::b2bua) fn release_old_recorder(&mut self, env: &mut Env<'_>, tables: &mut Tables, cseq_gap: u32) {
        let Some(recorded) = &mut self.recorded else { return };
        let (Some(mut dialog), Some((recorder, began))) = (recorded.dialog.take(), recorded.stands.take()) else { return };
        let (began, ended, proving) = (Some(began), env.cx.now.wall, Proving::of_recorder(&recorder));
        recorded.notes.push(RecordingNote { recorder, began, ended, cause: "restart".into() });
        dialog.local_cseq = dialog.local_cseq.saturating_add(cseq_gap);
        // A connection of the dead process is gone.
        dialog.hop.flow = dialog.hop.flow.filter(|_| !dialog.hop.transport.is_reliable());
        let hop = write::named_hop(&dialog, dialog.hop);
        let octets = write::inside(env.cx, &mut dialog, &Method::Bye).build();
        tables.abandoned.byes.say(env.cx, Bye { hop, octets, proving });
        self.write_down(env);
    }
}
