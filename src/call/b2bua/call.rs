//! One call: two legs, what was asked, what was decided, and how far it is. What a restart needs is serialised as it stands here;
//! transactions are not, for only answered calls are written down.

use super::abilities::Abilities;
use super::branch::Asking;
use super::connected::Connected;
use super::digits::Dialling;
use super::exchange::Exchange;
use super::pictures::Pictures;
use super::proof::Proving;
use super::recording::{Considered, Recorded};
use super::refer_on::Passed;
use super::relayed::Relayed;
use super::replace::Replaced;
use super::service::Attendance;
use super::session_timer::Session;
use super::timeline::Told;
use super::transfer::Transfer;
use crate::admission::Place;
use crate::config::Snapshot;
use crate::registrar::Device;
use crate::route::{Outcome, Source, Target};
pub use crate::side::Side;
use crate::status::CallStatus;
use bytes::Bytes;
use ringfort_base::event::Mode;
use ringfort_base::{CallId, Hop, PortId, Time, Wall};
use ringfort_media::description::Description;
use ringfort_media::plan::{PortCounters, PortPositions};
use ringfort_media::quality::diagnosis::Watch;
use ringfort_media::session::LegSession;
use ringfort_media::tier::Tier;
use ringfort_sip::dialog::Dialog;
use ringfort_sip::message::Message;
use ringfort_sip::transaction::TransactionId;
use serde::{Deserialize, Serialize};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How far a call is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// A target is being asked and has not rung.
    #[default]
    Routing,
    /// A target rings.
    Ringing,
    /// Answered.
    Connected,
    /// Released; the relay's last counters are awaited for the record.
    Ending,
    /// Recorded; nothing is left to do.
    Over,
}

/// Who asks for what, taken from the INVITE and the evaluator's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// Who calls.
    pub source: Source,
    /// Caller's user part.
    pub from: String,
    /// Caller's name; empty: none.
    pub from_name: String,
    /// The caller is an account that calls from its other number, by a trunk.
    #[serde(default)]
    pub alternative: bool,
    /// Number as dialled.
    pub number: String,
    /// Rule that decided.
    pub rule: String,
    /// Never refused for a limit.
    pub emergency: bool,
    /// Mode of the node when the call began.
    pub mode: Mode,
    /// Max-Forwards that the INVITE had.
    pub max_forwards: u8,
}

/// One call.
#[derive(Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// The configuration that it began with.
    #[serde(skip)]
    pub(crate) snapshot: Option<Arc<Snapshot>>,
    pub(crate) asked: Request,
    pub(crate) phase: Phase,
    pub(crate) caller: Leg,
    pub(crate) callee: Option<Leg>,
    /// Target in use or last tried.
    pub(crate) target: Option<Target>,
    /// All that matters until it is answered.
    #[serde(skip)]
    pub(crate) asking: Asking,
    /// The 2xx to the caller bore the node's own offer; the ACK brings the answer.
    #[serde(skip)]
    pub(crate) offered: bool,
    /// The INVITE that began it, until it is answered.
    #[serde(skip)]
    pub(crate) invite: Option<Invite>,
    /// Server transactions of INVITEs, for as long as their ACK may be awaited.
    #[serde(skip)]
    pub(crate) invites: Vec<Awaited>,
    #[serde(skip)]
    pub(crate) exchange: Option<Exchange>,
    #[serde(skip)]
    pub(crate) relayed: Vec<Relayed>,
    #[serde(skip)]
    pub(crate) transfer: Option<Transfer>,
    #[serde(skip)]
    pub(crate) passed: Option<Passed>,
    #[serde(skip)]
    pub(crate) replaced: Option<Replaced>,
    /// Its recording, where a rule wanted one.
    #[serde(default)]
    pub(crate) recorded: Option<Box<Recorded>>,
    /// For whom a rule of recording was looked for.
    #[serde(skip)]
    pub(crate) considered: Option<Box<Considered>>,
    /// RTP packets of legs that left the call, or were replaced.
    #[serde(default)]
    pub(crate) left: [u64; 2],
    pub(crate) started: Wall,
    pub(crate) answered: Option<Wall>,
    pub(crate) reroutes: u32,
    /// Offers that the node made in a row, so that each side has the other's keys.
    #[serde(skip)]
    pub(crate) key_exchanges: u8,
    /// Such offers that came to nothing in a row, where one was due.
    #[serde(skip)]
    pub(crate) key_refusals: u8,
    /// Its audio is decoded and encoded anew.
    #[serde(skip)]
    pub(crate) transcoded: bool,
    /// Places that it takes.
    #[serde(skip)]
    pub(crate) places: Vec<Place>,
    #[serde(skip)]
    pub(crate) outcome: Option<(u16, String, Wall)>,
}

