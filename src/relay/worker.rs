//! One thread of the packet path: it waits on its sockets, receives into its own buffers and sends from them.

mod frames;
mod made;
mod ready;
mod shared;
mod waiting;

use crate::bell::Bell;
use crate::descent::Descent;
use crate::directory::Tenant;
use crate::flow::Flow;
use crate::flow::Media;
use crate::homes;
use crate::outbox::Outbox;
use crate::pace::{BEGIN_FRAMES, BEGIN_SOCKETS, Pace};
use crate::path::{Arrival, Departure, Flows, Slot, Step};
use crate::port::{Marks, Sockets};
use crate::shared::{Handed, Neighbour, Shared};
use crate::steering::{Queue, Steering};
use crate::sys::{Batch, Epoll, Outgoing, Ready, Received};
use crate::voice::{FRAME, Sounds, Turn};
use crossbeam_channel::{Receiver, Sender};
use frames::{Frames, Later};
use made::{REPORT_MAX, time_of_day};
use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::audio::Digit;
use ringfort_media::plan::{Component, FlowPlan, PortPositions, RelayEvent};
use ringfort_media::tier::{Obstacle, Tier};
use shared::Door;
use std::net::{SocketAddr, UdpSocket};
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Most datagrams taken from one socket before the others have their turn.
const BATCH: usize = 32;
/// Most sockets told ready by one wait.
const READY: usize = 256;
/// How exact rests are, nanoseconds.
const TIMER_SLACK_NS: u64 = 1_000;
/// So many frames are made up for after a delay.
const LATE_FRAMES: usize = 5;
/// How long an event that had no room waits for the next try, milliseconds.
const RETRY_MS: i32 = 10;

/// What a worker is told.
pub(crate) enum Work {
    Open {
        port: PortId,
        sockets: Sockets,
    },
    /// There is a port that several legs share.
    Share(Arc<Shared>),
    /// Nobody is behind it any more.
    Unshare {
        number: usize,
    },
    Plan {
        port: PortId,
        plan: Box<FlowPlan>,
        /// From then on it counts, though it may be installed only when the next packet comes.
        given: Instant,
    },
    Send {
        port: PortId,
        to: SocketAddr,
        datagram: Vec<u8>,
    },
    Close {
        port: PortId,
    },
    /// Lets go of a port, which goes to another worker.
    Part {
        port: PortId,
        reply: Sender<Box<Carried>>,
    },
    /// Takes such a port.
    Adopt(Box<Carried>),
    Report,
    /// Passes an event on, in order with the worker's own.
    Tell(RelayEvent),
    Positions {
        ports: Vec<PortId>,
        reply: Sender<Vec<(PortId, PortPositions)>>,
    },
    Restore {
        port: PortId,
        positions: Box<PortPositions>,
    },
    Digit {
        port: PortId,
        digit: Digit,
    },
    AskForPicture {
        port: PortId,
    },
    Sounds(Arc<Sounds>),
    Stop,
}

/// A port between two workers.
pub(crate) struct Carried {
    flow: Flow,
    pub(crate) sockets: Sockets,
}

/// What a worker is made of, put together where errors can still be returned.
pub(crate) struct Parts {
    /// Which worker it is.
    pub(crate) number: usize,
    pub(crate) epoll: Epoll,
    pub(crate) bell: Arc<Bell>,
    pub(crate) work: Receiver<Work>,
    /// What other workers received for this one's legs.
    pub(crate) handed: Receiver<Handed>,
    /// All workers by their number.
    pub(crate) neighbours: Arc<[Neighbour]>,
    /// Datagrams that another worker had no room for.
    pub(crate) lost: Arc<AtomicU64>,
    /// Datagrams in frames that are nobody's.
    pub(crate) strangers: Arc<AtomicU64>,
    pub(crate) outbox: Outbox,
    /// How long packets may gather.
    pub(crate) gather: Duration,
    /// Origin of time, the same for all workers.
    pub(crate) began: Instant,
    /// What is random of the reports that the node makes.
    pub(crate) reports: Option<Seeded>,
    /// The kernel tier, or why there is none.
    pub(crate) descent: Result<Descent, Obstacle>,
    /// The AF_XDP tier, if there is one.
    pub(crate) steering: Option<Arc<Steering>>,
    /// This worker's part of it.
    pub(crate) queues: Vec<Queue>,
    /// What frames are marked with, as sockets are.
    pub(crate) marks: Marks,
}

