//! A network of hosts, each a namespace of its own: phone — node — carrier, on two cables. A cable may lose, delay and jitter what passes:
//! by `tc netem` where this kernel has it, else by hand between two virtual Ethernet devices, which comes to the same.

use super::{Context, Outcome};
use ringfort_base::entropy::Seeded;
use ringfort_relay::namespace::{Host, left_out};
use smoltcp::phy::{Device, Medium, RxToken, TunTapInterface, TxToken};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Addresses, as the hosts have them.
pub const PHONE: &str = "10.81.0.2";
/// The node's towards the phone.
pub const INSIDE: &str = "10.81.0.1";
/// The node's towards the carrier.
pub const OUTSIDE: &str = "10.82.0.1";
/// The carrier.
pub const CARRIER: &str = "10.82.0.2";
/// Somebody else in the phone's network.
pub const STRANGER: &str = "10.81.0.66";

/// The phone's address after [`Network::move_phone`].
pub const ELSEWHERE: &str = "10.83.0.2";
/// Who leads it from there to the node.
const GATEWAY: &str = "10.83.0.1";

/// Where programs of the system are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How often a cable by hand looks for what is due.
const LOOK: Duration = Duration::from_micros(200);

/// What a cable does to packets, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Each is on its way for so long, milliseconds,
    pub delay_ms: u32,
    /// give or take so much,
    pub jitter_ms: u32,
    /// and so many are lost, percent.
    pub loss_percent: u32,
}

/// The hosts. Their devices end with the value.
pub struct Network {
    /// The phone, and [`STRANGER`].
    pub phone: Host,
    /// The node.
    pub node: Host,
    /// The carrier.
    pub carrier: Host,
    _cables: Vec<Cable>,
}

impl Network {
    /// `None`, said loudly, where the system permits none of this.
    pub fn new(name: &str, phone: Option<Weather>, carrier: Option<Weather>) -> Option<Network> {
        let built = || -> std::io::Result<Network> {
            let network = Network { phone: Host::new()?, node: Host::new()?, carrier: Host::new()?, _cables: Vec::new() };
            let cables = vec![
                Cable::lay(&network.node, ("in0", INSIDE), &network.phone, PHONE, phone)?,
                Cable::lay(&network.node, ("out0", OUTSIDE), &network.carrier, CARRIER, carrier)?,
            ];
            network.phone.call(&format!("ip addr add {STRANGER}/24 dev eth0"))?;
            Ok(Network { _cables: cables, ..network })
        };
        let built = built();
        if let Err(error) = &built {
            left_out(format_args!("{name}: no network of namespaces can be made here: {error}"));
        }
        built.ok()
    }

    /// Phone and carrier reach each address of the node, and nothing changes any more under a browser that is to come.
    pub fn route(&self) -> Outcome<()> {
        for (host, gateway) in [(&self.phone, INSIDE), (&self.carrier, OUTSIDE)] {
            for words in
                ["ip link set eth0 addrgenmode none", "ip -6 addr flush dev eth0", &format!("ip route add default via {gateway}")]
            {
                host.call(words).during("making a route")?;
            }
        }
        Ok(())
    }

    /// Devices send frames that were only forwarded, as the drivers of cards do: virtual ones only to hosts that want them so. False where
    /// `ethtool` is missing.
    pub fn takes_frames(&self) -> bool {
        [&self.phone, &self.carrier].iter().all(|host| host.call("ethtool -K eth0 gro on").is_ok())
    }

    /// The phone leaves its network: its cable goes dead, and its address with it. Then another one leads to the node, at the end of which it
    /// has another address.
    pub fn move_phone(&self) -> Outcome<()> {
        let (near, far) = (format!("{GATEWAY}/24"), format!("{ELSEWHERE}/24"));
        for words in ["ip addr flush dev eth0", "ip link set eth0 down"] {
            self.phone.call(words).during("taking the phone's cable away")?;
        }
        self.node.connect(("in1", &near), &self.phone, ("eth1", &far)).during("laying another cable")?;
        self.phone.call(&format!("ip route add default via {GATEWAY}")).during("making a route")
    }
}

/// What the phone is sent by UDP is counted and does not arrive.
const DEAF: [&str; 4] = [
    "nft add table inet cut",
    "nft add counter inet cut arrived",
    "nft add chain inet cut input { type filter hook input priority 0 ; }",
    "nft add rule inet cut input iifname eth0 meta l4proto udp counter name arrived drop",
];

impl Network {
    /// What the phone is sent by UDP is lost on its way from now on; what it sends arrives.
    pub fn deafen_phone(&self) -> Outcome<()> {
        DEAF.iter().try_for_each(|words| self.phone.call(words)).during("losing what the phone is sent")
    }

    /// Nothing passes between phone and node any more, for good, and neither is told.
    pub fn cut_phone(&self) -> Outcome<()> {
        self.deafen_phone()?;
        let rest = "nft add rule inet cut input iifname eth0 drop";
        self.phone.call(rest).during("losing what the phone is sent")?;
        for words in [
            "nft add table inet cut",
            "nft add chain inet cut input { type filter hook input priority 0 ; }",
            "nft add rule inet cut input iifname in0 drop",
        ] {
            self.node.call(words).during("losing what the phone sends")?;
        }
        Ok(())
    }

