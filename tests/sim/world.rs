//! A whole node, its peers, the network between them and the clock, all in one value and driven by one seed.

use crate::actor::Actor;
use crate::checks::{Checks, Inside};
use crate::cloud::Cloud;
use crate::network::{Datagram, Faults, Network};
use crate::relay::Relay;
use crate::ua::Ua;
use crate::wire::Wire;
use bytes::Bytes;
use ringfort_base::entropy::Seeded;
use ringfort_base::{CallId, FlowId, Hop, Now, Time, Transport, Wall};
use ringfort_call::config::Snapshot;
use ringfort_call::{Input, Node, NodeSetup, Output, OwnAddresses, Saved};
use ringfort_media::plan::RelayEvent;
use ringfort_sip::locate::{Answer, Data, Kind, Question};
use ringfort_sip::message::Message;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The node's SIP address.
pub const NODE: &str = "192.0.2.10:5060";
/// Wall clock at the beginning, milliseconds.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// More outputs than that for one input are a flood.
const OUTPUTS_MAX: usize = 50_000;

/// What is on its way.
enum Happening {
    Datagram(Datagram),
    Relay(u32, RelayEvent),
    Resolved(Question),
    SendFailed(u32, Hop),
}

/// The world.
pub struct World {
    /// Now.
    pub now: Time,
    /// The node.
    pub node: Node,
    /// Checkers and trace.
    pub checks: Checks,
    /// The network.
    pub network: Network,
    /// The relay.
    pub relay: Relay,
    /// Phones and trunks.
    pub actors: Vec<Actor>,
    /// The cloud.
    pub cloud: Option<Cloud>,
    /// What the node wrote down.
    pub journal: BTreeMap<String, Vec<u8>>,
    /// How often the node was started.
    pub generation: u32,
    /// What scripted peers received.
    pub mail: BTreeMap<SocketAddr, VecDeque<Wire>>,
    /// Scripted peers that send no audio.
    pub silenced: BTreeSet<SocketAddr>,
    seed: u64,
    snapshot: Arc<Snapshot>,
    queue: BTreeMap<(Time, u64), Happening>,
    serial: u64,
    restarted: Time,
    /// Connections by the peer's address: the flow, and when the last message arrives each way.
    flows: BTreeMap<SocketAddr, (FlowId, [Time; 2])>,
    next_flow: u64,
}

/// A configuration from its text; every account has its own user name twice as the password.
pub fn configuration(text: &str) -> Arc<Snapshot> {
    Snapshot::load("sim.toml", text, &mut |user| Some(zeroize::Zeroizing::new(password(user))))
        .expect("the simulation's configuration")
}

/// The password of a user.
pub fn password(user: &str) -> String {
    format!("{user}{user}")
}

fn own() -> OwnAddresses {
    let address: SocketAddr = NODE.parse().expect("constant");
    OwnAddresses::plain(vec![(Transport::Udp, address), (Transport::Tcp, address)], address.ip())
}

fn civil(now: Time) -> Now {
    Now { mono: now, wall: Wall(EPOCH_MS + now.as_micros() / 1000) }
}

impl World {
    /// A world with a node and nobody else.
    pub fn new(seed: u64, config: &str, faults: Faults) -> World {
        let snapshot = configuration(config);
        let node = start(seed, 0, Time::ZERO, &snapshot, &BTreeMap::new());
        let mut world = World {
            now: Time::ZERO,
            node,
            checks: Checks::new(),
            network: Network::new(seed, faults),
            relay: Relay::new(seed, 0),
            actors: Vec::new(),
            cloud: None,
            journal: BTreeMap::new(),
            generation: 0,
            mail: BTreeMap::new(),
            silenced: BTreeSet::new(),
            seed,
            snapshot,
            queue: BTreeMap::new(),
            serial: 0,
            restarted: Time::ZERO,
            flows: BTreeMap::new(),
            next_flow: 0,
        };
        world.perform();
        world
    }

