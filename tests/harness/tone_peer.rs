//! The media half of a phone: a UDP socket that sends a tone in G.711 packets of 20 ms, and listens.

use super::rtcp_peer::{RtcpPeer, Traffic};
use super::rtp::{self, Packet, Sender};
use super::tone::{self, Heard, WINDOW};
use super::wait::await_until;
use super::{Context, Failure, Outcome, g711};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PACKET: Duration = Duration::from_millis(20);
const SAMPLES: u64 = 160;
const PCMU: u8 = 0;
/// Telephone events, as this harness's descriptions say.
const EVENTS: u8 = 101;
/// Packets of a key; the last three say that it ended (RFC 4733 2.5.1.4).
const EVENT_PACKETS: u16 = 6;

/// A phone's audio. The thread behind it ends when the value is dropped.
#[derive(Debug)]
pub struct TonePeer {
    address: IpAddr,
    port: u16,
    hz: f64,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Takes RTCP and says nothing.
    rtcp: Option<UdpSocket>,
    _reports: Option<RtcpPeer>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    silent: AtomicBool,
    sent: AtomicU64,
    ear: Mutex<Ear>,
}

#[derive(Debug, Default)]
struct Ear {
    to: Option<SocketAddr>,
    packets: u64,
    samples: VecDeque<i16>,
    last: Option<Instant>,
    gap_max: Duration,
    events: Vec<Event>,
    tones: Vec<Tones>,
    /// The last packet had the tones of a key.
    sounding: bool,
    /// Key to be pressed.
    press: Option<u8>,
    /// What is heard: source, first and highest sequence number with its roll-overs, packets.
    stream: Option<Stream>,
}

/// A key by telephone event.
#[derive(Clone, Copy, Debug)]
struct Event {
    key: char,
    timestamp: u32,
    duration: u16,
    ended: bool,
}

/// A key by its two tones, and how many packets had them.
#[derive(Clone, Copy, Debug)]
struct Tones {
    key: char,
    packets: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    ssrc: u32,
    first: u32,
    highest: u32,
    received: u64,
}

