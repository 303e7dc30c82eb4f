//! Whole Ethernet frames that carry UDP: what tiers below sockets (AF_XDP, AF_PACKET) receive and send. Read in place,
//! readdressed in place; header formats by smoltcp's `wire`.
//!
//! Read first: RFC 768, RFC 791 3.1, RFC 8200 3 and 8.1.

use smoltcp::wire::{
    ETHERNET_HEADER_LEN, EthernetAddress, EthernetFrame, EthernetProtocol, IPV4_HEADER_LEN, IPV6_HEADER_LEN, IpAddress,
    IpProtocol, Ipv4Packet, Ipv6Packet, UDP_HEADER_LEN, UdpPacket,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

/// Hop limit of what is sent (RFC 1700).
const HOP_LIMIT: u8 = 64;

/// Why a frame is not one UDP datagram that can be relayed. The kernel's stack may still know what to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// Shorter than its headers say.
    Truncated,
    /// Neither IPv4 nor IPv6 directly behind the Ethernet header.
    NotIp,
    /// An IP fragment (RFC 791 3.2): its UDP header may be elsewhere.
    Fragment,
    /// Another protocol than UDP, or an IPv6 extension header.
    NotUdp,
    /// The IP header's or the UDP checksum is wrong, or the UDP checksum is missing over IPv6 (RFC 8200 8.1).
    Checksum,
    /// Source and destination are not of the address family of the frame. The caller's mistake.
    Family,
}

/// A view of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpFrame {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// What the path says of congestion (RFC 3168 5).
    pub ecn: u8,
    /// Octets of the frame that are the datagram's payload.
    pub payload: Range<usize>,
}

/// Addresses of a frame to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressing {
    /// Ethernet address of the interface that sends.
    pub source_mac: [u8; 6],
    /// Ethernet address of the next hop.
    pub destination_mac: [u8; 6],
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// Differentiated services code point.
    pub dscp: u8,
    /// What the path said of congestion, passed on (RFC 3168 5).
    pub ecn: u8,
}

/// Reads a frame. All lengths and checksums are checked; octets behind the IP packet (Ethernet padding) are left out.
pub fn parse(frame: &[u8]) -> Result<UdpFrame, FrameError> {
    let ethernet = EthernetFrame::new_checked(frame).map_err(|_| FrameError::Truncated)?;
    let Network { source, destination, ecn, header_len, payload: udp } = match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => ipv4(ethernet.payload())?,
        EthernetProtocol::Ipv6 => ipv6(ethernet.payload())?,
        _ => return Err(FrameError::NotIp),
    };
    let udp = UdpPacket::new_checked(udp).map_err(|_| FrameError::Truncated)?;
    let is_begun = || udp.checksum() == begun(source, destination, udp.len());
    if source.is_ipv6() && udp.checksum() == 0 || !(is_begun() || udp.verify_checksum(&source.into(), &destination.into())) {
        return Err(FrameError::Checksum);
    }
    let begin = ETHERNET_HEADER_LEN + header_len + UDP_HEADER_LEN;
    Ok(UdpFrame {
        source: SocketAddr::new(source, udp.src_port()),
        destination: SocketAddr::new(destination, udp.dst_port()),
        ecn,
        payload: begin..begin + udp.payload().len(),
    })
}

/// The checksum of a datagram that never was on a wire: of its pseudo header only. The sender, another namespace of this machine, left the
/// rest to an interface that none is.
fn begun(source: IpAddr, destination: IpAddr, len: u16) -> u16 {
    let words = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().chunks(2).map(word).sum::<u32>(),
        IpAddr::V6(v6) => v6.octets().chunks(2).map(word).sum(),
    };
    let sum = words(source) + words(destination) + u32::from(len) + u32::from(u8::from(IpProtocol::Udp));
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

fn word(octets: &[u8]) -> u32 {
    octets.iter().fold(0, |word, octet| word << 8 | u32::from(*octet))
}

