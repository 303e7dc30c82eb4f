//! The media half of a phone with SRTP and keys in its description, driven step by step: it sends a packet and waits for what comes back.

use super::rtp::Sender;
use super::{Context, Failure, Outcome};
use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::demux::{Kind, classify};
use ringfort_media::plan::{Destination, DiscardReason};
use ringfort_media::srtp::{SrtpReceiver, SrtpSender};
use ringfort_media::{Description, LegKind, LegSession, MediaAddress, Srtp};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How long an echo may take before it counts as lost.
const PATIENCE: Duration = Duration::from_millis(200);
const PCMU: u8 = 0;
const SAMPLES: u32 = 160;

/// A phone's audio under SRTP.
pub struct SecuredPeer {
    socket: UdpSocket,
    session: LegSession,
    contexts: Option<(SrtpSender, SrtpReceiver, SocketAddr)>,
    packets: Sender,
}

impl SecuredPeer {
    /// Listens on `port`. Its sequence number rolls over after about `before` packets.
    pub fn start(port: u16, before: u16) -> Outcome<SecuredPeer> {
        SecuredPeer::start_at((Ipv4Addr::LOCALHOST, port).into(), before)
    }

    /// The same at any address.
    pub fn start_at(at: SocketAddr, before: u16) -> Outcome<SecuredPeer> {
        let port = at.port();
        let socket = UdpSocket::bind(at).during(format_args!("binding media port {port}"))?;
        socket.set_read_timeout(Some(PATIENCE)).during("setting a time limit")?;
        let address = MediaAddress { rtp: at, rtcp: None, advertised: at.ip() };
        let mut dice = Seeded::new(port.into());
        let session = LegSession::new(LegKind::Rtp, PortId(1), address, &mut dice).with_security(Srtp::Required);
        let first = u32::from(u16::MAX - before) << 3;
        Ok(SecuredPeer { socket, session, contexts: None, packets: Sender::new(first) })
    }

    /// Its offer.
    pub fn offer(&mut self) -> Outcome<String> {
        let offer = self.session.make_offer(Time::ZERO, &Description::g711()).during("making an offer")?;
        String::from_utf8(offer).during("reading an offer")
    }

    /// Takes the node's answer, and the keys in it.
    pub fn answered(&mut self, answer: &str) -> Outcome<()> {
        self.session.receive_answer(Time::ZERO, answer.as_bytes()).during("taking an answer")?;
        let plan = self.session.plan(Destination::Discard(DiscardReason::NotConnected));
        let (Some(ours), Some(theirs), Some(to)) = (plan.transmit.srtp, plan.receive.srtp, plan.transmit.rtp) else {
            return Err(Failure::new(format!("no keys in the answer {answer:?}")));
        };
        let contexts = (SrtpSender::new(&ours).during("keys")?, SrtpReceiver::new(&theirs).during("keys")?, to);
        self.contexts = Some(contexts);
        Ok(())
    }

    /// Sends a packet and waits for its echo. False: none came in time. An error: what came cannot be read under the node's keys.
    pub fn echo(&mut self) -> Outcome<bool> {
        let Some((sender, receiver, to)) = &mut self.contexts else { return Err(Failure::new("nothing was answered yet")) };
        let plain = self.packets.packet(PCMU, SAMPLES, &[0x55; SAMPLES as usize]);
        let mut secret = [&plain[..], &[0; 32]].concat();
        let len = sender.protect_rtp(&mut secret, plain.len()).during("protecting a packet")?;
        // The node may be away just now.
        let _ = self.socket.send_to(&secret[..len], *to);
        let mut buffer = [0; 2_048];
        let len = loop {
            let Ok((len, _)) = self.socket.recv_from(&mut buffer) else { return Ok(false) };
            match classify(&buffer[..len]) {
                // The node reports now and then, on the same port.
                Kind::Rtcp => receiver.unprotect_rtcp(&mut buffer[..len]).during("reading a report")?,
                _ => break len,
            };
        };
        let len = receiver.unprotect_rtp(&mut buffer[..len]).during("reading an echo")?;
        if buffer[12..len] != plain[12..] {
            return Err(Failure::new("the echo is another packet"));
        }
        Ok(true)
    }
}
