use super::band::{Higher, Lower};
use super::*;
use std::path::PathBuf;

/// A sequence of Appendix II as words; `None` where the folder of test data is not there.
fn sequence(name: &str) -> Option<Vec<u16>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata/g722-itu-vectors");
    let octets = std::fs::read(folder.join(name)).ok()?;
    Some(octets.as_chunks::<2>().0.iter().map(|word| u16::from_be_bytes(*word)).collect())
}

/// Words of both files that are no reset (bit 0), with whether a reset came right before.
fn pairs(input: Vec<u16>, output: Vec<u16>) -> Vec<(u16, u16, bool)> {
    assert_eq!(input.len(), output.len());
    let mut reset = true;
    let mut pairs = Vec::new();
    for (input, output) in input.into_iter().zip(output) {
        if input & 1 == 0 {
            pairs.push((input, output, std::mem::take(&mut reset)));
        } else {
            reset = true;
        }
    }
    assert!(pairs.len() > 500);
    pairs
}

/// Configuration 1: both bands' coders, without the filters.
#[test]
fn sequences_of_the_recommendation_are_encoded_bit_for_bit() {
    for (input, output) in [("bt1c1.xmt", "bt2r1.cod"), ("bt1c2.xmt", "bt2r2.cod")] {
        let (Some(input), Some(output)) = (sequence(input), sequence(output)) else {
            eprintln!("not run: the sequences of G.722 Appendix II are not here");
            return;
        };
        let (mut lower, mut higher) = (Lower::new(), Higher::new());
        for (n, (sample, code, reset)) in pairs(input, output).into_iter().enumerate() {
            if reset {
                (lower, higher) = (Lower::new(), Higher::new());
            }
            let sample = i32::from(sample as i16 >> 1);
            let coded = u16::from(lower.encode(sample) | (higher.encode(sample) << 6));
            assert_eq!(coded, code >> 8, "word {n}");
        }
    }
}

/// Configuration 2: both bands' decoders, mode 1.
#[test]
fn sequences_of_the_recommendation_are_decoded_bit_for_bit() {
    let files = [
        ("bt2r1.cod", "bt3l1.rc1", "bt3h1.rc0"),
        ("bt2r2.cod", "bt3l2.rc1", "bt3h2.rc0"),
        ("bt1d3.cod", "bt3l3.rc1", "bt3h3.rc0"),
    ];
    for (codes, low, high) in files {
        let (Some(codes), Some(low), Some(high)) = (sequence(codes), sequence(low), sequence(high)) else {
            eprintln!("not run: the sequences of G.722 Appendix II are not here");
            return;
        };
        let (mut lower, mut higher) = (Lower::new(), Higher::new());
        let highs = pairs(codes.clone(), high);
        for (n, ((code, low, reset), (_, high, _))) in pairs(codes, low).into_iter().zip(highs).enumerate() {
            if reset {
                (lower, higher) = (Lower::new(), Higher::new());
            }
            let code = (code >> 8) as u8;
            assert_eq!(lower.decode(code & 0x3f), i32::from(low as i16 >> 1), "low, word {n}");
            assert_eq!(higher.decode(code >> 6), i32::from(high as i16 >> 1), "high, word {n}");
        }
    }
}

fn tone(hz: f64, len: usize) -> Vec<i16> {
    (0..len).map(|n| (8_000.0 * (std::f64::consts::TAU * hz * n as f64 / 16_000.0).sin()) as i16).collect()
}

/// Delay of both filters together.
const DELAY: usize = 22;

#[test]
fn tones_come_back_in_both_bands() {
    for (hz, least_db) in [(300.0, 30.0), (1_000.0, 28.0), (3_000.0, 22.0), (5_000.0, 14.0), (6_500.0, 12.0)] {
        let pcm = tone(hz, 16_000);
        let mut octets = vec![0; 8_000];
        Encoder::default().encode(&pcm, &mut octets);
        let mut out = Vec::new();
        Decoder::default().decode(&octets, &mut out);
        let (mut signal, mut noise) = (0.0, 0.0);
        for (a, b) in pcm[4_000..15_000].iter().zip(&out[4_000 + DELAY..]) {
            signal += f64::from(*a).powi(2);
            noise += (f64::from(*a) - f64::from(*b)).powi(2);
        }
        let ratio_db = 10.0 * (signal / noise).log10();
        assert!(ratio_db > least_db, "{hz} Hz: {ratio_db:.1} dB");
    }
}

#[test]
fn silence_stays_silent_and_noise_stays_within_bounds() {
    let mut octets = [0; 160];
    Encoder::default().encode(&[0; 320], &mut octets);
    let mut out = Vec::new();
    Decoder::default().decode(&octets, &mut out);
    assert!(out.iter().all(|sample| sample.abs() < 32));
    let loud: Vec<i16> = (0..3_200).map(|n| if n % 7 < 3 { i16::MAX } else { i16::MIN }).collect();
    let mut octets = [0; 1_600];
    Encoder::default().encode(&loud, &mut octets);
    Decoder::default().decode(&octets, &mut out);
    Decoder::default().decode(&(0..=255).cycle().take(4_000).collect::<Vec<u8>>(), &mut out);
}

/// FNV-1a of 64 bits.
fn digest(octets: impl IntoIterator<Item = u8>) -> u64 {
    octets.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3))
}

/// What the coder made of generated input when it passed the sequences of ITU-T G.722 Appendix II, which are not in this tree. Each bit of it is laid
/// down there, so any other value is wrong.
#[test]
fn the_coder_is_the_one_that_passed_the_sequences() {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as i16
    };
    // Swept tones in whole numbers, with noise that swells: both bands, small steps and large ones.
    let pcm: Vec<i16> = (0..32_000i32)
        .map(|n| {
            let triangle = ((n * (1 + n / 1_000)) % 400 - 200) * 60;
            (triangle + i32::from(noise()) * (n % 8_000) / 8_000 / 2) as i16
        })
        .collect();
    let mut octets = vec![0; pcm.len() / 2];
    Encoder::default().encode(&pcm, &mut octets);
    let mut heard = Vec::new();
    Decoder::default().decode(&octets, &mut heard);
    let made = [digest(octets.iter().copied()), digest(heard.iter().flat_map(|sample| sample.to_be_bytes()))];
    assert_eq!(made, [6_149_277_674_710_087_259, 9_184_563_610_650_230_051], "encoder, decoder");
}
