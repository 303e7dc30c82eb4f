//! Keys in the description (RFC 4568): two legs as each other's peers, and lines as phones write them.

use crate::peers::{PHONE_ANSWER, SIPP, T0, lines, rtp, text};
use ringfort_base::PortId;
use ringfort_media::plan::{Destination, FlowPlan};
use ringfort_media::{Description, LegSession, MediaError, Security, Srtp, Suites};

const KEY: &str = "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd|2^31\r\n";

fn plan(leg: &LegSession) -> FlowPlan {
    leg.plan(Destination::Port(PortId(9)))
}

/// `asking` offers, `asked` answers.
fn agree(asking: &mut LegSession, asked: &mut LegSession) -> (String, String) {
    let offer = text(asking.make_offer(T0, &Description::g711()).expect("an offer"));
    let described = asked.receive_offer(T0, offer.as_bytes()).expect("an offer that can be used");
    let answer = text(asked.make_answer(T0, &described).expect("an answer"));
    asking.receive_answer(T0, answer.as_bytes()).expect("an answer that can be used");
    (offer, answer)
}

/// What one protects the other unprotects, both ways.
fn assert_keys_meet(one: &LegSession, other: &LegSession) {
    let (one, other) = (plan(one), plan(other));
    assert!(one.transmit.srtp.is_some() && one.transmit.srtp != one.receive.srtp);
    assert_eq!((&one.transmit.srtp, &one.receive.srtp), (&other.receive.srtp, &other.transmit.srtp));
}

#[test]
fn required_keys_are_agreed_and_the_line_is_savp() {
    let (mut one, mut other) = (rtp(4000).with_security(Srtp::Required), rtp(4100));
    let (offer, answer) = agree(&mut one, &mut other);
    assert_eq!(lines(&offer, "a=crypto:").len(), 4);
    assert!(
        lines(&offer, "a=crypto:")[0].starts_with("a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"),
        "what old phones read is first"
    );
    assert!(lines(&answer, "m=")[0].contains("RTP/SAVP ") && lines(&answer, "a=crypto:1 ").len() == 1, "{answer}");
    assert_keys_meet(&one, &other);
    assert_eq!(other.describe(), "sdes-srtp aes-cm-128-80");
}

#[test]
fn optional_keys_are_taken_up_or_left() {
    let (mut one, mut other) = (rtp(4000).with_security(Srtp::Optional), rtp(4100));
    let (offer, _) = agree(&mut one, &mut other);
    assert!(lines(&offer, "m=")[0].contains("RTP/AVP "), "{offer}");
    assert_keys_meet(&one, &other);
    let mut one = rtp(4000).with_security(Srtp::Optional);
    one.make_offer(T0, &Description::g711()).expect("an offer");
    one.receive_answer(T0, PHONE_ANSWER.as_bytes()).expect("a phone without SRTP");
    assert_eq!((plan(&one).receive.srtp, one.describe()), (None, "rtp"));
}

#[test]
fn a_new_offer_in_the_call_keeps_the_keys_in_use() {
    let (mut one, mut other) = (rtp(4000).with_security(Srtp::Required), rtp(4100));
    agree(&mut one, &mut other);
    let before = (plan(&one), plan(&other));
    let (offer, _) = agree(&mut one, &mut other);
    assert_eq!(lines(&offer, "a=crypto:").len(), 1);
    agree(&mut other, &mut one);
    assert_eq!((plan(&one), plan(&other)), before);
}

#[test]
fn the_first_line_that_can_be_used_is_answered_by_its_tag() {
    let unknown = "a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd\r\n";
    let offer = format!("{}{unknown}{KEY}", SIPP.replace("RTP/AVP", "RTP/SAVP"));
    let mut leg = rtp(4000);
    let described = leg.receive_offer(T0, offer.as_bytes()).expect("usable");
    let answer = text(leg.make_answer(T0, &described).expect("an answer"));
    assert!(lines(&answer, "a=crypto:7 AES_CM_128_HMAC_SHA1_80 ").len() == 1, "{answer}");
    assert_eq!(text(leg.make_answer(T0, &described).expect("again")), answer, "the 200 after a 183");
}

#[test]
fn without_a_usable_key_a_secured_line_is_refused() {
    let secured = SIPP.replace("RTP/AVP", "RTP/SAVP");
    let missing = Err(MediaError::Missing { attribute: "crypto" });
    assert_eq!(rtp(4000).receive_offer(T0, secured.as_bytes()), missing);
    assert_eq!(rtp(4000).with_security(Srtp::Required).receive_offer(T0, SIPP.as_bytes()), missing);
    // The same audio twice, as some phones offer it: the line that can be used.
    let twice = format!("{secured}m=audio 6002 RTP/AVP 0\r\n");
    assert!(rtp(4000).receive_offer(T0, twice.as_bytes()).is_ok());
}