/// A port's sockets, and how eagerly each is read.
struct Open {
    sockets: Sockets,
    appetite: [Appetite; 2],
    /// Where it is bound; known where frames may leave from there.
    local: Option<SocketAddr>,
    /// Frames to it are steered past its socket.
    is_steered: bool,
}

/// Where the datagram at hand lies.
enum Buffer<'a> {
    /// In a buffer of the batch.
    Batch(usize),
    /// In a frame.
    Frame(&'a mut [u8]),
}

/// How many datagrams to ask a socket for. A call's socket has one packet at a time, and asking for more costs a second look
/// in the kernel; one that is never empty is asked for twice as many each turn.
#[derive(Clone, Copy)]
struct Appetite {
    want: usize,
    turn: u64,
}

impl Appetite {
    /// How many to ask for in turn number `turn`.
    fn of_turn(&mut self, turn: u64) -> usize {
        if self.turn.wrapping_add(1) != turn {
            self.want = 1;
        }
        self.turn = turn;
        self.want
    }

    /// How many there were.
    fn found(&mut self, count: usize) {
        self.want = if count >= self.want { (self.want * 2).min(BATCH) } else { 1 };
    }
}

/// The thread's state.
pub(crate) struct Worker {
    parts: Parts,
    flows: Flows,
    open: Vec<Option<Open>>,
    doors: Vec<Option<Door>>,
    /// Of the batch at hand of a shared port: buffer, leg, source.
    callers: Vec<(usize, Tenant, Received)>,
    /// Frames of this worker's queues; `None` where there are none.
    frames: Option<Box<Frames>>,
    /// Datagrams in frames for a shared port whose legs were just changing.
    later: Later,
    batch: Batch,
    ready: Box<[Ready]>,
    departures: Vec<(usize, Departure)>,
    /// RTP packets that were relayed in this turn of a socket.
    relayed_rtp: u64,
    outgoing: Vec<Outgoing>,
    now: Time,
    turns: u64,
    pace: Pace,
    stopped: bool,
    voices: Turn,
    /// When the ports that speak have their next turn.
    next_frame: Option<Time>,
    /// When reports are looked for that are due.
    next_reports: Time,
}

impl Worker {
    /// Allocates all that packets need.
    pub(crate) fn new(mut parts: Parts) -> Worker {
        let mut flows = Flows::new();
        if let Some(dice) = parts.reports.take() {
            flows.make_reports(dice);
        }
        let frames = Frames::new(&mut parts);
        Worker {
            pace: Pace::new(parts.gather, if frames.is_some() { BEGIN_FRAMES } else { BEGIN_SOCKETS }),
            parts,
            flows,
            frames,
            later: Later::default(),
            next_reports: Time::ZERO,
            open: Vec::new(),
            doors: Vec::new(),
            callers: Vec::with_capacity(BATCH),
            batch: Batch::new(BATCH),
            ready: vec![Ready::NONE; READY].into(),
            departures: Vec::with_capacity(BATCH),
            relayed_rtp: 0,
            outgoing: Vec::with_capacity(BATCH),
            now: Time::ZERO,
            turns: 0,
            stopped: false,
            voices: Turn::new(),
            next_frame: None,
        }
    }

