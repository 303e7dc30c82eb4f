//! From one leg to the other: which packets pass as they are, and which the node has to hear and say again in another codec.
//!
//! Every number in it comes from what both sides were told, so a restarted process finds the same.

use crate::audio::{Codec, Heard, Hearing, OpusWishes, Speaking};
use crate::description::Format;
use crate::digits::DigitsWay;
use crate::negotiation::Agreed;
use crate::plan::{ApartPlan, Destination, DiscardReason};
use crate::session::{LegKind, LegSession};
use crate::video::twin_of;

/// How audio crosses from one leg's peer to the other's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// What is heard on the first leg; empty: all packets pass as they are.
    pub hearing: Hearing,
    /// How the node speaks on the second leg what it heard; `None`: nothing is heard, or the node speaks nothing that this peer takes.
    pub speaking: Option<Speaking>,
    /// The second leg's peer takes digits in its audio or as events.
    pub digits: bool,
    /// Packets that are not heard pass. Otherwise they are of no use to the other side.
    pub passes: bool,
}

/// Sampling rate of the node's own sounds and mixes, Hz.
const OWN_HZ: u32 = 16_000;
/// Clock of telephone events beside narrow-band codecs, Hz.
const TELEPHONE_HZ: u32 = 8_000;
/// Audio of one packet where the peer wishes for none, ms (RFC 3551 4.2).
const PACKET_MS: u32 = 20;
/// All packets pass.
const PASSING: Crossing =
    Crossing { hearing: Hearing { payloads: Vec::new(), in_band: false }, speaking: None, digits: false, passes: true };

/// The way from the peer of `from` to that of `to`. Before both have agreed with their peers everything passes. `anew`: nothing is to pass
/// that the node can say anew, so that all that the second peer hears is one stream.
pub fn crossing(from: &LegSession, to: &LegSession, anew: bool) -> Crossing {
    match (from.agreed(), to.agreed()) {
        (Some(a), Some(b)) => across(a, b, (from.digits(), to.digits()), anew),
        _ => PASSING,
    }
}

/// Whether the node tells the peer of `to` digits that the peer of `from` tells it.
pub fn tells_digits(from: &LegSession, to: &LegSession) -> bool {
    let way = to.digits();
    matches!(way, DigitsWay::Events | DigitsWay::Tones { .. })
        && way != from.digits()
        && crossing(from, to, false).speaking.is_some()
}

fn across(from: &Agreed, to: &Agreed, (their_way, other_way): (DigitsWay, DigitsWay), anew: bool) -> Crossing {
    // The same codec under another number does not pass either: the number is all that the peer goes by.
    let as_it_is = |format: &Format| to.spoken().any(|other| format.same_codec(other) && format.payload == other.payload);
    let speech: Vec<bool> = from.heard().filter(|format| format.is_speech()).map(as_it_is).collect();
    let events_pass = !to.spoken().any(Format::is_events) || from.heard().filter(|format| format.is_events()).all(as_it_is);
    let is_coded = |format: &Format| format.codec().is_some();
    let anew = anew && from.heard().any(is_coded) && to.spoken().any(is_coded);
    let in_band = their_way == DigitsWay::Tones { heard: true } && matches!(other_way, DigitsWay::Events | DigitsWay::Info);
    let passes = speech.contains(&true) && events_pass && !in_band && !anew;
    let useless = |format: &Format| as_it_is(format) || (format.is_events() && other_way == DigitsWay::Passing);
    let heard = from.heard().filter(|format| !(passes && useless(format)));
    let payloads = heard.filter_map(|format| Some((format.payload, heard_as(format)?))).collect();
    let hearing = Hearing { payloads, in_band };
    let deaf = !hearing.payloads.iter().any(|(_, heard)| matches!(heard, Heard::Speech(_)));
    // What the peer tells by INFO is told in the other's way beside audio that passes.
    let told = their_way == DigitsWay::Info && matches!(other_way, DigitsWay::Events | DigitsWay::Tones { .. });
    if (!passes && deaf) || (hearing.payloads.is_empty() && !told) {
        return PASSING;
    }
    let speaking = spoken_to(to, rate_of(&hearing)).or_else(|| digits_alone(to, other_way).filter(|_| passes));
    Crossing { hearing, speaking, digits: other_way != DigitsWay::Info, passes }
}

