//! What a recorder is told of the audio that it gets, and what it says to that (RFC 7866 8): one audio line for each party, which the
//! node only sends. The recorder may offer anew where it takes them, by which numbers, and whether it takes them now. Each line has a port of its own, and the codecs are those that the party sends: packets are copied, not coded anew.

use crate::compose::{Hop, Local, address_text, audio_section};
use crate::description::{Description, Format};
use crate::error::MediaError;
use crate::lending::Lent;
use crate::negotiation::{Agreed, admit_answer, admit_security, answer_crypto, first_line, offer_crypto};
use crate::plan::{CopyPlan, Destination, DiscardReason, FlowPlan, Latch, Receive, Transmit};
use crate::remote::{LineShape, Remote};
use crate::sdp::{Direction, Line, Sdp};
use crate::security::Security;
use crate::session::{LegKind, LegSession, MediaAddress};
use ringfort_base::{Entropy, PortId};

/// Clock of a format that does not tell it, Hz.
const TELEPHONE_HZ: u32 = 8_000;

/// What a leg's peer may send, with the numbers that it uses: what a recorder of this party is offered.
pub fn sent_by(leg: &LegSession) -> Vec<Format> {
    leg.agreed().into_iter().flat_map(Agreed::heard).cloned().collect()
}

/// One party's audio on its way to the recorder.
struct Stream {
    port: PortId,
    address: MediaAddress,
    offered: Option<Local>,
    agreed: Option<Agreed>,
}

/// The audio of one recording session: offers of the node, answers of the recorder. The lines keep their order, and their labels are
/// their places from 1 on.
pub struct RecordingSession {
    security: Security,
    id: u64,
    version: u64,
    told: Option<Vec<u8>>,
    streams: Vec<Stream>,
}

impl RecordingSession {
    /// Streams by these ports.
    pub fn new(security: Security, ports: &[(PortId, MediaAddress)], entropy: &mut dyn Entropy) -> RecordingSession {
        let stream =
            |(port, address): &(PortId, MediaAddress)| Stream { port: *port, address: *address, offered: None, agreed: None };
        // Some peers read the session id as a signed number.
        let id = entropy.u64() >> 2;
        RecordingSession { security, id, version: 1, told: None, streams: ports.iter().map(stream).collect() }
    }

    /// The ports of all streams.
    pub fn ports(&self) -> impl Iterator<Item = PortId> {
        self.streams.iter().map(|stream| stream.port)
    }

    /// An offer of what each party sends now. Without `flows` nothing is sent for the time being: the call is on hold.
    pub fn make_offer(&mut self, sent: &[Vec<Format>], flows: bool, entropy: &mut dyn Entropy) -> Vec<u8> {
        let shapes: Vec<LineShape> = self.streams.iter().map(|_| first_line(false, &self.security)).collect();
        for (index, (stream, formats)) in self.streams.iter_mut().zip(sent).enumerate() {
            let direction = if flows { Direction::SendOnly } else { Direction::Inactive };
            let attributes = vec![format!("label:{}", index + 1)];
            let description = Description { formats: formats.clone(), direction, attributes, ..Description::default() };
            let crypto = offer_crypto(&self.security, stream.agreed.as_ref(), &Lent::default(), entropy);
            let (lines, setup) = (shapes.clone(), None);
            stream.offered = Some(Local {
                lines,
                audio: index,
                video: None,
                image: None,
                description,
                rtcp_mux: false,
                bundled: false,
                setup,
                crypto,
                video_crypto: Vec::new(),
            });
        }
        let locals: Vec<Local> = self.streams.iter().filter_map(|stream| stream.offered.clone()).collect();
        self.tell(&locals)
    }

