//! Video: relayed as it is where both sides have it, in a browser's bundle or by a phone's second port; refused with port 0 where not.

use crate::peers::{BARESIP, CHROMIUM, PHONE_ANSWER, T0, lines, rtp, text, webrtc};
use ringfort_base::PortId;
use ringfort_media::bridge::apart;
use ringfort_media::plan::Destination;
use ringfort_media::{Description, LegSession, MediaAddress, Srtp};
use std::net::SocketAddr;

/// The video section of Chromium, with simulcast, its line's name and its streams' names.
const VIDEO: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104\r\n\
c=IN IP4 0.0.0.0\r\n\
a=rtcp:9 IN IP4 0.0.0.0\r\n\
a=ice-ufrag:qW3z\r\n\
a=ice-pwd:H4xVt0dQ2mYk7nPzL1sBcR9f\r\n\
a=ice-options:trickle\r\n\
a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:3B:4B:65:2E:7D:46:3F:54:42:CD:54:F1\r\n\
a=setup:actpass\r\n\
a=mid:1\r\n\
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n\
a=extmap:13 urn:3gpp:video-orientation\r\n\
a=extmap:14 http://alice.example.com/tracking\r\n\
a=sendrecv\r\n\
a=msid:7f3c1a52-lokal 9a51cc07-bild\r\n\
a=rtcp-mux\r\n\
a=rtcp-rsize\r\n\
a=rtpmap:96 VP8/90000\r\n\
a=rtcp-fb:96 goog-remb\r\n\
a=rtcp-fb:96 transport-cc\r\n\
a=rtcp-fb:96 ccm fir\r\n\
a=rtcp-fb:96 nack\r\n\
a=rtcp-fb:96 nack pli\r\n\
a=rtcp-fb:96 x-alice at 10.0.0.1\r\n\
a=rtcp-fb:77 nack\r\n\
a=rtpmap:97 rtx/90000\r\n\
a=fmtp:97 apt=96\r\n\
a=rtpmap:103 H264/90000\r\n\
a=rtcp-fb:103 nack pli\r\n\
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
a=rtpmap:104 rtx/90000\r\n\
a=fmtp:104 apt=103\r\n\
a=ssrc-group:FID 2231627014 632943048\r\n\
a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6\r\n\
a=ssrc:2231627014 msid:7f3c1a52-lokal 9a51cc07-bild\r\n\
a=ssrc:632943048 cname:4TOk42mSjXCkVIa6\r\n\
a=rid:hi send\r\n\
a=simulcast:send hi\r\n";

fn with_video() -> String {
    CHROMIUM.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1") + VIDEO
}

fn video_of(sdp: &str) -> Vec<String> {
    let section = sdp.split("m=video").nth(1).expect("a video line");
    let line = section.lines().next().unwrap_or_default();
    std::iter::once(format!("m=video{line}")).chain(section.lines().skip(1).map(str::to_owned)).collect()
}

/// Offer and answer through both legs.
fn joined() -> (LegSession, LegSession, String, String) {
    let (mut one, mut other) = (webrtc(40_000), webrtc(40_002));
    let described = one.receive_offer(T0, with_video().as_bytes()).unwrap();
    let offer = text(other.make_offer(T0, &described).unwrap());
    let answered = "m=video 9 UDP/TLS/RTP/SAVPF 96 97";
    let theirs = with_video()
        .replace("m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104", answered)
        .replace("a=setup:actpass", "a=setup:active")
        .replace("2231627014", "55555555")
        .replace("632943048", "66666666");
    let described = other.receive_answer(T0, theirs.as_bytes()).unwrap();
    let answer = text(one.make_answer(T0, &described).unwrap());
    (one, other, offer, answer)
}

