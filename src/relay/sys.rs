//! System calls that neither the standard library nor socket2 offers: epoll, eventfd, timerfd, recvmmsg, sendmmsg, mallopt,
//! sched_setscheduler. Beside rings.rs the one file with `unsafe`.

#![allow(unsafe_code)]

use ringfort_base::limits::{MEDIA_DATAGRAM_MAX, SRTP_TRAILER_MAX};
use std::fs::File;
use std::io;
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::time::Duration;

/// One buffer: a datagram and the trailer that SRTP may add behind it.
const BUFFER: usize = MEDIA_DATAGRAM_MAX + SRTP_TRAILER_MAX;

/// Turns -1 into the error that `errno` holds.
fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Octets that the processor fetches at once.
const LINE: usize = 64;

/// Has the processor fetch what a value lies in, so that whoever reads it soon does not wait for memory. Nothing else happens.
pub(crate) fn fetch<T: ?Sized>(value: &T) {
    fetch_span((ptr::from_ref(value).cast(), mem::size_of_val(value)));
}

/// The same for so many octets from an address on.
pub(crate) fn fetch_span((at, len): (*const u8, usize)) {
    let begin = at.addr() % LINE;
    for line in 0..(begin + len).div_ceil(LINE) {
        fetch_line(at.wrapping_sub(begin).wrapping_add(line * LINE));
    }
}

#[cfg(target_arch = "x86_64")]
fn fetch_line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a hint: it changes no register and no memory, and faults at no address (PREFETCHh in the processor's manual).
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}

/// Stable Rust has no such hint for other processors: they fetch when they read.
#[cfg(not(target_arch = "x86_64"))]
fn fetch_line(_: *const u8) {}

/// An epoll instance, for readability only.
pub(crate) struct Epoll(OwnedFd);

/// A ready file descriptor's token.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Ready(libc::epoll_event);

impl Ready {
    pub(crate) const NONE: Ready = Ready(libc::epoll_event { events: 0, u64: 0 });

    pub(crate) fn token(&self) -> u64 {
        self.0.u64
    }
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Epoll> {
        // SAFETY: epoll_create1 takes no pointers; it returns a new descriptor or -1.
        let fd = checked(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: `fd` was just returned by the kernel, is open, and nothing else owns it.
        Ok(Epoll(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Watches `fd`. Closing it ends that.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        self.watch(fd, libc::EPOLLIN, token)
    }

    /// Watches `fd`, and tells once each time that it becomes readable: nobody has to read it for that.
    pub(crate) fn add_edge(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        self.watch(fd, libc::EPOLLIN | libc::EPOLLET, token)
    }

    fn watch(&self, fd: impl AsFd, events: libc::c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let (epoll, fd) = (self.0.as_raw_fd(), fd.as_fd().as_raw_fd());
        // SAFETY: both descriptors are borrowed and so open during the call; `event` is a live epoll_event that the kernel
        // only reads.
        checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) }).map(drop)
    }

    /// Watches `fd` no more, though it stays open.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        let (epoll, fd) = (self.0.as_raw_fd(), fd.as_fd().as_raw_fd());
        // SAFETY: both descriptors are borrowed and so open during the call; removing takes no event (epoll_ctl(2), since Linux 2.6.9).
        checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) }).map(drop)
    }

    /// Waits until something is readable, for `timeout_ms` at most (-1: for ever). Returns how many of `ready` were filled.
    pub(crate) fn wait(&self, ready: &mut [Ready], timeout_ms: i32) -> io::Result<usize> {
        let capacity = ready.len().min(i32::MAX as usize) as libc::c_int;
        // SAFETY: `Ready` is a transparent epoll_event, so `ready` is valid for writes of `capacity` of them; the kernel
        // writes no more.
        let count = unsafe { libc::epoll_wait(self.0.as_raw_fd(), ready.as_mut_ptr().cast(), capacity, timeout_ms) };
        checked(count).map(|count| count as usize)
    }
}

/// A counter that epoll can wait for. Written and read as a file of 8 octets.
pub(crate) fn eventfd() -> io::Result<File> {
    // SAFETY: eventfd takes no pointers; it returns a new descriptor or -1.
    let fd = checked(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: `fd` was just returned by the kernel, is open, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) }.into())
}

/// A clock that epoll can wait for. It is not set yet.
pub(crate) fn timerfd() -> io::Result<OwnedFd> {
    // SAFETY: timerfd_create takes no pointers; it returns a new descriptor or -1.
    let fd = checked(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC | libc::TFD_NONBLOCK) })?;
    // SAFETY: `fd` was just returned by the kernel, is open, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lets a clock made by [`timerfd`] expire once, after `delay`, which is less than a second and not nothing.
