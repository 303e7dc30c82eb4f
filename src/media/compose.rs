//! The descriptions that the node writes: its own `o=`, `s=` and addresses, one audio line or the fax in its place, every other line
//! refused.

use crate::consent::{RecordState, RecordWish};
use crate::description::{Description, Format};
use crate::fax::Fax;
use crate::hiding::names_a_place;
use crate::remote::LineShape;
use crate::sdes::Crypto;
use crate::sdp::{Fingerprint, Line, Media, MediaLine, Sdp, Setup, attribute_line};
use crate::session::MediaAddress;
use crate::video::Video;
use crate::webrtc::IceCredentials;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Priority of the only candidate: host type, the only interface, RTP component (RFC 8445 5.1.2.1).
const HOST_PRIORITY: u32 = (126 << 24) + (65_535 << 8) + 255;

/// What the node told or will tell one peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Local {
    /// All media lines in order.
    pub lines: Vec<LineShape>,
    /// Place of the carried audio line, or of the fax in its place.
    pub audio: usize,
    /// Place of the video line that is carried beside it.
    #[serde(default)]
    pub video: Option<usize>,
    /// Place of the line of a fax that is carried beside it, by the second port.
    #[serde(default)]
    pub image: Option<usize>,
    /// Formats, direction and attributes.
    pub description: Description,
    /// `a=rtcp-mux` is written.
    pub rtcp_mux: bool,
    /// The audio line is named in a BUNDLE group.
    pub bundled: bool,
    /// `a=setup`: keys are agreed by DTLS.
    pub setup: Option<Setup>,
    /// Keys of the node: one set for each suite that it offers, or the one that it answers with (RFC 4568).
    #[serde(default)]
    pub crypto: Vec<Crypto>,
    /// The same for video that has a port of its own.
    #[serde(default)]
    pub video_crypto: Vec<Crypto>,
}

impl Local {
    /// A fax in the audio's place.
    pub fn of_fax(lines: Vec<LineShape>, audio: usize, bundled: bool, description: Description) -> Local {
        let (crypto, video_crypto) = (Vec::new(), Vec::new());
        Local { lines, audio, video: None, image: None, description, rtcp_mux: false, bundled, setup: None, crypto, video_crypto }
    }

    /// The audio line is that of a fax, or is refused for one beside it.
    pub fn is_fax(&self) -> bool {
        self.description.is_fax()
    }
}

/// The node's own identifiers and addresses towards one peer.
pub(crate) struct Hop<'a> {
    /// Session id of `o=`.
    pub session_id: u64,
    /// Session version of `o=`.
    pub version: u64,
    /// Addresses of the port.
    pub address: MediaAddress,
    /// Addresses of the second port, for video that is not bundled.
    pub aside: Option<MediaAddress>,
    /// Name of the audio track (RFC 8830).
    pub track: &'a str,
    /// For a browser.
    pub ice: Option<&'a IceCredentials>,
    /// Of the certificate with which DTLS is spoken.
    pub fingerprint: Option<&'a Fingerprint>,
}

/// Writes a description.
pub(crate) fn compose(local: &Local, hop: &Hop<'_>) -> Vec<u8> {
    let place = address_text(hop.address.advertised);
    let mut session = vec![
        Line::new('v', "0"),
        Line::new('o', format!("- {} {} {place}", hop.session_id, hop.version)),
        Line::new('s', "-"),
        Line::new('c', &place),
        Line::new('t', "0 0"),
    ];
    let carried = [Some(local.audio), local.video].into_iter().flatten().filter_map(|index| local.lines.get(index));
    let mids: Vec<&str> = carried.filter_map(|line| line.mid.as_deref()).collect();
    if local.bundled && !mids.is_empty() {
        session.push(attribute_line("group", Some(&format!("BUNDLE {}", mids.join(" ")))));
    }
    if hop.ice.is_some() {
        session.push(attribute_line("ice-lite", None));
        // Candidates may come late or not at all: addresses are learnt from checks (RFC 8838 4).
        session.push(attribute_line("ice-options", Some("trickle")));
    }
    let section = |(index, shape): (usize, &LineShape)| match &local.description {
        Description { fax: Some(fax), .. } if local.image == Some(index) => {
            fax_section(fax, shape, hop.aside.unwrap_or(hop.address))
        }
        Description { fax: Some(fax), .. } if index == local.audio && local.is_fax() && local.image.is_none() => {
            fax_section(fax, shape, hop.address)
        }
        _ if index == local.audio && !local.is_fax() => audio_section(local, shape, hop),
        Description { video: Some(video), .. } if local.video == Some(index) => video_section(local, video, shape, hop),
        _ => refusal(shape),
    };
    Sdp { session, media: local.lines.iter().enumerate().map(section).collect() }.write()
}

