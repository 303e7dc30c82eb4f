//! A small network of namespaces: caller — node — callee, on two Ethernet links.

use ringfort_relay::frame;
use ringfort_relay::namespace::{Host, left_out};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// A host of the network.
pub struct Place(Host);

impl Place {
    /// Does it there. Threads and sockets that it makes are of that network.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.0.run(job).expect("the job ended")
    }

    /// `ip` there; words are apart by one space.
    pub fn ip(&self, words: &str) {
        self.0.call(&format!("ip {words}")).unwrap();
    }

    /// A socket there.
    pub fn socket(&self, address: &str) -> UdpSocket {
        let socket = self.0.socket(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }
}

/// Sees the frames of a host.
pub struct Wire(Socket);

impl Place {
    /// Sees what comes and goes from now on.
    pub fn wire(&self) -> Wire {
        // ETH_P_ALL of linux/if_ether.h.
        let all = Protocol::from(i32::from(3u16.to_be()));
        let socket = self.run(move || Socket::new(Domain::PACKET, Type::RAW, Some(all))).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Wire(socket)
    }
}

impl Wire {
    /// The traffic class (DSCP and ECN) of the next datagram from `source`.
    pub fn traffic_class(&self, source: SocketAddr) -> u8 {
        let mut buffer = [0; 2_000];
        loop {
            let len = (&self.0).read(&mut buffer).expect("a frame");
            if frame::parse(&buffer[..len]).is_ok_and(|udp| udp.source == source) {
                return if source.is_ipv4() { buffer[15] } else { buffer[14] << 4 | buffer[15] >> 4 };
            }
        }
    }
}

/// What a host sends from now on says so of its path (RFC 3168 5).
pub fn set_ecn(socket: &UdpSocket, ecn: u32) {
    let socket = SockRef::from(socket);
    let v4 = socket.local_addr().unwrap().is_ipv4();
    if v4 { socket.set_tos_v4(ecn) } else { socket.set_tclass_v6(ecn) }.unwrap();
}

pub struct Network {
    pub caller: Place,
    pub node: Place,
    pub callee: Place,
}

/// Addresses of the four ends.
pub struct Addresses {
    pub caller: &'static str,
    pub inner: &'static str,
    pub outer: &'static str,
    pub callee: &'static str,
}

pub const V4: Addresses = Addresses { caller: "10.77.1.1", inner: "10.77.1.2", outer: "10.77.2.2", callee: "10.77.2.1" };
pub const V6: Addresses = Addresses { caller: "fd77:1::1", inner: "fd77:1::2", outer: "fd77:2::2", callee: "fd77:2::1" };

impl Network {
    /// `None`, and the reason on the terminal, where the system permits no namespaces.
    pub fn new() -> Option<Network> {
        let places = [Host::new(), Host::new(), Host::new()].map(|host| host.ok().map(Place));
        let [Some(caller), Some(node), Some(callee)] = places else {
            left_out("network namespaces are not permitted here");
            return None;
        };
        for (place, subnet) in [(&caller, 1), (&callee, 2)] {
            node.ip(&format!("link add m{subnet} type veth peer name eth0 netns {}", place.0.thread()));
            node.ip(&format!("addr add 10.77.{subnet}.2/24 dev m{subnet}"));
            node.ip(&format!("addr add fd77:{subnet}::2/64 dev m{subnet} nodad"));
            node.ip(&format!("link set m{subnet} up"));
            place.ip(&format!("addr add 10.77.{subnet}.1/24 dev eth0"));
            place.ip(&format!("addr add fd77:{subnet}::1/64 dev eth0 nodad"));
            place.ip("link set eth0 up");
        }
        Some(Network { caller, node, callee })
    }

    /// Checksums are computed by who sends, so that a wrong one is seen. False where `ethtool` is missing.
    pub fn checksums_in_software(&self) -> bool {
        let off = |place: &Place, device: &str| place.0.call(&format!("ethtool -K {device} tx off")).is_ok();
        off(&self.caller, "eth0") && off(&self.callee, "eth0") && off(&self.node, "m1") && off(&self.node, "m2")
    }

    /// The links take frames that came by another one, as the drivers of cards do: virtual ones only to hosts that want them so. False where
    /// `ethtool` is missing.
    pub fn takes_frames(&self) -> bool {
        [&self.caller, &self.callee].iter().all(|place| place.0.call("ethtool -K eth0 gro on").is_ok())
    }

    /// They do not any more.
    pub fn keeps_frames(&self) {
        [&self.caller, &self.callee].iter().for_each(|place| place.0.call("ethtool -K eth0 gro off").unwrap());
    }
}
