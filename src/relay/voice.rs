//! What the node hears and says on a port itself: transcoding, sounds, conferences.
//!
//! Packets that are heard end in the port's ear. Every [`FRAME`] each port that speaks takes a frame from its source (an ear, a mix
//! of ears, a sound), and its mouth makes packets of it, which leave like any other.

use crate::flow::{Exit, Media};
use crate::path::{Departure, Flows, Slot};
use crate::untouched::Origin;
use ringfort_base::entropy::Seeded;
use ringfort_base::limits::{MEDIA_DATAGRAM_MAX, SRTP_TRAILER_MAX};
use ringfort_base::{PortId, Time};
use ringfort_media::audio::{Digit, Ear, Hearing, Mouth, Played, Resampler, Sound, Tone, softened};
use ringfort_media::plan::{AudioPlan, RelayEvent, Source, Speech};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How much audio is moved at once.
pub(crate) const FRAME: Duration = Duration::from_millis(20);
/// Frames in a second.
const FRAMES_PER_SECOND: u32 = 50;
/// Sampling rate at which sounds are kept and conferences are mixed, Hz.
pub const MIX_HZ: u32 = 16_000;
/// Samples of a frame at that rate.
const MIX_FRAME: usize = (MIX_HZ / FRAMES_PER_SECOND) as usize;
/// Samples of a frame at the highest rate of a codec, 48 kHz.
const FRAME_MAX: usize = 960;

/// Sounds by their names, at [`MIX_HZ`].
pub type Sounds = BTreeMap<String, Sound>;

/// A port's ear and mouth, and what the mouth says.
pub(crate) struct Voice {
    ear: Option<(Hearing, Ear)>,
    mouth: Option<Speaker>,
    /// What was heard last for a mix, and in which turn.
    frame: [i16; MIX_FRAME],
    frame_turn: u64,
    heard: bool,
}

/// A mouth with its words.
struct Speaker {
    mouth: Mouth,
    speech: Speech,
    /// How far a sound was said, samples.
    place: usize,
    /// A tone that has begun.
    tone: Option<Tone>,
    /// From [`MIX_HZ`] to the mouth's rate.
    fit: Resampler,
}

impl Speaker {
    fn new(speech: &Speech) -> Option<Speaker> {
        // The numbers at which a stream begins must not be guessed (RFC 3550 5.1); the SSRC is as random as they need be.
        let Some(mouth) = Mouth::new(&speech.how, &mut Seeded::new(u64::from(speech.how.ssrc))) else {
            tracing::error!(codec = speech.how.codec.name(), "an encoder cannot be set up");
            return None;
        };
        let fit = Resampler::new(MIX_HZ, mouth.rate_hz());
        Some(Speaker { mouth, speech: speech.clone(), place: 0, tone: None, fit })
    }

    /// Takes up another plan; the stream goes on. False: the codec could not be set up.
    fn renew(&mut self, speech: &Speech) -> bool {
        if self.speech.what != speech.what {
            (self.place, self.tone) = (0, None);
        }
        if self.speech.how != speech.how && !self.mouth.change(&speech.how) {
            return false;
        }
        if self.speech.how != speech.how {
            // The mouth may want another rate.
            self.tone = None;
        }
        self.speech = speech.clone();
        self.fit = Resampler::new(MIX_HZ, self.mouth.rate_hz());
        true
    }

    fn frame_len(&self) -> usize {
        (self.mouth.rate_hz() / FRAMES_PER_SECOND) as usize
    }

    /// The next frame of a sound. False: it is over, or there is none of this name.
    fn read(&mut self, sounds: &Sounds, frame: &mut [i16; MIX_FRAME]) -> bool {
        let Source::Sound { name, repeat } = &self.speech.what else { return false };
        let Some(sound) = sounds.get(name).filter(|sound| sound.end() > 0 && (*repeat || self.place < sound.end())) else {
            return false;
        };
        self.place = sound.play(self.place, *repeat, frame);
        true
    }
}

