//! The few header fields that SRTP needs, read without trust in any of them.

use super::SrtpError;

/// Fixed part of an RTP header (RFC 3550 5.1).
const RTP_FIXED: usize = 12;
/// What of an RTCP packet stays in the clear: first header and SSRC (RFC 3711 3.4).
pub(super) const RTCP_CLEAR: usize = 8;

/// View of an RTP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpHeader {
    /// Octets up to the payload: fixed part, CSRC list, header extension.
    pub len: usize,
    pub sequence: u16,
    pub ssrc: u32,
}

impl RtpHeader {
    /// Reads the header of RFC 3550 5.1; CSRC list and extension (5.3.1) must lie within `packet`.
    pub(super) fn parse(packet: &[u8]) -> Result<RtpHeader, SrtpError> {
        let fixed: &[u8; RTP_FIXED] = packet.first_chunk().ok_or(SrtpError::TooShort)?;
        if fixed[0] >> 6 != 2 {
            return Err(SrtpError::Version);
        }
        let mut len = RTP_FIXED + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            len += extension_len(packet, len)?;
        }
        if packet.len() < len {
            return Err(SrtpError::TooShort);
        }
        Ok(RtpHeader {
            len,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        })
    }
}

/// Length of the header extension at `at`: its own header and as many words as that says.
fn extension_len(packet: &[u8], at: usize) -> Result<usize, SrtpError> {
    let head: &[u8; 4] = packet.get(at..).and_then(<[u8]>::first_chunk).ok_or(SrtpError::TooShort)?;
    Ok(4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]])))
}

/// The SSRC of the first packet of a compound RTCP packet (RFC 3550 6.4.1).
pub(super) fn rtcp_ssrc(packet: &[u8]) -> Result<u32, SrtpError> {
    let clear: &[u8; RTCP_CLEAR] = packet.first_chunk().ok_or(SrtpError::TooShort)?;
    if clear[0] >> 6 != 2 {
        return Err(SrtpError::Version);
    }
    Ok(u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_length_counts_csrc_and_extension() {
        let mut packet = vec![0u8; 12 + 8 + 4 + 12 + 3];
        packet[0] = 0x92;
        packet[2..4].copy_from_slice(&[0x12, 0x34]);
        packet[8..12].copy_from_slice(&[0xca, 0xfe, 0xba, 0xbe]);
        packet[22..24].copy_from_slice(&[0, 3]);
        let header = RtpHeader { len: 36, sequence: 0x1234, ssrc: 0xcafe_babe };
        assert_eq!(RtpHeader::parse(&packet), Ok(header));
        assert_eq!(RtpHeader::parse(&packet[..36]), Ok(header));
        for short in 0..36 {
            assert_eq!(RtpHeader::parse(&packet[..short]), Err(SrtpError::TooShort), "{short} octets");
        }
    }

    #[test]
    fn other_versions_are_refused() {
        for first in [0x00, 0x40, 0xc0] {
            let mut packet = [0u8; 12];
            packet[0] = first;
            assert_eq!(RtpHeader::parse(&packet), Err(SrtpError::Version));
            assert_eq!(rtcp_ssrc(&packet), Err(SrtpError::Version));
        }
        assert_eq!(rtcp_ssrc(&[0x80; 7]), Err(SrtpError::TooShort));
        assert_eq!(rtcp_ssrc(&[0x80, 200, 0, 1, 1, 2, 3, 4]), Ok(0x0102_0304));
    }
}
