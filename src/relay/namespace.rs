//! Hosts in network namespaces of their own, for measurements and tests: what a packet costs between two machines shows on one.

use std::fs::File;
use std::io::{self, Error, Write};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::mpsc::{Sender, channel};

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace: a thread that lives in it and does what it is given. It ends with the last socket, process and device that uses it.
pub struct Host {
    jobs: Sender<Job>,
    thread: i32,
}

impl Host {
    /// Needs the right to make namespaces (CAP_SYS_ADMIN).
    pub fn new() -> io::Result<Host> {
        let (jobs, queue) = channel::<Job>();
        let (ready, thread) = channel();
        std::thread::Builder::new().name("namespace".into()).spawn(move || {
            // What it warns of is another flag.
            #[allow(deprecated)]
            let entered = rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET);
            let _ = ready.send(entered.map(|()| rustix::thread::gettid().as_raw_nonzero().get()));
            queue.into_iter().for_each(|job| job());
        })?;
        let thread = thread.recv().map_err(Error::other)??;
        Ok(Host { jobs, thread })
    }

    /// By which `ip link` finds the namespace.
    pub fn thread(&self) -> i32 {
        self.thread
    }

    /// Does it there. Threads, sockets and processes that it makes are of that network.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, result) = channel();
        self.jobs.send(Box::new(move || drop(done.send(job())))).map_err(|_| Error::other("the host is gone"))?;
        result.recv().map_err(Error::other)
    }

    /// Does it there on this very thread, which comes back afterwards. Needs the right to change namespaces (CAP_SYS_ADMIN).
    pub fn visit<T>(&self, job: impl FnOnce() -> T) -> io::Result<T> {
        Host::visit_thread(self.thread, job)
    }

    /// The same for whoever has nothing but the host's [`Host::thread`].
    pub fn visit_thread<T>(thread: i32, job: impl FnOnce() -> T) -> io::Result<T> {
        let enter = |namespace: &File| {
            let kind = rustix::thread::LinkNameSpaceType::Network;
            rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).map_err(Error::from)
        };
        let own = File::open("/proc/thread-self/ns/net")?;
        enter(&File::open(format!("/proc/self/task/{thread}/ns/net"))?)?;
        let done = job();
        enter(&own).map(|()| done)
    }

    /// Runs a program there; words are apart by one space. An error has what it complained of.
    pub fn call(&self, words: &str) -> io::Result<()> {
        let words: Vec<String> = words.split(' ').map(String::from).collect();
        self.run(move || {
            let (program, arguments) = words.split_first().ok_or_else(|| Error::other("no program"))?;
            let output = Command::new(program).args(arguments).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
            let output = output.map_err(|error| Error::new(error.kind(), format!("{program}: {error}")))?;
            let text = || format!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
            if output.status.success() { Ok(()) } else { Err(Error::other(text())) }
        })?
    }

    /// A UDP socket there.
    pub fn socket(&self, address: &str) -> io::Result<UdpSocket> {
        let address = address.to_string();
        self.run(move || UdpSocket::bind(address))?
    }

    /// A cable to `other`: an Ethernet device at each end, up and with an address (`10.0.0.1/24`).
    pub fn connect(&self, (device, address): (&str, &str), other: &Host, (far, far_address): (&str, &str)) -> io::Result<()> {
        self.call(&format!("ip link add {device} type veth peer name {far} netns {}", other.thread))?;
        for (host, device, address) in [(self, device, address), (other, far, far_address)] {
            host.call(&format!("ip addr add {address} dev {device}"))?;
            host.call(&format!("ip link set {device} up"))?;
            host.call("ip link set lo up")?;
        }
        Ok(())
    }
}

/// Says that a test was left out, and why: past what a test runner keeps to itself of tests that pass.
pub fn left_out(why: impl std::fmt::Display) {
    // Nobody is left to tell where the terminal is gone.
    let _ = writeln!(io::stderr(), "left out: {why}");
}
