//! Metrics in the Prometheus text format: counters from events, gauges from what the node looks like now.
//!
//! Labels come from a closed vocabulary in the code, but some pass through many hands (`cause`, `rule`), so each
//! label's values are bounded: what does not look like a name, or is one too many, is counted as `other`.

use crate::bus::Subscriber;
use metrics::{Label, Recorder, counter, gauge, histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use ringfort_base::event::{CallRecord, Mode};
use ringfort_base::{Event, Wall};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringfort_base::limits::LABEL_VALUES_MAX;
/// Longest value of a label.
const LABEL_LEN_MAX: usize = 64;
/// Reason of what nothing faster could carry.
const NONE: &str = "none";
/// Upper bounds of the histogram of times to the answer, seconds.
const SETUP_BUCKETS: [f64; 8] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of the histogram of times talked, seconds.
const TALK_BUCKETS: [f64; 8] = [5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0, 14_400.0];
/// Bounds of MOS: bad, poor, fair, good, excellent and what lies between.
const MOS_BUCKETS: [f64; 8] = [1.5, 2.0, 2.6, 3.1, 3.6, 4.0, 4.3, 4.5];

/// The registry of this node. Clones share it: one is given to the bus, the others are read.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: PrometheusRecorder,
    labels: Mutex<BTreeMap<&'static str, BTreeSet<String>>>,
    /// What carried something since the start.
    flows: Mutex<BTreeMap<[Label; 3], usize>>,
}

/// What carries a media flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Carrier {
    /// `kernel`, `af_xdp` or `sockets`.
    pub tier: String,
    /// Which program in the kernel: `xdp` or `tc`; empty where it is none.
    pub program: String,
    /// Why nothing faster carries it: empty where nothing is faster.
    pub reason: String,
}

/// What the node looks like now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Version of the binary.
    pub version: String,
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Mode.
    pub mode: Mode,
    /// Calls live.
    pub calls: usize,
    /// Calls whose audio is transcoded.
    pub transcoded: u32,
    /// Bindings.
    pub registrations: usize,
    /// Subscriptions alive.
    pub subscriptions: usize,
    /// The cloud and the trunks.
    pub peers: Vec<PeerGauge>,
    /// Media flows by what carries them.
    pub flows: BTreeMap<Carrier, usize>,
    /// Datagrams that came to the port that browsers share, and were for none of them.
    pub media_strangers: u64,
    /// Datagrams of that port which the node itself lost.
    pub media_lost: u64,
    /// SIP messages received since the start.
    pub messages_in: u64,
    /// SIP messages sent since the start.
    pub messages_out: u64,
    /// Messages of unknown sources dropped since the start.
    pub dropped_unknown: u64,
    /// Sources banned now.
    pub banned: usize,
    /// Alarms that stand, by name.
    pub alarms: Vec<String>,
    /// `Observers::dropped`.
    pub events_dropped: Vec<(&'static str, u64)>,
}