    /// UDP packets that the phone was sent since then.
    pub fn lost_at_phone(&self) -> Outcome<u64> {
        let list = || Command::new("nft").args(["list", "counter", "inet", "cut", "arrived"]).env("PATH", PATH).output();
        let output = self.phone.run(list).and_then(|output| output).during("asking for a counter")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let packets = text.split("packets ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
        packets.during(format_args!("no counter in {text:?}"))
    }
}

/// Does it at a host on this thread: processes, sockets and threads that it makes are of that host.
pub fn at<T>(host: &Host, job: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    host.visit(job).during("entering a namespace")?
}

/// Ends with the value, where it is one by hand.
struct Cable {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    fn lay(
        node: &Host,
        (device, near): (&str, &str),
        far_host: &Host,
        far: &str,
        weather: Option<Weather>,
    ) -> std::io::Result<Cable> {
        let mut cable = Cable { stop: Arc::default(), thread: None };
        let (near, far) = (format!("{near}/24"), format!("{far}/24"));
        let Some(weather) = weather else {
            node.connect((device, &near), far_host, ("eth0", &far))?;
            return Ok(cable);
        };
        let Weather { delay_ms, jitter_ms, loss_percent } = weather;
        let netem = format!("root netem delay {delay_ms}ms {jitter_ms}ms loss {loss_percent}%");
        if node.call(&format!("tc qdisc add dev lo {netem}")).is_ok() {
            node.call("tc qdisc del dev lo root")?;
            node.connect((device, &near), far_host, ("eth0", &far))?;
            node.call(&format!("tc qdisc add dev {device} {netem}"))?;
            far_host.call(&format!("tc qdisc add dev eth0 {netem}"))?;
            return Ok(cable);
        }
        eprintln!("this kernel has no netem: loss, delay and jitter are made by hand");
        cable.thread = Some(by_hand(cable.stop.clone(), node, device, far_host, weather)?);
        for (host, device, address) in [(node, device, &near), (far_host, "eth0", &far)] {
            host.call(&format!("ip addr add {address} dev {device}"))?;
            host.call("ip link set lo up")?;
        }
        Ok(cable)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Carries frames between two virtual devices, which it makes.
fn by_hand(stop: Arc<AtomicBool>, node: &Host, device: &str, far: &Host, weather: Weather) -> std::io::Result<JoinHandle<()>> {
    let (told, made) = channel();
    let namespaces = [node, far].map(Host::thread);
    let devices = [device.to_string(), "eth0".to_string()];
    let thread = std::thread::spawn(move || {
        // They are of this thread alone.
        let ends = namespaces.into_iter().zip(&devices).map(|(thread, name)| {
            let end = Host::visit_thread(thread, || TunTapInterface::new(name, Medium::Ethernet))??;
            Host::visit_thread(thread, || up(name))??;
            Ok(end)
        });
        match ends.collect::<std::io::Result<Vec<_>>>() {
            Ok(ends) => {
                let _ = told.send(Ok(()));
                carry(&stop, ends, weather);
            }
            Err(error) => drop(told.send(Err(error))),
        }
    });
    made.recv().map_err(std::io::Error::other)??;
    Ok(thread)
}

fn up(device: &str) -> std::io::Result<()> {
    let mut command = Command::new("ip");
    let done = command.args(["link", "set", device, "up"]).env("PATH", PATH).status()?;
    if done.success() { Ok(()) } else { Err(std::io::Error::other(format!("{device} cannot be set up"))) }
}

/// A frame on its way: when it is due, its number, and to which end.
type Underway = (Instant, u64, usize, Vec<u8>);

fn carry(stop: &AtomicBool, mut ends: Vec<TunTapInterface>, weather: Weather) {
    let mut dice = Seeded::new(7);
    let mut number = 0_u64;
    let mut queue: BinaryHeap<Reverse<Underway>> = BinaryHeap::new();
    let zero = smoltcp::time::Instant::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        for (from, end) in ends.iter_mut().enumerate() {
            while let Some((frame, _)) = end.receive(zero) {
                let frame = frame.consume(<[u8]>::to_vec);
                if dice.chance(u64::from(weather.loss_percent) * 10) {
                    continue;
                }
                let jitter = dice.below(u64::from(weather.jitter_ms) * 2_000 + 1);
                let delay_us = u64::from(weather.delay_ms.saturating_sub(weather.jitter_ms)) * 1_000 + jitter;
                number += 1;
                queue.push(Reverse((now + Duration::from_micros(delay_us), number, 1 - from, frame)));
            }
        }
        while queue.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            if let Some(Reverse((_, _, to, frame))) = queue.pop()
                && let Some(token) = ends[to].transmit(zero)
            {
                token.consume(frame.len(), |buffer| buffer.copy_from_slice(&frame));
            }
        }
        std::thread::sleep(LOOK);
    }
}
