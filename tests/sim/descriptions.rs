//! RFC 3264 5 and 8: within a dialog the node's description keeps its session id, and its version rises by one with each change, and
//! with nothing else.

use crate::wire::Wire;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What was described in one dialog.
struct Told {
    session: String,
    versions: BTreeMap<u64, String>,
}

/// Everything that the node described.
#[derive(Default)]
pub struct Descriptions(BTreeMap<(SocketAddr, String, String), Told>);

impl Descriptions {
    /// The node sends this; which rule it breaks.
    pub fn see(&mut self, wire: &Wire, to: SocketAddr) -> Option<String> {
        let origin = wire.body.lines().find_map(|line| line.strip_prefix("o="))?;
        let mut words = origin.split(' ').skip(1);
        let (session, version) = (words.next()?.to_string(), words.next()?.parse::<u64>().ok()?);
        let tag = if wire.status().is_some() { wire.to_tag() } else { wire.tag_of_from() };
        let key = (to, wire.get("Call-ID").to_string(), tag.to_string());
        let told = self.0.entry(key).or_insert_with(|| Told { session: session.clone(), versions: BTreeMap::new() });
        if told.session != session {
            return Some(format!("session id {session} after {}", told.session));
        }
        if let Some(before) = told.versions.get(&version) {
            return (*before != wire.body).then(|| format!("version {version} says two things:\n{before}\n{}", wire.body));
        }
        let last = told.versions.keys().next_back().copied();
        told.versions.insert(version, wire.body.clone());
        last.filter(|last| version != last + 1).map(|last| format!("version {version} after {last}"))
    }
}
