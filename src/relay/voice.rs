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

    /// Whether digits sound as tones beside audio that passes: it may not pass while one sounds, so the node has to see it.
    pub(crate) fn interrupts(&self) -> bool {
        self.mouth.as_ref().is_some_and(|Speaker { speech, .. }| speech.digits && speech.pauses && speech.how.events.is_none())
    }

    /// Whether one sounds now.
    pub(crate) fn is_sounding(&self) -> bool {
        self.interrupts() && self.mouth.as_ref().is_some_and(|speaker| speaker.mouth.is_sounding())
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
mod tests;
