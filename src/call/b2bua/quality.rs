//! What a call's audio was worth, from what the relay measured; and why some of it is missing.

use super::Env;
use super::call::{Call, Leg, Media, Phase, Side};
use ringfort_base::event::{LegQuality, MissingAudio};
use ringfort_base::{Event, PortId};
use ringfort_media::quality::diagnosis::{Missing, Situation, Watch};
use ringfort_media::quality::emodel::{self, Codec, Network};

impl Call {
    /// Quality of both parties' audio, caller first.
    pub(super) fn quality(&self) -> [LegQuality; 2] {
        let legs = [Some(&self.caller), self.callee.as_ref()].map(|leg| leg.and_then(|leg: &Leg| leg.media.as_ref()));
        // Whoever listens sits behind both ways.
        let trips = legs.iter().flatten().filter_map(|media| media.counters.round_trip_us);
        let delay_ms = trips.map(f64::from).sum::<f64>() / 2_000.0;
        legs.map(|media| media.map(|media| of_leg(media, delay_ms)).unwrap_or_default())
    }
}

impl Call {
    /// The relay reported a port: names what is missing of its party's audio, once for each cause.
    pub(super) fn watch_audio(&mut self, env: &mut Env<'_>, port: PortId) {
        let answered = self.answered.is_some() && self.phase != Phase::Over;
        let heard = |leg: Option<&mut Leg>| leg.and_then(|leg| leg.media.as_ref()).map_or(0, |media| media.counters.speech_in());
        for (side, other) in [(Side::Caller, Side::Callee), (Side::Callee, Side::Caller)] {
            let other = heard(self.leg(other));
            let Some(media) = self.media(side).filter(|media| media.port == port) else { continue };
            let found = media.watch.observe(env.cx.now.mono, &situation(media, answered, other), &media.counters);
            // A path that failed has been told of already.
            if let Some(found) = found.filter(|_| !media.session.has_failed()) {
                let missing = in_words(&found);
                env.cx.event(Event::AudioMissing { call: self.id, leg: side.as_str().into(), missing });
            }
        }
    }

    /// What is missing of both parties' audio, caller first, by one of the watch's two answers.
    pub(super) fn missing(&self, of: fn(&Watch) -> Option<&Missing>) -> [Option<MissingAudio>; 2] {
        let legs = [Some(&self.caller), self.callee.as_ref()];
        legs.map(|leg| leg.and_then(|leg| leg.media.as_ref()).and_then(|media| of(&media.watch)).map(in_words))
    }
}

fn situation(media: &Media, answered: bool, other: u64) -> Situation {
    let session = &media.session;
    Situation {
        // A fax says and hears nothing.
        answered: answered && !session.is_fax(),
        may_send: session.peer_may_send(),
        lacks: session.lacks(),
        failed: session.has_failed(),
        source: session.source(),
        may_hear: session.node_may_send(),
        other,
    }
}

fn in_words(missing: &Missing) -> MissingAudio {
    let cause = missing.cause.as_str().into();
    MissingAudio { cause, detail: missing.detail().into(), seconds: missing.time.as_secs() }
}

fn of_leg(media: &Media, delay_ms: f64) -> LegQuality {
    let counters = &media.counters;
    let expected = counters.speech_in() + counters.rtp_lost;
    let jitter_ms = f64::from(counters.jitter_max_us) / 1_000.0;
    let score = || {
        let network = Network { loss: counters.rtp_lost as f64 / expected as f64, delay_ms, jitter_ms };
        let score = emodel::mos(emodel::rating(Codec::of(media.session.codec().unwrap_or_default()), &network));
        (score * 100.0).round() / 100.0
    };
    LegQuality {
        lost: counters.rtp_lost,
        jitter_max_us: counters.jitter_max_us,
        round_trip_us: counters.round_trip_us,
        missed: counters.peer_lost,
        mos: (counters.speech_in() > 0).then(score),
        mos_told: counters.peer_mos_tenths.map(|tenths| f64::from(tenths) / 10.0),
    }
}