pub(crate) fn set_timer(timer: impl AsFd, delay: Duration) -> io::Result<()> {
    let never = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let after = libc::timespec { tv_sec: 0, tv_nsec: delay.subsec_nanos().max(1).into() };
    let setting = libc::itimerspec { it_interval: never, it_value: after };
    // SAFETY: the descriptor is borrowed and so open during the call; `setting` is a live itimerspec that the kernel only reads,
    // and the old setting is not asked for.
    checked(unsafe { libc::timerfd_settime(timer.as_fd().as_raw_fd(), 0, &setting, ptr::null_mut()) }).map(drop)
}

/// Has this thread go before all that is not of a real-time class, and go on until it waits itself (sched(7): SCHED_FIFO, the lowest
/// priority). Threads that it starts are ordinary ones. Needs CAP_SYS_NICE, or a limit of real-time priorities (RLIMIT_RTPRIO).
pub(crate) fn go_first() -> io::Result<()> {
    // SAFETY: sched_param is a C structure of integers, for which all zeros is a value; some C libraries have more than one in it.
    let mut parameters: libc::sched_param = unsafe { mem::zeroed() };
    parameters.sched_priority = 1;
    // SAFETY: 0 is this thread; `parameters` is live, and the kernel only reads it.
    checked(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) }).map(drop)
}

/// Tells the C library's allocator how much memory it takes at once and how much that is free it keeps, octets each. Other C
/// libraries have their own ways.
pub(crate) fn set_steps(taken: libc::c_int, kept: libc::c_int) {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers and changes no memory that is in use; what it refuses stays as it was.
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, taken);
        libc::mallopt(libc::M_TRIM_THRESHOLD, kept);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = (taken, kept);
}

/// What `recvmmsg` said of one datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) from: SocketAddr,
    pub(crate) len: usize,
    /// Longer than the buffer: its end is lost.
    pub(crate) truncated: bool,
}

/// Says beside a datagram which code point it has, where that is another one than its socket's (ip(7), ipv6(7)): one control message.
#[repr(C)]
struct Mark {
    header: libc::cmsghdr,
    traffic_class: libc::c_int,
}

impl Mark {
    fn new(dscp: u8, is_v6: bool) -> Mark {
        // SAFETY: cmsghdr is a C structure of integers, for which all zeros is a value; some C libraries have padding in it.
        let mut header: libc::cmsghdr = unsafe { mem::zeroed() };
        header.cmsg_len = (mem::size_of::<libc::cmsghdr>() + mem::size_of::<libc::c_int>()) as _;
        (header.cmsg_level, header.cmsg_type) =
            if is_v6 { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) } else { (libc::IPPROTO_IP, libc::IP_TOS) };
        Mark { header, traffic_class: libc::c_int::from(dscp) << 2 }
    }
}

/// What `sendmmsg` is to send: the beginning of a buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing {
    pub(crate) buffer: usize,
    pub(crate) len: usize,
    pub(crate) to: SocketAddr,
}

/// The buffers of one worker and the headers that the kernel wants beside them, allocated once.
///
/// Pointers in `headers` and `vectors` are written anew for each call and not read between calls, so moving a `Batch` does no
/// harm.
pub(crate) struct Batch {
    buffers: Box<[[u8; BUFFER]]>,
    addresses: Box<[libc::sockaddr_storage]>,
    vectors: Box<[libc::iovec]>,
    headers: Box<[libc::mmsghdr]>,
    mark: Box<Mark>,
}

impl Batch {
    /// Room for `size` datagrams.
    pub(crate) fn new(size: usize) -> Batch {
        // SAFETY: sockaddr_storage, iovec and mmsghdr are C structures of integers and raw pointers, for which all zeros is a
        // value.
        let (address, vector, header) = unsafe { (mem::zeroed(), mem::zeroed(), mem::zeroed()) };
        Batch {
            buffers: vec![[0; BUFFER]; size].into(),
            addresses: vec![address; size].into(),
            vectors: vec![vector; size].into(),
            headers: vec![header; size].into(),
            mark: Box::new(Mark::new(0, false)),
        }
    }

    /// How many datagrams there is room for.
    pub(crate) fn size(&self) -> usize {
        self.buffers.len()
    }

    /// A datagram's buffer, trailer room included.
    pub(crate) fn buffer(&mut self, n: usize) -> &mut [u8] {
        &mut self.buffers[n]
    }

