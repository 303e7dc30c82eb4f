//! The offer/answer rules of RFC 3264 and RFC 8842 as functions of what both sides said.

use crate::compose::{Local, cleaned};
use crate::description::{Description, Format};
use crate::digits::Digits;
use crate::error::MediaError;
use crate::lending::Lent;
use crate::plan::SrtpKeys;
use crate::remote::{LineShape, Remote};
use crate::repertoire::{Repertoire, events_beside, of_own, own_choice};
use crate::sdes::Crypto;
use crate::sdp::Setup;
use crate::security::{Keying, Security, Srtp};
use crate::session::LegKind;
use crate::video::Video;
use ringfort_base::{Entropy, limits};
use serde::{Deserialize, Serialize};

/// Clock of audio whose format does not tell it.
const TELEPHONE_HZ: u32 = 8_000;

/// What the node does with a leg's peer, by configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How audio is secured.
    pub security: Security,
    /// Codecs that the node adds to its offers.
    #[serde(default)]
    pub repertoire: Repertoire,
    /// How the peer tells digits, and takes them.
    #[serde(default)]
    pub digits: Digits,
}

impl Policy {
    /// The same without anything that the node would have to code anew: what the sides share, or nothing.
    pub fn passing(self) -> Policy {
        Policy { repertoire: self.repertoire.passing(), digits: Digits::Auto, ..self }
    }
}

/// An offer that waits for its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Pending {
    /// The peer's.
    Received(Box<Remote>),
    /// The node's.
    Sent(Box<Local>),
}

/// What both sides agreed on last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Agreed {
    /// The node's side.
    pub local: Local,
    /// The peer's side.
    pub remote: Remote,
    /// The peer made the offer.
    pub peer_offered: bool,
}

impl Agreed {
    /// Payload types by which the peer sends speech, with their clocks: the node chose them in its own description.
    pub fn speech(&self) -> Vec<(u8, u32)> {
        let formats = self.local.description.formats.iter().filter(|format| format.is_speech());
        formats.map(|format| (format.payload, format.clock_hz().unwrap_or(TELEPHONE_HZ))).collect()
    }

    /// Payload types of telephone events and comfort noise by which the peer may send.
    pub fn signals(&self) -> Vec<u8> {
        self.local.description.formats.iter().filter(|format| !format.is_speech()).map(|format| format.payload).collect()
    }

    /// The codec by which the peer most likely sends: the first that the node takes.
    pub fn codec(&self) -> Option<&str> {
        self.local.description.formats.iter().find(|format| format.is_speech()).map(Format::name)
    }

    /// What the peer may send, with the numbers that the node chose in its own description.
    pub fn heard(&self) -> impl Iterator<Item = &Format> {
        let remote = &self.remote.description.formats;
        self.local.description.formats.iter().filter(|format| remote.iter().any(|other| format.same_codec(other)))
    }

    /// What the node may send, with the numbers that the peer chose.
    pub fn spoken(&self) -> impl Iterator<Item = &Format> {
        let local = &self.local.description.formats;
        self.remote.description.formats.iter().filter(|format| local.iter().any(|other| format.same_codec(other)))
    }

    /// A fax took the place of the audio, on its port.
    pub fn is_fax(&self) -> bool {
        self.local.is_fax() && !self.has_image()
    }

    /// A fax has the second port.
    pub fn has_image(&self) -> bool {
        self.local.image.and(self.remote.image).is_some()
    }

    /// A fax has the second port, and the audio beside it was refused.
    pub fn is_silent(&self) -> bool {
        self.has_image() && (self.local.is_fax() || self.remote.description.is_fax())
    }

    /// The node may send to the peer.
    pub fn node_may_send(&self) -> bool {
        self.local.description.direction.sends() && self.remote.description.direction.receives()
    }

    /// The peer may send to the node.
    pub fn peer_may_send(&self) -> bool {
        self.remote.description.direction.sends() && self.local.description.direction.receives()
    }

    /// Video of the node's and of the peer's description, where both have it.
    fn videos(&self) -> Option<(&Video, &Video)> {
        self.local.video.and(self.remote.video)?;
        Some((self.local.description.video.as_ref()?, self.remote.description.video.as_ref()?))
    }

