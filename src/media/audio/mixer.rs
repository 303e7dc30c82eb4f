//! A conference's mixer: everyone hears all but himself.

use ringfort_base::limits::CONFERENCE_PARTIES_MAX;

/// Samples of one turn at most: 20 ms at 48 kHz.
const TURN_MAX: usize = 960;
/// Up to here samples pass as they are; beyond, they are bent towards the limit, so that loud parties together do not click.
const KNEE: i32 = 24_576;

/// Mixes up to `CONFERENCE_PARTIES_MAX` parties. In each turn call [`Mixer::begin`], [`Mixer::add`] for each, then [`Mixer::take`] for each.
#[derive(Clone, Debug)]
pub struct Mixer {
    len: usize,
    sum: Vec<i32>,
    parties: Vec<Vec<i16>>,
}

impl Default for Mixer {
    fn default() -> Mixer {
        Mixer {
            len: 0,
            sum: vec![0; TURN_MAX],
            parties: (0..CONFERENCE_PARTIES_MAX).map(|_| Vec::with_capacity(TURN_MAX)).collect(),
        }
    }
}

impl Mixer {
    /// A turn of `len` samples, 960 at most, in which nobody has said anything yet.
    pub fn begin(&mut self, len: usize) {
        self.len = len.min(TURN_MAX);
        self.sum.fill(0);
        self.parties.iter_mut().for_each(Vec::clear);
    }

    /// What one party, counted from 0, says in this turn. False: there is no such place, or it has spoken.
    pub fn add(&mut self, party: usize, pcm: &[i16]) -> bool {
        let Some(said) = self.parties.get_mut(party).filter(|said| said.is_empty()) else { return false };
        said.extend(pcm.iter().take(self.len));
        self.sum.iter_mut().zip(&*said).for_each(|(sum, sample)| *sum += i32::from(*sample));
        true
    }

    /// What a party hears in this turn; one that is none hears all.
    pub fn take(&self, party: usize, out: &mut [i16]) {
        let own = self.parties.get(party).map(Vec::as_slice).unwrap_or_default();
        let own = own.iter().copied().chain(std::iter::repeat(0));
        let all = self.sum.iter().take(self.len).copied().chain(std::iter::repeat(0));
        for ((sample, sum), own) in out.iter_mut().zip(all).zip(own) {
            *sample = bent(sum - i32::from(own));
        }
    }
}

/// The same up to the knee; then ever slower towards the limit, without a corner.
fn bent(sum: i32) -> i16 {
    let (magnitude, room) = (sum.abs(), i32::from(i16::MAX) - KNEE);
    if magnitude <= KNEE {
        return sum as i16;
    }
    let over = magnitude - KNEE;
    let bent = KNEE + (i64::from(room) * i64::from(over) / i64::from(room + over)) as i32;
    (bent * sum.signum()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_hears_all_but_himself() {
        let mut mixer = Mixer::default();
        mixer.begin(160);
        for party in 0..8 {
            assert!(mixer.add(party, &[1 << party; 160]));
        }
        for party in 0..8 {
            let mut out = [0; 160];
            mixer.take(party, &mut out);
            assert_eq!(out, [255 - (1 << party); 160]);
        }
        assert!(!mixer.add(8, &[1; 160]) && !mixer.add(0, &[1; 160]));
        mixer.begin(160);
        let mut out = [1; 160];
        mixer.take(0, &mut out);
        assert_eq!(out, [0; 160]);
    }

    /// Eight shout at once: no sample wraps, and the curve has no corner.
    #[test]
    fn what_is_too_loud_is_bent_and_never_wraps() {
        assert_eq!((bent(24_576), bent(-24_576), bent(100)), (24_576, -24_576, 100));
        assert!(bent(8 * 32_767) > 31_000 && bent(-8 * 32_768) < -31_000);
        let curve: Vec<i32> = (0..262_144).map(|sum| i32::from(bent(sum))).collect();
        assert!(curve.windows(2).all(|pair| (0..=1).contains(&(pair[1] - pair[0]))));
        for pcm in [[i16::MAX; 160], [i16::MIN; 160]] {
            let mut mixer = Mixer::default();
            mixer.begin(160);
            (0..8).for_each(|party| assert!(mixer.add(party, &pcm)));
            let mut out = [0; 160];
            mixer.take(0, &mut out);
            assert_eq!(out[0].signum(), pcm[0].signum());
        }
    }

    #[test]
    fn a_party_that_says_less_is_silent_for_the_rest() {
        let mut mixer = Mixer::default();
        mixer.begin(160);
        mixer.add(0, &[5; 80]);
        let mut out = [9; 200];
        mixer.take(1, &mut out);
        assert_eq!((out[79], out[80], out[199]), (5, 0, 0));
    }
}
