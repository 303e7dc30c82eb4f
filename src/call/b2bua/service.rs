//! What the node answers itself: echo, sounds, conferences; and music for who is held. A call of this kind has one leg.

use super::call::{Call, Failure, Media, Phase, Side};
use super::ending::Cause;
use super::recording::metadata::uuid;
use super::{Env, Tables};
use crate::route::{Outcome, Service};
use ringfort_base::{CallId, Entropy, limits};
use ringfort_media::audio::{Signal, Speaking};
use ringfort_media::bridge;
use ringfort_media::description::Description;
use ringfort_media::plan::{AudioPlan, Destination, DiscardReason, RelayCommand, Source, Speech};
use ringfort_media::sdp::Direction;
use ringfort_media::session::LegSession;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What the node does on a leg that has no other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Attendance {
    /// The peer's packets go back, under this SSRC.
    Echo {
        /// SSRC.
        ssrc: u32,
    },
    /// It says a sound, once.
    Sound(String),
    /// It mixes all who are in this room.
    Room(String),
}

impl Attendance {
    /// Whether it needs a codec that the node speaks. An echo sends back whatever comes.
    pub(super) fn speaks(&self) -> bool {
        !matches!(self, Attendance::Echo { .. })
    }
}

/// Who is in which room.
#[derive(Default)]
pub(super) struct Rooms {
    by_name: HashMap<String, Conference>,
}

/// One room.
struct Conference {
    parties: HashSet<CallId>,
    /// How recorders know that its parties belong together (RFC 7865 6.2).
    group: String,
}

impl Rooms {
    /// False: it is full.
    fn enter(&mut self, room: &str, call: CallId, entropy: &mut dyn Entropy) -> bool {
        let anew = || Conference { parties: HashSet::new(), group: uuid(entropy) };
        let parties = &mut self.by_name.entry(room.to_string()).or_insert_with(anew).parties;
        let enters = parties.contains(&call) || parties.len() < limits::CONFERENCE_PARTIES_MAX;
        if enters {
            parties.insert(call);
        }
        enters
    }

    /// How recorders know the parties of this room.
    pub(super) fn group(&self, room: &str) -> Option<String> {
        self.by_name.get(room).map(|conference| conference.group.clone())
    }

    /// The call is over.
    pub(super) fn leave(&mut self, call: CallId) {
        self.by_name.retain(|_, Conference { parties, .. }| {
            parties.remove(&call);
            !parties.is_empty()
        });
    }
}

/// What all in a room have in common: the number of their mix, by which the relay's worker is chosen too.
fn mix_of(room: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    room.hash(&mut hasher);
    hasher.finish()
}

impl Call {
    /// The node answers the caller itself.
    pub(super) fn answer_by_service(&mut self, env: &mut Env<'_>, tables: &mut Tables, service: &Service) -> Result<(), Failure> {
        let now = env.cx.now.mono;
        if *service != Service::Echo && !self.may_be_served(env) {
            return Err(Failure { outcome: Outcome::Unreachable, ..Failure::new(503, "Too Many Transcoded Calls") });
        }
        if let Service::Conference(room) = service
            && !tables.rooms.enter(room, self.id, &mut *env.cx.entropy)
        {
            return Err(Failure::new(486, "Conference Is Full"));
        }
        let delayed = self.asking.delayed;
        let media = self.caller.media.as_mut().ok_or(Failure::new(500, "No Media"))?;
        let offered = media.described.clone().unwrap_or_else(Description::g711);
        if offered.is_fax() {
            return Err(Failure::new(488, "Service Not Possible"));
        }
        let attendance = match service {
            Service::Echo => Attendance::Echo { ssrc: env.cx.entropy.u64() as u32 },
            Service::Sound(name) => Attendance::Sound(name.clone()),
            Service::Conference(room) => Attendance::Room(room.clone()),
        };
        // The echo sends back whatever came; all else needs a codec that the node speaks.
        let told = if *service == Service::Echo { offered.without_video() } else { offered.spoken() };
        let answer = if delayed { media.session.make_offer(now, &told) } else { media.session.make_answer(now, &told) };
        let answer = answer.map_err(|error| Failure::new(error.status(), "Service Not Possible"))?;
        media.attendance = Some(attendance);
        self.gather(env);
        self.connect(env, tables, 0, Some(answer));
        Ok(())
    }

    /// The ports of a room live on one worker, whatever calls they belong to.
    pub(super) fn gather(&mut self, env: &mut Env<'_>) {
        if let Some(Media { port, attendance: Some(Attendance::Room(room)), .. }) = &self.caller.media {
            env.cx.relay(RelayCommand::Move { port: *port, call: CallId(mix_of(room)) });
        }
    }

    /// The room that the caller is in.
    pub(super) fn room(&self) -> Option<&str> {
        match self.caller.media.as_ref()?.attendance.as_ref()? {
            Attendance::Room(room) => Some(room),
            _ => None,
        }
    }

