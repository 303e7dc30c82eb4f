//! Recording (RFC 7866, RFC 7865): the node as the client of a recorder. A recorded call owns its recording session as it owns its legs,
//! and waits for it in nothing: a recorder that is slow, wrong or dead costs the recording, never the call. Read on in the order of a
//! recording's life: [`begin`] (which calls, by which recorder), [`answered`] (what the recorder says to the node's requests),
//! [`challenged`] (it asks who the node is), [`told`] (what it is told when the call changes), [`asked`] (what it asks for itself),
//! [`silent`] (its audio does not arrive), [`announce`] (parties are told by a sound), [`aware`] (by description), [`end`]. [`metadata`] words who is recorded.

mod announce;
mod answered;
mod asked;
mod aware;
mod begin;
mod challenged;
mod end;
pub(super) mod metadata;
mod silent;
mod told;

use super::call::{Call, Side};
use super::proof::Proving;
use crate::config::RecordingSection;
use crate::context::Context;
use crate::route::Source;
use bytes::Bytes;
use metadata::Cast;
use ringfort_base::event::RecordingNote;
use ringfort_base::{Hop, PortId, Time, Wall};
use ringfort_media::consent::RecordWish;
use ringfort_media::plan::{CopyPlan, RelayCommand};
use ringfort_media::recording::RecordingSession;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::transaction::TransactionId;
use serde::{Deserialize, Serialize};
use silent::Way;
use told::Scene;

/// What a call knows of its recording. Of a session that stands a restarted process needs the dialog only: it ends that one and begins
/// another, for the recorder has missed what was said meanwhile, and a new session says so by its time.
#[derive(Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// The rule that fits; `None`: none does any more.
    #[serde(skip)]
    wanted: Option<RecordingSection>,
    /// Who is recorded.
    cast: Cast,
    /// The dialog with the recorder, once it stands.
    dialog: Option<Dialog>,
    /// With whom, and since when.
    stands: Option<(String, Wall)>,
    /// Sessions that ended, or did not come to be.
    notes: Vec<RecordingNote>,
    /// Sessions begun so far.
    #[serde(skip)]
    tries: usize,
    #[serde(skip)]
    live: Option<Live>,
    /// How often parties were told by an exchange whether they are recorded.
    #[serde(skip)]
    tellings: u32,
    /// Which parties hear now that the call is recorded.
    #[serde(skip)]
    announcing: [bool; 2],
}

/// What decides whether a call is recorded, and may change: its parties, caller first (one where the node answers itself), and what they wish.
#[derive(Clone, PartialEq)]
pub(crate) struct Considered {
    parties: Vec<Source>,
    wish: Option<RecordWish>,
}

/// A session with a recorder, or the try of one.
struct Live {
    recorder: String,
    hop: Hop,
    /// Call-ID and the node's tag.
    key: (String, String),
    /// As it was sent, by this transaction.
    invite: (TransactionId, Bytes),
    /// The recorder said anything to the INVITE.
    spoke: bool,
    /// ACK of the last 2xx, repeated when the 2xx is.
    ack: Option<(TransactionId, Hop, Bytes)>,
    audio: RecordingSession,
    /// Its challenges, and what answers them.
    proving: Proving,
    /// UDP port numbers, to be given back.
    numbers: Vec<u16>,
    began: Option<Wall>,
    /// What the recorder knows of the call.
    told: Option<Scene>,
    /// A request within the dialog that waits for its answer.
    asked: Option<(TransactionId, Question)>,
    /// It is told nothing before this time.
    quiet_until: Time,
    /// A re-INVITE of its own that was answered and waits for its ACK.
    unacknowledged: Option<Unacknowledged>,
    /// Whether the audio of each party arrives.
    ways: [Way; 2],
    /// It is known that it does not.
    silent: [bool; 2],
}

/// The 2xx to a recorder's re-INVITE.
struct Unacknowledged {
    id: TransactionId,
    /// Number of the re-INVITE, and of its ACK.
    cseq: u32,
    /// The 2xx has an offer, which the ACK answers.
    offers: bool,
}

impl Live {
    /// Tells the relay what it does at the ports of the session.
    fn plan(&self, cx: &mut Context) {
        for (index, port) in self.audio.ports().enumerate() {
            if let Some(plan) = self.audio.plan(index) {
                cx.relay(RelayCommand::Plan { port, plan: Box::new(plan) });
            }
        }
    }
}

/// What the node asks a recorder within the dialog.
enum Question {
    /// To take a change.
    Change(Box<Scene>),
    /// Whether it is still there.
    Alive,
}

impl Recorded {
    fn new(rule: RecordingSection, cast: Cast) -> Recorded {
        let (dialog, stands, live, notes) = (None, None, None, Vec::new());
        Recorded { wanted: Some(rule), cast, dialog, stands, notes, tries: 0, tellings: 0, live, announcing: [false; 2] }
    }

    /// The group that its metadata names.
    pub(super) fn group(&self) -> Option<&str> {
        self.cast.group()
    }

    fn live_dialog(&self) -> Option<(&Live, &Dialog)> {
        Some((self.live.as_ref()?, self.dialog.as_ref()?))
    }
}

impl Call {
    /// What is copied of the packets of this side's peer. `None`: nothing now.
    pub(super) fn copied(&self, side: Side) -> Option<CopyPlan> {
        let recorded = self.recorded.as_ref()?;
        let (live, _) = recorded.live_dialog()?;
        let told = recorded.wanted.as_ref().is_some_and(|rule| rule.announce.is_empty()) || self.untold(recorded) == [false; 2];
        if !told || self.is_held() || self.is_paused_by_wish() {
            return None;
        }
        live.audio.copy(side as usize)
    }

    /// Whether a party takes no audio now.
    fn is_held(&self) -> bool {
        let legs = [Some(&self.caller), self.callee.as_ref()].into_iter().flatten();
        legs.filter_map(|leg| leg.media.as_ref()).any(|media| media.session.on_hold())
    }

    /// The recorder that has a session of this call, or is asked for one.
    pub(super) fn recorder(&self) -> Option<&str> {
        Some(&self.recorded.as_ref()?.live.as_ref()?.recorder)
    }

    /// How its recording stands, in words; empty: it is not to be recorded.
    pub(super) fn recording_state(&self) -> String {
        let Some(recorded) = &self.recorded else { return String::new() };
        match (&recorded.live, &recorded.dialog) {
            (Some(live), Some(_)) if recorded.announcing.contains(&true) => format!("announced, then by {}", live.recorder),
            (Some(live), Some(_)) if live.audio.is_paused() => format!("by {}, which pauses", live.recorder),
            (Some(live), Some(_)) => format!("by {}", live.recorder),
            (Some(live), None) => format!("{} is asked", live.recorder),
            (None, _) => recorded.notes.last().map(|note| format!("no: {}", note.cause)).unwrap_or_default(),
        }
    }

    /// Sessions of this call with recorders, for its record.
    pub(super) fn recordings(&self) -> Vec<RecordingNote> {
        self.recorded.as_ref().map(|recorded| recorded.notes.clone()).unwrap_or_default()
    }

    /// Whether this port leads to a recorder.
    fn is_recorders(&self, port: PortId) -> bool {
        let live = self.recorded.as_ref().and_then(|recorded| recorded.live.as_ref());
        live.is_some_and(|live| live.audio.ports().any(|own| own == port))
    }
}