/// A 2xx to an INVITE that waits for its ACK, or will.
pub(crate) struct Awaited {
    pub id: TransactionId,
    /// Whence the INVITE came.
    pub side: Side,
    /// Its number: that of the ACK (RFC 3261 13.2.2.4).
    pub cseq: u32,
}

/// The caller's INVITE while it waits for a final response.
pub(crate) struct Invite {
    pub id: TransactionId,
    pub message: Message,
}

/// Why the last target failed, as the caller will be told when there is no other.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub status: u16,
    pub reason: String,
    /// Challenges and the like, passed on.
    pub headers: Vec<(ringfort_sip::message::HeaderName, String)>,
    /// A registered device said so, or cannot be reached.
    pub of_device: bool,
    /// What it means for the plan.
    pub outcome: Outcome,
}

/// One leg: a dialog and its media.
#[derive(Serialize, Deserialize)]
pub struct Leg {
    /// How the peer was last heard, or is reached.
    pub(crate) hop: Hop,
    /// In-dialog requests go where the dialog's route set or remote target says (cloud, trunks), not just back where the peer was
    /// heard (devices, which may sit behind NAT).
    pub(crate) by_target: bool,
    /// The device behind it, where it is one of an account.
    #[serde(default)]
    pub(crate) device: Option<Device>,
    /// When the peer was found at `hop`, where that was not from the beginning.
    #[serde(skip)]
    pub(crate) placed: Time,
    /// Route values of the first request (RFC 3327: the Path of a device).
    #[serde(skip)]
    pub(crate) route: Vec<String>,
    /// `None` until a response with a tag came (callee).
    pub(crate) dialog: Option<Dialog>,
    pub(crate) media: Option<Media>,
    /// Node's own tag of this leg.
    pub(crate) tag: String,
    /// Call-ID of this leg.
    pub(crate) call_id: String,
    /// What the peer said that it takes.
    #[serde(default)]
    pub(crate) abilities: Abilities,
    /// Whose it is, where the leg came from another call.
    #[serde(default)]
    pub(crate) party: Option<Source>,
    /// Whether the node made its Call-ID, where the leg came from another call.
    #[serde(default)]
    pub(crate) outbound: Option<bool>,
    /// Who sits there, as far as that is known.
    #[serde(default)]
    pub(crate) connected: Option<Connected>,
    /// Its session timer.
    #[serde(default)]
    pub(crate) session: Session,
    /// The INVITE sent to this leg: transaction and octets, until it is answered.
    #[serde(skip)]
    pub(crate) invite: Option<(TransactionId, Bytes)>,
    /// Challenges of a carrier that its requests answer.
    #[serde(default)]
    pub(crate) proving: Proving,
    /// ACK of the last 2xx of this leg, repeated when the 2xx is.
    #[serde(skip)]
    pub(crate) ack: Option<(TransactionId, Hop, Bytes)>,
    /// The question whether the peer still knows of the call.
    #[serde(skip)]
    pub(crate) asked: Option<TransactionId>,
    /// What the peer was asked by INFO about its pictures.
    #[serde(skip)]
    pub(crate) pictures: Pictures,
    /// The peer's digits.
    #[serde(default)]
    pub(crate) dialling: Dialling,
    /// Packets that had come from the peer at the last two questions.
    #[serde(skip)]
    pub(crate) heard: [u64; 2],
}

/// A leg's media: its session and its port.
#[derive(Serialize, Deserialize)]
pub struct Media {
    /// Its port in the relay.
    pub(crate) port: PortId,
    /// Offer/answer, ICE, DTLS.
    pub(crate) session: LegSession,
    /// As last reported by the relay.
    pub(crate) counters: PortCounters,
    /// What the timeline was told last. Another process tells it anew.
    #[serde(skip)]
    pub(crate) told: Told,
    /// Whether the peer's audio is missing, and why.
    #[serde(default)]
    pub(crate) watch: Watch,
    /// Where the SRTP contexts of its port stood last.
    #[serde(default)]
    pub(crate) positions: Option<Box<PortPositions>>,
    /// RTP packets heard in another call, which the leg left for this one.
    #[serde(default)]
    pub(crate) elsewhere: u64,
    /// The relay has said its last word about the port.
    #[serde(skip)]
    pub(crate) closed: bool,
    /// How often the node asked this peer in a row to begin ICE anew.
    #[serde(skip)]
    pub(crate) restarts: u8,
    /// UDP port number, to be given back; `None`: the one that browsers share.
    pub(crate) number: Option<u16>,
    /// What the peer last said of its audio.
    pub(crate) described: Option<Description>,
    /// What the node does on this leg, which has no other side.
    #[serde(default)]
    pub(crate) attendance: Option<Attendance>,
    /// SSRC of what the node says to this peer itself. Another process says it under another one: its numbers begin anew.
    #[serde(skip)]
    pub(crate) voice: Option<u32>,
    /// All that this peer hears comes in the node's own stream: a browser to which the node has spoken.
    #[serde(default)]
    pub(crate) one_stream: bool,
    /// Hash of the offer that the peer made last, to know a refresh by.
    #[serde(default)]
    pub(crate) offered: Option<u64>,
}

