//! A peer's description, read for one leg: the shape of its media lines, the carried audio line, and where and how it takes media.

use crate::compose::Local;
use crate::consent;
use crate::description::{Description, Format};
use crate::error::MediaError;
use crate::fax::{Fax, is_fax};
use crate::hiding::Secrets;
use crate::sdes::{self, Crypto};
use crate::sdp::{Connection, Direction, Fingerprint, MediaLine, Rule, Sdp, SdpError, Section, Setup, payload_type};
use crate::session::{LegKind, Place};
use crate::video::Video;
use crate::webrtc::IceCredentials;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// What has to be repeated of a media line when it is answered or offered again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineShape {
    /// `audio`, `video`, ...
    pub kind: String,
    /// Transport as written.
    pub proto: String,
    /// The first format, which a refusal repeats.
    pub format: String,
    /// `a=mid`.
    pub mid: Option<String>,
}

/// A peer's description as one leg needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remote {
    /// All media lines in order.
    pub lines: Vec<LineShape>,
    /// Place of the carried audio line, or of the fax in its place.
    pub audio: usize,
    /// Place of the video line that is carried beside it.
    #[serde(default)]
    pub video: Option<usize>,
    /// Place of the line of a fax that is carried beside it.
    #[serde(default)]
    pub image: Option<usize>,
    /// What the other leg is told.
    pub description: Description,
    /// Where RTP goes; `None` for a host name, for `0.0.0.0` and for browsers.
    pub rtp: Option<SocketAddr>,
    /// Where RTCP goes unless multiplexed.
    pub rtcp: Option<SocketAddr>,
    /// `a=rtcp-mux`.
    pub rtcp_mux: bool,
    /// The audio line is in a BUNDLE group (RFC 9143 7).
    pub bundled: bool,
    /// Where it takes the video, or the fax beside the audio.
    #[serde(default)]
    pub place: Option<Place>,
    /// Keys of the peer, one set for each `a=crypto` that can be used (RFC 4568).
    #[serde(default)]
    pub crypto: Vec<Crypto>,
    /// The same for video that has a port of its own.
    #[serde(default)]
    pub video_crypto: Vec<Crypto>,
    /// Keys are agreed by DTLS. Where a peer offers that and keys in the description, this is taken (RFC 8643 4).
    pub dtls: Option<RemoteDtls>,
}

/// DTLS of a description, and ICE of a browser's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct RemoteDtls {
    /// `None`: the peer is no browser, and ICE is not used with it.
    pub ice: Option<IceCredentials>,
    pub fingerprints: Vec<Fingerprint>,
    pub setup: Option<Setup>,
    /// `a=tls-id` (RFC 8842 5.1).
    pub tls_id: Option<String>,
}

/// Whether a leg of this kind carries an audio line of this transport. `RTP/SAVPF` without `UDP/TLS` is what browsers wrote before
/// RFC 8829; it is theirs only together with a fingerprint, since SDES writes the same.
pub(crate) fn carries(kind: LegKind, sdp: &Sdp, index: usize) -> bool {
    let (Some(media), Some(section)) = (sdp.media.get(index), sdp.media_section(index)) else { return false };
    let keyed = || section.has("fingerprint") || sdp.session_section().has("fingerprint");
    match (kind, media.line().proto.as_str()) {
        (LegKind::Rtp, "RTP/AVP" | "RTP/AVPF") => true,
        (LegKind::Rtp, "RTP/SAVP" | "RTP/SAVPF") => !crypto_of(section).is_empty() || keyed(),
        (LegKind::Rtp, "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF") => keyed(),
        (LegKind::Webrtc, "UDP/TLS/RTP/SAVPF" | "UDP/TLS/RTP/SAVP") => true,
        (LegKind::Webrtc, "RTP/SAVPF") => keyed(),
        _ => false,
    }
}

/// Whether an audio line is a browser's: ICE and one port for all, without which a phone's DTLS does (RFC 8827 6.5, RFC 8834 4.5).
pub(crate) fn is_browsers(sdp: &Sdp, index: usize) -> bool {
    let Some(section) = sdp.media_section(index) else { return false };
    let session = sdp.session_section();
    let has = |name| section.has(name) || session.has(name);
    has("ice-ufrag") && has("fingerprint") && section.has("rtcp-mux") && carries(LegKind::Webrtc, sdp, index)
}

