//! Parties are told that they are recorded, by a sound, before anything of them is: as soon as a recorder has agreed, and again for
//! whoever comes into the call later. Meanwhile they do not hear each other. Who cannot be told is not recorded.

use super::Recorded;
use super::told::Scene;
use crate::b2bua::call::{Call, Media, Side};
use crate::b2bua::{Env, Tables, service};
use crate::wake::Wake;
use ringfort_base::limits;
use ringfort_media::plan::{AudioPlan, Destination, DiscardReason, Source};

impl Call {
    /// Tells those who have not been told yet, where the rule wants it.
    pub(super) fn announce_recording(&mut self, env: &mut Env<'_>, tables: &mut Tables, scene: &Scene) {
        let Some(recorded) = &mut self.recorded else { return };
        if recorded.wanted.as_ref().is_none_or(|rule| rule.announce.is_empty()) || recorded.live_dialog().is_none() {
            return;
        }
        recorded.cast.enter(env.cx.now.wall, &scene.people, &mut *env.cx.entropy);
        let Some(recorded) = &self.recorded else { return };
        let untold = self.untold(recorded);
        let Some(recorded) = &mut self.recorded else { return };
        if untold == recorded.announcing || untold == [false; 2] {
            return;
        }
        recorded.announcing = untold;
        let deaf = |side: Side| untold[side as usize] && !self.can_be_told(side);
        if deaf(Side::Caller) || deaf(Side::Callee) {
            return self.stop_recording(env, tables, "cannot-announce");
        }
        env.cx.timers.set(Wake::RecordingSound(self.id), env.cx.now.mono + limits::RECORDING_SOUND_MAX);
        self.replan(env);
    }

    /// Which parties have not heard it yet. What the node answers itself has one.
    pub(super) fn untold(&self, recorded: &Recorded) -> [bool; 2] {
        let sits = [true, self.callee.is_some()];
        [0, 1].map(|side| sits[side] && !recorded.cast.is_side_told(side))
    }

    fn can_be_told(&self, side: Side) -> bool {
        let leg = if side == Side::Caller { Some(&self.caller) } else { self.callee.as_ref() };
        let sound = Source::Sound { name: String::new(), repeat: false };
        leg.and_then(|leg| leg.media.as_ref()).is_some_and(|media| service::said(&media.session, sound, 0).is_some())
    }

    /// What passes at this side while a party hears that it is recorded. `None`: nobody does.
    pub(in crate::b2bua) fn announced_at(&self, side: Side, near: &Media, ssrc: u32) -> Option<(Destination, Option<AudioPlan>)> {
        let recorded = self.recorded.as_ref().filter(|recorded| recorded.announcing.contains(&true))?;
        let name = recorded.wanted.as_ref()?.announce.clone();
        let sound = Source::Sound { name, repeat: false };
        let hears = recorded.announcing.get(side as usize) == Some(&true);
        let speak = hears.then(|| service::said(&near.session, sound, ssrc)).flatten();
        let audio = speak.map(|speech| AudioPlan { speak: Some(speech), ..AudioPlan::default() });
        Some((Destination::Discard(DiscardReason::OnHold), audio))
    }

    /// A party has heard the sound to its end. False: it heard none of this kind.
    pub(in crate::b2bua) fn announced(&mut self, env: &mut Env<'_>, side: Side) -> bool {
        let Some(recorded) = &mut self.recorded else { return false };
        if recorded.announcing.get(side as usize) != Some(&true) {
            return false;
        }
        recorded.cast.tell(side as usize);
        recorded.announcing[side as usize] = false;
        if recorded.announcing == [false; 2] {
            env.cx.timers.stop(Wake::RecordingSound(self.id));
        }
        self.replan(env);
        self.write_down(env);
        true
    }

    /// The sound does not end: the call goes on, unrecorded.
    pub(in crate::b2bua) fn announcement_overdue(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        self.stop_recording(env, tables, "cannot-announce");
    }
}
