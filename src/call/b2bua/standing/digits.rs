//! Digits between peers that tell them in different ways: telephone events, INFO, tones in the audio. What passes in the audio or as
//! event needs nothing of this; here is what crosses between media and signalling.
//!
//! A digit is told once: a peer that has events and sends an INFO for the same key counts by whichever came first in the call.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Leg, Media, Phase, Side};
use crate::b2bua::within::Asked;
use crate::context::Owner;
use ringfort_media::audio::Digit;
use ringfort_media::plan::RelayCommand;
use ringfort_media::{DigitsWay, bridge};
use ringfort_sip::message::{HeaderName, Message, Method};
use ringfort_sip::transaction::TransactionId;
use serde::{Deserialize, Serialize};

/// What an INFO without duration means, ms.
const DURATION_MS: u32 = 160;
/// The longest digit that an INFO may ask for, ms.
const DURATION_MAX_MS: u32 = 6_000;

/// A peer's digits in this call.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Dialling {
    /// How it told the first one. What comes by the other way is the same once more.
    first: Option<By>,
    /// The last INFO that it was told a digit by, until it is answered.
    #[serde(skip)]
    sent: Option<(TransactionId, Digit)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum By {
    Media,
    Info,
}

impl Dialling {
    /// The request that is not answered yet.
    pub fn sent_by(&mut self) -> Option<&mut TransactionId> {
        self.sent.as_mut().map(|(id, _)| id)
    }

    /// Whether a digit that came this way counts.
    fn counts(&mut self, by: By) -> bool {
        *self.first.get_or_insert(by) == by
    }
}

impl Leg {
    fn counts(&mut self, by: By) -> bool {
        self.dialling.counts(by)
    }
}

impl Call {
    fn way_of(&mut self, side: Side) -> DigitsWay {
        self.media(side).map_or(DigitsWay::Passing, |media| media.session.digits())
    }

    /// A digit was heard from `side`. Who takes digits by INFO gets one when it is over.
    pub(in crate::b2bua) fn digit_heard(&mut self, env: &mut Env<'_>, side: Side, digit: Digit) {
        let (here, there) = (self.way_of(side), self.way_of(side.other()));
        if !digit.end || there != DigitsWay::Info || here == DigitsWay::Info || self.phase != Phase::Connected {
            return;
        }
        if self.leg(side).is_some_and(|leg| leg.counts(By::Media)) {
            self.tell_by_info(env, side.other(), digit);
        }
    }

    fn tell_by_info(&mut self, env: &mut Env<'_>, side: Side, digit: Digit) {
        let owner = Owner::Call(self.id);
        let Some(leg) = self.leg(side).filter(|leg| leg.is_confirmed()) else { return };
        let hop = leg.next_hop();
        let Some(request) = leg.inside(env.cx, &Method::Info) else { return };
        let body = format!("Signal={}\r\nDuration={}\r\n", digit.symbol(), digit.duration_ms.max(1));
        let octets = request.body("application/dtmf-relay", body.into_bytes()).build();
        let sent = leg.send_inside(env.cx, hop, octets, owner);
        leg.dialling.sent = sent.map(|id| (id, digit));
        self.write_down(env);
    }

    /// Such an INFO has its final response, or will have none. Who refuses it gets this digit and all that follow as tones. False: it was
    /// none.
    pub(in crate::b2bua) fn digit_answered(&mut self, env: &mut Env<'_>, id: TransactionId, status: u16) -> bool {
        let mut sides = [Side::Caller, Side::Callee].into_iter();
        let Some(side) = sides.find(|side| self.leg(*side).is_some_and(|leg| leg.dialling.sent.is_some_and(|sent| sent.0 == id)))
        else {
            return false;
        };
        let Some(leg) = self.leg(side).filter(|_| status >= 200) else { return true };
        let sent = leg.dialling.sent.take();
        // Who is only busy, or asks for another moment, takes the next one.
        if status < 300 || matches!(status, 408 | 481 | 491 | 500 | 503) {
            return true;
        }
        leg.abilities.no_digits = true;
        leg.settle_digits();
        self.replan(env);
        if let (DigitsWay::Tones { .. }, Some((_, digit))) = (self.way_of(side), sent) {
            self.tell_by_media(env, side, digit);
        }
        self.write_down(env);
        true
    }

