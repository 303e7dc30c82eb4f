//! Why a party's audio is missing: a watch over one leg that is told the relay's counters now and then, and names what it sees.
//!
//! Audio is expected while a call is answered and the party may send. As soon as speech comes, the watch begins anew; what was counted
//! since then says why it ceased.

use crate::error::MediaCause;
use crate::plan::PortCounters;
use ringfort_base::Time;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// A party that was never heard is missed after this time: longer than the slowest phone needs from its answer to its first packet.
pub const NEVER_HEARD: Duration = Duration::from_secs(2);
/// That neither is heard is said later: the two parties' reports come one after the other.
pub const NOBODY_HEARD: Duration = Duration::from_secs(3);
/// A party that was heard is missed after this time. Phones that send nothing in pauses of speech make pauses, but not such ones.
pub const FELL_SILENT: Duration = Duration::from_secs(10);
/// Packets that a party on hold may still send, as they cross with the offer that holds it: two seconds of them.
const HOLD_LATE_MAX: u64 = 100;

/// Why audio is missing. The names are stable across releases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MissingCause {
    /// ICE or DTLS: not there yet, failed, or ended.
    Transport(MediaCause),
    /// Packets come, but SRTP refuses them: other keys than the description says, or none.
    SrtpAuthentication,
    /// Packets come whose SRTP index was used before: a loop, or a sender that began anew under the old keys.
    SrtpReplayed,
    /// The port locked on one source, and packets come from another.
    OtherSource,
    /// What comes is no RTP.
    NotRtp,
    /// RTP of a payload type that was not agreed on.
    WrongPayload,
    /// Nothing but comfort noise and telephone events.
    OnlySignals,
    /// Packets come before the node may take them.
    NotReady,
    /// The party said that it sends nothing, and sends.
    SentWhileHeld,
    /// The other party is heard, but nothing could be sent on to this one.
    SendFailed,
    /// The other party is heard, but SRTP may not send it on to this one: its sequence numbers go back again and again, or it has more
    /// SSRCs than one key may have.
    SrtpUnsent,
    /// Nothing comes from this party, though the other one is heard.
    OneWay,
    /// Nothing comes from this party, nor from the other one.
    NoRtp,
    /// The party was heard, and fell silent.
    Stopped,
}

impl MissingCause {
    /// The name used in events, records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            MissingCause::Transport(cause) => cause.as_str(),
            MissingCause::SrtpAuthentication => "srtp-authentication",
            MissingCause::SrtpReplayed => "srtp-replayed",
            MissingCause::OtherSource => "other-source",
            MissingCause::NotRtp => "not-rtp",
            MissingCause::WrongPayload => "wrong-payload",
            MissingCause::OnlySignals => "only-signals",
            MissingCause::NotReady => "not-ready",
            MissingCause::SentWhileHeld => "sent-while-held",
            MissingCause::SendFailed => "send-failed",
            MissingCause::SrtpUnsent => "srtp-unsent",
            MissingCause::OneWay => "one-way",
            MissingCause::NoRtp => "no-rtp",
            MissingCause::Stopped => "stopped",
        }
    }
}

/// Audio that was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Why.
    pub cause: MissingCause,
    /// For how long, so far.
    pub time: Duration,
    /// Packets that show the cause.
    pub packets: u64,
    /// What else shows it.
    pub shown: Shown,
}

/// What shows a cause besides the number of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shown {
    /// Nothing else.
    Nothing,
    /// The source that the port locked on, and the last other one.
    Sources(Option<SocketAddr>, Option<SocketAddr>),
    /// The last payload type.
    Payload(u8),
}

impl Missing {
    /// What shows the cause, in words. Addresses are the parties': for those who may see them.
    pub fn detail(&self) -> String {
        let packets = self.packets;
        let known = |source: Option<SocketAddr>| source.map_or("nobody".to_string(), |source| source.to_string());
        match (self.cause, self.shown) {
            (_, Shown::Sources(locked, other)) => {
                format!("locked on {}, {packets} packets from elsewhere, the last from {}", known(locked), known(other))
            }
            (_, Shown::Payload(payload)) => format!("{packets} packets, the last of payload type {payload}"),
            _ if packets > 0 => format!("{packets} packets"),
            _ => String::new(),
        }
    }

