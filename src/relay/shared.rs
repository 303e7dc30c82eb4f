//! A port that several legs share: one socket of it for each worker, and the list of who is behind it.
//!
//! The system spreads what arrives over these sockets by address (`SO_REUSEPORT`), so each worker reads its part in batches. What belongs
//! to a leg of another worker is handed over to that one, which alone has the leg's state.

use crate::bell::Bell;
use crate::command::RelayConfig;
use crate::directory::Directory;
use crate::port;
use crossbeam_channel::{Sender, TrySendError};
use ringfort_base::PortId;
use ringfort_base::limits::MEDIA_DATAGRAM_MAX;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

/// A port that several legs share.
pub(crate) struct Shared {
    /// What workers call it by. Used again by another one when this one is closed.
    pub(crate) number: usize,
    pub(crate) local: SocketAddr,
    /// One for each worker.
    pub(crate) sockets: Vec<Arc<UdpSocket>>,
    directory: RwLock<Directory>,
    strangers: Arc<AtomicU64>,
}

impl Shared {
    /// Binds a socket for each worker. Whose they are, the system cannot tell, so the address must be free before.
    pub(crate) fn bind(
        number: usize,
        address: SocketAddr,
        config: &RelayConfig,
        strangers: Arc<AtomicU64>,
    ) -> io::Result<Shared> {
        let local = port::bind(address, config)?.local_addr()?;
        let bind = |_| port::bind_shared(local, config).map(Arc::new);
        let sockets = (0..config.workers.max(1)).map(bind).collect::<io::Result<_>>()?;
        Ok(Shared { number, local, sockets, directory: RwLock::default(), strangers })
    }

    /// Who is behind it, unless that changes just now: a worker does not wait.
    pub(crate) fn look(&self) -> Option<RwLockReadGuard<'_, Directory>> {
        match self.directory.try_read() {
            Ok(directory) => Some(directory),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Changes who is behind it. Each change is whole even if a thread panicked before: the maps are looked up, never trusted.
    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts datagrams of nobody.
    pub(crate) fn refuse(&self, count: u64) {
        self.strangers.fetch_add(count, Ordering::Relaxed);
    }
}

/// A datagram that another worker received.
pub(crate) struct Handed {
    pub(crate) port: PortId,
    pub(crate) from: SocketAddr,
    len: usize,
    truncated: bool,
    octets: [u8; MEDIA_DATAGRAM_MAX],
}

impl Handed {
    pub(crate) fn new(port: PortId, from: SocketAddr, datagram: &[u8], truncated: bool) -> Handed {
        let len = datagram.len().min(MEDIA_DATAGRAM_MAX);
        let mut octets = [0; MEDIA_DATAGRAM_MAX];
        octets[..len].copy_from_slice(&datagram[..len]);
        Handed { port, from, len, truncated, octets }
    }

    /// The same for another leg.
    pub(crate) fn addressed(mut self, port: PortId) -> Handed {
        self.port = port;
        self
    }

    pub(crate) fn datagram(&self) -> &[u8] {
        &self.octets[..self.len]
    }

    pub(crate) fn truncated(&self) -> bool {
        self.truncated
    }
}

/// Another worker, as one that hands datagrams over sees it.
pub(crate) struct Neighbour {
    pub(crate) handed: Sender<Handed>,
    pub(crate) bell: Arc<Bell>,
}

impl Neighbour {
    /// False: it has as much to do as it can take, and the datagram is lost, as it would be in a socket.
    pub(crate) fn hand(&self, handed: Handed) -> bool {
        !matches!(self.handed.try_send(handed), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }
}
