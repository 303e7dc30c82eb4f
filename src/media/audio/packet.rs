//! RTP packets as the audio part reads and writes them (RFC 3550 5.1).

/// Length of the header that the node writes.
pub(super) const HEADER: usize = 12;

/// View of a packet. What is in it may be anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None`: no RTP, or lengths that do not fit.
    pub fn parse(octets: &'a [u8]) -> Option<Packet<'a>> {
        let fixed: &[u8; HEADER] = octets.first_chunk()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut from = HEADER + 4 * usize::from(fixed[0] & 0x0f);
        if fixed[0] & 0x10 != 0 {
            let head: &[u8; 4] = octets.get(from..)?.first_chunk()?;
            from += 4 + 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
        }
        let padding = if fixed[0] & 0x20 == 0 { 0 } else { usize::from(*octets.last()?).max(1) };
        let to = octets.len().checked_sub(padding)?;
        Some(Packet {
            payload_type: fixed[1] & 0x7f,
            marker: fixed[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            payload: octets.get(from..to)?,
        })
    }

    /// Writes the header of this packet; `None`: no room.
    pub fn write_header(&self, out: &mut [u8]) -> Option<()> {
        let head: &mut [u8; HEADER] = out.first_chunk_mut()?;
        head[0] = 0x80;
        head[1] = self.payload_type | if self.marker { 0x80 } else { 0 };
        head[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        head[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        head[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_written_is_read() {
        let packet =
            Packet { payload_type: 101, marker: true, sequence: 0xfffe, timestamp: 77, ssrc: 0xdead_beef, payload: b"abcd" };
        let mut octets = [0; 16];
        packet.write_header(&mut octets).unwrap();
        octets[12..].copy_from_slice(b"abcd");
        assert_eq!(Packet::parse(&octets), Some(packet));
        assert_eq!(packet.write_header(&mut [0; 11]), None);
    }

    #[test]
    fn csrc_extension_and_padding_are_left_out() {
        let mut octets = vec![0u8; 12 + 4 + 4 + 4];
        octets[0] = 0xb1;
        octets[19] = 1;
        octets.extend(b"speech\0\0\x03");
        assert_eq!(Packet::parse(&octets).unwrap().payload, b"speech");
        for len in 0..24 {
            assert!(Packet::parse(&octets[..len]).is_none_or(|packet| packet.payload.is_empty()), "{len}");
        }
        *octets.last_mut().unwrap() = 200;
        assert_eq!(Packet::parse(&octets), None);
    }
}