fn crypto_of(section: Section<'_>) -> Vec<Crypto> {
    sdes::usable(section.named("crypto").filter_map(|attribute| attribute.value))
}

fn is_live_audio(line: &MediaLine) -> bool {
    line.kind == "audio" && line.port != 0
}

/// The audio line of an offer that this leg carries: the first that it can. Some peers offer the same audio twice, secured and
/// plain (RFC 5939 was meant to end this).
fn choose_audio(sdp: &Sdp, kind: LegKind) -> Result<usize, MediaError> {
    let live: Vec<usize> = (0..sdp.media.len()).filter(|&index| is_live_audio(sdp.media[index].line())).collect();
    let first = live.first().ok_or(MediaError::NoAudio)?;
    live.iter().copied().find(|&index| carries(kind, sdp, index)).ok_or_else(|| not_carried(kind, sdp, *first))
}

/// Why this leg cannot carry an audio line.
fn not_carried(kind: LegKind, sdp: &Sdp, index: usize) -> MediaError {
    let proto = sdp.media.get(index).map(|media| media.line().proto.clone()).unwrap_or_default();
    match (kind, proto.as_str()) {
        (LegKind::Rtp, "RTP/SAVP" | "RTP/SAVPF") => MediaError::Missing { attribute: "crypto" },
        (LegKind::Rtp, "UDP/TLS/RTP/SAVP" | "UDP/TLS/RTP/SAVPF") => MediaError::Missing { attribute: "fingerprint" },
        _ => MediaError::UnsupportedTransport { proto },
    }
}

impl Remote {
    /// Reads an offer.
    pub fn of_offer(sdp: &Sdp, kind: LegKind) -> Result<Remote, MediaError> {
        let fax = || sdp.media.iter().position(|media| kind == LegKind::Rtp && is_fax(media.line()));
        match choose_audio(sdp, kind) {
            Err(MediaError::NoAudio) => Remote::read(sdp, kind, fax().ok_or(MediaError::NoAudio)?),
            audio => Remote::read(sdp, kind, audio?),
        }
    }

    /// Reads an answer to an offer with these lines (RFC 3264 6): same number, same kinds, same order.
    pub fn of_answer(sdp: &Sdp, kind: LegKind, offer: &Local) -> Result<Remote, MediaError> {
        let (offered, audio, image) = (&offer.lines, offer.audio, offer.image);
        if sdp.media.len() != offered.len() {
            return Err(MediaError::LineCount { offered: offered.len(), answered: sdp.media.len() });
        }
        let mut lines = sdp.media.iter().zip(offered);
        if let Some(index) = lines.position(|(answer, offer)| answer.line().kind != offer.kind) {
            return Err(MediaError::LineOrder { index });
        }
        let line = sdp.media.get(audio).map(|media| media.line()).ok_or(MediaError::NoAudio)?;
        if line.port == 0 {
            return Remote::of_image(sdp, audio, image.ok_or(MediaError::Refused)?);
        }
        if !is_fax(line) && !carries(kind, sdp, audio) {
            return Err(not_carried(kind, sdp, audio));
        }
        Remote::read(sdp, kind, audio)
    }

    /// Reads an answer that takes the fax of an offer, and not the audio beside it.
    fn of_image(sdp: &Sdp, audio: usize, image: usize) -> Result<Remote, MediaError> {
        let alone = sdp.media.get(image).filter(|media| is_fax(media.line())).ok_or(MediaError::Refused)?;
        let section = sdp.media_section(image).ok_or(MediaError::Refused)?;
        let (place, _) = place_of(sdp, section, alone.line().port, sdp.media_line_number(image))?;
        let mut remote = Remote::read(sdp, LegKind::Rtp, image)?;
        (remote.audio, remote.image, remote.place) = (audio, Some(image), Some(Place { rtcp: None, ..place }));
        (remote.rtp, remote.rtcp) = (None, None);
        Ok(remote)
    }

