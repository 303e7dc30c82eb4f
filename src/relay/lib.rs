//! The packet path: workers that own the media sockets and execute flow plans.
//!
//! A packet's way through the files, in reading order:
//!
//! | file | stop |
//! |---|---|
//! | `command.rs` | [`Relay`]: what the core holds; binds sockets, hands commands to workers |
//! | `homes.rs` | on which worker a call lives |
//! | `shared.rs`, `directory.rs` | a port that all browsers share, and who is behind it |
//! | `worker.rs` | one thread: waits on its sockets, receives into its own buffers |
//! | `path.rs` | [`Flows`]: classify, judge, across to the destination port, out; knows no sockets |
//! | `flow.rs`, `plausible.rs`, `protection.rs` | one port: its plan, validity checks, SRTP contexts, counters |
//! | `untouched.rs` | SRTP that goes on as it came |
//! | `voice.rs` | what the node hears and says on a port itself: an ear, a mouth, and a turn every 20 ms |
//! | `latch.rs` | which source addresses it takes media from |
//! | `ahead.rs`, `hash.rs` | memory fetched ahead of a batch, a cheap hash |
//! | `outbox.rs` | events to the core |
//! | `port.rs`, `bell.rs`, `sys.rs` | sockets, waking, and the system calls that the standard library does not offer |
//! | `faults.rs` | fast paths that are wanted and are not there |
//! | `descent.rs`, `routes.rs`, `kernel/`, `bpf/` | flows that the kernel carries by itself: programs, tables, neighbours |
//! | `steering.rs`, `doors.rs`, `rings.rs`, `ways.rs`, `worker/frames.rs` | frames past the kernel's sockets (AF_XDP): the program, who is behind a port, the rings, the next hop, a worker's part |
//! | `frame.rs` | whole Ethernet frames, as that tier reads and writes them |
//! | `capacity/` | what this machine relays in time, found by trying |
//! | `memory.rs` | how the process takes memory from the system |
//! | `namespace.rs` | hosts in network namespaces, for measurements and tests |
//!
//! All ports of one call live on one worker, so a packet never crosses threads and a worker's tables are plain data that
//! nobody else touches: there is nothing to lock. A port that joins another call goes to that call's worker as it stands.
//! Nothing is allocated for a media packet and its payload is never copied in user space: it is received into a worker's
//! buffer, unprotected, protected and rewritten there, and sent from there.

mod ahead;
mod allowance;
mod apart;
mod bell;
pub mod capacity;
mod command;
mod copied;
mod descent;
pub mod directory;
mod doors;
mod faults;
pub mod flow;
pub mod frame;
mod hash;
mod homes;
mod kernel;
mod latch;
pub mod memory;
pub mod namespace;
mod outbox;
mod pace;
pub mod path;
mod plausible;
mod port;
mod protection;
mod rings;
mod routes;
mod shared;
mod spent;
mod steering;
mod sys;
mod untouched;
pub mod voice;
mod ways;
mod worker;

pub use command::{LocalAddresses, Relay, RelayConfig};
pub use kernel::Unavailable;
pub use outbox::Sink;
pub use path::Flows;
pub use ringfort_media::plan::PortPositions;
