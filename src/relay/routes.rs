//! How the kernel would send to an address: interface and next hop, asked by rtnetlink. And a word when that may have changed.
//!
//! Read first: rtnetlink(7), netlink(7).

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Longer than any answer about one route or one interface.
const ANSWER_MAX: usize = 8_192;
/// Groups of rtnetlink: links, addresses, routes and rules of both families.
const GROUPS: u32 = (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV4_ROUTE) as u32
    | (libc::RTMGRP_IPV4_RULE | libc::RTMGRP_IPV6_IFADDR | libc::RTMGRP_IPV6_ROUTE) as u32;

/// And of neighbours.
const NEIGHBOURS: u32 = libc::RTMGRP_NEIGH as u32;

/// Header of a netlink message, of a route and of an interface, octets.
const HEADER: usize = 16;
const ROUTE_HEADER: usize = 12;
const LINK_HEADER: usize = 16;
const NEIGHBOUR_HEADER: usize = 12;

/// Where a packet goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// By this interface to this address.
    Out { interface: u32, hop: IpAddr },
    /// To this host itself.
    Here,
    /// Nowhere, or in a way that is not understood.
    None,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) is_ethernet: bool,
    /// Its frames have a tag on the wire: it is a VLAN of another one.
    pub(crate) is_tagged: bool,
    /// Its Ethernet address; zeros where it has none.
    pub(crate) mac: [u8; 6],
    /// Longest IP packet that it takes, octets.
    pub(crate) mtu: u32,
}

/// A host on the same link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) mac: [u8; 6],
    /// The kernel has heard of it lately, or need not.
    pub(crate) is_fresh: bool,
}

/// What the kernel tells of a neighbour unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) interface: u32,
    pub(crate) address: IpAddr,
    /// `None`: it is not known any more.
    pub(crate) mac: Option<[u8; 6]>,
}

/// What is new.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// Interfaces that are gone.
    pub(crate) gone: Vec<u32>,
    /// Neighbours of whom something is known anew, or nothing any more.
    pub(crate) neighbours: Vec<Heard>,
    /// Routes, addresses or interfaces changed, or more came than could be told.
    pub(crate) is_rerouted: bool,
}

/// The two sockets: one asks, one hears.
pub(crate) struct Routes {
    questions: OwnedFd,
    news: OwnedFd,
}

impl Routes {
    /// With `neighbours`, hears of those, too.
    pub(crate) fn new(neighbours: bool) -> io::Result<Routes> {
        // Protocol 0 is NETLINK_ROUTE.
        let open = |flags| socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None);
        let (questions, news) = (open(SocketFlags::CLOEXEC)?, open(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?);
        bind(&questions, &SocketAddrNetlink::new(0, 0))?;
        let groups = GROUPS | if neighbours { NEIGHBOURS } else { 0 };
        bind(&news, &SocketAddrNetlink::new(0, groups))?;
        Ok(Routes { questions, news })
    }

    /// To ask only: nothing is ever new.
    pub(crate) fn quiet() -> io::Result<Routes> {
        let open = || socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
        let questions = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        bind(&questions, &SocketAddrNetlink::new(0, 0))?;
        Ok(Routes { questions, news: open()? })
    }

