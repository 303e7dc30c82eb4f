//! A peer that answers every request 200, until it is told to be silent: its socket stays open then, as when a machine hangs.

use super::sip_message::SipMessage;
use super::wait::await_true;
use super::{Context, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The peer; its thread ends when the value is dropped.
#[derive(Debug)]
pub struct Stub {
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: AtomicBool,
    silent: AtomicBool,
    seen: Mutex<BTreeMap<String, usize>>,
    /// Call-IDs of requests that came while it was silent.
    unanswered: Mutex<BTreeSet<String>>,
}

impl Stub {
    /// On this UDP port.
    pub fn start(port: u16) -> Outcome<Stub> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).during(format_args!("binding port {port}"))?;
        let timeout = Duration::from_millis(20);
        socket.set_read_timeout(Some(timeout)).during("setting a read timeout")?;
        let shared = Arc::new(Shared::default());
        let worker = shared.clone();
        let thread = Some(std::thread::spawn(move || worker.run(&socket)));
        Ok(Stub { port, shared, thread })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Answers nothing from now on.
    pub fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::Relaxed);
    }

    /// Answers again.
    pub fn speak(&self) {
        self.shared.silent.store(false, Ordering::Relaxed);
    }

    /// How many it has left without an answer, repeats of the same call not counted.
    pub fn unanswered(&self) -> usize {
        self.shared.unanswered.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until it has answered so many requests of this method.
    pub fn await_requests(&self, method: &str, count: usize, limit: Duration) -> Outcome<()> {
        let seen = || self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).get(method).copied().unwrap_or(0);
        await_true(&format!("{count} {method}"), limit, || seen() >= count)
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, socket: &UdpSocket) {
        let mut buffer = [0; 65_535];
        while !self.ended.load(Ordering::Relaxed) {
            let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
            if self.silent.load(Ordering::Relaxed) {
                self.pass_over(&buffer[..length]);
                continue;
            }
            if let Some(reply) = self.answer(&buffer[..length]) {
                let _ = socket.send_to(reply.as_bytes(), from);
            }
        }
    }

    fn pass_over(&self, datagram: &[u8]) {
        let Some(id) = SipMessage::parse(datagram).ok().map(|message| message.header("Call-ID").to_string()) else { return };
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
    }

    fn answer(&self, datagram: &[u8]) -> Option<String> {
        let request = SipMessage::parse(datagram).ok()?;
        let method = request.method().filter(|m| *m != "ACK")?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner).entry(method.to_string()).or_default() += 1;
        Some(request.reply("200 OK", "stub", "", ""))
    }
}