impl Voice {
    fn silent() -> Voice {
        Voice { ear: None, mouth: None, frame: [0; MIX_FRAME], frame_turn: 0, heard: false }
    }

    /// Takes up a plan. An ear that hears the same goes on, and so does a mouth that speaks the same way.
    pub(crate) fn renew(voice: &mut Option<Box<Voice>>, plan: Option<&AudioPlan>) {
        let (hear, speak) = plan.map_or((None, None), |plan| (Some(&plan.hear), plan.speak.as_ref()));
        let hear = hear.filter(|hear| !hear.payloads.is_empty());
        if voice.is_none() && hear.is_none() && speak.is_none() {
            return;
        }
        let voice = voice.get_or_insert_with(|| Box::new(Voice::silent()));
        voice.ear = match (voice.ear.take(), hear) {
            (Some((_, mut ear)), Some(hear)) => {
                ear.change(hear);
                Some((hear.clone(), ear))
            }
            (None, Some(hear)) => Some((hear.clone(), Ear::new(hear))),
            (_, None) => None,
        };
        voice.mouth = match (voice.mouth.take(), speak) {
            (Some(mut speaker), Some(speech)) => speaker.renew(speech).then_some(speaker),
            (None, Some(speech)) => Speaker::new(speech),
            // Its stream may go on later, and its numbers must not begin anew then.
            (Some(mut speaker), None) => {
                (speaker.speech.what, speaker.speech.pauses) = (Source::Silence, true);
                Some(speaker)
            }
            (None, None) => None,
        };
    }

    /// Whether packets of this payload type end here.
    pub(crate) fn hears(&self, payload: u8) -> bool {
        self.ear.as_ref().is_some_and(|(hearing, _)| hearing.payloads.iter().any(|(heard, _)| *heard == payload))
    }

    /// Takes a packet.
    pub(crate) fn hear(&mut self, now: Time, rtp: &[u8]) {
        if let Some((_, ear)) = &mut self.ear {
            ear.receive(now, rtp);
        }
    }

    /// Whether it needs turns: one that only keeps its stream's numbers has nothing to say.
    fn speaks(&self) -> bool {
        self.mouth
            .as_ref()
            .is_some_and(|Speaker { mouth, speech, .. }| speech.what != Source::Silence || !speech.pauses || mouth.is_telling())
    }

    /// A digit that the core wants told.
    pub(crate) fn digit(&mut self, digit: Digit) {
        if let Some(speaker) = &mut self.mouth {
            speaker.mouth.digit(digit);
        }
    }

    /// What its ear yields now. False: nothing worth sending on.
    fn play(&mut self, now: Time, rate_hz: u32, out: &mut [i16]) -> bool {
        match &mut self.ear {
            Some((_, ear)) => ear.play(now, rate_hz, out) != Played::Nothing,
            None => {
                out.fill(0);
                false
            }
        }
    }

    /// The frame of this turn. False: nothing was heard.
    fn play_for_mix(&mut self, now: Time, turn: u64) -> bool {
        if self.frame_turn != turn {
            let mut frame = [0; MIX_FRAME];
            self.heard = self.play(now, MIX_HZ, &mut frame);
            (self.frame, self.frame_turn) = (frame, turn);
        }
        self.heard
    }

    fn next_digit(&mut self) -> Option<Digit> {
        self.ear.as_mut()?.1.poll_digit()
    }
}

/// Buffers of one worker's turn, and what came of it.
pub(crate) struct Turn {
    number: u64,
    pcm: Box<[i16; FRAME_MAX]>,
    mixed: Box<[i16; MIX_FRAME]>,
    packet: Box<[u8; MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX]>,
    /// Who has part in which mix in this turn.
    mixing: Vec<(u64, PortId)>,
    /// For the core.
    pub(crate) events: Vec<RelayEvent>,
    pub(crate) sounds: Arc<Sounds>,
}

