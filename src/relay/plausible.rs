//! Whether a datagram can be what its first octets say, before it locks a port or goes on to a peer.

use crate::flow::Media;

/// Validity checks of RFC 3550 A.1 (RTP: version, CSRC list, extension and padding fit) and A.2 (RTCP: the first packet fits).
pub(crate) fn is_plausible(media: Media, packet: &[u8]) -> bool {
    match (media, packet) {
        (Media::Rtcp, [first, _, high, low, ..]) => {
            first >> 6 == 2 && 4 + 4 * usize::from(u16::from_be_bytes([*high, *low])) <= packet.len()
        }
        // Nothing is known of it but that there is something.
        (Media::Udptl, [_, ..]) => true,
        (Media::Rtp, [first, ..]) if first >> 6 == 2 && packet.len() >= 12 => rtp_fits(*first, packet),
        _ => false,
    }
}

fn rtp_fits(first: u8, packet: &[u8]) -> bool {
    let mut header = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 != 0 {
        let Some([_, _, high, low]) = packet.get(header..).and_then(<[u8]>::first_chunk) else { return false };
        header += 4 + 4 * usize::from(u16::from_be_bytes([*high, *low]));
    }
    let padding = match packet.last() {
        Some(&padding) if first & 0x20 != 0 => usize::from(padding).max(1),
        _ => 0,
    };
    header + padding <= packet.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plausible_is_what_fits() {
        let rtp = |first: u8, tail: &[u8]| [&[first, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7][..], tail].concat();
        for (packet, expected) in [
            (rtp(0x80, &[]), true),
            (rtp(0x40, &[]), false),
            (rtp(0x81, &[0; 3]), false),
            (rtp(0x81, &[0; 4]), true),
            (rtp(0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0]), false),
            (rtp(0x90, &[0xbe, 0xde, 0, 1, 0, 0, 0, 0]), true),
            (rtp(0xa0, &[1, 2, 3]), true),
            (rtp(0xa0, &[1, 2, 4]), false),
            (rtp(0xa0, &[]), false),
            (rtp(0xa0, &[0]), true),
            (rtp(0x80, &[])[..11].to_vec(), false),
        ] {
            assert_eq!(is_plausible(Media::Rtp, &packet), expected, "{packet:x?}");
        }
        assert!(is_plausible(Media::Rtcp, &[0x80, 201, 0, 1, 0, 0, 0, 7]));
        assert!(!is_plausible(Media::Rtcp, &[0x80, 201, 0, 2, 0, 0, 0, 7]));
        assert!(!is_plausible(Media::Rtcp, &[]));
    }
}