    /// Receives up to `want` datagrams that are there already. Returns how many; [`Batch::received`] tells of each.
    pub(crate) fn receive(&mut self, socket: impl AsFd, want: usize) -> io::Result<usize> {
        let want = want.min(self.size());
        if want == 1 {
            return self.receive_one(socket).map(|()| 1);
        }
        for n in 0..want {
            self.point(n, n, MEDIA_DATAGRAM_MAX, mem::size_of::<libc::sockaddr_storage>());
        }
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the first `want` headers point at live, distinct buffers and addresses of the lengths they state, all owned
        // by `self`, which is borrowed mutably; the kernel writes only there. The timeout is null.
        let count = unsafe { libc::recvmmsg(fd, self.headers.as_mut_ptr(), want as u32, libc::MSG_DONTWAIT, ptr::null_mut()) };
        checked(count).map(|count| count as usize)
    }

    /// The first buffer only, by the call for one datagram: it takes less time than the one for many.
    fn receive_one(&mut self, socket: impl AsFd) -> io::Result<()> {
        let (buffer, address, header) = (&mut self.buffers[0], &mut self.addresses[0], &mut self.headers[0]);
        let mut address_len = mem::size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        let (fd, place) = (socket.as_fd().as_raw_fd(), ptr::from_mut(address).cast());
        // SAFETY: `buffer` is valid for writes of MEDIA_DATAGRAM_MAX octets, and `place` for `address_len`, both owned by `self`, which is
        // borrowed mutably; the kernel writes no more, though with MSG_TRUNC it tells the whole length.
        let len = unsafe { libc::recvfrom(fd, buffer.as_mut_ptr().cast(), MEDIA_DATAGRAM_MAX, flags, place, &mut address_len) };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        header.msg_len = len as u32;
        header.msg_hdr.msg_namelen = address_len;
        header.msg_hdr.msg_flags = if len > MEDIA_DATAGRAM_MAX { libc::MSG_TRUNC } else { 0 };
        Ok(())
    }

    /// Of the `n`th datagram of the last [`Batch::receive`]. `None`: the kernel gave no source address, which UDP does not do.
    pub(crate) fn received(&self, n: usize) -> Option<Received> {
        let header = &self.headers[n];
        let from = decode(&self.addresses[n], header.msg_hdr.msg_namelen as usize)?;
        let truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        Some(Received { from, len: (header.msg_len as usize).min(MEDIA_DATAGRAM_MAX), truncated })
    }

