//! Codecs that the node speaks itself: what it adds to offers, and what it answers when two sides share nothing.
//!
//! Sides that share a codec keep it, and their packets pass as they are. Only where they share none, each side gets one that the
//! node brings across (`bridge.rs`).

use crate::audio::Codec;
use crate::description::{Description, Format};
use serde::{Deserialize, Serialize};

/// Payload types that may be bound to any format (RFC 3551 6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;

/// What the node offers one peer besides, or instead of, what the other side offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repertoire {
    /// Nothing: sides that share no codec cannot be connected.
    #[default]
    Pass,
    /// Both laws of G.711, behind what the other side offered: some law is what every telephone has (RFC 7874 3).
    Common,
    /// Exactly these, those of the other side first: what a carrier takes, or an office wants.
    Only(Vec<Codec>),
    /// Of the other side's these, and nothing else.
    Among(Vec<Codec>),
}

impl Repertoire {
    /// Whether the node may stand between two codecs.
    pub fn transcodes(&self) -> bool {
        matches!(self, Repertoire::Common | Repertoire::Only(_))
    }

    /// The same without anything that the node would have to code anew.
    pub fn passing(self) -> Repertoire {
        match self {
            Repertoire::Pass | Repertoire::Common => Repertoire::Pass,
            Repertoire::Only(codecs) | Repertoire::Among(codecs) => Repertoire::Among(codecs),
        }
    }

    /// The formats of an offer of the node: what the other side offered, cut to what this peer gets, then what the node adds.
    /// `turned`: the other side's digits become events.
    pub(crate) fn supplement(&self, formats: &mut Vec<Format>, turned: bool) {
        if let Repertoire::Only(codecs) | Repertoire::Among(codecs) = self {
            formats.retain(|format| !format.is_speech() || format.codec().is_some_and(|codec| codecs.contains(&codec)));
        }
        let added: &[Codec] = match self {
            Repertoire::Pass | Repertoire::Among(_) => return,
            Repertoire::Common => &[Codec::Pcma, Codec::Pcmu],
            Repertoire::Only(codecs) => codecs,
        };
        let missing = |formats: &[Format], codec: Codec| !formats.iter().any(|format| format.codec() == Some(codec));
        let missing: Vec<Codec> = added.iter().copied().filter(|codec| missing(formats, *codec)).collect();
        for codec in &missing {
            let place = formats.iter().rposition(Format::is_speech).map_or(0, |last| last + 1);
            if let Some(payload) = payload_for(*codec, formats) {
                formats.insert(place, format_of(*codec, payload));
            }
        }
        if turned || formats.iter().any(Format::is_events) {
            let spoken = formats.iter().filter_map(Format::codec).filter(|codec| turned || missing.contains(codec));
            let clocks: Vec<u32> = spoken.map(Codec::rtp_clock_hz).collect();
            clocks.into_iter().for_each(|clock_hz| add_events(formats, clock_hz));
        }
    }
}

/// The formats of an answer to a peer that shares no codec with the other side: one codec of its own, and the events in its clock.
/// Empty: the node speaks none of them.
pub(crate) fn own_choice(offered: &[Format], other: &[Format]) -> Vec<Format> {
    let known = || offered.iter().filter(|format| format.codec().is_some());
    let sampling = other.iter().find_map(Format::codec).map_or(8_000, Codec::rate_hz);
    // A codec of the other side's bandwidth costs least and loses nothing.
    let alike = known().find(|format| format.codec().is_some_and(|codec| codec.rate_hz() == sampling));
    let Some(chosen) = alike.or_else(|| known().next()) else { return Vec::new() };
    let events = events_beside(offered, chosen).cloned();
    // What the peer wants to hear is not what the node wants to hear (RFC 7587 7.1).
    let own = Format { parameters: chosen.codec().map(parameters_of).unwrap_or_default(), ..chosen.clone() };
    [own].into_iter().chain(events).collect()
}

/// The telephone events that go with a codec: in its clock where the peer offered that (RFC 4733 2.1), else any.
pub(crate) fn events_beside<'a>(offered: &'a [Format], speech: &Format) -> Option<&'a Format> {
    let mut events = offered.iter().filter(|format| format.is_events());
    let any = events.clone().next();
    events.find(|format| format.clock_hz() == speech.clock_hz()).or(any)
}

/// Events in this clock, where there are none: who takes up a codec needs them in its clock (RFC 4733 2.1).
fn add_events(formats: &mut Vec<Format>, clock_hz: u32) {
    let here = formats.iter().any(|format| format.is_events() && format.clock_hz() == Some(clock_hz));
    let free = [101, 110].into_iter().chain(DYNAMIC).find(|payload| is_free(*payload, formats));
    if let (false, Some(payload)) = (here, free) {
        formats.push(Format::events(payload, clock_hz));
    }
}

fn is_free(payload: u8, formats: &[Format]) -> bool {
    formats.iter().all(|format| format.payload != payload)
}