/// An IP packet.
struct Network<'a> {
    source: IpAddr,
    destination: IpAddr,
    ecn: u8,
    header_len: usize,
    payload: &'a [u8],
}

fn ipv4(octets: &[u8]) -> Result<Network<'_>, FrameError> {
    let packet = Ipv4Packet::new_checked(octets).map_err(|_| FrameError::Truncated)?;
    if packet.version() != 4 {
        return Err(FrameError::NotIp);
    }
    if !packet.verify_checksum() {
        return Err(FrameError::Checksum);
    }
    if packet.more_frags() || packet.frag_offset() != 0 {
        return Err(FrameError::Fragment);
    }
    if packet.next_header() != IpProtocol::Udp {
        return Err(FrameError::NotUdp);
    }
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    Ok(Network { source, destination, ecn: packet.ecn(), header_len: packet.header_len().into(), payload: packet.payload() })
}

fn ipv6(octets: &[u8]) -> Result<Network<'_>, FrameError> {
    let packet = Ipv6Packet::new_checked(octets).map_err(|_| FrameError::Truncated)?;
    if packet.version() != 6 {
        return Err(FrameError::NotIp);
    }
    match packet.next_header() {
        IpProtocol::Udp => Ok(Network {
            source: packet.src_addr().into(),
            destination: packet.dst_addr().into(),
            ecn: packet.traffic_class() & 3,
            header_len: IPV6_HEADER_LEN,
            payload: packet.payload(),
        }),
        IpProtocol::Ipv6Frag => Err(FrameError::Fragment),
        _ => Err(FrameError::NotUdp),
    }
}

/// Where the payload begins in a frame that [`write`] makes.
pub fn payload_offset(destination: SocketAddr) -> usize {
    let ip = if destination.is_ipv6() { IPV6_HEADER_LEN } else { IPV4_HEADER_LEN };
    ETHERNET_HEADER_LEN + ip + UDP_HEADER_LEN
}

/// Length of the IP packet around so many octets.
pub fn packet_len(destination: SocketAddr, payload_len: usize) -> usize {
    payload_offset(destination) - ETHERNET_HEADER_LEN + payload_len
}

/// Writes the headers of a frame around `payload_len` octets that lie at [`payload_offset`] already, and returns the frame's
/// length. So a received frame without IP options is readdressed in place, also when SRTP made its payload longer or shorter.
pub fn write(buffer: &mut [u8], addressing: &Addressing, payload_len: usize) -> Result<usize, FrameError> {
    let len = payload_offset(addressing.destination) + payload_len;
    let frame = buffer.get_mut(..len).ok_or(FrameError::Truncated)?;
    let mut ethernet = EthernetFrame::new_unchecked(frame);
    ethernet.set_src_addr(EthernetAddress(addressing.source_mac));
    ethernet.set_dst_addr(EthernetAddress(addressing.destination_mac));
    match (addressing.source.ip(), addressing.destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ethernet.set_ethertype(EthernetProtocol::Ipv4);
            write_ipv4(ethernet.payload_mut(), source, destination, addressing.dscp, addressing.ecn)?;
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            ethernet.set_ethertype(EthernetProtocol::Ipv6);
            write_ipv6(ethernet.payload_mut(), source, destination, addressing.dscp, addressing.ecn)?;
        }
        _ => return Err(FrameError::Family),
    }
    write_udp(&mut buffer[len - payload_len - UDP_HEADER_LEN..len], addressing)?;
    Ok(len)
}

