//! A digit of a scene, from the caller to the callee: by whatever way each of them has.

use crate::axes::Digits;
use crate::sdp::is_event;
use crate::story::{CALLEE, CALLER, Scene};
use ringfort_call::Input;
use ringfort_media::audio::{Digit, Heard};
use ringfort_media::plan::{AudioPlan, RelayCommand, RelayEvent, Speech};

const INFO: &str = "Signal=5\r\nDuration=160\r\n";

fn digit() -> Digit {
    Digit::whole('5', 160).expect("a key")
}

impl Scene {
    /// Plays a digit, judges how it comes, and says so in the words of the page.
    pub fn digits(&mut self) -> String {
        let [from, to] = [CALLER, CALLEE].map(|at| self.parties[at].kit.digits);
        let [events, theirs] = [CALLER, CALLEE].map(|at| {
            let voice = &self.parties[at].lines[0].voice;
            voice.agreed("telephone-event/8000").or_else(|| voice.agreed("telephone-event/48000"))
        });
        let takes = to != Digits::InBand || self.speaks_to(CALLEE);
        self.expect(
            events.is_some() == (from == Digits::Events && takes),
            "who has events keeps them where they can be brought on",
        );
        // Who offers events in a change of its own keeps them, whatever the other side has.
        let decided = from != Digits::InBand || to != Digits::Events;
        self.expect(!decided || theirs.is_some() == (to == Digits::Events), "who takes events has them where digits are told");
        match (from, to) {
            (Digits::Events, Digits::Events) => self.event_to_event(events, theirs),
            (Digits::Events, _) if !takes => "not converted".into(),
            (Digits::Events, Digits::Info) => self.event_to_info(events),
            (Digits::Events, Digits::InBand) => self.event_to_tones(events),
            (Digits::Info, _) => self.sent_by_info(to, takes, theirs),
            (Digits::InBand, _) => "audio".into(),
        }
    }

    /// The node has the codec in which this party is spoken to.
    fn speaks_to(&self, at: usize) -> bool {
        let format = self.parties[at].lines[0].voice.speech();
        format.is_some_and(|(_, name)| !is_event(&name) && !name.starts_with("G729"))
    }

    fn audio(&self, at: usize) -> AudioPlan {
        self.plan((at, 0)).and_then(|plan| plan.audio).map(|audio| *audio).unwrap_or_default()
    }

    fn hears_events(&self, at: usize, payload: Option<u8>) -> bool {
        let heard = self.audio(at).hear.payloads;
        heard.iter().any(|(number, heard)| Some(*number) == payload && matches!(heard, Heard::Events { .. }))
    }

    fn speech(&self, at: usize) -> Option<Speech> {
        self.audio(at).speak
    }

    /// How many digits the relay was told to tell the callee's port.
    fn keyed(&self) -> usize {
        let port = self.port((CALLEE, 0));
        let is_it = |command: &&RelayCommand| matches!(command, RelayCommand::Digit { port: at, digit: told } if Some(*at) == port && *told == digit());
        self.desk.relayed.iter().filter(is_it).count()
    }

    fn event_to_event(&mut self, events: Option<u8>, theirs: Option<u8>) -> String {
        let crossed = self.hears_events(CALLER, events) && self.speech(CALLEE).is_some_and(|speech| speech.digits);
        self.expect(events == theirs || crossed, "events of other numbers are told anew");
        let [events, theirs] = [events, theirs].map(Option::unwrap_or_default);
        if events == theirs { format!("event {events}") } else { format!("event {events} → {theirs}") }
    }

    fn event_to_info(&mut self, events: Option<u8>) -> String {
        self.expect(self.hears_events(CALLER, events), "events are heard");
        self.expect(self.speech(CALLEE).is_some_and(|speech| !speech.digits), "no tones beside the INFO");
        if let Some(port) = self.port((CALLER, 0)) {
            self.desk.input(Input::Relay(RelayEvent::Digit { port, digit: Digit { end: false, ..digit() } }));
            self.desk.input(Input::Relay(RelayEvent::Digit { port, digit: digit() }));
        }
        self.settle();
        self.expect(self.parties[CALLEE].infos == [INFO], "the digit arrives once, with its duration");
        format!("event {} → INFO", events.unwrap_or_default())
    }

    fn event_to_tones(&mut self, events: Option<u8>) -> String {
        let speech = self.speech(CALLEE).is_some_and(|speech| speech.digits && speech.how.events.is_none());
        self.expect(self.hears_events(CALLER, events) && speech, "events are heard, and sound");
        format!("event {} → tones", events.unwrap_or_default())
    }

    fn sent_by_info(&mut self, to: Digits, takes: bool, theirs: Option<u8>) -> String {
        self.parties[CALLER].send(&mut self.desk, 0, "INFO", "Content-Type: application/dtmf-relay\r\n", INFO);
        self.settle();
        let passes = to == Digits::Info || !takes;
        let status = self.parties[CALLER].answers.get("INFO").copied();
        self.expect(status == Some(if takes { 200 } else { 415 }), "the INFO is answered as it was taken");
        self.expect((self.parties[CALLEE].infos == [INFO]) == (to == Digits::Info), "an INFO arrives as it was sent");
        self.expect(self.keyed() == usize::from(!passes), "the digit is told once");
        // Of two clocks it is that of the codec.
        let events = self.speech(CALLEE).and_then(|speech| speech.how.events);
        let voice = &self.parties[CALLEE].lines[0].voice;
        let agreed = events.and_then(|(payload, hz)| Some(voice.agreed(&format!("telephone-event/{hz}"))? == payload));
        self.expect(passes || agreed == theirs.map(|_| true), "it is told in the callee's way");
        match (to, events) {
            (Digits::Info, _) => "INFO".into(),
            (_, Some((payload, _))) => format!("INFO → event {payload}"),
            _ if takes => "INFO → tones".into(),
            _ => "not converted".into(),
        }
    }
}
