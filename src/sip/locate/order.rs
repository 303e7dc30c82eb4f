//! Which of several: NAPTR by order and preference (RFC 3403 4.1), SRV by priority and a draw by weight (RFC 2782).

use super::Data;
use ringfort_base::{Entropy, Transport, limits};
use std::collections::BTreeMap;

/// What follows a NAPTR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    /// An SRV name.
    Srv,
    /// A host name.
    Address,
}

/// A host that serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    priority: u16,
    weight: u16,
    pub port: u16,
    pub host: String,
}

impl Server {
    pub(super) fn only(host: &str, port: u16) -> Server {
        Server { priority: 0, weight: 0, port, host: host.to_string() }
    }
}

/// The NAPTRs that lead somewhere by a transport that the node may use, best first.
pub(super) fn services(records: &[Data], secure: bool, transports: &[Transport]) -> Vec<(Transport, Flag, String)> {
    let mut usable = Vec::new();
    for record in records.iter().take(limits::DNS_RECORDS_MAX) {
        let Data::Naptr { order, preference, flags, service, has_regexp: false, replacement } = record else { continue };
        let flag = match flags.as_str() {
            "s" | "S" => Flag::Srv,
            "a" | "A" => Flag::Address,
            _ => continue,
        };
        let transport = transport_of(service, secure).filter(|t| transports.contains(t));
        let name = replacement.trim_end_matches('.');
        if let Some(transport) = transport.filter(|_| !name.is_empty()) {
            usable.push(((*order, *preference), (transport, flag, name.to_string())));
        }
    }
    usable.sort_by_key(|(rank, _)| *rank);
    usable.into_iter().map(|(_, service)| service).collect()
}

/// What a service field names (RFC 3263 4.1). For `sips` only the secure services count.
fn transport_of(service: &str, secure: bool) -> Option<Transport> {
    match service.to_ascii_uppercase().as_str() {
        "SIPS+D2T" => Some(Transport::Tls),
        "SIP+D2U" if !secure => Some(Transport::Udp),
        "SIP+D2T" if !secure => Some(Transport::Tcp),
        // RFC 7118 5.4. The node opens no WebSocket, so its `Support` leaves them out.
        "SIPS+D2W" => Some(Transport::Wss),
        "SIP+D2W" if !secure => Some(Transport::Ws),
        _ => None,
    }
}

/// The servers that SRV records name. A single record with `.` says that there is none (RFC 2782).
pub(super) fn servers(records: &[Data]) -> Vec<Server> {
    let server = |record: &Data| match record {
        Data::Srv { priority, weight, port, target } if *port != 0 && !matches!(target.as_str(), "" | ".") => {
            let host = target.trim_end_matches('.').to_ascii_lowercase();
            Some(Server { priority: *priority, weight: *weight, port: *port, host })
        }
        _ => None,
    };
    records.iter().take(limits::DNS_RECORDS_MAX).filter_map(server).collect()
}

/// The servers by priority, those of one priority in the order of a weighted draw.
pub(super) fn tiers(servers: Vec<Server>, entropy: &mut dyn Entropy) -> Vec<Vec<Server>> {
    let mut tiers: BTreeMap<u16, Vec<Server>> = BTreeMap::new();
    for server in servers {
        tiers.entry(server.priority).or_default().push(server);
    }
    tiers.into_values().map(|tier| draw(tier, entropy)).collect()
}

/// RFC 2782, "weight": those of weight 0 come first in the running sum, so that they have a small chance.
fn draw(mut left: Vec<Server>, entropy: &mut dyn Entropy) -> Vec<Server> {
    left.sort_by_key(|server| server.weight != 0);
    let mut drawn = Vec::with_capacity(left.len());
    while left.len() > 1 {
        let sum: u64 = left.iter().map(|server| u64::from(server.weight)).sum();
        let mark = entropy.u64() % (sum + 1);
        let mut running = 0;
        let hit = left.iter().position(|server| {
            running += u64::from(server.weight);
            running >= mark
        });
        drawn.push(left.remove(hit.unwrap_or(0)));
    }
    drawn.extend(left);
    drawn
}
