//! A worker's part of the ports that several legs share.

use super::{Appetite, BATCH, Worker};
use crate::bell::SHARED;
use crate::directory::Tenant;
use crate::doors::Behind;
use crate::path::Slot;
use crate::shared::{Handed, Shared};
use crate::sys::Received;
use ringfort_base::limits::{RELAY_HANDED_MAX, SHARED_PORTS_MAX};
use ringfort_media::plan::Component;
use std::net::UdpSocket;
use std::sync::Arc;

/// A shared port, and how eagerly this worker's socket of it is read.
pub(super) struct Door {
    shared: Arc<Shared>,
    socket: Arc<UdpSocket>,
    appetite: Appetite,
}

impl Worker {
    /// A shared port's packets are waited for.
    pub(super) fn open_door(&mut self, shared: Arc<Shared>) {
        let (number, Some(socket)) = (shared.number, shared.sockets.get(self.parts.number).cloned()) else { return };
        if let Err(error) = self.parts.epoll.add(&*socket, token_of(number)) {
            return tracing::error!(%error, "epoll");
        }
        if self.doors.len() <= number {
            self.doors.resize_with(number + 1, || None);
        }
        if self.parts.number == 0
            && let Some(steering) = &self.parts.steering
        {
            steering.open(shared.local, Behind::Shared(shared.clone()));
        }
        self.doors[number] = Some(Door { shared, socket, appetite: Appetite { want: BATCH, turn: 0 } });
    }

    /// Nobody is behind a shared port any more.
    pub(super) fn close_door(&mut self, number: usize) {
        let Some(door) = self.doors.get_mut(number).and_then(Option::take) else { return };
        if self.parts.number == 0
            && let Some(steering) = &self.parts.steering
        {
            steering.forget(door.shared.local);
        }
        if let Err(error) = self.parts.epoll.remove(&*door.socket) {
            tracing::error!(%error, "epoll");
        }
    }

    /// Takes what a shared port's socket has: this worker's part through the path, the others' to them.
    pub(super) fn serve_shared(&mut self, number: usize) {
        let Some(door) = self.doors.get_mut(number).and_then(Option::as_mut) else { return };
        let shared = door.shared.clone();
        // Who is behind the port changes just now: its packets wait in the socket so long, and none meets a list of yesterday.
        let Some(directory) = shared.look() else { return };
        let Ok(count) = self.batch.receive(&*door.socket, door.appetite.of_turn(self.turns)) else { return };
        door.appetite.found(count);
        self.pace.came(count, count == BATCH);
        self.catch_up();
        self.callers.clear();
        for n in 0..count {
            let found = self.batch.received(n).and_then(|received| {
                let tenant = directory.find(&self.batch.buffer(n)[..received.len], received.from)?;
                Some((n, tenant, received))
            });
            self.callers.extend(found);
        }
        drop(directory);
        shared.refuse((count - self.callers.len()) as u64);
        self.let_in();
    }

    fn let_in(&mut self) {
        let callers = std::mem::take(&mut self.callers);
        for &(n, Tenant { port, worker }, received) in &callers {
            if worker != self.parts.number {
                self.hand_over(n, Tenant { port, worker }, received);
            } else if let Some(slot) = self.flows.slot(port) {
                self.relay(n, slot, Component::Rtp, port, received);
            }
        }
        let others = callers.iter().map(|(_, tenant, _)| tenant.worker).filter(|worker| *worker != self.parts.number);
        for neighbour in others.filter_map(|worker| self.parts.neighbours.get(worker)) {
            neighbour.bell.ring();
        }
        self.callers = callers;
        self.send();
        // What is shared is secured, and the kernel takes no such flows.
        self.relayed_rtp = 0;
    }

    fn hand_over(&mut self, n: usize, tenant: Tenant, received: Received) {
        let datagram = &self.batch.buffer(n)[..received.len];
        let handed = Handed::new(tenant.port, received.from, datagram, received.truncated);
        self.hand(tenant, handed);
    }

    /// Gives a datagram to the worker that has its leg, which has to be woken then.
    pub(super) fn hand(&mut self, tenant: Tenant, handed: Handed) {
        if !self.parts.neighbours.get(tenant.worker).is_some_and(|neighbour| neighbour.hand(handed)) {
            self.parts.lost.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Takes what other workers received for legs of this one: as much as fits the queue, so that its own sockets have their turn.
    pub(super) fn take_handed(&mut self) {
        for _ in 0..RELAY_HANDED_MAX.div_ceil(BATCH) {
            if self.parts.handed.is_empty() {
                return;
            }
            for n in 0..BATCH {
                let Ok(handed) = self.parts.handed.try_recv() else { break };
                self.catch_up();
                if let Some(slot) = self.flows.slot(handed.port) {
                    self.take_one(n, slot, &handed);
                }
            }
            self.send();
            self.relayed_rtp = 0;
        }
    }

    fn take_one(&mut self, n: usize, slot: Slot, handed: &Handed) {
        let datagram = handed.datagram();
        self.batch.buffer(n)[..datagram.len()].copy_from_slice(datagram);
        let received = Received { from: handed.from, len: datagram.len(), truncated: handed.truncated() };
        self.relay(n, slot, Component::Rtp, handed.port, received);
    }
}

/// A shared port's token: below those of the bell and of routes, above all generations of sockets.
fn token_of(number: usize) -> u64 {
    SHARED + number as u64
}

/// The shared port that a token means, if it means one.
pub(super) fn shared_of(token: u64) -> Option<usize> {
    let number = token.checked_sub(SHARED)?;
    (number < SHARED_PORTS_MAX as u64).then_some(number as usize)
}
