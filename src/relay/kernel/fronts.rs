//! Where frames are forwarded before the kernel makes more of them: what became of the interfaces that the configuration names for that.

use crate::routes::Link;
use ringfort_media::tier::Obstacle;
use std::collections::HashMap;

/// What became of one. An interface that comes back has another index, and frames after a restart of the node only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    /// It has no program that sees frames.
    Without,
    /// The driver itself has the program, which forwards.
    Driver(u32),
    /// The kernel's generic code has it, which forwards nothing.
    Generic(u32),
}

/// By their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fronts(HashMap<String, Front>);

impl FromIterator<(String, Front)> for Fronts {
    fn from_iter<T: IntoIterator<Item = (String, Front)>>(fronts: T) -> Fronts {
        Fronts(fronts.into_iter().collect())
    }
}

impl Fronts {
    /// Whether frames that come by an interface are forwarded; else why not.
    pub(crate) fn forwards(&self, interface: u32, link: &Link) -> Result<(), Obstacle> {
        match self.0.get(&link.name) {
            Some(Front::Driver(index)) if *index == interface => Ok(()),
            _ if link.is_tagged => Err(Obstacle::Tagged),
            Some(Front::Generic(index)) if *index == interface => Err(Obstacle::GenericXdp),
            Some(_) => Err(Obstacle::NoFrames),
            None => Err(Obstacle::NotNamed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_forwards_where_its_driver_has_the_program_and_else_has_a_reason() {
        let link = |name: &str, is_tagged| Link { name: name.into(), is_ethernet: true, is_tagged, mac: [0; 6], mtu: 1_500 };
        let named =
            [("eth0", Front::Driver(2)), ("eth1", Front::Generic(3)), ("eth1.7", Front::Generic(4)), ("eth2", Front::Without)];
        let fronts: Fronts = named.map(|(name, front)| (name.to_owned(), front)).into_iter().collect();
        for (interface, name, is_tagged, told) in [
            (2, "eth0", false, Ok(())),
            (9, "eth0", false, Err(Obstacle::NoFrames)),
            (3, "eth1", false, Err(Obstacle::GenericXdp)),
            (4, "eth1.7", true, Err(Obstacle::Tagged)),
            (5, "eth2", false, Err(Obstacle::NoFrames)),
            (6, "eth3", false, Err(Obstacle::NotNamed)),
            (7, "eth3.7", true, Err(Obstacle::Tagged)),
        ] {
            assert_eq!(fronts.forwards(interface, &link(name, is_tagged)), told, "{name}");
        }
    }
}
