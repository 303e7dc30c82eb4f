//! The kernel's programs (bpf/) as objects that are loaded with their tables.

use super::{Unavailable, causes, is_permission};
use aya::Ebpf;
use aya::maps::Map;
use aya::programs::Program;
use ringfort_media::tier::Obstacle;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(ringfort_bpf)]
const FORWARD: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/forward.bpf.o")));
#[cfg(ringfort_bpf)]
const FRAMES: Option<&[u8]> = Some(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/frames.bpf.o")));
#[cfg(not(ringfort_bpf))]
const FORWARD: Option<&[u8]> = None;
#[cfg(not(ringfort_bpf))]
const FRAMES: Option<&[u8]> = None;

/// An object's programs and tables. What is attached ends with the last of its owners.
#[derive(Clone)]
pub(crate) struct Programs(Arc<Mutex<Ebpf>>);

impl Programs {
    /// The program behind the kernel's own reception, for flows that it carries.
    pub(crate) fn forward() -> Result<Programs, Unavailable> {
        Programs::load(FORWARD)
    }

    /// The same, and the one that sees frames before; over the same tables.
    pub(crate) fn frames() -> Result<Programs, Unavailable> {
        Programs::load(FRAMES)
    }

    fn load(object: Option<&[u8]>) -> Result<Programs, Unavailable> {
        let object = object.ok_or_else(|| Unavailable { obstacle: Obstacle::NotBuilt, detail: String::new() })?;
        let ebpf = Ebpf::load(object).map_err(|error| unavailable(&error))?;
        Ok(Programs(Arc::new(Mutex::new(ebpf))))
    }

    /// Takes a table out: it has one owner.
    pub(crate) fn table(&self, name: &str) -> Result<Map, Box<dyn Error>> {
        self.with(|ebpf| ebpf.take_map(name).ok_or_else(|| format!("no table `{name}`").into()))
    }

    /// Does something with a program.
    pub(crate) fn program<T>(
        &self,
        name: &str,
        job: impl FnOnce(&mut Program) -> Result<T, Box<dyn Error>>,
    ) -> Result<T, Box<dyn Error>> {
        self.with(|ebpf| job(ebpf.program_mut(name).ok_or("the object has no such program")?))
    }

    /// Every change is whole, also where a thread panicked.
    fn with<T>(&self, job: impl FnOnce(&mut Ebpf) -> T) -> T {
        job(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why a tier is not there, in the system's words.
pub(crate) fn unavailable(error: &(dyn Error + 'static)) -> Unavailable {
    let obstacle = if is_permission(error) { Obstacle::NotPermitted } else { Obstacle::Refused };
    // Behind the first line stands what the verifier did, step by step.
    let detail = causes(error).lines().next().unwrap_or_default().to_owned();
    Unavailable { obstacle, detail }
}
