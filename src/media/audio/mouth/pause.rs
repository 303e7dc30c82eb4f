//! Pauses in speech: instead of them a word now and then about how loud the silence is (RFC 3389).

use crate::audio::noise::level_dbov;

/// Speech is louder than this; what is softer may be a pause.
const SPEECH_DBOV: u8 = 38;
/// A pause is within so many dB of the softest that was heard of late.
const ABOVE_FLOOR: f32 = 6.0;
/// The floor rises by so much with each packet, so that it follows a room that becomes louder: 3 dB a second.
const RISE: f32 = 0.06;
/// So many packets in a row make a pause: ends of words are soft.
const HANGOVER: u32 = 12;
/// It is told again after so many packets, or when it changed by so many dB.
const AGAIN: u32 = 25;
const CHANGE: u8 = 3;

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is speech.
    Speech,
    /// Tell how loud the silence is, in dB below overload.
    Tell(u8),
    /// Send nothing.
    Nothing,
}

/// Listens for pauses.
#[derive(Clone, Debug)]
pub(super) struct Pause {
    /// The softest of late, dB below overload.
    floor_dbov: f32,
    quiet: u32,
    told: Option<(u8, u32)>,
}

impl Pause {
    pub fn new() -> Pause {
        Pause { floor_dbov: 0.0, quiet: 0, told: None }
    }

    /// Judges the samples of a packet.
    pub fn judge(&mut self, pcm: &[i16]) -> Verdict {
        let level = level_dbov(pcm);
        self.floor_dbov = (self.floor_dbov - RISE).max(f32::from(level));
        let is_quiet = level > SPEECH_DBOV && f32::from(level) + ABOVE_FLOOR > self.floor_dbov;
        self.quiet = if is_quiet { self.quiet.saturating_add(1) } else { 0 };
        if self.quiet <= HANGOVER {
            self.told = None;
            return Verdict::Speech;
        }
        match &mut self.told {
            Some((told, ago)) if *ago < AGAIN && told.abs_diff(level) < CHANGE => {
                *ago += 1;
                Verdict::Nothing
            }
            told => {
                *told = Some((level, 1));
                Verdict::Tell(level)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::entropy::Seeded;

    /// Noise this many dB below overload, evenly spread.
    fn noise(random: &mut Seeded, dbov: f32) -> Vec<i16> {
        let most = 32_768.0 * 10f32.powf(-dbov / 20.0) * 3f32.sqrt();
        (0..160).map(|_| ((random.below(20_001) as f32 / 10_000.0 - 1.0) * most) as i16).collect()
    }

    #[test]
    fn a_pause_is_told_of_and_speech_is_not_cut() {
        let (mut pause, mut random) = (Pause::new(), Seeded::new(2));
        let mut judge = |dbov: f32, packets: usize| -> Vec<Verdict> {
            (0..packets).map(|_| pause.judge(&noise(&mut random, dbov))).collect()
        };
        assert!(judge(20.0, 50).iter().all(|verdict| *verdict == Verdict::Speech));
        let silent = judge(60.0, 112);
        assert!(silent[..12].iter().all(|verdict| *verdict == Verdict::Speech), "hangover");
        let told: Vec<_> = silent[12..].iter().filter(|verdict| **verdict != Verdict::Nothing).collect();
        assert!(told.len() == 4 && told.iter().all(|told| matches!(told, Verdict::Tell(59..=61))), "{told:?}");
        assert!(judge(20.0, 5).iter().all(|verdict| *verdict == Verdict::Speech));
    }

    #[test]
    fn a_loud_room_is_no_pause() {
        let (mut pause, mut random) = (Pause::new(), Seeded::new(2));
        assert!((0..500).all(|_| pause.judge(&noise(&mut random, 30.0)) == Verdict::Speech));
    }
}
