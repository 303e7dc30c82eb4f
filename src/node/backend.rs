//! What the web needs of the node.

use crate::configuration::{Source, needs_restart};
use crate::core::CoreHandle;
use crate::entropy::SystemEntropy;
use crate::timeline;
use arc_swap::ArcSwap;
use ringfort_base::{CallId, Event, SourceNet};
use ringfort_call::Input;
use ringfort_call::admission::TRANSCODED;
use ringfort_call::config::Snapshot;
use ringfort_call::status::{CallStatus, PeerStatus, Status};
use ringfort_observe::metrics::{Carrier, Gauges, Metrics, PeerGauge};
use ringfort_observe::{Observers, Timelines};
use ringfort_relay::Relay;
use ringfort_sip::digest::Ha1;
use ringfort_web::model::TimelineView;
use ringfort_web::{Backend, PhoneAccount};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The node as the web sees it, and whoever sends SIGHUP.
pub struct NodeBackend {
    /// The core.
    pub core: CoreHandle,
    /// The page's snapshot, published by the core.
    pub status: Arc<ArcSwap<Status>>,
    /// The configuration that the process began with: sockets, addresses and certificates are still its.
    pub first: Arc<Snapshot>,
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Where it comes from.
    pub source: Source,
    /// Certificates.
    pub tls: crate::tls::Tls,
    /// The packet path.
    pub relay: Arc<Relay>,
    /// Metrics.
    pub metrics: Metrics,
    /// What happened in each call.
    pub timelines: Timelines,
    /// Events.
    pub observers: Observers,
    /// When the process started.
    pub started: Instant,
}

impl Backend for NodeBackend {
    fn status(&self) -> Arc<Status> {
        self.status.load_full()
    }

    fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn version(&self) -> String {
        env!("CARGO_PKG_VERSION").into()
    }

    fn phone_account(&self, user: &str) -> Option<PhoneAccount> {
        let snapshot = self.snapshot.load();
        let account = snapshot.accounts.get(user)?;
        let realm = snapshot.node.domain.clone();
        Some(PhoneAccount {
            uri: format!("sip:{user}@{realm}"),
            realm,
            username: user.into(),
            display_name: account.display_name.clone(),
            ha1_md5: account.ha1.md5_hex(),
            ws_path: crate::serve::SIP_PATH.into(),
            conference: snapshot.services.conference.clone(),
        })
    }

    fn verify_user_password(&self, user: &str, password: &str) -> bool {
        let snapshot = self.snapshot.load();
        let given = Ha1::new(user, &snapshot.node.domain, password);
        snapshot.accounts.get(user).is_some_and(|account| account.ha1.same_password(&given))
    }

    fn timeline(&self, call: CallId, anonymous: bool) -> Option<TimelineView> {
        self.timelines.of_call(call).map(|line| timeline::view(call, &line, anonymous))
    }

    fn hang_up(&self, call: CallId) -> bool {
        let known = self.status.load().calls.iter().any(|row| row.call == call);
        known && self.core.offer(Input::HangUp(call))
    }

    fn unban(&self, source: SourceNet) -> bool {
        let known = self.status.load().bans.iter().any(|ban| *ban.source.reveal() == source);
        known && self.core.offer(Input::Unban(source))
    }

    fn reload(&self) -> Result<(), String> {
        match self.source.load(&mut SystemEntropy::new()) {
            Ok(loaded) => {
                if let Err(error) = self.tls.reload(&loaded.snapshot) {
                    let reason = format!("certificates stay as they were: {error}");
                    self.observers.publish(crate::clock::wall(), Event::Impaired { part: "tls".into(), reason });
                }
                // Before the calls that name them.
                self.relay.set_sounds(&loaded.sounds);
                if !self.core.offer(Input::Reload(loaded.snapshot.clone())) {
                    return Err("the core is too busy; try again".into());
                }
                let waiting = needs_restart(&self.first, &loaded.snapshot);
                if !waiting.is_empty() {
                    let reason = format!("{} will be followed at the next start, all else is followed now", waiting.join(", "));
                    self.observers.publish(crate::clock::wall(), Event::Impaired { part: "configuration".into(), reason });
                }
                self.snapshot.store(loaded.snapshot);
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                self.observers.publish(crate::clock::wall(), Event::Reloaded { refused: Some(reason.clone()) });
                Err(reason)
            }
        }
    }

    fn metrics(&self) -> String {
        let status = self.status.load();
        let peers = status.cloud.iter().chain(&status.trunks).map(gauge).collect();
        self.metrics.render(&Gauges {
            version: self.version(),
            uptime_s: self.uptime_s(),
            mode: status.mode,
            calls: status.calls.len(),
            transcoded: status.limits.iter().find(|row| row.holder == TRANSCODED).map_or(0, |row| row.calls),
            registrations: status.registrations.len(),
            subscriptions: status.subscriptions,
            peers,
            flows: flows(&status.calls),
            media_strangers: self.relay.strangers(),
            media_lost: self.relay.handed_lost(),
            messages_in: status.totals.messages_in,
            messages_out: status.totals.messages_out,
            dropped_unknown: status.totals.dropped_unknown,
            banned: status.bans.len(),
            alarms: status.alarms.iter().map(|alarm| alarm.name.clone()).collect(),
            events_dropped: self.observers.dropped(),
        })
    }
}

/// Directions of audio by what carries them, and why nothing faster does.
fn flows(calls: &[CallStatus]) -> BTreeMap<Carrier, usize> {
    let mut flows = BTreeMap::new();
    for (call, leg) in calls.iter().flat_map(|call| [(call, 0), (call, 1)]) {
        let [tier, program, reason] = [&call.tier, &call.tier_program, &call.tier_cause].map(|both| both[leg].clone());
        if !tier.is_empty() {
            *flows.entry(Carrier { tier, program, reason }).or_default() += 1;
        }
    }
    flows
}

fn gauge(peer: &PeerStatus) -> PeerGauge {
    PeerGauge { name: peer.name.clone(), up: peer.up, round_trip_ms: peer.round_trip_ms }
}
