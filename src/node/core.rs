//! The core thread: owns the [`Node`], feeds it inputs and the time, performs its outputs in order.

use crate::arrivals::{Arrivals, BATCH, Lane};
use crate::clock::Clock;
use crate::dns::Dns;
use crate::io::{Signalling, udp};
use crate::journal::JournalWriter;
use crate::poller::{Bell, Poller};
use arc_swap::ArcSwap;
use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use ringfort_base::{Event, Hop, SourceNet, Time, Transport, limits};
use ringfort_call::overload::Load;
use ringfort_call::status::Status;
use ringfort_call::{Input, Node, Output};
use ringfort_observe::Observers;
use ringfort_relay::Relay;
use ringfort_sip::locate::Question;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// Datagrams read from one socket in one turn, at most: about what the kernel keeps where nobody raised its limit. More than are handled
/// in it, so that what the core cannot keep up with is dropped here, where known sources are told from strangers and losses counted.
const DATAGRAMS: usize = 256;
/// The page's snapshot is made anew at most this often.
const STATUS_INTERVAL: Duration = Duration::from_millis(250);
/// The longest the core sleeps; wakes that nobody asked for cost nothing.
const SLEEP_MAX: Duration = Duration::from_secs(5);

/// Exit status after a panic of the core (EX_SOFTWARE of sysexits.h).
const EXIT_CORE_PANICKED: i32 = 70;

/// What the core is asked.
enum Request {
    Input(Box<Input>),
    Stop,
}

/// Where inputs are handed in. Cheap to clone.
#[derive(Clone)]
pub struct CoreHandle {
    queue: Sender<Request>,
    bell: Arc<Bell>,
    dropped: Arc<Dropped>,
}

/// Inputs dropped so far.
#[derive(Default)]
struct Dropped {
    /// Of known sources, and of the relay.
    known: AtomicU64,
    /// Of strangers.
    strangers: AtomicU64,
}

/// The queue's other end, and where the core waits for it.
pub struct CoreQueue {
    requests: Receiver<Request>,
    poller: Poller,
}

/// A bounded queue towards the core.
pub fn queue() -> io::Result<(CoreHandle, CoreQueue)> {
    let (sender, requests) = bounded(limits::CORE_QUEUE_MAX);
    let poller = Poller::new()?;
    Ok((CoreHandle { queue: sender, bell: poller.bell(), dropped: Arc::default() }, CoreQueue { requests, poller }))
}

impl CoreHandle {
    /// Hands an input in, or drops and counts it when the core is that far behind: a datagram's sender repeats it.
    /// False: dropped.
    pub fn offer(&self, input: Input) -> bool {
        let taken = self.queue.try_send(Request::Input(Box::new(input))).is_ok();
        match taken {
            true => self.bell.ring(),
            false => self.drop_one(),
        }
        taken
    }

    fn drop_one(&self) {
        self.dropped.known.fetch_add(1, Ordering::Relaxed);
    }

    /// Hands an input in and waits while the core is behind: what comes over a connection is not lost, its sender is slowed down.
    pub async fn deliver(&self, input: Input) {
        self.deliver_within(limits::CORE_QUEUE_MAX, input).await;
    }

