//! Connections alive: how the core reaches each, and how a peer's address finds its connection again.

use bytes::Bytes;
use ringfort_base::{FlowId, Hop, Transport, limits};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Queue towards one connection.
pub type FlowSender = mpsc::Sender<Bytes>;

/// All connections.
#[derive(Default)]
pub struct Flows {
    next: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<FlowId, (Transport, SocketAddr, FlowSender)>,
    by_peer: HashMap<(Transport, SocketAddr), FlowId>,
    /// Connections that are being opened, and what waits for each.
    opening: HashMap<(Transport, SocketAddr), Vec<Bytes>>,
}

/// What became of a message for a peer to whom no connection stands.
pub enum Queued {
    /// It is the first: whoever hands it in opens the connection.
    First,
    /// It waits with others for the connection that is being opened.
    Waiting,
    /// Too many wait.
    Full,
}

impl Flows {
    /// Enters a connection. `None`: too many.
    pub fn open(&self, transport: Transport, remote: SocketAddr) -> Option<(FlowId, mpsc::Receiver<Bytes>)> {
        let id = FlowId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, receiver) = mpsc::channel(limits::CONNECTION_QUEUE_MAX);
        let mut table = self.table();
        if table.by_id.len() >= limits::CONNECTIONS_MAX {
            return None;
        }
        table.by_id.insert(id, (transport, remote, sender));
        table.by_peer.insert((transport, remote), id);
        Some((id, receiver))
    }

    /// Has a message wait until a connection to its peer is open. One is opened for a peer at a time, whatever waits for it.
    pub fn queue(&self, hop: &Hop, octets: Bytes) -> Queued {
        let mut table = self.table();
        let count = table.opening.len();
        match table.opening.entry((hop.transport, hop.remote)) {
            Entry::Occupied(waiting) if waiting.get().len() >= limits::CONNECTION_QUEUE_MAX => Queued::Full,
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(octets);
                Queued::Waiting
            }
            Entry::Vacant(_) if count >= limits::CONNECTIONS_OPENING_MAX => Queued::Full,
            Entry::Vacant(first) => {
                first.insert(vec![octets]);
                Queued::First
            }
        }
    }

    /// The connection is open: enters it and gives it what waited, in order. `None`: too many connections.
    pub fn opened(&self, hop: &Hop) -> Option<(FlowId, mpsc::Receiver<Bytes>)> {
        let (id, receiver) = self.open(hop.transport, hop.remote)?;
        let mut table = self.table();
        let waiting = table.opening.remove(&(hop.transport, hop.remote)).unwrap_or_default();
        if let Some((_, _, sender)) = table.by_id.get(&id) {
            // The queue is as long as the one that they waited in.
            waiting.into_iter().for_each(|octets| drop(sender.try_send(octets)));
        }
        Some((id, receiver))
    }

    /// The connection could not be opened: nothing waits for it any more.
    pub fn not_opened(&self, hop: &Hop) {
        self.table().opening.remove(&(hop.transport, hop.remote));
    }

    /// Removes a connection that ended.
    pub fn close(&self, id: FlowId) {
        let mut table = self.table();
        if let Some((transport, remote, _)) = table.by_id.remove(&id)
            && table.by_peer.get(&(transport, remote)) == Some(&id)
        {
            table.by_peer.remove(&(transport, remote));
        }
    }

    /// Queue of the connection that a hop names, or of one to the same peer when it names none.
    pub fn find(&self, hop: &Hop) -> Option<(FlowId, FlowSender)> {
        let table = self.table();
        let id = hop.flow.or_else(|| table.by_peer.get(&(hop.transport, hop.remote)).copied())?;
        table.by_id.get(&id).map(|(_, _, sender)| (id, sender.clone()))
    }

    /// The table is plain data: it is whole even if a thread ended while it held the lock.
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_connection_is_opened_for_all_that_waits_and_keeps_the_order() {
        let flows = Flows::default();
        let hop = Hop::to(Transport::Tcp, ([192, 0, 2, 1], 5060).into());
        assert!(matches!(flows.queue(&hop, Bytes::from_static(b"1")), Queued::First));
        for _ in 1..limits::CONNECTION_QUEUE_MAX {
            assert!(matches!(flows.queue(&hop, Bytes::from_static(b"n")), Queued::Waiting));
        }
        assert!(matches!(flows.queue(&hop, Bytes::from_static(b"x")), Queued::Full));
        let (_, mut receiver) = flows.opened(&hop).expect("room");
        assert_eq!(receiver.try_recv().ok().as_deref(), Some(&b"1"[..]));
        assert_eq!(receiver.len(), limits::CONNECTION_QUEUE_MAX - 1);
        flows.not_opened(&hop);
        assert!(matches!(flows.queue(&hop, Bytes::from_static(b"2")), Queued::First));
    }
}
