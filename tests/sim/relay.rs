//! The relay at the level of control: which ports are open, what plan each has, when it latches, and what it counts.

use crate::checks::Checks;
use ringfort_base::entropy::Seeded;
use ringfort_base::{CallId, PortId, Time};
use ringfort_media::plan::{Component, Destination, FlowPlan, Latch, PortCounters, RelayCommand, RelayEvent};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

struct Port {
    /// The call whose worker has it.
    call: CallId,
    rtp: SocketAddr,
    /// Other legs may be there too.
    shared: bool,
    plan: Option<FlowPlan>,
    counters: PortCounters,
    latched: bool,
}

/// A port that is to be opened.
struct Entry {
    port: PortId,
    call: CallId,
    rtp: SocketAddr,
    shared: bool,
}

/// The relay. Its sockets die with the process, so a restarted node gets a new one.
pub struct Relay {
    dice: Seeded,
    /// Opens that fail, of 1000.
    pub fail_per_mille: u64,
    ports: BTreeMap<PortId, Port>,
    /// Ports whose sockets could not be bound, until they are closed.
    failed: BTreeSet<PortId>,
    closed: BTreeSet<PortId>,
}

impl Relay {
    /// A relay without ports.
    pub fn new(seed: u64, fail_per_mille: u64) -> Relay {
        let dice = Seeded::new(seed ^ 0x7265_6c61_7900);
        Relay { dice, fail_per_mille, ports: BTreeMap::new(), failed: BTreeSet::new(), closed: BTreeSet::new() }
    }

    /// Ports open now.
    pub fn open(&self) -> usize {
        self.ports.len()
    }

    /// Plan of the port whose RTP socket has this port number.
    pub fn plan(&self, number: u16) -> Option<&FlowPlan> {
        self.ports.values().find(|p| p.rtp.port() == number)?.plan.as_ref()
    }

    /// Executes a command; what the relay tells comes back with the time when it does.
    ///
    /// `talking` yields the peers that send audio; it is asked only for a report.
    pub fn execute(
        &mut self,
        now: Time,
        command: RelayCommand,
        talking: impl FnOnce() -> BTreeSet<IpAddr>,
        checks: &mut Checks,
    ) -> Vec<(Time, RelayEvent)> {
        match command {
            RelayCommand::Open { port, call, rtp, rtcp, shared } => {
                self.bind(now, Entry { port, call, rtp, shared }, rtcp, checks)
            }
            RelayCommand::Move { port, call } => {
                checks.ensure(self.knows(port), || format!("port {port} moves, which is not open"));
                if let Some(entry) = self.ports.get_mut(&port) {
                    entry.call = call;
                }
                Vec::new()
            }
            RelayCommand::Plan { port, plan } => self.install(now, port, *plan, checks),
            RelayCommand::Send { port, .. } => {
                checks.ensure(self.knows(port), || format!("datagram for port {port}, which is not open"));
                Vec::new()
            }
            RelayCommand::Digit { port, .. } | RelayCommand::AskForPicture { port } => {
                checks.ensure(self.knows(port), || format!("digit or picture for port {port}, which is not open"));
                Vec::new()
            }
            RelayCommand::Close { port } => self.close(now, port, checks),
            RelayCommand::Restore { port, .. } => {
                checks.ensure(self.knows(port), || format!("positions of port {port}, which is not open"));
                Vec::new()
            }
            RelayCommand::Report => self.report(now, &talking()),
        }
    }

    fn knows(&self, port: PortId) -> bool {
        self.ports.contains_key(&port) || self.failed.contains(&port)
    }

    fn bind(
        &mut self,
        now: Time,
        Entry { port, call, rtp, shared }: Entry,
        rtcp: Option<SocketAddr>,
        checks: &mut Checks,
    ) -> Vec<(Time, RelayEvent)> {
        let fresh = !self.knows(port) && !self.closed.contains(&port);
        checks.ensure(fresh, || format!("port {port} is opened twice"));
        let taken = self.ports.values().any(|p| p.rtp == rtp && !(p.shared && shared));
        checks.ensure(!taken, || format!("two ports at {rtp}"));
        let paired = rtp.port().is_multiple_of(2) && rtcp.is_none_or(|r| r.port() == rtp.port() + 1);
        checks.ensure(paired, || format!("RTP at {rtp}, RTCP at {rtcp:?}"));
        if self.dice.chance(self.fail_per_mille) {
            self.failed.insert(port);
            return vec![(now + Duration::from_millis(1), RelayEvent::OpenFailed { port, error: "address in use".into() })];
        }
        self.ports.insert(port, Port { call, rtp, shared, plan: None, counters: PortCounters::default(), latched: false });
        Vec::new()
    }

    fn install(&mut self, now: Time, port: PortId, plan: FlowPlan, checks: &mut Checks) -> Vec<(Time, RelayEvent)> {
        checks.ensure(self.knows(port), || format!("plan for port {port}, which is not open"));
        if let Destination::Port(other) = plan.destination {
            checks.ensure(self.knows(other) && other != port, || format!("plan of {port} leads to {other}, which is not open"));
        }
        let call_of = |port: PortId| self.ports.get(&port).map(|entry| entry.call);
        if let (Destination::Port(other), Some(call)) = (plan.destination, call_of(port)) {
            // Each call may be on a worker of its own.
            let apart = call_of(other).is_some_and(|other| other != call);
            checks.ensure(!apart, || format!("plan of {port} leads to {other}, which stands with another call"));
        }
        let Some(entry) = self.ports.get_mut(&port) else { return Vec::new() };
        let source = match plan.receive.latch {
            Latch::Symmetric { expected, .. } if !entry.latched => plan.transmit.rtp.or(expected),
            _ => None,
        };
        entry.plan = Some(plan);
        let Some(source) = source else { return Vec::new() };
        entry.latched = true;
        let at = now + Duration::from_millis(20 + self.dice.below(2_000));
        vec![(at, RelayEvent::Latched { port, component: Component::Rtp, source })]
    }

    fn close(&mut self, now: Time, port: PortId, checks: &mut Checks) -> Vec<(Time, RelayEvent)> {
        let known = self.knows(port);
        checks.ensure(known, || format!("port {port} is closed, but not open"));
        self.closed.insert(port);
        self.failed.remove(&port);
        let Some(entry) = self.ports.remove(&port) else { return Vec::new() };
        let at = now + Duration::from_micros(self.dice.below(20_000));
        vec![(at, RelayEvent::Counters { port, counters: Box::new(entry.counters), last: true })]
    }

    fn report(&mut self, now: Time, talking: &BTreeSet<IpAddr>) -> Vec<(Time, RelayEvent)> {
        let mut told = Vec::new();
        // The node is a peer of its own where a call led through the cloud and back. Audio comes from a port that is open.
        let own: BTreeSet<SocketAddr> = self.ports.values().map(|port| port.rtp).collect();
        let node = own.first().map(|address| address.ip());
        for (port, entry) in &mut self.ports {
            let source = entry.plan.as_ref().and_then(|plan| plan.transmit.rtp);
            let heard = |source: SocketAddr| match node == Some(source.ip()) {
                true => own.contains(&source),
                false => talking.contains(&source.ip()),
            };
            if source.is_some_and(heard) {
                entry.counters.rtp_in += 1 + self.dice.below(100);
            }
            told.push((now, RelayEvent::Counters { port: *port, counters: Box::new(entry.counters), last: false }));
        }
        told
    }
}