#[test]
fn browsers_get_each_other_s_video_line() {
    let (one, other, offer, answer) = joined();
    assert_eq!(lines(&offer, "a=group:"), ["a=group:BUNDLE 0 1"]);
    let video = video_of(&offer);
    assert_eq!(video[0], "m=video 40002 UDP/TLS/RTP/SAVPF 96 97 103 104");
    for passed in [
        "a=rtpmap:96 VP8/90000",
        "a=fmtp:97 apt=96",
        "a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
        "a=rtcp-fb:96 nack pli",
        "a=rtcp-fb:96 transport-cc",
        "a=rtcp-fb:96 ccm fir",
        "a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        "a=extmap:13 urn:3gpp:video-orientation",
        "a=ssrc-group:FID 2231627014 632943048",
        "a=sendrecv",
        "a=mid:1",
        "a=rtcp-mux",
        "a=setup:actpass",
    ] {
        assert!(video.iter().any(|line| line == passed), "{passed} is missing in {offer}");
    }
    let video = video_of(&answer);
    assert_eq!(video[0], "m=video 40000 UDP/TLS/RTP/SAVPF 96 97");
    assert!(video.contains(&"a=ssrc-group:FID 55555555 66666666".to_owned()), "{answer}");
    for (leg, formats) in [(one, vec![96, 97]), (other, vec![96, 97, 103, 104])] {
        let receive = leg.plan(Destination::Echo { ssrc: 1 }).receive;
        // Before the handshake the port is closed; what is agreed on shows all the same.
        assert!(receive.video.is_empty() && leg.has_video(), "{formats:?}");
    }
}

/// Nothing of one browser's names, addresses and keys is in what the other one is told.
#[test]
fn names_and_unknown_words_stay() {
    let (.., offer, answer) = joined();
    for hidden in [
        "7f3c1a52",
        "9a51cc07",
        "4TOk42mSjXCkVIa6",
        "qW3z",
        "H4xVt0dQ",
        "4A:AD",
        "alice",
        "10.0.0.1",
        "sdes:mid",
        "rtp-stream-id",
        "simulcast",
        "a=rid",
        "rtcp-fb:77",
        "192.168",
    ] {
        assert!(!offer.contains(hidden) && !answer.contains(hidden), "{hidden}");
    }
}

#[test]
fn who_has_no_video_refuses_it_and_so_does_the_node() {
    let (mut one, mut other) = (webrtc(40_000), webrtc(40_002));
    let described = one.receive_offer(T0, with_video().as_bytes()).unwrap();
    other.make_offer(T0, &described).unwrap();
    let refusing = CHROMIUM.replace("a=setup:actpass", "a=setup:active") + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
    let described = other.receive_answer(T0, refusing.as_bytes()).unwrap();
    let answer = text(one.make_answer(T0, &described).unwrap());
    assert_eq!(lines(&answer, "m=video"), ["m=video 0 UDP/TLS/RTP/SAVPF 96"]);
    assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE 0"]);
    assert!(!one.has_video() && !other.has_video());
    // A refresh does not ask for it again.
    assert_eq!(lines(&text(other.repeat_offer().unwrap()), "m=video")[0].split(' ').nth(1), Some("0"));
}

/// Gives a leg its second port.
fn aside(leg: &mut LegSession, number: u16) {
    let address = leg.address();
    let at = |number| SocketAddr::new(address.rtp.ip(), number);
    leg.set_aside(PortId(number.into()), MediaAddress { rtp: at(number), rtcp: Some(at(number + 1)), ..address });
}

#[test]
fn a_phone_without_a_second_port_is_not_told_of_a_browser_s_video() {
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let described = browser.receive_offer(T0, with_video().as_bytes()).unwrap();
    let offer = text(phone.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&offer, "m=").len(), 1, "{offer}");
    let described = phone.receive_answer(T0, PHONE_ANSWER.replace("101", "126").as_bytes()).unwrap();
    let answer = text(browser.make_answer(T0, &described).unwrap());
    assert_eq!(lines(&answer, "m=video")[0].split(' ').nth(1), Some("0"), "{answer}");
}

