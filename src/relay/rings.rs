//! The AF_XDP socket of one queue of an interface: whole frames in memory that the kernel shares, handed to and fro by rings. Beside sys.rs
//! the one file with `unsafe`: the `xdp` crate leaves it to its caller that no frame outlives its memory. Here frames are named by numbers,
//! and none leaves this file.
//!
//! Read first: the kernel's Documentation/networking/af_xdp.rst.

#![allow(unsafe_code)]

use crate::frame::{self, Addressing};
use crate::sys::fetch;
use ringfort_base::limits::SRTP_TRAILER_MAX;
use rustix::io::Errno;
use rustix::mm::{Advice, madvise};
use rustix::net::{SendFlags, send};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use xdp::nic::NicIndex;
use xdp::slab::{HeapSlab, Slab};
use xdp::socket::{XdpSocket, XdpSocketBuilder};
use xdp::umem::{FrameSize, UmemCfgBuilder};
use xdp::{CompletionRing, Packet, RingConfigBuilder, RxRing, Umem, WakableFillRing, WakableTxRing};

/// Frames of one socket: half of them wait to be filled, the others leave or have left.
const FRAMES: u32 = 4_096;
/// Octets of each.
const FRAME: u32 = 2_048;
/// Length of each ring.
const RING: u32 = FRAMES / 2;
/// Room before a frame for the longer header of IPv6.
const HEADROOM: u32 = 64;
/// Most frames taken at once.
pub(crate) const FRAMES_AT_ONCE: usize = 64;
/// The kernel sends so many frames for one call where the interface copies them.
const SENT_AT_ONCE: usize = 32;

/// One socket with its rings and its memory.
pub(crate) struct Rings {
    fill: WakableFillRing,
    received: RxRing,
    leaving: WakableTxRing,
    left: CompletionRing,
    /// Taken from the ring and not given back yet, by number.
    held: Vec<Option<Packet>>,
    arrivals: HeapSlab,
    departures: HeapSlab,
    /// Frames that are to leave and have not come back: never more than the others' half, so that what was taken can always be made up for.
    out: usize,
    // Fields are dropped in this order: the memory goes last.
    socket: XdpSocket,
    umem: Umem,
}

// SAFETY: the raw pointers of the packets, and the rings' references, lead to memory that this very value has mapped and unmaps; nobody
// else has them, and they go with it to another thread.
unsafe impl Send for Rings {}

impl Rings {
    /// Opens the socket. It takes 8 MiB of memory that is not swapped.
    pub(crate) fn open(interface: u32, queue: u32) -> io::Result<Rings> {
        let frames =
            UmemCfgBuilder { frame_size: FrameSize::TwoK, head_room: HEADROOM, frame_count: FRAMES, ..Default::default() };
        let mut umem = Umem::map(frames.build().map_err(io::Error::other)?)?;
        in_large_pages(&mut umem);
        let mut builder = XdpSocketBuilder::new().map_err(system)?;
        let sizes = RingConfigBuilder { rx_count: RING, tx_count: RING, fill_count: RING, completion_count: RING };
        let sizes = sizes.build().map_err(io::Error::other)?;
        let (rings, flags) = builder.build_wakable_rings(&umem, sizes).map_err(system)?;
        let mut fill = rings.fill_ring;
        // SAFETY: the memory outlives the socket: both go into this value, which drops the socket first.
        unsafe { fill.enqueue(&mut umem, RING as usize, false)? };
        let missing = || io::Error::other("a ring is missing");
        let (received, leaving) = (rings.rx_ring.ok_or_else(missing)?, rings.tx_ring.ok_or_else(missing)?);
        let socket = builder.bind(NicIndex(interface), queue, flags).map_err(system)?;
        let held = Vec::with_capacity(FRAMES_AT_ONCE);
        let (arrivals, departures) = (HeapSlab::with_capacity(FRAMES_AT_ONCE), HeapSlab::with_capacity(RING as usize));
        Ok(Rings { fill, received, leaving, left: rings.completion_ring, held, arrivals, departures, out: 0, socket, umem })
    }

    /// Takes what has come, [`FRAMES_AT_ONCE`] at most. Returns how many frames there are; [`Rings::release`] gives them back.
    pub(crate) fn receive(&mut self) -> usize {
        // SAFETY: the packets stay in this value, in `arrivals`, `held` and `departures`, and so with the memory they lie in.
        unsafe { self.received.recv(&self.umem, &mut self.arrivals) };
        while let Some(packet) = self.arrivals.pop_back() {
            fetch(&packet[..]);
            self.held.push(Some(packet));
        }
        self.held.len()
    }

    /// Frame number `n`; empty if it has left.
    pub(crate) fn frame(&mut self, n: usize) -> &mut [u8] {
        self.held.get_mut(n).and_then(Option::as_mut).map_or(&mut [], |packet| &mut packet[..])
    }

    /// Frame number `n` from `at` on, with room behind it for an SRTP trailer.
    pub(crate) fn datagram(&mut self, n: usize, at: usize) -> &mut [u8] {
        let Some(packet) = self.held.get_mut(n).and_then(Option::as_mut) else { return &mut [] };
        // A frame that fills its place has no room: SRTP refuses it then.
        let _ = packet.adjust_tail(SRTP_TRAILER_MAX as i32);
        packet.get_mut(at..).unwrap_or_default()
    }

