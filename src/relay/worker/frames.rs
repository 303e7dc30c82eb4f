//! A worker's part of the AF_XDP tier: it reads frames from the rings of its queues, takes them the way of all packets, and sends them on
//! from where they lie, or from a frame of the interface by which they leave.

use super::{Buffer, Parts, Worker};
use crate::bell::FRAMES;
use crate::directory::Tenant;
use crate::doors::{Behind, Doors};
use crate::frame::{self, Addressing, UdpFrame};
use crate::homes;
use crate::path::{Departure, Slot};
use crate::port::Marks;
use crate::rings::FRAMES_AT_ONCE;
use crate::shared::{Handed, Shared};
use crate::steering::Queue;
use crate::sys::{Outgoing, Received};
use crate::ways::Ways;
use ringfort_base::limits::{AF_XDP_SOCKETS_MAX, MEDIA_DATAGRAM_MAX, RELAY_HANDED_MAX};
use ringfort_base::{PortId, Time};
use ringfort_media::plan::Component;
use ringfort_media::tier::{Obstacle, Tier};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Longest IP packet that leaves as a frame: every path takes it (RFC 8200 5). The kernel knows of paths that take longer ones, and cuts up
/// what they do not take.
const LONGEST: usize = 1_280;

/// The queues of one worker.
pub(super) struct Frames {
    queues: Vec<Queue>,
    ways: Ways,
    marks: Marks,
    /// Whose the frames at hand are.
    callers: Vec<Caller>,
    /// Frames that the kernel had no place for, as far as they are counted.
    lost: u64,
}

/// Datagrams in frames for a shared port whose legs were just changing.
pub(super) type Later = VecDeque<(Arc<Shared>, Handed)>;

impl Frames {
    /// Takes the queues out of what the worker was given, and waits for their frames. `None` where there are none.
    pub(super) fn new(parts: &mut Parts) -> Option<Box<Frames>> {
        let queues = std::mem::take(&mut parts.queues);
        if queues.is_empty() {
            return None;
        }
        let given_up = |error| {
            // The sockets close, and the kernel steers nothing to them.
            tracing::error!(%error, "AF_XDP");
            parts.steering.iter().for_each(|steering| steering.give_up());
            None
        };
        let waited = (0..).zip(&queues).try_for_each(|(n, queue)| parts.epoll.add(&queue.rings, FRAMES + n));
        match waited.and_then(|()| Ways::new()) {
            Ok(ways) => {
                let callers = Vec::with_capacity(FRAMES_AT_ONCE);
                Some(Box::new(Frames { queues, ways, marks: parts.marks, callers, lost: 0 }))
            }
            Err(error) => given_up(error),
        }
    }

    /// The queue by which a datagram leaves, and its headers. `None`: a socket is to send it. `near` is a queue to be preferred.
    fn way(&mut self, now: Time, source: SocketAddr, near: usize, departure: &Departure) -> Option<(usize, Addressing)> {
        let hop = self.ways.find(now, source.ip(), departure.to.ip())?;
        let leads = |queue: &Queue| queue.interface == hop.interface && queue.sends;
        let near = Some(near).filter(|near| self.queues.get(*near).is_some_and(leads));
        let number = near.or_else(|| self.queues.iter().position(leads))?;
        let link = &self.queues.get(number)?.link;
        if frame::packet_len(departure.to, departure.len) > LONGEST.min(link.mtu as usize) {
            return None;
        }
        let (source_mac, destination_mac, dscp) = (link.mac, hop.mac, self.marks.of(departure.is_video));
        Some((number, Addressing { source_mac, destination_mac, source, destination: departure.to, dscp, ecn: 0 }))
    }

    /// Sends a datagram that came by a socket. False: a socket is to send it.
    fn send(&mut self, now: Time, source: SocketAddr, departure: &Departure, datagram: &[u8]) -> bool {
        let Some((number, addressing)) = self.way(now, source, 0, departure) else { return false };
        self.queues[number].rings.send(datagram, &addressing)
    }