    fn read(sdp: &Sdp, kind: LegKind, audio: usize) -> Result<Remote, MediaError> {
        let section = sdp.media_section(audio).ok_or(MediaError::NoAudio)?;
        let line = sdp.media.get(audio).ok_or(MediaError::NoAudio)?.line();
        let head = sdp.media_line_number(audio);
        let description = read_description(sdp, line, section, head)?;
        let mut remote = Remote {
            lines: shapes(sdp),
            audio,
            video: None,
            image: None,
            description,
            rtp: None,
            rtcp: None,
            rtcp_mux: section.has("rtcp-mux"),
            bundled: is_bundled(sdp, section)?,
            place: None,
            crypto: Vec::new(),
            video_crypto: Vec::new(),
            dtls: None,
        };
        match kind {
            LegKind::Rtp if is_fax(line) => {
                remote.read_addresses(sdp, section, line.port, head)?;
                remote.rtcp = None;
            }
            LegKind::Rtp => {
                remote.read_addresses(sdp, section, line.port, head)?;
                remote.dtls = read_phone_dtls(sdp, section, &line.proto)?;
                // One of both (RFC 8643 4): keys that DTLS agrees on are no secret of whoever carries the signalling.
                remote.crypto = if remote.dtls.is_none() { crypto_of(section) } else { Vec::new() };
                if remote.dtls.is_none() {
                    remote.read_own_video(sdp)?;
                    remote.read_own_image(sdp);
                }
            }
            LegKind::Webrtc => {
                remote.dtls = Some(read_webrtc(sdp, section)?);
                remote.read_bundled_video(sdp, section)?;
            }
        }
        Ok(remote)
    }

    /// The first video line that comes on the transport of the audio. One on a transport of its own is none to us.
    fn read_bundled_video(&mut self, sdp: &Sdp, audio: Section<'_>) -> Result<(), MediaError> {
        let groups = sdp.session_section().groups()?;
        let together = |mid: &str| {
            let audio = audio.mid().unwrap_or_default();
            let has = |group: &crate::sdp::Group<'_>, mid: &str| group.mids().any(|member| member == mid);
            groups.iter().any(|group| group.semantics == "BUNDLE" && has(group, mid) && has(group, audio))
        };
        let usable = |index: &usize| {
            let Some((media, section)) = sdp.media.get(*index).zip(sdp.media_section(*index)) else { return false };
            let live = media.line().port != 0 || section.has("bundle-only");
            media.line().kind == "video" && live && section.has("rtcp-mux") && section.mid().is_some_and(together)
        };
        let Some(index) = (0..sdp.media.len()).find(|index| usable(index) && carries(LegKind::Webrtc, sdp, *index)) else {
            return Ok(());
        };
        if let Some((media, section)) = sdp.media.get(index).zip(sdp.media_section(index)) {
            let secrets = Secrets::of(sdp);
            let formats = read_formats(media.line(), section, sdp.media_line_number(index), &secrets)?;
            let video = Video::read(section, &secrets, formats, true);
            (self.video, self.description.video) = (Some(index), Some(video));
        }
        Ok(())
    }

    /// The first video line without keys, or with keys in the description. One whose address cannot be used is none to us.
    fn read_own_video(&mut self, sdp: &Sdp) -> Result<(), MediaError> {
        let usable = |index: &usize| {
            let Some((line, section)) = sdp.media.get(*index).map(|media| media.line()).zip(sdp.media_section(*index)) else {
                return false;
            };
            let fits = match line.proto.as_str() {
                "RTP/AVP" | "RTP/AVPF" => true,
                "RTP/SAVP" | "RTP/SAVPF" => !crypto_of(section).is_empty(),
                _ => false,
            };
            line.kind == "video" && line.port != 0 && fits
        };
        let Some(index) = (0..sdp.media.len()).find(usable) else { return Ok(()) };
        let Some((media, section)) = sdp.media.get(index).zip(sdp.media_section(index)) else { return Ok(()) };
        let (line, head) = (media.line(), sdp.media_line_number(index));
        let Ok((place, held)) = place_of(sdp, section, line.port, head) else { return Ok(()) };
        let secrets = Secrets::of(sdp);
        let mut video = Video::read(section, &secrets, read_formats(line, section, head, &secrets)?, false);
        video.direction = if held { video.direction.and(Direction::SendOnly) } else { video.direction };
        (self.video, self.place, self.description.video) = (Some(index), Some(place), Some(video));
        self.video_crypto = crypto_of(section);
        Ok(())
    }

