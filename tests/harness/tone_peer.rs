//! The media half of a phone: a UDP socket that sends a tone in G.711 packets of 20 ms, and listens.

use super::rtp::{self, Packet, Sender};
use super::tone::{self, Heard, WINDOW};
use super::wait::await_until;
use super::{Context, Failure, Outcome, g711};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PACKET: Duration = Duration::from_millis(20);
const SAMPLES: u64 = 160;
const PCMU: u8 = 0;

/// A phone's audio. The thread behind it ends when the value is dropped.
#[derive(Debug)]
pub struct TonePeer {
    address: IpAddr,
    port: u16,
    hz: f64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Takes RTCP and says nothing.
    _rtcp: Option<UdpSocket>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    silent: AtomicBool,
    ear: Mutex<Ear>,
}

#[derive(Debug, Default)]
struct Ear {
    to: Option<SocketAddr>,
    packets: u64,
    samples: VecDeque<i16>,
    last: Option<Instant>,
    gap_max: Duration,
    keys: String,
    last_event: Option<u32>,
}

impl TonePeer {
    /// Listens on `port`, and sends a tone to whoever sends to it first.
    pub fn start(port: u16, hz: f64) -> Outcome<TonePeer> {
        TonePeer::start_at(Ipv4Addr::LOCALHOST.into(), port, hz)
    }

    /// The same at this address.
    pub fn start_at(address: IpAddr, port: u16, hz: f64) -> Outcome<TonePeer> {
        let bind = |port: u16| UdpSocket::bind((address, port));
        let socket = bind(port).during(format_args!("binding media port {port}"))?;
        let shared = Arc::new(Shared::default());
        let worker =
            Worker { socket, hz, shared: shared.clone(), sender: Sender::new(u32::from(port) * 65_537), samples_sent: 0 };
        let thread = std::thread::Builder::new().name(format!("tone {port}")).spawn(|| worker.run());
        let thread = Some(thread.during("starting a thread")?);
        Ok(TonePeer { address, port, hz, shared, thread, _rtcp: bind(port + 1).ok() })
    }

    /// Its port, for SDP.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The tone that it sends, hertz.
    pub fn hz(&self) -> f64 {
        self.hz
    }

    fn ear(&self) -> MutexGuard<'_, Ear> {
        self.shared.ear.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends to this address from now on.
    pub fn send_to(&self, port: u16) {
        self.ear().to = Some((self.address, port).into());
    }

    /// Stops sending, or goes on.
    pub fn set_silent(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::Relaxed);
    }

    /// RTP packets received so far.
    pub fn packets(&self) -> u64 {
        self.ear().packets
    }

    /// Keys of telephone events received so far.
    pub fn keys(&self) -> String {
        self.ear().keys.clone()
    }

    /// Whence the last packet came, which is where its own go.
    pub fn partner(&self) -> Option<SocketAddr> {
        self.ear().to
    }

    /// Forgets what was heard, and begins to measure gaps anew.
    pub fn forget(&self) {
        let mut ear = self.ear();
        ear.samples.clear();
        ear.gap_max = Duration::ZERO;
        ear.last = Some(Instant::now());
    }

    /// The longest time without a packet since [`TonePeer::forget`], the one that lasts now included.
    pub fn gap_max(&self) -> Duration {
        let ear = self.ear();
        ear.gap_max.max(ear.last.map_or(Duration::ZERO, |last| last.elapsed()))
    }

    /// What it hears now.
    pub fn heard(&self) -> Heard {
        let samples: Vec<i16> = self.ear().samples.iter().copied().collect();
        if samples.len() < WINDOW { Heard::Silence } else { tone::listen(&samples) }
    }

    /// Waits until it hears this tone in what arrives from now on.
    pub fn await_tone(&self, hz: f64, limit: Duration) -> Outcome<()> {
        self.ear().samples.clear();
        await_until(&format!("a tone of {hz} Hz"), limit, || Ok(self.heard().is(hz).then_some(())))
            .map_err(|failure| Failure::new(format!("media port {}: {failure}; it hears {:?}", self.port, self.heard())))
    }

    /// Waits until it was sent these keys.
    pub fn await_keys(&self, keys: &str, limit: Duration) -> Outcome<()> {
        await_until(&format!("keys {keys}"), limit, || Ok((self.keys() == keys).then_some(())))
            .map_err(|failure| Failure::new(format!("media port {}: {failure}; it got `{}`", self.port, self.keys())))
    }
}

impl Drop for TonePeer {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread owns.
struct Worker {
    socket: UdpSocket,
    hz: f64,
    shared: Arc<Shared>,
    sender: Sender,
    samples_sent: u64,
}

impl Worker {
    fn run(mut self) {
        let mut next = Instant::now();
        while !self.shared.ended.load(Ordering::Relaxed) {
            let now = Instant::now();
            if now >= next {
                self.send();
                next += PACKET;
                continue;
            }
            // A read time-out of zero would mean none.
            let _ = self.socket.set_read_timeout(Some((next - now).max(Duration::from_micros(100))));
            let mut buffer = [0; 2_048];
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                self.ear().take(&buffer[..length], from);
            }
        }
    }

    fn ear(&self) -> MutexGuard<'_, Ear> {
        self.shared.ear.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&mut self) {
        let to = self.ear().to;
        let first = self.samples_sent;
        self.samples_sent += SAMPLES;
        let Some(to) = to.filter(|_| !self.shared.silent.load(Ordering::Relaxed)) else { return };
        let payload: Vec<u8> = (first..self.samples_sent).map(|n| g711::encode(tone::sample(self.hz, n))).collect();
        let packet = self.sender.packet(PCMU, SAMPLES as u32, &payload);
        // The other side may just be starting again; audio is not repeated.
        let _ = self.socket.send_to(&packet, to);
    }
}

impl Ear {
    fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        let Some(packet) = Packet::parse(datagram) else { return };
        let now = Instant::now();
        if let Some(last) = self.last {
            self.gap_max = self.gap_max.max(now - last);
        }
        self.last = Some(now);
        self.packets += 1;
        self.to.get_or_insert(from);
        match packet.payload_type {
            PCMU => {
                self.samples.extend(packet.payload.iter().map(|octet| g711::decode(*octet)));
                let surplus = self.samples.len().saturating_sub(WINDOW);
                self.samples.drain(..surplus);
            }
            96.. => self.take_event(&packet),
            _ => {}
        }
    }

    /// All packets of one event carry the timestamp of its beginning (RFC 4733 2.5.1.2).
    fn take_event(&mut self, packet: &Packet<'_>) {
        if self.last_event == Some(packet.timestamp) {
            return;
        }
        if let Some(key) = rtp::key_of_event(packet.payload) {
            self.last_event = Some(packet.timestamp);
            self.keys.push(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ports::Ports;
    use super::*;

    #[test]
    fn two_peers_hear_each_other() {
        let mut ports = Ports::default();
        let mut peer = |hz| TonePeer::start(ports.take().expect("a port"), hz).expect("starts");
        let (a, b) = (peer(440.0), peer(1_000.0));
        a.send_to(b.port());
        b.await_tone(440.0, Duration::from_secs(3)).expect("a is heard");
        a.await_tone(1_000.0, Duration::from_secs(3)).expect("b answers");
        a.set_silent(true);
        b.forget();
        await_until("a gap", Duration::from_secs(3), || Ok((b.gap_max().as_millis() > 150).then_some(()))).expect("gap");
    }
}