/// `octets` are the whole packet.
fn write_ipv4(octets: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr, dscp: u8, ecn: u8) -> Result<(), FrameError> {
    let total = u16::try_from(octets.len()).map_err(|_| FrameError::Truncated)?;
    let mut packet = Ipv4Packet::new_unchecked(octets);
    packet.set_version(4);
    packet.set_header_len(IPV4_HEADER_LEN as u8);
    packet.set_dscp(dscp);
    packet.set_ecn(ecn);
    packet.set_total_len(total);
    packet.set_ident(0);
    packet.clear_flags();
    packet.set_dont_frag(true);
    packet.set_frag_offset(0);
    packet.set_hop_limit(HOP_LIMIT);
    packet.set_next_header(IpProtocol::Udp);
    packet.set_src_addr(source);
    packet.set_dst_addr(destination);
    packet.fill_checksum();
    Ok(())
}

/// `octets` are the whole packet.
fn write_ipv6(octets: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr, dscp: u8, ecn: u8) -> Result<(), FrameError> {
    let payload = u16::try_from(octets.len() - IPV6_HEADER_LEN).map_err(|_| FrameError::Truncated)?;
    let mut packet = Ipv6Packet::new_unchecked(octets);
    packet.set_version(6);
    packet.set_traffic_class(dscp << 2 | ecn);
    packet.set_flow_label(0);
    packet.set_payload_len(payload);
    packet.set_next_header(IpProtocol::Udp);
    packet.set_hop_limit(HOP_LIMIT);
    packet.set_src_addr(source);
    packet.set_dst_addr(destination);
    Ok(())
}

