//! Media of a scene: ICE and DTLS of browsers, and what the relay was told.

use crate::party::State;
use crate::story::{End, Scene};
use ringfort_base::{CallId, PortId};
use ringfort_call::Input;
use ringfort_media::audio::{Codec, Heard};
use ringfort_media::plan::{Destination, FlowPlan, RelayCommand, RelayEvent, Source, SrtpKeys};
use std::time::Duration;

const TICK: Duration = Duration::from_millis(5);
/// ICE and DTLS get two seconds.
const TICKS_MAX: usize = 400;
const NO_HANDSHAKE: &str = "ICE and DTLS come to an end";

impl Scene {
    /// The media port behind a dialog of a party. Browsers share a number, and are told apart by the name that they call.
    pub fn port(&self, (party, line): End) -> Option<PortId> {
        let peer = self.parties[party].lines.get(line)?.voice.peer.as_ref()?;
        let number = peer.port;
        if let Some(called) = peer.text.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")) {
            return self.desk.relayed.iter().rev().find_map(|command| match command {
                RelayCommand::Plan { port, plan } if plan.receive.fragment.as_deref() == Some(called) => Some(*port),
                _ => None,
            });
        }
        self.desk.relayed.iter().rev().find_map(|command| match command {
            RelayCommand::Open { port, rtp, .. } if rtp.port() == number => Some(*port),
            _ => None,
        })
    }

    /// The call by whose number the relay chooses this port's worker.
    fn group(&self, end: End) -> Option<CallId> {
        let wanted = self.port(end)?;
        self.desk.relayed.iter().rev().find_map(|command| match command {
            RelayCommand::Open { port, call, .. } | RelayCommand::Move { port, call } if *port == wanted => Some(*call),
            _ => None,
        })
    }

    pub fn plan(&self, end: End) -> Option<FlowPlan> {
        let wanted = self.port(end)?;
        self.desk.relayed.iter().rev().find_map(|command| match command {
            RelayCommand::Plan { port, plan } if *port == wanted => Some((**plan).clone()),
            _ => None,
        })
    }

    /// Dialogs whose browser has begun.
    fn browsers(&self) -> Vec<End> {
        let lines = |party: usize| (0..self.parties[party].lines.len()).map(move |line| (party, line));
        let begun = |end: &End| {
            let line = &self.parties[end.0].lines[end.1];
            let exchanged = line.voice.told.is_some() && line.voice.peer.is_some();
            line.voice.browser.is_some() && exchanged && !matches!(line.state, State::Over | State::Refused(_))
        };
        (0..3).flat_map(lines).filter(begun).collect()
    }

    fn is_ready(&self, end: &End) -> bool {
        let keys = self.parties[end.0].lines[end.1].voice.browser.as_ref().and_then(|browser| browser.keys.clone());
        keys.is_some_and(|(ours, _)| self.plan(*end).is_some_and(|plan| plan.receive.srtp == Some(ours)))
    }

    pub fn shake(&mut self) {
        if self.findings.iter().any(|finding| finding == NO_HANDSHAKE) {
            return;
        }
        let open: Vec<End> = self.browsers().into_iter().filter(|end| self.port(*end).is_some()).collect();
        for _ in 0..TICKS_MAX {
            self.carry(&open);
            if open.iter().all(|end| self.is_ready(end)) {
                return;
            }
            self.desk.pass(TICK);
            for (party, line) in &open {
                let now = self.desk.now();
                if let Some(browser) = &mut self.parties[*party].lines[*line].voice.browser {
                    browser.handle_timeout(now);
                }
            }
        }
        self.findings.push(NO_HANDSHAKE.into());
    }

    /// Datagrams, both ways.
    fn carry(&mut self, open: &[End]) {
        let now = self.desk.now();
        for command in self.desk.relayed[self.read..].iter().cloned() {
            let RelayCommand::Send { port: from, to, datagram } = command else { continue };
            let Some((party, line)) = open.iter().find(|end| self.port(**end) == Some(from)) else { continue };
            if let Some(browser) = &mut self.parties[*party].lines[*line].voice.browser {
                browser.handle(now, to, &datagram);
            }
        }
        self.read = self.desk.relayed.len();
        for end in open {
            let Some(port) = self.port(*end) else { continue };
            while let Some((from, _, datagram)) =
                self.parties[end.0].lines[end.1].voice.browser.as_mut().and_then(|browser| browser.poll_send())
            {
                self.desk.input(Input::Relay(RelayEvent::Control { port, from, datagram }));
            }
        }
    }

    /// Packets go both ways between two ends, each protected as its party was told.
    pub fn talks(&mut self, one: End, other: End) {
        for (end, far) in [(one, other), (other, one)] {
            let (plan, to) = (self.plan(end), self.port(far));
            let Some((plan, to)) = plan.zip(to) else {
                self.findings.push("a leg has a plan".into());
                continue;
            };
            let heard = plan.audio.as_ref().is_some_and(|audio| !audio.hear.payloads.is_empty());
            let passes = plan.destination == Destination::Port(to);
            self.expect((passes || heard) && !plan.transmit.muted, "packets pass, or are heard");
            let (in_keys, out_keys, address) = self.told(end);
            self.expect(plan.receive.srtp == in_keys && plan.transmit.srtp == out_keys, "keys are those of the party");
            self.expect(plan.transmit.rtp.map(|at| at.to_string()) == Some(address), "packets go where the party said");
        }
        self.expect(self.group(one).is_some() && self.group(one) == self.group(other), "one worker of the relay has both ports");
        let sound = [(one, other), (other, one)].into_iter().all(|(from, to)| self.is_taken(from, to) == Some(true));
        self.expect(
            sound,
            "what one side may send first the other takes under this payload type, or the node says it in one that it takes",
        );
    }

    /// Whether the first speech that `from` may send reaches `to` in a codec and under a number that it takes.
    fn is_taken(&self, from: End, to: End) -> Option<bool> {
        let voice = |(party, line): End| &self.parties[party].lines[line].voice;
        let taken = voice(to).told.as_ref().map(|sdp| sdp.formats.clone()).unwrap_or_default();
        let first = voice(from).speech()?;
        let (near, far) = (self.plan(from)?, self.plan(to)?);
        if near.destination == Destination::Port(self.port(to)?) && taken.contains(&first) {
            return Some(true);
        }
        let speech = far.audio.and_then(|audio| audio.speak)?;
        let Heard::Speech(codec) = near.audio?.hear.payloads.iter().find(|(payload, _)| *payload == first.0)?.1 else {
            return None;
        };
        let named = |(payload, encoding): &(u8, String)| {
            *payload == speech.how.payload
                && Codec::named(encoding.split('/').next().unwrap_or_default()) == Some(speech.how.codec)
        };
        let same = Codec::named(first.1.split('/').next()?) == Some(codec);
        Some(same && speech.what == Source::Port(self.port(from)?) && taken.iter().any(named))
    }

    /// Keys of a party's direction and of the node's, and where the party takes media.
    fn told(&self, (party, line): End) -> (Option<SrtpKeys>, Option<SrtpKeys>, String) {
        let (kit, voice) = (&self.parties[party].kit, &self.parties[party].lines[line].voice);
        let host = self.parties[party].host();
        let address = if kit.v6 { format!("[{host}]:{}", voice.port) } else { format!("{host}:{}", voice.port) };
        let keys = match &voice.browser {
            Some(browser) => browser.keys.clone().unzip(),
            None => (voice.told.as_ref().and_then(|sdp| sdp.keys()), voice.peer.as_ref().and_then(|sdp| sdp.keys())),
        };
        (keys.0, keys.1, address)
    }
}
