//! Keep-alives of phones that use UDP (RFC 5626 3.5.2): a STUN Binding request on the SIP port is answered with the address that it
//! came from (RFC 5389 10.1), so that the phone sees a NAT that forgot it. Nothing else of STUN is served here.

use std::net::{IpAddr, SocketAddr};

const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const BINDING_SUCCESS: [u8; 2] = [0x01, 0x01];
const XOR_MAPPED_ADDRESS: [u8; 2] = [0x00, 0x20];

/// Whether a datagram is STUN and no SIP: SIP begins with a letter, STUN with two zero bits, and the cookie follows (RFC 5389 6).
pub(super) fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= HEADER && datagram[0] & 0xc0 == 0 && datagram[4..8] == MAGIC_COOKIE.to_be_bytes()
}

/// The answer to a Binding request. `None`: it is none, or malformed; indications are not answered.
pub(super) fn answer(datagram: &[u8], source: SocketAddr) -> Option<Vec<u8>> {
    let (header, attributes) = datagram.split_at_checked(HEADER)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || length != attributes.len() || length % 4 != 0 {
        return None;
    }
    // The address is mixed with cookie and transaction id, so that no NAT on the way rewrites it (RFC 5389 15.2).
    let mask = &header[4..HEADER];
    let (family, address) = match source.ip() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let port = source.port() ^ (MAGIC_COOKIE >> 16) as u16;
    let mut value = vec![0, family];
    value.extend(port.to_be_bytes());
    value.extend(address.iter().zip(mask).map(|(octet, mask)| octet ^ mask));
    let mut reply = BINDING_SUCCESS.to_vec();
    reply.extend((value.len() as u16 + 4).to_be_bytes());
    reply.extend(mask);
    reply.extend(XOR_MAPPED_ADDRESS);
    reply.extend((value.len() as u16).to_be_bytes());
    reply.extend(value);
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transaction id and address of RFC 5769 2.2.
    #[test]
    fn the_address_is_told_as_rfc_5769_writes_it() {
        let id = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &id].concat();
        assert!(is_stun(&request));
        let reply = answer(&request, "192.0.2.1:32853".parse().expect("an address")).expect("an answer");
        assert_eq!(reply[..4], [1, 1, 0, 12]);
        assert_eq!(reply[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let reply = answer(&request, "[2001:db8::1]:5060".parse().expect("an address")).expect("an answer");
        assert_eq!((reply[3], reply.len()), (24, 44));
    }

    #[test]
    fn nothing_else_is_answered() {
        let from = "192.0.2.1:5060".parse().expect("an address");
        let request = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
        let mut indication = request.clone();
        indication[1] = 0x11;
        let mut longer = request.clone();
        longer[3] = 4;
        for bad in [&indication[..], &longer, &request[..19], b"OPTIONS sip:a SIP/2.0", b""] {
            assert_eq!(answer(bad, from), None);
        }
        assert!(!is_stun(b"OPTIONS sip:a@b SIP/2.0\r\n"));
    }
}
