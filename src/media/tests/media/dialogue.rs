//! Descriptions through both legs of a call: receive_offer, the other leg's make_offer, receive_answer, make_answer.

use crate::peers::{BARESIP, CHROMIUM, FIREFOX, PHONE_ANSWER, SIPP, T0, answered, lines, rtp, text, webrtc};
use ringfort_media::plan::{Destination, DiscardReason, Latch};
use ringfort_media::sdp::{Direction, Sdp};
use ringfort_media::{Description, LegKind, LegOutput, LegSession, kind_of_offer};

/// What differs from process to process is named, the rest is golden.
fn masked(body: &str) -> String {
    let mask = |line: &str| match line.split_once(':') {
        Some((name @ ("a=ice-ufrag" | "a=ice-pwd" | "a=fingerprint" | "a=msid"), _)) => format!("{name}:*"),
        _ if line.starts_with("o=- ") => {
            let words: Vec<&str> = line.split(' ').collect();
            assert!(words[1].parse::<u64>().is_ok_and(|id| id < 1 << 62), "{line}");
            format!("o=- * {} {}", words[2], words[3..].join(" "))
        }
        _ => line.to_owned(),
    };
    assert!(body.ends_with("\r\n"));
    body.lines().map(mask).collect::<Vec<_>>().join("\n")
}

/// The offer of one leg becomes the offer of the other.
fn pass_offer(from: &mut LegSession, to: &mut LegSession, offer: &str) -> String {
    let description = from.receive_offer(T0, offer.as_bytes()).unwrap();
    text(to.make_offer(T0, &description).unwrap())
}

/// The answer of one leg becomes the answer of the other.
fn pass_answer(from: &mut LegSession, to: &mut LegSession, answer: &str) -> String {
    let description = from.receive_answer(T0, answer.as_bytes()).unwrap();
    text(to.make_answer(T0, &description).unwrap())
}

#[test]
fn chromium_calls_a_phone() {
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let offer = pass_offer(&mut browser, &mut phone, CHROMIUM);
    let expected = "v=0\no=- * 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\n\
        m=audio 40002 RTP/AVP 111 63 9 0 8 13 110 126\na=rtpmap:111 opus/48000/2\na=fmtp:111 minptime=10;useinbandfec=1\n\
        a=rtpmap:63 red/48000/2\na=fmtp:63 111/111\na=rtpmap:9 G722/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\n\
        a=rtpmap:13 CN/8000\na=rtpmap:110 telephone-event/48000\na=rtpmap:126 telephone-event/8000\na=sendrecv";
    assert_eq!(masked(&offer), expected);

    let answer_of_phone = PHONE_ANSWER.replace("101", "126");
    let answer = pass_answer(&mut phone, &mut browser, &answer_of_phone);
    let expected = "v=0\no=- * 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\na=group:BUNDLE 0\na=ice-lite\na=ice-options:trickle\n\
        m=audio 40000 UDP/TLS/RTP/SAVPF 0 126\na=rtpmap:0 PCMU/8000\na=rtpmap:126 telephone-event/8000\na=fmtp:126 0-15\na=ptime:20\n\
        a=sendrecv\na=mid:0\na=rtcp-mux\na=msid:*\na=ice-ufrag:*\na=ice-pwd:*\na=fingerprint:*\na=setup:passive\n\
        a=candidate:1 1 udp 2130706431 198.51.100.1 40000 typ host\na=end-of-candidates";
    assert_eq!(masked(&answer), expected);
}

