//! RTP packets (RFC 3550 5.1) and telephone events (RFC 4733 2.3), as a phone makes and reads them.

/// A received packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Payload type.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload without padding.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram; `None` when it is no RTP.
    pub fn parse(datagram: &'a [u8]) -> Option<Packet<'a>> {
        let (first, second) = (*datagram.first()?, *datagram.get(1)?);
        // RFC 5761 4: 192 to 223 in the second octet is RTCP.
        if first >> 6 != 2 || (192..=223).contains(&second) || datagram.len() < 12 {
            return None;
        }
        let mut start = 12 + usize::from(first & 0x0f) * 4;
        if first & 0x10 != 0 {
            let words = u16::from_be_bytes([*datagram.get(start + 2)?, *datagram.get(start + 3)?]);
            start += 4 + usize::from(words) * 4;
        }
        let padding = if first & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
        let word = |at: usize| u32::from_be_bytes([datagram[at], datagram[at + 1], datagram[at + 2], datagram[at + 3]]);
        Some(Packet {
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([datagram[2], datagram[3]]),
            timestamp: word(4),
            ssrc: word(8),
            payload: datagram.get(start..datagram.len().checked_sub(padding)?)?,
        })
    }
}

/// Makes the packets of one stream.
#[derive(Clone, Debug)]
pub struct Sender {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
}

impl Sender {
    /// A stream of this source.
    pub fn new(ssrc: u32) -> Sender {
        Sender { ssrc, sequence: (ssrc >> 3) as u16, timestamp: ssrc.rotate_left(7) }
    }

    /// Time passes without a packet.
    pub fn skip(&mut self, step: u32) {
        self.timestamp = self.timestamp.wrapping_add(step);
    }

    /// The next packet; its timestamp is `step` after the one before.
    pub fn packet(&mut self, payload_type: u8, step: u32, payload: &[u8]) -> Vec<u8> {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(step);
        let mut packet = vec![0x80, payload_type];
        packet.extend_from_slice(&self.sequence.to_be_bytes());
        packet.extend_from_slice(&self.timestamp.to_be_bytes());
        packet.extend_from_slice(&self.ssrc.to_be_bytes());
        packet.extend_from_slice(payload);
        packet
    }
}

/// The key of a telephone-event payload.
pub fn key_of_event(payload: &[u8]) -> Option<char> {
    match (payload.len(), payload.first()?) {
        (4.., digit @ 0..=9) => Some(char::from(b'0' + digit)),
        (4.., 10) => Some('*'),
        (4.., 11) => Some('#'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_read() {
        let mut sender = Sender::new(0xdead_beef);
        let (one, two) = (sender.packet(0, 160, b"abc"), sender.packet(0, 160, b"def"));
        let (one, two) = (Packet::parse(&one).expect("rtp"), Packet::parse(&two).expect("rtp"));
        assert_eq!((one.payload, two.payload, one.ssrc), (&b"abc"[..], &b"def"[..], 0xdead_beef));
        assert_eq!(two.sequence.wrapping_sub(one.sequence), 1);
        assert_eq!(two.timestamp.wrapping_sub(one.timestamp), 160);
        assert!(Packet::parse(&[0x80, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
    }
}