    /// Until it is stopped. A defect in one turn must not end all calls of this worker: it is logged, and the next turn begins.
    pub(crate) fn run(mut self) {
        // Without it the system adds 50 µs to each rest (prctl(2)).
        if let Err(error) = rustix::thread::set_current_timer_slack(NonZeroU64::new(TIMER_SLACK_NS)) {
            tracing::warn!(%error, "timer slack");
        }
        loop {
            match catch_unwind(AssertUnwindSafe(|| self.turn())) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return,
                Err(_) => {
                    tracing::error!("a relay worker's turn failed");
                    self.departures.clear();
                    self.look_after_frames();
                }
            }
        }
    }

    /// Waits, then serves each ready socket once.
    fn turn(&mut self) -> ControlFlow<()> {
        let timeout = if self.rest() { 0 } else { self.timeout() };
        let count = match self.parts.epoll.wait(&mut self.ready, timeout) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(error) => {
                // Only a programming error gets here (epoll_wait(2): EBADF, EFAULT, EINVAL); going round at full speed helps
                // nobody.
                tracing::error!(%error, "epoll");
                std::thread::sleep(Duration::from_millis(RETRY_MS as u64));
                0
            }
        };
        self.now = self.clock();
        self.turns += 1;
        self.pace.came(0, count == READY);
        // One that wakes because it speaks, too: what it says may be over.
        self.catch_up();
        self.serve_ready(count);
        self.take_later();
        self.take_handed();
        self.speak();
        if self.now >= self.next_reports {
            self.send_reports();
        }
        while let Some((port, ssrc)) = self.flows.poll_stream() {
            self.parts.outbox.offer(RelayEvent::Stream { port, ssrc });
        }
        while let Some((port, positions)) = self.flows.poll_positions() {
            self.parts.outbox.tell(RelayEvent::Positions { port, positions: Box::new(positions) });
        }
        while let Some(wanted) = self.flows.poll_wanted() {
            // Who wants a picture says so again.
            self.parts.outbox.offer(wanted);
        }
        if self.parts.outbox.is_waiting() {
            self.parts.outbox.flush();
        }
        if self.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Ports that speak have a turn for every frame that is due. A worker that came far too late leaves out what is past.
    fn speak(&mut self) {
        if !self.flows.is_speaking() {
            self.next_frame = None;
            return;
        }
        let mut due = self.next_frame.unwrap_or(self.now);
        let open = &self.open;
        let mut send = |departure: &Departure, packet: &[u8]| {
            let sent = socket(open, departure.slot, departure.component).map(|socket| socket.send_to(packet, departure.to));
            matches!(sent, Some(Ok(_)))
        };
        for _ in 0..LATE_FRAMES {
            if due > self.now {
                break;
            }
            self.flows.speak(due, &mut self.voices, &mut send);
            due = due + FRAME;
        }
        self.next_frame = Some(due.max(self.now));
        for event in self.voices.events.drain(..) {
            self.parts.outbox.tell(event);
        }
    }

    /// Takes what a socket has, up to its appetite, through the path and out.
    fn serve(&mut self, token: u64) {
        let (slot, component) = socket_of(token);
        let Some(open) = self.open.get_mut(slot.index as usize).and_then(Option::as_mut) else { return };
        // A port that closed in this very turn may have left its place to another one.
        let (Some(port), Some(socket)) = (self.flows.port(slot), open.sockets.of(component)) else { return };
        let appetite = &mut open.appetite[component as usize];
        // An error here is one that the network reported for a packet sent before; reading it cleared it.
        let Ok(count) = self.batch.receive(socket, appetite.of_turn(self.turns)) else { return };
        appetite.found(count);
        self.pace.came(count, false);
        self.catch_up();
        for n in 0..count {
            if let Some(received) = self.batch.received(n) {
                self.relay(n, slot, component, port, received);
            }
        }
        self.send();
        self.descend(slot);
        self.steer(slot, port);
    }

    /// A packet that was sent after the core gave a command is judged by that command.
    fn catch_up(&mut self) {
        if self.parts.bell.is_rung() {
            self.obey();
        }
    }

    /// Where packets of the port were just relayed, the kernel may take the next ones.
    fn descend(&mut self, slot: Slot) {
        let packets = std::mem::take(&mut self.relayed_rtp);
        let Ok(descent) = &mut self.parts.descent else { return };
        if packets == 0 {
            return;
        }
        let local = |slot| socket(&self.open, slot, Component::Rtp)?.local_addr().ok();
        if descent.passed(self.now, slot, packets, local, &mut self.flows) {
            self.told();
            // The kernel sees what is not steered.
            self.unsteer(slot);
            // A command that was left for the next packet: there may be none.
            if self.parts.bell.is_rung() {
                self.obey();
            }
        }
    }

    /// Who commands learns whether packets will wake this worker.
    fn told(&self) {
        if let Ok(descent) = &self.parts.descent {
            self.parts.bell.set_down(descent.count());
        }
    }

    /// What concerns the port comes up from the kernel: it is about to change.
    fn raise(&mut self, port: PortId) {
        if let (Ok(descent), Some(slot)) = (&mut self.parts.descent, self.flows.slot(port)) {
            descent.raise(slot, &mut self.flows);
            self.told();
        }
    }

    fn reroute(&mut self) {
        if let Ok(descent) = &mut self.parts.descent {
            let local = |slot| socket(&self.open, slot, Component::Rtp)?.local_addr().ok();
            descent.reroute(local, &mut self.flows);
            self.told();
        }
    }

    /// One datagram in buffer `n`.
    fn relay(&mut self, n: usize, slot: Slot, component: Component, port: PortId, received: Received) {
        if let Some(departure) = self.judge(slot, component, port, received, Buffer::Batch(n)) {
            self.departures.push((n, departure));
        }
    }

    /// What becomes of a datagram. `Some`: it is ready to be sent from where it lies.
    fn judge(
        &mut self,
        slot: Slot,
        component: Component,
        port: PortId,
        Received { from, len, truncated }: Received,
        buffer: Buffer<'_>,
    ) -> Option<Departure> {
        if truncated {
            self.flows.too_long(slot);
            return None;
        }
        let is_frame = matches!(buffer, Buffer::Frame(_));
        if let Ok(descent) = &mut self.parts.descent {
            descent.settle(self.now, slot, (component, from), &mut self.flows);
        }
        let octets = match buffer {
            Buffer::Batch(n) => self.batch.buffer(n),
            Buffer::Frame(octets) => octets,
        };
        let verdict = self.flows.relay(self.now, Arrival { slot, component, from, len }, octets);
        let control = (verdict.step == Step::Control).then(|| octets.get(..len).unwrap_or_default().to_vec());
        self.send_copy();
        if verdict.latched {
            // The kernel may have been told of another source.
            self.raise(port);
            if let Ok(descent) = &mut self.parts.descent {
                descent.raise_feeder(slot, &mut self.flows);
                self.told();
            }
            self.parts.outbox.tell(RelayEvent::Latched { port, component, source: from });
        }
        if let Some(datagram) = control
            && !self.parts.outbox.offer(RelayEvent::Control { port, from, datagram })
        {
            self.flows.control_lost(slot);
        }
        if verdict.step == Step::Heard
            && let Ok(descent) = &mut self.parts.descent
        {
            descent.heard(slot);
        }
        let Step::Send(departure) = verdict.step else { return None };
        self.relayed_rtp += u64::from(departure.media == Media::Rtp);
        if self.parts.steering.is_some() && component == Component::Rtp {
            self.flows.carried_as_frames(slot, is_frame);
        }
        Some(departure)
    }

    /// Sends the copy that a recorder gets of the packet at hand. One that cannot be sent is counted, and nothing waits for it.
    fn send_copy(&mut self) {
        let Some((departure, packet)) = self.flows.take_copy() else { return };
        let sent = socket(&self.open, departure.slot, departure.component).map(|socket| socket.send_to(packet, departure.to));
        self.flows.sent(&departure, matches!(sent, Some(Ok(_))));
    }

    /// Sends the departures of one received batch: those by the same socket, with the same code point, with one call.
    fn send(&mut self) {
        self.send_frames();
        let mut first = 0;
        while let Some(&(_, head)) = self.departures.get(first) {
            let run = self.departures[first..].iter();
            let run = run.take_while(|(_, d)| d.is_video == head.is_video && same_socket(&self.open, d, &head)).count();
            self.send_run(first, run);
            first += run;
        }
        self.departures.clear();
    }

    /// Sends departures `first..first + run` of one socket and one code point. A packet that the system refuses is counted and left out.
    fn send_run(&mut self, first: usize, run: usize) {
        let departures = &self.departures[first..first + run];
        self.outgoing.clear();
        self.outgoing.extend(departures.iter().map(|&(buffer, d)| Outgoing { buffer, len: d.len, to: d.to }));
        let socket = departures.first().and_then(|(_, d)| socket(&self.open, d.slot, d.component));
        let dscp = departures.first().and_then(|(_, d)| self.parts.marks.beside(d.is_video));
        let mut done = 0;
        while done < run {
            let taken = socket.and_then(|socket| self.batch.send(socket, &self.outgoing[done..], dscp).ok()).unwrap_or(0);
            for (n, (_, departure)) in departures[done..].iter().take(taken.max(1)).enumerate() {
                self.flows.sent(departure, n < taken);
            }
            done += taken.max(1);
        }
    }

    /// Carries out what is in the queue.
    fn obey(&mut self) {
        self.parts.bell.answer();
        while let Ok(work) = self.parts.work.try_recv() {
            match work {
                Work::Open { port, sockets } => self.open_port(port, sockets),
                Work::Share(shared) => self.open_door(shared),
                Work::Unshare { number } => self.close_door(number),
                Work::Plan { port, plan, given } => {
                    self.raise(port);
                    let since = Time::from_micros(given.saturating_duration_since(self.parts.began).as_micros() as u64);
                    self.flows.plan(since, port, plan);
                }
                Work::Send { port, to, datagram } => self.send_control(port, to, &datagram),
                Work::Close { port } => self.close_port(port),
                Work::Part { port, reply } => self.part(port, &reply),
                Work::Adopt(carried) => self.adopt(*carried),
                Work::Report => self.report(),
                Work::Tell(event) => self.parts.outbox.tell(event),
                Work::Positions { ports, reply } => self.tell_positions(&ports, &reply),
                Work::Restore { port, positions } => self.flows.restore(port, &positions),
                Work::Digit { port, digit } => self.flows.tell_digit(port, digit),
                Work::AskForPicture { port } => self.ask_for_picture(port),
                Work::Sounds(sounds) => self.voices.sounds = sounds,
                Work::Stop => self.stopped = true,
            }
        }
    }

    fn open_port(&mut self, port: PortId, sockets: Sockets) {
        let Some(slot) = self.flows.open(port, sockets.of(Component::Rtcp).is_some()) else { return };
        // Who shares a port speaks SRTP.
        let first = if matches!(sockets, Sockets::Shared(_)) { Obstacle::Secure } else { Obstacle::Settling };
        let obstacle = self.parts.descent.as_ref().err().copied().unwrap_or(first);
        self.flows.set_tier(slot, Tier::Sockets(obstacle));
        self.watch(port, slot, sockets);
    }

    /// Packets of a port are waited for.
    fn watch(&mut self, port: PortId, slot: Slot, sockets: Sockets) {
        for (component, socket) in sockets.own() {
            if let Err(error) = self.parts.epoll.add(socket, token_of(slot, component)) {
                self.flows.close(port);
                return self.parts.outbox.tell(RelayEvent::OpenFailed { port, error: error.to_string() });
            }
        }
        let index = slot.index as usize;
        if self.open.len() <= index {
            self.open.resize_with(index + 1, || None);
        }
        let near_frames = self.parts.steering.is_some() && self.parts.number == homes::FRAMES;
        let local = sockets.of(Component::Rtp).filter(|_| near_frames).and_then(|socket| socket.local_addr().ok());
        self.open[index] = Some(Open { sockets, appetite: [Appetite { want: 1, turn: 0 }; 2], local, is_steered: false });
    }

    /// What its sockets hold by now is read by the next worker.
    fn part(&mut self, port: PortId, reply: &Sender<Box<Carried>>) {
        self.forget(port);
        self.close_steered(port);
        let Some((slot, flow)) = self.flows.take(port) else { return };
        let Some(Open { sockets, .. }) = self.open.get_mut(slot.index as usize).and_then(Option::take) else { return };
        for (_, socket) in sockets.own() {
            if let Err(error) = self.parts.epoll.remove(socket) {
                tracing::error!(%error, "epoll");
            }
        }
        // Whoever has given up waiting has said so; the sockets close then.
        let _ = reply.try_send(Box::new(Carried { flow, sockets }));
    }

    fn adopt(&mut self, carried: Carried) {
        let Carried { mut flow, sockets } = carried;
        let port = flow.port;
        flow.moved();
        if let Some(slot) = self.flows.put(flow) {
            self.watch(port, slot, sockets);
        }
    }

    fn send_control(&mut self, port: PortId, to: SocketAddr, datagram: &[u8]) {
        let slot = self.flows.slot(port);
        let sent = slot.and_then(|slot| socket(&self.open, slot, Component::Rtp)).map(|socket| socket.send_to(datagram, to));
        if !matches!(sent, Some(Ok(_))) {
            self.flows.send_failed(port);
        }
    }

    /// The kernel forgets a port that goes.
    fn forget(&mut self, port: PortId) {
        if let (Ok(descent), Some(slot)) = (&mut self.parts.descent, self.flows.slot(port)) {
            descent.close(slot, &mut self.flows);
            self.told();
        }
    }

    /// Closing a socket takes it out of epoll.
    fn close_port(&mut self, port: PortId) {
        self.forget(port);
        let mut buffer = [0; REPORT_MAX];
        if let Some(departure) = self.flows.farewell(self.now, time_of_day(), port, &mut buffer) {
            self.send_made(&departure, &buffer);
        }
        self.close_steered(port);
        let Some((slot, counters)) = self.flows.close(port) else { return };
        if let Some(place) = self.open.get_mut(slot.index as usize) {
            *place = None;
        }
        self.parts.outbox.tell(RelayEvent::Counters { port, counters: Box::new(counters), last: true });
    }

    /// While the core has not taken the last report, another one would only make it later still.
    fn report(&mut self) {
        self.count_lost_frames();
        if self.parts.outbox.is_waiting() {
            return;
        }
        if let Ok(descent) = &mut self.parts.descent {
            descent.count_all(self.now, &mut self.flows);
        }
        for (port, counters) in self.flows.counters() {
            self.parts.outbox.tell(RelayEvent::Counters { port, counters: Box::new(counters), last: false });
        }
        if let Ok(descent) = &mut self.parts.descent {
            descent.raise_unproved(self.now, &mut self.flows);
        }
        self.told();
    }

    fn tell_positions(&mut self, ports: &[PortId], reply: &Sender<Vec<(PortId, PortPositions)>>) {
        let positions = ports.iter().filter_map(|port| Some((*port, self.flows.positions(*port)?))).collect();
        // The asker may have given up waiting.
        let _ = reply.try_send(positions);
    }
}

