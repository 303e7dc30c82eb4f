//! Connections alive: how the core reaches each, and how a peer's address finds its connection again.

use bytes::Bytes;
use ringfort_base::{FlowId, Hop, Transport, limits};
use std::collections::HashMap;
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