    /// What the relay chooses the worker of this call by.
    pub(super) fn worker_of(&self) -> CallId {
        self.room().map_or(self.id, |room| CallId(mix_of(room)))
    }

    /// After a restart: the party of a conference is counted, and its port goes where the others are.
    pub(super) fn attend_again(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        if let Some(Attendance::Room(room)) = self.caller.media.as_ref().and_then(|media| media.attendance.as_ref()) {
            tables.rooms.enter(room, self.id, &mut *env.cx.entropy);
            // Recorders were told of the room as it was before.
            if let Some((group, room)) = self.recorded.as_ref().and_then(|r| r.group()).zip(tables.rooms.by_name.get_mut(room)) {
                room.group = group.to_string();
            }
            self.gather(env);
        }
    }

    /// A sound was said to its end: that is all the node had to say.
    pub(super) fn sound_over(&mut self, env: &mut Env<'_>, tables: &mut Tables) {
        let attendance = self.caller.media.as_ref().and_then(|media| media.attendance.as_ref());
        if self.callee.is_none() && matches!(attendance, Some(Attendance::Sound(_))) {
            self.end(env, tables, Cause { status: 200, name: "normal".into(), released_by: None, reason: None });
        }
    }

    /// What the party at this side hears of the node's own while its other side is away or holds: the ring-back of a transfer's target, or
    /// music.
    pub(super) fn told_instead(&self, side: Side, near: &Media, other: Option<&Media>) -> Option<Source> {
        let waits = self.transfer.as_ref().is_some_and(|transfer| transfer.rings_for(side));
        let alone = other.is_none_or(|other| other.session.on_hold());
        if waits && alone && self.phase == Phase::Connected && near.attendance.is_none() {
            let country = self.snapshot.as_ref().map_or(String::new(), |snapshot| snapshot.services.tones.clone());
            return Some(Source::Tone { country, signal: Signal::RingBack });
        }
        self.music_for(near, other).map(|name| Source::Sound { name, repeat: true })
    }

    /// The sound for a party whose other side holds, if there is any.
    fn music_for(&self, near: &Media, other: Option<&Media>) -> Option<String> {
        let snapshot = self.snapshot.as_ref()?;
        let name = &snapshot.services.music_on_hold;
        let held = other.is_none_or(|other| other.session.on_hold());
        let music = !name.is_empty() && held && self.phase == Phase::Connected && near.attendance.is_none();
        music.then(|| name.clone())
    }
}

/// What the node hears and says on a leg that it attends to, and where the peer's packets go. `None`: it is not attended to.
pub(super) fn attended(media: &Media, ssrc: u32) -> Option<(Destination, Option<AudioPlan>)> {
    let nowhere = Destination::Discard(DiscardReason::Unheard);
    Some(match media.attendance.as_ref()? {
        Attendance::Echo { ssrc } => (Destination::Echo { ssrc: *ssrc }, None),
        Attendance::Sound(name) => {
            let what = Source::Sound { name: name.clone(), repeat: false };
            let speak = said(&media.session, what, ssrc);
            (nowhere, Some(AudioPlan { speak, ..AudioPlan::default() }))
        }
        Attendance::Room(room) => {
            let speak = said(&media.session, Source::Mix(mix_of(room)), ssrc);
            (nowhere, Some(AudioPlan { hear: bridge::hearing(&media.session), speak }))
        }
    })
}

/// Something of the node's own for a leg's peer. `None`: it takes no codec that the node speaks.
pub(super) fn said(session: &LegSession, what: Source, ssrc: u32) -> Option<Speech> {
    let how = bridge::speaking(session)?;
    Some(Speech { how: Speaking { ssrc, ..how }, what, digits: false, pauses: false })
}

/// A party that holds wants no audio; its other side hears the node's music, so it is told to listen.
pub(super) fn told_of_hold(env: &Env<'_>, described: &Description) -> Description {
    let mut told = described.clone();
    if !env.cx.snapshot.services.music_on_hold.is_empty() && described.direction == Direction::Inactive {
        told.direction = Direction::SendOnly;
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;

    #[test]
    fn a_room_has_so_many_places_and_is_forgotten_when_empty() {
        let (mut rooms, mut dice) = (Rooms::default(), Seeded::new(1));
        assert!((0..limits::CONFERENCE_PARTIES_MAX as u64).all(|call| rooms.enter("1", CallId(call), &mut dice)));
        assert!(
            !rooms.enter("1", CallId(99), &mut dice)
                && rooms.enter("2", CallId(99), &mut dice)
                && rooms.enter("1", CallId(0), &mut dice)
        );
        rooms.leave(CallId(0));
        assert!(rooms.enter("1", CallId(100), &mut dice));
        (0..200).for_each(|call| rooms.leave(CallId(call)));
        assert!(rooms.by_name.is_empty());
    }
}
