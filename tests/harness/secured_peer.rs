//! The media half of a phone with SRTP and keys in its description, driven step by step: it sends a packet and waits for what comes back.

use super::rtp::Sender;
use super::{Context, Failure, Outcome};
use ringfort_base::entropy::Seeded;
use ringfort_base::{PortId, Time};
use ringfort_media::demux::{Kind, classify};
use ringfort_media::plan::{Destination, DiscardReason, SrtpKeys};
use ringfort_media::sdp::Direction;
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
    keys: Option<(SrtpKeys, SrtpKeys)>,
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
        Ok(SecuredPeer { socket, session, contexts: None, keys: None, packets: Sender::new(first) })
    }

    /// Its offer.
    pub fn offer(&mut self) -> Outcome<String> {
        self.offer_to(Direction::SendRecv)
    }

    /// Its offer to send, to receive, or both.
    pub fn offer_to(&mut self, direction: Direction) -> Outcome<String> {
        let description = Description { direction, ..Description::g711() };
        let offer = self.session.make_offer(Time::ZERO, &description).during("making an offer")?;
        String::from_utf8(offer).during("reading an offer")
    }

    /// Its answer to the node's offer, with the keys in both.
    pub fn answer(&mut self, offer: &str) -> Outcome<String> {
        self.session.receive_offer(Time::ZERO, offer.as_bytes()).during("taking an offer")?;
        let answer = self.session.make_answer(Time::ZERO, &Description::g711()).during("making an answer")?;
        self.agreed()?;
        String::from_utf8(answer).during("reading an answer")
    }

    /// Takes the node's answer, and the keys in it.
    pub fn answered(&mut self, answer: &str) -> Outcome<()> {
        self.session.receive_answer(Time::ZERO, answer.as_bytes()).during("taking an answer")?;
        self.agreed()
    }

    /// Keys that are in use go on.
    fn agreed(&mut self) -> Outcome<()> {
        let plan = self.session.plan(Destination::Discard(DiscardReason::NotConnected));
        let (Some(ours), Some(theirs), Some(to)) = (plan.transmit.srtp, plan.receive.srtp, plan.transmit.rtp) else {
            return Err(Failure::new("no keys were agreed on"));
        };
        let keys = Some((ours.clone(), theirs.clone()));
        if keys == self.keys {
            return Ok(());
        }
        self.keys = keys;
        let contexts = (SrtpSender::new(&ours).during("keys")?, SrtpReceiver::new(&theirs).during("keys")?, to);
        self.contexts = Some(contexts);
        Ok(())
    }

    /// Sends a packet; the octets that went out.
    pub fn say(&mut self) -> Outcome<Vec<u8>> {
        self.send().map(|(_, secret)| secret)
    }

    /// Sends octets that went out before once more.
    pub fn repeat(&self, said: &[u8]) -> Outcome<()> {
        let Some((_, _, to)) = &self.contexts else { return Err(Failure::new("nothing was answered yet")) };
        self.socket.send_to(said, *to).map(drop).during("sending")
    }

    /// The next packet of audio, as it came. `None`: there was none in time. An error: it cannot be read.
    pub fn hear(&mut self) -> Outcome<Option<Vec<u8>>> {
        self.read().map(|read| read.map(|(_, secret)| secret))
    }

    /// Sends a packet and waits for its echo. False: none came in time. An error: what came cannot be read under the node's keys.
    pub fn echo(&mut self) -> Outcome<bool> {
        let (said, _) = self.send()?;
        let Some((heard, _)) = self.read()? else { return Ok(false) };
        if heard[12..] != said[12..] {
            return Err(Failure::new("the echo is another packet"));
        }
        Ok(true)
    }

    /// Sends a packet: in plain, and as it went out.
    fn send(&mut self) -> Outcome<(Vec<u8>, Vec<u8>)> {
        let Some((sender, _, to)) = &mut self.contexts else { return Err(Failure::new("nothing was answered yet")) };
        let plain = self.packets.packet(PCMU, SAMPLES, &[0x55; SAMPLES as usize]);
        let mut secret = [&plain[..], &[0; 32]].concat();
        let len = sender.protect_rtp(&mut secret, plain.len()).during("protecting a packet")?;
        secret.truncate(len);
        // The node may be away just now.
        let _ = self.socket.send_to(&secret, *to);
        Ok((plain, secret))
    }

    /// The next packet of audio: in plain, and as it came. The node's reports come on the same port.
    fn read(&mut self) -> Outcome<Option<(Vec<u8>, Vec<u8>)>> {
        let Some((_, receiver, _)) = &mut self.contexts else { return Err(Failure::new("nothing was answered yet")) };
        let mut buffer = [0; 2_048];
        loop {
            let Ok((len, _)) = self.socket.recv_from(&mut buffer) else { return Ok(None) };
            let octets = &mut buffer[..len];
            if classify(octets) == Kind::Rtcp {
                receiver.unprotect_rtcp(octets).during("reading a report")?;
                continue;
            }
            let secret = octets.to_vec();
            let len = receiver.unprotect_rtp(octets).during("reading a packet")?;
            return Ok(Some((octets[..len].to_vec(), secret)));
        }
    }
}