pub(crate) fn address_text(ip: IpAddr) -> String {
    let kind = if ip.is_ipv4() { "IP4" } else { "IP6" };
    format!("IN {kind} {ip}")
}

/// RFC 3264 6: port 0, at least one format, the offer's transport; the identification tag stays (RFC 8829 5.3.1).
fn refusal(shape: &LineShape) -> Media {
    let (kind, proto) = (shape.kind.clone(), shape.proto.clone());
    let mut media = Media::new(MediaLine { kind, port: 0, ports: None, proto, formats: vec![shape.format.clone()] });
    if let Some(mid) = &shape.mid {
        media.attribute("mid", Some(mid));
    }
    media
}

/// No RTCP, no direction: a fax has neither (T.38 annex D).
fn fax_section(fax: &Fax, shape: &LineShape, address: MediaAddress) -> Media {
    let (kind, proto, port) = (shape.kind.clone(), shape.proto.clone(), address.rtp.port());
    let mut media = Media::new(MediaLine { kind, port, ports: None, proto, formats: vec![shape.format.clone()] });
    fax.attributes.iter().for_each(|text| media.lines.push(Line::new('a', text)));
    media.lines.extend(shape.mid.as_deref().map(|mid| attribute_line("mid", Some(mid))));
    media
}

pub(crate) fn audio_section(local: &Local, shape: &LineShape, hop: &Hop<'_>) -> Media {
    let description = &local.description;
    let formats = description.formats.iter().map(|format| format.payload.to_string()).collect();
    let (kind, proto, port) = (shape.kind.clone(), shape.proto.clone(), hop.address.rtp.port());
    let mut media = Media::new(MediaLine { kind, port, ports: None, proto, formats });
    description.formats.iter().for_each(|format| write_format(&mut media, format));
    if let Some(ptime) = description.ptime {
        media.attribute("ptime", Some(&ptime.to_string()));
    }
    if let Some(maxptime) = description.maxptime {
        media.attribute("maxptime", Some(&maxptime.to_string()));
    }
    description.attributes.iter().for_each(|text| media.lines.push(Line::new('a', text)));
    let said =
        [("record", description.record.map(RecordState::as_str)), ("recordpref", description.recordpref.map(RecordWish::as_str))];
    said.iter().filter(|(_, value)| value.is_some()).for_each(|(name, value)| media.attribute(name, *value));
    media.attribute(description.direction.as_str(), None);
    if let Some(mid) = &shape.mid {
        media.attribute("mid", Some(mid));
    }
    write_rtcp(&mut media, local.rtcp_mux, hop.address);
    local.crypto.iter().for_each(|crypto| media.attribute("crypto", Some(&crypto.text())));
    if description.direction.sends() {
        write_track(&mut media, local, hop, "");
    }
    write_dtls(&mut media, local, hop);
    media
}

