//! What the core holds of the relay: it binds sockets and hands commands to the workers.

use crate::bell::{Bell, ROUTES};
use crate::descent::Descent;
use crate::directory::{Directory, Tenant};
use crate::faults::{self, Faults};
use crate::homes::{self, Homes};
use crate::kernel::fronts::{Front, Fronts};
use crate::kernel::programs::Programs;
use crate::kernel::{Kernel, Unavailable};
use crate::outbox::{Outbox, Sink};
use crate::port::{Marks, Sockets};
use crate::routes::Routes;
use crate::shared::{Handed, Neighbour, Shared};
use crate::steering::{Queue, Steering};
use crate::sys::{self, Epoll};
use crate::voice::Sounds;
use crate::worker::{Carried, Parts, Work, Worker};
use crossbeam_channel::{Receiver, Sender, bounded};
use ringfort_base::entropy::Seeded;
use ringfort_base::limits::{self, MEDIA_PORTS_MAX, RELAY_HANDED_MAX, SHARED_PORTS_MAX};
use ringfort_base::{CallId, PortId, Time};
use ringfort_media::plan::{Component, FlowPlan, Latch, PortPositions, RelayCommand, RelayEvent, Source, Speech};
use ringfort_media::tier::Obstacle;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use ringfort_base::limits::RELAY_COMMANDS_MAX as COMMANDS_MAX;
/// So many commands may wait; more wake the worker, long before its queue is full.
const LEFT_MAX: usize = COMMANDS_MAX / 8;
/// How long [`Relay::positions`], and a port that moves, wait for a worker.
const REPLY_MAX: Duration = Duration::from_secs(1);

/// How the relay runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Threads, at least one; one for each core is right.
    pub workers: usize,
    /// How long packets may gather where a worker has many of them, so that one look serves several, microseconds. 0: never.
    pub gather_us: u32,
    /// Workers go before all threads that are not of a real-time class, where the system allows it.
    pub realtime: bool,
    /// Receive buffer of each socket, octets. The system may grant less.
    pub receive_buffer: usize,
    /// Differentiated services code point of what is sent (RFC 4594 4.1: 46, expedited forwarding, for telephony).
    pub dscp: u8,
    /// That of video (RFC 4594 4.3: 34, AF41, for conferences).
    pub dscp_video: u8,
    /// Flows that need nothing else are carried by the kernel, where the system allows it.
    pub kernel: bool,
    /// Interfaces whose frames for the relay's ports are steered past the kernel's sockets (AF_XDP), where the system allows it.
    pub af_xdp: Vec<String>,
    /// What is random of the reports that the node makes to peers which get none otherwise (RFC 3550 6); `None`: it makes none.
    pub reports: Option<u64>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get());
        RelayConfig {
            workers,
            gather_us: limits::RELAY_GATHER_US,
            realtime: false,
            receive_buffer: 128 * 1024,
            dscp: 46,
            dscp_video: 34,
            kernel: false,
            af_xdp: Vec::new(),
            reports: None,
        }
    }
}

/// Addresses to which a port is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalAddresses {
    /// RTP socket.
    pub rtp: SocketAddr,
    /// RTCP socket, if the port has one.
    pub rtcp: Option<SocketAddr>,
}

/// Where an open port lives.
struct Place {
    call: CallId,
    worker: usize,
    local: LocalAddresses,
    /// It shares its socket with other legs.
    shared: Option<Arc<Shared>>,
}

/// What is open.
struct Places {
    ports: HashMap<PortId, Place>,
    shared: HashMap<SocketAddr, Arc<Shared>>,
    homes: Homes,
}

impl Places {
    /// The lowest number that no shared port has.
    fn free_number(&self) -> Option<usize> {
        (0..SHARED_PORTS_MAX).find(|number| self.shared.values().all(|shared| shared.number != *number))
    }
}

/// What a worker is reached by.
struct Line {
    epoll: Epoll,
    bell: Arc<Bell>,
    handed: Receiver<Handed>,
}