    /// The first line of a fax, where the second port is not wanted for video.
    fn read_own_image(&mut self, sdp: &Sdp) {
        let index = sdp.media.iter().position(|media| is_fax(media.line())).filter(|_| self.video.is_none());
        let Some((index, section)) = index.and_then(|index| Some((index, sdp.media_section(index)?))) else { return };
        let Some(line) = sdp.media.get(index).map(|media| media.line()) else { return };
        let Ok((place, _)) = place_of(sdp, section, line.port, sdp.media_line_number(index)) else { return };
        let fax = Fax::read(section, &Secrets::of(sdp), false);
        (self.image, self.place) = (Some(index), Some(Place { rtcp: None, ..place }));
        self.description.fax = Some(fax);
    }

    /// Forgets the fax beside the audio.
    pub fn without_image(&mut self) {
        if self.image.take().is_some() {
            (self.place, self.description.fax) = (None, None);
        }
    }

    /// `c=`, port and `a=rtcp` of a plain RTP peer.
    fn read_addresses(&mut self, sdp: &Sdp, section: Section<'_>, port: u16, head: usize) -> Result<(), MediaError> {
        let (place, held) = place_of(sdp, section, port, head)?;
        if held {
            // RFC 3264 8.4: the hold of RFC 2543. The peer can be sent nothing; what it sends is another matter.
            self.description.direction = self.description.direction.and(Direction::SendOnly);
        }
        (self.rtp, self.rtcp) = (place.rtp, place.rtcp);
        Ok(())
    }
}

/// Where a section's media goes, and whether it is held by an unspecified address.
fn place_of(sdp: &Sdp, section: Section<'_>, port: u16, head: usize) -> Result<(Place, bool), MediaError> {
    let connection = section.connection()?.map_or_else(|| sdp.session_section().connection(), |own| Ok(Some(own)))?;
    // RFC 8866 5.7: a c= in every media section or in the session.
    let ip = address_of(connection.ok_or(SdpError { line: head, rule: Rule::Connection })?)?;
    let held = ip.is_some_and(|ip| ip.is_unspecified());
    let ip = ip.filter(|ip| !ip.is_unspecified());
    let rtp = ip.map(|ip| SocketAddr::new(ip, port));
    let mut rtcp = rtp.and_then(|rtp| Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?)));
    if let Some(told) = section.rtcp()? {
        let own = told.address.map(address_of).transpose()?.flatten().filter(|ip| !ip.is_unspecified());
        rtcp = own.or(ip).filter(|_| told.port != 0).map(|ip| SocketAddr::new(ip, told.port));
    }
    Ok((Place { rtp, rtcp }, held))
}

/// `None` for a host name: the peer is then found by what it sends (RFC 4961).
fn address_of(connection: Connection<'_>) -> Result<Option<IpAddr>, MediaError> {
    match connection {
        Connection::Address(ip) if ip.is_multicast() => Err(MediaError::Multicast),
        Connection::Address(ip) => Ok(Some(ip)),
        Connection::Host(_) => Ok(None),
        Connection::Foreign => Err(MediaError::UnsupportedAddress),
    }
}

fn shapes(sdp: &Sdp) -> Vec<LineShape> {
    let shape = |(index, media): (usize, &crate::sdp::Media)| {
        let line = media.line();
        LineShape {
            kind: line.kind.clone(),
            proto: line.proto.clone(),
            format: line.formats.first().cloned().unwrap_or_else(|| "0".to_owned()),
            mid: sdp.media_section(index).and_then(|section| section.mid()).map(str::to_owned),
        }
    };
    sdp.media.iter().enumerate().map(shape).collect()
}

fn is_bundled(sdp: &Sdp, section: Section<'_>) -> Result<bool, SdpError> {
    let Some(mid) = section.mid() else { return Ok(false) };
    let groups = sdp.session_section().groups()?;
    Ok(groups.iter().any(|group| group.semantics == "BUNDLE" && group.mids().any(|member| member == mid)))
}

