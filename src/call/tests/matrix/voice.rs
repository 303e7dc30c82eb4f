//! A party's side of offer and answer: it writes descriptions of its kind and judges those of the node by RFC 3264.

use crate::axes::{Carriage, Codec, Digits, Kit};
use crate::browser::Browser;
use crate::sdp::{ALPHABET, SUITE, Sdp, is_event, may_answer};
use ringfort_base::Time;

/// The media of one dialog.
pub struct Voice {
    kit: Kit,
    host: String,
    pub port: u16,
    session: u64,
    version: u32,
    key: String,
    /// Its last description.
    pub told: Option<Sdp>,
    /// The node's last one.
    pub peer: Option<Sdp>,
    /// Its last description is an offer that has no answer yet.
    pub waits: bool,
    pub browser: Option<Browser>,
    /// What was wrong with what the node wrote.
    pub faults: Vec<String>,
}

const EVENTS: Codec = (101, "telephone-event/8000");
const WIDE_EVENTS: Codec = (110, "telephone-event/48000");

/// Which description of the node is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Offer,
    Answer,
}

impl Voice {
    pub fn new(kit: Kit, host: &str, seed: u64) -> Voice {
        let port = 30_000 + seed as u16 * 2;
        let around = |n: u64| ALPHABET[((seed * 37 + n * 11 + n * n) % 64) as usize] as char;
        let at = if kit.v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let browser = (kit.carriage == Carriage::Dtls).then(|| Browser::new(seed, &[&at]));
        let key = (0..40).map(around).collect();
        let session = 7_700_000_000 + seed * 1_111;
        let (told, peer, faults) = (None, None, Vec::new());
        Voice { kit, host: host.into(), port, session, version: 0, key, told, peer, waits: false, browser, faults }
    }

    /// What nobody else may read.
    pub fn secrets(&self) -> Vec<String> {
        let browser = self.browser.as_ref().map(|browser| browser.description("active")).unwrap_or_default();
        let value = |name: &str| browser.lines().find_map(|line| line.strip_prefix(name)).map(str::to_string);
        let of_browser = ["a=ice-pwd:", "a=fingerprint:sha-256 "].into_iter().filter_map(value);
        of_browser.chain([self.session.to_string(), self.key.clone()]).collect()
    }

    /// Formats that both sides of this leg named last.
    fn common(&self) -> Vec<(u8, String)> {
        let own = self.told.as_ref().map(|sdp| sdp.formats.clone()).unwrap_or_default();
        let mut formats = self.peer.as_ref().map(|sdp| sdp.formats.clone()).unwrap_or_default();
        formats.retain(|format| own.iter().any(|mine| mine.1 == format.1));
        formats
    }

    /// The payload type of an encoding that both sides have.
    pub fn agreed(&self, encoding: &str) -> Option<u8> {
        self.common().iter().find(|format| format.1 == encoding).map(|format| format.0)
    }

    /// What it would speak with.
    pub fn speech(&self) -> Option<(u8, String)> {
        self.common().into_iter().find(|format| !is_event(&format.1))
    }

    fn own_formats(&self) -> Vec<(u8, String)> {
        let wide = self.kit.codecs.iter().any(|codec| codec.1.starts_with("opus"));
        let events = [Some(EVENTS), wide.then_some(WIDE_EVENTS)];
        let events = events.into_iter().flatten().filter(|_| self.kit.digits == Digits::Events);
        self.kit.codecs.iter().copied().chain(events).map(|(payload, name)| (payload, name.to_string())).collect()
    }

    /// An offer with this direction; `zero`: the hold of RFC 2543.
    pub fn offer(&mut self, direction: &str, zero: bool) -> String {
        let proto = match self.kit.carriage {
            Carriage::Rtp => "RTP/AVP",
            Carriage::Sdes => "RTP/SAVP",
            Carriage::Dtls => "UDP/TLS/RTP/SAVPF",
        };
        self.waits = true;
        let formats = self.own_formats();
        self.write(proto, &formats, direction, zero, "actpass")
    }

    /// The answer to the node's last offer. `None`: there is nothing in common.
    pub fn answer(&mut self) -> Option<String> {
        let (own, offer) = (self.own_formats(), self.peer.clone()?);
        let mut formats = offer.formats.clone();
        formats.retain(|format| own.iter().any(|mine| mine.1 == format.1));
        if formats.iter().all(|format| is_event(&format.1)) {
            return None;
        }
        let direction = match offer.direction.as_str() {
            "sendonly" => "recvonly",
            "recvonly" => "sendonly",
            other => other,
        };
        self.waits = false;
        Some(self.write(&offer.proto, &formats, direction, false, "active"))
    }

    fn write(&mut self, proto: &str, formats: &[(u8, String)], direction: &str, zero: bool, setup: &str) -> String {
        self.version += 1;
        let family = if self.kit.v6 { 6 } else { 4 };
        let host = match (zero, self.kit.v6) {
            (false, _) => self.host.as_str(),
            (true, false) => "0.0.0.0",
            (true, true) => "::",
        };
        let payloads: Vec<String> = formats.iter().map(|format| format.0.to_string()).collect();
        let maps: String = formats.iter().map(|(payload, name)| format!("a=rtpmap:{payload} {name}\r\n")).collect();
        let hop: String = match (&self.browser, self.kit.carriage) {
            (Some(browser), _) => {
                browser.description(setup).lines().filter(|line| is_of_browser(line)).map(|l| format!("{l}\r\n")).collect()
            }
            (None, Carriage::Sdes) => {
                let tag = self.peer.as_ref().filter(|_| !self.waits).and_then(|peer| Some(peer.crypto.first()?.0.clone()));
                format!("a=crypto:{} {SUITE} inline:{}\r\n", tag.unwrap_or("1".into()), self.key)
            }
            _ => String::new(),
        };
        let text = format!(
            "v=0\r\no=- {} {} IN IP{family} {}\r\ns=-\r\nc=IN IP{family} {host}\r\nt=0 0\r\nm=audio {} {proto} {}\r\n{maps}a={direction}\r\n{hop}",
            self.session,
            self.version,
            self.host,
            self.port,
            payloads.join(" ")
        );
        self.told = Sdp::read(&text);
        text
    }

