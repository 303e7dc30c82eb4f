//! Several voices in one: a conference, where everyone hears the sum of all but himself.

/// Up to here samples pass as they are; beyond, they are bent towards the limit, so that loud parties together do not click.
const KNEE: i32 = 24_576;

/// A sum of samples as one sample: the same up to three quarters of the limit, then ever slower towards it, without a corner.
pub fn softened(sum: i32) -> i16 {
    let (magnitude, room) = (i64::from(sum).abs(), i64::from(i32::from(i16::MAX) - KNEE));
    let over = magnitude - i64::from(KNEE);
    if over <= 0 {
        return sum as i16;
    }
    let bent = i32::from(i16::MAX).min(KNEE + (room * over / (room + over)) as i32);
    (bent * sum.signum()) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Eight shout at once: no sample wraps, and the curve has no corner.
    #[test]
    fn what_is_too_loud_is_bent_and_never_wraps() {
        assert_eq!((softened(24_576), softened(-24_576), softened(100)), (24_576, -24_576, 100));
        assert!(softened(8 * 32_767) > 31_000 && softened(-8 * 32_768) < -31_000);
        assert!(softened(i32::MAX) > 32_000 && softened(i32::MIN) < -32_000);
        let curve: Vec<i32> = (0..262_144).map(|sum| i32::from(softened(sum))).collect();
        assert!(curve.windows(2).all(|pair| (0..=1).contains(&(pair[1] - pair[0]))));
    }
}
