//! Who is behind a port that several legs share. A connectivity check says by a user name fragment whom it is for; everything else is known
//! by its source, once the node has answered a check from there (RFC 8445 7.2.2, RFC 7983). Plain data: it knows no sockets.

use ringfort_base::limits::ICE_SOURCES_MAX;
use ringfort_base::{PortId, Time};
use ringfort_media::demux::{Kind, classify, fragment_of};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// A source that the node has not answered for so long may be another leg's: a browser checks at least every 5 s (RFC 7675 5.1), and one
/// that is gone may have left its address to the next one behind the same NAT.
const STALE: Duration = Duration::from_secs(15);

/// One leg behind the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// The leg.
    pub port: PortId,
    /// Number of the worker that has it.
    pub worker: usize,
}

#[derive(Debug)]
struct Entry {
    worker: usize,
    fragment: Option<String>,
    /// Those that came last are behind.
    sources: VecDeque<SocketAddr>,
}

#[derive(Debug)]
struct Claim {
    tenant: Tenant,
    /// When the node answered there last.
    at: Time,
}

/// The legs behind one shared port.
#[derive(Debug, Default)]
pub struct Directory {
    entries: HashMap<PortId, Entry>,
    by_fragment: HashMap<String, PortId>,
    by_source: HashMap<SocketAddr, Claim>,
}

impl Directory {
    /// Nobody yet.
    pub fn new() -> Directory {
        Directory::default()
    }

    /// Whether nobody is behind the port.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A leg comes.
    pub fn enter(&mut self, Tenant { port, worker }: Tenant) {
        self.leave(port);
        self.entries.insert(port, Entry { worker, fragment: None, sources: VecDeque::new() });
    }

    /// A leg goes. Nothing finds it any more.
    pub fn leave(&mut self, port: PortId) {
        let Some(entry) = self.entries.remove(&port) else { return };
        self.forget(port, entry.fragment);
        entry.sources.iter().for_each(|source| self.release(port, source));
    }

    /// What the leg's checks are named by from now on; `None`: it takes none.
    pub fn name(&mut self, port: PortId, fragment: Option<&str>) {
        let Some(entry) = self.entries.get_mut(&port).filter(|entry| entry.fragment.as_deref() != fragment) else { return };
        let before = std::mem::replace(&mut entry.fragment, fragment.map(str::to_owned));
        self.forget(port, before);
        if let Some(fragment) = fragment {
            self.by_fragment.insert(fragment.to_owned(), port);
        }
    }

    /// The node answers a leg's peer there: whoever comes from there is this peer. A source that another leg's peer still uses stays with
    /// that one, so that nobody can take an address away who only pretends to send from it. False: it does.
    pub fn admit(&mut self, now: Time, port: PortId, source: SocketAddr) -> bool {
        let source = bare(source);
        let Some(entry) = self.entries.get_mut(&port) else { return false };
        let claim = Claim { tenant: Tenant { port, worker: entry.worker }, at: now };
        match self.by_source.get_mut(&source) {
            Some(known) if known.tenant.port == port => {
                known.at = now;
                return true;
            }
            Some(known) if now.since(known.at) < STALE => return false,
            _ => self.by_source.insert(source, claim),
        };
        entry.sources.push_back(source);
        let oldest = (entry.sources.len() > ICE_SOURCES_MAX).then(|| entry.sources.pop_front()).flatten();
        if let Some(oldest) = oldest {
            self.release(port, &oldest);
        }
        true
    }

    /// The leg goes to another worker.
    pub fn moved(&mut self, port: PortId, worker: usize) {
        let Some(entry) = self.entries.get_mut(&port) else { return };
        entry.worker = worker;
        for source in &entry.sources {
            if let Some(claim) = self.by_source.get_mut(source).filter(|claim| claim.tenant.port == port) {
                claim.tenant.worker = worker;
            }
        }
    }

    /// Whose datagram this is.
    pub fn find(&self, datagram: &[u8], from: SocketAddr) -> Option<Tenant> {
        let named = if classify(datagram) == Kind::Stun { fragment_of(datagram) } else { None };
        match named {
            Some(fragment) => {
                let port = *self.by_fragment.get(fragment)?;
                self.entries.get(&port).map(|entry| Tenant { port, worker: entry.worker })
            }
            None => self.by_source.get(&bare(from)).map(|claim| claim.tenant),
        }
    }

    fn forget(&mut self, port: PortId, fragment: Option<String>) {
        if let Some(fragment) = fragment.filter(|fragment| self.by_fragment.get(fragment) == Some(&port)) {
            self.by_fragment.remove(&fragment);
        }
    }