#[test]
fn a_phone_calls_firefox() {
    let (mut phone, mut browser) = (rtp(40_002), webrtc(40_000));
    let offer = pass_offer(&mut phone, &mut browser, BARESIP);
    let expected = "v=0\no=- * 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\na=group:BUNDLE 0\na=ice-lite\na=ice-options:trickle\n\
        m=audio 40000 UDP/TLS/RTP/SAVPF 96 9 8 0 101\na=rtpmap:96 opus/48000/2\na=fmtp:96 stereo=1;sprop-stereo=1\n\
        a=rtpmap:9 G722/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:0 PCMU/8000\na=rtpmap:101 telephone-event/8000\na=fmtp:101 0-15\n\
        a=ptime:20\na=label:1\na=silenceSupp:off - - - -\na=sendrecv\na=mid:0\na=rtcp-mux\na=msid:*\na=ice-ufrag:*\na=ice-pwd:*\n\
        a=fingerprint:*\na=setup:actpass\na=candidate:1 1 udp 2130706431 198.51.100.1 40000 typ host\na=end-of-candidates";
    assert_eq!(masked(&offer), expected);

    let firefox = "v=0\r\no=mozilla...THIS_IS_SDPARTA-128.0 1 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=sendrecv\r\n\
        a=fingerprint:sha-256 1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00:1F:2E:3D:4C:5B:6A:79:88:97:A6:B5:C4:D3:E2:F1:00\r\n\
        a=group:BUNDLE 0\r\na=ice-options:trickle\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96 101\r\nc=IN IP4 0.0.0.0\r\na=sendrecv\r\n\
        a=fmtp:96 maxplaybackrate=48000;stereo=1;useinbandfec=1\r\na=fmtp:101 0-15\r\na=ice-pwd:8a2b7c6d5e4f30112233445566778899\r\n\
        a=ice-ufrag:5d1c9e77\r\na=mid:0\r\na=rtcp-mux\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000/1\r\n\
        a=setup:active\r\n";
    let answer = pass_answer(&mut browser, &mut phone, firefox);
    let expected = "v=0\no=- * 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\nm=audio 40002 RTP/AVP 96 101\n\
        a=rtpmap:96 opus/48000/2\na=fmtp:96 maxplaybackrate=48000;stereo=1;useinbandfec=1\na=rtpmap:101 telephone-event/8000/1\n\
        a=fmtp:101 0-15\na=sendrecv\na=rtcp-mux";
    assert_eq!(masked(&answer), expected);
}

#[test]
fn every_line_of_an_offer_is_answered() {
    let mut leg = webrtc(40_000);
    let description = leg.receive_offer(T0, FIREFOX.as_bytes()).unwrap();
    let answer = text(leg.make_answer(T0, &description.without_video()).unwrap());
    let media = [
        "m=audio 40000 UDP/TLS/RTP/SAVPF 109 9 0 8 101",
        "m=video 0 UDP/TLS/RTP/SAVPF 120",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ];
    assert_eq!(lines(&answer, "m="), media);
    assert_eq!(lines(&answer, "a=mid:"), ["a=mid:a0", "a=mid:v1", "a=mid:d2"]);
    assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE a0"]);
}

#[test]
fn the_audio_line_need_not_be_the_first() {
    let offer =
        SIPP.replace("m=audio", "m=image 9000 udptl t38\r\nm=audio 5998 RTP/SAVP 0\r\na=crypto:1 X inline:abc\r\nm=audio");
    let mut leg = rtp(40_002);
    let description = leg.receive_offer(T0, offer.as_bytes()).unwrap();
    let answer = text(leg.make_answer(T0, &description).unwrap());
    assert_eq!(lines(&answer, "m="), ["m=image 0 udptl t38", "m=audio 0 RTP/SAVP 0", "m=audio 40002 RTP/AVP 0"]);
    // RFC 3264 8: a later offer has at least as many lines.
    let again = text(leg.make_offer(T0, &description).unwrap());
    assert_eq!(lines(&again, "m="), lines(&answer, "m="));
}

#[test]
fn echo_service_answers_with_the_offers_own_description() {
    let mut leg = rtp(40_002);
    let description = leg.receive_offer(T0, SIPP.as_bytes()).unwrap();
    let answer = text(leg.make_answer(T0, &description).unwrap());
    let expected = "v=0\no=- * 1 IN IP4 198.51.100.1\ns=-\nc=IN IP4 198.51.100.1\nt=0 0\nm=audio 40002 RTP/AVP 0\n\
        a=rtpmap:0 PCMU/8000\na=sendrecv";
    assert_eq!(masked(&answer), expected);
    assert_eq!((leg.poll_output(), leg.poll_output()), (Some(LegOutput::PlanChanged), None));
    let plan = leg.plan(Destination::Echo { ssrc: 7 });
    assert_eq!(plan.receive.latch, Latch::Symmetric { expected: Some("10.7.0.5:6000".parse().unwrap()), grace_ms: 300 });
    assert_eq!(plan.destination, Destination::Echo { ssrc: 7 });
    assert_eq!(
        (plan.transmit.rtp, plan.transmit.rtcp),
        (Some("10.7.0.5:6000".parse().unwrap()), Some("10.7.0.5:6001".parse().unwrap()))
    );
    assert!(!plan.transmit.muted && !plan.transmit.rtcp_mux && plan.receive.srtp.is_none() && plan.transmit.srtp.is_none());
}