    /// The last offer once more: what a request without description is answered with (RFC 3261 14.2).
    pub fn repeat_offer(&mut self, entropy: &mut dyn Entropy) -> Vec<u8> {
        for stream in &mut self.streams {
            let Some(local) = &mut stream.offered else { continue };
            local.crypto = offer_crypto(&self.security, stream.agreed.as_ref(), &Lent::default(), entropy);
        }
        let locals: Vec<Local> = self.streams.iter().filter_map(|stream| stream.offered.clone()).collect();
        self.tell(&locals)
    }

    /// Words these lines; the version grows when something is new (RFC 3264 8).
    fn tell(&mut self, locals: &[Local]) -> Vec<u8> {
        let mut body = self.write(locals);
        if self.told.as_ref().is_some_and(|told| *told != body) {
            self.version += 1;
            body = self.write(locals);
        }
        self.told = Some(body.clone());
        body
    }

    fn write(&self, locals: &[Local]) -> Vec<u8> {
        let place = self.streams.first().map(|stream| address_text(stream.address.advertised)).unwrap_or_default();
        let session = vec![
            Line::new('v', "0"),
            Line::new('o', format!("- {} {} {place}", self.id, self.version)),
            Line::new('s', "-"),
            Line::new('c', &place),
            Line::new('t', "0 0"),
        ];
        let section = |(stream, local): (&Stream, &Local)| {
            let (session_id, version) = (self.id, self.version);
            let hop = Hop { session_id, version, address: stream.address, aside: None, track: "", ice: None, fingerprint: None };
            Some(audio_section(local, local.lines.get(local.audio)?, &hop))
        };
        Sdp { session, media: self.streams.iter().zip(locals).filter_map(section).collect() }.write()
    }

    /// Takes the recorder's answer to the last offer.
    ///
    /// # Errors
    /// Nothing has changed: the answer does not fit the offer, or leaves out a line, or the codec that a party prefers.
    pub fn receive_answer(&mut self, sdp: &[u8]) -> Result<(), MediaError> {
        let sdp = Sdp::parse(sdp)?;
        let answered: Result<Vec<Agreed>, MediaError> = self.streams.iter().map(|stream| self.admit(stream, &sdp)).collect();
        for (stream, agreed) in self.streams.iter_mut().zip(answered?) {
            stream.agreed = Some(agreed);
        }
        Ok(())
    }

    fn admit(&self, stream: &Stream, sdp: &Sdp) -> Result<Agreed, MediaError> {
        let missing = MediaError::OutOfOrder { wanted: "the recorder's answer", needed: "an offer" };
        let local = stream.offered.clone().ok_or(missing)?;
        let remote = admit_answer(Remote::of_answer(sdp, LegKind::Rtp, &local)?, &local)?;
        Ok(Agreed { remote: self.admit_place(stream, remote, &local)?, local, peer_offered: false })
    }

    /// What holds for offers and answers of a recorder alike.
    fn admit_place(&self, stream: &Stream, mut remote: Remote, local: &Local) -> Result<Remote, MediaError> {
        admit_security(&self.security, &remote)?;
        let speech = local.description.formats.iter().find(|format| format.is_speech());
        let taken = |format: &Format| remote.description.formats.iter().any(|other| format.same_codec(other));
        if !speech.is_some_and(taken) {
            return Err(MediaError::NoCommonFormat);
        }
        let before = stream.agreed.as_ref().map(|agreed| (agreed.remote.rtp, agreed.remote.rtcp));
        if let (None, Some((rtp, rtcp))) = (remote.rtp, before) {
            (remote.rtp, remote.rtcp) = (rtp, rtcp);
        }
        // Nothing ever comes from a recorder that would show where it is.
        if remote.rtp.is_none() {
            return Err(MediaError::UnsupportedAddress);
        }
        Ok(remote)
    }