    /// The same where it comes on the transport of the audio.
    pub fn bundled_videos(&self) -> Option<(&Video, &Video)> {
        self.videos().filter(|(local, remote)| local.bundled && remote.bundled)
    }

    /// The same where it comes by a port of its own.
    pub fn plain_videos(&self) -> Option<(&Video, &Video)> {
        self.videos().filter(|(local, remote)| !local.bundled && !remote.bundled)
    }

    /// Payload types by which the peer may send video on the transport of the audio.
    pub fn video(&self) -> Vec<u8> {
        self.bundled_videos().map(|(local, _)| local.formats.iter().map(|format| format.payload).collect()).unwrap_or_default()
    }

    /// The peer may send, and be sent, anything at all.
    pub fn flows(&self) -> (bool, bool) {
        let (comes, goes) = self.bundled_videos().map_or((false, false), |(local, remote)| {
            let (ours, theirs) = (local.direction, remote.direction);
            (theirs.sends() && ours.receives(), ours.sends() && theirs.receives())
        });
        (self.peer_may_send() || comes, self.node_may_send() || goes)
    }

    /// Keys of the node and of the peer, where both told one for the same suite (RFC 4568 5.1.3).
    pub fn keys(&self) -> Option<(&SrtpKeys, &SrtpKeys)> {
        pair(&self.local.crypto, &self.remote.crypto)
    }

    /// Those of the node are the other side's peer's.
    pub fn lent(&self) -> bool {
        let ours = self.keys().map(|(ours, _)| ours);
        self.local.crypto.iter().any(|crypto| crypto.lent && Some(&crypto.keys) == ours)
    }

    /// The line with the keys of the node.
    fn in_use(&self) -> Option<&Crypto> {
        let (ours, _) = self.keys()?;
        self.local.crypto.iter().find(|crypto| crypto.keys == *ours)
    }

    /// The same for video that has a port of its own.
    pub fn video_keys(&self) -> Option<(&SrtpKeys, &SrtpKeys)> {
        self.plain_videos()?;
        pair(&self.local.video_crypto, &self.remote.video_crypto)
    }

    /// RTP and RTCP share a port (RFC 5761 5.1.1: both must say so).
    pub fn rtcp_mux(&self) -> bool {
        self.local.rtcp_mux && self.remote.rtcp_mux
    }
}

fn pair<'a>(ours: &'a [Crypto], theirs: &'a [Crypto]) -> Option<(&'a SrtpKeys, &'a SrtpKeys)> {
    let answer = |one: &Crypto| theirs.iter().find(|other| other.answers(one));
    ours.iter().find_map(|one| Some((&one.keys, &answer(one)?.keys)))
}

/// What a leg is of its own.
#[derive(Clone, Copy)]
pub(crate) struct Own {
    /// How its peer transports media.
    pub kind: LegKind,
    /// RTCP has no way but the port of RTP.
    pub mux: bool,
    /// It has a second port.
    pub aside: bool,
}

impl Own {
    /// A video as the leg carries it: a browser's in its bundle, a phone's by a second port. `None`: it has no place for it.
    fn fitted(self, video: Video, description: &Description, bundled: bool) -> Option<Video> {
        let video = match self.kind {
            LegKind::Webrtc if bundled => video.fitted(true).beside(description),
            LegKind::Rtp if self.aside => video.fitted(false),
            LegKind::Webrtc | LegKind::Rtp => return None,
        };
        video.has_picture().then_some(video)
    }
}