    /// Dies as by `kill -9` and starts again from what was written down.
    pub fn restart(&mut self) {
        self.generation += 1;
        self.restarted = self.now;
        self.checks.trace(|| "the node is killed and started".into());
        let written = |key: &String| key.strip_prefix("call/").and_then(|id| u64::from_str_radix(id, 16).ok()).map(CallId);
        self.checks.restarted(&self.journal.keys().filter_map(written).collect::<BTreeSet<_>>());
        self.relay = Relay::new(self.seed + u64::from(self.generation), self.relay.fail_per_mille);
        self.node = start(self.seed, self.generation, self.now, &self.snapshot, &self.journal);
        self.perform();
        for address in self.flows.keys().copied().collect::<Vec<_>>() {
            self.connect(address);
        }
    }

    /// The connection of a peer breaks, and the node is told; the peer opens another.
    pub fn break_flow(&mut self, index: usize) {
        let address = self.actors[index].ua.address;
        let Some((flow, _)) = self.flows.get(&address).copied() else { return };
        self.checks.trace(|| format!("{address} loses its connection {flow}"));
        self.connect(address);
        self.input(Input::FlowClosed(flow));
    }

    /// A peer opens a connection; on what came before it nothing arrives any more.
    fn connect(&mut self, address: SocketAddr) {
        self.next_flow += 1;
        self.flows.insert(address, (FlowId(self.next_flow), [self.now; 2]));
        let now = self.now;
        if let Some(actor) = self.actors.iter_mut().find(|a| a.ua.address == address) {
            actor.reconnected(now);
        }
    }

    /// Takes another configuration.
    pub fn reload(&mut self, config: &str) {
        self.snapshot = configuration(config);
        self.input(Input::Reload(self.snapshot.clone()));
    }

    /// Adds a phone or trunk; nothing of its inside may reach others.
    pub fn join(&mut self, actor: Actor) -> usize {
        self.hide(&actor.ua);
        if actor.ua.tcp {
            self.next_flow += 1;
            self.flows.insert(actor.ua.address, (FlowId(self.next_flow), [self.now; 2]));
        }
        self.actors.push(actor);
        self.actors.len() - 1
    }

    /// Adds the cloud.
    pub fn join_cloud(&mut self, cloud: Cloud) {
        self.hide(&cloud.actor.ua);
        self.cloud = Some(cloud);
    }

    fn hide(&mut self, ua: &Ua) {
        let words = vec![ua.address.ip().to_string(), ua.word.to_string()];
        self.checks.hide(Inside { owner: ua.address, user: ua.user.clone(), words });
    }

    /// Hands the node one input.
    pub fn input(&mut self, input: Input) {
        self.node.handle(civil(self.now), input);
        self.perform();
    }

    /// Runs until `until`, or until something is wrong.
    pub fn run_until(&mut self, until: Time) {
        while self.next() <= until && !self.checks.failed() {
            self.step();
        }
        self.now = self.now.max(until);
        self.checks.at(self.now);
    }

    /// Runs for so long.
    pub fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// When something happens next.
    pub fn next(&self) -> Time {
        let queued = self.queue.keys().next().map_or(Time::NEVER, |(at, _)| *at);
        let cloud = self.cloud.as_ref().filter(|c| !c.dead).map_or(Time::NEVER, |c| c.actor.ua.next());
        let actors = self.actors.iter().map(|a| a.ua.next()).min().unwrap_or(Time::NEVER);
        queued.min(cloud).min(actors).min(self.node.next_timeout())
    }