    fn tell_by_media(&mut self, env: &mut Env<'_>, side: Side, digit: Digit) {
        if self.media(side).is_some_and(Media::begins_one_stream) {
            self.replan(env);
            self.write_down(env);
        }
        if let Some(port) = self.media(side).map(|media| media.port) {
            env.cx.relay(RelayCommand::Digit { port, digit });
        }
    }

    /// An INFO that tells a digit, where the other side takes digits in another way. False: it is none, and goes on as it is.
    pub(in crate::b2bua) fn digit_told(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) -> bool {
        let Some(digit) = digit_of(&asked.request) else { return false };
        self.shows_info(env, side);
        let (here, there) = (self.way_of(side), self.way_of(side.other()));
        if here == DigitsWay::Events && there == DigitsWay::Info {
            let again = self.leg(side).is_some_and(|leg| !leg.counts(By::Info));
            return again && asked.granted(env);
        }
        if here != DigitsWay::Info || self.may_take_info(side.other(), there) || !self.tells_digits(side) {
            return false;
        }
        self.tell_by_media(env, side.other(), digit);
        asked.granted(env)
    }

    /// Who tells a digit by INFO takes them so, whatever it has said of itself.
    fn shows_info(&mut self, env: &mut Env<'_>, side: Side) {
        let Some(leg) = self.leg(side).filter(|leg| !leg.abilities.info) else { return };
        leg.abilities.info = true;
        leg.settle_digits();
        self.replan(env);
        self.write_down(env);
    }

    /// Whether a peer that has no events has not said either what it takes: an INFO that passes is answered by itself.
    fn may_take_info(&mut self, side: Side, way: DigitsWay) -> bool {
        let says = self.leg(side).is_some_and(|leg| leg.abilities.info || leg.abilities.no_info);
        way == (DigitsWay::Tones { heard: false }) && !says
    }

    fn tells_digits(&mut self, side: Side) -> bool {
        let callee = self.callee.as_ref().and_then(|leg| leg.media.as_ref());
        let Some((caller, callee)) = self.caller.media.as_ref().zip(callee) else { return false };
        match side {
            Side::Caller => bridge::tells_digits(&caller.session, &callee.session),
            Side::Callee => bridge::tells_digits(&callee.session, &caller.session),
        }
    }
}

impl Asked {
    fn granted(&self, env: &mut Env<'_>) -> bool {
        self.reply(env, 200, &[]);
        true
    }
}

/// The digit in an INFO: `application/dtmf-relay` with `Signal=` and `Duration=`, or `application/dtmf` with nothing but the digit.
fn digit_of(info: &Message) -> Option<Digit> {
    if info.method() != Method::Info {
        return None;
    }
    let kind = info.header(HeaderName::ContentType)?;
    let kind = kind.split(';').next()?.trim();
    let text = std::str::from_utf8(info.body()).ok()?;
    if kind.eq_ignore_ascii_case("application/dtmf") {
        return Digit::whole(symbol_of(text)?, DURATION_MS);
    }
    if !kind.eq_ignore_ascii_case("application/dtmf-relay") {
        return None;
    }
    let value = |name: &str| {
        let mut pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    let duration_ms = value("Duration").and_then(|text| text.parse().ok()).unwrap_or(DURATION_MS);
    Digit::whole(symbol_of(value("Signal")?)?, duration_ms.clamp(1, DURATION_MAX_MS))
}

/// A key by its symbol, or by its event code as some phones write `*` and `#`.
fn symbol_of(text: &str) -> Option<char> {
    match text.trim() {
        "10" => Some('*'),
        "11" => Some('#'),
        text => text.chars().next().filter(|symbol| symbol.len_utf8() == text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_read_as_phones_write_them() {
        let read = ["5", " # ", "10", "11", "d"].map(|text| symbol_of(text).and_then(|symbol| Digit::whole(symbol, 100)));
        assert_eq!(read.map(|digit| digit.map(Digit::symbol)), ['5', '#', '*', '#', 'D'].map(Some));
        assert!(["", "12", "55", "\u{e9}\u{e9}"].iter().all(|text| symbol_of(text).is_none()));
    }
}
