//! Extended reports (RTCP XR, RFC 3611): what a telephone says of the audio that it plays, and another way to measure the way to it.

/// Packet type of extended reports.
const EXTENDED: u8 = 207;
/// Block types (RFC 3611 4).
const REFERENCE_TIME: u8 = 4;
const DELAY: u8 = 5;
const VOIP_METRICS: u8 = 7;
/// Octets of what a DLRR block says to one receiver.
const DELAY_ITEM: usize = 12;
/// No score (RFC 3611 4.7.5).
const UNAVAILABLE: u8 = 127;

/// What an extended report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Middle 32 bits of the time at which its sender wrote it (4.4).
    ReferenceTime(u32),
    /// An answer to such a time (4.5).
    Delay {
        /// Middle 32 bits of the time that it got last.
        last: u32,
        /// How long ago that was, in 1/65536 s.
        since: u32,
    },
    /// What it makes of a call's audio (4.7).
    Voip(VoipMetrics),
}

/// What a telephone makes of the audio that it plays (RFC 3611 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoipMetrics {
    /// The stream that it speaks of.
    pub ssrc: u32,
    /// Packets that were lost, in 1/256.
    pub loss: u8,
    /// Packets that came too late to be played, in 1/256.
    pub discarded: u8,
    /// R factor of the call, 0 to 100 and more; `None`: not told.
    pub r_factor: Option<u8>,
    /// Listening quality, ten times the mean opinion score; `None`: not told.
    pub mos_listening: Option<u8>,
    /// Conversational quality, ten times the mean opinion score; `None`: not told.
    pub mos_conversational: Option<u8>,
}

/// Reads the extended reports of a compound packet, in order. What does not fit is left out.
pub fn read(mut compound: &[u8], mut told: impl FnMut(Told)) {
    while let Some(&[first, kind, high, low]) = compound.first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some(packet) = compound.get(..length).filter(|_| first >> 6 == 2) else { return };
        if kind == EXTENDED {
            read_blocks(packet.get(8..).unwrap_or_default(), &mut told);
        }
        compound = &compound[length..];
    }
}

fn read_blocks(mut blocks: &[u8], told: &mut impl FnMut(Told)) {
    while let Some(&[kind, _, high, low]) = blocks.first_chunk::<4>() {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some(block) = blocks.get(4..length) else { return };
        match kind {
            REFERENCE_TIME => word(block, 2).map(Told::ReferenceTime).into_iter().for_each(&mut *told),
            DELAY => block.chunks_exact(DELAY_ITEM).filter_map(delay_of).for_each(&mut *told),
            VOIP_METRICS => voip_of(block).map(Told::Voip).into_iter().for_each(&mut *told),
            _ => {}
        }
        blocks = &blocks[length..];
    }
}

fn word(octets: &[u8], at: usize) -> Option<u32> {
    octets.get(at..)?.first_chunk::<4>().map(|word| u32::from_be_bytes(*word))
}

fn delay_of(item: &[u8]) -> Option<Told> {
    Some(Told::Delay { last: word(item, 4)?, since: word(item, 8)? })
}

fn voip_of(block: &[u8]) -> Option<VoipMetrics> {
    let octet = |at: usize| block.get(at).copied();
    let scored = |at, most| Some(octet(at)?).map(|score| (score != UNAVAILABLE && score <= most).then_some(score));
    Some(VoipMetrics {
        ssrc: word(block, 0)?,
        loss: octet(4)?,
        discarded: octet(5)?,
        r_factor: scored(20, 126)?,
        // 1.0 to 5.0.
        mos_listening: scored(22, 50)?.filter(|score| *score >= 10),
        mos_conversational: scored(23, 50)?.filter(|score| *score >= 10),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An extended report with these blocks: type and octets behind the block's head.
    pub fn extended(blocks: &[(u8, Vec<u8>)]) -> Vec<u8> {
        let mut out = vec![0x80, EXTENDED, 0, 0, 0, 0, 0, 7];
        for (kind, octets) in blocks {
            out.extend([*kind, 0]);
            out.extend(((octets.len() / 4) as u16).to_be_bytes());
            out.extend(octets);
        }
        let words = (out.len() / 4 - 1) as u16;
        out[2..4].copy_from_slice(&words.to_be_bytes());
        out
    }

    /// VoIP metrics of SSRC 9, a twentieth lost, with these scores.
    pub fn voip(r_factor: u8, listening: u8, conversational: u8) -> (u8, Vec<u8>) {
        let mut octets = vec![0, 0, 0, 9, 13, 2];
        octets.resize(20, 0);
        octets.extend([r_factor, UNAVAILABLE, listening, conversational, 0, 0, 0, 60, 0, 120, 0, 200]);
        (VOIP_METRICS, octets)
    }

    fn told(compound: &[u8]) -> Vec<Told> {
        let mut told = Vec::new();
        read(compound, |item| told.push(item));
        told
    }

    #[test]
    fn blocks_are_read_and_unknown_ones_passed_over() {
        let time = [&[0u8, 1][..], &0xabcd_1234_u32.to_be_bytes(), &[0, 0]].concat();
        let delay = [5u32, 77, 65_536].map(u32::to_be_bytes).concat();
        let receiver = [0x80, 201, 0, 1, 0, 0, 0, 7];
        let report = extended(&[(1, vec![1; 16]), (REFERENCE_TIME, time), (DELAY, delay.repeat(2)), voip(93, 42, UNAVAILABLE)]);
        let metrics = VoipMetrics {
            ssrc: 9,
            loss: 13,
            discarded: 2,
            r_factor: Some(93),
            mos_listening: Some(42),
            mos_conversational: None,
        };
        let delay = Told::Delay { last: 77, since: 65_536 };
        let all = [Told::ReferenceTime(0xabcd_1234), delay, delay, Told::Voip(metrics)];
        assert_eq!(told(&[&receiver[..], &report].concat()), all);
    }

    #[test]
    fn scores_beyond_their_scale_and_cut_blocks_tell_nothing() {
        let Some(Told::Voip(metrics)) = told(&extended(&[voip(127, 9, 51)])).pop() else { panic!("metrics") };
        assert_eq!((metrics.r_factor, metrics.mos_listening, metrics.mos_conversational), (None, None, None));
        let whole = extended(&[voip(93, 42, 41)]);
        for cut in 0..whole.len() {
            assert!(told(&whole[..cut]).is_empty(), "{cut}");
        }
        let mut lies = whole.clone();
        lies[10..12].copy_from_slice(&u16::MAX.to_be_bytes());
        assert!(told(&lies).is_empty(), "a block longer than its packet");
        assert!(told(&extended(&[(VOIP_METRICS, vec![0; 8]), (DELAY, vec![0; 8]), (REFERENCE_TIME, vec![0; 4])])).is_empty());
    }
}
