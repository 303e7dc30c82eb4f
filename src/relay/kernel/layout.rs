//! What the kernel's programs and user space tell each other, octet for octet as bpf/passages.h and bpf/frames.bpf.c declare it. Ports and addresses are
//! in network order, all else in the machine's.

use ringfort_media::quality::Progress;
use std::net::{IpAddr, SocketAddr};

pub(crate) const KEY: usize = 36;
pub(crate) const PASSAGE: usize = 116;
pub(crate) const SEEN: usize = 88;
pub(crate) const HOP: usize = 24;
/// Payload types of speech; packets of others come up.
const CLOCKS_MAX: usize = 8;
/// Longest IP packet that the kernel forwards: the smallest link of IPv6 takes it (RFC 8200 5).
const LONGEST: u16 = 1_280;

/// Who sends to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// The way of a flow through the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// Interface by which it comes. The program is not told.
    pub(crate) enters: u32,
    /// What comes in.
    pub(crate) arrives: Pair,
    /// What it becomes; `local` sends.
    pub(crate) leaves: Pair,
    /// Where to next.
    pub(crate) hop: IpAddr,
    /// Interface by which it leaves.
    pub(crate) interface: u32,
    /// Differentiated services code point of what leaves.
    pub(crate) dscp: u8,
    /// Payload types that carry speech, with their clocks.
    pub(crate) speech: Vec<(u8, u32)>,
    /// It is SRTP: nothing goes on but the stream that is counted already, without leaps.
    pub(crate) sealed: bool,
}

/// What the program saw of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    /// Of the packets, so many as frames; counted modulo 2^32.
    pub(crate) as_frames: u32,
    pub(crate) progress: Progress,
}

/// A neighbour, as frames are addressed to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    /// Ethernet address of the interface by which frames leave.
    pub(crate) source: [u8; 6],
    /// And of the neighbour.
    pub(crate) target: [u8; 6],
}

/// Where the program finds a neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HopPlace {
    pub(crate) place: u32,
    /// Whose the place is: places are used again. 0: nobody's.
    pub(crate) number: u32,
}

/// Puts numbers one behind the other.
struct Writer<const N: usize> {
    octets: [u8; N],
    at: usize,
}

impl<const N: usize> Writer<N> {
    fn new() -> Writer<N> {
        Writer { octets: [0; N], at: 0 }
    }

    fn put(&mut self, octets: &[u8]) {
        if let Some(place) = self.octets.get_mut(self.at..self.at + octets.len()) {
            place.copy_from_slice(octets);
        }
        self.at += octets.len();
    }
}

fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

impl Pair {
    pub(crate) fn key(&self) -> [u8; KEY] {
        let mut writer = Writer::new();
        writer.put(&mapped(self.local.ip()));
        writer.put(&mapped(self.peer.ip()));
        writer.put(&self.local.port().to_be_bytes());
        writer.put(&self.peer.port().to_be_bytes());
        writer.octets
    }
}

impl Passage {
    /// `place` is where the program counts, `known_at` where it finds the next hop's Ethernet address.
    pub(crate) fn octets(&self, place: u32, known_at: HopPlace) -> [u8; PASSAGE] {
        let (old, new) = (&self.arrives, &self.leaves);
        let mut writer = Writer::new();
        writer.put(&mapped(new.local.ip()));
        writer.put(&mapped(new.peer.ip()));
        let mut hop = [0; 16];
        let family: u8 = match self.hop {
            IpAddr::V4(v4) => {
                hop[..4].copy_from_slice(&v4.octets());
                libc::AF_INET as u8
            }
            IpAddr::V6(v6) => {
                hop = v6.octets();
                libc::AF_INET6 as u8
            }
        };
        writer.put(&hop);
        writer.put(&new.local.port().to_be_bytes());
        writer.put(&new.peer.port().to_be_bytes());
        writer.put(&self.interface.to_ne_bytes());
        // What comes from the peer to the local address leaves from the other local address to the other peer.
        let addresses = |pair: &Pair| sum(&mapped(pair.local.ip())) + sum(&mapped(pair.peer.ip()));
        let ports = |pair: &Pair| sum(&pair.local.port().to_be_bytes()) + sum(&pair.peer.port().to_be_bytes());
        writer.put(&difference(addresses(new), addresses(old)).to_ne_bytes());
        writer.put(&difference(ports(new), ports(old)).to_ne_bytes());
        writer.put(&place.to_ne_bytes());
        writer.put(&[self.dscp << 2, family]);
        writer.put(&LONGEST.to_ne_bytes());
        writer.put(&known_at.place.to_ne_bytes());
        writer.put(&known_at.number.to_ne_bytes());
        let mut clocks = [0; CLOCKS_MAX];
        for (place, (payload, clock_hz)) in clocks.iter_mut().zip(&self.speech) {
            *place = u32::from(*payload) << 24 | clock_hz & 0x00ff_ffff;
        }
        clocks.iter().for_each(|clock| writer.put(&clock.to_ne_bytes()));
        writer.put(&u32::from(self.sealed).to_ne_bytes());
        writer.octets
    }
}