/// How the node tells digits, and nothing else, beside a codec that it does not have. `None`: this peer takes none that way.
fn digits_alone(to: &Agreed, way: DigitsWay) -> Option<Speaking> {
    let mut events = to.spoken().filter(|format| format.is_events());
    let events = events.find(|format| format.clock_hz() == Some(TELEPHONE_HZ)).map(|format| (format.payload, TELEPHONE_HZ));
    // Of the codec nothing but its clock is used.
    let payload = events.map_or(0, |(payload, _)| payload);
    (events.is_some() || way == DigitsWay::Info).then_some(Speaking {
        payload,
        codec: Codec::Pcma,
        source_hz: TELEPHONE_HZ,
        ptime_ms: packet_ms(to, Codec::Pcma),
        events,
        comfort_noise: None,
        opus: OpusWishes::default(),
        ssrc: 0,
    })
}

fn heard_as(format: &Format) -> Option<Heard> {
    match format.codec() {
        Some(codec) => Some(Heard::Speech(codec)),
        None if format.is_events() => Some(Heard::Events { clock_hz: format.clock_hz()? }),
        None if format.name().eq_ignore_ascii_case("CN") => Some(Heard::ComfortNoise),
        None => None,
    }
}

/// Where video goes that comes in a browser's bundle, where the other leg has a port for it. `None`: with the audio, or there is none.
pub fn apart(near: &LegSession, far: &LegSession) -> Option<Box<ApartPlan>> {
    let (local, remote) = near.agreed()?.bundled_videos()?;
    if far.kind() == LegKind::Webrtc {
        return None;
    }
    let Some(((ours, theirs), (port, _))) = far.agreed().and_then(Agreed::plain_videos).zip(far.aside()) else {
        let to = Destination::Discard(DiscardReason::NotConnected);
        return Some(Box::new(ApartPlan { to, there: Vec::new(), back: Vec::new(), silent: false }));
    };
    let may_send = remote.direction.sends() && local.direction.receives();
    let to = if may_send { Destination::Port(port) } else { Destination::Discard(DiscardReason::OnHold) };
    // Each side sends by the numbers that the node told it.
    let (there, back) = (renumbered(&local.formats, &theirs.formats), renumbered(&ours.formats, &remote.formats));
    Some(Box::new(ApartPlan { to, there, back, silent: !theirs.takes_requests() }))
}

fn renumbered(sent: &[Format], taken: &[Format]) -> Vec<(u8, u8)> {
    let pairs = sent.iter().filter_map(|format| Some((format.payload, twin_of(format, taken)?.payload)));
    pairs.filter(|(from, to)| from != to).collect()
}

/// All that a leg's peer may send and the node can hear.
pub fn hearing(leg: &LegSession) -> Hearing {
    let heard = leg.agreed().into_iter().flat_map(Agreed::heard);
    Hearing { payloads: heard.filter_map(|format| Some((format.payload, heard_as(format)?))).collect(), in_band: false }
}

/// How the node speaks to a leg's peer of its own. `None`: the peer takes no codec that the node has. The SSRC is still to be given.
pub fn speaking(leg: &LegSession) -> Option<Speaking> {
    spoken_to(leg.agreed()?, OWN_HZ)
}

/// The sampling rate that is worth coding, Hz.
fn rate_of(hearing: &Hearing) -> u32 {
    let rates = hearing.payloads.iter().filter_map(|(_, heard)| match heard {
        Heard::Speech(codec) => Some(codec.rate_hz()),
        _ => None,
    });
    rates.max().unwrap_or(8_000)
}

/// Audio of one packet to this peer, ms: as much as it wishes for (RFC 8866 6.4), never more than it takes (6.5). A zero is no wish.
fn packet_ms(to: &Agreed, codec: Codec) -> u32 {
    let description = &to.remote.description;
    let wished = description.ptime.filter(|ms| *ms > 0).unwrap_or(PACKET_MS);
    let most = description.maxptime.filter(|ms| *ms > 0).unwrap_or(u32::MAX);
    codec.packet_ms(wished.min(most))
}

/// How the node speaks to a peer what it has at `source_hz`: by the first codec of it that the node has. The SSRC is still to be given.
fn spoken_to(to: &Agreed, source_hz: u32) -> Option<Speaking> {
    let (format, codec) = to.spoken().find_map(|format| Some((format, format.codec()?)))?;
    let clock = codec.rtp_clock_hz();
    let spoken: Vec<&Format> = to.spoken().collect();
    let events =
        || spoken.iter().filter(|format| format.is_events()).filter_map(|format| Some((format.payload, format.clock_hz()?)));
    let noise = spoken.iter().find(|format| format.name().eq_ignore_ascii_case("CN") && format.clock_hz() == Some(clock));
    Some(Speaking {
        payload: format.payload,
        codec,
        source_hz,
        ptime_ms: packet_ms(to, codec),
        events: events().find(|(_, hz)| *hz == clock).or_else(|| events().next()),
        comfort_noise: noise.map(|noise| noise.payload),
        opus: OpusWishes::read(&format.parameters),
        ssrc: 0,
    })
}
