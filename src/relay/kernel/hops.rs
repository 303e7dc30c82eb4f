//! Neighbours to which the kernel forwards frames before it makes more of them (XDP, bpf/frames.bpf.c): that program has no ARP, so it is
//! told Ethernet addresses here. Where it is told none, or has trusted one for a second, the program behind it forwards the packet by the kernel's
//! own table of neighbours; so that table stays alive, and this one follows it.

use super::layout::{HOP, Hop, HopPlace};
use crate::routes::{Heard, Link, Neighbour, Routes};
use aya::maps::{Array, MapData};
use ringfort_media::tier::Obstacle;
use std::collections::HashMap;
use std::net::IpAddr;
use xdp::nic::{NicIndex, XdpAct};

/// As bpf/frames.bpf.c has it. The first place means none.
const PLACES: u32 = 4_096;

/// One that flows go to.
struct Entry {
    at: HopPlace,
    flows: usize,
    /// Or why the program was told none.
    told: Result<Hop, Obstacle>,
}

/// The table, and who is where in it.
pub(crate) struct Hops {
    table: Array<MapData, [u8; HOP]>,
    known: HashMap<(u32, IpAddr), Entry>,
    free: Vec<u32>,
    fresh: u32,
    /// The next number that nobody had.
    number: u32,
    /// Whether interfaces send frames that were only forwarded.
    takes: HashMap<u32, bool>,
}

impl Hops {
    pub(crate) fn new(table: Array<MapData, [u8; HOP]>) -> Hops {
        Hops { table, known: HashMap::new(), free: Vec::new(), fresh: 1, number: 1, takes: HashMap::new() }
    }

    /// Where the program finds the neighbour `hop` of an interface; in the first place, where there is no other one, it finds nothing. One
    /// flow more goes there.
    pub(crate) fn enter(&mut self, interface: u32, hop: IpAddr, routes: &Routes) -> HopPlace {
        if let Some(entry) = self.known.get_mut(&(interface, hop)) {
            entry.flows += 1;
            return entry.at;
        }
        let place = self.free.pop().or_else(|| (self.fresh < PLACES).then_some(self.fresh)).unwrap_or(0);
        self.fresh = self.fresh.max(place + 1);
        let at = HopPlace { place, number: self.number };
        // After four thousand million neighbours they begin anew; 0 is nobody's.
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.known.insert(
            (interface, hop),
            Entry { at, flows: 1, told: Err(if place == 0 { Obstacle::Full } else { Obstacle::NoNeighbour }) },
        );
        self.look(interface, hop, routes);
        at
    }

    /// A flow less goes there.
    pub(crate) fn leave(&mut self, interface: u32, hop: IpAddr) {
        let Some(entry) = self.known.get_mut(&(interface, hop)) else { return };
        entry.flows -= 1;
        if entry.flows == 0 {
            self.tell(interface, hop, Err(Obstacle::NoNeighbour));
            let gone = self.known.remove(&(interface, hop)).filter(|entry| entry.at.place != 0);
            self.free.extend(gone.map(|entry| entry.at.place));
        }
    }

    /// The kernel learnt something of a neighbour.
    pub(crate) fn heard(&mut self, heard: &Heard, routes: &Routes) {
        let Some(told) = self.known.get(&(heard.interface, heard.address)).map(|entry| entry.told) else { return };
        match (heard.mac, told) {
            (Some(mac), Ok(hop)) if mac == hop.target => {}
            (None, _) => self.tell(heard.interface, heard.address, Err(Obstacle::NoNeighbour)),
            (Some(_), _) => self.look(heard.interface, heard.address, routes),
        }
    }

    /// Whether frames can be addressed to the neighbour; else why not.
    pub(crate) fn reaches(&self, interface: u32, hop: IpAddr) -> Result<(), Obstacle> {
        self.known.get(&(interface, hop)).map_or(Err(Obstacle::NoNeighbour), |entry| entry.told.map(drop))
    }

    /// Interfaces or routes changed.
    pub(crate) fn look_all(&mut self, routes: &Routes) {
        self.takes.clear();
        let known: Vec<_> = self.known.keys().copied().collect();
        known.into_iter().for_each(|(interface, hop)| self.look(interface, hop, routes));
    }

    fn look(&mut self, interface: u32, hop: IpAddr, routes: &Routes) {
        let link = routes.link(interface).ok().flatten();
        let neighbour = routes.neighbour(interface, hop).ok().flatten();
        let takes = *self.takes.entry(interface).or_insert_with(|| takes_frames(interface));
        self.tell(interface, hop, hop_of(link, neighbour, takes));
    }

    /// Tells the program what it does not know yet.
    fn tell(&mut self, interface: u32, hop: IpAddr, new: Result<Hop, Obstacle>) {
        let entry = self.known.get_mut(&(interface, hop)).filter(|entry| entry.at.place != 0 && entry.told != new);
        let Some(entry) = entry else { return };
        match self.table.set(entry.at.place, Hop::octets(entry.at.number, new.ok()), 0) {
            Ok(()) => entry.told = new,
            Err(error) => tracing::error!(%error, "the table of neighbours"),
        }
    }
}

/// How frames are addressed to a neighbour behind an interface that takes such, or none.
fn hop_of(link: Option<Link>, neighbour: Option<Neighbour>, takes: bool) -> Result<Hop, Obstacle> {
    let link = link.ok_or(Obstacle::NoNeighbour)?;
    match (takes, link.is_tagged, neighbour) {
        (false, true, _) => Err(Obstacle::Tagged),
        (false, false, _) => Err(Obstacle::ExitTakesNone),
        (true, _, None) => Err(Obstacle::NoNeighbour),
        (true, _, Some(neighbour)) => Ok(Hop { source: link.mac, target: neighbour.mac }),
    }
}

/// Whether the driver sends frames that were only forwarded, by another interface or by itself. Some take them only under conditions that come and
/// go (a virtual one where its other end reads as cards do), and those that they do not take are lost.
fn takes_frames(interface: u32) -> bool {
    let features = NicIndex::new(interface).query_capabilities().map(|capabilities| capabilities.xdp_features.0);
    features.is_ok_and(|features| features & XdpAct::NdoXmit as u64 != 0)
}