/// On the transport of the audio, or on one of its own. In a bundle every section says all of it: some browsers look at the first one
/// only, some at each.
fn video_section(local: &Local, video: &Video, shape: &LineShape, hop: &Hop<'_>) -> Media {
    let address = if video.bundled { hop.address } else { hop.aside.unwrap_or(hop.address) };
    let formats = video.formats.iter().map(|format| format.payload.to_string()).collect();
    let (kind, proto, port) = (shape.kind.clone(), shape.proto.clone(), address.rtp.port());
    let mut media = Media::new(MediaLine { kind, port, ports: None, proto, formats });
    video.formats.iter().for_each(|format| write_format(&mut media, format));
    video.attributes.iter().for_each(|text| media.lines.push(Line::new('a', text)));
    media.attribute(video.direction.as_str(), None);
    if let Some(mid) = &shape.mid {
        media.attribute("mid", Some(mid));
    }
    write_rtcp(&mut media, local.rtcp_mux && video.bundled, address);
    if !video.bundled {
        local.video_crypto.iter().for_each(|crypto| media.attribute("crypto", Some(&crypto.text())));
        return media;
    }
    if video.direction.sends() {
        write_track(&mut media, local, hop, "v");
        video.repeats.iter().for_each(|(one, other)| media.attribute("ssrc-group", Some(&format!("FID {one} {other}"))));
        // A name has to be there (RFC 5576 6.1). It is the node's own.
        video.sources.iter().for_each(|ssrc| media.attribute("ssrc", Some(&format!("{ssrc} cname:{}", hop.track))));
    }
    write_dtls(&mut media, local, hop);
    media
}

fn write_format(media: &mut Media, format: &Format) {
    if let Some(encoding) = &format.encoding {
        media.attribute("rtpmap", Some(&format!("{} {encoding}", format.payload)));
    }
    for parameters in &format.parameters {
        media.attribute("fmtp", Some(&format!("{} {parameters}", format.payload)));
    }
}

/// `a=rtcp` only where RTCP is not on the port behind RTP's (RFC 3605 2.1).
fn write_rtcp(media: &mut Media, mux: bool, address: MediaAddress) {
    if mux {
        media.attribute("rtcp-mux", None);
    }
    match address.rtcp {
        Some(rtcp) if !mux && Some(rtcp.port()) != address.rtp.port().checked_add(1) => {
            media.attribute("rtcp", Some(&rtcp.port().to_string()));
        }
        _ => {}
    }
}

/// `a=msid` gives a browser's application a track, and with video a stream, by which it keeps both in step (RFC 8830). No `a=ssrc` of
/// audio: the streams are the other peer's and their numbers are not known yet; a browser finds them by their payload types.
fn write_track(media: &mut Media, local: &Local, hop: &Hop<'_>, which: &str) {
    if hop.ice.is_some() {
        let stream = if local.video.is_some() { hop.track } else { "-" };
        media.attribute("msid", Some(&format!("{stream} {}{which}", hop.track)));
    }
}

/// Fingerprint and role, and what a browser needs besides to open the transport (RFC 8829 5.2.1).
fn write_dtls(media: &mut Media, local: &Local, hop: &Hop<'_>) {
    if let Some(credentials) = hop.ice {
        media.attribute("ice-ufrag", Some(&credentials.ufrag));
        media.attribute("ice-pwd", Some(&credentials.pwd));
    }
    if let (Some(fingerprint), Some(setup)) = (hop.fingerprint, local.setup) {
        media.attribute("fingerprint", Some(&fingerprint.to_string()));
        media.attribute("setup", Some(setup.as_str()));
    }
    if hop.ice.is_some() {
        let (ip, port) = (hop.address.advertised, hop.address.rtp.port());
        media.attribute("candidate", Some(&format!("1 1 udp {HOST_PRIORITY} {ip} {port} typ host")));
        media.attribute("end-of-candidates", None);
    }
}

/// A description from elsewhere (a journal, another member) is held to what a peer's is: nothing in it names a place.
pub(crate) fn cleaned(description: &Description) -> Description {
    let mut clean = description.clone();
    clean.attributes.retain(|text| !names_a_place(text));
    clean.formats.retain(|format| !format.encoding.as_deref().is_some_and(names_a_place));
    clean.video = clean.video.as_ref().map(Video::cleaned);
    clean.fax = clean.fax.as_ref().map(Fax::cleaned);
    clean.formats.iter_mut().for_each(|format| format.parameters.retain(|text| !names_a_place(text)));
    clean
}
