//! How a frame leaves towards a peer: by which interface, and to whose Ethernet address. Asked of the kernel, which alone decides and finds
//! out, and kept for a moment.

use crate::routes::{Routes, Way};
use ringfort_base::Time;
use ringfort_base::limits::MEDIA_PORTS_MAX;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

/// So long the kernel is not asked again about a peer.
const KEPT: Duration = Duration::from_secs(1);
/// And so long where it knew no way, as it is just finding one.
const UNKNOWN: Duration = Duration::from_millis(50);

/// The next hop of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) interface: u32,
    pub(crate) mac: [u8; 6],
}

/// What is kept.
struct Known {
    until: Time,
    hop: Option<Hop>,
}

/// A worker's memory of ways.
pub(crate) struct Ways {
    routes: Routes,
    known: HashMap<(IpAddr, IpAddr), Known>,
}

impl Ways {
    pub(crate) fn new() -> io::Result<Ways> {
        Ok(Ways { routes: Routes::quiet()?, known: HashMap::new() })
    }

    /// The way from `source` to `to`. `None`: the kernel is to send the packet itself. So it does also now and then where it has not heard
    /// of the neighbour lately: that has it look whether the neighbour is still there.
    pub(crate) fn find(&mut self, now: Time, source: IpAddr, to: IpAddr) -> Option<Hop> {
        if let Some(known) = self.known.get(&(source, to)).filter(|known| now < known.until) {
            return known.hop;
        }
        let (hop, is_fresh) = self.ask(source, to);
        if self.known.len() >= MEDIA_PORTS_MAX {
            self.known.clear();
        }
        let until = now + if hop.is_some() { KEPT } else { UNKNOWN };
        self.known.insert((source, to), Known { until, hop });
        hop.filter(|_| is_fresh)
    }

    fn ask(&self, source: IpAddr, to: IpAddr) -> (Option<Hop>, bool) {
        let Ok(Way::Out { interface, hop }) = self.routes.way(source, to) else { return (None, false) };
        match self.routes.neighbour(interface, hop) {
            Ok(Some(neighbour)) => (Some(Hop { interface, mac: neighbour.mac }), neighbour.is_fresh),
            Ok(None) | Err(_) => (None, false),
        }
    }
}
