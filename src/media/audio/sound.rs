//! Sounds from WAV files: announcements and music on hold. The file is read elsewhere; here are its octets.
//!
//! PCM of 16 bits, A-law and µ-law, mono or stereo, at 8, 16, 44.1 or 48 kHz: what studios and telephone systems make.

use super::g711;
use super::resample::Resampler;
use ringfort_base::limits::SOUND_OCTETS_MAX;

/// Why a file is no sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    /// It is larger than `SOUND_OCTETS_MAX`.
    #[error("larger than {} octets", SOUND_OCTETS_MAX)]
    TooLarge,
    /// It is no RIFF file with WAVE in it, or it ends too early.
    #[error("no WAV file, or cut off")]
    NoWav,
    /// Neither PCM of 16 bits nor G.711.
    #[error("format {format} with {bits} bits a sample; 16-bit PCM, A-law and µ-law can be played")]
    Format {
        /// Format code.
        format: u16,
        /// Bits of one sample.
        bits: u16,
    },
    /// Another sampling rate.
    #[error("{0} samples a second; 8000, 16000, 44100 and 48000 can be played")]
    Rate(u32),
    /// Neither mono nor stereo.
    #[error("{0} channels; one or two can be played")]
    Channels(u16),
    /// No samples.
    #[error("nothing to be heard")]
    Empty,
}

/// A sound, mono.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    rate_hz: u32,
    samples: Vec<i16>,
}

/// What the `fmt ` chunk says.
#[derive(Clone, Copy, Debug)]
struct Format {
    code: u16,
    channels: u16,
    rate_hz: u32,
    bits: u16,
}

/// Format codes: PCM, A-law, µ-law, and the one that says that the code stands further behind.
const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

impl Sound {
    /// Of samples at this rate, Hz.
    pub fn new(rate_hz: u32, samples: Vec<i16>) -> Sound {
        Sound { rate_hz, samples }
    }

    /// Reads a WAV file.
    pub fn read(octets: &[u8]) -> Result<Sound, SoundError> {
        if octets.len() > SOUND_OCTETS_MAX {
            return Err(SoundError::TooLarge);
        }
        let (format, data) = chunks(octets).ok_or(SoundError::NoWav)?;
        let format = format.checked()?;
        let samples = format.samples(data);
        if samples.is_empty() {
            return Err(SoundError::Empty);
        }
        Ok(Sound { rate_hz: format.rate_hz, samples })
    }

    /// The same at another sampling rate.
    pub fn at(&self, rate_hz: u32) -> Sound {
        if self.rate_hz == rate_hz {
            return self.clone();
        }
        // In blocks of 10 ms, the last one filled up with silence.
        let block = self.rate_hz as usize / 100;
        let mut resampler = Resampler::new(self.rate_hz, rate_hz);
        let (mut samples, mut last) = (Vec::new(), vec![0; block]);
        for ten in self.samples.chunks(block) {
            last.fill(0);
            last[..ten.len()].copy_from_slice(ten);
            let from = samples.len();
            samples.resize(from + resampler.output_len(block), 0);
            resampler.process(&last, &mut samples[from..]);
        }
        Sound { rate_hz, samples }
    }

    /// Sampling rate, Hz.
    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    /// How long it is, ms.
    pub fn duration_ms(&self) -> u64 {
        self.samples.len() as u64 * 1_000 / u64::from(self.rate_hz)
    }

    /// Fills `out` with what comes after `at` samples and tells where it then stands. Behind the end it begins anew when `repeat`ed;
    /// otherwise it is silent, and the place is [`Sound::end`].
    pub fn play(&self, at: usize, repeat: bool, out: &mut [i16]) -> usize {
        let mut at = at;
        for sample in out {
            if repeat && at >= self.samples.len() {
                at = 0;
            }
            *sample = self.samples.get(at).copied().unwrap_or_default();
            at = (at + 1).min(self.end());
        }
        at
    }

    /// The place behind its last sample.
    pub fn end(&self) -> usize {
        self.samples.len()
    }
}

/// The format and the samples' octets. A data chunk that says it is longer than the file is as long as the file: recorders that were
/// stopped leave such.
fn chunks(octets: &[u8]) -> Option<(Format, &[u8])> {
    let (head, mut rest) = octets.split_at_checked(12)?;
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return None;
    }
    let mut format = None;
    while let Some((head, body)) = rest.split_at_checked(8) {
        let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let chunk = body.get(..len).unwrap_or(body);
        match &head[..4] {
            b"fmt " => format = Some(Format::read(chunk)?),
            b"data" => return Some((format?, chunk)),
            _ => {}
        }
        // Chunks begin at even places.
        rest = body.get(len.saturating_add(len & 1)..)?;
    }
    None
}

impl Format {
    fn read(chunk: &[u8]) -> Option<Format> {
        let word = |at: usize| Some(u16::from_le_bytes([*chunk.get(at)?, *chunk.get(at + 1)?]));
        let rate_hz = u32::from(word(4)?) | u32::from(word(6)?) << 16;
        let code = if word(0)? == EXTENSIBLE { word(24)? } else { word(0)? };
        Some(Format { code, channels: word(2)?, rate_hz, bits: word(14)? })
    }

