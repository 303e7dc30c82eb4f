//! Who is behind which local address: read for every frame, and so found by the port's number in a table rather than by a hash, of whose places
//! none would be in the processor's cache.

use crate::directory::Tenant;
use crate::path::Slot;
use crate::shared::Shared;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Who is behind a local address.
#[derive(Clone)]
pub(crate) enum Behind {
    /// One leg, and its place in the tables of its worker.
    Leg(Tenant, Slot),
    /// Several.
    Shared(Arc<Shared>),
}

/// One address of the node.
struct Host {
    address: IpAddr,
    /// By the port's number: 0, or the place of who is behind it and one.
    places: Box<[u32]>,
    /// Ports that somebody is behind.
    count: usize,
}

/// Who is behind which local address.
#[derive(Default)]
pub(crate) struct Doors {
    /// Few: those that the configuration names.
    hosts: Vec<Host>,
    behind: Vec<Option<Behind>>,
    free: Vec<u32>,
}

impl Doors {
    /// How many addresses somebody is behind.
    pub(crate) fn len(&self) -> usize {
        self.hosts.iter().map(|host| host.count).sum()
    }

    /// Who is behind `local`.
    pub(crate) fn get(&self, local: SocketAddr) -> Option<&Behind> {
        let host = self.hosts.iter().find(|host| host.address == local.ip())?;
        let place = host.places.get(usize::from(local.port()))?.checked_sub(1)?;
        self.behind.get(place as usize)?.as_ref()
    }

    /// From now on that is who is behind `local`.
    pub(crate) fn insert(&mut self, local: SocketAddr, behind: Behind) {
        self.remove(local);
        let place = self.free.pop().unwrap_or_else(|| {
            self.behind.push(None);
            self.behind.len() as u32 - 1
        });
        self.behind[place as usize] = Some(behind);
        let host = self.host(local.ip());
        host.places[usize::from(local.port())] = place + 1;
        host.count += 1;
    }

    /// Nobody is behind `local` any more.
    pub(crate) fn remove(&mut self, local: SocketAddr) {
        let Some(number) = self.hosts.iter().position(|host| host.address == local.ip()) else { return };
        let host = &mut self.hosts[number];
        let Some(place) = std::mem::take(&mut host.places[usize::from(local.port())]).checked_sub(1) else { return };
        host.count -= 1;
        if host.count == 0 {
            self.hosts.swap_remove(number);
        }
        self.behind[place as usize] = None;
        self.free.push(place);
    }

    fn host(&mut self, address: IpAddr) -> &mut Host {
        let number = self.hosts.iter().position(|host| host.address == address).unwrap_or_else(|| {
            let places = vec![0; usize::from(u16::MAX) + 1].into();
            self.hosts.push(Host { address, places, count: 0 });
            self.hosts.len() - 1
        });
        &mut self.hosts[number]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::PortId;

    fn leg(number: u64) -> Behind {
        Behind::Leg(Tenant { port: PortId(number), worker: 0 }, Slot { index: 0, generation: 0 })
    }

    fn found(doors: &Doors, local: &str) -> Option<u64> {
        match doors.get(local.parse().unwrap())? {
            Behind::Leg(tenant, _) => Some(tenant.port.0),
            Behind::Shared(_) => None,
        }
    }

    #[test]
    fn each_address_has_its_own_and_places_are_used_again() {
        let mut doors = Doors::default();
        let at = ["192.0.2.1:0", "192.0.2.1:65535", "[2001:db8::1]:65535", "192.0.2.2:4000"];
        for (number, local) in at.iter().enumerate() {
            doors.insert(local.parse().unwrap(), leg(number as u64));
        }
        assert_eq!(at.map(|local| found(&doors, local)), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!([found(&doors, "192.0.2.1:4000"), found(&doors, "192.0.2.3:4000")], [None, None]);

        doors.insert(at[1].parse().unwrap(), leg(9));
        doors.remove(at[0].parse().unwrap());
        doors.remove(at[0].parse().unwrap());
        doors.remove("192.0.2.3:1".parse().unwrap());
        assert_eq!((found(&doors, at[0]), found(&doors, at[1]), doors.len()), (None, Some(9), 3));
        doors.insert(at[0].parse().unwrap(), leg(10));
        assert_eq!((found(&doors, at[0]), doors.behind.len()), (Some(10), 4));

        at.iter().for_each(|local| doors.remove(local.parse().unwrap()));
        assert_eq!((doors.len(), doors.hosts.len()), (0, 0));
    }
}