fn socket(open: &[Option<Open>], slot: Slot, component: Component) -> Option<&UdpSocket> {
    open.get(slot.index as usize)?.as_ref()?.sockets.of(component)
}

/// Legs that share a port leave by the same socket.
fn same_socket(open: &[Option<Open>], a: &Departure, b: &Departure) -> bool {
    let same_place = a.slot == b.slot && a.component == b.component;
    let of = |departure: &Departure| socket(open, departure.slot, departure.component);
    same_place || matches!((of(a), of(b)), (Some(a), Some(b)) if std::ptr::eq(a, b))
}

/// A socket's token: generation, slot, component. The slot has 31 bits, of which `MEDIA_PORTS_MAX` needs few.
fn token_of(slot: Slot, component: Component) -> u64 {
    u64::from(slot.generation) << 32 | u64::from(slot.index) << 1 | component as u64
}

fn socket_of(token: u64) -> (Slot, Component) {
    let component = if token & 1 == 0 { Component::Rtp } else { Component::Rtcp };
    (Slot { index: token as u32 >> 1, generation: (token >> 32) as u32 }, component)
}

#[cfg(test)]
mod tests {
    use super::shared::shared_of;
    use super::*;
    use crate::bell::WAKE;

    #[test]
    fn tokens_come_back() {
        for (index, generation) in [(0, 0), (1, 0), (19_999, 7), (0x7fff_fffe, u32::MAX - 1)] {
            for component in [Component::Rtp, Component::Rtcp] {
                let slot = Slot { index, generation };
                assert_eq!(socket_of(token_of(slot, component)), (slot, component));
                assert_ne!(token_of(slot, component), WAKE);
                assert_eq!(shared_of(token_of(slot, component)), None);
            }
        }
    }

    #[test]
    fn appetite_grows_while_a_socket_stays_full() {
        let mut appetite = Appetite { want: 1, turn: 0 };
        let mut wants = Vec::new();
        for turn in [5, 6, 7, 9] {
            let want = appetite.of_turn(turn);
            wants.push(want);
            appetite.found(want);
        }
        assert_eq!(wants, [1, 2, 4, 1]);
        appetite.of_turn(10);
        appetite.found(0);
        assert_eq!(appetite.of_turn(11), 1);
    }
}