/// What a phone is told of a browser's video is what a line on its own can have: no repetitions, nothing that counts packets of the
/// audio too.
#[test]
fn a_browser_s_video_has_a_port_of_its_own_at_a_phone() {
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let described = browser.receive_offer(T0, with_video().as_bytes()).unwrap();
    assert!(phone.wants_aside(&described) && !browser.wants_aside(&described));
    aside(&mut phone, 41_002);
    let offer = text(phone.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&offer, "m=video"), ["m=video 41002 RTP/AVP 96 103"]);
    let video = video_of(&offer);
    for passed in ["a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 ccm fir", "a=extmap:13 urn:3gpp:video-orientation", "a=sendrecv"] {
        assert!(video.iter().any(|line| line == passed), "{passed} is missing in {offer}");
    }
    for hidden in ["transport-cc", "transport-wide", "rtx", "ssrc", "a=mid", "rtcp-mux", "BUNDLE", "fingerprint", "ice-"] {
        assert!(!video.iter().any(|line| line.contains(hidden)), "{hidden} in {offer}");
    }
    let theirs = "m=video 7002 RTP/AVP 103\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 profile-level-id=42801f;packetization-mode=1\r\n\
                  a=rtcp-fb:103 nack pli\r\n";
    let answer = format!("{}{theirs}", PHONE_ANSWER.replace("101", "126"));
    let described = phone.receive_answer(T0, answer.as_bytes()).unwrap();
    let answer = text(browser.make_answer(T0, &described).unwrap());
    assert_eq!(lines(&answer, "m=video"), ["m=video 40000 UDP/TLS/RTP/SAVPF 103"]);
    assert_eq!(lines(&answer, "a=group:"), ["a=group:BUNDLE 0 1"]);
    let video = video_of(&answer);
    for passed in ["a=rtcp-fb:103 nack pli", "a=mid:1", "a=rtcp-mux", "a=setup:passive", "a=sendrecv"] {
        assert!(video.iter().any(|line| line == passed), "{passed} is missing in {answer}");
    }
    assert!(!video.iter().any(|line| line.contains("extmap")), "{answer}");
    let apart = apart(&browser, &phone).expect("two ways");
    assert_eq!((apart.to, apart.there, apart.back), (Destination::Port(PortId(41_002)), vec![], vec![]));
    let (port, plan) = phone.aside_plan(Some(PortId(1))).expect("a second port");
    assert_eq!((port, plan.destination, plan.transmit.muted), (PortId(41_002), Destination::Port(PortId(1)), false));
}

/// What is not carried across a split is in no offer and no answer, whatever either side writes: repetitions, feedback about a whole transport,
/// several pictures of one camera.
#[test]
fn what_a_split_does_not_carry_is_negotiated_away() {
    let mine = "m=video 7002 RTP/AVPF 103 104\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 profile-level-id=42801f;packetization-mode=1\r\n\
                a=rtcp-fb:103 nack pli\r\na=rtcp-fb:103 transport-cc\r\na=rtpmap:104 rtx/90000\r\na=fmtp:104 apt=103\r\n\
                a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n\
                a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:x\r\na=ssrc:2 cname:x\r\na=rid:hi recv\r\na=simulcast:recv hi\r\n";
    let clean = |told: &str| {
        for hidden in ["transport-cc", "transport-wide", "rtx", "ssrc", "a=rid", "simulcast", "rtp-stream-id", "apt="] {
            assert!(!told.contains(hidden), "{hidden} in {told}");
        }
        assert!(told.contains("H264/90000"), "{told}");
    };
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let described = browser.receive_offer(T0, with_video().as_bytes()).unwrap();
    aside(&mut phone, 41_002);
    clean(&text(phone.make_offer(T0, &described).unwrap()));
    let answer = PHONE_ANSWER.replace("101", "126") + &mine.replace("RTP/AVPF", "RTP/AVP");
    let described = phone.receive_answer(T0, answer.as_bytes()).unwrap();
    clean(&text(browser.make_answer(T0, &described).unwrap()));

    let (mut phone, mut browser) = (rtp(40_004), webrtc(40_006));
    let described = phone.receive_offer(T0, format!("{BARESIP}{mine}").as_bytes()).unwrap();
    aside(&mut phone, 41_004);
    clean(&text(browser.make_offer(T0, &described).unwrap()));
    let theirs = CHROMIUM.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1").replace("111", "96")
        + &VIDEO.replace("96 97 103 104", "103 104");
    let described = browser.receive_answer(T0, theirs.replace("a=setup:actpass", "a=setup:active").as_bytes()).unwrap();
    clean(&text(phone.make_answer(T0, &described).unwrap()));
}

