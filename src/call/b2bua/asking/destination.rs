//! A target made concrete: which hop the INVITE goes to, which URI it names, and how long its silence is borne.

use crate::b2bua::call::Failure;
use crate::b2bua::{Env, write};
use crate::config::{Extension, PeerProfile, PeerRef, Snapshot};
use crate::peers::PeerName;
use crate::registrar::Device;
use crate::route::Target;
use ringfort_base::{Hop, Transport};
use ringfort_media::Policy;
use ringfort_media::session::LegKind;
use ringfort_sip::uri::Uri;
use std::time::Duration;

/// A device that is one of several gets this long to say anything before the next one is tried.
const DEVICE_PATIENCE: Duration = Duration::from_secs(3);

/// Where the INVITE goes and how.
pub(crate) struct Destination {
    pub hop: Hop,
    pub uri: String,
    /// Domain of From and To.
    pub domain: String,
    pub kind: LegKind,
    /// Keys, codecs and digits of its offer.
    pub policy: Policy,
    pub habits: Habits,
    pub patience: Duration,
    pub by_target: bool,
    /// Route values of the INVITE.
    pub route: Vec<String>,
    /// The device, where it is one of an account.
    pub device: Option<Device>,
}

/// What the profile of who is called says of extensions and early media.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Habits {
    pub reliable: Extension,
    pub timer: Extension,
    /// Early media of it is not passed on.
    pub mute: bool,
}

impl Habits {
    fn of(profile: &PeerProfile) -> Habits {
        let (reliable, timer) = (profile.reliable_provisional, profile.session_timer);
        Habits { reliable, timer, mute: !profile.early_media }
    }

    /// Values of Supported and, where something is demanded, Require.
    pub fn named(self) -> (String, Option<String>) {
        let habit = |tag: &str| match tag {
            "100rel" => self.reliable,
            "timer" => self.timer,
            _ => Extension::Supported,
        };
        let tags = || crate::SUPPORTED.split(", ");
        let join = |wanted: Vec<&str>| wanted.join(", ");
        let required = join(tags().filter(|tag| habit(tag) == Extension::Required).collect());
        let supported = join(tags().filter(|tag| habit(tag) != Extension::Never).collect());
        (supported, Some(required).filter(|required| !required.is_empty()))
    }
}

/// The supervised peer behind a target.
pub(crate) fn peer_of(target: &Target) -> Option<PeerName> {
    match target {
        Target::Cloud { .. } => Some(PeerName::Cloud),
        Target::Trunk { name, .. } => Some(PeerName::Trunk(name.clone())),
        _ => None,
    }
}

/// Domains are those of the configuration that the call began with.
pub(crate) fn destination(env: &Env<'_>, snapshot: &Snapshot, target: &Target) -> Result<Destination, Failure> {
    match target {
        Target::Device { token, .. } => device(env, snapshot, token),
        Target::Cloud { number } => {
            let domain = snapshot.cloud_domain().to_string();
            peer(env, snapshot, &PeerName::Cloud, format!("sip:{}@{domain}", write::user(number)), domain)
        }
        Target::Trunk { name, number } => {
            let section = snapshot.trunk(name).ok_or(Failure::new(503, "Peer Not Configured"))?;
            let (host, port) = section.named();
            let uri = Uri::sip(Some(number), host, port).to_string();
            let domain = section.domain.as_ref().map_or_else(|| own_host(env, name), |domain| domain.to_string());
            let to = peer(env, snapshot, &PeerName::Trunk(name.clone()), uri, domain)?;
            Ok(Destination { by_target: !section.nat, ..to })
        }
        Target::Service(_) | Target::Extension(_) => Err(Failure::new(500, "Not A Destination")),
    }
}

/// The node's address as a trunk without domain reads it.
pub(crate) fn own_host(env: &Env<'_>, trunk: &str) -> String {
    let hop = env.peers.find(&PeerName::Trunk(trunk.to_string())).and_then(|peer| peer.hop());
    hop.map_or_else(|| env.cx.own.agent(), |hop| env.cx.own.at(&hop).host())
}

fn device(env: &Env<'_>, snapshot: &Snapshot, token: &str) -> Result<Destination, Failure> {
    let binding = env.bindings.by_token(token).ok_or(Failure::new(480, "Not Registered"))?;
    if !binding.is_reachable() {
        return Err(Failure::new(480, "Device Not Connected"));
    }
    let profile = snapshot.profile_of(PeerRef::Device(&binding.user_agent));
    let browser = matches!(binding.hop.transport, Transport::Ws | Transport::Wss);
    Ok(Destination {
        hop: binding.hop,
        uri: binding.contact.clone(),
        domain: snapshot.node.domain.clone(),
        kind: if browser { LegKind::Webrtc } else { LegKind::Rtp },
        policy: snapshot.policy_of(profile),
        habits: Habits::of(profile),
        patience: DEVICE_PATIENCE,
        by_target: false,
        route: binding.path.clone(),
        device: Some(binding.device()),
    })
}

fn peer(env: &Env<'_>, snapshot: &Snapshot, name: &PeerName, uri: String, domain: String) -> Result<Destination, Failure> {
    let peer = env.peers.find(name).ok_or(Failure::new(503, "Peer Not Configured"))?;
    let hop = peer.hop().ok_or(Failure::new(503, "Peer Address Unknown"))?;
    let profile = snapshot.profile_of(name);
    Ok(Destination {
        hop,
        uri,
        domain,
        kind: LegKind::Rtp,
        policy: snapshot.policy_of(profile),
        habits: Habits::of(profile),
        patience: peer.patience(),
        by_target: true,
        route: peer.way().routes(),
        device: None,
    })
}