/// An offer that tells what the other leg's peer said. `before`: what is agreed with this peer, whose media lines all have to be
/// offered again (RFC 3264 8).
pub(crate) fn offer(leg: Own, description: &Description, before: Option<&Local>, policy: &Policy) -> Result<Local, MediaError> {
    let mut description = cleaned(description);
    let keyed = before.is_some_and(|local| local.setup.is_some() || !local.crypto.is_empty());
    let (webrtc, mux) = (leg.kind == LegKind::Webrtc, leg.mux);
    let (mut lines, audio, bundled) = match before {
        Some(local) => (local.lines.clone(), local.audio, local.bundled),
        None => (vec![first_line(webrtc, &policy.security)], 0, webrtc),
    };
    let own = first_line(webrtc, &policy.security);
    if let Some(fax) = description.fax.clone().filter(|_| description.is_fax()) {
        admit_fax(&policy.security, webrtc || keyed)?;
        let audio = place(&mut lines, audio, fax_line(), !fax.alone && before.is_some());
        return Ok(Local::of_fax(lines, audio, bundled, description));
    }
    policy.repertoire.supplement(&mut description.formats, description.digits_turned);
    policy.digits.fit(&mut description.formats);
    if !description.has_speech() {
        return Err(MediaError::NoCommonFormat);
    }
    let audio = place(&mut lines, audio, own, false);
    let dtls = webrtc || before.map_or(policy.security.asks_for_dtls(), |local| local.setup.is_some());
    let setup = dtls.then_some(Setup::Actpass);
    let pictures = description.video.take().filter(|_| webrtc || !dtls);
    description.video = pictures.and_then(|video| leg.fitted(video, &description, bundled));
    let video = description.video.as_ref().map(|video| video_place(&mut lines, audio, video.bundled)).unwrap_or_default();
    if video.is_none() {
        description.video = None;
    }
    // A fax beside the audio goes in the clear, so it is not offered where the audio may get keys.
    let image = leg.aside && video.is_none() && !webrtc && !keyed && policy.security.srtp == Srtp::Off;
    description.fax = description.fax.filter(|_| image);
    let image = description.fax.as_ref().and_then(|_| image_place(&mut lines, audio));
    description.fax = description.fax.filter(|_| image.is_some());
    // A port of its own for RTCP would need a handshake of its own (RFC 5764 3).
    let rtcp_mux = dtls || mux;
    Ok(Local { lines, audio, video, image, description, rtcp_mux, bundled, setup, crypto: Vec::new(), video_crypto: Vec::new() })
}

pub(crate) fn first_line(webrtc: bool, security: &Security) -> LineShape {
    let proto = match (webrtc, security.srtp, security.keying) {
        (true, ..) => "UDP/TLS/RTP/SAVPF",
        (false, Srtp::Required, Keying::Sdes) => "RTP/SAVP",
        (false, Srtp::Required, Keying::Dtls) => "UDP/TLS/RTP/SAVP",
        (false, Srtp::Off | Srtp::Optional, _) => "RTP/AVP",
    };
    let mid = webrtc.then(|| "0".to_owned());
    LineShape { kind: "audio".to_owned(), proto: proto.to_owned(), format: "0".to_owned(), mid }
}

fn fax_line() -> LineShape {
    LineShape { kind: "image".to_owned(), proto: "udptl".to_owned(), format: "t38".to_owned(), mid: None }
}

/// Place of the video line: the one that was there before, or a new one behind all others. `None`: there is no room.
fn video_place(lines: &mut Vec<LineShape>, audio: usize, bundled: bool) -> Option<usize> {
    if let Some(at) = lines.iter().position(|line| line.kind == "video") {
        return Some(at);
    }
    let beside = lines.get(audio).filter(|_| lines.len() < limits::SDP_MEDIA_MAX)?;
    // Where it has a transport of its own, its keys say what it is.
    let proto = if bundled { &beside.proto } else { "RTP/AVP" }.to_owned();
    let named = beside.mid.is_some();
    let free = |mid: &String| lines.iter().all(|line| line.mid.as_ref() != Some(mid));
    let mid = (lines.len()..=2 * limits::SDP_MEDIA_MAX).map(|number| number.to_string()).find(free).filter(|_| named);
    lines.push(LineShape { kind: "video".to_owned(), proto, format: "0".to_owned(), mid });
    Some(lines.len() - 1)
}

/// Place of the line of a fax beside the audio: the one that was there before, or a new one.
fn image_place(lines: &mut Vec<LineShape>, audio: usize) -> Option<usize> {
    let before = (0..lines.len()).find(|at| *at != audio && lines.get(*at).is_some_and(|line| line.kind == "image"));
    if before.is_none() && lines.len() < limits::SDP_MEDIA_MAX {
        lines.push(fax_line());
        return Some(lines.len() - 1);
    }
    before
}