/// A payload type for a codec that is added. `None`: all are taken.
fn payload_for(codec: Codec, formats: &[Format]) -> Option<u8> {
    let usual = match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::G722 => 9,
        Codec::Opus => 111,
    };
    [usual].into_iter().chain(DYNAMIC).find(|payload| is_free(*payload, formats))
}

fn format_of(codec: Codec, payload: u8) -> Format {
    let encoding = match codec {
        Codec::Pcmu => "PCMU/8000",
        Codec::Pcma => "PCMA/8000",
        Codec::G722 => "G722/8000",
        // RFC 7587 7: always two channels in the name, whatever is sent.
        Codec::Opus => "opus/48000/2",
    };
    Format { payload, encoding: Some(encoding.to_owned()), parameters: parameters_of(codec) }
}

/// What the node wants to be sent (RFC 7587 7): one channel, which is all that it hears, and redundancy, which its ear makes use of.
fn parameters_of(codec: Codec) -> Vec<String> {
    match codec {
        Codec::Opus => vec!["stereo=0;useinbandfec=1".to_owned()],
        Codec::Pcmu | Codec::Pcma | Codec::G722 => Vec::new(),
    }
}

/// What is left of the other side's attributes where its packets do not pass: header extensions, feedback and the like are of its
/// codec and its stream.
pub(crate) fn of_own(description: &Description, formats: Vec<Format>) -> Description {
    Description { formats, attributes: Vec::new(), maxptime: None, ..description.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(texts: &[(u8, &str)]) -> Vec<Format> {
        let format = |(payload, encoding): &(u8, &str)| Format {
            payload: *payload,
            encoding: Some((*encoding).to_owned()),
            parameters: Vec::new(),
        };
        texts.iter().map(format).collect()
    }

    fn text(formats: &[Format]) -> Vec<String> {
        formats.iter().map(|format| format!("{} {}", format.payload, format.encoding.as_deref().unwrap_or("-"))).collect()
    }

    #[test]
    fn the_missing_law_is_added_behind_the_speech() {
        let mut offered = formats(&[(0, "PCMU/8000"), (101, "telephone-event/8000")]);
        Repertoire::Common.supplement(&mut offered, false);
        assert_eq!(text(&offered), ["0 PCMU/8000", "8 PCMA/8000", "101 telephone-event/8000"]);
        Repertoire::Common.supplement(&mut offered, false);
        assert_eq!(offered.len(), 3, "what is there is not added again");
        let mut passed = formats(&[(111, "opus/48000/2")]);
        Repertoire::Pass.supplement(&mut passed, false);
        assert_eq!(text(&passed), ["111 opus/48000/2"]);
    }

    #[test]
    fn a_codec_that_is_added_has_events_in_its_clock() {
        let mut offered = formats(&[(101, "opus/48000/2"), (8, "L16/44100"), (100, "telephone-event/48000")]);
        Repertoire::Common.supplement(&mut offered, false);
        let expected = [
            "101 opus/48000/2",
            "8 L16/44100",
            "96 PCMA/8000",
            "0 PCMU/8000",
            "100 telephone-event/48000",
            "110 telephone-event/8000",
        ];
        assert_eq!(text(&offered), expected, "payload types that are taken are not bound again");
        let mut without = formats(&[(111, "opus/48000/2")]);
        Repertoire::Common.supplement(&mut without, false);
        assert!(!without.iter().any(Format::is_events), "who has no events is not spoken for");
    }

    #[test]
    fn a_peer_may_get_only_some_codecs() {
        let mut offered = formats(&[(111, "opus/48000/2"), (9, "G722/8000"), (0, "PCMU/8000"), (18, "G729/8000")]);
        Repertoire::Only(vec![Codec::Pcma, Codec::Pcmu]).supplement(&mut offered, false);
        assert_eq!(text(&offered), ["0 PCMU/8000", "8 PCMA/8000"]);
        let mut offered = formats(&[(111, "opus/48000/2"), (0, "PCMU/8000")]);
        Repertoire::Only(vec![Codec::Pcma, Codec::Pcmu]).passing().supplement(&mut offered, true);
        assert_eq!(text(&offered), ["0 PCMU/8000"], "and of those only what passes");
    }

    #[test]
    fn a_peer_is_answered_with_the_codec_that_loses_least() {
        let events = (101, "telephone-event/8000");
        let offered = formats(&[(111, "opus/48000/2"), (0, "PCMU/8000"), (110, "telephone-event/48000"), events]);
        let narrow = formats(&[(8, "PCMA/8000")]);
        assert_eq!(text(&own_choice(&offered, &narrow)), ["0 PCMU/8000", "101 telephone-event/8000"]);
        let wide = formats(&[(96, "opus/48000/2")]);
        assert_eq!(
            text(&own_choice(&formats(&[(9, "G722/8000"), (110, "telephone-event/48000")]), &wide)),
            ["9 G722/8000", "110 telephone-event/48000"]
        );
        assert!(own_choice(&formats(&[(18, "G729/8000"), events]), &narrow).is_empty());
    }
}