    fn checked(self) -> Result<Format, SoundError> {
        match (self.code, self.bits) {
            (PCM, 16) | (A_LAW | MU_LAW, 8) => {}
            (format, bits) => return Err(SoundError::Format { format, bits }),
        }
        match (self.channels, self.rate_hz) {
            (1 | 2, 8_000 | 16_000 | 44_100 | 48_000) => Ok(self),
            (1 | 2, rate) => Err(SoundError::Rate(rate)),
            (channels, _) => Err(SoundError::Channels(channels)),
        }
    }

    fn samples(self, data: &[u8]) -> Vec<i16> {
        let samples: Vec<i16> = match self.code {
            A_LAW => data.iter().map(|octet| g711::a_law_to_linear(*octet)).collect(),
            MU_LAW => data.iter().map(|octet| g711::mu_law_to_linear(*octet)).collect(),
            _ => data.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect(),
        };
        if self.channels == 1 {
            return samples;
        }
        let both = |pair: &[i16; 2]| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16;
        samples.as_chunks::<2>().0.iter().map(both).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wav(code: u16, channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        file.extend([code.to_le_bytes(), channels.to_le_bytes()].concat());
        file.extend([rate_hz.to_le_bytes(), (rate_hz * u32::from(channels * bits) / 8).to_le_bytes()].concat());
        file.extend([(channels * bits / 8).to_le_bytes(), bits.to_le_bytes()].concat());
        // A chunk of an odd length that nobody knows.
        file.extend(b"note\x03\0\0\0abc\0data");
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file
    }

    fn tone(rate_hz: u32, channels: usize) -> Vec<u8> {
        let sample = |n: usize| (8_000.0 * (std::f32::consts::TAU * 440.0 * n as f32 / rate_hz as f32).sin()) as i16;
        (0..rate_hz as usize).flat_map(|n| sample(n).to_le_bytes().repeat(channels)).collect()
    }

    #[test]
    fn every_format_is_read_and_brought_to_every_rate() {
        for rate in [8_000, 16_000, 44_100, 48_000] {
            for channels in [1, 2] {
                let sound = Sound::read(&wav(1, channels, rate, 16, &tone(rate, channels.into()))).unwrap();
                assert_eq!((sound.rate_hz(), sound.duration_ms()), (rate, 1_000));
                for to in [8_000, 16_000, 48_000] {
                    let sound = sound.at(to);
                    assert_eq!((sound.rate_hz(), sound.duration_ms()), (to, 1_000));
                    let loudest = sound.samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
                    assert!((7_900..8_300).contains(&loudest), "{rate} to {to}: {loudest}");
                }
            }
        }
        for (code, silence) in [(6, 0xd5), (7, 0xff)] {
            let sound = Sound::read(&wav(code, 1, 8_000, 8, &[silence; 800])).unwrap();
            assert_eq!(sound.duration_ms(), 100);
            assert!(sound.samples.iter().all(|sample| sample.abs() <= 8));
        }
    }

    #[test]
    fn it_ends_or_begins_anew() {
        let sound = Sound { rate_hz: 8_000, samples: vec![1, 2, 3] };
        let mut out = [9; 5];
        assert_eq!((sound.play(1, false, &mut out), out), (sound.end(), [2, 3, 0, 0, 0]));
        assert_eq!((sound.play(1, true, &mut out), out), (3, [2, 3, 1, 2, 3]));
    }

    #[test]
    fn what_cannot_be_played_is_refused_with_the_reason() {
        let read = |file: Vec<u8>| Sound::read(&file).unwrap_err();
        assert_eq!(read(wav(1, 1, 8_000, 24, &[0; 30])), SoundError::Format { format: 1, bits: 24 });
        assert_eq!(read(wav(3, 1, 8_000, 32, &[0; 32])), SoundError::Format { format: 3, bits: 32 });
        assert_eq!(read(wav(1, 1, 22_050, 16, &[0; 32])), SoundError::Rate(22_050));
        assert_eq!(read(wav(1, 6, 48_000, 16, &[0; 32])), SoundError::Channels(6));
        assert_eq!(read(wav(1, 1, 8_000, 16, &[])), SoundError::Empty);
        assert_eq!(read(b"ID3 something".to_vec()), SoundError::NoWav);
        assert_eq!(read(vec![0; SOUND_OCTETS_MAX + 1]), SoundError::TooLarge);
    }

    #[test]
    fn torn_files_are_refused_or_cut_short() {
        let file = wav(1, 2, 44_100, 16, &tone(44_100, 2)[..400]);
        for len in 0..file.len() {
            let _ = Sound::read(&file[..len]);
        }
        let mut endless = file.clone();
        endless[20 + 28..][..4].copy_from_slice(&u32::MAX.to_le_bytes());
        let _ = Sound::read(&endless);
    }
}
