//! Two hosts on one Ethernet link, as network namespaces: what is measured, and whoever sends and receives.

use std::io::{self, Error};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

/// Address of whoever sends and receives.
pub const PEER: &str = "10.77.1.1";
/// Address of what is measured.
pub const NODE: &str = "10.77.1.2";

/// A network namespace: a thread that lives in it and does what it is given.
pub struct Host {
    jobs: Sender<Job>,
    thread: i32,
}

impl Host {
    fn new() -> io::Result<Host> {
        let (jobs, queue) = channel::<Job>();
        let (ready, thread) = channel();
        std::thread::spawn(move || {
            // What it warns of is another flag.
            #[allow(deprecated)]
            let entered = rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET);
            let _ = ready.send(entered.map(|()| rustix::thread::gettid().as_raw_nonzero().get()));
            queue.into_iter().for_each(|job| job());
        });
        let thread = thread.recv().map_err(Error::other)??;
        Ok(Host { jobs, thread })
    }

    /// Does it there. Threads, sockets and processes that it makes are of that network.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, result) = channel();
        self.jobs.send(Box::new(move || drop(done.send(job())))).map_err(|_| Error::other("the host is gone"))?;
        result.recv().map_err(Error::other)
    }

    /// Runs a program there; words are apart by one space.
    pub fn call(&self, words: &str) -> io::Result<()> {
        let words: Vec<String> = words.split(' ').map(String::from).collect();
        self.run(move || {
            let (program, arguments) = words.split_first().ok_or_else(|| Error::other("no program"))?;
            let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output()?;
            let text = || format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr));
            if output.status.success() { Ok(()) } else { Err(Error::other(text())) }
        })?
    }

    /// UDP packets that come in are dropped before anybody looks at them, or no more.
    pub fn drops(&self, device: &str, on: bool) -> io::Result<()> {
        if on {
            self.call("nft add table netdev bench")?;
            self.call(&format!("nft add chain netdev bench in {{ type filter hook ingress device {device} priority 0 ; }}"))?;
            self.call("nft add rule netdev bench in ip protocol udp drop")
        } else {
            self.call("nft delete table netdev bench")
        }
    }

    /// Packets that a device received so far.
    pub fn received(&self, device: &'static str) -> io::Result<u64> {
        self.run(move || {
            let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
            let line = text.lines().find_map(|line| line.trim().strip_prefix(device)?.strip_prefix(':'));
            let packets = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            packets.ok_or_else(|| Error::other("no such device"))
        })?
    }
}

/// Both, with `eth0` at the peer and `m1` at the node.
pub struct Link {
    /// Who sends and receives.
    pub peer: Host,
    /// What is measured.
    pub node: Host,
}

impl Link {
    /// Needs the right to make namespaces.
    pub fn new() -> io::Result<Link> {
        let link = Link { peer: Host::new()?, node: Host::new()? };
        link.node.call(&format!("ip link add m1 type veth peer name eth0 netns {}", link.peer.thread))?;
        for (host, device, address) in [(&link.node, "m1", NODE), (&link.peer, "eth0", PEER)] {
            host.call(&format!("ip addr add {address}/24 dev {device}"))?;
            host.call(&format!("ip link set {device} up"))?;
            host.call("ip link set lo up")?;
        }
        Ok(link)
    }
}