    /// Lets everything happen that is due at the next moment.
    pub fn step(&mut self) {
        self.now = self.now.max(self.next());
        self.checks.at(self.now);
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= self.now) {
            let happening = entry.remove();
            self.happen(happening);
        }
        self.node_timers();
        for index in 0..self.actors.len() {
            self.actors[index].ua.fire(self.now);
            self.collect(index);
        }
        self.collect_cloud(|cloud, now| cloud.fire(now));
    }

    fn node_timers(&mut self) {
        let mut turns = 0;
        while self.node.next_timeout() <= self.now {
            self.node.handle_timeout(civil(self.now));
            self.perform();
            turns += 1;
            if turns > 1_000 {
                return self.checks.ensure(false, || "a timer of the node fires for ever at one moment".into());
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Datagram(datagram) => self.deliver(datagram),
            Happening::Relay(generation, event) if generation == self.generation => self.input(Input::Relay(event)),
            Happening::SendFailed(generation, hop) if generation == self.generation => self.input(Input::SendFailed(hop)),
            Happening::Relay(..) | Happening::SendFailed(..) => {}
            Happening::Resolved(question) => {
                let answer = names(&question);
                self.input(Input::Resolved { question, answer });
            }
        }
    }

    fn deliver(&mut self, datagram: Datagram) {
        let peer = if datagram.to.to_string() == NODE { datagram.from } else { datagram.to };
        if datagram.flow != self.flows.get(&peer).map(|(flow, _)| *flow) {
            return;
        }
        if datagram.to.to_string() == NODE {
            return self.deliver_to_node(datagram);
        }
        if let Some(mail) = self.mail.get_mut(&datagram.to) {
            return mail.push_back(Wire::read(&datagram.octets));
        }
        if let Some(index) = self.actors.iter().position(|a| a.ua.address == datagram.to) {
            self.actors[index].ua.receive(self.now, Wire::read(&datagram.octets));
            return self.collect(index);
        }
        let wire = Wire::read(&datagram.octets);
        self.collect_cloud(|cloud, now| {
            if cloud.actor.ua.address == datagram.to {
                cloud.receive(now, wire);
            }
        });
    }

    fn deliver_to_node(&mut self, datagram: Datagram) {
        let local = Some(datagram.to);
        let transport = if datagram.flow.is_some() { Transport::Tcp } else { Transport::Udp };
        let hop = Hop { transport, remote: datagram.from, local, flow: datagram.flow };
        let octets = Bytes::from(datagram.octets);
        self.input(match Message::parse(octets.clone()) {
            Ok(message) => Input::Message { hop, message },
            Err(error) => Input::Unparsed { hop, octets, error },
        });
    }

    /// Acts for an actor and sends what it wants sent.
    pub fn collect(&mut self, index: usize) {
        let excused = self.just_restarted();
        let actor = &mut self.actors[index];
        for wire in actor.act(self.now) {
            let reply = wire.reply(405, "nobody").with("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS");
            actor.ua.answer_request(self.now, &wire, reply);
        }
        let (from, word) = (actor.ua.address, actor.ua.word);
        for complaint in std::mem::take(&mut actor.ua.complaints) {
            self.checks.ensure(excused, || format!("{word} complains: {complaint}"));
        }
        for octets in std::mem::take(&mut self.actors[index].ua.outbox) {
            self.send(from, octets);
        }
    }

    fn collect_cloud(&mut self, act: impl FnOnce(&mut Cloud, Time)) {
        let Some(mut cloud) = self.cloud.take() else { return };
        let excused = self.just_restarted();
        if !cloud.dead {
            act(&mut cloud, self.now);
            for complaint in std::mem::take(&mut cloud.actor.ua.complaints) {
                self.checks.ensure(excused, || format!("the cloud complains: {complaint}"));
            }
            for octets in std::mem::take(&mut cloud.actor.ua.outbox) {
                self.send(cloud.actor.ua.address, octets);
            }
        }
        self.cloud = Some(cloud);
    }

    /// A process that died forgot its transactions: what it answered before, it may answer otherwise now.
    fn just_restarted(&self) -> bool {
        self.generation > 0 && self.now.since(self.restarted) < Duration::from_secs(64)
    }

    /// A peer sends to the node.
    pub fn send(&mut self, from: SocketAddr, octets: Vec<u8>) {
        let to = NODE.parse().expect("constant");
        let flow = self.flows.get(&from).map(|(flow, _)| *flow);
        self.transmit(Datagram { from, to, flow, octets });
    }

    /// The node sends: by UDP, by the connection that it names, or by any to that peer.
    fn send_from_node(&mut self, hop: Hop, octets: Bytes) {
        let own: SocketAddr = NODE.parse().expect("constant");
        let flow = self.flows.get(&hop.remote).map(|(flow, _)| *flow);
        let datagram = Datagram { from: own, to: hop.remote, flow, octets: octets.to_vec() };
        self.checks.sent(&datagram, own);
        let reachable = match hop.transport {
            Transport::Udp => flow.is_none(),
            _ => flow.is_some() && hop.flow.is_none_or(|named| Some(named) == flow),
        };
        if reachable {
            return self.transmit(datagram);
        }
        self.checks.trace(|| format!("nothing can be sent by {hop:?}"));
        self.schedule(self.now + Duration::from_micros(10), Happening::SendFailed(self.generation, hop));
    }

    fn transmit(&mut self, datagram: Datagram) {
        let arrivals = self.arrivals(&datagram);
        self.checks.trace(|| {
            let text = String::from_utf8_lossy(&datagram.octets);
            let line = |name: &str| text.lines().find(|l| l.starts_with(name)).unwrap_or_default().to_string();
            let sum = datagram.octets.iter().fold(0u64, |sum, b| sum.wrapping_mul(131).wrapping_add(u64::from(*b)));
            let (start, cseq) = (text.lines().next().unwrap_or_default(), line("CSeq"));
            format!("{} > {} x{} {start} | {cseq} | {} | {sum:x}", datagram.from, datagram.to, arrivals.len(), line("Call-ID"))
        });
        for at in arrivals {
            self.schedule(at, Happening::Datagram(datagram.clone()));
        }
    }

    fn arrivals(&mut self, datagram: &Datagram) -> Vec<Time> {
        let inward = datagram.to.to_string() == NODE;
        let peer = if inward { datagram.from } else { datagram.to };
        match self.flows.get_mut(&peer) {
            Some((_, last)) => vec![self.network.arrival_in_order(self.now, &mut last[usize::from(inward)])],
            None if self.network.cut.contains(&peer) => Vec::new(),
            None => self.network.arrivals(self.now),
        }
    }

    fn schedule(&mut self, at: Time, happening: Happening) {
        self.serial += 1;
        self.queue.insert((at, self.serial), happening);
    }

    /// Performs what the node wants done, in order.
    fn perform(&mut self) {
        let mut count = 0;
        while let Some(output) = self.node.poll_output() {
            count += 1;
            match output {
                Output::Send { hop, octets } => self.send_from_node(hop, octets),
                Output::Relay(command) => {
                    let generation = self.generation;
                    let talking = || talking(&self.actors, self.cloud.as_ref(), &self.mail, &self.silenced);
                    for (at, event) in self.relay.execute(self.now, command, talking, &mut self.checks) {
                        self.schedule(at, Happening::Relay(generation, event));
                    }
                }
                Output::Persist { key, value } => self.write(key, value),
                Output::Event(event) => self.checks.event(&event),
                Output::Shield(_) => {}
                Output::Resolve { question } => self.schedule(self.now + Duration::from_millis(5), Happening::Resolved(question)),
                Output::CertificateName { .. } => {}
            }
        }
        self.checks.ensure(count <= OUTPUTS_MAX, || format!("{count} outputs for one input"));
    }

    fn write(&mut self, key: String, value: Option<Vec<u8>>) {
        self.checks.trace(|| format!("journal {key} {:?}", value.as_ref().map(Vec::len)));
        match value {
            Some(value) => drop(self.journal.insert(key, value)),
            None => drop(self.journal.remove(&key)),
        }
    }

    /// Everybody hung up long ago: nothing may be left.
    pub fn ensure_empty(&mut self) {
        let residue = self.node.residue();
        self.checks.ensure(residue == [0, 0, 0], || {
            format!("left over: [calls, ports, transactions] = {residue:?}: {:?}", self.node.status().calls)
        });
        let watchers = self.node.watchers();
        self.checks.ensure(watchers == [0, 0], || format!("left over: [subscriptions, requests] = {watchers:?}"));
        let open = self.relay.open();
        self.checks.ensure(open == 0, || format!("{open} ports of the relay are still open"));
        let unrecorded = self.checks.unrecorded();
        self.checks.ensure(unrecorded == 0, || format!("{unrecorded} calls have no record"));
        let kept: Vec<String> = self
            .journal
            .keys()
            .filter(|k| ["call/", "subscription/", "bye/"].iter().any(|kind| k.starts_with(kind)))
            .cloned()
            .collect();
        self.checks.ensure(kept.is_empty(), || format!("journal still holds {kept:?}"));
    }

    /// What is written down is alive: calls that are connected, bindings that are registered, and the mode.
    pub fn ensure_journal(&mut self) {
        let status = self.node.status();
        let live: BTreeSet<String> = status.calls.iter().map(|c| format!("call/{:x}", c.call.0)).collect();
        let stale: Vec<&String> = self.journal.keys().filter(|k| k.starts_with("call/") && !live.contains(*k)).collect();
        self.checks.ensure(stale.is_empty(), || format!("journal holds ended calls {stale:?}"));
        // A call is written down in the same turn as its 2xx goes out.
        let talks = |state: &str| matches!(state, "connected" | "held");
        let lost: Vec<String> = status.calls.iter().filter(|c| talks(&c.state)).map(|c| format!("call/{:x}", c.call.0)).collect();
        let lost: Vec<&String> = lost.iter().filter(|key| !self.journal.contains_key(*key)).collect();
        self.checks.ensure(lost.is_empty(), || format!("journal lacks calls {lost:?}"));
        let bindings = self.journal.keys().filter(|k| k.starts_with("binding/")).count();
        let registered = status.registrations.len();
        self.checks.ensure(bindings == registered, || format!("journal holds {bindings} bindings of {registered}"));
        let subscriptions = self.journal.keys().filter(|k| k.starts_with("subscription/")).count();
        let watched = self.node.watchers()[0];
        self.checks.ensure(subscriptions <= watched, || format!("journal holds {subscriptions} subscriptions of {watched}"));
        let strange = self.journal.keys().find(|k| {
            !["call/", "binding/", "known/", "bye/", "subscription/", "trunk/"].iter().any(|kind| k.starts_with(kind))
                && !["mode", "gruu-seal"].contains(&k.as_str())
        });
        self.checks.ensure(strange.is_none(), || format!("journal key {strange:?}"));
    }
}

