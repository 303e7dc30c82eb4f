//! The kernel tier: flows that need nothing but other addresses are forwarded by a program inside the kernel
//! (bpf/forward.bpf.c). Here it is loaded and attached, and its tables are written and read; which flow is given to it is decided in
//! descent.rs.
//!
//! Read first: bpf(2), capabilities(7).

pub(crate) mod fronts;
mod hops;
pub(crate) mod layout;
pub(crate) mod programs;

use crate::faults::{self, Faults};
use crate::routes::{Link, News, Routes};
use aya::maps::{Array, HashMap as Table, MapData, MapError};
use aya::programs::LinkOrder;
use aya::programs::tc::{SchedClassifier, TcAttachOptions, TcAttachType};
use aya::util::KernelVersion;

use fronts::Fronts;
use hops::Hops;
use layout::{KEY, PASSAGE, Passage, SEEN, Seen};
use programs::{Programs, unavailable};
use ringfort_base::limits::MEDIA_PORTS_MAX;
use ringfort_media::tier::Obstacle;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

/// As bpf/forward.bpf.c names it.
const PROGRAM: &str = "ringfort_forward";

/// Why the kernel tier is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// In one word.
    pub obstacle: Obstacle,
    /// The system's words; may be empty.
    pub detail: String,
}

impl Unavailable {
    /// Whether the configuration wants it so.
    pub fn is_chosen(&self) -> bool {
        self.obstacle == Obstacle::Configured
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.obstacle.words())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, " ({})", self.detail) }
    }
}

/// Where a flow is counted. Given back by [`Kernel::release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

/// The program and its tables, shared by the workers. They meet here when a flow goes down or comes up, not for packets.
pub(crate) struct Kernel {
    programs: Programs,
    tables: Mutex<Tables>,
    /// Where frames are forwarded, too.
    has_frames: bool,
    fronts: Fronts,
    faults: Faults,
}

struct Tables {
    passages: Table<MapData, [u8; KEY], [u8; PASSAGE]>,
    progress: Array<MapData, [u8; SEEN]>,
    /// Places that were given back, and the first that was never taken.
    free: Vec<u32>,
    fresh: u32,
    /// Interfaces that have the program, and whether frames that come by them are forwarded before; else why not. An index is not used again while
    /// the system runs.
    attached: HashMap<u32, Result<(), Obstacle>>,
    /// Interfaces that refused it, with their names.
    refused: BTreeMap<u32, String>,
    /// Where frames are forwarded, too: to whom.
    hops: Option<Hops>,
}

impl Kernel {
    /// Loads the program. Nothing is attached yet. With `frames`, flows are forwarded as frames where they can be; `fronts` says where.
    pub(crate) fn load(programs: Programs, frames: bool, fronts: Fronts, faults: Faults) -> Result<Kernel, Unavailable> {
        if KernelVersion::current().is_ok_and(|running| running < KernelVersion::new(6, 6, 0)) {
            return Err(Unavailable { obstacle: Obstacle::KernelTooOld, detail: String::new() });
        }
        let tables = Tables::load(&programs, frames).map_err(|error| unavailable(&*error))?;
        Ok(Kernel { programs, has_frames: tables.hops.is_some(), tables: Mutex::new(tables), fronts, faults })
    }

    /// Has the program see what comes in by an Ethernet interface.
    pub(crate) fn attach(&self, interface: u32, link: &Link) -> Result<(), Obstacle> {
        let (mut tables, name) = (self.tables(), &link.name);
        if tables.attached.contains_key(&interface) {
            return Ok(());
        }
        let attached = self.programs.program(PROGRAM, |program| {
            let program: &mut SchedClassifier = program.try_into()?;
            let last = TcAttachOptions::TcxOrder(LinkOrder::default());
            Ok(program.attach_with_options(name, TcAttachType::Ingress, last)?)
        });
        match attached {
            Ok(_) => {
                tables.attached.insert(interface, self.fronts.forwards(interface, link));
                tables.refused.remove(&interface);
                self.faults.end(&faults::kernel_at(name));
                Ok(())
            }
            Err(error) => {
                tables.refused.insert(interface, name.clone());
                self.faults.begin(&faults::kernel_at(name), || {
                    format!("audio that comes by {name} is carried by sockets only: {}", causes(&*error))
                });
                Err(if is_permission(&*error) { Obstacle::NotPermitted } else { Obstacle::Refused })
            }
        }
    }

    /// Whether the program sees what comes in by an interface.
    pub(crate) fn is_attached(&self, interface: u32) -> bool {
        self.tables().attached.contains_key(&interface)
    }

    /// An interface is gone, and what was attached to it.
    pub(crate) fn forget(&self, interface: u32) {
        let mut tables = self.tables();
        tables.attached.remove(&interface);
        if let Some(name) = tables.refused.remove(&interface) {
            self.faults.end(&faults::kernel_at(&name));
        }
    }

    /// A place to count at.
    pub(crate) fn reserve(&self) -> Option<Place> {
        let mut tables = self.tables();
        if let Some(place) = tables.free.pop() {
            return Some(Place(place));
        }
        let place = tables.fresh;
        ((place as usize) < MEDIA_PORTS_MAX).then(|| tables.fresh += 1)?;
        Some(Place(place))
    }

