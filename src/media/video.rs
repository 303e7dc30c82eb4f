//! Video as data: what one leg tells the other of its peer's `m=video` line. The node passes the packets and reads nothing of them, so
//! codecs, feedback and header extensions are the two peers' own; each of them passes by a list.

use crate::description::{Description, Format};
use crate::hiding::{Secrets, names_a_place};
use crate::sdp::{Direction, Section};
use ringfort_base::limits::{VIDEO_APART_FORMATS_MAX, VIDEO_ATTRIBUTES_MAX, VIDEO_SOURCES_MAX};
use serde::{Deserialize, Serialize};

/// Header extensions that say nothing of a line's or a stream's name, which end at this node (RFC 8285).
const EXTENSIONS: [&str; 12] = [
    "urn:ietf:params:rtp-hdrext:toffset",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    "http://www.webrtc.org/experiments/rtp-hdrext/transport-wide-cc-02",
    "urn:3gpp:video-orientation",
    "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
    "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
    "http://www.webrtc.org/experiments/rtp-hdrext/video-timing",
    "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
    "urn:ietf:params:rtp-hdrext:framemarking",
];
/// Feedback (RFC 4585, RFC 5104), which passes from end to end.
const FEEDBACK: [&str; 9] =
    ["nack", "nack pli", "nack sli", "nack rpsi", "ccm fir", "ccm tmmbr", "ccm tstr", "goog-remb", "transport-cc"];
/// Of it, how a whole picture is asked for (RFC 4585 6.3.1, RFC 5104 4.3.1).
const REQUESTS: [&str; 2] = ["nack pli", "ccm fir"];
/// Formats that only help others.
const HELPERS: [&str; 4] = ["rtx", "red", "ulpfec", "flexfec-03"];

/// Names of header extensions that mean the same to phones as to browsers begin so; others are one vendor's.
const COMMON_EXTENSIONS: &str = "urn:";
/// Feedback about all packets of a transport, of which a port for each line has no more than a part.
const OF_TRANSPORT: &str = "transport-cc";
/// Numbers that are given to formats (RFC 3551 3).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// A peer's video, as the other leg needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Video {
    /// Formats in order of preference.
    pub formats: Vec<Format>,
    /// What the peer wants to do.
    pub direction: Direction,
    /// Feedback, header extensions and the like, as text behind `a=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// SSRCs of the peer's streams, where it tells them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<u32>,
    /// A stream, and the one that repeats its packets (RFC 4588 8.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<(u32, u32)>,
    /// It comes on the transport of the audio (RFC 9143), as browsers do it.
    #[serde(default)]
    pub bundled: bool,
}

impl Video {
    /// Reads all of a section but the formats.
    pub(crate) fn read(section: Section<'_>, secrets: &Secrets, formats: Vec<Format>, bundled: bool) -> Video {
        let texts = section.attributes().filter(|attribute| passes(attribute.name, attribute.value, &formats));
        let texts = texts.map(|attribute| attribute.text()).filter(|text| text.starts_with("extmap:") || !secrets.show_in(text));
        let attributes = texts.take(VIDEO_ATTRIBUTES_MAX).collect();
        let direction = section.direction().unwrap_or_default();
        let (sources, repeats) = if bundled { sources_of(section) } else { Default::default() };
        Video { formats, direction, attributes, sources, repeats, bundled }
    }

    /// A description from elsewhere is held to what a peer's is.
    pub(crate) fn cleaned(&self) -> Video {
        let mut clean = self.clone();
        let split = |text: &str| text.split_once(':').map(|(name, value)| (name.to_owned(), value.to_owned()));
        clean.attributes.retain(|text| match split(text) {
            Some((name, value)) => passes(&name, Some(&value), &self.formats),
            None => passes(text, None, &self.formats),
        });
        clean.formats.retain(|format| !format.encoding.as_deref().is_some_and(names_a_place));
        clean.formats.iter_mut().for_each(|format| format.parameters.retain(|text| !names_a_place(text)));
        clean
    }

