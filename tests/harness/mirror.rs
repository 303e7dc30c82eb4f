//! The camera of a phone, which shows what it sees: video that comes in goes back as a stream of its own, with the RTCP of a phone beside
//! it (RFC 3550, RFC 4585).

use super::rtp::Packet;
use super::wait::await_until;
use super::{Context, Failure, Outcome};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK: Duration = Duration::from_millis(20);
const RECEIVER_REPORT: u8 = 201;
const PAYLOAD_FEEDBACK: u8 = 206;
/// Forms of it: a picture was lost, an intra picture is asked for (RFC 5104 4.3.1).
const LOST: u8 = 1;
const INTRA: u8 = 4;

/// The camera, with a port for RTP and the next one for RTCP. Its threads end when the value is dropped.
#[derive(Debug)]
pub struct Mirror {
    port: u16,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    /// Packets that are not shown again: whoever looks has to ask for a whole picture.
    blind: AtomicU64,
    seen: AtomicU64,
    reports: AtomicU64,
    asked: AtomicU64,
    /// Source of what it sees, and where its RTCP goes.
    theirs: AtomicU32,
    node: Mutex<Option<SocketAddr>>,
}

impl Mirror {
    /// Listens on `port` and the next one. The first `blind` packets do not come back.
    pub fn start(port: u16, blind: u64) -> Outcome<Mirror> {
        let bind = |port: u16| -> Outcome<UdpSocket> {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).during(format_args!("binding media port {port}"))?;
            socket.set_read_timeout(Some(LOOK)).during("setting a read timeout")?;
            Ok(socket)
        };
        let (rtp, rtcp) = (bind(port)?, bind(port + 1)?);
        let shared = Arc::new(Shared { blind: blind.into(), ..Shared::default() });
        let own = u32::from(port) * 65_539;
        let (one, other) = (shared.clone(), shared.clone());
        let threads = vec![std::thread::spawn(move || one.show(&rtp, own)), std::thread::spawn(move || other.report(&rtcp, own))];
        Ok(Mirror { port, shared, threads })
    }

    /// Its port for RTP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Requests for a whole picture that came.
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::Relaxed)
    }

    /// Packets of video that came.
    pub fn seen(&self) -> u64 {
        self.shared.seen.load(Ordering::Relaxed)
    }

    /// Waits until somebody has asked for a whole picture, and reports of what the camera sends have come.
    pub fn await_feedback(&self, limit: Duration) -> Outcome<()> {
        let counts = || [&self.shared.asked, &self.shared.reports].map(|count| count.load(Ordering::Relaxed));
        await_until("feedback about the camera", limit, || Ok(counts().iter().all(|count| *count > 0).then_some(())))
            .map_err(|failure| Failure::new(format!("{failure}: asked and reported {:?}, {} packets", counts(), self.seen())))
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Shared {
    fn show(&self, socket: &UdpSocket, own: u32) {
        let mut buffer = [0; 2_048];
        while !self.ended.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            let Some(theirs) = Packet::parse(&buffer[..length]).map(|packet| packet.ssrc) else { continue };
            self.theirs.store(theirs, Ordering::Relaxed);
            *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(SocketAddr::new(from.ip(), from.port() + 1));
            if self.seen.fetch_add(1, Ordering::Relaxed) >= self.blind.load(Ordering::Relaxed) {
                buffer[8..12].copy_from_slice(&own.to_be_bytes());
                // The other side may be gone already.
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    }

    fn report(&self, socket: &UdpSocket, own: u32) {
        let mut buffer = [0; 2_048];
        while !self.ended.load(Ordering::Relaxed) {
            let Ok(length) = socket.recv(&mut buffer) else { continue };
            for packet in packets(&buffer[..length]) {
                let form = packet[0] & 0x1f;
                match packet[1] {
                    200 | RECEIVER_REPORT => drop(self.reports.fetch_add(1, Ordering::Relaxed)),
                    PAYLOAD_FEEDBACK if names(packet, own) && [LOST, INTRA].contains(&form) => {
                        self.asked.fetch_add(1, Ordering::Relaxed);
                        self.pass_on(socket, own);
                    }
                    _ => {}
                }
            }
        }
    }

    /// What it shows comes from the other side, so a whole picture has to come from there first.
    fn pass_on(&self, socket: &UdpSocket, own: u32) {
        let theirs = self.theirs.load(Ordering::Relaxed);
        let words = [0x80c9_0001, own, 0x81ce_0002, own, theirs];
        let wish: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
        if let Some(node) = *self.node.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = socket.send_to(&wish, node);
        }
    }
}

/// Whether feedback names this source, in front or behind.
fn names(packet: &[u8], ssrc: u32) -> bool {
    [8, 12].iter().any(|at| packet.get(*at..at + 4) == Some(&ssrc.to_be_bytes()[..]))
}

/// The packets of a compound one.
fn packets(mut compound: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = 4 + 4 * usize::from(u16::from_be_bytes([*compound.get(2)?, *compound.get(3)?]));
        let (packet, rest) = compound.split_at_checked(length)?;
        compound = rest;
        Some(packet)
    })
}

/// The SDP of a phone with a camera: G.711, and this codec of video under this number. `events`: the number of its telephone events.
pub fn camera_sdp(audio: u16, events: u8, video: u16, codec: &str, number: u8) -> String {
    format!(
        "v=0\r\no=phone 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {audio} RTP/AVP 0 {events}\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:{events} telephone-event/8000\r\na=fmtp:{events} 0-15\r\n\
         m=video {video} RTP/AVP {number}\r\na=rtpmap:{number} {codec}/90000\r\na=rtcp-fb:{number} nack pli\r\na=rtcp-fb:{number} ccm fir\r\n"
    )
}