    /// Takes an offer of the recorder in a session that stands, and answers it: where it takes audio now, by which numbers, and
    /// whether (RFC 7866 7.2). What is recorded stays: lines and codecs are those of the node's last offer.
    ///
    /// # Errors
    /// Nothing has changed: the offer has other lines, leaves one out, or the codec that a party prefers.
    pub fn receive_offer(&mut self, sdp: &[u8], entropy: &mut dyn Entropy) -> Result<Vec<u8>, MediaError> {
        let sdp = Sdp::parse(sdp)?;
        let mut taken = Vec::new();
        for stream in &self.streams {
            taken.push(self.admit_offer(stream, &sdp, entropy)?);
        }
        // In the answer the formats have the offer's numbers (RFC 3264 6.1); packets are renumbered as they are copied.
        let worded = |agreed: &Agreed| {
            let (mut local, theirs) = (agreed.local.clone(), agreed.remote.description.direction);
            local.description.direction = local.description.direction.and(theirs.reversed());
            local.description.formats = agreed.spoken().cloned().collect();
            local
        };
        let locals: Vec<Local> = taken.iter().map(worded).collect();
        for (stream, agreed) in self.streams.iter_mut().zip(taken) {
            stream.agreed = Some(agreed);
        }
        Ok(self.tell(&locals))
    }

    fn admit_offer(&self, stream: &Stream, sdp: &Sdp, entropy: &mut dyn Entropy) -> Result<Agreed, MediaError> {
        let missing = MediaError::OutOfOrder { wanted: "the recorder's offer", needed: "an answer" };
        let before = stream.agreed.as_ref().ok_or(missing)?;
        let own = stream.offered.as_ref().unwrap_or(&before.local);
        let mut remote = Remote::of_answer(sdp, LegKind::Rtp, own)?;
        remote.dtls = None;
        remote.crypto.retain(|crypto| self.security.suites.take(crypto.keys.profile));
        let remote = self.admit_place(stream, remote, own)?;
        let crypto = answer_crypto(&remote, Some(before), &Lent::default(), entropy);
        let local = Local { lines: remote.lines.clone(), crypto, ..own.clone() };
        Ok(Agreed { local, remote, peer_offered: true })
    }

    /// Whether the recorder takes nothing now of what it is offered.
    pub fn is_paused(&self) -> bool {
        let declines = |agreed: &Agreed| agreed.local.description.direction.sends() && !agreed.node_may_send();
        self.streams.iter().any(|stream| stream.agreed.as_ref().is_some_and(declines))
    }

    /// What the relay does at the port of this stream. `None` before the first answer.
    pub fn plan(&self, index: usize) -> Option<FlowPlan> {
        let agreed = self.streams.get(index)?.agreed.as_ref()?;
        let remote = &agreed.remote;
        let rtcp_mux = agreed.rtcp_mux();
        let (ours, theirs) = agreed.keys().map(|(ours, theirs)| (ours.clone(), theirs.clone())).unzip();
        let (speech, signals): (Vec<&Format>, Vec<&Format>) = agreed.spoken().partition(|format| format.is_speech());
        let clock = |format: &&Format| (format.payload, format.clock_hz().unwrap_or(TELEPHONE_HZ));
        Some(FlowPlan {
            receive: Receive {
                srtp: theirs,
                speech: speech.iter().map(clock).collect(),
                signals: signals.iter().map(|format| format.payload).collect(),
                ..Receive::of(Latch::Exact(remote.rtp?))
            },
            destination: Destination::Discard(DiscardReason::Unheard),
            transmit: Transmit {
                rtp: remote.rtp,
                rtcp: remote.rtcp.filter(|_| !rtcp_mux),
                rtcp_mux,
                srtp: ours,
                lent: false,
                muted: !agreed.node_may_send(),
            },
            audio: None,
            copy: None,
            apart: None,
        })
    }