#[test]
fn rtcp_goes_where_the_peer_says() {
    let mut leg = rtp(40_002);
    answered(&mut leg, BARESIP);
    let transmit = leg.plan(Destination::Echo { ssrc: 1 }).transmit;
    assert_eq!((transmit.rtcp_mux, transmit.rtcp), (true, None), "both say rtcp-mux");
    let mut leg = rtp(40_002);
    answered(&mut leg, &BARESIP.replace("a=rtcp-mux\r\n", ""));
    let transmit = leg.plan(Destination::Echo { ssrc: 1 }).transmit;
    assert_eq!((transmit.rtcp_mux, transmit.rtcp), (false, Some("10.7.0.9:14801".parse().unwrap())));
}

#[test]
fn a_host_name_in_the_description_leaves_the_address_to_latching() {
    let mut leg = rtp(40_002);
    answered(&mut leg, &SIPP.replace("c=IN IP4 10.7.0.5", "c=IN IP4 sipp.example.com"));
    let plan = leg.plan(Destination::Echo { ssrc: 1 });
    assert_eq!(plan.receive.latch, Latch::Symmetric { expected: None, grace_ms: 300 });
    assert_eq!((plan.transmit.rtp, plan.transmit.muted), (None, false));
}

#[test]
fn before_the_answer_nothing_flows() {
    let mut leg = rtp(40_002);
    leg.make_offer(T0, &Description::g711()).unwrap();
    let plan = leg.plan(Destination::Echo { ssrc: 1 });
    assert_eq!(plan.destination, Destination::Discard(DiscardReason::NotConnected));
    assert!(plan.transmit.muted && leg.poll_output().is_none());
}

#[test]
fn the_version_grows_only_with_a_change() {
    let mut leg = rtp(40_002);
    let first = text(leg.make_offer(T0, &Description::g711()).unwrap());
    leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    let refresh = text(leg.make_offer(T0, &Description::g711()).unwrap());
    assert_eq!(first, refresh, "a session refresh repeats the offer");
    leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    let hold = Description { direction: Direction::SendOnly, ..Description::g711() };
    let changed = text(leg.make_offer(T0, &hold).unwrap());
    let version = |body: &str| body.lines().nth(1).unwrap().split(' ').nth(2).unwrap().parse::<u64>().unwrap();
    let id = |body: &str| body.lines().nth(1).unwrap().split(' ').nth(1).unwrap().to_owned();
    assert_eq!((version(&changed), id(&changed)), (version(&first) + 1, id(&first)));
}

#[test]
fn a_second_answer_replaces_the_first() {
    let mut leg = rtp(40_002);
    leg.make_offer(T0, &Description::g711()).unwrap();
    leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    assert_eq!(leg.poll_output(), Some(LegOutput::PlanChanged));
    leg.receive_answer(T0, PHONE_ANSWER.as_bytes()).unwrap();
    assert_eq!(leg.poll_output(), None, "200 repeats the 183");
    leg.receive_answer(T0, PHONE_ANSWER.replace("10.7.1.44", "10.7.1.45").as_bytes()).unwrap();
    assert_eq!(leg.poll_output(), Some(LegOutput::PlanChanged), "another fork");
    assert_eq!(leg.plan(Destination::Echo { ssrc: 1 }).transmit.rtp, Some("10.7.1.45:11780".parse().unwrap()));
}

#[test]
fn the_answer_keeps_codecs_by_meaning_not_by_number() {
    let mut leg = rtp(40_002);
    leg.make_offer(T0, &Description::g711()).unwrap();
    let answer = PHONE_ANSWER.replace("RTP/AVP 0 101", "RTP/AVP 0 18 96").replace(":101", ":96");
    let description = leg.receive_answer(T0, answer.as_bytes()).unwrap();
    let payloads: Vec<u8> = description.formats.iter().map(|format| format.payload).collect();
    assert_eq!(payloads, [0, 96], "G.729 was not offered, events were under another number");
}

#[test]
fn the_kind_is_told_by_the_first_usable_audio_line() {
    let kind = |body: &str| kind_of_offer(&Sdp::parse(body.as_bytes()).unwrap());
    assert_eq!((kind(CHROMIUM), kind(FIREFOX)), (LegKind::Webrtc, LegKind::Webrtc));
    assert_eq!((kind(SIPP), kind(BARESIP)), (LegKind::Rtp, LegKind::Rtp));
    assert_eq!(kind(&SIPP.replace("RTP/AVP", "RTP/SAVPF")), LegKind::Rtp, "SDES");
    assert_eq!(kind(&CHROMIUM.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF")), LegKind::Webrtc, "before RFC 8829");
    assert_eq!(kind("v=0\r\n"), LegKind::Rtp);
}
