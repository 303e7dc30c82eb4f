//! How a node comes to be, from what an earlier process wrote down, and how it takes another configuration.

use super::{Node, REPORT_INTERVAL};
use crate::alarms::Alarms;
use crate::auth::Authenticator;
use crate::b2bua::{Calls, PortAllocator};
use crate::config::Snapshot;
use crate::context::Context;
use crate::events::Events;
use crate::interface::OwnAddresses;
use crate::overload::Stage;
use crate::peers::{PeerName, Peers};
use crate::registrar::Registrar;
use crate::registration_client::Clients;
use crate::restore::{Restored, Saved};
use crate::reuse::Reuse;
use crate::rules::Border;
use crate::shield::Shield;
use crate::status::Totals;
use crate::survive::Survival;
use crate::timers::Timers;
use crate::wake::Wake;
use ringfort_base::event::Mode;
use ringfort_base::{Entropy, Event, Now};
use ringfort_sip::transaction::{self, Transactions};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a node is made with.
pub struct NodeSetup {
    /// Configuration.
    pub snapshot: Arc<Snapshot>,
    /// Own addresses.
    pub own: OwnAddresses,
    /// Randomness.
    pub entropy: Box<dyn Entropy>,
    /// What an earlier process wrote down.
    pub saved: Vec<Saved>,
    /// Version for events.
    pub version: String,
}

impl Node {
    /// A node that has taken over what an earlier process wrote down.
    pub fn new(now: Now, mut setup: NodeSetup) -> Node {
        let mut key = [0; 32];
        setup.entropy.fill(&mut key);
        let timers = transaction::Timers { t1: Duration::from_millis(setup.snapshot.sip.t1_ms.into()), ..Default::default() };
        let transactions = Transactions::new(timers, &mut *setup.entropy);
        let media = &setup.snapshot.media;
        let allocator = PortAllocator::new(media.port_first, media.port_last, media.shared_port());
        let mut cx = Context {
            now,
            snapshot: setup.snapshot,
            own: setup.own,
            entropy: setup.entropy,
            transactions,
            owners: HashMap::new(),
            timers: Timers::default(),
            outputs: VecDeque::new(),
            internal: VecDeque::new(),
            large: HashMap::new(),
            without_tcp: HashMap::new(),
            proved: HashMap::new(),
            reuse: Reuse::default(),
            transcoding: Default::default(),
            totals: Totals::default(),
            border: Border::default(),
            proofs: Vec::new(),
            overload: Stage::default(),
        };
        // Ids rise with civil time, so that those of an earlier process are not met again.
        let calls = Calls::new(allocator, now.wall.0 << 12);
        let events = Events::new(now.wall.0 << 12);
        let (survival, registrar) = (Survival::default(), Registrar::default());
        let shield = Shield::new(&mut cx, Vec::new());
        let mut node = Node {
            cx,
            auth: Authenticator::new(key),
            peers: Peers::default(),
            clients: Clients::default(),
            survival,
            registrar,
            calls,
            events,
            shield,
            alarms: Alarms::default(),
        };
        node.begin(setup.saved, setup.version);
        node
    }

    fn begin(&mut self, saved: Vec<Saved>, version: String) {
        let Restored { calls, bindings, farewells, mode, seal, known, registrations, subscriptions, broken } =
            Restored::sort(saved);
        self.shield = Shield::new(&mut self.cx, known);
        for key in broken {
            let reason = format!("entry `{key}` of an earlier process cannot be read");
            self.cx.event(Event::Impaired { part: "journal".into(), reason });
            self.cx.persist(key, None);
        }
        let snapshot = self.cx.snapshot.clone();
        self.peers.configure(&mut self.cx, &snapshot);
        self.shield.peers_at(&mut self.cx, self.peers.addresses().map(|(_, at)| at.ip()));
        self.clients.restore(registrations);
        self.clients.configure(&mut self.cx, &snapshot);
        if mode == Some(Mode::Survivable) {
            self.peers.assume_down(&PeerName::Cloud, self.cx.now.wall, "unreachable before the restart");
        }
        self.survival.follow(&mut self.cx, &self.peers);
        self.registrar.take_seal(&mut self.cx, seal);
        let bindings_restored = self.registrar.restore(&mut self.cx, bindings);
        for binding in self.registrar.table.iter() {
            self.shield.restore_device(&mut self.cx, binding.hop, &binding.user);
        }
        self.calls.resume_farewells(&mut self.cx, farewells);
        let (table, env) = self.parts();
        let mut env = env;
        let calls_restored = table.restore(&mut env, calls);
        for (flow, device) in self.calls.awaited() {
            self.registrar.expect_back(&mut self.cx, flow, device);
        }
        self.events.restore(&mut self.cx, subscriptions);
        self.on_events(Events::mode_changed);
        self.cx.event(Event::Started { version, calls_restored, bindings_restored });
        self.cx.timers.set(Wake::ReportMedia, self.cx.now.mono + REPORT_INTERVAL);
        self.settle();
    }

    pub(super) fn reload(&mut self, snapshot: Arc<Snapshot>) {
        self.cx.snapshot = snapshot.clone();
        self.peers.configure(&mut self.cx, &snapshot);
        self.shield.peers_at(&mut self.cx, self.peers.addresses().map(|(_, at)| at.ip()));
        self.clients.configure(&mut self.cx, &snapshot);
        self.registrar.reloaded(&mut self.cx);
        let media = &snapshot.media;
        self.calls.set_ports(media.port_first, media.port_last, media.shared_port());
        self.cx.event(Event::Reloaded { refused: None });
    }
}