    /// Sends frame number `n` on as it lies there: `len` octets from `at` on, under new headers. False: it is still there.
    pub(crate) fn readdress(&mut self, n: usize, at: usize, len: usize, addressing: &Addressing) -> bool {
        let Some(mut packet) = self.held.get_mut(n).and_then(Option::take) else { return false };
        let begin = at as i32 - frame::payload_offset(addressing.destination) as i32;
        let moved = packet.adjust_head(begin).is_ok();
        if moved && self.has_room() && write(&mut packet, addressing, len) {
            self.out += 1;
            return self.departures.push_front(packet).is_none();
        }
        if moved {
            let _ = packet.adjust_head(-begin);
        }
        self.held[n] = Some(packet);
        false
    }

    /// Sends a datagram in a frame of its own. False: there is no room.
    pub(crate) fn send(&mut self, datagram: &[u8], addressing: &Addressing) -> bool {
        if !self.has_room() {
            return false;
        }
        // SAFETY: the packet stays in this value, and so with the memory it lies in.
        let Some(mut packet) = (unsafe { self.umem.alloc() }) else { return false };
        let at = frame::payload_offset(addressing.destination);
        let fits = packet.adjust_tail((at + datagram.len()) as i32).is_ok();
        let place = packet.get_mut(at..).filter(|_| fits);
        let written =
            place.map(|place| place.copy_from_slice(datagram)).is_some() && write(&mut packet, addressing, datagram.len());
        if written {
            self.out += 1;
            return self.departures.push_front(packet).is_none();
        }
        self.umem.free_packet(packet);
        false
    }

    /// Gives back what was taken and not sent on, and has the kernel send what is to leave.
    pub(crate) fn release(&mut self) {
        let taken = self.held.len();
        for packet in self.held.drain(..).flatten() {
            self.umem.free_packet(packet);
        }
        self.flush();
        // The kernel wakes up by itself where it must: whoever waits for the socket asks it.
        // SAFETY: the memory outlives the socket, which this value drops first.
        if let Err(error) = unsafe { self.fill.enqueue(&mut self.umem, taken, false) } {
            tracing::error!(%error, "AF_XDP fill ring");
        }
    }

    /// Whether one more may leave.
    fn has_room(&self) -> bool {
        self.out < RING as usize && self.departures.available() > 0
    }

    /// Has the kernel send what is to leave, also what it could not before, and takes back what has left.
    pub(crate) fn flush(&mut self) {
        if self.out == 0 {
            return;
        }
        self.reap();
        // SAFETY: the packets' memory outlives the socket, which this value drops first.
        if let Err(error) = unsafe { self.leaving.send(&mut self.departures, false) } {
            tracing::error!(%error, "AF_XDP transmit ring");
        }
        for _ in 0..=self.out.div_ceil(SENT_AT_ONCE) {
            match send(&*self, &[], SendFlags::DONTWAIT) {
                // More than one call takes are there.
                Err(Errno::AGAIN | Errno::BUSY) => {}
                _ => break,
            }
        }
        self.reap();
    }

    fn reap(&mut self) {
        self.out -= self.left.dequeue(&mut self.umem, RING as usize).min(self.out);
    }

    /// Frames that the kernel had no place for, since the socket was opened.
    pub(crate) fn lost(&self) -> u64 {
        self.socket.statistics().map_or(0, |seen| seen.rx_dropped + seen.rx_ring_full)
    }
}

impl AsFd for Rings {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as `socket` lives, which the borrow of this value outlives.
        unsafe { BorrowedFd::borrow_raw(self.socket.raw_fd()) }
    }
}

/// Each frame that comes lies in another page than the ones before. In large pages the processor knows them all. A system that has none
/// left, or gives none, carries on with small ones.
fn in_large_pages(umem: &mut Umem) {
    // SAFETY: the packet goes back below, before the memory can.
    let Some(packet) = (unsafe { umem.alloc() }) else { return };
    let page = rustix::param::page_size();
    let begin = packet.as_ptr().map_addr(|at| at - at % page).cast_mut().cast();
    umem.free_packet(packet);
    // SAFETY: `begin` is where the mapping begins, since the first frame lies there and is shorter than a page; it has FRAMES frames and
    // lives as long as the borrow. The advice changes nothing but the size of its pages.
    if let Err(error) = unsafe { madvise(begin, (FRAMES * FRAME) as usize, Advice::LinuxHugepage) } {
        tracing::debug!(%error, "no large pages for AF_XDP");
    }
}

/// Writes the headers and cuts the packet to its length.
fn write(packet: &mut Packet, addressing: &Addressing, len: usize) -> bool {
    let Ok(whole) = frame::write(packet, addressing, len) else { return false };
    packet.adjust_tail(whole as i32 - packet.len() as i32).is_ok()
}

/// The system's own error, by which others tell what is the matter.
fn system(error: xdp::socket::SocketError) -> io::Error {
    use xdp::socket::SocketError::{Bind, GetSockOpt, RingMap, SetSockOpt, SocketCreation};
    match error {
        SocketCreation(inner) | Bind(inner) => inner,
        SetSockOpt { inner, .. } | GetSockOpt { inner, .. } | RingMap { inner, .. } => inner,
    }
}
