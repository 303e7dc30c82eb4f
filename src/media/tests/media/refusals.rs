//! What a leg refuses, with the status and the warning that the peer is owed.

use crate::peers::{CHROMIUM, FIREFOX, PHONE_ANSWER, SIPP, T0, rtp, webrtc};
use ringfort_media::{Description, LegSession, MediaError};

fn refused(mut leg: LegSession, offer: &str) -> (u16, u16, String) {
    let error = leg.receive_offer(T0, offer.as_bytes()).unwrap_err();
    let (code, text) = error.warning();
    assert!(leg.poll_output().is_none() && leg.description().is_none(), "nothing has changed");
    (error.status(), code, text)
}

#[test]
fn offers_to_a_plain_leg() {
    let cases: &[(&str, &str, u16, u16, &str)] = &[
        ("v=0", "v=1", 400, 399, "SDP line 1: must be v=0 (RFC 8866 5.1)"),
        ("m=audio 6000", "m=audio six", 400, 399, "SDP line 6: malformed m= (RFC 8866 5.14)"),
        ("c=IN IP4 10.7.0.5\r\n", "", 400, 399, "SDP line 5: malformed c= (RFC 8866 5.7)"),
        ("c=IN IP4 10.7.0.5", "c=IN IP4 10.7.0.500", 400, 399, "SDP line 4: malformed c= (RFC 8866 5.7)"),
        ("c=IN IP4 10.7.0.5", "c=IN IP4 224.0.1.1/127", 488, 330, "multicast address in c="),
        ("c=IN IP4 10.7.0.5", "c=ATM NSAP 47.0091", 488, 301, "address type is not IN IP4 or IN IP6"),
        ("RTP/AVP 0", "RTP/AVP pcmu", 400, 399, "SDP line 6: malformed m= (RFC 8866 5.14)"),
        ("RTP/AVP 0", "RTP/AVP 128", 400, 399, "SDP line 6: malformed m= (RFC 8866 5.14)"),
        ("a=rtpmap:0 PCMU/8000", "a=rtpmap:0 PCMU", 400, 399, "SDP line 7: malformed a=rtpmap (RFC 8866 6.6)"),
        ("m=audio 6000", "m=video 6000", 488, 304, "no audio line that could be carried"),
        ("m=audio 6000", "m=audio 0", 488, 304, "no audio line that could be carried"),
        ("RTP/AVP", "RTP/SAVP", 488, 306, "a=crypto is missing"),
        ("RTP/AVP", "TCP/RTP/AVP", 488, 302, "transport TCP/RTP/AVP is not carried on this leg"),
    ];
    for (from, to, status, code, text) in cases {
        assert!(SIPP.contains(from), "{from}");
        assert_eq!(refused(rtp(4000), &SIPP.replacen(from, to, 1)), (*status, *code, (*text).to_owned()), "{from} -> {to}");
    }
}

#[test]
fn offers_to_a_browsers_leg() {
    let cases: &[(&str, &str, u16, u16, &str)] = &[
        ("a=ice-ufrag:qW3z\r\n", "", 488, 306, "a=ice-ufrag is missing"),
        ("a=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f\r\n", "", 488, 306, "a=ice-pwd is missing"),
        (
            "a=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f",
            "a=ice-pwd:short",
            400,
            399,
            "SDP line 15: malformed a=ice-ufrag or a=ice-pwd (RFC 8839 5.4)",
        ),
        ("a=rtcp-mux\r\n", "", 488, 306, "a=rtcp-mux is missing"),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-512", 400, 399, "SDP line 17: malformed a=fingerprint (RFC 8122 5)"),
        ("a=fingerprint:sha-256", "a=fingerprint:sha-3", 488, 306, "no a=fingerprint with sha-256"),
        ("UDP/TLS/RTP/SAVPF", "RTP/AVP", 488, 302, "transport RTP/AVP is not carried on this leg"),
    ];
    for (from, to, status, code, text) in cases {
        assert!(CHROMIUM.contains(from), "{from}");
        assert_eq!(
            refused(webrtc(4000), &CHROMIUM.replacen(from, to, 1)),
            (*status, *code, (*text).to_owned()),
            "{from} -> {to}"
        );
    }
    let mut leg = webrtc(4000);
    let offer = CHROMIUM.replace("a=setup:actpass", "a=setup:holdconn");
    let description = leg.receive_offer(T0, offer.as_bytes()).unwrap();
    assert_eq!(leg.make_answer(T0, &description), Err(MediaError::SetupRole { role: "holdconn" }));
}

#[test]
fn answers() {
    let cases: &[(&str, &str, MediaError)] = &[
        ("m=audio 11780", "m=audio 0", MediaError::Refused),
        ("m=audio", "m=video", MediaError::LineOrder { index: 0 }),
        ("m=audio 11780 RTP/AVP 0 101", "m=audio 11780 RTP/AVP 18", MediaError::NoCommonFormat),
        ("m=audio 11780 RTP/AVP 0 101", "m=audio 11780 RTP/AVP 101", MediaError::NoCommonFormat),
        ("a=sendrecv\r\n", "m=video 0 RTP/AVP 96\r\n", MediaError::LineCount { offered: 1, answered: 2 }),
        ("RTP/AVP", "RTP/SAVP", MediaError::Missing { attribute: "crypto" }),
    ];
    for (from, to, expected) in cases {
        let mut leg = rtp(4000);
        leg.make_offer(T0, &Description::g711()).unwrap();
        assert!(PHONE_ANSWER.contains(from), "{from}");
        let answer = PHONE_ANSWER.replacen(from, to, 1);
        assert_eq!(leg.receive_answer(T0, answer.as_bytes()).as_ref(), Err(expected), "{from} -> {to}");
        assert!(leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).is_ok(), "the offer is still pending");
    }
}

#[test]
fn without_common_format_nothing_is_agreed() {
    let mut leg = rtp(4000);
    leg.receive_offer(T0, SIPP.as_bytes()).unwrap();
    let mut other = Description::g711();
    other.formats.remove(0);
    let error = leg.make_answer(T0, &other).unwrap_err();
    assert_eq!((error.status(), error.warning().0), (488, 305));
    assert!(leg.description().is_none());
    leg.make_answer(T0, &Description::g711()).unwrap();
}

#[test]
fn order_of_offers_and_answers() {
    let mut leg = rtp(4000);
    assert_eq!(leg.make_answer(T0, &Description::g711()).unwrap_err().status(), 500);
    assert_eq!(leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap_err().status(), 500);
    leg.make_offer(T0, &Description::g711()).unwrap();
    assert_eq!(leg.receive_offer(T0, SIPP.as_bytes()).unwrap_err().status(), 491);
    leg.reject_offer();
    leg.receive_offer(T0, SIPP.as_bytes()).unwrap();
    assert_eq!(leg.make_offer(T0, &Description::g711()).unwrap_err().status(), 500);
    leg.reject_offer();
    assert_eq!(leg.make_answer(T0, &Description::g711()).unwrap_err().status(), 500);
}

#[test]
fn a_browsers_answer_must_name_its_role() {
    for (role, status) in [("a=setup:actpass\r\n", 488), ("", 488)] {
        let mut leg = webrtc(4000);
        leg.make_offer(T0, &Description::g711()).unwrap();
        let answer = only_audio(FIREFOX).replace("a=setup:actpass\r\n", role);
        assert_eq!(leg.receive_answer(T0, answer.as_bytes()).unwrap_err().status(), status, "{role}");
    }
}

fn only_audio(offer: &str) -> String {
    let end = offer.find("m=video").unwrap();
    offer[..end].to_owned()
}
