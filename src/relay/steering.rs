//! The AF_XDP tier: frames for ports of the relay's own are steered past the kernel's sockets into rings that a worker reads. Here the
//! program for that (bpf/frames.bpf.c) is attached to the interfaces that the configuration names, and it is known who is behind
//! which address; what a worker does with frames is in worker/frames.rs. Where the driver takes it, the program also forwards what the kernel
//! carries by itself (kernel/).
//!
//! The sockets stay: they own the ports, take what is not steered (fragments, other interfaces) and send where no frame can.
//!
//! Read first: the kernel's Documentation/networking/af_xdp.rst.

use crate::doors::{Behind, Doors};
use crate::faults::{self, Faults};
use crate::kernel::fronts::Front;
use crate::kernel::programs::{Programs, unavailable};
use crate::kernel::{Unavailable, causes};
use crate::rings::Rings;
use crate::routes::{Link, Routes};
use aya::maps::{HashMap as Table, MapData, XskMap};
use aya::programs::{Program, ProgramError, Xdp, XdpMode};
use ringfort_base::limits::{AF_XDP_SOCKETS_MAX, MEDIA_PORTS_MAX};
use std::error::Error;
use std::ffi::CString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use xdp::nic::{NicIndex, Queues};

/// As bpf/frames.bpf.c names it.
const PROGRAM: &str = "ringfort_frames";
/// How long a queue that another process has is waited for.
const RELEASE_MAX: Duration = Duration::from_secs(1);
/// A local address: IPv6, port, padding. As the program declares it.
const DOOR: usize = 20;
/// An interface: Ethernet address, number of queues, first socket, whether it forwards.
const LINK: usize = 16;

/// One queue of an interface, as a worker has it.
pub(crate) struct Queue {
    pub(crate) rings: Rings,
    pub(crate) interface: u32,
    pub(crate) link: Link,
    /// The interface sends by a queue of this number, too.
    pub(crate) sends: bool,
}

/// The program, its tables and who is behind them, shared by the workers. They meet here for calls; for packets they only look.
pub(crate) struct Steering {
    tables: Mutex<Tables>,
    behind: RwLock<Doors>,
    /// Somebody reads the rings.
    is_read: Arc<AtomicBool>,
}

struct Tables {
    programs: Programs,
    links: Table<MapData, u32, [u8; LINK]>,
    doors: Table<MapData, [u8; DOOR], u32>,
    sockets: XskMap<MapData>,
    /// Sockets that there are.
    count: u32,
    /// Interfaces that are steered.
    raised: Vec<Raised>,
}

/// An interface that is steered.
#[derive(Clone)]
struct Raised {
    name: String,
    index: u32,
    /// What its driver has of the program.
    front: Front,
}

impl Steering {
    /// Loads the program. Nothing is attached yet.
    pub(crate) fn load(programs: Programs) -> Result<Steering, Unavailable> {
        let tables = Tables::load(programs).map_err(|error| unavailable(&*error))?;
        Ok(Steering { tables: Mutex::new(tables), behind: RwLock::default(), is_read: Arc::new(AtomicBool::new(true)) })
    }

    /// Opens a socket for each queue of an interface, then has the program see what comes in by it.
    pub(crate) fn raise(&self, name: &str) -> Result<Vec<Queue>, Unavailable> {
        self.tables().raise(name).map_err(|error| unavailable(&*error))
    }

    /// What became of the interfaces that were raised.
    pub(crate) fn fronts(&self) -> Vec<(String, Front)> {
        self.tables().raised.iter().map(|raised| (raised.name.clone(), raised.front)).collect()
    }

    /// Whether somebody reads the rings.
    pub(crate) fn is_read(&self) -> Arc<AtomicBool> {
        self.is_read.clone()
    }

    /// Nobody reads the rings any more.
    pub(crate) fn give_up(&self) {
        self.is_read.store(false, Ordering::Relaxed);
    }

    /// Tells which interfaces have no frames any more. They have none before the next start.
    pub(crate) fn look_after(&self, faults: &Faults) {
        let raised = self.tables().raised.clone();
        let is_read = self.is_read.load(Ordering::Relaxed);
        for Raised { name, index, .. } in raised {
            let there = || Routes::quiet().and_then(|routes| routes.link(index)).is_ok_and(|link| link.is_some());
            let why = if !is_read { "it was given up after an error" } else { "the interface is gone" };
            if !is_read || !there() {
                let reason = || format!("{name} has no AF_XDP any more: {why}; it has it again after a restart of the node");
                faults.begin(&faults::af_xdp_at(&name), reason);
            }
        }
    }

    /// From now on frames to `local` are steered.
    pub(crate) fn open(&self, local: SocketAddr, behind: Behind) {
        let mut known = self.behind.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MEDIA_PORTS_MAX && known.get(local).is_none() {
            return;
        }
        known.insert(local, behind);
        drop(known);
        if let Err(error) = self.tables().doors.insert(door(local), 1, 0) {
            tracing::warn!(error = causes(&error), "the table of steered ports takes no more");
        }
    }