    /// What says more of a call: packets on hold are often a party's habit and nobody's loss, everything else goes by its time.
    fn weight(&self) -> (bool, Duration) {
        (self.cause != MissingCause::SentWhileHeld, self.time)
    }
}

/// A leg, as its call knows it at the moment of a report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Situation {
    /// The call is answered.
    pub answered: bool,
    /// The party may send.
    pub may_send: bool,
    /// What its media path lacks: why it failed, or what is not done yet.
    pub lacks: Option<MediaCause>,
    /// It failed for good: no need to wait.
    pub failed: bool,
    /// The source that the port locked on.
    pub source: Option<SocketAddr>,
    /// The node may send to the party.
    pub may_hear: bool,
    /// Speech of the other party, so far.
    pub other: u64,
}

/// Counters at a moment from which on something is waited for.
#[derive(Clone, Copy, Debug)]
struct Since {
    at: Time,
    then: PortCounters,
    other: u64,
}

impl Since {
    fn new(at: Time, situation: &Situation, counters: &PortCounters) -> Since {
        Since { at, then: *counters, other: situation.other }
    }

    /// What was counted since then.
    fn grown(&self, counters: &PortCounters, of: fn(&PortCounters) -> u64) -> u64 {
        of(counters).saturating_sub(of(&self.then))
    }

    /// Speech of the other party since then.
    fn other(&self, situation: &Situation) -> u64 {
        situation.other.saturating_sub(self.other)
    }
}

/// The watch over one leg. Give it every report of the relay by [`Watch::observe`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    /// Since when the party's speech is waited for; `None`: it is not.
    #[serde(skip)]
    speech: Option<Since>,
    /// Counters of the last report before the answer.
    #[serde(skip)]
    early: PortCounters,
    /// Since when nothing was sent to the party.
    #[serde(skip)]
    sending: Option<Since>,
    /// The party said that it sends nothing.
    #[serde(skip)]
    held: bool,
    /// Speech has come at any time.
    heard: bool,
    #[serde(skip)]
    now: Option<Missing>,
    /// What says most, of what was missing before.
    worst: Option<Missing>,
}

impl Watch {
    /// What is missing now.
    pub fn missing(&self) -> Option<&Missing> {
        self.now.as_ref()
    }

    /// What says most of the whole call.
    pub fn worst(&self) -> Option<&Missing> {
        self.now.iter().chain(&self.worst).max_by_key(|missing| missing.weight())
    }

    /// Takes a report of the relay. Returns what is missing now and was not before, or was for another cause.
    pub fn observe(&mut self, now: Time, situation: &Situation, counters: &PortCounters) -> Option<Missing> {
        self.follow(now, situation, counters);
        let found = self.diagnose(now, situation, counters);
        let before = std::mem::replace(&mut self.now, found);
        let is_new = found.map(|missing| missing.cause) != before.map(|missing| missing.cause);
        if is_new {
            self.worst = before.into_iter().chain(self.worst).max_by_key(Missing::weight);
        }
        found.filter(|_| is_new)
    }

    /// Begins anew when audio has come or gone, and when what is expected changes.
    fn follow(&mut self, now: Time, situation: &Situation, counters: &PortCounters) {
        if !situation.answered && !situation.failed {
            self.early = *counters;
            return (self.speech, self.sending) = (None, None);
        }
        let held = !situation.may_send;
        let turned = std::mem::replace(&mut self.held, held) != held;
        let since = Since::new(now, situation, counters);
        // Who spoke between the answer and the first report was heard.
        let before = *self.speech.get_or_insert(Since { then: self.early, ..since });
        let speech = before.grown(counters, PortCounters::speech_in) > 0 && !held;
        self.heard |= speech;
        // A restarted relay counts from nothing.
        if speech || turned || counters.rtp_in < before.then.rtp_in {
            self.speech = Some(since);
        }
        let before = *self.sending.get_or_insert(since);
        if counters.rtp_out != before.then.rtp_out || !situation.may_hear {
            self.sending = Some(since);
        }
    }