    /// The same for a leg that has its video on the transport of the audio, or that has not. Where the two sides differ, what speaks of
    /// a transport as a whole, and formats that only help others, pass no more. A browser asks for pictures by RTCP alone: where the other
    /// side takes no such request, the node does, and asks there by INFO.
    pub(crate) fn fitted(mut self, bundled: bool) -> Video {
        if self.bundled == bundled {
            return self;
        }
        self.bundled = bundled;
        (self.sources, self.repeats) = Default::default();
        self.formats.retain(is_picture);
        self.formats.truncate(VIDEO_APART_FORMATS_MAX);
        self.attributes.retain(|text| match text.strip_prefix("extmap:") {
            Some(value) => extension_of(value).is_some_and(|(_, name)| name.starts_with(COMMON_EXTENSIONS)),
            None => !text.ends_with(OF_TRANSPORT),
        });
        if bundled && !self.takes_requests() {
            let numbers = self.formats.iter().map(|format| format.payload);
            let texts = numbers.flat_map(|number| REQUESTS.map(|request| format!("rtcp-fb:{number} {request}")));
            self.attributes.extend(texts.collect::<Vec<_>>());
        }
        self.cleaned()
    }

    /// Whoever described it may be asked for a whole picture by RTCP.
    pub(crate) fn takes_requests(&self) -> bool {
        self.feedback().any(|what| REQUESTS.contains(&what))
    }

    /// The feedback that it names, for whatever format.
    fn feedback(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().filter_map(|text| feedback_of(text))
    }

    /// The same in a bundle with this audio. Two phones' lines may give one number to two formats, the lines of a bundle may not
    /// (RFC 9143 9.1): who is second gets another one. What has no place is left out.
    pub(crate) fn beside(mut self, audio: &Description) -> Video {
        let taken = |payload: u8| audio.formats.iter().any(|format| format.payload == payload);
        for at in 0..self.formats.len() {
            let Some(old) = self.formats.get(at).map(|format| format.payload).filter(|payload| taken(*payload)) else { continue };
            let free = |number: &u8| !taken(*number) && self.formats.iter().all(|format| format.payload != *number);
            if let Some(number) = DYNAMIC.into_iter().find(free) {
                self.renumber(at, old, number);
            }
        }
        self.formats.retain(|format| !taken(format.payload));
        let extensions: Vec<&str> = audio.attributes.iter().filter_map(|text| text.strip_prefix("extmap:")).collect();
        let number = |value: &str| value.split([' ', '/']).next().map(str::to_owned);
        self.attributes.retain(|text| match text.strip_prefix("extmap:") {
            Some(value) => extensions.iter().all(|other| number(other) != number(value) || same_extension(other, value)),
            None => true,
        });
        self.cleaned()
    }

    /// The same with the numbers that the peer gave its formats in its offer.
    pub(crate) fn numbered_as(mut self, offered: &Video) -> Video {
        for at in 0..self.formats.len() {
            let Some(format) = self.formats.get(at) else { continue };
            let (old, twin) = (format.payload, twin_of(format, &offered.formats).map(|twin| twin.payload));
            if let Some(number) = twin.filter(|number| *number != old) {
                self.renumber(at, old, number);
            }
        }
        self
    }

    fn renumber(&mut self, at: usize, old: u8, number: u8) {
        if let Some(format) = self.formats.get_mut(at) {
            format.payload = number;
        }
        let (before, now) = (format!("rtcp-fb:{old} "), format!("rtcp-fb:{number} "));
        for text in &mut self.attributes {
            if let Some(rest) = text.strip_prefix(&before) {
                *text = format!("{now}{rest}");
            }
        }
    }

    /// What both sides have of it: formats that were offered, and feedback that speaks of them. `None`: no picture is left.
    pub(crate) fn common(&self, offered: &Video) -> Option<Video> {
        let mut video = self.cleaned();
        video.formats.retain(|format| offered.formats.iter().any(|other| format.same_codec(other)));
        video.attributes.retain(|text| match text.strip_prefix("extmap:") {
            // RFC 8285 6: an answer has what was offered, under its number.
            Some(value) => {
                offered.attributes.iter().filter_map(|text| text.strip_prefix("extmap:")).any(|of| same_extension(of, value))
            }
            // RFC 4585 4.2: nor has it other feedback.
            None => feedback_of(text).is_none_or(|what| offered.feedback().any(|of| of == what)),
        });
        video.direction = video.direction.and(offered.direction.reversed());
        (video.has_picture() && self.bundled == offered.bundled).then_some(video)
    }