/// A profile's list is what is offered, in its order, and what is taken up.
#[test]
fn suites_are_those_of_the_peer() {
    let suites = Suites::try_from(vec!["AES_CM_128_HMAC_SHA1_32".to_owned()]).expect("a list");
    let short = || Security { srtp: Srtp::Required, suites: suites.clone(), ..Security::default() };
    let (mut one, mut other) = (rtp(4000).with_security(short()), rtp(4100));
    let (offer, answer) = agree(&mut one, &mut other);
    for body in [&offer, &answer] {
        assert_eq!(lines(body, "a=crypto:").len(), 1);
        assert!(body.contains("a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:"), "{body}");
    }
    assert_keys_meet(&one, &other);
    assert_eq!(other.describe(), "sdes-srtp aes-cm-128-32");
    let offer = format!("{}{KEY}", SIPP.replace("RTP/AVP", "RTP/SAVP"));
    let refused = rtp(4000).with_security(short()).receive_offer(T0, offer.as_bytes());
    assert_eq!(refused, Err(MediaError::Missing { attribute: "crypto" }));
}

/// RFC 6188: offered where a profile names them only, and taken from whoever offers them, unless a profile's list leaves them out. What a
/// restart reads back goes on the same way.
#[test]
fn longer_keys_are_offered_where_asked_for_and_taken_up() {
    for (name, key_len) in [
        ("AES_192_CM_HMAC_SHA1_80", 24),
        ("AES_192_CM_HMAC_SHA1_32", 24),
        ("AES_256_CM_HMAC_SHA1_80", 32),
        ("AES_256_CM_HMAC_SHA1_32", 32),
    ] {
        let suites = Suites::try_from(vec![name.to_owned()]).expect("a list");
        let one = rtp(4000).with_security(Security { srtp: Srtp::Required, suites, ..Security::default() });
        let [mut one, mut other] = [one, rtp(4100)].map(read_back);
        let (offer, answer) = agree(&mut one, &mut other);
        assert!(offer.contains(&format!("a=crypto:1 {name} inline:")), "{offer}");
        assert!(answer.contains(&format!("a=crypto:1 {name} inline:")), "{answer}");
        let keys = plan(&one).transmit.srtp.clone().expect("keys");
        assert_eq!((keys.key.len(), keys.salt.len()), (key_len, 14), "{name}");
        let [mut one, mut other] = [one, other].map(read_back);
        assert_keys_meet(&one, &other);
        let before = plan(&one);
        agree(&mut other, &mut one);
        assert_eq!(plan(&one), before, "{name}: as the side that answers, after a restart");
        assert!(other.describe().starts_with("sdes-srtp aes-cm-") && other.describe() == one.describe());
        let usual = Suites::try_from(vec!["AES_CM_128_HMAC_SHA1_80".to_owned()]).expect("a list");
        let mut short = rtp(4000).with_security(Security { suites: usual, ..Security::default() });
        assert_eq!(short.receive_offer(T0, offer.as_bytes()), Err(MediaError::Missing { attribute: "crypto" }));
    }
    let mut usual = rtp(4000).with_security(Srtp::Required);
    let offer = text(usual.make_offer(T0, &Description::g711()).expect("an offer"));
    assert!(!offer.contains("AES_192") && !offer.contains("AES_256_CM"), "{offer}");
}

/// What many peers derive wrongly is the last choice.
#[test]
fn keys_of_192_bits_are_taken_where_there_is_nothing_else() {
    let secured = SIPP.replace("RTP/AVP", "RTP/SAVP");
    // Keys and salts of zeros, 38 and 46 octets.
    let first = format!("a=crypto:1 AES_192_CM_HMAC_SHA1_80 inline:{}=\r\n", "A".repeat(51));
    let second = format!("a=crypto:2 AES_256_CM_HMAC_SHA1_80 inline:{}==\r\n", "A".repeat(62));
    for (lines_offered, answered) in [(format!("{first}{KEY}"), 7), (format!("{first}{second}"), 2), (first.clone(), 1)] {
        let mut leg = rtp(4000);
        let described = leg.receive_offer(T0, format!("{secured}{lines_offered}").as_bytes()).expect("usable");
        let answer = text(leg.make_answer(T0, &described).expect("an answer"));
        assert_eq!(lines(&answer, &format!("a=crypto:{answered} ")).len(), 1, "{answer}");
    }
}

/// As a restarted process has it.
fn read_back(leg: LegSession) -> LegSession {
    serde_json::from_str(&serde_json::to_string(&leg).expect("written")).expect("read")
}

#[test]
fn a_list_of_suites_is_checked() {
    for names in [vec![], vec!["F8_128_HMAC_SHA1_80"], vec!["AEAD_AES_128_GCM", "AEAD_AES_128_GCM"]] {
        assert!(Suites::try_from(names.iter().map(|name| name.to_string()).collect::<Vec<_>>()).is_err(), "{names:?}");
    }
}

#[test]
fn an_answer_that_was_not_asked_for_is_refused() {
    let mut one = rtp(4000).with_security(Srtp::Required);
    one.make_offer(T0, &Description::g711()).expect("an offer");
    let answer = format!("{}{KEY}", PHONE_ANSWER.replace("RTP/AVP", "RTP/SAVP"));
    assert_eq!(one.receive_answer(T0, answer.as_bytes()), Err(MediaError::Missing { attribute: "crypto" }));
    assert!(one.receive_answer(T0, PHONE_ANSWER.as_bytes()).is_err());
}

#[test]
fn keys_are_told_to_nobody_else() {
    let mut leg = rtp(4000);
    let described = leg.receive_offer(T0, format!("{SIPP}{KEY}").as_bytes()).expect("usable");
    assert!(!format!("{described:?} {leg:?}").contains("inline"));
    let other = text(rtp(4100).make_offer(T0, &described).expect("an offer"));
    assert!(!other.contains("crypto"), "{other}");
}