/// Place of the line that carries the call, of the shape of `wanted`: one that is there, or a new one behind all others if `beside`, or
/// the one that carried it so far. The same data in another form stays in its place (RFC 3264 8.3.3).
fn place(lines: &mut Vec<LineShape>, so_far: usize, wanted: LineShape, beside: bool) -> usize {
    let of_kind = |at: &usize| lines.get(*at).is_some_and(|line| line.kind == wanted.kind);
    if let Some(at) = std::iter::once(so_far).chain(0..lines.len()).find(of_kind) {
        return at;
    }
    if beside && lines.len() < limits::SDP_MEDIA_MAX {
        lines.push(wanted);
        return lines.len() - 1;
    }
    if let Some(line) = lines.get_mut(so_far) {
        *line = LineShape { mid: line.mid.take(), ..wanted };
    }
    so_far
}

/// A fax beside audio that has keys, or must have, is none.
pub(crate) fn admit_image(security: &Security, keyed: bool, remote: &mut Remote) {
    if admit_fax(security, keyed || !remote.crypto.is_empty()).is_err() {
        remote.without_image();
    }
}

/// A fax goes in the clear, so it goes only where audio may.
pub(crate) fn admit_fax(security: &Security, keyed: bool) -> Result<(), MediaError> {
    if keyed || security.srtp == Srtp::Required { Err(MediaError::FaxUnprotected) } else { Ok(()) }
}

/// The answer to a fax: one, or none.
fn fax_answer(remote: &Remote, description: Description) -> Result<Local, MediaError> {
    if !description.is_fax() {
        return Err(MediaError::NoCommonFormat);
    }
    Ok(Local::of_fax(remote.lines.clone(), remote.audio, remote.bundled, description))
}

/// The answer to `remote` that tells what the other leg's peer said, cut to what was offered (RFC 3264 6.1). Where nothing of it was
/// offered, what the node can bring across.
pub(crate) fn answer(
    remote: &Remote,
    description: &Description,
    setup: Option<Setup>,
    policy: &Policy,
    aside: bool,
) -> Result<Local, MediaError> {
    let mut description = cleaned(description);
    if remote.description.is_fax() {
        return fax_answer(remote, description);
    }
    let image = remote.image.filter(|_| aside);
    if let (true, Some(_)) = (description.is_fax(), image) {
        let local = Local::of_fax(remote.lines.clone(), remote.audio, remote.bundled, description);
        return Ok(Local { image, ..local });
    }
    description.fax = description.fax.filter(|_| image.is_some());
    let (offered, other) = (&remote.description.formats, description.formats.clone());
    description.formats = common(description.formats, offered);
    match policy.repertoire.transcodes() {
        true if !description.has_speech() => description = of_own(&description, own_choice(offered, &other)),
        true if description.digits_turned || other.iter().any(Format::is_events) => {
            keep_events(&mut description.formats, offered)
        }
        _ => {}
    }
    policy.digits.fit(&mut description.formats);
    if !description.has_speech() {
        return Err(MediaError::NoCommonFormat);
    }
    description.direction = description.direction.and(remote.description.direction.reversed());
    let offered = remote.description.video.as_ref().filter(|video| video.bundled || aside);
    description.video = offered.zip(description.video.take()).and_then(|(offered, video)| across(video, offered, &description));
    Ok(Local {
        lines: remote.lines.clone(),
        audio: remote.audio,
        video: remote.video.filter(|_| description.video.is_some()),
        image: image.filter(|_| description.fax.is_some()),
        description,
        rtcp_mux: remote.rtcp_mux,
        bundled: remote.bundled,
        setup,
        crypto: Vec::new(),
        video_crypto: Vec::new(),
    })
}

/// The other leg's answer about video, as an answer to this offer.
fn across(video: Video, offered: &Video, audio: &Description) -> Option<Video> {
    if video.bundled == offered.bundled {
        return video.common(offered);
    }
    let video = video.fitted(offered.bundled);
    let video = if offered.bundled { video.beside(audio) } else { video.numbered_as(offered) };
    video.common(offered)
}