impl Turn {
    pub(crate) fn new() -> Turn {
        Turn {
            number: 0,
            pcm: Box::new([0; FRAME_MAX]),
            mixed: Box::new([0; MIX_FRAME]),
            packet: Box::new([0; MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX]),
            mixing: Vec::new(),
            events: Vec::new(),
            sounds: Arc::default(),
        }
    }
}

/// Sends a packet; says whether the system took it.
pub(crate) type Send<'a> = &'a mut dyn FnMut(&Departure, &[u8]) -> bool;

impl Flows {
    /// Whether any port speaks: [`Flows::speak`] is due every [`FRAME`] then.
    pub(crate) fn is_speaking(&self) -> bool {
        !self.speakers.is_empty()
    }

    /// A digit that the core wants told to a port's peer.
    pub(crate) fn tell_digit(&mut self, port: PortId, digit: Digit) {
        if let Some(voice) = self.flow_of(port).and_then(|flow| flow.voice.as_mut()) {
            voice.digit(digit);
        }
        if let Some(slot) = self.slot(port) {
            self.voice_changed(slot);
        }
    }

    /// A port's plan has changed.
    pub(crate) fn voice_changed(&mut self, slot: Slot) {
        let speaks = self.flow(slot).is_some_and(|flow| flow.voice.as_deref().is_some_and(Voice::speaks));
        if speaks && !self.speakers.contains(&slot) {
            self.speakers.push(slot);
        }
    }

    /// One frame of every port that speaks. A panic on the way, after which the worker goes on, costs the port at hand its voice and all
    /// others nothing: each stays in the list but while it speaks.
    pub(crate) fn speak(&mut self, now: Time, turn: &mut Turn, send: Send<'_>) {
        turn.number += 1;
        turn.mixing.clear();
        for n in 0..self.speakers.len() {
            let mixed = self.speakers.get(n).copied().and_then(|slot| self.mixed_at(slot));
            turn.mixing.extend(mixed);
        }
        let mut n = 0;
        while let Some(slot) = self.speakers.get(n).copied() {
            match self.speak_at(now, slot, turn, send) {
                Some(()) => n += 1,
                None => drop(self.speakers.remove(n)),
            }
        }
    }

    /// The mix that a port has part in.
    fn mixed_at(&mut self, slot: Slot) -> Option<(u64, PortId)> {
        let flow = self.flow(slot)?;
        match flow.voice.as_ref()?.mouth.as_ref()?.speech.what {
            Source::Mix(mix) => Some((mix, flow.port)),
            _ => None,
        }
    }

    /// `None`: the port speaks no more.
    fn speak_at(&mut self, now: Time, slot: Slot, turn: &mut Turn, send: Send<'_>) -> Option<()> {
        let flow = self.flow(slot)?;
        // It is put aside, so that other ports can be looked at.
        let mut voice = flow.voice.take()?;
        let (port, open) = (flow.port, flow.has_exit());
        if let Some(speaker) = voice.mouth.as_mut().filter(|_| open)
            && self.listen(now, port, speaker, turn)
        {
            self.utter(now, slot, speaker, turn, send);
        }
        let speaks = voice.speaks();
        self.flow(slot)?.voice = Some(voice);
        speaks.then_some(())
    }

    /// Fills the turn's frame with what the speaker has to say. False: nothing is sent.
    fn listen(&mut self, now: Time, port: PortId, speaker: &mut Speaker, turn: &mut Turn) -> bool {
        let (rate_hz, len) = (speaker.mouth.rate_hz(), speaker.frame_len());
        let out = turn.pcm.get_mut(..len).unwrap_or_default();
        match &speaker.speech.what {
            Source::Silence => {
                out.fill(0);
                !speaker.speech.pauses || speaker.mouth.is_telling()
            }
            Source::Port(other) => {
                let other = *other;
                let Some(voice) = self.flow_of(other).and_then(|flow| flow.voice.as_mut()) else { return false };
                let heard = voice.play(now, rate_hz, out);
                while let Some(digit) = voice.next_digit() {
                    if speaker.speech.digits {
                        speaker.mouth.digit(digit);
                    }
                    turn.events.push(RelayEvent::Digit { port: other, digit });
                }
                heard || !speaker.speech.pauses || speaker.mouth.is_telling()
            }
            Source::Mix(mix) => {
                self.mix(now, port, *mix, turn);
                speaker.fit.process(&turn.mixed[..], turn.pcm.get_mut(..len).unwrap_or_default());
                true
            }
            Source::Tone { country, signal } => {
                let tone = speaker.tone.get_or_insert_with(|| Tone::new(country, *signal, rate_hz));
                tone.play(out);
                true
            }
            Source::Sound { .. } => {
                let goes_on = speaker.read(&turn.sounds, &mut turn.mixed);
                if goes_on {
                    speaker.fit.process(&turn.mixed[..], out);
                } else {
                    speaker.speech.what = Source::Silence;
                    turn.events.push(RelayEvent::Said { port });
                }
                goes_on
            }
        }
    }