/// `octets` are header and payload.
fn write_udp(octets: &mut [u8], addressing: &Addressing) -> Result<(), FrameError> {
    let len = u16::try_from(octets.len()).map_err(|_| FrameError::Truncated)?;
    let mut packet = UdpPacket::new_unchecked(octets);
    packet.set_src_port(addressing.source.port());
    packet.set_dst_port(addressing.destination.port());
    packet.set_len(len);
    packet.fill_checksum(&IpAddress::from(addressing.source.ip()), &IpAddress::from(addressing.destination.ip()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addressing(source: &str, destination: &str) -> Addressing {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Addressing { source_mac: [2, 0, 0, 0, 0, 1], destination_mac: [2, 0, 0, 0, 0, 2], source, destination, dscp: 46, ecn: 1 }
    }

    fn built(addressing: &Addressing, payload: &[u8]) -> Vec<u8> {
        let at = payload_offset(addressing.destination);
        let mut frame = [vec![0xaa; at], payload.to_vec()].concat();
        let len = write(&mut frame, addressing, payload.len()).unwrap();
        assert_eq!(len, frame.len());
        frame
    }

    /// The Internet checksum as RFC 1071 1 words it, over 16-bit words.
    fn sum(octets: &[u8]) -> u16 {
        let words = octets.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
        let mut sum: u32 = words.sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    }

    const V4: [&str; 2] = ["192.0.2.1:5004", "198.51.100.7:40000"];
    const V6: [&str; 2] = ["[2001:db8::1]:5004", "[2001:db8::7]:40000"];

    /// From the ethertype on nothing can be changed unnoticed, but for IPv6's traffic class, flow label and hop limit, which no
    /// checksum covers.
    #[test]
    fn damage_shows() {
        for ([source, destination], uncovered) in [(V4, 0..0), (V6, 14..22)] {
            let frame = built(&addressing(source, destination), b"some payload");
            let parsed = parse(&frame);
            for place in (12..frame.len()).filter(|place| !uncovered.contains(place)) {
                let mut damaged = frame.clone();
                damaged[place] ^= 0x01;
                assert!(parse(&damaged).is_err(), "octet {place}: {parsed:?}");
            }
        }
    }

    /// As it comes from a neighbouring namespace.
    #[test]
    fn a_checksum_that_was_only_begun_is_none() {
        for [source, destination] in [V4, V6] {
            let mut frame = built(&addressing(source, destination), b"some payload");
            let udp = frame.len() - b"some payload".len() - UDP_HEADER_LEN;
            let addresses = if destination == V6[1] { 22..54 } else { 26..34 };
            let pseudo = [&frame[addresses], &[0, 17], &frame[udp + 4..udp + 6]].concat();
            frame[udp + 6..udp + 8].copy_from_slice(&sum(&pseudo).to_be_bytes());
            assert!(parse(&frame).is_ok());
            frame[udp + 7] ^= 1;
            assert_eq!(parse(&frame), Err(FrameError::Checksum));
        }
    }

    #[test]
    fn what_is_not_ours_is_named() {
        let frame = built(&addressing(V4[0], V4[1]), b"x");
        let with = |place: usize, value: u8| {
            let mut frame = frame.clone();
            frame[place] = value;
            let mut ip = Ipv4Packet::new_unchecked(&mut frame[14..]);
            ip.fill_checksum();
            parse(&frame)
        };
        assert_eq!(parse(&frame[..13]), Err(FrameError::Truncated));
        assert_eq!(parse(&frame[..40]), Err(FrameError::Truncated));
        assert_eq!(with(13, 6), Err(FrameError::NotIp), "ARP");
        assert_eq!(with(20, 0x20), Err(FrameError::Fragment));
        assert_eq!(with(23, 6), Err(FrameError::NotUdp));
        let mixed = Addressing { source: V6[0].parse().unwrap(), ..addressing(V4[0], V4[1]) };
        assert_eq!(write(&mut [0; 100], &mixed, 1), Err(FrameError::Family));
        assert_eq!(write(&mut [0; 42], &addressing(V4[0], V4[1]), 1), Err(FrameError::Truncated));
    }

    proptest! {
        #[test]
        fn random_octets_do_not_panic(octets in prop::collection::vec(any::<u8>(), 0..200), v6: bool) {
            let _ = parse(&octets);
            let ip: &[u8] = if v6 { &[0x86, 0xdd, 0x60] } else { &[0x08, 0x00, 0x45] };
            let _ = parse(&[&[0; 12][..], ip, &octets].concat());
        }

        /// What is written reads back, and its checksums are those of RFC 1071 computed another way.
        #[test]
        fn written_frames_read_back(ports: (u16, u16), payload in prop::collection::vec(any::<u8>(), 0..1400), v6: bool) {
            let [source, destination] = if v6 { V6 } else { V4 };
            let mut addressing = addressing(source, destination);
            addressing.source.set_port(ports.0);
            addressing.destination.set_port(ports.1);
            let mut frame = built(&addressing, &payload);
            frame.extend([0; 18]);
            let parsed = parse(&frame).unwrap();
            prop_assert_eq!((parsed.source, parsed.destination, parsed.ecn), (addressing.source, addressing.destination, 1));
            prop_assert_eq!(&frame[parsed.payload.clone()], payload.as_slice());

            let udp = parsed.payload.start - UDP_HEADER_LEN;
            let addresses = if v6 { &frame[22..54] } else { &frame[26..34] };
            let len = ((payload.len() + UDP_HEADER_LEN) as u16).to_be_bytes();
            let pseudo = [addresses, &[0, 17], &len, &frame[udp..parsed.payload.end]].concat();
            prop_assert_eq!(sum(&pseudo), 0xffff);
            if !v6 {
                prop_assert_eq!(sum(&frame[14..34]), 0xffff);
            }
        }

        /// A received frame goes out from the same buffer with another payload length.
        #[test]
        fn frames_are_readdressed_in_place(len in 0usize..1400, new_len in 0usize..1416) {
            let mut frame = built(&addressing(V4[0], V4[1]), &vec![7; len]);
            frame.resize(1500, 7);
            let onward = addressing("203.0.113.1:6000", "203.0.113.2:7000");
            let frame_len = write(&mut frame, &onward, new_len).unwrap();
            let parsed = parse(&frame[..frame_len]).unwrap();
            prop_assert_eq!((parsed.source, parsed.destination), (onward.source, onward.destination));
            prop_assert!(frame[parsed.payload.clone()].iter().all(|octet| *octet == 7));
            prop_assert_eq!(parsed.payload.len(), new_len);
        }
    }
}
