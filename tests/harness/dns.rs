//! A name server that knows a few names, over UDP: SRV and A records, with a TTL of a minute. Of any other name it says that there is none.

use super::{Context, Outcome};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const A: u16 = 1;
const SRV: u16 = 33;
const TTL_S: u32 = 60;

/// Record data by name and kind.
type Zone = BTreeMap<(String, u16), Vec<Vec<u8>>>;

/// The server; its thread ends when the value is dropped.
#[derive(Debug)]
pub struct NameServer {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it knows, before it starts.
#[derive(Debug, Default)]
pub struct Names(Zone);

impl Names {
    /// A host at this address.
    pub fn host(mut self, name: &str, address: Ipv4Addr) -> Names {
        self.0.entry((name.into(), A)).or_default().push(address.octets().to_vec());
        self
    }

    /// A server of a service: priority, port and host; all have the same weight.
    pub fn server(mut self, service: &str, priority: u16, port: u16, host: &str) -> Names {
        let numbers = [priority, 1, port].map(u16::to_be_bytes).concat();
        self.0.entry((service.into(), SRV)).or_default().push([numbers, wire(host)].concat());
        self
    }

    /// Answers on this port from now on.
    pub fn serve(self, port: u16) -> Outcome<NameServer> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).during(format_args!("binding port {port}"))?;
        socket.set_read_timeout(Some(Duration::from_millis(20))).during("setting a read timeout")?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1_024];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some(reply) = answer(&self.0, &buffer[..length]) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Ok(NameServer { ended, thread: Some(thread) })
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A name as it stands in a message (RFC 1035 3.1).
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[label.len() as u8], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// The answer to a question (RFC 1035 4.1): the question again, and what is known.
fn answer(zone: &Zone, query: &[u8]) -> Option<Vec<u8>> {
    let (head, rest) = query.split_at_checked(12)?;
    let end = rest.iter().position(|octet| *octet == 0)? + 1;
    let (question, kind) = (rest.get(..end + 4)?, u16::from_be_bytes([*rest.get(end)?, *rest.get(end + 1)?]));
    let known = |name: &String| wire(name).eq_ignore_ascii_case(&question[..end]);
    let records: Vec<&Vec<u8>> =
        zone.iter().filter(|((name, of), _)| *of == kind && known(name)).flat_map(|(_, data)| data).collect();
    let exists = zone.keys().any(|(name, _)| known(name));
    // Response, authoritative, recursion as asked for; 3: there is no such name.
    let flags = [0x84 | (head[2] & 1), if exists { 0 } else { 3 }];
    let counts = [1, records.len() as u16, 0, 0].map(u16::to_be_bytes).concat();
    let mut reply = [&head[..2], &flags, &counts, question].concat();
    for data in records {
        let owner = 0xc00c_u16;
        let fixed = [owner, kind, 1].map(u16::to_be_bytes).concat();
        reply.extend([&fixed[..], &TTL_S.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat());
    }
    Some(reply)
}