    fn diagnose(&self, now: Time, situation: &Situation, counters: &PortCounters) -> Option<Missing> {
        let since = self.speech.as_ref()?;
        let time = now.since(since.at);
        let missing = |(cause, packets, shown)| Missing { cause, time, packets, shown };
        if let Some(cause) = situation.lacks.filter(|_| situation.failed || time >= NEVER_HEARD) {
            return Some(missing((MissingCause::Transport(cause), 0, Shown::Nothing)));
        }
        let patience = if self.heard { FELL_SILENT } else { NEVER_HEARD };
        let found = match self.held {
            true => held(since, counters),
            false if time >= patience => {
                let found = self.silent(since, situation, counters);
                found.filter(|(cause, ..)| *cause != MissingCause::NoRtp || time >= NOBODY_HEARD)
            }
            false => None,
        };
        found.map(missing).or_else(|| self.unsent(now, situation, counters))
    }

    /// Why nothing is heard of a party that may send.
    fn silent(&self, since: &Since, situation: &Situation, counters: &PortCounters) -> Option<(MissingCause, u64, Shown)> {
        let grown = |of| since.grown(counters, of);
        let sources = Shown::Sources(situation.source, counters.stray_last);
        let payload = counters.unknown_payload_last.map_or(Shown::Nothing, Shown::Payload);
        let refused = [
            (MissingCause::NotReady, grown(|c| c.discarded_not_ready), Shown::Nothing),
            (MissingCause::SrtpAuthentication, grown(|c| c.auth_failed), Shown::Nothing),
            (MissingCause::OtherSource, grown(|c| c.stray_source), sources),
            (MissingCause::SrtpReplayed, grown(|c| c.replayed), Shown::Nothing),
            (MissingCause::WrongPayload, grown(|c| c.unknown_payload), payload),
            (MissingCause::NotRtp, grown(|c| c.malformed), Shown::Nothing),
        ];
        let signals = grown(|c| c.signals_in);
        let most = refused.into_iter().filter(|(_, packets, _)| *packets > signals).max_by_key(|(_, packets, _)| *packets);
        let plain = |cause, packets| Some((cause, packets, Shown::Nothing));
        match most {
            Some(found) => Some(found),
            // Comfort noise says that a party which was heard pauses.
            None if signals > 0 && self.heard => None,
            None if signals > 0 => plain(MissingCause::OnlySignals, signals),
            None if self.heard => plain(MissingCause::Stopped, 0),
            None if since.other(situation) > 0 => plain(MissingCause::OneWay, 0),
            None => plain(MissingCause::NoRtp, 0),
        }
    }

    /// The party hears nothing, because nothing could be sent to it.
    fn unsent(&self, now: Time, situation: &Situation, counters: &PortCounters) -> Option<Missing> {
        let since = self.sending.as_ref()?;
        let time = now.since(since.at);
        let failed = (MissingCause::SendFailed, since.grown(counters, |c| c.send_failed));
        let refused = (MissingCause::SrtpUnsent, since.grown(counters, |c| c.srtp_unsent));
        let (cause, packets) = if refused.1 > failed.1 { refused } else { failed };
        let unsent = time >= NEVER_HEARD && packets > 0 && since.other(situation) > 0;
        unsent.then_some(Missing { cause, time, packets, shown: Shown::Nothing })
    }
}

