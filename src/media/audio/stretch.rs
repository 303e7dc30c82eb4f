//! Takes a few milliseconds out of speech, or puts some in, where it repeats itself: so the time that packets wait follows the network
//! unheard.

/// Shifts looked for.
const SHIFT_MIN_US: usize = 2_500;
const SHIFT_MAX_US: usize = 12_500;
/// How much is compared, and blended.
const BLEND_US: usize = 5_000;
/// Alike enough to be blended unheard.
const ALIKE: f32 = 0.7;
/// What is softer than this is blended whatever it is: -50 dBov.
const QUIET: f32 = 100.0 * 100.0;

/// Takes a piece out of what lies behind `from`. True: it was shortened.
pub(super) fn shorten(line: &mut Vec<i16>, from: usize, rate_hz: u32) -> bool {
    let Some((shift, blend)) = piece(line, from, rate_hz) else { return false };
    for n in 0..blend {
        let (here, there) = (line[from + n], line[from + shift + n]);
        line[from + shift + n] = mixed(here, there, n, blend);
    }
    line.drain(from..from + shift);
    true
}

/// Plays a piece of what lies behind `from` twice. True: it was lengthened.
pub(super) fn lengthen(line: &mut Vec<i16>, from: usize, rate_hz: u32) -> bool {
    let Some((shift, blend)) = piece(line, from, rate_hz) else { return false };
    let len = line.len();
    line.resize(len + shift, 0);
    line.copy_within(from..len, from + shift);
    // Behind the first piece stands the beginning again; what followed it at first fades out over that. It stands one shift later.
    for n in 0..blend {
        let follows = line[from + 2 * shift + n];
        line[from + shift + n] = mixed(follows, line[from + shift + n], n, blend);
    }
    true
}

/// By how much a piece may be shifted so that it falls on something like itself, and over how much both are blended.
fn piece(line: &[i16], from: usize, rate_hz: u32) -> Option<(usize, usize)> {
    let samples = |us: usize| rate_hz as usize * us / 1_000_000;
    let frame = line.get(from..)?;
    let blend = samples(BLEND_US);
    let longest = samples(SHIFT_MAX_US).min(frame.len().checked_sub(blend)?);
    let stride = (rate_hz / 8_000).max(1) as usize;
    let head = frame.get(..blend)?;
    let (mut best, mut highest) = (0, 0.0);
    for shift in (samples(SHIFT_MIN_US)..=longest).step_by(stride) {
        let likeness = likeness(head, &frame[shift..shift + blend], stride);
        if likeness > highest {
            (best, highest) = (shift, likeness);
        }
    }
    let power = head.iter().map(|sample| f32::from(*sample).powi(2)).sum::<f32>() / blend as f32;
    if power < QUIET {
        best = longest;
    }
    (best >= samples(SHIFT_MIN_US) && (highest > ALIKE || power < QUIET)).then_some((best, blend))
}

fn likeness(a: &[i16], b: &[i16], stride: usize) -> f32 {
    let (mut product, mut a2, mut b2) = (0.0f32, 1.0f32, 1.0f32);
    for (a, b) in a.iter().zip(b).step_by(stride) {
        let (a, b) = (f32::from(*a), f32::from(*b));
        product += a * b;
        a2 += a * a;
        b2 += b * b;
    }
    product / (a2 * b2).sqrt()
}

/// From one to the other, `n` of `of` on the way.
fn mixed(from: i16, to: i16, n: usize, of: usize) -> i16 {
    let share = (n as f32 + 0.5) / of as f32;
    (f32::from(from) * (1.0 - share) + f32::from(to) * share) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(rate_hz: u32, len: usize) -> Vec<i16> {
        let part = |n: usize, hz: f32| (std::f32::consts::TAU * hz * n as f32 / rate_hz as f32).sin();
        (0..len).map(|n| (6_000.0 * part(n, 160.0) + 3_000.0 * part(n, 480.0)) as i16).collect()
    }

    fn steepest(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap()
    }

    #[test]
    fn a_period_goes_or_comes_without_a_step() {
        for rate in [8_000, 16_000, 48_000] {
            let packet = rate as usize / 50;
            let original = voice(rate, 2 * packet);
            for longer in [false, true] {
                let mut line = original.clone();
                assert!(if longer { lengthen(&mut line, packet, rate) } else { shorten(&mut line, packet, rate) });
                let changed = line.len().abs_diff(original.len());
                assert!((rate as usize / 400..=rate as usize / 80).contains(&changed), "{changed} at {rate} Hz");
                assert_eq!((longer, line.len() > original.len()), (longer, longer));
                assert_eq!(line[..packet], original[..packet]);
                assert!(steepest(&line) < steepest(&original) * 5 / 4, "{} {}", steepest(&line), steepest(&original));
            }
        }
    }

    #[test]
    fn noise_stays_as_it_is_and_silence_changes() {
        let mut random = ringfort_base::entropy::Seeded::new(5);
        let noise: Vec<i16> = (0..160).map(|_| random.below(20_000) as i16 - 10_000).collect();
        assert!(!shorten(&mut noise.clone(), 0, 8_000) && !lengthen(&mut noise.clone(), 0, 8_000));
        let mut silence = vec![3; 160];
        assert!(shorten(&mut silence, 0, 8_000));
        assert!(!shorten(&mut vec![0; 50], 0, 8_000) && !lengthen(&mut vec![], 0, 8_000));
    }
}
