//! Packet index and replay window of one stream (RFC 3711 3.3.1, 3.3.2).

use super::SrtpError;

/// Indices remembered behind the highest one. RFC 3711 3.3.2 asks for 64 at least.
pub(super) const WINDOW: u64 = 128;
/// The largest SRTP index: 48 bits.
pub(super) const RTP_INDEX_MAX: u64 = (1 << 48) - 1;

/// Which indices of a stream were used: the highest, and a bit for each of the [`WINDOW`] up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// `None` until the first packet.
    pub highest: Option<u64>,
    /// Bit n: index `highest - n` was used.
    pub seen: u128,
    /// Written down by an earlier process, which may have gone on from there. The next index that is used is the least that may be.
    pub stale: bool,
}

impl Window {
    /// Whether `index` may still be used.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        let Some(highest) = self.highest else { return Ok(()) };
        match highest.checked_sub(index) {
            None => Ok(()),
            Some(behind) if behind >= WINDOW => Err(SrtpError::TooOld),
            Some(behind) if self.seen >> behind & 1 == 1 => Err(SrtpError::Replayed),
            Some(_) => Ok(()),
        }
    }

    /// Marks `index` as used; it must have passed [`Window::check`].
    pub(super) fn accept(&mut self, index: u64) {
        let Some(highest) = self.highest else {
            *self = Window { highest: Some(index), seen: 1, stale: false };
            return;
        };
        match index.checked_sub(highest) {
            Some(_) if self.stale => *self = Window { highest: Some(index), seen: u128::MAX, stale: false },
            Some(ahead) => {
                self.seen = if ahead < WINDOW { self.seen << ahead | 1 } else { 1 };
                self.highest = Some(index);
            }
            None if highest - index < WINDOW => self.seen |= 1 << (highest - index),
            None => {}
        }
    }

    /// The 48-bit index that a packet with this sequence number most likely has (RFC 3711 3.3.1, appendix A): the one nearest
    /// to the highest so far. A stream begins in roll-over 0, before which there is nothing: a number that would lie there is
    /// taken as a leap ahead in roll-over 0, as libsrtp does too.
    pub(super) fn estimate(&self, sequence: u16) -> Result<u64, SrtpError> {
        const HALF: u64 = 1 << 15;
        let sequence = u64::from(sequence);
        let Some(highest) = self.highest else { return Ok(sequence) };
        let (roc, last) = (highest >> 16, highest & 0xffff);
        let roc = if last < HALF && sequence > last + HALF {
            roc.saturating_sub(1)
        } else if last >= HALF && sequence < last - HALF {
            roc + 1
        } else {
            roc
        };
        let index = roc << 16 | sequence;
        if index > RTP_INDEX_MAX { Err(SrtpError::KeyExhausted) } else { Ok(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn at(highest: u64) -> Window {
        Window { highest: Some(highest), seen: 1, stale: false }
    }

    #[test]
    fn estimate_is_the_nearest_index() {
        assert_eq!(Window::default().estimate(65_535), Ok(65_535));
        assert_eq!(at(0x0_fff0).estimate(3), Ok(0x1_0003));
        assert_eq!(at(0x1_0003).estimate(0xfff0), Ok(0x0_fff0));
        assert_eq!(at(0x5_8000).estimate(0), Ok(0x5_0000));
        assert_eq!(at(0x5_8001).estimate(0), Ok(0x6_0000));
        assert_eq!(at(0x5_0000).estimate(0x8000), Ok(0x5_8000));
        assert_eq!(at(0x5_0000).estimate(0x8001), Ok(0x4_8001));
    }

    #[test]
    fn nothing_lies_before_roll_over_zero() {
        assert_eq!(at(100).estimate(40_000), Ok(40_000));
    }

    #[test]
    fn the_last_index_is_the_end() {
        assert_eq!(at(RTP_INDEX_MAX - 1).estimate(0xffff), Ok(RTP_INDEX_MAX));
        assert_eq!(at(RTP_INDEX_MAX).estimate(0), Err(SrtpError::KeyExhausted));
    }

    /// Between what was written down and the first index that comes may lie any that was used.
    #[test]
    fn after_a_restart_nothing_before_the_first_index_is_taken() {
        let mut window = Window { stale: true, seen: u128::MAX, ..at(0x1_0000) };
        assert_eq!((window.check(0x1_0000), window.check(0xffff)), (Err(SrtpError::Replayed), Err(SrtpError::Replayed)));
        let first = window.estimate(9_000).unwrap();
        assert_eq!((first, window.check(first)), (0x1_0000 + 9_000, Ok(())));
        window.accept(first);
        assert_eq!([window.check(first - 1), window.check(first - 127)], [Err(SrtpError::Replayed); 2]);
        assert_eq!(window.check(first - 128), Err(SrtpError::TooOld));
        assert_eq!(window.check(first + 2), Ok(()));
        window.accept(first + 2);
        assert_eq!(window.check(first + 1), Ok(()), "late, but after the first");
    }

    /// Against a model that remembers every index.
    #[test]
    fn window_agrees_with_a_set() {
        let mut random = ringfort_base::entropy::Seeded::new(7);
        let (mut window, mut used, mut highest) = (Window::default(), BTreeSet::new(), 0);
        for _ in 0..20_000 {
            let index =
                if random.chance(20) { highest + random.below(300) } else { (highest + 4).saturating_sub(random.below(160)) };
            let expected = match used.contains(&index) {
                _ if !used.is_empty() && index + WINDOW <= highest => Err(SrtpError::TooOld),
                true => Err(SrtpError::Replayed),
                false => Ok(()),
            };
            assert_eq!(window.check(index), expected, "index {index}, highest {highest}");
            if expected.is_ok() {
                window.accept(index);
                used.insert(index);
                highest = highest.max(index);
            }
        }
    }
}