fn read_description(sdp: &Sdp, line: &MediaLine, section: Section<'_>, head: usize) -> Result<Description, SdpError> {
    let secrets = Secrets::of(sdp);
    if is_fax(line) {
        let alone = sdp.media.iter().all(|media| media.line().kind != "audio");
        return Ok(Description { fax: Some(Fax::read(section, &secrets, alone)), ..Description::default() });
    }
    let session = sdp.session_section();
    let texts = section.attributes().map(|attribute| (attribute.name, attribute.text()));
    let attributes = texts.filter(|(name, text)| secrets.permit(name, text)).map(|(_, text)| text).collect();
    let (record, recordpref) = consent::read(section, session);
    Ok(Description {
        formats: read_formats(line, section, head, &secrets)?,
        direction: section.direction().or_else(|| session.direction()).unwrap_or_default(),
        ptime: section.ptime()?,
        maxptime: section.maxptime()?,
        digits_turned: false,
        attributes,
        record,
        recordpref,
        fax: None,
        video: None,
    })
}

fn read_formats(line: &MediaLine, section: Section<'_>, head: usize, secrets: &Secrets) -> Result<Vec<Format>, SdpError> {
    let (maps, fmtps) = (section.rtpmaps()?, section.fmtps()?);
    let mut formats: Vec<Format> = Vec::new();
    for text in &line.formats {
        // RFC 8866 5.14: the formats of an RTP line are payload types.
        let payload = payload_type(text).ok_or(SdpError { line: head, rule: Rule::MediaLine })?;
        if formats.iter().any(|format| format.payload == payload) {
            continue;
        }
        let encoding = maps.iter().find(|map| map.payload == payload).map(|map| map.encoding.to_owned());
        let own = fmtps.iter().filter(|fmtp| fmtp.format == text.as_str() && !fmtp.parameters.is_empty());
        let shown = own.map(|fmtp| fmtp.parameters.to_owned()).filter(|parameters| !secrets.show_in(parameters));
        formats.push(Format { payload, encoding, parameters: shown.collect() });
    }
    Ok(formats)
}

/// What a peer without ICE says of DTLS, in its section or in the session (RFC 8122 5). Where the transport does not demand it, a
/// fingerprint of another hash than SHA-256 counts as none.
fn read_phone_dtls(sdp: &Sdp, section: Section<'_>, proto: &str) -> Result<Option<RemoteDtls>, MediaError> {
    match read_dtls(sdp, section) {
        Err(MediaError::Missing { .. } | MediaError::NoSha256) if !proto.starts_with("UDP/TLS/") => Ok(None),
        read => read.map(Some),
    }
}

fn read_dtls(sdp: &Sdp, section: Section<'_>) -> Result<RemoteDtls, MediaError> {
    let session = sdp.session_section();
    let own = section.fingerprints()?;
    let all = if own.is_empty() { session.fingerprints()? } else { own };
    if all.is_empty() {
        return Err(MediaError::Missing { attribute: "fingerprint" });
    }
    let fingerprints: Vec<Fingerprint> = all.into_iter().filter(|fingerprint| fingerprint.hash == "sha-256").collect();
    if fingerprints.is_empty() {
        return Err(MediaError::NoSha256);
    }
    let setup = section.setup()?.map_or_else(|| session.setup(), |own| Ok(Some(own)))?;
    let tls_id = section.named("tls-id").chain(session.named("tls-id")).find_map(|attribute| attribute.value);
    Ok(RemoteDtls { ice: None, fingerprints, setup, tls_id: tls_id.map(str::to_owned) })
}

/// RFC 8827 6.5 and RFC 8834 4.5: ICE credentials, a SHA-256 fingerprint and rtcp-mux; each in the media section or, but for the
/// last, in the session (RFC 8839 4.2, RFC 8122 5).
fn read_webrtc(sdp: &Sdp, section: Section<'_>) -> Result<RemoteDtls, MediaError> {
    let session = sdp.session_section();
    let missing = |attribute| MediaError::Missing { attribute };
    let ufrag = section.ice_ufrag()?.map_or_else(|| session.ice_ufrag(), |own| Ok(Some(own)))?.ok_or(missing("ice-ufrag"))?;
    let pwd = section.ice_pwd()?.map_or_else(|| session.ice_pwd(), |own| Ok(Some(own)))?.ok_or(missing("ice-pwd"))?;
    let dtls = read_dtls(sdp, section)?;
    if !section.has("rtcp-mux") {
        return Err(missing("rtcp-mux"));
    }
    Ok(RemoteDtls { ice: Some(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() }), ..dtls })
}