/// Holds an answer to the offer it answers: formats, keys and DTLS that were not offered and directions that do not fit are left out.
pub(crate) fn admit_answer(mut remote: Remote, offered: &Local) -> Result<Remote, MediaError> {
    if remote.description.is_fax() && offered.image.is_some() && offered.image == remote.image {
        return Ok(remote);
    }
    if offered.is_fax() || remote.description.is_fax() {
        let both = offered.is_fax() && remote.description.is_fax();
        return if both { Ok(remote) } else { Err(MediaError::NoCommonFormat) };
    }
    if remote.image != offered.image {
        remote.without_image();
    }
    remote.dtls = remote.dtls.filter(|_| offered.setup.is_some());
    let description = &mut remote.description;
    description.formats = common(std::mem::take(&mut description.formats), &offered.description.formats);
    if !description.has_speech() {
        return Err(MediaError::NoCommonFormat);
    }
    description.direction = description.direction.and(offered.description.direction.reversed());
    description.video = common_video(description.video.as_ref(), offered.description.video.as_ref());
    remote.video = remote.video.filter(|_| remote.description.video.is_some());
    for (theirs, ours) in [(&mut remote.crypto, &offered.crypto), (&mut remote.video_crypto, &offered.video_crypto)] {
        theirs.retain(|theirs| ours.iter().any(|ours| theirs.answers(ours)));
        theirs.truncate(1);
    }
    Ok(remote)
}

/// The keys of an offer of the node for video with a port of its own, and the transport that they make of its line. What is in use goes
/// on. Where the audio has keys, pictures are offered with keys too.
pub(crate) fn offer_video_crypto(local: &mut Local, security: &Security, agreed: Option<&Agreed>, entropy: &mut dyn Entropy) {
    let so_far = agreed.filter(|agreed| agreed.plain_videos().is_some());
    local.video_crypto = match so_far.map(|agreed| (agreed, agreed.video_keys())) {
        Some((agreed, Some((ours, _)))) => {
            agreed.local.video_crypto.iter().filter(|crypto| crypto.keys == *ours).cloned().collect()
        }
        Some((_, None)) => Vec::new(),
        None if security.srtp == Srtp::Off && local.crypto.is_empty() => Vec::new(),
        None => Crypto::offer(&security.suites, entropy),
    };
    let audio = local.lines.get(local.audio).map(|line| line.proto.clone()).unwrap_or_default();
    if let (None, Some(line)) = (so_far, local.video.and_then(|at| local.lines.get_mut(at))) {
        let secured = audio.starts_with("RTP/SAVP") && !local.video_crypto.is_empty();
        line.proto = if secured { &audio } else { "RTP/AVP" }.to_owned();
    }
}

/// Video that the leg's policy or the transport of its line does not let pass without keys is none: where there must be keys, nothing
/// goes in the clear.
pub(crate) fn admit_video(security: &Security, remote: &mut Remote) {
    let Some(at) = remote.video.filter(|_| remote.place.is_some()) else { return };
    let secured = remote.lines.get(at).is_some_and(|line| line.proto.starts_with("RTP/SAVP"));
    if remote.video_crypto.is_empty() && (secured || security.srtp == Srtp::Required) {
        (remote.video, remote.place, remote.description.video) = (None, None, None);
    }
}

/// The keys of an offer of the node (RFC 4568 5.1.1). The suite in use goes on alone: another one would begin a new stream for nothing.
pub(crate) fn offer_crypto(security: &Security, agreed: Option<&Agreed>, lent: &Lent, entropy: &mut dyn Entropy) -> Vec<Crypto> {
    match (agreed.and_then(Agreed::in_use), agreed, security.srtp) {
        (Some(crypto), ..) => vec![lent.or_on(crypto.clone(), entropy)],
        // What was agreed is plain; keys would change it in the middle of a call.
        (None, Some(_), _) | (None, None, Srtp::Off) => Vec::new(),
        (None, None, _) if security.asks_for_dtls() => Vec::new(),
        (None, None, Srtp::Optional | Srtp::Required) => lent.offer(&security.suites, entropy),
    }
}

