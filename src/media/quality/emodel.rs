//! The E-model (ITU-T G.107), with its defaults for everything but the network: what a conversation over this network is worth. The
//! terminals are taken as good ones; what they do is not known here.

/// Rating without any impairment of the network (G.107 7.7).
const R_0: f64 = 93.2;

/// How a codec takes losses (G.113 appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Codec {
    /// Equipment impairment without loss, Ie.
    pub ie: f64,
    /// Robustness against loss, Bpl.
    pub bpl: f64,
}

impl Codec {
    /// By its encoding name; unknown ones are taken for G.711 with concealment.
    pub fn of(name: &str) -> Codec {
        match name.to_ascii_lowercase().as_str() {
            "g729" => Codec { ie: 11.0, bpl: 19.0 },
            "g723" => Codec { ie: 15.0, bpl: 16.1 },
            "gsm" => Codec { ie: 20.0, bpl: 10.0 },
            _ => Codec { ie: 0.0, bpl: 25.1 },
        }
    }
}

/// What the network does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Network {
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// One way, without the terminals, ms.
    pub delay_ms: f64,
    /// Interarrival jitter, ms: the listener's buffer waits for twice as long.
    pub jitter_ms: f64,
}

/// Frame and look-ahead of both terminals, ms.
const TERMINALS_MS: f64 = 40.0;

/// The rating R, 0 to 93.2.
pub fn rating(codec: Codec, network: &Network) -> f64 {
    let delay = network.delay_ms + 2.0 * network.jitter_ms + TERMINALS_MS;
    let by_delay = 0.024 * delay + if delay > 177.3 { 0.11 * (delay - 177.3) } else { 0.0 };
    let loss = (network.loss * 100.0).clamp(0.0, 100.0);
    // Losses are taken as random, BurstR = 1 (G.107 7.5).
    let by_loss = codec.ie + (95.0 - codec.ie) * loss / (loss + codec.bpl);
    (R_0 - by_delay - by_loss).clamp(0.0, R_0)
}

/// Mean opinion score of a rating, 1.0 to 4.5 (G.107 annex B).
pub fn mos(rating: f64) -> f64 {
    if rating <= 0.0 {
        return 1.0;
    }
    (1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6).clamp(1.0, 4.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(name: &str, loss: f64, delay_ms: f64, jitter_ms: f64) -> f64 {
        let network = Network { loss, delay_ms, jitter_ms };
        (mos(rating(Codec::of(name), &network)) * 100.0).round() / 100.0
    }

    /// G.107 annex B: R 90, 80, 70, 60, 50.
    #[test]
    fn ratings_have_the_scores_of_the_standard() {
        for (rating, expected) in [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58), (0.0, 1.0), (100.0, 4.5)]
        {
            assert!((mos(rating) - expected).abs() < 0.01, "{rating}: {}", mos(rating));
        }
    }

    #[test]
    fn loss_delay_and_jitter_cost_what_they_cost() {
        assert_eq!(score("PCMA", 0.0, 0.0, 0.0), 4.39);
        assert!(score("PCMA", 0.01, 20.0, 2.0) > 4.2);
        let five = score("PCMA", 0.05, 20.0, 2.0);
        assert!((3.5..4.0).contains(&five), "{five}");
        assert!(score("G729", 0.05, 20.0, 2.0) < five);
        assert!(score("PCMA", 0.0, 400.0, 0.0) < score("PCMA", 0.0, 150.0, 0.0));
        assert!(score("PCMA", 0.0, 20.0, 40.0) < score("PCMA", 0.0, 20.0, 2.0));
        assert_eq!(score("PCMA", 1.0, 1_000.0, 100.0), 1.0);
    }

    #[test]
    fn more_loss_is_never_better() {
        for codec in ["PCMU", "G729", "opus"] {
            let scores: Vec<f64> = (0..=100).map(|percent| score(codec, f64::from(percent) / 100.0, 30.0, 5.0)).collect();
            assert!(scores.windows(2).all(|pair| pair[1] <= pair[0]), "{codec}: {scores:?}");
        }
    }
}