/// A phone that tells no feedback is asked for pictures by INFO; the browser asks the node by RTCP. Neither is told feedback that it did
/// not offer.
#[test]
fn a_phone_that_takes_no_feedback_is_asked_otherwise() {
    let camera =
        "m=video 7002 RTP/AVP 103\r\na=rtpmap:103 H264/90000\r\na=fmtp:103 profile-level-id=42801f;packetization-mode=1\r\n";
    let requests = ["a=rtcp-fb:103 nack pli", "a=rtcp-fb:103 ccm fir"];
    let (mut browser, mut phone) = (webrtc(40_000), rtp(40_002));
    let described = browser.receive_offer(T0, with_video().as_bytes()).unwrap();
    aside(&mut phone, 41_002);
    phone.make_offer(T0, &described).unwrap();
    let answer = format!("{}{camera}", PHONE_ANSWER.replace("101", "126"));
    let described = phone.receive_answer(T0, answer.as_bytes()).unwrap();
    let answer = text(browser.make_answer(T0, &described).unwrap());
    // The browser offered ccm fir for its VP8 and nack pli for both.
    assert_eq!(lines(&answer, "a=rtcp-fb:103"), requests);
    assert!(apart(&browser, &phone).expect("two ways").silent);

    let (mut phone, mut browser) = (rtp(40_004), webrtc(40_006));
    let described = phone.receive_offer(T0, format!("{BARESIP}{camera}").as_bytes()).unwrap();
    aside(&mut phone, 41_004);
    let offer = text(browser.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&offer, "a=rtcp-fb:103"), requests);
    let theirs =
        CHROMIUM.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1").replace("111", "96") + &VIDEO.replace("96 97 103 104", "103");
    let described = browser.receive_answer(T0, theirs.replace("a=setup:actpass", "a=setup:active").as_bytes()).unwrap();
    let answer = text(phone.make_answer(T0, &described).unwrap());
    assert!(answer.contains("m=video 41004 RTP/AVP 103") && !answer.contains("rtcp-fb"), "{answer}");
    assert!(apart(&browser, &phone).expect("two ways").silent);
}

/// A phone may give one number to a format of each line (opus and VP8 are both 96 here); a browser's bundle must not.
#[test]
fn numbers_that_a_phone_gives_twice_differ_in_a_bundle() {
    let (mut phone, mut browser) = (rtp(40_002), webrtc(40_000));
    let camera = "m=video 7000 RTP/AVPF 96 99\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli\r\na=rtpmap:99 H264/90000\r\n";
    let described = phone.receive_offer(T0, format!("{BARESIP}{camera}").as_bytes()).unwrap();
    aside(&mut phone, 41_002);
    let offer = text(browser.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&offer, "m=video"), ["m=video 40000 UDP/TLS/RTP/SAVPF 97 99"]);
    assert!(offer.contains("a=rtpmap:97 VP8/90000") && offer.contains("a=rtcp-fb:97 nack pli"), "{offer}");
    assert_eq!(lines(&offer, "a=group:"), ["a=group:BUNDLE 0 1"]);
    let theirs = VIDEO.replace("SAVPF 96 97 103 104", "SAVPF 97").replace("a=rtpmap:96 VP8", "a=rtpmap:97 VP8");
    let theirs = theirs.replace("a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n", "").replace("a=rtcp-fb:96", "a=rtcp-fb:97");
    let theirs = (CHROMIUM.replace("a=group:BUNDLE 0", "a=group:BUNDLE 0 1").replace("111", "96") + &theirs)
        .replace("a=setup:actpass", "a=setup:active");
    let described = browser.receive_answer(T0, theirs.as_bytes()).unwrap();
    let answer = text(phone.make_answer(T0, &described).unwrap());
    assert_eq!(lines(&answer, "m=video"), ["m=video 41002 RTP/AVPF 96"]);
    assert!(answer.contains("a=rtpmap:96 VP8/90000") && answer.contains("a=rtcp-fb:96 nack pli"), "{answer}");
    let apart = apart(&browser, &phone).expect("two ways");
    assert_eq!((apart.there, apart.back), (vec![(97, 96)], vec![(96, 97)]));
}