    /// What is copied of the packets that this stream's party sends. `None`: nothing now.
    pub fn copy(&self, index: usize) -> Option<CopyPlan> {
        let stream = self.streams.get(index)?;
        let agreed = stream.agreed.as_ref().filter(|agreed| agreed.node_may_send())?;
        let number = |sent: &Format| Some((sent.payload, agreed.spoken().find(|format| format.same_codec(sent))?.payload));
        Some(CopyPlan { port: stream.port, payloads: agreed.local.description.formats.iter().filter_map(number).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::Srtp;
    use ringfort_base::entropy::Seeded;

    fn session(srtp: Srtp) -> RecordingSession {
        let address = |port: u16| {
            let rtp: std::net::SocketAddr = format!("10.0.0.1:{port}").parse().unwrap();
            (PortId(port.into()), MediaAddress { rtp, rtcp: None, advertised: rtp.ip() })
        };
        RecordingSession::new(srtp.into(), &[address(4000), address(4002)], &mut Seeded::new(1))
    }

    fn offer(session: &mut RecordingSession, flows: bool) -> String {
        let formats = vec![Description::g711().formats, Description::g711().formats[1..].to_vec()];
        String::from_utf8(session.make_offer(&formats, flows, &mut Seeded::new(2))).unwrap()
    }

    fn answer(lines: &str) -> Vec<u8> {
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n{lines}").into_bytes()
    }

    const TAKEN: &str = "m=audio 6000 RTP/AVP 0\r\na=recvonly\r\nm=audio 6002 RTP/AVP 100 101\r\na=rtpmap:100 PCMA/8000\r\n\
                         a=rtpmap:101 telephone-event/8000\r\na=recvonly\r\n";

    #[test]
    fn each_party_has_a_line_and_a_label() {
        let mut session = session(Srtp::Off);
        let text = offer(&mut session, true);
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("m=") || line.contains("label")).collect();
        assert_eq!(lines, ["m=audio 4000 RTP/AVP 0 8 101", "a=label:1", "m=audio 4002 RTP/AVP 8 101", "a=label:2"]);
        assert_eq!(text.matches("a=sendonly").count(), 2);
        assert!(session.plan(0).is_none() && session.copy(0).is_none());
        session.receive_answer(&answer(TAKEN)).expect("taken");
        let plan = session.plan(1).expect("answered");
        assert_eq!(plan.transmit.rtp, "192.0.2.7:6002".parse().ok());
        assert_eq!((plan.receive.speech, plan.receive.signals), (vec![(100, 8_000)], vec![101]));
        assert_eq!(session.copy(0).expect("flows").payloads, [(0, 0)], "what the recorder left out is not copied");
        assert_eq!(session.copy(1).expect("flows").payloads, [(8, 100), (101, 101)]);
    }

    #[test]
    fn a_hold_stops_the_copies_and_the_version_grows() {
        let mut session = session(Srtp::Off);
        let first = offer(&mut session, true);
        session.receive_answer(&answer(TAKEN)).expect("taken");
        assert_eq!(offer(&mut session, true), first, "nothing is new");
        let held = offer(&mut session, false);
        assert!(held.matches("a=inactive").count() == 2 && held.contains(" 2 IN IP4"), "{held}");
        session.receive_answer(&answer(&TAKEN.replace("recvonly", "inactive"))).expect("taken");
        assert!(session.copy(0).is_none() && session.plan(0).expect("a plan").transmit.muted);
    }

    #[test]
    fn keys_are_agreed_by_line() {
        let mut session = session(Srtp::Required);
        let text = offer(&mut session, true);
        assert_eq!(text.matches("RTP/SAVP").count(), 2);
        let key = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
        let secured = TAKEN.replace("RTP/AVP", "RTP/SAVP").replace("a=recvonly\r\n", &format!("a=recvonly\r\n{key}"));
        session.receive_answer(&answer(&secured)).expect("taken");
        let [a, b] = [0, 1].map(|n| session.plan(n).expect("answered").transmit.srtp.expect("keys"));
        assert!(a != b, "each line has keys of its own");
        let again = offer(&mut session, true);
        let keys = |text: &str| text.lines().filter(|l| l.starts_with("a=crypto:1")).map(str::to_string).collect::<Vec<_>>();
        assert_eq!(keys(&again), keys(&text), "what is in use goes on");
        let mut plain = self::session(Srtp::Required);
        offer(&mut plain, true);
        plain.receive_answer(&answer(TAKEN)).expect_err("not in plain");
    }

    #[test]
    fn an_offer_of_the_recorder_moves_and_pauses() {
        let mut session = session(Srtp::Off);
        let early = session.receive_offer(&answer(TAKEN), &mut Seeded::new(3));
        assert!(matches!(early, Err(MediaError::OutOfOrder { .. })), "nothing is agreed yet");
        let first = offer(&mut session, true);
        session.receive_answer(&answer(TAKEN)).expect("taken");
        let moved = TAKEN.replace("6002", "6102").replace("100", "102").replace("recvonly", "sendrecv");
        let text = String::from_utf8(session.receive_offer(&answer(&moved), &mut Seeded::new(3)).expect("fits")).unwrap();
        assert!(text.contains("RTP/AVP 102 101\r\n") && text.matches("a=sendonly").count() == 2, "{text}");
        assert_eq!(session.plan(1).expect("agreed").transmit.rtp, "192.0.2.7:6102".parse().ok());
        assert_eq!(session.copy(1).expect("flows").payloads, [(8, 102), (101, 101)], "packets have the party's numbers");
        let paused = session.receive_offer(&answer(&TAKEN.replace("recvonly", "inactive")), &mut Seeded::new(3)).expect("fits");
        assert_eq!(String::from_utf8(paused).unwrap().matches("a=inactive").count(), 2);
        assert!(session.is_paused() && session.copy(0).is_none());
        let again = String::from_utf8(session.repeat_offer(&mut Seeded::new(3))).unwrap();
        let lines = |text: &str| text.lines().filter(|line| !line.starts_with("o=")).map(str::to_string).collect::<Vec<_>>();
        assert_eq!(lines(&again), lines(&first), "what the node offers is what it was");
        session.receive_answer(&answer(TAKEN)).expect("taken");
        for unfit in [TAKEN.replace("6002", "0"), TAKEN.replace("PCMA", "GSM"), format!("{TAKEN}{TAKEN}")] {
            session.receive_offer(&answer(&unfit), &mut Seeded::new(3)).expect_err("does not fit");
        }
        assert!(!session.is_paused() && session.plan(1).expect("agreed").transmit.rtp == "192.0.2.7:6002".parse().ok());
    }

    #[test]
    fn answers_that_do_not_fit_change_nothing() {
        let refusal = |lines: &str| {
            let mut session = session(Srtp::Off);
            offer(&mut session, true);
            let error = session.receive_answer(&answer(lines)).expect_err("does not fit");
            assert!(session.plan(0).is_none() && session.copy(1).is_none());
            error
        };
        let first = "m=audio 6000 RTP/AVP 0\r\n";
        assert_eq!(refusal(first), MediaError::LineCount { offered: 2, answered: 1 });
        assert_eq!(refusal(&format!("{first}m=audio 0 RTP/AVP 8\r\n")), MediaError::Refused);
        assert_eq!(refusal(&format!("{first}m=video 6002 RTP/AVP 8\r\n")), MediaError::LineOrder { index: 1 });
        assert_eq!(refusal(&format!("{first}m=audio 6002 RTP/AVP 0\r\n")), MediaError::NoCommonFormat);
        assert_eq!(refusal("m=audio 6000 RTP/AVP 8\r\nm=audio 6002 RTP/AVP 8\r\n"), MediaError::NoCommonFormat, "not the first");
        let nowhere = format!("{first}m=audio 6002 RTP/AVP 8\r\nc=IN IP4 recorder.example\r\n");
        assert_eq!(refusal(&nowhere), MediaError::UnsupportedAddress);
    }
}
