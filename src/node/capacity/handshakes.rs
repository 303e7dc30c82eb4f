//! DTLS handshakes: two legs as each other's peers, in memory; only what the answering one does counts.

use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::{Description, DtlsIdentity, Keying, LegKind, LegOutput, LegSession, MediaAddress, Security, Srtp};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Turns of the wire that a handshake may take; it needs about six.
const TURNS_MAX: usize = 100;
const STEP: Duration = Duration::from_millis(5);

/// How many a core answers in a second, found in about `time`. `None`: the two do not agree.
pub fn a_second_and_core(time: Duration) -> Option<u32> {
    // A browser has a certificate of its own, and makes it outside the time that counts.
    let theirs = Arc::new(DtlsIdentity::generate()?);
    let (begun, mut spent, mut done) = (Instant::now(), Duration::ZERO, 0u32);
    while begun.elapsed() < time || done == 0 {
        spent += handshake(u64::from(done) + 1, &theirs)?;
        done += 1;
    }
    Some((f64::from(done) / spent.as_secs_f64()) as u32)
}

fn leg(seed: u64, port: u16) -> LegSession {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let address = MediaAddress { rtp: at, rtcp: None, advertised: at.ip() };
    LegSession::new(LegKind::Rtp, PortId(port.into()), address, &mut Seeded::new(seed))
}

/// What the answering side spent from the first datagram until it had the keys.
fn handshake(seed: u64, theirs: &Arc<DtlsIdentity>) -> Option<Duration> {
    let required = Security { srtp: Srtp::Required, keying: Keying::Dtls, ..Security::default() };
    let mut peer = leg(2 * seed, 4_000).with_security(required).with_identity(theirs.clone());
    let mut node = leg(2 * seed + 1, 4_100);
    let mut now = Time::from_millis(1_000);
    let offer = peer.make_offer(now, &Description::g711()).ok()?;
    let described = node.receive_offer(now, &offer).ok()?;
    let answer = node.make_answer(now, &described).ok()?;
    peer.receive_answer(now, &answer).ok()?;
    let (mut spent, mut ready) = (Duration::ZERO, [false; 2]);
    for _ in 0..TURNS_MAX {
        let to_node = sent(&mut peer, &mut ready[0]);
        let begun = Instant::now();
        to_node.iter().for_each(|datagram| node.handle_datagram(now, peer.address().rtp, datagram));
        if node.next_timeout() <= now {
            node.handle_timeout(now);
        }
        let to_peer = sent(&mut node, &mut ready[1]);
        spent += begun.elapsed();
        to_peer.iter().for_each(|datagram| peer.handle_datagram(now, node.address().rtp, datagram));
        if peer.next_timeout() <= now {
            peer.handle_timeout(now);
        }
        if ready == [true; 2] {
            return Some(spent);
        }
        now = now + STEP;
    }
    None
}

fn sent(leg: &mut LegSession, ready: &mut bool) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    while let Some(output) = leg.poll_output() {
        match output {
            LegOutput::Send { datagram, .. } => datagrams.push(datagram),
            LegOutput::Ready { .. } => *ready = true,
            _ => {}
        }
    }
    datagrams
}

#[cfg(test)]
mod tests {
    #[test]
    fn handshakes_are_counted() {
        assert!(super::a_second_and_core(std::time::Duration::ZERO).is_some_and(|count| count > 0));
    }
}