    /// Nothing is counted there any more.
    pub(crate) fn release(&self, place: Place) {
        self.tables().free.push(place.0);
    }

    /// From now on the kernel forwards what `passage` says, and counts on from `seen`.
    pub(crate) fn lower(&self, passage: &Passage, place: Place, seen: &Seen, routes: &Routes) -> Result<(), Obstacle> {
        let mut tables = self.tables();
        tables.progress.set(place.0, seen.octets(), 0).map_err(refused)?;
        let hop = tables.hops.as_mut().map(|hops| hops.enter(passage.interface, passage.hop, routes)).unwrap_or_default();
        let lowered = tables.passages.insert(passage.arrives.key(), passage.octets(place.0, hop), 0);
        if lowered.is_err() {
            tables.leave_hop(passage);
        }
        lowered.map_err(refused)
    }

    /// From now on its packets come to user space.
    pub(crate) fn raise(&self, passage: &Passage) {
        let mut tables = self.tables();
        if let Err(error) = tables.passages.remove(&passage.arrives.key()) {
            tracing::error!(%error, "a flow cannot be taken from the kernel");
        }
        tables.leave_hop(passage);
    }

    /// Whether what goes this way can be forwarded as frames; else why not.
    pub(crate) fn as_frames(&self, passage: &Passage) -> Result<(), Obstacle> {
        let tables = self.tables();
        tables.attached.get(&passage.enters).copied().unwrap_or(Err(Obstacle::NoRoute))?;
        tables.hops.as_ref().map_or(Err(Obstacle::NoFrames), |hops| hops.reaches(passage.interface, passage.hop))
    }

    /// Whether flows are forwarded as frames where they can be.
    pub(crate) fn has_frames(&self) -> bool {
        self.has_frames
    }

    /// Neighbours, interfaces or routes changed.
    pub(crate) fn heard(&self, news: &News, routes: &Routes) {
        let mut tables = self.tables();
        let Some(hops) = &mut tables.hops else { return };
        match news.is_rerouted {
            true => hops.look_all(routes),
            false => news.neighbours.iter().for_each(|heard| hops.heard(heard, routes)),
        }
    }

    /// What was counted so far.
    pub(crate) fn seen(&self, place: Place) -> Option<Seen> {
        self.tables().progress.get(&place.0, 0).ok().map(|octets| Seen::read(&octets))
    }

    /// Every change of the tables is whole, also where a thread panicked.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn load(programs: &Programs, frames: bool) -> Result<Tables, Box<dyn Error>> {
        programs.program(PROGRAM, |program| {
            let program: &mut SchedClassifier = program.try_into()?;
            Ok(program.load()?)
        })?;
        let passages = Table::try_from(programs.table("passages")?)?;
        let progress = Array::try_from(programs.table("progress")?)?;
        let hops = if frames { Some(Hops::new(Array::try_from(programs.table("hops")?)?)) } else { None };
        Ok(Tables { passages, progress, free: Vec::new(), fresh: 0, attached: HashMap::new(), refused: BTreeMap::new(), hops })
    }

    fn leave_hop(&mut self, passage: &Passage) {
        if let Some(hops) = &mut self.hops {
            hops.leave(passage.interface, passage.hop);
        }
    }
}

fn refused(error: MapError) -> Obstacle {
    tracing::warn!(error = causes(&error), "the kernel's tables take no more");
    Obstacle::Full
}

/// Whether the system refused for want of a privilege. A program that the kernel's verifier refuses is told by another number, EACCES.
pub(crate) fn is_permission(error: &(dyn Error + 'static)) -> bool {
    let own = error.downcast_ref::<io::Error>().is_some_and(|io| io.raw_os_error() == Some(libc::EPERM));
    own || error.source().is_some_and(is_permission)
}

/// An error with what caused it.
pub(crate) fn causes(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", causes(cause)),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::left_out;

    #[test]
    fn an_interface_that_refuses_is_a_fault_until_it_takes_the_program_or_goes() {
        let faults = Faults::default();
        let kernel =
            match Programs::forward().and_then(|programs| Kernel::load(programs, false, Fronts::default(), faults.clone())) {
                Ok(kernel) => kernel,
                Err(why) => {
                    assert_ne!(why.obstacle, Obstacle::Refused, "{why}");
                    return left_out(why);
                }
            };
        let names = || faults.list().into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        let link = |name: &str| Link { name: name.into(), is_ethernet: true, is_tagged: false, mac: [0; 6], mtu: 1_500 };
        assert!(kernel.attach(99_999, &link("nowhere0")).is_err() && kernel.attach(99_999, &link("nowhere0")).is_err());
        assert_eq!(names(), ["kernel nowhere0"]);
        kernel.forget(99_998);
        assert_eq!(names(), ["kernel nowhere0"]);
        kernel.forget(99_999);
        assert_eq!(names(), [""; 0]);
        faults.begin(&faults::kernel_at("lo"), || "refused before".into());
        kernel.attach(1, &link("lo")).expect("loopback takes it");
        assert_eq!(names(), [""; 0]);
    }
}