/// The keys of an answer of the node: for the first line of the offer that can be used, or the one that the other side's peer chose, with
/// the key that is in use where the suite stays (RFC 4568 5.1.2, 7.1.2).
pub(crate) fn answer_crypto(remote: &Remote, agreed: Option<&Agreed>, lent: &Lent, entropy: &mut dyn Entropy) -> Vec<Crypto> {
    let Some(theirs) = lent.chosen(&remote.crypto) else { return Vec::new() };
    let (tag, profile) = (theirs.tag, theirs.keys.profile);
    let in_use = agreed.and_then(Agreed::in_use).filter(|ours| ours.keys.profile == profile);
    vec![match in_use {
        Some(ours) => lent.or_on(Crypto { tag, ..ours.clone() }, entropy),
        None => lent.or_fresh(tag, profile, entropy),
    }]
}

/// The same for video with a port of its own.
pub(crate) fn answer_video_crypto(remote: &Remote, agreed: Option<&Agreed>, entropy: &mut dyn Entropy) -> Vec<Crypto> {
    let Some(theirs) = remote.video_crypto.first() else { return Vec::new() };
    let (tag, profile) = (theirs.tag, theirs.keys.profile);
    let in_use = agreed.and_then(Agreed::video_keys).map(|(ours, _)| ours.clone());
    vec![match in_use.filter(|ours| ours.profile == profile) {
        Some(keys) => Crypto { tag, keys, lent: false },
        None => Crypto::generate(tag, profile, entropy),
    }]
}

/// Whether what the peer wrote fits the leg's policy and its own transport: RTP/SAVP is nothing without keys.
pub(crate) fn admit_security(security: &Security, remote: &Remote) -> Result<(), MediaError> {
    if remote.description.is_fax() {
        return admit_fax(security, false);
    }
    let plain = remote.lines.get(remote.audio).is_some_and(|line| line.proto.starts_with("RTP/AVP"));
    let keyed = remote.dtls.is_some() || !remote.crypto.is_empty();
    match (keyed, plain && security.srtp != Srtp::Required, security.keying) {
        (true, ..) | (_, true, _) => Ok(()),
        (false, false, Keying::Sdes) => Err(MediaError::Missing { attribute: "crypto" }),
        (false, false, Keying::Dtls) => Err(MediaError::Missing { attribute: "fingerprint" }),
    }
}

/// Events in the peer's own clock, where no clock is common: the node brings them across.
fn keep_events(formats: &mut Vec<Format>, offered: &[Format]) {
    if formats.iter().any(Format::is_events) {
        return;
    }
    let own = formats.iter().find(|format| format.is_speech()).and_then(|speech| events_beside(offered, speech));
    let own = own.filter(|own| formats.iter().all(|format| format.payload != own.payload)).cloned();
    formats.extend(own);
}

fn common_video(answered: Option<&Video>, offered: Option<&Video>) -> Option<Video> {
    answered?.common(offered?)
}

fn common(mut formats: Vec<Format>, offered: &[Format]) -> Vec<Format> {
    formats.retain(|format| offered.iter().any(|other| format.same_codec(other)));
    formats
}

/// The node's role in its answer, and whether it is the DTLS client (RFC 8842 5.3). It prefers to be server: a browser then opens
/// the handshake as soon as its checks succeed, which an ICE-lite node learns last. An association that goes on keeps its roles.
pub(crate) fn answer_setup(offered: Option<Setup>, client_before: Option<bool>) -> Result<(Setup, bool), MediaError> {
    match (offered, client_before) {
        (Some(Setup::Passive), _) | (Some(Setup::Actpass), Some(true)) => Ok((Setup::Active, true)),
        // Without the attribute an offerer is active (RFC 4145 4).
        (Some(Setup::Actpass | Setup::Active) | None, _) => Ok((Setup::Passive, false)),
        (Some(role @ Setup::Holdconn), _) => Err(MediaError::SetupRole { role: role.as_str() }),
    }
}

/// Whether the node is the DTLS client after its `actpass` was answered (RFC 8842 5.4).
pub(crate) fn role_by_answer(answered: Option<Setup>) -> Result<bool, MediaError> {
    match answered {
        Some(Setup::Active) => Ok(false),
        Some(Setup::Passive) => Ok(true),
        Some(role) => Err(MediaError::SetupRole { role: role.as_str() }),
        None => Err(MediaError::Missing { attribute: "setup" }),
    }
}