/// Keys of the pictures are their own, and where there must be keys there are.
#[test]
fn a_phone_s_video_has_keys_of_its_own() {
    let (mut one, mut other) = (rtp(40_000).with_security(Srtp::Required), rtp(40_002));
    let camera = "m=video 7000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
    let mut third = rtp(40_004);
    let described = third.receive_offer(T0, format!("{BARESIP}{camera}").as_bytes()).unwrap();
    [&mut one, &mut other].into_iter().zip([41_000, 41_002]).for_each(|(leg, number)| aside(leg, number));
    let offer = text(one.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&offer, "m=video"), ["m=video 41000 RTP/SAVP 96"]);
    assert_eq!(lines(&offer, "a=crypto:").len(), 8);
    let asked = other.receive_offer(T0, offer.as_bytes()).unwrap();
    let answer = text(other.make_answer(T0, &asked).unwrap());
    assert_eq!((lines(&answer, "m=video"), lines(&answer, "a=crypto:").len()), (vec!["m=video 41002 RTP/SAVP 96"], 2));
    one.receive_answer(T0, answer.as_bytes()).unwrap();
    let plans = |leg: &LegSession| (leg.plan(Destination::Port(PortId(9))), leg.aside_plan(Some(PortId(9))).unwrap().1);
    let ((audio, ours), (_, theirs)) = (plans(&one), plans(&other));
    assert!(ours.transmit.srtp.is_some() && ours.transmit.srtp != audio.transmit.srtp);
    assert_eq!((&ours.transmit.srtp, &ours.receive.srtp), (&theirs.receive.srtp, &theirs.transmit.srtp));
    // In use they stay.
    let again = text(one.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&again, "a=crypto:").len(), 2, "{again}");
    let asked = other.receive_offer(T0, again.as_bytes()).unwrap();
    one.receive_answer(T0, other.make_answer(T0, &asked).unwrap().as_slice()).unwrap();
    assert_eq!(plans(&one).1.transmit.srtp, ours.transmit.srtp);
}

#[test]
fn where_keys_must_be_pictures_without_are_refused() {
    let described = rtp(40_004)
        .receive_offer(T0, format!("{BARESIP}m=video 7000 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n").as_bytes())
        .unwrap();
    // In an answer.
    let mut leg = rtp(40_000).with_security(Srtp::Required);
    aside(&mut leg, 41_000);
    let offer = text(leg.make_offer(T0, &described).unwrap());
    let mut other = rtp(40_002);
    let asked = other.receive_offer(T0, offer.as_bytes()).unwrap();
    let answer = text(other.make_answer(T0, &asked.without_video()).unwrap());
    let plain = answer.replace("m=video 0 RTP/SAVP 96", "m=video 7000 RTP/AVP 96\r\na=rtpmap:96 H264/90000");
    assert!(plain.contains("m=video 7000"), "{answer}");
    assert_eq!(leg.receive_answer(T0, plain.as_bytes()).unwrap().video, None);
    assert!(!leg.uses_aside());
    // In an offer, beside audio that has keys.
    let mut leg = rtp(40_006).with_security(Srtp::Required);
    aside(&mut leg, 41_006);
    let mixed = offer.replace("m=video 41000 RTP/SAVP 96", "m=video 41000 RTP/AVP 96");
    let (audio, video) = mixed.split_at(mixed.find("m=video").unwrap());
    let bare: String = video.lines().filter(|line| !line.contains("crypto")).flat_map(|line| [line, "\r\n"]).collect();
    assert_eq!(leg.receive_offer(T0, format!("{audio}{bare}").as_bytes()).unwrap().video, None);
}

/// A line on a transport of its own is none to the node: it has one port for a browser.
#[test]
fn video_outside_the_bundle_is_refused() {
    let mut leg = webrtc(40_000);
    let described = leg.receive_offer(T0, with_video().replace("BUNDLE 0 1", "BUNDLE 0").as_bytes()).unwrap();
    assert_eq!(described.video, None);
    let answer = text(leg.make_answer(T0, &described).unwrap());
    assert_eq!(lines(&answer, "m=video")[0].split(' ').nth(1), Some("0"));
}