    /// Readable when something changed.
    pub(crate) fn news(&self) -> BorrowedFd<'_> {
        self.news.as_fd()
    }

    /// Reads what changed.
    pub(crate) fn read_news(&self) -> News {
        let (mut buffer, mut news) = ([0; ANSWER_MAX], News::default());
        loop {
            match recv(&self.news, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((len, _)) => Messages(buffer.get(..len).unwrap_or_default()).for_each(|(kind, body)| news.add(kind, body)),
                // More came than fits: the system says so once.
                Err(Errno::NOBUFS) => news.is_rerouted = true,
                Err(_) => return news,
            }
        }
    }

    /// The way of a packet from `source` to `to`.
    pub(crate) fn way(&self, source: IpAddr, to: IpAddr) -> io::Result<Way> {
        let family = if to.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        let bits: u8 = if to.is_ipv6() { 128 } else { 32 };
        let mut body = vec![family as u8, bits, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        attribute(&mut body, libc::RTA_DST, &octets(to));
        attribute(&mut body, libc::RTA_SRC, &octets(source));
        let answer = self.ask(libc::RTM_GETROUTE, &body)?;
        let answer = answer.as_deref().and_then(|answer| Messages(answer).next());
        Ok(answer.filter(|(kind, _)| *kind == libc::RTM_NEWROUTE).map_or(Way::None, |(_, route)| way_of(route, to)))
    }

    /// An interface by its number.
    pub(crate) fn link(&self, interface: u32) -> io::Result<Option<Link>> {
        let mut body = vec![0; LINK_HEADER];
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        let answer = self.ask(libc::RTM_GETLINK, &body)?;
        let answer = answer.as_deref().and_then(|answer| Messages(answer).next());
        Ok(answer.filter(|(kind, _)| *kind == libc::RTM_NEWLINK).and_then(|(_, link)| {
            let name = Attributes(link.get(LINK_HEADER..)?).find(|(kind, _)| *kind == libc::IFLA_IFNAME)?.1;
            let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_string();
            let hardware = u16::from_ne_bytes(*link.get(2..)?.first_chunk()?);
            let found = |wanted| Attributes(link.get(LINK_HEADER..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
            let mac = found(libc::IFLA_ADDRESS).and_then(|mac| mac.first_chunk::<6>().copied()).unwrap_or_default();
            let mtu = found(libc::IFLA_MTU).map_or(0, |mtu| u32_at(mtu, 0));
            let is_tagged = found(libc::IFLA_LINKINFO)
                .is_some_and(|info| Attributes(info).any(|(kind, value)| kind == libc::IFLA_INFO_KIND && value == b"vlan\0"));
            Some(Link { name, is_ethernet: hardware == libc::ARPHRD_ETHER, is_tagged, mac, mtu })
        }))
    }

    /// A host behind an interface, if the kernel knows its Ethernet address.
    pub(crate) fn neighbour(&self, interface: u32, address: IpAddr) -> io::Result<Option<Neighbour>> {
        let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
        let mut body = vec![0; NEIGHBOUR_HEADER];
        body[0] = family as u8;
        body[4..8].copy_from_slice(&interface.to_ne_bytes());
        attribute(&mut body, libc::NDA_DST, &octets(address));
        let answer = self.ask(libc::RTM_GETNEIGH, &body)?;
        let answer = answer.as_deref().and_then(|answer| Messages(answer).next());
        Ok(answer.filter(|(kind, _)| *kind == libc::RTM_NEWNEIGH).and_then(|(_, body)| neighbour_of(body)))
    }

    /// One question, one answer. `None`: the system knows no such thing. The system answers before `send` returns.
    fn ask(&self, kind: u16, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend(((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
        message.extend([0; 8]);
        message.extend(body);
        send(&self.questions, &message, SendFlags::empty())?;
        let mut answer = vec![0; ANSWER_MAX];
        let (len, _) = recv(&self.questions, &mut answer[..], RecvFlags::empty())?;
        answer.truncate(len);
        let is_error = Messages(&answer).next().is_none_or(|(kind, _)| i32::from(kind) == libc::NLMSG_ERROR);
        Ok((!is_error).then_some(answer))
    }
}

impl News {
    fn add(&mut self, kind: u16, body: &[u8]) {
        match kind {
            libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => {
                let found = Attributes(body.get(NEIGHBOUR_HEADER..).unwrap_or_default()).find(|(kind, _)| *kind == libc::NDA_DST);
                let mac = (kind == libc::RTM_NEWNEIGH).then(|| neighbour_of(body)).flatten().map(|neighbour| neighbour.mac);
                let heard = found.and_then(|(_, value)| address(value));
                self.neighbours.extend(heard.map(|address| Heard { interface: u32_at(body, 4), address, mac }));
            }
            libc::RTM_DELLINK if body.len() >= LINK_HEADER => {
                self.gone.push(u32_at(body, 4));
                self.is_rerouted = true;
            }
            _ => self.is_rerouted = true,
        }
    }
}

/// A neighbour as the system tells it, where it can be sent to.
fn neighbour_of(body: &[u8]) -> Option<Neighbour> {
    let state = u16::from_ne_bytes(*body.get(8..)?.first_chunk()?);
    let mac = Attributes(body.get(NEIGHBOUR_HEADER..)?).find(|(kind, _)| *kind == libc::NDA_LLADDR)?.1;
    let usable = libc::NUD_REACHABLE | libc::NUD_STALE | libc::NUD_DELAY | libc::NUD_PROBE | libc::NUD_PERMANENT;
    let fresh = libc::NUD_REACHABLE | libc::NUD_PERMANENT;
    let mac = *mac.first_chunk::<6>().filter(|_| state & usable != 0)?;
    Some(Neighbour { mac, is_fresh: state & fresh != 0 })
}

/// A route as the system tells it.
fn way_of(route: &[u8], to: IpAddr) -> Way {
    let Some(attributes) = route.get(ROUTE_HEADER..) else { return Way::None };
    match route.get(7) {
        Some(&libc::RTN_LOCAL) => return Way::Here,
        Some(&libc::RTN_UNICAST) => {}
        _ => return Way::None,
    }
    let (mut interface, mut hop) = (None, to);
    for (kind, value) in Attributes(attributes) {
        match kind {
            libc::RTA_OIF if value.len() >= 4 => interface = Some(u32_at(value, 0)),
            libc::RTA_GATEWAY => hop = address(value).unwrap_or(hop),
            // A gateway of the other family, or a tunnel put around the packet.
            libc::RTA_VIA | RTA_ENCAP => return Way::None,
            _ => {}
        }
    }
    interface.map_or(Way::None, |interface| Way::Out { interface, hop })
}

/// linux/rtnetlink.h; not in libc.
const RTA_ENCAP: u16 = 22;

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => octets.first_chunk::<4>().map(|v4| Ipv4Addr::from(*v4).into()),
        16 => octets.first_chunk::<16>().map(|v6| Ipv6Addr::from(*v6).into()),
        _ => None,
    }
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
}

/// 0 where there are not so many octets.
fn u32_at(octets: &[u8], at: usize) -> u32 {
    octets.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_ne_bytes(*word))
}

/// Cuts one item off: its whole length first, padded to four octets.
fn cut<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let item = rest.get(..len)?;
    *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some(item)
}

/// Messages one behind the other, as type and body.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = u32_at(self.0, 0) as usize;
        let item = cut(&mut self.0, len)?;
        Some((u16::from_ne_bytes(*item.get(4..)?.first_chunk()?), item.get(HEADER..)?))
    }
}

/// Attributes one behind the other.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let len = u16::from_ne_bytes(*self.0.first_chunk()?);
        let item = cut(&mut self.0, len.into())?;
        Some((u16::from_ne_bytes(*item.get(2..)?.first_chunk()?), item.get(4..)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_here() {
        let routes = Routes::new(true).unwrap();
        for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            assert_eq!(routes.way(address, address).unwrap(), Way::Here);
        }
        let link = routes.link(1).unwrap().unwrap();
        assert_eq!((link.name.as_str(), link.is_ethernet), ("lo", false));
        assert_eq!(routes.link(0x7fff_0000).unwrap(), None);
    }

    #[test]
    fn broken_messages_end_the_list() {
        for octets in [&[][..], &[0; 16], &[200, 0, 0, 0, 1, 0], &[15, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Messages(octets).count(), 0);
        }
        assert_eq!(Attributes(&[3, 0, 1, 0, 9, 9]).count(), 0);
        assert_eq!(Attributes(&[5, 0, 1, 0, 9]).next(), Some((1, &[9][..])));
        assert_eq!(way_of(&[0; 5], Ipv4Addr::LOCALHOST.into()), Way::None);
    }
}