/// One's complement sum of 16-bit words as they lie in memory (RFC 1071).
fn sum(octets: &[u8]) -> u32 {
    octets.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_ne_bytes(*word))).sum()
}

/// `new - old` in one's complement, folded (RFC 1624).
fn difference(new: u32, old: u32) -> u32 {
    let fold = |mut sum: u32| {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum
    };
    fold(fold(new) + (!fold(old) & 0xffff))
}

impl Hop {
    /// Of the neighbour with that number. Nothing is known of one that is `None`. What is told anew is tried once by the usual way.
    pub(crate) fn octets(number: u32, hop: Option<Hop>) -> [u8; HOP] {
        let mut writer = Writer::new();
        writer.put(&[0; 8]);
        if let Some(hop) = hop {
            writer.put(&hop.target);
            writer.put(&hop.source);
            writer.put(&number.to_ne_bytes());
        }
        writer.octets
    }
}

impl Seen {
    pub(crate) fn octets(&self) -> [u8; SEEN] {
        let progress = &self.progress;
        let mut writer = Writer::new();
        for number in [self.packets, self.octets, progress.first, progress.highest, progress.received, progress.lost_before] {
            writer.put(&number.to_ne_bytes());
        }
        writer.put(&progress.jitter_16.to_ne_bytes());
        writer.put(&[0; 12]);
        writer.put(&progress.ssrc.unwrap_or_default().to_ne_bytes());
        writer.put(&[0; 4]);
        writer.put(&progress.jitter_max_us.to_ne_bytes());
        writer.put(&u32::from(progress.ssrc.is_some()).to_ne_bytes());
        writer.put(&self.as_frames.to_ne_bytes());
        writer.octets
    }

    pub(crate) fn read(octets: &[u8; SEEN]) -> Seen {
        let long = |at: usize| octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u64::from_ne_bytes(*word));
        let short = |at: usize| octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word));
        let progress = Progress {
            ssrc: (short(80) != 0).then(|| short(68)),
            first: long(16),
            highest: long(24),
            received: long(32),
            lost_before: long(40),
            jitter_16: long(48),
            jitter_max_us: short(76),
        };
        Seen { packets: long(0), octets: long(8), as_frames: short(84), progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_back() {
        let progress = Progress {
            ssrc: Some(0x8000_0001),
            first: 65_537,
            highest: 1 << 40,
            received: 5,
            jitter_16: 6,
            lost_before: 7,
            jitter_max_us: 8,
        };
        for seen in [Seen::default(), Seen { packets: 3, octets: 4, as_frames: 2, progress }] {
            assert_eq!(Seen::read(&seen.octets()), seen);
        }
    }

    /// A checksum with the difference added is that of the new pair (RFC 1624).
    #[test]
    fn differences_turn_one_checksum_into_the_other() {
        let at = |text: &str| text.parse().unwrap();
        let old = Pair { local: at("192.0.2.255:65534"), peer: at("203.0.113.7:1") };
        let new = Pair { local: at("198.51.100.1:40000"), peer: at("10.255.255.255:65535") };
        let arrives_leaves = Passage {
            enters: 2,
            arrives: old,
            leaves: new,
            hop: at("10.0.0.1:0").ip(),
            interface: 3,
            dscp: 46,
            speech: vec![],
            sealed: true,
        };
        let octets = arrives_leaves.octets(9, HopPlace { place: 4, number: 5 });
        let word = |at: usize| u32::from_ne_bytes(*octets[at..].first_chunk().unwrap());
        let whole = |pair: &Pair| sum(&pair.key());
        let folded = |n: u32| difference(n, 0xffff);
        assert_eq!(folded(whole(&old) + word(56) + word(60)), folded(whole(&new)));
        assert_eq!((word(52), word(64), octets[68], octets[69], word(72), word(76)), (3, 9, 184, 2, 4, 5));
        assert_eq!(word(112), 1);
    }
}
