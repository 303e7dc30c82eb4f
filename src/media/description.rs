//! What one leg tells the other about its peer's audio: formats, direction, packet time and attributes worth passing.
//!
//! No address, key, ICE parameter, host name or identifier of the peer is in a [`Description`]: that is topology hiding by
//! construction. `offer_answer` writes it from a peer's description and reads it to write the other side's.

use crate::audio::Codec;
use crate::consent::{RecordState, RecordWish};
use crate::fax::Fax;
use crate::sdp::Direction;
use crate::video::Video;
use serde::{Deserialize, Serialize};

/// One payload format of the audio line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// RTP payload type.
    pub payload: u8,
    /// `name/clock[/channels]` of `a=rtpmap`; `None` for a static payload type that was not mapped (RFC 3551 6).
    pub encoding: Option<String>,
    /// Parameters of every `a=fmtp` of this format.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
}

impl Format {
    /// Encoding name without clock and channels; for static types the one that RFC 3551 6 assigns.
    pub fn name(&self) -> &str {
        self.identity().0
    }

    /// Whether both are the same codec: equal names (in any case), clock rates and channels. The payload type may differ
    /// between the two directions (RFC 3264 5.1), so it counts only where nothing else is known.
    pub fn same_codec(&self, other: &Format) -> bool {
        let (mine, theirs) = (self.identity(), other.identity());
        match (mine.0.is_empty(), theirs.0.is_empty()) {
            (false, false) => mine.0.eq_ignore_ascii_case(theirs.0) && (mine.1, mine.2) == (theirs.1, theirs.2),
            _ => self.payload == other.payload,
        }
    }

    /// Whether it carries speech, not only DTMF events or comfort noise.
    pub fn is_speech(&self) -> bool {
        !["telephone-event", "CN"].iter().any(|auxiliary| self.name().eq_ignore_ascii_case(auxiliary))
    }

    /// Telephone events in this clock, all sixteen.
    pub(crate) fn events(payload: u8, clock_hz: u32) -> Format {
        let encoding = Some(format!("telephone-event/{clock_hz}"));
        Format { payload, encoding, parameters: vec!["0-15".to_owned()] }
    }

    /// Whether it carries telephone events (RFC 4733).
    pub fn is_events(&self) -> bool {
        self.name().eq_ignore_ascii_case("telephone-event")
    }

    /// The codec, where the node speaks it.
    pub fn codec(&self) -> Option<Codec> {
        Codec::ALL.into_iter().find(|codec| {
            // G.722 samples at 16 kHz and counts at 8 (RFC 3551 4.5.2); Opus has two channels in its name, and always 48 kHz (RFC 7587 7).
            let channels = if *codec == Codec::Opus { "2" } else { "1" };
            let (name, clock, told) = self.identity();
            name.eq_ignore_ascii_case(codec.name()) && clock.parse() == Ok(codec.rtp_clock_hz()) && told == channels
        })
    }

    /// Clock of its RTP timestamps, Hz. `None`: nobody told.
    pub fn clock_hz(&self) -> Option<u32> {
        self.identity().1.parse().ok()
    }

    /// Name, clock and channels; one channel when not written (RFC 8866 6.6).
    fn identity(&self) -> (&str, &str, &str) {
        let encoding = self.encoding.as_deref().or_else(|| static_encoding(self.payload)).unwrap_or("");
        let mut parts = encoding.split('/');
        let mut next = || parts.next().unwrap_or("");
        let (name, clock, channels) = (next(), next(), next());
        (name, clock, if channels.is_empty() { "1" } else { channels })
    }
}

/// Static payload types (RFC 3551 tables 4 and 5) that peers offer without `a=rtpmap`.
fn static_encoding(payload: u8) -> Option<&'static str> {
    Some(match payload {
        0 => "PCMU/8000",
        3 => "GSM/8000",
        4 => "G723/8000",
        8 => "PCMA/8000",
        9 => "G722/8000",
        13 => "CN/8000",
        15 => "G728/8000",
        18 => "G729/8000",
        26 => "JPEG/90000",
        31 => "H261/90000",
        34 => "H263/90000",
        _ => return None,
    })
}

/// A peer's audio, as the other leg needs to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Formats in order of preference.
    pub formats: Vec<Format>,
    /// What the peer wants to do: `sendonly` when it holds the call.
    pub direction: Direction,
    /// Milliseconds of audio that the peer wants in a packet.
    pub ptime: Option<u32>,
    /// The most that it takes.
    pub maxptime: Option<u32>,
    /// The node turns this peer's digits into telephone events, and back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub digits_turned: bool,
    /// Attributes of the audio section that Ringfort does not know, as text behind `a=`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<String>,
    /// Whether the peer says that the call is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordState>,
    /// What the peer wishes of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recordpref: Option<RecordWish>,
    /// A fax: in the place of the audio, of which there is none then, or beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fax: Option<Fax>,
    /// Video beside the audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video: Option<Video>,
}

impl Description {
    /// G.711 in both laws and DTMF events: what every phone and every browser has. For the node's own offers.
    pub fn g711() -> Description {
        let format = |payload, encoding: &str| Format { payload, encoding: Some(encoding.to_owned()), parameters: Vec::new() };
        let events = Format { parameters: vec!["0-15".to_owned()], ..format(101, "telephone-event/8000") };
        Description {
            formats: vec![format(0, "PCMU/8000"), format(8, "PCMA/8000"), events],
            ptime: Some(20),
            ..Description::default()
        }
    }

    /// The same with what the node can hear and say itself.
    pub fn spoken(mut self) -> Description {
        self.formats.retain(|format| format.codec().is_some() || format.is_events() || !format.is_speech());
        self.attributes.clear();
        (self.record, self.recordpref) = (None, None);
        self.without_video()
    }

    /// The same without pictures, and without a fax beside the audio, which no service has.
    pub fn without_video(self) -> Description {
        let fax = if self.is_fax() { self.fax } else { None };
        Description { video: None, fax, ..self }
    }

    /// Whether it is a fax's, and no audio's.
    pub fn is_fax(&self) -> bool {
        self.fax.is_some() && self.formats.is_empty()
    }

    /// Whether at least one format carries speech, not only DTMF events or comfort noise.
    pub fn has_speech(&self) -> bool {
        self.formats.iter().any(Format::is_speech)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(payload: u8, encoding: Option<&str>) -> Format {
        Format { payload, encoding: encoding.map(str::to_owned), parameters: Vec::new() }
    }

    #[test]
    fn codecs_are_compared_by_meaning() {
        let same = [
            (format(0, None), format(0, Some("PCMU/8000"))),
            (format(9, None), format(9, Some("g722/8000/1"))),
            (format(96, Some("opus/48000/2")), format(111, Some("OPUS/48000/2"))),
            (format(77, None), format(77, None)),
        ];
        same.iter().for_each(|(a, b)| assert!(a.same_codec(b), "{a:?} {b:?}"));
        let different = [
            (format(0, None), format(8, None)),
            (format(101, Some("telephone-event/8000")), format(101, Some("telephone-event/48000"))),
            (format(97, Some("L16/8000")), format(97, Some("L16/8000/2"))),
        ];
        different.iter().for_each(|(a, b)| assert!(!a.same_codec(b), "{a:?} {b:?}"));
    }

    #[test]
    fn events_and_comfort_noise_are_not_speech() {
        let mut description = Description::g711();
        assert!(description.has_speech());
        description.formats = vec![format(13, None), format(101, Some("telephone-event/8000"))];
        assert!(!description.has_speech());
    }
}