    /// The same for what waits already when `room` inputs are queued.
    pub async fn deliver_within(&self, room: usize, input: Input) {
        let mut request = Request::Input(Box::new(input));
        loop {
            request = match request {
                full if self.queue.len() >= room => full,
                request => match self.queue.try_send(request) {
                    Ok(()) => return self.bell.ring(),
                    Err(TrySendError::Disconnected(_)) => return,
                    Err(TrySendError::Full(back)) => back,
                },
            };
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends the core thread after what is queued.
    pub fn stop(&self) {
        let _ = self.queue.send(Request::Stop);
        self.bell.ring();
    }

    /// Inputs dropped so far: those of known sources and of the relay, and those of strangers.
    fn dropped(&self) -> [u64; 2] {
        [&self.dropped.known, &self.dropped.strangers].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Everything that the core's outputs go to.
pub struct Performer {
    /// Connections.
    pub signalling: Signalling,
    /// UDP sockets with their addresses, in the order of the configuration.
    pub udp: Vec<(SocketAddr, UdpSocket)>,
    /// Name servers.
    pub dns: Dns,
    /// Media.
    pub relay: Arc<Relay>,
    /// State for the next process.
    pub journal: JournalWriter,
    /// Log, metrics, records.
    pub observers: Observers,
    /// Look-ups and connections run there.
    pub runtime: Handle,
    /// Time.
    pub clock: Clock,
    /// The page's snapshot.
    pub status: Arc<ArcSwap<Status>>,
}

/// Runs the node until it is told to stop. A panic in it is a defect that nobody foresaw: the process ends, its supervisor starts it
/// again, and the journal brings calls and registrations back. Going on without a core would be an outage that nobody notices.
pub fn run_or_end_process(node: Node, queue: CoreQueue, performer: Performer) {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(node, queue, performer)));
    if ended.is_err() {
        tracing::error!("the core has panicked; the process ends so that its supervisor starts it again");
        std::process::exit(EXIT_CORE_PANICKED);
    }
}

/// Runs the node until it is told to stop.
fn run(mut node: Node, queue: CoreQueue, performer: Performer) {
    let _runtime = performer.runtime.enter();
    let CoreQueue { requests, mut poller } = queue;
    performer.watch_all(&poller);
    let (mut arrivals, mut buffer) = (Arrivals::default(), vec![0; limits::SIP_MESSAGE_MAX]);
    let mut published = Instant::now();
    performer.perform(&mut node);
    performer.publish(&node);
    let (mut dirty, mut behind, mut lost) = (false, false, [0; 2]);
    loop {
        let due = published + STATUS_INTERVAL;
        let patience = performer.patience(&node, dirty.then_some(due));
        for number in poller.wait(patience, || !arrivals.is_empty() || !requests.is_empty()) {
            performer.read(*number, &mut arrivals, &mut buffer);
        }
        let begun = Instant::now();
        let (batch, mut taken) = (arrivals.batch(), 0_u32);
        for input in arrivals.turn() {
            node.handle(performer.clock.now(), input);
            performer.perform(&mut node);
            (dirty, taken) = (true, taken + 1);
        }
        for request in requests.try_iter().take(batch) {
            let Request::Input(input) = request else { return };
            node.handle(performer.clock.now(), *input);
            performer.perform(&mut node);
            (dirty, taken) = (true, taken + 1);
        }
        let queued = arrivals.behind() + requests.len();
        if queued > BATCH || behind {
            let load = Load { queued, lag: begun.elapsed() / taken.max(1) * queued as u32 };
            node.handle(performer.clock.now(), Input::Load(load));
            performer.perform(&mut node);
            behind = queued > BATCH;
        }
        let now = performer.clock.now();
        if node.next_timeout() <= now.mono {
            node.handle_timeout(now);
            performer.perform(&mut node);
            dirty = true;
        }
        if dirty && Instant::now() >= due {
            lost = performer.tell_losses(lost);
            performer.publish(&node);
            (published, dirty) = (Instant::now(), false);
        }
    }
}

impl Performer {
    fn watch_all(&self, poller: &Poller) {
        for (number, (address, socket)) in self.udp.iter().enumerate() {
            if let Err(error) = poller.watch(socket, number) {
                tracing::error!(%error, %address, "a UDP socket cannot be read");
            }
        }
    }

    /// Reads what a socket has. What is too much is dropped and counted: a datagram's sender repeats it.
    fn read(&self, number: usize, arrivals: &mut Arrivals, buffer: &mut [u8]) {
        let Some((local, socket)) = self.udp.get(number) else { return };
        let (door, dropped) = (&self.signalling.door, &self.signalling.core.dropped);
        for _ in 0..DATAGRAMS {
            match udp::receive(socket, *local, door, buffer) {
                Ok(Some((hop, len))) => match arrivals.take(door, hop, &buffer[..len]) {
                    None => {}
                    Some(Lane::Known) => drop(dropped.known.fetch_add(1, Ordering::Relaxed)),
                    Some(Lane::Strangers) => drop(dropped.strangers.fetch_add(1, Ordering::Relaxed)),
                },
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    fn patience(&self, node: &Node, status_due: Option<Instant>) -> Duration {
        let now = Instant::now();
        let next = node.next_timeout();
        let timer = if next == Time::NEVER { None } else { self.clock.instant(next) };
        let until = [timer, status_due].into_iter().flatten().min();
        until.map_or(SLEEP_MAX, |at| at.saturating_duration_since(now).min(SLEEP_MAX))
    }

    /// The page's snapshot; the same one stays while nothing changes, so that watchers can tell.
    fn publish(&self, node: &Node) {
        let status = node.status();
        if **self.status.load() != status {
            self.status.store(Arc::new(status));
        }
    }

    /// Tells the observers when inputs were dropped since the last time; returns how many there are now.
    fn tell_losses(&self, before: [u64; 2]) -> [u64; 2] {
        let now = self.signalling.core.dropped();
        let limits = [("CORE_QUEUE_MAX", "datagrams or relay events"), ("STRANGERS_QUEUE_MAX", "datagrams of strangers")];
        for ((limit, what), lost) in limits.into_iter().zip([now[0] - before[0], now[1] - before[1]]) {
            if lost > 0 {
                let event = Event::LimitReached { limit: limit.into(), effect: format!("{lost} {what} dropped") };
                self.observers.publish(crate::clock::wall(), event);
            }
        }
        now
    }

    fn perform(&self, node: &mut Node) {
        while let Some(output) = node.poll_output() {
            match output {
                Output::Send { hop, octets } => self.send(hop, octets),
                Output::Relay(command) => self.relay.command(command),
                Output::Persist { key, value } => self.journal.write(key, value),
                Output::Event(event) => self.observers.publish(crate::clock::wall(), event),
                Output::Shield(command) => self.signalling.door.perform(command),
                Output::Resolve { question } => self.resolve(question),
                Output::CertificateName { address, name } => self.signalling.names.learn(&name, &[address]),
            }
        }
    }

    fn send(&self, hop: Hop, octets: Bytes) {
        if hop.transport != Transport::Udp {
            return self.signalling.send(hop, octets);
        }
        let by_address = self.udp.iter().find(|(local, _)| hop.local == Some(*local));
        let by_family = || self.udp.iter().find(|(local, _)| local.is_ipv4() == hop.remote.is_ipv4());
        if !octets.starts_with(b"SIP/2.0 ") {
            // Whom the node itself asks is no stranger when he answers.
            self.signalling.door.expect(SourceNet::of(hop.remote.ip()));
        }
        // A datagram that the system refuses is lost like one on the way; the transaction's timers repeat it.
        let sent = by_address.or_else(by_family).map(|(_, socket)| socket.send_to(&octets, hop.remote));
        if sent.is_none() {
            self.signalling.core.offer(Input::SendFailed(hop));
        }
    }

    /// Asks the DNS without keeping anybody waiting.
    fn resolve(&self, question: Question) {
        let (core, dns) = (self.signalling.core.clone(), self.dns.clone());
        self.runtime.spawn(async move {
            let answer = dns.ask(&question).await;
            core.deliver(Input::Resolved { question, answer }).await;
        });
    }
}