/// Who sends audio: peers with a call, and the node itself where a call goes through it twice.
fn talking(
    actors: &[Actor],
    cloud: Option<&Cloud>,
    mail: &BTreeMap<SocketAddr, VecDeque<Wire>>,
    silenced: &BTreeSet<SocketAddr>,
) -> BTreeSet<IpAddr> {
    let clouds = cloud.filter(|cloud| !cloud.dead).map(|cloud| &cloud.actor);
    let busy = actors.iter().chain(clouds).filter(|actor| actor.ua.alive().next().is_some()).map(|actor| actor.ua.address);
    let scripted = mail.keys().filter(|address| !silenced.contains(*address)).copied();
    busy.chain(scripted).chain(NODE.parse()).map(|address| address.ip()).collect()
}

/// What the DNS says: one carrier has a name with two servers.
fn names(question: &Question) -> Answer {
    let server = |priority, target: &str| Data::Srv { priority, weight: 1, port: 5060, target: target.into() };
    let address = |last: u8| vec![Data::Address(IpAddr::from([10, 2, 0, last]))];
    let records = match (question.name.as_str(), question.kind) {
        ("_sip._udp.twin.test", Kind::Srv) => vec![server(1, "one.twin.test"), server(2, "two.twin.test")],
        ("one.twin.test", Kind::A) => address(103),
        ("two.twin.test", Kind::A) => address(104),
        _ => return Answer::Absent { ttl_s: 60 },
    };
    Answer::Found { records, ttl_s: 60 }
}

fn start(seed: u64, generation: u32, now: Time, snapshot: &Arc<Snapshot>, journal: &BTreeMap<String, Vec<u8>>) -> Node {
    let saved = journal.iter().map(|(key, value)| Saved { key: key.clone(), value: value.clone() });
    let entropy = Box::new(Seeded::new(seed.wrapping_mul(1_000_003) + u64::from(generation)));
    let setup = NodeSetup { snapshot: snapshot.clone(), own: own(), entropy, saved: saved.collect(), version: "sim".into() };
    Node::new(civil(now), setup)
}
