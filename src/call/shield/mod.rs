//! The shield: sources that nobody knows are slowed, and banned when they go on; whoever proved himself is not.
//!
//! A ban is for what an *unknown* source does. A trunk, the cloud, a device that registered or called, and the source behind which it
//! sits are never banned: traffic of others from there is slowed, and the device is not. Requests of unknown sources are answered
//! without a transaction until they bear the right digest, so that a flood fills no table.

mod agents;
mod bans;
mod bucket;
mod judge;
mod kind;
mod known;
mod sources;

pub use bans::ShieldCommand;
pub use known::{KnownSource, Proof};

use crate::context::{Context, Output};
use crate::status::BanStatus;
use crate::wake::Wake;
use bans::Bans;
use bucket::Bucket;
use kind::Kind;
use known::Known;
use ringfort_base::{FlowId, Hop, SourceNet, Transport, limits};
use sources::Sources;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(crate) use judge::Request;

/// Who was not seen for days is looked for this often.
const EXPIRE_INTERVAL: Duration = Duration::from_secs(3_600);

/// Who sends a request, before anything is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The cloud or a trunk, a device at the address where it proved itself, or somebody inside a dialog.
    Known,
    /// A user at a source where he proved himself, from another port: a phone that began anew.
    Familiar,
    /// Anybody.
    Unknown,
}

/// Where a source knocks: a transport and the local address it arrived at.
type Listener = (Transport, Option<SocketAddr>);

/// The shield's state.
pub(crate) struct Shield {
    known: Known,
    sources: Sources,
    bans: Bans,
    /// Buckets of all unknown sources of one listener together.
    listeners: Vec<(Listener, [Bucket; Kind::COUNT])>,
    /// Wrong answers to challenges, by account.
    accounts: Vec<Bucket>,
    /// Sources of peers that the sockets have been told.
    peers: BTreeSet<SourceNet>,
}

impl Shield {
    /// A shield that knows whom an earlier process knew.
    pub fn new(cx: &mut Context, known: Vec<KnownSource>) -> Shield {
        let mut shield = Shield {
            known: Known::default(),
            sources: Sources::new(&mut *cx.entropy),
            bans: Bans::default(),
            listeners: Vec::new(),
            accounts: vec![Bucket::default(); limits::SHIELD_ACCOUNTS_MAX],
            peers: BTreeSet::new(),
        };
        known.into_iter().for_each(|known| shield.known.restore(known));
        for source in shield.known.sources() {
            cx.outputs.push_back(Output::Shield(ShieldCommand::Trust { source, flow: None }));
        }
        shield.turn(cx);
        shield
    }

    /// Where the peers are, as configured or found: the sockets keep room for them.
    pub fn peers_at(&mut self, cx: &mut Context, addresses: impl Iterator<Item = IpAddr>) {
        let now: BTreeSet<SourceNet> = addresses.map(SourceNet::of).collect();
        for source in now.difference(&self.peers) {
            cx.outputs.push_back(Output::Shield(ShieldCommand::Trust { source: *source, flow: None }));
        }
        let gone: Vec<SourceNet> = self.peers.difference(&now).copied().filter(|source| !self.known.harbours(*source)).collect();
        self.peers = now;
        for source in gone {
            cx.outputs.push_back(Output::Shield(ShieldCommand::Distrust { source }));
        }
    }

    /// Takes over who proved himself. A ban of his source ends: that is how a new phone gets in behind a banned address.
    pub fn learn(&mut self, cx: &mut Context) {
        for proof in std::mem::take(&mut cx.proofs) {
            let source = SourceNet::of(proof.hop.remote.ip());
            let new = !self.known.harbours(source);
            let learnt = self.known.learn(&proof, cx.now.wall);
            if new {
                self.sources.forget(source);
                self.bans.lift(cx, source, "proven");
            }
            if new || (learnt.device && proof.hop.flow.is_some()) {
                cx.outputs.push_back(Output::Shield(ShieldCommand::Trust { source, flow: proof.hop.flow }));
            }
            if let Some(gone) = learnt.gone {
                self.distrust(cx, gone);
            }
            if let Some(known) = learnt.write {
                cx.persist(KnownSource::key(source), crate::kept::write(&known));
            }
        }
    }

    /// A device whose binding stood before the restart.
    pub fn restore_device(&mut self, cx: &mut Context, hop: Hop, user: &str) {
        cx.prove(&hop, user);
        self.learn(cx);
    }

    /// The operator lifts a ban. False: there is none.
    pub fn unban(&mut self, cx: &mut Context, source: SourceNet) -> bool {
        self.sources.forget(source);
        let lifted = self.bans.lift(cx, source, "operator");
        self.arm(cx);
        lifted
    }

    /// A connection ended.
    pub fn flow_closed(&mut self, flow: FlowId) {
        self.known.flow_closed(flow);
    }

    /// Lifts bans that are over, and forgets who was not seen for days.
    pub fn turn(&mut self, cx: &mut Context) {
        self.bans.lift_due(cx);
        for gone in self.known.expire(cx.now.wall, cx.snapshot.shield.known_days) {
            self.distrust(cx, gone);
        }
        self.arm(cx);
    }

    fn arm(&self, cx: &mut Context) {
        let at = self.bans.next().min(cx.now.mono + EXPIRE_INTERVAL);
        cx.timers.set(Wake::ShieldTurn, at);
    }

    fn distrust(&self, cx: &mut Context, source: SourceNet) {
        cx.persist(KnownSource::key(source), None);
        if !self.peers.contains(&source) {
            cx.outputs.push_back(Output::Shield(ShieldCommand::Distrust { source }));
        }
    }

    /// For the page: the bans, the one that ends first before the others.
    pub fn status(&self) -> Vec<BanStatus> {
        self.bans.status()
    }
}