/// A supervised peer now.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerGauge {
    /// Configured name.
    pub name: String,
    /// Reachable.
    pub up: bool,
    /// Round trip of the last answered OPTIONS, milliseconds.
    pub round_trip_ms: Option<u32>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// An empty registry. It is not the process's global one, so that two nodes in one test process do not mix.
    pub fn new() -> Result<Metrics, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full("ringfort_call_setup_seconds".into()), &SETUP_BUCKETS)?
            .set_buckets_for_metric(Matcher::Full("ringfort_call_talk_seconds".into()), &TALK_BUCKETS)?
            .set_buckets_for_metric(Matcher::Full("ringfort_call_mos".into()), &MOS_BUCKETS)?
            .build_recorder();
        describe(&recorder);
        Ok(Metrics { inner: Arc::new(Inner { recorder, labels: Mutex::default(), flows: Mutex::default() }) })
    }

    /// Takes the gauges over and writes everything in the Prometheus text format.
    pub fn render(&self, now: &Gauges) -> String {
        self.set(now);
        self.inner.recorder.handle().render()
    }

    fn set(&self, now: &Gauges) {
        metrics::with_local_recorder(&self.inner.recorder, || {
            gauge!("ringfort_build_info", "version" => now.version.clone()).set(1.0);
            gauge!("ringfort_uptime_seconds").set(now.uptime_s as f64);
            gauge!("ringfort_calls").set(now.calls as f64);
            gauge!("ringfort_transcoded_calls").set(f64::from(now.transcoded));
            gauge!("ringfort_registrations").set(now.registrations as f64);
            gauge!("ringfort_subscriptions").set(now.subscriptions as f64);
            self.set_flows(&now.flows);
            for mode in [Mode::Standalone, Mode::Normal, Mode::Survivable] {
                gauge!("ringfort_mode", "mode" => mode.as_str()).set(f64::from(u8::from(mode == now.mode)));
            }
            counter!("ringfort_sip_messages_total", "direction" => "in").absolute(now.messages_in);
            counter!("ringfort_sip_messages_total", "direction" => "out").absolute(now.messages_out);
            counter!("ringfort_media_strangers_total").absolute(now.media_strangers);
            counter!("ringfort_media_lost_total").absolute(now.media_lost);
            counter!("ringfort_unknown_dropped_total").absolute(now.dropped_unknown);
            gauge!("ringfort_banned_sources").set(now.banned as f64);
            for (observer, dropped) in &now.events_dropped {
                counter!("ringfort_events_dropped_total", "observer" => *observer).absolute(*dropped);
            }
            self.set_peers(&now.peers);
            self.set_alarms(&now.alarms);
        });
    }

    /// What carries nothing any more is 0, not gone: a registry cannot forget.
    fn set_flows(&self, flows: &BTreeMap<Carrier, usize>) {
        let mut shown = self.inner.flows.lock().unwrap_or_else(PoisonError::into_inner);
        shown.values_mut().for_each(|count| *count = 0);
        let fastest = [("tier", "kernel"), ("program", "xdp"), ("reason", NONE)];
        shown.entry(fastest.map(|(name, value)| Label::new(name, value))).or_default();
        for (Carrier { tier, program, reason }, count) in flows {
            let label = |name, value: &str| self.label(name, if value.is_empty() { NONE } else { value });
            *shown.entry([label("tier", tier), label("program", program), label("reason", reason)]).or_default() += count;
        }
        for (labels, count) in shown.iter() {
            gauge!("ringfort_media_flows", labels.to_vec()).set(*count as f64);
        }
    }

    /// An alarm that has ended is 0.
    fn set_alarms(&self, alarms: &[String]) {
        let known: Vec<String> = self.labels().get("alarm").into_iter().flatten().cloned().collect();
        known.into_iter().for_each(|name| gauge!("ringfort_alarm", "alarm" => name).set(0.0));
        alarms.iter().for_each(|name| gauge!("ringfort_alarm", vec![self.label("alarm", name)]).set(1.0));
        gauge!("ringfort_alarms").set(alarms.len() as f64);
    }

    /// A peer that is configured no longer becomes NaN: a registry cannot forget, and 0 would raise an alarm.
    fn set_peers(&self, peers: &[PeerGauge]) {
        let gone: Vec<String> = self.labels().get("peer").into_iter().flatten().cloned().collect();
        for peer in gone.into_iter().filter(|name| peers.iter().all(|p| p.name != **name)) {
            gauge!("ringfort_peer_up", "peer" => peer.clone()).set(f64::NAN);
            gauge!("ringfort_peer_round_trip_seconds", "peer" => peer).set(f64::NAN);
        }
        for peer in peers {
            let label = self.label("peer", &peer.name);
            let round_trip = peer.round_trip_ms.map_or(f64::NAN, |ms| f64::from(ms) / 1_000.0);
            gauge!("ringfort_peer_up", vec![label.clone()]).set(f64::from(u8::from(peer.up)));
            gauge!("ringfort_peer_round_trip_seconds", vec![label]).set(round_trip);
        }
    }

    fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        let labels: Vec<Label> = labels.iter().map(|(name, value)| self.label(name, value)).collect();
        counter!(name, labels).increment(1);
    }

    fn on_record(&self, record: &CallRecord) {
        let seconds = |from: Wall, to: Wall| to.left(from).as_secs_f64();
        self.count("ringfort_calls_ended_total", &[("cause", &record.cause), ("mode", record.mode.as_str())]);
        if let Some(answered) = record.answered {
            histogram!("ringfort_call_setup_seconds").record(seconds(record.started, answered));
            histogram!("ringfort_call_talk_seconds").record(seconds(answered, record.ended));
        }
        for (party, missing) in ["caller", "callee"].into_iter().zip(record.missing.iter()) {
            if let Some(missing) = missing {
                self.count("ringfort_audio_missing_total", &[("cause", &missing.cause), ("party", party)]);
            }
        }
        for (party, quality) in ["caller", "callee"].into_iter().zip(*record.quality) {
            if let Some(mos) = quality.mos {
                histogram!("ringfort_call_mos", "party" => party).record(mos);
                counter!("ringfort_rtp_lost_total", "party" => party).increment(quality.lost);
            }
        }
    }

    fn on_event(&self, event: &Event) {
        match event {
            Event::ModeChanged { to, .. } => self.count("ringfort_mode_changes_total", &[("mode", to.as_str())]),
            Event::PeerState { peer, up, .. } => {
                self.count("ringfort_peer_changes_total", &[("peer", peer), ("up", flag(*up))]);
            }
            Event::Registered { local, refresh, .. } => {
                let labels = [("local", flag(*local)), ("refresh", flag(*refresh))];
                self.count("ringfort_registers_total", &labels);
            }
            Event::Unregistered { reason, .. } => {
                self.count("ringfort_unregistered_total", &[("reason", reason)]);
            }
            Event::AuthFailed { reason, .. } => self.count("ringfort_auth_failures_total", &[("reason", reason)]),
            Event::MediaReady { how, .. } => self.count("ringfort_media_ready_total", &[("how", how)]),
            Event::MediaFailed { cause, .. } => self.count("ringfort_media_failures_total", &[("cause", cause)]),
            Event::Recording { recorder, state, cause, .. } => {
                self.count("ringfort_recordings_total", &[("recorder", recorder), ("state", state), ("cause", cause)]);
            }
            Event::MessageRejected { rule, transport, .. } => {
                let labels = [("rule", rule.as_str()), ("transport", transport.via_token())];
                self.count("ringfort_messages_rejected_total", &labels);
            }
            Event::RuleSkipped { profile, .. } => self.count("ringfort_rules_skipped_total", &[("profile", profile)]),
            Event::SourceBanned { reason, .. } => self.count("ringfort_bans_total", &[("reason", reason)]),
            Event::Overload { stage, .. } => self.count("ringfort_overload_changes_total", &[("stage", stage)]),
            Event::LimitReached { limit, .. } => self.count("ringfort_limits_reached_total", &[("limit", limit)]),
            Event::Impaired { part, .. } => self.count("ringfort_impaired_total", &[("part", part)]),
            Event::CallEnded(record) => self.on_record(record),
            Event::Started { .. }
            | Event::Reloaded { .. }
            | Event::SourceUnbanned { .. }
            | Event::CallStarted { .. }
            | Event::CallRouted { .. }
            | Event::CallStep { .. }
            | Event::Alarm { .. }
            | Event::AudioMissing { .. }
            | Event::CallRerouted { .. }
            | Event::CallAnswered { .. } => {} // Counted by name only.
        }
    }

    /// A label whose value is from a bounded set.
    fn label(&self, name: &'static str, value: &str) -> Label {
        let mut labels = self.labels();
        let known = labels.entry(name).or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.: ".contains(&b);
        let sound = (1..=LABEL_LEN_MAX).contains(&value.len()) && value.bytes().all(plain);
        if !known.contains(value) {
            if !sound || known.len() >= LABEL_VALUES_MAX {
                return Label::from_static_parts(name, "other");
            }
            known.insert(value.to_owned());
        }
        Label::new(name, value.to_owned())
    }

    fn labels(&self) -> MutexGuard<'_, BTreeMap<&'static str, BTreeSet<String>>> {
        self.inner.labels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Metrics {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn wants(&self) -> fn(&Event) -> bool {
        |event| !event.is_sample()
    }

    fn on(&mut self, _: Wall, event: &Event) {
        metrics::with_local_recorder(&self.inner.recorder, || {
            counter!("ringfort_events_total", "event" => event.name()).increment(1);
            self.on_event(event);
        });
    }

    /// Moves histogram samples from their buffers into buckets, which otherwise grow until somebody scrapes.
    fn settled(&mut self) {
        self.inner.recorder.handle().run_upkeep();
    }
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// Help texts.
fn describe(recorder: &PrometheusRecorder) {
    let counters = [
        ("ringfort_events_total", "Events by name"),
        ("ringfort_events_dropped_total", "Events that an observer missed because its queue was full"),
        ("ringfort_calls_ended_total", "Calls that ended, by named cause and mode at their begin"),
        ("ringfort_mode_changes_total", "Changes of mode, by the new mode"),
        ("ringfort_peer_changes_total", "Changes of reachability of cloud and trunks"),
        ("ringfort_registers_total", "REGISTER requests granted"),
        ("ringfort_unregistered_total", "Registrations that ended, by reason"),
        ("ringfort_auth_failures_total", "Requests that failed authentication, by reason"),
        ("ringfort_media_ready_total", "Legs whose media path stood, by kind"),
        ("ringfort_media_failures_total", "Legs whose media failed, by named cause"),
        (
            "ringfort_recordings_total",
            "Recordings that began, were paused, ended, were lost or failed, by recorder and named cause",
        ),
        ("ringfort_audio_missing_total", "Parties whose audio was missing in a call that ended, by named cause"),
        ("ringfort_messages_rejected_total", "SIP messages refused or dropped, by the rule they broke"),
        ("ringfort_bans_total", "Unknown sources banned, by reason"),
        ("ringfort_unknown_dropped_total", "Messages of unknown sources dropped without an answer"),
        ("ringfort_overload_changes_total", "Changes of the overload stage, by the new stage"),
        ("ringfort_limits_reached_total", "Local limits met, by name"),
        ("ringfort_impaired_total", "Failures of something the node needs, by part"),
        ("ringfort_media_strangers_total", "Datagrams at the port that browsers share that were for none of them"),
        ("ringfort_media_lost_total", "Datagrams of the port that browsers share that the node lost between its workers"),
        ("ringfort_sip_messages_total", "SIP messages by direction"),
    ];
    let gauges = [
        ("ringfort_build_info", "Version of the binary"),
        ("ringfort_uptime_seconds", "Seconds since the process started"),
        ("ringfort_calls", "Calls live"),
        ("ringfort_transcoded_calls", "Calls whose audio is decoded and encoded anew"),
        ("ringfort_media_flows", "Directions of audio by what carries them, and why nothing faster does"),
        ("ringfort_registrations", "Bindings"),
        ("ringfort_subscriptions", "Subscriptions alive"),
        ("ringfort_alarms", "Alarms that stand"),
        ("ringfort_alarm", "1 for an alarm that stands, 0 for one that has ended"),
        ("ringfort_banned_sources", "Sources banned now"),
        ("ringfort_mode", "1 for the mode the node is in"),
        ("ringfort_peer_up", "1 when the cloud or trunk is reachable"),
        ("ringfort_peer_round_trip_seconds", "Round trip of the last answered OPTIONS"),
    ];
    for (name, help) in counters {
        recorder.describe_counter(name.into(), None, help.into());
    }
    for (name, help) in gauges {
        recorder.describe_gauge(name.into(), None, help.into());
    }
    recorder.describe_histogram("ringfort_call_setup_seconds".into(), None, "From INVITE to answer".into());
    recorder.describe_histogram(
        "ringfort_call_mos".into(),
        None,
        "Mean opinion score of a party's audio, at the end of a call".into(),
    );
    recorder.describe_counter(
        "ringfort_rtp_lost_total".into(),
        None,
        "RTP packets that did not come, of calls that ended".into(),
    );
    recorder.describe_histogram("ringfort_call_talk_seconds".into(), None, "From answer to end".into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{PERSONAL, every_event};
    use ringfort_base::{Pii, Transport};
    use std::net::SocketAddr;

    fn carrier(tier: &str, program: &str, reason: &str) -> Carrier {
        Carrier { tier: tier.into(), program: program.into(), reason: reason.into() }
    }

    fn gauges() -> Gauges {
        let peer = |name: &str, up| PeerGauge { name: name.into(), up, round_trip_ms: up.then_some(12) };
        Gauges {
            version: "0.1.0".into(),
            mode: Mode::Survivable,
            calls: 3,
            transcoded: 2,
            registrations: 7,
            subscriptions: 5,
            peers: vec![peer("cloud", false), peer("carrier", true)],
            flows: [
                (carrier("kernel", "xdp", ""), 6),
                (carrier("kernel", "tc", "not-named"), 4),
                (carrier("sockets", "", "secure"), 2),
            ]
            .into(),
            media_strangers: 8,
            media_lost: 9,
            messages_in: 100,
            events_dropped: vec![("log", 5)],
            ..Gauges::default()
        }
    }

    #[test]
    fn events_are_counted_and_gauges_shown() {
        let metrics = Metrics::new().unwrap();
        let mut subscriber = metrics.clone();
        for event in every_event() {
            subscriber.on(Wall(0), &event);
            subscriber.on(Wall(0), &event);
        }
        subscriber.settled();
        let text = metrics.render(&gauges());
        for line in [
            "ringfort_events_total{event=\"call-started\"} 2",
            "ringfort_media_flows{tier=\"kernel\",program=\"xdp\",reason=\"none\"} 6",
            "ringfort_media_flows{tier=\"kernel\",program=\"tc\",reason=\"not-named\"} 4",
            "ringfort_media_flows{tier=\"sockets\",program=\"none\",reason=\"secure\"} 2",
            "ringfort_media_strangers_total 8",
            "ringfort_media_lost_total 9",
            "ringfort_calls_ended_total{cause=\"normal\",mode=\"survivable\"} 2",
            "ringfort_audio_missing_total{cause=\"one-way\",party=\"caller\"} 2",
            "ringfort_call_setup_seconds_bucket{le=\"1\"} 2",
            "ringfort_call_talk_seconds_sum 120",
            "ringfort_messages_rejected_total{rule=\"bad-content-length\",transport=\"UDP\"} 2",
            "ringfort_subscriptions 5",
            "ringfort_mode{mode=\"survivable\"} 1",
            "ringfort_mode{mode=\"normal\"} 0",
            "ringfort_calls 3",
            "ringfort_transcoded_calls 2",
            "ringfort_peer_up{peer=\"cloud\"} 0",
            "ringfort_peer_up{peer=\"carrier\"} 1",
            "ringfort_peer_round_trip_seconds{peer=\"carrier\"} 0.012",
            "ringfort_sip_messages_total{direction=\"in\"} 100",
            "ringfort_events_dropped_total{observer=\"log\"} 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        for event in every_event() {
            assert!(text.contains(&format!("event=\"{}\"", event.name())));
        }
        for personal in PERSONAL {
            assert!(!text.contains(personal), "{personal}");
        }
    }

    #[test]
    fn a_peer_that_is_gone_is_not_down() {
        let metrics = Metrics::new().unwrap();
        metrics.render(&gauges());
        let text = metrics.render(&Gauges { peers: vec![], ..gauges() });
        assert!(text.contains("ringfort_peer_up{peer=\"cloud\"} NaN"), "{text}");
    }

    #[test]
    fn what_carries_nothing_any_more_is_zero_and_reasons_are_bounded() {
        let metrics = Metrics::new().unwrap();
        metrics.render(&gauges());
        let text = metrics.render(&Gauges::default());
        for line in [
            "ringfort_media_flows{tier=\"kernel\",program=\"xdp\",reason=\"none\"} 0",
            "ringfort_media_flows{tier=\"sockets\",program=\"none\",reason=\"secure\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        let flows = (0..1_000).map(|n| (carrier("sockets", "", &format!("reason-{n}")), 1)).collect();
        let text = metrics.render(&Gauges { flows, ..Gauges::default() });
        let lines = text.lines().filter(|l| l.starts_with("ringfort_media_flows{"));
        assert!(lines.count() <= LABEL_VALUES_MAX + 2);
        assert!(text.contains("reason=\"other\""));
    }

    #[test]
    fn an_alarm_is_1_while_it_stands_and_0_after() {
        let metrics = Metrics::new().unwrap();
        assert!(metrics.render(&Gauges::default()).contains("ringfort_alarms 0"));
        let text = metrics.render(&Gauges { alarms: vec!["kernel eth0".into()], ..Gauges::default() });
        assert!(text.contains("ringfort_alarm{alarm=\"kernel eth0\"} 1") && text.contains("ringfort_alarms 1"), "{text}");
        let text = metrics.render(&Gauges::default());
        assert!(text.contains("ringfort_alarm{alarm=\"kernel eth0\"} 0") && text.contains("ringfort_alarms 0"), "{text}");
    }

    #[test]
    fn labels_are_bounded() {
        let metrics = Metrics::new().unwrap();
        let mut subscriber = metrics.clone();
        let rules = (0..1_000).map(|n| format!("rule-{n}")).chain(["\"}\n".to_owned(), "x".repeat(100)]);
        for rule in rules {
            let source = Pii::new(SocketAddr::from(([192, 0, 2, 7], 5060)));
            let event = Event::MessageRejected { source, transport: Transport::Udp, rule, status: None };
            subscriber.on(Wall(0), &event);
        }
        let text = metrics.render(&Gauges::default());
        let lines = text.lines().filter(|l| l.starts_with("ringfort_messages_rejected_total{"));
        assert_eq!(lines.count(), LABEL_VALUES_MAX + 1);
        assert!(text.contains("rule=\"other\""));
    }
}