    /// Whether a format carries pictures, not only repetitions.
    pub(crate) fn has_picture(&self) -> bool {
        self.formats.iter().any(is_picture)
    }
}

/// Whether a format carries pictures itself.
fn is_picture(format: &Format) -> bool {
    !HELPERS.iter().any(|helper| format.name().eq_ignore_ascii_case(helper))
}

/// The same format among others: under the same number, else the first of the same codec that is put into packets in the same way.
pub(crate) fn twin_of<'a>(format: &Format, others: &'a [Format]) -> Option<&'a Format> {
    let same = |other: &&Format| format.same_codec(other);
    let way = |format: &Format| PACKETS.map(|(name, unsaid)| parameter(format, name).unwrap_or(unsaid).to_owned());
    let mut twins = others.iter().filter(same);
    let by_number = twins.clone().find(|other| other.payload == format.payload);
    by_number.or_else(|| twins.find(|other| way(other) == way(format)))
}

/// Parameters that have to be equal, with what counts where they are not told: RFC 6184 8.1, RFC 9628 6.
const PACKETS: [(&str, &str); 2] = [("packetization-mode", "0"), ("profile-id", "0")];

fn parameter<'a>(format: &'a Format, name: &str) -> Option<&'a str> {
    let all = format.parameters.iter().flat_map(|text| text.split(';'));
    all.filter_map(|parameter| parameter.trim().split_once('='))
        .find(|(of, _)| of.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// What an attribute names as feedback, whatever the format. `None`: it is another one.
fn feedback_of(text: &str) -> Option<&str> {
    text.strip_prefix("rtcp-fb:")?.split_once(' ').map(|(_, what)| what.trim())
}

fn same_extension(one: &str, other: &str) -> bool {
    extension_of(one).is_some() && extension_of(one) == extension_of(other)
}

/// Number and name of `<number>[/<direction>] <name>[ <attributes>]`.
fn extension_of(value: &str) -> Option<(u8, &str)> {
    let mut words = value.split_ascii_whitespace();
    let (number, name) = (words.next()?, words.next()?);
    let number = number.split('/').next()?.parse().ok()?;
    (words.next().is_none()).then_some((number, name))
}

fn passes(name: &str, value: Option<&str>, formats: &[Format]) -> bool {
    match (name, value) {
        ("rtcp-rsize", None) => true,
        ("extmap", Some(value)) => extension_of(value).is_some_and(|(_, name)| EXTENSIONS.contains(&name)),
        ("rtcp-fb", Some(value)) => {
            let (format, what) = value.split_once(' ').unwrap_or_default();
            let known = format == "*" || formats.iter().any(|known| format.parse() == Ok(known.payload));
            known && FEEDBACK.contains(&what.trim())
        }
        ("framerate", Some(value)) => value.len() < 10 && value.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.'),
        ("content", Some(value)) => value.len() < 40 && value.bytes().all(|octet| octet.is_ascii_lowercase() || octet == b','),
        _ => false,
    }
}

/// The numbers of `a=ssrc` and the pairs of `a=ssrc-group:FID` (RFC 5576). Names do not pass.
fn sources_of(section: Section<'_>) -> (Vec<u32>, Vec<(u32, u32)>) {
    let mut sources: Vec<u32> = Vec::new();
    for value in section.named("ssrc").filter_map(|attribute| attribute.value) {
        let ssrc = value.split(' ').next().and_then(|number| number.parse().ok());
        match ssrc {
            Some(ssrc) if !sources.contains(&ssrc) && sources.len() < VIDEO_SOURCES_MAX => sources.push(ssrc),
            _ => {}
        }
    }
    let pair = |value: &str| {
        let (one, other) = value.strip_prefix("FID ")?.trim().split_once(' ')?;
        Some((one.parse().ok()?, other.parse().ok()?))
    };
    let pairs = section.named("ssrc-group").filter_map(|attribute| pair(attribute.value?));
    let known = |(one, other): &(u32, u32)| sources.contains(one) && sources.contains(other);
    let repeats = pairs.filter(known).take(VIDEO_SOURCES_MAX).collect();
    (sources, repeats)
}
