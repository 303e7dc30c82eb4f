//! Which flows go down to the kernel, and when they come up again. A worker has one of these beside its ports.
//!
//! A flow goes down when nothing but its addresses is to be changed and both ends are known for sure. Its packets are no longer seen
//! here; its counters are read from the kernel. It comes up before anything about it changes (a plan, a latch, its end, a route), so
//! what the kernel does is always what the plan in force says. Packets that were in a socket already are relayed as before.

use crate::flow::{Carried, Seal, Way as Across};
use crate::kernel::layout::{Pair, Passage, Seen};
use crate::kernel::{Kernel, Place};
use crate::path::{Flows, Slot};
use crate::port::Marks;
use crate::routes::{Routes, Way};
use ringfort_base::Time;
use ringfort_media::plan::Component;
use ringfort_media::quality::Progress;
use ringfort_media::tier::{Obstacle, Tier};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

/// A flow that may not go down is looked at again after this time, when a packet comes.
const RETRY: Duration = Duration::from_millis(500);
/// So many packets of a flow that is down may come up while the kernel sees fewer; then they come by another way than is watched.
const UNSEEN_MAX: u64 = 100;
/// A flow of SRTP comes up so often for a packet that is proved. The kernel cannot, and a stranger who forges addresses could lead it astray:
/// what it says of the roll-over counter is tried against what was proved last, which must not be half a roll-over old.
const PROVED_EVERY: Duration = Duration::from_secs(10);
/// So many at once, those first that were proved the longest ago: a thread with thousands of flows has others to serve.
const PROVED_AT_ONCE: usize = 64;
/// So many packets in a row of a flow that could be forwarded as frames were not; then the program for that leaves them to the one behind.
const PASSED_ON_MIN: u64 = 10;
/// A leap that the kernel leaves to user space, as bpf/forward.bpf.c has it.
const LEAP: u64 = 3_000;

/// A flow that the kernel carries.
struct Down {
    passage: Passage,
    exit: Slot,
    /// Packets that came up nevertheless, and passed.
    aside: u64,
    /// Those that came up because the node hears them, as it does telephone events beside speech that passes.
    heard: u64,
    /// What the kernel had seen when it went down.
    began: u64,
    sealed: Option<Sealed>,
}

impl Down {
    /// Packets of the stream that the kernel did not see.
    fn beside(&self) -> u64 {
        self.aside + self.heard
    }
}

/// SRTP in the kernel.
struct Sealed {
    /// As it stood when it went down.
    seal: Seal,
    /// The sequence number that the kernel counts on from, extended.
    from: u64,
    /// The index up to which it was carried.
    carried: u64,
    /// When it went down.
    since: Time,
    /// When the kernel was asked last because of a datagram.
    settled: Option<Time>,
}

impl Sealed {
    /// What the kernel counts since says this of the index.
    fn follow(&mut self, progress: &Progress) {
        if progress.ssrc == Some(self.seal.ssrc) && progress.highest >= self.from {
            self.carried = self.seal.index + (progress.highest - self.from);
        }
    }

    /// User space proved something that the kernel does not go on with.
    fn is_left_behind(&self, stands: Option<(u32, u64)>) -> bool {
        stands.is_some_and(|(ssrc, index)| ssrc != self.seal.ssrc || index >= self.carried + LEAP)
    }
}

enum Standing {
    /// On sockets; looked at again then.
    Up {
        again: Time,
    },
    Down(Box<Down>),
}

/// What is known of the port in a slot.
struct Port {
    generation: u32,
    standing: Standing,
    /// Where the kernel counts for it, once it was down.
    place: Option<Place>,
    /// What of that is in the port's counters.
    counted: Seen,
    /// Of that, packets since the last one that was forwarded as a frame, while that could have been.
    passed_on: u64,
    /// It came up just now from there: a packet that was on its way then is counted when the next one comes, beside so many that the
    /// kernel had not seen.
    left: Option<(Slot, u64)>,
    /// The port whose packets the kernel sends by this one.
    fed_by: Option<Slot>,
}

impl Port {
    fn new(generation: u32) -> Port {
        let standing = Standing::Up { again: Time::ZERO };
        Port { generation, standing, place: None, counted: Seen::default(), passed_on: 0, left: None, fed_by: None }
    }
}

/// The flows of one worker, as the kernel sees them.
pub(crate) struct Descent {
    kernel: Arc<Kernel>,
    routes: Routes,
    marks: Marks,
    ports: Vec<Option<Port>>,
    down: usize,
}

impl Descent {
    pub(crate) fn new(kernel: Arc<Kernel>, routes: Routes, marks: Marks) -> Descent {
        Descent { kernel, routes, marks, ports: Vec::new(), down: 0 }
    }