    /// From now on they are not. What was on its way still finds who is behind.
    pub(crate) fn shut(&self, local: SocketAddr) {
        if let Err(error) = self.tables().doors.remove(&door(local)) {
            tracing::debug!(error = causes(&error), "the port was not steered");
        }
    }

    /// Nobody is behind `local` any more.
    pub(crate) fn forget(&self, local: SocketAddr) {
        self.shut(local);
        self.behind.write().unwrap_or_else(PoisonError::into_inner).remove(local);
    }

    /// Who is behind which address, as it is now. Nothing is opened or forgotten until it is given back.
    pub(crate) fn known(&self) -> RwLockReadGuard<'_, Doors> {
        self.behind.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every change of the tables is whole, also where a thread panicked.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn load(programs: Programs) -> Result<Tables, Box<dyn Error>> {
        programs.program(PROGRAM, |program| Ok(xdp_of(program)?.load()?))?;
        let [links, doors, sockets] = ["links", "doors", "sockets"].map(|name| programs.table(name));
        let (links, doors, sockets) = (Table::try_from(links?)?, Table::try_from(doors?)?, XskMap::try_from(sockets?)?);
        Ok(Tables { programs, links, doors, sockets, count: 0, raised: Vec::new() })
    }

    fn raise(&mut self, name: &str) -> Result<Vec<Queue>, Box<dyn Error>> {
        let index = NicIndex::lookup_by_name(&CString::new(name)?)?.ok_or("there is no such interface")?;
        let link = Routes::quiet()?.link(index.0)?.filter(|link| link.is_ethernet).ok_or("it is no Ethernet interface")?;
        let [queues, senders] = queues(index);
        if self.count as usize + queues as usize > AF_XDP_SOCKETS_MAX {
            return Err(format!("it has {queues} queues, and {AF_XDP_SOCKETS_MAX} sockets may be open").into());
        }
        let first = self.count;
        let queue_of =
            |queue| Ok(Queue { rings: open(index.0, queue)?, interface: index.0, link: link.clone(), sends: queue < senders });
        let opened = (0..queues).map(queue_of).collect::<io::Result<Vec<_>>>()?;
        for (place, queue) in (first..).zip(&opened) {
            self.sockets.set(place, queue.rings.as_fd().as_raw_fd(), 0)?;
        }
        // The driver's own way first. Where it has none, every interface can do it, only slower; the kernel's own program is no slower there.
        let link_with = |forwards: bool| {
            let mut value = [0; LINK];
            value[..6].copy_from_slice(&link.mac);
            value[6..8].copy_from_slice(&(queues as u16).to_ne_bytes());
            value[8..12].copy_from_slice(&first.to_ne_bytes());
            value[12..].copy_from_slice(&u32::from(forwards).to_ne_bytes());
            value
        };
        self.links.insert(index.0, link_with(false), 0)?;
        let attach = |mode| self.programs.program(PROGRAM, |program| Ok(xdp_of(program)?.attach_to_if_index(index.0, mode)?));
        let front = match attach(XdpMode::Driver) {
            Ok(_) => {
                self.links.insert(index.0, link_with(true), 0)?;
                tracing::info!(interface = name, "audio that the kernel carries is forwarded as frames");
                Front::Driver(index.0)
            }
            Err(_) => attach(XdpMode::Skb).map(|_| Front::Generic(index.0))?,
        };
        self.count += queues;
        self.raised.push(Raised { name: name.to_owned(), index: index.0, front });
        Ok(opened)
    }
}

/// The kernel takes a queue from a process that has just ended a moment later.
fn open(interface: u32, queue: u32) -> io::Result<Rings> {
    let begun = Instant::now();
    loop {
        match Rings::open(interface, queue) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && begun.elapsed() < RELEASE_MAX => {
                std::thread::sleep(RELEASE_MAX / 100);
            }
            opened => return opened,
        }
    }
}

/// How many queues an interface receives by, and sends by. Some drivers tell it in one way, some in the other.
fn queues(index: NicIndex) -> [u32; 2] {
    let told = [index.queue_counts(), index.queues_from_fs()];
    let most = |count: fn(&Queues) -> u32| told.iter().flatten().map(count).max().unwrap_or(1).max(1);
    [most(Queues::rx_count), most(Queues::tx_count)]
}

fn xdp_of(program: &mut Program) -> Result<&mut Xdp, ProgramError> {
    program.try_into()
}

fn door(local: SocketAddr) -> [u8; DOOR] {
    let mut door = [0; DOOR];
    let address = match local.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    door[..16].copy_from_slice(&address.octets());
    door[16..18].copy_from_slice(&local.port().to_be_bytes());
    door
}
