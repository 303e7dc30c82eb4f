//! The RTCP half of a phone (RFC 3550 6.4): every second a sender report with what it heard, and when it heard the other side's.

use super::{Context, Outcome};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const INTERVAL: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(20);
/// From 1900 to 1970, seconds.
const NTP_ERA: u64 = 2_208_988_800;

/// What is reported.
pub struct Traffic {
    /// Where RTP goes; RTCP goes to the next port.
    pub to: Option<SocketAddr>,
    /// Its own source.
    pub ssrc: u32,
    /// Packets sent.
    pub sent: u32,
    /// Source, highest sequence number and packets missed of what is heard.
    pub heard: Option<(u32, u32, u32)>,
}

/// The thread; it ends when the value is dropped.
#[derive(Debug)]
pub struct RtcpPeer {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl RtcpPeer {
    /// Reports by this socket.
    pub fn start(socket: UdpSocket, traffic: impl Fn() -> Traffic + Send + 'static) -> Outcome<RtcpPeer> {
        socket.set_read_timeout(Some(LOOK)).during("setting a read timeout")?;
        let ended = Arc::new(AtomicBool::new(false));
        let told = ended.clone();
        let thread = std::thread::spawn(move || {
            let (mut next, mut heard) = (Instant::now() + INTERVAL, None);
            let mut buffer = [0; 2_048];
            while !told.load(Ordering::Relaxed) {
                if let Ok(length) = socket.recv(&mut buffer) {
                    heard = time_in(&buffer[..length]).map(|time| (time, Instant::now())).or(heard);
                }
                if Instant::now() >= next {
                    next += INTERVAL;
                    let traffic = traffic();
                    if let Some(to) = traffic.to {
                        let _ = socket.send_to(&report(&traffic, heard), SocketAddr::new(to.ip(), to.port() + 1));
                    }
                }
            }
        });
        Ok(RtcpPeer { ended, thread: Some(thread) })
    }
}

impl Drop for RtcpPeer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The middle of the time in a sender report.
fn time_in(datagram: &[u8]) -> Option<u32> {
    let is_report = datagram.get(1) == Some(&200);
    let time = datagram.get(10..14)?.try_into().ok()?;
    is_report.then_some(u32::from_be_bytes(time))
}

fn report(traffic: &Traffic, heard: Option<(u32, Instant)>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    let blocks = u32::from(traffic.heard.is_some());
    let mut words = vec![0x80c8_0006 | blocks << 24, traffic.ssrc];
    words[0] += 6 * blocks;
    words.extend([(now.as_secs() + NTP_ERA) as u32, fraction as u32, traffic.sent * 160, traffic.sent, traffic.sent * 160]);
    if let Some((ssrc, highest, missed)) = traffic.heard {
        let (last, since) = heard.map_or((0, 0), |(time, at)| (time, (at.elapsed().as_secs_f64() * 65_536.0) as u32));
        words.extend([ssrc, missed & 0xff_ffff, highest, 0, last, since]);
    }
    // Each compound packet has a name in it (RFC 3550 6.1): SDES, one chunk, CNAME `tone`.
    words.extend([0x81ca_0003, traffic.ssrc, 0x0104_746f, 0x6e65_0000]);
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringfort_media::quality::reports;

    #[test]
    fn the_node_reads_what_is_reported() {
        let traffic = Traffic { to: None, ssrc: 7, sent: 50, heard: Some((9, 100, 3)) };
        let report = report(&traffic, Some((0xabcd, Instant::now())));
        let (mut times, mut blocks) = (0, Vec::new());
        reports::read(&report, |_, _| times += 1, |block| blocks.push((block.ssrc, block.lost, block.last_report)));
        assert_eq!((times, blocks, time_in(&report).is_some()), (1, vec![(9, 3, 0xabcd)], true));
    }
}