    /// Sends frame `n` of queue `number` on, whose datagram begins at `at`.
    fn forward(&mut self, now: Time, source: SocketAddr, place: Place, departure: &Departure) -> bool {
        let Place { number, n, at, ecn } = place;
        let Some((out, addressing)) = self.way(now, source, number, departure) else { return false };
        let addressing = Addressing { ecn, ..addressing };
        if out == number {
            return self.queues[number].rings.readdress(n, at, departure.len, &addressing);
        }
        let Ok([from, to]) = self.queues.get_disjoint_mut([number, out]) else { return false };
        let datagram = from.rings.frame(n).get(at..at + departure.len);
        datagram.is_some_and(|datagram| to.rings.send(datagram, &addressing))
    }

    fn flush(&mut self) {
        self.queues.iter_mut().for_each(|queue| queue.rings.flush());
    }
}

/// A datagram in a frame of now, and whose it is.
struct Caller {
    n: usize,
    udp: UdpFrame,
    tenant: Tenant,
    /// The leg's, where it is this worker's.
    slot: Option<Slot>,
}

/// A frame that was taken from a queue.
struct Place {
    /// The queue, and the frame among those of now.
    number: usize,
    n: usize,
    /// Where its datagram begins.
    at: usize,
    /// What the path says of congestion.
    ecn: u8,
}

impl Worker {
    /// Takes what came by one queue: this worker's part through the path, the others' to them.
    pub(super) fn serve_frames(&mut self, number: usize) {
        // After a panic it is gone, its sockets are closed, and the kernel steers nothing to them.
        let Some(mut frames) = self.frames.take() else { return };
        let count = frames.queues.get_mut(number).map_or(0, |queue| queue.rings.receive());
        if count > 0 {
            self.pace.came(count, count == FRAMES_AT_ONCE);
            self.catch_up();
        }
        let mut callers = std::mem::take(&mut frames.callers);
        self.find_callers(&mut frames, number, count, &mut callers);
        self.flows.fetch(callers.iter().filter_map(|caller| caller.slot));
        for caller in callers.drain(..) {
            self.admit(&mut frames, number, &caller);
        }
        frames.callers = callers;
        if let Some(queue) = frames.queues.get_mut(number) {
            queue.rings.release();
        }
        frames.flush();
        self.frames = Some(frames);
    }

    /// Says of each of the frames at hand whose it is. The table of those is locked once for all of them.
    fn find_callers(&mut self, frames: &mut Frames, number: usize, count: usize, callers: &mut Vec<Caller>) {
        let Some(steering) = self.parts.steering.clone() else { return };
        let known = steering.known();
        for n in 0..count {
            callers.extend(self.caller(frames, &known, number, n));
        }
    }

    /// What is steered here is a datagram to a port of this node, or damaged.
    fn caller(&mut self, frames: &mut Frames, known: &Doors, number: usize, n: usize) -> Option<Caller> {
        let udp = frame::parse(frames.queues[number].rings.frame(n)).ok()?;
        if !is_elsewhere(udp.source) || known.get(udp.source).is_some() {
            return self.count_stranger();
        }
        match known.get(udp.destination) {
            Some(Behind::Leg(tenant, slot)) => Some(Caller { n, udp, tenant: *tenant, slot: Some(*slot) }),
            Some(Behind::Shared(shared)) => {
                let datagram = &frames.queues[number].rings.frame(n)[udp.payload.clone()];
                let tenant = self.tenant(shared, udp.source, datagram)?;
                let slot = self.flows.slot(tenant.port).filter(|_| tenant.worker == self.parts.number);
                Some(Caller { n, udp, tenant, slot })
            }
            // It went a moment ago.
            None => self.count_stranger(),
        }
    }