impl Stream {
    fn expected(&self) -> u64 {
        u64::from(self.highest - self.first) + 1
    }
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
        let sender = Sender::new(u32::from(port) * 65_537);
        let worker = Worker { socket, hz, shared: shared.clone(), sender, samples_sent: 0, event: None };
        let thread = std::thread::Builder::new().name(format!("tone {port}")).spawn(|| worker.run());
        let thread = Some(thread.during("starting a thread")?);
        Ok(TonePeer { address, port, hz, shared, thread, rtcp: bind(port + 1).ok(), _reports: None })
    }

    /// Sends RTCP, too: a report every second of what it sent and heard.
    pub fn reporting(mut self) -> Outcome<TonePeer> {
        let socket = self.rtcp.take().during("the port for RTCP is in use")?;
        let (shared, ssrc) = (self.shared.clone(), u32::from(self.port) * 65_537);
        let traffic = move || {
            let ear = shared.ear.lock().unwrap_or_else(PoisonError::into_inner);
            let sent = shared.sent.load(Ordering::Relaxed) as u32;
            let heard = ear.stream.map(|s| (s.ssrc, s.highest, s.expected().saturating_sub(s.received) as u32));
            Traffic { to: ear.to, ssrc, sent, heard }
        };
        self._reports = Some(RtcpPeer::start(socket, traffic)?);
        Ok(self)
    }

    /// Presses this key (RFC 4733 event) for about 120 ms.
    pub fn press(&self, event: u8) {
        self.ear().press = Some(event);
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Packets that are missing between the first and the last that came of the present source.
    pub fn missing(&self) -> u64 {
        self.ear().stream.map_or(0, |stream| stream.expected().saturating_sub(stream.received))
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
        self.send_to_host((self.address, port).into());
    }

    /// Sends to another host from now on.
    pub fn send_to_host(&self, to: SocketAddr) {
        self.ear().to = Some(to);
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
        self.ear().events.iter().map(|event| event.key).collect()
    }

    /// Keys of telephone events that have ended, each with its length in milliseconds.
    pub fn events(&self) -> Vec<(char, u32)> {
        let ear = self.ear();
        let ended = ear.events.iter().filter(|event| event.ended);
        ended.map(|event| (event.key, u32::from(event.duration) / 8)).collect()
    }

    /// Keys by tones that have ended, each with its length in milliseconds, to a packet.
    pub fn tones(&self) -> Vec<(char, u32)> {
        let (ear, packet_ms) = (self.ear(), PACKET.as_millis() as u32);
        let ended = ear.tones.len() - usize::from(ear.sounding);
        ear.tones[..ended].iter().map(|tones| (tones.key, tones.packets * packet_ms)).collect()
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
    /// The key that is being pressed, and its packets so far.
    event: Option<(u8, u16)>,
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
        let (to, press) = {
            let mut ear = self.ear();
            (ear.to, ear.press.take())
        };
        let first = self.samples_sent;
        self.samples_sent += SAMPLES;
        let Some(to) = to.filter(|_| !self.shared.silent.load(Ordering::Relaxed)) else { return };
        if let Some(event) = press {
            self.event = Some((event, 0));
        }
        let packet = match self.event {
            Some((event, number)) => self.key(event, number),
            None => {
                let payload: Vec<u8> = (first..self.samples_sent).map(|n| g711::encode(tone::sample(self.hz, n))).collect();
                self.sender.packet(PCMU, SAMPLES as u32, &payload)
            }
        };
        // The other side may just be starting again; audio is not repeated.
        if self.socket.send_to(&packet, to).is_ok() {
            self.shared.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A packet of a key. All have the time of its beginning, and the speech after it that of its end.
    fn key(&mut self, event: u8, number: u16) -> Vec<u8> {
        let ended = number + 3 >= EVENT_PACKETS;
        let duration = (number + 1).min(EVENT_PACKETS - 2) * SAMPLES as u16;
        let [high, low] = duration.to_be_bytes();
        let payload = [event, if ended { 0x8a } else { 0x0a }, high, low];
        let mut packet = self.sender.packet(EVENTS, if number == 0 { SAMPLES as u32 } else { 0 }, &payload);
        packet[1] |= if number == 0 { 0x80 } else { 0 };
        let last = number + 1 == EVENT_PACKETS;
        self.event = (!last).then_some((event, number + 1));
        if last {
            self.sender.skip(u32::from(EVENT_PACKETS - 1) * SAMPLES as u32);
        }
        packet
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
        self.count(packet.ssrc, packet.sequence);
        match packet.payload_type {
            PCMU => {
                let samples: Vec<i16> = packet.payload.iter().map(|octet| g711::decode(*octet)).collect();
                self.take_tones(tone::key(&samples));
                self.samples.extend(samples);
                let surplus = self.samples.len().saturating_sub(WINDOW);
                self.samples.drain(..surplus);
            }
            96.. => self.take_event(&packet),
            _ => {}
        }
    }

    fn count(&mut self, ssrc: u32, sequence: u16) {
        let new = Stream { ssrc, first: sequence.into(), highest: sequence.into(), received: 0 };
        let stream = self.stream.get_or_insert(new);
        if stream.ssrc != ssrc {
            *stream = new;
        }
        // What is ahead by less than half the numbers is newer.
        let ahead = sequence.wrapping_sub(stream.highest as u16);
        if ahead < 0x8000 {
            stream.highest += u32::from(ahead);
        }
        stream.received += 1;
    }

    /// All packets of one event carry the timestamp of its beginning (RFC 4733 2.5.1.2).
    fn take_event(&mut self, packet: &Packet<'_>) {
        let Some(key) = rtp::key_of_event(packet.payload) else { return };
        let [_, flags, high, low] = [0, 1, 2, 3].map(|at| packet.payload[at]);
        let (duration, ended) = (u16::from_be_bytes([high, low]), flags & 0x80 != 0);
        match self.events.last_mut().filter(|event| event.timestamp == packet.timestamp) {
            Some(event) => (event.duration, event.ended) = (event.duration.max(duration), event.ended || ended),
            None => self.events.push(Event { key, timestamp: packet.timestamp, duration, ended }),
        }
    }

    fn take_tones(&mut self, key: Option<char>) {
        let sounded = std::mem::replace(&mut self.sounding, key.is_some());
        let Some(key) = key else { return };
        match self.tones.last_mut().filter(|tones| sounded && tones.key == key) {
            Some(tones) => tones.packets += 1,
            None => self.tones.push(Tones { key, packets: 1 }),
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
