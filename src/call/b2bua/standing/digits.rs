//! Digits between peers that tell them in different ways: telephone events, INFO, tones in the audio. What passes in the audio or as
//! event needs nothing of this; here is what crosses between media and signalling.

use crate::b2bua::Env;
use crate::b2bua::call::{Call, Phase, Side};
use crate::b2bua::within::Asked;
use crate::context::Owner;
use ringfort_media::Digits;
use ringfort_media::audio::Digit;
use ringfort_media::plan::RelayCommand;
use ringfort_sip::message::{HeaderName, Message, Method};

/// What an INFO without duration means, ms.
const DURATION_MS: u32 = 160;
/// The longest digit that an INFO may ask for, ms.
const DURATION_MAX_MS: u32 = 6_000;

impl Call {
    fn way_of(&mut self, side: Side) -> Digits {
        self.media(side).map_or(Digits::Auto, |media| media.session.policy().digits)
    }

    /// A digit was heard from `side`. Who takes digits by INFO gets one when it is over.
    pub(in crate::b2bua) fn digit_heard(&mut self, env: &mut Env<'_>, side: Side, digit: Digit) {
        let (here, there) = (self.way_of(side), self.way_of(side.other()));
        if !digit.end || there != Digits::Info || here == Digits::Info || self.phase != Phase::Connected {
            return;
        }
        let owner = Owner::Call(self.id);
        let Some(leg) = self.leg(side.other()).filter(|leg| leg.is_confirmed()) else { return };
        let hop = leg.next_hop();
        let Some(request) = leg.inside(env.cx, &Method::Info) else { return };
        let body = format!("Signal={}\r\nDuration={}\r\n", digit.symbol(), digit.duration_ms.max(1));
        let octets = request.body("application/dtmf-relay", body.into_bytes()).build();
        // Nobody waits for its answer; a peer that does not take it has no digits.
        leg.send_inside(env.cx, hop, octets, owner);
        self.write_down(env);
    }

    /// An INFO that tells a digit, where the other side takes digits in another way. False: it is none, and goes on as it is.
    pub(in crate::b2bua) fn digit_told(&mut self, env: &mut Env<'_>, side: Side, asked: &Asked) -> bool {
        let (here, there) = (self.way_of(side), self.way_of(side.other()));
        if here != Digits::Info || there == Digits::Info || asked.request.method() != Method::Info {
            return false;
        }
        let Some(digit) = digit_of(&asked.request) else { return false };
        let Some(port) = self.media(side.other()).map(|media| media.port) else { return false };
        env.cx.relay(RelayCommand::Digit { port, digit });
        asked.reply(env, 200, &[]);
        true
    }
}

/// The digit in an INFO: `application/dtmf-relay` with `Signal=` and `Duration=`, or `application/dtmf` with nothing but the digit.
fn digit_of(info: &Message) -> Option<Digit> {
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
