//! What a datagram on a media port is, by its first octets: RFC 7983 section 7 for the protocol and RFC 5761 section 4 to tell
//! RTP from RTCP on one port.

/// Kind of a datagram that arrived on a media port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// STUN (RFC 8489): an ICE connectivity check or a keep-alive.
    Stun,
    /// A DTLS record (RFC 6347, RFC 9147).
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// None of these, or too short to be what its first octet claims.
    Unknown,
}

/// Fixed part of an RTP header (RFC 3550 5.1).
const RTP_HEADER: usize = 12;
/// The shortest RTCP packet: header and SSRC (RFC 3550 6.4.2).
const RTCP_HEADER: usize = 8;
/// STUN header (RFC 8489 5).
const STUN_HEADER: usize = 20;
/// USERNAME (RFC 8489 14.3).
const STUN_USERNAME: u16 = 6;
/// DTLS record header in its shortest form, the unified header of DTLS 1.3 with all optional parts left out (RFC 9147 4).
const DTLS_HEADER: usize = 2;

/// Tells what `datagram` is. It looks at no more than two octets and the length; the protocol itself checks the rest.
pub fn classify(datagram: &[u8]) -> Kind {
    let length = datagram.len();
    match datagram.first() {
        Some(0..=3) if length >= STUN_HEADER => Kind::Stun,
        Some(20..=63) if length >= DTLS_HEADER => Kind::Dtls,
        Some(128..=191) => classify_rtp(datagram),
        _ => Kind::Unknown,
    }
}

/// RFC 5761 section 4: packet types 192 to 223 are RTCP; the same octet of an RTP packet would be the marker bit with payload
/// type 64 to 95, which no RTP stream may use on a shared port.
fn classify_rtp(datagram: &[u8]) -> Kind {
    let length = datagram.len();
    match datagram.get(1) {
        Some(192..=223) if length >= RTCP_HEADER => Kind::Rtcp,
        Some(192..=223) | None => Kind::Unknown,
        Some(_) if length >= RTP_HEADER => Kind::Rtp,
        Some(_) => Kind::Unknown,
    }
}

/// Whom a connectivity check is for: the first part of its USERNAME is the user name fragment that the receiver told (RFC 8445 7.2.2).
/// `None`: it names nobody. Nothing of it is proved.
pub fn fragment_of(stun: &[u8]) -> Option<&str> {
    let mut rest = stun.get(STUN_HEADER..)?;
    while let Some(([t0, t1, l0, l1], value)) = rest.split_first_chunk() {
        let len = usize::from(u16::from_be_bytes([*l0, *l1]));
        if u16::from_be_bytes([*t0, *t1]) == STUN_USERNAME {
            let name = std::str::from_utf8(value.get(..len)?).ok()?;
            return name.split_once(':').map(|(fragment, _)| fragment);
        }
        rest = value.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(first: u8, second: u8, length: usize) -> Vec<u8> {
        let mut octets = vec![0; length];
        for (place, value) in octets.iter_mut().zip([first, second]) {
            *place = value;
        }
        octets
    }

    #[test]
    fn first_octet_decides_the_protocol() {
        for first in 0..=255u8 {
            let expected = match first {
                0..=3 => Kind::Stun,
                20..=63 => Kind::Dtls,
                128..=191 => Kind::Rtp,
                _ => Kind::Unknown,
            };
            assert_eq!(classify(&datagram(first, 0, 64)), expected, "first octet {first}");
        }
    }

    #[test]
    fn second_octet_tells_rtcp_from_rtp() {
        for second in 0..=255u8 {
            let expected = if (192..=223).contains(&second) { Kind::Rtcp } else { Kind::Rtp };
            assert_eq!(classify(&datagram(0x80, second, 64)), expected, "second octet {second}");
        }
    }

    #[test]
    fn short_datagrams_are_unknown() {
        for (first, second, shortest) in [(0, 1, 20), (0x80, 0, 12), (0x80, 200, 8), (22, 0xfe, 2)] {
            assert_eq!(classify(&datagram(first, second, shortest - 1)), Kind::Unknown);
            assert_ne!(classify(&datagram(first, second, shortest)), Kind::Unknown);
        }
        assert_eq!(classify(&[]), Kind::Unknown);
    }

    fn check(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut stun = vec![0; STUN_HEADER];
        for (kind, value) in attributes {
            stun.extend(kind.to_be_bytes());
            stun.extend((value.len() as u16).to_be_bytes());
            stun.extend(*value);
            stun.resize(stun.len().next_multiple_of(4), 0);
        }
        stun
    }

    #[test]
    fn a_check_names_whom_it_is_for() {
        assert_eq!(fragment_of(&check(&[(6, b"evtj:h6vY")])), Some("evtj"));
        assert_eq!(fragment_of(&check(&[(0x8022, b"agent"), (0x24, &[1; 4]), (6, b"a:b:c"), (6, b"other:x")])), Some("a"));
        for nameless in
            [&check(&[])[..], &check(&[(6, b"evtj")]), &check(&[(6, &[0xff, b':', 1])]), &check(&[(8, &[0; 20])]), &[]]
        {
            assert_eq!(fragment_of(nameless), None);
        }
    }

    #[test]
    fn a_cut_check_names_nobody() {
        let whole = check(&[(0x8022, b"agent"), (6, b"evtj:h6vY")]);
        for len in 0..whole.len() - 3 {
            assert_eq!(fragment_of(&whole[..len]), None, "{len}");
        }
    }
}
