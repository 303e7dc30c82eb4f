//! A datagram network that loses, delays, repeats and reorders, by a seed.

use ringfort_base::entropy::Seeded;
use ringfort_base::{FlowId, Time};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// What the network does to datagrams.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Lost, of 1000.
    pub loss_per_mille: u64,
    /// Delivered twice, of 1000.
    pub twice_per_mille: u64,
    /// Delayed by up to half a second, of 1000: overtaken by others.
    pub late_per_mille: u64,
    /// Usual delay, at most.
    pub delay_us_max: u64,
}

impl Faults {
    /// A cable: one millisecond, nothing else.
    pub const NONE: Faults = Faults { loss_per_mille: 0, twice_per_mille: 0, late_per_mille: 0, delay_us_max: 0 };
}

/// One datagram on its way, or one message on a connection.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// The connection that carries it; `None`: UDP.
    pub flow: Option<FlowId>,
    /// Content.
    pub octets: Vec<u8>,
}

/// The network.
pub struct Network {
    /// What it does.
    pub faults: Faults,
    /// Peers whose cable is pulled: nothing reaches them, and nothing comes from them.
    pub cut: BTreeSet<SocketAddr>,
    dice: Seeded,
}

impl Network {
    /// A network of this seed.
    pub fn new(seed: u64, faults: Faults) -> Network {
        Network { faults, cut: BTreeSet::new(), dice: Seeded::new(seed ^ 0x6e65_7477_6f72_6b00) }
    }

    /// When a datagram sent now arrives: never, once or twice.
    pub fn arrivals(&mut self, now: Time) -> Vec<Time> {
        if self.dice.chance(self.faults.loss_per_mille) {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.dice.chance(self.faults.twice_per_mille));
        (0..copies).map(|_| now + self.delay()).collect()
    }

    /// When a message on a connection arrives: later than those before it.
    pub fn arrival_in_order(&mut self, now: Time, last: &mut Time) -> Time {
        *last = (now + self.delay()).max(*last + Duration::from_micros(1));
        *last
    }

    fn delay(&mut self) -> Duration {
        let usual = 1_000 + self.dice.below(self.faults.delay_us_max + 1);
        let late = if self.dice.chance(self.faults.late_per_mille) { self.dice.below(500_000) } else { 0 };
        Duration::from_micros(usual + late)
    }
}
