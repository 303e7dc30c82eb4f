//! Datagrams that were read and are not handled yet, in two lanes: one for sources that are known, one for all others. Strangers' lane is
//! short, and they have the time that known sources leave, and a little of any turn. So a flood costs its senders their turn and nobody
//! else.

use crate::io::{Door, udp};
use ringfort_base::{Hop, limits};
use ringfort_call::Input;
use std::collections::VecDeque;

/// Inputs handled before the sockets are read again, at most: the kernel's buffers are small.
pub const BATCH: usize = 32;
/// The same while strangers wait: in a flood the kernel's buffers are full soon, and what it drops it drops of all.
const BATCH_IN_FLOOD: usize = 8;
/// Strangers who have their turn although known sources wait.
const STRANGERS: usize = 2;

/// Whose datagrams wait together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Peers, devices that proved themselves, whoever the node speaks with.
    Known,
    /// All others.
    Strangers,
}

/// The lanes.
#[derive(Default)]
pub struct Arrivals {
    known: VecDeque<Input>,
    strangers: VecDeque<Input>,
}

impl Arrivals {
    /// Puts a datagram in its lane. The lane is returned where it is full: the datagram was dropped, unread.
    pub fn take(&mut self, door: &Door, hop: Hop, datagram: &[u8]) -> Option<Lane> {
        let (lane, waiting, room) = match door.trusts(hop.remote.ip()) {
            true => (Lane::Known, &mut self.known, limits::CORE_QUEUE_MAX),
            false => (Lane::Strangers, &mut self.strangers, limits::STRANGERS_QUEUE_MAX),
        };
        if waiting.len() >= room {
            return Some(lane);
        }
        waiting.extend(udp::read(hop, datagram));
        None
    }

    /// How many inputs of each kind have their turn before the sockets are read again.
    pub fn batch(&self) -> usize {
        if self.strangers.is_empty() { BATCH } else { BATCH_IN_FLOOD }
    }

    /// Those that have their turn now: known sources first.
    pub fn turn(&mut self) -> impl Iterator<Item = Input> + use<> {
        let batch = self.batch();
        let known = batch.min(self.known.len());
        let strangers = (batch - known).max(STRANGERS).min(self.strangers.len());
        let turn: Vec<Input> = self.known.drain(..known).chain(self.strangers.drain(..strangers)).collect();
        turn.into_iter()
    }

    /// Whether there is anything to handle.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.strangers.is_empty()
    }

    /// How many known sources' datagrams wait. By these the core sees that it is behind: strangers wait for their own sake.
    pub fn behind(&self) -> usize {
        self.known.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_base::{SourceNet, Transport};
    use ringfort_call::shield::ShieldCommand;

    const OPTIONS: &[u8] =
        b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a>;tag=1\r\nTo: <sip:a>\r\n\
        Call-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

    fn hop(address: &str) -> Hop {
        Hop { transport: Transport::Udp, remote: address.parse().unwrap(), local: None, flow: None }
    }

    fn of(input: &Input) -> String {
        match input {
            Input::Message { hop, .. } | Input::Unparsed { hop, .. } => hop.remote.ip().to_string(),
            _ => String::new(),
        }
    }

    fn door() -> Door {
        let door = Door::default();
        door.perform(ShieldCommand::Trust { source: SourceNet::of("192.0.2.1".parse().unwrap()), flow: None });
        door
    }

    #[test]
    fn a_known_source_has_its_turn_at_once_and_loses_nothing_while_strangers_flood() {
        let (door, mut arrivals) = (door(), Arrivals::default());
        let strangers = (0..100_000).filter(|_| arrivals.take(&door, hop("198.51.100.1:5060"), OPTIONS).is_none()).count();
        assert_eq!(strangers, limits::STRANGERS_QUEUE_MAX);
        assert_eq!(arrivals.behind(), 0, "nobody whom the node knows waits");
        let lost: Vec<Lane> =
            (0..limits::CORE_QUEUE_MAX + 2).filter_map(|_| arrivals.take(&door, hop("192.0.2.1:5060"), OPTIONS)).collect();
        assert_eq!(lost, [Lane::Known; 2], "they have the whole of the other lane");
        let turn: Vec<String> = arrivals.turn().map(|input| of(&input)).collect();
        let (first, last) = turn.split_at(BATCH_IN_FLOOD);
        assert!(first.iter().all(|who| who == "192.0.2.1") && first.len() == BATCH_IN_FLOOD, "{turn:?}");
        assert!(last.iter().all(|who| who == "198.51.100.1") && last.len() == STRANGERS, "{turn:?}");
    }

    #[test]
    fn strangers_have_the_time_that_is_left() {
        let (door, mut arrivals) = (door(), Arrivals::default());
        assert!(arrivals.is_empty() && arrivals.batch() == BATCH);
        for _ in 0..20 {
            assert!(arrivals.take(&door, hop("198.51.100.1:5060"), OPTIONS).is_none());
        }
        assert!(arrivals.take(&door, hop("192.0.2.1:5060"), OPTIONS).is_none());
        assert!(arrivals.take(&door, hop("192.0.2.1:5060"), b"\r\n\r\n").is_none(), "a keep-alive is nothing to handle");
        let turn: Vec<String> = arrivals.turn().map(|input| of(&input)).collect();
        assert_eq!((turn.len(), turn[0].as_str()), (BATCH_IN_FLOOD, "192.0.2.1"));
        while !arrivals.is_empty() {
            assert!(arrivals.turn().next().is_some());
        }
    }
}
