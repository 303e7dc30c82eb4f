//! Parties whose telephones speak of recording (option tag `record-aware`, RFC 7866 6): they are told whether the call is recorded, and
//! may say what they wish of it. The first is owed to them; the second changes what the rule says it may.

use super::Recorded;
use crate::b2bua::Env;
use crate::b2bua::call::{Call, Side};
use crate::b2bua::exchange::Offer;
use crate::config::{Preference, RecordingSection};
use ringfort_base::limits;
use ringfort_media::consent::{RecordState, RecordWish};

impl Call {
    /// What the parties wish. Who wishes less has his will.
    pub(super) fn recording_wish(&self) -> Option<RecordWish> {
        let legs = [Some(&self.caller), self.callee.as_ref()].into_iter().flatten();
        let wishes = legs.filter_map(|leg| leg.media.as_ref()?.described.as_ref()?.recordpref);
        let said: Vec<RecordWish> = wishes.collect();
        [RecordWish::Off, RecordWish::Pause, RecordWish::On].into_iter().find(|wish| said.contains(wish))
    }

    /// Whether a party may have the recording paused, and wishes it.
    pub(super) fn is_paused_by_wish(&self) -> bool {
        let rule = self.recorded.as_ref().and_then(|recorded| recorded.wanted.as_ref());
        rule.is_some_and(|rule| rule.preference != Preference::Ignore) && self.recording_wish() == Some(RecordWish::Pause)
    }

    /// What parties should know of the recording.
    fn recording_told(&self, recorded: &Recorded) -> RecordState {
        match recorded.live_dialog() {
            Some((live, _)) if live.audio.is_paused() || self.is_paused_by_wish() => RecordState::Paused,
            Some(_) => RecordState::On,
            None => RecordState::Off,
        }
    }

    /// Tells those parties that understand it and do not know yet, one after the other: each by an exchange of the node's own.
    pub(super) fn tell_parties(&mut self, env: &mut Env<'_>) {
        let Some(recorded) = self.recorded.as_ref().filter(|recorded| recorded.tellings < limits::RECORDING_TELLINGS_MAX) else {
            return;
        };
        let state = self.recording_told(recorded);
        for side in [Side::Caller, Side::Callee] {
            let other = self.service_kind().is_some() || self.media(side.other()).is_some_and(|media| media.described.is_some());
            // RFC 3261 14.1: nobody is asked while an INVITE of his, or its offer, is open.
            if self.exchange.is_some() || !self.invites.is_empty() || !other {
                return;
            }
            let Some(leg) = self.leg(side).filter(|leg| leg.abilities.record_aware && leg.is_confirmed()) else { continue };
            let Some(media) = &mut leg.media else { continue };
            // Who was told nothing takes it that nothing is recorded.
            if media.session.recorded().unwrap_or(RecordState::Off) != state {
                media.session.set_recorded(state);
                // Where the node is the other side it has nothing new to say.
                let offer = if media.attendance.is_some() { Offer::Refresh } else { Offer::Resync };
                self.begin_own(env, side, offer);
                self.recorded.iter_mut().for_each(|recorded| recorded.tellings += 1);
            }
        }
    }
}

/// Whether a call for which this rule fits is recorded, as far as its parties wish.
pub(super) fn is_wished(rule: &RecordingSection, wish: Option<RecordWish>, is_recorded: bool) -> bool {
    match (rule.preference, wish) {
        (Preference::Ignore, _) | (Preference::Demand, Some(RecordWish::On)) => true,
        (Preference::Honour, wish) => wish != Some(RecordWish::Off),
        // Who pauses what he asked for has not withdrawn it.
        (Preference::Demand, Some(RecordWish::Pause)) => is_recorded,
        (Preference::Demand, _) => false,
    }
}