    /// All of a conference but `own`. Each ear plays once a turn, whoever asks first.
    fn mix(&mut self, now: Time, own: PortId, mix: u64, turn: &mut Turn) {
        let mut sum = [0i32; MIX_FRAME];
        for (_, port) in turn.mixing.iter().filter(|(of, port)| *of == mix && *port != own) {
            let Some(voice) = self.flow_of(*port).and_then(|flow| flow.voice.as_mut()) else { continue };
            if voice.play_for_mix(now, turn.number) {
                sum.iter_mut().zip(&voice.frame).for_each(|(sum, sample)| *sum += i32::from(*sample));
            }
            while let Some(digit) = voice.next_digit() {
                turn.events.push(RelayEvent::Digit { port: *port, digit });
            }
        }
        turn.mixed.iter_mut().zip(&sum).for_each(|(mixed, sum)| *mixed = softened(*sum));
    }

    /// Makes packets of the turn's frame and sends them.
    fn utter(&mut self, now: Time, slot: Slot, speaker: &mut Speaker, turn: &mut Turn, send: Send<'_>) {
        let len = speaker.frame_len();
        let pcm = turn.pcm.get(..len).unwrap_or_default();
        let mut next = speaker.mouth.speak(now, pcm, &mut turn.packet[..MEDIA_DATAGRAM_MAX]);
        while let Some(len) = next {
            if let Some(Exit { component, to, len }) =
                self.flow(slot).and_then(|flow| flow.depart(now, Media::Rtp, &mut turn.packet[..], len, Origin::Node))
            {
                let departure = Departure { slot, component, media: Media::Rtp, is_video: false, to, len };
                let sent = send(&departure, &turn.packet[..len]);
                self.sent(&departure, sent);
                self.note(now, slot);
            }
            next = speaker.mouth.speak(now, &[], &mut turn.packet[..MEDIA_DATAGRAM_MAX]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Arrival, Step};
    use ringfort_media::audio::{Codec, Heard, Hearing, Speaking};
    use ringfort_media::plan::{Component, Destination, DiscardReason, FlowPlan, Latch, Receive, Transmit};
    use std::f64::consts::TAU;

    const FRAMES: u64 = 100;

    fn speaking(codec: Codec, ssrc: u32) -> Speaking {
        let payload = codec.static_payload().unwrap_or(111);
        let events = Some((101, codec.rtp_clock_hz()));
        Speaking { payload, codec, source_hz: 16_000, ptime_ms: 20, events, comfort_noise: None, opus: Default::default(), ssrc }
    }

    /// A port whose peer speaks this codec, and is told this.
    fn plan(codec: Codec, what: Source) -> FlowPlan {
        let (how, events) = (speaking(codec, 77), Heard::Events { clock_hz: codec.rtp_clock_hz() });
        let hear = Hearing { payloads: vec![(how.payload, Heard::Speech(codec)), (101, events)], in_band: false };
        FlowPlan {
            receive: Receive {
                latch: Latch::Symmetric { expected: None, grace_ms: 0 },
                srtp: None,
                speech: Vec::new(),
                signals: Vec::new(),
                video: Vec::new(),
                udptl: false,
                fragment: None,
                control: false,
                opened: 0,
            },
            destination: Destination::Discard(DiscardReason::Unheard),
            transmit: Transmit {
                rtp: "192.0.2.1:4000".parse().ok(),
                rtcp: None,
                rtcp_mux: true,
                srtp: None,
                lent: false,
                muted: false,
            },
            audio: Some(Box::new(AudioPlan { hear, speak: Some(Speech { how, what, digits: true, pauses: false }) })),
            copy: None,
            apart: None,
        }
    }

    /// A telephone: a mouth that says a tone, and an ear for what comes back.
    struct Phone {
        mouth: Mouth,
        ear: Ear,
        hz: f64,
        heard: Vec<i16>,
        packets: usize,
        digits: Vec<Digit>,
    }

    impl Phone {
        fn new(codec: Codec, hz: f64) -> Phone {
            let how = speaking(codec, 5);
            let payloads = vec![(how.payload, Heard::Speech(codec)), (101, Heard::Events { clock_hz: codec.rtp_clock_hz() })];
            let mouth = Mouth::new(&how, &mut Seeded::new(9)).expect("a codec");
            Phone {
                mouth,
                ear: Ear::new(&Hearing { payloads, in_band: false }),
                hz,
                heard: Vec::new(),
                packets: 0,
                digits: Vec::new(),
            }
        }

        fn says(&mut self, now: Time, frame: u64) -> Option<Vec<u8>> {
            let rate = f64::from(self.mouth.rate_hz());
            let len = rate as u64 / 50;
            let sample = |n: u64| ((TAU * self.hz * (frame * len + n) as f64 / rate).sin() * 8_000.0) as i16;
            let pcm: Vec<i16> = (0..len).map(sample).collect();
            let mut packet = vec![0; MEDIA_DATAGRAM_MAX];
            let len = self.mouth.speak(now, &pcm, &mut packet)?;
            packet.truncate(len);
            Some(packet)
        }

        fn hears(&mut self, now: Time) {
            let mut pcm = [0; 160];
            self.ear.play(now, 8_000, &mut pcm);
            self.digits.extend(std::iter::from_fn(|| self.ear.poll_digit()));
            self.heard.extend(pcm);
        }

        /// Share of the second half's power that is at this frequency.
        fn share(&self, hz: f64) -> f64 {
            let half = &self.heard[self.heard.len() / 2..];
            let turn = |n: usize| TAU * hz * n as f64 / 8_000.0;
            let (mut re, mut im, mut power) = (0.0, 0.0, 1.0);
            for (n, sample) in half.iter().enumerate() {
                let sample = f64::from(*sample);
                (re, im, power) = (re + sample * turn(n).cos(), im + sample * turn(n).sin(), power + sample * sample);
            }
            2.0 * (re * re + im * im) / (power * half.len() as f64)
        }
    }

    /// Lets every phone speak and hear for two seconds; `at` may do something in each frame.
    fn talk(flows: &mut Flows, turn: &mut Turn, phones: &mut [Phone], mut at: impl FnMut(u64, &mut Flows, &mut [Phone])) {
        for frame in 0..FRAMES {
            let now = Time::from_millis(20 * frame);
            at(frame, flows, phones);
            for (n, phone) in phones.iter_mut().enumerate() {
                let Some(packet) = phone.says(now, frame) else { continue };
                let slot = flows.slot(PortId(n as u64 + 1)).unwrap();
                let from = "192.0.2.1:4000".parse().unwrap();
                let arrival = Arrival { slot, component: Component::Rtp, from, len: packet.len() };
                let mut buffer = [&packet[..], &[0; SRTP_TRAILER_MAX]].concat();
                let step = flows.relay(now, arrival, &mut buffer).step;
                assert!(matches!(step, Step::Heard | Step::Send(_)), "{step:?}");
            }
            let mut sent = Vec::new();
            flows.speak(now, turn, &mut |departure, packet| {
                sent.push((departure.slot, packet.to_vec()));
                true
            });
            for (slot, packet) in sent {
                let phone = &mut phones[slot.index as usize];
                phone.packets += 1;
                phone.ear.receive(now, &packet);
            }
            phones.iter_mut().for_each(|phone| phone.hears(now));
        }
    }

    fn open(flows: &mut Flows, plans: Vec<FlowPlan>) {
        for (n, plan) in plans.into_iter().enumerate() {
            flows.open(PortId(n as u64 + 1), false).unwrap();
            flows.plan(Time::ZERO, PortId(n as u64 + 1), Box::new(plan));
        }
    }

    #[test]
    fn every_codec_is_brought_to_every_other() {
        for (one, other) in Codec::ALL.into_iter().flat_map(|one| Codec::ALL.map(|other| (one, other))) {
            let (mut flows, mut turn) = (Flows::new(), Turn::new());
            open(&mut flows, vec![plan(one, Source::Port(PortId(2))), plan(other, Source::Port(PortId(1)))]);
            let mut phones = [Phone::new(one, 440.0), Phone::new(other, 1_000.0)];
            talk(&mut flows, &mut turn, &mut phones, |_, _, _| {});
            let shares = [phones[0].share(1_000.0), phones[1].share(440.0)];
            assert!(shares.iter().all(|share| *share > 0.9), "{one:?} and {other:?}: {shares:?}");
            assert!(phones.iter().all(|phone| (95..=100).contains(&phone.packets)), "{one:?} and {other:?}");
        }
    }

    /// The worker goes on after a panic, and so must all ports but the one where it was.
    #[test]
    fn a_panic_silences_one_port_alone() {
        let (mut flows, mut turn) = (Flows::new(), Turn::new());
        open(&mut flows, (0..3).map(|_| plan(Codec::Pcma, Source::Silence)).collect());
        let mut spoken = |flows: &mut Flows, ms: u64, broken: Option<u32>| {
            let mut sent = Vec::new();
            let mut send = |departure: &Departure, _: &[u8]| {
                assert_ne!(Some(departure.slot.index), broken, "the panic that this test is about");
                sent.push(departure.slot.index);
                true
            };
            let speaks = std::panic::AssertUnwindSafe(|| flows.speak(Time::from_millis(ms), &mut turn, &mut send));
            assert_eq!(std::panic::catch_unwind(speaks).is_err(), broken.is_some());
            sent
        };
        assert_eq!(spoken(&mut flows, 0, None), [0, 1, 2]);
        assert_eq!(spoken(&mut flows, 20, Some(1)), [0]);
        assert_eq!(spoken(&mut flows, 40, None), [0, 2]);
        flows.plan(Time::from_millis(50), PortId(2), Box::new(plan(Codec::Pcma, Source::Silence)));
        assert_eq!(spoken(&mut flows, 60, None), [0, 2, 1], "the next plan gives it another voice");
    }

    #[test]
    fn digits_cross_from_one_clock_to_the_other() {
        let (mut flows, mut turn) = (Flows::new(), Turn::new());
        open(&mut flows, vec![plan(Codec::Opus, Source::Port(PortId(2))), plan(Codec::Pcma, Source::Port(PortId(1)))]);
        let mut phones = [Phone::new(Codec::Opus, 440.0), Phone::new(Codec::Pcma, 1_000.0)];
        let digit = Digit::whole('#', 120).unwrap();
        talk(&mut flows, &mut turn, &mut phones, |frame, _, phones| {
            if frame == 20 {
                phones[0].mouth.digit(digit);
            }
        });
        let ended = |digits: &[Digit]| {
            digits.iter().filter(|digit| digit.end).map(|digit| (digit.symbol(), digit.duration_ms)).collect::<Vec<_>>()
        };
        assert_eq!(ended(&phones[1].digits), [('#', 120)]);
        let told: Vec<_> =
            turn.events.iter().filter(|event| matches!(event, RelayEvent::Digit { digit, .. } if digit.end)).collect();
        assert_eq!(told, [&RelayEvent::Digit { port: PortId(1), digit }], "the core hears of it once");
    }

    /// Audio passes as it is; only the events' clocks differ. Nothing of the node's own is sent but the digit.
    #[test]
    fn digits_are_told_beside_audio_that_passes() {
        let (mut flows, mut turn) = (Flows::new(), Turn::new());
        let beside = |other| {
            let mut plan = plan(Codec::Pcma, Source::Port(PortId(other)));
            plan.destination = Destination::Port(PortId(other));
            if let Some(audio) = &mut plan.audio {
                audio.hear.payloads.retain(|(_, heard)| matches!(heard, Heard::Events { .. }));
                audio.speak.iter_mut().for_each(|speech| speech.pauses = true);
            }
            plan
        };
        open(&mut flows, vec![beside(2), beside(1)]);
        let mut phones = [Phone::new(Codec::Pcma, 440.0), Phone::new(Codec::Pcma, 1_000.0)];
        talk(&mut flows, &mut turn, &mut phones, |frame, _, phones| {
            if frame == 20 {
                phones[0].mouth.digit(Digit::whole('7', 120).expect("a key"));
            }
        });
        let ended: Vec<_> =
            phones[1].digits.iter().filter(|digit| digit.end).map(|digit| (digit.symbol(), digit.duration_ms)).collect();
        assert_eq!(ended, [('7', 120)]);
        assert!(phones[1].packets < 15, "{} packets of the node's own", phones[1].packets);
        assert_eq!(phones[0].packets, 0);
    }

    #[test]
    fn each_of_a_conference_hears_all_others_and_not_itself() {
        let (mut flows, mut turn) = (Flows::new(), Turn::new());
        let codecs = [Codec::Opus, Codec::Pcma, Codec::G722];
        open(&mut flows, codecs.map(|codec| plan(codec, Source::Mix(9))).into());
        let tones = [440.0, 1_000.0, 1_700.0];
        let mut phones =
            [Phone::new(Codec::Opus, tones[0]), Phone::new(Codec::Pcma, tones[1]), Phone::new(Codec::G722, tones[2])];
        talk(&mut flows, &mut turn, &mut phones, |_, _, _| {});
        for (n, phone) in phones.iter().enumerate() {
            let shares = tones.map(|hz| phone.share(hz));
            let others = (0..3).filter(|other| *other != n).all(|other| shares[other] > 0.2);
            assert!(others && shares[n] < 0.01, "{n}: {shares:?}");
        }
    }

    #[test]
    fn a_sound_is_said_to_its_end_or_over_and_over() {
        let tone = |hz: f64, ms: u64| {
            Sound::new(MIX_HZ, (0..16 * ms).map(|n| ((TAU * hz * n as f64 / 16_000.0).sin() * 8_000.0) as i16).collect())
        };
        let mut turn = Turn::new();
        turn.sounds = Arc::new(BTreeMap::from([("short".into(), tone(500.0, 500)), ("music".into(), tone(500.0, 300))]));
        let sound = |name: &str, repeat| plan(Codec::Pcmu, Source::Sound { name: name.into(), repeat });
        let mut flows = Flows::new();
        open(&mut flows, vec![sound("short", false), sound("music", true), sound("none", false)]);
        let mut phones = [440.0; 3].map(|hz| Phone::new(Codec::Pcmu, hz));
        talk(&mut flows, &mut turn, &mut phones, |_, _, _| {});
        assert_eq!(turn.events, [RelayEvent::Said { port: PortId(3) }, RelayEvent::Said { port: PortId(1) }]);
        assert!(phones[1].share(500.0) > 0.95 && phones[0].share(500.0) < 0.5, "the short one is over");
        for port in 1..=3 {
            flows.plan(Time::from_millis(2_000), PortId(port), Box::new(FlowPlan { audio: None, ..sound("none", false) }));
        }
        flows.speak(Time::from_millis(2_000), &mut turn, &mut |_, _| panic!("nothing is left to say"));
        assert!(!flows.is_speaking(), "nor are turns needed");
    }
}
