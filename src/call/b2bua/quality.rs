//! What a call's audio was worth, from what the relay measured.

use super::call::{Call, Leg, Media};
use ringfort_base::event::LegQuality;
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

fn of_leg(media: &Media, delay_ms: f64) -> LegQuality {
    let counters = &media.counters;
    let expected = counters.rtp_in + counters.rtp_lost;
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
        mos: (counters.rtp_in > 0).then(score),
    }
}