    /// Sends `items`, at most [`Batch::size`], with the code point `dscp` or that of the socket. Returns how many of them, from the first, the
    /// kernel took; an error is the first one's.
    pub(crate) fn send(&mut self, socket: impl AsFd, items: &[Outgoing], dscp: Option<u8>) -> io::Result<usize> {
        let count = items.len().min(self.size());
        if let ([item], None) = (items, dscp) {
            return self.send_one(socket, item).map(|()| 1);
        }
        // One socket is of one family.
        if let (Some(dscp), Some(first)) = (dscp, items.first()) {
            *self.mark = Mark::new(dscp, first.to.is_ipv6());
        }
        for (n, item) in items.iter().take(count).enumerate() {
            let address_len = encode(item.to, &mut self.addresses[n]);
            self.point(n, item.buffer, item.len.min(BUFFER), address_len);
            if dscp.is_some() {
                let header = &mut self.headers[n].msg_hdr;
                header.msg_control = (&raw mut *self.mark).cast();
                header.msg_controllen = mem::size_of::<Mark>() as _;
            }
        }
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the first `count` headers point at live buffers, addresses and a control message of the lengths they state, all owned by
        // `self`; the kernel reads there and writes only the `msg_len` of each header.
        let sent =
            unsafe { libc::sendmmsg(fd, self.headers.as_mut_ptr(), count as u32, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        checked(sent).map(|sent| sent as usize)
    }

    fn send_one(&mut self, socket: impl AsFd, item: &Outgoing) -> io::Result<()> {
        let address_len = encode(item.to, &mut self.addresses[0]) as libc::socklen_t;
        let (buffer, len) = (&self.buffers[item.buffer], item.len.min(BUFFER));
        let (fd, flags) = (socket.as_fd().as_raw_fd(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL);
        let address = ptr::from_ref(&self.addresses[0]).cast();
        // SAFETY: `buffer` is valid for reads of `len` octets, which is no more than its size, and `address` for `address_len`, which `encode`
        // has just written there; the kernel only reads.
        let sent = unsafe { libc::sendto(fd, buffer.as_ptr().cast(), len, flags, address, address_len) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Lets header `n` describe `len` octets of a buffer and `address_len` octets of address `n`.
    fn point(&mut self, n: usize, buffer: usize, len: usize, address_len: usize) {
        self.vectors[n] = libc::iovec { iov_base: self.buffers[buffer].as_mut_ptr().cast(), iov_len: len };
        let header = &mut self.headers[n].msg_hdr;
        header.msg_name = (&raw mut self.addresses[n]).cast();
        header.msg_namelen = address_len as libc::socklen_t;
        header.msg_iov = &raw mut self.vectors[n];
        header.msg_iovlen = 1;
        header.msg_control = ptr::null_mut();
        header.msg_controllen = 0;
        header.msg_flags = 0;
    }
}

/// Reads an address that the kernel wrote.
fn decode(storage: &libc::sockaddr_storage, len: usize) -> Option<SocketAddr> {
    match libc::c_int::from(storage.ss_family) {
        libc::AF_INET if len >= mem::size_of::<libc::sockaddr_in>() => {
            // SAFETY: sockaddr_storage is larger than sockaddr_in and aligned for it, and the kernel says it wrote one.
            let v4 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from_bits(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if len >= mem::size_of::<libc::sockaddr_in6>() => {
            // SAFETY: sockaddr_storage is larger than sockaddr_in6 and aligned for it, and the kernel says it wrote one.
            let v6 = unsafe { &*ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// Writes an address for the kernel and returns its length.
fn encode(address: SocketAddr, storage: &mut libc::sockaddr_storage) -> usize {
    match address {
        SocketAddr::V4(v4) => {
            let place = ptr::from_mut(storage).cast::<libc::sockaddr_in>();
            let sin_addr = libc::in_addr { s_addr: v4.ip().to_bits().to_be() };
            let value = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr,
                sin_zero: [0; 8],
            };
            // SAFETY: sockaddr_storage is larger than sockaddr_in and aligned for it; `storage` is borrowed mutably.
            unsafe { place.write(value) };
            mem::size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let place = ptr::from_mut(storage).cast::<libc::sockaddr_in6>();
            let value = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: sockaddr_storage is larger than sockaddr_in6 and aligned for it; `storage` is borrowed mutably.
            unsafe { place.write(value) };
            mem::size_of::<libc::sockaddr_in6>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn addresses_survive_the_kernel_form() {
        // SAFETY: all zeros is a sockaddr_storage.
        let mut storage = unsafe { mem::zeroed() };
        for text in ["192.0.2.1:5004", "[2001:db8::1]:5004", "[fe80::1%7]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let len = encode(address, &mut storage);
            assert_eq!(decode(&storage, len), Some(address));
            assert_eq!(decode(&storage, len - 1), None);
        }
    }

    /// A hint cannot be seen: whatever is asked for, nothing happens.
    #[test]
    fn anything_may_be_fetched() {
        fetch::<[u8]>(&[]);
        fetch(&[7; 1_000][1..]);
        fetch("");
        fetch_span((ptr::without_provenance(usize::MAX - 100), 80));
    }

    #[test]
    fn a_batch_receives_and_sends_in_place() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let (a, b) = (UdpSocket::bind(host).unwrap(), UdpSocket::bind(host).unwrap());
            for n in 0..3u8 {
                a.send_to(&[n; 100], b.local_addr().unwrap()).unwrap();
            }
            a.send_to(&[9; MEDIA_DATAGRAM_MAX + 1], b.local_addr().unwrap()).unwrap();
            let mut batch = Batch::new(8);
            assert_eq!(batch.receive(&b, 2).unwrap(), 2);
            let received = batch.received(1).unwrap();
            assert_eq!((received.from, received.len, received.truncated), (a.local_addr().unwrap(), 100, false));
            assert_eq!(batch.buffer(1)[..100], [1; 100]);
            let back = [1, 0].map(|buffer| Outgoing { buffer, len: 100, to: received.from });
            assert_eq!(batch.send(&b, &back, None).unwrap(), 2);
            assert_eq!(batch.receive(&b, 8).unwrap(), 2);
            assert!(!batch.received(0).unwrap().truncated);
            assert!(batch.received(1).unwrap().truncated);
            assert_eq!(batch.receive(&b, 8).unwrap_err().kind(), io::ErrorKind::WouldBlock);
            let mut octets = [0; 200];
            assert_eq!(a.recv(&mut octets).unwrap(), 100);
            assert_eq!(octets[..100], [1; 100]);
        }
    }
}
