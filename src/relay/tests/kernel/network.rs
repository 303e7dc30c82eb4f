//! A small network of namespaces: caller — node — callee, on two Ethernet links.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace: a thread that lives in it and does what it is given.
pub struct Place {
    jobs: Sender<Job>,
    thread: i32,
}

impl Place {
    /// `None` where the system does not permit one.
    fn new() -> Option<Place> {
        let (jobs, queue) = channel::<Job>();
        let (ready, thread) = channel();
        std::thread::spawn(move || {
            // What it warns of is another flag.
            #[allow(deprecated)]
            let entered = rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).is_ok();
            let _ = ready.send(entered.then(|| rustix::thread::gettid().as_raw_nonzero().get()));
            queue.into_iter().for_each(|job| job());
        });
        Some(Place { jobs, thread: thread.recv().ok()?? })
    }

    /// Does it there. Threads and sockets that it makes are of that network.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel();
        self.jobs.send(Box::new(move || drop(done.send(job())))).unwrap();
        result.recv().expect("the job ended")
    }

    /// `ip` there; words are apart by one space.
    pub fn ip(&self, words: &str) {
        let words: Vec<String> = words.split(' ').map(String::from).collect();
        self.run(move || {
            let done = Command::new("ip").args(&words).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
            assert!(done.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&done.stderr));
        });
    }

    /// A socket there.
    pub fn socket(&self, address: &str) -> UdpSocket {
        let address = address.to_string();
        let socket = self.run(move || UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }
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
        let places = [Place::new(), Place::new(), Place::new()];
        let [Some(caller), Some(node), Some(callee)] = places else {
            eprintln!("left out: network namespaces are not permitted here");
            return None;
        };
        for (place, subnet) in [(&caller, 1), (&callee, 2)] {
            node.ip(&format!("link add m{subnet} type veth peer name eth0 netns {}", place.thread));
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
        let off = |place: &Place, device: &'static str| {
            place.run(move || {
                let path = "/usr/sbin:/usr/bin:/sbin:/bin";
                Command::new("ethtool")
                    .args(["-K", device, "tx", "off"])
                    .env("PATH", path)
                    .output()
                    .is_ok_and(|d| d.status.success())
            })
        };
        off(&self.caller, "eth0") && off(&self.callee, "eth0") && off(&self.node, "m1") && off(&self.node, "m2")
    }
}
