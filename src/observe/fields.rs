//! An event as named text fields for a log line, with personal data masked or not.
//!
//! Typed personal data is masked by `Pii`. Free text (`reason`, `effect`, target names) may quote a peer or name an
//! extension, so it is searched for what looks like an address or a number as well.

use ringfort_base::event::{CallRecord, MissingAudio};
use ringfort_base::step::Sample;
use ringfort_base::{Event, Pii, Step};
use std::fmt::Display;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Shortest run of digits that is taken for a telephone number in free text.
const NUMBER_DIGITS: usize = 6;

/// What an event is about: events about one thing share their names of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// The node and its peers.
    Node,
    /// Who is let in.
    Access,
    /// A call.
    Call,
    /// A step of a call.
    Step,
}

impl About {
    /// What `event` is about.
    pub fn of(event: &Event) -> About {
        match event {
            Event::Started { .. }
            | Event::Reloaded { .. }
            | Event::ModeChanged { .. }
            | Event::PeerState { .. }
            | Event::RuleSkipped { .. }
            | Event::LimitReached { .. }
            | Event::Overload { .. }
            | Event::Alarm { .. }
            | Event::Impaired { .. } => About::Node,
            Event::Registered { .. }
            | Event::Unregistered { .. }
            | Event::AuthFailed { .. }
            | Event::SourceBanned { .. }
            | Event::SourceUnbanned { .. }
            | Event::MessageRejected { .. } => About::Access,
            Event::CallEnded(_)
            | Event::CallStarted { .. }
            | Event::CallRouted { .. }
            | Event::CallRerouted { .. }
            | Event::CallAnswered { .. }
            | Event::MediaReady { .. }
            | Event::MediaFailed { .. }
            | Event::AudioMissing { .. }
            | Event::Recording { .. } => About::Call,
            Event::CallStep { .. } => About::Step,
        }
    }
}

/// Named texts of one event.
#[derive(Debug, Default)]
pub struct Fields {
    reveal: bool,
    list: Vec<(&'static str, String)>,
}

impl Fields {
    /// The fields of `event`. `reveal` shows personal data.
    pub fn of(event: &Event, reveal: bool) -> Fields {
        let mut fields = Fields { reveal, list: Vec::with_capacity(8) };
        fields.describe(event);
        fields
    }

    /// The text of a field.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|(n, _)| *n == name).map(|(_, text)| text.as_str())
    }

