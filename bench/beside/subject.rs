//! What is measured: rtpengine, and the tiers of our own relay, each with its calls.

use super::calls::{Load, ServedBy, dtls_caller};
use crate::load::{self, Guard};
use crate::namespaces::Link;
use crate::rtpengine;
use ringfort_base::Time;
use ringfort_media::{DtlsIdentity, LegSession};
use std::io::{self, BufRead, BufReader, Error, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Nothing: packets are dropped where they come in. What that costs is the sender's own.
    Nobody,
    Rtpengine,
    Sockets,
    AfXdp,
    Kernel,
    /// The kernel, where the driver hands it frames.
    Xdp,
    /// Sockets alone, between which nothing is done: what no relay that uses them can go below.
    Floor,
    /// What `--other` names.
    Other(ServedBy),
}

/// The build that `--other` names.
pub static OTHER: OnceLock<PathBuf> = OnceLock::new();

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Subject::Nobody => "nobody",
            Subject::Rtpengine => "rtpengine",
            Subject::Sockets => "Ringfort, sockets",
            Subject::AfXdp => "Ringfort, AF_XDP",
            Subject::Kernel => "Ringfort, kernel",
            Subject::Xdp => "Ringfort, kernel by XDP",
            Subject::Floor => "bare sockets",
            Subject::Other(ServedBy::Sockets) => "other build, sockets",
            Subject::Other(ServedBy::AfXdp) => "other build, AF_XDP",
            Subject::Other(_) => "other build",
        }
    }
}

impl Subject {
    /// The most of rtpengine's processor time that it is to take, and where more can be saved if it takes more than that.
    pub fn goal(self) -> Option<(f64, &'static str)> {
        match self {
            Subject::Nobody | Subject::Rtpengine | Subject::Floor | Subject::Other(_) => None,
            Subject::Sockets => Some((
                0.5,
                "what the kernel itself takes for a packet in and a packet out shows the row of bare sockets, and no other use of sockets made it cheaper (io_uring, batches of one socket): \
                 the lever is to pass them by, with AF_XDP where interfaces are named, or with keys that the sides share, when the kernel carries SRTP",
            )),
            Subject::AfXdp => Some((
                0.25,
                "on a veth link frames are copied and generic code sends them, and where few packets share a wake it is most of their cost; the levers are a driver with zero-copy, and a longer media.gather_us",
            )),
            Subject::Kernel | Subject::Xdp => {
                Some((0.15, "a driver that takes the program as XDP, before the kernel makes more of a frame"))
            }
        }
    }
}

/// A relay with its calls.
pub struct Running {
    guard: Option<Guard>,
    /// Where each caller sends, and each callee.
    pub ports: Vec<[u16; 2]>,
    /// Callers whose keys are agreed by DTLS; nothing was said yet.
    pub callers: Vec<LegSession>,
}

impl Running {
    pub fn start(link: &Link, subject: Subject, load: Load, calls: usize) -> io::Result<Running> {
        link.reads_as_cards_do(subject == Subject::Xdp)?;
        let mut callers = Vec::new();
        if load == Load::Dtls && subject != Subject::Nobody {
            let identity = DtlsIdentity::generate().map(Arc::new).ok_or_else(|| Error::other("no certificate"))?;
            callers = (0..calls).map(|n| dtls_caller(n, &identity)).collect::<io::Result<_>>()?;
        }
        let mut offers = Vec::with_capacity(calls);
        for n in 0..calls {
            offers.push(if subject == Subject::Nobody { String::new() } else { load.offer(callers.get_mut(n))? });
        }
        let (guard, agreed) = match subject {
            Subject::Nobody => {
                let ports = (0..calls as u16).map(|n| ([20_000 + 2 * n, 20_001 + 2 * n], String::new()));
                (None, ports.collect())
            }
            Subject::Rtpengine => {
                let guard = rtpengine::start(&link.node)?;
                (Some(guard), rtpengine::set_up(&link.node, load, offers)?)
            }
            Subject::Sockets => own(link, ServedBy::Sockets, load, offers)?,
            Subject::AfXdp => own(link, ServedBy::AfXdp, load, offers)?,
            Subject::Kernel => own(link, ServedBy::Kernel, load, offers)?,
            Subject::Xdp => own(link, ServedBy::Xdp, load, offers)?,
            Subject::Floor => own(link, ServedBy::Floor, load, offers)?,
            Subject::Other(tier) => served(link, OTHER.get().ok_or_else(|| Error::other("no other build"))?, tier, load, offers)?,
        };
        for (caller, (_, answer)) in callers.iter_mut().zip(&agreed) {
            caller.receive_answer(Time::ZERO, answer.as_bytes()).map_err(Error::other)?;
        }
        Ok(Running { guard, ports: agreed.into_iter().map(|(ports, _)| ports).collect(), callers })
    }

    pub fn pids(&self) -> Vec<u32> {
        self.guard.iter().map(|guard| guard.0.id()).collect()
    }

    /// CPU of its threads, ns.
    pub fn cpu(&self) -> u64 {
        load::cpu(&self.pids()).values().sum()
    }
}

/// Ports and answer of each call.
pub type Agreed = Vec<([u16; 2], String)>;

fn own(link: &Link, tier: ServedBy, load: Load, offers: Vec<String>) -> io::Result<(Option<Guard>, Agreed)> {
    served(link, &std::env::current_exe()?, tier, load, offers)
}

/// By a build of this program.
fn served(link: &Link, program: &Path, tier: ServedBy, load: Load, offers: Vec<String>) -> io::Result<(Option<Guard>, Agreed)> {
    let program = program.to_path_buf();
    let arguments = [offers.len().to_string(), tier.word().to_string(), load.word().to_string()];
    let start = move || Command::new(program).arg("serve").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut guard = Guard(link.node.run(start)??);
    let out = guard.0.stdout.take().ok_or_else(|| Error::other("no output"))?;
    let mut answers = BufReader::new(out).lines();
    let mut agreed = Vec::with_capacity(offers.len());
    let mut input = guard.0.stdin.as_ref();
    for offer in &offers {
        if load == Load::Dtls {
            let input = input.as_mut().ok_or_else(|| Error::other("no input"))?;
            writeln!(input, "{}", serde_json::to_string(offer)?)?;
        }
        let line = answers.next().ok_or_else(|| Error::other("the relay did not start"))??;
        agreed.push(serde_json::from_str(&line)?);
    }
    Ok((Some(guard), agreed))
}