impl Media {
    /// RTP packets heard in this call.
    pub(crate) fn heard(&self) -> u64 {
        self.counters.rtp_in.saturating_sub(self.elsewhere)
    }

    /// Remembers an offer of the peer that was accepted.
    pub(crate) fn remember(&mut self, offer: &[u8]) {
        self.offered = Some(hash_of(offer));
    }

    /// Whether the peer says what it said in its last offer, octet for octet.
    pub(crate) fn is_repeated(&self, offer: &[u8]) -> bool {
        self.offered == Some(hash_of(offer))
    }
}

/// Who finds two offers of the same hash deceives itself only: its change goes no further.
fn hash_of(octets: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    hasher.finish()
}

impl Call {
    /// Whether it can be forgotten.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Whether this side's dialogs are early ones.
    pub(crate) fn is_early(&self, side: Side) -> bool {
        matches!(self.phase, Phase::Routing | Phase::Ringing) && (side == Side::Caller || self.callee.is_none())
    }

    /// Targets that have an INVITE of this call; of an answered one the target that took it.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Target> {
        let ringing = self.asking.branches.iter().map(|branch| &branch.target);
        ringing.chain(self.target.as_ref().filter(|_| self.asking.branches.is_empty()))
    }

    pub(crate) fn leg(&mut self, side: Side) -> Option<&mut Leg> {
        match side {
            Side::Caller => Some(&mut self.caller),
            Side::Callee => self.callee.as_mut(),
        }
    }

    pub(crate) fn media(&mut self, side: Side) -> Option<&mut Media> {
        self.leg(side)?.media.as_mut()
    }

    /// Name of the target for events.
    pub(crate) fn target_name(&self) -> String {
        self.target.as_ref().map(Target::to_string).unwrap_or_default()
    }

    /// The row on the page.
    pub fn status(&self) -> CallStatus {
        let held = [Some(&self.caller), self.callee.as_ref()]
            .into_iter()
            .flatten()
            .any(|leg| leg.media.as_ref().is_some_and(|m| m.session.on_hold()));
        let state = match self.phase {
            Phase::Routing => "routing",
            Phase::Ringing => "ringing",
            Phase::Connected if held => "held",
            Phase::Connected => "connected",
            Phase::Ending | Phase::Over => "ending",
        };
        let media =
            |leg: Option<&Leg>| leg.and_then(|l| l.media.as_ref()).map(|m| m.session.describe().to_string()).unwrap_or_default();
        let callee = self.callee.as_ref().or_else(|| self.asking.branches.first().map(|branch| &branch.leg));
        let tier = |leg: Option<&Leg>| leg.and_then(|l| l.media.as_ref()).map(|m| m.counters.tier);
        let tiers = [tier(Some(&self.caller)), tier(callee)];
        let packets = |leg: Option<&Leg>| leg.and_then(|l| l.media.as_ref()).map_or(0, |m| m.counters.rtp_in);
        CallStatus {
            call: self.id,
            from: self.asked.from.clone().into(),
            to: self.asked.number.clone().into(),
            state: state.into(),
            route: self.asked.rule.clone(),
            target: self.target_name(),
            started: self.started,
            answered: self.answered,
            media: [media(Some(&self.caller)), media(callee)],
            packets: [packets(Some(&self.caller)), packets(callee)],
            quality: self.quality(),
            tier: tiers.map(|tier| tier.map_or("", Tier::name).into()),
            tier_program: tiers.map(|tier| tier.map_or("", Tier::program).into()),
            tier_cause: tiers.map(|tier| tier.map_or("", Tier::cause).into()),
            tier_reason: tiers.map(|tier| tier.map_or("", Tier::reason).into()),
            missing: self.missing(Watch::missing),
            recording: self.recording_state(),
        }
    }
}