    /// Takes an offer of the node.
    pub fn take_offer(&mut self, now: Time, text: &str) {
        self.take(now, text, Role::Offer);
    }

    /// Takes an answer of the node.
    pub fn take_answer(&mut self, now: Time, text: &str) {
        self.take(now, text, Role::Answer);
        self.waits = false;
    }

    fn take(&mut self, now: Time, text: &str, role: Role) {
        let Some(sdp) = Sdp::read(text) else { return self.faults.push(format!("no description: {text}")) };
        self.judge(&sdp, role);
        if let (Some(browser), None) = (&mut self.browser, &self.peer) {
            // In its answer this browser is active, so the node that offered is passive.
            browser.take(now, &text.replace("a=setup:actpass", "a=setup:passive"));
        }
        self.peer = Some(sdp);
    }

    fn expect(&mut self, holds: bool, fault: &str) {
        if !holds && !self.faults.iter().any(|known| known == fault) {
            self.faults.push(fault.to_string());
        }
    }

    fn judge(&mut self, sdp: &Sdp, role: Role) {
        self.expect(sdp.text.matches("m=").count() == 1 && sdp.port != 0, "one live audio line");
        let v6 = sdp.host.contains(':');
        self.expect(
            v6 == self.kit.v6,
            if v6 { "an IPv4 party is told an IPv6 address" } else { "an IPv6 party is told an IPv4 address" },
        );
        self.expect(sdp.formats.iter().all(|format| !format.1.is_empty()), "every dynamic payload type is named");
        self.judge_carriage(sdp, role);
        if let Some(before) = self.peer.clone() {
            let step = sdp.origin.1.checked_sub(before.origin.1);
            let wanted = u64::from(without_origin(&sdp.text) != without_origin(&before.text));
            self.expect(sdp.origin.0 == before.origin.0 && step == Some(wanted), "o= tells what changed (RFC 3264 8)");
            self.expect(sdp.crypto.is_empty() || before.keys().is_none() || sdp.keys() == before.keys(), "keys stay");
        }
        let (Role::Answer, Some(offer)) = (role, self.told.clone()) else { return };
        self.expect(sdp.proto == offer.proto, "the answer repeats the transport");
        self.expect(may_answer(&offer.direction, &sdp.direction), "the direction answers the offered one");
        let offered = |format: &(u8, String)| offer.formats.iter().any(|mine| mine.1.eq_ignore_ascii_case(&format.1));
        self.expect(sdp.formats.iter().all(offered) && sdp.speech().next().is_some(), "only what was offered is answered");
    }

    fn judge_carriage(&mut self, sdp: &Sdp, role: Role) {
        let browser = ["ice-ufrag", "ice-pwd", "fingerprint", "setup", "candidate"].iter().all(|name| sdp.has(name));
        let sound = match self.kit.carriage {
            Carriage::Rtp => sdp.proto == "RTP/AVP" && sdp.crypto.is_empty(),
            Carriage::Sdes => sdp.proto == "RTP/SAVP" && !sdp.crypto.is_empty() && (role == Role::Offer || sdp.crypto.len() == 1),
            Carriage::Dtls => sdp.proto == "UDP/TLS/RTP/SAVPF" && browser && sdp.has("rtcp-mux"),
        };
        self.expect(sound && (self.kit.carriage == Carriage::Dtls || !sdp.has("fingerprint")), "the carriage is the party's");
        if self.kit.carriage == Carriage::Sdes && role == Role::Answer {
            let mine = self.told.as_ref().and_then(|told| told.crypto.first()).map(|line| (line.0.clone(), line.1.clone()));
            let theirs = sdp.crypto.first().map(|line| (line.0.clone(), line.1.clone()));
            self.expect(mine == theirs, "the answer names the offered crypto line");
        }
    }
}

fn is_of_browser(line: &str) -> bool {
    ["a=group", "a=ice-", "a=fingerprint", "a=setup", "a=mid", "a=rtcp-mux"].iter().any(|start| line.starts_with(start))
}

fn without_origin(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("o=")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axes::kits;

    /// A description that breaks one rule is found out.
    #[test]
    fn each_fault_is_seen() {
        let [kit, _] = kits(&vec![1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        let sound = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/SAVP 8 101\r\n\
                     a=rtpmap:101 telephone-event/8000\r\na=recvonly\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\n";
        let faults = |text: String| {
            let mut voice = Voice::new(kit, "203.0.113.5", 3);
            voice.offer("sendonly", false);
            voice.take_answer(Time::ZERO, &text);
            voice.faults
        };
        assert!(faults(sound.into()).is_empty(), "{:?}", faults(sound.into()));
        for (from, to) in [
            ("RTP/SAVP", "RTP/AVP"),
            ("a=recvonly", "a=sendrecv"),
            ("c=IN IP4 192.0.2.10", "c=IN IP6 2001:db8::10"),
            ("crypto:1", "crypto:2"),
            ("a=crypto", "a=x"),
            ("SAVP 8 101", "SAVP 101"),
            ("SAVP 8", "SAVP 9"),
            ("SAVP 8", "SAVP 8 97"),
            ("audio 4000", "audio 0"),
        ] {
            assert!(!faults(sound.replace(from, to)).is_empty(), "{from} {to}");
        }
    }
}