fn held(since: &Since, counters: &PortCounters) -> Option<(MissingCause, u64, Shown)> {
    let sent = since.grown(counters, |c| c.discarded_on_hold);
    (sent > HOLD_LATE_MAX).then_some((MissingCause::SentWhileHeld, sent, Shown::Nothing))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALKING: Situation =
        Situation { answered: true, may_send: true, lacks: None, failed: false, source: None, may_hear: true, other: 0 };

    type Change = fn(&mut PortCounters);

    /// A watch that is told something each two seconds.
    #[derive(Default)]
    struct Told {
        watch: Watch,
        now_ms: u64,
        counters: PortCounters,
    }

    impl Told {
        /// After `reports` of them, between each of which the counters were changed so.
        fn after(&mut self, reports: u32, situation: Situation, change: fn(&mut PortCounters)) -> Option<&'static str> {
            let mut other = situation.other;
            for _ in 0..reports {
                self.watch.observe(Time::from_millis(self.now_ms), &Situation { other, ..situation }, &self.counters);
                self.now_ms += 2_000;
                change(&mut self.counters);
                other += situation.other;
            }
            self.watch.observe(Time::from_millis(self.now_ms), &Situation { other, ..situation }, &self.counters);
            self.watch.missing().map(|missing| missing.cause.as_str())
        }
    }

    fn speaks(counters: &mut PortCounters) {
        counters.rtp_in += 100;
    }

    /// What each cause looks like from the first packet on.
    #[test]
    fn who_was_never_heard_has_a_cause() {
        let from = "192.0.2.9:4000".parse().ok();
        let lacking = |cause| Situation { lacks: Some(cause), ..TALKING };
        let cases: [(Situation, Change, Option<&str>); 16] = [
            (TALKING, speaks, None),
            (TALKING, |_| {}, Some("no-rtp")),
            (Situation { other: 100, ..TALKING }, |_| {}, Some("one-way")),
            (TALKING, |c| c.auth_failed += 100, Some("srtp-authentication")),
            (TALKING, |c| c.replayed += 100, Some("srtp-replayed")),
            (Situation { source: from, ..TALKING }, |c| c.stray_source += 100, Some("other-source")),
            (TALKING, |c| c.malformed += 100, Some("not-rtp")),
            (TALKING, |c| (c.rtp_in, c.unknown_payload) = (c.rtp_in + 9, c.unknown_payload + 9), Some("wrong-payload")),
            (TALKING, |c| (c.rtp_in, c.signals_in) = (c.rtp_in + 9, c.signals_in + 9), Some("only-signals")),
            (TALKING, |c| c.discarded_not_ready += 100, Some("not-ready")),
            (Situation { may_send: false, ..TALKING }, |c| c.discarded_on_hold += 101, Some("sent-while-held")),
            (Situation { may_send: false, ..TALKING }, |_| {}, None),
            (Situation { answered: false, ..TALKING }, |_| {}, None),
            (lacking(MediaCause::IceTimeout), |_| {}, Some("ice-timeout")),
            (lacking(MediaCause::DtlsTimeout), |_| {}, Some("dtls-timeout")),
            (Situation { answered: false, failed: true, ..lacking(MediaCause::IceTimeout) }, |_| {}, Some("ice-timeout")),
        ];
        for (n, (situation, change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(Told::default().after(2, situation, change), expected, "case {n}");
        }
    }

    #[test]
    fn who_falls_silent_is_missed_later_and_for_what_came_since() {
        let cases: [(Change, &str); 3] =
            [(|_| {}, "stopped"), (|c| c.auth_failed += 9, "srtp-authentication"), (|c| c.stray_source += 9, "other-source")];
        for (change, expected) in cases {
            let mut told = Told::default();
            told.counters.malformed = 500;
            assert_eq!(told.after(3, TALKING, speaks), None);
            assert_eq!(told.after(4, TALKING, change), None, "a pause");
            assert_eq!(told.after(2, TALKING, change), Some(expected));
            assert_eq!(told.after(1, TALKING, speaks), None, "heard again");
            let worst = told.watch.worst().expect("what was missing");
            assert_eq!((worst.cause.as_str(), worst.time.as_secs()), (expected, 12));
        }
    }

    /// Reports come each two seconds; whoever speaks for less and falls silent was heard. Early media is not what the call is about.
    #[test]
    fn who_spoke_before_the_first_report_was_heard() {
        let mut told = Told::default();
        told.counters.rtp_in = 60;
        assert_eq!(told.after(4, TALKING, |_| {}), None, "a pause");
        assert_eq!(told.after(2, TALKING, |_| {}), Some("stopped"));
        let mut told = Told::default();
        told.counters.rtp_in = 60;
        told.after(1, Situation { answered: false, ..TALKING }, |_| {});
        assert_eq!(told.after(2, TALKING, |_| {}), Some("no-rtp"));
    }

    #[test]
    fn comfort_noise_is_a_pause_and_hold_is_none_of_both() {
        let mut told = Told::default();
        told.after(3, TALKING, speaks);
        assert_eq!(told.after(20, TALKING, |c| (c.rtp_in, c.signals_in) = (c.rtp_in + 1, c.signals_in + 1)), None);
        let held = Situation { may_send: false, ..TALKING };
        assert_eq!(told.after(20, held, |c| c.discarded_on_hold += 1), None);
        assert_eq!(told.after(4, TALKING, |_| {}), None, "patience begins with the end of the hold");
        assert_eq!(told.after(2, TALKING, |_| {}), Some("stopped"));
    }

    /// A party that is heard and hears nothing.
    #[test]
    fn what_cannot_be_sent_is_missed_by_its_listener() {
        let situation = Situation { other: 100, ..TALKING };
        let lost: fn(&mut PortCounters) = |c| (c.rtp_in, c.send_failed) = (c.rtp_in + 100, c.send_failed + 100);
        assert_eq!(Told::default().after(3, situation, lost), Some("send-failed"));
        let refused: fn(&mut PortCounters) = |c| (c.rtp_in, c.srtp_unsent) = (c.rtp_in + 100, c.srtp_unsent + 100);
        assert_eq!(Told::default().after(3, situation, refused), Some("srtp-unsent"));
        let sent: fn(&mut PortCounters) = |c| (c.rtp_in, c.rtp_out) = (c.rtp_in + 100, c.rtp_out + 100);
        assert_eq!(Told::default().after(3, situation, sent), None);
    }

    #[test]
    fn what_is_missing_is_told_once_and_the_worst_is_kept() {
        let mut watch = Watch::default();
        let mut counters = PortCounters::default();
        let at = Time::from_millis;
        assert_eq!(watch.observe(at(0), &TALKING, &counters), None);
        let told = watch.observe(at(3_000), &TALKING, &counters).expect("it is missing");
        assert_eq!((told.cause, told.detail()), (MissingCause::NoRtp, String::new()));
        assert_eq!(watch.observe(at(4_000), &TALKING, &counters), None, "told already");
        (counters.stray_source, counters.stray_last) = (7, "192.0.2.8:5000".parse().ok());
        let source = "192.0.2.9:4000".parse().ok();
        let told = watch.observe(at(30_000), &Situation { source, ..TALKING }, &counters).expect("another cause");
        let detail = "locked on 192.0.2.9:4000, 7 packets from elsewhere, the last from 192.0.2.8:5000";
        assert_eq!((told.cause, told.detail().as_str()), (MissingCause::OtherSource, detail));
        // Written down and read back in the middle, it goes on; a restarted relay counts from nothing.
        let mut watch: Watch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
        counters = PortCounters { rtp_in: 5, ..PortCounters::default() };
        watch.observe(at(60_000), &TALKING, &counters);
        speaks(&mut counters);
        assert_eq!(watch.observe(at(62_000), &TALKING, &counters), None);
        assert_eq!(watch.worst().map(|worst| worst.cause), Some(MissingCause::NoRtp));
    }

    #[test]
    fn packets_on_hold_do_not_hide_a_loss() {
        let mut told = Told::default();
        told.after(3, TALKING, speaks);
        told.after(7, TALKING, |_| {});
        let held = Situation { may_send: false, ..TALKING };
        assert_eq!(told.after(99, held, |c| c.discarded_on_hold += 50), Some("sent-while-held"));
        assert_eq!(told.watch.worst().map(|worst| worst.cause), Some(MissingCause::Stopped));
    }
}