    /// Whose a datagram to a shared port is. As in `serve_shared`, but here it cannot wait in the socket.
    fn tenant(&mut self, shared: &Arc<Shared>, source: SocketAddr, datagram: &[u8]) -> Option<Tenant> {
        let found = shared.look().map(|directory| directory.find(datagram, source));
        match found {
            Some(Some(tenant)) => return Some(tenant),
            None if self.later.len() < RELAY_HANDED_MAX => {
                let handed = Handed::new(PortId(0), source, datagram, datagram.len() > MEDIA_DATAGRAM_MAX);
                self.later.push_back((shared.clone(), handed));
            }
            Some(None) | None => shared.refuse(1),
        }
        None
    }

    fn count_stranger<T>(&self) -> Option<T> {
        self.parts.strangers.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// One datagram in a frame, for a leg of this worker or another one.
    fn admit(&mut self, frames: &mut Frames, number: usize, caller: &Caller) {
        let Caller { n, udp, tenant, slot } = caller;
        let truncated = udp.payload.len() > MEDIA_DATAGRAM_MAX;
        if tenant.worker != self.parts.number {
            let datagram = &frames.queues[number].rings.frame(*n)[udp.payload.clone()];
            let handed = Handed::new(tenant.port, udp.source, datagram, truncated);
            self.hand(*tenant, handed);
            return self.wake(*tenant);
        }
        // A packet before it in the batch may have had the worker look for commands.
        let Some(slot) = slot.filter(|slot| self.flows.port(*slot) == Some(tenant.port)) else { return };
        let received = Received { from: udp.source, len: udp.payload.len(), truncated };
        let buffer = frames.queues[number].rings.datagram(*n, udp.payload.start);
        if let Some(departure) = self.judge(slot, Component::Rtp, tenant.port, received, Buffer::Frame(buffer)) {
            self.leave(frames, Place { number, n: *n, at: udp.payload.start, ecn: udp.ecn }, &departure);
        }
        self.descend(slot);
    }

    fn leave(&mut self, frames: &mut Frames, place: Place, departure: &Departure) {
        let source = local(&self.open, departure);
        let Place { number, n, at, .. } = place;
        let gone = source.is_some_and(|source| frames.forward(self.now, source, place, departure));
        let sent = gone
            || frames.queues[number]
                .rings
                .frame(n)
                .get(at..at + departure.len)
                .is_some_and(|datagram| self.send_by_socket(departure, datagram));
        self.flows.sent(departure, sent);
    }

    /// Sends a datagram that came in a frame by a socket. No batch is at hand then, so its room is free.
    fn send_by_socket(&mut self, departure: &Departure, datagram: &[u8]) -> bool {
        let Some(socket) = super::socket(&self.open, departure.slot, departure.component) else { return false };
        let Some(room) = self.batch.buffer(0).get_mut(..datagram.len()) else { return false };
        room.copy_from_slice(datagram);
        let outgoing = Outgoing { buffer: 0, len: datagram.len(), to: departure.to };
        self.batch.send(socket, &[outgoing], self.parts.marks.beside(departure.is_video)).is_ok()
    }

    /// Of the departures at hand, sends those that can leave as frames.
    pub(super) fn send_frames(&mut self) {
        let Some(frames) = &mut self.frames else { return };
        let (open, batch, flows, now) = (&self.open, &mut self.batch, &mut self.flows, self.now);
        self.departures.retain(|(n, departure)| {
            let Some(source) = local(open, departure) else { return true };
            let gone = frames.send(now, source, departure, &batch.buffer(*n)[..departure.len]);
            if gone {
                flows.sent(departure, true);
            }
            !gone
        });
        frames.flush();
    }

    /// What waited for a list of legs that was just changing.
    pub(super) fn take_later(&mut self) {
        while let Some((shared, handed)) = self.later.pop_front() {
            let found = shared.look().map(|directory| directory.find(handed.datagram(), handed.from));
            match found {
                Some(Some(tenant)) => {
                    self.hand(tenant, handed.addressed(tenant.port));
                    self.wake(tenant);
                }
                Some(None) => shared.refuse(1),
                None => return self.later.push_front((shared, handed)),
            }
        }
    }

    /// A turn failed: what it had of frames may be gone.
    pub(super) fn look_after_frames(&self) {
        if let (None, Some(steering), homes::FRAMES) = (&self.frames, &self.parts.steering, self.parts.number) {
            steering.give_up();
        }
    }

    /// Counts frames that the kernel had no place for.
    pub(super) fn count_lost_frames(&mut self) {
        let Some(frames) = &mut self.frames else { return };
        let lost = frames.queues.iter().map(|queue| queue.rings.lost()).sum();
        let before = std::mem::replace(&mut frames.lost, lost);
        self.parts.lost.fetch_add(lost.saturating_sub(before), Ordering::Relaxed);
    }

    fn wake(&self, tenant: Tenant) {
        if let Some(neighbour) = self.parts.neighbours.get(tenant.worker).filter(|_| tenant.worker != self.parts.number) {
            neighbour.bell.ring();
        }
    }

    /// A port whose packets go through sockets for good has them come as frames from now on.
    pub(super) fn steer(&mut self, slot: Slot, port: PortId) {
        let Some(steering) = &self.parts.steering else { return };
        let Some(Tier::Sockets(obstacle)) = self.flows.tier(slot) else { return };
        let Some(open) = self.open.get_mut(slot.index as usize).and_then(Option::as_mut).filter(|open| !open.is_steered) else {
            return;
        };
        let soon = matches!(obstacle, Obstacle::Settling | Obstacle::Stopped | Obstacle::NotLatched);
        let Some(local) = open.local.filter(|_| !soon) else { return };
        steering.open(local, Behind::Leg(Tenant { port, worker: self.parts.number }, slot));
        open.is_steered = true;
    }

    /// The kernel carries the port's packets now.
    pub(super) fn unsteer(&mut self, slot: Slot) {
        let steered = self.steered(slot);
        if let (Some(steering), Some(local)) = (&self.parts.steering, steered) {
            steering.shut(local);
        }
    }

    /// The port goes, or goes elsewhere.
    pub(super) fn close_steered(&mut self, port: PortId) {
        let Some(slot) = self.flows.slot(port) else { return };
        let known = self.open.get(slot.index as usize).and_then(Option::as_ref).and_then(|open| open.local);
        if let (Some(steering), Some(local), true) = (&self.parts.steering, known, self.is_alone(slot)) {
            steering.forget(local);
        }
    }

    /// Where a port is bound whose frames were steered until now.
    fn steered(&mut self, slot: Slot) -> Option<SocketAddr> {
        let open = self.open.get_mut(slot.index as usize)?.as_mut()?;
        std::mem::take(&mut open.is_steered).then_some(open.local)?
    }

    /// Whether nobody shares the port.
    fn is_alone(&self, slot: Slot) -> bool {
        let open = self.open.get(slot.index as usize).and_then(Option::as_ref);
        open.is_some_and(|open| open.sockets.own().next().is_some())
    }
}

/// Whether a source can be another host's. The kernel refuses such as its own before a socket sees them.
fn is_elsewhere(source: SocketAddr) -> bool {
    let ip = source.ip();
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    source.port() != 0 && !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || broadcast)
}

/// Where a departure leaves from, if that is known and can be in a frame's header. RTCP on a port of its own leaves by its socket.
fn local(open: &[Option<super::Open>], departure: &Departure) -> Option<SocketAddr> {
    let open = open.get(departure.slot.index as usize)?.as_ref()?;
    open.local.filter(|local| departure.component == Component::Rtp && !local.ip().is_unspecified())
}

/// The queue that a token means, if it means one.
pub(super) fn frames_of(token: u64) -> Option<usize> {
    let number = token.checked_sub(FRAMES)?;
    (number < AF_XDP_SOCKETS_MAX as u64).then_some(number as usize)
}