    /// All fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.list.iter().map(|(name, text)| (*name, text.as_str()))
    }

    fn plain(&mut self, name: &'static str, value: impl Display) -> &mut Self {
        self.list.push((name, value.to_string()));
        self
    }

    fn text(&mut self, name: &'static str, value: &str) -> &mut Self {
        let text = if self.reveal { value.to_owned() } else { scrub(value) };
        self.plain(name, text)
    }

    fn pii<T: Display>(&mut self, name: &'static str, value: &Pii<T>) -> &mut Self {
        if self.reveal { self.plain(name, value.reveal()) } else { self.plain(name, value) }
    }

    fn describe(&mut self, event: &Event) {
        match (About::of(event), event) {
            (About::Call, Event::CallEnded(record)) => self.record(record),
            (About::Call, _) => self.call(event),
            (About::Step, Event::CallStep { call, leg, step }) => {
                self.plain("call", call).plain("leg", leg.as_str()).plain("step", step.name()).step(step);
            }
            (About::Step, _) => {}
            (About::Access, _) => self.access(event),
            (About::Node, _) => self.node(event),
        }
    }

    fn node(&mut self, event: &Event) {
        match event {
            Event::Started { version, calls_restored, bindings_restored } => self
                .plain("version", version)
                .plain("restored", format_args!("{calls_restored} calls, {bindings_restored} bindings")),
            Event::Reloaded { refused } => match refused {
                Some(reason) => self.plain("taken", false).text("reason", reason),
                None => self.plain("taken", true),
            },
            Event::ModeChanged { from, to, reason } => {
                self.plain("from", from.as_str()).plain("to", to.as_str()).text("reason", reason)
            }
            Event::PeerState { peer, up, reason } => self.text("peer", peer).plain("up", up).text("reason", reason),
            Event::LimitReached { limit, effect } => self.text("limit", limit).text("effect", effect),
            Event::RuleSkipped { profile, rule } => self.text("profile", profile).text("rule", rule),
            Event::Overload { stage, queued, lag_ms } => {
                self.plain("stage", stage).plain("queued", queued).plain("lag_ms", lag_ms)
            }
            Event::Alarm { alarm, raised, reason } => self.text("alarm", alarm).plain("raised", raised).text("reason", reason),
            Event::Impaired { part, reason } => self.text("part", part).text("reason", reason),
            _ => self,
        };
    }

    fn access(&mut self, event: &Event) {
        match event {
            Event::Registered { aor, transport, expires_s, local, refresh } => self
                .pii("aor", aor)
                .plain("transport", transport)
                .plain("expires_s", expires_s)
                .plain("local", local)
                .plain("refresh", refresh),
            Event::Unregistered { aor, reason } => self.pii("aor", aor).text("reason", reason),
            Event::AuthFailed { user, source, reason } => self.pii("user", user).pii("source", source).text("reason", reason),
            Event::SourceBanned { source, reason, seconds } => {
                self.pii("source", source).text("reason", reason).plain("seconds", seconds)
            }
            Event::SourceUnbanned { source, reason } => self.pii("source", source).text("reason", reason),
            Event::MessageRejected { source, transport, rule, status } => {
                self.pii("source", source).plain("transport", transport).text("rule", rule);
                status.iter().fold(self, |fields, status| fields.plain("status", status))
            }
            _ => self,
        };
    }

    fn call(&mut self, event: &Event) {
        match event {
            Event::CallStarted { call, from, to } => self.plain("call", call).pii("from", from).pii("to", to),
            Event::CallRouted { call, route, targets } => {
                self.plain("call", call).text("route", route).text("targets", &targets.join(" "))
            }
            Event::CallRerouted { call, from, to, reason } => {
                self.plain("call", call).text("from", from).text("to", to).text("reason", reason)
            }
            Event::CallAnswered { call, target } => self.plain("call", call).text("answered_by", target),
            Event::MediaReady { call, leg, how } => self.plain("call", call).text("leg", leg).text("how", how),
            Event::MediaFailed { call, leg, cause } => self.plain("call", call).text("leg", leg).text("cause", cause),
            Event::Recording { call, recorder, state, cause } => {
                self.plain("call", call).text("recorder", recorder).text("state", state).text("cause", cause)
            }
            Event::AudioMissing { call, leg, missing } => self
                .plain("call", call)
                .text("leg", leg)
                .text("cause", &missing.cause)
                .plain("silent_s", missing.seconds)
                .text("reason", missing.detail.reveal()),
            _ => self,
        };
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Restored | Step::Held | Step::Resumed => self,
            Step::Ringing { status } => self.plain("status", status),
            Step::IceChecked { peer } | Step::IceSelected { peer } => self.pii("peer", peer),
            Step::DtlsBegun { role, peer } => self.text("role", role).pii("peer", peer),
            Step::DtlsDone { version, suite } => self.text("version", version).text("suite", suite),
            Step::Latched { component, peer } => self.text("component", component).pii("peer", peer),
            Step::FirstAudio { ssrc } | Step::SsrcChanged { ssrc } => self.plain("ssrc", format_args!("{ssrc:08x}")),
            Step::Codec { codec } => self.text("codec", codec),
            Step::Tier { tier, program, cause } => self.text("tier", tier).text("program", program).text("cause", cause),
            Step::Quality(sample) => self.sample(sample),
        };
    }

    fn sample(&mut self, sample: &Sample) -> &mut Self {
        let Sample { packets, lost, jitter_us, round_trip_us, missed, mos } = sample;
        self.plain("packets", packets).plain("lost", lost).plain("missed", missed);
        self.plain("jitter_ms", format_args!("{:.1}", f64::from(*jitter_us) / 1_000.0));
        if let Some(round_trip_us) = round_trip_us {
            self.plain("round_trip_ms", format_args!("{:.1}", f64::from(*round_trip_us) / 1_000.0));
        }
        if let Some(mos) = mos {
            self.plain("mos", format_args!("{mos:.2}"));
        }
        self
    }

    fn record(&mut self, record: &CallRecord) {
        let talked_ms = record.answered.map_or(0, |at| record.ended.left(at).as_millis());
        self.plain("call", record.call)
            .pii("from", &record.from)
            .pii("to", &record.to)
            .text("route", &record.route)
            .plain("mode", record.mode.as_str())
            .plain("duration_ms", talked_ms)
            .plain("status", record.status)
            .text("cause", &record.cause)
            .plain("reroutes", record.reroutes)
            .plain("packets", format_args!("{}/{}", record.packets[0], record.packets[1]));
        let [caller, callee] = *record.quality;
        self.plain("lost", format_args!("{}/{}", caller.lost, callee.lost));
        self.plain("jitter_ms", format_args!("{}/{}", caller.jitter_max_us / 1_000, callee.jitter_max_us / 1_000));
        if let (Some(caller), Some(callee)) = (caller.mos, callee.mos) {
            self.plain("mos", format_args!("{caller:.2}/{callee:.2}"));
        }
        if record.missing.iter().any(Option::is_some) {
            let cause = |missing: &Option<MissingAudio>| missing.as_ref().map_or("-".to_owned(), |missing| missing.cause.clone());
            let [caller, callee] = record.missing.each_ref().map(cause);
            self.text("missing", &format!("{caller}/{callee}"));
        }
    }
}