    fn release(&mut self, port: PortId, source: &SocketAddr) {
        if self.by_source.get(source).is_some_and(|claim| claim.tenant.port == port) {
            self.by_source.remove(source);
        }
    }
}

/// Flow label and scope of an IPv6 address do not make another peer of it.
fn bare(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PortId = PortId(1);
    const B: PortId = PortId(2);
    const RTP: [u8; 12] = [0x80; 12];

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn check(name: &str) -> Vec<u8> {
        let mut stun = vec![0; 20];
        stun.extend([0, 6, 0, name.len() as u8]);
        stun.extend(name.as_bytes());
        stun.resize(stun.len().next_multiple_of(4), 0);
        stun
    }

    fn two() -> Directory {
        let mut directory = Directory::new();
        for (port, worker, fragment) in [(A, 0, "aaaa"), (B, 1, "bbbb")] {
            directory.enter(Tenant { port, worker });
            directory.name(port, Some(fragment));
        }
        directory
    }

    #[test]
    fn checks_go_by_their_name_and_the_rest_by_its_source() {
        let mut directory = two();
        let (from, b) = (at("192.0.2.1:4000"), Some(Tenant { port: B, worker: 1 }));
        assert_eq!(directory.find(&check("bbbb:x"), from), b);
        assert_eq!(directory.find(&RTP, from), None, "nobody has answered there yet");
        assert!(directory.admit(Time::ZERO, B, from));
        assert_eq!(directory.find(&RTP, from), b);
        assert_eq!(directory.find(&[22, 254, 253], from), b, "DTLS");
        assert_eq!(directory.find(&[0; 20], from), b, "a keep-alive names nobody");
        assert_eq!(directory.find(&check("cccc:x"), from), None, "a name that is not known is no keep-alive");
        assert_eq!(directory.find(&RTP, at("192.0.2.1:4001")), None);
    }

    #[test]
    fn who_goes_is_found_no_more() {
        let mut directory = two();
        directory.admit(Time::ZERO, A, at("192.0.2.1:4000"));
        directory.leave(A);
        assert_eq!(directory.find(&RTP, at("192.0.2.1:4000")), None);
        assert_eq!(directory.find(&check("aaaa:x"), at("192.0.2.1:4000")), None);
        assert!(!directory.admit(Time::ZERO, A, at("192.0.2.1:4000")));
        assert!(!directory.is_empty());
        directory.leave(B);
        assert!(directory.is_empty() && directory.by_source.is_empty() && directory.by_fragment.is_empty());
    }

    #[test]
    fn nobody_takes_an_address_that_is_in_use() {
        let (mut directory, from) = (two(), at("192.0.2.1:4000"));
        directory.admit(Time::ZERO, A, from);
        assert!(!directory.admit(Time::from_millis(14_000), B, from), "its sender may be a liar");
        assert!(directory.admit(Time::from_millis(14_500), A, from));
        assert!(!directory.admit(Time::from_millis(28_000), B, from), "the answer to its own peer came between");
        assert!(directory.admit(Time::from_millis(30_000), B, from), "its own peer is gone");
        assert_eq!(directory.find(&RTP, from).map(|tenant| tenant.port), Some(B));
        directory.leave(A);
        assert_eq!(directory.find(&RTP, from).map(|tenant| tenant.port), Some(B));
    }

    #[test]
    fn another_name_and_another_worker() {
        let (mut directory, from) = (two(), at("[2001:db8::1]:4000"));
        directory.admit(Time::ZERO, A, from);
        directory.name(A, Some("dddd"));
        assert_eq!(directory.find(&check("aaaa:x"), from), None);
        directory.moved(A, 3);
        let a = Some(Tenant { port: A, worker: 3 });
        assert_eq!([directory.find(&check("dddd:x"), from), directory.find(&RTP, from)], [a, a]);
        directory.name(A, None);
        assert_eq!(directory.find(&check("dddd:x"), from), None);
    }

    #[test]
    fn sources_of_one_leg_are_bounded() {
        let mut directory = two();
        for port in 0..3 * ICE_SOURCES_MAX as u16 {
            directory.admit(Time::ZERO, A, SocketAddr::from(([192, 0, 2, 1], 1000 + port)));
        }
        assert_eq!(directory.by_source.len(), ICE_SOURCES_MAX);
        assert!(directory.find(&RTP, SocketAddr::from(([192, 0, 2, 1], 1000))).is_none());
    }
}
