//! Switches of a profile that concern extensions and early media, for who is called and for who calls.

use crate::early::{CONTACT, PHONE, answers, invite, trunk_sdp};
use crate::fixture::{Desk, SDP};
use ringfort_sip::message::HeaderName;

/// A call from a phone that supports 100rel to a trunk with these switches; the phone has these.
fn dialled(trunk: &str, phone: &str) -> Desk {
    let config = format!(
        "[[profile]]\nname = \"theirs\"\n{trunk}\n[[profile]]\nname = \"ours\"\n{phone}\n[[device]]\nuser_agent = \"Old*\"\n\
         profile = \"ours\"\n[[trunk]]\nname = \"carrier\"\naddress = \"198.51.100.1:5060\"\nprofile = \"theirs\"\n\
         [[account]]\nuser = \"101\"\n[[route]]\nname = \"out\"\nnumber = \"0*\"\nto = [\"trunk:carrier\"]\n"
    );
    let mut desk = Desk::new(&config);
    let more = format!("{CONTACT}User-Agent: Old Phone\r\n");
    assert_eq!(desk.register(PHONE, "101", &more), 200);
    desk.request(PHONE, "INVITE", "sip:0123@ringfort.local", "101", &format!("{more}Supported: 100rel\r\n"), SDP);
    desk
}

#[test]
fn what_a_peer_never_uses_is_not_offered_to_it() {
    let desk = dialled("reliable_provisional = \"never\"\nsession_timer = \"never\"", "");
    let sent = invite(&desk);
    let supports = |tag| sent.has_token(HeaderName::Supported, tag);
    assert!(supports("replaces") && !supports("100rel") && !supports("timer"));
    assert_eq!((sent.header(HeaderName::Require), sent.header(HeaderName::SessionExpires)), (None, None));
}

#[test]
fn what_a_peer_has_to_use_is_demanded() {
    let desk = dialled("reliable_provisional = \"required\"\nsession_timer = \"required\"", "");
    let sent = invite(&desk);
    assert!(sent.has_token(HeaderName::Require, "100rel") && sent.has_token(HeaderName::Require, "timer"));
    assert_eq!(sent.header(HeaderName::SessionExpires), Some("1800"));
}

#[test]
fn early_media_that_is_no_good_is_not_passed_on() {
    let mut desk = dialled("early_media = false", "");
    answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
    assert_eq!((desk.last(PHONE).status(), desk.last(PHONE).body().len()), (Some(183), 0));
    answers(&mut desk, "200 OK", "", &trunk_sdp());
    assert!(!desk.last(PHONE).body().is_empty(), "the answer has its description all the same");
}

/// RFC 6337 3.1.1: an answer in a reliable response need not be said again.
#[test]
fn early_media_that_is_no_good_is_an_answer_all_the_same() {
    let mut desk = dialled("early_media = false\nreliable_provisional = \"supported\"", "");
    answers(&mut desk, "183 Session Progress", "Require: 100rel\r\nRSeq: 1\r\n", &trunk_sdp());
    assert_eq!((desk.last(PHONE).status(), desk.last(PHONE).body().len()), (Some(183), 0));
    answers(&mut desk, "200 OK", "", "");
    assert_eq!((desk.last(PHONE).status(), desk.last(PHONE).body().is_empty()), (Some(200), false));
}

#[test]
fn a_caller_gets_reliable_responses_as_its_profile_says() {
    for (switch, ringing, progress) in [("never", false, false), ("supported", false, true), ("required", true, true)] {
        let mut desk = dialled("", &format!("reliable_provisional = \"{switch}\""));
        answers(&mut desk, "180 Ringing", "", "");
        assert_eq!(desk.last(PHONE).header(HeaderName::RSeq).is_some(), ringing, "{switch}");
        let mut desk = dialled("", &format!("reliable_provisional = \"{switch}\""));
        answers(&mut desk, "183 Session Progress", "", &trunk_sdp());
        assert_eq!(desk.last(PHONE).header(HeaderName::RSeq).is_some(), progress, "{switch}");
    }
}