    /// Readable when routes changed.
    pub(crate) fn news(&self) -> BorrowedFd<'_> {
        self.routes.news()
    }

    /// Flows that are down.
    pub(crate) fn count(&self) -> usize {
        self.down
    }

    /// RTP packets of the port were relayed by sockets. True: they were the last ones, its flow is down now.
    pub(crate) fn passed(
        &mut self,
        now: Time,
        slot: Slot,
        packets: u64,
        local: impl Fn(Slot) -> Option<SocketAddr>,
        flows: &mut Flows,
    ) -> bool {
        let port = self.port(slot);
        if let Some((exit, beside)) = port.left.take() {
            self.fold(slot, exit, beside + packets, flows);
        }
        match &mut self.port(slot).standing {
            Standing::Up { again } if now < *again => false,
            Standing::Up { again } => {
                *again = now + RETRY;
                let lowered = self.lower(now, slot, local, flows);
                let frames = matches!(flows.tier(slot), Some(Tier::AfXdp(_)));
                match lowered {
                    Ok(()) => self.tell_program(slot, flows),
                    Err(why) => flows.set_tier(slot, Tier::Sockets(why).as_frames(frames)),
                }
                lowered.is_ok()
            }
            Standing::Down(down) => {
                down.aside += packets;
                if down.sealed.as_ref().is_some_and(|sealed| sealed.is_left_behind(flows.stands(slot))) {
                    self.raise_own(slot, Obstacle::Settling, flows);
                    // Two streams by turns would bring it up and down all the time.
                    self.port(slot).standing = Standing::Up { again: now + RETRY };
                } else if down.aside >= UNSEEN_MAX {
                    self.look(slot, flows);
                }
                false
            }
        }
    }

    /// An RTP packet of the port ended in its ear. It is of the stream that the kernel counts, and not missing there; nor does it say that the
    /// kernel does not see the others.
    pub(crate) fn heard(&mut self, slot: Slot) {
        match self.known(slot) {
            Some(Port { standing: Standing::Down(down), .. }) => down.heard += 1,
            Some(Port { left: Some((_, beside)), .. }) => *beside += 1,
            _ => {}
        }
    }

    /// A datagram came to this port, and is about to be judged. Where the kernel carries its SRTP, judge and latch need to know how far: else
    /// what the kernel has carried could be sent once more, from elsewhere, and would be taken for the peer's.
    /// Asking costs a system call: it is not done for strangers, nor twice in a moment.
    pub(crate) fn settle(&mut self, now: Time, slot: Slot, (component, from): (Component, SocketAddr), flows: &mut Flows) {
        let Some(Port { standing: Standing::Down(down), .. }) = self.known(slot) else { return };
        let Some(sealed) = &mut down.sealed else { return };
        let Some(good_for) = flows.minds(now, slot, component, from) else { return };
        if sealed.settled.is_some_and(|settled| now.since(settled) < good_for) {
            return;
        }
        sealed.settled = Some(now);
        let (exit, beside) = (down.exit, down.beside());
        if self.fold(slot, exit, beside, flows) {
            flows.heard_elsewhere(now, slot);
        }
    }

    /// Everything that depends on this port comes up: it is about to change.
    pub(crate) fn raise(&mut self, slot: Slot, flows: &mut Flows) {
        self.raise_feeder(slot, flows);
        self.raise_own(slot, Obstacle::Settling, flows);
        // What stood in its way may be gone then.
        if let Some(Port { standing: Standing::Up { again }, .. }) = self.known(slot) {
            *again = Time::ZERO;
        }
    }

    /// What is sent by this port comes up: it is about to send elsewhere.
    pub(crate) fn raise_feeder(&mut self, slot: Slot, flows: &mut Flows) {
        if let Some(feeder) = self.known(slot).and_then(|port| port.fed_by) {
            self.raise_own(feeder, Obstacle::Settling, flows);
        }
    }

    /// The port goes.
    pub(crate) fn close(&mut self, slot: Slot, flows: &mut Flows) {
        self.raise(slot, flows);
        let place = self.known(slot).and_then(|port| port.place.take());
        if let Some(place) = place {
            self.kernel.release(place);
        }
        if let Some(port) = self.ports.get_mut(slot.index as usize) {
            *port = None;
        }
    }

    /// Brings the counters of all flows up to date.
    pub(crate) fn count_all(&mut self, now: Time, flows: &mut Flows) {
        for (slot, exit, beside) in self.all_down() {
            self.fold(slot, exit, beside, flows);
            // Where SRTP stands is written down, as if its packets came here.
            flows.note(now, slot);
        }
    }

    /// SRTP that nobody has proved for long comes up for a packet. After its counters were told: it is no change of what carries it.
    pub(crate) fn raise_unproved(&mut self, now: Time, flows: &mut Flows) {
        let mut due = Vec::new();
        for (slot, ..) in self.all_down() {
            let Some(Port { standing: Standing::Down(down), .. }) = self.known(slot) else { continue };
            let since = down.sealed.as_ref().map(|sealed| sealed.since);
            due.extend(since.filter(|since| now.since(*since) >= PROVED_EVERY).map(|since| (since, slot)));
        }
        due.sort_unstable_by_key(|(since, _)| *since);
        for (_, slot) in due.into_iter().take(PROVED_AT_ONCE) {
            self.raise_own(slot, Obstacle::Settling, flows);
        }
    }

    /// Routes, addresses or interfaces changed: a flow whose way is another one now comes up.
    pub(crate) fn reroute(&mut self, local: impl Fn(Slot) -> Option<SocketAddr>, flows: &mut Flows) {
        let news = self.routes.read_news();
        news.gone.iter().for_each(|interface| self.kernel.forget(*interface));
        self.kernel.heard(&news, &self.routes);
        if !news.is_rerouted {
            return;
        }
        for (slot, ..) in self.all_down() {
            let way = self.find(slot, &local, flows);
            let same = matches!((&way, self.known(slot)), (Ok((passage, ..)), Some(Port { standing: Standing::Down(down), .. })) if *passage == down.passage);
            if !same {
                self.raise_own(slot, way.err().unwrap_or(Obstacle::Settling), flows);
            }
        }
    }

    fn all_down(&self) -> Vec<(Slot, Slot, u64)> {
        let ports = self.ports.iter().enumerate().filter_map(|(index, port)| Some((index as u32, port.as_ref()?)));
        ports
            .filter_map(|(index, port)| match &port.standing {
                Standing::Down(down) => Some((Slot { index, generation: port.generation }, down.exit, down.beside())),
                Standing::Up { .. } => None,
            })
            .collect()
    }

    fn known(&mut self, slot: Slot) -> Option<&mut Port> {
        self.ports.get_mut(slot.index as usize)?.as_mut().filter(|port| port.generation == slot.generation)
    }

    fn port(&mut self, slot: Slot) -> &mut Port {
        let index = slot.index as usize;
        if self.ports.len() <= index {
            self.ports.resize_with(index + 1, || None);
        }
        let port = self.ports[index].get_or_insert_with(|| Port::new(slot.generation));
        if port.generation != slot.generation {
            *port = Port::new(slot.generation);
        }
        port
    }

    /// The way of a port's packets through the kernel, and the port by which they leave.
    fn find(
        &self,
        slot: Slot,
        local: impl Fn(Slot) -> Option<SocketAddr>,
        flows: &mut Flows,
    ) -> Result<(Passage, Slot, Option<Seal>), Obstacle> {
        let Across { peer, exit, to, speech, is_video, seal } = flows.way(slot)?;
        let (here, there) = (local(slot).ok_or(Obstacle::NoRoute)?, local(exit).ok_or(Obstacle::NoRoute)?);
        if here.is_ipv4() != there.is_ipv4() || peer.is_ipv4() != to.is_ipv4() {
            return Err(Obstacle::Families);
        }
        if here.ip().is_unspecified() || there.ip().is_unspecified() {
            return Err(Obstacle::NoRoute);
        }
        let (enters, _) = self.ethernet(here, peer)?;
        let (interface, hop) = self.ethernet(there, to)?;
        self.attach(enters)?;
        let (arrives, leaves) = (Pair { local: here, peer }, Pair { local: there, peer: to });
        Ok((
            Passage { enters, arrives, leaves, hop, interface, dscp: self.marks.of(is_video), speech, sealed: seal.is_some() },
            exit,
            seal,
        ))
    }

    /// Interface and next hop towards a peer.
    fn ethernet(&self, source: SocketAddr, to: SocketAddr) -> Result<(u32, std::net::IpAddr), Obstacle> {
        match self.routes.way(source.ip(), to.ip()) {
            Ok(Way::Out { interface, hop }) => Ok((interface, hop)),
            Ok(Way::Here) => Err(Obstacle::LocalPeer),
            Ok(Way::None) | Err(_) => Err(Obstacle::NoRoute),
        }
    }

    fn attach(&self, interface: u32) -> Result<(), Obstacle> {
        if self.kernel.is_attached(interface) {
            return Ok(());
        }
        let link = self.routes.link(interface).ok().flatten().ok_or(Obstacle::NoRoute)?;
        if link.is_ethernet { self.kernel.attach(interface, &link) } else { Err(Obstacle::NoEthernet) }
    }

    fn lower(
        &mut self,
        now: Time,
        slot: Slot,
        local: impl Fn(Slot) -> Option<SocketAddr>,
        flows: &mut Flows,
    ) -> Result<(), Obstacle> {
        let (passage, exit, seal) = self.find(slot, local, flows)?;
        if self.port(exit).fed_by.is_some_and(|feeder| feeder != slot) {
            return Err(Obstacle::Service);
        }
        let kernel = self.kernel.clone();
        let port = self.port(slot);
        let place = match port.place {
            Some(place) => place,
            None => *port.place.insert(kernel.reserve().ok_or(Obstacle::Full)?),
        };
        let seen = Seen { progress: flows.progress(slot), ..port.counted };
        kernel.lower(&passage, place, &seen, &self.routes)?;
        let port = self.port(slot);
        port.counted = seen;
        let sealed =
            seal.map(|seal| Sealed { seal, from: seen.progress.highest, carried: seal.index, since: now, settled: None });
        port.standing = Standing::Down(Box::new(Down { passage, exit, aside: 0, heard: 0, began: seen.packets, sealed }));
        self.port(exit).fed_by = Some(slot);
        self.down += 1;
        Ok(())
    }

    fn raise_own(&mut self, slot: Slot, why: Obstacle, flows: &mut Flows) {
        let Some(port) = self.known(slot).filter(|port| matches!(port.standing, Standing::Down(_))) else { return };
        let again = if why == Obstacle::Unseen { Time::NEVER } else { Time::ZERO };
        let Standing::Down(down) = std::mem::replace(&mut port.standing, Standing::Up { again }) else { return };
        port.left = Some((down.exit, down.beside()));
        self.down -= 1;
        self.kernel.raise(&down.passage);
        self.fold(slot, down.exit, down.beside(), flows);
        if let Some(mut sealed) = down.sealed {
            sealed.follow(&flows.progress(slot));
            flows.carried_on(slot, sealed.seal.ssrc, sealed.carried);
        }
        if let Some(exit) = self.known(down.exit) {
            exit.fed_by = None;
        }
        flows.set_tier(slot, Tier::Sockets(why));
    }

    /// What the kernel counted since the last time goes into the counters; `beside` packets of the stream it did not see. False: it
    /// counted nothing.
    fn fold(&mut self, slot: Slot, exit: Slot, beside: u64, flows: &mut Flows) -> bool {
        let kernel = self.kernel.clone();
        let Some(port) = self.known(slot) else { return false };
        let Some(mut seen) = port.place.and_then(|place| kernel.seen(place)) else { return false };
        let packets = seen.packets.saturating_sub(port.counted.packets);
        if packets == 0 {
            return false;
        }
        let octets = seen.octets.saturating_sub(port.counted.octets);
        let as_frames: u64 = seen.as_frames.wrapping_sub(port.counted.as_frames).into();
        port.counted = seen;
        if let Standing::Down(down) = &mut port.standing
            && let Some(sealed) = &mut down.sealed
        {
            sealed.follow(&seen.progress);
            flows.carried_on(slot, sealed.seal.ssrc, sealed.carried);
        }
        seen.progress.received += beside;
        port.passed_on = match flows.tier(slot) {
            Some(Tier::Tc(why)) if why != Obstacle::PassedOn => 0,
            _ if as_frames > 0 => 0,
            _ => port.passed_on + packets,
        };
        flows.forwarded(slot, exit, Carried { packets, octets, as_frames }, seen.progress);
        self.tell_program(slot, flows);
        true
    }

    /// Tells by which of its programs the kernel forwards a flow that is down: by the faster one, where nothing is in its way and it does.
    fn tell_program(&mut self, slot: Slot, flows: &mut Flows) {
        let kernel = self.kernel.clone();
        let Some(port) = self.known(slot) else { return };
        let Standing::Down(down) = &port.standing else { return };
        let tier = match kernel.as_frames(&down.passage) {
            Err(why) => Tier::Tc(why),
            Ok(()) if port.passed_on >= PASSED_ON_MIN => Tier::Tc(Obstacle::PassedOn),
            Ok(()) => Tier::Xdp,
        };
        if flows.tier(slot) != Some(tier) {
            flows.set_tier(slot, tier);
        }
    }

    /// Packets of a flow that is down came up again and again.
    fn look(&mut self, slot: Slot, flows: &mut Flows) {
        let kernel = self.kernel.clone();
        let Some(Port { standing: Standing::Down(down), place: Some(place), .. }) = self.known(slot) else { return };
        let seen = kernel.seen(*place).map_or(0, |seen| seen.packets.saturating_sub(down.began));
        if seen < down.aside {
            self.raise_own(slot, Obstacle::Unseen, flows);
        }
    }
}