#[test]
fn video_comes_and_goes_in_later_offers() {
    let (mut one, mut other) = (webrtc(40_000), webrtc(40_002));
    let pass = |one: &mut LegSession, other: &mut LegSession, offer: &str, answer: &str| {
        let described = one.receive_offer(T0, offer.as_bytes()).unwrap();
        let told = text(other.make_offer(T0, &described).unwrap());
        let described = other.receive_answer(T0, answer.replace("a=setup:actpass", "a=setup:active").as_bytes()).unwrap();
        (told, text(one.make_answer(T0, &described).unwrap()))
    };
    let (told, _) = pass(&mut one, &mut other, CHROMIUM, CHROMIUM);
    assert_eq!(lines(&told, "m=").len(), 1);
    let both = with_video();
    let (told, answered) = pass(&mut one, &mut other, &both, &both);
    assert!(video_of(&told)[0].starts_with("m=video 40002 ") && video_of(&answered)[0].starts_with("m=video 40000 "));
    // On hold: the direction passes.
    let held = both.replace("a=sendrecv", "a=sendonly");
    let (told, answered) = pass(&mut one, &mut other, &held, &both.replace("a=sendrecv", "a=recvonly"));
    assert_eq!((lines(&told, "a=sendonly").len(), lines(&answered, "a=recvonly").len()), (2, 2), "{told}{answered}");
    let gone = CHROMIUM.to_owned() + "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n";
    let (told, answered) = pass(&mut one, &mut other, &gone, &gone);
    for sdp in [told, answered] {
        assert_eq!((lines(&sdp, "m=").len(), lines(&sdp, "m=video")[0].split(' ').nth(1)), (2, Some("0")), "{sdp}");
    }
    assert!(!one.has_video() && !other.has_video());
}

#[test]
fn a_service_has_no_pictures() {
    let mut leg = webrtc(40_000);
    let described = leg.receive_offer(T0, with_video().as_bytes()).unwrap();
    assert!(described.clone().spoken().video.is_none() && Description::g711().video.is_none());
    let answer = text(leg.make_answer(T0, &described.without_video()).unwrap());
    assert_eq!(lines(&answer, "m=video")[0].split(' ').nth(1), Some("0"));
}

/// A phone's video has a port of its own, and an RTCP port beside it.
#[test]
fn phones_have_a_second_port_for_video() {
    let camera = "m=video 7000 RTP/AVPF 96\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:* ccm fir\r\na=rtcp:7009\r\na=content:main\r\n";
    let (mut one, mut other) = (rtp(40_000), rtp(40_002));
    let described = one.receive_offer(T0, format!("{BARESIP}{camera}").as_bytes()).unwrap();
    assert!(one.wants_aside(&described) && other.wants_aside(&described));
    aside(&mut one, 41_000);
    // Without one the line is not offered.
    assert_eq!(lines(&text(other.make_offer(T0, &described).unwrap()), "m=").len(), 1);
    aside(&mut other, 41_002);
    let offer = text(other.make_offer(T0, &described).unwrap());
    assert_eq!(lines(&offer, "m=video"), ["m=video 41002 RTP/AVP 96"]);
    assert!(offer.contains("a=rtcp-fb:* ccm fir\r\na=content:main\r\na=sendrecv\r\n") && !offer.contains("10.7.0.9"), "{offer}");
    let described =
        other.receive_answer(T0, format!("{PHONE_ANSWER}m=video 7002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n").as_bytes());
    let answer = text(one.make_answer(T0, &described.unwrap()).unwrap());
    assert_eq!(lines(&answer, "m=video"), ["m=video 41000 RTP/AVPF 96"]);
    let (port, plan) = one.aside_plan(Some(PortId(8))).unwrap();
    assert_eq!((port, plan.destination), (PortId(41_000), Destination::Port(PortId(8))));
    let told = |to: Option<SocketAddr>| to.map(|to| to.to_string());
    assert_eq!((told(plan.transmit.rtp), told(plan.transmit.rtcp)), (Some("10.7.0.9:7000".into()), Some("10.7.0.9:7009".into())));
    assert_eq!((plan.receive.speech, one.take_idle_aside()), (vec![(96, 90_000)], None));
    // Over with it: the port is idle.
    one.receive_offer(T0, format!("{BARESIP}m=video 0 RTP/AVPF 96\r\n").as_bytes()).unwrap();
    one.make_answer(T0, &Description::g711()).unwrap();
    assert!(one.take_idle_aside().is_some() && one.aside_plan(None).is_none());
}