/// Masks what looks personal in free text: addresses of hosts, addresses of record, extensions, telephone numbers.
pub fn scrub(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            clean.push(' ');
        }
        if word.starts_with("extension:") {
            clean.push_str("extension:…");
        } else if is_personal(word) {
            clean.push_str(&Pii::new(word).to_string());
        } else {
            clean.push_str(word);
        }
    }
    clean
}

fn is_personal(word: &str) -> bool {
    let runs = |inside: fn(char) -> bool| word.split(move |c: char| !inside(c));
    word.contains('@')
        || word.contains("extension:")
        || runs(|c| c.is_ascii_digit()).any(|run| run.len() >= NUMBER_DIGITS)
        || runs(|c| c.is_ascii_digit() || c == '.').any(|run| run.trim_matches('.').parse::<Ipv4Addr>().is_ok())
        || runs(|c| c.is_ascii_hexdigit() || c == ':' || c == '.').any(holds_ipv6)
}

/// Whether a run of hexadecimal digits and colons is an IPv6 address, perhaps with a colon of the sentence behind it.
fn holds_ipv6(run: &str) -> bool {
    let run = run.trim_end_matches('.');
    run.len() > 2
        && (run.parse::<Ipv6Addr>().is_ok()
            || run.strip_suffix(':').is_some_and(|run| run.parse::<Ipv6Addr>().is_ok())
            || run.strip_prefix(':').is_some_and(|run| run.parse::<Ipv6Addr>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_is_scrubbed() {
        for (text, expected) in [
            ("no answer to 2 OPTIONS", "no answer to 2 OPTIONS"),
            ("INVITE unanswered for 1500 ms", "INVITE unanswered for 1500 ms"),
            ("connect to 192.0.2.7:5060 failed", "connect to …60 failed"),
            ("peer (192.0.2.7): refused", "peer …): refused"),
            ("udp:[2001:db8::7]:5060 is down", "…60 is down"),
            ("host 2001:db8::7: unreachable", "host …7: unreachable"),
            ("answered 503 by +4930123456", "answered 503 by …56"),
            ("no binding of 101@example.com", "no binding of …om"),
            ("extension:102 trunk:carrier", "extension:… trunk:carrier"),
            ("dtls-srtp aes-cm-128-80", "dtls-srtp aes-cm-128-80"),
            ("version 0.1.0 at 12:30:45", "version 0.1.0 at 12:30:45"),
        ] {
            assert_eq!(scrub(text), expected);
        }
    }
}