/// A line to each worker, and for the workers to each other. A single worker has none to hand anything to but, with frames, itself.
fn lines(workers: usize, frames: bool) -> io::Result<(Vec<Line>, Arc<[Neighbour]>)> {
    let (mut lines, mut neighbours) = (Vec::new(), Vec::new());
    for _ in 0..workers {
        let epoll = Epoll::new()?;
        let bell = Arc::new(Bell::new(&epoll)?);
        let (sender, handed) = bounded(if workers > 1 || frames { RELAY_HANDED_MAX } else { 1 });
        neighbours.push(Neighbour { handed: sender, bell: bell.clone() });
        lines.push(Line { epoll, bell, handed });
    }
    Ok((lines, neighbours.into()))
}

/// What all workers have in common.
struct Common {
    neighbours: Arc<[Neighbour]>,
    kernel: Result<Arc<Kernel>, Unavailable>,
    steering: Option<Arc<Steering>>,
    /// One origin of time: a port's latch and allowances go with it to another worker.
    began: Instant,
    sink: Sink,
    lost: Arc<AtomicU64>,
    strangers: Arc<AtomicU64>,
}

/// A worker's thread; ends with this value.
struct Handle {
    work: Sender<Work>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Handle {
    fn start(number: usize, line: Line, queues: Vec<Queue>, config: &RelayConfig, common: &Common) -> io::Result<Handle> {
        let Line { epoll, bell, handed } = line;
        let (work, queue) = bounded(COMMANDS_MAX);
        let marks = Marks { audio: config.dscp, video: config.dscp_video };
        let gather = Duration::from_micros(config.gather_us.into());
        let descent = match &common.kernel {
            Ok(kernel) => {
                let descent = Descent::new(kernel.clone(), Routes::new(kernel.has_frames())?, marks);
                epoll.add(descent.news(), ROUTES)?;
                Ok(descent)
            }
            Err(unavailable) => Err(unavailable.obstacle),
        };
        // Each worker has its own.
        let reports = config.reports.map(|seed| Seeded::new(seed.wrapping_add(number as u64)));
        let parts = Parts {
            number,
            descent,
            epoll,
            bell: bell.clone(),
            work: queue,
            handed,
            neighbours: common.neighbours.clone(),
            lost: common.lost.clone(),
            strangers: common.strangers.clone(),
            outbox: Outbox::new(common.sink.clone()),
            gather,
            began: common.began,
            reports,
            steering: common.steering.clone(),
            queues,
            marks,
        };
        let realtime = config.realtime;
        let run = move || {
            if realtime && let Err(error) = sys::go_first() {
                tracing::warn!(%error, "the relay has no real-time priority (media.realtime)");
            }
            Worker::new(parts).run();
        };
        let thread = Builder::new().name(format!("relay-{number}")).spawn(run)?;
        Ok(Handle { work, bell, thread: Some(thread) })
    }

    /// Waits while the queue is full. Only a worker that has ended takes no more.
    fn give(&self, work: Work) {
        let ring = match &work {
            _ if self.work.len() >= LEFT_MAX => Bell::ring,
            // Nobody may ever send anything to a port that speaks.
            Work::Plan { plan, .. } if !plan.speaks() => Bell::leave,
            Work::Open { .. } | Work::Close { .. } => Bell::ring_soon,
            _ => Bell::ring,
        };
        if self.work.send(work).is_err() {
            tracing::error!("a relay worker has ended");
        }
        ring(&self.bell);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.give(Work::Stop);
        if let Some(thread) = self.thread.take() {
            // A worker that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

/// The packet path, seen from the core. Dropping it ends the workers and closes all sockets.
pub struct Relay {
    workers: Vec<Handle>,
    config: RelayConfig,
    /// Why there is no kernel tier.
    without_kernel: Option<Unavailable>,
    /// Interfaces that were to be steered and are not, and why.
    without_af_xdp: Vec<(String, Unavailable)>,
    /// Fast paths that are not there.
    faults: Faults,
    steering: Option<Arc<Steering>>,
    /// The slow path's own map of ports to workers; no packet is looked up in it.
    places: Mutex<Places>,
    began: Instant,
    strangers: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Relay {
    /// Starts the workers. `sink` gets their events; see [`Sink`].
    pub fn start(config: RelayConfig, sink: Sink) -> io::Result<Relay> {
        let faults = Faults::default();
        let workers = config.workers.max(1);
        let steered = steer(&config.af_xdp);
        let fronts = steered.fronts();
        let Steered { programs, steering, mut queues, without: without_af_xdp } = steered;
        let kernel = match config.kernel {
            true => kernel(programs, fronts, &faults),
            false => Err(Unavailable { obstacle: Obstacle::Configured, detail: String::new() }),
        };
        let (lines, neighbours) = lines(workers, steering.is_some())?;
        let [strangers, lost] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let (strange, gone) = (strangers.clone(), lost.clone());
        let common = Common { neighbours, kernel, steering, began: Instant::now(), sink, lost: gone, strangers: strange };
        let mut queues = |n| if n == homes::FRAMES { std::mem::take(&mut queues) } else { Vec::new() };
        let start = |(n, line)| Handle::start(n, line, queues(n), &config, &common);
        let workers = lines.into_iter().enumerate().map(start).collect::<io::Result<_>>()?;
        let (without_kernel, began) = (common.kernel.err(), common.began);
        if let Some(why) = without_kernel.as_ref().filter(|why: &&Unavailable| !why.is_chosen()) {
            faults.begin(faults::KERNEL, || format!("audio is carried by sockets only: {why}"));
        }
        for (name, why) in &without_af_xdp {
            faults.begin(&faults::af_xdp_at(name), || format!("{name} has no AF_XDP: {why}"));
        }
        let steering = common.steering.clone();
        let homes = Homes::new(config.workers.max(1), common.steering.as_ref().map(|steering| steering.is_read()));
        let places = Mutex::new(Places { ports: HashMap::new(), shared: HashMap::new(), homes });
        Ok(Relay { workers, config, without_kernel, without_af_xdp, faults, steering, places, began, strangers, lost })
    }

    /// Why nothing is carried by the kernel. `None`: it may be.
    pub fn without_kernel(&self) -> Option<&Unavailable> {
        self.without_kernel.as_ref()
    }

    /// Interfaces that [`RelayConfig::af_xdp`] names and whose frames go the usual way, and why.
    pub fn without_af_xdp(&self) -> &[(String, Unavailable)] {
        &self.without_af_xdp
    }

    /// Fast paths that are wanted and are not there now, each with the reason: at the start, and what was lost since. Asks the system about
    /// interfaces; once a second is often enough.
    pub fn faults(&self) -> Vec<(String, String)> {
        if let Some(steering) = &self.steering {
            steering.look_after(&self.faults);
        }
        self.faults.list()
    }

    /// Has a command carried out. `Open` binds before it returns, `Move` waits until the port's worker has let go of it, all others
    /// take effect on the worker, in the order given.
    pub fn command(&self, command: RelayCommand) {
        match command {
            RelayCommand::Open { port, call, rtp, rtcp, shared } => self.open(port, call, Wanted { rtp, rtcp, shared }),
            RelayCommand::Move { port, call } => self.shift(port, call),
            RelayCommand::Plan { port, plan } => {
                self.make_room(port, &plan);
                self.known_by(port, &plan);
                self.give(port, Work::Plan { port, plan, given: Instant::now() });
            }
            RelayCommand::Restore { port, positions } => self.give(port, Work::Restore { port, positions }),
            RelayCommand::Send { port, to, datagram } => {
                // The core answers only who has proved to be this leg's peer.
                self.behind(port, |directory, now| _ = directory.admit(now, port, to));
                self.give(port, Work::Send { port, to, datagram });
            }
            RelayCommand::Close { port } => self.close(port),
            RelayCommand::Digit { port, digit } => self.give(port, Work::Digit { port, digit }),
            RelayCommand::AskForPicture { port } => self.give(port, Work::AskForPicture { port }),
            RelayCommand::Report => self.workers.iter().for_each(|worker| worker.give(Work::Report)),
        }
    }

    /// Where a port is bound: of use when it was opened with port number 0. `None` if it is not open.
    pub fn local(&self, port: PortId) -> Option<LocalAddresses> {
        self.places().ports.get(&port).map(|place| place.local)
    }

    /// The sounds that plans may name, instead of those before.
    pub fn set_sounds(&self, sounds: &Arc<Sounds>) {
        self.workers.iter().for_each(|worker| worker.give(Work::Sounds(sounds.clone())));
    }

    /// How many ports are open.
    pub fn open_ports(&self) -> usize {
        self.places().ports.len()
    }

    /// Datagrams that came to shared ports and were for none of the legs behind them, and frames for ports that have gone, or from nowhere.
    pub fn strangers(&self) -> u64 {
        self.strangers.load(Ordering::Relaxed)
    }

    /// Datagrams that were lost because a worker had more than it could do: between workers, and frames that found no place in its rings.
    pub fn handed_lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Where the SRTP contexts of `ports` stand, for the journal. Waits for the workers, so ask for some hundreds at once at
    /// most; ports that are not open are left out.
    pub fn positions(&self, ports: &[PortId]) -> Vec<(PortId, PortPositions)> {
        let mut by_worker = vec![Vec::new(); self.workers.len()];
        for port in ports {
            if let Some(place) = self.places().ports.get(port) {
                by_worker[place.worker].push(*port);
            }
        }
        let asked = self.workers.iter().zip(by_worker).filter(|(_, ports)| !ports.is_empty());
        let replies: Vec<_> = asked.map(|(worker, ports)| ask(worker, ports)).collect();
        replies.into_iter().filter_map(|reply| reply.recv_timeout(REPLY_MAX).ok()).flatten().collect()
    }

    /// Lets the SRTP contexts of a port go on from `positions`, after a restart: after the port was opened and given its plan.
    pub fn restore(&self, port: PortId, positions: PortPositions) {
        self.command(RelayCommand::Restore { port, positions: Box::new(positions) });
    }

    fn open(&self, port: PortId, call: CallId, wanted: Wanted) {
        let worker = self.places().homes.of(call);
        if let Err(error) = self.bind(port, (call, worker), wanted) {
            self.workers[worker].give(Work::Tell(RelayEvent::OpenFailed { port, error: error.to_string() }));
        }
    }

    /// The port leaves its worker for that of `call`. Commands that come after this one find it there.
    fn shift(&self, port: PortId, call: CallId) {
        let mut places = self.places();
        let Some(before) = places.ports.get(&port).map(|place| place.call) else { return };
        places.homes.leave(before, port);
        let to = places.homes.of(call);
        places.homes.enter(call, port);
        if let Some(place) = places.ports.get_mut(&port) {
            place.call = call;
        }
        self.carry(&mut places, port, to);
    }

    /// Codecs and mixing are work, and leave the worker that reads frames. What is said beside audio that passes is a digit now and then.
    fn make_room(&self, port: PortId, plan: &FlowPlan) {
        let works = |speech: &Speech| !speech.pauses && matches!(speech.what, Source::Port(_) | Source::Mix(_));
        if !plan.audio.as_ref().and_then(|audio| audio.speak.as_ref()).is_some_and(works) {
            return;
        }
        let mut places = self.places();
        let Some(call) = places.ports.get(&port).map(|place| place.call) else { return };
        let Some((to, ports)) = places.homes.part(call) else { return };
        ports.into_iter().for_each(|port| self.carry(&mut places, port, to));
    }

    /// A port leaves its worker for another one.
    fn carry(&self, places: &mut Places, port: PortId, to: usize) {
        let Some(place) = places.ports.get_mut(&port).filter(|place| place.worker != to) else { return };
        let (from, shared, call) = (place.worker, place.shared.clone(), place.call);
        // Packets of a shared port wait until the leg is there.
        let mut directory = shared.as_ref().map(|shared| shared.change());
        let (reply, carried) = bounded::<Box<Carried>>(1);
        self.workers[from].give(Work::Part { port, reply });
        let Ok(mut carried) = carried.recv_timeout(REPLY_MAX) else {
            places.ports.remove(&port);
            places.homes.leave(call, port);
            directory.iter_mut().for_each(|directory| directory.leave(port));
            let error = "the port did not leave its worker".to_string();
            return self.workers[to].give(Work::Tell(RelayEvent::OpenFailed { port, error }));
        };
        place.worker = to;
        if let Some(socket) = shared.as_ref().and_then(|shared| shared.sockets.get(to)) {
            carried.sockets = Sockets::Shared(socket.clone());
        }
        self.workers[to].give(Work::Adopt(carried));
        directory.iter_mut().for_each(|directory| directory.moved(port, to));
    }

    fn bind(&self, port: PortId, (call, worker): (CallId, usize), wanted: Wanted) -> io::Result<()> {
        let mut places = self.places();
        if places.ports.contains_key(&port) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the port is open already"));
        }
        if places.ports.len() >= MEDIA_PORTS_MAX {
            return Err(io::Error::other("as many media ports as the node may have are open"));
        }
        let (place, sockets) = match wanted.shared {
            true => self.enter(&mut places, call, Tenant { port, worker }, wanted.rtp)?,
            false => self.bind_own(call, worker, wanted)?,
        };
        places.ports.insert(port, place);
        places.homes.enter(call, port);
        drop(places);
        self.workers[worker].give(Work::Open { port, sockets });
        Ok(())
    }

    fn bind_own(&self, call: CallId, worker: usize, Wanted { rtp, rtcp, .. }: Wanted) -> io::Result<(Place, Sockets)> {
        let sockets = Sockets::bind(rtp, rtcp, &self.config)?;
        // The system is asked only where it chose the port.
        let bound = |component, asked: SocketAddr| match sockets.of(component) {
            Some(socket) if asked.port() == 0 => socket.local_addr(),
            _ => Ok(asked),
        };
        let rtcp = rtcp.map(|asked| bound(Component::Rtcp, asked)).transpose()?;
        let local = LocalAddresses { rtp: bound(Component::Rtp, rtp)?, rtcp };
        Ok((Place { call, worker, local, shared: None }, sockets))
    }

    /// A leg joins those at a shared port. The first one opens it.
    fn enter(&self, places: &mut Places, call: CallId, tenant: Tenant, address: SocketAddr) -> io::Result<(Place, Sockets)> {
        let shared = match places.shared.get(&address) {
            Some(shared) => shared.clone(),
            None => self.share(places, address)?,
        };
        shared.change().enter(tenant);
        let socket = shared.sockets.get(tenant.worker).ok_or(io::ErrorKind::NotFound)?.clone();
        let local = LocalAddresses { rtp: shared.local, rtcp: None };
        Ok((Place { call, worker: tenant.worker, local, shared: Some(shared) }, Sockets::Shared(socket)))
    }

    fn share(&self, places: &mut Places, address: SocketAddr) -> io::Result<Arc<Shared>> {
        let number = places.free_number().ok_or_else(|| io::Error::other("ports are shared at too many addresses"))?;
        let shared = Arc::new(Shared::bind(number, address, &self.config, self.strangers.clone())?);
        places.shared.insert(shared.local, shared.clone());
        self.workers.iter().for_each(|worker| worker.give(Work::Share(shared.clone())));
        Ok(shared)
    }

    /// The last leg closes the shared port behind it.
    fn close(&self, port: PortId) {
        self.give(port, Work::Close { port });
        let mut places = self.places();
        let Some(Place { call, shared, .. }) = places.ports.remove(&port) else { return };
        places.homes.leave(call, port);
        let Some(shared) = shared else { return };
        let mut directory = shared.change();
        directory.leave(port);
        if directory.is_empty() {
            places.shared.remove(&shared.local);
            self.workers.iter().for_each(|worker| worker.give(Work::Unshare { number: shared.number }));
        }
    }

    /// What a shared port knows a leg's peer by.
    fn known_by(&self, port: PortId, plan: &FlowPlan) {
        self.behind(port, |directory, now| {
            directory.name(port, plan.receive.fragment.as_deref());
            if let Latch::Exact(peer) = plan.receive.latch
                && !peer.ip().is_unspecified()
            {
                directory.admit(now, port, peer);
            }
        });
    }

    /// Changes the list of who is behind a port, if several legs share it.
    fn behind(&self, port: PortId, change: impl FnOnce(&mut Directory, Time)) {
        let shared = self.places().ports.get(&port).and_then(|place| place.shared.clone());
        if let Some(shared) = shared {
            let now = Time::from_micros(self.began.elapsed().as_micros() as u64);
            change(&mut shared.change(), now);
        }
    }

    /// Hands work to the port's worker. A port that is not open has none: the core's command crossed with a failure it will
    /// hear of.
    fn give(&self, port: PortId, work: Work) {
        let worker = self.places().ports.get(&port).map(|place| place.worker);
        if let Some(worker) = worker.and_then(|worker| self.workers.get(worker)) {
            worker.give(work);
        }
    }

    /// The map is whole even if a thread panicked while it held the lock: each change is a single insertion or removal.
    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What became of the interfaces that were to be steered.
#[derive(Default)]
struct Steered {
    /// What sees their frames.
    programs: Option<Programs>,
    /// `None`: none of them is.
    steering: Option<Arc<Steering>>,
    queues: Vec<Queue>,
    without: Vec<(String, Unavailable)>,
}

impl Steered {
    /// Where what the kernel carries is forwarded as frames.
    fn fronts(&self) -> Fronts {
        let raised = self.steering.iter().flat_map(|steering| steering.fronts());
        raised.chain(self.without.iter().map(|(name, _)| (name.clone(), Front::Without))).collect()
    }
}

/// Steers what comes by these interfaces.
fn steer(names: &[String]) -> Steered {
    let mut steered = Steered::default();
    if names.is_empty() {
        return steered;
    }
    let loaded = Programs::frames().and_then(|programs| Ok((programs.clone(), Steering::load(programs)?)));
    let (programs, steering) = match loaded {
        Ok(loaded) => loaded,
        Err(why) => return Steered { without: names.iter().map(|name| (name.clone(), why.clone())).collect(), ..steered },
    };
    for name in names {
        match steering.raise(name) {
            Ok(queues) => steered.queues.extend(queues),
            Err(why) => steered.without.push((name.clone(), why)),
        }
    }
    if !steered.queues.is_empty() {
        (steered.programs, steered.steering) = (Some(programs), Some(Arc::new(steering)));
    }
    steered
}

/// The kernel tier, with the programs that see frames where there are such.
fn kernel(frames: Option<Programs>, fronts: Fronts, faults: &Faults) -> Result<Arc<Kernel>, Unavailable> {
    let has_frames = frames.is_some();
    let programs = frames.map_or_else(Programs::forward, Ok)?;
    Kernel::load(programs, has_frames, fronts, faults.clone()).map(Arc::new)
}

/// Addresses that a port is opened with.
struct Wanted {
    rtp: SocketAddr,
    rtcp: Option<SocketAddr>,
    shared: bool,
}

fn ask(worker: &Handle, ports: Vec<PortId>) -> Receiver<Vec<(PortId, PortPositions)>> {
    let (reply, answer) = bounded(1);
    worker.give(Work::Positions { ports, reply });
    answer
}
